//! One HTTP request: its journey begun, its decision applied.

use std::cell::Cell;
use std::rc::Rc;

use crate::callout::{Crowded, Peer};
use crate::effect::{Forward, Reply, Return};
use crate::flow::{Decision, Permit, Refusal, Report, Settled, Step};

use super::abi::{self, Level, Map};
use super::metrics;
use super::read;
use super::root::{Shared, wake};

/// The context of one request.
pub struct Stream {
    id: u32,
    progress: Progress,
    /// Where it was decided without waiting.
    returns: Return,
    /// Once it has waited: what whoever settles its question knows it by.
    waiter: Option<Waiter>,
    /// None where the configuration was refused.
    shared: Option<Shared>,
}

/// A request by the host's number, and what has become of it; whoever settles its question tells it here.
#[derive(Clone)]
pub struct Waiter {
    pub id: u32,
    fate: Rc<Fate>,
}

struct Fate {
    progress: Cell<Progress>,
    returns: Cell<Return>,
}

/// How far a request has come, and what becomes of its answer.
pub type Applied = (Progress, Return);

/// Whether a request waits, or is decided and applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Waits,
    Goes,
    Answered,
}

impl Waiter {
    fn new(id: u32) -> Self {
        Self { id, fate: Rc::new(Fate { progress: Cell::new(Progress::Waits), returns: Cell::default() }) }
    }

    pub fn progress(&self) -> Progress {
        self.fate.progress.get()
    }

    pub fn settle(&self, (progress, returns): Applied) {
        self.fate.progress.set(progress);
        self.fate.returns.set(returns);
    }
}

impl PartialEq for Waiter {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

/// Whoever sends bad tokens would fill a log that stands at `warning`, at several times the cost of a refusal.
pub const DENIAL: Level = Level::Info;
pub const PERMIT: Level = Level::Info;

impl Stream {
    pub fn new(id: u32, shared: Option<Shared>) -> Self {
        Self { id, progress: Progress::Waits, returns: Return::Untouched, waiter: None, shared }
    }

    /// Nothing goes on before the decision, nor after a refusal, whatever Envoy is told to hold back by itself
    /// (`allow_on_headers_stop_iteration`).
    pub fn action(&self) -> Action {
        match self.progress() {
            Progress::Goes => Action::Continue,
            Progress::Waits | Progress::Answered => Action::Pause,
        }
    }

    fn progress(&self) -> Progress {
        self.waiter.as_ref().map_or(self.progress, Waiter::progress)
    }

    /// Its answer comes once.
    fn take_returns(&mut self) -> Return {
        let own = core::mem::take(&mut self.returns);
        self.waiter.as_ref().map_or(own, |waiter| waiter.fate.returns.take())
    }

    fn forget(&self) {
        if let (Some(waiter), Some(shared)) = (&self.waiter, &self.shared)
            && waiter.progress() == Progress::Waits
        {
            shared.borrow_mut().waiting.forget(waiter);
        }
    }
}

/// The host has let go of it, whatever became of it.
impl Drop for Stream {
    fn drop(&mut self) {
        self.forget();
    }
}

/// What the host does with a request.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Action {
    Continue = 0,
    Pause = 1,
}

impl Stream {
    pub fn on_request_headers(&mut self, ends: bool) -> Action {
        let Some(shared) = &self.shared else {
            abi::log(Level::Error, "holdfast: refused: there is no configuration");
            let _ = abi::local_response(500, "not_configured", &[], "");
            return Action::Pause;
        };
        let step = match read::request(shared, !ends) {
            Ok(request) => {
                let now = abi::now();
                shared.borrow_mut().enforcer.begin(request, now)
            }
            Err(_) => Step::Done(shared.borrow().enforcer.refuse_unreadable()),
        };
        match step {
            Step::Done(decision) => (self.progress, self.returns) = apply(shared, decision),
            step @ Step::Ask(..) => {
                let waiter = self.waiter.insert(Waiter::new(self.id));
                waiter.settle(advance(shared, waiter, step));
            }
        }
        self.action()
    }

    /// An answer that is to be changed and can't be is not handed on.
    pub fn on_response_headers(&mut self) -> Action {
        let returns = self.take_returns();
        if returns == Return::Untouched || change_answer(&returns).is_ok() {
            return Action::Continue;
        }
        abi::log(Level::Error, "holdfast: an answer could not be changed, and is not handed on");
        let _ = abi::local_response(500, "answer_unchanged", &[], "");
        Action::Pause
    }

