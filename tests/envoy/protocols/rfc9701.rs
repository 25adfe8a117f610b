//! Signed introspection (RFC 9701), by the scripted server and by node-oidc-provider.

use harness::{
    Algorithm, Authority, Envoy, Fault, Leaf, OidcProvider, Options, Reaction, Request, SigningKey, Upstream, now,
};
use serde_json::{Value, json};

use super::{bad_answers, each_is_unusable, says, set, speaking};
use crate::stage::{Stage, api};

const TYPE: &str = "application/token-introspection+jwt";

/// The answer about a good token.
fn response(said: &Value) -> Value {
    json!({"iss": "https://login.bank.example", "aud": "api", "iat": now(), "token_introspection": said})
}

fn signed(key: &SigningKey, payload: &Value) -> String {
    key.mint(json!({"typ": "token-introspection+jwt"}), payload)
}

/// Every token that begins with `good` is one of the bank.
fn stage() -> Stage {
    let stage = set(&speaking("rfc9701", "/introspect")).warm();
    let (key, said) = (stage.key.clone(), stage.active());
    stage.server.speak("/introspect", move |asked| {
        let said = if asked.text().starts_with("token=good") { said.clone() } else { json!({"active": false}) };
        let body = signed(&key, &response(&said)).into_bytes();
        Reaction::Answer { status: 200, content_type: "application/token-introspection+jwt; charset=utf-8", body }
    });
    stage
}

#[test]
fn a_signed_answer_is_judged_as_a_plain_one_is() {
    let stage = stage();
    for _ in 0..2 {
        assert_eq!((stage.as_bank(&api("good")).status, stage.reached()), (200, 1), "{}", stage.envoy.log());
    }
    assert_eq!(stage.server.count("/introspect"), 1);
    assert_eq!(stage.as_thief(&api("good")).status, 401);
    assert_eq!(stage.as_bank(&api("other")).status, 401);
    assert_eq!(stage.as_bank(&Request::get("/admin/x").bearer("good")).status, 403);
    let asked = stage.server.asked().into_iter().find(|asked| asked.path == "/introspect").expect("a question");
    assert_eq!(asked.values("accept"), [TYPE]);
    assert_eq!(stage.reached(), 0);
}

#[test]
fn no_downgrade_is_taken() {
    let stage = stage();
    let good = response(&stage.active());
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed[name] = value;
        signed(&stage.key, &changed)
    };
    let unusable = "server.unusable_answer";
    let mut active_as_text = stage.active();
    active_as_text["active"] = json!("true");
    let mut faults = bad_answers(TYPE, &signed(&stage.key, &good));
    let signed_faults = [
        ("to somebody else", with("aud", json!("other"))),
        ("of somebody else", with("iss", json!("https://evil.example"))),
        ("old", with("iat", json!(now() - 90))),
        ("of tomorrow", with("iat", json!(now() + 86_400))),
        ("active as text", with("token_introspection", active_as_text)),
        ("algorithm none", stage.key.mint(json!({"typ": "token-introspection+jwt", "alg": "none"}), &good)),
        ("HS256", stage.key.mint(json!({"typ": "token-introspection+jwt", "alg": "HS256"}), &good)),
        ("the type of an access token", stage.key.mint(json!({}), &good)),
        ("a forgery", signed(&SigningKey::new(Algorithm::Es256, "k1"), &good)),
        ("plain", stage.active().to_string()),
    ];
    faults.extend(signed_faults.map(|(name, body)| (name, says(200, TYPE, body), unusable)));
    faults.push(("plain JSON", says(200, "application/json", stage.active().to_string()), unusable));
    faults.push(("signed, and called JSON", says(200, "application/json", signed(&stage.key, &good)), unusable));
    let number = std::cell::Cell::new(0);
    let issue = || {
        number.set(number.get() + 1);
        format!("good-{}", number.get())
    };
    each_is_unusable(&stage, faults, issue, |_| "/introspect".to_owned());
}

#[test]
fn a_new_key_of_the_server_is_fetched_while_the_answer_waits() {
    let stage = stage();
    let new = SigningKey::new(Algorithm::Es256, "k2");
    stage.server.publish(&[&stage.key, &new]);
    let fetched = stage.server.count("/jwks");
    let body = signed(&new, &response(&stage.active())).into_bytes();
    stage.server.fail("/introspect", Fault::Answer { status: 200, content_type: TYPE, body });
    assert_eq!((stage.as_bank(&api("new")).status, stage.reached()), (200, 1), "{}", stage.envoy.log());
    assert_eq!(stage.server.count("/jwks"), fetched + 1);
}

const METADATA: &str = "/.well-known/oauth-authorization-server";

/// JWTs are asked about too, where the server says.
fn asking_about_jwts(cache: &str) -> Value {
    let mut document = speaking("rfc9701", "/introspect");
    document["revocation"] = json!("introspection");
    let issuer = document["issuers"][0].as_object_mut().expect("an issuer");
    issuer.insert("discovery".to_owned(), json!({"cluster": "login", "timeout": "5s"}));
    for endpoint in ["jwks", "introspection"] {
        issuer[endpoint].as_object_mut().expect("an endpoint").remove("path");
    }
    issuer["introspection"]["cache"] = json!(cache);
    issuer["introspection"]["stale_if_error"] = json!("1m");
    document
}

