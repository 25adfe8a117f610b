//! Which route a request takes: the first that matches, by host, method, path and Envoy route.

use std::borrow::Cow;
use std::rc::Rc;

use crate::binding::Requirement;
use crate::callout::IssuerId;
use crate::facts::Request;
use crate::token::Audiences;

use super::path::{Oddities, Path};
use super::pattern::{HostPattern, PathPattern, ip_address, is_label, lower_case};
use super::rule::Rule;
use super::step_up::StepUp;

/// A route, by its place in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    pub revocation: Revocation,
    /// Instead of the issuer's.
    pub audiences: Option<Audiences>,
    /// What every token needs.
    pub scopes: Vec<String>,
    /// What every login needs.
    pub step_up: StepUp,
    pub binding: Requirement,
    /// `cors_preflight: pass`
    pub passes_preflight: bool,
    /// `danger_allow_path`
    pub allows: Oddities,
    /// `danger_allow_plaintext`
    pub allows_plaintext: bool,
    /// `danger_forward_unverified_token`
    pub forwards_unverified_token: bool,
}

/// Who can say that a JWT is good no longer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Revocation {
    /// Nobody: it is good until it ends.
    #[default]
    None,
    /// The introspection endpoint of its issuer, which is asked about it too.
    Introspection,
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
    pub(super) preflight: bool,
}

/// What routes are chosen by beside the method, read once.
pub(super) struct Line<'a> {
    pub path: Path<'a>,
    /// Read where some route asks for one.
    pub host: Option<Host<'a>>,
    /// The policy that the Envoy route asks for, or else its name.
    pub envoy_route: Option<&'a [u8]>,
    /// It asks for one by metadata.
    pub named: bool,
}

/// A host in lower case, without port and final dot.
pub(super) struct Host<'a>(Cow<'a, str>);

impl<'a> Line<'a> {
    pub fn new(request: &'a Request, path: Path<'a>, host: Option<Host<'a>>) -> Self {
        let envoy = request.envoy_route.as_ref();
        let policy = envoy.and_then(|route| route.policy.as_deref());
        Self {
            path,
            host,
            envoy_route: policy.or_else(|| envoy.and_then(|route| route.name.as_deref())),
            named: policy.is_some(),
        }
    }

    /// The policy that the Envoy route asks for by metadata.
    pub fn policy(&self) -> Option<&[u8]> {
        self.envoy_route.filter(|_| self.named)
    }
}

impl<'a> Host<'a> {
    /// None where the authority does not name one host: it could be that of a stricter route to the service behind.
    pub fn read(authority: &'a [u8]) -> Option<Self> {
        let text = core::str::from_utf8(authority).ok()?;
        if text.starts_with('[') {
            let (address, rest) = text.split_at_checked(text.find(']')? + 1)?;
            let port = if rest.is_empty() { "" } else { rest.strip_prefix(':')? };
            return ip_address(address).filter(|_| is_port(port)).map(|address| Self(Cow::Owned(address)));
        }
        let (name, port) = text.split_once(':').unwrap_or((text, ""));
        if name.is_empty() || !is_port(port) {
            return None;
        }
        let name = name.strip_suffix('.').unwrap_or(name);
        name.split('.').all(is_label).then(|| Self(lower_case(name)))
    }

    /// From the right. An IPv6 address is one piece.
    pub fn pieces(&self) -> impl Iterator<Item = &str> + Clone {
        let is_address = self.0.starts_with('[');
        self.0.rsplit(move |octet| octet == '.' && !is_address)
    }
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

    /// The same, shared.
    pub fn shared(&self) -> Rc<Route> {
        Rc::clone(&self.route)
    }

    /// Whether nobody is asked who they are: the route is public, or this is a preflight that it lets through.
    pub fn asks_nobody(&self) -> bool {
        self.preflight || matches!(self.route.allow, Allow::Public)
    }

