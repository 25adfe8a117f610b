//! An authorization server's own word about its endpoints (RFC 8414, OpenID Connect Discovery 1.0): what is held, when to fetch it
//! again, and how little of it is believed (checklist §10).
//!
//! It tells paths. Which cluster is asked stands in the configuration, and so does the name that it is asked by.

use core::fmt;
use core::time::Duration;
use std::rc::Rc;

use crate::callout::{Answer, Callout, CalloutId, Failing, NoAnswer, Response, Service};
use crate::jose::json::{self, Limits, Object, Value};
use crate::time::UnixTime;

/// What is looked for, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What the document has to call itself, octet by octet.
    pub issuer: String,
    /// Asks for the document.
    pub service: Rc<Service>,
    /// Asks for the one of the other standard. Where a server publishes both, they agree (RFC 9068 §4).
    pub other: Rc<Service>,
    /// Services whose paths are not known yet; none that nobody needs.
    pub keys: Option<Rc<Service>>,
    pub introspection: Option<Rc<Service>>,
    /// We show a certificate where we introspect, for which there may be an endpoint of its own (RFC 8705 §5).
    pub by_certificate: bool,
    /// How we authenticate where we introspect, by its name, and what our key signs with.
    pub method: Option<&'static str>,
    pub signs_with: Option<&'static str>,
    /// Some route asks for a stronger login.
    pub wants_acr: bool,
}

/// Which standard's document is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Document {
    /// RFC 8414.
    OauthAuthorizationServer,
    /// OpenID Connect Discovery 1.0.
    OpenidConfiguration,
}

/// What is known of one authorization server on this worker.
#[derive(Debug)]
pub struct Discovery {
    settings: Settings,
    held: Option<Held>,
    /// Fetched, and not yet held against the other document: nothing of it is believed.
    found: Option<Held>,
    failing: Option<Failing>,
    /// There was no answer when it was asked last.
    away: bool,
    under_way: bool,
    /// The other document was asked for.
    comparing: bool,
    used: bool,
    /// So much earlier than others a refresh comes.
    early: Duration,
}

#[derive(Debug)]
struct Held {
    endpoints: Endpoints,
    fetched: UnixTime,
}

/// Services with their paths.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub keys: Option<Rc<Service>>,
    pub introspection: Option<Rc<Service>>,
}

/// Whether the endpoints are known.
#[derive(Debug, PartialEq, Eq)]
pub enum Located {
    Known,
    /// The server has to be asked first.
    Ask(Callout),
    /// It can't be asked, and nothing is held.
    Unavailable,
}

/// What became of a fetch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fetched {
    /// A document, and what an operator should know of it.
    Document(Vec<Remark>),
    /// The other document says nothing else; or there is none.
    Agrees,
    Failed(Failure),
}

