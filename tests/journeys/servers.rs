//! What an authorization server may say or leave unsaid (checklist §4, 2.23, INTRO rows), and what is remembered of it.

use harness::Certificate;
use holdfast::callout::{Answer, NoAnswer, Response};
use holdfast::flow::Step;
use serde_json::{Value, json};

use super::world::{Key, NOW, PASSES, World, answered, bank, certificate, claims, get, ok, token};

fn introspecting(changes: Value, issuer: Value) -> World {
    let mut introspection =
        json!({"cluster": "as", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    for (name, value) in changes.as_object().unwrap() {
        introspection[name] = value.clone();
    }
    let mut whole = bank();
    whole["introspection"] = introspection;
    for (name, value) in issuer.as_object().unwrap() {
        match value {
            Value::Null => drop(whole.as_object_mut().unwrap().remove(name)),
            value => whole[name] = value.clone(),
        }
    }
    let routes = json!([
        {"name": "all", "path": "/all", "allow": "authenticated"},
        {"name": "admin", "path": "/admin", "allow": [{"scopes": ["admin"]}]},
        {"name": "other", "path": "/other", "audiences": ["https://other.example"], "allow": "authenticated"}
    ]);
    World::with_environment(json!({"issuers": [whole], "routes": routes}), &[("SECRET", "s3cr3t")])
}

/// What a server says of a good opaque token.
fn active(ours: &Certificate, others: Value) -> Value {
    let mut said = json!({"active": true, "token_type": "Bearer"});
    for (name, value) in claims(ours, others).as_object().unwrap() {
        said[name] = value.clone();
    }
    said
}

#[test]
fn what_an_active_token_must_say_of_itself() {
    let ours = certificate();
    let table = [
        (json!({}), PASSES),
        (json!({"sub": null, "jti": null, "iss": null, "iat": null, "nbf": null}), PASSES),
        (json!({"token_type": "DPoP"}), (401, "token.type")),
        (json!({"token_type": "N_A"}), (401, "token.type")),
        (json!({"token_type": "refresh_token"}), (401, "token.type")),
        (json!({"token_type": 1}), (401, "token.type")),
        (json!({"iss": "https://evil.example"}), (401, "token.issuer")),
        (json!({"iss": 1}), (401, "token.issuer")),
        (json!({"aud": null}), (401, "token.audience")),
        (json!({"aud": "https://other.example"}), (401, "token.audience")),
        (json!({"exp": NOW - 60, "iat": NOW - 100}), (401, "token.expired")),
        (json!({"nbf": NOW + 60}), (401, "token.not_yet_valid")),
        (json!({"exp": null}), (401, "token.claim_missing")),
        (json!({"exp": "soon"}), (401, "token.claim")),
        (json!({"exp": NOW + 100_000}), (401, "token.lifetime")),
        (json!({"cnf": null}), (401, "binding.unbound")),
        (json!({"cnf": {"jwk": {}}}), (401, "token.confirmation")),
        (json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}), (401, "token.type")),
        (
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "token_type": "DPoP"}),
            (401, "binding.bearer_downgrade"),
        ),
        (
            json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}, "token_type": "N_A"}),
            (401, "token.type"),
        ),
    ];
    for (others, expected) in table {
        let mut world = introspecting(json!({}), json!({}));
        let kind = others.get("token_type").cloned();
        let mut said = active(&ours, others.clone());
        if let Some(kind) = kind {
            said["token_type"] = kind;
        }
        world.introspect("opaque", said);
        assert_eq!(world.verdict(&get("/all").bearer("opaque").certificate(&ours)), expected, "{others}");
    }
}

/// Keycloak's answer about a token whose client asks for certificate and DPoP: bound to the certificate, and called DPoP.
#[test]
fn a_legacy_issuer_may_call_a_token_dpop_that_it_has_bound_to_a_certificate() {
    let ours = certificate();
    let unbound = json!({"cnf": null, "token_type": "DPoP"});
    for (profile, changes, expected) in [
        ("legacy", json!({"token_type": "DPoP"}), PASSES),
        ("legacy", unbound.clone(), (401, "token.type")),
        ("rfc9068", json!({"token_type": "DPoP"}), (401, "token.type")),
        ("rfc9068", unbound, (401, "token.type")),
    ] {
        let mut world = introspecting(json!({}), json!({"profile": profile}));
        let mut said = active(&ours, changes.clone());
        said["token_type"] = changes["token_type"].clone();
        world.introspect("opaque", said);
        let verdict = world.verdict(&get("/all").bearer("opaque").certificate(&ours));
        assert_eq!(verdict, expected, "{profile}: {changes}");
    }
}

