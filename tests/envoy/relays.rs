//! Certificates that another proxy tells of: real nginx and HAProxy in front, and one Envoy behind another.

use std::time::Duration;

use harness::{
    Certificate, Client, Cluster, Connection, Envoy, Leaf, NGINX_FIELD, Options, Request, Response, Terminator, now,
    wait_until,
};
use serde_json::{Value, json};

use super::stage::{Stage, api, claims, issuer};

const RELAY: &str = "edge.bank.example";

/// One API behind a relay that tells certificates in this field.
fn document(relays: Value) -> Value {
    json!({
        "issuers": [issuer()],
        "peer_certificate": {"chain": "verified", "relays": relays},
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "named", "path": "/named/**", "allow": [{"certificate": {"san_dns": "bank"}, "token": "none"}]},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    })
}

fn told_in(header: &str, format: &str) -> Value {
    json!([{"certificate": {"san_dns": RELAY}, "header": header, "format": format, "chain": "verified"}])
}

fn relay_certificate(stage: &Stage) -> Certificate {
    stage.envoy.authority().issue(Leaf::client("relay").dns(RELAY))
}

fn named() -> Request {
    Request::get("/named/x")
}

/// What callers get who come through `address` and are told of by it, and who may write `field` themselves.
fn through(stage: &Stage, relay: &Certificate, address: std::net::SocketAddr, field: &str, forged: &str) {
    let ca = &stage.envoy.authority().certificate;
    let client = |own: &Certificate| Client::with(address, ca, own);
    let good = stage.token();
    let of_relay = stage.key.mint(json!({}), &claims(relay));
    let table = [
        ("the bank", client(&stage.bank), api(&good), 200, "granted"),
        ("the bank, by its name", client(&stage.bank), named(), 200, "granted"),
        ("a thief", client(&stage.thief), api(&good), 401, "binding.other_certificate"),
        (
            "a thief who writes the field",
            client(&stage.thief),
            api(&good).field(field, forged),
            401,
            "binding.other_certificate",
        ),
        ("who shows the relay nothing", Client::anonymous(address, ca), api(&good), 401, "binding.no_certificate"),
        (
            "and writes the field",
            Client::anonymous(address, ca),
            api(&good).field(field, forged),
            401,
            "binding.no_certificate",
        ),
        (
            "with a token of the relay's own",
            Client::anonymous(address, ca),
            api(&of_relay),
            401,
            "binding.no_certificate",
        ),
        ("who has another name", client(&stage.thief), named(), 403, "policy.no_rule"),
    ];
    for (at, (name, client, request, status, reason)) in table.into_iter().enumerate() {
        let answer = client.send(&request);
        assert_eq!(answer.status, status, "{name}: {}", stage.envoy.log());
        assert_eq!(stage.reason(at + 1), reason, "{name}");
    }
    assert_eq!(stage.reached(), 2);
    // Whoever is no relay tells of nobody, and what they wrote does not reach the service.
    let direct = stage.as_bank(&api(&good).field(field, forged));
    assert_eq!((direct.status, stage.as_thief(&api(&good).field(field, forged)).status), (200, 401));
    assert_eq!(stage.anonymously(&api(&good).field(field, forged)).status, 401);
    assert_eq!(stage.anonymously(&Request::get("/healthz").field(field, forged)).status, 200);
    let received = stage.upstream.take();
    assert_eq!(received.len(), 2);
    assert!(received.iter().all(|request| request.values(field).is_empty()), "{field}");
}

fn escaped(certificate: &Certificate) -> String {
    let text = certificate.cert_pem.replace('\r', "").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    text.replace('\n', "%0A").replace(' ', "%20")
}

fn byte_sequence(certificate: &Certificate) -> String {
    use base64::Engine as _;
    format!(":{}:", base64::engine::general_purpose::STANDARD.encode(&certificate.der))
}

