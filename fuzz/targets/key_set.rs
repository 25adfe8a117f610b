//! A JWK Set: each key is used or left out, and one that is used can be chosen and verifies nothing that it did not sign.
#![no_main]

use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::jwk::{Candidates, JwkSet};
use libfuzzer_sys::fuzz_target;

const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::EdDsa,
];

fuzz_target!(|octets: &[u8]| {
    let Ok((set, skipped)) = JwkSet::parse(octets) else { return };
    let json: serde_json::Value = serde_json::from_slice(octets).expect("JSON");
    let written = json["keys"].as_array().expect("a list");
    assert_eq!(set.keys.len() + skipped.len(), written.len());
    for skipped in &skipped {
        assert!(skipped.index < written.len() && !skipped.to_string().is_empty());
    }
    for key in &set.keys {
        assert!(key.kid.as_ref().is_none_or(|kid| kid.len() <= 256));
        let fitting: Vec<Algorithm> = ALGORITHMS.into_iter().filter(|algorithm| key.fits(*algorithm)).collect();
        assert!(!fitting.is_empty() && key.algorithm.is_none_or(|own| fitting == [own]));
        for algorithm in fitting {
            assert!(!key.key.verify(algorithm, b"", b"") && !key.key.verify(algorithm, b"message", &[1; 64]));
            match set.candidates(key.kid.as_deref(), algorithm) {
                Candidates::Keys(keys) => assert!(keys.contains(&key)),
                Candidates::Ambiguous => assert_eq!(key.kid, None),
                other => panic!("{other:?}"),
            }
        }
        let thumbprint = key.key.thumbprint();
        let same = set.keys.iter().filter(|other| other.key == key.key);
        assert!(same.into_iter().all(|other| other.key.thumbprint() == thumbprint));
    }
});
