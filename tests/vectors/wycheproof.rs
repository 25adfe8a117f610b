//! Wycheproof's signatures: each key as a JWK, each signature through everything that verifies, and inside a signed object.

use harness::base64url;
use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::jwk::{self, Candidates, JwkSet, PublicKey};
use holdfast::jose::jws::{Error, Jws, Part};
use holdfast::jose::verifier::InRust;
use rsa::BoxedUint;
use serde_json::{Value, json};
use sha2::{Sha256, Sha384, Sha512};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::signatures::{EXCEPTIONS, Group, Vector, groups};

/// Whether a signature is one of a key, by an algorithm, for a message.
type Verify = fn(&PublicKey, Algorithm, &[u8], &[u8]) -> bool;

/// Everything that may verify a token, and its name. Each must give every vector the same verdict. The proxy's own is tried
/// in a proxy (`tests/envoy/signatures.rs`).
pub const IMPLEMENTATIONS: [(&str, Verify); 2] = [("Holdfast", PublicKey::verify), ("RustCrypto", by_library)];

/// By the library that our own arithmetic replaces, with the key as others are told it.
fn by_library(key: &PublicKey, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
    use Algorithm::*;
    let (rest, spki) = SubjectPublicKeyInfo::from_der(key.spki()).expect("a key");
    assert!(rest.is_empty());
    let Ok(x509_parser::public_key::PublicKey::RSA(numbers)) = spki.parsed() else {
        return key.verify(algorithm, message, signature);
    };
    let [n, e] = [numbers.modulus, numbers.exponent].map(BoxedUint::from_be_slice_vartime);
    let key = rsa::PublicKey::new_with_size_limits(n, e, 2048..=8192).expect("a key");
    match algorithm {
        Rs256 => key.pkcs1v15_verify::<Sha256>(message, signature).is_ok(),
        Rs384 => key.pkcs1v15_verify::<Sha384>(message, signature).is_ok(),
        Rs512 => key.pkcs1v15_verify::<Sha512>(message, signature).is_ok(),
        Ps256 => key.pss_verify::<Sha256>(message, signature).is_ok(),
        Ps384 => key.pss_verify::<Sha384>(message, signature).is_ok(),
        Ps512 => key.pss_verify::<Sha512>(message, signature).is_ok(),
        Es256 | Es384 | EdDsa => false,
    }
}

/// How many signatures of an algorithm were accepted and refused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count {
    accepted: usize,
    refused: usize,
}

/// The octets of a vector as payload and signature of an object. What was signed is the payload alone, never header and
/// payload, so that no key verifies it.
fn is_refused_as_a_signed_object(vector: &Vector, key: &PublicKey, algorithm: Algorithm) {
    let header = json!({"alg": algorithm.name(), "kid": "none"}).to_string();
    let parts = [header.as_bytes(), &vector.message, &vector.signature].map(base64url);
    let text = parts.join(".");
    let error = match Jws::parse(&text) {
        Ok(jws) => {
            assert_eq!(jws.payload(), vector.message, "{}", vector.id);
            jws.verify(&InRust, key, algorithm).expect_err(&vector.id)
        }
        Err(error) => error,
    };
    let expected = match (vector.message.is_empty(), vector.signature.is_empty()) {
        (true, _) => Error::EmptyPart(Part::Payload),
        (false, true) => Error::EmptyPart(Part::Signature),
        (false, false) => Error::Signature,
    };
    assert_eq!(error, expected, "{}", vector.id);
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

/// The key of a group as Wycheproof publishes it, where it does.
fn published_jwk(group: &Group) -> Option<&Value> {
    ["publicKeyJwk", "keyJwk"].iter().filter_map(|name| group.0.get(name)).find(|key| key.is_object())
}

/// Judges every signature that is by this algorithm, and counts.
fn judge(algorithm: Algorithm) -> Count {
    let mut count = Count::default();
    for (set, group) in groups().filter(|(_, group)| group.algorithm() == Some(algorithm)) {
        let key = key_for(&group.jwk(), algorithm);
        if let Some(published) = published_jwk(group) {
            assert_eq!(key_for(published, algorithm), key, "{set}");
        }
        for vector in group.vectors(set) {
            let expected = vector.expected();
            for (name, verify) in IMPLEMENTATIONS {
                let accepted = verify(&key, algorithm, &vector.message, &vector.signature);
                assert_eq!(accepted, expected, "{} by {name}: {}", vector.id, vector.result);
            }
            is_refused_as_a_signed_object(&vector, &key, algorithm);
            *if expected { &mut count.accepted } else { &mut count.refused } += 1;
        }
    }
    count
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
                let accepting = Algorithm::ALL.iter().find(|by| verify(key, **by, &vector.message, &vector.signature));
                assert_eq!(accepting, None, "{} by {name}", vector.id);
            }
            signatures += 1;
        }
    }
    assert_eq!((signatures, keys), (4861, 5626));
}