#[test]
fn without_token_type_the_audience_must_have_told_it() {
    let ours = certificate();
    let mut said = active(&ours, json!({}));
    said.as_object_mut().unwrap().remove("token_type");
    for (issuer, expected) in
        [(json!({}), PASSES), (json!({"audiences": null, "danger_any_audience": true}), (401, "token.type"))]
    {
        let mut world = introspecting(json!({}), issuer);
        world.introspect("opaque", said.clone());
        world.introspect("typed", active(&ours, json!({})));
        let verdict = |world: &mut World, token| world.verdict(&get("/all").bearer(token).certificate(&ours));
        assert_eq!(verdict(&mut world, "opaque"), expected);
        assert_eq!(verdict(&mut world, "typed"), PASSES);
    }
}

#[test]
fn an_audience_of_the_route_tells_it_too() {
    let ours = certificate();
    let mut world = introspecting(json!({}), json!({"audiences": null, "danger_any_audience": true}));
    let mut said = active(&ours, json!({"aud": "https://other.example"}));
    said.as_object_mut().unwrap().remove("token_type");
    world.introspect("opaque", said);
    assert_eq!(world.verdict(&get("/other").bearer("opaque").certificate(&ours)), PASSES);
    assert_eq!(world.verdict(&get("/all").bearer("opaque").certificate(&ours)), (401, "token.type"));
}