    /// Whether this is a CORS preflight, matched as the method that it asks about.
    pub fn is_preflight(&self) -> bool {
        self.preflight
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

    /// Whether the route takes such requests to its places.
    pub(super) fn takes(&self, method: &[u8], oddities: &Oddities) -> bool {
        self.allows.include(oddities)
            && (self.methods.is_empty() || self.methods.iter().any(|own| own.as_bytes() == method))
    }

    /// Whether every request that `later` takes is taken by this route before it, those with odd paths perhaps not: a route
    /// that only those reach was meant otherwise.
    pub fn takes_all_but_odd_paths_of(&self, later: &Self) -> bool {
        let methods = self.methods.is_empty()
            || (!later.methods.is_empty() && later.methods.iter().all(|method| self.methods.contains(method)));
        methods && self.takes_place_of(later)
    }

    /// The same, methods and odd paths aside.
    pub fn takes_place_of(&self, later: &Self) -> bool {
        let every = |any: bool, all: bool| any || all;
        let hosts = every(
            self.hosts.is_empty() || self.hosts.iter().any(HostPattern::takes_all),
            !later.hosts.is_empty()
                && later.hosts.iter().all(|theirs| self.hosts.iter().any(|ours| ours.covers(theirs))),
        );
        let paths = every(
            self.paths.is_empty() || self.paths.iter().any(PathPattern::takes_all),
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

#[cfg(test)]
mod tests {
    use super::super::role::Roles;
    use super::super::{Error, Policy, Trust};
    use super::*;
    use crate::facts::peer::Peer;
    use crate::facts::{EnvoyRoute, write_pairs};

    fn route(name: &str, host: &str, methods: &[&str], paths: &[&str]) -> Route {
        Route {
            name: name.to_owned(),
            hosts: (!host.is_empty()).then(|| HostPattern::parse(host).unwrap()).into_iter().collect(),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            paths: paths.iter().map(|path| PathPattern::parse(path).unwrap()).collect(),
            envoy_routes: vec![],
            allow: Allow::Authenticated,
            issuers: vec![],
            introspects: None,
            revocation: Revocation::None,
            audiences: None,
            scopes: vec![],
            step_up: StepUp::default(),
            binding: Requirement::Certificate,
            passes_preflight: false,
            allows: Oddities::default(),
            allows_plaintext: false,
            forwards_unverified_token: false,
        }
    }

    fn policy(routes: Vec<Route>) -> Policy {
        Policy::new(routes, Roles::default(), vec![], vec![], Trust::default())
    }

    fn request(method: &str, authority: &str, path: &str) -> Request {
        let pairs = [(":method", method), (":authority", authority), (":path", path)];
        Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).unwrap()
    }

    /// The route that is taken, and what is bound.
    fn taken(policy: &Policy, request: &Request) -> Result<(String, Vec<(String, String)>), Error> {
        policy.route(request).map(|matched| (matched.route.name.clone(), matched.captured))
    }

    fn named(policy: &Policy, request: &Request) -> Result<String, Error> {
        taken(policy, request).map(|(name, _)| name)
    }

    #[test]
    fn a_host_is_compared_without_case_port_and_final_dot() {
        for (pattern, authority, expected) in [
            ("api.example", "api.example", Ok(())),
            ("api.example", "API.Example", Ok(())),
            ("api.example", "api.example:8443", Ok(())),
            ("api.example", "api.example.", Ok(())),
            ("api.example", "api.example.:443", Ok(())),
            ("api.example", "api.example..", Err(Error::AmbiguousPath)),
            ("api.example", "api.example.evil", Err(Error::NoRoute)),
            ("api.example", "evil-api.example", Err(Error::NoRoute)),
            ("*.example", "api.example", Ok(())),
            ("*.example", "a.api.example", Err(Error::NoRoute)),
            ("**.example", "a.api.example", Ok(())),
            ("[::1]", "[::1]", Ok(())),
            ("[::1]", "[::1]:8443", Ok(())),
            ("[::1]", "[0:0::0001]:443", Ok(())),
            ("[0:0::1]", "[::1]", Ok(())),
            ("[2001:db8::A]", "[2001:DB8::a]:1", Ok(())),
            ("[::1]", "[::1]api.example", Err(Error::AmbiguousPath)),
            ("[::1]", "[::1]:x", Err(Error::AmbiguousPath)),
            ("[::1]", "[::1", Err(Error::AmbiguousPath)),
            ("127.0.0.1", "127.0.0.1:80", Ok(())),
        ] {
            let policy = policy(vec![route("r", pattern, &[], &[])]);
            let expected = expected.map(|()| "r".to_owned());
            assert_eq!(named(&policy, &request("GET", authority, "/")), expected, "{pattern} {authority}");
        }
    }

    #[test]
    fn what_is_no_host_name_is_refused_where_a_route_asks_for_a_host() {
        let admin_first = || policy(vec![route("admin", "api.example", &[], &[]), route("rest", "", &[], &[])]);
        assert_eq!(named(&admin_first(), &request("GET", "other.example", "/")), Ok("rest".to_owned()));
        for authority in [
            "",
            "u@api.example",
            "u:p@api.example",
            "u:1@api.example",
            "api.example:80:80",
            "api.example:x",
            "a b",
            ".",
            "a..b",
            "*",
            "münchen",
            "u@[::1]",
        ] {
            let request = request("GET", authority, "/");
            assert_eq!(named(&admin_first(), &request), Err(Error::AmbiguousPath), "{authority}");
            assert_eq!(named(&policy(vec![route("r", "", &[], &[])]), &request), Ok("r".to_owned()), "{authority}");
        }
    }

    #[test]
    fn the_first_route_that_matches_decides_and_none_is_no_route() {
        let policy = policy(vec![
            route("one", "", &["GET"], &["/x/one"]),
            route("tenant", "{t}.example", &["GET"], &["/x/*"]),
            route("get", "", &["GET"], &["/x/**"]),
            route("post", "", &["POST", "PUT"], &["/x/**"]),
        ]);
        for (method, authority, path, expected) in [
            ("GET", "a.example", "/x/one", Ok("one")),
            ("GET", "a.example", "/x/one/", Ok("one")),
            ("GET", "a.example", "/x/two", Ok("tenant")),
            ("GET", "a.b.example", "/x/two", Ok("get")),
            ("PUT", "a.example", "/x/one", Ok("post")),
            ("POST", "a.example", "/x", Ok("post")),
            ("HEAD", "a.example", "/x/one", Err(Error::NoRoute)),
            ("OPTIONS", "a.example", "/x/one", Err(Error::NoRoute)),
            ("get", "a.example", "/x/one", Err(Error::NoRoute)),
            ("GET", "a.example", "/X/one", Err(Error::NoRoute)),
            ("GET", "a.example", "/x//one", Err(Error::NoRoute)),
            ("GET", "a.example", "/x/o%2Fne", Err(Error::NoRoute)),
            ("GET", "a.example", "/x/one;a", Err(Error::NoRoute)),
            ("GET", "a.example", "/x/../one", Err(Error::AmbiguousPath)),
            ("GET", "a.example", "/x/%2e%2e/one", Err(Error::AmbiguousPath)),
            ("GET", "a.example", "*", Err(Error::AmbiguousPath)),
        ] {
            let request = request(method, authority, path);
            assert_eq!(named(&policy, &request), expected.map(str::to_owned), "{method} {authority} {path}");
        }
    }

    #[test]
    fn an_odd_path_is_taken_by_no_route_not_even_one_of_any_path() {
        let any = policy(vec![route("any", "", &[], &[])]);
        for path in ["//", "/a//b", "/a%2fb", "/a;b", "/%ff"] {
            assert_eq!(named(&any, &request("GET", "a", path)), Err(Error::NoRoute), "{path}");
        }
        assert_eq!(named(&any, &request("GET", "a", "/a/b")), Ok("any".to_owned()));
    }

    #[test]
    fn an_odd_path_is_taken_by_a_route_that_names_its_oddity() {
        let slash = Oddities { encoded_slash: true, ..Oddities::default() };
        let empty = Oddities { empty_segment: true, ..Oddities::default() };
        let semicolon = Oddities { semicolon: true, ..Oddities::default() };
        let with = |allows, paths: &[&str]| policy(vec![Route { allows, ..route("r", "", &[], paths) }]);
        let good = Ok("r".to_owned());
        for (allows, pattern, path, expected) in [
            (slash, "/a/{x}", "/a/b%2Fc", &good),
            (slash, "/a/{x}", "/a/b", &good),
            (slash, "/a/b/c", "/a/b%2Fc", &Err(Error::NoRoute)),
            (slash, "/a/**", "/a//b", &Err(Error::NoRoute)),
            (slash, "/a/**", "/a/b%2f..", &Err(Error::AmbiguousPath)),
            (empty, "/a/**", "/a//b", &good),
            (empty, "/a/*/b", "/a//b", &Err(Error::NoRoute)),
            (empty, "/a/{x}/b", "/a//b", &Err(Error::NoRoute)),
            (empty, "/a/b", "/a//b", &Err(Error::NoRoute)),
            (semicolon, "/a/*", "/a/b;c", &good),
            (semicolon, "/a/b", "/a/b;c", &Err(Error::NoRoute)),
            (semicolon, "/a/**", "/a/..;x/b", &Err(Error::AmbiguousPath)),
            (semicolon, "/a/**", "/a/%ff;x", &Err(Error::NoRoute)),
        ] {
            assert_eq!(&named(&with(allows, &[pattern]), &request("GET", "a", path)), expected, "{pattern} {path}");
        }
        let bound = taken(&with(slash, &["/a/{x}"]), &request("GET", "a", "/a/b%2Fc")).unwrap().1;
        assert_eq!(bound, [("x".to_owned(), "b/c".to_owned())]);
    }

    #[test]
    fn a_preflight_is_matched_as_the_method_that_it_asks_about() {
        let passing = |name: &str, methods: &[&str], path: &str| Route {
            passes_preflight: true,
            ..route(name, "", methods, &[path])
        };
        let policy = policy(vec![
            passing("read", &["GET"], "/a/**"),
            passing("write", &["POST"], "/a/**"),
            route("strict", "", &["GET"], &["/b"]),
            route("any", "", &[], &["/c"]),
        ]);
        let ask = |method: &str, path: &str, others: &[(&str, &str)]| {
            let mut pairs = vec![(":method", method), (":authority", "a"), (":path", path)];
            pairs.extend(others);
            let request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).unwrap();
            policy.route(&request).map(|matched| (matched.route().name.clone(), matched.is_preflight()))
        };
        let origin = ("origin", "https://app.example");
        let asks = |method| ("access-control-request-method", method);
        let (read, write) = (Ok(("read".to_owned(), true)), Ok(("write".to_owned(), true)));
        for (method, path, fields, expected) in [
            ("OPTIONS", "/a/x", vec![origin, asks("GET")], &read),
            ("OPTIONS", "/a/x", vec![origin, asks("POST")], &write),
            ("OPTIONS", "/a/x", vec![origin, asks("DELETE")], &Err(Error::NoRoute)),
            ("OPTIONS", "/a/x", vec![origin], &Err(Error::NoRoute)),
            ("OPTIONS", "/a/x", vec![asks("GET")], &Err(Error::NoRoute)),
            ("OPTIONS", "/a/x", vec![origin, asks("GET"), ("authorization", "Bearer x")], &Err(Error::NoRoute)),
            ("OPTIONS", "/a/x", vec![origin, origin, asks("GET")], &Err(Error::NoRoute)),
            ("OPTIONS", "/a/x", vec![origin, asks("GET"), asks("POST")], &Err(Error::NoRoute)),
            ("GET", "/a/x", vec![origin, asks("GET")], &Ok(("read".to_owned(), false))),
            ("OPTIONS", "/b", vec![origin, asks("GET")], &Err(Error::NoRoute)),
            ("OPTIONS", "/c", vec![origin, asks("GET")], &Ok(("any".to_owned(), false))),
        ] {
            assert_eq!(&ask(method, path, &fields), expected, "{method} {path} {fields:?}");
        }
    }

    #[test]
    fn what_is_bound_is_the_segment_decoded_once_of_the_pattern_that_matched() {
        let policy = policy(vec![route("r", "{tenant}.example", &[], &["/{a}/{x}/one", "/{b}/two"])]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        for (authority, path, bound) in [
            ("ACME.example:80", "/1/2/one", vec![pair("tenant", "acme"), pair("a", "1"), pair("x", "2")]),
            ("acme.example", "/1/two", vec![pair("tenant", "acme"), pair("b", "1")]),
            ("acme.example", "/%61/two", vec![pair("tenant", "acme"), pair("b", "a")]),
            ("acme.example", "/%2561/two", vec![pair("tenant", "acme"), pair("b", "%61")]),
            ("acme.example", "/a%20B/two?c", vec![pair("tenant", "acme"), pair("b", "a B")]),
        ] {
            assert_eq!(
                taken(&policy, &request("GET", authority, path)),
                Ok(("r".to_owned(), bound)),
                "{authority} {path}"
            );
        }
    }

    #[test]
    fn a_policy_that_the_envoy_route_names_is_judged_by_its_own_entries_only() {
        let with =
            |name: &str, envoy: &str| Route { envoy_routes: vec![envoy.to_owned()], ..route(name, "", &[], &[]) };
        let policy = policy(vec![with("one", "p"), with("two", "q"), route("rest", "", &[], &[])]);
        assert!(policy.uses_envoy_route());
        let told = |name: Option<&str>, metadata: Option<&str>| {
            let octets = |text: &str| text.as_bytes().to_vec();
            let mut request = request("GET", "a", "/");
            request.envoy_route = Some(EnvoyRoute { name: name.map(octets), policy: metadata.map(octets) });
            named(&policy, &request)
        };
        for (name, metadata, expected) in [
            (None, None, Ok("rest")),
            (Some("p"), None, Ok("one")),
            (Some("q"), None, Ok("two")),
            (Some("other"), None, Ok("rest")),
            (None, Some("q"), Ok("two")),
            (Some("p"), Some("q"), Ok("two")),
            (Some("p"), Some("typo"), Err(Error::UnknownPolicy)),
            (Some("p"), Some(""), Err(Error::UnknownPolicy)),
            (None, Some("P"), Err(Error::UnknownPolicy)),
        ] {
            assert_eq!(told(name, metadata), expected.map(str::to_owned), "{name:?} {metadata:?}");
        }
        assert_eq!(named(&policy, &request("GET", "a", "/")), Ok("rest".to_owned()), "a proxy that tells no route");
    }

    #[test]
    fn a_named_policy_whose_entries_do_not_match_is_no_route() {
        let get = Route { envoy_routes: vec!["p".to_owned()], ..route("get", "", &["GET"], &[]) };
        let policy = policy(vec![get, route("rest", "", &[], &[])]);
        let mut request = request("POST", "a", "/");
        request.envoy_route = Some(EnvoyRoute { name: None, policy: Some(b"p".to_vec()) });
        assert_eq!(named(&policy, &request), Err(Error::NoRoute));
    }

    #[test]
    fn a_route_reads_a_token_where_some_rule_wants_one_and_needs_it_where_all_do() {
        let none = || Rule { without_token: true, ..Rule::default() };
        for (allow, reads, needs) in [
            (Allow::Public, false, false),
            (Allow::Authenticated, true, true),
            (Allow::Rules(vec![Rule::default()]), true, true),
            (Allow::Rules(vec![none(), Rule::default()]), true, false),
            (Allow::Rules(vec![none(), none()]), false, false),
        ] {
            let route = Route { allow, ..route("r", "", &[], &[]) };
            assert_eq!((route.reads_token(), route.needs_token()), (reads, needs), "{:?}", route.allow);
        }
    }

    #[test]
    fn any_path_and_two_stars_are_the_same() {
        let (any, stars, some) =
            (route("any", "", &[], &[]), route("stars", "", &[], &["/**"]), route("some", "", &[], &["/a/**"]));
        let (every_host, some_hosts) =
            (route("every host", "**", &[], &[]), route("some hosts", "**.example", &[], &[]));
        for (earlier, later, expected) in [
            (&any, &stars, true),
            (&stars, &any, true),
            (&stars, &some, true),
            (&some, &any, false),
            (&some, &stars, false),
            (&every_host, &any, true),
            (&some_hosts, &any, false),
        ] {
            assert_eq!(earlier.takes_all_but_odd_paths_of(later), expected, "{} before {}", earlier.name, later.name);
        }
    }
}
