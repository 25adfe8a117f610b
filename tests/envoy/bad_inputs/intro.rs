//! What authorization servers say, and what is remembered of it.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Fault, Request, now};
use serde_json::{Value, json};

use super::{bad, bad_token, good, run};
use crate::stage::{Stage, api, asking, document, secret};

fn says(status: u16, body: impl AsRef<[u8]>) -> Fault {
    Fault::Answer { status, content_type: "application/json", body: body.as_ref().to_vec() }
}

/// A good answer that differs in these members; null takes one out.
fn with(good: &Value, others: Value) -> String {
    let mut said = good.clone();
    for (name, value) in others.as_object().expect("members") {
        said[name] = value.clone();
    }
    said.as_object_mut().expect("members").retain(|_, value| !value.is_null());
    said.to_string()
}

#[test]
fn answers_about_a_token() {
    let stage = Stage::set(&document()).warm();
    let good = stage.active();
    let text = good.to_string();
    let with = |others: Value| with(&good, others);
    let null = text.replacen(r#""active":true"#, r#""active":null"#, 1);
    let unusable = "server.unusable_answer";
    let table = [
        ("INTRO-01", with(json!({"active": null})), 503, unusable),
        ("INTRO-01", with(json!({"active": "true"})), 503, unusable),
        ("INTRO-01", with(json!({"active": 1})), 503, unusable),
        ("INTRO-01", with(json!({"active": []})), 503, unusable),
        ("INTRO-01", null, 503, unusable),
        ("INTRO-02", text.replacen('{', r#"{"active":false,"#, 1), 503, unusable),
        ("INTRO-02", text.replacen('{', r#"{"active":true,"#, 1), 503, unusable),
        ("INTRO-02", text.replacen('{', r#"{"active":true,"active":true,"#, 1), 503, unusable),
        ("INTRO-02", text.replacen('{', r#"{"\u0061ctive":false,"#, 1), 503, unusable),
        ("INTRO-03", with(json!({"exp": now() - 60, "iat": now() - 90})), 401, "token.expired"),
        ("INTRO-03", with(json!({"exp": "soon"})), 401, "token.claim"),
        ("INTRO-03", with(json!({"nbf": now() + 60})), 401, "token.not_yet_valid"),
        ("INTRO-03", with(json!({"iss": "https://evil.example"})), 401, "token.issuer"),
        ("INTRO-03", with(json!({"aud": "https://other.example"})), 401, "token.audience"),
        ("INTRO-03", with(json!({"token_type": "mac"})), 401, "token.type"),
        ("INTRO-03", with(json!({"token_type": "DPoP"})), 401, "token.type"),
        ("INTRO-04", with(json!({"token_type": "refresh_token"})), 401, "token.type"),
        ("INTRO-04", with(json!({"token_type": "N_A"})), 401, "token.type"),
        ("INTRO-04", with(json!({"token_type": "id_token"})), 401, "token.type"),
        ("INTRO-04", with(json!({"token_type": ["Bearer"]})), 401, "token.type"),
        ("INTRO-07", String::new(), 503, unusable),
        ("INTRO-07", text[..40].to_owned(), 503, unusable),
        ("INTRO-07", format!("{text}{text}"), 503, unusable),
        ("INTRO-07", format!("[{text}]"), 503, unusable),
    ];
    let mut line = 0;
    // Each under a token of its own, for bad answers are remembered too.
    for (at, (id, body, status, reason)) in table.into_iter().enumerate() {
        let token = format!("opaque-{at}");
        stage.server.fail("/introspect", says(200, body));
        let answer = stage.as_bank(&api(&token)).status;
        line += 1;
        assert_eq!((answer, stage.reason(line).as_str(), stage.reached()), (status, reason, 0), "{id}, row {at}");
        if status == 503 {
            stage.server.mend();
            stage.server.know(&token, good.clone());
            line += 1;
            let again = (stage.as_bank(&api(&token)).status, stage.reached());
            assert_eq!(again, (200, 1), "{id}, row {at}: nothing is remembered of it");
        }
    }
    stage.server.mend();
    stage.server.know("opaque", good.clone());
    assert_eq!((stage.as_bank(&api("opaque")).status, stage.reached()), (200, 1), "the good twin of them all");
}

/// `{"active": true}` as gzip has it, in one stored block; nothing looks into it.
fn compressed(text: &[u8]) -> Vec<u8> {
    let mut crc = u32::MAX;
    for octet in text {
        crc ^= u32::from(*octet);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
        }
    }
    let length = u16::try_from(text.len()).expect("one block");
    let block = [&[1][..], &length.to_le_bytes(), &(!length).to_le_bytes(), text].concat();
    let trailer = [(!crc).to_le_bytes(), u32::from(length).to_le_bytes()].concat();
    [&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff][..], &block, &trailer].concat()
}

#[test]
fn bodies_without_end_and_bodies_in_disguise() {
    let mut document = document();
    document["issuers"][0]["introspection"]["timeout"] = json!("300ms");
    let stage = Stage::set(&document).warm();
    let good = stage.active().to_string();
    let zipped = compressed(good.as_bytes());
    let head = |length: usize, more: &str| {
        format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n{more}content-length: {length}\r\n\r\n")
    };
    let octets = |head: String, body: &[u8]| Fault::Octets([head.as_bytes(), body].concat());
    let of_type = |status: u16, content_type: &'static str, body: &[u8]| Fault::Answer {
        status,
        content_type,
        body: body.to_vec(),
    };
    // To where a good answer would be.
    let moved = "HTTP/1.1 307 x\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n".to_owned();
    let table = [
        ("truncated", octets(head(good.len() + 1, ""), good.as_bytes()), "server.introspection"),
        ("just too long", says(200, format!("{good}{}", " ".repeat(64 * 1024))), "server.unusable_answer"),
        ("10 MiB", says(200, vec![b' '; 10 << 20]), "server.unusable_answer"),
        ("gzip", octets(head(zipped.len(), "content-encoding: gzip\r\n"), &zipped), "server.unusable_answer"),
        ("a page", of_type(200, "text/html", b"<!doctype html><title>Sign in</title>"), "server.unusable_answer"),
        ("what says it is a page", of_type(200, "text/html", good.as_bytes()), "server.unusable_answer"),
        ("a signed answer", of_type(200, "application/jwt", good.as_bytes()), "server.unusable_answer"),
        ("elsewhere", octets(moved, b""), "server.unusable_answer"),
        ("a trickle", Fault::Trickle, "server.introspection"),
        ("1 GiB", Fault::Flood, "server.introspection"),
    ];
    let before = stage.envoy.memory();
    let mut most = 0;
    for (at, (name, fault, reason)) in table.into_iter().enumerate() {
        stage.server.fail("/introspect", fault);
        let started = Instant::now();
        let status = stage.as_bank(&api(&format!("opaque-{at}"))).status;
        most = most.max(stage.envoy.memory());
        assert!(started.elapsed() < Duration::from_secs(4), "INTRO-07 {name} took {:?}", started.elapsed());
        assert_eq!((status, stage.reason(2 * at + 1).as_str()), (503, reason), "INTRO-07 {name}");
        stage.assert_alive();
    }
    assert!(most < before + 64 * 1024, "INTRO-07: memory stays flat: {before} KiB, then {most}");
    let asks_for_gzip = stage.server.asked().iter().any(|asked| !asked.values("accept-encoding").is_empty());
    assert!(!asks_for_gzip, "nobody is asked to compress");
    assert_eq!(stage.server.count("/elsewhere"), 0, "nobody is followed elsewhere");
    stage.server.mend();
    stage.server.know("opaque", stage.active());
    assert_eq!(stage.as_bank(&api("opaque")).status, 200, "and all is well when it is mended");
}

#[test]
fn answers_about_a_jwt_that_a_key_has_vouched_for() {
    let mut document = asking();
    document["issuers"][0]["introspection"]["timeout"] = json!("2s");
    let stage = Stage::set(&document).warm();
    let good = stage.active();
    let text = good.to_string();
    let (unusable, away) = ("server.unusable_answer", "server.introspection");
    let other = |status: u16, content_type: &'static str, body: &[u8]| Fault::Answer {
        status,
        content_type,
        body: body.to_vec(),
    };
    let table = [
        ("INTRO-01", "a text", says(200, with(&good, json!({"active": "true"}))), 503, unusable),
        ("INTRO-01", "null", says(200, with(&good, json!({"active": null}))), 503, unusable),
        ("INTRO-02", "twice", says(200, text.replacen('{', r#"{"active":true,"#, 1)), 503, unusable),
        (
            "INTRO-03",
            "over",
            says(200, with(&good, json!({"exp": now() - 60, "iat": now() - 90}))),
            401,
            "token.expired",
        ),
        (
            "INTRO-03",
            "another issuer",
            says(200, with(&good, json!({"iss": "https://evil.example"}))),
            401,
            "token.disagreement",
        ),
        ("INTRO-03", "another user", says(200, with(&good, json!({"sub": "eve"}))), 401, "token.disagreement"),
        (
            "INTRO-03",
            "another audience",
            says(200, with(&good, json!({"aud": "https://other.example"}))),
            401,
            "token.audience",
        ),
        (
            "INTRO-04",
            "a refresh token",
            says(200, with(&good, json!({"token_type": "refresh_token"}))),
            401,
            "token.type",
        ),
        ("INTRO-06", "our credentials", says(401, "{}"), 503, "server.our_credentials"),
        ("INTRO-07", "empty", says(200, ""), 503, unusable),
        ("INTRO-07", "truncated", says(200, &text[..40]), 503, unusable),
        ("INTRO-07", "10 MiB", says(200, vec![b' '; 10 << 20]), 503, unusable),
        ("INTRO-07", "a trickle", Fault::Trickle, 503, away),
        ("INTRO-07", "a page", other(200, "text/html", b"<!doctype html>"), 503, unusable),
        ("INTRO-07", "what says it is a page", other(200, "text/html", text.as_bytes()), 503, unusable),
        ("INTRO-07", "elsewhere", says(302, &text), 503, unusable),
        // A server that introspects no JWTs: a mistake of whoever wrote the configuration.
        ("INTRO-07", "no JWTs", says(400, r#"{"error":"unsupported_token_type"}"#), 503, unusable),
        ("INTRO-07", "nothing", Fault::Close, 503, away),
    ];
    let mut line = 0;
    for (at, (id, name, fault, status, reason)) in table.into_iter().enumerate() {
        let token = stage.known_token(at);
        stage.server.fail("/introspect", fault);
        let answer = stage.as_bank(&api(&token)).status;
        line += 1;
        assert_eq!((answer, stage.reason(line).as_str(), stage.reached()), (status, reason, 0), "{id}, {name}");
        stage.server.mend();
        if status == 503 {
            line += 2;
            let (ours, theirs) = (stage.as_bank(&api(&token)).status, stage.as_thief(&api(&token)).status);
            assert_eq!((ours, theirs, stage.reached()), (200, 401, 1), "{id}, {name}: nothing is remembered of it");
        }
    }
    assert!(!stage.envoy.log().contains("panicked"));
}

#[test]
fn what_is_remembered_of_one_token_says_nothing_of_another() {
    let mut document = document();
    let second = json!({"issuer": "https://other.example", "name": "other", "audiences": ["https://other.example"],
        "introspection": {"cluster": "login", "path": "/other", "client_id": "api", "client_secret": {"env": "API_SECRET"}}});
    document["issuers"].as_array_mut().expect("a list").push(second);
    for route in document["routes"].as_array_mut().expect("a list") {
        if route["allow"] != json!("public") {
            route["issuer"] = json!("bank");
        }
    }
    let routes = document["routes"].as_array_mut().expect("a list");
    routes.push(json!({"name": "other", "path": "/other", "issuer": "other", "allow": "authenticated"}));
    routes.push(json!({"name": "narrow", "path": "/narrow", "issuer": "bank", "allow": "authenticated",
                       "audiences": ["https://narrow.example"]}));
    let stage = Stage::set(&document).warm();
    stage.server.know("opaque", stage.active());
    let long = "t".repeat(2_000);
    stage.server.know(&format!("{long}a"), stage.active());
    let get = |path: &str, token: &str| Request::get(path).bearer(token);
    run(
        &stage,
        vec![
            good("INTRO-11", "its own server", api("opaque")),
            // The same token, another server, which is asked for itself; the answer names another issuer.
            bad("INTRO-11", "another server", get("/other", "opaque"), 401, "token.issuer"),
            bad("INTRO-12", "another scope", get("/admin/x", "opaque"), 403, "token.scope"),
            bad("INTRO-12", "another audience", get("/narrow", "opaque"), 401, "token.audience"),
            good("INTRO-12", "the first again", api("opaque")),
            bad_token("INTRO-13", "a prefix", "opaqu", "token.inactive"),
            bad_token("INTRO-13", "more behind", "opaque0", "token.inactive"),
            bad_token("INTRO-13", "more in front", "0opaque", "token.inactive"),
            bad_token("INTRO-13", "another case", "Opaque", "token.inactive"),
            bad_token("INTRO-13", "padding", "opaque=", "token.inactive"),
            bad_token("INTRO-13", "more padding", "opaque==", "token.inactive"),
            bad_token("INTRO-13", "separators", "opaque/opaque", "token.inactive"),
            bad_token("INTRO-13", "a bar", "opaque|opaque", "credential.malformed"),
            bad_token("INTRO-13", "its hint", "opaque~token_type_hint", "token.inactive"),
            good("INTRO-13", "2,001 octets", api(&format!("{long}a"))),
            bad_token("INTRO-13", "the last octet differs", &format!("{long}b"), "token.inactive"),
            bad_token("INTRO-13", "the last octet is not there", &long, "token.inactive"),
            // Of these, token68 lets `+` and `=` alone reach a form.
            bad_token("INTRO-17", "&", "opaque&token=other", "credential.malformed"),
            bad_token("INTRO-17", "%", "opaque%26", "credential.malformed"),
            bad_token("INTRO-17", "a blank", "opaque x", "credential.malformed"),
            bad_token("INTRO-17", "+", "opaque+x", "token.inactive"),
            bad_token("INTRO-17", "a slash", "opaque/x=", "token.inactive"),
        ],
    );
    assert_eq!(stage.server.count("/other"), 1, "INTRO-11: the other server is asked for itself");
    let asked: Vec<_> = stage.server.asked().into_iter().filter(|asked| asked.path != "/jwks").collect();
    for asked in &asked {
        // INTRO-18: the token stands in the body alone; INTRO-17: and is one parameter there.
        assert!(asked.path == "/introspect" || asked.path == "/other", "INTRO-18: {}", asked.path);
        assert_eq!(asked.method, "POST", "INTRO-18");
        let fields = format!("{:?}", asked.headers.iter().map(|(name, _)| name).collect::<Vec<_>>());
        assert!(asked.headers.iter().all(|(_, value)| !value.windows(6).any(|part| part == b"opaque")), "{fields}");
        let body = asked.text();
        assert!(body.starts_with("token=") && body.ends_with("&token_type_hint=access_token"), "INTRO-17: {body}");
        assert_eq!(body.matches(['&', '=']).count(), 3, "INTRO-17: {body}");
    }
    for encoded in ["token=opaque%2Bx&", "token=opaque%2Fx%3D&", "token=opaque%3D%3D&"] {
        assert!(asked.iter().any(|asked| asked.text().starts_with(encoded)), "INTRO-17: {encoded}");
    }
}

#[test]
fn our_own_credentials_stand_nowhere_but_in_the_question() {
    let stage = Stage::set(&document()).warm();
    let mut said = String::new();
    // Refused by the server, which repeats them, and in every other way that an answer can go wrong.
    let basic = STANDARD.encode(format!("api:{}", secret()));
    for (at, fault) in [
        says(401, format!("who is api:{}? {basic}", secret())),
        says(500, format!("{} {basic}", secret())),
        says(200, secret()),
        Fault::Close,
    ]
    .into_iter()
    .enumerate()
    {
        stage.server.fail("/introspect", fault);
        let answer = stage.as_bank(&api(&format!("opaque-{at}")));
        assert_eq!(answer.status, 503, "INTRO-19");
        said += &format!("{:?} {}", answer.headers, answer.text());
    }
    assert_eq!(stage.reached(), 0);
    stage.assert_alive();
    let asked = stage.server.asked();
    let question = asked.iter().find(|asked| asked.path == "/introspect").expect("a question");
    let sent = question.values("authorization").concat();
    let hidden = sent.strip_prefix("Basic ").expect("client_secret_basic");
    let stats = stage.envoy.admin("/stats");
    for (name, text) in [
        ("log", stage.envoy.log()),
        ("stats", stats),
        ("access log", stage.envoy.settled_access_log().join("\n")),
        ("answers", said),
    ] {
        for secret in [secret(), hidden, &basic] {
            assert!(!text.contains(secret), "INTRO-19: a secret stands in the {name}");
        }
    }
}

#[test]
fn a_server_that_has_no_address_is_no_verdict() {
    // INTRO-28: the name of the server is gone from DNS, so its cluster has no endpoint.
    let mut document = document();
    document["issuers"][0]["introspection"]["cluster"] = json!("gone");
    let stage = Stage::with(&document, |options| options.cluster("gone", ([127, 0, 0, 1], 1).into())).warm();
    run(&stage, vec![bad("INTRO-28", "no address", api("opaque"), 503, "server.introspection")]);
    // INTRO-31: what the proxy would not send is refused at load, or at once.
    for (field, value) in
        [("cluster", ""), ("authority", ""), ("authority", "a b"), ("path", "introspect"), ("path", "/a b")]
    {
        let mut bad = document.clone();
        bad["issuers"][0]["introspection"][field] = json!(value);
        assert!(stage.envoy.configure(&bad).is_err(), "INTRO-31 {field} {value:?}");
    }
    let mut nowhere = document.clone();
    nowhere["issuers"][0]["introspection"]["cluster"] = json!("nowhere");
    stage.envoy.configure(&nowhere).expect("clusters may come later");
    run(&stage, vec![bad("INTRO-31", "no cluster", api("opaque"), 503, "server.introspection")]);
}
