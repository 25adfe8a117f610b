//! The `DPoP` field of a request into a proof that its sender holds a key (RFC 9449 §4, checklist §7).
//!
//! A proof becomes worth something step by step: [`UnverifiedProof`] is well-formed, [`FittingProof`] was made for this request and
//! this token at this time, [`VerifiedProof`] is signed with the key that it names. Whether that is the token's key is for
//! [`confirm`](super::confirm) to say, before the signature costs anything.

use core::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::jose::algorithm::Algorithm;
use crate::jose::base64url;
use crate::jose::json::{self, Limits, Object, Value};
use crate::jose::jwk::{Jwk, PublicKey, Thumbprint};
use crate::jose::jws::{Jws, media_type_is};
use crate::jose::verifier::Verifier;
use crate::time::UnixTime;

use super::htu::{Htu, Origin};
use super::nonce::{self, Nonces};
use super::replay::{self, Seen};

/// What a configuration asks of proofs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What clients call us.
    pub origins: Vec<Origin>,
    /// Announced as `algs`.
    pub algorithms: Vec<Algorithm>,
    /// How old `iat` may be, where there are no nonces.
    pub max_age: Duration,
    /// Every proof has to hold one of these. There is no mode between this and none (RFC 9449 §11.3).
    pub nonces: Option<Nonces>,
    pub replay: replay::Settings,
}

/// What a proof has to have been made for.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub method: &'a [u8],
    /// As the client sent it: `:path`.
    pub target: &'a [u8],
    /// As it was presented, behind the scheme.
    pub token: &'a [u8],
}

/// A well-formed proof. Nothing that it says is to be believed yet.
pub struct UnverifiedProof<'a> {
    jws: Jws<'a>,
    algorithm: Algorithm,
    key: PublicKey,
    claims: Claims,
}

/// RFC 9449 §4.2.
struct Claims {
    jti: String,
    htm: String,
    htu: Htu,
    iat: u64,
    ath: String,
    nonce: Option<String>,
}

/// A proof made for this request, by whoever holds the key that it names, if the signature is right.
pub struct FittingProof<'a> {
    jws: Jws<'a>,
    algorithm: Algorithm,
    key: PublicKey,
    proof: VerifiedProof,
}

/// Its sender holds the key.
#[derive(Clone, Copy, Debug)]
pub struct VerifiedProof {
    seen: Seen,
    /// When the nonce in it was issued.
    nonce_issued: Option<UnixTime>,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// There is none beside the token.
    Missing,
    /// Several fields, or a list in one.
    Several,
    /// Longer than 4 KiB.
    TooLong,
    /// Not a signed object whose payload is a JSON map, or with extensions that are not understood.
    Malformed,
    /// `typ` is not `dpop+jwt`.
    Type,
    /// An algorithm that is not announced, `none` among them.
    Algorithm,
    /// `jwk` is missing, holds more than a public key, or is not one for this algorithm.
    Key,
    /// A claim is missing, or not of its type or size.
    Claim,
    /// `htm` is another method.
    Method,
    /// `htu` is another URI, or none.
    Uri,
    /// `ath` is not the digest of this token.
    Ath,
    /// Too old.
    Expired,
    /// From the future.
    NotYetValid,
    Nonce(nonce::Error),
    /// Not signed with the key that it names.
    Signature,
}

const LONGEST_PROOF: usize = 4 * 1024;
const LONGEST_JTI: usize = 256;
/// How far a client's clock may be ahead (checklist 7.12).
const CLOCK_SKEW: Duration = Duration::from_secs(10);
/// Where a nonce tells the age, `iat` is only looked at for nonsense.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl From<nonce::Error> for Error {
    fn from(error: nonce::Error) -> Self {
        Self::Nonce(error)
    }
}

impl<'a> UnverifiedProof<'a> {
    /// Reads the one `DPoP` field of a request.
    pub fn parse(field: &'a [u8], settings: &Settings) -> Result<Self, Error> {
        if field.len() > LONGEST_PROOF {
            return Err(Error::TooLong);
        }
        if field.contains(&b',') {
            return Err(Error::Several);
        }
        let text = core::str::from_utf8(field).map_err(|_| Error::Malformed)?;
        let jws = Jws::parse(text).map_err(|_| Error::Malformed)?;
        let header = jws.header();
        if !header.typ.as_deref().is_some_and(|typ| media_type_is(typ, "dpop+jwt")) {
            return Err(Error::Type);
        }
        if header.crit_present || header.b64_present {
            return Err(Error::Malformed);
        }
        let algorithm = header.algorithm().filter(|algorithm| settings.algorithms.contains(algorithm));
        let algorithm = algorithm.ok_or(Error::Algorithm)?;
        let jwk = header.jwk.as_ref().and_then(|jwk| Jwk::parse(jwk).ok());
        let key = jwk.filter(|jwk| jwk.fits(algorithm)).ok_or(Error::Key)?.key;
        let claims = json::parse(jws.payload(), Limits::TOKEN).map_err(|_| Error::Malformed)?;
        let claims = Claims::read(claims.as_object().ok_or(Error::Malformed)?)?;
        Ok(Self { jws, algorithm, key, claims })
    }

