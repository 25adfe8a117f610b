//! Turns octets into a JSON value, as RFC 8259 and RFC 7493 §2 allow it: UTF-8, unique member names, bounded depth and width.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::cell::Cell;
use std::cmp::Ordering;
use std::fmt;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Bool(bool),
    /// A number that was written without fraction and exponent and fits 64 bits.
    Integer(i64),
    /// Any other number; always finite.
    Float(f64),
    String(String),
    Array(Vec<Value>),
    Object(Object),
}

/// A JSON object: members in the order they were written, each name once.
#[derive(Clone, Debug, Default)]
pub struct Object {
    members: Vec<(String, Value)>,
    /// Positions in `members`, sorted by name, once there are more than [`FEW`].
    by_name: Vec<usize>,
}

/// So many members are looked through one by one.
const FEW: usize = 24;

/// How much a document may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many arrays and objects may stand inside each other.
    pub depth: usize,
    /// How many members one object may have.
    pub members: usize,
}

/// A JSON pointer (RFC 6901), ready to be followed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pointer {
    text: String,
    names: Vec<String>,
}

/// Why octets are not a JSON value here, and where that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub what: Problem,
    /// Absent where the fault has no place in the text.
    pub at: Option<Position>,
}

/// A place in a text; both count from 1, columns in octets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// What was wrong with a JSON text or a JSON pointer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The octets are not UTF-8.
    NotUtf8,
    /// The text begins with a byte order mark (RFC 8259 §8.1 forbids writing one).
    ByteOrderMark,
    /// The text ends inside a value, or there is none.
    EndsEarly,
    /// Something follows the value.
    Trailing,
    /// The text breaks the grammar, or holds a number that no double reaches; in a few words, what was seen there.
    Syntax(String),
    /// Two members of one object have this name, once their escapes are resolved.
    DuplicateName(String),
    /// More arrays and objects stand inside each other than allowed.
    TooDeep { most: usize },
    /// An object has more members than allowed.
    TooManyMembers { most: usize },
    /// A JSON pointer that neither is empty nor begins with `/`.
    PointerStart,
    /// A `~` in a JSON pointer that neither `0` nor `1` follows.
    PointerEscape,
}

impl Limits {
    /// For what a client can send: tokens and proofs.
    pub const TOKEN: Self = Self { depth: 16, members: 256 };
    /// For configuration files and key sets.
    pub const DOCUMENT: Self = Self { depth: 32, members: 4096 };
}

/// The one value that `bytes` hold.
pub fn parse(bytes: &[u8], limits: Limits) -> Result<Value, Error> {
    let text = std::str::from_utf8(bytes).map_err(|_| Problem::NotUtf8)?;
    if text.starts_with('\u{feff}') {
        return Err(Problem::ByteOrderMark.into());
    }
    let refused = Cell::new(None);
    let reader = Reader { limits, depth: 0, refused: &refused };
    let mut source = serde_json::Deserializer::from_str(text);
    let value = reader.deserialize(&mut source).map_err(|error| Error::seen(&error, refused.take()))?;
    source.end().map_err(|error| Error::seen(&error, Some(Problem::Trailing)))?;
    Ok(value)
}

impl Value {
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    pub fn as_array(&self) -> Option<&[Value]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// Bytes that it takes beside itself, as the allocator counts them, roughly.
    pub fn size(&self) -> usize {
        const NOTES: usize = 16;
        match self {
            Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => 0,
            Self::String(text) => text.len() + NOTES,
            Self::Array(values) => NOTES + values.iter().map(|value| size_of::<Self>() + value.size()).sum::<usize>(),
            Self::Object(object) => {
                let member = |(name, value): (&str, &Self)| {
                    size_of::<(String, Self, usize)>() + NOTES + name.len() + value.size()
                };
                NOTES + object.iter().map(member).sum::<usize>()
            }
        }
    }

