//! Authlete's API: any certificate at TLS, judged there.

use std::sync::Arc;

use harness::{Algorithm, Authlete, Fault, Leaf, Proof, Record, Request, SigningKey, Tls, now};
use serde_json::{Value, json};

use super::{ORIGIN, bad_answers, dpop, each_is_unusable, gateway_secret, says, set, speaking};
use crate::stage::{Stage, api};

/// API v2, and no keys: every token goes there.
fn document(cache: &str) -> Value {
    let mut document = speaking("authlete", Authlete::V2);
    document["issuers"][0].as_object_mut().expect("an issuer").remove("jwks");
    document["issuers"][0]["introspection"]["cache"] = json!(cache);
    let routes = document["routes"].as_array_mut().expect("routes");
    routes.push(json!({"name": "pay", "path": "/pay", "scopes": ["pay"], "allow": "authenticated"}));
    document
}

fn stage(cache: &str) -> (Stage, Arc<Authlete>) {
    let stage = set(&document(cache));
    let [v2, _] = Authlete::speak(&stage.server, ("api", &gateway_secret()), "v3");
    (stage, v2)
}

/// API v3: the service stands in the path, and its access token in place of key and secret.
fn v3(token: &str) -> Value {
    let mut document = document("2s");
    let introspection = &mut document["issuers"][0]["introspection"];
    introspection["path"] = json!(Authlete::V3);
    introspection["auth_method"] = json!("bearer");
    introspection["token"] = json!({"env": token});
    introspection.as_object_mut().expect("a map").retain(|name, _| !name.starts_with("client_"));
    document
}

#[test]
fn version_3_is_asked_with_the_access_token_of_the_service() {
    let own = gateway_secret();
    let stage = Stage::with(&v3("SERVICE_TOKEN"), |options| {
        options.variable("SERVICE_TOKEN", &own).variable("OTHER_TOKEN", &own[1..])
    });
    let [v2, api_server] = Authlete::speak(&stage.server, ("api", "nobody's"), &own);
    api_server.know("bound", of_bank(&stage));
    v2.know("of-v2", of_bank(&stage));
    for _ in 0..2 {
        assert_eq!((stage.as_bank(&api("bound")).status, stage.reached()), (200, 1), "{}", stage.envoy.log());
    }
    let asked: Vec<_> = stage.server.asked().into_iter().filter(|asked| asked.path == Authlete::V3).collect();
    let [question] = asked.as_slice() else { panic!("one question: {}", asked.len()) };
    assert_eq!(question.values("authorization"), [format!("Bearer {own}")]);
    let body: Value = serde_json::from_slice(&question.body).expect("JSON");
    let lines = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(body["token"], "bound");
    assert_eq!(lines(body["clientCertificate"].as_str().expect("a PEM")), lines(&stage.bank.cert_pem));

    let key = SigningKey::new(Algorithm::Es256, "wallet");
    api_server.know("proven", Record { key: Some(key.thumbprint()), ..Record::default() });
    let proof = Proof::new(&key, "GET", &format!("{ORIGIN}/either/x")).with("proven").sign(&key);
    let table = [
        ("a thief's certificate", stage.as_thief(&api("bound")), 401, "token.refused"),
        ("a token that the service does not know", stage.as_bank(&api("of-v2")), 401, "token.inactive"),
        ("too small a scope", stage.as_bank(&Request::get("/pay").bearer("bound")), 403, "token.scope"),
        ("a proof", stage.anonymously(&dpop("/either/x", "proven", &proof)), 200, "granted"),
        ("the proof again", stage.anonymously(&dpop("/either/x", "proven", &proof)), 401, "proof.replayed"),
    ];
    let lines = stage.envoy.access_lines(2 + table.len());
    for ((name, answer, status, reason), line) in table.into_iter().zip(lines.iter().skip(2)) {
        assert_eq!((answer.status, line.split(' ').nth(3)), (status, Some(reason)), "{name}");
    }
    assert_eq!(stage.server.count(Authlete::V2), 0);
    assert_eq!(stage.reached(), 1);

    stage.envoy.configure(&v3("OTHER_TOKEN")).expect("a good configuration");
    let before = stage.envoy.settled_access_log().len();
    assert_eq!((stage.as_bank(&api("bound")).status, stage.reached()), (503, 0));
    assert_eq!(stage.reason(before + 1), "server.our_credentials", "another access token is ours to mend");
}

