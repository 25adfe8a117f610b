//! `revocation: introspection`: a JWT that its issuer's key has vouched for is asked about at its endpoint, and passes by what
//! both say (checklist C31 to C37).

use harness::Certificate;
use holdfast::callout::{Answer, NoAnswer};
use holdfast::flow::Step;
use holdfast::time::UnixTime;
use serde_json::{Value, json};

use super::proof::Holder;
use super::world::{Ask, Key, NOW, PASSES, World, answered, bank, certificate, claims, get, ok, token};

/// What the proof key of other files hashes to: some key that nobody here has.
const THUMBPRINT: &str = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";

/// The bank's keys and its endpoint, with these changes, and routes that ask both or the one.
fn asking(introspection: Value, issuer: Value) -> World {
    let mut whole = bank();
    whole["introspection"] =
        json!({"cluster": "as", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    whole["roles"] = json!({"at": "/roles"});
    put(&mut whole["introspection"], introspection);
    put(&mut whole, issuer);
    let both = |name: &str, allow: Value| json!({"name": name, "path": format!("/{name}"), "allow": allow});
    let routes = json!([
        {"name": "signed", "path": "/signed", "revocation": "none", "allow": "authenticated"},
        both("all", json!("authenticated")),
        both("write", json!([{"scopes": ["write"]}])),
        both("clerk", json!([{"role": "clerk"}])),
        both("gold", json!([{"claims": {"/tier": "gold"}}])),
        both("list", json!([{"claims": {"/list": {"contains": "x"}}}])),
        both("not-gold", json!([{"client": "n26", "not": {"claims": {"/tier": "gold"}}}])),
        both("level", json!([{"acr_values": ["gold"]}])),
        both("fresh", json!([{"max_age": "5m"}])),
        both("actor", json!([{"claims": {"/act/sub": "robot"}}])),
        {"name": "other", "path": "/other", "audiences": ["https://other.example"], "allow": "authenticated"}
    ]);
    let document = json!({"issuers": [whole], "revocation": "introspection", "routes": routes});
    World::with_environment(document, &[("SECRET", "s3cr3t")])
}

fn put(into: &mut Value, members: Value) {
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(into.as_object_mut().unwrap().remove(name)),
            value => into[name] = value.clone(),
        }
    }
}

fn plain() -> World {
    asking(json!({}), json!({}))
}

/// What the endpoint says of a token of these claims.
fn active(ours: &Certificate, others: Value) -> Value {
    let mut said = claims(ours, json!({}));
    put(&mut said, json!({"active": true, "token_type": "Bearer"}));
    put(&mut said, others);
    said
}

fn at(path: &str, token: &str, ours: &Certificate) -> Ask {
    get(path).bearer(token).certificate(ours)
}

const AWAY: Answer = Answer::None(NoAnswer::Reset);

#[test]
fn a_jwt_passes_by_the_word_of_both_and_is_asked_about_once() {
    let ours = certificate();
    let mut world = plain();
    let jwt = token(&ours, json!({}));
    world.introspect(&jwt, active(&ours, json!({})));
    for _ in 0..3 {
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES);
    }
    assert_eq!(world.asked, ["login/jwks", "as/introspect"]);
    assert_eq!(world.enforcer().remembered().entries, 2, "the signature, and both");
    world.introspect(&jwt, json!({"active": false}));
    world.later(29);
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "within its time");
    world.later(1);
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), (401, "token.inactive"));
}

