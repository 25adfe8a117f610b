//! Turns an Ed25519 key, a message and a signature into a verdict (RFC 8032 §5.1.7, without the cofactor).
//!
//! The group is the library's; that of `ed25519-dalek` over it takes R apart before it computes the same R anew, and knows no
//! tables of a key. Both together are more than half of what a signature costs.

use core::cell::{Cell, OnceCell};
use core::fmt;
use std::rc::Rc;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsBasepointTable};
use curve25519_dalek::traits::BasepointTable as _;
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest as _, Sha512};

/// A public key in its canonical encoding and of large order.
#[derive(Clone)]
pub struct Key {
    octets: [u8; 32],
    /// The negative of its point, as verifying needs it.
    negative: EdwardsPoint,
    /// Where it is one of few keys that many signatures are made with.
    multiples: Option<Multiples>,
}

/// 30 KiB, made in some milliseconds once the key has been used that often.
#[derive(Clone, Default)]
struct Multiples {
    uses: Cell<u32>,
    table: OnceCell<Rc<EdwardsBasepointTable>>,
}

/// Why octets are no key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not of a point, or another encoding of it than its own: that would be a second thumbprint of the same key.
    NotOnCurve,
    /// Almost any signature would fit it.
    SmallOrder,
}

/// Octets of a signature.
pub const SIGNATURE: usize = 64;

/// So many signatures are verified for what making the multiples costs.
const WORTH: u32 = 100;

impl Key {
    pub fn new(octets: [u8; 32]) -> Result<Self, Error> {
        let encoded = CompressedEdwardsY(octets);
        let point = encoded.decompress().ok_or(Error::NotOnCurve)?;
        if point.is_small_order() {
            return Err(Error::SmallOrder);
        }
        // RFC 8032 §5.1.3: y is below the prime.
        if point.compress() != encoded {
            return Err(Error::NotOnCurve);
        }
        Ok(Self { octets, negative: -point, multiples: None })
    }

    /// The same key, which verifies faster once it has verified much, and is larger then.
    pub fn of_many_signatures(self) -> Self {
        Self { multiples: Some(Multiples::default()), ..self }
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.octets
    }

    /// Whether `signature` is R‖S with S below the order of the group, R of large order, and R = S·B − h·A.
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some((r, s)) = signature.split_first_chunk::<32>() else { return false };
        let Ok(s) = s.try_into() else { return false };
        let Some(s) = Option::<Scalar>::from(Scalar::from_canonical_bytes(s)) else { return false };
        let hash = Sha512::new().chain_update(r).chain_update(self.octets).chain_update(message).finalize();
        let expected = self.expected(&Scalar::from_bytes_mod_order_wide(&hash.into()), &s);
        expected.compress().as_bytes() == r && !expected.is_small_order()
    }

    fn expected(&self, h: &Scalar, s: &Scalar) -> EdwardsPoint {
        match self.multiples.as_ref().and_then(|multiples| multiples.of(&self.negative)) {
            Some(table) => table.mul_base(h) + EdwardsPoint::mul_base(s),
            None => EdwardsPoint::vartime_double_scalar_mul_basepoint(h, &self.negative, s),
        }
    }
}

impl Multiples {
    fn of(&self, point: &EdwardsPoint) -> Option<&EdwardsBasepointTable> {
        let uses = self.uses.get().saturating_add(1);
        self.uses.set(uses);
        (uses > WORTH).then(|| &**self.table.get_or_init(|| Rc::new(EdwardsBasepointTable::create(point))))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.octets == other.octets
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ed25519::Key").field(&self.octets).finish()
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};

    use super::*;

    /// The order of the group, little-endian (RFC 8032 §5.1).
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];

    fn pair(seed: u8) -> (SigningKey, Key) {
        let signs = SigningKey::from_bytes(&[seed; 32]);
        let key = Key::new(signs.verifying_key().to_bytes()).unwrap();
        (signs, key)
    }

    /// Once with the multiples of the key and once without.
    fn both(key: &Key) -> [Key; 2] {
        let used = Multiples { uses: Cell::new(WORTH), ..Multiples::default() };
        [key.clone(), Key { multiples: Some(used), ..key.clone() }]
    }

    #[test]
    fn verdicts_are_those_of_the_library_with_tables_and_without() {
        for seed in 1..8 {
            let (signs, key) = pair(seed);
            let message = vec![seed; usize::from(seed) * 40];
            let good = signs.sign(&message).to_bytes();
            for key in both(&key) {
                assert!(key.verify(&message, &good));
                for bit in (0..512).step_by(7) {
                    let mut bad = good;
                    bad[bit / 8] ^= 1 << (bit % 8);
                    let library = VerifyingKey::from_bytes(&key.octets).unwrap();
                    assert!(library.verify_strict(&message, &bad.into()).is_err());
                    assert!(!key.verify(&message, &bad), "{bit}");
                }
                assert!(!key.verify(&message[1..], &good));
                assert!(!key.verify(&message, &good[..63]) && !key.verify(&message, &[&good[..], &[0]].concat()));
            }
        }
    }

    #[test]
    fn a_second_spelling_of_s_is_refused() {
        let (signs, key) = pair(9);
        let mut signature = signs.sign(b"message").to_bytes();
        let mut carry = 0;
        for (octet, of_order) in signature[32..].iter_mut().zip(ORDER) {
            let sum = u16::from(*octet) + u16::from(of_order) + carry;
            (*octet, carry) = (sum.to_le_bytes()[0], sum >> 8);
        }
        assert!(both(&key).iter().all(|key| !key.verify(b"message", &signature)));
    }

    /// With R the neutral element and S = h·a, which who has the key can compute.
    #[test]
    fn r_of_small_order_is_refused() {
        let (signs, key) = pair(10);
        let neutral = CompressedEdwardsY([&[1][..], &[0; 31]].concat().try_into().unwrap());
        let hash = Sha512::new().chain_update(neutral.0).chain_update(key.octets).chain_update(b"m").finalize();
        let s = Scalar::from_bytes_mod_order_wide(&hash.into()) * signs.to_scalar();
        let signature = [neutral.0, s.to_bytes()].concat();
        assert!(both(&key).iter().all(|key| !key.verify(b"m", &signature)));
        let library = VerifyingKey::from_bytes(&key.octets).unwrap();
        let signature: [u8; 64] = signature.try_into().unwrap();
        assert!(library.verify_strict(b"m", &signature.into()).is_err());
    }
}
