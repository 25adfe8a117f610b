//! The authorization server stopped, slow, or answering rubbish: nothing passes, nothing hangs, and all is well when it is back.

use std::time::{Duration, Instant};

use harness::{
    Algorithm, Authority, AuthorizationServer, Envoy, Fault, Leaf, OidcProvider, Options, Request, SigningKey, Upstream,
};
use serde_json::{Value, json};

use super::recovers;
use crate::stage::{Stage, api, document};

fn faults() -> Vec<(&'static str, Fault)> {
    let answer =
        |status: u16, body: &[u8]| Fault::Answer { status, content_type: "application/json", body: body.to_vec() };
    vec![
        ("closes", Fault::Close),
        ("resets", Fault::Reset),
        ("is slow", Fault::Slow(Duration::from_secs(15))),
        ("trickles", Fault::Trickle),
        ("answers nothing", answer(200, b"")),
        ("answers rubbish", answer(200, b"\xff\x00{rubbish")),
        ("answers no HTTP", Fault::Octets(b"SSH-2.0-OpenSSH\r\n".to_vec())),
        ("is cut off", Fault::Octets(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"act".to_vec())),
        ("fails", answer(500, b"{}")),
        ("is busy", answer(503, b"")),
        ("has moved", answer(302, b"")),
        ("has no content", answer(204, b"")),
        ("answers 10 MiB", answer(200, &vec![b' '; 10 * 1024 * 1024])),
        ("answers a page", answer(200, b"<!doctype html><title>Sign in</title>")),
        ("answers a list", answer(200, b"[]")),
        ("answers something else", answer(200, br#"{"issuer": "https://login.bank.example"}"#)),
    ]
}

#[test]
fn without_an_answer_about_a_token_there_is_none_to_the_client_but_503() {
    let stage = Stage::set(&document()).warm();
    let before = stage.envoy.memory();
    for (name, fault) in faults() {
        let asked = api(&name.replace(' ', "-"));
        stage.server.know(&name.replace(' ', "-"), stage.active());
        stage.server.fail("/introspect", fault);
        let started = Instant::now();
        for answer in [stage.as_bank(&asked), stage.as_thief(&asked)] {
            assert_eq!(answer.status, 503, "{name}");
            assert_eq!(answer.value("retry-after").as_deref(), Some("1"), "{name}");
            assert_eq!(answer.value("www-authenticate"), None, "{name}");
        }
        assert!(started.elapsed() < Duration::from_secs(16), "{name} took {:?}", started.elapsed());
        stage.assert_alive();
        stage.server.mend();
        recovers(&format!("introspection that {name}"), Instant::now(), || stage.as_bank(&asked).status == 200);
        assert_eq!(stage.as_thief(&asked).status, 401, "{name}");
        assert_eq!(stage.reached(), 1, "{name}");
    }
    let after = stage.envoy.memory();
    println!("introspection that fails: Envoy has {after} KiB, {before} KiB before");
    assert!(after < before + 24 * 1024, "memory stays flat: {before} KiB, then {after}");
}

/// One issuer for each fault, all behind one server.
fn one_issuer_each(faults: &[(&str, Fault)]) -> Value {
    let issuers: Vec<Value> = (0..faults.len())
        .map(|at| {
            json!({"issuer": format!("https://{at}.example"), "name": format!("i{at}"),
                   "audiences": ["https://api.bank.example"],
                   "jwks": {"cluster": "login", "path": format!("/jwks/{at}"), "timeout": "300ms"}})
        })
        .collect();
    let names: Vec<String> = (0..faults.len()).map(|at| format!("i{at}")).collect();
    let route = json!({"name": "api", "path": "/api/**", "issuer": names, "allow": "authenticated"});
    json!({"issuers": issuers, "routes": [route]})
}

#[test]
fn without_keys_there_is_no_answer_but_503_and_they_are_taken_within_five_seconds_when_they_come() {
    let faults = faults();
    let stage = Stage::set(&document()).warm();
    let before = stage.envoy.memory();
    for (at, (_, fault)) in faults.iter().enumerate() {
        stage.server.fail(&format!("/jwks/{at}"), fault.clone());
    }
    stage.envoy.configure(&one_issuer_each(&faults)).expect("a good configuration");
    let good: Vec<_> =
        (0..faults.len()).map(|at| api(&stage.token_with(json!({"iss": format!("https://{at}.example")})))).collect();
    // Long enough for the longest distance of retries.
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(9) {
        for ((name, _), request) in faults.iter().zip(&good) {
            assert_eq!((stage.as_bank(request).status, stage.as_thief(request).status), (503, 503), "{name}");
        }
    }
    assert_eq!(stage.reached(), 0);
    println!("keys that fail: Envoy has {} KiB, {before} KiB before", stage.envoy.memory());
    stage.server.mend();
    let mended = Instant::now();
    std::thread::scope(|scope| {
        for ((name, _), request) in faults.iter().zip(&good) {
            let stage = &stage;
            scope.spawn(move || {
                recovers(&format!("keys, of a server that {name}"), mended, || {
                    let statuses = (stage.as_thief(request).status, stage.as_bank(request).status);
                    assert!(matches!(statuses, (401 | 503, 200 | 503)), "{statuses:?}");
                    statuses.1 == 200
                });
            });
        }
    });
    assert_eq!(stage.reached(), faults.len());
}

/// Such a set is an answer: it says that there is no such key.
#[test]
fn with_the_keys_of_others_nothing_is_believed_and_the_right_ones_are_found_again() {
    let stage = Stage::set(&document()).warm();
    let others = SigningKey::new(Algorithm::Es256, "other");
    for keys in [vec![], vec![&others]] {
        stage.server.publish(&keys);
        let mut cold = document();
        cold["challenge"] = json!({"realm": keys.len().to_string()});
        stage.envoy.configure(&cold).expect("a good configuration");
        let good = api(&stage.token());
        for _ in 0..6 {
            assert_eq!((stage.as_bank(&good).status, stage.as_thief(&good).status), (401, 401));
        }
        stage.server.publish(&[&stage.key]);
        recovers(&format!("{} keys of others", keys.len()), Instant::now(), || stage.as_bank(&good).status == 200);
        assert_eq!(stage.as_thief(&good).status, 401);
        assert_eq!(stage.reached(), 1);
    }
}

#[test]
fn a_server_that_is_started_anew_is_asked_anew() {
    let Stage { envoy, upstream, server, key, bank, thief } = Stage::set(&document()).warm();
    let (address, claims) = (server.address(), crate::stage::claims(&bank));
    let mut active = claims.clone();
    active["active"] = json!(true);
    active["token_type"] = json!("Bearer");
    drop(server);
    let mut cold = document();
    cold["challenge"] = json!({"realm": "cold"});
    envoy.configure(&cold).expect("a good configuration");
    let (bank, thief) = (envoy.client(&bank), envoy.client(&thief));
    let new_key = SigningKey::new(Algorithm::Es256, "k2");
    let (opaque, of_old, of_new) =
        (api("opaque"), api(&key.mint(json!({}), &claims)), api(&new_key.mint(json!({}), &claims)));
    for request in [&opaque, &of_old, &of_new] {
        assert_eq!((bank.send(request).status, thief.send(request).status), (503, 503));
    }
    assert_eq!(upstream.received().len(), 0);
    let server = AuthorizationServer::start_at(address, &[&new_key]);
    server.know("opaque", active);
    let started = Instant::now();
    recovers("introspection, of a server started anew", started, || bank.send(&opaque).status == 200);
    recovers("keys, of a server started anew", started, || bank.send(&of_new).status == 200);
    assert_eq!(bank.send(&of_old).status, 401, "the old key is no more");
    assert_eq!((thief.send(&opaque).status, thief.send(&of_new).status), (401, 401));
    assert_eq!(upstream.received().len(), 2);
}

#[test]
fn our_own_credentials_refused_is_no_verdict_on_the_token_and_an_alarm() {
    let stage = Stage::set(&document()).warm();
    stage
        .server
        .fail("/introspect", Fault::Answer { status: 401, content_type: "application/json", body: b"{}".to_vec() });
    let answer = stage.as_bank(&api("opaque"));
    assert_eq!((answer.status, stage.reason(1).as_str()), (503, "server.our_credentials"));
    assert!(
        stage.envoy.log().contains("introspection failed: the server refused our own credentials"),
        "{}",
        stage.envoy.log()
    );
    assert_eq!(
        stage.envoy.stat("wasmcustom.holdfast.route.api.decision.deny.reason.server_our_credentials.requests"),
        1
    );
}

#[test]
fn keys_that_were_fetched_serve_while_the_server_is_away() {
    let stage = Stage::set(&document()).warm();
    assert_eq!(stage.as_bank(&api(&stage.token())).status, 200);
    stage.server.fail("/jwks", Fault::Close);
    let unknown = SigningKey::new(Algorithm::Es256, "unknown").mint(json!({}), &stage.claims());
    assert_eq!(stage.as_bank(&api(&unknown)).status, 503, "an unknown key is no verdict now");
    assert_eq!(stage.as_bank(&api(&stage.token())).status, 200);
}

#[test]
fn one_caller_who_waits_in_every_place_leaves_room_for_others() {
    let mut document = document();
    document["limits"] = json!({"waiting": 20});
    document["issuers"][0]["introspection"]["timeout"] = json!("5s");
    let stage = Stage::set(&document).warm();
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(1500)));
    let (thief, bank) = (stage.envoy.client(&stage.thief), stage.envoy.client(&stage.bank));
    std::thread::scope(|scope| {
        let flood: Vec<_> = (0..20).map(|_| scope.spawn(|| thief.send(&api("flood")).status)).collect();
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(bank.send(&api("opaque")).status, 200, "{:?}", stage.envoy.access_log());
        let statuses: Vec<u16> = flood.into_iter().map(|sender| sender.join().expect("an answer")).collect();
        assert_eq!(
            statuses.iter().filter(|status| **status == 503).count(),
            15,
            "a quarter of the places: {statuses:?}"
        );
    });
}

