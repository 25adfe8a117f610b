//! An issuer's JWK Set: what is held, how fresh it is, when to fetch it again (checklist 2.21–2.23).

use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::callout::{Answer, Callout, CalloutId, NoAnswer, Response, Service};
use crate::jose::algorithm::Algorithm;
use crate::jose::jwk::{Candidates, Jwk, JwkSet, Skipped};
use crate::time::UnixTime;

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum Settings {
    Inline(Rc<JwkSet>),
    Fetched {
        service: Rc<Service>,
        /// How long a set is taken without asking again.
        refresh: Duration,
        /// How long it serves while the server does not answer.
        max_stale: Duration,
    },
}

/// The keys of one issuer on this worker.
#[derive(Debug)]
pub struct Keys {
    settings: Settings,
    held: Option<Held>,
    failing: Option<Failing>,
    bucket: Bucket,
    /// A fetch was caused and has not been settled; more requests join it at no cost.
    under_way: bool,
    used: bool,
}

#[derive(Debug)]
struct Held {
    set: Rc<JwkSet>,
    fetched: UnixTime,
}

/// The last fetch brought nothing.
#[derive(Clone, Copy, Debug)]
struct Failing {
    times: u32,
    retry: UnixTime,
}

/// Fetches that unknown `kid`s may cause: three at once, one more every five seconds.
#[derive(Debug)]
struct Bucket {
    fetches: u32,
    filled: UnixTime,
    /// The fetch under way was paid for.
    paid: bool,
}

const BURST: u32 = 3;
const COOLDOWN: u64 = 5;

/// How an issuer's keys stand on one worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Those that may serve; none where nothing is held, or for too long.
    pub held: Option<HeldKeys>,
    /// The last fetch brought nothing, so what is held is served for want of newer ones.
    pub failing: bool,
}

/// A set that may serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldKeys {
    pub keys: usize,
    pub fetched: UnixTime,
}

/// What became of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A set, and the keys in it that are not used.
    Set {
        keys: usize,
        skipped: Vec<Skipped>,
    },
    Failed(Failure),
}

/// Why a fetch brought nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    NoAnswer(NoAnswer),
    /// Another status than 200.
    Status(u16),
    /// Not a JWK Set of at most 64 KiB and 64 keys.
    NotAKeySet,
}

/// What there is to verify a signature with.
#[derive(Debug)]
pub enum Found {
    /// A set in which at least one key may have made the signature.
    Set(Rc<JwkSet>),
    /// The issuer has to be asked first.
    Ask(Callout),
    /// The issuer has no such key.
    NoSuchKey,
    /// The issuer can't be asked, and what is held does not help.
    Unavailable,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => why.fmt(f),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::NotAKeySet => f.write_str("the answer is not a JWK Set"),
        }
    }
}

impl Keys {
    pub fn new(settings: Settings) -> Self {
        let bucket = Bucket { fetches: BURST, filled: UnixTime::new(0), paid: false };
        Self { settings, held: None, failing: None, bucket, under_way: false, used: false }
    }

    /// How they stand; none where the configuration holds them.
    pub fn standing(&self, now: UnixTime) -> Option<Standing> {
        let Settings::Fetched { max_stale, .. } = &self.settings else { return None };
        let held = self.held.as_ref().filter(|held| now < held.fetched.plus(*max_stale));
        let held = held.map(|held| HeldKeys { keys: held.set.keys.len(), fetched: held.fetched });
        Some(Standing { held, failing: self.failing.is_some() })
    }

