//! What is compared: an Envoy each, alike in all but the filters that it has.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use harness::{Algorithm, Cluster, Envoy, Options};
use serde_json::{Value, json};

use crate::authorizer::DIGEST;
use crate::stage::{ALGORITHMS, AUDIENCE, ISSUER, ORIGIN, SCOPE, Stage};

/// An Envoy by its filters. One that several variants share is started once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxy {
    /// No filter but the router.
    Bare,
    /// The same again: what it seems to cost is noise.
    BareAgain,
    /// A module that reads what no such filter can do without, the fields and the digest of the certificate, and lets everything
    /// pass: what proxy-wasm itself takes here.
    Floor,
    /// This filter with room for so many tokens.
    Holdfast { tokens: usize },
    /// The same, which tells nobody of those whom it lets through, as what it is compared with does not.
    HoldfastUntold,
    /// The same, which asks an authorization server about opaque tokens.
    HoldfastOpaque,
    /// The same, where tokens may be bound to keys too, and proofs are remembered by the process.
    HoldfastDpop,
    /// The same with so many routes, of which the one that is asked for comes last.
    HoldfastRoutes { routes: usize },
    /// Envoy's jwt_authn, which remembers so many tokens, or none. It knows nothing of bindings and routes.
    JwtAuthn { tokens: usize },
    /// The same before Envoy's RBAC by method, path and scope.
    JwtAuthnRbac,
    /// The same with a script between them that compares `cnf` with the certificate: all that Envoy offers of its own.
    Native { tokens: usize },
    /// The same, which tells filters and logs behind it the facts that this filter does.
    NativeTold,
    /// Envoy's ext_authz, which asks a service about every request.
    ExtAuthz,
}

/// What a proxy refuses; each holds what the ones before it do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Duty {
    Nothing,
    /// Expired and forged tokens.
    Token,
    /// Tokens without the scope, other methods and paths.
    Route,
    /// Tokens of others.
    Binding,
}

/// Tokens that this filter remembers unless it is told otherwise.
pub const DEFAULT_TOKENS: usize = 10_000;

/// For how many of them a proxy has room that is to remember few.
pub const ROOM: usize = 100;

impl Proxy {
    pub fn duty(self) -> Duty {
        match self {
            Self::Bare | Self::BareAgain | Self::Floor => Duty::Nothing,
            Self::JwtAuthn { .. } => Duty::Token,
            Self::JwtAuthnRbac => Duty::Route,
            Self::Holdfast { .. }
            | Self::HoldfastUntold
            | Self::HoldfastOpaque
            | Self::HoldfastDpop
            | Self::HoldfastRoutes { .. }
            | Self::Native { .. }
            | Self::NativeTold
            | Self::ExtAuthz => Duty::Binding,
        }
    }

    /// Whether it is this filter.
    pub fn is_own(self) -> bool {
        matches!(
            self,
            Self::Holdfast { .. }
                | Self::HoldfastUntold
                | Self::HoldfastOpaque
                | Self::HoldfastDpop
                | Self::HoldfastRoutes { .. }
        )
    }

