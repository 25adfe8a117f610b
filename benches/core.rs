//! What single acts of the core cost on this machine: parsing, choosing a route, looking a token up. `make bench-core` runs them.
//!
//! Inside of Envoy the same takes about twice as long, and calls of the host come on top; compare, here, before and after.

use std::rc::Rc;
use std::time::Duration;

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use holdfast::binding::Requirement;
use holdfast::binding::dpop::{self, MadeFor, UnverifiedProof};
use holdfast::binding::htu::Origin;
use holdfast::binding::replay::{self, OfWorker, ReplayMemory as _, Scope, Seen, Unshared};
use holdfast::callout::{Answer, Response};
use holdfast::config;
use holdfast::credential::Presented;
use holdfast::facts::peer::{CertificateDigest, Peer, PeerCertificate, RelayId, Source};
use holdfast::facts::relay::{Format, Readings};
use holdfast::facts::{Request, write_pairs};
use holdfast::flow::{Enforcer, Permit, Step};
use holdfast::jose::algorithm::Algorithm;
use holdfast::jose::json::{Limits, parse};
use holdfast::jose::jwk::Thumbprint;
use holdfast::jose::jws::Jws;
use holdfast::jose::verifier::InRust;
use holdfast::policy::path::{Oddities, Path};
use holdfast::policy::pattern::{HostPattern, PathPattern};
use holdfast::policy::role::Roles;
use holdfast::policy::route::{Allow, Revocation, Route};
use holdfast::policy::step_up::StepUp;
use holdfast::policy::{Policy, Trust};
use holdfast::time::UnixTime;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const NOW: u64 = 1_800_000_000;
const HOST: &str = "api.bank.example";
const ROUTES: [usize; 4] = [1, 10, 1_000, 10_000];
const TOKENS: [usize; 3] = [1, 10_000, 100_000];

fn main() {
    divan::main();
}

