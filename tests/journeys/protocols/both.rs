//! `revocation: introspection` where the endpoint signs its answers (RFC 9701), and its issuer says itself where it is asked.

use std::cell::RefCell;
use std::rc::Rc;

use harness::Certificate;
use holdfast::callout::{Answer, IssuerId, NoAnswer};
use holdfast::flow::{Permit, Step};
use holdfast::time::UnixTime;
use holdfast::token;
use holdfast::token::introspection::Unusable;
use serde_json::{Value, json};

use crate::world::{Ask, Key, NOW, PASSES, World, bank, certificate, claims, get, ok, token, told};

const METADATA: &str = "login/.well-known/oauth-authorization-server";
const OPENID: &str = "login/.well-known/openid-configuration";
const TYPE: &str = "application/token-introspection+jwt";
const UNUSABLE: (u16, &str) = (503, "server.unusable_answer");
const AWAY: Answer = Answer::None(NoAnswer::Reset);

/// The endpoint: what it says of every token, the key that it signs with, and the time that it has.
struct Endpoint {
    said: Value,
    key: Key,
    now: u64,
    /// In place of all that.
    instead: Option<Answer>,
}

impl Endpoint {
    fn answer(&self) -> Answer {
        if let Some(answer) = &self.instead {
            return answer.clone();
        }
        let whole = json!({"iss": "https://login.bank.example", "aud": "rs", "iat": self.now, "token_introspection": self.said});
        told(200, TYPE, "", &signed(&self.key, &whole))
    }
}

fn signed(key: &Key, payload: &Value) -> String {
    let header = json!({"alg": "ES256", "typ": "token-introspection+jwt", "kid": key.kid});
    key.sign(&header.to_string(), &payload.to_string())
}

