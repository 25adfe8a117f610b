//! What operators see: every counter and gauge as Prometheus reads it by the shipped tags, and whether the shipped dashboard and
//! alerts ask for what is there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use harness::{Algorithm, Fault, Options, Proof, Request, SigningKey, Tls, top, wait_until};
use holdfast::callout::Question;
use holdfast::denial::REASONS;
use holdfast::effect::metric;
use serde_json::{Value, json};

use super::promql::{Expression, Sample, Selector, scrape};
use super::stage::{Stage, api, document};

const PERMITS: [&str; 7] = [
    "public",
    "preflight",
    "granted",
    "granted.unbound",
    "granted.stale",
    "granted.unremembered",
    "granted.unchecked_validity",
];

const PATIENCE: Duration = Duration::from_secs(30);

/// The tags of `envoy/complete.yaml`, as they stand there.
fn shipped_tags() -> Vec<(String, String)> {
    let shipped = yaml(&read("envoy/complete.yaml"));
    let tags = shipped["stats_config"]["stats_tags"].as_array().expect("tags");
    tags.iter().map(|tag| (text(&tag["tag_name"]), text(&tag["regex"]))).collect()
}

fn yaml(text: &str) -> Value {
    harness::yaml(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text")).to_owned()
}

fn read(file: &str) -> String {
    std::fs::read_to_string(top().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

fn observed(document: &Value, change: impl FnOnce(Options) -> Options) -> Stage {
    Stage::with(document, |options| change(Options { stats_tags: shipped_tags(), drain_seconds: 1, ..options }))
}

fn samples(stage: &Stage) -> Vec<Sample> {
    scrape(&stage.envoy.admin("/stats/prometheus"))
}

/// All series of a metric: the values of these labels, and its own.
fn series(stage: &Stage, name: &str, labels: &[&str]) -> BTreeMap<String, u64> {
    let all = samples(stage).into_iter().filter(|sample| sample.name == name);
    all.map(|sample| {
        assert_eq!(sample.labels.len(), labels.len(), "{sample:?}");
        let values = labels.iter().map(|label| sample.labels.get(*label).map_or("", String::as_str));
        (values.collect::<Vec<_>>().join(" "), sample.value as u64)
    })
    .collect()
}

/// A gauge without labels, or the one of the bank.
fn gauge(stage: &Stage, name: &str) -> u64 {
    stage.envoy.stat(&format!("wasmcustom.holdfast.{name}"))
}

fn assert_becomes(stage: &Stage, name: &str, value: u64) {
    let done = wait_until(PATIENCE, || gauge(stage, name) == value);
    assert!(done, "{name} is {}, not {value}: {}", gauge(stage, name), stage.envoy.log());
}

fn answer(status: u16, body: &str) -> Fault {
    Fault::Answer { status, content_type: "application/json", body: body.into() }
}

#[test]
fn every_decision_is_counted_by_route_and_reason() {
    let mut document = document();
    document["routes"][3]["name"] = json!("api.v2-all");
    let stage = observed(&document, |options| options).warm();
    let good = stage.token();
    let unbound = Request::get("/unbound").bearer(&stage.token_with(json!({"cnf": null})));
    for _ in 0..3 {
        stage.as_thief(&api(&good));
        stage.as_bank(&Request::get("/nowhere"));
    }
    for _ in 0..2 {
        stage.as_bank(&api(&good));
        stage.as_thief(&unbound);
    }
    stage.anonymously(&api(&good));
    stage.anonymously(&Request::get("/healthz"));
    stage.as_bank(&Request::get("/admin/x").bearer(&good));
    stage.as_bank(&Request::get("/admin/x"));
    stage.as_bank(&Request::get("/api/x"));
    stage.as_bank(&Request::get("/unbound").bearer(&good));
    stage.as_bank(&Request::get("/api/%2e%2e/x"));
    let expected = [
        ("NONE deny path_ambiguous", 1),
        ("NONE deny policy_no_route", 3),
        ("admin deny credential_missing", 1),
        ("admin deny token_scope", 1),
        ("api_v2-all deny binding_no_certificate", 1),
        ("api_v2-all deny binding_other_certificate", 3),
        ("api_v2-all deny credential_missing", 1),
        ("api_v2-all permit granted", 2),
        ("health permit public", 1),
        ("unbound permit granted", 1),
        ("unbound permit granted_unbound", 2),
    ];
    let expected: BTreeMap<String, u64> = expected.map(|(labels, count)| (labels.to_owned(), count)).into();
    assert_eq!(series(&stage, "holdfast_requests", &["route", "decision", "reason"]), expected);
}

#[test]
fn a_callout_is_counted_by_what_it_came_to_and_timed() {
    let mut document = document();
    document["issuers"][0].as_object_mut().expect("an issuer").remove("name");
    let stage = observed(&document, |options| options).warm();
    stage.server.know("opaque", stage.active());
    stage.as_bank(&api("opaque"));
    stage.as_bank(&api("opaque"));
    stage.as_bank(&api("inactive"));
    let faults = [
        answer(401, "{}"),
        answer(404, "{}"),
        answer(500, "{}"),
        answer(200, "rubbish"),
        answer(200, &" ".repeat(64 * 1024 + 1)),
        Fault::Close,
        Fault::Slow(Duration::from_secs(2)),
    ];
    for (number, fault) in faults.into_iter().enumerate() {
        stage.server.fail("/introspect", fault);
        assert_eq!(stage.as_bank(&api(&format!("opaque-{number}"))).status, 503);
    }
    let issuer = "https___login_bank_example";
    let expected = [
        ("introspection answered", 2),
        ("introspection other_status", 1),
        ("introspection our_credentials", 1),
        ("introspection too_large", 1),
        // Envoy itself says so of one that goes away, and of one that is too slow.
        ("introspection unavailable", 3),
        ("introspection unusable", 1),
        ("keys answered", 2),
    ];
    let expected: BTreeMap<String, u64> = expected.map(|(labels, count)| (format!("{issuer} {labels}"), count)).into();
    assert_eq!(series(&stage, "holdfast_callouts", &["issuer", "question", "outcome"]), expected);
    // Histograms are merged every five seconds.
    let count = || series(&stage, "holdfast_callout_milliseconds_count", &["issuer", "question"]);
    let expected = BTreeMap::from([(format!("{issuer} introspection"), 9), (format!("{issuer} keys"), 2)]);
    assert!(wait_until(PATIENCE, || count() == expected), "{:?}", count());
    let sum = series(&stage, "holdfast_callout_milliseconds_sum", &["issuer", "question"]);
    let slow = sum.get(&format!("{issuer} introspection")).copied().unwrap_or(0);
    assert!(slow >= 450, "one of them took half a second: {slow} ms");
}

#[test]
fn a_callout_that_the_proxy_does_not_send_is_counted_and_not_timed() {
    let mut document = document();
    document["issuers"][0]["introspection"]["cluster"] = json!("nowhere");
    let stage = observed(&document, |options| options).warm();
    assert_eq!(stage.as_bank(&api("opaque")).status, 503);
    let callouts = series(&stage, "holdfast_callouts", &["issuer", "question", "outcome"]);
    assert_eq!(callouts.get("bank introspection not_sent"), Some(&1), "{callouts:?}");
    let timed = stage.envoy.admin("/stats?filter=introspection.callout_milliseconds");
    assert_eq!(timed.trim(), "");
}

/// How many workers have served a connection.
fn workers(stage: &Stage) -> usize {
    let served = stage.envoy.stats("worker_.*downstream_cx_total");
    served.iter().filter(|(name, count)| name.starts_with("listener.127") && **count > 0).count()
}

#[test]
fn gauges_are_the_sum_of_all_workers_and_go_with_their_configuration() {
    let stage = observed(&document(), |options| Options { concurrency: 2, ..options });
    // The two workers, and the main thread.
    assert!(wait_until(PATIENCE, || stage.server.count("/jwks") == 3));
    let mut sent = 0;
    while workers(&stage) < 2 {
        assert!(sent < 100, "one worker takes all connections");
        let token = format!("opaque-{sent}");
        stage.server.know(&token, stage.active());
        assert_eq!(stage.as_bank(&api(&token)).status, 200, "{}", stage.envoy.log());
        sent += 1;
    }
    assert_becomes(&stage, "remembered_tokens", sent);
    assert!(gauge(&stage, "remembered_token_bytes") > sent * 256);
    assert_becomes(&stage, "known_certificates", 2);
    assert_becomes(&stage, "issuer.bank.key_set_keys", 1);
    let fetched = gauge(&stage, "issuer.bank.key_set_fetched_timestamp_seconds");
    assert!((harness::now() - 60..=harness::now()).contains(&fetched), "{fetched}");
    assert_eq!(gauge(&stage, "issuer.bank.key_set_stale_workers"), 0);

    let unknown = SigningKey::new(Algorithm::Es256, "k2").mint(json!({}), &stage.claims());
    stage.server.fail("/jwks", Fault::Close);
    let both = wait_until(PATIENCE, || {
        assert_eq!(stage.as_bank(&api(&unknown)).status, 503);
        gauge(&stage, "issuer.bank.key_set_stale_workers") == 2
    });
    assert!(both, "both workers know that their keys are stale");
    assert_eq!(gauge(&stage, "issuer.bank.key_set_absent_workers"), 0);
    stage.server.mend();
    assert_becomes(&stage, "issuer.bank.key_set_stale_workers", 0);
    assert_becomes(&stage, "waiting_requests", 0);
    assert_becomes(&stage, "callouts_under_way", 0);

    let other = json!({
        "issuers": [{"issuer": "https://login.shop.example", "name": "shop", "audiences": ["https://api.shop.example"],
                     "jwks": {"cluster": "login", "path": "/jwks"}}],
        "routes": [{"name": "shop", "path": "/**", "allow": "authenticated"}]
    });
    stage.envoy.configure(&other).expect("another configuration");
    for gone in [
        "remembered_tokens",
        "remembered_token_bytes",
        "known_certificates",
        "issuer.bank.key_set_keys",
        "issuer.bank.key_set_fetched_timestamp_seconds",
    ] {
        assert_becomes(&stage, gone, 0);
    }
    assert_becomes(&stage, "issuer.shop.key_set_keys", 1);
}

#[test]
fn what_waits_is_shown_while_it_waits() {
    let mut document = document();
    document["issuers"][0]["introspection"]["timeout"] = json!("10s");
    let stage = observed(&document, |options| options).warm();
    stage.server.fail("/introspect", Fault::Trickle);
    let asking = |token: &str| {
        let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
        let head = format!("GET /api/x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\n\r\n");
        connection.write(head.as_bytes()).expect("a request");
        connection
    };
    let waiting = [asking("one"), asking("one"), asking("two")];
    assert_becomes(&stage, "waiting_requests", 3);
    assert_becomes(&stage, "callouts_under_way", 2);
    drop(waiting);
    assert_becomes(&stage, "waiting_requests", 0);
}

#[test]
fn clocks_that_differ_are_shown_and_said_once() {
    let stage = observed(&document(), |options| options).warm();
    let says = |date: &str| {
        let body = r#"{"active":false}"#;
        let head = format!("HTTP/1.1 200 OK\r\n{date}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
        stage.server.fail("/introspect", Fault::Octets(format!("{head}{body}").into_bytes()));
        assert_eq!(stage.as_bank(&api(&format!("opaque-{}", stage.server.count("/introspect")))).status, 401);
    };
    let since_2015 = harness::now() - 1_420_070_400;
    says("date: Thu, 01 Jan 2015 00:00:00 GMT");
    let skew = gauge(&stage, "issuer.bank.clock_skew_seconds");
    assert!((since_2015..since_2015 + 60).contains(&skew), "{skew}");
    says("x-no-date: there");
    says("date: Thu, 01 Jan 2015 00:00:00 GMT\r\nx-other: it");
    let log = stage.envoy.log();
    assert_eq!(log.matches("holdfast: issuer bank: its clock is ").count(), 1, "{log}");
    assert_eq!(log.matches(" s behind ours").count(), 1, "{log}");
    says("date: Mon, 01 Jan 2125 00:00:00 GMT");
    let skew = gauge(&stage, "issuer.bank.clock_skew_seconds");
    assert!((4_891_363_200 - harness::now()..4_891_363_200 - harness::now() + 60).contains(&skew), "{skew}");
    says("date: Thu, 01 Jan 2015 00:00:00 GMT\r\nage: 5");
    assert_eq!(gauge(&stage, "issuer.bank.clock_skew_seconds"), skew, "a cache does not tell the time");
}

#[test]
fn no_caller_makes_a_name() {
    let stage = observed(&document(), |options| options).warm();
    let evil = "x.decision.permit.reason.granted.requests";
    let key = &stage.key;
    let mut claims = stage.claims();
    claims["client_id"] = json!(evil);
    let named = key.mint(json!({"kid": evil}), &claims);
    claims["iss"] = json!(evil);
    let tokens =
        [stage.token(), evil.to_owned(), named, key.mint(json!({}), &claims), "\"}{\n".escape_debug().to_string()];
    for token in &tokens {
        for path in ["/api/x", &format!("/{evil}"), "/api/%22%7D", "/admin/x", "/healthz", "/unbound", "//", "/a\\b"] {
            for method in ["GET", "REASON.GRANTED", "OPTIONS"] {
                let mut request = Request::new(method, path).bearer(token).field("x-route", evil);
                request.fields.retain(|(name, _)| name != "host");
                stage.as_bank(&request.field("host", evil));
            }
        }
    }
    let names: BTreeSet<String> =
        stage.envoy.stats("wasmcustom").into_keys().map(|name| name.replacen("wasmcustom.", "", 1)).collect();
    let closed = closed();
    let foreign: Vec<&String> = names.difference(&closed).collect();
    assert_eq!(foreign, Vec::<&String>::new());
    assert!(names.len() > 20, "{names:?}");
}

/// Every name that the document of the stage can make.
fn closed() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for route in [None, Some("health"), Some("admin"), Some("unbound"), Some("api")] {
        names.extend(REASONS.iter().map(|reason| metric::requests(route, "deny", reason)));
        names.extend(PERMITS.map(|reason| metric::requests(route, "permit", reason)));
    }
    let outcomes =
        ["answered", "not_sent", "reset", "too_large", "unavailable", "other_status", "unusable", "our_credentials"];
    for question in [Question::KeySet, Question::Introspection] {
        names.extend(outcomes.map(|outcome| metric::callouts("bank", question, outcome)));
    }
    let of_issuer = [
        "key_set_keys",
        "key_set_fetched_timestamp_seconds",
        "key_set_stale_workers",
        "key_set_absent_workers",
        "clock_skew_seconds",
    ];
    names.extend(of_issuer.map(|what| metric::issuer_gauge("bank", what)));
    let of_all = [
        "remembered_tokens",
        "remembered_token_bytes",
        "known_certificates",
        "waiting_requests",
        "callouts_under_way",
        "configuration_warnings",
        "dpop_replay_process",
        "dpop_replay_worker",
        "dpop_replay_none",
    ];
    names.extend(of_all.map(metric::gauge));
    names
}

/// All that a scrape shows when everything has gone wrong once.
fn troubled() -> Vec<Sample> {
    let mut document = document();
    document["limits"] = json!({"waiting": 1});
    document["issuers"][0]["introspection"]["timeout"] = json!("10s");
    document["peer_certificate"] = json!({"chain": "verified"});
    document["issuers"][0]["clients"] = json!([{"client": "known", "certificate": {"san_dns": "bank"}}]);
    document["binding"] = json!("either");
    document["dpop"] = json!({"origins": ["https://api.bank.example"]});
    let stage = observed(&document, |options| options.tls(Tls::Resuming)).warm();
    stage.as_bank(&api(&stage.token()));
    let thief = stage.envoy.client(&stage.thief).resuming();
    (0..2).for_each(|_| drop(thief.send(&api(&stage.token()))));
    proofs_of_others(&stage);
    stage.as_thief(&api(&stage.token_with(json!({"client_id": "known", "cnf": null}))));
    stage.as_bank(&Request::get("/unbound").bearer(&stage.token_with(json!({"cnf": null}))));
    stage.as_bank(&api("inactive"));
    for fault in [answer(401, "{}"), answer(500, "{}"), answer(200, "rubbish")] {
        stage.server.fail("/introspect", fault);
        stage.as_bank(&api("opaque"));
    }
    stage.server.fail("/jwks", Fault::Close);
    stage.as_bank(&api(&SigningKey::new(Algorithm::Es256, "k2").mint(json!({}), &stage.claims())));
    assert_becomes(&stage, "issuer.bank.key_set_stale_workers", 1);
    stage.server.fail("/introspect", Fault::Trickle);
    let mut waits = stage.envoy.client(&stage.bank).open().expect("a connection");
    waits.write(b"GET /api/x HTTP/1.1\r\nhost: x\r\nauthorization: Bearer one\r\n\r\n").expect("a request");
    assert_becomes(&stage, "waiting_requests", 1);
    stage.as_bank(&api("two"));
    assert!(wait_until(PATIENCE, || samples(&stage).iter().any(|sample| sample.name.ends_with("milliseconds_bucket"))));
    let plaintext = observed(&document, |options| options.tls(Tls::Plaintext));
    plaintext.anonymously(&api(&plaintext.token()));
    [samples(&stage), samples(&plaintext)].concat()
}

fn proofs_of_others(stage: &Stage) {
    let [own, other] = ["wallet", "thief"].map(|name| SigningKey::new(Algorithm::Es256, name));
    let token = stage.token_with(json!({"cnf": {"jkt": own.thumbprint()}}));
    let proof = |key| Proof::new(key, "GET", "https://api.bank.example/api/x").with(&token).sign(key);
    let dpop =
        |proof: &str| Request::get("/api/x").field("authorization", format!("DPoP {token}")).field("dpop", proof);
    let good = proof(&own);
    for request in [dpop(&good), dpop(&good), dpop(&proof(&other)), api(&token)] {
        stage.anonymously(&request);
    }
}

/// What cannot be had from the Envoy of these tests: it tells the dates of every certificate.
const ELSEWHERE: &str = "granted_unchecked_validity";

/// What is wrong with a selector, seen from a scrape.
fn misses(selector: &Selector, samples: &[Sample]) -> Vec<String> {
    let found: Vec<&Sample> = samples.iter().filter(|sample| sample.name == selector.metric).collect();
    if found.is_empty() {
        return vec![format!("{} is not there", selector.metric)];
    }
    let mut missing = Vec::new();
    for (label, operator, value) in &selector.matchers {
        assert!(["=", "!=", "=~"].contains(&operator.as_str()), "{selector:?}");
        let values: BTreeSet<&str> =
            found.iter().filter_map(|sample| sample.labels.get(label)).map(String::as_str).collect();
        if values.is_empty() {
            missing.push(format!("{} has no label {label}", selector.metric));
        }
        let wanted = value.split('|').filter(|value| !value.starts_with('$') && *value != ELSEWHERE);
        missing.extend(wanted.filter(|value| !values.contains(value)).map(|value| format!("{label} is never {value}")));
    }
    let holds = |sample: &&&Sample| {
        let equal = selector.matchers.iter().filter(|(_, operator, _)| operator == "=");
        equal.into_iter().all(|(label, _, value)| sample.labels.get(label) == Some(value))
    };
    if found.iter().find(holds).is_none() {
        missing.push(format!("no series is all of {:?}", selector.matchers));
    }
    missing
}

/// Title, expression and text with labels of every panel.
fn dashboard() -> Vec<(String, String, String)> {
    let dashboard: Value = serde_json::from_str(&read("observability/grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels
        .flat_map(|panel| panel["targets"].as_array().expect("targets").iter().map(move |target| (panel, target)))
        .map(|(panel, target)| (text(&panel["title"]), text(&target["expr"]), text(&target["legendFormat"])))
        .collect()
}

/// The same of every alert.
fn alerts() -> Vec<(String, String, String)> {
    let file = yaml(&read("observability/prometheus-alerts.yaml"));
    let rules = file["groups"][0]["rules"].as_array().expect("rules");
    rules.iter().map(|rule| (text(&rule["alert"]), text(&rule["expr"]), rule["annotations"].to_string())).collect()
}

/// The labels that a text holds as `{{label}}` or `{{ $labels.label }}`.
fn labels_in(text: &str) -> BTreeSet<String> {
    let inside = text.split("{{").skip(1).filter_map(|rest| rest.split("}}").next()).map(str::trim);
    let labels =
        inside.filter_map(|inside| inside.strip_prefix("$labels.").or((!inside.starts_with('$')).then_some(inside)));
    labels.map(str::to_owned).collect()
}

#[test]
fn what_the_dashboard_and_the_alerts_ask_for_is_there() {
    let samples = troubled();
    assert_eq!((dashboard().len(), alerts().len()), (23, 5));
    for (title, expression, text) in dashboard().into_iter().chain(alerts()) {
        let read = Expression::read(&expression);
        assert!(!read.selectors.is_empty(), "{title}: {expression}");
        for selector in &read.selectors {
            assert_eq!(misses(selector, &samples), Vec::<String>::new(), "{title}: {expression}");
        }
        let has = |label: &str| {
            let mut series = samples.iter().filter(|sample| read.selectors.iter().any(|s| s.metric == sample.name));
            series.any(|sample| sample.labels.contains_key(label))
        };
        for label in &read.grouped {
            assert!(has(label), "{title}: no metric there has {label}");
        }
        let shown = labels_in(&text);
        assert!(shown.is_subset(&read.grouped), "{title}: shows {shown:?} and keeps {:?}", read.grouped);
    }
    let wrong = Expression::read(r#"holdfast_requests{reason="never_heard_of", rout="api"}"#).selectors.remove(0);
    assert_eq!(misses(&wrong, &samples).len(), 4, "what is not there is missed: {:?}", misses(&wrong, &samples));
}

#[test]
fn promtool_takes_the_dashboard_and_the_alerts_and_each_alert_fires() {
    let promtool = std::env::var("PROMTOOL").unwrap_or_else(|_| "promtool".to_owned());
    if Command::new(&promtool).arg("--version").output().is_err() {
        eprintln!("NOT checked by promtool: it is not installed; Debian has it in the package prometheus");
        return;
    }
    let run = |arguments: &[&str]| {
        let output = Command::new(&promtool).args(arguments).current_dir(top().join("observability")).output();
        let output = output.expect("promtool runs");
        let said = [output.stdout, output.stderr].concat();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
    };
    run(&["check", "rules", "prometheus-alerts.yaml"]);
    run(&["test", "rules", "prometheus-alerts-test.yaml"]);
    let directory = harness::Directory::new();
    let rules: Vec<Value> = dashboard()
        .iter()
        .enumerate()
        .map(|(number, (_, expression, _))| {
            let expression = expression.replace("$__rate_interval", "5m").replace("$route", ".*");
            json!({"record": format!("panel:{number}"), "expr": expression})
        })
        .collect();
    let file =
        directory.write("dashboard.json", json!({"groups": [{"name": "dashboard", "rules": rules}]}).to_string());
    run(&["check", "rules", file.to_str().expect("a path")]);
}

#[test]
fn the_documentation_names_every_metric_and_every_reason() {
    let text = read("docs/observation.md");
    for reason in REASONS.iter().chain(&PERMITS) {
        assert!(text.contains(&format!("`{reason}`")), "{reason}");
    }
    let plain = |name: &String| name.rsplit('.').next().map(|last| format!("`holdfast_{last}`")).unwrap_or_default();
    for name in closed().iter().map(plain).chain(["`holdfast_callout_milliseconds`".to_owned()]) {
        assert!(text.contains(&name), "{name}");
    }
}

#[test]
fn the_documentation_shows_the_tags_and_the_access_log_that_are_shipped() {
    let text = read("docs/observation.md");
    let blocks = text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).map(yaml);
    let shown: Vec<Value> = blocks.collect();
    let shipped = yaml(&read("envoy/complete.yaml"));
    let filter = &shipped["static_resources"]["listeners"][0]["filter_chains"][0]["filters"][0]["typed_config"];
    let format = &filter["access_log"][0]["typed_config"]["log_format"]["json_format"];
    assert_eq!(shown.len(), 2);
    assert_eq!(shown[0]["stats_config"], shipped["stats_config"]);
    assert_eq!(&shown[1]["json_format"], format);
    assert!(format["reason"].is_string());
}