    /// Whether it was made for this request, with this token, at this time.
    pub fn fit(self, asked: Asked<'_>, settings: &Settings, now: UnixTime) -> Result<FittingProof<'a>, Error> {
        let Self { jws, algorithm, key, claims } = self;
        if claims.htm.as_bytes() != asked.method {
            return Err(Error::Method);
        }
        if !claims.htu.is(&settings.origins, asked.target) {
            return Err(Error::Uri);
        }
        let ath = base64url::encode(Sha256::digest(asked.token));
        if !bool::from(ath.as_bytes().ct_eq(claims.ath.as_bytes())) {
            return Err(Error::Ath);
        }
        let (until, nonce_issued) = claims.verify_time(settings, now)?;
        let seen = claims.seen(key.thumbprint(), until);
        Ok(FittingProof { jws, algorithm, key, proof: VerifiedProof { seen, nonce_issued } })
    }
}

impl Claims {
    fn read(claims: &Object) -> Result<Self, Error> {
        let text = |name| claims.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(Error::Claim);
        let jti = text("jti")?;
        if !(1..=LONGEST_JTI).contains(&jti.len()) {
            return Err(Error::Claim);
        }
        let iat = match claims.get("iat") {
            Some(Value::Integer(seconds)) => u64::try_from(*seconds).map_err(|_| Error::Claim)?,
            _ => return Err(Error::Claim),
        };
        let htu = Htu::parse(&text("htu")?).ok_or(Error::Uri)?;
        // Where it is asked for, one of another type is none of ours.
        let nonce = claims.get("nonce").map(|nonce| nonce.as_str().unwrap_or_default().to_owned());
        Ok(Self { jti, htm: text("htm")?, htu, iat, ath: text("ath")?, nonce })
    }

    /// The last second at which this proof can be accepted, and when its nonce was issued. A little is added for a clock that is
    /// set back.
    fn verify_time(&self, settings: &Settings, now: UnixTime) -> Result<(UnixTime, Option<UnixTime>), Error> {
        let iat = UnixTime::new(self.iat);
        let Some(nonces) = &settings.nonces else {
            verify_age(iat, settings.max_age, CLOCK_SKEW, now)?;
            return Ok((iat.plus(settings.max_age + CLOCK_SKEW), None));
        };
        let nonce = self.nonce.as_deref().ok_or(nonce::Error::Missing)?;
        let issued = nonces.verify(nonce, now)?;
        verify_age(iat, DAY, DAY, now)?;
        Ok((issued.plus(nonce::LIFE + nonce::SKEW), Some(issued)))
    }

    /// What is remembered of it: `jti` in the context of the URI, and of the key, so that nobody uses up what another will send.
    fn seen(&self, key: Thumbprint, until: UnixTime) -> Seen {
        let mut digest = Sha256::new_with_prefix(key.0);
        self.htu.octets().for_each(|octets| digest.update(octets));
        // No URI holds this octet: where the one ends and the other begins can't be shifted.
        digest.update(b"\0");
        let digest: [u8; 32] = digest.chain_update(&self.jti).finalize().into();
        Seen { proof: digest.first_chunk().copied().unwrap_or_default(), key, until }
    }
}

fn verify_age(iat: UnixTime, past: Duration, future: Duration, now: UnixTime) -> Result<(), Error> {
    if iat > now.plus(future) {
        return Err(Error::NotYetValid);
    }
    if iat.plus(past) < now {
        return Err(Error::Expired);
    }
    Ok(())
}

impl FittingProof<'_> {
    /// Names the key that it says it is signed with.
    pub fn thumbprint(&self) -> &Thumbprint {
        &self.proof.seen.key
    }

    pub fn verify(&self, verifier: &dyn Verifier) -> Result<VerifiedProof, Error> {
        let verified = self.jws.verify(verifier, &self.key, self.algorithm);
        verified.map(|()| self.proof).map_err(|_| Error::Signature)
    }
}

impl VerifiedProof {
    /// By what it is known again.
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether its sender should get another nonce for the next one.
    pub fn nonce_is_worn(&self, now: UnixTime) -> bool {
        self.nonce_issued.is_some_and(|issued| Nonces::is_worn(issued, now))
    }
}
