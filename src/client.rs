//! Our own credentials at an authorization server, as fields of a callout (RFC 6749 §2.3).

use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// `client_secret_basic`: who we are at an authorization server.
#[derive(Clone, PartialEq, Eq)]
pub struct ClientSecretBasic {
    pub client_id: String,
    pub client_secret: String,
}

impl ClientSecretBasic {
    /// The value of `Authorization`: both parts form-encoded before they are joined (RFC 6749 §2.3.1).
    pub fn authorization(&self) -> String {
        let pair = format!("{}:{}", form_encode(&self.client_id), form_encode(&self.client_secret));
        format!("Basic {}", STANDARD.encode(pair))
    }
}

impl fmt::Debug for ClientSecretBasic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientSecretBasic({:?}, …)", self.client_id)
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
    use super::*;

    #[test]
    fn rfc_9449_figure_10_shows_why_both_parts_are_encoded_first() {
        let rs = ClientSecretBasic { client_id: "rs".into(), client_secret: "rs:Mku-6g_lCzKIdz4fsN7kYcya+Ti".into() };
        assert_eq!(STANDARD.decode(&rs.authorization()[6..]).unwrap(), b"rs:rs%3AMku-6g_lCzKIdz4fsN7kYcya%2BTi");
    }

    #[test]
    fn a_token_can_not_add_a_parameter() {
        assert_eq!(form_encode("a&token=b %+~/\r\n"), "a%26token%3Db+%25%2B%7E%2F%0D%0A");
    }

    #[test]
    fn a_secret_does_not_print_itself() {
        let us = ClientSecretBasic { client_id: "api".into(), client_secret: "hidden".into() };
        assert_eq!(format!("{us:?}"), r#"ClientSecretBasic("api", …)"#);
    }
}
