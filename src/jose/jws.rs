//! Turns the compact serialization of a JWS (RFC 7515 §7.1) into its header, payload and signature, none of them believed yet.

use super::algorithm::Algorithm;
use super::base64url;
use super::json::{self, Limits, Object, Value};
use super::jwk::{LONGEST_KID, PublicKey};
use super::verifier::Verifier;
use std::fmt;

/// A signed object as it was presented. What it says is not to be believed before [`Jws::verify`]. Its header may be read in another
/// way than by [`Header::read`].
pub struct Jws<'a, H = Header> {
    header: H,
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
    /// A key that came with the object, and says nothing about who signed it. Only a DPoP proof is about such a key (RFC 9449 §4.2).
    pub jwk: Option<Value>,
    /// Something must be understood that is not understood here: refuse (RFC 7515 §4.1.11).
    pub crit_present: bool,
    /// The payload may be written otherwise (RFC 7797): refuse.
    pub b64_present: bool,
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

impl<'a, H> Jws<'a, H> {
    /// Reads the three parts; the first of them, as it was written, by `header`.
    pub fn parse_with<E: From<Error>>(text: &'a str, header: impl FnOnce(&'a str) -> Result<H, E>) -> Result<Self, E> {
        let (signing_input, signature) = text.rsplit_once('.').ok_or(Error::NotThreeParts)?;
        let (first, payload) = signing_input.split_once('.').ok_or(Error::NotThreeParts)?;
        if payload.contains('.') {
            return Err(Error::NotThreeParts.into());
        }
        Ok(Self {
            header: header(first)?,
            payload: octets(payload, Part::Payload)?,
            signature: octets(signature, Part::Signature)?,
            signing_input,
        })
    }

    pub fn header(&self) -> &H {
        &self.header
    }

    /// The octets of the payload.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Whether `key` signed header and payload by `algorithm`, whatever the header names.
    pub fn is_signed_by(&self, verifier: &dyn Verifier, key: &PublicKey, algorithm: Algorithm) -> bool {
        verifier.verify(key, algorithm, self.signing_input.as_bytes(), &self.signature)
    }
}

impl<'a> Jws<'a> {
    /// Reads the three parts; strict about everything that could be spelled in two ways.
    pub fn parse(text: &'a str) -> Result<Self, Error> {
        Self::parse_with(text, Header::read)
    }

    /// Whether `key` signed header and payload by `algorithm`, which must be the one that the header names.
    pub fn verify(&self, verifier: &dyn Verifier, key: &PublicKey, algorithm: Algorithm) -> Result<(), Error> {
        if self.header.algorithm() != Some(algorithm) {
            return Err(Error::OtherAlgorithm);
        }
        if self.is_signed_by(verifier, key, algorithm) { Ok(()) } else { Err(Error::Signature) }
    }
}

impl Header {
    /// Reads the first part as it was written.
    pub fn read(text: &str) -> Result<Self, Error> {
        // Four characters carry three octets.
        if text.len() > LONGEST_HEADER.div_ceil(3) * 4 {
            return Err(Error::HeaderTooLong);
        }
        Self::parse(&octets(text, Part::Header)?)
    }

    fn parse(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.len() > LONGEST_HEADER {
            return Err(Error::HeaderTooLong);
        }
        let Value::Object(mut members) = json::parse(bytes, Limits::TOKEN).map_err(Error::HeaderJson)? else {
            return Err(Error::HeaderNotAMap);
        };
        let Some(Value::String(algorithm_name)) = members.take("alg").filter(|name| name.as_str() != Some("")) else {
            return Err(Error::NoAlgorithm);
        };
        let kid = string(&mut members, "kid")?;
        if kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(Error::KidTooLong);
        }
        Ok(Self {
            algorithm_name,
            kid,
            typ: string(&mut members, "typ")?,
            cty: string(&mut members, "cty")?,
            jwk: members.take("jwk"),
            crit_present: members.get("crit").is_some(),
            b64_present: members.get("b64").is_some(),
        })
    }

    /// The algorithm that `alg` names, if it is one that is ever verified.
    pub fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::parse(&self.algorithm_name)
    }
}

fn octets(text: &str, part: Part) -> Result<Vec<u8>, Error> {
    if text.is_empty() {
        return Err(Error::EmptyPart(part));
    }
    base64url::decode(text).map_err(|error| Error::Encoding(part, error))
}

