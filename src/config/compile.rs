//! The document as written into the document as enforced: names become numbers, defaults are filled in, and what contradicts
//! itself is a mistake.

use core::fmt::Display;
use core::time::Duration;
use std::collections::BTreeSet;
use std::rc::Rc;

use crate::binding::htu::Origin;
use crate::binding::nonce::Nonces;
use crate::binding::{Requirement, dpop, replay};
use crate::callout::{self, IssuerId, Question, Service};
use crate::client::Authentication;
use crate::discovery;
use crate::effect::identity::{HOSTS, Owned};
use crate::effect::{self, FILTER_STATE, Fact, TokenForward, metric};
use crate::flow;
use crate::jose::json::Pointer;
use crate::keys;
use crate::policy::certificate::CertificateTest;
use crate::policy::operand::Reference;
use crate::policy::path::Oddities;
use crate::policy::pattern::{DnsPattern, HostPattern, PathPattern, Piece};
use crate::policy::principal::{Client, Principals};
use crate::policy::relay::Relay;
use crate::policy::role::{Circle, Roles};
use crate::policy::route::{Allow, Revocation, Route};
use crate::policy::rule::Rule;
use crate::policy::step_up::StepUp;
use crate::policy::{Policy, Trust};
use crate::token::introspection::Protocol;
use crate::token::{self, Audiences, Kept, Places, Profile, introspection, memory};

use super::Compiled;
use super::read::{Found, is_told};
use super::written::{self, Document};

/// What requests that wait may take in memory.
const WAITING_BYTES: usize = 8 * 1024 * 1024;

fn asks_both(document: &Document) -> bool {
    let own = document.routes.iter().map(|route| &route.own);
    own.chain([&document.defaults]).any(|fields| fields.revocation == Some(Revocation::Introspection))
}

/// `kept` are the claims that the document names.
pub fn compile(document: Document, kept: Kept, found: &Found) -> Option<Compiled> {
    // Key and endpoint have to speak of the same token.
    let kept = Rc::new(if asks_both(&document) { kept.and("jti") } else { kept });
    let mut loading = Loading { document: &document, kept, found, hierarchy: None, warnings: Vec::new() };
    loading.issuers_agree();
    loading.hierarchy = loading.roles();
    loading.including_roles_exist();
    loading.exclusive_roles_fit();
    let every = (0..document.issuers.len()).map(IssuerId).collect();
    let everywhere = Place { route: None, issuers: every, issuer_is_said: false };
    let principals = (0..document.issuers.len()).map(|at| loading.principals(IssuerId(at))).collect();
    let deny: Vec<Rule> = document.deny.iter().map(|rule| loading.rule(rule, &everywhere)).collect();
    let routes: Vec<(Route, effect::Settings)> =
        document.routes.iter().filter_map(|route| loading.route(route)).collect();
    loading.routes_are_reachable(&routes);
    loading.nothing_moves_the_envoy_route(&routes);
    loading.protocols_fit();
    loading.told_ids_are_proven();
    loading.proofs_are_described();
    loading.who_is_told_has_an_issuer();
    loading.warn_of_dangers();
    let issuers = loading.issuers();
    let relays = loading.relays();
    let Loading { hierarchy, warnings, .. } = loading;
    let trust = trust(&document.peer_certificate);
    let told = forwards(&document).flat_map(|forward| &forward.headers).map(|(name, _)| name.as_str());
    let by_host = routes.iter().any(|(route, _)| !route.hosts.is_empty());
    let relayed = relays.iter().map(|relay| relay.header.as_str());
    let owned = Owned::new(told.chain(relayed).chain(HOSTS.into_iter().filter(|_| by_host)));
    let (routes, effects) = routes.into_iter().unzip();
    let limits = &document.limits;
    Some(Compiled {
        settings: flow::Settings {
            issuers: issuers?,
            policy: Policy::new(routes, hierarchy?, deny, principals, trust).behind(relays),
            effects,
            owned,
            dpop: document.dpop.as_ref().map(|written| compile_dpop(written, limits.proofs)),
            unchecked_validity: document.peer_certificate.danger_unchecked_validity,
            tells_permits: document.tells_permits,
            memory: memory::Limits { entries: limits.tokens, bytes: limits.token_bytes },
        },
        waiting: callout::Limits { callouts: limits.callouts, waiters: limits.waiting, bytes: WAITING_BYTES },
        log_permits: document.log_permits,
        warnings,
    })
}

struct Loading<'a> {
    document: &'a Document,
    kept: Rc<Kept>,
    found: &'a Found,
    /// None where it could not be read.
    hierarchy: Option<Roles>,
    warnings: Vec<String>,
}

/// Where a rule stands: what may be referred to, and whose tokens are judged.
struct Place<'a> {
    /// The route, where it is one's.
    route: Option<&'a written::Route>,
    issuers: Vec<IssuerId>,
    /// The rule around this one says whose tokens it speaks of.
    issuer_is_said: bool,
}

fn trust(written: &written::PeerCertificate) -> Trust {
    Trust {
        chain_verified: written.chain_verified,
        trust_domains: written.trust_domains.clone(),
        dns_names: written.dns_names.clone(),
    }
}

fn trust_in(relay: &written::Relay) -> Trust {
    Trust {
        chain_verified: relay.chain_verified,
        trust_domains: relay.trust_domains.clone(),
        dns_names: relay.dns_names.clone(),
    }
}

/// Relays.
impl Loading<'_> {
    fn relays(&mut self) -> Vec<Relay> {
        let document = self.document;
        let relays = &document.peer_certificate.relays;
        for (at, written) in relays.iter().enumerate() {
            let before = relays.iter().take(at).find(|other| other.header == written.header);
            if before.is_some_and(|other| other.format != written.format) {
                let what = "another relay writes this header in another form; a peer that is both could write neither";
                self.wrong(&format!("{}.format", written.at), what);
            }
        }
        relays.iter().map(|written| self.relay(written)).collect()
    }

    fn relay(&mut self, written: &written::Relay) -> Relay {
        let at = format!("{}.certificate", written.at);
        let own = &self.document.peer_certificate;
        // A relay can't vouch for itself.
        self.names_are_proven_by(&[trust(own)], &at, &written.certificate);
        self.somebody_is_named(&at, &written.certificate);
        for (at, reference) in &written.references {
            let name = match reference {
                Reference::Captured(name) => name,
                Reference::Claim(place) => place.as_str(),
            };
            self.wrong(
                at,
                format_args!("{{{name}}} is bound by nothing here; no request says which proxies are relays"),
            );
        }
        let is_told = |(name, _): &&(String, Fact)| *name == written.header;
        for forward in self.forwards().filter(|forward| forward.headers.iter().any(|told| is_told(&told))) {
            let what = "is the field in which a relay tells its client's certificate; choose another name";
            self.wrong(&format!("{}.headers[{:?}]", forward.at, written.header), what);
        }
        Relay {
            certificate: written.certificate.clone(),
            header: written.header.clone(),
            format: written.format,
            trust: trust_in(written),
        }
    }

    /// What a certificate is good for says nothing of whose it is.
    fn somebody_is_named(&self, at: &str, test: &CertificateTest) {
        if !test.names_somebody() && !is_told(self.found, at) {
            self.wrong(at, "names nobody; say whose certificate it is: sha256, spiffe_id, san_dns, …");
        }
    }
}

