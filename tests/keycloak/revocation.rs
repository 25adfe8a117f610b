//! What ends a token before its time, and how soon the filter learns of it.

use std::time::{Duration, Instant};

use harness::{now, wait_until};
use serde_json::json;

use super::stage::{Outcome, Stage, by_both, by_introspection, by_keys, cast, granted, market, market_alone, refused};

/// `cache` of these tests, the second that the clock is read by, and some for a busy machine.
const AT_MOST: Duration = Duration::from_secs(4);

fn inactive() -> Outcome {
    refused("token.inactive", "Token is not active")
}

fn assert_ends(stage: &Stage, token: &str) {
    let begun = Instant::now();
    wait_until(AT_MOST, || stage.as_bank(token) != granted());
    assert_eq!(stage.as_bank(token), inactive(), "after {:?}: {}", begun.elapsed(), stage.envoy.log());
}

#[test]
fn a_logout_ends_the_tokens_of_its_session_and_no_other() {
    let (realm, _turn) = market();
    let stage = Stage::set(&by_both(&realm));
    let [one, other] = [(); 2].map(|()| realm.login(&cast().bank));
    assert_eq!([stage.as_bank(&one.access_token), stage.as_bank(&other.access_token)], [granted(), granted()]);
    realm.logout(&one, &cast().bank);
    assert_ends(&stage, &one.access_token);
    assert_eq!(stage.as_bank(&other.access_token), granted());
}

#[test]
fn a_revoked_token_ends_and_its_client_gets_another() {
    let (realm, _turn) = market();
    let stage = Stage::set(&by_introspection(&realm));
    let [one, other] = [(); 2].map(|()| realm.token("bank", &cast().bank));
    assert_eq!([stage.as_bank(&one), stage.as_bank(&other)], [granted(), granted()]);
    realm.revoke("bank", &one, &cast().bank);
    assert_ends(&stage, &one);
    assert_eq!(stage.as_bank(&other), granted());
}

#[test]
fn whoever_may_not_wait_for_it_remembers_no_answer() {
    let (realm, _turn) = market();
    let mut document = by_both(&realm);
    document["issuers"][0]["introspection"]["cache"] = json!("0s");
    let stage = Stage::set(&document);
    let token = realm.token("bank", &cast().bank);
    assert_eq!([stage.as_bank(&token), stage.as_bank(&token)], [granted(), granted()]);
    realm.revoke("bank", &token, &cast().bank);
    assert_eq!(stage.as_bank(&token), inactive());
}

#[test]
fn not_before_of_a_realm_ends_all_tokens_that_were_issued_before() {
    let (realm, _turn) = market_alone();
    let stage = Stage::set(&by_both(&realm));
    let (client, user) = (realm.token("bank", &cast().bank), realm.login(&cast().bank).access_token);
    assert_eq!([stage.as_bank(&client), stage.as_bank(&user)], [granted(), granted()]);
    std::thread::sleep(Duration::from_millis(1100));
    realm.admin("PUT", "", Some(&json!({"realm": "market", "notBefore": now()})));
    assert_ends(&stage, &client);
    assert_ends(&stage, &user);
    assert_eq!(stage.as_bank(&realm.token("bank", &cast().bank)), granted(), "{}", stage.envoy.log());
}

#[test]
fn a_client_that_is_switched_off_has_no_good_tokens() {
    let (realm, _turn) = market();
    let stage = Stage::set(&by_introspection(&realm));
    realm.add_client("bank-closed", "bank", |_| {});
    let token = realm.token("bank-closed", &cast().bank);
    let other = realm.token("bank", &cast().bank);
    assert_eq!([stage.as_bank(&token), stage.as_bank(&other)], [granted(), granted()]);
    let mut client = realm.admin("GET", "/clients?clientId=bank-closed", None)[0].clone();
    client["enabled"] = json!(false);
    realm.admin("PUT", &format!("/clients/{}", client["id"].as_str().expect("an id")), Some(&client));
    assert_ends(&stage, &token);
    assert_eq!(stage.as_bank(&other), granted());
}

/// What the page says of JWTs: nobody is asked about them.
#[test]
fn a_jwt_that_is_verified_by_its_key_outlives_the_session() {
    let (realm, _turn) = market();
    let stage = Stage::set(&by_keys(&realm));
    let login = realm.login(&cast().bank);
    realm.logout(&login, &cast().bank);
    assert_eq!(stage.as_bank(&login.access_token), granted());
    stage.turn_to(&by_introspection(&realm));
    assert_eq!(stage.as_bank(&login.access_token), inactive());
}

#[test]
fn a_token_of_one_second_ends_when_leeway_is_over() {
    let (realm, _turn) = market();
    let mut document = by_keys(&realm);
    document["issuers"][0]["leeway"] = json!("1s");
    let stage = Stage::set(&document).warm();
    let token = realm.token("bank-short", &cast().bank);
    wait_until(Duration::from_secs(8), || stage.as_bank(&token) != granted());
    assert_eq!(stage.as_bank(&token), refused("token.expired", "The access token expired"));
    assert_eq!(stage.as_bank(&realm.token("bank", &cast().bank)), granted());
}
