//! The configurations of `envoy/`, as they are, with a real authorization server.

use harness::{Authority, Envoy, Leaf, OidcProvider, Request, Upstream, top};
use serde_json::{Value, json};

const API: &str = "https://api.market.example";

fn start(name: &str) -> (Envoy, OidcProvider, Upstream, harness::Certificate, harness::Certificate) {
    let ca = Authority::new("market CA");
    let (bank, insurer) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("insurer")));
    let provider = OidcProvider::start(&ca);
    let upstream = Upstream::start();
    let trusted = ca.certificate.clone();
    let secret = [("RS_SECRET", provider.rs_secret.as_str())];
    let envoy = Envoy::start_example(ca, name, upstream.address(), provider.address(), &trusted, &secret);
    (envoy, provider, upstream, bank, insurer)
}

fn prices(token: &str) -> Request {
    Request::get("/prices/DE0007100000").bearer(token)
}

#[test]
fn the_minimal_one_protects_a_service() {
    let (envoy, provider, upstream, bank, insurer) = start("minimal.yaml");
    for resource in ["", "/ps256"] {
        let token = provider.token("bank", &bank, "prices.read", &format!("{API}{resource}"));
        assert_eq!(envoy.client(&bank).send(&prices(&token)).status, 200, "{}", envoy.log());
        assert_eq!(envoy.client(&insurer).send(&prices(&token)).status, 401);
        assert_eq!(envoy.anonymous().send(&prices(&token)).status, 401);
    }
    let other = provider.token("bank", &bank, "prices.write", API);
    assert_eq!(envoy.client(&bank).send(&prices(&other)).status, 403);
    let opaque = provider.token("bank", &bank, "prices.read", &format!("{API}/opaque"));
    assert_eq!(envoy.client(&bank).send(&prices(&opaque)).status, 401, "nobody is asked about opaque tokens");
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn the_complete_one_does_all_that_it_says() {
    let (envoy, provider, upstream, bank, insurer) = start("complete.yaml");
    let (client, other) = (envoy.client(&bank), envoy.client(&insurer));
    let order = |token: &str| Request::new("POST", "/orders").bearer(token).body("buy");
    let token = provider.token("bank", &bank, "prices.read prices.write", API);
    assert_eq!(client.send(&prices(&token)).status, 200, "{}", envoy.log());
    assert_eq!(client.send(&order(&token)).status, 200);
    assert!(
        upstream.take().iter().all(|received| received.values("authorization").is_empty()),
        "the token is stripped"
    );
    let no_role = provider.token("insurer", &insurer, "prices.write", API);
    let answer = other.send(&order(&no_role));
    assert_eq!((answer.status, answer.value("www-authenticate")), (403, None));
    let opaque = provider.token("bank", &bank, "prices.read", &format!("{API}/opaque"));
    assert_eq!(client.send(&prices(&opaque)).status, 200);
    assert_eq!(other.send(&prices(&opaque)).status, 401);
    assert_eq!(envoy.anonymous().send(&Request::get("/healthz")).status, 200);
    let prometheus =
        envoy.authority().issue(Leaf::client("p").uri("spiffe://market.example/ns/monitoring/sa/prometheus"));
    assert_eq!(envoy.client(&prometheus).send(&Request::get("/metrics")).status, 200);
    assert_eq!(client.send(&Request::get("/metrics")).status, 403);
    let challenges = envoy.anonymous().send(&Request::get("/prices/x")).values("www-authenticate");
    assert_eq!(challenges, [r#"Bearer realm="market""#, r#"DPoP realm="market", algs="ES256 EdDSA PS256""#]);

    let metrics = envoy.admin("/stats/prometheus");
    assert!(metrics.contains(r#"holdfast_requests{route="prices",decision="permit",reason="granted"}"#), "{metrics}");
    let line: Value = serde_json::from_str(&envoy.access_lines(1).remove(0)).expect("a line of JSON");
    let told = ["method", "path", "status", "decision", "reason", "route", "client_id", "roles", "certificate_sha256"];
    let expected =
        json!(["GET", "/prices/DE0007100000", 200, "permit", "granted", "prices", "bank", "trader", bank.digest_hex()]);
    assert_eq!(json!(told.map(|member| &line[member])), expected, "{line}");
    for member in ["time", "request_id", "peer", "certificate_subject"] {
        assert!(line[member].is_string(), "{member}: {line}");
    }
}

#[test]
fn pages_that_count_the_policies_to_copy_count_them_right() {
    let files = std::fs::read_dir(top().join("envoy/policies")).expect("policies");
    assert_eq!(files.count(), 25, "the pages say twenty-five");
    for (page, sentence) in [
        ("docs/configuration.md", "[envoy/policies](../envoy/policies) has twenty-five more to copy"),
        ("CHANGELOG.md", "Twenty-five policies to copy, in `envoy/policies`"),
    ] {
        let text = std::fs::read_to_string(top().join(page)).expect(page);
        assert!(text.contains(sentence), "{page}");
    }
}

#[test]
fn every_policy_on_our_pages_loads_in_envoy_and_a_mistake_in_one_does_not() {
    let ca = Authority::new("market CA");
    let pages =
        ["README.md", "docs/configuration.md"].map(|page| std::fs::read_to_string(top().join(page)).expect(page));
    let policies = pages.iter().flat_map(|page| page.split("```yaml\n").skip(1));
    let policies: Vec<&str> = policies.filter_map(|rest| rest.split("```").next()).collect();
    let without_secret: Vec<&str> = policies.into_iter().filter(|policy| !policy.contains("{env: ")).collect();
    assert_eq!(without_secret.len(), 7);
    for policy in without_secret {
        assert_eq!(Envoy::try_policy(&ca, "minimal.yaml", policy), Ok(()), "{policy}");
        let wrong = policy.replacen("allow:", "alow:", 1);
        let said = Envoy::try_policy(&ca, "minimal.yaml", &wrong).expect_err("a mistake");
        assert!(said.contains("alow: is not a field here; did you mean allow?"), "{said}");
    }
}