#[test]
fn c31_what_is_signed_and_not_active_is_refused_and_told_whose_it_was() {
    let ours = certificate();
    let mut world = plain();
    let jwt = token(&ours, json!({}));
    for _ in 0..2 {
        let told = world.send(&at("/all", &jwt, &ours));
        assert_eq!((told.status, told.reason, told.facts["subject"].as_str()), (401, "token.inactive", "ann"));
        assert!(told.challenge.unwrap().contains(r#"error="invalid_token", error_description="Token is not active""#));
    }
    assert_eq!(world.asked, ["login/jwks", "as/introspect"], "a bad answer is remembered too");
    world.later(5);
    world.introspect(&jwt, active(&ours, json!({})));
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "for five seconds");
}

#[test]
fn c32_a_token_of_which_key_and_endpoint_name_others_is_refused() {
    let ours = certificate();
    let jwt = token(&ours, json!({}));
    let disagreement = (401, "token.disagreement");
    for (said, expected) in [
        (json!({}), PASSES),
        (json!({"sub": null, "client_id": null, "iss": null}), PASSES),
        (json!({"sub": "eve"}), disagreement),
        (json!({"client_id": "fintech-9"}), disagreement),
        (json!({"iss": "https://evil.example"}), disagreement),
        (json!({"iss": "https://login.bank.example/"}), disagreement),
    ] {
        let mut world = plain();
        world.introspect(&jwt, active(&ours, said.clone()));
        for _ in 0..2 {
            let told = world.send(&at("/all", &jwt, &ours));
            assert_eq!((told.status, told.reason), expected, "{said}");
            assert_eq!((told.facts["subject"].as_str(), told.facts["client_id"].as_str()), ("ann", "n26"), "{said}");
        }
        assert_eq!(world.asked.len(), 2, "{said}: and is asked about once");
    }
}

#[test]
fn c33_a_token_is_bound_to_all_that_either_says() {
    let (ours, theirs) = (certificate(), certificate());
    let (x5t, other) = (ours.x5t_s256(), theirs.x5t_s256());
    let jkt = |x5t: Option<&str>| json!({"x5t#S256": x5t, "jkt": THUMBPRINT});
    let bound = |x5t: &str| json!({"x5t#S256": x5t});
    for (signed, said, expected) in [
        (bound(&x5t), bound(&x5t), PASSES),
        (bound(&x5t), Value::Null, PASSES),
        (Value::Null, bound(&x5t), PASSES),
        (Value::Null, Value::Null, (401, "binding.unbound")),
        (bound(&other), Value::Null, (401, "binding.other_certificate")),
        (Value::Null, bound(&other), (401, "binding.other_certificate")),
        (bound(&x5t), bound(&other), (401, "token.disagreement")),
        (bound(&other), bound(&x5t), (401, "token.disagreement")),
        (bound(&x5t), json!({"x5t#S256": x5t, "jkt": THUMBPRINT}), (401, "binding.bearer_downgrade")),
        (jkt(Some(&x5t)), bound(&x5t), (401, "binding.bearer_downgrade")),
        (bound(&x5t), json!({"jwk": {}}), (401, "token.confirmation")),
        (json!({"jwk": {}}), bound(&x5t), (401, "token.confirmation")),
    ] {
        let mut world = plain();
        let jwt = token(&ours, json!({"cnf": signed}));
        let kind = if said.get("jkt").is_some() { "DPoP" } else { "Bearer" };
        world.introspect(&jwt, active(&ours, json!({"cnf": said, "token_type": kind})));
        for _ in 0..2 {
            assert_eq!(world.verdict(&at("/all", &jwt, &ours)), expected, "{signed} and {said}");
        }
    }
}

#[test]
fn c34_only_what_both_grant_is_granted() {
    let ours = certificate();
    let (scope, role) = ((403, "token.scope"), (403, "policy.no_rule"));
    for (path, signed, said, expected) in [
        ("/write", json!({"scope": "read write"}), json!({"scope": "write"}), PASSES),
        ("/write", json!({"scope": "read write"}), json!({"scope": "read"}), scope),
        ("/write", json!({"scope": "read"}), json!({"scope": "read write"}), scope),
        ("/write", json!({"scope": ""}), json!({"scope": "write"}), scope),
        ("/write", json!({"scope": "write"}), json!({}), scope),
        ("/write", json!({"scope": ["write"]}), json!({"scope": "write"}), scope),
        ("/write", json!({"scope": "write"}), json!({"scope": ["write"]}), scope),
        // A lightweight token tells no grants; its issuer does.
        ("/write", json!({}), json!({"scope": "write"}), PASSES),
        ("/clerk", json!({"roles": ["clerk", "x"]}), json!({"roles": ["clerk"]}), PASSES),
        ("/clerk", json!({"roles": ["clerk"]}), json!({"roles": ["x"]}), role),
        ("/clerk", json!({"roles": ["x"]}), json!({"roles": ["clerk"]}), role),
        ("/clerk", json!({"roles": []}), json!({"roles": ["clerk"]}), role),
        ("/clerk", json!({"roles": ["clerk"]}), json!({}), role),
        ("/clerk", json!({}), json!({"roles": "clerk"}), PASSES),
        ("/gold", json!({"tier": "gold"}), json!({"tier": "gold"}), PASSES),
        ("/gold", json!({"tier": "gold"}), json!({}), PASSES),
        ("/gold", json!({}), json!({"tier": "gold"}), PASSES),
        ("/gold", json!({"tier": "gold"}), json!({"tier": "tin"}), role),
        ("/gold", json!({"tier": "tin"}), json!({"tier": "gold"}), role),
        ("/not-gold", json!({"tier": "tin"}), json!({"tier": "tin"}), PASSES),
        ("/not-gold", json!({}), json!({}), PASSES),
        ("/not-gold", json!({"tier": "tin"}), json!({"tier": "gold"}), role),
        ("/not-gold", json!({}), json!({"tier": "gold"}), role),
        ("/list", json!({"list": ["x", "y"]}), json!({"list": ["z", "x"]}), PASSES),
        ("/list", json!({"list": ["x", "y"]}), json!({"list": ["y"]}), role),
        ("/list", json!({"list": ["y"]}), json!({"list": ["x", "y"]}), role),
    ] {
        let mut world = plain();
        let jwt = token(&ours, signed.clone());
        world.introspect(&jwt, active(&ours, said.clone()));
        for _ in 0..2 {
            assert_eq!(world.verdict(&at(path, &jwt, &ours)), expected, "{path}: {signed} and {said}");
        }
    }
}

#[test]
fn c34_so_it_is_with_the_login_and_with_those_who_act() {
    let ours = certificate();
    let (step_up, no_rule) = ((401, "token.step_up"), (403, "policy.no_rule"));
    let robot = || json!({"act": {"sub": "robot"}});
    for (path, signed, said, expected) in [
        ("/level", json!({"acr": "gold"}), json!({"acr": "gold"}), PASSES),
        ("/level", json!({"acr": "gold"}), json!({}), PASSES),
        ("/level", json!({"acr": "gold"}), json!({"acr": "tin"}), step_up),
        ("/level", json!({"acr": "tin"}), json!({"acr": "gold"}), step_up),
        ("/fresh", json!({"auth_time": NOW - 10}), json!({"auth_time": NOW - 20}), PASSES),
        ("/fresh", json!({"auth_time": NOW - 10}), json!({"auth_time": NOW - 900}), step_up),
        ("/fresh", json!({"auth_time": NOW - 900}), json!({"auth_time": NOW - 10}), step_up),
        ("/all", robot(), json!({}), no_rule),
        ("/all", json!({}), robot(), no_rule),
        ("/actor", robot(), json!({}), PASSES),
        ("/actor", json!({}), robot(), PASSES),
        ("/actor", robot(), json!({"act": {"sub": "eve"}}), no_rule),
        ("/actor", json!({"act": {"sub": "eve"}}), robot(), no_rule),
    ] {
        let mut world = plain();
        let jwt = token(&ours, signed.clone());
        world.introspect(&jwt, active(&ours, said.clone()));
        assert_eq!(world.verdict(&at(path, &jwt, &ours)), expected, "{path}: {signed} and {said}");
    }
}

#[test]
fn c35_it_begins_with_the_later_of_both_and_ends_with_the_earlier() {
    let ours = certificate();
    let expired = (401, "token.expired");
    let early = (401, "token.not_yet_valid");
    for (signed, said, expected) in [
        (json!({"exp": NOW + 40}), json!({"exp": NOW + 300}), expired),
        (json!({"exp": NOW + 300}), json!({"exp": NOW + 40}), expired),
        (json!({"exp": NOW + 300}), json!({"exp": NOW + 300}), PASSES),
    ] {
        let mut world = asking(json!({"cache": "5m"}), json!({"leeway": "0s"}));
        let jwt = token(&ours, signed.clone());
        world.introspect(&jwt, active(&ours, said.clone()));
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "{signed} and {said}");
        world.later(39);
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "{signed} and {said}");
        assert_eq!(world.asked.len(), 2, "{signed} and {said}: no one is asked again");
        world.later(1);
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), expected, "{signed} and {said}");
    }
    for (signed, said, expected) in [
        (json!({"nbf": NOW}), json!({"nbf": NOW}), PASSES),
        (json!({"nbf": NOW + 60}), json!({}), early),
        (json!({"nbf": NOW}), json!({"nbf": NOW + 60}), early),
    ] {
        let mut world = plain();
        let jwt = token(&ours, signed.clone());
        world.introspect(&jwt, active(&ours, said.clone()));
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), expected, "{signed} and {said}");
        world.later(60);
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "{signed} and {said}, when its time has come");
    }
}

