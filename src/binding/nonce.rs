//! The time and a key into a nonce, and a nonce back into the time at which it was issued (RFC 9449 §8 and §9, checklist 7.23 to
//! 7.27).
//!
//! Nothing is remembered: whoever has the keys knows a nonce again, so that a fleet shares them by its configuration alone. A
//! nonce is base64url of `version ‖ key id ‖ seconds since 1970 ‖ MAC`, of 1, 1, 4 and 16 octets. The MAC is HMAC-SHA-256, cut
//! off, of what stands before it and of the name of this resource server.

use core::fmt;
use core::time::Duration;

use hmac::digest::KeyInit as _;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use crate::jose::base64url;
use crate::time::UnixTime;

/// A secret that nonces are made with.
#[derive(Clone)]
pub struct Key {
    mac: Hmac<Sha256>,
    id: u8,
}

/// The nonces of one resource server.
#[derive(Clone, Debug)]
pub struct Nonces {
    /// The first issues; all are accepted. Never empty.
    keys: Vec<Key>,
    /// What tells this resource server from another with the same keys.
    server: Box<[u8]>,
}

/// Why a nonce is not accepted. The client gets a fresh one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// The proof has none.
    Missing,
    /// It was not issued here: no nonce of ours, or made with a key that is no longer accepted.
    Unknown,
    /// It is too old.
    Expired,
}

/// A key has so many octets at least.
pub const SHORTEST_KEY: usize = 32;
/// How long a nonce is accepted.
pub const LIFE: Duration = Duration::from_secs(300);
/// How far the clock of another replica may be ahead.
pub const SKEW: Duration = Duration::from_secs(10);

const VERSION: u8 = 1;
const MAC: usize = 16;
/// Version, key id and time.
const HEAD: usize = 6;

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

impl Key {
    /// None where it has fewer than 32 octets.
    pub fn new(secret: &[u8]) -> Option<Self> {
        let mac = Hmac::new_from_slice(secret).ok().filter(|_| secret.len() >= SHORTEST_KEY)?;
        // The same wherever the key stands in a list: keys move down when a new one is put before them.
        let id = tag(mac.clone(), &[b"key id"]).first().copied()?;
        Some(Self { mac, id })
    }

    fn tag(&self, head: &[u8], server: &[u8]) -> [u8; MAC] {
        tag(self.mac.clone(), &[head, server])
    }
}

fn tag(mut mac: Hmac<Sha256>, parts: &[&[u8]]) -> [u8; MAC] {
    parts.iter().for_each(|part| mac.update(part));
    let whole: [u8; 32] = mac.finalize().into_bytes().into();
    whole.first_chunk().copied().unwrap_or_default()
}

impl Nonces {
    /// None without a key.
    pub fn new(keys: Vec<Key>, server: &str) -> Option<Self> {
        (!keys.is_empty()).then(|| Self { keys, server: server.as_bytes().into() })
    }

    pub fn issue(&self, now: UnixTime) -> String {
        let Some(key) = self.keys.first() else { return String::new() };
        let head = head(key.id, now);
        base64url::encode([head.as_slice(), &key.tag(&head, &self.server)].concat())
    }

    /// When it was issued, if it was issued here and is still accepted.
    pub fn verify(&self, nonce: &str, now: UnixTime) -> Result<UnixTime, Error> {
        let octets = base64url::decode(nonce).map_err(|_| Error::Unknown)?;
        let (head, mac) = octets.split_first_chunk::<HEAD>().ok_or(Error::Unknown)?;
        let [VERSION, id, a, b, c, d] = *head else { return Err(Error::Unknown) };
        let is_ours = |key: &Key| bool::from(key.tag(head, &self.server).as_slice().ct_eq(mac));
        if !self.keys.iter().filter(|key| key.id == id).any(is_ours) {
            return Err(Error::Unknown);
        }
        let issued = UnixTime::new(u64::from(u32::from_be_bytes([a, b, c, d])));
        // One of a replica whose clock is further ahead would be accepted for longer than others are.
        if issued > now.plus(SKEW) {
            return Err(Error::Unknown);
        }
        if issued.plus(LIFE) < now {
            return Err(Error::Expired);
        }
        Ok(issued)
    }

    /// Whether a client that shows one of this age should get another for its next proof (RFC 9449 §8.2).
    pub fn is_worn(issued: UnixTime, now: UnixTime) -> bool {
        issued.plus(LIFE / 2) < now
    }
}

