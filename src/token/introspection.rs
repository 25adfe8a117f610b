//! Asking the authorization server about a token, and reading what it says (RFC 7662, checklist §4).

use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::callout::{Answer, Callout, CalloutId, NoAnswer, Response, Service};
use crate::client::form_encode;
use crate::credential::AccessToken;
use crate::jose::json::{self, Limits, Value};
use crate::time::UnixTime;

use super::claims::claim;
use super::{Error, Evidence, Issuer, Profile, VerifiedToken, Vouched, Voucher};

/// How an issuer is asked about a token.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Endpoint and credential.
    pub service: Rc<Service>,
    /// How long an answer is good, and never past `exp`; nothing is remembered at zero.
    pub cache: Duration,
    /// How much longer it is while the server does not answer, and never past `exp`.
    pub stale_if_error: Duration,
    /// `danger_allow_no_exp`: an answer without `exp` is good for five seconds.
    pub without_exp: bool,
}

/// An opaque token is no longer than this.
pub const MAX_OPAQUE: usize = 2 * 1024;

/// What the server says of one token.
pub type Introspected = Result<Vouched, Error>;

/// The server gave no answer that could be used; the token may be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    NoAnswer(NoAnswer),
    /// It refused our own credentials (401), or us altogether (403).
    OurCredentials,
    /// Another status than 200.
    Status(u16),
    /// Not a JSON object with a boolean `active`, each member once.
    Body,
}

impl Unusable {
    /// Whether the server is away, rather than there and of another mind.
    pub fn is_away(self) -> bool {
        match self {
            Self::NoAnswer(NoAnswer::NotSent | NoAnswer::Reset) | Self::Status(500..) => true,
            Self::NoAnswer(NoAnswer::TooLarge) | Self::OurCredentials | Self::Status(_) | Self::Body => false,
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => why.fmt(f),
            Self::OurCredentials => f.write_str("the server refused our own credentials"),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Body => f.write_str("the answer is not a JSON object with a boolean `active`"),
        }
    }
}

impl Settings {
    /// The question about one token: a form, so that nothing of it stands in a URL.
    pub fn ask(&self, token: AccessToken<'_>) -> Callout {
        let body = format!("token={}&token_type_hint=access_token", form_encode(token.as_str()));
        let token = Some(token.as_str().into());
        Callout { id: CalloutId { service: Rc::clone(&self.service), body: body.into_bytes().into(), token } }
    }

    /// Reads an answer once, for all who wait for it.
    pub fn read(&self, issuer: &Issuer, answer: &Answer, now: UnixTime) -> Result<Introspected, Unusable> {
        let claims = match answer {
            Answer::None(why) => return Err(Unusable::NoAnswer(*why)),
            Answer::Response(response @ Response { status: 200, body, .. }) if is_json(response) => {
                json::parse(body, Limits::TOKEN).map_err(|_| Unusable::Body)?
            }
            Answer::Response(Response { status: 200, .. }) => return Err(Unusable::Body),
            Answer::Response(Response { status: 401 | 403, .. }) => return Err(Unusable::OurCredentials),
            Answer::Response(Response { status, .. }) => return Err(Unusable::Status(*status)),
        };
        match claim(&claims, "active").and_then(Value::as_bool) {
            None => Err(Unusable::Body),
            Some(false) => Ok(Err(Error::Inactive)),
            Some(true) => Ok(self.read_active(issuer, claims, now).map(Rc::new)),
        }
    }

    fn read_active(&self, issuer: &Issuer, claims: Value, now: UnixTime) -> Result<VerifiedToken, Error> {
        match claim(&claims, "iss") {
            None => {}
            Some(found) if found.as_str() == Some(issuer.identifier.as_str()) => {}
            Some(_) => return Err(Error::Issuer),
        }
        let kind = token_type(&claims)?;
        let evidence = Evidence { by: Voucher::Endpoint(Rc::clone(&self.service)), at: now };
        let mut token = VerifiedToken::read(issuer, claims, evidence)?;
        // Without `token_type` it might be a refresh token: the hint in our question is only a hint.
        token.told_by_audience = kind.is_none();
        token.verify_time(issuer, now)?;
        if token.expires().is_none() && !self.without_exp {
            return Err(Error::ClaimMissing("exp"));
        }
        let dpop_bound = token.confirmation().key.is_some();
        // Keycloak calls a token DPoP that it has bound to the certificate alone, where a client asks for both: `cnf` decides.
        let misnamed = issuer.profile == Profile::Legacy && token.confirmation().certificate.is_some();
        match kind {
            Some(TokenType::Dpop) if !dpop_bound && !misnamed => return Err(Error::Type),
            Some(TokenType::Bearer) if dpop_bound => return Err(Error::Type),
            _ => {}
        }
        token.keep(&issuer.kept);
        Ok(token)
    }

    /// How long an answer serves: as told by configuration, and never past `exp` (RFC 7662 §4).
    pub fn good_until(&self, token: &VerifiedToken, now: UnixTime) -> UnixTime {
        match token.expires() {
            Some(expires) => now.plus(self.cache).min(expires),
            None => now.plus(self.cache.min(WITHOUT_EXP)),
        }
    }

    /// How long it serves while the server does not answer.
    pub fn stale_until(&self, token: &VerifiedToken, now: UnixTime) -> UnixTime {
        let good = self.good_until(token, now);
        token.expires().map_or(good, |expires| good.plus(self.stale_if_error).min(expires))
    }
}

/// Where it does not say what it is, it is looked at all the same.
fn is_json(response: &Response) -> bool {
    response.content_type.is_empty() || response.is_of("application/json")
}

const WITHOUT_EXP: Duration = Duration::from_secs(5);

#[derive(Clone, Copy, PartialEq, Eq)]
enum TokenType {
    Bearer,
    Dpop,
}

fn token_type(claims: &Value) -> Result<Option<TokenType>, Error> {
    let Some(found) = claim(claims, "token_type") else { return Ok(None) };
    match found.as_str() {
        Some(name) if name.eq_ignore_ascii_case("bearer") => Ok(Some(TokenType::Bearer)),
        Some(name) if name.eq_ignore_ascii_case("dpop") => Ok(Some(TokenType::Dpop)),
        _ => Err(Error::Type),
    }
}