#[test]
fn clients_of_nginx_are_who_nginx_says_they_are() {
    let stage = Stage::set(&document(told_in(NGINX_FIELD, "pem"))).warm();
    let relay = relay_certificate(&stage);
    let nginx = Terminator::nginx(stage.envoy.authority(), &relay, stage.envoy.address());
    through(&stage, &relay, nginx.address, NGINX_FIELD, &escaped(&stage.bank));
}

#[test]
fn clients_of_haproxy_are_who_haproxy_says_they_are() {
    let stage = Stage::set(&document(told_in("client-cert", "rfc9440"))).warm();
    let relay = relay_certificate(&stage);
    let haproxy = Terminator::haproxy(stage.envoy.authority(), &relay, stage.envoy.address());
    through(&stage, &relay, haproxy.address, "client-cert", &byte_sequence(&stage.bank));
}

#[test]
fn a_certificate_that_ended_is_refused_whatever_the_relay_thinks_of_it() {
    for format in ["pem", "rfc9440"] {
        let field = if format == "pem" { NGINX_FIELD } else { "client-cert" };
        let stage = Stage::set(&document(told_in(field, format))).warm();
        let (authority, relay) = (stage.envoy.authority(), relay_certificate(&stage));
        let terminator = match format {
            "pem" => Terminator::nginx(authority, &relay, stage.envoy.address()),
            _ => Terminator::haproxy(authority, &relay, stage.envoy.address()),
        };
        let ends = now() + 5;
        let short = authority.issue(Leaf::client("short").valid(-60, 5));
        let token = stage.key.mint(json!({}), &claims(&short));
        let client = Client::with(terminator.address, &authority.certificate, &short).resuming();
        let open = || client.open().expect("a connection");
        let send = |connection: &mut Connection| connection.send(&api(&token)).expect("an answer").status;
        let mut first = open();
        assert_eq!(send(&mut first), 200, "{format}: {}", stage.envoy.log());
        assert!(wait_until(Duration::from_secs(20), || now() > ends + 1));
        assert_eq!(send(&mut first), 401, "{format}: an open connection");
        let mut resumed = open();
        assert_eq!(send(&mut resumed), 401, "{format}");
        assert!(resumed.session().expect("TLS").resumed, "{format}: the relay lets it in");
        assert_eq!([stage.reason(2), stage.reason(3)], ["binding.expired_certificate"; 2]);
    }
}

/// An Envoy that ends TLS before the one with the filter, and tells it of its client so.
pub fn first_envoy(stage: &Stage, relay: &Certificate, told: Value) -> Envoy {
    let mut options = Options::new(&Value::Null, stage.envoy.address());
    options.plugins.clear();
    options.clusters = vec![Cluster {
        trusted: Some((stage.envoy.authority().certificate.clone(), "localhost".into())),
        own: Some(relay.clone()),
        ..Cluster::plain("upstream", stage.envoy.address())
    }];
    let Value::Object(told) = told else { panic!("a map") };
    options.manager.extend(told);
    Envoy::start(stage.envoy.authority().clone(), options)
}

/// How the Envoy with the filter treats the field.
fn keeping(mode: &str) -> impl FnOnce(Options) -> Options {
    let mode = mode.to_owned();
    move |mut options| {
        options.manager.insert("forward_client_cert_details".into(), json!(mode));
        if mode.ends_with("SET") || mode.starts_with("APPEND") {
            options.manager.insert("set_current_client_cert_details".into(), json!({"cert": true, "uri": true}));
        }
        options
    }
}

const XFCC: &str = "x-forwarded-client-cert";

fn xfcc(certificate: &Certificate) -> String {
    format!("Hash={};Cert=\"{}\"", certificate.digest_hex(), escaped(certificate))
}

