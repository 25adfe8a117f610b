//! Asking the authorization server about a token, and reading what it says (RFC 7662, checklist §4), in the words of each protocol.

use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::callout::{Answer, Callout, CalloutId, NoAnswer, Proven, Response, Service};
use crate::client::{Authentication, form_encode};
use crate::credential::AccessToken;
use crate::facts::peer::PeerCertificate;
use crate::jose::json::{self, Limits, Value};
use crate::time::UnixTime;

use super::claims::claim;
use super::{Error, Evidence, Issuer, Profile, VerifiedToken, Vouched, Voucher};

mod authlete;
mod phantom;
mod signed;
mod split;

pub use authlete::Proof;
pub use signed::Signed;

/// How an issuer is asked about a token.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The endpoint, and what of our credentials stands in a field.
    pub service: Rc<Service>,
    /// Who we are there.
    pub client: Authentication,
    pub protocol: Protocol,
    /// How long an answer is good, and never past `exp`; nothing is remembered at zero.
    pub cache: Duration,
    /// How much longer it is while the server does not answer, and never past `exp`.
    pub stale_if_error: Duration,
    /// `danger_allow_no_exp`: an answer without `exp` is good for five seconds.
    pub without_exp: bool,
}

/// What is spoken with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// A JSON object (RFC 7662).
    Rfc7662,
    /// The same, signed by the issuer for this client (RFC 9701).
    Rfc9701,
    /// The JWT that the opaque token stands for (Curity, Keycloak).
    Phantom,
    /// The token is the signature of a JWT, and a store has all that it signs (Curity).
    Split,
    /// Authlete's own API, which judges certificate and proof too.
    Authlete,
}

/// What a question is about.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub token: AccessToken<'a>,
    /// The caller's.
    pub certificate: Option<&'a PeerCertificate>,
    /// What the route asks of every token.
    pub scopes: &'a [String],
}

/// What the server answered.
#[derive(Debug)]
pub enum Answered {
    /// What it says of the token, and the nonce that it wants in the next proof.
    Said { of: Introspected, nonce: Option<Rc<str>> },
    /// It is signed, and nobody has looked for the key.
    Signed(Rc<Signed>),
}

impl From<Introspected> for Answered {
    fn from(of: Introspected) -> Self {
        Self::Said { of, nonce: None }
    }
}

/// An opaque token is no longer than this.
pub const MAX_OPAQUE: usize = 2 * 1024;

/// What the server says of one token.
pub type Introspected = Result<Vouched, Error>;

/// The server gave no answer that could be used; the token may be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    NoAnswer(NoAnswer),
    /// It refused our own credentials (401, or 400 where they stand in the form), or us altogether (403).
    OurCredentials,
    /// Another status than 200.
    Status(u16),
    /// Not what the protocol has for an answer: a JSON object with a boolean `active`, each member once; a JWT; of its media type.
    Body,
    /// It is signed, and not by its issuer, for us, lately.
    Signed(Error),
}

impl Unusable {
    /// Whether the server is away, rather than there and of another mind.
    pub fn is_away(self) -> bool {
        match self {
            Self::NoAnswer(NoAnswer::NotSent | NoAnswer::Reset) | Self::Status(500..) => true,
            Self::NoAnswer(NoAnswer::TooLarge) | Self::OurCredentials | Self::Status(_) => false,
            Self::Body | Self::Signed(_) => false,
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => why.fmt(f),
            Self::OurCredentials => f.write_str("the server refused our own credentials"),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::Body => f.write_str("the answer is not one of this protocol"),
            Self::Signed(error) => write!(f, "the signed answer is not believed for its {}", signed::fault(*error)),
        }
    }
}

impl Settings {
    /// The question about one token.
    pub fn ask(&self, asking: &Asking<'_>) -> Callout {
        let id = CalloutId::of(Rc::clone(&self.service));
        let remembered_by = Some(self.remembers(asking).into());
        let id = CalloutId { remembered_by, ..id };
        Callout {
            id: match self.protocol {
                // A form, so that nothing of the token stands in a URL.
                Protocol::Rfc7662 | Protocol::Rfc9701 | Protocol::Phantom => {
                    let (token, us) = (form_encode(asking.token.as_str()), self.client.parameters());
                    let body = format!("token={token}&token_type_hint=access_token{us}");
                    CalloutId { body: body.into_bytes().into(), ..id }
                }
                Protocol::Split => CalloutId { path: Some(split::path(&self.service.path, asking.token).into()), ..id },
                Protocol::Authlete => CalloutId { body: authlete::body(asking, None), ..id },
            },
        }
    }

    /// The same with a proof that the server judges: its answer is remembered by nothing.
    pub fn ask_with_proof(&self, asking: &Asking<'_>, proof: &Proof<'_>, proven: Proven) -> Callout {
        let id = CalloutId::of(Rc::clone(&self.service));
        Callout { id: CalloutId { body: authlete::body(asking, Some(proof)), proven: Some(proven), ..id } }
    }

    /// Whether an answer depends on the caller too.
    pub fn judges_callers(&self) -> bool {
        self.protocol == Protocol::Authlete
    }

    /// All that an answer depends on.
    pub fn remembers(&self, asking: &Asking<'_>) -> String {
        match self.judges_callers() {
            true => authlete::remembers(asking),
            false => asking.token.as_str().to_owned(),
        }
    }

    /// Reads an answer once, for all who wait for it.
    pub fn read(&self, issuer: &Issuer, id: &CalloutId, answer: &Answer, now: UnixTime) -> Result<Answered, Unusable> {
        let response = match answer {
            Answer::None(why) => return Err(Unusable::NoAnswer(*why)),
            Answer::Response(response) => response,
        };
        match (response.status, &self.protocol) {
            (200, Protocol::Rfc7662) => self.read_claims(issuer, parse(response)?, now).map(Answered::from),
            (200, Protocol::Rfc9701) => Signed::introspection(response, issuer, now),
            (200, Protocol::Phantom) => phantom::read(response, issuer, now),
            (200, Protocol::Split) => split::read(response, id, issuer, now),
            (200, Protocol::Authlete) => authlete::read(self, issuer, id, parse(response)?, now),
            (204, Protocol::Phantom) | (404, Protocol::Split) => Ok(Answered::from(Err(Error::Inactive))),
            (401 | 403, _) => Err(Unusable::OurCredentials),
            (400, _) if refuses_us(response) => Err(Unusable::OurCredentials),
            (status, _) => Err(Unusable::Status(status)),
        }
    }

    /// Reads what RFC 7662 §2.2 has for an answer.
    fn read_claims(&self, issuer: &Issuer, claims: Value, now: UnixTime) -> Result<Introspected, Unusable> {
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

/// A JSON object. Where an answer does not say what it is, it is looked at all the same.
fn parse(response: &Response) -> Result<Value, Unusable> {
    if !response.content_type.is_empty() && !response.is_of("application/json") {
        return Err(Unusable::Body);
    }
    json::parse(&response.body, Limits::TOKEN).map_err(|_| Unusable::Body)
}

/// RFC 6749 §5.2: `invalid_client` may come with 400 where the client did not authenticate by a field.
fn refuses_us(response: &Response) -> bool {
    let said = parse(response).ok();
    let error = said.as_ref().and_then(|said| claim(said, "error")).and_then(Value::as_str);
    error == Some("invalid_client")
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