/// What could become trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remark {
    /// Our way to authenticate is not among those that it takes.
    Method(&'static str),
    /// Nor our key's algorithm.
    Algorithm(&'static str),
    /// It does not say which logins it has (RFC 9470 §7).
    NoAcr,
}

/// Why a document is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    NoAnswer(NoAnswer),
    /// Another status than 200.
    Status(u16),
    /// Not a JSON object of at most 64 KiB.
    NotMetadata,
    /// `issuer` is not the one that was configured.
    OtherIssuer,
    /// It does not have this member.
    Missing(&'static str),
    /// This member is not an https URL without a fragment.
    NotAUrl(&'static str),
    /// This member names a host that the configuration does not.
    OtherHost(&'static str),
    /// The other document says otherwise.
    Disagrees(&'static str),
}

/// How long a document is taken without asking again, and how long it serves while the server does not answer.
const REFRESH: Duration = Duration::from_secs(10 * 60);
const MAX_STALE: Duration = Duration::from_secs(24 * 60 * 60);
const LONGEST_PATH: usize = 2048;

const KEYS: &str = "jwks_uri";
const INTROSPECTION: &str = "introspection_endpoint";

impl Document {
    /// The path of the document of an issuer: RFC 8414 §3.1 puts its name before the issuer's own path, OpenID Connect behind it.
    pub fn path(self, issuer: &str) -> String {
        let own = issuer.strip_prefix("https://").and_then(|rest| rest.split_once('/')).map_or("", |(_, path)| path);
        let own = own.strip_suffix('/').unwrap_or(own);
        let slash = if own.is_empty() { "" } else { "/" };
        match self {
            Self::OauthAuthorizationServer => format!("/.well-known/oauth-authorization-server{slash}{own}"),
            Self::OpenidConfiguration => format!("{slash}{own}/.well-known/openid-configuration"),
        }
    }

    pub fn other(self) -> Self {
        match self {
            Self::OauthAuthorizationServer => Self::OpenidConfiguration,
            Self::OpenidConfiguration => Self::OauthAuthorizationServer,
        }
    }
}

impl Discovery {
    pub fn new(settings: Settings) -> Self {
        let (held, found, failing, early) = (None, None, None, Duration::ZERO);
        let (away, under_way, comparing, used) = (false, false, false, false);
        Self { settings, held, found, failing, away, under_way, comparing, used, early }
    }

    /// Refreshes come earlier by a part of their time that these octets choose, so that not all workers ask at once.
    pub fn spread(&mut self, seed: u8) {
        self.early = REFRESH / 5 * u32::from(seed) / 256;
    }

    pub fn endpoints(&self) -> Option<&Endpoints> {
        self.held.as_ref().map(|held| &held.endpoints)
    }

    /// Whether it was away when it was asked last, rather than there and with no good document.
    pub fn is_away(&self) -> bool {
        self.away
    }

    /// Whether there is something to ask with; what nobody used for long is asked for before it is believed.
    pub fn locate(&mut self, now: UnixTime) -> Located {
        self.used = true;
        let held = self.held.as_ref().filter(|held| now < held.fetched.plus(MAX_STALE));
        match (held, self.failing) {
            (Some(held), failing) if failing.is_some() || now < held.fetched.plus(REFRESH) => Located::Known,
            _ if self.found.is_some() => {
                self.comparing = true;
                Located::Ask(ask(&self.settings.other))
            }
            (None, Some(failing)) if now < failing.retry && !self.under_way => Located::Unavailable,
            _ => {
                self.under_way = true;
                Located::Ask(ask(&self.settings.service))
            }
        }
    }

    /// The question that was to be asked is not: the journey had asked too often.
    pub fn withdraw(&mut self, service: &Service) {
        match *service == *self.settings.other {
            true => self.comparing = false,
            false => self.under_way = false,
        }
    }

    /// What nobody waits for: the first document of a worker, a new one before a used one grows old, the other one beside each.
    pub fn due(&mut self, now: UnixTime) -> Option<Callout> {
        if self.found.is_some() {
            let compares = !self.comparing;
            self.comparing = true;
            return compares.then(|| ask(&self.settings.other));
        }
        let early = REFRESH * 4 / 5 - self.early;
        let due = match (&self.held, self.failing) {
            _ if self.under_way => false,
            (None, None) => true,
            (held, Some(failing)) => now >= failing.retry && (self.used || held.is_none()),
            (Some(held), None) => self.used && now >= held.fetched.plus(early),
        };
        self.under_way |= due;
        due.then(|| ask(&self.settings.service))
    }

    /// The clock was set back by so much: all is as old as it was.
    pub fn set_back(&mut self, by: Duration) {
        for held in [&mut self.held, &mut self.found].into_iter().flatten() {
            held.fetched = held.fetched.minus(by);
        }
        if let Some(failing) = &mut self.failing {
            failing.retry = failing.retry.minus(by);
        }
    }

    /// Takes the answer to a fetch. What can't be used leaves the last good document in place, unless both contradict each other.
    pub fn settle(&mut self, service: &Service, answer: Answer, now: UnixTime) -> Fetched {
        if *service == *self.settings.other {
            return self.compare(answer, now);
        }
        self.under_way = false;
        match self.settings.read(answer) {
            Ok((endpoints, remarks)) => {
                (self.found, self.comparing) = (Some(Held { endpoints, fetched: now }), false);
                Fetched::Document(remarks)
            }
            Err(failure) => self.fail(failure, now),
        }
    }

    /// What was found counts from now on, unless the other document contradicts it: then neither does.
    fn compare(&mut self, answer: Answer, now: UnixTime) -> Fetched {
        self.comparing = false;
        let Some(found) = self.found.take() else { return Fetched::Agrees };
        let document = match parse(answer) {
            // Whether there is one is not known: both are asked for again.
            Err(failure) if failure.is_away() => return self.fail(failure, now),
            document => document.ok(),
        };
        match document.and_then(|document| self.settings.differs(&found.endpoints, &document)) {
            None => {
                (self.held, self.failing, self.used) = (Some(found), None, false);
                Fetched::Agrees
            }
            Some(name) => {
                self.held = None;
                self.fail(Failure::Disagrees(name), now)
            }
        }
    }

    fn fail(&mut self, failure: Failure, now: UnixTime) -> Fetched {
        self.failing = Some(Failing::again(self.failing, now));
        self.away = failure.is_away();
        Fetched::Failed(failure)
    }
}

fn ask(service: &Rc<Service>) -> Callout {
    Callout { id: CalloutId::of(Rc::clone(service)) }
}

fn parse(answer: Answer) -> Result<Value, Failure> {
    match answer {
        Answer::Response(Response { status: 200, body, .. }) => {
            json::parse(&body, Limits::DOCUMENT).map_err(|_| Failure::NotMetadata)
        }
        Answer::Response(Response { status, .. }) => Err(Failure::Status(status)),
        Answer::None(why) => Err(Failure::NoAnswer(why)),
    }
}

impl Settings {
    /// The member that another document tells otherwise. A server that has none, or has it for somebody else, says nothing in it.
    fn differs(&self, endpoints: &Endpoints, other: &Value) -> Option<&'static str> {
        let members = other.as_object().filter(|members| self.is_of_issuer(members))?;
        let differs = |name, own: &Option<Rc<Service>>| {
            let (Some(own), Some(found)) = (own, self.endpoint(members, name)) else { return false };
            self.path(name, found, own).as_deref() != Ok(own.path.as_str())
        };
        let told = [(KEYS, &endpoints.keys), (INTROSPECTION, &endpoints.introspection)];
        told.into_iter().find(|(name, own)| differs(*name, own)).map(|(name, _)| name)
    }

    fn read(&self, answer: Answer) -> Result<(Endpoints, Vec<Remark>), Failure> {
        let document = parse(answer)?;
        let members = document.as_object().ok_or(Failure::NotMetadata)?;
        if !self.is_of_issuer(members) {
            return Err(Failure::OtherIssuer);
        }
        let at = |name, service: &Option<Rc<Service>>| {
            let Some(service) = service else { return Ok(None) };
            let found = self.endpoint(members, name).ok_or(Failure::Missing(name))?;
            let path = self.path(name, found, service)?;
            Ok(Some(Rc::new(Service { path, ..service.as_ref().clone() })))
        };
        let endpoints =
            Endpoints { keys: at(KEYS, &self.keys)?, introspection: at(INTROSPECTION, &self.introspection)? };
        Ok((endpoints, self.remarks(members)))
    }

    /// RFC 8414 §3.3: identical, or nothing of it may be used.
    fn is_of_issuer(&self, members: &Object) -> bool {
        members.get("issuer").and_then(Value::as_str) == Some(self.issuer.as_str())
    }

    /// RFC 8705 §5: a client with a certificate takes the alias where there is one.
    fn endpoint<'a>(&self, members: &'a Object, name: &str) -> Option<&'a Value> {
        let aliases = members.get("mtls_endpoint_aliases").and_then(Value::as_object);
        let alias = aliases.filter(|_| self.by_certificate && name == INTROSPECTION).and_then(|all| all.get(name));
        alias.or_else(|| members.get(name))
    }

    /// The path and the query of a URL, whose host is one that the configuration names: the issuer's, or what the service is called.
    fn path(&self, name: &'static str, found: &Value, service: &Service) -> Result<String, Failure> {
        let text = found.as_str().filter(|text| text.len() <= LONGEST_PATH && text.bytes().all(is_of_url));
        let (host, path) = text.and_then(split).ok_or(Failure::NotAUrl(name))?;
        let own = split(&self.issuer).map_or("", |(host, _)| host);
        if !is_same_host(host, own) && !is_same_host(host, &service.authority) {
            return Err(Failure::OtherHost(name));
        }
        Ok(if path.starts_with('/') { path.to_owned() } else { format!("/{path}") })
    }

    fn remarks(&self, members: &Object) -> Vec<Remark> {
        let lacks = |list: &str, word: &&str| {
            let list = members.get(list).and_then(Value::as_array);
            list.is_some_and(|list| !list.iter().any(|item| item.as_str() == Some(*word)))
        };
        let methods = "introspection_endpoint_auth_methods_supported";
        let algorithms = "introspection_endpoint_auth_signing_alg_values_supported";
        let no_acr = self.wants_acr && members.get("acr_values_supported").is_none();
        let method = self.method.filter(|method| lacks(methods, method)).map(Remark::Method);
        let algorithm = self.signs_with.filter(|algorithm| lacks(algorithms, algorithm)).map(Remark::Algorithm);
        [method, algorithm, no_acr.then_some(Remark::NoAcr)].into_iter().flatten().collect()
    }
}

/// The host of an https URL, with its port, and what stands behind it.
fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://")?;
    let (host, path) = rest.split_at_checked(rest.find(['/', '?']).unwrap_or(rest.len()))?;
    (!host.is_empty() && !rest.contains('#') && !host.contains('@')).then_some((host, path))
}

