//! Tokens that their issuer vouched for, and those it would not, for as long as that may be believed.
//!
//! An entry is found by the whole token and by who was asked, so no two tokens, issuers or endpoints are ever taken for one
//! another. Entries are facts: binding, audience, scope and time are judged again on every use. Good and bad ones are kept
//! apart, so that a flood of made-up tokens drives out no good one.

use core::hash::{BuildHasher as _, Hasher as _};
use core::time::Duration;
use std::collections::HashSet;
use std::hash::RandomState;
use std::rc::Rc;

use hashbrown::HashTable;

use crate::callout::IssuerId;
use crate::time::UnixTime;

use super::introspection::{self, Introspected};
use super::{Error, Vouched};

/// How much is remembered, on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub entries: usize,
    pub bytes: usize,
}

/// Who was asked about a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The token itself: its signature.
    Signature,
    /// The introspection endpoint of this issuer.
    Endpoint(IssuerId),
    /// The token itself, and then the endpoint of the issuer that it names.
    Both,
}

/// What was said of a token, and how long that counts.
#[derive(Clone, Debug)]
pub struct Said {
    pub of: Introspected,
    pub good_until: UnixTime,
    /// For want of a better word.
    pub stale_until: UnixTime,
}

#[derive(Debug)]
pub struct Memory {
    good: Store,
    bad: Store,
    alike: Alike,
    /// Nobody outside knows it, so nobody can make tokens that fall into one place.
    seed: RandomState,
}

/// Lists that one token holds as the other does, such as scopes: each stands in memory once.
#[derive(Debug, Default)]
pub struct Alike(HashSet<Rc<[String]>>);

/// What an entry is found by.
#[derive(Clone, Copy)]
struct Key<'a> {
    asked: Asked,
    token: &'a [u8],
    hash: u32,
}

/// How long the word of a server that a token is not good is repeated.
const BAD_FOR: Duration = Duration::from_secs(5);

impl Memory {
    /// Bad answers get a quarter of the place, in addition.
    pub fn new(limits: Limits) -> Self {
        let quarter = Limits { entries: limits.entries / 4, bytes: limits.bytes / 4 };
        Self { good: Store::new(limits), bad: Store::new(quarter), alike: Alike::default(), seed: RandomState::new() }
    }

