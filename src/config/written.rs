//! The document as operators write it (`configuration.md` §2): every field, its default and its values.

use core::net::IpAddr;
use core::time::Duration;

use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, Engine as _};
#[cfg(feature = "schema")]
use schemars::JsonSchema;
#[cfg(feature = "schema")]
use std::collections::BTreeMap;
use std::rc::Rc;

use crate::binding::Requirement;
use crate::binding::htu::{NotAnOrigin, Origin};
use crate::binding::nonce;
use crate::binding::replay::Scope;
use crate::client::{Assertion, Authentication};
use crate::discovery as metadata;
use crate::effect::{Fact, TokenForward};
use crate::facts::peer::CertificateDigest;
use crate::facts::relay::Format;
use crate::jose::algorithm::Algorithm;
use crate::jose::json::{Pointer, Value};
use crate::jose::jwk::{self, JwkSet, Skipped};
use crate::jose::signing::SigningKey;
use crate::policy::certificate::{self, CertificateTest};
use crate::policy::operand::{Operand, Reference};
use crate::policy::path::Oddities;
use crate::policy::pattern::{DnsPattern, HostPattern, PathPattern, SpiffePattern};
use crate::policy::principal::Principal;
use crate::policy::route::Revocation;
use crate::policy::rule::ClaimTest;
use crate::policy::step_up::StepUp;
use crate::token::introspection::Protocol;
use crate::token::{Profile, ScopeFormat};

use super::read::{Map, Node};
#[cfg(feature = "schema")]
use super::schema::{Entries, Excepting, OneOrMore, Refusing, Word, shape};

/// Where a variable of the VM's environment is looked up.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The policy of one plugin: who may do what with which token.
#[derive(Debug, Default)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields, title = "Holdfast"))]
pub struct Document {
    /// Authorization servers whose tokens count; needed as soon as one route wants a token.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<Issuer>>"))]
    pub issuers: Vec<Issuer>,
    /// What the TLS of this proxy says about the caller.
    #[cfg_attr(feature = "schema", schemars(with = "Option<PeerCertificate>"))]
    pub peer_certificate: PeerCertificate,
    /// What is asked of DPoP proofs. Required where `binding` is dpop, either or both.
    pub dpop: Option<Dpop>,
    /// How roles relate to each other.
    #[cfg_attr(feature = "schema", schemars(with = "Option<RoleRelations>"))]
    pub roles: RoleRelations,
    /// Rules that refuse first, on every route that is not public.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<Refusing>>"))]
    pub deny: Vec<Rule>,
    #[cfg_attr(feature = "schema", schemars(flatten))]
    pub defaults: Defaults,
    /// The first that matches decides; a request that matches none gets 403.
    pub routes: Vec<Route>,
    /// How much is held at a time, for each worker thread of Envoy.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Limits>"))]
    pub limits: Limits,
    /// Which decisions are logged, a line each.
    #[cfg_attr(feature = "schema", schemars(rename = "log", with = "Option<Word<Logged>>", extend("default" = "refusals")))]
    pub log_permits: bool,
    /// Which requests tell who they are, and what became of them, in the filter state. What `forward.filter_state` names is told
    /// of permits always.
    #[cfg_attr(feature = "schema", schemars(rename = "facts", with = "Option<Word<Told>>", extend("default" = "all")))]
    pub tells_permits: bool,
}

/// An authorization server.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Issuer {
    /// Where it stands, for mistakes found later.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub at: String,
    /// Its https URL, octet by octet as it stands in `iss`.
    #[cfg_attr(feature = "schema", schemars(with = "shape::Identifier"))]
    pub issuer: String,
    /// What routes, rules, logs and metrics call it; the issuer itself unless it has one.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Name>"))]
    pub name: String,
    /// Whom its tokens are for; one of them must stand in `aud`. Required, unless `danger_any_audience` stands instead.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<String>>"))]
    pub audiences: Vec<String>,
    /// Takes tokens for anybody, from a server that writes no `aud`. Stands instead of `audiences`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>", extend("default" = false)))]
    pub danger_any_audience: bool,
    /// The signature algorithms that it uses; a key without `alg` serves the first that fits it.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<Vec<Word<Algorithms>>>", extend("default" = ["ES256", "PS256", "EdDSA"]))
    )]
    pub algorithms: Vec<Algorithm>,
    /// How its JWTs are told to be access tokens: `rfc9068` by `typ: at+jwt` and all its claims, `legacy` by `typ: JWT` or none
    /// (Keycloak, Entra ID).
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Profiles>>", extend("default" = "rfc9068")))]
    pub profile: Profile,
    /// How far its clock may differ from ours: 0s to 2m, whole seconds.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "30s")))]
    pub leeway: Duration,
    /// The most that may lie between `iat` and `exp`: 1s to 8784h, whole seconds.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "24h")))]
    pub max_token_lifetime: Duration,
    /// Where it writes the client and the scopes, and how.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Claims>"))]
    pub claims: Claims,
    /// When no user stands behind a token, all of these hold. By default: no `sub`, or `sub` is the client's id.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Entries<Pointer, shape::Claim>>"))]
    pub client_token_when: Vec<(Pointer, ClaimTest)>,
    /// Where it writes roles. Without it nobody has any.
    pub roles: Option<IssuerRoles>,
    /// For tokens without `cnf`: the certificate that their client must present instead. The first entry for a client counts.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<Client>>"))]
    pub clients: Vec<Client>,
    /// Every reference in `clients` and `client_token_when`, and where it stands.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub references: Vec<(String, Reference)>,
    /// Has the server say itself at which paths its keys and its introspection are.
    pub discovery: Option<Discovery>,
    /// The keys that verify JWTs. Without it every token goes to introspection.
    pub jwks: Option<Jwks>,
    /// The endpoint that is asked about opaque tokens, and about JWTs where `revocation` says so.
    pub introspection: Option<Introspection>,
}

/// Where this issuer writes what everybody needs.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Claims {
    /// The claim with the client's id: `/azp` for Keycloak.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "/client_id")))]
    pub client_id: Option<Pointer>,
    /// The claim with the scopes: `/scp` for Entra ID.
    #[cfg_attr(feature = "schema", schemars(extend("default" = "/scope")))]
    pub scope: Option<Pointer>,
    /// Scopes in one text with blanks between them, or in a list of texts.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<ScopeFormats>>", extend("default" = "string")))]
    pub scope_format: ScopeFormat,
}

/// The certificate of a client whose tokens are not bound.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Client {
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub at: String,
    /// The client's id. Without it the entry is for all others, and stands last.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Plain>"))]
    pub client: Option<String>,
    /// What its certificate must say.
    #[cfg_attr(feature = "schema", schemars(with = "shape::Certificate"))]
    pub certificate: CertificateTest,
}

/// Where an issuer writes roles, and which it may assert.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct IssuerRoles {
    /// Claims that hold a role or a list of roles; what they hold is put together.
    #[cfg_attr(feature = "schema", schemars(with = "OneOrMore<Pointer>"))]
    pub at: Vec<Pointer>,
    /// The roles that this issuer may assert; others are not seen. Any by default; required once two issuers bring roles.
    #[cfg_attr(feature = "schema", schemars(with = "Option<OneOrMore<String>>"))]
    pub only: Option<Vec<String>>,
}

/// Where an authorization server tells of itself. What is asked through which cluster, and by which name, stands here all the same.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Discovery {
    /// An Envoy cluster, whose TLS must verify the server.
    #[cfg_attr(feature = "schema", schemars(with = "shape::Cluster"))]
    pub cluster: String,
    /// Whose document: that of RFC 8414 or that of OpenID Connect. Where the server has both, they must agree.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<Word<MetadataDocuments>>", extend("default" = "oauth-authorization-server"))
    )]
    pub document: metadata::Document,
    /// What is written into `:authority`; the issuer's host by default.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Authority>"))]
    pub authority: Option<String>,
    /// How long an answer may take: 50ms to 10s.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "1s")))]
    pub timeout: Duration,
}

/// The keys of an issuer: fetched through an Envoy cluster, or written out.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(untagged, deny_unknown_fields))]
pub enum Jwks {
    Fetched {
        #[cfg_attr(feature = "schema", schemars(flatten))]
        endpoint: Endpoint,
        /// How often the keys are fetched: 1m to 1h, whole seconds. An unknown `kid` asks at once.
        #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "5m")))]
        refresh: Duration,
        /// How long fetched keys serve while the server is away: `refresh` to 24h, whole seconds.
        #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "1h")))]
        max_stale: Duration,
    },
    Inline {
        /// A JWK Set as a string (YAML 1.1 turns its members n and y into booleans), public keys only.
        #[cfg_attr(feature = "schema", schemars(rename = "inline", with = "String"))]
        set: JwkSet,
        #[cfg_attr(feature = "schema", schemars(skip))]
        skipped: Vec<Skipped>,
    },
}

/// An endpoint behind an Envoy cluster.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Endpoint {
    /// An Envoy cluster (Istio: `outbound|443||login.bank.example`), whose TLS must verify the server.
    #[cfg_attr(feature = "schema", schemars(with = "shape::Cluster"))]
    pub cluster: String,
    /// The path of the endpoint, with a query where it has one. Required, unless the issuer has `discovery`, which tells it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::RequestPath>"))]
    pub path: String,
    /// What is written into `:authority`; the issuer's host by default.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Authority>"))]
    pub authority: Option<String>,
    /// How long an answer may take: 50ms to 10s.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "1s")))]
    pub timeout: Duration,
}

/// An introspection endpoint, and our own credentials there.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Introspection {
    #[cfg_attr(feature = "schema", schemars(flatten))]
    pub endpoint: Endpoint,
    /// What is spoken there.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Protocols>>", extend("default" = "rfc7662")))]
    pub protocol: Protocol,
    #[cfg_attr(feature = "schema", schemars(flatten, with = "shape::Authentication"))]
    pub client: Authentication,
    /// How long an answer is remembered, never past `exp`: 0s (ask every time) to 5m, whole seconds.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "30s")))]
    pub cache: Duration,
    /// How much longer it serves while the server does not answer, never past `exp`: 0s to 1m, whole seconds.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "0s")))]
    pub stale_if_error: Duration,
    /// Takes an answer without `exp` for 5 s instead of refusing it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>", extend("default" = false)))]
    pub danger_allow_no_exp: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    ClientSecretBasic,
    ClientSecretPost,
    PrivateKeyJwt,
    TlsClientAuth,
    Bearer,
}

