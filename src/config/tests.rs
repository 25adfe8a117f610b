use serde_json::{Value, json};

use super::*;

const SECRET: &str = "s3cr3t-of-the-vm";

fn environment(name: &str) -> Option<String> {
    match name {
        "API_SECRET" => Some(SECRET.to_owned()),
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
const REFERENCE: &str = r#"{
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
      "roles": {"at": ["/realm_access/roles", "/x_role"], "only": ["clerk", "accountant", "treasurer", "payer", "approver"]},
      "jwks": {
        "cluster": "login", "path": "/jwks", "authority": "login.bank.example", "timeout": "1s", "refresh": "5m", "max_stale": "1h"
      },
      "introspection": {
        "cluster": "login", "path": "/token/introspection", "protocol": "rfc7662", "auth_method": "client_secret_basic",
        "client_id": "api", "client_secret": {"env": "API_SECRET"}, "cache": "30s", "stale_if_error": "0s"
      }
    }
  ],
  "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
  "roles": {"includes": {"treasurer": ["accountant"], "accountant": ["clerk"]}},
  "deny": [
    {"client": "fintech-9"},
    {"certificate": {"sha256": "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd"}}
  ],
  "binding": "certificate",
  "revocation": "none",
  "cors_preflight": "refuse",
  "danger_allow_plaintext": false,
  "challenge": {"realm": "bank", "resource_metadata": "https://api.bank.example/.well-known/oauth-protected-resource"},
  "forward": {"token": "strip", "filter_state": {"organization": "/x_organization"}},
  "routes": [
    {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
    {
      "name": "metrics", "path": "/metrics",
      "allow": [{"certificate": {"spiffe_id": "spiffe://bank.example/ns/monitoring/sa/prometheus"}, "token": "none"}]
    },
    {
      "name": "balance", "host": ["{tenant}.bank.example"], "methods": ["GET", "HEAD"], "path": "/accounts/{account}/balance",
      "issuer": "bank", "audiences": ["https://api.bank.example/accounts"], "scopes": ["accounts.read"],
      "allow": [
        {"role": ["clerk", "payer"], "claims": {"/accounts": {"contains": "{account}"}}},
        {
          "client": ["n26", "revolut"],
          "issuer": "bank",
          "claims": {
            "/tenant": "{tenant}", "/tier": ["gold", 2, true], "/psd2/roles": {"contains": ["AISP", "PISP"]},
            "/amr": {"contains_all": ["pwd", "otp"]}, "/iban": {"present": true}
          }
        },
        {
          "certificate": {
            "spiffe_id": "spiffe://bank.example/ns/treasury/sa/*", "san_dns": "*.treasury.example", "san_uri": "urn:treasury",
            "sha256": "0380ed2f626650c840b2f263e6d2b29fae12ab39ae5db32b25ad27efad72e6fd"
          },
          "scopes": ["accounts.all"],
          "not": {"role": "approver"}
        }
      ]
    },
    {"name": "statements", "path": ["/statements/**", "/accounts/*/statements/**"], "allow": "authenticated"}
  ],
  "limits": {"tokens": 10000, "token_bytes": "16MiB", "callouts": 64, "waiting": 1024},
  "log": "refusals"
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
    assert!(!compiled.log_permits);
    assert_eq!(compiled.settings.memory.entries, 10_000);
    assert_eq!(compiled.settings.memory.bytes, 16 * 1024 * 1024);
    assert_eq!((compiled.waiting.callouts, compiled.waiting.waiters), (64, 1024));
    let [issuer] = compiled.settings.issuers.as_slice() else { panic!() };
    assert_eq!((issuer.identifier.as_str(), issuer.name.as_str()), ("https://login.bank.example", "bank"));
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
        "/binding",
        "/revocation",
        "/cors_preflight",
        "/danger_allow_plaintext",
        "/limits",
        "/log",
    ] {
        short = without(&short, place);
    }
    let long = load_text(REFERENCE).map_err(|mistakes| mistakes.to_string()).unwrap();
    let short = load_text(&short.to_string()).map_err(|mistakes| mistakes.to_string()).unwrap();
    assert_eq!(format!("{:?}", short.settings.issuers), format!("{:?}", long.settings.issuers));
    assert_eq!(short.settings.memory.entries, long.settings.memory.entries);
    assert_eq!(short.waiting.waiters, long.waiting.waiters);
}

