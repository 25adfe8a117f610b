//! Where Keycloak's tokens hold roles: of the realm, of a client, and in a claim that a mapper writes.

use harness::Leaf;
use serde_json::{Value, json};

use super::stage::{Outcome, Stage, by_both, by_introspection, by_keys, cast, every_way, granted, market};

/// The document with roles from one place, and a route for one of them.
fn with_role(mut document: Value, place: &str, role: &str) -> Value {
    document["issuers"][0]["roles"] = json!({"at": [place]});
    document["routes"][0]["allow"] = json!([{"role": role}]);
    document
}

fn no_rule() -> Outcome {
    Outcome { status: 403, challenges: Vec::new(), reason: "policy.no_rule".into() }
}

#[test]
fn roles_are_read_where_keycloak_writes_them() {
    let (realm, _turn) = market();
    let insurer = cast().authority.issue(Leaf::client("insurer"));
    let (bank, alice) = (realm.token("bank", &cast().bank), realm.login(&cast().bank).access_token);
    let of_insurer = realm.token("insurer", &insurer);
    let stage = Stage::set(&by_keys(&realm));
    for (how, document) in every_way(&realm) {
        // Who has the role: the bank, an insurer, a user.
        for (place, role, expected) in [
            ("/realm_access/roles", "reader", [true, true, true]),
            ("/resource_access/my-api/roles", "trader", [true, false, false]),
            ("/x_role", "operator", [true, false, false]),
            ("/x_role", "analyst", [false, false, true]),
            // Of another place.
            ("/realm_access/roles", "trader", [false, false, false]),
            ("/resource_access/other-api/roles", "trader", [false, false, false]),
        ] {
            stage.turn_to(&with_role(document.clone(), place, role));
            let found = [stage.as_bank(&bank), stage.bearer(Some(&insurer), &of_insurer), stage.as_bank(&alice)];
            let expected = expected.map(|passes| if passes { granted() } else { no_rule() });
            assert_eq!(found, expected, "{how}: {role} at {place}");
        }
    }
}

#[test]
fn a_lightweight_token_has_its_roles_in_the_answer_about_it() {
    let (realm, _turn) = market();
    let token = realm.token("bank-light", &cast().bank);
    let document = by_introspection(&realm);
    let stage = Stage::set(&document);
    for (place, role) in
        [("/realm_access/roles", "reader"), ("/resource_access/my-api/roles", "trader"), ("/x_role", "operator")]
    {
        stage.turn_to(&with_role(document.clone(), place, role));
        assert_eq!(stage.as_bank(&token), granted(), "{role} at {place}");
        stage.turn_to(&with_role(document.clone(), place, "head"));
        assert_eq!(stage.as_bank(&token), no_rule(), "another role at {place}");
    }
}

/// `clientHost` stands in the JWTs of service accounts alone, and in no answer about them; a role stands in both.
#[test]
fn a_user_and_a_client_are_told_apart_by_a_claim_of_service_accounts() {
    let (realm, _turn) = market();
    let (client, user) = (realm.token("bank", &cast().bank), realm.login(&cast().bank).access_token);
    let of_machines = json!({"/realm_access/roles": {"contains": "machine"}});
    let by_host = json!({"/clientHost": {"present": true}});
    let table = [
        (by_keys(&realm), &by_host, true),
        (by_keys(&realm), &of_machines, true),
        (by_introspection(&realm), &by_host, false),
        (by_introspection(&realm), &of_machines, true),
        (by_both(&realm), &by_host, true),
    ];
    let stage = Stage::set(&by_keys(&realm));
    for (mut document, when, is_known) in table {
        document["issuers"][0]["client_token_when"] = when.clone();
        document["routes"][0]["allow"] = json!([{"principal": "client", "client": ["bank", "app"]}]);
        stage.turn_to(&document);
        let expected = [if is_known { granted() } else { no_rule() }, no_rule()];
        assert_eq!([stage.as_bank(&client), stage.as_bank(&user)], expected, "{document}");
        document["routes"][0]["allow"][0]["principal"] = json!("user");
        stage.turn_to(&document);
        let expected = [if is_known { no_rule() } else { granted() }, granted()];
        assert_eq!([stage.as_bank(&client), stage.as_bank(&user)], expected, "{document}");
    }
}

#[test]
fn the_organization_in_the_token_decides_whose_incidents_are_read() {
    let (realm, _turn) = market();
    let token = realm.token("bank", &cast().bank);
    let stage = Stage::set(&by_keys(&realm));
    for (how, mut document) in every_way(&realm) {
        document["routes"] = json!([{"name": "incidents", "path": "/organizations/{organization}/incidents",
                                     "allow": [{"claims": {"/x_organization": "{organization}"}}]}]);
        stage.turn_to(&document);
        let read = |organization: &str| {
            let path = format!("/organizations/{organization}/incidents");
            stage.send(Some(&cast().bank), &harness::Request::get(&path).bearer(&token))
        };
        assert_eq!([read("ORG-A"), read("ORG-B")], [granted(), no_rule()], "{how}");
    }
}
