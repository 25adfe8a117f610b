//! The 32 steps by which the OpenID Foundation's conformance suite tries a resource server for FAPI 2.0 with DPoP, in its order: what
//! each does, whether it has to succeed, and what is told where it has not.

use harness::{Algorithm, Proof, Request, SigningKey, now, top};
use serde_json::{Value, json};

use super::stage::{Stage, issuer};

const ORIGIN: &str = "https://api.bank.example";
const URI: &str = "https://api.bank.example/api/x";

/// The suite's own list of the same steps, if it is at hand, says for each whether it has to succeed.
fn expected_by_the_suite() -> Option<Vec<bool>> {
    let path = top().join("../shared/vectors/fapi2-rs-dpop/cases.json");
    let Ok(list) = std::fs::read(path) else {
        eprintln!("skipped: the suite's list is not beside this checkout");
        return None;
    };
    let cases: Vec<Value> = serde_json::from_slice(&list).expect("JSON");
    Some(cases.iter().map(|case| case["expect_success"].as_bool().expect("yes or no")).collect())
}

#[test]
fn all_32_steps_of_the_suite_get_their_verdict() {
    let stage = Stage::set(&json!({
        "issuers": [issuer()], "binding": "dpop", "dpop": {"origins": [ORIGIN]},
        "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]
    }))
    .warm();
    let [ann, bob] = ["ann", "bob"].map(|name| SigningKey::new(Algorithm::Es256, name));
    let rsa = SigningKey::new(Algorithm::Rs256, "rsa");
    let token = stage.token_with(json!({"cnf": {"jkt": ann.thumbprint()}}));
    let good = || Proof::new(&ann, "GET", URI).with(&token);
    let with_field = |scheme: &str, proof: &str| {
        Request::get("/api/x").field("authorization", format!("{scheme} {token}")).field("dpop", proof)
    };
    let send = |proof: &str| with_field("DPoP", proof);
    let ask = |proof: Proof| send(&proof.sign(&ann));
    let without = |name: &str| ask(good().claim(name, Value::Null));
    let of_header = |name: &str, value: Value| ask(good().header(name, value));
    let unsigned = || {
        let text = good().header("alg", json!("none")).sign(&ann);
        format!("{}.", text.rsplit_once('.').expect("a signature").0)
    };
    let altered = || {
        let text = good().sign(&ann);
        let (input, signature) = text.rsplit_once('.').expect("a signature");
        format!("{input}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..])
    };
    let private = || {
        let mut jwk = ann.jwk();
        jwk["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        jwk
    };
    let upper = || {
        let request = Request::get("/api/x").field("AUTHORIZATION", format!("DPOP {token}"));
        request.field("DPOP", good().sign(&ann))
    };
    let with_query = || Request { target: "/api/x?x=1".into(), ..ask(good()) };
    let once = ask(good());
    let refused = |reason: &'static str| (401, reason);
    const PASSES: (u16, &str) = (200, "granted");
    let steps: [(&str, Request, (u16, &str)); 32] = [
        ("scheme and field in capitals", upper(), PASSES),
        ("two fields", ask(good()).field("dpop", good().sign(&ann)), refused("proof.several")),
        ("no JWT", send("not.a-proof"), refused("proof.malformed")),
        ("no typ", of_header("typ", Value::Null), refused("proof.type")),
        ("no alg", of_header("alg", Value::Null), refused("proof.malformed")),
        ("no jwk", of_header("jwk", Value::Null), refused("proof.key")),
        ("no jti", without("jti"), refused("proof.claim")),
        ("no htm", without("htm"), refused("proof.claim")),
        ("no htu", without("htu"), refused("proof.claim")),
        ("no iat", without("iat"), refused("proof.claim")),
        ("no ath", without("ath"), refused("proof.claim")),
        ("another typ", of_header("typ", json!("jwt")), refused("proof.type")),
        ("RS256", send(&Proof::new(&rsa, "GET", URI).with(&token).sign(&rsa)), refused("proof.algorithm")),
        ("no signature by alg none", send(&unsigned()), refused("proof.algorithm")),
        ("a signature altered", send(&altered()), refused("proof.signature")),
        ("a private key in jwk", of_header("jwk", private()), refused("proof.key")),
        ("another htm", ask(good().claim("htm", json!("PUT"))), refused("proof.method")),
        ("htu with query and fragment", ask(good().claim("htu", json!(format!("{URI}?x=1#y")))), PASSES),
        ("htu without the query of the request", with_query(), PASSES),
        ("another htu", ask(good().claim("htu", json!("https://other.example/api/x"))), refused("proof.uri")),
        ("iat in an hour", ask(good().claim("iat", json!(now() + 3600))), refused("proof.not_yet_valid")),
        ("iat an hour ago", ask(good().claim("iat", json!(now() - 3600))), refused("proof.expired")),
        ("a jti for the first time", once.clone(), PASSES),
        ("the same jti again", once, refused("proof.replayed")),
        ("another ath", ask(good().claim("ath", json!("x".repeat(43)))), refused("proof.ath")),
        ("signed with another key", send(&good().sign(&bob)), refused("proof.signature")),
        ("more in header and claims", ask(good().header("foo", json!(1)).claim("bar", json!({"x": []}))), PASSES),
        (
            "scheme and host of htu in capitals",
            ask(good().claim("htu", json!(format!("{}/api/x", ORIGIN.to_uppercase())))),
            PASSES,
        ),
        ("the usual port in htu", ask(good().claim("htu", json!(format!("{ORIGIN}:443/api/x")))), PASSES),
        ("no proof", Request::get("/api/x").field("authorization", format!("DPoP {token}")), refused("proof.missing")),
        ("no proof, as bearer", Request::get("/api/x").bearer(&token), refused("binding.bearer_downgrade")),
        ("a good one once more", ask(good()), PASSES),
    ];
    let mut verdicts = Vec::new();
    for (at, (name, request, (status, reason))) in steps.iter().enumerate() {
        let answer = stage.anonymously(request);
        assert_eq!((answer.status, stage.reason(at + 1).as_str()), (*status, *reason), "{name}");
        verdicts.push(answer.status == 200);
    }
    assert_eq!(stage.reached(), verdicts.iter().filter(|passes| **passes).count());
    if let Some(expected) = expected_by_the_suite() {
        assert_eq!(verdicts, expected);
    }
}
