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
    /// Positions in `members`, sorted by name.
    by_name: Vec<usize>,
}

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
    /// For configuration files, key sets and answers of an authorization server.
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
    pub fn integer(&self) -> Option<i64> {
        match *self {
            Self::Integer(number) => Some(number),
            // In this range the conversion is exact.
            Self::Float(number) if number.fract() == 0.0 && number.abs() < EXACT => Some(number as i64),
            _ => None,
        }
    }

    /// Seconds since 1970 (RFC 7519 §2): a number from 0 to below 2^53, its fraction cut off.
    pub fn numeric_date(&self) -> Option<u64> {
        match *self {
            Self::Integer(number) => u64::try_from(number).ok().filter(|&seconds| seconds < 1 << 53),
            // In this range the conversion only cuts off the fraction.
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

impl Object {
    pub fn get(&self, name: &str) -> Option<&Value> {
        let position = self.by_name.get(self.place(name).ok()?)?;
        self.members.get(*position).map(|(_, value)| value)
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

    /// Where `name` stands in `by_name`, or where it would.
    fn place(&self, name: &str) -> Result<usize, usize> {
        let compare = |position: &usize| self.members.get(*position).map_or(Ordering::Less, |(other, _)| other.as_str().cmp(name));
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

    /// Whether this points at what `other` points at, or at something inside it.
    pub fn starts_with(&self, other: &Self) -> bool {
        self.names.starts_with(&other.names)
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

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        // Above 2^63 only the magnitude is kept, as for any number with an exponent.
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
        let mut object = Object::default();
        while let Some(name) = source.next_key::<String>()? {
            let Err(place) = object.place(&name) else {
                return Err(self.refuse(Problem::DuplicateName(name)));
            };
            if object.len() == self.limits.members {
                return Err(self.refuse(Problem::TooManyMembers { most: self.limits.members }));
            }
            let value = source.next_value_seed(inside)?;
            object.by_name.insert(place, object.members.len());
            object.members.push((name, value));
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
            Some(Position { line, column }) => write!(f, "line {line}, column {column}: {}", self.what),
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
            Self::TooDeep { most } => write!(f, "more than {most} lists and maps stand inside each other"),
            Self::TooManyMembers { most } => write!(f, "a map has more than {most} members"),
            Self::PointerStart => f.write_str("a JSON pointer begins with /"),
            Self::PointerEscape => f.write_str("a ~ in a JSON pointer is followed by 0 or 1"),
        }
    }
}

impl std::error::Error for Error {}
