//! Route, token, sender and certificate into a permit (`configuration.md` §3, checklist §24).

use core::str::Split;
use core::time::Duration;
use std::borrow::Cow;
use std::rc::Rc;

use crate::binding::{ClientCertificate, ConfirmedSender};
use crate::facts::Request;
use crate::facts::peer::{Leaf, PeerCertificate, RelayId, Source};
use crate::jose::json::{Pointer, Value};
use crate::time::UnixTime;
use crate::token::VerifiedToken;

pub mod certificate;
mod index;
pub mod operand;
pub mod path;
pub mod pattern;
pub mod principal;
pub mod relay;
pub mod role;
pub mod route;
pub mod rule;
pub mod step_up;
pub mod truth;

use index::Index;
use operand::Bindings;
use path::Path;
use pattern::DnsPattern;
use principal::Principals;
use relay::{PeerKind, Relay};
use role::Roles;
use route::{Allow, Host, Line, Matched, Route, RouteId};
use rule::{Facts, Rule};
use step_up::{Lacking, StepUp};
use truth::Truth;

/// Everything that decides once a caller is known.
#[derive(Debug)]
pub struct Policy {
    routes: Vec<Rc<Route>>,
    index: Index,
    roles: Roles,
    /// Refuse first, on every route that is not public.
    deny: Vec<Rule>,
    /// By issuer.
    principals: Vec<Principals>,
    /// In the names of certificates that the connection shows.
    trust: Trust,
    relays: Vec<Relay>,
    /// What `allow: authenticated` stands for.
    anybody: Rule,
}

/// What the operator says of the certificates that this proxy takes.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The proxy verified the chain; names count only then.
    pub chain_verified: bool,
    /// SPIFFE trust domains whose own CA it verified it with.
    pub trust_domains: Vec<String>,
    /// The DNS names that it may prove; any where there are none.
    pub dns_names: Vec<DnsPattern>,
}

/// Who asks to pass.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub sender: Option<&'a ConfirmedSender>,
    /// Inside its dates.
    pub certificate: Option<&'a PeerCertificate>,
    pub now: UnixTime,
}

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A target, or a host where routes ask for one, that proxy and service may read in different ways.
    AmbiguousPath,
    /// No route takes it.
    NoRoute,
    /// The Envoy route names a policy that no route has.
    UnknownPolicy,
    /// The token asserts two roles of an `exclusive` list, included ones counted.
    ExclusiveRoles,
    /// A `deny` rule holds, or it can't be told that it does not.
    Denied,
    /// No rule holds.
    NoRule,
    /// A token with these scopes would pass.
    Scope { needed: Vec<String> },
    /// A token of another login would pass (RFC 9470 §3): how it has to be, and the scopes if they lack too.
    StepUp { lacking: Lacking, acr_values: Vec<String>, max_age: Option<Duration>, needed: Vec<String> },
    /// Nobody presented a token, and one could pass.
    CredentialMissing,
}

impl Trust {
    /// The SPIFFE ID that a leaf proves: of a listed trust domain, and of an X.509-SVID, which has one URI and no right to
    /// sign (checklist 22.2–22.4). With it, its trust domain and the segments of its path.
    fn spiffe_id<'a>(&self, leaf: &'a Leaf) -> Option<(&'a str, Cow<'a, str>, Split<'a, char>)> {
        let [id] = leaf.uris.as_slice() else { return None };
        let (trust_domain, segments) = pattern::split_id(id)?;
        let proven = self.chain_verified && !leaf.may_sign && self.trusts(&trust_domain);
        proven.then_some((id, trust_domain, segments))
    }

    /// Whether a DNS name of a certificate may be one that it proves; where that can't be told, no rule can compare it either.
    fn proves_dns(&self, name: &str) -> bool {
        self.dns_names.is_empty() || self.dns_names.iter().any(|pattern| pattern.matches(name) != Truth::False)
    }

    fn trusts(&self, trust_domain: &str) -> bool {
        self.trust_domains.iter().any(|trusted| trusted == trust_domain)
    }
}

impl Policy {
    pub fn new(routes: Vec<Route>, roles: Roles, deny: Vec<Rule>, principals: Vec<Principals>, trust: Trust) -> Self {
        let index = Index::new(&routes);
        let routes = routes.into_iter().map(Rc::new).collect();
        Self { routes, index, roles, deny, principals, trust, relays: Vec::new(), anybody: Rule::default() }
    }