    fn key<'a>(&self, asked: Asked, token: &'a [u8]) -> Key<'a> {
        Key { asked, token, hash: hash(&self.seed, asked, token) }
    }

    /// How much is remembered, in entries and in bytes.
    pub fn held(&self) -> Limits {
        let (good, bad) = (self.good.held(), self.bad.held());
        Limits { entries: good.entries + bad.entries, bytes: good.bytes + bad.bytes }
    }

    /// What was said of this token and still counts at `now`.
    pub fn recall(&mut self, asked: Asked, token: &[u8], now: UnixTime) -> Option<&Introspected> {
        let key = self.key(asked, token);
        let said = match self.good.find(key) {
            Some(said) => said,
            None => self.bad.find(key)?,
        };
        (now < said.good_until).then_some(&said.of)
    }

    /// What was said of it lately, for the time in which its server does not answer.
    pub fn recall_stale(&mut self, asked: Asked, token: &[u8], now: UnixTime) -> Option<&Introspected> {
        let said = self.good.find(self.key(asked, token))?;
        (now < said.stale_until).then_some(&said.of)
    }

    /// Remembers that a token is good until the one time, and for want of a better word until the other.
    pub fn remember_good(
        &mut self,
        asked: Asked,
        token: &str,
        vouched: Vouched,
        (good_until, stale_until): (UnixTime, UnixTime),
        now: UnixTime,
    ) {
        let key = self.key(asked, token.as_bytes());
        self.bad.forget(key);
        self.good.forget(key);
        if now < stale_until {
            self.good.insert(key, Said { of: Ok(vouched), good_until, stale_until }, now);
        }
    }

    /// Remembers what came of a signature and of an endpoint's answer, from when that was given, and gives it back.
    pub fn remember_both(
        &mut self,
        token: &str,
        mut said: Introspected,
        endpoint: &introspection::Settings,
        now: UnixTime,
    ) -> Introspected {
        match &mut said {
            Ok(both) => {
                self.share(both);
                let at = both.evidence().at;
                let times = (endpoint.good_until(both, at), endpoint.stale_until(both, at));
                self.remember_good(Asked::Both, token, Rc::clone(both), times, now);
            }
            // In a moment it may be good.
            Err(Error::NotYetValid) => self.remember_bad(Asked::Both, token, Error::NotYetValid, Duration::ZERO, now),
            Err(error) => self.remember_bad(Asked::Both, token, *error, endpoint.cache, now),
        }
        said
    }

    /// Remembers that it is not: as long as it would be remembered as good, and for five seconds at most.
    pub fn remember_bad(&mut self, asked: Asked, token: &str, error: Error, cache: Duration, now: UnixTime) {
        let key = self.key(asked, token.as_bytes());
        self.good.forget(key);
        self.bad.forget(key);
        let until = now.plus(cache.min(BAD_FOR));
        if now < until {
            self.bad.insert(key, Said { of: Err(error), good_until: until, stale_until: until }, now);
        }
    }

    /// Remembers for a while a token that was vouched for and is over, beside the bad ones: who presents it again is told so at
    /// the cost of a look-up.
    pub fn remember_over(&mut self, asked: Asked, token: &str, vouched: Vouched, now: UnixTime) {
        let (key, until) = (self.key(asked, token.as_bytes()), now.plus(BAD_FOR));
        // It was not found there, or it would not have been verified anew.
        self.good.forget(key);
        self.bad.forget(key);
        self.bad.insert(key, Said { of: Ok(vouched), good_until: until, stale_until: now }, now);
    }

    /// Lets a token that nobody else holds yet share what it has in common with others.
    pub fn share(&mut self, vouched: &mut Vouched) {
        if let Some(token) = Rc::get_mut(vouched) {
            token.share(&mut self.alike);
        }
    }

    /// Forgets all: the clock by which it was to be believed is another.
    pub fn forget_all(&mut self) {
        (self.good, self.bad) = (Store::new(self.good.limits), Store::new(self.bad.limits));
    }
}

impl Alike {
    /// Tokens of one client differ in little; from so many on, those to come share with one another only.
    const MOST: usize = 256;

    /// Puts the list that is known already in the place of one like it.
    pub(super) fn unify(&mut self, list: &mut Rc<[String]>) {
        match self.0.get(&**list) {
            Some(known) => *list = Rc::clone(known),
            None => {
                if self.0.len() >= Self::MOST {
                    self.0.clear();
                }
                self.0.insert(Rc::clone(list));
            }
        }
    }
}

/// A bounded map. Full, it gives up what was not used since its hand came by last (the *clock* algorithm), so what is used
/// stays and all of the place serves.
#[derive(Debug)]
struct Store {
    limits: Limits,
    /// Places in `places`, each beside its hash: to grow it looks at no entry.
    index: HashTable<(u32, u32)>,
    places: Vec<Option<Entry>>,
    free: Vec<u32>,
    bytes: usize,
    hand: usize,
}

#[derive(Debug)]
struct Entry {
    token: Box<[u8]>,
    asked: Asked,
    hash: u32,
    said: Said,
    bytes: usize,
    used: bool,
}

/// What an entry takes beside its token and its facts: its place, its part of the index, and what the allocator adds.
const ENTRY_BYTES: usize = 128;

/// So many entries in use are passed by before one of them goes all the same: no request pays for all of them.
const PATIENCE: usize = 256;

impl Store {
    fn new(limits: Limits) -> Self {
        Self { limits, index: HashTable::new(), places: Vec::new(), free: Vec::new(), bytes: 0, hand: 0 }
    }

    fn held(&self) -> Limits {
        Limits { entries: self.index.len(), bytes: self.bytes }
    }

    fn find(&mut self, key: Key<'_>) -> Option<&Said> {
        let at = self.place_of(key)?;
        let entry = self.places.get_mut(at)?.as_mut()?;
        entry.used = true;
        Some(&entry.said)
    }

    fn place_of(&self, key: Key<'_>) -> Option<usize> {
        let is_it = |(of, at): &(u32, u32)| *of == key.hash && self.entry(*at).is_some_and(|entry| entry.is(key));
        self.index.find(spread(key.hash), is_it).map(|(_, at)| wide(*at))
    }

