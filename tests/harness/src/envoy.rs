//! A real Envoy with the filter in it, by a configuration of the tests or by one of `envoy/*.yaml`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::certificate::{Authority, Certificate, Leaf};
use crate::client::{Client, Request, TlsVersion};
use crate::clock::Clock;
use crate::directory::Directory;
use crate::module::{envoy, module, top};
use crate::process::Process;
use crate::wait_until;

/// What a listener asks of those who connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tls {
    /// TLS; a client certificate is asked for, and verified where one is shown.
    Optional,
    /// TLS; any client certificate is taken, whoever issued it.
    Untrusted,
    /// TLS; no certificate is asked for.
    None,
    /// No TLS.
    Plaintext,
    /// As `Optional`, and sessions may be resumed.
    Resuming,
    /// As `Optional`, over QUIC: HTTP/3 and nothing else.
    Quic,
}

/// What a cluster is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    Http1,
    Http2,
    /// With the cluster's authority, and with its certificate if it has one.
    Http3,
}

/// A cluster that the filter or the router may reach.
#[derive(Clone)]
pub struct Cluster {
    pub name: String,
    pub address: SocketAddr,
    /// The authority that its server certificate is verified by, and the name that it must have; none in the clear.
    pub trusted: Option<(Certificate, String)>,
    /// What is shown to it.
    pub own: Option<Certificate>,
    pub protocol: Protocol,
}

/// One plug-in: its name, and the document that it is given.
#[derive(Clone)]
pub struct Configuration {
    pub name: String,
    pub document: String,
}

/// How the proxy is started.
#[derive(Clone)]
pub struct Options {
    pub concurrency: u32,
    pub tls: Tls,
    /// Who vouches for clients, if not the authority that issued the proxy's own certificate.
    pub clients: Option<Certificate>,
    /// Whoever shows no certificate gets no connection.
    pub requires_certificate: bool,
    pub clusters: Vec<Cluster>,
    /// Variables of the VM.
    pub environment: Vec<(String, String)>,
    /// Plug-ins, all in one VM; the first that does not let a request pass decides.
    pub plugins: Vec<Configuration>,
    /// HTTP filters before the plug-ins, and behind them.
    pub first_filters: Vec<Value>,
    pub filters: Vec<Value>,
    /// Where Envoy takes the module from, if not from the file that is shipped.
    pub code: Option<Value>,
    /// Routes instead of the one that takes all to `upstream`.
    pub routes: Option<Value>,
    /// `allow_on_headers_stop_iteration`: Envoy does not hold back bodies and trailers of requests that wait.
    pub lets_bodies_run: bool,
    /// `stats_config.stats_tags`: names and regular expressions.
    pub stats_tags: Vec<(String, String)>,
    /// How long an old listener lives on beside the new one.
    pub drain_seconds: u32,
    /// Upgrades to WebSocket are passed on.
    pub websockets: bool,
    /// Another Envoy than the one that everything runs with.
    pub version: Option<&'static str>,
    /// Settings of the connection manager, over those that all tests have.
    pub manager: serde_json::Map<String, Value>,
    /// What becomes of requests when the module fails.
    pub failure_policy: &'static str,
    /// All that the module may call and be called by; without them it may everything.
    pub capabilities: Option<Vec<String>>,
    /// Variables of the proxy that give it a clock of its own.
    pub clock: Vec<(&'static str, PathBuf)>,
    /// What the `wasm` logger writes, from this level on.
    pub wasm_log: &'static str,
    /// The only core that it runs on.
    pub core: Option<usize>,
}

pub struct Envoy {
    process: Mutex<Process>,
    directory: Directory,
    options: Mutex<Options>,
    authority: Authority,
    admin: SocketAddr,
    version: AtomicU32,
}

/// What it has made of its listeners so far.
#[derive(Clone, Copy, Debug, Default)]
struct Updates {
    taken: u64,
    refused: u64,
    changed: u64,
    /// Once for each worker.
    on_workers: u64,
    /// Octets of log.
    logged: usize,
}

const PATIENCE: Duration = Duration::from_secs(30);

impl Cluster {
    /// HTTP/1.1 in the clear.
    pub fn plain(name: &str, address: SocketAddr) -> Self {
        Self { name: name.into(), address, trusted: None, own: None, protocol: Protocol::Http1 }
    }
}

impl Options {
    pub fn new(document: &Value, upstream: SocketAddr) -> Self {
        Self {
            concurrency: 1,
            tls: Tls::Optional,
            clients: None,
            requires_certificate: false,
            clusters: vec![Cluster::plain("upstream", upstream)],
            environment: Vec::new(),
            plugins: vec![Configuration { name: "holdfast".into(), document: document.to_string() }],
            first_filters: Vec::new(),
            filters: Vec::new(),
            code: None,
            routes: None,
            lets_bodies_run: false,
            stats_tags: Vec::new(),
            drain_seconds: 600,
            websockets: false,
            version: None,
            manager: serde_json::Map::new(),
            failure_policy: "FAIL_RELOAD",
            capabilities: None,
            clock: Vec::new(),
            wasm_log: "info",
            core: None,
        }
    }

