//! Turns JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2) into public keys that are ready to verify, and refuses every key that is weak or not public.

use super::algorithm::Algorithm;
use super::base64url;
use super::json::{self, Limits, Object, Value};
use super::jws::LONGEST_KID;
use rsa::BoxedUint;
use rsa::signature::Verifier as _;
use rsa::traits::PublicKeyParts as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::fmt;

/// A public key that may verify: of an allowed type and size, on its curve, prepared once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    Rsa(RsaKey),
    P256(P256Key),
    P384(P384Key),
    Ed25519(Ed25519Key),
}

/// An RSA key of 2048 to 8192 bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaKey(rsa::PublicKey);

/// A point of P-256.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P256Key(p256::ecdsa::VerifyingKey);

/// A point of P-384.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct P384Key(p384::ecdsa::VerifyingKey);

/// A point of Edwards25519 in its canonical encoding and of large order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ed25519Key(ed25519_dalek::VerifyingKey);

/// A key and what its owner says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Opaque, at most 256 octets.
    pub kid: Option<String>,
    /// The one algorithm that the key is meant for; it fits the key.
    pub algorithm: Option<Algorithm>,
    pub key: PublicKey,
}

/// The usable keys of a JWK Set, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet {
    pub keys: Vec<Jwk>,
}

/// A key of a set that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// Its place in `keys`, from 0.
    pub index: usize,
    /// Its `kid`, where it is a string of at most 256 octets.
    pub kid: Option<String>,
    pub reason: Error,
}

/// The keys of a set that may have made a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates<'a> {
    /// At least one; the signature must be of one of them.
    Keys(Vec<&'a Jwk>),
    /// No key has this `kid`.
    UnknownKid,
    /// No key fits the algorithm: of those with this `kid`, or of all where none was named.
    NoneFits,
    /// No `kid` was named and more than one key fits.
    Ambiguous,
}

