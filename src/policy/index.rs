//! The hosts, Envoy routes and paths of all routes into one index, so that a request meets only routes that may take it.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::pattern::{HostPattern, Piece, Pieces};
use super::route::{Line, Route, RouteId};

/// Routes by where they stand, built once at load. It grows with what is written, not with combinations of that.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Vec<Place>,
    /// The place of routes that ask for nothing but a path.
    anywhere: Option<usize>,
    /// Places without Envoy routes.
    by_host: Tree<usize>,
    by_envoy_route: HashMap<Vec<u8>, Vec<usize>>,
    uses_hosts: bool,
}

/// Routes that ask for the same hosts and the same Envoy routes.
#[derive(Debug, Default)]
struct Place {
    hosts: Vec<HostPattern>,
    /// Some host binds a name.
    binds: bool,
    paths: Tree<(RouteId, usize)>,
}

/// Patterns by their pieces, from the closed end on. Each node stands behind one piece, the first before all.
#[derive(Debug)]
struct Tree<T> {
    nodes: Vec<Node<T>>,
}

#[derive(Debug)]
struct Node<T> {
    texts: BTreeMap<String, usize>,
    /// `*` and `{name}`
    one: Option<usize>,
    /// What patterns lead to that end here.
    closed: Vec<T>,
    /// And those that end with `**`.
    open: Vec<T>,
}

/// What host and path bind to names.
type Captured = Vec<(String, String)>;

impl Index {
    pub fn new(routes: &[Route]) -> Self {
        let mut index = Self::default();
        let mut known = HashMap::new();
        for (at, route) in routes.iter().enumerate() {
            let place = *known.entry((&route.hosts, &route.envoy_routes)).or_insert_with(|| index.open(route));
            let Some(Place { paths, .. }) = index.places.get_mut(place) else { continue };
            if route.paths.is_empty() {
                paths.insert(&Pieces { pieces: Vec::new(), open: true }, (RouteId(at), 0));
            }
            for (which, path) in route.paths.iter().enumerate() {
                paths.insert(&path.0, (RouteId(at), which));
            }
        }
        index
    }

    /// The place of a route that is the first there.
    fn open(&mut self, route: &Route) -> usize {
        let place = self.places.len();
        let binds = route.hosts.iter().any(|host| host.names().next().is_some());
        self.places.push(Place { hosts: route.hosts.clone(), binds, paths: Tree::default() });
        self.uses_hosts |= !route.hosts.is_empty();
        for name in &route.envoy_routes {
            self.by_envoy_route.entry(name.as_bytes().to_vec()).or_default().push(place);
        }
        if route.envoy_routes.is_empty() {
            for host in &route.hosts {
                self.by_host.insert(&host.0, place);
            }
            if route.hosts.is_empty() {
                self.anywhere = Some(place);
            }
        }
        place
    }

    /// Whether some route asks for a host.
    pub fn uses_hosts(&self) -> bool {
        self.uses_hosts
    }

    /// Whether some route asks for an Envoy route.
    pub fn uses_envoy_route(&self) -> bool {
        !self.by_envoy_route.is_empty()
    }

    /// Whether some route is for this Envoy route.
    pub fn knows(&self, envoy_route: &[u8]) -> bool {
        self.by_envoy_route.contains_key(envoy_route)
    }

    /// The first of `routes`, of which this is the index, that takes the request.
    pub fn first(&self, routes: &[Rc<Route>], line: &Line<'_>, method: &[u8]) -> Option<(RouteId, Captured)> {
        let takes = |at: RouteId| routes.get(at.0).is_some_and(|route| route.takes(method, &line.path.oddities));
        let mut first: Option<((RouteId, usize), &Place)> = None;
        for place in self.places_of(line) {
            place.paths.visit(line.path.segments(), |found| {
                let mut earlier = found.iter().take_while(|found| first.is_none_or(|(first, _)| **found < first));
                if let Some(found) = earlier.find(|(at, _)| takes(*at)) {
                    first = Some((*found, place));
                }
            });
        }
        let ((id, path), place) = first?;
        let mut captured = Vec::new();
        place.bind_host(line, &mut captured);
        if let Some(path) = routes.get(id.0)?.paths.get(path) {
            path.0.take(line.path.segments(), |name, value| captured.push((name.to_owned(), value.to_owned())));
        }
        Some((id, captured))
    }

