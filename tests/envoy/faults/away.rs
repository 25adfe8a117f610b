//! The introspection endpoint is away, or flooded with questions: what it said lately serves as long as was declared, all else
//! is refused in time, and all is well soon after.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use harness::{Clock, Fault, Leaf, Request, wait_until};
use serde_json::json;

use super::recovers;
use crate::stage::{Stage, api, asking};

/// What one request may take where the endpoint is given 300 ms: the host's tick, and a machine that is busy.
const DEADLINE: Duration = Duration::from_secs(2);

#[test]
fn what_was_said_lately_serves_to_its_declared_limit_and_all_else_is_refused_in_time() {
    let faults = [
        ("closes", Fault::Close),
        ("is slow", Fault::Slow(Duration::from_secs(3))),
        ("fails", Fault::Answer { status: 503, content_type: "text/plain", body: b"busy".to_vec() }),
    ];
    for (name, fault) in faults {
        let clock = Clock::new();
        let mut document = asking();
        let introspection = &mut document["issuers"][0]["introspection"];
        (introspection["cache"], introspection["stale_if_error"]) = (json!("1m"), json!("1m"));
        introspection["timeout"] = json!("300ms");
        let stage = Stage::with(&document, |options| options.clock(&clock)).warm();
        let jwt = stage.known_token(1);
        stage.server.know("opaque", stage.active());
        // It ends before its answer is stale for as long as it might be.
        let mut short = stage.active();
        short["exp"] = json!(harness::now() + 90);
        stage.server.know("short", short);
        stage.server.know("withdrawn", stage.active());
        let tokens = ["opaque", jwt.as_str(), "short", "withdrawn"];
        assert_eq!(tokens.map(|token| stage.as_bank(&api(token)).status), [200; 4]);
        stage.reached();
        stage.server.fail("/introspect", fault);
        let mut line = 4;
        // Away from the seconds in which one thing ends and the next begins.
        for (at, seconds, expected) in [
            ("remembered", 40, [(200, "granted"); 3]),
            ("stale", 75, [(200, "granted.stale"); 3]),
            ("ended", 105, [(200, "granted.stale"), (200, "granted.stale"), (503, "server.introspection")]),
            ("over", 135, [(503, "server.introspection"); 3]),
        ] {
            clock.set(seconds);
            for (token, (status, reason)) in tokens.into_iter().zip(expected) {
                let started = Instant::now();
                let answer = stage.as_bank(&api(token));
                assert!(started.elapsed() < DEADLINE, "{name}, {at}: {:?}", started.elapsed());
                line += 1;
                assert_eq!((answer.status, stage.reason(line).as_str()), (status, reason), "{name}, {at}: {token:.8}");
                assert_eq!(stage.as_thief(&api(token)).status, if status == 200 { 401 } else { 503 }, "{name}, {at}");
                line += 1;
            }
            for token in ["unknown", &stage.token_with(json!({"jti": at}))] {
                let started = Instant::now();
                let answer = stage.as_bank(&api(token));
                assert!(started.elapsed() < DEADLINE, "{name}, {at}: {:?}", started.elapsed());
                assert_eq!(answer.status, 503, "{name}, {at}: what it never spoke of");
                assert_eq!(answer.value("retry-after").as_deref(), Some("1"));
                line += 1;
            }
        }
        assert_eq!(stage.reached(), 3 + 3 + 2, "{name}");
        stage.server.forget("withdrawn");
        stage.server.mend();
        let mended = Instant::now();
        for token in ["opaque", &jwt] {
            let is_well = || stage.as_bank(&api(token)).status == 200;
            recovers(&format!("introspection that {name}, of {token:.8}"), mended, is_well);
        }
        assert_eq!(stage.as_bank(&api("withdrawn")).status, 401, "{name}: and what was withdrawn meanwhile is");
        assert!(!stage.envoy.log().contains("panicked"), "{name}");
    }
}

#[test]
fn no_flood_of_made_up_tokens_asks_more_at_a_time_than_is_configured() {
    const CALLOUTS: usize = 16;
    const CALLERS: usize = 8;
    const CONNECTIONS: usize = 4;
    let mut document = asking();
    document["limits"] = json!({"callouts": CALLOUTS});
    document["issuers"][0]["introspection"]["timeout"] = json!("5s");
    document["issuers"][0]["introspection"]["cache"] = json!("5m");
    let stage = Stage::set(&document).warm();
    let jwt = stage.known_token(1);
    stage.server.know("opaque", stage.active());
    assert_eq!(["opaque", &jwt].map(|token| stage.as_bank(&api(token)).status), [200; 2]);
    // So long that what is asked at a time is soon as much as may be.
    stage.server.fail("/introspect", Fault::Slow(Duration::from_millis(100)));
    let callers: Vec<_> =
        (0..CALLERS).map(|number| stage.envoy.authority().issue(Leaf::client(&format!("flood {number}")))).collect();
    let before = stage.envoy.memory();
    let (asked, crowded) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let started = Instant::now();
    let until = started + Duration::from_secs(3);
    std::thread::scope(|scope| {
        for (caller, certificate) in callers.iter().enumerate() {
            for number in 0..CONNECTIONS {
                let (client, asked, crowded) = (stage.envoy.client(certificate), &asked, &crowded);
                scope.spawn(move || {
                    let mut connection = client.open().expect("a connection");
                    let mut sent = 0;
                    while Instant::now() < until {
                        sent += 1;
                        let token = format!("made-up-{caller}-{number}-{sent}");
                        match connection.send(&api(&token)).expect("an answer").status {
                            401 => asked.fetch_add(1, Ordering::Relaxed),
                            503 => crowded.fetch_add(1, Ordering::Relaxed),
                            status => panic!("{status}"),
                        };
                    }
                });
            }
        }
        let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
        let mut known = 0;
        while Instant::now() < until {
            for token in ["opaque", &jwt] {
                assert_eq!(connection.send(&api(token)).expect("an answer").status, 200, "what is known asks nobody");
                known += 1;
            }
        }
        println!("flood: {known} requests of good tokens meanwhile");
        assert!(known > 10, "{known}");
    });
    let (asked, crowded) = (asked.into_inner(), crowded.into_inner());
    let rate = (asked + crowded) as f64 / started.elapsed().as_secs_f64();
    let most = stage.server.most_at_once();
    println!(
        "flood: {rate:.0} made-up tokens a second, {asked} asked about, {crowded} refused, {most} at a time at the most"
    );
    assert!(most <= CALLOUTS, "{most} callouts at a time");
    assert_eq!(most, CALLOUTS, "the flood is one");
    assert!(asked > 0 && crowded > 0, "{asked} {crowded}");
    // Two good tokens, and each made-up one once.
    assert_eq!(stage.server.count("/introspect"), 2 + asked);
    assert!(stage.envoy.memory() < before + 32 * 1024, "memory stays flat");
    stage.server.mend();
    stage.server.know("another", stage.active());
    recovers("a flood", Instant::now(), || stage.as_bank(&api("another")).status == 200);
    assert!(wait_until(Duration::from_secs(5), || stage.envoy.stat("http.test.downstream_rq_active") == 0));
    assert_eq!(stage.as_bank(&Request::get("/healthz")).status, 200);
}
