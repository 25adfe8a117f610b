//! Turns the compact serialization of a JWS (RFC 7515 §7.1) into its header, payload and signature, none of them believed yet.

use super::algorithm::Algorithm;
use super::base64url;
use super::json::{self, Limits, Object, Value};
use super::jwk::PublicKey;
use std::fmt;

/// A signed object as it was presented. What it says is not to be believed before [`Jws::verify`].
pub struct Jws<'a> {
    header: Header,
    payload: Vec<u8>,
    signature: Vec<u8>,
    /// Header and payload as they were written, with the dot between them.
    signing_input: &'a str,
}

/// The JOSE header (RFC 7515 §4).
pub struct Header {
    /// `alg` as written; not empty.
    pub algorithm_name: String,
    /// Which key of its issuer signed; opaque, at most 256 octets.
    pub kid: Option<String>,
    /// The media type of the whole object; compare it with [`media_type_is`].
    pub typ: Option<String>,
    /// The media type of the payload.
    pub cty: Option<String>,
    /// Something must be understood that is not understood here: refuse (RFC 7515 §4.1.11).
    pub crit_present: bool,
    /// The payload may be written otherwise (RFC 7797): refuse.
    pub b64_present: bool,
    members: Object,
}

/// One of the three parts of a compact serialization.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Header,
    Payload,
    Signature,
}

/// Why a text is not a signed object, or why its signature was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not exactly three parts with dots between them.
    NotThreeParts,
    /// A part holds nothing.
    EmptyPart(Part),
    /// A part is not base64url.
    Encoding(Part, base64url::Error),
    /// The header has more than 2 KiB.
    HeaderTooLong,
    /// The header is not JSON, or not as strictly as required.
    HeaderJson(json::Error),
    /// The header is JSON but not an object.
    HeaderNotAMap,
    /// `alg` is missing, empty or not a string.
    NoAlgorithm,
    /// This header parameter is not a string.
    NotAString(&'static str),
    /// `kid` has more than 256 octets.
    KidTooLong,
    /// The header names another algorithm than the one to verify with.
    OtherAlgorithm,
    /// The signature is not one of this key, by this algorithm, for this header and payload.
    Signature,
}

const LONGEST_HEADER: usize = 2048;
pub(super) const LONGEST_KID: usize = 256;

impl<'a> Jws<'a> {
    /// Reads the three parts; strict about everything that could be spelled in two ways.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Error::NotThreeParts)?;
        let (header, payload) = signing_input.split_once('.').ok_or(Error::NotThreeParts)?;
        if payload.contains('.') {
            return Err(Error::NotThreeParts);
        }
        // Four characters carry three octets.
        if header.len() > LONGEST_HEADER.div_ceil(3) * 4 {
            return Err(Error::HeaderTooLong);
        }
        Ok(Self {
            header: Header::parse(&octets(header, Part::Header)?)?,
            payload: octets(payload, Part::Payload)?,
            signature: octets(signature, Part::Signature)?,
            signing_input,
        })
    }

    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The octets of the payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The octets of the signature.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// The octets that are signed.
    pub fn signing_input(&self) -> &'a [u8] {
        self.signing_input.as_bytes()
    }

    /// Whether `key` signed header and payload by `algorithm`, which must be the one that the header names.
    pub fn verify(&self, key: &PublicKey, algorithm: Algorithm) -> Result<(), Error> {
        if self.header.algorithm() != Some(algorithm) {
            return Err(Error::OtherAlgorithm);
        }
        if !key.verify(algorithm, self.signing_input(), &self.signature) {
            return Err(Error::Signature);
        }
        Ok(())
    }
}

impl Header {
    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LONGEST_HEADER {
            return Err(Error::HeaderTooLong);
        }
        let Value::Object(members) = json::parse(bytes, Limits::TOKEN).map_err(Error::HeaderJson)? else {
            return Err(Error::HeaderNotAMap);
        };
        let algorithm_name = members.get("alg").and_then(Value::as_str).filter(|name| !name.is_empty());
        let kid = string(&members, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(Error::KidTooLong);
        }
        Ok(Self {
            algorithm_name: algorithm_name.ok_or(Error::NoAlgorithm)?.to_owned(),
            kid,
            typ: string(&members, "typ")?,
            cty: string(&members, "cty")?,
            crit_present: members.get("crit").is_some(),
            b64_present: members.get("b64").is_some(),
            members,
        })
    }

    /// The algorithm that `alg` names, if it is one that is ever verified.
    pub fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::parse(&self.algorithm_name)
    }

    /// Any header parameter, as it was written.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(name)
    }
}

fn octets(text: &str, part: Part) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Err(Error::EmptyPart(part));
    }
    base64url::decode(text).map_err(|error| Error::Encoding(part, error))
}

fn string(members: &Object, name: &'static str) -> Result<Option<String>, Error> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(Error::NotAString(name)),
    }
}

/// Whether two media types are the same (RFC 7515 §4.1.9): case does not count, and `application/` is meant where there is no `/`.
pub fn media_type_is(typ: &str, expected: &str) -> bool {
    subtype_of_application(typ).eq_ignore_ascii_case(subtype_of_application(expected))
}

/// Cuts `application/` off, unless another `/` follows: RFC 7515 §4.1.9 omits the prefix only then.
fn subtype_of_application(media_type: &str) -> &str {
    match media_type.split_once('/') {
        Some((kind, subtype)) if kind.eq_ignore_ascii_case("application") && !subtype.contains('/') => subtype,
        _ => media_type,
    }
}

/// Keeps the token out of logs.
impl fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jws").field("header", &self.header).finish_non_exhaustive()
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Header").field("alg", &self.algorithm_name).field("kid", &self.kid).field("typ", &self.typ).finish_non_exhaustive()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Header => "header",
            Self::Payload => "payload",
            Self::Signature => "signature",
        })
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThreeParts => f.write_str("the signed object does not have three parts"),
            Self::EmptyPart(part) => write!(f, "the {part} is empty"),
            Self::Encoding(part, error) => write!(f, "the {part} is not base64url: {error}"),
            Self::HeaderTooLong => write!(f, "the header has more than {LONGEST_HEADER} octets"),
            Self::HeaderJson(error) => write!(f, "the header is not JSON: {error}"),
            Self::HeaderNotAMap => f.write_str("the header is not a JSON object"),
            Self::NoAlgorithm => f.write_str("the header names no algorithm"),
            Self::NotAString(name) => write!(f, "{name} in the header is not a string"),
            Self::KidTooLong => write!(f, "kid in the header has more than {LONGEST_KID} octets"),
            Self::OtherAlgorithm => f.write_str("the header names another algorithm"),
            Self::Signature => f.write_str("the signature is not one of this key"),
        }
    }
}

impl std::error::Error for Error {}
