//! A question to another service as a value, what it answered, and who waits for it.
//!
//! The core asks by returning a [`Callout`]; the host sends it and hands the [`Answer`] back. Requests that ask the same
//! wait for one answer together ([`Waiting`], checklist 4.13).

use core::fmt;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use crate::time::UnixTime;

/// An issuer of the configuration, by its place there. Its authorization server is asked about its tokens only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IssuerId(pub usize);

/// What is asked, of whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// The authorization server's metadata (RFC 8414).
    Metadata,
    /// The issuer's JWK Set (RFC 7517 §5).
    KeySet,
    /// Whether a token is active (RFC 7662).
    Introspection,
}

/// A service that is reached through an Envoy cluster: all of a callout but its body.
#[derive(Clone, PartialEq, Eq)]
pub struct Service {
    pub issuer: IssuerId,
    pub question: Question,
    pub cluster: String,
    pub method: &'static str,
    pub authority: String,
    pub path: String,
    /// Fields beside the pseudo-headers; they may hold a credential.
    pub headers: Vec<(&'static str, String)>,
    pub timeout: Duration,
}

/// Everything sent that can change the answer, compared whole: the key of waiting together. A clone shares it.
#[derive(Clone, PartialEq, Eq)]
pub struct CalloutId {
    pub service: Rc<Service>,
    /// The path, where it is not the service's own.
    pub path: Option<Rc<str>>,
    /// The body sent; it may hold a token.
    pub body: Rc<[u8]>,
    /// The token that is asked about and all else that the answer depends on, where the answer may be remembered.
    pub remembered_by: Option<Rc<str>>,
    /// A proof goes along: its answer is for the one who sent it, and for nobody else.
    pub proven: Option<Proven>,
}

/// Whose proof is judged elsewhere, and in which request.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proven {
    /// SHA-256 thumbprint of the key that the proof names.
    pub key: [u8; 32],
    /// No two requests have the same.
    pub number: u64,
}

/// One question to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    pub id: CalloutId,
}

/// What came of a callout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Response(Response),
    None(NoAnswer),
}

/// An HTTP response, whoever made it: Envoy itself answers 502, 503 and 504 for a service that does not.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// `Content-Type`, empty where there is none.
    pub content_type: String,
    /// `Cache-Control`, its fields joined by commas.
    pub cache_control: String,
    pub body: Vec<u8>,
}

/// Why there is nothing to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoAnswer {
    /// The proxy would not send it: no such cluster, an empty one, a full one.
    NotSent,
    /// The service went away before it had answered.
    Reset,
    /// The body is longer than what is read of one.
    TooLarge,
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotSent => "the proxy does not send it: the cluster is not there, has no endpoint, or is full",
            Self::Reset => "the server did not answer",
            Self::TooLarge => "the answer is longer than 64 KiB",
        })
    }
}

/// A service whose last answer could not be used, and when it is asked again: after 1, 2, 4, and then every 5 seconds.
#[derive(Clone, Copy, Debug)]
pub struct Failing {
    times: u32,
    pub retry: UnixTime,
}

impl Failing {
    pub fn again(last: Option<Self>, now: UnixTime) -> Self {
        let times = last.map_or(0, |failing| failing.times).saturating_add(1);
        let delay = match times {
            1 => 1,
            2 => 2,
            3 => 4,
            _ => 5,
        };
        Self { times, retry: now.plus(Duration::from_secs(delay)) }
    }
}

/// The longest body of an answer that is read: 64 KiB (checklist (d)).
pub const MAX_BODY: usize = 64 * 1024;

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of issuer {} at {}{}", self.question, self.issuer.0, self.cluster, self.path)
    }
}

impl fmt::Debug for CalloutId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.service.fmt(f)
    }
}

impl CalloutId {
    /// A question that holds nothing but whom it is asked of.
    pub fn of(service: Rc<Service>) -> Self {
        Self { service, path: None, body: Rc::default(), remembered_by: None, proven: None }
    }

