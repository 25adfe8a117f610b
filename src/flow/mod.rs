//! The journey of one request: `begin`, and `resume` for each answer it has to wait for.
//!
//! The route is chosen first, from facts alone. `public` ends there; only then is the credential read, and each line needs
//! what the line above it proved. Nothing here does I/O or reads a clock: a journey that has to ask returns the question.

#![allow(clippy::result_large_err, reason = "a refusal is made once, at the end of a journey, and moved twice")]

use core::time::Duration;
use std::borrow::Cow;
use std::rc::Rc;

use serde_json::Value;

use crate::binding::dpop::{self, FittingProof, MadeFor, UnverifiedProof};
use crate::binding::prover::Provers;
use crate::binding::replay::{ReplayMemory, SharedSlots};
use crate::binding::{self, By, ConfirmedSender, Means, Requirement, replay};
use crate::callout::{Answer, Callout, CalloutId, IssuerId, NoAnswer, Question};
use crate::client::Random;
use crate::credential::{self, AccessToken, Presented, Scheme};
use crate::denial::{Ambiguous, Code, Denial, Unavailable};
use crate::discovery::{self, Discovery};
use crate::effect::identity::{self, Caller, Owned};
use crate::effect::{self, Forward, Reply, Return, TokenForward};
use crate::facts::peer::{CertificateDigest, Leaves, Peer, PeerCertificate, RelayId, Session, Source};
use crate::facts::relay::{self, Readings};
use crate::facts::{Request, Single};
use crate::jose::verifier::Verifier;
use crate::keys::{Failure, Fetched, Keys, Standing};
use crate::policy::relay::{PeerKind, Relay};
use crate::policy::route::{Matched, Route, RouteId};
use crate::policy::{self, Policy};
use crate::time::UnixTime;
use crate::token::introspection::{Answered, Introspected, Signed, Unusable};
use crate::token::memory::{self, Memory};
use crate::token::{Error as TokenError, Issuer, VerifiedToken, Vouched};

use look_up::{Looked, Sought, Waited, remember};

mod look_up;

/// Everything that one configuration enforces, and all that is learned under it on this worker.
pub struct Enforcer {
    issuers: Vec<Issuer>,
    discoveries: Vec<Option<Discovery>>,
    keys: Vec<Option<Keys>>,
    memory: Memory,
    leaves: Leaves,
    /// The certificates that relays have told.
    readings: Readings,
    session: Option<Rc<dyn Session>>,
    policy: Policy,
    effects: Vec<effect::Settings>,
    without_route: effect::Settings,
    owned: Owned,
    unchecked_validity: bool,
    /// None where no route takes proofs.
    dpop: Option<dpop::Settings>,
    provers: Rc<Provers>,
    /// None where no proof is remembered here.
    proofs: Option<Box<dyn ReplayMemory>>,
    tells_permits: bool,
    log: Log,
    verifier: Rc<dyn Verifier>,
    /// Proofs that went elsewhere to be judged.
    sent_proofs: u64,
    /// Signed answers that were found wrong and of which nobody has been told yet.
    found_wrong: Vec<(IssuerId, Unusable)>,
    /// The time that was told last.
    told: UnixTime,
}

/// Which decisions are written to the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Log {
    pub permits: bool,
    pub denials: bool,
}

/// What a configuration says, compiled.
pub struct Settings {
    pub issuers: Vec<Issuer>,
    pub policy: Policy,
    /// One for each route, in the same order.
    pub effects: Vec<effect::Settings>,
    /// What no caller may write.
    pub owned: Owned,
    /// `danger_unchecked_validity`: certificates whose dates can't be read are taken.
    pub unchecked_validity: bool,
    pub dpop: Option<dpop::Settings>,
    /// Permits tell in the filter state what refusals do.
    pub tells_permits: bool,
    pub memory: memory::Limits,
}

/// Where a journey stands.
#[allow(
    clippy::large_enum_variant,
    reason = "one that waits is moved into a list once; a box would be one allocation more"
)]
pub enum Step {
    Ask(Callout, Suspended),
    Done(Decision),
}

/// The end of a journey; there is no third.
pub type Decision = Result<Permit, Refusal>;

/// The request may go on.
#[derive(Debug)]
pub enum Permit {
    /// The route asks nobody.
    Public(Told),
    Granted(Told),
}

/// What the host applies to a request that goes on, and what it tells of it.
#[derive(Debug)]
pub struct Told {
    pub forward: Forward,
    /// What becomes of the upstream's answer.
    pub returns: Return,
    pub report: Report,
}

/// The request is answered here.
#[derive(Debug)]
pub struct Refusal {
    pub reply: Reply,
    pub report: Report,
}

/// What a decision says of itself and of the caller: for filter state, log and metrics. No secret is in it.
#[derive(Debug)]
pub struct Report {
    pub decision: &'static str,
    pub reason: &'static str,
    /// None where no route took the request.
    matched: Option<(RouteId, Rc<Route>)>,
    issuer: Option<Rc<str>>,
    token: Option<Vouched>,
    binding: Option<&'static str>,
    /// What the route tells beside what always stands there.
    further: Vec<(String, String)>,
    /// Whether what always stands there is told to the filter state too.
    is_told: bool,
    /// One line of JSON, where the log wants one.
    pub line: Option<String>,
}

/// A request that waits, with all that it has shown so far.
pub struct Suspended {
    request: Request,
    matched: Matched,
    certificate: Option<PeerCertificate>,
    /// What was said of its token, and waits for keys.
    signed: Option<Rc<Signed>>,
    asked: u8,
}

