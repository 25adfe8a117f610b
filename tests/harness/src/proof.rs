//! A DPoP proof (RFC 9449 §4.2), right in everything that a test does not change.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::keys::{SigningKey, base64url};
use crate::now;

#[derive(Clone, Debug)]
pub struct Proof {
    header: Value,
    claims: Value,
}

impl Proof {
    /// Of the key, for this method and URI, made now, with a `jti` of its own.
    pub fn new(key: &SigningKey, method: &str, uri: &str) -> Self {
        let mut jwk = key.jwk();
        jwk.as_object_mut()
            .expect("a map")
            .retain(|name, _| matches!(name.as_str(), "kty" | "crv" | "x" | "y" | "n" | "e"));
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).expect("random octets");
        Self {
            header: json!({"typ": "dpop+jwt", "kid": null, "jwk": jwk}),
            claims: json!({"jti": base64url(&jti), "htm": method, "htu": uri, "iat": now()}),
        }
    }

    /// Beside this access token.
    pub fn with(self, token: &str) -> Self {
        self.claim("ath", json!(base64url(&Sha256::digest(token))))
    }

    /// Another value of a claim; null takes it out.
    pub fn claim(mut self, name: &str, value: Value) -> Self {
        self.claims[name] = value;
        self.claims.as_object_mut().expect("a map").retain(|_, value| !value.is_null());
        self
    }

    /// The same for a member of the header.
    pub fn header(mut self, name: &str, value: Value) -> Self {
        self.header[name] = value;
        self
    }

    pub fn sign(&self, key: &SigningKey) -> String {
        key.mint(self.header.clone(), &self.claims)
    }
}

impl SigningKey {
    /// The thumbprint that tokens and proofs of this key share (RFC 7638), as `cnf.jkt` has it.
    pub fn thumbprint(&self) -> String {
        let jwk = self.jwk();
        // Members in the order of their names, which is that of `serde_json`.
        let names = jwk
            .as_object()
            .expect("a map")
            .keys()
            .filter(|name| matches!(name.as_str(), "kty" | "crv" | "x" | "y" | "n" | "e"));
        let members: serde_json::Map<String, Value> = names.map(|name| (name.clone(), jwk[name].clone())).collect();
        base64url(&Sha256::digest(Value::Object(members).to_string()))
    }
}
