//! Configurations: what they mean, and the document that says so.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::pool::{CERTIFICATES, OURS, SPIFFE_ID, THEIRS};
use super::scenario::mostly;

/// One configuration.
#[derive(Clone, Debug)]
pub struct Setting {
    /// The bank has a key endpoint.
    pub keys: bool,
    /// Seconds that the bank's introspection answers serve, and how many more while it does not answer.
    pub introspection: Option<(u64, u64)>,
    pub leeway: u64,
    /// A second issuer is there, with keys alone.
    pub other: bool,
    pub unchecked_validity: bool,
    /// The bank's client `n26` is known by this certificate where its token is bound to none.
    pub client: Option<Named>,
    /// Nobody may be clerk and auditor.
    pub exclusive: bool,
    pub deny: Vec<Rule>,
    pub routes: Vec<Route>,
}

pub const BANK: usize = 0;
pub const OTHER: usize = 1;
pub const IDENTIFIERS: [&str; 2] = ["https://login.bank.example", "https://other.example"];
const NAMES: [&str; 2] = ["bank", "other"];
pub const AUDIENCE: &str = "https://api.bank.example";
pub const OTHER_AUDIENCE: &str = "https://accounts.bank.example";

#[derive(Clone, Debug)]
pub struct Route {
    pub place: Place,
    pub allow: Allow,
    /// Instead of the binding to a certificate.
    pub when_bound: bool,
    pub plaintext: bool,
    pub scopes: Vec<&'static str>,
    pub issuers: Vec<usize>,
    /// Instead of the issuer's audience.
    pub other_audience: bool,
    /// The bank is asked about its JWTs too.
    pub revocation: bool,
    /// Since the user logged in, in seconds.
    pub max_age: Option<u64>,
    pub passes_preflight: bool,
    pub oddities: Vec<Oddity>,
}

/// What services read in different ways in a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oddity {
    EncodedSlash,
    EmptySegment,
    Semicolon,
}

/// Where a route stands, in the order in which they are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `GET /public`
    Public,
    /// `/accounts/{captured}`
    Accounts,
    /// `/t/**` of `{captured}.saas.example`
    Tenants,
    /// `POST /orders`
    Orders,
    /// `GET` and `POST` of all the rest
    Rest,
}

#[derive(Clone, Debug)]
pub enum Allow {
    Public,
    Authenticated,
    Rules(Vec<Rule>),
}

