//! Proofs that prove nothing, and tokens that are shown with them (RFC 9449).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{Algorithm, Clock, Options, Proof, Request, SigningKey, base64url, now, sign_octets};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{Case, Sender, bad, good, run, send_raw};
use crate::stage::{Stage, api, issuer};

const ORIGIN: &str = "https://api.bank.example";
const URI: &str = "https://api.bank.example/api/x";

/// Callers with certificates and callers with keys.
fn document() -> Value {
    json!({
        "issuers": [issuer()], "binding": "either",
        "dpop": {"origins": [ORIGIN], "replay": "worker"},
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "unbound", "path": "/unbound", "binding": "when_bound", "allow": "authenticated"},
            {"name": "keys", "path": "/keys", "binding": "dpop", "allow": "authenticated"},
            {"name": "certificates", "path": "/certificates", "binding": "certificate", "allow": "authenticated"},
            {"name": "named", "path": "/named", "allow": [{"certificate": {"sha256": "0".repeat(64)}, "token": "none"}]},
            {"name": "odd", "path": "/odd/**", "danger_allow_path": ["encoded_slash", "empty_segment", "semicolon"],
             "allow": "authenticated"},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    })
}

fn with_nonces(origin: &str, key: &str) -> Value {
    let mut document = document();
    document["dpop"] =
        json!({"origins": [origin], "replay": "worker", "nonce": "required", "nonce_keys": [{"env": key}]});
    document
}

/// With routes that rewrite, and upgrades.
fn stage() -> Stage {
    let routes = json!([
        {"match": {"prefix": "/api/old"}, "route": {
            "cluster": "upstream", "prefix_rewrite": "/api/new", "host_rewrite_literal": "inner.example"}},
        {"match": {"prefix": "/api/v1"}, "route": {"cluster": "upstream",
            "regex_rewrite": {"pattern": {"regex": "^/api/v1/(.*)$"}, "substitution": "/api/\\1"}}},
        {"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}
    ]);
    Stage::with(&document(), |options| Options { routes: Some(routes), websockets: true, ..options }).warm()
}

/// A caller with a key, and a token that is bound to it.
struct Wallet {
    key: SigningKey,
    token: String,
}

fn dpop(path: &str, token: &str, proof: impl AsRef<[u8]>) -> Request {
    Request::get(path).field("authorization", format!("DPoP {token}")).field("dpop", proof)
}

impl Wallet {
    fn new(stage: &Stage) -> Self {
        Self::of(stage, SigningKey::new(Algorithm::Es256, "wallet"))
    }

    fn of(stage: &Stage, key: SigningKey) -> Self {
        let token = stage.token_with(json!({"cnf": {"jkt": key.thumbprint()}}));
        Self { key, token }
    }

    /// A good one.
    fn proof(&self) -> Proof {
        Proof::new(&self.key, "GET", URI).with(&self.token)
    }

    /// The request that `proof` was made for, with whatever stands in its place.
    fn shows(&self, proof: impl AsRef<[u8]>) -> Request {
        dpop("/api/x", &self.token, proof)
    }

    fn signs(&self, proof: &Proof) -> Request {
        self.shows(proof.sign(&self.key))
    }

    fn good(&self) -> Request {
        self.signs(&self.proof())
    }

    fn without_proof(&self) -> Request {
        Request::get("/api/x").field("authorization", format!("DPoP {}", self.token))
    }

    /// With another value of a claim; null takes it out.
    fn claims(&self, name: &str, value: Value) -> Request {
        self.signs(&self.proof().claim(name, value))
    }

    /// The same for a member of the header.
    fn heads(&self, name: &str, value: Value) -> Request {
        self.signs(&self.proof().header(name, value))
    }

    fn jwk(&self) -> Value {
        public(&self.key)
    }

    /// With other members of the key.
    fn with_jwk(&self, others: Value) -> Request {
        let mut jwk = self.jwk();
        for (name, value) in others.as_object().expect("members") {
            jwk[name] = value.clone();
        }
        jwk.as_object_mut().expect("a map").retain(|_, value| !value.is_null());
        self.heads("jwk", jwk)
    }

    /// Header and claims of a good one as texts, changed and signed.
    fn rewritten(&self, change: impl Fn(String, String) -> (String, String)) -> Request {
        let (header, claims) = texts(&self.proof().sign(&self.key));
        let (header, claims) = change(header, claims);
        self.shows(sign_octets(&self.key, header.as_bytes(), claims.as_bytes()))
    }
}

/// The members of a key that a proof needs.
fn public(key: &SigningKey) -> Value {
    let mut jwk = key.jwk();
    jwk.as_object_mut().expect("a map").retain(|name, _| !matches!(name.as_str(), "kid" | "alg" | "use"));
    jwk
}

/// The members of its header and its claims as they are written.
fn texts(proof: &str) -> (String, String) {
    let text = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).expect("octets")).expect("a text");
    let mut parts = proof.split('.');
    (text(parts.next().expect("a header")), text(parts.next().expect("claims")))
}

fn bad_proof(id: &'static str, name: impl Into<String>, request: Request, reason: &'static str) -> Case {
    bad(id, name, request, 401, reason)
}

