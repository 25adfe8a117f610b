//! The language of `configuration.md` through `load`: what it means, and the words of every refusal.

use core::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::callout::{IssuerId, Question, Service};
use crate::client::Authentication;
use crate::facts::peer::RelayId;
use crate::keys;

const SECRET: &str = "s3cr3t-of-the-vm";

fn environment(name: &str) -> Option<String> {
    match name {
        "API_SECRET" => Some(SECRET.to_owned()),
        // 32 and 31 octets.
        "NONCE_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=".to_owned()),
        "NONCE_KEY_OLD" => Some("__________________________________________8".to_owned()),
        "SHORT_KEY" => Some("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==".to_owned()),
        "EMPTY" => Some(String::new()),
        _ => None,
    }
}

fn load_text(document: &str) -> Result<Compiled, Mistakes> {
    load(document.as_bytes(), &environment)
}

/// The mistakes of a document, a line each.
fn mistakes_of(document: &str) -> Vec<String> {
    match load_text(document) {
        Ok(_) => Vec::new(),
        Err(mistakes) => mistakes.0,
    }
}

fn mistakes(document: &Value) -> Vec<String> {
    mistakes_of(&document.to_string())
}

fn warnings(document: &Value) -> Vec<String> {
    match load_text(&document.to_string()) {
        Ok(compiled) => compiled.warnings,
        Err(mistakes) => panic!("{mistakes}"),
    }
}

/// The document with one member (or item) put there, or put in its place.
fn with(document: &Value, place: &str, value: Value) -> Value {
    let mut document = document.clone();
    let (parent, name) = place.rsplit_once('/').unwrap();
    let name = name.replace("~1", "/");
    match document.pointer_mut(parent).unwrap_or_else(|| panic!("no {parent}")) {
        Value::Object(members) => drop(members.insert(name, value)),
        Value::Array(items) => match name.parse::<usize>() {
            Ok(at) if at < items.len() => items[at] = value,
            _ => items.push(value),
        },
        _ => panic!("nothing stands in {parent}"),
    }
    document
}

fn without(document: &Value, place: &str) -> Value {
    let mut document = document.clone();
    let (parent, name) = place.rsplit_once('/').unwrap();
    document.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name).unwrap();
    document
}

/// `configuration.md` §2, what waits for its issue taken out.
pub const REFERENCE: &str = r#"{
  "issuers": [
    {
      "issuer": "https://login.bank.example",
      "name": "bank",
      "audiences": ["https://api.bank.example"],
      "algorithms": ["ES256", "PS256", "EdDSA"],
      "profile": "rfc9068",
      "leeway": "30s",
      "max_token_lifetime": "24h",
      "claims": {"client_id": "/client_id", "scope": "/scope", "scope_format": "string"},
      "client_token_when": {"/clientHost": {"present": true}},
      "clients": [
        {"client": "n26", "certificate": {"san_dns": "api.n26.example"}},
        {"certificate": {"san_email": "{/client_id}"}}
      ],
      "roles": {"at": ["/realm_access/roles", "/x_role"], "only": ["clerk", "accountant", "treasurer", "payer", "approver", "cashier", "head"]},
      "jwks": {
        "cluster": "login", "path": "/jwks", "authority": "login.bank.example", "timeout": "1s", "refresh": "5m", "max_stale": "1h"
      },
      "introspection": {
        "cluster": "login", "path": "/token/introspection", "protocol": "rfc7662", "auth_method": "client_secret_basic",
        "client_id": "api", "client_secret": {"env": "API_SECRET"}, "cache": "30s", "stale_if_error": "0s"
      }
    }
  ],
  "peer_certificate": {
    "chain": "verified", "trust_domains": ["bank.example"], "dns_names": ["**.bank.example", "**.treasury.example", "api.n26.example"],
    "relays": [{
      "certificate": {"spiffe_id": "spiffe://bank.example/ns/edge/sa/gateway"}, "header": "x-forwarded-client-cert", "format": "xfcc",
      "chain": "verified", "trust_domains": [], "dns_names": ["**.partner.example"]
    }]
  },
  "dpop": {
    "origins": ["https://api.bank.example"], "algorithms": ["ES256", "EdDSA", "PS256"], "max_age": "1m", "nonce": "required",
    "nonce_keys": [{"env": "NONCE_KEY"}, {"env": "NONCE_KEY_OLD"}], "replay": "process"
  },
  "roles": {
    "includes": {"treasurer": ["accountant"], "accountant": ["clerk"], "cashier": ["payer"], "head": ["approver"]},
    "exclusive": [["payer", "approver"]]
  },
  "deny": [
    {"client": "fintech-9"},
    {"certificate": {"sha256": "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd"}}
  ],
  "binding": "certificate",
  "revocation": "none",
  "cors_preflight": "refuse",
  "danger_allow_plaintext": false,
  "challenge": {"realm": "bank", "resource_metadata": "https://api.bank.example/.well-known/oauth-protected-resource"},
  "forward": {
    "token": "strip",
    "headers": {"x-client-id": "client_id", "x-organization": "/x_organization"},
    "filter_state": {"organization": "/x_organization"}
  },
  "routes": [
    {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
    {
      "name": "metrics", "path": "/metrics",
      "allow": [{"certificate": {"spiffe_id": "spiffe://bank.example/ns/monitoring/sa/prometheus"}, "token": "none"}]
    },
    {
      "name": "balance", "host": ["{tenant}.bank.example"], "methods": ["GET", "HEAD"], "path": "/accounts/{account}/balance",
      "issuer": "bank", "audiences": ["https://api.bank.example/accounts"], "scopes": ["accounts.read"],
      "acr_values": ["gold", "silver"], "max_age": "10m",
      "allow": [
        {"role": ["clerk", "payer"], "claims": {"/accounts": {"contains": "{account}"}}},
        {
          "client": ["n26", "revolut"],
          "issuer": "bank",
          "principal": "client",
          "claims": {
            "/tenant": "{tenant}", "/tier": ["gold", 2, true], "/psd2/roles": {"contains": ["AISP", "PISP"]},
            "/amr": {"contains_all": ["pwd", "otp"]}, "/iban": {"present": true}
          }
        },
        {
          "certificate": {
            "spiffe_id": "spiffe://bank.example/ns/treasury/sa/*", "san_dns": "*.treasury.example", "san_uri": "urn:treasury",
            "subject": {"O": "Bank", "organizationIdentifier": "{/psd2/id}"},
            "sha256": "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd", "extended_key_usage": "clientAuth"
          },
          "scopes": ["accounts.all"],
          "not": {"role": "approver"}
        }
      ]
    },
    {"name": "statements", "path": ["/statements/**", "/accounts/*/statements/**"], "allow": "authenticated"}
  ],
  "limits": {"tokens": 10000, "token_bytes": "16MiB", "callouts": 64, "waiting": 1024, "proofs": 65536},
  "log": "refusals",
  "facts": "all"
}"#;

fn reference() -> Value {
    serde_json::from_str(REFERENCE).unwrap()
}

/// The issuer and the binding of §4, and these routes.
fn small(routes: Value) -> Value {
    json!({
        "issuers": [{
            "issuer": "https://login.bank.example",
            "name": "bank",
            "audiences": ["https://api.bank.example"],
            "jwks": {"cluster": "login", "path": "/jwks"},
        }],
        "binding": "certificate",
        "routes": routes,
    })
}

/// One route `balance`, with these rules.
fn balance(allow: Value) -> Value {
    small(json!([{"name": "balance", "methods": ["GET"], "path": "/accounts/{account}/balance", "allow": allow}]))
}

/// Two issuers, `a` and `b`, and these routes.
fn two_issuers(routes: Value) -> Value {
    let issuer = |name: &str| {
        json!({
            "issuer": format!("https://{name}.example"), "name": name, "audiences": ["api"],
            "jwks": {"cluster": name, "path": "/jwks"},
        })
    };
    json!({"issuers": [issuer("a"), issuer("b")], "routes": routes})
}

#[test]
fn the_reference_loads_and_warns_of_nothing() {
    let compiled = load_text(REFERENCE).map_err(|mistakes| mistakes.to_string()).unwrap();
    assert_eq!(compiled.warnings, Vec::<String>::new());
    assert!(!compiled.log_permits && compiled.settings.tells_permits);
    assert_eq!(compiled.settings.memory.entries, 10_000);
    assert_eq!(compiled.settings.memory.bytes, 16 * 1024 * 1024);
    assert_eq!((compiled.waiting.callouts, compiled.waiting.waiters), (64, 1024));
    let [issuer] = compiled.settings.issuers.as_slice() else { panic!() };
    assert_eq!((issuer.identifier.as_str(), &*issuer.name), ("https://login.bank.example", "bank"));
    let names = ["holdfast", "bank"]
        .map(|realm| compiled.settings.effects.iter().filter(|effect| &*effect.realm == realm).count());
    assert_eq!(names, [0, 4]);
}

