//! One configuration on one worker: loaded, kept fresh, and asked for by its requests.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::rc::Rc;

use crate::callout::{Answer, CalloutId, IssuerId, NoAnswer, Waiting};
use crate::client::Random;
use crate::config;
use crate::discovery;
use crate::flow::{Enforcer, Log, Settled, Suspended};
use crate::keys::Fetched;
use crate::token::introspection::Unusable;

use super::abi::{self, Buffer, Level};
use super::crypto::Crypto;
use super::metrics::{self, Counters, Gauges};
use super::read;
use super::shared::SharedData;
use super::stream::{DENIAL, PERMIT, Progress, Stream, Waiter, advance};

/// What the requests of one configuration share. Never borrowed across a host call, but for those that verify a signature, remember
/// a proof or tell of a session: they ask for a place to write to, and call nobody back.
pub struct State {
    pub enforcer: Enforcer,
    pub waiting: Waiting<Waiter, Suspended>,
    pub counters: Counters,
    pub log_permits: bool,
    /// The next tick is to come at once. The host begins to wait anew each time that it is told, so it is told once.
    pub woken: bool,
}

pub type Shared = Rc<RefCell<State>>;

/// The root context of one plugin configuration. It sends every callout, so that no answer is lost with a request.
#[derive(Default)]
pub struct Root {
    shared: Option<Shared>,
    gauges: Option<Gauges>,
    /// Callouts that were sent, by the host's number.
    sent: HashMap<u32, Sent>,
    /// Requests whose question was settled, and which have not gone on yet.
    ready: VecDeque<Ready>,
}

/// A callout under way.
struct Sent {
    shared: Shared,
    id: CalloutId,
    /// In milliseconds since 1970, where the host knows.
    at: Option<u64>,
}

/// A request that may go on.
struct Ready {
    shared: Shared,
    waiter: Waiter,
    suspended: Suspended,
    settled: Rc<Settled>,
}

const TICK: u32 = 1000;

/// So many requests go on in one call of the host. It answers those that are refused when the call is over, each inside of
/// the one before: some 300 of them exhaust the stack, and with it the VM.
const AT_A_TIME: usize = 32;

/// Makes the root context tick at once, to send what requests have asked for.
pub fn wake(shared: &Shared) {
    const AT_ONCE: u32 = 1;
    if core::mem::replace(&mut shared.borrow_mut().woken, true) {
        return;
    }
    if abi::set_tick_period(AT_ONCE).is_err() {
        shared.borrow_mut().woken = false;
        abi::log(Level::Error, "holdfast: the host sets no tick; what is asked is sent within a second");
    }
}

impl Root {
    pub fn on_http_call_response(&mut self, token: u32, headers: usize, body: usize) {
        let Some(Sent { shared, id, at }) = self.sent.remove(&token) else { return };
        // Clocks may be set back.
        let took = abi::milliseconds().ok().zip(at).map(|(now, at)| now.saturating_sub(at));
        let (answer, date) = read::answer(headers, body);
        if let (Some(gauges), Some(date)) = (&mut self.gauges, date) {
            gauges.compare_clocks(id.service.issuer, date, abi::now());
        }
        self.settle(&shared, &id, answer, took);
        self.release();
    }
}

/// The configuration ends here. (`on_done` would be called for each request too.)
impl Drop for Root {
    fn drop(&mut self) {
        if let Some(mut gauges) = self.gauges.take() {
            gauges.withdraw();
        }
    }
}

impl Root {
    pub fn on_configure(&mut self, size: usize) -> bool {
        #[cfg(feature = "vectors")]
        return super::vectors::configure(size);
        #[cfg(not(feature = "vectors"))]
        self.configure(size)
    }

