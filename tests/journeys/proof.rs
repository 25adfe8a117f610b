//! Whoever holds a DPoP key, and the proofs that they make, good and hostile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::world::{Key, NOW};

/// What clients call the API of the tests.
pub const ORIGIN: &str = "https://api.bank.example";

/// A client with a key of its own, made from its name.
pub struct Holder {
    key: Key,
}

/// A proof before it is signed.
#[derive(Clone)]
pub struct Proof<'a> {
    key: &'a Key,
    pub header: Value,
    pub claims: Value,
}

pub fn base64url(octets: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

impl Holder {
    pub fn named(name: &str) -> Self {
        Self { key: Key::named(name) }
    }

    /// The public key, and nothing that is said of it.
    pub fn jwk(&self) -> Value {
        let mut jwk = self.key.jwk();
        jwk.as_object_mut().unwrap().retain(|name, _| ["kty", "crv", "x", "y"].contains(&name.as_str()));
        jwk
    }

    /// Its thumbprint (RFC 7638), put together by hand.
    pub fn jkt(&self) -> String {
        let jwk = self.jwk();
        base64url(Sha256::digest(format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"])))
    }

    /// A good proof for `GET` of this path with this token, just made; each has a `jti` of its own by the name given.
    pub fn proof(&self, path: &str, token: &str, jti: &str) -> Proof<'_> {
        Proof {
            key: &self.key,
            header: json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": self.jwk()}),
            claims: json!({
                "jti": jti, "htm": "GET", "htu": format!("{ORIGIN}{path}"), "iat": NOW,
                "ath": base64url(Sha256::digest(token))
            }),
        }
    }
}

impl<'a> Proof<'a> {
    /// The same with another claim; null takes it out.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        put(&mut self.claims, name, value.into());
        self
    }

    /// The same with another member of the header; null takes it out.
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        put(&mut self.header, name, value.into());
        self
    }

    /// Signed by this key instead, whatever the header says.
    pub fn by(self, other: &'a Holder) -> Self {
        Self { key: &other.key, ..self }
    }

    pub fn sign(&self) -> String {
        self.key.sign(&self.header.to_string(), &self.claims.to_string())
    }
}

fn put(members: &mut Value, name: &str, value: Value) {
    match value {
        Value::Null => drop(members.as_object_mut().unwrap().remove(name)),
        value => members[name] = value,
    }
}
