//! Certificates as the proxy tells them: their names, and those that nobody verified.

use harness::{Leaf, Request, Tls};
use serde_json::json;

use super::stage::{Stage, api, claims, document};

#[test]
fn a_certificate_that_nobody_verified_binds_all_the_same() {
    let mut document = document();
    document["routes"][1] = json!({"name": "admin", "path": "/admin/**", "allow": "authenticated"});
    let stage = Stage::with(&document, |options| options.tls(Tls::Untrusted)).warm();
    let own = Leaf::client("self").uri("spiffe://bank.example/ns/admin/sa/root").self_signed();
    let token = stage.key.mint(json!({}), &claims(&own));
    assert_eq!(stage.envoy.client(&own).send(&api(&token)).status, 200, "RFC 8705 §6.2: {}", stage.envoy.log());
    assert_eq!(stage.as_thief(&api(&token)).status, 401);
}

#[test]
fn a_listener_that_asks_for_no_certificate_lets_no_bound_token_through() {
    let stage = Stage::with(&document(), |options| options.tls(Tls::None)).warm();
    let answer = stage.as_bank(&api(&stage.token()));
    assert_eq!((answer.status, stage.reason(1).as_str()), (401, "binding.no_certificate"));
    assert_eq!(stage.reached(), 0);
}

#[test]
fn a_renewed_certificate_of_the_same_name_is_another_one() {
    let stage = Stage::set(&document()).warm();
    let renewed = stage.envoy.authority().issue(Leaf::client("bank"));
    assert_eq!(stage.envoy.client(&renewed).send(&api(&stage.token())).status, 401);
}

#[test]
fn workloads_are_known_by_their_spiffe_id_alone() {
    let document = json!({
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "deny": [{"certificate": {"spiffe_id": "spiffe://bank.example/ns/sandbox/**"}}],
        "routes": [
            {"name": "read", "methods": ["GET"], "path": "/ledger/**", "allow": [
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/*/sa/reporting"}, "token": "none"}]},
            {"name": "write", "methods": ["POST"], "path": "/ledger/{book}/entries", "allow": [
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/{book}/sa/booking"}, "token": "none"}]},
            {"name": "names", "path": "/names", "allow": [
                {"certificate": {"san_dns": "*.treasury.example"}, "token": "none"},
                {"certificate": {"san_uri": "urn:treasury"}, "token": "none"}]}
        ]
    });
    let stage = Stage::set(&document);
    let issue = |leaf: Leaf| stage.envoy.authority().issue(leaf);
    let id = |id: &str| issue(Leaf::client("w").uri(id));
    let reporting = "spiffe://bank.example/ns/fx/sa/reporting";
    let get = || Request::get("/ledger/x");
    let post = |book: &str| Request::new("POST", &format!("/ledger/{book}/entries")).body("");
    let table = [
        ("reporting", id(reporting), get(), 200),
        ("the sandbox", id("spiffe://bank.example/ns/sandbox/sa/reporting"), get(), 403),
        ("another trust domain", id("spiffe://evil.example/ns/fx/sa/reporting"), get(), 403),
        ("another account", id("spiffe://bank.example/ns/fx/sa/other"), get(), 403),
        ("more below", id("spiffe://bank.example/ns/fx/sa/reporting/x"), get(), 403),
        ("two URIs", issue(Leaf::client("w").uri(reporting).uri("urn:x")), get(), 403),
        ("an authority", issue(Leaf::client("w").uri(reporting).authority()), get(), 403),
        ("no URI", issue(Leaf::client("w")), get(), 403),
        ("its book", id("spiffe://bank.example/ns/fx/sa/booking"), post("fx"), 200),
        ("another's book", id("spiffe://bank.example/ns/fx/sa/booking"), post("rates"), 403),
        ("a DNS name", issue(Leaf::client("w").dns("pay.treasury.example")), Request::get("/names"), 200),
        ("a longer DNS name", issue(Leaf::client("w").dns("a.b.treasury.example")), Request::get("/names"), 403),
        ("a wildcard is no name", issue(Leaf::client("w").dns("*.treasury.example")), Request::get("/names"), 403),
        ("a URI", issue(Leaf::client("w").uri("urn:treasury")), Request::get("/names"), 200),
        ("a URI with more", issue(Leaf::client("w").uri("urn:treasury:x")), Request::get("/names"), 403),
    ];
    let mut reached = 0;
    for (name, certificate, request, status) in table {
        let answer = stage.envoy.client(&certificate).send(&request);
        assert_eq!(answer.status, status, "{name}: {:?}", stage.envoy.access_log().last());
        reached += usize::from(status == 200);
    }
    assert_eq!(stage.anonymously(&get()).status, 403);
    assert_eq!(stage.reached(), reached);
}
