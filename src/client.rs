//! Our own credentials at an authorization server: a field or parameters of a callout (RFC 6749 §2.3, RFC 7523 §2.2, RFC 8705 §2,
//! RFC 7662 §2.1).

use core::fmt;
use std::borrow::Cow;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::jose::base64url;
use crate::jose::signing::{Salt, SigningKey};
use crate::time::UnixTime;

/// Who we are at an authorization server, and how we show it.
#[derive(Clone, PartialEq, Eq)]
pub enum Authentication {
    ClientSecretBasic {
        client_id: String,
        client_secret: String,
    },
    ClientSecretPost {
        client_id: String,
        client_secret: String,
    },
    PrivateKeyJwt(Assertion),
    /// The certificate is the cluster's.
    TlsClientAuth {
        client_id: String,
    },
    /// A token of our own.
    Bearer {
        token: String,
    },
}

/// What an assertion says, and the key that signs it.
#[derive(Clone, PartialEq, Eq)]
pub struct Assertion {
    pub client_id: String,
    /// The issuer identifier of the server, and nothing else, whichever endpoint is asked (RFC 7523bis §4, FAPI 2.0 §5.3.3.1).
    pub audience: String,
    pub key: Rc<SigningKey>,
}

/// Random octets for one assertion.
pub struct Random {
    pub jti: [u8; 16],
    pub salt: Salt,
}

/// In seconds.
const LIFETIME: u64 = 60;

impl Authentication {
    /// The value of `Authorization`, where there is one.
    pub fn authorization(&self) -> Option<String> {
        match self {
            // Both parts are form-encoded before they are joined (RFC 6749 §2.3.1).
            Self::ClientSecretBasic { client_id, client_secret } => {
                let pair = format!("{}:{}", form_encode(client_id), form_encode(client_secret));
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            Self::Bearer { token } => Some(format!("Bearer {token}")),
            Self::ClientSecretPost { .. } | Self::PrivateKeyJwt(_) | Self::TlsClientAuth { .. } => None,
        }
    }

    /// Parameters that stand behind those of every question, the same in each.
    pub fn parameters(&self) -> String {
        match self {
            Self::ClientSecretPost { client_id, client_secret } => {
                format!("&client_id={}&client_secret={}", form_encode(client_id), form_encode(client_secret))
            }
            // RFC 8705 §2: without it the server would not know whose the certificate is.
            Self::TlsClientAuth { client_id } => format!("&client_id={}", form_encode(client_id)),
            Self::ClientSecretBasic { .. } | Self::PrivateKeyJwt(_) | Self::Bearer { .. } => String::new(),
        }
    }

    /// The form as it is sent this once: an assertion is never used again. None where none can be made.
    pub fn complete<'a>(&self, form: &'a [u8], random: &Random, now: UnixTime) -> Option<Cow<'a, [u8]>> {
        let Self::PrivateKeyJwt(assertion) = self else { return Some(Cow::Borrowed(form)) };
        let parameters = assertion.parameters(random, now)?;
        Some(Cow::Owned([form, parameters.as_bytes()].concat()))
    }

    /// Who we are; nobody by a token.
    pub fn client_id(&self) -> Option<&str> {
        match self {
            Self::ClientSecretBasic { client_id, .. }
            | Self::ClientSecretPost { client_id, .. }
            | Self::PrivateKeyJwt(Assertion { client_id, .. })
            | Self::TlsClientAuth { client_id } => Some(client_id),
            Self::Bearer { .. } => None,
        }
    }

    /// Whether it stands in a field alone, so that questions need no form.
    pub fn needs_form(&self) -> bool {
        !matches!(self, Self::ClientSecretBasic { .. } | Self::Bearer { .. })
    }

    /// Its name among `introspection_endpoint_auth_methods_supported`; none for a token, which needs no client.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Self::ClientSecretBasic { .. } => Some("client_secret_basic"),
            Self::ClientSecretPost { .. } => Some("client_secret_post"),
            Self::PrivateKeyJwt(_) => Some("private_key_jwt"),
            Self::TlsClientAuth { .. } => Some("tls_client_auth"),
            Self::Bearer { .. } => None,
        }
    }

    /// The algorithm of our key, where one signs.
    pub fn signs_with(&self) -> Option<&'static str> {
        match self {
            Self::PrivateKeyJwt(assertion) => Some(assertion.key.algorithm.name()),
            _ => None,
        }
    }

    /// Whether it shows a certificate, for which a server may have an endpoint of its own (RFC 8705 §5).
    pub fn is_by_certificate(&self) -> bool {
        matches!(self, Self::TlsClientAuth { .. })
    }
}