/// What the TLS of this proxy says about the caller.
#[derive(Debug, Default)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct PeerCertificate {
    /// Something in it could not be read, so that nothing is missed in it.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub is_unreadable: bool,
    /// Whether the proxy verifies the chain of the client's certificate. Names in certificates count only where it does.
    #[cfg_attr(
        feature = "schema",
        schemars(rename = "chain", with = "Option<Word<Chains>>", extend("default" = "unverified"))
    )]
    pub chain_verified: bool,
    /// SPIFFE trust domains whose own authority the proxy verifies chains with; SPIFFE IDs count only in these.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::TrustDomain>>"))]
    pub trust_domains: Vec<String>,
    /// The DNS names that certificates on its connections may prove, as in `san_dns`; any if this is left out.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Dns>>"))]
    pub dns_names: Vec<DnsPattern>,
    /// Takes a certificate of which the proxy tells the digest alone, so that its dates are unknown (Envoy before 1.39).
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>", extend("default" = false)))]
    pub danger_unchecked_validity: bool,
    /// Proxies before this one whose header tells their clients' certificates. Nobody else's is read.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<Relay>>"))]
    pub relays: Vec<Relay>,
}

/// A proxy that ends its clients' TLS and tells their certificates in a header. Its own never counts as a client's.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Relay {
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub at: String,
    /// What its own certificate must say, on the connection to this proxy.
    #[cfg_attr(feature = "schema", schemars(with = "shape::Certificate"))]
    pub certificate: CertificateTest,
    /// The header in which it tells its client's. By default `x-forwarded-client-cert`, with `rfc9440` `client-cert`; `pem` has
    /// no default.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::RelayHeader>"))]
    pub header: String,
    /// How it writes it: as Envoy does, as RFC 9440 says, or PEM in one line (nginx, Apache).
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Formats>>", extend("default" = "xfcc")))]
    pub format: Format,
    /// Whether it verifies the chain of its client's certificate. Names in that count only where it does.
    #[cfg_attr(
        feature = "schema",
        schemars(rename = "chain", with = "Option<Word<Chains>>", extend("default" = "unverified"))
    )]
    pub chain_verified: bool,
    /// SPIFFE trust domains whose own authority it verifies chains with; SPIFFE IDs that it tells count only in these.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::TrustDomain>>", extend("minItems" = 0)))]
    pub trust_domains: Vec<String>,
    /// The DNS names that certificates which it tells may prove, as in `san_dns`; any if this is left out.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Dns>>"))]
    pub dns_names: Vec<DnsPattern>,
    /// Every reference in its certificate, and where it stands.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub references: Vec<(String, Reference)>,
}

/// What is asked of DPoP proofs (RFC 9449).
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Dpop {
    /// Something in it could not be read, so that nothing is missed in it.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub is_unreadable: bool,
    /// What clients call us: `htu` is one of these and the path of the request. `Host` is never asked.
    #[cfg_attr(feature = "schema", schemars(with = "Vec<shape::HttpsOrigin>"))]
    pub origins: Vec<Origin>,
    /// The signature algorithms of proofs, announced as `algs`.
    #[cfg_attr(
        feature = "schema",
        schemars(with = "Option<Vec<Word<Algorithms>>>", extend("default" = ["ES256", "EdDSA", "PS256"]))
    )]
    pub algorithms: Vec<Algorithm>,
    /// How old a proof may be by its `iat`: 1s to 5m, whole seconds; and 10 s into the future. A nonce tells its age instead.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Time>", extend("default" = "1m")))]
    pub max_age: Duration,
    /// Whether every proof must hold a nonce that this filter issued in the last 5 minutes.
    #[cfg_attr(
        feature = "schema",
        schemars(rename = "nonce", with = "Option<Word<NonceModes>>", extend("default" = "none"))
    )]
    pub nonce_required: bool,
    /// Variables of the VM's environment, each with 32 random octets or more in base64. The first issues, all are accepted.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Secret>>"))]
    pub nonce_keys: Vec<nonce::Key>,
    /// Who remembers proofs together, so that each passes once: all workers of the Envoy process, each worker by itself, or
    /// nobody (another hop does).
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<ReplayScopes>>", extend("default" = "process")))]
    pub replay: Scope,
    /// Lets a proof pass that finds no place in the memory, instead of answering 503.
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>", extend("default" = false)))]
    pub danger_admit_when_full: bool,
}

/// How roles relate to each other.
#[derive(Debug, Default)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct RoleRelations {
    /// A role, and those that whoever holds it has as well; no circles.
    #[cfg_attr(feature = "schema", schemars(with = "Option<BTreeMap<String, OneOrMore<String>>>"))]
    pub includes: Vec<(String, Vec<String>)>,
    /// Lists of roles of which nobody may hold two, included ones too; whoever does gets 403.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Several>>"))]
    pub exclusive: Vec<Vec<String>>,
}

/// What a route uses unless it has its own; its own replaces the whole field.
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "schema", derive(JsonSchema))]
pub struct Defaults {
    /// What a token must be bound to. `when_bound` admits tokens without `cnf` too; one that has a `cnf` is held to it always.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Bindings>>", extend("default" = "certificate")))]
    pub binding: Option<Requirement>,
    /// Whether JWTs are asked about too, at the introspection endpoint of their issuer; both answers must agree.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Revocations>>", extend("default" = "none")))]
    pub revocation: Option<Revocation>,
    /// `pass` lets true preflights of CORS through without a token, to be answered behind this filter.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Preflights>>", extend("default" = "refuse")))]
    pub cors_preflight: Option<bool>,
    /// Takes tokens over a hop without TLS.
    #[cfg_attr(feature = "schema", schemars(extend("default" = false)))]
    pub danger_allow_plaintext: Option<bool>,
    /// What `WWW-Authenticate` says.
    pub challenge: Option<Challenge>,
    /// What the service behind this filter is told.
    pub forward: Option<Forward>,
}

/// What `WWW-Authenticate` says.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Challenge {
    /// The realm.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Field>", extend("default" = "holdfast")))]
    pub realm: Option<String>,
    /// The https URL of the protected resource's metadata (RFC 9728).
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::MetadataUrl>"))]
    pub resource_metadata: Option<String>,
}

/// What the service behind this filter is told.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Forward {
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub at: String,
    /// Whether a verified token goes on.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<TokenForwards>>", extend("default" = "keep")))]
    pub token: TokenForward,
    /// Header fields by name, and the fact or the claim (by its JSON pointer) in each. Callers' own copies are removed on every
    /// route.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Entries<shape::HeaderName, shape::Told>>"))]
    pub headers: Vec<(String, Fact)>,
    /// Filter state by the end of its name, `wasm.holdfast.<name>`, and the fact or the claim (by its JSON pointer) in each.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Entries<shape::FactName, shape::Told>>"))]
    pub filter_state: Vec<(String, Fact)>,
}

/// Which requests, and who may send them.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Route {
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub at: String,
    /// Name, host, methods and path could be read, so that more can be said of them.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub is_readable: bool,
    /// Its own name, in logs and metrics.
    #[cfg_attr(feature = "schema", schemars(with = "shape::Name"))]
    pub name: String,
    /// Hosts, any by default. A piece between dots is text, `*` or `{name}` for one, or `**` (first) for any number.
    #[cfg_attr(feature = "schema", schemars(rename = "host", with = "Option<OneOrMore<shape::Host>>"))]
    pub hosts: Vec<HostPattern>,
    /// Methods, any by default; no method implies another. Required with `allow: public`.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Method>>"))]
    pub methods: Vec<String>,
    /// Paths, any by default. A piece between slashes is text (decoded), `*` or `{name}` for one, or `**` (last) for any number.
    #[cfg_attr(feature = "schema", schemars(rename = "path", with = "Option<OneOrMore<shape::Path>>"))]
    pub paths: Vec<PathPattern>,
    /// The paths as written, for mistakes.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub path_texts: Vec<String>,
    /// The metadata string `holdfast.policy` of the Envoy route or, if it has none, the Envoy route's name; any by default.
    #[cfg_attr(feature = "schema", schemars(rename = "envoy_route", with = "Option<OneOrMore<String>>"))]
    pub envoy_routes: Vec<String>,
    /// Odd paths that this route takes; a path with one of these matches no other route.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<Word<OddPaths>>>"))]
    pub danger_allow_path: Oddities,
    /// Who may pass: `public` (nobody is asked), `authenticated` (any good, bound token), or rules of which one is enough.
    #[cfg_attr(feature = "schema", schemars(with = "Allow"))]
    pub allow: Option<Allow>,
    /// Whose tokens are taken, by the name of the issuer; required once there are several.
    #[cfg_attr(feature = "schema", schemars(rename = "issuer", with = "Option<OneOrMore<String>>"))]
    pub issuers: Vec<String>,
    /// Whom tokens must be for on this route, instead of the issuer's audiences.
    pub audiences: Option<Vec<String>>,
    /// Scopes that a token must have, ALL of them, in addition to a rule's own.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Token>>"))]
    pub scopes: Vec<String>,
    #[cfg_attr(feature = "schema", schemars(flatten, with = "shape::StepUp"))]
    pub step_up: StepUp,
    #[cfg_attr(feature = "schema", schemars(flatten))]
    pub own: Defaults,
    /// Keeps `Authorization` and `DPoP` on a route that reads no token: what goes on is not verified.
    #[cfg_attr(feature = "schema", schemars(with = "Option<bool>", extend("default" = false)))]
    pub danger_forward_unverified_token: bool,
}

/// Who may pass.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(rename_all = "snake_case"))]
pub enum Allow {
    Public,
    Authenticated,
    #[cfg_attr(feature = "schema", schemars(untagged))]
    Rules(Vec<Rule>),
}

