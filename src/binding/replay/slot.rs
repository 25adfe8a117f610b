//! At most so many proofs in one value, and which value a proof belongs in.

use core::hash::{BuildHasher as _, Hasher as _};
use std::hash::RandomState;

use sha2::{Digest as _, Sha256};

use crate::time::UnixTime;

use super::{Error, Seen};

/// So many proofs have a place in a slot.
pub const PLACES: usize = 256;
/// So many of them may be of one key.
const OF_ONE_KEY: usize = PLACES / 16;
/// How many slots hold so many proofs.
pub fn slots_for(proofs: usize) -> usize {
    proofs.div_ceil(PLACES).max(1)
}

/// How slots are chosen and keys told apart; nobody who makes proofs knows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl Secret {
    pub fn random() -> Self {
        let half = || RandomState::new().build_hasher().finish().to_le_bytes();
        let ([a, b, c, d, e, f, g, h], [i, j, k, l, m, n, o, p]) = (half(), half());
        Self([a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }

    fn hash(&self, octets: &[u8]) -> [u8; 4] {
        let digest: [u8; 32] = Sha256::new().chain_update(self.0).chain_update(octets).finalize().into();
        digest.first_chunk().copied().unwrap_or_default()
    }

    /// The slot of a proof, out of so many.
    pub fn slot(&self, seen: &Seen, slots: usize) -> usize {
        // As good as even: there are far fewer slots than values.
        usize::try_from(u32::from_le_bytes(self.hash(&seen.proof))).unwrap_or(0) % slots.max(1)
    }

    pub fn place(&self, seen: &Seen) -> Place {
        let until = u32::try_from(seen.until.seconds()).unwrap_or(u32::MAX).to_be_bytes();
        let mut place = Place::default();
        let octets = seen.proof.into_iter().chain(self.hash(&seen.key.0)).chain(until);
        place.0.iter_mut().zip(octets).for_each(|(to, from)| *to = from);
        place
    }
}

/// One remembered proof: 16 octets of itself, 4 of its key, and 4 of its last second, big-endian.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place([u8; PLACE]);

pub const PLACE: usize = 24;

impl Place {
    fn proof(&self) -> Option<&[u8; 16]> {
        self.0.first_chunk()
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.get(16..20)
    }

    fn is_past(&self, now: UnixTime) -> bool {
        self.0.last_chunk().is_none_or(|until| u64::from(u32::from_be_bytes(*until)) < now.seconds())
    }
}

/// At most [`PLACES`] proofs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slot(Vec<Place>);

impl Slot {
    /// Puts a proof in, once those that are past have left.
    pub fn enter(&mut self, place: Place, now: UnixTime) -> Result<(), Error> {
        let (mut is_known, mut of_key) = (false, 0);
        self.0.retain(|other| {
            if other.is_past(now) {
                return false;
            }
            is_known |= other.proof() == place.proof();
            of_key += usize::from(other.key() == place.key());
            true
        });
        if is_known {
            return Err(Error::Replayed);
        }
        if of_key >= OF_ONE_KEY {
            return Err(Error::FullOfKey);
        }
        if self.0.len() >= PLACES {
            return Err(Error::Full);
        }
        self.0.push(place);
        Ok(())
    }
}

/// What a slot begins with: another version of this filter, and anything else, is told from it.
pub const MARK: [u8; 4] = *b"hfp1";
/// The same, where slots are told apart by their names.
pub const VERSION: u8 = 1;

impl Slot {
    pub fn octets(&self) -> Vec<u8> {
        let mut octets = Vec::with_capacity(MARK.len() + self.0.len() * PLACE);
        octets.extend(MARK);
        self.0.iter().for_each(|place| octets.extend(place.0));
        octets
    }

    pub fn parse(octets: &[u8]) -> Option<Self> {
        let (places, rest) = octets.strip_prefix(&MARK)?.as_chunks();
        let is_whole = rest.is_empty() && places.len() <= PLACES;
        is_whole.then(|| Self(places.iter().copied().map(Place).collect()))
    }
}