    fn entry(&self, at: u32) -> Option<&Entry> {
        self.places.get(wide(at))?.as_ref()
    }

    /// Under a key that is not there.
    fn insert(&mut self, key: Key<'_>, said: Said, now: UnixTime) {
        let bytes = key.token.len() + ENTRY_BYTES + said.of.as_ref().map_or(0, |vouched| vouched.size());
        if bytes > self.limits.bytes || self.limits.entries == 0 {
            return;
        }
        while self.index.len() >= self.limits.entries || self.bytes + bytes > self.limits.bytes {
            self.evict(now);
        }
        let Key { asked, token, hash } = key;
        let entry = Entry { token: token.into(), asked, hash, said, bytes, used: false };
        let Some(at) = self.put(entry) else { return };
        self.bytes += bytes;
        self.index.insert_unique(spread(hash), (hash, at), |(hash, _)| spread(*hash));
    }

    /// Into a place that is free, or a new one.
    fn put(&mut self, entry: Entry) -> Option<u32> {
        if let Some(at) = self.free.pop() {
            *self.places.get_mut(wide(at))? = Some(entry);
            return Some(at);
        }
        let at = u32::try_from(self.places.len()).ok()?;
        self.places.push(Some(entry));
        Some(at)
    }

    fn forget(&mut self, key: Key<'_>) {
        if let Some(at) = self.place_of(key) {
            self.vacate(at);
        }
    }

    /// Gives up the next entry that is over or was not used since the hand came by.
    fn evict(&mut self, now: UnixTime) {
        let mut passed = 0;
        loop {
            let at = if self.hand < self.places.len() { self.hand } else { 0 };
            self.hand = at + 1;
            match self.places.get_mut(at) {
                Some(Some(entry)) if entry.used && entry.said.stale_until > now && passed < PATIENCE => {
                    entry.used = false;
                    passed += 1;
                }
                Some(Some(_)) => return self.vacate(at),
                // A free place: some other one is taken, for something is to be given up.
                Some(None) => {}
                None => return,
            }
        }
    }

    fn vacate(&mut self, at: usize) {
        let Some(entry) = self.places.get_mut(at).and_then(Option::take) else { return };
        self.bytes = self.bytes.saturating_sub(entry.bytes);
        if let Ok(found) = self.index.find_entry(spread(entry.hash), |(_, other)| wide(*other) == at) {
            let ((_, at), _) = found.remove();
            self.free.push(at);
        }
    }
}

impl Entry {
    fn is(&self, key: Key<'_>) -> bool {
        self.asked == key.asked && same(&self.token, key.token)
    }
}

