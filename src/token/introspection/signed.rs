//! An answer that somebody has signed into what its issuer says of the token: a JWT access token in place of another, or an
//! introspection response (RFC 9701 §5).

use core::cell::OnceCell;
use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::callout::Response;
use crate::credential::AccessToken;
use crate::jose::algorithm::Algorithm;
use crate::jose::json::Value;
use crate::jose::jwk::Jwk;
use crate::jose::verifier::Verifier;
use crate::time::UnixTime;
use crate::token::claims::{audiences, claim};
use crate::token::jwt::UnverifiedJwt;
use crate::token::{Error, Issuer, VerifiedToken};

use super::{Answered, Introspected, Settings, Unusable};

/// Well-formed, of its type, by an algorithm that the issuer uses. Nothing in it is believed before [`Signed::verify`].
pub struct Signed {
    text: Rc<str>,
    holds: Holds,
    /// How long it may be kept, where the server has said.
    pub most: Option<Duration>,
    /// When it was given: it counts from then, whenever its key comes.
    pub at: UnixTime,
    said: OnceCell<Result<Introspected, Unusable>>,
}

/// What was signed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    /// The access token itself, which goes on to the upstream.
    AccessToken,
    Introspection,
}

/// What upstreams take in a field, and more.
const LONGEST: usize = 32 * 1024;
/// How old an answer may be, and how far its server's clock ahead (checklist 5.4).
const MAX_AGE: Duration = Duration::from_secs(60);
const CLOCK_SKEW: Duration = Duration::from_secs(10);
const MEDIA_TYPE: &str = "application/token-introspection+jwt";

impl fmt::Debug for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signed(…)")
    }
}

impl Signed {
    pub(super) fn answer(
        text: &str,
        holds: Holds,
        (most, at): (Option<Duration>, UnixTime),
        issuer: &Issuer,
    ) -> Result<Answered, Unusable> {
        if text.len() > LONGEST {
            return Err(Unusable::Body);
        }
        let signed = Self { text: text.into(), holds, most, at, said: OnceCell::new() };
        signed.signer(issuer)?;
        Ok(Answered::Signed(Rc::new(signed)))
    }

    /// A plain answer where a signed one was asked for is none.
    pub(super) fn introspection(response: &Response, issuer: &Issuer, now: UnixTime) -> Result<Answered, Unusable> {
        let text = core::str::from_utf8(&response.body).ok().filter(|_| response.is_of(MEDIA_TYPE));
        Self::answer(text.ok_or(Unusable::Body)?.trim_ascii(), Holds::Introspection, (None, now), issuer)
    }

    /// Bytes that it holds.
    pub fn size(&self) -> usize {
        self.text.len()
    }

    /// What it turned out to say, once somebody has verified it.
    pub fn said(&self) -> Option<&Result<Introspected, Unusable>> {
        self.said.get()
    }

    fn parse(&self) -> Result<UnverifiedJwt<'_>, Unusable> {
        UnverifiedJwt::parse(AccessToken::new(&self.text)).map_err(|_| Unusable::Body)
    }

    /// The key that it names, and its algorithm.
    pub fn signer(&self, issuer: &Issuer) -> Result<(Option<String>, Algorithm), Unusable> {
        let jwt = self.parse()?;
        let algorithm = match self.holds {
            Holds::AccessToken => jwt.algorithm(issuer),
            Holds::Introspection => jwt.algorithm_of(issuer, MEDIA_TYPE),
        };
        Ok((jwt.key_id().map(str::to_owned), algorithm.map_err(Unusable::Signed)?))
    }

    /// Believes what it says if one of `keys` has signed it; once, for all who wait.
    pub fn verify(
        &self,
        verifier: &dyn Verifier,
        (issuer, settings): (&Issuer, &Settings),
        keys: &[&Rc<Jwk>],
        now: UnixTime,
    ) -> &Result<Introspected, Unusable> {
        self.said.get_or_init(|| match self.holds {
            Holds::AccessToken => self.as_access_token(verifier, issuer, keys, now),
            Holds::Introspection => {
                let claims = self.parse()?.signed(verifier, issuer, MEDIA_TYPE, keys).map_err(Unusable::Signed)?;
                settings.read_claims(issuer, introspected(claims, (issuer, settings), now)?, now)
            }
        })
    }

    /// Whoever made the signature, it is the server's fault: the token may be good.
    fn as_access_token(
        &self,
        verifier: &dyn Verifier,
        issuer: &Issuer,
        keys: &[&Rc<Jwk>],
        now: UnixTime,
    ) -> Result<Introspected, Unusable> {
        match self.parse()?.verify(verifier, issuer, keys, now) {
            Ok(token) => Ok(Ok(Rc::new(VerifiedToken { swapped: Some(Rc::clone(&self.text)), ..token }))),
            Err(error @ Error::Signature) => Err(Unusable::Signed(error)),
            Err(error) => Ok(Err(error)),
        }
    }
}

/// What stands under `token_introspection`, of an answer of this issuer to us, made lately.
fn introspected(mut claims: Value, of: (&Issuer, &Settings), now: UnixTime) -> Result<Value, Unusable> {
    let (issuer, settings) = of;
    if claim(&claims, "iss").and_then(Value::as_str) != Some(issuer.identifier.as_str()) {
        return Err(Unusable::Signed(Error::Issuer));
    }
    let told = audiences(claim(&claims, "aud")).map_err(Unusable::Signed)?;
    if !settings.client.client_id().is_some_and(|us| told.iter().any(|audience| audience == us)) {
        return Err(Unusable::Signed(Error::Audience));
    }
    let made = claim(&claims, "iat").and_then(Value::numeric_date).map(UnixTime::new);
    let is_fresh = |made: &UnixTime| *made <= now.plus(CLOCK_SKEW) && made.plus(MAX_AGE) >= now;
    // RFC 7519 §4.1.4, §4.1.5, where it has them.
    let date = |name| claim(&claims, name).map(|date| date.numeric_date().map(UnixTime::new));
    let ended = date("exp").is_some_and(|date| date.is_none_or(|expires| expires.plus(CLOCK_SKEW) <= now));
    let begins = date("nbf").is_some_and(|date| date.is_none_or(|begins| begins > now.plus(CLOCK_SKEW)));
    if ended || begins || !made.as_ref().is_some_and(is_fresh) {
        return Err(Unusable::Signed(Error::Expired));
    }
    match &mut claims {
        Value::Object(members) => members.take("token_introspection").ok_or(Unusable::Body),
        _ => Err(Unusable::Body),
    }
}

/// What of an answer is at fault, in a word.
pub(super) fn fault(error: Error) -> &'static str {
    match error {
        Error::Type => "type",
        Error::Algorithm => "algorithm",
        Error::Critical => "critical header",
        Error::Issuer => "issuer",
        Error::Audience => "audience",
        Error::Expired => "age",
        _ => "signature",
    }
}
