//! The examples of the JOSE standards (RFC 7515, 7520, 7638, 7797, 8037) and of those that build on them (RFC 9449, 9701).

use holdfast::credential::AccessToken;
use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::base64url;
use holdfast::jose::json::{self, Limits};
use holdfast::jose::jwk::{self, Jwk};
use holdfast::jose::jws::{Error, Jws, Part};
use holdfast::jose::verifier::InRust;
use holdfast::token::jwt::Form;
use serde_json::{Value, json};

use super::read_json;

fn read_key(jwk: &Value) -> Result<Jwk, jwk::Error> {
    Jwk::parse(&json::parse(jwk.to_string().as_bytes(), Limits::TOKEN).expect("JSON"))
}

/// The public half of a published key pair.
fn public(jwk: &Value) -> Value {
    let mut jwk = jwk.clone();
    jwk.as_object_mut().expect("a key").retain(|name, _| !["d", "p", "q", "dp", "dq", "qi"].contains(&name.as_str()));
    jwk
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}"))
}

/// The verdict on a signed object with the key beside it.
fn verify(compact: &str, jwk: &Value, algorithm: Algorithm) -> Result<(), Error> {
    Jws::parse(compact)?.verify(&InRust, &read_key(jwk).expect("a key").key, algorithm)
}

#[test]
fn the_cookbooks_signatures_verify_by_our_algorithms() {
    let table = [
        ("jws/4_1.rsa_v15_signature", Algorithm::Rs256),
        ("jws/4_2.rsa-pss_signature", Algorithm::Ps384),
        ("curve25519/jws", Algorithm::EdDsa),
    ];
    for (file, algorithm) in table {
        let Some(example) = read_json(&format!("jose-cookbook/{file}.json")) else { return };
        let compact = text(&example, "/output/compact");
        let key = public(&example["input"]["key"]);
        assert_eq!(verify(compact, &key, algorithm), Ok(()), "{file}");
        assert_eq!(Jws::parse(compact).expect(file).payload(), text(&example, "/input/payload").as_bytes(), "{file}");
        assert_eq!(read_key(&example["input"]["key"]), Err(jwk::Error::Private), "{file}");
        let other = compact.replacen('.', ".e", 1);
        assert_ne!(verify(&other, &key, algorithm), Ok(()), "{file}, another payload");
    }
}

#[test]
fn the_cookbooks_other_algorithms_are_none_of_ours() {
    let table = [
        ("4_3.ecdsa_signature", "ES512", jwk::Error::UnknownCurve),
        ("4_4.hmac-sha2_integrity_protection", "HS256", jwk::Error::Private),
    ];
    for (file, name, refused) in table {
        let Some(example) = read_json(&format!("jose-cookbook/jws/{file}.json")) else { return };
        let jws = Jws::parse(text(&example, "/output/compact")).expect(file);
        assert_eq!((jws.header().algorithm_name.as_str(), jws.header().algorithm()), (name, None), "{file}");
        assert_eq!(read_key(&public(&example["input"]["key"])), Err(refused), "{file}");
    }
}

#[test]
fn the_cookbooks_other_serializations_are_no_compact_one() {
    let detached = read_json("jose-cookbook/jws/4_5.signature_with_detached_content.json");
    let Some(detached) = detached else { return };
    let error = Jws::parse(text(&detached, "/output/compact")).err();
    assert_eq!(error, Some(Error::EmptyPart(Part::Payload)));
    for file in [
        "jws/4_1.rsa_v15_signature",
        "jws/4_6.protecting_specific_header_fields",
        "jws/4_7.protecting_content_only",
        "jws/4_8.multiple_signatures",
        "rfc7797/4.2.hmac-sha2_b64_false",
    ] {
        let Some(example) = read_json(&format!("jose-cookbook/{file}.json")) else { return };
        for serialization in ["json", "json_flat"] {
            let Some(object) = example["output"].get(serialization) else { continue };
            let object = object.to_string();
            assert!(Jws::parse(&object).is_err(), "{file}, {serialization}");
            assert_eq!(Form::of(AccessToken::new(&object)), Form::Opaque, "{file}, {serialization}");
        }
    }
}

#[test]
fn a_payload_that_is_not_encoded_is_refused() {
    let Some(example) = read_json("jose-cookbook/rfc7797/hmac-sha2_b64_false.json") else { return };
    let error = Jws::parse(text(&example, "/output/compact")).err();
    assert_eq!(error, Some(Error::Encoding(Part::Payload, base64url::Error::Character)));
    // The same header over a payload that happens to be base64url: seen, and for the token to refuse.
    let jws = format!("{}.e30.AAAA", text(&example, "/output/json_flat/protected"));
    let jws = Jws::parse(&jws).expect("a signed object");
    assert_eq!((jws.header().crit_present, jws.header().b64_present), (true, true));
    // RFC 7797 §4.2 leaves `crit` out.
    let Some(example) = read_json("jose-cookbook/rfc7797/4.2.hmac-sha2_b64_false.json") else { return };
    let jws = format!("{}.e30.AAAA", text(&example, "/output/json_flat/protected"));
    let jws = Jws::parse(&jws).expect("a signed object");
    assert_eq!((jws.header().crit_present, jws.header().b64_present), (false, true));
}