fn of_bank(stage: &Stage) -> Record {
    Record { certificate: Some(stage.bank.x5t_s256()), ..Record::default() }
}

fn sent(stage: &Stage) -> Vec<Value> {
    let asked = stage.server.asked();
    asked.iter().map(|asked| serde_json::from_slice(&asked.body).expect("JSON")).collect()
}

#[test]
fn the_certificate_is_shown_and_judged() {
    let (stage, api_server) = stage("2s");
    api_server.know("bound", of_bank(&stage));
    api_server.know("paying", Record { scopes: vec!["read".into(), "pay".into()], ..of_bank(&stage) });
    for _ in 0..2 {
        assert_eq!((stage.as_bank(&api("bound")).status, stage.reached()), (200, 1), "{}", stage.envoy.log());
    }
    assert_eq!(stage.server.count(Authlete::V2), 1, "it is remembered");
    let body = sent(&stage).remove(0);
    assert_eq!(body["token"], "bound");
    let lines = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(lines(body["clientCertificate"].as_str().expect("a PEM")), lines(&stage.bank.cert_pem));
    let pay = |token: &str| Request::get("/pay").bearer(token);
    let answers = [
        ("a thief's certificate", stage.as_thief(&api("bound")), 401, "token.refused"),
        ("no certificate", stage.anonymously(&api("bound")), 401, "binding.no_certificate"),
        ("an unknown token", stage.as_bank(&api("unknown")), 401, "token.inactive"),
        ("too small a scope", stage.as_bank(&pay("bound")), 403, "token.scope"),
        ("the scope", stage.as_bank(&pay("paying")), 200, "granted"),
    ];
    let lines = stage.envoy.access_lines(2 + answers.len());
    for ((name, answer, status, reason), line) in answers.into_iter().zip(lines.iter().skip(2)) {
        assert_eq!((answer.status, line.split(' ').nth(3)), (status, Some(reason)), "{name}");
        let challenges = answer.values("www-authenticate").join("\n");
        assert!(!challenges.contains("A056") && !challenges.contains("A254303"), "{name}: {challenges}");
    }
    let scope = stage.as_bank(&Request::get("/pay").bearer("bound")).value("www-authenticate");
    let expected =
        r#"Bearer realm="holdfast", error="insufficient_scope", error_description="Insufficient scope", scope="pay""#;
    assert_eq!(scope.as_deref(), Some(expected));
}

#[test]
fn a_certificate_of_nobodys_authority_is_for_the_api_to_judge() {
    let mut document = document("2s");
    document["peer_certificate"] = json!({"chain": "unverified"});
    let stage =
        Stage::with(&document, |options| options.variable("GATEWAY_SECRET", &gateway_secret()).tls(Tls::Untrusted));
    let [v2, _] = Authlete::speak(&stage.server, ("api", &gateway_secret()), "v3");
    let own = Leaf::client("anybody").self_signed();
    v2.know("bound", Record { certificate: Some(own.x5t_s256()), ..Record::default() });
    assert_eq!(stage.envoy.client(&own).send(&api("bound")).status, 200, "{}", stage.envoy.log());
    assert_eq!(stage.envoy.client(&Leaf::client("anybody").self_signed()).send(&api("bound")).status, 401);
    assert_eq!(stage.reached(), 1);
}

