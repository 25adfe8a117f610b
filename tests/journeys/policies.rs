//! The policies of the configuration guide that this version can enforce, each with the requests that stand beside it.

use harness::{Algorithm, Authority, Certificate, SigningKey};
use serde_json::{Value, json};

use super::world::{Ask, NOW, PASSES, World, bank, certificate, get, leaf, ok, request, token};

fn with_id(ids: &[&str]) -> Certificate {
    Authority::new("test CA").issue(ids.iter().fold(leaf(), |leaf, id| leaf.uri(id)))
}

/// Sends each request and compares status and reason.
fn each(world: &mut World, table: Vec<(&str, Ask, (u16, &'static str))>) {
    for (name, request, expected) in table {
        assert_eq!(world.verdict(&request), expected, "{name}");
    }
}

#[test]
fn policy_1_banks_read_prices_with_the_token_of_their_certificate() {
    let mut world = World::new(json!({
        "issuers": [{
            "issuer": "https://login.data.example/realms/customers", "name": "keycloak", "audiences": ["market-data"],
            "algorithms": ["RS256"], "profile": "legacy", "claims": {"client_id": "/azp"},
            "jwks": {"cluster": "keycloak", "path": "/realms/customers/protocol/openid-connect/certs"}
        }],
        "routes": [{"name": "prices", "methods": ["GET"], "path": "/instruments/{isin}/prices",
                    "allow": [{"scopes": ["prices.read"]}]}]
    }));
    let key = SigningKey::new(Algorithm::Rs256, "k1");
    world.keys.insert("keycloak".into(), ok(json!({"keys": [key.jwk()]})));
    let (ours, theirs) = (certificate(), certificate());
    let token = |scope: &str| {
        let claims = json!({
            "iss": "https://login.data.example/realms/customers", "aud": "market-data", "azp": "n26", "typ": "Bearer",
            "iat": NOW, "exp": NOW + 60, "scope": scope, "cnf": {"x5t#S256": ours.x5t_s256()}
        });
        key.mint(json!({"typ": "JWT"}), &claims)
    };
    let good = get("/instruments/DE0001/prices").bearer(&token("email prices.read"));
    let table = vec![
        ("right certificate", good.clone().certificate(&ours), PASSES),
        ("stolen: another certificate", good.clone().certificate(&theirs), (401, "binding.other_certificate")),
        ("no certificate", good, (401, "binding.no_certificate")),
        (
            "no scope",
            get("/instruments/DE0001/prices").bearer(&token("email")).certificate(&ours),
            (403, "token.scope"),
        ),
        (
            "HEAD is not GET",
            request("HEAD", "/instruments/DE0001/prices").bearer(&token("prices.read")).certificate(&ours),
            (403, "policy.no_route"),
        ),
    ];
    each(&mut world, table);
}

#[test]
fn policy_7_a_user_sees_the_reports_of_the_own_department_only() {
    let mut issuer = bank();
    issuer["roles"] = json!({"at": ["/roles"]});
    let mut world = World::new(json!({
        "issuers": [issuer],
        "routes": [{
            "name": "reports", "methods": ["GET"], "path": "/departments/{department}/reports/**",
            "allow": [
                {"role": "report-viewer", "claims": {"/department": "{department}"}},
                {"role": "auditor"}
            ]
        }]
    }));
    let ours = certificate();
    let ask = |path: &str, others: Value| get(path).bearer(&token(&ours, others)).certificate(&ours);
    let viewer = |department: Value| json!({"roles": ["report-viewer"], "department": department});
    let table = vec![
        ("own", ask("/departments/sales/reports/1", viewer(json!("sales"))), PASSES),
        ("other", ask("/departments/legal/reports/1", viewer(json!("sales"))), (403, "policy.no_rule")),
        ("auditor", ask("/departments/legal/reports/1", json!({"roles": "auditor"})), PASSES),
        ("a list", ask("/departments/sales/reports/1", viewer(json!(["sales"]))), (403, "policy.no_rule")),
        ("encoded letters", ask("/departments/s%61les/reports/1", viewer(json!("sales"))), PASSES),
        ("encoded slash", ask("/departments/a%2Fb/reports/1", viewer(json!("a/b"))), (403, "policy.no_route")),
    ];
    each(&mut world, table);
}

#[test]
fn policy_10_only_the_bff_may_call_with_its_workload_certificate() {
    let mut world = World::new(json!({
        "issuers": [bank()],
        "peer_certificate": {"chain": "verified", "trust_domains": ["shop.example"]},
        "routes": [{
            "name": "api", "path": "/api/**",
            "allow": [{"client": "web-bff", "certificate": {"spiffe_id": "spiffe://shop.example/ns/web/sa/bff"}, "scopes": ["shop"]}]
        }]
    }));
    let bff = with_id(&["spiffe://shop.example/ns/web/sa/bff"]);
    let other = with_id(&["spiffe://shop.example/ns/web/sa/other"]);
    let good = token(&bff, json!({"client_id": "web-bff", "scope": "shop"}));
    let another_client = token(&bff, json!({"client_id": "app", "scope": "shop"}));
    let table = vec![
        ("bff", get("/api/carts").bearer(&good).certificate(&bff), PASSES),
        (
            "its token from another workload",
            get("/api/carts").bearer(&good).certificate(&other),
            (401, "binding.other_certificate"),
        ),
        (
            "another client on the bff's certificate",
            get("/api/carts").bearer(&another_client).certificate(&bff),
            (403, "policy.no_rule"),
        ),
    ];
    each(&mut world, table);
}

#[test]
fn policy_18_who_may_call_the_ledger_by_spiffe_id() {
    let mut world = World::new(json!({
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "deny": [{"certificate": {"spiffe_id": "spiffe://bank.example/ns/sandbox/**"}}],
        "routes": [
            {"name": "ledger-read", "methods": ["GET"], "path": "/ledger/**", "allow": [
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/*/sa/reporting"}, "token": "none"},
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/treasury/sa/*"}, "token": "none"}
            ]},
            {"name": "ledger-write", "methods": ["POST"], "path": "/ledger/{book}/entries", "allow": [
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/{book}/sa/booking"}, "token": "none"}
            ]}
        ]
    }));
    let read = |ids: &[&str]| get("/ledger/2026").certificate(&with_id(ids));
    let write = |book: &str, id: &str| request("POST", &format!("/ledger/{book}/entries")).certificate(&with_id(&[id]));
    let table = vec![
        ("reporting of any namespace", read(&["spiffe://bank.example/ns/fx/sa/reporting"]), PASSES),
        ("treasury", read(&["spiffe://bank.example/ns/treasury/sa/pay"]), PASSES),
        ("except the sandbox", read(&["spiffe://bank.example/ns/sandbox/sa/reporting"]), (403, "policy.denied")),
        ("another trust domain", read(&["spiffe://evil.example/ns/fx/sa/reporting"]), (403, "policy.no_rule")),
        (
            "two URI SANs are no SPIFFE certificate",
            read(&["spiffe://bank.example/ns/fx/sa/reporting", "spiffe://bank.example/ns/fx/sa/other"]),
            (403, "policy.no_rule"),
        ),
        ("each book by its own namespace", write("fx", "spiffe://bank.example/ns/fx/sa/booking"), PASSES),
        ("another's book", write("rates", "spiffe://bank.example/ns/fx/sa/booking"), (403, "policy.no_rule")),
        ("no certificate", get("/ledger/2026"), (403, "policy.no_rule")),
    ];
    each(&mut world, table);
}

#[test]
fn policy_21_market_data_feeds_are_entitled_by_claim() {
    let mut world = World::new(json!({
        "issuers": [bank()],
        "deny": [{"client": "leaky-trading"}],
        "routes": [
            {"name": "ticks", "methods": ["GET"], "path": "/feeds/{exchange}/ticks", "scopes": ["feeds"], "allow": [
                {"claims": {"/entitlements": {"contains": "{exchange}"}}},
                {"claims": {"/plan": "all-exchanges"}}
            ]},
            {"name": "subscribe", "methods": ["POST"], "path": "/feed.v1.Quotes/Subscribe", "scopes": ["feeds"],
             "allow": [{"claims": {"/plan": ["streaming", "all-exchanges"]}}]},
            {"name": "grpc-health", "methods": ["POST"], "path": "/grpc.health.v1.Health/*", "allow": "public"}
        ]
    }));
    let ours = certificate();
    let ask = |method: &str, path: &str, mut others: Value| {
        others["scope"] = json!("feeds");
        request(method, path).bearer(&token(&ours, others)).certificate(&ours)
    };
    let xetra = json!({"entitlements": ["XETR", "XFRA"]});
    let table = vec![
        ("entitled", ask("GET", "/feeds/XETR/ticks", xetra.clone()), PASSES),
        ("not entitled", ask("GET", "/feeds/XNYS/ticks", xetra.clone()), (403, "policy.no_rule")),
        ("contains is never a substring", ask("GET", "/feeds/XET/ticks", xetra.clone()), (403, "policy.no_rule")),
        ("stream", ask("POST", "/feed.v1.Quotes/Subscribe", json!({"plan": "streaming"})), PASSES),
        (
            "another method",
            ask("POST", "/feed.v1.Quotes/Publish", json!({"plan": "streaming"})),
            (403, "policy.no_route"),
        ),
        (
            "stopped",
            ask("GET", "/feeds/XETR/ticks", json!({"client_id": "leaky-trading", "entitlements": ["XETR"]})),
            (403, "policy.denied"),
        ),
        ("health", request("POST", "/grpc.health.v1.Health/Check"), (0, "public")),
    ];
    each(&mut world, table);
}

#[test]
fn policy_22_health_for_the_kubelet_and_metrics_for_prometheus() {
    let (prometheus, old) = (with_id(&["spiffe://cluster.local/ns/monitoring/sa/prometheus"]), certificate());
    let mut world = World::new(json!({
        "peer_certificate": {"chain": "verified", "trust_domains": ["cluster.local"]},
        "routes": [
            {"name": "health", "methods": ["GET", "HEAD"], "path": ["/healthz", "/readyz"], "allow": "public"},
            {"name": "metadata", "methods": ["GET"], "path": "/.well-known/oauth-protected-resource/**", "allow": "public"},
            {"name": "metrics", "methods": ["GET"], "path": "/metrics", "allow": [
                {"certificate": {"spiffe_id": "spiffe://cluster.local/ns/monitoring/sa/prometheus"}, "token": "none"},
                {"certificate": {"sha256": old.digest_hex()}, "token": "none"}
            ]}
        ]
    }));
    let table = vec![
        ("kubelet", get("/healthz").plaintext(), (0, "public")),
        ("POST", request("POST", "/healthz"), (403, "policy.no_route")),
        ("a slash more", get("/healthz/"), (0, "public")),
        ("scrape", get("/metrics").certificate(&prometheus), PASSES),
        ("the old scraper", get("/metrics").certificate(&old), PASSES),
        ("anybody", get("/metrics").certificate(&certificate()), (403, "policy.no_rule")),
    ];
    each(&mut world, table);
}

#[test]
fn policy_24_clients_move_to_bound_tokens_one_by_one() {
    let mut world = World::new(json!({
        "issuers": [bank()],
        "binding": "certificate",
        "routes": [
            {"name": "quotes", "path": "/quotes/**", "binding": "when_bound", "scopes": ["quotes"], "allow": [
                {"client": ["n26", "revolut"], "claims": {"/cnf": {"present": true}}},
                {"client": ["oldbank", "older-bank"]}
            ]},
            {"name": "orders", "path": "/orders/**", "allow": [{"scopes": ["orders"]}]}
        ]
    }));
    let (ours, theirs) = (certificate(), certificate());
    let unbound = |client: &str| token(&ours, json!({"client_id": client, "scope": "quotes orders", "cnf": null}));
    let moved = token(&ours, json!({"client_id": "n26", "scope": "quotes"}));
    let table = vec![
        ("moved", get("/quotes/1").bearer(&moved).certificate(&ours), PASSES),
        ("moved, but an unbound token", get("/quotes/1").bearer(&unbound("n26")), (403, "policy.no_rule")),
        ("moved, and stolen", get("/quotes/1").bearer(&moved).certificate(&theirs), (401, "binding.other_certificate")),
        ("not moved", get("/quotes/1").bearer(&unbound("oldbank")), (0, "granted.unbound")),
        (
            "new routes are strict",
            get("/orders/1").bearer(&unbound("oldbank")).certificate(&ours),
            (401, "binding.unbound"),
        ),
    ];
    each(&mut world, table);
}