fn compile_dpop(written: &written::Dpop, proofs: usize) -> dpop::Settings {
    let mut names: Vec<&str> = written.origins.iter().map(Origin::as_str).collect();
    // Replicas may list them in another order.
    names.sort_unstable();
    let name = names.join("\n");
    dpop::Settings {
        nonces: Nonces::new(written.nonce_keys.clone(), &name),
        name,
        origins: written.origins.clone(),
        algorithms: written.algorithms.clone(),
        max_age: written.max_age,
        replay: replay::Settings { scope: written.replay, proofs, admits_when_full: written.danger_admit_when_full },
    }
}

/// By which schemes a route takes tokens.
fn schemes(binding: Requirement, dpop: Option<&written::Dpop>) -> effect::Schemes {
    let mut names: Vec<&str> = Vec::new();
    for algorithm in dpop.iter().flat_map(|dpop| &dpop.algorithms) {
        // Two words may mean the same.
        if !names.contains(&algorithm.name()) {
            names.push(algorithm.name());
        }
    }
    effect::Schemes {
        bearer: matches!(binding, Requirement::Certificate | Requirement::Either | Requirement::WhenBound),
        dpop: dpop.is_some() && binding != Requirement::Certificate,
        algorithms: dpop.map(|_| names.join(" ").into()),
    }
}

/// Issuers.
impl Loading<'_> {
    fn wrong(&self, at: &str, what: impl Display) {
        self.found.borrow_mut().push(format!("{at}: {what}"));
    }

    fn warn(&mut self, at: &str, what: impl Display) {
        self.warnings.push(format!("{at}: {what}"));
    }

    /// Whether a mistake is told of this field already, so that what follows from it need not be.
    fn is_told(&self, at: &str, field: &str) -> bool {
        is_told(self.found, &format!("{at}.{field}"))
    }

    fn names(&self) -> Vec<&str> {
        self.document.issuers.iter().map(|issuer| issuer.name.as_str()).collect()
    }

    fn issuer_name(&self, id: IssuerId) -> &str {
        self.document.issuers.get(id.0).map_or("", |issuer| issuer.name.as_str())
    }

    fn issuer(&self, name: &str) -> Option<IssuerId> {
        self.document.issuers.iter().position(|issuer| issuer.name == name).map(IssuerId)
    }

    fn issuers_agree(&self) {
        let issuers = &self.document.issuers;
        for (at, issuer) in issuers.iter().enumerate() {
            let before = || issuers.iter().take(at);
            if issuer.issuer.is_empty() {
                continue;
            }
            if before().any(|other| other.issuer == issuer.issuer) {
                self.wrong(&issuer.at, format_args!("{} stands there twice", issuer.issuer));
            } else if before().any(|other| other.name == issuer.name) {
                self.wrong(&issuer.at, format_args!("another issuer is called {} too", issuer.name));
            } else if let Some(other) = before().find(|other| metric::word(&other.name) == metric::word(&issuer.name)) {
                self.wrong(&issuer.at, same_in_metrics(&issuer.name, &other.name));
            }
        }
        let with_roles = || issuers.iter().filter_map(|issuer| Some((issuer, issuer.roles.as_ref()?)));
        if with_roles().count() > 1 {
            for (issuer, _) in with_roles().filter(|(_, roles)| roles.only.is_none()) {
                let what = "several issuers bring roles; say which ones this one may assert: only: [...]";
                self.wrong(&format!("{}.roles", issuer.at), what);
            }
        }
    }

    /// What an issuer's tokens tell of those who stand behind them.
    fn principals(&mut self, id: IssuerId) -> Principals {
        let Some(issuer) = self.document.issuers.get(id.0) else { return Principals::default() };
        for (at, reference) in &issuer.references {
            if let Reference::Captured(name) = reference {
                self.wrong(at, format_args!("{{{name}}} is bound by no route here; issuers stand above all of them"));
            }
        }
        for client in &issuer.clients {
            let at = format!("{}.certificate", client.at);
            self.names_are_proven(&at, &client.certificate);
            self.somebody_is_named(&at, &client.certificate);
        }
        let known = |written: &written::Client| Client {
            client: written.client.clone(),
            certificate: written.certificate.clone(),
        };
        Principals {
            client_token_when: issuer.client_token_when.clone(),
            clients: issuer.clients.iter().map(known).collect(),
        }
    }

    fn issuers(&mut self) -> Option<Vec<token::Issuer>> {
        let document = self.document;
        document.issuers.iter().enumerate().map(|(at, written)| self.compile_issuer(IssuerId(at), written)).collect()
    }

    fn compile_issuer(&mut self, id: IssuerId, written: &written::Issuer) -> Option<token::Issuer> {
        if let Some(written::Jwks::Inline { skipped, .. }) = &written.jwks {
            for key in skipped {
                self.warn(&format!("{}.jwks.inline", written.at), format_args!("{key}"));
            }
        }
        let roles = written.roles.as_ref();
        let keys = written.jwks.as_ref().map(|jwks| compile_keys(id, written, jwks));
        let introspection = written.introspection.as_ref();
        let introspection = introspection.map(|endpoint| compile_introspection(id, written, endpoint));
        let place = |own: &Option<Pointer>, default: &str| own.clone().or_else(|| Pointer::parse(default).ok());
        Some(token::Issuer {
            id,
            identifier: written.issuer.clone(),
            name: written.name.as_str().into(),
            audiences: match written.danger_any_audience {
                true => Audiences::Any,
                false => Audiences::OneOf(written.audiences.clone()),
            },
            algorithms: written.algorithms.clone(),
            profile: written.profile,
            leeway: written.leeway,
            max_token_lifetime: written.max_token_lifetime,
            places: Places {
                client_id: place(&written.claims.client_id, "/client_id")?,
                scope: place(&written.claims.scope, "/scope")?,
                scope_format: written.claims.scope_format,
                roles: roles.map(|roles| roles.at.clone()).unwrap_or_default(),
                only: roles.and_then(|roles| roles.only.clone()),
            },
            kept: Rc::clone(&self.kept),
            discovery: self.discovery(id, written, (keys.as_ref(), introspection.as_ref())),
            keys,
            introspection,
        })
    }

    /// Keys and introspection are asked for where the issuer says.
    fn discovery(
        &self,
        id: IssuerId,
        issuer: &written::Issuer,
        (keys, introspection): (Option<&keys::Settings>, Option<&introspection::Settings>),
    ) -> Option<discovery::Settings> {
        let written = issuer.discovery.as_ref()?;
        let asking = |document: discovery::Document| {
            let reach = (&written.cluster, written.authority.as_ref(), written.timeout);
            Rc::new(service(id, Question::Metadata, issuer, reach, &document.path(&issuer.issuer)))
        };
        let client = introspection.map(|introspection| &introspection.client);
        Some(discovery::Settings {
            issuer: issuer.issuer.clone(),
            service: asking(written.document),
            other: asking(written.document.other()),
            keys: keys.and_then(keys::Settings::service).map(Rc::clone),
            introspection: introspection.map(|introspection| Rc::clone(&introspection.service)),
            by_certificate: client.is_some_and(Authentication::is_by_certificate),
            method: client.and_then(Authentication::name),
            signs_with: client.and_then(Authentication::signs_with),
            wants_acr: self.document.routes.iter().any(|route| self.asks_for_acr(route, id)),
        })
    }

    /// Whether a route that takes this issuer's tokens asks for a stronger login.
    fn asks_for_acr(&self, route: &written::Route, id: IssuerId) -> bool {
        let asks = |step_up: &StepUp| !step_up.acr_values.is_empty();
        let rules = match &route.allow {
            Some(written::Allow::Rules(rules)) => rules.as_slice(),
            _ => &[],
        };
        let takes = route.issuers.is_empty() || route.issuers.iter().any(|name| self.issuer(name) == Some(id));
        takes && (asks(&route.step_up) || rules.iter().any(|rule| asks(&rule.step_up)))
    }
}

