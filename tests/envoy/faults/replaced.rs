//! The configuration is replaced while requests run: each is judged by the old one or by the new one, and none is lost.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use harness::{Certificate, Request};
use serde_json::{Value, json};

use crate::stage::{Stage, api, document};

/// The same in all but this: one path needs a scope that nobody has.
fn closing(path: &str) -> Value {
    let mut document = document();
    let routes = document["routes"].as_array_mut().expect("routes");
    routes.insert(0, json!({"name": "closed", "path": path, "allow": [{"scopes": ["nobody.has"]}]}));
    document
}

#[test]
fn a_configuration_that_is_replaced_under_load_accepts_nothing_wrong_and_loses_no_request() {
    let documents = [closing("/api/a"), closing("/api/b")];
    let stage = Stage::set(&documents[0]).warm();
    let good = stage.token();
    let at = |path: &str| Request::get(path).bearer(&good);
    let stop = AtomicBool::new(false);
    let seen: Mutex<Vec<(&str, u16)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let load = |name: &'static str, who: &Certificate, request: Request| {
            let (client, stop, seen) = (stage.envoy.client(who), &stop, &seen);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = client.try_send(&request);
                    seen.lock().expect("the record").push((name, answer.map_or(0, |answer| answer.status)));
                }
            });
        };
        load("bank", &stage.bank, api(&good));
        load("thief", &stage.thief, api(&good));
        load("a", &stage.bank, at("/api/a"));
        load("b", &stage.bank, at("/api/b"));
        // One connection, over which all of them go on.
        let (client, request, flag, record) = (stage.envoy.client(&stage.bank), api(&good), &stop, &seen);
        scope.spawn(move || {
            let mut connection = client.open().expect("a connection");
            while !flag.load(Ordering::Relaxed) {
                let answer = connection.send(&request);
                record.lock().expect("the record").push(("kept", answer.as_ref().map_or(0, |answer| answer.status)));
                if answer.is_ok_and(|answer| answer.value("connection").as_deref() == Some("close")) {
                    connection = client.open().expect("a connection");
                }
            }
        });
        for round in 1..=10 {
            stage.envoy.configure(&documents[round % 2]).expect("a good configuration");
            let expected = if round % 2 == 0 { (403, 200) } else { (200, 403) };
            let got = (stage.as_bank(&at("/api/a")).status, stage.as_bank(&at("/api/b")).status);
            assert_eq!(got, expected, "after replacement {round}");
            seen.lock().expect("the record").extend([("a", got.0), ("b", got.1)]);
        }
        stop.store(true, Ordering::Relaxed);
    });
    let seen = seen.into_inner().expect("the record");
    let mut counts = std::collections::BTreeMap::new();
    for kind in &seen {
        *counts.entry(*kind).or_insert(0) += 1;
    }
    println!("replaced ten times under load: {counts:?}, Envoy has {} KiB", stage.envoy.memory());
    let kinds: Vec<_> = counts.into_keys().collect();
    assert_eq!(kinds, [("a", 200), ("a", 403), ("b", 200), ("b", 403), ("bank", 200), ("kept", 200), ("thief", 401)]);
    assert_eq!(stage.reached(), seen.iter().filter(|(_, status)| *status == 200).count());
}
