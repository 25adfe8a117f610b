//! What a decision says of the caller: to filters and logs behind by filter state, to the upstream by what is taken away.

use crate::binding::{ConfirmedSender, Means};
use crate::credential::Scheme;
use crate::facts::Request;
use crate::facts::peer::PeerCertificate;
use crate::jose::base64url;
use crate::jose::json::Value;
use crate::policy::Policy;
use crate::policy::relay::Relay;
use crate::policy::route::Route;
use crate::token::Issuer;
use crate::token::claims::visible;

use super::{Fact, TokenForward};

/// Fields that no caller may write: what only proxies in front of a service say, what asks for another method or target than
/// the one decided on, and what this configuration tells upstreams.
#[derive(Clone, Debug)]
pub struct Owned {
    /// In lower case with `-` for every sign.
    names: Vec<Vec<u8>>,
    /// A bit for each length that one of them has: most fields of a request are told apart by it.
    lengths: u64,
}

const ALWAYS: [&[u8]; 9] = [
    b"client-cert",
    b"client-cert-chain",
    b"txn-token",
    b"x-http-method-override",
    b"x-http-method",
    b"x-method-override",
    b"x-forwarded-method",
    b"x-original-url",
    b"x-rewrite-url",
];

/// What says another host than the one decided on, where some route decides by host.
pub const HOSTS: [&str; 4] = ["forwarded", "x-forwarded-host", "x-host", "x-original-host"];

/// The longest value that is told (checklist (b), state 17).
const MAX_VALUE: usize = 256;

/// A value that is longer than 256 octets, and so is told to nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl Owned {
    /// What is owned always, and these names.
    pub fn new<'a>(told: impl Iterator<Item = &'a str>) -> Self {
        let told = told.map(|name| name.bytes().map(folded).collect());
        let names: Vec<Vec<u8>> = ALWAYS.iter().map(|name| name.to_vec()).chain(told).collect();
        let lengths = names.iter().fold(0, |lengths, name| lengths | bit_of(name));
        Self { names, lengths }
    }

    /// Whether a field of this name is one that only this filter may hand on. `_`, and every other sign, counts as `-`: services
    /// often confuse them.
    pub fn holds(&self, name: &[u8]) -> bool {
        let is = |owned: &[u8]| owned.len() == name.len() && name.iter().zip(owned).all(|(a, b)| folded(*a) == *b);
        self.lengths & bit_of(name) != 0 && self.names.iter().any(|owned| is(owned))
    }
}

/// All lengths from 63 on have one bit.
fn bit_of(name: &[u8]) -> u64 {
    1 << name.len().min(63)
}

impl Owned {
    /// Whether a `Connection` field names one of them, or the credential: a token, or the proof beside it.
    pub fn is_named_in(&self, names: &[u8]) -> bool {
        // Proxies divide this list at blanks too, and by more; whatever stands between names is no part of one.
        names
            .split(|octet| !is_name_octet(*octet))
            .any(|name| self.holds(name) || name.eq_ignore_ascii_case(b"authorization") || is_proof(name))
    }
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_name_octet(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&octet)
}

fn folded(octet: u8) -> u8 {
    if octet.is_ascii_alphanumeric() { octet.to_ascii_lowercase() } else { b'-' }
}

/// Whether a field carries an access token or a proof for one.
pub fn is_token(name: &[u8], value: &[u8]) -> bool {
    is_proof(name) || (name.eq_ignore_ascii_case(b"authorization") && is_token_scheme(value))
}

/// Whether a field is a DPoP proof. Beside a bearer token it proves nothing to a service that trusts this filter.
pub fn is_proof(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"dpop")
}

/// Services find a token in their own ways, so every word counts that is such a scheme, and every one that looks like a JWT
/// (a JSON object's first octets in base64url, and dots), whatever stands before it.
fn is_token_scheme(value: &[u8]) -> bool {
    // A word begins where no sign of base64 stands before it: inside the credentials of Basic any word may stand.
    let mut parts = value.split(|octet| !(octet.is_ascii_alphanumeric() || b"-._~+/".contains(octet)));
    parts.any(|part| {
        let word = part.split(|octet| !octet.is_ascii_alphabetic()).next().unwrap_or_default();
        word.eq_ignore_ascii_case(b"bearer")
            || word.eq_ignore_ascii_case(b"dpop")
            || (part.starts_with(b"eyJ") && part.contains(&b'.'))
    })
}