/// Conditions, all of which must hold. A list means one of its values, but for scopes, which means all.
#[derive(Debug, Default)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(deny_unknown_fields))]
pub struct Rule {
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub at: String,
    /// A role that the caller holds, one of these.
    #[cfg_attr(feature = "schema", schemars(rename = "role", with = "Option<OneOrMore<shape::Plain>>"))]
    pub roles: Vec<String>,
    /// The client's id, one of these.
    #[cfg_attr(feature = "schema", schemars(rename = "client", with = "Option<OneOrMore<shape::Plain>>"))]
    pub clients: Vec<String>,
    /// Whose token it is, by the name of the issuer, one of these.
    #[cfg_attr(feature = "schema", schemars(rename = "issuer", with = "Option<OneOrMore<String>>"))]
    pub issuers: Vec<String>,
    /// Whether a user stands behind the token, or the client alone.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Word<Principals>>"))]
    pub principal: Option<Principal>,
    /// Claims by JSON pointer, and what each must say; all of them.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Entries<Pointer, shape::Claim>>"))]
    pub claims: Vec<(Pointer, ClaimTest)>,
    /// What the caller's certificate must say; all of it.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Certificate>"))]
    pub certificate: Option<CertificateTest>,
    /// Scopes that the token must have, ALL of them.
    #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<shape::Token>>"))]
    pub scopes: Vec<String>,
    #[cfg_attr(feature = "schema", schemars(flatten, with = "shape::StepUp"))]
    pub step_up: StepUp,
    /// Asks for no token: the certificate speaks.
    #[cfg_attr(feature = "schema", schemars(rename = "token", with = "Option<Word<TokenRules>>"))]
    pub without_token: bool,
    /// Nor a caller who meets this rule, or one of a list.
    #[cfg_attr(feature = "schema", schemars(with = "Option<OneOrMore<Excepting>>"))]
    pub not: Vec<Rule>,
    /// Every reference in it, and where it stands.
    #[cfg_attr(feature = "schema", schemars(skip))]
    pub references: Vec<(String, Reference)>,
}

/// How much is held at a time, for each worker thread of Envoy.
#[derive(Debug)]
#[cfg_attr(feature = "schema", derive(JsonSchema), schemars(default, deny_unknown_fields))]
pub struct Limits {
    /// Verified tokens that are remembered; a quarter in addition for those that the authorization server called bad.
    #[cfg_attr(feature = "schema", schemars(range(max = MAX_TOKENS)))]
    pub tokens: usize,
    /// The memory that they take: 64KiB to 512MiB.
    #[cfg_attr(feature = "schema", schemars(with = "Option<shape::Size>", extend("default" = "16MiB")))]
    pub token_bytes: usize,
    /// Introspections under way for one issuer.
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_CALLOUTS, max = MAX_CALLOUTS)))]
    pub callouts: usize,
    /// Requests that wait for an answer.
    #[cfg_attr(feature = "schema", schemars(range(min = 1, max = MAX_WAITING)))]
    pub waiting: usize,
    /// DPoP proofs that are remembered, 24 octets each; for the whole process where `dpop.replay` is process.
    #[cfg_attr(feature = "schema", schemars(range(min = MIN_PROOFS, max = MAX_PROOFS)))]
    pub proofs: usize,
}

const MAX_TOKENS: usize = 1_000_000;
const MIN_CALLOUTS: usize = 4;
const MAX_CALLOUTS: usize = 4096;
const MAX_WAITING: usize = 65_536;
/// One slot.
const MIN_PROOFS: usize = 256;
const MAX_PROOFS: usize = 4 * 1024 * 1024;

impl Default for Limits {
    fn default() -> Self {
        Self { tokens: 10_000, token_bytes: 16 * 1024 * 1024, callouts: 64, waiting: 1024, proofs: 65_536 }
    }
}

/// What a field says in words, and what each means.
pub trait Vocabulary {
    type Meaning: Clone + 'static;
    const WORDS: &'static [(&'static str, Self::Meaning)];
}

macro_rules! vocabulary {
    ($($name:ident: $meaning:ty = { $($word:literal => $means:expr),+ $(,)? })+) => {
        $(
            pub struct $name;

            impl Vocabulary for $name {
                type Meaning = $meaning;
                const WORDS: &'static [(&'static str, $meaning)] = &[$(($word, $means)),+];
            }
        )+
    };
}

vocabulary! {
    Algorithms: Algorithm = {
        "ES256" => Algorithm::Es256,
        "ES384" => Algorithm::Es384,
        "PS256" => Algorithm::Ps256,
        "PS384" => Algorithm::Ps384,
        "PS512" => Algorithm::Ps512,
        "EdDSA" => Algorithm::EdDsa,
        "Ed25519" => Algorithm::EdDsa,
        "RS256" => Algorithm::Rs256,
        "RS384" => Algorithm::Rs384,
        "RS512" => Algorithm::Rs512,
    }
    AuthMethods: AuthMethod = {
        "client_secret_basic" => AuthMethod::ClientSecretBasic,
        "client_secret_post" => AuthMethod::ClientSecretPost,
        "private_key_jwt" => AuthMethod::PrivateKeyJwt,
        "tls_client_auth" => AuthMethod::TlsClientAuth,
        "bearer" => AuthMethod::Bearer,
    }
    Bindings: Requirement = {
        "certificate" => Requirement::Certificate,
        "dpop" => Requirement::Dpop,
        "either" => Requirement::Either,
        "both" => Requirement::Both,
        "when_bound" => Requirement::WhenBound,
    }
    Chains: bool = { "unverified" => false, "verified" => true }
    Facts: Fact = {
        "client_id" => Fact::ClientId,
        "subject" => Fact::Subject,
        "issuer" => Fact::Issuer,
        "roles" => Fact::Roles,
        "scopes" => Fact::Scopes,
        "binding" => Fact::Binding,
        "route" => Fact::Route,
        "spiffe_id" => Fact::SpiffeId,
        "certificate_sha256" => Fact::CertificateSha256,
    }
    Formats: Format = { "xfcc" => Format::Xfcc, "rfc9440" => Format::ClientCert, "pem" => Format::Pem }
    KeyUsages: bool = { "clientAuth" => true }
    Logged: bool = { "refusals" => false, "all" => true }
    Told: bool = { "refusals" => false, "all" => true }
    MetadataDocuments: metadata::Document = {
        "oauth-authorization-server" => metadata::Document::OauthAuthorizationServer,
        "openid-configuration" => metadata::Document::OpenidConfiguration,
    }
    NonceModes: bool = { "none" => false, "required" => true }
    OddPaths: Oddities = {
        "encoded_slash" => Oddities { encoded_slash: true, ..NO_ODDITY },
        "empty_segment" => Oddities { empty_segment: true, ..NO_ODDITY },
        "semicolon" => Oddities { semicolon: true, ..NO_ODDITY },
    }
    Preflights: bool = { "refuse" => false, "pass" => true }
    Principals: Principal = { "user" => Principal::User, "client" => Principal::Client }
    Profiles: Profile = { "rfc9068" => Profile::Rfc9068, "legacy" => Profile::Legacy }
    Protocols: Protocol = {
        "rfc7662" => Protocol::Rfc7662,
        "rfc9701" => Protocol::Rfc9701,
        "phantom" => Protocol::Phantom,
        "split" => Protocol::Split,
        "authlete" => Protocol::Authlete,
    }
    ReplayScopes: Scope = { "process" => Scope::Process, "worker" => Scope::Worker, "none" => Scope::None }
    Revocations: Revocation = { "none" => Revocation::None, "introspection" => Revocation::Introspection }
    ScopeFormats: ScopeFormat = { "string" => ScopeFormat::String, "array" => ScopeFormat::Array }
    TokenForwards: TokenForward = { "keep" => TokenForward::Keep, "strip" => TokenForward::Strip }
    TokenRules: bool = { "none" => true }
}

const NO_ODDITY: Oddities = Oddities { encoded_slash: false, empty_segment: false, semicolon: false, not_text: false };

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const ZERO: Duration = Duration::ZERO;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

impl Document {
    pub fn read(root: &Node<'_>, environment: Environment<'_>) -> Self {
        let Some(map) = root.map() else { return Self::default() };
        let mut document = Self::default();
        if let Some(issuers) = map.get("issuers") {
            let issuers = issuers.named_list(|value| name_of(value).or_else(|| text_of(value, "issuer")));
            document.issuers = issuers.iter().filter_map(|node| Issuer::read(node, environment)).collect();
        }
        if let Some(node) = map.get("peer_certificate") {
            document.peer_certificate = PeerCertificate::read(&node);
        }
        document.dpop = map.get("dpop").map(|node| Dpop::read(&node, environment));
        map.not_yet(&["danger_dry_run"]);
        if let Some(node) = map.get("roles") {
            document.roles = RoleRelations::read(&node);
        }
        if let Some(node) = map.get("deny") {
            document.deny = node.list().iter().map(Rule::read_refusing).collect();
        }
        document.defaults = Defaults::read(&map);
        if let Some(node) = map.require("routes") {
            let routes = node.named_list(name_of);
            document.routes = routes.iter().filter_map(Route::read).collect();
        }
        if let Some(node) = map.get("limits") {
            document.limits = Limits::read(&node);
        }
        let log = map.get("log").and_then(|node| node.word(Logged::WORDS));
        document.log_permits = log.unwrap_or(false);
        let facts = map.get("facts").and_then(|node| node.word(Told::WORDS));
        document.tells_permits = facts.unwrap_or(true);
        map.finish();
        document
    }
}

fn text_of<'a>(value: &'a Value, member: &str) -> Option<&'a str> {
    value.as_object()?.get(member)?.as_str()
}

/// What an item is told by, if it is a good name.
fn name_of(value: &Value) -> Option<&str> {
    text_of(value, "name").filter(|text| is_name(text))
}

fn is_name(text: &str) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    (1..=64).contains(&text.len()) && text.bytes().all(sound)
}

/// Lower-case letters, digits, `.`, `_` and `-`.
fn name(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if is_name(text) {
        return Some(text.to_owned());
    }
    node.wrong(format_args!("{text:?} is not a name; write at most 64 lower-case letters, digits, '.', '_' and '-'"));
    None
}

fn owned(texts: Vec<&str>) -> Vec<String> {
    texts.into_iter().map(str::to_owned).collect()
}

