//! The operator's document into typed settings of every room, or into all of its mistakes at once (`configuration.md`).

use core::cell::RefCell;
use core::fmt;

use crate::callout;
use crate::flow;
use crate::jose::json::{self, Limits, Object, Value};
use crate::token::Kept;

mod compile;
mod read;
#[cfg(feature = "schema")]
pub mod schema;
mod structure;
mod written;

use read::Node;
use written::{Document, Environment};

/// A configuration as it is enforced.
pub struct Compiled {
    pub settings: flow::Settings,
    pub waiting: callout::Limits,
    /// `log: all`: permits are logged too.
    pub log_permits: bool,
    /// What goes below a standard or is easily misunderstood, a line each.
    pub warnings: Vec<String>,
}

/// Everything that is wrong with a document: each where it stands, what it is, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The longest document, in octets.
pub const MAX_DOCUMENT: usize = 1024 * 1024;

/// Loads a document. A secret is a variable that `environment` finds; it stands in no mistake.
pub fn load(document: &[u8], environment: Environment<'_>) -> Result<Compiled, Mistakes> {
    let only = |mistake: String| Err(Mistakes(vec![mistake]));
    let none = "there is none; give the plugin a configuration: issuers, and routes with who may pass";
    if document.trim_ascii().is_empty() {
        return only(none.to_owned());
    }
    if document.len() > MAX_DOCUMENT {
        return only("it is longer than 1 MiB".to_owned());
    }
    let value = match parse(document) {
        Ok(value) => value,
        Err(error) => return only(format!("it is not JSON: {error}")),
    };
    if value == Value::Null || value.as_object().is_some_and(Object::is_empty) {
        return only(none.to_owned());
    }
    let found = RefCell::new(Vec::new());
    let document = Document::read(&Node { value: &value, path: String::new(), found: &found }, environment);
    let kept = Kept::named_in(value.texts().into_iter());
    let compiled = compile::compile(document, kept, &found);
    let mistakes: Vec<String> = found.into_inner().into_iter().map(on_one_line).collect();
    match (compiled, mistakes) {
        (Some(compiled), mistakes) if mistakes.is_empty() => {
            let warnings = compiled.warnings.into_iter().map(on_one_line).collect();
            Ok(Compiled { warnings, ..compiled })
        }
        (None, mistakes) if mistakes.is_empty() => only("it holds nothing".to_owned()),
        (_, mistakes) => Err(Mistakes(mistakes)),
    }
}

/// What a document holds stands in mistakes and warnings; it ends no line of a log.
fn on_one_line(text: String) -> String {
    if !text.contains(char::is_control) {
        return text;
    }
    text.chars()
        .map(|letter| if letter.is_control() { letter.escape_default().to_string() } else { letter.to_string() })
        .collect()
}

/// JSON, or the message that Envoy makes of YAML.
fn parse(document: &[u8]) -> Result<json::Value, json::Error> {
    json::parse(document, Limits::DOCUMENT).or_else(|error| {
        let text = structure::to_json(document).ok_or(error)?;
        json::parse(text.as_bytes(), Limits::DOCUMENT)
    })
}

#[cfg(test)]
mod refusals;
#[cfg(test)]
mod tests;
