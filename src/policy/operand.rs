//! A value that a rule compares with: as written, or holding one reference (`configuration.md` §1, rule 6).

use crate::jose::json::{self, Pointer, Value};

use super::pattern::is_name;
use super::truth::Truth;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operand {
    Text(String),
    Integer(i64),
    Bool(bool),
    /// Text around one reference.
    Reference {
        before: String,
        of: Reference,
        after: String,
    },
}

/// What stands in braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `{name}`: what host or path bound.
    Captured(String),
    /// `{/pointer}`: a claim of this token.
    Claim(Pointer),
}

/// Why a text is no operand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// At most one reference stands in a value.
    TwoReferences,
    /// A brace without its other half.
    Brace,
    /// `{…}` holds neither a name nor a JSON pointer.
    Reference(String),
    Pointer(json::Error),
}

impl core::fmt::Display for Error {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::TwoReferences => f.write_str("holds two references; one value takes one"),
            Self::Brace => f.write_str("holds a brace without its other half; a reference is {name} or {/pointer}"),
            Self::Reference(text) => {
                write!(f, "{{{text}}} is neither a name nor a JSON pointer; write {{name}} or {{/pointer}}")
            }
            Self::Pointer(error) => error.fmt(f),
        }
    }
}

/// Where references find what they stand for.
#[derive(Clone, Copy)]
pub struct Bindings<'a> {
    pub captured: &'a [(String, String)],
    /// The claims of the token, where there is one.
    pub claims: &'a dyn Fn(&Pointer) -> Option<&'a Value>,
}

impl Operand {
    pub fn parse(text: &str) -> Result<Self, Error> {
        let Some((before, rest)) = text.split_once('{') else {
            return if text.contains('}') { Err(Error::Brace) } else { Ok(Self::Text(text.to_owned())) };
        };
        let (name, after) = rest.split_once('}').ok_or(Error::Brace)?;
        if before.contains('}') || name.contains('{') {
            return Err(Error::Brace);
        }
        if after.contains(['{', '}']) {
            return Err(Error::TwoReferences);
        }
        Ok(Self::Reference { before: before.to_owned(), of: Reference::parse(name)?, after: after.to_owned() })
    }

    pub fn reference(&self) -> Option<&Reference> {
        match self {
            Self::Reference { of, .. } => Some(of),
            Self::Text(_) | Self::Integer(_) | Self::Bool(_) => None,
        }
    }

    /// Compares without converting: unknown where the types differ, or where the reference stands for nothing.
    pub fn equals(&self, value: &Value, bindings: Bindings<'_>) -> Truth {
        match self {
            Self::Text(text) => value.as_str().map_or(Truth::Unknown, |value| (value == text).into()),
            Self::Integer(number) => match value {
                Value::Integer(_) | Value::Float(_) => (value.integer() == Some(*number)).into(),
                _ => Truth::Unknown,
            },
            Self::Bool(truth) => value.as_bool().map_or(Truth::Unknown, |value| (value == *truth).into()),
            Self::Reference { before, of, after } => match (value.as_str(), of.find(bindings)) {
                (Some(value), Some(found)) => is_joined(value, [before, found, after]).into(),
                _ => Truth::Unknown,
            },
        }
    }

    /// The same for a text that is no claim, as a name in a certificate.
    pub fn equals_text(&self, text: &str, bindings: Bindings<'_>) -> Truth {
        match self {
            Self::Text(own) => (own == text).into(),
            Self::Integer(_) | Self::Bool(_) => Truth::Unknown,
            Self::Reference { before, of, after } => {
                of.find(bindings).map_or(Truth::Unknown, |found| is_joined(text, [before, found, after]).into())
            }
        }
    }
}

impl Reference {
    pub fn parse(name: &str) -> Result<Self, Error> {
        match name {
            _ if name.starts_with('/') => Pointer::parse(name).map(Self::Claim).map_err(Error::Pointer),
            _ if is_name(name) => Ok(Self::Captured(name.to_owned())),
            _ => Err(Error::Reference(name.to_owned())),
        }
    }

    /// The text it stands for; none where that is absent or no text.
    pub fn find<'a>(&self, bindings: Bindings<'a>) -> Option<&'a str> {
        match self {
            Self::Captured(name) => {
                bindings.captured.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
            }
            Self::Claim(place) => (bindings.claims)(place)?.as_str(),
        }
    }
}

fn is_joined(whole: &str, [before, middle, after]: [&str; 3]) -> bool {
    whole.strip_prefix(before).and_then(|rest| rest.strip_suffix(after)) == Some(middle)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::json::{Limits, parse};

    fn equals(operand: &str, value: &str) -> Truth {
        let claims = parse(br#"{"org": "A", "n": 7}"#, Limits::TOKEN).unwrap();
        let captured = [("tenant".to_owned(), "globex".to_owned())];
        let find = |place: &Pointer| place.find(&claims);
        let bindings = Bindings { captured: &captured, claims: &find };
        let value = parse(value.as_bytes(), Limits::TOKEN).unwrap();
        Operand::parse(operand).unwrap().equals(&value, bindings)
    }

    #[test]
    fn a_reference_is_compared_octet_by_octet_and_never_converted() {
        for (operand, value, expected) in [
            ("{tenant}", r#""globex""#, Truth::True),
            ("{tenant}", r#""Globex""#, Truth::False),
            ("org-{tenant}!", r#""org-globex!""#, Truth::True),
            ("org-{tenant}", r#""org-globex!""#, Truth::False),
            ("{/org}", r#""A""#, Truth::True),
            ("{/n}", "7", Truth::Unknown),
            ("{/absent}", r#""A""#, Truth::Unknown),
            ("{absent}", r#""A""#, Truth::Unknown),
            ("{tenant}", "5", Truth::Unknown),
            ("{tenant}", r#"["globex"]"#, Truth::Unknown),
            ("7", "7", Truth::Unknown),
        ] {
            assert_eq!(equals(operand, value), expected, "{operand} {value}");
        }
    }

    #[test]
    fn at_most_one_reference_stands_in_a_value() {
        assert_eq!(Operand::parse("{a}{b}"), Err(Error::TwoReferences));
        for text in ["{a", "a}", "}a{", "{{a}}"] {
            assert_eq!(Operand::parse(text), Err(Error::Brace), "{text}");
        }
        assert_eq!(Operand::parse("{a b}"), Err(Error::Reference("a b".into())));
        assert_eq!(Operand::parse("{}"), Err(Error::Reference(String::new())));
    }
}