    /// The same, behind these relays.
    pub fn behind(self, relays: Vec<Relay>) -> Self {
        Self { relays, ..self }
    }

    /// Whether some peer may be a relay.
    pub fn has_relays(&self) -> bool {
        !self.relays.is_empty()
    }

    /// What a peer is that shows this certificate.
    pub fn kind_of(&self, peer: &PeerCertificate) -> PeerKind {
        relay::kind_of(&self.relays, peer, &self.trust)
    }

    pub fn relay(&self, id: RelayId) -> Option<&Relay> {
        self.relays.get(id.0)
    }

    /// What is to be believed of the names in a certificate by who tells of it.
    pub fn trust(&self, source: Source) -> &Trust {
        const NONE: &Trust = &Trust { chain_verified: false, trust_domains: Vec::new(), dns_names: Vec::new() };
        match source {
            Source::Connection => &self.trust,
            Source::Relay(id) => self.relay(id).map_or(NONE, |relay| &relay.trust),
        }
    }

    /// The same for the certificate of a caller.
    fn trust_in(&self, certificate: Option<&PeerCertificate>) -> &Trust {
        certificate.map_or(&self.trust, |certificate| self.trust(certificate.source))
    }

    /// What the configuration says of an unbound token's client, and of the certificate beside it.
    pub fn client_certificate(&self, token: &VerifiedToken, shown: Option<&PeerCertificate>) -> ClientCertificate {
        let of_issuer = self.principals.get(token.issuer().0);
        of_issuer.map_or(ClientCertificate::NotNamed, |own| own.certificate_of(token, shown, self.trust_in(shown)))
    }

    /// Whether some route looks at the Envoy route. No field of a request is changed then: the proxy would choose again.
    pub fn uses_envoy_route(&self) -> bool {
        self.index.uses_envoy_route()
    }

    pub fn roles(&self) -> &Roles {
        &self.roles
    }

    pub fn route_name(&self, id: RouteId) -> &str {
        self.routes.get(id.0).map_or("", |route| route.name.as_str())
    }

    /// The SPIFFE ID that a certificate proves under this configuration.
    pub fn spiffe_id<'a>(&self, certificate: &'a PeerCertificate) -> Option<&'a str> {
        self.trust(certificate.source).spiffe_id(certificate.leaf.as_ref()?).map(|(id, ..)| id)
    }

    /// The first route that takes the request, after the gate that no hostile path passes, be the route public or not.
    pub fn route(&self, request: &Request) -> Result<Matched, Error> {
        let path = Path::read(request.path()).map_err(|path::Ambiguous| Error::AmbiguousPath)?;
        let host = match self.index.uses_hosts() {
            true => Some(Host::read(request.authority()).ok_or(Error::AmbiguousPath)?),
            false => None,
        };
        let line = Line::new(request, path, host);
        if line.policy().is_some_and(|policy| !self.index.knows(policy)) {
            return Err(Error::UnknownPolicy);
        }
        let first = |method: &[u8], preflight: bool| {
            let (id, captured) = self.index.first(&self.routes, &line, method)?;
            Some(Matched { id, route: Rc::clone(self.routes.get(id.0)?), captured, preflight })
        };
        let asked = preflight_method(request).and_then(|method| first(method, true));
        let asked = asked.filter(|matched| matched.route().passes_preflight);
        asked.or_else(|| first(request.method(), false)).ok_or(Error::NoRoute)
    }

    /// Whether `caller` may pass. Only what is true permits; what can't be told of a `deny` rule refuses.
    pub fn decide(&self, matched: &Matched, caller: Caller<'_>) -> Result<(), Error> {
        let route = matched.route();
        let rules = match &route.allow {
            Allow::Public => return Ok(()),
            Allow::Authenticated => core::slice::from_ref(&self.anybody),
            Allow::Rules(rules) => rules,
        };
        let claim = |place: &Pointer| -> Option<&Value> { caller.sender?.token().claim(place) };
        let facts = Facts {
            sender: caller.sender,
            certificate: caller.certificate,
            bindings: Bindings { captured: &matched.captured, claims: &claim },
            roles: &self.roles,
            principals: &self.principals,
            trust: self.trust_in(caller.certificate),
            now: caller.now,
        };
        if caller.sender.is_some_and(|sender| self.roles.are_exclusive(sender.token().roles())) {
            return Err(Error::ExclusiveRoles);
        }
        if self.deny.iter().any(|rule| rule.holds(facts) != Truth::False) {
            return Err(Error::Denied);
        }
        decide_by(rules, route, facts)
    }
}

