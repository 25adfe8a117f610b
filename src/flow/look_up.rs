//! From a presented token to what its issuer says of it: by its key, at its endpoint, or by both.
//!
//! Each function answers or hands back the question to ask first; the journey comes again with what it has waited for.

use core::time::Duration;
use std::rc::Rc;

use crate::binding::{self, dpop};
use crate::callout::{Callout, IssuerId, Proven};
use crate::credential::AccessToken;
use crate::denial::{Denial, Unavailable};
use crate::discovery::{Discovery, Located};
use crate::facts::{Request, Single};
use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::{Candidates, Jwk};
use crate::keys::Found;
use crate::policy;
use crate::policy::route::{Revocation, Route};
use crate::time::UnixTime;
use crate::token::introspection::{self, Answered, Asking, Introspected, MAX_OPAQUE, Signed, Unusable};
use crate::token::jwt::{Form, UnverifiedJwt};
use crate::token::memory::{Asked, Memory};
use crate::token::{Error as TokenError, Issuer, VerifiedToken, Vouched};

use super::{Enforcer, Settled, Shown};

/// What a token turned out to be, or the question to ask first.
pub(super) enum Looked {
    Up(Vouched),
    /// By what was said of it lately, for its server is away (`stale_if_error`).
    UpLately(Vouched),
    /// A key made its signature, and yet it is not believed here.
    Refused(TokenError, Vouched),
    Ask(Callout),
}

/// So many keys of one `kid` are tried, in the order of their set: anybody can have them tried, and sixty would take the worker for
/// some hundred milliseconds. The last, this one and the next are three. One of 8192 bits may take 5 ms by itself, so among such one is
/// tried.
const MOST_TRIED: usize = 3;

/// A token that is looked up, and what it came with.
#[derive(Clone, Copy)]
pub(super) struct Sought<'a> {
    pub(super) request: &'a Request,
    pub(super) route: &'a Route,
    pub(super) shown: &'a Shown<'a>,
    pub(super) token: AccessToken<'a>,
}

/// What a request has waited for.
#[derive(Clone, Copy, Default)]
pub(super) struct Waited<'a> {
    pub(super) settled: Option<&'a Settled>,
    pub(super) signed: Option<&'a Rc<Signed>>,
}

impl<'a> Sought<'a> {
    fn asking(&self) -> Asking<'a> {
        let Self { route, shown, token, .. } = *self;
        Asking { token, certificate: shown.certificate.as_ref(), scopes: &route.scopes }
    }
}

impl Waited<'_> {
    /// Keys have just been fetched for it.
    fn has_keys(&self) -> bool {
        matches!(self.settled, Some(Settled::Keys(_)))
    }
}

/// From a presented token to what its issuer says of it.
impl Enforcer {
    /// What is remembered of a token, as far as this route takes the word of who said it: of a key that its issuer still has,
    /// or of the endpoint that it would be sent to.
    pub(super) fn recall(&mut self, route: &Route, token: &[u8], now: UnixTime) -> Option<Introspected> {
        let verifies = self.verifies(route);
        let asked = match route.revocation {
            Revocation::None => Asked::Signature,
            Revocation::Introspection => Asked::Both,
        };
        if verifies && let Some(Ok(vouched)) = self.memory.recall(asked, token, now) {
            let vouched = Rc::clone(vouched);
            return (route.issuers.contains(&vouched.issuer()) && self.is_held(&vouched, now)).then_some(Ok(vouched));
        }
        // What depends on the caller too is looked up once the caller is known.
        let asks = |issuer: &IssuerId| self.introspection(*issuer).is_some_and(|settings| !settings.judges_callers());
        let said = self.recall_said(Asked::Endpoint(route.introspects.filter(asks)?), token, now)?;
        let is_opaque =
            || core::str::from_utf8(token).is_ok_and(|token| Form::of(AccessToken::new(token)) == Form::Opaque);
        (!verifies || is_opaque()).then_some(said)
    }

    fn introspection(&self, issuer: IssuerId) -> Option<&introspection::Settings> {
        self.issuers.get(issuer.0)?.introspection.as_ref()
    }

    /// What was said of a token; where a key has a part in that, as long as its issuer still has the key.
    fn recall_said(&mut self, asked: Asked, by: &[u8], now: UnixTime) -> Option<Introspected> {
        let said = self.memory.recall(asked, by, now)?.clone();
        let counts = said.as_ref().map_or(true, |vouched| self.may_count(vouched, now));
        counts.then_some(said)
    }

