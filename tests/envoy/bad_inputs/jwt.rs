//! Tokens that are not what they say: header, octets, claims, signatures and keys.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use harness::{
    Algorithm, AuthorizationServer, Fault, Options, Request, SigningKey, base64url, now, sign_octets, wait_until,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha384, Sha512};

use super::{Case, bad, bad_token, good, members, run, send_raw};
use crate::stage::{Stage, api, document};

const OURS: &str = "https://api.bank.example";
const OTHER: &str = "https://other.example";

/// Two issuers with keys of their own; the second is a legacy one and signs with the same `kid`.
fn two_issuers() -> (Stage, AuthorizationServer, SigningKey) {
    let other_key = SigningKey::new(Algorithm::Es256, "k1");
    let other = AuthorizationServer::start(&[&other_key]);
    let mut document = document();
    document["issuers"][0]["algorithms"] = json!(["ES256", "PS256", "RS256", "EdDSA"]);
    let second = json!({"issuer": OTHER, "name": "other", "audiences": [OURS], "profile": "legacy",
                        "jwks": {"cluster": "other", "path": "/jwks"}});
    document["issuers"].as_array_mut().expect("a list").push(second);
    for route in document["routes"].as_array_mut().expect("a list") {
        if route["allow"] != json!("public") {
            route["issuer"] = json!(["bank", "other"]);
        }
    }
    let address = other.address();
    let stage = Stage::with(&document, |options| Options {
        // Room for what Envoy would refuse before the filter sees it.
        manager: members(json!({"max_request_headers_kb": 8192})),
        ..options.cluster("other", address)
    });
    (stage.warm(), other, other_key)
}

fn octets_of(jwk: &Value, name: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(jwk[name].as_str().expect("a member")).expect("octets")
}