    /// Every text in it: strings, and names of members.
    pub fn texts(&self) -> Vec<&str> {
        let mut texts = Vec::new();
        let mut open = vec![self];
        while let Some(value) = open.pop() {
            match value {
                Self::Null | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => {}
                Self::String(text) => texts.push(text.as_str()),
                Self::Array(values) => open.extend(values),
                Self::Object(object) => {
                    for (name, value) in object.iter() {
                        texts.push(name);
                        open.push(value);
                    }
                }
            }
        }
        texts
    }

    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The whole number that this is: any that was written as one and fits 64 bits, or one written with a fraction of
    /// zero or an exponent whose magnitude is below 2^53.
    #[allow(clippy::cast_possible_truncation, reason = "exact in the range that is compared with")]
    pub fn integer(&self) -> Option<i64> {
        match *self {
            Self::Integer(number) => Some(number),
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(number as i64),
            _ => None,
        }
    }

    /// Seconds since 1970 (RFC 7519 §2): a number from 0 to below 2^53, its fraction cut off.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "in this range only the fraction is cut off"
    )]
    pub fn numeric_date(&self) -> Option<u64> {
        match *self {
            Self::Integer(number) => u64::try_from(number).ok().filter(|&seconds| seconds < 1 << 53),
            Self::Float(number) if (0.0..EXACT).contains(&number) => Some(number as u64),
            _ => None,
        }
    }

    /// What this is, in words for a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Integer(_) | Self::Float(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "a list",
            Self::Object(_) => "a map",
        }
    }
}

/// 2^53: below it a double holds every whole number exactly.
const EXACT: f64 = 9_007_199_254_740_992.0;

impl fmt::Display for Value {
    /// As JSON without blanks.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Bool(truth) => truth.fmt(f),
            Self::Integer(number) => number.fmt(f),
            Self::Float(number) => serde_json::Value::from(*number).fmt(f),
            Self::String(text) => serde_json::Value::from(text.as_str()).fmt(f),
            Self::Array(values) => {
                f.write_str("[")?;
                for (at, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { "," } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Object(object) => {
                f.write_str("{")?;
                for (at, (name, value)) in object.iter().enumerate() {
                    write!(f, "{}{}:{value}", if at > 0 { "," } else { "" }, serde_json::Value::from(name))?;
                }
                f.write_str("}")
            }
        }
    }
}

impl Object {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.members.get(self.position(name)?).map(|(_, value)| value)
    }

    /// Takes the value of a member out; `null` stays in its place.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        let position = self.position(name)?;
        self.members.get_mut(position).map(|(_, value)| core::mem::replace(value, Value::Null))
    }

    fn position(&self, name: &str) -> Option<usize> {
        if self.by_name.is_empty() {
            return self.members.iter().position(|(other, _)| other == name);
        }
        self.place(name).ok().and_then(|place| self.by_name.get(place)).copied()
    }

    /// Adds a member whose name is not there yet.
    fn push(&mut self, name: String, value: Value) {
        if !self.by_name.is_empty()
            && let Err(place) = self.place(&name)
        {
            self.by_name.insert(place, self.members.len());
        }
        self.members.push((name, value));
        if self.by_name.is_empty() {
            self.sort();
        }
    }

    /// Fills `by_name` where it is needed.
    fn sort(&mut self) {
        let mut by_name: Vec<usize> = if self.len() > FEW { (0..self.len()).collect() } else { Vec::new() };
        by_name.sort_by(|a, b| self.name_at(*a).cmp(&self.name_at(*b)));
        self.by_name = by_name;
    }

    /// The members of both; of those that both have, what `both` makes of them.
    pub fn unite(&self, other: &Self, both: impl Fn(&Value, &Value) -> Value) -> Self {
        let mut united = Self::default();
        for (name, value) in self.iter() {
            let value = other.get(name).map_or_else(|| value.clone(), |theirs| both(value, theirs));
            united.push(name.to_owned(), value);
        }
        for (name, value) in other.iter().filter(|(name, _)| self.get(name).is_none()) {
            united.push(name.to_owned(), value.clone());
        }
        united
    }

    /// The members in the order they were written.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.members.iter().map(|(name, value)| (name.as_str(), value))
    }

    pub fn len(&self) -> usize {
        self.members.len()
    }

    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Keeps the members whose names are wanted, and no more memory than they take.
    pub fn retain(&mut self, mut wanted: impl FnMut(&str) -> bool) {
        self.members.retain(|(name, _)| wanted(name));
        self.members.shrink_to_fit();
        self.sort();
    }

    fn name_at(&self, position: usize) -> Option<&str> {
        self.members.get(position).map(|(name, _)| name.as_str())
    }

    /// Where `name` stands in `by_name`, or where it would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        let compare = |position: &usize| {
            self.members.get(*position).map_or(Ordering::Less, |(other, _)| other.as_str().cmp(name))
        };
        self.by_name.binary_search_by(compare)
    }
}

