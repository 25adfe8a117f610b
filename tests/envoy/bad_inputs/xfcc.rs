//! Header fields in which a relay tells its client's certificate, and in which everybody else would like to.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Certificate, Client, Leaf, NGINX_FIELD, Options, Request, Terminator};
use serde_json::{Value, json};

use super::{Case, Sender, bad, good, run, run_behind};
use crate::relays::first_envoy;
use crate::stage::{Stage, api, claims, document, issuer};

const XFCC: &str = "x-forwarded-client-cert";
/// A proxy in front: the name in its certificate, the field in which it tells its client's, and how it does.
struct Relay {
    name: &'static str,
    header: &'static str,
    format: &'static str,
}

const ENVOY: Relay = Relay { name: "envoy.bank.example", header: XFCC, format: "xfcc" };
const HAPROXY: Relay = Relay { name: "haproxy.bank.example", header: "client-cert", format: "rfc9440" };
const NGINX: Relay = Relay { name: "nginx.bank.example", header: NGINX_FIELD, format: "pem" };

impl Relay {
    fn of(&self, certificate: &Value) -> Value {
        json!({"certificate": certificate, "header": self.header, "format": self.format, "chain": "verified"})
    }

    /// Its certificate.
    fn issued(&self, stage: &Stage) -> Certificate {
        stage.envoy.authority().issue(Leaf::client("relay").dns(self.name))
    }

    /// As it tells a certificate.
    fn tells(&self, certificate: &Certificate) -> String {
        match self.format {
            "xfcc" => element(certificate),
            "rfc9440" => byte_sequence(&certificate.der),
            _ => escaped(certificate),
        }
    }
}

/// A service behind these relays.
fn behind(relays: &[Value]) -> Value {
    let rule = |names: Value| json!([{"certificate": {"san_dns": names}, "token": "none"}]);
    json!({
        "issuers": [issuer()],
        "peer_certificate": {"chain": "verified", "relays": relays},
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "named", "path": "/named", "allow": rule(json!("bank"))},
            {"name": "relays", "path": "/relays", "allow": rule(json!([ENVOY.name, HAPROXY.name, NGINX.name]))},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    })
}

/// Behind all three, each known by its name.
fn behind_all() -> Value {
    behind(&[ENVOY, HAPROXY, NGINX].map(|relay| relay.of(&json!({"san_dns": relay.name}))))
}

/// What this proxy itself does with the field of other Envoys.
fn keeping(mode: &str) -> impl FnOnce(Options) -> Options {
    let mode = mode.to_owned();
    move |mut options| {
        options.manager.insert("forward_client_cert_details".into(), json!(mode));
        if mode == "APPEND_FORWARD" {
            let told = json!({"cert": true, "subject": true, "uri": true, "dns": true});
            options.manager.insert("set_current_client_cert_details".into(), told);
        }
        options
    }
}

fn escaped_text(pem: &str) -> String {
    let text = pem.replace('\r', "").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    text.replace('\n', "%0A").replace(' ', "%20")
}

fn escaped(certificate: &Certificate) -> String {
    escaped_text(&certificate.cert_pem)
}

/// As a first Envoy tells it.
fn element(certificate: &Certificate) -> String {
    format!("Hash={};Cert=\"{}\"", certificate.digest_hex(), escaped(certificate))
}

fn byte_sequence(octets: &[u8]) -> String {
    format!(":{}:", STANDARD.encode(octets))
}

/// A case that comes through the relay.
fn told(case: Case) -> Case {
    case.by(Sender::Relay)
}

#[test]
fn relays_and_others_where_envoy_hands_the_field_on() {
    let change = |options: Options| Options { websockets: true, ..keeping("FORWARD_ONLY")(options) };
    let stage = Stage::with(&behind_all(), change).warm();
    nobody_tells_a_certificate_but_a_relay(&stage);
    elements_of_the_field(&stage);
    certificates_in_the_field(&stage);
    certificates_in_pem(&stage);
    byte_sequences_and_chains(&stage);
    one_proxy_that_tells_twice(&stage);
    what_one_relay_told_is_read_anew_in_the_form_of_another(&stage);
    for relay in [ENVOY, HAPROXY, NGINX] {
        no_client_becomes_another_by_taking_the_field_away(&stage, &relay);
    }
    nor_through_a_real_relay(&stage);
    nobody_becomes_another_by_its_own_names(&stage);
}

#[test]
fn relays_and_others_where_envoy_adds_to_the_field() {
    let stage = Stage::with(&behind_all(), keeping("APPEND_FORWARD")).warm();
    nobody_tells_a_certificate_but_a_relay(&stage);
    elements_of_the_field(&stage);
    by_its_digest_a_relay_is_itself_alone(&stage);
}