/// The fields that the upstream must not see: forgeries on every route, unverified tokens where none was read, and the
/// verified one where the route says so; its proof goes the same way, and a proof that proved nothing goes nowhere. `verified` is the
/// scheme of a token that was, and what becomes of it. What the `relay` wrote that was believed is no forgery.
pub fn removals(
    request: &Request,
    route: &Route,
    owned: &Owned,
    verified: Option<(Scheme, TokenForward)>,
    relay: Option<&Relay>,
) -> Vec<Vec<u8>> {
    let hides_token = match verified {
        Some((_, forward)) => forward == TokenForward::Strip,
        None => !route.forwards_unverified_token,
    };
    let gone = |name: &[u8], value: &[u8]| {
        (owned.holds(name) && !relay.is_some_and(|relay| relay.writes(name)))
            || (hides_token && is_token(name, value))
            || (matches!(verified, Some((Scheme::Bearer, _))) && is_proof(name))
            || (verified.is_none() && is_unread(route, name))
    };
    request.fields().filter(|(name, value)| gone(name, value)).map(|(name, _)| name.to_vec()).collect()
}

/// Whether a field is a credential that nobody has read, though the service behind this route expects verified tokens: its
/// caller came by certificate alone.
pub fn is_unread(route: &Route, name: &[u8]) -> bool {
    route.reads_token() && !route.forwards_unverified_token && name.eq_ignore_ascii_case(b"authorization")
}

/// What is known of a caller.
pub struct Caller<'a> {
    pub route: &'a Route,
    pub sender: Option<(&'a ConfirmedSender, &'a Issuer)>,
    pub certificate: Option<&'a PeerCertificate>,
    /// What each role includes, and which SPIFFE IDs a certificate may prove.
    pub policy: &'a Policy,
}

impl Caller<'_> {
    /// The facts that a route adds, in its order; those that this caller does not have are left out.
    pub fn told(&self, facts: &[(String, Fact)]) -> Result<Vec<(String, String)>, TooLong> {
        let mut told = Vec::new();
        for (name, fact) in facts {
            let Some(value) = self.value(fact) else { continue };
            if value.len() > MAX_VALUE {
                return Err(TooLong);
            }
            told.push((name.clone(), value));
        }
        Ok(told)
    }

    fn value(&self, fact: &Fact) -> Option<String> {
        let token = || self.sender.map(|(sender, _)| sender.token());
        match fact {
            Fact::ClientId => token()?.told_client_id().map(str::to_owned),
            Fact::Subject => token()?.told_subject().map(str::to_owned),
            Fact::Issuer => self.sender.map(|(_, issuer)| visible(&issuer.identifier)),
            Fact::Roles => token().map(|token| list(self.policy.roles().all(token.roles()).into_iter())),
            Fact::Scopes => Some(list(token()?.scopes()?.iter().map(String::as_str))),
            Fact::Binding => self.sender.map(|(sender, _)| sender.means().name().to_owned()),
            Fact::Route => Some(self.route.name.clone()),
            Fact::SpiffeId => self.policy.spiffe_id(self.certificate?).map(visible),
            Fact::CertificateSha256 => self.certificate.map(|certificate| certificate.digest.to_string()),
            Fact::Claim(place) => text(token()?.claim(place)?),
        }
    }
}

/// How `means` is called where nobody presented a token.
pub fn binding_name(means: Option<Means>) -> &'static str {
    means.map_or("none", Means::name)
}

/// Text, numbers and booleans as text, lists joined by commas, objects as base64url of their JSON.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(member(text)),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => Some(value.to_string()),
        Value::Array(values) => {
            let members: Vec<String> = values.iter().filter_map(text).collect();
            Some(members.iter().map(|told| told.replace(',', "%2C")).collect::<Vec<_>>().join(","))
        }
        Value::Object(_) => Some(base64url::encode(value.to_string())),
    }
}

