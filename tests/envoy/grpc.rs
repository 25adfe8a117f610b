//! gRPC: what passes is untouched in both directions while it lasts; what is refused is told in its own words.

use std::time::Duration;

use harness::{Certificate, Cluster, Fault, Fields, GrpcService, Http2, Protocol, Request, now};
use serde_json::{Value, json};

use super::stage::{Stage, document};

fn services() -> Value {
    let mut document = document();
    document["routes"] = json!([
        {"name": "quotes", "methods": ["POST"], "path": "/bank.v1.Quotes/*", "allow": "authenticated"},
        {"name": "admin", "methods": ["POST"], "path": "/bank.v1.Admin/*", "allow": [{"scopes": ["admin"]}]},
        {"name": "pay", "methods": ["POST"], "path": "/bank.v1.Payments/*", "max_age": "5m",
         "allow": [{"acr_values": ["phr", "phrh"]}]}
    ]);
    document
}

fn set() -> (Stage, GrpcService) {
    let service = GrpcService::start();
    let behind = Cluster { protocol: Protocol::Http2, ..Cluster::plain("upstream", service.address) };
    let stage = Stage::with(&services(), |mut options| {
        options.clusters[0] = behind;
        options
    });
    (stage.warm(), service)
}

fn open(stage: &Stage, own: &Certificate) -> Http2 {
    stage.envoy.client(own).open_http2().expect("a connection")
}

fn call(path: &str) -> Request {
    Request::new("POST", path).field("content-type", "application/grpc").field("te", "trailers")
}

/// Length-prefixed, not compressed.
fn message(text: &str) -> Vec<u8> {
    let length = u32::try_from(text.len()).expect("short");
    [&[0], length.to_be_bytes().as_slice(), text.as_bytes()].concat()
}

/// What the service says at the end, when so many octets have come.
fn ending(octets: usize) -> Fields {
    vec![("grpc-status".into(), b"0".to_vec()), ("x-octets".into(), octets.to_string().into_bytes())]
}

#[test]
fn a_unary_call_passes_with_its_trailers() {
    let (stage, service) = set();
    let asked = message("EUR/USD");
    let request = call("/bank.v1.Quotes/Get").bearer(&stage.token());
    let answer = open(&stage, &stage.bank).send(&Request { body: asked.clone(), ..request }).expect("an answer");
    assert_eq!((answer.status, answer.value("grpc-status")), (200, None), "{}", stage.envoy.log());
    assert_eq!((&answer.body, answer.trailers), (&asked, ending(asked.len())));
    assert_eq!(service.take(), ["/bank.v1.Quotes/Get"]);
}

#[test]
fn a_stream_of_answers_passes_message_by_message() {
    let (stage, service) = set();
    let asked = message("EUR/USD");
    let request = call("/bank.v1.Quotes/Subscribe").bearer(&stage.token()).field("x-answers", "3");
    let mut stream = open(&stage, &stage.bank).call(&request).expect("a stream");
    stream.say(&asked).expect("open");
    for _ in 0..3 {
        assert_eq!(stream.hear(asked.len()).expect("a message"), asked);
    }
    stream.end().expect("open");
    let answer = stream.finish().expect("an end");
    assert_eq!((answer.status, answer.body, answer.trailers), (200, Vec::new(), ending(asked.len())));
    assert_eq!(service.take(), ["/bank.v1.Quotes/Subscribe"]);
}

#[test]
fn messages_go_both_ways_while_a_stream_is_open() {
    let (stage, service) = set();
    let mut stream =
        open(&stage, &stage.bank).call(&call("/bank.v1.Quotes/Chat").bearer(&stage.token())).expect("a stream");
    let said = ["bid 1.0801", "ask 1.0803", "done"].map(message);
    for message in &said {
        stream.say(message).expect("open");
        assert_eq!(&stream.hear(message.len()).expect("an answer before the next"), message);
    }
    stream.end().expect("open");
    let answer = stream.finish().expect("an end");
    assert_eq!((answer.body, answer.trailers), (Vec::new(), ending(said.concat().len())));
    assert_eq!(service.take().len(), 1);
}

