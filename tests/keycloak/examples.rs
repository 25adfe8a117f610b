//! What we tell operators to write for Keycloak, run with Keycloak: `envoy/keycloak.yaml`, and the policies on our page.

use std::time::Duration;

use harness::{Algorithm, Envoy, Leaf, Proof, Request, SigningKey, Upstream, top, wait_until, yaml};
use serde_json::{Value, json};

use super::stage::{Stage, cast, granted, market, refused};

#[test]
fn the_configuration_for_keycloak_does_all_that_it_says() {
    let cast = cast();
    let (realm, _turn) = market();
    let insurer = cast.authority.issue(Leaf::client("insurer"));
    let upstream = Upstream::start();
    let (authority, trusted) = (cast.authority.clone(), &cast.authority.certificate);
    let keycloak = cast.keycloak.address();
    let secret = [("KEYCLOAK_SECRET", cast.keycloak.secret("my-api"))];
    let envoy = Envoy::start_example(authority, "keycloak.yaml", upstream.address(), keycloak, trusted, &secret);
    let prices = |token: &str| Request::get("/prices/DE0007100000").bearer(token);
    let order = |token: &str| Request::new("POST", "/orders").bearer(token).body("buy");
    let (bank, thief) = (envoy.client(&cast.bank), envoy.client(&cast.thief));

    let token = realm.token("bank", &cast.bank);
    assert_eq!(bank.send(&prices(&token)).status, 200, "{}", envoy.log());
    assert_eq!([thief.send(&prices(&token)).status, envoy.anonymous().send(&prices(&token)).status], [401, 401]);
    assert_eq!(bank.send(&order(&token)).status, 200);
    assert!(
        upstream.take().iter().all(|received| received.values("authorization").is_empty()),
        "the token is stripped"
    );
    let of_insurer = realm.token("insurer", &insurer);
    let insurer = envoy.client(&insurer);
    assert_eq!([insurer.send(&prices(&of_insurer)).status, insurer.send(&order(&of_insurer)).status], [200, 403]);
    let of_alice = realm.login(&cast.bank).access_token;
    assert_eq!([bank.send(&prices(&of_alice)).status, bank.send(&order(&of_alice)).status], [200, 403]);

    let key = SigningKey::new(Algorithm::Es256, "wallet");
    let of_wallet = realm.dpop_token("wallet", None, &key);
    let proof = Proof::new(&key, "GET", "https://api.market.example/prices/DE0007100000").with(&of_wallet).sign(&key);
    let request = |path: &str| {
        Request::get(path).field("authorization", format!("DPoP {of_wallet}")).field("dpop", proof.clone())
    };
    let sent = [request("/prices/DE0007100000"), request("/prices/DE0007100000"), request("/prices/XX")];
    assert_eq!(sent.map(|request| envoy.anonymous().send(&request).status), [200, 401, 401]);
    assert_eq!(envoy.anonymous().send(&Request::get("/healthz")).status, 200);

    realm.revoke("bank", &token, &cast.bank);
    let is_over = || bank.send(&order(&token)).status == 401;
    assert!(wait_until(Duration::from_secs(6), is_over), "Keycloak is asked about orders");
    assert_eq!(bank.send(&prices(&token)).status, 200, "and not about prices");

    let line: Value = serde_json::from_str(&envoy.access_lines(1).remove(0)).expect("a line of JSON");
    let told = ["status", "reason", "route", "issuer", "client_id", "organization", "binding"].map(|name| &line[name]);
    assert_eq!(json!(told), json!([200, "granted", "prices", "keycloak", "bank", "ORG-A", "certificate"]), "{line}");
}

/// A policy on our page, with the names that our realm has for things.
fn on_our_page(number: usize) -> Value {
    let page = std::fs::read_to_string(top().join("docs/configuration.md")).expect("the page");
    let (_, section) = page.split_once("\n## Keycloak\n").expect("a section");
    let (section, _) = section.split_once("\n## ").expect("another behind it");
    let block = section.split("```yaml\n").nth(number).and_then(|rest| rest.split("```").next()).expect("a policy");
    let issuer = cast().keycloak.realm().issuer();
    let text = block
        .replace("https://sso.bank.example/realms/bank", &issuer)
        .replace("/realms/bank/", "/realms/market/")
        .replace("ledger", "my-api")
        .replace("LEDGER", "MY_API")
        .replace("clerk", "reader")
        .replace("accountant", "trader");
    yaml(&text).expect("YAML")
}

#[test]
fn the_policy_on_our_page_that_verifies_tokens_by_keys_works() {
    let (realm, _turn) = market();
    let stage = Stage::set(&on_our_page(1));
    let insurer = cast().authority.issue(Leaf::client("insurer"));
    let (token, of_insurer) = (realm.token("bank", &cast().bank), realm.token("insurer", &insurer));
    let read = |token: &str| Request::get("/entries/1").bearer(token);
    let write = |token: &str| Request::new("POST", "/entries").bearer(token).body("x");
    assert_eq!(stage.send(Some(&cast().bank), &read(&token)), granted());
    assert_eq!(stage.send(Some(&cast().bank), &write(&token)), granted());
    assert_eq!(stage.send(Some(&insurer), &read(&of_insurer)), granted());
    assert_eq!(stage.send(Some(&insurer), &write(&of_insurer)).reason, "policy.no_rule");
    assert_eq!(stage.send(Some(&cast().thief), &read(&token)).reason, "binding.other_certificate");
}

#[test]
fn the_policy_on_our_page_that_asks_about_each_token_works() {
    let (realm, _turn) = market();
    let stage = Stage::set(&on_our_page(2));
    let tokens = ["bank", "bank-light"].map(|client| realm.token(client, &cast().bank));
    let persons = |token: &str| Request::get("/persons/1").bearer(token);
    for token in &tokens {
        assert_eq!(stage.send(Some(&cast().bank), &persons(token)), granted());
        assert_eq!(stage.send(Some(&cast().thief), &persons(token)).reason, "binding.other_certificate");
    }
    let of_alice = realm.login(&cast().bank).access_token;
    assert_eq!(stage.send(Some(&cast().bank), &persons(&of_alice)).reason, "policy.no_rule");
    realm.revoke("bank", &tokens[0], &cast().bank);
    let revoked = stage.send(Some(&cast().bank), &persons(&tokens[0]));
    assert_eq!(revoked, refused("token.inactive", "Token is not active"));
    assert_eq!(stage.send(Some(&cast().bank), &persons(&tokens[1])), granted());
}