fn is_of_url(octet: u8) -> bool {
    octet.is_ascii_graphic() && !matches!(octet, b'"' | b'\\')
}

/// 443 is what no port means.
fn is_same_host(one: &str, other: &str) -> bool {
    let bare = |host: &str| host.strip_suffix(":443").unwrap_or(host).to_ascii_lowercase();
    bare(one) == bare(other)
}

impl Failure {
    fn is_away(&self) -> bool {
        matches!(self, Self::NoAnswer(NoAnswer::NotSent | NoAnswer::Reset) | Self::Status(500..))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer(why) => why.fmt(f),
            Self::Status(status) => write!(f, "the server answered {status}"),
            Self::NotMetadata => f.write_str("the answer is not a JSON object"),
            Self::OtherIssuer => f.write_str("its issuer is not the configured one, octet by octet"),
            Self::Missing(name) => write!(f, "it has no {name}"),
            Self::NotAUrl(name) => write!(f, "its {name} is not an https URL without fragment"),
            Self::OtherHost(name) => write!(
                f,
                "its {name} is at another host than the issuer's; where the cluster is that host's, write its name as authority beside it"
            ),
            Self::Disagrees(name) => {
                write!(f, "the documents of RFC 8414 and of OpenID Connect name another {name} each")
            }
        }
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Method(name) => write!(f, "where it introspects it does not announce auth_method {name}, by which we authenticate"),
            Self::Algorithm(name) => write!(f, "where it introspects it does not announce {name}, with which our key signs"),
            Self::NoAcr => f.write_str("it announces no acr_values_supported, and a route asks for acr_values: clients may be sent to a login that it does not have"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::callout::Question;
    use serde_json::json;

    const T: UnixTime = UnixTime::new(1_800_000_000);
    const ISSUER: &str = "https://login.bank.example/realms/a";
    const FAILED: Answer = Answer::None(NoAnswer::Reset);

    fn service(path: &str) -> Rc<Service> {
        Rc::new(Service { path: path.into(), ..Service::about(Question::Metadata).as_ref().clone() })
    }

    fn settings() -> Settings {
        Settings {
            issuer: ISSUER.into(),
            service: service("/one"),
            other: service("/other"),
            keys: Some(Service::about(Question::KeySet)),
            introspection: Some(Service::about(Question::Introspection)),
            by_certificate: false,
            method: Some("private_key_jwt"),
            signs_with: Some("ES256"),
            wants_acr: true,
        }
    }

    fn document(changes: serde_json::Value) -> Answer {
        let mut whole = json!({
            "issuer": ISSUER, "jwks_uri": "https://login.bank.example/realms/a/keys?v=1",
            "introspection_endpoint": "https://login.bank.example/realms/a/introspect",
            "mtls_endpoint_aliases": {"introspection_endpoint": "https://login.bank.example/mtls/introspect"},
            "acr_values_supported": ["phr"]
        });
        for (name, value) in changes.as_object().unwrap() {
            whole[name] = value.clone();
        }
        whole.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        Answer::Response(Response::new(200, whole.to_string().into_bytes()))
    }

    fn later(seconds: u64) -> UnixTime {
        T.plus(Duration::from_secs(seconds))
    }

    fn none() -> Answer {
        Answer::Response(Response::new(404, Vec::new()))
    }

    /// The answer to the one; there is no other.
    fn settle(discovery: &mut Discovery, answer: Answer, now: UnixTime) -> Fetched {
        let fetched = discovery.settle(&service("/one"), answer, now);
        assert_eq!(discovery.settle(&service("/other"), none(), now), Fetched::Agrees);
        fetched
    }

    fn located(discovery: &mut Discovery, now: UnixTime) -> &'static str {
        match discovery.locate(now) {
            Located::Known => "known",
            Located::Ask(_) => "ask",
            Located::Unavailable => "unavailable",
        }
    }

