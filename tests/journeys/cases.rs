//! What is decided where the standards leave it open (checklist (c)), and what is told of it.

use serde_json::{Value, json};

use super::world::{Key, NOW, PASSES, World, bank, certificate, claims, get, leaf, request, token, valid};

fn one_route(route: Value) -> World {
    let mut whole = json!({"name": "all", "path": "/**", "allow": "authenticated"});
    for (name, value) in route.as_object().unwrap() {
        whole[name] = value.clone();
    }
    World::new(json!({"issuers": [bank()], "routes": [whole]}))
}

const BEARER: &str = r#"Bearer realm="holdfast""#;

#[test]
fn who_sends_no_credential_gets_a_challenge_without_an_error() {
    let mut world = one_route(json!({"scopes": ["a", "b"]}));
    for asked in [
        get("/"),
        get("/").field("authorization", "Basic eDp5"),
        get("/?access_token=x"),
        get("/").field("cookie", "Bearer x"),
    ] {
        let outcome = world.send(&asked.certificate(&certificate()));
        assert_eq!(outcome.status, 401);
        assert_eq!(outcome.challenge.as_deref(), Some(r#"Bearer realm="holdfast", scope="a b""#));
    }
}

#[test]
fn a_dpop_credential_is_another_scheme_where_the_configuration_says_nothing_of_proofs() {
    let (mut world, ours) = (one_route(json!({})), certificate());
    let asked = get("/").field("authorization", format!("DPoP {}", token(&ours, json!({})))).certificate(&ours);
    let outcome = world.send(&asked);
    assert_eq!((outcome.status, outcome.reason), (401, "credential.other_scheme"));
    assert_eq!(outcome.challenge.as_deref(), Some(BEARER));
}

#[test]
fn two_tokens_are_an_invalid_request() {
    let (mut world, ours) = (one_route(json!({})), certificate());
    let good = token(&ours, json!({}));
    let value = r#"Bearer realm="holdfast", error="invalid_request", error_description="Multiple methods used to include access token""#;
    for asked in [
        get("/").bearer(&good).bearer(&good),
        get("/").field("authorization", format!("Bearer {good}, Bearer {good}")),
        get("/?access_token=x").bearer(&good),
    ] {
        let outcome = world.send(&asked.certificate(&ours));
        assert_eq!((outcome.status, outcome.reason), (400, "credential.several_tokens"));
        assert_eq!(outcome.challenge.as_deref(), Some(value));
    }
}

#[test]
fn a_token_without_a_binding_is_refused_and_one_that_is_stolen_too() {
    let (mut world, ours, theirs) = (one_route(json!({})), certificate(), certificate());
    let (bound, unbound) = (token(&ours, json!({})), token(&ours, json!({"cnf": null})));
    for (asked, reason, description) in [
        (get("/").bearer(&unbound).certificate(&ours), "binding.unbound", "Sender-constrained token required"),
        (
            get("/").bearer(&bound).certificate(&theirs),
            "binding.other_certificate",
            "Certificate binding mismatch: certificate renewed, or not the one this token was issued to",
        ),
        (get("/").bearer(&bound), "binding.no_certificate", "Client certificate required"),
    ] {
        let outcome = world.send(&asked);
        assert_eq!((outcome.status, outcome.reason), (401, reason));
        let expected = format!(r#"{BEARER}, error="invalid_token", error_description="{description}""#);
        assert_eq!(outcome.challenge, Some(expected));
    }
}

#[test]
fn a_certificate_outside_its_dates_binds_nothing() {
    let issued = certificate();
    let mut world = one_route(json!({}));
    let asked = get("/").bearer(&token(&issued, json!({}))).certificate(&issued);
    assert_eq!(world.verdict(&asked), PASSES);
    world.now = NOW * 2;
    assert_eq!(world.verdict(&asked), (401, "binding.expired_certificate"));
    world.now = 1;
    assert_eq!(world.verdict(&asked), (401, "binding.expired_certificate"));
}

#[test]
fn a_certificate_known_by_its_digest_alone_needs_the_operators_word() {
    let ours = certificate();
    let asked = get("/").bearer(&token(&ours, json!({}))).digest_only(&ours);
    assert_eq!(one_route(json!({})).verdict(&asked), (401, "binding.unchecked_validity"));
    let mut trusting = World::new(json!({
        "issuers": [bank()], "peer_certificate": {"danger_unchecked_validity": true},
        "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]
    }));
    assert_eq!(trusting.verdict(&asked), (0, "granted.unchecked_validity"));
    assert_eq!(trusting.verdict(&asked.digest_only(&certificate())), (401, "binding.other_certificate"));
}

#[test]
fn a_token_over_plaintext_is_refused_unless_the_operator_says_so() {
    let ours = certificate();
    let asked = get("/").bearer(&token(&ours, json!({"cnf": null}))).plaintext();
    assert_eq!(one_route(json!({})).verdict(&asked), (400, "request.plaintext"));
    let mut trusting = one_route(json!({"danger_allow_plaintext": true, "binding": "when_bound"}));
    assert_eq!(trusting.verdict(&asked), (0, "granted.unbound"));
}

#[test]
fn issuers_are_kept_apart() {
    let other = json!({
        "issuer": "https://other.example", "name": "other", "audiences": ["https://api.bank.example"],
        "roles": {"at": "/roles", "only": ["guest"]}, "jwks": {"cluster": "other", "path": "/jwks"}
    });
    let mut ours = bank();
    ours["roles"] = json!({"at": ["/roles"], "only": ["admin", "guest"]});
    let mut world = World::new(json!({
        "issuers": [ours, other],
        "routes": [
            {"name": "both", "path": "/both", "issuer": ["bank", "other"], "allow": [{"role": "admin"}]},
            {"name": "bank", "path": "/bank", "issuer": "bank", "allow": "authenticated"}
        ]
    }));
    let certificate = certificate();
    // The same kid at both, and different keys.
    let their_key = Key::with_secret("k1", "other");
    world.serve_keys("other", &[&their_key]);
    let admin = |iss: &str| claims(&certificate, json!({"iss": iss, "roles": ["admin"]}));
    let (bank, other) = ("https://login.bank.example", "https://other.example");
    let our_key = Key::named("k1");
    let table = [
        ("/both", our_key.jwt(&admin(bank)), PASSES),
        ("/both", our_key.jwt(&admin(other)), (401, "token.signature")),
        ("/both", their_key.jwt(&admin(bank)), (401, "token.signature")),
        ("/both", their_key.jwt(&admin(other)), (403, "policy.no_rule")),
        ("/bank", our_key.jwt(&admin(bank)), PASSES),
        ("/bank", their_key.jwt(&admin(other)), (401, "token.issuer")),
    ];
    for (path, token, expected) in table {
        assert_eq!(world.verdict(&get(path).bearer(&token).certificate(&certificate)), expected, "{path}");
    }
}

#[test]
fn forged_fields_go_on_every_route_and_tokens_where_nobody_read_them() {
    let mut world = World::new(json!({
        "issuers": [bank()],
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "kept", "methods": ["GET"], "path": "/kept", "allow": "public", "danger_forward_unverified_token": true},
            {"name": "strip", "path": "/strip", "forward": {"token": "strip"}, "allow": "authenticated"},
            {"name": "keep", "path": "/keep", "allow": "authenticated"}
        ]
    }));
    let ours = certificate();
    let asked = |path: &str| {
        get(path)
            .bearer(&token(&ours, json!({})))
            .certificate(&ours)
            .field("client-cert", ":x:")
            .field("Client_Cert", ":x:")
            .field("x-http-method-override", "DELETE")
            .field("dpop", "x")
    };
    let forged = ["client-cert", "Client_Cert", "x-http-method-override"];
    for (path, tokens) in [
        ("/healthz", vec!["authorization", "dpop"]),
        ("/kept", vec![]),
        ("/strip", vec!["authorization", "dpop"]),
        ("/keep", vec!["dpop"]),
    ] {
        let mut removed = world.send(&asked(path)).removed;
        removed.sort();
        let mut expected: Vec<String> = forged.iter().chain(&tokens).map(|name| (*name).to_owned()).collect();
        expected.sort();
        assert_eq!(removed, expected, "{path}");
    }
    let basic = get("/healthz").field("authorization", "Basic eDp5");
    assert_eq!(world.send(&basic).removed, Vec::<String>::new());
}

#[test]
fn where_the_policy_comes_from_the_envoy_route_no_field_is_changed() {
    let mut world = World::new(json!({
        "issuers": [bank()],
        "routes": [
            {"name": "accounts", "envoy_route": "accounts", "allow": "authenticated"},
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"}
        ]
    }));
    let ours = certificate();
    let good = get("/").bearer(&token(&ours, json!({}))).certificate(&ours);
    let table = [
        (good.clone().envoy_route(Some("x"), Some("accounts")), PASSES),
        (good.clone().envoy_route(Some("accounts"), None), PASSES),
        (good.clone().envoy_route(Some("accounts"), Some("acounts")), (403, "route.unknown_policy")),
        (good.clone().envoy_route(Some("x"), None), (403, "policy.no_route")),
        (good.clone().envoy_route(Some("accounts"), None).field("client-cert", "x"), (400, "request.owned_header")),
        (good.clone().envoy_route(Some("accounts"), None).field("dpop", "x"), (400, "request.owned_header")),
        (get("/healthz").envoy_route(None, None), (0, "public")),
        (get("/healthz").bearer("x").envoy_route(None, None), (400, "request.owned_header")),
        (get("/healthz").envoy_route(None, Some("accounts")).certificate(&ours), (401, "credential.missing")),
    ];
    for (at, (asked, expected)) in table.into_iter().enumerate() {
        let outcome = world.send(&asked);
        assert_eq!((outcome.status, outcome.reason), expected, "row {at}");
        assert_eq!(outcome.removed, Vec::<String>::new(), "row {at}");
    }
}

#[test]
fn facts_are_told_for_logs_and_none_of_them_before_the_token_is_verified() {
    let mut issuer = bank();
    issuer["roles"] = json!({"at": "/roles"});
    let filter_state = json!({
        "organization": "/org", "roles": "roles", "scopes": "scopes", "cert": "certificate_sha256", "absent": "/absent"
    });
    let mut world = World::new(json!({
        "issuers": [issuer], "forward": {"filter_state": filter_state},
        "routes": [{"name": "orders", "methods": ["GET"], "path": "/orders", "allow": [{"scopes": ["orders"]}]}]
    }));
    let ours = certificate();
    let good = json!({"scope": "orders more", "org": "A,\r\nB", "roles": ["a,b", "c"]});
    let facts = world.send(&get("/orders").bearer(&token(&ours, good)).certificate(&ours)).facts;
    let expected = [
        ("decision", "permit"),
        ("reason", "granted"),
        ("route", "orders"),
        ("client_id", "n26"),
        ("subject", "ann"),
        ("issuer", "bank"),
        ("binding", "certificate"),
        ("organization", "A%2C%0D%0AB"),
        ("roles", "a%2Cb,c"),
        ("scopes", "orders,more"),
        ("cert", &ours.digest_hex()),
    ];
    for (name, value) in expected {
        assert_eq!(facts.get(name).map(String::as_str), Some(value), "{name}");
    }
    assert_eq!(facts.len(), expected.len());

    let facts = world.send(&get("/orders").bearer(&token(&ours, json!({}))).certificate(&ours)).facts;
    assert_eq!(facts.get("reason").map(String::as_str), Some("token.scope"));
    assert_eq!(facts.get("client_id").map(String::as_str), Some("n26"), "its issuer vouches for it");

    let forged = Key::with_secret("k1", "thief").jwt(&claims(&ours, json!({})));
    let facts = world.send(&get("/orders").bearer(&forged).certificate(&ours)).facts;
    let mut names: Vec<&str> = facts.keys().map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["decision", "reason", "route"]);
}