/// RFC 2104 with SHA-256.
fn hs256(header: &Value, claims: &Value, secret: &[u8]) -> String {
    let input = format!("{}.{}", base64url(header.to_string().as_bytes()), base64url(claims.to_string().as_bytes()));
    let mut key = [0; 64];
    if secret.len() > 64 {
        key[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        key[..secret.len()].copy_from_slice(secret);
    }
    let inner = Sha256::digest([&key.map(|octet| octet ^ 0x36)[..], input.as_bytes()].concat());
    let outer = Sha256::digest([&key.map(|octet| octet ^ 0x5c)[..], &inner[..]].concat());
    format!("{input}.{}", base64url(&outer))
}

/// The public key of a P-256 JWK in the forms that a library might take for a secret.
fn public_octets(jwk: &Value) -> [(&'static str, Vec<u8>); 4] {
    let point = [&[4][..], &octets_of(jwk, "x"), &octets_of(jwk, "y")].concat();
    let prefix =
        b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";
    let spki = [&prefix[..], &point].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(&spki));
    [("x", octets_of(jwk, "x")), ("the point", point), ("SPKI", spki), ("PEM", pem.into_bytes())]
}

#[test]
fn headers_and_algorithms() {
    let (stage, _other, other_key) = two_issuers();
    let attacker = AuthorizationServer::start(&[&other_key]);
    let claims = stage.claims();
    let with = |header: Value| stage.key.mint(header, &claims);
    let raw = |header: &str| sign_octets(&stage.key, header.as_bytes(), claims.to_string().as_bytes());
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let mut cases = Vec::new();
    for alg in ["none", "None", "nOnE", "NONE"] {
        let header = json!({"alg": alg, "typ": "at+jwt", "kid": "k1"});
        let unsigned = format!("{}.{}.", part(&header), part(&claims));
        cases.push(bad_token("JWT-01", alg, &unsigned, "token.malformed"));
        cases.push(bad_token("JWT-01", format!("{alg}, signed"), &with(json!({"alg": alg})), "token.algorithm"));
    }
    cases.push(bad_token("JWT-03", "missing", &with(json!({"alg": null})), "token.malformed"));
    for alg in ["null", "5", r#"["ES256"]"#, r#""""#] {
        let token = raw(&format!(r#"{{"alg":{alg},"typ":"at+jwt","kid":"k1"}}"#));
        cases.push(bad_token("JWT-03", alg, &token, "token.malformed"));
    }
    cases.push(bad_token("JWT-03", "another case", &with(json!({"alg": "es256"})), "token.algorithm"));
    let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": "k1"});
    for (name, secret) in public_octets(&stage.key.jwk()) {
        cases.push(bad_token("JWT-05", name, &hs256(&header, &claims, &secret), "token.algorithm"));
    }
    cases.push(bad_token("JWT-07", "of another issuer", &with(json!({"alg": "ES384"})), "token.algorithm"));
    cases.push(bad_token("JWT-07", "of another key", &with(json!({"alg": "PS256"})), "token.key"));
    let at = format!("http://{}/jwks", attacker.address());
    for member in ["jku", "x5u"] {
        for kid in ["k1", "evil"] {
            let token = other_key.mint(json!({member: at, "kid": kid}), &claims);
            let reason = if kid == "k1" { "token.signature" } else { "token.key" };
            cases.push(bad_token("JWT-24", format!("{member}, {kid}"), &token, reason));
        }
    }
    let chain = json!([STANDARD.encode(&stage.thief.der)]);
    for (member, value) in [("x5c", chain), ("jwk", other_key.jwk())] {
        let token = other_key.mint(json!({member: value}), &claims);
        cases.push(bad_token("JWT-26", member, &token, "token.signature"));
    }
    cases.push(bad_token("JWT-28", "b64", &with(json!({"b64": false})), "token.critical_header"));
    let crit = json!({"b64": false, "crit": ["b64"]});
    cases.push(bad_token("JWT-28", "b64 and crit", &with(crit.clone()), "token.critical_header"));
    cases.push(bad_token("JWT-28", "crit", &with(json!({"crit": ["exp"]})), "token.critical_header"));
    let unencoded = {
        let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1", "b64": false, "crit": ["b64"]});
        let input = format!("{}.sub~ann", part(&header));
        format!("{input}.{}", base64url(&stage.key.sign(input.as_bytes())))
    };
    cases.push(bad_token("JWT-28", "a payload as it is", &unencoded, "token.malformed"));
    cases.extend(other_kinds_of_token(&stage, &other_key));
    cases.push(bad_token("JWT-33", "nested", &with(json!({"cty": "JWT"})), "token.type"));
    let encrypted = format!("{}.a.b.c.d", base64url(br#"{"alg":"dir","enc":"A256GCM"}"#));
    cases.push(bad_token("JWT-33", "encrypted", &encrypted, "token.format"));
    // A list is 400 by the design (§6: any comma in Authorization), which goes before the 401 of the list of bad inputs.
    let token = stage.token();
    let [header, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let flattened = format!(r#"{{"protected":"{header}","payload":"{payload}","signature":"{signature}"}}"#);
    let general =
        format!(r#"{{"payload":"{payload}","signatures":[{{"protected":"{header}","signature":"{signature}"}}]}}"#);
    cases.push(bad("JWT-35", "flattened", api(&flattened), 400, "credential.several_tokens"));
    cases.push(bad("JWT-35", "general", api(&general), 400, "credential.several_tokens"));
    cases.push(bad_token("JWT-35", "one member", r#"{"payload":"e30"}"#, "credential.malformed"));
    let mut foreign = claims.clone();
    foreign["iss"] = json!(OTHER);
    let others = other_key.mint(json!({"typ": "JWT"}), &foreign);
    let as_other = stage.key.mint(json!({"typ": "JWT"}), &foreign);
    cases.push(bad_token("JWT-53", "of one, by the other", &other_key.mint(json!({}), &claims), "token.signature"));
    cases.push(bad_token("JWT-53", "of the other, by the one", &as_other, "token.signature"));
    cases.push(good("JWT-53", "the other issuer's own", api(&others)));
    run(&stage, cases);
    assert_eq!(attacker.asked().len(), 0, "JWT-24: nobody asks whom a token names");
}

/// What an authorization server signs beside access tokens, and what others sign, with the claims of an access token and
/// with their own.
fn other_kinds_of_token(stage: &Stage, other_key: &SigningKey) -> Vec<Case> {
    let claims = stage.claims();
    let with = |header: Value| stage.key.mint(header, &claims);
    let mut cases = vec![bad_token("JWT-30", "by its typ", &with(json!({"typ": "JWT"})), "token.type")];
    // Where `typ` does not tell it, its claims do.
    let legacy = |others: Value| {
        let mut claims = claims.clone();
        claims["iss"] = json!(OTHER);
        for (name, value) in others.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        other_key.mint(json!({"typ": "JWT"}), &claims)
    };
    for (name, others) in [
        ("nonce", json!({"nonce": "n"})),
        ("at_hash", json!({"at_hash": "h"})),
        ("c_hash", json!({"c_hash": "h"})),
        ("its client for an audience", json!({"client_id": OURS})),
    ] {
        cases.push(bad_token("JWT-30", name, &legacy(others), "token.type"));
    }
    cases.push(good("JWT-30", "an access token of that issuer", api(&legacy(json!({})))));
    let proof = json!({"htm": "GET", "htu": "https://api.bank.example/api/x", "iat": now(), "jti": "1"});
    let proof = other_key.mint(json!({"typ": "dpop+jwt", "kid": null, "jwk": other_key.jwk()}), &proof);
    cases.push(bad_token("JWT-31", "a proof", &proof, "token.issuer"));
    let header = json!({"typ": "dpop+jwt", "jwk": stage.key.jwk()});
    cases.push(bad_token("JWT-31", "with all claims", &with(header), "token.type"));
    let own = |typ: &str, own: Value| {
        let mut claims = own;
        claims["iss"] = json!("https://login.bank.example");
        claims["aud"] = json!(OURS);
        claims["iat"] = json!(now());
        claims["exp"] = json!(now() + 60);
        claims["jti"] = json!("1");
        stage.key.mint(json!({"typ": typ}), &claims)
    };
    let logout = json!({"sub": "ann", "events": {"http://schemas.openid.net/event/backchannel-logout": {}}});
    let set = json!({"events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}});
    let assertion = json!({"sub": "https://login.bank.example"});
    for (typ, claims) in [("logout+jwt", logout), ("secevent+jwt", set), ("client-authentication+jwt", assertion)] {
        cases.push(bad_token("JWT-32", typ, &own(typ, claims.clone()), "token.type"));
        cases.push(bad_token("JWT-32", format!("{typ}, all claims"), &with(json!({"typ": typ})), "token.type"));
        cases.push(bad_token("JWT-32", format!("{typ} as at+jwt"), &own("at+jwt", claims), "token.claim_missing"));
    }
    cases.push(bad_token("JWT-32", "an answer", &with(json!({"typ": "token-introspection+jwt"})), "token.type"));
    cases
}

#[test]
fn octets_of_the_token() {
    let (stage, _other, _) = two_issuers();
    let token = stage.token();
    let [header, payload, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().expect("three parts");
    let mut cases = Vec::new();
    cases.push(bad("JWT-36", "nothing", api(""), 400, "credential.no_token"));
    let two = format!("{header}.{payload}");
    let (four, six) = (format!("{token}.e"), format!("{token}.e.f.g"));
    // What is not three parts is no JWT; where there is introspection its server is asked, and here it knows nothing of it.
    for parts in [".", "..", "...", "a.b", two.as_str(), "a.b.c.d", &four, &six] {
        cases.push(bad_token("JWT-36", format!("{parts:.20}"), parts, "token.inactive"));
    }
    // Of two opaque tokens only the first is asked about, for the other is over 2 KiB.
    cases.push(bad_token("JWT-36", "3,000 dots", &".".repeat(3_000), "token.format"));
    cases.push(bad_token("JWT-36", "a million dots", &".".repeat(1_000_000), "credential.too_long"));
    for (octet, reason) in [
        ("=", "credential.malformed"),
        (" ", "credential.malformed"),
        ("\t", "credential.malformed"),
        ("\u{e9}", "credential.malformed"),
        ("%", "credential.malformed"),
        ("+", "token.malformed"),
        ("/", "token.malformed"),
    ] {
        for token in [
            format!("{header}{octet}.{payload}.{signature}"),
            format!("{header}.{payload}{octet}.{signature}"),
            format!("{header}.{payload}.{signature}{octet}x"),
        ] {
            cases.push(bad_token("JWT-37", format!("{octet:?}"), &token, reason));
        }
    }
    for padding in ["=", "=="] {
        cases.push(bad_token("JWT-37", padding, &format!("{token}{padding}"), "token.malformed"));
    }
    cases.extend(stray_bits(&stage));
    run(&stage, cases);
    // Line ends and NUL end the request in Envoy's own parser, which takes a lone CR away: the filter and the service are shown
    // the same good token.
    for octet in ["\r\n", "\n", "\r", "\0"] {
        for spelt in
            [format!("{header}{octet}.{payload}.{signature}"), format!("{header}.{payload}.{octet}{signature}")]
        {
            let request = format!("GET /api/x HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {spelt}\r\n\r\n");
            let status = send_raw(&stage, request.as_bytes()).map(|answer| answer.status);
            let reached: Vec<_> =
                stage.upstream.take().iter().map(|received| received.values("authorization")).collect();
            match octet {
                "\r" => assert_eq!((status, reached), (Some(200), vec![vec![format!("Bearer {token}")]])),
                _ => assert_eq!((status, reached), (Some(400), vec![]), "JWT-37 {octet:?}"),
            }
        }
    }
    stage.assert_alive();
}

/// Signed as they are written, with bits behind the last octet of a part that decoders throw away.
fn stray_bits(stage: &Stage) -> Vec<Case> {
    let pad = |text: String, octets: usize| format!("{text:octets$}");
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}).to_string();
    let claims = stage.claims().to_string();
    let parts = |remainder: usize| {
        let long = |text: &str| (0..3).map(|more| text.len() + more).find(|length| length % 3 == remainder);
        let text = |text: &str| pad(text.to_owned(), long(text).expect("one of three"));
        [base64url(text(&header).as_bytes()), base64url(text(&claims).as_bytes())]
    };
    let sign = |[header, payload]: [String; 2], signature: fn(String) -> String| {
        let input = format!("{header}.{payload}");
        format!("{input}.{}", signature(base64url(&stage.key.sign(input.as_bytes()))))
    };
    let mut cases = Vec::new();
    for remainder in [1, 2] {
        let [header, payload] = parts(remainder);
        let token = sign([stray(header.clone()), payload.clone()], |signature| signature);
        cases.push(bad_token("JWT-38", format!("header, {remainder}"), &token, "token.malformed"));
        let token = sign([header.clone(), stray(payload.clone())], |signature| signature);
        cases.push(bad_token("JWT-38", format!("payload, {remainder}"), &token, "token.malformed"));
        let token = sign([header.clone(), payload.clone()], stray);
        cases.push(bad_token("JWT-38", "signature", &token, "token.malformed"));
        cases.push(good("JWT-38", "without them", api(&sign([header, payload], |signature| signature))));
    }
    cases
}

fn stray(text: String) -> String {
    const ALPHABET: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = text.split_at(text.len() - 1);
    let at = ALPHABET.find(last).expect("base64url");
    format!("{rest}{}", &ALPHABET[at + 1..at + 2])
}

#[test]
fn json_of_the_token() {
    let (stage, _other, _) = two_issuers();
    let header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"}).to_string();
    let body = stage.claims().to_string();
    let raw = |header: &[u8], payload: &[u8]| sign_octets(&stage.key, header, payload);
    let sign = |payload: &[u8]| raw(header.as_bytes(), payload);
    let with = |member: &str| sign(format!("{{{member},{}", &body[1..]).as_bytes());
    let mut cases = Vec::new();
    let malformed = |id, name: &str, token: &str| bad_token(id, name, token, "token.malformed");
    for twice in [r#""alg":"ES256","#, r#""alg":"none","#, r#""kid":"k2","#] {
        let header = format!("{{{twice}{}", &header[1..]);
        cases.push(malformed("JWT-39", twice, &raw(header.as_bytes(), body.as_bytes())));
    }
    for member in [r#""exp":1"#, r#""aud":"x""#, r#""cnf":{}"#, r#""scope":"admin""#, r#""scope":"read""#] {
        cases.push(malformed("JWT-39", member, &with(member)));
    }
    let bound = format!(r#""cnf":{{"x5t#S256":"{}"}}"#, stage.bank.x5t_s256());
    let twice = format!(r#""cnf":{{"x5t#S256":"{}","x5t#S256":"{0}"}}"#, stage.bank.x5t_s256());
    assert!(body.contains(&bound));
    cases.push(malformed("JWT-39", "x5t#S256", &sign(body.replacen(&bound, &twice, 1).as_bytes())));
    cases.push(malformed("JWT-40", "another aud", &with(r#""\u0061ud":"x""#)));
    let same = format!(r#""\u0061ud":"{OURS}""#);
    cases.push(malformed("JWT-40", "the same aud", &with(&same)));
    let escaped = body.replacen(r#""aud""#, r#""\u0061ud""#, 1);
    cases.push(good("JWT-40", "aud written so, alone", api(&sign(escaped.as_bytes()))));
    for (name, text) in [
        ("UTF-8", &b"\xff"[..]),
        ("overlong", b"\xc0\xaf"),
        ("surrogate in UTF-8", b"\xed\xa0\x80"),
        ("high surrogate", b"\\ud800"),
        ("low surrogate", b"\\udc00"),
        ("surrogates the wrong way round", b"\\udc00\\ud800"),
        ("control", b"\x01"),
        ("NUL", b"\0"),
    ] {
        let payload = [br#"{"x":""#, text, br#"","#, &body.as_bytes()[1..]].concat();
        cases.push(malformed("JWT-42", name, &sign(&payload)));
    }
    cases.push(malformed("JWT-42", "BOM", &sign(&[b"\xef\xbb\xbf", body.as_bytes()].concat())));
    // Without an object in front it is no JWT, and the server knows nothing of it.
    let bom = [b"\xef\xbb\xbf", header.as_bytes()].concat();
    cases.push(bad_token("JWT-42", "BOM in the header", &raw(&bom, body.as_bytes()), "token.inactive"));
    let subject = |text: &str| sign(body.replacen(r#""sub":"ann""#, &format!(r#""sub":"{text}""#), 1).as_bytes());
    cases.push(good("JWT-42", "a pair of surrogates", api(&subject(r"\ud83d\ude00"))));
    let exp = format!(r#""exp":{}"#, stage.claims()["exp"]);
    let expiring = |number: &str| sign(body.replacen(&exp, &format!(r#""exp":{number}"#), 1).as_bytes());
    for number in ["0x10", "01", "NaN", "+1", "1.", ".5", "1e", "Infinity", "-"] {
        cases.push(malformed("JWT-44", &format!("exp {number}"), &expiring(number)));
        cases.push(malformed("JWT-44", number, &with(&format!(r#""x":{number}"#))));
    }
    for (number, reason) in [
        ("1e400", "token.malformed"),
        ("-0", "token.expired"),
        ("-0.5", "token.claim"),
        ("1E3", "token.expired"),
        ("99999999999999999999", "token.claim"),
    ] {
        cases.push(bad_token("JWT-44", format!("exp {number}"), &expiring(number), reason));
    }
    cases.push(bad_token("JWT-46", "1.5e9, long ago", &expiring("1.5e9"), "token.expired"));
    let soon = now() + 60;
    for number in [format!("{soon}.0"), format!("{soon}.999"), format!("{:e}", soon as f64)] {
        cases.push(good("JWT-46", &number, api(&expiring(&number))));
    }
    let many = |count: usize| (0..count).map(|number| format!(r#""c{number}":1,"#)).collect::<String>();
    let claims = |count: usize| sign(format!("{{{}{}", many(count), &body[1..]).as_bytes());
    cases.push(malformed("JWT-57", "300 claims", &claims(300)));
    cases.push(bad_token("JWT-57", "10,000 claims", &claims(10_000), "credential.too_long"));
    let large = |octets: usize| with(&format!(r#""x":"{}""#, "x".repeat(octets)));
    cases.push(bad_token("JWT-57", "a claim of 8 KiB", &large(8 << 10), "credential.too_long"));
    cases.push(bad_token("JWT-57", "a claim of 1 MiB", &large(1 << 20), "credential.too_long"));
    cases.push(good("JWT-57", "a claim of 4 KiB", api(&large(4 << 10))));
    cases.push(good("JWT-57", "200 claims", api(&claims(200))));
    cases.push(malformed("JWT-58", "claims in a list", &sign(format!("[{body}]").as_bytes())));
    cases.push(malformed("JWT-58", "twice in a list", &sign(format!("[{body},{body}]").as_bytes())));
    cases.push(malformed("JWT-58", "claims in a text", &sign(json!(body).to_string().as_bytes())));
    run(&stage, cases);
}

#[test]
fn claims_of_the_token() {
    let (stage, _other, _) = two_issuers();
    let claims = stage.claims();
    let with = |others: Value| stage.token_with(others);
    let mut cases = Vec::new();
    for exp in [json!(format!("{}", now() + 60)), json!(true), json!(null), json!([now() + 60]), json!({})] {
        let mut claims = claims.clone();
        claims["exp"] = exp.clone();
        cases.push(bad_token("JWT-45", exp.to_string(), &stage.key.mint(json!({}), &claims), "token.claim"));
    }
    for (exp, reason) in [
        (json!(-1), "token.claim"),
        (json!(0), "token.expired"),
        (json!(1_u64 << 31), "token.lifetime"),
        (json!(1_u64 << 53), "token.claim"),
        (json!(1_u64 << 63), "token.claim"),
        (json!(u64::MAX), "token.claim"),
        (json!(18_446_744_073_709_551_616.0), "token.claim"),
        (json!(1e308), "token.claim"),
    ] {
        cases.push(bad_token("JWT-47", exp.to_string(), &with(json!({"exp": exp})), reason));
    }
    cases.push(bad_token("JWT-50", "a second over a day", &with(json!({"exp": now() + 86_401})), "token.lifetime"));
    let day = json!({"iat": now() - 100, "exp": now() - 100 + 86_400});
    cases.push(good("JWT-50", "a day", api(&with(day))));
    cases.push(bad_token("JWT-51", "missing", &with(json!({"aud": null})), "token.claim_missing"));
    cases.push(bad_token("JWT-51", "none", &with(json!({"aud": []})), "token.claim_missing"));
    for aud in [json!(5), json!({"a": OURS}), json!([[OURS]]), json!([OURS, 5])] {
        cases.push(bad_token("JWT-51", aud.to_string(), &with(json!({"aud": aud})), "token.claim"));
    }
    for aud in [
        json!(""),
        json!(["x"]),
        json!(&OURS[..10]),
        json!(&OURS[8..]),
        json!(format!("{OURS}/")),
        json!(format!("{OURS}.evil.example")),
        json!(format!("x{OURS}")),
        json!(format!("{OURS} x")),
        json!(OURS.to_uppercase()),
    ] {
        cases.push(bad_token("JWT-51", aud.to_string(), &with(json!({"aud": aud})), "token.audience"));
    }
    let crowd: Vec<String> = (0..10_000).map(|number| format!("a{number}")).chain([OURS.to_owned()]).collect();
    cases.push(bad_token("JWT-51", "10,000", &with(json!({"aud": crowd})), "credential.too_long"));
    cases.push(good("JWT-51", "one in a list", api(&with(json!({"aud": [OURS]})))));
    cases.push(good("JWT-51", "among others", api(&with(json!({"aud": ["x", OURS, "y"]})))));
    let iss = "https://login.bank.example";
    for iss in [
        json!(null),
        json!([iss]),
        json!(format!("{iss}/")),
        json!(iss.to_uppercase()),
        json!("https://lоgin.bank.example"),
        json!("https://login.bank.example\u{200b}"),
    ] {
        cases.push(bad_token("JWT-52", iss.to_string(), &with(json!({"iss": iss})), "token.issuer"));
    }
    let admin = |others: Value| Request::get("/admin/x").bearer(&with(others));
    for scope in
        [json!(["admin"]), json!("notadmin"), json!("admin\tread"), json!("Admin"), json!("admins"), json!("read")]
    {
        let request = admin(json!({"scope": scope, "scp": "admin"}));
        cases.push(bad("JWT-55", scope.to_string(), request, 403, "token.scope"));
    }
    let only_scp = admin(json!({"scope": null, "scp": ["admin"]}));
    cases.push(bad("JWT-55", "scp alone", only_scp, 403, "token.scope"));
    cases.push(good("JWT-55", "a set", admin(json!({"scope": "  read   admin admin "}))));
    run(&stage, cases);
}

/// What becomes of a token of this moment, whose second ends neither before the answer nor before the token was made.
fn in_one_second(stage: &Stage, token: impl Fn(u64) -> Value) -> (u16, String) {
    loop {
        let second = now();
        let answer = stage.as_bank(&api(&stage.token_with(token(second))));
        if now() == second {
            let lines = stage.envoy.settled_access_log();
            return (answer.status, super::reason_of(lines.last().expect("a line")));
        }
    }
}

#[test]
fn times_are_judged_to_the_second() {
    let stage = Stage::set(&document()).warm();
    // JWT-49: the leeway is 30 s for exp and nbf, and 10 s for iat.
    let passes = (200, "granted");
    let (expired, early) = ((401, "token.expired"), (401, "token.not_yet_valid"));
    let table = [
        ("exp", -31, expired),
        ("exp", -30, expired),
        ("exp", -29, passes),
        ("exp", -1, passes),
        ("exp", 0, passes),
        ("exp", 1, passes),
        ("nbf", 31, early),
        ("nbf", 30, passes),
        ("nbf", 29, passes),
        ("nbf", 0, passes),
        ("iat", 11, early),
        ("iat", 10, passes),
        ("iat", 9, passes),
    ];
    for (claim, offset, (status, reason)) in table {
        let at = |second: u64| second.checked_add_signed(offset).expect("a time");
        let seen = in_one_second(&stage, |second| match claim {
            "exp" => json!({"exp": at(second), "iat": second - 100}),
            _ => json!({claim: at(second)}),
        });
        assert_eq!(seen, (status, reason.to_owned()), "{claim} in {offset} s");
    }
}

/// Every key that a set may hold and nobody may use, among good ones.
fn hostile_set(stage: &Stage, good: &[Value]) -> Value {
    let es = stage.key.jwk();
    let ec = |kid: &str, x: &[u8], y: &[u8]| json!({"kty": "EC", "crv": "P-256", "kid": kid, "x": base64url(x), "y": base64url(y)});
    let (x, y) = (octets_of(&es, "x"), octets_of(&es, "y"));
    let field = URL_SAFE_NO_PAD.decode("_____wAAAAEAAAAAAAAAAAAAAAD_______________8").expect("octets");
    let rsa = |kid: &str, n: &[u8], e: &[u8]| json!({"kty": "RSA", "kid": kid, "n": base64url(n), "e": base64url(e)});
    let modulus = |bits: usize| {
        let mut n = vec![0xc5; bits / 8];
        n[bits / 8 - 1] = 0xc7;
        n
    };
    let edwards = |kid: &str, x: &[u8]| json!({"kty": "OKP", "crv": "Ed25519", "kid": kid, "x": base64url(x)});
    let small = |first: u8| [&[first][..], &[0; 31]].concat();
    let above = |first: u8| [&[first][..], &[0xff; 30], &[0x7f]].concat();
    let for_rs256 = |mut jwk: Value| {
        jwk["alg"] = json!("RS256");
        jwk
    };
    let mut keys = good.to_vec();
    keys.extend([
        json!({"kty": "oct", "k": base64url(b"secret"), "kid": "oct"}),
        json!({"kty": "oct", "k": base64url(b"secret"), "kid": "k1", "alg": "HS256"}),
        ec("off", &x, &x),
        ec("infinity", &[0; 32], &[0; 32]),
        ec("short", &x[1..], &y),
        ec("short-y", &x, &y[1..]),
        ec("long", &[&[0], &x[..]].concat(), &y),
        ec("beyond", &[0xff; 32], &y),
        ec("p", &field, &y),
        edwards("order-1", &small(1)),
        edwards("order-4", &small(0)),
        // -1, and 1 in another encoding.
        edwards("order-2", &above(0xec)),
        edwards("order-1-again", &above(0xee)),
        edwards("short-a", &small(1)[1..]),
        rsa("r512", &modulus(512), &[1, 0, 1]),
        rsa("r1024", &modulus(1024), &[1, 0, 1]),
        rsa("e1", &modulus(2048), &[1]),
        rsa("e2", &modulus(2048), &[2]),
        rsa("e4", &modulus(2048), &[1, 0, 0]),
        rsa("roca", &faulty_modulus(), &[1, 0, 1]),
        rsa("r16384", &modulus(16_384), &[1, 0, 1]),
        // The largest that is taken, for what it costs.
        for_rs256(rsa("r8192", &modulus(8_192), &[1, 0, 1])),
        for_rs256(rsa("r8192-e", &modulus(8_192), &[1, 0xff, 0xff, 0xff, 0xff])),
        json!({"kty": "RSA"}),
        json!({"kty": "none"}),
        json!(5),
        json!(null),
    ]);
    json!({"keys": keys})
}

/// 65537^128: of the form that the faulty generator of CVE-2017-15361 made.
fn faulty_modulus() -> Vec<u8> {
    (0..128).fold(vec![1], |n: Vec<u8>, _| {
        let (shifted, plain) = ([&n[..], &[0, 0]].concat(), [&[0, 0][..], &n].concat());
        let mut carry = 0;
        let mut sum: Vec<u8> = shifted
            .iter()
            .zip(&plain)
            .rev()
            .map(|(a, b)| {
                let sum = u16::from(*a) + u16::from(*b) + carry;
                carry = sum >> 8;
                sum.to_le_bytes()[0]
            })
            .collect();
        sum.extend((carry > 0).then_some(1));
        sum.reverse();
        sum
    })
}

#[test]
fn signatures_and_keys() {
    let (stage, _other, forger) = two_issuers();
    let ed = SigningKey::new(Algorithm::EdDsa, "ed");
    let own_ed = ed25519_dalek::SigningKey::from_bytes(&Sha256::digest(stage.key.sign(b"a seed")).into());
    let own = json!({"kty": "OKP", "crv": "Ed25519", "kid": "own", "x": base64url(own_ed.verifying_key().as_bytes())});
    let ps = SigningKey::new(Algorithm::Ps256, "ps");
    let rs = SigningKey::new(Algorithm::Rs256, "rs");
    let twin = SigningKey::new(Algorithm::Es256, "k1");
    let mut other_type = ed.jwk();
    other_type["kid"] = json!("k1");
    let keys = [stage.key.jwk(), twin.jwk(), other_type, ed.jwk(), own, ps.jwk(), rs.jwk()];
    let set = hostile_set(&stage, &keys).to_string();
    stage
        .server
        .fail("/jwks", Fault::Answer { status: 200, content_type: "application/jwk-set+json", body: set.into_bytes() });
    let claims = stage.claims();
    // An unknown kid has the new set fetched. INTRO-23: the good keys among bad ones are used.
    let started = Instant::now();
    assert!(wait_until(Duration::from_secs(20), || stage.as_bank(&api(&ed.mint(json!({}), &claims))).status == 200));
    let mut cases = Vec::new();
    for key in [&ed, &ps, &rs] {
        cases.push(good("INTRO-23", &key.kid, api(&key.mint(json!({}), &claims))));
    }
    for kid in ["k1", "oct"] {
        let header = json!({"alg": "HS256", "typ": "at+jwt", "kid": kid});
        cases.push(bad_token("JWT-06", kid, &hs256(&header, &claims, b"secret"), "token.algorithm"));
    }
    let as_other = SigningKey::new(Algorithm::Rs256, "ps");
    cases.push(bad_token("JWT-07", "RS256 by a key for PS256", &as_other.mint(json!({}), &claims), "token.key"));
    cases.push(good("JWT-07", "PS256 by that key", api(&ps.mint(json!({}), &claims))));
    cases.extend(ecdsa(&stage));
    for kid in ["off", "infinity", "short", "short-y", "long", "beyond", "p"] {
        cases.push(bad_token("JWT-14", kid, &stage.key.mint(json!({"kid": kid}), &claims), "token.key"));
    }
    cases.extend(eddsa(&stage, &ed, &own_ed));
    cases.extend(pss(&stage, &ps, &rs));
    for kid in ["r512", "r1024", "e1", "e2", "e4", "roca", "r16384"] {
        cases.push(bad_token("JWT-18", kid, &rs.mint(json!({"kid": kid}), &claims), "token.key"));
    }
    for kid in ["r8192", "r8192-e"] {
        let token = rs.mint(json!({"kid": kid}), &claims);
        cases.push(bad_token("JWT-18", kid, &with_signature(&token, &[0x55; 1024]), "token.signature"));
    }
    let confused = ed.mint(json!({"kid": "k1", "alg": "ES256"}), &claims);
    cases.push(bad_token("JWT-20", "a key of another type", &confused, "token.signature"));
    cases.push(bad_token("JWT-20", "a key of nobody", &forger.mint(json!({}), &claims), "token.signature"));
    cases.push(good("JWT-20", "one of the two", api(&twin.mint(json!({}), &claims))));
    cases.push(good("JWT-20", "the third, by its type", api(&ed.mint(json!({"kid": "k1"}), &claims))));
    cases.push(bad_token("JWT-21", "two would do", &stage.key.mint(json!({"kid": null}), &claims), "token.key"));
    cases.push(good("JWT-21", "one would do", api(&ps.mint(json!({"kid": null}), &claims))));
    run(&stage, cases);
    assert!(started.elapsed() < Duration::from_secs(60), "JWT-18: the largest keys hold nobody up");
}

fn with_signature(token: &str, signature: &[u8]) -> String {
    let (input, _) = token.rsplit_once('.').expect("three parts");
    format!("{input}.{}", base64url(signature))
}

fn signature_of(token: &str) -> Vec<u8> {
    let (_, signature) = token.rsplit_once('.').expect("three parts");
    URL_SAFE_NO_PAD.decode(signature).expect("octets")
}

fn ecdsa(stage: &Stage) -> Vec<Case> {
    let token = stage.token();
    let raw = signature_of(&token);
    let signed = |octets: &[u8]| with_signature(&token, octets);
    let (r, s) = raw.split_at(32);
    let zero = vec![0; 32];
    let order = URL_SAFE_NO_PAD.decode("_____wAAAAD__________7zm-q2nF56E87nKwvxjJVE").expect("octets");
    let mut above = order.clone();
    above[31] += 1;
    let mut cases = Vec::new();
    for (name, r, s) in [
        ("r = s = 0", zero.as_slice(), zero.as_slice()),
        ("r = 0", &zero, s),
        ("s = 0", r, &zero),
        ("r = s = n", &order, &order),
        ("r = n", &order, s),
        ("s = n", r, &order),
        ("r = n + 1, s = 1", &above, &[&zero[1..], &[1]].concat()),
        ("r, s beyond n", &[0xff; 32], &[0xff; 32]),
    ] {
        cases.push(bad_token("JWT-11", name, &signed(&[r, s].concat()), "token.signature"));
    }
    cases.push(bad_token("JWT-12", "0 octets", &signed(&[]), "token.malformed"));
    for (name, octets) in [
        ("1 octet", raw[..1].to_vec()),
        ("63 octets", raw[..63].to_vec()),
        ("63 octets at the front", raw[1..].to_vec()),
        ("65 octets", [&raw[..], &[0]].concat()),
        ("a zero in front", [&[0], &raw[..]].concat()),
        ("a zero in front of both", [&[0], r, &[0], s].concat()),
        ("128 octets", [&raw[..], &raw[..]].concat()),
        ("ASN.1", [&[0x30, 0x44, 2, 0x20], r, &[2, 0x20], s].concat()),
    ] {
        cases.push(bad_token("JWT-12", name, &signed(&octets), "token.signature"));
    }
    // One of 256 signatures begins with a zero.
    let zeroed = (0..).map(|number| stage.token_with(json!({"jti": format!("{number}")})));
    let zeroed = zeroed.into_iter().find(|token| signature_of(token)[0] == 0).expect("one of many");
    let stripped = with_signature(&zeroed, &signature_of(&zeroed)[1..]);
    cases.push(bad_token("JWT-12", "its zero stripped", &stripped, "token.signature"));
    cases.push(good("JWT-12", "its zero kept", api(&zeroed)));
    let low_or_high = p256::ecdsa::Signature::from_slice(&raw).expect("a signature");
    let other = p256::ecdsa::Signature::from_scalars(*low_or_high.r(), -*low_or_high.s()).expect("a signature");
    // Both of two valid signatures, in either order.
    for token in [&signed(&other.to_bytes()), &token, &signed(&other.to_bytes()), &token] {
        cases.push(good("JWT-13", "n - s", api(token)));
    }
    cases
}

/// Ed25519 as RFC 8032 has it, without the cofactor; points of small order and second encodings are refused.
fn eddsa(stage: &Stage, ed: &SigningKey, own: &ed25519_dalek::SigningKey) -> Vec<Case> {
    let mut cases = Vec::new();
    let input = |kid: &str| {
        let header = json!({"alg": "EdDSA", "typ": "at+jwt", "kid": kid}).to_string();
        format!("{}.{}", base64url(header.as_bytes()), base64url(stage.claims().to_string().as_bytes()))
    };
    for kid in ["order-1", "order-2", "order-4", "order-1-again", "short-a"] {
        let forged = [&[1][..], &[0; 63]].concat();
        cases.push(bad_token("JWT-15", kid, &format!("{}.{}", input(kid), base64url(&forged)), "token.key"));
    }
    // S = h·a makes S·B = R + h·A true for R the neutral point, in its own encoding and in another.
    let one = own.to_scalar() * own.to_scalar().invert();
    for (name, point) in
        [("R of order 1", [&[1][..], &[0; 31]].concat()), ("R again", [&[0xee][..], &[0xff; 30], &[0x7f]].concat())]
    {
        let input = input("own");
        let digest = Sha512::digest([&point[..], own.verifying_key().as_bytes(), input.as_bytes()].concat());
        let bits = digest.iter().rev().flat_map(|octet| (0..8).rev().map(move |bit| octet >> bit & 1 == 1));
        let above = (0..512).fold(one, |sum, _| sum + sum);
        let h = bits.fold(one, |sum, bit| if bit { sum + sum + one } else { sum + sum }) - above;
        let s = h * own.to_scalar();
        let token = format!("{input}.{}", base64url(&[&point[..], &s.to_bytes()].concat()));
        cases.push(bad_token("JWT-15", name, &token, "token.signature"));
    }
    let token = ed.mint(json!({}), &stage.claims());
    let raw = signature_of(&token);
    for (name, octets) in [
        ("S + L", plus_order(&raw)),
        ("S = L", [&raw[..32], &ORDER].concat()),
        ("63 octets", raw[..63].to_vec()),
        ("65 octets", [&raw[..], &[0]].concat()),
    ] {
        cases.push(bad_token("JWT-15", name, &with_signature(&token, &octets), "token.signature"));
    }
    cases.push(good("JWT-15", "as it is", api(&token)));
    cases
}

/// The order of the group of Ed25519, as S is written.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// S and the order of the group, in an Ed25519 signature.
fn plus_order(signature: &[u8]) -> Vec<u8> {
    let mut carry = 0;
    let sum = signature[32..].iter().zip(ORDER).map(|(s, l)| {
        let sum = u16::from(*s) + u16::from(l) + carry;
        carry = sum >> 8;
        sum.to_le_bytes()[0]
    });
    let sum: Vec<u8> = sum.collect();
    [&signature[..32], &sum].concat()
}

/// RFC 8017 §9.1.1 for a modulus of 2048 bits, with what a forger could choose otherwise.
struct Pss {
    salt: usize,
    trailer: u8,
    mask: fn(&[u8]) -> Vec<u8>,
    hash: fn(&[u8]) -> Vec<u8>,
}

const PS256: Pss = Pss { salt: 32, trailer: 0xbc, mask: sha256, hash: sha256 };

fn sha256(octets: &[u8]) -> Vec<u8> {
    Sha256::digest(octets).to_vec()
}

fn sha384(octets: &[u8]) -> Vec<u8> {
    Sha384::digest(octets).to_vec()
}

impl Pss {
    fn encode(&self, message: &[u8]) -> Vec<u8> {
        let salt = vec![0x5a; self.salt];
        let h = (self.hash)(&[&[0; 8][..], &(self.hash)(message), &salt].concat());
        let length = 256 - h.len() - 1;
        let mut block = [&vec![0; length - salt.len() - 1][..], &[1], &salt].concat();
        let stream = (0_u32..).flat_map(|count| (self.mask)(&[&h[..], &count.to_be_bytes()].concat()));
        block.iter_mut().zip(stream).for_each(|(octet, mask)| *octet ^= mask);
        block[0] &= 0x7f;
        [&block[..], &h, &[self.trailer]].concat()
    }
}

fn pss(stage: &Stage, ps: &SigningKey, rs: &SigningKey) -> Vec<Case> {
    let token = ps.mint(json!({}), &stage.claims());
    let (input, _) = token.rsplit_once('.').expect("three parts");
    let signed = |pss: &Pss| with_signature(&token, &ps.sign_encoded(&pss.encode(input.as_bytes())));
    let mut cases = Vec::new();
    for (name, pss) in [
        ("no salt", Pss { salt: 0, ..PS256 }),
        ("a short salt", Pss { salt: 31, ..PS256 }),
        ("a long salt", Pss { salt: 33, ..PS256 }),
        ("another hash in the mask", Pss { mask: sha384, ..PS256 }),
        ("another hash", Pss { hash: sha384, mask: sha384, salt: 48, ..PS256 }),
        ("a trailer of 0xcc", Pss { trailer: 0xcc, ..PS256 }),
        ("a trailer of 0", Pss { trailer: 0, ..PS256 }),
    ] {
        cases.push(bad_token("JWT-17", name, &signed(&pss), "token.signature"));
    }
    // The same RSA key, another padding.
    let pkcs1 = with_signature(&token, &rs.sign(input.as_bytes()));
    cases.push(bad_token("JWT-17", "PKCS#1", &pkcs1, "token.signature"));
    cases.push(good("JWT-17", "encoded as it should be", api(&signed(&PS256))));
    cases
}

#[test]
fn a_flood_of_unknown_kids_is_no_flood_of_questions() {
    let stage = Stage::set(&document()).warm();
    let started = Instant::now();
    let flood = (0..100).map(|number| {
        let token = stage.key.mint(json!({"kid": format!("flood-{number}")}), &stage.claims());
        bad_token("JWT-23", format!("{number}"), &token, "token.key")
    });
    run(&stage, flood.collect());
    let allowed = 2 + 3 + 1 + usize::try_from(started.elapsed().as_secs() / 5).expect("seconds");
    assert!(stage.server.count("/jwks") <= allowed, "{} fetches", stage.server.count("/jwks"));
}

#[test]
fn a_key_that_is_taken_out_takes_its_tokens_with_it() {
    let stage = Stage::set(&document()).warm();
    let (next, old) = (SigningKey::new(Algorithm::Es256, "k2"), stage.token());
    let expired = stage.token_with(json!({"iat": now() - 100, "exp": now() - 40}));
    let fresh = || next.mint(json!({}), &stage.claims());
    let before = vec![
        good("JWT-59", "while its key is there", api(&old)),
        bad_token("JWT-59", "expired", &expired, "token.expired"),
    ];
    run(&stage, before);
    // The first token of the new key has the set fetched; with it goes the old key.
    stage.server.publish(&[&next]);
    let table = [(fresh(), 200), (old, 401), (expired, 401), (stage.token(), 401), (fresh(), 200)];
    for (at, (token, status)) in table.iter().enumerate() {
        assert_eq!(stage.as_bank(&api(token)).status, *status, "JWT-59, request {at}");
    }
    let reasons: Vec<String> = stage.envoy.settled_access_log().iter().map(|line| super::reason_of(line)).collect();
    assert_eq!(reasons[reasons.len() - 5..], ["granted", "token.key", "token.key", "token.key", "granted"]);
    assert_eq!(stage.reached(), 2);
}
