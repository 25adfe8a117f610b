//! A bank's certificate is issued by step-ca and renewed while its tokens, of node-oidc-provider, are in use: what goes on,
//! what ends, and what is said of it.
//!
//! `make test-step-ca` runs it; it needs two programs that Go builds.

use std::sync::OnceLock;
use std::time::Duration;

use harness::{
    Authority, Certificate, Envoy, OidcProvider, Options, Request, Response, StepCa, Tls, Upstream, now, top,
    wait_until,
};
use serde_json::{Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

const API: &str = "https://api.market.example";
const MISMATCH: &str = "Certificate binding mismatch: certificate renewed, or not the one this token was issued to";
const BANK: [&str; 2] = ["bank", "spiffe://bank.example/ns/banks/sa/bank"];
const INSURER: [&str; 2] = ["insurer", "spiffe://bank.example/ns/insurers/sa/insurer"];

/// The authority, the authorization server and the service, all of which know nothing of each other's secrets.
struct Stage {
    step: StepCa,
    ca: Authority,
    provider: OidcProvider,
    upstream: Upstream,
}

impl Stage {
    /// The one of all tests.
    fn get() -> &'static Self {
        static STAGE: OnceLock<Stage> = OnceLock::new();
        STAGE.get_or_init(|| {
            let (step, ca) = (StepCa::start(), Authority::new("server CA"));
            let provider = OidcProvider::start_for(&ca, &step.root);
            Self { step, ca, provider, upstream: Upstream::start() }
        })
    }

    /// A proxy that has seen no certificate yet. It trusts the root alone, and lets sessions be resumed.
    fn proxy(&self, document: &Value, cluster: &str, secret: &str) -> Envoy {
        let options = Options::new(document, self.upstream.address())
            .verified_cluster(cluster, self.provider.address(), &self.ca.certificate, "localhost")
            .variable(secret, &self.provider.rs_secret)
            .tls(Tls::Resuming);
        Envoy::start(self.ca.clone(), Options { clients: Some(self.step.root.clone()), ..options })
    }

    /// Banks by their SPIFFE ID may trade, and all may read prices.
    fn market(&self) -> Envoy {
        let document = json!({
            "issuers": [{"issuer": self.provider.issuer(), "name": "login", "audiences": [API], "leeway": "5s",
                         "jwks": {"cluster": "login", "path": "/jwks"}}],
            "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
            "routes": [
                {"name": "prices", "path": "/prices", "allow": [{"scopes": ["prices.read"]}]},
                {"name": "orders", "path": "/orders",
                 "allow": [{"certificate": {"spiffe_id": "spiffe://bank.example/ns/banks/sa/*"}, "scopes": ["prices.read"]}]}
            ]
        });
        self.proxy(&document, "login", "UNUSED")
    }

    fn token(&self, client: &str, certificate: &Certificate) -> String {
        self.provider.token(client, certificate, "prices.read", API)
    }
}

fn orders(token: &str) -> Request {
    Request::get("/orders").bearer(token)
}

/// The status, and the challenge if there is one.
fn told(answer: &Response) -> (u16, Vec<String>) {
    (answer.status, answer.values("www-authenticate"))
}