/// What an answer means to everybody who waits for it.
#[derive(Debug)]
pub enum Settled {
    Metadata(discovery::Fetched),
    Keys(Fetched),
    Introspection(Result<Answered, Unusable>),
    /// There was no place to wait in.
    Crowded,
}

impl Settled {
    /// What the callout came to, in a word.
    pub fn outcome(&self) -> &'static str {
        match self {
            Self::Metadata(fetched) => of_metadata(fetched),
            Self::Keys(Fetched::Set { .. }) | Self::Introspection(Ok(_)) => "answered",
            Self::Keys(Fetched::Failed(Failure::NoAnswer(why))) => without_answer(*why),
            Self::Introspection(Err(Unusable::NoAnswer(why))) => without_answer(*why),
            Self::Keys(Fetched::Failed(Failure::Status(status))) => by_status(*status),
            Self::Introspection(Err(Unusable::Status(status))) => by_status(*status),
            Self::Keys(Fetched::Failed(Failure::NotAKeySet)) => "unusable",
            Self::Introspection(Err(Unusable::Body | Unusable::Signed(_))) => "unusable",
            Self::Introspection(Err(Unusable::OurCredentials)) => "our_credentials",
            Self::Crowded => "crowded",
        }
    }
}

fn of_metadata(fetched: &discovery::Fetched) -> &'static str {
    use discovery::{Failure, Fetched};
    match fetched {
        Fetched::Document(_) | Fetched::Agrees => "answered",
        Fetched::Failed(Failure::NoAnswer(why)) => without_answer(*why),
        Fetched::Failed(Failure::Status(status)) => by_status(*status),
        Fetched::Failed(_) => "unusable",
    }
}

fn without_answer(why: NoAnswer) -> &'static str {
    match why {
        NoAnswer::NotSent => "not_sent",
        NoAnswer::Reset => "reset",
        NoAnswer::TooLarge => "too_large",
    }
}

/// With 5xx the proxy itself answers for a server that does not.
fn by_status(status: u16) -> &'static str {
    if status >= 500 { "unavailable" } else { "other_status" }
}

/// A journey asks this often at most: for both documents of a server, for keys, about the token, and for the key of the answer.
const MAX_ASKED: u8 = 5;

/// All that a request shows of its sender.
struct Shown<'a> {
    presented: Presented<'a>,
    /// Made for this request; whose it is, is not yet known.
    proof: Option<Box<FittingProof<'a>>>,
    /// Inside its dates.
    certificate: Option<PeerCertificate>,
    /// What the authorization server wants in its next proof.
    nonce: Option<Rc<str>>,
}

/// What was presented: a token that is remembered, with what was said of it, or one to be looked up.
enum Token<'a> {
    Known(Introspected),
    Unknown(AccessToken<'a>),
}

/// A decision, or the question to ask first.
enum Proceeded {
    Done(Decision),
    Ask(Callout),
}

impl Enforcer {
    /// `shared` is where all workers remember proofs together, if the configuration has them do so.
    pub fn new(settings: Settings, verifier: Rc<dyn Verifier>, shared: Rc<dyn SharedSlots>) -> Self {
        let keys = settings.issuers.iter().map(|issuer| issuer.keys.clone().map(Keys::new)).collect();
        let discoveries = settings.issuers.iter().map(|issuer| issuer.discovery.clone().map(Discovery::new)).collect();
        Self {
            discoveries,
            keys,
            memory: Memory::new(settings.memory),
            leaves: Leaves::default(),
            readings: Readings::default(),
            session: None,
            issuers: settings.issuers,
            policy: settings.policy,
            effects: settings.effects,
            without_route: effect::Settings::default(),
            owned: settings.owned,
            unchecked_validity: settings.unchecked_validity,
            proofs: settings.dpop.as_ref().and_then(|dpop| dpop.replay.memory(&dpop.name, shared)),
            dpop: settings.dpop,
            provers: Rc::default(),
            tells_permits: settings.tells_permits,
            log: Log::default(),
            verifier,
            sent_proofs: 0,
            found_wrong: Vec::new(),
            told: UnixTime::new(0),
        }
    }

    /// The certificate of a digest, as the proxy writes it, if this worker has read it before: the proxy need not be asked for it.
    pub fn known_certificate(&self, digest: &[u8]) -> Option<PeerCertificate> {
        self.leaves.known(digest)
    }

    /// Whether some route looks at the Envoy route.
    pub fn uses_envoy_route(&self) -> bool {
        self.policy.uses_envoy_route()
    }

    /// Whether a field of trailers is what only this filter may hand on, or carries a token that nobody has verified.
    pub fn forbids_trailer(&self, name: &[u8], value: &[u8]) -> bool {
        self.owned.holds(name) || identity::is_token(name, value)
    }

    /// Who remembers proofs together; none where no route takes any.
    pub fn replay_scope(&self) -> Option<replay::Scope> {
        self.dpop.as_ref().map(|dpop| dpop.replay.scope)
    }

    pub fn issuer_name(&self, id: IssuerId) -> &str {
        self.issuers.get(id.0).map_or("", |issuer| &issuer.name)
    }

    pub fn route_name(&self, id: RouteId) -> &str {
        self.policy.route_name(id)
    }

    pub fn issuers(&self) -> impl Iterator<Item = &Issuer> {
        self.issuers.iter()
    }

    /// How the keys of each issuer stand, in the order of the issuers; none where none are fetched.
    pub fn standings(&self, now: UnixTime) -> Vec<Option<Standing>> {
        self.keys.iter().map(|keys| keys.as_ref()?.standing(now)).collect()
    }