#[test]
fn an_encrypted_token_is_told_as_one() {
    let Some(example) = read_json("jose-cookbook/curve25519/ecdh-es.json") else { return };
    let compact = text(&example, "/output/compact");
    assert_eq!(Form::of(AccessToken::new(compact)), Form::Encrypted);
    assert_eq!(Jws::parse(compact).err(), Some(Error::NotThreeParts));
    assert_eq!(read_key(&public(&example["input"]["key"])), Err(jwk::Error::Use));
}

#[test]
fn the_cookbooks_keys_are_used_or_refused() {
    let table = [
        ("3_1.ec_public_key", Some(jwk::Error::UnknownCurve)),
        ("3_2.ec_private_key", Some(jwk::Error::Private)),
        ("3_3.rsa_public_key", None),
        ("3_4.rsa_private_key", Some(jwk::Error::Private)),
        ("3_5.symmetric_key_mac_computation", Some(jwk::Error::Private)),
        ("3_6.symmetric_key_encryption", Some(jwk::Error::Private)),
    ];
    for (file, refused) in table {
        let Some(key) = read_json(&format!("jose-cookbook/jwk/{file}.json")) else { return };
        assert_eq!(read_key(&key).err(), refused, "{file}");
    }
}

#[test]
fn the_examples_of_rfc_7515_get_their_verdict() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    let rfc = &examples["rfc7515"];
    for (name, algorithm) in [("A.2_RS256", Algorithm::Rs256), ("A.3_ES256", Algorithm::Es256)] {
        let (jws, key) = (text(&rfc[name], "/jws"), &rfc[name]["jwk"]);
        assert_eq!(verify(jws, key, algorithm), Ok(()), "{name}");
        for other in [Algorithm::Rs512, Algorithm::Ps256, Algorithm::Es384, Algorithm::EdDsa] {
            assert_eq!(verify(jws, key, other), Err(Error::OtherAlgorithm), "{name} as {other}");
        }
    }
    let symmetric = Jws::parse(text(rfc, "/A.1_HS256/jws")).expect("a signed object");
    assert_eq!(symmetric.header().algorithm(), None);
    assert_eq!(Jws::parse(text(rfc, "/A.5_none/jws")).err(), Some(Error::EmptyPart(Part::Signature)));
}

#[test]
fn published_thumbprints_are_ours() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    let thumbprint = |jwk: &Value| base64url::encode(read_key(jwk).expect("a key").key.thumbprint().0);
    let published = examples["rfc7638_thumbprints"].as_array().expect("a list");
    for example in published {
        assert_eq!(thumbprint(&example["jwk"]), text(example, "/sha256"), "{}", example["src"]);
    }
    assert_eq!(published.len(), 3);
    let bound = &examples["rfc8705_appendix_a"];
    assert_eq!(thumbprint(&bound["jwk"]), text(bound, "/jwk_thumbprint_sha256"));
    assert_eq!(thumbprint(&examples["rfc9449"]["jwk"]), text(&examples, "/rfc9449/jkt"));
}

#[test]
fn the_tokens_of_rfc_9449_and_rfc_9701_are_read() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    let dpop = &examples["rfc9449"];
    let tokens =
        dpop["tokens"].as_array().expect("tokens").iter().chain(examples["rfc9701_draft"].as_array().expect("tokens"));
    let mut verified = 0;
    for example in tokens {
        let compact = text(example, "/token");
        assert_eq!(Form::of(AccessToken::new(compact)), Form::Jwt);
        let jws = Jws::parse(compact).expect("a signed object");
        let payload: Value = serde_json::from_slice(jws.payload()).expect("JSON");
        assert_eq!(payload, example["payload"]);
        let header = jws.header();
        let (alg, kid) = (json!(header.algorithm_name), header.kid.as_deref());
        assert_eq!((&alg, kid), (&example["header"]["alg"], example["header"]["kid"].as_str()));
        assert_eq!(header.typ.as_deref(), example["header"]["typ"].as_str());
        if example["signature_verified_here"] == json!(true) {
            assert_eq!(verify(compact, &example["header"]["jwk"], Algorithm::Es256), Ok(()));
            verified += 1;
        }
    }
    assert_eq!(verified, 3);
    assert_eq!(Form::of(AccessToken::new(text(dpop, "/access_token"))), Form::Opaque);
}