#[test]
fn a_fact_of_more_than_256_octets_is_told_to_nobody() {
    let mut world = World::new(json!({
        "issuers": [bank()], "forward": {"filter_state": {"organization": "/org"}},
        "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]
    }));
    let ours = certificate();
    for (length, expected) in [(256, PASSES), (257, (403, "identity.too_long"))] {
        let asked = get("/").bearer(&token(&ours, json!({"org": "o".repeat(length)}))).certificate(&ours);
        assert_eq!(world.verdict(&asked), expected);
    }
}

#[test]
fn a_certificate_may_speak_where_a_rule_says_so_and_a_token_beside_it_must_be_good() {
    let (ours, theirs) = (certificate(), certificate());
    let mut world = World::new(json!({
        "issuers": [bank()],
        "routes": [{"name": "mixed", "path": "/mixed", "allow": [
            {"certificate": {"sha256": ours.digest_hex()}, "token": "none"}, {"scopes": ["a"]}
        ]}, {"name": "alone", "path": "/alone", "allow": [{"certificate": {"sha256": ours.digest_hex()}, "token": "none"}]}]
    }));
    let table = [
        (get("/mixed").certificate(&ours), PASSES),
        (get("/mixed").certificate(&theirs), (401, "credential.missing")),
        (get("/mixed").bearer(&token(&theirs, json!({}))).certificate(&ours), (401, "binding.other_certificate")),
        (get("/mixed").bearer("rubbish").certificate(&ours), (401, "token.format")),
        (get("/mixed").bearer(&token(&theirs, json!({"scope": "a"}))).certificate(&theirs), PASSES),
        (get("/alone").certificate(&ours), PASSES),
        (get("/alone").bearer("rubbish").certificate(&ours), PASSES),
        (get("/alone").certificate(&theirs), (403, "policy.no_rule")),
        (get("/alone").digest_only(&certificate()), (403, "binding.unchecked_validity")),
    ];
    for (at, (asked, expected)) in table.into_iter().enumerate() {
        assert_eq!(world.verdict(&asked), expected, "row {at}");
    }
    let unread = world.send(&get("/alone").bearer("rubbish").certificate(&ours));
    assert_eq!(unread.removed, ["authorization"], "nothing unverified reaches an upstream that trusts us");
    for credential in ["Basic eDp5", "Token x", "eyJhbGciOiJub25lIn0.e30.", "x"] {
        let mixed = world.send(&get("/mixed").field("authorization", credential).certificate(&ours));
        assert_eq!((mixed.status, mixed.removed), (0, vec!["authorization".to_owned()]), "{credential}");
    }
    let basic = world.send(&get("/alone").field("authorization", "Basic eDp5").certificate(&ours));
    assert_eq!(basic.removed, Vec::<String>::new(), "no token was ever expected there, so this is for the service");
}