#[test]
fn the_policies_of_this_issue_load_and_warn_only_of_when_bound() {
    let keycloak = json!([{
        "issuer": "https://login.data.example/realms/customers", "name": "keycloak", "audiences": ["market-data"],
        "algorithms": ["RS256"], "profile": "legacy", "claims": {"client_id": "/azp"},
        "jwks": {"cluster": "keycloak", "path": "/realms/customers/protocol/openid-connect/certs"},
    }]);
    let price = json!([{
        "name": "prices", "methods": ["GET"], "path": "/instruments/{isin}/prices", "allow": [{"scopes": ["prices.read"]}],
    }]);
    let one = json!({"issuers": keycloak, "routes": price});
    let seven = with(
        &small(json!([{
            "name": "reports", "methods": ["GET"], "path": "/departments/{department}/reports/**",
            "allow": [{"role": "report-viewer", "claims": {"/department": "{department}"}}, {"role": "auditor"}],
        }])),
        "/issuers/0/roles",
        json!({"at": ["/roles"]}),
    );
    let ten = with(
        &small(json!([{
            "name": "api", "path": "/api/**",
            "allow": [{
                "client": "web-bff", "certificate": {"spiffe_id": "spiffe://shop.example/ns/web/sa/bff"}, "scopes": ["shop"],
            }],
        }])),
        "/peer_certificate",
        json!({"chain": "verified", "trust_domains": ["shop.example"]}),
    );
    let eighteen = json!({
        "peer_certificate": {"chain": "verified", "trust_domains": ["bank.example"]},
        "deny": [{"certificate": {"spiffe_id": "spiffe://bank.example/ns/sandbox/**"}}],
        "routes": [
            {"name": "ledger-read", "methods": ["GET"], "path": "/ledger/**", "allow": [
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/*/sa/reporting"}, "token": "none"},
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/treasury/sa/*"}, "token": "none"},
            ]},
            {"name": "ledger-write", "methods": ["POST"], "path": "/ledger/{book}/entries", "allow": [
                {"certificate": {"spiffe_id": "spiffe://bank.example/ns/{book}/sa/booking"}, "token": "none"},
            ]},
        ],
    });
    let twenty_one = with(
        &small(json!([
            {"name": "ticks", "methods": ["GET"], "path": "/feeds/{exchange}/ticks", "scopes": ["feeds"], "allow": [
                {"claims": {"/entitlements": {"contains": "{exchange}"}}}, {"claims": {"/plan": "all-exchanges"}},
            ]},
            {"name": "subscribe", "methods": ["POST"], "path": "/feed.v1.Quotes/Subscribe", "scopes": ["feeds"],
             "allow": [{"claims": {"/plan": ["streaming", "all-exchanges"]}}]},
            {"name": "grpc-health", "methods": ["POST"], "path": "/grpc.health.v1.Health/*", "allow": "public"},
        ])),
        "/deny",
        json!([{"client": "leaky-trading"}]),
    );
    let twenty_two = json!({
        "peer_certificate": {"chain": "verified", "trust_domains": ["cluster.local"]},
        "routes": [
            {"name": "health", "methods": ["GET", "HEAD"], "path": ["/healthz", "/readyz"], "allow": "public"},
            {"name": "metadata", "methods": ["GET"], "path": "/.well-known/oauth-protected-resource/**", "allow": "public"},
            {"name": "metrics", "methods": ["GET"], "path": "/metrics", "allow": [
                {"certificate": {"spiffe_id": "spiffe://cluster.local/ns/monitoring/sa/prometheus"}, "token": "none"},
                {"certificate": {"sha256": "bb".repeat(32)}, "token": "none"},
            ]},
        ],
    });
    let twenty_four = small(json!([
        {"name": "quotes", "path": "/quotes/**", "binding": "when_bound", "scopes": ["quotes"], "allow": [
            {"client": ["n26", "revolut"], "claims": {"/cnf": {"present": true}}}, {"client": ["oldbank", "older-bank"]},
        ]},
        {"name": "orders", "path": "/orders/**", "allow": [{"scopes": ["orders"]}]},
    ]));
    let none: [&str; 0] = [];
    for (number, policy) in [(1, one), (7, seven), (10, ten), (18, eighteen), (21, twenty_one), (22, twenty_two)] {
        assert_eq!(warnings(&policy), none, "policy {number}");
    }
    assert_eq!(
        warnings(&twenty_four),
        [
            "routes[quotes].binding: when_bound admits tokens that are good in anybody's hands; those that are bound are still held to it"
        ]
    );
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
    let in_issuer =
        |name: &str, value: Value| member(&format!("/issuers/0/{name}"), &format!("issuers[bank].{name}"), value);
    let members = [
        member("/roles/exclusive", "roles.exclusive", json!([["payer", "approver"]])),
        in_rule("principal", json!("user")),
        in_rule("acr_values", json!(["gold"])),
        in_rule("max_age", json!("5m")),
        in_rule("authorization_details", json!({})),
        in_rule("when", json!("true")),
        in_certificate("subject", json!({"O": "Bank"})),
        in_certificate("san_email", json!("a@bank.example")),
        in_certificate("san_ip", json!("10.0.0.1")),
        in_certificate("psd2_role", json!("PSP_AI")),
        in_certificate("extended_key_usage", json!(["clientAuth"])),
        in_route("acr_values", json!(["gold", "silver"])),
        in_route("max_age", json!("10m")),
        in_route("danger_allow_path", json!(["semicolon"])),
        in_route("ask", json!({})),
        in_route("danger_dry_run", json!(true)),
        member("/danger_dry_run", "danger_dry_run", json!(true)),
        in_issuer("clients", json!([{"client": "n26"}])),
        in_issuer("client_token_when", json!({"/clientHost": {"present": true}})),
        in_issuer("discovery", json!({"cluster": "login"})),
        member(
            "/issuers/0/introspection/private_key",
            "issuers[bank].introspection.private_key",
            json!({"env": "API_JWK"}),
        ),
        member("/issuers/0/introspection/token", "issuers[bank].introspection.token", json!({"env": "API_TOKEN"})),
        member(
            "/peer_certificate/relays",
            "peer_certificate.relays",
            json!([{"certificate": {"san_dns": "edge.example"}}]),
        ),
        member("/dpop", "dpop", json!({"origins": ["https://api.bank.example"]})),
        member("/forward/headers", "forward.headers", json!({"x-client-id": "client_id"})),
        member("/challenge/serve", "challenge.serve", json!(true)),
        member("/limits/proofs", "limits.proofs", json!(65536)),
    ];
    let word = |place: &str, path: &str, word: &str, what: &str| {
        (
            place.to_owned(),
            format!("{path}: {} is not yet {what}", if path.ends_with("binding") { "DPoP" } else { word }),
            json!(word),
        )
    };
    let protocol = "supported by this version; write rfc7662, or leave it out";
    let method = "supported by this version; write client_secret_basic, or leave it out";
    let (none, refuse) = (
        "enforced by this version; write none, or leave it out",
        "enforced by this version; write refuse, or leave it out",
    );
    let dpop = "enforced by this version; write certificate or when_bound";
    let introspection = "/issuers/0/introspection";
    let words = [
        word("/cors_preflight", "cors_preflight", "pass", refuse),
        word("/routes/2/cors_preflight", "routes[balance].cors_preflight", "pass", refuse),
        word("/revocation", "revocation", "introspection", none),
        word("/routes/2/revocation", "routes[balance].revocation", "introspection", none),
        word("/revocation", "revocation", "status_list", none),
        word("/binding", "binding", "dpop", dpop),
        word("/binding", "binding", "either", dpop),
        word("/routes/2/binding", "routes[balance].binding", "both", dpop),
        word(
            "/issuers/0/profile",
            "issuers[bank].profile",
            "jwt_svid",
            "enforced by this version; write rfc9068 or legacy",
        ),
    ];
    let protocols = ["rfc9701", "phantom", "split", "authlete"]
        .map(|name| word(&format!("{introspection}/protocol"), "issuers[bank].introspection.protocol", name, protocol));
    let methods = ["client_secret_post", "private_key_jwt", "tls_client_auth", "bearer"].map(|name| {
        word(&format!("{introspection}/auth_method"), "issuers[bank].introspection.auth_method", name, method)
    });
    for (place, told, value) in members.into_iter().chain(words).chain(protocols).chain(methods) {
        assert_eq!(mistakes(&with(&reference(), &place, value)), [told], "{place}");
    }
}