    /// Nothing in the trailers is decided on, so nothing of what only we may write goes on in them. Envoy does not show them
    /// again after a wait.
    pub fn on_request_trailers(&mut self) -> Action {
        if let Some(shared) = &self.shared
            && !removes_forged_trailers(shared)
        {
            self.forget();
            let decision = shared.borrow().enforcer.refuse_unreadable();
            let applied = apply(shared, decision);
            // Its question may be settled, and it may be about to go on.
            match &self.waiter {
                Some(waiter) => waiter.settle(applied),
                None => (self.progress, self.returns) = applied,
            }
        }
        self.action()
    }
}

fn removes_forged_trailers(shared: &Shared) -> bool {
    let Ok(trailers) = read::trailers() else { return false };
    let is_forged = |name: &[u8], value: &[u8]| shared.borrow().enforcer.forbids_trailer(name, value);
    let forged: Vec<&[u8]> =
        trailers.iter().filter(|(name, value)| is_forged(name, value)).map(|(name, _)| name).collect();
    forged.iter().all(|name| abi::remove(Map::RequestTrailers, name).is_ok())
}

/// Applies a step to the effective context, which is that of this request.
pub fn advance(shared: &Shared, waiter: &Waiter, step: Step) -> Applied {
    match step {
        Step::Done(decision) => apply(shared, decision),
        Step::Ask(callout, suspended) => {
            let known = suspended.certificate().map(|digest| Peer::Certificate(digest.0.to_vec()));
            let peer = known.unwrap_or_else(|| Peer::at(&read::address()));
            let size = suspended.size();
            let waits = shared.borrow_mut().waiting.wait(callout, waiter.clone(), suspended, size, peer);
            wake(shared);
            let Err(Crowded(suspended)) = waits else { return (Progress::Waits, Return::Untouched) };
            let now = abi::now();
            let step = shared.borrow_mut().enforcer.resume(suspended, &Settled::Crowded, now);
            let decision = match step {
                Step::Done(decision) => decision,
                // A journey that finds no place asks nothing more; should it, it is refused.
                Step::Ask(..) => shared.borrow().enforcer.refuse_unreadable(),
            };
            apply(shared, decision)
        }
    }
}

fn apply(shared: &Shared, decision: Decision) -> Applied {
    // What can't be removed would reach the upstream, and what can't be told would be missed there, so the request stays here.
    let decision = if changes_fields(&decision) { decision } else { shared.borrow().enforcer.refuse_unreadable() };
    match decision {
        Ok(Permit::Public(told) | Permit::Granted(told)) => {
            report(shared, &told.report);
            (Progress::Goes, told.returns)
        }
        Err(Refusal { reply, report: said }) => {
            report(shared, &said);
            answer(&reply);
            (Progress::Answered, Return::Untouched)
        }
    }
}

fn changes_fields(decision: &Decision) -> bool {
    match decision {
        Ok(Permit::Public(told) | Permit::Granted(told)) => {
            let Forward { remove, add } = &told.forward;
            remove.iter().all(|name| abi::remove(Map::RequestHeaders, name).is_ok())
                && add.iter().all(|(name, value)| abi::add(Map::RequestHeaders, name, value).is_ok())
        }
        Err(_) => true,
    }
}

/// The answer of the effective context, which is that of this request.
fn change_answer(returns: &Return) -> Result<(), abi::Refused> {
    let (remove, add) = returns.changes(read::answered_status());
    remove.iter().try_for_each(|name| abi::remove(Map::ResponseHeaders, name.as_bytes()))?;
    add.iter().try_for_each(|(name, value)| abi::add(Map::ResponseHeaders, name, value))
}

fn answer(reply: &Reply) {
    // Where the host does not answer, the request stays where it is: it does not go on.
    let _ = abi::local_response(reply.status, reply.reason, &reply.headers, reply.body);
}

fn report(shared: &Shared, report: &Report) {
    for (name, value) in report.told() {
        // Logs and later filters find one fact less.
        let _ = abi::set_filter_state(name, value);
    }
    metrics::count(shared, report);
    if let Some(line) = &report.line {
        abi::log(if report.decision == "deny" { DENIAL } else { PERMIT }, line);
    }
}
