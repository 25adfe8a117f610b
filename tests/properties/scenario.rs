//! What may happen: requests with their tokens, answers of servers in any order, and a clock that steps both ways.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::callout::{Answer, NoAnswer, Question, Response};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Value, json};

use super::pool::{CERTIFICATES, KEYS, NOW, OURS};
use super::setting::{AUDIENCE, IDENTIFIERS, OTHER, OTHER_AUDIENCE, Setting, settings};

#[derive(Clone, Debug)]
pub struct Scenario {
    pub setting: Setting,
    pub events: Vec<Event>,
}

#[derive(Clone, Debug)]
pub enum Event {
    /// A request whose questions are answered at once, by these and then by good ones.
    Exchange(Asked, Vec<Said>),
    /// The last of these requests once more, so many seconds later.
    Repeat(i64, Vec<Said>),
    /// A request that is left waiting.
    Request(Asked),
    /// An answer to one of the questions under way, or to one that was answered before.
    Answer(Index, Said),
    Again(Index, Said),
    /// One of those who wait finds no place, or goes.
    Crowded(Index),
    Gone(Index),
    /// The host asks what is due.
    Tick,
    Clock(i64),
    /// The bank replaces its keys.
    Rotate,
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub method: &'static str,
    pub host: &'static str,
    pub path: &'static str,
    pub peer: Shown,
    /// The values of `Authorization`.
    pub credentials: Vec<Vec<u8>>,
    /// The method that a browser says it wants to use.
    pub preflight: Option<&'static str>,
}

/// What the proxy tells of the caller's certificate.
#[derive(Clone, Copy, Debug)]
pub enum Shown {
    Plaintext,
    Anonymous,
    Whole(usize),
    DigestOnly(usize),
    /// The digest of the one, the text of the other.
    Mixed(usize, usize),
    /// A text that is no certificate.
    Broken(usize),
}

/// What a server says.
#[derive(Clone, Debug)]
pub enum Said {
    /// The keys that it has, or that the token is good.
    Good,
    /// Of a token, that it is not active; of keys, that there is none.
    Bad,
    /// Claims changed in an answer that is otherwise good.
    Changed(Vec<usize>),
    Status(u16),
    Body(&'static str),
    /// A good body with one bit turned over.
    Flipped(Index, u8),
    /// A good body without its end.
    Cut(Index),
    None(NoAnswer),
}

/// A token as it is made.
#[derive(Clone, Debug)]
struct Minted {
    key: usize,
    issuer: usize,
    header: usize,
    bound_to: Option<usize>,
    changes: Vec<usize>,
    damage: Damage,
}

#[derive(Clone, Debug)]
enum Damage {
    None,
    Flip(Index, u8),
    Cut(Index),
    /// Header and signature of this token around the claims of another.
    OtherClaims(Vec<usize>),
    OtherHeader(usize),
    NoSignature,
    ZeroSignature,
    Twice,
}

/// The first of `values` twelve times out of thirteen.
pub fn mostly<T: Clone + std::fmt::Debug + 'static>(values: Vec<T>) -> BoxedStrategy<T> {
    let first = values[0].clone();
    prop_oneof![12 => Just(first), 1 => prop::sample::select(values)].boxed()
}

pub fn scenarios() -> BoxedStrategy<Scenario> {
    (settings(), prop::collection::vec(events(), 1..12))
        .prop_map(|(setting, events)| Scenario { setting, events })
        .boxed()
}