fn texts_of(map: &Map<'_>, name: &'static str) -> Vec<String> {
    map.get(name).map(|node| owned(node.texts())).unwrap_or_default()
}

/// Names that are compared as they stand: a reference in braces would be the name of nobody.
fn names_of(map: &Map<'_>, name: &'static str) -> Vec<String> {
    let nodes = map.get(name).map(|node| node.one_or_more()).unwrap_or_default();
    nodes.iter().filter_map(own_name).collect()
}

fn own_name(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if text.contains(['{', '}']) {
        node.wrong("holds a brace; references stand in claims and certificate only");
    }
    Some(text.to_owned())
}

/// A duration of whole seconds with its default, between two others: the clock that it is compared with has no fractions.
fn duration(map: &Map<'_>, name: &'static str, default: Duration, least: Duration, most: Duration) -> Duration {
    let Some(node) = map.get(name) else { return default };
    let read = node.duration(least, most);
    if read.is_some_and(|read| read.subsec_nanos() > 0) {
        node.wrong("has a fraction of a second; write whole seconds");
    }
    read.unwrap_or(default)
}

fn flag(map: &Map<'_>, name: &'static str) -> bool {
    map.get(name).and_then(|node| node.flag()).unwrap_or(false)
}

impl Issuer {
    fn read(node: &Node<'_>, environment: Environment<'_>) -> Option<Self> {
        let map = node.map()?;
        let issuer = map.require("issuer").and_then(|node| read_identifier(&node));
        let own_name = map.get("name").and_then(|node| name(&node));
        let audiences = map.get("audiences").map(|node| owned(node.list().iter().filter_map(Node::text).collect()));
        let danger_any_audience = flag(&map, "danger_any_audience");
        let mut references = Vec::new();
        match (&audiences, danger_any_audience) {
            (None, false) => {
                map.node().wrong("has no audiences; write whom its tokens are for, as it stands in their aud")
            }
            (Some(_), true) => map.wrong_at("danger_any_audience", "stands beside audiences; take one of them out"),
            _ => {}
        }
        let (identifier, discovers) = (issuer.clone().unwrap_or_default(), map.has("discovery"));
        let read = Self {
            at: node.path.clone(),
            name: own_name.or_else(|| issuer.clone()).unwrap_or_default(),
            issuer: issuer.unwrap_or_default(),
            audiences: audiences.unwrap_or_default(),
            danger_any_audience,
            algorithms: read_algorithms(&map, [Algorithm::Es256, Algorithm::Ps256, Algorithm::EdDsa]),
            profile: read_profile(&map),
            leeway: duration(&map, "leeway", seconds(30), ZERO, seconds(2 * MINUTE)),
            max_token_lifetime: duration(
                &map,
                "max_token_lifetime",
                seconds(24 * HOUR),
                seconds(1),
                seconds(366 * 24 * HOUR),
            ),
            claims: Claims::read(&map),
            client_token_when: map
                .get("client_token_when")
                .map(|node| read_claims(&node, &mut references))
                .unwrap_or_default(),
            clients: map.get("clients").map(|node| read_clients(&node, &mut references)).unwrap_or_default(),
            references,
            roles: map.get("roles").and_then(|node| IssuerRoles::read(&node)),
            discovery: map.get("discovery").and_then(|node| Discovery::read(&node)),
            jwks: map.get("jwks").and_then(|node| Jwks::read(&node, discovers)),
            introspection: map
                .get("introspection")
                .and_then(|node| Introspection::read(&node, (&identifier, discovers), environment)),
        };
        read.keys_fit(&map);
        map.finish();
        if !map.has("jwks") && !map.has("introspection") {
            map.node().wrong("can verify no token; write jwks, introspection or both");
        }
        if let (Some(_), Some(Jwks::Inline { .. }), false) = (&read.discovery, &read.jwks, map.has("introspection")) {
            map.wrong_at("discovery", "tells nothing that is asked for beside jwks.inline; take it out");
        }
        Some(read)
    }

    /// A set that was written out and fits no algorithm would refuse every token.
    fn keys_fit(&self, map: &Map<'_>) {
        let Some(Jwks::Inline { set, .. }) = &self.jwks else { return };
        let fits = |key: &Rc<jwk::Jwk>| self.algorithms.iter().any(|algorithm| key.fits(*algorithm));
        if !self.algorithms.is_empty() && !set.keys.iter().any(fits) {
            map.wrong_at("algorithms", "name none that a key of jwks.inline is for; name the keys' own, or other keys");
        }
    }
}

fn read_identifier(node: &Node<'_>) -> Option<String> {
    let text = node.token_text()?;
    let host = text.strip_prefix("https://").map(|rest| rest.split('/').next().unwrap_or_default());
    if host.is_none_or(|host| host.is_empty() || host.contains('@')) || text.contains(['?', '#']) {
        node.wrong(format_args!(
            "{text:?} is not an issuer; write its https URL without query and fragment, just as it stands in iss"
        ));
        return None;
    }
    if text.len() > MAX_IDENTIFIER {
        node.wrong(format_args!(
            "is longer than the {MAX_IDENTIFIER} octets in which it can be told to services and logs"
        ));
        return None;
    }
    Some(text.to_owned())
}

/// What is told of a caller is no longer (checklist (b), state 17).
const MAX_IDENTIFIER: usize = 256;

fn read_algorithms(map: &Map<'_>, default: [Algorithm; 3]) -> Vec<Algorithm> {
    let Some(node) = map.get("algorithms") else { return default.to_vec() };
    node.list().iter().filter_map(read_algorithm).collect()
}

fn read_algorithm(node: &Node<'_>) -> Option<Algorithm> {
    let text = node.text()?;
    if text.starts_with("HS") {
        node.wrong(format_args!(
            "{text} lets whoever can check a token also write one; write ES256, PS256 or EdDSA, or use introspection for such tokens"
        ));
        return None;
    }
    if text.eq_ignore_ascii_case("none") {
        node.wrong("none is no signature; write ES256, PS256 or EdDSA");
        return None;
    }
    node.word(Algorithms::WORDS)
}

fn read_profile(map: &Map<'_>) -> Profile {
    let Some(node) = map.get("profile") else { return Profile::Rfc9068 };
    if node.value.as_str() == Some("jwt_svid") {
        node.wrong("jwt_svid is not yet enforced by this version; write rfc9068 or legacy");
        return Profile::Rfc9068;
    }
    node.word(Profiles::WORDS).unwrap_or(Profile::Rfc9068)
}

impl Claims {
    fn read(map: &Map<'_>) -> Self {
        let nothing = Self { client_id: None, scope: None, scope_format: ScopeFormat::String };
        let Some(map) = map.get("claims").and_then(|node| node.map()) else { return nothing };
        let read = Self {
            client_id: map.get("client_id").and_then(|node| own_claim(&node)),
            scope: map.get("scope").and_then(|node| own_claim(&node)),
            scope_format: map
                .get("scope_format")
                .and_then(|node| node.word(ScopeFormats::WORDS))
                .unwrap_or(ScopeFormat::String),
        };
        map.finish();
        read
    }
}