/// One condition of each kind.
#[derive(Clone, Debug, Default)]
pub struct Rule {
    pub role: Option<&'static str>,
    pub client: Option<&'static str>,
    pub issuer: Option<usize>,
    pub claim: Option<(&'static str, Test)>,
    pub certificate: Option<Named>,
    /// Whether no user stands behind the token, or one does.
    pub of_client: Option<bool>,
    pub acr: Option<&'static str>,
    pub scopes: Vec<&'static str>,
    pub without_token: bool,
    pub not: Option<Box<Rule>>,
}

#[derive(Clone, Copy, Debug)]
pub enum Test {
    Equals(&'static str),
    /// What host or path bound.
    Captured,
    Contains(&'static str),
    Present,
}

#[derive(Clone, Copy, Debug)]
pub enum Named {
    Digest(usize),
    Workload,
}

impl Route {
    pub fn reads_token(&self) -> bool {
        match &self.allow {
            Allow::Public => false,
            Allow::Authenticated => true,
            Allow::Rules(rules) => rules.iter().any(|rule| !rule.without_token),
        }
    }
}

impl Place {
    pub const ALL: [Self; 5] = [Self::Public, Self::Accounts, Self::Tenants, Self::Orders, Self::Rest];

    pub fn name(self) -> &'static str {
        ["public", "accounts", "tenants", "orders", "rest"][self as usize]
    }

    fn document(self) -> Value {
        match self {
            Self::Public => json!({"methods": ["GET"], "path": "/public"}),
            Self::Accounts => json!({"path": "/accounts/{captured}"}),
            Self::Tenants => json!({"host": "{captured}.saas.example", "path": "/t/**"}),
            Self::Orders => json!({"methods": ["POST"], "path": "/orders"}),
            Self::Rest => json!({"methods": ["GET", "POST"], "path": "/**"}),
        }
    }
}

/// The menu of rules; `captures` where the route binds a name.
fn rule(number: usize, captures: bool) -> Rule {
    let workload = Some(Named::Workload);
    match number {
        0 => Rule { scopes: vec!["a"], ..Rule::default() },
        1 => Rule { role: Some("clerk"), ..Rule::default() },
        2 => Rule { client: Some("n26"), ..Rule::default() },
        3 => Rule { claim: Some(("/tier", Test::Equals("gold"))), ..Rule::default() },
        4 if captures => Rule { claim: Some(("/tenant", Test::Captured)), ..Rule::default() },
        4 | 5 => Rule { claim: Some(("/list", Test::Contains("x"))), ..Rule::default() },
        6 => Rule { claim: Some(("/tier", Test::Present)), scopes: vec!["a", "b"], ..Rule::default() },
        7 => Rule { certificate: Some(Named::Digest(OURS)), without_token: true, ..Rule::default() },
        8 => Rule { certificate: workload, without_token: true, ..Rule::default() },
        9 => Rule { certificate: Some(Named::Digest(OURS)), scopes: vec!["a"], ..Rule::default() },
        10 => Rule { scopes: vec!["a"], not: Some(Box::new(rule(1, false))), ..Rule::default() },
        11 => Rule { client: Some("n26"), not: Some(Box::new(rule(3, false))), ..Rule::default() },
        12 => Rule { client: Some("n26"), certificate: workload, ..Rule::default() },
        13 => Rule { of_client: Some(true), ..Rule::default() },
        14 => Rule { of_client: Some(false), scopes: vec!["a"], ..Rule::default() },
        15 => Rule { client: Some("n26"), acr: Some("gold"), ..Rule::default() },
        _ => Rule { claim: Some(("/act/sub", Test::Equals("bob"))), ..Rule::default() },
    }
}

const RULES: usize = 17;
/// From here on they look at who stands behind a token; only few tokens tell such rules apart.
const LOGINS: usize = 13;

fn deny(number: usize) -> Rule {
    match number {
        0 => Rule { client: Some("evil"), ..Rule::default() },
        1 => Rule { certificate: Some(Named::Digest(THEIRS)), ..Rule::default() },
        2 => Rule { claim: Some(("/tier", Test::Equals("banned"))), ..Rule::default() },
        _ => Rule { scopes: vec!["banned"], ..Rule::default() },
    }
}

pub fn settings() -> BoxedStrategy<Setting> {
    let flag = || prop::bool::weighted(0.2);
    let introspection = prop_oneof![
        2 => Just(Some((30, 0))), 2 => Just(Some((30, 60))), 1 => Just(Some((0, 0))), 2 => Just(None)
    ];
    let denied = prop::collection::vec(0..4_usize, 0..2);
    let routes: Vec<_> = Place::ALL.map(route).into_iter().collect();
    let client = prop_oneof![
        4 => Just(None), 2 => Just(Some(Named::Digest(OURS))), 1 => Just(Some(Named::Workload))
    ];
    let bank = (prop::bool::weighted(0.85), introspection, mostly(vec![30, 0]), client);
    (bank, flag(), flag(), prop::bool::weighted(0.5), denied, routes)
        .prop_map(|((keys, introspection, leeway, client), other, unchecked, exclusive, denied, routes)| {
            let mut setting = Setting {
                keys,
                introspection,
                leeway,
                other,
                unchecked_validity: unchecked,
                client,
                exclusive,
                deny: denied.into_iter().map(deny).collect(),
                routes,
            };
            setting.tidy();
            setting
        })
        .boxed()
}

fn route(place: Place) -> BoxedStrategy<Route> {
    let flag = || prop::bool::weighted(0.2);
    let captures = matches!(place, Place::Accounts | Place::Tenants);
    let numbers = prop_oneof![3 => 0..LOGINS, 2 => LOGINS..RULES];
    let rules = prop::collection::vec(numbers.prop_map(move |number| rule(number, captures)), 1..4);
    let allow = prop_oneof![2 => Just(Allow::Authenticated), 3 => rules.prop_map(Allow::Rules)];
    let allow = match place {
        Place::Public => Just(Allow::Public).boxed(),
        _ => allow.boxed(),
    };
    let issuers = mostly(vec![vec![BANK], vec![BANK, OTHER], vec![OTHER]]);
    let odd = [Oddity::EncodedSlash, Oddity::EmptySegment, Oddity::Semicolon];
    let odd = prop_oneof![2 => Just(vec![]), 1 => prop::sample::subsequence(odd.to_vec(), 1..=3)];
    let more = (mostly(vec![None, Some(300)]), flag(), odd, prop::bool::weighted(0.4));
    (allow, flag(), flag(), mostly(vec![vec![], vec!["b"]]), issuers, flag(), more)
        .prop_map(move |(allow, when_bound, plaintext, scopes, issuers, other_audience, more)| Route {
            place,
            allow,
            when_bound,
            plaintext,
            scopes,
            issuers,
            other_audience,
            max_age: more.0,
            passes_preflight: more.1,
            oddities: more.2,
            revocation: more.3,
        })
        .boxed()
}

impl Setting {
    /// Leaves the issuers that are there, and nothing that a configuration can't say; where a route takes several issuers, a rule
    /// by client or claim says whose.
    fn tidy(&mut self) {
        for route in &mut self.routes {
            if !self.other {
                route.issuers = vec![BANK];
            }
            route.revocation &= self.introspection.is_some() && route.issuers == [BANK];
            let Allow::Rules(rules) = &mut route.allow else { continue };
            // Where some caller needs no token, nothing that stands in one is asked of all of them.
            if rules.iter().any(|rule| rule.without_token) {
                (route.scopes, route.other_audience, route.max_age) = (vec![], false, None);
            }
            for rule in rules {
                let asks = rule.client.is_some() || rule.claim.is_some();
                rule.issuer = (asks && route.issuers.len() > 1).then_some(BANK);
                if let Some(not) = &mut rule.not {
                    let asks = not.client.is_some() || not.claim.is_some();
                    not.issuer = (asks && route.issuers.len() > 1).then_some(BANK);
                }
            }
        }
        if self.other {
            for rule in &mut self.deny {
                rule.issuer = (rule.client.is_some() || rule.claim.is_some()).then_some(BANK);
            }
        }
    }

