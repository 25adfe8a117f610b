//! Keycloak's keys: the algorithms it signs with, keys that it makes when they are first wanted, and keys that go.

use std::time::Duration;

use harness::{Clock, Realm, wait_until};
use serde_json::{Value, json};

use super::stage::{Stage, by_introspection, by_keys, cast, granted, market, part, refused};

const UNVERIFIED: &str = "Signature verification failed";

/// The document for tokens by this algorithm alone.
fn for_algorithm(mut document: Value, algorithm: &str) -> Value {
    document["issuers"][0]["algorithms"] = json!([algorithm]);
    document
}

/// A client whose tokens are signed with this algorithm. Each test that changes keys has one of its own.
fn sign_with(realm: &Realm, algorithm: &str) -> String {
    let client = format!("bank-{algorithm}");
    realm.add_client(&client, "bank", |client| {
        client["attributes"]["access.token.signed.response.alg"] = json!(algorithm);
    });
    client
}

fn kid(token: &str) -> Value {
    part(token, 0)["kid"].clone()
}

fn publishes(realm: &Realm, kid: &Value) -> bool {
    realm.keys().iter().any(|key| key["kid"] == *kid)
}

#[test]
fn every_algorithm_with_a_public_key_is_verified_and_hs256_is_refused() {
    let (realm, _turn) = market();
    let mut document = by_keys(&realm);
    document["issuers"][0]["algorithms"] = json!(["RS256", "PS256", "ES256", "EdDSA"]);
    let stage = Stage::set(&document).warm();
    for algorithm in ["RS256", "PS256", "ES256", "EdDSA"] {
        let token = realm.token(&sign_with(&realm, algorithm), &cast().bank);
        assert_eq!(part(&token, 0)["alg"], algorithm);
        assert_eq!(stage.as_bank(&token), granted(), "{algorithm}: {}", stage.envoy.log());
        let (signed, _) = token.rsplit_once('.').expect("a JWS");
        let other = realm.token(&format!("bank-{algorithm}"), &cast().bank);
        let (_, signature) = other.rsplit_once('.').expect("a JWS");
        let swapped = stage.as_bank(&format!("{signed}.{signature}"));
        assert_eq!(swapped, refused("token.signature", UNVERIFIED), "{algorithm}");
    }
    let token = realm.token(&sign_with(&realm, "HS256"), &cast().bank);
    assert_eq!(part(&token, 0)["alg"], "HS256");
    assert!(!publishes(&realm, &kid(&token)), "its key is a secret");
    assert_eq!(stage.as_bank(&token), refused("token.algorithm", UNVERIFIED));
    stage.turn_to(&by_introspection(&realm));
    assert_eq!(stage.as_bank(&token), granted(), "Keycloak itself knows it");
    let said = stage
        .envoy
        .configure(&for_algorithm(by_keys(&realm), "HS256"))
        .expect_err("no secret is shared with an issuer");
    let expected = "issuers[keycloak].algorithms[0]: HS256 lets whoever can check a token also write one";
    assert!(said.contains(expected), "{said}");
}

#[test]
fn a_key_for_encryption_in_the_set_is_no_key_for_tokens_and_harms_no_other() {
    let (realm, _turn) = market();
    let uses: Vec<Value> = realm.keys().iter().map(|key| key["use"].clone()).collect();
    assert!(uses.contains(&json!("enc")) && uses.contains(&json!("sig")), "{uses:?}");
    let stage = Stage::set(&by_keys(&realm)).warm();
    assert_eq!(stage.as_bank(&realm.token("bank", &cast().bank)), granted());
}

#[test]
fn a_key_that_is_made_at_its_first_use_is_found_by_one_fetch() {
    let (realm, _turn) = market();
    let client = sign_with(&realm, "ES384");
    assert!(realm.keys().iter().all(|key| key["alg"] != "ES384"), "there is none yet");
    let stage = Stage::set(&for_algorithm(by_keys(&realm), "ES384")).warm();
    let before = stage.fetches();
    let tokens = [(); 3].map(|()| realm.token(&client, &cast().bank));
    assert!(publishes(&realm, &kid(&tokens[0])));
    for token in &tokens {
        assert_eq!(stage.as_bank(token), granted());
    }
    assert_eq!(stage.fetches(), before + 1);
}

/// Removes the provider of this key.
fn withdraw(realm: &Realm, kid: &Value) {
    let keys = realm.admin("GET", "/keys", None);
    let key = keys["keys"].as_array().expect("keys").iter().find(|key| key["kid"] == *kid).expect("this key").clone();
    let provider = key["providerId"].as_str().expect("its provider");
    realm.admin("DELETE", &format!("/components/{provider}"), None);
}

#[test]
fn a_rotated_key_is_found_at_once_and_a_withdrawn_one_believed_until_the_next_fetch() {
    let (realm, _turn) = market();
    let clock = Clock::new();
    let client = sign_with(&realm, "RS384");
    let old = realm.token(&client, &cast().bank);
    let document = for_algorithm(by_keys(&realm), "RS384");
    let stage = Stage::with(cast(), &document, |options| options.clock(&clock)).warm();
    assert_eq!(stage.as_bank(&old), granted());

    realm.rotate("RS384");
    let new = realm.token(&client, &cast().bank);
    assert_ne!(kid(&new), kid(&old));
    let before = stage.fetches();
    assert_eq!([stage.as_bank(&new), stage.as_bank(&old)], [granted(), granted()], "both keys are published");
    assert_eq!(stage.fetches(), before + 1);

    withdraw(&realm, &kid(&old));
    assert!(!publishes(&realm, &kid(&old)) && publishes(&realm, &kid(&new)));
    assert_eq!(stage.as_bank(&old), granted(), "nobody has told us");
    // `refresh` is a minute, with some jitter.
    clock.set(90);
    assert!(wait_until(Duration::from_secs(10), || stage.as_bank(&old) != granted()), "{}", stage.envoy.log());
    assert_eq!(stage.as_bank(&old), refused("token.key", UNVERIFIED));
    assert_eq!(stage.as_bank(&new), granted());
}

#[test]
fn keycloak_calls_a_token_inactive_as_soon_as_its_key_is_withdrawn() {
    let (realm, _turn) = market();
    let stage = Stage::set(&by_introspection(&realm));
    let client = sign_with(&realm, "RS512");
    let old = realm.token(&client, &cast().bank);
    assert_eq!(stage.as_bank(&old), granted());
    realm.rotate("RS512");
    withdraw(&realm, &kid(&old));
    assert!(wait_until(Duration::from_secs(3), || stage.as_bank(&old) != granted()));
    assert_eq!(stage.as_bank(&old), refused("token.inactive", "Token is not active"));
    assert_eq!(stage.as_bank(&realm.token(&client, &cast().bank)), granted());
}
