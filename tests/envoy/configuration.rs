//! Configurations that are pushed: bad ones never replace a good one, two in one VM know nothing of each other.

use harness::{Configuration, Request};
use serde_json::{Value, json};

use super::stage::{Stage, api, document, issuer};

#[test]
fn a_refused_configuration_leaves_the_good_one_serving_and_says_why() {
    let stage = Stage::set(&document()).warm();
    let mut bad = document();
    bad["routes"][3]["alow"] = json!("authenticated");
    bad["issuers"][0]["introspection"]["client_secret"] = json!("inline");
    let table = [
        (
            bad,
            vec![
                "routes[api].alow: is not a field here; did you mean allow?",
                "issuers[bank].introspection.client_secret: a secret written inline",
            ],
        ),
        (json!({}), vec!["there is none; give the plugin a configuration"]),
        (json!([]), vec!["is a list; write a map"]),
        (json!({"issuers": [issuer()], "routes": [{"name": "x", "path": "/x"}]}), vec!["routes[x]: has no allow"]),
        (
            json!({"issuers": [issuer()], "binding": "dpop", "routes": [{"name": "x", "allow": "authenticated"}]}),
            vec!["binding: takes DPoP proofs, and nothing says what clients call us"],
        ),
    ];
    for (document, mistakes) in table {
        let log = stage.envoy.configure(&document).expect_err("a bad configuration");
        for mistake in mistakes {
            assert!(log.contains(&format!("configuration refused: {mistake}")), "{mistake}:\n{log}");
        }
        assert!(!log.contains("panicked"));
        stage.assert_alive();
        assert_eq!(stage.as_thief(&api(&stage.token())).status, 401);
    }
    assert!(stage.envoy.is_alive());
    stage.envoy.configure(&document()).expect("a good configuration is still taken");
    stage.assert_alive();
}

fn named(name: &str, document: &Value) -> Configuration {
    Configuration { name: name.into(), document: document.to_string() }
}

#[test]
fn two_configurations_in_one_vm_share_no_token_and_no_key() {
    let stage = Stage::set(&document()).warm();
    stage.server.know("opaque", stage.active());
    // The second filter takes the same tokens, and asks for itself.
    let plugins = vec![named("first", &document()), named("second", &document())];
    stage.envoy.push(plugins).expect("two plug-ins");
    assert_eq!(stage.as_bank(&api("opaque")).status, 200, "{}", stage.envoy.log());
    assert_eq!(stage.server.count("/introspect"), 2, "what one has learned the other does not know");

    // Another issuer behind the same cluster: a token that the first vouches for is nothing to the second.
    let mut other = document();
    other["issuers"][0]["issuer"] = json!("https://other.example");
    stage.envoy.push(vec![named("first", &document()), named("second", &other)]).expect("two plug-ins");
    assert_eq!(stage.as_bank(&api("opaque")).status, 401);
    assert_eq!(stage.as_bank(&api(&stage.token())).status, 401);
    assert_eq!(stage.reached(), 1);
}

#[test]
fn a_configuration_that_is_replaced_takes_what_it_remembered_with_it() {
    let stage = Stage::set(&document()).warm();
    stage.server.know("opaque", stage.active());
    assert_eq!(stage.as_bank(&api("opaque")).status, 200);
    stage.server.forget("opaque");
    assert_eq!(stage.as_bank(&api("opaque")).status, 200, "it is remembered");
    let mut stricter = document();
    stricter["challenge"] = json!({"realm": "new"});
    stage.envoy.configure(&stricter).expect("a good configuration");
    let answer = stage.as_bank(&api("opaque"));
    assert_eq!(answer.status, 401, "the new one has vouched for nothing");
    assert!(answer.value("www-authenticate").unwrap_or_default().starts_with(r#"Bearer realm="new""#));
}

#[test]
fn the_envoy_route_chooses_the_policy_by_metadata_or_by_name() {
    let document = json!({
        "issuers": [issuer()],
        "routes": [
            {"name": "accounts", "envoy_route": "accounts", "allow": "authenticated"},
            {"name": "admin", "envoy_route": "by-name", "allow": [{"scopes": ["admin"]}]}
        ]
    });
    let route = |prefix: &str, name: &str, policy: Option<&str>| {
        let mut route = json!({"match": {"prefix": prefix}, "name": name, "route": {"cluster": "upstream"}});
        if let Some(policy) = policy {
            route["metadata"] = json!({"filter_metadata": {"holdfast": {"policy": policy}}});
        }
        route
    };
    let routes = json!([
        route("/a", "x", Some("accounts")),
        route("/b", "by-name", None),
        route("/c", "by-name", Some("acounts")),
        route("/d", "y", None)
    ]);
    let stage = Stage::with(&document, |mut options| {
        options.routes = Some(routes);
        options
    })
    .warm();
    let good = stage.token();
    let table = [
        ("/a", 200, "granted"),
        ("/b", 403, "token.scope"),
        ("/c", 403, "route.unknown_policy"),
        ("/d", 403, "policy.no_route"),
    ];
    for (at, (path, status, reason)) in table.into_iter().enumerate() {
        assert_eq!(stage.as_bank(&Request::get(path).bearer(&good)).status, status, "{path}");
        assert_eq!(stage.reason(at + 1), reason, "{path}");
    }
    let forged = Request::get("/a").bearer(&good).field("client-cert", ":x:");
    assert_eq!(stage.as_bank(&forged).status, 400, "it could not be removed without choosing the route again");
    assert_eq!(stage.reached(), 1);
}

#[test]
fn a_secret_that_the_vm_does_not_have_is_told_by_its_name() {
    let stage = Stage::set(&document());
    let mut closed = document();
    closed["issuers"][0]["introspection"]["client_secret"] = json!({"env": "NOT_THERE"});
    let log = stage.envoy.configure(&closed).expect_err("a secret that is not there");
    assert!(log.contains("the VM has no variable NOT_THERE"), "{log}");
}