    /// Where it is asked.
    pub fn path(&self) -> &str {
        self.path.as_deref().unwrap_or(&self.service.path)
    }
}

impl Response {
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, ..Self::default() }
    }

    /// Whether it says that its body is of this media type (RFC 9110 §8.3.1).
    pub fn is_of(&self, media_type: &str) -> bool {
        let told = self.content_type.split(';').next().unwrap_or_default();
        told.trim_ascii().eq_ignore_ascii_case(media_type)
    }

    /// How long it may be kept (RFC 9111 §5.2.2); none where it does not say.
    pub fn max_age(&self) -> Option<Duration> {
        let mut told = self.cache_control.split(',').filter_map(|directive| {
            let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
            let is = |other: &str| name.trim_ascii().eq_ignore_ascii_case(other);
            match is("max-age") {
                true => Some(Duration::from_secs(value.trim_ascii().trim_matches('"').parse().unwrap_or(0))),
                false => (is("no-store") || is("no-cache") || !directive.is_ascii()).then_some(Duration::ZERO),
            }
        });
        let first = told.next()?;
        Some(told.fold(first, Duration::min))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with {} bytes", self.status, self.body.len())
    }
}

impl Hash for CalloutId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.service.issuer.hash(state);
        self.service.question.hash(state);
        self.path.hash(state);
        self.body.hash(state);
    }
}

/// How much may wait at once, on one worker. One peer holds at most a quarter of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Callouts under way for one issuer.
    pub callouts: usize,
    /// Requests that wait.
    pub waiters: usize,
    /// Bytes of the requests that wait.
    pub bytes: usize,
}

/// Callouts under way and the requests that wait for each, `W` the host's name of a request and `S` what it needs to go on.
#[derive(Debug)]
pub struct Waiting<W, S> {
    limits: Limits,
    flights: HashMap<CalloutId, Flight<W, S>>,
    unsent: VecDeque<CalloutId>,
    all: Held,
    /// Of those without a certificate.
    anonymous: Held,
    of_peers: HashMap<Peer, Held>,
}

#[derive(Debug)]
struct Flight<W, S> {
    /// Who caused the callout, where a request did.
    peer: Option<Peer>,
    waiters: Vec<Waiter<W, S>>,
}

#[derive(Debug)]
struct Waiter<W, S> {
    name: W,
    state: S,
    size: usize,
    peer: Peer,
}

/// Places that are taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    waiters: usize,
    bytes: usize,
}

impl Held {
    fn and(self, size: usize) -> Self {
        Self { waiters: self.waiters.saturating_add(1), bytes: self.bytes.saturating_add(size) }
    }

    fn without(self, size: usize) -> Self {
        Self { waiters: self.waiters.saturating_sub(1), bytes: self.bytes.saturating_sub(size) }
    }

    fn fits(self, waiters: usize, bytes: usize) -> bool {
        self.waiters <= waiters && self.bytes <= bytes
    }
}

/// What callouts and waiters are counted by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// The digest of its certificate.
    Certificate(Vec<u8>),
    /// It has none, and is one of the many who may call from anywhere: all of them together hold at most half of each.
    Address(Vec<u8>),
}

impl Peer {
    /// A peer without a certificate by its address as text, with or without a port. All of an IPv6 network of 64 bits are one.
    pub fn at(address: &[u8]) -> Self {
        let text = core::str::from_utf8(address).unwrap_or_default();
        let ip = text.parse::<SocketAddr>().map(|socket| socket.ip()).or_else(|_| text.parse());
        // One of IPv4 may be written as one of IPv6 (RFC 4291 §2.5.5.2).
        Self::Address(match ip.map(|ip| ip.to_canonical()) {
            Ok(IpAddr::V6(ip)) => ip.octets().into_iter().take(8).collect(),
            Ok(IpAddr::V4(ip)) => ip.octets().to_vec(),
            Err(_) => address.to_vec(),
        })
    }

