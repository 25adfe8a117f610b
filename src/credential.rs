//! Header fields into the one credential that the caller presents, and the proof beside it, not yet believed (RFC 6750 §2.1,
//! RFC 9449 §7.1, checklist §1).

use core::fmt;

use sha2::{Digest as _, Sha256};

use crate::facts::{Request, Single, percent};

/// An access token as presented (RFC 6749 §1.4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AccessToken<'a>(&'a str);

/// How a token is presented (RFC 9110 §11.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    Dpop,
}

/// A credential found and not yet believed: what stands behind the scheme, which may be no token at all.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Presented<'a> {
    scheme: Scheme,
    field: &'a [u8],
    octets: &'a [u8],
    /// The `DPoP` fields beside it. Beside `Bearer` they are no credential, and nobody looks for them.
    proof: Single<'a>,
}

/// Why no single credential can be taken from a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// No `Authorization` field.
    Missing,
    /// Another scheme than `Bearer`: `Basic`, or `DPoP` where the configuration says nothing of proofs.
    OtherScheme,
    /// Two `Authorization` fields, a list of credentials in one, or a second token in the query.
    SeveralTokens,
    /// A scheme without a token behind it.
    NoToken,
    /// The token holds something that is not token68 (RFC 6750 §2.1).
    NotToken68,
    /// The credential is longer than 8 KiB.
    TooLong,
}

const MAX_AUTHORIZATION: usize = 8 * 1024;

impl<'a> AccessToken<'a> {
    pub fn new(token: &'a str) -> Self {
        Self(token)
    }

    pub fn as_str(self) -> &'a str {
        self.0
    }
}

impl fmt::Debug for AccessToken<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken(…)")
    }
}

impl fmt::Debug for Presented<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented(…)")
    }
}

impl<'a> Presented<'a> {
    /// The one credential of the request.
    pub fn find(request: &'a Request, takes_dpop: bool) -> Result<Self, Error> {
        let field = match request.authorization() {
            Single::None => return Err(Error::Missing),
            Single::One(field) if !has_query_token(request.path()) => field,
            Single::One(_) | Single::Several => return Err(Error::SeveralTokens),
        };
        let scheme_ends = field.iter().position(|byte| *byte == b' ').unwrap_or(field.len());
        let (scheme, rest) = field.split_at_checked(scheme_ends).unwrap_or((field, b""));
        let (scheme, proof) = match scheme {
            bearer if bearer.eq_ignore_ascii_case(b"bearer") => (Scheme::Bearer, Single::None),
            dpop if takes_dpop && dpop.eq_ignore_ascii_case(b"dpop") => (Scheme::Dpop, request.single(b"dpop")),
            _ if is_list(field) => return Err(Error::SeveralTokens),
            _ => return Err(Error::OtherScheme),
        };
        Ok(Self { scheme, field, octets: without_blanks(rest), proof })
    }

    pub fn scheme(self) -> Scheme {
        self.scheme
    }

    pub fn proof(self) -> Single<'a> {
        self.proof
    }

    /// What stands behind the scheme; none where that is longer than any token that is taken. Who knows it as a token need not
    /// ask whether it is one.
    pub fn octets(self) -> Option<&'a [u8]> {
        (self.field.len() <= MAX_AUTHORIZATION).then_some(self.octets)
    }

    /// The token that it is.
    pub fn token(self) -> Result<AccessToken<'a>, Error> {
        let octets = self.octets().filter(|octets| is_token68(octets));
        let token = octets.and_then(|octets| core::str::from_utf8(octets).ok());
        token.map(AccessToken).ok_or_else(|| self.fault())
    }

    /// Why it is none.
    fn fault(self) -> Error {
        match self.octets() {
            _ if is_list(self.field) => Error::SeveralTokens,
            _ if self.octets.is_empty() => Error::NoToken,
            None => Error::TooLong,
            Some(_) => Error::NotToken68,
        }
    }

    /// Its SHA-256.
    pub fn digest(self) -> [u8; 32] {
        Sha256::digest(self.octets).into()
    }

    /// The first 64 bits of it: names one token in logs and gives nothing of it away.
    pub fn digest_prefix(self) -> u64 {
        self.digest().first_chunk().map_or(0, |prefix| u64::from_be_bytes(*prefix))
    }
}