    /// What was said of it lately, for the time in which its server is away.
    fn recall_lately(&mut self, asked: Asked, by: &[u8], now: UnixTime) -> Option<Vouched> {
        let said = self.memory.recall_stale(asked, by, now)?.clone().ok()?;
        self.may_count(&said, now).then_some(said)
    }

    fn may_count(&mut self, vouched: &VerifiedToken, now: UnixTime) -> bool {
        vouched.evidence().by.key().is_none() || self.is_held(vouched, now)
    }

    /// Whether the issuer still has the key that made the signature of this token.
    fn is_held(&mut self, vouched: &VerifiedToken, now: UnixTime) -> bool {
        let keys = self.keys.get_mut(vouched.issuer().0).and_then(Option::as_mut);
        let (Some(keys), Some(key)) = (keys, vouched.evidence().by.key()) else { return false };
        keys.vouches(key, now)
    }

    /// Whether the route takes JWTs by the keys of their issuers.
    fn verifies(&self, route: &Route) -> bool {
        route.issuers.iter().any(|id| self.issuers.get(id.0).is_some_and(|issuer| issuer.keys.is_some()))
    }

    pub(super) fn look_up(&mut self, sought: Sought<'_>, waited: Waited<'_>, now: UnixTime) -> Result<Looked, Denial> {
        if let Some(Settled::Crowded) = waited.settled {
            return Err(Unavailable::Crowded.into());
        }
        let Sought { route, token, .. } = sought;
        let verifies = self.verifies(route);
        match (Form::of(token), route.introspects) {
            (Form::Jwt, _) if verifies => self.look_up_jwt(sought, waited, now),
            (Form::Encrypted, _) if verifies => Err(TokenError::Format.into()),
            (_, Some(issuer)) => self.introspect(issuer, sought, waited, now),
            (_, None) => Err(TokenError::Format.into()),
        }
    }

    /// By the key of its issuer, and then by its endpoint where the route wants that too (checklist C31 to C37).
    fn look_up_jwt(&mut self, sought: Sought<'_>, waited: Waited<'_>, now: UnixTime) -> Result<Looked, Denial> {
        let Sought { route, token, .. } = sought;
        if route.revocation == Revocation::None {
            return self.verify(sought, waited, now);
        }
        let signed = match self.recall_signed(route, token, now) {
            Some(signed) => signed,
            None => match self.verify(sought, waited, now)? {
                Looked::Up(vouched) if vouched.evidence().by.key().is_some() => vouched,
                looked => return Ok(looked),
            },
        };
        self.ask_about(sought, signed, waited, now)
    }

    /// A JWT whose signature was verified before, by a key that still is its issuer's.
    fn recall_signed(&mut self, route: &Route, token: AccessToken<'_>, now: UnixTime) -> Option<Vouched> {
        let signed = self.memory.recall(Asked::Signature, token.as_str().as_bytes(), now)?.clone().ok()?;
        (route.issuers.contains(&signed.issuer()) && self.is_held(&signed, now)).then_some(signed)
    }

    /// What the endpoint of its issuer says of a token that a key has vouched for.
    fn ask_about(
        &mut self,
        sought: Sought<'_>,
        signed: Vouched,
        waited: Waited<'_>,
        now: UnixTime,
    ) -> Result<Looked, Denial> {
        let Sought { route, token, .. } = sought;
        let issuer = self.issuers.get(signed.issuer().0).ok_or(TokenError::Issuer)?;
        let wanted = route.audiences.as_ref().unwrap_or(&issuer.audiences);
        // Nobody is asked about one that is good for nothing here.
        if let Err(error) = signed.verify_time(issuer, now).and_then(|()| signed.verify_audience(wanted)) {
            return Ok(Looked::Refused(error, signed));
        }
        let id = issuer.id;
        let said = match self.recall_said(Asked::Both, token.as_str().as_bytes(), now) {
            Some(said) => said,
            None => match self.hear(id, Asked::Both, sought, waited, now)? {
                Heard::Said(said) => self.agree(&signed, said, token, now),
                other => return other.looked(),
            },
        };
        Ok(match said {
            Ok(both) => Looked::Up(both),
            // It was asked about a token of its own.
            Err(TokenError::Issuer) => Looked::Refused(TokenError::Disagreement, signed),
            Err(error) => Looked::Refused(error, signed),
        })
    }

