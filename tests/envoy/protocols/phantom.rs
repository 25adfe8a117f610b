//! Phantom tokens of Curity, and Keycloak's way to say the same.

use std::sync::Arc;

use harness::{Algorithm, Curity, Fault, Proof, Request, SigningKey, now};
use serde_json::{Value, json};

use super::{ORIGIN, bad_answers, credentials, dpop, each_is_unusable, gateway_secret, says, set, speaking};
use crate::stage::{Stage, api};

fn stage() -> (Stage, Arc<Curity>) {
    let stage = set(&speaking("phantom", Curity::INTROSPECTION)).warm();
    let curity = Curity::speak(&stage.server, &stage.key, ("api", &gateway_secret()));
    (stage, curity)
}

/// The claims of a good token, changed; null takes one out.
fn claims(stage: &Stage, others: Value) -> Value {
    let mut claims = stage.claims();
    for (name, value) in others.as_object().expect("claims") {
        claims[name] = value.clone();
    }
    claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
    claims
}

/// The payload of what reached the service as a bearer token.
fn inside(stage: &Stage) -> Value {
    let reached = credentials(stage);
    let [(authorization, proofs)] = reached.as_slice() else { panic!("one request: {reached:?}") };
    let [authorization] = authorization.as_slice() else { panic!("one token: {authorization:?}") };
    assert_eq!(proofs, &Vec::<String>::new(), "the proof names another token");
    let jwt = authorization.strip_prefix("Bearer ").expect("a bearer token");
    let payload = jwt.split('.').nth(1).expect("a JWT");
    serde_json::from_slice(&base64(payload)).expect("claims")
}

