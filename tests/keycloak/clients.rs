//! Each way to authenticate where Keycloak is asked about tokens, found by its own document; and what comes of its JWT in an answer.

use harness::{Algorithm, Certificate, Cluster, Leaf, Protocol, Realm, SigningKey};
use serde_json::{Value, json};

use super::stage::{Outcome, Stage, by_both, by_introspection, by_keys, cast, granted, market, refused};

const KEY: &str = "RS_JWK";

/// The document of a realm that tells its paths itself.
fn telling(realm: &Realm, mut document: Value, well_known: &str) -> Value {
    let issuer = document["issuers"][0].as_object_mut().expect("an issuer");
    issuer.insert("discovery".into(), json!({"cluster": "keycloak", "document": well_known, "timeout": "10s"}));
    assert_eq!(issuer["issuer"], realm.issuer());
    for endpoint in ["jwks", "introspection"] {
        issuer.get_mut(endpoint).and_then(Value::as_object_mut).map(|endpoint| endpoint.remove("path"));
    }
    document
}

/// The same, where this client asks, in this way.
fn asking(realm: &Realm, client: &str, us: Value) -> Value {
    let mut document = telling(realm, by_introspection(realm), "openid-configuration");
    document["issuers"][0]["audiences"] = json!([client]);
    let introspection = document["issuers"][0]["introspection"].as_object_mut().expect("a map");
    introspection.remove("client_secret");
    introspection.insert("client_id".into(), json!(client));
    introspection.insert("cache".into(), json!("0s"));
    introspection.extend(us.as_object().expect("a map").clone());
    document
}

/// A client that asks, known in this way, and a bank whose tokens are for it: their names.
fn add_client(realm: &Realm, name: &str, authenticator: &str, attributes: Value) -> (String, String) {
    let bank = format!("bank-of-{name}");
    realm.add_client(name, "my-api", |client| {
        client.as_object_mut().expect("a client").remove("secret");
        client["clientAuthenticatorType"] = json!(authenticator);
        client["attributes"] = attributes;
    });
    realm.add_client(&bank, "bank", |client| {
        client["protocolMappers"][0]["config"]["included.client.audience"] = json!(name);
    });
    (name.to_owned(), bank)
}

/// An Envoy that reaches Keycloak as `keycloak-tls` too, where it shows this certificate, and that has this key.
fn stage(document: &Value, own: &Certificate, key: &SigningKey) -> Stage {
    Stage::with(cast(), document, |mut options| {
        let trusted = Some((cast().authority.certificate.clone(), "localhost".into()));
        let (name, address) = ("keycloak-tls".into(), cast().keycloak.address());
        options.clusters.push(Cluster { name, address, trusted, own: Some(own.clone()), protocol: Protocol::Http1 });
        options.variable(KEY, &key.private_jwk().to_string())
    })
}

fn unavailable(reason: &str) -> Outcome {
    Outcome { status: 503, challenges: Vec::new(), reason: reason.into() }
}

#[test]
fn keys_and_introspection_are_found_by_its_own_document() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    let stage = Stage::set(&telling(&realm, by_both(&realm), "openid-configuration"));
    assert_eq!(stage.as_bank(&token), granted(), "{}", stage.envoy.log());
    assert_eq!(stage.bearer(Some(&cast().thief), &token).reason, "binding.other_certificate");
    let log = stage.envoy.log();
    assert!(log.contains("holdfast: issuer keycloak: its metadata is read"), "{log}");
    assert!(!log.contains("does not announce"), "it announces how we authenticate: {log}");
}

#[test]
fn our_secret_may_stand_in_the_form() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    let posting = |secret: &str| {
        asking(&realm, "my-api", json!({"auth_method": "client_secret_post", "client_secret": {"env": secret}}))
    };
    let stage = Stage::set(&posting("MY_API_SECRET"));
    assert_eq!([stage.as_bank(&token), stage.as_bank(&token)], [granted(), granted()], "{}", stage.envoy.log());
    stage.turn_to(&posting("OTHER_API_SECRET"));
    assert_eq!(stage.as_bank(&token), unavailable("server.our_credentials"));
}