/// Why a key cannot be used, or a set cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The set has more than 64 KiB.
    SetTooLong,
    /// The set is not JSON, or not as strictly as required.
    SetJson(json::Error),
    /// The set is not an object with a list called `keys`.
    NoKeys,
    /// The set has more than 64 keys.
    TooManyKeys,
    /// The key is not a JSON object.
    NotAMap,
    /// The key holds a private or secret member: whoever published it has given it away.
    Private,
    /// The key is symmetric (`oct`).
    Symmetric,
    /// This member is missing.
    Missing(&'static str),
    /// This member is not a string.
    NotAString(&'static str),
    /// `kid` has more than 256 octets.
    KidTooLong,
    /// `kty` is none of `RSA`, `EC`, `OKP`.
    UnknownType,
    /// `crv` is not a curve that is verified here.
    UnknownCurve,
    /// `use` is not `sig`.
    Use,
    /// `key_ops` is not a list with `verify` in it.
    Operations,
    /// `alg` names no algorithm that is verified here.
    UnknownAlgorithm,
    /// `alg` is not an algorithm of this type of key.
    OtherAlgorithm,
    /// This member is not base64url.
    Encoding(&'static str, base64url::Error),
    /// This number begins with an octet of zero, which is a second spelling of the same key.
    LeadingZero(&'static str),
    /// The modulus has fewer than 2048 or more than 8192 bits.
    ModulusSize { bits: usize },
    /// The modulus is even.
    Modulus,
    /// The modulus is of the form that a faulty generator made (CVE-2017-15361); its factors can be found.
    Factorable,
    /// The exponent is even, below 3, or has more than 33 bits.
    Exponent,
    /// This coordinate does not have the full length of the curve's field.
    CoordinateLength(&'static str),
    /// The coordinates are not those of a point on the curve.
    NotOnCurve,
    /// The point has small order: almost any signature would fit it.
    SmallOrder,
}

const LONGEST_SET: usize = 64 * 1024;
const MOST_KEYS: usize = 64;
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Work grows with the exponent's bits. 33 is where the proxy's own library and *ring* stop too, so that a key is
/// usable or not wherever the signature is verified.
const LARGEST_EXPONENT: u64 = (1 << 33) - 1;
/// RFC 7518 §6.2.2, §6.3.2 and §6.4.1; `d` is that of RFC 8037 as well.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicKey {
    /// Whether `algorithm` is one for keys of this type and curve.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::*;
        match self {
            Self::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Self::P256(_) => algorithm == Es256,
            Self::P384(_) => algorithm == Es384,
            Self::Ed25519(_) => algorithm == EdDsa,
        }
    }

    /// Whether `signature` is one of this key for `message` by `algorithm`.
    ///
    /// ECDSA signatures are R‖S of full length (RFC 7518 §3.4); both values of S are accepted. Ed25519 is RFC 8032
    /// without the cofactor, and R neither of small order nor in another encoding than its own.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        use Algorithm::*;
        match (self, algorithm) {
            (Self::Rsa(RsaKey(key)), Rs256) => key.pkcs1v15_verify::<Sha256>(message, signature).is_ok(),
            (Self::Rsa(RsaKey(key)), Rs384) => key.pkcs1v15_verify::<Sha384>(message, signature).is_ok(),
            (Self::Rsa(RsaKey(key)), Rs512) => key.pkcs1v15_verify::<Sha512>(message, signature).is_ok(),
            (Self::Rsa(RsaKey(key)), Ps256) => key.pss_verify::<Sha256>(message, signature).is_ok(),
            (Self::Rsa(RsaKey(key)), Ps384) => key.pss_verify::<Sha384>(message, signature).is_ok(),
            (Self::Rsa(RsaKey(key)), Ps512) => key.pss_verify::<Sha512>(message, signature).is_ok(),
            (Self::P256(P256Key(key)), Es256) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            (Self::P384(P384Key(key)), Es384) => {
                p384::ecdsa::Signature::from_slice(signature).is_ok_and(|signature| key.verify(message, &signature).is_ok())
            }
            (Self::Ed25519(Ed25519Key(key)), EdDsa) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(message, &signature).is_ok()),
            _ => false,
        }
    }

    /// The SHA-256 thumbprint (RFC 7638 §3, RFC 8037 §2).
    pub fn thumbprint(&self) -> [u8; 32] {
        Sha256::digest(self.required_members()).into()
    }

    /// The required members only, in the order of their names, without white space.
    fn required_members(&self) -> String {
        match self {
            Self::Rsa(RsaKey(key)) => {
                let e = base64url::encode(key.e().to_be_bytes_trimmed_vartime());
                let n = base64url::encode(key.n().to_be_bytes_trimmed_vartime());
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Self::P256(P256Key(key)) => ec_members("P-256", key.to_sec1_point(false).as_bytes()),
            Self::P384(P384Key(key)) => ec_members("P-384", key.to_sec1_point(false).as_bytes()),
            Self::Ed25519(Ed25519Key(key)) => {
                let x = base64url::encode(key.as_bytes());
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        }
    }
}

/// `point` is uncompressed (SEC 1 §2.3.3): an octet of 4 and both coordinates in full length.
fn ec_members(curve: &str, point: &[u8]) -> String {
    let coordinates = point.get(1..).unwrap_or_default();
    let (x, y) = coordinates.split_at(coordinates.len() / 2);
    let (x, y) = (base64url::encode(x), base64url::encode(y));
    format!(r#"{{"crv":"{curve}","kty":"EC","x":"{x}","y":"{y}"}}"#)
}

impl Jwk {
    /// The key that `value` holds, if it may verify signatures.
    pub fn parse(value: &Value) -> Result<Self, Error> {
        let members = value.as_object().ok_or(Error::NotAMap)?;
        if PRIVATE_MEMBERS.iter().any(|name| members.get(name).is_some()) {
            return Err(Error::Private);
        }
        refuse_other_uses(members)?;
        let kid = optional(members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(Error::KidTooLong);
        }
        let algorithm = match optional(members, "alg")? {
            Some(name) => Some(Algorithm::parse(name).ok_or(Error::UnknownAlgorithm)?),
            None => None,
        };
        let key = PublicKey::parse(members)?;
        if algorithm.is_some_and(|algorithm| !key.fits(algorithm)) {
            return Err(Error::OtherAlgorithm);
        }
        Ok(Self { kid: kid.map(str::to_owned), algorithm, key })
    }

    /// Whether the key is one for `algorithm`, by its type and by its own word.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.key.fits(algorithm) && self.algorithm.is_none_or(|own| own == algorithm)
    }
}

/// RFC 7517 §4.2 and §4.3: a key that says what it is for must say that it is for this.
fn refuse_other_uses(members: &Object) -> Result<(), Error> {
    if members.get("use").is_some_and(|purpose| purpose.as_str() != Some("sig")) {
        return Err(Error::Use);
    }
    let may_verify = |operations: &[Value]| operations.iter().any(|operation| operation.as_str() == Some("verify"));
    if members.get("key_ops").is_some_and(|operations| !operations.as_array().is_some_and(may_verify)) {
        return Err(Error::Operations);
    }
    Ok(())
}

impl PublicKey {
    fn parse(members: &Object) -> Result<Self, Error> {
        match required(members, "kty")? {
            "RSA" => RsaKey::parse(&octets(members, "n")?, &octets(members, "e")?).map(Self::Rsa),
            "EC" => match required(members, "crv")? {
                "P-256" => P256Key::parse(&coordinate(members, "x")?, &coordinate(members, "y")?).map(Self::P256),
                "P-384" => P384Key::parse(&coordinate(members, "x")?, &coordinate(members, "y")?).map(Self::P384),
                _ => Err(Error::UnknownCurve),
            },
            "OKP" => match required(members, "crv")? {
                "Ed25519" => Ed25519Key::parse(&coordinate(members, "x")?).map(Self::Ed25519),
                _ => Err(Error::UnknownCurve),
            },
            "oct" => Err(Error::Symmetric),
            _ => Err(Error::UnknownType),
        }
    }
}

impl RsaKey {
    fn parse(n: &[u8], e: &[u8]) -> Result<Self, Error> {
        refuse_leading_zero("n", n)?;
        refuse_leading_zero("e", e)?;
        let bits = n.len() * 8 - n.first().map_or(0, |octet| octet.leading_zeros() as usize);
        if !MODULUS_BITS.contains(&bits) {
            return Err(Error::ModulusSize { bits });
        }
        let exponent = exponent(e).ok_or(Error::Exponent)?;
        if is_roca(n) {
            return Err(Error::Factorable);
        }
        // All that is left to refuse is an even modulus.
        rsa::PublicKey::new_with_size_limits(BoxedUint::from_be_slice_vartime(n), exponent.into(), MODULUS_BITS)
            .map(Self)
            .map_err(|_| Error::Modulus)
    }
}

/// RFC 7518 §6.3.1: the minimum number of octets.
fn refuse_leading_zero(name: &'static str, number: &[u8]) -> Result<(), Error> {
    if number.first() == Some(&0) { Err(Error::LeadingZero(name)) } else { Ok(()) }
}

fn exponent(octets: &[u8]) -> Option<u64> {
    let mut number = [0; 8];
    number.get_mut(8usize.checked_sub(octets.len())?..)?.copy_from_slice(octets);
    let exponent = u64::from_be_bytes(number);
    ((3..=LARGEST_EXPONENT).contains(&exponent) && exponent % 2 == 1).then_some(exponent)
}

/// Whether `n` modulo every one of the first odd primes is a power of 65537: true of every modulus from the faulty
/// generator, and of one in 2^150 others.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u64; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107, 109, 113,
        127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|&prime| {
        let residue = n.iter().fold(0, |residue, &octet| (residue * 256 + u64::from(octet)) % prime);
        let mut powers = std::iter::successors(Some(1), |power| Some(power * 65537 % prime)).take(167);
        powers.any(|power| power == residue)
    })
}

