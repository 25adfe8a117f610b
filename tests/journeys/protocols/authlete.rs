//! Authlete judges certificate and proof; what it says is remembered for no other caller.

use harness::Certificate;
use holdfast::callout::{Answer, CalloutId};
use holdfast::effect::Return;
use holdfast::flow::Step;
use serde_json::{Value, json};

use super::{answering, speaking};
use crate::proof::Holder;
use crate::world::{Ask, NOW, PASSES, World, answered, certificate, get, ok};

/// What the API answers of a good token, with other members or, where null, without.
fn good(others: Value) -> Value {
    let mut said = json!({
        "resultCode": "A056001", "action": "OK", "responseContent": "Bearer error=\"invalid_request\"", "clientId": 26_478_243_745_571_i64,
        "subject": "ann", "scopes": ["read", "pay"], "existent": true, "usable": true, "sufficient": true,
        "expiresAt": (NOW + 300) * 1000, "accessTokenResources": ["https://api.bank.example"], "acr": null, "authTime": 0
    });
    for (name, value) in others.as_object().unwrap() {
        match value {
            Value::Null => drop(said.as_object_mut().unwrap().remove(name)),
            value => said[name] = value.clone(),
        }
    }
    said
}

fn of(ours: &Certificate, others: Value) -> Value {
    let mut said = good(others);
    said["certificateThumbprint"] = json!(ours.x5t_s256());
    said
}

fn refused(action: &str, content: &str, others: Value) -> Value {
    let mut said = json!({"action": action, "responseContent": content});
    said.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    said
}

fn authlete() -> World {
    speaking("authlete", json!({"jwks": null}))
}

fn asked(ours: &Certificate) -> Ask {
    get("/all").bearer("opaque").certificate(ours)
}

fn body(id: &CalloutId) -> Value {
    serde_json::from_slice(&id.body).unwrap()
}

#[test]
fn it_is_shown_the_certificate_and_the_scopes_of_the_route() {
    let (ours, mut world) = (certificate(), authlete());
    let said = of(&ours, json!({}));
    let bodies = answering(&mut world, move |_| ok(said.clone()));
    assert_eq!(world.verdict(&asked(&ours)), PASSES);
    assert_eq!(world.verdict(&get("/pay").bearer("opaque").certificate(&ours)), PASSES);
    let sent: Vec<Value> = bodies.borrow().iter().map(|body| serde_json::from_str(body).unwrap()).collect();
    let lines = |text: &str| text.split_whitespace().collect::<String>();
    let pem = sent[0]["clientCertificate"].as_str().unwrap();
    assert_eq!(lines(pem), lines(&ours.cert_pem), "the certificate as it is");
    assert!(pem.lines().all(|line| line.len() <= 64) && pem.starts_with("-----BEGIN CERTIFICATE-----\nMII"), "{pem}");
    assert_eq!(sent[0], json!({"token": "opaque", "clientCertificate": pem}));
    assert_eq!(sent[1], json!({"token": "opaque", "clientCertificate": pem, "scopes": ["pay"]}));
    assert_eq!(world.verdict(&asked(&ours)), PASSES);
    assert_eq!(bodies.borrow().len(), 2, "both are remembered");
}

#[test]
fn facts_are_taken_and_judged_here() {
    let ours = certificate();
    for (others, expected) in [
        (json!({}), PASSES),
        (json!({"resources": ["https://api.bank.example"], "accessTokenResources": null}), PASSES),
        (json!({"expiresAt": (NOW - 60) * 1000}), (401, "token.expired")),
        (json!({"expiresAt": 0}), (401, "token.claim_missing")),
        (json!({"expiresAt": "soon"}), (401, "token.claim")),
        (json!({"accessTokenResources": ["https://other.example"]}), (401, "token.audience")),
        (json!({"accessTokenResources": null}), (401, "token.audience")),
        (json!({"usable": false}), (401, "token.inactive")),
        (json!({"usable": "false"}), (401, "token.inactive")),
        (json!({"existent": false}), (401, "token.inactive")),
        (json!({"sufficient": false}), (401, "token.inactive")),
        (json!({"usable": null, "sufficient": null}), PASSES),
        (json!({"scopes": "pay"}), (503, "server.unusable_answer")),
        (json!({"scopes": [["pay"]]}), (503, "server.unusable_answer")),
        (json!({"scopes": ["read pay"]}), (503, "server.unusable_answer")),
        (json!({"active": false, "exp": 1, "cnf": {}}), PASSES),
    ] {
        let mut world = authlete();
        let said = of(&ours, others.clone());
        answering(&mut world, move |_| ok(said.clone()));
        assert_eq!(world.verdict(&asked(&ours)), expected, "{others}");
    }
    let mut world = authlete();
    answering(&mut world, |_| ok(good(json!({}))));
    assert_eq!(world.verdict(&asked(&ours)), (401, "binding.unbound"), "a token that is bound to nothing");
    let other = certificate().x5t_s256();
    answering(&mut world, move |_| ok(good(json!({"certificateThumbprint": other}))));
    world.later(31);
    assert_eq!(world.verdict(&asked(&ours)), (401, "binding.other_certificate"), "whatever the API says");
    let said = of(&ours, json!({}));
    answering(&mut world, move |_| ok(said.clone()));
    world.later(31);
    let facts = world.send(&asked(&ours)).facts;
    assert_eq!((facts["client_id"].as_str(), facts["subject"].as_str()), ("26478243745571", "ann"));
    assert_eq!(world.verdict(&get("/admin").bearer("opaque").certificate(&ours)), (403, "token.scope"));
}

