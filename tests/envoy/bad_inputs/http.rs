//! Requests that carry a token in odd ways, or are not the one request that they seem to be.

use std::time::Duration;

use harness::{Connection, Fault, Options, Request, Tls, top, wait_until};
use serde_json::{Value, json};

use super::{Case, Sender, bad, good, members, reason_of, run, send_raw};
use crate::stage::{Stage, api, claims, document};

#[test]
fn credentials_in_odd_places() {
    let stage = Stage::set(&document()).warm();
    let token = stage.token();
    let stolen = stage.key.mint(json!({}), &claims(&stage.thief));
    let bare = || Request::get("/api/x");
    let with = |value: &str| bare().field("authorization", value);
    let missing = "credential.missing";
    let several = "credential.several_tokens";
    let mut cases = vec![bad("HTTP-01", "no Authorization", bare(), 401, missing)];
    for list in [
        format!("Bearer {token}, Bearer {stolen}"),
        format!("Bearer {token},Bearer {token}"),
        format!("Bearer {token}, Basic eDp5"),
        format!("Basic eDp5, Bearer {token}"),
        format!("Bearer {token},"),
    ] {
        cases.push(bad("HTTP-03", &list[..8], with(&list), 400, several));
    }
    cases.push(bad("HTTP-03", "two fields", api(&token).bearer(&token), 400, several));
    cases.push(bad("HTTP-03", "two schemes", api(&token).field("authorization", "Basic eDp5"), 400, several));
    for scheme in ["bearer", "BEARER", "BeArEr", "Bearer "] {
        cases.push(good("HTTP-04", scheme, with(&format!("{scheme} {token}"))));
    }
    for scheme in ["Bearerx", "Token", "JWT", "Bearer\t", "\u{a0}Bearer", "Bearer="] {
        let name = format!("{scheme:?}");
        cases.push(bad("HTTP-06", name, with(&format!("{scheme} {token}")), 401, "credential.other_scheme"));
    }
    cases.push(bad("HTTP-06", "empty", with(""), 401, "credential.other_scheme"));
    cases.push(bad("HTTP-06", "the token alone", with(&token), 401, "credential.other_scheme"));
    for value in ["Bearer", "Bearer ", "bearer   "] {
        cases.push(bad("HTTP-06", value, with(value), 400, "credential.no_token"));
    }
    for name in ["access_token", "access%5Ftoken", "%61ccess_token"] {
        let target = format!("/api/x?a=b&{name}={token}");
        cases.push(bad("HTTP-07", name, Request::get(&target), 401, missing));
        cases.push(bad("HTTP-07", format!("{name} twice"), Request::get(&target).bearer(&token), 400, several));
    }
    cases.push(good("HTTP-07", "another parameter", Request::get("/api/x?access_tokens=1").bearer(&token)));
    let form = |token: &str| {
        let kind = "application/x-www-form-urlencoded";
        Request::new("POST", "/api/x").field("content-type", kind).body(format!("access_token={token}"))
    };
    cases.push(bad("HTTP-08", "in the body", form(&token), 401, missing));
    // The header alone is judged, whatever the body says.
    cases.push(bad("HTTP-08", "a stolen one beside", form(&token).bearer(&stolen), 401, "binding.other_certificate"));
    cases.push(good("HTTP-08", "a good one beside", form(&stolen).bearer(&token)));
    for (name, value) in [
        ("cookie", format!("access_token={token}; Authorization=Bearer {token}")),
        ("proxy-authorization", format!("Bearer {token}")),
        ("x-authorization", format!("Bearer {token}")),
        ("x-forwarded-authorization", format!("Bearer {token}")),
        ("sec-websocket-protocol", format!("bearer, {token}")),
    ] {
        cases.push(bad("HTTP-09", name, bare().field(name, value), 401, missing));
    }
    for name in [
        "x-envoy-original-path",
        "x-original-url",
        "x-rewrite-url",
        "x-forwarded-uri",
        "x-forwarded-prefix",
        "x-envoy-decorator-operation",
    ] {
        let spoofed = |path: &str, told: &str| Request::get(path).bearer(&token).field(name, told);
        cases.push(bad("HTTP-15", name, spoofed("/admin/x", "/api/x"), 403, "token.scope"));
        cases.push(bad("HTTP-15", name, spoofed("/nowhere", "/healthz"), 403, "policy.no_route"));
        cases.push(good("HTTP-15", name, spoofed("/api/x", "/admin/x")));
    }
    for method in ["OPTIONS", "TRACE", "PROPFIND"] {
        let request = Request::new(method, "/healthz").field("origin", "https://evil.example");
        cases.push(bad("HTTP-19", method, request, 403, "policy.no_route"));
    }
    let preflight = |fields: &[(&str, &str)]| {
        fields.iter().fold(Request::new("OPTIONS", "/api/x"), |request, (name, value)| request.field(name, value))
    };
    let (origin, asks) = (("origin", "https://bank.example"), ("access-control-request-method", "GET"));
    for (name, fields) in [("true", &[origin, asks][..]), ("without Origin", &[asks]), ("without a method", &[origin])]
    {
        cases.push(bad("HTTP-19", name, preflight(fields), 401, missing));
    }
    cases.push(bad("HTTP-32", "no route", Request::get("/nowhere").bearer(&token), 403, "policy.no_route"));
    cases.push(bad("HTTP-32", "another method", Request::new("DELETE", "/healthz"), 403, "policy.no_route"));
    run(&stage, cases);
    let challenge = stage.as_bank(&bare()).value("www-authenticate");
    assert_eq!(challenge.as_deref(), Some(r#"Bearer realm="holdfast""#), "HTTP-01");
    let signature = token.rsplit('.').next().expect("three parts");
    assert!(!stage.envoy.log().contains(signature), "HTTP-07: a token of the query is in no log");
    let mut without = document();
    without["routes"][3].as_object_mut().expect("a route").remove("allow");
    let log = stage.envoy.configure(&without).expect_err("a route without a rule");
    assert!(log.contains("routes[api]: has no allow"), "HTTP-32: {log}");
}

/// A host for administrators and every other for everybody.
fn by_host() -> Value {
    let mut document = document();
    let hosts = json!(["admin.example", "xn--bcher-kva.example"]);
    document["routes"] = json!([
        {"name": "strict", "host": hosts, "path": "/**", "allow": [{"scopes": ["admin"]}]},
        {"name": "weak", "methods": ["GET"], "path": "/**", "allow": "public"}
    ]);
    document
}

#[test]
fn hosts_that_differ_from_what_the_service_is_told() {
    let stage = Stage::set(&by_host()).warm();
    let head = |target: &str, host: &str| format!("GET {target} HTTP/1.1\r\nhost: {host}\r\n\r\n").into_bytes();
    let raw = |target: &str, host: &str| {
        let status = send_raw(&stage, &head(target, host)).map(|answer| answer.status);
        let reached = stage.upstream.take().iter().map(|received| received.values("host").concat()).collect::<Vec<_>>();
        (status, reached)
    };
    for (target, host) in [
        ("/x", "ADMIN.EXAMPLE"),
        ("/x", "admin.example:8443"),
        ("/x", "admin.example."),
        ("/x", "XN--BCHER-KVA.example"),
        // The target goes before the field (RFC 9112 §3.2.2), and Envoy tells the service so.
        ("https://admin.example/x", "other.example"),
        ("https://ADMIN.example:443/x", "other.example"),
        ("https://u@admin.example/x", "other.example"),
    ] {
        assert_eq!(raw(target, host), (Some(401), vec![]), "HTTP-16 {target} {host}");
    }
    for (target, host) in [
        ("/x", "u@admin.example"),
        ("/x", "admin.example, other.example"),
        ("/x", "b\u{fc}cher.example"),
        ("/x", "[::1"),
        ("/x", "admin.example/"),
        ("/x", ""),
    ] {
        assert_eq!(raw(target, host), (Some(400), vec![]), "HTTP-16 {target} {host}");
    }
    for (target, host, told) in [
        ("/x", "other.example", "other.example"),
        ("/x", "[::1]:8443", "[::1]:8443"),
        ("https://other.example/x", "admin.example", "other.example"),
    ] {
        assert_eq!(raw(target, host), (Some(200), vec![told.to_owned()]), "HTTP-16 {target} {host}");
    }
    let two = b"GET /x HTTP/1.1\r\nhost: other.example\r\nhost: admin.example\r\n\r\n";
    assert_eq!(send_raw(&stage, two).map(|answer| answer.status), Some(400), "HTTP-16: two fields");
    assert_eq!(stage.reached(), 0);
}

#[test]
fn schemes_change_no_verdict() {
    let stage = Stage::set(&document()).warm();
    let token = stage.token();
    for scheme in ["https", "HTTPS", "Http", "http", "ftp", "javascript"] {
        for (path, verdict) in [("/api/x", 200), ("/admin/x", 403), ("/nowhere", 403)] {
            let request = format!(
                "GET {scheme}://localhost{path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n"
            );
            let status = send_raw(&stage, request.as_bytes()).map_or(0, |answer| answer.status);
            let known = scheme.to_lowercase().starts_with("http");
            let wanted = if known { verdict } else { 400 };
            assert_eq!((status, stage.reached()), (wanted, usize::from(wanted == 200)), "HTTP-17 {scheme} {path}");
        }
    }
}

#[test]
fn upgrades_are_judged_before_they_happen() {
    let stage = Stage::with(&document(), |options| Options { websockets: true, ..options }).warm();
    let upgrade = |protocol: &str| Request::get("/api/x").field("connection", "Upgrade").field("upgrade", protocol);
    let h2c = || upgrade("h2c").field("http2-settings", "AAMAAABkAAQAAP__");
    let missing = "credential.missing";
    let cases = vec![
        bad("HTTP-20", "WebSocket", upgrade("websocket"), 401, missing),
        bad("HTTP-20", "WebSocket, stolen", upgrade("websocket").bearer(&stage.token()), 401, "binding.no_certificate")
            .by(Sender::Nobody),
        bad("HTTP-20", "h2c", h2c(), 401, missing),
        bad("HTTP-20", "another", upgrade("foo"), 403, "-").stopped(403),
    ];
    run(&stage, cases);
    for target in ["localhost:443", "/api/x"] {
        let request =
            format!("CONNECT {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n\r\n", stage.token());
        let status = send_raw(&stage, request.as_bytes()).map_or(0, |answer| answer.status);
        assert!(matches!(status, 400 | 403 | 404), "HTTP-20: CONNECT {target}: {status}");
        assert_eq!(stage.reached(), 0, "HTTP-20: CONNECT {target}");
    }
}

#[test]
fn one_message_is_one_request() {
    let stage = Stage::set(&document()).warm();
    let head = |fields: &str| {
        format!("POST /api/x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n{fields}\r\n", stage.token())
    };
    let inner = "GET /healthz?smuggled HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let length = inner.len();
    let chunk = format!("{length:x}\r\n{inner}\r\n0\r\n\r\n");
    let empty_chunk = format!("0\r\n\r\n{inner}");
    let table = [
        ("TE and CL", head(&format!("transfer-encoding: chunked\r\ncontent-length: {length}\r\n")) + &chunk),
        ("CL and TE", head("content-length: 5\r\ntransfer-encoding: chunked\r\n") + &empty_chunk),
        ("two CL", head(&format!("content-length: 0\r\ncontent-length: {length}\r\n")) + inner),
        ("two CL, the same", head(&format!("content-length: {length}\r\ncontent-length: {length}\r\n")) + inner),
        ("CL in a list", head(&format!("content-length: 0, {length}\r\n")) + inner),
        ("CL with a sign", head(&format!("content-length: +{length}\r\n")) + inner),
        ("another TE", head("transfer-encoding: xchunked\r\n") + &chunk),
        ("two TE", head("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n") + &chunk),
        ("a blank before the colon", head("transfer-encoding : chunked\r\n") + &empty_chunk),
        ("obs-fold", head("x-a: b\r\n c\r\ncontent-length: 0\r\n")),
        ("obs-fold in a TE", head("transfer-encoding:\r\n chunked\r\n") + &chunk),
        ("a field without a colon", head("smuggled\r\ncontent-length: 0\r\n")),
        ("a blank in front", head(" x-a: b\r\ncontent-length: 0\r\n")),
        (
            "a chunk size out of range",
            head("transfer-encoding: chunked\r\n") + &format!("fffffffffffffffff\r\n{inner}"),
        ),
        ("HTTP/0.9", format!("GET /api/x\r\n{inner}")),
        ("HTTP/2 preface", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{inner}")),
    ];
    for (name, message) in table {
        let before = stage.envoy.settled_access_log().len();
        let status = send_raw(&stage, message.as_bytes()).map_or(0, |answer| answer.status);
        let requests = stage.envoy.settled_access_log().len() - before;
        let reached = stage.upstream.take();
        assert!(
            requests < 2,
            "HTTP-21 {name}: the filter saw {requests} requests {:?}",
            &stage.envoy.access_log()[before..]
        );
        // A folded line is part of the credential before it, and no token then. Either Envoy refuses the message, or it is one request whose body holds what looked like another.
        let whole = reached.len() == 1 && status == 200;
        assert!(
            (reached.is_empty() && matches!(status, 0 | 400 | 401 | 426 | 501)) || whole,
            "HTTP-21 {name}: {status}"
        );
        assert!(reached.iter().all(|received| received.path == "/api/x"), "HTTP-21 {name}: {reached:?}");
        stage.assert_alive();
    }
    // LF alone ends a line for some; here, either it does for Envoy and the service alike, or the message is refused.
    let lines = head("content-length: 0\r\nx-a: b\r\n").replace("\r\n", "\n");
    let status = send_raw(&stage, lines.as_bytes()).map_or(0, |answer| answer.status);
    let reached = stage.upstream.take();
    assert!(matches!((status, reached.len()), (200, 1) | (0 | 400, 0)), "HTTP-21 LF: {status}");
    assert_eq!(
        send_raw(&stage, (head("transfer-encoding: chunked\r\n") + &chunk).as_bytes()).map(|a| a.status),
        Some(200)
    );
    assert_eq!(stage.upstream.take()[0].text(), inner, "HTTP-21: the good twin");
}

/// A frame of HTTP/2 (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short one").to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Header fields, each written out whole (RFC 7541 §6.2.2).
fn fields(list: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| match text.len() {
        length @ 0..127 => [&[length.to_le_bytes()[0]], text.as_bytes()].concat(),
        length => {
            let (mut rest, mut octets) = (length - 127, vec![127]);
            while rest >= 128 {
                octets.push(rest.to_le_bytes()[0] | 128);
                rest /= 128;
            }
            octets.push(rest.to_le_bytes()[0]);
            [&octets[..], text.as_bytes()].concat()
        }
    };
    list.iter().flat_map(|(name, value)| [&[0][..], &text(name), &text(value)].concat()).collect()
}

const HEADERS: u8 = 1;
const DATA: u8 = 0;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const GO_AWAY: u8 = 7;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Whether the first stream gets the head of an answer; else it is reset, or the connection is closed.
fn is_answered(connection: &mut Connection) -> bool {
    while let Ok(head) = connection.read_octets(9) {
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let Ok(_) = connection.read_octets(length) else { return false };
        match head[3] {
            HEADERS => return true,
            RESET | GO_AWAY => return false,
            _ => {}
        }
    }
    false
}

#[test]
fn frames_that_no_library_would_send() {
    let stage = Stage::with(&document(), |options| Options { websockets: true, ..options }).warm();
    let bearer = format!("Bearer {}", stage.token());
    let line = [(":method", "GET"), (":scheme", "https"), (":authority", "localhost"), (":path", "/api/x")];
    let credential = ("authorization", bearer.as_str());
    let whole = |list: &[(&str, &str)]| frame(HEADERS, END_STREAM | END_HEADERS, 1, &fields(list));
    let open = |list: &[(&str, &str)]| frame(HEADERS, END_HEADERS, 1, &fields(list));
    let plain = [&line[..], &[credential]].concat();
    let with = |more: (&'static str, &'static str)| [&plain[..], &[more]].concat();
    let replaced = |name: &str, value: &'static str| {
        let mut list = plain.clone();
        list.iter_mut().filter(|(other, _)| *other == name).for_each(|field| field.1 = value);
        list
    };
    let without = |name: &str| plain.clone().into_iter().filter(|(other, _)| *other != name).collect::<Vec<_>>();
    let send = |frames: &[u8]| {
        let client = stage.envoy.client(&stage.bank).offering("h2");
        let mut connection = client.open().expect("a connection");
        let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
        connection.write(&[&preface[..], frames].concat()).expect("frames");
        let answered = is_answered(&mut connection);
        (answered, stage.upstream.take())
    };
    let table = [
        ("two paths", whole(&with((":path", "/healthz")))),
        ("two methods", whole(&[&[(":method", "GET")][..], &plain].concat())),
        ("two authorities", whole(&[&[(":authority", "x")][..], &plain].concat())),
        ("a pseudo-header behind a field", whole(&[&[credential][..], &line].concat())),
        ("a pseudo-header that is none", whole(&[&[(":user", "root")][..], &plain].concat())),
        ("that of an answer", whole(&[&[(":status", "200")][..], &plain].concat())),
        ("upper case", whole(&[&line[..], &[("Authorization", bearer.as_str())]].concat())),
        ("no path", whole(&without(":path"))),
        ("no method", whole(&without(":method"))),
        ("no scheme", whole(&without(":scheme"))),
        ("an empty path", whole(&replaced(":path", ""))),
        ("a path without a slash", whole(&replaced(":path", "api/x"))),
        ("a path with a fragment", whole(&replaced(":path", "/healthz#/api/x"))),
        ("a field of the connection", whole(&with(("connection", "x")))),
        ("a line end in a value", whole(&with(("x-a", "b\r\nx-c: d")))),
        ("NUL in a value", whole(&with(("x-a", "b\0")))),
        ("a blank in a name", whole(&with(("x a", "b")))),
        ("data without a head", frame(DATA, END_STREAM, 1, b"x")),
        ("a length that lies", [open(&with(("content-length", "9"))), frame(DATA, END_STREAM, 1, b"x")].concat()),
        ("a credential that is not whole", frame(HEADERS, END_STREAM, 1, &fields(&plain))),
        (
            "CONNECT-UDP",
            open(&[&[(":method", "CONNECT"), (":protocol", "connect-udp")][..], &line[1..], &[credential]].concat()),
        ),
    ];
    for (name, frames) in table {
        let (answered, reached) = send(&frames);
        assert!(reached.is_empty(), "HTTP-22 {name} reached the service: {reached:?}");
        // An answer is a refusal then.
        let refused = stage.envoy.settled_access_log().last().is_none_or(|line| !line.starts_with("200"));
        assert!(!answered || refused, "HTTP-22 {name}: {:?}", stage.envoy.access_log().last());
        stage.assert_alive();
    }
    // What only comes in trailers, or in a second head, is no credential.
    let late = |end: u8| {
        [open(&line), frame(DATA, 0, 1, b"x"), frame(HEADERS, END_HEADERS | end, 1, &fields(&[credential]))].concat()
    };
    for (name, frames) in [("in trailers", late(END_STREAM)), ("in a second head", late(0))] {
        let (_, reached) = send(&frames);
        assert_eq!(reached.len(), 0, "HTTP-22 a credential {name}");
        let reasons: Vec<String> = stage.envoy.settled_access_log().iter().map(|line| reason_of(line)).collect();
        assert!(
            matches!(reasons.last().map(String::as_str), Some("credential.missing")),
            "HTTP-22 {name}: {reasons:?}"
        );
    }
    let (answered, reached) = send(&whole(&plain));
    assert!(answered && reached.len() == 1, "HTTP-22: the good twin");
    // HTTP-16: where field and pseudo-header differ, the one that is judged is the one that is told.
    let (_, reached) = send(&whole(&with(("host", "admin.example"))));
    assert!(reached.iter().all(|received| received.values("host") == ["localhost"]), "{reached:?}");
    for scheme in ["HTTPS", "Http", "ftp"] {
        let mut list = replaced(":scheme", scheme);
        list.iter_mut().filter(|(name, _)| *name == ":path").for_each(|field| field.1 = "/admin/x");
        assert_eq!(send(&whole(&list)).1.len(), 0, "HTTP-17 {scheme}");
    }
}

#[test]
fn nothing_of_a_body_goes_on_before_the_decision() {
    let mut document = document();
    document["issuers"][0]["introspection"]["timeout"] = json!("5s");
    let stage = Stage::set(&document).warm();
    let requests = || stage.envoy.stat("cluster.upstream.upstream_rq_total");
    let body = vec![b'x'; 300 << 10];
    let upload = |token: &str, expect: &str| {
        let head = format!(
            "POST /api/x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-length: {}\r\n{expect}\r\n",
            body.len()
        );
        let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
        connection.write(head.as_bytes()).expect("a head");
        // It may not be read to its end before the decision.
        let _ = connection.write(&body);
        connection
    };
    let answer = |mut connection: Connection| loop {
        let answer = connection.read().expect("an answer");
        if answer.status != 100 {
            return answer.status;
        }
    };
    for expect in ["", "expect: 100-continue\r\n"] {
        for (token, status) in [("opaque", 200), ("unknown", 401)] {
            let token = format!("{token}{}", expect.len());
            if status == 200 {
                stage.server.know(&token, stage.active());
            }
            stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(700)));
            let (asked, before) = (stage.server.count("/introspect"), requests());
            let connection = upload(&token, expect);
            assert!(wait_until(Duration::from_secs(5), || stage.server.count("/introspect") > asked), "it is asked");
            assert_eq!((requests(), stage.reached()), (before, 0), "HTTP-25: nothing goes on while it waits");
            assert_eq!(answer(connection), status, "HTTP-25 {token}");
            let reached: Vec<usize> = stage.upstream.take().iter().map(|received| received.body.len()).collect();
            assert_eq!(reached, if status == 200 { vec![body.len()] } else { vec![] }, "HTTP-25 {token}");
            assert_eq!(requests() - before, u64::from(status == 200), "HTTP-25 {token}");
        }
    }
}

