//! Two issuers behind two clusters: keys, answers and memories of one are none of the other's.

use harness::{Algorithm, AuthorizationServer, Request, SigningKey};
use serde_json::json;

use super::stage::{Stage, document, secret};

const SHOP: &str = "https://login.shop.example";

#[test]
fn keys_introspection_and_memory_of_two_issuers_are_kept_apart() {
    // The same kid at both.
    let shop_key = SigningKey::new(Algorithm::Es256, "k1");
    let shop = AuthorizationServer::start(&[&shop_key]);
    let mut policy = document();
    let ours = policy["issuers"][0].clone();
    let mut theirs = ours.clone();
    theirs["issuer"] = json!(SHOP);
    theirs["name"] = json!("shop");
    theirs["jwks"]["cluster"] = json!("shop");
    theirs["introspection"]["cluster"] = json!("shop");
    policy["issuers"] = json!([ours, theirs]);
    let route =
        |name: &str| json!({"name": name, "path": format!("/{name}/**"), "issuer": name, "allow": "authenticated"});
    policy["routes"] = json!([route("bank"), route("shop")]);
    let stage = Stage::with(&policy, |options| options.cluster("shop", shop.address())).warm();

    let of_bank = stage.token();
    let mut claims = stage.claims();
    claims["iss"] = json!(SHOP);
    let (of_shop, forged) = (shop_key.mint(json!({}), &claims), shop_key.mint(json!({}), &stage.claims()));
    stage.server.know("opaque", stage.active());
    let statuses: Vec<u16> = [
        ("/bank/x", of_bank.as_str()),
        ("/shop/x", &of_shop),
        ("/shop/x", &of_bank),
        ("/bank/x", &of_shop),
        ("/bank/x", &forged),
        ("/bank/x", "opaque"),
        ("/shop/x", "opaque"),
    ]
    .map(|(path, token)| stage.as_bank(&Request::get(path).bearer(token)).status)
    .to_vec();
    assert_eq!(statuses, [200, 200, 401, 401, 401, 200, 401], "{}", stage.envoy.log());
    let lines = stage.envoy.access_lines(7);
    let reasons: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(3)).collect();
    let (granted, issuer) = ("granted", "token.issuer");
    assert_eq!(reasons, [granted, granted, issuer, issuer, "token.signature", granted, "token.inactive"]);
    assert_eq!((stage.server.count("/introspect"), shop.count("/introspect")), (1, 1), "each about its own alone");
    let told: Vec<&str> = lines.iter().filter_map(|line| line.split(' ').nth(5)).collect();
    assert_eq!(told[..2], ["bank", "shop"]);
    assert!(!stage.envoy.log().contains(secret()));
}
