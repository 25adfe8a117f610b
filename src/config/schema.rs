//! The types of [`written`](super::written) into a JSON Schema (draft 2020-12) that editors complete and check by.
//!
//! It says what stands where: fields, words, shapes of text, ranges of numbers. Contradictions between fields are for the
//! loader alone.

use core::marker::PhantomData;
use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value};

use crate::jose::json::Pointer;

use super::written::{Document, Rule, Vocabulary};

/// The whole schema as it is published.
pub fn text() -> String {
    let settings = SchemaSettings::draft2020_12().with_transform(RecursiveTransform(of_every_value));
    let mut schema = settings.into_generator().into_root_schema_for::<Document>();
    schema.insert("$id".to_owned(), "urn:holdfast:configuration".into());
    format!("{:#}", schema.as_value())
}

/// One of the words.
pub struct Word<V>(PhantomData<V>);

/// One value by itself, or a list of them.
pub struct OneOrMore<T>(PhantomData<T>);

/// A map whose keys are the operator's.
pub struct Entries<K, V>(PhantomData<(K, V)>);

/// A rule of `deny`: it asks for no token and for no other login.
pub struct Refusing;

/// A rule of `not`, which does not nest.
pub struct Excepting;

/// What holds of every value, as [`Node`](super::read::Node) reads it: nothing is null, nothing is empty, no text stands in a
/// list twice.
fn of_every_value(schema: &mut Schema) {
    never_null(schema);
    let Some(object) = schema.as_object_mut() else { return };
    // Neither the width of an integer nor the end of a line of source says anything to operators.
    object.remove("format");
    if let Some(Value::String(description)) = object.get_mut("description") {
        *description = description.replace('\n', " ");
    }
    describe_only_member(object);
    let kind = object.get("type").and_then(Value::as_str).unwrap_or_default();
    let is_said = |names: &[&str]| names.iter().any(|name| object.contains_key(*name));
    let least = match kind {
        "object" => "minProperties",
        "array" => "minItems",
        "string" if !is_said(&["pattern", "enum", "const"]) => "minLength",
        _ => return,
    };
    if kind == "array" && object.get("items").and_then(|items| items.get("type")).is_some_and(|kind| kind == "string") {
        object.insert("uniqueItems".to_owned(), true.into());
    }
    object.entry(least).or_insert_with(|| 1.into());
}

/// Where one member is all that there may be, what is said of the whole is said of it: editors complete members.
fn describe_only_member(object: &mut Map<String, Value>) {
    let Some(said) = object.get("description").cloned() else { return };
    let Some(members) = object.get_mut("properties").and_then(Value::as_object_mut).filter(|all| all.len() == 1) else {
        return;
    };
    for member in members.values_mut().filter_map(Value::as_object_mut) {
        member.entry("description").or_insert_with(|| said.clone());
    }
}

/// A field without a value is left out.
fn never_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = kinds.as_slice() {
            let kind = kind.clone();
            object.insert("type".to_owned(), kind);
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
    if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
        choices.retain(|choice| choice.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            for (name, value) in only {
                object.entry(name).or_insert(value);
            }
        }
    }
}

/// A schema that stands where it is used, and has no name of its own.
macro_rules! inline {
    ($name:ident) => {
        fn inline_schema() -> bool {
            true
        }

        fn schema_name() -> Cow<'static, str> {
            stringify!($name).into()
        }
    };
}

impl<V: Vocabulary> JsonSchema for Word<V> {
    inline!(Word);

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let words: Vec<&str> = V::WORDS.iter().map(|(word, _)| *word).collect();
        json_schema!({"type": "string", "enum": words})
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMore<T> {
    inline!(OneOrMore);

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (one, more) = (generator.subschema_for::<T>(), generator.subschema_for::<Vec<T>>());
        json_schema!({"anyOf": [one, more]})
    }
}

impl<K: JsonSchema, V: JsonSchema> JsonSchema for Entries<K, V> {
    inline!(Entries);

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let (names, values) = (generator.subschema_for::<K>(), generator.subschema_for::<V>());
        json_schema!({"type": "object", "propertyNames": names, "additionalProperties": values})
    }
}

impl JsonSchema for Refusing {
    fn schema_name() -> Cow<'static, str> {
        "RefusingRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        rule_without(&["token", "acr_values", "max_age"], generator)
    }
}

impl JsonSchema for Excepting {
    fn schema_name() -> Cow<'static, str> {
        "ExceptingRule".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        rule_without(&["token", "acr_values", "max_age", "not"], generator)
    }
}

fn rule_without(names: &[&str], generator: &mut SchemaGenerator) -> Schema {
    let mut schema = Rule::json_schema(generator);
    if let Some(properties) = schema.get_mut("properties").and_then(Value::as_object_mut) {
        properties.retain(|name, _| !names.contains(&name.as_str()));
    }
    schema
}

impl JsonSchema for Pointer {
    inline!(Pointer);

