//! Paths that services read in different ways: what reaches one, however it reads it, was decided by the rule for what it reads.

use std::collections::BTreeSet;

use harness::{Certificate, Client, Connection, Request, Response, top, yaml};
use serde_json::{Map, Value, json};

use super::stage::{Stage, issuer};

/// One area for administrators, one for everybody, and all else for good tokens.
fn document() -> Value {
    json!({
        "issuers": [issuer()],
        "routes": [
            {"name": "admin", "path": "/admin/**", "allow": [{"scopes": ["admin"]}]},
            {"name": "public", "methods": ["GET"], "path": "/public/**", "allow": "public"},
            {"name": "rest", "methods": ["GET"], "path": "/**", "allow": "authenticated"}
        ]
    })
}

/// What Envoy does to a path before the filter sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Normalization {
    /// Nothing: its defaults.
    None,
    /// Dot segments and backslashes.
    Base,
    /// Repeated slashes too: what `envoy/*.yaml` say.
    MergeSlashes,
    DecodeAndMergeSlashes,
}
use Normalization::{Base, DecodeAndMergeSlashes, MergeSlashes, None as Raw};

impl Normalization {
    /// As Istio's `pathNormalization` calls it.
    fn name(self) -> &'static str {
        match self {
            Raw => "NONE",
            Base => "BASE",
            MergeSlashes => "MERGE_SLASHES",
            DecodeAndMergeSlashes => "DECODE_AND_MERGE_SLASHES",
        }
    }

    fn settings(self) -> Map<String, Value> {
        let settings = match self {
            Raw => json!({}),
            Base => json!({"normalize_path": true}),
            MergeSlashes => return shipped("minimal.yaml"),
            DecodeAndMergeSlashes => json!({
                "normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "UNESCAPE_AND_FORWARD"
            }),
        };
        settings.as_object().expect("a map").clone()
    }
}

/// What one of `envoy/*.yaml` makes of paths.
fn shipped(name: &str) -> Map<String, Value> {
    let text = std::fs::read_to_string(top().join("envoy").join(name)).expect("the example");
    let example = yaml(&text).expect("YAML");
    let manager =
        example.pointer("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config").expect("a manager");
    ["normalize_path", "merge_slashes", "path_with_escaped_slashes_action"]
        .iter()
        .map(|setting| ((*setting).to_owned(), manager[*setting].clone()))
        .collect()
}

#[test]
fn the_examples_make_the_same_of_paths() {
    let expected = json!({
        "normalize_path": true, "merge_slashes": true, "path_with_escaped_slashes_action": "KEEP_UNCHANGED"
    });
    for name in ["minimal.yaml", "complete.yaml"] {
        assert_eq!(Value::Object(shipped(name)), expected, "{name}");
    }
}

/// One of the ways in which a service may read a path. None of them looks at the query, and all know the case of letters.
#[derive(Clone, Copy)]
struct Reader {
    /// It decodes before it splits at slashes, not after.
    decodes_first: bool,
    /// It takes several slashes for one before it climbs, not after.
    merges_first: bool,
    /// It cuts parameters off before it climbs, not after.
    cuts_first: bool,
}

impl Reader {
    fn all() -> impl Iterator<Item = Self> {
        (0..8).map(|bits| Self { decodes_first: bits & 1 > 0, merges_first: bits & 2 > 0, cuts_first: bits & 4 > 0 })
    }

    /// The first segment that is left.
    fn area(self, target: &str) -> String {
        let path = target.split(['?', '#']).next().unwrap_or_default().as_bytes();
        let path = if self.decodes_first { decoded(path) } else { path.to_vec() };
        let path: Vec<u8> = path.into_iter().map(|octet| if octet == b'\\' { b'/' } else { octet }).collect();
        let mut climbed: Vec<Vec<u8>> = Vec::new();
        for segment in path.split(|octet| *octet == b'/').skip(1) {
            let segment = if self.decodes_first { segment.to_vec() } else { decoded(segment) };
            let segment = if self.cuts_first { cut(&segment) } else { segment };
            match segment.as_slice() {
                b"." => {}
                b"" if self.merges_first => {}
                b".." => drop(climbed.pop()),
                _ => climbed.push(segment),
            }
        }
        let first = climbed.iter().map(|segment| cut(segment)).find(|segment| !segment.is_empty());
        String::from_utf8_lossy(&first.unwrap_or_default()).into_owned()
    }
}

