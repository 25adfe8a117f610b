//! What Keycloak answers to those who ask about a token: to whom it says nothing, and by which name it has to be called.

use harness::{Hostname, Realm};
use serde_json::{Value, json};

use super::stage::{Cast, Outcome, Stage, by_both, by_introspection, by_keys, cast, granted, market, refused};

/// The document in which one member of `introspection` is another.
fn with(realm: &Realm, member: &str, value: Value) -> Value {
    let mut document = by_introspection(realm);
    document["issuers"][0]["introspection"][member] = value;
    document
}

fn inactive() -> Outcome {
    refused("token.inactive", "Token is not active")
}

fn unavailable(reason: &str) -> Outcome {
    Outcome { status: 503, challenges: Vec::new(), reason: reason.into() }
}

#[test]
fn a_client_that_asks_and_does_not_stand_in_aud_is_told_of_no_token() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    let mut document = with(&realm, "client_id", json!("other-api"));
    document["issuers"][0]["introspection"]["client_secret"] = json!({"env": "OTHER_API_SECRET"});
    let stage = Stage::set(&document);
    assert_eq!(stage.as_bank(&token), inactive());
    stage.turn_to(&by_introspection(&realm));
    assert_eq!(stage.as_bank(&token), granted());
    // Its keys vouch for the token, and that is not enough where Keycloak is asked too.
    let mut document = by_both(&realm);
    document["issuers"][0]["introspection"]["client_id"] = json!("other-api");
    document["issuers"][0]["introspection"]["client_secret"] = json!({"env": "OTHER_API_SECRET"});
    stage.turn_to(&document);
    assert_eq!(stage.as_bank(&token), inactive());
    stage.turn_to(&by_both(&realm));
    assert_eq!(stage.as_bank(&token), granted());
}

#[test]
fn our_own_mistakes_never_make_a_token_inactive() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    let stage = Stage::set(&with(&realm, "client_secret", json!({"env": "OTHER_API_SECRET"})));
    assert_eq!(stage.as_bank(&token), unavailable("server.our_credentials"));
    let elsewhere = realm.path("/token/introspect").replace("/market/", "/nowhere/");
    stage.turn_to(&with(&realm, "path", json!(elsewhere)));
    assert_eq!(stage.as_bank(&token), unavailable("server.unusable_answer"));
    stage.turn_to(&by_introspection(&realm));
    assert_eq!(stage.as_bank(&token), granted());
}

#[test]
fn a_server_with_a_hostname_may_be_called_by_any_other() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    let stage = Stage::set(&with(&realm, "authority", json!("keycloak.iam.svc:8443")));
    assert_eq!(stage.as_bank(&token), granted());
}

/// Without `--hostname` the issuer is whatever Keycloak is called by, for each request anew.
#[test]
fn a_server_without_a_hostname_knows_its_tokens_only_by_the_name_that_they_were_asked_for_by() {
    let cast = Cast::with(Hostname::OfTheRequest);
    let realm = cast.keycloak.realm();
    let token = realm.token("bank", &cast.bank);
    let stage = Stage::with(&cast, &by_introspection(&realm), |options| options);
    let send = |token: &str| stage.bearer(Some(&cast.bank), token);
    assert_eq!(send(&token), granted(), "we call it by its issuer's name");
    stage.turn_to(&with(&realm, "authority", json!("keycloak.iam.svc:8443")));
    assert_eq!(send(&token), inactive(), "by another name it does not know its own token");

    let called_otherwise = cast.keycloak.realm().called("127.0.0.1:8443").token("bank", &cast.bank);
    stage.turn_to(&by_keys(&realm));
    let foreign = refused("token.issuer", "Issuer not trusted");
    assert_eq!([send(&token), send(&called_otherwise)], [granted(), foreign]);
}

#[test]
fn what_was_never_a_token_is_inactive_and_the_next_good_one_passes() {
    let (realm, _turn) = market();
    let stage = Stage::set(&by_introspection(&realm));
    let login = realm.login(&cast().bank);
    for bad in ["opaque", "a.b.c", &login.refresh_token] {
        assert_eq!(stage.as_bank(bad), inactive(), "{bad}");
    }
    assert_eq!(stage.as_bank(&login.access_token), granted());
}