#[test]
fn what_the_reference_writes_out_are_the_defaults() {
    let mut short = reference();
    for place in [
        "/issuers/0/algorithms",
        "/issuers/0/profile",
        "/issuers/0/leeway",
        "/issuers/0/max_token_lifetime",
        "/issuers/0/claims",
        "/issuers/0/jwks/authority",
        "/issuers/0/jwks/timeout",
        "/issuers/0/jwks/refresh",
        "/issuers/0/jwks/max_stale",
        "/issuers/0/introspection/protocol",
        "/issuers/0/introspection/auth_method",
        "/issuers/0/introspection/cache",
        "/issuers/0/introspection/stale_if_error",
        "/dpop/algorithms",
        "/dpop/max_age",
        "/dpop/replay",
        "/peer_certificate/relays/0/header",
        "/peer_certificate/relays/0/format",
        "/peer_certificate/relays/0/trust_domains",
        "/binding",
        "/revocation",
        "/cors_preflight",
        "/danger_allow_plaintext",
        "/limits",
        "/log",
        "/facts",
    ] {
        short = without(&short, place);
    }
    let long = load_text(REFERENCE).map_err(|mistakes| mistakes.to_string()).unwrap();
    let short = load_text(&short.to_string()).map_err(|mistakes| mistakes.to_string()).unwrap();
    assert_eq!(format!("{:?}", short.settings.issuers), format!("{:?}", long.settings.issuers));
    let relay = |compiled: &Compiled| format!("{:?}", compiled.settings.policy.relay(RelayId(0)));
    assert_eq!(relay(&short), relay(&long));
    assert!(relay(&short).contains("x-forwarded-client-cert"));
    assert_eq!(short.settings.memory.entries, long.settings.memory.entries);
    assert_eq!(short.waiting.waiters, long.waiting.waiters);
    assert_eq!(format!("{:?}", short.settings.dpop), format!("{:?}", long.settings.dpop));
}

#[test]
fn the_claims_that_a_document_names_anywhere_are_kept() {
    let kept = Kept::named_in(
        [
            "/a",
            "/b/c",
            "x{/d}y",
            "spiffe://e/{/f~1g}/h",
            "/i~0j",
            "https://k/l",
            "m",
            "/with}brace",
            "spiffe://n/{/o}p}",
        ]
        .into_iter(),
    );
    for name in ["a", "b", "d", "f/g", "i~j", "with}brace", "o}p"] {
        assert!(kept.holds(name), "{name}");
    }
    for name in ["m", "A", "sub", "scope", "acr", "act"] {
        assert!(!kept.holds(name), "{name}");
    }
    let reference = load_text(REFERENCE).map_err(|mistakes| mistakes.to_string()).unwrap();
    let [issuer] = reference.settings.issuers.as_slice() else { panic!("one issuer") };
    for name in ["x_organization", "tenant", "realm_access", "amr", "tier", "clientHost", "iban"] {
        assert!(issuer.kept.holds(name), "{name}");
    }
}

#[test]
fn what_a_token_is_called_is_kept_where_key_and_endpoint_both_speak_of_it() {
    let introspection = || json!("introspection");
    let (everywhere, here) = ("/revocation", "/routes/2/revocation");
    for (document, kept) in [
        (reference(), false),
        (with(&reference(), everywhere, introspection()), true),
        (with(&reference(), here, introspection()), true),
    ] {
        let compiled = load_text(&document.to_string()).map_err(|mistakes| mistakes.to_string()).unwrap();
        assert_eq!(compiled.settings.issuers[0].kept.holds("jti"), kept, "{document}");
    }
}

