//! A presented token into one whose issuer vouches for it: by signature (`jwt`) or by introspection.

use core::cell::OnceCell;
use core::fmt;
use core::time::Duration;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::callout::{IssuerId, Service};
use crate::credential::Presented;
use crate::discovery;
use crate::jose::algorithm::Algorithm;
use crate::jose::json::{Pointer, Value};
use crate::jose::jwk::Jwk;
use crate::keys;
use crate::time::UnixTime;

pub mod agreement;
pub mod claims;
pub mod confirmation;
pub mod introspection;
pub mod jwt;
pub mod memory;

pub use confirmation::Confirmation;

/// An authorization server whose tokens some route takes, as the operator describes it.
#[derive(Debug)]
pub struct Issuer {
    pub id: IssuerId,
    /// Equals `iss`, octet by octet (RFC 9068 §4).
    pub identifier: String,
    /// What routes, logs and metrics call it.
    pub name: Rc<str>,
    /// One of them must stand in `aud`; a route may ask for others.
    pub audiences: Audiences,
    pub algorithms: Vec<Algorithm>,
    pub profile: Profile,
    /// How far `exp` and `nbf` may be off.
    pub leeway: Duration,
    /// `exp` minus `iat` at most.
    pub max_token_lifetime: Duration,
    pub places: Places,
    /// The claims that are looked at again once a token is verified; no others are kept.
    pub kept: Rc<Kept>,
    /// Keys for JWTs. Without them every token goes to introspection.
    pub keys: Option<keys::Settings>,
    pub introspection: Option<introspection::Settings>,
    /// Where it says itself where keys and introspection are.
    pub discovery: Option<discovery::Settings>,
}

/// Who a token has to be meant for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audiences {
    /// `danger_any_audience`: the server writes no `aud`.
    Any,
    OneOf(Vec<String>),
}

/// Which JWTs are access tokens of this issuer (checklist 2-T).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// `typ` is `at+jwt`, all claims of RFC 9068 §2.2 are there.
    Rfc9068,
    /// `typ` is `JWT` or absent; what tells it from an ID token is asked for instead.
    Legacy,
}

/// Where this issuer writes what everybody needs.
#[derive(Clone, Debug)]
pub struct Places {
    pub client_id: Pointer,
    pub scope: Pointer,
    pub scope_format: ScopeFormat,
    pub roles: Vec<Pointer>,
    /// The roles that this issuer may assert; all where none are listed.
    pub only: Option<Vec<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopeFormat {
    /// Separated by spaces (RFC 8693 §4.2).
    String,
    Array,
}

/// Names of claims at the top.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Kept(BTreeSet<String>);

impl fmt::Debug for Kept {
    /// They follow from the rest of a configuration, and more of them change nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept(…)")
    }
}

/// By what a token was vouched for, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    pub by: Voucher,
    pub at: UnixTime,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Voucher {
    /// A key of its issuer's set made its signature.
    Key(Rc<Jwk>),
    /// This endpoint said that it is active.
    Endpoint(Rc<Service>),
    /// The one, and then the other.
    Both(Rc<Jwk>, Rc<Service>),
}

impl Voucher {
    /// The key that made the signature, where that was verified.
    pub fn key(&self) -> Option<&Rc<Jwk>> {
        match self {
            Self::Key(key) | Self::Both(key, _) => Some(key),
            Self::Endpoint(_) => None,
        }
    }
}

/// A token that its issuer vouches for. Facts, never a verdict: time, audience and binding are judged on every use.
pub struct VerifiedToken {
    issuer: IssuerId,
    evidence: Evidence,
    claims: Value,
    confirmation: Confirmation,
    client_id: Option<Name>,
    subject: Option<Name>,
    scopes: Option<Rc<[String]>>,
    roles: Rc<[String]>,
    tells: Told,
    audiences: Rc<[String]>,
    /// Nothing but its audience tells that it is an access token (checklist 4.7).
    told_by_audience: bool,
    /// How the user logged in.
    acr: Option<Box<str>>,
    /// `auth_time`, when the user last logged in.
    authenticated: Option<UnixTime>,
    /// Whether somebody acts for the subject.
    has_actor: bool,
    not_before: Option<UnixTime>,
    expires: Option<UnixTime>,
    /// SHA-256 of the token as it is presented, once a proof was made for it.
    digest: OnceCell<Box<[u8; 32]>>,
    /// The JWT that it stands for, where that is another.
    swapped: Option<Rc<str>>,
}

/// Which grants are told at all, be it that none is there.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    scopes: bool,
    roles: bool,
}

/// The name of a client or a user, of at most 256 octets as it is told.
#[derive(Clone, Debug, PartialEq)]
struct Name {
    text: Box<str>,
    /// In visible ASCII, where that is another text.
    told: Option<Box<str>>,
}

/// What the issuer vouches for, shared with those who remember it.
pub type Vouched = Rc<VerifiedToken>;

impl fmt::Debug for VerifiedToken {
    /// Claims may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifiedToken(of issuer {}, …)", self.issuer.0)
    }
}

impl VerifiedToken {
    pub fn issuer(&self) -> IssuerId {
        self.issuer
    }

