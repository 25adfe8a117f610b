//! A token: what is read from its parts is written back to the same text, and no JWT is taken for an opaque token.
#![no_main]

use holdfast::credential::AccessToken;
use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::base64url;
use holdfast::jose::jwk::JwkSet;
use holdfast::jose::jws::Jws;
use holdfast::jose::verifier::InRust;
use holdfast::token::jwt::{Form, UnverifiedJwt};
use libfuzzer_sys::fuzz_target;

/// The key of RFC 8037 A.2.
const KEYS: &[u8] =
    br#"{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

/// The one token that it signed (RFC 8037 A.4).
const SIGNED: &str = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.\
    hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";

// A text as it is, or header and payload with a NUL between them.
fuzz_target!(|octets: &[u8]| {
    let text = match octets.iter().position(|octet| *octet == 0) {
        Some(at) => format!(
            "{}.{}.{}",
            base64url::encode(&octets[..at]),
            base64url::encode(&octets[at + 1..]),
            base64url::encode([7; 64])
        ),
        None => match std::str::from_utf8(octets) {
            Ok(text) => text.to_owned(),
            Err(_) => return,
        },
    };
    let lenient = base64url::decode_leniently(&text);
    if let Ok(strict) = base64url::decode(&text) {
        assert_eq!((&lenient, base64url::encode(&strict)), (&strict, text.clone()));
    }
    let token = AccessToken::new(&text);
    let form = Form::of(token);
    let Ok(jws) = Jws::parse(&text) else {
        assert!(UnverifiedJwt::parse(token).is_err());
        return;
    };
    let header = jws.header();
    assert!(!header.algorithm_name.is_empty() && header.kid.as_ref().is_none_or(|kid| kid.len() <= 256));
    let parts: Vec<&str> = text.split('.').collect();
    for part in &parts {
        assert_eq!(base64url::encode(base64url::decode(part).expect("base64url")), **part);
    }
    assert_eq!((parts.len(), base64url::encode(jws.payload()).as_str()), (3, parts[1]));
    assert_eq!(form, Form::Jwt);
    let (keys, _) = JwkSet::parse(KEYS).expect("a key set");
    assert_eq!(jws.verify(&InRust, &keys.keys[0].key, Algorithm::EdDsa).is_ok(), text == SIGNED);
    if let Ok(jwt) = UnverifiedJwt::parse(token) {
        let claims: serde_json::Value = serde_json::from_slice(jws.payload()).expect("JSON");
        assert_eq!((jwt.issuer(), jwt.key_id()), (claims["iss"].as_str(), header.kid.as_deref()));
    }
});
