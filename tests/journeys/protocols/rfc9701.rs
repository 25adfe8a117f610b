//! Signed introspection (RFC 9701, checklist §5).

use harness::Certificate;
use holdfast::callout::Answer;
use serde_json::{Value, json};

use super::{answering, speaking};
use crate::world::{Key, NOW, PASSES, World, answered, certificate, claims, get, ok, token, told};

const TYPE: &str = "application/token-introspection+jwt";

/// What is said of a good token, with other members around it or, where null, without.
fn response(ours: &Certificate, others: Value) -> Value {
    let mut said = claims(ours, json!({}));
    said["active"] = json!(true);
    said["token_type"] = json!("Bearer");
    let mut whole = json!({"iss": "https://login.bank.example", "aud": "rs", "iat": NOW, "token_introspection": said});
    for (name, value) in others.as_object().unwrap() {
        match value {
            Value::Null => drop(whole.as_object_mut().unwrap().remove(name)),
            value => whole[name] = value.clone(),
        }
    }
    whole
}

fn signed(header: Value, payload: &Value) -> Answer {
    let mut whole = json!({"alg": "ES256", "typ": "token-introspection+jwt", "kid": "k1"});
    for (name, value) in header.as_object().unwrap() {
        match value {
            Value::Null => drop(whole.as_object_mut().unwrap().remove(name)),
            value => whole[name] = value.clone(),
        }
    }
    told(200, TYPE, "", &Key::named("k1").sign(&whole.to_string(), &payload.to_string()))
}

fn verdict(world: &mut World, ours: &Certificate, answer: Answer) -> (u16, &'static str) {
    answering(world, move |_| answer.clone());
    world.verdict(&get("/all").bearer("opaque").certificate(ours))
}

#[test]
fn only_a_signed_answer_of_the_issuer_to_us_made_lately_counts() {
    let ours = certificate();
    let with = |others: Value| signed(json!({}), &response(&ours, others));
    let typed = |header: Value| signed(header, &response(&ours, json!({})));
    let good = response(&ours, json!({}));
    let plain = good["token_introspection"].clone();
    let other_key = Key::with_secret("k1", "another");
    let header = r#"{"alg":"ES256","typ":"token-introspection+jwt","kid":"k1"}"#;
    let unusable = (503, "server.unusable_answer");
    let table = [
        ("good", with(json!({})), PASSES),
        ("to us among others", with(json!({"aud": ["x", "rs"]})), PASSES),
        ("the whole media type", typed(json!({"typ": TYPE})), PASSES),
        ("a minute old", with(json!({"iat": NOW - 60})), PASSES),
        ("a little ahead", with(json!({"iat": NOW + 10})), PASSES),
        ("older", with(json!({"iat": NOW - 61})), unusable),
        ("to end", with(json!({"exp": NOW + 1, "nbf": NOW})), PASSES),
        ("ended", with(json!({"exp": NOW - 11})), unusable),
        ("ending in words", with(json!({"exp": "never"})), unusable),
        ("not begun", with(json!({"nbf": NOW + 11})), unusable),
        ("too far ahead", with(json!({"iat": NOW + 11})), unusable),
        ("of no time", with(json!({"iat": null})), unusable),
        ("of a text for a time", with(json!({"iat": "now"})), unusable),
        ("of nobody", with(json!({"iss": null})), unusable),
        ("of somebody else", with(json!({"iss": "https://evil.example"})), unusable),
        ("to nobody", with(json!({"aud": null})), unusable),
        ("to another server", with(json!({"aud": "other"})), unusable),
        ("to a longer name", with(json!({"aud": "rs2"})), unusable),
        ("of nothing", with(json!({"token_introspection": null})), unusable),
        ("of a text", with(json!({"token_introspection": plain.to_string()})), unusable),
        ("of a list", with(json!({"token_introspection": [plain]})), unusable),
        ("active outside", with(json!({"active": true, "token_introspection": {}})), unusable),
        ("active as text", with(json!({"token_introspection": {"active": "true"}})), unusable),
        ("without a type", typed(json!({"typ": null})), unusable),
        ("an access token's type", typed(json!({"typ": "at+jwt"})), unusable),
        ("the type JWT", typed(json!({"typ": "JWT"})), unusable),
        ("algorithm none", typed(json!({"alg": "none"})), unusable),
        ("an algorithm that is not the issuer's", typed(json!({"alg": "RS256"})), unusable),
        ("HS256", typed(json!({"alg": "HS256"})), unusable),
        ("critical", typed(json!({"crit": ["x"]})), unusable),
        ("another kid", typed(json!({"kid": "k9"})), unusable),
        ("another key", told(200, TYPE, "", &other_key.sign(header, &good.to_string())), unusable),
        ("no signature", told(200, TYPE, "", &format!("{}.", token(&ours, json!({})))), unusable),
        ("an access token", told(200, TYPE, "", &token(&ours, json!({}))), unusable),
        ("plain", ok(plain.clone()), unusable),
        ("plain as JSON", told(200, "application/json", "", &plain.to_string()), unusable),
        ("plain as signed", told(200, TYPE, "", &plain.to_string()), unusable),
        (
            "signed as a JWT",
            told(200, "application/jwt", "", &Key::named("k1").sign(header, &good.to_string())),
            unusable,
        ),
        ("204", answered(204, ""), unusable),
        ("inactive", with(json!({"token_introspection": {"active": false}})), (401, "token.inactive")),
    ];
    for (name, answer, expected) in table {
        let mut world = speaking("rfc9701", json!({}));
        assert_eq!(verdict(&mut world, &ours, answer), expected, "{name}");
        if expected == unusable {
            assert_eq!(verdict(&mut world, &ours, with(json!({}))), PASSES, "{name}: nothing is remembered of it");
        }
    }
}

