//! A small world for journeys through the core: a clock that stands, an authorization server that says what it is told.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use holdfast::binding::replay::{SharedSlots, Unreachable, Written};
use holdfast::callout::{Answer, Callout, CalloutId, NoAnswer, Question, Response};
use holdfast::config;
use holdfast::effect::{FILTER_STATE, Return};
use holdfast::facts::peer::{CertificateDigest, Peer};
use holdfast::facts::{EnvoyRoute, Request, write_pairs};
use holdfast::flow::{Enforcer, Permit, Step};
use holdfast::jose::verifier::InRust;
use holdfast::time::UnixTime;
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

/// When all of it happens.
pub const NOW: u64 = 1_800_000_000;

/// The issuer of `configuration.md`, and the binding that every policy there has.
pub fn bank() -> Value {
    json!({
        "issuer": "https://login.bank.example", "name": "bank", "audiences": ["https://api.bank.example"],
        "jwks": {"cluster": "login", "path": "/jwks"}
    })
}

pub struct World {
    enforcer: Enforcer,
    pub now: u64,
    /// What is answered to questions for metadata, by cluster and path.
    pub metadata: HashMap<String, Answer>,
    /// What each issuer's key endpoint answers, by cluster.
    pub keys: HashMap<String, Answer>,
    /// What introspection answers, by token, or by cluster and token; others are inactive.
    pub introspection: HashMap<String, Answer>,
    /// The same in another protocol than RFC 7662's.
    pub answers: Option<Answers>,
    /// Everything that was asked, by cluster and path.
    pub asked: Vec<String>,
    /// What the configuration is warned of.
    pub warnings: Vec<String>,
}

/// What a server answers to a question.
pub type Answers = Box<dyn Fn(&CalloutId) -> Answer>;

/// What became of a request.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// 0 where it went on.
    pub status: u16,
    pub reason: &'static str,
    /// The first challenge, and all of them.
    pub challenge: Option<String>,
    pub challenges: Vec<String>,
    /// `DPoP-Nonce` of a refusal.
    pub nonce: Option<String>,
    /// What becomes of the upstream's answer.
    pub returns: Return,
    pub removed: Vec<String>,
    pub added: Vec<(String, String)>,
    pub facts: HashMap<String, String>,
}

/// What workers of a process share: numbers count up from one, and what is absent is written whatever the number.
#[derive(Default)]
pub struct SharedData(RefCell<HashMap<String, (Vec<u8>, u32)>>);

impl SharedSlots for SharedData {
    fn read(&self, name: &str) -> Result<Option<(Vec<u8>, u32)>, Unreachable> {
        Ok(self.0.borrow().get(name).cloned())
    }

    fn write(&self, name: &str, value: &[u8], number: u32) -> Result<Written, Unreachable> {
        let mut values = self.0.borrow_mut();
        let current = values.get(name).map_or(number, |(_, current)| *current);
        if current != number {
            return Ok(Written::Changed);
        }
        let next = values.values().map(|(_, number)| *number).max().unwrap_or(0) + 1;
        values.insert(name.to_owned(), (value.to_vec(), next));
        Ok(Written::Done)
    }
}

impl SharedData {
    /// As if the host had lost all of it.
    pub fn lose(&self) {
        self.0.borrow_mut().retain(|name, _| name.ends_with("secret"));
    }
}

/// Two keys for nonces, of 32 octets.
pub const NONCE_KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
pub const OLD_NONCE_KEY: &str = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=";

/// A permit and a refusal, as tables write them.
pub const PASSES: (u16, &str) = (0, "granted");

impl World {
    pub fn new(configuration: Value) -> Self {
        Self::with_environment(configuration, &[])
    }