#[test]
fn a_server_of_another_name_or_authority_is_not_believed() {
    let ca = Authority::new("login CA");
    let provider = OidcProvider::start(&ca);
    let document = json!({
        "issuers": [{"issuer": provider.issuer(), "name": "login", "audiences": ["https://api.market.example"],
                     "jwks": {"cluster": "login", "path": "/jwks"}}],
        "routes": [{"name": "api", "path": "/api/**", "allow": "authenticated"}]
    });
    let table = [
        ("its own", ca.certificate.clone(), "localhost", 200),
        ("another name", ca.certificate.clone(), "login.bank.example", 503),
        ("another authority", Authority::new("other CA").certificate, "localhost", 503),
    ];
    for (name, trusted, server, status) in table {
        let upstream = Upstream::start();
        let options = Options::new(&document, upstream.address());
        let options = options.verified_cluster("login", provider.address(), &trusted, server);
        let envoy = Envoy::start(Authority::new("client CA"), options);
        let bank = ca.issue(Leaf::client("bank"));
        let token = provider.token("bank", &bank, "prices.read", "https://api.market.example");
        // The token is bound to a certificate of its own authority, which this listener does not know.
        let known = envoy.authority().issue(Leaf::client("bank"));
        let expected = if status == 200 { 401 } else { status };
        let answer = envoy.client(&known).send(&api(&token));
        assert_eq!(answer.status, expected, "{name}: {}", envoy.log());
        let challenge = answer.value("www-authenticate").unwrap_or_default();
        assert_eq!(
            challenge.contains("binding mismatch"),
            status == 200,
            "{name}: its signature was verified by the keys"
        );
        assert_eq!(upstream.received().len(), 0);
    }
}