fn endpoint(id: IssuerId, question: Question, issuer: &written::Issuer, written: &written::Endpoint) -> Service {
    let reach = (&written.cluster, written.authority.as_ref(), written.timeout);
    service(id, question, issuer, reach, &written.path)
}

fn service(
    id: IssuerId,
    question: Question,
    issuer: &written::Issuer,
    (cluster, authority, timeout): (&String, Option<&String>, Duration),
    path: &str,
) -> Service {
    let host = issuer.issuer.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    Service {
        issuer: id,
        question,
        cluster: cluster.clone(),
        method: "GET",
        authority: authority.cloned().unwrap_or_else(|| host.unwrap_or_default().to_owned()),
        path: path.to_owned(),
        headers: vec![("accept", "application/json".to_owned())],
        timeout,
    }
}

fn compile_keys(id: IssuerId, issuer: &written::Issuer, jwks: &written::Jwks) -> keys::Settings {
    match jwks {
        written::Jwks::Inline { set, .. } => keys::Settings::Inline(Rc::new(set.clone())),
        written::Jwks::Fetched { endpoint: own, refresh, max_stale } => keys::Settings::Fetched {
            service: Rc::new(endpoint(id, Question::KeySet, issuer, own)),
            refresh: *refresh,
            max_stale: *max_stale,
        },
    }
}

fn compile_introspection(
    id: IssuerId,
    issuer: &written::Issuer,
    written: &written::Introspection,
) -> introspection::Settings {
    // A further word compiles nowhere before something is done for it here.
    let service = endpoint(id, Question::Introspection, issuer, &written.endpoint);
    let (method, accept, content_type) = spoken(written.protocol);
    let mut headers = vec![("accept", accept.to_owned())];
    headers.extend(written.client.authorization().map(|value| ("authorization", value)));
    headers.extend(content_type.map(|content_type| ("content-type", content_type.to_owned())));
    introspection::Settings {
        service: Rc::new(Service { method, headers, ..service }),
        client: written.client.clone(),
        protocol: written.protocol,
        cache: written.cache,
        stale_if_error: written.stale_if_error,
        without_exp: written.danger_allow_no_exp,
    }
}

/// By which method a question is asked, what may answer it, and what it is.
fn spoken(protocol: Protocol) -> (&'static str, &'static str, Option<&'static str>) {
    const FORM: &str = "application/x-www-form-urlencoded";
    match protocol {
        Protocol::Rfc7662 => ("POST", "application/json", Some(FORM)),
        Protocol::Rfc9701 => ("POST", "application/token-introspection+jwt", Some(FORM)),
        // Keycloak answers with a JWT only where this stands alone.
        Protocol::Phantom => ("POST", "application/jwt", Some(FORM)),
        Protocol::Split => ("GET", "*/*", None),
        Protocol::Authlete => ("POST", "application/json", Some("application/json")),
    }
}

