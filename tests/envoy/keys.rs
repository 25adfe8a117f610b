//! Keys and introspection under load: who asks whom, how often, and who goes on with the answer.

use std::time::Duration;

use harness::{Algorithm, Fault, Options, Response, SigningKey, wait_until};
use serde_json::{Value, json};

use super::stage::{Stage, api, asking, document};

/// The same request from that many connections at once.
fn at_once(stage: &Stage, count: usize, token: &str) -> Vec<Response> {
    let client = stage.envoy.client(&stage.bank);
    std::thread::scope(|scope| {
        let senders: Vec<_> = (0..count).map(|_| scope.spawn(|| client.send(&api(token)))).collect();
        senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
    })
}

/// With time for an answer that is late on a busy machine.
fn patient(mut document: Value) -> Value {
    document["issuers"][0]["introspection"]["timeout"] = json!("10s");
    document
}

fn statuses(answers: &[Response]) -> Vec<(u16, usize)> {
    let mut counts = std::collections::BTreeMap::new();
    for answer in answers {
        *counts.entry(answer.status).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

#[test]
fn a_start_fetches_keys_twice_200_requests_add_none_and_an_unknown_kid_adds_one() {
    let stage = Stage::set(&document()).warm();
    assert_eq!(statuses(&at_once(&stage, 200, &stage.token())), [(200, 200)]);
    assert_eq!(stage.server.count("/jwks"), 2, "the main thread and the worker");
    let unknown = SigningKey::new(Algorithm::Es256, "unknown").mint(json!({}), &stage.claims());
    assert_eq!(stage.as_bank(&api(&unknown)).status, 401);
    assert_eq!(stage.server.count("/jwks"), 3);
    assert_eq!(stage.reached(), 200);
}

#[test]
fn requests_that_come_before_the_keys_wait_for_one_fetch() {
    let stage = Stage::set(&document()).warm();
    stage.server.fail("/jwks", Fault::Slow(Duration::from_millis(1500)));
    // A new configuration starts with nothing.
    let mut patient = document();
    patient["issuers"][0]["jwks"]["timeout"] = json!("5s");
    stage.envoy.configure(&patient).expect("a good configuration");
    assert_eq!(statuses(&at_once(&stage, 50, &stage.token())), [(200, 50)]);
    assert_eq!(stage.server.count("/jwks"), 2 + 2);
    let log = stage.envoy.log();
    assert!(stage.reached() == 50, "{log}");
}

#[test]
fn two_hundred_requests_with_one_cold_opaque_token_make_one_introspection() {
    let stage = Stage::set(&patient(document())).warm();
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(300)));
    assert_eq!(statuses(&at_once(&stage, 200, "opaque")), [(200, 200)]);
    assert_eq!(stage.server.count("/introspect"), 1);
    let asked = stage.server.asked().into_iter().find(|asked| asked.path == "/introspect").expect("a question");
    assert_eq!(asked.text(), "token=opaque&token_type_hint=access_token");
    assert_eq!(stage.reached(), 200);
}

#[test]
fn two_hundred_requests_with_one_cold_jwt_make_one_introspection_where_it_is_asked_about() {
    let stage = Stage::set(&patient(asking())).warm();
    let token = stage.known_token(1);
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(300)));
    assert_eq!(statuses(&at_once(&stage, 200, &token)), [(200, 200)]);
    assert_eq!((stage.server.count("/introspect"), stage.server.count("/jwks")), (1, 2));
    let asked = stage.server.asked().into_iter().find(|asked| asked.path == "/introspect").expect("a question");
    assert_eq!(asked.text(), format!("token={token}&token_type_hint=access_token"));
    assert_eq!(stage.reached(), 200);
}

#[test]
fn a_revoked_jwt_passes_no_longer_than_the_cache_says_and_for_ever_where_nobody_asks() {
    let mut document = asking();
    document["routes"]
        .as_array_mut()
        .expect("a list")
        .insert(0, json!({"name": "signed", "path": "/api/signed", "revocation": "none", "allow": "authenticated"}));
    let stage = Stage::set(&document).warm();
    let token = stage.known_token(1);
    let signed = harness::Request::get("/api/signed").bearer(&token);
    assert_eq!((stage.as_bank(&api(&token)).status, stage.as_bank(&signed).status), (200, 200));
    stage.server.forget(&token);
    assert_eq!(stage.as_bank(&api(&token)).status, 200, "within its time");
    let started = std::time::Instant::now();
    assert!(wait_until(Duration::from_secs(8), || stage.as_bank(&api(&token)).status == 401));
    assert!(started.elapsed() < Duration::from_secs(5), "two seconds, and the one that the clock is read by");
    assert_eq!(stage.as_bank(&signed).status, 200, "its signature is as good as ever");
    assert_eq!(stage.as_bank(&api(&token)).status, 401, "and vouches for nothing where both are asked");
}