    /// Looks for keys; `asked` when this request has waited for a fetch already.
    pub fn find(&mut self, kid: Option<&str>, algorithm: Algorithm, asked: bool, now: UnixTime) -> Found {
        let (service, refresh, max_stale) = match &self.settings {
            Settings::Inline(set) => return in_fixed_set(set, kid, algorithm),
            Settings::Fetched { service, refresh, max_stale } => (Rc::clone(service), *refresh, *max_stale),
        };
        self.used = true;
        let held = self.held.as_ref().filter(|held| now < held.fetched.plus(max_stale));
        let Some(held) = held else { return self.ask_unless_failing(service, now) };
        if now >= held.fetched.plus(refresh) && self.failing.is_none() {
            return self.ask(service);
        }
        match held.set.candidates(kid, algorithm) {
            Candidates::Keys(_) => Found::Set(Rc::clone(&held.set)),
            Candidates::Ambiguous => Found::NoSuchKey,
            Candidates::NoneFits if kid.is_some() => Found::NoSuchKey,
            Candidates::UnknownKid | Candidates::NoneFits => self.ask_for_unknown(service, asked, now),
        }
    }

    /// Whether `key` is one of those that serve now, so that what it vouched for still counts. A set that has to be asked for
    /// first serves nobody.
    pub fn vouches(&mut self, key: &Rc<Jwk>, now: UnixTime) -> bool {
        let set = match (&self.settings, &self.held) {
            (Settings::Inline(set), _) => set,
            (Settings::Fetched { refresh, max_stale, .. }, Some(held)) => {
                self.used = true;
                let is_old = now >= held.fetched.plus(*refresh) && self.failing.is_none();
                if is_old || now >= held.fetched.plus(*max_stale) {
                    return false;
                }
                &held.set
            }
            (Settings::Fetched { .. }, None) => return false,
        };
        set.keys.iter().any(|held| Rc::ptr_eq(held, key))
    }

    fn ask(&mut self, service: Rc<Service>) -> Found {
        self.under_way = true;
        Found::Ask(Callout { id: CalloutId { service, body: Rc::default(), token: None } })
    }

    fn ask_unless_failing(&mut self, service: Rc<Service>, now: UnixTime) -> Found {
        match self.failing {
            Some(failing) if now < failing.retry && !self.under_way => Found::Unavailable,
            _ => self.ask(service),
        }
    }

    fn ask_for_unknown(&mut self, service: Rc<Service>, asked: bool, now: UnixTime) -> Found {
        if self.failing.is_some() {
            return if asked { Found::Unavailable } else { self.ask_unless_failing(service, now) };
        }
        if asked {
            return Found::NoSuchKey;
        }
        if self.under_way || self.bucket.take(now) { self.ask(service) } else { Found::NoSuchKey }
    }

    /// The clock was set back by so much: all is as old as it was.
    pub fn set_back(&mut self, by: Duration) {
        if let Some(held) = &mut self.held {
            held.fetched = held.fetched.minus(by);
        }
        if let Some(failing) = &mut self.failing {
            failing.retry = failing.retry.minus(by);
        }
        self.bucket.filled = self.bucket.filled.minus(by);
    }

    /// The question that was to be asked is not: the journey had asked too often.
    pub fn withdraw(&mut self) {
        self.under_way = false;
    }

    /// The refresh that nobody waits for: the first one of a worker, one before a used set grows old, retries after failures.
    pub fn due(&mut self, now: UnixTime) -> Option<Callout> {
        let Settings::Fetched { service, refresh, .. } = &self.settings else { return None };
        let due = match (&self.held, self.failing) {
            _ if self.under_way => false,
            (None, None) => true,
            (held, Some(failing)) => now >= failing.retry && (self.used || held.is_none()),
            (Some(held), None) => self.used && now >= held.fetched.plus(*refresh * 4 / 5),
        };
        if !due {
            return None;
        }
        self.under_way = true;
        Some(Callout { id: CalloutId { service: Rc::clone(service), body: Rc::default(), token: None } })
    }

    /// Takes the answer to a fetch. What can't be used leaves the last good set in place.
    pub fn settle(&mut self, answer: Answer, now: UnixTime) -> Fetched {
        self.under_way = false;
        let body = match answer {
            Answer::Response(Response { status: 200, body, .. }) => body,
            Answer::Response(Response { status, .. }) => return self.fail(Failure::Status(status), now),
            Answer::None(why) => return self.fail(Failure::NoAnswer(why), now),
        };
        let Ok((set, skipped)) = JwkSet::parse(&body) else { return self.fail(Failure::NotAKeySet, now) };
        let set = match &self.held {
            Some(held) if *held.set == set => Rc::clone(&held.set),
            Some(held) => {
                self.bucket.give_back();
                Rc::new(set.keeping(&held.set))
            }
            None => Rc::new(set),
        };
        self.bucket.paid = false;
        let keys = set.keys.len();
        self.held = Some(Held { set, fetched: now });
        self.failing = None;
        self.used = false;
        Fetched::Set { keys, skipped }
    }

