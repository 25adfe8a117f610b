//! A proof into the knowledge that nobody has shown it before (RFC 9449 §11.1, checklist 7.22).
//!
//! **What is kept.** Of each proof 24 octets: SHA-256 of `jkt ‖ htu ‖ jti` cut to 16, a tag of its key (4), and the last second at
//! which it could still be accepted (4).
//!
//! **Where.** In slots of [`PLACES`] proofs, as many as `limits.proofs` needs and no more, ever. A keyed hash of the proof says which
//! slot, so that nobody who makes proofs can aim at one. A look-up reads one slot, whatever else is remembered; proofs that are
//! past leave when another enters their slot.
//!
//! **Who may fill it.** One key holds at most 1/16 of every slot, and so of the whole. Beyond that this key alone is refused; a slot
//! without a place refuses everybody who would enter it. Nothing that could still be replayed is ever dropped for something newer; only
//! a clock that jumps ahead and is set back again makes what was dropped in between pass once more.
//!
//! **By whom it is shared.** [`OfWorker`] keeps the slots in its own memory: a proof passes once on each worker. [`OfProcess`] keeps
//! them in [`SharedSlots`], which all workers of a process see: one read and one compare-and-swap for each proof. The host can neither
//! delete a slot nor create one only if it is absent, so:
//!
//! - a slot is called `holdfast.proofs.<version>.<origins>.<slots>.<number>`. A configuration that is loaded again finds what the old one
//!   remembered; one of other origins, or with another `limits.proofs`, has slots of its own.
//! - one that is not found is created, by a compare-and-swap against a number that hardly any value has: whoever comes second is told
//!   that it has changed, and reads it.
//! - one that was seen and is not found, or that does not read as one, was tampered with. It is never taken for an empty one.

use core::cell::RefCell;
use std::rc::Rc;

use crate::jose::jwk::Thumbprint;
use crate::time::UnixTime;

mod process;
mod slot;

pub use process::{OfProcess, SharedSlots, Unreachable, Unshared, Written};
pub use slot::PLACES;

use slot::{Secret, Slot, slots_for};

/// What is remembered, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    pub scope: Scope,
    /// How many proofs have a place.
    pub proofs: usize,
    /// `danger_admit_when_full`: a proof that finds no place passes.
    pub admits_when_full: bool,
}

/// Who remembers together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All workers of a process.
    Process,
    /// Each worker by itself.
    Worker,
    /// Nobody: another hop does.
    None,
}

/// A proof as it is remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// SHA-256 of `jkt ‖ htu ‖ jti`, cut off.
    pub proof: [u8; 16],
    /// Whose it is.
    pub key: Thumbprint,
    /// The last second at which it could be accepted.
    pub until: UnixTime,
}

/// Why a proof is refused though all else is right about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It was shown before.
    Replayed,
    /// There is no place for it.
    Full,
    /// Its key has shown as many as one key may.
    FullOfKey,
    /// Too many others write to the same slot at the same time.
    Contended,
    /// What was remembered can't be read any longer.
    Lost,
}

/// Remembers proofs.
pub trait ReplayMemory {
    /// Remembers a proof, unless it was remembered before.
    fn remember(&self, seen: &Seen, now: UnixTime) -> Result<(), Error>;
}
/// In the memory of one worker.
pub struct OfWorker {
    secret: Secret,
    slots: RefCell<Vec<Slot>>,
}

impl Settings {
    /// The memory of this scope, for the API of this name; none where nothing is remembered.
    pub fn memory(&self, api: &str, shared: Rc<dyn SharedSlots>) -> Option<Box<dyn ReplayMemory>> {
        match self.scope {
            Scope::Process => Some(Box::new(OfProcess::new(shared, api, self.proofs))),
            Scope::Worker => Some(Box::new(OfWorker::new(self.proofs))),
            Scope::None => None,
        }
    }
}

impl OfWorker {
    /// For so many proofs, or a few more.
    pub fn new(proofs: usize) -> Self {
        Self { secret: Secret::random(), slots: RefCell::new(vec![Slot::default(); slots_for(proofs)]) }
    }
}

