//! What all these tests share: one Keycloak, a bank and a thief with certificates; and what each has of its own: an Envoy with the
//! filter, which asks one of Keycloak's realms.

use std::sync::{OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{
    AUTHORITY, Authority, Certificate, Envoy, Hostname, Keycloak, Leaf, Options, Realm, Request, Upstream, wait_until,
};
use serde_json::{Value, json};

/// Keycloak and those who ask it.
pub struct Cast {
    pub authority: Authority,
    pub keycloak: Keycloak,
    pub bank: Certificate,
    pub thief: Certificate,
}

pub struct Stage {
    pub envoy: Envoy,
    pub upstream: Upstream,
}

/// What came back: the status, the challenges, and the reason that the access log has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub status: u16,
    pub challenges: Vec<String>,
    pub reason: String,
}

pub fn cast() -> &'static Cast {
    static CAST: OnceLock<Cast> = OnceLock::new();
    CAST.get_or_init(|| Cast::with(Hostname::Fixed))
}

impl Cast {
    pub fn with(hostname: Hostname) -> Self {
        let authority = Authority::new(AUTHORITY);
        let (bank, thief) = (authority.issue(Leaf::client("bank")), authority.issue(Leaf::client("thief")));
        let keycloak = Keycloak::start(&authority, hostname);
        Self { authority, keycloak, bank, thief }
    }
}

static TURN: RwLock<()> = RwLock::new(());

/// The realm, none of whose tokens end meanwhile but by this test.
pub fn market() -> (Realm<'static>, RwLockReadGuard<'static, ()>) {
    let turn = TURN.read().unwrap_or_else(PoisonError::into_inner);
    (cast().keycloak.realm(), turn)
}

/// The realm, while no other test uses it.
pub fn market_alone() -> (Realm<'static>, RwLockWriteGuard<'static, ()>) {
    let turn = TURN.write().unwrap_or_else(PoisonError::into_inner);
    (cast().keycloak.realm(), turn)
}

/// A realm by what its JWTs say.
pub fn by_keys(realm: &Realm) -> Value {
    json!({
        "issuers": [{
            "issuer": realm.issuer(), "name": "keycloak", "audiences": ["my-api"],
            "algorithms": ["RS256"], "profile": "legacy",
            "claims": {"client_id": "/azp"}, "client_token_when": {"/clientHost": {"present": true}},
            "jwks": {"cluster": "keycloak", "path": realm.path("/certs"), "timeout": "10s", "refresh": "1m"}
        }],
        "dpop": {"origins": ["https://api.market.example"], "replay": "worker"}, "binding": "either",
        "routes": [{"name": "api", "path": "/**", "allow": "authenticated"}]
    })
}

/// The same realm by what it answers when it is asked about a token, whatever that looks like.
pub fn by_introspection(realm: &Realm) -> Value {
    let mut document = by_keys(realm);
    let issuer = document["issuers"][0].as_object_mut().expect("an issuer");
    issuer.remove("jwks");
    issuer.remove("algorithms");
    issuer.insert(
        "introspection".into(),
        json!({"cluster": "keycloak", "path": realm.path("/token/introspect"), "client_id": "my-api",
               "client_secret": {"env": "MY_API_SECRET"}, "timeout": "10s", "cache": "1s"}),
    );
    document
}

/// The same realm by what its JWTs say, and what it answers about them.
pub fn by_both(realm: &Realm) -> Value {
    let mut document = by_keys(realm);
    document["issuers"][0]["introspection"] = by_introspection(realm)["issuers"][0]["introspection"].clone();
    document["revocation"] = json!("introspection");
    document
}

/// Every way to believe its tokens.
pub fn every_way(realm: &Realm) -> [(&'static str, Value); 3] {
    [("by keys", by_keys(realm)), ("by introspection", by_introspection(realm)), ("by both", by_both(realm))]
}

impl Stage {
    pub fn set(document: &Value) -> Self {
        Self::with(cast(), document, |options| options)
    }

    pub fn with(cast: &Cast, document: &Value, change: impl FnOnce(Options) -> Options) -> Self {
        let upstream = Upstream::start();
        let mut options = Options::new(document, upstream.address()).verified_cluster(
            "keycloak",
            cast.keycloak.address(),
            &cast.authority.certificate,
            "localhost",
        );
        for client in ["my-api", "other-api"] {
            let name = format!("{}_SECRET", client.replace('-', "_").to_ascii_uppercase());
            options = options.variable(&name, cast.keycloak.secret(client));
        }
        Self { envoy: Envoy::start(cast.authority.clone(), change(options)), upstream }
    }

    /// Goes on with another configuration.
    pub fn turn_to(&self, document: &Value) {
        self.envoy.configure(document).expect("a good configuration");
    }

    /// Waits until keys were fetched by the main thread and by the worker.
    pub fn warm(self) -> Self {
        assert!(wait_until(Duration::from_secs(20), || self.fetches() >= 2), "keys: {}", self.envoy.log());
        self
    }

    /// How often keys were fetched.
    pub fn fetches(&self) -> u64 {
        self.envoy.stats("issuer.keycloak.question.keys.outcome.answered").values().sum()
    }

    pub fn send(&self, by: Option<&Certificate>, request: &Request) -> Outcome {
        let before = self.envoy.settled_access_log().len();
        let answer = match by {
            Some(certificate) => self.envoy.client(certificate).send(request),
            None => self.envoy.anonymous().send(request),
        };
        let lines = self.envoy.access_lines(before + 1);
        let reason = lines.last().and_then(|line| line.split(' ').nth(3)).unwrap_or_default();
        let reached = self.upstream.take().len();
        assert_eq!(reached, usize::from(answer.status == 200), "what reaches the service: {}", self.envoy.log());
        Outcome { status: answer.status, challenges: answer.values("www-authenticate"), reason: reason.into() }
    }

    pub fn bearer(&self, by: Option<&Certificate>, token: &str) -> Outcome {
        self.send(by, &Request::get("/prices").bearer(token))
    }

    /// As the bank.
    pub fn as_bank(&self, token: &str) -> Outcome {
        self.bearer(Some(&cast().bank), token)
    }
}

pub fn granted() -> Outcome {
    Outcome { status: 200, challenges: Vec::new(), reason: "granted".into() }
}

/// 401 to a bearer token.
pub fn refused(reason: &str, description: &str) -> Outcome {
    let challenge = format!(r#"Bearer realm="holdfast", error="invalid_token", error_description="{description}""#);
    Outcome { status: 401, challenges: vec![challenge], reason: reason.into() }
}

/// What a part of a JWT says: its header, or its claims.
pub fn part(token: &str, number: usize) -> Value {
    let part = token.split('.').nth(number).expect("a part of a JWT");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64url")).expect("JSON")
}

pub fn claims(token: &str) -> Value {
    part(token, 1)
}
