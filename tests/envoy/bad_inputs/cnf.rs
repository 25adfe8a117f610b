//! Tokens and certificates that do not belong together.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::{Certificate, Leaf, Request, Tls, TlsVersion, base64url};
use serde_json::{Value, json};

use super::{Sender, bad, bad_token, good, run};
use crate::stage::{Stage, api, asking, claims, document, issuer};

fn dpop(token: &str) -> Request {
    Request::get("/api/x").field("authorization", format!("DPoP {token}")).field("dpop", "a.b.c")
}

#[test]
fn confirmations() {
    let stage = Stage::set(&document()).warm();
    let with = |cnf: Value| stage.token_with(json!({"cnf": cnf}));
    let digest = stage.bank.x5t_s256();
    let mut cases = vec![bad_token("CNF-01", "no cnf", &with(json!(null)), "binding.unbound")];
    cases.push(good("CNF-01", "where that is allowed", Request::get("/unbound").bearer(&with(json!(null)))));
    for cnf in [
        json!({"kid": "k1"}),
        json!({"jwk": stage.key.jwk()}),
        json!({"jku": "https://login.bank.example/jwks"}),
        json!({"osc": {}}),
        json!({"x5t": "x"}),
        json!({}),
        json!([]),
        json!("x"),
    ] {
        cases.push(bad_token("CNF-03", cnf.to_string(), &with(cnf), "token.confirmation"));
    }
    cases.push(good("CNF-03", "one that is known beside", api(&with(json!({"kid": "k1", "x5t#S256": digest})))));
    let octets = URL_SAFE_NO_PAD.decode(&digest).expect("octets");
    let hex = stage.bank.digest_hex();
    let colons: Vec<&str> = (0..32).map(|at| &hex[at * 2..at * 2 + 2]).collect();
    for value in [
        format!("{digest}="),
        format!("{digest}=="),
        STANDARD.encode(&octets),
        // 43 characters, of which one is foreign.
        format!("{}+", &digest[..42]),
        format!("{}/", &digest[..42]),
        hex.to_uppercase(),
        colons.join(":"),
        format!(" {digest}"),
        digest[..42].to_owned(),
        String::new(),
        hex,
    ] {
        cases.push(bad_token("CNF-07", &value, &with(json!({"x5t#S256": value})), "token.confirmation"));
    }
    for value in [json!(5), json!(null), json!([digest])] {
        cases.push(bad_token("CNF-07", value.to_string(), &with(json!({"x5t#S256": value})), "token.confirmation"));
    }
    for bit in 0..256 {
        let mut changed = octets.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let token = with(json!({"x5t#S256": base64url(&changed)}));
        cases.push(bad_token("CNF-09", format!("bit {bit}"), &token, "binding.other_certificate"));
    }
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let (by_key, by_both) = (with(json!({"jkt": jkt})), with(json!({"jkt": jkt, "x5t#S256": digest})));
    cases.push(bad_token("CNF-15", "bound to a key", &by_key, "binding.bearer_downgrade"));
    cases.push(bad_token("CNF-15", "bound to a key and a certificate", &by_both, "binding.bearer_downgrade"));
    let anywhere = Request::get("/unbound").bearer(&by_key);
    cases.push(bad("CNF-15", "where unbound tokens pass", anywhere, 401, "binding.bearer_downgrade"));
    // Without `dpop` the scheme is one that nobody takes; with it, these are DPOP-35.
    for (id, token) in [("CNF-16", stage.token()), ("CNF-17", with(json!(null)))] {
        cases.push(bad(id, "as DPoP", dpop(&token), 401, "credential.other_scheme"));
        let anywhere = Request { target: "/unbound".to_owned(), ..dpop(&token) };
        cases.push(bad(id, "where unbound tokens pass", anywhere, 401, "credential.other_scheme"));
    }
    let unbound = |token: &str| Request::get("/unbound").bearer(token);
    let stolen = stage.key.mint(json!({}), &claims(&stage.thief));
    cases.push(bad("CNF-22", "rubbish", unbound("rubbish"), 401, "token.inactive"));
    let thief = bad("CNF-22", "of another", unbound(&stage.token()), 401, "binding.other_certificate");
    cases.push(thief.by(Sender::Thief));
    let unknown = unbound(&with(json!({"kid": "x"})));
    cases.push(bad("CNF-22", "a binding that can't be confirmed", unknown, 401, "token.confirmation"));
    cases.push(bad("CNF-22", "another's token", unbound(&stolen), 401, "binding.other_certificate"));
    cases.push(
        bad("CNF-22", "no certificate", unbound(&stage.token()), 401, "binding.no_certificate").by(Sender::Nobody),
    );
    cases.push(good("CNF-22", "its own", unbound(&stage.token())));
    run(&stage, cases);
}

