//! What upstreams are told of a caller by header fields, and what browsers may ask before they show who calls.

use serde_json::{Value, json};

use super::world::{Ask, PASSES, World, bank, certificate, get, request, token};

fn telling(headers: Value) -> World {
    World::new(json!({
        "issuers": [bank()],
        "forward": {"headers": headers},
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "own", "path": "/own", "forward": {"headers": {"x-route": "route"}}, "allow": "authenticated"},
            {"name": "all", "path": "/x", "allow": "authenticated"}
        ]
    }))
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

#[test]
fn upstreams_are_told_what_the_operator_names_and_nothing_that_a_caller_writes() {
    let mut world = telling(json!({
        "x-client-id": "client_id", "x-subject": "subject", "x-issuer": "issuer", "x-scopes": "scopes", "x-binding": "binding",
        "x-route": "route", "x-certificate": "certificate_sha256", "x-organization": "/org", "x-none": "/none", "x-roles": "roles"
    }));
    let ours = certificate();
    let good = token(&ours, json!({"scope": "a b", "org": "Bank & Söhne\r\nx-evil: 1"}));
    let forged = |asked: Ask| {
        asked.field("x-subject", "root").field("X_Subject", "root").field("x-none", "forged").field("x-other", "kept")
    };
    let told = world.send(&forged(get("/x").bearer(&good)).certificate(&ours));
    assert_eq!(told.removed, ["x-subject", "X_Subject", "x-none"]);
    let expected = owned(&[
        ("x-binding", "certificate"),
        ("x-certificate", &ours.digest_hex()),
        ("x-client-id", "n26"),
        ("x-issuer", "https://login.bank.example"),
        ("x-organization", "Bank%20&%20S%C3%B6hne%0D%0Ax-evil:%201"),
        ("x-route", "all"),
        ("x-scopes", "a,b"),
        ("x-subject", "ann"),
    ]);
    assert_eq!(told.added, expected);

    let public = world.send(&forged(get("/healthz").bearer(&good)).certificate(&ours));
    assert_eq!(public.removed, ["authorization", "x-subject", "X_Subject", "x-none"]);
    assert_eq!(public.added, [], "nobody was asked who they are");

    let own = world.send(&forged(get("/own").bearer(&good)).certificate(&ours));
    assert_eq!(own.removed, ["x-subject", "X_Subject", "x-none"], "fields of other routes are nobody's here either");
    assert_eq!(own.added, owned(&[("x-route", "own")]), "a route's own replaces the whole field");
}

#[test]
fn each_type_of_claim_has_one_spelling_and_none_grows_a_member() {
    let mut world = telling(json!({"x-it": "/it"}));
    let ours = certificate();
    for (claim, expected) in [
        (json!("user,admin"), Some("user%2Cadmin")),
        (json!(["user,admin", "clerk", 5, true]), Some("user%2Cadmin,clerk,5,true")),
        (json!(7), Some("7")),
        (json!(false), Some("false")),
        (json!({"a": "\n"}), Some("eyJhIjoiXG4ifQ")),
        (json!("é\u{0}"), Some("%C3%A9%00")),
        (json!(""), None),
        (json!([]), None),
        (Value::Null, None),
    ] {
        let told = world.send(&get("/x").bearer(&token(&ours, json!({"it": claim.clone()}))).certificate(&ours));
        assert_eq!((told.status, told.reason), PASSES);
        assert_eq!(
            told.added,
            expected.map(|value| ("x-it".to_owned(), value.to_owned())).into_iter().collect::<Vec<_>>()
        );
    }
    for (length, expected) in [(256, PASSES), (257, (403, "identity.too_long"))] {
        let long = get("/x").bearer(&token(&ours, json!({"it": "o".repeat(length)}))).certificate(&ours);
        assert_eq!(world.verdict(&long), expected);
    }
}