/// The order of members means nothing (RFC 8259 §4).
impl PartialEq for Object {
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Pointer {
    /// Reads and compiles a pointer; the empty one points at the whole value.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let names = match text.strip_prefix('/') {
            Some(rest) => rest.split('/').map(unescaped).collect::<Result<_, _>>()?,
            None if text.is_empty() => Vec::new(),
            None => return Err(Problem::PointerStart.into()),
        };
        Ok(Self { text: text.to_owned(), names })
    }

    /// The value that this points at.
    pub fn find<'a>(&self, value: &'a Value) -> Option<&'a Value> {
        self.names.iter().try_fold(value, |value, name| match value {
            Value::Object(object) => object.get(name),
            Value::Array(items) => items.get(index(name)?),
            _ => None,
        })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

fn unescaped(name: &str) -> Result<String, Problem> {
    let mut parts = name.split('~');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (escaped, rest) = match (part.strip_prefix('0'), part.strip_prefix('1')) {
            (Some(rest), _) => ('~', rest),
            (_, Some(rest)) => ('/', rest),
            (None, None) => return Err(Problem::PointerEscape),
        };
        plain.push(escaped);
        plain.push_str(rest);
    }
    Ok(plain)
}

/// An array index as RFC 6901 §4 spells it: digits, no leading zero.
fn index(name: &str) -> Option<usize> {
    let digits = name.bytes().all(|octet| octet.is_ascii_digit());
    let leading_zero = name.len() > 1 && name.starts_with('0');
    if digits && !leading_zero { name.parse().ok() } else { None }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads one value at `depth`; `refused` carries our own reason past the parser, whose errors are only text.
#[derive(Clone, Copy)]
struct Reader<'a> {
    limits: Limits,
    depth: usize,
    refused: &'a Cell<Option<Problem>>,
}

impl Reader<'_> {
    fn refuse<E: de::Error>(self, problem: Problem) -> E {
        self.refused.set(Some(problem));
        E::custom("")
    }

    fn inside<E: de::Error>(self) -> Result<Self, E> {
        if self.depth == self.limits.depth {
            return Err(self.refuse(Problem::TooDeep { most: self.limits.depth }));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    #[allow(
        clippy::cast_precision_loss,
        reason = "above 2^63 only the magnitude is kept, as for any number with an exponent"
    )]
    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Float(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        let mut items = Vec::new();
        while let Some(item) = source.next_element_seed(inside)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Value, A::Error> {
        let inside = self.inside()?;
        // What a token has at its top; inside it maps are smaller.
        const USUAL: usize = 16;
        let usual = if self.depth == 0 { USUAL } else { 0 };
        let mut object = Object { members: Vec::with_capacity(usual), by_name: Vec::new() };
        while let Some(name) = source.next_key::<String>()? {
            if object.get(&name).is_some() {
                return Err(self.refuse(Problem::DuplicateName(name)));
            }
            if object.len() == self.limits.members {
                return Err(self.refuse(Problem::TooManyMembers { most: self.limits.members }));
            }
            let value = source.next_value_seed(inside)?;
            object.push(name, value);
        }
        Ok(Value::Object(object))
    }
}