fn refused(description: &str) -> (u16, Vec<String>) {
    let challenge = format!(r#"Bearer realm="holdfast", error="invalid_token", error_description="{description}""#);
    (401, vec![challenge])
}

const PASSES: (u16, Vec<String>) = (200, Vec::new());

/// The reasons of all requests so far.
fn reasons(envoy: &Envoy) -> Vec<String> {
    let reason = |line: &String| line.split(' ').nth(3).unwrap_or_default().to_owned();
    envoy.settled_access_log().iter().map(reason).collect()
}

/// The key, the names and the last second of a certificate.
fn facts(certificate: &Certificate) -> (Vec<u8>, Vec<String>, u64) {
    let (_, parsed) = X509Certificate::from_der(&certificate.der).expect("a certificate");
    let names = parsed.subject_alternative_name().expect("one extension").expect("names");
    let names = names.value.general_names.iter().map(ToString::to_string).collect();
    let ends = u64::try_from(parsed.validity().not_after.timestamp()).expect("after 1970");
    (parsed.public_key().raw.to_vec(), names, ends)
}

fn wait_for(moment: u64) {
    assert!(wait_until(Duration::from_secs(90), || now() >= moment), "the clock goes on");
}

#[test]
fn a_renewal_ends_the_token_for_the_new_certificate_and_not_for_the_connections_of_the_old() {
    let stage = Stage::get();
    let envoy = stage.market();
    let insurer = stage.step.issue(&INSURER, "5m");
    let insurers = stage.token("insurer", &insurer);
    let mut long_lived = envoy.client(&insurer).open().expect("a connection");
    let prices = Request::get("/prices").bearer(&insurers);
    assert_eq!(told(&long_lived.send(&prices).expect("an answer")), PASSES);

    let first = stage.step.issue(&BANK, "30s");
    let old = envoy.client(&first).resuming();
    let token_1 = stage.token("bank", &first);
    let mut connection = old.open().expect("a connection");
    assert_eq!(told(&connection.send(&orders(&token_1)).expect("an answer")), PASSES);

    let second = stage.step.renew(&first).expect("a certificate");
    let ((key_1, names_1, ends), (key_2, names_2, _)) = (facts(&first), facts(&second));
    assert_eq!((&key_1, &names_1), (&key_2, &names_2));
    assert_ne!(first.x5t_s256(), second.x5t_s256());
    let token_2 = stage.token("bank", &second);

    // The client has its new certificate, and its library takes up the old session.
    let mut resumed = old.open().expect("a connection");
    assert_eq!(told(&resumed.send(&orders(&token_2)).expect("an answer")), refused(MISMATCH));
    assert!(resumed.session().expect("TLS").resumed);

    let new = envoy.client(&second);
    assert_eq!(told(&new.send(&orders(&token_1))), refused(MISMATCH));
    assert_eq!(told(&new.send(&orders(&token_2))), PASSES);
    // From here on the worker knows the certificate of the token, and so what the matter is.
    assert_eq!(told(&resumed.send(&orders(&token_2)).expect("an answer")), refused(MISMATCH));
    assert_eq!(told(&connection.send(&orders(&token_1)).expect("an answer")), PASSES);
    assert_eq!(told(&resumed.send(&orders(&token_1)).expect("an answer")), PASSES);
    assert!(now() <= ends, "all that was before the end");

    wait_for(ends + 1);
    let expired = refused("Client certificate expired");
    assert_eq!(told(&connection.send(&orders(&token_1)).expect("an answer")), expired);
    assert_eq!(told(&resumed.send(&orders(&token_1)).expect("an answer")), expired);
    assert_eq!(told(&long_lived.send(&prices).expect("an answer")), PASSES);
    let expected = [
        "granted",
        "granted",
        "binding.resumed_session",
        "binding.renewed_certificate",
        "granted",
        "binding.renewed_certificate",
        "granted",
        "granted",
        "binding.expired_certificate",
        "binding.expired_certificate",
        "granted",
    ];
    assert_eq!(reasons(&envoy), expected);
    assert!(envoy.client(&first).try_send(&orders(&token_1)).is_err(), "there is no handshake with it any more");
    let error = stage.step.renew(&first).expect_err("who comes too late needs another");
    assert_eq!(error.lines().next(), Some("error validating renew token"));
}

#[test]
fn a_worker_knows_a_renewal_by_the_certificate_before_it_and_a_thief_by_none() {
    let stage = Stage::get();
    let envoy = stage.market();
    let first = stage.step.issue(&BANK, "5m");
    let token = stage.token("bank", &first);
    let renewed = stage.step.renew(&first).expect("a certificate");
    let rekeyed = stage.step.rekey(&renewed).expect("a certificate");
    assert_ne!(facts(&renewed).0, facts(&rekeyed).0);
    assert_eq!(facts(&renewed).1, facts(&rekeyed).1);
    let insurer = stage.step.issue(&INSURER, "5m");
    let table = [
        ("not seen yet", &renewed, refused(MISMATCH), "binding.other_certificate"),
        ("its own", &first, PASSES, "granted"),
        ("of the same key", &renewed, refused(MISMATCH), "binding.renewed_certificate"),
        ("of the same names", &rekeyed, refused(MISMATCH), "binding.renewed_certificate"),
        ("of another", &insurer, refused(MISMATCH), "binding.other_certificate"),
    ];
    for (name, certificate, expected, _) in &table {
        assert_eq!(told(&envoy.client(certificate).send(&orders(&token))), *expected, "{name}");
    }
    assert_eq!(reasons(&envoy), table.map(|(.., reason)| reason));
}

#[test]
fn a_rule_by_spiffe_id_holds_for_each_certificate_of_the_bank_and_for_no_insurer() {
    let stage = Stage::get();
    let envoy = stage.market();
    let send = |client: &str, certificate: &Certificate, path: &str| {
        let token = stage.token(client, certificate);
        envoy.client(certificate).send(&Request::get(path).bearer(&token)).status
    };
    let first = stage.step.issue(&BANK, "5m");
    let renewed = stage.step.renew(&first).expect("a certificate");
    let rekeyed = stage.step.rekey(&renewed).expect("a certificate");
    for (name, certificate) in [("issued", &first), ("renewed", &renewed), ("rekeyed", &rekeyed)] {
        assert_eq!(send("bank", certificate, "/orders"), 200, "{name}");
    }
    let insurer = stage.step.issue(&INSURER, "5m");
    let insurer = stage.step.renew(&insurer).expect("a certificate");
    assert_eq!(send("insurer", &insurer, "/prices"), 200);
    assert_eq!(send("insurer", &insurer, "/orders"), 403);
    let mesh = stage.step.issue(&["bank", "spiffe://other.example/ns/banks/sa/bank"], "5m");
    assert_eq!(send("bank", &mesh, "/prices"), 200);
    assert_eq!(send("bank", &mesh, "/orders"), 403, "another trust domain");
    assert_eq!(
        reasons(&envoy),
        ["granted", "granted", "granted", "granted", "policy.no_rule", "granted", "policy.no_rule"]
    );
}

#[test]
fn a_leaf_without_the_certificate_between_it_and_the_root_gets_no_connection() {
    let stage = Stage::get();
    let envoy = stage.market();
    let bank = stage.step.issue(&BANK, "5m");
    let token = stage.token("bank", &bank);
    let (leaf, between) = bank.cert_pem.split_once("-----END CERTIFICATE-----\n").expect("two certificates");
    assert_eq!(between.matches("BEGIN CERTIFICATE").count(), 1);
    let alone = Certificate::read(format!("{leaf}-----END CERTIFICATE-----\n"), bank.key_pem.clone());
    assert_eq!(alone.der, bank.der);
    assert!(envoy.client(&alone).try_send(&orders(&token)).is_err());
    assert_eq!(envoy.client(&bank).send(&orders(&token)).status, 200);
}

/// `envoy/policies/step-ca.yaml`, in which nothing is changed but the issuer's address.
#[test]
fn an_unbound_token_outlives_renewals_where_its_client_is_known_by_the_address_in_the_certificate() {
    let stage = Stage::get();
    let policy = std::fs::read_to_string(top().join("envoy/policies/step-ca.yaml")).expect("the policy");
    let policy = policy.replace("https://op.internal.example", &stage.provider.issuer());
    let envoy = stage.proxy(&harness::yaml(&policy).expect("YAML"), "op", "OP_SECRET");
    let curl = stage.step.issue(&["curl@internal"], "5m");
    let token = stage.provider.token("curl@internal", &curl, "prices.read", "urn:rs:internal");
    let renewed = stage.step.renew(&curl).expect("a certificate");
    let rekeyed = stage.step.rekey(&renewed).expect("a certificate");
    let wget = stage.step.issue(&["wget@internal"], "5m");
    let table = [
        ("issued", &curl, PASSES, "granted"),
        ("renewed", &renewed, PASSES, "granted"),
        ("rekeyed", &rekeyed, PASSES, "granted"),
        ("of another client", &wget, refused(MISMATCH), "binding.other_client_certificate"),
    ];
    for (name, certificate, expected, _) in &table {
        assert_eq!(told(&envoy.client(certificate).send(&orders(&token))), *expected, "{name}");
    }
    assert_eq!(reasons(&envoy), table.map(|(.., reason)| reason));
}
