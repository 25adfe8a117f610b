//! Properties of whole journeys: whatever comes in whatever order, nothing panics, and no permit comes without each proof.
//!
//! The routes of a journey here are few. That many are chosen from as one after the other would be is told in `policy::index`.

mod agreement;
mod oracle;
mod pool;
mod scenario;
mod setting;
mod stage;

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

fn given(name: &str) -> bool {
    std::env::var_os(name).is_some()
}

/// One run is repeatable. `PROPTEST_RNG_SEED` and `PROPTEST_CASES` make others, and longer ones.
fn config() -> Config {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    if !given("PROPTEST_RNG_SEED") {
        config.rng_seed = RngSeed::Fixed(1);
    }
    if !given("PROPTEST_CASES") {
        config.cases = 4000;
    }
    config
}

#[test]
fn no_input_makes_a_journey_panic_and_no_permit_comes_without_each_proof() {
    let seen = RefCell::new(BTreeMap::<String, u32>::new());
    let played = TestRunner::new(config()).run(&scenario::scenarios(), |scenario| {
        let Some(told) = stage::play(&scenario).map_err(TestCaseError::fail)? else {
            return Err(TestCaseError::reject("the configuration is refused"));
        };
        for end in told {
            *seen.borrow_mut().entry(end).or_default() += 1;
        }
        Ok(())
    });
    if let Err(error) = played {
        panic!("{error}");
    }
    if given("PROPTEST_RNG_SEED") || given("PROPTEST_CASES") {
        return;
    }
    // A property of permits says nothing where none comes: every way to one was taken.
    let seen = seen.into_inner();
    for end in [
        "public",
        "a preflight",
        "granted by a signature",
        "granted by an answer",
        "granted from memory",
        "granted by a stale answer",
        "granted unbound",
        "granted to a certificate alone",
        "granted to a client's certificate",
        "granted without dates",
        "granted by both",
        "token.signature",
        "token.audience",
        "token.expired",
        "token.inactive",
        "token.disagreement",
        "token.confirmation",
        "token.scope",
        "token.step_up",
        "binding.other_certificate",
        "binding.expired_certificate",
        "binding.unchecked_validity",
        "binding.unbound",
        "binding.other_client_certificate",
        "policy.denied",
        "policy.exclusive_roles",
        "policy.no_rule",
        "policy.no_route",
        "path.ambiguous",
        "credential.missing",
        "credential.several_tokens",
        "server.unusable_answer",
        "server.crowded",
    ] {
        assert!(seen.contains_key(end), "no journey ended so: {end}; seen: {seen:#?}");
    }
}
