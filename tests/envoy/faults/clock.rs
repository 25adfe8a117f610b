//! The clock of the machine is set forward and back while the filter runs.

use std::time::Instant;

use harness::{Clock, Fault};
use serde_json::{Value, json};

use super::recovers;
use crate::stage::{Stage, api, document};

const HOURS: i64 = 6 * 3600;

/// A token that is good at the time that this clock shows.
fn token_at(stage: &Stage, clock: &Clock) -> String {
    stage.token_with(json!({"iat": clock.now(), "exp": clock.now() + 300}))
}

fn active_at(stage: &Stage, clock: &Clock) -> Value {
    let mut said = stage.active();
    said["iat"] = json!(clock.now());
    said["exp"] = json!(clock.now() + 300);
    said
}

fn stage(clock: &Clock) -> Stage {
    Stage::with(&document(), |options| options.clock(clock)).warm()
}

#[test]
fn tokens_are_judged_by_the_clock_as_it_stands_and_good_ones_pass_at_once() {
    let clock = Clock::new();
    let stage = stage(&clock);
    let then = stage.token();
    for (step, of_then) in [(0, 200), (HOURS, 401), (0, 200), (-HOURS, 401), (0, 200)] {
        clock.set(step);
        let set = Instant::now();
        let now = token_at(&stage, &clock);
        recovers(&format!("a clock set to {step} s"), set, || stage.as_bank(&api(&now)).status == 200);
        assert_eq!(stage.as_bank(&api(&then)).status, of_then, "{step}");
        assert_eq!(stage.as_thief(&api(&now)).status, 401, "{step}");
        assert_eq!(stage.reached(), 1 + usize::from(of_then == 200), "{step}");
    }
}

#[test]
fn what_was_revoked_does_not_pass_for_the_hours_that_a_clock_was_set_back() {
    let clock = Clock::new();
    let stage = stage(&clock);
    stage.server.know("opaque", active_at(&stage, &clock));
    assert_eq!(stage.as_bank(&api("opaque")).status, 200);
    stage.server.forget("opaque");
    clock.set(-HOURS);
    assert_eq!(stage.as_bank(&api("opaque")).status, 401);
    assert_eq!(stage.reached(), 1);
}

#[test]
fn a_server_that_failed_is_asked_again_in_seconds_after_a_clock_was_set_back() {
    let clock = Clock::new();
    let stage = stage(&clock);
    stage.server.fail("/jwks", Fault::Close);
    let mut cold = document();
    cold["challenge"] = json!({"realm": "cold"});
    stage.envoy.configure(&cold).expect("a good configuration");
    assert_eq!(stage.as_bank(&api(&stage.token())).status, 503);
    clock.set(-HOURS);
    stage.server.mend();
    let (mended, good) = (Instant::now(), token_at(&stage, &clock));
    recovers("keys that were not there, and a clock set back", mended, || stage.as_bank(&api(&good)).status == 200);
}