fn shapes_of_the_proof(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let proof = || wallet.proof().sign(&wallet.key);
    let parts: Vec<String> = proof().split('.').map(str::to_owned).collect();
    let [header, payload, signature] = parts.try_into().expect("three parts");
    let malformed = |name: &str, text: &str| bad_proof("DPOP-03", name, wallet.shows(text), "proof.malformed");
    let several = |name: &str, text: &str| bad_proof("DPOP-03", name, wallet.shows(text), "proof.several");
    let flattened = json!({"payload": payload, "protected": header, "signature": signature}).to_string();
    let long = |octets: usize| wallet.claims("x", json!("x".repeat(octets)));
    let mut cases = vec![
        malformed("empty", ""),
        malformed("one part", &header),
        malformed("two parts", &format!("{header}.{payload}")),
        malformed("four parts", &format!("{header}.{payload}.{signature}.{signature}")),
        malformed("five parts", &format!("{header}.{payload}.{signature}.a.b")),
        malformed("dots", &".".repeat(4_000)),
        malformed("padding", &format!("{header}=.{payload}.{signature}")),
        malformed("a blank inside", &format!("{header}. {payload}.{signature}")),
        malformed("in quotes", &format!("\"{header}.{payload}.{signature}\"")),
        malformed("a scheme before it", &format!("DPoP {header}.{payload}.{signature}")),
        several("JSON serialization", &flattened),
        several("two in one field", &format!("{}, {}", proof(), proof())),
        several("a comma behind it", &format!("{},", proof())),
        bad_proof("DPOP-03", "two fields", wallet.good().field("dpop", proof()), "proof.several"),
        bad_proof("DPOP-03", "two fields, the first empty", wallet.shows("").field("DPoP", proof()), "proof.several"),
        bad_proof("DPOP-03", "octets outside UTF-8", wallet.shows(b"a.b.\xff\xfe"), "proof.malformed"),
        bad_proof("DPOP-03", "5 KiB", long(5 << 10), "proof.too_long"),
        bad_proof("DPOP-03", "30 KiB of dots", wallet.shows(".".repeat(30 << 10)), "proof.too_long"),
        bad_proof("DPOP-03", "1 MiB", wallet.shows("a".repeat(1 << 20)), "-").stopped(431),
        bad_proof("DPOP-03", "no field", wallet.without_proof(), "proof.missing"),
        good("DPOP-03", "3 KiB", long(2_500)),
        good("DPOP-03", "blanks around it", wallet.shows(format!("  {} ", proof()))),
    ];
    for octets in ["[]", "null", "\"x\"", "5", "{", "{}x", "\u{feff}{}"] {
        let header = wallet.rewritten(|_, claims| (octets.to_owned(), claims));
        cases.push(bad_proof("DPOP-03", format!("header {octets}"), header, "proof.malformed"));
        let claims = wallet.rewritten(|header, _| (header, octets.to_owned()));
        cases.push(bad_proof("DPOP-03", format!("claims {octets}"), claims, "proof.malformed"));
    }
    for (name, value) in [("crit", json!(["exp"])), ("crit", json!([])), ("b64", json!(false)), ("b64", json!(true))] {
        cases.push(bad_proof("DPOP-03", format!("{name} {value}"), wallet.heads(name, value), "proof.malformed"));
    }
    for typ in ["JWT", "at+jwt", "dpop+jwt+x", "dpop", "application/jwt", "x/dpop+jwt", "dpop+jwt ", "dpop+jwt;x=y", ""]
    {
        cases.push(bad_proof("DPOP-04", typ, wallet.heads("typ", json!(typ)), "proof.type"));
    }
    cases.push(bad_proof("DPOP-04", "missing", wallet.heads("typ", json!(null)), "proof.type"));
    for typ in [json!(5), json!(["dpop+jwt"])] {
        cases.push(bad_proof("DPOP-04", typ.to_string(), wallet.heads("typ", typ), "proof.malformed"));
    }
    for typ in ["dpop+jwt", "DPOP+JWT", "application/dpop+jwt"] {
        cases.push(good("DPOP-04", typ, wallet.heads("typ", json!(typ))));
    }
    // Each is a signed object of the caller's own key, made for something else.
    let token = wallet.key.mint(json!({"jwk": wallet.jwk()}), &stage.claims());
    cases.push(bad_proof("DPOP-04", "an access token", wallet.shows(&token), "proof.type"));
    cases
}

