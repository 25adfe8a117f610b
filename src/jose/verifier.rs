//! A key, an algorithm, a message and a signature into a verdict, by whatever is at hand.

use super::algorithm::Algorithm;
use super::jwk::PublicKey;

/// Verifies signatures. All that do so give the same verdicts; they differ in speed.
pub trait Verifier {
    /// Whether `signature`, as a JWS holds it, is one of `key` for `message` by `algorithm`; never where the algorithm is not
    /// one for such a key.
    fn verify(&self, key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool;
}

/// Needs nothing but this module.
#[derive(Clone, Copy, Debug)]
pub struct InRust;

impl Verifier for InRust {
    fn verify(&self, key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        key.verify(algorithm, message, signature)
    }
}