    /// Where routes can take a request of this host and Envoy route. Where the Envoy route names a policy, only routes for that
    /// judge: a misspelt name refuses.
    fn places_of(&self, line: &Line<'_>) -> impl Iterator<Item = &Place> {
        let anywhere = self.anywhere.filter(|_| !line.named);
        let mut by_host = Vec::new();
        if let (false, Some(host)) = (line.named, &line.host) {
            self.by_host.visit(host.pieces(), |found| by_host.extend(found));
            // One place may have several patterns for a host.
            by_host.sort_unstable();
            by_host.dedup();
        }
        let unnamed = anywhere.into_iter().chain(by_host).filter_map(|place| self.places.get(place));
        let named = line.envoy_route.and_then(|name| self.by_envoy_route.get(name)).into_iter().flatten();
        let named = named.filter_map(|place| self.places.get(*place)).filter(|place| place.takes_host(line));
        unnamed.chain(named)
    }
}

impl Place {
    fn takes_host(&self, line: &Line<'_>) -> bool {
        let takes = |host: &HostPattern| line.host.as_ref().is_some_and(|own| host.0.take(own.pieces(), |_, _| ()));
        self.hosts.is_empty() || self.hosts.iter().any(takes)
    }

    /// Binds what the first pattern that takes the host does.
    fn bind_host(&self, line: &Line<'_>, captured: &mut Captured) {
        if let (true, Some(host)) = (self.binds, &line.host) {
            self.hosts.iter().any(|pattern| {
                captured.clear();
                pattern.0.take(host.pieces(), |name, value| captured.push((name.to_owned(), value.to_owned())))
            });
        }
    }
}

impl<T> Tree<T> {
    fn insert(&mut self, pattern: &Pieces, value: T) {
        let mut at = 0;
        for piece in &pattern.pieces {
            let new = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            at = match piece {
                Piece::Text(text) => *node.texts.entry(text.clone()).or_insert(new),
                Piece::Any | Piece::Named(_) => *node.one.get_or_insert(new),
            };
            if at == new {
                self.nodes.push(Node::default());
            }
        }
        if let Some(node) = self.nodes.get_mut(at) {
            let end = if pattern.open { &mut node.open } else { &mut node.closed };
            end.push(value);
        }
    }

