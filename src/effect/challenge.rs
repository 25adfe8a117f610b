//! A denial into the answer that the RFCs prescribe for it, byte for byte (checklist §0.1, RFC 6750 §3, RFC 9449 §7.1, RFC 9728
//! §5.1).

use core::fmt::Write as _;

use crate::binding;
use crate::credential::{self, Scheme};
use crate::denial::{Code, Denial};

use super::{CACHE_CONTROL, NO_STORE, NONCE, Reply, Settings};

impl Reply {
    /// The answer to a denial on a route, or on none. `scheme` is the one that the client used, as far as that is known; `nonce`
    /// is handed out with it.
    pub fn render(denial: &Denial, settings: &Settings, scheme: Option<Scheme>, nonce: Option<String>) -> Self {
        let code = denial.code();
        let challenges = challenges(denial, settings, scheme).into_iter();
        let mut headers: Vec<_> = challenges.map(|challenge| ("www-authenticate", challenge)).collect();
        headers.extend(nonce.map(|nonce| (NONCE, nonce)));
        match code.status() {
            401 | 403 => headers.push((CACHE_CONTROL, NO_STORE.to_owned())),
            503 => headers.push(("retry-after", "1".to_owned())),
            _ => {}
        }
        Self { status: code.status(), headers, body: denial.description(), reason: denial.reason() }
    }

    /// Hands out a nonce, in place of another one.
    pub fn hand_out(&mut self, nonce: String) {
        self.headers.retain(|(name, _)| *name != NONCE);
        self.headers.push((NONCE, nonce));
        if !self.headers.iter().any(|(name, _)| *name == CACHE_CONTROL) {
            self.headers.push((CACHE_CONTROL, NO_STORE.to_owned()));
        }
    }
}

/// The challenges, each in a field of its own: those of all schemes where none was used, or where two were and none can be told
/// to be at fault; otherwise that of the scheme in use (RFC 9449 §7.2).
fn challenges(denial: &Denial, settings: &Settings, scheme: Option<Scheme>) -> Vec<String> {
    let told = |scheme, error| challenge(denial, settings, scheme, error);
    let takes = &settings.schemes;
    match denial.code() {
        Code::Deny | Code::BadHeader | Code::Dependency => Vec::new(),
        Code::NoCredential => {
            let of = |scheme, taken: bool| taken.then(|| told(scheme, None));
            of(Scheme::Bearer, takes.bearer).into_iter().chain(of(Scheme::Dpop, takes.dpop)).collect()
        }
        Code::Proof | Code::Nonce => vec![told(Scheme::Dpop, denial.code().error())],
        code @ (Code::BadRequest | Code::Token | Code::Scope | Code::StepUp) => {
            let scheme = scheme.filter(|_| !is_ambiguous(denial));
            let mut all = vec![told(scheme.unwrap_or(Scheme::Bearer), code.error())];
            if scheme.is_none() && takes.dpop {
                all.push(told(Scheme::Dpop, code.error()));
            } else if scheme != Some(Scheme::Dpop) && is_cured_by_a_proof(denial, settings) {
                all.push(told(Scheme::Dpop, None));
            }
            all
        }
    }
}

/// Two credentials, of one scheme or of two.
fn is_ambiguous(denial: &Denial) -> bool {
    *denial == Denial::Credential(credential::Error::SeveralTokens)
}

/// Whether a client that came without a proof may be let through with one (RFC 9449 §7.2).
fn is_cured_by_a_proof(denial: &Denial, settings: &Settings) -> bool {
    match denial {
        Denial::Binding(binding::Error::BearerDowngrade) => settings.schemes.algorithms.is_some(),
        Denial::Binding(binding::Error::Unbound) => settings.schemes.dpop,
        _ => false,
    }
}

/// Octets that most challenges have place in.
const USUAL: usize = 256;