    /// What both vouch for, which is remembered from now on.
    fn agree(&mut self, signed: &Vouched, said: Introspected, token: AccessToken<'_>, now: UnixTime) -> Introspected {
        let both = signed.agree(&*said?).map(Rc::new);
        match self.issuers.get(signed.issuer().0).and_then(|issuer| issuer.introspection.as_ref()) {
            Some(settings) => self.memory.remember_both(token.as_str(), both, settings, now),
            None => both,
        }
    }

    fn verify(&mut self, sought: Sought<'_>, waited: Waited<'_>, now: UnixTime) -> Result<Looked, Denial> {
        let Sought { route, token, .. } = sought;
        let jwt = UnverifiedJwt::parse(token)?;
        let named = route.issuers.iter().filter_map(|id| self.issuers.get(id.0));
        let issuer = named
            .into_iter()
            .find(|issuer| jwt.issuer() == Some(issuer.identifier.as_str()))
            .ok_or(TokenError::Issuer)?;
        let id = issuer.id;
        if issuer.keys.is_none() {
            return self.introspect(id, sought, waited, now);
        }
        let algorithm = jwt.algorithm(issuer)?;
        let tells_keys = issuer.discovery.as_ref().is_some_and(|discovery| discovery.keys.is_some());
        if tells_keys && let Some(callout) = locate(&mut self.discoveries, issuer.id, now)? {
            return Ok(Looked::Ask(callout));
        }
        let signers = match self.signers(id, jwt.key_id(), algorithm, waited.has_keys(), now)? {
            Signers::Held(keys) => keys,
            Signers::Ask(callout) => return Ok(Looked::Ask(callout)),
        };
        let candidates: Vec<&Rc<Jwk>> = signers.iter().collect();
        let issuer = self.issuers.get(id.0).ok_or(TokenError::Issuer)?;
        let mut vouched = Rc::new(jwt.verify(&*self.verifier, issuer, &candidates, now)?);
        self.memory.share(&mut vouched);
        let until = vouched.good_until(issuer);
        let wanted = route.audiences.as_ref().unwrap_or(&issuer.audiences);
        // One that is good for nothing here takes the place of none that is.
        if until <= now || vouched.verify_audience(wanted).is_err() {
            self.memory.remember_over(Asked::Signature, token.as_str(), Rc::clone(&vouched), now);
        } else {
            self.memory.remember_good(Asked::Signature, token.as_str(), Rc::clone(&vouched), (until, until), now);
        }
        Ok(Looked::Up(vouched))
    }

    /// The keys of an issuer that may have made a signature.
    fn signers(
        &mut self,
        issuer: IssuerId,
        kid: Option<&str>,
        algorithm: Algorithm,
        asked: bool,
        now: UnixTime,
    ) -> Result<Signers, Denial> {
        let own = self.issuers.get(issuer.0).ok_or(TokenError::Issuer)?;
        let keys = self.keys.get_mut(issuer.0).and_then(Option::as_mut).ok_or(TokenError::Key)?;
        let set = match keys.find(kid, algorithm, asked, now) {
            Found::Set(set) => set,
            Found::Ask(callout) => return Ok(Signers::Ask(callout)),
            Found::NoSuchKey => return Err(TokenError::Key.into()),
            Found::Unavailable => return Err(Unavailable::Keys.into()),
        };
        let mut candidates: Vec<&Rc<Jwk>> = match set.candidates(kid, algorithm) {
            Candidates::Keys(keys) => keys,
            Candidates::UnknownKid | Candidates::NoneFits | Candidates::Ambiguous => return Err(TokenError::Key.into()),
        };
        candidates.retain(|key| is_for(key, algorithm, &own.algorithms));
        let are_usual = candidates.iter().all(|key| key.key.is_of_usual_size());
        candidates.truncate(if are_usual { MOST_TRIED } else { 1 });
        match candidates.is_empty() {
            true => Err(TokenError::Key.into()),
            false => Ok(Signers::Held(candidates.into_iter().cloned().collect())),
        }
    }