    /// Shows the values of all patterns that take these pieces, in lists of the order in which they were inserted. No node is
    /// met twice, whatever comes.
    fn visit<'f>(&self, found: impl Iterator<Item = &'f str> + Clone, mut show: impl FnMut(&[T])) {
        let mut next = Some((0, found));
        let mut forks = Vec::new();
        while let Some((at, mut rest)) = next.take().or_else(|| forks.pop()) {
            let Some(node) = self.nodes.get(at) else { continue };
            show(&node.open);
            let Some(piece) = rest.next() else {
                show(&node.closed);
                continue;
            };
            let text = node.texts.get(piece).copied();
            let one = node.one.filter(|_| !piece.is_empty());
            for behind in text.into_iter().chain(one) {
                forks.extend(next.replace((behind, rest.clone())));
            }
        }
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()] }
    }
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { texts: BTreeMap::new(), one: None, closed: Vec::new(), open: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};
    use proptest::test_runner::{Config, RngSeed, TestRunner};

    use super::super::path::{Oddities, Path};
    use super::super::pattern::PathPattern;
    use super::super::role::Roles;
    use super::super::route::{Allow, Host};
    use super::super::tests::route_of;
    use super::super::{Error, Policy, Trust};
    use super::*;
    use crate::facts::peer::Peer;
    use crate::facts::{EnvoyRoute, Request, write_pairs};

    /// What a request comes to: the number of its route, what is bound, and whether it is a preflight.
    type Chosen = Result<(RouteId, Captured, bool), Error>;

    /// The same by looking at one route after the other, as the page for operators tells it.
    fn chosen_by_scan(routes: &[Route], asked: &Asked) -> Chosen {
        let path = Path::read(asked.path.as_bytes()).map_err(|_| Error::AmbiguousPath)?;
        let host = Host::read(asked.authority.as_bytes());
        if host.is_none() && routes.iter().any(|route| !route.hosts.is_empty()) {
            return Err(Error::AmbiguousPath);
        }
        let known: Vec<&String> = routes.iter().flat_map(|route| &route.envoy_routes).collect();
        if asked.policy.as_ref().is_some_and(|policy| !known.contains(&policy)) {
            return Err(Error::UnknownPolicy);
        }
        let segments: Vec<&str> = path.segments().collect();
        let labels: Vec<&str> = host.iter().flat_map(Host::pieces).collect();
        let bound = |pieces: &Pieces, found: &[&str]| {
            let mut bound = Vec::new();
            let takes = pieces.take(found.iter().copied(), |name, value| bound.push((name.into(), value.into())));
            takes.then_some(bound)
        };
        let any_of = |mut patterns: Vec<&Pieces>, found: &[&str]| match patterns.is_empty() {
            true => Some(Captured::new()),
            false => patterns.drain(..).find_map(|pieces| bound(pieces, found)),
        };
        let takes = |route: &Route, method: &str| -> Option<Captured> {
            let envoy_route = match route.envoy_routes.as_slice() {
                [] => asked.policy.is_none(),
                names => asked.policy.as_ref().or(asked.envoy_route.as_ref()).is_some_and(|own| names.contains(own)),
            };
            let is_for = envoy_route
                && (route.methods.is_empty() || route.methods.iter().any(|own| own == method))
                && route.allows.include(&path.oddities);
            let host = any_of(route.hosts.iter().map(|host| &host.0).collect(), &labels)?;
            let path = any_of(route.paths.iter().map(|path| &path.0).collect(), &segments)?;
            is_for.then(|| [host, path].concat())
        };
        let first = |method: &str, preflight: bool| {
            let mut all = routes.iter().enumerate();
            all.find_map(|(at, route)| Some((RouteId(at), takes(route, method)?, preflight)))
        };
        let asked_about = asked.preflight.as_deref().filter(|_| asked.method == "OPTIONS");
        let passes = |(at, ..): &(RouteId, Captured, bool)| routes[at.0].passes_preflight;
        let preflight = asked_about.and_then(|method| first(method, true)).filter(passes);
        preflight.or_else(|| first(&asked.method, false)).ok_or(Error::NoRoute)
    }

    fn chosen(policy: &Policy, asked: &Asked) -> Chosen {
        let mut pairs = vec![(":method", &*asked.method), (":authority", &asked.authority), (":path", &asked.path)];
        if let Some(method) = &asked.preflight {
            pairs.extend([("origin", "https://app.example"), ("access-control-request-method", method)]);
        }
        let mut request = Request::from_pairs(write_pairs(&pairs), Peer::Anonymous).unwrap();
        let octets = |text: &Option<String>| text.clone().map(String::into_bytes);
        request.envoy_route = Some(EnvoyRoute { name: octets(&asked.envoy_route), policy: octets(&asked.policy) });
        policy.route(&request).map(|matched| (matched.id, matched.captured, matched.preflight))
    }

    #[derive(Clone, Debug)]
    struct Asked {
        method: String,
        authority: String,
        path: String,
        envoy_route: Option<String>,
        policy: Option<String>,
        preflight: Option<String>,
    }

    const METHODS: [&str; 3] = ["GET", "POST", "OPTIONS"];
    const ENVOY_ROUTES: [&str; 3] = ["p", "q", "r"];

    /// Few words, so that patterns meet and overlap.
    fn pieces(words: [&'static str; 4]) -> impl Strategy<Value = (Vec<&'static str>, bool)> {
        (prop::collection::vec(select(words.to_vec()), 0..4), prop::bool::weighted(0.3))
    }

    fn path() -> impl Strategy<Value = PathPattern> {
        pieces(["a", "b", "*", "{}"]).prop_map(|(pieces, open)| {
            let named = |(at, piece): (usize, &str)| piece.replace("{}", &format!("{{p{at}}}"));
            let pieces: Vec<String> = pieces.into_iter().enumerate().map(named).collect();
            let all: Vec<&str> = pieces.iter().map(String::as_str).chain(open.then_some("**")).collect();
            PathPattern::parse(&format!("/{}", all.join("/"))).unwrap()
        })
    }

    fn host() -> impl Strategy<Value = HostPattern> {
        let of_labels = pieces(["a", "b", "*", "{}"]).prop_map(|(pieces, open)| {
            let named = |(at, piece): (usize, &str)| piece.replace("{}", &format!("{{h{at}}}"));
            let labels = open.then(|| "**".to_owned()).into_iter();
            let mut labels: Vec<String> = labels.chain(pieces.into_iter().enumerate().map(named)).collect();
            if labels.is_empty() {
                labels.push("a".to_owned());
            }
            labels.join(".")
        });
        let text = prop_oneof![9 => of_labels, 1 => Just("[::1]".to_owned())];
        text.prop_map(|text| HostPattern::parse(&text).unwrap())
    }

    fn oddities() -> impl Strategy<Value = Oddities> {
        let some =
            (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(encoded_slash, empty_segment, semicolon)| {
                Oddities { encoded_slash, empty_segment, semicolon, not_text: false }
            });
        prop_oneof![2 => Just(Oddities::default()), 1 => some]
    }

    fn some_of(words: [&'static str; 3]) -> impl Strategy<Value = Vec<String>> {
        let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect();
        prop_oneof![1 => Just(vec![]), 1 => subsequence(words.to_vec(), 0..3).prop_map(owned)]
    }

    fn route() -> impl Strategy<Value = Route> {
        let hosts = prop_oneof![2 => Just(vec![]), 1 => prop::collection::vec(host(), 1..4)];
        let paths = prop::collection::vec(path(), 0..4);
        let envoy_routes = prop_oneof![2 => Just(vec![]), 1 => some_of(ENVOY_ROUTES)];
        (hosts, paths, some_of(METHODS), envoy_routes, oddities(), any::<bool>()).prop_map(
            |(hosts, paths, methods, envoy_routes, allows, passes_preflight)| Route {
                hosts,
                paths,
                methods,
                envoy_routes,
                allows,
                passes_preflight,
                ..route_of("/", Allow::Authenticated)
            },
        )
    }

    fn asked() -> impl Strategy<Value = Asked> {
        let segment = prop_oneof![
            20 => select(vec!["a", "b", "c", "%61"]),
            1 => select(vec!["", "a%2Fb", "a;b", "%ff", "..", "%2e", "%", "a b", "é"]),
        ];
        let path = (prop::collection::vec(segment, 0..5), select(vec!["", "/", "?a/b", "//", "#"]))
            .prop_map(|(segments, end)| format!("/{}{end}", segments.join("/")));
        let label = select(vec!["a", "b", "c", "A"]);
        let name = (prop::collection::vec(label, 1..5), select(vec!["", "", ".", ":80", ".:80"]))
            .prop_map(|(labels, end)| format!("{}{end}", labels.join(".")));
        let odd = select(vec!["", "[::1]", "[0::1]:80", "a..b", "u@a", "[::ffff:1.2.3.4]"]).prop_map(str::to_owned);
        let owned = |words: &[&str]| select(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        let sometimes = |names| prop_oneof![2 => Just(None), 1 => prop::option::of(names)];
        let authority = prop_oneof![8 => name, 1 => odd];
        let (envoy_route, policy) = (sometimes(owned(&ENVOY_ROUTES)), sometimes(owned(&["p", "q", "typo"])));
        (owned(&METHODS), authority, path, envoy_route, policy, prop::option::of(owned(&METHODS))).prop_map(
            |(method, authority, path, envoy_route, policy, preflight)| Asked {
                method,
                authority,
                path,
                envoy_route,
                policy,
                preflight,
            },
        )
    }

    #[test]
    fn the_index_chooses_what_a_look_at_one_route_after_the_other_chooses() {
        let config =
            Config { cases: 2000, failure_persistence: None, rng_seed: RngSeed::Fixed(1), ..Config::default() };
        let cases = (prop::collection::vec(route(), 0..12), prop::collection::vec(asked(), 1..16));
        let seen = std::cell::RefCell::new(BTreeSet::new());
        let compare = |(routes, asked): (Vec<Route>, Vec<Asked>)| {
            let policy = Policy::new(routes.clone(), Roles::default(), vec![], vec![], Trust::default());
            for asked in &asked {
                let expected = chosen_by_scan(&routes, asked);
                prop_assert_eq!(&chosen(&policy, asked), &expected, "{:?}", asked);
                let mut seen = seen.borrow_mut();
                match expected {
                    Err(error) => drop(seen.insert(format!("{error:?}"))),
                    Ok((id, bound, preflight)) => {
                        let binds = |kind: char| bound.iter().any(|(name, _)| name.starts_with(kind));
                        seen.insert(format!("host binds: {}, path binds: {}", binds('h'), binds('p')));
                        seen.insert(format!("first of all: {}", id == RouteId(0)));
                        seen.insert(format!("preflight: {preflight}"));
                    }
                }
            }
            Ok(())
        };
        TestRunner::new(config).run(&cases, compare).unwrap();
        // Every refusal, and routes chosen in every way.
        assert_eq!(seen.borrow().len(), 3 + 4 + 2 + 2, "{:#?}", seen.borrow());
    }

    /// As many combinations of `a` and `*` as are written are met, and none twice.
    #[test]
    fn no_path_makes_more_work_than_there_are_pieces_written() {
        const DEEP: usize = 12;
        let mut tree = Tree::default();
        for combination in 0..1_u32 << DEEP {
            let piece = |at| if combination >> at & 1 == 0 { Piece::Any } else { Piece::Text("a".to_owned()) };
            tree.insert(&Pieces { pieces: (0..DEEP).map(piece).collect(), open: false }, combination);
        }
        let shown = |path: &str| {
            let (mut lists, mut values) = (0, BTreeSet::new());
            tree.visit(path.split('/'), |found| {
                lists += 1;
                values.extend(found.iter().copied());
            });
            (lists, values.len())
        };
        let nodes = (1 << (DEEP + 1)) - 1;
        // Each node once, and its second list where the path ends.
        assert_eq!(shown(&["a"; DEEP].join("/")), (nodes + (1 << DEEP), 1 << DEEP));
        assert_eq!(shown(&["b"; DEEP].join("/")), (DEEP + 2, 1));
        assert_eq!(shown(&["a"; 100_000].join("/")), (nodes, 0));
        assert_eq!(shown(""), (1, 0), "nothing but ** takes an empty piece");
    }
}