#[test]
fn a_certificate_is_itself_and_no_other_of_its_name_or_key() {
    let stage = Stage::set(&document()).warm();
    let authority = stage.envoy.authority();
    let token = stage.token();
    let table = [
        ("the same name", authority.issue(Leaf::client("bank")), "binding.other_certificate"),
        ("the same key", authority.renew(&stage.bank, Leaf::client("other")), "binding.renewed_certificate"),
        ("renewed, name and key", authority.renew(&stage.bank, Leaf::client("bank")), "binding.renewed_certificate"),
    ];
    assert_eq!(stage.as_bank(&api(&token)).status, 200, "this worker knows it");
    for (at, (name, other, reason)) in table.iter().enumerate() {
        let status = stage.envoy.client(other).send(&api(&token)).status;
        assert_eq!((status, stage.reason(2 * at + 2).as_str()), (401, *reason), "CNF-12 {name}");
        let own = stage.key.mint(json!({}), &claims(other));
        assert_eq!(stage.envoy.client(other).send(&api(&own)).status, 200, "CNF-12 {name}, with its own token");
    }
    assert_eq!(stage.reached(), table.len() + 1);
}

#[test]
fn what_a_token_says_of_its_binding_and_what_its_server_does() {
    let stage = Stage::set(&asking()).warm();
    let (ours, theirs) = (stage.bank.x5t_s256(), stage.thief.x5t_s256());
    let mut number = 0;
    let mut token = |signed: Value, said: Value| {
        number += 1;
        let token = stage.token_with(json!({"cnf": signed, "jti": number.to_string()}));
        let mut answer = stage.active();
        answer["cnf"] = said;
        answer.as_object_mut().expect("members").retain(|_, value| !value.is_null());
        stage.server.know(&token, answer);
        api(&token)
    };
    let bound = |digest: &str| json!({"x5t#S256": digest});
    let (lost, found) = (token(bound(&ours), json!(null)), token(json!(null), bound(&ours)));
    run(
        &stage,
        vec![
            // What one of them leaves out takes nothing away.
            bad("CNF-18", "lost, and stolen", lost.clone(), 401, "binding.other_certificate").by(Sender::Thief),
            good("CNF-18", "lost, and its own", lost),
            bad("CNF-18", "told by the server alone", found.clone(), 401, "binding.other_certificate")
                .by(Sender::Thief),
            good("CNF-18", "and its own", found),
            bad("CNF-18", "told by nobody", token(json!(null), json!(null)), 401, "binding.unbound"),
            bad("CNF-18", "lost as rubbish", token(bound(&ours), json!({})), 401, "token.confirmation"),
            bad("CNF-19", "another", token(bound(&ours), bound(&theirs)), 401, "token.disagreement"),
            bad("CNF-19", "the thief's", token(bound(&ours), bound(&theirs)), 401, "token.disagreement")
                .by(Sender::Thief),
            bad("CNF-19", "the other way", token(bound(&theirs), bound(&ours)), 401, "token.disagreement"),
            good("CNF-19", "the same", token(bound(&ours), bound(&ours))),
        ],
    );
}

#[test]
fn certificates_that_nobody_vouches_for() {
    let document = || document();
    let verifying = Stage::set(&document()).warm();
    let taking = Stage::with(&document(), |options| options.tls(Tls::Untrusted)).warm();
    let other_authority = harness::Authority::new("unknown CA");
    type Make = fn(&harness::Authority) -> Certificate;
    let expired: Make = |authority| authority.issue(Leaf::client("c").valid(-7200, -3600));
    let early: Make = |authority| authority.issue(Leaf::client("c").valid(3600, 7200));
    let own: Make = |_| Leaf::client("c").self_signed();
    let fresh: Make = |authority| authority.issue(Leaf::client("c"));
    // CNF-23: where Envoy verifies, no connection; where it does not, the dates are judged here and the chain by nobody
    // (RFC 8705 §6.2), so that names in it are refused at load.
    let table = [
        ("expired", expired(taking.envoy.authority()), 401, "binding.expired_certificate"),
        ("not yet valid", early(taking.envoy.authority()), 401, "binding.expired_certificate"),
        ("self-signed", own(taking.envoy.authority()), 200, "granted"),
        ("of an unknown CA", fresh(&other_authority), 200, "granted"),
        ("good", fresh(taking.envoy.authority()), 200, "granted"),
    ];
    for (at, (name, certificate, status, reason)) in table.iter().enumerate() {
        let token = taking.key.mint(json!({}), &claims(certificate));
        let answer = taking.envoy.client(certificate).send(&api(&token));
        assert_eq!((answer.status, taking.reason(at + 1).as_str()), (*status, *reason), "CNF-23 {name}, taken");
        assert_eq!(taking.reached(), usize::from(*status == 200));
        let token = verifying.key.mint(json!({}), &claims(certificate));
        let answer = verifying.envoy.client(certificate).try_send(&api(&token));
        assert!(answer.is_err(), "CNF-23 {name}, verified by a proxy with another authority: {answer:?}");
    }
    for (name, make, passes) in [("expired", expired, false), ("not yet valid", early, false), ("good", fresh, true)] {
        let certificate = make(verifying.envoy.authority());
        let token = verifying.key.mint(json!({}), &claims(&certificate));
        let answer = verifying.envoy.client(&certificate).try_send(&api(&token));
        assert_eq!(answer.is_ok_and(|answer| answer.status == 200), passes, "CNF-23 {name}, verified");
    }
    assert_eq!(verifying.reached(), 1);
    let mut by_name = document();
    by_name["routes"][1]["allow"] = json!([{"certificate": {"san_dns": "c"}}]);
    assert!(taking.envoy.configure(&by_name).is_err(), "CNF-23: no name counts in a chain that nobody verified");
}