fn keys_in_the_proof(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let key = |name: &str, others: Value| bad_proof("DPOP-07", name, wallet.with_jwk(others), "proof.key");
    let jwk = wallet.jwk();
    let x = URL_SAFE_NO_PAD.decode(jwk["x"].as_str().expect("a text")).expect("octets");
    let mut cases = vec![
        good(
            "DPOP-07",
            "kid, x5c, and what nobody knows",
            wallet.with_jwk(json!({
                "kid": "k", "x5c": ["AAAA"], "x5u": "https://evil.example", "alg": "ES256", "use": "sig", "ext": true,
                "key_ops": ["verify"], "unknown": {"a": [1, null]}
            })),
        ),
        good(
            "DPOP-07",
            "kid, x5c and jku beside it",
            wallet.signs(
                &wallet
                    .proof()
                    .header("kid", json!("k"))
                    .header("x5c", json!(["AAAA"]))
                    .header("jku", json!("https://evil.example")),
            ),
        ),
        key("private", json!({"d": base64url(&[1; 32])})),
        key("private, and null", json!({"k": ""})),
        key("symmetric", json!({"kty": "oct"})),
        key("another type", json!({"kty": "RSA"})),
        key("of no type", json!({"kty": null})),
        key("another curve", json!({"crv": "P-384"})),
        key("an old curve", json!({"crv": "secp256k1"})),
        key("for another algorithm", json!({"alg": "ES384"})),
        key("for encryption", json!({"use": "enc"})),
        key("for signing alone", json!({"key_ops": ["sign"]})),
        key("without y", json!({"y": null})),
        key("x in a list", json!({"x": [jwk["x"]]})),
        key("x with padding", json!({"x": format!("{}=", jwk["x"].as_str().expect("a text"))})),
        key("x cut off", json!({"x": base64url(&x[1..])})),
        key("x with a zero in front", json!({"x": base64url(&[&[0][..], &x].concat())})),
        key("on no curve", json!({"x": jwk["y"], "y": jwk["x"]})),
        key("at zero", json!({"x": base64url(&[0; 32]), "y": base64url(&[0; 32])})),
    ];
    for value in [json!(null), json!("x"), json!([jwk]), json!({}), json!(jwk.to_string())] {
        cases.push(bad_proof("DPOP-07", format!("jwk {value}"), wallet.heads("jwk", value), "proof.key"));
    }
    let elsewhere = wallet.proof().header("jwk", json!(null)).header("kid", json!(wallet.key.thumbprint()));
    cases.push(bad_proof("DPOP-07", "a key that is only named", wallet.signs(&elsewhere), "proof.key"));
    // A signature that fits it is anybody's.
    let small = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(&[&[1][..], &[0; 31]].concat())});
    let of_small = wallet.proof().header("jwk", small).header("alg", json!("EdDSA"));
    cases.push(bad_proof("DPOP-07", "of small order", wallet.signs(&of_small), "proof.key"));
    for alg in ["none", "None", "HS256", "ES384", "RS256", "es256", "ES256 "] {
        cases.push(bad_proof("DPOP-07", format!("alg {alg}"), wallet.heads("alg", json!(alg)), "proof.algorithm"));
    }
    for alg in [json!(null), json!(""), json!(["ES256"])] {
        cases.push(bad_proof("DPOP-07", format!("alg {alg}"), wallet.heads("alg", alg), "proof.malformed"));
    }
    // The thumbprint is over the four members that make the key, whatever else stands there.
    let whole = json!({"crv": "P-256", "ext": true, "kty": "EC", "x": jwk["x"], "y": jwk["y"]});
    let by_whole = stage.token_with(json!({"cnf": {"jkt": base64url(&Sha256::digest(whole.to_string()))}}));
    let proof = Proof::new(&wallet.key, "GET", URI).with(&by_whole).header("jwk", whole).sign(&wallet.key);
    cases.push(bad_proof("DPOP-07", "its digest", dpop("/api/x", &by_whole, proof), "binding.other_key"));
    for algorithm in [Algorithm::Ps256, Algorithm::EdDsa] {
        let other = Wallet::of(stage, SigningKey::new(algorithm, "other"));
        let others = json!({"use": "sig", "alg": algorithm.name(), "kid": "k", "unknown": 1});
        cases.push(good("DPOP-07", algorithm.name(), other.with_jwk(others)));
        cases.push(bad_proof("DPOP-07", "by ES256", other.heads("alg", json!("ES256")), "proof.key"));
    }
    let changed = |from: &str, to: String| {
        wallet.rewritten(|header, claims| (header.replacen(from, &to, 1), claims.replacen(from, &to, 1)))
    };
    let (x, y) = (jwk["x"].to_string(), jwk["y"].to_string());
    for (name, from, to) in [
        ("x twice", r#""x":"#, format!(r#""x":{x},"x":"#)),
        ("another x first", r#""x":"#, format!(r#""x":{y},"x":"#)),
        ("x twice, escaped", r#""x":"#, format!(r#""\u0078":{y},"x":"#)),
        ("an unknown member twice", r#""x":"#, r#""u":1,"u":2,"x":"#.to_owned()),
        ("kty twice", r#""kty":"#, r#""kty":"oct","kty":"#.to_owned()),
        ("two keys", r#""jwk":"#, r#""jwk":{},"jwk":"#.to_owned()),
        ("typ twice", r#""typ":"#, r#""typ":"JWT","typ":"#.to_owned()),
        ("alg twice", r#""alg":"#, r#""alg":"none","alg":"#.to_owned()),
        ("htm twice", r#""htm":"#, r#""htm":"POST","htm":"#.to_owned()),
        ("jti twice", r#""jti":"#, r#""jti":"a","jti":"#.to_owned()),
    ] {
        cases.push(bad_proof("DPOP-08", name, changed(from, to), "proof.malformed"));
    }
    let in_order = json!({"crv": "P-256", "kty": "EC", "x": jwk["x"], "y": jwk["y"]}).to_string();
    for other in [
        format!(r#"{{"y":{y},"x":{x},"kty":"EC","crv":"P-256"}}"#),
        format!("{{\n \"kty\" : \"EC\", \"y\":{y},\t\"crv\":\"P-256\",\r\n\"x\":{x} }}"),
        format!(r#"{{"\u006bty":"\u0045C","crv":"P-256","x":{x},"y":{y}}}"#),
    ] {
        let request = changed(&in_order, other.clone());
        cases.push(good("DPOP-08", other, request));
    }
    cases
}

/// Its three parts with another signature.
fn with_signature(proof: &str, signature: &[u8]) -> String {
    let (input, _) = proof.rsplit_once('.').expect("a signature");
    format!("{input}.{}", base64url(signature))
}

fn signature_of(proof: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(proof.rsplit_once('.').expect("a signature").1).expect("octets")
}

fn signatures_of_the_proof(stage: &Stage) -> Vec<Case> {
    let (wallet, other) = (Wallet::new(stage), Wallet::new(stage));
    let proof = wallet.proof().sign(&wallet.key);
    let signature = signature_of(&proof);
    let forged = |name: &str, octets: &[u8]| {
        bad_proof("DPOP-11", name, wallet.shows(with_signature(&proof, octets)), "proof.signature")
    };
    let (r, s) = signature.split_at(32);
    let mut cases = vec![
        bad_proof("DPOP-11", "by another key", wallet.shows(wallet.proof().sign(&other.key)), "proof.signature"),
        bad_proof(
            "DPOP-11",
            "by another key, which it names",
            wallet.shows(Proof::new(&other.key, "GET", URI).with(&wallet.token).sign(&other.key)),
            "binding.other_key",
        ),
        bad_proof("DPOP-11", "missing", wallet.shows(with_signature(&proof, &[])), "proof.malformed"),
        bad_proof(
            "DPOP-11",
            "of another proof",
            wallet.shows(with_signature(&proof, &signature_of(&other.proof().sign(&wallet.key)))),
            "proof.signature",
        ),
        forged("zeros", &[0; 64]),
        forged("ones", &[0xff; 64]),
        forged("cut off", &signature[..63]),
        forged("an octet more", &[&signature[..], &[0]].concat()),
        forged("twice", &[&signature[..], &signature].concat()),
        forged("r and s the other way round", &[s, r].concat()),
        forged("ASN.1", &[&[0x30, 0x44, 2, 0x20], r, &[2, 0x20], s].concat()),
    ];
    for at in 0..signature.len() {
        let mut flipped = signature.clone();
        flipped[at] ^= 1 << (at % 8);
        cases.push(forged(&format!("octet {at} flipped"), &flipped));
    }
    // Claims and header that were changed after the signature.
    let (header, claims) = texts(&proof);
    let signed = |header: &str, claims: &str| {
        let text =
            format!("{}.{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()), base64url(&signature));
        bad_proof("DPOP-11", claims, wallet.shows(text), "proof.signature")
    };
    cases.push(signed(&header, &claims.replace(r#""jti":""#, r#""jti":"x"#)));
    cases.push(signed(&header, &claims.replace('{', "{ ")));
    cases.push(signed(&header.replace('{', "{ "), &claims));
    cases.push(good("DPOP-11", "the one that all were made of", wallet.shows(&proof)));
    let numbers = p256::ecdsa::Signature::from_slice(&signature).expect("a signature");
    let second = p256::ecdsa::Signature::from_scalars(*numbers.r(), -*numbers.s()).expect("a signature");
    let again = wallet.shows(with_signature(&proof, &second.to_bytes()));
    cases.push(bad_proof("DPOP-11", "n - s, which fits too, of a proof that was shown", again, "proof.replayed"));
    cases
}

fn methods_of_the_proof(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let by = |method: &str, request: Request| Request { method: method.to_owned(), ..request };
    let mut cases = Vec::new();
    for htm in ["get", "Get", "GET ", " GET", "POST", "HEAD", "", "GET,POST", "*", "GET\0"] {
        cases.push(bad_proof("DPOP-14", htm, wallet.claims("htm", json!(htm)), "proof.method"));
    }
    for htm in [json!(null), json!(["GET"]), json!(5), json!({})] {
        cases.push(bad_proof("DPOP-14", htm.to_string(), wallet.claims("htm", htm), "proof.claim"));
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let body = |request: Request| by(method, request).body("");
        cases.push(bad_proof("DPOP-14", format!("GET, sent as {method}"), body(wallet.good()), "proof.method"));
        cases.push(good("DPOP-14", method, body(wallet.claims("htm", json!(method)))));
    }
    for field in
        ["x-http-method-override", "X-HTTP-Method", "x-method-override", "x_http_method_override", "x-forwarded-method"]
    {
        let overridden = |request: Request| request.field(field, "POST");
        let forged = overridden(wallet.claims("htm", json!("POST")));
        cases.push(bad_proof("DPOP-15", format!("{field}: as it says"), forged, "proof.method"));
        cases.push(good("DPOP-15", format!("{field}: as it was sent"), overridden(wallet.good())));
    }
    cases
}

fn uris_of_the_proof(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let htu = |uri: &str| wallet.claims("htu", json!(uri));
    let mut cases = Vec::new();
    for value in [json!(null), json!(5), json!([URI]), json!({"uri": URI})] {
        cases.push(bad_proof("DPOP-16", value.to_string(), wallet.claims("htu", value), "proof.claim"));
    }
    for uri in [
        "",
        "/api/x",
        "api/x",
        "//api.bank.example/api/x",
        "api.bank.example/api/x",
        "https:/api.bank.example/api/x",
        "https:///api/x",
        "https://evil.example/api/x",
        "https://localhost/api/x",
        "https://api.bank.example.evil.example/api/x",
        "https://evil.example/https://api.bank.example/api/x",
        "https://evil.example#https://api.bank.example/api/x",
        "https://evil.example\\@api.bank.example/api/x",
        "https://api.bank.example@evil.example/api/x",
        "https://ann@api.bank.example/api/x",
        "https://api.bank.example./api/x",
        "https://api.bank.example%00/api/x",
        "https://api%2Ebank.example/api/x",
        "https://xn--api-.bank.example/api/x",
        "https://\u{ff41}pi.bank.example/api/x",
        "https://api.bank.example:8443/api/x",
        "https://api.bank.example:80/api/x",
        "https://api.bank.example:0443/api/x",
        "https://api.bank.example:443:443/api/x",
        "https://api.bank.example:+443/api/x",
        "http://api.bank.example/api/x",
        "http://api.bank.example:443/api/x",
        "wss://api.bank.example/api/x",
        "ftp://api.bank.example/api/x",
        " https://api.bank.example/api/x",
        "https://api.bank.example/api/x ",
        "https://api.bank.example/api/x\n",
        "https://api.bank.example/api/y",
        "https://api.bank.example",
        "https://api.bank.example/",
    ] {
        cases.push(bad_proof("DPOP-16", format!("{uri:?}"), htu(uri), "proof.uri"));
    }
    for tail in ["?", "?a=b", "#", "#f", "?a=b#f", "#?", "?a=/api/y", "#/../y"] {
        let uri = format!("{URI}{tail}");
        cases.push(good("DPOP-17", &uri, htu(&uri)));
        let asked = Request { target: format!("/api/x{}", tail.split('#').next().expect("a part")), ..wallet.good() };
        cases.push(good("DPOP-17", asked.target.clone(), asked));
    }
    cases.push(bad_proof(
        "DPOP-17",
        "a query of another path",
        htu("https://api.bank.example/api/y?/api/x"),
        "proof.uri",
    ));
    cases.push(bad_proof("DPOP-17", "an escaped query", htu(&format!("{URI}%3Fa=b")), "proof.uri"));
    for origin in [
        "HTTPS://API.BANK.EXAMPLE",
        "https://api.bank.example:443",
        "HTTPS://Api.Bank.example:443",
        "https://api.bank.example:",
    ] {
        cases.push(good("DPOP-18", origin, htu(&format!("{origin}/api/x"))));
    }
    cases.push(bad_proof("DPOP-18", "the path in capitals", htu("HTTPS://API.BANK.EXAMPLE/API/X"), "proof.uri"));
    for (path, named, same) in [
        ("/odd/x", "/odd/X", false),
        ("/odd/x", "/Odd/x", false),
        ("/odd/~a", "/odd/%7ea", true),
        ("/odd/%7Ea", "/odd/~a", true),
        ("/odd/%61", "/odd/a", true),
        ("/odd/a%2fb", "/odd/a%2Fb", true),
        ("/odd/a/b", "/odd/a%2Fb", false),
        ("/odd/a%2Fb", "/odd/a/b", false),
        ("/odd/a%252Fb", "/odd/a%2Fb", false),
        ("/odd/a", "/odd/./a", true),
        ("/odd/a", "/odd/b/../a", true),
        ("/odd/a", "/odd/b/%2e%2E/a", true),
        ("/odd/a", "/../odd/a", true),
        ("/odd/a", "/odd/b/..%2Fa", false),
        ("/odd//a", "/odd//a", true),
        ("/odd//a", "/odd/a", false),
        ("/odd/a", "/odd//a", false),
        ("/odd/a/", "/odd/a", false),
        ("/odd/a", "/odd/a/", false),
        ("/odd/a", "/odd/a/.", false),
        ("/odd/a;v=1", "/odd/a;v=1", true),
        ("/odd/a;v=1", "/odd/a", false),
        ("/odd/a;v=1", "/odd/a%3Bv=1", false),
        ("/odd/a+b", "/odd/a%20b", false),
        ("/odd/a", "/odd/a%", false),
        ("/odd/a", "/odd/%a", false),
        ("/odd/a", "\\odd\\a", false),
        ("/odd/a", "/odd/a%00", false),
        ("/odd/%C3%A9", "/odd/%c3%a9", true),
        ("/odd/%C3%A9", "/odd/\u{e9}", false),
    ] {
        let request = Request { target: path.to_owned(), ..htu(&format!("{ORIGIN}{named}")) };
        let name = format!("{named}, asked as {path}");
        cases.push(match same {
            true => good("DPOP-19", name, request),
            false => bad_proof("DPOP-19", name, request, "proof.uri"),
        });
    }
    // What is read in two ways is refused before anybody looks at a proof.
    for path in ["/odd/../odd/a", "/odd/%2e/a", "/odd\\a"] {
        let request = Request { target: path.to_owned(), ..htu("https://api.bank.example/odd/a") };
        cases.push(bad("DPOP-19", path, request, 400, "path.ambiguous"));
    }
    let at_host = |host: &str, mut request: Request| {
        request.fields[0].1 = host.as_bytes().to_vec();
        request
    };
    for host in ["evil.example", "api.bank.example:8443", "api.bank.example.evil.example"] {
        let uri = format!("https://{host}/api/x");
        cases.push(bad_proof("DPOP-21", format!("host {host}"), at_host(host, htu(&uri)), "proof.uri"));
        cases.push(good("DPOP-21", format!("host {host}, for us"), at_host(host, wallet.good())));
        for field in ["x-forwarded-host", "forwarded", "x-host", "x-original-host", "x-forwarded-server"] {
            let value = if field == "forwarded" { format!("host={host};proto=https") } else { host.to_owned() };
            cases.push(bad_proof("DPOP-21", format!("{field} {host}"), htu(&uri).field(field, &value), "proof.uri"));
        }
    }
    let cleartext = htu("http://api.bank.example/api/x").field("x-forwarded-proto", "http");
    cases.push(bad_proof("DPOP-21", "x-forwarded-proto", cleartext, "proof.uri"));
    for field in ["x-envoy-original-path", "x-original-url", "x-rewrite-url", "x-forwarded-uri", "x-forwarded-prefix"] {
        let other = htu("https://api.bank.example/api/y").field(field, "/api/y");
        cases.push(bad_proof("DPOP-21", field, other, "proof.uri"));
        cases.push(good("DPOP-21", format!("{field}, for what was asked"), wallet.good().field(field, "/api/y")));
    }
    let absolute = |uri: &str| Request { target: "https://evil.example/api/x".to_owned(), ..htu(uri) };
    cases.push(bad_proof("DPOP-21", "an absolute target", absolute("https://evil.example/api/x"), "proof.uri"));
    cases.push(good("DPOP-21", "an absolute target, for us", absolute(URI)));
    cases
}

#[test]
fn proofs_and_what_is_shown_with_them() {
    let stage = stage();
    for cases in [
        shapes_of_the_proof,
        keys_in_the_proof,
        signatures_of_the_proof,
        methods_of_the_proof,
        uris_of_the_proof,
        uris_that_routes_rewrite,
        times_of_the_proof,
        proofs_that_were_shown_before,
        schemes_and_bindings_that_do_not_fit,
    ] {
        run(&stage, cases(&stage));
    }
    nothing_that_was_not_read_goes_on(&stage);
    upgrades_are_proven_as_get(&stage);
    over_http_2_too(&stage);
}

fn over_http_2_too(stage: &Stage) {
    let (wallet, other) = (Wallet::new(stage), Wallet::new(stage));
    let mut connection = stage.envoy.anonymous().open_http2().expect("a connection");
    let shown = wallet.good();
    for (name, request, status) in [
        ("good", shown.clone(), 200),
        ("again", shown, 401),
        ("two fields", wallet.good().field("dpop", wallet.proof().sign(&wallet.key)), 401),
        ("two fields, one empty", wallet.good().field("dpop", ""), 401),
        ("two tokens", wallet.good().field("authorization", format!("DPoP {}", other.token)), 400),
        ("another host", wallet.claims("htu", json!("https://localhost/api/x")), 401),
        ("good again", wallet.good(), 200),
    ] {
        assert_eq!(connection.send(&request).expect("an answer").status, status, "DPOP-03 {name}, HTTP/2");
    }
    assert_eq!(stage.reached(), 2);
}

fn nothing_that_was_not_read_goes_on(stage: &Stage) {
    let wallet = Wallet::new(stage);
    let overridden = wallet.good().field("x-http-method-override", "DELETE").field("X_HTTP_Method", "DELETE");
    let of_bank = Request::get("/certificates").bearer(&stage.token()).field("dpop", "x").field("DPoP", "y");
    let unread = Request { target: "/healthz".into(), ..wallet.good() };
    for (id, request, field, kept) in [
        ("DPOP-15", overridden, "x-http-method-override", 0),
        ("DPOP-35", of_bank, "dpop", 0),
        ("DPOP-35", unread, "dpop", 0),
        ("DPOP-35", wallet.good(), "dpop", 1),
    ] {
        assert_eq!(stage.as_bank(&request).status, 200, "{id} {}", request.target);
        let received = stage.upstream.take().remove(0);
        assert_eq!(received.values(field).len(), kept, "{id} {}", request.target);
        assert!(!received.headers.iter().any(|(_, value)| value == b"DELETE"), "{id}: {:?}", received.headers);
    }
}

/// The filter stands before the router, and so sees what the client has asked for.
fn uris_that_routes_rewrite(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let at = |path: &str, uri: &str| Request { target: path.to_owned(), ..wallet.claims("htu", json!(uri)) };
    assert_eq!(stage.anonymously(&at("/api/v1/x", "https://api.bank.example/api/v1/x")).status, 200, "DPOP-22");
    assert_eq!(stage.upstream.take()[0].path, "/api/x", "DPOP-22: it is rewritten");
    let mut cases = Vec::new();
    for (path, rewritten) in [("/api/old/x", "/api/new/x"), ("/api/v1/x", "/api/x")] {
        let inner = format!("https://inner.example{path}");
        cases.push(good("DPOP-22", path, at(path, &format!("{ORIGIN}{path}"))));
        cases.push(bad_proof("DPOP-22", rewritten, at(path, &format!("{ORIGIN}{rewritten}")), "proof.uri"));
        cases.push(bad_proof("DPOP-22", "the host behind", at(path, &inner), "proof.uri"));
    }
    cases
}

fn times_of_the_proof(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let mut cases = Vec::new();
    for iat in [
        json!(null),
        json!(now().to_string()),
        json!(now() as f64 + 0.5),
        json!(now() as f64),
        json!(-1),
        json!(true),
        json!([now()]),
        json!({}),
        json!(1_u64 << 63),
        json!(u64::MAX),
        json!(1e300),
    ] {
        cases.push(bad_proof("DPOP-23", format!("iat {iat}"), wallet.claims("iat", iat), "proof.claim"));
    }
    for (iat, reason) in [
        (json!(0), "proof.expired"),
        (json!(now() - 3600), "proof.expired"),
        (json!(now() - 100), "proof.expired"),
        (json!(now() + 100), "proof.not_yet_valid"),
        (json!(now() + 3600), "proof.not_yet_valid"),
        (json!(now() * 1000), "proof.not_yet_valid"),
        (json!((1_u64 << 53) - 1), "proof.not_yet_valid"),
    ] {
        cases.push(bad_proof("DPOP-23", format!("iat {iat}"), wallet.claims("iat", iat), reason));
    }
    for iat in [json!(now() - 10), json!(now() - 50), json!(now() + 5)] {
        cases.push(good("DPOP-23", format!("iat {iat}"), wallet.claims("iat", iat)));
    }
    // Whoever makes proofs may not say how long they last.
    let lasting = wallet.proof().claim("iat", json!(now() - 100)).claim("exp", json!(now() + 3600));
    cases.push(bad_proof("DPOP-23", "old, with exp", wallet.signs(&lasting), "proof.expired"));
    cases
}

/// What becomes of a request that is made, sent and answered within one second of this clock.
fn in_one_second(stage: &Stage, clock: &Clock, made: impl Fn(u64) -> Request) -> (u16, String) {
    loop {
        let second = clock.now();
        let status = stage.anonymously(&made(second)).status;
        if clock.now() == second {
            let lines = stage.envoy.settled_access_log();
            return (status, super::reason_of(lines.last().expect("a line")));
        }
    }
}

#[test]
fn proofs_and_nonces_last_to_the_second() {
    const DAY: i64 = 86_400;
    let clock = Clock::new();
    let (passes, expired, early) = ((200, "granted"), (401, "proof.expired"), (401, "proof.not_yet_valid"));
    let nonce_key = base64url(&[7; 32]);
    let stage = Stage::with(&document(), |options| options.clock(&clock).variable("NONCE_KEY", &nonce_key)).warm();
    let wallet = Wallet::new(&stage);
    for (offset, (status, reason)) in
        [(-61, expired), (-60, passes), (-59, passes), (0, passes), (9, passes), (10, passes), (11, early)]
    {
        let made = |second: u64| wallet.claims("iat", json!(second.checked_add_signed(offset)));
        assert_eq!(in_one_second(&stage, &clock, made), (status, reason.to_owned()), "DPOP-24: iat {offset} s");
    }
    stage.envoy.configure(&with_nonces(ORIGIN, "NONCE_KEY")).expect("a good configuration");
    let asked = stage.anonymously(&wallet.good());
    let [nonce] = asked.values("dpop-nonce").try_into().expect("one nonce");
    for (offset, (status, reason)) in
        [(-DAY - 1, expired), (-DAY, passes), (-70, passes), (70, passes), (DAY, passes), (DAY + 1, early)]
    {
        let made = |second: u64| {
            wallet.signs(
                &wallet.proof().claim("nonce", json!(nonce)).claim("iat", json!(second.checked_add_signed(offset))),
            )
        };
        let seen = in_one_second(&stage, &clock, made);
        assert_eq!(seen, (status, reason.to_owned()), "DPOP-24: iat {offset} s, beside a nonce");
    }
    // Octets 2 to 5 tell when it was issued.
    let octets = URL_SAFE_NO_PAD.decode(&nonce).expect("octets");
    let issued = octets[2..6].iter().fold(0, |issued, octet| issued << 8 | i64::from(*octet));
    let old = (401, "nonce.expired");
    for (age, (status, reason)) in
        [(299, passes), (300, passes), (301, old), (-10, passes), (-11, (401, "nonce.unknown"))]
    {
        let seen = in_one_second(&stage, &clock, |second| {
            // Each time anew: a second may have gone by.
            clock.set(issued + age - i64::try_from(now()).expect("a time"));
            let token = stage
                .token_with(json!({"cnf": {"jkt": wallet.key.thumbprint()}, "iat": second - 400, "exp": second + 400}));
            let proof = Proof::new(&wallet.key, "GET", URI).with(&token).claim("nonce", json!(nonce));
            dpop("/api/x", &token, proof.claim("iat", json!(second)).sign(&wallet.key))
        });
        assert_eq!(seen, (status, reason.to_owned()), "DPOP-24: a nonce of {age} s");
    }
}

fn proofs_that_were_shown_before(stage: &Stage) -> Vec<Case> {
    let (wallet, other) = (Wallet::new(stage), Wallet::new(stage));
    let with_jti = |wallet: &Wallet, jti: &str| wallet.proof().claim("jti", json!(jti));
    let shown = |wallet: &Wallet, jti: &str| wallet.signs(&with_jti(wallet, jti));
    let replayed = |name: &str, request: Request| bad_proof("DPOP-30", name, request, "proof.replayed");
    let mut cases = vec![
        good("DPOP-29", "the thief's own, first", shown(&other, "jti-1")),
        good("DPOP-29", "the victim's of the same jti", shown(&wallet, "jti-1")),
        bad_proof("DPOP-29", "the thief's again", shown(&other, "jti-1"), "proof.replayed"),
        bad_proof("DPOP-29", "the victim's again", shown(&wallet, "jti-1"), "proof.replayed"),
        // What is refused for anything else uses up nothing.
        bad_proof(
            "DPOP-29",
            "the victim's, signed by the thief",
            wallet.shows(with_jti(&wallet, "jti-2").sign(&other.key)),
            "proof.signature",
        ),
        bad_proof(
            "DPOP-29",
            "the victim's, with the thief's token",
            dpop("/api/x", &other.token, with_jti(&wallet, "jti-2").with(&other.token).sign(&wallet.key)),
            "binding.other_key",
        ),
        good("DPOP-29", "the victim's itself", shown(&wallet, "jti-2")),
    ];
    let as_post = |request: Request| Request { method: "POST".to_owned(), ..request }.body("");
    cases.push(good("DPOP-30", "first", shown(&wallet, "jti-3")));
    cases.push(replayed("the same", shown(&wallet, "jti-3")));
    let with = |claim: &str, value: Value| wallet.signs(&with_jti(&wallet, "jti-3").claim(claim, value));
    for uri in [
        "HTTPS://API.bank.EXAMPLE/api/x",
        "https://api.bank.example:443/api/x",
        "https://api.bank.example:/api/x",
        "https://api.bank.example/api/x?a=b",
        "https://api.bank.example/api/x#f",
        "https://api.bank.example/api/%78",
        "https://api.bank.example/a%70i/%78",
        "https://api.bank.example/api/./x",
        "https://api.bank.example/b/../api/x",
        "https://api.bank.example/%2E./api/x",
    ] {
        cases.push(replayed(uri, with("htu", json!(uri))));
    }
    for (claim, value) in [("iat", json!(now() - 1)), ("nonce", json!("x")), ("x", json!(1)), ("jti", json!("jti-3"))] {
        cases.push(replayed(claim, with(claim, value)));
    }
    cases.push(replayed("as POST", as_post(with("htm", json!("POST")))));
    cases.push(replayed("with a query", Request { target: "/api/x?a=b".into(), ..shown(&wallet, "jti-3") }));
    cases.push(replayed("an escaped path", Request { target: "/api/%78".into(), ..shown(&wallet, "jti-3") }));
    cases.push(replayed(
        "the jti escaped",
        wallet.rewritten(|header, claims| {
            let jti =
                claims.split(r#""jti":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a jti").to_owned();
            (header, claims.replacen(&jti, r"\u006ati-3", 1))
        }),
    ));
    let blanks = wallet.rewritten(|header, claims| {
        let jti = claims.split(r#""jti":""#).nth(1).and_then(|rest| rest.split('"').next()).expect("a jti").to_owned();
        (header.replace(':', " : "), claims.replacen(&jti, "jti-3", 1).replace(',', " ,\t"))
    });
    cases.push(replayed("in another spelling", blanks));
    let renewed = stage.token_with(json!({"jti": "2", "cnf": {"jkt": wallet.key.thumbprint()}}));
    let of_renewed = with_jti(&wallet, "jti-3").with(&renewed).sign(&wallet.key);
    cases.push(replayed("with another token of the key", dpop("/api/x", &renewed, of_renewed)));
    // In the context of its URI, a jti is another (RFC 9449 §11.1).
    let elsewhere = with("htu", json!("https://api.bank.example/api/y"));
    cases.push(good("DPOP-30", "at another URI", Request { target: "/api/y".into(), ..elsewhere }));
    cases.push(good("DPOP-30", "in capitals", shown(&wallet, "JTI-3")));
    cases.push(good("DPOP-30", "a NUL behind it", shown(&wallet, "jti-3\0")));
    cases.push(good("DPOP-30", "256 octets", shown(&wallet, &"j".repeat(256))));
    for jti in [json!(null), json!(""), json!(5), json!(["jti"]), json!("j".repeat(257)), json!("\u{e9}".repeat(129))] {
        cases.push(bad_proof("DPOP-30", jti.to_string(), wallet.claims("jti", jti), "proof.claim"));
    }
    cases
}

#[test]
fn a_memory_that_is_full_refuses_and_does_not_grow() {
    const PLACES: usize = 256;
    let stage = Stage::set(&document()).warm();
    for replay in ["worker", "process"] {
        let mut document = document();
        document["limits"] = json!({"proofs": PLACES});
        document["dpop"]["replay"] = json!(replay);
        stage.envoy.configure(&document).expect("a good configuration");
        let wallets: Vec<Wallet> = (0..24).map(|_| Wallet::new(&stage)).collect();
        let client = stage.envoy.anonymous();
        let mut connection = client.open().expect("a connection");
        let mut send = |wallet: &Wallet| connection.send(&wallet.good()).expect("an answer").status;
        // 16 for each key are 384, where there is room for 256.
        let passed = (0..16).flat_map(|_| &wallets).filter(|wallet| send(wallet) == 200).count();
        assert_eq!(passed, PLACES, "DPOP-31 {replay}");
        let before = stage.envoy.memory();
        let flooded = (0..40).flat_map(|_| &wallets).filter(|wallet| send(wallet) != 503).count();
        assert_eq!(flooded, 0, "DPOP-31 {replay}: nothing is forgotten for what comes");
        let lines = stage.envoy.settled_access_log();
        let reasons: Vec<String> = lines[lines.len() - 960..].iter().map(|line| super::reason_of(line)).collect();
        assert!(reasons.iter().all(|reason| reason.starts_with("replay.full")), "DPOP-31 {replay}: {reasons:?}");
        let growth = stage.envoy.memory().saturating_sub(before);
        assert!(growth < 8 << 10, "DPOP-31 {replay}: {growth} KiB");
        let newcomer = stage.anonymously(&Wallet::new(&stage).good());
        assert_eq!((newcomer.status, newcomer.values("retry-after")), (503, vec!["1".to_owned()]), "DPOP-31");
        // The good twin: whoever comes without a proof.
        stage.assert_alive();
    }
}

/// DPOP-30: what a worker remembers ends with its configuration, what the process remembers does not.
#[test]
fn a_new_configuration_forgets_what_workers_remember_alone() {
    let stage = Stage::set(&document()).warm();
    let wallet = Wallet::new(&stage);
    for (replay, status) in [("process", 401), ("worker", 200)] {
        let mut document = document();
        document["dpop"]["replay"] = json!(replay);
        stage.envoy.configure(&document).expect("a good configuration");
        let shown = wallet.good();
        assert_eq!(stage.anonymously(&shown).status, 200, "DPOP-30 {replay}");
        assert_eq!(stage.anonymously(&shown).status, 401, "DPOP-30 {replay}");
        document["challenge"] = json!({"realm": "another"});
        stage.envoy.configure(&document).expect("a good configuration");
        assert_eq!(stage.anonymously(&shown).status, status, "DPOP-30 {replay}");
        assert_eq!(stage.anonymously(&shown).status, 401, "DPOP-30 {replay}");
    }
}

#[test]
fn nonces_that_were_not_issued_here() {
    let [own_key, other_key] = [1, 2].map(|octet| base64url(&[octet; 32]));
    let change = |options: Options| options.variable("OWN_KEY", &own_key).variable("OTHER_KEY", &other_key);
    let stage = Stage::with(&with_nonces("https://other.bank.example", "OWN_KEY"), change).warm();
    let wallet = Wallet::new(&stage);
    let issued = || {
        let [nonce] = stage.anonymously(&wallet.good()).values("dpop-nonce").try_into().expect("one nonce");
        nonce
    };
    let start = |key: &str| stage.envoy.configure(&with_nonces(ORIGIN, key)).expect("a good configuration");
    let elsewhere: String = issued();
    start("OTHER_KEY");
    let of_another_key: String = issued();
    start("OWN_KEY");
    let nonce: String = issued();
    let octets = URL_SAFE_NO_PAD.decode(&nonce).expect("octets");
    let with = |nonce: Value| wallet.claims("nonce", nonce);
    let unknown = |name: &str, nonce: Value| bad_proof("DPOP-32", name, with(nonce), "nonce.unknown");
    let mut cases = vec![
        bad_proof("DPOP-32", "missing", wallet.good(), "nonce.missing"),
        bad_proof(
            "DPOP-32",
            "missing, null",
            wallet.rewritten(|header, claims| (header, claims.replacen('{', r#"{"nonce":null,"#, 1))),
            "nonce.unknown",
        ),
        unknown("empty", json!("")),
        unknown("a number", json!(5)),
        unknown("in a list", json!([nonce])),
        unknown("rubbish", json!("rubbish")),
        unknown("zeros", json!(base64url(&[0; 22]))),
        unknown("with padding", json!(format!("{nonce}="))),
        unknown("a blank before it", json!(format!(" {nonce}"))),
        unknown("cut off", json!(&nonce[..nonce.len() - 1])),
        unknown("its MAC cut off", json!(base64url(&octets[..6]))),
        unknown("half of its MAC", json!(base64url(&octets[..14]))),
        unknown("more than it", json!(format!("{nonce}AAAA"))),
        unknown("twice", json!(format!("{nonce}{nonce}"))),
        unknown("of another host with our key", json!(elsewhere)),
        unknown("of another key", json!(of_another_key)),
        unknown("of the authorization server", json!("eyJ7S_zG.eyJH0-Z.HX4w-7v")),
    ];
    for at in 0..octets.len() {
        let mut flipped = octets.clone();
        flipped[at] ^= 1 << (at % 8);
        cases.push(unknown(&format!("octet {at} flipped"), json!(base64url(&flipped))));
    }
    cases.push(bad_proof(
        "DPOP-32",
        "in the header",
        wallet.signs(&wallet.proof().header("nonce", json!(nonce))),
        "nonce.missing",
    ));
    cases.push(bad_proof("DPOP-32", "in a field", wallet.good().field("dpop-nonce", &nonce), "nonce.missing"));
    // It may serve again, with another proof (RFC 9449 §8); the same proof does not.
    let shown = with(json!(nonce));
    cases.push(good("DPOP-32", "issued here", shown.clone()));
    cases.push(good("DPOP-32", "once more, by another proof", with(json!(nonce))));
    cases.push(good("DPOP-32", "by another caller", Wallet::new(&stage).claims("nonce", json!(nonce))));
    cases.push(bad_proof("DPOP-32", "once more, by the same proof", shown, "proof.replayed"));
    run(&stage, cases);
    // Whatever is told beside a nonce is for nobody else (RFC 9449 §8.2).
    let told = |request: &Request| {
        let answer = stage.anonymously(request);
        let nonces = answer.values("dpop-nonce");
        assert!(nonces.iter().all(|nonce| nonce.len() == 30), "DPOP-33: {nonces:?}");
        (answer.status, nonces.len(), answer.values("cache-control"))
    };
    let no_store = vec!["no-store".to_owned()];
    let fresh = || wallet.proof().claim("nonce", json!(nonce));
    let other = SigningKey::new(Algorithm::Es256, "other");
    let of_other = Proof::new(&other, "GET", URI).with(&wallet.token).claim("nonce", json!(nonce)).sign(&other);
    for (name, request, told_nonces) in [
        ("none", wallet.good(), 1),
        ("unknown", with(json!("x")), 1),
        ("a bad proof", wallet.signs(&fresh().claim("htm", json!("POST"))), 1),
        ("no proof", wallet.without_proof(), 1),
        ("as bearer", api(&wallet.token), 0),
        ("no token", Request::get("/api/x"), 0),
        ("the proof of another key", dpop("/api/x", &wallet.token, of_other), 0),
    ] {
        assert_eq!(told(&request), (401, told_nonces, no_store.clone()), "DPOP-33 {name}");
    }
    let good = told(&wallet.signs(&fresh()));
    assert_eq!(good, (200, 0, Vec::<String>::new()), "DPOP-33: what tells no nonce may be kept");
}

fn schemes_and_bindings_that_do_not_fit(stage: &Stage) -> Vec<Case> {
    let wallet = Wallet::new(stage);
    let [unbound, certificate, both] = [
        json!(null),
        json!({"x5t#S256": stage.bank.x5t_s256()}),
        json!({"x5t#S256": stage.bank.x5t_s256(), "jkt": wallet.key.thumbprint()}),
    ]
    .map(|cnf| stage.token_with(json!({"cnf": cnf})));
    let at = |path: &str, token: &str| {
        let proof = Proof::new(&wallet.key, "GET", &format!("{ORIGIN}{path}")).with(token);
        dpop(path, token, proof.sign(&wallet.key))
    };
    let bearer = |path: &str, token: &str| Request::get(path).bearer(token);
    let own = &wallet.token;
    let mut cases = vec![
        bad_proof("DPOP-35", "unbound", at("/api/x", &unbound), "binding.unbound"),
        bad_proof("DPOP-35", "unbound, where keys are wanted", at("/keys", &unbound), "binding.unbound"),
        bad_proof(
            "DPOP-35",
            "unbound, where certificates are wanted",
            at("/certificates", &unbound),
            "binding.unbound",
        ),
        bad_proof("DPOP-35", "unbound, where that passes", at("/unbound", &unbound), "binding.no_key"),
        bad_proof("DPOP-35", "bound to the certificate", at("/api/x", &certificate), "binding.no_key"),
        bad_proof("DPOP-35", "the same, where unbound ones pass", at("/unbound", &certificate), "binding.no_key"),
        bad_proof(
            "DPOP-35",
            "the same, where certificates are wanted",
            at("/certificates", &certificate),
            "binding.no_key",
        ),
        bad_proof("DPOP-35", "the same, where keys are wanted", at("/keys", &certificate), "binding.unbound"),
        bad_proof(
            "DPOP-35",
            "bound to the key, where certificates are wanted",
            at("/certificates", own),
            "binding.unbound",
        ),
        bad_proof("DPOP-35", "bound to both, as bearer", bearer("/api/x", &both), "binding.bearer_downgrade"),
        bad_proof("DPOP-35", "bound to both, by a thief", at("/api/x", &both), "binding.other_certificate")
            .by(Sender::Thief),
        bad_proof("DPOP-35", "bound to both, by nobody", at("/api/x", &both), "binding.no_certificate")
            .by(Sender::Nobody),
        bad_proof("DPOP-35", "as bearer", bearer("/api/x", own), "binding.bearer_downgrade"),
        bad_proof(
            "DPOP-35",
            "as bearer with its proof",
            bearer("/api/x", own).field("dpop", wallet.proof().sign(&wallet.key)),
            "binding.bearer_downgrade",
        ),
        bad_proof("DPOP-35", "as bearer, where unbound ones pass", bearer("/unbound", own), "binding.bearer_downgrade"),
        bad("DPOP-35", "two schemes", at("/api/x", own).bearer(own), 400, "credential.several_tokens"),
        bad(
            "DPOP-35",
            "two tokens",
            wallet.good().field("authorization", format!("DPoP {own}")),
            400,
            "credential.several_tokens",
        ),
        bad("DPOP-35", "a scheme alone", dpop("/api/x", "", "a.b.c"), 400, "credential.no_token"),
        bad(
            "DPOP-35",
            "two words",
            dpop("/api/x", &format!("{own} {own}"), wallet.proof().sign(&wallet.key)),
            401,
            "credential.malformed",
        ),
        bad(
            "DPOP-35",
            "in the query",
            Request { target: format!("/api/x?access_token={own}"), ..wallet.good() },
            400,
            "credential.several_tokens",
        ),
        bad(
            "DPOP-35",
            "another scheme",
            Request::get("/api/x").field("authorization", format!("DPoP+{own}")).field("dpop", "x"),
            401,
            "credential.other_scheme",
        ),
        bad("DPOP-35", "a token in the place of the proof", dpop("/api/x", own, own), 401, "proof.type"),
        bad(
            "DPOP-35",
            "a proof alone",
            Request::get("/api/x").field("dpop", wallet.proof().sign(&wallet.key)),
            401,
            "credential.missing",
        ),
        bad(
            "DPOP-35",
            "where nobody reads tokens",
            Request { target: "/named".into(), ..wallet.good() },
            403,
            "policy.no_rule",
        ),
        good("DPOP-35", "bound to the key", at("/api/x", own)),
        good("DPOP-35", "bound to the key, by a thief", at("/api/x", own)).by(Sender::Thief),
        good("DPOP-35", "bound to the key, by nobody", at("/keys", own)).by(Sender::Nobody),
        good("DPOP-35", "bound to both", at("/api/x", &both)),
        good("DPOP-35", "bound to both, where certificates are wanted", at("/certificates", &both)),
        good("DPOP-35", "bound to the certificate, as bearer", bearer("/certificates", &certificate)),
        good("DPOP-35", "the same with a proof beside it", bearer("/certificates", &certificate).field("dpop", "x")),
        good("DPOP-35", "unbound, where that passes", bearer("/unbound", &unbound).field("dpop", "x")),
    ];
    for ath in [json!(null), json!(5), json!([])] {
        cases.push(bad_proof("DPOP-35", format!("ath {ath}"), wallet.claims("ath", ath), "proof.claim"));
    }
    let digest = |octets: &[u8]| base64url(&Sha256::digest(octets));
    for ath in [
        String::new(),
        digest(b""),
        digest(unbound.as_bytes()),
        digest(format!("DPoP {own}").as_bytes()),
        format!("{}=", digest(own.as_bytes())),
        digest(own.as_bytes())[..42].to_owned(),
        Sha256::digest(own).iter().map(|octet| format!("{octet:02x}")).collect(),
    ] {
        cases.push(bad_proof("DPOP-35", format!("ath {ath}"), wallet.claims("ath", json!(ath)), "proof.ath"));
    }
    cases
}

/// DPOP-38: what opens a WebSocket is a GET, over HTTP/2 too, where it is a CONNECT on the wire (RFC 8441): so Envoy tells it, and so
/// the route has it.
fn upgrades_are_proven_as_get(stage: &Stage) {
    let wallet = Wallet::new(stage);
    let upgrade = |request: Request| {
        request
            .field("connection", "Upgrade")
            .field("upgrade", "websocket")
            .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .field("sec-websocket-version", "13")
    };
    let status = |request: &Request| stage.anonymously(request).status;
    assert_eq!(status(&upgrade(wallet.claims("htm", json!("CONNECT")))), 401, "DPOP-38");
    assert_eq!(status(&upgrade(wallet.without_proof())), 401, "DPOP-38");
    assert_eq!(status(&upgrade(wallet.claims("htu", json!("wss://api.bank.example/api/x")))), 401, "DPOP-38");
    assert_eq!(stage.reached(), 0);
    let opened = |request: &Request| {
        let mut connection = stage.envoy.anonymous().open().expect("a connection");
        connection.begin(request).expect("sent");
        connection.read_octets(12).expect("an answer")
    };
    let shown = upgrade(wallet.good());
    assert_eq!(opened(&shown), b"HTTP/1.1 101", "DPOP-38");
    assert_eq!(opened(&shown), b"HTTP/1.1 401", "DPOP-38: shown before");
    // Envoy would hand both on, and a proxy behind take the proof away.
    let mut named = upgrade(wallet.good());
    named.fields.iter_mut().filter(|(name, _)| name == "connection").for_each(|(_, value)| value.extend(b", dpop"));
    assert_eq!(opened(&named), b"HTTP/1.1 400", "DPOP-38: a proof that Connection names");
    assert_eq!(stage.reached(), 1);
    let over_http_2 = |request: Request| {
        let request = Request { method: "CONNECT".to_owned(), ..request }.field(":protocol", "websocket");
        let mut stream = stage.envoy.anonymous().open_http2().expect("a connection").call(&request).expect("a stream");
        stream.status().expect("an answer")
    };
    assert_eq!(over_http_2(wallet.good()), 200, "DPOP-38: {}", stage.envoy.log());
    assert_eq!(over_http_2(wallet.claims("htm", json!("CONNECT"))), 401, "DPOP-38");
    assert_eq!(over_http_2(wallet.without_proof()), 401, "DPOP-38");
    assert_eq!(stage.reached(), 1);
    for target in ["api.bank.example:443", "/api/x"] {
        let proof = wallet.proof().claim("htm", json!("CONNECT")).sign(&wallet.key);
        let octets = format!(
            "CONNECT {target} HTTP/1.1\r\nhost: localhost\r\nauthorization: DPoP {}\r\ndpop: {proof}\r\n\r\n",
            wallet.token
        );
        let status = send_raw(stage, octets.as_bytes()).map_or(0, |answer| answer.status);
        assert!(matches!(status, 400 | 403 | 404), "DPOP-38: CONNECT {target}: {status}");
        assert_eq!(stage.reached(), 0, "DPOP-38: CONNECT {target}");
    }
}
