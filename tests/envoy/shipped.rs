//! What every Envoy configuration that is shipped must say, whatever it is an example of.

use std::path::{Path, PathBuf};

use harness::{top, yaml};
use serde_json::{Value, json};

const MANAGER: &str = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const WASM: &str = "envoy.extensions.filters.http.wasm.v3.Wasm";
const ROUTER: &str = "envoy.extensions.filters.http.router.v3.Router";
const DOWNSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext";
const UPSTREAM_TLS: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

// What is told of more than one mistake.
const NOT_VERIFIED: &str = "an authorization server is not verified by TLS, authority and name";
const NOT_BEFORE: &str = "the filter does not stand before the router";
const LETS_THROUGH: &str = "the failure policy lets requests through";
const UNMERGED: &str = "repeated slashes are not merged";

/// What is missing in a configuration, in its order.
fn faults_of(configuration: &Value) -> Vec<&'static str> {
    let mut faults = Vec::new();
    let mut must = |holds: bool, fault| {
        if !holds {
            faults.push(fault);
        }
    };
    let admin = &configuration["admin"];
    must(
        admin.is_null() || matches!(admin["address"]["socket_address"]["address"].as_str(), Some("127.0.0.1" | "::1")),
        "the admin interface is not on the loopback",
    );
    let listeners = list(&configuration["static_resources"]["listeners"]);
    must(!listeners.is_empty(), "there is no listener");
    for chain in listeners.iter().flat_map(|listener| list(&listener["filter_chains"])) {
        let tls = &chain["transport_socket"]["typed_config"];
        must(is(tls, DOWNSTREAM_TLS), "a listener has no TLS");
        let asked = &tls["common_tls_context"]["validation_context"]["trusted_ca"]["filename"];
        must(is_text(asked), "a listener verifies no client certificate");
        let lenient = &tls["common_tls_context"]["validation_context"]["trust_chain_verification"];
        must(lenient.is_null() || lenient == "VERIFY_TRUST_CHAIN", "a listener takes certificates of anybody");
        let filters = list(&chain["filters"]);
        must(
            !filters.is_empty() && filters.iter().all(|filter| is(&filter["typed_config"], MANAGER)),
            "a filter chain is not HTTP alone",
        );
        for manager in filters.iter().map(|filter| &filter["typed_config"]) {
            for (holds, fault) in of_manager(manager) {
                must(holds, fault);
            }
            for name in named_clusters(manager) {
                let clusters = list(&configuration["static_resources"]["clusters"]);
                let cluster = clusters.iter().find(|cluster| cluster["name"] == name.as_str());
                must(cluster.is_some_and(is_verified), NOT_VERIFIED);
            }
        }
    }
    faults
}

fn of_manager(manager: &Value) -> Vec<(bool, &'static str)> {
    let common = &manager["common_http_protocol_options"];
    let filters = list(&manager["http_filters"]);
    let at = |kind: &str| filters.iter().position(|filter| is(&filter["typed_config"], kind));
    let guarded = matches!((at(WASM), at(ROUTER)), (Some(ours), Some(router)) if ours < router);
    let ours = at(WASM).map_or(&Value::Null, |at| &filters[at]);
    let policy = ours["typed_config"]["config"]["failure_policy"].as_str();
    let sanitized = matches!(manager["forward_client_cert_details"].as_str(), Some("SANITIZE" | "SANITIZE_SET"));
    vec![
        (manager["normalize_path"] == true, "paths are not normalized"),
        (manager["merge_slashes"] == true, UNMERGED),
        (
            manager["path_with_escaped_slashes_action"] == "KEEP_UNCHANGED",
            "path_with_escaped_slashes_action is not KEEP_UNCHANGED",
        ),
        (common["headers_with_underscores_action"] == "REJECT_REQUEST", "fields with underscores are not refused"),
        (sanitized, "X-Forwarded-Client-Cert is not sanitized"),
        (lasts(&manager["stream_idle_timeout"]), "stream_idle_timeout is not above zero"),
        (lasts(&manager["request_headers_timeout"]), "request_headers_timeout is not above zero"),
        (lasts(&common["idle_timeout"]), "idle_timeout is not above zero"),
        (guarded, NOT_BEFORE),
        (
            ours["disabled"] != true && !mentions(&manager["route_config"], "typed_per_filter_config"),
            "the filter can be switched off",
        ),
        (matches!(policy, Some("FAIL_RELOAD" | "FAIL_CLOSED")), LETS_THROUGH),
    ]
}

