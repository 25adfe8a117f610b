//! Turns a private RSA key and a message into a signature: RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256 (RFC 8017 §8.2.1, §8.1.1).

use sha2::{Digest as _, Sha256};

use super::rsa::{Hash as _, Key, unmask};

/// The first representation of RFC 8017 §3.2. Without the primes it is four times as slow, and no fault in it tells them.
pub struct Private {
    public: Key,
    /// The highest octet first.
    exponent: Vec<u8>,
}

/// Octets of a digest, and of the salt of PSS.
const DIGEST: usize = 32;

impl Private {
    /// None where the exponent is longer than the modulus.
    pub fn new(public: &Key, exponent: Vec<u8>) -> Option<Self> {
        (exponent.len() <= public.octets()).then(|| Self { public: public.clone(), exponent })
    }

    /// RSASSA-PKCS1-v1_5.
    pub fn sign_pkcs1(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (digest, info) = (Sha256::digest(message), Sha256::DIGEST_INFO);
        let padding = self.public.octets().checked_sub(3 + info.len() + digest.len())?;
        self.power(&[&[0, 1][..], &vec![0xff; padding], &[0], &info, &digest].concat())
    }

    /// RSASSA-PSS with this salt.
    pub fn sign_pss(&self, message: &[u8], salt: &[u8; DIGEST]) -> Option<Vec<u8>> {
        let bits = self.public.bits().checked_sub(1)?;
        let length = bits.div_ceil(8);
        let digest = Sha256::digest(message);
        let hash = Sha256::new().chain_update([0; 8]).chain_update(digest).chain_update(salt).finalize();
        let zeros = length.checked_sub(2 * DIGEST + 2)?;
        let mut block = [&vec![0; zeros][..], &[1], salt].concat();
        unmask::<Sha256>(&mut block, &hash);
        *block.first_mut()? &= 0xff_u8 >> (8 * length - bits);
        // They may fill an octet less than the modulus.
        let before = vec![0; self.public.octets() - length];
        self.power(&[&before, &block[..], &hash, &[0xbc]].concat())
    }

    /// RSASP1 (RFC 8017 §5.2.1).
    fn power(&self, encoded: &[u8]) -> Option<Vec<u8>> {
        self.public.private_power(encoded, &self.exponent)
    }
}
