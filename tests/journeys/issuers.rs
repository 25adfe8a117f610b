//! Several issuers at once: whose token it is, is decided first, and nothing of one counts for another (checklist C25–C29).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use harness::Certificate;
use serde_json::{Value, json};

use super::world::{Key, PASSES, World, bank, certificate, claims, get, ok};

const BANK: &str = "https://login.bank.example";
const SHOP: &str = "https://shop.example/a";
const PLAIN: &str = "https://plain.example";

/// `bank` and `shop` with keys and introspection, `plain` with keys alone.
fn three() -> World {
    let introspection = |cluster: &str| json!({"cluster": cluster, "path": "/i", "client_id": "rs", "client_secret": {"env": "SECRET"}});
    let mut bank = bank();
    bank["introspection"] = introspection("bank-as");
    let shop = json!({
        "issuer": SHOP, "name": "shop", "audiences": ["https://shop.example"], "introspection": introspection("shop-as"),
        "jwks": {"cluster": "shop", "path": "/jwks"}
    });
    let plain = json!({
        "issuer": PLAIN, "name": "plain", "audiences": ["https://api.bank.example"], "algorithms": ["PS256"],
        "jwks": {"cluster": "plain", "path": "/jwks"}
    });
    let routes = json!([
        {"name": "bank", "path": "/bank", "issuer": "bank", "allow": "authenticated"},
        {"name": "shop", "path": "/shop", "issuer": "shop", "allow": "authenticated"},
        {"name": "plain", "path": "/plain", "issuer": "plain", "allow": "authenticated"},
        {"name": "both", "path": "/both", "issuer": ["bank", "plain"], "allow": "authenticated"}
    ]);
    let document = json!({"issuers": [bank, shop, plain], "routes": routes});
    let mut world = World::with_environment(document, &[("SECRET", "s3cr3t")]);
    world.serve_keys("shop", &[&Key::with_secret("k1", "shop")]);
    world.serve_keys("plain", &[&Key::with_secret("k1", "plain")]);
    world
}

fn signed(key: &Key, ours: &Certificate, others: Value) -> String {
    key.jwt(&claims(ours, others))
}

#[test]
fn a_jwt_is_of_the_issuer_that_it_names_octet_by_octet_or_nobody_is_asked() {
    let (mut world, ours) = (three(), certificate());
    for iss in [
        json!(null),
        json!(""),
        json!(1),
        json!([BANK]),
        json!(format!("{BANK}/")),
        json!("https://Login.bank.example"),
        json!("HTTPS://login.bank.example"),
        json!("http://login.bank.example"),
        json!(format!(" {BANK}")),
        json!("https://shop.example/"),
        json!("https://evil.example"),
    ] {
        let token = signed(&Key::named("k1"), &ours, json!({"iss": iss}));
        for path in ["/bank", "/both", "/shop"] {
            let verdict = world.verdict(&get(path).bearer(&token).certificate(&ours));
            assert_eq!(verdict, (401, "token.issuer"), "{path} {iss}");
        }
    }
    assert_eq!(world.asked, Vec::<String>::new(), "neither for keys nor about the token");
    let good = signed(&Key::named("k1"), &ours, json!({"iss": BANK}));
    assert_eq!(world.verdict(&get("/bank").bearer(&good).certificate(&ours)), PASSES);
    assert_eq!(world.verdict(&get("/both").bearer(&good).certificate(&ours)), PASSES);
}

