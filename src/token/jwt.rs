//! A JWT access token, verified by its issuer's keys (RFC 7519, RFC 8725, RFC 9068 §4).

use std::rc::Rc;

use crate::credential::AccessToken;
use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::json::{self, Limits, Value};
use crate::jose::jwk::Jwk;
use crate::jose::jws::{Jws, media_type_is};
use crate::jose::verifier::Verifier;
use crate::time::UnixTime;

use super::claims::claim;
use super::{Audiences, Error, Evidence, Issuer, Profile, VerifiedToken, Voucher};

/// A JWT that is well-formed. Nothing in it is believed; its issuer is read to find out whom to ask.
pub struct UnverifiedJwt<'a> {
    jws: Jws<'a>,
    claims: Value,
}

/// What a presented string is to us (checklist (b), state 8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Three parts, the first of which decodes to a JSON object, be it ever so carelessly encoded.
    Jwt,
    /// Five parts of that kind: encrypted (RFC 7516), and nobody here can decrypt it.
    Encrypted,
    /// Everything else is for the authorization server to read.
    Opaque,
}

impl Form {
    pub fn of(token: AccessToken<'_>) -> Self {
        const MOST: usize = 6;
        let form = match token.as_str().split('.').take(MOST).count() {
            3 => Self::Jwt,
            5 => Self::Encrypted,
            _ => return Self::Opaque,
        };
        let header = token.as_str().split('.').next();
        if header.is_some_and(is_object) { form } else { Self::Opaque }
    }
}

/// Told by how it begins: a header that only nearly parses must not make its token an opaque one.
fn is_object(part: &str) -> bool {
    /// `{"` and two bits of what follows: how nearly every header begins.
    const OBJECT: &str = "eyJ";
    if part.starts_with(OBJECT) {
        return true;
    }
    let decoded = base64url::decode_leniently(part);
    let inside = decoded.trim_ascii_start().strip_prefix(b"{").map(<[u8]>::trim_ascii_start);
    inside.is_some_and(|inside| inside.starts_with(b"\"") || inside.starts_with(b"}"))
}

impl<'a> UnverifiedJwt<'a> {
    pub fn parse(token: AccessToken<'a>) -> Result<Self, Error> {
        let jws = Jws::parse(token.as_str()).map_err(|_| Error::Malformed)?;
        let claims = json::parse(jws.payload(), Limits::TOKEN).map_err(|_| Error::Malformed)?;
        if claims.as_object().is_none() {
            return Err(Error::Malformed);
        }
        Ok(Self { jws, claims })
    }

    /// `iss` as written; it selects a configured issuer and decides nothing.
    pub fn issuer(&self) -> Option<&str> {
        claim(&self.claims, "iss")?.as_str()
    }

    pub fn key_id(&self) -> Option<&str> {
        self.jws.header().kid.as_deref()
    }

    /// What the header says, as far as it can be judged without a key: the algorithm, if this issuer uses it.
    pub fn algorithm(&self, issuer: &Issuer) -> Result<Algorithm, Error> {
        self.algorithm_if(issuer, |typ| is_access_token(issuer.profile, typ))
    }

    /// The same for a JWT of another type, which it has to name.
    pub(super) fn algorithm_of(&self, issuer: &Issuer, media_type: &str) -> Result<Algorithm, Error> {
        self.algorithm_if(issuer, |typ| typ.is_some_and(|typ| media_type_is(typ, media_type)))
    }

    fn algorithm_if(&self, issuer: &Issuer, is_type: impl Fn(Option<&str>) -> bool) -> Result<Algorithm, Error> {
        let header = self.jws.header();
        if header.crit_present || header.b64_present {
            return Err(Error::Critical);
        }
        let algorithm = Algorithm::parse(&header.algorithm_name).filter(|name| issuer.algorithms.contains(name));
        let algorithm = algorithm.ok_or(Error::Algorithm)?;
        if header.cty.is_some() || !is_type(header.typ.as_deref()) {
            return Err(Error::Type);
        }
        Ok(algorithm)
    }