    #[cfg_attr(feature = "vectors", allow(dead_code, reason = "vectors stand in its place"))]
    fn configure(&mut self, size: usize) -> bool {
        let document = match size {
            0 => Vec::new(),
            _ => abi::buffer(Buffer::PluginConfiguration, config::MAX_DOCUMENT + 1).ok().flatten().unwrap_or_default(),
        };
        match config::load(&document, &|name| std::env::var(name).ok()) {
            Ok(compiled) => {
                self.take(compiled);
                true
            }
            Err(mistakes) => {
                for line in mistakes.to_string().lines() {
                    abi::log(Level::Error, &format!("holdfast: configuration refused: {line}"));
                }
                false
            }
        }
    }

    pub fn on_tick(&mut self) {
        let Some(shared) = self.shared.clone() else { return };
        shared.borrow_mut().woken = false;
        // First, so that whoever wakes us from now on is heard. Without it the next refresh would come too early, no more.
        let _ = abi::set_tick_period(TICK);
        let now = abi::now();
        follow_log_level(&shared);
        let due = shared.borrow_mut().enforcer.due(now);
        for callout in due {
            shared.borrow_mut().waiting.send(callout);
        }
        self.send_all(&shared);
        if let Some(gauges) = &mut self.gauges {
            gauges.show(&shared, now);
        }
        // Last: from here on the calls are about those who go on.
        self.release();
    }

    /// The context of a request.
    pub fn stream(&self, id: u32) -> Stream {
        Stream::new(id, self.shared.clone())
    }
}

impl Root {
    fn take(&mut self, compiled: config::Compiled) {
        for warning in &compiled.warnings {
            abi::log(Level::Warn, &format!("holdfast: configuration: {warning}"));
        }
        metrics::show_warnings(compiled.warnings.len());
        // Envoy gives each configuration a root context of its own. Should one be configured again all the same, nobody who
        // waits under the old configuration is left behind.
        if let Some(old) = self.shared.take() {
            loop {
                let Some(id) = old.borrow_mut().waiting.next_to_send() else { break };
                self.settle(&old, &id, Answer::None(NoAnswer::NotSent), None);
            }
        }
        if let Some(mut old) = self.gauges.take() {
            old.withdraw();
        }
        let mut enforcer = Enforcer::new(compiled.settings, Rc::new(Crypto::choose()), Rc::new(SharedData));
        let mut seed = [0; 2];
        // Without it all workers refresh at the same time, no more.
        let _ = abi::random(&mut seed);
        enforcer.spread(seed);
        enforcer.ask_of_sessions(Rc::new(read::OfConnection));
        let shared = Rc::new(RefCell::new(State {
            enforcer,
            waiting: Waiting::new(compiled.waiting),
            counters: Counters::default(),
            log_permits: compiled.log_permits,
            woken: false,
        }));
        follow_log_level(&shared);
        wake(&shared);
        let issuers: Vec<Rc<str>> = shared.borrow().enforcer.issuers().map(|issuer| Rc::clone(&issuer.name)).collect();
        self.gauges = Some(Gauges::new(issuers.into_iter()));
        self.shared = Some(shared);
    }

    fn send_all(&mut self, shared: &Shared) {
        loop {
            let Some(id) = shared.borrow_mut().waiting.next_to_send() else { return };
            match self.send(shared, &id) {
                Some(token) => {
                    self.sent.insert(token, Sent { shared: Rc::clone(shared), id, at: abi::milliseconds().ok() });
                }
                None => self.settle(shared, &id, Answer::None(NoAnswer::NotSent), None),
            }
        }
    }

    fn send(&self, shared: &Shared, id: &CalloutId) -> Option<u32> {
        let service = &id.service;
        let mut headers = vec![(":method", service.method), (":authority", &service.authority), (":path", id.path())];
        headers.extend(service.headers.iter().map(|(name, value)| (*name, value.as_str())));
        let body = shared.borrow().enforcer.body(id, &random()?, abi::now())?;
        let timeout = u32::try_from(service.timeout.as_millis()).unwrap_or(u32::MAX);
        abi::http_call(&service.cluster, &headers, &body, timeout).ok()
    }