    pub fn start(self, stage: &Stage, core: Option<usize>, concurrency: u32) -> Envoy {
        let mut options = Options::new(&Value::Null, stage.server.address());
        options.concurrency = concurrency;
        options.core = core;
        options.wasm_log = "warning";
        options.clusters = vec![
            Cluster::plain("login", stage.server.address()),
            Cluster::plain("authorizer", stage.authorizer.address),
        ];
        options.plugins.clear();
        options.routes = Some(json!([{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]));
        options.manager.insert("access_log".into(), json!([]));
        match self {
            Self::Bare | Self::BareAgain => {}
            Self::Floor => {
                plug_in(&mut options, &json!({}));
                options.code = Some(json!({"local": {"inline_bytes": floor()}}));
            }
            Self::Holdfast { tokens } => plug_in(&mut options, &document(stage, tokens)),
            Self::HoldfastUntold => {
                let mut document = document(stage, DEFAULT_TOKENS);
                document["facts"] = json!("refusals");
                plug_in(&mut options, &document);
            }
            Self::HoldfastOpaque => {
                plug_in(&mut options, &introspecting(stage));
                options.environment = vec![("API_SECRET".into(), stage.secret.clone())];
            }
            Self::HoldfastDpop => plug_in(&mut options, &proving(stage)),
            Self::HoldfastRoutes { routes } => plug_in(&mut options, &with_routes(stage, routes)),
            Self::JwtAuthn { tokens } => options.filters = vec![jwt_authn(stage, tokens, &[])],
            Self::JwtAuthnRbac => options.filters = vec![jwt_authn(stage, ROOM, &[SCOPES]), rbac()],
            Self::Native { tokens } => {
                options.filters = vec![jwt_authn(stage, tokens, &[SCOPES, THUMBPRINT]), lua(), rbac()]
            }
            Self::NativeTold => {
                let claims = [SCOPES, THUMBPRINT, ("x-client-id", "client_id"), ("x-subject", "sub")];
                options.filters = vec![jwt_authn(stage, ROOM, &claims), lua(), rbac(), set_filter_state()]
            }
            Self::ExtAuthz => options.filters = vec![ext_authz(stage)],
        }
        Envoy::start(stage.ca.clone(), options)
    }
}

fn plug_in(options: &mut Options, document: &Value) {
    let plugin = harness::Configuration { name: "holdfast".into(), document: document.to_string() };
    options.plugins = vec![plugin];
}

fn document(stage: &Stage, tokens: usize) -> Value {
    let mut document = json!({
        "issuers": [{
            "issuer": ISSUER, "name": "bank", "audiences": [AUDIENCE], "jwks": {"inline": stage.jwks()},
            "algorithms": ALGORITHMS.map(Algorithm::name)
        }],
        "routes": [
            {"name": "health", "methods": ["GET"], "path": "/healthz", "allow": "public"},
            balance("balance", "accounts")
        ]
    });
    if tokens != DEFAULT_TOKENS {
        document["limits"] = json!({"tokens": tokens, "token_bytes": "512MiB"});
    }
    document
}

fn balance(name: &str, collection: &str) -> Value {
    json!({"name": name, "methods": ["GET"], "path": format!("/{collection}/{{account}}/balance"), "allow": [{"scopes": [SCOPE]}]})
}

/// With place for all proofs that one key makes here in the time that they count.
fn proving(stage: &Stage) -> Value {
    let mut document = document(stage, DEFAULT_TOKENS);
    document["binding"] = json!("either");
    document["dpop"] = json!({"origins": [ORIGIN], "replay": "process"});
    document["limits"] = json!({"proofs": 4_194_304});
    document
}

fn introspecting(stage: &Stage) -> Value {
    let mut document = document(stage, DEFAULT_TOKENS);
    document["issuers"][0]["introspection"] = json!({
        "cluster": "login", "path": "/introspect", "client_id": "api", "client_secret": {"env": "API_SECRET"}, "cache": "5m"
    });
    document
}

fn with_routes(stage: &Stage, routes: usize) -> Value {
    let mut document = document(stage, DEFAULT_TOKENS);
    let others = (2..routes).map(|number| balance(&format!("balance-{number}"), &format!("collection-{number}")));
    let last = balance("balance", "accounts");
    document["routes"] = json!([document["routes"][0]]);
    document["routes"].as_array_mut().expect("routes").extend(others.chain([last]));
    document
}

const SCOPES: (&str, &str) = ("x-scope", "scope");
const THUMBPRINT: (&str, &str) = ("x-cnf", "cnf.x5t#S256");

/// Tells these claims to the filters behind it, by header fields.
fn jwt_authn(stage: &Stage, tokens: usize, claims: &[(&str, &str)]) -> Value {
    let mut provider = json!({
        "issuer": ISSUER, "audiences": [AUDIENCE], "local_jwks": {"inline_string": stage.jwks()}, "forward": true
    });
    let told = claims.iter().map(|(header, claim)| json!({"header_name": header, "claim_name": claim}));
    provider["claim_to_headers"] = told.collect();
    if tokens > 0 {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": tokens});
    }
    json!({"name": "jwt_authn", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"bank": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bank"}}]
    }})
}

