//! Split tokens: the client has the signature, a store the rest.

use std::sync::Arc;

use harness::{Algorithm, Curity, Proof, Request, SigningKey};
use serde_json::json;

use super::{ORIGIN, bad_answers, credentials, dpop, each_is_unusable, gateway_secret, says, set, speaking};
use crate::stage::{Stage, api};

fn stage() -> (Stage, Arc<Curity>) {
    let stage = set(&speaking("split", Curity::STORE)).warm();
    let curity = Curity::speak(&stage.server, &stage.key, ("api", &gateway_secret()));
    (stage, curity)
}

#[test]
fn a_signature_becomes_the_token_that_it_signs() {
    let (stage, curity) = stage();
    let whole = stage.token();
    let (signed, signature) = whole.rsplit_once('.').expect("three parts");
    curity.publish(signature, signed);
    for _ in 0..2 {
        assert_eq!(stage.as_bank(&api(signature)).status, 200, "{}", stage.envoy.log());
        assert_eq!(credentials(&stage), [(vec![format!("Bearer {whole}")], vec![])]);
    }
    assert_eq!(stage.server.count(&Curity::place(signature)), 1, "it is remembered");
    assert!(stage.server.asked().iter().all(|asked| !asked.path.contains(signature)), "the token stands in no path");
    assert_eq!(stage.as_thief(&api(signature)).status, 401);
    assert_eq!(stage.as_bank(&api(&signature[1..])).status, 401, "404: nobody has it");
    assert_eq!(stage.as_bank(&Request::get("/strip/x").bearer(signature)).status, 200);
    assert_eq!(credentials(&stage), [(vec![], vec![])]);
}

#[test]
fn a_proof_is_made_with_the_signature() {
    let (stage, curity) = stage();
    let key = SigningKey::new(Algorithm::Es256, "wallet");
    let mut claims = stage.claims();
    claims["cnf"] = json!({"jkt": key.thumbprint()});
    let token = curity.split(&claims);
    let proof = Proof::new(&key, "GET", &format!("{ORIGIN}/either/x")).with(&token).sign(&key);
    assert_eq!(stage.anonymously(&dpop("/either/x", &token, &proof)).status, 200, "{}", stage.envoy.log());
    assert_eq!(stage.reached(), 1);
    assert_eq!(stage.anonymously(&dpop("/either/x", &token, &proof)).status, 401, "once");
    assert_eq!(stage.anonymously(&Request::get("/either/x").bearer(&token)).status, 401);
}

#[test]
fn nothing_else_in_the_store_becomes_a_token() {
    let (stage, curity) = stage();
    let signed = || stage.token().rsplit_once('.').expect("three parts").0.to_owned();
    let unusable = "server.unusable_answer";
    let mut faults = bad_answers("text/plain", &signed());
    faults.extend([
        ("another token's", says(200, "text/plain", signed()), unusable),
        ("all of a token", says(200, "text/plain", stage.token()), unusable),
        ("JSON", says(200, "application/json", json!({"token": signed()}).to_string()), unusable),
    ]);
    let number = std::cell::Cell::new(0);
    let issue = || {
        number.set(number.get() + 1);
        let mut claims = stage.claims();
        claims["jti"] = json!(number.get().to_string());
        curity.split(&claims)
    };
    each_is_unusable(&stage, faults, issue, Curity::place);
}
