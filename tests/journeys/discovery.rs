//! Issuers that say themselves where they are asked: what is believed of it, and in which order journeys ask (checklist §10).

use harness::Certificate;
use holdfast::callout::{Answer, NoAnswer};
use holdfast::time::UnixTime;
use serde_json::{Value, json};

use super::world::{Key, NOW, PASSES, World, answered, bank, certificate, claims, get, ok, token};

const METADATA: &str = "login/.well-known/oauth-authorization-server";
const OPENID: &str = "login/.well-known/openid-configuration";

/// `bank`, which tells its paths.
fn telling() -> World {
    let mut issuer = bank();
    issuer["discovery"] = json!({"cluster": "login"});
    issuer["jwks"] = json!({"cluster": "login"});
    issuer["introspection"] =
        json!({"cluster": "as", "client_id": "rs", "client_secret": {"env": "SECRET"}, "stale_if_error": "1m"});
    let routes = json!([{"name": "all", "path": "/**", "allow": "authenticated"}]);
    let mut world = World::with_environment(json!({"issuers": [issuer], "routes": routes}), &[("SECRET", "s3cr3t")]);
    world.metadata.insert(METADATA.into(), ok(document(json!({}))));
    world
}

fn document(changes: Value) -> Value {
    let mut whole = json!({
        "issuer": "https://login.bank.example", "jwks_uri": "https://login.bank.example/keys?v=2",
        "introspection_endpoint": "https://login.bank.example/introspect"
    });
    whole.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    whole
}

fn jwt(ours: &Certificate) -> super::world::Ask {
    get("/").bearer(&token(ours, json!({}))).certificate(ours)
}

fn know_opaque(world: &mut World, ours: &Certificate) -> super::world::Ask {
    let mut said = claims(ours, json!({"active": true, "token_type": "Bearer"}));
    said["active"] = json!(true);
    world.introspect("opaque", said);
    get("/").bearer("opaque").certificate(ours)
}

#[test]
fn a_journey_asks_where_first_and_each_later_one_knows() {
    let (mut world, ours) = (telling(), certificate());
    assert_eq!(world.verdict(&jwt(&ours)), PASSES);
    assert_eq!(world.asked, [METADATA, OPENID, "login/keys?v=2"]);
    let opaque = know_opaque(&mut world, &ours);
    assert_eq!(world.verdict(&opaque), PASSES);
    assert_eq!(world.verdict(&jwt(&ours)), PASSES);
    assert_eq!(world.asked, [METADATA, OPENID, "login/keys?v=2", "as/introspect"]);
}

#[test]
fn an_opaque_token_needs_no_keys() {
    let (mut world, ours) = (telling(), certificate());
    let opaque = know_opaque(&mut world, &ours);
    assert_eq!(world.verdict(&opaque), PASSES);
    assert_eq!(world.asked, [METADATA, OPENID, "as/introspect"]);
}

#[test]
fn a_key_that_came_after_the_set_is_found_in_the_same_journey() {
    let (mut world, ours) = (telling(), certificate());
    world.serve_keys("login", &[]);
    let later = get("/").bearer(&Key::named("k1").jwt(&claims(&ours, json!({})))).certificate(&ours);
    assert_eq!(world.verdict(&later), (401, "token.key"));
    world.serve_keys("login", &[&Key::named("k1")]);
    assert_eq!(world.verdict(&later), PASSES);
    assert_eq!(world.asked, [METADATA, OPENID, "login/keys?v=2", "login/keys?v=2"]);
}