/// As a client with a browser's manners sends it.
fn pairs(host: &str, path: &str, token: &str) -> Vec<u8> {
    let authorization = format!("Bearer {token}");
    write_pairs(&[
        (":authority", host),
        (":path", path),
        (":method", "GET"),
        (":scheme", "https"),
        ("user-agent", "treasury/4.2 (linux)"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("authorization", &authorization),
        ("x-forwarded-proto", "https"),
        ("x-request-id", "f2c9c4d0-5d3e-4b60-9c4e-8c1f0e0b7a11"),
    ])
}

fn request(host: &str, path: &str) -> Request {
    Request::from_pairs(pairs(host, path, "opaque"), Peer::Anonymous).unwrap()
}

/// A JWT as a server of banks writes it; its signature is none.
fn jwt() -> String {
    use base64::Engine as _;
    let part = |value: Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({
        "iss": "https://login.bank.example", "sub": "248289761001", "client_id": "treasury", "exp": NOW + 300, "iat": NOW,
        "aud": ["https://api.bank.example", "https://other.bank.example"], "jti": "dbe39bf3a3ba4238a513f51d6e1691c4",
        "scope": "accounts payments:read payments:write statements", "acr": "urn:bank:strong", "auth_time": NOW - 60,
        "roles": ["treasurer", "auditor"], "cnf": {"x5t#S256": "bwcK0esc3ACC3DB2Y5_lESsXE8o9ltc05O89jdN-dg2"}
    });
    let header = json!({"typ": "at+jwt", "alg": "ES256", "kid": "2026-07"});
    [part(header), part(claims), "A".repeat(86)].join(".")
}

#[divan::bench]
fn header_pairs(bencher: Bencher<'_, '_>) {
    let buffer = pairs(HOST, "/accounts/4711/transactions?page=2", &jwt());
    bencher.with_inputs(|| buffer.clone()).bench_values(|buffer| Request::from_pairs(buffer, Peer::Anonymous).unwrap());
}

#[divan::bench]
fn credential(bencher: Bencher<'_, '_>) {
    let buffer = pairs(HOST, "/accounts/4711/transactions?page=2", &jwt());
    let request = Request::from_pairs(buffer, Peer::Anonymous).unwrap();
    bencher.bench_local(|| Presented::find(black_box(&request), false).unwrap());
}

#[divan::bench]
fn jws(bencher: Bencher<'_, '_>) {
    let text = jwt();
    bencher.bench_local(|| Jws::parse(black_box(&text)).unwrap().payload().len());
}

#[divan::bench]
fn claims(bencher: Bencher<'_, '_>) {
    let text = jwt();
    let jws = Jws::parse(&text).unwrap();
    bencher.bench_local(|| parse(black_box(jws.payload()), Limits::TOKEN).unwrap());
}

#[divan::bench(args = ["/accounts/4711/transactions?page=2", "/accounts/%34711/transactions"])]
fn path(bencher: Bencher<'_, '_>, target: &str) {
    bencher.bench_local(|| Path::read(black_box(target.as_bytes())).unwrap());
}

/// A client's certificate in the field of a relay, which this worker has read before.
#[divan::bench(args = ["xfcc", "rfc9440", "pem"])]
fn relayed_certificate(bencher: Bencher<'_, '_>, form: &str) {
    use base64::Engine as _;
    let made = harness::Authority::new("relayed").issue(harness::Leaf::client("bank"));
    let escaped = made.cert_pem.replace("\r\n", "\n").replace('\n', "%0A").replace(' ', "%20");
    let escaped = escaped.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let (format, field) = match form {
        "xfcc" => (Format::Xfcc, format!("By=urn:x;Hash={};Cert=\"{escaped}\"", made.digest_hex())),
        "pem" => (Format::Pem, escaped),
        _ => (Format::ClientCert, format!(":{}:", base64::engine::general_purpose::STANDARD.encode(&made.der))),
    };
    let request = Request::from_pairs(write_pairs(&[("x-certificate", &field)]), Peer::Anonymous).unwrap();
    let mut readings = Readings::default();
    bencher.bench_local(|| {
        let found = format.find(black_box(&request), "x-certificate", CertificateDigest(DIGEST)).unwrap().unwrap();
        readings.certificate(found, Source::Relay(RelayId(0))).unwrap()
    });
}

/// Configurations of so many routes, as they are loaded.
#[divan::bench(args = [10, 1_000], sample_count = 10)]
fn load(bencher: Bencher<'_, '_>, count: usize) {
    let route = |at| json!({"name": format!("r{at}"), "path": format!("/s{at}/{{id}}"), "allow": "authenticated"});
    let issuer =
        json!({"issuer": "https://login.bank.example", "audiences": ["a"], "jwks": {"cluster": "as", "path": "/"}});
    let routes: Vec<Value> = (0..count).map(route).collect();
    let document = json!({"issuers": [issuer], "binding": "certificate", "routes": routes}).to_string();
    bencher
        .counter(ItemsCount::new(count))
        .bench_local(|| config::load(black_box(document.as_bytes()), &|_| None).unwrap());
}

/// Which of many routes a request takes: the last one, found in each way; or none.
mod route {
    use super::*;

    fn route(at: usize, host: Option<&str>, path: &str) -> Route {
        Route {
            name: format!("r{at}"),
            hosts: host.map(|host| HostPattern::parse(host).unwrap()).into_iter().collect(),
            methods: vec!["GET".to_owned()],
            paths: vec![PathPattern::parse(path).unwrap()],
            envoy_routes: vec![],
            allow: Allow::Authenticated,
            issuers: vec![],
            introspects: None,
            revocation: Revocation::None,
            audiences: None,
            scopes: vec![],
            step_up: StepUp::default(),
            binding: Requirement::Certificate,
            passes_preflight: false,
            allows: Oddities::default(),
            allows_plaintext: false,
            forwards_unverified_token: false,
        }
    }

    fn policy(count: usize, route: impl Fn(usize) -> Route) -> Policy {
        Policy::new((0..count).map(route).collect(), Roles::default(), vec![], vec![], Trust::default())
    }

    fn of_path(count: usize) -> Policy {
        policy(count, |at| route(at, None, &format!("/accounts/service-{at}/transactions")))
    }

    #[divan::bench(args = ROUTES)]
    fn by_path(bencher: Bencher<'_, '_>, count: usize) {
        let request = request(HOST, &format!("/accounts/service-{}/transactions", count - 1));
        let policy = of_path(count);
        bencher.bench_local(|| policy.route(black_box(&request)).unwrap());
    }

    #[divan::bench(args = ROUTES)]
    fn binding_a_name(bencher: Bencher<'_, '_>, count: usize) {
        let request = request(HOST, &format!("/accounts/service-{}/4711", count - 1));
        let policy = policy(count, |at| route(at, None, &format!("/accounts/service-{at}/{{account}}")));
        bencher.bench_local(|| policy.route(black_box(&request)).unwrap());
    }

    #[divan::bench(args = ROUTES)]
    fn by_host(bencher: Bencher<'_, '_>, count: usize) {
        let request = request(&format!("tenant-{}.bank.example", count - 1), "/accounts/4711/transactions");
        let host = |at| format!("tenant-{at}.bank.example");
        let policy = policy(count, |at| route(at, Some(&host(at)), "/accounts/*/transactions"));
        bencher.bench_local(|| policy.route(black_box(&request)).unwrap());
    }

    #[divan::bench(args = ROUTES)]
    fn none(bencher: Bencher<'_, '_>, count: usize) {
        let request = request(HOST, "/accounts/nobody/transactions");
        let policy = of_path(count);
        bencher.bench_local(|| policy.route(black_box(&request)).unwrap_err());
    }

    /// The worst that can be written: every combination of `a` and `*`, and a path that all but the end of each takes.
    #[divan::bench(args = [2, 1_024, 8_192])]
    fn forks(bencher: Bencher<'_, '_>, count: usize) {
        let depth = count.ilog2();
        let piece = |at: usize, level: u32| if at >> level & 1 == 0 { "a" } else { "*" };
        let path = |at| (0..depth).map(|level| format!("/{}", piece(at, level))).collect::<String>();
        let request = request(HOST, &"/a".repeat(depth as usize + 1));
        let policy = policy(count, |at| route(at, None, &path(at)));
        bencher.bench_local(|| policy.route(black_box(&request)).unwrap_err());
    }

    /// The worst that can be sent.
    #[divan::bench(args = ROUTES)]
    fn thirty_thousand_segments(bencher: Bencher<'_, '_>, count: usize) {
        let request = request(HOST, &"/a".repeat(30_000));
        let policy = of_path(count);
        bencher.bench_local(|| policy.route(black_box(&request)).unwrap_err());
    }
}

/// A whole journey with a token that its server vouched for before, among so many others.
#[divan::bench(args = TOKENS)]
fn remembered_token(bencher: Bencher<'_, '_>, count: usize) {
    let mut enforcer = introspecting();
    (0..count).for_each(|at| learn(&mut enforcer, at));
    let mut at = 0;
    bencher
        .with_inputs(|| {
            // A prime, so that each comes and none near the one before.
            at = (at + 7_919) % count;
            with_token(at)
        })
        .bench_local_values(|request| match enforcer.begin(request, UnixTime::new(NOW)) {
            Step::Done(Ok(Permit::Granted(told))) => told,
            Step::Done(_) | Step::Ask(..) => panic!("the token is known"),
        });
}

fn introspecting() -> Enforcer {
    let introspection =
        json!({"cluster": "as", "path": "/introspect", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    let document = json!({
        "issuers": [{"issuer": "https://login.bank.example", "audiences": ["https://api.bank.example"], "introspection": introspection}],
        "peer_certificate": {"danger_unchecked_validity": true},
        "limits": {"tokens": 1_000_000, "token_bytes": "512MiB"},
        "binding": "certificate",
        "routes": [{"name": "all", "path": "/accounts/**", "allow": [{"scopes": ["accounts"]}]}]
    });
    let compiled = config::load(document.to_string().as_bytes(), &|_| Some("s3cr3t".to_owned())).unwrap();
    Enforcer::new(compiled.settings, Rc::new(InRust), Rc::new(Unshared))
}

const DIGEST: [u8; 32] = [7; 32];

fn with_token(at: usize) -> Request {
    let peer =
        Peer::Known(PeerCertificate { digest: CertificateDigest(DIGEST), leaf: None, source: Source::Connection });
    let token = format!("{:x}-{at:08}", u64::MAX / (at as u64 + 1));
    Request::from_pairs(pairs(HOST, "/accounts/4711/transactions", &token), peer).unwrap()
}

fn learn(enforcer: &mut Enforcer, at: usize) {
    use base64::Engine as _;
    let digest = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(DIGEST);
    let claims = json!({
        "active": true, "iss": "https://login.bank.example", "aud": "https://api.bank.example", "sub": "248289761001",
        "client_id": "treasury", "scope": "accounts payments:read", "exp": NOW + 300, "cnf": {"x5t#S256": digest}
    });
    let now = UnixTime::new(NOW);
    let Step::Ask(callout, waiting) = enforcer.begin(with_token(at), now) else { panic!("the token is not known yet") };
    let answer = Answer::Response(Response::new(200, claims.to_string().into_bytes()));
    let settled = enforcer.settle(&callout.id, answer, now);
    assert!(matches!(enforcer.resume(waiting, &settled, now), Step::Done(Ok(_))), "the token is good");
}

/// RFC 9449 figure 13.
const PROOF: &str = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";

/// All that is done with a proof but to verify its signature: where its key was seen before, and where it was not.
#[divan::bench(args = [true, false])]
fn proof(bencher: Bencher<'_, '_>, known: bool) {
    let settings = dpop::Settings {
        name: "bench".to_owned(),
        origins: vec![Origin::parse("https://resource.example.org").unwrap()],
        algorithms: vec![Algorithm::Es256],
        max_age: Duration::from_secs(60),
        nonces: None,
        replay: replay::Settings { scope: Scope::None, proofs: 0, admits_when_full: false },
    };
    let token_digest = Sha256::digest("Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU").into();
    let made_for = MadeFor { method: b"GET", target: b"/protectedresource", token_digest };
    let provers = Rc::default();
    let read = || {
        let proof = UnverifiedProof::parse(black_box(PROOF).as_bytes(), &settings, &provers).unwrap();
        proof.fit(made_for, &settings, UnixTime::new(1_562_262_618)).unwrap()
    };
    if known {
        let proof = read();
        proof.verify(&proof.prover().unwrap(), &InRust).unwrap();
    }
    bencher.bench_local(|| read().prover().unwrap().thumbprint);
}

/// One more proof, when so many are remembered.
#[divan::bench(args = [100, 10_000, 50_000])]
fn remembered_proof(bencher: Bencher<'_, '_>, remembered: u64) {
    let memory = OfWorker::new(65_536);
    let seen = |number: u64| {
        let mut proof = [0; 16];
        proof[..8].copy_from_slice(&number.to_le_bytes());
        let mut key = [0; 32];
        key[..8].copy_from_slice(&number.to_le_bytes());
        Seen { proof, key: Thumbprint(key), until: UnixTime::new(NOW + 60) }
    };
    for number in 0..remembered {
        memory.remember(&seen(number), UnixTime::new(NOW)).unwrap();
    }
    // One that is there already, which is looked up and changes nothing.
    bencher.bench_local(|| memory.remember(&seen(black_box(7)), UnixTime::new(NOW)));
}
