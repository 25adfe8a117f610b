//! What the harness starts and makes is what it says: judged by others' implementations where there is one.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::{
    Algorithm, Authority, AuthorizationServer, Client, Configuration, Envoy, Fault, Leaf, NGINX_FIELD, OidcProvider,
    Options, Request, SigningKey, Terminator, Upstream, now, set_up, sign_octets,
};
use ring::signature as verify;
use serde_json::{Value, json};

const API: &str = "https://api.market.example";

fn octets(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

fn claims(token: &str) -> Value {
    serde_json::from_slice(&octets(token.split('.').nth(1).expect("a payload"))).expect("JSON")
}

/// Envoy with no filter but its router, so that no module is built.
fn plain(upstream: &Upstream) -> Options {
    Options { plugins: Vec::new(), ..Options::new(&Value::Null, upstream.address()) }
}

#[test]
fn a_certificate_has_the_digest_that_openssl_gives_it() {
    let leaf = Leaf::client("bank").organization("Bank").email("a@bank.example").uri("spiffe://bank.example/ns/a/sa/b");
    let certificate = Authority::new("test CA").issue(leaf.valid(-60, 60));
    let openssl = |question: &[&str]| {
        let mut command = Command::new("openssl");
        command.arg("x509").args(["-noout", "-sha256"]).args(question).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("openssl; install it with: apt-get install -y openssl");
        child.stdin.take().expect("its input").write_all(certificate.cert_pem.as_bytes()).expect("the certificate");
        String::from_utf8(child.wait_with_output().expect("its output").stdout).expect("text")
    };
    let fingerprint = openssl(&["-fingerprint"]).trim().rsplit('=').next().expect("a digest").replace(':', "");
    assert_eq!(certificate.digest_hex(), fingerprint.to_lowercase());
    assert_eq!(octets(&certificate.x5t_s256()).len(), 32);
    let names = openssl(&["-ext", "subjectAltName"]);
    assert!(names.contains("DNS:bank, email:a@bank.example, URI:spiffe://bank.example/ns/a/sa/b"), "{names}");
    assert!(openssl(&["-subject"]).contains("O = Bank"));
}

#[test]
fn tokens_of_every_algorithm_verify_by_the_keys_that_are_published() {
    let keys = Algorithm::ALL.map(|algorithm| SigningKey::new(algorithm, algorithm.name()));
    let server = AuthorizationServer::start(&keys.each_ref());
    let published = Client::plaintext(server.address()).send(&Request::get("/jwks"));
    let published: Value = serde_json::from_slice(&published.body).expect("a JWK Set");
    for (key, jwk) in keys.iter().zip(published["keys"].as_array().expect("keys")) {
        let token = key.mint(json!({"typ": null, "x": 1}), &json!({"sub": "bank"}));
        let (input, signature) = token.rsplit_once('.').expect("a signature");
        let header: Value = serde_json::from_slice(&octets(input.split('.').next().expect("a header"))).expect("JSON");
        assert_eq!(header, json!({"alg": key.algorithm.name(), "kid": jwk["kid"], "x": 1}));
        assert!(verifies(jwk, input.as_bytes(), &octets(signature)), "{}", key.algorithm.name());
        assert!(!verifies(jwk, b"another", &octets(signature)), "{}", key.algorithm.name());
    }
}

fn verifies(jwk: &Value, message: &[u8], signature: &[u8]) -> bool {
    let member = |name: &str| octets(jwk[name].as_str().expect("a member of a key"));
    let rsa = |parameters: &'static verify::RsaParameters| {
        let key = verify::RsaPublicKeyComponents { n: member("n"), e: member("e") };
        key.verify(parameters, message, signature).is_ok()
    };
    let point = || [vec![4], member("x"), member("y")].concat();
    let other = |algorithm: &'static dyn verify::VerificationAlgorithm, key: Vec<u8>| {
        verify::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
    };
    match jwk["alg"].as_str().expect("an algorithm") {
        "RS256" => rsa(&verify::RSA_PKCS1_2048_8192_SHA256),
        "RS384" => rsa(&verify::RSA_PKCS1_2048_8192_SHA384),
        "RS512" => rsa(&verify::RSA_PKCS1_2048_8192_SHA512),
        "PS256" => rsa(&verify::RSA_PSS_2048_8192_SHA256),
        "PS384" => rsa(&verify::RSA_PSS_2048_8192_SHA384),
        "PS512" => rsa(&verify::RSA_PSS_2048_8192_SHA512),
        "ES256" => other(&verify::ECDSA_P256_SHA256_FIXED, point()),
        "ES384" => other(&verify::ECDSA_P384_SHA384_FIXED, point()),
        "EdDSA" => other(&verify::ED25519, member("x")),
        algorithm => panic!("{algorithm} is not in the list"),
    }
}

