//! What a JWT must be (checklist §§2–3): each bad token is refused for its own reason, its good twin beside it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::Certificate;
use serde_json::{Value, json};

use super::world::{Key, NOW, PASSES, World, bank, certificate, claims, get, token};

/// One route for every good token of `bank`.
fn world() -> World {
    World::new(json!({"issuers": [bank()], "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]}))
}

fn legacy_world() -> World {
    let mut issuer = bank();
    issuer["profile"] = json!("legacy");
    World::new(json!({"issuers": [issuer], "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]}))
}

type Verdict = (u16, &'static str);

fn refused(reason: &'static str) -> Verdict {
    (401, reason)
}

fn verdict(world: &mut World, token: &str, certificate: &Certificate) -> Verdict {
    world.verdict(&get("/").bearer(token).certificate(certificate))
}

/// Headers that differ from a good one in these members; null takes one out.
fn with_header(changes: Value, claims: &Value) -> String {
    let mut header = json!({"alg": "ES256", "typ": "at+jwt", "kid": "k1"});
    for (name, value) in changes.as_object().unwrap() {
        header[name] = value.clone();
    }
    let header: serde_json::Map<String, Value> =
        header.as_object().unwrap().clone().into_iter().filter(|(_, value)| *value != json!("<absent>")).collect();
    Key::named("k1").sign(&Value::from(header).to_string(), &claims.to_string())
}

#[test]
fn headers() {
    let ours = certificate();
    let good = claims(&ours, json!({}));
    let table = [
        (json!({}), PASSES),
        (json!({"typ": "application/at+jwt"}), PASSES),
        (json!({"typ": "AT+JWT"}), PASSES),
        (json!({"kid": "<absent>"}), PASSES),
        (json!({"x": "not understood, not critical"}), PASSES),
        (json!({"alg": "none"}), refused("token.algorithm")),
        (json!({"alg": "nOnE"}), refused("token.algorithm")),
        (json!({"alg": "es256"}), refused("token.algorithm")),
        (json!({"alg": "HS256"}), refused("token.algorithm")),
        (json!({"alg": "RS256"}), refused("token.algorithm")),
        (json!({"alg": "PS256"}), refused("token.key")),
        (json!({"alg": "<absent>"}), refused("token.malformed")),
        (json!({"alg": null}), refused("token.malformed")),
        (json!({"alg": 5}), refused("token.malformed")),
        (json!({"alg": ["ES256"]}), refused("token.malformed")),
        (json!({"alg": ""}), refused("token.malformed")),
        (json!({"typ": "<absent>"}), refused("token.type")),
        (json!({"typ": "JWT"}), refused("token.type")),
        (json!({"typ": "dpop+jwt"}), refused("token.type")),
        (json!({"typ": "logout+jwt"}), refused("token.type")),
        (json!({"typ": "token-introspection+jwt"}), refused("token.type")),
        (json!({"typ": "client-authentication+jwt"}), refused("token.type")),
        (json!({"typ": 5}), refused("token.malformed")),
        (json!({"cty": "JWT"}), refused("token.type")),
        (json!({"crit": ["exp"]}), refused("token.critical_header")),
        (json!({"crit": []}), refused("token.critical_header")),
        (json!({"b64": false}), refused("token.critical_header")),
        (json!({"b64": false, "crit": ["b64"]}), refused("token.critical_header")),
        (json!({"kid": "unknown"}), refused("token.key")),
        (json!({"kid": "k".repeat(257)}), refused("token.malformed")),
        (json!({"kid": 1}), refused("token.malformed")),
        (json!({"jwk": Key::named("thief").jwk(), "kid": "thief"}), refused("token.key")),
        (json!({"jku": "https://evil.example/jwks", "kid": "thief"}), refused("token.key")),
        (json!({"pad": "x".repeat(3000)}), refused("token.malformed")),
    ];
    for (changes, expected) in table {
        assert_eq!(verdict(&mut world(), &with_header(changes.clone(), &good), &ours), expected, "{changes}");
    }
}

/// So many who act one for another.
fn actors(count: usize) -> Value {
    (1..count).fold(json!({"sub": "tool"}), |before, _| json!({"sub": "tool", "act": before}))
}

fn numbered(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn a_token_has_256_roles_at_most() {
    let mut issuer = bank();
    issuer["roles"] = json!({"at": ["/roles", "/more"]});
    let mut world =
        World::new(json!({"issuers": [issuer], "routes": [{"name": "all", "path": "/**", "allow": [{"role": "1"}]}]}));
    let ours = certificate();
    for (roles, more, expected) in
        [(255, 1, PASSES), (255, 2, refused("token.claim")), (258, 0, refused("token.claim"))]
    {
        let told = json!({"roles": numbered(roles), "more": numbered(more)});
        assert_eq!(verdict(&mut world, &token(&ours, told), &ours), expected, "{roles} {more}");
    }
}

#[test]
fn claims_of_rfc_9068() {
    let (mut world, ours) = (world(), certificate());
    let table = [
        (json!({}), PASSES),
        (json!({"aud": ["https://other.example", "https://api.bank.example"]}), PASSES),
        (json!({"iss": null}), refused("token.issuer")),
        (json!({"iss": "https://login.bank.example/"}), refused("token.issuer")),
        (json!({"iss": "https://LOGIN.bank.example"}), refused("token.issuer")),
        (json!({"iss": ["https://login.bank.example"]}), refused("token.issuer")),
        (json!({"iss": "https://evil.example"}), refused("token.issuer")),
        (json!({"aud": null}), refused("token.claim_missing")),
        (json!({"aud": []}), refused("token.claim_missing")),
        (json!({"aud": ""}), refused("token.audience")),
        (json!({"aud": 5}), refused("token.claim")),
        (json!({"aud": [5]}), refused("token.claim")),
        (json!({"aud": {}}), refused("token.claim")),
        (json!({"aud": "https://api.bank.example/"}), refused("token.audience")),
        (json!({"aud": "https://api.bank.exampl"}), refused("token.audience")),
        (json!({"aud": "https://API.bank.example"}), refused("token.audience")),
        (json!({"sub": null}), refused("token.claim_missing")),
        (json!({"sub": ""}), refused("token.claim")),
        (json!({"sub": 5}), refused("token.claim")),
        (json!({"sub": "s".repeat(256)}), PASSES),
        (json!({"sub": "s".repeat(257)}), refused("token.claim")),
        (json!({"sub": "%".repeat(85)}), PASSES),
        (json!({"sub": "%".repeat(86)}), refused("token.claim")),
        (json!({"sub": "é".repeat(43)}), refused("token.claim")),
        (json!({"client_id": null}), refused("token.claim_missing")),
        (json!({"client_id": ["n26"]}), refused("token.claim")),
        (json!({"jti": null}), refused("token.claim_missing")),
        (json!({"jti": 5}), refused("token.claim")),
        (json!({"iat": null}), refused("token.claim_missing")),
        (json!({"exp": null}), refused("token.claim_missing")),
        (json!({"roles": [1]}), PASSES),
        (json!({"scope": numbered(256).join(" ")}), PASSES),
        (json!({"scope": numbered(257).join(" ")}), refused("token.claim")),
        (json!({"scope": numbered(258).join(" ")}), refused("token.claim")),
        (json!({"auth_time": NOW - 5, "acr": "gold"}), PASSES),
        (json!({"auth_time": "1800000000"}), refused("token.claim")),
        (json!({"auth_time": -1}), refused("token.claim")),
        (json!({"auth_time": 1.5}), refused("token.claim")),
        (json!({"acr": 5}), PASSES),
        (json!({"act": {"sub": "tool"}}), (403, "policy.no_rule")),
        (json!({"act": {"client_id": "tool"}}), (403, "policy.no_rule")),
        (json!({"act": {"sub": "a", "act": {"sub": "b"}}}), (403, "policy.no_rule")),
        (json!({"act": actors(8)}), (403, "policy.no_rule")),
        (json!({"act": actors(9)}), refused("token.claim")),
        (json!({"act": {}}), refused("token.claim")),
        (json!({"act": []}), refused("token.claim")),
        (json!({"act": "tool"}), refused("token.claim")),
        (json!({"act": {"sub": ""}}), refused("token.claim")),
        (json!({"act": {"sub": "a", "act": {"name": "b"}}}), refused("token.claim")),
        (json!({"cnf": null}), refused("binding.unbound")),
        (json!({"cnf": {}}), refused("token.confirmation")),
        (json!({"cnf": {"kid": "a"}}), refused("token.confirmation")),
        (json!({"cnf": {"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}), refused("binding.bearer_downgrade")),
        (
            json!({"cnf": {"x5t#S256": ours.x5t_s256(), "jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}),
            refused("binding.bearer_downgrade"),
        ),
        (json!({"cnf": {"x5t#S256": ours.x5t_s256(), "foo": 1}}), PASSES),
        (json!({"cnf": {"x5t#S256": format!("{}=", ours.x5t_s256())}}), refused("token.confirmation")),
        (json!({"cnf": {"x5t#S256": ours.digest_hex()}}), refused("token.confirmation")),
    ];
    for (others, expected) in table {
        assert_eq!(verdict(&mut world, &token(&ours, others.clone()), &ours), expected, "{others}");
    }
}

#[test]
fn dates_count_to_the_second() {
    let ours = certificate();
    let table = [
        (json!({"exp": NOW - 29, "iat": NOW - 60}), PASSES),
        (json!({"exp": NOW - 30, "iat": NOW - 60}), refused("token.expired")),
        (json!({"exp": NOW as f64 - 29.5, "iat": NOW - 60}), refused("token.expired")),
        (json!({"exp": NOW as f64 - 28.5, "iat": NOW - 60}), PASSES),
        (json!({"nbf": NOW + 30}), PASSES),
        (json!({"nbf": NOW + 31}), refused("token.not_yet_valid")),
        (json!({"iat": NOW + 10}), PASSES),
        (json!({"iat": NOW + 11}), refused("token.not_yet_valid")),
        (json!({"iat": NOW, "exp": NOW + 86_400}), PASSES),
        (json!({"iat": NOW, "exp": NOW + 86_401}), refused("token.lifetime")),
        (json!({"exp": 0}), refused("token.expired")),
        (json!({"exp": -1}), refused("token.claim")),
        (json!({"exp": 1_u64 << 31}), refused("token.lifetime")),
        (json!({"exp": 1_u64 << 53}), refused("token.claim")),
        (json!({"exp": 1_u64 << 63}), refused("token.claim")),
        (json!({"exp": u64::MAX}), refused("token.claim")),
        (json!({"exp": 1e308}), refused("token.claim")),
        (json!({"exp": NOW.to_string()}), refused("token.claim")),
        (json!({"exp": true}), refused("token.claim")),
        (json!({"exp": [NOW + 60]}), refused("token.claim")),
        (json!({"exp": {}}), refused("token.claim")),
        (json!({"nbf": "soon"}), refused("token.claim")),
        (json!({"iat": "now"}), refused("token.claim")),
    ];
    for (others, expected) in table {
        assert_eq!(verdict(&mut world(), &token(&ours, others.clone()), &ours), expected, "{others}");
    }
}

#[test]
fn octets_that_are_no_strict_jwt_never_reach_introspection() {
    let mut issuer = bank();
    issuer["introspection"] =
        json!({"cluster": "login", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    let routes = json!([{"name": "all", "path": "/**", "allow": "authenticated"}]);
    let mut world = World::with_environment(json!({"issuers": [issuer], "routes": routes}), &[("SECRET", "s")]);
    let ours = certificate();
    let good = token(&ours, json!({}));
    let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
    let raw = |header: &str, payload: &str| Key::named("k1").sign(header, payload);
    let plain = r#"{"alg":"ES256","typ":"at+jwt","kid":"k1"}"#;
    let body = claims(&ours, json!({})).to_string();
    let twice = |member: &str| format!("{{{member},{}", body.strip_prefix('{').unwrap());
    let table = [
        (good.clone(), PASSES),
        (format!("{header}=.{payload}.{signature}"), refused("credential.malformed")),
        (format!("{header}.{payload}=.{signature}"), refused("credential.malformed")),
        (format!("{header}.{payload}.{signature}="), refused("token.malformed")),
        (format!("{header}.{payload}."), refused("token.malformed")),
        (format!("{header}..{signature}"), refused("token.malformed")),
        (format!("{header}.{payload}.{}", stray_bits(signature)), refused("token.malformed")),
        (raw(r#"{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"k1"}"#, &body), refused("token.malformed")),
        (raw(plain, &twice(r#""exp":1"#)), refused("token.malformed")),
        (raw(plain, &twice(r#""\u0061ud":"x""#)), refused("token.malformed")),
        (raw(plain, &twice(r#""cnf":{"x5t#S256":"a","x5t#S256":"b"}"#)), refused("token.malformed")),
        (raw(plain, &format!("[{body}]")), refused("token.malformed")),
        (raw(plain, &format!("\u{feff}{body}")), refused("token.malformed")),
        (raw(plain, &twice(r#""x":"\ud800""#)), refused("token.malformed")),
        (raw(plain, &twice(r#""x":01"#)), refused("token.malformed")),
        (raw(plain, &twice(r#""x":1e400"#)), refused("token.malformed")),
        (raw(plain, &twice(&format!("\"x\":{}{}", "[".repeat(17), "]".repeat(17)))), refused("token.malformed")),
        (format!("{header}.{payload}.{signature}.a.b"), refused("token.format")),
    ];
    for (token, expected) in table {
        assert_eq!(verdict(&mut world, &token, &ours), expected, "{token:.60}");
    }
    assert_eq!(world.asked, ["login/jwks"]);
}

/// The same octets with a set bit behind them, which no encoder writes.
fn stray_bits(text: &str) -> String {
    let (rest, last) = text.split_at(text.len() - 1);
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = alphabet.find(last).unwrap();
    format!("{rest}{}", &alphabet[at + 1..at + 2])
}

#[test]
fn signatures() {
    let (mut world, ours) = (world(), certificate());
    let good = token(&ours, json!({}));
    let (input, signature) = good.rsplit_once('.').unwrap();
    let octets = URL_SAFE_NO_PAD.decode(signature).unwrap();
    let with = |octets: &[u8]| format!("{input}.{}", URL_SAFE_NO_PAD.encode(octets));
    let mut flipped = octets.clone();
    flipped[40] ^= 1;
    let der = p256::ecdsa::Signature::from_slice(&octets).unwrap().to_der();
    let table = [
        ("as signed", good.clone(), PASSES),
        ("a bit flipped", with(&flipped), refused("token.signature")),
        ("63 octets", with(&octets[..63]), refused("token.signature")),
        ("65 octets", with(&[&octets[..], &[0]].concat()), refused("token.signature")),
        ("r = s = 0", with(&[0; 64]), refused("token.signature")),
        ("r, s beyond the order", with(&[0xff; 64]), refused("token.signature")),
        ("DER", with(der.as_bytes()), refused("token.signature")),
        ("of another key", Key::with_secret("k1", "thief").jwt(&claims(&ours, json!({}))), refused("token.signature")),
    ];
    for (name, token, expected) in table {
        assert_eq!(verdict(&mut world, &token, &ours), expected, "{name}");
    }
}

#[test]
fn a_legacy_issuer_is_told_from_its_id_tokens() {
    let (mut world, ours) = (legacy_world(), certificate());
    let typed = |typ: Value, others: Value| with_header(json!({"typ": typ}), &claims(&ours, others));
    let table = [
        (typed(json!("JWT"), json!({})), PASSES),
        (typed(json!("<absent>"), json!({"jti": null, "sub": null})), PASSES),
        (typed(json!("at+jwt"), json!({})), refused("token.type")),
        (typed(json!("JWT"), json!({"nonce": "n"})), refused("token.type")),
        (typed(json!("JWT"), json!({"at_hash": "h"})), refused("token.type")),
        (typed(json!("JWT"), json!({"aud": "n26"})), refused("token.type")),
        (typed(json!("JWT"), json!({"aud": null})), refused("token.audience")),
    ];
    for (token, expected) in table {
        assert_eq!(verdict(&mut world, &token, &ours), expected);
    }
}

#[test]
fn the_examples_of_the_rfcs_are_no_access_tokens_here() {
    let (mut world, ours) = (world(), certificate());
    let table = [
        // RFC 7515 A.3 and A.5, RFC 8037 A.4, RFC 9449 figure 8.
        (
            "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            refused("token.issuer"),
        ),
        (
            "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.",
            refused("token.malformed"),
        ),
        (
            "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            refused("token.malformed"),
        ),
        (
            "eyJhbGciOiJFUzI1NiIsImtpZCI6IkJlQUxrYiJ9.eyJzdWIiOiJzb21lb25lQGV4YW1wbGUuY29tIiwiaXNzIjoiaHR0cHM6Ly9zZXJ2ZXIuZXhhbXBsZS5jb20iLCJuYmYiOjE1NjIyNjI2MTEsImV4cCI6MTU2MjI2NjIxNiwiY25mIjp7ImprdCI6IjBaY09DT1JaTll5LURXcHFxMzBqWnlKR0hUTjBkMkhnbEJWM3VpZ3VBNEkifX0.3Tyo8VTcn6u_PboUmAOYUY1kfAavomW_YwYMkmRNizLJoQzWy2fCo79Zi5yObpIzjWb5xW4OGld7ESZrh0fsrA",
            refused("token.issuer"),
        ),
        // RFC 6750 and RFC 9449 opaque ones, where nobody can be asked.
        ("mF_9.B5f-4.1JqM", refused("token.format")),
        ("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU", refused("token.format")),
    ];
    for (token, expected) in table {
        assert_eq!(verdict(&mut world, token, &ours), expected, "{token:.40}");
    }
}

#[test]
fn a_key_serves_one_algorithm() {
    let mut issuer = bank();
    issuer["algorithms"] = json!(["PS256", "RS256"]);
    let routes = json!([{"name": "all", "path": "/**", "allow": "authenticated"}]);
    let ours = certificate();
    let sign = |algorithm: harness::Algorithm| harness::SigningKey::new(algorithm, "k1");
    let named = sign(harness::Algorithm::Rs256).jwk();
    let mut nameless = named.clone();
    nameless.as_object_mut().unwrap().remove("alg");
    for (jwk, algorithm, expected) in [
        (&nameless, harness::Algorithm::Ps256, PASSES),
        (&nameless, harness::Algorithm::Rs256, refused("token.key")),
        (&named, harness::Algorithm::Rs256, PASSES),
        (&named, harness::Algorithm::Ps256, refused("token.key")),
    ] {
        let mut world = World::new(json!({"issuers": [issuer], "routes": routes}));
        world.keys.insert("login".into(), super::world::ok(json!({"keys": [jwk]})));
        let token = sign(algorithm).mint(json!({}), &claims(&ours, json!({})));
        assert_eq!(verdict(&mut world, &token, &ours), expected, "{algorithm:?} {}", jwk["alg"]);
    }
}
