//! The certificates and keys that scenarios choose from, made once a run.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Algorithm, Authority, Leaf, SigningKey};
use holdfast::facts::peer::CertificateDigest;
use p256::ecdsa::signature::Verifier as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// When every scenario begins: the certificates are made around it.
pub static NOW: LazyLock<u64> = LazyLock::new(harness::now);

/// A certificate, and what was asked for when it was made.
pub struct Certificate {
    pub pem: Vec<u8>,
    pub digest: CertificateDigest,
    pub x5t_s256: String,
    pub hex: String,
    pub not_before: u64,
    pub not_after: u64,
    /// It has this SPIFFE ID and no right to sign.
    pub spiffe_id: Option<&'static str>,
}

pub const SPIFFE_ID: &str = "spiffe://bank.example/ns/web/sa/bff";
pub const OURS: usize = 0;
pub const THEIRS: usize = 1;

/// Ours, another's, one of a workload, one that ends soon, one that has ended, one that may sign.
pub static CERTIFICATES: LazyLock<Vec<Certificate>> = LazyLock::new(|| {
    const YEAR: i64 = 365 * 24 * 3600;
    let authority = Authority::new("test CA");
    let make = |leaf: Leaf, (from, until): (i64, i64), spiffe_id| {
        let made = authority.issue(leaf.valid(from, until));
        let digest: [u8; 32] = Sha256::digest(&made.der).into();
        Certificate {
            pem: made.cert_pem.into_bytes(),
            digest: CertificateDigest(digest),
            x5t_s256: URL_SAFE_NO_PAD.encode(digest),
            hex: digest.iter().map(|octet| format!("{octet:02x}")).collect(),
            not_before: NOW.saturating_add_signed(from),
            not_after: NOW.saturating_add_signed(until),
            spiffe_id,
        }
    };
    let leaf = || Leaf::client("bank");
    vec![
        make(leaf(), (-YEAR, YEAR), None),
        make(leaf(), (-YEAR, YEAR), None),
        make(leaf().uri(SPIFFE_ID), (-YEAR, YEAR), Some(SPIFFE_ID)),
        make(leaf(), (-YEAR, 200), None),
        make(leaf(), (-YEAR, -100), None),
        make(leaf().uri(SPIFFE_ID).authority(), (-YEAR, YEAR), None),
    ]
});

/// A key of some issuer, or of a thief who calls it the same.
pub struct Key {
    pub signing: SigningKey,
    pub jwk: Value,
    verifying: Verifying,
}

enum Verifying {
    P256(p256::ecdsa::VerifyingKey),
    Ed25519(ed25519_dalek::VerifyingKey),
}

/// Two of the bank, one that the bank had before, one of the other issuer, one of a thief; three of them are called `k1`.
pub static KEYS: LazyLock<Vec<Key>> = LazyLock::new(|| {
    let made = [
        (Algorithm::Es256, "k1"),
        (Algorithm::EdDsa, "k2"),
        (Algorithm::Es256, "old"),
        (Algorithm::Es256, "k1"),
        (Algorithm::Es256, "k1"),
    ];
    made.into_iter().map(|(algorithm, kid)| Key::new(SigningKey::new(algorithm, kid))).collect()
});

impl Key {
    fn new(signing: SigningKey) -> Self {
        let jwk = signing.jwk();
        let member = |name: &str| URL_SAFE_NO_PAD.decode(jwk[name].as_str().unwrap()).unwrap();
        let verifying = if jwk["kty"] == "EC" {
            let point = [&[4], member("x").as_slice(), &member("y")].concat();
            Verifying::P256(p256::ecdsa::VerifyingKey::from_sec1_bytes(&point).unwrap())
        } else {
            Verifying::Ed25519(ed25519_dalek::VerifyingKey::from_bytes(&member("x").try_into().unwrap()).unwrap())
        };
        Self { signing, jwk, verifying }
    }

    /// Asks the libraries directly.
    pub fn made(&self, signature: &[u8], message: &[u8]) -> bool {
        match &self.verifying {
            Verifying::P256(key) => {
                p256::ecdsa::Signature::from_slice(signature).is_ok_and(|made| key.verify(message, &made).is_ok())
            }
            Verifying::Ed25519(key) => {
                ed25519_dalek::Signature::from_slice(signature).is_ok_and(|made| key.verify(message, &made).is_ok())
            }
        }
    }
}
