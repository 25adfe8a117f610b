//! Every reason to refuse a request, and the one list of what each is to the client and to the operator (checklist §0).

use core::time::Duration;

use crate::binding::{self, dpop, nonce, replay};
use crate::credential;
use crate::facts::{peer, relay};
use crate::policy;
use crate::policy::step_up::Lacking;
use crate::token;

/// Why a request is refused, in the words of the room that refused it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Denial {
    Request(Ambiguous),
    Credential(credential::Error),
    Token(token::Error),
    Binding(binding::Error),
    /// The proof is right, and was shown before, or can't be remembered.
    Replay(replay::Error),
    /// The certificate that the proxy tells of can't be read.
    Certificate(peer::Error),
    /// What a relay tells of its client's certificate can't be believed.
    Relay(relay::Error),
    Policy(policy::Error),
    /// Nobody presented a token, and the certificate that should speak instead is outside its dates.
    CertificateAlone(binding::Error),
    Unavailable(Unavailable),
    /// A fact that was to be told to filters and logs behind is longer than 256 octets.
    FactTooLong,
}

/// A request that can be read in more than one way, or that nobody should have sent over this hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ambiguous {
    /// The host's header fields are no list.
    Unreadable,
    /// A token over a hop without TLS.
    Plaintext,
    /// A field that only this filter may write, on a route on which it may change none.
    OwnedHeader,
}

/// The authorization server could not be used; the token may be good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    Keys,
    Introspection,
    /// It refused our own credentials.
    OurCredentials,
    /// It answered what is no answer.
    UnusableAnswer,
    /// Too many wait for it.
    Crowded,
}

/// The answers of checklist §0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    NoCredential,
    BadRequest,
    Token,
    Proof,
    Nonce,
    Scope,
    StepUp,
    Deny,
    BadHeader,
    Dependency,
}

impl Code {
    pub fn status(self) -> u16 {
        match self {
            Self::BadRequest | Self::BadHeader => 400,
            Self::NoCredential | Self::Token | Self::Proof | Self::Nonce | Self::StepUp => 401,
            Self::Scope | Self::Deny => 403,
            Self::Dependency => 503,
        }
    }

    /// `error` of the challenge (RFC 6750 §3.1, RFC 9449 §7.1 and §9, RFC 9470 §3), where there is one.
    pub fn error(self) -> Option<&'static str> {
        match self {
            Self::BadRequest => Some("invalid_request"),
            Self::Token => Some("invalid_token"),
            Self::Proof => Some("invalid_dpop_proof"),
            Self::Nonce => Some("use_dpop_nonce"),
            Self::Scope => Some("insufficient_scope"),
            Self::StepUp => Some("insufficient_user_authentication"),
            Self::NoCredential | Self::Deny | Self::BadHeader | Self::Dependency => None,
        }
    }
}

/// Every reason to refuse. Whoever counts, documents or watches them can rely on there being no other.
pub const REASONS: &[&str] = &[
    "identity.too_long",
    "request.unreadable",
    "request.plaintext",
    "request.owned_header",
    "credential.missing",
    "credential.other_scheme",
    "credential.several_tokens",
    "credential.no_token",
    "credential.malformed",
    "credential.too_long",
    "token.malformed",
    "token.format",
    "token.issuer",
    "token.type",
    "token.algorithm",
    "token.critical_header",
    "token.key",
    "token.signature",
    "token.expired",
    "token.not_yet_valid",
    "token.lifetime",
    "token.audience",
    "token.claim_missing",
    "token.claim",
    "token.confirmation",
    "token.inactive",
    "token.disagreement",
    "binding.unbound",
    "binding.no_certificate",
    "binding.other_certificate",
    "binding.bearer_downgrade",
    "binding.expired_certificate",
    "binding.unchecked_validity",
    "certificate.not_pem",
    "certificate.too_large",
    "certificate.not_x509",
    "certificate.other_digest",
    "policy.no_route",
    "route.unknown_policy",
    "path.ambiguous",
    "policy.denied",
    "policy.no_rule",
    "token.scope",
    "server.keys",
    "server.introspection",
    "server.our_credentials",
    "server.unusable_answer",
    "server.crowded",
    "binding.other_client_certificate",
    "policy.exclusive_roles",
    "token.step_up",
    "binding.no_key",
    "binding.other_key",
    "proof.missing",
    "proof.several",
    "proof.too_long",
    "proof.malformed",
    "proof.type",
    "proof.algorithm",
    "proof.key",
    "proof.claim",
    "proof.method",
    "proof.uri",
    "proof.ath",
    "proof.expired",
    "proof.not_yet_valid",
    "proof.signature",
    "proof.replayed",
    "nonce.missing",
    "nonce.unknown",
    "nonce.expired",
    "replay.full",
    "replay.full_of_key",
    "replay.contended",
    "replay.lost",
    "binding.renewed_certificate",
    "binding.resumed_session",
    "relay.doubled",
    "relay.malformed",
    "relay.too_large",
    "relay.disagree",
];

