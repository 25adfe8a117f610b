//! Bad input in what carries a token: fields, hosts, targets, upgrades, and octets that are no request. The identifiers are those
//! of the project's list of bad inputs; beside each family stands its good twin.

use harness::{Options, Request, Response};
use serde_json::json;

use super::stage::{Stage, api, document};

/// The status, whether an error is told, and how many requests reached the service.
fn told(stage: &Stage, request: &Request) -> (u16, bool, usize) {
    let answer = stage.as_bank(request);
    let challenge = answer.value("www-authenticate");
    (answer.status, challenge.is_some_and(|value| value.contains("error=")), stage.reached())
}

const PASSES: (u16, bool, usize) = (200, false, 1);
const ASKED: (u16, bool, usize) = (401, false, 0);
const UNREADABLE: (u16, bool, usize) = (400, true, 0);

#[test]
fn a_token_stands_in_one_authorization_field_and_nowhere_else() {
    let stage = Stage::set(&document()).warm();
    let good = stage.token();
    let plain = || Request::get("/api/x");
    let credential = |value: String| plain().field("authorization", value);
    let form = format!("access_token={good}");
    let by_form =
        || Request::new("POST", "/api/x").field("content-type", "application/x-www-form-urlencoded").body(&form);
    for (id, request, expected) in [
        ("HTTP-01", plain(), ASKED),
        ("HTTP-03", credential(format!("Bearer {good}, Bearer bad")), UNREADABLE),
        ("HTTP-03", api(&good).bearer(&good), UNREADABLE),
        ("HTTP-04", credential(format!("bearer {good}")), PASSES),
        ("HTTP-04", credential(format!("BEARER {good}")), PASSES),
        ("HTTP-04", credential(format!("BeArEr {good}")), PASSES),
        ("HTTP-06", credential(format!("Bearerx {good}")), ASKED),
        ("HTTP-06", credential(format!("Token {good}")), ASKED),
        ("HTTP-06", credential(format!("JWT {good}")), ASKED),
        ("HTTP-06", credential("Bearer".to_owned()), UNREADABLE),
        ("HTTP-06", credential("Bearer ".to_owned()), UNREADABLE),
        ("HTTP-07", Request::get(&format!("/api/x?access_token={good}")), ASKED),
        ("HTTP-07", Request::get("/api/x?access_token=y").bearer(&good), UNREADABLE),
        ("HTTP-08", by_form(), ASKED),
        ("HTTP-08", by_form().bearer(&good), PASSES),
        ("HTTP-09", plain().field("cookie", format!("Authorization=Bearer {good}; access_token={good}")), ASKED),
        ("HTTP-09", plain().field("proxy-authorization", format!("Bearer {good}")), ASKED),
        ("HTTP-09", plain().field("x-authorization", format!("Bearer {good}")), ASKED),
        ("HTTP-09", plain().field("sec-websocket-protocol", format!("bearer, {good}")), ASKED),
        ("the good twin", api(&good), PASSES),
    ] {
        assert_eq!(told(&stage, &request), expected, "{id}");
    }
    let logged = stage.envoy.access_log().join("\n") + &stage.envoy.log();
    assert!(!logged.contains(&good), "no token is logged");
}

#[test]
fn no_field_says_another_target_than_the_request_line() {
    let stage = Stage::set(&document()).warm();
    let good = stage.token();
    for name in ["x-envoy-original-path", "x-original-url", "x-rewrite-url", "x-forwarded-prefix", "x-forwarded-uri"] {
        let admin = Request::get("/admin/x").bearer(&good).field(name, "/api/x");
        assert_eq!(told(&stage, &admin), (403, true, 0), "HTTP-15 {name}");
        let public = Request::get("/admin/x").field(name, "/healthz");
        assert_eq!(told(&stage, &public), ASKED, "HTTP-15 {name}");
        assert_eq!(told(&stage, &api(&good).field(name, "/admin/x")), PASSES, "HTTP-15 {name}");
    }
    let other = Request::get("/nowhere").bearer(&good);
    assert_eq!(told(&stage, &other), (403, false, 0), "HTTP-32");
}

fn send(stage: &Stage, octets: &str) -> Option<Response> {
    let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
    connection.write(octets.as_bytes()).ok()?;
    connection.read().ok()
}

#[test]
fn every_spelling_of_a_host_is_one_host_or_none() {
    let mut hosts = document();
    hosts["routes"] = json!([
        {"name": "admin", "host": "admin.example", "allow": [{"scopes": ["admin"]}]},
        {"name": "rest", "allow": "authenticated"}
    ]);
    let stage = Stage::set(&hosts).warm();
    let good = stage.token();
    let ask = |target: &str, hosts: &[&str]| {
        let fields: String = hosts.iter().map(|host| format!("host: {host}\r\n")).collect();
        let sent = send(&stage, &format!("GET {target} HTTP/1.1\r\n{fields}authorization: Bearer {good}\r\n\r\n"));
        (sent.map_or(0, |answer| answer.status), stage.reached())
    };
    for host in ["admin.example", "ADMIN.example", "admin.example.", "admin.example:8443", "Admin.Example.:1"] {
        assert_eq!(ask("/x", &[host]), (403, 0), "HTTP-16 {host}");
    }
    for host in ["u@admin.example", "admin.example:x", "[::1", "admin..example", ""] {
        assert_eq!(ask("/x", &[host]), (400, 0), "HTTP-16 {host}");
    }
    let (status, reached) = ask("/x", &["other.example", "admin.example"]);
    assert_eq!((status, reached), (400, 0), "HTTP-16 two of them");
    // The target's own authority is what counts (RFC 9112 §3.2.2).
    assert_eq!(ask("https://admin.example/x", &["other.example"]), (403, 0), "HTTP-16 they differ");
    for scheme in ["HTTPS", "Http", "https"] {
        assert_eq!(ask(&format!("{scheme}://admin.example/x"), &["admin.example"]).1, 0, "HTTP-17 {scheme}");
    }
    for host in ["other.example", "xn--admn-0sa.example", "[::1]:8443", "admin.example.evil.example"] {
        assert_eq!(ask("/x", &[host]), (200, 1), "the good twin {host}");
    }
}