    fn fail(&mut self, failure: Failure, now: UnixTime) -> Fetched {
        self.bucket.paid = false;
        let times = self.failing.map_or(0, |failing| failing.times).saturating_add(1);
        let delay = match times {
            1 => 1,
            2 => 2,
            3 => 4,
            _ => 5,
        };
        self.failing = Some(Failing { times, retry: now.plus(Duration::from_secs(delay)) });
        Fetched::Failed(failure)
    }
}

fn in_fixed_set(set: &Rc<JwkSet>, kid: Option<&str>, algorithm: Algorithm) -> Found {
    match set.candidates(kid, algorithm) {
        Candidates::Keys(_) => Found::Set(Rc::clone(set)),
        Candidates::UnknownKid | Candidates::NoneFits | Candidates::Ambiguous => Found::NoSuchKey,
    }
}

impl Bucket {
    fn take(&mut self, now: UnixTime) -> bool {
        let earned = now.seconds().saturating_sub(self.filled.seconds()) / COOLDOWN;
        if earned > 0 {
            self.fetches = self.fetches.saturating_add(u32::try_from(earned).unwrap_or(BURST)).min(BURST);
            self.filled = now;
        }
        let may = self.fetches > 0;
        self.fetches = self.fetches.saturating_sub(1);
        self.paid = may;
        may
    }