/// One row: the RFC's code, the operator's reason, and the client's text, which never holds anything of the request.
struct Row(Code, &'static str, &'static str);

impl Denial {
    pub fn code(&self) -> Code {
        self.row().0
    }

    /// Stable, for metrics and logs.
    pub fn reason(&self) -> &'static str {
        self.row().1
    }

    /// `error_description` and body; empty where the client learns nothing by it.
    pub fn description(&self) -> &'static str {
        self.row().2
    }

    /// The scopes that would cure it.
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::Policy(policy::Error::Scope { needed } | policy::Error::StepUp { needed, .. }) => needed,
            _ => &[],
        }
    }

    /// The levels of login that would cure it, in order of preference.
    pub fn acr_values(&self) -> &[String] {
        match self {
            Self::Policy(policy::Error::StepUp { acr_values, .. }) => acr_values,
            _ => &[],
        }
    }

    /// How old the login may be.
    pub fn max_age(&self) -> Option<Duration> {
        match self {
            Self::Policy(policy::Error::StepUp { max_age, .. }) => *max_age,
            _ => None,
        }
    }

    fn row(&self) -> Row {
        match self {
            Self::Request(error) => Row(Code::BadHeader, of_request(*error), ""),
            Self::Credential(error) => of_credential(*error),
            Self::Token(error) => of_token(*error),
            Self::Binding(error) => of_binding(*error),
            Self::Replay(error) => of_replay(*error),
            Self::Certificate(error) => Row(Code::BadHeader, of_certificate(*error), ""),
            Self::Relay(error) => Row(Code::BadHeader, of_relay(*error), ""),
            Self::Policy(error) => of_policy(error),
            Self::CertificateAlone(error) => Row(Code::Deny, of_binding(*error).1, ""),
            Self::Unavailable(error) => Row(Code::Dependency, of_server(*error), ""),
            Self::FactTooLong => Row(Code::Deny, "identity.too_long", ""),
        }
    }
}

fn of_request(error: Ambiguous) -> &'static str {
    match error {
        Ambiguous::Unreadable => "request.unreadable",
        Ambiguous::Plaintext => "request.plaintext",
        Ambiguous::OwnedHeader => "request.owned_header",
    }
}

fn of_credential(error: credential::Error) -> Row {
    use credential::Error;
    match error {
        Error::Missing => Row(Code::NoCredential, "credential.missing", ""),
        Error::OtherScheme => Row(Code::NoCredential, "credential.other_scheme", ""),
        Error::SeveralTokens => {
            Row(Code::BadRequest, "credential.several_tokens", "Multiple methods used to include access token")
        }
        Error::NoToken => Row(Code::BadRequest, "credential.no_token", "Malformed Authorization header"),
        Error::NotToken68 => Row(Code::Token, "credential.malformed", "Malformed access token"),
        Error::TooLong => Row(Code::Token, "credential.too_long", "Malformed access token"),
    }
}