#[test]
fn every_request_is_judged_by_the_certificate_of_its_own_connection() {
    // CNF-25: BoringSSL neither renegotiates as a server nor asks for a certificate after the handshake, so a connection has
    // one certificate for life. What a client can do is to say another host, or bring another's token, on it.
    let stage = Stage::with(&document(), |options| options.tls(Tls::Resuming)).warm();
    let (own, others) = (stage.token(), stage.key.mint(json!({}), &claims(&stage.thief)));
    let at = |host: &str, token: &str| {
        let mut request = api(token);
        request.fields[0].1 = host.as_bytes().to_vec();
        request
    };
    for version in [TlsVersion::V1_2, TlsVersion::V1_3] {
        let client = stage.envoy.client_speaking(version, Some(&stage.bank)).resuming();
        for resumed in [false, true] {
            let mut connection = client.open().expect("a connection");
            for host in ["localhost", "admin.bank.example", "other.example"] {
                for (token, status) in [(&own, 200), (&others, 401), (&own, 200)] {
                    let answer = connection.send(&at(host, token)).expect("an answer");
                    assert_eq!(answer.status, status, "CNF-25 {version:?} {host}");
                }
            }
            assert_eq!(connection.session().map(|session| session.resumed), Some(resumed), "{version:?}");
        }
        let mut connection =
            stage.envoy.client_speaking(version, Some(&stage.thief)).open_http2().expect("a connection");
        for (host, token, status) in [("localhost", &others, 200), ("x.example", &own, 401), ("localhost", &own, 401)] {
            assert_eq!(connection.send(&at(host, token)).expect("an answer").status, status, "CNF-25 {host}");
        }
    }
    assert_eq!(stage.reached(), 2 * (12 + 1));
}

#[test]
fn listeners_that_ask_for_no_certificate() {
    for (tls, status, reason) in
        [(Tls::Plaintext, 400, "request.plaintext"), (Tls::None, 401, "binding.no_certificate")]
    {
        let stage = Stage::with(&document(), |options| options.tls(tls)).warm();
        let answer = stage.anonymously(&api(&stage.token()));
        assert_eq!((answer.status, stage.reason(1).as_str()), (status, reason), "CNF-26 {tls:?}");
        // No header says who the caller is where no relay is named.
        let told = api(&stage.token())
            .field("x-forwarded-client-cert", format!("Hash={}", stage.bank.digest_hex()))
            .field("client-cert", format!(":{}:", STANDARD.encode(&stage.bank.der)));
        let answer = stage.anonymously(&told);
        assert_eq!((answer.status, stage.reason(2).as_str()), (status, reason), "CNF-26 {tls:?}, told by a header");
        assert_eq!(stage.reached(), 0);
        assert_eq!(stage.anonymously(&Request::get("/healthz")).status, 200, "{tls:?}: the good twin");
    }
}

/// An extension of alternative names, each a context tag and octets.
fn names(entries: &[(u8, &[u8])]) -> Vec<u8> {
    let field = |tag: u8, octets: &[u8]| {
        let length = u8::try_from(octets.len()).expect("a short one");
        [&[tag, length][..], octets].concat()
    };
    field(0x30, &entries.iter().flat_map(|(tag, octets)| field(*tag, octets)).collect::<Vec<u8>>())
}

