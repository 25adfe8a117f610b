//! Slices of time, each variant's between two of the bare Envoy, and the figures that they come to.
//!
//! The machine changes its speed, from outside and for seconds at a time; two slices that follow each other have the same. So a
//! variant is compared with its neighbours alone, and the median of these comparisons is told.

use std::time::{Duration, Instant};

use crate::authorizer::Authorizer;
use crate::load::Load;
use crate::usage::Cpu;

/// A variant in one process, with its connections open.
pub struct Running<'a> {
    pub pid: u32,
    pub load: Load,
    /// The service that it asks.
    pub asks: Option<&'a Authorizer>,
    pub latencies: Vec<u32>,
}

/// What one variant came to.
#[derive(Clone, Debug)]
pub struct Figures {
    /// CPU time of the process by that of the bare Envoy, for one request.
    pub ratio: f64,
    /// Microseconds above the bare Envoy.
    pub above: f64,
    /// How far `above` may be from what more slices would come to: its standard error.
    pub error: f64,
    /// Microseconds from the question to the answer, one at a time.
    pub p50: f64,
    pub p99: f64,
}

/// What one slice came to, in microseconds of CPU time for one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Slice {
    pub cost: f64,
    /// Of the service that was asked.
    pub elsewhere: f64,
    /// The share of the time that something else had the core while the proxy had work.
    pub disturbed: f64,
}

/// A slice between the two of the bare Envoy around it.
#[derive(Clone, Copy, Debug)]
pub struct Comparison {
    pub own: Slice,
    pub around: [Slice; 2],
}

const THROWN_AWAY: Duration = Duration::from_millis(25);
const COUNTED: Duration = Duration::from_millis(95);
const TIMED: Duration = Duration::from_millis(20);
/// What the proxy still does when its last answer has come.
const SETTLING: Duration = Duration::from_micros(500);

/// How long one slice takes, all in all.
pub const SLICE: Duration = Duration::from_millis(142);

impl Running<'_> {
    pub fn slice(&mut self) -> Result<Slice, String> {
        self.load.drive(THROWN_AWAY)?;
        std::thread::sleep(SETTLING);
        let (before, start) = (self.cpu(), Instant::now());
        let answered = self.load.drive(COUNTED)? as f64;
        let elapsed = start.elapsed().as_nanos() as f64;
        std::thread::sleep(SETTLING);
        let after = self.cpu();
        let [proxy, service] = [after[0] - before[0], after[1] - before[1]];
        self.load.time(TIMED, &mut self.latencies)?;
        let each = |cpu: Cpu| cpu.used as f64 / 1_000.0 / answered;
        Ok(Slice { cost: each(proxy), elsewhere: each(service), disturbed: proxy.waited as f64 / elapsed })
    }

    fn cpu(&self) -> [Cpu; 2] {
        [Cpu::of_process(self.pid), self.asks.map(Authorizer::cpu).unwrap_or_default()]
    }
}

impl Comparison {
    fn ratio(&self) -> f64 {
        self.own.cost * 2.0 / (self.around[0].cost + self.around[1].cost)
    }

    fn disturbed(&self) -> f64 {
        self.own.disturbed + self.around[0].disturbed + self.around[1].disturbed
    }
}

/// The half that was disturbed least. What else runs on the core empties its caches, and a proxy that does more has more in them.
pub fn calmest(comparisons: &[Comparison]) -> Vec<Comparison> {
    let mut calmest = comparisons.to_vec();
    calmest.sort_by(|one, other| one.disturbed().total_cmp(&other.disturbed()));
    calmest.truncate(comparisons.len().div_ceil(2));
    calmest
}

impl Figures {
    /// Of the calmest comparisons; `bare` is what the bare Envoy takes in all of the run.
    pub fn of(comparisons: &[Comparison], bare: f64, latencies: &mut [u32]) -> Self {
        let mut ratios: Vec<f64> = calmest(comparisons).iter().map(Comparison::ratio).collect();
        let ratio = median(&mut ratios);
        latencies.sort_unstable();
        let microseconds = |share: f64| quantile(latencies, share).map_or(0.0, |latency| f64::from(latency) / 1_000.0);
        Self {
            ratio,
            above: (ratio - 1.0) * bare,
            error: error_of_median(&ratios) * bare,
            p50: microseconds(0.5),
            p99: microseconds(0.99),
        }
    }
}

/// Sorts, and is 0 of nothing.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values {
        [] => 0.0,
        values if values.len() % 2 == 0 => f64::midpoint(values[middle - 1], values[middle]),
        values => values[middle],
    }
}

/// The standard error of the median of what is sorted, as if it were spread normally: the quartiles lie 1.35 deviations apart,
/// and the error of a median is 1.25 times that of a mean.
fn error_of_median(sorted: &[f64]) -> f64 {
    match (quantile(sorted, 0.25), quantile(sorted, 0.75)) {
        (Some(low), Some(high)) => 1.25 * (high - low) / 1.35 / (sorted.len() as f64).sqrt(),
        _ => 0.0,
    }
}

fn quantile<T: Copy>(sorted: &[T], share: f64) -> Option<T> {
    sorted.get((sorted.len() as f64 * share) as usize).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_that_are() {
        assert_eq!(median(&mut []), 0.0);
        assert_eq!(median(&mut [3.0, 1.0, 100.0]), 3.0);
        assert_eq!(median(&mut [4.0, 1.0, 100.0, 2.0]), 3.0);
    }

    fn slice(cost: f64, disturbed: f64) -> Slice {
        Slice { cost, elsewhere: 0.0, disturbed }
    }

    fn comparison(own: f64, [before, after]: [f64; 2]) -> Comparison {
        Comparison { own: slice(own, 0.0), around: [slice(before, 0.0), slice(after, 0.0)] }
    }

    #[test]
    fn a_machine_of_two_speeds_changes_no_ratio() {
        let comparisons = [(24.0, [20.0, 20.0]), (48.0, [40.0, 40.0]), (36.0, [20.0, 40.0])];
        let figures = Figures::of(&comparisons.map(|(own, around)| comparison(own, around)), 20.0, &mut []);
        assert!((figures.ratio - 1.2).abs() < 1e-9);
        assert!((figures.above - 4.0).abs() < 1e-9);
        assert!(figures.error.abs() < 1e-9);
    }

    #[test]
    fn one_slice_that_was_disturbed_is_not_seen() {
        let comparisons = [22.0, 22.0, 22.0, 22.0, 90.0].map(|own| comparison(own, [20.0, 20.0]));
        assert!((Figures::of(&comparisons, 20.0, &mut []).ratio - 1.1).abs() < 1e-9);
    }

    #[test]
    fn the_half_that_waited_least_counts() {
        let calm =
            |own: f64, disturbed: f64| Comparison { own: slice(own, disturbed), ..comparison(own, [20.0, 20.0]) };
        let comparisons = [calm(30.0, 0.2), calm(22.0, 0.0), calm(31.0, 0.3), calm(24.0, 0.1)];
        assert!((Figures::of(&comparisons, 20.0, &mut []).ratio - 1.15).abs() < 1e-9);
    }

    #[test]
    fn quantiles_of_latencies_are_microseconds() {
        let mut latencies: Vec<u32> = (0..100).rev().map(|number| number * 1_000).collect();
        let figures = Figures::of(&[comparison(1.0, [1.0, 1.0])], 1.0, &mut latencies);
        assert_eq!((figures.p50, figures.p99), (50.0, 99.0));
    }
}
