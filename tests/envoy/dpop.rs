//! Tokens that are bound to keys, and the proofs beside them (RFC 9449), through a real Envoy.

use std::collections::BTreeMap;

use harness::{
    Algorithm, Authority, Clock, Envoy, Leaf, OidcProvider, Options, Proof, Request, Response, SigningKey, Tls,
    Upstream, base64url,
};
use serde_json::{Value, json};

use super::stage::{Stage, api, issuer};
use super::transport::http3_clients;

const ORIGIN: &str = "https://api.bank.example";
const URI: &str = "https://api.bank.example/api/x";

/// One API for DPoP clients.
fn document() -> Value {
    json!({
        "issuers": [issuer()], "binding": "dpop",
        "dpop": {"origins": [ORIGIN], "replay": "worker"},
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            {"name": "either", "path": "/either/**", "binding": "either", "allow": "authenticated"},
            {"name": "both", "path": "/both/**", "binding": "both", "allow": "authenticated"},
            {"name": "when-bound", "path": "/when-bound/**", "binding": "when_bound", "allow": "authenticated"},
            {"name": "strip", "path": "/strip/**", "forward": {"token": "strip"}, "allow": "authenticated"},
            {"name": "api", "path": "/api/**", "allow": "authenticated"}
        ]
    })
}

fn with_nonces(mut document: Value) -> Value {
    document["dpop"]["nonce"] = json!("required");
    document["dpop"]["nonce_keys"] = json!([{"env": "NONCE_KEY"}]);
    document
}

fn nonce_key() -> String {
    let octets: Vec<u8> =
        std::iter::repeat_with(|| SigningKey::new(Algorithm::EdDsa, "n").sign(b"n")).flatten().take(32).collect();
    base64url(&octets)
}

fn key() -> SigningKey {
    SigningKey::new(Algorithm::Es256, "wallet")
}

/// A token of the scripted server that is bound to this key.
fn token(stage: &Stage, key: &SigningKey) -> String {
    stage.token_with(json!({"cnf": {"jkt": key.thumbprint()}}))
}

fn dpop(path: &str, token: &str, proof: &str) -> Request {
    Request::get(path).field("authorization", format!("DPoP {token}")).field("dpop", proof)
}

fn proof(key: &SigningKey, token: &str) -> Proof {
    Proof::new(key, "GET", URI).with(token)
}

fn good(key: &SigningKey, token: &str) -> Request {
    dpop("/api/x", token, &proof(key, token).sign(key))
}

fn challenge(answer: &Response) -> (u16, Vec<String>) {
    (answer.status, answer.values("www-authenticate"))
}

