//! `docs/holdfast.schema.json` against the loader: what the one refuses by its shape the other refuses too, both ways.

use std::collections::BTreeSet;

use jsonschema::Validator;
use serde_json::{Map, Value, json};

use super::{examples, load, read, reference};

fn schema() -> Value {
    serde_json::from_str(&read("docs/holdfast.schema.json")).expect("JSON")
}

fn validator() -> Validator {
    jsonschema::draft202012::new(&schema()).expect("a schema")
}

/// What the loader alone can tell: how fields, values and names go together, and values behind a pattern.
const LOADERS_ALONE: [&str; 22] = [
    // Durations and sizes are texts to a schema.
    "s is out of range; write",
    "h is out of range; write",
    "iB is out of range; write",
    "has a fraction of a second",
    // Beside another field, or without it.
    "has no audiences",
    "is public, and says no methods",
    "names nobody; say who may pass",
    "nonces are made with them",
    "are for nonces",
    "count only where the proxy verified the chain",
    "no certificate can prove",
    "takes tokens, and there are no issuers",
    // Names that refer to something.
    "there is no issuer",
    "no issuer brings roles",
    "no issuer may assert",
    "no rule asks for",
    "bound",
    "the VM has no variable",
    // Among several entries; of lists with other things than texts in them JSON Schema has no word for texts alone.
    "stands in the list twice",
    "can never match",
    "can never count",
    "would take the methods",
];

#[test]
fn every_example_is_valid_and_a_mistake_in_one_is_not() {
    let validator = validator();
    for (place, document) in examples() {
        if let Err(error) = validator.validate(&document) {
            panic!("{place}: {}: {error}", error.instance_path());
        }
        let mut wrong = document;
        wrong["routes"][0]["alow"] = json!("public");
        assert!(!validator.is_valid(&wrong), "{place}");
    }
}

/// The JSON pointer of every value inside this one.
fn places(value: &Value, at: &str, all: &mut Vec<String>) {
    let mut inside = |name: &str, value: &Value| {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        places(value, &at, all);
        all.push(at);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| inside(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| inside(&at.to_string(), value)),
        _ => {}
    }
}

/// The reference with each of its values replaced by each of many others, each member taken out, and an unknown one put into
/// each map.
fn changed(reference: &Value) -> Vec<(String, Value)> {
    let others = [
        json!(null),
        json!(true),
        json!(false),
        json!(-1),
        json!(0),
        json!(3),
        json!(4097),
        json!(65_537),
        json!(1_000_001),
        json!(9_007_199_254_740_992_i64),
        json!(1.5),
        json!(""),
        json!("wrong"),
        json!("Wrong word"),
        json!("/wrong"),
        json!("wrong~2"),
        json!("{"),
        json!("{account}{account}"),
        json!("https://"),
        json!("30"),
        json!("30s"),
        json!("1500ms"),
        json!("9000h"),
        json!("1KiB"),
        json!("1GiB"),
        json!([]),
        json!([[]]),
        json!([null]),
        json!([5]),
        json!(["a", "a"]),
        json!({}),
        json!({"a": null}),
        json!({"wrong word": 1}),
        json!({"env": "API_SECRET", "zzz": 1}),
    ];
    let mut all = vec![String::new()];
    places(reference, "", &mut all);
    let mut changed = Vec::new();
    for place in all {
        for other in &others {
            let mut document = reference.clone();
            *document.pointer_mut(&place).expect("a place") = other.clone();
            changed.push((format!("{place} = {other}"), document));
        }
        let mut document = reference.clone();
        if let Some(members) = document.pointer_mut(&place).and_then(Value::as_object_mut) {
            members.insert("zzz".to_owned(), json!(1));
            changed.push((format!("{place}/zzz"), document));
        }
        for name in reference.pointer(&place).and_then(Value::as_object).into_iter().flat_map(Map::keys) {
            let mut document = reference.clone();
            document.pointer_mut(&place).and_then(Value::as_object_mut).expect("a map").remove(name);
            changed.push((format!("{place} without {name}"), document));
        }
    }
    changed
}

#[test]
fn what_the_schema_refuses_the_loader_refuses_and_of_shapes_the_loader_knows_no_more() {
    let validator = validator();
    let (mut refused, mut differing, mut alone) = (0, Vec::new(), BTreeSet::new());
    for (change, document) in changed(&reference()) {
        match (validator.is_valid(&document), load(&document)) {
            (true, Ok(_)) => {}
            (false, Ok(_)) => differing.push(format!("{change}: the schema alone refuses it")),
            (false, Err(_)) => refused += 1,
            (true, Err(mistakes)) => {
                for told in mistakes {
                    match LOADERS_ALONE.iter().find(|alone| told.contains(*alone)) {
                        Some(phrase) => drop(alone.insert(*phrase)),
                        None => differing.push(format!("{change}: the loader alone refuses it: {told}")),
                    }
                }
            }
        }
    }
    assert!(differing.is_empty(), "{}: {}", differing.len(), differing.join("\n"));
    assert!(refused > 3000, "{refused}");
    assert_eq!(alone, BTreeSet::from(LOADERS_ALONE), "no exception that nothing needs");
}

