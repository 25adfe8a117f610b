//! The 32 steps by which the OpenID Foundation's conformance suite tries a resource server for FAPI 2.0 with DPoP, in its order: what
//! each does, whether it has to succeed, and what is told where it has not.

use harness::{Algorithm, SigningKey, sign_octets};
use serde_json::{Value, json};

use super::proof::{Holder, ORIGIN, Proof};
use super::world::{Ask, NOW, PASSES, World, bank, certificate, get, token};

/// The suite's own list of the same steps, if it is at hand, says for each whether it has to succeed.
fn expected_by_the_suite() -> Option<Vec<bool>> {
    let path = harness::top().join("../shared/vectors/fapi2-rs-dpop/cases.json");
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path).ok()?).unwrap();
    Some(cases.iter().map(|case| case["expect_success"].as_bool().unwrap()).collect())
}

#[test]
fn all_32_steps_of_the_suite_get_their_verdict() {
    let (ann, bob) = (Holder::named("ann"), Holder::named("bob"));
    let token = token(&certificate(), json!({"cnf": {"jkt": ann.jkt()}}));
    let good = |jti: &str| ann.proof("/a", &token, jti);
    let ask = |proof: &Proof<'_>| get("/a").dpop(&token, &proof.sign());
    let of_rsa = || {
        let (rsa, proof) = (SigningKey::new(Algorithm::Rs256, "1"), good("13"));
        let header = proof.header("alg", "RS256").header("jwk", rsa.jwk());
        sign_octets(&rsa, header.header.to_string().as_bytes(), header.claims.to_string().as_bytes())
    };
    let unsigned = || {
        let text = good("14").header("alg", "none").sign();
        format!("{}.", text.rsplit_once('.').unwrap().0)
    };
    let altered = || {
        let text = good("15").sign();
        let (input, signature) = text.rsplit_once('.').unwrap();
        format!("{input}.{}{}", if signature.starts_with('A') { 'B' } else { 'A' }, &signature[1..])
    };
    let private = || {
        let mut jwk = ann.jwk();
        jwk["d"] = json!("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
        jwk
    };
    let without = |name: &str, at: &str| good(at).claim(name, Value::Null);
    let scheme = format!("DPoP {token}");
    let upper =
        Ask::field(get("/a"), "AUTHORIZATION", scheme.replacen("DPoP", "DPOP", 1)).field("DPOP", good("1").sign());
    let steps: [(&str, Ask, (u16, &str)); 32] = [
        ("scheme and field in capitals", upper, PASSES),
        ("two fields", ask(&good("2")).field("dpop", good("2").sign()), (401, "proof.several")),
        ("no JWT", get("/a").dpop(&token, "not.a-proof"), (401, "proof.malformed")),
        ("no typ", ask(&good("4").header("typ", Value::Null)), (401, "proof.type")),
        ("no alg", ask(&good("5").header("alg", Value::Null)), (401, "proof.malformed")),
        ("no jwk", ask(&good("6").header("jwk", Value::Null)), (401, "proof.key")),
        ("no jti", ask(&without("jti", "7")), (401, "proof.claim")),
        ("no htm", ask(&without("htm", "8")), (401, "proof.claim")),
        ("no htu", ask(&without("htu", "9")), (401, "proof.claim")),
        ("no iat", ask(&without("iat", "10")), (401, "proof.claim")),
        ("no ath", ask(&without("ath", "11")), (401, "proof.claim")),
        ("another typ", ask(&good("12").header("typ", "jwt")), (401, "proof.type")),
        ("RS256", get("/a").dpop(&token, &of_rsa()), (401, "proof.algorithm")),
        ("no signature by alg none", get("/a").dpop(&token, &unsigned()), (401, "proof.algorithm")),
        ("a signature altered", get("/a").dpop(&token, &altered()), (401, "proof.signature")),
        ("a private key in jwk", ask(&good("16").header("jwk", private())), (401, "proof.key")),
        ("another htm", ask(&good("17").claim("htm", "PUT")), (401, "proof.method")),
        ("htu with query and fragment", ask(&good("18").claim("htu", format!("{ORIGIN}/a?x=1#y"))), PASSES),
        ("htu without the query of the request", get("/a?x=1").dpop(&token, &good("19").sign()), PASSES),
        ("another htu", ask(&good("20").claim("htu", "https://other.example/a")), (401, "proof.uri")),
        ("iat in an hour", ask(&good("21").claim("iat", NOW + 3600)), (401, "proof.not_yet_valid")),
        ("iat an hour ago", ask(&good("22").claim("iat", NOW - 3600)), (401, "proof.expired")),
        ("a jti for the first time", ask(&good("23")), PASSES),
        ("the same jti again", ask(&good("23")), (401, "proof.replayed")),
        ("another ath", ask(&good("25").claim("ath", "x".repeat(43))), (401, "proof.ath")),
        ("signed with another key", ask(&good("26").by(&bob)), (401, "proof.signature")),
        ("more in header and claims", ask(&good("27").header("foo", 1).claim("bar", json!({"x": []}))), PASSES),
        (
            "scheme and host of htu in capitals",
            ask(&good("28").claim("htu", format!("{}/a", ORIGIN.to_uppercase()))),
            PASSES,
        ),
        ("the usual port in htu", ask(&good("29").claim("htu", format!("{ORIGIN}:443/a"))), PASSES),
        ("no proof", get("/a").field("authorization", &scheme), (401, "proof.missing")),
        ("no proof, as bearer", get("/a").bearer(&token), (401, "binding.bearer_downgrade")),
        ("a good one once more", ask(&good("32")), PASSES),
    ];
    let mut world = World::new(json!({
        "issuers": [bank()], "binding": "dpop", "dpop": {"origins": [ORIGIN]},
        "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]
    }));
    let verdicts: Vec<bool> = steps
        .iter()
        .map(|(name, asked, expected)| {
            assert_eq!(world.verdict(asked), *expected, "{name}");
            expected.0 == 0
        })
        .collect();
    if let Some(expected) = expected_by_the_suite() {
        assert_eq!(verdicts, expected);
    }
}
