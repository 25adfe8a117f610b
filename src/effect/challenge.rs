//! A denial into the answer that the RFCs prescribe for it, byte for byte (checklist §0.1, RFC 6750 §3, RFC 9728 §5.1).

use crate::denial::{Code, Denial};

use super::{Reply, Settings};

impl Reply {
    /// The answer to a denial on a route, or on none.
    pub fn render(denial: &Denial, settings: &Settings) -> Self {
        let code = denial.code();
        let mut headers = Vec::new();
        if let Some(challenge) = challenge(denial, settings) {
            headers.push(("www-authenticate", challenge));
        }
        match code.status() {
            401 | 403 => headers.push(("cache-control", "no-store".to_owned())),
            503 => headers.push(("retry-after", "1".to_owned())),
            _ => {}
        }
        Self { status: code.status(), headers, body: denial.description(), reason: denial.reason() }
    }
}

/// One `Bearer` challenge, its parameters in the order of the checklist.
fn challenge(denial: &Denial, settings: &Settings) -> Option<String> {
    let code = denial.code();
    let scopes = match code {
        Code::NoCredential => &settings.scopes,
        Code::Scope | Code::StepUp => denial.scopes(),
        Code::BadRequest | Code::Token => &[],
        Code::Deny | Code::BadHeader | Code::Dependency => return None,
    };
    let mut challenge = format!("Bearer realm=\"{}\"", settings.realm);
    if let Some(error) = code.error() {
        challenge += &format!(", error=\"{error}\", error_description=\"{}\"", denial.description());
    }
    if !denial.acr_values().is_empty() {
        challenge += &format!(", acr_values=\"{}\"", denial.acr_values().join(" "));
    }
    if let Some(max_age) = denial.max_age() {
        challenge += &format!(", max_age=\"{}\"", max_age.as_secs());
    }
    if !scopes.is_empty() {
        challenge += &format!(", scope=\"{}\"", scopes.join(" "));
    }
    if let Some(metadata) = &settings.resource_metadata {
        challenge += &format!(", resource_metadata=\"{metadata}\"");
    }
    Some(challenge)
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::denial::{Ambiguous, Unavailable};
    use crate::policy::step_up::Lacking;
    use crate::{binding, credential, policy, token};

    fn settings() -> Settings {
        Settings { realm: "bank".into(), scopes: vec!["accounts.read".into()], ..Settings::default() }
    }

    fn answer(denial: impl Into<Denial>) -> (u16, Vec<(&'static str, String)>, &'static str) {
        let reply = Reply::render(&denial.into(), &settings());
        (reply.status, reply.headers, reply.body)
    }

    fn no_store() -> (&'static str, String) {
        ("cache-control", "no-store".to_owned())
    }

    fn challenge(value: &str) -> (&'static str, String) {
        ("www-authenticate", value.to_owned())
    }

    #[test]
    fn who_comes_without_a_credential_is_told_no_error() {
        let expected = vec![challenge(r#"Bearer realm="bank", scope="accounts.read""#), no_store()];
        assert_eq!(answer(credential::Error::Missing), (401, expected.clone(), ""));
        assert_eq!(answer(credential::Error::OtherScheme), (401, expected, ""));
    }

    #[test]
    fn an_unreadable_credential_is_an_invalid_request() {
        let value = r#"Bearer realm="bank", error="invalid_request", error_description="Multiple methods used to include access token""#;
        let body = "Multiple methods used to include access token";
        assert_eq!(answer(credential::Error::SeveralTokens), (400, vec![challenge(value)], body));
    }

    #[test]
    fn an_expired_token_is_told_as_rfc_6750_section_3_does() {
        let value = r#"Bearer realm="bank", error="invalid_token", error_description="The access token expired""#;
        let expected = (401, vec![challenge(value), no_store()], "The access token expired");
        assert_eq!(answer(token::Error::Expired), expected);
    }

    #[test]
    fn a_stolen_token_is_an_invalid_token() {
        let text = "Certificate binding mismatch: certificate renewed, or not the one this token was issued to";
        let value = format!(r#"Bearer realm="bank", error="invalid_token", error_description="{text}""#);
        assert_eq!(answer(binding::Error::OtherCertificate), (401, vec![challenge(&value), no_store()], text));
    }

    #[test]
    fn too_small_a_scope_names_the_scopes_that_cure_it() {
        let needed = vec!["a".to_owned(), "b".to_owned()];
        let value =
            r#"Bearer realm="bank", error="insufficient_scope", error_description="Insufficient scope", scope="a b""#;
        let expected = (403, vec![challenge(value), no_store()], "Insufficient scope");
        assert_eq!(answer(policy::Error::Scope { needed }), expected);
    }

    #[test]
    fn another_login_is_asked_for_as_rfc_9470_section_3_does() {
        let step_up = |lacking, acr_values: &[&str], max_age, needed: &[&str]| {
            let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
            let (acr_values, needed) = (owned(acr_values), owned(needed));
            policy::Error::StepUp { lacking, acr_values, max_age, needed }
        };
        let begin = r#"Bearer realm="bank", error="insufficient_user_authentication", error_description="#;
        let five = Some(Duration::from_secs(300));
        let (level, recent) =
            ("A different authentication level is required", "More recent authentication is required");
        for (denial, text, rest) in [
            (step_up(Lacking::Level, &["phr", "phrh"], None, &[]), level, r#", acr_values="phr phrh""#),
            (step_up(Lacking::Recency, &[], five, &[]), recent, r#", max_age="300""#),
            (
                step_up(Lacking::Level, &["phr"], five, &["pay"]),
                level,
                r#", acr_values="phr", max_age="300", scope="pay""#,
            ),
        ] {
            let value = format!("{begin}\"{text}\"{rest}");
            assert_eq!(answer(denial), (401, vec![challenge(&value), no_store()], text));
        }
    }

    #[test]
    fn what_no_token_cures_is_no_challenge() {
        assert_eq!(answer(policy::Error::NoRule), (403, vec![no_store()], ""));
        assert_eq!(answer(policy::Error::AmbiguousPath), (400, vec![], ""));
        assert_eq!(answer(Ambiguous::Plaintext), (400, vec![], ""));
        assert_eq!(answer(Unavailable::Keys), (503, vec![("retry-after", "1".to_owned())], ""));
    }

    #[test]
    fn the_metadata_url_closes_every_challenge() {
        let url = "https://api.bank.example/.well-known/oauth-protected-resource";
        let settings = Settings { resource_metadata: Some(url.into()), ..Settings::default() };
        let reply = Reply::render(&credential::Error::Missing.into(), &settings);
        let value = format!(r#"Bearer realm="holdfast", resource_metadata="{url}""#);
        assert_eq!(reply.headers.first(), Some(&challenge(&value)));
    }
}
