//! What most tests need: a bank with a certificate, a thief with another, a scripted authorization server, a service, and the
//! filter between them.

use std::time::Duration;

use harness::{
    Algorithm, Authority, AuthorizationServer, Certificate, Envoy, Leaf, Options, Request, Response, SigningKey,
    Upstream, now, wait_until,
};
use serde_json::{Value, json};

pub struct Stage {
    pub envoy: Envoy,
    pub upstream: Upstream,
    pub server: AuthorizationServer,
    pub key: SigningKey,
    pub bank: Certificate,
    pub thief: Certificate,
}

/// The secret of our client at the authorization server, made anew each run.
pub fn secret() -> &'static str {
    static SECRET: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    SECRET.get_or_init(|| format!("s:{}+{}%", std::process::id(), now()))
}

/// An issuer of the scripted server: keys and introspection.
pub fn issuer() -> Value {
    json!({
        "issuer": "https://login.bank.example", "name": "bank", "audiences": ["https://api.bank.example"],
        "jwks": {"cluster": "login", "path": "/jwks", "timeout": "500ms"},
        "introspection": {"cluster": "login", "path": "/introspect", "client_id": "api", "client_secret": {"env": "API_SECRET"},
                          "timeout": "500ms", "cache": "2s"}
    })
}

/// One issuer, and one route for all good tokens.
pub fn document() -> Value {
    json!({
        "issuers": [issuer()],
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "admin", "path": "/admin/**", "allow": [{"scopes": ["admin"]}]},
            {"name": "unbound", "path": "/unbound", "binding": "when_bound", "allow": "authenticated"},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    })
}

/// The same, where JWTs are asked about too.
pub fn asking() -> Value {
    let mut document = document();
    document["revocation"] = json!("introspection");
    document
}

impl Stage {
    pub fn set(document: &Value) -> Self {
        Self::with(document, |options| options)
    }

    pub fn with(document: &Value, change: impl FnOnce(Options) -> Options) -> Self {
        let ca = Authority::new("test CA");
        let (bank, thief) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("thief")));
        let key = SigningKey::new(Algorithm::Es256, "k1");
        let server = AuthorizationServer::start(&[&key]);
        let upstream = Upstream::start();
        let options = Options::new(document, upstream.address())
            .cluster("login", server.address())
            .variable("API_SECRET", secret());
        let envoy = Envoy::start(ca, change(options));
        Self { envoy, upstream, server, key, bank, thief }
    }

    /// Waits until keys were fetched by the main thread and by the worker.
    pub fn warm(self) -> Self {
        assert!(
            wait_until(Duration::from_secs(5), || self.server.count("/jwks") >= 2),
            "keys are fetched: {}",
            self.envoy.log()
        );
        self
    }

    /// The claims of a good token of the bank.
    pub fn claims(&self) -> Value {
        claims(&self.bank)
    }

    /// A good token of the bank.
    pub fn token(&self) -> String {
        self.key.mint(json!({}), &self.claims())
    }

    /// A token that differs in these claims; null takes one out.
    pub fn token_with(&self, others: Value) -> String {
        let mut claims = self.claims();
        for (name, value) in others.as_object().expect("claims") {
            claims[name] = value.clone();
        }
        claims.as_object_mut().expect("claims").retain(|_, value| !value.is_null());
        self.key.mint(json!({}), &claims)
    }

    /// A good token of this number, which the endpoint knows.
    pub fn known_token(&self, number: usize) -> String {
        let token = self.token_with(json!({"jti": number.to_string()}));
        self.server.know(&token, self.active());
        token
    }

    /// What introspection says of any good token: it does not tell which.
    pub fn active(&self) -> Value {
        let mut said = self.claims();
        said.as_object_mut().expect("claims").remove("jti");
        said["active"] = json!(true);
        said["token_type"] = json!("Bearer");
        said
    }

    pub fn as_bank(&self, request: &Request) -> Response {
        self.envoy.client(&self.bank).send(request)
    }

    pub fn as_thief(&self, request: &Request) -> Response {
        self.envoy.client(&self.thief).send(request)
    }

    pub fn anonymously(&self, request: &Request) -> Response {
        self.envoy.anonymous().send(request)
    }

    /// How many requests have reached the service since it was last asked.
    pub fn reached(&self) -> usize {
        self.upstream.take().len()
    }

    /// The filter still does its work: a good request passes.
    pub fn assert_alive(&self) {
        let answer = self.as_bank(&api(&self.token()));
        assert_eq!(answer.status, 200, "the next good request passes: {}", self.envoy.log());
        self.upstream.take();
    }

    /// The last reason in the access log, of `count` lines.
    pub fn reason(&self, count: usize) -> String {
        let lines = self.envoy.access_lines(count);
        lines.last().and_then(|line| line.split(' ').nth(3)).unwrap_or_default().to_owned()
    }
}

pub fn claims(bound_to: &Certificate) -> Value {
    json!({
        "iss": "https://login.bank.example", "aud": "https://api.bank.example", "sub": "ann", "client_id": "n26", "jti": "1",
        "iat": now(), "exp": now() + 300, "scope": "read", "cnf": {"x5t#S256": bound_to.x5t_s256()}
    })
}

pub fn api(token: &str) -> Request {
    Request::get("/api/x").bearer(token)
}