    pub fn cluster(mut self, name: &str, address: SocketAddr) -> Self {
        self.clusters.push(Cluster::plain(name, address));
        self
    }

    /// A cluster over TLS, whose certificate must be of this authority and name.
    pub fn verified_cluster(mut self, name: &str, address: SocketAddr, trusted: &Certificate, server: &str) -> Self {
        let trusted = Some((trusted.clone(), server.into()));
        self.clusters.push(Cluster { trusted, ..Cluster::plain(name, address) });
        self
    }

    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// The proxy reads this clock instead of the machine's.
    pub fn clock(mut self, clock: &Clock) -> Self {
        self.clock = clock.variables();
        self
    }

    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = tls;
        self
    }
}

impl Envoy {
    /// Starts the proxy and waits until it listens.
    pub fn start(authority: Authority, options: Options) -> Self {
        Self::try_start(authority, options).unwrap_or_else(|error| panic!("Envoy does not listen: {error}"))
    }

    /// The same, or what the proxy says of a listener that it does not take.
    pub fn try_start(authority: Authority, options: Options) -> Result<Self, String> {
        let directory = Directory::new();
        let server = authority.issue(Leaf::server());
        directory.write("server.crt", &server.cert_pem);
        directory.write("server.key", &server.key_pem);
        directory.write("client-ca.crt", &options.clients.as_ref().unwrap_or(&authority.certificate).cert_pem);
        for cluster in &options.clusters {
            if let Some((trusted, _)) = &cluster.trusted {
                directory.write(&format!("{}-ca.crt", cluster.name), &trusted.cert_pem);
            }
            if let Some(own) = &cluster.own {
                directory.write(&format!("{}.crt", cluster.name), &own.cert_pem);
                directory.write(&format!("{}.key", cluster.name), &own.key_pem);
            }
        }
        directory.write("listeners.json", listeners(&directory, &options, 0).to_string());
        directory.write("envoy.json", bootstrap(&directory, &options).to_string());
        let started = Self::run(authority, directory, options, "envoy.json");
        started.wait_for_update(Updates::default()).map(|()| started)
    }

    /// Starts it with one of `envoy/*.yaml`, in which nothing is changed but addresses, ports and file paths.
    pub fn start_example(
        authority: Authority,
        name: &str,
        upstream: SocketAddr,
        login: SocketAddr,
        login_ca: &Certificate,
        environment: &[(&str, &str)],
    ) -> Self {
        let directory = Directory::new();
        let server = authority.issue(Leaf::server());
        directory.write("server.crt", &server.cert_pem);
        directory.write("server.key", &server.key_pem);
        directory.write("client-ca.crt", &authority.certificate.cert_pem);
        directory.write("login-ca.crt", &login_ca.cert_pem);
        std::fs::copy(module(), directory.path().join("holdfast.wasm")).expect("the module");
        let text = example(name)
            .replace("/etc/envoy/", &format!("{}/", directory.path().display()))
            .replace("port_value: 8443", "port_value: 0")
            .replace("port_value: 8080", &format!("port_value: {}", upstream.port()))
            .replace("port_value: 9443", &format!("port_value: {}", login.port()))
            .replace("localhost:9443", &format!("localhost:{}", login.port()))
            .replace("port_value: 9901", "port_value: 0");
        directory.write("envoy.yaml", text);
        let mut options = Options::new(&Value::Null, upstream);
        options.environment = environment.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let started = Self::run(authority, directory, options, "envoy.yaml");
        wait_until(PATIENCE, || started.listens() || !started.is_alive());
        assert!(started.listens(), "Envoy does not listen:\n{}", started.log());
        started
    }