    pub fn document(&self) -> Value {
        let mut document = json!({
            "issuers": self.issuers(),
            "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
            "roles": {"includes": {"manager": ["clerk"], "chief": ["auditor"]}},
            "routes": self.routes.iter().map(|route| route.document(self.other)).collect::<Vec<_>>()
        });
        if self.unchecked_validity {
            document["peer_certificate"]["danger_unchecked_validity"] = json!(true);
        }
        if self.exclusive {
            document["roles"]["exclusive"] = json!([["clerk", "auditor"]]);
        }
        if !self.deny.is_empty() {
            document["deny"] = self.deny.iter().map(Rule::document).collect();
        }
        document
    }

    fn issuers(&self) -> Vec<Value> {
        let issuer = |id: usize| {
            json!({
                "issuer": IDENTIFIERS[id], "name": NAMES[id], "audiences": [AUDIENCE], "leeway": format!("{}s", self.leeway),
                "roles": {"at": ["/roles"], "only": ["clerk", "manager", "auditor", "chief"]}
            })
        };
        let mut bank = issuer(BANK);
        if self.keys {
            bank["jwks"] = json!({"cluster": "bank", "path": "/jwks"});
        }
        if let Some((cache, stale)) = self.introspection {
            bank["introspection"] = json!({
                "cluster": "bank", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"},
                "cache": format!("{cache}s"), "stale_if_error": format!("{stale}s")
            });
        }
        if let Some(named) = self.client {
            bank["clients"] = json!([{"client": "n26", "certificate": named.document()}]);
        }
        let mut other = issuer(OTHER);
        other["jwks"] = json!({"cluster": "other", "path": "/jwks"});
        if self.other { vec![bank, other] } else { vec![bank] }
    }
}

impl Route {
    fn document(&self, several: bool) -> Value {
        let mut document = self.place.document();
        document["name"] = json!(self.place.name());
        document["allow"] = match &self.allow {
            Allow::Public => json!("public"),
            Allow::Authenticated => json!("authenticated"),
            Allow::Rules(rules) => rules.iter().map(Rule::document).collect(),
        };
        if !self.oddities.is_empty() {
            document["danger_allow_path"] = self.oddities.iter().map(|oddity| oddity.name()).collect();
        }
        if self.passes_preflight {
            document["cors_preflight"] = json!("pass");
        }
        if !self.reads_token() {
            return document;
        }
        document["binding"] = json!(if self.when_bound { "when_bound" } else { "certificate" });
        if self.revocation {
            document["revocation"] = json!("introspection");
        }
        if self.plaintext {
            document["danger_allow_plaintext"] = json!(true);
        }
        if !self.scopes.is_empty() {
            document["scopes"] = json!(self.scopes);
        }
        if several {
            document["issuer"] = self.issuers.iter().map(|id| json!(NAMES[*id])).collect();
        }
        if self.other_audience {
            document["audiences"] = json!([OTHER_AUDIENCE]);
        }
        if let Some(max_age) = self.max_age {
            document["max_age"] = json!(format!("{max_age}s"));
        }
        document
    }
}

impl Oddity {
    fn name(self) -> &'static str {
        ["encoded_slash", "empty_segment", "semicolon"][self as usize]
    }
}

impl Rule {
    fn document(&self) -> Value {
        let mut document = json!({});
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                document[name] = value;
            }
        };
        put("role", self.role.map(Value::from));
        put("client", self.client.map(Value::from));
        put("principal", self.of_client.map(|of_client| json!(if of_client { "client" } else { "user" })));
        put("acr_values", self.acr.map(|acr| json!([acr])));
        put("issuer", self.issuer.map(|id| json!(NAMES[id])));
        put("scopes", (!self.scopes.is_empty()).then(|| json!(self.scopes)));
        put("token", self.without_token.then(|| json!("none")));
        put("not", self.not.as_ref().map(|rule| rule.document()));
        put("claims", self.claim.map(|(place, test)| json!({place: test.document()})));
        put("certificate", self.certificate.map(Named::document));
        document
    }
}

impl Test {
    fn document(self) -> Value {
        match self {
            Self::Equals(text) => json!(text),
            Self::Captured => json!("{captured}"),
            Self::Contains(text) => json!({"contains": [text]}),
            Self::Present => json!({"present": true}),
        }
    }
}

impl Named {
    fn document(self) -> Value {
        match self {
            Self::Digest(id) => json!({"sha256": CERTIFICATES[id].hex}),
            Self::Workload => json!({"spiffe_id": SPIFFE_ID}),
        }
    }
}