fn head(id: u8, now: UnixTime) -> [u8; HEAD] {
    let [a, b, c, d] = u32::try_from(now.seconds()).unwrap_or(u32::MAX).to_be_bytes();
    [VERSION, id, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;
    const SERVER: &str = "https://api.bank.example";

    fn at(seconds: u64) -> UnixTime {
        UnixTime::new(seconds)
    }

    fn key(octet: u8) -> Key {
        Key::new(&[octet; 32]).unwrap()
    }

    fn nonces(keys: &[u8]) -> Nonces {
        Nonces::new(keys.iter().map(|octet| key(*octet)).collect(), SERVER).unwrap()
    }

    #[test]
    fn a_nonce_is_accepted_from_ten_seconds_before_its_time_to_its_last_second() {
        let nonces = nonces(&[1]);
        let nonce = nonces.issue(at(NOW));
        for (seconds, expected) in [
            (NOW - 11, Err(Error::Unknown)),
            (NOW - 10, Ok(at(NOW))),
            (NOW, Ok(at(NOW))),
            (NOW + 300, Ok(at(NOW))),
            (NOW + 301, Err(Error::Expired)),
        ] {
            assert_eq!(nonces.verify(&nonce, at(seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_nonce_has_thirty_characters_that_a_header_field_may_hold() {
        let nonce = nonces(&[1]).issue(at(NOW));
        assert_eq!(nonce.len(), 30);
        // RFC 9449 §8: 1*NQCHAR.
        assert!(nonce.bytes().all(|octet| octet.is_ascii_alphanumeric() || b"-_".contains(&octet)), "{nonce}");
        let octets = base64url::decode(&nonce).unwrap();
        assert_eq!((octets.len(), octets[0]), (22, VERSION));
        assert_eq!(octets[2..6], u32::try_from(NOW).unwrap().to_be_bytes());
    }

    #[test]
    fn its_mac_is_the_first_half_of_hmac_sha_256() {
        // Put together once more, from the definition of HMAC (RFC 2104).
        use sha2::Digest as _;
        let (inner, outer) = ([0x36 ^ 7_u8; 64], [0x5c ^ 7_u8; 64]);
        let mut padded = (inner, outer);
        padded.0[32..].fill(0x36);
        padded.1[32..].fill(0x5c);
        let hmac = |message: &[u8]| {
            let digest = Sha256::digest([padded.0.as_slice(), message].concat());
            Sha256::digest([padded.1.as_slice(), digest.as_slice()].concat())
        };
        let octets = base64url::decode(nonces(&[7]).issue(at(NOW))).unwrap();
        assert_eq!(octets[1], hmac(b"key id")[0]);
        assert_eq!(octets[6..], hmac(&[&octets[..6], SERVER.as_bytes()].concat())[..16]);
    }

    #[test]
    fn keys_rotate_without_a_client_noticing() {
        let (old, both, new) = (nonces(&[1]), nonces(&[2, 1]), nonces(&[2]));
        let nonce = old.issue(at(NOW));
        assert_eq!(both.verify(&nonce, at(NOW)), Ok(at(NOW)));
        assert_eq!(new.verify(&nonce, at(NOW)), Err(Error::Unknown));
        assert_eq!(new.verify(&both.issue(at(NOW)), at(NOW)), Ok(at(NOW)));
        assert_eq!(old.verify(&both.issue(at(NOW)), at(NOW)), Err(Error::Unknown));
    }

    #[test]
    fn another_resource_server_with_the_same_key_is_another() {
        let other = Nonces::new(vec![key(1)], "https://other.example").unwrap();
        assert_eq!(other.verify(&nonces(&[1]).issue(at(NOW)), at(NOW)), Err(Error::Unknown));
    }

    #[test]
    fn anything_but_a_nonce_of_ours_is_unknown() {
        let nonces = nonces(&[1]);
        let good = nonces.issue(at(NOW));
        let octets = base64url::decode(&good).unwrap();
        for bit in 0..octets.len() * 8 {
            let mut changed = octets.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(nonces.verify(&base64url::encode(changed), at(NOW)), Err(Error::Unknown), "{bit}");
        }
        let (longer, shorter) = ([octets.as_slice(), b"x"].concat(), &octets[..21]);
        // RFC 9449 §8 shows this one, of somebody else.
        let others = "eyJ7S_zG.eyJH0-Z.HX4w-7v".to_owned();
        for text in [others, String::new(), format!("{good}="), base64url::encode(longer), base64url::encode(shorter)] {
            assert_eq!(nonces.verify(&text, at(NOW)), Err(Error::Unknown), "{text}");
        }
    }

    #[test]
    fn a_nonce_is_worn_when_more_than_half_of_its_life_is_over() {
        for (age, worn) in [(0, false), (150, false), (151, true), (300, true)] {
            assert_eq!(Nonces::is_worn(at(NOW), at(NOW + age)), worn, "{age}");
        }
    }

    #[test]
    fn a_key_has_32_octets_at_least_and_does_not_print_itself() {
        assert!(Key::new(&[1; 31]).is_none());
        assert_eq!(format!("{:?}", nonces(&[42]).keys), "[Key(…)]");
    }
}
