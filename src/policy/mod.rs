//! Route, token, sender and certificate into a permit (`configuration.md` §3, checklist §24).

use std::rc::Rc;

use crate::binding::ConfirmedSender;
use crate::facts::Request;
use crate::facts::peer::{Leaf, PeerCertificate};
use crate::jose::json::{Pointer, Value};

pub mod operand;
pub mod path;
pub mod pattern;
pub mod role;
pub mod route;
pub mod rule;
pub mod truth;

use operand::Bindings;
use path::Path;
use role::Roles;
use route::{Allow, Line, Matched, Route, RouteId};
use rule::{Facts, Rule};
use truth::Truth;

/// Everything that decides once a caller is known.
#[derive(Debug)]
pub struct Policy {
    routes: Vec<Rc<Route>>,
    roles: Roles,
    /// Refuse first, on every route that is not public.
    deny: Vec<Rule>,
    trust: Trust,
    uses_envoy_route: bool,
}

/// What the operator says of the certificates that this proxy takes.
#[derive(Clone, Debug, Default)]
pub struct Trust {
    /// The proxy verified the chain; names count only then.
    pub chain_verified: bool,
    /// SPIFFE trust domains whose own CA it verified it with.
    pub trust_domains: Vec<String>,
}

/// Who asks to pass.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub sender: Option<&'a ConfirmedSender>,
    /// Inside its dates.
    pub certificate: Option<&'a PeerCertificate>,
}

/// Why a request does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// A target that proxy and service may read in different ways.
    AmbiguousPath,
    /// No route takes it.
    NoRoute,
    /// The Envoy route names a policy that no route has.
    UnknownPolicy,
    /// A `deny` rule holds, or it can't be told that it does not.
    Denied,
    /// No rule holds.
    NoRule,
    /// A token with these scopes would pass.
    Scope { needed: Vec<String> },
    /// Nobody presented a token, and one could pass.
    CredentialMissing,
}

impl Trust {
    /// The SPIFFE ID that a leaf proves: of a listed trust domain, and of an X.509-SVID, which has one URI and no right to
    /// sign (checklist 22.2–22.4). With it, its trust domain and the segments of its path.
    fn spiffe_id<'a>(&self, leaf: &'a Leaf) -> Option<(&'a str, String, Vec<&'a str>)> {
        let [id] = leaf.uris.as_slice() else { return None };
        let (trust_domain, segments) = pattern::split_id(id)?;
        let proven = self.chain_verified && !leaf.may_sign && self.trust_domains.contains(&trust_domain);
        proven.then_some((id, trust_domain, segments))
    }
}

impl Policy {
    pub fn new(routes: Vec<Route>, roles: Roles, deny: Vec<Rule>, trust: Trust) -> Self {
        let uses_envoy_route = routes.iter().any(|route| !route.envoy_routes.is_empty());
        let routes = routes.into_iter().map(Rc::new).collect();
        Self { routes, roles, deny, trust, uses_envoy_route }
    }

    /// Whether some route looks at the Envoy route. No field of a request is changed then: the proxy would choose again.
    pub fn uses_envoy_route(&self) -> bool {
        self.uses_envoy_route
    }

    /// The SPIFFE ID that a certificate proves under this configuration.
    pub fn spiffe_id<'a>(&self, certificate: &'a PeerCertificate) -> Option<&'a str> {
        self.trust.spiffe_id(certificate.leaf.as_ref()?).map(|(id, ..)| id)
    }

    /// The first route that takes the request, after the gate that no hostile path passes, be the route public or not.
    pub fn route(&self, request: &Request) -> Result<Matched, Error> {
        let path = Path::read(request.path()).map_err(|path::Ambiguous| Error::AmbiguousPath)?;
        let line = Line::new(request, path);
        let knows = |policy: &[u8]| {
            self.routes.iter().flat_map(|route| &route.envoy_routes).any(|name| name.as_bytes() == policy)
        };
        if line.policy().is_some_and(|policy| !knows(policy)) {
            return Err(Error::UnknownPolicy);
        }
        let taken = |(at, route): (usize, &Rc<Route>)| {
            let captured = route.take(&line)?;
            Some(Matched { id: RouteId(at), route: Rc::clone(route), captured })
        };
        self.routes.iter().enumerate().find_map(taken).ok_or(Error::NoRoute)
    }

    /// Whether `caller` may pass. Only what is true permits; what can't be told of a `deny` rule refuses.
    pub fn decide(&self, matched: &Matched, caller: Caller<'_>) -> Result<(), Error> {
        let route = matched.route();
        let anybody = [Rule::default()];
        let rules = match &route.allow {
            Allow::Public => return Ok(()),
            Allow::Authenticated => anybody.as_slice(),
            Allow::Rules(rules) => rules,
        };
        let claim = |place: &Pointer| -> Option<&Value> { caller.sender?.token().claim(place) };
        let facts = Facts {
            sender: caller.sender,
            certificate: caller.certificate,
            bindings: Bindings { captured: &matched.captured, claims: &claim },
            roles: &self.roles,
            trust: &self.trust,
        };
        if self.deny.iter().any(|rule| rule.holds(facts) != Truth::False) {
            return Err(Error::Denied);
        }
        decide_by(rules, route, facts)
    }
}

fn decide_by(rules: &[Rule], route: &Route, facts: Facts<'_>) -> Result<(), Error> {
    let has_actor = facts.sender.is_some_and(|sender| sender.token().has_actor());
    let mut lacking = None;
    for rule in rules {
        let speaks = rule.without_token || facts.sender.is_some();
        if !speaks || (has_actor && !rule.names_actor()) || rule.holds_but_for_scopes(facts) != Truth::True {
            continue;
        }
        if rule.has_scopes(facts.sender) && rule::has_all(facts.sender, &route.scopes) {
            return Ok(());
        }
        lacking.get_or_insert(rule);
    }
    match lacking {
        Some(rule) => {
            let added = rule.scopes.iter().filter(|scope| !route.scopes.contains(scope));
            Err(Error::Scope { needed: route.scopes.iter().chain(added).cloned().collect() })
        }
        None if facts.sender.is_none() && rules.iter().any(|rule| !rule.without_token) => Err(Error::CredentialMissing),
        None => Err(Error::NoRule),
    }
}