    /// Whether Envoy would start with one of `envoy/*.yaml` if the filter's configuration in it were this YAML document.
    pub fn try_policy(authority: &Authority, name: &str, policy: &str) -> Result<(), String> {
        let text = example(name);
        let (before, rest) = text.split_once("                          value:\n").expect("a configuration");
        let (_, after) =
            rest.split_once("                  - name: envoy.filters.http.router").expect("the filter behind");
        let indented: String = policy.lines().map(|line| format!("                            {line}\n")).collect();
        let text = format!(
            "{before}                          value:\n{indented}                  - name: envoy.filters.http.router{after}"
        );
        try_text(None, authority, &text, &[])
    }

    /// Whether Envoy of this version would start with one of `envoy/*.yaml`.
    pub fn try_example(
        version: &str,
        authority: &Authority,
        name: &str,
        environment: &[(&str, &str)],
    ) -> Result<(), String> {
        try_text(Some(version), authority, &example(name), environment)
    }

    fn run(authority: Authority, directory: Directory, options: Options, file: &str) -> Self {
        let path = |name: &str| directory.path().join(name);
        let log = std::fs::File::create(path("envoy.log")).expect("a log file");
        let output = std::fs::File::create(path("access.log")).expect("a log file");
        let mut command = program(&options);
        command
            .args(["--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "20"])
            .arg("--component-log-level")
            .arg(format!("wasm:{}", options.wasm_log))
            .arg("-c")
            .arg(path(file))
            .arg("--concurrency")
            .arg(options.concurrency.to_string())
            .arg("--drain-time-s")
            .arg(options.drain_seconds.to_string())
            .arg("--admin-address-path")
            .arg(path("admin"))
            .envs(options.environment.iter().map(|(name, value)| (name, value)))
            .envs(options.clock.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(log);
        let mut process = Process::start(&mut command, directory.path());
        let mut admin = None;
        let ready = wait_until(PATIENCE, || {
            admin = std::fs::read_to_string(path("admin")).ok().and_then(|text| text.trim().parse().ok());
            admin.is_some() || !process.is_alive()
        });
        let log = || std::fs::read_to_string(path("envoy.log")).unwrap_or_default();
        let Some(admin) = admin.filter(|_| ready) else { panic!("Envoy does not start:\n{}", log()) };
        let (process, options) = (Mutex::new(process), Mutex::new(options));
        Self { process, directory, options, authority, admin, version: AtomicU32::new(0) }
    }

    /// The authority that issued its own certificate and verifies those of clients.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    pub fn address(&self) -> SocketAddr {
        let port = self.port().expect("a listener");
        SocketAddr::from(([127, 0, 0, 1], port))
    }

    fn port(&self) -> Option<u16> {
        let listeners = self.try_admin("/listeners?format=json")?;
        let listeners: Value = serde_json::from_str(&listeners).ok()?;
        let port = listeners["listener_statuses"][0]["local_address"]["socket_address"]["port_value"].as_u64()?;
        u16::try_from(port).ok().filter(|port| *port != 0)
    }

    /// A client that shows this certificate.
    pub fn client(&self, own: &Certificate) -> Client {
        Client::with(self.address(), &self.authority.certificate, own)
    }

    /// The same, or one that shows none, with one version of TLS.
    pub fn client_speaking(&self, version: TlsVersion, own: Option<&Certificate>) -> Client {
        Client::speaking(version, self.address(), &self.authority.certificate, own)
    }

    pub fn anonymous(&self) -> Client {
        match self.options().tls {
            Tls::Plaintext => Client::plaintext(self.address()),
            Tls::Optional | Tls::Untrusted | Tls::None | Tls::Resuming | Tls::Quic => {
                Client::anonymous(self.address(), &self.authority.certificate)
            }
        }
    }

    fn options(&self) -> MutexGuard<'_, Options> {
        self.options.lock().expect("the options")
    }

    /// Gives the proxy other plug-ins while it runs, and says what it thinks of them: a refusal is what it logged.
    pub fn push(&self, plugins: Vec<Configuration>) -> Result<(), String> {
        self.options().plugins = plugins;
        let version = self.version.fetch_add(1, Ordering::Relaxed) + 1;
        let before = self.updates();
        let text = listeners(&self.directory, &self.options(), version).to_string();
        self.directory.write("listeners.json", text);
        self.wait_for_update(before)
    }

    /// The same with one plug-in.
    pub fn configure(&self, document: &Value) -> Result<(), String> {
        self.push(vec![Configuration { name: "holdfast".into(), document: document.to_string() }])
    }

    fn updates(&self) -> Updates {
        let stats = self.stats("^listener_manager\\.");
        let stat = |name: &str| stats.get(&format!("listener_manager.{name}")).copied().unwrap_or(0);
        Updates {
            taken: stat("lds.update_success"),
            refused: stat("lds.update_rejected"),
            changed: stat("listener_added") + stat("listener_modified"),
            on_workers: stat("listener_create_success"),
            logged: self.log().len(),
        }
    }

    /// Waits until it has refused its listeners, or has them on every worker.
    fn wait_for_update(&self, before: Updates) -> Result<(), String> {
        let logged = || self.log().split_off(before.logged);
        let answered = wait_until(PATIENCE, || {
            let now = self.updates();
            now.taken > before.taken || now.refused > before.refused || !self.is_alive()
        });
        if !answered || !self.is_alive() || self.updates().refused > before.refused {
            return Err(logged());
        }
        let concurrency = u64::from(self.options().concurrency);
        let everywhere = wait_until(PATIENCE, || {
            let now = self.updates();
            now.on_workers - before.on_workers >= concurrency * (now.changed - before.changed) && self.listens()
        });
        if everywhere { Ok(()) } else { Err(logged()) }
    }

    /// Whether its workers have begun to take connections.
    fn listens(&self) -> bool {
        self.stat("listener_manager.workers_started") == 1 && self.port().is_some()
    }

    pub fn stat(&self, name: &str) -> u64 {
        self.stats(name).get(name).copied().unwrap_or(0)
    }

    /// All counters and gauges whose names hold this.
    pub fn stats(&self, part: &str) -> BTreeMap<String, u64> {
        let text = self.try_admin(&format!("/stats?filter={part}")).unwrap_or_default();
        text.lines()
            .filter_map(|line| line.split_once(": "))
            .filter_map(|(name, value)| Some((name.into(), value.parse().ok()?)))
            .collect()
    }

    pub fn admin(&self, path: &str) -> String {
        self.try_admin(path).expect("the admin interface")
    }

    fn try_admin(&self, path: &str) -> Option<String> {
        Some(Client::plaintext(self.admin).try_send(&Request::get(path)).ok()?.text())
    }

    /// What Envoy and the filter logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("envoy.log")).unwrap_or_default()
    }