/// Routes.
impl Loading<'_> {
    fn route(&mut self, written: &written::Route) -> Option<(Route, effect::Settings)> {
        let effective = self.document.defaults.under(&written.own);
        let allow = written.allow.as_ref()?;
        let issuers = self.issuers_of(written, allow);
        let place = Place { route: Some(written), issuers: issuers.clone(), issuer_is_said: false };
        let compiled = match allow {
            written::Allow::Public => Allow::Public,
            written::Allow::Authenticated => Allow::Authenticated,
            written::Allow::Rules(rules) => Allow::Rules(rules.iter().map(|rule| self.rule(rule, &place)).collect()),
        };
        let referred = captures_referred_to(allow);
        self.scopes_fit(written, allow);
        self.captures_are_unique(written);
        let introspecting =
            |id: &&IssuerId| self.document.issuers.get(id.0).is_some_and(|issuer| issuer.introspection.is_some());
        let introspects: Vec<IssuerId> = issuers.iter().filter(introspecting).copied().collect();
        let revocation = effective.revocation.unwrap_or_default();
        // Where there are several, a JWT tells whose it is, and opaque tokens are refused.
        let first = introspects.first().filter(|_| introspects.len() == 1).copied();
        if introspects.len() > 1 && revocation == Revocation::None {
            self.wrong(
                &written.at,
                "two of its issuers introspect; an opaque token does not tell whose it is, so name one of them",
            );
        }
        if revocation == Revocation::Introspection {
            self.all_can_be_asked(written, &issuers);
        }
        let route = Route {
            name: written.name.clone(),
            hosts: written.hosts.iter().map(|host| HostPattern(host.0.binding_only(&referred))).collect(),
            methods: written.methods.clone(),
            paths: written.paths.iter().map(|path| PathPattern(path.0.binding_only(&referred))).collect(),
            envoy_routes: written.envoy_routes.clone(),
            allow: compiled,
            issuers,
            introspects: first,
            revocation,
            audiences: written.audiences.clone().map(Audiences::OneOf),
            scopes: written.scopes.clone(),
            step_up: written.step_up.clone(),
            passes_preflight: effective.cors_preflight.unwrap_or(false),
            allows: written.danger_allow_path,
            binding: effective.binding.unwrap_or(Requirement::Certificate),
            allows_plaintext: effective.danger_allow_plaintext.unwrap_or(false),
            forwards_unverified_token: written.danger_forward_unverified_token,
        };
        if route.reads_token() && written.danger_forward_unverified_token {
            let at = format!("{}.danger_forward_unverified_token", written.at);
            self.wrong(&at, "the route verifies tokens, so none goes on unverified; take it out");
        }
        let schemes = schemes(route.binding, self.document.dpop.as_ref());
        Some((route, effects(&effective, &written.scopes, schemes)))
    }

    /// Whether somebody can be asked about each JWT that the route takes.
    fn all_can_be_asked(&self, written: &written::Route, issuers: &[IssuerId]) {
        let at =
            if written.own.revocation.is_some() { format!("{}.revocation", written.at) } else { written.at.clone() };
        let issuers = issuers.iter().filter_map(|id| self.document.issuers.get(id.0));
        for issuer in issuers.clone() {
            let Some(introspection) = &issuer.introspection else { continue };
            if !matches!(introspection.protocol, Protocol::Rfc7662 | Protocol::Rfc9701) {
                let what = format!(
                    "{} is not asked about JWTs by its protocol; write rfc7662 or rfc9701 there, or revocation: none here",
                    issuer.name
                );
                self.wrong(&at, what);
            }
        }
        let silent = issuers.filter(|issuer| issuer.introspection.is_none());
        for issuer in silent.filter(|issuer| !self.is_told(&issuer.at, "introspection")) {
            let what = format!(
                "{} has no introspection endpoint, so nobody can be asked about its tokens; write introspection at it, or \
                 revocation: none here",
                issuer.name
            );
            self.wrong(&at, what);
        }
    }

    /// Whose tokens a route takes: the one issuer, or those it names.
    fn issuers_of(&self, written: &written::Route, allow: &written::Allow) -> Vec<IssuerId> {
        let named: Vec<IssuerId> =
            written.issuers.iter().filter_map(|name| self.known_issuer(&written.at, name)).collect();
        let wants = match allow {
            written::Allow::Public => false,
            written::Allow::Authenticated => true,
            written::Allow::Rules(rules) => rules.iter().any(|rule| !rule.without_token),
        };
        match (wants, self.document.issuers.len()) {
            (false, _) => {
                if !written.issuers.is_empty() && !matches!(allow, written::Allow::Public) {
                    self.wrong(
                        &format!("{}.issuer", written.at),
                        "no rule of this route looks at a token; take it out",
                    );
                }
                Vec::new()
            }
            (true, 0) => {
                self.wrong(
                    &written.at,
                    "takes tokens, and there are no issuers; write issuers: [{issuer: https://…, …}]",
                );
                Vec::new()
            }
            (true, 1) if written.issuers.is_empty() => vec![IssuerId(0)],
            (true, _) if written.issuers.is_empty() && self.is_told(&written.at, "issuer") => Vec::new(),
            (true, _) if written.issuers.is_empty() => {
                let names = self.names();
                let first = names.first().copied().unwrap_or_default();
                let what = format!(
                    "takes tokens, and there are several issuers; say whose: issuer: {first}, or a list from {}",
                    names.join(", ")
                );
                self.wrong(&written.at, what);
                Vec::new()
            }
            (true, _) => named,
        }
    }

    fn known_issuer(&self, at: &str, name: &str) -> Option<IssuerId> {
        let known = self.issuer(name);
        let any_unreadable = || {
            self.document
                .issuers
                .iter()
                .any(|issuer| self.is_told(&issuer.at, "name") || self.is_told(&issuer.at, "issuer"))
        };
        if known.is_none() && !any_unreadable() {
            self.wrong(
                &format!("{at}.issuer"),
                format_args!("there is no issuer {name}; there are {}", self.names().join(", ")),
            );
        }
        known
    }

    /// Scopes of a route stand in a token, so no rule of it can do without one.
    fn scopes_fit(&self, written: &written::Route, allow: &written::Allow) {
        let written::Allow::Rules(rules) = allow else { return };
        let asks = [
            ("scopes", !written.scopes.is_empty()),
            ("audiences", written.audiences.is_some()),
            ("acr_values", !written.step_up.acr_values.is_empty()),
            ("max_age", written.step_up.max_age.is_some()),
        ];
        for rule in rules {
            self.step_up_is_asked_once(written, rule);
        }
        let Some((asks, _)) = asks.into_iter().find(|(_, asks)| *asks) else { return };
        for rule in rules.iter().filter(|rule| rule.without_token) {
            let instead = match asks {
                "audiences" => "give that rule a route of its own".to_owned(),
                _ => format!("put {asks} into the rules that want it"),
            };
            let what = format!("the route asks every caller for {asks}, which stands in the token; {instead}");
            self.wrong(&format!("{}.token", rule.at), what);
        }
    }

    /// A rule adds what its route does not ask.
    fn step_up_is_asked_once(&self, route: &written::Route, rule: &written::Rule) {
        let both = [
            ("acr_values", !route.step_up.acr_values.is_empty() && !rule.step_up.acr_values.is_empty()),
            ("max_age", route.step_up.max_age.is_some() && rule.step_up.max_age.is_some()),
        ];
        for (name, _) in both.into_iter().filter(|(_, both)| *both) {
            let what = format!("the route says {name} too; say it in one of the two places");
            self.wrong(&format!("{}.{name}", rule.at), what);
        }
    }

    fn captures_are_unique(&self, written: &written::Route) {
        let of_hosts: Vec<&str> = written.hosts.iter().flat_map(|host| host.names()).collect();
        if let Some(name) = written.paths.iter().flat_map(|path| path.names()).find(|name| of_hosts.contains(name)) {
            self.wrong(
                &written.at,
                format_args!("{{{name}}} stands in host and in path; one request would bind it to two things"),
            );
        }
    }

    fn routes_are_reachable(&mut self, routes: &[(Route, effect::Settings)]) {
        let written: Vec<&written::Route> = self.document.routes.iter().filter(|route| route.allow.is_some()).collect();
        let readable = || routes.iter().zip(written.iter().copied()).filter(|(_, written)| written.is_readable);
        let words: Vec<String> = readable().map(|((route, _), _)| metric::word(&route.name)).collect();
        for (at, (((later, _), own), word)) in readable().zip(&words).enumerate() {
            let before = || readable().take(at).map(|((route, _), written)| (route, written));
            if before().any(|(earlier, _)| earlier.name == later.name) {
                self.wrong(&own.at, "another route has this name too");
            } else if let Some(((earlier, _), _)) = before().zip(&words).find(|(_, other)| *other == word) {
                self.wrong(&own.at, same_in_metrics(&later.name, &earlier.name));
            }
            if let Some((earlier, _)) = before().find(|(earlier, _)| earlier.takes_all_but_odd_paths_of(later)) {
                let what = format!(
                    "can never match: routes[{}] stands before it and takes all of it; move routes[{}] up",
                    earlier.name, later.name
                );
                self.wrong(&own.at, what);
                continue;
            }
            if later.allows != Oddities::default()
                && let Some((earlier, _)) = before().find(|(earlier, _)| takes_odd_paths_of(later, earlier))
            {
                let what = format!("also takes odd spellings of what routes[{}] is for", earlier.name);
                self.warn(&format!("{}.danger_allow_path", own.at), what);
            }
            let narrower =
                || before().filter(|(earlier, _)| later.takes_place_of(earlier) && shares_method(later, earlier));
            let left_over = before().find_map(|(earlier, theirs)| Some((earlier, left_over(later, earlier, theirs)?)));
            let taken = before().find_map(|(earlier, _)| Some((earlier, taken_of(later, earlier)?)));
            if let Some((earlier, place)) = left_over {
                let what = format!(
                    "would take the methods that routes[{}] leaves of {place}; say which: methods: [...]",
                    earlier.name
                );
                self.wrong(&own.at, what);
            } else if let Some((earlier, method)) = taken {
                let what = format!("never sees {method}: routes[{}] stands before it and takes that", earlier.name);
                self.warn(&own.at, what);
            } else if let Some((earlier, _)) = narrower().next()
                && later.paths.iter().any(|path| path.0.open)
            {
                self.warn(&own.at, format_args!("also takes what routes[{}] leaves over", earlier.name));
            }
        }
    }

    /// A changed header makes Envoy choose the route again, after the decision.
    fn nothing_moves_the_envoy_route(&self, routes: &[(Route, effect::Settings)]) {
        if !routes.iter().any(|(route, _)| !route.envoy_routes.is_empty()) {
            return;
        }
        for (issuer, introspection) in self.introspecting() {
            if matches!(introspection.protocol, Protocol::Phantom | Protocol::Split) {
                let what = "can't stand beside envoy_route: it puts a JWT in place of the token, and a changed header makes Envoy \
                            choose the route again, after the decision; match by host and path";
                self.wrong(&format!("{}.introspection.protocol", issuer.at), what);
            }
        }
        for forward in self.forwards() {
            if forward.token == TokenForward::Strip {
                let what = "can't stand beside envoy_route: a removed header makes Envoy choose the route again, after the decision; \
                            write keep, or match by host and path";
                self.wrong(&format!("{}.token", forward.at), what);
            }
            if !forward.headers.is_empty() {
                let what = "can't stand beside envoy_route: an added header makes Envoy choose the route again, after the decision; \
                            use filter_state, or match by host and path";
                self.wrong(&format!("{}.headers", forward.at), what);
            }
        }
    }

    fn introspecting(&self) -> impl Iterator<Item = (&written::Issuer, &written::Introspection)> {
        self.document.issuers.iter().filter_map(|issuer| Some((issuer, issuer.introspection.as_ref()?)))
    }

    /// What is signed is verified with keys, and a proof holds one nonce.
    fn protocols_fit(&self) {
        for (issuer, introspection) in self.introspecting() {
            let at = format!("{}.introspection", issuer.at);
            let signed = match introspection.protocol {
                Protocol::Rfc9701 => Some("rfc9701 answers with a JWT"),
                Protocol::Phantom => Some("phantom answers with a JWT"),
                Protocol::Split => Some("split makes a JWT of the token"),
                Protocol::Rfc7662 | Protocol::Authlete => None,
            };
            if let Some(signed) = signed.filter(|_| issuer.jwks.is_none() && !self.is_told(&issuer.at, "jwks")) {
                let what = format!("{signed}, and there are no keys to verify it with; write jwks");
                self.wrong(&format!("{at}.protocol"), what);
            }
            let is_formless = matches!(introspection.protocol, Protocol::Split | Protocol::Authlete);
            if is_formless && introspection.client.needs_form() {
                let what = "is shown in a form, and this protocol sends none; write client_secret_basic or bearer";
                self.wrong(&format!("{at}.auth_method"), what);
            }
            if is_formless && issuer.discovery.is_some() {
                let what = "has an endpoint that discovery does not tell; take discovery out, and write the paths of jwks and introspection";
                self.wrong(&format!("{at}.protocol"), what);
            }
            if introspection.protocol == Protocol::Split && introspection.endpoint.path.contains('?') {
                let what = "has a query, and the digest of a token stands behind the path; take the query out";
                self.wrong(&format!("{at}.path"), what);
            }
            if introspection.protocol == Protocol::Rfc9701 && introspection.client.client_id().is_none() {
                let what = "answers to a client by its client_id, and bearer has none; write another auth_method";
                self.wrong(&format!("{at}.protocol"), what);
            }
            let is_jwt = matches!(introspection.protocol, Protocol::Phantom | Protocol::Split);
            if is_jwt && introspection.danger_allow_no_exp {
                let what = "a JWT without exp is never taken; take it out";
                self.wrong(&format!("{at}.danger_allow_no_exp"), what);
            }
            let has_nonces = self.document.dpop.as_ref().is_some_and(|dpop| dpop.nonce_required);
            if introspection.protocol == Protocol::Authlete && has_nonces {
                let what = "a proof holds one nonce, and with authlete that is the API's, which is handed on; take nonce out of dpop";
                self.wrong(&format!("{at}.protocol"), what);
            }
        }
    }

    fn forwards(&self) -> impl Iterator<Item = &written::Forward> {
        forwards(self.document)
    }

    /// Two issuers may each have an `ann`: an upstream that is told who somebody is has to be told whose.
    fn who_is_told_has_an_issuer(&self) {
        if self.document.issuers.len() < 2 {
            return;
        }
        let clients: Vec<&str> = self
            .document
            .issuers
            .iter()
            .filter_map(|issuer| issuer.claims.client_id.as_ref())
            .map(Pointer::as_str)
            .collect();
        let names_somebody = |fact: &Fact| match fact {
            Fact::ClientId | Fact::Subject => true,
            Fact::Claim(place) => matches!(place.as_str(), "/sub" | "/client_id") || clients.contains(&place.as_str()),
            _ => false,
        };
        for forward in self.forwards() {
            let tells = |wanted: &dyn Fn(&Fact) -> bool| forward.headers.iter().find(|(_, fact)| wanted(fact));
            if let (Some((name, _)), None) = (tells(&names_somebody), tells(&|fact| *fact == Fact::Issuer)) {
                let what = "there are several issuers, and each may mean somebody else by it; tell whose it is beside it: x-issuer: issuer";
                self.wrong(&format!("{}.headers[{name:?}]", forward.at), what);
            }
        }
    }

    /// A SPIFFE ID is known only where some trust domain is.
    fn told_ids_are_proven(&self) {
        let certificate = &self.document.peer_certificate;
        let of_relays = || certificate.relays.iter().any(|relay| !relay.trust_domains.is_empty());
        if !certificate.trust_domains.is_empty() || of_relays() || certificate.is_unreadable {
            return;
        }
        for forward in self.forwards() {
            let of_headers = forward.headers.iter().map(|told| ("headers", told));
            let of_state = forward.filter_state.iter().map(|told| ("filter_state", told));
            for (map, (name, _)) in of_headers.chain(of_state).filter(|(_, (_, fact))| *fact == Fact::SpiffeId) {
                let what = "no certificate can prove a SPIFFE ID; if the proxy checks a trust domain's own CA, say so: \
                            peer_certificate: {chain: verified, trust_domains: [...]}";
                self.wrong(&format!("{}.{map}[{name:?}]", forward.at), what);
            }
        }
    }

    /// A proof names our URL, which no request tells.
    fn proofs_are_described(&self) {
        if self.document.dpop.is_some() {
            return;
        }
        let at_top = [(String::new(), &self.document.defaults)].into_iter();
        let of_routes = self.document.routes.iter().map(|route| (format!("{}.", route.at), &route.own));
        for (at, own) in at_top.chain(of_routes) {
            if let Some(Requirement::Dpop | Requirement::Either | Requirement::Both) = own.binding {
                let what = "takes DPoP proofs, and nothing says what clients call us; write \
                            dpop: {origins: [https://api.bank.example]} at the top";
                self.wrong(&format!("{at}binding"), what);
            }
        }
    }

    fn warn_of_dangers(&mut self) {
        let document = self.document;
        let unbound = "admits tokens that are good in anybody's hands; those that are bound are still held to it";
        let plaintext = "takes tokens over a hop without TLS";
        let fields = [(String::new(), &document.defaults)].into_iter();
        for (at, own) in fields.chain(document.routes.iter().map(|route| (format!("{}.", route.at), &route.own))) {
            if own.binding == Some(Requirement::WhenBound) {
                self.warn(&format!("{at}binding"), format_args!("when_bound {unbound}"));
            }
            if own.danger_allow_plaintext == Some(true) {
                self.warn(&format!("{at}danger_allow_plaintext"), plaintext);
            }
        }
        for route in document.routes.iter().filter(|route| route.danger_forward_unverified_token) {
            let at = format!("{}.danger_forward_unverified_token", route.at);
            self.warn(&at, "the upstream gets tokens that nobody has verified");
        }
        for route in &document.routes {
            let allowed = route.danger_allow_path;
            for (is_allowed, what) in [
                (
                    allowed.encoded_slash,
                    "encoded_slash takes paths with %2F, which may be a slash to the service behind",
                ),
                (
                    allowed.empty_segment,
                    "empty_segment takes paths with //, which may be one slash to the service behind",
                ),
                (
                    allowed.semicolon,
                    "semicolon takes paths with ;, which the service behind may cut off with all that follows",
                ),
            ] {
                if is_allowed {
                    self.warn(&format!("{}.danger_allow_path", route.at), what);
                }
            }
        }
        if document.dpop.as_ref().is_some_and(|dpop| dpop.danger_admit_when_full) {
            let what = "proofs that find no place in the memory pass, and could be shown again";
            self.warn("dpop.danger_admit_when_full", what);
        }
        if document.peer_certificate.danger_unchecked_validity {
            let what = "certificates whose dates the proxy does not tell are taken, expired ones too";
            self.warn("peer_certificate.danger_unchecked_validity", what);
        }
        for issuer in &document.issuers {
            if issuer.danger_any_audience {
                self.warn(&format!("{}.danger_any_audience", issuer.at), "its tokens are taken whoever they are for");
            }
            if issuer.introspection.as_ref().is_some_and(|introspection| introspection.danger_allow_no_exp) {
                let at = format!("{}.introspection.danger_allow_no_exp", issuer.at);
                self.warn(&at, "tokens without an end are taken");
            }
        }
    }
}