/// The clusters that the filter asks.
fn named_clusters(manager: &Value) -> Vec<String> {
    let filters = list(&manager["http_filters"]);
    let documents = filters.iter().filter(|filter| is(&filter["typed_config"], WASM));
    let mut names = Vec::new();
    for filter in documents {
        collect(&filter["typed_config"]["config"]["configuration"], &mut names);
    }
    names
}

fn collect(value: &Value, names: &mut Vec<String>) {
    match value {
        Value::Object(members) => {
            names.extend(members.get("cluster").and_then(Value::as_str).map(str::to_owned));
            members.values().for_each(|member| collect(member, names));
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, names)),
        _ => {}
    }
}

fn is_verified(cluster: &Value) -> bool {
    let tls = &cluster["transport_socket"]["typed_config"];
    let validation = &tls["common_tls_context"]["validation_context"];
    let names = list(&validation["match_typed_subject_alt_names"]);
    is(tls, UPSTREAM_TLS)
        && is_text(&validation["trusted_ca"]["filename"])
        && !names.is_empty()
        && names.iter().all(|name| is_text(&name["matcher"]["exact"]))
        && validation["trust_chain_verification"] != "ACCEPT_UNTRUSTED"
}

fn is(typed: &Value, kind: &str) -> bool {
    typed["@type"].as_str().and_then(|name| name.strip_prefix("type.googleapis.com/")) == Some(kind)
}

fn is_text(value: &Value) -> bool {
    value.as_str().is_some_and(|text| !text.is_empty())
}

/// Whether this is a time above zero.
fn lasts(value: &Value) -> bool {
    let seconds = value.as_str().and_then(|text| text.strip_suffix('s')).and_then(|text| text.parse::<f64>().ok());
    seconds.is_some_and(|seconds| seconds > 0.0)
}

