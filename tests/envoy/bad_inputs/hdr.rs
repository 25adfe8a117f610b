//! What a caller says of itself in header fields, and what odd claims become there.

use harness::{Algorithm, Fault, Request, Response, SigningKey};
use serde_json::{Value, json};

use super::{bad, bad_token, good, run};
use crate::stage::{Stage, api, claims, document};

/// Tells the service who calls, and takes rules over lists of groups.
fn telling() -> Value {
    let mut document = document();
    document["forward"] = json!({"headers": {
        "x-jwt-sub": "subject", "x-client-id": "client_id", "x-auth-user": "/user", "x-jwt-payload": "/claims"
    }});
    document["deny"] = json!([{"claims": {"/groups": {"contains": "banned"}}}]);
    let routes = document["routes"].as_array_mut().expect("a list");
    let rule = json!([{"claims": {"/groups": {"contains": "admin"}}}]);
    routes.insert(0, json!({"name": "group", "path": "/group", "allow": rule}));
    let rule = json!([{"claims": {"/groups": "admin"}}]);
    routes.insert(0, json!({"name": "equal", "path": "/equal", "allow": rule}));
    document
}

/// The values of every field that the service could take for this one.
fn told(stage: &Stage, name: &str) -> Vec<String> {
    let received = stage.upstream.take().remove(0);
    let fields = received.headers.iter().chain(&received.trailers);
    let same = fields.filter(|(other, _)| other.to_ascii_lowercase().replace('_', "-").trim() == name);
    same.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).collect()
}

#[test]
fn no_caller_says_who_it_is() {
    let stage = Stage::set(&telling()).warm();
    let token = stage.token_with(json!({"user": "ann@bank.example"}));
    let ours = [("x-jwt-sub", "ann"), ("x-client-id", "n26"), ("x-auth-user", "ann@bank.example")];
    let spellings = |name: &str| {
        let camel: String =
            name.split('-').map(|word| format!("-{}{}", word[..1].to_uppercase(), &word[1..])).collect();
        [
            name.to_owned(),
            name.to_uppercase(),
            camel[1..].to_owned(),
            name.replace('-', "_"),
            name.to_uppercase().replace('-', "_"),
            name.replacen('-', "_", 1),
        ]
    };
    for (name, value) in ours {
        for spelt in spellings(name) {
            for forged in ["root", "root,ann", ""] {
                let once = |request: Request| request.field(&spelt, forged);
                let twice = |request: Request| once(once(request)).field("connection", spelt.as_str());
                for (request, wanted) in [
                    (once(api(&token)), vec![value]),
                    (twice(api(&token)), vec![value]),
                    (once(Request::get("/healthz")), vec![]),
                    (twice(Request::get("/healthz")), vec![]),
                ] {
                    assert_eq!(stage.as_bank(&request).status, 200, "HDR-02 {spelt}");
                    assert_eq!(
                        told(&stage, name),
                        wanted,
                        "HDR-01, HDR-02, HDR-03: {spelt}: {forged:?} of {}",
                        request.target
                    );
                }
            }
        }
    }
    // Where the token says nothing, nobody else does.
    let silent = api(&stage.token()).field("x-auth-user", "root").field("x_jwt_payload", "root");
    assert_eq!(stage.as_bank(&silent).status, 200);
    let received = stage.upstream.received();
    assert_eq!(told(&stage, "x-auth-user"), Vec::<String>::new(), "HDR-01");
    assert!(received.iter().all(|received| received.values("x_jwt_payload").is_empty()), "HDR-02");
    // A blank behind the name is no field at all (RFC 9112 §5.1).
    for name in ["x-jwt-sub ", "x-jwt-sub\t", " x-jwt-sub"] {
        let answer = stage.envoy.client(&stage.bank).try_send(&api(&token).field(name, "root"));
        let status = answer.map_or(0, |answer| answer.status);
        let reached = stage.upstream.received();
        let forged = reached.iter().flat_map(|received| &received.headers).any(|(_, value)| value == b"root");
        assert!(!forged, "HDR-02 {name:?}: {status}");
        stage.upstream.take();
    }
    stage.assert_alive();
}