#[test]
fn what_it_says_is_judged_as_a_plain_answer_is() {
    let ours = certificate();
    for (others, expected) in [
        (json!({}), PASSES),
        (json!({"exp": NOW - 60, "iat": NOW - 100}), (401, "token.expired")),
        (json!({"aud": "https://other.example"}), (401, "token.audience")),
        (json!({"token_type": "N_A"}), (401, "token.type")),
        (json!({"cnf": {"x5t#S256": certificate().x5t_s256()}}), (401, "binding.other_certificate")),
    ] {
        let mut whole = response(&ours, json!({}));
        for (name, value) in others.as_object().unwrap() {
            whole["token_introspection"][name] = value.clone();
        }
        let mut world = speaking("rfc9701", json!({}));
        assert_eq!(verdict(&mut world, &ours, signed(json!({}), &whole)), expected, "{others}");
    }
}

#[test]
fn it_is_asked_for_once_and_the_opaque_token_goes_on() {
    let (ours, mut world) = (certificate(), speaking("rfc9701", json!({})));
    let answer = signed(json!({}), &response(&ours, json!({})));
    let bodies = answering(&mut world, move |_| answer.clone());
    for _ in 0..2 {
        let outcome = world.send(&get("/all").bearer("opaque").certificate(&ours));
        assert_eq!((outcome.status, outcome.reason), PASSES);
        assert_eq!((outcome.removed, outcome.added), (vec![], vec![]));
    }
    assert_eq!(world.asked, ["as/introspect", "login/jwks"]);
    assert_eq!(*bodies.borrow(), ["token=opaque&token_type_hint=access_token"]);
}

#[test]
fn a_signed_answer_is_no_access_token() {
    let (ours, mut world) = (certificate(), speaking("rfc9701", json!({})));
    let header = r#"{"alg":"ES256","typ":"token-introspection+jwt","kid":"k1"}"#;
    let stolen = Key::named("k1").sign(header, &claims(&ours, json!({})).to_string());
    assert_eq!(world.verdict(&get("/all").bearer(&stolen).certificate(&ours)), (401, "token.type"));
}
