//! What is refused although it reads well: each with the words it gets, and a good twin.

use serde_json::{Value, json};

use super::load;
use super::tests::REFERENCE;
use crate::jose::signing::tests::private;

const SECRET: &str = "s3cr3t";

fn environment(name: &str) -> Option<String> {
    match name {
        "API_SECRET" => Some(SECRET.to_owned()),
        "NONCE_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        "SHORT_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg".to_owned()),
        "API_JWK" => Some(private("ES256").to_string()),
        "PUBLIC_JWK" => {
            let mut key = private("ES256");
            key.as_object_mut().unwrap().remove("d");
            Some(key.to_string())
        }
        "API_TOKEN" => Some("t0ken".to_owned()),
        "WITH_BLANK" => Some("Bearer t0ken".to_owned()),
        "WITH_LINE_BREAK" => Some(format!("{SECRET}\n")),
        _ => None,
    }
}

/// The mistakes of a document, a line each.
fn mistakes(document: &Value) -> Vec<String> {
    let loaded = load(document.to_string().as_bytes(), &environment);
    loaded.err().map(|mistakes| mistakes.to_string().lines().map(str::to_owned).collect()).unwrap_or_default()
}

const NONE: [&str; 0] = [];

fn issuer(name: &str) -> Value {
    json!({
        "issuer": format!("https://{name}.example"), "name": name, "audiences": ["api"],
        "jwks": {"cluster": name, "path": "/jwks"}
    })
}

/// `bank` and one route `accounts` with one rule; `change` makes it the case.
fn document(change: impl Fn(&mut Value)) -> Value {
    let mut document = json!({
        "issuers": [issuer("bank")],
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "routes": [{"name": "accounts", "path": "/accounts/{account}", "allow": [{"client": "n26"}]}]
    });
    change(&mut document);
    document
}

fn with_rule(rule: Value) -> Value {
    document(|document| document["routes"][0]["allow"][0] = rule.clone())
}

fn with_issuer(field: &str, value: Value) -> Value {
    document(|document| document["issuers"][0][field] = value.clone())
}

/// `a` and `b`, and one route that takes both.
fn two_issuers(change: impl Fn(&mut Value)) -> Value {
    document(|document| {
        document["issuers"] = json!([issuer("a"), issuer("b")]);
        document["routes"][0]["issuer"] = json!(["a", "b"]);
        document["routes"][0]["allow"] = json!([{"scopes": ["accounts"]}]);
        change(document);
    })
}

#[test]
fn a_spiffe_id_counts_by_its_trust_domain_wherever_it_is_written() {
    for id in ["spiffe://other.example/ns/a", "SPIFFE://bank.example/ns/a"] {
        assert_eq!(
            mistakes(&with_rule(json!({"client": "n26", "certificate": {"san_uri": ["urn:a", id]}}))),
            [
                "routes[accounts].allow[0].certificate.san_uri[1]: is a SPIFFE ID, which counts only in a trust domain that is \
              listed; write spiffe_id"
            ]
        );
    }
    assert_eq!(mistakes(&with_rule(json!({"client": "n26", "certificate": {"san_uri": ["urn:a", "urn:b"]}}))), NONE);
}

#[test]
fn a_spiffe_id_is_told_only_where_one_can_be_proven() {
    let told = |change: fn(&mut Value)| {
        document(|document| {
            document["forward"] = json!({"filter_state": {"workload": "spiffe_id", "org": "/org"}});
            change(document);
        })
    };
    assert_eq!(
        mistakes(&told(|document| document["peer_certificate"] = json!({"chain": "verified"}))),
        [
            r#"forward.filter_state["workload"]: no certificate can prove a SPIFFE ID; if the proxy checks a trust domain's own CA, say so: peer_certificate: {chain: verified, trust_domains: [...]}"#
        ]
    );
    assert_eq!(mistakes(&told(|_| ())), NONE);
}

#[test]
fn a_secret_stands_in_no_mistake_however_it_is_written() {
    let with_secret = |secret: Value| {
        let introspection = json!({"cluster": "login", "path": "/i", "client_id": "api", "client_secret": secret});
        mistakes(&with_issuer("introspection", introspection))
    };
    let inline = "issuers[bank].introspection.client_secret: a secret written inline would stand in every config dump; write {env: \
                  NAME} and give NAME to the VM (Envoy: vm_config.environment_variables, Istio: vmConfig.env)";
    let no_name = "issuers[bank].introspection.client_secret: is not the name of a variable; write {env: NAME}, in letters, digits and \
                   _, and nothing beside it";
    let line_break = "issuers[bank].introspection.client_secret: the variable WITH_LINE_BREAK holds something that can't stand in a \
                      secret (RFC 6749 A.2), a line break at its end perhaps";
    for (secret, told) in [
        (json!(SECRET), inline),
        (json!([SECRET]), inline),
        (json!({SECRET: null}), no_name),
        (json!({"value": SECRET}), no_name),
        (json!({"env": "API_SECRET", SECRET: 1}), no_name),
        (json!({"env": format!("{SECRET}!")}), no_name),
        (json!({"env": {"env": SECRET}}), no_name),
        (json!({}), no_name),
        (json!({"env": "WITH_LINE_BREAK"}), line_break),
    ] {
        assert_eq!(with_secret(secret.clone()), [told], "{secret}");
        assert!(!told.contains(SECRET));
    }
    assert_eq!(with_secret(json!({"env": "API_SECRET"})), NONE);
}

