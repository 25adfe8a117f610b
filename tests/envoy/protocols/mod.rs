//! What is spoken with an authorization server beside RFC 7662, through a real Envoy: good answers, and bad ones of every kind.

mod authlete;
mod phantom;
mod rfc9701;
mod split;

use std::time::{Duration, Instant};

use harness::{Fault, Request};
use serde_json::{Value, json};

use super::stage::{Stage, api, document, secret};

const ORIGIN: &str = "https://api.bank.example";

/// The policy of most tests, with this protocol at this path.
fn speaking(protocol: &str, path: &str) -> Value {
    let mut document = document();
    let introspection = &mut document["issuers"][0]["introspection"];
    introspection["protocol"] = json!(protocol);
    introspection["path"] = json!(path);
    introspection["client_secret"] = json!({"env": "GATEWAY_SECRET"});
    document["dpop"] = json!({"origins": [ORIGIN], "replay": "worker"});
    let routes = document["routes"].as_array_mut().expect("routes");
    routes.push(json!({"name": "either", "path": "/either/**", "binding": "either", "allow": "authenticated"}));
    routes.push(json!({"name": "strip", "path": "/strip/**", "forward": {"token": "strip"}, "allow": "authenticated"}));
    document
}

/// A secret without signs that a form escapes.
fn gateway_secret() -> String {
    harness::base64url(&harness::sha256(secret().as_bytes()))
}

fn set(document: &Value) -> Stage {
    Stage::with(document, |options| options.variable("GATEWAY_SECRET", &gateway_secret()))
}

/// What reached the service: its credentials and proofs.
fn credentials(stage: &Stage) -> Vec<(Vec<String>, Vec<String>)> {
    stage.upstream.take().iter().map(|received| (received.values("authorization"), received.values("dpop"))).collect()
}

fn says(status: u16, content_type: &'static str, body: impl AsRef<[u8]>) -> Fault {
    Fault::Answer { status, content_type, body: body.as_ref().to_vec() }
}

/// Bad answers of this media type and of every protocol, `good` being a good one.
fn bad_answers(content_type: &'static str, good: &str) -> Vec<(&'static str, Fault, &'static str)> {
    let unusable = "server.unusable_answer";
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n", good.len() + 1);
    vec![
        ("10 MiB", says(200, content_type, vec![b'a'; 10 << 20]), unusable),
        ("just too long", says(200, content_type, format!("{good}{}", " ".repeat(64 * 1024))), unusable),
        ("cut off", Fault::Octets([head.as_bytes(), good.as_bytes()].concat()), "server.introspection"),
        ("half of it", says(200, content_type, &good[..good.len() / 2]), unusable),
        ("nothing", says(200, content_type, ""), unusable),
        ("HTML", says(200, "text/html", "<html><body>Log in</body></html>"), unusable),
        ("HTML in disguise", says(200, content_type, "<html><body>Log in</body></html>"), unusable),
        ("not UTF-8", says(200, content_type, b"\xff\xfe\xfd"), unusable),
        ("a redirect", says(302, content_type, good), unusable),
        ("400", says(400, content_type, good), unusable),
        ("401", says(401, content_type, good), "server.our_credentials"),
        ("500", says(500, content_type, good), "server.introspection"),
        ("a trickle", Fault::Trickle, "server.introspection"),
        ("1 GiB", Fault::Flood, "server.introspection"),
        ("no word", Fault::Close, "server.introspection"),
    ]
}

/// Each bad answer gets 503 in time and reaches nobody, and the next, good one about the same token counts.
fn each_is_unusable(
    stage: &Stage,
    faults: Vec<(&'static str, Fault, &'static str)>,
    issue: impl Fn() -> String,
    place: impl Fn(&str) -> String,
) {
    let mut lines = stage.envoy.settled_access_log().len();
    let before = stage.envoy.memory();
    for (name, fault, reason) in faults {
        let token = issue();
        stage.server.fail(&place(&token), fault);
        let started = Instant::now();
        let status = stage.as_bank(&api(&token)).status;
        lines += 1;
        assert!(started.elapsed() < Duration::from_secs(4), "{name} took {:?}", started.elapsed());
        assert_eq!((status, stage.reason(lines).as_str(), stage.reached()), (503, reason, 0), "{name}");
        stage.server.mend();
        lines += 1;
        let again = (stage.as_bank(&api(&token)).status, stage.reached());
        assert_eq!(again, (200, 1), "{name}: nothing is remembered of it, and all is alive: {}", stage.envoy.log());
    }
    let after = stage.envoy.memory();
    assert!(after < before + 64 * 1024, "memory stays flat: {before} KiB, then {after}");
}

fn dpop(path: &str, token: &str, proof: &str) -> Request {
    Request::get(path).field("authorization", format!("DPoP {token}")).field("dpop", proof)
}