fn events() -> BoxedStrategy<Event> {
    let at = any::<Index>;
    let steps = vec![0, 1, 5, 31, 61, 91, 301, 3601, 100_000, -1, -61, -3601, -2_000_000_000, i64::MAX, i64::MIN];
    prop_oneof![
        8 => (asked(), prop::collection::vec(said(), 0..3)).prop_map(|(asked, said)| Event::Exchange(asked, said)),
        4 => (prop::sample::select(vec![1, 31, 61, 91, 340, 3601]), again()).prop_map(|(step, said)| Event::Repeat(step, said)),
        2 => asked().prop_map(Event::Request),
        3 => (at(), said()).prop_map(|(at, said)| Event::Answer(at, said)),
        1 => (at(), said()).prop_map(|(at, said)| Event::Again(at, said)),
        1 => at().prop_map(Event::Crowded),
        1 => at().prop_map(Event::Gone),
        1 => Just(Event::Tick),
        2 => prop::sample::select(steps).prop_map(Event::Clock),
        1 => Just(Event::Rotate),
    ]
    .boxed()
}

/// What a server says when it is asked again; often it is away.
fn again() -> BoxedStrategy<Vec<Said>> {
    prop_oneof![
        1 => prop::collection::vec(said(), 0..2),
        1 => Just(vec![Said::None(NoAnswer::Reset)]),
    ]
    .boxed()
}

fn asked() -> BoxedStrategy<Asked> {
    let methods = mostly(vec!["GET", "POST", "HEAD", "get", "OPTIONS", ""]);
    let hosts = vec![
        "acme.saas.example",
        "api.bank.example",
        "ACME.saas.example:8443",
        "acme.saas.example.",
        "a.b.saas.example",
        "acme.saas.example@evil.example",
        "[::1]:80",
        "",
    ];
    let paths = prop_oneof![
        3 => Just("/accounts/acme"),
        3 => Just("/t/x/y"),
        2 => Just("/orders"),
        2 => Just("/else?q=1"),
        1 => Just("/public"),
        2 => prop::sample::select(vec![
            "/accounts/a%63me/", "/accounts", "/accounts/a%2Fb", "/accounts//", "/accounts/../orders", "/accounts/.%2e/x",
            "/t", "/t/%zz", "/t;x", "/orders/", "//orders", "/orders#", "/or%64ers", "/else?access_token=x", "/\\x", "",
            "*", "orders", "/%00", "/%ff", "/accounts/%C3%A9", "/accounts/x%2fy", "/t//x", "/t/x%3By/%2F", "/accounts/;",
            "/t/..;/x", "/t/x%2F..%2Fy", "/accounts/%e9",
        ]),
    ];
    let preflight =
        prop_oneof![9 => Just(None), 1 => prop::sample::select(vec!["GET", "POST", "PUT", "get", ""]).prop_map(Some)];
    (methods, mostly(hosts), paths, shown(), credentials(), preflight)
        .prop_map(|(method, host, path, peer, mut credentials, preflight)| {
            // Most of those who order do it by POST, and most preflights are what they look like.
            let method = match (path, method, preflight) {
                (_, "GET", Some(_)) => "OPTIONS",
                ("/orders", "GET", None) => "POST",
                _ => method,
            };
            if preflight.is_some() && path != "/orders" {
                credentials.clear();
            }
            Asked { method, host, path, peer, credentials, preflight }
        })
        .boxed()
}

fn shown() -> BoxedStrategy<Shown> {
    let one = || 0..CERTIFICATES.len();
    prop_oneof![
        16 => Just(Shown::Whole(OURS)),
        3 => one().prop_map(Shown::Whole),
        1 => Just(Shown::Anonymous),
        1 => Just(Shown::Plaintext),
        2 => one().prop_map(Shown::DigestOnly),
        1 => (one(), one()).prop_map(|(one, other)| Shown::Mixed(one, other)),
        1 => one().prop_map(Shown::Broken),
    ]
    .boxed()
}

fn credentials() -> BoxedStrategy<Vec<Vec<u8>>> {
    let scheme = || mostly(vec!["Bearer ", "bearer  ", "DPoP ", "Basic ", "Bearer", "Bearer\t", ""]);
    let one = || {
        (scheme(), token(), mostly(vec!["", ",", " ", "=", "\u{e9}"]))
            .prop_map(|(scheme, token, end)| format!("{scheme}{token}{end}").into_bytes())
    };
    prop_oneof![
        16 => one().prop_map(|one| vec![one]),
        2 => Just(vec![]),
        1 => (one(), one()).prop_map(|(one, other)| vec![one, other]),
        1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(|octets| vec![octets]),
    ]
    .boxed()
}