    /// The policy of this name in `envoy/policies`; 64 times `b` in it become the digest of this certificate.
    pub fn of_policy(name: &str, digest: Option<&harness::Certificate>) -> Self {
        let path = harness::top().join("envoy/policies").join(format!("{name}.yaml"));
        let mut text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        if let Some(certificate) = digest {
            text = text.replace(&"b".repeat(64), &certificate.digest_hex());
        }
        let names = ["OP_SECRET", "KEYCLOAK_SECRET", "CURITY_SECRET", "AUTHLETE_SECRET", "STORE_TOKEN"];
        let nonce_keys = [("NONCE_KEY", NONCE_KEY), ("NONCE_KEY_OLD", OLD_NONCE_KEY)];
        let key = harness::SigningKey::new(harness::Algorithm::Es256, "rs-1").private_jwk().to_string();
        let environment = [names.map(|name| (name, "test")).as_slice(), &nonce_keys, &[("RS_JWK", &key)]].concat();
        Self::with_environment(harness::yaml(&text).unwrap(), &environment)
    }

    pub fn with_environment(configuration: Value, environment: &[(&str, &str)]) -> Self {
        Self::of_process(configuration, environment, &Rc::default())
    }

    /// One worker of a process: what others remember of proofs may be `shared` with it.
    pub fn of_process(configuration: Value, environment: &[(&str, &str)], shared: &Rc<SharedData>) -> Self {
        let find =
            |name: &str| environment.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned());
        let compiled = match config::load(configuration.to_string().as_bytes(), &find) {
            Ok(compiled) => compiled,
            Err(mistakes) => panic!("{mistakes}"),
        };
        let mut world = Self {
            enforcer: Enforcer::new(compiled.settings, Rc::new(InRust), Rc::clone(shared) as Rc<dyn SharedSlots>),
            now: NOW,
            metadata: HashMap::new(),
            keys: HashMap::new(),
            introspection: HashMap::new(),
            answers: None,
            asked: Vec::new(),
            warnings: compiled.warnings,
        };
        world.serve_keys("login", &[&Key::named("k1")]);
        world
    }

    pub fn serve_keys(&mut self, cluster: &str, keys: &[&Key]) {
        let keys: Vec<Value> = keys.iter().map(|key| key.jwk()).collect();
        self.keys.insert(cluster.into(), ok(json!({"keys": keys})));
    }

    pub fn introspect(&mut self, token: &str, claims: Value) {
        self.introspection.insert(token.into(), ok(claims));
    }

    pub fn later(&mut self, seconds: u64) {
        self.now += seconds;
    }

    pub fn send(&mut self, request: &Ask) -> Outcome {
        let mut step = self.enforcer.begin(request.build(), UnixTime::new(self.now));
        loop {
            let (callout, waiting) = match step {
                Step::Done(decision) => return Outcome::of(decision),
                Step::Ask(callout, waiting) => (callout, waiting),
            };
            let answer = self.answer(&callout);
            let now = UnixTime::new(self.now);
            let settled = self.enforcer.settle(&callout.id, answer, now);
            step = self.enforcer.resume(waiting, &settled, now);
        }
    }

    /// The status and reason alone.
    pub fn verdict(&mut self, request: &Ask) -> (u16, &'static str) {
        let outcome = self.send(request);
        (outcome.status, outcome.reason)
    }

    /// Begins a journey and leaves it where it first asks.
    pub fn begin(&mut self, request: &Ask) -> Step {
        self.enforcer.begin(request.build(), UnixTime::new(self.now))
    }

    pub fn enforcer(&mut self) -> &mut Enforcer {
        &mut self.enforcer
    }

    fn answer(&mut self, callout: &Callout) -> Answer {
        let service = &callout.id.service;
        self.asked.push(format!("{}{}", service.cluster, callout.id.path()));
        if let (Question::Introspection, Some(answers)) = (service.question, &self.answers) {
            return answers(&callout.id);
        }
        match service.question {
            Question::Metadata => {
                let at = format!("{}{}", service.cluster, service.path);
                // Who has one document may have no other.
                let none = if self.metadata.is_empty() { Answer::None(NoAnswer::Reset) } else { answered(404, "") };
                self.metadata.get(&at).cloned().unwrap_or(none)
            }
            Question::KeySet => self.keys.get(&service.cluster).cloned().unwrap_or(Answer::None(NoAnswer::Reset)),
            Question::Introspection => {
                let body = String::from_utf8(callout.id.body.to_vec()).unwrap();
                let token = body.strip_prefix("token=").unwrap().split('&').next().unwrap();
                let there = self.introspection.get(&format!("{}/{token}", service.cluster));
                there.or_else(|| self.introspection.get(token)).cloned().unwrap_or_else(|| ok(json!({"active": false})))
            }
        }
    }
}

