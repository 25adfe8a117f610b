//! RSA in full length: signatures of keys of odd sizes, and what is nearly one, by our own arithmetic and by the library it replaces.

use std::convert::Infallible;

use harness::base64url;
use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::jwk::{JwkSet, PublicKey};
use rsa::rand_core::{TryCryptoRng, TryRng};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Signer as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{BoxedUint, PrivateKey};
use serde_json::json;
use sha2::{Sha256, Sha384, Sha512};

use super::wycheproof::IMPLEMENTATIONS;

const ALGORITHMS: [Algorithm; 6] = {
    use Algorithm::*;
    [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512]
};

const MESSAGE: &[u8] = b"message";

/// Numbers that are as good as random for a key that protects nothing.
struct Numbers(u64);

impl TryRng for Numbers {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        self.try_next_u64().map(|number| u32::try_from(number >> 32).expect("32 bits"))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Ok(mixed ^ (mixed >> 31))
    }

    fn try_fill_bytes(&mut self, octets: &mut [u8]) -> Result<(), Infallible> {
        for octet in octets {
            [*octet, ..] = self.try_next_u64()?.to_be_bytes();
        }
        Ok(())
    }
}

impl TryCryptoRng for Numbers {}

/// A key pair of so many bits.
struct Pair {
    private: PrivateKey,
    public: PublicKey,
    bits: usize,
    n: Vec<u8>,
}

impl Pair {
    fn new(bits: usize) -> Self {
        let private = PrivateKey::new(&mut Numbers(1), bits).expect("a key");
        let (n, e) = (private.n().to_be_bytes_trimmed_vartime(), private.e().to_be_bytes_trimmed_vartime());
        let jwk = json!({"kty": "RSA", "n": base64url(&n), "e": base64url(&e)});
        let (set, _) = JwkSet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a set");
        Self { private, public: set.keys[0].key.clone(), bits, n: n.to_vec() }
    }

    fn sign(&self, algorithm: Algorithm) -> Vec<u8> {
        use Algorithm::*;
        let (key, random) = (self.private.clone(), &mut Numbers(2));
        match algorithm {
            Rs256 => rsa::pkcs1v15::SigningKey::<Sha256>::new(key).sign(MESSAGE).to_vec(),
            Rs384 => rsa::pkcs1v15::SigningKey::<Sha384>::new(key).sign(MESSAGE).to_vec(),
            Rs512 => rsa::pkcs1v15::SigningKey::<Sha512>::new(key).sign(MESSAGE).to_vec(),
            Ps256 => rsa::pss::SigningKey::<Sha256>::new(key).sign_with_rng(random, MESSAGE).to_vec(),
            Ps384 => rsa::pss::SigningKey::<Sha384>::new(key).sign_with_rng(random, MESSAGE).to_vec(),
            Ps512 => rsa::pss::SigningKey::<Sha512>::new(key).sign_with_rng(random, MESSAGE).to_vec(),
            Es256 | Es384 | EdDsa => unreachable!("not of RSA"),
        }
    }

    /// What a signature holds.
    fn open(&self, signature: &[u8]) -> Vec<u8> {
        let number = BoxedUint::from_be_slice_vartime(signature);
        let opened = rsa::hazmat::rsa_encrypt(&self.private.to_public_key(), &number).expect("below the modulus");
        self.in_full_length(&opened)
    }

    /// A signature that holds these octets.
    fn close(&self, encoded: &[u8]) -> Vec<u8> {
        let number = BoxedUint::from_be_slice_vartime(encoded);
        let closed = rsa::hazmat::rsa_decrypt::<Numbers>(None, &self.private, &number).expect("below the modulus");
        self.in_full_length(&closed)
    }

    fn in_full_length(&self, number: &BoxedUint) -> Vec<u8> {
        let octets = number.to_be_bytes_trimmed_vartime();
        [&vec![0; self.n.len() - octets.len()], &*octets].concat()
    }

    fn all_say(&self, expected: bool, algorithm: Algorithm, message: &[u8], signature: &[u8], what: &str) {
        for (name, verify) in IMPLEMENTATIONS {
            let accepted = verify(&self.public, algorithm, message, signature);
            assert_eq!(accepted, expected, "{algorithm} of {} bits by {name}: {what}", self.bits);
        }
    }
}

fn sum(a: &[u8], b: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let mut sum: Vec<u8> = Vec::new();
    for (a, b) in a.iter().zip(b).rev() {
        let [high, low] = (u16::from(*a) + u16::from(*b) + carry).to_be_bytes();
        sum.insert(0, low);
        carry = u16::from(high);
    }
    if carry == 1 {
        sum.insert(0, 1);
    }
    sum
}

fn holds_for_keys_of(bits: usize) {
    let pair = Pair::new(bits);
    for algorithm in ALGORITHMS {
        let good = pair.sign(algorithm);
        pair.all_say(true, algorithm, MESSAGE, &good, "a good one");
        pair.all_say(false, algorithm, b"massage", &good, "for another message");
        for other in ALGORITHMS.into_iter().filter(|other| *other != algorithm) {
            pair.all_say(false, other, MESSAGE, &good, "by another algorithm");
        }
        let zero: &[u8] = &[0];
        let one = [&vec![0; good.len() - 1][..], &[1]].concat();
        let less_one = [&pair.n[..good.len() - 1], &[pair.n[good.len() - 1] - 1]].concat();
        for (bad, what) in [
            (vec![], "nothing"),
            (good[1..].to_vec(), "without its first octet"),
            (good[..good.len() - 1].to_vec(), "without its last octet"),
            ([zero, &good].concat(), "a zero before it"),
            ([&good, zero].concat(), "a zero behind it"),
            (sum(&good, &pair.n), "the same number modulo n"),
            (pair.n.clone(), "n"),
            (vec![0xff; good.len()], "the largest number of its length"),
            (vec![0; good.len()], "0"),
            (one, "1"),
            (less_one, "n - 1"),
        ] {
            pair.all_say(false, algorithm, MESSAGE, &bad, what);
        }
        if !bits.is_multiple_of(8) {
            let high = [&[good[0] | 0x80], &good[1..]].concat();
            pair.all_say(false, algorithm, MESSAGE, &high, "a bit set above the modulus");
        }
        let encoded = pair.open(&good);
        assert_eq!(pair.close(&encoded), good);
        for at in (0..encoded.len()).step_by(7).chain([1, encoded.len() - 1]) {
            for bit in [1, 0x80] {
                let mut other = encoded.clone();
                other[at] ^= bit;
                if other < pair.n {
                    pair.all_say(false, algorithm, MESSAGE, &pair.close(&other), &format!("octet {at} changed in it"));
                }
            }
        }
    }
}

#[test]
fn signatures_of_2048_bits_get_the_librarys_verdict() {
    holds_for_keys_of(2048);
}

/// The encoded message of PSS is an octet shorter than the modulus.
#[test]
fn signatures_of_2049_bits_get_the_librarys_verdict() {
    holds_for_keys_of(2049);
}

/// The octets hold more bits than our limbs.
#[test]
fn signatures_of_2051_bits_get_the_librarys_verdict() {
    holds_for_keys_of(2051);
}

#[test]
fn signatures_of_2055_bits_get_the_librarys_verdict() {
    holds_for_keys_of(2055);
}

#[test]
fn signatures_of_3072_bits_get_the_librarys_verdict() {
    holds_for_keys_of(3072);
}

#[test]
fn signatures_of_4096_bits_get_the_librarys_verdict() {
    holds_for_keys_of(4096);
}
