//! Who takes part: a bank and a thief with certificates, the keys of an authorization server, and tokens of every kind.

use std::sync::Arc;

use harness::{Algorithm, Authority, AuthorizationServer, Certificate, Leaf, SigningKey, now};
use serde_json::{Value, json};

use crate::authorizer::Authorizer;
use crate::proofs::Holder;
use crate::variants::{Asked, COLD, Variant};

pub struct Stage {
    pub ca: Authority,
    pub bank: Certificate,
    pub thief: Certificate,
    pub server: AuthorizationServer,
    pub authorizer: Authorizer,
    /// One of each algorithm that is measured.
    pub keys: Vec<SigningKey>,
    /// Tokens of the bank signed with ES256, as many as some variant shows.
    pub tokens: Arc<Vec<String>>,
    /// As many of each algorithm as make nobody remember them.
    pub unknown: Vec<(Algorithm, Arc<Vec<String>>)>,
    pub opaque: String,
    /// A caller who needs no certificate, and a token that is bound to its key.
    pub holder: Arc<Holder>,
    pub bound_to_key: String,
    /// Of the filter at the authorization server.
    pub secret: String,
}

pub const ISSUER: &str = "https://login.bank.example";
pub const AUDIENCE: &str = "https://api.bank.example";
/// What DPoP clients call the API.
pub const ORIGIN: &str = "https://api.bank.example";
pub const SCOPE: &str = "accounts.read";
/// What is asked for; every variant that knows routes permits it by GET and with that scope.
pub const PATH: &str = "/accounts/4711/balance";
/// ES256, which most tokens are signed with, first.
pub const ALGORITHMS: [Algorithm; 4] = [Algorithm::Es256, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa];

impl Stage {
    /// With all tokens that these variants show.
    pub fn set(variants: &[Variant]) -> Self {
        let ca = Authority::new("bench CA");
        let (bank, thief) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("thief")));
        let keys: Vec<SigningKey> = ALGORITHMS.map(|algorithm| SigningKey::new(algorithm, algorithm.name())).into();
        let server = AuthorizationServer::start(&keys.iter().collect::<Vec<_>>());
        let known = variants.iter().map(|variant| if let Asked::Known(count) = variant.asked { count } else { 1 });
        let tokens = mint(&keys[0], &bank, known.max().unwrap_or(1));
        let is_asked = |key: &&SigningKey| variants.iter().any(|variant| variant.asked == Asked::Cold(key.algorithm));
        let asked = keys.iter().filter(is_asked);
        let unknown = asked.map(|key| (key.algorithm, mint(key, &bank, COLD))).collect();
        let opaque = random();
        let mut said = claims(&bank, 0);
        said["active"] = json!(true);
        said["token_type"] = json!("Bearer");
        server.know(&opaque, said);
        let holder = Holder::new();
        let mut of_holder = claims(&bank, 0);
        of_holder["cnf"] = holder.confirmation();
        let bound_to_key = keys[0].mint(json!({}), &of_holder);
        let bindings = tokens.iter().map(|token| (token.clone().into_bytes(), bank.digest_hex().into_bytes()));
        let authorizer = Authorizer::start(bindings.collect());
        Self {
            ca,
            bank,
            thief,
            server,
            authorizer,
            keys,
            tokens,
            unknown,
            opaque,
            holder: Arc::new(holder),
            bound_to_key,
            secret: random(),
        }
    }

    pub fn jwks(&self) -> String {
        json!({"keys": self.keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()}).to_string()
    }

    pub fn unknown(&self, algorithm: Algorithm) -> Arc<Vec<String>> {
        let tokens = self.unknown.iter().find(|(other, _)| *other == algorithm);
        Arc::clone(&tokens.expect("tokens of each algorithm that is measured").1)
    }

    /// A token that differs in these claims.
    pub fn token_with(&self, others: Value) -> String {
        let mut claims = claims(&self.bank, 0);
        for (name, value) in others.as_object().expect("a map of claims") {
            claims[name] = value.clone();
        }
        self.keys[0].mint(json!({}), &claims)
    }

    /// A token whose signature is that of another.
    pub fn forged(&self) -> String {
        let [good, other] = [json!({"jti": "a"}), json!({"jti": "b"})].map(|others| self.token_with(others));
        let (input, _) = good.rsplit_once('.').expect("a JWT");
        let (_, signature) = other.rsplit_once('.').expect("a JWT");
        format!("{input}.{signature}")
    }
}

/// 256 bits in base64url, as authorization servers make opaque tokens.
fn random() -> String {
    SigningKey::new(Algorithm::EdDsa, "random").jwk()["x"].as_str().expect("a text").to_owned()
}

/// So many tokens, each with a `jti` and a `sub` of its own, by all cores.
fn mint(key: &SigningKey, bank: &Certificate, count: usize) -> Arc<Vec<String>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let part = count.div_ceil(cores).max(1);
    let numbers: Vec<usize> = (0..count).collect();
    let mint = |numbers: &[usize]| -> Vec<String> {
        numbers.iter().map(|number| key.mint(json!({}), &claims(bank, *number))).collect()
    };
    std::thread::scope(|scope| {
        let parts: Vec<_> = numbers.chunks(part).map(|part| scope.spawn(move || mint(part))).collect();
        Arc::new(parts.into_iter().flat_map(|part| part.join().expect("tokens")).collect())
    })
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