fn decide_by(rules: &[Rule], route: &Route, facts: Facts<'_>) -> Result<(), Error> {
    let has_actor = facts.sender.is_some_and(|sender| sender.token().has_actor());
    let mut curable = None;
    for rule in rules {
        let speaks = rule.without_token || facts.sender.is_some();
        if !speaks || (has_actor && !rule.names_actor()) || rule.holds_but_for_token(facts) != Truth::True {
            continue;
        }
        match lacking_of(rule, route, facts) {
            None => return Ok(()),
            Some(lacking) => curable = curable.or(Some(lacking)),
        }
    }
    match curable {
        Some(error) => Err(error),
        None if facts.sender.is_none() && rules.iter().any(|rule| !rule.without_token) => Err(Error::CredentialMissing),
        None => Err(Error::NoRule),
    }
}

/// What a new token would have to bring for a rule to hold that else does.
fn lacking_of(rule: &Rule, route: &Route, facts: Facts<'_>) -> Option<Error> {
    let scopes = rule::has_all(facts.sender, &rule.scopes).and(rule::has_all(facts.sender, &route.scopes));
    let added = rule.scopes.iter().filter(|scope| !route.scopes.contains(scope));
    let needed = || route.scopes.iter().chain(added).cloned().collect();
    let asking = [&route.step_up, &rule.step_up];
    let lacking = facts.sender.and_then(|sender| StepUp::all_lacking(asking, sender.token(), facts.now));
    match (lacking, scopes) {
        (None, Truth::True) => None,
        (None, Truth::False | Truth::Unknown) => Some(Error::Scope { needed: needed() }),
        (Some(lacking), scopes) => Some(Error::StepUp {
            lacking,
            acr_values: asking.iter().flat_map(|asked| &asked.acr_values).cloned().collect(),
            max_age: asking.iter().find_map(|asked| asked.max_age),
            needed: if scopes == Truth::True { Vec::new() } else { needed() },
        }),
    }
}

/// The method that a browser asks about before it sends a request of its own (Fetch §4.8): such a preflight carries no
/// credentials and no body, whatever the request will.
fn preflight_method(request: &Request) -> Option<&[u8]> {
    if request.method() != b"OPTIONS" || request.has_body {
        return None;
    }
    let only = |name| {
        let mut values = request.values(name);
        values.next().filter(|value| !value.is_empty() && values.next().is_none())
    };
    let has = |name| request.values(name).next().is_some();
    let is_one = only(b"origin").is_some_and(|origin| !origin.contains(&b','))
        && ![b"authorization".as_slice(), b"cookie", b"upgrade"].into_iter().any(has);
    only(b"access-control-request-method").filter(|_| is_one)
}

#[cfg(test)]
pub(crate) mod tests {
    use core::time::Duration;

    use super::certificate::CertificateTest;
    use super::operand::Operand;
    use super::path::Oddities;
    use super::rule::ClaimTest;
    use super::*;
    use crate::binding::{By, Requirement, confirm};
    use crate::callout::IssuerId;
    use crate::facts::peer::{CertificateDigest, Leaf, Peer, Source};
    use crate::facts::write_pairs;
    use crate::time::UnixTime;
    use crate::token::{Audiences, Issuer, Places, Profile, ScopeFormat, VerifiedToken};

    fn issuer(id: usize) -> Issuer {
        let pointer = |text: &str| Pointer::parse(text).unwrap();
        Issuer {
            id: IssuerId(id),
            identifier: "https://login.bank.example".to_owned(),
            name: "bank".into(),
            audiences: Audiences::Any,
            algorithms: vec![],
            profile: Profile::Rfc9068,
            leeway: Duration::ZERO,
            max_token_lifetime: Duration::from_secs(60),
            places: Places {
                client_id: pointer("/client_id"),
                scope: pointer("/scope"),
                scope_format: ScopeFormat::String,
                roles: vec![pointer("/roles")],
                only: None,
            },
            kept: Rc::default(),
            keys: None,
            introspection: None,
        }
    }