    fn introspect(
        &mut self,
        issuer: IssuerId,
        sought: Sought<'_>,
        waited: Waited<'_>,
        now: UnixTime,
    ) -> Result<Looked, Denial> {
        let (token, route) = (sought.token, sought.route);
        if Form::of(token) == Form::Opaque && token.as_str().len() > MAX_OPAQUE {
            return Err(TokenError::Format.into());
        }
        let asking = sought.asking();
        let by = self.introspection(issuer).ok_or(TokenError::Format)?.remembers(&asking);
        let remembered = match waited.settled {
            Some(Settled::Introspection(_)) => None,
            _ => self.recall_said(Asked::Endpoint(issuer), by.as_bytes(), now),
        };
        let heard = match remembered {
            Some(said) => Heard::Said(said),
            None => self.hear(issuer, Asked::Endpoint(issuer), sought, waited, now)?,
        };
        match heard {
            Heard::Said(Err(TokenError::ProofWanted)) => self.show_proof(issuer, sought, &asking),
            Heard::Said(Err(TokenError::Scope)) => Err(policy::Error::Scope { needed: route.scopes.clone() }.into()),
            heard => heard.looked(),
        }
    }

    /// What an endpoint says of a token, if it was asked and answered; the question, if it was not.
    fn hear(
        &mut self,
        id: IssuerId,
        asked: Asked,
        sought: Sought<'_>,
        waited: Waited<'_>,
        now: UnixTime,
    ) -> Result<Heard, Denial> {
        if let Some(signed) = waited.signed {
            return self.believe(id, sought.token, signed, waited.has_keys(), now);
        }
        let settings = self.issuers.get(id.0).and_then(|issuer| issuer.introspection.as_ref());
        let (settings, asking) = (settings.ok_or(TokenError::Format)?, sought.asking());
        let away = match waited.settled {
            Some(Settled::Introspection(Ok(Answered::Said { of, .. }))) => return Ok(Heard::Said(of.clone())),
            Some(Settled::Introspection(Err(unusable))) if unusable.is_away() => Unavailable::from(*unusable),
            Some(Settled::Introspection(Err(unusable))) => return Err(Unavailable::from(*unusable).into()),
            _ => match locate(&mut self.discoveries, id, now) {
                Ok(callout) => return Ok(Heard::Ask(callout.unwrap_or_else(|| settings.ask(&asking)))),
                Err(unknown) if self.is_away(id) => unknown,
                Err(unknown) => return Err(unknown.into()),
            },
        };
        let by = settings.remembers(&asking);
        Ok(Heard::Lately(self.recall_lately(asked, by.as_bytes(), now).ok_or(away)?))
    }

    /// Whether an issuer that does not say where it is asked is away, rather than there and of two minds.
    fn is_away(&self, issuer: IssuerId) -> bool {
        self.discoveries.get(issuer.0).and_then(Option::as_ref).is_some_and(Discovery::is_away)
    }

    /// The token is bound to a key, which only the server knows: it is asked once more, and shown the proof.
    fn show_proof(&mut self, issuer: IssuerId, sought: Sought<'_>, asking: &Asking<'_>) -> Result<Looked, Denial> {
        let Sought { request, shown, .. } = sought;
        let (Some(proof), Single::One(field)) = (&shown.proof, shown.presented.proof()) else {
            return Err(binding::Error::BearerDowngrade.into());
        };
        let prover = proof.prover().map_err(binding::Error::from)?;
        self.sent_proofs = self.sent_proofs.wrapping_add(1);
        let proven = Proven { key: prover.thumbprint.0, number: self.sent_proofs };
        let (Ok(field), Ok(method)) = (core::str::from_utf8(field), core::str::from_utf8(request.method())) else {
            return Err(binding::Error::from(dpop::Error::Malformed).into());
        };
        let sent = introspection::Proof { field, method, htu: proof.htu() };
        let settings = self.introspection(issuer).ok_or(TokenError::Format)?;
        Ok(Looked::Ask(settings.ask_with_proof(asking, &sent, proven)))
    }