#[test]
fn keys_written_out_are_public_and_fit_the_algorithms() {
    let ec = r#""kty":"EC","crv":"P-256","x":"1yfLHCpXqFjxCeHHHMVDTcLscpb07KUxudBmOMn8C7Q","y":"8_coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8""#;
    let with_keys = |keys: &str, algorithms: Value| {
        mistakes(&document(|document| {
            document["issuers"][0]["jwks"] = json!({"inline": format!(r#"{{"keys":[{keys}]}}"#)});
            document["issuers"][0]["algorithms"] = algorithms.clone();
        }))
    };
    let public = format!("{{{ec}}}");
    let given_away = "issuers[bank].jwks.inline: holds a private or a symmetric key, and would stand in every config dump; write public \
                      keys only, and replace that one";
    assert_eq!(with_keys(&format!(r#"{{{ec},"d":"AQAB"}}"#), json!(["ES256"])), [given_away]);
    assert_eq!(with_keys(&format!(r#"{public},{{"kty":"oct","k":"AQAB"}}"#), json!(["ES256"])), [given_away]);
    assert_eq!(
        with_keys(&public, json!(["RS256", "ES384"])),
        ["issuers[bank].algorithms: name none that a key of jwks.inline is for; name the keys' own, or other keys"]
    );
    assert_eq!(with_keys(&public, json!(["RS256", "ES256"])), NONE);
}

#[test]
fn a_role_is_one_that_the_rules_own_issuers_may_assert() {
    let with_roles = |rule: Value, includes: Value| {
        mistakes(&two_issuers(|document| {
            document["issuers"][0]["roles"] = json!({"at": ["/roles"], "only": ["member", "admin"]});
            document["issuers"][1]["roles"] = json!({"at": ["/roles"], "only": ["support"]});
            document["roles"] = json!({"includes": includes});
            document["routes"][0]["allow"] = json!([rule]);
        }))
    };
    let includes = json!({"admin": ["editor"], "editor": ["reader"]});
    for rule in [
        json!({"role": "support"}),
        json!({"role": "reader"}),
        json!({"issuer": "a", "role": ["reader", "admin"]}),
        json!({"issuer": "b", "role": "support", "not": {"role": "support"}}),
    ] {
        assert_eq!(with_roles(rule.clone(), includes.clone()), NONE, "{rule}");
    }
    for (rule, told) in [
        (
            json!({"role": "suport"}),
            "routes[accounts].allow[0].role: no issuer may assert suport, and no role includes it; write it into `only` or into \
             roles.includes",
        ),
        (
            json!({"issuer": "b", "role": "reader"}),
            "routes[accounts].allow[0].role: b may not assert reader; the rule would hold for nobody; write it into their `only`, or \
             take another issuer",
        ),
    ] {
        assert_eq!(with_roles(rule, includes.clone()), [told]);
    }
    assert_eq!(
        with_roles(json!({"role": "support"}), json!({"amdin": ["reader"]})),
        [
            r#"roles.includes["amdin"]: no issuer may assert amdin, and no role includes it; write it into `only` or into roles.includes"#
        ]
    );
}

#[test]
fn a_deny_rule_says_whose_client_it_means_where_there_are_several_issuers() {
    let with_deny = |rule: Value| mistakes(&two_issuers(|document| document["deny"] = json!([rule])));
    assert_eq!(
        with_deny(json!({"client": "n26"})),
        ["deny[0].client: a and b may each mean somebody else by this; write issuer beside it, one or a list"]
    );
    for rule in [json!({"client": "n26", "issuer": "b"}), json!({"certificate": {"sha256": "bb".repeat(32)}})] {
        assert_eq!(with_deny(rule.clone()), NONE, "{rule}");
    }
    assert_eq!(mistakes(&document(|document| document["deny"] = json!([{"client": "n26"}]))), NONE);
}

#[test]
fn not_does_not_nest() {
    let doubly = |inner: Value| mistakes(&with_rule(json!({"client": "n26", "not": inner})));
    let what = "stands inside another; say what is wanted of the caller instead of not: {not: ...}";
    assert_eq!(
        doubly(json!({"client": "a", "not": {"client": "b"}})),
        [format!("routes[accounts].allow[0].not.not: {what}")]
    );
    assert_eq!(
        doubly(json!([{"client": "c"}, {"client": "a", "not": {"client": "b"}}])),
        [format!("routes[accounts].allow[0].not[1].not: {what}")]
    );
    assert_eq!(doubly(json!([{"client": "c"}, {"client": "a"}])), NONE);
}

#[test]
fn references_stand_in_claims_and_certificates_only() {
    for (rule, place) in [
        (json!({"client": "{account}"}), "client"),
        (json!({"client": ["n26", "{/azp}"]}), "client[1]"),
        (json!({"role": "{account}"}), "role"),
    ] {
        let mut document = with_rule(rule);
        document["issuers"][0]["roles"] = json!({"at": ["/roles"]});
        let told = "holds a brace; references stand in claims and certificate only";
        assert_eq!(mistakes(&document), [format!("routes[accounts].allow[0].{place}: {told}")]);
    }
    assert_eq!(mistakes(&with_rule(json!({"claims": {"/azp": "{account}"}}))), NONE);
}

#[test]
fn what_stands_in_a_list_twice_was_meant_otherwise() {
    assert_eq!(
        mistakes(&document(|document| document["routes"][0]["methods"] = json!(["GET", "HEAD", "GET"]))),
        ["routes[accounts].methods[2]: stands in the list twice; take one out"]
    );
    assert_eq!(
        mistakes(&document(|document| document["routes"][0]["path"] = json!(["/a/{account}", "/a/{account}"]))),
        ["routes[accounts].path[1]: stands in the list twice; take one out"]
    );
    assert_eq!(
        mistakes(&document(|document| document["routes"][0]["path"] = json!([]))),
        ["routes[accounts].path: is an empty list; leave it out, or say what it is for"]
    );
}

#[test]
fn addresses_go_where_they_can_be_sent() {
    let with_authority = |authority: &str| {
        mistakes(&document(|document| document["issuers"][0]["jwks"]["authority"] = json!(authority)))
    };
    for authority in ["https://login.bank.example", "login.bank.example/jwks", "user@login.bank.example"] {
        let told = "is not a host; write login.bank.example, with a port where it has one";
        assert_eq!(with_authority(authority), [format!("issuers[bank].jwks.authority: {authority:?} {told}")]);
    }
    for authority in ["login.bank.example", "login.bank.example:8443", "[2001:db8::1]:8443"] {
        assert_eq!(with_authority(authority), NONE, "{authority}");
    }
    let with_metadata =
        |url: &str| mistakes(&document(|document| document["challenge"] = json!({"resource_metadata": url})));
    for url in ["http://api.bank.example/.well-known/x", "api.bank.example", "https:///x", "https://a.example/x#y"] {
        let told = "is not an https URL without fragment, where clients find the metadata";
        assert_eq!(with_metadata(url), [format!("challenge.resource_metadata: {url:?} {told}")]);
    }
    assert_eq!(with_metadata("https://api.bank.example/.well-known/oauth-protected-resource?x=1"), NONE);
}

#[test]
fn a_field_that_stands_elsewhere_is_told_where_it_belongs() {
    let rule =
        |field: &str| format!("routes[accounts].{field}: is not a field here; it belongs in a rule: allow: [{{...}}]");
    let in_route =
        |field: &str, value: Value| mistakes(&document(|document| document["routes"][0][field] = value.clone()));
    for (field, value) in
        [("client", json!("n26")), ("claims", json!({})), ("certificate", json!({})), ("role", json!("a"))]
    {
        assert_eq!(in_route(field, value), [rule(field)]);
    }
    let at_top = |field: &str, value: Value| mistakes(&document(|document| document[field] = value.clone()));
    assert_eq!(
        at_top("trust_domains", json!(["bank.example"])),
        ["trust_domains: is not a field here; it belongs in peer_certificate"]
    );
    assert_eq!(at_top("realm", json!("bank")), ["realm: is not a field here; it belongs in challenge"]);
    assert_eq!(
        mistakes(&with_issuer("scope", json!("/scp"))),
        [
            "issuers[bank].scope: is not a field here; there are issuer, name, audiences, danger_any_audience, algorithms, profile, \
          leeway, max_token_lifetime, claims, client_token_when, clients, roles, discovery, jwks, introspection"
        ]
    );
    assert_eq!(in_route("scope", json!("a")), ["routes[accounts].scope: is not a field here; write scopes: [...]"]);
}

#[test]
fn no_text_of_the_document_ends_a_line_of_the_log() {
    let document = document(|document| {
        document["a\nholdfast: configuration accepted"] = json!(1);
        document["routes"][0]["name"] = json!("b\r\nc");
        document["issuers"][0]["clus]ter\u{1b}[2J"] = json!(1);
    });
    let told = mistakes(&document);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told.iter().all(|line| !line.contains(char::is_control)), "{told:?}");
    assert!(
        told.iter().any(|line| line.starts_with(r#"["a\nholdfast: configuration accepted"]: is not a field here"#))
    );
    assert!(told.iter().any(|line| line.starts_with("routes[0].name: ")));
}

#[test]
fn one_mistake_is_not_told_as_two() {
    let twice = |first: Value, second: Value| {
        mistakes(&document(|document| {
            document["issuers"] = json!([first, second]);
            document["routes"][0]["issuer"] = json!("b");
        }))
    };
    let mut plain = issuer("a");
    plain["issuer"] = json!("http://a.example");
    let mut other = issuer("b");
    other["issuer"] = json!("http://b.example");
    let told = twice(plain, other);
    assert_eq!(told.len(), 2, "{told:?}");
    let bad_names = document(|document| {
        let route = |name: &str, path: &str| json!({"name": name, "path": path, "allow": "authenticated"});
        document["routes"] = json!([route("One", "/one"), route("Two", "/two")]);
    });
    let told = mistakes(&bad_names);
    assert_eq!(told.len(), 2, "{told:?}");
}

/// The JSON pointer of every value inside this one.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut inside = |name: &str, value: &Value| {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        places(value, &at, all);
        all.push(at);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| inside(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| inside(&at.to_string(), value)),
        _ => {}
    }
}

#[test]
fn nothing_of_another_type_and_nothing_empty_stands_anywhere_in_the_reference() {
    let reference: Value = serde_json::from_str(REFERENCE).unwrap();
    let mut all = Vec::new();
    places(&reference, "", &mut all);
    assert!(all.len() > 100, "{}", all.len());
    let strange =
        [json!(null), json!(""), json!([]), json!({}), json!(1.5), json!([null]), json!([[]]), json!({"a": null})];
    for place in &all {
        // The one list that may say of itself that there is nothing in it.
        let may_be_empty = place == "/peer_certificate/relays/0/trust_domains";
        for value in strange.iter().filter(|value| !(may_be_empty && **value == json!([]))) {
            let mut document = reference.clone();
            *document.pointer_mut(place).unwrap() = value.clone();
            let told = mistakes(&document);
            assert!(!told.is_empty(), "{place}: {value} was taken");
            assert!(!told.iter().any(|line| line.contains(SECRET)), "{told:?}");
        }
    }
}

/// Routes with a name, methods (none for any) and a path each.
fn with_routes(routes: &[(&str, &[&str], Value)]) -> Value {
    let route = |(name, methods, path): &(&str, &[&str], Value)| {
        let mut route = json!({"name": name, "path": path, "allow": "authenticated"});
        if !methods.is_empty() {
            route["methods"] = json!(methods);
        }
        route
    };
    document(|document| document["routes"] = routes.iter().map(route).collect())
}

#[test]
fn what_a_route_with_methods_leaves_over_is_wanted_by_name() {
    let one = json!("/accounts/**");
    let several = json!(["/cards", "/accounts/**"]);
    let told =
        "routes[all]: would take the methods that routes[read] leaves of /accounts/**; say which: methods: [...]";
    for (read, all) in [
        (&one, &one),
        (&one, &json!("/**")),
        (&several, &json!("/accounts/**")),
        (&several, &json!(["/loans", "/accounts/**"])),
    ] {
        assert_eq!(mistakes(&with_routes(&[("read", &["GET"], read.clone()), ("all", &[], all.clone())])), [told]);
        assert_eq!(mistakes(&with_routes(&[("read", &["GET"], read.clone()), ("all", &["PUT"], all.clone())])), NONE);
    }
    let beside = with_routes(&[("read", &["GET"], several), ("all", &[], json!("/loans/**"))]);
    assert_eq!(mistakes(&beside), NONE);
    let behind =
        with_routes(&[("any", &[], json!("/a/b")), ("read", &["GET"], one.clone()), ("all", &[], json!("/**"))]);
    assert_eq!(mistakes(&behind), [told], "whatever else stands before it");
}

#[test]
fn a_route_that_never_sees_one_of_its_methods_is_warned_of() {
    let warnings = |document: &Value| match load(document.to_string().as_bytes(), &environment) {
        Ok(compiled) => compiled.warnings,
        Err(mistakes) => panic!("{mistakes}"),
    };
    let behind = |methods: &[&str], path: &str| {
        warnings(&with_routes(&[("wide", &["GET"], json!("/accounts/**")), ("strict", methods, json!(path))]))
    };
    let told = ["routes[strict]: never sees GET: routes[wide] stands before it and takes that"];
    assert_eq!(behind(&[], "/accounts/{account}"), told);
    assert_eq!(behind(&["PUT", "GET"], "/accounts/{account}"), told);
    assert_eq!(behind(&["PUT"], "/accounts/{account}"), NONE);
    assert_eq!(behind(&[], "/cards"), NONE);
}

#[test]
fn what_follows_from_a_mistake_is_not_told() {
    let alone = |document: Value, at: &str| {
        let told = mistakes(&document);
        assert!(told.len() == 1 && told[0].starts_with(&format!("{at}: ")), "{told:?}");
    };
    alone(
        document(|document| {
            document["issuers"][0]["name"] = json!("Bank");
            document["routes"][0]["issuer"] = json!("Bank");
        }),
        "issuers[https://bank.example].name",
    );
    alone(two_issuers(|document| document["routes"][0]["issuer"] = json!(5)), "routes[accounts].issuer");
    let by_role = |roles: Value| {
        document(|document| {
            document["issuers"][0]["roles"] = roles.clone();
            document["routes"][0]["allow"] = json!([{"role": "clerk"}]);
        })
    };
    alone(by_role(json!(null)), "issuers[bank].roles");
    alone(by_role(json!("clerk")), "issuers[bank].roles");
    alone(by_role(json!({"at": "/roles", "only": [5]})), "issuers[bank].roles.only[0]");
    alone(
        document(|document| {
            document["peer_certificate"]["trust_domains"] = json!("bank.example");
            document["forward"] = json!({"filter_state": {"workload": "spiffe_id"}});
        }),
        "peer_certificate.trust_domains",
    );
}

#[test]
fn numbers_and_digests_are_told_with_what_to_write() {
    let digest = |text: &str| mistakes(&with_rule(json!({"client": "n26", "certificate": {"sha256": text}})));
    let at = "routes[accounts].allow[0].certificate.sha256";
    assert_eq!(
        digest(&["BB"; 32].join(":")),
        [format!("{at}: is not written in 64 lower-case hexadecimal digits; write {}", "bb".repeat(32))]
    );
    assert_eq!(digest(&"bb".repeat(32)), NONE);
    let claim = |number: Value| mistakes(&with_rule(json!({"claims": {"/tier": number}})));
    let told = r#"routes[accounts].allow[0].claims["/tier"]: is not a whole number below 2^53; write it as text"#;
    for number in [json!(9_007_199_254_740_992_i64), json!(-9_007_199_254_740_992_i64), json!(u64::MAX), json!(0.5)] {
        assert_eq!(claim(number.clone()), [told], "{number}");
    }
    for number in [json!(9_007_199_254_740_991_i64), json!(-1), json!(2.0)] {
        assert_eq!(claim(number.clone()), NONE, "{number}");
    }
    let refresh =
        |value: Value| mistakes(&document(|document| document["issuers"][0]["jwks"]["refresh"] = value.clone()));
    assert_eq!(
        refresh(json!(60.5)),
        ["issuers[bank].jwks.refresh: is the number 60.5; write a duration with its unit: 500ms, 30s, 5m or 24h"]
    );
}

#[test]
fn fractions_of_a_second_are_for_timeouts_alone() {
    let issuer = |leeway: &str, timeout: &str| {
        json!({
            "issuers": [{"issuer": "https://login.bank.example", "name": "bank", "audiences": ["a"], "leeway": leeway,
                         "jwks": {"cluster": "login", "path": "/jwks", "timeout": timeout}}],
            "routes": [{"name": "all", "allow": "authenticated"}]
        })
    };
    let mistakes = |document: Value| match super::load(document.to_string().as_bytes(), &|_| None) {
        Ok(_) => String::new(),
        Err(mistakes) => mistakes.to_string(),
    };
    assert_eq!(mistakes(issuer("2000ms", "1500ms")), "");
    let told = "issuers[bank].leeway: has a fraction of a second; write whole seconds";
    assert_eq!(mistakes(issuer("1500ms", "1500ms")), told);
}

fn warnings(document: &Value) -> Vec<String> {
    load(document.to_string().as_bytes(), &environment).map(|compiled| compiled.warnings).expect("a good document")
}

#[test]
fn an_open_route_behind_a_narrower_one_is_warned_of_where_both_take_a_method() {
    let behind = |first: &[&str], second: &[&str]| {
        warnings(&with_routes(&[("one", first, json!("/a/b")), ("rest", second, json!("/a/**"))]))
    };
    let told = ["routes[rest]: also takes what routes[one] leaves over"];
    assert_eq!(behind(&[], &["GET"]), told);
    assert_eq!(behind(&["POST"], &["GET"]), NONE);
}

fn in_route(field: &str, value: Value) -> Value {
    document(|document| document["routes"][0][field] = value.clone())
}

fn with_principal(principal: &str) -> Value {
    with_rule(json!({"principal": principal}))
}

#[test]
fn users_and_clients_are_told_apart_only_where_the_issuer_does() {
    let legacy = |when: Value| {
        let mut document = with_principal("user");
        document["issuers"][0]["profile"] = json!("legacy");
        if !when.is_null() {
            document["issuers"][0]["client_token_when"] = when;
        }
        document
    };
    let told = "routes[accounts].allow[0].principal: bank does not tell users from clients by itself; say at it what only clients' \
                own tokens have: client_token_when: {/claim: {present: true}}";
    assert_eq!(mistakes(&legacy(Value::Null)), [told]);
    assert_eq!(mistakes(&legacy(json!({"/clientHost": {"present": true}}))), NONE);
    assert_eq!(mistakes(&with_principal("client")), NONE);
    let other = "routes[accounts].allow[0].principal: \"machine\" is none of user, client";
    assert_eq!(mistakes(&with_principal("machine")), [other]);
    let bound = "issuers[bank].client_token_when[\"/host\"]: {account} is bound by no route here; issuers stand above all of them";
    assert_eq!(mistakes(&legacy(json!({"/host": "{account}"}))), [bound]);
}

#[test]
fn another_login_is_asked_for_once_and_by_who_lets_somebody_pass() {
    let both = |field: &str, value: Value| {
        document(|document| {
            document["routes"][0][field] = value.clone();
            document["routes"][0]["allow"][0][field] = value.clone();
        })
    };
    let twice = |field: &str| {
        format!("routes[accounts].allow[0].{field}: the route says {field} too; say it in one of the two places")
    };
    let refusing = |field: &str, place: &str| {
        format!(
            "{place}.{field}: asks for another login, which only a rule of allow can do; write claims: {{/acr: ...}}"
        )
    };
    for (field, value) in [("acr_values", json!(["gold"])), ("max_age", json!("5m"))] {
        assert_eq!(mistakes(&both(field, value.clone())), [twice(field)]);
        assert_eq!(mistakes(&in_route(field, value.clone())), NONE);
        assert_eq!(mistakes(&with_rule(json!({"client": "n26", field: value.clone()}))), NONE);
        assert_eq!(mistakes(&with_rule(json!({field: value.clone()}))), NONE, "any user with such a login");
        let not = with_rule(json!({"client": "n26", "not": {"role": "x", "claims": {"/a": 1}, field: value.clone()}}));
        assert!(mistakes(&not).contains(&refusing(field, "routes[accounts].allow[0].not")));
        let deny = document(|document| document["deny"] = json!([{"client": "n26", field: value.clone()}]));
        assert_eq!(mistakes(&deny), [refusing(field, "deny[0]")]);
        let by_certificate = document(|document| {
            document["routes"][0][field] = value.clone();
            let rule = json!({"certificate": {"sha256": "bb".repeat(32)}, "token": "none"});
            document["routes"][0]["allow"] = json!([{"client": "n26"}, rule]);
        });
        let told = format!(
            "routes[accounts].allow[1].token: the route asks every caller for {field}, which stands in the token; put {field} into \
             the rules that want it"
        );
        assert_eq!(mistakes(&by_certificate), [told]);
    }
    for (field, value, told) in [
        ("acr_values", json!([]), "is an empty list; leave it out, or say what it is for"),
        ("acr_values", json!("gold"), "is a string; write a list"),
        ("max_age", json!(300), "is the number 300; write a duration with its unit: 300s"),
        ("max_age", json!("1500ms"), "has a fraction of a second; write whole seconds"),
        ("max_age", json!("0s"), "0s is out of range; write 1s to 8784h"),
    ] {
        assert_eq!(mistakes(&in_route(field, value)), [format!("routes[accounts].{field}: {told}")]);
    }
    let blank = mistakes(&in_route("acr_values", json!(["a b"])));
    assert_eq!(blank, ["routes[accounts].acr_values[0]: holds a blank"]);
}

#[test]
fn exclusive_roles_are_asked_for_and_nobody_is_given_two() {
    let roles = |roles: Value| {
        document(|document| {
            document["issuers"][0]["roles"] = json!({"at": ["/roles"]});
            document["roles"] = roles.clone();
            document["routes"][0]["allow"] = json!([{"role": ["payer", "approver"]}]);
        })
    };
    assert_eq!(mistakes(&roles(json!({"exclusive": [["payer", "approver"]]}))), NONE);
    let included = json!({"exclusive": [["payer", "head"]], "includes": {"head": ["approver"]}});
    assert_eq!(mistakes(&roles(included)), NONE);
    let both =
        json!({"exclusive": [["payer", "approver"]], "includes": {"boss": ["payer", "clerk"], "clerk": ["approver"]}});
    let told = "roles.includes[\"boss\"]: has payer and approver, of which nobody may hold both; nobody could use it";
    assert_eq!(mistakes(&roles(both)), [told]);
    for (exclusive, told) in [
        (
            json!([["payer", "auditor"]]),
            "roles.exclusive[0]: no rule asks for auditor, and no role includes it or is included by it",
        ),
        (
            json!([["payer"]]),
            "roles.exclusive[0]: is one role, which excludes nothing; write two or more, of which nobody may hold two",
        ),
        (json!([["payer", "payer"]]), "roles.exclusive[0][1]: stands in the list twice; take one out"),
        (json!([]), "roles.exclusive: is an empty list; leave it out, or say what it is for"),
    ] {
        assert_eq!(mistakes(&roles(json!({"exclusive": exclusive}))), [told]);
    }
    let nobody = document(|document| {
        document["roles"] = json!({"exclusive": [["payer", "approver"]]});
    });
    assert!(mistakes(&nobody)[0].starts_with("roles.exclusive[0]: no issuer brings roles"));
}

#[test]
fn the_certificates_of_clients_are_named_once_each_and_proven() {
    let by_dns = || json!({"san_dns": "api.n26.example"});
    let clients = |clients: Value| with_issuer("clients", clients);
    let email = || json!({"san_email": "{/client_id}"});
    assert_eq!(mistakes(&clients(json!([{"client": "n26", "certificate": by_dns()}, {"certificate": email()}]))), NONE);
    for (entries, told) in [
        (json!([{"client": "n26"}]), "issuers[bank].clients[0]: has no certificate"),
        (
            json!([{"certificate": email()}, {"client": "n26", "certificate": by_dns()}]),
            "issuers[bank].clients[1]: can never count: an entry without client stands before it and is for everybody; move that one \
             to the end",
        ),
        (
            json!([{"client": "n26", "certificate": by_dns()}, {"client": "n26", "certificate": by_dns()}]),
            "issuers[bank].clients[1]: can never count: another entry for this client stands before it, and the first counts",
        ),
        (
            json!([{"certificate": {"san_email": "{account}"}}]),
            "issuers[bank].clients[0].certificate.san_email: {account} is bound by no route here; issuers stand above all of them",
        ),
        (
            json!([{"client": "{account}", "certificate": by_dns()}]),
            "issuers[bank].clients[0].client: holds a brace; references stand in claims and certificate only",
        ),
    ] {
        assert_eq!(mistakes(&clients(entries)), [told]);
    }
    let unverified = document(|document| {
        document["issuers"][0]["clients"] = json!([{"client": "n26", "certificate": by_dns()}]);
        document.as_object_mut().unwrap().remove("peer_certificate");
    });
    let told = "issuers[bank].clients[0].certificate.san_dns: names in certificates count only where the proxy verified the chain; if \
                it does, say so: peer_certificate: {chain: verified}";
    assert_eq!(mistakes(&unverified), [told]);
}

#[test]
fn a_relay_is_named_and_says_what_it_verified() {
    let with = |relay: Value| document(|document| document["peer_certificate"]["relays"] = json!([relay.clone()]));
    let by = |certificate: Value, more: Value| {
        let mut relay = json!({"certificate": certificate});
        relay.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        with(relay)
    };
    let digest = || json!({"sha256": "bb".repeat(32)});
    for good in [
        by(digest(), json!({})),
        by(json!({"san_dns": "edge.example"}), json!({"header": "ssl-client-cert", "format": "pem"})),
        by(json!({"subject": {"CN": "edge"}, "extended_key_usage": ["clientAuth"]}), json!({"format": "rfc9440"})),
        by(digest(), json!({"chain": "verified", "trust_domains": ["partner.example"]})),
        by(digest(), json!({"trust_domains": []})),
    ] {
        assert_eq!(mistakes(&good), NONE);
    }
    for (relay, told) in [
        (with(json!({"header": "x-cert"})), "has no certificate"),
        (with(json!({"certificate": {}})), "certificate: is empty; leave it out, or say what it is for"),
        (
            by(json!({"extended_key_usage": "clientAuth"}), json!({})),
            "certificate: names nobody; say whose certificate it is: sha256, spiffe_id, san_dns, …",
        ),
        (
            by(json!({"san_dns": "edge.example", "san_uri": "urn:{/tenant}"}), json!({})),
            "certificate.san_uri: {/tenant} is bound by nothing here; no request says which proxies are relays",
        ),
        (
            by(json!({"san_uri": "urn:{account}"}), json!({})),
            "certificate.san_uri: {account} is bound by nothing here; no request says which proxies are relays",
        ),
        (
            by(
                json!({"spiffe_id": "spiffe://partner.example/edge"}),
                json!({"chain": "verified", "trust_domains": ["partner.example"]}),
            ),
            "certificate.spiffe_id: no certificate can prove partner.example; if the proxy checks that trust domain's own CA, say so: \
             peer_certificate: {chain: verified, trust_domains: [partner.example]}",
        ),
        (
            by(digest(), json!({"format": "pem"})),
            "has no header; say in which the relay writes the certificate: header: ssl-client-cert",
        ),
        (by(digest(), json!({"format": "der"})), r#"format: "der" is none of xfcc, rfc9440, pem"#),
        (
            by(digest(), json!({"header": "Ssl-Client-Cert"})),
            r#"header: "Ssl-Client-Cert" is not a field's name; write lower-case letters, digits and -: x-client-id"#,
        ),
        (
            by(digest(), json!({"header": "authorization"})),
            "header: authorization means something else already; choose another name, x-... as a rule",
        ),
        (
            by(digest(), json!({"trust_domains": ["partner.example"]})),
            "trust_domains: count only where the proxy verified the chain; if it does, write chain: verified beside it",
        ),
        (
            by(digest(), json!({"dns_names": ["**.partner.example"]})),
            "dns_names: count only where the proxy verified the chain; if it does, write chain: verified beside it",
        ),
        (
            by(digest(), json!({"chain": "verified", "dns_names": ["a*.example"]})),
            r#"dns_names[0]: "a*": a wildcard is a whole piece; write * or {name} for all of it"#,
        ),
        (
            by(digest(), json!({"chain": "verified", "trust_domains": ["Partner"]})),
            r#"trust_domains[0]: "Partner" is not a trust domain; write it in lower case and without spiffe://"#,
        ),
        (by(digest(), json!({"headers": "x"})), "headers: is not a field here; did you mean header?"),
    ] {
        let [mistake] = mistakes(&relay).try_into().unwrap_or_else(|all| panic!("{all:?}"));
        assert_eq!(
            mistake.strip_prefix("peer_certificate.relays[0]").unwrap().trim_start_matches([':', '.', ' ']),
            told
        );
    }
}

#[test]
fn two_relays_write_one_header_in_one_form() {
    let relay = |header: &str, format: &str| json!({"certificate": {"sha256": "0".repeat(64)}, "header": header, "format": format});
    let of = |relays: [Value; 2]| {
        let mut document = json!({"routes": [{"name": "a", "methods": ["GET"], "allow": "public"}]});
        document["peer_certificate"] = json!({"relays": relays});
        mistakes(&document)
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(of([relay("x-a", "pem"), relay("x-a", "pem")]), none);
    assert_eq!(of([relay("x-a", "pem"), relay("x-b", "rfc9440")]), none);
    let told = "peer_certificate.relays[1].format: another relay writes this header in another form; a peer that is both could write \
                neither";
    assert_eq!(of([relay("x-a", "pem"), relay("x-a", "rfc9440")]), [told]);
}

#[test]
fn a_relay_known_by_name_needs_a_chain_that_this_proxy_verified() {
    let relay = json!({"certificate": {"san_dns": "edge.example"}, "chain": "verified"});
    let unverified = document(|document| document["peer_certificate"] = json!({"relays": [relay.clone()]}));
    let told = "peer_certificate.relays[0].certificate.san_dns: names in certificates count only where the proxy verified the chain; \
                if it does, say so: peer_certificate: {chain: verified}";
    assert_eq!(mistakes(&unverified), [told]);
}

#[test]
fn names_that_only_a_relay_verifies_count_too() {
    let relay =
        json!({"certificate": {"sha256": "bb".repeat(32)}, "chain": "verified", "trust_domains": ["partner.example"]});
    let behind = |certificate: Value| {
        document(|document| {
            document["peer_certificate"] = json!({"relays": [relay.clone()]});
            document["routes"][0]["allow"][0] = json!({"certificate": certificate.clone()});
            document["forward"] = json!({"filter_state": {"workload": "spiffe_id"}});
        })
    };
    assert_eq!(mistakes(&behind(json!({"san_dns": "a.example", "spiffe_id": "spiffe://partner.example/a"}))), NONE);
    let other = mistakes(&behind(json!({"spiffe_id": "spiffe://bank.example/a"})));
    assert!(other[0].contains("no certificate can prove bank.example"), "{other:?}");
}

#[test]
fn a_dns_name_that_no_source_may_prove_stands_in_no_rule() {
    let with = |san_dns: &str, relay: Value| {
        document(|document| {
            document["peer_certificate"]["dns_names"] = json!(["**.bank.example"]);
            let mut relay = relay.clone();
            relay["certificate"] = json!({"sha256": "bb".repeat(32)});
            document["peer_certificate"]["relays"] = json!([relay]);
            document["deny"] = json!([{"certificate": {"san_dns": san_dns}}]);
        })
    };
    let partner = || json!({"chain": "verified", "dns_names": ["*.partner.example"]});
    for good in ["a.bank.example", "*.example", "a.partner.example"] {
        assert_eq!(mistakes(&with(good, partner())), NONE, "{good}");
    }
    assert_eq!(mistakes(&with("a.shop.example", json!({"chain": "verified"}))), NONE, "any");
    let told = "deny[0].certificate.san_dns: no certificate can prove such a name; dns_names of peer_certificate and of relays list \
                others";
    for (bad, relay) in
        [("a.shop.example", partner()), ("a.b.partner.example", partner()), ("a.partner.example", json!({}))]
    {
        assert_eq!(mistakes(&with(bad, relay)), [told], "{bad}");
    }
}

#[test]
fn no_upstream_is_told_anything_in_the_field_of_a_relay() {
    let document = document(|document| {
        let relay = json!({"certificate": {"sha256": "bb".repeat(32)}, "header": "x-cert", "format": "pem"});
        document["peer_certificate"]["relays"] = json!([relay]);
        document["forward"] = json!({"headers": {"x-cert": "certificate_sha256"}});
    });
    let told = r#"forward.headers["x-cert"]: is the field in which a relay tells its client's certificate; choose another name"#;
    assert_eq!(mistakes(&document), [told]);
}

#[test]
fn what_a_certificate_is_for_says_not_whose_it_is() {
    let usage = || json!({"extended_key_usage": "clientAuth"});
    assert_eq!(mistakes(&with_rule(json!({"certificate": usage()}))), NONE);
    let told = "certificate: names nobody; say whose certificate it is: sha256, spiffe_id, san_dns, …";
    let alone = mistakes(&with_rule(json!({"certificate": usage(), "token": "none"})));
    assert_eq!(alone, [format!("routes[accounts].allow[0].{told}")]);
    let client = mistakes(&with_issuer("clients", json!([{"client": "n26", "certificate": usage()}])));
    assert_eq!(client, [format!("issuers[bank].clients[0].{told}")]);
    let word = mistakes(&with_rule(json!({"certificate": {"extended_key_usage": "serverAuth"}})));
    let told = r#"extended_key_usage: "serverAuth" is not a word here; write clientAuth, or leave it out"#;
    assert_eq!(word, [format!("routes[accounts].allow[0].certificate.{told}")]);
}

#[test]
fn names_in_certificates_are_written_as_they_are_compared() {
    let certificate = |test: Value| with_rule(json!({"certificate": test}));
    let at = "routes[accounts].allow[0].certificate";
    for good in [
        json!({"san_email": "api@bank.example"}),
        json!({"san_ip": ["10.0.0.1", "2001:db8::1"]}),
        json!({"subject": {"CN": "api", "2.5.4.97": "PSDDE-BAFIN-1", "OU": ["a", "b"]}}),
        json!({"subject": {"organizationIdentifier": "{/psd2/id}"}}),
    ] {
        assert_eq!(mistakes(&certificate(good)), NONE);
    }
    for (test, told) in [
        (
            json!({"san_email": "bank.example"}),
            "san_email: is not an e-mail address; it is compared as it stands in the certificate: api@bank.example",
        ),
        (json!({"san_ip": "10.0.0"}), "san_ip: \"10.0.0\" is not an IP address"),
        (json!({"san_ip": "2001:DB8:0::1"}), "san_ip: is spelt otherwise than RFC 5952 says; write 2001:db8::1"),
        (json!({"subject": {}}), "subject: is empty; leave it out, or say what it is for"),
        (json!({"subject": {"CN": {"a": 1}}}), "subject[\"CN\"]: is a map; write text"),
        (json!({"subject": {"CN": 5}}), "subject[\"CN\"]: is the number 5; write text"),
        (json!({"san_ip": 5}), "san_ip: is the number 5; write text"),
    ] {
        assert_eq!(mistakes(&certificate(test)), [format!("{at}.{told}")]);
    }
    let unknown = mistakes(&certificate(json!({"subject": {"commonName": "api"}})));
    assert!(
        unknown[0]
            .starts_with(&format!("{at}.subject[\"commonName\"]: \"commonName\" is no attribute of a subject; write"))
    );
    assert!(unknown[0].contains(" CN, "));
}

#[test]
fn fields_for_upstreams_have_names_of_their_own_and_say_whose_they_are() {
    let headers = |headers: Value| document(|document| document["forward"] = json!({"headers": headers.clone()}));
    let good = json!({"x-client-id": "client_id", "tenant": "/tenant", "x-issuer": "issuer"});
    assert_eq!(mistakes(&headers(good)), NONE);
    for name in
        ["authorization", "Host", "x_forwarded_for", "x-envoy-a", "content-type", "dpop", "client-cert", "cookie"]
    {
        let told = format!(
            "forward.headers[{name:?}]: {name} means something else already; choose another name, x-... as a rule"
        );
        assert_eq!(mistakes(&headers(json!({name: "client_id"}))), [told]);
    }
    for name in ["X-Client-Id", "x_client_id", "x client", "", ":path", "x-é"] {
        let told = format!(
            "forward.headers[{name:?}]: {name:?} is not a field's name; write lower-case letters, digits and -: x-client-id"
        );
        assert_eq!(mistakes(&headers(json!({name: "client_id"}))), [told]);
    }
    let several = |headers: Value| {
        two_issuers(|document| {
            document["routes"][0]["issuer"] = json!("a");
            document["forward"] = json!({"headers": headers.clone()});
        })
    };
    let told = |name: &str| {
        format!(
            "forward.headers[{name:?}]: there are several issuers, and each may mean somebody else by it; tell whose it is beside it: \
             x-issuer: issuer"
        )
    };
    for fact in ["subject", "client_id", "/sub", "/client_id"] {
        assert_eq!(mistakes(&several(json!({"x-who": fact}))), [told("x-who")], "{fact}");
        assert_eq!(mistakes(&several(json!({"x-who": fact, "x-issuer": "issuer"}))), NONE, "{fact}");
    }
    assert_eq!(mistakes(&several(json!({"x-roles": "roles", "x-route": "route"}))), NONE);
}

#[test]
fn odd_paths_and_preflights_are_let_through_by_name() {
    let all = json!(["encoded_slash", "empty_segment", "semicolon"]);
    let told = [
        "routes[accounts].danger_allow_path: encoded_slash takes paths with %2F, which may be a slash to the service behind",
        "routes[accounts].danger_allow_path: empty_segment takes paths with //, which may be one slash to the service behind",
        "routes[accounts].danger_allow_path: semicolon takes paths with ;, which the service behind may cut off with all that follows",
    ];
    assert_eq!(warnings(&in_route("danger_allow_path", all)), told);
    let word = mistakes(&in_route("danger_allow_path", json!(["slash"])));
    let told = "routes[accounts].danger_allow_path[0]: \"slash\" is none of encoded_slash, empty_segment, semicolon";
    assert_eq!(word, [told]);
    assert_eq!(mistakes(&in_route("cors_preflight", json!("pass"))), NONE);
    let word = mistakes(&in_route("cors_preflight", json!("allow")));
    assert_eq!(word, ["routes[accounts].cors_preflight: \"allow\" is none of refuse, pass"]);
}

#[test]
fn a_route_that_takes_odd_spellings_of_what_another_protects_is_warned_of() {
    let behind = |first: &Value| {
        document(|document| {
            let rest = json!({"name": "rest", "path": "/**", "methods": ["GET"], "allow": "authenticated",
                              "danger_allow_path": ["semicolon"]});
            document["routes"] = json!([first, rest]);
        })
    };
    let admin = json!({"name": "admin", "path": "/admin/**", "allow": [{"client": "n26"}]});
    let health = json!({"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"});
    let told = "routes[rest].danger_allow_path: also takes odd spellings of what routes[admin] is for".to_owned();
    assert!(warnings(&behind(&admin)).contains(&told));
    assert!(warnings(&behind(&health)).iter().all(|warning| !warning.contains("odd spellings")));
}

#[test]
fn who_acted_earlier_decides_nothing() {
    let told = "speaks of who acted earlier, which decides nothing (RFC 8693 §4.1); write what the current actor has: /act/sub";
    for place in ["/act/act", "/act/act/sub"] {
        let rule = with_rule(json!({"claims": {place: {"present": true}}}));
        assert_eq!(mistakes(&rule), [format!("routes[accounts].allow[0].claims[{place:?}]: {told}")]);
    }
    assert_eq!(mistakes(&with_rule(json!({"claims": {"/act/sub": "tool", "/act/actor": "x"}}))), NONE);
    let referring = with_rule(json!({"claims": {"/owner": "{/act/act/sub}"}}));
    assert_eq!(mistakes(&referring), [format!("routes[accounts].allow[0].claims[\"/owner\"]: {told}")]);
    let id = with_rule(json!({"certificate": {"spiffe_id": "spiffe://bank.example/ns/{/act/sub}"}}));
    assert_eq!(mistakes(&id), NONE, "the current actor counts");
}

#[test]
fn an_actor_adds_nothing_to_what_a_token_is_good_for() {
    let told = "speaks of who acts, which adds nothing to what the token is good for (RFC 8693 §4.1)";
    let roles = with_issuer("roles", json!({"at": ["/roles", "/act/roles"]}));
    assert_eq!(mistakes(&roles), [format!("issuers[bank].roles.at[1]: {told}")]);
    for claim in ["client_id", "scope"] {
        let claims = with_issuer("claims", json!({claim: "/act/sub"}));
        assert_eq!(mistakes(&claims), [format!("issuers[bank].claims.{claim}: {told}")]);
    }
    assert_eq!(mistakes(&with_issuer("claims", json!({"client_id": "/actor"}))), NONE);
}

#[test]
fn a_reference_to_a_claim_says_whose_token_it_means() {
    let with = |rule: Value| {
        two_issuers(|document| {
            document["peer_certificate"] = json!({"chain": "verified"});
            document["routes"][0]["issuer"] = json!(["a", "b"]);
            document["routes"][0]["allow"] = json!([rule.clone()]);
        })
    };
    let told = "routes[accounts].allow[0].certificate: a and b may each mean somebody else by this; write issuer beside it, one or a list";
    assert_eq!(mistakes(&with(json!({"certificate": {"san_email": "{/client_id}"}}))), [told]);
    assert_eq!(mistakes(&with(json!({"issuer": "a", "certificate": {"san_email": "{/client_id}"}}))), NONE);
    assert_eq!(mistakes(&with(json!({"certificate": {"san_email": "a@b.example"}}))), NONE);
}

#[test]
fn what_a_route_takes_from_a_later_one_is_told_for_every_way_to_say_any() {
    let all = |first: Value| {
        document(|document| {
            let admin = json!({"name": "admin", "path": "/admin/**", "allow": [{"client": "n26"}]});
            document["routes"] = json!([first, admin]);
        })
    };
    let told =
        ["routes[admin]: can never match: routes[all] stands before it and takes all of it; move routes[admin] up"];
    let any_host = json!({"name": "all", "host": "**", "path": "/**", "allow": "authenticated"});
    assert_eq!(mistakes(&all(any_host)), told);
    let mut odd = all(json!({"name": "all", "path": "/**", "allow": "authenticated"}));
    odd["routes"][1]["danger_allow_path"] = json!(["semicolon"]);
    assert_eq!(mistakes(&odd), told, "only odd spellings would reach it");
    let read = json!({"name": "read", "methods": ["GET"], "allow": "public"});
    let rest = document(|document| {
        document["routes"] = json!([read, {"name": "rest", "path": "/**", "allow": "authenticated"}]);
    });
    assert_eq!(
        mistakes(&rest),
        ["routes[rest]: would take the methods that routes[read] leaves of /**; say which: methods: [...]"]
    );
}

/// `accounts` takes DPoP proofs; `change` makes it the case.
fn with_dpop(change: impl Fn(&mut Value)) -> Value {
    document(|document| {
        document["binding"] = json!("dpop");
        document["dpop"] = json!({"origins": ["https://api.bank.example"]});
        change(document);
    })
}

#[test]
fn an_origin_is_what_clients_call_us_and_no_more() {
    let with_origins = |origins: Value| mistakes(&with_dpop(|document| document["dpop"]["origins"] = origins.clone()));
    let alone = "write scheme and host alone: https://api.bank.example";
    let path = format!("has a path, a query or a slash at its end; {alone}");
    let https = "is not an https URL; write what clients call us: https://api.bank.example";
    let host = "has a host that no URL can have; names beyond ASCII are written as A-labels (xn--…), and patterns are not understood here";
    for (origin, told) in [
        ("http://api.bank.example", https),
        ("api.bank.example", https),
        ("https://api.bank.example/", path.as_str()),
        ("https://api.bank.example/v1", &path),
        ("https://api.bank.example?x", &path),
        ("https://ann@api.bank.example", &format!("names a user; {alone}")),
        ("https://*.bank.example", host),
        ("https://api.bank.example:https", host),
    ] {
        assert_eq!(with_origins(json!([origin])), [format!("dpop.origins[0]: {origin:?} {told}")], "{origin}");
    }
    assert_eq!(
        with_origins(json!(["https://api.bank.example", "https://API.bank.example:443"])),
        ["dpop.origins[1]: is https://api.bank.example again; take one out"]
    );
    assert_eq!(with_origins(json!([])), ["dpop.origins: is an empty list; leave it out, or say what it is for"]);
    assert_eq!(with_origins(json!(["https://api.bank.example", "https://[2001:db8::1]:8443"])), NONE);
}

#[test]
fn proofs_can_be_asked_for_only_where_our_name_is_known() {
    let told = "takes DPoP proofs, and nothing says what clients call us; write dpop: {origins: [https://api.bank.example]} at the top";
    let without = |change: fn(&mut Value)| {
        mistakes(&with_dpop(|document| {
            document.as_object_mut().unwrap().remove("dpop");
            change(document);
        }))
    };
    assert_eq!(without(|_| ()), [format!("binding: {told}")]);
    for binding in ["dpop", "either", "both"] {
        let of_route = |document: &mut Value| {
            document["binding"] = json!("certificate");
            document["routes"][0]["binding"] = json!(binding);
        };
        let bad = document(of_route);
        assert_eq!(mistakes(&bad), [format!("routes[accounts].binding: {told}")], "{binding}");
        assert_eq!(mistakes(&with_dpop(of_route)), NONE, "{binding}");
    }
    assert_eq!(without(|document| document["binding"] = json!("when_bound")), NONE);
    assert_eq!(
        mistakes(&with_dpop(|document| document["dpop"] = json!({"replay": "worker"}))),
        ["dpop: has no origins"]
    );
}

#[test]
fn nonces_have_keys_and_keys_are_for_nonces() {
    let with = |dpop: Value| {
        mistakes(&with_dpop(|document| {
            document["dpop"].as_object_mut().unwrap().extend(dpop.as_object().unwrap().clone());
        }))
    };
    let keys = json!([{"env": "NONCE_KEY"}]);
    let missing = "dpop.nonce_keys: are missing; nonces are made with them: nonce_keys: [{env: NONCE_KEY}], 32 random octets in base64";
    let for_nonces = "dpop.nonce_keys: are for nonces; write nonce: required, or take them out";
    assert_eq!(with(json!({"nonce": "required"})), [missing]);
    assert_eq!(with(json!({"nonce": "none", "nonce_keys": keys})), [for_nonces]);
    assert_eq!(with(json!({"nonce_keys": keys})), [for_nonces]);
    assert_eq!(with(json!({"nonce": "required", "nonce_keys": keys})), NONE);
    let with_key = |key: Value| with(json!({"nonce": "required", "nonce_keys": [key]}));
    let make = "give it 32 random octets in base64 (openssl rand -base64 32)";
    let at = "dpop.nonce_keys[0]";
    for (key, told) in [
        (json!({"env": "API_SECRET"}), format!("{at}: the variable does not hold 32 octets or more; {make}")),
        (json!({"env": "SHORT_KEY"}), format!("{at}: the variable does not hold 32 octets or more; {make}")),
        (
            json!({"env": "UNSET"}),
            format!(
                "{at}: the VM has no variable UNSET, or an empty one; give it (Envoy: vm_config.environment_variables, Istio: vmConfig.env)"
            ),
        ),
        (
            json!("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="),
            format!(
                "{at}: a secret written inline would stand in every config dump; write {{env: NAME}} and give NAME to the VM (Envoy: vm_config.environment_variables, Istio: vmConfig.env)"
            ),
        ),
    ] {
        assert_eq!(with_key(key.clone()), [told], "{key}");
    }
}

#[test]
fn a_memory_that_remembers_nothing_is_never_full() {
    let with = |scope: &str| {
        mistakes(&with_dpop(|document| {
            document["dpop"]["replay"] = json!(scope);
            document["dpop"]["danger_admit_when_full"] = json!(true);
        }))
    };
    let told = "dpop.danger_admit_when_full: stands beside replay: none, which remembers nothing; take one of them out";
    assert_eq!(with("none"), [told]);
    assert_eq!(with("worker"), NONE);
}

#[test]
fn a_word_that_stands_twice_by_another_name_is_announced_once() {
    let document = with_dpop(|document| document["dpop"]["algorithms"] = json!(["ES256", "EdDSA", "Ed25519"]));
    let compiled = load(document.to_string().as_bytes(), &environment).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let [effects] = compiled.settings.effects.as_slice() else { panic!("one route") };
    assert_eq!(effects.schemes.algorithms.as_deref(), Some("ES256 EdDSA"));
    assert_eq!((effects.schemes.bearer, effects.schemes.dpop), (false, true));
}

#[test]
fn each_method_of_authentication_has_its_own_credentials_and_no_others() {
    let path = "issuers[bank].introspection";
    let told = |us: Value| {
        let mut introspection = json!({"cluster": "login", "path": "/i"});
        introspection.as_object_mut().unwrap().extend(us.as_object().unwrap().clone());
        mistakes(&with_issuer("introspection", introspection))
    };
    let (secret, key, token) = (json!({"env": "API_SECRET"}), json!({"env": "API_JWK"}), json!({"env": "API_TOKEN"}));
    for good in [
        json!({"client_id": "api", "client_secret": secret}),
        json!({"auth_method": "client_secret_basic", "client_id": "api", "client_secret": secret}),
        json!({"auth_method": "client_secret_post", "client_id": "api", "client_secret": secret}),
        json!({"auth_method": "private_key_jwt", "client_id": "api", "private_key": key}),
        json!({"auth_method": "tls_client_auth", "client_id": "api"}),
        json!({"auth_method": "bearer", "token": token}),
    ] {
        assert_eq!(told(good.clone()), NONE, "{good}");
    }
    let no = |what: &str| format!("{path}: has no {what}");
    let is_for =
        |what: &str, method: &str| format!("{path}.{what}: is for auth_method {method}; write that, or take it out");
    let secrets = "client_secret_basic or client_secret_post";
    let no_key = "the variable does not hold a private key as a JWK with kid and alg (ES256, PS256 or RS256)";
    let table = [
        (json!({"auth_method": "client_secret_post", "client_id": "api"}), vec![no("client_secret")]),
        (json!({"auth_method": "private_key_jwt", "client_id": "api"}), vec![no("private_key")]),
        (json!({"auth_method": "tls_client_auth"}), vec![no("client_id")]),
        (json!({"auth_method": "bearer"}), vec![no("token")]),
        (
            json!({"auth_method": "private_key_jwt", "client_id": "api", "client_secret": secret}),
            vec![is_for("client_secret", secrets), no("private_key")],
        ),
        (
            json!({"auth_method": "tls_client_auth", "client_id": "api", "client_secret": secret}),
            vec![is_for("client_secret", secrets)],
        ),
        (
            json!({"client_id": "api", "client_secret": secret, "private_key": key, "token": token}),
            vec![is_for("private_key", "private_key_jwt"), is_for("token", "bearer")],
        ),
        (
            json!({"auth_method": "bearer", "client_id": "api", "token": token}),
            vec![is_for("client_id", &format!("{secrets} or private_key_jwt or tls_client_auth"))],
        ),
        (
            json!({"auth_method": "basic", "client_id": "api"}),
            vec![format!(
                "{path}.auth_method: \"basic\" is none of client_secret_basic, client_secret_post, private_key_jwt, tls_client_auth, bearer"
            )],
        ),
        (
            json!({"auth_method": "private_key_jwt", "client_id": "api", "private_key": secret}),
            vec![format!("{path}.private_key: {no_key}: it is not a JSON object")],
        ),
        (
            json!({"auth_method": "private_key_jwt", "client_id": "api", "private_key": {"env": "PUBLIC_JWK"}}),
            vec![format!("{path}.private_key: {no_key}: it has no d, so it is a public key")],
        ),
        (
            json!({"auth_method": "private_key_jwt", "client_id": "api", "private_key": private("ES256")}),
            vec![format!(
                "{path}.private_key: is not the name of a variable; write {{env: NAME}}, in letters, digits and _, and nothing beside it"
            )],
        ),
        (
            json!({"auth_method": "bearer", "token": {"env": "WITH_BLANK"}}),
            vec![format!(
                "{path}.token: the variable holds a blank, and no token does; write it without Bearer before it"
            )],
        ),
    ];
    for (us, expected) in table {
        assert_eq!(told(us.clone()), expected, "{us}");
    }
}

fn discovering(issuer: Value) -> Value {
    document(|document| {
        let whole = document["issuers"][0].as_object_mut().unwrap();
        whole.remove("jwks");
        whole.extend(issuer.as_object().unwrap().clone());
    })
}

#[test]
fn an_issuer_that_tells_its_paths_has_none_written() {
    let secret = json!({"env": "API_SECRET"});
    let introspection = json!({"cluster": "login", "client_id": "api", "client_secret": secret});
    let good = json!({
        "discovery": {"cluster": "login", "document": "openid-configuration", "authority": "login.example", "timeout": "2s"},
        "jwks": {"cluster": "login"}, "introspection": introspection
    });
    assert_eq!(mistakes(&discovering(good.clone())), NONE);
    let with = |place: &str, value: Value| {
        let mut changed = good.clone();
        let (map, field) = place.rsplit_once('/').unwrap();
        let map = changed.pointer_mut(map).unwrap().as_object_mut().unwrap();
        match value {
            Value::Null => drop(map.remove(field)),
            value => drop(map.insert(field.to_owned(), value)),
        }
        mistakes(&discovering(changed))
    };
    let at = "issuers[bank]";
    let beside = "stands beside discovery, which tells it; take one of them out";
    let key = json!({"keys": [{
        "kty": "OKP", "crv": "Ed25519", "kid": "k1", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    }]});
    let inline = json!({"inline": key.to_string()});
    for (place, value, told) in [
        ("/jwks/path", json!("/jwks"), vec![format!("{at}.jwks.path: {beside}")]),
        ("/introspection/path", json!("/i"), vec![format!("{at}.introspection.path: {beside}")]),
        (
            "/discovery",
            Value::Null,
            vec![format!("{at}.jwks: has no path"), format!("{at}.introspection: has no path")],
        ),
        ("/discovery/cluster", Value::Null, vec![format!("{at}.discovery: has no cluster")]),
        (
            "/discovery/document",
            json!("oidc"),
            vec![format!(
                "{at}.discovery.document: \"oidc\" is none of oauth-authorization-server, openid-configuration"
            )],
        ),
        (
            "/discovery/path",
            json!("/x"),
            vec![format!("{at}.discovery.path: is not a field here; it belongs in {ROUTE}")],
        ),
        ("/jwks", inline.clone(), vec![]),
        ("/introspection", Value::Null, vec![]),
        ("/jwks", Value::Null, vec![]),
    ] {
        assert_eq!(with(place, value.clone()), told, "{place} {value}");
    }
    let nothing = json!({"discovery": {"cluster": "login"}, "jwks": inline});
    let told = [format!("{at}.discovery: tells nothing that is asked for beside jwks.inline; take it out")];
    assert_eq!(mistakes(&discovering(nothing)), told);
    let alone = json!({"discovery": {"cluster": "login"}});
    assert_eq!(
        mistakes(&discovering(alone)),
        [format!("{at}: can verify no token; write jwks, introspection or both")]
    );
}

const ROUTE: &str = "a route: routes: [{...}]";
/// `bank` introspects in this protocol.
fn speaking(protocol: &str) -> Value {
    with_issuer("introspection", introspection(protocol))
}

fn introspection(protocol: &str) -> Value {
    json!({"cluster": "login", "path": "/i", "protocol": protocol, "client_id": "api", "client_secret": {"env": "API_SECRET"}})
}

#[test]
fn whatever_is_signed_needs_keys() {
    for (protocol, told) in [
        ("rfc9701", Some("rfc9701 answers with a JWT")),
        ("phantom", Some("phantom answers with a JWT")),
        ("split", Some("split makes a JWT of the token")),
        ("rfc7662", None),
        ("authlete", None),
    ] {
        assert_eq!(mistakes(&speaking(protocol)), NONE, "{protocol}");
        let mut without = speaking(protocol);
        without["issuers"][0].as_object_mut().unwrap().remove("jwks");
        let told = told.map(|told| {
            format!("issuers[bank].introspection.protocol: {told}, and there are no keys to verify it with; write jwks")
        });
        assert_eq!(mistakes(&without), Vec::from_iter(told), "{protocol}");
    }
    let unknown =
        "issuers[bank].introspection.protocol: \"rfc7663\" is none of rfc7662, rfc9701, phantom, split, authlete";
    assert_eq!(mistakes(&speaking("rfc7663")), [unknown]);
}

#[test]
fn a_jwt_that_goes_on_in_place_of_a_token_moves_the_envoy_route() {
    for (protocol, moves) in
        [("phantom", true), ("split", true), ("rfc7662", false), ("rfc9701", false), ("authlete", false)]
    {
        let mut document = speaking(protocol);
        document["routes"][0]["envoy_route"] = json!("accounts");
        let told = "issuers[bank].introspection.protocol: can't stand beside envoy_route: it puts a JWT in place of the token, and a \
                    changed header makes Envoy choose the route again, after the decision; match by host and path";
        assert_eq!(mistakes(&document), if moves { vec![told] } else { vec![] }, "{protocol}");
    }
}

#[test]
fn a_jwt_without_an_end_is_never_taken() {
    for (protocol, taken) in
        [("phantom", false), ("split", false), ("rfc7662", true), ("rfc9701", true), ("authlete", true)]
    {
        let mut document = speaking(protocol);
        document["issuers"][0]["introspection"]["danger_allow_no_exp"] = json!(true);
        let told = "issuers[bank].introspection.danger_allow_no_exp: a JWT without exp is never taken; take it out";
        assert_eq!(mistakes(&document), if taken { vec![] } else { vec![told] }, "{protocol}");
    }
}

#[test]
fn a_proof_holds_the_nonce_of_one_server() {
    let with_nonces = |protocol: &str, nonce: &str| {
        let mut document = speaking(protocol);
        document["dpop"] = json!({"origins": ["https://api.bank.example"], "nonce": nonce});
        if nonce == "required" {
            document["dpop"]["nonce_keys"] = json!([{"env": "NONCE_KEY"}]);
        }
        mistakes(&document)
    };
    let told = "issuers[bank].introspection.protocol: a proof holds one nonce, and with authlete that is the API's, which is handed on; \
                take nonce out of dpop";
    assert_eq!(with_nonces("authlete", "required"), [told]);
    assert_eq!(with_nonces("authlete", "none"), NONE);
    assert_eq!(with_nonces("phantom", "required"), NONE);
}

#[test]
fn a_protocol_that_has_no_form_takes_credentials_in_a_field_and_a_path_that_is_written() {
    for (protocol, has_form) in
        [("rfc7662", true), ("rfc9701", true), ("phantom", true), ("split", false), ("authlete", false)]
    {
        let at = "issuers[bank].introspection";
        let told = |told: &str| if has_form { vec![] } else { vec![told.to_owned()] };
        let mut posted = speaking(protocol);
        posted["issuers"][0]["introspection"]["auth_method"] = json!("client_secret_post");
        let formless = "is shown in a form, and this protocol sends none; write client_secret_basic or bearer";
        assert_eq!(mistakes(&posted), told(&format!("{at}.auth_method: {formless}")), "{protocol}");
        let mut found = speaking(protocol);
        found["issuers"][0]["discovery"] = json!({"cluster": "login"});
        for path in ["jwks", "introspection"] {
            found["issuers"][0][path].as_object_mut().unwrap().remove("path");
        }
        let own = "has an endpoint that discovery does not tell; take discovery out, and write the paths of jwks and introspection";
        assert_eq!(mistakes(&found), told(&format!("{at}.protocol: {own}")), "{protocol}");
    }
}

#[test]
fn the_path_of_a_store_has_no_query() {
    for (protocol, fits) in [("split", false), ("phantom", true)] {
        let mut document = speaking(protocol);
        document["issuers"][0]["introspection"]["path"] = json!("/store?x=1");
        let told = "issuers[bank].introspection.path: has a query, and the digest of a token stands behind the path; take the query out";
        assert_eq!(mistakes(&document), if fits { vec![] } else { vec![told] }, "{protocol}");
    }
}

#[test]
fn a_signed_answer_is_for_a_client_by_its_name() {
    for (protocol, fits) in [("rfc9701", false), ("rfc7662", true), ("phantom", true), ("authlete", true)] {
        let mut document = speaking(protocol);
        document["issuers"][0]["introspection"] = json!({
            "cluster": "login", "path": "/i", "protocol": protocol, "auth_method": "bearer", "token": {"env": "API_SECRET"}
        });
        let told = "issuers[bank].introspection.protocol: answers to a client by its client_id, and bearer has none; write another \
                    auth_method";
        assert_eq!(mistakes(&document), if fits { vec![] } else { vec![told] }, "{protocol}");
    }
}

#[test]
fn who_is_asked_about_jwts_speaks_of_them() {
    for (protocol, fits) in
        [("rfc7662", true), ("rfc9701", true), ("phantom", false), ("split", false), ("authlete", false)]
    {
        let mut document = speaking(protocol);
        document["routes"][0]["revocation"] = json!("introspection");
        let name = document["routes"][0]["name"].as_str().unwrap().to_owned();
        let told = format!(
            "routes[{name}].revocation: bank is not asked about JWTs by its protocol; write rfc7662 or rfc9701 there, or revocation: \
             none here"
        );
        assert_eq!(mistakes(&document), if fits { vec![] } else { vec![told] }, "{protocol}");
    }
}
