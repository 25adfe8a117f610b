//! A fresh DPoP proof for every request, by a signer that costs less than what is measured.

use harness::{SigningKey, base64url};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};

use crate::stage::{ORIGIN, PATH};

/// Whoever holds a P-256 key.
pub struct Holder {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    header: String,
}

impl Holder {
    pub fn new() -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let secret = EcdsaKeyPair::generate_pkcs8(algorithm, &random).expect("a P-256 key");
        let pair = EcdsaKeyPair::from_pkcs8(algorithm, secret.as_ref(), &random).expect("the same key");
        let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
        let jwk = json!({"crv": "P-256", "kty": "EC", "x": base64url(x), "y": base64url(y)});
        let header = base64url(json!({"typ": "dpop+jwt", "alg": "ES256", "jwk": jwk}).to_string().as_bytes());
        Self { pair, random, header }
    }

    /// What a token that is bound to it says (RFC 9449 §6.1).
    pub fn confirmation(&self) -> Value {
        let (x, y) = self.pair.public_key().as_ref()[1..].split_at(32);
        let members = format!(r#"{{"crv":"P-256","kty":"EC","x":"{}","y":"{}"}}"#, base64url(x), base64url(y));
        json!({"jkt": base64url(&harness::sha256(members.as_bytes()))})
    }

    /// For a GET of the path that is measured. `ath` is that of the token, and `number` makes the proof another one.
    pub fn proof(&self, ath: &str, number: u64) -> String {
        let claims = format!(
            r#"{{"jti":"5b1f3c1e-77a2-4d6f-{number:016x}","htm":"GET","htu":"{ORIGIN}{PATH}","iat":{},"ath":"{ath}"}}"#,
            harness::now()
        );
        let input = format!("{}.{}", self.header, base64url(claims.as_bytes()));
        let signature = self.pair.sign(&self.random, input.as_bytes()).expect("a signature");
        format!("{input}.{}", base64url(signature.as_ref()))
    }
}

/// The key of the token, which no proof is signed with here, is another's.
pub fn stolen(token: &str, key: &SigningKey) -> String {
    harness::Proof::new(key, "GET", &format!("{ORIGIN}{PATH}")).with(token).sign(key)
}
