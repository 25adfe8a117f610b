//! `docs/configuration.md`: its examples load, and its mistakes are told in the words that it shows.

use serde_json::{Value, json};

use super::{blocks, examples, load, read};

#[test]
fn every_example_loads() {
    let examples = examples();
    assert!(examples.len() > 20, "{}", examples.len());
    for (place, document) in examples {
        if let Err(mistakes) = load(&document) {
            panic!("{place}: {mistakes:?}");
        }
    }
}

#[test]
fn the_examples_of_the_page_are_warned_of_nothing() {
    for (place, document) in examples().iter().filter(|(place, _)| place.starts_with("docs/")) {
        assert_eq!(load(document).ok().map(|compiled| compiled.warnings), Some(Vec::new()), "{place}");
    }
}

#[test]
fn the_ten_mistakes_are_told_in_the_words_of_the_page() {
    let issuer = |name: &str| {
        json!({"issuer": format!("https://{name}.example"), "name": name, "audiences": ["api"],
               "jwks": {"cluster": "login", "path": "/jwks"}})
    };
    let good = json!({
        "issuers": [issuer("bank")],
        "routes": [{"name": "balance", "path": "/accounts/{account}", "allow": [{"client": "n26"}]}]
    });
    assert!(load(&good).is_ok(), "the good twin");
    let route = || json!({"name": "balance", "path": "/accounts/{account}"});
    let with = |change: &dyn Fn(&mut Value)| {
        let mut document = good.clone();
        change(&mut document);
        document
    };
    let documents = [
        with(&|document| {
            document["routes"][0]["allow"][0] = json!({"claims": {"/accounts": {"contains": {"account": null}}}});
        }),
        with(&|document| document["issuers"][0]["roles"] = json!({"at": ["realm_access.roles"]})),
        with(&|document| {
            document["issuers"][0]["introspection"] =
                json!({"cluster": "login", "path": "/i", "client_id": "api", "client_secret": "s3cr3t"});
        }),
        with(&|document| {
            document["routes"][0] = route();
            document["routes"][0]["scopes"] = json!(["accounts.read"]);
        }),
        with(&|document| {
            let wide = json!({"name": "all", "path": "/**", "allow": "authenticated"});
            document["routes"] = json!([wide, document["routes"][0]]);
        }),
        with(&|document| {
            let certificate = json!({"spiffe_id": "spiffe://bank.example/ns/treasury/sa/*"});
            document["routes"][0]["allow"][0] = json!({"certificate": certificate, "token": "none"});
        }),
        with(&|document| {
            document["issuers"][0] = json!({"issuer": "https://bank.example", "name": "bank", "audiences": ["api"],
                                            "jwks_uri": "https://login.bank.example/jwks"});
        }),
        with(&|document| {
            document["issuers"][0]["jwks"]["refresh"] = json!(300);
            document["issuers"][0]["algorithms"] = json!(["RS256", "HS256"]);
        }),
        with(&|document| {
            document["routes"][0]["scopes"] = json!(["accounts.read"]);
            let certificate = json!({"certificate": {"sha256": "bb".repeat(32)}, "token": "none"});
            document["routes"][0]["allow"] = json!([{"client": "n26"}, certificate]);
        }),
        with(&|document| {
            document["issuers"] = json!([issuer("a"), issuer("b")]);
            document["routes"][0]["issuer"] = json!(["a", "b"]);
            let rest = json!({"name": "rest", "path": "/rest", "allow": "authenticated"});
            document["routes"] = json!([document["routes"][0], rest]);
        }),
    ];
    let told = blocks(&read("docs/configuration.md"), "text");
    assert_eq!(told.len(), documents.len());
    for (document, told) in documents.iter().zip(told) {
        assert_eq!(load(document).err().unwrap_or_default(), told.lines().collect::<Vec<_>>());
    }
}