#[test]
fn a_proof_is_shown_and_judged_and_its_nonce_goes_to_the_client() {
    let (stage, api_server) = stage("2s");
    let key = SigningKey::new(Algorithm::Es256, "wallet");
    let bound = || Record { key: Some(key.thumbprint()), ..Record::default() };
    api_server.know("proven", bound());
    api_server.know("nonces", Record { nonce: Some("n-1".into()), ..bound() });
    api_server.know("bearer", Record::default());
    let proof = |token: &str| Proof::new(&key, "GET", &format!("{ORIGIN}/either/x")).with(token);
    let asks = |token: &str, proof: &Proof| stage.anonymously(&dpop("/either/x?q=2", token, &proof.sign(&key)));
    let once = proof("proven").sign(&key);
    assert_eq!(stage.anonymously(&dpop("/either/x?q=1", "proven", &once)).status, 200, "{}", stage.envoy.log());
    let last = sent(&stage).pop().expect("a question");
    assert_eq!(last, json!({"token": "proven", "dpop": once, "htm": "GET", "htu": format!("{ORIGIN}/either/x")}));
    assert_eq!(stage.reached(), 1);
    let before = stage.server.count(Authlete::V2);
    assert_eq!(asks("proven", &proof("proven")).status, 200);
    assert_eq!(stage.server.count(Authlete::V2), before + 1, "each proof is judged");
    let wanted = asks("nonces", &proof("nonces"));
    assert_eq!((wanted.status, wanted.value("dpop-nonce").as_deref()), (401, Some("n-1")));
    let challenge = wanted.value("www-authenticate").expect("one challenge");
    assert!(challenge.starts_with(r#"DPoP realm="holdfast", error="use_dpop_nonce""#), "{challenge}");
    let with_nonce = asks("nonces", &proof("nonces").claim("nonce", json!("n-1")));
    assert_eq!((with_nonce.status, with_nonce.value("dpop-nonce").as_deref()), (200, Some("n-1")));
    stage.upstream.take();
    let other = SigningKey::new(Algorithm::Es256, "thief");
    let stolen = Proof::new(&other, "GET", &format!("{ORIGIN}/either/x")).with("proven").sign(&other);
    let lines = stage.envoy.settled_access_log().len();
    let table = [
        ("a thief's key", dpop("/either/x", "proven", &stolen), "proof.refused"),
        ("a replay", dpop("/either/x", "proven", &once), "proof.replayed"),
        ("as Bearer", Request::get("/either/x").bearer("proven"), "binding.bearer_downgrade"),
        (
            "a token that is bound to nothing",
            dpop("/either/x", "bearer", &proof("bearer").sign(&key)),
            "binding.unbound",
        ),
    ];
    for (at, (name, request, reason)) in table.into_iter().enumerate() {
        assert_eq!(stage.anonymously(&request).status, 401, "{name}");
        assert_eq!((stage.reason(lines + at + 1).as_str(), stage.reached()), (reason, 0), "{name}");
    }
}

#[test]
fn no_bad_answer_of_the_api_is_taken() {
    let (stage, api_server) = stage("2s");
    let good = json!({"action": "OK", "clientId": 7, "expiresAt": (now() + 300) * 1000, "scopes": ["read"],
                      "certificateThumbprint": stage.bank.x5t_s256(), "accessTokenResources": ["https://api.bank.example"]});
    let json_of = |body: String| says(200, "application/json", body);
    let text = good.to_string();
    let unusable = "server.unusable_answer";
    let mut faults = bad_answers("application/json", &text);
    faults.extend([
        ("an action twice", json_of(text.replacen('{', r#"{"action":"UNAUTHORIZED","#, 1)), unusable),
        ("no action", json_of(text.replace("\"action\"", "\"reaction\"")), unusable),
        ("an unknown action", json_of(text.replace("\"OK\"", "\"MAYBE\"")), unusable),
        ("an action that is no text", json_of(text.replace("\"OK\"", "true")), unusable),
        ("an introspection answer", json_of(stage.active().to_string()), unusable),
        ("a list", json_of(format!("[{text}]")), unusable),
        (
            "INTERNAL_SERVER_ERROR",
            json_of(json!({"action": "INTERNAL_SERVER_ERROR"}).to_string()),
            "server.introspection",
        ),
    ]);
    let number = std::cell::Cell::new(0);
    let issue = || {
        number.set(number.get() + 1);
        let token = format!("token-{}", number.get());
        api_server.know(&token, of_bank(&stage));
        token
    };
    each_is_unusable(&stage, faults, issue, |_| Authlete::V2.to_owned());
}

#[test]
fn no_refusal_splits_an_answer() {
    let (stage, _api) = stage("0s");
    for (action, status) in [("BAD_REQUEST", 400), ("UNAUTHORIZED", 401), ("FORBIDDEN", 403)] {
        let body = json!({"action": action, "responseContent": "Bearer error=\"x\"\r\nx-evil: 1", "dpopNonce": "n\r\nx-evil: 1"});
        let body = body.to_string().into_bytes();
        stage.server.fail(Authlete::V2, Fault::Answer { status: 200, content_type: "application/json", body });
        let answer = stage.as_bank(&api(action));
        assert_eq!(
            (answer.status, answer.values("x-evil"), answer.values("dpop-nonce")),
            (status, vec![], vec![]),
            "{action}"
        );
    }
}