#[test]
fn each_of_the_ten_mistakes_is_told_in_its_own_words() {
    let route = |extra: Value| {
        let mut route = json!({"name": "balance", "methods": ["GET"], "path": "/accounts/{account}/balance"});
        route.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        route
    };
    let any = || json!([{"scopes": ["accounts.read"]}]);
    let issuer = |place: &str, value: Value| with(&balance(any()), &format!("/issuers/0/{place}"), value);
    let by_spiffe = json!([{"certificate": {"spiffe_id": "spiffe://bank.example/ns/treasury/sa/*"}, "token": "none"}]);
    let introspection = json!({"cluster": "login", "path": "/i", "client_id": "api", "client_secret": "s3cr3t"});
    let by_certificate = json!({
        "scopes": ["accounts.read"],
        "allow": [{"client": "n26"}, {"certificate": {"sha256": "bb".repeat(32)}, "token": "none"}],
    });
    let table: [(Value, &[&str]); 10] = [
        (
            balance(json!([{"claims": {"/accounts": {"contains": {"account": null}}}}])),
            &[
                r#"routes[balance].allow[0].claims["/accounts"].contains: is a map; a reference needs quotes: "{account}""#,
            ],
        ),
        (
            issuer("roles", json!({"at": ["realm_access.roles"]})),
            &[r#"issuers[bank].roles.at[0]: "realm_access.roles" is not a JSON pointer; write /realm_access/roles"#],
        ),
        (
            issuer("introspection", introspection),
            &[
                "issuers[bank].introspection.client_secret: a secret written inline would stand in every config dump; write {env: NAME} \
               and give NAME to the VM (Envoy: vm_config.environment_variables, Istio: vmConfig.env)",
            ],
        ),
        (
            small(json!([route(json!({"scopes": ["accounts.read"]}))])),
            &[
                "routes[balance]: has no allow, and nobody may pass without one; write a list of rules, `allow: authenticated` (every \
               good token) or `allow: public` (everybody)",
            ],
        ),
        (
            small(json!([{"name": "all", "path": "/**", "allow": "authenticated"}, route(json!({"allow": any()}))])),
            &[
                "routes[balance]: can never match: routes[all] stands before it and takes all of it; move routes[balance] up",
            ],
        ),
        (
            balance(by_spiffe),
            &[
                "routes[balance].allow[0].certificate.spiffe_id: no certificate can prove bank.example; if the proxy checks that trust \
               domain's own CA, say so: peer_certificate: {chain: verified, trust_domains: [bank.example]}",
            ],
        ),
        (
            without(&issuer("jwks_uri", json!("https://login.bank.example/jwks")), "/issuers/0/jwks"),
            &[
                "issuers[bank].jwks_uri: is not a field here; write `jwks: {cluster: <Envoy cluster>, path: /jwks}`; a filter reaches \
                 only clusters",
                "issuers[bank]: can verify no token; write jwks, introspection or both",
            ],
        ),
        (
            with(&issuer("algorithms", json!(["RS256", "HS256"])), "/issuers/0/jwks/refresh", json!(300)),
            &[
                "issuers[bank].algorithms[1]: HS256 lets whoever can check a token also write one; write ES256, PS256 or EdDSA, or use \
                 introspection for such tokens",
                "issuers[bank].jwks.refresh: is the number 300; write a duration with its unit: 300s",
            ],
        ),
        (
            small(json!([route(by_certificate)])),
            &[
                "routes[balance].allow[1].token: the route asks every caller for scopes, which stands in the token; put scopes into the \
               rules that want it",
            ],
        ),
        (
            two_issuers(json!([
                route(json!({"issuer": ["a", "b"], "allow": [{"client": "n26"}]})),
                {"name": "rest", "path": "/rest", "allow": "authenticated"},
            ])),
            &[
                "routes[balance].allow[0].client: a and b may each mean somebody else by this; write issuer beside it, one or a list",
                "routes[rest]: takes tokens, and there are several issuers; say whose: issuer: a, or a list from a, b",
            ],
        ),
    ];
    for (number, (document, told)) in (1..).zip(table) {
        assert_eq!(mistakes(&document), told, "mistake {number}");
    }
    assert_eq!(mistakes(&balance(any())), Vec::<String>::new(), "the good twin");
}

#[test]
fn what_waits_for_its_issue_is_refused_with_not_yet() {
    let rule = "/routes/2/allow/0";
    let member = |place: &str, path: &str, value: Value| {
        (
            place.to_owned(),
            format!("{path}: is not yet enforced by this version, so it is refused rather than ignored; leave it out"),
            value,
        )
    };
    let in_rule = |name: &str, value: Value| {
        member(&format!("{rule}/{name}"), &format!("routes[balance].allow[0].{name}"), value)
    };
    let in_certificate = |name: &str, value: Value| {
        let path = format!("routes[balance].allow[2].certificate.{name}");
        member(&format!("/routes/2/allow/2/certificate/{name}"), &path, value)
    };
    let in_route =
        |name: &str, value: Value| member(&format!("/routes/2/{name}"), &format!("routes[balance].{name}"), value);
    let members = [
        in_rule("authorization_details", json!({})),
        in_rule("when", json!("true")),
        in_certificate("psd2_role", json!("PSP_AI")),
        in_route("ask", json!({})),
        in_route("danger_dry_run", json!(true)),
        member("/danger_dry_run", "danger_dry_run", json!(true)),
        member("/challenge/serve", "challenge.serve", json!(true)),
    ];
    let word = |place: &str, path: &str, word: &str, what: &str| {
        (place.to_owned(), format!("{path}: {word} is not yet {what}"), json!(word))
    };
    let none = "enforced by this version; write none, introspection, or leave it out";
    let words = [
        word("/revocation", "revocation", "status_list", none),
        word("/routes/2/revocation", "routes[balance].revocation", "status_list", none),
        word(
            "/issuers/0/profile",
            "issuers[bank].profile",
            "jwt_svid",
            "enforced by this version; write rfc9068 or legacy",
        ),
    ];
    for (place, told, value) in members.into_iter().chain(words) {
        assert_eq!(mistakes(&with(&reference(), &place, value)), [told], "{place}");
    }
}

/// Each row: where, the bad value, what is told, and the value that is good there; null where the good document has none.
fn each_is_refused_beside_its_good_twin<const ROWS: usize>(
    document: &Value,
    table: [(&str, Value, &str, Value); ROWS],
) {
    for (place, bad, told, good) in table {
        assert_eq!(mistakes(&with(document, place, bad.clone())), [told], "{place} {bad}");
        let good = if good.is_null() { document.clone() } else { with(document, place, good) };
        assert_eq!(mistakes(&good), Vec::<String>::new(), "{place} beside {bad}");
    }
}

#[test]
fn unknown_misplaced_and_doubled_members_are_refused_where_they_stand() {
    let table = [
        ("/isuers", "isuers: is not a field here; did you mean issuers?"),
        (
            "/issuers/0/jwks/cache",
            "issuers[bank].jwks.cache: is not a field here; it belongs in introspection of an issuer",
        ),
        (
            "/issuers/0/introspection_endpoint",
            "issuers[bank].introspection_endpoint: is not a field here; write `introspection: {cluster: <Envoy cluster>, path: /introspect, …}`; a filter reaches only clusters",
        ),
        ("/issuers/0/audience", "issuers[bank].audience: is not a field here; write audiences: [...]"),
        ("/routes/2/rules", "routes[balance].rules: is not a field here; write allow: [...]"),
        ("/routes/2/method", "routes[balance].method: is not a field here; write methods: [...]"),
        ("/routes/2/audience", "routes[balance].audience: is not a field here; write audiences: [...]"),
        ("/routes/2/allow/0/scope", "routes[balance].allow[0].scope: is not a field here; write scopes: [...]"),
        (
            "/routes/2/allow/0/clients",
            "routes[balance].allow[0].clients: is not a field here; write client, one or a list",
        ),
        (
            "/routes/2/allow/0/subject",
            "routes[balance].allow[0].subject: is not a field here; write claims: {/sub: ...}",
        ),
        (
            "/routes/2/allow/0/methods",
            "routes[balance].allow[0].methods: is not a field here; it belongs in a route: routes: [{...}]",
        ),
        (
            "/routes/2/allow/2/certificate/spiffe",
            "routes[balance].allow[2].certificate.spiffe: is not a field here; write spiffe_id",
        ),
        (
            "/routes/2/allow/0/claims/~1accounts/has",
            r#"routes[balance].allow[0].claims["/accounts"].has: is not a field here; there are contains, contains_all, present"#,
        ),
        (
            "/peer_certificate/trust_domain",
            "peer_certificate.trust_domain: is not a field here; did you mean trust_domains?",
        ),
        ("/forward/strip", "forward.strip: is not a field here; there are token, headers, filter_state"),
        ("/limits/token", "limits.token: is not a field here; did you mean tokens?"),
        ("/roles/exclude", "roles.exclude: is not a field here; there are includes, exclusive"),
    ];
    assert_eq!(mistakes(&reference()), Vec::<String>::new(), "the good twin");
    for (place, told) in table {
        assert_eq!(mistakes(&with(&reference(), place, json!("x"))), [told]);
    }
    for (once, twice) in [
        (r#""name": "bank","#, r#""name": "bank", "name": "bank","#),
        (r#""allow": "public""#, r#""allow": "authenticated", "allo\u0077": "public""#),
    ] {
        let told = mistakes_of(&REFERENCE.replacen(once, twice, 1));
        assert!(
            told.len() == 1
                && told[0].starts_with("it is not JSON: line ")
                && told[0].ends_with("stands twice in one map"),
            "{told:?}"
        );
    }
}

#[test]
fn empty_and_null_members_are_refused_where_they_stand() {
    let null = "is null; leave it out, or write a value";
    let list = "is an empty list; leave it out, or say what it is for";
    let map = "is empty; leave it out, or say what it is for";
    for (place, path, empty, what) in [
        ("/issuers/0/audiences", "issuers[bank].audiences", json!([]), list),
        ("/issuers/0/algorithms", "issuers[bank].algorithms", json!([]), list),
        ("/issuers/0/claims", "issuers[bank].claims", json!({}), map),
        ("/issuers/0/roles/only", "issuers[bank].roles.only", json!([]), list),
        ("/issuers/0/jwks/cluster", "issuers[bank].jwks.cluster", json!(""), "is empty"),
        ("/deny", "deny", json!([]), list),
        ("/deny/0", "deny[0]", json!({}), map),
        ("/challenge", "challenge", json!({}), map),
        ("/forward", "forward", json!({}), map),
        ("/limits", "limits", json!({}), map),
        ("/routes/2/methods", "routes[balance].methods", json!([]), list),
        ("/routes/2/host", "routes[balance].host", json!([]), list),
        ("/routes/2/scopes", "routes[balance].scopes", json!([]), list),
        ("/routes/2/allow", "routes[balance].allow", json!([]), list),
        ("/routes/2/allow/0", "routes[balance].allow[0]", json!({}), map),
        ("/routes/2/allow/0/claims", "routes[balance].allow[0].claims", json!({}), map),
        ("/routes/2/allow/0/role", "routes[balance].allow[0].role", json!([]), list),
        ("/routes/2/allow/0/not", "routes[balance].allow[0].not", json!([]), list),
        ("/routes/2/allow/2/certificate", "routes[balance].allow[2].certificate", json!({}), map),
        ("/routes/2/allow/2/certificate/san_dns", "routes[balance].allow[2].certificate.san_dns", json!([]), list),
    ] {
        assert!(mistakes(&with(&reference(), place, empty)).contains(&format!("{path}: {what}")), "{place}");
    }
    for (place, path) in [
        ("/issuers", "issuers"),
        ("/issuers/0/name", "issuers[https://login.bank.example].name"),
        ("/issuers/0/jwks/refresh", "issuers[bank].jwks.refresh"),
        ("/binding", "binding"),
        ("/deny", "deny"),
        ("/routes/2/allow", "routes[balance].allow"),
        ("/routes/2/scopes", "routes[balance].scopes"),
        ("/routes/2/allow/0/role", "routes[balance].allow[0].role"),
        ("/routes/2/allow/2/certificate/san_uri", "routes[balance].allow[2].certificate.san_uri"),
    ] {
        assert!(mistakes(&with(&reference(), place, json!(null))).contains(&format!("{path}: {null}")), "{place}");
    }
}

#[test]
fn types_words_and_ranges_are_strict() {
    each_is_refused_beside_its_good_twin(
        &reference(),
        [
            (
                "/issuers/0/issuer",
                json!("http://login.bank.example"),
                r#"issuers[bank].issuer: "http://login.bank.example" is not an issuer; write its https URL without query and fragment, just as it stands in iss"#,
                json!("https://login.bank.example:8443/realms/a"),
            ),
            (
                "/issuers/0/issuer",
                json!("https://login.bank.example?a"),
                r#"issuers[bank].issuer: "https://login.bank.example?a" is not an issuer; write its https URL without query and fragment, just as it stands in iss"#,
                json!("https://login.bank.example/"),
            ),
            (
                "/issuers/0/issuer",
                json!(format!("https://login.bank.example/{}", "x".repeat(230))),
                "issuers[bank].issuer: is longer than the 256 octets in which it can be told to services and logs",
                json!(format!("https://login.bank.example/{}", "x".repeat(229))),
            ),
            (
                "/issuers/0/issuer",
                json!(7),
                "issuers[bank].issuer: is the number 7; write text",
                json!("https://login.bank.example"),
            ),
            (
                "/issuers/0/audiences",
                json!("api"),
                "issuers[bank].audiences: is a string; write a list",
                json!(["api"]),
            ),
            (
                "/issuers/0/audiences",
                json!([1]),
                "issuers[bank].audiences[0]: is the number 1; write text",
                json!(["1"]),
            ),
            (
                "/issuers/0/algorithms",
                json!(["none"]),
                "issuers[bank].algorithms[0]: none is no signature; write ES256, PS256 or EdDSA",
                json!(["ES384"]),
            ),
            (
                "/issuers/0/algorithms",
                json!(["ES256", "HS512"]),
                "issuers[bank].algorithms[1]: HS512 lets whoever can check a token also write one; write ES256, PS256 or EdDSA, or use introspection for such tokens",
                json!(["ES256", "PS512"]),
            ),
            (
                "/issuers/0/algorithms",
                json!(["es256"]),
                r#"issuers[bank].algorithms[0]: "es256" is none of ES256, ES384, PS256, PS384, PS512, EdDSA, Ed25519, RS256, RS384, RS512"#,
                json!(["RS512"]),
            ),
            (
                "/issuers/0/profile",
                json!("jwt"),
                r#"issuers[bank].profile: "jwt" is none of rfc9068, legacy"#,
                json!("legacy"),
            ),
            ("/issuers/0/leeway", json!("3m"), "issuers[bank].leeway: 3m is out of range; write 0s to 2m", json!("2m")),
            (
                "/issuers/0/leeway",
                json!("-5s"),
                r#"issuers[bank].leeway: "-5s" is no duration; write a whole number and its unit: 500ms, 30s, 5m or 24h"#,
                json!("0s"),
            ),
            (
                "/issuers/0/leeway",
                json!(-5),
                "issuers[bank].leeway: is the number -5; write a duration with its unit: 5s",
                json!("5s"),
            ),
            (
                "/issuers/0/leeway",
                json!("5 s"),
                r#"issuers[bank].leeway: "5 s" is no duration; write a whole number and its unit: 500ms, 30s, 5m or 24h"#,
                json!("5s"),
            ),
            (
                "/issuers/0/max_token_lifetime",
                json!("0s"),
                "issuers[bank].max_token_lifetime: 0s is out of range; write 1s to 8784h",
                json!("15m"),
            ),
            (
                "/issuers/0/claims/scope_format",
                json!("list"),
                r#"issuers[bank].claims.scope_format: "list" is none of string, array"#,
                json!("array"),
            ),
            (
                "/issuers/0/claims/client_id",
                json!("azp"),
                r#"issuers[bank].claims.client_id: "azp" is not a JSON pointer; write /azp"#,
                json!("/azp"),
            ),
            (
                "/issuers/0/jwks",
                json!("https://login.bank.example/jwks"),
                "issuers[bank].jwks: is a string; write a map",
                json!({"cluster": "login", "path": "/jwks"}),
            ),
            (
                "/issuers/0/jwks/cluster",
                json!("https://login.bank.example/jwks"),
                "issuers[bank].jwks.cluster: is a URL; write the name of an Envoy cluster (Istio: outbound|443||login.bank.example), and the path beside it",
                json!("outbound|443||login.bank.example"),
            ),
            (
                "/issuers/0/jwks/path",
                json!("jwks"),
                r#"issuers[bank].jwks.path: "jwks" is not a path; it begins with a slash"#,
                json!("/jwks?all=true"),
            ),
            (
                "/issuers/0/jwks/path",
                json!("/jwks\r\nx: y"),
                "issuers[bank].jwks.path: holds something that can't stand in a header field; write visible ASCII without quotes and backslashes",
                json!("/jwks"),
            ),
            (
                "/issuers/0/jwks/authority",
                json!("login bank"),
                "issuers[bank].jwks.authority: holds a blank",
                json!("login.bank.example:8443"),
            ),
            (
                "/issuers/0/jwks/timeout",
                json!("49ms"),
                "issuers[bank].jwks.timeout: 49ms is out of range; write 50ms to 10s",
                json!("50ms"),
            ),
            (
                "/issuers/0/jwks/refresh",
                json!("59s"),
                "issuers[bank].jwks.refresh: 59s is out of range; write 1m to 1h",
                json!("1h"),
            ),
            (
                "/issuers/0/jwks/max_stale",
                json!("25h"),
                "issuers[bank].jwks.max_stale: 25h is out of range; write 1m to 24h",
                json!("24h"),
            ),
            (
                "/issuers/0/jwks/max_stale",
                json!("1m"),
                "issuers[bank].jwks.max_stale: is shorter than refresh; keys would be thrown away before they are fetched again",
                json!("5m"),
            ),
            (
                "/issuers/0/introspection/cache",
                json!("6m"),
                "issuers[bank].introspection.cache: 6m is out of range; write 0s to 5m",
                json!("0s"),
            ),
            (
                "/issuers/0/introspection/stale_if_error",
                json!("2m"),
                "issuers[bank].introspection.stale_if_error: 2m is out of range; write 0s to 1m",
                json!("1m"),
            ),
            (
                "/issuers/0/introspection/protocol",
                json!("rfc"),
                r#"issuers[bank].introspection.protocol: "rfc" is none of rfc7662, rfc9701, phantom, split, authlete"#,
                json!("rfc7662"),
            ),
            (
                "/issuers/0/introspection/danger_allow_no_exp",
                json!("yes"),
                "issuers[bank].introspection.danger_allow_no_exp: is a string; write true or false",
                json!(false),
            ),
            (
                "/peer_certificate/chain",
                json!("checked"),
                r#"peer_certificate.chain: "checked" is none of unverified, verified"#,
                json!("verified"),
            ),
            (
                "/roles/includes/treasurer",
                json!([1]),
                r#"roles.includes["treasurer"][0]: is the number 1; write text"#,
                json!("accountant"),
            ),
            (
                "/binding",
                json!("none"),
                r#"binding: "none" is none of certificate, dpop, either, both, when_bound"#,
                json!("certificate"),
            ),
            ("/binding", json!(true), "binding: is the boolean true; write text", json!("certificate")),
            ("/cors_preflight", json!("allow"), r#"cors_preflight: "allow" is none of refuse, pass"#, json!("refuse")),
            (
                "/challenge/realm",
                json!("ba\"nk"),
                "challenge.realm: holds something that can't stand in a header field; write visible ASCII without quotes and backslashes",
                json!("the bank"),
            ),
            (
                "/challenge/realm",
                json!("ba\r\nnk"),
                "challenge.realm: holds something that can't stand in a header field; write visible ASCII without quotes and backslashes",
                json!("bank"),
            ),
            ("/forward/token", json!("drop"), r#"forward.token: "drop" is none of keep, strip"#, json!("keep")),
            (
                "/forward/filter_state/who",
                json!("sub"),
                r#"forward.filter_state["who"]: "sub" is none of client_id, subject, issuer, roles, scopes, binding, route, spiffe_id, certificate_sha256, and no claim, which is written /sub"#,
                json!("subject"),
            ),
            (
                "/forward/filter_state/reason",
                json!("/x"),
                r#"forward.filter_state["reason"]: always stands in filter state; choose another name"#,
                json!(null),
            ),
            (
                "/forward/filter_state/x-y",
                json!("/x"),
                r#"forward.filter_state["x-y"]: "x-y" is not a name; write letters, digits and _"#,
                json!(null),
            ),
            (
                "/routes/2/name",
                json!("Balance"),
                r#"routes[2].name: "Balance" is not a name; write at most 64 lower-case letters, digits, '.', '_' and '-'"#,
                json!("balance-2.a_b"),
            ),
            (
                "/routes/2/methods",
                json!(["get"]),
                "routes[balance].methods[0]: methods are compared with case; write GET",
                json!(["GET"]),
            ),
            (
                "/routes/2/methods",
                json!(["*"]),
                r#"routes[balance].methods[0]: "*" is not a method; leave methods out for any"#,
                json!(["M-SEARCH"]),
            ),
            ("/routes/2/methods", json!("GET"), "routes[balance].methods: is a string; write a list", json!(["GET"])),
            (
                "/routes/2/scopes",
                json!("accounts.read"),
                "routes[balance].scopes: is a string; write a list",
                json!(["accounts.read"]),
            ),
            (
                "/routes/2/scopes",
                json!(["a b"]),
                r#"routes[balance].scopes[0]: "a b" holds a blank; write a list, one scope an item: [a, b]"#,
                json!(["a", "b"]),
            ),
            (
                "/routes/2/scopes",
                json!(["a\"b"]),
                "routes[balance].scopes[0]: holds something that can't stand in a header field; write visible ASCII without quotes and backslashes",
                json!(["a'b"]),
            ),
            (
                "/routes/3/allow",
                json!("everybody"),
                "routes[statements].allow: is no list of rules, and neither public nor authenticated; write [{...}], or one of these words",
                json!("authenticated"),
            ),
            (
                "/routes/3/allow",
                json!({"scopes": ["a"]}),
                "routes[statements].allow: is no list of rules, and neither public nor authenticated; write [{...}], or one of these words",
                json!([{"scopes": ["a"]}]),
            ),
            (
                "/routes/2/allow/0/role",
                json!(7),
                "routes[balance].allow[0].role: is the number 7; write text",
                json!("clerk"),
            ),
            (
                "/routes/2/allow/0/token",
                json!("optional"),
                r#"routes[balance].allow[0].token: "optional" is not a word here; write none, or leave it out"#,
                json!(null),
            ),
            (
                "/limits/tokens",
                json!(-1),
                "limits.tokens: is the number -1; write a whole number, 0 to 1000000",
                json!(0),
            ),
            (
                "/limits/tokens",
                json!(1.5),
                "limits.tokens: is the number 1.5; write a whole number, 0 to 1000000",
                json!(10000.0),
            ),
            ("/limits/proofs", json!(255), "limits.proofs: 255 is out of range; write 256 to 4194304", json!(256)),
            ("/dpop/max_age", json!("6m"), "dpop.max_age: 6m is out of range; write 1s to 5m", json!("5m")),
            (
                "/dpop/nonce",
                json!("optional"),
                r#"dpop.nonce: "optional" is none of none, required"#,
                json!("required"),
            ),
            (
                "/dpop/replay",
                json!("fleet"),
                r#"dpop.replay: "fleet" is none of process, worker, none"#,
                json!("worker"),
            ),
            (
                "/dpop/algorithms",
                json!(["HS256"]),
                "dpop.algorithms[0]: HS256 lets whoever can check a token also write one; write ES256, PS256 or EdDSA, or use introspection for such tokens",
                json!(["RS256"]),
            ),
            ("/limits/callouts", json!(3), "limits.callouts: 3 is out of range; write 4 to 4096", json!(4)),
            (
                "/limits/token_bytes",
                json!(16777216),
                "limits.token_bytes: is the number 16777216; write a size with its unit: 16MiB",
                json!("16MiB"),
            ),
            (
                "/limits/token_bytes",
                json!("16MB"),
                r#"limits.token_bytes: "16MB" is no size; write a whole number and its unit: 64KiB or 16MiB"#,
                json!("64KiB"),
            ),
            (
                "/limits/token_bytes",
                json!("1KiB"),
                "limits.token_bytes: 1KiB is out of range; write 64KiB to 512MiB",
                json!("512MiB"),
            ),
            ("/log", json!("none"), r#"log: "none" is none of refusals, all"#, json!("all")),
            ("/facts", json!("none"), r#"facts: "none" is none of refusals, all"#, json!("refusals")),
        ],
    );
}

#[test]
fn patterns_and_values_are_strict() {
    let host = "/routes/2/host/0";
    let path = "/routes/2/path";
    let claim = "/routes/2/allow/0/claims/~1x";
    let spiffe = "/routes/2/allow/2/certificate/spiffe_id";
    let dns = "/routes/2/allow/2/certificate/san_dns";
    let octet = "can't stand in it; write segments decoded, without query and fragment";
    let (quest, percent) = (format!("routes[balance].path: '?' {octet}"), format!("routes[balance].path: '%' {octet}"));
    let colon = format!("routes[balance].host[0]: ':' {octet}");
    each_is_refused_beside_its_good_twin(
        &reference(),
        [
            (
                path,
                json!("accounts/{account}"),
                "routes[balance].path: a path begins with a slash",
                json!("/accounts/{account}"),
            ),
            (
                path,
                json!("/accounts//{account}"),
                "routes[balance].path: has an empty piece",
                json!("/accounts/{account}/"),
            ),
            (path, json!("/a/{account}?x"), &quest, json!("/a/{account}")),
            (path, json!("/a%20b/{account}"), &percent, json!("/a b/{account}")),
            (
                path,
                json!("/**/{account}"),
                "routes[balance].path: ** stands for any number of pieces at the open end only (last in a path, first in a host)",
                json!("/{account}/**"),
            ),
            (
                path,
                json!("/v*/{account}"),
                r#"routes[balance].path: "v*": a wildcard is a whole piece; write * or {name} for all of it"#,
                json!("/*/{account}"),
            ),
            (
                path,
                json!("/{account}/{account}"),
                "routes[balance].path: {account} stands in it twice; one request would bind it to two things",
                json!("/{account}/{other}"),
            ),
            (
                path,
                json!("/{account}/{a-b}"),
                "routes[balance].path: {a-b} is not a name; write letters, digits and _",
                json!("/{account}/{a_b}"),
            ),
            (
                path,
                json!("/{account}/{tenant}"),
                "routes[balance]: {tenant} stands in host and in path; one request would bind it to two things",
                json!("/{account}/{other}"),
            ),
            (host, json!("{tenant}.bank.example:443"), &colon, json!("{tenant}.bank.example")),
            (
                host,
                json!("{tenant}.**.example"),
                "routes[balance].host[0]: ** stands for any number of pieces at the open end only (last in a path, first in a host)",
                json!("**.{tenant}.example"),
            ),
            (
                claim,
                json!("{account"),
                r#"routes[balance].allow[0].claims["/x"]: holds a brace without its other half; a reference is {name} or {/pointer}"#,
                json!("{account}"),
            ),
            (
                claim,
                json!("{account}{tenant}"),
                r#"routes[balance].allow[0].claims["/x"]: holds two references; one value takes one"#,
                json!("{account}-"),
            ),
            (
                claim,
                json!("{acount}"),
                r#"routes[balance].allow[0].claims["/x"]: {acount} is bound neither by every host nor by every path of the route; write it there"#,
                json!("{tenant}"),
            ),
            (
                claim,
                json!({"acount": null}),
                r#"routes[balance].allow[0].claims["/x"]: is a map; a reference needs quotes: "{acount}""#,
                json!("{account}"),
            ),
            (
                claim,
                json!({"contains": null}),
                r#"routes[balance].allow[0].claims["/x"].contains: is null; leave it out, or write a value"#,
                json!({"contains": "a"}),
            ),
            (
                claim,
                json!([{"account": null}]),
                r#"routes[balance].allow[0].claims["/x"][0]: is a map; a reference needs quotes: "{account}""#,
                json!(["{account}"]),
            ),
            (
                claim,
                json!({"contains": {"a": 1}}),
                r#"routes[balance].allow[0].claims["/x"].contains: is a map; write text, a number, true or false, or a list of them"#,
                json!({"contains": 1}),
            ),
            (
                claim,
                json!({"contains": "a", "present": true}),
                r#"routes[balance].allow[0].claims["/x"]: says two things of one claim; write two rules, or one of them"#,
                json!({"present": true}),
            ),
            (
                claim,
                json!({"present": false}),
                r#"routes[balance].allow[0].claims["/x"].present: is false; to refuse who has the claim write not: {claims: {…: {present: true}}}"#,
                json!({"present": true}),
            ),
            (
                claim,
                json!([["a"]]),
                r#"routes[balance].allow[0].claims["/x"][0]: is no value to compare with; write text, a number, true or false"#,
                json!(["a"]),
            ),
            (
                claim,
                json!(null),
                r#"routes[balance].allow[0].claims["/x"]: is no value to compare with; write text, a number, true or false"#,
                json!("null"),
            ),
            (
                claim,
                json!(1.5),
                r#"routes[balance].allow[0].claims["/x"]: is not a whole number below 2^53; write it as text"#,
                json!(1),
            ),
            (
                "/routes/2/allow/0/claims/x.y",
                json!("a"),
                r#"routes[balance].allow[0].claims["x.y"]: "x.y" is not a JSON pointer; write /x/y"#,
                json!(null),
            ),
            (
                spiffe,
                json!("bank.example/ns/a"),
                "routes[balance].allow[2].certificate.spiffe_id: is not a SPIFFE ID; write spiffe://trust.domain/path",
                json!("spiffe://bank.example/ns/a"),
            ),
            (
                spiffe,
                json!("spiffe://bank.example/ns/{acount}"),
                "routes[balance].allow[2].certificate.spiffe_id: {acount} is bound neither by every host nor by every path of the route; write it there",
                json!("spiffe://bank.example/ns/{account}"),
            ),
            (
                spiffe,
                json!("spiffe://bank.example/ns/{/a~2}"),
                "routes[balance].allow[2].certificate.spiffe_id: a ~ in a JSON pointer is followed by 0 or 1",
                json!("spiffe://bank.example/ns/{/a~1b}"),
            ),
            (
                dns,
                json!("{tenant}.example"),
                "routes[balance].allow[2].certificate.san_dns: {tenant} can't be bound here; write *",
                json!("*.example"),
            ),
            (
                "/routes/2/allow/2/certificate/sha256",
                json!("0380ED2F"),
                "routes[balance].allow[2].certificate.sha256: is not the SHA-256 of a certificate's DER; write 64 lower-case hexadecimal digits",
                json!("bb".repeat(32)),
            ),
            (
                "/deny/0",
                json!({"claims": {"/x": "{tenant}"}}),
                r#"deny[0].claims["/x"]: {tenant} is bound by no route here; deny rules stand above all of them"#,
                json!({"claims": {"/x": "{/sub}"}}),
            ),
            (
                "/peer_certificate/trust_domains",
                json!(["bank.example", "Bank.example"]),
                r#"peer_certificate.trust_domains[1]: "Bank.example" is not a trust domain; write it in lower case and without spiffe://"#,
                json!(["bank.example", "b"]),
            ),
        ],
    );
}

#[test]
fn what_contradicts_itself_or_names_nobody_is_refused() {
    let rules = "/routes/2/allow";
    let rule = "/routes/2/allow/0";
    let nobody =
        "routes[balance].allow[0]: names nobody; say who may pass: role, client, claims, certificate or scopes";
    let none = json!({"certificate": {"sha256": "bb".repeat(32)}, "token": "none"});
    let none_and = |member: &str, value: Value| with(&none, &format!("/{member}"), value);
    let beside = |what: &str| {
        format!(
            "routes[metrics].allow[0].token: none stands beside {what}, which stands in a token; take one of them out"
        )
    };
    let metrics = "/routes/1/allow/0";
    let none_or = |value: Value| none_and("not", value);
    let sha = || json!({"certificate": {"sha256": "aa".repeat(32)}});
    let said = "says token, which only a rule of allow can say; take it out";
    let (denied, narrowed) = (format!("deny[0]: {said}"), format!("routes[metrics].allow[0].not: {said}"));
    each_is_refused_beside_its_good_twin(
        &reference(),
        [
            (rule, json!({"not": {"role": "approver"}}), nobody, json!({"role": "clerk", "not": {"role": "approver"}})),
            (
                metrics,
                json!({"token": "none"}),
                "routes[metrics].allow[0]: names nobody; say who may pass: role, client, claims, certificate or scopes",
                json!({"scopes": ["x"]}),
            ),
            (
                "/routes/2/allow/0/not",
                json!({"not": {"role": "clerk"}}),
                "routes[balance].allow[0].not: names nobody; say who may pass: role, client, claims, certificate or scopes",
                json!([{"role": "payer"}, {"client": "n26"}]),
            ),
            (
                rules,
                json!([{"issuer": "bnak"}]),
                "routes[balance].allow[0].issuer: there is no issuer bnak; there are bank",
                json!([{"issuer": "bank"}]),
            ),
            (
                "/routes/2/issuer",
                json!("bnak"),
                "routes[balance].issuer: there is no issuer bnak; there are bank",
                json!("bank"),
            ),
            (
                "/routes/2/allow/0/role",
                json!("clrek"),
                "routes[balance].allow[0].role: no issuer may assert clrek, and no role includes it; write it into `only` or into roles.includes",
                json!("clerk"),
            ),
            (
                "/routes/2/allow/2/not/role",
                json!("aprover"),
                "routes[balance].allow[2].not.role: no issuer may assert aprover, and no role includes it; write it into `only` or into roles.includes",
                json!("approver"),
            ),
            (
                "/roles/includes/treasure",
                json!(["clerk"]),
                r#"roles.includes["treasure"]: no issuer may assert treasure, and no role includes it; write it into `only` or into roles.includes"#,
                json!(null),
            ),
            (
                "/roles/includes/clerk",
                json!(["treasurer"]),
                "roles.includes: accountant includes clerk includes treasurer includes accountant is a circle; take one of them out",
                json!("payer"),
            ),
            (
                "/routes/1/scopes",
                json!(["x"]),
                "routes[metrics].allow[0].token: the route asks every caller for scopes, which stands in the token; put scopes into the rules that want it",
                json!(null),
            ),
            (
                "/routes/1/audiences",
                json!(["x"]),
                "routes[metrics].allow[0].token: the route asks every caller for audiences, which stands in the token; give that rule a route of its own",
                json!(null),
            ),
            (
                "/routes/1/issuer",
                json!("bank"),
                "routes[metrics].issuer: no rule of this route looks at a token; take it out",
                json!(null),
            ),
            (metrics, none_and("role", json!("clerk")), &beside("role"), none.clone()),
            (metrics, none_and("client", json!("n26")), &beside("client"), none.clone()),
            (metrics, none_and("issuer", json!("bank")), &beside("issuer"), none.clone()),
            (metrics, none_and("claims", json!({"/a": 1})), &beside("claims"), none.clone()),
            (metrics, none_and("scopes", json!(["a"])), &beside("scopes"), none.clone()),
            (metrics, none_or(json!({"client": "n26"})), &beside("not"), none_or(sha())),
            (
                metrics,
                none_and("certificate", json!({"spiffe_id": "spiffe://bank.example/ns/{/ns}"})),
                &beside("a reference to a claim"),
                none_and("certificate", json!({"spiffe_id": "spiffe://bank.example/ns/x/sa/*"})),
            ),
            (metrics, none_or(with(&sha(), "/token", json!("none"))), &narrowed, none_or(sha())),
            ("/deny/0", with(&sha(), "/token", json!("none")), &denied, sha()),
            (
                "/routes/0/scopes",
                json!(["x"]),
                "routes[health].scopes: asks for a token, and the route is public; take one of them out",
                json!(null),
            ),
            (
                "/routes/0/binding",
                json!("certificate"),
                "routes[health].binding: asks for a token, and the route is public; take one of them out",
                json!(null),
            ),
            (
                "/routes/0/issuer",
                json!("bank"),
                "routes[health].issuer: asks for a token, and the route is public; take one of them out",
                json!(null),
            ),
            (
                "/routes/0/audiences",
                json!(["x"]),
                "routes[health].audiences: asks for a token, and the route is public; take one of them out",
                json!(null),
            ),
            (
                "/routes/0/revocation",
                json!("none"),
                "routes[health].revocation: asks for a token, and the route is public; take one of them out",
                json!(null),
            ),
            (
                "/routes/2/danger_forward_unverified_token",
                json!(true),
                "routes[balance].danger_forward_unverified_token: the route verifies tokens, so none goes on unverified; take it out",
                json!(false),
            ),
        ],
    );
}

#[test]
fn a_route_that_nobody_allows_or_that_everybody_reaches_by_every_method_is_refused() {
    let no_methods = without(&reference(), "/routes/0/methods");
    assert_eq!(
        mistakes(&no_methods),
        ["routes[health]: is public, and says no methods; write those that everybody may use: methods: [GET]"]
    );
    let no_name = without(&reference(), "/routes/2/name");
    assert_eq!(mistakes(&no_name), ["routes[2]: has no name"]);
    let twice = with(&reference(), "/routes/2/name", json!("health"));
    assert_eq!(mistakes(&twice), ["routes[health]: another route has this name too"]);
    let alike = with(&with(&reference(), "/routes/0/name", json!("a.b")), "/routes/2/name", json!("a_b"));
    assert_eq!(
        mistakes(&alike),
        ["routes[a_b]: a_b and a.b are both written a_b in metrics; choose a name that differs by more than a dot"]
    );
    let other = with(&with(&reference(), "/routes/0/name", json!("a.b")), "/routes/2/name", json!("a-b"));
    assert_eq!(mistakes(&other), Vec::<String>::new());
    assert_eq!(mistakes(&without(&reference(), "/routes")), ["has no routes"]);
    assert_eq!(
        mistakes(&with(&reference(), "/routes", json!([]))),
        ["routes: is an empty list; leave it out, or say what it is for"]
    );
}

#[test]
fn names_in_certificates_need_a_verified_chain_and_a_digest_needs_nothing() {
    let rule = |certificate: Value| balance(json!([{"certificate": certificate, "token": "none"}]));
    let verified = |document: &Value| {
        with(document, "/peer_certificate", json!({"chain": "verified", "trust_domains": ["bank.example"]}))
    };
    let unchecked = "names in certificates count only where the proxy verified the chain; if it does, say so: peer_certificate: {chain: verified}";
    for name in ["san_dns", "san_uri"] {
        let document = rule(json!({name: "a.example"}));
        assert_eq!(mistakes(&document), [format!("routes[balance].allow[0].certificate.{name}: {unchecked}")]);
        assert_eq!(warnings(&verified(&document)), Vec::<String>::new());
    }
    assert_eq!(warnings(&rule(json!({"sha256": "bb".repeat(32)}))), Vec::<String>::new());
    let other = verified(&rule(json!({"spiffe_id": ["spiffe://bank.example/a", "spiffe://shop.example/a"]})));
    assert_eq!(
        mistakes(&other),
        ["routes[balance].allow[0].certificate.spiffe_id: no certificate can prove shop.example; if the proxy \
        checks that trust domain's own CA, say so: peer_certificate: {chain: verified, trust_domains: [shop.example]}"]
    );
    let domains =
        with(&balance(json!([{"client": "a"}])), "/peer_certificate", json!({"trust_domains": ["bank.example"]}));
    assert_eq!(
        mistakes(&domains),
        ["peer_certificate.trust_domains: count only where the proxy verified the chain; if it does, write \
        chain: verified beside it"]
    );
    let denied = with(&balance(json!([{"client": "a"}])), "/deny", json!([{"certificate": {"san_dns": "a.example"}}]));
    assert_eq!(mistakes(&denied), [format!("deny[0].certificate.san_dns: {unchecked}")]);
}

#[test]
fn a_route_that_can_never_match_or_takes_what_was_left_over_is_refused() {
    let get =
        |name: &str, path: &str| json!({"name": name, "methods": ["GET"], "path": path, "allow": "authenticated"});
    let any = |name: &str, path: &str| json!({"name": name, "path": path, "allow": "authenticated"});
    let at = |host: &str, route: Value| with(&json!([route]), "/0/host", json!(host))[0].clone();
    let envoy = |name: &str, route: Value| with(&json!([route]), "/0/envoy_route", json!(name))[0].clone();
    let never = "routes[b]: can never match: routes[a] stands before it and takes all of it; move routes[b] up";
    let over = |path: &str| {
        format!("routes[b]: would take the methods that routes[a] leaves of {path}; say which: methods: [...]")
    };
    for (earlier, later, told) in [
        (any("a", "/x/**"), get("b", "/x/{y}"), never.to_owned()),
        (any("a", "/x/**"), any("b", "/x"), never.to_owned()),
        (any("a", "/x/*"), any("b", "/x/y/"), never.to_owned()),
        (get("a", "/x"), get("b", "/x"), never.to_owned()),
        (at("*.example", any("a", "/x")), at("api.example", any("b", "/x")), never.to_owned()),
        (at("**", any("a", "/x")), at("a.b.example", any("b", "/x")), never.to_owned()),
        (envoy("p", any("a", "/x/**")), envoy("p", any("b", "/x/y")), never.to_owned()),
        (get("a", "/x/y"), any("b", "/x/**"), over("/x/y")),
        (get("a", "/x/y"), any("b", "/x/y"), over("/x/y")),
        (at("api.example", get("a", "/x")), any("b", "/x"), over("/x")),
        (get("a", "/x"), at("api.example", any("b", "/x")), over("/x")),
    ] {
        assert_eq!(mistakes(&small(json!([earlier, later]))), [told], "{earlier} {later}");
    }
    for (earlier, later) in [
        (get("a", "/x/**"), json!({"name": "b", "methods": ["GET", "POST"], "path": "/x/y", "allow": "authenticated"})),
        (any("a", "/x/*"), any("b", "/x/**")),
        (any("a", "/x/{y}"), any("b", "/x/y/z")),
        (any("a", "/x/y"), any("b", "/x/Y")),
        (at("a.example", any("a", "/x")), any("b", "/x")),
        (at("*.example", any("a", "/x")), at("a.b.example", any("b", "/x"))),
        (any("a", "/x/**"), envoy("p", any("b", "/x/y"))),
        (envoy("p", any("a", "/x/**")), any("b", "/x/y")),
    ] {
        assert_eq!(mistakes(&small(json!([earlier, later]))), Vec::<String>::new(), "{earlier} {later}");
    }
    let third = small(json!([any("a", "/x/y"), get("c", "/x/z"), any("b", "/x/**")]));
    assert_eq!(
        mistakes(&third),
        ["routes[b]: would take the methods that routes[c] leaves of /x/z; say which: methods: [...]"]
    );
}

#[test]
fn with_several_issuers_everything_says_whose_it_is() {
    let route = |allow: Value| json!([{"name": "r", "issuer": ["a", "b"], "path": "/{x}", "allow": allow}]);
    let client =
        "routes[r].allow[0].client: a and b may each mean somebody else by this; write issuer beside it, one or a list";
    let claims =
        "routes[r].allow[0].claims: a and b may each mean somebody else by this; write issuer beside it, one or a list";
    let narrowed = "routes[r].allow[0].not.client: a and b may each mean somebody else by this; write issuer beside it, one or a list";
    for (bad, told, good) in [
        (json!([{"client": "n26"}]), client, json!([{"client": "n26", "issuer": "a"}])),
        (json!([{"claims": {"/x": "{x}"}}]), claims, json!([{"claims": {"/x": "{x}"}, "issuer": ["a", "b"]}])),
        (
            json!([{"scopes": ["s"], "not": {"client": "n26"}}]),
            narrowed,
            json!([{"scopes": ["s"], "not": {"client": "n26", "issuer": "b"}}]),
        ),
        (
            json!([{"scopes": ["s"], "not": {"client": "n26"}}]),
            narrowed,
            json!([{"issuer": "a", "not": {"client": "n26"}}]),
        ),
        (
            json!([{"issuer": "c"}]),
            "routes[r].allow[0].issuer: there is no issuer c; there are a, b",
            json!([{"issuer": "b"}]),
        ),
    ] {
        assert_eq!(mistakes(&two_issuers(route(bad))), [told]);
        assert_eq!(mistakes(&two_issuers(route(good))), Vec::<String>::new());
    }
    let only_a = json!([{"name": "r", "issuer": "a", "allow": [{"client": "n26", "issuer": "b"}]}]);
    assert_eq!(mistakes(&two_issuers(only_a)), ["routes[r].allow[0].issuer: the route does not take tokens of b"]);

    let introspection =
        json!({"cluster": "c", "path": "/i", "client_id": "api", "client_secret": {"env": "API_SECRET"}});
    let both = with(&two_issuers(route(json!("authenticated"))), "/issuers/0/introspection", introspection.clone());
    assert_eq!(mistakes(&both), Vec::<String>::new(), "one of them introspects");
    let both = with(&both, "/issuers/1/introspection", introspection.clone());
    assert_eq!(
        mistakes(&both),
        ["routes[r]: two of its issuers introspect; an opaque token does not tell whose it is, so name one of them"]
    );

    let asked = with(&two_issuers(route(json!("authenticated"))), "/issuers/0/introspection", introspection);
    let silent = "b has no introspection endpoint, so nobody can be asked about its tokens; write introspection at it, or \
                  revocation: none here";
    let everywhere = with(&asked, "/revocation", json!("introspection"));
    assert_eq!(mistakes(&everywhere), [format!("routes[r]: {silent}")]);
    let here = with(&asked, "/routes/0/revocation", json!("introspection"));
    assert_eq!(mistakes(&here), [format!("routes[r].revocation: {silent}")]);
    let own = with(&everywhere, "/routes/0/revocation", json!("none"));
    assert_eq!(mistakes(&own), Vec::<String>::new());
    let of_one = with(&here, "/routes/0/issuer", json!("a"));
    assert_eq!(mistakes(&of_one), Vec::<String>::new());
    let misspelt = with(&here, "/issuers/1/introspection", json!({"cluster": "c"}));
    let told = mistakes(&misspelt);
    assert!(told.iter().all(|mistake| mistake.starts_with("issuers[b].introspection: ")), "{told:?}");

    let roles = with(&two_issuers(route(json!([{"role": "clerk"}]))), "/issuers/0/roles", json!({"at": "/roles"}));
    assert_eq!(mistakes(&roles), Vec::<String>::new(), "one of them brings roles");
    let roles = with(&roles, "/issuers/1/roles", json!({"at": "/roles", "only": ["clerk"]}));
    assert_eq!(
        mistakes(&roles),
        ["issuers[a].roles: several issuers bring roles; say which ones this one may assert: only: [...]"]
    );
    assert_eq!(mistakes(&with(&roles, "/issuers/0/roles/only", json!("admin"))), Vec::<String>::new());

    let plain = two_issuers(route(json!("authenticated")));
    assert_eq!(
        mistakes(&with(&plain, "/issuers/1/issuer", json!("https://a.example"))),
        ["issuers[b]: https://a.example stands there twice"]
    );
    let named = with(&plain, "/issuers/1/name", json!("a"));
    assert!(
        mistakes(&named).contains(&"issuers[a]: another issuer is called a too".to_owned()),
        "{:?}",
        mistakes(&named)
    );
    let alike = with(&plain, "/issuers/1/name", json!("https___a_example"));
    let alike = without(&alike, "/issuers/0/name");
    let what = "issuers[https___a_example]: https___a_example and https://a.example are both written https___a_example in \
                metrics; choose a name that differs by more than a dot";
    assert!(mistakes(&alike).contains(&what.to_owned()), "{:?}", mistakes(&alike));
}

#[test]
fn what_needs_an_issuer_or_its_parts_says_which() {
    let none = without(&balance(json!([{"scopes": ["a"]}])), "/issuers");
    assert_eq!(
        mistakes(&none),
        ["routes[balance]: takes tokens, and there are no issuers; write issuers: [{issuer: https://…, …}]"]
    );
    assert_eq!(
        mistakes(&balance(json!([{"role": "clerk"}]))),
        [
            "routes[balance].allow[0].role: no issuer brings roles; say where they stand: issuers: [{roles: {at: [/roles]}, …}]"
        ]
    );
    let whom = without(&reference(), "/issuers/0/audiences");
    assert_eq!(
        mistakes(&whom),
        ["issuers[bank]: has no audiences; write whom its tokens are for, as it stands in their aud"]
    );
    let both = with(&reference(), "/issuers/0/danger_any_audience", json!(true));
    assert_eq!(mistakes(&both), ["issuers[bank].danger_any_audience: stands beside audiences; take one of them out"]);
    for (place, told) in [
        ("/issuers/0/issuer", "issuers[bank]: has no issuer"),
        ("/issuers/0/roles/at", "issuers[bank].roles: has no at"),
        ("/issuers/0/jwks/cluster", "issuers[bank].jwks: has no cluster"),
        ("/issuers/0/jwks/path", "issuers[bank].jwks: has no path"),
        ("/issuers/0/introspection/client_id", "issuers[bank].introspection: has no client_id"),
        ("/issuers/0/introspection/client_secret", "issuers[bank].introspection: has no client_secret"),
    ] {
        assert_eq!(mistakes(&without(&reference(), place)), [told]);
    }
}

#[test]
fn an_inline_key_set_is_text_and_stands_alone() {
    let key = r#"{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": "a"}"#;
    let inline = |jwks: Value| with(&balance(json!([{"client": "a"}])), "/issuers/0/jwks", jwks);
    assert_eq!(warnings(&inline(json!({"inline": format!(r#"{{"keys": [{key}]}}"#)}))), Vec::<String>::new());
    let map = json!({"inline": {"keys": [serde_json::from_str::<Value>(key).unwrap()]}});
    assert_eq!(
        mistakes(&inline(map)),
        ["issuers[bank].jwks.inline: is a map; write the JWK Set as a string (YAML 1.1 turns its members n \
        and y into booleans)"]
    );
    assert_eq!(
        mistakes(&inline(json!({"inline": r#"{"keys": []}"#}))),
        ["issuers[bank].jwks.inline: holds no key that could be used: it is empty"]
    );
    let beside = json!({"inline": format!(r#"{{"keys": [{key}]}}"#), "cluster": "login"});
    assert_eq!(
        mistakes(&inline(beside)),
        ["issuers[bank].jwks.cluster: stands beside inline, and such keys are never fetched; take one of \
        them out"]
    );
    let text = "xyz";
    assert!(mistakes(&inline(json!({"inline": text})))[0].starts_with("issuers[bank].jwks.inline: is not a JWK Set: "));
}

#[test]
fn a_changed_header_never_stands_beside_envoy_route() {
    let told = "can't stand beside envoy_route: a removed header makes Envoy choose the route again, after the decision; write keep, or \
                match by host and path";
    let added = "can't stand beside envoy_route: an added header makes Envoy choose the route again, after the decision; use \
                 filter_state, or match by host and path";
    let document = with(&reference(), "/routes/3/envoy_route", json!("statements"));
    assert_eq!(mistakes(&document), [format!("forward.token: {told}"), format!("forward.headers: {added}")]);
    let kept = without(&with(&document, "/forward/token", json!("keep")), "/forward/headers");
    assert_eq!(mistakes(&kept), Vec::<String>::new());
    let own = with(&kept, "/routes/2/forward", json!({"token": "strip"}));
    assert_eq!(mistakes(&own), [format!("routes[balance].forward.token: {told}")]);
}

#[test]
fn a_secret_comes_from_the_environment_and_stands_in_no_mistake() {
    let secret = |value: Value| mistakes(&with(&reference(), "/issuers/0/introspection/client_secret", value));
    let path = "issuers[bank].introspection.client_secret";
    let give = "give it (Envoy: vm_config.environment_variables, Istio: vmConfig.env)";
    assert_eq!(secret(json!({"env": "API_SECRET"})), Vec::<String>::new());
    for name in ["EMPTY", "ABSENT"] {
        assert_eq!(
            secret(json!({"env": name})),
            [format!("{path}: the VM has no variable {name}, or an empty one; {give}")]
        );
    }
    for (inline, told) in [
        (json!("hunter2-inline"), "a secret written inline would stand in every config dump; write {env: NAME}"),
        (json!(["hunter2-inline"]), "a secret written inline would stand in every config dump; write {env: NAME}"),
        (json!({"value": "hunter2-inline"}), "is not the name of a variable"),
    ] {
        let told_all = secret(inline);
        assert!(told_all[0].starts_with(&format!("{path}: {told}")), "{told_all:?}");
        assert!(!told_all.iter().any(|told| told.contains("hunter2")), "{told_all:?}");
    }
    let wrong = with(
        &with(&reference(), "/issuers/0/introspection/cache", json!(5)),
        "/issuers/0/introspection/path",
        json!("x"),
    );
    let told = mistakes(&wrong);
    assert_eq!(told.len(), 2);
    assert!(!told.iter().any(|told| told.contains(SECRET)), "{told:?}");
    let found = RefCell::new(Vec::new());
    let value = json::parse(REFERENCE.as_bytes(), Limits::DOCUMENT).unwrap();
    let document = Document::read(&Node { value: &value, path: String::new(), found: &found }, &environment);
    assert!(!format!("{document:?}").contains(SECRET));
}

#[test]
fn all_mistakes_are_told_at_once_and_none_that_another_one_causes() {
    let mut document = reference();
    for (place, bad) in [
        ("/issuers/0/algorithms", json!(["HS256"])),
        ("/issuers/0/jwks/refresh", json!(300)),
        ("/deny/0", json!({"clients": "x"})),
        ("/routes/0/path", json!("healthz")),
        ("/routes/2/path", json!("/accounts/{account")),
        ("/routes/3/name", json!("State Ments")),
        ("/log", json!("everything")),
    ] {
        document = with(&document, place, bad);
    }
    assert_eq!(
        mistakes(&document),
        [
            "issuers[bank].algorithms[0]: HS256 lets whoever can check a token also write one; write ES256, PS256 or EdDSA, or use \
         introspection for such tokens",
            "issuers[bank].jwks.refresh: is the number 300; write a duration with its unit: 300s",
            "deny[0].clients: is not a field here; write client, one or a list",
            "deny[0]: names nobody; say who may pass: role, client, claims, certificate or scopes",
            "routes[health].path: a path begins with a slash",
            "routes[balance].path: \"{account\": a wildcard is a whole piece; write * or {name} for all of it",
            "routes[3].name: \"State Ments\" is not a name; write at most 64 lower-case letters, digits, '.', '_' and '-'",
            "log: \"everything\" is none of refusals, all",
        ]
    );
    let shown = Mistakes(vec!["a: b".to_owned(), "c: d".to_owned()]).to_string();
    assert_eq!(shown, "a: b\nc: d");
}

#[test]
fn no_document_and_no_json_are_told_as_such() {
    let none = "there is none; give the plugin a configuration: issuers, and routes with who may pass";
    for nothing in ["", " \n", "{}", "null"] {
        assert_eq!(mistakes_of(nothing), [none], "{nothing:?}");
    }
    for (other, kind) in [("[]", "a list"), ("7", "the number 7"), (r#""x""#, "a string"), ("true", "the boolean true")]
    {
        assert_eq!(mistakes_of(other), [format!("is {kind}; write a map")]);
    }
    for broken in ["{", "routes: []", "{\"routes\": [],}", "{} {}", "\u{feff}{}"] {
        let told = mistakes_of(broken);
        assert!(told.len() == 1 && told[0].starts_with("it is not JSON: "), "{told:?}");
    }
    let long = "[".repeat(100_000);
    assert!(mistakes_of(&long)[0].starts_with("it is not JSON: "));
    let huge = " ".repeat(MAX_DOCUMENT + 1 - REFERENCE.len()) + REFERENCE;
    assert_eq!(mistakes_of(&huge), ["it is longer than 1 MiB"]);
    assert_eq!(mistakes_of(&huge[1..]), Vec::<String>::new());
    assert!(
        matches!(load(b"\xff", &environment), Err(Mistakes(told)) if told == ["it is not JSON: the text is not UTF-8"])
    );
}

#[test]
fn every_danger_is_said_in_one_line_each() {
    let no_aud = with(&without(&reference(), "/issuers/0/audiences"), "/issuers/0/danger_any_audience", json!(true));
    assert_eq!(warnings(&no_aud), ["issuers[bank].danger_any_audience: its tokens are taken whoever they are for"]);
    for (place, value, told) in [
        (
            "/issuers/0/introspection/danger_allow_no_exp",
            json!(true),
            "issuers[bank].introspection.danger_allow_no_exp: tokens without an end are taken",
        ),
        (
            "/peer_certificate/danger_unchecked_validity",
            json!(true),
            "peer_certificate.danger_unchecked_validity: certificates whose dates the proxy does not tell are taken, expired ones too",
        ),
        ("/danger_allow_plaintext", json!(true), "danger_allow_plaintext: takes tokens over a hop without TLS"),
        (
            "/routes/2/danger_allow_plaintext",
            json!(true),
            "routes[balance].danger_allow_plaintext: takes tokens over a hop without TLS",
        ),
        (
            "/routes/0/danger_forward_unverified_token",
            json!(true),
            "routes[health].danger_forward_unverified_token: the upstream gets tokens that nobody has verified",
        ),
        (
            "/binding",
            json!("when_bound"),
            "binding: when_bound admits tokens that are good in anybody's hands; those that are bound are still held to it",
        ),
        (
            "/dpop/danger_admit_when_full",
            json!(true),
            "dpop.danger_admit_when_full: proofs that find no place in the memory pass, and could be shown again",
        ),
        (
            "/routes/3/binding",
            json!("when_bound"),
            "routes[statements].binding: when_bound admits tokens that are good in anybody's hands; those that are bound are still held to it",
        ),
        (
            "/routes/1/allow/0/certificate/spiffe_id",
            json!("spiffe://bank.example/ns/monitoring/*"),
            "routes[metrics].allow[0].certificate.spiffe_id: Istio identities have one segment more: /ns/<namespace>/sa/<account>",
        ),
    ] {
        assert_eq!(warnings(&with(&reference(), place, value)), [told]);
    }
    for (place, value) in [
        ("/issuers/0/introspection/danger_allow_no_exp", json!(false)),
        ("/peer_certificate/danger_unchecked_validity", json!(false)),
        ("/routes/1/allow/0/certificate/spiffe_id", json!("spiffe://bank.example/ns/monitoring/**")),
        ("/routes/1/allow/0/certificate/spiffe_id", json!("spiffe://bank.example/ns/monitoring/sa/*")),
    ] {
        assert_eq!(warnings(&with(&reference(), place, value)), Vec::<String>::new(), "{place}");
    }
    let narrow = json!({"name": "one", "path": "/x/y", "allow": "authenticated"});
    let wide = json!({"name": "rest", "path": "/x/**", "allow": "authenticated"});
    assert_eq!(warnings(&small(json!([narrow, wide]))), ["routes[rest]: also takes what routes[one] leaves over"]);
}

#[test]
fn what_istio_makes_of_a_document_means_the_same() {
    // Istio sorts the members and writes every number as a double; serde_json sorts by itself.
    let sorted = reference().to_string();
    assert!(sorted.find("\"binding\"") < sorted.find("\"issuers\""), "the members are sorted");
    let doubles = sorted
        .replace("10000,", "10000.0,")
        .replace(":10000", ":10000.0")
        .replace("64,", "64.0,")
        .replace("1024}", "1024.0}");
    let doubles = doubles.replace("10000.0.0", "10000.0").replace("\"gold\",2,true", "\"gold\",2.0,true");
    assert!(["64.0", "1024.0", "10000.0", "2.0"].iter().all(|number| doubles.contains(number)), "{doubles}");
    let [envoy, istio] =
        [REFERENCE, &doubles].map(|text| load_text(text).map_err(|mistakes| mistakes.to_string()).unwrap());
    assert_eq!(format!("{:?}", istio.settings.issuers), format!("{:?}", envoy.settings.issuers));
    assert_eq!(format!("{:?}", istio.settings.effects), format!("{:?}", envoy.settings.effects));
    assert_eq!((istio.settings.memory.entries, istio.waiting.callouts, istio.waiting.waiters), (10_000, 64, 1024));
    assert_eq!((istio.warnings, istio.log_permits), (envoy.warnings, envoy.log_permits));
    let tier = |text: &str| balance(serde_json::from_str(&format!(r#"[{{"claims": {{"/tier": {text}}}}}]"#)).unwrap());
    let policy = |document: &Value| {
        format!("{:?}", load_text(&document.to_string()).map_err(|told| told.to_string()).unwrap().settings.policy)
    };
    assert_eq!(policy(&tier("2.0")), policy(&tier("2")));
    assert_ne!(policy(&tier("3.0")), policy(&tier("2")));
}

#[test]
fn keys_and_introspection_are_asked_for_as_their_standards_say() {
    let compiled = load_text(REFERENCE).map_err(|mistakes| mistakes.to_string()).unwrap();
    let [issuer] = compiled.settings.issuers.as_slice() else { panic!() };
    let Some(keys::Settings::Fetched { service, refresh, max_stale }) = &issuer.keys else { panic!() };
    let expected = Service {
        issuer: IssuerId(0),
        question: Question::KeySet,
        cluster: "login".into(),
        method: "GET",
        authority: "login.bank.example".into(),
        path: "/jwks".into(),
        headers: vec![("accept", "application/json".into())],
        timeout: Duration::from_secs(1),
    };
    assert!(**service == expected, "{service:?}");
    assert_eq!((*refresh, *max_stale), (Duration::from_secs(300), Duration::from_secs(3600)));
    let us = Authentication::ClientSecretBasic { client_id: "api".into(), client_secret: SECRET.into() };
    let expected = Service {
        question: Question::Introspection,
        method: "POST",
        path: "/token/introspection".into(),
        headers: vec![
            ("accept", "application/json".into()),
            ("authorization", us.authorization().unwrap()),
            ("content-type", "application/x-www-form-urlencoded".into()),
        ],
        ..expected
    };
    let introspection = issuer.introspection.as_ref().unwrap();
    assert_eq!(introspection.client, us);
    assert!(*introspection.service == expected, "{:?}", introspection.service);
    assert_eq!((introspection.cache, introspection.stale_if_error), (Duration::from_secs(30), Duration::ZERO));
}
