//! The configurations of `envoy/`, as they are, with a real authorization server.

use harness::{Authority, Envoy, Leaf, OidcProvider, Request, Upstream, top, yaml};
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
    let challenge = envoy.anonymous().send(&Request::get("/prices/x")).value("www-authenticate");
    assert_eq!(challenge.as_deref(), Some(r#"Bearer realm="market""#));

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
fn every_policy_on_our_pages_loads_in_envoy_and_a_mistake_in_one_does_not() {
    let ca = Authority::new("market CA");
    let pages =
        ["README.md", "docs/configuration.md"].map(|page| std::fs::read_to_string(top().join(page)).expect(page));
    let policies = pages.iter().flat_map(|page| page.split("```yaml\n").skip(1));
    let policies: Vec<&str> = policies.filter_map(|rest| rest.split("```").next()).collect();
    let without_secret: Vec<&str> = policies.into_iter().filter(|policy| !policy.contains("{env: ")).collect();
    assert_eq!(without_secret.len(), 6);
    for policy in without_secret {
        assert_eq!(Envoy::try_policy(&ca, "minimal.yaml", policy), Ok(()), "{policy}");
        let wrong = policy.replacen("allow:", "alow:", 1);
        let said = Envoy::try_policy(&ca, "minimal.yaml", &wrong).expect_err("a mistake");
        assert!(said.contains("alow: is not a field here; did you mean allow?"), "{said}");
    }
}

const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

/// What nobody should copy: each a name, and whether it is so.
fn unsafe_in(example: &Value) -> Vec<&'static str> {
    let none = Value::Null;
    let manager = example.pointer(MANAGER).unwrap_or(&none);
    let at = |place: &str| manager.pointer(place).unwrap_or(&none);
    let lasts = |value: &Value| value.as_str().is_some_and(|text| text.ends_with('s') && text != "0s");
    let filters = at("/http_filters").as_array().cloned().unwrap_or_default();
    let policy = filters.first().and_then(|filter| filter.pointer("/typed_config/config/failure_policy"));
    let clusters = example.pointer("/static_resources/clusters").and_then(Value::as_array).cloned().unwrap_or_default();
    let servers: Vec<&Value> = clusters.iter().filter(|cluster| cluster["name"] != "upstream").collect();
    let verified = |cluster: &&Value| {
        let context = cluster.pointer("/transport_socket/typed_config/common_tls_context/validation_context");
        context.is_some_and(|context| {
            context.pointer("/trusted_ca/filename").is_some_and(Value::is_string)
                && context.pointer("/match_typed_subject_alt_names/0/matcher/exact").is_some_and(Value::is_string)
        })
    };
    let checks = [
        ("admin", example.pointer("/admin/address/socket_address/address") == Some(&json!("127.0.0.1"))),
        ("normalize_path", at("/normalize_path") == &json!(true)),
        ("merge_slashes", at("/merge_slashes").is_boolean()),
        ("escaped slashes", at("/path_with_escaped_slashes_action").is_string()),
        (
            "underscores",
            at("/common_http_protocol_options/headers_with_underscores_action") == &json!("REJECT_REQUEST"),
        ),
        ("idle connections", lasts(at("/common_http_protocol_options/idle_timeout"))),
        ("idle streams", lasts(at("/stream_idle_timeout"))),
        ("forwarded certificates", at("/forward_client_cert_details") == &json!("SANITIZE")),
        ("first filter", filters.first().is_some_and(|filter| filter["name"] == "envoy.filters.http.wasm")),
        ("failure policy", policy.is_some_and(|policy| policy == "FAIL_RELOAD" || policy == "FAIL_CLOSED")),
        ("authorization server", !servers.is_empty() && servers.iter().all(verified)),
    ];
    checks.into_iter().filter_map(|(name, holds)| (!holds).then_some(name)).collect()
}

#[test]
fn every_example_is_safe_to_copy_and_one_that_is_not_is_told() {
    for name in ["minimal.yaml", "complete.yaml"] {
        let text = std::fs::read_to_string(top().join("envoy").join(name)).expect("an example");
        let example = yaml(&text).expect("YAML");
        assert_eq!(unsafe_in(&example), Vec::<&str>::new(), "{name}");
        let changed = |place: &str, value: Value| {
            let mut copy = example.clone();
            *copy.pointer_mut(place).unwrap_or_else(|| panic!("{name}: {place}")) = value;
            unsafe_in(&copy)
        };
        let manager = |place: &str| format!("{MANAGER}{place}");
        let tls = "/static_resources/clusters/1/transport_socket/typed_config/common_tls_context/validation_context";
        for (place, value, told) in [
            ("/admin/address/socket_address/address".to_owned(), json!("0.0.0.0"), "admin"),
            (manager("/normalize_path"), json!(false), "normalize_path"),
            (manager("/merge_slashes"), Value::Null, "merge_slashes"),
            (manager("/path_with_escaped_slashes_action"), Value::Null, "escaped slashes"),
            (manager("/common_http_protocol_options/headers_with_underscores_action"), json!("ALLOW"), "underscores"),
            (manager("/common_http_protocol_options/idle_timeout"), json!("0s"), "idle connections"),
            (manager("/stream_idle_timeout"), json!("0s"), "idle streams"),
            (manager("/forward_client_cert_details"), json!("ALWAYS_FORWARD_ONLY"), "forwarded certificates"),
            (manager("/http_filters/0/typed_config/config/failure_policy"), json!("FAIL_OPEN"), "failure policy"),
            (format!("{tls}/trusted_ca"), Value::Null, "authorization server"),
            (format!("{tls}/match_typed_subject_alt_names"), json!([]), "authorization server"),
        ] {
            assert_eq!(changed(&place, value), [told], "{name}");
        }
    }
}
