//! An introspection answer: a token is active only where the server said so of a good one.
#![no_main]

use holdfast::callout::{Answer, Response};
use holdfast::config;
use holdfast::time::UnixTime;
use holdfast::token::Issuer;
use libfuzzer_sys::fuzz_target;

const NOW: u64 = 1_800_000_000;

const CONFIGURATION: &str = r#"{
    "issuers": [{
        "issuer": "https://login.bank.example", "audiences": ["https://api.bank.example"], "roles": {"at": ["/roles"]},
        "introspection": {"cluster": "as", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}}
    }],
    "routes": [{"name": "all", "allow": "authenticated"}]
}"#;

fn issuer() -> Issuer {
    let compiled =
        config::load(CONFIGURATION.as_bytes(), &|_| Some("secret".to_owned())).ok().expect("a configuration");
    compiled.settings.issuers.into_iter().next().expect("an issuer")
}

thread_local!(static ISSUER: Issuer = issuer());

fuzz_target!(|octets: &[u8]| ISSUER.with(|issuer| {
    let settings = issuer.introspection.as_ref().expect("introspection");
    let answer = |status| Answer::Response(Response::new(status, octets.to_vec()));
    let now = UnixTime::new(NOW);
    assert!(settings.read(issuer, &answer(500), now).is_err());
    let Ok(read) = settings.read(issuer, &answer(200), now) else { return };
    let said: serde_json::Value = serde_json::from_slice(octets).expect("JSON");
    let Ok(token) = read else { return };
    assert_eq!(said["active"], true);
    assert!(said.get("iss").is_none_or(|iss| *iss == issuer.identifier));
    assert_eq!(token.subject(), said["sub"].as_str());
    assert_eq!(token.client_id(), said["client_id"].as_str());
    assert_eq!(token.confirmation().is_unbound(), said.get("cnf").is_none());
    let expires = said["exp"].as_f64().expect("a date");
    assert!(expires.floor() + 30.0 > NOW as f64);
    let until = settings.good_until(&token, now);
    assert!(until <= settings.stale_until(&token, now) && until.seconds() as f64 <= expires);
}));