fn read_clients(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Vec<Client> {
    let clients: Vec<Client> = node.list().iter().filter_map(|node| Client::read(node, references)).collect();
    let mut found = node.found.borrow_mut();
    for (at, client) in clients.iter().enumerate() {
        let counts_first = |other: &&Client| other.client.is_none() || other.client == client.client;
        if let Some(first) = clients.iter().take(at).find(counts_first) {
            let what = match first.client {
                None => "an entry without client stands before it and is for everybody; move that one to the end",
                Some(_) => "another entry for this client stands before it, and the first counts",
            };
            found.push(format!("{}: can never count: {what}", client.at));
        }
    }
    clients
}

impl Client {
    fn read(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Option<Self> {
        let map = node.map()?;
        let client = map.get("client").and_then(|node| own_name(&node));
        let certificate = map.require("certificate").and_then(|node| read_certificate(&node, references));
        map.finish();
        Some(Self { at: node.path.clone(), client, certificate: certificate? })
    }
}

impl IssuerRoles {
    fn read(node: &Node<'_>) -> Option<Self> {
        let map = node.map()?;
        let at = map.require("at").map(|node| node.one_or_more().iter().filter_map(own_claim).collect());
        let only = map.get("only").map(|node| owned(node.texts()));
        map.finish();
        Some(Self { at: at.unwrap_or_default(), only })
    }
}

impl Discovery {
    fn read(node: &Node<'_>) -> Option<Self> {
        let map = node.map()?;
        let cluster = map.require("cluster").and_then(|node| read_cluster(&node));
        let document = map.get("document").and_then(|node| node.word(MetadataDocuments::WORDS));
        let (authority, timeout) = read_reach(&map);
        map.finish();
        let document = document.unwrap_or(metadata::Document::OauthAuthorizationServer);
        Some(Self { cluster: cluster?, document, authority, timeout })
    }
}

impl Jwks {
    /// `discovers` where the issuer tells its paths.
    fn read(node: &Node<'_>, discovers: bool) -> Option<Self> {
        let map = node.map()?;
        if let Some(inline) = map.get("inline") {
            for fetched in ["cluster", "path", "authority", "timeout", "refresh", "max_stale"] {
                if map.get(fetched).is_some() {
                    map.wrong_at(
                        fetched,
                        "stands beside inline, and such keys are never fetched; take one of them out",
                    );
                }
            }
            map.finish();
            return Self::read_inline(&inline);
        }
        let refresh = duration(&map, "refresh", seconds(5 * MINUTE), seconds(MINUTE), seconds(HOUR));
        let max_stale = duration(&map, "max_stale", seconds(HOUR), seconds(MINUTE), seconds(24 * HOUR));
        let endpoint = Endpoint::read(&map, discovers);
        map.finish();
        if max_stale < refresh {
            map.wrong_at(
                "max_stale",
                "is shorter than refresh; keys would be thrown away before they are fetched again",
            );
        }
        Some(Self::Fetched { endpoint: endpoint?, refresh, max_stale })
    }

    fn read_inline(node: &Node<'_>) -> Option<Self> {
        if node.value.as_object().is_some() {
            node.wrong("is a map; write the JWK Set as a string (YAML 1.1 turns its members n and y into booleans)");
            return None;
        }
        let text = node.text()?;
        match JwkSet::parse(text.as_bytes()) {
            Err(error) => node.wrong(format_args!("is not a JWK Set: {error}")),
            Ok((_, skipped)) if skipped.iter().any(is_secret) => {
                node.wrong("holds a private or a symmetric key, and would stand in every config dump; write public keys only, and replace that one");
            }
            Ok((set, skipped)) if set.keys.is_empty() => {
                let why = skipped.first().map_or_else(|| "it is empty".to_owned(), |key| key.reason.to_string());
                node.wrong(format_args!("holds no key that could be used: {why}"));
            }
            Ok((set, skipped)) => return Some(Self::Inline { set, skipped }),
        }
        None
    }
}

/// A key that only its owner should have.
fn is_secret(skipped: &Skipped) -> bool {
    matches!(skipped.reason, jwk::Error::Private | jwk::Error::Symmetric)
}

impl Endpoint {
    /// `discovers` where the issuer tells the path.
    fn read(map: &Map<'_>, discovers: bool) -> Option<Self> {
        let cluster = map.require("cluster").and_then(|node| read_cluster(&node));
        let path = match discovers {
            false => map.require("path").and_then(|node| read_path(&node)),
            true if map.get("path").is_some() => {
                map.wrong_at("path", "stands beside discovery, which tells it; take one of them out");
                None
            }
            true => Some(String::new()),
        };
        let (authority, timeout) = read_reach(map);
        Some(Self { cluster: cluster?, path: path?, authority, timeout })
    }
}

/// By which name a service is asked, and how long it may take.
fn read_reach(map: &Map<'_>) -> (Option<String>, Duration) {
    let authority = map.get("authority").and_then(|node| read_authority(&node));
    let timeout = map.get("timeout").and_then(|node| node.duration(Duration::from_millis(50), seconds(10)));
    (authority, timeout.unwrap_or(seconds(1)))
}

fn read_cluster(node: &Node<'_>) -> Option<String> {
    let text = node.token_text()?;
    if text.contains("://") {
        node.wrong("is a URL; write the name of an Envoy cluster (Istio: outbound|443||login.bank.example), and the path beside it");
        return None;
    }
    Some(text.to_owned())
}

fn read_authority(node: &Node<'_>) -> Option<String> {
    let text = node.token_text()?;
    if text.contains(['/', '@', '?', '#', ',']) {
        node.wrong(format_args!("{text:?} is not a host; write login.bank.example, with a port where it has one"));
        return None;
    }
    Some(text.to_owned())
}

fn read_path(node: &Node<'_>) -> Option<String> {
    let text = node.token_text()?;
    if !text.starts_with('/') || text.contains('#') {
        node.wrong(format_args!("{text:?} is not a path; it begins with a slash"));
        return None;
    }
    Some(text.to_owned())
}

impl Introspection {
    /// Of this issuer, which may tell the path.
    fn read(node: &Node<'_>, (issuer, discovers): (&str, bool), environment: Environment<'_>) -> Option<Self> {
        let map = node.map()?;
        let endpoint = Endpoint::read(&map, discovers);
        let protocol = map.get("protocol").and_then(|node| node.word(Protocols::WORDS));
        let client = read_authentication(&map, issuer, environment);
        let cache = duration(&map, "cache", seconds(30), ZERO, seconds(5 * MINUTE));
        let stale_if_error = duration(&map, "stale_if_error", ZERO, ZERO, seconds(MINUTE));
        let danger_allow_no_exp = flag(&map, "danger_allow_no_exp");
        map.finish();
        Some(Self {
            endpoint: endpoint?,
            protocol: protocol.unwrap_or(Protocol::Rfc7662),
            client: client?,
            cache,
            stale_if_error,
            danger_allow_no_exp,
        })
    }
}

/// What our credentials are made of, and by which methods each of these is shown.
const CREDENTIALS: [(&str, &[AuthMethod]); 4] = {
    use AuthMethod::*;
    [
        ("client_id", &[ClientSecretBasic, ClientSecretPost, PrivateKeyJwt, TlsClientAuth]),
        ("client_secret", &[ClientSecretBasic, ClientSecretPost]),
        ("private_key", &[PrivateKeyJwt]),
        ("token", &[Bearer]),
    ]
};

fn read_authentication(map: &Map<'_>, issuer: &str, environment: Environment<'_>) -> Option<Authentication> {
    let method = map.get("auth_method").map(|node| node.word(AuthMethods::WORDS));
    let method = method.unwrap_or(Some(AuthMethod::ClientSecretBasic));
    let own = |name: &'static str| {
        let methods = CREDENTIALS.iter().find(|(other, _)| *other == name).map_or(&[][..], |(_, methods)| *methods);
        let Some(method) = method else { return map.get(name) };
        if methods.contains(&method) {
            return map.require(name);
        }
        if map.get(name).is_some() {
            map.wrong_at(name, format_args!("is for auth_method {}; write that, or take it out", words_of(methods)));
        }
        None
    };
    let client_id = own("client_id").and_then(|node| node.header_text().map(str::to_owned));
    let client_secret = own("client_secret").and_then(|node| node.secret(environment));
    let key = own("private_key").and_then(|node| read_private_key(&node, environment));
    let token = own("token").and_then(|node| read_own_token(&node, environment));
    Some(match method? {
        AuthMethod::ClientSecretBasic => {
            Authentication::ClientSecretBasic { client_id: client_id?, client_secret: client_secret? }
        }
        AuthMethod::ClientSecretPost => {
            Authentication::ClientSecretPost { client_id: client_id?, client_secret: client_secret? }
        }
        AuthMethod::PrivateKeyJwt => {
            let (client_id, audience) = (client_id?, issuer.to_owned());
            Authentication::PrivateKeyJwt(Assertion { client_id, audience, key: key? })
        }
        AuthMethod::TlsClientAuth => Authentication::TlsClientAuth { client_id: client_id? },
        AuthMethod::Bearer => Authentication::Bearer { token: token? },
    })
}

fn words_of(methods: &[AuthMethod]) -> String {
    let words = AuthMethods::WORDS.iter().filter(|(_, method)| methods.contains(method));
    words.map(|(word, _)| *word).collect::<Vec<_>>().join(" or ")
}

/// Nothing of the secret stands in a mistake.
fn read_private_key(node: &Node<'_>, environment: Environment<'_>) -> Option<Rc<SigningKey>> {
    match SigningKey::parse(&node.secret(environment)?) {
        Ok(key) => Some(Rc::new(key)),
        Err(error) => {
            node.wrong(format_args!(
                "the variable does not hold a private key as a JWK with kid and alg (ES256, PS256 or RS256): {error}"
            ));
            None
        }
    }
}

fn read_own_token(node: &Node<'_>, environment: Environment<'_>) -> Option<String> {
    let token = node.secret(environment)?;
    if token.contains(' ') {
        node.wrong("the variable holds a blank, and no token does; write it without Bearer before it");
        return None;
    }
    Some(token)
}

impl PeerCertificate {
    fn read(node: &Node<'_>) -> Self {
        let before = node.found.borrow().len();
        let Some(map) = node.map() else { return Self { is_unreadable: true, ..Self::default() } };
        let chain = map.get("chain").and_then(|node| node.word(Chains::WORDS));
        let trust_domains = map.get("trust_domains").map(|node| node.list()).unwrap_or_default();
        let relays = map.get("relays").map(|node| node.list()).unwrap_or_default();
        let mut read = Self {
            is_unreadable: false,
            chain_verified: chain.unwrap_or(false),
            trust_domains: trust_domains.iter().filter_map(read_trust_domain).collect(),
            dns_names: read_dns_names(&map),
            danger_unchecked_validity: flag(&map, "danger_unchecked_validity"),
            relays: relays.iter().filter_map(Relay::read).collect(),
        };
        read.is_unreadable = node.found.borrow().len() > before;
        if !read.is_unreadable && !read.chain_verified {
            refuse_unverified(&map, &["trust_domains", "dns_names"]);
        }
        map.finish();
        read
    }
}

fn refuse_unverified(map: &Map<'_>, names: &[&'static str]) {
    for name in names.iter().filter(|name| map.has(name)) {
        map.wrong_at(
            name,
            "count only where the proxy verified the chain; if it does, write chain: verified beside it",
        );
    }
}

fn read_dns_names(map: &Map<'_>) -> Vec<DnsPattern> {
    let names = map.get("dns_names").map(|node| node.list()).unwrap_or_default();
    names.iter().filter_map(|node| told(node, DnsPattern::parse(node.text()?))).collect()
}

impl Relay {
    fn read(node: &Node<'_>) -> Option<Self> {
        let map = node.map()?;
        let mut references = Vec::new();
        let certificate = map.require("certificate").and_then(|node| read_certificate(&node, &mut references));
        let format = map.get("format").map(|node| node.word(Formats::WORDS));
        let header = map.get("header").map(|node| read_relay_header(&node));
        let chain = map.get("chain").map(|node| node.word(Chains::WORDS));
        let trust_domains = match map.get("trust_domains") {
            // None by name is what the default is.
            Some(node) if node.value.as_array().is_none_or(|domains| !domains.is_empty()) => node.list(),
            _ => Vec::new(),
        };
        let trust_domains: Vec<String> = trust_domains.iter().filter_map(read_trust_domain).collect();
        let header = header.unwrap_or_else(|| default_header(&map, format));
        let dns_names = read_dns_names(&map);
        if let None | Some(Some(false)) = chain {
            refuse_unverified(
                &map,
                if trust_domains.is_empty() { &["dns_names"] } else { &["trust_domains", "dns_names"] },
            );
        }
        map.finish();
        Some(Self {
            at: node.path.clone(),
            certificate: certificate?,
            header: header?,
            format: format.unwrap_or(Some(Format::Xfcc))?,
            chain_verified: chain.unwrap_or(Some(false))?,
            trust_domains,
            dns_names,
            references,
        })
    }
}

