//! One HTTP request: its journey begun, its decision applied.

use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;

use crate::callout::Crowded;
use crate::effect::{Reply, identity};
use crate::flow::{Decision, Permit, Refusal, Report, Settled, Step};

use super::abi::{self, Level, Map};
use super::metrics;
use super::read;
use super::root::{Shared, wake};

/// The context of one request.
pub struct Stream {
    id: u32,
    /// None where the configuration was refused.
    shared: Option<Shared>,
    waits: bool,
}

/// Whether a request waits, or is decided and applied.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    Waits,
    Goes,
    Answered,
}

impl Stream {
    pub fn new(id: u32, shared: Option<Shared>) -> Self {
        Self { id, shared, waits: false }
    }
}

impl Stream {
    /// Whether the request still waits for an answer.
    fn is_undecided(&mut self) -> bool {
        self.waits = self.waits && self.shared.as_ref().is_some_and(|shared| shared.borrow().waiting.holds(&self.id));
        self.waits
    }
}

impl Context for Stream {
    fn on_done(&mut self) -> bool {
        if let (true, Some(shared)) = (self.waits, &self.shared) {
            shared.borrow_mut().waiting.forget(&self.id);
        }
        true
    }
}

impl HttpContext for Stream {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(shared) = &self.shared else {
            let _ = abi::local_response(500, "not_configured", &[], "");
            return Action::Pause;
        };
        let step = match read::request(shared) {
            Ok(request) => {
                let now = abi::now();
                shared.borrow_mut().enforcer.begin(request, now)
            }
            Err(_) => Step::Done(shared.borrow().enforcer.refuse_unreadable()),
        };
        match advance(shared, self.id, step) {
            Progress::Goes => Action::Continue,
            Progress::Answered => Action::Pause,
            Progress::Waits => {
                self.waits = true;
                Action::Pause
            }
        }
    }

    /// No octet of a body goes on before the decision, even where Envoy is told not to hold it back by itself
    /// (`allow_on_headers_stop_iteration`).
    fn on_http_request_body(&mut self, _: usize, _: bool) -> Action {
        if self.is_undecided() { Action::Pause } else { Action::Continue }
    }

    /// Nothing in the trailers was decided on, so nothing of what only we may write goes on in them.
    fn on_http_request_trailers(&mut self, _: usize) -> Action {
        if self.is_undecided() {
            return Action::Pause;
        }
        let forged = read::trailers()
            .into_iter()
            .filter(|(name, value)| identity::is_owned(name) || identity::is_token(name, value));
        for (name, _) in forged {
            if abi::remove(Map::RequestTrailers, &name).is_err() {
                return Action::Pause;
            }
        }
        Action::Continue
    }
}

/// Applies a step to the effective context, which is that of request `id`.
pub fn advance(shared: &Shared, id: u32, step: Step) -> Progress {
    match step {
        Step::Done(decision) => apply(shared, decision),
        Step::Ask(callout, suspended) => {
            let peer = suspended.certificate().map_or_else(read::address, |digest| digest.0.to_vec());
            let size = suspended.size();
            let waits = shared.borrow_mut().waiting.wait(callout, id, suspended, size, peer);
            wake();
            let Err(Crowded(suspended)) = waits else { return Progress::Waits };
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

fn apply(shared: &Shared, decision: Decision) -> Progress {
    // What can't be removed would reach the upstream, so the request does not.
    let decision = if remove_fields(&decision) { decision } else { shared.borrow().enforcer.refuse_unreadable() };
    match decision {
        Ok(Permit::Public(told) | Permit::Granted(told)) => {
            report(shared, &told.report);
            Progress::Goes
        }
        Err(Refusal { reply, report: said }) => {
            report(shared, &said);
            answer(&reply);
            Progress::Answered
        }
    }
}

fn remove_fields(decision: &Decision) -> bool {
    match decision {
        Ok(Permit::Public(told) | Permit::Granted(told)) => {
            told.forward.remove.iter().all(|name| abi::remove(Map::RequestHeaders, name).is_ok())
        }
        Err(_) => true,
    }
}

fn answer(reply: &Reply) {
    // Where the host does not answer, the request stays where it is: it does not go on.
    let _ = abi::local_response(reply.status, reply.reason, &reply.headers, reply.body);
}

fn report(shared: &Shared, report: &Report) {
    for (name, value) in &report.facts {
        // Logs and later filters find one fact less.
        let _ = abi::set_filter_state(&format!("holdfast.{name}"), value);
    }
    metrics::count(shared, report.decision, report.reason);
    let log_permits = shared.borrow().log_permits;
    if report.decision == "deny" {
        abi::log(Level::Warn, &report.line());
    } else if log_permits {
        abi::log(Level::Info, &report.line());
    }
}