fn browser_api() -> World {
    World::new(json!({
        "issuers": [bank()],
        "cors_preflight": "pass",
        "forward": {"headers": {"x-subject": "subject"}},
        "routes": [
            {"name": "accounts", "methods": ["GET"], "path": "/accounts/**", "allow": [{"scopes": ["accounts"]}]},
            {"name": "admin", "path": "/admin/**", "cors_preflight": "refuse", "allow": [{"scopes": ["admin"]}]}
        ]
    }))
}

fn preflight(path: &str, method: &str) -> Ask {
    request("OPTIONS", path).field("origin", "https://app.example").field("access-control-request-method", method)
}

#[test]
fn a_true_preflight_passes_where_the_route_of_the_request_says_so() {
    let mut world = browser_api();
    let ours = certificate();
    let good = token(&ours, json!({"scope": "accounts"}));
    for (name, asked, expected) in [
        ("preflight for GET", preflight("/accounts/1", "GET"), (0, "preflight")),
        ("over plain HTTP too: it carries nothing", preflight("/accounts/1", "GET").plaintext(), (0, "preflight")),
        ("for a method nobody may use", preflight("/accounts/1", "DELETE"), (403, "policy.no_route")),
        ("OPTIONS that is no preflight", request("OPTIONS", "/accounts/1"), (403, "policy.no_route")),
        ("with a token", preflight("/accounts/1", "GET").bearer(&good), (403, "policy.no_route")),
        ("with a cookie", preflight("/accounts/1", "GET").field("cookie", "session=1"), (403, "policy.no_route")),
        ("with a body", preflight("/accounts/1", "GET").body(), (403, "policy.no_route")),
        ("with an upgrade", preflight("/accounts/1", "GET").field("upgrade", "websocket"), (403, "policy.no_route")),
        (
            "of two origins",
            preflight("/accounts/1", "GET").field("origin", "https://b.example"),
            (403, "policy.no_route"),
        ),
        (
            "of two origins in one field",
            request("OPTIONS", "/accounts/1")
                .field("origin", "https://a.example,https://b.example")
                .field("access-control-request-method", "GET"),
            (403, "policy.no_route"),
        ),
        ("to admin", preflight("/admin/x", "GET"), (401, "credential.missing")),
        ("a hostile path", preflight("/accounts/../admin", "GET"), (400, "path.ambiguous")),
        ("the call itself", get("/accounts/1").bearer(&good).certificate(&ours), PASSES),
        ("a call without a token", get("/accounts/1").certificate(&ours), (401, "credential.missing")),
    ] {
        assert_eq!(world.verdict(&asked), expected, "{name}");
    }
}

#[test]
fn a_preflight_takes_nothing_to_the_upstream_that_only_this_filter_may_say() {
    let mut world = browser_api();
    let forged = preflight("/accounts/1", "GET")
        .field("x-subject", "root")
        .field("x-http-method-override", "GET")
        .field("dpop", "x");
    let told = world.send(&forged);
    assert_eq!(told.removed, ["x-subject", "x-http-method-override", "dpop"]);
    assert_eq!(told.added, []);
}

#[test]
fn permits_tell_only_what_a_route_names_where_the_operator_wants_only_refusals_told() {
    let (ours, thiefs) = (certificate(), certificate());
    let routes = json!([
        {"name": "all", "path": "/all", "allow": "authenticated"},
        {"name": "open", "methods": ["GET"], "path": "/open", "allow": "public"}
    ]);
    let configuration = json!({"issuers": [bank()], "routes": routes, "facts": "refusals",
                               "forward": {"filter_state": {"who": "subject"}}});
    let mut world = World::new(configuration);
    let token = token(&ours, json!({}));
    let told = world.send(&get("/all").bearer(&token).certificate(&ours));
    assert_eq!((told.status, told.facts), (0, [("who".to_owned(), "ann".to_owned())].into()));
    assert_eq!(world.send(&get("/open")).facts, [].into());
    let told = world.send(&get("/all").bearer(&token).certificate(&thiefs));
    assert_eq!((told.status, told.facts["reason"].as_str()), (401, "binding.other_certificate"));
    assert_eq!((told.facts["decision"].as_str(), told.facts["client_id"].as_str()), ("deny", "n26"));
}
