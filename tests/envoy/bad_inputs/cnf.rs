//! Tokens and certificates that do not belong together.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Leaf, Request, Response, base64url};
use serde_json::json;

use crate::stage::{Stage, api, claims, document, issuer};

#[test]
fn every_bit_of_the_digest_counts() {
    let stage = Stage::set(&document()).warm();
    let digest = URL_SAFE_NO_PAD.decode(stage.bank.x5t_s256()).expect("octets");
    let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
    for bit in 0..256 {
        let mut changed = digest.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let token = stage.token_with(json!({"cnf": {"x5t#S256": base64url(&changed)}}));
        assert_eq!(connection.send(&api(&token)).expect("an answer").status, 401, "CNF-09: bit {bit}");
    }
    assert_eq!(stage.reached(), 0);
    stage.assert_alive();
}

#[test]
fn hostile_certificates_name_nobody() {
    let document = json!({
        "issuers": [issuer()],
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "routes": [
            {"name": "named", "path": "/named", "allow": [{"certificate": {"san_dns": "admin.bank.example"}, "token": "none"}]},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    });
    let stage = Stage::set(&document).warm();
    // CNF-27: a NUL in a name, many names, a long name.
    let nul = {
        let name = b"admin.bank.example\0.evil.example";
        let entry = [&[0x82, u8::try_from(name.len()).expect("short")][..], name].concat();
        [&[0x30, u8::try_from(entry.len()).expect("short")][..], &entry].concat()
    };
    let mut many = Leaf::client("many");
    for number in 0..100 {
        many = many.dns(&format!("n{number}.example"));
    }
    let issue = |leaf: Leaf| stage.envoy.authority().issue(leaf);
    let table = [
        ("NUL", issue(Leaf::nameless("nul").extension(&[2, 5, 29, 17], nul))),
        ("100 names", issue(many)),
        ("a long name", issue(Leaf::client(&"x".repeat(60)).dns(&format!("{}.example", "y.".repeat(100))))),
    ];
    for (name, certificate) in table {
        // Where Envoy itself refuses the certificate, there is no answer at all.
        let answer = stage.envoy.client(&certificate).try_send(&Request::get("/named"));
        assert!(
            answer.as_ref().map_or(true, |answer: &Response| matches!(answer.status, 400 | 403)),
            "CNF-27 {name}: {answer:?}"
        );
        assert_eq!(stage.reached(), 0, "CNF-27 {name}");
        stage.assert_alive();
    }
    let named = issue(Leaf::client("admin.bank.example"));
    assert_eq!(stage.envoy.client(&named).send(&Request::get("/named")).status, 200);
    // CNF-12: another certificate of the same name.
    let token = stage.key.mint(json!({}), &claims(&issue(Leaf::client("bank"))));
    assert_eq!(stage.as_bank(&api(&token)).status, 401);
}
