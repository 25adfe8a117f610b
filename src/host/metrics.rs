//! Counters by decision and reason. Names are closed: they are made of this code's own words.

use std::collections::HashMap;

use super::abi::{self, Metric};

/// The counters of one configuration on one worker; each is defined when it first counts, and once.
#[derive(Default)]
pub struct Metrics {
    decisions: HashMap<(&'static str, &'static str), u32>,
}

impl Metrics {
    /// Counts a decision as `holdfast.decision.<decision>.reason.<reason>.requests`, dots in the reason written `_`.
    pub fn count(&mut self, decision: &'static str, reason: &'static str) {
        let id = match self.decisions.get(&(decision, reason)) {
            Some(id) => *id,
            None => {
                let name = format!("holdfast.decision.{decision}.reason.{}.requests", reason.replace('.', "_"));
                let Ok(id) = abi::define_metric(Metric::Counter, &name) else { return };
                self.decisions.insert((decision, reason), id);
                id
            }
        };
        // A counter that the host does not find is no reason to refuse.
        let _ = abi::increment_metric(id);
    }

    /// Shows how many things in the configuration go below what a standard asks.
    pub fn show_warnings(count: usize) {
        let id = abi::define_metric(Metric::Gauge, "holdfast.configuration.warnings");
        if let (Ok(id), Ok(count)) = (id, u64::try_from(count)) {
            let _ = abi::record_metric(id, count);
        }
    }
}