#[test]
fn c36_both_must_be_for_us() {
    let ours = certificate();
    let (us, others) = ("https://api.bank.example", "https://other.example");
    let audience = (401, "token.audience");
    for (signed, said, expected) in [
        (json!(us), json!([others, us]), PASSES),
        (json!([us, others]), json!(us), PASSES),
        (json!(us), json!(others), audience),
        (json!(us), Value::Null, audience),
        (json!(us), json!([]), audience),
        (json!(others), json!(us), audience),
    ] {
        let mut world = plain();
        let jwt = token(&ours, json!({"aud": signed}));
        world.introspect(&jwt, active(&ours, json!({"aud": said})));
        for _ in 0..2 {
            assert_eq!(world.verdict(&at("/all", &jwt, &ours)), expected, "{signed} and {said}");
        }
    }
    let mut world = plain();
    let jwt = token(&ours, json!({"aud": [us, others]}));
    world.introspect(&jwt, active(&ours, json!({"aud": us})));
    assert_eq!(world.verdict(&at("/other", &jwt, &ours)), audience, "a route's own audience must stand in both");
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES);
}

#[test]
fn c37_without_an_answer_no_signature_helps() {
    let ours = certificate();
    let jwt = token(&ours, json!({}));
    let good = active(&ours, json!({})).to_string();
    let mut world = plain();
    for (answer, reason) in [
        (AWAY, "server.introspection"),
        (Answer::None(NoAnswer::NotSent), "server.introspection"),
        (answered(503, &good), "server.introspection"),
        (Answer::None(NoAnswer::TooLarge), "server.unusable_answer"),
        (answered(200, &good[1..]), "server.unusable_answer"),
        (answered(200, r#"{"active":"true"}"#), "server.unusable_answer"),
        (answered(302, &good), "server.unusable_answer"),
        (answered(401, &good), "server.our_credentials"),
        (answered(400, r#"{"error":"invalid_client"}"#), "server.our_credentials"),
        (answered(400, r#"{"error":["invalid_client"]}"#), "server.unusable_answer"),
        // What a server says that introspects no JWTs at all: a mistake of ours, and no verdict.
        (answered(400, r#"{"error":"unsupported_token_type"}"#), "server.unusable_answer"),
    ] {
        world.introspection.insert(jwt.clone(), answer.clone());
        let told = world.send(&at("/all", &jwt, &ours));
        assert_eq!((told.status, told.reason, told.challenge), (503, reason, None), "{answer:?}");
        assert_eq!(world.verdict(&at("/signed", &jwt, &ours)), PASSES, "where nobody else is asked");
    }
    world.introspect(&jwt, active(&ours, json!({})));
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "and nothing is remembered of it");
}

#[test]
fn a_stale_answer_serves_while_the_server_is_away_and_says_so() {
    let ours = certificate();
    for (stale, late) in [("0s", (503, "server.introspection")), ("20s", (0, "granted.stale"))] {
        for is_jwt in [true, false] {
            let mut world = asking(json!({"stale_if_error": stale}), json!({}));
            let presented = if is_jwt { token(&ours, json!({})) } else { "opaque".to_owned() };
            world.introspect(&presented, active(&ours, json!({})));
            let asked = at("/all", &presented, &ours);
            assert_eq!(world.verdict(&asked), PASSES);
            world.introspection.insert(presented.clone(), AWAY);
            world.later(29);
            assert_eq!(world.verdict(&asked), PASSES, "it is remembered");
            world.later(20);
            assert_eq!(world.verdict(&asked), late, "{stale}");
            world.introspection.insert(presented.clone(), answered(400, "{}"));
            assert_eq!(world.verdict(&asked), (503, "server.unusable_answer"), "it is there, and of another mind");
            world.introspection.insert(presented.clone(), AWAY);
            world.later(1);
            assert_eq!(world.verdict(&asked), (503, "server.introspection"), "{stale}: 30 and 20 seconds are over");
        }
    }
}

#[test]
fn a_refusal_outlives_every_good_answer() {
    let ours = certificate();
    for is_jwt in [true, false] {
        let mut world = asking(json!({"cache": "0s", "stale_if_error": "1m"}), json!({}));
        let presented = if is_jwt { token(&ours, json!({})) } else { "opaque".to_owned() };
        let asked = at("/all", &presented, &ours);
        world.introspect(&presented, active(&ours, json!({})));
        assert_eq!(world.verdict(&asked), PASSES);
        world.introspection.insert(presented.clone(), AWAY);
        assert_eq!(world.verdict(&asked), (0, "granted.stale"));
        world.introspect(&presented, json!({"active": false}));
        assert_eq!(world.verdict(&asked), (401, "token.inactive"));
        world.introspection.insert(presented.clone(), AWAY);
        assert_eq!(world.verdict(&asked), (503, "server.introspection"), "what was good is forgotten");
    }
}

#[test]
fn a_stale_answer_never_outlives_the_token_as_either_ends_it() {
    let ours = certificate();
    for (signed, said) in [(40, 300), (300, 40)] {
        let mut world = asking(json!({"stale_if_error": "1m"}), json!({"leeway": "0s"}));
        let jwt = token(&ours, json!({"exp": NOW + signed}));
        world.introspect(&jwt, active(&ours, json!({"exp": NOW + said})));
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES);
        world.introspection.insert(jwt.clone(), AWAY);
        world.later(39);
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), (0, "granted.stale"));
        world.later(1);
        let over = if signed == 40 { (401, "token.expired") } else { (503, "server.introspection") };
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), over);
    }
}

#[test]
fn neither_evidence_stands_for_both() {
    let ours = certificate();
    let jwt = token(&ours, json!({}));
    let mut world = plain();
    // Remembered by its signature alone.
    assert_eq!(world.verdict(&at("/signed", &jwt, &ours)), PASSES);
    assert_eq!(world.asked, ["login/jwks"]);
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), (401, "token.inactive"));
    assert_eq!(world.verdict(&at("/signed", &jwt, &ours)), PASSES, "nobody else is asked there");
    // What is active and badly signed.
    let forged = Key::with_secret("k1", "another").jwt(&claims(&ours, json!({})));
    world.introspect(&forged, active(&ours, json!({})));
    world.asked.clear();
    for path in ["/all", "/signed"] {
        assert_eq!(world.verdict(&at(path, &forged, &ours)), (401, "token.signature"), "{path}");
    }
    assert_eq!(world.asked, Vec::<String>::new(), "of what no key vouches for, nobody is asked");
}