/// `format` is none where it is not written, and holds none where it can't be read.
fn default_header(map: &Map<'_>, format: Option<Option<Format>>) -> Option<String> {
    match format {
        Some(None) => None,
        None | Some(Some(Format::Xfcc)) => Some(XFCC.to_owned()),
        Some(Some(Format::ClientCert)) => Some(CLIENT_CERT.to_owned()),
        Some(Some(Format::Pem)) => {
            map.node().wrong("has no header; say in which the relay writes the certificate: header: ssl-client-cert");
            None
        }
    }
}

pub const XFCC: &str = "x-forwarded-client-cert";
pub const CLIENT_CERT: &str = "client-cert";

fn read_relay_header(node: &Node<'_>) -> Option<String> {
    let name = node.text()?;
    (name == XFCC || name == CLIENT_CERT || is_header(name, node)).then(|| name.to_owned())
}

fn read_trust_domain(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    if !crate::policy::pattern::is_trust_domain(text) {
        node.wrong(format_args!("{text:?} is not a trust domain; write it in lower case and without spiffe://"));
        return None;
    }
    Some(text.to_owned())
}

impl Dpop {
    fn read(node: &Node<'_>, environment: Environment<'_>) -> Self {
        let before = node.found.borrow().len();
        let mut read = Self {
            is_unreadable: true,
            origins: Vec::new(),
            algorithms: Vec::new(),
            max_age: seconds(MINUTE),
            nonce_required: false,
            nonce_keys: Vec::new(),
            replay: Scope::Process,
            danger_admit_when_full: false,
        };
        let Some(map) = node.map() else { return read };
        for node in map.require("origins").map(|node| node.list()).unwrap_or_default() {
            let Some(origin) = read_origin(&node) else { continue };
            if read.origins.contains(&origin) {
                node.wrong(format_args!("is {} again; take one out", origin.as_str()));
            }
            read.origins.push(origin);
        }
        read.algorithms = read_algorithms(&map, [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Ps256]);
        read.max_age = duration(&map, "max_age", read.max_age, seconds(1), seconds(5 * MINUTE));
        read.nonce_required = map.get("nonce").and_then(|node| node.word(NonceModes::WORDS)).unwrap_or(false);
        let keys = map.get("nonce_keys").map(|node| node.list()).unwrap_or_default();
        read.nonce_keys = keys.iter().filter_map(|node| read_nonce_key(node, environment)).collect();
        read.replay = map.get("replay").and_then(|node| node.word(ReplayScopes::WORDS)).unwrap_or(read.replay);
        read.danger_admit_when_full = flag(&map, "danger_admit_when_full");
        map.finish();
        read.is_unreadable = node.found.borrow().len() > before;
        if !read.is_unreadable {
            read.fits(&map);
        }
        read
    }

    /// What stands beside what.
    fn fits(&self, map: &Map<'_>) {
        match (self.nonce_required, self.nonce_keys.as_slice()) {
            (true, []) => map.wrong_at(
                "nonce_keys",
                "are missing; nonces are made with them: nonce_keys: [{env: NONCE_KEY}], 32 random octets in base64",
            ),
            (false, [_, ..]) => map.wrong_at("nonce_keys", "are for nonces; write nonce: required, or take them out"),
            _ => {}
        }
        if self.replay == Scope::None && self.danger_admit_when_full {
            map.wrong_at(
                "danger_admit_when_full",
                "stands beside replay: none, which remembers nothing; take one of them out",
            );
        }
    }
}

fn read_origin(node: &Node<'_>) -> Option<Origin> {
    let text = node.text()?;
    let what = match Origin::parse(text) {
        Ok(origin) => return Some(origin),
        Err(NotAnOrigin::NotHttps) => "is not an https URL; write what clients call us: https://api.bank.example",
        Err(NotAnOrigin::MoreThanOrigin) => {
            "has a path, a query or a slash at its end; write scheme and host alone: https://api.bank.example"
        }
        Err(NotAnOrigin::UserInfo) => "names a user; write scheme and host alone: https://api.bank.example",
        Err(NotAnOrigin::Host) => {
            "has a host that no URL can have; names beyond ASCII are written as A-labels (xn--…), and patterns are not understood here"
        }
    };
    node.wrong(format_args!("{text:?} {what}"));
    None
}

/// Nothing of the secret stands in a mistake.
fn read_nonce_key(node: &Node<'_>, environment: Environment<'_>) -> Option<nonce::Key> {
    const MAKE: &str = "give it 32 random octets in base64 (openssl rand -base64 32)";
    let text = node.secret(environment)?;
    let key = base64_of_either_alphabet(&text).and_then(|octets| nonce::Key::new(&octets));
    if key.is_none() {
        node.wrong(format_args!("the variable does not hold 32 octets or more; {MAKE}"));
    }
    key
}

/// As `openssl` and as JOSE write it, with its padding or without.
fn base64_of_either_alphabet(text: &str) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let by = |alphabet| GeneralPurpose::new(alphabet, LENIENT).decode(text).ok();
    by(&alphabet::STANDARD).or_else(|| by(&alphabet::URL_SAFE))
}

impl RoleRelations {
    fn read(node: &Node<'_>) -> Self {
        let Some(map) = node.map() else { return Self::default() };
        let includes = map.get("includes").and_then(|node| node.map());
        let exclusive = map.get("exclusive").map(|node| node.list()).unwrap_or_default();
        map.finish();
        let entries = includes.iter().flat_map(Map::entries);
        let includes = entries.map(|(role, node)| (role.to_owned(), owned(node.texts()))).collect();
        Self { includes, exclusive: exclusive.iter().map(read_exclusive).collect() }
    }
}

fn read_exclusive(node: &Node<'_>) -> Vec<String> {
    let roles = node.list();
    if roles.len() == 1 {
        node.wrong("is one role, which excludes nothing; write two or more, of which nobody may hold two");
    }
    owned(roles.iter().filter_map(Node::text).collect())
}

impl Defaults {
    fn read(map: &Map<'_>) -> Self {
        Self {
            binding: map.get("binding").and_then(|node| node.word(Bindings::WORDS)),
            revocation: map
                .get("revocation")
                .and_then(|node| word_or_later(&node, Revocations::WORDS, &["status_list"], "enforced")),
            cors_preflight: map.get("cors_preflight").and_then(|node| node.word(Preflights::WORDS)),
            danger_allow_plaintext: map.get("danger_allow_plaintext").and_then(|node| node.flag()),
            challenge: map.get("challenge").and_then(|node| Challenge::read(&node)),
            forward: map.get("forward").and_then(|node| Forward::read(&node)),
        }
    }

    /// A route's own replaces the whole field.
    pub fn under(&self, own: &Self) -> Self {
        Self {
            binding: own.binding.or(self.binding),
            revocation: own.revocation.or(self.revocation),
            cors_preflight: own.cors_preflight.or(self.cors_preflight),
            danger_allow_plaintext: own.danger_allow_plaintext.or(self.danger_allow_plaintext),
            challenge: own.challenge.clone().or_else(|| self.challenge.clone()),
            forward: own.forward.clone().or_else(|| self.forward.clone()),
        }
    }
}

/// One of these words; `later` are those that this version knows and does not do.
fn word_or_later<T: Clone>(node: &Node<'_>, words: &[(&str, T)], later: &[&str], done: &str) -> Option<T> {
    let text = node.text()?;
    if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == text) {
        return Some(meaning.clone());
    }
    let now: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let now = now.join(", ");
    if later.contains(&text) {
        node.wrong(format_args!("{text} is not yet {done} by this version; write {now}, or leave it out"));
    } else {
        node.wrong(format_args!("{text:?} is none of {now}, {}", later.join(", ")));
    }
    None
}

impl Challenge {
    fn read(node: &Node<'_>) -> Option<Self> {
        let map = node.map()?;
        let read = Self {
            realm: map.get("realm").and_then(|node| node.header_text().map(str::to_owned)),
            resource_metadata: map.get("resource_metadata").and_then(|node| read_metadata(&node)),
        };
        map.not_yet(&["serve"]);
        map.finish();
        Some(read)
    }
}

/// The URL of the protected resource's metadata (RFC 9728 §3.1).
fn read_metadata(node: &Node<'_>) -> Option<String> {
    let text = node.token_text()?;
    if text.strip_prefix("https://").is_none_or(|rest| rest.is_empty() || rest.starts_with('/')) || text.contains('#') {
        node.wrong(format_args!("{text:?} is not an https URL without fragment, where clients find the metadata"));
        return None;
    }
    Some(text.to_owned())
}

/// Facts that stand in filter state always.
pub const ALWAYS_TOLD: [&str; 7] = ["decision", "reason", "route", "client_id", "subject", "issuer", "binding"];

impl Forward {
    fn read(node: &Node<'_>) -> Option<Self> {
        let map = node.map()?;
        let token = map.get("token").and_then(|node| node.word(TokenForwards::WORDS));
        let read = Self {
            at: node.path.clone(),
            token: token.unwrap_or(TokenForward::Keep),
            headers: facts_of(&map, "headers", is_header),
            filter_state: facts_of(&map, "filter_state", is_fact_name),
        };
        map.finish();
        Some(read)
    }
}

