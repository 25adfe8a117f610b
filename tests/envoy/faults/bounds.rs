//! Every bound is reached: more is refused or asked for again, memory stays flat, and all is right afterwards.

use std::time::{Duration, Instant};

use harness::{Fault, wait_until};
use serde_json::{Value, json};

use super::recovers;
use crate::stage::{Stage, api, document};

fn narrow() -> Value {
    let mut document = document();
    document["limits"] = json!({"tokens": 4, "token_bytes": "64KiB", "callouts": 4, "waiting": 4});
    document["issuers"][0]["introspection"]["timeout"] = json!("10s");
    document["issuers"][0]["introspection"]["cache"] = json!("5m");
    document
}

#[test]
fn more_tokens_than_are_remembered_are_asked_for_again_and_judged_as_before() {
    let stage = Stage::set(&narrow()).warm();
    let revoked = json!({"active": false});
    for number in 0..40 {
        stage.server.know(&format!("good-{number}"), stage.active());
        stage.server.know(&format!("bad-{number}"), revoked.clone());
    }
    for _ in 0..2 {
        for number in 0..40 {
            assert_eq!(stage.as_bank(&api(&format!("good-{number}"))).status, 200);
            assert_eq!(stage.as_bank(&api(&format!("bad-{number}"))).status, 401);
            assert_eq!(stage.as_thief(&api(&format!("good-{number}"))).status, 401);
        }
    }
    assert_eq!(stage.reached(), 80);
    // The thief's question was answered a moment ago.
    assert_eq!(stage.server.count("/introspect"), 2 * 80);
}

#[test]
fn tokens_that_are_too_large_to_be_remembered_are_judged_all_the_same() {
    let stage = Stage::set(&narrow()).warm();
    let mut said = stage.active();
    let audiences = std::iter::once(said["aud"].clone()).chain(std::iter::repeat_n(json!("a"), 10_000));
    said["aud"] = audiences.collect();
    stage.server.know("large", said);
    for asked in 1..=3 {
        assert_eq!(stage.as_bank(&api("large")).status, 200);
        assert_eq!(stage.server.count("/introspect"), asked);
    }
    assert_eq!(stage.as_thief(&api("large")).status, 401);
    assert_eq!(stage.reached(), 3);
}

#[test]
fn more_requests_than_may_wait_are_told_to_come_again_and_those_that_wait_are_answered() {
    let stage = Stage::set(&narrow()).warm();
    stage.server.know("opaque", stage.active());
    let before = stage.envoy.memory();
    for round in 0..5 {
        stage.server.fail("/introspect", Fault::Held);
        let client = stage.envoy.client(&stage.bank);
        let statuses: Vec<u16> = std::thread::scope(|scope| {
            let senders: Vec<_> = (0..40)
                .map(|number| {
                    scope.spawn({
                        let client = &client;
                        move || client.send(&api(&format!("{round}-{number}"))).status
                    })
                })
                .collect();
            // One of them waits; the others have been answered.
            assert!(wait_until(Duration::from_secs(20), || stage.envoy.access_log().len() >= 40 * round + 39 + round));
            stage.server.mend();
            senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
        });
        let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
        assert_eq!((count(401), count(503)), (1, 39), "a quarter of four places is one: {statuses:?}");
        recovers("places to wait in that were all taken", Instant::now(), || {
            stage.as_bank(&api("opaque")).status == 200
        });
        stage.envoy.access_lines(41 * (round + 1));
    }
    assert_eq!(stage.as_bank(&api(&stage.token())).status, 200);
    println!("bounds: Envoy has {} KiB, {before} KiB before", stage.envoy.memory());
    assert_eq!(stage.reached(), 5 + 1);
}
