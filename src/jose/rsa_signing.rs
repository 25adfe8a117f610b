//! Turns a private RSA key and a message into a signature: RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256 (RFC 8017 §8.2.1, §8.1.1).
//!
//! The arithmetic of private numbers is the library's, whose time does not tell them.

use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, ConcatenatingMul as _, Odd};
use sha2::{Digest as _, Sha256};

use super::rsa::{Hash as _, unmask};

/// The second representation of RFC 8017 §3.2: two primes of the same length.
pub struct Private {
    p: BoxedMontyParams,
    q: BoxedMontyParams,
    dp: BoxedUint,
    dq: BoxedUint,
    /// The inverse of q modulo p.
    qi: BoxedMontyForm,
    /// Bits of the modulus.
    bits: usize,
}

/// The numbers of a JWK (RFC 7518 §6.3.2), the highest octet first.
pub struct Numbers<'a> {
    pub p: &'a [u8],
    pub q: &'a [u8],
    pub dp: &'a [u8],
    pub dq: &'a [u8],
    pub qi: &'a [u8],
}

/// Octets of a digest, and of the salt of PSS.
const DIGEST: usize = 32;

impl Private {
    /// None where the primes are even or of different lengths, or another number is longer than they are.
    pub fn new(numbers: &Numbers<'_>, bits: usize) -> Option<Self> {
        let octets = numbers.p.len();
        let width = u32::try_from(octets.checked_mul(8)?).ok()?;
        let number = |octets: &[u8]| BoxedUint::from_be_slice(octets, width).ok();
        let modulus =
            |octets: &[u8]| Option::<Odd<BoxedUint>>::from(Odd::new(number(octets)?)).map(BoxedMontyParams::new);
        if numbers.q.len() != octets || octets.checked_mul(2)? != bits.div_ceil(8) {
            return None;
        }
        let (p, q) = (modulus(numbers.p)?, modulus(numbers.q)?);
        let qi = BoxedMontyForm::new(number(numbers.qi)?, &p);
        Some(Self { qi, p, q, dp: number(numbers.dp)?, dq: number(numbers.dq)?, bits })
    }

    /// RSASSA-PKCS1-v1_5.
    pub fn sign_pkcs1(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (digest, info) = (Sha256::digest(message), Sha256::DIGEST_INFO);
        let padding = self.octets().checked_sub(3 + info.len() + digest.len())?;
        self.power(&[&[0, 1][..], &vec![0xff; padding], &[0], &info, &digest].concat())
    }

    /// RSASSA-PSS with this salt.
    pub fn sign_pss(&self, message: &[u8], salt: &[u8; DIGEST]) -> Option<Vec<u8>> {
        let bits = self.bits.checked_sub(1)?;
        let length = bits.div_ceil(8);
        let hash =
            Sha256::new().chain_update([0; 8]).chain_update(Sha256::digest(message)).chain_update(salt).finalize();
        let zeros = length.checked_sub(2 * DIGEST + 2)?;
        let mut block = [&vec![0; zeros][..], &[1], salt].concat();
        unmask::<Sha256>(&mut block, &hash);
        *block.first_mut()? &= 0xff_u8 >> (8 * length - bits);
        let before = vec![0; self.octets() - length];
        self.power(&[&before, &block[..], &hash, &[0xbc]].concat())
    }

    fn octets(&self) -> usize {
        self.bits.div_ceil(8)
    }

    /// RSASP1 by the Chinese remainders (RFC 8017 §5.2.1, 2b).
    fn power(&self, encoded: &[u8]) -> Option<Vec<u8>> {
        let message = BoxedUint::from_be_slice(encoded, u32::try_from(encoded.len().checked_mul(8)?).ok()?).ok()?;
        let modulo = |number: &BoxedUint, modulus: &BoxedMontyParams| {
            BoxedMontyForm::new(number.rem(modulus.modulus().as_nz_ref()), modulus)
        };
        let first = modulo(&message, &self.p).pow(&self.dp);
        let second = modulo(&message, &self.q).pow(&self.dq).retrieve();
        let times = self.qi.mul(&first.sub(&modulo(&second, &self.p))).retrieve();
        let product = times.concatenating_mul(self.q.modulus().as_ref());
        Some(product.wrapping_add(&second).to_be_bytes().into_vec())
    }
}