    /// How much is remembered of tokens.
    pub fn remembered(&self) -> memory::Limits {
        self.memory.held()
    }

    /// How many certificates this worker has read and knows.
    pub fn known_certificates(&self) -> usize {
        self.leaves.count() + self.readings.count()
    }

    /// Whom to ask of the connection of the request that is refused; nobody is asked before.
    pub fn ask_of_sessions(&mut self, session: Rc<dyn Session>) {
        self.session = Some(session);
    }

    /// Spreads over time when this worker refreshes what it holds of issuers; all do so at the same time otherwise.
    pub fn spread(&mut self, seed: [u8; 2]) {
        let [of_metadata, of_keys] = seed;
        self.discoveries.iter_mut().flatten().for_each(|discovery| discovery.spread(of_metadata));
        self.keys.iter_mut().flatten().for_each(|keys| keys.spread(of_keys));
    }

    /// Says which decisions are written to the log from now on; none are before.
    pub fn log(&mut self, log: Log) {
        self.log = log;
    }

    /// Signed answers that were found wrong since this was asked last: that is seen once their keys are there, by the first who waits.
    pub fn found_wrong(&mut self) -> Vec<(IssuerId, Unusable)> {
        core::mem::take(&mut self.found_wrong)
    }

    /// Begins the journey of one request.
    pub fn begin(&mut self, request: Request, now: UnixTime) -> Step {
        self.follow(now);
        let matched = match self.policy.route(&request) {
            Ok(matched) => matched,
            Err(error) => return Step::Done(Err(self.refuse(error.into(), None, Known::default(), now))),
        };
        let (shown, asked) = match self.enter(&request, &matched, now) {
            Ok(Entered::Public) => return Step::Done(self.pass_public(&request, &matched)),
            Ok(Entered::WithoutToken(certificate)) => {
                let certificate = certificate.as_ref().map(Option::as_ref).map_err(|error| *error);
                return Step::Done(self.decide(&request, &matched, certificate, None, None, now));
            }
            Ok(Entered::Presented(shown, token)) => (shown, token),
            Err((denial, known)) => return Step::Done(Err(self.refuse(denial, Some(&matched), known, now))),
        };
        let looked = match asked {
            Token::Known(said) => said.map(Looked::Up).map_err(Denial::from),
            Token::Unknown(token) => {
                let sought = Sought { request: &request, route: matched.route(), shown: &shown, token };
                self.look_up(sought, Waited::default(), now)
            }
        };
        match self.proceed(&request, &matched, &shown, looked, now) {
            Proceeded::Done(decision) => Step::Done(decision),
            Proceeded::Ask(callout) => {
                let certificate = shown.certificate;
                Step::Ask(callout, Suspended { request, matched, certificate, signed: None, asked: 1 })
            }
        }
    }

    /// Refuses what can't be read or changed as it must be.
    pub fn refuse_unreadable(&self) -> Decision {
        Err(self.refuse(Ambiguous::Unreadable.into(), None, Known::default(), self.told))
    }

    /// Goes on with a request whose question was settled.
    pub fn resume(&mut self, waiting: Suspended, settled: &Settled, now: UnixTime) -> Step {
        let Suspended { request, matched, certificate, signed, asked } = waiting;
        let found = Presented::find(&request, self.dpop.is_some());
        let (presented, token) = match found.and_then(|presented| Ok((presented, presented.token()?))) {
            Ok(found) => found,
            Err(error) => return Step::Done(Err(self.refuse(error.into(), Some(&matched), Known::default(), now))),
        };
        // Its time may be over by now.
        let proof = match self.proof(&request, presented, None, now) {
            Ok(proof) => proof,
            Err(error) => {
                let known = Known::by(presented);
                return Step::Done(Err(self.refuse(binding::Error::from(error).into(), Some(&matched), known, now)));
            }
        };
        let (signed, nonce) = match settled {
            Settled::Introspection(Ok(Answered::Signed(signed))) => (Some(Rc::clone(signed)), None),
            Settled::Introspection(Ok(Answered::Said { nonce, .. })) => (signed, nonce.clone()),
            Settled::Introspection(Err(_)) | Settled::Metadata(_) | Settled::Keys(_) | Settled::Crowded => {
                (signed, None)
            }
        };
        let shown = Shown { presented, proof, certificate, nonce };
        let sought = Sought { request: &request, route: matched.route(), shown: &shown, token };
        let waited = Waited { settled: Some(settled), signed: signed.as_ref() };
        let looked = match self.look_up(sought, waited, now) {
            Ok(Looked::Ask(callout)) if asked >= MAX_ASKED => {
                self.withdraw(&callout.id);
                Err(unavailable(callout.id.service.question))
            }
            looked => looked,
        };
        match self.proceed(&request, &matched, &shown, looked, now) {
            Proceeded::Done(decision) => Step::Done(decision),
            Proceeded::Ask(callout) => {
                let certificate = shown.certificate;
                let asked = asked.saturating_add(1);
                Step::Ask(callout, Suspended { request, matched, certificate, signed, asked })
            }
        }
    }

    /// Refreshes that are due and that nobody waits for.
    pub fn due(&mut self, now: UnixTime) -> Vec<Callout> {
        self.follow(now);
        let mut due = Vec::new();
        for (discovery, keys) in self.discoveries.iter_mut().zip(&mut self.keys) {
            due.extend(discovery.as_mut().and_then(|discovery| discovery.due(now)));
            // Where they are is not known before.
            let located = discovery.as_ref().is_none_or(|discovery| discovery.endpoints().is_some());
            due.extend(keys.as_mut().filter(|_| located).and_then(|keys| keys.due(now)));
        }
        due
    }

