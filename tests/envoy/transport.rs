//! The same verdicts whatever a request comes over: TLS 1.2 or 1.3, a new session or a resumed one, HTTP/1.1, 2 or 3, a
//! WebSocket, one worker or another.

use std::time::Duration;

use harness::{
    Authority, Certificate, Client, Cluster, Connection, Envoy, Http2, Leaf, Options, Protocol, Request, Response,
    Session, Tls, TlsVersion, base64url, now, wait_until,
};
use serde_json::{Value, json};

use super::stage::{Stage, api, claims, document};

const VERSIONS: [TlsVersion; 2] = [TlsVersion::V1_2, TlsVersion::V1_3];
const HTTPS: [Http; 2] = [Http::One, Http::Two];

#[derive(Clone, Copy, Debug)]
enum Http {
    One,
    Two,
}

/// An open connection of either version of HTTP.
enum Open {
    One(Connection),
    Two(Http2),
}

impl Open {
    fn new(client: &Client, http: Http) -> Self {
        match http {
            Http::One => Self::One(client.open().expect("a connection")),
            Http::Two => Self::Two(client.open_http2().expect("a connection")),
        }
    }

    fn send(&mut self, request: &Request) -> Response {
        let answer = match self {
            Self::One(connection) => connection.send(request),
            Self::Two(connection) => connection.send(request),
        };
        answer.expect("an answer")
    }

    fn session(&self) -> Option<Session> {
        match self {
            Self::One(connection) => connection.session(),
            Self::Two(connection) => Some(connection.session),
        }
    }
}

/// The reasons of the filter, of that many requests.
fn reasons(envoy: &Envoy, count: usize) -> Vec<String> {
    envoy.access_lines(count).iter().map(|line| line.split(' ').nth(3).unwrap_or_default().to_owned()).collect()
}

/// Every caller connects twice in every way, the second time with a session to resume.
fn every_caller_in_every_way(tls: Tls, resumes: bool) {
    let stage = Stage::with(&document(), |options| options.tls(tls)).warm();
    let token = stage.token();
    let callers = [
        (Some(&stage.bank), 200, "granted"),
        (Some(&stage.thief), 401, "binding.other_certificate"),
        (None, 401, "binding.no_certificate"),
    ];
    let mut expected = Vec::new();
    for version in VERSIONS {
        for http in HTTPS {
            for (own, status, reason) in callers {
                let client = stage.envoy.client_speaking(version, own).resuming();
                for resumed in [false, resumes] {
                    let mut connection = Open::new(&client, http);
                    let answer = connection.send(&api(&token));
                    assert_eq!(connection.session(), Some(Session { version, resumed }), "{http:?} {reason}");
                    assert_eq!(answer.status, status, "{version:?} {http:?} {resumed} {reason}");
                    expected.push(reason);
                }
            }
        }
    }
    assert_eq!(reasons(&stage.envoy, expected.len()), expected);
    assert_eq!(stage.reached(), 2 * 2 * 2, "the bank's");
    assert_eq!(stage.envoy.stat("http.test.downstream_cx_http2_total"), 2 * 3 * 2);
}

#[test]
fn a_token_passes_from_its_holder_alone_over_every_transport_and_on_resumed_sessions() {
    every_caller_in_every_way(Tls::Resuming, true);
}

#[test]
fn where_resumption_is_off_every_handshake_is_whole_and_the_verdicts_are_the_same() {
    every_caller_in_every_way(Tls::Optional, false);
}

/// A certificate that ends soon, and the second after its last.
fn ending(envoy: &Envoy) -> (Certificate, u64) {
    let ends = now() + 10;
    (envoy.authority().issue(Leaf::client("short").valid(-60, 10)), ends + 2)
}

fn wait_for(moment: u64) {
    assert!(wait_until(Duration::from_secs(60), || now() >= moment), "the clock goes on");
}