    /// A line a request: status, details, then decision, reason, route, issuer, client, subject and binding of the filter.
    pub fn access_log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.directory.path().join("access.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// All lines of the access log, once there is one for every request that has come so far; none may be under way.
    pub fn settled_access_log(&self) -> Vec<String> {
        let settled = || self.access_log().len() as u64 == self.stat("http.test.downstream_rq_total");
        assert!(wait_until(Duration::from_secs(10), settled), "a request is not in the access log");
        self.access_log()
    }

    /// Waits for that many lines in the access log, which is written a moment later.
    pub fn access_lines(&self, count: usize) -> Vec<String> {
        wait_until(Duration::from_secs(5), || self.access_log().len() >= count);
        self.access_log()
    }

    pub fn is_alive(&self) -> bool {
        self.process.lock().expect("the process").is_alive()
    }

    /// Resident memory in KiB.
    pub fn memory(&self) -> u64 {
        let id = self.process.lock().expect("the process").id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or(0)
    }

    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.lock().expect("the process").id()
    }
}

/// Envoy, or what puts it on its core and becomes it.
fn program(options: &Options) -> Command {
    let envoy = envoy(options.version);
    let Some(core) = options.core else { return Command::new(envoy) };
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &core.to_string()]).arg(envoy);
    command
}

