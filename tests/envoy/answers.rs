//! Each answer of the filter, judged by status, header fields, access log, and by what reached the upstream.

use harness::{Algorithm, Authority, AuthorizationServer, Envoy, Leaf, Options, Request, SigningKey, Upstream, now};
use serde_json::json;

#[test]
fn the_right_certificate_passes_and_a_stolen_token_does_not() {
    let ca = Authority::new("test CA");
    let (bank, thief) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("thief")));
    let key = SigningKey::new(Algorithm::Es256, "k1");
    let server = AuthorizationServer::start(&[&key]);
    let upstream = Upstream::start();
    let document = json!({
        "issuers": [{"issuer": "https://login.bank.example", "name": "bank", "audiences": ["https://api.bank.example"],
                     "jwks": {"cluster": "login", "path": "/jwks"}}],
        "routes": [{"name": "prices", "methods": ["GET"], "path": "/prices/{isin}", "allow": [{"scopes": ["prices.read"]}]}]
    });
    let envoy = Envoy::start(ca, Options::new(&document, upstream.address()).cluster("login", server.address()));
    let token = key.mint(json!({}), &json!({
        "iss": "https://login.bank.example", "aud": "https://api.bank.example", "sub": "n26", "client_id": "n26", "jti": "1",
        "iat": now(), "exp": now() + 300, "scope": "prices.read", "cnf": {"x5t#S256": bank.x5t_s256()}
    }));
    let request = Request::get("/prices/DE0001").bearer(&token);
    let answer = envoy.client(&bank).send(&request);
    assert_eq!((answer.status, answer.text().as_str()), (200, "reached the service\n"), "{}", envoy.log());
    let answer = envoy.client(&thief).send(&request);
    assert_eq!(answer.status, 401);
    let answer = envoy.anonymous().send(&request);
    assert_eq!(answer.status, 401);
    eprintln!("{:?} {:?}", answer, envoy.access_lines(3));
    eprintln!("{:?}", envoy.stats("holdfast"));
    assert_eq!(upstream.received().len(), 1);
}