/// Compares two strings; what stands in a token is made of the digest once for each certificate. `connection():ssl()` would tell
/// the same digest for ten microseconds more.
fn lua() -> Value {
    let code = r#"
local alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

local function base64url(hex)
  local bits = hex:gsub("%x", function(digit)
    local value, text = tonumber(digit, 16), ""
    for place = 3, 0, -1 do text = text .. (math.floor(value / 2 ^ place) % 2) end
    return text
  end)
  bits = bits .. string.rep("0", -#bits % 6)
  return (bits:gsub("%d%d%d%d%d%d", function(six)
    local place = tonumber(six, 2) + 1
    return alphabet:sub(place, place)
  end))
end

local thumbprints = setmetatable({}, {__index = function(known, digest)
  known[digest] = digest ~= "" and base64url(digest) or false
  return known[digest]
end})

function envoy_on_request(handle)
  local tls = handle:streamInfo():downstreamSslConnection()
  if not tls or handle:headers():get("x-cnf") ~= thumbprints[tls:sha256PeerCertificateDigest()] then
    handle:respond({[":status"] = "401"}, "")
  end
end
"#;
    json!({"name": "lua", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        "default_source_code": {"inline_string": code}
    }})
}

fn rbac() -> Value {
    let header = |name: &str, test: Value| json!({"header": {"name": name, "string_match": test}});
    let rules = json!([
        header(":method", json!({"exact": "GET"})),
        json!({"url_path": {"path": {"safe_regex": {"regex": "/accounts/[^/]+/balance"}}}}),
        header("x-scope", json!({"safe_regex": {"regex": format!("(.* )?{}( .*)?", SCOPE.replace('.', r"\."))}}))
    ]);
    json!({"name": "rbac", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
        "rules": {"action": "ALLOW", "policies": {
            "balance": {"permissions": [{"and_rules": {"rules": rules}}], "principals": [{"any": true}]}
        }}
    }})
}

/// Names and values as this filter tells them of a permit.
fn set_filter_state() -> Value {
    let facts = [
        ("decision", "permit"),
        ("reason", "granted"),
        ("route", "balance"),
        ("issuer", "bank"),
        ("client_id", "%REQ(x-client-id)%"),
        ("subject", "%REQ(x-subject)%"),
        ("binding", "certificate"),
    ];
    let told = facts.map(|(name, value)| {
        json!({
            "object_key": format!("holdfast.{name}"), "factory_key": "envoy.string",
            "format_string": {"text_format_source": {"inline_string": value}}
        })
    });
    json!({"name": "set_filter_state", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
        "on_request_headers": told
    }})
}

/// The octets of the module, in base64. Each buffer of the host is written over the one before; a request of which they can't be
/// had is not let go on.
fn floor() -> String {
    let module = wat::parse_str(
        r#"(module
          (import "env" "proxy_get_header_map_pairs" (func $pairs (param i32 i32 i32) (result i32)))
          (import "env" "proxy_get_property" (func $property (param i32 i32 i32 i32) (result i32)))
          (memory (export "memory") 2)
          (data (i32.const 16) "connection\00sha256_peer_certificate_digest")
          (func (export "proxy_abi_version_0_2_1"))
          (func (export "proxy_on_memory_allocate") (param i32) (result i32) (i32.const 65536))
          (func (export "proxy_on_vm_start") (param i32 i32) (result i32) (i32.const 1))
          (func (export "proxy_on_configure") (param i32 i32) (result i32) (i32.const 1))
          (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
            (i32.or
              (call $pairs (i32.const 0) (i32.const 0) (i32.const 4))
              (call $property (i32.const 16) (i32.const 41) (i32.const 0) (i32.const 4)))))"#,
    );
    STANDARD.encode(module.expect("a module"))
}

fn ext_authz(stage: &Stage) -> Value {
    let digest = json!({"key": DIGEST, "value": "%DOWNSTREAM_PEER_FINGERPRINT_256%"});
    json!({"name": "ext_authz", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz",
        "transport_api_version": "V3",
        "allowed_headers": {"patterns": [{"exact": "authorization"}]},
        "http_service": {
            "server_uri": {"uri": format!("http://{}", stage.authorizer.address), "cluster": "authorizer", "timeout": "5s"},
            "authorization_request": {"headers_to_add": [digest]}
        }
    }})
}
