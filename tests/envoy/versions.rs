//! Envoy as old as is taken: what each version proves about a caller, and what is refused because it proves less.

use harness::{Authority, Certificate, Envoy, Leaf, Options, Request, Tls, Upstream, now, wait_until};
use serde_json::{Value, json};

use super::stage::{Stage, api, claims, document, secret};
use super::transport::http3_clients;

/// Tell the digest of a certificate, and not the certificate.
const WITHOUT_DATES: [&str; 2] = ["1.36.4", "1.37.0"];
const WITH_DATES: [&str; 2] = ["1.39.0", "1.40.0"];

const WORKLOAD: &str = "spiffe://bank.example/ns/fx/sa/booking";

/// A route for good tokens, and one for each way in which a name in a certificate can decide.
fn with_names() -> Value {
    let mut document = document();
    document["peer_certificate"] = json!({"chain": "verified", "trust_domains": ["bank.example"]});
    let other = json!({"certificate": {"spiffe_id": "spiffe://bank.example/ns/sandbox/**"}});
    document["routes"] = json!([
        {"name": "api", "path": "/api/**", "allow": "authenticated"},
        {"name": "named", "path": "/named/**", "allow": [{"certificate": {"spiffe_id": WORKLOAD}, "token": "none"}]},
        {"name": "dns", "path": "/dns/**", "allow": [{"certificate": {"san_dns": "workload"}, "token": "none"}]},
        {"name": "but", "path": "/but/**", "allow": [{"scopes": ["read"], "not": other}]}
    ]);
    document
}

fn unchecked(mut document: Value) -> Value {
    document["peer_certificate"]["danger_unchecked_validity"] = json!(true);
    document
}

fn denying(mut document: Value) -> Value {
    document["deny"] = json!([{"certificate": {"san_dns": "outcast"}}]);
    document
}

struct Callers {
    stage: Stage,
    workload: Certificate,
    token: String,
    asked: usize,
}

impl Callers {
    fn of(version: &'static str, document: &Value) -> Self {
        let stage = Stage::with(document, |options| Options { version: Some(version), ..options });
        let workload = stage.envoy.authority().issue(Leaf::client("workload").uri(WORKLOAD));
        let token = stage.key.mint(json!({}), &claims(&workload));
        assert!(stage.envoy.admin("/server_info").contains(&format!("/{version}/")));
        let by_the_proxy = "verified by the proxy: RS256 RS384 RS512 ES256 ES384;";
        assert!(stage.envoy.log().contains(by_the_proxy), "{version}: {}", stage.envoy.log());
        Self { stage: stage.warm(), workload, token, asked: 0 }
    }

    /// Asks, and compares status and reason.
    fn ask(&mut self, own: Option<&Certificate>, request: &Request, status: u16, reason: &str) {
        let client = own.map_or_else(|| self.stage.envoy.anonymous(), |own| self.stage.envoy.client(own));
        let answer = client.send(request);
        self.expect(answer.status, status, reason, &request.target);
    }

    fn expect(&mut self, answered: u16, status: u16, reason: &str, what: &str) {
        self.asked += 1;
        let told = self.stage.reason(self.asked);
        assert_eq!((answered, told.as_str()), (status, reason), "{what}: {}", self.stage.envoy.log());
    }

    /// The workload itself, by token and by its names.
    fn workload_gets(&mut self, table: &[(&str, u16, &str)]) {
        let own = self.workload.clone();
        for (path, status, reason) in table {
            let request = if path.starts_with("/api") || path.starts_with("/but") {
                Request::get(path).bearer(&self.token)
            } else {
                Request::get(path)
            };
            self.ask(Some(&own), &request, *status, reason);
        }
    }

    /// Whoever holds the token without its certificate.
    fn others_get_nothing(&mut self) {
        let (thief, request) = (self.stage.thief.clone(), api(&self.token));
        self.ask(Some(&thief), &request, 401, "binding.other_certificate");
        self.ask(None, &request, 401, "binding.no_certificate");
        self.ask(None, &Request::get("/named/x"), 403, "policy.no_rule");
    }

    /// A certificate that ends on an open connection.
    fn outlived(&mut self, status: u16, reason: &str) {
        let ends = now() + 5;
        let short = self.stage.envoy.authority().issue(Leaf::client("short").valid(-60, 5));
        let request = api(&self.stage.key.mint(json!({}), &claims(&short)));
        let mut connection = self.stage.envoy.client(&short).open().expect("a connection");
        // Does the handshake, while the certificate lasts.
        let answer = connection.send(&Request::get("/nowhere")).expect("an answer");
        self.expect(answer.status, 403, "policy.no_route", "a handshake");
        assert!(wait_until(std::time::Duration::from_secs(60), || now() >= ends + 2), "the clock goes on");
        let answer = connection.send(&request).expect("an answer");
        self.expect(answer.status, status, reason, "an open connection");
    }

    fn reconfigure(&self, document: &Value) {
        self.stage.envoy.configure(document).expect("a good configuration");
    }
}