impl ReplayMemory for OfWorker {
    fn remember(&self, seen: &Seen, now: UnixTime) -> Result<(), Error> {
        let mut slots = self.slots.borrow_mut();
        let at = self.secret.slot(seen, slots.len());
        slots.get_mut(at).ok_or(Error::Lost)?.enter(self.secret.place(seen), now)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::collections::HashMap;

    use sha2::{Digest as _, Sha256};

    use super::process::TRIES;
    use super::slot::{MARK, PLACE};
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn now() -> UnixTime {
        UnixTime::new(NOW)
    }

    fn seen(number: u32, key: u32, until: u64) -> Seen {
        let digest: [u8; 32] = Sha256::digest(number.to_be_bytes()).into();
        let key = Thumbprint(Sha256::digest(key.to_be_bytes()).into());
        Seen { proof: *digest.first_chunk().unwrap(), key, until: UnixTime::new(until) }
    }

    type Interferes = Box<dyn Fn(&Shared, &str)>;

    /// What a host shares: numbers count up from one, and a value that is absent is written whatever the number.
    #[derive(Default)]
    struct Shared {
        values: RefCell<HashMap<String, (Vec<u8>, u32)>>,
        numbers: Cell<u32>,
        reads: Cell<usize>,
        writes: Cell<usize>,
        unreachable: Cell<bool>,
        /// What somebody else does before each write.
        before_write: RefCell<Option<Interferes>>,
    }

    impl Shared {
        fn put(&self, name: &str, value: &[u8]) {
            self.numbers.set(self.numbers.get() + 1);
            self.values.borrow_mut().insert(name.to_owned(), (value.to_vec(), self.numbers.get()));
        }

        fn slot_names(&self) -> Vec<String> {
            self.values.borrow().keys().filter(|name| !name.ends_with("secret")).cloned().collect()
        }

        fn octets(&self) -> usize {
            self.values.borrow().values().map(|(value, _)| value.len()).sum()
        }
    }

    impl SharedSlots for Shared {
        fn read(&self, name: &str) -> Result<Option<(Vec<u8>, u32)>, Unreachable> {
            self.reads.set(self.reads.get() + 1);
            if self.unreachable.get() { Err(Unreachable) } else { Ok(self.values.borrow().get(name).cloned()) }
        }

        fn write(&self, name: &str, value: &[u8], number: u32) -> Result<Written, Unreachable> {
            self.writes.set(self.writes.get() + 1);
            if let Some(interferes) = self.before_write.take() {
                interferes(self, name);
                self.before_write.borrow_mut().get_or_insert(interferes);
            }
            if self.values.borrow().get(name).is_some_and(|(_, current)| *current != number) {
                return Ok(Written::Changed);
            }
            self.put(name, value);
            Ok(Written::Done)
        }
    }

    fn shared() -> Rc<Shared> {
        Rc::default()
    }

    const API: &str = "https://api.example";

    fn of_process(shared: &Rc<Shared>, proofs: usize) -> OfProcess {
        OfProcess::new(Rc::clone(shared) as Rc<dyn SharedSlots>, API, proofs)
    }

    /// Both memories, for what holds of both.
    fn each(proofs: usize) -> [(&'static str, Box<dyn ReplayMemory>); 2] {
        [("worker", Box::new(OfWorker::new(proofs))), ("process", Box::new(of_process(&shared(), proofs)))]
    }

    #[test]
    fn a_proof_passes_once_and_another_is_another() {
        for (name, memory) in each(4096) {
            assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Ok(()), "{name}");
            assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Replayed), "{name}");
            assert_eq!(memory.remember(&seen(2, 1, NOW + 60), now()), Ok(()), "{name}");
        }
    }

    #[test]
    fn a_proof_is_remembered_to_its_last_second() {
        for (name, memory) in each(256) {
            let proof = seen(1, 1, NOW + 60);
            assert_eq!(memory.remember(&proof, now()), Ok(()), "{name}");
            assert_eq!(memory.remember(&proof, UnixTime::new(NOW + 60)), Err(Error::Replayed), "{name}");
            // By then it is refused for its age; here it shows that its place is free again.
            assert_eq!(memory.remember(&proof, UnixTime::new(NOW + 61)), Ok(()), "{name}");
        }
    }

    #[test]
    fn one_key_holds_a_sixteenth_and_no_other_key_suffers() {
        for (name, memory) in each(65_536) {
            let mut taken = 0;
            for number in 0..20_000 {
                match memory.remember(&seen(number, 1, NOW + 60), now()) {
                    Ok(()) => taken += 1,
                    Err(error) => assert_eq!(error, Error::FullOfKey, "{name}"),
                }
            }
            assert_eq!(taken, 65_536 / 16, "{name}");
            for number in 20_000..21_000 {
                assert_eq!(memory.remember(&seen(number, number, NOW + 60), now()), Ok(()), "{name} {number}");
            }
        }
    }

    #[test]
    fn a_full_memory_refuses_what_is_new_and_knows_what_it_has_seen() {
        for (name, memory) in each(256) {
            for number in 0..256 {
                assert_eq!(memory.remember(&seen(number, number, NOW + 60), now()), Ok(()), "{name}");
            }
            assert_eq!(memory.remember(&seen(256, 256, NOW + 60), now()), Err(Error::Full), "{name}");
            assert_eq!(memory.remember(&seen(0, 0, NOW + 60), now()), Err(Error::Replayed), "{name}");
            assert_eq!(memory.remember(&seen(256, 256, NOW + 200), UnixTime::new(NOW + 61)), Ok(()), "{name}");
        }
    }

    #[test]
    fn most_of_the_places_can_be_used() {
        for (name, memory) in each(65_536) {
            let told = (0..49_152).filter(|number| memory.remember(&seen(*number, *number, NOW + 60), now()).is_err());
            assert_eq!(told.count(), 0, "{name}: at three quarters nobody is refused");
        }
    }

    #[test]
    fn a_flood_of_proofs_takes_no_more_than_the_limit() {
        let shared = shared();
        let memory = of_process(&shared, 1024);
        let taken =
            (0..20_000).filter(|number| memory.remember(&seen(*number, *number, NOW + 60), now()).is_ok()).count();
        assert_eq!(taken, 1024);
        assert_eq!(shared.slot_names().len(), 4);
        assert!(shared.octets() <= 4 * (4 + 256 * 24) + 16, "{}", shared.octets());
    }

    #[test]
    fn two_workers_of_a_process_remember_together_and_two_memories_of_workers_do_not() {
        let shared = shared();
        let (one, other) = (of_process(&shared, 4096), of_process(&shared, 4096));
        assert_eq!(one.remember(&seen(1, 1, NOW + 60), now()), Ok(()));
        assert_eq!(other.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Replayed));
        let (one, other) = (OfWorker::new(4096), OfWorker::new(4096));
        assert_eq!(one.remember(&seen(1, 1, NOW + 60), now()), Ok(()));
        assert_eq!(other.remember(&seen(1, 1, NOW + 60), now()), Ok(()));
    }

    #[test]
    fn a_proof_costs_one_read_and_one_write_however_many_are_remembered() {
        let shared = shared();
        let memory = of_process(&shared, 4096);
        memory.remember(&seen(0, 0, NOW + 60), now()).unwrap();
        for number in 1..2000 {
            let before = (shared.reads.get(), shared.writes.get());
            memory.remember(&seen(number, number, NOW + 60), now()).unwrap();
            assert_eq!((shared.reads.get(), shared.writes.get()), (before.0 + 1, before.1 + 1), "{number}");
        }
    }

    #[test]
    fn a_configuration_that_is_loaded_again_finds_what_was_remembered() {
        let shared = shared();
        assert_eq!(of_process(&shared, 4096).remember(&seen(1, 1, NOW + 60), now()), Ok(()));
        assert_eq!(of_process(&shared, 4096).remember(&seen(1, 1, NOW + 60), now()), Err(Error::Replayed));
    }

    #[test]
    fn a_slot_that_somebody_else_creates_first_is_read_and_not_overwritten() {
        let shared = shared();
        let (ours, theirs) = (of_process(&shared, 256), of_process(&shared, 256));
        ours.secret().unwrap();
        let same = move |_: &Shared, _: &str| {
            let _ = theirs.remember(&seen(1, 1, NOW + 60), now());
        };
        *shared.before_write.borrow_mut() = Some(Box::new(same));
        assert_eq!(ours.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Replayed));
    }

    #[test]
    fn the_same_proof_on_two_workers_at_once_passes_on_one() {
        let shared = shared();
        let (ours, theirs) = (of_process(&shared, 256), of_process(&shared, 256));
        ours.remember(&seen(0, 0, NOW + 60), now()).unwrap();
        let passed = Rc::new(Cell::new(false));
        let told = Rc::clone(&passed);
        let same = move |_: &Shared, _: &str| {
            if theirs.remember(&seen(1, 1, NOW + 60), now()).is_ok() {
                told.set(true);
            }
        };
        *shared.before_write.borrow_mut() = Some(Box::new(same));
        assert_eq!(ours.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Replayed));
        assert!(passed.get());
    }

    #[test]
    fn a_slot_that_changes_under_every_try_is_given_up() {
        let shared = shared();
        let memory = of_process(&shared, 256);
        memory.remember(&seen(0, 0, NOW + 60), now()).unwrap();
        *shared.before_write.borrow_mut() = Some(Box::new(|shared, name| {
            let value = shared.values.borrow()[name].0.clone();
            shared.put(name, &value);
        }));
        let before = shared.reads.get();
        assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Contended));
        assert_eq!(shared.reads.get() - before, TRIES);
    }

    #[test]
    fn a_slot_that_vanished_or_can_not_be_read_is_never_an_empty_one() {
        let shared = shared();
        let memory = of_process(&shared, 256);
        memory.remember(&seen(0, 0, NOW + 60), now()).unwrap();
        let [name] = shared.slot_names().try_into().unwrap();
        let good = shared.values.borrow()[&name].0.clone();
        for bad in [&b""[..], b"hfp", b"hfp2", b"other", &good[..good.len() - 1], &[&good[..], b"x"].concat()] {
            shared.put(&name, bad);
            assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Lost), "{bad:?}");
        }
        let too_many = [&MARK[..], &[0; (PLACES + 1) * PLACE]].concat();
        shared.put(&name, &too_many);
        assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Lost));
        shared.values.borrow_mut().remove(&name);
        assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Err(Error::Lost));
        shared.put(&name, &good);
        assert_eq!(memory.remember(&seen(1, 1, NOW + 60), now()), Ok(()));
    }

    #[test]
    fn a_secret_of_another_form_and_a_host_that_does_not_answer_refuse() {
        let shared = shared();
        shared.put(&format!("{}.secret", of_process(&shared, 1).names()), b"short");
        assert_eq!(of_process(&shared, 256).remember(&seen(1, 1, NOW + 60), now()), Err(Error::Lost));
        shared.unreachable.set(true);
        assert_eq!(of_process(&shared, 256).remember(&seen(1, 1, NOW + 60), now()), Err(Error::Lost));
    }
}