#[test]
fn one_envoy_tells_another_of_its_clients() {
    let tells =
        json!({"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": {"cert": true}});
    // As a gateway and a sidecar have it: the second keeps what comes, or appends what it sees itself.
    for mode in ["FORWARD_ONLY", "APPEND_FORWARD"] {
        let stage = Stage::with(&document(told_in(XFCC, "xfcc")), keeping(mode)).warm();
        let relay = relay_certificate(&stage);
        let first = first_envoy(&stage, &relay, tells.clone());
        let address = first.address();
        let ca = &stage.envoy.authority().certificate;
        let client = |own: &Certificate| Client::with(address, ca, own);
        let good = stage.token();
        let forged = xfcc(&stage.bank);
        let table = [
            ("the bank", client(&stage.bank).send(&api(&good)), 200),
            ("by its name", client(&stage.bank).send(&named()), 200),
            ("a thief", client(&stage.thief).send(&api(&good)), 401),
            ("a thief's word", client(&stage.thief).send(&api(&good).field(XFCC, &forged)), 401),
            ("nobody", Client::anonymous(address, ca).send(&api(&good)), 401),
            ("nobody's word", Client::anonymous(address, ca).send(&api(&good).field(XFCC, &forged)), 401),
            ("a thief's word without the relay", stage.as_thief(&api(&good).field(XFCC, &forged)), 401),
            ("the bank without the relay", stage.as_bank(&api(&good).field(XFCC, &forged)), 200),
        ];
        for (name, answer, status) in table {
            assert_eq!(answer.status, status, "{mode}: {name}: {}", stage.envoy.log());
        }
        let mut http2 = client(&stage.bank).open_http2().expect("a connection");
        assert_eq!(http2.send(&api(&good)).expect("an answer").status, 200, "{mode}: HTTP/2");
        assert_eq!(stage.reached(), 4, "{mode}");
    }
}

/// Envoy writes URIs and DNS names as they stand in a certificate, and who has one signed may choose them.
#[test]
fn no_name_in_a_certificate_tells_of_another() {
    let details = json!({"cert": true, "chain": true, "subject": true, "uri": true, "dns": true});
    let tells = json!({"forward_client_cert_details": "SANITIZE_SET", "set_current_client_cert_details": details});
    for mode in ["FORWARD_ONLY", "APPEND_FORWARD"] {
        let stage = Stage::with(&document(told_in(XFCC, "xfcc")), keeping(mode)).warm();
        let relay = relay_certificate(&stage);
        let first = first_envoy(&stage, &relay, tells.clone());
        let authority = stage.envoy.authority();
        let token = stage.token();
        let bank = stage.bank.digest_hex();
        let send = |own: &Certificate, token: &str| {
            Client::with(first.address(), &authority.certificate, own).send(&api(token)).status
        };
        for uri in [
            format!("https://x,Hash={bank}"),
            format!("https://x;Hash={bank}"),
            format!("https://x,By=y;Hash={bank};Subject=z"),
            format!("https://x\",Hash={bank}"),
        ] {
            let hostile = authority.issue(Leaf::client("thief").uri(&uri));
            assert!(matches!(send(&hostile, &token), 400 | 401), "{mode} {uri}");
        }
        let named = authority.issue(Leaf::client("named").organization("a, b; \"c\" = d").uri("spiffe://x.example/y"));
        let own = stage.key.mint(json!({}), &claims(&named));
        assert_eq!((send(&named, &own), send(&named, &token)), (200, 401), "{mode}: {:?}", stage.envoy.access_log());
        assert_eq!(stage.reached(), 1, "{mode}");
    }
}

