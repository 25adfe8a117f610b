//! Keys of an authorization server, made at run time, and JWTs of every kind, good and hostile.

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use p256::ecdsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _};
use rsa::traits::{PrivateKeyParts as _, PublicKeyParts as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

pub fn base64url(octets: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(octets)
}

/// Signature algorithms of JWTs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    EdDsa,
}

impl Algorithm {
    pub const ALL: [Self; 9] = [
        Self::Rs256,
        Self::Rs384,
        Self::Rs512,
        Self::Ps256,
        Self::Ps384,
        Self::Ps512,
        Self::Es256,
        Self::Es384,
        Self::EdDsa,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A key of one algorithm.
#[derive(Clone)]
pub struct SigningKey {
    pub kid: String,
    pub algorithm: Algorithm,
    secret: Secret,
}

#[derive(Clone)]
enum Secret {
    Rsa(&'static rsa::PrivateKey),
    P256(p256::ecdsa::SigningKey),
    P384(p384::ecdsa::SigningKey),
    Ed25519(ed25519_dalek::SigningKey),
}

/// Two RSA keys a process: making one takes seconds without optimization.
fn rsa_key(number: usize) -> &'static rsa::PrivateKey {
    static KEYS: [OnceLock<rsa::PrivateKey>; 2] = [OnceLock::new(), OnceLock::new()];
    KEYS[number % 2].get_or_init(|| rsa::PrivateKey::new(&mut UnwrapErr(SysRng), 2048).expect("an RSA key"))
}

fn random<const N: usize>() -> [u8; N] {
    let mut octets = [0; N];
    getrandom::fill(&mut octets).expect("random octets");
    octets
}

impl SigningKey {
    /// Its private JWK, as a client that authenticates by it holds it.
    pub fn private_jwk(&self) -> Value {
        let mut jwk = self.jwk();
        let members: &[(&str, Vec<u8>)] = &match &self.secret {
            Secret::Rsa(key) => {
                let octets = |number: &rsa::BoxedUint| number.to_be_bytes_trimmed_vartime().into_vec();
                let [p, q] = key.primes() else { panic!("two primes") };
                let (dp, dq, qi) = (key.dp().expect("dp"), key.dq().expect("dq"), key.qinv().expect("qi").retrieve());
                let numbers = [("d", key.d()), ("p", p), ("q", q), ("dp", dp), ("dq", dq), ("qi", &qi)];
                numbers.map(|(name, number)| (name, octets(number))).to_vec()
            }
            Secret::P256(key) => vec![("d", key.to_bytes().to_vec())],
            Secret::P384(key) => vec![("d", key.to_bytes().to_vec())],
            Secret::Ed25519(key) => vec![("d", key.to_bytes().to_vec())],
        };
        for (name, octets) in members {
            jwk[name] = base64url(octets).into();
        }
        jwk
    }

    pub fn new(algorithm: Algorithm, kid: &str) -> Self {
        let secret = match algorithm {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Secret::Rsa(rsa_key(usize::from(kid.ends_with('2')))),
            Algorithm::Es256 => Secret::P256(p256::ecdsa::SigningKey::from_slice(&random::<32>()).expect("a scalar")),
            Algorithm::Es384 => Secret::P384(p384::ecdsa::SigningKey::from_slice(&random::<48>()).expect("a scalar")),
            Algorithm::EdDsa => Secret::Ed25519(ed25519_dalek::SigningKey::from_bytes(&random())),
        };
        Self { kid: kid.to_owned(), algorithm, secret }
    }

    pub fn jwk(&self) -> Value {
        let mut jwk = match &self.secret {
            Secret::Rsa(key) => {
                json!({"kty": "RSA", "n": base64url(&key.n_bytes()), "e": base64url(&key.e_bytes())})
            }
            Secret::P256(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                json!({"kty": "EC", "crv": "P-256", "x": base64url(point.x().unwrap()), "y": base64url(point.y().unwrap())})
            }
            Secret::P384(key) => {
                let point = key.verifying_key().to_sec1_point(false);
                json!({"kty": "EC", "crv": "P-384", "x": base64url(point.x().unwrap()), "y": base64url(point.y().unwrap())})
            }
            Secret::Ed25519(key) => {
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(key.verifying_key().as_bytes())})
            }
        };
        jwk["kid"] = json!(self.kid);
        jwk["alg"] = json!(self.algorithm.name());
        jwk["use"] = json!("sig");
        jwk
    }

    /// The signature over these octets, in the form that JWS has it.
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        match &self.secret {
            Secret::Rsa(key) => sign_rsa(key, self.algorithm, message),
            Secret::P256(key) => {
                let signature: p256::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Secret::P384(key) => {
                let signature: p384::ecdsa::Signature = key.sign(message);
                signature.to_bytes().to_vec()
            }
            Secret::Ed25519(key) => key.sign(message).to_bytes().to_vec(),
        }
    }

    /// The RSA operation alone, over a message that the test has encoded itself.
    pub fn sign_encoded(&self, encoded: &[u8]) -> Vec<u8> {
        let Secret::Rsa(key) = &self.secret else { panic!("not an RSA key") };
        let number = rsa::BoxedUint::from_be_slice_vartime(encoded);
        let signature =
            rsa::hazmat::rsa_decrypt::<UnwrapErr<SysRng>>(None, *key, &number).expect("a number below the modulus");
        signature.to_be_bytes().to_vec()
    }

    /// An access token with this header besides `alg`, `typ` and `kid`; null takes a member out.
    pub fn mint(&self, header: Value, claims: &Value) -> String {
        let mut whole = json!({"alg": self.algorithm.name(), "typ": "at+jwt", "kid": self.kid});
        for (name, value) in header.as_object().expect("a map of header members") {
            whole[name] = value.clone();
        }
        whole.as_object_mut().expect("a map").retain(|_, value| !value.is_null());
        sign_octets(self, whole.to_string().as_bytes(), claims.to_string().as_bytes())
    }
}

pub fn sha256(octets: &[u8]) -> [u8; 32] {
    Sha256::digest(octets).into()
}

/// Signs these octets as header and payload, whatever they are.
pub fn sign_octets(key: &SigningKey, header: &[u8], payload: &[u8]) -> String {
    let input = format!("{}.{}", base64url(header), base64url(payload));
    let signature = key.sign(input.as_bytes());
    format!("{input}.{}", base64url(&signature))
}

fn sign_rsa(key: &rsa::PrivateKey, algorithm: Algorithm, message: &[u8]) -> Vec<u8> {
    let key = || key.clone();
    let random = &mut UnwrapErr(SysRng);
    match algorithm {
        Algorithm::Rs256 => rsa::pkcs1v15::SigningKey::<Sha256>::new(key()).sign(message).to_vec(),
        Algorithm::Rs384 => rsa::pkcs1v15::SigningKey::<Sha384>::new(key()).sign(message).to_vec(),
        Algorithm::Rs512 => rsa::pkcs1v15::SigningKey::<Sha512>::new(key()).sign(message).to_vec(),
        Algorithm::Ps256 => rsa::pss::SigningKey::<Sha256>::new(key()).sign_with_rng(random, message).to_vec(),
        Algorithm::Ps384 => rsa::pss::SigningKey::<Sha384>::new(key()).sign_with_rng(random, message).to_vec(),
        Algorithm::Ps512 => rsa::pss::SigningKey::<Sha512>::new(key()).sign_with_rng(random, message).to_vec(),
        Algorithm::Es256 | Algorithm::Es384 | Algorithm::EdDsa => unreachable!("not of RSA"),
    }
}
