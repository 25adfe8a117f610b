//! What authorization servers said of tokens, for as long as it may be believed.
//!
//! The key is the whole question, so no two tokens, issuers or endpoints are ever taken for one another. Entries are facts:
//! binding, audience, scope and time are judged again on every use. Good and bad answers are kept apart, so that a flood of
//! made-up tokens drives out no good one.

use core::time::Duration;
use std::collections::HashMap;

use crate::callout::CalloutId;
use crate::time::UnixTime;

use super::introspection::Introspected;
use super::{Error, Vouched};

/// How much is remembered, on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub entries: usize,
    pub bytes: usize,
}

#[derive(Debug)]
pub struct Memory {
    good: Generations,
    bad: Generations,
}

#[derive(Clone, Debug)]
struct Entry {
    said: Introspected,
    good_until: UnixTime,
    stale_until: UnixTime,
    size: usize,
}

/// How long the word of a server that a token is not good is repeated.
const BAD_FOR: Duration = Duration::from_secs(5);

impl Memory {
    /// Bad answers get a quarter of the place, in addition.
    pub fn new(limits: Limits) -> Self {
        let quarter = Limits { entries: limits.entries / 4, bytes: limits.bytes / 4 };
        Self { good: Generations::new(limits), bad: Generations::new(quarter) }
    }

    /// How much is remembered, in entries and in bytes.
    pub fn held(&self) -> Limits {
        let (good, bad) = (self.good.held(), self.bad.held());
        Limits { entries: good.entries + bad.entries, bytes: good.bytes + bad.bytes }
    }

    /// What was said of this token and still counts at `now`.
    pub fn recall(&mut self, id: &CalloutId, now: UnixTime) -> Option<Introspected> {
        let entry = self.good.find(id).or_else(|| self.bad.find(id))?;
        (now < entry.good_until).then(|| entry.said.clone())
    }

    /// What was said of it lately, for the time in which its server does not answer.
    pub fn recall_stale(&mut self, id: &CalloutId, now: UnixTime) -> Option<Introspected> {
        let entry = self.good.find(id)?;
        (now < entry.stale_until).then(|| entry.said.clone())
    }

    /// Remembers that a token is good until the one time, and for want of a better word until the other; `size` is that of
    /// the answer.
    pub fn remember_good(
        &mut self,
        id: CalloutId,
        said: Vouched,
        (good_until, stale_until): (UnixTime, UnixTime),
        size: usize,
        now: UnixTime,
    ) {
        self.bad.forget(&id);
        if stale_until <= now {
            return;
        }
        self.good.insert(id, Entry { said: Ok(said), good_until, stale_until, size });
    }

    /// Remembers that it is not: as long as it would be remembered as good, and for five seconds at most.
    pub fn remember_bad(&mut self, id: CalloutId, said: Error, cache: Duration, now: UnixTime) {
        self.good.forget(&id);
        let until = now.plus(cache.min(BAD_FOR));
        if until <= now {
            return;
        }
        self.bad.insert(id, Entry { said: Err(said), good_until: until, stale_until: until, size: 0 });
    }

    /// Forgets all: the clock by which it was to be believed is another.
    pub fn forget_all(&mut self) {
        *self = Self { good: Generations::new(self.good.limits), bad: Generations::new(self.bad.limits) };
    }
}

/// A bounded map in two generations: when the young one has half of the place, the old one goes and the young one grows old.
/// What is used moves to the young one, so what is lost was not used for a whole generation.
#[derive(Debug)]
struct Generations {
    limits: Limits,
    young: HashMap<CalloutId, Entry>,
    old: HashMap<CalloutId, Entry>,
    young_bytes: usize,
    old_bytes: usize,
}

/// What an entry takes beside its token and claims, and how much larger claims are in memory than as text: measured roughly,
/// on the safe side.
const ENTRY_BYTES: usize = 512;
const CLAIMS_FACTOR: usize = 4;