    /// A fetch that changed the set costs nothing.
    fn give_back(&mut self) {
        if self.paid {
            self.fetches = self.fetches.saturating_add(1).min(BURST);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callout::Question;

    const T: UnixTime = UnixTime::new(1_800_000_000);

    fn keys() -> Keys {
        let (refresh, max_stale) = (Duration::from_secs(300), Duration::from_secs(3600));
        Keys::new(Settings::Fetched { service: Service::about(Question::KeySet), refresh, max_stale })
    }

    /// The key of RFC 8037 A.2 under a chosen `kid`.
    fn set_of(kids: &[&str]) -> Answer {
        let x = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
        let keys: Vec<String> =
            kids.iter().map(|kid| format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"{x}"}}"#)).collect();
        Answer::Response(Response::new(200, format!(r#"{{"keys":[{}]}}"#, keys.join(",")).into_bytes()))
    }

    fn find(keys: &mut Keys, kid: &str, asked: bool, now: UnixTime) -> &'static str {
        match keys.find(Some(kid), Algorithm::EdDsa, asked, now) {
            Found::Set(_) => "set",
            Found::Ask(_) => "ask",
            Found::NoSuchKey => "no such key",
            Found::Unavailable => "unavailable",
        }
    }

    fn later(seconds: u64) -> UnixTime {
        T.plus(Duration::from_secs(seconds))
    }

    const FAILED: Answer = Answer::None(NoAnswer::Reset);

    #[test]
    fn a_worker_fetches_once_at_its_start_and_again_only_where_used() {
        let mut keys = keys();
        assert!(keys.due(T).is_some());
        assert_eq!(keys.due(T), None, "it is under way");
        keys.settle(set_of(&["a"]), T);
        assert_eq!(keys.due(later(299)), None, "nobody used it");
        assert_eq!(find(&mut keys, "a", false, later(10)), "set");
        assert_eq!(keys.due(later(239)), None);
        assert!(keys.due(later(240)).is_some());
    }

    #[test]
    fn a_set_that_nobody_used_for_long_is_asked_for_before_it_is_believed() {
        let mut keys = keys();
        keys.settle(set_of(&["a"]), T);
        assert_eq!(find(&mut keys, "a", false, later(299)), "set");
        assert_eq!(find(&mut keys, "a", false, later(300)), "ask");
    }

    #[test]
    fn an_unknown_kid_asks_three_times_and_then_once_in_five_seconds() {
        let mut keys = keys();
        keys.settle(set_of(&["a"]), T);
        for _ in 0..3 {
            assert_eq!(find(&mut keys, "b", false, T), "ask");
            assert_eq!(find(&mut keys, "c", false, T), "ask", "those who come while it is under way join");
            keys.settle(set_of(&["a"]), T);
            assert_eq!(find(&mut keys, "b", true, T), "no such key");
        }
        assert_eq!(find(&mut keys, "b", false, later(4)), "no such key");
        assert_eq!(find(&mut keys, "b", false, later(5)), "ask");
        keys.settle(set_of(&["a", "b"]), later(5));
        assert_eq!(find(&mut keys, "b", true, later(5)), "set");
        assert_eq!(find(&mut keys, "d", false, later(5)), "ask", "a fetch that changed the set cost nothing");
    }

    #[test]
    fn a_server_that_never_says_the_same_twice_is_not_asked_without_end() {
        let mut keys = keys();
        keys.settle(set_of(&["a"]), T);
        for number in 0..3 {
            assert_eq!(find(&mut keys, "b", false, T), "ask");
            let blanks = " ".repeat(number);
            let Answer::Response(Response { body, .. }) = set_of(&["a"]) else { panic!("an answer") };
            let body = [blanks.as_bytes(), &body].concat();
            keys.settle(Answer::Response(Response::new(200, body)), T);
        }
        assert_eq!(find(&mut keys, "b", false, T), "no such key");
    }

    #[test]
    fn the_last_good_set_serves_while_the_server_is_away_and_no_longer_than_max_stale() {
        let mut keys = keys();
        keys.settle(set_of(&["a"]), T);
        let held = Some(HeldKeys { keys: 1, fetched: T });
        assert_eq!(keys.standing(T), Some(Standing { held, failing: false }));
        keys.settle(FAILED, later(250));
        assert_eq!(keys.standing(later(3599)), Some(Standing { held, failing: true }));
        assert_eq!(keys.standing(later(3600)), Some(Standing { held: None, failing: true }));
        assert_eq!(find(&mut keys, "a", false, later(3599)), "set");
        assert_eq!(find(&mut keys, "a", false, later(3600)), "ask");
        keys.settle(FAILED, later(3600));
        assert_eq!(find(&mut keys, "a", true, later(3600)), "unavailable");
    }

    #[test]
    fn a_failing_server_is_tried_after_one_two_four_and_five_seconds() {
        let mut keys = keys();
        let mut now = T;
        for delay in [1, 2, 4, 5, 5] {
            assert_eq!(keys.settle(FAILED, now), Fetched::Failed(Failure::NoAnswer(NoAnswer::Reset)));
            assert_eq!(find(&mut keys, "a", false, now.plus(Duration::from_secs(delay - 1))), "unavailable");
            now = now.plus(Duration::from_secs(delay));
            assert!(keys.due(now).is_some(), "after {delay} s");
        }
        keys.settle(set_of(&["a"]), now);
        assert_eq!(find(&mut keys, "a", false, now), "set");
    }

    #[test]
    fn an_unknown_kid_is_no_verdict_while_the_server_is_away() {
        let mut keys = keys();
        keys.settle(set_of(&["a"]), T);
        keys.settle(FAILED, later(1));
        assert_eq!(find(&mut keys, "b", false, later(1)), "unavailable");
        assert_eq!(find(&mut keys, "b", false, later(2)), "ask");
    }

    #[test]
    fn rubbish_is_no_key_set() {
        for (status, body, failure) in [
            (500, "{\"keys\":[]}", Failure::Status(500)),
            (200, "", Failure::NotAKeySet),
            (200, "[]", Failure::NotAKeySet),
            (200, "{\"keys\":{}}", Failure::NotAKeySet),
        ] {
            let answer = Answer::Response(Response::new(status, body.into()));
            assert_eq!(keys().settle(answer, T), Fetched::Failed(failure));
        }
    }
}
