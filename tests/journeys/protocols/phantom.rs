//! Opaque outside, a JWT inside (checklist §26).

use harness::Certificate;
use holdfast::callout::Answer;
use serde_json::{Value, json};

use super::{answering, speaking};
use crate::proof::Holder;
use crate::world::{Ask, Key, NOW, Outcome, PASSES, World, answered, certificate, claims, get, ok, token, told};

const JWT: &str = "application/jwt";

fn phantom() -> World {
    speaking("phantom", json!({}))
}

/// Says the same of every token.
fn saying(world: &mut World, answer: Answer) {
    answering(world, move |_| answer.clone());
}

fn jwt(text: &str) -> Answer {
    told(200, JWT, "max-age=20", text)
}

fn asked(ours: &Certificate) -> Ask {
    get("/all").bearer("opaque").certificate(ours)
}

/// What the upstream gets as credentials.
fn forwarded(outcome: &Outcome) -> (Vec<&str>, Vec<(&str, &str)>) {
    let added = outcome.added.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    (outcome.removed.iter().map(String::as_str).collect(), added)
}

#[test]
fn the_upstream_gets_the_jwt_in_place_of_the_opaque_token() {
    let (ours, mut world) = (certificate(), phantom());
    let inside = token(&ours, json!({}));
    saying(&mut world, jwt(&inside));
    let credentials = format!("Bearer {inside}");
    for asked_so_far in [["as/introspect", "login/jwks"]; 2] {
        let outcome = world.send(&asked(&ours));
        assert_eq!((outcome.status, outcome.reason), PASSES);
        assert_eq!(forwarded(&outcome), (vec!["authorization"], vec![("authorization", credentials.as_str())]));
        assert_eq!(world.asked, asked_so_far, "the second time nobody is asked");
    }
    let outcome = world.send(&get("/stripped").bearer("opaque").certificate(&ours));
    assert_eq!(forwarded(&outcome), (vec!["authorization"], vec![]));
    let thief = certificate();
    assert_eq!(world.verdict(&asked(&thief)), (401, "binding.other_certificate"), "remembered or not");
    let presented = get("/all").bearer(&inside).certificate(&ours);
    assert_eq!(
        forwarded(&world.send(&presented)),
        (vec![], vec![]),
        "the JWT itself is a token too, and goes on as it is"
    );
}

#[test]
fn the_jwt_is_verified_as_one_that_was_presented() {
    let ours = certificate();
    let with = |others: Value| token(&ours, others);
    let header = |header: Value| Key::named("k1").sign(&header.to_string(), &claims(&ours, json!({})).to_string());
    let good = with(json!({}));
    let (unusable, nobody) = ((503, "server.unusable_answer"), with(json!({})).rsplit_once('.').unwrap().0.to_owned());
    let table = [
        (jwt(&good), PASSES),
        (jwt(&format!("{good}\r\n")), PASSES),
        (told(200, "Application/JWT; charset=utf-8", "", &good), PASSES),
        (jwt(&with(json!({"aud": "https://other.example"}))), (401, "token.audience")),
        (jwt(&with(json!({"iss": "https://evil.example"}))), (401, "token.issuer")),
        (jwt(&with(json!({"exp": NOW - 60, "iat": NOW - 100}))), (401, "token.expired")),
        (jwt(&with(json!({"nbf": NOW + 60}))), (401, "token.not_yet_valid")),
        (jwt(&with(json!({"exp": null}))), (401, "token.claim_missing")),
        (jwt(&with(json!({"cnf": {"jwk": {}}}))), (401, "token.confirmation")),
        (jwt(&with(json!({"cnf": null}))), (401, "binding.unbound")),
        (jwt(&Key::with_secret("k1", "another").jwt(&claims(&ours, json!({})))), unusable),
        (jwt(&Key::named("k2").jwt(&claims(&ours, json!({})))), unusable),
        (jwt(&header(json!({"alg": "ES256", "typ": "token-introspection+jwt", "kid": "k1"}))), unusable),
        (jwt(&header(json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}))), unusable),
        (jwt(&header(json!({"alg": "none", "typ": "at+jwt", "kid": "k1"}))), unusable),
        (jwt(&header(json!({"alg": "RS256", "typ": "at+jwt", "kid": "k1"}))), unusable),
        (jwt(&header(json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "crit": ["x"]}))), unusable),
        (jwt(&format!("{nobody}.AAAA")), unusable),
        (jwt(&nobody), unusable),
        (jwt(&good[..good.len() - 9]), unusable),
        (jwt("opaque"), unusable),
        (jwt(""), unusable),
        (jwt(&with(json!({"padding": "x".repeat(33_000)}))), unusable),
        (told(200, "text/html", "", &good), unusable),
        (told(200, "", "", &good), unusable),
        (told(200, JWT, "", "<html>"), unusable),
        (answered(302, ""), unusable),
        (answered(404, ""), unusable),
        (answered(401, ""), (503, "server.our_credentials")),
        (answered(500, ""), (503, "server.introspection")),
        (answered(204, ""), (401, "token.inactive")),
    ];
    for (at, (answer, expected)) in table.into_iter().enumerate() {
        let mut world = phantom();
        saying(&mut world, answer);
        assert_eq!(world.verdict(&asked(&ours)), expected, "row {at}");
        if expected.0 == 503 {
            saying(&mut world, jwt(&good));
            assert_eq!(world.verdict(&asked(&ours)), PASSES, "row {at}: nothing is remembered of it");
        }
    }
}