fn example(name: &str) -> String {
    std::fs::read_to_string(top().join("envoy").join(name)).expect("the example")
}

fn try_text(
    version: Option<&str>,
    authority: &Authority,
    text: &str,
    environment: &[(&str, &str)],
) -> Result<(), String> {
    let directory = Directory::new();
    let server = authority.issue(Leaf::server());
    directory.write("server.crt", &server.cert_pem);
    directory.write("server.key", &server.key_pem);
    for file in ["client-ca.crt", "login-ca.crt"] {
        directory.write(file, &authority.certificate.cert_pem);
    }
    let text = text
        .replace("/etc/envoy/holdfast.wasm", &module().display().to_string())
        .replace("/etc/envoy/", &format!("{}/", directory.path().display()));
    let file = directory.write("envoy.yaml", text);
    let mut command = Command::new(envoy(version));
    command.args(["--mode", "validate", "--log-level", "error", "-c"]).arg(file).envs(environment.iter().copied());
    let output = command.output().expect("Envoy starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() { Ok(()) } else { Err(said) }
}

fn bootstrap(directory: &Directory, options: &Options) -> Value {
    let clusters: Vec<Value> = options.clusters.iter().map(|cluster| compile_cluster(directory, cluster)).collect();
    let tags = options.stats_tags.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex}));
    json!({
        "stats_config": {"stats_tags": tags.collect::<Vec<_>>()},
        "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        "node": {"id": "test", "cluster": "test"},
        "dynamic_resources": {"lds_config": {"path_config_source": {"path": directory.path().join("listeners.json")}}},
        "static_resources": {"clusters": clusters}
    })
}

fn compile_cluster(directory: &Directory, cluster: &Cluster) -> Value {
    let endpoint =
        json!({"address": {"socket_address": {"address": "127.0.0.1", "port_value": cluster.address.port()}}});
    let spoken = match cluster.protocol {
        Protocol::Http1 => json!({"http_protocol_options": {"enable_trailers": true}}),
        Protocol::Http2 => json!({"http2_protocol_options": {}}),
        Protocol::Http3 => json!({"http3_protocol_options": {}}),
    };
    let options = json!({
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": spoken
    });
    let mut compiled = json!({
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
        "name": cluster.name, "type": "STATIC", "connect_timeout": "1s",
        "load_assignment": {"cluster_name": cluster.name, "endpoints": [{"lb_endpoints": [{"endpoint": endpoint}]}]}
    });
    if let Some((_, name)) = &cluster.trusted {
        compiled["transport_socket"] = upstream_tls(directory, cluster, name);
    }
    compiled
}

fn upstream_tls(directory: &Directory, cluster: &Cluster, server: &str) -> Value {
    let file = |what: &str| json!({"filename": directory.path().join(format!("{}{what}", cluster.name))});
    let names = json!([{"san_type": "DNS", "matcher": {"exact": server}}]);
    let mut common =
        json!({"validation_context": {"trusted_ca": file("-ca.crt"), "match_typed_subject_alt_names": names}});
    if cluster.own.is_some() {
        common["tls_certificates"] = json!([{"certificate_chain": file(".crt"), "private_key": file(".key")}]);
    }
    let context = json!({"sni": "localhost", "common_tls_context": common});
    transport_socket(cluster.protocol == Protocol::Http3, "Upstream", context)
}

/// A context of TLS by itself, or as that of QUIC.
fn transport_socket(is_quic: bool, stream: &str, mut context: Value) -> Value {
    if is_quic {
        let quic = format!("type.googleapis.com/envoy.extensions.transport_sockets.quic.v3.Quic{stream}Transport");
        let field = format!("{}_tls_context", stream.to_ascii_lowercase());
        return json!({"name": "envoy.transport_sockets.quic", "typed_config": {"@type": quic, field: context}});
    }
    let tls = format!("type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.{stream}TlsContext");
    context["@type"] = json!(tls);
    json!({"name": "tls", "typed_config": context})
}