    pub fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_ref().map(|name| &*name.text)
    }

    pub fn subject(&self) -> Option<&str> {
        self.subject.as_ref().map(|name| &*name.text)
    }

    /// The client in visible ASCII.
    pub fn told_client_id(&self) -> Option<&str> {
        self.client_id.as_ref().map(Name::told)
    }

    /// The subject in visible ASCII.
    pub fn told_subject(&self) -> Option<&str> {
        self.subject.as_ref().map(Name::told)
    }

    /// None where the claim is there and not of the format that the issuer uses.
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// The roles that the token asserts and its issuer may assert; what they include is for the policy to say.
    pub fn roles(&self) -> &[String] {
        &self.roles
    }

    /// How the user logged in (OpenID Connect Core §2, RFC 9068 §2.2.1); none where it is absent or no text.
    pub fn acr(&self) -> Option<&str> {
        self.acr.as_deref()
    }

    /// When the user logged in.
    pub fn authenticated(&self) -> Option<UnixTime> {
        self.authenticated
    }

    /// SHA-256 of the token, which is presented so; worked out once.
    pub fn digest(&self, presented: Presented<'_>) -> [u8; 32] {
        **self.digest.get_or_init(|| Box::new(presented.digest()))
    }

    /// The JWT that goes on in place of the token as it was presented (checklist §26).
    pub fn swapped(&self) -> Option<&str> {
        self.swapped.as_deref()
    }

    pub fn confirmation(&self) -> &Confirmation {
        &self.confirmation
    }

    /// Whether somebody acts for the subject (RFC 8693 §4.1).
    pub fn has_actor(&self) -> bool {
        self.has_actor
    }

    /// A claim by its JSON pointer, if it is one of those that are kept.
    pub fn claim(&self, place: &Pointer) -> Option<&Value> {
        place.find(&self.claims)
    }
}

impl Name {
    fn told(&self) -> &str {
        self.told.as_ref().unwrap_or(&self.text)
    }
}

/// Why a token is not believed, or no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It looks like a JWT and is none: bad base64url, no `alg`, JSON that is not an object or says a thing twice.
    Malformed,
    /// A form that this route's issuer does not take: opaque where nobody can be asked, encrypted, or too long.
    Format,
    /// `iss` names nobody whose tokens this route takes.
    Issuer,
    /// `typ` or what the claims tell is not an access token's.
    Type,
    /// An algorithm that this issuer does not use, `none` among them.
    Algorithm,
    /// The header asks for an extension (`crit`, `b64`) that is not understood.
    Critical,
    /// The issuer's key set has no key of this `kid` for this algorithm, or the token names none and several would do.
    Key,
    Signature,
    Expired,
    /// `nbf` or `iat` lies in the future.
    NotYetValid,
    /// It lives longer than this issuer's tokens may.
    Lifetime,
    /// Meant for somebody else.
    Audience,
    ClaimMissing(&'static str),
    /// A claim is there, and not of its type or size.
    Claim(&'static str),
    /// `cnf` binds the token to something that can't be confirmed.
    Confirmation,
    /// The authorization server says that it is not active.
    Inactive,
    /// Its signed claims and the authorization server's answer name different issuers, tokens, users, clients or bindings.
    Disagreement,
    /// The authorization server has judged the request too, and finds it malformed.
    BadRequest,
    /// It knows the token, and refuses it in these hands.
    Refused,
    /// It takes the token with a proof only.
    ProofWanted,
    /// It finds the proof wrong.
    ProofRefused,
    /// It wants its nonce in the proof.
    NonceWanted,
    /// The token grants less than the scopes that the route names.
    Scope,
    /// It forbids what is asked for.
    Forbidden,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callout::Question;

    impl Evidence {
        /// For what needs some.
        pub fn of_nobody() -> Self {
            Self { by: Voucher::Endpoint(Service::about(Question::Introspection)), at: UnixTime::new(0) }
        }
    }

    impl Default for VerifiedToken {
        fn default() -> Self {
            Self::bound_to(Confirmation::default())
        }
    }

    impl VerifiedToken {
        /// A token of the first issuer that says nothing but what it is bound to.
        pub fn bound_to(confirmation: Confirmation) -> Self {
            Self {
                issuer: IssuerId(0),
                evidence: Evidence::of_nobody(),
                claims: Value::Null,
                confirmation,
                client_id: None,
                subject: None,
                scopes: Some(Rc::default()),
                roles: Rc::default(),
                tells: Told::default(),
                audiences: Rc::default(),
                told_by_audience: false,
                acr: None,
                authenticated: None,
                has_actor: false,
                not_before: None,
                expires: None,
                digest: OnceCell::new(),
                swapped: None,
            }
        }

        /// A token as if `issuer` had vouched for these claims.
        pub fn vouched(issuer: &Issuer, claims: &str, now: UnixTime) -> Result<Self, Error> {
            let claims = crate::jose::json::parse(claims.as_bytes(), crate::jose::json::Limits::TOKEN).unwrap();
            Self::read(issuer, claims, Evidence { at: now, ..Evidence::of_nobody() })
        }
    }
}