pub fn ok(body: Value) -> Answer {
    answered(200, &body.to_string())
}

pub fn answered(status: u16, body: &str) -> Answer {
    Answer::Response(Response::new(status, body.as_bytes().to_vec()))
}

/// The same of this media type, which may be kept so long.
pub fn told(status: u16, content_type: &str, cache_control: &str, body: &str) -> Answer {
    Answer::Response(Response {
        content_type: content_type.into(),
        cache_control: cache_control.into(),
        ..Response::new(status, body.as_bytes().to_vec())
    })
}

impl Outcome {
    fn of(decision: holdfast::flow::Decision) -> Self {
        let (status, reply, removed, added, returns, report) = match decision {
            Ok(Permit::Public(told) | Permit::Granted(told)) => {
                let removed = told.forward.remove.into_iter().map(|name| String::from_utf8(name).unwrap()).collect();
                (0, Vec::new(), removed, told.forward.add, told.returns, told.report)
            }
            Err(refusal) => {
                (refusal.reply.status, refusal.reply.headers, vec![], vec![], Return::Untouched, refusal.report)
            }
        };
        let fields = |wanted: &'static str| {
            let fields = reply.iter().filter(move |(name, _)| *name == wanted);
            fields.map(|(_, value)| value.clone()).collect::<Vec<String>>()
        };
        let challenges = fields("www-authenticate");
        let nonce = fields("dpop-nonce").pop();
        assert!(nonce.is_none() || fields("cache-control") == ["no-store"], "a nonce is kept by no cache");
        let told =
            |(name, value): (&str, &str)| (name.strip_prefix(FILTER_STATE).unwrap().to_owned(), value.to_owned());
        let facts = report.told().map(told).collect();
        let challenge = challenges.first().cloned();
        Self { status, reason: report.reason, challenge, challenges, nonce, returns, removed, added, facts }
    }
}

/// A request, as a test says it.
#[derive(Clone)]
pub struct Ask {
    fields: Vec<(String, Vec<u8>)>,
    peer: Peer,
    has_body: bool,
    envoy_route: Option<EnvoyRoute>,
}

/// `GET` over TLS without a certificate.
pub fn get(path: &str) -> Ask {
    request("GET", path)
}

pub fn request(method: &str, path: &str) -> Ask {
    let fields = [(":method", method), (":path", path), (":authority", "api.bank.example"), (":scheme", "https")];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec())).to_vec();
    Ask { fields, peer: Peer::Anonymous, has_body: false, envoy_route: None }
}