fn of_token(error: token::Error) -> Row {
    use token::Error;
    let (reason, description) = match error {
        Error::Malformed => ("token.malformed", "Malformed access token"),
        Error::Format => ("token.format", "Token format not accepted"),
        Error::Issuer => ("token.issuer", "Issuer not trusted"),
        Error::Type => ("token.type", "Token type not accepted"),
        Error::Algorithm => ("token.algorithm", "Signature verification failed"),
        Error::Critical => ("token.critical_header", "Signature verification failed"),
        Error::Key => ("token.key", "Signature verification failed"),
        Error::Signature => ("token.signature", "Signature verification failed"),
        Error::Expired => ("token.expired", "The access token expired"),
        Error::NotYetValid => ("token.not_yet_valid", "The access token is not yet valid"),
        Error::Lifetime => ("token.lifetime", "Token type not accepted"),
        Error::Audience => ("token.audience", "Invalid audience"),
        Error::ClaimMissing(_) => ("token.claim_missing", "Required claim missing"),
        Error::Claim(_) => ("token.claim", "Malformed access token"),
        Error::Confirmation => ("token.confirmation", "Unsupported confirmation method"),
        Error::Inactive => ("token.inactive", "Token is not active"),
        Error::Disagreement => ("token.disagreement", "Token is not active"),
    };
    Row(Code::Token, reason, description)
}

const MISMATCH: &str = "Certificate binding mismatch: certificate renewed, or not the one this token was issued to";

fn of_binding(error: binding::Error) -> Row {
    use binding::Error;
    let (reason, description) = match error {
        Error::Unbound => ("binding.unbound", "Sender-constrained token required"),
        Error::NoCertificate => ("binding.no_certificate", "Client certificate required"),
        Error::OtherCertificate => ("binding.other_certificate", MISMATCH),
        Error::RenewedCertificate => ("binding.renewed_certificate", MISMATCH),
        Error::ResumedSession => ("binding.resumed_session", MISMATCH),
        Error::OtherClientCertificate => ("binding.other_client_certificate", MISMATCH),
        Error::BearerDowngrade => ("binding.bearer_downgrade", "DPoP-bound token requires DPoP scheme"),
        Error::NoKey => ("binding.no_key", "Invalid DPoP key binding"),
        Error::OtherKey => ("binding.other_key", "Invalid DPoP key binding"),
        Error::Proof(error) => return of_proof(error),
        Error::CertificateExpired => ("binding.expired_certificate", "Client certificate expired"),
        Error::UncheckedValidity => ("binding.unchecked_validity", "Client certificate expired"),
    };
    Row(Code::Token, reason, description)
}

fn of_proof(error: dpop::Error) -> Row {
    use dpop::Error;
    let (reason, description) = match error {
        Error::Missing => ("proof.missing", "DPoP proof required"),
        Error::Several => ("proof.several", "Invalid DPoP proof"),
        Error::TooLong => ("proof.too_long", "Invalid DPoP proof"),
        Error::Malformed => ("proof.malformed", "Invalid DPoP proof"),
        Error::Type => ("proof.type", "Invalid DPoP proof"),
        Error::Algorithm => ("proof.algorithm", "Invalid DPoP proof"),
        Error::Key => ("proof.key", "Invalid DPoP proof"),
        Error::Claim => ("proof.claim", "Invalid DPoP proof"),
        Error::Method => ("proof.method", "Invalid DPoP proof"),
        Error::Uri => ("proof.uri", "Invalid DPoP proof"),
        Error::Ath => ("proof.ath", "Invalid DPoP proof"),
        Error::Expired => ("proof.expired", "DPoP proof expired"),
        Error::NotYetValid => ("proof.not_yet_valid", "DPoP proof expired"),
        Error::Signature => ("proof.signature", "Invalid DPoP proof"),
        Error::Nonce(error) => return of_nonce(error),
    };
    Row(Code::Proof, reason, description)
}

fn of_nonce(error: nonce::Error) -> Row {
    use nonce::Error;
    let reason = match error {
        Error::Missing => "nonce.missing",
        Error::Unknown => "nonce.unknown",
        Error::Expired => "nonce.expired",
    };
    Row(Code::Nonce, reason, "Resource server requires nonce in DPoP proof")
}