    /// A token of these claims in the hands of its owner.
    pub fn sender_of(id: usize, claims: &str) -> ConfirmedSender {
        let token = VerifiedToken::vouched(&issuer(id), claims, UnixTime::new(1)).unwrap();
        confirm(Rc::new(token), None, ClientCertificate::NotNamed, &By::Bearer, Requirement::WhenBound).unwrap()
    }

    pub fn route_of(path: &str, allow: Allow) -> Route {
        Route {
            name: "r".to_owned(),
            hosts: vec![],
            methods: vec![],
            paths: vec![pattern::PathPattern::parse(path).unwrap()],
            envoy_routes: vec![],
            allow,
            issuers: vec![IssuerId(0)],
            introspects: None,
            revocation: route::Revocation::None,
            audiences: None,
            scopes: vec![],
            step_up: StepUp::default(),
            binding: Requirement::WhenBound,
            passes_preflight: false,
            allows: Oddities::default(),
            allows_plaintext: false,
            forwards_unverified_token: false,
        }
    }

    pub fn certificate(leaf: Option<Leaf>) -> PeerCertificate {
        PeerCertificate { digest: CertificateDigest([7; 32]), leaf: leaf.map(Rc::new), source: Source::Connection }
    }

    pub fn trusting(trust_domain: &str) -> Trust {
        Trust { chain_verified: true, trust_domains: vec![trust_domain.to_owned()], dns_names: vec![] }
    }