#[test]
fn a_server_that_is_gone_is_no_verdict() {
    let Stage { envoy, upstream, server, key, bank, .. } = Stage::set(&document()).warm();
    let good = key.mint(json!({}), &crate::stage::claims(&bank));
    drop(server);
    assert_eq!(envoy.client(&bank).send(&api("opaque")).status, 503);
    assert_eq!(envoy.client(&bank).send(&api(&good)).status, 200, "the keys are there");
    assert_eq!(upstream.received().len(), 1);
}

/// Enough requests that wait must not put off the tick that sends what they wait for.
#[test]
fn a_steady_stream_of_waiting_requests_holds_up_no_answer() {
    let mut document = document();
    document["limits"] = json!({"waiting": 8});
    let stage = Stage::set(&document).warm();
    stage.server.know("opaque", stage.active());
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        for sender in 0..32 {
            let (stage, stop) = (&stage, &stop);
            scope.spawn(move || {
                let mut connection = stage.envoy.client(&stage.thief).open().expect("a connection");
                for number in 0..5_000 {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    let token = format!("made-up-{sender}-{number}");
                    connection.send(&Request::get("/unbound").bearer(&token)).expect("an answer");
                }
            });
        }
        std::thread::sleep(Duration::from_millis(500));
        for _ in 0..5 {
            let started = Instant::now();
            let answer = stage.as_bank(&api("opaque"));
            assert_eq!(answer.status, 200, "{:?}", stage.envoy.access_log().last());
            assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
            std::thread::sleep(Duration::from_millis(500));
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_cluster_that_is_not_there_refuses_at_once() {
    let mut document = document();
    document["issuers"][0]["introspection"]["cluster"] = json!("nowhere");
    document["issuers"][0]["jwks"]["cluster"] = json!("nowhere");
    let stage = Stage::set(&document);
    for token in ["opaque", stage.token().as_str()] {
        let started = Instant::now();
        assert_eq!(stage.as_bank(&api(token)).status, 503);
        assert!(started.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(stage.reached(), 0);
}
