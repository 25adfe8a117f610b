//! A document into values with paths: whoever reads says what is wrong where, and goes on, so that all mistakes are told at once.

use core::cell::RefCell;
use core::time::Duration;
use std::collections::HashSet;

use crate::jose::json::{Object, Pointer, Value};

/// Everything wrong with a document, in the order in which it was found.
pub type Found = RefCell<Vec<String>>;

/// A value and where it stands.
#[derive(Clone)]
pub struct Node<'a> {
    pub value: &'a Value,
    pub path: String,
    pub found: &'a Found,
}

/// A map that is read member by member. What nobody asked for is a mistake.
pub struct Map<'a> {
    node: Node<'a>,
    object: &'a Object,
    known: RefCell<Vec<&'static str>>,
    /// Known to the language, and refused.
    waiting: RefCell<Vec<&'static str>>,
}

/// Members that operators write by habit, the field that is meant, and what to write.
const HABITS: [(&str, &str, &str); 22] = [
    ("jwks_uri", "jwks", "write `jwks: {cluster: <Envoy cluster>, path: /jwks}`; a filter reaches only clusters"),
    (
        "introspection_endpoint",
        "introspection",
        "write `introspection: {cluster: <Envoy cluster>, path: /introspect, …}`; a filter reaches only clusters",
    ),
    ("iss", "issuer", "write issuer"),
    ("audience", "audiences", "write audiences: [...]"),
    ("aud", "audiences", "write audiences: [...]"),
    ("algs", "algorithms", "write algorithms: [...]"),
    ("alg", "algorithms", "write algorithms: [...]"),
    ("scope", "scopes", "write scopes: [...]"),
    ("roles_at", "roles", "write roles: {at: [...]}"),
    ("role_claim", "roles", "write roles: {at: [/claim]}"),
    ("rules", "allow", "write allow: [...]"),
    ("require", "allow", "write allow: [...]"),
    ("public", "allow", "write allow: public"),
    ("authenticated", "allow", "write allow: authenticated"),
    ("paths", "path", "write path, one or a list"),
    ("method", "methods", "write methods: [...]"),
    ("hosts", "host", "write host, one or a list"),
    ("client_id", "client", "write client, one or a list"),
    ("clients", "client", "write client, one or a list"),
    ("subject", "claims", "write claims: {/sub: ...}"),
    ("spiffe", "spiffe_id", "write spiffe_id"),
    ("spiffe_ids", "spiffe_id", "write spiffe_id, one or a list"),
];

/// Fields of the language, and where each belongs when it stands elsewhere.
const HOMES: [(&str, &str); 59] = [
    ("jwks", ISSUER),
    ("discovery", ISSUER),
    ("introspection", ISSUER),
    ("algorithms", ISSUER),
    ("profile", ISSUER),
    ("leeway", ISSUER),
    ("max_token_lifetime", ISSUER),
    ("audiences", "an issuer or a route"),
    ("at", "roles of an issuer: roles: {at: [...]}"),
    ("only", "roles of an issuer: roles: {at: [...], only: [...]}"),
    ("scope_format", "claims of an issuer: claims: {scope_format: array}"),
    ("refresh", "jwks of an issuer"),
    ("max_stale", "jwks of an issuer"),
    ("inline", "jwks of an issuer"),
    ("document", "discovery of an issuer"),
    ("cluster", "jwks, introspection or discovery of an issuer"),
    ("client_id", "introspection or claims of an issuer"),
    ("client_secret", "introspection of an issuer"),
    ("auth_method", "introspection of an issuer"),
    ("private_key", "introspection of an issuer"),
    ("token", "introspection of an issuer, a rule or forward"),
    ("cache", "introspection of an issuer"),
    ("origins", "dpop"),
    ("nonce", "dpop"),
    ("nonce_keys", "dpop"),
    ("replay", "dpop"),
    ("danger_admit_when_full", "dpop"),
    ("proofs", "limits"),
    ("chain", "peer_certificate"),
    ("trust_domains", "peer_certificate"),
    ("dns_names", "peer_certificate"),
    ("relays", "peer_certificate"),
    ("includes", "roles at the top: roles: {includes: {...}}"),
    ("exclusive", "roles at the top: roles: {exclusive: [[...]]}"),
    ("clients", ISSUER),
    ("client_token_when", ISSUER),
    ("headers", "forward"),
    ("cors_preflight", "a route or the top"),
    ("acr_values", "a route or a rule of allow"),
    ("max_age", "a route or a rule of allow"),
    ("principal", RULE),
    ("danger_allow_path", ROUTE),
    ("san_email", "certificate of a rule: certificate: {san_email: ...}"),
    ("san_ip", "certificate of a rule: certificate: {san_ip: ...}"),
    ("extended_key_usage", "certificate of a rule: certificate: {extended_key_usage: clientAuth}"),
    ("realm", "challenge"),
    ("resource_metadata", "challenge"),
    ("filter_state", "forward"),
    ("allow", ROUTE),
    ("methods", ROUTE),
    ("path", ROUTE),
    ("host", ROUTE),
    ("scopes", "a route or a rule of allow"),
    ("binding", "a route or the top"),
    ("role", RULE),
    ("client", RULE),
    ("claims", RULE),
    ("certificate", RULE),
    ("spiffe_id", "certificate of a rule: certificate: {spiffe_id: ...}"),
];