/// A relay that appends what it sees behind what its client wrote.
#[test]
fn no_client_of_an_appending_relay_hides_its_own_element() {
    let appends = json!({"forward_client_cert_details": "APPEND_FORWARD", "set_current_client_cert_details": {"uri": true, "dns": true}});
    let mut document = document(told_in(XFCC, "xfcc"));
    document["peer_certificate"]["danger_unchecked_validity"] = json!(true);
    let stage = Stage::with(&document, keeping("FORWARD_ONLY")).warm();
    let relay = relay_certificate(&stage);
    let first = first_envoy(&stage, &relay, appends);
    let authority = stage.envoy.authority();
    let client = |own: &Certificate| Client::with(first.address(), &authority.certificate, own);
    let good = api(&stage.token());
    let hostile = authority.issue(Leaf::client("thief").uri("urn:a\""));
    for forged in [
        format!("Hash={};Cert=\"{}\";Subject=\"", stage.bank.digest_hex(), escaped(&stage.bank)),
        format!("Hash={};Subject=\"", stage.bank.digest_hex()),
    ] {
        assert_eq!(client(&hostile).send(&good.clone().field(XFCC, forged)).status, 400);
    }
    assert_eq!(stage.reached(), 0);
    assert_eq!(client(&stage.bank).send(&good).status, 200, "{}", stage.envoy.log());
}

#[test]
fn what_stands_before_the_element_that_counts_goes_nowhere() {
    let stage = Stage::with(&document(told_in(XFCC, "xfcc")), keeping("FORWARD_ONLY")).warm();
    let relay = relay_certificate(&stage);
    let send = |field: &str| stage.envoy.client(&relay).send(&api(&stage.token()).field(XFCC, field)).status;
    let own = xfcc(&stage.bank);
    let forged = format!("Hash={};Subject=\"CN=admin\",{own}", stage.thief.digest_hex());
    assert_eq!((send(&own), send(&forged)), (200, 200), "{}", stage.envoy.log());
    let received = stage.upstream.take();
    assert_eq!([received[0].values(XFCC), received[1].values(XFCC)], [vec![own], vec![]]);
}

#[test]
fn where_envoy_takes_the_field_away_nobody_is_told_of() {
    let stage = Stage::with(&document(told_in(XFCC, "xfcc")), keeping("SANITIZE")).warm();
    let relay = relay_certificate(&stage);
    let good = stage.token();
    let as_relay = |request: &Request| -> Response { stage.envoy.client(&relay).send(request) };
    assert_eq!(as_relay(&api(&good).field(XFCC, xfcc(&stage.bank))).status, 401);
    assert_eq!(stage.reason(1), "binding.no_certificate");
    assert_eq!(stage.as_bank(&api(&good)).status, 200, "who is no relay speaks for itself");
}

#[test]
fn operators_are_told_why_another_certificate_was_shown() {
    let document = document(told_in(XFCC, "xfcc"));
    let stage = Stage::with(&document, |options| options.tls(harness::Tls::Resuming)).warm();
    let authority = stage.envoy.authority();
    let same_key = authority.renew(&stage.bank, Leaf::client("another"));
    let same_names = authority.issue(Leaf::client("bank"));
    let good = stage.token();
    let text = r#"Bearer realm="holdfast", error="invalid_token", error_description="Certificate binding mismatch: certificate renewed, or not the one this token was issued to""#;
    let resuming = stage.envoy.client(&stage.thief).resuming();
    let table = [
        ("never seen", stage.envoy.client(&same_key).send(&api(&good)), "binding.other_certificate"),
        ("the bank", stage.as_bank(&api(&good)), "granted"),
        ("its key", stage.envoy.client(&same_key).send(&api(&good)), "binding.renewed_certificate"),
        ("its names", stage.envoy.client(&same_names).send(&api(&good)), "binding.renewed_certificate"),
        ("a thief", resuming.send(&api(&good)), "binding.other_certificate"),
        ("a thief, resumed", resuming.send(&api(&good)), "binding.resumed_session"),
    ];
    for (at, (name, answer, reason)) in table.into_iter().enumerate() {
        assert_eq!(stage.envoy.access_lines(6)[at].split(' ').nth(3), Some(reason), "{name}");
        if reason != "granted" {
            assert_eq!((answer.status, answer.values("www-authenticate")), (401, vec![text.to_owned()]), "{name}");
        }
    }
}