impl Assertion {
    /// RFC 7523 §3, typed as RFC 7523bis §3 asks.
    fn parameters(&self, random: &Random, now: UnixTime) -> Option<String> {
        let issued = now.seconds();
        let [us, audience] = [&self.client_id, &self.audience].map(|text| Value::from(text.as_str()));
        let (jti, expires) = (base64url::encode(random.jti), issued.saturating_add(LIFETIME));
        let claims =
            format!(r#"{{"iss":{us},"sub":{us},"aud":{audience},"jti":"{jti}","iat":{issued},"exp":{expires}}}"#);
        let jwt = self.key.jws("client-authentication+jwt", &claims, &random.salt)?;
        let kind = form_encode("urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        Some(format!("&client_assertion_type={kind}&client_assertion={jwt}"))
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSecretBasic { client_id, .. } => write!(f, "ClientSecretBasic({client_id:?}, …)"),
            Self::ClientSecretPost { client_id, .. } => write!(f, "ClientSecretPost({client_id:?}, …)"),
            Self::PrivateKeyJwt(Assertion { client_id, key, .. }) => write!(f, "PrivateKeyJwt({client_id:?}, {key:?})"),
            Self::TlsClientAuth { client_id } => write!(f, "TlsClientAuth({client_id:?})"),
            Self::Bearer { .. } => f.write_str("Bearer(…)"),
        }
    }
}

/// `application/x-www-form-urlencoded` of one value: everything but letters, digits, `-`, `.` and `_` is escaped.
pub fn form_encode(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => encoded.push(char::from(byte)),
            b' ' => encoded.push('+'),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::jose::signing::tests::private;

    const NOW: UnixTime = UnixTime::new(1_800_000_000);

    fn basic(client_id: &str, client_secret: &str) -> Authentication {
        Authentication::ClientSecretBasic { client_id: client_id.into(), client_secret: client_secret.into() }
    }

    fn by_key() -> Authentication {
        let key = Rc::new(SigningKey::parse(&private("ES256").to_string()).unwrap());
        let (client_id, audience) = ("rs".to_owned(), "https://login.bank.example".to_owned());
        Authentication::PrivateKeyJwt(Assertion { client_id, audience, key })
    }

    fn random(octet: u8) -> Random {
        Random { jti: [octet; 16], salt: [octet; 32] }
    }

    fn sent(us: &Authentication, octet: u8) -> String {
        String::from_utf8(us.complete(b"token=a", &random(octet), NOW).unwrap().into_owned()).unwrap()
    }

    #[test]
    fn rfc_9449_figure_10_shows_why_both_parts_are_encoded_first() {
        let value = basic("rs", "rs:Mku-6g_lCzKIdz4fsN7kYcya+Ti").authorization().unwrap();
        assert_eq!(STANDARD.decode(&value[6..]).unwrap(), b"rs:rs%3AMku-6g_lCzKIdz4fsN7kYcya%2BTi");
    }

    #[test]
    fn each_method_says_who_we_are_in_its_own_place() {
        let (client_id, client_secret) = ("r s".to_owned(), "a&b".to_owned());
        for (us, field, parameters) in [
            (basic("r s", "a&b"), Some("Basic citzOmElMjZi"), ""),
            (
                Authentication::ClientSecretPost { client_id: client_id.clone(), client_secret },
                None,
                "&client_id=r+s&client_secret=a%26b",
            ),
            (Authentication::TlsClientAuth { client_id }, None, "&client_id=r+s"),
            (Authentication::Bearer { token: "t0ken".into() }, Some("Bearer t0ken"), ""),
            (by_key(), None, ""),
        ] {
            assert_eq!((us.authorization().as_deref(), us.parameters().as_str()), (field, parameters), "{us:?}");
            assert_eq!(us.is_by_certificate(), us.parameters() == "&client_id=r+s");
        }
        assert_eq!(sent(&basic("a", "b"), 1), "token=a");
    }

    #[test]
    fn an_assertion_says_who_we_are_to_whom_and_until_when_and_is_signed() {
        let form = sent(&by_key(), 1);
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let jwt = form.strip_prefix(&format!("token=a&client_assertion_type={kind}&client_assertion=")).unwrap();
        let [header, payload, signature] = jwt.split('.').collect::<Vec<_>>().try_into().unwrap();
        let read = |part: &str| serde_json::from_slice::<Value>(&base64url::decode(part).unwrap()).unwrap();
        assert_eq!(read(header), json!({"alg": "ES256", "kid": "ES256", "typ": "client-authentication+jwt"}));
        let claims = json!({
            "iss": "rs", "sub": "rs", "aud": "https://login.bank.example", "jti": base64url::encode([1; 16]),
            "iat": 1_800_000_000, "exp": 1_800_000_060
        });
        assert_eq!(read(payload), claims);
        assert_eq!(base64url::decode(signature).unwrap().len(), 64);
    }

    #[test]
    fn no_assertion_is_used_twice() {
        assert_ne!(sent(&by_key(), 1), sent(&by_key(), 2));
    }

    #[test]
    fn a_token_can_not_add_a_parameter() {
        assert_eq!(form_encode("a&token=b %+~/\r\n"), "a%26token%3Db+%25%2B%7E%2F%0D%0A");
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let (client_id, client_secret) = ("api".to_owned(), "hidden".to_owned());
        let post = Authentication::ClientSecretPost { client_id: client_id.clone(), client_secret };
        for (us, printed) in [
            (basic("api", "hidden"), r#"ClientSecretBasic("api", …)"#),
            (post, r#"ClientSecretPost("api", …)"#),
            (Authentication::TlsClientAuth { client_id }, r#"TlsClientAuth("api")"#),
            (Authentication::Bearer { token: "hidden".into() }, "Bearer(…)"),
            (by_key(), r#"PrivateKeyJwt("rs", SigningKey("ES256", ES256, …))"#),
        ] {
            assert_eq!(format!("{us:?}"), printed);
        }
    }
}
