//! The module fails: under FAIL_RELOAD it is started anew and knows nothing, under FAIL_CLOSED nothing passes any more.

use std::time::{Duration, Instant};

use harness::{Directory, Fault, Options, Request, Trap, module, wait_until};
use serde_json::{Value, json};

use super::recovers;
use crate::stage::{Stage, api, document};

const FIELDS: u32 = 60;

/// The stage, and the folder of the module, which Envoy reads again for each configuration.
fn with_trap(trap: Trap, change: impl FnOnce(Options) -> Options) -> (Stage, Directory) {
    let shipped = std::fs::read(module()).expect("the module");
    let directory = Directory::new();
    let path = directory.write("holdfast.wasm", trap.set(&shipped));
    let code = Some(json!({"local": {"filename": path}}));
    (Stage::with(&document(), |options| change(Options { code, ..options })).warm(), directory)
}

/// A good request that the module does not survive.
fn fatal(token: &str) -> Request {
    (0..FIELDS).fold(api(token), |request, number| request.field(&format!("x-{number}"), "x"))
}

fn reloads(stage: &Stage) -> u64 {
    stage.envoy.stats("vm_reload_success").values().sum()
}

#[test]
fn what_is_shipped_survives_what_the_tests_trap_on() {
    let stage = Stage::set(&document()).warm();
    assert_eq!(stage.as_bank(&fatal(&stage.token())).status, 200);
    stage.server.know("opaque", padded(&stage));
    assert_eq!(stage.as_bank(&api("opaque")).status, 200);
    assert_eq!(stage.reached(), 2);
}

#[test]
fn a_module_that_fails_lets_nothing_through_and_is_started_anew() {
    let (stage, _directory) = with_trap(Trap::at_fields(FIELDS), |options| options);
    stage.server.know("opaque", stage.active());
    let good = stage.token();
    for round in 1..=3 {
        stage.assert_alive();
        assert_eq!(stage.as_bank(&fatal(&good)).status, 503);
        let failed = Instant::now();
        let mut refused = 0;
        recovers("a module that failed, under FAIL_RELOAD", failed, || {
            for request in [api(&good), api("opaque"), Request::get("/admin/x").bearer(&good)] {
                let status = stage.as_thief(&request).status;
                assert!(matches!(status, 401 | 503), "{status}");
            }
            let status = stage.as_bank(&api(&good)).status;
            refused += usize::from(status == 503);
            assert!(matches!(status, 200 | 503), "{status}");
            status == 200
        });
        assert_eq!(stage.reached(), 1, "nothing has passed but the last, after {refused} that were refused");
        assert_eq!(reloads(&stage), round);
        assert_eq!(stage.as_bank(&api("opaque")).status, 200, "it knows nothing and asks");
        assert_eq!(stage.reached(), 1);
    }
    assert_eq!(stage.server.count("/introspect"), 3);
    assert_eq!(stage.server.count("/jwks"), 2 + 3, "and so it does for keys");
}

#[test]
fn a_request_that_waits_when_the_module_fails_does_not_pass() {
    let (stage, _directory) = with_trap(Trap::at_fields(FIELDS), with_short_waits);
    stage.server.know("opaque", stage.active());
    stage.server.fail("/introspect", Fault::Held);
    let mut waiting = stage.envoy.client(&stage.bank).open().expect("a connection");
    waiting.begin(&api("opaque")).expect("a request");
    assert!(wait_until(Duration::from_secs(5), || stage.server.count("/introspect") == 1));
    assert_eq!(stage.as_bank(&fatal(&stage.token())).status, 503);
    stage.server.mend();
    let status = waiting.read().map(|answer| answer.status);
    assert!(!matches!(status, Ok(200)), "{status:?}");
    println!("a request that waited when the module failed: {status:?}");
    assert_eq!(stage.reached(), 0);
    recovers("a module that failed while a request waited", Instant::now(), || {
        stage.as_bank(&api("opaque")).status == 200
    });
}

#[test]
fn a_module_that_fails_on_an_answer_lets_nobody_through_who_waited_for_it() {
    let (stage, _directory) = with_trap(Trap::at_answer(50_000), with_short_waits);
    let good = stage.token();
    stage.server.know("opaque", padded(&stage));
    let failed = Instant::now();
    let waiting = stage.as_bank(&api("opaque"));
    assert!(matches!(waiting.status, 408 | 503 | 504), "{}", waiting.status);
    println!("a request whose answer the module failed on: {} after {:?}", waiting.status, failed.elapsed());
    assert_eq!(stage.reached(), 0);
    recovers("a module that failed on an answer", Instant::now(), || stage.as_bank(&api(&good)).status == 200);
    assert_eq!(stage.as_thief(&api(&good)).status, 401);
    assert_eq!(stage.reached(), 1);
}

#[test]
fn under_fail_closed_nothing_passes_until_the_configuration_is_replaced() {
    let (stage, _directory) =
        with_trap(Trap::at_fields(FIELDS), |options| Options { failure_policy: "FAIL_CLOSED", ..options });
    let good = stage.token();
    stage.assert_alive();
    assert_eq!(stage.as_bank(&fatal(&good)).status, 503);
    let failed = Instant::now();
    while failed.elapsed() < Duration::from_secs(3) {
        for status in [stage.as_bank(&api(&good)).status, stage.as_thief(&api(&good)).status] {
            assert_eq!(status, 503);
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    assert_eq!(stage.reached(), 0);
    let mut other = document();
    other["challenge"] = json!({"realm": "new"});
    stage.envoy.configure(&other).expect("a good configuration");
    recovers("a module that failed, under FAIL_CLOSED, by a new configuration", Instant::now(), || {
        stage.as_bank(&api(&good)).status == 200
    });
    assert_eq!(stage.as_thief(&api(&good)).status, 401);
}

/// A request that waits is given up by Envoy after two seconds.
fn with_short_waits(options: Options) -> Options {
    let route = json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream", "idle_timeout": "2s"}});
    Options { routes: Some(json!([route])), ..options }
}

/// What introspection says of a good token, in many words.
fn padded(stage: &Stage) -> Value {
    let mut said = stage.active();
    said["padding"] = json!("x".repeat(50_000));
    said
}