    /// What somebody has signed about a token, once it is known whose signature that is.
    fn believe(
        &mut self,
        id: IssuerId,
        token: AccessToken<'_>,
        signed: &Signed,
        asked: bool,
        now: UnixTime,
    ) -> Result<Heard, Denial> {
        if let Some(said) = signed.said() {
            return Ok(Heard::Said(said.clone().map_err(Unavailable::from)?));
        }
        let issuer = self.issuers.get(id.0).ok_or(TokenError::Issuer)?;
        let (kid, algorithm) = signed.signer(issuer).map_err(Unavailable::from)?;
        let signers = match self.signers(id, kid.as_deref(), algorithm, asked, now) {
            Ok(Signers::Held(keys)) => keys,
            Ok(Signers::Ask(callout)) => return Ok(Heard::Ask(callout)),
            // Signed by somebody else.
            Err(Denial::Token(_)) => Vec::new(),
            Err(denial) => return Err(denial),
        };
        let issuer = self.issuers.get(id.0).ok_or(TokenError::Issuer)?;
        let settings = issuer.introspection.as_ref().ok_or(TokenError::Format)?;
        let signers: Vec<&Rc<Jwk>> = signers.iter().collect();
        let said = signed.verify(&*self.verifier, (issuer, settings), &signers, now);
        if let Err(unusable) = said {
            self.found_wrong.push((id, *unusable));
        }
        let mut said = said.clone().map_err(Unavailable::from)?;
        remember(&mut self.memory, issuer, (&mut said, token.as_str()), signed.most, signed.at);
        Ok(Heard::Said(said))
    }
}

/// What an endpoint says, or what there is for want of that.
enum Heard {
    Said(Introspected),
    /// The endpoint is away, and has said so lately.
    Lately(Vouched),
    Ask(Callout),
}

impl Heard {
    fn looked(self) -> Result<Looked, Denial> {
        Ok(match self {
            Self::Said(said) => Looked::Up(said?),
            Self::Lately(vouched) => Looked::UpLately(vouched),
            Self::Ask(callout) => Looked::Ask(callout),
        })
    }
}

/// What is remembered of an answer about this token: where its issuer has keys, a JWT is asked about only once one of them
/// has vouched for it.
fn asked_about(issuer: &Issuer, settings: &introspection::Settings, by: &str) -> Asked {
    match Form::of(AccessToken::new(by)) {
        Form::Jwt if issuer.keys.is_some() && !settings.judges_callers() => Asked::Both,
        Form::Jwt | Form::Encrypted | Form::Opaque => Asked::Endpoint(issuer.id),
    }
}

/// The question that comes before any other of an issuer that says itself where it is asked.
fn locate(
    discoveries: &mut [Option<Discovery>],
    issuer: IssuerId,
    now: UnixTime,
) -> Result<Option<Callout>, Unavailable> {
    match discoveries.get_mut(issuer.0).and_then(Option::as_mut).map(|discovery| discovery.locate(now)) {
        Some(Located::Ask(callout)) => Ok(Some(callout)),
        Some(Located::Unavailable) => Err(Unavailable::Metadata),
        Some(Located::Known) | None => Ok(None),
    }
}

/// The keys that may have made a signature, or the question to ask first.
enum Signers {
    Held(Vec<Rc<Jwk>>),
    Ask(Callout),
}

/// Each key is for one algorithm (RFC 8725 §3.1): the one that it names, or else the first of the issuer's that fits it.
fn is_for(key: &Jwk, algorithm: Algorithm, of_issuer: &[Algorithm]) -> bool {
    key.algorithm.is_some() || of_issuer.iter().find(|own| key.key.fits(**own)) == Some(&algorithm)
}

impl From<Unusable> for Unavailable {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::OurCredentials => Self::OurCredentials,
            _ if unusable.is_away() => Self::Introspection,
            Unusable::NoAnswer(_) | Unusable::Status(_) | Unusable::Body | Unusable::Signed(_) => Self::UnusableAnswer,
        }
    }
}

/// Remembers what was said of a token, for `most` where the server has said so.
pub(super) fn remember(
    memory: &mut Memory,
    issuer: &Issuer,
    (said, by): (&mut Introspected, &str),
    most: Option<Duration>,
    now: UnixTime,
) {
    let Some(settings) = &issuer.introspection else { return };
    let asked = asked_about(issuer, settings, by);
    match said {
        // Each who waits puts it together with the signature, and remembers both.
        Ok(_) if asked == Asked::Both => {}
        Ok(vouched) => {
            memory.share(vouched);
            let until = |time: UnixTime| most.map_or(time, |most| time.min(now.plus(most)));
            let good = until(settings.good_until(vouched, now));
            let stale = if most.is_some() { good } else { settings.stale_until(vouched, now) };
            memory.remember_good(asked, by, Rc::clone(vouched), (good, stale), now);
        }
        // In a moment it may be good.
        Err(TokenError::NotYetValid) => {}
        Err(error) => memory.remember_bad(asked, by, *error, settings.cache, now),
    }
}
