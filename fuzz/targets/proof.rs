//! The `DPoP` field and the URI in it: what reads as a proof is short and one, and the one spelling of a URI is spelt so.
#![no_main]

use std::rc::Rc;
use std::time::Duration;

use holdfast::binding::dpop::{MadeFor, Settings, UnverifiedProof};
use holdfast::binding::htu::{Htu, Origin};
use holdfast::binding::replay::{self, Scope};
use holdfast::jose::algorithm::Algorithm;
use holdfast::time::UnixTime;
use libfuzzer_sys::fuzz_target;

fn settings() -> Settings {
    Settings {
        name: "fuzz".to_owned(),
        origins: vec![Origin::parse("https://api.bank.example").expect("an origin")],
        algorithms: Algorithm::ALL.to_vec(),
        max_age: Duration::from_secs(300),
        nonces: None,
        replay: replay::Settings { scope: Scope::None, proofs: 0, admits_when_full: false },
    }
}

fn spelt(uri: &str) -> Option<String> {
    let octets = Htu::parse(uri)?.octets().collect::<Vec<&[u8]>>().concat();
    Some(String::from_utf8(octets).expect("ASCII"))
}

fuzz_target!(|octets: &[u8]| {
    let settings = settings();
    if let Ok(uri) = core::str::from_utf8(octets)
        && let Some(once) = spelt(uri)
    {
        assert_eq!(spelt(&once).as_deref(), Some(once.as_str()));
    }
    let Ok(proof) = UnverifiedProof::parse(octets, &settings, &Rc::default()) else { return };
    assert!(octets.len() <= 4096 && !octets.contains(&b','));
    let made_for = MadeFor { method: b"GET", target: b"/accounts/1", token_digest: [0; 32] };
    if let Ok(fitting) = proof.fit(made_for, &settings, UnixTime::new(1_800_000_000)) {
        let _ = fitting.prover();
    }
});