/// Every `forward` of a document: those of routes, and the default.
fn forwards(document: &Document) -> impl Iterator<Item = &written::Forward> {
    let of_routes = document.routes.iter().map(|route| &route.own);
    of_routes.chain([&document.defaults]).filter_map(|own| own.forward.as_ref())
}

fn same_in_metrics(name: &str, other: &str) -> String {
    let word = metric::word(name);
    format!("{name} and {other} are both written {word} in metrics; choose a name that differs by more than a dot")
}

/// A path of which `later`, for any method, would take what `earlier` does not name.
fn left_over<'a>(later: &Route, earlier: &Route, written: &'a written::Route) -> Option<&'a str> {
    let hosts = later.hosts.is_empty()
        || earlier.hosts.is_empty()
        || earlier.hosts.iter().any(|theirs| later.hosts.iter().any(|ours| ours.covers(theirs)));
    let envoy_routes = later.envoy_routes.is_empty() == earlier.envoy_routes.is_empty()
        && earlier.envoy_routes.iter().all(|name| later.envoy_routes.contains(name));
    if !later.methods.is_empty() || earlier.methods.is_empty() || !hosts || !envoy_routes {
        return None;
    }
    if later.paths.is_empty() || (earlier.paths.is_empty() && later.paths.iter().any(PathPattern::takes_all)) {
        return Some(written.path_texts.first().map_or("/**", String::as_str));
    }
    let is_covered = |theirs: &PathPattern| later.paths.iter().any(|ours| ours.covers(theirs));
    let mut paths = earlier.paths.iter().zip(&written.path_texts);
    paths.find(|(theirs, _)| is_covered(theirs)).map(|(_, text)| text.as_str())
}

