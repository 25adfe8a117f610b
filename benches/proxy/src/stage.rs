//! Who takes part: a bank and a thief with certificates, the keys of an authorization server, and tokens of every kind.

use std::sync::Arc;

use harness::{Algorithm, Authority, AuthorizationServer, Certificate, Leaf, SigningKey, now};
use serde_json::{Value, json};

pub struct Stage {
    pub ca: Authority,
    pub bank: Certificate,
    pub thief: Certificate,
    pub server: AuthorizationServer,
    /// One of each algorithm that is measured.
    pub keys: Vec<SigningKey>,
    /// Tokens of the bank signed with ES256, as many as some variant shows.
    pub tokens: Arc<Vec<String>>,
    pub opaque: String,
}

pub const ISSUER: &str = "https://login.bank.example";
pub const AUDIENCE: &str = "https://api.bank.example";
pub const SCOPE: &str = "accounts.read";
/// What is asked for; every variant that knows routes permits it by GET and with that scope.
pub const PATH: &str = "/accounts/4711/balance";
pub const ALGORITHMS: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];

impl Stage {
    pub fn set(tokens: usize) -> Self {
        let ca = Authority::new("bench CA");
        let (bank, thief) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("thief")));
        let keys: Vec<SigningKey> = ALGORITHMS.map(|algorithm| SigningKey::new(algorithm, algorithm.name())).into();
        let server = AuthorizationServer::start(&keys.iter().collect::<Vec<_>>());
        // Of the length that authorization servers give theirs; made anew each run.
        let opaque = SigningKey::new(Algorithm::EdDsa, "opaque").jwk()["x"].as_str().expect("a text").to_owned();
        let mut said = claims(&bank, 0);
        said["active"] = json!(true);
        said["token_type"] = json!("Bearer");
        server.know(&opaque, said);
        let mut stage = Self { ca, bank, thief, server, keys, tokens: Arc::default(), opaque };
        stage.tokens = stage.mint(Algorithm::Es256, tokens);
        stage
    }

    pub fn key(&self, algorithm: Algorithm) -> &SigningKey {
        self.keys.iter().find(|key| key.algorithm == algorithm).expect("a key of each algorithm that is measured")
    }

    pub fn jwks(&self) -> String {
        json!({"keys": self.keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()}).to_string()
    }

    /// So many tokens, each with a `jti` and a `sub` of its own.
    pub fn mint(&self, algorithm: Algorithm, count: usize) -> Arc<Vec<String>> {
        let key = self.key(algorithm);
        Arc::new((0..count).map(|number| key.mint(json!({}), &claims(&self.bank, number))).collect())
    }

    /// A token that differs in these claims.
    pub fn token_with(&self, others: Value) -> String {
        let mut claims = claims(&self.bank, 0);
        for (name, value) in others.as_object().expect("a map of claims") {
            claims[name] = value.clone();
        }
        self.key(Algorithm::Es256).mint(json!({}), &claims)
    }

    /// A token whose signature is that of another.
    pub fn forged(&self) -> String {
        let [good, other] = [json!({"jti": "a"}), json!({"jti": "b"})].map(|others| self.token_with(others));
        let (input, _) = good.rsplit_once('.').expect("a JWT");
        let (_, signature) = other.rsplit_once('.').expect("a JWT");
        format!("{input}.{signature}")
    }
}

/// About as much as servers of banks write into theirs.
fn claims(bank: &Certificate, number: usize) -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": format!("customer-{number:06}"), "client_id": "n26",
        "jti": format!("5b1f3c1e-77a2-4d6f-9a41-{number:012}"), "iat": now(), "exp": now() + 3600,
        "scope": format!("openid {SCOPE} payments.read"), "acr": "gold", "auth_time": now() - 60,
        "org": "Example Bank AG, Frankfurt am Main", "cnf": {"x5t#S256": bank.x5t_s256()}
    })
}