/// What a proof is refused with.
fn refused(error: &str, text: &str) -> (u16, Vec<String>) {
    let value =
        format!(r#"DPoP realm="holdfast", error="{error}", error_description="{text}", algs="ES256 EdDSA PS256""#);
    (401, vec![value])
}

#[test]
fn tokens_of_a_real_server_pass_with_a_proof_by_their_key_alone() {
    let ca = Authority::new("test CA");
    let provider = OidcProvider::start(&ca);
    let upstream = Upstream::start();
    let audience = "https://api.market.example";
    let document = json!({
        "issuers": [{
            "issuer": provider.issuer(), "name": "login", "audiences": [audience], "leeway": "5s",
            "jwks": {"cluster": "login", "path": "/jwks"},
            "introspection": {"cluster": "login", "path": "/token/introspection", "client_id": "rs",
                              "client_secret": {"env": "RS_SECRET"}}
        }],
        "binding": "either", "dpop": {"origins": [ORIGIN]},
        "routes": [{"name": "api", "path": "/api/**", "allow": [{"scopes": ["prices.read"]}]}]
    });
    let start = |document: &Value, key: &str| {
        let options = Options::new(document, upstream.address())
            .verified_cluster("login", provider.address(), &ca.certificate, "localhost")
            .variable("RS_SECRET", &provider.rs_secret)
            .variable("NONCE_KEY", key);
        Envoy::start(ca.clone(), options)
    };
    let (own, other) = (key(), key());
    let bank = ca.issue(Leaf::client("bank"));
    let nonce_key = nonce_key();
    for nonces in [false, true] {
        let document = if nonces { with_nonces(document.clone()) } else { document.clone() };
        let envoy = start(&document, &nonce_key);
        for resource in [audience.to_owned(), format!("{audience}/opaque")] {
            let token = provider.dpop_token(&own, "prices.read", &resource);
            let client = envoy.anonymous();
            let (proof, nonce) = match nonces {
                false => (proof(&own, &token), Value::Null),
                true => {
                    let asked = client.send(&good(&own, &token));
                    let expected = refused("use_dpop_nonce", "Resource server requires nonce in DPoP proof");
                    assert_eq!(challenge(&asked), expected, "{resource}");
                    assert_eq!(asked.values("cache-control"), ["no-store"]);
                    let [nonce] = asked.values("dpop-nonce").try_into().expect("one nonce");
                    (proof(&own, &token).claim("nonce", json!(nonce)), json!(nonce))
                }
            };
            let fields = |scheme: &str, proof: Option<&str>| {
                let request = Request::get("/api/x").field("authorization", format!("{scheme} {token}"));
                proof.map_or_else(|| request.clone(), |proof| request.clone().field("dpop", proof))
            };
            let signed = proof.sign(&own);
            assert_eq!(client.send(&fields("dpop", Some(&signed))).status, 200, "{resource}: {}", envoy.log());
            let others = Proof::new(&other, "GET", URI).with(&token).claim("nonce", nonce);
            let table = [
                ("the same proof again", fields("DPoP", Some(&signed)), "invalid_dpop_proof"),
                ("a proof by another key", fields("DPoP", Some(&others.sign(&other))), "invalid_token"),
                ("no proof", fields("DPoP", None), "invalid_dpop_proof"),
                ("as bearer", fields("Bearer", None), "invalid_token"),
                ("as bearer with a proof", fields("Bearer", Some(&others.sign(&own))), "invalid_token"),
            ];
            for (name, request, error) in table {
                let answer = client.send(&request);
                assert_eq!(answer.status, 401, "{resource} {name}");
                let told = answer.values("www-authenticate").concat();
                assert!(told.contains(&format!("error=\"{error}\"")), "{resource} {name}: {told}");
            }
            let mut http2 = client.open_http2().expect("a connection");
            let again = proof.claim("jti", json!(format!("2-{resource}"))).sign(&own);
            assert_eq!(http2.send(&fields("DPoP", Some(&again))).expect("an answer").status, 200, "HTTP/2");
            let bound = provider.token("bank", &bank, "prices.read", &resource);
            assert_eq!(envoy.client(&bank).send(&Request::get("/api/x").bearer(&bound)).status, 200, "{resource}");
            assert_eq!(client.send(&Request::get("/api/x").bearer(&bound)).status, 401, "{resource}");
            assert_eq!(upstream.take().len(), 3, "{resource}");
        }
    }
}

#[test]
fn every_refusal_of_a_proof_is_what_rfc_9449_says_to_the_octet() {
    let stage = Stage::set(&document()).warm();
    let (own, other) = (key(), key());
    let token = token(&stage, &own);
    let made = |proof: Proof| dpop("/api/x", &token, &proof.sign(&own));
    let bad = |text: &str| refused("invalid_dpop_proof", text);
    let table = [
        ("another method", made(proof(&own, &token).claim("htm", json!("POST"))), bad("Invalid DPoP proof"), "proof.method"),
        ("another URI", made(proof(&own, &token).claim("htu", json!("https://api.bank.example/api/y"))), bad("Invalid DPoP proof"), "proof.uri"),
        ("another token", made(proof(&own, "other")), bad("Invalid DPoP proof"), "proof.ath"),
        ("too old", made(proof(&own, &token).claim("iat", json!(harness::now() - 70))), bad("DPoP proof expired"), "proof.expired"),
        ("no proof", Request::get("/api/x").field("authorization", format!("DPoP {token}")), bad("DPoP proof required"), "proof.missing"),
        ("two proofs", good(&own, &token).field("dpop", "x"), bad("Invalid DPoP proof"), "proof.several"),
        ("another key", good(&other, &token), refused("invalid_token", "Invalid DPoP key binding"), "binding.other_key"),
        (
            "bearer",
            api(&token),
            (401, vec![
                r#"Bearer realm="holdfast", error="invalid_token", error_description="DPoP-bound token requires DPoP scheme""#.to_owned(),
                r#"DPoP realm="holdfast", algs="ES256 EdDSA PS256""#.to_owned(),
            ]),
            "binding.bearer_downgrade",
        ),
        ("nothing", Request::get("/api/x"), (401, vec![r#"DPoP realm="holdfast", algs="ES256 EdDSA PS256""#.to_owned()]), "credential.missing"),
        ("nothing where either is taken", Request::get("/either/x"), (401, vec![
            r#"Bearer realm="holdfast""#.to_owned(), r#"DPoP realm="holdfast", algs="ES256 EdDSA PS256""#.to_owned(),
        ]), "credential.missing"),
    ];
    for (at, (name, request, expected, reason)) in table.into_iter().enumerate() {
        let answer = stage.as_bank(&request);
        assert_eq!(challenge(&answer), expected, "{name}");
        assert_eq!(stage.reason(at + 1), reason, "{name}");
        assert_eq!(answer.values("cache-control"), ["no-store"], "{name}");
        assert!(answer.values("dpop-nonce").is_empty(), "{name}");
    }
    assert_eq!(stage.reached(), 0);
    assert_eq!(stage.as_bank(&good(&own, &token)).status, 200);
    assert_eq!(stage.reached(), 1);
}

#[test]
fn the_request_of_rfc_9449_passes_at_its_time_and_each_change_of_it_is_refused() {
    use harness::rfc9449::{IAT, ISSUER, JKT, ORIGIN, PATH, PROOF, TOKEN, introspected};
    let mut issuer = issuer();
    issuer.as_object_mut().expect("an issuer").retain(|name, _| !matches!(name.as_str(), "jwks" | "audiences"));
    (issuer["issuer"], issuer["danger_any_audience"]) = (json!(ISSUER), json!(true));
    let document = json!({
        "issuers": [issuer], "binding": "either", "dpop": {"origins": [ORIGIN], "replay": "worker"},
        "routes": [{"name": "resource", "path": "/**", "allow": "authenticated"}]
    });
    let clock = Clock::new();
    let at = |seconds: u64| clock.set(i64::try_from(i128::from(seconds) - i128::from(harness::now())).expect("a time"));
    at(IAT);
    let stage = Stage::with(&document, |options| options.clock(&clock));
    let other_token = TOKEN.replace("gxU", "gxV");
    for token in [TOKEN, &other_token] {
        stage.server.know(&token.replace('~', "%7E"), introspected(JKT));
    }
    let good = || dpop(PATH, TOKEN, PROOF);
    let invalid = || refused("invalid_dpop_proof", "Invalid DPoP proof");
    let expired = || refused("invalid_dpop_proof", "DPoP proof expired");
    let post = Request::new("POST", PATH).field("authorization", format!("DPoP {TOKEN}")).field("dpop", PROOF);
    let altered = PROOF.replace("xhAJpLjA", "xhAJpLjQ");
    for (what, time, request, expected) in [
        ("another method", IAT, post, invalid()),
        ("a slash more", IAT, dpop(&format!("{PATH}/"), TOKEN, PROOF), invalid()),
        ("71 s later", IAT + 71, good(), expired()),
        ("11 s earlier", IAT - 11, good(), expired()),
        ("another token", IAT, dpop(PATH, &other_token, PROOF), invalid()),
        ("two proofs", IAT, good().field("dpop", PROOF), invalid()),
        ("another signature", IAT, dpop(PATH, TOKEN, &altered), invalid()),
        ("as it stands", IAT, good(), (200, vec![])),
        ("shown again", IAT, good(), refused("invalid_dpop_proof", "DPoP proof replayed")),
    ] {
        at(time);
        assert_eq!(challenge(&stage.anonymously(&request)), expected, "{what}");
    }
    let as_bearer = stage.anonymously(&Request::get(PATH).bearer(TOKEN).field("dpop", PROOF));
    let told = as_bearer.values("www-authenticate");
    assert_eq!((as_bearer.status, told.len()), (401, 2), "{told:?}");
    assert!(told[0].contains("DPoP-bound token requires DPoP scheme"), "{told:?}");
    assert_eq!(stage.reached(), 1);
}

#[test]
fn host_decides_nothing_and_the_path_is_the_one_that_was_sent() {
    let stage = Stage::set(&document()).warm();
    let own = key();
    let token = token(&stage, &own);
    let mut at_evil =
        dpop("/api/x", &token, &Proof::new(&own, "GET", "https://evil.example/api/x").with(&token).sign(&own));
    at_evil.fields[0].1 = b"evil.example".to_vec();
    assert_eq!(stage.anonymously(&at_evil).status, 401);
    let mut elsewhere = good(&own, &token).field("x-forwarded-host", "evil.example").field("x-forwarded-proto", "http");
    elsewhere.fields[0].1 = b"internal:8443".to_vec();
    assert_eq!(stage.anonymously(&elsewhere).status, 200, "{}", stage.envoy.log());
    let with_query = dpop("/api/x?a=b", &token, &proof(&own, &token).sign(&own));
    assert_eq!(stage.anonymously(&with_query).status, 200);
    let escaped = dpop("/api/%78", &token, &proof(&own, &token).sign(&own));
    assert_eq!(stage.anonymously(&escaped).status, 200);
    assert_eq!(stage.reached(), 3);
}

#[test]
fn a_token_is_held_to_all_that_it_is_bound_to() {
    let stage = Stage::set(&document()).warm();
    let own = key();
    let [key_alone, certificate_alone, both, unbound] = [
        json!({"jkt": own.thumbprint()}),
        json!({"x5t#S256": stage.bank.x5t_s256()}),
        json!({"jkt": own.thumbprint(), "x5t#S256": stage.bank.x5t_s256()}),
        Value::Null,
    ]
    .map(|cnf| stage.token_with(json!({"cnf": cnf})));
    let at = |place: &str, token: &str, with_proof: bool| {
        let path = format!("/{place}/x");
        let uri = format!("{ORIGIN}{path}");
        match with_proof {
            true => dpop(&path, token, &Proof::new(&own, "GET", &uri).with(token).sign(&own)),
            false => Request::get(&path).bearer(token),
        }
    };
    let (bank, thief) = (true, false);
    let table = [
        ("either", &key_alone, true, thief, 200),
        ("either", &certificate_alone, false, bank, 200),
        ("either", &certificate_alone, false, thief, 401),
        ("either", &certificate_alone, true, bank, 401),
        ("either", &both, true, bank, 200),
        ("either", &both, true, thief, 401),
        ("either", &both, false, bank, 401),
        ("either", &unbound, false, bank, 401),
        ("both", &both, true, bank, 200),
        ("both", &key_alone, true, bank, 401),
        ("both", &certificate_alone, false, bank, 401),
        ("api", &key_alone, true, thief, 200),
        ("api", &certificate_alone, false, bank, 401),
        ("api", &unbound, true, bank, 401),
        ("when-bound", &unbound, false, thief, 200),
        ("when-bound", &key_alone, true, thief, 200),
        ("when-bound", &key_alone, false, thief, 401),
    ];
    for (place, token, with_proof, as_bank, status) in table {
        let request = at(place, token, with_proof);
        let answer = if as_bank { stage.as_bank(&request) } else { stage.as_thief(&request) };
        assert_eq!(
            answer.status,
            status,
            "{place} {with_proof} {as_bank} {token}: {:?}",
            answer.values("www-authenticate")
        );
    }
    stage.upstream.take();
    let with_field = at("when-bound", &unbound, false).field("dpop", "whatever");
    assert_eq!(stage.as_thief(&with_field).status, 200, "C10: no proof is asked for");
    assert!(stage.upstream.take()[0].values("dpop").is_empty(), "nor handed on");
    assert_eq!(stage.as_thief(&at("strip", &key_alone, true)).status, 200);
    let received = stage.upstream.take();
    assert!(received[0].values("dpop").is_empty() && received[0].values("authorization").is_empty());
    assert_eq!(stage.as_thief(&at("api", &key_alone, true)).status, 200);
    let received = stage.upstream.take();
    assert_eq!((received[0].values("dpop").len(), received[0].values("authorization").len()), (1, 1), "kept together");
}

#[test]
fn a_nonce_is_handed_on_by_success_and_known_by_every_replica_for_five_minutes() {
    let clock = Clock::new();
    let nonce_key = nonce_key();
    let service = Upstream::answering(
        "HTTP/1.1 200 OK\r\ndpop-nonce: of-the-service\r\ncache-control: max-age=60\r\ncontent-length: 0\r\n\r\n",
    );
    let start = |key: &str| {
        let options = |mut options: Options| {
            options.clusters[0].address = service.address();
            options.clock(&clock).variable("NONCE_KEY", key)
        };
        Stage::with(&with_nonces(document()), options).warm()
    };
    let (stage, replica, stranger) = (start(&nonce_key), start(&nonce_key), start(&self::nonce_key()));
    let own = key();
    let at = |stage: &Stage, nonce: Option<&str>| {
        let claims = json!({"cnf": {"jkt": own.thumbprint()}, "iat": clock.now(), "exp": clock.now() + 300});
        let token = stage.token_with(claims);
        let proof = proof(&own, &token).claim("nonce", nonce.map_or(Value::Null, |nonce| json!(nonce)));
        let proof = proof.claim("iat", json!(clock.now()));
        stage.anonymously(&dpop("/api/x", &token, &proof.sign(&own)))
    };
    let first = at(&stage, None);
    let [nonce] = first.values("dpop-nonce").try_into().expect("one nonce");
    let fresh = at(&stage, Some(&nonce));
    assert_eq!((first.status, fresh.status), (401, 200));
    assert!(fresh.values("dpop-nonce").is_empty(), "the service's is none of ours, and ours is fresh");
    assert_eq!(fresh.values("cache-control"), ["max-age=60"], "the answer is left alone");
    assert_eq!((at(&replica, Some(&nonce)).status, at(&stranger, Some(&nonce)).status), (200, 401));
    assert_eq!(stranger.reason(2), "nonce.unknown");

    clock.set(155);
    let worn = at(&stage, Some(&nonce));
    let [next] = worn.values("dpop-nonce").try_into().expect("one nonce, and not that of the service");
    assert_eq!((worn.status, worn.values("cache-control")), (200, vec!["no-store".to_owned()]));
    assert_ne!(next, nonce);
    let opaque = {
        let mut said = stage.active();
        said["cnf"] = json!({"jkt": own.thumbprint()});
        said["token_type"] = json!("DPoP");
        (said["iat"], said["exp"]) = (json!(clock.now()), json!(clock.now() + 300));
        stage.server.know("opaque", said);
        proof(&own, "opaque").claim("nonce", json!(nonce)).claim("iat", json!(clock.now())).sign(&own)
    };
    let waited = stage.anonymously(&dpop("/api/x", "opaque", &opaque));
    assert_eq!((waited.status, waited.values("dpop-nonce").len()), (200, 1), "after a callout too");
    assert_eq!(at(&stage, Some(&next)).status, 200);

    clock.set(305);
    let old = at(&stage, Some(&nonce));
    assert_eq!(challenge(&old), refused("use_dpop_nonce", "Resource server requires nonce in DPoP proof"));
    assert_eq!(old.values("dpop-nonce").len(), 1);
    assert_eq!(at(&stage, Some(&next)).status, 200, "the newer one still counts");
    let garbage = ["", "x", &"A".repeat(30), "\u{fffd}", &format!("{next}A"), &next[1..]];
    for nonce in garbage {
        assert_eq!(at(&stage, Some(nonce)).status, 401, "{nonce}");
    }
}

/// As many requests with one proof at once as there are connections.
fn at_once(stage: &Stage, request: &Request, connections: usize) -> usize {
    let clients: Vec<_> = (0..connections).map(|_| stage.envoy.anonymous()).collect();
    let barrier = std::sync::Barrier::new(connections);
    std::thread::scope(|scope| {
        let send = |client: &harness::Client| {
            let mut connection = client.open().expect("a connection");
            connection.send(&Request::get("/healthz")).expect("an answer");
            barrier.wait();
            connection.send(request).expect("an answer").status
        };
        let sent: Vec<_> = clients.iter().map(|client| scope.spawn(move || send(client))).collect();
        sent.into_iter().map(|sent| sent.join().expect("a status")).filter(|status| *status == 200).count()
    })
}

#[test]
fn a_proof_passes_once_in_a_process_and_once_on_each_worker_where_workers_remember_alone() {
    const WORKERS: u32 = 3;
    for replay in ["process", "worker"] {
        let mut document = document();
        document["dpop"]["replay"] = json!(replay);
        let stage = Stage::with(&document, |options| Options { concurrency: WORKERS, ..options }).warm();
        let own = key();
        let token = token(&stage, &own);
        for _ in 0..10 {
            let passed = at_once(&stage, &good(&own, &token), 12);
            match replay {
                "process" => assert_eq!(passed, 1),
                _ => assert!((1..=WORKERS as usize).contains(&passed), "{passed}"),
            }
        }
    }
}

#[test]
fn a_new_configuration_forgets_no_proof_that_the_process_remembers() {
    let mut document = document();
    document["dpop"]["replay"] = json!("process");
    let stage = Stage::set(&document).warm();
    let own = key();
    let token = token(&stage, &own);
    let request = good(&own, &token);
    assert_eq!(stage.anonymously(&request).status, 200);
    document["challenge"] = json!({"realm": "another"});
    stage.envoy.configure(&document).expect("a good configuration");
    assert_eq!(stage.anonymously(&request).status, 401);
    assert_eq!(stage.anonymously(&good(&own, &token)).status, 200);
}

#[test]
fn a_memory_that_is_full_refuses_the_key_that_filled_it_and_nobody_else() {
    for replay in ["process", "worker"] {
        let mut document = document();
        document["dpop"]["replay"] = json!(replay);
        document["limits"] = json!({"proofs": 256});
        let stage = Stage::set(&document).warm();
        let (busy, other) = (key(), key());
        let token_of = |key: &SigningKey| token(&stage, key);
        let (of_busy, of_other) = (token_of(&busy), token_of(&other));
        let mut statuses: BTreeMap<u16, usize> = BTreeMap::new();
        for _ in 0..20 {
            *statuses.entry(stage.anonymously(&good(&busy, &of_busy)).status).or_default() += 1;
        }
        assert_eq!(statuses, BTreeMap::from([(200, 16), (503, 4)]), "{replay}");
        assert_eq!(stage.reason(20), "replay.full_of_key");
        let full = stage.anonymously(&good(&busy, &of_busy));
        assert_eq!((full.values("retry-after"), full.values("www-authenticate")), (vec!["1".to_owned()], vec![]));
        assert_eq!(stage.anonymously(&good(&other, &of_other)).status, 200, "{replay}");
        document["dpop"]["danger_admit_when_full"] = json!(true);
        document["limits"] = json!({"proofs": 257});
        stage.envoy.configure(&document).expect("a good configuration");
        let passed = (0..40).filter(|_| stage.anonymously(&good(&busy, &of_busy)).status == 200).count();
        assert_eq!(passed, 40, "{replay}");
    }
}

#[test]
fn proofs_count_over_http_3_too() {
    let stage = Stage::with(&document(), |options| options.tls(Tls::Quic)).warm();
    let own = key();
    let token = token(&stage, &own);
    let clients = http3_clients(&stage.envoy, &[("nobody", None)]);
    let send = |request: &Request| clients.anonymous().send(&request.clone().field("x-as", "nobody")).status;
    let request = good(&own, &token);
    assert_eq!((send(&request), send(&request), send(&api(&token))), (200, 401, 401), "{}", stage.envoy.log());
    assert_eq!(stage.reached(), 1);
}