/// Whether odd spellings of a path that `earlier` protects match only `later`: `/admin;x` is not `/admin`.
fn takes_odd_paths_of(later: &Route, earlier: &Route) -> bool {
    !matches!(earlier.allow, Allow::Public) && later.takes_place_of(earlier)
}

/// Whether some method is for both; where none is, each says whose it is.
fn shares_method(one: &Route, other: &Route) -> bool {
    one.methods.is_empty()
        || other.methods.is_empty()
        || one.methods.iter().any(|method| other.methods.contains(method))
}

/// A method of `later` that `earlier` takes from it everywhere.
fn taken_of<'a>(later: &Route, earlier: &'a Route) -> Option<&'a str> {
    let wanted = |method: &&String| later.methods.is_empty() || later.methods.contains(*method);
    earlier.methods.iter().find(wanted).filter(|_| earlier.takes_place_of(later)).map(String::as_str)
}

fn effects(effective: &written::Defaults, scopes: &[String], schemes: effect::Schemes) -> effect::Settings {
    let default = effect::Settings::default();
    let challenge = effective.challenge.as_ref();
    let forward = effective.forward.as_ref();
    effect::Settings {
        realm: challenge.and_then(|challenge| challenge.realm.as_deref()).map_or(default.realm, Rc::from),
        resource_metadata: challenge.and_then(|challenge| challenge.resource_metadata.as_deref()).map(Rc::from),
        scopes: scopes.to_vec(),
        schemes,
        token: forward.map_or(TokenForward::Keep, |forward| forward.token),
        headers: forward.map(|forward| forward.headers.clone()).unwrap_or_default(),
        filter_state: forward.iter().flat_map(|forward| &forward.filter_state).map(in_filter_state).collect(),
    }
}