/// One challenge, its parameters in the order of the checklist. Without an error it tells what every caller needs, or nothing where
/// another challenge beside it has the error.
fn challenge(denial: &Denial, settings: &Settings, scheme: Scheme, error: Option<&str>) -> String {
    let (name, algorithms) = match scheme {
        Scheme::Bearer => ("Bearer", None),
        Scheme::Dpop => ("DPoP", settings.schemes.algorithms.as_deref()),
    };
    let mut challenge = String::with_capacity(USUAL);
    // Nothing can fail that writes to a string.
    let mut tell = |parts: core::fmt::Arguments<'_>| challenge.write_fmt(parts).unwrap_or_default();
    tell(format_args!("{name} realm=\"{}\"", settings.realm));
    if let Some(error) = error {
        tell(format_args!(", error=\"{error}\", error_description=\"{}\"", denial.description()));
    }
    if !denial.acr_values().is_empty() {
        tell(format_args!(", acr_values=\"{}\"", denial.acr_values().join(" ")));
    }
    if let Some(max_age) = denial.max_age() {
        tell(format_args!(", max_age=\"{}\"", max_age.as_secs()));
    }
    let scopes = if denial.code() == Code::NoCredential { &settings.scopes } else { denial.scopes() };
    if !scopes.is_empty() {
        tell(format_args!(", scope=\"{}\"", scopes.join(" ")));
    }
    if let Some(algorithms) = algorithms {
        tell(format_args!(", algs=\"{algorithms}\""));
    }
    if let Some(metadata) = &settings.resource_metadata {
        tell(format_args!(", resource_metadata=\"{metadata}\""));
    }
    challenge
}

#[cfg(test)]
mod tests {
    use core::time::Duration;

    use super::*;
    use crate::binding::{dpop, nonce, replay};
    use crate::denial::{Ambiguous, Unavailable};
    use crate::effect::Schemes;
    use crate::policy::step_up::Lacking;
    use crate::{policy, token};

    fn settings() -> Settings {
        Settings { realm: "bank".into(), scopes: vec!["accounts.read".into()], ..Settings::default() }
    }