#[test]
fn where_no_relay_is_named_nobody_is_told_of() {
    // Envoy takes the field away by default; what it hands on by its operator's word is not read.
    for (mode, kept) in [("SANITIZE", 0), ("FORWARD_ONLY", 1)] {
        let stage = Stage::with(&document(), keeping(mode)).warm();
        let forged = api(&stage.token()).field(XFCC, element(&stage.bank));
        assert_eq!((stage.as_thief(&forged).status, stage.anonymously(&forged).status), (401, 401), "XFCC-01 {mode}");
        assert_eq!(stage.as_bank(&forged).status, 200, "XFCC-01 {mode}");
        assert_eq!(stage.upstream.take()[0].values(XFCC).len(), kept, "XFCC-01 {mode}");
    }
}

fn nobody_tells_a_certificate_but_a_relay(stage: &Stage) {
    let authority = stage.envoy.authority();
    let (token, forged) = (stage.token(), element(&stage.bank));
    let with = |field: &str, value: &str| api(&token).field(field, value);
    let mut cases = Vec::new();
    for (field, relay) in [
        (XFCC, ENVOY),
        ("X-Forwarded-Client-Cert", ENVOY),
        ("x_forwarded_client_cert", ENVOY),
        ("client-cert", HAPROXY),
        ("Client_Cert", HAPROXY),
        (NGINX_FIELD, NGINX),
        ("X_Client-Cert", NGINX),
    ] {
        let value = relay.tells(&stage.bank);
        let (other, none) = ("binding.other_certificate", "binding.no_certificate");
        cases.push(bad("XFCC-01", field, with(field, &value), 401, other).by(Sender::Thief));
        cases.push(bad("XFCC-03", field, with(field, &value), 401, none).by(Sender::Nobody));
        let named = Request::get("/named").field(field, &value);
        cases.push(bad("XFCC-01", format!("{field}: a name"), named, 403, "policy.no_rule").by(Sender::Thief));
        cases.push(good("XFCC-01", format!("{field}: its own"), with(field, &value)));
        cases.push(good("XFCC-01", format!("{field}: rubbish"), with(field, "rubbish")));
    }
    run(stage, cases);
    // Whoever is almost a relay is none.
    for (name, certificate) in [
        ("its name as a common name", authority.issue(Leaf::nameless(ENVOY.name))),
        ("its name as a URI", authority.issue(Leaf::client("x").uri("https://envoy.bank.example"))),
        ("a name below it", authority.issue(Leaf::client("x").dns("x.envoy.bank.example"))),
        ("a name that begins so", authority.issue(Leaf::client("x").dns("envoy.bank.example.evil.example"))),
        ("a wildcard", authority.issue(Leaf::client("x").dns("*.bank.example"))),
    ] {
        let client = stage.envoy.client(&certificate);
        // A wildcard is no name that could be compared: it may be a relay, and speaks for nobody.
        let status = client.send(&with(XFCC, &forged)).status;
        assert_eq!(status, 401, "XFCC-03: {name}");
        let public = Request::get("/healthz").field(XFCC, &forged).field("X_Forwarded_Client_Cert", &forged);
        assert_eq!(client.send(&public).status, 200, "XFCC-01: {name}");
        let received = stage.upstream.take();
        let kept = received.iter().flat_map(|received| &received.headers);
        let kept = kept.filter(|(name, _)| name.to_ascii_lowercase().replace('_', "-") == XFCC).count();
        assert_eq!((received.len(), kept), (1, 0), "XFCC-01: {name}");
    }
    let relay = stage.envoy.client(&ENVOY.issued(stage));
    assert_eq!(relay.send(&with(XFCC, &forged)).status, 200, "XFCC-03: its twin");
    stage.upstream.take();
}

fn by_its_digest_a_relay_is_itself_alone(stage: &Stage) {
    let relay = ENVOY.issued(stage);
    let renewed = stage.envoy.authority().renew(&relay, Leaf::client("relay").dns(ENVOY.name));
    let document = behind(&[ENVOY.of(&json!({"sha256": relay.digest_hex()}))]);
    stage.envoy.configure(&document).expect("a good configuration");
    let told = api(&stage.token()).field(XFCC, element(&stage.bank));
    assert_eq!(stage.envoy.client(&renewed).send(&told).status, 401, "XFCC-03");
    assert_eq!(stage.envoy.client(&relay).send(&told).status, 200, "XFCC-03: its twin");
}

