//! What operators see: every counter and gauge as Prometheus reads it, by the shipped tags.

use std::collections::BTreeMap;
use std::time::Duration;

use harness::{Fault, Options, Request, top, wait_until};
use serde_json::json;

use super::stage::{Stage, api, document};

/// The tags of `envoy/complete.yaml`, as they stand there.
fn shipped_tags() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(top().join("envoy/complete.yaml")).expect("the example");
    let (mut tags, mut name) = (Vec::new(), None);
    for line in text.lines() {
        if let Some(found) = line.trim().strip_prefix("- tag_name: ") {
            name = Some(found.to_owned());
        } else if let Some(regex) = line.trim().strip_prefix("regex: ") {
            let regex = serde_json::from_str(regex).expect("a regular expression in quotes");
            tags.push((name.take().expect("a name before it"), regex));
        }
    }
    assert_eq!(tags.len(), 6);
    tags
}

fn observed(document: &serde_json::Value, concurrency: u32) -> Stage {
    Stage::with(document, |options| Options { stats_tags: shipped_tags(), drain_seconds: 1, concurrency, ..options })
}

#[test]
fn probe() {
    let stage = observed(&document(), 1).warm();
    let good = stage.token();
    stage.as_bank(&api(&good));
    stage.as_thief(&api(&good));
    stage.server.know("opaque", stage.active());
    stage.as_bank(&api("opaque"));
    stage.as_bank(&Request::get("/x"));
    stage.server.fail("/introspect", Fault::Answer { status: 401, content_type: "application/json", body: b"{}".to_vec() });
    stage.as_bank(&api("opaque2"));
    std::thread::sleep(Duration::from_secs(6));
    println!("{}", stage.envoy.admin("/stats/prometheus"));
    println!("{}", stage.envoy.admin("/stats?filter=holdfast"));
    println!("{}", stage.envoy.log());
}