const ISSUER: &str = "an issuer: issuers: [{...}]";
const ROUTE: &str = "a route: routes: [{...}]";
const RULE: &str = "a rule: allow: [{...}]";

impl<'a> Node<'a> {
    pub fn wrong(&self, what: impl core::fmt::Display) {
        let mistake = match self.path.as_str() {
            "" => what.to_string(),
            path => format!("{path}: {what}"),
        };
        self.found.borrow_mut().push(mistake);
    }

    fn not_a(&self, wanted: &str) {
        match self.value {
            Value::Integer(number) => self.wrong(format_args!("is the number {number}; write {wanted}")),
            Value::Float(number) => self.wrong(format_args!("is the number {number}; write {wanted}")),
            Value::Bool(truth) => self.wrong(format_args!("is the boolean {truth}; write {wanted}")),
            _ => self.wrong(format_args!("is {}; write {wanted}", self.value.kind())),
        }
    }

    pub fn map(&self) -> Option<Map<'a>> {
        let Some(object) = self.value.as_object() else {
            self.not_a("a map");
            return None;
        };
        if object.is_empty() {
            self.wrong("is empty; leave it out, or say what it is for");
            return None;
        }
        Some(Map { node: self.clone(), object, known: RefCell::default(), waiting: RefCell::default() })
    }

    pub fn text(&self) -> Option<&'a str> {
        match self.value {
            Value::String(text) if text.is_empty() => self.wrong("is empty"),
            Value::String(text) => return Some(text),
            _ => self.not_a("text"),
        }
        None
    }

    pub fn flag(&self) -> Option<bool> {
        let flag = self.value.as_bool();
        if flag.is_none() {
            self.not_a("true or false");
        }
        flag
    }

    /// A list of at least one; its items are told by number.
    pub fn list(&self) -> Vec<Node<'a>> {
        match self.value.as_array() {
            None => self.not_a("a list"),
            Some([]) => self.wrong("is an empty list; leave it out, or say what it is for"),
            Some(items) => self.stand_once(items),
        }
        self.items(|_| None)
    }

    /// What is written twice was meant to be something else.
    fn stand_once(&self, items: &[Value]) {
        let mut texts = HashSet::new();
        for (at, item) in items.iter().enumerate() {
            if item.as_str().is_some_and(|text| !texts.insert(text)) {
                self.found.borrow_mut().push(format!("{}[{at}]: stands in the list twice; take one out", self.path));
            }
        }
    }

    /// A list of at least one, or one value by itself.
    pub fn one_or_more(&self) -> Vec<Node<'a>> {
        match self.value {
            Value::Array(_) => self.list(),
            _ => vec![self.clone()],
        }
    }

    /// A list whose items are told by a name of theirs.
    pub fn named_list(&self, name: impl Fn(&Value) -> Option<&str>) -> Vec<Node<'a>> {
        self.list();
        self.items(|value| name(value).map(str::to_owned))
    }

    fn items(&self, name: impl Fn(&Value) -> Option<String>) -> Vec<Node<'a>> {
        let items = self.value.as_array().unwrap_or_default().iter().enumerate();
        items
            .map(|(at, value)| {
                let label = name(value).filter(|name| is_label(name)).unwrap_or_else(|| at.to_string());
                Node { value, path: format!("{}[{label}]", self.path), found: self.found }
            })
            .collect()
    }

    pub fn texts(&self) -> Vec<&'a str> {
        self.one_or_more().iter().filter_map(Node::text).collect()
    }

    /// One of these words.
    pub fn word<T: Clone>(&self, words: &[(&str, T)]) -> Option<T> {
        let text = self.text()?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meaning)| meaning.clone());
        if found.is_none() {
            let list: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            match list.as_slice() {
                [word] => self.wrong(format_args!("{text:?} is not a word here; write {word}, or leave it out")),
                list => self.wrong(format_args!("{text:?} is none of {}", list.join(", "))),
            }
        }
        found
    }

    /// `500ms`, `30s`, `5m`, `24h`, between two others.
    pub fn duration(&self, least: Duration, most: Duration) -> Option<Duration> {
        if let Some(number) = self.value.integer() {
            self.wrong(format_args!(
                "is the number {number}; write a duration with its unit: {}s",
                number.unsigned_abs()
            ));
            return None;
        }
        let Some(text) = self.value.as_str() else {
            self.not_a("a duration with its unit: 500ms, 30s, 5m or 24h");
            return None;
        };
        let Some(duration) = parse_duration(text) else {
            self.wrong(format_args!(
                "{text:?} is no duration; write a whole number and its unit: 500ms, 30s, 5m or 24h"
            ));
            return None;
        };
        if duration < least || duration > most {
            self.wrong(format_args!(
                "{text} is out of range; write {} to {}",
                render_duration(least),
                render_duration(most)
            ));
            return None;
        }
        Some(duration)
    }

    /// `16MiB`.
    pub fn size(&self, least: usize, most: usize) -> Option<usize> {
        if let Some(number) = self.value.integer() {
            self.wrong(format_args!("is the number {number}; write a size with its unit: 16MiB"));
            return None;
        }
        let text = self.text()?;
        let size = parse_size(text);
        match size {
            None => self.wrong(format_args!("{text:?} is no size; write a whole number and its unit: 64KiB or 16MiB")),
            Some(size) if size < least || size > most => {
                self.wrong(format_args!(
                    "{text} is out of range; write {}KiB to {}MiB",
                    least / 1024,
                    most / 1024 / 1024
                ));
            }
            Some(size) => return Some(size),
        }
        None
    }

    pub fn whole(&self, least: usize, most: usize) -> Option<usize> {
        let number = self.value.integer().and_then(|number| usize::try_from(number).ok());
        match number {
            Some(number) if (least..=most).contains(&number) => Some(number),
            Some(number) => {
                self.wrong(format_args!("{number} is out of range; write {least} to {most}"));
                None
            }
            None => {
                self.not_a(&format!("a whole number, {least} to {most}"));
                None
            }
        }
    }

    pub fn pointer(&self) -> Option<Pointer> {
        let text = self.text()?;
        let pointer = Pointer::parse(text).ok().filter(|_| text.starts_with('/'));
        if pointer.is_none() {
            let suggestion = format!("/{}", text.trim_start_matches('/').replace('.', "/"));
            self.wrong(format_args!("{text:?} is not a JSON pointer; write {suggestion}"));
        }
        pointer
    }

    /// A secret from the environment; it is never written in the document.
    pub fn secret(&self, environment: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        if !matches!(self.value, Value::Object(_)) {
            self.wrong(
                "a secret written inline would stand in every config dump; write {env: NAME} and give NAME to the VM \
                 (Envoy: vm_config.environment_variables, Istio: vmConfig.env)",
            );
            return None;
        }
        let Some(name) = self.variable() else {
            // Not even the name of a member is repeated: `{s3cr3t}` in YAML is a map.
            self.wrong(
                "is not the name of a variable; write {env: NAME}, in letters, digits and _, and nothing beside it",
            );
            return None;
        };
        match environment(name).filter(|value| !value.is_empty()) {
            Some(value) if value.bytes().all(|byte| matches!(byte, b' '..=b'~')) => Some(value),
            Some(_) => {
                self.wrong(format_args!(
                    "the variable {name} holds something that can't stand in a secret (RFC 6749 A.2), a line break at its end perhaps"
                ));
                None
            }
            None => {
                self.wrong(format_args!(
                    "the VM has no variable {name}, or an empty one; give it (Envoy: vm_config.environment_variables, Istio: vmConfig.env)"
                ));
                None
            }
        }
    }

    /// The variable that `{env: NAME}` names, and nothing else.
    fn variable(&self) -> Option<&'a str> {
        let map = self.value.as_object().filter(|map| map.len() == 1)?;
        let sound =
            |name: &&str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        map.get("env")?.as_str().filter(sound)
    }

    /// Text that goes into a header field or a challenge: visible ASCII, blanks inside, no quotes, no backslash.
    pub fn header_text(&self) -> Option<&'a str> {
        let text = self.text()?;
        let sound = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
        if text.bytes().all(sound) && text.trim() == text {
            return Some(text);
        }
        self.wrong(
            "holds something that can't stand in a header field; write visible ASCII without quotes and backslashes",
        );
        None
    }

    /// Text without blanks that goes into a request line, a header field or the name of a cluster.
    pub fn token_text(&self) -> Option<&'a str> {
        let text = self.header_text()?;
        if text.contains(' ') {
            self.wrong("holds a blank");
            return None;
        }
        Some(text)
    }
}

