//! Whose token it is: Keycloak's certificate-bound tokens, its DPoP tokens, and those that are asked to be both.

use harness::{Algorithm, Certificate, Proof, Request, SigningKey};
use serde_json::json;

use super::stage::{
    Outcome, Stage, by_both, by_introspection, by_keys, cast, claims, every_way, granted, market, refused,
};

const MISMATCH: &str = "Certificate binding mismatch: certificate renewed, or not the one this token was issued to";

const DPOP_WOULD_DO: &str = r#"DPoP realm="holdfast", algs="ES256 EdDSA PS256""#;

/// A token for its holder and nobody else.
fn assert_is_of_the_bank_alone(stage: &Stage, token: &str, how: &str) {
    let table: [(Option<&Certificate>, Outcome); 3] = [
        (Some(&cast().bank), granted()),
        (Some(&cast().thief), refused("binding.other_certificate", MISMATCH)),
        (None, refused("binding.no_certificate", "Client certificate required")),
    ];
    for (by, expected) in table {
        assert_eq!(stage.bearer(by, token), expected, "{how}: {}", stage.envoy.log());
    }
}

#[test]
fn a_bound_token_passes_with_its_own_certificate_only() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    assert_eq!(claims(&token)["cnf"], json!({"x5t#S256": cast().bank.x5t_s256()}));
    let stage = Stage::set(&by_keys(&realm));
    for (how, document) in every_way(&realm) {
        stage.turn_to(&document);
        assert_is_of_the_bank_alone(&stage, &token, how);
    }
}

#[test]
fn the_token_of_a_user_is_bound_to_the_certificate_of_the_application() {
    let (realm, _turn) = market();
    let token = realm.login(&cast().bank).access_token;
    assert_eq!(claims(&token)["preferred_username"], "alice");
    let stage = Stage::set(&by_keys(&realm));
    for (how, document) in every_way(&realm) {
        stage.turn_to(&document);
        assert_is_of_the_bank_alone(&stage, &token, how);
    }
}

#[test]
fn a_lightweight_token_names_no_audience_and_is_asked_about() {
    let (realm, _turn) = market();
    let token = realm.token("bank-light", &cast().bank);
    assert_eq!((&claims(&token)["aud"], &claims(&token)["realm_access"]), (&json!(null), &json!(null)));
    let stage = Stage::set(&by_keys(&realm));
    for document in [by_keys(&realm), by_both(&realm)] {
        stage.turn_to(&document);
        assert_eq!(stage.as_bank(&token), refused("token.audience", "Invalid audience"));
        assert_eq!(stage.as_bank(&realm.token("bank", &cast().bank)), granted());
    }
    stage.turn_to(&by_introspection(&realm));
    assert_is_of_the_bank_alone(&stage, &token, "by introspection");
}

#[test]
fn a_lightweight_token_that_names_its_audience_is_vouched_for_by_its_key_and_by_the_answer() {
    let (realm, _turn) = market();
    realm.add_client("bank-lightest", "bank-light", |client| {
        client["protocolMappers"][0]["config"]["lightweight.claim"] = json!("true");
    });
    let token = realm.token("bank-lightest", &cast().bank);
    assert_eq!((&claims(&token)["aud"], &claims(&token)["x_role"]), (&json!("my-api"), &json!(null)));
    let mut document = by_both(&realm);
    document["issuers"][0]["roles"] = json!({"at": ["/x_role"]});
    document["routes"][0]["allow"] = json!([{"role": "operator"}]);
    assert_is_of_the_bank_alone(&Stage::set(&document), &token, "by both");
}

#[test]
fn a_client_whose_tokens_keycloak_does_not_bind_gets_nowhere_even_with_a_certificate() {
    let (realm, _turn) = market();
    let legacy = cast().authority.issue(harness::Leaf::client("legacy"));
    let token = realm.token("legacy", &legacy);
    assert_eq!(claims(&token)["cnf"], json!(null));
    let stage = Stage::set(&by_keys(&realm));
    for (how, document) in every_way(&realm) {
        stage.turn_to(&document);
        let outcome = stage.bearer(Some(&legacy), &token);
        let mut expected = refused("binding.unbound", "Sender-constrained token required");
        expected.challenges.push(DPOP_WOULD_DO.into());
        assert_eq!(outcome, expected, "{how}");
    }
}

const URI: &str = "https://api.market.example/prices";

fn dpop(key: &SigningKey, token: &str) -> Request {
    let proof = Proof::new(key, "GET", URI).with(token).sign(key);
    Request::get("/prices").field("authorization", format!("DPoP {token}")).field("dpop", proof)
}

fn refused_by_key(reason: &str) -> Outcome {
    let description = "Invalid DPoP key binding";
    let challenge = format!(
        r#"DPoP realm="holdfast", error="invalid_token", error_description="{description}", algs="ES256 EdDSA PS256""#
    );
    Outcome { status: 401, challenges: vec![challenge], reason: reason.into() }
}

#[test]
fn a_dpop_token_passes_with_a_proof_by_its_key_whatever_stands_beside_jkt() {
    let (realm, _turn) = market();
    let [own, other] = ["wallet", "thief"].map(|name| SigningKey::new(Algorithm::Es256, name));
    let token = realm.dpop_token("wallet", None, &own);
    assert_eq!(claims(&token)["cnf"], json!({"jkt": own.thumbprint(), "kc-jkt-type": "DPoP"}));
    assert_eq!(claims(&token)["typ"], "DPoP");
    let stage = Stage::set(&by_keys(&realm));
    for (how, document) in every_way(&realm) {
        stage.turn_to(&document);
        assert_eq!(stage.send(None, &dpop(&own, &token)), granted(), "{how}: {}", stage.envoy.log());
        assert_eq!(stage.send(None, &dpop(&other, &token)), refused_by_key("binding.other_key"), "{how}");
        let mut as_bearer = refused("binding.bearer_downgrade", "DPoP-bound token requires DPoP scheme");
        as_bearer.challenges.push(DPOP_WOULD_DO.into());
        assert_eq!(stage.bearer(None, &token), as_bearer, "{how}");
    }
}

/// The client has both switched on: Keycloak binds to the certificate alone, and calls the token DPoP all the same.
#[test]
fn a_token_that_calls_itself_dpop_and_is_bound_to_a_certificate_is_held_to_the_certificate() {
    let (realm, _turn) = market();
    let key = SigningKey::new(Algorithm::Es256, "bank");
    let token = realm.dpop_token("bank-dpop", Some(&cast().bank), &key);
    assert_eq!(claims(&token)["cnf"], json!({"x5t#S256": cast().bank.x5t_s256()}));
    assert_eq!(claims(&token)["typ"], "DPoP");
    let stage = Stage::set(&by_keys(&realm));
    for (how, document) in every_way(&realm) {
        stage.turn_to(&document);
        assert_is_of_the_bank_alone(&stage, &token, how);
        let with_proof = stage.send(Some(&cast().bank), &dpop(&key, &token));
        assert_eq!(with_proof, refused_by_key("binding.no_key"), "{how}: there is no key to compare with");
    }
}