    /// The body of a question as it is sent this once; none where our credentials for it can't be made.
    pub fn body<'a>(&self, id: &'a CalloutId, random: &Random, now: UnixTime) -> Option<Cow<'a, [u8]>> {
        let issuer = self.issuers.get(id.service.issuer.0);
        match (id.service.question, issuer.and_then(|issuer| issuer.introspection.as_ref())) {
            (Question::Introspection, Some(settings)) => settings.client.complete(&id.body, random, now),
            (Question::Metadata | Question::KeySet | Question::Introspection, _) => Some(Cow::Borrowed(&id.body)),
        }
    }

    /// Takes an answer: read once, remembered once.
    pub fn settle(&mut self, id: &CalloutId, answer: Answer, now: UnixTime) -> Settled {
        let at = id.service.issuer.0;
        const UNKNOWN: Settled = Settled::Introspection(Err(Unusable::NoAnswer(NoAnswer::NotSent)));
        if id.service.question == Question::Metadata {
            return self.settle_metadata(id, answer, now).unwrap_or(UNKNOWN);
        }
        let (Some(issuer), Some(keys)) = (self.issuers.get(at), self.keys.get_mut(at)) else { return UNKNOWN };
        match (id.service.question, keys, &issuer.introspection) {
            (Question::KeySet, Some(keys), _) => Settled::Keys(keys.settle(answer, now)),
            (Question::Introspection, _, Some(settings)) => {
                let mut read = settings.read(issuer, id, &answer, now);
                if let (Ok(Answered::Said { of, .. }), Some(by)) = (&mut read, &id.remembered_by) {
                    remember(&mut self.memory, issuer, (of, by), None, now);
                }
                Settled::Introspection(read)
            }
            _ => UNKNOWN,
        }
    }

    /// What an authorization server says of itself is where its keys and its introspection are asked for from now on.
    fn settle_metadata(&mut self, id: &CalloutId, answer: Answer, now: UnixTime) -> Option<Settled> {
        let at = id.service.issuer.0;
        let discovery = self.discoveries.get_mut(at)?.as_mut()?;
        let fetched = discovery.settle(&id.service, answer, now);
        let endpoints = discovery.endpoints().cloned().unwrap_or_default();
        if let (Some(Some(keys)), Some(service)) = (self.keys.get_mut(at), &endpoints.keys) {
            keys.follow(service);
        }
        let settings = self.issuers.get_mut(at).and_then(|issuer| issuer.introspection.as_mut());
        if let (Some(settings), Some(service)) = (settings, endpoints.introspection) {
            settings.service = service;
        }
        Some(Settled::Metadata(fetched))
    }

    /// A clock that is set back must make nothing that was learned younger than it is.
    fn follow(&mut self, now: UnixTime) {
        if now < self.told {
            let by = Duration::from_secs(self.told.seconds().saturating_sub(now.seconds()));
            self.discoveries.iter_mut().flatten().for_each(|discovery| discovery.set_back(by));
            self.keys.iter_mut().flatten().for_each(|keys| keys.set_back(by));
            self.memory.forget_all();
        }
        self.told = now;
    }

    /// Takes back a question that will not be asked.
    fn withdraw(&mut self, id: &CalloutId) {
        let at = id.service.issuer.0;
        if let (Question::KeySet, Some(Some(keys))) = (id.service.question, self.keys.get_mut(at)) {
            keys.withdraw();
        }
        if let (Question::Metadata, Some(Some(discovery))) = (id.service.question, self.discoveries.get_mut(at)) {
            discovery.withdraw(&id.service);
        }
    }
}

enum Entered<'a> {
    Public,
    WithoutToken(Dated),
    Presented(Shown<'a>, Token<'a>),
}

/// The caller's certificate if it is inside its dates, or why it speaks for nobody.
type Dated = Result<Option<PeerCertificate>, binding::Error>;
type Certificate<'a> = Result<Option<&'a PeerCertificate>, binding::Error>;

/// What is known of the credential of a request that is refused.
#[derive(Clone, Copy, Default)]
struct Known<'a> {
    scheme: Option<Scheme>,
    presented: Option<Presented<'a>>,
    verified: Option<&'a Vouched>,
}

impl<'a> Known<'a> {
    fn by(presented: Presented<'a>) -> Self {
        Self { presented: Some(presented), ..Self::of_scheme(presented.scheme()) }
    }

    fn of_scheme(scheme: Scheme) -> Self {
        Self { scheme: Some(scheme), ..Self::default() }
    }
}

type Refused<'a> = (Denial, Known<'a>);