#[test]
fn nobody_is_asked_about_a_token_that_is_good_for_nothing_here() {
    let ours = certificate();
    let mut world = plain();
    world.verdict(&at("/all", &token(&ours, json!({})), &ours));
    world.asked.clear();
    for (others, expected) in [
        (json!({"exp": NOW - 60, "iat": NOW - 90}), (401, "token.expired")),
        (json!({"nbf": NOW + 60}), (401, "token.not_yet_valid")),
        (json!({"aud": "https://other.example"}), (401, "token.audience")),
        (json!({"iss": "https://evil.example"}), (401, "token.issuer")),
    ] {
        for _ in 0..2 {
            let told = world.send(&at("/all", &token(&ours, others.clone()), &ours));
            assert_eq!((told.status, told.reason), expected, "{others}");
        }
    }
    assert_eq!(world.asked, Vec::<String>::new());
}

#[test]
fn a_key_that_leaves_its_set_takes_along_what_both_said() {
    let ours = certificate();
    let mut world = asking(json!({"cache": "5m", "stale_if_error": "1m"}), json!({}));
    world.serve_keys("login", &[&Key::named("k1"), &Key::named("k2")]);
    let [first, second] = ["k1", "k2"].map(|kid| {
        let jwt = Key::named(kid).jwt(&claims(&ours, json!({"exp": NOW + 3000, "jti": kid})));
        world.introspect(&jwt, active(&ours, json!({"exp": NOW + 3000, "jti": kid})));
        jwt
    });
    world.later(200);
    for jwt in [&first, &second] {
        assert_eq!(world.verdict(&at("/all", jwt, &ours)), PASSES);
    }
    world.serve_keys("login", &[&Key::named("k2")]);
    world.later(299);
    for jwt in [&first, &second] {
        assert_eq!(world.verdict(&at("/all", jwt, &ours)), PASSES);
        world.introspection.insert(jwt.clone(), AWAY);
    }
    world.later(2);
    assert_eq!(world.verdict(&at("/all", &second, &ours)), (0, "granted.stale"), "its key is there still");
    assert_eq!(world.verdict(&at("/all", &first, &ours)), (401, "token.key"));
}