fn tells(stage: &Stage) {
    let body = json!({"issuer": "https://login.bank.example", "jwks_uri": "https://login.bank.example/jwks/told",
                      "introspection_endpoint": "https://login.bank.example/told"});
    let body = body.to_string().into_bytes();
    stage.server.fail(METADATA, Fault::Answer { status: 200, content_type: "application/json", body });
}

fn answers(stage: &Stage, body: impl AsRef<[u8]>) {
    stage.server.fail("/told", says(200, TYPE, body));
}

#[test]
fn a_jwt_passes_by_its_key_and_by_a_signed_answer_from_where_the_server_says() {
    let nobody = json!({"routes": [{"name": "health", "methods": ["GET"], "path": "/h", "allow": "public"}]});
    let stage = set(&nobody);
    tells(&stage);
    stage.envoy.configure(&asking_about_jwts("0s")).expect("a good configuration");
    let (good, token) = (response(&stage.active()), stage.token());
    let stranger = SigningKey::new(Algorithm::Es256, "k1");
    let with = |name: &str, value: Value| {
        let mut changed = good.clone();
        changed["token_introspection"][name] = value;
        signed(&stage.key, &changed)
    };
    let table = [
        ("good", signed(&stage.key, &good), 200, "granted"),
        ("inactive", signed(&stage.key, &response(&json!({"active": false}))), 401, "token.inactive"),
        ("about another user", with("sub", json!("eve")), 401, "token.disagreement"),
        ("about another token", with("jti", json!("2")), 401, "token.disagreement"),
        ("by a stranger", signed(&stranger, &good), 503, "server.unusable_answer"),
        (
            "by a stranger with a name of his own",
            signed(&SigningKey::new(Algorithm::Es256, "k9"), &good),
            503,
            "server.unusable_answer",
        ),
        ("the token itself", token.clone(), 503, "server.unusable_answer"),
        ("not signed", stage.active().to_string(), 503, "server.unusable_answer"),
        ("good again", signed(&stage.key, &good), 200, "granted"),
    ];
    for (at, (name, body, status, reason)) in table.into_iter().enumerate() {
        answers(&stage, body);
        let answer = stage.as_bank(&api(&token));
        assert_eq!((answer.status, stage.reason(at + 1).as_str()), (status, reason), "{name}: {}", stage.envoy.log());
        assert_eq!(stage.reached(), usize::from(status == 200), "{name}");
        assert_eq!(stage.server.count("/told"), at + 1, "{name}: each request asks");
    }
    let line = "holdfast: issuer bank: introspection failed: the signed answer is not believed for its signature";
    assert_eq!(stage.envoy.log().matches(line).count(), 2, "once for each stranger: {}", stage.envoy.log());

    let lines = stage.envoy.settled_access_log().len();
    let new = SigningKey::new(Algorithm::Es256, "k2");
    stage.server.publish(&[&stage.key, &new]);
    answers(&stage, signed(&new, &good));
    assert_eq!((stage.as_bank(&api(&token)).status, stage.reached()), (200, 1), "the key came after its answer");
    stage.server.fail("/told", Fault::Close);
    assert_eq!((stage.as_bank(&api(&token)).status, stage.reached()), (200, 1));
    assert_eq!(stage.reason(lines + 2), "granted.stale");
    for path in ["/jwks", "/introspect"] {
        assert_eq!(stage.server.count(path), 0, "{path} is not where it says");
    }
}

#[test]
fn node_oidc_provider_signs_what_it_says() {
    const API: &str = "https://api.market.example";
    let ca = Authority::new("market CA");
    let (bank, insurer) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("insurer")));
    let (provider, upstream) = (OidcProvider::start(&ca), Upstream::start());
    let authority = format!("localhost:{}", provider.address().port());
    let document = |client_id: &str| {
        json!({
            "issuers": [{
                "issuer": provider.issuer(), "name": "op", "audiences": [API],
                "jwks": {"cluster": "login", "path": "/jwks", "authority": authority},
                "introspection": {"cluster": "login", "path": "/token/introspection", "authority": authority,
                    "protocol": "rfc9701", "client_id": client_id, "client_secret": {"env": "RS_SECRET"}, "cache": "0s"}
            }],
            "routes": [{"name": "prices", "path": "/prices/**", "allow": [{"scopes": ["prices.read"]}]}]
        })
    };
    let options = Options::new(&document("rs"), upstream.address())
        .verified_cluster("login", provider.address(), &ca.certificate, "localhost")
        .variable("RS_SECRET", &provider.rs_secret);
    let envoy = Envoy::start(ca, options);
    let token = provider.token("bank", &bank, "prices.read", &format!("{API}/opaque"));
    let prices = |token: &str| Request::get("/prices/x").bearer(token);
    assert_eq!(envoy.client(&bank).send(&prices(&token)).status, 200, "{}", envoy.log());
    assert_eq!(envoy.client(&insurer).send(&prices(&token)).status, 401);
    assert_eq!(envoy.client(&bank).send(&prices("opaque")).status, 401);
    provider.revoke("bank", &bank, &token);
    assert_eq!(envoy.client(&bank).send(&prices(&token)).status, 401);
    assert_eq!(upstream.received().len(), 1);
    let lines = envoy.settled_access_log();
    let reasons: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(3)).collect();
    assert_eq!(reasons, ["granted", "binding.other_certificate", "token.inactive", "token.inactive"]);
}