fn mentions(value: &Value, name: &str) -> bool {
    match value {
        Value::Object(members) => members.iter().any(|(key, member)| key == name || mentions(member, name)),
        Value::Array(items) => items.iter().any(|item| mentions(item, name)),
        _ => false,
    }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_configuration_that_is_shipped_is_safe_to_copy() {
    let folder = top().join("envoy");
    let mut checked = Vec::new();
    for path in files(&folder).iter().filter(|path| path.extension().is_none_or(|ending| ending != "md")) {
        let (content, name) = (read(path), path.strip_prefix(&folder).expect("a path in it"));
        if name.starts_with("policies") {
            assert!(content["routes"].is_array(), "{}: a policy has routes", name.display());
            assert!(content["static_resources"].is_null(), "{}: a policy is no configuration of Envoy", name.display());
            continue;
        }
        assert_eq!(faults_of(&content), Vec::<&str>::new(), "{}", name.display());
        checked.push(name.display().to_string());
    }
    assert!(checked.iter().any(|name| name == "minimal.yaml") && checked.iter().any(|name| name == "complete.yaml"));
}

/// The configuration with another value in one place, or without it.
fn with(whole: &Value, place: &str, value: Option<Value>) -> Value {
    let mut changed = whole.clone();
    let (parent, member) = place.rsplit_once('/').expect("a place in it");
    let parent = changed.pointer_mut(parent).unwrap_or_else(|| panic!("{place} is not there"));
    match (parent, value) {
        (Value::Object(members), Some(value)) => drop(members.insert(member.to_owned(), value)),
        (Value::Object(members), None) => {
            assert!(members.remove(member).is_some(), "{place} is there");
        }
        (Value::Array(items), value) => {
            let at: usize = member.parse().expect("a number");
            items.splice(at..=at, value);
        }
        _ => panic!("{place} is in no map and no list"),
    }
    changed
}

#[test]
fn each_mistake_in_a_copy_is_told() {
    let whole = read(&top().join("envoy/minimal.yaml"));
    let chain = "/static_resources/listeners/0/filter_chains/0";
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    let clusters = list(&whole["static_resources"]["clusters"]);
    let login = clusters.iter().position(|cluster| cluster["name"] == "login").expect("the authorization server");
    let login = format!("/static_resources/clusters/{login}/transport_socket");
    let validation = format!("{login}/typed_config/common_tls_context/validation_context");
    let at = |place: &str| format!("{manager}/{place}");
    let filter = whole.pointer(&at("http_filters/0")).expect("the filter").clone();
    let router = whole.pointer(&at("http_filters/1")).expect("the router").clone();
    let switched_off = json!({"virtual_hosts": [{"name": "x", "domains": ["*"], "routes": [
        {"match": {"prefix": "/x"}, "route": {"cluster": "upstream"}, "typed_per_filter_config": {"x": {}}}]}]});
    let everywhere = "/admin/address/socket_address/address".to_owned();
    let table: Vec<(String, Option<Value>, &[&str])> = vec![
        (everywhere, Some(json!("0.0.0.0")), &["the admin interface is not on the loopback"]),
        ("/static_resources/listeners".into(), None, &["there is no listener"]),
        (
            format!("{chain}/transport_socket"),
            None,
            &["a listener has no TLS", "a listener verifies no client certificate"],
        ),
        (
            format!("{chain}/transport_socket/typed_config/common_tls_context/validation_context"),
            None,
            &["a listener verifies no client certificate"],
        ),
        (at("normalize_path"), Some(json!(false)), &["paths are not normalized"]),
        (at("normalize_path"), None, &["paths are not normalized"]),
        (at("merge_slashes"), Some(json!(false)), &[UNMERGED]),
        (at("merge_slashes"), None, &[UNMERGED]),
        (
            at("path_with_escaped_slashes_action"),
            Some(json!("UNESCAPE_AND_FORWARD")),
            &["path_with_escaped_slashes_action is not KEEP_UNCHANGED"],
        ),
        (
            at("common_http_protocol_options/headers_with_underscores_action"),
            None,
            &["fields with underscores are not refused"],
        ),
        (
            at("common_http_protocol_options/headers_with_underscores_action"),
            Some(json!("ALLOW")),
            &["fields with underscores are not refused"],
        ),
        (at("forward_client_cert_details"), Some(json!("FORWARD_ONLY")), &["X-Forwarded-Client-Cert is not sanitized"]),
        (at("stream_idle_timeout"), Some(json!("0s")), &["stream_idle_timeout is not above zero"]),
        (at("stream_idle_timeout"), None, &["stream_idle_timeout is not above zero"]),
        (at("request_headers_timeout"), Some(json!("0s")), &["request_headers_timeout is not above zero"]),
        (at("common_http_protocol_options/idle_timeout"), Some(json!("0s")), &["idle_timeout is not above zero"]),
        (at("http_filters/0"), None, &[NOT_BEFORE, LETS_THROUGH]),
        (at("http_filters"), Some(json!([router, filter])), &[NOT_BEFORE]),
        (at("http_filters/0/disabled"), Some(json!(true)), &["the filter can be switched off"]),
        (at("route_config"), Some(switched_off), &["the filter can be switched off"]),
        (at("http_filters/0/typed_config/config/failure_policy"), Some(json!("FAIL_OPEN")), &[LETS_THROUGH]),
        (at("http_filters/0/typed_config/config/failure_policy"), None, &[LETS_THROUGH]),
        (login.clone(), None, &[NOT_VERIFIED]),
        (format!("{validation}/trusted_ca"), None, &[NOT_VERIFIED]),
        (format!("{validation}/match_typed_subject_alt_names"), None, &[NOT_VERIFIED]),
        (format!("{validation}/match_typed_subject_alt_names"), Some(json!([])), &[NOT_VERIFIED]),
        (format!("{validation}/trust_chain_verification"), Some(json!("ACCEPT_UNTRUSTED")), &[NOT_VERIFIED]),
        (
            at("http_filters/0/typed_config/config/configuration/value/issuers/0/jwks/cluster"),
            Some(json!("upstream")),
            &[NOT_VERIFIED],
        ),
        (
            format!("{chain}/filters/0"),
            Some(json!({"name": "tcp", "typed_config": {"@type": "type.googleapis.com/x.TcpProxy"}})),
            &["a filter chain is not HTTP alone"],
        ),
    ];
    for (place, value, expected) in table {
        let told = faults_of(&with(&whole, &place, value.clone()));
        // A chain that is not HTTP has nothing else either.
        let told = if expected[0].starts_with("a filter chain") { &told[..1] } else { &told[..] };
        assert_eq!(told, expected, "{place}: {value:?}");
    }
}
