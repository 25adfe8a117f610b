//! An authorization server that says itself where it is asked: a real one, and a scripted one that says what it should not.

use std::time::{Duration, Instant};

use harness::{Fault, wait_until};
use serde_json::{Value, json};

use super::clients::{API, Market};
use super::stage::{Stage, api, document};

const OAUTH: &str = "/.well-known/oauth-authorization-server";
const OPENID: &str = "/.well-known/openid-configuration";

#[test]
fn keys_and_introspection_are_found_by_either_document_of_a_real_server() {
    let market = Market::open();
    let jwt = market.provider.token("bank", &market.bank, "prices.read", API);
    for name in ["oauth-authorization-server", "openid-configuration"] {
        market.trust(&json!({
            "discovery": {"cluster": "login", "document": name, "timeout": "5s"},
            "jwks": {"cluster": "login", "timeout": "5s"},
            "introspection": {"cluster": "login", "client_id": "rs", "client_secret": {"env": "SECRET"}, "timeout": "5s"}
        }));
        let opaque = market.provider.token("bank", &market.bank, "prices.read", &format!("{API}/opaque"));
        for token in [&jwt, &opaque] {
            assert_eq!(market.verdict(token), (200, "granted".to_owned()), "{name}: {}", market.envoy.log());
        }
    }
}

#[test]
fn a_client_with_a_certificate_asks_where_a_real_server_wants_it() {
    let market = Market::open();
    // There alone the path is one that the server does not have by itself.
    market.trust(&json!({
        "discovery": {"cluster": "login", "timeout": "5s"},
        "introspection": {
            "cluster": "login-tls", "auth_method": "tls_client_auth", "client_id": "rs-tls", "timeout": "5s", "cache": "0s"
        }
    }));
    let opaque = market.provider.token("bank", &market.bank, "prices.read", &format!("{API}/opaque"));
    assert_eq!(market.verdict(&opaque), (200, "granted".to_owned()), "{}", market.envoy.log());
}

/// The stage's policy, whose issuer tells its paths within this time.
fn telling(timeout: &str) -> Value {
    let mut document = document();
    let issuer = document["issuers"][0].as_object_mut().expect("an issuer");
    issuer.insert("discovery".to_owned(), json!({"cluster": "login", "timeout": timeout}));
    for endpoint in ["jwks", "introspection"] {
        issuer[endpoint].as_object_mut().expect("an endpoint").remove("path");
    }
    document
}

/// The same policy in another document: one that is the same octet by octet is no new one to Envoy.
fn anew(mut policy: Value, number: usize) -> Value {
    policy["challenge"] = json!({"realm": number.to_string()});
    policy
}

fn metadata(changes: Value) -> Fault {
    let mut whole = json!({
        "issuer": "https://login.bank.example", "jwks_uri": "https://login.bank.example/jwks/all?v=1",
        "introspection_endpoint": "https://login.bank.example/told",
        "mtls_endpoint_aliases": {"introspection_endpoint": "https://login.bank.example/told-to-certificates"}
    });
    whole.as_object_mut().expect("a map").extend(changes.as_object().expect("a map").clone());
    Fault::Answer { status: 200, content_type: "application/json", body: whole.to_string().into_bytes() }
}

/// Every path that was asked, once each.
fn asked(stage: &Stage) -> Vec<String> {
    let mut paths: Vec<String> = stage.server.asked().into_iter().map(|asked| asked.path).collect();
    paths.sort();
    paths.dedup();
    paths
}