#[test]
fn one_connection_is_not_one_caller_to_be_trusted() {
    let stage = Stage::set(&document()).warm();
    let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
    let mut ask = |request: &Request| connection.send(request).expect("an answer").status;
    let good = api(&stage.token());
    assert_eq!(ask(&good), 200);
    assert_eq!(ask(&Request::get("/api/x")), 401, "HTTP-27");
    assert_eq!(ask(&api("other")), 401, "HTTP-27");
    assert_eq!(ask(&good), 200);
    assert_eq!(stage.reached(), 2);
}

#[test]
fn an_upgrade_is_a_request_like_others() {
    let stage = Stage::set(&document()).warm();
    for (name, head) in [
        ("websocket", "GET /api/x HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n"),
        (
            "h2c",
            "GET /api/x HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n\r\n",
        ),
        ("CONNECT", "CONNECT upstream:443 HTTP/1.1\r\nhost: upstream:443\r\n\r\n"),
        (
            "CONNECT-UDP",
            "GET /.well-known/masque/udp/a/443/ HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: connect-udp\r\n\r\n",
        ),
    ] {
        let status = send(&stage, head).map_or(0, |answer| answer.status);
        assert!([0, 400, 401, 403, 404].contains(&status), "HTTP-20 {name}: {status}");
        assert_eq!(stage.reached(), 0, "HTTP-20 {name}");
    }
    stage.assert_alive();
}

#[test]
fn octets_that_are_two_requests_to_somebody_are_none_to_the_service() {
    let stage = Stage::set(&document()).warm();
    let inner = "GET /admin/x HTTP/1.1\r\nhost: a\r\n\r\n";
    let good = format!("authorization: Bearer {}\r\n", stage.token());
    for (id, name, octets) in [
        (
            "HTTP-21",
            "both lengths",
            format!(
                "POST /api/x HTTP/1.1\r\nhost: a\r\n{good}content-length: 6\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n{inner}"
            ),
        ),
        (
            "HTTP-21",
            "two lengths",
            format!(
                "POST /api/x HTTP/1.1\r\nhost: a\r\n{good}content-length: 0\r\ncontent-length: {}\r\n\r\n{inner}",
                inner.len()
            ),
        ),
        ("HTTP-21", "a blank before the colon", format!("GET /api/x HTTP/1.1\r\nhost : a\r\n{good}\r\n")),
        ("HTTP-24", "a target without a slash", format!("POST pkg.Service/Method HTTP/1.1\r\nhost: a\r\n{good}\r\n")),
        ("HTTP-28", "no host", format!("GET /api/x HTTP/1.1\r\n{good}\r\n")),
        ("HTTP-28", "HTTP/1.0", format!("GET /api/x HTTP/1.0\r\n{good}\r\n")),
    ] {
        let status = send(&stage, &octets).map_or(0, |answer| answer.status);
        assert!([0, 400, 426].contains(&status), "{id} {name}: {status}");
        assert_eq!(stage.reached(), 0, "{id} {name}");
    }
    let fields: String = (0..1100).map(|at| format!("x-{at}: 1\r\n")).collect();
    let many = send(&stage, &format!("GET /api/x HTTP/1.1\r\nhost: a\r\n{good}{fields}\r\n"));
    assert_eq!((many.map_or(0, |answer| answer.status), stage.reached()), (431, 0), "HTTP-29");
    let long = format!("GET /api/x HTTP/1.1\r\nhost: a\r\n{good}x-long: {}\r\n\r\n", "a".repeat(1 << 20));
    let status = send(&stage, &long).map_or(0, |answer| answer.status);
    assert!([0, 431].contains(&status) && stage.reached() == 0, "HTTP-29: {status}");
    stage.assert_alive();
    assert!(!stage.envoy.log().contains("panicked"));
}

#[test]
fn a_request_that_envoy_sends_again_is_decided_on_again() {
    let mut redirecting = document();
    redirecting["routes"].as_array_mut().expect("a list").push(json!({
        "name": "moved", "path": "/moved/**", "allow": "authenticated"
    }));
    let stage = Stage::with(&redirecting, |options| Options {
        routes: Some(json!([
            {"match": {"prefix": "/moved"}, "redirect": {"path_redirect": "/admin/x"}},
            {"match": {"prefix": "/"}, "route": {
                "cluster": "upstream", "retry_policy": {"retry_on": "5xx,reset", "num_retries": 2},
                "internal_redirect_policy": {"max_internal_redirects": 2}}}
        ])),
        ..options
    })
    .warm();
    let good = stage.token();
    let moved = stage.as_bank(&Request::get("/moved/x").bearer(&good));
    assert_eq!((moved.status, moved.value("location").is_some()), (301, true), "the client is told, not the service");
    assert_eq!(told(&stage, &Request::get("/admin/x").bearer(&good)), (403, true, 0), "HTTP-30");
    assert_eq!(told(&stage, &Request::get("/moved/x")), ASKED, "HTTP-30");
    assert_eq!(told(&stage, &api(&good)), PASSES);
}
