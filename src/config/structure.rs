//! A `google.protobuf.Struct`, as Envoy hands on a configuration written in YAML, into the JSON that it stands for.
//!
//! Envoy 1.40 passes the message on as it is on the wire. Three messages of two wire types each do not need a library.

use serde_json::{Number, Value as Json};

/// The JSON text of a whole message; none where the octets are not one.
pub fn to_json(octets: &[u8]) -> Option<String> {
    let mut text = String::new();
    write_struct(octets, &mut text, MAX_DEPTH)?;
    Some(text)
}

/// Deeper documents are refused anyway.
const MAX_DEPTH: usize = 40;

const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH: u64 = 2;

/// One field of a message: its number and what stands in it.
struct Field<'a> {
    number: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Varint(u64),
    Fixed([u8; 8]),
    Octets(&'a [u8]),
}

/// The fields of a message in their order; a `None` among them is something that is no field of a `Struct`.
struct Fields<'a>(&'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Option<Field<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read_field(&mut self.0);
        if field.is_none() {
            self.0 = &[];
        }
        Some(field)
    }
}

fn read_field<'a>(rest: &mut &'a [u8]) -> Option<Field<'a>> {
    let key = read_varint(rest)?;
    let content = match key & 7 {
        VARINT => Content::Varint(read_varint(rest)?),
        FIXED_64 => Content::Fixed(take(rest, 8)?.try_into().ok()?),
        LENGTH => {
            let length = usize::try_from(read_varint(rest)?).ok()?;
            Content::Octets(take(rest, length)?)
        }
        _ => return None,
    };
    Some(Field { number: key >> 3, content })
}

fn read_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let octet = *take(rest, 1)?.first()?;
        value |= u64::from(octet & 0x7f) << shift;
        if octet < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

/// `Struct { map<string, Value> fields = 1; }`, each entry `{ string key = 1; Value value = 2; }`.
fn write_struct(octets: &[u8], text: &mut String, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    text.push('{');
    for (at, field) in Fields(octets).enumerate() {
        let Some(Field { number: 1, content: Content::Octets(entry) }) = field else { return None };
        if at > 0 {
            text.push(',');
        }
        let (mut key, mut value) = (&[][..], &[][..]);
        for field in Fields(entry) {
            match field? {
                Field { number: 1, content: Content::Octets(octets) } => key = octets,
                Field { number: 2, content: Content::Octets(octets) } => value = octets,
                _ => return None,
            }
        }
        write_text(key, text)?;
        text.push(':');
        write_value(value, text, depth)?;
    }
    text.push('}');
    Some(())
}

/// `Value`, of whose kinds the last one counts; none is null.
fn write_value(octets: &[u8], text: &mut String, depth: usize) -> Option<()> {
    match Fields(octets).last() {
        None => text.push_str("null"),
        Some(None) => return None,
        Some(Some(Field { number, content })) => match (number, content) {
            (1, Content::Varint(_)) => text.push_str("null"),
            (2, Content::Fixed(octets)) => *text += &Number::from_f64(f64::from_le_bytes(octets))?.to_string(),
            (3, Content::Octets(octets)) => write_text(octets, text)?,
            (4, Content::Varint(truth)) => text.push_str(if truth == 0 { "false" } else { "true" }),
            (5, Content::Octets(octets)) => write_struct(octets, text, depth)?,
            (6, Content::Octets(octets)) => write_list(octets, text, depth)?,
            _ => return None,
        },
    }
    Some(())
}

/// `ListValue { repeated Value values = 1; }`
fn write_list(octets: &[u8], text: &mut String, depth: usize) -> Option<()> {
    let depth = depth.checked_sub(1)?;
    text.push('[');
    for (at, field) in Fields(octets).enumerate() {
        let Some(Field { number: 1, content: Content::Octets(value) }) = field else { return None };
        if at > 0 {
            text.push(',');
        }
        write_value(value, text, depth)?;
    }
    text.push(']');
    Some(())
}

fn write_text(octets: &[u8], text: &mut String) -> Option<()> {
    *text += &Json::from(core::str::from_utf8(octets).ok()?).to_string();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(number: u8, octets: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(octets.len()).unwrap()], octets].concat()
    }

    fn entry(key: &str, value: &[u8]) -> Vec<u8> {
        field(1, &[field(1, key.as_bytes()), field(2, value)].concat())
    }

    #[test]
    fn every_kind_of_value_is_written() {
        let list = field(1, &field(3, b"x")).repeat(2);
        let message = [
            entry("text", &field(3, "a\"é".as_bytes())),
            entry("number", &[&[0x11][..], &1.5_f64.to_le_bytes()].concat()),
            entry("whole", &[&[0x11][..], &10_000_f64.to_le_bytes()].concat()),
            entry("yes", &[0x20, 1]),
            entry("no", &[0x20, 0]),
            entry("null", &[0x08, 0]),
            entry("nothing", &[]),
            entry("list", &field(6, &list)),
            entry("map", &field(5, &entry("in", &field(3, b"y")))),
        ];
        let expected = r#"{"text":"a\"é","number":1.5,"whole":10000.0,"yes":true,"no":false,"null":null,"nothing":null,"list":["x","x"],"map":{"in":"y"}}"#;
        assert_eq!(to_json(&message.concat()).as_deref(), Some(expected));
        assert_eq!(to_json(&[]).as_deref(), Some("{}"));
    }

    #[test]
    fn octets_that_are_no_struct_are_none() {
        let good = entry("key", &field(3, b"value"));
        assert!(to_json(&good).is_some());
        for cut in 1..good.len() {
            assert_eq!(to_json(good.get(..cut).unwrap()), None, "{cut}");
        }
        assert_eq!(to_json(b"{\"routes\": []}"), None);
        assert_eq!(to_json(&entry("k", &[&[0x11][..], &f64::NAN.to_le_bytes()].concat())), None);
        assert_eq!(to_json(&entry("k", &field(3, b"\xff"))), None);
        assert_eq!(to_json(&[0xff; 12]), None);
    }

    #[test]
    fn a_bottomless_message_ends() {
        let mut value = field(3, b"x");
        for _ in 0..30 {
            value = field(5, &entry("k", &value));
            if value.len() > 100 {
                break;
            }
        }
        assert!(to_json(&entry("k", &value)).is_some());
        let mut text = String::new();
        assert_eq!(write_value(&value, &mut text, 2), None);
    }
}