fn facts_of(map: &Map<'_>, name: &'static str, is_good: fn(&str, &Node<'_>) -> bool) -> Vec<(String, Fact)> {
    let facts = map.get(name).and_then(|node| node.map());
    let entries = facts.iter().flat_map(Map::entries);
    let good = entries.filter(|(name, node)| is_good(name, node));
    good.filter_map(|(name, node)| Some((name.to_owned(), read_fact(&node)?))).collect()
}

fn is_fact_name(name: &str, node: &Node<'_>) -> bool {
    let is_name = crate::policy::pattern::is_name(name);
    if ALWAYS_TOLD.contains(&name) {
        node.wrong("always stands in filter state; choose another name");
    } else if !is_name {
        node.wrong(format_args!("{name:?} is not a name; write letters, digits and _"));
    }
    is_name && !ALWAYS_TOLD.contains(&name)
}

/// Fields that mean something to HTTP, to proxies or to this filter already, and the beginnings of their names.
pub const TAKEN: [&str; 27] = [
    "authorization",
    "connection",
    "cookie",
    "date",
    "dpop",
    "early-data",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "origin",
    "range",
    "referer",
    "te",
    "trailer",
    "transfer-encoding",
    "txn-token",
    "upgrade",
    "user-agent",
    "via",
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-request-id",
    "client-cert",
    "client-cert-chain",
    "set-cookie",
];
pub const TAKEN_BEGINNINGS: [&str; 9] =
    ["accept", "access-control-", "content-", "grpc-", "if-", "proxy-", "sec-", "x-envoy-", "x-forwarded-"];

/// A field that the upstream is to believe, in the one spelling that no service confuses with another.
fn is_header(name: &str, node: &Node<'_>) -> bool {
    let sound = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let folded = name.to_ascii_lowercase().replace('_', "-");
    let is_sound = (1..=64).contains(&name.len()) && name.bytes().all(sound);
    let is_taken = TAKEN.contains(&folded.as_str()) || TAKEN_BEGINNINGS.iter().any(|begin| folded.starts_with(begin));
    if is_taken {
        node.wrong(format_args!("{name} means something else already; choose another name, x-... as a rule"));
    } else if !is_sound {
        node.wrong(format_args!("{name:?} is not a field's name; write lower-case letters, digits and -: x-client-id"));
    }
    is_sound && !is_taken
}

fn read_fact(node: &Node<'_>) -> Option<Fact> {
    if node.value.as_str().is_some_and(|text| text.starts_with('/')) {
        return node.pointer().map(Fact::Claim);
    }
    let text = node.text()?;
    let fact = Facts::WORDS.iter().find(|(word, _)| *word == text).map(|(_, fact)| fact.clone());
    if fact.is_none() {
        let words: Vec<&str> = Facts::WORDS.iter().map(|(word, _)| *word).collect();
        node.wrong(format_args!("{text:?} is none of {}, and no claim, which is written /{text}", words.join(", ")));
    }
    fact
}

impl Route {
    fn read(node: &Node<'_>) -> Option<Self> {
        let map = node.map()?;
        let mistakes = || node.found.borrow().len();
        let before = mistakes();
        let own_name = map.require("name").and_then(|node| name(&node));
        let path_texts = map.get("path").map(|node| texts_in(node.value)).unwrap_or_default();
        let hosts = patterns(&map, "host", HostPattern::parse);
        let methods = map.get("methods").map(|node| node.list().iter().filter_map(read_method).collect());
        let paths = patterns(&map, "path", PathPattern::parse);
        let envoy_routes = texts_of(&map, "envoy_route");
        let read = Self {
            at: node.path.clone(),
            is_readable: mistakes() == before,
            name: own_name.unwrap_or_default(),
            hosts,
            methods: methods.unwrap_or_default(),
            paths,
            path_texts,
            envoy_routes,
            danger_allow_path: map.get("danger_allow_path").map(|node| read_oddities(&node)).unwrap_or_default(),
            allow: Allow::read(&map),
            issuers: texts_of(&map, "issuer"),
            audiences: map.get("audiences").map(|node| owned(node.list().iter().filter_map(Node::text).collect())),
            scopes: map.get("scopes").map(|node| read_scopes(&node)).unwrap_or_default(),
            step_up: read_step_up(&map),
            own: Defaults::read(&map),
            danger_forward_unverified_token: flag(&map, "danger_forward_unverified_token"),
        };
        map.not_yet(&["ask", "danger_dry_run"]);
        map.finish();
        read.allow_fits(&map);
        Some(read)
    }

    /// A public route asks nobody.
    fn allow_fits(&self, map: &Map<'_>) {
        if !matches!(self.allow, Some(Allow::Public)) {
            return;
        }
        if !map.has("methods") {
            map.node().wrong("is public, and says no methods; write those that everybody may use: methods: [GET]");
        }
        for asks in ["issuer", "audiences", "scopes", "binding", "revocation", "acr_values", "max_age"] {
            if map.has(asks) {
                map.wrong_at(asks, "asks for a token, and the route is public; take one of them out");
            }
        }
    }
}

fn read_oddities(node: &Node<'_>) -> Oddities {
    let words = node.list();
    let named = words.iter().filter_map(|node| node.word(OddPaths::WORDS));
    named.fold(NO_ODDITY, |all, one| Oddities {
        encoded_slash: all.encoded_slash || one.encoded_slash,
        empty_segment: all.empty_segment || one.empty_segment,
        semicolon: all.semicolon || one.semicolon,
        not_text: false,
    })
}

/// What is asked of a login: `acr_values` go into a challenge, a blank between two.
fn read_step_up(map: &Map<'_>) -> StepUp {
    let acr_values = map.get("acr_values").map(|node| node.list()).unwrap_or_default();
    let max_age = map.get("max_age").and_then(|node| {
        let read = node.duration(seconds(1), seconds(366 * 24 * HOUR))?;
        if read.subsec_nanos() > 0 {
            node.wrong("has a fraction of a second; write whole seconds");
        }
        Some(read)
    });
    StepUp { acr_values: owned(acr_values.iter().filter_map(Node::token_text).collect()), max_age }
}

/// The texts of one or a list, and nothing said of what is no text.
fn texts_in(value: &Value) -> Vec<String> {
    let items = value.as_array().unwrap_or(core::slice::from_ref(value));
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn patterns<T, E: core::fmt::Display>(map: &Map<'_>, name: &'static str, parse: fn(&str) -> Result<T, E>) -> Vec<T> {
    let nodes = map.get(name).map(|node| node.one_or_more()).unwrap_or_default();
    nodes.iter().filter_map(|node| told(node, parse(node.text()?))).collect()
}

fn told<T>(node: &Node<'_>, parsed: Result<T, impl core::fmt::Display>) -> Option<T> {
    parsed.map_err(|error| node.wrong(error)).ok()
}

fn read_method(node: &Node<'_>) -> Option<String> {
    let text = node.text()?;
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text == "*" || !text.bytes().all(is_token) {
        node.wrong(format_args!("{text:?} is not a method; leave methods out for any"));
        return None;
    }
    if text.bytes().any(|byte| byte.is_ascii_lowercase()) {
        node.wrong(format_args!("methods are compared with case; write {}", text.to_ascii_uppercase()));
        return None;
    }
    Some(text.to_owned())
}

/// Scope tokens of RFC 6749 §3.3.
fn read_scopes(node: &Node<'_>) -> Vec<String> {
    let scopes = node.list();
    scopes
        .iter()
        .filter_map(|node| {
            let text = node.text()?;
            if text.contains(' ') {
                node.wrong(format_args!(
                    "{text:?} holds a blank; write a list, one scope an item: [{}]",
                    text.replace(' ', ", ")
                ));
                return None;
            }
            node.token_text().map(str::to_owned)
        })
        .collect()
}

impl Allow {
    fn read(map: &Map<'_>) -> Option<Self> {
        let Some(node) = map.get("allow") else {
            if !map.has("allow") {
                map.node().wrong(
                    "has no allow, and nobody may pass without one; write a list of rules, `allow: authenticated` (every good token) \
                     or `allow: public` (everybody)",
                );
            }
            return None;
        };
        match node.value {
            Value::String(text) if text == "public" => Some(Self::Public),
            Value::String(text) if text == "authenticated" => Some(Self::Authenticated),
            Value::Array(_) => Some(Self::Rules(node.list().iter().map(Rule::read).collect())),
            _ => {
                node.wrong(
                    "is no list of rules, and neither public nor authenticated; write [{...}], or one of these words",
                );
                None
            }
        }
    }
}

impl Rule {
    fn read(node: &Node<'_>) -> Self {
        let mut rule = Self { at: node.path.clone(), ..Self::default() };
        let Some(map) = node.map() else { return rule };
        rule.roles = names_of(&map, "role");
        rule.clients = names_of(&map, "client");
        rule.issuers = texts_of(&map, "issuer");
        rule.principal = map.get("principal").and_then(|node| node.word(Principals::WORDS));
        rule.scopes = map.get("scopes").map(|node| read_scopes(&node)).unwrap_or_default();
        rule.step_up = read_step_up(&map);
        rule.without_token = map.get("token").and_then(|node| node.word(TokenRules::WORDS)).unwrap_or(false);
        if let Some(node) = map.get("claims") {
            rule.claims = read_claims(&node, &mut rule.references);
        }
        if let Some(node) = map.get("certificate") {
            rule.certificate = read_certificate(&node, &mut rule.references);
        }
        if let Some(node) = map.get("not") {
            rule.not = node.one_or_more().iter().map(Self::read_refusing).collect();
            for inner in rule.not.iter().filter(|inner| !inner.not.is_empty() && inner.names_somebody()) {
                let what = "stands inside another; say what is wanted of the caller instead of not: {not: ...}";
                node.found.borrow_mut().push(format!("{}.not: {what}", inner.at));
            }
        }
        map.not_yet(&["authorization_details", "when"]);
        map.finish();
        let names = [
            "role",
            "client",
            "issuer",
            "claims",
            "certificate",
            "scopes",
            "principal",
            "acr_values",
            "max_age",
            "authorization_details",
            "when",
        ];
        if !names.iter().any(|name| map.has(name)) {
            map.node().wrong("names nobody; say who may pass: role, client, claims, certificate or scopes");
        }
        rule
    }

    /// A rule of `deny` or `not`. It asks for no token by itself, so it can't do without one either.
    fn read_refusing(node: &Node<'_>) -> Self {
        let token = node.value.as_object().and_then(|rule| rule.get("token"));
        if token.is_some() {
            node.wrong("says token, which only a rule of allow can say; take it out");
        }
        for asks in ["acr_values", "max_age"] {
            if node.value.as_object().is_some_and(|rule| rule.get(asks).is_some()) {
                let what = "asks for another login, which only a rule of allow can do; write claims: {/acr: ...}";
                node.found.borrow_mut().push(format!("{}.{asks}: {what}", node.path));
            }
        }
        Self::read(node)
    }

    fn names_somebody(&self) -> bool {
        self.asks_token().is_some_and(|asks| asks != "not") || self.certificate.is_some()
    }

    /// Whether it looks at the token.
    pub fn asks_token(&self) -> Option<&'static str> {
        let claims = self.references.iter().any(|(_, reference)| matches!(reference, Reference::Claim(_)));
        [
            ("role", !self.roles.is_empty()),
            ("client", !self.clients.is_empty()),
            ("issuer", !self.issuers.is_empty()),
            ("claims", !self.claims.is_empty()),
            ("scopes", !self.scopes.is_empty()),
            ("principal", self.principal.is_some()),
            ("acr_values", !self.step_up.acr_values.is_empty()),
            ("max_age", self.step_up.max_age.is_some()),
            ("a reference to a claim", claims),
            ("not", self.not.iter().any(|rule| rule.asks_token().is_some())),
        ]
        .into_iter()
        .find_map(|(name, asks)| asks.then_some(name))
    }
}

/// Those who acted before are history.
const HISTORY: &str =
    "speaks of who acted earlier, which decides nothing (RFC 8693 §4.1); write what the current actor has: /act/sub";

fn is_at_or_below(pointer: &Pointer, place: &str) -> bool {
    pointer.as_str().strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A claim that says what the token itself is good for: an actor adds nothing to that.
fn own_claim(node: &Node<'_>) -> Option<Pointer> {
    let pointer = node.pointer()?;
    if is_at_or_below(&pointer, "/act") {
        node.wrong("speaks of who acts, which adds nothing to what the token is good for (RFC 8693 §4.1)");
    }
    Some(pointer)
}

/// Keeps a reference for what is to be said of it once its route is known.
fn refer(references: &mut Vec<(String, Reference)>, node: &Node<'_>, reference: &Reference) {
    if matches!(reference, Reference::Claim(pointer) if is_at_or_below(pointer, "/act/act")) {
        node.wrong(HISTORY);
    }
    references.push((node.path.clone(), reference.clone()));
}

fn read_claims(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Vec<(Pointer, ClaimTest)> {
    let Some(map) = node.map() else { return Vec::new() };
    let mut claims = Vec::new();
    for (key, node) in map.entries() {
        let pointer = Pointer::parse(key).ok().filter(|_| key.starts_with('/'));
        if pointer.is_none() {
            node.wrong(format_args!("{key:?} is not a JSON pointer; write /{}", key.replace('.', "/")));
        }
        if pointer.as_ref().is_some_and(|pointer| is_at_or_below(pointer, "/act/act")) {
            node.wrong(HISTORY);
        }
        if let (Some(pointer), Some(test)) = (pointer, read_claim_test(&node, references)) {
            claims.push((pointer, test));
        }
    }
    claims
}

fn read_claim_test(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Option<ClaimTest> {
    if node.value.as_object().is_none() {
        return Some(ClaimTest::OneOf(operands(node, references)));
    }
    if let Some(name) = unquoted_reference(node.value) {
        node.wrong(format_args!("is a map; a reference needs quotes: \"{{{name}}}\""));
        return None;
    }
    let map = node.map()?;
    let contains = map.get("contains").map(|node| ClaimTest::Contains(operands(&node, references)));
    let contains_all = map.get("contains_all").map(|node| ClaimTest::ContainsAll(operands(&node, references)));
    let present = map.get("present").and_then(|node| match node.flag() {
        Some(false) => {
            node.wrong("is false; to refuse who has the claim write not: {claims: {…: {present: true}}}");
            None
        }
        other => other.map(|_| ClaimTest::Present),
    });
    map.finish();
    let mut tests = [contains, contains_all, present].into_iter().flatten();
    let first = tests.next();
    if tests.next().is_some() {
        map.node().wrong("says two things of one claim; write two rules, or one of them");
    }
    first
}

/// `{account}` without quotes is a map in YAML, with a member of no value. A word of the language is a test without its value.
fn unquoted_reference(value: &Value) -> Option<&str> {
    let object = value.as_object()?;
    let mut members = object.iter();
    match (members.next(), members.next()) {
        (Some((name, Value::Null)), None) if !matches!(name, "contains" | "contains_all" | "present") => Some(name),
        _ => None,
    }
}

fn operands(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Vec<Operand> {
    let nodes = node.one_or_more();
    nodes.iter().filter_map(|node| operand(node, references)).collect()
}

fn operand(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Option<Operand> {
    let operand = match node.value {
        Value::String(_) => told(node, Operand::parse(node.text()?))?,
        Value::Bool(truth) => Operand::Bool(*truth),
        Value::Integer(_) | Value::Float(_) => match node.value.integer() {
            Some(number) if number.unsigned_abs() < 1 << 53 => Operand::Integer(number),
            _ => {
                node.wrong("is not a whole number below 2^53; write it as text");
                return None;
            }
        },
        Value::Object(_) => {
            match unquoted_reference(node.value) {
                Some(name) => node.wrong(format_args!("is a map; a reference needs quotes: \"{{{name}}}\"")),
                None => node.wrong("is a map; write text, a number, true or false, or a list of them"),
            }
            return None;
        }
        Value::Null | Value::Array(_) => {
            node.wrong("is no value to compare with; write text, a number, true or false");
            return None;
        }
    };
    if let Some(reference) = operand.reference() {
        refer(references, node, reference);
    }
    Some(operand)
}

/// Names in certificates are text.
fn text_operand(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Option<Operand> {
    node.text()?;
    operand(node, references)
}

fn read_certificate(node: &Node<'_>, references: &mut Vec<(String, Reference)>) -> Option<CertificateTest> {
    let map = node.map()?;
    let spiffe_id: Vec<SpiffePattern> = patterns(&map, "spiffe_id", SpiffePattern::parse);
    if let Some(node) = map.get("spiffe_id") {
        spiffe_id
            .iter()
            .flat_map(|pattern| &pattern.references)
            .for_each(|reference| refer(references, &node, reference));
    }
    let mut exact = |name, read: fn(&Node<'_>)| {
        let nodes = map.get(name).map(|node| node.one_or_more()).unwrap_or_default();
        nodes.iter().for_each(read);
        nodes.iter().filter_map(|node| text_operand(node, references)).collect::<Vec<_>>()
    };
    let (san_uri, san_email, san_ip) =
        (exact("san_uri", refuse_spiffe_id), exact("san_email", refuse_no_address), exact("san_ip", refuse_no_ip));
    let subject = map.get("subject").and_then(|node| node.map());
    let attributes = subject.iter().flat_map(Map::entries).filter_map(|(name, node)| {
        let kind = read_attribute(name, &node)?;
        Some((kind, node.one_or_more().iter().filter_map(|node| text_operand(node, references)).collect()))
    });
    let subject = attributes.collect();
    let sha256 = map.get("sha256").map(|node| node.one_or_more()).unwrap_or_default();
    let usages = map.get("extended_key_usage").map(|node| node.one_or_more()).unwrap_or_default();
    let test = CertificateTest {
        spiffe_id,
        san_dns: patterns(&map, "san_dns", DnsPattern::parse),
        san_uri,
        san_email,
        san_ip,
        subject,
        sha256: sha256.iter().filter_map(read_digest).collect(),
        for_clients: usages.iter().filter_map(|node| node.word(KeyUsages::WORDS)).count() > 0,
    };
    map.not_yet(&["psd2_role"]);
    map.finish();
    Some(test)
}

/// The object identifier of an attribute of the subject.
fn read_attribute(name: &str, node: &Node<'_>) -> Option<String> {
    let found = certificate::attribute(name);
    if found.is_none() {
        let known: Vec<&str> = certificate::attribute_names().collect();
        node.wrong(format_args!(
            "{name:?} is no attribute of a subject; write its object identifier in dots, or one of {}",
            known.join(", ")
        ));
    }
    found
}

fn refuse_no_address(node: &Node<'_>) {
    if node.value.as_str().is_some_and(|text| !text.contains(['@', '{'])) {
        node.wrong("is not an e-mail address; it is compared as it stands in the certificate: api@bank.example");
    }
}

/// Addresses are compared in one spelling, that of RFC 5952.
fn refuse_no_ip(node: &Node<'_>) {
    let Some(text) = node.value.as_str().filter(|text| !text.contains('{')) else { return };
    match text.parse::<IpAddr>() {
        Ok(address) if address.to_string() == text => {}
        Ok(address) => node.wrong(format_args!("is spelt otherwise than RFC 5952 says; write {address}")),
        Err(_) => node.wrong(format_args!("{text:?} is not an IP address")),
    }
}

/// A SPIFFE ID counts by its trust domain, which an exact URI would pass by.
fn refuse_spiffe_id(node: &Node<'_>) {
    let scheme = node.value.as_str().and_then(|text| text.split_once(':')).map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe")) {
        node.wrong("is a SPIFFE ID, which counts only in a trust domain that is listed; write spiffe_id");
    }
}

fn read_digest(node: &Node<'_>) -> Option<CertificateDigest> {
    let text = node.text()?;
    let digest = CertificateDigest::from_hex(text.as_bytes());
    // As openssl prints it.
    let plain = text.replace(':', "").to_ascii_lowercase();
    match (digest, CertificateDigest::from_hex(plain.as_bytes())) {
        (Some(_), _) => {}
        (None, Some(_)) => {
            node.wrong(format_args!("is not written in 64 lower-case hexadecimal digits; write {plain}"))
        }
        (None, None) => {
            node.wrong("is not the SHA-256 of a certificate's DER; write 64 lower-case hexadecimal digits");
        }
    }
    digest
}

impl Limits {
    fn read(node: &Node<'_>) -> Self {
        let Some(map) = node.map() else { return Self::default() };
        let default = Self::default();
        let read = Self {
            tokens: map.get("tokens").and_then(|node| node.whole(0, MAX_TOKENS)).unwrap_or(default.tokens),
            token_bytes: map
                .get("token_bytes")
                .and_then(|node| node.size(64 * 1024, 512 * 1024 * 1024))
                .unwrap_or(default.token_bytes),
            callouts: map
                .get("callouts")
                .and_then(|node| node.whole(MIN_CALLOUTS, MAX_CALLOUTS))
                .unwrap_or(default.callouts),
            waiting: map.get("waiting").and_then(|node| node.whole(1, MAX_WAITING)).unwrap_or(default.waiting),
            proofs: map.get("proofs").and_then(|node| node.whole(MIN_PROOFS, MAX_PROOFS)).unwrap_or(default.proofs),
        };
        map.finish();
        read
    }
}
