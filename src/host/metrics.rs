//! Counters, a histogram and gauges. Names are closed (`effect::metric`); each is defined where it is first needed, and once.

use std::collections::HashMap;
use std::rc::Rc;

use crate::binding::replay::Scope;
use crate::callout::{IssuerId, Question};
use crate::effect::metric;
use crate::flow::Report;
use crate::keys::HeldKeys;
use crate::time::UnixTime;

use super::abi::{self, Level, Metric};
use super::root::Shared;

/// The counters of one configuration on one worker, by the host's number.
#[derive(Default)]
pub struct Counters {
    /// By route, the first for requests that none took; then by reason, of which a route sees few.
    requests: Vec<Vec<(&'static str, u32)>>,
    callouts: HashMap<(IssuerId, Question, &'static str), u32>,
    latencies: HashMap<(IssuerId, Question), u32>,
}

impl Counters {
    fn find(&self, report: &Report) -> Option<u32> {
        let of_route = self.requests.get(place(report))?;
        of_route.iter().find(|(reason, _)| *reason == report.reason).map(|(_, id)| *id)
    }

    fn keep(&mut self, report: &Report, id: u32) {
        let at = place(report);
        if self.requests.len() <= at {
            self.requests.resize_with(at + 1, Vec::new);
        }
        if let Some(of_route) = self.requests.get_mut(at) {
            of_route.push((report.reason, id));
        }
    }
}

fn place(report: &Report) -> usize {
    report.route().map_or(0, |route| route.0 + 1)
}

/// Counts a decision. A counter that the host does not have is no reason to refuse.
pub fn count(shared: &Shared, report: &Report) {
    let known = shared.borrow().counters.find(report);
    let id = known.or_else(|| {
        let name = {
            let state = shared.borrow();
            let route = report.route().map(|route| state.enforcer.route_name(route));
            metric::requests(route, report.decision, report.reason)
        };
        let id = abi::define_metric(Metric::Counter, &name).ok()?;
        shared.borrow_mut().counters.keep(report, id);
        Some(id)
    });
    if let Some(id) = id {
        let _ = abi::increment_metric(id, 1);
    }
}

/// Counts what a callout came to, and how long that took where it was sent.
pub fn count_callout(
    shared: &Shared,
    (issuer, question): (IssuerId, Question),
    outcome: &'static str,
    took: Option<u64>,
) {
    let name = shared.borrow().enforcer.issuer_name(issuer).to_owned();
    let known = shared.borrow().counters.callouts.get(&(issuer, question, outcome)).copied();
    let id = known.or_else(|| {
        let id = abi::define_metric(Metric::Counter, &metric::callouts(&name, question, outcome)).ok()?;
        shared.borrow_mut().counters.callouts.insert((issuer, question, outcome), id);
        Some(id)
    });
    if let Some(id) = id {
        let _ = abi::increment_metric(id, 1);
    }
    let Some(milliseconds) = took else { return };
    let known = shared.borrow().counters.latencies.get(&(issuer, question)).copied();
    let id = known.or_else(|| {
        let id = abi::define_metric(Metric::Histogram, &metric::callout_milliseconds(&name, question)).ok()?;
        shared.borrow_mut().counters.latencies.insert((issuer, question), id);
        Some(id)
    });
    if let Some(id) = id {
        let _ = abi::record_metric(id, milliseconds);
    }
}

/// Shows how many things the newest configuration was warned of.
pub fn show_warnings(count: usize) {
    if let Some(id) = define_gauge(&metric::gauge("configuration_warnings")) {
        let _ = abi::record_metric(id, wide(count));
    }
}

/// What this worker adds to a gauge that all workers share: each tells by how much its own part has changed, so the gauge
/// shows the sum.
struct Part {
    id: Option<u32>,
    told: u64,
}

impl Part {
    fn new(name: &str) -> Self {
        Self { id: define_gauge(name), told: 0 }
    }

    fn tell(&mut self, value: u64) {
        let (Some(id), Ok(change)) = (self.id, i64::try_from(i128::from(value) - i128::from(self.told))) else {
            return;
        };
        // A change by nothing is refused.
        if change != 0 && abi::increment_metric(id, change).is_ok() {
            self.told = value;
        }
    }
}

/// The gauges of one configuration on one worker.
pub struct Gauges {
    tokens: Part,
    token_bytes: Part,
    certificates: Part,
    waiting: Part,
    callouts: Part,
    /// One where this worker remembers proofs so.
    replay: [(Scope, Part); 3],
    issuers: Vec<OfIssuer>,
}

struct OfIssuer {
    name: Rc<str>,
    stale: Part,
    absent: Part,
    keys: Option<u32>,
    fetched: Option<u32>,
    clock_skew: Option<u32>,
    /// It was said that the clocks differ.
    is_warned: bool,
}

/// Clocks that differ by more are worth a warning (checklist C60).
const SKEW: u64 = 30;

impl Gauges {
    pub fn new(issuers: impl Iterator<Item = Rc<str>>) -> Self {
        let part = |name| Part::new(&metric::gauge(name));
        Self {
            tokens: part("remembered_tokens"),
            token_bytes: part("remembered_token_bytes"),
            certificates: part("known_certificates"),
            waiting: part("waiting_requests"),
            callouts: part("callouts_under_way"),
            replay: metric::REPLAY_SCOPES.map(|(name, scope)| (scope, part(name))),
            issuers: issuers.map(OfIssuer::new).collect(),
        }
    }

    /// Tells what this worker holds.
    pub fn show(&mut self, shared: &Shared, now: UnixTime) {
        let (remembered, certificates, waiting, callouts, standings) = {
            let state = shared.borrow();
            let enforcer = &state.enforcer;
            let waiting = (state.waiting.waiters(), state.waiting.callouts());
            (enforcer.remembered(), enforcer.known_certificates(), waiting.0, waiting.1, enforcer.standings(now))
        };
        self.tokens.tell(wide(remembered.entries));
        self.token_bytes.tell(wide(remembered.bytes));
        self.certificates.tell(wide(certificates));
        self.waiting.tell(wide(waiting));
        self.callouts.tell(wide(callouts));
        let scope = shared.borrow().enforcer.replay_scope();
        self.replay.iter_mut().for_each(|(of, part)| part.tell(u64::from(scope == Some(*of))));
        for (issuer, standing) in self.issuers.iter_mut().zip(standings) {
            let Some(standing) = standing else { continue };
            issuer.stale.tell(u64::from(standing.failing && standing.held.is_some()));
            issuer.absent.tell(u64::from(standing.failing && standing.held.is_none()));
            if let Some(held) = standing.held {
                issuer.show_keys(held);
            }
        }
    }

    /// Compares the issuer's clock with ours; nothing is corrected by it.
    pub fn compare_clocks(&mut self, issuer: IssuerId, theirs: UnixTime, now: UnixTime) {
        let Some(issuer) = self.issuers.get_mut(issuer.0) else { return };
        let skew = theirs.seconds().abs_diff(now.seconds());
        record(issuer.clock_skew, skew);
        let differs = skew > SKEW;
        if differs && !issuer.is_warned {
            let (name, ahead) = (&issuer.name, if theirs > now { "ahead of" } else { "behind" });
            abi::log(Level::Warn, &format!("holdfast: issuer {name}: its clock is {skew} s {ahead} ours"));
        }
        issuer.is_warned = differs;
    }

    /// Takes back all that was told, where a configuration ends. Others that live tell theirs anew within a second; the skew of a
    /// server's clock, which only its next answer tells, stays.
    pub fn withdraw(&mut self) {
        let parts =
            [&mut self.tokens, &mut self.token_bytes, &mut self.certificates, &mut self.waiting, &mut self.callouts];
        let replay = self.replay.iter_mut().map(|(_, part)| part);
        parts.into_iter().chain(replay).for_each(|part| part.tell(0));
        for issuer in &mut self.issuers {
            issuer.stale.tell(0);
            issuer.absent.tell(0);
            for id in [issuer.keys, issuer.fetched] {
                record(id, 0);
            }
        }
    }
}

impl OfIssuer {
    fn new(name: Rc<str>) -> Self {
        let gauge = |what| metric::issuer_gauge(&name, what);
        Self {
            stale: Part::new(&gauge("key_set_stale_workers")),
            absent: Part::new(&gauge("key_set_absent_workers")),
            keys: define_gauge(&gauge("key_set_keys")),
            fetched: define_gauge(&gauge("key_set_fetched_timestamp_seconds")),
            clock_skew: define_gauge(&gauge("clock_skew_seconds")),
            is_warned: false,
            name,
        }
    }

    /// The newest set that a worker holds is what all workers show.
    fn show_keys(&self, held: HeldKeys) {
        let fetched = held.fetched.seconds();
        let newest = self.fetched.and_then(|id| abi::metric(id).ok()).unwrap_or(0);
        if fetched >= newest {
            record(self.fetched, fetched);
            record(self.keys, wide(held.keys));
        }
    }
}

fn define_gauge(name: &str) -> Option<u32> {
    abi::define_metric(Metric::Gauge, name).ok()
}

fn record(id: Option<u32>, value: u64) {
    if let Some(id) = id {
        let _ = abi::record_metric(id, value);
    }
}

fn wide(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
