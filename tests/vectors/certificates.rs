//! Certificates whose `x5t#S256` others have published: the same digest here, and a token that names it is bound to it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast::facts::peer::{Attribute, CertificateDigest, Error, Leaf};
use holdfast::jose::base64url;
use holdfast::jose::json::{self, Limits};
use holdfast::token::Confirmation;
use serde_json::{Value, json};

use super::read_json;

/// What a token with this `cnf` is bound to.
fn bound_to(cnf: &Value) -> Option<Confirmation> {
    let claim = json::parse(cnf.to_string().as_bytes(), Limits::TOKEN).expect("JSON");
    Confirmation::parse(Some(&claim)).ok()
}

fn certificate(digest: CertificateDigest) -> Option<Confirmation> {
    Some(Confirmation { certificate: Some(digest), key: None })
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}"))
}

#[test]
fn other_projects_certificates_have_the_thumbprint_that_they_say() {
    let Some(pairs) = read_json("thumbprints/pairs.json") else { return };
    let pairs = pairs.as_array().expect("pairs");
    for pair in pairs {
        let der = STANDARD.decode(text(pair, "/der_b64")).expect("base64");
        let digest = CertificateDigest::of(&der);
        let claimed = text(pair, "/x5t#S256_claimed");
        assert_eq!(base64url::encode(digest.0), claimed, "{pair}");
        assert_eq!(bound_to(&json!({"x5t#S256": claimed})), certificate(digest), "{pair}");
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&der));
        let leaf = Leaf::from_pem(pem.as_bytes(), digest).unwrap_or_else(|error| panic!("{error:?}: {pair}"));
        assert!(leaf.not_before <= leaf.not_after, "{pair}");
    }
    assert_eq!(pairs.len(), 18);
}

#[test]
fn the_certificate_of_rfc_8705_appendix_a_is_read() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    let example = &examples["rfc8705_appendix_a"];
    let digest = CertificateDigest::from_hex(text(example, "/sha256_hex").as_bytes()).expect("a digest");
    let pem = text(example, "/cert_pem").as_bytes();
    // From 2018-10-18 12:37:09 to 2022-05-02 12:37:09; version 1, so it has no alternative names.
    let subject = vec![Attribute { kind: "2.5.4.3".into(), value: Some("mtls".into()) }];
    let key = "59f9fbefb56c0d713e716dd6bf39bb0ae330e83ea1d79291855aaade8f341f8f";
    let key = CertificateDigest::from_hex(key.as_bytes()).expect("a digest").0;
    let lines: String = text(example, "/cert_pem").lines().filter(|line| !line.starts_with("-----")).collect();
    let der = STANDARD.decode(lines).expect("base64").into();
    let expected = Leaf { not_before: 1_539_866_229, not_after: 1_651_495_029, subject, key, der, ..Leaf::default() };
    assert_eq!(Leaf::from_pem(pem, digest), Ok(expected));
    assert_eq!(Leaf::from_pem(pem, CertificateDigest([0; 32])), Err(Error::OtherDigest));
    assert_eq!(bound_to(&json!({"x5t#S256": text(example, "/x5t#S256")})), certificate(digest));
}

#[test]
fn the_example_claims_of_rfc_8705_are_bound_once_they_are_base64url() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    for name in ["rfc8705_sec3_1_payload", "rfc8705_sec3_2_introspection"] {
        // As printed it ends in bits that belong to no octet.
        assert_eq!(bound_to(&examples[name]["cnf"]), None, "{name}");
    }
    let mended = text(&examples, "/rfc8705_sec3_1_note/x5t_reencoded_canonical");
    let digest = CertificateDigest(base64url::decode_32(mended).expect("32 octets"));
    assert_eq!(bound_to(&json!({"x5t#S256": mended})), certificate(digest));
}

#[test]
fn the_chain_of_rfc_9440_is_read() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    let example = &examples["rfc9440"];
    let der = |pem: &Value| {
        let lines = pem.as_str().expect("PEM").lines().filter(|line| !line.starts_with("-----"));
        STANDARD.decode(lines.collect::<String>()).expect("base64")
    };
    let chain: Vec<Vec<u8>> = example["chain_pem"].as_array().expect("a chain").iter().map(der).collect();
    let expected = text(example, "/leaf_x5t#S256");
    assert_eq!(base64url::encode(CertificateDigest::of(&chain[0]).0), expected);
    let may_sign: Vec<_> = chain.iter().map(|der| Leaf::from_der(der).map(|leaf| leaf.may_sign)).collect();
    assert_eq!(may_sign, [Ok(false), Ok(true), Ok(true)]);
}