#[test]
fn keys_algorithms_and_audiences_are_each_issuers_own() {
    let (mut world, ours) = (three(), certificate());
    let (of_bank, of_shop, of_plain) =
        (Key::named("k1"), Key::with_secret("k1", "shop"), Key::with_secret("k1", "plain"));
    let for_shop = json!({"iss": SHOP, "aud": "https://shop.example"});
    for (path, token, expected) in [
        ("/bank", signed(&of_bank, &ours, json!({})), PASSES),
        ("/bank", signed(&of_shop, &ours, json!({})), (401, "token.signature")),
        ("/bank", signed(&of_shop, &ours, for_shop.clone()), (401, "token.issuer")),
        ("/bank", signed(&of_bank, &ours, json!({"aud": "https://shop.example"})), (401, "token.audience")),
        ("/shop", signed(&of_shop, &ours, for_shop.clone()), PASSES),
        ("/shop", signed(&of_bank, &ours, for_shop), (401, "token.signature")),
        ("/shop", signed(&of_shop, &ours, json!({"iss": SHOP})), (401, "token.audience")),
        ("/plain", signed(&of_plain, &ours, json!({"iss": PLAIN})), (401, "token.algorithm")),
        ("/both", signed(&of_plain, &ours, json!({"iss": PLAIN})), (401, "token.algorithm")),
    ] {
        assert_eq!(world.verdict(&get(path).bearer(&token).certificate(&ours)), expected, "{path} {token}");
    }
    assert_eq!(world.asked, ["login/jwks", "shop/jwks"], "once each, and never of whom it does not concern");
}

#[test]
fn what_is_remembered_of_one_issuer_is_none_of_anothers() {
    let (mut world, ours) = (three(), certificate());
    let token = signed(&Key::named("k1"), &ours, json!({}));
    let asked = |path: &str| get(path).bearer(&token).certificate(&ours);
    assert_eq!(world.verdict(&asked("/bank")), PASSES);
    assert_eq!(world.verdict(&asked("/shop")), (401, "token.issuer"));
    assert_eq!(world.verdict(&asked("/plain")), (401, "token.issuer"));
    assert_eq!(world.verdict(&asked("/both")), PASSES);
    assert_eq!(world.asked, ["login/jwks"]);
}

#[test]
fn an_opaque_token_goes_to_the_one_issuer_of_its_route_and_is_remembered_for_it_alone() {
    let (mut world, ours) = (three(), certificate());
    let active = |others: Value| {
        let mut said = claims(&ours, others);
        said["active"] = json!(true);
        said["token_type"] = json!("Bearer");
        ok(said)
    };
    world.introspection.insert("bank-as/opaque".into(), active(json!({})));
    let asked = |path: &str| get(path).bearer("opaque").certificate(&ours);
    for (path, expected) in
        [("/bank", PASSES), ("/shop", (401, "token.inactive")), ("/both", PASSES), ("/plain", (401, "token.format"))]
    {
        for _ in 0..2 {
            assert_eq!(world.verdict(&asked(path)), expected, "{path}");
        }
    }
    assert_eq!(world.asked, ["bank-as/i", "shop-as/i"]);
    // A server speaks of its own tokens only.
    world.introspection.insert("shop-as/foreign".into(), active(json!({"iss": BANK})));
    let foreign = get("/shop").bearer("foreign").certificate(&ours);
    assert_eq!(world.verdict(&foreign), (401, "token.issuer"));
}

#[test]
fn what_looks_like_a_jwt_is_never_sent_to_introspection_instead() {
    let (mut world, ours) = (three(), certificate());
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let good = signed(&Key::named("k1"), &ours, json!({}));
    let (header, rest) = good.split_once('.').unwrap();
    for (token, reason) in [
        (signed(&Key::named("k1"), &ours, json!({"iss": "https://evil.example"})), "token.issuer"),
        (format!("{header}=.{rest}"), "credential.malformed"),
        (format!("{good}="), "token.malformed"),
        (format!("{}.{}.", encode("{}"), encode("{}")), "token.malformed"),
        (format!("{}.{}.x", encode(r#"{"alg":1}"#), encode("{}")), "token.malformed"),
        ("eyJx.y.z".to_owned(), "token.malformed"),
    ] {
        let verdict = world.verdict(&get("/bank").bearer(&token).certificate(&ours));
        assert_eq!(verdict, (401, reason), "{token}");
    }
    assert_eq!(world.asked, Vec::<String>::new());
    // Neither dots nor how it begins make a JWT.
    for opaque in ["a.b.c", "eyJhbGciOiJub25lIn0", "e30"] {
        let verdict = world.verdict(&get("/bank").bearer(opaque).certificate(&ours));
        assert_eq!(verdict, (401, "token.inactive"), "{opaque}");
    }
    assert_eq!(world.asked, ["bank-as/i"; 3]);
}