    fn answer(denial: impl Into<Denial>) -> (u16, Vec<(&'static str, String)>, &'static str) {
        let reply = Reply::render(&denial.into(), &settings(), Some(Scheme::Bearer), None);
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

    /// A route that takes both schemes.
    fn either() -> Settings {
        let schemes = Schemes { bearer: true, dpop: true, algorithms: Some("ES256 PS256".into()) };
        Settings { realm: "bank".into(), schemes, ..Settings::default() }
    }

    fn challenges_of(denial: impl Into<Denial>, settings: &Settings, scheme: Option<Scheme>) -> Vec<String> {
        let reply = Reply::render(&denial.into(), settings, scheme, None);
        let fields = reply.headers.into_iter().filter(|(name, _)| *name == "www-authenticate");
        fields.map(|(_, value)| value).collect()
    }

    #[test]
    fn who_comes_without_a_credential_is_told_of_each_scheme_that_is_taken() {
        let (bearer, dpop) =
            (r#"Bearer realm="bank", scope="a""#, r#"DPoP realm="bank", scope="a", algs="ES256 PS256""#);
        let settings = |bearer, dpop| {
            let schemes = Schemes { bearer, dpop, ..either().schemes };
            Settings { scopes: vec!["a".into()], schemes, ..either() }
        };
        for (takes, expected) in
            [((true, true), vec![bearer, dpop]), ((true, false), vec![bearer]), ((false, true), vec![dpop])]
        {
            let settings = settings(takes.0, takes.1);
            assert_eq!(challenges_of(credential::Error::Missing, &settings, None), expected);
            assert_eq!(challenges_of(policy::Error::CredentialMissing, &settings, None), expected);
        }
    }

    #[test]
    fn two_credentials_are_an_error_of_both_schemes_and_an_empty_one_of_its_own() {
        let error = r#"error="invalid_request", error_description="Multiple methods used to include access token""#;
        let both = vec![
            format!(r#"Bearer realm="bank", {error}"#),
            format!(r#"DPoP realm="bank", {error}, algs="ES256 PS256""#),
        ];
        for scheme in [None, Some(Scheme::Bearer), Some(Scheme::Dpop)] {
            assert_eq!(challenges_of(credential::Error::SeveralTokens, &either(), scheme), both);
        }
        let error = r#"error="invalid_request", error_description="Malformed Authorization header""#;
        let of = |scheme| challenges_of(credential::Error::NoToken, &either(), Some(scheme));
        assert_eq!(of(Scheme::Bearer), [format!(r#"Bearer realm="bank", {error}"#)]);
        assert_eq!(of(Scheme::Dpop), [format!(r#"DPoP realm="bank", {error}, algs="ES256 PS256""#)]);
    }

    #[test]
    fn what_is_wrong_with_a_token_is_told_in_its_own_scheme() {
        let token = r#"DPoP realm="bank", error="invalid_token", error_description="#;
        let of = |denial: Denial| challenges_of(denial, &either(), Some(Scheme::Dpop));
        for (error, text) in [
            (binding::Error::OtherKey, "Invalid DPoP key binding"),
            (binding::Error::NoKey, "Invalid DPoP key binding"),
            (binding::Error::Unbound, "Sender-constrained token required"),
        ] {
            assert_eq!(of(error.into()), [format!(r#"{token}"{text}", algs="ES256 PS256""#)]);
        }
        assert_eq!(
            of(policy::Error::Scope { needed: vec!["a".into()] }.into()),
            [
                r#"DPoP realm="bank", error="insufficient_scope", error_description="Insufficient scope", scope="a", algs="ES256 PS256""#
            ]
        );
    }

    #[test]
    fn who_could_come_back_with_a_proof_is_told_how() {
        let bearer = |text| format!(r#"Bearer realm="bank", error="invalid_token", error_description="{text}""#);
        let downgrade = bearer("DPoP-bound token requires DPoP scheme");
        let unbound = bearer("Sender-constrained token required");
        let bare = r#"DPoP realm="bank", algs="ES256 PS256""#.to_owned();
        let of = |error: binding::Error, settings: &Settings| challenges_of(error, settings, Some(Scheme::Bearer));
        assert_eq!(of(binding::Error::BearerDowngrade, &either()), [downgrade.clone(), bare.clone()]);
        assert_eq!(of(binding::Error::Unbound, &either()), [unbound.clone(), bare.clone()]);
        assert_eq!(of(binding::Error::OtherCertificate, &either()).len(), 1);
        // A route that announces certificates alone knows the scheme all the same.
        let certificate = Settings { schemes: Schemes { dpop: false, ..either().schemes }, ..either() };
        assert_eq!(of(binding::Error::BearerDowngrade, &certificate), [downgrade.clone(), bare]);
        assert_eq!(of(binding::Error::Unbound, &certificate), std::slice::from_ref(&unbound));
        let without = Settings { realm: "bank".into(), ..Settings::default() };
        assert_eq!(of(binding::Error::BearerDowngrade, &without), [downgrade]);
        assert_eq!(of(binding::Error::Unbound, &without), [unbound]);
    }

    #[test]
    fn what_is_wrong_with_a_proof_is_told_with_a_nonce_where_there_are_nonces() {
        let (one, algs) = (r#"DPoP realm="bank", error="#, r#", algs="ES256 PS256""#);
        for (error, code, text) in [
            (dpop::Error::Missing, "invalid_dpop_proof", "DPoP proof required"),
            (dpop::Error::Signature, "invalid_dpop_proof", "Invalid DPoP proof"),
            (dpop::Error::Expired, "invalid_dpop_proof", "DPoP proof expired"),
            (nonce::Error::Missing.into(), "use_dpop_nonce", "Resource server requires nonce in DPoP proof"),
            (nonce::Error::Expired.into(), "use_dpop_nonce", "Resource server requires nonce in DPoP proof"),
        ] {
            let value = format!(r#"{one}"{code}", error_description="{text}"{algs}"#);
            let denial = Denial::from(binding::Error::Proof(error));
            let reply = Reply::render(&denial, &either(), Some(Scheme::Dpop), Some("n".into()));
            let nonce = ("dpop-nonce", "n".to_owned());
            assert_eq!((reply.status, reply.headers), (401, vec![challenge(&value), nonce, no_store()]));
            assert_eq!(reply.body, text);
        }
        let value = format!(r#"{one}"invalid_dpop_proof", error_description="DPoP proof replayed"{algs}"#);
        assert_eq!(challenges_of(replay::Error::Replayed, &either(), Some(Scheme::Dpop)), [value]);
    }

    #[test]
    fn a_memory_of_proofs_that_can_not_remember_is_no_fault_of_the_token() {
        for error in [replay::Error::Full, replay::Error::FullOfKey, replay::Error::Contended, replay::Error::Lost] {
            assert_eq!(answer(error), (503, vec![("retry-after", "1".to_owned())], ""));
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
        let reply = Reply::render(&credential::Error::Missing.into(), &settings, None, None);
        let value = format!(r#"Bearer realm="holdfast", resource_metadata="{url}""#);
        assert_eq!(reply.headers.first(), Some(&challenge(&value)));
    }
}