#[test]
fn messages_that_come_before_the_decision_wait_for_it() {
    let (stage, service) = set();
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(300)));
    let begin = |token: &str| {
        let mut stream = open(&stage, &stage.bank).call(&call("/bank.v1.Quotes/Chat").bearer(token)).expect("a stream");
        stream.say(&message("early")).expect("open");
        stream
    };
    let refused = begin("unknown").finish().expect("an answer");
    assert_eq!(refused.value("grpc-status").as_deref(), Some("16"));
    assert_eq!(service.take(), Vec::<String>::new());
    let mut stream = begin("opaque");
    assert_eq!(stream.hear(message("early").len()).expect("an answer"), message("early"));
    stream.say(&message("late")).expect("open");
    stream.end().expect("open");
    assert_eq!(stream.finish().expect("an end").body, message("late"));
    assert_eq!(service.take().len(), 1);
}

#[test]
fn a_refusal_is_a_grpc_status_with_our_words_and_our_challenge_and_reaches_nobody() {
    let (stage, service) = set();
    stage.server.fail("/introspect", Fault::Close);
    let good = stage.token();
    let (get, admin) = (|| call("/bank.v1.Quotes/Get"), || call("/bank.v1.Admin/Stop"));
    let error = |error: &str, description: &str| {
        Some(format!(r#"Bearer realm="holdfast", error="{error}", error_description="{description}""#))
    };
    let stolen = "Certificate binding mismatch: certificate renewed, or not the one this token was issued to";
    let twice = "Multiple methods used to include access token";
    let scope =
        r#"Bearer realm="holdfast", error="insufficient_scope", error_description="Insufficient scope", scope="admin""#;
    let pay = |claims: Value| call("/bank.v1.Payments/Enter").bearer(&stage.token_with(claims));
    let level = "A different authentication level is required";
    let recency = "More recent authentication is required";
    let login = |description: &str| {
        Some(format!(
            r#"Bearer realm="holdfast", error="insufficient_user_authentication", error_description="{description}", acr_values="phr phrh", max_age="300""#
        ))
    };
    let (bank, thief) = (&stage.bank, &stage.thief);
    let table = [
        ("stolen", thief, get().bearer(&good), "16", Some(stolen), error("invalid_token", stolen)),
        ("no token", bank, get(), "16", None, Some(r#"Bearer realm="holdfast""#.to_owned())),
        ("two tokens", bank, get().bearer(&good).bearer(&good), "13", Some(twice), error("invalid_request", twice)),
        ("too small a scope", bank, admin().bearer(&good), "7", Some("Insufficient scope"), Some(scope.to_owned())),
        ("another level", bank, pay(json!({"acr": "pwd", "auth_time": now()})), "16", Some(level), login(level)),
        (
            "an old login",
            bank,
            pay(json!({"acr": "phr", "auth_time": now() - 400})),
            "16",
            Some(recency),
            login(recency),
        ),
        ("no route", bank, call("/bank.v1.Other/Get").bearer(&good), "7", None, None),
        ("no answer about it", bank, get().bearer("opaque"), "14", None, None),
    ];
    for (name, own, request, status, words, challenge) in table {
        let mut stream = open(&stage, own).call(&request).expect("a stream");
        // The answer may be there before this is said.
        let _ = stream.say(&message("a secret order"));
        let answer = stream.finish().expect("an answer");
        assert_eq!((answer.status, answer.value("grpc-status").as_deref()), (200, Some(status)), "{name}");
        assert_eq!(answer.value("grpc-message").as_deref(), words, "{name}");
        assert_eq!(answer.value("www-authenticate"), challenge, "{name}");
        assert_eq!((answer.body, answer.trailers), (Vec::new(), Fields::new()), "{name}");
    }
    assert_eq!(service.take(), Vec::<String>::new());
    let fresh = Request { body: message("pay"), ..pay(json!({"acr": "phrh", "auth_time": now() - 100})) };
    let answer = open(&stage, &stage.bank).send(&fresh).expect("an answer");
    assert_eq!((answer.status, answer.value("grpc-status")), (200, None));
    assert_eq!(service.take(), ["/bank.v1.Payments/Enter"]);
}
