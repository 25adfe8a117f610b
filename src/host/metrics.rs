//! Counters by decision and reason. Names are closed: they are made of this code's own words.

use std::collections::HashMap;

use super::abi::{self, Metric};
use super::root::Shared;

/// The counters of one configuration on one worker, by decision and reason; each is defined when it first counts, and once.
pub type Counters = HashMap<(&'static str, &'static str), u32>;

/// Counts a decision as `holdfast.decision.<decision>.reason.<reason>.requests`, dots in the reason written `_`. A counter
/// that the host does not have is no reason to refuse.
pub fn count(shared: &Shared, decision: &'static str, reason: &'static str) {
    let known = shared.borrow().counters.get(&(decision, reason)).copied();
    let id = known.or_else(|| {
        let name = format!("holdfast.decision.{decision}.reason.{}.requests", reason.replace('.', "_"));
        let id = abi::define_metric(Metric::Counter, &name).ok()?;
        shared.borrow_mut().counters.insert((decision, reason), id);
        Some(id)
    });
    if let Some(id) = id {
        let _ = abi::increment_metric(id);
    }
}

/// Shows how many things the newest configuration was warned of.
pub fn show_warnings(count: usize) {
    let id = abi::define_metric(Metric::Gauge, "holdfast.configuration.warnings");
    if let (Ok(id), Ok(count)) = (id, u64::try_from(count)) {
        let _ = abi::record_metric(id, count);
    }
}