#[test]
fn a_connection_remembers_no_verdict() {
    let stage = Stage::set(&document()).warm();
    let stolen = stage.key.mint(json!({}), &claims(&stage.thief));
    let (good, without) = (api(&stage.token()), Request::get("/api/x"));
    let rounds = [(&good, 200), (&without, 401), (&api(&stolen), 401), (&api("x"), 401), (&good, 200), (&without, 401)];
    let mut first = stage.envoy.client(&stage.bank).open().expect("a connection");
    let mut second = stage.envoy.client(&stage.bank).open_http2().expect("a connection");
    for (request, status) in rounds {
        assert_eq!(first.send(request).expect("an answer").status, status, "HTTP-27");
        assert_eq!(second.send(request).expect("an answer").status, status, "HTTP-27, HTTP/2");
    }
    assert_eq!(stage.reached(), 4);
}

#[test]
fn old_and_nameless_requests() {
    let stage = Stage::set(&document()).warm();
    let get = |version: &str, fields: &str| {
        let request = format!("GET /api/x {version}\r\nauthorization: Bearer {}\r\n{fields}\r\n", stage.token());
        let status = send_raw(&stage, request.as_bytes()).map(|answer| answer.status);
        (status, stage.reached())
    };
    // Envoy answers 426 where the list of bad inputs has 400: it is Envoy's own to say.
    assert_eq!(get("HTTP/1.0", ""), (Some(426), 0), "HTTP-28");
    assert_eq!(get("HTTP/1.0", "host: localhost\r\n"), (Some(426), 0), "HTTP-28");
    assert_eq!(get("HTTP/1.1", ""), (Some(400), 0), "HTTP-28");
    assert_eq!(get("HTTP/1.1", "host: localhost\r\n"), (Some(200), 1), "HTTP-28: the good twin");
    let manager = members(json!({"http_protocol_options": {"accept_http_10": true}}));
    let stage = Stage::with(&document(), |options| Options { manager, ..options }).warm();
    let old = |fields: &str| {
        let status =
            send_raw(&stage, format!("GET /api/x HTTP/1.0\r\n{fields}\r\n").as_bytes()).map(|answer| answer.status);
        (status, stage.reached())
    };
    assert_eq!(old("host: localhost\r\n"), (Some(401), 0), "HTTP-28: where operators let it in");
    assert_eq!(old(""), (Some(400), 0), "HTTP-28: and without a host");
}