#[test]
fn every_action_has_its_answer_and_nothing_that_it_says_is_repeated() {
    let ours = certificate();
    let split = "Bearer error=\"invalid_token\"\r\nx-evil: 1";
    let (token, scope) =
        ("Bearer error=\"invalid_token\",error_description=\"x\"", "Bearer error=\"insufficient_scope\",scope=\"z\"");
    for (said, expected) in [
        (refused("BAD_REQUEST", "Bearer error=\"invalid_request\"", json!({})), (400, "token.bad_request")),
        (refused("UNAUTHORIZED", token, json!({})), (401, "token.inactive")),
        (refused("UNAUTHORIZED", token, json!({"usable": false})), (401, "token.inactive")),
        (refused("UNAUTHORIZED", token, json!({"usable": true})), (401, "token.refused")),
        (refused("UNAUTHORIZED", split, json!({"dpopNonce": "a\r\nx-evil: 1"})), (401, "token.inactive")),
        (refused("FORBIDDEN", scope, json!({})), (403, "token.scope")),
        (refused("FORBIDDEN", token, json!({})), (403, "token.forbidden")),
        (refused("INTERNAL_SERVER_ERROR", "", json!({})), (503, "server.introspection")),
        (refused("MAYBE", "", json!({})), (503, "server.unusable_answer")),
        (json!({"action": 1}), (503, "server.unusable_answer")),
        (json!({}), (503, "server.unusable_answer")),
        (json!([]), (503, "server.unusable_answer")),
    ] {
        let mut world = authlete();
        let answer = said.clone();
        answering(&mut world, move |_| ok(answer.clone()));
        let outcome = world.send(&get("/pay").bearer("opaque").certificate(&ours));
        assert_eq!((outcome.status, outcome.reason), expected, "{said}");
        assert_eq!(outcome.nonce, None, "{said}");
        assert!(
            !format!("{:?}", outcome.challenges).contains(['\r', '\n', 'z', 'x']),
            "{said}: {:?}",
            outcome.challenges
        );
    }
    for (answer, expected) in [
        (answered(401, "{}"), (503, "server.our_credentials")),
        (answered(400, "{}"), (503, "server.unusable_answer")),
        (answered(302, ""), (503, "server.unusable_answer")),
        (answered(500, ""), (503, "server.introspection")),
        (answered(200, "<html>"), (503, "server.unusable_answer")),
        (answered(200, r#"{"action":"OK","action":"OK"}"#), (503, "server.unusable_answer")),
    ] {
        let mut world = authlete();
        answering(&mut world, move |_| answer.clone());
        assert_eq!(world.verdict(&asked(&ours)), expected);
        let said = of(&ours, json!({}));
        answering(&mut world, move |_| ok(said.clone()));
        assert_eq!(world.verdict(&asked(&ours)), PASSES, "nothing is remembered of it");
    }
}

#[test]
fn what_one_certificate_earned_is_no_others() {
    let (ours, thief, mut world) = (certificate(), certificate(), authlete());
    // As careless as an API can be: whoever shows the first certificate has an unbound token.
    let pem: String = ours.cert_pem.split_whitespace().collect();
    answering(&mut world, move |id| {
        let shown: String = body(id)["clientCertificate"].as_str().unwrap_or_default().split_whitespace().collect();
        ok(if shown == pem {
            good(json!({}))
        } else {
            refused("UNAUTHORIZED", "Bearer error=\"invalid_token\"", json!({}))
        })
    });
    let document = |certificate: &Certificate| asked(certificate);
    assert_eq!(world.verdict(&document(&ours)), (401, "binding.unbound"));
    assert_eq!(world.verdict(&document(&thief)), (401, "token.inactive"), "asked for itself");
    assert_eq!(world.asked.len(), 2);
    let ids: Vec<CalloutId> = [&ours, &thief]
        .into_iter()
        .map(|certificate| {
            let mut world = authlete();
            match world.begin(&document(certificate)) {
                Step::Ask(callout, _) => callout.id,
                Step::Done(_) => panic!("it is asked"),
            }
        })
        .collect();
    assert_ne!(ids[0].body, ids[1].body, "and they wait for no answer together");
}

/// An API that knows one token, bound to this key: without a proof it is refused.
fn binding_to_a_key(world: &mut World, with_proof: Value) {
    answering(world, move |id| {
        let refusal = "DPoP error=\"invalid_dpop_proof\",error_description=\"[A254303] no proof\"";
        ok(if body(id)["dpop"].is_string() { with_proof.clone() } else { refused("UNAUTHORIZED", refusal, json!({})) })
    });
}

#[test]
fn a_proof_is_judged_there_too_and_its_answer_is_for_one_request() {
    let (holder, mut world) = (Holder::named("ann"), authlete());
    binding_to_a_key(&mut world, good(json!({"dpopNonce": "n-1"})));
    let proof = |jti: &str| holder.proof("/either", "opaque", jti).sign();
    let first = proof("1");
    let outcome = world.send(&get("/either").dpop("opaque", &first));
    assert_eq!((outcome.status, outcome.reason), PASSES);
    assert_eq!(outcome.returns, Return::WithNonce("n-1".into()));
    assert_eq!((outcome.facts["binding"].as_str(), world.asked.len()), ("dpop", 2));
    let outcome = world.send(&get("/either").dpop("opaque", &proof("2")));
    assert_eq!(
        (outcome.status, world.asked.len()),
        (0, 3),
        "that it wants a proof is remembered, what it says of one never"
    );
    assert_eq!(world.verdict(&get("/either").dpop("opaque", &first)), (401, "proof.replayed"));
    assert_eq!(world.verdict(&get("/either").bearer("opaque")), (401, "binding.bearer_downgrade"));
    let (one, other) =
        (world.begin(&get("/either").dpop("opaque", &first)), world.begin(&get("/either").dpop("opaque", &first)));
    let (Step::Ask(one, _), Step::Ask(other, _)) = (one, other) else { panic!("both ask") };
    assert!(one.id != other.id && one.id.body == other.id.body, "the same proof in two requests waits for two answers");
    let sent = body(&one.id);
    assert_eq!(sent, json!({"token": "opaque", "dpop": first, "htm": "GET", "htu": "https://api.bank.example/either"}));
}

#[test]
fn a_proof_beside_a_token_that_needs_none_proves_nothing() {
    let (holder, mut world) = (Holder::named("ann"), authlete());
    let bodies = answering(&mut world, |_| ok(good(json!({}))));
    let proven = get("/either").dpop("opaque", &holder.proof("/either", "opaque", "1").sign());
    assert_eq!(world.verdict(&proven), (401, "binding.unbound"));
    assert_eq!(bodies.borrow().len(), 1, "whoever stole it has a key too");
}

#[test]
fn what_it_says_of_a_proof_is_told_with_its_nonce() {
    let holder = Holder::named("ann");
    let scheme = |error: &str| format!("DPoP error=\"{error}\"");
    for (said, expected, nonce) in [
        (
            refused("UNAUTHORIZED", &scheme("use_dpop_nonce"), json!({"dpopNonce": "n"})),
            (401, "nonce.wanted"),
            Some("n"),
        ),
        (
            refused("UNAUTHORIZED", &scheme("invalid_dpop_proof"), json!({"dpopNonce": "n"})),
            (401, "proof.refused"),
            Some("n"),
        ),
        (refused("UNAUTHORIZED", &scheme("invalid_dpop_proof"), json!({})), (401, "proof.refused"), None),
        (refused("UNAUTHORIZED", &scheme("invalid_token"), json!({"usable": true})), (401, "token.refused"), None),
        (
            good(json!({"certificateThumbprint": certificate().x5t_s256(), "dpopNonce": "n"})),
            (401, "binding.no_certificate"),
            Some("n"),
        ),
    ] {
        let mut world = authlete();
        binding_to_a_key(&mut world, said.clone());
        let outcome = world.send(&get("/either").dpop("opaque", &holder.proof("/either", "opaque", "1").sign()));
        assert_eq!((outcome.status, outcome.reason), expected, "{said}");
        assert_eq!(outcome.nonce.as_deref(), nonce, "{said}");
        assert!(outcome.challenges.iter().all(|challenge| challenge.starts_with("DPoP ")), "{:?}", outcome.challenges);
    }
}

#[test]
fn a_server_that_is_away_is_no_verdict() {
    let (ours, mut world) = (certificate(), authlete());
    answering(&mut world, |_| Answer::None(holdfast::callout::NoAnswer::Reset));
    assert_eq!(world.verdict(&asked(&ours)), (503, "server.introspection"));
}
