//! A configuration, JSON or the octets of a `google.protobuf.Struct`: what loads, loads in every spelling, and its secret stands nowhere.
#![no_main]

#[path = "../../tests/harness/src/bin/fuzz-seeds/structure.rs"]
mod structure;

use std::rc::Rc;

use holdfast::binding::replay::Unshared;
use holdfast::config::{self, Compiled};
use holdfast::facts::peer::Peer;
use holdfast::facts::{Request, write_pairs};
use holdfast::flow::Enforcer;
use holdfast::jose::verifier::InRust;
use holdfast::time::UnixTime;
use libfuzzer_sys::fuzz_target;

const SECRET: &str = "a secret that no message may tell";

fn load(document: &[u8]) -> Result<Compiled, String> {
    let loaded = config::load(document, &|name| (name != "UNSET").then(|| SECRET.to_owned()));
    loaded.map_err(|mistakes| mistakes.to_string())
}

fn journey(compiled: Compiled) {
    let mut enforcer = Enforcer::new(compiled.settings, Rc::new(InRust), Rc::new(Unshared));
    let now = UnixTime::new(1_800_000_000);
    for (method, path) in [("GET", "/"), ("POST", "/a/b"), ("OPTIONS", "/%zz")] {
        let pairs =
            [(":method", method), (":path", path), (":authority", "api.example"), ("authorization", "Bearer a.b.c")];
        let request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).expect("pairs");
        let _ = enforcer.begin(request, now);
    }
    let _ = enforcer.due(now);
}

fuzz_target!(|octets: &[u8]| {
    let told =
        |text: &str| assert!(!text.contains(SECRET) && text.lines().all(|line| !line.contains(char::is_control)));
    let compiled = match load(octets) {
        Ok(compiled) => compiled,
        Err(mistakes) => return told(&mistakes),
    };
    compiled.warnings.iter().for_each(|warning| told(warning));
    if let Ok(json) = serde_json::from_slice::<serde_json::Value>(octets) {
        // Members in the order of their names: order means nothing.
        for spelling in [json.to_string().into_bytes(), format!("{json:#}").into_bytes(), structure::encode(&json)] {
            match load(&spelling) {
                Ok(other) => assert_eq!(other.settings.issuers.len(), compiled.settings.issuers.len()),
                Err(mistakes) => panic!("it loads no longer: {mistakes}"),
            }
        }
    }
    journey(compiled);
});