#[test]
fn requests_of_a_thousand_fields_and_of_a_mebibyte() {
    let many = |request: Request, count: usize| {
        (0..count).fold(request, |request, number| request.field(&format!("x-{number}"), "v"))
    };
    let large = |request: Request, count: usize| {
        (0..count).fold(request, |request, number| request.field(&format!("y-{number}"), "v".repeat(4_000)))
    };
    let cases = |stage: &Stage, fate: fn(Case) -> Case| {
        let token = stage.token();
        vec![
            fate(good("HTTP-29", "1,100 fields", many(api(&token), 1_100))),
            fate(good("HTTP-29", "900 KB", large(api(&token), 225))),
        ]
    };
    let stage = Stage::set(&document()).warm();
    run(&stage, cases(&stage, |case| case.stopped(431)));
    let manager = members(json!({
        "max_request_headers_kb": 2_048, "common_http_protocol_options": {"max_headers_count": 5_000}
    }));
    // Where operators let them in: the whole list is read, none is written back, and what nobody may say is taken out of it.
    let mut telling = document();
    telling["forward"] = json!({"headers": {"x-subject": "subject"}});
    let stage = Stage::with(&telling, |options| Options { manager, ..options }).warm();
    let mut all = cases(&stage, |case| case);
    all.push(bad(
        "HTTP-29",
        "1,100 fields and no token",
        many(Request::get("/api/x"), 1_100),
        401,
        "credential.missing",
    ));
    all.push(bad(
        "HTTP-29",
        "a token behind 1,100 fields twice",
        many(api("x"), 1_100).bearer("x"),
        400,
        "credential.several_tokens",
    ));
    run(&stage, all);
    for request in [many(api(&stage.token()), 1_500), large(api(&stage.token()), 225)] {
        let sent = request.fields.len();
        assert_eq!(stage.as_bank(&request.field("x_subject", "root").field("x-subject", "root")).status, 200);
        let received = stage.upstream.take().remove(0);
        assert_eq!(received.values("x-subject"), ["ann"], "HTTP-29");
        assert!(received.values("x_subject").is_empty(), "HTTP-29");
        let ours = |name: &str| name.starts_with("x-") && name[2..].parse::<u32>().is_ok() || name.starts_with("y-");
        let kept = received.headers.iter().filter(|(name, _)| ours(name)).count();
        assert_eq!(kept, sent - 2, "HTTP-29: every field of the caller reaches the service");
    }
}