fn token() -> BoxedStrategy<String> {
    prop_oneof![
        5 => minted().prop_map(|token| token.text()),
        // Few names, so that answers are remembered.
        3 => prop::sample::select(vec!["opaque-1", "opaque-2"]).prop_map(str::to_owned),
        1 => "[A-Za-z0-9._~+/-]{0,40}={0,2}",
    ]
    .boxed()
}

fn minted() -> BoxedStrategy<Minted> {
    let damage = prop_oneof![
        24 => Just(Damage::None),
        2 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        1 => any::<Index>().prop_map(Damage::Cut),
        1 => changes().prop_map(Damage::OtherClaims),
        1 => (0..HEADERS.len()).prop_map(Damage::OtherHeader),
        1 => Just(Damage::NoSignature),
        1 => Just(Damage::ZeroSignature),
        1 => Just(Damage::Twice),
    ];
    let keys = prop_oneof![12 => Just(0), 3 => Just(1), 4 => 0..KEYS.len()];
    let bound = prop_oneof![
        8 => Just(Some(OURS)), 2 => (0..CERTIFICATES.len()).prop_map(Some), 1 => Just(None)
    ];
    (keys, mostly(vec![0, 1, 2]), mostly((0..HEADERS.len()).collect()), bound, changes(), damage)
        .prop_map(|(key, issuer, header, bound_to, changes, damage)| Minted {
            key,
            issuer,
            header,
            bound_to,
            changes,
            damage,
        })
        .boxed()
}