fn list<'a>(members: impl Iterator<Item = &'a str>) -> String {
    members.map(member).collect::<Vec<_>>().join(",")
}

/// A claim may be a text or a list of texts, so a comma in a text is told as none that divides a list.
fn member(text: &str) -> String {
    visible(text).replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_can_neither_split_a_line_nor_grow_a_member() {
        assert_eq!(visible("ann\r\nx: y%é"), "ann%0D%0Ax:%20y%25%C3%A9");
        assert_eq!(list(["user,admin", "clerk"].into_iter()), "user%2Cadmin,clerk");
    }

    #[test]
    fn claims_of_every_type_are_told() {
        use crate::jose::json::{Limits, parse};
        for (claim, told) in [
            ("null", None),
            (r#""a,b""#, Some("a%2Cb")),
            ("5", Some("5")),
            ("1.5", Some("1.5")),
            ("true", Some("true")),
            (r#"["a,b", 5, null, "c d"]"#, Some("a%2Cb,5,c%20d")),
            (r#"{"a": [1, "x\n"]}"#, Some("eyJhIjpbMSwieFxuIl19")),
        ] {
            let value = parse(claim.as_bytes(), Limits::TOKEN).unwrap();
            assert_eq!(text(&value).as_deref(), told, "{claim}");
        }
    }

    #[test]
    fn a_connection_field_names_what_any_proxy_would_read_in_it() {
        let owned = Owned::new(["x-client-id"].into_iter());
        for names in [
            "authorization",
            "upgrade, X-Client-Id",
            "upgrade, x_client_id x",
            "x authorization;q=1",
            "\"dpop\"",
            "a\tclient-cert",
        ] {
            assert!(owned.is_named_in(names.as_bytes()), "{names}");
        }
        assert!(owned.is_named_in(b"authorization\xa0"));
        for names in ["", "upgrade", "keep-alive, Upgrade", "x-authorization, authorizations", "http2-settings"] {
            assert!(!owned.is_named_in(names.as_bytes()), "{names}");
        }
    }

    #[test]
    fn owned_names_are_known_in_every_spelling() {
        let owned = Owned::new(["x-client-id", "x_subject"].into_iter());
        let ours =
            ["x-client-id", "X-Client-Id", "x_client_id", "x.client~id", "X-CLIENT_ID", "x-subject", "X_Subject"];
        for name in ["client-cert", "Client-Cert", "client_cert", "X_HTTP_Method-Override"].into_iter().chain(ours) {
            assert!(owned.holds(name.as_bytes()), "{name}");
        }
        for name in ["client-certs", "x-client-cert", "content-type", "x-client-i", "x-client-ids", "xclientid"] {
            assert!(!owned.holds(name.as_bytes()), "{name}");
        }
        assert!(!Owned::new([].into_iter()).holds(b"x-client-id"));
    }

    #[test]
    fn only_fields_that_carry_a_token_are_taken_for_one() {
        assert!(is_token(b"DPoP", b"x"));
        for value in [
            "Bearer x",
            "bearer",
            "DPOP\tx",
            "Basic y,Bearer x",
            ", Bearer x",
            "\u{a0}Bearer x",
            "\"Bearer=x\"",
            "X Bearer y",
            "Basic Bearer x",
            "eyJhbGciOiJub25lIn0.e30.",
            "JWT eyJhbGciOiJub25lIn0.e30.",
            "t=eyJ.x",
            "token=Bearer x",
            "X;Bearer x",
        ] {
            assert!(is_token(b"authorization", value.as_bytes()), "{value}");
        }
        for (name, value) in [
            ("authorization", "Basic x"),
            ("authorization", "Basic eyJhOmI="),
            ("authorization", "Basic QQ1dpop+1Bearer/QQ=="),
            ("authorization", "Bearerx y"),
            ("cookie", "Bearer x"),
        ] {
            assert!(!is_token(name.as_bytes(), value.as_bytes()), "{name}: {value}");
        }
    }
}