#[test]
fn an_answer_that_is_none_is_no_verdict_and_is_not_remembered() {
    let ours = certificate();
    let asked = get("/all").bearer("opaque").certificate(&ours);
    let good = active(&ours, json!({})).to_string();
    let table = [
        (answered(200, "{}"), "server.unusable_answer"),
        (answered(200, r#"{"active":"true"}"#), "server.unusable_answer"),
        (answered(200, r#"{"active":1}"#), "server.unusable_answer"),
        (answered(200, r#"{"active":null}"#), "server.unusable_answer"),
        (answered(200, r#"{"active":[]}"#), "server.unusable_answer"),
        (answered(200, r#"{"active":true,"active":false}"#), "server.unusable_answer"),
        (answered(200, &good.replacen('{', r#"{"active":false,"#, 1)), "server.unusable_answer"),
        (answered(200, ""), "server.unusable_answer"),
        (answered(200, &good[..good.len() - 1]), "server.unusable_answer"),
        (answered(200, &format!("[{good}]")), "server.unusable_answer"),
        (answered(204, ""), "server.unusable_answer"),
        (answered(400, &good), "server.unusable_answer"),
        (answered(302, &good), "server.unusable_answer"),
        (answered(401, &good), "server.our_credentials"),
        (answered(403, &good), "server.our_credentials"),
        (answered(500, &good), "server.introspection"),
        (answered(503, ""), "server.introspection"),
        (Answer::None(NoAnswer::Reset), "server.introspection"),
        (Answer::None(NoAnswer::NotSent), "server.introspection"),
        (Answer::None(NoAnswer::TooLarge), "server.unusable_answer"),
    ];
    let mut world = introspecting(json!({}), json!({}));
    for (answer, reason) in table {
        world.introspection.insert("opaque".into(), answer.clone());
        assert_eq!(world.verdict(&asked), (503, reason), "{answer:?}");
    }
    world.introspect("opaque", active(&ours, json!({})));
    assert_eq!(world.verdict(&asked), PASSES);
}

#[test]
fn an_answer_that_says_it_is_something_else_is_none() {
    let ours = certificate();
    let asked = get("/all").bearer("opaque").certificate(&ours);
    for (content_type, expected) in [
        ("application/json", PASSES),
        ("Application/JSON; charset=utf-8", PASSES),
        ("application/json;charset=UTF-8", PASSES),
        ("", PASSES),
        ("text/html", (503, "server.unusable_answer")),
        ("text/html; charset=application/json", (503, "server.unusable_answer")),
        ("application/jwt", (503, "server.unusable_answer")),
        ("application/token-introspection+jwt", (503, "server.unusable_answer")),
        ("application/json2", (503, "server.unusable_answer")),
        ("application/json,text/html", (503, "server.unusable_answer")),
    ] {
        let mut world = introspecting(json!({}), json!({}));
        let body = active(&ours, json!({})).to_string().into_bytes();
        let response = Response { content_type: content_type.to_owned(), ..Response::new(200, body) };
        world.introspection.insert("opaque".into(), Answer::Response(response));
        assert_eq!(world.verdict(&asked), expected, "{content_type}");
    }
}

#[test]
fn an_answer_is_remembered_for_its_time_and_judged_anew_each_time() {
    let (ours, theirs) = (certificate(), certificate());
    let mut world = introspecting(json!({}), json!({}));
    world.introspect("opaque", active(&ours, json!({"scope": "read"})));
    let asked = |path: &str| get(path).bearer("opaque").certificate(&ours);
    assert_eq!(world.verdict(&asked("/all")), PASSES);
    assert_eq!(world.verdict(&asked("/all").certificate(&theirs)), (401, "binding.other_certificate"));
    assert_eq!(world.verdict(&asked("/admin")), (403, "token.scope"));
    assert_eq!(world.verdict(&asked("/other")), (401, "token.audience"));
    assert_eq!(world.asked.len(), 1);
    world.introspect("opaque", json!({"active": false}));
    world.later(29);
    assert_eq!(world.verdict(&asked("/all")), PASSES);
    world.later(1);
    assert_eq!(world.verdict(&asked("/all")), (401, "token.inactive"));
    assert_eq!(world.asked.len(), 2);
    world.later(4);
    assert_eq!(world.verdict(&asked("/all")), (401, "token.inactive"));
    assert_eq!(world.asked.len(), 2, "a bad answer is remembered for five seconds");
    world.later(1);
    world.verdict(&asked("/all"));
    assert_eq!(world.asked.len(), 3);
}

#[test]
fn an_answer_never_outlives_the_token() {
    let ours = certificate();
    let mut world = introspecting(json!({"stale_if_error": "1m"}), json!({}));
    world.introspect("opaque", active(&ours, json!({"exp": NOW + 10})));
    let asked = get("/all").bearer("opaque").certificate(&ours);
    assert_eq!(world.verdict(&asked), PASSES);
    world.introspection.insert("opaque".into(), Answer::None(NoAnswer::Reset));
    world.later(10);
    assert_eq!(world.verdict(&asked), (503, "server.introspection"));
}

#[test]
fn without_a_cache_every_request_asks() {
    let ours = certificate();
    let mut world = introspecting(json!({"cache": "0s"}), json!({}));
    world.introspect("opaque", active(&ours, json!({})));
    let asked = get("/all").bearer("opaque").certificate(&ours);
    assert_eq!(world.verdict(&asked), PASSES);
    assert_eq!(world.verdict(&asked), PASSES);
    world.introspect("opaque", json!({"active": false}));
    assert_eq!(world.verdict(&asked), (401, "token.inactive"));
    assert_eq!(world.asked.len(), 3);
}

#[test]
fn a_stale_answer_serves_only_where_asked_for_and_only_while_the_server_is_away() {
    let ours = certificate();
    let asked = get("/all").bearer("opaque").certificate(&ours);
    for (settings, expected) in
        [(json!({}), (503, "server.introspection")), (json!({"stale_if_error": "1m"}), (0, "granted.stale"))]
    {
        let mut world = introspecting(settings, json!({}));
        world.introspect("opaque", active(&ours, json!({})));
        assert_eq!(world.verdict(&asked), PASSES);
        world.introspection.insert("opaque".into(), Answer::None(NoAnswer::Reset));
        world.later(89);
        assert_eq!(world.verdict(&asked), expected);
        world.later(1);
        assert_eq!(world.verdict(&asked), (503, "server.introspection"));
        world.introspect("opaque", json!({"active": false}));
        assert_eq!(world.verdict(&asked), (401, "token.inactive"));
    }
}

#[test]
fn without_exp_a_token_is_good_for_five_seconds_where_the_operator_says_so() {
    let ours = certificate();
    let mut world = introspecting(json!({"danger_allow_no_exp": true}), json!({}));
    world.introspect("opaque", active(&ours, json!({"exp": null})));
    let asked = get("/all").bearer("opaque").certificate(&ours);
    assert_eq!(world.verdict(&asked), PASSES);
    world.introspect("opaque", json!({"active": false}));
    world.later(4);
    assert_eq!(world.verdict(&asked), PASSES);
    world.later(1);
    assert_eq!(world.verdict(&asked), (401, "token.inactive"));
}

#[test]
fn where_nothing_could_bind_it_nobody_is_asked_about_a_token() {
    let mut world = introspecting(json!({}), json!({}));
    assert_eq!(world.verdict(&get("/all").bearer("opaque")), (401, "binding.no_certificate"));
    assert_eq!(world.asked, Vec::<String>::new());
}

#[test]
fn an_issuer_without_keys_is_asked_about_jwts_too() {
    let ours = certificate();
    let jwt = token(&ours, json!({}));
    let mut world = introspecting(json!({}), json!({"jwks": null}));
    world.introspect(&jwt, active(&ours, json!({})));
    assert_eq!(world.verdict(&get("/all").bearer(&jwt).certificate(&ours)), PASSES);
    assert_eq!(world.asked, ["as/introspect"]);
}

#[test]
fn a_token_that_is_too_long_to_be_opaque_is_not_sent() {
    let ours = certificate();
    let mut world = introspecting(json!({}), json!({}));
    let asked = |length: usize| get("/all").bearer(&"o".repeat(length)).certificate(&ours);
    assert_eq!(world.verdict(&asked(2048)), (401, "token.inactive"));
    assert_eq!(world.verdict(&asked(2049)), (401, "token.format"));
}

#[test]
fn what_is_sent_is_a_form_with_our_credential_and_nothing_in_the_url() {
    let ours = certificate();
    let mut world = introspecting(json!({"client_id": "rs a"}), json!({}));
    let Step::Ask(callout, _) = world.begin(&get("/all").bearer("a+b/c~=").certificate(&ours)) else {
        panic!("no question")
    };
    let service = &callout.id.service;
    assert_eq!((service.method, service.path.as_str(), service.cluster.as_str()), ("POST", "/introspect", "as"));
    assert_eq!(service.authority, "login.bank.example");
    assert_eq!(&*callout.id.body, b"token=a%2Bb%2Fc%7E%3D&token_type_hint=access_token");
    let mut headers = service.headers.clone();
    headers.sort_unstable();
    let expected = [
        ("accept", "application/json"),
        ("authorization", "Basic cnMrYTpzM2NyM3Q="),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    assert_eq!(headers, expected.map(|(name, value)| (name, value.to_owned())));
}

fn of_keys() -> World {
    World::new(json!({"issuers": [bank()], "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]}))
}

#[test]
fn a_key_that_is_rolled_in_is_found_by_one_refetch_and_one_rolled_out_fails_after_the_next() {
    let ours = certificate();
    let mut world = of_keys();
    let (old, new) = (Key::named("k1"), Key::named("k2"));
    let asked = |key: &Key, now: u64| {
        get("/").bearer(&key.jwt(&claims(&ours, json!({"iat": now, "exp": now + 300})))).certificate(&ours)
    };
    assert_eq!(world.verdict(&asked(&old, NOW)), PASSES);
    world.serve_keys("login", &[&old, &new]);
    assert_eq!(world.verdict(&asked(&new, NOW)), PASSES);
    assert_eq!(world.asked.len(), 2);
    world.serve_keys("login", &[&new]);
    assert_eq!(world.verdict(&asked(&old, NOW)), PASSES, "until the set is fetched again");
    world.later(300);
    assert_eq!(world.verdict(&asked(&old, world.now)), (401, "token.key"));
    assert_eq!(world.verdict(&asked(&new, world.now)), PASSES);
}

#[test]
fn a_flood_of_unknown_kids_costs_three_fetches_and_one_more_in_five_seconds() {
    let ours = certificate();
    let mut world = of_keys();
    assert_eq!(world.verdict(&get("/").bearer(&token(&ours, json!({}))).certificate(&ours)), PASSES);
    for number in 0..100 {
        let flood = Key::named(&format!("flood {number}")).jwt(&claims(&ours, json!({})));
        assert_eq!(world.verdict(&get("/").bearer(&flood).certificate(&ours)), (401, "token.key"));
    }
    assert_eq!(world.asked.len(), 1 + 3);
    world.later(5);
    for number in 0..100 {
        let flood = Key::named(&format!("flood {number}")).jwt(&claims(&ours, json!({})));
        assert_eq!(world.verdict(&get("/").bearer(&flood).certificate(&ours)), (401, "token.key"));
    }
    assert_eq!(world.asked.len(), 1 + 3 + 1);
}

#[test]
fn without_keys_nothing_is_believed_and_nothing_is_called_a_bad_token() {
    let ours = certificate();
    let mut world = of_keys();
    let asked = get("/").bearer(&token(&ours, json!({}))).certificate(&ours);
    for answer in [Answer::None(NoAnswer::Reset), answered(500, ""), answered(200, "rubbish"), answered(200, "{}")] {
        world.keys.insert("login".into(), answer);
        assert_eq!(world.verdict(&asked), (503, "server.keys"));
        world.later(10);
    }
    world.serve_keys("login", &[&Key::named("k1")]);
    assert_eq!(world.verdict(&asked), PASSES);
}

#[test]
fn one_bad_key_spoils_no_good_one() {
    let ours = certificate();
    let mut world = of_keys();
    let mut private = Key::named("k3").jwk();
    private["d"] = json!("AAAA");
    let mut off_curve = Key::named("k4").jwk();
    off_curve["x"] = off_curve["y"].clone();
    let keys =
        json!([{"kty": "none"}, private, off_curve, {"kty": "oct", "k": "AAAA", "kid": "k1"}, Key::named("k1").jwk()]);
    world.keys.insert("login".into(), ok(json!({"keys": keys})));
    let asked = |kid: &str| get("/").bearer(&Key::named(kid).jwt(&claims(&ours, json!({})))).certificate(&ours);
    assert_eq!(world.verdict(&asked("k1")), PASSES);
    assert_eq!(world.verdict(&asked("k3")), (401, "token.key"));
    assert_eq!(world.verdict(&asked("k4")), (401, "token.key"));
}

#[test]
fn three_keys_of_one_kid_are_tried_and_none_behind_them() {
    let ours = certificate();
    let mut world = of_keys();
    let keys = ["a", "b", "c", "d"].map(|secret| Key::with_secret("k1", secret));
    world.keys.insert("login".into(), ok(json!({"keys": keys.each_ref().map(Key::jwk)})));
    let verdicts =
        keys.map(|key| world.verdict(&get("/").bearer(&key.jwt(&claims(&ours, json!({})))).certificate(&ours)));
    assert_eq!(verdicts, [PASSES, PASSES, PASSES, (401, "token.signature")]);
}

#[test]
fn beside_a_key_of_unusual_size_nothing_of_its_kid_is_tried() {
    let ours = certificate();
    let good = harness::SigningKey::new(harness::Algorithm::Ps256, "k1");
    let mut large = good.jwk();
    large["n"] = json!(harness::base64url(&[0xff; 1024]));
    let token = good.mint(json!({}), &claims(&ours, json!({})));
    let verdict = |keys: Value| {
        let mut world = of_keys();
        world.keys.insert("login".into(), ok(json!({"keys": keys})));
        world.verdict(&get("/").bearer(&token).certificate(&ours))
    };
    assert_eq!(verdict(json!([good.jwk()])), PASSES);
    assert_eq!(verdict(json!([large, good.jwk()])), (401, "token.signature"));
}

#[test]
fn a_worker_fetches_the_keys_of_each_issuer_before_anybody_asks() {
    let mut world = of_keys();
    let now = holdfast::time::UnixTime::new(NOW);
    let due = world.enforcer().due(now);
    assert_eq!(due.len(), 1);
    assert_eq!(due[0].id.service.path, "/jwks");
    assert_eq!(world.enforcer().due(now), []);
}

#[test]
fn what_a_callout_came_to_is_one_of_few_words() {
    use holdfast::callout::NoAnswer;
    use holdfast::flow::Settled;
    use holdfast::keys::{Failure, Fetched};
    use holdfast::token::introspection::Unusable;
    let keys = |failure| Settled::Keys(Fetched::Failed(failure));
    let introspection = |unusable| Settled::Introspection(Err(unusable));
    for (settled, expected) in [
        (Settled::Keys(Fetched::Set { keys: 1, skipped: vec![] }), "answered"),
        (keys(Failure::NoAnswer(NoAnswer::Reset)), "reset"),
        (keys(Failure::Status(404)), "other_status"),
        (keys(Failure::NotAKeySet), "unusable"),
        (introspection(Unusable::NoAnswer(NoAnswer::NotSent)), "not_sent"),
        (introspection(Unusable::NoAnswer(NoAnswer::TooLarge)), "too_large"),
        (introspection(Unusable::Status(500)), "unavailable"),
        (introspection(Unusable::OurCredentials), "our_credentials"),
        (introspection(Unusable::Body), "unusable"),
        (Settled::Crowded, "crowded"),
    ] {
        assert_eq!(settled.outcome(), expected, "{settled:?}");
    }
}

#[test]
fn an_unusable_answer_is_told_in_the_operators_words() {
    use holdfast::token::Error as TokenError;
    use holdfast::token::introspection::Unusable;
    for (unusable, expected) in [
        (Unusable::NoAnswer(NoAnswer::Reset), NoAnswer::Reset.to_string()),
        (Unusable::OurCredentials, "the server refused our own credentials".to_owned()),
        (Unusable::Status(502), "the server answered 502".to_owned()),
        (Unusable::Body, "the answer is not one of this protocol".to_owned()),
        (Unusable::Signed(TokenError::Audience), "the signed answer is not believed for its audience".to_owned()),
    ] {
        assert_eq!(unusable.to_string(), expected);
    }
}
