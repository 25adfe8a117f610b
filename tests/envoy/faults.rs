//! The authorization server stopped, slow, or answering rubbish: nothing passes, nothing hangs, and all is well when it is back.

use std::time::{Duration, Instant};

use harness::{Authority, Envoy, Fault, Leaf, OidcProvider, Options, Request, Upstream, wait_until};
use serde_json::json;

use super::stage::{Stage, api, document};

fn faults() -> Vec<(&'static str, Fault)> {
    let answer =
        |status: u16, body: &[u8]| Fault::Answer { status, content_type: "application/json", body: body.to_vec() };
    vec![
        ("closes", Fault::Close),
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
    ]
}

#[test]
fn without_an_answer_about_a_token_there_is_none_to_the_client_but_503() {
    let stage = Stage::set(&document()).warm();
    let before = stage.envoy.memory();
    for (name, fault) in faults() {
        stage.server.fail("/introspect", fault);
        let started = Instant::now();
        let answer = stage.as_bank(&api("opaque"));
        assert_eq!(answer.status, 503, "{name}");
        assert_eq!(answer.value("retry-after").as_deref(), Some("1"), "{name}");
        assert_eq!(answer.value("www-authenticate"), None, "{name}");
        assert!(started.elapsed() < Duration::from_secs(8), "{name} took {:?}", started.elapsed());
        stage.assert_alive();
    }
    assert!(
        stage.envoy.memory() < before + 24 * 1024,
        "memory stays flat: {} KiB, then {}",
        before,
        stage.envoy.memory()
    );
    stage.server.mend();
    stage.server.know("opaque", stage.active());
    assert_eq!(stage.as_bank(&api("opaque")).status, 200, "and all is well when it is back");
    assert_eq!(stage.reached(), 1);
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
fn without_keys_at_the_start_nothing_is_believed_until_they_come() {
    let mut document = document();
    document["issuers"][0]["jwks"]["timeout"] = json!("300ms");
    let stage = Stage::with(&document, |options| options);
    stage.server.fail("/jwks", Fault::Close);
    // Whatever was fetched before the fault, an issuer of its own has nothing.
    let other = json!({
        "issuers": [{"issuer": "https://login.bank.example", "name": "bank", "audiences": ["https://api.bank.example"],
                     "jwks": {"cluster": "login", "path": "/jwks", "timeout": "300ms"}}],
        "routes": [{"name": "api", "path": "/api/**", "allow": "authenticated"}]
    });
    stage.envoy.configure(&other).expect("a good configuration");
    let answer = stage.as_bank(&api(&stage.token()));
    assert_eq!((answer.status, answer.value("retry-after").as_deref()), (503, Some("1")));
    assert_eq!(stage.reached(), 0);
    stage.server.mend();
    assert!(
        wait_until(Duration::from_secs(8), || stage.as_bank(&api(&stage.token())).status == 200),
        "{}",
        stage.envoy.log()
    );
}

#[test]
fn keys_that_were_fetched_serve_while_the_server_is_away() {
    let stage = Stage::set(&document()).warm();
    assert_eq!(stage.as_bank(&api(&stage.token())).status, 200);
    stage.server.fail("/jwks", Fault::Close);
    let unknown = harness::SigningKey::new(harness::Algorithm::Es256, "unknown").mint(json!({}), &stage.claims());
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
    let good = key.mint(json!({}), &super::stage::claims(&bank));
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
