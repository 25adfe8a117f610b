//! The module, its VM and its configuration.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use harness::{
    Algorithm, Authority, AuthorizationServer, Envoy, Fault, Leaf, Options, Proof, Request, SigningKey, Upstream,
    exports, imports, module, top,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{bad, bad_token, good, run};
use crate::stage::{Stage, api, claims, document, secret};

fn hex(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}

/// What a request to a public route gets, and how many reached the service, where Envoy fetches the module so.
fn fetched(fault: Fault, sha256: &str) -> (Result<u16, String>, usize) {
    let modules = AuthorizationServer::start(&[]);
    modules.fail("/holdfast.wasm", fault);
    let upstream = Upstream::start();
    let uri = format!("http://{}/holdfast.wasm", modules.address());
    let code = json!({"remote": {
        "http_uri": {"uri": uri, "cluster": "modules", "timeout": "2s"}, "sha256": sha256,
        "retry_policy": {"num_retries": 1, "retry_back_off": {"base_interval": "0.05s", "max_interval": "0.1s"}}
    }});
    let options = Options { code: Some(code), ..Options::new(&document(), upstream.address()) }
        .cluster("modules", modules.address())
        .cluster("login", modules.address())
        .variable("API_SECRET", secret());
    let status = Envoy::try_start(Authority::new("test CA"), options).map(|envoy| {
        let certificate = envoy.authority().issue(Leaf::client("bank"));
        envoy.client(&certificate).try_send(&Request::get("/healthz")).map_or(0, |answer| answer.status)
    });
    (status, upstream.take().len())
}

/// What Istio does with an image, Envoy does with a module by URL: nothing passes before it is there and is the pinned one.
#[test]
fn a_module_that_is_not_there_or_not_the_pinned_one_lets_nothing_pass() {
    let octets = std::fs::read(module()).expect("the module");
    let serves = |body: &[u8]| Fault::Answer { status: 200, content_type: "application/wasm", body: body.to_vec() };
    let pinned = hex(&octets);
    let mut tampered = octets.clone();
    *tampered.last_mut().expect("an octet") ^= 1;
    let (status, reached) = fetched(serves(&octets), &pinned);
    assert_eq!((status, reached), (Ok(200), 1), "WASM-20: the good twin");
    for (id, fault, pin) in [
        ("WASM-04: not found", Fault::Answer { status: 404, content_type: "x", body: Vec::new() }, &pinned),
        ("WASM-04: the server closes", Fault::Close, &pinned),
        ("WASM-20: tampered with", serves(&tampered), &pinned),
        ("WASM-20: another pin", serves(&octets), &hex(b"another")),
        ("WASM-20: no module at all, pinned", serves(b"\0asm"), &hex(b"\0asm")),
    ] {
        let (status, reached) = fetched(fault, pin);
        assert!(!matches!(status, Ok(200..=299)), "{id}: {status:?}");
        assert_eq!(reached, 0, "{id}");
    }
}

#[test]
fn memory_is_bounded_whatever_is_presented() {
    let mut document = document();
    document["limits"] = json!({"tokens": 200, "token_bytes": "2MiB"});
    document["issuers"][0]["introspection"]["cache"] = json!("5m");
    let stage = Stage::set(&document).warm();
    let mut said = stage.active();
    said["padding"] = json!(vec!["p".repeat(100); 200]);
    let body = said.to_string().into_bytes();
    stage.server.fail("/introspect", Fault::Answer { status: 200, content_type: "application/json", body });
    let claims = stage.claims();
    // Opaque tokens of 1.9 KB with an answer of 20 KB each, and unknown keys; unbounded, each round would leave 100 MB.
    let round = |round: usize| {
        let (client, key) = (stage.envoy.client(&stage.bank), &stage.key);
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (client, claims) = (client.clone(), &claims);
                scope.spawn(move || {
                    let mut connection = client.open().expect("a connection");
                    for number in 0..250 {
                        let opaque = format!("{}{round}-{thread}-{number}", "t".repeat(1_900));
                        assert_eq!(connection.send(&api(&opaque)).expect("an answer").status, 200, "WASM-05");
                        let kid = format!("{}{round}-{thread}-{number}", "k".repeat(200));
                        let unknown = key.mint(json!({"kid": kid, "jti": kid}), claims);
                        assert_eq!(connection.send(&api(&unknown)).expect("an answer").status, 401, "WASM-05");
                    }
                });
            }
        });
        stage.upstream.take();
        stage.envoy.memory()
    };
    let sizes: Vec<u64> = (0..3).map(round).collect();
    let growth = sizes[2].saturating_sub(sizes[0]);
    assert!(growth < 24 << 10, "WASM-05: memory grows by {growth} KiB: {sizes:?}");
    let held = stage.envoy.stat("wasmcustom.holdfast.remembered_tokens");
    assert!(held <= 250, "WASM-05: {held} tokens are remembered");
    stage.server.mend();
    stage.assert_alive();
    assert!(!stage.envoy.log().contains("panicked"));
}

