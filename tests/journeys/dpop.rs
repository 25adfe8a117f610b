//! Tokens that are bound to a key (RFC 9449): what is decided of each way in which they can be shown, and what is told.

use std::rc::Rc;

use harness::rfc9449::{self, IAT, JKT, PROOF, TOKEN};
use holdfast::effect::Return;
use serde_json::{Value, json};

use super::proof::{Holder, ORIGIN, Proof};
use super::world::{
    Ask, Key, NONCE_KEY, NOW, OLD_NONCE_KEY, PASSES, SharedData, World, bank, certificate, get, request, token,
};

fn configuration(binding: &str, others: Value) -> Value {
    let mut whole = json!({
        "issuers": [bank()], "binding": binding, "dpop": {"origins": [ORIGIN]},
        "routes": [{"name": "all", "path": "/**", "allow": "authenticated"}]
    });
    whole.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
    whole
}

fn world(binding: &str) -> World {
    World::new(configuration(binding, json!({})))
}

/// A token bound to the key of this holder.
fn bound(holder: &Holder) -> String {
    token(&certificate(), json!({"cnf": {"jkt": holder.jkt()}}))
}

const ALGS: &str = r#"algs="ES256 EdDSA PS256""#;

fn error(scheme: &str, error: &str, description: &str) -> String {
    let told = format!(r#"{scheme} realm="holdfast", error="{error}", error_description="{description}""#);
    if scheme == "DPoP" { format!("{told}, {ALGS}") } else { told }
}

fn bare() -> String {
    format!(r#"DPoP realm="holdfast", {ALGS}"#)
}

#[test]
fn a_token_passes_with_a_proof_by_its_key_and_with_no_other() {
    let (mut world, ann, bob) = (world("dpop"), Holder::named("ann"), Holder::named("bob"));
    let token = bound(&ann);
    let good = world.send(&get("/a?x=1").dpop(&token, &ann.proof("/a", &token, "1").sign()));
    assert_eq!((good.status, good.reason, good.facts["binding"].as_str()), (0, "granted", "dpop"));
    assert_eq!(good.returns, Return::Untouched);
    let stolen = world.send(&get("/a").dpop(&token, &bob.proof("/a", &token, "1").sign()));
    assert_eq!((stolen.status, stolen.reason), (401, "binding.other_key"));
    assert_eq!(stolen.challenges, [error("DPoP", "invalid_token", "Invalid DPoP key binding")]);
    let forged = world.send(&get("/a").dpop(&token, &ann.proof("/a", &token, "2").by(&bob).sign()));
    assert_eq!((forged.status, forged.reason), (401, "proof.signature"));
    assert_eq!(forged.challenges, [error("DPoP", "invalid_dpop_proof", "Invalid DPoP proof")]);
    assert_eq!((forged.nonce, forged.facts.get("client_id").map(String::as_str)), (None, Some("n26")));
}

/// Its name, the binding of the route, the request, and what it gets.
type Case = (&'static str, &'static str, Ask, (u16, &'static str), Vec<String>);

#[test]
fn the_cases_of_the_checklist_get_their_answers_to_the_byte() {
    let (ann, ours, theirs) = (Holder::named("ann"), certificate(), certificate());
    let unbound = token(&ours, json!({"cnf": null}));
    let by_certificate = token(&ours, json!({}));
    let by_key = bound(&ann);
    let by_both = token(&ours, json!({"cnf": {"jkt": ann.jkt(), "x5t#S256": ours.x5t_s256()}}));
    let foo = token(&ours, json!({"cnf": {"jkt": ann.jkt(), "foo": 1}}));
    let unknown = token(&ours, json!({"cnf": {"jwk": ann.jwk()}}));
    let bearer = |token: &str| get("/a").bearer(token);
    let dpop = |token: &str| get("/a").dpop(token, &ann.proof("/a", token, "1").sign());
    let invalid = |scheme, text| error(scheme, "invalid_token", text);
    let sender = "Sender-constrained token required";
    let mismatch = "Certificate binding mismatch: certificate renewed, or not the one this token was issued to";
    let several = |scheme| error(scheme, "invalid_request", "Multiple methods used to include access token");
    let downgrade = || vec![invalid("Bearer", "DPoP-bound token requires DPoP scheme"), bare()];
    let none = Vec::new;
    let table: Vec<Case> = vec![
        ("C1", "either", bearer(&unbound), (401, "binding.unbound"), vec![invalid("Bearer", sender), bare()]),
        ("C1 dpop", "either", dpop(&unbound), (401, "binding.unbound"), vec![invalid("DPoP", sender)]),
        (
            "C1 certificate",
            "certificate",
            bearer(&unbound).certificate(&ours),
            (401, "binding.unbound"),
            vec![invalid("Bearer", sender)],
        ),
        ("C2", "when_bound", bearer(&unbound), (0, "granted.unbound"), none()),
        (
            "C3 certificate",
            "when_bound",
            bearer(&by_certificate).certificate(&theirs),
            (401, "binding.other_certificate"),
            vec![invalid("Bearer", mismatch)],
        ),
        ("C3 key", "when_bound", bearer(&by_key), (401, "binding.bearer_downgrade"), downgrade()),
        (
            "C4",
            "either",
            dpop(&unknown),
            (401, "token.confirmation"),
            vec![invalid("DPoP", "Unsupported confirmation method")],
        ),
        ("C5", "either", dpop(&by_both).certificate(&ours), PASSES, none()),
        ("C5 on a route by certificate", "certificate", dpop(&by_both).certificate(&ours), PASSES, none()),
        (
            "C5 other",
            "either",
            dpop(&by_both).certificate(&theirs),
            (401, "binding.other_certificate"),
            vec![invalid("DPoP", mismatch)],
        ),
        (
            "C5 none",
            "either",
            dpop(&by_both),
            (401, "binding.no_certificate"),
            vec![invalid("DPoP", "Client certificate required")],
        ),
        ("C5 bearer", "either", bearer(&by_both).certificate(&ours), (401, "binding.bearer_downgrade"), downgrade()),
        ("C6", "either", dpop(&foo), PASSES, none()),
        ("C7", "either", bearer(&by_key), (401, "binding.bearer_downgrade"), downgrade()),
        ("C7 dpop", "dpop", bearer(&by_key), (401, "binding.bearer_downgrade"), downgrade()),
        (
            "C7 certificate",
            "certificate",
            bearer(&by_key).certificate(&ours),
            (401, "binding.bearer_downgrade"),
            downgrade(),
        ),
        (
            "C8",
            "when_bound",
            dpop(&unbound),
            (401, "binding.no_key"),
            vec![invalid("DPoP", "Invalid DPoP key binding")],
        ),
        (
            "C9",
            "either",
            dpop(&by_certificate).certificate(&ours),
            (401, "binding.no_key"),
            vec![invalid("DPoP", "Invalid DPoP key binding")],
        ),
        (
            "C9 dpop",
            "dpop",
            dpop(&by_certificate).certificate(&ours),
            (401, "binding.unbound"),
            vec![invalid("DPoP", sender)],
        ),
        ("C10", "when_bound", bearer(&unbound).field("dpop", "x"), (0, "granted.unbound"), none()),
        (
            "C11",
            "either",
            bearer(&by_key).field("authorization", format!("DPoP {by_key}")),
            (400, "credential.several_tokens"),
            vec![several("Bearer"), several("DPoP")],
        ),
        (
            "C12",
            "either",
            bearer(&format!("{by_key}, Bearer {by_key}")),
            (400, "credential.several_tokens"),
            vec![several("Bearer"), several("DPoP")],
        ),
        (
            "C12 dpop",
            "dpop",
            get("/a").dpop(&format!("{by_key}, DPoP {by_key}"), "x"),
            (400, "credential.several_tokens"),
            vec![several("Bearer"), several("DPoP")],
        ),
        (
            "C14",
            "either",
            bearer(&by_certificate),
            (401, "binding.no_certificate"),
            vec![invalid("Bearer", "Client certificate required")],
        ),
        (
            "by key at a route by certificate",
            "certificate",
            dpop(&by_key).certificate(&ours),
            (401, "binding.unbound"),
            vec![invalid("DPoP", sender)],
        ),
        ("both", "both", dpop(&by_both).certificate(&ours), PASSES, none()),
        (
            "both, by key alone",
            "both",
            dpop(&by_key).certificate(&ours),
            (401, "binding.unbound"),
            vec![invalid("DPoP", sender)],
        ),
        (
            "both, without a certificate",
            "both",
            dpop(&by_both),
            (401, "binding.no_certificate"),
            vec![invalid("DPoP", "Client certificate required")],
        ),
        (
            "both, by certificate",
            "both",
            bearer(&by_certificate).certificate(&ours),
            (401, "binding.unbound"),
            vec![invalid("Bearer", sender), bare()],
        ),
    ];
    for (name, binding, asked, (status, reason), challenges) in table {
        let outcome = world(binding).send(&asked);
        assert_eq!((outcome.status, outcome.reason), (status, reason), "{name}");
        assert_eq!(outcome.challenges, challenges, "{name}");
    }
    assert_eq!(world("either").send(&dpop(&by_both).certificate(&ours)).facts["binding"], "both");
}

#[test]
fn who_comes_without_a_token_is_told_of_each_scheme_that_the_route_takes() {
    let bearer = || r#"Bearer realm="holdfast""#.to_owned();
    for (binding, challenges) in [
        ("certificate", vec![bearer()]),
        ("dpop", vec![bare()]),
        ("either", vec![bearer(), bare()]),
        ("both", vec![bare()]),
        ("when_bound", vec![bearer(), bare()]),
    ] {
        for asked in [get("/a"), get("/a").field("authorization", "Basic eDp5"), get("/a").field("dpop", "x")] {
            assert_eq!(world(binding).send(&asked).challenges, challenges, "{binding}");
        }
    }
}

#[test]
fn a_proof_that_was_not_made_for_this_request_is_refused() {
    let (ann, bob) = (Holder::named("ann"), Holder::named("bob"));
    let token = bound(&ann);
    let proof = || ann.proof("/a", &token, "1");
    let ask = |proof: String| get("/a").dpop(&token, &proof);
    let scheme = format!("DPoP {token}");
    let table = [
        ("the good twin", ask(proof().sign()), PASSES),
        ("none", get("/a").field("authorization", &scheme), (401, "proof.missing")),
        ("two", ask(proof().sign()).field("DPoP", proof().sign()), (401, "proof.several")),
        ("two in one", ask(format!("{}, {}", proof().sign(), proof().sign())), (401, "proof.several")),
        ("empty", ask(String::new()), (401, "proof.malformed")),
        ("a megabyte", ask("x".repeat(1 << 20)), (401, "proof.too_long")),
        ("no proof", ask("a.b.c".into()), (401, "proof.malformed")),
        ("a token", ask(token.clone()), (401, "proof.type")),
        ("not announced", ask(proof().header("alg", "ES384").sign()), (401, "proof.algorithm")),
        ("none as algorithm", ask(proof().header("alg", "none").sign()), (401, "proof.algorithm")),
        ("another method", ask(proof().claim("htm", "POST").sign()), (401, "proof.method")),
        ("another path", ask(proof().claim("htu", format!("{ORIGIN}/b")).sign()), (401, "proof.uri")),
        (
            "the host of the request",
            ask(proof().claim("htu", "https://evil.example/a").sign()).host("evil.example"),
            (401, "proof.uri"),
        ),
        ("another host in the request", ask(proof().sign()).host("evil.example"), PASSES),
        ("another token", ask(proof().claim("ath", "x").sign()), (401, "proof.ath")),
        ("old", ask(proof().claim("iat", NOW - 61).sign()), (401, "proof.expired")),
        ("too early", ask(proof().claim("iat", NOW + 11).sign()), (401, "proof.not_yet_valid")),
        ("no jti", ask(proof().claim("jti", Value::Null).sign()), (401, "proof.claim")),
        (
            "a private key",
            ask(proof()
                .header("jwk", {
                    let mut jwk = ann.jwk();
                    jwk["d"] = json!("AAAA");
                    jwk
                })
                .sign()),
            (401, "proof.key"),
        ),
        ("another signature", ask(proof().by(&bob).sign()), (401, "proof.signature")),
        (
            "method override",
            ask(proof().claim("htm", "DELETE").sign()).field("x-http-method-override", "DELETE"),
            (401, "proof.method"),
        ),
        ("HEAD is not GET", request("HEAD", "/a").dpop(&token, &proof().sign()), (401, "proof.method")),
        (
            "no token",
            get("/a").field("authorization", "DPoP").field("dpop", proof().sign()),
            (400, "credential.no_token"),
        ),
    ];
    for (name, asked, expected) in table {
        let outcome = world("dpop").send(&asked);
        assert_eq!((outcome.status, outcome.reason), expected, "{name}");
        if expected.1.starts_with("proof.") {
            assert!(
                outcome.challenges[0].starts_with(r#"DPoP realm="holdfast", error="invalid_dpop_proof""#),
                "{name}"
            );
            assert!(outcome.challenges[0].ends_with(ALGS), "{name}");
        }
    }
}

#[test]
fn nothing_is_asked_of_anybody_for_a_token_whose_proof_is_bad() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let mut world = world("dpop");
    let bad = ann.proof("/a", &token, "1").claim("htm", "POST").sign();
    assert_eq!(world.verdict(&get("/a").dpop(&token, &bad)), (401, "proof.method"));
    assert_eq!(world.asked, Vec::<String>::new());
}

#[test]
fn an_introspected_token_is_bound_by_what_introspection_says() {
    let ann = Holder::named("ann");
    let mut issuer = bank();
    issuer["introspection"] =
        json!({"cluster": "login", "path": "/i", "client_id": "api", "client_secret": {"env": "OP_SECRET"}});
    let whole = configuration("dpop", json!({"issuers": [issuer]}));
    let said = |cnf: Value, kind: &str| json!({"active": true, "aud": "https://api.bank.example", "exp": NOW + 60, "cnf": cnf, "token_type": kind});
    for (name, said, expected) in [
        ("bound", said(json!({"jkt": ann.jkt()}), "DPoP"), PASSES),
        ("bound to another", said(json!({"jkt": Holder::named("bob").jkt()}), "DPoP"), (401, "binding.other_key")),
        ("said to be bearer", said(json!({"jkt": ann.jkt()}), "Bearer"), (401, "token.type")),
        (
            "said to be DPoP, and unbound",
            said(json!({"x5t#S256": certificate().x5t_s256()}), "DPoP"),
            (401, "token.type"),
        ),
    ] {
        let mut world = World::with_environment(whole.clone(), &[("OP_SECRET", "test")]);
        world.introspect("opaque", said);
        let asked = get("/a").dpop("opaque", &ann.proof("/a", "opaque", "1").sign());
        let outcome = world.send(&asked);
        assert_eq!((outcome.status, outcome.reason), expected, "{name}");
        assert!(outcome.challenges.iter().all(|challenge| challenge.starts_with("DPoP ")), "{name}");
    }
}

#[test]
fn a_proof_that_grew_old_while_the_request_waited_is_refused() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let mut world = world("dpop");
    let asked = get("/a").dpop(&token, &ann.proof("/a", &token, "1").sign());
    let holdfast::flow::Step::Ask(callout, waiting) = world.begin(&asked) else { panic!("keys are asked for") };
    let keys = json!({"keys": [Key::named("k1").jwk()]});
    let later = holdfast::time::UnixTime::new(NOW + 61);
    let settled = world.enforcer().settle(&callout.id, super::world::ok(keys), later);
    let step = world.enforcer().resume(waiting, &settled, later);
    let holdfast::flow::Step::Done(Err(refusal)) = step else { panic!("refused") };
    assert_eq!(refusal.reply.reason, "proof.expired");
}

#[test]
fn the_token_and_its_proof_go_the_same_way() {
    let (ann, ours) = (Holder::named("ann"), certificate());
    let token_of_ann = bound(&ann);
    let strip = json!({"forward": {"token": "strip"}});
    let asked = get("/a").dpop(&token_of_ann, &ann.proof("/a", &token_of_ann, "1").sign());
    assert_eq!(world("either").send(&asked).removed, Vec::<String>::new());
    let mut removed = World::new(configuration("either", strip)).send(&asked).removed;
    removed.sort();
    assert_eq!(removed, ["authorization", "dpop"]);
    // A proof beside a bearer token proves nothing, and goes nowhere.
    let bearer = get("/a").bearer(&token(&ours, json!({}))).certificate(&ours).field("dpop", "x");
    assert_eq!(world("either").send(&bearer).removed, ["dpop"]);
}

#[test]
fn where_no_field_may_be_changed_a_proof_that_proves_nothing_is_refused() {
    let (ann, ours) = (Holder::named("ann"), certificate());
    let route = json!([{"name": "all", "envoy_route": "all", "allow": "authenticated"}]);
    let mut world = World::new(configuration("either", json!({"routes": route})));
    let token_of_ann = bound(&ann);
    let by_proof = get("/a").dpop(&token_of_ann, &ann.proof("/a", &token_of_ann, "1").sign());
    let bearer = get("/a").bearer(&token(&ours, json!({}))).certificate(&ours);
    for (asked, expected) in
        [(by_proof, PASSES), (bearer.clone(), PASSES), (bearer.field("dpop", "x"), (400, "request.owned_header"))]
    {
        assert_eq!(world.verdict(&asked.envoy_route(Some("all"), None)), expected);
    }
}

#[test]
fn a_proof_passes_once_and_is_known_in_every_spelling() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    for scope in ["process", "worker"] {
        let dpop = json!({"dpop": {"origins": [ORIGIN], "replay": scope}});
        let mut world = World::new(configuration("dpop", dpop));
        let proof = |jti: &str| ann.proof("/a", &token, jti);
        let mut sent = |path: &str, proof: String| world.send(&get(path).dpop(&token, &proof));
        assert_eq!(sent("/a", proof("1").sign()).status, 0, "{scope}");
        let again = sent("/a", proof("1").sign());
        assert_eq!((again.status, again.reason), (401, "proof.replayed"), "{scope}");
        assert_eq!(again.challenges, [error("DPoP", "invalid_dpop_proof", "DPoP proof replayed")]);
        let other = proof("1").claim("htu", format!("{}:443/%61?x", ORIGIN.to_uppercase())).claim("iat", NOW - 1);
        assert_eq!(sent("/a?y", other.sign()).reason, "proof.replayed", "{scope}");
        assert_eq!(sent("/a", proof("2").sign()).status, 0, "{scope}");
        assert_eq!(sent("/b", ann.proof("/b", &token, "1").sign()).status, 0, "{scope}: another URI");
        let bob = Holder::named("bob");
        let of_bob = bound(&bob);
        let asked = get("/a").dpop(&of_bob, &bob.proof("/a", &of_bob, "1").sign());
        assert_eq!(world.send(&asked).status, 0, "{scope}: the same jti of another key");
    }
}

#[test]
fn a_proof_of_a_request_that_was_refused_may_be_shown_again() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let routes = json!([
        {"name": "pay", "methods": ["GET"], "path": "/a", "allow": [{"scopes": ["pay"]}]}
    ]);
    let mut world = World::new(configuration("dpop", json!({"routes": routes})));
    let asked = get("/a").dpop(&token, &ann.proof("/a", &token, "1").sign());
    assert_eq!(world.verdict(&asked), (403, "token.scope"));
    assert_eq!(world.verdict(&asked), (403, "token.scope"), "not told to be a replay");
    assert!(world.send(&asked).challenges[0].starts_with(r#"DPoP realm="holdfast", error="insufficient_scope""#));
}

#[test]
fn the_workers_of_a_process_remember_together_only_where_they_are_told_to() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let asked = get("/a").dpop(&token, &ann.proof("/a", &token, "1").sign());
    for (scope, expected) in [("process", (401, "proof.replayed")), ("worker", PASSES), ("none", PASSES)] {
        let shared: Rc<SharedData> = Rc::default();
        let whole = configuration("dpop", json!({"dpop": {"origins": [ORIGIN], "replay": scope}}));
        let mut workers = [(); 2].map(|()| World::of_process(whole.clone(), &[], &shared));
        assert_eq!(workers[0].verdict(&asked), PASSES, "{scope}");
        assert_eq!(workers[1].verdict(&asked), expected, "{scope}");
    }
    let mut alone = World::new(configuration("dpop", json!({"dpop": {"origins": [ORIGIN], "replay": "none"}})));
    assert_eq!((alone.verdict(&asked), alone.verdict(&asked)), (PASSES, PASSES));
}

#[test]
fn a_memory_that_was_lost_refuses_and_one_that_is_full_does_what_the_operator_says() {
    let holders: Vec<Holder> = (0..40).map(|number| Holder::named(&number.to_string())).collect();
    let full = |others: Value| {
        let mut dpop = json!({"origins": [ORIGIN]});
        dpop.as_object_mut().unwrap().extend(others.as_object().unwrap().clone());
        let whole = configuration("dpop", json!({"dpop": dpop, "limits": {"proofs": 256}}));
        let shared: Rc<SharedData> = Rc::default();
        let mut world = World::of_process(whole, &[], &shared);
        let mut reasons = Vec::new();
        for holder in &holders[..18] {
            let token = bound(holder);
            for jti in 0..17 {
                let proof = holder.proof("/a", &token, &jti.to_string()).sign();
                reasons.push(world.send(&get("/a").dpop(&token, &proof)).reason);
            }
        }
        (world, shared, reasons)
    };
    // One key has 16 of 256 places.
    let (mut world, shared, reasons) = full(json!({}));
    assert_eq!(reasons[..16], ["granted"; 16]);
    assert_eq!(reasons[16], "replay.full_of_key");
    assert_eq!(reasons.iter().filter(|reason| **reason == "granted").count(), 256);
    assert_eq!(reasons[16 * 17..].iter().filter(|reason| **reason == "replay.full").count(), 34);
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let asked = |iat: u64| get("/a").dpop(&token, &ann.proof("/a", &token, "1").claim("iat", iat).sign());
    let refused = world.send(&asked(NOW));
    assert_eq!((refused.status, refused.reason, refused.challenges), (503, "replay.full", vec![]));
    world.later(71);
    assert_eq!(world.verdict(&asked(NOW + 71)), PASSES, "by now the others are past");
    shared.lose();
    assert_eq!(world.verdict(&asked(NOW + 71)), (503, "replay.lost"));

    let (mut world, _, reasons) = full(json!({"danger_admit_when_full": true}));
    assert_eq!(world.warnings.len(), 1);
    assert_eq!(reasons.iter().filter(|reason| **reason == "granted").count(), 256);
    assert_eq!(reasons.iter().filter(|reason| **reason == "granted.unremembered").count(), 50);
    let known = bound(&holders[0]);
    let again = get("/a").dpop(&known, &holders[0].proof("/a", &known, "0").sign());
    assert_eq!(world.verdict(&again), (401, "proof.replayed"), "what is remembered is still known");
}

fn with_nonces(keys: &[(&str, &str)]) -> World {
    let names: Vec<Value> = keys.iter().map(|(name, _)| json!({"env": name})).collect();
    let dpop = json!({"origins": [ORIGIN], "nonce": "required", "nonce_keys": names});
    World::with_environment(configuration("dpop", json!({"dpop": dpop})), keys)
}

#[test]
fn nonces_are_asked_for_handed_out_and_renewed() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let mut world = with_nonces(&[("NONCE_KEY", NONCE_KEY)]);
    let mut ask = |nonce: Option<&str>, jti: &str, at: u64| {
        world.now = at;
        let proof = ann.proof("/a", &token, jti).claim("iat", at).claim("nonce", nonce);
        world.send(&get("/a").dpop(&token, &proof.sign()))
    };
    let first = ask(None, "1", NOW);
    assert_eq!((first.status, first.reason), (401, "nonce.missing"));
    let wanted = error("DPoP", "use_dpop_nonce", "Resource server requires nonce in DPoP proof");
    assert_eq!(first.challenges.as_slice(), std::slice::from_ref(&wanted));
    let nonce = first.nonce.expect("a nonce");
    let second = ask(Some(&nonce), "1", NOW + 1);
    assert_eq!((second.status, second.reason, &second.returns), (0, "granted", &Return::WithoutNonce));
    assert_eq!(ask(Some(&nonce), "1", NOW + 2).reason, "proof.replayed");
    // A nonce serves many proofs (RFC 9449 §11.1), and a successor comes when half of its life is over.
    let fresh = ask(Some(&nonce), "2", NOW + 150);
    assert_eq!((fresh.status, fresh.returns), (0, Return::WithoutNonce));
    let Return::WithNonce(next) = ask(Some(&nonce), "3", NOW + 151).returns else { panic!("a successor") };
    assert_ne!(next, nonce);
    assert_eq!(ask(Some(&nonce), "4", NOW + 300).status, 0);
    let late = ask(Some(&nonce), "5", NOW + 301);
    assert_eq!((late.status, late.reason, late.challenges), (401, "nonce.expired", vec![wanted]));
    assert_eq!(ask(Some(&next), "5", NOW + 301).returns, Return::WithoutNonce);
    // A bad proof gets one too, and a bad token none.
    let bad = ask(Some("x"), "6", NOW + 302);
    assert_eq!((bad.reason, bad.nonce.is_some()), ("nonce.unknown", true));
    world.now = NOW + 302;
    let missing = world.send(&get("/a").field("authorization", format!("DPoP {token}")));
    assert_eq!((missing.reason, missing.nonce.is_some()), ("proof.missing", true));
    assert_eq!(world.send(&get("/a").bearer(&token)).nonce, None);
}

#[test]
fn a_proof_with_a_nonce_is_remembered_as_long_as_its_nonce_counts() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let mut world = with_nonces(&[("NONCE_KEY", NONCE_KEY)]);
    let nonce = world.send(&get("/a").dpop(&token, &ann.proof("/a", &token, "1").sign())).nonce.expect("a nonce");
    let proof = ann.proof("/a", &token, "1").claim("nonce", nonce).sign();
    assert_eq!(world.verdict(&get("/a").dpop(&token, &proof)), PASSES);
    for (seconds, reason) in [(61, "proof.replayed"), (239, "proof.replayed"), (1, "nonce.expired")] {
        world.later(seconds);
        assert_eq!(world.verdict(&get("/a").dpop(&token, &proof)), (401, reason), "{seconds}");
    }
}

