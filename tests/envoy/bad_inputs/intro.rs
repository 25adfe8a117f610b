//! What authorization servers say, and what is remembered of it.

use harness::{Fault, Request, now};
use serde_json::{Value, json};

use crate::stage::{Stage, api, document};

#[test]
fn introspection_answers() {
    let stage = Stage::set(&document()).warm();
    let good = stage.active();
    let answer =
        |body: String| Fault::Answer { status: 200, content_type: "application/json", body: body.into_bytes() };
    let with = |others: Value| {
        let mut said = good.clone();
        for (name, value) in others.as_object().expect("members") {
            said[name] = value.clone();
        }
        said.as_object_mut().expect("members").retain(|_, value| !value.is_null());
        said.to_string()
    };
    let table = [
        ("INTRO-01", with(json!({"active": null})), 503),
        ("INTRO-01", with(json!({"active": "true"})), 503),
        ("INTRO-01", with(json!({"active": 1})), 503),
        ("INTRO-01", with(json!({"active": []})), 503),
        ("INTRO-02", good.to_string().replacen('{', r#"{"active":false,"#, 1), 503),
        ("INTRO-03", with(json!({"exp": now() - 60, "iat": now() - 90})), 401),
        ("INTRO-03", with(json!({"nbf": now() + 60})), 401),
        ("INTRO-03", with(json!({"iss": "https://evil.example"})), 401),
        ("INTRO-03", with(json!({"aud": "https://other.example"})), 401),
        ("INTRO-03", with(json!({"token_type": "mac"})), 401),
        ("INTRO-04", with(json!({"token_type": "refresh_token"})), 401),
        ("INTRO-04", with(json!({"token_type": "N_A"})), 401),
        ("INTRO-07", String::new(), 503),
        ("INTRO-07", good.to_string()[..40].to_owned(), 503),
        ("INTRO-07", format!("{good}{}", " ".repeat(70 * 1024)), 503),
        ("JWT-58", format!("[{good}]"), 503),
    ];
    // Each under a token of its own, for bad answers are remembered too.
    for (at, (id, body, status)) in table.into_iter().enumerate() {
        stage.server.fail("/introspect", answer(body));
        let token = format!("opaque-{at}");
        assert_eq!(stage.as_bank(&api(&token)).status, status, "{id}, row {at}");
        assert_eq!(stage.reached(), 0, "{id}, row {at}");
        if status == 503 {
            stage.server.mend();
            stage.server.know(&token, good.clone());
            assert_eq!(stage.as_bank(&api(&token)).status, 200, "{id}, row {at}: nothing is remembered of it");
            stage.upstream.take();
        }
    }
}

#[test]
fn what_is_remembered_of_one_token_says_nothing_of_another() {
    let mut document = document();
    let second = json!({"issuer": "https://other.example", "name": "other", "audiences": ["https://api.bank.example"],
        "introspection": {"cluster": "login", "path": "/other", "client_id": "api", "client_secret": {"env": "API_SECRET"}}});
    document["issuers"].as_array_mut().expect("a list").push(second);
    for route in document["routes"].as_array_mut().expect("a list") {
        if route["allow"] != json!("public") {
            route["issuer"] = json!("bank");
        }
    }
    document["routes"]
        .as_array_mut()
        .expect("a list")
        .push(json!({"name": "other", "path": "/other", "issuer": "other", "allow": "authenticated"}));
    let stage = Stage::set(&document).warm();
    stage.server.know("opaque", stage.active());
    assert_eq!(stage.as_bank(&api("opaque")).status, 200);
    // INTRO-11: the same token, another server; its answer names another issuer.
    assert_eq!(stage.as_bank(&Request::get("/other").bearer("opaque")).status, 401);
    assert_eq!(stage.server.count("/other"), 1, "it is asked for itself");
    // INTRO-12: the same token, another route.
    assert_eq!(stage.as_bank(&Request::get("/admin/x").bearer("opaque")).status, 403);
    // INTRO-13: tokens that look alike, and what tries to be two parameters.
    for token in ["opaqu", "opaque0", "Opaque", "opaque=", "opaque==", "opaque~", "opaque/"] {
        assert_eq!(stage.as_bank(&api(token)).status, 401, "{token}");
    }
    assert_eq!(stage.reached(), 1);
    // INTRO-17 and INTRO-18: the token stands in the body alone, encoded.
    for asked in
        stage.server.asked().iter().filter(|asked| asked.path.starts_with("/i") || asked.path.starts_with("/o"))
    {
        assert_eq!((asked.method.as_str(), asked.path.contains('?')), ("POST", false));
        let body = asked.text();
        assert_eq!(body.matches('&').count(), 1, "{body}");
        assert!(body.ends_with("&token_type_hint=access_token"), "{body}");
    }
    let encoded = stage.server.asked().iter().any(|asked| asked.text().starts_with("token=opaque%3D%3D&"));
    assert!(encoded, "octets outside the unreserved ones are encoded");
}