#[test]
fn a_certificate_that_ends_binds_no_longer_on_open_connections_and_resumed_sessions() {
    let stage = Stage::with(&document(), |options| options.tls(Tls::Resuming)).warm();
    let (short, ended) = ending(&stage.envoy);
    let callers = [
        (&short, stage.key.mint(json!({}), &claims(&short)), 401, "binding.expired_certificate"),
        (&stage.bank, stage.token(), 200, "granted"),
    ];
    let ways = VERSIONS.into_iter().flat_map(|version| HTTPS.map(|http| (version, http)));
    let mut open = Vec::new();
    for (version, http) in ways {
        for (own, token, status, reason) in &callers {
            let client = stage.envoy.client_speaking(version, Some(own)).resuming();
            let mut first = Open::new(&client, http);
            assert_eq!(first.send(&api(token)).status, 200, "{version:?} {http:?}");
            let mut second = Open::new(&client, http);
            assert_eq!(second.send(&api(token)).status, 200, "{version:?} {http:?}");
            assert_eq!(
                second.session(),
                Some(Session { version, resumed: true }),
                "it descends from a whole handshake"
            );
            open.push((version, http, client, [first, second], token, *status, *reason));
        }
    }
    let mut expected = reasons(&stage.envoy, 16);
    assert_eq!(expected, ["granted"; 16]);

    wait_for(ended);
    for (version, http, client, connections, token, status, reason) in &mut open {
        for connection in connections {
            assert_eq!(connection.send(&api(token)).status, *status, "open, {version:?} {http:?} {reason}");
        }
        let mut resumed = Open::new(client, *http);
        let answer = resumed.send(&api(token));
        assert_eq!(resumed.session(), Some(Session { version: *version, resumed: true }), "Envoy lets it in");
        assert_eq!(answer.status, *status, "resumed, {version:?} {http:?} {reason}");
        expected.extend([*reason; 3].map(str::to_owned));
    }
    assert_eq!(reasons(&stage.envoy, expected.len()), expected);
    assert_eq!(stage.reached(), 16 + 4 * 3);
}

#[test]
fn where_resumption_is_off_a_certificate_that_ended_opens_no_connection() {
    let stage = Stage::set(&document()).warm();
    let (short, ended) = ending(&stage.envoy);
    let token = stage.key.mint(json!({}), &claims(&short));
    let mut open = Vec::new();
    for version in VERSIONS {
        let client = stage.envoy.client_speaking(version, Some(&short)).resuming();
        let mut connection = Open::new(&client, Http::One);
        assert_eq!(connection.send(&api(&token)).status, 200);
        open.push((client, connection));
    }
    wait_for(ended);
    for (client, connection) in &mut open {
        assert_eq!(connection.send(&api(&token)).status, 401);
        let error = client.try_send(&api(&token)).expect_err("no handshake");
        assert!(error.to_string().contains("CertificateExpired"), "{error}");
    }
    assert_eq!(reasons(&stage.envoy, 4)[2..], ["binding.expired_certificate"; 2]);
    assert_eq!(stage.reached(), 2);
}

/// Takes HTTP/1.1 and asks by HTTP/3, as whom the field `x-as` says.
pub fn http3_clients(target: &Envoy, callers: &[(&str, Option<&Certificate>)]) -> Envoy {
    let mut options = Options::new(&Value::Null, target.address()).tls(Tls::Plaintext);
    options.plugins.clear();
    options.clusters.clear();
    let mut routes = Vec::new();
    for (name, own) in callers {
        options.clusters.push(Cluster {
            trusted: Some((target.authority().certificate.clone(), "localhost".into())),
            own: own.cloned(),
            protocol: Protocol::Http3,
            ..Cluster::plain(name, target.address())
        });
        let headers = json!([{"name": "x-as", "string_match": {"exact": name}}]);
        routes.push(json!({"match": {"prefix": "/", "headers": headers}, "route": {"cluster": name}}));
    }
    options.routes = Some(routes.into());
    Envoy::start(Authority::new("nobody's CA"), options)
}