#[test]
fn without_a_cache_each_request_asks_and_no_signature_is_verified_twice() {
    let ours = certificate();
    let mut world = asking(json!({"cache": "0s"}), json!({}));
    let jwt = token(&ours, json!({}));
    world.introspect(&jwt, active(&ours, json!({})));
    for _ in 0..2 {
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES);
    }
    world.introspect(&jwt, json!({"active": false}));
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), (401, "token.inactive"));
    world.introspect(&jwt, active(&ours, json!({})));
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES, "nor is a bad answer remembered");
    assert_eq!(world.asked, ["login/jwks", "as/introspect", "as/introspect", "as/introspect", "as/introspect"]);
    assert_eq!(world.enforcer().remembered().entries, 1, "the signature");
}

#[test]
fn where_nothing_is_remembered_three_questions_are_enough() {
    let ours = certificate();
    let mut whole = bank();
    whole["introspection"] =
        json!({"cluster": "as", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    let route = json!({"name": "all", "path": "/**", "revocation": "introspection", "allow": "authenticated"});
    let document = json!({"issuers": [whole], "limits": {"tokens": 0}, "routes": [route]});
    let mut world = World::with_environment(document, &[("SECRET", "s3cr3t")]);
    let jwt = Key::named("k2").jwt(&claims(&ours, json!({})));
    world.introspect(&jwt, active(&ours, json!({})));
    assert_eq!(world.verdict(&at("/all", &jwt, &ours)), (401, "token.key"));
    assert_eq!(world.asked, ["login/jwks"], "there is no such key");
    world.serve_keys("login", &[&Key::named("k1"), &Key::named("k2")]);
    world.asked.clear();
    for _ in 0..2 {
        assert_eq!(world.verdict(&at("/all", &jwt, &ours)), PASSES);
    }
    assert_eq!(world.asked, ["login/jwks", "as/introspect", "as/introspect"], "keys, and then the endpoint");
    assert_eq!(world.enforcer().remembered().entries, 0);
}

#[test]
fn those_who_wait_for_one_answer_are_judged_each_by_its_own_certificate() {
    let (ours, theirs) = (certificate(), certificate());
    let mut world = plain();
    let jwt = token(&ours, json!({}));
    assert_eq!(world.verdict(&at("/signed", &jwt, &ours)), PASSES, "the keys are there");
    let mut waiting = Vec::new();
    for certificate in [&theirs, &ours, &theirs] {
        let Step::Ask(callout, suspended) = world.begin(&at("/all", &jwt, certificate)) else { panic!("it asks") };
        waiting.push((callout, suspended));
    }
    let id = waiting[0].0.id.clone();
    assert!(waiting.iter().all(|(callout, _)| callout.id == id), "one question for all of them");
    let now = UnixTime::new(world.now);
    let settled = world.enforcer().settle(&id, ok(active(&ours, json!({}))), now);
    let ends = waiting.into_iter().map(|(_, suspended)| match world.enforcer().resume(suspended, &settled, now) {
        Step::Done(Ok(_)) => PASSES,
        Step::Done(Err(refusal)) => (refusal.reply.status, refusal.report.reason),
        Step::Ask(..) => panic!("it has its answer"),
    });
    let stolen = (401, "binding.other_certificate");
    assert_eq!(ends.collect::<Vec<_>>(), [stolen, PASSES, stolen]);
}

#[test]
fn an_answer_that_comes_late_takes_no_refusal_back() {
    let ours = certificate();
    let mut world = plain();
    let jwt = token(&ours, json!({}));
    assert_eq!(world.verdict(&at("/signed", &jwt, &ours)), PASSES, "the keys are there");
    let asked = at("/all", &jwt, &ours);
    let Step::Ask(callout, early) = world.begin(&asked) else { panic!("it asks") };
    let then = UnixTime::new(world.now);
    let good = world.enforcer().settle(&callout.id, ok(active(&ours, json!({}))), then);
    // One who was answered goes on only when another has heard of the revocation.
    world.later(40);
    assert_eq!(world.verdict(&asked), (401, "token.inactive"));
    let now = UnixTime::new(world.now);
    let Step::Done(Err(refusal)) = world.enforcer().resume(early, &good, now) else { panic!("it is revoked") };
    assert_eq!(refusal.report.reason, "token.inactive");
    assert_eq!(world.verdict(&asked), (401, "token.inactive"));
}

#[test]
fn opaque_tokens_are_asked_about_as_ever_and_a_jwt_of_an_issuer_without_keys_too() {
    let ours = certificate();
    let mut world = plain();
    world.introspect("opaque", active(&ours, json!({})));
    assert_eq!(world.verdict(&at("/all", "opaque", &ours)), PASSES);
    assert_eq!(world.verdict(&at("/all", "unknown", &ours)), (401, "token.inactive"));
    assert_eq!(world.asked, ["as/introspect", "as/introspect"]);
    let mut keyless = asking(json!({}), json!({"jwks": null}));
    let jwt = token(&ours, json!({}));
    keyless.introspect(&jwt, active(&ours, json!({"sub": "eve"})));
    for _ in 0..2 {
        assert_eq!(keyless.verdict(&at("/all", &jwt, &ours)), PASSES, "nobody here can read it");
    }
    assert_eq!(keyless.asked, ["as/introspect"]);
}

#[test]
fn a_proof_is_for_what_both_say_the_token_is_bound_to() {
    let (ours, ann, eve) = (certificate(), Holder::named("ann"), Holder::named("eve"));
    let mut whole = bank();
    whole["introspection"] =
        json!({"cluster": "as", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    let route =
        json!({"name": "a", "path": "/a", "binding": "dpop", "revocation": "introspection", "allow": "authenticated"});
    let document = json!({"issuers": [whole], "dpop": {"origins": ["https://api.bank.example"]}, "routes": [route]});
    let (of_ann, of_eve) = (json!({"jkt": ann.jkt()}), json!({"jkt": eve.jkt()}));
    for (signed, said, holder, expected) in [
        (of_ann.clone(), of_ann.clone(), &ann, PASSES),
        (of_ann.clone(), Value::Null, &ann, PASSES),
        (Value::Null, of_ann.clone(), &ann, PASSES),
        (of_ann.clone(), of_ann.clone(), &eve, (401, "binding.other_key")),
        (of_ann.clone(), Value::Null, &eve, (401, "binding.other_key")),
        (Value::Null, of_ann.clone(), &eve, (401, "binding.other_key")),
        (of_ann.clone(), of_eve.clone(), &ann, (401, "token.disagreement")),
        (of_ann.clone(), of_eve.clone(), &eve, (401, "token.disagreement")),
        (of_ann.clone(), json!({"jkt": ann.jkt(), "kc-jkt-type": "DPoP"}), &ann, PASSES),
    ] {
        let mut world = World::with_environment(document.clone(), &[("SECRET", "s3cr3t")]);
        let jwt = token(&ours, json!({"cnf": signed}));
        let kind = if said.is_null() { Value::Null } else { json!("DPoP") };
        world.introspect(&jwt, active(&ours, json!({"cnf": said, "token_type": kind})));
        for jti in ["1", "2"] {
            let asked = get("/a").dpop(&jwt, &holder.proof("/a", &jwt, jti).sign());
            assert_eq!(world.verdict(&asked), expected, "{signed} and {said}");
        }
        assert_eq!(world.asked, ["login/jwks", "as/introspect"], "{signed} and {said}");
        let again = get("/a").dpop(&jwt, &holder.proof("/a", &jwt, "2").sign());
        let replayed = if expected == PASSES { (401, "proof.replayed") } else { expected };
        assert_eq!(world.verdict(&again), replayed, "{signed} and {said}");
    }
}

#[test]
fn of_several_issuers_each_is_asked_about_its_own_jwts_and_opaque_tokens_are_nobodys() {
    let ours = certificate();
    let endpoint = |cluster: &str| json!({"cluster": cluster, "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    let (mut first, mut second) = (bank(), bank());
    put(&mut first, json!({"introspection": endpoint("as")}));
    put(&mut second, json!({"issuer": "https://b.example", "name": "b", "introspection": endpoint("as-b")}));
    let routes = json!([{
        "name": "all", "path": "/**", "issuer": ["bank", "b"], "revocation": "introspection", "allow": "authenticated"
    }]);
    let mut world =
        World::with_environment(json!({"issuers": [first, second], "routes": routes}), &[("SECRET", "s3cr3t")]);
    for (issuer, cluster) in [("https://login.bank.example", "as"), ("https://b.example", "as-b")] {
        let jwt = token(&ours, json!({"iss": issuer}));
        world.introspect(&jwt, active(&ours, json!({"iss": issuer})));
        assert_eq!(world.verdict(&at("/x", &jwt, &ours)), PASSES, "{issuer}");
        assert_eq!(world.asked.last().map(String::as_str), Some(format!("{cluster}/introspect").as_str()));
    }
    assert_eq!(world.verdict(&at("/x", "opaque", &ours)), (401, "token.format"));
}