/// The names that some rule refers to; others need not be bound.
fn captures_referred_to(allow: &written::Allow) -> BTreeSet<&str> {
    let written::Allow::Rules(rules) = allow else { return BTreeSet::new() };
    let mut open: Vec<&written::Rule> = rules.iter().collect();
    let mut names = BTreeSet::new();
    while let Some(rule) = open.pop() {
        names.extend(rule.references.iter().filter_map(|(_, reference)| match reference {
            Reference::Captured(name) => Some(name.as_str()),
            Reference::Claim(_) => None,
        }));
        open.extend(&rule.not);
    }
    names
}

fn in_filter_state((name, fact): &(String, Fact)) -> (String, Fact) {
    (format!("{FILTER_STATE}{name}"), fact.clone())
}

/// Rules.
impl Loading<'_> {
    fn rule(&mut self, written: &written::Rule, place: &Place<'_>) -> Rule {
        let issuers: Vec<IssuerId> =
            written.issuers.iter().filter_map(|name| self.known_issuer(&written.at, name)).collect();
        self.issuer_is_said(written, &issuers, place);
        if let (true, Some(asks)) = (written.without_token, written.asks_token()) {
            let what = format!("none stands beside {asks}, which stands in a token; take one of them out");
            self.wrong(&format!("{}.token", written.at), what);
        }
        for (at, reference) in &written.references {
            self.reference_is_bound(at, reference, place);
        }
        let whose = if issuers.is_empty() { &place.issuers } else { &issuers };
        for role in &written.roles {
            self.role_exists(&format!("{}.role", written.at), role, whose);
        }
        if written.principal.is_some() {
            self.principals_are_told_apart(&written.at, whose);
        }
        if let Some(certificate) = &written.certificate {
            let at = format!("{}.certificate", written.at);
            self.names_are_proven(&at, certificate);
            if written.without_token {
                self.somebody_is_named(&at, certificate);
            }
        }
        let inside =
            Place { issuers: whose.clone(), issuer_is_said: place.issuer_is_said || !issuers.is_empty(), ..*place };
        Rule {
            roles: written.roles.clone(),
            clients: written.clients.clone(),
            issuers,
            principal: written.principal,
            claims: written.claims.clone(),
            certificate: written.certificate.clone(),
            scopes: written.scopes.clone(),
            step_up: written.step_up.clone(),
            without_token: written.without_token,
            not: written.not.iter().map(|rule| self.rule(rule, &inside)).collect(),
        }
    }

    /// Servers outside RFC 9068 write a `sub` into clients' own tokens too, and not the client's id.
    fn principals_are_told_apart(&self, at: &str, whose: &[IssuerId]) {
        let issuers = whose.iter().filter_map(|id| self.document.issuers.get(id.0));
        let untold =
            |issuer: &&written::Issuer| issuer.profile == Profile::Legacy && issuer.client_token_when.is_empty();
        for issuer in issuers.filter(untold).filter(|issuer| !self.is_told(&issuer.at, "client_token_when")) {
            let what = format!(
                "{} does not tell users from clients by itself; say at it what only clients' own tokens have: \
                 client_token_when: {{/claim: {{present: true}}}}",
                issuer.name
            );
            self.wrong(&format!("{at}.principal"), what);
        }
    }

    /// Where a route takes several issuers, a client or a claim means nothing without its issuer.
    fn issuer_is_said(&self, written: &written::Rule, issuers: &[IssuerId], place: &Place<'_>) {
        for other in issuers
            .iter()
            .filter(|id| place.route.is_some() && !place.issuers.is_empty() && !place.issuers.contains(id))
        {
            let name = self.document.issuers.get(other.0).map_or("", |issuer| &issuer.name);
            self.wrong(&format!("{}.issuer", written.at), format_args!("the route does not take tokens of {name}"));
        }
        if place.issuers.len() < 2 || place.issuer_is_said || !written.issuers.is_empty() {
            return;
        }
        let names: Vec<&str> = place
            .issuers
            .iter()
            .filter_map(|id| self.document.issuers.get(id.0))
            .map(|issuer| issuer.name.as_str())
            .collect();
        let refers = written.references.iter().any(|(_, reference)| matches!(reference, Reference::Claim(_)));
        let certificate = written.certificate.is_some() && written.claims.is_empty() && refers;
        for (member, is_there) in [
            ("client", !written.clients.is_empty()),
            ("claims", !written.claims.is_empty()),
            ("certificate", certificate),
        ] {
            if is_there {
                let what = format!(
                    "{} may each mean somebody else by this; write issuer beside it, one or a list",
                    names.join(" and ")
                );
                self.wrong(&format!("{}.{member}", written.at), what);
            }
        }
    }

    fn reference_is_bound(&self, at: &str, reference: &Reference, place: &Place<'_>) {
        let Reference::Captured(name) = reference else { return };
        let Some(route) = place.route else {
            self.wrong(at, format_args!("{{{name}}} is bound by no route here; deny rules stand above all of them"));
            return;
        };
        if !route.is_readable {
            return;
        }
        let in_all = |mut patterns: core::slice::Iter<'_, Vec<&str>>| {
            patterns.len() > 0 && patterns.all(|names| names.contains(&name.as_str()))
        };
        let hosts: Vec<Vec<&str>> = route.hosts.iter().map(|host| host.names().collect()).collect();
        let paths: Vec<Vec<&str>> = route.paths.iter().map(|path| path.names().collect()).collect();
        if !in_all(hosts.iter()) && !in_all(paths.iter()) {
            self.wrong(
                at,
                format_args!(
                    "{{{name}}} is bound neither by every host nor by every path of the route; write it there"
                ),
            );
        }
    }

    /// Whether one of these issuers may assert the role, or one that includes it.
    fn role_exists(&self, at: &str, role: &str, whose: &[IssuerId]) {
        let issuers = &self.document.issuers;
        let every = || issuers.iter().filter_map(|issuer| issuer.roles.as_ref());
        let theirs = || whose.iter().filter_map(|id| issuers.get(id.0)?.roles.as_ref());
        let may = |roles: &written::IssuerRoles| match (&roles.only, &self.hierarchy) {
            // An empty one could not be read, which is said where it stands.
            (Some(only), Some(hierarchy)) if !only.is_empty() => hierarchy.includes(only, role),
            _ => true,
        };
        let unreadable = || issuers.iter().any(|issuer| self.is_told(&issuer.at, "roles"));
        if every().count() == 0 && unreadable() {
            return;
        }
        if every().count() == 0 {
            self.wrong(at, "no issuer brings roles; say where they stand: issuers: [{roles: {at: [/roles]}, …}]");
        } else if !every().any(may) {
            let what = "and no role includes it; write it into `only` or into roles.includes";
            self.wrong(at, format_args!("no issuer may assert {role}, {what}"));
        } else if !whose.is_empty() && !theirs().any(may) {
            let names: Vec<&str> = whose.iter().map(|id| self.issuer_name(*id)).collect();
            let what = "the rule would hold for nobody; write it into their `only`, or take another issuer";
            self.wrong(at, format_args!("{} may not assert {role}; {what}", names.join(" and ")));
        }
    }

    fn including_roles_exist(&self) {
        for (role, _) in &self.document.roles.includes {
            self.role_exists(&format!("roles.includes[{role:?}]"), role, &[]);
        }
    }

    /// Nobody can hold two of them, so no role may include two, and each has to be one that somebody is asked for.
    fn exclusive_roles_fit(&self) {
        // What could not be read may be where a role is asked for.
        let all_read = self.found.borrow().is_empty();
        let asked = self.asked_roles();
        for (at, list) in self.document.roles.exclusive.iter().enumerate() {
            let at = format!("roles.exclusive[{at}]");
            for role in list {
                self.role_exists(&at, role, &[]);
                if all_read && !asked.contains(&role.as_str()) {
                    self.wrong(
                        &at,
                        format_args!("no rule asks for {role}, and no role includes it or is included by it"),
                    );
                }
            }
            let Some(hierarchy) = &self.hierarchy else { continue };
            for (role, _) in &self.document.roles.includes {
                let held = [role.clone()];
                let both: Vec<&str> =
                    list.iter().filter(|other| hierarchy.includes(&held, other)).map(String::as_str).collect();
                if let [one, other, ..] = both.as_slice() {
                    self.wrong(
                        &format!("roles.includes[{role:?}]"),
                        format_args!("has {one} and {other}, of which nobody may hold both; nobody could use it"),
                    );
                }
            }
        }
    }

    /// Every role that a rule or the hierarchy speaks of.
    fn asked_roles(&self) -> Vec<&str> {
        fn of_rule<'a>(rule: &'a written::Rule, all: &mut Vec<&'a str>) {
            all.extend(rule.roles.iter().map(String::as_str));
            rule.not.iter().for_each(|inner| of_rule(inner, all));
        }
        let mut all = Vec::new();
        let of_routes = self.document.routes.iter().flat_map(|route| match &route.allow {
            Some(written::Allow::Rules(rules)) => rules.as_slice(),
            _ => &[],
        });
        of_routes.chain(&self.document.deny).for_each(|rule| of_rule(rule, &mut all));
        for (role, included) in &self.document.roles.includes {
            all.push(role);
            all.extend(included.iter().map(String::as_str));
        }
        all
    }

    /// Whether some certificate can prove these names: one that the connection shows, or one that a relay tells.
    fn names_are_proven(&mut self, at: &str, test: &CertificateTest) {
        let own = &self.document.peer_certificate;
        let all: Vec<Trust> = own.relays.iter().map(trust_in).chain([trust(own)]).collect();
        self.names_are_proven_by(&all, at, test);
    }

    fn names_are_proven_by(&mut self, sources: &[Trust], at: &str, test: &CertificateTest) {
        if self.document.peer_certificate.is_unreadable {
            return;
        }
        let verifying = || sources.iter().filter(|source| source.chain_verified);
        let verified = verifying().next().is_some();
        let trusts = |domain: &String| verifying().any(|source| source.trust_domains.contains(domain));
        for pattern in &test.spiffe_id {
            let domain = pattern.trust_domain();
            if !trusts(&domain.to_owned()) {
                let what = format!(
                    "no certificate can prove {domain}; if the proxy checks that trust domain's own CA, say so: \
                     peer_certificate: {{chain: verified, trust_domains: [{domain}]}}"
                );
                self.wrong(&format!("{at}.spiffe_id"), what);
            }
            if let [Piece::Text(ns), namespace, Piece::Any] = pattern.path.pieces.as_slice()
                && ns == "ns"
                && *namespace != Piece::Any
                && !pattern.path.open
            {
                self.warn(
                    &format!("{at}.spiffe_id"),
                    "Istio identities have one segment more: /ns/<namespace>/sa/<account>",
                );
            }
        }
        let may_prove = |wanted: &DnsPattern| {
            verifying().any(|source| {
                source.dns_names.is_empty() || source.dns_names.iter().any(|own| own.0.shares_with(&wanted.0))
            })
        };
        if verified && !test.san_dns.iter().all(may_prove) {
            let what = "no certificate can prove such a name; dns_names of peer_certificate and of relays list others";
            self.wrong(&format!("{at}.san_dns"), what);
        }
        for name in test.names().filter(|name| *name != "spiffe_id" && !verified) {
            let what = "names in certificates count only where the proxy verified the chain; if it does, say so: \
                        peer_certificate: {chain: verified}";
            self.wrong(&format!("{at}.{name}"), what);
        }
    }

    fn roles(&self) -> Option<Roles> {
        match Roles::new(&self.document.roles.includes, &self.document.roles.exclusive) {
            Ok(roles) => Some(roles),
            Err(Circle(circle)) => {
                self.wrong(
                    "roles.includes",
                    format_args!("{} is a circle; take one of them out", circle.join(" includes ")),
                );
                None
            }
        }
    }
}