impl Ask {
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.into(), value.as_ref().to_vec()));
        self
    }

    pub fn host(mut self, host: &str) -> Self {
        self.fields[2].1 = host.as_bytes().to_vec();
        self
    }

    /// The token by the scheme DPoP, and a proof beside it.
    pub fn dpop(self, token: &str, proof: &str) -> Self {
        self.field("authorization", format!("DPoP {token}")).field("dpop", proof)
    }

    pub fn bearer(self, token: &str) -> Self {
        self.field("authorization", format!("Bearer {token}"))
    }

    pub fn certificate(mut self, certificate: &harness::Certificate) -> Self {
        let digest = CertificateDigest::from_hex(certificate.digest_hex().as_bytes()).unwrap();
        self.peer = Peer::Certificate { digest, leaf: Some(certificate.cert_pem.clone().into_bytes()) };
        self
    }

    /// A certificate of which the proxy tells the digest alone.
    pub fn digest_only(mut self, certificate: &harness::Certificate) -> Self {
        let digest = CertificateDigest::from_hex(certificate.digest_hex().as_bytes()).unwrap();
        self.peer = Peer::Certificate { digest, leaf: None };
        self
    }

    pub fn plaintext(mut self) -> Self {
        self.peer = Peer::Plaintext;
        self
    }

    /// Something comes after the header fields.
    pub fn body(mut self) -> Self {
        self.has_body = true;
        self
    }

    pub fn envoy_route(mut self, name: Option<&str>, policy: Option<&str>) -> Self {
        let bytes = |text: &str| text.as_bytes().to_vec();
        self.envoy_route = Some(EnvoyRoute { name: name.map(bytes), policy: policy.map(bytes) });
        self
    }

    fn build(&self) -> Request {
        let mut request = Request::from_pairs(write_pairs(&self.fields), self.peer.clone()).unwrap();
        request.has_body = self.has_body;
        request.envoy_route = self.envoy_route.clone();
        request
    }
}

/// An ES256 key, made from its name: the same name, the same key.
pub struct Key {
    pub kid: String,
    key: SigningKey,
}

impl Key {
    pub fn named(kid: &str) -> Self {
        Self::with_secret(kid, kid)
    }

    pub fn with_secret(kid: &str, secret: &str) -> Self {
        use sha2::{Digest as _, Sha256};
        let secret: [u8; 32] = Sha256::digest(secret).into();
        Self { kid: kid.into(), key: SigningKey::from_slice(&secret).unwrap() }
    }

    pub fn jwk(&self) -> Value {
        let point = self.key.verifying_key().to_sec1_point(false);
        let encode = |octets: &[u8]| URL_SAFE_NO_PAD.encode(octets);
        json!({"kty": "EC", "crv": "P-256", "kid": self.kid, "alg": "ES256", "use": "sig",
               "x": encode(point.x().unwrap()), "y": encode(point.y().unwrap())})
    }

    /// Signs these octets as header and payload, whatever they are.
    pub fn sign(&self, header: &str, payload: &str) -> String {
        let input = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature: Signature = self.key.sign(input.as_bytes());
        format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature.to_bytes()))
    }

    pub fn jwt(&self, claims: &Value) -> String {
        self.sign(&json!({"alg": "ES256", "typ": "at+jwt", "kid": self.kid}).to_string(), &claims.to_string())
    }
}

/// The claims of a token of `bank`, bound to this certificate, with others put in or, where null, taken out.
pub fn claims(bound_to: &harness::Certificate, others: Value) -> Value {
    let mut claims = json!({
        "iss": "https://login.bank.example", "aud": "https://api.bank.example", "sub": "ann", "client_id": "n26",
        "iat": NOW - 10, "exp": NOW + 300, "jti": "1", "cnf": {"x5t#S256": bound_to.x5t_s256()}
    });
    for (name, value) in others.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A good token of `bank` with such claims.
pub fn token(bound_to: &harness::Certificate, others: Value) -> String {
    Key::named("k1").jwt(&claims(bound_to, others))
}

/// The same leaf, valid for a year before and after the world's time, whatever the time is here.
pub fn valid(leaf: harness::Leaf) -> harness::Leaf {
    const YEAR: i64 = 365 * 24 * 3600;
    let ahead = NOW.cast_signed() - harness::now().cast_signed();
    leaf.valid(ahead - YEAR, ahead + YEAR)
}

/// A leaf that ends so many seconds after the world's time.
pub fn ending(seconds: i64) -> harness::Leaf {
    let ahead = NOW.cast_signed() - harness::now().cast_signed();
    harness::Leaf::client("bank").valid(ahead - 1000, ahead + seconds)
}

/// A leaf that is valid at the world's time.
pub fn leaf() -> harness::Leaf {
    valid(harness::Leaf::client("bank"))
}

/// The certificate of some client.
pub fn certificate() -> harness::Certificate {
    harness::Authority::new("test CA").issue(leaf())
}