fn base64(text: &str) -> Vec<u8> {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

#[test]
fn the_service_gets_the_jwt_that_an_opaque_token_stands_for() {
    let (stage, curity) = stage();
    let good = claims(&stage, json!({"jti": "phantom"}));
    let token = curity.issue(&good);
    for _ in 0..3 {
        assert_eq!(stage.as_bank(&api(&token)).status, 200, "{}", stage.envoy.log());
        assert_eq!(inside(&stage), good);
    }
    assert_eq!(stage.server.count(Curity::INTROSPECTION), 1, "it is remembered");
    assert_eq!(stage.as_thief(&api(&token)).status, 401);
    assert_eq!(stage.as_bank(&Request::get("/admin/x").bearer(&token)).status, 403);
    assert_eq!(stage.as_bank(&api(&format!("{token}x"))).status, 401, "204: not active");
    assert_eq!(stage.reached(), 0);
    assert_eq!(stage.as_bank(&Request::get("/strip/x").bearer(&token)).status, 200);
    assert_eq!(credentials(&stage), [(vec![], vec![])], "stripped is neither");
    let asked = stage.server.asked().into_iter().find(|asked| asked.path == Curity::INTROSPECTION).expect("a question");
    assert_eq!((asked.method.as_str(), asked.values("accept")), ("POST", vec!["application/jwt".to_owned()]));
    assert_eq!(asked.text(), format!("token={token}&token_type_hint=access_token"));
    curity.revoke(&token);
    std::thread::sleep(std::time::Duration::from_millis(2_100));
    assert_eq!(stage.as_bank(&api(&token)).status, 401, "revoked, once what was remembered is over");
}

#[test]
fn max_age_ends_it_before_our_own_time() {
    let mut document = speaking("phantom", Curity::INTROSPECTION);
    document["issuers"][0]["introspection"]["cache"] = json!("5m");
    let stage = set(&document).warm();
    let curity = Curity::speak(&stage.server, &stage.key, ("api", &gateway_secret()));
    // Curity says how long it lives; the leeway of this filter is no reason to keep it longer.
    let token = curity.issue(&claims(&stage, json!({"exp": now() + 3})));
    assert_eq!(stage.as_bank(&api(&token)).status, 200);
    std::thread::sleep(std::time::Duration::from_millis(3_100));
    assert_eq!(stage.as_bank(&api(&token)).status, 401);
    assert_eq!(stage.server.count(Curity::INTROSPECTION), 2);
}

#[test]
fn bindings_are_those_of_the_jwt_and_proofs_are_made_with_the_opaque_token() {
    let (stage, curity) = stage();
    let key = SigningKey::new(Algorithm::Es256, "wallet");
    let bound = claims(&stage, json!({"cnf": {"jkt": key.thumbprint()}}));
    let token = curity.issue(&bound);
    let proof = |token: &str| Proof::new(&key, "GET", &format!("{ORIGIN}/either/x")).with(token).sign(&key);
    assert_eq!(stage.as_bank(&dpop("/either/x", &token, &proof(&token))).status, 200, "{}", stage.envoy.log());
    assert_eq!(inside(&stage), bound);
    let table = [
        ("as Bearer", Request::get("/either/x").bearer(&token), "binding.bearer_downgrade"),
        ("a proof with the JWT", dpop("/either/x", &token, &proof(&stage.key.mint(json!({}), &bound))), "proof.ath"),
        (
            "a thief's key",
            {
                let other = SigningKey::new(Algorithm::Es256, "thief");
                let proof = Proof::new(&other, "GET", &format!("{ORIGIN}/either/x")).with(&token).sign(&other);
                dpop("/either/x", &token, &proof)
            },
            "binding.other_key",
        ),
        ("unbound", api(&curity.issue(&claims(&stage, json!({"cnf": null})))), "binding.unbound"),
    ];
    let lines = stage.envoy.settled_access_log().len();
    for (at, (name, request, reason)) in table.into_iter().enumerate() {
        assert_eq!(stage.as_bank(&request).status, 401, "{name}");
        assert_eq!((stage.reason(lines + at + 1).as_str(), stage.reached()), (reason, 0), "{name}");
    }
}

#[test]
fn no_bad_answer_is_taken_for_a_phantom_token() {
    let (stage, curity) = stage();
    let good = stage.token();
    let forged = SigningKey::new(Algorithm::Es256, "k1").mint(json!({}), &stage.claims());
    let unusable = "server.unusable_answer";
    let jwt = "application/jwt";
    let mut faults = bad_answers(jwt, &good);
    faults.extend([
        ("of no type", says(200, "", &good), unusable),
        ("of another type", says(200, "application/json", &good), unusable),
        ("an introspection answer", says(200, "application/json", stage.active().to_string()), unusable),
        ("a forged JWT", says(200, jwt, forged), unusable),
        ("algorithm none", says(200, jwt, stage.key.mint(json!({"alg": "none"}), &stage.claims())), unusable),
        ("an ID token's type", says(200, jwt, stage.key.mint(json!({"typ": "JWT"}), &stage.claims())), unusable),
        ("active as text", says(200, "application/json", json!({"active": "true", "jwt": good}).to_string()), unusable),
        (
            "active twice",
            says(200, "application/json", format!(r#"{{"active":false,"active":true,"jwt":"{good}"}}"#)),
            unusable,
        ),
    ]);
    each_is_unusable(&stage, faults, || curity.issue(&claims(&stage, json!({}))), |_| Curity::INTROSPECTION.to_owned());
}

#[test]
fn keycloak_writes_a_jwt_beside_false_too() {
    let (stage, _curity) = stage();
    let inside = stage.token();
    let says = |active: bool| {
        let body = json!({"active": active, "jwt": inside}).to_string().into_bytes();
        Fault::Answer { status: 200, content_type: "application/json", body }
    };
    stage.server.fail(Curity::INTROSPECTION, says(false));
    assert_eq!((stage.as_bank(&api("refused")).status, stage.reached()), (401, 0));
    stage.server.fail(Curity::INTROSPECTION, says(true));
    assert_eq!(stage.as_bank(&api("taken")).status, 200);
    assert_eq!(credentials(&stage), [(vec![format!("Bearer {inside}")], vec![])]);
}
