//! The configuration language as it is published: the page for users, the JSON Schema and the examples agree with what loads.

mod istio;
mod page;
mod schema;

use std::path::Path;

use holdfast::config::{self, Compiled};
use serde_json::Value;

fn read(path: &str) -> String {
    std::fs::read_to_string(harness::top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a document means, or all of its mistakes.
fn load(document: &Value) -> Result<Compiled, Vec<String>> {
    let environment = |name: &str| match name {
        "NONCE_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        "NONCE_KEY_OLD" => Some("ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=".to_owned()),
        name if name.ends_with("_JWK") => {
            Some(harness::SigningKey::new(harness::Algorithm::Es256, "k1").private_jwk().to_string())
        }
        name => ["_SECRET", "_TOKEN"].iter().any(|end| name.ends_with(end)).then(|| "test".to_owned()),
    };
    let loaded = config::load(document.to_string().as_bytes(), &environment);
    loaded.map_err(|mistakes| mistakes.to_string().lines().map(str::to_owned).collect())
}

/// The blocks of a page that are fenced as this.
fn blocks(page: &str, fence: &str) -> Vec<String> {
    let begin = format!("```{fence}\n");
    page.split(&begin).skip(1).filter_map(|rest| rest.split("```").next()).map(str::to_owned).collect()
}

/// The reference of the page: every field of the language.
fn reference() -> Value {
    let blocks = blocks(&read("docs/configuration.md"), "yaml");
    let longest = blocks.iter().max_by_key(|block| block.len()).expect("a reference");
    harness::yaml(longest).expect("YAML")
}

/// Every policy that users may copy, by its place.
fn examples() -> Vec<(String, Value)> {
    let mut examples = Vec::new();
    for page in ["docs/configuration.md", "README.md"] {
        for (at, block) in blocks(&read(page), "yaml").iter().enumerate() {
            examples
                .push((format!("{page}, block {at}"), harness::yaml(block).unwrap_or_else(|e| panic!("{page}: {e}"))));
        }
    }
    for folder in ["envoy", "envoy/policies"] {
        for entry in std::fs::read_dir(harness::top().join(folder)).expect("a folder") {
            let path = entry.expect("a file").path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                examples.push((path.display().to_string(), policy_in(&path)));
            }
        }
    }
    examples.extend(istio::policies());
    examples
}

/// A policy in a file of its own, or the one inside a configuration of Envoy.
fn policy_in(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).expect("a file");
    let document = harness::yaml(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    if document.get("static_resources").is_none() {
        return document;
    }
    inside(&document).unwrap_or_else(|| panic!("{}: no policy", path.display()))
}

fn inside(value: &Value) -> Option<Value> {
    let is_struct = |kind: &Value| kind == "type.googleapis.com/google.protobuf.Struct";
    match value {
        Value::Object(members) if members.get("@type").is_some_and(is_struct) => members.get("value").cloned(),
        Value::Object(members) => members.values().find_map(inside),
        Value::Array(items) => items.iter().find_map(inside),
        _ => None,
    }
}
