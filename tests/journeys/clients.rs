//! How we authenticate where we introspect: what is sent, to whom, and that waiting together is not disturbed by it (checklist §11).

use std::borrow::Cow;

use harness::{Algorithm, SigningKey};
use holdfast::callout::CalloutId;
use holdfast::client::Random;
use holdfast::flow::Step;
use holdfast::jose::json::{self, Limits};
use holdfast::jose::jwk::Jwk;
use holdfast::jose::{algorithm, base64url};
use holdfast::time::UnixTime;
use serde_json::{Value, json};

use super::world::{NOW, World, bank, certificate, get};

/// The world of `bank`, which introspects as these members say.
fn introspecting(us: Value, environment: &[(&str, &str)]) -> World {
    let mut issuer = bank();
    issuer["introspection"] = json!({"cluster": "as", "path": "/introspect"});
    issuer["introspection"].as_object_mut().unwrap().extend(us.as_object().unwrap().clone());
    let routes = json!([{"name": "all", "path": "/all", "allow": "authenticated"}]);
    World::with_environment(json!({"issuers": [issuer], "routes": routes}), environment)
}

/// The question about an opaque token.
fn asked(world: &mut World) -> CalloutId {
    let Step::Ask(callout, _) = world.begin(&get("/all").bearer("opaque").certificate(&certificate())) else {
        panic!("no question")
    };
    callout.id
}

/// The form that is sent, with such random octets.
fn form(world: &mut World, id: &CalloutId, octet: u8) -> String {
    let random = Random { jti: [octet; 16], salt: [octet; 32] };
    let body = world.enforcer().body(id, &random, UnixTime::new(NOW)).map(Cow::into_owned);
    String::from_utf8(body.unwrap()).unwrap()
}

fn authorization(id: &CalloutId) -> Option<&str> {
    let field = id.service.headers.iter().find(|(name, _)| *name == "authorization");
    field.map(|(_, value)| value.as_str())
}

#[test]
fn each_method_puts_our_credentials_where_its_standard_says() {
    let environment = [("SECRET", "s3 cr&t"), ("TOKEN", "t0ken")];
    let question = "token=opaque&token_type_hint=access_token";
    for (us, field, parameters) in [
        (json!({"client_id": "rs", "client_secret": {"env": "SECRET"}}), Some("Basic cnM6czMrY3IlMjZ0"), ""),
        (
            json!({"auth_method": "client_secret_post", "client_id": "rs", "client_secret": {"env": "SECRET"}}),
            None,
            "&client_id=rs&client_secret=s3+cr%26t",
        ),
        (json!({"auth_method": "tls_client_auth", "client_id": "r s"}), None, "&client_id=r+s"),
        (json!({"auth_method": "bearer", "token": {"env": "TOKEN"}}), Some("Bearer t0ken"), ""),
    ] {
        let mut world = introspecting(us.clone(), &environment);
        let id = asked(&mut world);
        assert_eq!(authorization(&id), field, "{us}");
        assert_eq!(form(&mut world, &id, 1), format!("{question}{parameters}"), "{us}");
    }
}

#[test]
fn an_assertion_is_for_the_issuer_signed_with_our_key_and_new_for_each_callout() {
    for (signs, verifies) in [
        (Algorithm::Es256, algorithm::Algorithm::Es256),
        (Algorithm::Ps256, algorithm::Algorithm::Ps256),
        (Algorithm::Rs256, algorithm::Algorithm::Rs256),
    ] {
        let ours = SigningKey::new(signs, "our key");
        let us = json!({"auth_method": "private_key_jwt", "client_id": "rs", "private_key": {"env": "KEY"}});
        let mut world = introspecting(us, &[("KEY", &ours.private_jwk().to_string())]);
        let id = asked(&mut world);
        assert_eq!(authorization(&id), None);
        let sent = form(&mut world, &id, 1);
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let start = format!("token=opaque&token_type_hint=access_token&client_assertion_type={kind}&client_assertion=");
        let jwt = sent.strip_prefix(&start).unwrap();
        let (input, signature) = jwt.rsplit_once('.').unwrap();
        let public = json::parse(ours.jwk().to_string().as_bytes(), Limits::TOKEN).unwrap();
        let key = Jwk::parse(&public).unwrap().key;
        assert!(key.verify(verifies, input.as_bytes(), &base64url::decode(signature).unwrap()), "{signs:?}");
        let read = |part: usize| {
            let octets = base64url::decode(input.split('.').nth(part).unwrap()).unwrap();
            serde_json::from_slice::<Value>(&octets).unwrap()
        };
        assert_eq!(read(0), json!({"alg": signs.name(), "kid": "our key", "typ": "client-authentication+jwt"}));
        let claims = json!({
            "iss": "rs", "sub": "rs", "aud": "https://login.bank.example", "jti": base64url::encode([1; 16]),
            "iat": NOW, "exp": NOW + 60
        });
        assert_eq!(read(1), claims);
        let again = asked(&mut world);
        assert!(again == id, "who asks the same waits together");
        assert_ne!(form(&mut world, &again, 2), sent, "and no assertion is sent twice");
    }
}

#[test]
fn keys_are_asked_for_without_our_credentials() {
    let mut world = introspecting(json!({"auth_method": "tls_client_auth", "client_id": "rs"}), &[]);
    let due = world.enforcer().due(UnixTime::new(NOW));
    assert_eq!(due.len(), 1);
    assert_eq!((authorization(&due[0].id), form(&mut world, &due[0].id, 1).as_str()), (None, ""));
}