#[test]
fn a_fleet_shares_nonces_by_its_keys_alone() {
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let (new, old) = (("NONCE_KEY", NONCE_KEY), ("NONCE_KEY_OLD", OLD_NONCE_KEY));
    let nonce_of = |keys: &[(&str, &str)]| {
        let proof = ann.proof("/a", &token, "1").sign();
        with_nonces(keys).send(&get("/a").dpop(&token, &proof)).nonce.expect("a nonce")
    };
    for (issues, accepts, expected) in [
        (vec![new], vec![new], PASSES),
        (vec![old], vec![new, old], PASSES),
        (vec![new, old], vec![new], PASSES),
        (vec![old], vec![new], (401, "nonce.unknown")),
        (vec![new, old], vec![old], (401, "nonce.unknown")),
    ] {
        let proof = ann.proof("/a", &token, "1").claim("nonce", nonce_of(&issues)).sign();
        assert_eq!(with_nonces(&accepts).verdict(&get("/a").dpop(&token, &proof)), expected, "{issues:?} {accepts:?}");
    }
}

/// Where the request of RFC 9449 goes.
struct OfRfc9449 {
    world: World,
}

impl OfRfc9449 {
    fn new(dpop: Value, jkt: &str) -> Self {
        let mut whole = json!({"origins": [rfc9449::ORIGIN], "algorithms": ["ES256", "PS256"]});
        whole.as_object_mut().unwrap().extend(dpop.as_object().unwrap().clone());
        let mut world = World::with_environment(
            json!({
                "issuers": [{
                    "issuer": rfc9449::ISSUER, "danger_any_audience": true,
                    "introspection": {
                        "cluster": "server", "path": "/introspect.oauth2", "client_id": "rs:rs", "client_secret": {"env": "OP_SECRET"}
                    }
                }],
                "binding": "either", "dpop": whole,
                "routes": [{"name": "resource", "path": "/**", "allow": "authenticated"}]
            }),
            &[("OP_SECRET", "test"), ("NONCE_KEY", NONCE_KEY)],
        );
        let said = rfc9449::introspected(jkt);
        for token in [TOKEN, "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV"] {
            world.introspect(&token.replace('~', "%7E"), said.clone());
        }
        world.now = IAT;
        Self { world }
    }