#[test]
fn an_assertion_by_our_key_is_taken_and_a_strangers_is_not() {
    let (realm, _turn) = market();
    let own = cast().authority.issue(Leaf::client("nobody"));
    for algorithm in [Algorithm::Es256, Algorithm::Ps256, Algorithm::Rs256] {
        let key = SigningKey::new(algorithm, "rs-1");
        let attributes = json!({"use.jwks.string": "true", "jwks.string": json!({"keys": [key.jwk()]}).to_string()});
        let name = format!("rs-{}", algorithm.name());
        let (client, bank) = add_client(&realm, &name, "client-jwt", attributes);
        let token = realm.token(&bank, &cast().bank);
        let document = asking(&realm, &client, json!({"auth_method": "private_key_jwt", "private_key": {"env": KEY}}));
        let known = stage(&document, &own, &key);
        for _ in 0..2 {
            assert_eq!(known.as_bank(&token), granted(), "{algorithm:?}: {}", known.envoy.log());
        }
        // There are two RSA keys for all tests, by the end of their names.
        let mut strangers = SigningKey::new(algorithm, "rs-2");
        strangers.kid = key.kid;
        let stranger = stage(&document, &own, &strangers);
        assert_eq!(stranger.as_bank(&token), unavailable("server.our_credentials"), "{}", stranger.envoy.log());
    }
}

#[test]
fn our_certificate_is_taken_where_it_is_shown() {
    let (realm, _turn) = market();
    let own = cast().authority.issue(Leaf::client("rs-tls"));
    let attributes = json!({"x509.subjectdn": "CN=rs-tls", "x509.casubjectdn": "CN=Market CA",
                            "x509.allow.regex.pattern.comparison": "false"});
    let (client, bank) = add_client(&realm, "rs-tls", "client-x509", attributes);
    let token = realm.token(&bank, &cast().bank);
    let by = |cluster: &str| asking(&realm, &client, json!({"auth_method": "tls_client_auth", "cluster": cluster}));
    let stage = stage(&by("keycloak-tls"), &own, &SigningKey::new(Algorithm::Es256, "rs-1"));
    assert_eq!([stage.as_bank(&token), stage.as_bank(&token)], [granted(), granted()], "{}", stage.envoy.log());
    stage.turn_to(&by("keycloak"));
    assert_eq!(stage.as_bank(&token), unavailable("server.our_credentials"));
}

/// All its access tokens are JWTs, and what looks like one is verified by its key where there are keys.
#[test]
fn no_token_of_keycloak_is_a_phantom_token_and_what_is_opaque_is_inactive() {
    let (realm, _turn) = market();
    let mut document = by_keys(&realm);
    document["issuers"][0]["introspection"] = by_introspection(&realm)["issuers"][0]["introspection"].clone();
    document["issuers"][0]["introspection"]["protocol"] = json!("phantom");
    let stage = Stage::set(&document);
    let asked = || {
        let stats = stage.envoy.stats("issuer.keycloak.question.introspection.outcome.answered");
        stats.values().sum::<u64>()
    };
    assert_eq!((stage.as_bank(&realm.token("bank", &cast().bank)), asked()), (granted(), 0), "{}", stage.envoy.log());
    let inactive = refused("token.inactive", "Token is not active");
    assert_eq!((stage.as_bank("opaque"), asked()), (inactive, 1));
}

/// What the stand-ins of other tests say in Keycloak's place is what it says.
#[test]
fn it_writes_the_jwt_beside_active_true_and_to_a_stranger_beside_active_false() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    for (client, active) in [("my-api", true), ("other-api", false)] {
        let said = realm.introspect(client, &token);
        assert_eq!(said["active"], json!(active), "{client}");
        assert_eq!(said["jwt"].as_str().map(|jwt| jwt.split('.').count()), Some(3), "{client}: {said}");
    }
}