fn elements_of_the_field(stage: &Stage) {
    let relay = ENVOY.issued(stage);
    let token = stage.token();
    let (bank, thief) = (element(&stage.bank), element(&stage.thief));
    let with = |value: &str| api(&token).field(XFCC, value);
    let called = |value: &str| {
        let value = value.replace(&escaped(&stage.bank), "(bank)").replace(&escaped(&stage.thief), "(thief)");
        format!("{value:.400}")
    };
    let passes = |id, value: &str| told(good(id, called(value), with(value)));
    let refused = |id, value: &str, status, reason| told(bad(id, called(value), with(value), status, reason));
    let other = |value: &str| refused("XFCC-04", value, 401, "binding.other_certificate");
    let malformed = |id, value: &str| refused(id, value, 400, "relay.malformed");
    let hash = stage.bank.digest_hex();
    let cert = format!("Cert=\"{}\"", escaped(&stage.bank));
    let mut cases = vec![
        other(&format!("{bank},{thief}")),
        other(&format!("{bank},{bank},{thief}")),
        other(&format!("By=spiffe://bank.example/x;{bank},By=spiffe://bank.example/y;{thief}")),
        other(&thief),
        passes("XFCC-04", &format!("{thief},{bank}")),
        passes("XFCC-04", &format!("{thief},{thief},{bank}")),
        passes("XFCC-04", &bank),
        malformed("XFCC-04", &format!("{bank},")),
        malformed("XFCC-04", &format!("{bank},,{thief}")),
        malformed("XFCC-04", &format!(",{bank}")),
        malformed("XFCC-04", &format!("{thief}, {bank}")),
        refused("XFCC-04", &vec![bank.as_str(); 40].join(","), 400, "relay.too_large"),
        // Envoy makes one list of two fields, so that the last counts.
        told(bad("XFCC-04", "two fields", with(&bank).field(XFCC, &thief), 401, "binding.other_certificate")),
        told(bad("XFCC-04", "no field", api(&token), 401, "binding.no_certificate")),
        told(bad("XFCC-04", "the relay's name", Request::get("/relays"), 403, "policy.no_rule")),
        told(bad(
            "XFCC-04",
            "its own token",
            api(&stage.key.mint(json!({}), &claims(&relay))),
            401,
            "binding.no_certificate",
        )),
    ];
    for subject in [
        r#"Subject="CN=a\,b;c=d,O=\"q\"""#,
        r#"Subject="""#,
        r#"Subject=",;=""#,
        r#"Subject="/C=US/L=San Francisco/CN=x""#,
        r#"URI="https://x,y;z=w""#,
        r#"Unknown="a,b""#,
    ] {
        cases.push(passes("XFCC-06", &format!("{bank};{subject}")));
        cases.push(passes("XFCC-06", &format!("{subject};{bank}")));
    }
    for broken in [
        r#"Subject="CN=a"#,
        r#"Subject="CN=a\""#,
        r#"Subject="CN=a"b"#,
        r#"Subject=CN=a"b""#,
        r#"Subject="a\\";DNS="x""#,
        r#"Sub"ject="a""#,
        r#"Subject="a";Subject="b""#,
        "Subject",
        "=",
        "",
    ] {
        cases.push(malformed("XFCC-06", &format!("{bank};{broken}")));
        cases.push(malformed("XFCC-06", &format!("{broken};{bank}")));
    }
    // Whoever chose the name in front may have written all that stands behind it.
    for name in [
        format!("URI=https://x,{bank}"),
        format!("URI=https://x;{thief},{bank}"),
        format!("DNS=x,{bank}"),
        format!("DNS=x,By=y;{bank}"),
        format!("Subject=CN=a,{bank}"),
        format!("Subject=\"CN=a\\\",{bank}"),
        format!("Subject=\"CN=a\\\\\",{bank}"),
    ] {
        let hash = stage.thief.digest_hex();
        cases.push(malformed("XFCC-06", &format!("Hash={hash};{name}")));
    }
    for bad_hash in [
        String::new(),
        hash[1..].to_owned(),
        format!("{hash}0"),
        hash[..62].to_owned(),
        format!("{hash}{hash}"),
        hash.replace(&hash[..1], "g"),
        format!("0x{}", &hash[2..]),
        format!(" {}", &hash[1..]),
        format!("+{}", &hash[1..]),
        stage.bank.x5t_s256(),
    ] {
        cases.push(malformed("XFCC-08", &format!("Hash={bad_hash};{cert}")));
        cases.push(malformed("XFCC-08", &format!("Hash={bad_hash}")));
    }
    cases.push(malformed("XFCC-08", &format!("Hash={hash};Hash={hash};{cert}")));
    cases.push(malformed("XFCC-08", &format!("Hash={hash};{cert};hash={}", stage.thief.digest_hex())));
    let of_thief = format!("Hash={};{cert}", stage.thief.digest_hex());
    cases.push(refused("XFCC-08", &of_thief, 400, "certificate.other_digest"));
    cases.push(refused("XFCC-08", &format!("Hash={hash}"), 401, "binding.unchecked_validity"));
    cases.push(passes("XFCC-08", &format!("Hash={};{cert}", hash.to_uppercase())));
    cases.push(passes("XFCC-08", &format!("Hash=\"{hash}\";{cert}")));
    cases.push(passes("XFCC-08", &cert));
    for (hash_key, cert_key) in [("hash", "cert"), ("HASH", "CERT"), ("hAsH", "cErT"), ("Hash", "Cert")] {
        cases.push(passes("XFCC-10", &format!("{hash_key}={hash};{cert_key}=\"{}\"", escaped(&stage.bank))));
        let twice = format!("{hash_key}={hash};{cert};{cert_key}=\"{}\"", escaped(&stage.bank));
        cases.push(malformed("XFCC-10", &twice));
    }
    cases.push(malformed("XFCC-10", &format!("Hash ={hash}")));
    cases.push(malformed("XFCC-10", &format!("Hashes={hash}")));
    run_behind(stage, stage.envoy.client(&relay), cases);
    let mut http2 = stage.envoy.client(&relay).open_http2().expect("a connection");
    for (value, status) in [(&bank, 200), (&thief, 401), (&format!("{bank},{thief}"), 401), (&format!("{bank},"), 400)]
    {
        assert_eq!(http2.send(&with(value)).expect("an answer").status, status, "XFCC-04, HTTP/2: {value:.80}");
    }
}