    fn told(mut self, asked: &Ask) -> (u16, &'static str, Vec<String>) {
        let outcome = self.world.send(asked);
        (outcome.status, outcome.reason, outcome.challenges)
    }
}

#[test]
fn the_request_of_rfc_9449_passes_and_each_change_of_it_is_refused() {
    // That of the key in RFC 8705 appendix A.
    const OTHER_JKT: &str = "Fvi_j8Immo6AlgIwpZKqaXnNP_9b09pLKkQHObRebQY";
    let plain = || OfRfc9449::new(json!({}), JKT);
    let at = |seconds: u64| {
        let mut stage = plain();
        stage.world.now = seconds;
        stage
    };
    let good = get("/protectedresource").dpop(TOKEN, PROOF);
    let algs = r#"algs="ES256 PS256""#;
    let begin = |error: &str, text: &str| format!(r#"realm="holdfast", error="{error}", error_description="{text}""#);
    let proof = |text: &str| vec![format!("DPoP {}, {algs}", begin("invalid_dpop_proof", text))];
    let (invalid, expired) = (proof("Invalid DPoP proof"), proof("DPoP proof expired"));
    let of_token = |text: &str| vec![format!("DPoP {}, {algs}", begin("invalid_token", text))];
    let bare = format!(r#"DPoP realm="holdfast", {algs}"#);
    let downgrade = vec![format!("Bearer {}", begin("invalid_token", "DPoP-bound token requires DPoP scheme")), bare];
    let several = begin("invalid_request", "Multiple methods used to include access token");
    let other_token = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxV";
    let post = request("POST", "/protectedresource").dpop(TOKEN, PROOF);
    let elsewhere = || OfRfc9449::new(json!({"origins": ["https://other.example.org"]}), JKT);
    let with_nonces = || OfRfc9449::new(json!({"nonce": "required", "nonce_keys": [{"env": "NONCE_KEY"}]}), JKT);
    let nonce = begin("use_dpop_nonce", "Resource server requires nonce in DPoP proof");
    let table = [
        ("as it stands", plain(), good.clone(), (0, "granted", vec![])),
        ("another method", plain(), post, (401, "proof.method", invalid.clone())),
        ("a slash more", plain(), get("/protectedresource/").dpop(TOKEN, PROOF), (401, "proof.uri", invalid.clone())),
        ("another host", elsewhere(), good.clone(), (401, "proof.uri", invalid.clone())),
        ("71 s later", at(IAT + 71), good.clone(), (401, "proof.expired", expired.clone())),
        ("11 s earlier", at(IAT - 11), good.clone(), (401, "proof.not_yet_valid", expired)),
        (
            "as bearer",
            plain(),
            get("/protectedresource").bearer(TOKEN).field("dpop", PROOF),
            (401, "binding.bearer_downgrade", downgrade),
        ),
        (
            "another token",
            plain(),
            get("/protectedresource").dpop(other_token, PROOF),
            (401, "proof.ath", invalid.clone()),
        ),
        (
            "another key",
            OfRfc9449::new(json!({}), OTHER_JKT),
            good.clone(),
            (401, "binding.other_key", of_token("Invalid DPoP key binding")),
        ),
        ("two proofs", plain(), good.clone().field("dpop", PROOF), (401, "proof.several", invalid)),
        ("nonces", with_nonces(), good.clone(), (401, "nonce.missing", vec![format!("DPoP {nonce}, {algs}")])),
        (
            "both schemes (figure 19)",
            plain(),
            get("/protectedresource").bearer(TOKEN).dpop(TOKEN, PROOF),
            (400, "credential.several_tokens", vec![format!("Bearer {several}"), format!("DPoP {several}, {algs}")]),
        ),
    ];
    for (name, stage, asked, expected) in table {
        assert_eq!(stage.told(&asked), expected, "{name}");
    }
    let mut twice = plain();
    assert_eq!(twice.world.verdict(&good), PASSES);
    let again = twice.told(&good);
    assert_eq!(again, (401, "proof.replayed", proof("DPoP proof replayed")));
}

#[test]
fn every_combination_of_faults_is_refused_and_their_absence_is_not() {
    type Fault = fn(Proof<'_>) -> Proof<'_>;
    let faults: [Fault; 9] = [
        |proof| proof.claim("htm", "POST"),
        |proof| proof.claim("htu", "https://api.bank.example/b"),
        |proof| proof.claim("htu", "http://api.bank.example/a"),
        |proof| proof.claim("iat", NOW - 61),
        |proof| proof.claim("iat", NOW + 11),
        |proof| proof.claim("ath", "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"),
        |proof| proof.claim("jti", Value::Null),
        |proof| proof.header("typ", "jwt"),
        |proof| proof.header("jwk", Holder::named("bob").jwk()),
    ];
    let ann = Holder::named("ann");
    let token = bound(&ann);
    let mut world = world("dpop");
    for combination in 0_u32..1 << faults.len() {
        let of = |(at, _): &(usize, &Fault)| combination & (1 << at) != 0;
        let jti = combination.to_string();
        let proof =
            faults.iter().enumerate().filter(of).fold(ann.proof("/a", &token, &jti), |proof, (_, fault)| fault(proof));
        let outcome = world.send(&get("/a").dpop(&token, &proof.sign()));
        assert_eq!(outcome.status == 0, combination == 0, "{combination:b} {}", outcome.reason);
    }
    // All of them took no place in the memory.
    assert_eq!(world.verdict(&get("/a").dpop(&token, &ann.proof("/a", &token, "1").sign())), PASSES);
}
