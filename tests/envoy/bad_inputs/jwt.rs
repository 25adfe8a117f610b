//! Tokens that are not what they say: header, octets, claims, signatures and keys.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Algorithm, AuthorizationServer, Fault, Request, SigningKey, base64url, now, sign_octets};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Case, case, run};
use crate::stage::{Stage, api, claims, document};

/// Two issuers with keys of their own; the second signs with the same `kid`.
fn two_issuers() -> (Stage, AuthorizationServer, SigningKey) {
    let other_key = SigningKey::new(Algorithm::Es256, "k1");
    let other = AuthorizationServer::start(&[&other_key]);
    let mut document = document();
    document["issuers"][0]["algorithms"] = json!(["ES256", "PS256", "RS256", "EdDSA"]);
    let second = json!({"issuer": "https://other.example", "name": "other", "audiences": ["https://api.bank.example"],
                        "jwks": {"cluster": "other", "path": "/jwks"}});
    document["issuers"].as_array_mut().expect("a list").push(second);
    for route in document["routes"].as_array_mut().expect("a list") {
        if route["allow"] != json!("public") {
            route["issuer"] = json!(["bank", "other"]);
        }
    }
    let address = other.address();
    let stage = Stage::with(&document, |options| options.cluster("other", address)).warm();
    (stage, other, other_key)
}

fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let input = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let mut key = [0; 64];
    key[..secret.len()].copy_from_slice(secret);
    let inner = Sha256::digest([&key.map(|octet| octet ^ 0x36)[..], input.as_bytes()].concat());
    let outer = Sha256::digest([&key.map(|octet| octet ^ 0x5c)[..], &inner[..]].concat());
    format!("{input}.{}", base64url(&outer))
}

