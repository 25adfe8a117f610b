//! The clock of the host is believed (checklist C60), also where it is set forward or back: what was learned under it is
//! believed for no longer than it would have been, and what failed is tried again as soon.

use harness::Certificate;
use holdfast::callout::{Answer, NoAnswer};
use serde_json::json;

use super::world::{Ask, Key, NOW, PASSES, World, answered, bank, certificate, claims, get};

const HOURS: u64 = 6 * 3600;

fn world() -> World {
    let mut issuer = bank();
    issuer["introspection"] = json!({"cluster": "as", "path": "/introspect", "client_id": "rs",
                                     "client_secret": {"env": "SECRET"}, "cache": "30s", "stale_if_error": "1m"});
    let routes = json!([{"name": "all", "path": "/**", "allow": "authenticated"}]);
    World::with_environment(json!({"issuers": [issuer], "routes": routes}), &[("SECRET", "s3cr3t")])
}

/// A request with a token of this key that is good at this time.
fn signed(key: &str, ours: &Certificate, now: u64) -> Ask {
    let token = Key::named(key).jwt(&claims(ours, json!({"iat": now, "exp": now + 300})));
    get("/").bearer(&token).certificate(ours)
}

fn know(world: &mut World, ours: &Certificate) {
    let mut said = claims(ours, json!({"iat": null, "exp": NOW + 600}));
    said["active"] = json!(true);
    said["token_type"] = json!("Bearer");
    world.introspect("opaque", said);
}

#[test]
fn tokens_are_judged_by_the_clock_as_it_stands() {
    let ours = certificate();
    let mut world = world();
    let table = [
        ("as it was", NOW, PASSES, PASSES),
        ("hours later", NOW + HOURS, (401, "token.expired"), PASSES),
        ("as it was again", NOW, PASSES, PASSES),
        ("hours before", NOW - HOURS, (401, "token.not_yet_valid"), PASSES),
    ];
    for (name, now, of_then, of_now) in table {
        world.now = now;
        assert_eq!(world.verdict(&signed("k1", &ours, NOW)), of_then, "{name}");
        assert_eq!(world.verdict(&signed("k1", &ours, now)), of_now, "{name}");
    }
}

#[test]
fn a_revoked_token_outlives_its_time_by_no_clock() {
    let ours = certificate();
    for step in [HOURS, 60, 1] {
        let mut world = world();
        know(&mut world, &ours);
        let asked = get("/").bearer("opaque").certificate(&ours);
        assert_eq!(world.verdict(&asked), PASSES);
        world.introspect("opaque", json!({"active": false}));
        world.now -= step;
        assert_eq!(world.verdict(&asked), (401, "token.inactive"), "{step} s back");
    }
}

#[test]
fn a_stale_answer_outlives_its_time_by_no_clock() {
    let ours = certificate();
    let mut world = world();
    know(&mut world, &ours);
    let asked = get("/").bearer("opaque").certificate(&ours);
    assert_eq!(world.verdict(&asked), PASSES);
    world.introspection.insert("opaque".into(), Answer::None(NoAnswer::Reset));
    world.now -= HOURS;
    assert_eq!(world.verdict(&asked), (503, "server.introspection"));
}

#[test]
fn a_key_that_was_withdrawn_outlives_its_time_by_no_clock() {
    let ours = certificate();
    for step in [HOURS, 600] {
        let mut world = world();
        assert_eq!(world.verdict(&signed("k1", &ours, NOW)), PASSES);
        world.serve_keys("login", &[&Key::named("k2")]);
        world.later(100);
        assert_eq!(world.verdict(&signed("k1", &ours, world.now)), PASSES, "for 300 s");
        world.now -= step;
        assert_eq!(world.verdict(&signed("k1", &ours, world.now)), PASSES, "for 200 s more");
        world.later(200);
        assert_eq!(world.verdict(&signed("k1", &ours, world.now)), (401, "token.key"), "{step} s back");
        assert_eq!(world.verdict(&signed("k2", &ours, world.now)), PASSES);
    }
}

#[test]
fn keys_that_serve_while_the_server_is_away_serve_no_longer_by_any_clock() {
    let ours = certificate();
    let mut world = world();
    assert_eq!(world.verdict(&signed("k1", &ours, NOW)), PASSES);
    world.keys.insert("login".into(), answered(500, ""));
    world.now -= HOURS;
    for (passed, expected) in [(0, PASSES), (3599, PASSES), (1, (503, "server.keys"))] {
        world.later(passed);
        assert_eq!(world.verdict(&signed("k1", &ours, world.now)), expected, "{passed} s later");
    }
}

#[test]
fn a_server_that_failed_is_tried_again_as_soon() {
    let ours = certificate();
    let mut world = world();
    world.keys.insert("login".into(), answered(500, ""));
    assert_eq!(world.verdict(&signed("k1", &ours, NOW)), (503, "server.keys"));
    world.now -= HOURS;
    assert_eq!(world.verdict(&signed("k1", &ours, world.now)), (503, "server.keys"));
    world.serve_keys("login", &[&Key::named("k1")]);
    world.later(1);
    assert_eq!(world.verdict(&signed("k1", &ours, world.now)), PASSES);
}

#[test]
fn an_unknown_kid_is_asked_for_as_often() {
    let ours = certificate();
    let mut world = world();
    assert_eq!(world.verdict(&signed("k1", &ours, NOW)), PASSES);
    for number in 0..4 {
        assert_eq!(world.verdict(&signed(&format!("flood {number}"), &ours, NOW)), (401, "token.key"));
    }
    assert_eq!(world.asked.len(), 1 + 3);
    world.serve_keys("login", &[&Key::named("k2")]);
    world.now -= HOURS;
    assert_eq!(world.verdict(&signed("k2", &ours, world.now)), (401, "token.key"), "as before");
    world.later(5);
    assert_eq!(world.verdict(&signed("k2", &ours, world.now)), PASSES);
}