/// Decoded once; a broken escape stands for itself.
fn decoded(path: &[u8]) -> Vec<u8> {
    let digit = |octet: &u8| char::from(*octet).to_digit(16).and_then(|value| u8::try_from(value).ok());
    match path {
        [] => Vec::new(),
        [b'%', high, low, rest @ ..] if digit(high).is_some() && digit(low).is_some() => {
            let octet = digit(high).unwrap_or_default() << 4 | digit(low).unwrap_or_default();
            [&[octet][..], &decoded(rest)].concat()
        }
        [first, rest @ ..] => [&[*first][..], &decoded(rest)].concat(),
    }
}

/// Without parameters, and as C reads it: up to a NUL.
fn cut(segment: &[u8]) -> Vec<u8> {
    segment.iter().copied().take_while(|octet| !matches!(octet, b';' | 0)).collect()
}

/// What the path may be taken for.
fn areas(target: &str) -> BTreeSet<String> {
    Reader::all().map(|reader| reader.area(target)).collect()
}

#[test]
fn the_tolerant_readers_see_what_is_meant() {
    for target in [
        "/admin",
        "//admin",
        "/./admin",
        "/x/../admin",
        "/%61dmin",
        "/admin%2f",
        "/admin%5cx",
        "/\\admin",
        "/admin;x=1",
        "/;/admin",
        "/..;/admin",
        "/x/..;/admin",
        "/admin%00x",
        "/admin?x=/public",
        "/x//..//admin",
        "/x//../admin",
        "/x%2f..%2fadmin",
        "/admin//..",
    ] {
        assert!(areas(target).contains("admin"), "{target}: {:?}", areas(target));
    }
    for target in ["/", "/ADMIN", "/admin.", "/admin%20", "/x/admin", "/admin/..", "/public?/admin", "/administrator"] {
        assert!(!areas(target).contains("admin"), "{target}: {:?}", areas(target));
    }
}

/// Somebody who sends one request after another, on one connection as long as it lasts.
struct Caller {
    client: Client,
    connection: Option<Connection>,
}

impl Caller {
    fn new(client: Client) -> Self {
        Self { client, connection: None }
    }

    fn send(&mut self, request: &Request) -> Response {
        let open = || self.client.open().expect("a connection");
        let mut connection = self.connection.take().unwrap_or_else(open);
        let answer = connection.send(request).unwrap_or_else(|error| panic!("{}: {error}", request.target));
        self.connection = (answer.value("connection").as_deref() != Some("close")).then_some(connection);
        answer
    }
}

/// A stage with one of these normalizations, and those who call.
struct Corridor {
    stage: Stage,
    reader: Caller,
    stranger: Caller,
    token: String,
}

impl Corridor {
    fn set(normalization: Normalization) -> Self {
        let change = |mut options: harness::Options| {
            options.manager = normalization.settings();
            options
        };
        let stage = Stage::with(&document(), change).warm();
        let caller = |own: Option<&Certificate>| {
            Caller::new(own.map_or_else(|| stage.envoy.anonymous(), |own| stage.envoy.client(own)))
        };
        let (reader, stranger, token) = (caller(Some(&stage.bank)), caller(None), stage.token());
        Self { stage, reader, stranger, token }
    }

    /// The answer to one with a good token that is no administrator's, and the path that reached the service.
    fn read(&mut self, target: &str) -> (u16, Option<String>) {
        let answer = self.reader.send(&Request::get(target).bearer(&self.token));
        (answer.status, self.reached())
    }

    /// The same for one who shows nothing.
    fn look(&mut self, target: &str) -> (u16, Option<String>) {
        let answer = self.stranger.send(&Request::get(target));
        (answer.status, self.reached())
    }

    fn reached(&self) -> Option<String> {
        let mut reached = self.stage.upstream.take();
        assert!(reached.len() < 2, "one request is one");
        reached.pop().map(|request| request.path)
    }