/// Members put into a header beside `alg` and `kid`; null takes one out.
const HEADERS: [(&str, &str); 12] = [
    ("typ", r#""at+jwt""#),
    ("typ", r#""application/at+jwt""#),
    ("typ", r#""JWT""#),
    ("typ", "null"),
    ("alg", r#""none""#),
    ("alg", r#""HS256""#),
    ("alg", r#""ES384""#),
    ("kid", "null"),
    ("kid", r#""k2""#),
    ("kid", r#""unknown""#),
    ("crit", r#"["exp"]"#),
    ("b64", "false"),
];

impl Minted {
    fn header(&self, number: usize) -> Value {
        let (name, value) = HEADERS[number];
        let key = &KEYS[self.key].signing;
        let mut header = json!({"alg": key.algorithm.name(), "typ": "at+jwt", "kid": key.kid});
        header[name] = serde_json::from_str(value).unwrap();
        header.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        header
    }

    fn claims(&self, changes: &[usize]) -> Value {
        let issuer = ["https://login.bank.example", IDENTIFIERS[OTHER], "https://evil.example"][self.issuer];
        let mut claims = claims(self.bound_to, changes);
        claims["iss"] = json!(issuer);
        claims
    }

    fn text(&self) -> String {
        let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let (header, payload) = (encode(&self.header(self.header)), encode(&self.claims(&self.changes)));
        let signed = format!("{header}.{payload}");
        let signature = URL_SAFE_NO_PAD.encode(KEYS[self.key].signing.sign(signed.as_bytes()));
        let whole = format!("{signed}.{signature}");
        match &self.damage {
            Damage::None => whole,
            Damage::Flip(at, bit) => {
                let mut octets = whole.into_bytes();
                let at = at.index(octets.len());
                octets[at] = (octets[at] ^ (1 << bit)) & 0x7f;
                String::from_utf8(octets).unwrap()
            }
            Damage::Cut(at) => whole[..at.index(whole.len())].to_owned(),
            Damage::OtherClaims(changes) => format!("{header}.{}.{signature}", encode(&self.claims(changes))),
            Damage::OtherHeader(number) => format!("{}.{payload}.{signature}", encode(&self.header(*number))),
            Damage::NoSignature => format!("{signed}."),
            Damage::ZeroSignature => format!("{signed}.{}", URL_SAFE_NO_PAD.encode([0; 64])),
            Damage::Twice => format!("{whole}.{signature}"),
        }
    }
}

fn changes() -> BoxedStrategy<Vec<usize>> {
    prop_oneof![
        3 => Just(vec![]),
        2 => prop::collection::vec(0..CHANGES, 1..3),
        2 => prop::collection::vec(prop::sample::select(RARE.to_vec()), 1..3),
        2 => prop::sample::select(ALONE.to_vec()).prop_map(|change| vec![change]),
    ]
    .boxed()
}

const CHANGES: usize = 55;

/// Those that show themselves only together with another or later on, so that they come more often.
const RARE: [usize; 6] = [2, 13, 14, 24, 29, LONG];
/// Those that one kind of rule looks at.
const ALONE: [usize; 7] = [33, 40, 46, 47, 48, 49, 51];
const LONG: usize = 45;

/// The menu of changes to good claims; null takes one out.
fn change(number: usize) -> (&'static str, Value) {
    let now = *NOW;
    let x5t = |id: usize| CERTIFICATES[id].x5t_s256.as_str();
    match number {
        0 => ("scope", json!("a b")),
        1 => ("scope", json!("a banned")),
        2 => ("scope", json!(["a", "b"])),
        3 => ("scope", json!("")),
        4 => ("roles", json!("manager")),
        5 => ("roles", json!(["clerk"])),
        6 => ("roles", json!([1])),
        7 => ("roles", json!("admin")),
        8 => ("client_id", json!("evil")),
        9 => ("client_id", json!("other")),
        10 => ("client_id", Value::Null),
        11 => ("tier", json!("gold")),
        12 => ("tier", json!("banned")),
        13 => ("tier", json!(["gold"])),
        14 => ("tier", json!(1)),
        15 => ("tenant", json!("acme")),
        16 => ("tenant", json!(["acme"])),
        17 => ("list", json!(["y", "x"])),
        18 => ("list", json!({"x": "x"})),
        19 => ("aud", json!(OTHER_AUDIENCE)),
        20 => ("aud", json!([AUDIENCE, OTHER_AUDIENCE])),
        21 => ("aud", json!([])),
        22 => ("aud", Value::Null),
        23 => ("exp", json!(now - 1)),
        24 => ("exp", json!(now + 90)),
        25 => ("exp", json!(now + 10_000_000)),
        26 => ("exp", Value::Null),
        27 => ("exp", json!((now + 300).to_string())),
        28 => ("exp", json!(1e300)),
        29 => ("nbf", json!(now + 60)),
        30 => ("nbf", json!(now + 5)),
        31 => ("iat", json!(now + 60)),
        32 => ("iat", json!(-1)),
        33 => ("cnf", Value::Null),
        34 => ("cnf", json!({})),
        35 => ("cnf", json!({"jwk": {}})),
        36 => ("cnf", json!({"x5t#S256": x5t(1)})),
        37 => ("cnf", json!({"x5t#S256": format!("{}=", x5t(OURS))})),
        38 => ("cnf", json!({"x5t#S256": x5t(OURS), "jkt": x5t(OURS)})),
        39 => ("cnf", json!({"jkt": x5t(OURS)})),
        40 => ("act", json!({"sub": "bob"})),
        41 => ("token_type", json!("DPoP")),
        42 => ("active", json!("true")),
        43 => ("auth_time", json!(now)),
        LONG => ("exp", json!(now + 7200)),
        46 => ("roles", json!(["manager", "chief"])),
        47 => ("acr", json!("gold")),
        48 => ("acr", json!("silver")),
        49 => ("sub", json!("n26")),
        50 => ("sub", Value::Null),
        51 => ("auth_time", json!(now - 200)),
        52 => ("auth_time", json!(now - 1000)),
        53 => ("act", json!({"sub": "eve"})),
        _ => ("sub", json!("")),
    }
}

fn claims(bound_to: Option<usize>, changes: &[usize]) -> Value {
    let mut claims = json!({
        "aud": AUDIENCE, "sub": "ann", "client_id": "n26", "iat": *NOW - 10, "exp": *NOW + 300, "jti": "1", "scope": "a"
    });
    if let Some(id) = bound_to {
        claims["cnf"] = json!({"x5t#S256": CERTIFICATES[id].x5t_s256});
    }
    for (name, value) in changes.iter().map(|number| change(*number)) {
        claims[name] = value;
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

fn said() -> BoxedStrategy<Said> {
    let bodies = vec![
        "",
        "null",
        "[]",
        "{}",
        "{\"active\":true}",
        "{\"active\":1}",
        "{\"active\":false,\"active\":true}",
        "{\"keys\":{}}",
        "{\"keys\":[]}",
        "{\"keys\":[1,null,{\"kty\":\"EC\"}]}",
        "\u{feff}{}",
        "{\"active\":true",
    ];
    let none = vec![NoAnswer::NotSent, NoAnswer::Reset, NoAnswer::TooLarge];
    prop_oneof![
        8 => Just(Said::Good),
        2 => Just(Said::Bad),
        3 => changes().prop_map(Said::Changed),
        1 => prop::sample::select(vec![0, 204, 302, 401, 403, 404, 500, 503]).prop_map(Said::Status),
        1 => prop::sample::select(bodies).prop_map(Said::Body),
        1 => (any::<Index>(), 0..8_u8).prop_map(|(at, bit)| Said::Flipped(at, bit)),
        1 => any::<Index>().prop_map(Said::Cut),
        3 => prop::sample::select(none).prop_map(Said::None),
    ]
    .boxed()
}

/// What is known of an answer without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plain {
    /// It says what the server means.
    Meant,
    /// Something in it was changed; it may be readable or not.
    Damaged,
}

impl Said {
    /// The answer to this question; `keys` are those that the issuer has.
    pub fn answer(&self, question: Question, keys: &[usize]) -> (Answer, Plain) {
        let set = || json!({"keys": keys.iter().map(|id| KEYS[*id].jwk.clone()).collect::<Vec<_>>()});
        let of_token = |changes: &[usize]| {
            let mut claims = claims(Some(OURS), changes);
            let put = claims.as_object_mut().unwrap();
            put.entry("active").or_insert(json!(true));
            put.entry("token_type").or_insert(json!("Bearer"));
            claims
        };
        let good = || if question == Question::KeySet { set() } else { of_token(&[]) }.to_string().into_bytes();
        let response = |status, body| Answer::Response(Response::new(status, body));
        match self {
            Self::Good => (response(200, good()), Plain::Meant),
            Self::Bad if question == Question::KeySet => (response(200, b"{\"keys\":[]}".to_vec()), Plain::Meant),
            Self::Bad => (response(200, b"{\"active\":false}".to_vec()), Plain::Meant),
            Self::Changed(_) if question == Question::KeySet => (response(200, good()), Plain::Meant),
            Self::Changed(changes) => (response(200, of_token(changes).to_string().into_bytes()), Plain::Damaged),
            Self::Status(status) => (response(*status, good()), Plain::Damaged),
            Self::Body(body) => (response(200, body.as_bytes().to_vec()), Plain::Damaged),
            Self::Flipped(at, bit) => {
                let mut body = good();
                let at = at.index(body.len());
                body[at] ^= 1 << bit;
                (response(200, body), Plain::Damaged)
            }
            Self::Cut(at) => {
                let mut body = good();
                body.truncate(at.index(body.len()));
                (response(200, body), Plain::Damaged)
            }
            Self::None(why) => (Answer::None(*why), Plain::Damaged),
        }
    }
}
