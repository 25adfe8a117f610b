//! The same with Keycloak: what its roles grant, what it has to be told, and a key of its own that is new.

use std::time::Duration;

use harness::{
    AUTHORITY, Algorithm, Authority, Certificate, Envoy, Hostname, Keycloak, Leaf, Request, SigningKey, Upstream,
};

use super::{Play, Row, Stage, heading, note, wallet};

pub struct WithKeycloak {
    stage: Stage,
    keycloak: Keycloak,
    bank: Certificate,
    insurer: Certificate,
    legacy: Certificate,
    thief: Certificate,
}

impl WithKeycloak {
    pub fn set() -> Self {
        let ca = Authority::new(AUTHORITY);
        let issue = |name: &str| ca.issue(Leaf::client(name));
        let (bank, insurer, legacy, thief) = (issue("bank"), issue("insurer"), issue("legacy"), issue("thief"));
        let keycloak = Keycloak::start(&ca, Hostname::Fixed);
        let upstream = Upstream::start();
        let trusted = ca.certificate.clone();
        let secret = [("KEYCLOAK_SECRET", keycloak.secret("my-api"))];
        let envoy =
            Envoy::start_example(ca, "keycloak.yaml", upstream.address(), keycloak.address(), &trusted, &secret);
        Self { stage: Stage { envoy, upstream }, keycloak, bank, insurer, legacy, thief }
    }

    /// Certificates and roles.
    fn callers(&self) -> Vec<Row> {
        let realm = self.keycloak.realm();
        let good = realm.token("bank", &self.bank);
        let light = realm.token("bank-light", &self.bank);
        let unbound = realm.token("legacy", &self.legacy);
        let of_insurer = realm.token("insurer", &self.insurer);
        let of_alice = realm.login(&self.bank).access_token;
        let [bank, insurer, legacy, thief] =
            [&self.bank, &self.insurer, &self.legacy, &self.thief].map(|certificate| Some(certificate.clone()));
        let row = |sent, by: &Option<Certificate>, request, status, reason| Row {
            sent,
            by: by.clone(),
            request,
            status,
            reason,
        };
        vec![
            row("the bank, its own token and certificate", &bank, prices(&good), 200, "granted"),
            row(
                "a thief, the bank's token, another certificate",
                &thief,
                prices(&good),
                401,
                "binding.other_certificate",
            ),
            row("a thief, the bank's token, no certificate", &None, prices(&good), 401, "binding.no_certificate"),
            row("a token that Keycloak did not bind", &legacy, prices(&unbound), 401, "binding.unbound"),
            row("a lightweight token: it names no audience", &bank, prices(&light), 401, "token.audience"),
            row("the bank's order, by a role of the client", &bank, order(&good), 200, "granted"),
            row("an insurer reads prices, by a role of the realm", &insurer, prices(&of_insurer), 200, "granted"),
            row("an insurer's order, without the role", &insurer, order(&of_insurer), 403, "policy.no_rule"),
            row("a user's order, where only clients may", &bank, order(&of_alice), 403, "policy.no_rule"),
            row("no token at all", &bank, Request::get("/prices/DE0007100000"), 401, "credential.missing"),
            row("nobody asks for the health of the service", &None, Request::get("/healthz"), 200, "public"),
        ]
    }

    /// One row of the bank's with this token.
    fn prices_row(&self, sent: &'static str, token: &str, status: u16, reason: &'static str) -> Row {
        Row { sent, by: Some(self.bank.clone()), request: prices(token), status, reason }
    }
}

fn order(token: &str) -> Request {
    Request::new("POST", "/orders").bearer(token).body("buy")
}

fn prices(token: &str) -> Request {
    Request::get("/prices/DE0007100000").bearer(token)
}

impl Play for WithKeycloak {
    fn stage(&self) -> &Stage {
        &self.stage
    }

    fn server(&self) -> &'static str {
        "Keycloak"
    }

    fn play(&self) -> usize {
        let realm = self.keycloak.realm();
        let short = realm.token("bank-short", &self.bank);
        heading();
        let mut wrong = self.stage.show(&self.callers());

        note("a wallet has no certificate: it proves with each request that it holds the key of its token (DPoP)");
        let key = SigningKey::new(Algorithm::Es256, "wallet");
        wrong += self.stage.show(&wallet(&key, &realm.dpop_token("wallet", None, &key)));

        note("Keycloak signs with a new key from now on; it is fetched for the first token that names it");
        realm.rotate("RS256");
        let new = realm.token("bank", &self.bank);
        wrong += self.stage.show(&[self.prices_row("the bank, a token by the new key", &new, 200, "granted")]);

        realm.revoke("bank", &new, &self.bank);
        note("the bank revokes that token; Keycloak is asked about orders, and its answer remembered for 2 s");
        let revoked = Row { request: order(&new), ..self.prices_row("an order, revoked", &new, 401, "token.inactive") };
        self.stage.until_status(&revoked, Duration::from_secs(5));
        wrong += self.stage.show(&[revoked]);

        note("a token of one second has ended; clocks may differ by 5 s, so this takes a moment");
        let expired = self.prices_row("an expired token", &short, 401, "token.expired");
        self.stage.until_status(&expired, Duration::from_secs(40));
        wrong + self.stage.show(&[expired])
    }

    fn to_try(&self) -> ([(&'static str, &Certificate); 2], String) {
        let login = format!("{}/protocol/openid-connect/token", self.keycloak.realm().issuer());
        let form = "-d grant_type=client_credentials -d client_id=bank";
        ([("bank", &self.bank), ("thief", &self.thief)], format!("bank -s {login} {form}"))
    }
}