#[test]
fn headers_and_algorithms() {
    let (stage, _other, other_key) = two_issuers();
    let good = stage.claims();
    let with = |header: Value| stage.key.mint(header, &good);
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": "k1"});
        format!("{}.{}.", base64url(header.to_string().as_bytes()), base64url(good.to_string().as_bytes()))
    };
    let mut cases = Vec::new();
    for alg in ["none", "None", "nOnE", "NONE"] {
        cases.push(case("JWT-01", alg, &unsigned(alg)));
        cases.push(case("JWT-01", format!("{alg}, signed"), &with(json!({"alg": alg}))));
    }
    for alg in [json!(null), json!(5), json!(["ES256"]), json!(""), json!("es256")] {
        cases.push(case("JWT-03", alg.to_string(), &with(json!({"alg": alg}))));
    }
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": "k1"});
    let x = URL_SAFE_NO_PAD.decode(stage.key.jwk()["x"].as_str().expect("x")).expect("octets");
    cases.push(case("JWT-05", "HS256 with the public key", &hs256(&header, &good, &x)));
    cases.push(case("JWT-07", "an algorithm of another issuer", &with(json!({"alg": "ES384"}))));
    cases.push(case("JWT-07", "an algorithm of another key", &with(json!({"alg": "PS256"}))));
    for at in ["https://evil.example/jwks", "http://127.0.0.1:1/"] {
        cases.push(case("JWT-24", at, &with(json!({"jku": at, "x5u": at, "kid": "evil"}))));
    }
    cases.push(case("JWT-26", "x5c", &with(json!({"x5c": [base64url(&stage.thief.der)], "kid": "evil"}))));
    cases.push(case("JWT-26", "jwk", &other_key.mint(json!({"jwk": other_key.jwk(), "kid": "evil"}), &good)));
    cases.push(case("JWT-28", "b64", &with(json!({"b64": false}))));
    cases.push(case("JWT-28", "b64 and crit", &with(json!({"b64": false, "crit": ["b64"]}))));
    for typ in ["JWT", "dpop+jwt", "logout+jwt", "secevent+jwt", "client-authentication+jwt", "token-introspection+jwt"]
    {
        let id = match typ {
            "JWT" => "JWT-30",
            "dpop+jwt" => "JWT-31",
            _ => "JWT-32",
        };
        cases.push(case(id, typ, &with(json!({"typ": typ, "jwk": stage.key.jwk()}))));
    }
    cases.push(case("JWT-33", "nested", &with(json!({"cty": "JWT"}))));
    cases.push(case("JWT-33", "encrypted", &format!("{}.a.b.c.d", base64url(br#"{"alg":"dir","enc":"A256GCM"}"#))));
    cases.push(case("JWT-35", "flattened JSON serialization", r#"{"payload":"e30"}"#));
    // Any comma may be Envoy's, between two credentials.
    let general = case("JWT-35", "JSON serialization", r#"{"payload":"e30","signatures":[]}"#);
    cases.push(Case { statuses: &[400], ..general });
    cases.push(case("JWT-53", "of one issuer, signed by the other", &other_key.mint(json!({}), &good)));
    let mut foreign = good.clone();
    foreign["iss"] = json!("https://other.example");
    cases.push(case("JWT-53", "of the other issuer, signed by the one", &stage.key.mint(json!({}), &foreign)));
    run(&stage, cases);
    assert_eq!(stage.as_bank(&api(&other_key.mint(json!({}), &foreign))).status, 200, "the other issuer's own");
}

#[test]
fn octets_of_the_token() {
    let stage = Stage::set(&document()).warm();
    let good = stage.token();
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let plain = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}).to_string();
    let body = stage.claims().to_string();
    let raw = |header: &[u8], payload: &[u8]| sign_octets(&stage.key, header, payload);
    let with = |member: &str| raw(plain.as_bytes(), format!("{{{member},{}", &body[1..]).as_bytes());
    let mut cases = Vec::new();
    for parts in [".", "..", "...", "a.b", "a.b.c.d", &format!("{good}.e.f.g"), &".".repeat(7000), &".".repeat(40_000)]
    {
        cases.push(case("JWT-36", format!("{parts:.20}"), parts));
    }
    for octet in ["=", "+", "/", " ", "\t", "\u{e9}", "%"] {
        for token in [
            format!("{header}{octet}.{payload}.{signature}"),
            format!("{header}.{payload}{octet}.{signature}"),
            format!("{header}.{payload}.{signature}{octet}x"),
        ] {
            cases.push(case("JWT-37", format!("{octet:?}"), &token));
        }
    }
    for (at, part) in [header, payload, signature].iter().enumerate() {
        let mut parts = [header, payload, signature].map(str::to_owned);
        parts[at] = stray_bits(part);
        if parts[at] != *part {
            cases.push(case("JWT-38", format!("part {at}"), &parts.join(".")));
        }
    }
    cases.push(case(
        "JWT-39",
        "alg",
        &raw(br#"{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"k1"}"#, body.as_bytes()),
    ));
    for member in
        [r#""exp":1"#, r#""aud":"x""#, r#""cnf":{}"#, r#""scope":"admin""#, r#""y":{"x5t#S256":"a","x5t#S256":"b"}"#]
    {
        cases.push(case("JWT-39", member, &with(member)));
    }
    cases.push(case("JWT-40", "escaped aud", &with(r#""\u0061ud":"x""#)));
    for (name, text) in
        [("UTF-8", &b"\xff"[..]), ("surrogate", b"\\ud800"), ("control", b"\x01"), ("overlong", b"\xc0\xaf")]
    {
        let payload = [br#"{"x":""#, text, br#"","#, &body.as_bytes()[1..]].concat();
        cases.push(case("JWT-42", name, &raw(plain.as_bytes(), &payload)));
    }
    cases.push(case("JWT-42", "BOM", &raw(plain.as_bytes(), &[b"\xef\xbb\xbf", body.as_bytes()].concat())));
    for number in ["0x10", "01", "NaN", "+1", "1.", ".5", "1e400", "Infinity"] {
        cases.push(case("JWT-44", number, &with(&format!(r#""x":{number}"#))));
    }
    for number in ["99999999999999999999", "-0.5", "1E3"] {
        let payload = body.replacen(&format!(r#""exp":{}"#, stage.claims()["exp"]), &format!(r#""exp":{number}"#), 1);
        cases.push(case("JWT-44", format!("exp {number}"), &raw(plain.as_bytes(), payload.as_bytes())));
    }
    let many: String = (0..500).map(|number| format!(r#""c{number}":1,"#)).collect();
    let wide: String = (0..1500).map(|number| format!(r#""a{number}","#)).collect();
    let crowd = raw(
        plain.as_bytes(),
        format!(r#"{{"aud":[{wide}"b"],{}"#, &body[1..].replacen("\"aud\"", "\"x\"", 1)).as_bytes(),
    );
    cases.push(case("JWT-51", "1500 audiences", &crowd));
    cases.push(case("JWT-57", "500 claims", &raw(plain.as_bytes(), format!("{{{many}{}", &body[1..]).as_bytes())));
    let large = raw(plain.as_bytes(), format!(r#"{{"x":"{}",{}"#, "x".repeat(20_000), &body[1..]).as_bytes());
    cases.push(case("JWT-57", "a large claim", &large));
    let vast = raw(plain.as_bytes(), format!(r#"{{"x":"{}",{}"#, "x".repeat(1_000_000), &body[1..]).as_bytes());
    cases.push(Case { statuses: &[401, 431], ..case("JWT-57", "a claim of 1 MB", &vast) });
    cases.push(case("JWT-58", "claims in a list", &raw(plain.as_bytes(), format!("[{body}]").as_bytes())));
    run(&stage, cases);
    let accepted = stage.token_with(json!({"exp": (now() + 60) as f64 + 0.5, "x": -0.0}));
    assert_eq!(stage.as_bank(&api(&accepted)).status, 200, "JWT-46: a fraction is cut off");
}

/// The same octets with stray bits behind them, if there is room for some.
fn stray_bits(text: &str) -> String {
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    if text.len().is_multiple_of(4) {
        return text.to_owned();
    }
    let (rest, last) = text.split_at(text.len() - 1);
    let at = alphabet.find(last).expect("base64url");
    format!("{rest}{}", &alphabet[at + 1..at + 2])
}

#[test]
fn claims_of_the_token() {
    let stage = Stage::set(&document()).warm();
    let with = |others: Value| stage.token_with(others);
    let mut cases = Vec::new();
    for exp in [json!("1800000000"), json!(true), json!(null), json!([1]), json!({})] {
        let mut claims = stage.claims();
        claims["exp"] = exp.clone();
        cases.push(case("JWT-45", exp.to_string(), &stage.key.mint(json!({}), &claims)));
    }
    for exp in
        [json!(-1), json!(0), json!(1_u64 << 31), json!(1_u64 << 53), json!(1_u64 << 63), json!(u64::MAX), json!(1e308)]
    {
        cases.push(case("JWT-47", exp.to_string(), &with(json!({"exp": exp}))));
    }
    cases.push(case("JWT-49", "31 s past exp", &with(json!({"exp": now() - 31, "iat": now() - 60}))));
    cases.push(case("JWT-49", "nbf in 40 s", &with(json!({"nbf": now() + 40}))));
    cases.push(case("JWT-50", "25 hours", &with(json!({"exp": now() + 90_000}))));
    let ours = "https://api.bank.example";
    for aud in [
        json!(null),
        json!([]),
        json!(""),
        json!(5),
        json!(["x"]),
        json!({"a": ours}),
        json!([[ours]]),
        json!(&ours[..10]),
        json!(format!("{ours}/")),
        json!(ours.to_uppercase()),
        json!(format!("x{ours}")),
    ] {
        cases.push(case("JWT-51", aud.to_string(), &with(json!({"aud": aud}))));
    }
    let iss = "https://login.bank.example";
    for iss in [
        json!(null),
        json!([iss]),
        json!(format!("{iss}/")),
        json!(iss.to_uppercase()),
        json!("https://lоgin.bank.example"),
    ] {
        cases.push(case("JWT-52", iss.to_string(), &with(json!({"iss": iss}))));
    }
    let admin = |others: Value| Request::get("/admin/x").bearer(&with(others));
    for scope in
        [json!(["admin"]), json!("notadmin"), json!("admin\tread"), json!("Admin"), json!("admins"), json!("read")]
    {
        let request = admin(json!({"scope": scope, "scp": "admin"}));
        cases.push(Case { request, statuses: &[403], ..case("JWT-55", scope.to_string(), "") });
    }
    cases.push(case("CNF-01", "no cnf", &with(json!({"cnf": null}))));
    for cnf in [
        json!({"kid": "k1"}),
        json!({"jwk": stage.key.jwk()}),
        json!({"jku": "x"}),
        json!({"x5t": "x"}),
        json!({}),
        json!("x"),
    ] {
        cases.push(case("CNF-03", cnf.to_string(), &with(json!({"cnf": cnf}))));
    }
    let digest = stage.bank.x5t_s256();
    let hex = stage.bank.digest_hex();
    let colons: Vec<&str> = (0..32).map(|at| &hex[at * 2..at * 2 + 2]).collect();
    for value in
        [format!("{digest}="), format!("{digest}=="), hex.to_uppercase(), colons.join(":"), format!(" {digest}"), hex]
    {
        cases.push(case("CNF-07", value.clone(), &with(json!({"cnf": {"x5t#S256": value}}))));
    }
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    cases.push(case("CNF-15", "jkt as bearer", &with(json!({"cnf": {"jkt": jkt}}))));
    cases.push(case(
        "CNF-15",
        "jkt and certificate as bearer",
        &with(json!({"cnf": {"jkt": jkt, "x5t#S256": digest}})),
    ));
    let dpop =
        |token: &str| Request::get("/api/x").field("authorization", format!("DPoP {token}")).field("dpop", "a.b.c");
    cases.push(Case { request: dpop(&stage.token()), ..case("CNF-16", "a certificate-bound token as DPoP", "") });
    cases.push(Case { request: dpop(&with(json!({"cnf": null}))), ..case("CNF-17", "an unbound token as DPoP", "") });
    let unbound = |token: &str| Request::get("/unbound").bearer(token);
    cases.push(Case { request: unbound("rubbish"), ..case("CNF-22", "a bad token where unbound ones pass", "") });
    cases.push(Case {
        request: unbound(&with(json!({"cnf": {"kid": "x"}}))),
        ..case("CNF-22", "a binding that can't be confirmed", "")
    });
    let stolen = stage.key.mint(json!({}), &claims(&stage.thief));
    cases.push(Case { request: unbound(&stolen), ..case("CNF-22", "another's bound token", "") });
    run(&stage, cases);
    for (name, request) in [
        ("aud among others", api(&with(json!({"aud": ["x", ours]})))),
        ("scopes as a set", admin(json!({"scope": "  read   admin admin "}))),
        ("29 s past exp", api(&with(json!({"exp": now() - 25, "iat": now() - 60})))),
    ] {
        assert_eq!(stage.as_bank(&request).status, 200, "{name}");
    }
}

#[test]
fn signatures_and_keys() {
    let (stage, _other, _) = two_issuers();
    let ed = SigningKey::new(Algorithm::EdDsa, "ed");
    let ps = SigningKey::new(Algorithm::Ps256, "ps");
    let rs = SigningKey::new(Algorithm::Rs256, "rs");
    let es = stage.key.jwk();
    let octets = |name: &str| URL_SAFE_NO_PAD.decode(es[name].as_str().expect("a coordinate")).expect("octets");
    let ec = |kid: &str, x: &[u8], y: &[u8]| json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(x), "y": base64url(y)});
    let (x, y) = (octets("x"), octets("y"));
    let rsa = |kid: &str, bits: usize, e: &[u8]| {
        let mut n = vec![0xc5; bits / 8];
        n[bits / 8 - 1] = 0xc7;
        json!({"kty": "RSA", "kid": kid, "n": base64url(&n), "e": base64url(e)})
    };
    let small_order = |kid: &str, first: u8| {
        let mut x = [0; 32];
        x[0] = first;
        json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64url(&x)})
    };
    let duplicate = SigningKey::new(Algorithm::Es256, "k1").jwk();
    let other_type = {
        let mut jwk = ed.jwk();
        jwk["kid"] = json!("k1");
        jwk
    };
    let keys = json!({"keys": [
        es, ed.jwk(), ps.jwk(), rs.jwk(), other_type, {"kty": "oct", "k": base64url(b"secret"), "kid": "oct"},
        ec("off", &x, &x), ec("zero", &[0; 32], &[0; 32]), ec("short", &x[1..], &y), ec("long", &[&[0], &x[..]].concat(), &y),
        ec("beyond", &[0xff; 32], &y), small_order("order-1", 1), small_order("order-4", 0),
        rsa("r512", 512, &[1, 0, 1]), rsa("r1024", 1024, &[1, 0, 1]), rsa("e1", 2048, &[1]), rsa("e2", 2048, &[2]),
        rsa("r16384", 16384, &[1, 0, 1]), {"kty": "RSA"}, {"kty": "none"}, 5, null, duplicate
    ]});
    let answer =
        Fault::Answer { status: 200, content_type: "application/jwk-set+json", body: keys.to_string().into_bytes() };
    stage.server.fail("/jwks", answer);
    let good = stage.claims();
    // An unknown kid has the new set fetched.
    for key in [&ed, &ps, &rs] {
        assert_eq!(stage.as_bank(&api(&key.mint(json!({}), &good))).status, 200, "INTRO-23: good keys among bad ones");
    }
    stage.upstream.take();
    let mut cases = Vec::new();
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": "oct"});
    cases.push(case("JWT-06", "HS256 by the oct key of the set", &hs256(&header, &good, b"secret")));
    let token = stage.token();
    let (input, signature) = token.rsplit_once('.').expect("three parts");
    let raw = URL_SAFE_NO_PAD.decode(signature).expect("octets");
    let signed = |octets: &[u8]| format!("{input}.{}", base64url(octets));
    let order = URL_SAFE_NO_PAD.decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE").expect("octets");
    for (name, r, s) in [
        ("r = s = 0", vec![0; 32], vec![0; 32]),
        ("r = 0", vec![0; 32], raw[32..].to_vec()),
        ("s = 0", raw[..32].to_vec(), vec![0; 32]),
        ("r = s = n", order.clone(), order.clone()),
        ("beyond n", vec![0xff; 32], vec![0xff; 32]),
    ] {
        cases.push(case("JWT-11", name, &signed(&[r, s].concat())));
    }
    for length in [0, 1, 63] {
        cases.push(case("JWT-12", format!("{length} octets"), &signed(&raw[..length])));
    }
    cases.push(case("JWT-12", "65 octets", &signed(&[&[0], &raw[..]].concat())));
    cases.push(case("JWT-12", "128 octets", &signed(&[&raw[..], &raw[..]].concat())));
    for kid in ["off", "zero", "short", "long", "beyond"] {
        cases.push(case("JWT-14", kid, &stage.key.mint(json!({"kid": kid}), &good)));
    }
    for kid in ["order-1", "order-4"] {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}).to_string();
        let input = format!("{}.{}", base64url(header.as_bytes()), base64url(good.to_string().as_bytes()));
        let mut forged = [0; 64];
        forged[0] = 1;
        cases.push(case("JWT-15", kid, &format!("{input}.{}", base64url(&forged))));
    }
    let edwards = ed.mint(json!({}), &good);
    let (input, signature) = edwards.rsplit_once('.').expect("three parts");
    let raw = URL_SAFE_NO_PAD.decode(signature).expect("octets");
    let signed = |octets: &[u8]| format!("{input}.{}", base64url(octets));
    cases.push(case("JWT-15", "S + L", &signed(&plus_order(&raw))));
    cases.push(case("JWT-15", "63 octets", &signed(&raw[..63])));
    cases.push(case("JWT-15", "65 octets", &signed(&[&raw[..], &[0]].concat())));
    let as_ps256 = {
        let header = json!({"alg": "PS256", "typ": "at+jwt", "kid": "ps"}).to_string();
        let input = format!("{}.{}", base64url(header.as_bytes()), base64url(good.to_string().as_bytes()));
        // The same RSA key, another padding.
        format!("{input}.{}", base64url(&rs.sign(input.as_bytes())))
    };
    cases.push(case("JWT-17", "PKCS#1 where PSS was said", &as_ps256));
    for kid in ["r512", "r1024", "e1", "e2", "r16384"] {
        cases.push(case("JWT-18", kid, &rs.mint(json!({"kid": kid}), &good)));
    }
    cases.push(case(
        "JWT-20",
        "the same kid, a key of another type",
        &ed.mint(json!({"kid": "k1", "alg": "ES256"}), &good),
    ));
    cases.push(case("JWT-21", "no kid, and two keys would do", &stage.key.mint(json!({"kid": null}), &good)));
    run(&stage, cases);
    let high = {
        let token = stage.token();
        let (input, signature) = token.rsplit_once('.').expect("three parts");
        let signature = p256::ecdsa::Signature::from_slice(&URL_SAFE_NO_PAD.decode(signature).expect("octets"))
            .expect("a signature");
        let high = p256::ecdsa::Signature::from_scalars(*signature.r(), -*signature.s()).expect("a signature");
        format!("{input}.{}", base64url(&high.to_bytes()))
    };
    assert_eq!(stage.as_bank(&api(&high)).status, 200, "JWT-13: the other of two valid signatures");
}

/// S and the order of the group, in an Ed25519 signature.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0;
    let sum = signature[32..].iter().zip(ORDER).map(|(s, l)| {
        let sum = u16::from(*s) + u16::from(l) + carry;
        carry = sum >> 8;
        u8::try_from(sum & 0xff).expect("an octet")
    });
    let sum: Vec<u8> = sum.collect();
    [&signature[..32], &sum].concat()
}

#[test]
fn a_flood_of_unknown_kids_is_no_flood_of_questions() {
    let stage = Stage::set(&document()).warm();
    let started = std::time::Instant::now();
    for number in 0..100 {
        let token = stage.key.mint(json!({"kid": format!("flood-{number}")}), &stage.claims());
        assert_eq!(stage.as_bank(&api(&token)).status, 401, "JWT-23");
    }
    let allowed = 2 + 3 + 1 + usize::try_from(started.elapsed().as_secs() / 5).expect("seconds");
    assert!(stage.server.count("/jwks") <= allowed, "{} fetches", stage.server.count("/jwks"));
    assert_eq!(stage.reached(), 0);
    stage.assert_alive();
}