#[test]
fn claims_of_every_kind_in_a_field() {
    let stage = Stage::set(&telling()).warm();
    let table = [
        ("HDR-04", json!("ann\r\nx-client-id: root"), "ann%0D%0Ax-client-id:%20root"),
        ("HDR-04", json!("ann\nx: y"), "ann%0Ax:%20y"),
        ("HDR-04", json!("ann\0root"), "ann%00root"),
        ("HDR-04", json!("änn 100%"), "%C3%A4nn%20100%25"),
        ("HDR-04", json!("\u{7f}\u{2028}"), "%7F%E2%80%A8"),
        ("HDR-05", json!(5), "5"),
        ("HDR-05", json!(-1.5), "-1.5"),
        ("HDR-05", json!(true), "true"),
        ("HDR-05", json!(["a", "b c", 5, null]), "a,b%20c,5"),
        ("HDR-05", json!({"a": "b\r\n"}), "eyJhIjoiYlxyXG4ifQ"),
        ("HDR-06", json!(["user,admin", "x"]), "user%2Cadmin,x"),
        ("HDR-06", json!("user,admin"), "user%2Cadmin"),
    ];
    for (id, claim, value) in table {
        let answer = stage.as_bank(&api(&stage.token_with(json!({"user": claim}))));
        assert_eq!((answer.status, told(&stage, "x-auth-user")), (200, vec![value.to_owned()]), "{id} {claim}");
    }
    let long = |claim: Value| api(&stage.token_with(json!({"user": claim})));
    run(
        &stage,
        vec![
            bad("HDR-04", "257 octets", long(json!("a".repeat(257))), 403, "identity.too_long"),
            bad("HDR-04", "86 octets that take three", long(json!("%".repeat(86))), 403, "identity.too_long"),
            bad("HDR-04", "a long list", long(json!(vec!["ab"; 100])), 403, "identity.too_long"),
            bad_token("HDR-04", "64 KiB", &stage.token_with(json!({"user": "a".repeat(64 << 10)})), "-").stopped(431),
            good("HDR-04", "256 octets", long(json!("a".repeat(256)))),
        ],
    );
    // By introspection a claim can be that long.
    let mut said = stage.active();
    said["user"] = json!("a".repeat(60 << 10));
    stage.server.know("opaque", said);
    run(&stage, vec![bad("HDR-04", "60 KiB by introspection", api("opaque"), 403, "identity.too_long")]);
}

#[test]
fn rules_see_every_value_of_a_list() {
    let stage = Stage::set(&telling()).warm();
    let at = |path: &str, groups: Value| Request::get(path).bearer(&stage.token_with(json!({"groups": groups})));
    let mut cases = Vec::new();
    for groups in [json!(["admin"]), json!(["user", "admin"]), json!(["admin", "user"]), json!("admin")] {
        cases.push(good("HDR-07", groups.to_string(), at("/group", groups)));
    }
    for groups in [json!(["user"]), json!("user,admin"), json!(["user,admin"]), json!("Admin"), json!([])] {
        cases.push(bad("HDR-07", groups.to_string(), at("/group", groups), 403, "policy.no_rule"));
    }
    // A rule that refuses sees every value, and one that can't be compared counts against the caller.
    for groups in [
        json!(["admin", "banned"]),
        json!(["banned", "admin"]),
        json!(["admin", "banned", "admin"]),
        json!("banned"),
        json!({"admin": true}),
        json!(["admin", ["banned"]]),
        json!(5),
    ] {
        cases.push(bad("HDR-07", groups.to_string(), at("/group", groups), 403, "policy.denied"));
    }
    cases.push(good("HDR-07", "equals", at("/equal", json!("admin"))));
    for groups in [json!(["admin"]), json!(["admin", "user"])] {
        cases.push(bad("HDR-07", format!("{groups} does not equal"), at("/equal", groups), 403, "policy.no_rule"));
    }
    run(&stage, cases);
}

/// All that a caller is told, but for the date.
fn shown(answer: &Response) -> String {
    let fields = answer.headers.iter().filter(|(name, _)| name != "date");
    let fields: Vec<_> = fields.map(|(name, value)| (name, String::from_utf8_lossy(value))).collect();
    format!("{} {fields:?} {}", answer.status, answer.text())
}

/// HDR-13: no clock is read here. Digests are compared in constant time (`subtle`), and what a caller can try is answered in
/// the same octets whether it came near or not.
#[test]
fn answers_give_nothing_away_by_their_octets() {
    let stage = Stage::set(&document()).warm();
    let forger = SigningKey::new(Algorithm::Es256, "k1");
    let known = forger.mint(json!({}), &stage.claims());
    let unknown = forger.mint(json!({"kid": "unknown"}), &stage.claims());
    let same = |tokens: &[String]| {
        let answers: Vec<String> = tokens.iter().map(|token| shown(&stage.as_bank(&api(token)))).collect();
        assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "HDR-13: {answers:#?}");
        assert!(answers[0].starts_with("401 "), "{answers:?}");
    };
    same(&[known, unknown, forger.mint(json!({"alg": "ES384"}), &stage.claims())]);
    let bound = |digest: &str| stage.token_with(json!({"cnf": {"x5t#S256": digest}}));
    let own = stage.bank.x5t_s256();
    let near = format!("{}{}", &own[..42], if own.ends_with('A') { "E" } else { "A" });
    let far = format!("{}{}", if own.starts_with('A') { "B" } else { "A" }, &own[1..]);
    same(&[bound(&near), bound(&far), stage.key.mint(json!({}), &claims(&stage.thief))]);
    let inactive =
        Fault::Answer { status: 200, content_type: "application/json", body: br#"{"active":false}"#.to_vec() };
    stage.server.fail("/introspect", inactive);
    same(&["revoked".to_owned(), "never-issued".to_owned()]);
    assert_eq!(stage.reached(), 0);
    stage.server.mend();
    stage.assert_alive();
}
