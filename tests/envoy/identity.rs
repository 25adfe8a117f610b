//! Who the caller is, as the service and Envoy's own filters get to know it.

use harness::{Options, Received, Request};
use serde_json::{Value, json};

use super::stage::{Stage, api, document};

fn telling() -> Value {
    let mut document = document();
    document["forward"] = json!({
        "token": "strip",
        "headers": {"x-client-id": "client_id", "x-subject": "subject", "x-issuer": "issuer", "x-organization": "/org"},
        "filter_state": {"organization": "/org"}
    });
    document
}

/// Every field that a service could take for one of ours, whatever it makes of case and `_`.
fn told(received: &Received) -> Vec<(String, String)> {
    let is_ours = |name: &str| {
        let name = name.to_ascii_lowercase().replace('_', "-");
        ["x-client-id", "x-subject", "x-issuer", "x-organization"].contains(&name.as_str())
    };
    let fields = received.headers.iter().chain(&received.trailers).filter(|(name, _)| is_ours(name));
    let mut told: Vec<(String, String)> =
        fields.map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into_owned())).collect();
    told.sort();
    told
}

fn owned(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

const OF_ANN: [(&str, &str); 4] = [
    ("x-client-id", "n26"),
    ("x-issuer", "https://login.bank.example"),
    ("x-organization", "Bank%20&a"),
    ("x-subject", "ann"),
];

fn forged(request: Request) -> Request {
    request
        .field("x-subject", "root")
        .field("X-SUBJECT", "root")
        .field("x_subject", "root")
        .field("X_Client-Id", "root")
        .field("x-organization", "evil")
        .field("x-organization", "evil")
}

#[test]
fn the_service_is_told_who_calls_and_no_caller_can_say_so_itself() {
    let stage = Stage::set(&telling()).warm();
    let good = stage.token_with(json!({"org": "Bank &a"}));
    let ask = |request: Request, expected: &[(&str, &str)]| {
        assert_eq!(stage.as_bank(&forged(request)).status, 200, "{}", stage.envoy.log());
        assert_eq!(told(&stage.upstream.take()[0]), owned(expected));
    };
    ask(api(&good), &OF_ANN);
    // What a caller names in `Connection` is taken away before the filter adds it.
    ask(api(&good).field("connection", "x-subject, x-client-id"), &OF_ANN);
    ask(Request::get("/healthz"), &[]);
    ask(Request::get("/healthz").bearer(&good), &[]);
    let without = stage.token();
    ask(api(&without), &[OF_ANN[0], OF_ANN[1], OF_ANN[3]]);
}

#[test]
fn trailers_say_nothing_of_who_calls() {
    let stage = Stage::set(&telling()).warm();
    let head = format!(
        "POST /api/x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\ntransfer-encoding: chunked\r\n\r\n",
        stage.token()
    );
    let trailers = "1\r\nx\r\n0\r\nx-subject: root\r\nX_Client_Id: root\r\nx-organization: evil\r\nx-sum: 1\r\n\r\n";
    for head in [head.as_str(), "GET /healthz HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n"] {
        let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
        connection.write(&[head.as_bytes(), trailers.as_bytes()].concat()).expect("a request");
        assert_eq!(connection.read().expect("an answer").status, 200);
        assert_eq!(stage.upstream.take().remove(0).trailers, [("x-sum".to_owned(), b"1".to_vec())]);
    }
}

#[test]
fn what_can_not_be_told_in_256_octets_reaches_nobody() {
    let stage = Stage::set(&telling()).warm();
    for (length, status, reached) in [(256, 200, 1), (257, 403, 0)] {
        let answer = stage.as_bank(&api(&stage.token_with(json!({"org": "o".repeat(length)}))));
        assert_eq!((answer.status, stage.reached()), (status, reached));
    }
    assert_eq!(stage.reason(2), "identity.too_long");
}

/// Envoy's own RBAC filter, letting through whose filter state says this.
fn rbac(key: &str, value: &str) -> Value {
    json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {"only": {
            "permissions": [{"any": true}],
            "principals": [{"filter_state": {"key": key, "string_match": {"exact": value}}}]
        }}}
    }})
}

#[test]
fn envoys_own_rbac_and_access_log_use_the_filter_state() {
    let stage = Stage::with(&telling(), |options| Options {
        filters: vec![rbac("wasm.holdfast.client_id", "n26"), rbac("wasm.holdfast.organization", "acme")],
        ..options
    })
    .warm();
    let of = |client: &str, org: &str| stage.token_with(json!({"client_id": client, "org": org}));
    for (client, org, status) in [("n26", "acme", 200), ("n26", "globex", 403), ("revolut", "acme", 403)] {
        let answer = stage.as_bank(&api(&of(client, org)).field("x-client-id", "n26"));
        assert_eq!((answer.status, stage.reached()), (status, usize::from(status == 200)), "{client} {org}");
    }
    let lines = stage.envoy.access_lines(3);
    for (line, (details, client)) in
        lines.iter().zip([("via_upstream", "n26"), ("rbac_access_denied", "n26"), ("rbac_access_denied", "revolut")])
    {
        let told: Vec<&str> = line.split(' ').collect();
        assert!(told[1].starts_with(details), "{line}");
        assert_eq!(told[2..], ["permit", "granted", "api", "bank", client, "ann", "certificate"], "{line}");
    }
}
