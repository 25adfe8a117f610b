//! Measures what this filter costs inside Envoy, beside a bare Envoy and what else could be used instead, and prints it.
//!
//! usage: bench [VARIANT,…]; `hot` is short for the few that a change of the hot path is held against.
//!
//! Each proxy is a process of its own, so that its memory can be told and nothing of one is in the caches of another; all run
//! from the beginning to the end, on the same core, and the one that is asked has it alone, since the others sleep. The load
//! runs on another core. How slices of time become figures: [`measure`].
//!
//! It fails where a proxy does not refuse what it must, or does not start; no figure fails it.

mod authorizer;
mod checks;
mod load;
mod measure;
mod proxies;
mod stage;
mod usage;
mod variants;

use std::fs::File;
use std::process::{Command, ExitCode};
use std::time::Instant;

use harness::Envoy;

use crate::load::{Load, Requests};
use crate::measure::{Figures, Running, SLICE, median};
use crate::proxies::Proxy;
use crate::stage::{PATH, Stage};
use crate::variants::{Asked, HOT, VARIANTS, Variant};

fn main() -> ExitCode {
    let only = std::env::args().nth(1).unwrap_or_default();
    match chosen(&only).and_then(|(variants, rounds)| run(&variants, rounds)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Rounds of slices: as many as fit into a minute for a few variants, and enough for the median of all.
fn chosen(only: &str) -> Result<(Vec<Variant>, usize), String> {
    if only.is_empty() {
        return Ok((VARIANTS.to_vec(), 40));
    }
    let names: Vec<&str> =
        only.split(',').flat_map(|name| if name == "hot" { HOT.to_vec() } else { vec![name] }).collect();
    if let Some(name) = names.iter().find(|name| VARIANTS.iter().all(|variant| variant.name != **name)) {
        let known: Vec<&str> = VARIANTS.iter().map(|variant| variant.name).collect();
        return Err(format!("there is no variant {name:?}; there are hot, {}", known.join(", ")));
    }
    let variants: Vec<Variant> = VARIANTS.iter().filter(|variant| names.contains(&variant.name)).copied().collect();
    let slices = 40_000 / SLICE.as_millis() as usize;
    let rounds = (slices / (2 * variants.len())).clamp(10, 60);
    Ok((variants, rounds))
}

/// Puts us on the first core and says which is for the proxies; on a machine of one core nothing is put anywhere.
fn cores() -> Option<usize> {
    let us = std::process::id().to_string();
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let done = || Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", "0", &us]).output();
    (several && done().is_ok_and(|output| output.status.success())).then_some(1)
}

/// While it lives, we and the proxies go before what else runs on the machine, if we may ask for that.
struct Priority;

/// The kernel shares time between sessions first, and only then between the processes of each.
const SESSION: &str = "/proc/self/autogroup";

impl Priority {
    fn high() -> Self {
        let us = std::process::id().to_string();
        let _ = Command::new("renice").args(["--priority", "-10", "--pid", &us]).output();
        let _ = std::fs::write(SESSION, "-10");
        Self
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        let _ = std::fs::write(SESSION, "0");
    }
}

/// Waits until no other bench runs on this machine: two would measure each other.
fn alone() -> Result<File, String> {
    let path = std::env::temp_dir().join("holdfast-bench.lock");
    let lock = File::options().create(true).append(true).open(&path).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    lock.map_err(|error| format!("{}: {error}", path.display()))
}

fn run(variants: &[Variant], rounds: usize) -> Result<(), String> {
    let _alone = alone()?;
    let _priority = Priority::high();
    let core = cores();
    let started = Instant::now();
    let most = variants.iter().map(|variant| if let Asked::Known(count) = variant.asked { count } else { 1 }).max();
    let stage = Stage::set(most.unwrap_or(1), &[]);
    let mut proxies = vec![(Proxy::Bare, Proxy::Bare.start(&stage, core, 1))];
    for variant in variants {
        if proxies.iter().all(|(proxy, _)| *proxy != variant.proxy) {
            proxies.push((variant.proxy, variant.proxy.start(&stage, core, 1)));
        }
    }
    for (proxy, envoy) in &proxies {
        if !matches!(proxy, Proxy::Native{tokens: 101..200}) {checks::check(*proxy, envoy, &stage)} else {Ok(())}.map_err(|error| format!("{proxy:?}: {error}"))?;
    }
    let of = |proxy: Proxy| proxies.iter().find(|(other, _)| *other == proxy).map(|(_, envoy)| envoy).expect("started");
    let mut bare = open(VARIANTS[0], of(Proxy::Bare), &stage)?;
    let mut running = Vec::new();
    eprintln!("bench: started after {:.1} s", started.elapsed().as_secs_f32());
    for variant in variants {
        eprintln!("bench: {} after {:.1} s", variant.name, started.elapsed().as_secs_f32());
        let opened = open(*variant, of(variant.proxy), &stage);
        running.push(opened.map_err(|error| format!("{}: {error}", variant.name))?);
    }
    eprintln!("bench: up after {:.1} s", started.elapsed().as_secs_f32());
    let mut slices = vec![Vec::new(); variants.len()];
    let mut of_bare = vec![bare.slice()?];
    for _ in 0..rounds {
        for (number, variant) in variants.iter().enumerate() {
            let own = running[number].slice().map_err(|error| format!("{}: {error}", variant.name))?;
            let before = of_bare[of_bare.len() - 1];
            of_bare.push(bare.slice()?);
            if std::env::var("DEBUG").is_ok() { eprintln!("{} {own:?} {before:?}", variant.name); }
            slices[number].push((own.cost, [before.cost, of_bare[of_bare.len() - 1].cost]));
        }
    }
    let bare_cost = median(&mut of_bare.iter().map(|slice| slice.cost).collect::<Vec<_>>());
    println!("bare {bare_cost:.2} us; {rounds} rounds; {:.1} s", started.elapsed().as_secs_f32());
    for (number, variant) in variants.iter().enumerate() {
        let figures = Figures::of(&slices[number], bare_cost, &mut running[number].latencies);
        println!(
            "{:14} {:+7.2} ±{:.2} us  x{:.3}  p50 {:.0} p99 {:.0}  {}",
            variant.name, figures.above, figures.error, figures.ratio, figures.p50, figures.p99, variant.title
        );
    }
    Ok(())
}

fn open(variant: Variant, envoy: &Envoy, stage: &Stage) -> Result<Running, String> {
    let requests = Requests::new(PATH, variant.tokens(stage));
    let client = envoy.client(variant.caller(stage));
    let mut load = Load::open(&client, requests, variant.status()).map_err(|error| error.to_string())?;
    load.warm()?;
    Ok(Running { pid: envoy.pid(), load, latencies: Vec::new() })
}