/// The fields of a definition, of each of its alternatives.
fn fields(definition: &Value) -> Map<String, Value> {
    let own = definition.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
    let alternatives = definition.get("anyOf").and_then(Value::as_array).into_iter().flatten();
    alternatives.map(fields).fold(own, |mut all, one| {
        all.extend(one);
        all
    })
}

/// Where a map of each definition stands in the reference; the document itself is the one without a name.
const MAPS: [(&str, &str); 19] = [
    ("", ""),
    ("Issuer", "/issuers/0"),
    ("Claims", "/issuers/0/claims"),
    ("Client", "/issuers/0/clients/0"),
    ("IssuerRoles", "/issuers/0/roles"),
    ("Jwks", "/issuers/0/jwks"),
    ("Introspection", "/issuers/0/introspection"),
    ("PeerCertificate", "/peer_certificate"),
    ("Dpop", "/dpop"),
    ("Relay", "/peer_certificate/relays/0"),
    ("RoleRelations", "/roles"),
    ("RefusingRule", "/deny/0"),
    ("Challenge", "/challenge"),
    ("Forward", "/forward"),
    ("Route", "/routes/2"),
    ("Rule", "/routes/2/allow/0"),
    ("Claim", "/routes/2/allow/0/claims/~1accounts"),
    ("Certificate", "/routes/2/allow/2/certificate"),
    ("Limits", "/limits"),
];

fn definition<'a>(schema: &'a Value, name: &str) -> &'a Value {
    if name.is_empty() { schema } else { &schema["$defs"][name] }
}

#[test]
fn the_schema_has_the_fields_that_the_loader_asks_for_and_no_others() {
    let (schema, reference) = (schema(), reference());
    for (name, place) in MAPS {
        let mut document = reference.clone();
        document.pointer_mut(place).unwrap_or_else(|| panic!("no {place}"))["zzz"] = json!(1);
        let told = load(&document).err().unwrap_or_default();
        let known = told.iter().find_map(|told| told.split_once("zzz: is not a field here; there are "));
        let mut known: BTreeSet<&str> = known.unwrap_or_else(|| panic!("{place}: {told:?}")).1.split(", ").collect();
        if name == "RefusingRule" {
            // These are asked for, and refused in words of their own.
            known.retain(|field| !matches!(*field, "token" | "acr_values" | "max_age"));
        }
        let fields = fields(definition(&schema, name));
        assert_eq!(fields.keys().map(String::as_str).collect::<BTreeSet<_>>(), known, "{name}");
    }
}

/// All that a document means, as far as defaults can change it.
fn meaning(document: &Value) -> Result<String, Vec<String>> {
    load(document).map(|compiled| {
        let settings = &compiled.settings;
        format!(
            "{:?} {:?} {:?} {:?} {} {} {:?} {:?} {}",
            settings.issuers,
            settings.policy,
            settings.effects,
            settings.dpop,
            settings.unchecked_validity,
            settings.tells_permits,
            settings.memory,
            compiled.waiting,
            compiled.log_permits
        )
    })
}

#[test]
fn a_default_of_the_schema_means_the_same_as_leaving_the_field_out() {
    let (schema, reference) = (schema(), reference());
    let mut tried = 0;
    for (name, place) in MAPS {
        for (field, schema) in fields(definition(&schema, name)) {
            let Some(default) = schema.get("default") else { continue };
            let (mut without, mut with) = (reference.clone(), reference.clone());
            without.pointer_mut(place).expect("a map").as_object_mut().expect("a map").remove(&field);
            with.pointer_mut(place).expect("a map")[&field] = default.clone();
            assert_eq!(meaning(&without), meaning(&with), "{name}.{field}");
            assert!(
                meaning(&with).is_ok() || matches!(field.as_str(), "chain" | "nonce"),
                "{name}.{field}: {:?}",
                meaning(&with)
            );
            tried += 1;
        }
    }
    assert_eq!(tried, 44);
}

#[test]
fn what_is_not_enforced_yet_stands_in_no_schema() {
    let (validator, reference) = (validator(), reference());
    for (place, field, value) in [
        ("", "danger_dry_run", json!(true)),
        ("", "revocation", json!("status_list")),
        ("/issuers/0", "discovery", json!({"cluster": "login"})),
        ("/issuers/0", "profile", json!("jwt_svid")),
        ("/issuers/0/introspection", "protocol", json!("rfc9701")),
        ("/issuers/0/introspection", "auth_method", json!("bearer")),
        ("/issuers/0/introspection", "private_key", json!({"env": "API_SECRET"})),
        ("/issuers/0/introspection", "token", json!({"env": "API_SECRET"})),
        ("/challenge", "serve", json!(true)),
        ("/routes/2", "ask", json!({"cluster": "opa"})),
        ("/routes/2", "danger_dry_run", json!(true)),
        ("/routes/2/allow/0", "when", json!("true")),
        ("/routes/2/allow/0", "authorization_details", json!([{"type": "account"}])),
        ("/routes/2/allow/2/certificate", "psd2_role", json!("PSP_AI")),
    ] {
        let mut document = reference.clone();
        document.pointer_mut(place).expect("a map")[field] = value;
        assert!(!validator.is_valid(&document), "{place}/{field}");
        let told = load(&document).err().unwrap_or_default();
        assert!(matches!(told.as_slice(), [told] if told.contains("not yet")), "{place}/{field}: {told:?}");
    }
}
