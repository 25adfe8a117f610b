//! Turns JSON Web Keys (RFC 7517, RFC 7518 §6, RFC 8037 §2) into public keys that are ready to verify, and refuses every key that is weak or not public.

use super::algorithm::Algorithm;
use super::json::{self, Limits, Object, Value};
use super::{base64url, der, rsa};
use arithmetic::ed25519;
use p256::ecdsa::signature::Verifier as _;
use sha2::{Digest as _, Sha256, Sha384, Sha512};
use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

/// A public key that may verify: of an allowed type and size, on its curve, prepared once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    kind: Kind,
    spki: Box<[u8]>,
    spki_sha256: KeyDigest,
}

/// As its arithmetic wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// Of 2048 to 8192 bits.
    Rsa(rsa::Key),
    P256(p256::ecdsa::VerifyingKey),
    P384(p384::ecdsa::VerifyingKey),
    Ed25519(ed25519::Key),
}

/// SHA-256 over the `SubjectPublicKeyInfo` of a key in DER: which key it is, whatever its owner calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyDigest(pub [u8; 32]);

/// A key and what its owner says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Jwk {
    /// Opaque, at most 256 octets.
    pub kid: Option<String>,
    /// The one algorithm that the key is meant for; it fits the key.
    pub algorithm: Option<Algorithm>,
    pub key: PublicKey,
}

/// SHA-256 over the required members of a JWK (RFC 7638 §3), the name of a key that its owner can't choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Thumbprint(pub [u8; 32]);

/// The usable keys of a JWK Set, in its order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JwkSet {
    pub keys: Vec<Rc<Jwk>>,
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

impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kid {
            Some(kid) => write!(f, "key {} ({kid:?}) is not used: {}", self.index, self.reason),
            None => write!(f, "key {} is not used: {}", self.index, self.reason),
        }
    }
}

/// The keys of a set that may have made a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidates<'a> {
    /// At least one; the signature must be of one of them.
    Keys(Vec<&'a Rc<Jwk>>),
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

pub(super) const LONGEST_KID: usize = 256;
const LONGEST_SET: usize = 64 * 1024;
const MOST_KEYS: usize = 64;
const MODULUS_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
/// Work grows with the exponent's bits. 33 is where the proxy's own library and *ring* stop too, so that a key is
/// usable or not wherever the signature is verified.
const LARGEST_EXPONENT: u64 = (1 << 33) - 1;
/// RFC 7518 §6.2.2, §6.3.2 and §6.4.1; `d` is that of RFC 8037 as well.
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

impl PublicKey {
    fn new(kind: Kind, spki: Vec<u8>) -> Self {
        let spki_sha256 = KeyDigest(Sha256::digest(&spki).into());
        Self { kind, spki: spki.into(), spki_sha256 }
    }

    /// Whether verifying with it costs what it usually does: anybody can send a key of their own, and one of RSA may be a hundred times
    /// as costly as others.
    pub fn is_of_usual_size(&self) -> bool {
        match &self.kind {
            Kind::Rsa(key) => key.is_within(4096, 65537),
            Kind::P256(_) | Kind::P384(_) | Kind::Ed25519(_) => true,
        }
    }

    /// The same key, prepared for many signatures: an issuer's is, that of a DPoP proof is not.
    fn of_many_signatures(self) -> Self {
        let kind = match self.kind {
            Kind::Ed25519(key) => Kind::Ed25519(key.of_many_signatures()),
            other @ (Kind::Rsa(_) | Kind::P256(_) | Kind::P384(_)) => other,
        };
        Self { kind, ..self }
    }

    /// Whether `algorithm` is one for keys of this type and curve.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm::*;
        match &self.kind {
            Kind::Rsa(_) => matches!(algorithm, Rs256 | Rs384 | Rs512 | Ps256 | Ps384 | Ps512),
            Kind::P256(_) => algorithm == Es256,
            Kind::P384(_) => algorithm == Es384,
            Kind::Ed25519(_) => algorithm == EdDsa,
        }
    }

    /// Whether `signature` is one of this key for `message` by `algorithm`.
    ///
    /// ECDSA signatures are R‖S of full length (RFC 7518 §3.4); both values of S are accepted. Ed25519 is RFC 8032
    /// without the cofactor, and R neither of small order nor in another encoding than its own.
    pub fn verify(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        use Algorithm::*;
        match (&self.kind, algorithm) {
            (Kind::Rsa(key), Rs256) => key.verify_pkcs1::<Sha256>(message, signature),
            (Kind::Rsa(key), Rs384) => key.verify_pkcs1::<Sha384>(message, signature),
            (Kind::Rsa(key), Rs512) => key.verify_pkcs1::<Sha512>(message, signature),
            (Kind::Rsa(key), Ps256) => key.verify_pss::<Sha256>(message, signature),
            (Kind::Rsa(key), Ps384) => key.verify_pss::<Sha384>(message, signature),
            (Kind::Rsa(key), Ps512) => key.verify_pss::<Sha512>(message, signature),
            (Kind::P256(key), Es256) => p256::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            (Kind::P384(key), Es384) => p384::ecdsa::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
            (Kind::Ed25519(key), EdDsa) => key.verify(message, signature),
            _ => false,
        }
    }

    /// Its `SubjectPublicKeyInfo` in DER.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }

    pub fn spki_sha256(&self) -> KeyDigest {
        self.spki_sha256
    }

    /// A signature of this key's type as libraries outside of JOSE take it; none where its length or its numbers are such
    /// that nobody can have made it.
    pub fn signature_in_der<'a>(&self, signature: &'a [u8]) -> Option<Cow<'a, [u8]>> {
        match &self.kind {
            Kind::Rsa(key) => (signature.len() == key.octets()).then_some(Cow::Borrowed(signature)),
            // Neither number is zero or reaches the order.
            Kind::P256(_) => p256::ecdsa::Signature::from_slice(signature).ok().map(|_| in_der(signature)),
            Kind::P384(_) => p384::ecdsa::Signature::from_slice(signature).ok().map(|_| in_der(signature)),
            Kind::Ed25519(_) => (signature.len() == ed25519::SIGNATURE).then_some(Cow::Borrowed(signature)),
        }
    }

    /// Its thumbprint; also for keys of RFC 8037 §2.
    pub fn thumbprint(&self) -> Thumbprint {
        Thumbprint(Sha256::digest(self.required_members()).into())
    }

    /// The required members only, in the order of their names, without white space.
    fn required_members(&self) -> String {
        match &self.kind {
            Kind::Rsa(key) => {
                let (n, e) = (base64url::encode(key.modulus()), base64url::encode(key.exponent()));
                format!(r#"{{"e":"{e}","kty":"RSA","n":"{n}"}}"#)
            }
            Kind::P256(key) => ec_members("P-256", key.to_sec1_point(false).as_bytes()),
            Kind::P384(key) => ec_members("P-384", key.to_sec1_point(false).as_bytes()),
            Kind::Ed25519(key) => {
                let x = base64url::encode(key.as_bytes());
                format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#)
            }
        }
    }
}