/// What a request shows, before anything is asked.
impl Enforcer {
    fn enter<'a>(
        &mut self,
        request: &'a Request,
        matched: &Matched,
        now: UnixTime,
    ) -> Result<Entered<'a>, Refused<'a>> {
        let plain = |denial: Denial| (denial, Known::default());
        self.refuse_forgeries(request, matched).map_err(|error| plain(error.into()))?;
        if matched.asks_nobody() {
            return Ok(Entered::Public);
        }
        let route = matched.route();
        if request.peer == Peer::Plaintext && !route.allows_plaintext {
            return Err(plain(Ambiguous::Plaintext.into()));
        }
        let presented = self.present(request, route).map_err(|error| plain(error.into()))?;
        let credential = presented.map(|presented| self.read(request, route, presented, now)).transpose()?;
        let known = presented.map_or_else(Known::default, Known::by);
        let certificate = self.certificate(request, now).map_err(|denial| (denial, known))?;
        let (Some(presented), Some((token, proof))) = (presented, credential) else {
            let is_unread = |(name, _): (&[u8], &[u8])| identity::is_unread(route, name);
            return match self.policy.uses_envoy_route() && request.fields().any(is_unread) {
                true => Err(plain(Ambiguous::OwnedHeader.into())),
                false => Ok(Entered::WithoutToken(certificate)),
            };
        };
        let certificate = certificate.map_err(|error| (Denial::from(error), known))?;
        // Nothing can bind here without a certificate, by digest or by name: without one no token is verified, and nobody asked
        // (checklist 4.13).
        if certificate.is_none() && matches!(route.binding, Requirement::Certificate | Requirement::Both) {
            return Err((binding::Error::NoCertificate.into(), known));
        }
        Ok(Entered::Presented(Shown { presented, proof, certificate, nonce: None }, token))
    }

    /// What would have to be removed where nothing can be, on every route.
    fn refuse_forgeries(&mut self, request: &Request, matched: &Matched) -> Result<(), Ambiguous> {
        let fixed = self.policy.uses_envoy_route();
        let route = matched.route();
        let reads_token = route.reads_token() && !matched.is_preflight();
        let relays = if fixed && self.policy.has_relays() { self.relays_of(&request.peer) } else { Vec::new() };
        let is_forged = fixed && self.has_forged(request, route, reads_token, &relays);
        // Where such a request upgrades, Envoy hands `Connection` on, and a proxy behind would take away what it names.
        if is_forged || request.connection().any(|names| self.owned.is_named_in(names)) {
            return Err(Ambiguous::OwnedHeader);
        }
        Ok(())
    }

    /// A credential and the proof beside it.
    fn read<'a>(
        &mut self,
        request: &'a Request,
        route: &Route,
        presented: Presented<'a>,
        now: UnixTime,
    ) -> Result<(Token<'a>, Option<Box<FittingProof<'a>>>), Refused<'a>> {
        let unread = |error: credential::Error| (error.into(), Known::of_scheme(presented.scheme()));
        let token = self.token(route, presented, now).map_err(unread)?;
        let known = match &token {
            Token::Known(Ok(token)) => Some(token),
            Token::Known(Err(_)) | Token::Unknown(_) => None,
        };
        let proof = self.proof(request, presented, known, now);
        Ok((token, proof.map_err(|error| (binding::Error::from(error).into(), Known::by(presented)))?))
    }

    /// The proof beside a token that came by its scheme, if it was made for this request. Whose key it is, and whether it is
    /// signed with that, is seen once the token is known.
    fn proof<'a>(
        &self,
        request: &'a Request,
        presented: Presented<'a>,
        token: Option<&Vouched>,
        now: UnixTime,
    ) -> Result<Option<Box<FittingProof<'a>>>, dpop::Error> {
        let (Scheme::Dpop, Some(settings)) = (presented.scheme(), &self.dpop) else { return Ok(None) };
        let field = match presented.proof() {
            Single::None => return Err(dpop::Error::Missing),
            Single::Several => return Err(dpop::Error::Several),
            Single::One(field) => field,
        };
        let token_digest = token.map_or_else(|| presented.digest(), |token| token.digest(presented));
        let made_for = MadeFor { method: request.method(), target: request.path(), token_digest };
        UnverifiedProof::parse(field, settings, &self.provers)?
            .fit(made_for, settings, now)
            .map(|proof| Some(Box::new(proof)))
    }

    /// What is remembered of a credential, or the token that it is. Who finds it remembered need not look at each of its octets.
    fn token<'a>(
        &mut self,
        route: &Route,
        presented: Presented<'a>,
        now: UnixTime,
    ) -> Result<Token<'a>, credential::Error> {
        let said = presented.octets().and_then(|octets| self.recall(route, octets, now));
        said.map_or_else(|| presented.token().map(Token::Unknown), |said| Ok(Token::Known(said)))
    }

    /// On a route that allows no change of fields, what would have to be removed is refused instead.
    fn has_forged(&self, request: &Request, route: &Route, reads_token: bool, relays: &[RelayId]) -> bool {
        let hides = !reads_token && !route.forwards_unverified_token;
        let is_dpop = |presented: Presented<'_>| presented.scheme() == Scheme::Dpop;
        let proves = self.dpop.is_some() && Presented::find(request, true).is_ok_and(is_dpop);
        let proves_nothing = reads_token && !proves;
        request.fields().any(|(name, value)| {
            (self.owned.holds(name) && !self.is_told_by(relays, request, name))
                || (hides && identity::is_token(name, value))
                || (proves_nothing && identity::is_proof(name))
        })
    }

    /// The token of a request, if its route reads one. A caller may come without where a certificate can speak instead.
    fn present<'a>(&self, request: &'a Request, route: &Route) -> Result<Option<Presented<'a>>, credential::Error> {
        if !route.reads_token() {
            return Ok(None);
        }
        match Presented::find(request, self.dpop.is_some()) {
            Ok(presented) => Ok(Some(presented)),
            Err(credential::Error::Missing | credential::Error::OtherScheme) if !route.needs_token() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// The certificate of a caller: the connection's, or behind a relay the one that it tells of.
impl Enforcer {
    fn certificate(&mut self, request: &Request, now: UnixTime) -> Result<Dated, Denial> {
        let Some(shown) = self.leaves.of(&request.peer)? else { return Ok(Ok(None)) };
        let relays = match self.policy.has_relays().then(|| self.policy.kind_of(&shown)) {
            None | Some(PeerKind::Client) => return Ok(self.dated(shown, now)),
            Some(PeerKind::Relays(relays)) => relays,
            Some(PeerKind::Unknown) => Vec::new(),
        };
        let told = self.told_by(&relays, request, shown.digest)?;
        // A relay whose own certificate has ended speaks for nobody.
        Ok(self.dated(shown, now).and_then(|_| told.map_or(Ok(None), |told| self.dated(told, now))))
    }

    fn dated(&self, certificate: PeerCertificate, now: UnixTime) -> Dated {
        binding::verify_dates(&certificate, self.unchecked_validity, now).map(|()| Some(certificate))
    }

    /// What one proxy says in all its fields, which must not contradict each other (checklist 12.14).
    fn told_by(
        &mut self,
        relays: &[RelayId],
        request: &Request,
        own: CertificateDigest,
    ) -> Result<Option<PeerCertificate>, relay::Error> {
        let mut told: Option<PeerCertificate> = None;
        for id in relays {
            let Some(Relay { header, format, .. }) = self.policy.relay(*id) else { continue };
            let Some(found) = format.find(request, header, own)? else { continue };
            let found = self.readings.certificate(found, Source::Relay(*id))?;
            told = match told {
                Some(other) if other.digest != found.digest => return Err(relay::Error::Disagree),
                Some(other) if other.leaf.is_some() => Some(other),
                _ => Some(found),
            };
        }
        Ok(told)
    }

    fn relays_of(&mut self, peer: &Peer) -> Vec<RelayId> {
        match self.leaves.of(peer).ok().flatten().map(|shown| self.policy.kind_of(&shown)) {
            Some(PeerKind::Relays(relays)) => relays,
            Some(PeerKind::Client | PeerKind::Unknown) | None => Vec::new(),
        }
    }

    /// Whether a field of this name holds nothing but what one of these relays has told.
    fn is_told_by(&self, relays: &[RelayId], request: &Request, name: &[u8]) -> bool {
        let mut relays = relays.iter().filter_map(|id| self.policy.relay(*id));
        relays.any(|relay| relay.writes(name) && relay.is_all_believed(request))
    }
}

/// From a presented token to a decision.
impl Enforcer {
    fn proceed(
        &self,
        request: &Request,
        matched: &Matched,
        shown: &Shown<'_>,
        looked: Result<Looked, Denial>,
        now: UnixTime,
    ) -> Proceeded {
        let is_late = matches!(looked, Ok(Looked::UpLately(_)));
        let confirmed = match looked {
            Ok(Looked::Ask(callout)) => return Proceeded::Ask(callout),
            Ok(Looked::Up(token) | Looked::UpLately(token)) => self.confirm(matched.route(), shown, token, now),
            Ok(Looked::Refused(error, token)) => Err((error.into(), Some(token))),
            Err(denial) => Err((denial, None)),
        };
        let Shown { presented, certificate, .. } = shown;
        let decision = match confirmed {
            Ok(sender) => {
                let certificate = certificate.as_ref();
                let decision = self.decide(request, matched, Ok(certificate), Some(sender), Some(*presented), now);
                if is_late { self.tell_late(decision, *presented) } else { decision }
            }
            Err((denial, token)) => {
                let known = Known { verified: token.as_ref(), ..Known::by(*presented) };
                Err(self.refuse(denial, Some(matched), known, now))
            }
        };
        Proceeded::Done(match &shown.nonce {
            Some(nonce) => relay_nonce(decision, nonce),
            None => decision,
        })
    }

    fn confirm(
        &self,
        route: &Route,
        shown: &Shown<'_>,
        token: Vouched,
        now: UnixTime,
    ) -> Result<ConfirmedSender, (Denial, Option<Vouched>)> {
        let certificate = shown.certificate.as_ref();
        let issuer = self.issuers.get(token.issuer().0).ok_or((TokenError::Issuer.into(), None))?;
        let wanted = route.audiences.as_ref().unwrap_or(&issuer.audiences);
        let good = token.verify_time(issuer, now).and_then(|()| token.verify_audience(wanted));
        good.map_err(|error| (Denial::from(error), Some(Rc::clone(&token))))?;
        if let Some(certificate) = certificate {
            // It may have ended while the request waited.
            let dates = binding::verify_dates(certificate, self.unchecked_validity, now);
            dates.map_err(|error| (Denial::from(error), Some(Rc::clone(&token))))?;
        }
        let of_client = self.policy.client_certificate(&token, certificate);
        let by = shown.proof.as_deref().map_or(By::Bearer, |proof| By::Dpop(proof, &*self.verifier));
        let confirmed = binding::confirm(Rc::clone(&token), certificate, of_client, &by, route.binding);
        confirmed.map_err(|error| (self.told_apart(error, &token, certificate).into(), Some(token)))
    }

    /// A permit by what was said lately says so, unless there is worse to say.
    fn tell_late(&self, decision: Decision, presented: Presented<'_>) -> Decision {
        match decision {
            Ok(Permit::Granted(Told { forward, returns, report })) if report.reason == "granted" => {
                let report = Report { reason: "granted.stale", ..report };
                let report = report.written(self.log.permits, Some(presented));
                Ok(Permit::Granted(Told { forward, returns, report }))
            }
            other => other,
        }
    }

    /// Why another certificate is shown than the one that the token is bound to, as far as that is known here: for operators
    /// alone, and looked up for nobody who passes.
    fn told_apart(
        &self,
        error: binding::Error,
        token: &VerifiedToken,
        shown: Option<&PeerCertificate>,
    ) -> binding::Error {
        let (binding::Error::OtherCertificate, Some(bound), Some(shown)) =
            (error, token.confirmation().certificate, shown)
        else {
            return error;
        };
        let bound = self.leaves.leaf(bound).or_else(|| self.readings.leaf(bound));
        let names_count = self.policy.trust(shown.source).chain_verified;
        let is_resumed = || {
            let asked = names_count && shown.source == Source::Connection;
            asked && self.session.as_ref().is_some_and(|session| session.is_validated() == Some(false))
        };
        binding::mismatch(bound.as_deref(), shown, names_count, is_resumed)
    }
}

/// The nonce of the server that judges proofs goes to the client with whatever becomes of its request (RFC 9449 §8.2, §9).
fn relay_nonce(decision: Decision, nonce: &str) -> Decision {
    match decision {
        Ok(Permit::Granted(told)) => Ok(Permit::Granted(Told { returns: Return::WithNonce(nonce.to_owned()), ..told })),
        Ok(Permit::Public(told)) => Ok(Permit::Public(told)),
        Err(mut refusal) => {
            refusal.reply.hand_out(nonce.to_owned());
            Err(refusal)
        }
    }
}

fn unavailable(question: Question) -> Denial {
    match question {
        Question::Metadata => Unavailable::Metadata.into(),
        Question::KeySet => Unavailable::Keys.into(),
        Question::Introspection => Unavailable::Introspection.into(),
    }
}

/// The two ends.
impl Enforcer {
    fn decide(
        &self,
        request: &Request,
        matched: &Matched,
        certificate: Certificate<'_>,
        sender: Option<ConfirmedSender>,
        presented: Option<Presented<'_>>,
        now: UnixTime,
    ) -> Decision {
        let (sender, shown) = (sender.as_ref(), certificate.unwrap_or(None));
        let decided = self.policy.decide(matched, policy::Caller { sender, certificate: shown, now });
        let told = decided.map_err(|error| match (error, certificate) {
            (policy::Error::NoRule, Err(why)) => Denial::CertificateAlone(why),
            (error, _) => error.into(),
        });
        let told = told.and_then(|()| self.grant(request, matched, shown, sender, presented, now));
        told.map(Permit::Granted).map_err(|denial| {
            let known = presented.map_or_else(Known::default, Known::by);
            self.refuse(denial, Some(matched), Known { verified: sender.map(ConfirmedSender::token), ..known }, now)
        })
    }

    fn grant(
        &self,
        request: &Request,
        matched: &Matched,
        certificate: Option<&PeerCertificate>,
        sender: Option<&ConfirmedSender>,
        presented: Option<Presented<'_>>,
        now: UnixTime,
    ) -> Result<Told, Denial> {
        let route = matched.route();
        let effects = self.effects_of(matched);
        let known = sender.and_then(|sender| Some((sender, self.issuers.get(sender.token().issuer().0)?)));
        let caller = Caller { route, sender: known, certificate, policy: &self.policy };
        let means = sender.map(ConfirmedSender::means);
        let further = caller.told(&effects.filter_state).map_err(|identity::TooLong| Denial::FactTooLong)?;
        let swapped = sender.and_then(|sender| sender.token().swapped());
        // What was presented is for nobody behind, where another token stands for it, and neither is the proof with it.
        let presented_goes = if swapped.is_some() { TokenForward::Strip } else { effects.token };
        let verified = sender.map(|sender| (sender.scheme(), presented_goes));
        let remove = self.removals(request, route, verified, certificate);
        let mut add = caller.told(&effects.headers).map_err(|identity::TooLong| Denial::FactTooLong)?;
        // Nothing is told by an empty value that is not told by none.
        add.retain(|(_, value)| !value.is_empty());
        let swapped = swapped.filter(|_| effects.token == TokenForward::Keep);
        add.extend(swapped.map(|jwt| ("authorization".to_owned(), format!("Bearer {jwt}"))));
        // Last of all: a proof of which anything else is refused may be shown again.
        let remembered = sender.map_or(Ok(true), |sender| self.remember(sender, now))?;
        let reason = match means {
            Some(Means::Bearer) => "granted.unbound",
            _ if !remembered => "granted.unremembered",
            // Only where the operator takes certificates whose dates can't be read.
            _ if certificate.is_some_and(|certificate| certificate.leaf.is_none()) => "granted.unchecked_validity",
            Some(Means::Certificate | Means::Dpop | Means::Both | Means::ClientCertificate) | None => "granted",
        };
        let report = self.report("permit", reason, Some(matched), sender.map(ConfirmedSender::token));
        let report = Report { binding: Some(identity::binding_name(means)), further, ..report };
        let returns = sender.map_or(Return::Untouched, |sender| self.returns(sender, now));
        Ok(Told { forward: Forward { remove, add }, returns, report: report.written(self.log.permits, presented) })
    }

    /// Whether the proof is remembered, where there is one that has to be; it was not shown before. False where there was no place
    /// for it, and the operator admits it all the same.
    fn remember(&self, sender: &ConfirmedSender, now: UnixTime) -> Result<bool, Denial> {
        let (Some(proof), Some(proofs), Some(dpop)) = (sender.proof(), &self.proofs, &self.dpop) else {
            return Ok(true);
        };
        match proofs.remember(proof.seen(), now) {
            Ok(()) => Ok(true),
            Err(replay::Error::Full | replay::Error::FullOfKey) if dpop.replay.admits_when_full => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// A client whose nonce is half used up gets the next one with the answer; one of somebody else never goes back beside it.
    fn returns(&self, sender: &ConfirmedSender, now: UnixTime) -> Return {
        let nonces = self.dpop.as_ref().and_then(|dpop| dpop.nonces.as_ref());
        let (Some(proof), Some(nonces)) = (sender.proof(), nonces) else { return Return::Untouched };
        match proof.nonce_is_worn(now) {
            true => Return::WithNonce(nonces.issue(now)),
            false => Return::WithoutNonce,
        }
    }

    fn pass_public(&self, request: &Request, matched: &Matched) -> Decision {
        let remove = self.removals(request, matched.route(), None, None);
        let reason = if matched.is_preflight() { "preflight" } else { "public" };
        let report = self.report("permit", reason, Some(matched), None).written(self.log.permits, None);
        let forward = Forward { remove, add: Vec::new() };
        Ok(Permit::Public(Told { forward, returns: Return::Untouched, report }))
    }

    /// Where a change of fields would make the proxy choose the route again, after the decision, none is made.
    fn removals(
        &self,
        request: &Request,
        route: &Route,
        verified: Option<(Scheme, TokenForward)>,
        certificate: Option<&PeerCertificate>,
    ) -> Vec<Vec<u8>> {
        if self.policy.uses_envoy_route() {
            return Vec::new();
        }
        let relay = certificate.and_then(|certificate| match certificate.source {
            Source::Connection => None,
            Source::Relay(id) => self.policy.relay(id).filter(|relay| relay.is_all_believed(request)),
        });
        identity::removals(request, route, &self.owned, verified, relay)
    }

    fn refuse(&self, denial: Denial, matched: Option<&Matched>, known: Known<'_>, now: UnixTime) -> Refusal {
        let effects = matched.map_or(&self.without_route, |matched| self.effects_of(matched));
        let nonces = self.dpop.as_ref().and_then(|dpop| dpop.nonces.as_ref());
        let nonce =
            nonces.filter(|_| matches!(denial.code(), Code::Proof | Code::Nonce)).map(|nonces| nonces.issue(now));
        let reply = Reply::render(&denial, effects, known.scheme, nonce);
        let report = self.report("deny", denial.reason(), matched, known.verified);
        Refusal { reply, report: report.written(self.log.denials, known.presented) }
    }

    fn report(
        &self,
        decision: &'static str,
        reason: &'static str,
        matched: Option<&Matched>,
        verified: Option<&Vouched>,
    ) -> Report {
        let issuer = verified.and_then(|token| self.issuers.get(token.issuer().0));
        Report {
            decision,
            reason,
            matched: matched.map(|matched| (matched.id(), matched.shared())),
            issuer: issuer.map(|issuer| Rc::clone(&issuer.name)),
            token: verified.cloned(),
            binding: None,
            further: Vec::new(),
            is_told: decision == "deny" || self.tells_permits,
            line: None,
        }
    }

    fn effects_of(&self, matched: &Matched) -> &effect::Settings {
        self.effects.get(matched.id().0).unwrap_or(&self.without_route)
    }
}

impl Report {
    /// The route that took the request, if one did.
    pub fn route(&self) -> Option<RouteId> {
        self.matched.as_ref().map(|(id, _)| *id)
    }

    /// What is told to the filter state: names behind `wasm.`, each with its value of visible ASCII.
    pub fn told(&self) -> impl Iterator<Item = (&str, &str)> {
        self.always().into_iter().flatten().filter(|_| self.is_told).chain(self.further())
    }

    /// The same, for the log, whether it is told or not.
    pub fn facts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.always().into_iter().flatten().chain(self.further())
    }

    fn always(&self) -> [Option<(&str, &str)>; 7] {
        let token = self.token.as_deref();
        [
            Some(("holdfast.decision", self.decision)),
            Some(("holdfast.reason", self.reason)),
            self.matched.as_ref().map(|(_, route)| ("holdfast.route", route.name.as_str())),
            self.issuer.as_deref().map(|name| ("holdfast.issuer", name)),
            token.and_then(VerifiedToken::told_client_id).map(|client| ("holdfast.client_id", client)),
            token.and_then(VerifiedToken::told_subject).map(|subject| ("holdfast.subject", subject)),
            self.binding.map(|binding| ("holdfast.binding", binding)),
        ]
    }

    fn further(&self) -> impl Iterator<Item = (&str, &str)> {
        self.further.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    fn written(mut self, wanted: bool, presented: Option<Presented<'_>>) -> Self {
        self.line = wanted.then(|| self.as_line(presented));
        self
    }

    /// A token is told by the first eight octets of its SHA-256, to find it in many lines.
    fn as_line(&self, presented: Option<Presented<'_>>) -> String {
        let mut line = String::from("holdfast: {");
        for (name, value) in self.facts() {
            let name = name.strip_prefix(effect::FILTER_STATE).unwrap_or(name);
            line += &format!("{}:{},", Value::from(name), Value::from(value));
        }
        if let Some(presented) = presented {
            line += &format!("\"token_sha256\":\"{:016x}\",", presented.digest_prefix());
        }
        line.pop();
        line + "}"
    }
}

impl Suspended {
    /// Bytes held while it waits.
    pub fn size(&self) -> usize {
        // The token stands there once more in what is asked, and in a form, which makes three octets of one at the most.
        let signed = self.signed.as_ref().map_or(0, |signed| signed.size());
        self.request.size() + signed + 4 * self.request.values(b"authorization").map(<[u8]>::len).sum::<usize>()
    }

    /// The digest of the caller's certificate, by which its callouts are counted.
    pub fn certificate(&self) -> Option<CertificateDigest> {
        self.certificate.as_ref().map(|certificate| certificate.digest)
    }
}