#[test]
fn what_names_our_fields_in_connection_goes_nowhere() {
    let mut world = World::new(json!({"issuers": [bank()], "routes": [
        {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
        {"name": "all", "methods": ["GET"], "path": "/**", "forward": {"headers": {"x-subject": "subject"}},
         "allow": "authenticated"}
    ]}));
    let ours = certificate();
    let asked = |names: &str| get("/x").bearer(&token(&ours, json!({}))).certificate(&ours).field("connection", names);
    for names in ["Upgrade, X-Subject", "x_subject", "upgrade ,authorization", "Upgrade, DPoP", "close,Client-Cert"] {
        assert_eq!(world.verdict(&asked(names)), (400, "request.owned_header"), "{names}");
        assert_eq!(world.verdict(&get("/healthz").field("connection", names)).0, 400, "{names}");
    }
    for names in ["upgrade", "keep-alive, x-other"] {
        assert_eq!(world.verdict(&asked(names)), PASSES, "{names}");
    }
}

#[test]
fn a_hostile_path_is_no_request_on_public_routes_too() {
    let mut world =
        World::new(json!({"routes": [{"name": "all", "methods": ["GET"], "path": "/**", "allow": "public"}]}));
    for path in ["/a/../b", "/%2e%2e/b", "/a%5cb", "/a\\b", "/a%00", "/a#b", "/a%2", "a", "*", ""] {
        assert_eq!(world.verdict(&get(path)), (400, "path.ambiguous"), "{path}");
    }
    assert_eq!(world.verdict(&request("GET", "/a%2Fb")), (403, "policy.no_route"));
    assert_eq!(world.verdict(&get("/a/b?x=/../")), (0, "public"));
}

#[test]
fn a_host_binds_its_tenant() {
    let mut world = World::new(json!({"issuers": [bank()], "routes": [
        {"name": "tenants", "host": "{tenant}.saas.example", "allow": [{"claims": {"/tenant": "{tenant}"}}]}
    ]}));
    let ours = certificate();
    let ask = |host: &str| get("/").host(host).bearer(&token(&ours, json!({"tenant": "globex"}))).certificate(&ours);
    for (host, expected) in [
        ("globex.saas.example", PASSES),
        ("GLOBEX.SAAS.EXAMPLE.:8443", PASSES),
        ("acme.saas.example", (403, "policy.no_rule")),
        ("a.globex.saas.example", (403, "policy.no_route")),
        ("saas.example", (403, "policy.no_route")),
        ("globex.saas.example@evil.example", (400, "path.ambiguous")),
    ] {
        assert_eq!(world.verdict(&ask(host)), expected, "{host}");
    }
    let other = ["forwarded", "x-forwarded-host", "x-host", "x-original-host", "x-original-url", "x-rewrite-url"];
    let told = other.iter().fold(ask("globex.saas.example"), |ask, name| ask.field(name, "acme.saas.example"));
    assert_eq!(world.send(&told).removed, other, "no other host than the one decided on");
}

#[test]
fn a_spiffe_id_is_told_only_where_the_certificate_proves_it() {
    let configuration = |trust: serde_json::Value| {
        json!({
            "peer_certificate": trust, "forward": {"filter_state": {"workload": "spiffe_id"}},
            "routes": [{"name": "all", "path": "/**", "allow": [{"certificate": {"sha256": "0".repeat(64)}, "token": "none"}]}]
        })
    };
    let load =
        |document: serde_json::Value| holdfast::config::load(document.to_string().as_bytes(), &|_| None).map(|_| ());
    let mistakes = load(configuration(json!({"chain": "verified"}))).unwrap_err().to_string();
    assert!(
        mistakes.starts_with("forward.filter_state[\"workload\"]: no certificate can prove a SPIFFE ID;"),
        "{mistakes}"
    );
    assert_eq!(load(configuration(json!({"chain": "verified", "trust_domains": ["bank.example"]}))), Ok(()));

    let id = |id: &str| harness::Authority::new("test CA").issue(leaf().uri(id));
    for (uri, told) in [
        ("spiffe://bank.example/ns/a/sa/b", Some("spiffe://bank.example/ns/a/sa/b")),
        ("spiffe://evil.example/x", None),
    ] {
        let ours = id(uri);
        let mut document = configuration(json!({"chain": "verified", "trust_domains": ["bank.example"]}));
        document["routes"][0]["allow"][0]["certificate"]["sha256"] = json!(ours.digest_hex());
        let facts = World::new(document).send(&get("/").certificate(&ours)).facts;
        assert_eq!(facts.get("workload").map(String::as_str), told, "{uri}");
    }
}

/// A certificate with these alternative names, each a tag and its octets.
fn with_names(names: &[(u8, &[u8])]) -> harness::Certificate {
    let one = |(tag, octets): &(u8, &[u8])| [&[*tag, u8::try_from(octets.len()).unwrap()], *octets].concat();
    let all: Vec<u8> = names.iter().flat_map(one).collect();
    let der = [&[0x30, u8::try_from(all.len()).unwrap()], all.as_slice()].concat();
    let leaf = valid(harness::Leaf::nameless("bank")).extension(&[2, 5, 29, 17], der);
    harness::Authority::new("test CA").issue(leaf)
}

#[test]
fn a_name_that_can_not_be_read_is_not_taken_for_none() {
    let (uri, email, ip) = (0x86, 0x81, 0x87);
    let mut world = World::new(json!({
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "routes": [{"name": "all", "path": "/x", "allow": [
            {"certificate": {"spiffe_id": "spiffe://bank.example/ns/a/sa/x"}, "token": "none"}]}]
    }));
    let id = b"spiffe://bank.example/ns/a/sa/x".as_slice();
    let unreadable = (400, "certificate.not_x509");
    for (names, expected) in [
        (vec![(uri, id)], PASSES),
        (vec![(uri, id), (email, b"a@b.example".as_slice()), (ip, &[10, 0, 0, 1])], PASSES),
        (vec![(uri, id), (uri, b"urn:\xff".as_slice())], unreadable),
        (vec![(uri, id), (email, b"a@b.example\xff".as_slice())], unreadable),
        (vec![(uri, id), (ip, &[10, 0, 0, 1, 255, 0, 0, 0])], unreadable),
    ] {
        assert_eq!(world.verdict(&get("/x").certificate(&with_names(&names))), expected, "{names:?}");
    }
}