/// R‖S, both of the same length.
fn in_der(signature: &[u8]) -> Cow<'_, [u8]> {
    // In bounds: half of its own length.
    let (r, s) = signature.split_at(signature.len() / 2);
    Cow::Owned(der::ecdsa_signature(r, s))
}

/// `point` is uncompressed (SEC 1 §2.3.3): an octet of 4 and both coordinates in full length.
fn ec_members(curve: &str, point: &[u8]) -> String {
    let coordinates = point.get(1..).unwrap_or_default();
    // In bounds: half of its own length.
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
            "RSA" => Self::rsa(&octets(members, "n")?, &octets(members, "e")?),
            "EC" => match required(members, "crv")? {
                "P-256" => Self::p256(&coordinate(members, "x")?, &coordinate(members, "y")?),
                "P-384" => Self::p384(&coordinate(members, "x")?, &coordinate(members, "y")?),
                _ => Err(Error::UnknownCurve),
            },
            "OKP" => match required(members, "crv")? {
                "Ed25519" => Self::ed25519(&coordinate(members, "x")?),
                _ => Err(Error::UnknownCurve),
            },
            "oct" => Err(Error::Symmetric),
            _ => Err(Error::UnknownType),
        }
    }
    fn rsa(n: &[u8], e: &[u8]) -> Result<Self, Error> {
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
        let key = rsa::Key::new(n, exponent).ok_or(Error::Modulus)?;
        Ok(Self::new(Kind::Rsa(key), der::rsa_key(n, e)))
    }

    fn p256(x: &[u8; 32], y: &[u8; 32]) -> Result<Self, Error> {
        let point = p256::Sec1Point::from_affine_coordinates(x.into(), y.into(), false);
        let key = p256::ecdsa::VerifyingKey::from_sec1_point(&point).map_err(|_| Error::NotOnCurve)?;
        Ok(Self::new(Kind::P256(key), der::p256_key(point.as_bytes())))
    }

    fn p384(x: &[u8; 48], y: &[u8; 48]) -> Result<Self, Error> {
        let point = p384::Sec1Point::from_affine_coordinates(x.into(), y.into(), false);
        let key = p384::ecdsa::VerifyingKey::from_sec1_point(&point).map_err(|_| Error::NotOnCurve)?;
        Ok(Self::new(Kind::P384(key), der::p384_key(point.as_bytes())))
    }

    fn ed25519(x: &[u8; 32]) -> Result<Self, Error> {
        let key = ed25519::Key::new(*x).map_err(|error| match error {
            ed25519::Error::NotOnCurve => Error::NotOnCurve,
            ed25519::Error::SmallOrder => Error::SmallOrder,
        })?;
        Ok(Self::new(Kind::Ed25519(key), der::ed25519_key(x)))
    }
}

/// RFC 7518 §6.3.1: the minimum number of octets.
fn refuse_leading_zero(name: &'static str, number: &[u8]) -> Result<(), Error> {
    if number.first() == Some(&0) { Err(Error::LeadingZero(name)) } else { Ok(()) }
}

fn exponent(octets: &[u8]) -> Option<u64> {
    let mut number = [0; 8];
    // As long as each other: the range leaves exactly `octets.len()` of the eight, or is none.
    number.get_mut(8usize.checked_sub(octets.len())?..)?.copy_from_slice(octets);
    let exponent = u64::from_be_bytes(number);
    ((3..=LARGEST_EXPONENT).contains(&exponent) && exponent % 2 == 1).then_some(exponent)
}

