//! JSON into the octets of a `google.protobuf.Struct`, as Envoy hands on a configuration written in YAML.

use serde_json::Value;

/// The message of a map; that of a map without members for everything else.
pub fn encode(value: &Value) -> Vec<u8> {
    let entry =
        |(name, value): (&String, &Value)| field(1, &[field(1, name.as_bytes()), field(2, &inner(value))].concat());
    value.as_object().into_iter().flatten().flat_map(entry).collect()
}

fn inner(value: &Value) -> Vec<u8> {
    match value {
        Value::Null => vec![1 << 3, 0],
        Value::Bool(truth) => vec![4 << 3, u8::from(*truth)],
        Value::Number(number) => [&[2 << 3 | 1][..], &number.as_f64().unwrap_or_default().to_le_bytes()].concat(),
        Value::String(text) => field(3, text.as_bytes()),
        Value::Object(_) => field(5, &encode(value)),
        Value::Array(values) => field(6, &values.iter().flat_map(|value| field(1, &inner(value))).collect::<Vec<u8>>()),
    }
}

fn field(number: u8, octets: &[u8]) -> Vec<u8> {
    let mut written = vec![number << 3 | 2];
    let mut length = octets.len();
    while length > 0x7f {
        written.push(length.to_le_bytes()[0] | 0x80);
        length >>= 7;
    }
    written.push(length.to_le_bytes()[0]);
    written.extend(octets);
    written
}