fn listeners(directory: &Directory, options: &Options, version: u32) -> Value {
    let variables: serde_json::Map<String, Value> =
        options.environment.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
    let mut filters = options.first_filters.clone();
    filters.extend(options.plugins.iter().map(|plugin| wasm(plugin, &variables, options)));
    filters.extend(options.filters.iter().cloned());
    filters.push(json!({"name": "router", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}));
    let everything = json!([{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]);
    let told = ["decision", "reason", "route", "issuer", "client_id", "subject", "binding"];
    let told: Vec<String> = told.iter().map(|fact| format!("%FILTER_STATE(wasm.holdfast.{fact}:PLAIN)%")).collect();
    let format = format!("%RESPONSE_CODE% %RESPONSE_CODE_DETAILS% {}\n", told.join(" "));
    let mut manager = json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test", "stream_idle_timeout": "30s", "use_remote_address": true, "http_filters": filters,
        "http_protocol_options": {"enable_trailers": true},
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"], "routes": options.routes.clone().unwrap_or(everything)}]},
        "access_log": [{"name": "stdout", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string": format}}}}]
    });
    if options.websockets {
        manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        manager["http2_protocol_options"] = json!({"allow_connect": true});
    }
    let is_quic = options.tls == Tls::Quic;
    if is_quic {
        manager["codec_type"] = json!("HTTP3");
        manager["http3_protocol_options"] = json!({});
    }
    manager.as_object_mut().expect("a map").extend(options.manager.clone());
    let mut chain = json!({"filters": [{"name": "http", "typed_config": manager}]});
    if options.tls != Tls::Plaintext {
        chain["transport_socket"] = downstream_tls(directory, options);
    }
    let mut listener = json!({
        "@type": "type.googleapis.com/envoy.config.listener.v3.Listener", "name": "test", "filter_chains": [chain],
        "address": {"socket_address": {
            "address": "127.0.0.1", "port_value": 0, "protocol": if is_quic { "UDP" } else { "TCP" }}}
    });
    if is_quic {
        listener["udp_listener_config"] = json!({"quic_options": {}});
    }
    json!({"version_info": version.to_string(), "resources": [listener]})
}

fn wasm(plugin: &Configuration, variables: &serde_json::Map<String, Value>, options: &Options) -> Value {
    let code = options.code.clone().unwrap_or_else(|| json!({"local": {"filename": module()}}));
    // Allows everything where it names nothing.
    let capabilities = options.capabilities.iter().flatten().map(|name| (name.clone(), json!({})));
    let capabilities: serde_json::Map<String, Value> = capabilities.collect();
    json!({"name": plugin.name, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
        "config": {
            "name": plugin.name, "root_id": plugin.name, "failure_policy": options.failure_policy,
            "allow_on_headers_stop_iteration": options.lets_bodies_run,
            "capability_restriction_config": {"allowed_capabilities": capabilities},
            "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": plugin.document},
            "vm_config": {
                "vm_id": "test", "runtime": "envoy.wasm.runtime.v8", "code": code,
                "environment_variables": {"key_values": variables}
            }
        }
    }})
}

fn downstream_tls(directory: &Directory, options: &Options) -> Value {
    let tls = options.tls;
    let file = |name: &str| json!({"filename": directory.path().join(name)});
    let mut common =
        json!({"tls_certificates": [{"certificate_chain": file("server.crt"), "private_key": file("server.key")}]});
    match tls {
        Tls::None | Tls::Plaintext => {}
        Tls::Optional | Tls::Resuming | Tls::Quic => {
            common["validation_context"] = json!({"trusted_ca": file("client-ca.crt")});
        }
        Tls::Untrusted => {
            common["validation_context"] =
                json!({"trusted_ca": file("client-ca.crt"), "trust_chain_verification": "ACCEPT_UNTRUSTED"});
        }
    }
    if tls != Tls::Quic {
        common["alpn_protocols"] = json!(["h2", "http/1.1"]);
    }
    let context = json!({
        "common_tls_context": common, "require_client_certificate": options.requires_certificate,
        "disable_stateless_session_resumption": tls != Tls::Resuming,
        "disable_stateful_session_resumption": tls != Tls::Resuming
    });
    transport_socket(tls == Tls::Quic, "Downstream", context)
}