    /// Believes the token if one of `keys` made its signature and its claims are those of an access token.
    pub fn verify(
        self,
        verifier: &dyn Verifier,
        issuer: &Issuer,
        keys: &[&Rc<Jwk>],
        now: UnixTime,
    ) -> Result<VerifiedToken, Error> {
        let algorithm = self.algorithm(issuer)?;
        let evidence = Evidence { by: Voucher::Key(self.signed_by(verifier, algorithm, keys)?), at: now };
        if self.issuer() != Some(issuer.identifier.as_str()) {
            return Err(Error::Issuer);
        }
        require(&self.claims, &["exp"])?;
        let claims = self.claims;
        let mut token = VerifiedToken::read(issuer, claims, evidence)?;
        match issuer.profile {
            Profile::Rfc9068 => token.require_rfc9068(issuer)?,
            Profile::Legacy => token.refuse_id_token(issuer)?,
        }
        token.keep(&issuer.kept);
        Ok(token)
    }

    fn signed_by(&self, verifier: &dyn Verifier, algorithm: Algorithm, keys: &[&Rc<Jwk>]) -> Result<Rc<Jwk>, Error> {
        let signed = keys.iter().find(|key| self.jws.verify(verifier, &key.key, algorithm).is_ok());
        signed.map(|key| Rc::clone(key)).ok_or(Error::Signature)
    }

    /// The claims of a JWT of another type, if one of `keys` made its signature.
    pub(super) fn signed(
        self,
        verifier: &dyn Verifier,
        issuer: &Issuer,
        media_type: &str,
        keys: &[&Rc<Jwk>],
    ) -> Result<Value, Error> {
        let algorithm = self.algorithm_of(issuer, media_type)?;
        self.signed_by(verifier, algorithm, keys).map(|_| self.claims)
    }
}

fn is_access_token(profile: Profile, typ: Option<&str>) -> bool {
    match (profile, typ) {
        (Profile::Rfc9068, Some(typ)) => media_type_is(typ, "at+jwt"),
        (Profile::Rfc9068, None) => false,
        (Profile::Legacy, Some(typ)) => media_type_is(typ, "JWT"),
        (Profile::Legacy, None) => true,
    }
}

impl VerifiedToken {
    /// RFC 9068 §2.2: what every access token of this profile holds.
    fn require_rfc9068(&self, issuer: &Issuer) -> Result<(), Error> {
        require(&self.claims, &["sub", "iat", "jti"])?;
        if self.client_id.is_none() {
            return Err(Error::ClaimMissing("client_id"));
        }
        if claim(&self.claims, "jti").is_some_and(|jti| jti.as_str().is_none_or(str::is_empty)) {
            return Err(Error::Claim("jti"));
        }
        if self.audiences().is_empty() && issuer.audiences != Audiences::Any {
            return Err(Error::ClaimMissing("aud"));
        }
        Ok(())
    }

    /// Where `typ` does not tell an access token, an ID token is told by what only it holds, or by its audience (checklist 3.11).
    fn refuse_id_token(&self, issuer: &Issuer) -> Result<(), Error> {
        if ["nonce", "at_hash", "c_hash", "s_hash"].iter().any(|name| claim(&self.claims, name).is_some()) {
            return Err(Error::Type);
        }
        // Where no audience is looked at either, only a scope tells it (checklist 2-T).
        if issuer.audiences == Audiences::Any && issuer.places.scope.find(&self.claims).is_none() {
            return Err(Error::Type);
        }
        match (self.audiences(), self.client_id()) {
            ([audience], Some(client)) if audience == client => Err(Error::Type),
            _ => Ok(()),
        }
    }
}

fn require(claims: &Value, names: &[&'static str]) -> Result<(), Error> {
    match names.iter().find(|name| claim(claims, name).is_none()) {
        Some(missing) => Err(Error::ClaimMissing(missing)),
        None => Ok(()),
    }
}