#[test]
fn a_document_that_is_not_the_issuers_or_leads_elsewhere_is_refused_and_a_good_one_is_found_within_5_s() {
    let stage = Stage::set(&nobody());
    stage.server.know("opaque", stage.active());
    let bad = [
        json!({"issuer": "https://login.bank.example/"}),
        json!({"issuer": "https://evil.example"}),
        json!({"jwks_uri": "https://evil.example/jwks"}),
        json!({"introspection_endpoint": "https://169.254.169.254/latest"}),
        json!({"jwks_uri": "http://login.bank.example/jwks"}),
    ];
    for (at, changes) in bad.into_iter().enumerate() {
        stage.server.fail(OAUTH, metadata(changes.clone()));
        stage.envoy.configure(&anew(telling("5s"), at)).expect("a good configuration");
        for token in [stage.token().as_str(), "opaque"] {
            assert_eq!(stage.as_bank(&api(token)).status, 503, "{changes}");
        }
        assert_eq!(asked(&stage), [OAUTH], "{changes}: neither keys nor introspection");
        assert_eq!(stage.reached(), 0);
    }
    let lines = stage.envoy.access_lines(10);
    assert!(lines.iter().all(|line| line.contains("server.metadata")), "{lines:?}");
    stage.server.fail(OAUTH, metadata(json!({})));
    let started = Instant::now();
    assert!(wait_until(Duration::from_secs(8), || stage.as_bank(&api(&stage.token())).status == 200));
    assert!(started.elapsed() <= Duration::from_secs(6), "a try every 5 s, and the second that the clock is read by");
    assert_eq!(stage.as_bank(&api("opaque")).status, 200);
    assert!(wait_until(Duration::from_secs(5), || stage.server.count(OPENID) >= 1), "the other document is compared");
    assert_eq!(asked(&stage), [OAUTH, OPENID, "/jwks/all?v=1", "/told"]);
}

#[test]
fn what_is_no_answer_is_no_document_and_the_next_good_one_is_taken() {
    let stage = Stage::set(&nobody());
    let page = |status, body: &[u8]| Fault::Answer { status, content_type: "text/html", body: body.to_vec() };
    let faults = [
        Fault::Close,
        Fault::Reset,
        Fault::Trickle,
        Fault::Flood,
        Fault::Octets(b"rubbish\r\n\r\n".to_vec()),
        page(200, b"<html></html>"),
        page(200, &vec![b' '; 10 * 1024 * 1024]),
        page(302, b"{}"),
        page(404, b""),
    ];
    let count = faults.len();
    for (at, fault) in faults.into_iter().enumerate() {
        stage.server.fail(OAUTH, fault.clone());
        stage.envoy.configure(&anew(telling("500ms"), at)).expect("a good configuration");
        assert_eq!(stage.as_bank(&api(&stage.token())).status, 503, "{fault:?}");
    }
    let lines = stage.envoy.access_lines(count);
    assert!(lines.iter().all(|line| line.contains("server.metadata")), "{lines:?}");
    assert_eq!(asked(&stage), [OAUTH]);
    stage.server.fail(OAUTH, metadata(json!({})));
    assert!(wait_until(Duration::from_secs(8), || stage.as_bank(&api(&stage.token())).status == 200));
    assert!(!stage.envoy.log().contains("panicked"));
}

/// A policy that asks nobody.
fn nobody() -> Value {
    json!({"routes": [{"name": "health", "methods": ["GET"], "path": "/h", "allow": "public"}]})
}

#[test]
fn requests_that_come_before_the_document_wait_for_one_fetch_of_each() {
    let stage = Stage::set(&nobody());
    stage.server.fail(OAUTH, Fault::Held);
    stage.envoy.configure(&telling("5s")).expect("a good configuration");
    let client = stage.envoy.client(&stage.bank);
    let token = stage.token();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let senders: Vec<_> = (0..50).map(|_| scope.spawn(|| client.send(&api(&token)).status)).collect();
        std::thread::sleep(Duration::from_millis(300));
        stage.server.fail(OAUTH, metadata(json!({})));
        senders.into_iter().map(|sender| sender.join().expect("an answer")).collect()
    });
    assert_eq!(statuses, [200; 50], "{}", stage.envoy.log());
    let keys = || stage.server.count("/jwks/all?v=1");
    assert!(wait_until(Duration::from_secs(5), || keys() == 2), "the main thread and the worker: {}", keys());
    assert_eq!(stage.server.count(OAUTH), 2);
}

#[test]
fn documents_that_contradict_each_other_are_both_refused() {
    let stage = Stage::set(&nobody());
    stage.server.fail(OAUTH, metadata(json!({})));
    stage.server.fail(OPENID, metadata(json!({"jwks_uri": "https://login.bank.example/jwks/other"})));
    stage.envoy.configure(&telling("5s")).expect("a good configuration");
    let refused = || {
        let unknown = stage.token_with(json!({"jti": harness::now().to_string()}));
        stage.as_bank(&api(&unknown)).status == 503
    };
    let told = "no metadata: the documents of RFC 8414 and of OpenID Connect name another jwks_uri each";
    assert!(wait_until(Duration::from_secs(10), || stage.envoy.log().contains(told)), "{}", stage.envoy.log());
    assert!(wait_until(Duration::from_secs(5), refused), "{}", stage.envoy.log());
}