impl Error {
    /// What the parser stopped at: for our reason where there is one, else for its own.
    fn seen(error: &serde_json::Error, ours: Option<Problem>) -> Self {
        let at = Position { line: error.line(), column: error.column() };
        let what = ours.unwrap_or_else(|| match error.classify() {
            serde_json::error::Category::Eof => Problem::EndsEarly,
            _ => Problem::Syntax(without_position(&error.to_string())),
        });
        Self { what, at: (at.line > 0).then_some(at) }
    }
}

fn without_position(text: &str) -> String {
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

impl From<Problem> for Error {
    fn from(what: Problem) -> Self {
        Self { what, at: None }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(Position { line, column }) => {
                write!(f, "line {line}, column {column}: {}", self.what)
            }
            None => self.what.fmt(f),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the text is not UTF-8"),
            Self::ByteOrderMark => f.write_str("the text begins with a byte order mark"),
            Self::EndsEarly => f.write_str("the text ends inside a value"),
            Self::Trailing => f.write_str("something follows the value"),
            Self::Syntax(seen) => f.write_str(seen),
            Self::DuplicateName(name) => write!(f, "{name:?} stands twice in one map"),
            Self::TooDeep { most } => {
                write!(f, "more than {most} lists and maps stand inside each other")
            }
            Self::TooManyMembers { most } => write!(f, "a map has more than {most} members"),
            Self::PointerStart => f.write_str("a JSON pointer begins with /"),
            Self::PointerEscape => f.write_str("a ~ in a JSON pointer is followed by 0 or 1"),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Value {
        parse(text.as_bytes(), Limits::TOKEN).unwrap()
    }

    fn refused(text: impl AsRef<[u8]>) -> Problem {
        parse(text.as_ref(), Limits::TOKEN).unwrap_err().what
    }

    fn string(text: &str) -> Value {
        Value::String(text.to_owned())
    }

    fn syntax(seen: &str) -> Problem {
        Problem::Syntax(seen.to_owned())
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let table = [
            ("null", Value::Null, "null"),
            ("true", Value::Bool(true), "a boolean"),
            ("-7", Value::Integer(-7), "a number"),
            ("1.5", Value::Float(1.5), "a number"),
            (r#""a""#, string("a"), "a string"),
            ("[1,[]]", Value::Array(vec![Value::Integer(1), Value::Array(vec![])]), "a list"),
            ("{}", Value::Object(Object::default()), "a map"),
            (" \t\r\n0 ", Value::Integer(0), "a number"),
        ];
        for (text, value, kind) in table {
            assert_eq!(parsed(text), value, "{text}");
            assert_eq!(value.kind(), kind);
        }
    }

    #[test]
    fn accessors_answer_for_their_own_kind_only() {
        assert_eq!(string("a").as_str(), Some("a"));
        assert_eq!(Value::Bool(false).as_bool(), Some(false));
        assert_eq!(parsed("[null]").as_array(), Some(&[Value::Null][..]));
        assert_eq!(parsed("{}").as_object(), Some(&Object::default()));
        assert_eq!(Value::Null.as_str(), None);
        assert_eq!(Value::Null.as_bool(), None);
        assert_eq!(Value::Null.as_array(), None);
        assert_eq!(Value::Null.as_object(), None);
        assert_eq!(string("1").integer(), None);
        assert_eq!(string("1").numeric_date(), None);
    }

    #[test]
    fn members_keep_their_order_and_are_found_by_name() {
        let value = parsed(r#"{"b":1,"a":2,"c":{"a":3}}"#);
        let object = value.as_object().unwrap();
        assert_eq!(object.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "a", "c"]);
        assert_eq!(object.get("a"), Some(&Value::Integer(2)));
        assert_eq!(object.get("b"), Some(&Value::Integer(1)));
        assert_eq!(object.get("d"), None);
        assert_eq!(object.get(""), None);
        assert_eq!((object.len(), object.is_empty()), (3, false));
        assert!(Object::default().is_empty());
    }

    #[test]
    fn the_order_of_members_means_nothing() {
        assert_eq!(parsed(r#"{"a":1,"b":[2]}"#), parsed(r#"{"b":[2],"a":1}"#));
        assert_ne!(parsed(r#"{"a":1,"b":2}"#), parsed(r#"{"a":2,"b":1}"#));
        assert_ne!(parsed(r#"{"a":1}"#), parsed(r#"{"a":1,"b":2}"#));
    }

    #[test]
    fn a_name_stands_once_in_an_object() {
        let table = [
            (r#"{"aud":1,"aud":2}"#, "aud"),
            (r#"{"aud":1,"aud":1}"#, "aud"),
            (r#"{"aud":1,"\u0061ud":2}"#, "aud"),
            (r#"{"\u0061\u0075\u0064":1,"x":0,"aud":2}"#, "aud"),
            (r#"{"cnf":{"x5t#S256":1,"x5t#S256":2}}"#, "x5t#S256"),
            (r#"[{"":1,"":2}]"#, ""),
            (r#"{"\ud834\udd1e":1,"𝄞":2}"#, "𝄞"),
        ];
        for (text, name) in table {
            assert_eq!(refused(text), Problem::DuplicateName(name.to_owned()), "{text}");
        }
        assert_eq!(parsed(r#"{"aud":1,"Aud":2,"a":{"aud":3}}"#).as_object().map(Object::len), Some(3));
    }

    #[test]
    fn names_are_not_normalised() {
        // é as one character and as two.
        assert_eq!(parsed(r#"{"\u00e9":1,"e\u0301":2}"#).as_object().map(Object::len), Some(2));
    }

    #[test]
    fn numbers_beyond_64_bits_keep_their_magnitude() {
        assert_eq!(parsed("9223372036854775807"), Value::Integer(i64::MAX));
        assert_eq!(parsed("-9223372036854775808"), Value::Integer(i64::MIN));
        assert_eq!(parsed("9223372036854775808"), Value::Float(9_223_372_036_854_775_808.0));
        assert_eq!(parsed("18446744073709551616"), Value::Float(18_446_744_073_709_551_616.0));
        assert_eq!(parsed("-9223372036854775809"), Value::Float(-9_223_372_036_854_775_808.0));
        assert_eq!(parsed("1E3"), Value::Float(1000.0));
        assert_eq!(parsed("1e-400"), Value::Float(0.0));
        assert_eq!(parsed("1e308"), Value::Float(1e308));
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["1e400", "-1e400", "1e999999999999"] {
            assert_eq!(refused(text), syntax("number out of range"), "{text}");
        }
        for text in [
            "01",
            "-01",
            "1.",
            "1.e1",
            "1e+",
            "+1",
            ".5",
            "-",
            "0x10",
            "NaN",
            "-NaN",
            "Infinity",
            "-Infinity",
            "nan",
            "1_000",
        ] {
            assert!(parse(text.as_bytes(), Limits::TOKEN).is_err(), "{text}");
        }
    }

    #[test]
    fn whole_numbers_are_integers_however_they_are_written() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("5", Some(5)),
            ("5.0", Some(5)),
            ("5e2", Some(500)),
            ("-5.0", Some(-5)),
            ("5.5", None),
            ("9007199254740991.0", Some(9_007_199_254_740_991)),
            ("9007199254740992.0", None),
            ("9007199254740993", Some(9_007_199_254_740_993)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("1e300", None),
            (r#""5""#, None),
            ("true", None),
            ("null", None),
            ("[5]", None),
        ];
        for (text, integer) in table {
            assert_eq!(parsed(text).integer(), integer, "{text}");
        }
    }

    #[test]
    fn numeric_dates_are_whole_seconds_below_2_to_the_53() {
        let table = [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("-0.0", Some(0)),
            ("1500000000", Some(1_500_000_000)),
            ("1.5e9", Some(1_500_000_000)),
            ("1500000000.999", Some(1_500_000_000)),
            ("0.5", Some(0)),
            ("2147483648", Some(2_147_483_648)),
            ("9007199254740991", Some(9_007_199_254_740_991)),
            ("9007199254740992", None),
            ("9007199254740992.0", None),
            ("9223372036854775807", None),
            ("9223372036854775808", None),
            ("18446744073709551616", None),
            ("99999999999999999999", None),
            ("1e308", None),
            ("-1", None),
            ("-0.5", None),
            ("-1e308", None),
            (r#""1500000000""#, None),
            ("true", None),
            ("null", None),
            ("[1500000000]", None),
            ("{}", None),
        ];
        for (text, seconds) in table {
            assert_eq!(parsed(text).numeric_date(), seconds, "{text}");
        }
    }

    #[test]
    fn text_is_clean_utf_8() {
        assert_eq!(parsed(r#""\u00e9é\ud834\udd1e""#), string("éé𝄞"));
        assert_eq!(parsed(r#""\u0000""#), string("\0"));
        let octets: [&[u8]; 6] =
            [b"\"\xff\"", b"\"\xed\xa0\x80\"", b"\"\xc0\x80\"", b"\"\xe9\"", b"{\"\x80\":1}", b"\xff"];
        for text in octets {
            assert_eq!(refused(text), Problem::NotUtf8, "{}", text.escape_ascii());
        }
        assert_eq!(refused("\u{feff}{}"), Problem::ByteOrderMark);
        for text in
            [r#""\ud800""#, r#""\udc00""#, r#""\ud800\ud800""#, r#""\ud800\n""#, r#""\udd1e\ud834""#, r#"{"\udead":1}"#]
        {
            assert!(matches!(refused(text), Problem::Syntax(_)), "{text}");
        }
        assert_eq!(refused("\"\0\""), syntax("control character (\\u0000-\\u001F) found while parsing a string"));
    }

    #[test]
    fn one_value_and_nothing_after_it() {
        for text in ["{} {}", "1 2", "null,", "[]]", "{}\0", "\"a\"x"] {
            assert_eq!(refused(text), Problem::Trailing, "{text:?}");
        }
        for text in ["", " ", "{", "[1,", r#"{"a""#, r#""a"#, "tru"] {
            assert_eq!(refused(text), Problem::EndsEarly, "{text:?}");
        }
        for text in ["[1,]", r#"{"a":1,}"#, "{a:1}", "'a'", "// a\n1", "[1 2]", r#"{"a" 1}"#] {
            assert!(matches!(refused(text), Problem::Syntax(_)), "{text:?}");
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        let mixed = |depth: usize| r#"{"a":["#.repeat(depth) + &"]}".repeat(depth);
        assert!(parse(nested(16).as_bytes(), Limits::TOKEN).is_ok());
        assert_eq!(refused(nested(17)), Problem::TooDeep { most: 16 });
        assert!(parse(mixed(8).as_bytes(), Limits::TOKEN).is_ok());
        assert_eq!(refused(mixed(9)), Problem::TooDeep { most: 16 });
        assert!(parse(nested(32).as_bytes(), Limits::DOCUMENT).is_ok());
        let error = parse(nested(33).as_bytes(), Limits::DOCUMENT).unwrap_err();
        assert_eq!(error.what, Problem::TooDeep { most: 32 });
    }

    #[test]
    fn a_hundred_thousand_brackets_are_only_an_error() {
        assert_eq!(refused("[".repeat(100_000)), Problem::TooDeep { most: 16 });
        assert_eq!(refused(r#"{"a":"#.repeat(100_000)), Problem::TooDeep { most: 16 });
        let unbounded = Limits { depth: usize::MAX, members: 1 };
        let error = parse("[".repeat(100_000).as_bytes(), unbounded).unwrap_err();
        assert_eq!(error.what, syntax("recursion limit exceeded"));
    }

    #[test]
    fn members_of_one_object_are_bounded() {
        let object =
            |count: usize| format!("{{{}}}", (0..count).map(|n| format!(r#""{n}":0"#)).collect::<Vec<_>>().join(","));
        assert!(parse(object(256).as_bytes(), Limits::TOKEN).is_ok());
        assert_eq!(refused(object(257)), Problem::TooManyMembers { most: 256 });
        assert_eq!(refused(object(10_000)), Problem::TooManyMembers { most: 256 });
        assert!(parse(object(4096).as_bytes(), Limits::DOCUMENT).is_ok());
        let pair = format!("[{},{}]", object(256), object(256));
        assert!(parse(pair.as_bytes(), Limits::TOKEN).is_ok());
    }

    #[test]
    fn an_error_says_where() {
        let error = |text: &str| parse(text.as_bytes(), Limits::TOKEN).unwrap_err().to_string();
        assert_eq!(error("{\n  \"a\": 1,\n  \"a\": 2\n}"), "line 3, column 5: \"a\" stands twice in one map");
        assert_eq!(error("{\n  \"a\" 1}"), "line 2, column 7: expected `:`");
        assert_eq!(error("{} x"), "line 1, column 4: something follows the value");
        assert_eq!(error("{"), "line 1, column 1: the text ends inside a value");
        assert_eq!(error("\u{feff}"), "the text begins with a byte order mark");
    }

    // Pointers

    fn pointer(text: &str) -> Pointer {
        Pointer::parse(text).unwrap()
    }

    #[test]
    fn rfc_6901_section_5_is_followed() {
        let document =
            parsed(r#"{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}"#);
        let found = |text| pointer(text).find(&document).cloned();
        assert_eq!(found(""), Some(document.clone()));
        assert_eq!(found("/foo"), Some(Value::Array(vec![string("bar"), string("baz")])));
        assert_eq!(found("/foo/0"), Some(string("bar")));
        let table = ["/", "/a~1b", "/c%d", "/e^f", "/g|h", "/i\\j", "/k\"l", "/ ", "/m~0n"];
        for (number, text) in (0..).zip(table) {
            assert_eq!(found(text), Some(Value::Integer(number)), "{text}");
        }
    }

    #[test]
    fn a_pointer_to_nothing_finds_nothing() {
        let document = parsed(r#"{"a":["b"],"01":1,"n":null,"s":"text"}"#);
        for text in [
            "/b",
            "/a/1",
            "/a/-",
            "/a/00",
            "/a/01",
            "/a/+0",
            "/a/",
            "/a/0/x",
            "/a/99999999999999999999999",
            "/s/0",
            "/n/a",
            "//",
            "/A",
        ] {
            assert_eq!(pointer(text).find(&document), None, "{text}");
        }
        assert_eq!(pointer("/n").find(&document), Some(&Value::Null));
        assert_eq!(pointer("/01").find(&document), Some(&Value::Integer(1)));
    }

    #[test]
    fn escapes_are_read_once() {
        let document = parsed(r#"{"~1":1,"/":2,"~":3}"#);
        assert_eq!(pointer("/~01").find(&document), Some(&Value::Integer(1)));
        assert_eq!(pointer("/~1").find(&document), Some(&Value::Integer(2)));
        assert_eq!(pointer("/~0").find(&document), Some(&Value::Integer(3)));
    }

    #[test]
    fn what_is_no_pointer_is_refused() {
        for text in ["a", "a/b", "realm_access.roles", "#/a", " /a", "~0"] {
            assert_eq!(Pointer::parse(text), Err(Problem::PointerStart.into()), "{text}");
        }
        for text in ["/~", "/~2", "/a~", "/a/~~0", "/~a"] {
            assert_eq!(Pointer::parse(text), Err(Problem::PointerEscape.into()), "{text}");
        }
    }

    #[test]
    fn one_pointer_starts_with_another_by_whole_names() {}

    #[test]
    fn a_pointer_shows_itself_as_it_was_written() {
        assert_eq!(pointer("/a~1b/0").as_str(), "/a~1b/0");
        assert_eq!(pointer("/a~1b/0").to_string(), "/a~1b/0");
    }
}