#[test]
fn a_hostile_token_holds_its_octets_as_they_were_given() {
    let key = SigningKey::new(Algorithm::Es256, "k");
    let token = sign_octets(&key, br#"{"alg":"ES256","alg":"none"}"#, b"\xff");
    let parts: Vec<&str> = token.split('.').collect();
    assert_eq!(octets(parts[0]), br#"{"alg":"ES256","alg":"none"}"#);
    assert_eq!(octets(parts[1]), b"\xff");
    assert!(verifies(&key.jwk(), format!("{}.{}", parts[0], parts[1]).as_bytes(), &octets(parts[2])));
}

#[test]
fn an_upstream_records_every_octet_that_reaches_it() {
    let upstream = Upstream::start();
    let mut connection = Client::plaintext(upstream.address()).open().expect("a connection");
    let request = Request::new("POST", "/a%2Fb?x").field("x-bin", b"\xff\xfe").field("dpop", "1").field("dpop", "2");
    let answer = connection.send(&request.body("hello")).expect("an answer");
    assert_eq!((answer.status, answer.text().as_str()), (200, "reached the service\n"));
    // The connection serves on.
    assert_eq!(connection.send(&Request::get("/second")).expect("an answer").status, 200);
    let received = upstream.take();
    assert_eq!(received.iter().map(|one| one.path.as_str()).collect::<Vec<_>>(), ["/a%2Fb?x", "/second"]);
    assert_eq!((received[0].method.as_str(), received[0].text().as_str()), ("POST", "hello"));
    assert!(received[0].headers.contains(&("x-bin".to_owned(), b"\xff\xfe".to_vec())));
    assert_eq!(received[0].values("DPoP"), ["1", "2"]);
    assert!(upstream.received().is_empty());
}

#[test]
fn a_scripted_server_answers_fails_and_counts_as_it_is_told() {
    let (first, second) = (SigningKey::new(Algorithm::Es256, "k1"), SigningKey::new(Algorithm::EdDsa, "k2"));
    let server = AuthorizationServer::start(&[&first]);
    let client = Client::plaintext(server.address());
    let kids = || {
        let set: Value = serde_json::from_slice(&client.send(&Request::get("/jwks")).body).expect("a JWK Set");
        set["keys"].as_array().expect("keys").iter().map(|key| key["kid"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(kids(), ["k1"]);
    server.publish(&[&first, &second]);
    assert_eq!(kids(), ["k1", "k2"]);
    server.publish(&[&second]);
    assert_eq!(kids(), ["k2"]);

    let ask = |token: &str| client.try_send(&Request::new("POST", "/introspect").body(format!("token={token}")));
    let says = |token: &str| serde_json::from_slice::<Value>(&ask(token).expect("an answer").body).expect("JSON");
    server.know("a.b-c", json!({"active": true, "scope": "x"}));
    assert_eq!(says("a.b-c"), json!({"active": true, "scope": "x"}));
    server.forget("a.b-c");
    assert_eq!(says("a.b-c"), json!({"active": false}));
    assert_eq!((server.count("/jwks"), server.count("/introspect")), (3, 2));
    assert_eq!(server.asked().last().map(harness::Received::text), Some("token=a.b-c".to_owned()));

    let fail = |fault| server.fail("/introspect", fault);
    fail(Fault::Close);
    assert!(ask("t").is_err());
    fail(Fault::Octets(b"HTTP/1.1 200 x\r\ncontent-length: 9\r\n\r\n{".to_vec()));
    assert!(ask("t").is_err());
    fail(Fault::Answer { status: 204, content_type: "application/json", body: Vec::new() });
    assert_eq!(ask("t").expect("an answer").status, 204);
    fail(Fault::Answer { status: 200, content_type: "application/json", body: vec![b' '; 10 << 20] });
    assert_eq!(ask("t").expect("an answer").body.len(), 10 << 20);
    fail(Fault::Trickle);
    let mut waiting = client.open().expect("a connection");
    waiting.begin(&Request::get("/introspect")).expect("a request sent");
    assert!(harness::wait_until(Duration::from_secs(5), || server.count("/introspect") == 7));
    drop(waiting);
    assert_eq!(kids(), ["k2"], "a fault at one path is none at another");
    fail(Fault::Slow(Duration::from_millis(100)));
    let started = std::time::Instant::now();
    assert_eq!(says("t"), json!({"active": false}));
    assert!(started.elapsed() >= Duration::from_millis(100));
    server.mend();
    assert_eq!(says("t"), json!({"active": false}));
}

#[test]
fn envoy_starts_without_the_filter_and_is_gone_when_dropped() {
    let authority = Authority::new("test CA");
    let bank = authority.issue(Leaf::client("bank"));
    let upstream = Upstream::start();
    let envoy = Envoy::start(authority, plain(&upstream));
    let (directory, address) = (envoy.directory().to_owned(), envoy.address());
    let mut connection = envoy.client(&bank).open().expect("a connection");
    for path in ["/first", "/second"] {
        assert_eq!(connection.send(&Request::get(path).field("x-bin", b"\xff")).expect("an answer").status, 200);
    }
    assert_eq!(envoy.anonymous().send(&Request::get("/third")).status, 200);
    // Somebody else's certificate ends the handshake.
    let stranger = Authority::new("another CA").issue(Leaf::client("bank"));
    assert!(envoy.client(&stranger).try_send(&Request::get("/")).is_err());
    let received = upstream.take();
    assert_eq!(received.len(), 3);
    assert!(received[0].headers.contains(&("x-bin".to_owned(), b"\xff".to_vec())));
    assert_eq!(envoy.access_lines(3)[0], "200 via_upstream - - - - - - -");
    assert!(envoy.is_alive() && envoy.memory() > 1024 && envoy.admin("/ready").starts_with("LIVE"));
    drop(connection);
    drop(envoy);
    assert!(!directory.exists());
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[test]
fn a_configuration_pushed_is_taken_or_refused_with_what_envoy_said() {
    let upstream = Upstream::start();
    let envoy = Envoy::start(Authority::new("test CA"), Options { concurrency: 2, ..plain(&upstream) });
    let address = envoy.address();
    let public = json!({"routes": [{"name": "all", "methods": ["GET"], "path": "/**", "allow": "public"}]});
    let push = |document: String| envoy.push(vec![Configuration { name: "holdfast".into(), document }]);
    assert_eq!(push(public.to_string()), Ok(()));
    assert_eq!(envoy.anonymous().send(&Request::get("/")).status, 200);
    assert_eq!(envoy.anonymous().send(&Request::new("PUT", "/")).status, 403);
    let refused = push(r#"{"rutes": []}"#.to_owned()).expect_err("a refusal");
    assert!(refused.contains("rutes"), "{refused}");
    // The good one serves on, at the same address.
    assert_eq!(envoy.anonymous().send(&Request::new("PUT", "/")).status, 403);
    assert_eq!(envoy.push(Vec::new()), Ok(()));
    assert_eq!((envoy.anonymous().send(&Request::new("PUT", "/")).status, envoy.address()), (200, address));
}

#[test]
fn a_listener_asks_for_certificates_as_it_is_told() {
    use harness::Tls;
    let upstream = Upstream::start();
    for tls in [Tls::Untrusted, Tls::None, Tls::Plaintext] {
        let envoy = Envoy::start(Authority::new("test CA"), plain(&upstream).tls(tls));
        let stranger = Leaf::client("stranger").self_signed();
        let client = if tls == Tls::Plaintext { envoy.anonymous() } else { envoy.client(&stranger) };
        assert_eq!(client.send(&Request::get("/")).status, 200, "{tls:?}");
    }
}

#[test]
fn a_real_server_binds_its_tokens_to_the_certificate_that_asked() {
    let authority = Authority::new("test CA");
    let (bank, legacy) = (authority.issue(Leaf::client("bank")), authority.issue(Leaf::client("legacy")));
    let provider = OidcProvider::start(&authority);
    let token = provider.token("bank", &bank, "prices.read", API);
    let said = claims(&token);
    assert_eq!(said["cnf"], json!({"x5t#S256": bank.x5t_s256()}));
    assert_eq!((&said["iss"], &said["client_id"]), (&json!(provider.issuer()), &json!("bank")));
    assert_eq!((&said["scope"], &said["roles"]), (&json!("prices.read"), &json!(["trader"])));
    assert!(said["exp"].as_u64().expect("a time") > now());
    assert_eq!(claims(&provider.token("legacy", &legacy, "prices.read", API))["cnf"], Value::Null);
    let ps256 = provider.token("bank", &bank, "prices.read", &format!("{API}/ps256"));
    let header: Value = serde_json::from_slice(&octets(ps256.split('.').next().expect("a header"))).expect("JSON");
    assert_eq!((&header["alg"], &header["typ"]), (&json!("PS256"), &json!("at+jwt")));

    let opaque = provider.token("bank", &bank, "prices.read", &format!("{API}/opaque"));
    assert!(!opaque.contains('.'));
    let client = Client::anonymous(provider.address(), &authority.certificate);
    let basic = base64::engine::general_purpose::STANDARD.encode(format!("rs:{}", provider.rs_secret));
    let ask = || {
        let request = Request::new("POST", "/token/introspection").field("authorization", format!("Basic {basic}"));
        let form = request.field("content-type", "application/x-www-form-urlencoded").body(format!("token={opaque}"));
        serde_json::from_slice::<Value>(&client.send(&form).body).expect("JSON")
    };
    assert_eq!(ask()["cnf"], json!({"x5t#S256": bank.x5t_s256()}));
    provider.revoke("bank", &bank, &opaque);
    assert_eq!(ask(), json!({"active": false}));
}

#[test]
fn envoy_does_not_outlive_a_process_that_is_killed() {
    // The process to be killed is this test once more: it says what it has started, and waits.
    if let Ok(file) = std::env::var("STARTED") {
        let envoy = Envoy::start(Authority::new("test CA"), plain(&Upstream::start()));
        std::fs::write(file, envoy.pid().to_string()).expect("a file");
        std::thread::sleep(Duration::from_secs(60));
        return;
    }
    let directory = harness::Directory::new();
    let started = directory.path().join("started");
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command.args(["--exact", "envoy_does_not_outlive_a_process_that_is_killed"]).env("STARTED", &started);
    let mut child = command.env("TMPDIR", directory.path()).stdout(Stdio::null()).spawn().expect("this test");
    let mut pid = String::new();
    assert!(harness::wait_until(Duration::from_secs(60), || {
        pid = std::fs::read_to_string(&started).unwrap_or_default();
        !pid.is_empty()
    }));
    let runs = || std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("envoy"));
    assert!(runs());
    child.kill().expect("a signal");
    child.wait().expect("its end");
    assert!(harness::wait_until(Duration::from_secs(10), || !runs()));
    // Nor do its files, among them a key.
    let left =
        || std::fs::read_dir(directory.path()).expect("a folder").flatten().filter(|entry| entry.path().is_dir());
    assert!(harness::wait_until(Duration::from_secs(10), || left().count() == 0));
}

#[test]
fn a_second_set_up_finds_what_the_first_one_left() {
    set_up("envoy");
    let started = std::time::Instant::now();
    assert!(set_up("envoy").is_file());
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_terminator_tells_the_certificate_of_its_client_and_shows_its_own() {
    let ca = Authority::new("test CA");
    let (bank, relay) = (ca.issue(Leaf::client("bank")), ca.issue(Leaf::client("relay")));
    let upstream = Upstream::start();
    let tells_peer = json!([{"header": {"key": "x-peer", "value": "%DOWNSTREAM_PEER_FINGERPRINT_256%"}}]);
    let route =
        json!({"match": {"prefix": "/"}, "route": {"cluster": "upstream"}, "request_headers_to_add": tells_peer});
    let envoy = Envoy::start(ca.clone(), Options { routes: Some(json!([route])), ..plain(&upstream) });
    let base64 = base64::engine::general_purpose::STANDARD.encode(&bank.der);
    let escaped = bank.cert_pem.replace('\r', "").replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let escaped = escaped.replace('\n', "%0A").replace(' ', "%20");
    for (terminator, field, told) in [
        (Terminator::nginx(&ca, &relay, envoy.address()), NGINX_FIELD, escaped),
        (Terminator::haproxy(&ca, &relay, envoy.address()), "client-cert", format!(":{base64}:")),
    ] {
        let forged = Request::get("/").field(field, "forged");
        let [with, without] = [
            Client::with(terminator.address, &ca.certificate, &bank),
            Client::anonymous(terminator.address, &ca.certificate),
        ];
        assert_eq!(with.send(&forged).status, 200);
        let received = upstream.take();
        assert_eq!(received[0].values(field), [told], "{field}");
        assert_eq!(received[0].values("x-peer"), [relay.digest_hex()]);
        assert_eq!(without.send(&forged).status, 200);
        assert!(upstream.take()[0].values(field).is_empty(), "{field}");
    }
}

#[test]
fn a_real_server_binds_its_tokens_to_the_key_that_was_proven() {
    let authority = Authority::new("test CA");
    let provider = OidcProvider::start(&authority);
    let key = SigningKey::new(Algorithm::Es256, "wallet");
    let said = claims(&provider.dpop_token(&key, "prices.read", API));
    assert_eq!(said["cnf"], json!({"jkt": key.thumbprint()}));
    assert_eq!(said["client_id"], json!("wallet"));
    assert!(!provider.dpop_token(&key, "prices.read", &format!("{API}/opaque")).contains('.'));
}