    /// Sends it as both. Whatever reaches the service is in nobody's eyes more than they may see.
    fn try_path(&mut self, target: &str) -> Option<String> {
        let (status, reached) = self.read(target);
        assert_eq!(reached.is_some(), status == 200, "{target}: {status}");
        if let Some(path) = &reached {
            assert!(!areas(path).contains("admin"), "{target} passed as {path}");
        }
        let (status, seen) = self.look(target);
        assert_eq!(seen.is_some(), status == 200, "{target}: {status}");
        if let Some(path) = seen {
            assert_eq!(
                areas(&path),
                BTreeSet::from(["public".to_owned()]),
                "{target} passed without a token as {path}"
            );
        }
        reached
    }
}

/// HTTP-11 and HTTP-13, and a few more of their kind: what one who is no administrator gets with Envoy's own defaults, and where
/// dot segments are resolved.
const LISTED: [(&str, u16, u16); 33] = [
    ("/admin", 403, 403),
    ("//admin", 403, 403),
    ("/./admin", 400, 403),
    ("/x/../admin", 400, 403),
    ("/%61dmin", 403, 403),
    ("/admin%2f", 403, 403),
    ("/admin%5c", 400, 400),
    ("\\admin", 400, 400),
    ("/\\admin", 400, 403),
    ("/admin;x=1", 403, 403),
    ("/;/admin", 403, 403),
    ("/..;/admin", 400, 403),
    ("/admin/", 403, 403),
    ("/ADMIN", 200, 200),
    ("/admin%00", 400, 400),
    ("/admin%20", 200, 200),
    ("/admin.", 200, 200),
    ("/public#/admin", 400, 400),
    ("/admin#/public", 400, 400),
    ("/admin?x=/public", 403, 403),
    ("/public?/admin", 200, 200),
    ("/admin?/../public", 403, 403),
    ("/public/../admin", 400, 403),
    ("/public/..;/admin", 400, 403),
    ("/public/%2e%2e/admin", 400, 403),
    ("/public%2f..%2fadmin", 400, 400),
    ("/public/..%2fadmin", 400, 400),
    ("/public/..%5cadmin", 400, 400),
    ("/x%2f..%2fadmin", 400, 400),
    ("/admin/%2e%2e", 400, 200),
    ("http://localhost/admin", 403, 403),
    ("admin", 400, 400),
    ("*", 400, 400),
];

/// What may stand before and behind the name of an area.
const BEFORE: [&str; 26] = [
    "/",
    "//",
    "/./",
    "/%2e/",
    "/x/../",
    "/x/%2e%2E/",
    "/x/..;/",
    "/..;/",
    "/;/",
    "/x;/../",
    "/x//../",
    "/x/..//",
    "/\\",
    "/%5c",
    "/x\\..\\",
    "/%2f",
    "/x%2f..%2f",
    "/x/..%2f",
    "/public/../",
    "/public/..;/",
    "/public/%2e%2e/",
    "/public%2f..%2f",
    "/public/..%5c",
    "/public;/../",
    "/public//../",
    "/public//../../",
];
const NAMES: [&str; 3] = ["admin", "%61dmin", "public"];
const BEHIND: [&str; 16] = [
    "",
    "/",
    "//",
    "/.",
    "/x/..",
    "//..",
    "/..",
    "%2f",
    "%5cx",
    "/;/x",
    "%3bx",
    "%00",
    "?x=/public",
    "?/../public",
    "/..%2fadmin",
    "/..;/admin",
];

/// Istio's vectors of this normalization, if they are at hand: what comes in, and what leaves.
fn istio(normalization: Normalization) -> Vec<(String, String)> {
    let path = top().join("../shared/vectors/istio/path_normalization.json");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("skipped: {} is not there", path.display());
        return Vec::new();
    };
    let vectors: Value = serde_json::from_str(&text).expect("JSON");
    let word = |vector: &Value, name: &str| vector[name].as_str().expect("a word").to_owned();
    let vectors = vectors.as_array().expect("a list").iter();
    let of_this = vectors.filter(|vector| vector["mode"].as_str() == Some(normalization.name()));
    of_this.map(|vector| (word(vector, "in"), word(vector, "out"))).collect()
}