impl<'a> Map<'a> {
    pub fn node(&self) -> &Node<'a> {
        &self.node
    }

    /// A member, if it is there.
    pub fn get(&self, name: &'static str) -> Option<Node<'a>> {
        self.known.borrow_mut().push(name);
        let value = self.object.get(name)?;
        let node = Node { value, path: join(&self.node.path, name), found: self.node.found };
        if *value == Value::Null {
            node.wrong("is null; leave it out, or write a value");
            return None;
        }
        Some(node)
    }

    /// A member that has to be there.
    pub fn require(&self, name: &'static str) -> Option<Node<'a>> {
        let node = self.get(name);
        if self.object.get(name).is_none() {
            self.node.wrong(format_args!("has no {name}"));
        }
        node
    }

    pub fn has(&self, name: &str) -> bool {
        self.object.get(name).is_some()
    }

    /// Members of the language that this version does not enforce yet.
    pub fn not_yet(&self, names: &[&'static str]) {
        for name in names {
            self.waiting.borrow_mut().push(name);
            if self.has(name) {
                self.wrong_at(
                    name,
                    "is not yet enforced by this version, so it is refused rather than ignored; leave it out",
                );
            }
        }
    }

    pub fn wrong_at(&self, name: &str, what: impl core::fmt::Display) {
        self.node.found.borrow_mut().push(format!("{}: {what}", join(&self.node.path, name)));
    }

    /// All members, for maps whose keys are the operator's.
    pub fn entries(&self) -> impl Iterator<Item = (&'a str, Node<'a>)> {
        self.object.iter().map(|(name, value)| {
            let path = format!("{}[{name:?}]", self.node.path);
            (name, Node { value, path, found: self.node.found })
        })
    }

    /// Says of every member that nobody asked for that it is unknown here.
    pub fn finish(&self) {
        let known = self.known.borrow();
        let waiting = self.waiting.borrow();
        for (name, _) in self.object.iter().filter(|(name, _)| !known.contains(name) && !waiting.contains(name)) {
            let what = match (meant(name, &known), HOMES.iter().find(|(field, _)| *field == name)) {
                (Some(instead), _) => format!("is not a field here; {instead}"),
                (None, Some((_, home))) => format!("is not a field here; it belongs in {home}"),
                (None, None) => format!("is not a field here; there are {}", known.join(", ")),
            };
            self.wrong_at(name, what);
        }
    }
}

/// What to write for `name` where only `known` may stand.
fn meant(name: &str, known: &[&'static str]) -> Option<String> {
    let habit = HABITS.iter().find(|(habit, field, _)| *habit == name && known.contains(field));
    let near = || known.iter().find(|other| is_near(name, other)).map(|other| format!("did you mean {other}?"));
    habit.map(|(_, _, instead)| (*instead).to_owned()).or_else(near)
}

/// Whether a mistake stands at this place or inside it.
pub fn is_told(found: &Found, at: &str) -> bool {
    let inside = |mistake: &String| mistake.strip_prefix(at).is_some_and(|rest| rest.starts_with([':', '.', '[']));
    found.borrow().iter().any(inside)
}

/// Plain names stand after a dot; what could break a log line is quoted.
fn join(path: &str, name: &str) -> String {
    let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    match (plain, path) {
        (false, _) => format!("{path}[{name:?}]"),
        (true, "") => name.to_owned(),
        (true, _) => format!("{path}.{name}"),
    }
}

/// Whether an item can be told by this name of its own.
fn is_label(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'[' | b']'))
}

/// Whether one letter more, less or other makes the one word the other.
fn is_near(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let before = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let after = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    let longest = one.len().max(other.len());
    one.len().abs_diff(other.len()) <= 1 && longest > 2 && before + after + 1 >= longest
}

fn split_unit(text: &str) -> Option<(u64, &str)> {
    let unit = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(unit)?;
    Some((number.parse().ok()?, unit))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let (number, unit) = split_unit(text)?;
    match unit {
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        "m" => Some(Duration::from_secs(number.checked_mul(60)?)),
        "h" => Some(Duration::from_secs(number.checked_mul(3600)?)),
        _ => None,
    }
}

fn render_duration(duration: Duration) -> String {
    match (duration.as_secs(), duration.subsec_millis()) {
        (seconds, millis @ 1..) => format!("{}ms", seconds * 1000 + u64::from(millis)),
        (seconds, _) if seconds > 0 && seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, _) if seconds > 0 && seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, _) => format!("{seconds}s"),
    }
}

fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = split_unit(text)?;
    let number = usize::try_from(number).ok()?;
    match unit {
        "KiB" => number.checked_mul(1024),
        "MiB" => number.checked_mul(1024 * 1024),
        _ => None,
    }
}