/// Envoy joins two `Authorization` fields with a comma, and no credential of ours holds one.
fn is_list(field: &[u8]) -> bool {
    field.contains(&b',')
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|byte| **byte == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

/// RFC 6750 §2.1: `1*( ALPHA / DIGIT / "-" / "." / "_" / "~" / "+" / "/" ) *"="`.
fn is_token68(token: &[u8]) -> bool {
    let padding = token.iter().rev().take_while(|byte| **byte == b'=').count();
    let text = token.get(..token.len() - padding).unwrap_or_default();
    let is_text = |so_far: bool, byte: &u8| so_far & TOKEN68.get(usize::from(*byte)).is_some_and(|is_one| *is_one);
    !text.is_empty() && text.iter().fold(true, is_text)
}

/// Which octets it is made of; looked up, for a token has hundreds.
const TOKEN68: [bool; 256] = {
    let mut table = [false; 256];
    let mut octet = 0;
    while octet < table.len() {
        #[allow(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "an octet, at compile time")]
        {
            table[octet] =
                (octet as u8).is_ascii_alphanumeric() || matches!(octet as u8, b'-' | b'.' | b'_' | b'~' | b'+' | b'/');
        }
        octet += 1;
    }
    table
};

/// Whether the query names an `access_token`, however it is spelt. Such a token is never taken (RFC 9700 §4.3.2).
fn has_query_token(path: &[u8]) -> bool {
    let Some(start) = path.iter().position(|byte| *byte == b'?') else { return false };
    let query = path.get(start + 1..).unwrap_or_default();
    query.split(|byte| *byte == b'&').any(|pair| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default();
        percent::decode(name).as_deref() == Some(b"access_token")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{peer::Peer, write_pairs};

    fn found(path: &str, authorization: &[&str]) -> Result<String, Error> {
        let mut pairs = vec![(":path", path)];
        pairs.extend(authorization.iter().map(|value| ("authorization", *value)));
        let request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).unwrap();
        Presented::find(&request, false).and_then(Presented::token).map(|token| token.as_str().to_owned())
    }

    #[test]
    fn the_scheme_is_compared_without_case() {
        for scheme in ["Bearer", "bearer", "BEARER", "bEaReR"] {
            assert_eq!(found("/", &[&format!("{scheme} mF_9.B5f-4.1JqM")]), Ok("mF_9.B5f-4.1JqM".into()));
        }
        assert_eq!(found("/", &["Bearer  abc=="]), Ok("abc==".into()));
    }

    #[test]
    fn each_unusable_credential_is_refused_for_its_own_reason() {
        let table: &[(&[&str], Error)] = &[
            (&[], Error::Missing),
            (&[""], Error::OtherScheme),
            (&["Basic Zm9vOmJhcg=="], Error::OtherScheme),
            (&["Bearerx abc"], Error::OtherScheme),
            (&["DPoP abc"], Error::OtherScheme),
            (&["dpop"], Error::OtherScheme),
            (&["Bearer\tabc"], Error::OtherScheme),
            (&["Bearer"], Error::NoToken),
            (&["Bearer   "], Error::NoToken),
            (&["Bearer a,Bearer b"], Error::SeveralTokens),
            (&["Bearer a", "Bearer a"], Error::SeveralTokens),
            (&["Bearer a", "Basic b"], Error::SeveralTokens),
            (&["Bearer a b"], Error::NotToken68),
            (&["Bearer \ta"], Error::NotToken68),
            (&["Bearer a=b"], Error::NotToken68),
            (&["Bearer =="], Error::NotToken68),
            (&["Bearer aé"], Error::NotToken68),
        ];
        for (fields, error) in table {
            assert_eq!(found("/", fields), Err(*error), "{fields:?}");
        }
        assert_eq!(found("/", &[&format!("Bearer {}", "a".repeat(8 * 1024 - 7))]).map(|_| ()), Ok(()));
        assert_eq!(found("/", &[&format!("Bearer {}", "a".repeat(8 * 1024 - 6))]), Err(Error::TooLong));
    }

    #[test]
    fn a_token_in_the_query_is_never_taken() {
        for query in ["/?access_token=abc", "/?x=1&access_token=abc", "/?access%5Ftoken=abc", "/?access_token"] {
            assert_eq!(found(query, &[]), Err(Error::Missing), "{query}");
            assert_eq!(found(query, &["Bearer abc"]), Err(Error::SeveralTokens), "{query}");
        }
        for query in ["/?x=access_token", "/?access_tokens=abc", "/access_token=abc", "/?Access_token=a"] {
            assert_eq!(found(query, &["Bearer abc"]).map(|_| ()), Ok(()), "{query}");
        }
    }

    fn presented(fields: &[(&str, &str)]) -> Result<(Scheme, usize), Error> {
        let request = Request::from_pairs(write_pairs(fields), Peer::Anonymous).unwrap();
        let presented = Presented::find(&request, true)?;
        presented.token()?;
        let proofs = match presented.proof() {
            Single::None => 0,
            Single::One(field) => field.len(),
            Single::Several => usize::MAX,
        };
        Ok((presented.scheme(), proofs))
    }

    #[test]
    fn a_proof_is_found_beside_a_token_of_its_scheme_only() {
        let (path, proof) = ((":path", "/"), ("DPoP", "a.b.c"));
        for scheme in ["DPoP", "dpop", "DPOP"] {
            let field = format!("{scheme} abc");
            let token = ("authorization", field.as_str());
            assert_eq!(presented(&[path, token]), Ok((Scheme::Dpop, 0)));
            assert_eq!(presented(&[path, proof, token]), Ok((Scheme::Dpop, 5)));
            assert_eq!(presented(&[path, proof, token, proof]), Ok((Scheme::Dpop, usize::MAX)));
        }
        assert_eq!(presented(&[path, proof, ("authorization", "Bearer abc")]), Ok((Scheme::Bearer, 0)));
    }

    #[test]
    fn a_token_of_the_scheme_dpop_is_read_as_one_of_bearer_is() {
        for (field, error) in [
            ("DPoP", Error::NoToken),
            ("DPoP  ", Error::NoToken),
            ("DPoP a,DPoP b", Error::SeveralTokens),
            ("DPoP a b", Error::NotToken68),
            ("DPoPa", Error::OtherScheme),
            ("DPoP\ta", Error::OtherScheme),
        ] {
            assert_eq!(presented(&[("authorization", field)]), Err(error), "{field}");
        }
        let two = [("authorization", "Bearer abc"), ("authorization", "DPoP abc")];
        assert_eq!(presented(&two), Err(Error::SeveralTokens));
    }

    #[test]
    fn a_token_does_not_print_itself() {
        assert_eq!(format!("{:?}", AccessToken::new("secret")), "AccessToken(…)");
    }
}