/// Everything above with one normalization; `expected` is how many of Istio's vectors reach the service, and of how many.
fn walk(normalization: Normalization, expected: (usize, usize)) {
    let mut corridor = Corridor::set(normalization);
    for target in ["/admin", "/admin/", "/%61dmin/users", "/admin?x=/public"] {
        let token = corridor.stage.token_with(json!({"scope": "read admin"}));
        let answer = corridor.stage.as_bank(&Request::get(target).bearer(&token));
        assert_eq!((answer.status, corridor.reached().is_some()), (200, true), "{target} as an administrator");
    }
    assert_eq!(corridor.read("/x").0, 200);
    assert_eq!(corridor.look("/public/x"), (200, Some("/public/x".into())));
    assert_eq!(corridor.look("/x"), (401, None));
    for (target, raw, base) in LISTED {
        corridor.try_path(target);
        match normalization {
            Raw => assert_eq!(corridor.read(target).0, raw, "{target}"),
            Base | MergeSlashes => assert_eq!(corridor.read(target).0, base, "{target}"),
            DecodeAndMergeSlashes => {}
        }
    }
    for before in BEFORE {
        for name in NAMES {
            for behind in BEHIND {
                corridor.try_path(&format!("{before}{name}{behind}"));
            }
        }
    }
    let vectors = istio(normalization);
    let mut passed = 0;
    for (target, leaves) in &vectors {
        if let Some(path) = corridor.try_path(target) {
            assert_eq!(path, *leaves, "{target}");
            passed += 1;
        }
    }
    corridor.stage.assert_alive();
    assert!(!corridor.stage.envoy.log().contains("panicked"));
    assert!(vectors.is_empty() || (passed, vectors.len()) == expected, "{passed} of {} reach it", vectors.len());
}

#[test]
fn with_envoys_defaults_no_path_is_judged_by_a_weaker_rule() {
    walk(Raw, (3, 16));
}

#[test]
fn with_dot_segments_resolved_no_path_is_judged_by_a_weaker_rule() {
    walk(Base, (5, 16));
}

#[test]
fn with_the_settings_of_the_examples_no_path_is_judged_by_a_weaker_rule() {
    walk(MergeSlashes, (8, 16));
}

#[test]
fn with_decoded_and_merged_slashes_no_path_is_judged_by_a_weaker_rule() {
    walk(DecodeAndMergeSlashes, (120, 297));
}

/// What odd paths come to where slashes are left as they come: each matches only the route that asks for its oddity.
#[test]
fn an_odd_path_matches_only_the_route_that_says_so_and_arrives_as_it_was_sent() {
    let route = |name: &str, oddity: &str| {
        let path = format!("/{name}/**");
        json!({"name": name, "methods": ["GET"], "path": path, "danger_allow_path": [oddity], "allow": "authenticated"})
    };
    let mut document = document();
    document["routes"] = json!([
        route("encoded", "encoded_slash"),
        route("empty", "empty_segment"),
        route("parameters", "semicolon"),
        {"name": "plain", "methods": ["GET"], "path": "/plain/**", "allow": "authenticated"}
    ]);
    let stage = Stage::with(&document, |mut options| {
        options.manager = Base.settings();
        options
    });
    let stage = stage.warm();
    let oddities = [("encoded", "a%2Fb"), ("empty", "a//b"), ("parameters", "a;v=1/b")];
    for own in ["encoded", "empty", "parameters", "plain"] {
        for (of, path) in oddities.iter().copied().chain([("", "a/b")]) {
            let target = format!("/{own}/{path}");
            let answer = stage.as_bank(&Request::get(&target).bearer(&stage.token()));
            let reached: Vec<String> = stage.upstream.take().into_iter().map(|request| request.path).collect();
            let passes = of == own || of.is_empty();
            assert_eq!(answer.status, if passes { 200 } else { 403 }, "{target}");
            assert_eq!(reached, if passes { vec![target] } else { vec![] });
        }
    }
    for target in ["/encoded/..%2Fplain/x", "/parameters/a;/..%2Fplain/x", "/encoded/a%2F..%2Fb", "/empty//..%2fplain"]
    {
        let answer = stage.as_bank(&Request::get(target).bearer(&stage.token()));
        assert_eq!((answer.status, stage.reached()), (400, 0), "{target}");
    }
}