    fn has_no_certificate(&self) -> bool {
        matches!(self, Self::Address(_))
    }
}

/// A request that found no place; its state comes back, so that it can be refused.
#[derive(Debug, PartialEq, Eq)]
pub struct Crowded<S>(pub S);

impl<W: PartialEq, S> Waiting<W, S> {
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            flights: HashMap::new(),
            unsent: VecDeque::new(),
            all: Held::default(),
            anonymous: Held::default(),
            of_peers: HashMap::new(),
        }
    }

    /// Lets a request of `size` bytes wait for the answer to `callout`, which is sent unless it is under way.
    ///
    /// Keys and metadata are always asked for, be there ever so many who wait: there is one such callout an issuer, and it serves all.
    pub fn wait(&mut self, callout: Callout, waiter: W, state: S, size: usize, peer: Peer) -> Result<(), Crowded<S>> {
        let serves_all = callout.id.service.question != Question::Introspection;
        if serves_all {
            self.send(callout.clone());
        }
        let new = !self.flights.contains_key(&callout.id);
        if !self.has_place(size, &peer) || (new && !self.admits(&callout.id, &peer)) {
            return Err(Crowded(state));
        }
        self.all = self.all.and(size);
        if peer.has_no_certificate() {
            self.anonymous = self.anonymous.and(size);
        }
        let held = self.of_peers.entry(peer.clone()).or_default();
        *held = held.and(size);
        if new {
            self.unsent.push_back(callout.id.clone());
        }
        let flight = self.flights.entry(callout.id);
        let flight = flight.or_insert_with(|| Flight { peer: Some(peer.clone()), waiters: Vec::new() });
        flight.waiters.push(Waiter { name: waiter, state, size, peer });
        Ok(())
    }

    fn has_place(&self, size: usize, peer: &Peer) -> bool {
        let Limits { waiters, bytes, .. } = self.limits;
        let own = self.of_peers.get(peer).copied().unwrap_or_default();
        self.all.and(size).fits(waiters, bytes)
            && own.and(size).fits(waiters.div_ceil(4), bytes.div_ceil(4))
            && (!peer.has_no_certificate() || self.anonymous.and(size).fits(waiters.div_ceil(2), bytes.div_ceil(2)))
    }

    /// Frees the place of one waiter.
    fn free(&mut self, peer: &Peer, size: usize) {
        self.all = self.all.without(size);
        if peer.has_no_certificate() {
            self.anonymous = self.anonymous.without(size);
        }
        let Some(held) = self.of_peers.get_mut(peer) else { return };
        *held = held.without(size);
        if held.waiters == 0 {
            self.of_peers.remove(peer);
        }
    }

    /// Sends `callout` unless it is under way; no request waits for it.
    pub fn send(&mut self, callout: Callout) {
        if !self.flights.contains_key(&callout.id) {
            self.unsent.push_back(callout.id.clone());
            self.flights.insert(callout.id, Flight { peer: None, waiters: Vec::new() });
        }
    }

    /// How many requests wait.
    pub fn waiters(&self) -> usize {
        self.all.waiters
    }

    /// How many callouts are under way or about to be sent.
    pub fn callouts(&self) -> usize {
        self.flights.len()
    }

    /// The next callout that the host has to send.
    pub fn next_to_send(&mut self) -> Option<CalloutId> {
        self.unsent.pop_front()
    }

    /// Everybody who waits for this answer; the callout is over.
    pub fn settle(&mut self, id: &CalloutId) -> Vec<(W, S)> {
        let Some(flight) = self.flights.remove(id) else { return Vec::new() };
        let mut settled = Vec::with_capacity(flight.waiters.len());
        for waiter in flight.waiters {
            self.free(&waiter.peer, waiter.size);
            settled.push((waiter.name, waiter.state));
        }
        settled
    }

    /// Forgets a request that has gone. Its callout goes on: others may wait, and the answer is remembered.
    pub fn forget(&mut self, waiter: &W) {
        let found = self.flights.values_mut().find_map(|flight| {
            let at = flight.waiters.iter().position(|other| other.name == *waiter)?;
            // In bounds: `position` has just found it.
            Some(flight.waiters.swap_remove(at))
        });
        if let Some(gone) = found {
            self.free(&gone.peer, gone.size);
        }
    }

    fn admits(&self, id: &CalloutId, peer: &Peer) -> bool {
        let of_issuer = |other: &&CalloutId| *other.service == *id.service;
        let asked_by = |is: &dyn Fn(&Peer) -> bool| {
            let caused = |(other, flight): &(&CalloutId, &Flight<W, S>)| {
                of_issuer(other) && flight.peer.as_ref().is_some_and(is)
            };
            self.flights.iter().filter(caused).count()
        };
        let all = self.limits.callouts;
        self.flights.keys().filter(of_issuer).count() < all
            && asked_by(&|other| other == peer) < all.div_ceil(4)
            && (!peer.has_no_certificate() || asked_by(&Peer::has_no_certificate) < all.div_ceil(2))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Service {
        /// A service of the first issuer.
        pub fn about(question: Question) -> Rc<Self> {
            let (method, path) = match question {
                Question::Metadata => ("GET", "/metadata"),
                Question::KeySet => ("GET", "/jwks"),
                Question::Introspection => ("POST", "/introspect"),
            };
            Rc::new(Self {
                issuer: IssuerId(0),
                question,
                cluster: "login".into(),
                method,
                authority: "login.bank.example".into(),
                path: path.into(),
                headers: vec![],
                timeout: Duration::from_secs(1),
            })
        }
    }

    fn about(token: &str) -> Callout {
        Callout {
            id: CalloutId { body: token.as_bytes().into(), ..CalloutId::of(Service::about(Question::Introspection)) },
        }
    }

    fn waiting() -> Waiting<u32, &'static str> {
        Waiting::new(Limits { callouts: 8, waiters: 16, bytes: 400 })
    }

    fn sent(waiting: &mut Waiting<u32, &'static str>) -> usize {
        core::iter::from_fn(|| waiting.next_to_send()).count()
    }

    const ANN: &[u8] = b"ann";

    fn of(name: impl AsRef<[u8]>) -> Peer {
        Peer::Certificate(name.as_ref().to_vec())
    }

    #[test]
    fn those_who_ask_the_same_wait_for_one_answer() {
        let mut waiting = waiting();
        for waiter in 1..=3 {
            assert_eq!(waiting.wait(about("a"), waiter, "state", 1, of(ANN)), Ok(()));
        }
        assert_eq!(waiting.wait(about("b"), 4, "other", 1, of(ANN)), Ok(()));
        assert_eq!(sent(&mut waiting), 2);
        assert_eq!((waiting.waiters(), waiting.callouts()), (4, 2));
        assert_eq!(waiting.settle(&about("a").id), [(1, "state"), (2, "state"), (3, "state")]);
        assert_eq!(waiting.settle(&about("a").id), []);
        assert_eq!(waiting.settle(&about("b").id), [(4, "other")]);
        assert_eq!((waiting.waiters(), waiting.callouts()), (0, 0));
    }

    #[test]
    fn a_request_that_has_gone_is_not_woken_and_its_question_stays() {
        let mut waiting = waiting();
        waiting.wait(about("a"), 1, "gone", 60, of(ANN)).unwrap();
        waiting.forget(&1);
        assert_eq!(waiting.wait(about("a"), 2, "here", 60, of(ANN)), Ok(()), "its place is free");
        assert_eq!(sent(&mut waiting), 1);
        assert_eq!(waiting.settle(&about("a").id), [(2, "here")]);
    }

    #[test]
    fn one_peer_has_a_quarter_of_the_places_and_of_the_octets() {
        let mut waiting = waiting();
        assert_eq!(waiting.wait(about("a"), 1, "large", 101, of(ANN)), Err(Crowded("large")));
        for waiter in 1..=4 {
            waiting.wait(about("a"), waiter, "state", 25, of(ANN)).unwrap();
        }
        assert_eq!(waiting.wait(about("a"), 5, "fifth", 0, of(ANN)), Err(Crowded("fifth")));
        assert_eq!(waiting.wait(about("a"), 6, "another's", 100, of("bob")), Ok(()));
        waiting.settle(&about("a").id);
        assert_eq!(waiting.wait(about("a"), 5, "fifth", 100, of(ANN)), Ok(()));
    }

    #[test]
    fn all_together_are_bounded_too() {
        let mut waiting = waiting();
        for peer in 0..16_u8 {
            waiting.wait(about("a"), u32::from(peer), "state", 1, of([peer / 4])).unwrap();
        }
        assert_eq!(waiting.wait(about("a"), 99, "late", 1, of("new")), Err(Crowded("late")));
        waiting.forget(&3);
        assert_eq!(waiting.wait(about("a"), 99, "late", 1, of("new")), Ok(()));
        let mut few = Waiting::new(Limits { callouts: 8, waiters: 100, bytes: 400 });
        for peer in 0..4_u8 {
            few.wait(about("a"), u32::from(peer), (), 100, of([peer])).unwrap();
        }
        assert_eq!(few.wait(about("a"), 9, (), 1, of([9])), Err(Crowded(())));
    }

    #[test]
    fn one_peer_has_a_quarter_of_the_callouts() {
        let mut waiting = Waiting::new(Limits { callouts: 8, waiters: 100, bytes: 100 });
        for (waiter, token) in ["a", "b"].into_iter().enumerate() {
            waiting.wait(about(token), waiter, (), 1, of(ANN)).unwrap();
        }
        assert_eq!(waiting.wait(about("c"), 3, (), 1, of(ANN)), Err(Crowded(())));
        assert_eq!(waiting.wait(about("a"), 3, (), 1, of(ANN)), Ok(()), "that one is under way");
        assert_eq!(waiting.wait(about("c"), 4, (), 1, of("bob")), Ok(()));
    }

    #[test]
    fn those_without_a_certificate_have_half_of_all_together() {
        let mut waiting = waiting();
        let at = |last: u8| Peer::at(format!("192.0.2.{last}:443").as_bytes());
        for peer in 0..8_u8 {
            waiting.wait(about("a"), u32::from(peer), "state", 1, at(peer / 2)).unwrap();
        }
        assert_eq!(waiting.wait(about("a"), 8, "late", 1, at(9)), Err(Crowded("late")));
        assert_eq!(waiting.wait(about("a"), 9, "known", 1, of(ANN)), Ok(()));
        waiting.forget(&0);
        assert_eq!(waiting.wait(about("a"), 8, "late", 1, at(9)), Ok(()));
        let mut asking = Waiting::new(Limits { callouts: 4, waiters: 100, bytes: 1000 });
        asking.wait(about("a"), 1, (), 1, at(1)).unwrap();
        asking.wait(about("b"), 2, (), 1, at(2)).unwrap();
        assert_eq!(asking.wait(about("c"), 3, (), 1, at(3)), Err(Crowded(())));
        assert_eq!(asking.wait(about("c"), 3, (), 1, of(ANN)), Ok(()));
    }

    #[test]
    fn an_address_is_told_from_its_port_and_a_network_of_ipv6_is_one_peer() {
        for (one, other, same) in [
            ("192.0.2.1:443", "192.0.2.1:5", true),
            ("192.0.2.1:443", "192.0.2.1", true),
            ("192.0.2.1:443", "192.0.2.2:443", false),
            ("[::ffff:192.0.2.1]:443", "192.0.2.1:5", true),
            ("[::ffff:192.0.2.1]:443", "[::ffff:192.0.2.2]:443", false),
            ("[2001:db8::1]:443", "[2001:db8::ffff:1]:5", true),
            ("[2001:db8::1]:443", "2001:db8::2", true),
            ("[2001:db8:0:1::1]:443", "[2001:db8::1]:443", false),
            ("/run/a.sock", "/run/b.sock", false),
        ] {
            assert_eq!(Peer::at(one.as_bytes()) == Peer::at(other.as_bytes()), same, "{one} {other}");
        }
    }

    #[test]
    fn ten_thousand_tokens_at_once_are_asked_about_by_no_more_callouts_than_are_allowed() {
        let mut waiting = Waiting::new(Limits { callouts: 64, waiters: 1024, bytes: 8 << 20 });
        let placed = (0..10_000_u32).filter(|number| {
            let (token, peer) = (number.to_string(), of(number.to_string()));
            waiting.wait(about(&token), *number, (), 500, peer).is_ok()
        });
        assert_eq!(placed.count(), 64);
        assert_eq!(core::iter::from_fn(|| waiting.next_to_send()).count(), 64);
    }

    #[test]
    fn one_issuer_has_a_bounded_number_of_callouts() {
        let mut waiting = Waiting::new(Limits { callouts: 2, waiters: 100, bytes: 100 });
        waiting.wait(about("a"), 1, (), 1, of("ann")).unwrap();
        waiting.wait(about("b"), 2, (), 1, of("bob")).unwrap();
        assert_eq!(waiting.wait(about("c"), 3, (), 1, of("cid")), Err(Crowded(())));
    }

    #[test]
    fn keys_are_asked_for_however_many_wait() {
        let mut waiting = waiting();
        for (waiter, token) in ["a", "b"].into_iter().enumerate() {
            waiting.wait(about(token), u32::try_from(waiter).unwrap(), "state", 50, of(ANN)).unwrap();
        }
        assert_eq!(sent(&mut waiting), 2);
        let keys = Callout { id: CalloutId::of(Service::about(Question::KeySet)) };
        assert_eq!(waiting.wait(keys.clone(), 9, "late", 1, of(ANN)), Err(Crowded("late")));
        assert_eq!(waiting.next_to_send(), Some(keys.id));
    }

    #[test]
    fn an_answer_says_of_what_type_it_is_and_how_long_it_may_be_kept() {
        let of = |content_type: &str| Response { content_type: content_type.into(), ..Response::default() };
        for (told, is) in [
            ("application/jwt", true),
            (" Application/JWT ; charset=utf-8", true),
            ("", false),
            ("application/jwt2", false),
            ("application/jwt,application/jwt", false),
            ("application/json; a=application/jwt", false),
        ] {
            assert_eq!(of(told).is_of("application/jwt"), is, "{told}");
        }
        let kept = |cache_control: &str| {
            let response = Response { cache_control: cache_control.into(), ..Response::default() };
            response.max_age().map(|age| age.as_secs())
        };
        for (told, age) in [
            ("", None),
            ("private, must-revalidate", None),
            ("max-age=20", Some(20)),
            ("private , Max-Age = \"20\"", Some(20)),
            ("max-age=20, no-cache", Some(0)),
            ("no-store", Some(0)),
            ("max-age=20, max-age=10", Some(10)),
            ("max-age=-1", Some(0)),
            ("max-age=soon", Some(0)),
            ("s-maxage=20", None),
        ] {
            assert_eq!(kept(told), age, "{told}");
        }
    }

    #[test]
    fn neither_token_nor_credential_prints_itself() {
        let mut service = Service::about(Question::Introspection).as_ref().clone();
        service.headers = vec![("authorization", "Basic hidden".into())];
        let id = CalloutId { body: b"token=hidden".as_slice().into(), ..CalloutId::of(Rc::new(service)) };
        assert_eq!(format!("{id:?}"), "Introspection of issuer 0 at login/introspect");
        let response = Answer::Response(Response::new(200, b"hidden".to_vec()));
        assert_eq!(format!("{response:?}"), "Response(200 with 6 bytes)");
    }
}