#[test]
fn what_envoy_sends_again_was_decided_on() {
    let again = |prefix: &str, route: Value| json!({"match": {"prefix": prefix}, "route": route});
    let routes = json!([
        again("/api/redirect", json!({"cluster": "login", "internal_redirect_policy": {"max_internal_redirects": 2}})),
        again("/api/retry", json!({"cluster": "login", "retry_policy": {"retry_on": "5xx", "num_retries": 3}})),
        again("/api/mirror", json!({"cluster": "upstream", "request_mirror_policies": [{"cluster": "login"}]})),
        again("/", json!({"cluster": "upstream"})),
    ]);
    let stage = Stage::with(&document(), |options| Options { routes: Some(routes), ..options }).warm();
    let get = |path: &str| Request::get(path).bearer(&stage.token());
    let redirect = |to: &str| {
        let answer = format!("HTTP/1.1 302 x\r\nlocation: https://localhost{to}\r\ncontent-length: 0\r\n\r\n");
        stage.server.fail("/api/redirect", Fault::Octets(answer.into_bytes()));
        let status = stage.as_bank(&get("/api/redirect")).status;
        (status, stage.upstream.take().iter().map(|received| received.path.clone()).collect::<Vec<_>>())
    };
    assert_eq!(redirect("/admin/x"), (403, vec![]), "HTTP-30: the new path is judged anew");
    assert_eq!(redirect("/nowhere"), (403, vec![]), "HTTP-30");
    assert_eq!(redirect("/api/new"), (200, vec!["/api/new".to_owned()]), "HTTP-30");
    stage.server.fail("/api/retry", Fault::Answer { status: 503, content_type: "text/plain", body: Vec::new() });
    assert_eq!(stage.as_thief(&get("/api/retry")).status, 401);
    assert_eq!(stage.server.count("/api/retry"), 0, "HTTP-30: what was refused is not tried");
    assert_eq!(stage.as_bank(&get("/api/retry")).status, 503);
    let token = format!("Bearer {}", stage.token());
    let tries: Vec<_> = stage.server.asked().into_iter().filter(|asked| asked.path == "/api/retry").collect();
    assert_eq!(tries.len(), 4, "HTTP-30: what was permitted is");
    assert!(tries.iter().all(|asked| asked.values("authorization").len() == 1), "{token}");
    assert_eq!(stage.as_thief(&get("/api/mirror")).status, 401);
    assert_eq!((stage.server.count("/api/mirror"), stage.reached()), (0, 0), "HTTP-30: no shadow of what was refused");
    assert_eq!(stage.as_bank(&get("/api/mirror")).status, 200);
    assert!(wait_until(Duration::from_secs(5), || stage.server.count("/api/mirror") == 1), "HTTP-30");
    assert_eq!(stage.reached(), 1);
}

