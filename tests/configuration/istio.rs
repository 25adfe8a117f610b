//! The policies of `istio/`, as they are written and as Istio hands them on.

use serde_json::{Number, Value, json};

use super::{load, read, reference};

/// Every policy in `istio/`, by its file.
pub fn policies() -> Vec<(String, Value)> {
    let folders = ["gateway", "workloads", "behind-the-gateway"];
    let files = folders.iter().flat_map(|folder| {
        let entries = std::fs::read_dir(harness::top().join("istio").join(folder)).expect("a folder");
        entries.map(move |entry| format!("istio/{folder}/{}", entry.expect("a file").file_name().display()))
    });
    files.flat_map(|file| policies_in(&read(&file)).into_iter().map(move |policy| (file.clone(), policy))).collect()
}

fn policies_in(text: &str) -> Vec<Value> {
    let documents = text.split("\n---\n").map(|document| harness::yaml(document).expect("YAML"));
    documents
        .filter_map(|mut document| document.pointer_mut("/spec/wasm/pluginConfig").map(Value::take))
        .map(written)
        .collect()
}

/// Without what is meant for kustomize.
fn written(mut policy: Value) -> Value {
    policy.as_object_mut().expect("a map").remove("$patch");
    policy
}

/// Through a `google.protobuf.Struct`, which is how Istio keeps a document: every number is a double. (Keys are sorted in both.)
fn through_a_struct(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            Number::from_f64(number.as_f64().expect("a number")).map_or(Value::Null, Value::Number)
        }
        Value::Array(items) => items.iter().map(through_a_struct).collect(),
        Value::Object(members) => members.iter().map(|(key, value)| (key.clone(), through_a_struct(value))).collect(),
        value => value.clone(),
    }
}

#[test]
fn every_policy_of_istio_loads_as_written_and_as_istio_hands_it_on() {
    let policies = policies();
    assert_eq!(policies.len(), 3);
    for (file, policy) in policies {
        for document in [&policy, &through_a_struct(&policy)] {
            let loaded = load(document).unwrap_or_else(|mistakes| panic!("{file}: {mistakes:#?}"));
            assert_eq!(loaded.warnings, [] as [String; 0], "{file}");
        }
    }
}

#[test]
fn numbers_that_istio_has_made_doubles_mean_what_they_did() {
    let document = reference();
    let handed_on = through_a_struct(&document);
    assert_ne!(document.to_string(), handed_on.to_string(), "there are numbers in the reference");
    let warnings = |document| load(document).map(|loaded| loaded.warnings);
    assert_eq!(warnings(&handed_on), warnings(&document));
    // Above 2^53 the double is another number, so none is taken there.
    let mut document = policies().swap_remove(0).1;
    document["routes"][0] =
        json!({"name": "a", "path": "/a", "allow": [{"claims": {"/x": 12_345_678_901_234_568_u64}}]});
    let told = r#"routes[a].allow[0].claims["/x"]: is not a whole number below 2^53; write it as text"#;
    assert_eq!(load(&document).map(|_| ()), Err(vec![told.to_owned()]));
    assert_eq!(load(&through_a_struct(&document)).map(|_| ()), Err(vec![told.to_owned()]));
}

/// What YAML 1.1, which Istio's tools read, takes for a boolean; as a key it becomes `true` or `false`.
const BOOLEANS: [&str; 8] = ["y", "n", "yes", "no", "on", "off", "true", "false"];

#[test]
fn no_word_of_the_language_is_a_boolean_to_istio() {
    let schema: Value = serde_json::from_str(&read("docs/holdfast.schema.json")).expect("JSON");
    let mut words = Vec::new();
    words_of(&schema, &mut words);
    assert!(words.contains(&"issuers".to_owned()) && words.contains(&"strip".to_owned()), "{words:?}");
    for word in words {
        assert!(!BOOLEANS.contains(&word.to_ascii_lowercase().as_str()), "{word}");
    }
}

/// Names of fields, and words that stand in them.
fn words_of(schema: &Value, words: &mut Vec<String>) {
    match schema {
        Value::Object(members) => {
            for (key, value) in members {
                match (key.as_str(), value) {
                    ("properties", Value::Object(fields)) => words.extend(fields.keys().cloned()),
                    ("enum", Value::Array(all)) => {
                        words.extend(all.iter().filter_map(Value::as_str).map(str::to_owned))
                    }
                    ("const", Value::String(word)) => words.push(word.clone()),
                    _ => {}
                }
                words_of(value, words);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| words_of(item, words)),
        _ => {}
    }
}

/// `role: yes` and `includes: {on: …}` without quotes, as they arrive.
#[test]
fn a_name_that_became_a_boolean_is_refused() {
    let (_, mut document) = policies().into_iter().find(|(file, _)| file.contains("istio/gateway/")).expect("a policy");
    let good = document.clone();
    document["roles"]["includes"] = json!({"true": ["trader"]});
    let told = load(&document).map(|_| ()).expect_err("a role that nobody has");
    assert!(
        told.iter()
            .any(|line| line.starts_with(r#"roles.includes["true"]"#) || line.starts_with("roles.includes[true]")),
        "{told:?}"
    );
    document["roles"]["includes"] = json!({"head-trader": [true]});
    let told = load(&document).map(|_| ()).expect_err("a boolean");
    assert!(told[0].starts_with("roles.includes"), "{told:?}");
    assert_eq!(load(&good).map(|_| ()), Ok(()));
}

/// Those rows of the table of mistakes that validators take and the filter does not.
#[test]
fn mistakes_that_istio_hands_on_are_refused_with_their_place() {
    let table = harness::yaml(&read("tests/istio/testdata/mistakes.yaml")).expect("YAML");
    let rows = table.as_array().expect("a list").iter().filter(|row| row["by"] == "filter");
    let mut count = 0;
    for row in rows {
        let [mistake, file, replace, with, says] =
            ["mistake", "file", "replace", "with", "says"].map(|key| row[key].as_str().expect(key));
        let text = read(&format!("istio/{file}"));
        assert_eq!(text.matches(replace).count(), 1, "{mistake}");
        let [policy] = policies_in(&text.replace(replace, with)).try_into().expect("one policy");
        let told = load(&through_a_struct(&policy)).map(|_| ()).expect_err(mistake);
        assert!(told.iter().any(|line| line.contains(says)), "{mistake}: {told:#?}");
        count += 1;
    }
    assert_eq!(count, 11);
}