fn dates_and_names_count(version: &'static str) {
    let mut callers = Callers::of(version, &with_names());
    let passes = [
        ("/api/x", 200, "granted"),
        ("/named/x", 200, "granted"),
        ("/dns/x", 200, "granted"),
        ("/but/x", 200, "granted"),
    ];
    callers.workload_gets(&passes);
    callers.others_get_nothing();
    callers.outlived(401, "binding.expired_certificate");
    // Where all is told, there is nothing for this to let through.
    callers.reconfigure(&unchecked(with_names()));
    callers.workload_gets(&passes);
    callers.outlived(401, "binding.expired_certificate");
    callers.reconfigure(&denying(with_names()));
    callers.workload_gets(&passes);
    let outcast = callers.stage.envoy.authority().issue(Leaf::client("outcast").uri(WORKLOAD));
    callers.ask(Some(&outcast), &Request::get("/named/x"), 403, "policy.denied");
    assert_eq!(callers.stage.reached(), 3 * passes.len());
}

fn certificates_of_unknown_dates_are_refused(version: &'static str) {
    let mut callers = Callers::of(version, &with_names());
    callers.workload_gets(&[
        ("/api/x", 401, "binding.unchecked_validity"),
        ("/but/x", 401, "binding.unchecked_validity"),
        ("/named/x", 403, "binding.unchecked_validity"),
        ("/dns/x", 403, "binding.unchecked_validity"),
    ]);
    callers.ask(None, &api(&callers.token.clone()), 401, "binding.no_certificate");
    assert_eq!(callers.stage.reached(), 0);
}

fn where_the_operator_takes_them_they_bind_and_their_names_count_against_them(version: &'static str) {
    let mut callers = Callers::of(version, &unchecked(with_names()));
    let told = "granted.unchecked_validity";
    let binds_alone = [
        ("/api/x", 200, told),
        ("/named/x", 403, "policy.no_rule"),
        ("/dns/x", 403, "policy.no_rule"),
        ("/but/x", 403, "policy.no_rule"),
    ];
    callers.workload_gets(&binds_alone);
    callers.others_get_nothing();
    callers.outlived(200, told);
    callers.reconfigure(&denying(unchecked(with_names())));
    callers.workload_gets(&binds_alone.map(|(path, ..)| (path, 403, "policy.denied")));
    // A certificate can still be told by its digest.
    let mut by_digest = unchecked(with_names());
    by_digest["routes"][1]["allow"][0]["certificate"] = json!({"sha256": callers.workload.digest_hex()});
    callers.reconfigure(&by_digest);
    callers.workload_gets(&[("/named/x", 200, told)]);
    let thief = callers.stage.thief.clone();
    callers.ask(Some(&thief), &Request::get("/named/x"), 403, "policy.no_rule");
    assert_eq!(callers.stage.reached(), 3);
}

#[test]
fn since_1_39_dates_and_names_of_certificates_count() {
    side_by_side(WITH_DATES, dates_and_names_count);
}

#[test]
fn before_1_39_certificates_are_refused_for_their_dates_are_unknown() {
    side_by_side(WITHOUT_DATES, certificates_of_unknown_dates_are_refused);
}

#[test]
fn before_1_39_certificates_bind_where_the_operator_says_so_and_their_names_only_count_against_them() {
    side_by_side(WITHOUT_DATES, where_the_operator_takes_them_they_bind_and_their_names_count_against_them);
}

fn side_by_side<const N: usize>(versions: [&'static str; N], test: fn(&'static str)) {
    std::thread::scope(|scope| {
        for version in versions {
            std::thread::Builder::new()
                .name(version.into())
                .spawn_scoped(scope, move || test(version))
                .expect("a thread");
        }
    });
}

#[test]
fn the_complete_example_loads_in_every_version() {
    let ca = Authority::new("market CA");
    for version in WITHOUT_DATES.into_iter().chain(WITH_DATES) {
        assert_eq!(Envoy::try_example(version, &ca, "complete.yaml", &[("RS_SECRET", secret())]), Ok(()), "{version}");
        let said = Envoy::try_example(version, &ca, "complete.yaml", &[]).expect_err("there is no secret");
        assert!(said.contains("the VM has no variable RS_SECRET"), "{version}: {said}");
    }
}

const WITHOUT_HTTP_3: [&str; 3] = ["1.36.4", "1.37.0", "1.39.0"];

#[test]
fn before_1_40_a_listener_that_requires_certificates_over_http_3_is_refused_by_envoy() {
    let document = json!({"routes": [{"name": "all", "methods": ["GET"], "path": "/**", "allow": "public"}]});
    let start = |version: &'static str| {
        let options = Options::new(&document, Upstream::start().address()).tls(Tls::Quic);
        let options = Options { version: Some(version), requires_certificate: true, ..options };
        Envoy::try_start(Authority::new("test CA"), options).map(drop)
    };
    for version in WITHOUT_HTTP_3 {
        let said = start(version).expect_err("no client certificates over QUIC");
        assert!(said.contains("TLS Client Authentication is not supported over QUIC"), "{version}: {said}");
    }
    assert_eq!(start("1.40.0"), Ok(()));
}

#[test]
fn before_1_40_nobody_is_asked_for_a_certificate_over_http_3_and_no_bound_token_passes() {
    side_by_side(WITHOUT_HTTP_3, |version| {
        let stage =
            Stage::with(&document(), |options| Options { version: Some(version), ..options.tls(Tls::Quic) }).warm();
        let clients = http3_clients(&stage.envoy, &[("bank", Some(&stage.bank))]);
        let answer = clients.anonymous().send(&api(&stage.token()).field("x-as", "bank"));
        assert_eq!((answer.status, stage.reason(1).as_str()), (401, "binding.no_certificate"), "{version}");
        let health = clients.anonymous().send(&Request::get("/healthz").field("x-as", "bank"));
        assert_eq!((health.status, stage.reached()), (200, 1), "{version}");
    });
}