#[test]
fn a_token_passes_from_its_holder_alone_over_http_3_and_until_its_certificate_ends() {
    let stage = Stage::with(&document(), |options| options.tls(Tls::Quic)).warm();
    let (short, ended) = ending(&stage.envoy);
    let (good, brief) = (stage.token(), stage.key.mint(json!({}), &claims(&short)));
    let callers =
        [("bank", Some(&stage.bank)), ("thief", Some(&stage.thief)), ("nobody", None), ("short", Some(&short))];
    let clients = http3_clients(&stage.envoy, &callers);
    let send = |name: &str, request: Request| clients.anonymous().send(&request.field("x-as", name));
    let table = [
        ("bank", api(&good), 200, "granted"),
        ("thief", api(&good), 401, "binding.other_certificate"),
        ("nobody", api(&good), 401, "binding.no_certificate"),
        ("bank", Request::get("/api/x"), 401, "credential.missing"),
        ("nobody", Request::get("/healthz"), 200, "public"),
        ("short", api(&brief), 200, "granted"),
    ];
    let mut count = 0;
    let mut ask = |name: &str, request: Request, status: u16, reason: &str| {
        let answer = send(name, request);
        assert_eq!(answer.status, status, "{name} {reason}: {} {}", clients.log(), stage.envoy.log());
        // Lines of HTTP/3 are not written in the order of the answers, so each is waited for.
        count += 1;
        assert_eq!(stage.reason(count), reason, "{name}");
    };
    for (name, request, status, reason) in table {
        ask(name, request, status, reason);
    }
    wait_for(ended);
    ask("short", api(&brief), 401, "binding.expired_certificate");
    ask("bank", api(&good), 200, "granted");
    assert_eq!(stage.envoy.stat("http.test.downstream_cx_http3_total"), 4, "a connection each, open all the time");
    assert_eq!(stage.reached(), 4);
}

#[test]
fn where_a_certificate_is_required_nobody_connects_over_http_3_without() {
    let quic = |options: Options| Options { requires_certificate: true, ..options.tls(Tls::Quic) };
    let stage = Stage::with(&document(), quic).warm();
    let clients = http3_clients(&stage.envoy, &[("bank", Some(&stage.bank)), ("nobody", None)]);
    let send = |name: &str| clients.anonymous().send(&api(&stage.token()).field("x-as", name)).status;
    assert_eq!((send("bank"), send("nobody")), (200, 503), "the 503 is of the client's own Envoy");
    assert_eq!(stage.reached(), 1);
    assert_eq!(reasons(&stage.envoy, 1), ["granted"]);
}

/// The example of RFC 6455 §1.3.
fn upgrade() -> Request {
    Request::get("/api/feed")
        .field("connection", "Upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-version", "13")
        .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

/// "Hello" in a masked frame (RFC 6455 §5.7).
const HELLO: [u8; 11] = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];