impl Generations {
    fn new(limits: Limits) -> Self {
        Self { limits, young: HashMap::new(), old: HashMap::new(), young_bytes: 0, old_bytes: 0 }
    }

    fn held(&self) -> Limits {
        Limits { entries: self.young.len() + self.old.len(), bytes: self.young_bytes + self.old_bytes }
    }

    fn find(&mut self, id: &CalloutId) -> Option<&Entry> {
        if let Some((id, entry)) = self.take_old(id) {
            self.put(id, entry);
        }
        self.young.get(id)
    }

    fn insert(&mut self, id: CalloutId, entry: Entry) {
        self.forget(&id);
        self.put(id, entry);
    }

    fn forget(&mut self, id: &CalloutId) {
        self.take_old(id);
        if let Some((id, entry)) = self.young.remove_entry(id) {
            self.young_bytes = self.young_bytes.saturating_sub(weight(&id, &entry));
        }
    }

    fn take_old(&mut self, id: &CalloutId) -> Option<(CalloutId, Entry)> {
        let (id, entry) = self.old.remove_entry(id)?;
        self.old_bytes = self.old_bytes.saturating_sub(weight(&id, &entry));
        Some((id, entry))
    }

    fn put(&mut self, id: CalloutId, entry: Entry) {
        let weight = weight(&id, &entry);
        if weight > self.limits.bytes / 2 || self.limits.entries < 2 {
            return;
        }
        if self.young.len() + 1 > self.limits.entries / 2 || self.young_bytes + weight > self.limits.bytes / 2 {
            self.old = core::mem::take(&mut self.young);
            self.old_bytes = core::mem::take(&mut self.young_bytes);
        }
        self.young_bytes += weight;
        self.young.insert(id, entry);
    }
}