    fn paths(discovery: &Discovery) -> (String, String) {
        let endpoints = discovery.endpoints().unwrap();
        let path = |service: &Option<Rc<Service>>| service.as_ref().unwrap().path.clone();
        (path(&endpoints.keys), path(&endpoints.introspection))
    }

    /// RFC 8414 §3.1 and OpenID Connect Discovery §4, whose examples these are.
    #[test]
    fn the_one_puts_its_name_before_the_issuers_path_and_the_other_behind_it() {
        use Document::{OauthAuthorizationServer, OpenidConfiguration};
        for (issuer, oauth, openid) in [
            ("https://example.com", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
            ("https://example.com/", "/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"),
            (
                "https://example.com/issuer1",
                "/.well-known/oauth-authorization-server/issuer1",
                "/issuer1/.well-known/openid-configuration",
            ),
            (
                "https://example.com/realms/a/",
                "/.well-known/oauth-authorization-server/realms/a",
                "/realms/a/.well-known/openid-configuration",
            ),
        ] {
            assert_eq!(
                (OauthAuthorizationServer.path(issuer), OpenidConfiguration.path(issuer)),
                (oauth.into(), openid.into())
            );
        }
        assert_eq!(
            (OauthAuthorizationServer.other(), OpenidConfiguration.other()),
            (OpenidConfiguration, OauthAuthorizationServer)
        );
    }

    #[test]
    fn paths_are_taken_and_nothing_else_of_a_service() {
        let mut discovery = Discovery::new(settings());
        assert_eq!(settle(&mut discovery, document(json!({})), T), Fetched::Document(vec![]));
        assert_eq!(paths(&discovery), ("/realms/a/keys?v=1".into(), "/realms/a/introspect".into()));
        let keys = discovery.endpoints().unwrap().keys.clone().unwrap();
        assert!(*keys == Service { path: keys.path.clone(), ..settings().keys.unwrap().as_ref().clone() });
    }

    #[test]
    fn a_client_with_a_certificate_takes_the_alias_where_there_is_one() {
        for (aliases, path) in
            [(json!({}), "/mtls/introspect"), (json!({"mtls_endpoint_aliases": null}), "/realms/a/introspect")]
        {
            let mut discovery = Discovery::new(Settings { by_certificate: true, ..settings() });
            settle(&mut discovery, document(aliases), T);
            assert_eq!(paths(&discovery), ("/realms/a/keys?v=1".into(), path.into()));
        }
    }

    #[test]
    fn what_is_not_the_issuers_document_or_names_another_host_is_not_used() {
        let text = |status, body: &str| Answer::Response(Response::new(status, body.into()));
        let keys = |value| document(json!({"jwks_uri": value}));
        let table = [
            (FAILED, Failure::NoAnswer(NoAnswer::Reset)),
            (text(404, "{}"), Failure::Status(404)),
            (text(302, "{}"), Failure::Status(302)),
            (text(200, "<html>"), Failure::NotMetadata),
            (text(200, "[]"), Failure::NotMetadata),
            (text(200, r#"{"issuer":"a","issuer":"b"}"#), Failure::NotMetadata),
            (text(200, "{}"), Failure::OtherIssuer),
            (document(json!({"issuer": null})), Failure::OtherIssuer),
            (document(json!({"issuer": [ISSUER]})), Failure::OtherIssuer),
            (document(json!({"issuer": format!("{ISSUER}/")})), Failure::OtherIssuer),
            (document(json!({"issuer": ISSUER.replace("login", "Login")})), Failure::OtherIssuer),
            (keys(json!(null)), Failure::Missing(KEYS)),
            (document(json!({"introspection_endpoint": null})), Failure::Missing(INTROSPECTION)),
            (keys(json!(1)), Failure::NotAUrl(KEYS)),
            (keys(json!("/keys")), Failure::NotAUrl(KEYS)),
            (keys(json!("http://login.bank.example/keys")), Failure::NotAUrl(KEYS)),
            (keys(json!("https:///keys")), Failure::NotAUrl(KEYS)),
            (keys(json!("https://login.bank.example/keys#a")), Failure::NotAUrl(KEYS)),
            (keys(json!("https://login.bank.example@evil.example/keys")), Failure::NotAUrl(KEYS)),
            (keys(json!("https://login.bank.example/a b")), Failure::NotAUrl(KEYS)),
            (keys(json!("https://login.bank.example/a\r\nx: y")), Failure::NotAUrl(KEYS)),
            (keys(json!("https://login.bank.example\\@evil.example/")), Failure::NotAUrl(KEYS)),
            (keys(json!(format!("https://login.bank.example/{}", "k".repeat(2048)))), Failure::NotAUrl(KEYS)),
            (keys(json!("https://evil.example/keys")), Failure::OtherHost(KEYS)),
            (keys(json!("https://login.bank.example.evil.example/keys")), Failure::OtherHost(KEYS)),
            (keys(json!("https://login.bank.example:8443/keys")), Failure::OtherHost(KEYS)),
            (keys(json!("https://169.254.169.254/latest")), Failure::OtherHost(KEYS)),
            (document(json!({"introspection_endpoint": "https://evil.example/i"})), Failure::OtherHost(INTROSPECTION)),
        ];
        for (answer, failure) in table {
            let mut discovery = Discovery::new(settings());
            assert_eq!(settle(&mut discovery, answer, T), Fetched::Failed(failure));
            assert_eq!(discovery.endpoints(), None);
        }
        for (good, path) in [
            ("https://login.bank.example", "/"),
            ("https://LOGIN.bank.example:443/keys", "/keys"),
            ("https://login.bank.example?keys", "/?keys"),
        ] {
            let mut discovery = Discovery::new(settings());
            assert_eq!(settle(&mut discovery, keys(json!(good)), T), Fetched::Document(vec![]), "{good}");
            assert_eq!(paths(&discovery).0, path);
        }
    }

    #[test]
    fn what_a_cluster_is_called_by_may_stand_in_the_document_too() {
        let keys = Service { authority: "keys.example".into(), ..settings().keys.unwrap().as_ref().clone() };
        let mut discovery = Discovery::new(Settings { keys: Some(Rc::new(keys)), ..settings() });
        let answer = document(json!({"jwks_uri": "https://keys.example/all"}));
        assert_eq!(settle(&mut discovery, answer, T), Fetched::Document(vec![]));
        assert_eq!(paths(&discovery).0, "/all");
    }

    #[test]
    fn what_nobody_needs_may_be_missing() {
        let mut discovery = Discovery::new(Settings { introspection: None, ..settings() });
        let answer = document(json!({"introspection_endpoint": "https://evil.example/"}));
        assert_eq!(settle(&mut discovery, answer, T), Fetched::Document(vec![]));
        assert_eq!(discovery.endpoints().unwrap().introspection, None);
    }

    #[test]
    fn what_could_become_trouble_is_told() {
        let changes = json!({
            "acr_values_supported": null, "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
            "introspection_endpoint_auth_signing_alg_values_supported": ["PS256"]
        });
        let remarks = vec![Remark::Method("private_key_jwt"), Remark::Algorithm("ES256"), Remark::NoAcr];
        assert_eq!(settle(&mut Discovery::new(settings()), document(changes.clone()), T), Fetched::Document(remarks));
        let other = Settings { method: Some("client_secret_basic"), signs_with: None, wants_acr: false, ..settings() };
        assert_eq!(settle(&mut Discovery::new(other), document(changes), T), Fetched::Document(vec![]));
    }

    #[test]
    fn a_server_that_answers_is_not_away_whatever_it_says() {
        let status = |status| Answer::Response(Response::new(status, Vec::new()));
        for (answer, away) in [
            (FAILED, true),
            (Answer::None(NoAnswer::NotSent), true),
            (status(503), true),
            (Answer::None(NoAnswer::TooLarge), false),
            (status(404), false),
            (status(200), false),
            (document(json!({"issuer": "https://evil.example"})), false),
        ] {
            let mut discovery = Discovery::new(settings());
            assert!(!discovery.is_away(), "nobody has asked");
            settle(&mut discovery, answer.clone(), T);
            assert_eq!(discovery.is_away(), away, "{answer:?}");
        }
    }

    #[test]
    fn a_worker_asks_once_at_its_start_and_again_only_where_used() {
        let mut discovery = Discovery::new(settings());
        assert_eq!(discovery.due(T), Some(ask(&service("/one"))));
        assert_eq!(discovery.due(T), None, "it is under way");
        assert_eq!(located(&mut discovery, T), "ask", "and who comes joins");
        discovery.settle(&service("/one"), document(json!({})), T);
        assert_eq!(located(&mut discovery, T), "ask", "it is not believed before the other one has been seen");
        discovery.withdraw(&service("/other"));
        assert_eq!(discovery.due(T), Some(ask(&service("/other"))));
        assert_eq!(discovery.due(T), None, "it is under way");
        assert_eq!(discovery.settle(&service("/other"), none(), T), Fetched::Agrees);
        assert_eq!(discovery.due(later(599)), None, "nobody used it");
        assert_eq!(located(&mut discovery, later(10)), "known");
        assert_eq!(discovery.due(later(479)), None);
        assert_eq!(discovery.due(later(480)), Some(ask(&service("/one"))));
    }

    #[test]
    fn workers_refresh_at_times_of_their_own() {
        for (seed, at) in [(0, 480), (128, 420), (255, 360)] {
            let mut discovery = Discovery::new(settings());
            discovery.spread(seed);
            settle(&mut discovery, document(json!({})), T);
            located(&mut discovery, T);
            assert_eq!(discovery.due(later(at - 1)), None, "{seed}");
            assert!(discovery.due(later(at)).is_some(), "{seed}");
        }
    }

    #[test]
    fn the_last_good_document_serves_while_the_server_is_away_and_no_longer_than_a_day() {
        let mut discovery = Discovery::new(settings());
        settle(&mut discovery, document(json!({})), T);
        assert_eq!(located(&mut discovery, later(600)), "ask");
        settle(&mut discovery, FAILED, later(600));
        assert_eq!(located(&mut discovery, later(86_399)), "known");
        assert_eq!(located(&mut discovery, later(86_400)), "ask");
        settle(&mut discovery, FAILED, later(86_400));
        assert_eq!(located(&mut discovery, later(86_400)), "unavailable");
    }

    #[test]
    fn a_failing_server_is_tried_after_one_two_four_and_five_seconds() {
        let mut discovery = Discovery::new(settings());
        let mut now = T;
        for delay in [1, 2, 4, 5, 5] {
            settle(&mut discovery, FAILED, now);
            assert_eq!(located(&mut discovery, now.plus(Duration::from_secs(delay - 1))), "unavailable");
            now = now.plus(Duration::from_secs(delay));
            assert!(discovery.due(now).is_some(), "after {delay} s");
        }
        settle(&mut discovery, document(json!({})), now);
        assert_eq!(located(&mut discovery, now), "known");
    }

    #[test]
    fn both_documents_agree_or_neither_is_used() {
        let text = |status, body: &str| Answer::Response(Response::new(status, body.into()));
        let other_keys = json!({"jwks_uri": "https://login.bank.example/other"});
        let elsewhere = json!({"introspection_endpoint": "https://evil.example/"});
        for (answer, expected) in [
            (document(json!({})), Fetched::Agrees),
            (document(json!({"introspection_endpoint": null})), Fetched::Agrees),
            (
                document(json!({"issuer": "https://another.example", "jwks_uri": "https://evil.example/"})),
                Fetched::Agrees,
            ),
            (text(404, ""), Fetched::Agrees),
            (text(200, "<html>"), Fetched::Agrees),
            (text(302, ""), Fetched::Agrees),
            (FAILED, Fetched::Failed(Failure::NoAnswer(NoAnswer::Reset))),
            (text(503, ""), Fetched::Failed(Failure::Status(503))),
            (document(other_keys), Fetched::Failed(Failure::Disagrees(KEYS))),
            (document(elsewhere), Fetched::Failed(Failure::Disagrees(INTROSPECTION))),
        ] {
            let mut discovery = Discovery::new(settings());
            discovery.settle(&service("/one"), document(json!({})), T);
            let agrees = expected == Fetched::Agrees;
            assert_eq!(discovery.settle(&service("/other"), answer, T), expected);
            assert_eq!(located(&mut discovery, T), if agrees { "known" } else { "unavailable" });
        }
    }

    #[test]
    fn documents_that_go_on_to_contradict_each_other_are_never_used_and_asked_for_ever_more_rarely() {
        let mut discovery = Discovery::new(settings());
        settle(&mut discovery, document(json!({})), T);
        let mut now = later(600);
        for delay in [1, 2, 4, 5, 5] {
            assert_eq!(discovery.due(now).or(Some(ask(&service("/one")))), Some(ask(&service("/one"))));
            discovery.settle(&service("/one"), document(json!({})), now);
            assert_ne!(located(&mut discovery, now), "unavailable");
            let other = document(json!({"jwks_uri": "https://login.bank.example/other"}));
            let fetched = discovery.settle(&service("/other"), other, now);
            assert_eq!(fetched, Fetched::Failed(Failure::Disagrees(KEYS)));
            assert_eq!(located(&mut discovery, now.plus(Duration::from_secs(delay - 1))), "unavailable");
            assert_eq!(discovery.endpoints(), None);
            now = now.plus(Duration::from_secs(delay));
        }
    }

    #[test]
    fn a_clock_that_is_set_back_makes_nothing_younger() {
        let mut discovery = Discovery::new(settings());
        settle(&mut discovery, document(json!({})), later(1000));
        discovery.set_back(Duration::from_secs(1000));
        assert_eq!(located(&mut discovery, later(599)), "known");
        assert_eq!(located(&mut discovery, later(600)), "ask");
    }
}