#[test]
fn a_websocket_opens_to_the_holder_of_the_token_alone() {
    let stage = Stage::with(&document(), |options| Options { websockets: true, ..options }).warm();
    let good = stage.token();
    let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
    let answer = connection.send(&upgrade().bearer(&good)).expect("an answer");
    assert_eq!(answer.status, 101, "{}", stage.envoy.log());
    assert_eq!(answer.value("sec-websocket-accept").as_deref(), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for _ in 0..3 {
        connection.write(&HELLO).expect("open");
        assert_eq!(connection.read_octets(HELLO.len()).expect("an echo"), HELLO);
    }
    drop(connection);
    assert_eq!(stage.reached(), 1);

    assert_eq!(stage.as_thief(&upgrade().bearer(&good)).status, 401);
    assert_eq!(stage.anonymously(&upgrade().bearer(&good)).status, 401);
    let without = stage.as_bank(&upgrade());
    assert_eq!(
        (without.status, without.value("www-authenticate").as_deref()),
        (401, Some(r#"Bearer realm="holdfast""#))
    );
    // What comes behind a refused upgrade goes nowhere.
    let mut hasty = stage.envoy.client(&stage.thief).open().expect("a connection");
    hasty.begin(&upgrade().bearer(&good)).expect("a request");
    hasty.write(&HELLO).expect("open");
    assert_eq!(hasty.read().expect("an answer").status, 401);
    let mut refused = reasons(&stage.envoy, 5).split_off(1);
    refused.sort();
    let mismatch = "binding.other_certificate";
    assert_eq!(refused, ["binding.no_certificate", mismatch, mismatch, "credential.missing"]);
    assert_eq!(stage.reached(), 0);
}

#[test]
fn a_websocket_over_http_2_opens_to_the_holder_of_the_token_alone() {
    let mut document = document();
    // What is a CONNECT on the wire is a GET to routes.
    document["routes"][3]["methods"] = json!(["GET"]);
    let stage = Stage::with(&document, |options| Options { websockets: true, ..options }).warm();
    // RFC 8441 §5.1.
    let upgrade = || Request::new("CONNECT", "/api/feed").field(":protocol", "websocket");
    let open = |client: &Client, request: &Request| {
        let mut stream = client.open_http2().expect("a connection").call(request).expect("a stream");
        // A refusal may be there before this is said.
        let _ = stream.say(&HELLO);
        stream
    };
    let token = stage.token();
    let (bank, thief) = (stage.envoy.client(&stage.bank), stage.envoy.client(&stage.thief));
    let mut stream = open(&bank, &upgrade().bearer(&token));
    assert_eq!(stream.status().expect("an answer"), 200, "{}", stage.envoy.log());
    assert_eq!(stream.hear(HELLO.len()).expect("an echo"), HELLO);
    stream.say(&HELLO).expect("open");
    assert_eq!(stream.hear(HELLO.len()).expect("an echo"), HELLO);
    let received = stage.upstream.take().remove(0);
    assert_eq!((received.method.as_str(), received.path.as_str()), ("GET", "/api/feed"));
    assert_eq!(open(&thief, &upgrade().bearer(&token)).status().expect("an answer"), 401);
    assert_eq!(open(&stage.envoy.anonymous(), &upgrade().bearer(&token)).status().expect("an answer"), 401);
    assert_eq!(open(&bank, &upgrade()).status().expect("an answer"), 401);
    assert_eq!(stage.reached(), 0);
}

/// A route's policy for browsers, which Envoy's own filter answers by.
fn cors(options: Options) -> Options {
    let filter = json!({"name": "envoy.filters.http.cors", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.Cors"}});
    let policy = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.cors.v3.CorsPolicy",
        "allow_origin_string_match": [{"exact": "https://app.example"}], "allow_methods": "GET",
        "allow_headers": "authorization,dpop", "expose_headers": "WWW-Authenticate,DPoP-Nonce"
    });
    let routes = json!([{
        "match": {"prefix": "/"}, "route": {"cluster": "upstream"},
        "typed_per_filter_config": {"envoy.filters.http.cors": policy}
    }]);
    Options { filters: vec![filter], routes: Some(routes), ..options }
}

/// A script sees of an answer what the cors filter says, and that says it of requests that it has seen.
#[test]
fn a_refusal_is_shown_to_scripts_where_the_cors_filter_stands_before_this_one() {
    let mut document = document();
    document["binding"] = json!("dpop");
    document["dpop"] =
        json!({"origins": ["https://api.bank.example"], "nonce": "required", "nonce_keys": [{"env": "NONCE_KEY"}]});
    let key = base64url(&[7; 32]);
    let before = |options: Options| {
        let Options { filters, .. } = &options;
        let (first_filters, filters) = (filters.clone(), Vec::new());
        Options { first_filters, filters, ..options }
    };
    let set = |change: &dyn Fn(Options) -> Options| {
        Stage::with(&document, |options| change(cors(options.variable("NONCE_KEY", &key)))).warm()
    };
    let asked = || Request::get("/api/x").field("origin", "https://app.example").field("authorization", "DPoP x");
    let fields = ["access-control-allow-origin", "access-control-expose-headers"];
    let shown = |stage: &Stage| {
        let answer = stage.anonymously(&asked());
        assert_eq!(answer.status, 401);
        fields.map(|name| answer.value(name))
    };
    let told = ["https://app.example", "WWW-Authenticate,DPoP-Nonce"].map(|value| Some(value.to_owned()));
    assert_eq!((shown(&set(&before)), shown(&set(&|options| options))), (told, [None, None]));
}

#[test]
fn a_preflight_is_answered_behind_the_filter_and_the_request_that_it_asks_about_is_not() {
    let mut document = document();
    document["cors_preflight"] = json!("pass");
    document["routes"] = json!([
        {"name": "accounts", "methods": ["GET"], "path": "/accounts/**", "allow": [{"scopes": ["read"]}]},
        {"name": "admin", "path": "/admin/**", "cors_preflight": "refuse", "allow": [{"scopes": ["admin"]}]}
    ]);
    let stage = Stage::with(&document, cors).warm();
    let good = stage.token();
    let preflight = |path: &str, method: &str| {
        let asked = Request::new("OPTIONS", path).field("origin", "https://app.example");
        asked.field("access-control-request-method", method)
    };
    let with_body = Request { body: b"{}".to_vec(), ..preflight("/accounts/1", "GET").field("content-length", "2") };
    let (nobody, bank) = (stage.envoy.anonymous(), stage.envoy.client(&stage.bank));
    let get = || Request::get("/accounts/1");
    let table = [
        (&nobody, preflight("/accounts/1", "GET"), 200, "preflight"),
        (&nobody, preflight("/accounts/1", "DELETE"), 403, "policy.no_route"),
        (&nobody, Request::new("OPTIONS", "/accounts/1"), 403, "policy.no_route"),
        (&nobody, preflight("/accounts/1", "GET").bearer(&good), 403, "policy.no_route"),
        (&nobody, with_body, 403, "policy.no_route"),
        (&nobody, preflight("/accounts/1", "GET").field("cookie", "session=1"), 403, "policy.no_route"),
        (&nobody, preflight("/accounts/1", "GET").field("origin", "https://b.example"), 403, "policy.no_route"),
        (&nobody, preflight("/admin/x", "GET"), 401, "credential.missing"),
        (&nobody, get().bearer(&good), 401, "binding.no_certificate"),
        (&bank, get(), 401, "credential.missing"),
        (&bank, get().bearer(&good), 200, "granted"),
    ];
    let mut expected = Vec::new();
    for http in HTTPS {
        for (client, request, status, reason) in &table {
            let answer = Open::new(client, http).send(request);
            assert_eq!(answer.status, *status, "{http:?} {reason}: {}", stage.envoy.log());
            let allowed = answer.value("access-control-allow-methods");
            assert_eq!(allowed.as_deref(), (*reason == "preflight").then_some("GET"), "{http:?} {reason}");
            expected.push(*reason);
        }
    }
    assert_eq!(reasons(&stage.envoy, expected.len()), expected);
    assert_eq!(stage.reached(), 2, "the bank's");
}

/// Opens connections until each worker has one of this caller's.
fn on_both_workers(stage: &Stage, own: &Certificate) -> Vec<Open> {
    let taken = || {
        let stats = stage.envoy.stats("worker_..downstream_cx_total");
        let taken: Vec<u64> =
            stats.into_iter().filter(|(name, _)| name.starts_with("listener.")).map(|(_, n)| n).collect();
        taken
    };
    let before = taken();
    let mut open = Vec::new();
    let everywhere = || taken().len() == 2 && taken().iter().zip(&before).all(|(now, before)| now > before);
    while !everywhere() {
        assert!(open.len() < 200, "each worker takes connections: {:?}", taken());
        let http = HTTPS[open.len() % 2];
        let mut connection = Open::new(&stage.envoy.client(own), http);
        // Taken by now.
        connection.send(&Request::get("/healthz"));
        open.push(connection);
    }
    open
}

#[test]
fn both_workers_say_the_same_and_each_asks_for_itself() {
    let mut document = document();
    document["issuers"][0]["introspection"]["cache"] = json!("1m");
    let stage = Stage::with(&document, |options| Options { concurrency: 2, ..options });
    assert!(
        wait_until(Duration::from_secs(30), || stage.server.count("/jwks") == 3),
        "two workers and the main thread"
    );
    let (good, forged) = (stage.token(), stage.token().replace(".ey", ".eyJ"));
    stage.server.know("opaque", stage.active());
    let (bank, thief) = (on_both_workers(&stage, &stage.bank), on_both_workers(&stage, &stage.thief));
    stage.reached();
    let mut passed = 0;
    for (connections, status) in [(bank, 200), (thief, 401)] {
        for mut connection in connections {
            for token in [&good, "opaque", &good] {
                assert_eq!(connection.send(&api(token)).status, status);
                passed += usize::from(status == 200);
            }
            assert_eq!(connection.send(&api(&forged)).status, 401);
        }
    }
    assert_eq!(stage.reached(), passed);
    assert_eq!((stage.server.count("/jwks"), stage.server.count("/introspect")), (3, 2));
}