impl P256Key {
    fn parse(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, Error> {
        let point = p256::Sec1Point::from_affine_coordinates(x.into(), y.into(), false);
        p256::ecdsa::VerifyingKey::from_sec1_point(&point).map(Self).map_err(|_| Error::NotOnCurve)
    }
}

impl P384Key {
    fn parse(x: &[u8; 48], y: &[u8; 48]) -> Result<Self, Error> {
        let point = p384::Sec1Point::from_affine_coordinates(x.into(), y.into(), false);
        p384::ecdsa::VerifyingKey::from_sec1_point(&point).map(Self).map_err(|_| Error::NotOnCurve)
    }
}

impl Ed25519Key {
    fn parse(x: &[u8; 32]) -> Result<Self, Error> {
        let key = ed25519_dalek::VerifyingKey::from_bytes(x).map_err(|_| Error::NotOnCurve)?;
        if key.is_weak() {
            return Err(Error::SmallOrder);
        }
        // RFC 8032 §5.1.3: y is below the prime. A second encoding of the same point would be a second thumbprint.
        if key.to_edwards().compress().as_bytes() != x {
            return Err(Error::NotOnCurve);
        }
        Ok(Self(key))
    }
}

fn optional<'a>(members: &'a Object, name: &'static str) -> Result<Option<&'a str>, Error> {
    members.get(name).map(|value| value.as_str().ok_or(Error::NotAString(name))).transpose()
}

fn required<'a>(members: &'a Object, name: &'static str) -> Result<&'a str, Error> {
    optional(members, name)?.ok_or(Error::Missing(name))
}

fn octets(members: &Object, name: &'static str) -> Result<Vec<u8>, Error> {
    base64url::decode(required(members, name)?).map_err(|error| Error::Encoding(name, error))
}

/// A coordinate, which has the full length of the curve's field (RFC 7518 §6.2.1.2).
fn coordinate<const LENGTH: usize>(members: &Object, name: &'static str) -> Result<[u8; LENGTH], Error> {
    octets(members, name)?.try_into().map_err(|_| Error::CoordinateLength(name))
}

impl JwkSet {
    /// The usable keys of a JWK Set, and what was left out of it and why (RFC 7517 §5).
    pub fn parse(bytes: &[u8]) -> Result<(Self, Vec<Skipped>), Error> {
        if bytes.len() > LONGEST_SET {
            return Err(Error::SetTooLong);
        }
        let set = json::parse(bytes, Limits::DOCUMENT).map_err(Error::SetJson)?;
        let keys = set.as_object().and_then(|set| set.get("keys")).and_then(Value::as_array).ok_or(Error::NoKeys)?;
        if keys.len() > MOST_KEYS {
            return Err(Error::TooManyKeys);
        }
        let mut usable = Self::default();
        let mut skipped = Vec::new();
        for (index, value) in keys.iter().enumerate() {
            match Jwk::parse(value) {
                Ok(key) => usable.keys.push(key),
                Err(reason) => skipped.push(Skipped { index, kid: kid_of(value), reason }),
            }
        }
        Ok((usable, skipped))
    }