    /// RFC 6901, and never the whole.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^(/([^/~]|~[01])*)+$"})
    }
}

/// What stands in the document for the types of other rooms.
pub mod shape {
    #![expect(dead_code, reason = "of these types nothing but the shape is ever asked for")]

    use super::super::written::{
        ALWAYS_TOLD, AuthMethods, CLIENT_CERT, Facts, KeyUsages, TAKEN, TAKEN_BEGINNINGS, XFCC,
    };
    use super::{Cow, Entries, JsonSchema, OneOrMore, Pointer, Schema, SchemaGenerator, Word, json_schema};
    use crate::policy::certificate::attribute_names;

    /// Texts by their pattern. A label is `[0-9A-Za-z_-]`, visible ASCII without quote and backslash `[!#-\[\]-~]`.
    macro_rules! texts {
        ($($(#[$about:meta])* $name:ident = $pattern:expr;)+) => {
            $(
                $(#[$about])*
                pub struct $name;

                impl JsonSchema for $name {
                    inline!($name);

                    fn json_schema(_: &mut SchemaGenerator) -> Schema {
                        json_schema!({"type": "string", "pattern": $pattern})
                    }
                }
            )+
        };
    }

    texts! {
        Address = format!("^(?=.*[@{{]){}", REFERRING.trim_start_matches('^'));
        Attribute = format!(r"^({}|[0-9]+(\.[0-9]+){{2,}})$", attribute_names().collect::<Vec<_>>().join("|"));
        Authority = r"^(?!.*[/@?#,])[!#-\[\]-~]+$";
        Cluster = r"^(?!.*://)[!#-\[\]-~]+$";
        Digest = r"^[0-9a-f]{64}$";
        Dns = r"^(\[[0-9A-Fa-f:.]+\]|\*\*|(\*\*\.)?([0-9A-Za-z_-]+|\*)(\.([0-9A-Za-z_-]+|\*))*)$";
        FactName = format!("^(?!({})$)[0-9A-Za-z_]+$", ALWAYS_TOLD.join("|"));
        /// A value of a header field or of a challenge.
        Field = r"^[!#-\[\]-~]([ !#-\[\]-~]*[!#-\[\]-~])?$";
        HeaderName = format!("^(?!({})$|{})[0-9a-z-]{{1,64}}$", TAKEN.join("|"), TAKEN_BEGINNINGS.join("|"));
        Host = concat!(
            r"^(\[[0-9A-Fa-f:.]+\]|\*\*|(\*\*\.)?([0-9A-Za-z_-]+|\*|\{[0-9A-Za-z_]+\})",
            r"(\.([0-9A-Za-z_-]+|\*|\{[0-9A-Za-z_]+\}))*)$"
        );
        HttpsOrigin = r"^[hH][tT][tT][pP][sS]://([0-9A-Za-z._~-]+|\[[0-9A-Fa-f:.]+\])(:([1-9][0-9]{0,4})?)?$";
        Identifier = r"^(?=.{1,256}$)https://(?!/)(?![^/]*@)[!$->@-\[\]-~]+$";
        MetadataUrl = r"^https://[!$-.0-\[\]-~][!$-\[\]-~]*$";
        Method = r"^(?!\*$)[0-9A-Z!#$%&'*+.^_`|~-]+$";
        Name = r"^[0-9a-z._-]{1,64}$";
        /// Text that refers to nothing.
        Plain = r"^[^{}]+$";
        /// Text with at most one reference.
        Operand = REFERRING;
        Path = concat!(
            r"^(/|(/(\*|\{[0-9A-Za-z_]+\}|(?!\.\.?(/|$))[^\u0000-\u001f\u007f-\u009f%?#\\;*{}/]+))+(/\*\*)?/?",
            r"|/\*\*/?)$"
        );
        RelayHeader = format!(
            "^({XFCC}|{CLIENT_CERT}|(?!({})$|{})[0-9a-z-]{{1,64}})$",
            TAKEN.join("|"),
            TAKEN_BEGINNINGS.join("|")
        );
        RequestPath = r"^/[!$-\[\]-~]*$";
        Size = "^[0-9]+(KiB|MiB)$";
        SpiffeId = concat!(
            r"^spiffe://[0-9a-z._-]{1,255}/",
            r"((\*|\{[^{}]+\}|(?!\.\.?(/|$))[0-9A-Za-z._-]+)(/(\*|\{[^{}]+\}|(?!\.\.?(/|$))[0-9A-Za-z._-]+))*(/\*\*)?|\*\*)$"
        );
        /// `500ms`, `30s`, `5m`, `24h`.
        Time = "^[0-9]+(ms|s|m|h)$";
        Token = r"^[!#-\[\]-~]+$";
        TrustDomain = r"^[0-9a-z._-]{1,255}$";
        Uri = format!("^(?![sS][pP][iI][fF][fF][eE]:){}", REFERRING.trim_start_matches('^'));
        Variable = "^[0-9A-Za-z_]+$";
    }

    const REFERRING: &str = r"^(?!$)[^{}]*(\{([0-9A-Za-z_]+|(/([^/~{}]|~[01])*)+)\}[^{}]*)?$";

    // Stands for `client::Authentication`.
    #[derive(JsonSchema)]
    pub struct Authentication {
        /// How we authenticate there.
        #[schemars(with = "Option<Word<AuthMethods>>", extend("default" = "client_secret_basic"))]
        auth_method: Option<String>,
        /// Who we are there. Required, unless `auth_method` is bearer.
        #[schemars(with = "Option<Field>")]
        client_id: Option<String>,
        /// Required where `auth_method` is client_secret_basic or client_secret_post.
        client_secret: Option<Secret>,
        /// A private key as a JWK with `kid` and `alg` (ES256, PS256 or RS256), in one line. Required where `auth_method` is
        /// private_key_jwt.
        private_key: Option<Secret>,
        /// A token of our own. Required where `auth_method` is bearer.
        token: Option<Secret>,
    }

    /// A variable of the VM's environment (Envoy: `vm_config.environment_variables`, Istio: `vmConfig.env`).
    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    pub struct Secret {
        /// Its name.
        #[schemars(with = "Variable")]
        env: String,
    }

    // Stands for `policy::step_up::StepUp`.
    #[derive(JsonSchema)]
    pub struct StepUp {
        /// Levels of login of which the token's `acr` must be one; else 401 with these (RFC 9470).
        #[schemars(with = "Option<Vec<Token>>")]
        acr_values: Option<Vec<String>>,
        /// How long ago the login may be, by `auth_time`: 1s to 8784h, whole seconds; else 401 with this (RFC 9470).
        #[schemars(with = "Option<Time>")]
        max_age: Option<String>,
    }

    // Stands for `effect::Fact`.
    /// A fact, or a claim by its JSON pointer.
    #[derive(JsonSchema)]
    #[schemars(untagged, inline)]
    pub enum Told {
        Fact(Word<Facts>),
        Claim(Pointer),
    }

    // Stands for `policy::operand::Operand`.
    /// Text, a number or a boolean; types are never converted.
    #[derive(JsonSchema)]
    #[schemars(untagged, inline)]
    pub enum Value {
        Text(Operand),
        Integer(#[schemars(range(min = -9_007_199_254_740_991_i64, max = 9_007_199_254_740_991_i64))] i64),
        Bool(bool),
    }

    // Stands for `policy::rule::ClaimTest`.
    /// What a claim must say: a value or one of a list, or a test. In text, `{name}` is what host or path bound and `{/pointer}`
    /// another claim.
    #[derive(JsonSchema)]
    #[schemars(rename_all = "snake_case")]
    pub enum Claim {
        /// A list that has one of these; a text is a list of one.
        Contains(OneOrMore<Value>),
        /// A list that has all of these.
        ContainsAll(OneOrMore<Value>),
        /// It is there, whatever it says.
        Present(#[schemars(extend("const" = true))] bool),
        #[schemars(untagged)]
        OneOf(OneOrMore<Value>),
    }

    // Stands for `policy::certificate::CertificateTest`.
    /// What a certificate must say. Names count only where `peer_certificate` says that the chain is verified.
    #[derive(JsonSchema)]
    #[schemars(deny_unknown_fields)]
    pub struct Certificate {
        /// SPIFFE IDs; a segment is text, `*` or a reference for one, or `**` (last) for any number.
        #[schemars(with = "Option<OneOrMore<SpiffeId>>")]
        spiffe_id: (),
        /// DNS names; a piece between dots is text, `*` for one, or `**` (first) for any number.
        #[schemars(with = "Option<OneOrMore<Dns>>")]
        san_dns: (),
        /// URIs, exactly; for SPIFFE IDs write `spiffe_id`.
        #[schemars(with = "Option<OneOrMore<Uri>>")]
        san_uri: (),
        /// E-mail addresses, exactly.
        #[schemars(with = "Option<OneOrMore<Address>>")]
        san_email: (),
        /// IP addresses, in the spelling of RFC 5952.
        #[schemars(with = "Option<OneOrMore<Operand>>")]
        san_ip: (),
        /// Attributes of the subject by name or object identifier, whatever else stands there.
        #[schemars(with = "Option<Entries<Attribute, OneOrMore<Operand>>>")]
        subject: (),
        /// The SHA-256 of its DER, in 64 lower-case hexadecimal digits. Counts without a verified chain.
        #[schemars(with = "Option<OneOrMore<Digest>>")]
        sha256: (),
        /// What it is for, by its extended key usage, which must be there.
        #[schemars(with = "Option<OneOrMore<Word<KeyUsages>>>")]
        extended_key_usage: (),
    }

    /// Roles of which nobody may hold two.
    pub struct Several;

    impl JsonSchema for Several {
        inline!(Several);

        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            let roles = generator.subschema_for::<String>();
            json_schema!({"type": "array", "items": roles, "minItems": 2})
        }
    }
}