fn weight(id: &CalloutId, entry: &Entry) -> usize {
    id.body.len() + entry.size.saturating_mul(CLAIMS_FACTOR) + ENTRY_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callout::{Question, Service};

    const T: UnixTime = UnixTime::new(1_800_000_000);
    const CACHE: Duration = Duration::from_secs(30);

    fn id(token: &str) -> CalloutId {
        CalloutId { service: Service::about(Question::Introspection), body: token.into() }
    }

    fn later(seconds: u64) -> UnixTime {
        T.plus(Duration::from_secs(seconds))
    }

    fn memory(entries: usize, bytes: usize) -> Memory {
        Memory::new(Limits { entries, bytes })
    }

    fn good(memory: &mut Memory, token: &str) {
        memory.remember_good(id(token), Vouched::default(), (later(30), later(60)), 100, T);
    }

    fn knows(memory: &mut Memory, token: &str) -> bool {
        memory.recall(&id(token), T).is_some()
    }

    #[test]
    fn a_good_answer_counts_until_its_time_and_longer_only_for_want_of_a_better() {
        let mut memory = memory(10, 100_000);
        good(&mut memory, "a");
        assert!(memory.recall(&id("a"), later(29)).is_some());
        assert!(memory.recall(&id("a"), later(30)).is_none());
        assert!(memory.recall_stale(&id("a"), later(59)).is_some());
        assert!(memory.recall_stale(&id("a"), later(60)).is_none());
    }

    #[test]
    fn a_bad_answer_counts_for_five_seconds_and_never_longer_than_a_good_one_would() {
        let mut memory = memory(10, 100_000);
        memory.remember_bad(id("a"), Error::Inactive, CACHE, T);
        assert!(matches!(memory.recall(&id("a"), later(4)), Some(Err(Error::Inactive))));
        assert!(memory.recall(&id("a"), later(5)).is_none());
        assert!(memory.recall_stale(&id("a"), T).is_none());
        memory.remember_bad(id("b"), Error::Inactive, Duration::ZERO, T);
        assert!(memory.recall(&id("b"), T).is_none());
    }

    #[test]
    fn a_token_that_is_no_longer_good_is_not_remembered_as_good() {
        let mut memory = memory(10, 100_000);
        good(&mut memory, "a");
        memory.remember_bad(id("a"), Error::Inactive, CACHE, T);
        assert!(matches!(memory.recall(&id("a"), T), Some(Err(Error::Inactive))));
        assert!(memory.recall_stale(&id("a"), T).is_none());
        good(&mut memory, "a");
        assert!(matches!(memory.recall(&id("a"), T), Some(Ok(_))));
    }

    #[test]
    fn entries_are_bounded_and_what_is_used_stays() {
        let mut memory = memory(8, 1_000_000);
        for number in 0..100 {
            good(&mut memory, &format!("token {number}"));
            good(&mut memory, "used");
            assert!(knows(&mut memory, "used"));
            let held = memory.good.young.len() + memory.good.old.len();
            assert!(held <= 8, "{held}");
            assert_eq!(memory.held().entries, held);
        }
        assert!(!knows(&mut memory, "token 0"));
    }

    #[test]
    fn octets_are_bounded_too() {
        let mut memory = memory(1000, 10 * 1024);
        for number in 0..100 {
            good(&mut memory, &format!("token {number}"));
            knows(&mut memory, &format!("token {}", number / 2));
            good(&mut memory, &format!("token {}", number / 3));
            let held: usize =
                memory.good.young.iter().chain(&memory.good.old).map(|(id, entry)| weight(id, entry)).sum();
            assert_eq!(memory.held().bytes, held);
        }
        let held: usize = memory.good.young.iter().chain(&memory.good.old).map(|(id, entry)| weight(id, entry)).sum();
        assert!(held <= 10 * 1024, "{held}");
        memory.remember_good(id("vast"), Vouched::default(), (later(30), later(30)), 10 * 1024, T);
        assert!(!knows(&mut memory, "vast"));
    }

    #[test]
    fn the_young_generation_has_exactly_half_of_entries_and_of_bytes() {
        let whole = |memory: &Memory| (memory.good.young.len(), memory.good.old.len());
        let (one, entry) = (id("0"), Entry { said: Ok(Vouched::default()), good_until: T, stale_until: T, size: 100 });
        assert_eq!(weight(&one, &entry), 1 + 400 + 512);
        for limits in [(8, 1_000_000), (1000, 8 * 913)] {
            let mut memory = memory(limits.0, limits.1);
            for token in ["0", "1", "2", "3"] {
                good(&mut memory, token);
            }
            assert_eq!(whole(&memory), (4, 0), "{limits:?}");
            good(&mut memory, "4");
            assert_eq!(whole(&memory), (1, 4), "{limits:?}");
            assert!(knows(&mut memory, "0"));
            assert_eq!(whole(&memory), (2, 3), "what is used grows young: {limits:?}");
        }
        let mut narrow = memory(8, 2 * 913);
        good(&mut narrow, "0");
        assert!(knows(&mut narrow, "0"), "it fits exactly");
        let mut narrower = memory(8, 2 * 912);
        good(&mut narrower, "0");
        assert!(!knows(&mut narrower, "0"));
        let mut two = memory(2, 100_000);
        good(&mut two, "0");
        assert!(knows(&mut two, "0"));
    }

    #[test]
    fn a_flood_of_bad_tokens_drives_out_no_good_one() {
        let mut memory = memory(8, 1_000_000);
        good(&mut memory, "good");
        for number in 0..100 {
            memory.remember_bad(id(&format!("bad {number}")), Error::Inactive, CACHE, T);
        }
        assert!(knows(&mut memory, "good"));
        let bad = memory.bad.held();
        assert_eq!(memory.held(), Limits { entries: 1 + bad.entries, bytes: memory.good.held().bytes + bad.bytes });
        assert!((1..=2).contains(&bad.entries) && bad.bytes > 0, "{bad:?}");
    }
}