/// Texts that are almost the PEM of a certificate, and why each is none.
fn almost_pem(certificate: &Certificate) -> Vec<(&'static str, String, &'static str)> {
    let (pem, text) = (certificate.cert_pem.replace('\r', ""), escaped(certificate));
    let body: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let wrapped =
        |body: &str| escaped_text(&format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"));
    let longer = STANDARD.encode([&certificate.der[..], &[0]].concat());
    let not_pem = "certificate.not_pem";
    vec![
        ("encoded twice", text.replace('%', "%25"), not_pem),
        ("+ for a blank", text.replace("%20", "+"), not_pem),
        ("without BEGIN", text.replace("-----BEGIN%20CERTIFICATE-----%0A", ""), not_pem),
        ("without END", text.replace("-----END%20CERTIFICATE-----%0A", ""), not_pem),
        ("two blocks", format!("{text}{text}"), not_pem),
        ("a block of another kind", text.replace("CERTIFICATE", "TRUSTED%20CERTIFICATE"), not_pem),
        ("something behind it", format!("{text}x"), not_pem),
        ("something before it", format!("x{text}"), not_pem),
        ("a comment before it", format!("subject%3Dx%0A{text}"), not_pem),
        ("headers inside", text.replacen("%0A", "%0AProc-Type:%204%0A%0A", 1), not_pem),
        ("a broken escape", text.replacen("%0A", "%0", 1), not_pem),
        ("an escape of no digits", text.replacen("%0A", "%zz", 1), not_pem),
        ("a NUL", text.replacen("%0A", "%0A%00", 1), not_pem),
        ("base64url", wrapped(&body.replace('+', "-").replace('/', "_").replacen("MII", "M-I", 1)), not_pem),
        ("an octet behind the DER", wrapped(&longer), "certificate.not_x509"),
        ("another DER", wrapped(&STANDARD.encode(b"\x30\x03\x02\x01\x01")), "certificate.not_x509"),
        ("nothing", wrapped(""), "certificate.not_x509"),
        ("9 KiB of DER", wrapped(&STANDARD.encode(vec![0x30; 9 << 10])), "certificate.too_large"),
    ]
}

fn certificates_in_the_field(stage: &Stage) {
    let relay = ENVOY.issued(stage);
    let token = stage.token();
    let with = |value: &str| api(&token).field(XFCC, value);
    let mut cases = Vec::new();
    for (name, text, reason) in almost_pem(&stage.bank) {
        let case = bad("XFCC-09", name, with(&format!("Cert=\"{text}\"")), 400, reason);
        cases.push(told(case));
    }
    for (name, text) in [("empty", ""), ("blanks", "-----BEGIN CERTIFICATE----- AAAA -----END CERTIFICATE-----")] {
        cases.push(told(bad("XFCC-09", name, with(&format!("Cert=\"{text}\"")), 400, "certificate.not_pem")));
    }
    let cert = escaped(&stage.bank);
    let chain = format!("Cert=\"{cert}\";Chain=\"{cert}{}\"", escaped(&stage.thief));
    let chain_alone = format!("Chain=\"{cert}\"");
    cases.push(told(bad("XFCC-09", "a chain alone", with(&chain_alone), 400, "relay.malformed")));
    for (name, value) in [
        ("as Envoy escapes it", format!("Cert=\"{cert}\"")),
        (
            "in lower case",
            format!("Cert=\"{}\"", cert.replace("%2B", "%2b").replace("%2F", "%2f").replace("%0A", "%0a")),
        ),
        ("with CRLF", format!("Cert=\"{}\"", cert.replace("%0A", "%0D%0A"))),
        (
            "all escaped",
            format!(
                "Cert=\"{}\"",
                stage.bank.cert_pem.replace('\r', "").bytes().map(|octet| format!("%{octet:02X}")).collect::<String>()
            ),
        ),
        ("without quotes", format!("Cert={}", cert.replace("%3D", "="))),
        ("with a chain", chain),
    ] {
        cases.push(told(good("XFCC-09", name, with(&value))));
    }
    run_behind(stage, stage.envoy.client(&relay), cases);
}

/// The same of a relay that writes PEM alone.
fn certificates_in_pem(stage: &Stage) {
    let relay = NGINX.issued(stage);
    let token = stage.token();
    let with = |value: &str| api(&token).field(NGINX_FIELD, value);
    let mut cases = Vec::new();
    for (name, text, reason) in almost_pem(&stage.bank) {
        cases.push(told(bad("XFCC-09", format!("PEM {name}"), with(&text), 400, reason)));
    }
    let cert = escaped(&stage.bank);
    cases.push(told(bad("XFCC-09", "PEM, empty", with(""), 401, "binding.no_certificate")));
    cases.push(told(bad("XFCC-09", "as Apache without one", with("(null)"), 401, "binding.no_certificate")));
    cases.push(told(bad("XFCC-09", "in quotes", with(&format!("\"{cert}\"")), 400, "certificate.not_pem")));
    cases.push(told(bad("XFCC-09", "twice", with(&cert).field(NGINX_FIELD, &cert), 400, "relay.doubled")));
    let other_case = with(&escaped(&stage.thief)).field("X-Client-Cert", &cert);
    cases.push(told(bad("XFCC-09", "twice, in capitals", other_case, 400, "relay.doubled")));
    let underscores = with(&escaped(&stage.thief)).field("x_client_cert", &cert);
    cases.push(told(bad("XFCC-09", "with underscores too", underscores, 401, "binding.other_certificate")));
    let elsewhere = api(&token)
        .field("x_client_cert", &cert)
        .field(XFCC, element(&stage.bank))
        .field("client-cert", byte_sequence(&stage.bank.der));
    cases.push(told(bad("XFCC-09", "in other fields alone", elsewhere, 401, "binding.no_certificate")));
    cases.push(told(good("XFCC-09", "PEM", with(&cert))));
    cases.push(told(good(
        "XFCC-09",
        "PEM with blanks",
        with(&stage.bank.cert_pem.replace("\r\n", " ").replace('\n', " ")),
    )));
    run_behind(stage, stage.envoy.client(&relay), cases);
}

fn byte_sequences_and_chains(stage: &Stage) {
    let relay = HAPROXY.issued(stage);
    let token = stage.token();
    let with = |value: &str| api(&token).field("client-cert", value);
    let (bank, thief) = (byte_sequence(&stage.bank.der), byte_sequence(&stage.thief.der));
    let inside = STANDARD.encode(&stage.bank.der);
    let mut cases = Vec::new();
    for (name, value, reason) in [
        ("empty", String::new(), "relay.malformed"),
        ("a colon", ":".to_owned(), "relay.malformed"),
        ("two colons", "::".to_owned(), "relay.malformed"),
        ("no colons", inside.clone(), "relay.malformed"),
        ("no colon before it", format!("{inside}:"), "relay.malformed"),
        ("no colon behind it", format!(":{inside}"), "relay.malformed"),
        ("a blank inside", format!(": {inside}:"), "relay.malformed"),
        ("a blank in the middle", format!(":{} {}:", &inside[..8], &inside[8..]), "relay.malformed"),
        ("a tab inside", format!(":{}\t{}:", &inside[..8], &inside[8..]), "relay.malformed"),
        ("a parameter", format!("{bank};a=1"), "relay.malformed"),
        ("a parameter without a value", format!("{bank};a"), "relay.malformed"),
        ("a list", format!("{bank}, {bank}"), "relay.malformed"),
        ("a list of one", format!("{bank},"), "relay.malformed"),
        ("an inner list", format!("({bank})"), "relay.malformed"),
        ("a text", format!("\"{inside}\""), "relay.malformed"),
        ("a token", "x".to_owned(), "relay.malformed"),
        ("true", "?1".to_owned(), "relay.malformed"),
        ("base64url", format!(":{}-_:", &inside[..inside.len() - 2]), "relay.malformed"),
        ("escaped", bank.replace('/', "%2F").replace('+', "%2B").replacen(':', ":%", 1), "relay.malformed"),
        ("PEM", escaped(&stage.bank), "relay.malformed"),
        ("cut off", format!(":{}:", &inside[..inside.len() - 1]), "certificate.not_pem"),
        ("padding inside", format!(":{}={}:", &inside[..8], &inside[8..]), "certificate.not_pem"),
        ("padding twice", format!(":{inside}====:"), "certificate.not_pem"),
        ("DER cut off", byte_sequence(&stage.bank.der[..stage.bank.der.len() - 1]), "certificate.not_x509"),
        ("an octet behind it", byte_sequence(&[&stage.bank.der[..], &[0]].concat()), "certificate.not_x509"),
        ("two certificates", byte_sequence(&[&stage.bank.der[..], &stage.thief.der].concat()), "certificate.not_x509"),
        ("a PEM inside", byte_sequence(stage.bank.cert_pem.as_bytes()), "certificate.not_x509"),
        ("one octet", ":AA==:".to_owned(), "certificate.not_x509"),
        ("bits that nobody wrote", ":AB==:".to_owned(), "certificate.not_pem"),
        ("9 KiB", byte_sequence(&vec![0x30; 9 << 10]), "certificate.too_large"),
    ] {
        cases.push(told(bad("XFCC-12", name, with(&value), 400, reason)));
    }
    cases.push(told(bad("XFCC-12", "twice", with(&bank).field("client-cert", &bank), 400, "relay.doubled")));
    cases.push(told(bad("XFCC-12", "another's too", with(&thief).field("Client-Cert", &bank), 400, "relay.doubled")));
    cases.push(told(bad("XFCC-12", "another's", with(&thief), 401, "binding.other_certificate")));
    cases.push(told(bad(
        "XFCC-12",
        "with underscores",
        api(&token).field("client_cert", &bank),
        401,
        "binding.no_certificate",
    )));
    cases.push(told(good("XFCC-12", "one byte sequence", with(&bank))));
    cases.push(told(good("XFCC-12", "blanks around the field", with(&format!("  {bank} ")))));
    let chain = |leaf: &str, chain: &str| with(leaf).field("client-cert-chain", chain);
    let ca = byte_sequence(&stage.envoy.authority().certificate.der);
    for (name, value) in [
        ("the authority", ca.clone()),
        ("the other way round", format!("{ca}, {bank}")),
        ("another's leaf", thief.clone()),
        ("32 members", vec![":AAAA:"; 32].join(", ")),
    ] {
        cases.push(told(good("XFCC-13", name, chain(&bank, &value))));
    }
    let other = "binding.other_certificate";
    cases.push(told(bad("XFCC-13", "the leaf in the chain", chain(&thief, &bank), 401, other)));
    cases.push(told(bad("XFCC-13", "the leaf last", chain(&thief, &format!("{ca}, {bank}")), 401, other)));
    let alone = api(&token).field("client-cert-chain", &bank);
    cases.push(told(bad("XFCC-13", "a chain alone", alone, 400, "relay.malformed")));
    let twice = chain(&bank, &ca).field("client-cert-chain", &ca);
    cases.push(told(good("XFCC-13", "two chains, which are one list", twice)));
    let hundred = vec![":AAAA:"; 100].join(", ");
    cases.push(told(bad("XFCC-13", "100 certificates", chain(&bank, &hundred), 400, "relay.too_large")));
    let vast = format!(":{}:", "A".repeat(1 << 20));
    cases.push(told(bad("XFCC-13", "1 MiB", chain(&bank, &vast), 431, "-").stopped(431)));
    for broken in ["", ",", ":AAAA:,", ":AA AA:", ":AAAA", ":AAAA:;a", "x"] {
        cases.push(told(bad("XFCC-13", format!("{broken:?}"), chain(&bank, broken), 400, "relay.malformed")));
    }
    run_behind(stage, stage.envoy.client(&relay), cases);
}

/// A proxy that is two relays has to say the same by both (checklist 12.14).
fn one_proxy_that_tells_twice(stage: &Stage) {
    let names = Leaf::client("relay").dns(ENVOY.name).dns(HAPROXY.name);
    let relay = stage.envoy.authority().issue(names);
    let token = stage.token();
    let with = |element: &str, sequence: &str| api(&token).field(XFCC, element).field("client-cert", sequence);
    let [(bank, of_bank), (thief, of_thief)] =
        [&stage.bank, &stage.thief].map(|certificate| (ENVOY.tells(certificate), HAPROXY.tells(certificate)));
    let [hash, other_hash] = [&stage.bank, &stage.thief].map(|told| format!("Hash={}", told.digest_hex()));
    let cases = vec![
        bad("XFCC-12", "two that disagree", with(&bank, &of_thief), 400, "relay.disagree"),
        bad("XFCC-12", "the other way round", with(&thief, &of_bank), 400, "relay.disagree"),
        bad("XFCC-12", "by the digest", with(&other_hash, &of_bank), 400, "relay.disagree"),
        bad("XFCC-12", "one that can't be read", with(&bank, ":AA:"), 400, "certificate.not_pem"),
        bad("XFCC-12", "one that is empty", with(&bank, ""), 400, "relay.malformed"),
        bad("XFCC-12", "another's by both", with(&thief, &of_thief), 401, "binding.other_certificate"),
        good("XFCC-12", "two that agree", with(&bank, &of_bank)),
        good("XFCC-12", "by the digest", with(&hash, &of_bank)),
        good("XFCC-12", "one of the two", api(&token).field("client-cert", &of_bank)),
    ];
    run_behind(stage, stage.envoy.client(&relay), cases.into_iter().map(told).collect());
}

/// XFCC-09: a text that one relay may write is none that another may, though it has just been read.
fn what_one_relay_told_is_read_anew_in_the_form_of_another(stage: &Stage) {
    let [haproxy, nginx] = [HAPROXY, NGINX].map(|relay| stage.envoy.client(&relay.issued(stage)));
    let client = stage.envoy.authority().issue(Leaf::client("client"));
    let (token, inside) = (stage.key.mint(json!({}), &claims(&client)), STANDARD.encode(&client.der));
    let as_pem = api(&token).field(NGINX.header, &inside);
    assert_eq!(nginx.send(&as_pem).status, 400, "XFCC-09: base64 alone is no PEM");
    let as_sequence = api(&token).field(HAPROXY.header, format!(":{inside}:"));
    assert_eq!(haproxy.send(&as_sequence).status, 200, "XFCC-12: its twin");
    assert_eq!(nginx.send(&as_pem).status, 400, "XFCC-09: nor is it when HAProxy has told the same");
    assert_eq!(stage.reached(), 1, "XFCC-09");
}

/// Envoy takes away what `Connection` names before the filter sees it, so that a relay which hands that on tells nobody; where the
/// request upgrades, it keeps both, and the filter refuses.
fn no_client_becomes_another_by_taking_the_field_away(stage: &Stage, relay: &Relay) {
    let certificate = relay.issued(stage);
    let (token, of_relay) = (stage.token(), stage.key.mint(json!({}), &claims(&certificate)));
    let header = relay.header;
    let told_of = |certificate: &Certificate, token: &str| api(token).field(header, relay.tells(certificate));
    let mut cases = Vec::new();
    for connection in [header.to_owned(), format!("close, {header}"), format!("x,{}", header.to_uppercase())] {
        for (name, token) in [("the client's token", &token), ("the relay's", &of_relay)] {
            let request = told_of(&stage.bank, token).field("connection", &connection);
            let name = format!("{name}, connection: {connection}");
            cases.push(told(bad("XFCC-15", name, request, 401, "binding.no_certificate")));
        }
        let upgrades = told_of(&stage.bank, &token)
            .field("connection", format!("Upgrade, {connection}"))
            .field("upgrade", "websocket");
        cases.push(told(bad("XFCC-15", "an upgrade", upgrades, 400, "request.owned_header")));
        // Nothing is taken from whoever speaks for itself.
        let direct = api(&token).field("connection", &connection);
        cases.push(good("XFCC-15", format!("directly, connection: {connection}"), direct));
    }
    let twice = told_of(&stage.bank, &token).field("connection", "close").field("connection", header);
    cases.push(told(bad("XFCC-15", "in a second field", twice, 401, "binding.no_certificate")));
    for connection in ["x-other".to_owned(), header.replace('-', "_")] {
        let other = told_of(&stage.bank, &token).field("connection", &connection);
        cases.push(told(good("XFCC-15", format!("connection: {connection}"), other)));
        let stolen = told_of(&stage.thief, &token).field("connection", &connection);
        cases.push(told(bad("XFCC-15", format!("connection: {connection}"), stolen, 401, "binding.other_certificate")));
    }
    run_behind(stage, stage.envoy.client(&certificate), cases);
}

/// Through real relays, who hand the field on or not, and take nothing away for somebody else's good.
fn nor_through_a_real_relay(stage: &Stage) {
    let authority = stage.envoy.authority();
    for relay in [NGINX, HAPROXY] {
        let (certificate, name) = (relay.issued(stage), relay.name);
        let terminator = match relay.format {
            "pem" => Terminator::nginx(authority, &certificate, stage.envoy.address()),
            _ => Terminator::haproxy(authority, &certificate, stage.envoy.address()),
        };
        let tokens = [stage.token(), stage.key.mint(json!({}), &claims(&certificate))];
        let as_thief = Client::with(terminator.address, &authority.certificate, &stage.thief);
        for connection in [relay.header.to_owned(), format!("close, {}", relay.header), relay.header.replace('-', "_")]
        {
            for token in &tokens {
                let status = as_thief.send(&api(token).field("connection", &connection)).status;
                assert!(matches!(status, 400 | 401), "XFCC-15 {name}: {connection}: {status}");
            }
        }
        assert_eq!(stage.reached(), 0, "XFCC-15 {name}");
        let as_bank = Client::with(terminator.address, &authority.certificate, &stage.bank);
        let answer = as_bank.send(&api(&tokens[0]).field("connection", "close"));
        assert_eq!((answer.status, stage.reached()), (200, 1), "XFCC-15 {name}: its twin");
    }
}

/// Whatever an authority has let a client call itself, and a first Envoy tells of it: subject, URIs and DNS names.
fn nobody_becomes_another_by_its_own_names(stage: &Stage) {
    const NAMES: [u64; 4] = [2, 5, 29, 17];
    let authority = stage.envoy.authority();
    let told = json!({"forward_client_cert_details": "APPEND_FORWARD", "set_current_client_cert_details": {
        "cert": true, "subject": true, "uri": true, "dns": true}});
    let first = first_envoy(stage, &ENVOY.issued(stage), told);
    let (token, forged) = (stage.token(), element(&stage.bank));
    let hash = format!("Hash={}", stage.bank.digest_hex());
    // An extension of one name, with this tag.
    let named = |tag: u8, text: &str| {
        let field = |tag: u8, octets: &[u8]| {
            let [high, low] = u16::try_from(octets.len()).expect("a length").to_be_bytes();
            let length = match (high, low) {
                (0, 0..0x80) => vec![low],
                (0, _) => vec![0x81, low],
                (_, _) => vec![0x82, high, low],
            };
            [&[tag][..], &length, octets].concat()
        };
        authority.issue(Leaf::nameless("x").extension(&NAMES, field(0x30, &field(tag, text.as_bytes()))))
    };
    let (uri, dns) = (0x86, 0x82);
    for (name, certificate) in [
        ("an element in a URI", named(uri, &format!("https://x,{forged}"))),
        ("a pair in a URI", named(uri, &format!("https://x;{forged}"))),
        ("a digest in a URI", named(uri, &format!("https://x,{hash}"))),
        ("a subject in a URI", named(uri, &format!("https://x,Subject=\"\",{forged},By=x"))),
        ("an element in a DNS name", named(dns, &format!("x,{forged}"))),
        ("a quote in a DNS name", named(dns, &format!("x\",{forged},\""))),
        ("an element in a subject", authority.issue(Leaf::nameless(&format!("x\",{hash},\"")))),
        ("a backslash in a subject", authority.issue(Leaf::nameless(&format!("x\\\",{hash},\"")))),
        ("a backslash at the end", authority.issue(Leaf::nameless("x\\"))),
    ] {
        let client = Client::with(first.address(), &authority.certificate, &certificate);
        for request in [api(&token), api(&token).field(XFCC, &forged), Request::get("/named")] {
            let status = client.try_send(&request).map_or(0, |answer| answer.status);
            assert!(matches!(status, 0 | 400 | 401 | 403), "XFCC-06 {name}: {status}");
        }
    }
    assert_eq!(stage.reached(), 0, "XFCC-06");
    for certificate in [&stage.bank, &authority.renew(&stage.bank, Leaf::client("bank").uri("https://x;y=z"))] {
        let own = stage.key.mint(json!({}), &claims(certificate));
        let client = Client::with(first.address(), &authority.certificate, certificate);
        assert_eq!(client.send(&api(&own)).status, 200, "XFCC-06: its twin: {:?}", stage.envoy.access_log().last());
        assert_eq!(client.send(&api(&own).field(XFCC, element(&stage.thief))).status, 200, "XFCC-04: its twin");
    }
    stage.upstream.take();
}