/// The bank, which tells its paths, with its endpoint, which says that every token is Ann's.
fn asking(ours: &Certificate, introspection: Value) -> (World, Rc<RefCell<Endpoint>>) {
    let mut issuer = bank();
    issuer["discovery"] = json!({"cluster": "login"});
    issuer["jwks"] = json!({"cluster": "login"});
    issuer["introspection"] =
        json!({"cluster": "as", "protocol": "rfc9701", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    issuer["introspection"].as_object_mut().unwrap().extend(introspection.as_object().unwrap().clone());
    let routes = json!([{"name": "all", "path": "/**", "allow": "authenticated"}]);
    let document = json!({"issuers": [issuer], "revocation": "introspection", "routes": routes});
    let mut world = World::with_environment(document, &[("SECRET", "s3cr3t")]);
    world.metadata.insert(METADATA.into(), ok(metadata("keys")));
    let endpoint = Endpoint { said: active(ours, json!({})), key: Key::named("k1"), now: NOW, instead: None };
    let endpoint = Rc::new(RefCell::new(endpoint));
    let speaks = Rc::clone(&endpoint);
    world.answers = Some(Box::new(move |_| speaks.borrow().answer()));
    (world, endpoint)
}

fn metadata(keys: &str) -> Value {
    json!({"issuer": "https://login.bank.example", "jwks_uri": format!("https://login.bank.example/{keys}"),
           "introspection_endpoint": "https://login.bank.example/introspect"})
}

fn active(ours: &Certificate, others: Value) -> Value {
    claims(ours, others).as_object().unwrap().clone().into_iter().chain([("active".into(), json!(true))]).collect()
}

fn asked(ours: &Certificate) -> Ask {
    get("/all").bearer(&token(ours, json!({}))).certificate(ours)
}

#[test]
fn a_jwt_passes_by_its_key_and_then_by_a_signed_answer_from_where_the_issuer_says() {
    let ours = certificate();
    let (mut world, endpoint) = asking(&ours, json!({}));
    for _ in 0..3 {
        assert_eq!(world.verdict(&asked(&ours)), PASSES);
    }
    assert_eq!(world.asked, [METADATA, OPENID, "login/keys", "as/introspect"]);
    endpoint.borrow_mut().said = json!({"active": false});
    world.later(29);
    assert_eq!(world.verdict(&asked(&ours)), PASSES, "within its time");
    world.later(1);
    endpoint.borrow_mut().now += 30;
    let refused = world.send(&asked(&ours));
    assert_eq!((refused.status, refused.reason, refused.facts["subject"].as_str()), (401, "token.inactive", "ann"));
}

#[test]
fn only_what_the_issuer_has_signed_about_this_token_counts() {
    let ours = certificate();
    let (disagreement, inactive) = ((401, "token.disagreement"), (401, "token.inactive"));
    let said = |others: Value| told(200, TYPE, "", &signed(&Key::named("k1"), &response(&ours, others)));
    let stranger = Key::with_secret("k1", "a stranger's");
    let table = [
        ("good", said(json!({})), PASSES),
        ("of no token by name", said(json!({"jti": null})), PASSES),
        ("another user", said(json!({"sub": "eve"})), disagreement),
        ("another client", said(json!({"client_id": "fintech-9"})), disagreement),
        ("another issuer", said(json!({"iss": "https://evil.example"})), disagreement),
        ("another certificate", said(json!({"cnf": {"x5t#S256": certificate().x5t_s256()}})), disagreement),
        ("another token of the same user", said(json!({"jti": "2"})), disagreement),
        ("a token with a number for a name", said(json!({"jti": 1})), disagreement),
        ("inactive", said(json!({"active": false})), inactive),
        ("a stranger", told(200, TYPE, "", &signed(&stranger, &response(&ours, json!({})))), UNUSABLE),
        ("a stranger's name", told(200, TYPE, "", &signed(&Key::named("k9"), &response(&ours, json!({})))), UNUSABLE),
        ("the token itself", told(200, TYPE, "", &token(&ours, json!({}))), UNUSABLE),
        ("not signed", ok(active(&ours, json!({}))), UNUSABLE),
    ];
    for (name, answer, expected) in table {
        let (mut world, endpoint) = asking(&ours, json!({}));
        let other = get("/all").bearer(&token(&ours, json!({"jti": "0"}))).certificate(&ours);
        assert_eq!(world.verdict(&other), disagreement, "{name}: keys and paths are known from now on");
        world.asked.clear();
        endpoint.borrow_mut().instead = Some(answer);
        for _ in 0..2 {
            assert_eq!(world.verdict(&asked(&ours)), expected, "{name}");
        }
        let twice = world.asked.iter().filter(|asked| *asked == "as/introspect").count();
        assert_eq!(twice, if expected == UNUSABLE { 2 } else { 1 }, "{name}: a verdict is remembered, nothing else is");
        endpoint.borrow_mut().instead = None;
        world.later(if expected == UNUSABLE { 0 } else { 5 });
        assert_eq!(world.verdict(&asked(&ours)), PASSES, "{name}: and then a good one");
    }
}

/// A good response about a token with other claims.
fn response(ours: &Certificate, others: Value) -> Value {
    json!({"iss": "https://login.bank.example", "aud": "rs", "iat": NOW, "token_introspection": active_with(ours, others)})
}

fn active_with(ours: &Certificate, others: Value) -> Value {
    let mut said = active(ours, json!({}));
    for (name, value) in others.as_object().unwrap() {
        match value {
            Value::Null => drop(said.as_object_mut().unwrap().remove(name)),
            value => said[name] = value.clone(),
        }
    }
    said
}

#[test]
fn where_nothing_is_remembered_each_request_asks_and_the_key_vouches_once() {
    let ours = certificate();
    let (mut world, endpoint) = asking(&ours, json!({"cache": "0s"}));
    assert_eq!([world.verdict(&asked(&ours)), world.verdict(&asked(&ours))], [PASSES; 2]);
    assert_eq!(world.asked, [METADATA, OPENID, "login/keys", "as/introspect", "as/introspect"]);
    assert_eq!(world.enforcer().remembered().entries, 1, "the signature alone");
    endpoint.borrow_mut().said = json!({"active": false});
    assert_eq!(world.verdict(&asked(&ours)), (401, "token.inactive"));
    endpoint.borrow_mut().said = active(&ours, json!({}));
    assert_eq!(world.verdict(&asked(&ours)), PASSES, "no refusal is remembered either");
}

#[test]
fn who_waits_together_goes_on_by_one_answer_that_is_verified_once() {
    let ours = certificate();
    let (mut world, endpoint) = asking(&ours, json!({"cache": "0s"}));
    assert_eq!(world.verdict(&asked(&ours)), PASSES);
    let (first, second) = (world.begin(&asked(&ours)), world.begin(&asked(&ours)));
    let (Step::Ask(callout, first), Step::Ask(same, second)) = (first, second) else { panic!("both ask") };
    assert!(callout.id == same.id, "they wait together");
    let now = UnixTime::new(NOW);
    let settled = world.enforcer().settle(&callout.id, endpoint.borrow().answer(), now);
    for waiting in [first, second] {
        let step = world.enforcer().resume(waiting, &settled, now);
        assert!(matches!(step, Step::Done(Ok(Permit::Granted(told))) if told.report.reason == "granted"));
    }
}

#[test]
fn a_key_that_signs_answers_is_fetched_while_the_answer_waits() {
    let ours = certificate();
    let both = [Key::named("k1"), Key::named("k2")];
    for cache in ["30s", "0s"] {
        let (mut world, endpoint) = asking(&ours, json!({"cache": cache}));
        endpoint.borrow_mut().key = Key::named("k2");
        world.serve_keys("login", &[&both[0]]);
        assert_eq!(world.verdict(&asked(&ours)), UNUSABLE, "{cache}: by a key that nobody has");
        let all = [METADATA, OPENID, "login/keys", "as/introspect", "login/keys"];
        assert_eq!(world.asked, all, "{cache}: as many questions as a journey can have");
        world.asked.clear();
        world.serve_keys("login", &[&both[0], &both[1]]);
        assert_eq!(world.verdict(&asked(&ours)), PASSES, "{cache}: the next asks for the answer and its key");
        assert_eq!(world.asked, ["as/introspect", "login/keys"], "{cache}");
    }
}

#[test]
fn an_answer_whose_key_does_not_come_is_none() {
    let ours = certificate();
    for (keys, expected) in [(ok(json!({"keys": [Key::named("k1").jwk()]})), UNUSABLE), (AWAY, (503, "server.keys"))] {
        let (mut world, endpoint) = asking(&ours, json!({}));
        assert_eq!(world.verdict(&asked(&ours)), PASSES);
        world.later(30);
        *endpoint.borrow_mut() =
            Endpoint { said: active(&ours, json!({})), key: Key::named("k2"), now: NOW + 30, instead: None };
        world.asked.clear();
        world.keys.insert("login".into(), keys.clone());
        assert_eq!(world.verdict(&asked(&ours)), expected, "{keys:?}");
        assert_eq!(world.asked, ["as/introspect", "login/keys"], "{keys:?}");
    }
}

#[test]
fn operators_are_told_once_of_each_answer_that_is_found_wrong_by_its_signature() {
    let ours = certificate();
    let (mut world, endpoint) = asking(&ours, json!({}));
    assert_eq!(world.verdict(&asked(&ours)), PASSES);
    assert_eq!(world.enforcer().found_wrong(), []);
    world.later(30);
    *endpoint.borrow_mut() = Endpoint {
        said: active(&ours, json!({})),
        key: Key::with_secret("k1", "a stranger's"),
        now: NOW + 30,
        instead: None,
    };
    assert_eq!(world.verdict(&asked(&ours)), UNUSABLE);
    let wrong = [(IssuerId(0), Unusable::Signed(token::Error::Signature))];
    assert_eq!(world.enforcer().found_wrong(), wrong);
    assert_eq!(world.enforcer().found_wrong(), [], "it is told once");
}

#[test]
fn while_the_issuer_is_away_what_was_good_serves_a_little_longer_and_its_contradictions_end_that() {
    let ours = certificate();
    for (stale, away) in [("0s", (503, "server.metadata")), ("1m", (0, "granted.stale"))] {
        let (mut world, endpoint) = asking(&ours, json!({"stale_if_error": stale}));
        let fresh = |world: &World| {
            let lasting = claims(&ours, json!({"iat": NOW, "exp": NOW + 86_400}));
            assert!(world.now < NOW + 86_400);
            get("/all").bearer(&Key::named("k1").jwt(&lasting)).certificate(&ours)
        };
        endpoint.borrow_mut().said = active(&ours, json!({"iat": NOW, "exp": NOW + 86_400}));
        assert_eq!(world.verdict(&fresh(&world)), PASSES);
        world.later(599);
        endpoint.borrow_mut().now = NOW + 599;
        assert_eq!(world.verdict(&fresh(&world)), PASSES);
        // The two documents contradict each other when they are asked for again: the server is there, and is not believed.
        world.metadata.insert(OPENID.into(), ok(metadata("others")));
        world.later(31);
        assert_eq!(world.verdict(&fresh(&world)), (503, "server.metadata"), "{stale}");
        world.metadata.insert(METADATA.into(), AWAY);
        world.later(5);
        assert_eq!(world.verdict(&fresh(&world)), away, "{stale}");
        world.later(55);
        assert_eq!(world.verdict(&fresh(&world)), (503, "server.metadata"), "{stale}: 30 and 60 seconds are over");
    }
}

#[test]
fn a_token_that_begins_in_a_moment_is_asked_about_again_then() {
    let ours = certificate();
    let (mut world, endpoint) = asking(&ours, json!({}));
    endpoint.borrow_mut().said = active(&ours, json!({"nbf": NOW + 31}));
    assert_eq!(world.verdict(&asked(&ours)), (401, "token.not_yet_valid"));
    world.later(1);
    assert_eq!(world.verdict(&asked(&ours)), PASSES, "by the leeway of 30 s");
}
