//! Certificates in header fields: the byte sequences of the structured-field tests, RFC 9440's own example, and certificates
//! of other projects in each form that proxies write.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdfast::facts::peer::{CertificateDigest, Peer, RelayId, Source, from_base64};
use holdfast::facts::relay::{Format, Readings, client_cert};
use holdfast::facts::{Request, write_pairs};
use holdfast::jose::base64url;
use serde_json::Value;

use super::read_json;

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text at {pointer}"))
}

/// The digest of the certificate in these fields, the first of which is the relay's.
fn told(format: Format, fields: &[(&str, &str)]) -> CertificateDigest {
    let request = Request::from_pairs(write_pairs(fields), Peer::Anonymous).expect("pairs");
    let found = format.find(&request, fields[0].0, CertificateDigest([0; 32])).expect("a form").expect("a certificate");
    Readings::default().certificate(found, Source::Relay(RelayId(0))).expect("a certificate").digest
}

/// RFC 4648 §6, without its padding.
fn base32(text: &str) -> Vec<u8> {
    let value = |sign: u8| if sign.is_ascii_uppercase() { sign - b'A' } else { sign - b'2' + 26 };
    let bits: Vec<u8> = text
        .trim_end_matches('=')
        .bytes()
        .flat_map(|sign| (0..5).rev().map(move |bit| value(sign) >> bit & 1))
        .collect();
    bits.chunks_exact(8).map(|octet| octet.iter().fold(0, |octet, bit| octet << 1 | bit)).collect()
}

#[test]
fn only_byte_sequences_are_read_and_only_in_their_one_spelling() {
    let Some(cases) = read_json("structured-field-tests/binary.json") else { return };
    let cases = cases.as_array().expect("cases");
    let mut read = 0;
    for case in cases {
        let field = text(case, "/raw/0").trim_ascii();
        let octets = client_cert::byte_sequence(field.as_bytes()).and_then(|inside| from_base64(inside).ok());
        let value = case.pointer("/expected/0/value").and_then(Value::as_str).map(base32);
        // What a parser may refuse is refused here, and so is what is no certificate because there is nothing.
        let expected = value.filter(|value| case.get("can_fail").is_none() && !value.is_empty());
        assert_eq!(octets, expected, "{case}");
        read += usize::from(expected.is_some());
    }
    assert_eq!((cases.len(), read), (15, 2));
}

#[test]
fn no_other_item_and_no_list_is_a_byte_sequence() {
    for file in ["item.json", "list.json"] {
        let Some(cases) = read_json(&format!("structured-field-tests/{file}")) else { return };
        for case in cases.as_array().expect("cases") {
            let lines = case["raw"].as_array().expect("lines").iter().filter_map(Value::as_str);
            for line in lines {
                assert_eq!(client_cert::byte_sequence(line.as_bytes()), None, "{case}");
            }
        }
    }
}

#[test]
fn the_fields_of_rfc_9440_tell_of_its_leaf() {
    let Some(examples) = read_json("rfc-examples/rfc-examples.json") else { return };
    let example = &examples["rfc9440"];
    let fields =
        [("client-cert", text(example, "/Client-Cert")), ("client-cert-chain", text(example, "/Client-Cert-Chain"))];
    let digest = told(Format::ClientCert, &fields);
    assert_eq!(base64url::encode(digest.0), text(example, "/leaf_x5t#S256"));
}

#[test]
fn other_projects_certificates_are_the_same_in_every_form() {
    let Some(pairs) = read_json("thumbprints/pairs.json") else { return };
    let pairs = pairs.as_array().expect("pairs");
    for pair in pairs {
        let base64 = STANDARD.encode(STANDARD.decode(text(pair, "/der_b64")).expect("base64"));
        let lines = base64.as_bytes().chunks(64).map(|line| core::str::from_utf8(line).expect("ASCII"));
        let body = lines.collect::<Vec<_>>().join("\n");
        let pem = format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n");
        let escaped = pem.replace('\n', "%0A").replace(' ', "%20");
        let escaped = escaped.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        let forms = [
            (Format::Pem, escaped.clone()),
            (Format::Pem, pem.replace('\n', " ")),
            (Format::ClientCert, format!(":{base64}:")),
            (Format::Xfcc, format!("By=urn:x;Cert=\"{escaped}\";Subject=\"\"")),
        ];
        for (format, field) in forms {
            let digest = told(format, &[("x", &field)]);
            assert_eq!(base64url::encode(digest.0), text(pair, "/x5t#S256_claimed"), "{format:?}: {pair}");
        }
    }
    assert_eq!(pairs.len(), 18);
}
