//! Each way to authenticate where we introspect, at a real authorization server.

use harness::{
    Algorithm, Authority, Certificate, Cluster, Envoy, Leaf, OidcProvider, Options, Protocol, Request, SigningKey,
    Upstream,
};
use serde_json::{Value, json};

pub const API: &str = "https://api.market.example";

pub struct Market {
    pub envoy: Envoy,
    pub provider: OidcProvider,
    _upstream: Upstream,
    pub bank: Certificate,
}

impl Market {
    /// Reaches the authorization server as `login`, where it shows no certificate, and as `login-tls`, where it does.
    pub fn open() -> Self {
        let authority = Authority::new("market CA");
        let (bank, ours) = (authority.issue(Leaf::client("bank")), authority.issue(Leaf::client("rs-tls")));
        let provider = OidcProvider::start(&authority);
        let upstream = Upstream::start();
        let routes = json!([{"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"}]);
        let mut options = Options::new(&json!({"routes": routes}), upstream.address())
            .variable("SECRET", &provider.rs_secret)
            .variable("WRONG_SECRET", "wrong");
        let stranger = SigningKey::new(Algorithm::Es256, "ES256").private_jwk();
        options = options.variable("KEY_OF_STRANGER", &stranger.to_string());
        for key in &provider.rs_keys {
            options = options.variable(&format!("KEY_{}", key.kid), &key.private_jwk().to_string());
        }
        for (name, own) in [("login", None), ("login-tls", Some(ours))] {
            let trusted = Some((authority.certificate.clone(), "localhost".into()));
            let (address, protocol) = (provider.address(), Protocol::Http1);
            options.clusters.push(Cluster { name: name.into(), address, trusted, own, protocol });
        }
        Self { envoy: Envoy::start(authority, options), provider, _upstream: upstream, bank }
    }

    /// What two requests with one opaque token get where we authenticate in this way: status and reason.
    fn verdicts(&self, us: &Value) -> [(u16, String); 2] {
        let mut introspection =
            json!({"cluster": "login", "path": "/token/introspection", "timeout": "5s", "cache": "0s"});
        introspection.as_object_mut().expect("a map").extend(us.as_object().expect("a map").clone());
        self.trust(&json!({"introspection": introspection}));
        let token = self.provider.token("bank", &self.bank, "prices.read", &format!("{API}/opaque"));
        [(); 2].map(|()| self.verdict(&token))
    }

    /// Has the filter take tokens of the authorization server, which it asks as these members say.
    pub fn trust(&self, members: &Value) {
        let mut issuer = json!({"issuer": self.provider.issuer(), "audiences": [API]});
        issuer.as_object_mut().expect("a map").extend(members.as_object().expect("a map").clone());
        let routes = json!([{"name": "api", "path": "/api/**", "allow": "authenticated"}]);
        self.envoy.configure(&json!({"issuers": [issuer], "routes": routes})).expect("a good configuration");
    }

    /// What the bank gets with this token: status and reason.
    pub fn verdict(&self, token: &str) -> (u16, String) {
        let before = self.envoy.access_log().len();
        let answer = self.envoy.client(&self.bank).send(&Request::get("/api/x").bearer(token));
        let lines = self.envoy.access_lines(before + 1);
        let reason = lines.last().and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
        (answer.status, reason.to_owned())
    }
}

#[test]
fn each_method_is_taken_twice_and_what_is_wrong_in_it_is_no_verdict_on_the_token() {
    let market = Market::open();
    let secret = |name: &str| json!({"env": name});
    let by_key = |algorithm: &str, variable: &str| json!({"auth_method": "private_key_jwt", "client_id": format!("rs-{algorithm}"), "private_key": {"env": variable}});
    let (granted, refused) = ((200, "granted"), (503, "server.our_credentials"));
    let table = [
        (json!({"client_id": "rs", "client_secret": secret("SECRET")}), granted),
        (json!({"client_id": "rs", "client_secret": secret("WRONG_SECRET")}), refused),
        (
            json!({"auth_method": "client_secret_post", "client_id": "rs-post", "client_secret": secret("SECRET")}),
            granted,
        ),
        (
            json!({"auth_method": "client_secret_post", "client_id": "rs-post", "client_secret": secret("WRONG_SECRET")}),
            refused,
        ),
        (by_key("ES256", "KEY_ES256"), granted),
        (by_key("PS256", "KEY_PS256"), granted),
        (by_key("RS256", "KEY_RS256"), granted),
        (by_key("ES256", "KEY_OF_STRANGER"), refused),
        (json!({"auth_method": "tls_client_auth", "client_id": "rs-tls", "cluster": "login-tls"}), granted),
        (json!({"auth_method": "tls_client_auth", "client_id": "rs-tls"}), refused),
    ];
    for (us, (status, reason)) in table {
        let expected = (status, reason.to_owned());
        assert_eq!(market.verdicts(&us), [expected.clone(), expected], "{us}: {}", market.envoy.log());
    }
    let log = market.envoy.log();
    for hidden in [market.provider.rs_secret.as_str(), "client_assertion"] {
        assert!(!log.contains(hidden), "a credential stands in the log");
    }
}

#[test]
fn a_token_of_our_own_is_shown_as_it_is() {
    let stage = super::stage::Stage::with(
        &{
            let mut document = super::stage::document();
            let us = document["issuers"][0]["introspection"].as_object_mut().expect("a map");
            us.retain(|name, _| name != "client_id" && name != "client_secret");
            us.extend([
                ("auth_method".to_owned(), json!("bearer")),
                ("token".to_owned(), json!({"env": "API_SECRET"})),
            ]);
            document
        },
        |options| options,
    )
    .warm();
    stage.server.know("opaque", stage.active());
    assert_eq!(stage.as_bank(&super::stage::api("opaque")).status, 200, "{}", stage.envoy.log());
    let asked = stage.server.asked().into_iter().find(|asked| asked.path == "/introspect").expect("a question");
    assert_eq!(asked.text(), "token=opaque&token_type_hint=access_token");
    assert_eq!(asked.values("authorization"), [format!("Bearer {}", super::stage::secret())]);
}