    /// What a policy of one route says to `GET path`.
    pub fn decision(
        policy: &Policy,
        path: &str,
        sender: Option<&ConfirmedSender>,
        certificate: Option<&PeerCertificate>,
    ) -> Result<(), Error> {
        let pairs = [(":method", "GET"), (":authority", "api.example"), (":path", path)];
        let request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).unwrap();
        policy.decide(&policy.route(&request).unwrap(), Caller { sender, certificate, now: UnixTime::new(1) })
    }

    fn policy(route: Route, deny: Vec<Rule>) -> Policy {
        Policy::new(vec![route], Roles::default(), deny, vec![Principals::default(); 2], trusting("bank.example"))
    }

    fn rules(rules: Vec<Rule>) -> Route {
        route_of("/{x}", Allow::Rules(rules))
    }

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    fn scopes(names: &[&str]) -> Rule {
        Rule { scopes: texts(names), ..Rule::default() }
    }

    fn claim(place: &str, test: ClaimTest) -> Rule {
        Rule { claims: vec![(Pointer::parse(place).unwrap(), test)], ..Rule::default() }
    }

    fn operands(texts: &[&str]) -> Vec<Operand> {
        texts.iter().map(|text| Operand::parse(text).unwrap()).collect()
    }

    /// In `allow`, in a `not`, and in `deny`.
    pub type Answers = [Result<(), Error>; 3];

    /// What a rule answers in `allow`, in a `not`, and in `deny`.
    pub fn three_places(rule: &Rule, sender: &ConfirmedSender, certificate: Option<&PeerCertificate>) -> Answers {
        let told = |policy: &Policy| decision(policy, "/b", Some(sender), certificate);
        let anybody = || claim("/client_id", ClaimTest::Present);
        let narrowed = Rule { not: vec![rule.clone()], ..anybody() };
        [
            told(&policy(rules(vec![rule.clone()]), vec![])),
            told(&policy(rules(vec![narrowed]), vec![])),
            told(&policy(rules(vec![anybody()]), vec![rule.clone()])),
        ]
    }

    pub const HOLDS: Answers = [Ok(()), Err(Error::NoRule), Err(Error::Denied)];
    pub const DOES_NOT: Answers = [Err(Error::NoRule), Ok(()), Ok(())];
    /// It is there and can't be compared: it counts against the caller everywhere.
    pub const UNKNOWN: Answers = [Err(Error::NoRule), Err(Error::NoRule), Err(Error::Denied)];

    #[test]
    fn a_route_is_known_by_its_number() {
        let policy = policy(rules(vec![]), vec![]);
        assert_eq!(
            (policy.route_name(RouteId(0)), policy.route_name(RouteId(1))),
            (policy.routes[0].name.as_str(), "")
        );
        assert!(!policy.routes[0].name.is_empty());
    }

    #[test]
    fn a_claim_that_is_absent_does_not_hold_and_one_that_can_not_be_compared_counts_against_the_caller() {
        let one_of = || ClaimTest::OneOf(operands(&["a", "c"]));
        let seven = || ClaimTest::OneOf(vec![Operand::Integer(7)]);
        let truth = || ClaimTest::OneOf(vec![Operand::Bool(true)]);
        let mixed = || ClaimTest::OneOf(vec![Operand::Text("gold".into()), Operand::Integer(2), Operand::Bool(true)]);
        let contains = || ClaimTest::Contains(operands(&["a", "c"]));
        let contains_all = || ClaimTest::ContainsAll(operands(&["a", "c"]));
        let captured = || ClaimTest::OneOf(operands(&["{x}"]));
        let other_claim = || ClaimTest::OneOf(operands(&["{/other}"]));
        let nothing = || ClaimTest::OneOf(operands(&["{/nothing}"]));
        type Row<'a> = (fn() -> ClaimTest, &'a str, &'a Answers);
        let table: [Row<'_>; 51] = [
            (one_of, r#""c""#, &HOLDS),
            (one_of, r#""b""#, &DOES_NOT),
            (one_of, r#""A""#, &DOES_NOT),
            (one_of, r#""""#, &DOES_NOT),
            (one_of, "", &DOES_NOT),
            (one_of, r#"["a"]"#, &UNKNOWN),
            (one_of, r#"{"a": "a"}"#, &UNKNOWN),
            (one_of, "7", &UNKNOWN),
            (one_of, "true", &UNKNOWN),
            (one_of, "null", &UNKNOWN),
            (seven, "7", &HOLDS),
            (seven, "7.0", &HOLDS),
            (seven, "8", &DOES_NOT),
            (seven, "7.5", &DOES_NOT),
            (seven, "", &DOES_NOT),
            (seven, r#""7""#, &UNKNOWN),
            (truth, "true", &HOLDS),
            (truth, "false", &DOES_NOT),
            (truth, r#""true""#, &UNKNOWN),
            (truth, "1", &UNKNOWN),
            (mixed, "2", &HOLDS),
            (mixed, "true", &HOLDS),
            (mixed, r#""silver""#, &DOES_NOT),
            (mixed, r#"["gold"]"#, &UNKNOWN),
            (contains, r#"["b", "c"]"#, &HOLDS),
            (contains, r#""a""#, &HOLDS),
            (contains, r#""abc""#, &DOES_NOT),
            (contains, r#"["ab"]"#, &DOES_NOT),
            (contains, "[]", &DOES_NOT),
            (contains, "", &DOES_NOT),
            (contains, "7", &UNKNOWN),
            (contains, r#"{"a": true}"#, &UNKNOWN),
            (contains, r#"["b", 7]"#, &UNKNOWN),
            (contains, r#"["a", 7]"#, &HOLDS),
            (contains_all, r#"["c", "b", "a"]"#, &HOLDS),
            (contains_all, r#"["a"]"#, &DOES_NOT),
            (contains_all, r#""a""#, &DOES_NOT),
            (contains_all, "[]", &DOES_NOT),
            (contains_all, "", &DOES_NOT),
            (contains_all, "7", &UNKNOWN),
            (captured, r#""b""#, &HOLDS),
            (captured, r#""c""#, &DOES_NOT),
            (captured, r#"["b"]"#, &UNKNOWN),
            (other_claim, r#""o""#, &HOLDS),
            (other_claim, r#""p""#, &DOES_NOT),
            (nothing, r#""o""#, &UNKNOWN),
            (nothing, "", &DOES_NOT),
            (|| ClaimTest::Present, "0", &HOLDS),
            (|| ClaimTest::Present, "false", &HOLDS),
            (|| ClaimTest::Present, "null", &HOLDS),
            (|| ClaimTest::Present, "", &DOES_NOT),
        ];
        for (test, value, expected) in table {
            let claims = match value {
                "" => r#"{"client_id": "n26"}"#.to_owned(),
                value => format!(r#"{{"client_id": "n26", "other": "o", "it": {value}}}"#),
            };
            assert_eq!(
                &three_places(&claim("/it", test()), &sender_of(0, &claims), None),
                expected,
                "{:?} {value}",
                test()
            );
        }
    }

    #[test]
    fn the_members_of_a_rule_must_all_hold_and_one_of_each_list() {
        let rule = Rule {
            roles: texts(&["clerk", "payer"]),
            clients: texts(&["n26"]),
            issuers: vec![IssuerId(0)],
            ..Rule::default()
        };
        for (id, claims, expected) in [
            (0, r#"{"client_id": "n26", "roles": ["payer"]}"#, &HOLDS),
            (0, r#"{"client_id": "n26", "roles": "clerk"}"#, &HOLDS),
            (0, r#"{"client_id": "n26", "roles": "clerk payer"}"#, &DOES_NOT),
            (0, r#"{"client_id": "n26", "roles": []}"#, &DOES_NOT),
            (0, r#"{"client_id": "N26", "roles": ["clerk"]}"#, &DOES_NOT),
            (1, r#"{"client_id": "n26", "roles": ["clerk"]}"#, &DOES_NOT),
        ] {
            assert_eq!(&three_places(&rule, &sender_of(id, claims), None), expected, "{id} {claims}");
        }
    }

    #[test]
    fn a_role_includes_what_the_hierarchy_says() {
        let roles = Roles::new(
            &[("treasurer".to_owned(), texts(&["accountant"])), ("accountant".to_owned(), texts(&["clerk"]))],
            &[],
        )
        .unwrap();
        let clerk = Rule { roles: texts(&["clerk"]), ..Rule::default() };
        let policy = Policy::new(vec![rules(vec![clerk])], roles, vec![], vec![], Trust::default());
        for (role, expected) in [("treasurer", Ok(())), ("clerk", Ok(())), ("auditor", Err(Error::NoRule))] {
            let sender = sender_of(0, &format!(r#"{{"roles": ["{role}"]}}"#));
            assert_eq!(decision(&policy, "/b", Some(&sender), None), expected, "{role}");
        }
    }

    #[test]
    fn a_token_with_an_actor_is_admitted_only_by_a_rule_about_the_actor() {
        let delegated = r#"{"client_id": "n26", "scope": "s", "act": {"sub": "callcentre"}}"#;
        let own = r#"{"client_id": "n26", "scope": "s"}"#;
        let of_actor = claim("/act/sub", ClaimTest::OneOf(operands(&["callcentre"])));
        let any_actor = claim("/act", ClaimTest::Present);
        let other_actor = claim("/act/sub", ClaimTest::OneOf(operands(&["tool"])));
        let actors = claim("/actor", ClaimTest::Present);
        let narrowed = Rule { not: vec![other_actor.clone()], ..scopes(&["s"]) };
        let by_certificate = Rule { without_token: true, ..Rule::default() };
        let (passes, no_rule) = (Ok(()), Err(Error::NoRule));
        for (rule, of_delegate, of_user) in [
            (scopes(&["s"]), &no_rule, &passes),
            (of_actor, &passes, &no_rule),
            (any_actor, &passes, &no_rule),
            (other_actor, &no_rule, &no_rule),
            (actors, &no_rule, &no_rule),
            (narrowed, &no_rule, &passes),
            (by_certificate, &no_rule, &passes),
        ] {
            let policy = policy(rules(vec![rule]), vec![]);
            assert_eq!(&decision(&policy, "/b", Some(&sender_of(0, delegated)), None), of_delegate);
            assert_eq!(&decision(&policy, "/b", Some(&sender_of(0, own)), None), of_user);
        }
        let authenticated = policy(route_of("/{x}", Allow::Authenticated), vec![]);
        assert_eq!(decision(&authenticated, "/b", Some(&sender_of(0, delegated)), None), Err(Error::NoRule));
        assert_eq!(decision(&authenticated, "/b", Some(&sender_of(0, own)), None), Ok(()));
    }

    #[test]
    fn the_first_rule_that_lacks_only_scopes_names_those_of_route_and_rule() {
        let of = |client: &str, names: &[&str]| Rule { clients: texts(&[client]), ..scopes(names) };
        let route = Route {
            scopes: texts(&["read"]),
            ..rules(vec![of("other", &["x"]), of("n26", &["all", "read"]), of("n26", &["write"])])
        };
        let needs = |needed: &[&str]| Err(Error::Scope { needed: texts(needed) });
        let policy = policy(route, vec![]);
        for (claims, expected) in [
            (r#"{"client_id": "n26", "scope": "read all"}"#, Ok(())),
            (r#"{"client_id": "n26", "scope": "write read"}"#, Ok(())),
            (r#"{"client_id": "n26", "scope": "all"}"#, needs(&["read", "all"])),
            (r#"{"client_id": "n26", "scope": "read"}"#, needs(&["read", "all"])),
            (r#"{"client_id": "n26", "scope": "READ ALL"}"#, needs(&["read", "all"])),
            (r#"{"client_id": "n26", "scope": "readall"}"#, needs(&["read", "all"])),
            (r#"{"client_id": "n26"}"#, needs(&["read", "all"])),
            (r#"{"client_id": "n26", "scope": ["read", "all"]}"#, needs(&["read", "all"])),
            (r#"{"client_id": "third", "scope": "read all"}"#, Err(Error::NoRule)),
            (r#"{"client_id": "third"}"#, Err(Error::NoRule)),
        ] {
            assert_eq!(decision(&policy, "/b", Some(&sender_of(0, claims)), None), expected, "{claims}");
        }
    }

    #[test]
    fn the_scopes_of_a_route_hold_for_every_good_token_too() {
        let policy = policy(Route { scopes: texts(&["read"]), ..route_of("/{x}", Allow::Authenticated) }, vec![]);
        assert_eq!(decision(&policy, "/b", Some(&sender_of(0, r#"{"scope": "a read"}"#)), None), Ok(()));
        let lacking = decision(&policy, "/b", Some(&sender_of(0, "{}")), None);
        assert_eq!(lacking, Err(Error::Scope { needed: texts(&["read"]) }));
    }

    #[test]
    fn a_denied_caller_is_told_nothing_of_scopes() {
        let denied = Rule { clients: texts(&["leaky"]), ..Rule::default() };
        let policy = policy(rules(vec![scopes(&["read"])]), vec![denied]);
        for (claims, expected) in [
            (r#"{"client_id": "leaky"}"#, Err(Error::Denied)),
            (r#"{"client_id": "leaky", "scope": "read"}"#, Err(Error::Denied)),
            (r#"{"client_id": "n26"}"#, Err(Error::Scope { needed: texts(&["read"]) })),
            (r#"{"client_id": "n26", "scope": "read"}"#, Ok(())),
        ] {
            assert_eq!(decision(&policy, "/b", Some(&sender_of(0, claims)), None), expected, "{claims}");
        }
    }

    #[test]
    fn deny_rules_refuse_on_every_route_that_is_not_public() {
        let by_digest = || CertificateTest { sha256: vec![CertificateDigest([7; 32])], ..CertificateTest::default() };
        let denied = || Rule { certificate: Some(by_digest()), ..Rule::default() };
        let leaked = certificate(None);
        let told = |allow: Allow, shown| {
            decision(&policy(route_of("/{x}", allow), vec![denied()]), "/b", Some(&sender_of(0, "{}")), shown)
        };
        assert_eq!(told(Allow::Public, Some(&leaked)), Ok(()));
        assert_eq!(told(Allow::Authenticated, Some(&leaked)), Err(Error::Denied));
        assert_eq!(told(Allow::Authenticated, None), Ok(()));
        assert_eq!(
            told(Allow::Rules(vec![Rule { certificate: Some(by_digest()), ..Rule::default() }]), Some(&leaked)),
            Err(Error::Denied)
        );
    }

    #[test]
    fn who_shows_no_token_is_asked_for_one_only_where_one_could_pass() {
        let by_digest = |octet: u8| {
            let test = CertificateTest { sha256: vec![CertificateDigest([octet; 32])], ..CertificateTest::default() };
            Rule { certificate: Some(test), without_token: true, ..Rule::default() }
        };
        let shown = certificate(None);
        for (allow, expected) in [
            (vec![by_digest(7)], Ok(())),
            (vec![by_digest(8)], Err(Error::NoRule)),
            (vec![by_digest(8), by_digest(7)], Ok(())),
            (vec![scopes(&["s"]), by_digest(7)], Ok(())),
            (vec![scopes(&["s"]), by_digest(8)], Err(Error::CredentialMissing)),
            (vec![scopes(&["s"])], Err(Error::CredentialMissing)),
            (vec![Rule { not: vec![claim("/x", ClaimTest::Present)], ..scopes(&[]) }], Err(Error::CredentialMissing)),
        ] {
            assert_eq!(
                decision(&policy(rules(allow.clone()), vec![]), "/b", None, Some(&shown)),
                expected,
                "{allow:?}"
            );
        }
    }
}
