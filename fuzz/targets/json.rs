//! JSON: what is accepted is what another reader of the same library reads; written and read again it is equal.
#![no_main]

use holdfast::jose::json::{self, Limits, Pointer, Problem, Value};
use libfuzzer_sys::fuzz_target;

fn is_same(ours: &Value, theirs: &serde_json::Value) -> bool {
    match ours {
        Value::Null => theirs.is_null(),
        Value::Bool(truth) => theirs.as_bool() == Some(*truth),
        Value::Integer(number) => theirs.as_i64() == Some(*number),
        Value::Float(number) => theirs.as_f64() == Some(*number),
        Value::String(text) => theirs.as_str() == Some(text),
        Value::Array(items) => theirs.as_array().is_some_and(|others| {
            items.len() == others.len() && items.iter().zip(others).all(|(ours, theirs)| is_same(ours, theirs))
        }),
        Value::Object(members) => theirs.as_object().is_some_and(|others| {
            members.len() == others.len()
                && members.iter().all(|(name, value)| others.get(name).is_some_and(|theirs| is_same(value, theirs)))
        }),
    }
}

/// Every member is found by the pointer to it.
fn follow(root: &Value, at: &Value, path: &str) {
    assert_eq!(Pointer::parse(path).expect("a pointer").find(root), Some(at), "{path}");
    match at {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(at, item)| follow(root, item, &format!("{path}/{at}")))
        }
        Value::Object(members) => members.iter().for_each(|(name, value)| {
            follow(root, value, &format!("{path}/{}", name.replace('~', "~0").replace('/', "~1")));
        }),
        _ => {}
    }
}

fuzz_target!(|octets: &[u8]| {
    let theirs: Result<serde_json::Value, _> = serde_json::from_slice(octets);
    for limits in [Limits::TOKEN, Limits::DOCUMENT] {
        match (json::parse(octets, limits), &theirs) {
            (Ok(ours), Ok(theirs)) => {
                assert!(is_same(&ours, theirs));
                assert_eq!(json::parse(ours.to_string().as_bytes(), limits), Ok(ours.clone()));
                if octets.len() < 1024 {
                    follow(&ours, &ours, "");
                }
                let _ = (ours.integer(), ours.numeric_date());
            }
            (Ok(_), Err(_)) => panic!("only ours reads it"),
            (Err(error), Ok(_)) => {
                let stricter = matches!(
                    error.what,
                    Problem::DuplicateName(_) | Problem::TooDeep { .. } | Problem::TooManyMembers { .. }
                );
                assert!(stricter, "{error}");
            }
            (Err(error), Err(_)) => assert!(!error.to_string().is_empty()),
        }
    }
});
