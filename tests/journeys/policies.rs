//! The policies of `envoy/policies`, each with the requests that it is written for and those that it is written against.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Algorithm, Authority, Certificate, Leaf, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::proof::Holder;
use super::world::{
    Ask, Key, NOW, PASSES, World, answered, certificate, claims, get, leaf, ok, request, token, told, valid,
};

#[test]
fn no_policy_is_without_its_requests() {
    for entry in std::fs::read_dir(harness::top().join("envoy/policies")).unwrap() {
        let file = entry.unwrap().file_name().into_string().unwrap();
        let loads = format!("policy(\"{}\"", file.strip_suffix(".yaml").unwrap());
        assert!(include_str!("policies.rs").contains(&loads), "{file}");
    }
}

fn with_id(ids: &[&str]) -> Certificate {
    issued(ids.iter().fold(leaf(), |leaf, id| leaf.uri(id)))
}

fn issued(leaf: Leaf) -> Certificate {
    Authority::new("test CA").issue(leaf)
}

/// Sends each request and compares status and reason.
fn each<const ROWS: usize>(world: &mut World, table: [(&str, Ask, (u16, &'static str)); ROWS]) {
    for (name, request, expected) in table {
        assert_eq!(world.verdict(&request), expected, "{name}");
    }
}

/// A policy that is warned of nothing.
fn policy(name: &str) -> World {
    let world = World::of_policy(name, None);
    assert_eq!(world.warnings, Vec::<String>::new(), "{name}");
    world
}

/// An issuer whose tokens are not of RFC 9068: Keycloak with its defaults.
struct Keycloak {
    key: SigningKey,
    issuer: &'static str,
    audience: &'static str,
}

impl Keycloak {
    fn serving(world: &mut World, issuer: &'static str, audience: &'static str) -> Self {
        let key = SigningKey::new(Algorithm::Rs256, "k1");
        world.keys.insert("keycloak".into(), ok(json!({"keys": [key.jwk()]})));
        Self { key, issuer, audience }
    }

    fn token(&self, others: Value) -> String {
        let mut claims =
            json!({"iss": self.issuer, "aud": self.audience, "typ": "Bearer", "iat": NOW, "exp": NOW + 60});
        claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        self.key.mint(json!({"typ": "JWT"}), &claims)
    }
}

const CUSTOMERS: &str = "https://login.data.example/realms/customers";

#[test]
fn banks_read_prices_with_the_token_of_their_certificate() {
    let mut world = policy("market-data");
    let keycloak = Keycloak::serving(&mut world, CUSTOMERS, "market-data");
    let (ours, theirs) = (certificate(), certificate());
    let ask = |method: &str, scope: &str| {
        let claims = json!({"azp": "n26", "scope": scope, "cnf": {"x5t#S256": ours.x5t_s256()}});
        request(method, "/instruments/DE0001/prices").bearer(&keycloak.token(claims))
    };
    let good = ask("GET", "email prices.read");
    let table = [
        ("right certificate", good.clone().certificate(&ours), PASSES),
        ("stolen: another certificate", good.clone().certificate(&theirs), (401, "binding.other_certificate")),
        ("no certificate", good, (401, "binding.no_certificate")),
        ("no scope", ask("GET", "email").certificate(&ours), (403, "token.scope")),
        ("HEAD is not GET", ask("HEAD", "prices.read").certificate(&ours), (403, "policy.no_route")),
    ];
    each(&mut world, table);
}

#[test]
fn unbound_tokens_need_the_certificate_of_their_client() {
    let mut world = policy("clients-by-certificate-name");
    let keycloak = Keycloak::serving(&mut world, CUSTOMERS, "market-data");
    const ORGANIZATION: &[u64] = &[2, 5, 4, 10];
    let n26 = issued(valid(Leaf::client("api-client").attribute(ORGANIZATION, "N26 Bank")));
    let revolut = issued(leaf().dns("dr.revolut.example"));
    let other_name = issued(valid(Leaf::client("api").attribute(ORGANIZATION, "N26 Bank")));
    let of = |client: &str, cnf: Option<&Certificate>| {
        let mut claims = json!({"azp": client, "scope": "prices.read"});
        if let Some(certificate) = cnf {
            claims["cnf"] = json!({"x5t#S256": certificate.x5t_s256()});
        }
        get("/instruments/DE0001").bearer(&keycloak.token(claims))
    };
    let stolen = (401, "binding.other_client_certificate");
    let table = [
        ("n26 with its certificate", of("n26", None).certificate(&n26), PASSES),
        ("half of the subject is not enough", of("n26", None).certificate(&other_name), stolen),
        ("n26's token, revolut's certificate", of("n26", None).certificate(&revolut), stolen),
        ("n26's token, no certificate", of("n26", None), (401, "binding.no_certificate")),
        ("revolut with one of its names", of("revolut", None).certificate(&revolut), PASSES),
        ("a client nobody listed", of("other", None).certificate(&n26), (401, "binding.unbound")),
        ("bound after all: cnf decides", of("n26", Some(&revolut)).certificate(&revolut), PASSES),
        (
            "bound after all, and stolen",
            of("n26", Some(&revolut)).certificate(&n26),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
    let told = world.send(&of("n26", None).certificate(&n26));
    assert_eq!(told.facts["binding"], "client_certificate");
}

#[test]
fn about_every_token_for_personal_data_keycloak_is_asked() {
    let mut world = policy("personal-data");
    let keycloak = Keycloak::serving(&mut world, CUSTOMERS, "market-data");
    let ours = certificate();
    let of = |others: Value| {
        let mut claims = json!({"azp": "n26", "clientHost": "192.0.2.1", "cnf": {"x5t#S256": ours.x5t_s256()},
                                "resource_access": {"market-data": {"roles": ["pii-reader"]}}});
        claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        claims
    };
    let contract = of(json!({}));
    let user = of(json!({"clientHost": null, "sub": "ann"}));
    let user =
        Value::Object(user.as_object().unwrap().clone().into_iter().filter(|(_, said)| !said.is_null()).collect());
    let [contract_token, user_token] = [&contract, &user].map(|claims| keycloak.token(claims.clone()));
    for (token, claims) in [(&contract_token, &contract), (&user_token, &user)] {
        // It adds its own word for the client, and says when the token ends.
        let mut said = json!({"active": true, "token_type": "Bearer", "client_id": "n26", "iss": CUSTOMERS,
                              "aud": "market-data", "exp": NOW + 60, "iat": NOW});
        said.as_object_mut().unwrap().extend(claims.as_object().unwrap().clone());
        world.introspect(token, said);
    }
    let ask = |path: &str, token: &str| get(path).bearer(token).certificate(&ours);
    let table = [
        ("contract", ask("/persons/1", &contract_token), PASSES),
        ("a user with the role", ask("/persons/1", &user_token), (403, "policy.no_rule")),
        ("the bare /persons too", ask("/persons", &user_token), (403, "policy.no_rule")),
        (
            "stolen",
            get("/persons/1").bearer(&contract_token).certificate(&certificate()),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
    let asked = world.asked.iter().filter(|asked| asked.ends_with("/introspect")).count();
    assert_eq!(asked, 4, "about every single one");
    world.introspect(&contract_token, json!({"active": false}));
    assert_eq!(world.verdict(&ask("/persons/1", &contract_token)), (401, "token.inactive"), "revoked a moment ago");
}

/// A bank by FAPI 2.0: it tells its paths, and signs its tokens and what it says about them.
struct OpenBank {
    key: SigningKey,
    /// What it says about each token; others are not active.
    said: Rc<RefCell<HashMap<String, Value>>>,
}

impl OpenBank {
    const ISSUER: &str = "https://auth.ob.example";
    const API: &str = "https://api.ob.example";

    fn serving(world: &mut World) -> Self {
        let key = SigningKey::new(Algorithm::Ps256, "k1");
        let metadata = json!({"issuer": Self::ISSUER, "jwks_uri": format!("{}/keys", Self::ISSUER),
                          "introspection_endpoint": format!("{}/introspect", Self::ISSUER)});
        world.metadata.insert("auth/.well-known/openid-configuration".into(), ok(metadata));
        world.keys.insert("auth".into(), ok(json!({"keys": [key.jwk()]})));
        let said = Rc::<RefCell<HashMap<String, Value>>>::default();
        let (knows, signs) = (Rc::clone(&said), key.clone());
        world.answers = Some(Box::new(move |id| {
            let asked = String::from_utf8(id.body.to_vec()).unwrap();
            let token = asked.strip_prefix("token=").unwrap().split('&').next().unwrap();
            let of = knows.borrow().get(token).cloned().unwrap_or_else(|| json!({"active": false}));
            let whole = json!({"iss": Self::ISSUER, "aud": "rs", "iat": NOW, "token_introspection": of});
            let signed = signs.mint(json!({"typ": "token-introspection+jwt"}), &whole);
            told(200, "application/token-introspection+jwt", "", &signed)
        }));
        Self { key, said }
    }

    fn token(&self, cnf: &Value, others: Value) -> String {
        let mut claims = json!({"iss": Self::ISSUER, "aud": Self::API, "sub": "ann", "client_id": "tpp", "iat": NOW,
                                "exp": NOW + 600, "scope": "accounts payments", "cnf": cnf});
        claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        claims["jti"] = json!(self.said.borrow().len().to_string());
        let token = self.key.mint(json!({"typ": "at+jwt"}), &claims);
        claims["active"] = json!(true);
        self.said.borrow_mut().insert(token.clone(), claims);
        token
    }
}

#[test]
fn by_fapi_2_either_binding_serves_and_a_withdrawn_consent_ends_it() {
    let mut world = policy("fapi2");
    let bank = OpenBank::serving(&mut world);
    let (ours, thief) = (certificate(), certificate());
    let token = |others: Value| bank.token(&json!({"x5t#S256": ours.x5t_s256()}), others);
    let sca = json!({"acr": "urn:openbanking:psd2:sca"});
    let balances = |token: &str| get("/accounts/7/balances").bearer(token).certificate(&ours);
    let pay = |token: &str| request("POST", "/domestic-payments").bearer(token).certificate(&ours);
    let (good, strong) = (token(json!({})), token(sca.clone()));
    let table = [
        ("balances", balances(&good), PASSES),
        ("payment", pay(&strong), PASSES),
        ("payment without SCA", pay(&good), (401, "token.step_up")),
        (
            "payment without the scope",
            pay(&token(json!({"scope": "accounts", "acr": sca["acr"]}))),
            (403, "token.scope"),
        ),
        ("a machine", balances(&token(json!({"sub": "tpp"}))), (403, "policy.no_rule")),
        ("eleven minutes", balances(&token(json!({"exp": NOW + 660}))), (401, "token.lifetime")),
        ("stolen", balances(&good).certificate(&thief), (401, "binding.other_certificate")),
        ("bound to nothing", balances(&bank.token(&json!({}), json!({}))), (401, "token.confirmation")),
        ("a path that nobody wrote", get("/accounts/7").bearer(&good).certificate(&ours), (403, "policy.no_route")),
    ];
    each(&mut world, table);
    let documents =
        ["openid-configuration", "oauth-authorization-server"].map(|name| format!("auth/.well-known/{name}"));
    assert_eq!(world.asked[..2], documents);
    assert_eq!(world.asked[2..4], ["auth/keys", "auth/introspect"]);

    let (holder, other) = (Holder::named("wallet"), Holder::named("thief"));
    let bound = bank.token(&json!({"jkt": holder.jkt()}), sca);
    let proof = |of: &'static str, jti: &str, nonce: &str| {
        let holder = if of == "ours" { &holder } else { &other };
        let proof = holder.proof("/domestic-payments", &bound, jti).claim("htm", "POST").claim("nonce", nonce);
        proof.claim("htu", format!("{}/domestic-payments", OpenBank::API)).sign()
    };
    let pay = |proof: &str| request("POST", "/domestic-payments").dpop(&bound, proof);
    let first = world.send(&pay(&proof("ours", "1", "none of ours")));
    assert_eq!((first.status, first.reason), (401, "nonce.unknown"));
    let nonce = first.nonce.expect("a nonce");
    let table = [
        ("with the nonce", pay(&proof("ours", "2", &nonce)), PASSES),
        ("the same proof again", pay(&proof("ours", "2", &nonce)), (401, "proof.replayed")),
        ("another's proof", pay(&proof("thief", "3", &nonce)), (401, "binding.other_key")),
        ("as Bearer", request("POST", "/domestic-payments").bearer(&bound), (401, "binding.bearer_downgrade")),
    ];
    each(&mut world, table);

    bank.said.borrow_mut().remove(&good);
    assert_eq!(world.verdict(&balances(&good)), PASSES, "for five seconds");
    world.later(5);
    assert_eq!(world.verdict(&balances(&good)), (401, "token.inactive"), "the consent was withdrawn");
    let at = r#"resource_metadata="https://api.ob.example/.well-known/oauth-protected-resource""#;
    let challenge = world.send(&balances(&good)).challenge.expect("a challenge");
    assert!(challenge.starts_with(r#"Bearer realm="ob""#) && challenge.contains(at), "{challenge}");
}

#[test]
fn in_brasil_a_payment_takes_the_strongest_login_and_a_consent_can_be_withdrawn() {
    const LOA2: &str = "urn:brasil:openbanking:loa2";
    const LOA3: &str = "urn:brasil:openbanking:loa3";
    let mut world = policy("open-finance-brasil");
    let key = SigningKey::new(Algorithm::Ps256, "k1");
    world.keys.insert("auth".into(), ok(json!({"keys": [key.jwk()]})));
    let ours = certificate();
    let mut number = 0;
    let mut token = |acr: &str, lifetime: u64, sub: &str| {
        number += 1;
        let claims = json!({"iss": "https://auth.banco.example", "aud": "https://api.banco.example", "sub": sub,
                            "client_id": "tpp", "jti": number.to_string(), "iat": NOW - 10, "exp": NOW - 10 + lifetime,
                            "scope": "accounts payments", "acr": acr, "cnf": {"x5t#S256": ours.x5t_s256()}});
        let token = key.mint(json!({"typ": "at+jwt"}), &claims);
        let mut said = claims;
        said["active"] = json!(true);
        world.introspect(&token, said);
        token
    };
    let [low, high] = [LOA2, LOA3].map(|acr| token(acr, 900, "ana"));
    let (long, machine) = (token(LOA3, 1200, "ana"), token(LOA3, 900, "tpp"));
    let accounts = |token: &str| get("/open-banking/accounts/v2/accounts").bearer(token).certificate(&ours);
    let pix = |token: &str| request("POST", "/open-banking/payments/v4/pix/payments").bearer(token).certificate(&ours);
    let table = [
        ("accounts", accounts(&low), PASSES),
        ("pix", pix(&high), PASSES),
        ("pix with loa2", pix(&low), (401, "token.step_up")),
        ("twenty minutes", accounts(&long), (401, "token.lifetime")),
        ("machine", accounts(&machine), (403, "policy.no_rule")),
        ("stolen", accounts(&low).certificate(&certificate()), (401, "binding.other_certificate")),
    ];
    each(&mut world, table);
    world.introspect(&low, json!({"active": false}));
    assert_eq!(world.verdict(&accounts(&low)), PASSES, "for five seconds");
    world.later(5);
    assert_eq!(world.verdict(&accounts(&low)), (401, "token.inactive"), "the consent was withdrawn");
}

#[test]
fn users_see_the_reports_of_their_own_department() {
    let mut world = policy("departments");
    let ours = certificate();
    let ask = |path: &str, others: Value| get(path).bearer(&token(&ours, others)).certificate(&ours);
    let viewer = |department: Value| json!({"roles": ["report-viewer"], "department": department});
    let table = [
        ("own", ask("/departments/sales/reports/1", viewer(json!("sales"))), PASSES),
        ("other", ask("/departments/legal/reports/1", viewer(json!("sales"))), (403, "policy.no_rule")),
        ("auditor", ask("/departments/legal/reports/1", json!({"roles": "auditor"})), PASSES),
        ("a list", ask("/departments/sales/reports/1", viewer(json!(["sales"]))), (403, "policy.no_rule")),
        ("encoded letters", ask("/departments/s%61les/reports/1", viewer(json!("sales"))), PASSES),
        ("encoded slash", ask("/departments/a%2Fb/reports/1", viewer(json!("a/b"))), (403, "policy.no_route")),
    ];
    each(&mut world, table);
}

#[test]
fn moving_money_wants_a_fresh_login_with_a_passkey() {
    let mut world = policy("step-up");
    let ours = certificate();
    let transfer = |others: Value| request("POST", "/transfers").bearer(&token(&ours, others)).certificate(&ours);
    let login = |acr: &str, ago: u64| json!({"scope": "transfers", "acr": acr, "auth_time": NOW - ago});
    let machine = |scope: &str| json!({"sub": "n26", "scope": scope});
    let table = [
        (
            "looking",
            get("/transfers/1").bearer(&token(&ours, json!({"scope": "transfers.read"}))).certificate(&ours),
            PASSES,
        ),
        ("fresh passkey", transfer(login("phr", 299)), PASSES),
        ("the other passkey", transfer(login("phrh", 0)), PASSES),
        ("password only", transfer(login("pwd", 10)), (401, "token.step_up")),
        ("passkey of this morning", transfer(login("phr", 7200)), (401, "token.step_up")),
        ("no word of the login", transfer(json!({"scope": "transfers"})), (401, "token.step_up")),
        ("machine", transfer(machine("transfers.batch")), PASSES),
        ("machine with the users' scope", transfer(machine("transfers")), (403, "token.scope")),
    ];
    each(&mut world, table);
    let begin = r#"Bearer realm="holdfast", error="insufficient_user_authentication", error_description="#;
    for (claims, rest) in [
        (login("pwd", 10), r#""A different authentication level is required", acr_values="phr phrh", max_age="300""#),
        (login("phr", 7200), r#""More recent authentication is required", acr_values="phr phrh", max_age="300""#),
        (
            json!({"acr": "pwd", "auth_time": NOW}),
            r#""A different authentication level is required", acr_values="phr phrh", max_age="300", scope="transfers""#,
        ),
    ] {
        assert_eq!(world.send(&transfer(claims)).challenge, Some(format!("{begin}{rest}")));
    }
    let own = world.send(&transfer(machine("transfers"))).challenge.unwrap();
    assert!(own.ends_with(r#"scope="transfers.batch""#), "{own}");
    let stolen = transfer(login("pwd", 10)).certificate(&certificate());
    assert_eq!(world.verdict(&stolen), (401, "binding.other_certificate"), "a thief learns nothing of logins");
}

#[test]
fn users_clients_and_delegates_are_told_apart() {
    let mut world = policy("users-clients-delegates");
    let ours = certificate();
    let orders = |others: Value| get("/users/ann/orders/7").bearer(&token(&ours, others)).certificate(&ours);
    let batch = |others: Value| request("POST", "/batches").bearer(&token(&ours, others)).certificate(&ours);
    let own = json!({"sub": "n26", "scope": "orders.batch"});
    let refused = (403, "policy.no_rule");
    let table = [
        ("own", orders(json!({"sub": "ann"})), PASSES),
        ("another's", orders(json!({"sub": "bob"})), refused),
        ("client called ann", orders(json!({"sub": "ann", "client_id": "ann"})), refused),
        ("delegate that is named", orders(json!({"sub": "ann", "act": {"sub": "callcentre"}})), PASSES),
        ("delegate that is not", orders(json!({"sub": "ann", "act": {"sub": "tool"}})), refused),
        (
            "who acted earlier counts for nothing",
            orders(json!({"sub": "ann", "act": {"sub": "tool", "act": {"sub": "callcentre"}}})),
            refused,
        ),
        ("batch", batch(own), PASSES),
        ("a user with the machines' scope", batch(json!({"scope": "orders.batch"})), refused),
    ];
    each(&mut world, table);
}

#[test]
fn only_the_backend_for_the_browser_may_call() {
    let mut world = policy("backend-for-frontend");
    let bff = with_id(&["spiffe://shop.example/ns/web/sa/bff"]);
    let other = with_id(&["spiffe://shop.example/ns/web/sa/other"]);
    let of = |client: &str| {
        let claims = json!({"iss": "https://login.shop.example", "aud": "https://api.shop.example", "client_id": client, "scope": "shop"});
        get("/api/carts").bearer(&token(&bff, claims))
    };
    let table = [
        ("bff", of("web-bff").certificate(&bff), PASSES),
        ("its token from another workload", of("web-bff").certificate(&other), (401, "binding.other_certificate")),
        ("another client on the bff's certificate", of("app").certificate(&bff), (403, "policy.no_rule")),
    ];
    each(&mut world, table);
}

#[test]
fn a_renewed_certificate_keeps_the_address_of_its_client() {
    let mut world = policy("step-ca");
    let ours = || issued(leaf().email("curl@internal"));
    let said = |lifetime: u64| {
        json!({"active": true, "aud": "urn:rs:internal", "client_id": "curl@internal", "token_type": "Bearer",
               "iat": NOW, "exp": NOW + lifetime})
    };
    world.introspect("short", said(600));
    world.introspect("long", said(3600));
    let table = [
        ("before renewal", get("/x").bearer("short").certificate(&ours()), PASSES),
        ("after renewal", get("/x").bearer("short").certificate(&ours()), PASSES),
        (
            "another client",
            get("/x").bearer("short").certificate(&issued(leaf().email("wget@internal"))),
            (401, "binding.other_client_certificate"),
        ),
        ("an hour long", get("/x").bearer("long").certificate(&ours()), (401, "token.lifetime")),
    ];
    each(&mut world, table);
    let asked = world.asked.len();
    assert_eq!(world.verdict(&get("/x").bearer("new")), (401, "binding.no_certificate"));
    assert_eq!(world.asked.len(), asked, "nobody is asked about a token that no certificate stands beside");
}

#[test]
fn organizations_see_their_own_incidents_by_role() {
    let mut world = policy("organizations");
    let keycloak = Keycloak::serving(&mut world, "https://keycloak.finsec.example/realms/finsec", "api-gateway");
    let ours = certificate();
    let ask = |method: &str, organization: &str, role: &str| {
        let claims =
            json!({"azp": "siem", "x_organization": "acme ag", "x_role": role, "cnf": {"x5t#S256": ours.x5t_s256()}});
        let path = format!("/organizations/{organization}/incidents");
        request(method, &path).bearer(&keycloak.token(claims)).certificate(&ours)
    };
    let table = [
        ("operator reads as an analyst", ask("GET", "acme%20ag", "operator"), PASSES),
        ("operator writes", ask("POST", "acme%20ag", "operator"), PASSES),
        ("analyst may not write", ask("POST", "acme%20ag", "analyst"), (403, "policy.no_rule")),
        ("another organization", ask("GET", "globex", "operator"), (403, "policy.no_rule")),
        ("a role this issuer may not assert", ask("GET", "acme%20ag", "admin"), (403, "policy.no_rule")),
    ];
    each(&mut world, table);
    let forged = ask("GET", "acme%20ag", "analyst").field("X_Organization", "globex").field("x-organization", "evil");
    let told = world.send(&forged);
    assert_eq!(told.removed, ["X_Organization", "x-organization"]);
    assert_eq!(told.added, [("x-organization".to_owned(), "acme%20ag".to_owned())]);
    assert_eq!(told.facts["organization"], "acme%20ag");
}

#[test]
fn the_token_belongs_to_the_organization_in_the_certificate() {
    let mut world = policy("berlin-group");
    const ORGANIZATION_IDENTIFIER: &[u64] = &[2, 5, 4, 97];
    let of = |id: &str| issued(leaf().attribute(ORGANIZATION_IDENTIFIER, id));
    let claims = json!({"client_id": "PSDDE-BAFIN-125314", "scope": "AIS", "cnf": null});
    let ask = get("/v1/consents/1").bearer(&token(&certificate(), claims));
    let table = [
        ("its own QWAC", ask.clone().certificate(&of("PSDDE-BAFIN-125314")), PASSES),
        ("another TPP's", ask.clone().certificate(&of("PSDFR-ACPR-12345")), (401, "binding.other_client_certificate")),
        ("a certificate without one", ask.certificate(&certificate()), (401, "binding.other_client_certificate")),
    ];
    each(&mut world, table);
}

#[test]
fn workloads_call_the_ledger_by_spiffe_id() {
    let mut world = policy("mesh-without-tokens");
    let read = |ids: &[&str]| get("/ledger/2026").certificate(&with_id(ids));
    let write = |book: &str, id: &str| request("POST", &format!("/ledger/{book}/entries")).certificate(&with_id(&[id]));
    let table = [
        ("reporting of any namespace", read(&["spiffe://bank.example/ns/fx/sa/reporting"]), PASSES),
        ("treasury", read(&["spiffe://bank.example/ns/treasury/sa/pay"]), PASSES),
        ("except the sandbox", read(&["spiffe://bank.example/ns/sandbox/sa/reporting"]), (403, "policy.denied")),
        ("another trust domain", read(&["spiffe://evil.example/ns/fx/sa/reporting"]), (403, "policy.no_rule")),
        (
            "two URI SANs are no SPIFFE certificate",
            read(&["spiffe://bank.example/ns/fx/sa/reporting", "spiffe://bank.example/ns/fx/sa/other"]),
            (403, "policy.no_rule"),
        ),
        ("each book by its own namespace", write("fx", "spiffe://bank.example/ns/fx/sa/booking"), PASSES),
        ("another's book", write("rates", "spiffe://bank.example/ns/fx/sa/booking"), (403, "policy.no_rule")),
        ("no certificate", get("/ledger/2026"), (403, "policy.no_rule")),
    ];
    each(&mut world, table);
}

#[test]
fn who_enters_a_payment_never_approves_one() {
    let mut world = policy("separation-of-duty");
    let ours = certificate();
    let ask = |method: &str, path: &str, others: Value| {
        request(method, path).bearer(&token(&ours, others)).certificate(&ours)
    };
    let has = |realm: &[&str], client: &[&str]| json!({"realm_access": {"roles": realm}, "resource_access": {"payments": {"roles": client}}});
    let approver = |employment: Value| {
        let mut claims = has(&[], &["approver"]);
        claims["employment"] = employment;
        ask("POST", "/payments/7/approval", claims)
    };
    let table = [
        ("payer", ask("POST", "/payments", has(&["payer"], &[])), PASSES),
        ("both", ask("POST", "/payments", has(&["payer"], &["approver"])), (403, "policy.exclusive_roles")),
        (
            "both, where only looking",
            ask("GET", "/payments/7", has(&["head", "approver"], &["payer"])),
            (403, "policy.exclusive_roles"),
        ),
        ("head sees what a clerk sees", ask("GET", "/payments/7", has(&["head"], &[])), PASSES),
        ("trainee", approver(json!("trainee")), (403, "policy.no_rule")),
        ("a list where a word was expected", approver(json!(["trainee"])), (403, "policy.no_rule")),
        ("approver", approver(json!("permanent")), PASSES),
    ];
    each(&mut world, table);
}

#[test]
fn tenants_are_kept_apart_by_host_and_issuer() {
    const UNBOUND: (u16, &str) = (0, "granted.unbound");
    let mut world = World::of_policy("multi-tenant", None);
    assert_eq!(
        world.warnings,
        [
            "binding: when_bound admits tokens that are good in anybody's hands; those that are bound are still held to it"
        ]
    );
    let entra = SigningKey::new(Algorithm::Rs256, "e1");
    world.keys.insert("entra".into(), ok(json!({"keys": [entra.jwk()]})));
    let (mine, theirs) = (certificate(), certificate());
    let of_acme = |role: &str| {
        let claims = json!({"iss": "https://login.microsoftonline.com/8f1c/v2.0", "aud": "api-saas", "sub": "bob", "azp": "app",
                            "iat": NOW, "exp": NOW + 60, "scp": "all", "roles": [role]});
        entra.mint(json!({"typ": "JWT"}), &claims)
    };
    let ours = |others: Value| {
        let mut claims = json!({"iss": "https://login.saas.example/realms/tenants", "aud": "https://saas.example"});
        claims.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        token(&mine, claims)
    };
    let member = |tenant: &str| ours(json!({"roles": "member", "tenant": tenant, "cnf": null}));
    let bound = ours(json!({"roles": "member", "tenant": "globex"}));
    let ask = |host: &str, path: &str, token: &str| get(path).host(host).bearer(token);
    let table = [
        ("member of globex", ask("globex.saas.example", "/x", &member("globex")), UNBOUND),
        ("at another tenant", ask("hooli.saas.example", "/x", &member("globex")), (403, "policy.no_rule")),
        ("acme's issuer at globex", ask("globex.saas.example", "/x", &of_acme("member")), (401, "token.issuer")),
        ("acme's issuer asserts support", ask("acme.saas.example", "/x", &of_acme("support")), (403, "policy.no_rule")),
        ("acme's admin", ask("acme.saas.example", "/admin/x", &of_acme("admin")), UNBOUND),
        ("a member is no admin", ask("acme.saas.example", "/admin/x", &of_acme("member")), (403, "policy.no_rule")),
        ("our support", ask("acme.saas.example", "/admin/x", &ours(json!({"roles": "support", "cnf": null}))), UNBOUND),
        ("a bound token of ours", ask("globex.saas.example", "/x", &bound).certificate(&mine), PASSES),
        (
            "a bound token of ours, stolen",
            ask("globex.saas.example", "/x", &bound).certificate(&theirs),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
    let told = world.send(&ask("acme.saas.example", "/x", &of_acme("member"))).added;
    let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let whose = own("x-issuer", "https://login.microsoftonline.com/8f1c/v2.0");
    assert_eq!(told, [whose, own("x-roles", "member"), own("x-subject", "bob")]);
}

#[test]
fn feeds_are_entitled_by_claim() {
    let mut world = policy("feeds");
    let ours = certificate();
    let ask = |method: &str, path: &str, mut others: Value| {
        others["scope"] = json!("feeds");
        request(method, path).bearer(&token(&ours, others)).certificate(&ours)
    };
    let xetra = json!({"entitlements": ["XETR", "XFRA"]});
    let table = [
        ("entitled", ask("GET", "/feeds/XETR/ticks", xetra.clone()), PASSES),
        ("not entitled", ask("GET", "/feeds/XNYS/ticks", xetra.clone()), (403, "policy.no_rule")),
        ("contains is never a substring", ask("GET", "/feeds/XET/ticks", xetra.clone()), (403, "policy.no_rule")),
        ("stream", ask("POST", "/feed.v1.Quotes/Subscribe", json!({"plan": "streaming"})), PASSES),
        (
            "another method",
            ask("POST", "/feed.v1.Quotes/Publish", json!({"plan": "streaming"})),
            (403, "policy.no_route"),
        ),
        (
            "stopped",
            ask("GET", "/feeds/XETR/ticks", json!({"client_id": "leaky-trading", "entitlements": ["XETR"]})),
            (403, "policy.denied"),
        ),
        ("health", request("POST", "/grpc.health.v1.Health/Check"), (0, "public")),
    ];
    each(&mut world, table);
}

#[test]
fn health_is_public_and_metrics_are_for_prometheus() {
    let (prometheus, old) = (with_id(&["spiffe://cluster.local/ns/monitoring/sa/prometheus"]), certificate());
    let mut world = World::of_policy("health-and-metrics", Some(&old));
    assert_eq!(world.warnings, Vec::<String>::new());
    let table = [
        ("kubelet", get("/healthz").plaintext(), (0, "public")),
        ("POST", request("POST", "/healthz"), (403, "policy.no_route")),
        ("a slash more", get("/healthz/"), (0, "public")),
        ("metadata", get("/.well-known/oauth-protected-resource/x"), (0, "public")),
        ("scrape", get("/metrics").certificate(&prometheus), PASSES),
        ("the old scraper", get("/metrics").certificate(&old), PASSES),
        ("anybody", get("/metrics").certificate(&certificate()), (403, "policy.no_rule")),
    ];
    each(&mut world, table);
}

#[test]
fn clients_move_to_bound_tokens_one_by_one() {
    let mut world = World::of_policy("migration", None);
    let told = "routes[quotes].binding: when_bound admits tokens that are good in anybody's hands; those that are bound are still held to it";
    assert_eq!(world.warnings, [told]);
    let (ours, theirs) = (certificate(), certificate());
    let unbound = |client: &str| token(&ours, json!({"client_id": client, "scope": "quotes orders", "cnf": null}));
    let moved = token(&ours, json!({"client_id": "n26", "scope": "quotes"}));
    let table = [
        ("moved", get("/quotes/1").bearer(&moved).certificate(&ours), PASSES),
        ("moved, but an unbound token", get("/quotes/1").bearer(&unbound("n26")), (403, "policy.no_rule")),
        ("moved, and stolen", get("/quotes/1").bearer(&moved).certificate(&theirs), (401, "binding.other_certificate")),
        ("not moved", get("/quotes/1").bearer(&unbound("oldbank")), (0, "granted.unbound")),
        (
            "new routes are strict",
            get("/orders/1").bearer(&unbound("oldbank")).certificate(&ours),
            (401, "binding.unbound"),
        ),
    ];
    each(&mut world, table);
}

#[test]
fn one_api_takes_certificates_at_one_address_and_proofs_at_the_other() {
    let mut world = policy("two-addresses");
    let (ann, ours) = (Holder::named("ann"), certificate());
    let by_key = token(&ours, json!({"scope": "accounts", "cnf": {"jkt": ann.jkt()}}));
    let by_certificate = token(&ours, json!({"scope": "accounts"}));
    let at = |host: &str| get("/accounts/1").host(host);
    let proof = |token: &str, jti: &str| ann.proof("/accounts/1", token, jti).sign();
    let (mtls, api) = ("mtls.bank.example", "api.bank.example");
    let table = [
        ("mtls", at(mtls).bearer(&by_certificate).certificate(&ours), PASSES),
        ("stolen", at(mtls).bearer(&by_certificate).certificate(&certificate()), (401, "binding.other_certificate")),
        ("certificate-bound token at the dpop address", at(api).bearer(&by_certificate), (401, "binding.unbound")),
        ("with a proof too", at(api).dpop(&by_certificate, &proof(&by_certificate, "1")), (401, "binding.unbound")),
        ("dpop", at(api).dpop(&by_key, &proof(&by_key, "2")), PASSES),
        ("its proof again", at(api).dpop(&by_key, &proof(&by_key, "2")), (401, "proof.replayed")),
        ("stolen without the key", at(api).bearer(&by_key), (401, "binding.bearer_downgrade")),
        (
            "dpop at the mtls address",
            at(mtls).dpop(&by_key, &proof(&by_key, "3")).certificate(&ours),
            (401, "binding.unbound"),
        ),
        ("another host", at("bank.example").bearer(&by_certificate).certificate(&ours), (403, "policy.no_route")),
    ];
    each(&mut world, table);
}

#[test]
fn a_browser_gets_through_by_preflight_and_nonce() {
    let mut world = policy("browser");
    let ann = Holder::named("ann");
    let token = token(&certificate(), json!({"scope": "accounts", "cnf": {"jkt": ann.jkt()}}));
    let options = |path: &str| request("OPTIONS", path).field("origin", "https://app.example");
    let preflight = |path: &str, method: &str| options(path).field("access-control-request-method", method);
    let table = [
        ("preflight for GET", preflight("/accounts/1", "GET"), (0, "preflight")),
        ("preflight for a method nobody may use", preflight("/accounts/1", "PUT"), (403, "policy.no_route")),
        ("OPTIONS that is no preflight", options("/accounts/1"), (403, "policy.no_route")),
        ("preflight to admin", preflight("/admin/x", "GET"), (401, "credential.missing")),
    ];
    each(&mut world, table);
    let proof = ann.proof("/accounts/1", &token, "1");
    let first = world.send(&get("/accounts/1").dpop(&token, &proof.sign()));
    assert_eq!((first.status, first.reason), (401, "nonce.missing"));
    let proof = proof.claim("nonce", first.nonce.expect("a nonce"));
    assert_eq!(world.verdict(&get("/accounts/1").dpop(&token, &proof.sign())), PASSES);
}

#[test]
fn clients_come_through_nginx_and_nobody_else_tells_of_certificates() {
    let mut world = policy("behind-nginx");
    let nginx = issued(leaf().dns("ingress.edge.example"));
    let [ours, thief] = ["n26", "thief"].map(|name| issued(valid(Leaf::client(name))));
    let good = token(&ours, json!({"scope": "prices.read"}));
    let through = |relay: &Certificate, shown: &Certificate| {
        get("/prices").bearer(&good).certificate(relay).field("ssl-client-cert", super::relays::escaped(shown))
    };
    let table = [
        ("through nginx", through(&nginx, &ours), PASSES),
        ("a thief through nginx", through(&nginx, &thief), (401, "binding.other_certificate")),
        (
            "nginx tells of no certificate, and its own does not count",
            get("/prices").bearer(&token(&nginx, json!({"scope": "prices.read"}))).certificate(&nginx),
            (401, "binding.no_certificate"),
        ),
        ("who is no relay sends the header", through(&thief, &ours), (401, "binding.other_certificate")),
        ("and over plaintext", through(&nginx, &ours).plaintext(), (400, "request.plaintext")),
    ];
    each(&mut world, table);
}

#[test]
fn a_sidecar_knows_clients_through_the_gateway_and_workloads_by_themselves() {
    let mut world = policy("behind-a-gateway");
    let gateway = with_id(&["spiffe://cluster.local/ns/istio-ingress/sa/gateway"]);
    let shipping = with_id(&["spiffe://cluster.local/ns/shipping/sa/app"]);
    let client = issued(valid(Leaf::client("client")));
    let good = || get("/orders/1").bearer(&token(&client, json!({"scope": "orders"})));
    let xfcc = |shown: &Certificate| super::relays::xfcc(shown);
    let through = |ask: Ask, shown: &Certificate| {
        // As the sidecar's own APPEND_FORWARD leaves it.
        let field = format!("{},By=spiffe://x/y;Hash={}", xfcc(shown), gateway.digest_hex());
        ask.certificate(&gateway).field("x-forwarded-client-cert", field)
    };
    let ann = Holder::named("ann");
    let by_key = || {
        let token = token(&client, json!({"scope": "orders", "cnf": {"jkt": ann.jkt()}}));
        get("/orders/1").dpop(&token, &ann.proof("/orders/1", &token, "1").sign()).certificate(&gateway)
    };
    let table = [
        ("a client through the gateway", through(good(), &client), PASSES),
        ("its token inside the mesh", good().certificate(&shipping), (401, "binding.other_certificate")),
        ("shipping without a token", get("/orders/1").certificate(&shipping), PASSES),
        (
            "a partner's certificate that names itself shipping, through the gateway",
            through(get("/orders/1"), &shipping),
            (401, "credential.missing"),
        ),
        ("the gateway by itself", get("/orders/1").certificate(&gateway), (401, "credential.missing")),
        ("a client with a proof through the gateway", by_key(), PASSES),
        ("the same, which the gateway did not see twice", by_key(), PASSES),
        (
            "shipping with a stolen token",
            good().certificate(&shipping).field("x-forwarded-client-cert", xfcc(&client)),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
}

#[test]
fn a_phantom_token_is_bound_as_the_jwt_is_that_it_stands_for() {
    let (ours, holder, mut world) = (certificate(), Holder::named("ann"), policy("phantom-token"));
    world.serve_keys("curity", &[&Key::named("k1")]);
    let inside = |others: Value| {
        let mut claims = claims(&ours, others);
        claims["iss"] = json!("https://idsvr.example/oauth/v2/oauth-anonymous");
        claims["aud"] = json!("https://api.shop.example");
        claims["scope"] = json!("orders");
        Key::named("k1").jwt(&claims)
    };
    let tokens = [
        ("by-certificate", inside(json!({}))),
        ("by-key", inside(json!({"cnf": {"jkt": holder.jkt()}}))),
        ("unbound", inside(json!({"cnf": null}))),
    ];
    world.answers = Some(Box::new(move |id| {
        let asked =
            |(name, _): &&(&str, String)| *id.body == *format!("token={name}&token_type_hint=access_token").as_bytes();
        let found = tokens.iter().find(asked);
        found.map_or(answered(204, ""), |(_, jwt)| told(200, "application/jwt", "max-age=60", jwt))
    }));
    let orders = get("/orders/7").host("api.shop.example");
    let mut proof = holder.proof("/orders/7", "by-key", "1");
    proof.claims["htu"] = json!("https://api.shop.example/orders/7");
    let table = [
        ("an opaque token", orders.clone().bearer("by-certificate").certificate(&ours), PASSES),
        ("the same with DPoP", orders.clone().dpop("by-key", &proof.sign()), PASSES),
        ("as Bearer", orders.clone().bearer("by-key"), (401, "binding.bearer_downgrade")),
        ("neither", orders.clone().bearer("unbound").certificate(&ours), (401, "binding.unbound")),
        ("unknown", orders.clone().bearer("other").certificate(&ours), (401, "token.inactive")),
        (
            "another certificate",
            orders.bearer("by-certificate").certificate(&certificate()),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
}

#[test]
fn a_split_token_is_bound_as_the_jwt_is_that_it_signs() {
    let (ours, mut world) = (certificate(), policy("split-token"));
    world.serve_keys("curity", &[&Key::named("k1")]);
    let split = |others: Value| {
        let mut claims = claims(&ours, others);
        claims["iss"] = json!("https://idsvr.example/oauth/v2/oauth-anonymous");
        claims["aud"] = json!("https://api.shop.example");
        claims["scope"] = json!("orders");
        let jwt = Key::named("k1").jwt(&claims);
        let (signed, signature) = jwt.rsplit_once('.').unwrap();
        (signed.to_owned(), signature.to_owned())
    };
    let (bound, unbound) = (split(json!({})), split(json!({"cnf": null})));
    let store = [bound.clone(), unbound.clone()].map(|(signed, signature)| {
        let digest = STANDARD.encode(Sha256::digest(signature));
        (format!("/tokens/{}", digest.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D")), signed)
    });
    world.answers = Some(Box::new(move |id| {
        let knows_us = id.service.headers.contains(&("authorization", "Bearer test".to_owned()));
        let found = store.iter().find(|(path, _)| knows_us && id.path() == path);
        found.map_or(answered(404, ""), |(_, signed)| answered(200, signed))
    }));
    let orders = get("/orders/7").host("api.shop.example");
    let table = [
        ("a signature", orders.clone().bearer(&bound.1).certificate(&ours), PASSES),
        ("bound to nothing", orders.clone().bearer(&unbound.1).certificate(&ours), (401, "binding.unbound")),
        ("unknown", orders.clone().bearer("other").certificate(&ours), (401, "token.inactive")),
        (
            "another certificate",
            orders.bearer(&bound.1).certificate(&certificate()),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
}

#[test]
fn authlete_judges_any_certificate_and_scopes_are_judged_here() {
    let (ours, mut world) = (certificate(), policy("authlete"));
    let thumbprint = ours.x5t_s256();
    world.answers = Some(Box::new(move |id| {
        let asked: Value = serde_json::from_slice(&id.body).unwrap();
        let scopes = if asked["token"] == "all" { json!(["accounts", "payments"]) } else { json!(["accounts"]) };
        ok(
            json!({"action": "OK", "clientId": 7, "scopes": scopes, "expiresAt": (NOW + 60) * 1000, "certificateThumbprint": thumbprint,
                  "accessTokenResources": ["https://api.bank.example"]}),
        )
    }));
    let write = |token: &str| request("POST", "/accounts/7").bearer(token).certificate(&ours);
    let table = [
        ("read", get("/accounts/7").bearer("some").certificate(&ours), PASSES),
        ("write without the second scope", write("some"), (403, "token.scope")),
        ("write", write("all"), PASSES),
        (
            "another certificate",
            get("/accounts/7").bearer("some").certificate(&certificate()),
            (401, "binding.other_certificate"),
        ),
    ];
    each(&mut world, table);
    assert_eq!(world.asked, ["authlete/api/auth/introspection"; 4], "it is asked every time");
}
