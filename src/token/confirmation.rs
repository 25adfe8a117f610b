//! The `cnf` claim into the keys that a token is bound to (RFC 7800 §3.1, RFC 8705 §3.1, RFC 9449 §6.1).

use crate::facts::peer::CertificateDigest;
use crate::jose::base64url;
use crate::jose::json::Value;
use crate::jose::jwk::Thumbprint;

/// What a token is bound to. Members that are not understood are ignored, as long as one is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Confirmation {
    /// `x5t#S256`
    pub certificate: Option<CertificateDigest>,
    /// `jkt`
    pub key: Option<Thumbprint>,
}

/// The `cnf` claim binds the token to nothing that this filter could confirm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsupported;

impl Confirmation {
    /// No `cnf` is an unbound token; one that can't be understood is an error, for it would make a bound token a bearer token.
    pub fn parse(claim: Option<&Value>) -> Result<Self, Unsupported> {
        let Some(claim) = claim else { return Ok(Self::default()) };
        let members = claim.as_object().ok_or(Unsupported)?;
        let digest = |name: &str| {
            let Some(value) = members.get(name) else { return Ok(None) };
            let text = value.as_str().ok_or(Unsupported)?;
            base64url::decode_32(text).map(Some).map_err(|_| Unsupported)
        };
        let confirmation =
            Self { certificate: digest("x5t#S256")?.map(CertificateDigest), key: digest("jkt")?.map(Thumbprint) };
        if confirmation.is_unbound() { Err(Unsupported) } else { Ok(confirmation) }
    }

    pub fn is_unbound(&self) -> bool {
        self.certificate.is_none() && self.key.is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::json::{Limits, parse};

    fn confirmation(json: &str) -> Result<Confirmation, Unsupported> {
        Confirmation::parse(Some(&parse(json.as_bytes(), Limits::TOKEN).unwrap()))
    }

    const RFC_8705_DIGEST: &str = "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd";

    #[test]
    fn the_certificate_of_rfc_8705_appendix_a_is_read() {
        let digest = CertificateDigest::from_hex(RFC_8705_DIGEST.as_bytes());
        let json = r#"{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}"#;
        assert_eq!(confirmation(json), Ok(Confirmation { certificate: digest, key: None }));
    }

    #[test]
    fn members_not_understood_are_ignored_beside_one_that_is() {
        let json = r#"{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0", "kc-jkt-type": "DPoP"}"#;
        assert_eq!(confirmation(json).map(|confirmation| confirmation.is_unbound()), Ok(false));
    }

    #[test]
    fn a_confirmation_that_can_not_be_confirmed_is_no_bearer_token() {
        for json in [
            "{}",
            "[]",
            "null",
            "\"x\"",
            r#"{"kid": "a"}"#,
            r#"{"jwk": {}}"#,
            r#"{"x5t": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"}"#,
            r#"{"x5t#S256": null}"#,
            r#"{"x5t#S256": ""}"#,
            r#"{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0="}"#,
            r#"{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v"}"#,
            // RFC 8705 §3.1's own example ends in stray bits.
            r#"{"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}"#,
            r#"{"x5t#S256": "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd"}"#,
            r#"{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0", "jkt": 5}"#,
        ] {
            assert_eq!(confirmation(json), Err(Unsupported), "{json}");
        }
    }

    #[test]
    fn a_token_without_a_confirmation_is_unbound() {
        assert!(Confirmation::parse(None).unwrap().is_unbound());
    }
}
