//! Each answer of the filter, judged by status, header fields, body, access log, and by what reached the service.

use std::time::Duration;

use harness::{Fault, Options, Request, Response, Tls};
use serde_json::{Value, json};

use super::stage::{Stage, api, document, secret};

struct Row {
    name: &'static str,
    answer: Response,
    status: u16,
    reason: &'static str,
    challenge: Option<&'static str>,
}

fn row(
    name: &'static str,
    answer: Response,
    status: u16,
    reason: &'static str,
    challenge: Option<&'static str>,
) -> Row {
    Row { name, answer, status, reason, challenge }
}

/// The stage's policy, and a route for each kind of rule on who stands behind a token.
fn whole() -> Value {
    let mut document = document();
    document["issuers"][0]["roles"] = json!({"at": "/roles"});
    document["issuers"][0]["clients"] = json!([{"client": "known", "certificate": {"san_dns": "bank"}}]);
    document["peer_certificate"] = json!({"chain": "verified"});
    document["roles"] = json!({"exclusive": [["payer", "approver"]]});
    let routes = document["routes"].as_array_mut().expect("routes");
    for (name, rule) in [
        ("transfer", json!({"acr_values": ["phr"]})),
        ("tool", json!({"claims": {"/act/sub": "tool"}})),
        ("batch", json!({"principal": "client"})),
        ("pay", json!({"role": ["payer", "approver"]})),
    ] {
        routes.push(json!({"name": name, "path": format!("/{name}"), "allow": [rule]}));
    }
    document
}