/// A filter that a route switches off does not run and so can warn nobody; what is shipped does not do it.
#[test]
fn no_example_switches_the_filter_off_for_a_route() {
    let folder = std::fs::read_dir(top().join("envoy")).expect("the examples");
    let files =
        folder.map(|entry| entry.expect("a file").path()).filter(|path| path.extension().is_some_and(|e| e == "yaml"));
    let mut read = 0;
    for file in files {
        let text = std::fs::read_to_string(&file).expect("an example");
        for word in ["typed_per_filter_config", "per_filter_config", "disabled: true"] {
            assert!(!text.contains(word), "HTTP-31: {word} in {}", file.display());
        }
        read += 1;
    }
    assert!(read > 0, "HTTP-31");
    // Envoy can do it by a route, and then nobody is asked: the reason why no example should.
    let off =
        json!({"holdfast": {"@type": "type.googleapis.com/envoy.config.route.v3.FilterConfig", "disabled": true}});
    let routes = json!([
        {"match": {"prefix": "/api/off"}, "route": {"cluster": "upstream"}, "typed_per_filter_config": off},
        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    ]);
    let stage =
        Stage::with(&document(), |options| Options { routes: Some(routes), ..options }.tls(Tls::Optional)).warm();
    assert_eq!(stage.as_bank(&Request::get("/api/off")).status, 200);
    assert_eq!(stage.as_bank(&Request::get("/api/on")).status, 401);
    assert_eq!(stage.reached(), 1);
}