    /// Reads an answer once; everybody who waits for it may go on. `took` is the time that it took, in milliseconds.
    fn settle(&mut self, shared: &Shared, id: &CalloutId, answer: Answer, took: Option<u64>) {
        let now = abi::now();
        let settled = shared.borrow_mut().enforcer.settle(id, answer, now);
        metrics::count_callout(shared, (id.service.issuer, id.service.question), settled.outcome(), took);
        say(shared, id, &settled);
        let settled = Rc::new(settled);
        for (waiter, suspended) in shared.borrow_mut().waiting.settle(id) {
            let (shared, settled) = (Rc::clone(shared), Rc::clone(&settled));
            self.ready.push_back(Ready { shared, waiter, suspended, settled });
        }
    }

    /// Lets those go on who may; where they are many, the others with the next tick, which comes at once.
    fn release(&mut self) {
        let count = self.ready.len().min(AT_A_TIME);
        self.ready.drain(..count).for_each(go_on);
        if let (false, Some(shared)) = (self.ready.is_empty(), &self.shared) {
            wake(shared);
        }
    }
}

/// Lines that the proxy would not write are not made.
fn follow_log_level(shared: &Shared) {
    let (permits, denials) = (abi::logs(PERMIT), abi::logs(DENIAL));
    let mut state = shared.borrow_mut();
    let permits = permits && state.log_permits;
    state.enforcer.log(Log { permits, denials });
}

fn random() -> Option<Random> {
    let mut random = Random { jti: [0; 16], salt: [0; 32] };
    abi::random(&mut random.jti).ok()?;
    abi::random(&mut random.salt).ok()?;
    Some(random)
}

fn go_on(Ready { shared, waiter, suspended, settled }: Ready) {
    // One that was answered meanwhile has its answer; one that has gone is left alone: the calls would be about another request.
    if waiter.progress() != Progress::Waits || abi::set_effective_context(waiter.id).is_err() {
        return;
    }
    let now = abi::now();
    let step = shared.borrow_mut().enforcer.resume(suspended, &settled, now);
    let wrong = shared.borrow_mut().enforcer.found_wrong();
    wrong.iter().for_each(|(issuer, unusable)| say_unusable(&shared, *issuer, unusable));
    waiter.settle(advance(&shared, &waiter, step));
    if waiter.progress() == Progress::Goes {
        let _ = abi::continue_request();
    }
}

/// What an operator has to know of a callout: every fetch of keys, and every failure.
fn say(shared: &Shared, id: &CalloutId, settled: &Settled) {
    let name = shared.borrow().enforcer.issuer_name(id.service.issuer).to_owned();
    match settled {
        Settled::Metadata(discovery::Fetched::Document(remarks)) => {
            abi::log(Level::Info, &format!("holdfast: issuer {name}: its metadata is read"));
            for remark in remarks {
                abi::log(Level::Warn, &format!("holdfast: issuer {name}: {remark}"));
            }
        }
        Settled::Metadata(discovery::Fetched::Failed(failure)) => {
            abi::log(Level::Error, &format!("holdfast: issuer {name}: no metadata: {failure}"));
        }
        Settled::Keys(Fetched::Set { keys, skipped }) => {
            abi::log(Level::Info, &format!("holdfast: issuer {name}: {keys} keys"));
            for key in skipped {
                abi::log(Level::Warn, &format!("holdfast: issuer {name}: {key}"));
            }
        }
        Settled::Keys(Fetched::Failed(failure)) => {
            abi::log(Level::Error, &format!("holdfast: issuer {name}: no keys: {failure}"));
        }
        Settled::Introspection(Err(unusable)) => say_unusable(shared, id.service.issuer, unusable),
        Settled::Metadata(discovery::Fetched::Agrees) | Settled::Introspection(Ok(_)) | Settled::Crowded => {}
    }
}

fn say_unusable(shared: &Shared, issuer: IssuerId, unusable: &Unusable) {
    let name = shared.borrow().enforcer.issuer_name(issuer).to_owned();
    abi::log(Level::Error, &format!("holdfast: issuer {name}: introspection failed: {unusable}"));
}
