//! What is told once and not for each request: the size of the module, how long it takes to load, and memory.

use std::time::Instant;

use harness::module;

use crate::measure::median;
use crate::proxies::{DEFAULT_TOKENS, Proxy};
use crate::stage::Stage;
use crate::usage::memory_of_process;

/// A figure, and what it should not exceed.
#[derive(Clone, Copy, Debug)]
pub struct Weight {
    pub name: &'static str,
    pub title: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub most: Option<f64>,
}

/// Starts of each proxy, by turns.
const STARTS: usize = 5;
/// Workers that one proxy has more than the other when the memory of one is told.
const WORKERS: u32 = 4;

/// By proxies of their own, on every core that the machine has.
pub fn weigh(stage: &Stage) -> Vec<Weight> {
    let holdfast = Proxy::Holdfast { tokens: DEFAULT_TOKENS };
    let weight = |name, title, value, unit, most| Weight { name, title, value, unit, most: Some(most) };
    vec![
        weight("module", "module", module_size(), "MB", 1.2),
        weight("load", "load: Envoy listens later than a bare one by", load(stage, holdfast), "s", 0.5),
        weight("worker", "memory of each worker, nothing cached", worker(stage, holdfast), "MiB", 8.0),
    ]
}

fn module_size() -> f64 {
    std::fs::metadata(module()).map_or(0.0, |file| file.len() as f64 / 1e6)
}

fn load(stage: &Stage, proxy: Proxy) -> f64 {
    let seconds = |proxy: Proxy| {
        let start = Instant::now();
        drop(proxy.start(stage, None, 1));
        start.elapsed().as_secs_f64()
    };
    let mut later: Vec<f64> = (0..STARTS).map(|_| -seconds(Proxy::Bare) + seconds(proxy)).collect();
    median(&mut later)
}

/// MiB for one worker more, and not for the thread that a bare Envoy has for it too.
fn worker(stage: &Stage, proxy: Proxy) -> f64 {
    let more = |proxy: Proxy| {
        let [few, many] = [1, 1 + WORKERS].map(|workers| memory_of_process(proxy.start(stage, None, workers).pid()));
        (many as f64 - few as f64) / 1024.0 / f64::from(WORKERS)
    };
    more(proxy) - more(Proxy::Bare)
}