#[test]
fn without_a_good_document_nobody_is_asked_for_keys_or_about_tokens() {
    let ours = certificate();
    for answer in [
        Answer::None(NoAnswer::Reset),
        answered(404, ""),
        answered(302, &document(json!({})).to_string()),
        answered(200, "<html>"),
        answered(200, "{}"),
        ok(document(json!({"issuer": "https://login.bank.example/"}))),
        ok(document(json!({"issuer": "https://evil.example"}))),
        ok(document(json!({"jwks_uri": "https://evil.example/keys"}))),
        ok(document(json!({"introspection_endpoint": "https://evil.example/introspect"}))),
    ] {
        let mut world = telling();
        world.metadata.insert(METADATA.into(), answer.clone());
        let opaque = know_opaque(&mut world, &ours);
        assert_eq!(world.verdict(&jwt(&ours)), (503, "server.metadata"), "{answer:?}");
        assert_eq!(world.verdict(&opaque), (503, "server.metadata"), "{answer:?}");
        assert_eq!(world.asked, [METADATA], "it is not asked again at once");
        world.metadata.insert(METADATA.into(), ok(document(json!({}))));
        world.later(1);
        assert_eq!(world.verdict(&jwt(&ours)), PASSES, "{answer:?}");
    }
}

#[test]
fn what_was_learned_serves_while_the_server_is_away() {
    let (mut world, ours) = (telling(), certificate());
    let opaque = know_opaque(&mut world, &ours);
    assert_eq!((world.verdict(&jwt(&ours)), world.verdict(&opaque)), (PASSES, PASSES));
    world.metadata.clear();
    world.keys.clear();
    world.later(200);
    assert_eq!(world.verdict(&jwt(&ours)), PASSES);
}

#[test]
fn a_path_that_has_moved_is_followed() {
    let (mut world, ours) = (telling(), certificate());
    let ask = |world: &World| {
        let lasting = claims(&ours, json!({"iat": world.now, "exp": world.now + 300}));
        get("/").bearer(&Key::named("k1").jwt(&lasting)).certificate(&ours)
    };
    assert_eq!(world.verdict(&jwt(&ours)), PASSES);
    let moved = json!({"jwks_uri": "https://login.bank.example/moved"});
    world.metadata.insert(METADATA.into(), ok(document(moved)));
    world.later(600);
    let asked = ask(&world);
    assert_eq!(world.verdict(&asked), PASSES);
    assert_eq!(world.asked[3..], [METADATA, OPENID, "login/moved"]);
}

#[test]
fn a_worker_asks_for_both_documents_and_then_for_keys_before_anybody_comes() {
    let mut world = telling();
    let now = UnixTime::new(NOW);
    let paths = |world: &mut World| -> Vec<String> {
        let due = world.enforcer().due(now);
        due.iter().map(|callout| format!("{}{}", callout.id.service.cluster, callout.id.service.path)).collect()
    };
    let due = world.enforcer().due(now);
    let [first] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!(format!("{}{}", first.id.service.cluster, first.id.service.path), METADATA);
    assert_eq!(paths(&mut world), Vec::<String>::new(), "keys wait until it is known where they are");
    world.enforcer().settle(&first.id, ok(document(json!({}))), now);
    let due = world.enforcer().due(now);
    let [other] = due.as_slice() else { panic!("{due:?}") };
    assert_eq!(format!("{}{}", other.id.service.cluster, other.id.service.path), OPENID);
    assert_eq!(paths(&mut world), Vec::<String>::new(), "nothing is believed before both are there");
    world.enforcer().settle(&other.id, answered(404, ""), now);
    assert_eq!(paths(&mut world), ["login/keys?v=2"]);
    assert_eq!(paths(&mut world), Vec::<String>::new());
}

#[test]
fn two_documents_that_contradict_each_other_are_both_refused() {
    let (mut world, ours) = (telling(), certificate());
    let says = document(json!({"jwks_uri": "https://login.bank.example/other"}));
    world.metadata.insert(OPENID.into(), ok(says));
    for delay in [1, 2, 4, 5, 5] {
        assert_eq!(world.verdict(&jwt(&ours)), (503, "server.metadata"));
        assert_eq!(world.verdict(&jwt(&ours)), (503, "server.metadata"), "it is not asked again at once");
        world.later(delay);
    }
    assert_eq!(world.asked, [METADATA, OPENID].repeat(5));
    world.metadata.insert(OPENID.into(), ok(document(json!({}))));
    assert_eq!(world.verdict(&jwt(&ours)), PASSES);
}