#[test]
fn a_jwt_in_a_json_object_counts_only_beside_true() {
    let ours = certificate();
    let inside = token(&ours, json!({}));
    let unusable = (503, "server.unusable_answer");
    for (said, expected) in [
        (json!({"active": true, "jwt": inside}), PASSES),
        (json!({"active": false, "jwt": inside}), (401, "token.inactive")),
        (json!({"active": false}), (401, "token.inactive")),
        (json!({"active": "true", "jwt": inside}), unusable),
        (json!({"jwt": inside}), unusable),
        (json!({"active": true}), unusable),
        (json!({"active": true, "jwt": [inside]}), unusable),
        (json!([]), unusable),
    ] {
        let mut world = phantom();
        saying(&mut world, told(200, "application/json", "no-cache", &said.to_string()));
        assert_eq!(world.verdict(&asked(&ours)), expected, "{said}");
        // Keycloak writes no-cache beside every answer of this kind.
        assert_eq!(world.verdict(&asked(&ours)), expected, "{said}");
        let times = world.asked.iter().filter(|place| *place == "as/introspect").count();
        assert_eq!(times, if expected.0 == 503 { 2 } else { 1 }, "{said}");
    }
}

#[test]
fn it_counts_as_long_as_its_server_says_and_no_longer_than_told_here() {
    let ours = certificate();
    for (cache_control, lasts) in [
        ("max-age=20, must-revalidate", 20),
        ("", 30),
        ("max-age=3600", 30),
        ("no-store", 0),
        ("max-age=0", 0),
        ("\u{fffd}, max-age=20", 0),
    ] {
        let mut world = phantom();
        saying(&mut world, told(200, JWT, cache_control, &token(&ours, json!({}))));
        let asks = |world: &mut World| {
            world.asked.clear();
            assert_eq!(world.verdict(&asked(&ours)), PASSES);
            world.asked.iter().any(|place| place == "as/introspect")
        };
        assert!(asks(&mut world));
        if lasts > 0 {
            world.later(lasts - 1);
            assert!(!asks(&mut world), "{cache_control}: remembered");
            world.later(1);
        }
        assert!(asks(&mut world), "{cache_control}: over");
    }
}

#[test]
fn a_key_that_was_withdrawn_vouches_for_no_phantom_token_either() {
    let (ours, mut world) = (certificate(), phantom());
    saying(&mut world, jwt(&token(&ours, json!({}))));
    world.now += 290;
    assert_eq!(world.verdict(&get("/all").bearer("opaque").certificate(&ours)), PASSES);
    world.serve_keys("login", &[&Key::named("k2")]);
    world.later(1);
    // Somebody's unknown key brings the new set.
    let other = get("/all").bearer(&Key::named("k2").jwt(&claims(&ours, json!({})))).certificate(&ours);
    assert_eq!(world.verdict(&other), PASSES);
    assert_eq!(world.verdict(&asked(&ours)), (503, "server.unusable_answer"));
}

#[test]
fn a_proof_is_made_with_the_token_as_it_was_presented() {
    let (ours, holder) = (certificate(), Holder::named("ann"));
    let inside = token(&ours, json!({"cnf": {"jkt": holder.jkt()}}));
    let mut world = phantom();
    saying(&mut world, jwt(&inside));
    let with = |token: &str, jti: &str| get("/either").dpop("opaque", &holder.proof("/either", token, jti).sign());
    let outcome = world.send(&with("opaque", "1"));
    assert_eq!((outcome.status, outcome.reason), PASSES);
    let credentials = format!("Bearer {inside}");
    assert_eq!(forwarded(&outcome), (vec!["authorization", "dpop"], vec![("authorization", credentials.as_str())]));
    assert_eq!(world.verdict(&with(&inside, "2")), (401, "proof.ath"));
    let bearer = get("/either").bearer("opaque").certificate(&ours);
    assert_eq!(world.verdict(&bearer), (401, "binding.bearer_downgrade"));
}

#[test]
fn keys_that_can_not_be_had_are_no_verdict() {
    let (ours, mut world) = (certificate(), phantom());
    saying(&mut world, jwt(&token(&ours, json!({}))));
    let keys = world.keys.insert("login".into(), answered(500, "")).unwrap();
    assert_eq!(world.verdict(&asked(&ours)), (503, "server.keys"));
    world.keys.insert("login".into(), keys);
    world.later(2);
    assert_eq!(world.verdict(&asked(&ours)), PASSES);
}

#[test]
fn a_plain_introspection_answer_is_no_phantom_token() {
    let (ours, mut world) = (certificate(), phantom());
    let mut said = claims(&ours, json!({}));
    said["active"] = json!(true);
    saying(&mut world, ok(said.clone()));
    assert_eq!(world.verdict(&asked(&ours)), (503, "server.unusable_answer"));
    saying(&mut world, told(200, "application/json", "", &said.to_string()));
    assert_eq!(world.verdict(&asked(&ours)), (503, "server.unusable_answer"));
}