#[test]
fn every_answer_is_exact() {
    let stage = Stage::set(&whole()).warm();
    let good = stage.token();
    let strong = stage.token_with(json!({"acr": "phr"}));
    let delegated = stage.token_with(json!({"act": {"sub": "tool"}}));
    let of_client = stage.token_with(json!({"sub": "n26"}));
    let both = stage.token_with(json!({"roles": ["payer", "approver"]}));
    let payer = stage.token_with(json!({"roles": ["payer"]}));
    let known = stage.token_with(json!({"client_id": "known", "cnf": null}));
    let unbound = stage.token_with(json!({"cnf": null}));
    stage.server.know("opaque", stage.active());
    let mismatch = r#"Bearer realm="holdfast", error="invalid_token", error_description="Certificate binding mismatch: certificate renewed, or not the one this token was issued to""#;
    let rows = [
        row("good", stage.as_bank(&api(&good)), 200, "granted", None),
        row("public", stage.anonymously(&Request::get("/healthz")), 200, "public", None),
        row("opaque", stage.as_bank(&api("opaque")), 200, "granted", None),
        row(
            "unbound, where that is allowed",
            stage.as_bank(&Request::get("/unbound").bearer(&unbound)),
            200,
            "granted.unbound",
            None,
        ),
        row(
            "no credential",
            stage.as_bank(&Request::get("/api/x")),
            401,
            "credential.missing",
            Some(r#"Bearer realm="holdfast""#),
        ),
        row(
            "another scheme",
            stage.as_bank(&Request::get("/api/x").field("authorization", "Basic eDp5")),
            401,
            "credential.other_scheme",
            Some(r#"Bearer realm="holdfast""#),
        ),
        row(
            "another login is wanted",
            stage.as_bank(&Request::get("/transfer").bearer(&good)),
            401,
            "token.step_up",
            Some(
                r#"Bearer realm="holdfast", error="insufficient_user_authentication", error_description="A different authentication level is required", acr_values="phr""#,
            ),
        ),
        row("that login", stage.as_bank(&Request::get("/transfer").bearer(&strong)), 200, "granted", None),
        row("delegated", stage.as_bank(&api(&delegated)), 403, "policy.no_rule", None),
        row(
            "delegated, where a rule says to whom",
            stage.as_bank(&Request::get("/tool").bearer(&delegated)),
            200,
            "granted",
            None,
        ),
        row(
            "a user's token where clients call",
            stage.as_bank(&Request::get("/batch").bearer(&good)),
            403,
            "policy.no_rule",
            None,
        ),
        row("a client's own", stage.as_bank(&Request::get("/batch").bearer(&of_client)), 200, "granted", None),
        row("both roles", stage.as_bank(&api(&both)), 403, "policy.exclusive_roles", None),
        row("one role", stage.as_bank(&Request::get("/pay").bearer(&payer)), 200, "granted", None),
        row("unbound, with its client's certificate", stage.as_bank(&api(&known)), 200, "granted", None),
        row(
            "unbound, with the certificate of another client",
            stage.as_thief(&api(&known)),
            401,
            "binding.other_client_certificate",
            Some(mismatch),
        ),
        row("stolen", stage.as_thief(&api(&good)), 401, "binding.other_certificate", Some(mismatch)),
        row(
            "stolen, where unbound tokens pass",
            stage.as_thief(&Request::get("/unbound").bearer(&good)),
            401,
            "binding.other_certificate",
            Some(mismatch),
        ),
        row(
            "no certificate",
            stage.anonymously(&api(&good)),
            401,
            "binding.no_certificate",
            Some(r#"Bearer realm="holdfast", error="invalid_token", error_description="Client certificate required""#),
        ),
        row(
            "unbound",
            stage.as_bank(&api(&unbound)),
            401,
            "binding.unbound",
            Some(
                r#"Bearer realm="holdfast", error="invalid_token", error_description="Sender-constrained token required""#,
            ),
        ),
        row(
            "two tokens",
            stage.as_bank(&api(&good).bearer(&good)),
            400,
            "credential.several_tokens",
            Some(
                r#"Bearer realm="holdfast", error="invalid_request", error_description="Multiple methods used to include access token""#,
            ),
        ),
        row(
            "inactive",
            stage.as_bank(&api("unknown")),
            401,
            "token.inactive",
            Some(r#"Bearer realm="holdfast", error="invalid_token", error_description="Token is not active""#),
        ),
        row(
            "expired",
            stage.as_bank(&api(&stage.token_with(json!({"exp": harness::now() - 31, "iat": harness::now() - 60})))),
            401,
            "token.expired",
            Some(r#"Bearer realm="holdfast", error="invalid_token", error_description="The access token expired""#),
        ),
        row(
            "too small a scope",
            stage.as_bank(&Request::get("/admin/x").bearer(&good)),
            403,
            "token.scope",
            Some(
                r#"Bearer realm="holdfast", error="insufficient_scope", error_description="Insufficient scope", scope="admin""#,
            ),
        ),
        row("no route", stage.as_bank(&Request::get("/nowhere").bearer(&good)), 403, "policy.no_route", None),
        row(
            "a hostile path",
            stage.as_bank(&Request::get("/api/%2e%2e/admin").bearer(&good)),
            400,
            "path.ambiguous",
            None,
        ),
    ];
    let lines = stage.envoy.access_lines(rows.len());
    for (row, line) in rows.iter().zip(&lines) {
        let Row { name, answer, status, reason, challenge } = row;
        assert_eq!((answer.status, answer.value("www-authenticate").as_deref()), (*status, *challenge), "{name}");
        let mut words = line.split(' ');
        assert_eq!(words.next(), Some(status.to_string().as_str()), "{name}: {line}");
        let details = words.next().unwrap_or_default();
        assert!(*status == 200 || details == *reason, "{name}: {line}");
        let decision = if *status == 200 { "permit" } else { "deny" };
        assert_eq!((words.next(), words.next()), (Some(decision), Some(*reason)), "{name}: {line}");
        let no_store = matches!(status, 401 | 403).then_some("no-store");
        assert_eq!(answer.value("cache-control").as_deref(), no_store, "{name}");
        if *status != 200 {
            let description = challenge
                .and_then(|text| text.split("error_description=\"").nth(1))
                .and_then(|text| text.split('"').next());
            assert_eq!(answer.text(), description.unwrap_or_default(), "{name}");
        }
    }
    assert_eq!(stage.reached(), 9, "only what was permitted reached the service");
    let permitted = lines.first().expect("a line");
    assert!(permitted.ends_with("permit granted api bank n26 ann certificate"), "{permitted}");
}

#[test]
fn a_refusal_is_one_structured_line_without_a_secret_and_a_counter() {
    let stage = Stage::set(&document()).warm();
    let good = stage.token();
    let counter = |name: &str| stage.envoy.stat(&format!("wasmcustom.holdfast.route.api.decision.{name}.requests"));
    stage.as_thief(&api(&good));
    stage.as_thief(&api(&good));
    stage.as_bank(&api(&good));
    stage.as_bank(&api("opaque-and-secret"));
    stage.envoy.access_lines(4);
    assert_eq!(counter("deny.reason.binding_other_certificate"), 2);
    assert_eq!(counter("permit.reason.granted"), 1);
    let log = stage.envoy.log();
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| line.split_once("holdfast: {").map(|(_, rest)| format!("{{{rest}")))
        .map(|line| serde_json::from_str(line.trim()).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    assert_eq!(lines.len(), 3, "one line a refusal, none a permit:\n{log}");
    let expected = json!({
        "decision": "deny", "reason": "binding.other_certificate", "route": "api", "issuer": "bank", "client_id": "n26",
        "subject": "ann", "token_sha256": lines[0]["token_sha256"]
    });
    assert_eq!(lines[0], expected);
    assert_eq!(lines[0]["token_sha256"].as_str().map(str::len), Some(16));
    let (signature, cookie) = (good.rsplit('.').next().expect("three parts"), "opaque-and-secret");
    let (stats, config) = (stage.envoy.admin("/stats"), stage.envoy.access_log().join("\n"));
    for (name, text) in [("log", &log), ("stats", &stats), ("access log", &config)] {
        for hidden in [signature, cookie, secret()] {
            assert!(!text.contains(hidden), "a secret stands in the {name}");
        }
    }
}

#[test]
fn permits_are_logged_where_asked_for() {
    let mut document = document();
    document["log"] = json!("all");
    document["forward"] = json!({"filter_state": {"scopes": "scopes"}});
    let stage = Stage::set(&document).warm();
    stage.as_bank(&api(&stage.token()));
    stage.anonymously(&Request::get("/healthz"));
    stage.envoy.access_lines(2);
    let log = stage.envoy.log();
    let lines: Vec<&str> =
        log.lines().filter_map(|line| line.split_once("holdfast: {").map(|(_, rest)| rest)).collect();
    let [granted, public] = lines.as_slice() else { panic!("one line a permit:\n{log}") };
    let (granted, token) = granted.split_once(r#","token_sha256":""#).expect("a token");
    let expected = r#""decision":"permit","reason":"granted","route":"api","issuer":"bank","client_id":"n26","subject":"ann","binding":"certificate","scopes":"read""#;
    assert_eq!(granted, expected);
    assert_eq!(token.len(), r#"0123456789abcdef"}"#.len());
    assert_eq!(*public, r#""decision":"permit","reason":"public","route":"health"}"#);
}

#[test]
fn forged_fields_and_unverified_tokens_do_not_reach_the_service() {
    let mut document = document();
    document["forward"] = json!({"token": "strip"});
    let stage = Stage::set(&document).warm();
    let forged = |request: Request| {
        request
            .field("Client-Cert", ":x:")
            .field("client_cert", ":x:")
            .field("X-HTTP-Method-Override", "DELETE")
            .field("DPoP", "x")
    };
    for request in [api(&stage.token()), Request::get("/healthz").bearer("never verified")] {
        assert_eq!(stage.as_bank(&forged(request).field("x-other", "stays")).status, 200);
    }
    for received in stage.upstream.take() {
        let names: Vec<&str> = received.headers.iter().map(|(name, _)| name.as_str()).collect();
        for gone in ["client-cert", "client_cert", "x-http-method-override", "dpop", "authorization"] {
            assert!(!names.contains(&gone), "{gone} reached {}", received.path);
        }
        assert_eq!(received.values("x-other"), ["stays"]);
    }
}

#[test]
fn no_spelling_of_a_token_reaches_the_service_unverified() {
    let stage = Stage::set(&document()).warm();
    let health = || Request::get("/healthz");
    let odd = [
        health().field("authorization", "Basic y").field("authorization", "Bearer x"),
        health().field("authorization", "Basic y, Bearer x"),
        health().field("authorization", ", Bearer x"),
        health().field("authorization", b"\xa0Bearer\xa0x"),
        health().field("authorization", "Bearer=x"),
        health().field("authorization", "DPoP:x"),
        health().field("authorization", "X Bearer y"),
        health().field("authorization", "Basic bearer"),
        health().field("authorization", "eyJhbGciOiJub25lIn0.e30."),
        health().field("authorization", "Token eyJhbGciOiJub25lIn0.e30."),
    ];
    for request in odd {
        assert_eq!(stage.anonymously(&request).status, 200);
        let received = stage.upstream.take().remove(0);
        assert_eq!(received.values("authorization"), Vec::<String>::new(), "{:?}", request.fields);
    }
    stage.anonymously(&health().field("authorization", "Basic eDp5"));
    assert_eq!(stage.upstream.take()[0].values("authorization"), ["Basic eDp5"]);
}

#[test]
fn a_strange_host_is_not_every_host() {
    let mut document = document();
    let strict = json!({"name": "strict", "host": "admin.example", "path": "/**", "allow": [{"scopes": ["admin"]}]});
    let weak = json!({"name": "weak", "methods": ["GET"], "path": "/**", "allow": "public"});
    document["routes"] = json!([strict, weak]);
    let stage = Stage::set(&document).warm();
    let with = |hosts: &[&str]| {
        let mut request = Request::get("/x");
        request.fields.clear();
        hosts.iter().fold(request, |request, host| request.field("host", host))
    };
    for host in ["admin.example", "ADMIN.EXAMPLE.", "admin.example:443"] {
        assert_eq!(stage.anonymously(&with(&[host])).status, 401, "{host}");
    }
    for hosts in [
        &["admin.example", "other.example"][..],
        &["other.example", "admin.example"],
        &["u@admin.example"],
        &["admin.example:x"],
        &["admin.example.."],
        &[".admin.example"],
        &["admin%2eexample"],
        &["[::1]x"],
    ] {
        assert_eq!(stage.anonymously(&with(hosts)).status, 400, "{hosts:?}");
    }
    assert_eq!(stage.reached(), 0);
    assert_eq!(stage.anonymously(&with(&["other.example"])).status, 200);
}

#[test]
fn the_token_goes_on_where_the_route_keeps_it() {
    let stage = Stage::set(&document()).warm();
    let good = stage.token();
    stage.as_bank(&api(&good));
    assert_eq!(stage.upstream.take()[0].values("authorization"), [format!("Bearer {good}")]);
}

#[test]
fn trailers_carry_nothing_that_was_not_decided_on() {
    let stage = Stage::set(&document()).warm();
    let head = format!(
        "POST /api/x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        stage.token()
    );
    let trailers =
        "1\r\nx\r\n0\r\nclient-cert: :x:\r\nClient_Cert: :y:\r\nauthorization: Bearer other\r\nx-sum: 1\r\n\r\n";
    let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
    connection.write(&[head.as_bytes(), trailers.as_bytes()].concat()).expect("a request");
    assert_eq!(connection.read().expect("an answer").status, 200);
    let received = stage.upstream.take().remove(0);
    assert_eq!(received.trailers, [("x-sum".to_owned(), b"1".to_vec())]);
}

#[test]
fn a_body_waits_for_the_decision_even_where_envoy_lets_it_run() {
    let stage = Stage::with(&document(), |options| Options { lets_bodies_run: true, ..options }).warm();
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(300)));
    let send = |token: &str| {
        let head = "POST /api/x HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nauthorization: Bearer";
        let rest = "4\r\nbody\r\n0\r\nclient-cert: :x:\r\nx-sum: 1\r\n\r\n";
        let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
        connection.write(format!("{head} {token}\r\n\r\n").as_bytes()).expect("a head");
        std::thread::sleep(Duration::from_millis(100));
        connection.write(rest.as_bytes()).expect("a body");
        connection.read().expect("an answer").status
    };
    assert_eq!(send("unknown"), 401);
    assert_eq!(stage.reached(), 0);
    assert_eq!(send("opaque"), 200, "{}", stage.envoy.log());
    let received = stage.upstream.take().remove(0);
    assert_eq!((received.text().as_str(), &received.trailers), ("body", &vec![("x-sum".to_owned(), b"1".to_vec())]));
}

#[test]
fn one_octet_outside_utf_8_changes_nothing_for_the_next_request() {
    let stage = Stage::set(&document()).warm();
    let good = stage.token();
    let answer = stage.as_bank(&api(&good).field("x-octets", b"\xff\xfe"));
    assert_eq!(answer.status, 200);
    assert_eq!(
        stage.upstream.take()[0].headers.iter().find(|(name, _)| name == "x-octets").map(|(_, value)| value.as_slice()),
        Some(&b"\xff\xfe"[..])
    );
    let answer = stage.as_bank(&Request::get("/api/x").field("authorization", b"Bearer \xff"));
    assert_eq!((answer.status, stage.reason(2).as_str()), (401, "credential.malformed"));
    stage.assert_alive();
    assert!(!stage.envoy.log().contains("panicked"));
}

#[test]
fn a_token_over_plaintext_is_refused() {
    let stage = Stage::with(&document(), |options| options.tls(Tls::Plaintext));
    let answer = stage.anonymously(&api(&stage.token()));
    assert_eq!((answer.status, answer.value("www-authenticate")), (400, None));
    assert_eq!(stage.reason(1), "request.plaintext");
    assert_eq!(stage.anonymously(&Request::get("/healthz")).status, 200, "public routes ask nothing");
    assert_eq!(stage.reached(), 1);
}