    /// The keys that may have made a signature by `algorithm` under this `kid`.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        let named = |key: &&Jwk| kid.is_none() || key.kid.as_deref() == kid;
        let fitting: Vec<&Jwk> = self.keys.iter().filter(named).filter(|key| key.fits(algorithm)).collect();
        if fitting.is_empty() {
            let known = kid.is_none() || self.keys.iter().any(|key| named(&key));
            return if known { Candidates::NoneFits } else { Candidates::UnknownKid };
        }
        if kid.is_none() && fitting.len() > 1 {
            return Candidates::Ambiguous;
        }
        Candidates::Keys(fitting)
    }
}

fn kid_of(value: &Value) -> Option<String> {
    let kid = value.as_object()?.get("kid")?.as_str()?;
    (kid.len() <= LONGEST_KID).then(|| kid.to_owned())
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SetTooLong => write!(f, "the key set has more than {LONGEST_SET} octets"),
            Self::SetJson(error) => write!(f, "the key set is not JSON: {error}"),
            Self::NoKeys => f.write_str("the key set is not a JSON object with a list called keys"),
            Self::TooManyKeys => write!(f, "the key set has more than {MOST_KEYS} keys"),
            Self::NotAMap => f.write_str("the key is not a JSON object"),
            Self::Private => f.write_str("the key is published together with its private part"),
            Self::Symmetric => f.write_str("the key is symmetric"),
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::NotAString(name) => write!(f, "{name} is not a string"),
            Self::KidTooLong => write!(f, "kid has more than {LONGEST_KID} octets"),
            Self::UnknownType => f.write_str("kty is none of RSA, EC and OKP"),
            Self::UnknownCurve => f.write_str("crv is none of P-256, P-384 and Ed25519"),
            Self::Use => f.write_str("use is not sig"),
            Self::Operations => f.write_str("key_ops is not a list with verify in it"),
            Self::UnknownAlgorithm => f.write_str("alg is not an algorithm that is verified here"),
            Self::OtherAlgorithm => f.write_str("alg is not an algorithm of this type of key"),
            Self::Encoding(name, error) => write!(f, "{name} is not base64url: {error}"),
            Self::LeadingZero(name) => write!(f, "{name} begins with an octet of zero"),
            Self::ModulusSize { bits } => {
                write!(f, "the modulus has {bits} bits, not {} to {}", MODULUS_BITS.start(), MODULUS_BITS.end())
            }
            Self::Modulus => f.write_str("the modulus is even"),
            Self::Factorable => f.write_str("the modulus was made by a generator whose keys can be factored"),
            Self::Exponent => f.write_str("the exponent is even, below 3 or above 33 bits"),
            Self::CoordinateLength(name) => write!(f, "{name} does not have the length of the curve's field"),
            Self::NotOnCurve => f.write_str("the coordinates are not those of a point on the curve"),
            Self::SmallOrder => f.write_str("the point has small order"),
        }
    }
}

impl std::error::Error for Error {}