fn string(members: &mut Object, name: &'static str) -> Result<Option<String>, Error> {
    match members.take(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
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
        f.debug_struct("Header")
            .field("alg", &self.algorithm_name)
            .field("kid", &self.kid)
            .field("typ", &self.typ)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::jwk::Jwk;
    use super::super::verifier::InRust;
    use super::*;

    /// RFC 7515 appendix A.3.
    const ES256: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const ES256_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;
    /// RFC 7515 appendix A.5.
    const UNSECURED: &str = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.";
    /// RFC 8037 appendix A.4.
    const EDDSA: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
    const EDDSA_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;

    fn key(text: &str) -> PublicKey {
        Jwk::parse(&json::parse(text.as_bytes(), Limits::TOKEN).unwrap()).unwrap().key
    }

    /// A signed object of this header, with a payload and a signature that say nothing.
    fn of_header(header: &[u8]) -> String {
        format!("{}.e30.AAAA", base64url::encode(header))
    }

    fn refused(text: &str) -> Error {
        Jws::parse(text).unwrap_err()
    }

    #[test]
    fn rfc_7515_appendix_a_3_verifies() {
        let jws = Jws::parse(ES256).unwrap();
        assert_eq!(jws.header().algorithm_name, "ES256");
        assert_eq!(
            jws.payload(),
            b"{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"
        );
        assert_eq!(jws.verify(&InRust, &key(ES256_KEY), Algorithm::Es256), Ok(()));
    }

    #[test]
    fn rfc_8037_appendix_a_4_verifies() {
        let jws = Jws::parse(EDDSA).unwrap();
        assert_eq!(jws.payload(), b"Example of Ed25519 signing");
        assert_eq!(jws.verify(&InRust, &key(EDDSA_KEY), Algorithm::EdDsa), Ok(()));
    }

    #[test]
    fn an_unsecured_object_is_refused() {
        assert_eq!(refused(UNSECURED), Error::EmptyPart(Part::Signature));
        for name in ["none", "None", "nOnE", "NONE"] {
            let text = of_header(format!(r#"{{"alg":"{name}"}}"#).as_bytes());
            let jws = Jws::parse(&text).unwrap();
            assert_eq!(jws.header().algorithm(), None);
            assert_eq!(jws.verify(&InRust, &key(ES256_KEY), Algorithm::Es256), Err(Error::OtherAlgorithm));
        }
    }

    #[test]
    fn a_signature_of_another_key_or_for_other_octets_is_refused() {
        let other = r#"{"kty":"EC","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8","crv":"P-256"}"#;
        let jws = Jws::parse(ES256).unwrap();
        assert_eq!(jws.verify(&InRust, &key(other), Algorithm::Es256), Err(Error::Signature));
        assert_eq!(jws.verify(&InRust, &key(EDDSA_KEY), Algorithm::Es256), Err(Error::Signature));
        let changed = ES256.replacen(".eyJ", ".fyJ", 1);
        assert_eq!(
            Jws::parse(&changed).unwrap().verify(&InRust, &key(ES256_KEY), Algorithm::Es256),
            Err(Error::Signature)
        );
        let changed = ES256.replacen(".DtE", ".EtE", 1);
        assert_eq!(
            Jws::parse(&changed).unwrap().verify(&InRust, &key(ES256_KEY), Algorithm::Es256),
            Err(Error::Signature)
        );
    }

    #[test]
    fn the_header_names_the_algorithm_that_is_verified() {
        let jws = Jws::parse(EDDSA).unwrap();
        assert_eq!(jws.verify(&InRust, &key(ES256_KEY), Algorithm::Es256), Err(Error::OtherAlgorithm));
        assert_eq!(jws.verify(&InRust, &key(EDDSA_KEY), Algorithm::Es256), Err(Error::OtherAlgorithm));
    }

    #[test]
    fn anything_but_three_parts_is_refused() {
        let dots = ".".repeat(1_000_000);
        for text in [
            "",
            ".",
            "...",
            "e30",
            "e30.e30",
            "e30.e30.e30.e30",
            "e30.e30.e30.e30.e30",
            "e30.e30.e30.e30.e30.e30",
            dots.as_str(),
        ] {
            assert_eq!(refused(text), Error::NotThreeParts);
        }
        let flattened = r#"{"payload":"e30","protected":"e30","signature":"AA"}"#;
        assert_eq!(refused(flattened), Error::NotThreeParts);
    }

    #[test]
    fn an_empty_part_is_refused() {
        let header = base64url::encode(br#"{"alg":"ES256"}"#);
        assert!(Jws::parse(&format!("{header}.e30.AAAA")).is_ok());
        assert_eq!(refused(".."), Error::EmptyPart(Part::Header));
        assert_eq!(refused(".e30.AAAA"), Error::EmptyPart(Part::Header));
        assert_eq!(refused(&format!("{header}..AAAA")), Error::EmptyPart(Part::Payload));
        assert_eq!(refused(&format!("{header}.e30.")), Error::EmptyPart(Part::Signature));
    }

    #[test]
    fn every_part_is_strict_base64url() {
        let faults = [
            ("Zg==", base64url::Error::Character),
            ("Zg=", base64url::Error::Character),
            ("Zm9+", base64url::Error::Character),
            ("Zm9/", base64url::Error::Character),
            (" Zm9", base64url::Error::Character),
            ("Zm9\n", base64url::Error::Character),
            ("Zm\r\n9v", base64url::Error::Character),
            ("Zm9\0", base64url::Error::Character),
            ("Zm9é", base64url::Error::Character),
            ("Zm9vY", base64url::Error::Length),
            ("Zh", base64url::Error::TrailingBits),
            ("Zm9", base64url::Error::TrailingBits),
        ];
        let header = base64url::encode(br#"{"alg":"ES256"}"#);
        for (text, error) in faults {
            assert_eq!(refused(&format!("{text}.e30.AAAA")), Error::Encoding(Part::Header, error), "{text:?}");
            assert_eq!(refused(&format!("{header}.{text}.AAAA")), Error::Encoding(Part::Payload, error), "{text:?}");
            assert_eq!(refused(&format!("{header}.e30.{text}")), Error::Encoding(Part::Signature, error), "{text:?}");
        }
    }

    #[test]
    fn a_second_spelling_of_a_good_signature_is_refused() {
        let other = format!("{}R", ES256.strip_suffix('Q').unwrap());
        assert_eq!(refused(&other), Error::Encoding(Part::Signature, base64url::Error::TrailingBits));
        assert_eq!(refused(&format!("{ES256}==")), Error::Encoding(Part::Signature, base64url::Error::Character));
    }

    #[test]
    fn opaque_tokens_are_refused() {
        // RFC 6750 §2.1 and RFC 9449 figure 6: two dots, but no signed object.
        assert_eq!(refused("mF_9.B5f-4.1JqM"), Error::HeaderJson(json::Problem::NotUtf8.into()));
        let dotted = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU";
        assert_eq!(refused(dotted), Error::Encoding(Part::Header, base64url::Error::Character));
        assert_eq!(refused("2YotnFZFEjr1zCsicMWpAA"), Error::NotThreeParts);
    }

    #[test]
    fn alg_is_a_string_with_something_in_it() {
        for header in
            [r#"{}"#, r#"{"alg":null}"#, r#"{"alg":5}"#, r#"{"alg":["RS256"]}"#, r#"{"alg":""}"#, r#"{"ALG":"ES256"}"#]
        {
            assert_eq!(refused(&of_header(header.as_bytes())), Error::NoAlgorithm, "{header}");
        }
        let text = of_header(br#"{"alg":"HS256"}"#);
        assert_eq!(Jws::parse(&text).unwrap().header().algorithm_name, "HS256");
    }

    #[test]
    fn kid_typ_and_cty_are_strings() {
        let text = of_header(br#"{"alg":"ES256","kid":"1","typ":"at+jwt","cty":"JWT"}"#);
        let jws = Jws::parse(&text).unwrap();
        assert_eq!(jws.header().kid.as_deref(), Some("1"));
        assert_eq!(jws.header().typ.as_deref(), Some("at+jwt"));
        assert_eq!(jws.header().cty.as_deref(), Some("JWT"));
        for name in ["kid", "typ", "cty"] {
            for value in ["null", "1", "[]", "{}", "true"] {
                let header = format!(r#"{{"alg":"ES256","{name}":{value}}}"#);
                assert_eq!(refused(&of_header(header.as_bytes())), Error::NotAString(name), "{header}");
            }
        }
    }

    #[test]
    fn a_kid_has_at_most_256_octets() {
        let text = |length| of_header(format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "k".repeat(length)).as_bytes());
        assert!(Jws::parse(&text(256)).is_ok());
        assert_eq!(refused(&text(257)), Error::KidTooLong);
        // 129 characters, but 258 octets.
        let wide = format!(r#"{{"alg":"ES256","kid":"{}"}}"#, "é".repeat(129));
        assert_eq!(refused(&of_header(wide.as_bytes())), Error::KidTooLong);
    }

    #[test]
    fn a_header_has_at_most_2_kib() {
        let text = |length: usize| of_header((r#"{"alg":"ES256"}"#.to_owned() + &" ".repeat(length - 15)).as_bytes());
        assert!(Jws::parse(&text(2048)).is_ok());
        for length in [2049, 2050, 2051, 100_000] {
            assert_eq!(refused(&text(length)), Error::HeaderTooLong, "{length}");
        }
    }

    #[test]
    fn a_header_is_an_object() {
        for header in ["[]", "null", "1", r#""ES256""#, r#"[{"alg":"ES256"}]"#] {
            assert_eq!(refused(&of_header(header.as_bytes())), Error::HeaderNotAMap, "{header}");
        }
    }

    #[test]
    fn a_header_names_each_parameter_once() {
        for header in [
            r#"{"alg":"none","alg":"ES256"}"#,
            r#"{"alg":"ES256","\u0061lg":"none"}"#,
            r#"{"\u0061\u006cg":"ES256","alg":"ES256"}"#,
        ] {
            let Error::HeaderJson(error) = refused(&of_header(header.as_bytes())) else { unreachable!("{header}") };
            assert_eq!(error.what, json::Problem::DuplicateName("alg".into()), "{header}");
        }
        let text = of_header(br#"{"\u0061lg":"ES256"}"#);
        assert_eq!(Jws::parse(&text).unwrap().header().algorithm_name, "ES256");
    }

    #[test]
    fn a_header_is_clean_utf_8() {
        let refused_as = |header: &[u8]| match refused(&of_header(header)) {
            Error::HeaderJson(error) => error.what,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(refused_as(b"{\"alg\":\"ES\xff\"}"), json::Problem::NotUtf8);
        assert_eq!(refused_as(b"\xef\xbb\xbf{\"alg\":\"ES256\"}"), json::Problem::ByteOrderMark);
        assert_eq!(refused_as(b"{\"alg\":\"ES256\"} x"), json::Problem::Trailing);
        assert_eq!(refused_as(b"{\"alg\":\"ES256\""), json::Problem::EndsEarly);
        assert_eq!(refused_as(b" "), json::Problem::EndsEarly);
    }

    #[test]
    fn crit_and_b64_are_seen_whatever_they_hold() {
        for (header, crit, b64) in [
            (r#"{"alg":"ES256"}"#, false, false),
            (r#"{"alg":"ES256","crit":["b64"],"b64":false}"#, true, true),
            (r#"{"alg":"ES256","crit":[]}"#, true, false),
            (r#"{"alg":"ES256","crit":null}"#, true, false),
            (r#"{"alg":"ES256","b64":true}"#, false, true),
            (r#"{"alg":"ES256","b64":null}"#, false, true),
        ] {
            let text = of_header(header.as_bytes());
            let jws = Jws::parse(&text).unwrap();
            assert_eq!((jws.header().crit_present, jws.header().b64_present), (crit, b64), "{header}");
        }
    }

    #[test]
    fn media_types_are_compared_as_such() {
        for (typ, expected, same) in [
            ("at+jwt", "at+jwt", true),
            ("at+JWT", "at+jwt", true),
            ("application/at+jwt", "at+jwt", true),
            ("APPLICATION/AT+JWT", "at+jwt", true),
            ("at+jwt", "application/at+jwt", true),
            ("jwt", "at+jwt", false),
            ("JWT", "at+jwt", false),
            ("", "at+jwt", false),
            ("text/at+jwt", "at+jwt", false),
            ("/at+jwt", "at+jwt", false),
            ("application/application/at+jwt", "at+jwt", false),
            ("application/", "at+jwt", false),
            (" at+jwt", "at+jwt", false),
            ("at+jwt ", "at+jwt", false),
            ("at+jwt;v=1", "at+jwt", false),
            ("dpop+jwt", "at+jwt", false),
        ] {
            assert_eq!(media_type_is(typ, expected), same, "{typ:?} {expected:?}");
        }
    }

    #[test]
    fn debug_shows_neither_payload_nor_signature() {
        let shown = format!("{:?}", Jws::parse(ES256).unwrap());
        assert_eq!(shown, r#"Jws { header: Header { alg: "ES256", kid: None, typ: None, .. }, .. }"#);
    }
}