#[test]
fn nesting_and_length_cost_little() {
    let stage = Stage::set(&document()).warm();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}).to_string();
    let sign = |header: &str, payload: &str| harness::sign_octets(&stage.key, header.as_bytes(), payload.as_bytes());
    let body = stage.claims().to_string();
    let deep = |open: &str, close: &str, count: usize| format!("{}1{}", open.repeat(count), close.repeat(count));
    let member = |value: &str| sign(&header, &format!(r#"{{"x":{value},{}"#, &body[1..]));
    let path = |path: String| Request::get(&path).bearer(&stage.token());
    let malformed = "token.malformed";
    let started = Instant::now();
    run(
        &stage,
        vec![
            bad_token("WASM-07", "lists in lists", &member(&deep("[", "]", 2_500)), malformed),
            bad_token("WASM-07", "maps in maps", &member(&deep(r#"{"a":"#, "}", 900)), malformed),
            bad_token("WASM-07", "lists without an end", &sign(&header, &"[".repeat(5_500)), malformed),
            bad_token(
                "WASM-07",
                "a deep header",
                &sign(&format!(r#"{{"x":{},{}"#, deep("[", "]", 900), &header[1..]), &body),
                malformed,
            ),
            bad_token("WASM-07", "17 deep", &member(&deep("[", "]", 16)), malformed),
            good("WASM-07", "16 deep", api(&member(&deep("[", "]", 15)))),
            bad("WASM-06", "dot segments", path(format!("/{}x", "a/../".repeat(10_000))), 400, "path.ambiguous"),
            bad("WASM-06", "escapes", path(format!("/{}", "%61".repeat(16_000))), 403, "policy.no_route"),
            bad("WASM-06", "segments", path(format!("/{}", "a/".repeat(25_000))), 403, "policy.no_route"),
            bad("WASM-06", "a query", path(format!("/nowhere?{}", "a&".repeat(25_000))), 403, "policy.no_route"),
            bad_token("WASM-06", "escapes in a text", &member(&format!(r#""{}""#, r"\ud83d".repeat(900))), malformed),
            bad_token("WASM-06", "a long number", &member(&"9".repeat(5_500)), malformed),
            good("WASM-06", "many small claims", api(&member(&format!("[{}1]", "1,".repeat(2_000))))),
        ],
    );
    for (at, body) in ["[".repeat(60_000), deep(r#"{"active":"#, "}", 6_000), format!("[{}1]", "1,".repeat(30_000))]
        .into_iter()
        .enumerate()
    {
        stage.server.fail(
            "/introspect",
            Fault::Answer { status: 200, content_type: "application/json", body: body.into_bytes() },
        );
        assert_eq!(stage.as_bank(&api(&format!("opaque-{at}"))).status, 503, "WASM-07: an answer");
        stage.assert_alive();
    }
    assert_eq!(stage.reached(), 0);
    assert!(started.elapsed() < Duration::from_secs(30), "WASM-06: a guard against work without end");
}

/// A document that differs at one place.
fn changed(at: &str, value: Value) -> String {
    let mut document = document();
    match document.pointer_mut(at) {
        Some(place) => *place = value,
        None => {
            let (parent, name) = at.rsplit_once('/').expect("a pointer");
            document.pointer_mut(parent).expect("a place")[name] = value;
        }
    }
    document.to_string()
}

#[test]
fn configurations_that_are_refused_leave_the_good_one_serving() {
    let stage = Stage::set(&document()).warm();
    let good = document().to_string();
    let padded = |octets: usize| format!("{good}{}", " ".repeat(octets));
    let nested = format!("{}{}", r#"{"a":"#.repeat(100_000), "}".repeat(100_000));
    let mut without_issuers = document();
    without_issuers.as_object_mut().expect("a map").remove("issuers");
    let table = [
        ("empty", String::new()),
        ("blank", " ".to_owned()),
        ("an empty map", "{}".to_owned()),
        ("a list", "[]".to_owned()),
        ("no JSON", "routes: []".to_owned()),
        ("cut off", good[..good.len() - 1].to_owned()),
        ("an unknown field", changed("/x", json!(1))),
        ("an unknown field below", changed("/issuers/0/jwks/url", json!("/jwks"))),
        ("a wrong type", changed("/routes", json!({}))),
        ("a wrong type below", changed("/issuers/0/audiences", json!("x"))),
        ("a text for a number", changed("/limits", json!({"tokens": "many"}))),
        ("null", changed("/issuers/0/name", json!(null))),
        ("a key twice", good.replacen('{', r#"{"routes":[],"#, 1)),
        ("a key twice, escaped", good.replacen('{', r#"{"\u0072outes":[],"#, 1)),
        ("10 MiB", good.replacen("bank.example", &"x".repeat(10 << 20), 1)),
        ("10 MiB of nesting", nested),
        ("no issuer", without_issuers.to_string()),
        ("an empty list of issuers", changed("/issuers", json!([]))),
        ("no algorithm", changed("/issuers/0/algorithms", json!([]))),
        ("none", changed("/issuers/0/algorithms", json!(["none"]))),
        ("None", changed("/issuers/0/algorithms", json!(["ES256", "None"]))),
        ("HS256", changed("/issuers/0/algorithms", json!(["HS256"]))),
        ("HS512 among others", changed("/issuers/0/algorithms", json!(["ES256", "HS512"]))),
        ("keys at a URL", changed("/issuers/0/jwks/cluster", json!("http://login.bank.example/jwks"))),
        ("keys at an https URL", changed("/issuers/0/jwks/path", json!("https://login.bank.example/jwks"))),
        ("a negative time", changed("/issuers/0/introspection/cache", json!("-1s"))),
        ("a negative number", changed("/limits", json!({"tokens": -1}))),
        ("a time without a unit", changed("/issuers/0/jwks/refresh", json!(300))),
        ("a time that is too long", changed("/issuers/0/introspection/cache", json!("24h"))),
        ("a time that overflows", changed("/issuers/0/leeway", json!("99999999999999999999s"))),
    ];
    let token = stage.token();
    for (name, document) in table {
        let plugin = harness::Configuration { name: "holdfast".into(), document };
        let said = stage.envoy.push(vec![plugin]).expect_err(name);
        assert!(!said.contains("panicked"), "WASM-08 {name}: {said}");
        assert_eq!(stage.as_bank(&api(&token)).status, 200, "WASM-08 {name}: the good one serves");
        assert_eq!(stage.as_thief(&api(&token)).status, 401, "WASM-08 {name}: and refuses");
        stage.upstream.take();
    }
    let padded = harness::Configuration { name: "holdfast".into(), document: padded(1 << 19) };
    stage.envoy.push(vec![padded]).expect("WASM-08: the good twin, with half a mebibyte of blanks");
    stage.assert_alive();
}

#[test]
fn a_configuration_that_changes_under_load_accepts_nothing_wrong() {
    let stage = Stage::with(&document(), |options| Options { drain_seconds: 1, ..options }).warm();
    let (good, stolen) = (api(&stage.token()), api(&stage.key.mint(json!({}), &claims(&stage.thief))));
    let stop = AtomicBool::new(false);
    let seen: Vec<(u16, u16)> = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut seen = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                // A connection that comes while listeners change places may be cut off; what is answered counts.
                let status =
                    |request| stage.envoy.client(&stage.bank).try_send(request).map_or(0, |answer| answer.status);
                seen.push((status(&good), status(&stolen)));
            }
            seen
        });
        let mut sizes = Vec::new();
        for round in 0..8 {
            let mut next = document();
            next["challenge"] = json!({"realm": format!("round-{round}")});
            stage.envoy.configure(&next).expect("a good configuration");
            sizes.push(stage.envoy.memory());
            next["routes"] = json!([]);
            assert!(stage.envoy.configure(&next).is_err(), "WASM-09");
        }
        stop.store(true, Ordering::Relaxed);
        let (first, last) = (sizes[1], sizes[7]);
        assert!(last < first + (96 << 10), "WASM-09: memory grows with each configuration: {sizes:?} KiB");
        load.join().expect("the load")
    });
    assert!(
        seen.iter().all(|(good, stolen)| matches!(good, 0 | 200 | 503) && matches!(stolen, 0 | 401 | 503)),
        "WASM-09"
    );
    let passed = seen.iter().filter(|(good, _)| *good == 200).count();
    assert_eq!(stage.reached(), passed, "WASM-09: only what was permitted reached the service");
    assert!(passed > 0, "WASM-09: {seen:?}");
    stage.assert_alive();
    assert!(!stage.envoy.log().contains("panicked"));
}

/// WASM-17: the SDK's own calls panic at a status that they do not expect, so none of them is used but the one whose answer
/// the SDK has to know of.
#[test]
fn the_sdk_is_asked_for_nothing_that_can_panic() {
    let manifest = std::fs::read_to_string(top().join("Cargo.toml")).expect("the manifest");
    assert!(!manifest.lines().any(|line| line.starts_with("proxy-wasm")), "WASM-17: there is none");
    for room in ["src/host", "src/host/abi"] {
        let files = std::fs::read_dir(top().join(room)).expect("the room").map(|entry| entry.expect("a file").path());
        for file in files.filter(|path| path.is_file()) {
            let text = std::fs::read_to_string(&file).expect("a source");
            assert!(!text.contains("proxy_wasm::"), "WASM-17: {}", file.display());
        }
    }
}

/// WASM-19: the filter decides on what the caller sent; what Envoy makes of it afterwards is its routes' to say.
#[test]
fn a_path_that_a_route_rewrites_was_decided_on_as_it_came() {
    let routes = json!([
        {"match": {"prefix": "/api/old"}, "route": {"cluster": "upstream", "prefix_rewrite": "/admin"}},
        {"match": {"prefix": "/admin/old"}, "route": {"cluster": "upstream", "prefix_rewrite": "/api"}},
        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    ]);
    // The field that the filter writes makes Envoy choose the route again: to the same one, for the path has not changed.
    let mut telling = document();
    telling["forward"] = json!({"token": "strip", "headers": {"x-subject": "subject"}});
    let stage = Stage::with(&telling, |options| Options { routes: Some(routes), ..options }).warm();
    let get = |path: &str| stage.as_bank(&Request::get(path).bearer(&stage.token()).field("x-subject", "root")).status;
    assert_eq!((get("/api/old/x"), get("/admin/old/x")), (200, 403), "WASM-19");
    let received = stage.upstream.take();
    assert_eq!(received.len(), 1, "WASM-19");
    assert_eq!((received[0].path.as_str(), received[0].values("x-subject")), ("/admin/x", vec!["ann".to_owned()]));
    // Where the policy is that of the Envoy route, no field may be written, for another route could be chosen then.
    let mut by_route = telling.clone();
    by_route["routes"][3] = json!({"name": "api", "envoy_route": "api", "allow": "authenticated"});
    let said = stage.envoy.configure(&by_route).expect_err("WASM-19");
    assert!(said.contains("configuration refused: "), "WASM-19: {said}");
}

/// A document under which tokens are bound to keys, with room for one slot of proofs.
fn for_proofs() -> Value {
    let mut document = document();
    document["binding"] = json!("dpop");
    document["dpop"] = json!({"origins": ["https://api.bank.example"]});
    document["limits"] = json!({"proofs": 256});
    document
}

fn proven(stage: &Stage, key: &SigningKey) -> Request {
    let token = stage.token_with(json!({"cnf": {"jkt": key.thumbprint()}}));
    let proof = Proof::new(key, "GET", "https://api.bank.example/api/x").with(&token).sign(key);
    Request::get("/api/x").field("authorization", format!("DPoP {token}")).field("dpop", proof)
}

/// All write to one slot at once: each proof passes once and is never forgotten, and everybody is answered.
#[test]
fn workers_that_race_for_a_slot_lose_no_proof() {
    const RACERS: usize = 8;
    let stage = Stage::with(&for_proofs(), |options| Options { concurrency: 4, ..options }).warm();
    let keys: Vec<SigningKey> = (0..20).map(|_| SigningKey::new(Algorithm::Es256, "wallet")).collect();
    let requests: Vec<Request> = keys.iter().flat_map(|key| (0..10).map(|_| proven(&stage, key))).collect();
    let send_all = |first: usize| -> Vec<u16> {
        let mut connection = stage.envoy.anonymous().open().expect("a connection");
        let mut statuses = vec![0; requests.len()];
        for at in 0..requests.len() {
            // Pairs of racers send the same at the same time, in another order than the other pairs.
            let at = (at + first / 2 * 50) % requests.len();
            statuses[at] = connection.send(&requests[at]).expect("an answer").status;
        }
        statuses
    };
    let raced: Vec<Vec<u16>> = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..RACERS).map(|first| scope.spawn(move || send_all(first))).collect();
        racers.into_iter().map(|racer| racer.join().expect("statuses")).collect()
    });
    let passed = |at: usize| raced.iter().filter(|statuses| statuses[at] == 200).count();
    let more: Vec<usize> = (0..requests.len()).filter(|at| passed(*at) > 1).collect();
    assert!(more.is_empty(), "WASM-11: passed more than once: {more:?}");
    assert!(raced.iter().flatten().all(|status| matches!(status, 200 | 401 | 503)), "WASM-11: {raced:?}");
    let again = send_all(0);
    for (at, status) in again.into_iter().enumerate() {
        let expected = if passed(at) == 1 { 401 } else { 200 };
        assert_eq!(status, expected, "WASM-11: {at}, which had passed {} times", passed(at));
    }
    assert_eq!(stage.reached(), requests.len(), "WASM-11");
    assert!(!stage.envoy.log().contains("panicked"));
}

/// WASM-13: no nonce holds anything random, and one that repeats is of no use to anybody; but tables are hashed, and slots of proofs
/// chosen, by what the host says is random.
#[test]
fn without_a_source_of_chance_nothing_passes() {
    let octets = std::fs::read(module()).expect("the module");
    let all = [imports(&octets), exports(&octets)].concat();
    assert!(all.iter().any(|name| name == "random_get"), "WASM-13: the module asks for it");
    let (key, upstream) = (SigningKey::new(Algorithm::Es256, "k1"), Upstream::start());
    let server = AuthorizationServer::start(&[&key]);
    for (taken, expected, reached) in [("random_get", 503, 0), ("nothing", 200, 2)] {
        let allowed = all.iter().filter(|name| *name != taken).cloned().collect();
        let options = Options { capabilities: Some(allowed), ..Options::new(&document(), upstream.address()) };
        let options = options.cluster("login", server.address()).variable("API_SECRET", secret());
        let envoy = Envoy::start(Authority::new("test CA"), options);
        let own = envoy.authority().issue(Leaf::client("bank"));
        let token = key.mint(json!({}), &claims(&own));
        for path in ["/healthz", "/api/x"] {
            let status = envoy.client(&own).send(&Request::get(path).bearer(&token)).status;
            assert_eq!(status, expected, "WASM-13: {path} without {taken}: {}", envoy.log());
        }
        assert_eq!(upstream.take().len(), reached, "WASM-13: without {taken}");
    }
}
