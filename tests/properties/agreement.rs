//! What a token's signed claims and its issuer's answer say together, and neither alone.

use serde_json::{Value, json};

/// The claims that a caller may pass by; none where the two speak of different tokens.
pub fn both_say(signed: &Value, said: &Value) -> Option<Value> {
    let names = signed.as_object()?.keys().chain(said.as_object()?.keys());
    let mut both = json!({});
    for name in names {
        let pair = (signed.get(name), said.get(name));
        both[name] = match (name.as_str(), pair) {
            ("sub" | "client_id" | "iss", (Some(one), Some(other))) if one != other => return None,
            ("cnf", (Some(one), Some(other))) => union(one, other)?,
            ("aud", (one, other)) => listed(&common(&texts(one), &texts(other))),
            ("exp" | "auth_time", (Some(one), Some(other))) => extreme(one, other, f64::min),
            ("nbf", (Some(one), Some(other))) => extreme(one, other, f64::max),
            ("scope" | "roles", (Some(_), None)) => json!([]),
            ("scope", (Some(Value::String(one)), Some(Value::String(other)))) => {
                let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
                json!(common(&words(one), &words(other)).join(" "))
            }
            ("roles", (Some(one), Some(other))) => listed(&common(&texts(Some(one)), &texts(Some(other)))),
            (_, (Some(one), Some(other))) => agreed(one, other),
            (_, (Some(one), None) | (None, Some(one))) => one.clone(),
            (_, (None, None)) => return None,
        };
    }
    Some(both)
}

fn listed(texts: &[String]) -> Value {
    json!(texts)
}

fn texts(value: Option<&Value>) -> Vec<String> {
    match value {
        Some(Value::String(one)) => vec![one.clone()],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        _ => vec![],
    }
}

fn common(one: &[String], other: &[String]) -> Vec<String> {
    one.iter().filter(|text| other.contains(text)).cloned().collect()
}

/// Members of both; none where they give one of them two values.
fn union(one: &Value, other: &Value) -> Option<Value> {
    let mut members = one.as_object()?.clone();
    for (name, value) in other.as_object()? {
        if members.get(name).is_some_and(|known| known != value) {
            return None;
        }
        members.insert(name.clone(), value.clone());
    }
    Some(Value::Object(members))
}

/// A date that is none makes the whole none.
fn extreme(one: &Value, other: &Value, of: impl Fn(f64, f64) -> f64) -> Value {
    match (one.as_f64(), other.as_f64()) {
        (Some(a), Some(b)) if of(a, b) == a => one.clone(),
        (Some(_), Some(_)) => other.clone(),
        _ => json!("no date"),
    }
}

fn agreed(one: &Value, other: &Value) -> Value {
    match (one, other) {
        (one, other) if one == other => one.clone(),
        (Value::Array(one), Value::Array(other)) => one.iter().filter(|value| other.contains(value)).cloned().collect(),
        (Value::Object(one), Value::Object(other)) => {
            let mut members = other.clone();
            for (name, value) in one {
                let value = other.get(name).map_or_else(|| value.clone(), |theirs| agreed(value, theirs));
                members.insert(name.clone(), value);
            }
            Value::Object(members)
        }
        _ => Value::Null,
    }
}