/// Of a token that was verified by its signature, whose end nobody can choose, the end serves; of any other the whole.
fn hash(seed: &RandomState, asked: Asked, token: &[u8]) -> u32 {
    const END: usize = 32;
    let mut hasher = seed.build_hasher();
    match asked {
        Asked::Signature | Asked::Both => hasher.write(token.last_chunk::<END>().map_or(token, <[u8; END]>::as_slice)),
        Asked::Endpoint(_) => hasher.write(token),
    }
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// The table looks at the highest bits and at the lowest.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Compares eight octets a step; the C library of WebAssembly compares one (38 ns instead of 235 for a token of 700 octets).
fn same(a: &[u8], b: &[u8]) -> bool {
    let ((a_words, a_rest), (b_words, b_rest)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    a.len() == b.len() && a_rest == b_rest && a_words.iter().zip(b_words).all(|(a, b)| a == b)
}

fn wide(at: u32) -> usize {
    usize::try_from(at).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: UnixTime = UnixTime::new(1_800_000_000);
    const CACHE: Duration = Duration::from_secs(30);
    const HERE: Asked = Asked::Endpoint(IssuerId(0));

    fn later(seconds: u64) -> UnixTime {
        T.plus(Duration::from_secs(seconds))
    }

    fn memory(entries: usize, bytes: usize) -> Memory {
        Memory::new(Limits { entries, bytes })
    }

    fn good(memory: &mut Memory, token: &str) {
        memory.remember_good(HERE, token, Vouched::default(), (later(30), later(60)), T);
    }

    fn bad(memory: &mut Memory, token: &str) {
        memory.remember_bad(HERE, token, Error::Inactive, CACHE, T);
    }

    fn recall<'a>(memory: &'a mut Memory, token: &str, now: UnixTime) -> Option<&'a Introspected> {
        memory.recall(HERE, token.as_bytes(), now)
    }

    fn recall_stale<'a>(memory: &'a mut Memory, token: &str, now: UnixTime) -> Option<&'a Introspected> {
        memory.recall_stale(HERE, token.as_bytes(), now)
    }

    fn knows(memory: &mut Memory, token: &str) -> bool {
        recall(memory, token, T).is_some()
    }

    /// What an entry of a token of one octet takes.
    fn one() -> usize {
        1 + ENTRY_BYTES + Vouched::default().size()
    }

    #[test]
    fn a_good_answer_counts_until_its_time_and_longer_only_for_want_of_a_better() {
        let mut memory = memory(10, 100_000);
        good(&mut memory, "a");
        assert!(recall(&mut memory, "a", later(29)).is_some());
        assert!(recall(&mut memory, "a", later(30)).is_none());
        assert!(recall_stale(&mut memory, "a", later(59)).is_some());
        assert!(recall_stale(&mut memory, "a", later(60)).is_none());
    }

    #[test]
    fn a_bad_answer_counts_for_five_seconds_and_never_longer_than_a_good_one_would() {
        let mut memory = memory(10, 100_000);
        bad(&mut memory, "a");
        assert!(matches!(recall(&mut memory, "a", later(4)), Some(Err(Error::Inactive))));
        assert!(recall(&mut memory, "a", later(5)).is_none());
        assert!(recall_stale(&mut memory, "a", T).is_none());
        memory.remember_bad(HERE, "b", Error::Inactive, Duration::ZERO, T);
        assert!(!knows(&mut memory, "b"));
    }

    #[test]
    fn a_token_that_is_no_longer_good_is_not_remembered_as_good() {
        let mut memory = memory(10, 100_000);
        good(&mut memory, "a");
        bad(&mut memory, "a");
        assert!(matches!(recall(&mut memory, "a", T), Some(Err(Error::Inactive))));
        assert!(recall_stale(&mut memory, "a", T).is_none());
        good(&mut memory, "a");
        assert!(matches!(recall(&mut memory, "a", T), Some(Ok(_))));
        assert_eq!(memory.held().entries, 1);
    }

    #[test]
    fn nobody_is_answered_by_the_word_of_another() {
        let mut memory = memory(10, 100_000);
        good(&mut memory, "a");
        for asked in [Asked::Signature, Asked::Both, Asked::Endpoint(IssuerId(1))] {
            assert!(memory.recall(asked, b"a", T).is_none(), "{asked:?}");
            memory.remember_good(asked, "a", Vouched::default(), (later(30), later(30)), T);
        }
        assert_eq!(memory.held().entries, 4);
        bad(&mut memory, "a");
        assert!(matches!(memory.recall(Asked::Signature, b"a", T), Some(Ok(_))));
    }

    #[test]
    fn tokens_are_told_apart_by_each_of_their_octets() {
        let mut memory = memory(1000, 1_000_000);
        let token: String = ('!'..='~').collect();
        for asked in [HERE, Asked::Signature] {
            memory.remember_good(asked, &token, Vouched::default(), (later(30), later(30)), T);
            assert!(memory.recall(asked, token.as_bytes(), T).is_some());
            for at in 0..token.len() {
                let mut other = token.clone().into_bytes();
                other[at] ^= 1;
                assert!(memory.recall(asked, &other, T).is_none(), "{at}");
                assert!(memory.recall(asked, &token.as_bytes()[..at], T).is_none(), "{at}");
                assert!(memory.recall(asked, &token.as_bytes()[at + 1..], T).is_none(), "{at}");
            }
        }
    }

    #[test]
    fn all_of_the_place_serves_and_what_is_used_stays() {
        let mut memory = memory(8, 1_000_000);
        for number in 0..8 {
            good(&mut memory, &number.to_string());
        }
        assert!((0..8).all(|number| knows(&mut memory, &number.to_string())));
        for number in 8..100 {
            good(&mut memory, &number.to_string());
            assert!(knows(&mut memory, "3"), "{number}");
            assert_eq!(memory.held().entries, 8);
        }
        assert!(knows(&mut memory, "99") && knows(&mut memory, "98"), "the newest are there");
        assert!(!knows(&mut memory, "0"));
    }

    #[test]
    fn octets_are_bounded_too_and_counted_exactly() {
        let mut memory = memory(1000, 10 * one());
        for number in 0..100 {
            good(&mut memory, &format!("token {number}"));
            knows(&mut memory, &format!("token {}", number / 2));
            good(&mut memory, &format!("token {}", number / 3));
            bad(&mut memory, &format!("token {}", number / 4));
            let entries = memory.good.places.iter().chain(&memory.bad.places).flatten();
            let held: usize = entries.map(|entry| entry.bytes).sum();
            assert_eq!(memory.held().bytes, held);
            assert!(memory.good.bytes <= 10 * one());
            let (good, bad) = (&memory.good, &memory.bad);
            assert_eq!(good.places.len(), good.index.len() + good.free.len());
            assert_eq!(bad.places.len(), bad.index.len() + bad.free.len());
        }
        let vast = "v".repeat(10 * one());
        good(&mut memory, &vast);
        assert!(!knows(&mut memory, &vast));
    }

    #[test]
    fn an_entry_that_fits_exactly_is_remembered() {
        for (bytes, known) in [(one(), true), (one() - 1, false)] {
            let mut memory = memory(8, bytes);
            good(&mut memory, "0");
            assert_eq!(knows(&mut memory, "0"), known);
        }
        let mut nothing = memory(0, 100_000);
        good(&mut nothing, "0");
        assert!(!knows(&mut nothing, "0"));
    }

    #[test]
    fn what_is_over_goes_before_what_is_not_used() {
        let mut memory = memory(3, 1_000_000);
        memory.remember_good(HERE, "over", Vouched::default(), (later(1), later(1)), T);
        good(&mut memory, "a");
        good(&mut memory, "b");
        assert!(knows(&mut memory, "over"));
        let now = later(2);
        memory.remember_good(HERE, "c", Vouched::default(), (later(30), later(30)), now);
        assert!(["a", "b", "c"].iter().all(|token| recall(&mut memory, token, now).is_some()));
        assert_eq!(memory.held().entries, 3);
    }

    #[test]
    fn where_all_are_used_one_goes_all_the_same() {
        let entries = PATIENCE * 2;
        let mut memory = memory(entries, 10_000_000);
        for number in 0..entries {
            good(&mut memory, &number.to_string());
            knows(&mut memory, &number.to_string());
        }
        good(&mut memory, "new");
        assert!(knows(&mut memory, "new"));
        assert_eq!(memory.held().entries, entries);
    }

    #[test]
    fn a_flood_of_bad_tokens_drives_out_no_good_one() {
        let mut memory = memory(8, 1_000_000);
        for number in 0..8 {
            good(&mut memory, &format!("good {number}"));
        }
        for number in 0..100_000 {
            bad(&mut memory, &format!("bad {number}"));
        }
        assert!((0..8).all(|number| knows(&mut memory, &format!("good {number}"))));
        let bad = memory.bad.held();
        assert_eq!(memory.held(), Limits { entries: 8 + bad.entries, bytes: memory.good.held().bytes + bad.bytes });
        assert!((1..=2).contains(&bad.entries) && bad.bytes > 0, "{bad:?}");
    }

    #[test]
    fn tokens_of_one_end_fall_into_many_places_unless_their_signature_was_verified() {
        let (seed, end) = (RandomState::new(), "e".repeat(64));
        let hashes = |asked| {
            let of = |number: usize| hash(&seed, asked, format!("{number}.{end}").as_bytes());
            (0..100).map(of).collect::<std::collections::BTreeSet<u32>>().len()
        };
        assert_eq!((hashes(HERE), hashes(Asked::Signature)), (100, 1));
        let other = RandomState::new();
        assert_ne!(hash(&seed, HERE, b"a"), hash(&other, HERE, b"a"), "each memory has a seed of its own");
    }
}
