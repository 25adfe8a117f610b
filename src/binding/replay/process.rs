//! Proofs in what the workers of a process share, by a host that can compare and swap.

use core::cell::{Cell, RefCell};
use std::rc::Rc;

use sha2::{Digest as _, Sha256};

use crate::time::UnixTime;

use super::slot::{Secret, Slot, VERSION, slots_for};
use super::{Error, ReplayMemory, Seen};

/// A few values by name that several workers see, each with a number that changes with every write.
pub trait SharedSlots {
    /// The value and its number, which is not zero; none where it was never written.
    fn read(&self, name: &str) -> Result<Option<(Vec<u8>, u32)>, Unreachable>;

    /// Writes a value if its number is still this one, or if there is none.
    fn write(&self, name: &str, value: &[u8], number: u32) -> Result<Written, Unreachable>;
}

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    Done,
    /// Somebody else wrote first.
    Changed,
}

/// The host did not do it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreachable;

/// For a host that shares nothing: where a configuration wants proofs remembered by all workers, each is refused.
pub struct Unshared;

impl SharedSlots for Unshared {
    fn read(&self, _: &str) -> Result<Option<(Vec<u8>, u32)>, Unreachable> {
        Err(Unreachable)
    }

    fn write(&self, _: &str, _: &[u8], _: u32) -> Result<Written, Unreachable> {
        Err(Unreachable)
    }
}

/// In what the workers of a process share.
pub struct OfProcess {
    shared: Rc<dyn SharedSlots>,
    /// What the names of its slots begin with.
    names: String,
    /// Once it was read: how slots are chosen, the same for all workers.
    secret: Cell<Option<Secret>>,
    /// Whether this worker has seen each slot.
    found: RefCell<Vec<bool>>,
}

/// A slot is tried this often before it is given up.
pub(super) const TRIES: usize = 8;
/// No value is likely to have this number: the host counts up from one.
const NO_NUMBER: u32 = u32::MAX;

impl OfProcess {
    /// For so many proofs, or a few more, of the API of this name: those of others have slots of their own.
    pub fn new(shared: Rc<dyn SharedSlots>, api: &str, proofs: usize) -> Self {
        let slots = slots_for(proofs);
        let digest: [u8; 32] = Sha256::digest(api).into();
        let api = digest.first_chunk().map_or(0, |prefix| u64::from_be_bytes(*prefix));
        let names = format!("holdfast.proofs.{VERSION}.{api:016x}.{slots}");
        Self { shared, names, secret: Cell::new(None), found: RefCell::new(vec![false; slots]) }
    }

    #[cfg(test)]
    pub(super) fn names(&self) -> &str {
        &self.names
    }

    /// The secret that all workers have, made by the first of them.
    pub(super) fn secret(&self) -> Result<Secret, Error> {
        if let Some(secret) = self.secret.get() {
            return Ok(secret);
        }
        let name = format!("{}.secret", self.names);
        if self.shared.read(&name).map_err(lost)?.is_none() {
            self.shared.write(&name, &Secret::random().0, NO_NUMBER).map_err(lost)?;
        }
        // Ours, or that of somebody who was faster.
        let (octets, _) = self.shared.read(&name).map_err(lost)?.ok_or(Error::Lost)?;
        let secret = Secret(octets.try_into().map_err(|_| Error::Lost)?);
        self.secret.set(Some(secret));
        Ok(secret)
    }

    /// The slot as all workers see it, and its number.
    fn read(&self, name: &str, at: usize) -> Result<(Slot, u32), Error> {
        let value = self.shared.read(name).map_err(lost)?;
        let mut found = self.found.borrow_mut();
        let found = found.get_mut(at).ok_or(Error::Lost)?;
        match value {
            Some((octets, number)) => {
                *found = true;
                Ok((Slot::parse(&octets).ok_or(Error::Lost)?, number))
            }
            None if *found => Err(Error::Lost),
            None => Ok((Slot::default(), NO_NUMBER)),
        }
    }
}

fn lost(_: Unreachable) -> Error {
    Error::Lost
}

impl ReplayMemory for OfProcess {
    fn remember(&self, seen: &Seen, now: UnixTime) -> Result<(), Error> {
        let secret = self.secret()?;
        let slots = self.found.borrow().len();
        let at = secret.slot(seen, slots);
        let name = format!("{}.{at}", self.names);
        for _ in 0..TRIES {
            let (mut slot, number) = self.read(&name, at)?;
            slot.enter(secret.place(seen), now)?;
            if self.shared.write(&name, &slot.octets(), number).map_err(lost)? == Written::Done {
                return Ok(());
            }
        }
        Err(Error::Contended)
    }
}