#[test]
fn hostile_certificates_name_nobody() {
    const ADMIN: &str = "admin.bank.example";
    const NAMES: [u64; 4] = [2, 5, 29, 17];
    const COMMON_NAME: [u64; 4] = [2, 5, 4, 3];
    let rule = |certificate: Value| json!([{"certificate": certificate, "token": "none"}]);
    let id = "spiffe://bank.example/ns/admin/sa/root";
    let document = json!({
        "issuers": [issuer()],
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "routes": [
            {"name": "dns", "path": "/dns", "allow": rule(json!({"san_dns": ADMIN}))},
            {"name": "cn", "path": "/cn", "allow": rule(json!({"subject": {"CN": ADMIN}}))},
            {"name": "uri", "path": "/uri", "allow": rule(json!({"san_uri": "urn:admin"}))},
            {"name": "spiffe", "path": "/spiffe", "allow": rule(json!({"spiffe_id": id}))},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    });
    let stage = Stage::set(&document).warm();
    let issue = |leaf: Leaf| stage.envoy.authority().issue(leaf);
    let with_names = |entries: &[(u8, &[u8])]| issue(Leaf::nameless("c").extension(&NAMES, names(entries)));
    let nul = b"admin.bank.example\0.evil.example";
    // A user principal name, as directories write it, and another kind.
    let other_name = |text: &[u8]| {
        let kind = b"\x06\x0a\x2b\x06\x01\x04\x01\x82\x37\x14\x02\x03";
        let text = [&[0x0c, text.len().to_le_bytes()[0]][..], text].concat();
        [&kind[..], &[0xa0, text.len().to_le_bytes()[0]], &text].concat()
    };
    let mut many = Leaf::client("many").dns(ADMIN);
    for number in 0..100 {
        many = many.dns(&format!("n{number}.example"));
    }
    let mut long = Leaf::client("long");
    for number in 0..70 {
        long = long.attribute(&[2, 5, 4, 11], &format!("unit {number} of {ADMIN}"));
    }
    let vast = Leaf::client(ADMIN).organization(&"o".repeat(9_000));
    let table = [
        ("/dns", "NUL in a DNS name", with_names(&[(0x82, nul)])),
        ("/dns", "NUL at its end", with_names(&[(0x82, b"admin.bank.example\0")])),
        ("/dns", "a blank at its end", with_names(&[(0x82, b"admin.bank.example ")])),
        ("/dns", "octets outside ASCII", with_names(&[(0x82, b"admin.bank.example\xff")])),
        ("/dns", "another kind of name", with_names(&[(0xa0, &other_name(ADMIN.as_bytes()))])),
        ("/dns", "an e-mail address", with_names(&[(0x81, ADMIN.as_bytes())])),
        ("/dns", "a URI", with_names(&[(0x86, ADMIN.as_bytes())])),
        ("/dns", "a common name alone", issue(Leaf::nameless(ADMIN))),
        ("/dns", "101 names", issue(many)),
        ("/dns", "70 units", issue(long)),
        ("/dns", "a name of 9,000 octets", issue(vast)),
        ("/cn", "NUL in a common name", issue(Leaf::nameless("admin.bank.example\0.evil.example"))),
        ("/cn", "two common names", issue(Leaf::nameless("evil").attribute(&COMMON_NAME, ADMIN))),
        ("/cn", "two, the other way round", issue(Leaf::nameless(ADMIN).attribute(&COMMON_NAME, "evil"))),
        ("/cn", "a DNS name alone", issue(Leaf::nameless("c").dns(ADMIN))),
        ("/cn", "a unit of that name", issue(Leaf::nameless("c").attribute(&[2, 5, 4, 11], ADMIN))),
        ("/uri", "NUL in a URI", with_names(&[(0x86, b"urn:admin\0")])),
        ("/uri", "another kind of name", with_names(&[(0xa0, &other_name(b"urn:admin"))])),
        ("/spiffe", "NUL in a SPIFFE ID", with_names(&[(0x86, &[id.as_bytes(), b"\0"].concat())])),
        ("/spiffe", "two SPIFFE IDs", with_names(&[(0x86, id.as_bytes()), (0x86, b"spiffe://bank.example/x")])),
    ];
    for (path, name, certificate) in table {
        // Where Envoy itself refuses the certificate there is no answer at all.
        let status = stage.envoy.client(&certificate).try_send(&Request::get(path)).map_or(0, |answer| answer.status);
        assert!(matches!(status, 0 | 400 | 403), "CNF-27 {name}: {status} {:?}", stage.envoy.access_log().last());
        assert_eq!(stage.reached(), 0, "CNF-27 {name}");
        stage.assert_alive();
    }
    for (path, leaf) in [
        ("/dns", Leaf::nameless("c").dns("other.example").dns(ADMIN)),
        ("/cn", Leaf::nameless(ADMIN)),
        ("/uri", Leaf::client("c").uri("urn:admin")),
        ("/spiffe", Leaf::client("c").uri(id)),
    ] {
        assert_eq!(stage.envoy.client(&issue(leaf)).send(&Request::get(path)).status, 200, "CNF-27 {path}, its twin");
    }
}
