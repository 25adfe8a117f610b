//! Verifies signatures by Envoy's `verify_signature` where that has shown itself right, and in Rust otherwise.
//!
//! Envoy hands what it is given to its own library, many times faster than wasm. It takes weak hashes and short keys as
//! well: which key serves which algorithm is decided here, before it is asked.

use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::PublicKey;
use crate::jose::known_answer;
use crate::jose::verifier::{InRust, Verifier};

use super::abi::{self, Level};

/// Chosen once, by known answers.
pub struct Crypto {
    by_host: Vec<Algorithm>,
}

/// Envoy's library, whatever it can do.
#[derive(Clone, Copy)]
pub struct ByHost;

impl Crypto {
    /// Tries the host, and says in the log who verifies what.
    pub fn choose() -> Self {
        let (by_host, in_rust): (Vec<_>, Vec<_>) =
            Algorithm::ALL.into_iter().partition(|algorithm| known_answer::is_right(&ByHost, *algorithm));
        let (host, rust) = (names(&by_host), names(&in_rust));
        abi::log(Level::Info, &format!("holdfast: signatures: verified by the proxy: {host}; by the module: {rust}"));
        Self { by_host }
    }
}

fn names(algorithms: &[Algorithm]) -> String {
    let names: Vec<&str> = algorithms.iter().map(|algorithm| algorithm.name()).collect();
    if names.is_empty() { "none".to_owned() } else { names.join(" ") }
}

impl Verifier for Crypto {
    fn verify(&self, key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        if self.by_host.contains(&algorithm) {
            ByHost.verify(key, algorithm, message, signature)
        } else {
            InRust.verify(key, algorithm, message, signature)
        }
    }
}

impl Verifier for ByHost {
    /// Anything but a plain yes is a no.
    fn verify(&self, key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        const YES: &[u8] = &[0x08, 1];
        let Some(hash) = hash(algorithm).filter(|_| key.fits(algorithm)) else { return false };
        let Some(signature) = key.signature_in_der(signature) else { return false };
        let argument = argument(&[hash.as_bytes(), key.spki(), &signature, message]);
        abi::foreign_function("verify_signature", &argument).is_ok_and(|result| result.as_deref() == Some(YES))
    }
}

/// Of the algorithms that the host has.
fn hash(algorithm: Algorithm) -> Option<&'static str> {
    match algorithm {
        Algorithm::Rs256 | Algorithm::Es256 => Some("sha256"),
        Algorithm::Rs384 | Algorithm::Es384 => Some("sha384"),
        Algorithm::Rs512 => Some("sha512"),
        Algorithm::Ps256 | Algorithm::Ps384 | Algorithm::Ps512 | Algorithm::EdDsa => None,
    }
}

/// `VerifySignatureArguments` of Envoy's `verify_signature.proto`: hash, key, signature and text are its fields 1 to 4.
fn argument(fields: &[&[u8]; 4]) -> Vec<u8> {
    const LONGEST_LENGTH: usize = 5;
    let length: usize = fields.iter().map(|field| 1 + LONGEST_LENGTH + field.len()).sum();
    let mut argument = Vec::with_capacity(length);
    for (tag, field) in [0x0a, 0x12, 0x1a, 0x22].into_iter().zip(fields) {
        argument.push(tag);
        write_length(field.len(), &mut argument);
        argument.extend_from_slice(field);
    }
    argument
}

/// Seven bits to an octet, the lowest first; the highest bit says that more follow.
fn write_length(length: usize, to: &mut Vec<u8>) {
    let mut rest = length;
    loop {
        let [low, ..] = rest.to_le_bytes();
        rest >>= 7;
        if rest == 0 {
            return to.push(low & 0x7f);
        }
        to.push(low | 0x80);
    }
}
