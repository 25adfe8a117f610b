//! Turns an RSA key, a message and a signature into a verdict: RSASSA-PKCS1-v1_5 and RSASSA-PSS (RFC 8017 §8.1.2, §8.2.2).

use arithmetic::montgomery::Modulus;
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A public key, prepared once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    modulus: Modulus,
    /// In bits.
    size: usize,
    exponent: u64,
}

/// A hash of both schemes.
pub trait Hash: Digest {
    /// A `DigestInfo` in DER without the digest at its end (RFC 8017 §9.2, note 1).
    const DIGEST_INFO: [u8; 19];
}

impl Hash for Sha256 {
    const DIGEST_INFO: [u8; 19] = digest_info(1, 32);
}

impl Hash for Sha384 {
    const DIGEST_INFO: [u8; 19] = digest_info(2, 48);
}

impl Hash for Sha512 {
    const DIGEST_INFO: [u8; 19] = digest_info(3, 64);
}

/// Of the hash of this number under 2.16.840.1.101.3.4.2, with NULL for its parameters.
const fn digest_info(number: u8, length: u8) -> [u8; 19] {
    let oid = [0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, number];
    let [a, b, c, d, e, f, g, h, i] = oid;
    [0x30, 17 + length, 0x30, 13, 0x06, 9, a, b, c, d, e, f, g, h, i, 0x05, 0, 0x04, length]
}

const MOST_OCTETS: usize = 8192 / 8;

impl Key {
    /// Of an odd modulus of at most 8192 bits, without zeros before it, and an odd exponent that is not 1; or none.
    pub fn new(modulus: &[u8], exponent: u64) -> Option<Self> {
        if exponent < 3 || exponent.is_multiple_of(2) {
            return None;
        }
        let size = modulus.len() * 8 - modulus.first()?.leading_zeros() as usize;
        Some(Self { modulus: Modulus::new(modulus)?, size, exponent })
    }

    /// Whether its modulus has at most so many bits, and its exponent is at most that.
    pub fn is_within(&self, bits: usize, exponent: u64) -> bool {
        self.size <= bits && self.exponent <= exponent
    }

    /// RSASSA-PKCS1-v1_5.
    pub fn verify_pkcs1<H: Hash>(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut encoded = [0; MOST_OCTETS];
        self.open(signature, &mut encoded).is_some_and(|encoded| is_pkcs1::<H>(encoded, message))
    }

    /// RSASSA-PSS whose mask is made by MGF1 with the same hash, and whose salt is as long as it.
    pub fn verify_pss<H: Hash>(&self, message: &[u8], signature: &[u8]) -> bool {
        let mut encoded = [0; MOST_OCTETS];
        self.open(signature, &mut encoded).is_some_and(|encoded| is_pss::<H>(encoded, self.size - 1, message))
    }

    /// The message that a signature holds: RSAVP1, and I2OSP in full length (RFC 8017 §5.2.2, §4.1).
    fn open<'a>(&self, signature: &[u8], encoded: &'a mut [u8; MOST_OCTETS]) -> Option<&'a mut [u8]> {
        let encoded = encoded.get_mut(..self.octets())?;
        if signature.len() != encoded.len() {
            return None;
        }
        self.modulus.power(signature, self.exponent, encoded)?;
        Some(encoded)
    }

    /// The octets of the modulus, without zeros before them.
    pub fn modulus(&self) -> Vec<u8> {
        let mut octets = vec![0; self.octets()];
        self.modulus.write(&mut octets);
        octets
    }

    /// The octets of the exponent, without zeros before them.
    pub fn exponent(&self) -> Vec<u8> {
        self.exponent.to_be_bytes().into_iter().skip_while(|octet| *octet == 0).collect()
    }

    /// The length of the modulus and of every signature.
    pub fn octets(&self) -> usize {
        self.size.div_ceil(8)
    }
}

/// RFC 8017 §9.2: nothing is left to choose in an encoded message, so each octet is compared.
fn is_pkcs1<H: Hash>(encoded: &[u8], message: &[u8]) -> bool {
    let padding = encoded
        .strip_prefix(&[0, 1])
        .and_then(|rest| rest.strip_suffix(H::digest(message).as_slice()))
        .and_then(|rest| rest.strip_suffix(&H::DIGEST_INFO))
        .and_then(|rest| rest.strip_suffix(&[0]));
    padding.is_some_and(|padding| padding.len() >= 8 && padding.iter().all(|octet| *octet == 0xff))
}

/// RFC 8017 §9.1.2 of so many bits, which may fill an octet less than there are.
fn is_pss<H: Hash>(octets: &mut [u8], bits: usize, message: &[u8]) -> bool {
    let split = octets.split_at_mut_checked(octets.len() - bits.div_ceil(8));
    split.is_some_and(|(before, encoded)| is_zero(before) && has_pss_form::<H>(encoded, bits, message) == Some(true))
}

/// Steps 3 to 14; none where it is too short.
fn has_pss_form<H: Hash>(encoded: &mut [u8], bits: usize, message: &[u8]) -> Option<bool> {
    let length = <H as Digest>::output_size();
    let used = 0xff_u8 >> (8 * encoded.len() - bits);
    let (last, rest) = encoded.split_last_mut()?;
    let (block, hash) = rest.split_at_mut_checked(rest.len().checked_sub(length)?)?;
    if *last != 0xbc || block.first()? & !used != 0 {
        return Some(false);
    }
    unmask::<H>(block, hash);
    *block.first_mut()? &= used;
    let (padding, salt) = block.split_at_checked(block.len().checked_sub(length)?)?;
    let (one, zeros) = padding.split_last()?;
    let digest = H::new().chain_update([0; 8]).chain_update(H::digest(message)).chain_update(salt).finalize();
    Some(*one == 1 && is_zero(zeros) && digest.as_slice() == &*hash)
}

/// Takes off what MGF1 makes of `seed` (RFC 8017 appendix B.2.1).
fn unmask<H: Hash>(block: &mut [u8], seed: &[u8]) {
    for (counter, part) in (0_u32..).zip(block.chunks_mut(<H as Digest>::output_size())) {
        let mask = H::new().chain_update(seed).chain_update(counter.to_be_bytes()).finalize();
        part.iter_mut().zip(mask).for_each(|(octet, mask)| *octet ^= mask);
    }
}

fn is_zero(octets: &[u8]) -> bool {
    octets.iter().all(|octet| *octet == 0)
}
