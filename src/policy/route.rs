//! Which route a request takes: the first that matches, by host, method, path and Envoy route.

use std::rc::Rc;

use crate::binding::Requirement;
use crate::callout::IssuerId;
use crate::facts::Request;

use super::path::Path;
use super::pattern::{HostPattern, PathPattern};
use super::rule::Rule;

/// A route, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RouteId(pub usize);

#[derive(Clone, Debug)]
pub struct Route {
    pub name: String,
    /// Empty for any.
    pub hosts: Vec<HostPattern>,
    /// As on the wire; empty for any.
    pub methods: Vec<String>,
    /// Empty for any.
    pub paths: Vec<PathPattern>,
    /// Policy names or names of Envoy routes; empty for any.
    pub envoy_routes: Vec<String>,
    pub allow: Allow,
    /// Whose tokens it takes.
    pub issuers: Vec<IssuerId>,
    /// Who is asked about opaque tokens.
    pub introspects: Option<IssuerId>,
    /// Instead of the issuer's.
    pub audiences: Option<Vec<String>>,
    /// What every token needs.
    pub scopes: Vec<String>,
    pub binding: Requirement,
    /// `danger_allow_plaintext`
    pub allows_plaintext: bool,
    /// `danger_forward_unverified_token`
    pub forwards_unverified_token: bool,
}

/// Who may pass.
#[derive(Clone, Debug)]
pub enum Allow {
    /// Everybody, and nobody is asked.
    Public,
    /// Every good token that is bound as the route says.
    Authenticated,
    /// Who meets one of them.
    Rules(Vec<Rule>),
}

/// The route of a request, and what host and path bound to names.
#[derive(Clone, Debug)]
pub struct Matched {
    pub(super) id: RouteId,
    pub(super) route: Rc<Route>,
    pub(super) captured: Vec<(String, String)>,
}

/// What routes are chosen by, read once.
pub(super) struct Line<'a> {
    method: &'a [u8],
    path: Path,
    /// Pieces of the host from the right; none where it is no host name.
    host: Option<Vec<String>>,
    envoy_route: Option<&'a [u8]>,
    /// The Envoy route says by metadata which policy it wants.
    named: bool,
}

impl<'a> Line<'a> {
    pub fn new(request: &'a Request, path: Path) -> Self {
        let envoy = request.envoy_route.as_ref();
        let policy = envoy.and_then(|route| route.policy.as_deref());
        Self {
            method: request.method(),
            path,
            host: host(request.authority()),
            envoy_route: policy.or_else(|| envoy.and_then(|route| route.name.as_deref())),
            named: policy.is_some(),
        }
    }

    /// The policy that the Envoy route asks for by metadata.
    pub fn policy(&self) -> Option<&[u8]> {
        self.envoy_route.filter(|_| self.named)
    }
}

/// Lower case, without port and final dot, in pieces from the right. An IPv6 address is one piece.
fn host(authority: &[u8]) -> Option<Vec<String>> {
    let text = core::str::from_utf8(authority).ok()?.to_ascii_lowercase();
    if text.starts_with('[') {
        let (address, rest) = text.split_at_checked(text.find(']')? + 1)?;
        let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
        return is_port(port).then(|| vec![address.to_owned()]);
    }
    let (name, port) = text.split_once(':').unwrap_or((&text, ""));
    if name.is_empty() || !is_port(port) {
        return None;
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let sound = |piece: &str| {
        !piece.is_empty() && piece.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    name.split('.').all(sound).then(|| name.rsplit('.').map(str::to_owned).collect())
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

impl Matched {
    pub fn id(&self) -> RouteId {
        self.id
    }

    pub fn route(&self) -> &Route {
        &self.route
    }
}

impl Route {
    /// Whether a credential is read at all: not where everybody may pass, nor where only certificates speak.
    pub fn reads_token(&self) -> bool {
        match &self.allow {
            Allow::Public => false,
            Allow::Authenticated => true,
            Allow::Rules(rules) => rules.iter().any(|rule| !rule.without_token),
        }
    }

    /// Whether nobody passes without a token.
    pub fn needs_token(&self) -> bool {
        match &self.allow {
            Allow::Public => false,
            Allow::Authenticated => true,
            Allow::Rules(rules) => rules.iter().all(|rule| !rule.without_token),
        }
    }

    /// What host and path bind where the route takes this request.
    pub(super) fn take(&self, line: &Line<'_>) -> Option<Vec<(String, String)>> {
        let mut captured = Vec::new();
        let taken = self.takes_envoy_route(line)
            && (self.methods.is_empty() || self.methods.iter().any(|method| method.as_bytes() == line.method))
            && self.takes_host(line, &mut captured)
            && self.takes_path(line, &mut captured);
        taken.then_some(captured)
    }

    /// Where the Envoy route names a policy, only entries with `envoy_route` judge: a misspelt name refuses.
    fn takes_envoy_route(&self, line: &Line<'_>) -> bool {
        if self.envoy_routes.is_empty() {
            return !line.named;
        }
        self.envoy_routes.iter().any(|name| Some(name.as_bytes()) == line.envoy_route)
    }

    fn takes_host(&self, line: &Line<'_>, captured: &mut Vec<(String, String)>) -> bool {
        if self.hosts.is_empty() {
            return true;
        }
        let Some(host) = &line.host else { return false };
        self.hosts.iter().any(|pattern| {
            captured.clear();
            pattern.0.take(host, |name, value| captured.push((name.to_owned(), value.clone())))
        })
    }

    fn takes_path(&self, line: &Line<'_>, captured: &mut Vec<(String, String)>) -> bool {
        if line.path.odd {
            return false;
        }
        let of_host = captured.len();
        self.paths.is_empty()
            || self.paths.iter().any(|pattern| {
                captured.truncate(of_host);
                pattern.0.take(&line.path.segments, |name, value| captured.push((name.to_owned(), value.clone())))
            })
    }

    /// Whether every request that `later` takes is taken by this route before it.
    pub fn takes_all_of(&self, later: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!later.methods.is_empty() && later.methods.iter().all(|method| self.methods.contains(method)));
        methods && self.takes_place_of(later)
    }

    /// The same, methods aside.
    pub fn takes_place_of(&self, later: &Self) -> bool {
        let every = |any: bool, all: bool| any || all;
        let hosts = every(
            self.hosts.is_empty(),
            !later.hosts.is_empty()
                && later.hosts.iter().all(|theirs| self.hosts.iter().any(|ours| ours.covers(theirs))),
        );
        let paths = every(
            self.paths.is_empty(),
            !later.paths.is_empty()
                && later.paths.iter().all(|theirs| self.paths.iter().any(|ours| ours.covers(theirs))),
        );
        // A route without `envoy_route` does not see requests whose Envoy route names a policy.
        let envoy = if self.envoy_routes.is_empty() {
            later.envoy_routes.is_empty()
        } else {
            !later.envoy_routes.is_empty() && later.envoy_routes.iter().all(|name| self.envoy_routes.contains(name))
        };
        hosts && paths && envoy
    }
}