#[test]
fn each_waiter_is_judged_by_its_own_certificate() {
    let stage = Stage::set(&patient(asking())).warm();
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(300)));
    let (bank, thief) = (stage.envoy.client(&stage.bank), stage.envoy.client(&stage.thief));
    for (round, token) in ["opaque", &stage.known_token(1)].into_iter().enumerate() {
        let (ours, theirs) = std::thread::scope(|scope| {
            let theirs = scope.spawn(|| thief.send(&api(token)));
            let ours = scope.spawn(|| bank.send(&api(token)));
            (ours.join().expect("an answer"), theirs.join().expect("an answer"))
        });
        assert_eq!((ours.status, theirs.status), (200, 401), "{token}");
        assert_eq!((stage.server.count("/introspect"), stage.reached()), (round + 1, 1), "{token}");
    }
}

#[test]
fn a_client_that_goes_away_while_it_waits_takes_nobody_with_it() {
    let stage = Stage::set(&document()).warm();
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(300)));
    for _ in 0..20 {
        let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
        connection.begin(&api("opaque")).expect("a request");
        // Gone before the answer.
    }
    let answer = stage.as_bank(&api("opaque"));
    assert_eq!(answer.status, 200, "{}", stage.envoy.log());
    assert_eq!(stage.server.count("/introspect"), 1);
    assert!(!stage.envoy.log().contains("panicked"));
    stage.assert_alive();
}

#[test]
fn keys_that_are_rotated_while_requests_are_under_way_let_nothing_wrong_through() {
    let stage = Stage::set(&document()).warm();
    let old = stage.token();
    let new_key = SigningKey::new(Algorithm::Es256, "k2");
    let new = new_key.mint(json!({}), &stage.claims());
    let forged = SigningKey::new(Algorithm::Es256, "k2").mint(json!({}), &stage.claims());
    let client = stage.envoy.client(&stage.bank);
    std::thread::scope(|scope| {
        let steady = scope.spawn(|| (0..200).map(|_| client.send(&api(&old)).status).collect::<Vec<_>>());
        stage.server.publish(&[&stage.key, &new_key]);
        assert!((0..50).all(|_| client.send(&api(&new)).status == 200), "the new key is found at once");
        assert!((0..50).all(|_| client.send(&api(&forged)).status == 401));
        assert_eq!(steady.join().expect("answers"), [200; 200]);
    });
    assert_eq!(stage.server.count("/jwks"), 3, "one fetch found the new key");
    assert_eq!(stage.reached(), 250);
}

#[test]
fn a_revoked_opaque_token_passes_no_longer_than_the_cache_says() {
    let stage = Stage::set(&document()).warm();
    stage.server.know("opaque", stage.active());
    assert_eq!(stage.as_bank(&api("opaque")).status, 200);
    stage.server.forget("opaque");
    assert_eq!(stage.as_bank(&api("opaque")).status, 200, "within its time");
    let started = std::time::Instant::now();
    assert!(wait_until(Duration::from_secs(8), || stage.as_bank(&api("opaque")).status == 401));
    assert!(started.elapsed() < Duration::from_secs(5), "two seconds, and the one that the clock is read by");
}

#[test]
fn each_worker_learns_for_itself() {
    let stage = Stage::with(&document(), |options| Options { concurrency: 3, ..options });
    assert!(
        wait_until(Duration::from_secs(5), || stage.server.count("/jwks") >= 4),
        "three workers and the main thread"
    );
    stage.server.know("opaque", stage.active());
    assert_eq!(statuses(&at_once(&stage, 100, "opaque")), [(200, 100)]);
    assert_eq!(statuses(&at_once(&stage, 100, &stage.token())), [(200, 100)]);
    assert_eq!(stage.server.count("/jwks"), 4);
    let asked = stage.server.count("/introspect");
    assert!((1..=3).contains(&asked), "{asked} introspections");
}
