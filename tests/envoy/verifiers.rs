//! Who verifies signatures: the proxy where it is right, the module where it is not; and that both give the same verdicts.

use std::collections::BTreeMap;

use harness::{
    Algorithm, Authority, Envoy, Options, SigningKey, Upstream, base64url, exports, imports, module, vectors_module,
};
use serde_json::{Value, json};

use super::signatures::groups;
use super::stage::{Stage, api, issuer};

/// How many signatures of Wycheproof are by each algorithm.
const COUNTS: [(&str, usize); 9] = [
    ("RS256", 1034),
    ("RS384", 1035),
    ("RS512", 1037),
    ("PS256", 542),
    ("PS384", 284),
    ("PS512", 360),
    ("ES256", 262),
    ("ES384", 280),
    ("EdDSA", 151),
];

const BY_THE_PROXY: [&str; 5] = ["RS256", "RS384", "RS512", "ES256", "ES384"];

/// Signatures of one key, and the verdicts on them, a digit each.
struct Line {
    algorithm: String,
    key: Value,
    signatures: Vec<String>,
    expected: String,
}

impl Line {
    fn text(&self) -> String {
        format!("{} {} {}", self.algorithm, self.key, self.signatures.join(" "))
    }
}

fn of_wycheproof() -> Vec<Line> {
    let by_our_algorithms = groups().filter_map(|(set, group)| Some((set, group, group.algorithm()?)));
    by_our_algorithms
        .map(|(set, group, algorithm)| {
            let vectors: Vec<_> = group.vectors(set).collect();
            Line {
                algorithm: algorithm.name().to_owned(),
                key: group.jwk(),
                signatures: vectors.iter().map(|vector| word(&vector.message, &vector.signature)).collect(),
                expected: vectors.iter().map(|vector| if vector.expected() { '1' } else { '0' }).collect(),
            }
        })
        .collect()
}

/// What was signed as a JWS has it: by each algorithm a good signature, one that was tampered with, one for another message.
fn of_jose() -> Vec<Line> {
    let keys = Algorithm::ALL.iter().map(|algorithm| SigningKey::new(*algorithm, "k1"));
    keys.map(|key| {
        let token = key.mint(json!({}), &json!({"iss": "https://login.bank.example"}));
        let (input, _) = token.rsplit_once('.').expect("three parts");
        let good = key.sign(input.as_bytes());
        let mut tampered = good.clone();
        tampered[0] ^= 1;
        let input = input.as_bytes();
        let signatures = vec![word(input, &good), word(input, &tampered), word(&input[1..], &good)];
        Line { algorithm: key.algorithm.name().to_owned(), key: key.jwk(), signatures, expected: "100".to_owned() }
    })
    .collect()
}

fn word(message: &[u8], signature: &[u8]) -> String {
    format!("{}.{}", base64url(message), base64url(signature))
}

/// What was logged of each line: the proxy's verdicts, and the module's. Every VM says the same.
fn verdicts(log: &str) -> BTreeMap<usize, [String; 2]> {
    let mut verdicts = BTreeMap::new();
    for line in log.lines().filter_map(|line| Some(line.split_once("holdfast: verdicts ")?.1)) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [number, _, by_host, in_rust, "end"] = words[..] else { panic!("a line of verdicts: {line}") };
        let said = [by_host.to_owned(), in_rust.to_owned()];
        let before = verdicts.insert(number.parse().expect("a number"), said.clone());
        assert!(before.is_none_or(|before| before == said), "line {number}");
    }
    verdicts
}

#[test]
fn every_vector_gets_the_same_verdict_by_the_proxy_and_by_the_module() {
    let lines: Vec<Line> = of_wycheproof().into_iter().chain(of_jose()).collect();
    let document = lines.iter().map(Line::text).collect::<Vec<_>>().join("\n");
    let mut options = Options::new(&Value::Null, Upstream::start().address());
    options.plugins[0].document = document;
    options.code = Some(json!({"local": {"filename": vectors_module()}}));
    let envoy = Envoy::start(Authority::new("test CA"), options);
    let verdicts = verdicts(&envoy.log());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in lines.iter().enumerate() {
        let [by_host, in_rust] = verdicts.get(&number).unwrap_or_else(|| panic!("nothing was said of line {number}"));
        assert_eq!(line.signatures.len(), line.expected.len());
        assert_eq!(in_rust, &line.expected, "{} in Rust: {}", line.algorithm, line.key);
        if BY_THE_PROXY.contains(&line.algorithm.as_str()) {
            assert_eq!(by_host, &line.expected, "{} by the proxy: {}", line.algorithm, line.key);
        } else {
            assert!(
                by_host.len() == line.expected.len() && !by_host.contains('1'),
                "{} is not asked for",
                line.algorithm
            );
        }
        *counts.entry(&line.algorithm).or_default() += by_host.len();
    }
    assert_eq!(verdicts.len(), lines.len());
    assert_eq!(counts, COUNTS.map(|(algorithm, count)| (algorithm, count + 3)).into());
}

/// Every algorithm, and how the filter says that it is verified.
fn all_are_verified(change: impl FnOnce(Options) -> Options, chosen: &str) {
    let mut bank = issuer();
    bank["algorithms"] = json!(Algorithm::ALL.map(Algorithm::name));
    let document = json!({"issuers": [bank], "routes": [{"name": "api", "path": "/api/**", "allow": "authenticated"}]});
    let stage = Stage::with(&document, change);
    let keys: Vec<SigningKey> = Algorithm::ALL
        .iter()
        .map(|algorithm| SigningKey::new(*algorithm, &format!("{}-1", algorithm.name())))
        .collect();
    stage.server.publish(&keys.iter().collect::<Vec<_>>());
    for key in &keys {
        let good = key.mint(json!({}), &stage.claims());
        let answer = stage.as_bank(&api(&good));
        assert_eq!(answer.status, 200, "{}: {}", key.algorithm.name(), stage.envoy.log());
        let (input, signature) = good.rsplit_once('.').expect("three parts");
        let changed = if signature.starts_with('A') { "B" } else { "A" };
        let bad = format!("{input}.{changed}{}", &signature[1..]);
        assert_eq!(stage.as_bank(&api(&bad)).status, 401, "{}", key.algorithm.name());
    }
    assert_eq!(stage.reached(), keys.len());
    let said = format!("holdfast: signatures: {chosen}\n");
    assert!(stage.envoy.log().contains(&said), "{said}: {}", stage.envoy.log());
}

#[test]
fn the_proxy_verifies_what_it_can_and_the_module_all_else() {
    let chosen = "verified by the proxy: RS256 RS384 RS512 ES256 ES384; by the module: PS256 PS384 PS512 EdDSA";
    all_are_verified(|options| options, chosen);
}

#[test]
fn where_the_proxys_function_may_not_be_called_the_module_verifies_everything() {
    let octets = std::fs::read(module()).expect("the module");
    let mut allowed = [imports(&octets), exports(&octets)].concat();
    let count = allowed.len();
    allowed.retain(|name| name != "proxy_call_foreign_function");
    assert_eq!(allowed.len(), count - 1, "the module calls it");
    let chosen = "verified by the proxy: none; by the module: RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 EdDSA";
    all_are_verified(|options| Options { capabilities: Some(allowed), ..options }, chosen);
}
