//! What is remembered of tokens is a fact and never a verdict: all that can change is judged again on every use, and nobody is
//! answered by the word of another issuer, key, endpoint or route.

use harness::Certificate;
use serde_json::{Value, json};

use super::world::{Ask, Key, NOW, PASSES, World, bank, certificate, claims, get, token};

/// Introspection of an issuer at a cluster of its own.
fn introspection(cluster: &str) -> Value {
    json!({"cluster": cluster, "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}})
}

fn world(issuers: Value, routes: Value) -> World {
    World::with_environment(json!({"issuers": issuers, "routes": routes}), &[("SECRET", "s3cr3t")])
}

fn everywhere(issuers: Value) -> World {
    world(issuers, json!([{"name": "all", "path": "/**", "allow": "authenticated"}]))
}

/// An issuer beside `bank`, whose keys are at `other` too.
fn other() -> Value {
    json!({"issuer": "https://other.example", "name": "other", "audiences": ["https://api.bank.example"],
           "jwks": {"cluster": "other", "path": "/jwks"}})
}

fn with(token: &str, ours: &Certificate) -> Ask {
    get("/all").bearer(token).certificate(ours)
}

fn active(ours: &Certificate, others: Value) -> Value {
    let mut said = claims(ours, others);
    said["active"] = json!(true);
    said["token_type"] = json!("Bearer");
    said
}

#[test]
fn a_token_is_remembered_once_it_was_vouched_for_and_no_other_is() {
    let ours = certificate();
    let mut world = everywhere(json!([bank()]));
    let mut forged = token(&ours, json!({}));
    assert_eq!(world.verdict(&with(&forged, &ours)), PASSES);
    assert_eq!(world.enforcer().remembered().entries, 1);
    assert_eq!(world.verdict(&with(&forged, &ours)), PASSES);
    assert_eq!(world.enforcer().remembered().entries, 1);
    forged.replace_range(forged.len() - 20..forged.len() - 18, "AA");
    let expired = token(&ours, json!({"exp": NOW - 60, "iat": NOW - 100}));
    let unsigned = Key::with_secret("k1", "another").jwt(&claims(&ours, json!({})));
    for (bad, reason) in [(forged, "token.signature"), (expired, "token.expired"), (unsigned, "token.signature")] {
        assert_eq!(world.verdict(&with(&bad, &ours)), (401, reason));
    }
    assert_eq!(world.enforcer().remembered().entries, 2, "the one that is over has a place beside the good ones");
}

#[test]
fn time_binding_audience_and_scope_are_judged_again_on_every_use() {
    let (ours, thiefs) = (certificate(), certificate());
    let routes = json!([
        {"name": "all", "path": "/all", "allow": "authenticated"},
        {"name": "admin", "path": "/admin", "allow": [{"scopes": ["admin"]}]},
        {"name": "other", "path": "/other", "audiences": ["https://other.example"], "allow": "authenticated"},
        {"name": "org", "path": "/org/{org}", "allow": [{"claims": {"/organization": "{org}"}}]}
    ]);
    let mut issuer = bank();
    issuer["introspection"] = introspection("as");
    let mut world = world(json!([issuer]), routes);
    let jwt = token(&ours, json!({"scope": "read", "organization": "acme"}));
    world.introspect("opaque", active(&ours, json!({"scope": "read", "organization": "acme"})));
    for presented in [jwt.as_str(), "opaque"] {
        let table = [
            ("/all", &ours, PASSES),
            ("/all", &thiefs, (401, "binding.other_certificate")),
            ("/admin", &ours, (403, "token.scope")),
            ("/other", &ours, (401, "token.audience")),
            ("/org/acme", &ours, PASSES),
            ("/org/other", &ours, (403, "policy.no_rule")),
            ("/all", &ours, PASSES),
        ];
        for (path, certificate, expected) in table {
            let asked = get(path).bearer(presented).certificate(certificate);
            assert_eq!(world.verdict(&asked), expected, "{path}");
        }
    }
    assert_eq!(world.asked, ["login/jwks", "as/introspect"], "nothing was asked twice");
    assert_eq!(world.enforcer().remembered().entries, 2);
    world.later(600);
    world.introspect("opaque", json!({"active": false}));
    assert_eq!(world.verdict(&with(&jwt, &ours)), (401, "token.expired"));
    assert_eq!(world.verdict(&with("opaque", &ours)), (401, "token.inactive"));
}

#[test]
fn a_key_that_leaves_its_set_takes_its_tokens_along() {
    let ours = certificate();
    let mut world = everywhere(json!([bank()]));
    world.serve_keys("login", &[&Key::named("k1"), &Key::named("k2")]);
    let good = |key: &Key| key.jwt(&claims(&ours, json!({"exp": NOW + 3000})));
    let [first, second] = ["k1", "k2"].map(|kid| good(&Key::named(kid)));
    assert_eq!(world.verdict(&with(&first, &ours)), PASSES);
    assert_eq!(world.verdict(&with(&second, &ours)), PASSES);
    world.serve_keys("login", &[&Key::named("k2"), &Key::named("k3")]);
    world.later(301);
    assert_eq!(world.verdict(&with(&second, &ours)), PASSES, "the set is asked for first");
    assert_eq!(world.verdict(&with(&first, &ours)), (401, "token.key"));
    assert_eq!(world.asked, ["login/jwks", "login/jwks", "login/jwks"], "the last for a kid that is not there");
}

#[test]
fn another_key_of_the_same_name_does_not_vouch_for_what_the_old_one_signed() {
    let ours = certificate();
    let mut world = everywhere(json!([bank()]));
    let old = Key::named("k1").jwt(&claims(&ours, json!({"exp": NOW + 3000})));
    assert_eq!(world.verdict(&with(&old, &ours)), PASSES);
    world.serve_keys("login", &[&Key::with_secret("k1", "another")]);
    world.later(301);
    assert_eq!(world.verdict(&with(&old, &ours)), (401, "token.signature"));
    world.serve_keys("login", &[&Key::named("k1")]);
    world.later(301);
    assert_eq!(world.verdict(&with(&old, &ours)), PASSES, "it is back");
}

#[test]
fn a_key_whose_purpose_has_changed_vouches_no_longer() {
    let ours = certificate();
    let mut world = everywhere(json!([bank()]));
    let old = Key::named("k1").jwt(&claims(&ours, json!({"exp": NOW + 3000})));
    assert_eq!(world.verdict(&with(&old, &ours)), PASSES);
    let mut renamed = Key::named("k1").jwk();
    renamed["kid"] = json!("k9");
    world.keys.insert("login".into(), super::world::ok(json!({"keys": [renamed]})));
    world.later(301);
    assert_eq!(world.verdict(&with(&old, &ours)), (401, "token.key"));
}

#[test]
fn keys_too_old_to_serve_vouch_for_nothing() {
    let ours = certificate();
    let mut issuer = bank();
    issuer["jwks"]["max_stale"] = json!("10m");
    let mut world = everywhere(json!([issuer]));
    let long = Key::named("k1").jwt(&claims(&ours, json!({"exp": NOW + 3000})));
    assert_eq!(world.verdict(&with(&long, &ours)), PASSES);
    world.keys.clear();
    for (seconds, expected) in [(301, PASSES), (298, PASSES), (1, (503, "server.keys"))] {
        world.later(seconds);
        assert_eq!(world.verdict(&with(&long, &ours)), expected, "{seconds} s later");
    }
}

#[test]
fn a_route_takes_no_token_of_an_issuer_that_it_does_not_name() {
    let ours = certificate();
    let routes = json!([
        {"name": "bank", "path": "/bank", "issuer": "bank", "allow": "authenticated"},
        {"name": "other", "path": "/other", "issuer": "other", "allow": "authenticated"},
        {"name": "both", "path": "/both", "issuer": ["bank", "other"], "allow": "authenticated"}
    ]);
    let mut world = world(json!([bank(), other()]), routes);
    world.serve_keys("other", &[&Key::named("k1")]);
    let of_bank = token(&ours, json!({}));
    let of_other = token(&ours, json!({"iss": "https://other.example"}));
    for _ in 0..2 {
        for (path, presented, expected) in [
            ("/bank", &of_bank, PASSES),
            ("/other", &of_bank, (401, "token.issuer")),
            ("/both", &of_bank, PASSES),
            ("/bank", &of_other, (401, "token.issuer")),
            ("/other", &of_other, PASSES),
            ("/both", &of_other, PASSES),
        ] {
            assert_eq!(world.verdict(&get(path).bearer(presented).certificate(&ours)), expected, "{path}");
        }
    }
    assert_eq!(world.enforcer().remembered().entries, 2);
}

#[test]
fn an_endpoint_answers_only_for_its_own_routes() {
    let ours = certificate();
    let issuer = |name: &str| {
        json!({"issuer": format!("https://{name}.example"), "name": name, "audiences": ["https://api.bank.example"],
               "introspection": introspection(name)})
    };
    let route =
        |name: &str| json!({"name": name, "path": format!("/{name}"), "issuer": name, "allow": "authenticated"});
    let mut world = world(json!([issuer("one"), issuer("two")]), json!([route("one"), route("two")]));
    world.introspect("opaque", active(&ours, json!({"iss": null})));
    for _ in 0..2 {
        assert_eq!(world.verdict(&get("/one").bearer("opaque").certificate(&ours)), PASSES);
    }
    world.introspect("opaque", json!({"active": false}));
    for _ in 0..2 {
        assert_eq!(world.verdict(&get("/two").bearer("opaque").certificate(&ours)), (401, "token.inactive"));
        assert_eq!(world.verdict(&get("/one").bearer("opaque").certificate(&ours)), PASSES);
    }
    assert_eq!(world.asked, ["one/introspect", "two/introspect"]);
}

#[test]
fn a_jwt_is_believed_by_its_signature_where_a_route_has_keys_and_by_the_endpoint_where_it_has_none() {
    let ours = certificate();
    let introspecting = json!({"issuer": "https://login.example", "name": "login", "introspection": introspection("as"),
                               "audiences": ["https://api.bank.example"]});
    let routes = json!([
        {"name": "keys", "path": "/keys", "issuer": "bank", "allow": "authenticated"},
        {"name": "asks", "path": "/asks", "issuer": "login", "allow": "authenticated"},
        {"name": "both", "path": "/both", "issuer": ["bank", "login"], "allow": "authenticated"}
    ]);
    let verdict =
        |world: &mut World, path: &str, token: &str| world.verdict(&get(path).bearer(token).certificate(&ours));
    // Its signature is bad, and yet the endpoint says that it is active.
    let forged = Key::with_secret("k1", "another").jwt(&claims(&ours, json!({})));
    let mut asking = world(json!([bank(), introspecting]), routes.clone());
    asking.introspect(&forged, active(&ours, json!({"iss": null})));
    for _ in 0..2 {
        assert_eq!(verdict(&mut asking, "/asks", &forged), PASSES);
        assert_eq!(verdict(&mut asking, "/keys", &forged), (401, "token.signature"));
        assert_eq!(verdict(&mut asking, "/both", &forged), (401, "token.signature"));
    }
    // Its signature is good, and the endpoint does not know it.
    let good = token(&ours, json!({}));
    for _ in 0..2 {
        assert_eq!(verdict(&mut asking, "/keys", &good), PASSES);
        assert_eq!(verdict(&mut asking, "/both", &good), PASSES);
        assert_eq!(verdict(&mut asking, "/asks", &good), (401, "token.inactive"));
    }
}

#[test]
fn nothing_is_remembered_where_the_operator_wants_nothing() {
    let ours = certificate();
    let configuration = json!({"issuers": [bank()], "limits": {"tokens": 0},
                               "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]});
    let mut world = World::new(configuration);
    for _ in 0..2 {
        assert_eq!(world.verdict(&with(&token(&ours, json!({})), &ours)), PASSES);
        assert_eq!(world.enforcer().remembered().entries, 0);
    }
}

#[test]
fn a_flood_of_bad_tokens_drives_out_no_verified_one() {
    let ours = certificate();
    let mut issuer = bank();
    issuer["introspection"] = introspection("as");
    let configuration = json!({"issuers": [issuer], "limits": {"tokens": 4},
                               "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]});
    let mut world = World::with_environment(configuration, &[("SECRET", "s3cr3t")]);
    let good: Vec<String> = (0..3).map(|number| token(&ours, json!({"jti": number.to_string()}))).collect();
    world.introspect("opaque", active(&ours, json!({})));
    let all = || good.iter().map(String::as_str).chain(["opaque"]);
    for token in all() {
        assert_eq!(world.verdict(&with(token, &ours)), PASSES);
    }
    let end = &good[0][good[0].len() - 40..];
    for number in 0..100_000 {
        let bad = if number % 2 == 0 { format!("bad-{number}") } else { format!("eyJ{number}.e30.{end}") };
        assert_eq!(world.send(&with(&bad, &ours)).status, 401);
    }
    world.asked.clear();
    for token in all() {
        assert_eq!(world.verdict(&with(token, &ours)), PASSES);
    }
    assert_eq!(world.asked, [""; 0]);
}

#[test]
fn certificate_login_actor_and_deny_rules_are_judged_again_on_every_use() {
    let ours = certificate();
    let routes = json!([
        {"name": "all", "path": "/all", "allow": "authenticated"},
        {"name": "fresh", "path": "/fresh", "allow": [{"max_age": "5m"}]},
        {"name": "gold", "path": "/gold", "allow": [{"acr_values": ["gold"]}]},
        {"name": "actor", "path": "/actor", "allow": [{"claims": {"/act/sub": "robot"}}]}
    ]);
    let deny = json!([{"claims": {"/blocked": true}}]);
    let configuration = json!({"issuers": [bank()], "deny": deny, "routes": routes});
    let mut world = World::new(configuration);
    let login = token(&ours, json!({"auth_time": NOW - 200, "acr": "silver"}));
    let blocked = token(&ours, json!({"blocked": true}));
    let delegated = token(&ours, json!({"act": {"sub": "robot"}}));
    for (path, presented, expected) in [
        ("/all", &login, PASSES),
        ("/fresh", &login, PASSES),
        ("/gold", &login, (401, "token.step_up")),
        ("/all", &blocked, (403, "policy.denied")),
        ("/all", &blocked, (403, "policy.denied")),
        ("/all", &delegated, (403, "policy.no_rule")),
        ("/actor", &delegated, PASSES),
        ("/actor", &login, (403, "policy.no_rule")),
    ] {
        assert_eq!(world.verdict(&get(path).bearer(presented).certificate(&ours)), expected, "{path}");
    }
    world.later(150);
    assert_eq!(world.verdict(&with(&login, &ours)), PASSES);
    assert_eq!(world.verdict(&get("/fresh").bearer(&login).certificate(&ours)), (401, "token.step_up"));
    let ended = harness::Authority::new("test CA").issue(super::world::ending(200));
    let bound = token(&ended, json!({"exp": NOW + 900}));
    assert_eq!(world.verdict(&with(&bound, &ended)), PASSES);
    world.later(100);
    assert_eq!(world.verdict(&with(&bound, &ended)), (401, "binding.expired_certificate"));
}

#[test]
fn what_was_remembered_is_forgotten_when_the_clock_is_set_back() {
    let ours = certificate();
    let mut world = everywhere(json!([bank()]));
    let signed = token(&ours, json!({}));
    assert_eq!(world.verdict(&with(&signed, &ours)), PASSES);
    world.now -= 3600;
    assert_eq!(world.verdict(&with(&signed, &ours)), (401, "token.not_yet_valid"));
    assert_eq!(world.enforcer().remembered().entries, 0);
}

#[test]
fn a_token_that_ends_while_it_is_remembered_takes_one_place() {
    let ours = certificate();
    let mut world =
        World::new(json!({"issuers": [bank()], "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]}));
    let short = token(&ours, json!({"exp": NOW + 60}));
    assert_eq!(world.verdict(&with(&short, &ours)), PASSES);
    world.later(120);
    for _ in 0..2 {
        assert_eq!(world.verdict(&with(&short, &ours)), (401, "token.expired"));
        assert_eq!(world.enforcer().remembered().entries, 1, "among those that are over");
    }
}

#[test]
fn a_token_that_is_over_is_told_so_again_and_takes_the_place_of_no_good_one() {
    let ours = certificate();
    let configuration = json!({"issuers": [bank()], "limits": {"tokens": 8},
                               "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]});
    let mut world = World::new(configuration);
    let good: Vec<String> = (0..8).map(|number| token(&ours, json!({"jti": number.to_string()}))).collect();
    let remembered = |world: &mut World| world.enforcer().remembered().entries;
    for token in &good {
        assert_eq!(world.verdict(&with(token, &ours)), PASSES);
    }
    assert_eq!(remembered(&mut world), 8);
    for number in 0..20 {
        let over = token(&ours, json!({"exp": NOW - 60, "iat": NOW - 100, "jti": number.to_string()}));
        for _ in 0..2 {
            let told = world.send(&with(&over, &ours));
            assert_eq!((told.status, told.reason, told.facts["subject"].as_str()), (401, "token.expired", "ann"));
        }
        assert!((9..=10).contains(&remembered(&mut world)));
    }
    for number in 0..20 {
        let elsewhere = token(&ours, json!({"aud": "https://elsewhere.example", "jti": number.to_string()}));
        for _ in 0..2 {
            assert_eq!(world.verdict(&with(&elsewhere, &ours)), (401, "token.audience"));
        }
        assert!((9..=10).contains(&remembered(&mut world)));
    }
    let forged = Key::with_secret("k1", "another").jwt(&claims(&ours, json!({"exp": NOW - 60, "iat": NOW - 100})));
    assert_eq!(world.verdict(&with(&forged, &ours)), (401, "token.signature"), "nobody vouches for its dates");
}

#[test]
fn a_claim_that_only_a_negation_an_issuer_or_a_certificate_names_is_kept() {
    let ours = certificate();
    let mut issuer = bank();
    issuer["client_token_when"] = json!({"/gty": "client_credentials"});
    let routes = json!([
        {"name": "not", "path": "/not", "allow": [{"client": "n26", "not": [{"claims": {"/suspended": true}}]}]},
        {"name": "client", "path": "/client", "allow": [{"principal": "client"}]},
        {"name": "user", "path": "/user", "allow": [{"principal": "user"}]}
    ]);
    let mut world = world(json!([issuer]), routes);
    let suspended = token(&ours, json!({"suspended": true}));
    let client = token(&ours, json!({"gty": "client_credentials"}));
    for _ in 0..2 {
        for (path, presented, expected) in [
            ("/not", &suspended, (403, "policy.no_rule")),
            ("/not", &client, PASSES),
            ("/client", &client, PASSES),
            ("/user", &client, (403, "policy.no_rule")),
            ("/user", &suspended, PASSES),
        ] {
            assert_eq!(world.verdict(&get(path).bearer(presented).certificate(&ours)), expected, "{path}");
        }
    }
}