fn of_replay(error: replay::Error) -> Row {
    use replay::Error;
    match error {
        Error::Replayed => Row(Code::Proof, "proof.replayed", "DPoP proof replayed"),
        Error::Full => Row(Code::Dependency, "replay.full", ""),
        Error::FullOfKey => Row(Code::Dependency, "replay.full_of_key", ""),
        Error::Contended => Row(Code::Dependency, "replay.contended", ""),
        Error::Lost => Row(Code::Dependency, "replay.lost", ""),
    }
}

fn of_certificate(error: peer::Error) -> &'static str {
    match error {
        peer::Error::NotPem => "certificate.not_pem",
        peer::Error::TooLarge => "certificate.too_large",
        peer::Error::NotX509 => "certificate.not_x509",
        peer::Error::OtherDigest => "certificate.other_digest",
    }
}

fn of_relay(error: relay::Error) -> &'static str {
    match error {
        relay::Error::Doubled => "relay.doubled",
        relay::Error::Malformed => "relay.malformed",
        relay::Error::TooLarge => "relay.too_large",
        relay::Error::Disagree => "relay.disagree",
        relay::Error::Certificate(error) => of_certificate(error),
    }
}

fn of_policy(error: &policy::Error) -> Row {
    use policy::Error;
    match error {
        Error::NoRoute => Row(Code::Deny, "policy.no_route", ""),
        Error::UnknownPolicy => Row(Code::Deny, "route.unknown_policy", ""),
        Error::AmbiguousPath => Row(Code::BadHeader, "path.ambiguous", ""),
        Error::ExclusiveRoles => Row(Code::Deny, "policy.exclusive_roles", ""),
        Error::Denied => Row(Code::Deny, "policy.denied", ""),
        Error::NoRule => Row(Code::Deny, "policy.no_rule", ""),
        Error::Scope { .. } => Row(Code::Scope, "token.scope", "Insufficient scope"),
        Error::StepUp { lacking: Lacking::Level, .. } => {
            Row(Code::StepUp, "token.step_up", "A different authentication level is required")
        }
        Error::StepUp { lacking: Lacking::Recency, .. } => {
            Row(Code::StepUp, "token.step_up", "More recent authentication is required")
        }
        Error::CredentialMissing => Row(Code::NoCredential, "credential.missing", ""),
    }
}

fn of_server(error: Unavailable) -> &'static str {
    match error {
        Unavailable::Keys => "server.keys",
        Unavailable::Introspection => "server.introspection",
        Unavailable::OurCredentials => "server.our_credentials",
        Unavailable::UnusableAnswer => "server.unusable_answer",
        Unavailable::Crowded => "server.crowded",
    }
}

macro_rules! joins {
    ($($error:ty => $variant:ident),*) => {
        $(impl From<$error> for Denial {
            fn from(error: $error) -> Self {
                Self::$variant(error)
            }
        })*
    };
}

joins! {
    Ambiguous => Request, credential::Error => Credential, token::Error => Token, binding::Error => Binding,
    replay::Error => Replay, peer::Error => Certificate, relay::Error => Relay, policy::Error => Policy,
    Unavailable => Unavailable
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_that_is_written_here_is_listed_once() {
        let source = include_str!("denial.rs");
        let (list, rows) = source.split_once("pub const REASONS").and_then(|(_, rest)| rest.split_once("];")).unwrap();
        let rows = rows.split_once("#[cfg(test)]").unwrap().0;
        let of_form = |text: &&str| {
            let sound =
                |octet: u8| octet.is_ascii_lowercase() || octet.is_ascii_digit() || matches!(octet, b'.' | b'_');
            text.contains('.') && text.bytes().all(sound)
        };
        let found = |text: &'static str| text.split('"').skip(1).step_by(2).filter(of_form).collect::<Vec<_>>();
        let (listed, mut used) = (found(list), found(rows));
        used.sort_unstable();
        used.dedup();
        let mut sorted = REASONS.to_vec();
        sorted.sort_unstable();
        assert_eq!(listed, REASONS);
        assert_eq!(sorted, used);
    }
}