/// Whether `n` modulo every one of the first odd primes is a power of 65537: true of every modulus from the faulty
/// generator, and of one in 2^27 others.
fn is_roca(n: &[u8]) -> bool {
    const PRIMES: [u64; 38] = [
        3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 101, 103, 107,
        109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
    ];
    PRIMES.iter().all(|&prime| {
        let residue = n.iter().fold(0, |residue, &octet| (residue * 256 + u64::from(octet)) % prime);
        let mut powers = std::iter::successors(Some(1), |power| Some(power * 65537 % prime)).take(167);
        powers.any(|power| power == residue)
    })
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
                Ok(key) => usable.keys.push(Rc::new(Jwk { key: key.key.of_many_signatures(), ..key })),
                Err(reason) => skipped.push(Skipped { index, kid: kid_of(value), reason }),
            }
        }
        Ok((usable, skipped))
    }

    /// The same set; keys that stand unchanged in an older one are those of that one.
    pub fn keeping(mut self, older: &Self) -> Self {
        for key in &mut self.keys {
            if let Some(same) = older.keys.iter().find(|other| *other == key) {
                *key = Rc::clone(same);
            }
        }
        self
    }

    /// The keys that may have made a signature by `algorithm` under this `kid`.
    pub fn candidates(&self, kid: Option<&str>, algorithm: Algorithm) -> Candidates<'_> {
        let named = |key: &&Rc<Jwk>| kid.is_none() || key.kid.as_deref() == kid;
        let fitting: Vec<&Rc<Jwk>> = self.keys.iter().filter(named).filter(|key| key.fits(algorithm)).collect();
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
            Self::CoordinateLength(name) => {
                write!(f, "{name} does not have the length of the curve's field")
            }
            Self::NotOnCurve => f.write_str("the coordinates are not those of a point on the curve"),
            Self::SmallOrder => f.write_str("the point has small order"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;
    use ::rsa;
    use p256::ecdsa::signature::Signer as _;
    use rsa::rand_core::{TryCryptoRng, TryRng};
    use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _};
    use rsa::traits::PublicKeyParts as _;
    use std::convert::Infallible;
    use std::sync::OnceLock;

    const MESSAGE: &[u8] = b"message";
    /// RFC 8705 appendix A.
    const P256: &str = r#"{"kty":"EC","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8","crv":"P-256"}"#;
    /// RFC 8037 appendix A.2.
    const ED25519: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    /// RFC 7638 §3.1.
    const RSA: &str = r#"{"kty":"RSA","n":"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw","e":"AQAB","alg":"RS256","kid":"2011-04-29"}"#;

    fn jwk(text: &str) -> Result<Jwk, Error> {
        Jwk::parse(&json::parse(text.as_bytes(), Limits::TOKEN).unwrap())
    }

    /// `text`, a JSON object, with `members` after its own.
    fn with(text: &str, members: &str) -> String {
        format!("{},{members}}}", text.strip_suffix('}').unwrap())
    }

    fn rsa_jwk(n: &[u8], e: &[u8]) -> String {
        format!(r#"{{"kty":"RSA","n":"{}","e":"{}"}}"#, base64url::encode(n), base64url::encode(e))
    }

    fn rsa_public(n: &[u8], e: &[u8]) -> PublicKey {
        jwk(&rsa_jwk(n, e)).unwrap().key
    }

    fn ec_jwk(curve: &str, x: &[u8], y: &[u8]) -> String {
        format!(r#"{{"kty":"EC","crv":"{curve}","x":"{}","y":"{}"}}"#, base64url::encode(x), base64url::encode(y))
    }

    fn ed25519_jwk(x: &str) -> String {
        format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{x}"}}"#)
    }

    // Thumbprints

    #[test]
    fn thumbprints_are_those_of_the_standards() {
        let table = [
            (RSA, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"),
            (ED25519, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),
            (P256, "Fvi_j8Immo6AlgIwpZKqaXnNP_9b09pLKkQHObRebQY"),
            (
                r#"{"kty":"EC","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs","y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA","crv":"P-256"}"#,
                "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I",
            ),
        ];
        for (key, thumbprint) in table {
            assert_eq!(base64url::encode(jwk(key).unwrap().key.thumbprint().0), thumbprint);
        }
    }

    #[test]
    fn a_p384_thumbprint_hashes_the_required_members_only() {
        let point = p384_signer().verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(48);
        let members =
            format!(r#"{{"crv":"P-384","kty":"EC","x":"{}","y":"{}"}}"#, base64url::encode(x), base64url::encode(y));
        let key = jwk(&with(&ec_jwk("P-384", x, y), r#""kid":"1","use":"sig","alg":"ES384""#)).unwrap().key;
        assert_eq!(key.thumbprint(), Thumbprint(Sha256::digest(members).into()));
    }

    #[test]
    fn optional_members_leave_the_thumbprint_alone() {
        let plain = jwk(P256).unwrap();
        let adorned = jwk(&with(P256, r#""kid":"1","use":"sig","alg":"ES256","x5t":"AA","note":[1]"#)).unwrap();
        assert_eq!(adorned.key.thumbprint(), plain.key.thumbprint());
        assert_eq!(adorned.key, plain.key);
    }

    #[test]
    fn an_rsa_key_that_costs_more_than_others_is_told() {
        let of = |octets: usize, e: &[u8]| {
            rsa_public(&[&[0xc0][..], &vec![0x5b; octets - 1]].concat(), e).is_of_usual_size()
        };
        for (octets, e, usual) in [
            (256, &[1, 0, 1][..], true),
            (512, &[1, 0, 1], true),
            (512, &[3], true),
            (513, &[1, 0, 1], false),
            (1024, &[3], false),
            (256, &[1, 0, 3], false),
            (256, &[1, 0xff, 0xff, 0xff, 0xff], false),
        ] {
            assert_eq!(of(octets, e), usual, "{octets} {e:?}");
        }
        assert!(p256_key().is_of_usual_size());
    }

    // In DER

    #[test]
    fn a_keys_digest_is_that_of_its_subject_public_key_info() {
        let keys = [RSA, P256, ED25519].map(|text| jwk(text).unwrap().key);
        for key in &keys {
            assert_eq!(key.spki_sha256(), KeyDigest(Sha256::digest(key.spki()).into()));
        }
        let [rsa, p256, ed25519] = &keys;
        assert_eq!(rsa.spki()[..9], [0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a]);
        assert_eq!(p256.spki()[..4], [0x30, 0x59, 0x30, 0x13]);
        let x = base64url::decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        assert_eq!(ed25519.spki(), [&[0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0][..], &x].concat());
        // Under another name it is the same key.
        let renamed = jwk(&RSA.replace("2011-04-29", "2")).unwrap().key;
        assert_eq!(renamed.spki_sha256(), rsa.spki_sha256());
        assert_ne!(p256_key().spki_sha256(), p256.spki_sha256());
    }

    #[test]
    fn r_and_s_become_a_sequence_of_two_integers() {
        let good = p256_signature();
        assert_eq!(p256_key().signature_in_der(&good.to_bytes()).as_deref(), Some(good.to_der().as_bytes()));
        let good: p384::ecdsa::Signature = p384_signer().sign(MESSAGE);
        assert_eq!(p384_key().signature_in_der(&good.to_bytes()).as_deref(), Some(good.to_der().as_bytes()));
    }

    #[test]
    fn what_nobody_can_have_signed_is_not_written_in_der() {
        let good = p256_signature().to_bytes();
        let (r, s) = good.split_at(32);
        let zero: &[u8] = &[0; 32];
        let bad = [vec![], good[1..].to_vec(), [&good[..], &[0]].concat(), [zero, s].concat(), [r, zero].concat()];
        for signature in bad.into_iter().chain([[&N, s].concat(), [r, &N].concat()]) {
            assert_eq!(p256_key().signature_in_der(&signature), None);
        }
        let rsa = jwk(RSA).unwrap().key;
        for (length, fits) in [(0, false), (255, false), (256, true), (257, false)] {
            assert_eq!(rsa.signature_in_der(&vec![1; length]).is_some(), fits, "{length}");
        }
    }

    // What a key says about itself

    #[test]
    fn kid_and_alg_are_kept() {
        let key = jwk(RSA).unwrap();
        assert_eq!(key.kid.as_deref(), Some("2011-04-29"));
        assert_eq!(key.algorithm, Some(Algorithm::Rs256));
        let key = jwk(P256).unwrap();
        assert_eq!((key.kid, key.algorithm), (None, None));
    }

    #[test]
    fn keys_that_are_for_verifying_are_used() {
        for members in [
            r#""use":"sig""#,
            r#""key_ops":["verify"]"#,
            r#""key_ops":["sign","verify"]"#,
            r#""use":"sig","key_ops":["verify"]"#,
            r#""alg":"ES256""#,
            r#""kid":"""#,
            r#""x5c":["AA=="],"x5u":"https://keys.example","unknown":{"d":1}"#,
        ] {
            assert!(jwk(&with(P256, members)).is_ok(), "{members}");
        }
        assert!(jwk(&with(ED25519, r#""alg":"EdDSA""#)).is_ok());
        assert!(jwk(&with(ED25519, r#""alg":"Ed25519""#)).is_ok());
    }

    #[test]
    fn keys_that_are_for_anything_else_are_refused() {
        let table = [
            (r#""use":"enc""#, Error::Use),
            (r#""use":"SIG""#, Error::Use),
            (r#""use":["sig"]"#, Error::Use),
            (r#""use":null"#, Error::Use),
            (r#""key_ops":[]"#, Error::Operations),
            (r#""key_ops":["sign"]"#, Error::Operations),
            (r#""key_ops":"verify""#, Error::Operations),
            (r#""key_ops":null"#, Error::Operations),
            (r#""alg":"none""#, Error::UnknownAlgorithm),
            (r#""alg":"ECDH-ES""#, Error::UnknownAlgorithm),
            (r#""alg":"HS256""#, Error::UnknownAlgorithm),
            (r#""alg":"es256""#, Error::UnknownAlgorithm),
            (r#""alg":"ES384""#, Error::OtherAlgorithm),
            (r#""alg":"RS256""#, Error::OtherAlgorithm),
            (r#""alg":"EdDSA""#, Error::OtherAlgorithm),
            (r#""alg":256"#, Error::NotAString("alg")),
            (r#""alg":null"#, Error::NotAString("alg")),
            (r#""kid":1"#, Error::NotAString("kid")),
        ];
        for (members, error) in table {
            assert_eq!(jwk(&with(P256, members)), Err(error), "{members}");
        }
    }

    #[test]
    fn an_rsa_key_for_encryption_is_refused() {
        let key = RSA.replace("RS256", "RSA-OAEP");
        assert_eq!(jwk(&key), Err(Error::UnknownAlgorithm));
    }

    #[test]
    fn a_kid_has_at_most_256_octets() {
        let key = |length| jwk(&with(P256, &format!(r#""kid":"{}""#, "k".repeat(length))));
        assert_eq!(key(256).unwrap().kid.unwrap().len(), 256);
        assert_eq!(key(257), Err(Error::KidTooLong));
    }

    #[test]
    fn a_key_with_a_private_member_is_refused_as_such() {
        for name in PRIVATE_MEMBERS {
            for value in [r#""AQAB""#, "null", "[]"] {
                for key in [P256, ED25519, RSA] {
                    assert_eq!(jwk(&with(key, &format!(r#""{name}":{value}"#))), Err(Error::Private), "{name}");
                }
            }
        }
    }

    #[test]
    fn symmetric_keys_never_verify() {
        assert_eq!(jwk(r#"{"kty":"oct","k":"AAECAw","alg":"HS256"}"#), Err(Error::Private));
        assert_eq!(jwk(r#"{"kty":"oct"}"#), Err(Error::Symmetric));
    }

    #[test]
    fn anything_that_is_not_a_known_key_is_refused() {
        let table = [
            ("[]", Error::NotAMap),
            ("null", Error::NotAMap),
            (r#""RSA""#, Error::NotAMap),
            ("{}", Error::Missing("kty")),
            (r#"{"kty":null}"#, Error::NotAString("kty")),
            (r#"{"kty":"AKP"}"#, Error::UnknownType),
            (r#"{"kty":"rsa"}"#, Error::UnknownType),
            (r#"{"kty":"EC"}"#, Error::Missing("crv")),
            (r#"{"kty":"EC","crv":"P-521"}"#, Error::UnknownCurve),
            (r#"{"kty":"EC","crv":"secp256k1"}"#, Error::UnknownCurve),
            (r#"{"kty":"EC","crv":"Ed25519"}"#, Error::UnknownCurve),
            (r#"{"kty":"EC","crv":"P-256"}"#, Error::Missing("x")),
            (r#"{"kty":"OKP","crv":"X25519"}"#, Error::UnknownCurve),
            (r#"{"kty":"OKP","crv":"Ed448"}"#, Error::UnknownCurve),
            (r#"{"kty":"OKP","crv":"P-256"}"#, Error::UnknownCurve),
            (r#"{"kty":"OKP","crv":"Ed25519","x":7}"#, Error::NotAString("x")),
            (r#"{"kty":"RSA","e":"AQAB"}"#, Error::Missing("n")),
            (r#"{"kty":"RSA","n":"AQAB"}"#, Error::Missing("e")),
        ];
        for (key, error) in table {
            assert_eq!(jwk(key), Err(error), "{key}");
        }
    }

    // RSA

    /// An odd number of exactly this many bits.
    fn modulus(bits: usize) -> Vec<u8> {
        let mut octets = vec![0xff; bits.div_ceil(8)];
        octets[0] >>= (8 - bits % 8) % 8;
        octets
    }

    const E: &[u8] = &[1, 0, 1];

    #[test]
    fn rsa_keys_have_2048_to_8192_bits() {
        for bits in [2048, 2049, 3072, 4096, 8191, 8192] {
            assert!(jwk(&rsa_jwk(&modulus(bits), E)).is_ok(), "{bits}");
        }
        for bits in [512, 1024, 2047, 8193, 16384] {
            assert_eq!(jwk(&rsa_jwk(&modulus(bits), E)), Err(Error::ModulusSize { bits }));
        }
        assert_eq!(jwk(&rsa_jwk(&[], E)), Err(Error::ModulusSize { bits: 0 }));
    }

    #[test]
    fn rsa_exponents_are_odd_and_from_3_to_33_bits() {
        let n = modulus(2048);
        let good: [&[u8]; 5] = [&[3], &[17], &[1, 0, 1], &[0xff; 4], &[1, 0xff, 0xff, 0xff, 0xff]];
        for e in good {
            assert!(jwk(&rsa_jwk(&n, e)).is_ok(), "{e:?}");
        }
        let bad: [&[u8]; 8] = [&[], &[1], &[2], &[4], &[1, 0, 0], &[2, 0, 0, 0, 1], &[0xff; 8], &[0xff; 256]];
        for e in bad {
            assert_eq!(jwk(&rsa_jwk(&n, e)), Err(Error::Exponent), "{e:?}");
        }
    }

    #[test]
    fn rsa_numbers_have_one_spelling() {
        let n = modulus(2048);
        let padded = [&[0][..], &n].concat();
        assert_eq!(jwk(&rsa_jwk(&padded, E)), Err(Error::LeadingZero("n")));
        assert_eq!(jwk(&rsa_jwk(&n, &[0, 1, 0, 1])), Err(Error::LeadingZero("e")));
        assert_eq!(jwk(&rsa_jwk(&n, &[0])), Err(Error::LeadingZero("e")));
        let key = |e| format!(r#"{{"kty":"RSA","n":"{}","e":"{e}"}}"#, base64url::encode(&n));
        assert!(jwk(&key("AQAB")).is_ok());
        assert_eq!(jwk(&key("AQAB=")), Err(Error::Encoding("e", base64url::Error::Character)));
        assert_eq!(jwk(&key("AQABA")), Err(Error::Encoding("e", base64url::Error::Length)));
        assert_eq!(jwk(&key("Ax")), Err(Error::Encoding("e", base64url::Error::TrailingBits)));
    }

    #[test]
    fn an_even_modulus_is_refused() {
        let mut n = modulus(2048);
        *n.last_mut().unwrap() = 0xfe;
        assert_eq!(jwk(&rsa_jwk(&n, E)), Err(Error::Modulus));
    }

    #[test]
    fn a_modulus_of_the_faulty_generator_is_refused() {
        // Two primes of the form k·M + (65537^a mod M), M the product of the first 126 primes.
        let key = format!(r#"{{"kty":"RSA","e":"AQAB","n":"{ROCA}"}}"#);
        assert_eq!(jwk(&key), Err(Error::Factorable));
    }

    const ROCA: &str = "2yXZR1bDxMrvcIiuCm-hw1yen9rYWau3z03_UBiSbngSn_16UVckw9-HXr7akYbtfz5WAsLjq9Dy4dzFVNe9xuDzUx2T1Y9YFQQv7lstDZzqCRlBfOk2zTapVMK5YMPd8aw8lD3kFop2DmjR6Jdt2wOn9djNzzGB2PgLnxP63ljVhwrwXWep-2r8iOjKjg7Qv7VOPlfaE1nLBY6yLNR9hFXd-rFuV-HQCc-Q-IfDY5yMlY7HLAJK---H3CR2-d0HLXB9ZrfuHx9tqX_47ywOKbzhQnkIN1J2E46uT014EsH7Ye_qbRdOjKBORz7A3v348SQNYbZH29ljlM4E5qKzbw";

    /// Numbers that are as good as random for a key that protects nothing.
    struct Numbers(u64);

    impl TryRng for Numbers {
        type Error = Infallible;

        fn try_next_u32(&mut self) -> Result<u32, Infallible> {
            self.try_next_u64().map(|number| number as u32)
        }

        fn try_next_u64(&mut self) -> Result<u64, Infallible> {
            self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            Ok(mixed ^ (mixed >> 31))
        }

        fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
            for octet in octets {
                *octet = self.try_next_u64()? as u8;
            }
            Ok(())
        }
    }

    impl TryCryptoRng for Numbers {}

    fn rsa_private() -> &'static rsa::PrivateKey {
        static KEY: OnceLock<rsa::PrivateKey> = OnceLock::new();
        KEY.get_or_init(|| rsa::PrivateKey::new(&mut Numbers(1), 2048).unwrap())
    }

    fn rsa_signer_key() -> PublicKey {
        let key = rsa_private();
        rsa_public(&key.n().to_be_bytes_trimmed_vartime(), &key.e().to_be_bytes_trimmed_vartime())
    }

    const RSA_ALGORITHMS: [Algorithm; 6] =
        [Algorithm::Rs256, Algorithm::Rs384, Algorithm::Rs512, Algorithm::Ps256, Algorithm::Ps384, Algorithm::Ps512];

    fn rsa_signature(algorithm: Algorithm) -> Vec<u8> {
        let key = rsa_private();
        match algorithm {
            Algorithm::Rs256 => key.pkcs1v15_sign::<Sha256>(MESSAGE).unwrap(),
            Algorithm::Rs384 => key.pkcs1v15_sign::<Sha384>(MESSAGE).unwrap(),
            Algorithm::Rs512 => key.pkcs1v15_sign::<Sha512>(MESSAGE).unwrap(),
            Algorithm::Ps256 => pss_signature::<Sha256>(32),
            Algorithm::Ps384 => pss_signature::<Sha384>(48),
            Algorithm::Ps512 => pss_signature::<Sha512>(64),
            other => unreachable!("{other} is not of RSA"),
        }
    }

    fn pss_signature<D: sha2::digest::Digest + sha2::digest::FixedOutputReset>(salt: usize) -> Vec<u8> {
        let signer = rsa::pss::SigningKey::<D>::new_with_salt_len(rsa_private().clone(), salt);
        signer.sign_with_rng(&mut Numbers(2), MESSAGE).to_vec()
    }

    #[test]
    fn an_rsa_signature_verifies_by_its_own_algorithm_only() {
        let key = rsa_signer_key();
        for made in RSA_ALGORITHMS {
            let signature = rsa_signature(made);
            for asked in RSA_ALGORITHMS {
                assert_eq!(key.verify(asked, MESSAGE, &signature), made == asked, "made by {made}, asked for {asked}");
            }
            assert!(!key.verify(Algorithm::Es256, MESSAGE, &signature));
            assert!(!key.verify(Algorithm::EdDsa, MESSAGE, &signature));
            assert!(!key.verify(made, b"massage", &signature));
        }
    }

    #[test]
    fn an_rsa_signature_has_the_length_of_the_modulus() {
        let key = rsa_signer_key();
        for algorithm in RSA_ALGORITHMS {
            let good = rsa_signature(algorithm);
            assert!(key.verify(algorithm, MESSAGE, &good));
            for bad in [&[][..], &good[1..], &good[..255], &[&[0], &good[..]].concat(), &[&good[..], &[0]].concat()] {
                assert!(!key.verify(algorithm, MESSAGE, bad), "{algorithm}, {} octets", bad.len());
            }
        }
    }

    #[test]
    fn an_rsa_signature_is_below_the_modulus() {
        let key = rsa_signer_key();
        let n = rsa_private().n().to_be_bytes_trimmed_vartime();
        for algorithm in RSA_ALGORITHMS {
            for number in [vec![0; 256], vec![0xff; 256], n.to_vec(), [&[0; 255][..], &[1]].concat()] {
                assert!(!key.verify(algorithm, MESSAGE, &number), "{algorithm}");
            }
        }
    }

    #[test]
    fn a_pss_salt_has_the_length_of_the_hash() {
        let key = rsa_signer_key();
        assert!(key.verify(Algorithm::Ps256, MESSAGE, &pss_signature::<Sha256>(32)));
        for salt in [0, 20, 31, 33, 64] {
            assert!(!key.verify(Algorithm::Ps256, MESSAGE, &pss_signature::<Sha256>(salt)), "{salt}");
        }
        assert!(key.verify(Algorithm::Ps512, MESSAGE, &pss_signature::<Sha512>(64)));
        for salt in [0, 32, 63] {
            assert!(!key.verify(Algorithm::Ps512, MESSAGE, &pss_signature::<Sha512>(salt)), "{salt}");
        }
    }

    #[test]
    fn pss_masks_with_its_own_hash_and_ends_in_bc() {
        let key = jwk(&format!(r#"{{"kty":"RSA","e":"AQAB","n":"{PSS_KEY}"}}"#)).unwrap().key;
        let verifies = |signature| key.verify(Algorithm::Ps256, MESSAGE, &base64url::decode(signature).unwrap());
        assert!(verifies(PSS_GOOD));
        assert!(!verifies(PSS_MASKED_WITH_SHA_1));
        assert!(!verifies(PSS_ENDING_IN_CC));
    }

    const PSS_KEY: &str = "tjO6NW-kBT0zweXrZoSUUsy32JiWNRrYTqW1DAtV3QdvMSzLDhifSzcUBS2jdPWA9DuSkauHR03gG4WOqdBza7W0jUWlYuLAmIpNbdalVLLl2V-EToHCWZFK736C4DFOXtnWZZ9n1KZDCwdBg6I9Lz4trXov2rUy4AqFWAwct2zTtr5Uw4kKonfaBw_H4AfAZJI4EAMcLIIn47tauHC3TFcS6qSV0BzB-a_lnV2mXrvasAqVxXs8cUyT10VGcA-u_pj9oPeZ912JmSvQhDOQ56v-bj9W4Br-uzl0AsseulCgkhWCWkDBbGToKRbox4NnXgDre__9S7bs0V-hrLjpeQ";
    const PSS_GOOD: &str = "d2bJ05fpPtymA5l4LCiViXuVgT4fmg0iJNONmF5Xrgwzyy0PeppBHcX7ugC63m7Set_wy6pR2JcGEZyvmYhiYPFikfvSyHi6B_SgXVkhpL_3XO8mbJjq0KdhhBzsQeYcvSmJLU2FMuKWDwObOwyZuygK38QBz27PjSmxoVh75THyTBNoOgBZ37-yXzSfsTHtoHAzCRlVv7fnzUjWCcyiffwCUI_u8YdK45tH9BhF8UQlnDUGP8cB9YyxdIgKEgo86pHkQksBAR5g1vff1HvM6iKwqtDkjpcaQExXvma5gJt0tKsd-sAekAJcF_GAC8T7Z71HZZh9iymPEJvsL0Gfkw";
    const PSS_MASKED_WITH_SHA_1: &str = "fST4OCUXXvPpOBo5hyArq6bMtNudiu10CiGINF2RSjpQFyaTbWnJoVYm6xSpFBRlRL0jDESU1oYL2fQvRK4Vxjo9SjCrGI-XPsnt1g606orDXg5_itkhaqRGZTnJ6wQTQmZBbexdRw12jY505TwpBxkQWnm3ZLa_r8qJIT1DQ_IhNhnamHcK-gjMQ7HiSa2HgKAVvGeqU8tVKP1nAzkT4U7V5iZh-fvy97jS1E89o_E6uVe_klSBLIaKDyuK8Nr9p9clk56qaqUG2DRnfdQvQ1Vr6XoSEZy4BKgzDFtbCZ4o_YU87skyq_-NAkVueOfixVz6kMpWEeipUuPA5i9NZg";
    const PSS_ENDING_IN_CC: &str = "F4gIJv6GVrbMaXtYeyeZdTci1behAQhXURKB-xQf8xjkvz2q1s_MXAY7QOAFhQ4k5cxXWegapTHIoFs3fg8DUkGGoIKxYux_ENgOU3A1O7FpALZT5ywGdJ_ehxOfxJWS5316JFoJSQgQhiSgoOr9BoVQpaPV06PE3Gb9JbeCVjB8SXz6dJj_Sb7cVx1t75iGZlk4_Nl2mDDGe7WO1N0wcKYn3g2r4ukxOgI4KxmQkZYBrl5GddWz8_dklkJmprekYujF0Ei0nwN9zhF4ItbBT2lLp-I54uxPy8pFPrr9DJYIy1LE29UsiSbkc9UOw-76qIrMG2QLzK4lWLeTaXtNNg";

    // ECDSA

    fn p256_signer() -> p256::ecdsa::SigningKey {
        p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap()
    }

    fn p384_signer() -> p384::ecdsa::SigningKey {
        p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap()
    }

    fn p256_key() -> PublicKey {
        let point = p256_signer().verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        jwk(&ec_jwk("P-256", x, y)).unwrap().key
    }

    fn p384_key() -> PublicKey {
        let point = p384_signer().verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(48);
        jwk(&ec_jwk("P-384", x, y)).unwrap().key
    }

    fn p256_signature() -> p256::ecdsa::Signature {
        p256_signer().sign(MESSAGE)
    }

    /// The order of P-256.
    const N: [u8; 32] = [
        0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
        0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
    ];

    #[test]
    fn an_ecdsa_signature_verifies_by_the_algorithm_of_its_curve_only() {
        let signature: p384::ecdsa::Signature = p384_signer().sign(MESSAGE);
        assert!(p384_key().verify(Algorithm::Es384, MESSAGE, &signature.to_bytes()));
        assert!(!p384_key().verify(Algorithm::Es384, b"massage", &signature.to_bytes()));
        assert!(!p384_key().verify(Algorithm::Es256, MESSAGE, &signature.to_bytes()));
        assert!(!p256_key().verify(Algorithm::Es384, MESSAGE, &signature.to_bytes()));
        let signature = p256_signature();
        assert!(p256_key().verify(Algorithm::Es256, MESSAGE, &signature.to_bytes()));
        assert!(!p256_key().verify(Algorithm::Es256, b"massage", &signature.to_bytes()));
        assert!(!p256_key().verify(Algorithm::Rs256, MESSAGE, &signature.to_bytes()));
        assert!(!jwk(P256).unwrap().key.verify(Algorithm::Es256, MESSAGE, &signature.to_bytes()));
    }

    #[test]
    fn either_s_of_an_ecdsa_signature_is_accepted() {
        let (r, s) = p256_signature().split_scalars();
        let other = p256::ecdsa::Signature::from_scalars(r, -s).unwrap();
        assert_ne!(other, p256_signature());
        assert!(p256_key().verify(Algorithm::Es256, MESSAGE, &other.to_bytes()));
    }

    #[test]
    fn r_and_s_of_es256_are_from_1_to_below_the_order() {
        let good = p256_signature().to_bytes();
        let (r, s) = good.split_at(32);
        assert!(p256_key().verify(Algorithm::Es256, MESSAGE, &[r, s].concat()));
        let zero: &[u8] = &[0; 32];
        let most: &[u8] = &[0xff; 32];
        let order: &[u8] = &N;
        for [r, s] in [
            [zero, zero],
            [zero, s],
            [r, zero],
            [order, order],
            [order, s],
            [r, order],
            [most, most],
            [most, s],
            [r, most],
            [s, r],
        ] {
            assert!(!p256_key().verify(Algorithm::Es256, MESSAGE, &[r, s].concat()), "{r:?} {s:?}");
        }
    }

    #[test]
    fn an_ecdsa_signature_is_r_and_s_in_full_length() {
        let good = p256_signature().to_bytes().to_vec();
        let (r, s) = good.split_at(32);
        let der = [&[0x30, 0x44, 0x02, 0x20], r, &[0x02, 0x20], s].concat();
        let zero: &[u8] = &[0];
        let bad: [Vec<u8>; 8] = [
            vec![],
            good[..63].to_vec(),
            good[1..].to_vec(),
            [zero, &good].concat(),
            [&good, zero].concat(),
            [zero, r, zero, s].concat(),
            [&good[..], &good[..]].concat(),
            der,
        ];
        for signature in bad {
            assert!(!p256_key().verify(Algorithm::Es256, MESSAGE, &signature), "{} octets", signature.len());
        }
        let good: p384::ecdsa::Signature = p384_signer().sign(MESSAGE);
        for length in [0, 64, 95] {
            assert!(!p384_key().verify(Algorithm::Es384, MESSAGE, &good.to_bytes()[..length]), "{length} octets");
        }
    }

    #[test]
    fn coordinates_have_the_full_length_of_the_field() {
        let point = p256_signer().verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        assert!(jwk(&ec_jwk("P-256", x, y)).is_ok());
        let padded = |coordinate| [&[0][..], coordinate].concat();
        for (key, error) in [
            (ec_jwk("P-256", &x[1..], y), Error::CoordinateLength("x")),
            (ec_jwk("P-256", x, &y[..31]), Error::CoordinateLength("y")),
            (ec_jwk("P-256", &padded(x), y), Error::CoordinateLength("x")),
            (ec_jwk("P-256", x, &padded(y)), Error::CoordinateLength("y")),
            (ec_jwk("P-256", &[], &[]), Error::CoordinateLength("x")),
            (ec_jwk("P-384", x, y), Error::CoordinateLength("x")),
        ] {
            assert_eq!(jwk(&key), Err(error), "{key}");
        }
    }

    #[test]
    fn coordinates_are_those_of_a_point_on_the_curve() {
        let point = p256_signer().verifying_key().to_sec1_point(false);
        let (x, y) = point.as_bytes()[1..].split_at(32);
        let mut other = y.to_vec();
        other[31] ^= 1;
        for (x, y) in [(x, &other[..]), (y, x), (&[0; 32], &[0; 32]), (&[0xff; 32], y)] {
            assert_eq!(jwk(&ec_jwk("P-256", x, y)), Err(Error::NotOnCurve));
        }
        assert_eq!(jwk(&ec_jwk("P-384", &[0; 48], &[0; 48])), Err(Error::NotOnCurve));
    }

    #[test]
    fn a_coordinate_is_below_the_prime_of_the_field() {
        // The point whose x is 0, and the same with the prime itself for x.
        let key =
            |x| format!(r#"{{"kty":"EC","crv":"P-256","x":"{x}","y":"ZkhceA4vg9ckM71dhKBrtlQcKvMdrocXKL-FahdPk_Q"}}"#);
        assert!(jwk(&key("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).is_ok());
        assert_eq!(jwk(&key("_____wAAAAEAAAAAAAAAAAAAAAD_______________8")), Err(Error::NotOnCurve));
    }

    // Ed25519

    /// The key of the seed that is 32 times 7, and what it made of `MESSAGE`.
    const ED25519_X: &str = "6kpsY-KcUgq-9VB7Ey7F-ZVHdq6-vnuSQh7qaRRG0iw";
    const ED25519_GOOD: &str = "709i-EeXM62HnPrO08ianDndT8eV7y76HD6v5NcpoIHc7_qTvsc3eLM5SEKvQwKuOmcW3H9m5ZZPC7EC4hPVAQ";
    /// The same with the order of the group added to S.
    const ED25519_S_ABOVE_ORDER: &str =
        "709i-EeXM62HnPrO08ianDndT8eV7y76HD6v5NcpoIHJw_Dw2CpK0InWP-WNPeHCOmcW3H9m5ZZPC7EC4hPVEQ";
    /// Fits the equation, but R is the neutral element.
    const ED25519_NEUTRAL_R: &str =
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAADUxTIxMf-Wg8-z0wGXx4bJBD8QUtbC1Sk_Gdbza5ERBA";

    #[test]
    fn an_ed25519_signature_has_one_form() {
        let key = jwk(&ed25519_jwk(ED25519_X)).unwrap().key;
        let verifies = |signature: &[u8]| key.verify(Algorithm::EdDsa, MESSAGE, signature);
        let good = base64url::decode(ED25519_GOOD).unwrap();
        assert!(verifies(&good));
        assert!(!key.verify(Algorithm::EdDsa, b"massage", &good));
        assert!(!key.verify(Algorithm::Es256, MESSAGE, &good));
        assert!(!verifies(&base64url::decode(ED25519_S_ABOVE_ORDER).unwrap()));
        assert!(!verifies(&base64url::decode(ED25519_NEUTRAL_R).unwrap()));
        for bad in [&[][..], &good[..63], &good[1..], &[&good[..], &[0]].concat(), &[0; 64]] {
            assert!(!verifies(bad), "{} octets", bad.len());
        }
    }

    #[test]
    fn ed25519_keys_of_small_order_are_refused() {
        for x in [
            "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAIA",
            "7P_______________________________________38",
            "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",
            "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA_o",
            "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_AU",
            "JuiVj8KyJ7BFw_SJ8u-Y8NXfrAXTxjM5sTgCiG1T_IU",
            "7f_______________________________________38",
            "7f________________________________________8",
            "7v_______________________________________38",
        ] {
            assert_eq!(jwk(&ed25519_jwk(x)), Err(Error::SmallOrder), "{x}");
        }
    }

    #[test]
    fn an_ed25519_key_has_one_encoding() {
        // y is 3, and then 3 more than the prime.
        assert!(jwk(&ed25519_jwk("AwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")).is_ok());
        assert_eq!(jwk(&ed25519_jwk("8P_______________________________________38")), Err(Error::NotOnCurve));
        // No point has this y.
        assert_eq!(jwk(&ed25519_jwk("AgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")), Err(Error::NotOnCurve));
        assert_eq!(jwk(&ed25519_jwk("AwAA")), Err(Error::CoordinateLength("x")));
    }

    // Sets

    fn set(keys: &[String]) -> JwkSet {
        JwkSet::parse(format!(r#"{{"keys":[{}]}}"#, keys.join(",")).as_bytes()).unwrap().0
    }

    #[test]
    fn bad_keys_are_skipped_and_good_ones_used() {
        let text = format!(
            r#"{{"keys":[{},{{"kty":"AKP","kid":"pq"}},7,{},{}],"note":1}}"#,
            with(P256, r#""kid":"a""#),
            with(P256, r#""kid":"b","d":"AQAB""#),
            with(ED25519, r#""kid":"c""#),
        );
        let (set, skipped) = JwkSet::parse(text.as_bytes()).unwrap();
        let kids: Vec<_> = set.keys.iter().map(|key| key.kid.as_deref()).collect();
        assert_eq!(kids, [Some("a"), Some("c")]);
        assert_eq!(
            skipped,
            [
                Skipped { index: 1, kid: Some("pq".into()), reason: Error::UnknownType },
                Skipped { index: 2, kid: None, reason: Error::NotAMap },
                Skipped { index: 3, kid: Some("b".into()), reason: Error::Private },
            ]
        );
    }

    #[test]
    fn an_empty_set_is_a_set() {
        assert_eq!(JwkSet::parse(br#"{"keys":[]}"#), Ok((JwkSet::default(), vec![])));
    }

    #[test]
    fn anything_that_is_not_a_set_is_refused() {
        for text in ["[]", "{}", "null", r#"{"keys":{}}"#, r#"{"keys":null}"#, r#"{"Keys":[]}"#, P256] {
            assert_eq!(JwkSet::parse(text.as_bytes()), Err(Error::NoKeys), "{text}");
        }
        let at = |column| Some(json::Position { line: 1, column });
        let ends_early = json::Error { what: json::Problem::EndsEarly, at: at(9) };
        assert_eq!(JwkSet::parse(br#"{"keys":["#), Err(Error::SetJson(ends_early)));
        let twice = json::Error { what: json::Problem::DuplicateName("keys".into()), at: at(17) };
        assert_eq!(JwkSet::parse(br#"{"keys":[],"keys":[]}"#), Err(Error::SetJson(twice)));
    }

    #[test]
    fn a_set_has_at_most_64_keys_and_64_kib() {
        let keys = |count| format!(r#"{{"keys":[{}]}}"#, vec!["{}"; count].join(","));
        assert_eq!(JwkSet::parse(keys(64).as_bytes()).map(|(_, skipped)| skipped.len()), Ok(64));
        assert_eq!(JwkSet::parse(keys(65).as_bytes()), Err(Error::TooManyKeys));
        let padded = |length: usize| r#"{"keys":[]}"#.to_owned() + &" ".repeat(length - 11);
        assert!(JwkSet::parse(padded(65536).as_bytes()).is_ok());
        assert_eq!(JwkSet::parse(padded(65537).as_bytes()), Err(Error::SetTooLong));
    }

    #[test]
    fn kid_chooses_the_key() {
        let set = set(&[with(P256, r#""kid":"a""#), with(ED25519, r#""kid":"b""#)]);
        assert_eq!(set.candidates(Some("a"), Algorithm::Es256), Candidates::Keys(vec![&set.keys[0]]));
        assert_eq!(set.candidates(Some("b"), Algorithm::EdDsa), Candidates::Keys(vec![&set.keys[1]]));
        assert_eq!(set.candidates(Some("c"), Algorithm::Es256), Candidates::UnknownKid);
        assert_eq!(set.candidates(Some("A"), Algorithm::Es256), Candidates::UnknownKid);
        assert_eq!(set.candidates(Some(""), Algorithm::Es256), Candidates::UnknownKid);
        assert_eq!(set.candidates(Some("a"), Algorithm::EdDsa), Candidates::NoneFits);
        assert_eq!(set.candidates(Some("a"), Algorithm::Es384), Candidates::NoneFits);
    }

    #[test]
    fn several_keys_of_one_kid_are_told_apart_by_the_algorithm() {
        let set = set(&[
            with(P256, r#""kid":"a""#),
            with(ED25519, r#""kid":"a""#),
            RSA.replace("2011-04-29", "a"),
            RSA.replace("2011-04-29", "a").replace("RS256", "PS256"),
            with(P256, r#""kid":"a","alg":"ES256""#),
        ]);
        let keys = |positions: &[usize]| Candidates::Keys(positions.iter().map(|&at| &set.keys[at]).collect());
        assert_eq!(set.candidates(Some("a"), Algorithm::Es256), keys(&[0, 4]));
        assert_eq!(set.candidates(Some("a"), Algorithm::EdDsa), keys(&[1]));
        assert_eq!(set.candidates(Some("a"), Algorithm::Rs256), keys(&[2]));
        assert_eq!(set.candidates(Some("a"), Algorithm::Ps256), keys(&[3]));
        assert_eq!(set.candidates(Some("a"), Algorithm::Rs384), Candidates::NoneFits);
    }

    #[test]
    fn a_key_for_one_algorithm_is_used_for_no_other() {
        let one = set(&[RSA.replace("RS256", "PS256")]);
        assert_eq!(one.candidates(Some("2011-04-29"), Algorithm::Ps256), Candidates::Keys(vec![&one.keys[0]]));
        assert_eq!(one.candidates(Some("2011-04-29"), Algorithm::Rs256), Candidates::NoneFits);
        assert_eq!(one.candidates(None, Algorithm::Rs256), Candidates::NoneFits);
    }

    #[test]
    fn without_kid_only_a_single_fitting_key_is_used() {
        let set = set(&[with(P256, r#""kid":"a""#), P256.to_owned(), ED25519.to_owned()]);
        assert_eq!(set.candidates(None, Algorithm::EdDsa), Candidates::Keys(vec![&set.keys[2]]));
        assert_eq!(set.candidates(None, Algorithm::Es256), Candidates::Ambiguous);
        assert_eq!(set.candidates(None, Algorithm::Rs256), Candidates::NoneFits);
        assert_eq!(JwkSet::default().candidates(None, Algorithm::Es256), Candidates::NoneFits);
        assert_eq!(JwkSet::default().candidates(Some("a"), Algorithm::Es256), Candidates::UnknownKid);
    }

    #[test]
    fn an_errors_words_name_the_fault() {
        assert_eq!(Error::ModulusSize { bits: 1024 }.to_string(), "the modulus has 1024 bits, not 2048 to 8192");
        assert_eq!(
            Error::Encoding("x", base64url::Error::Character).to_string(),
            "x is not base64url: a character is not of the base64url alphabet"
        );
    }
}
