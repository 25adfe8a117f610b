//! A real authorization server: Keycloak, with `tests/keycloak/realm.json` in it, as it was imported.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::{Value, json};

use crate::certificate::{Authority, Certificate, Leaf};
use crate::client::{Client, Request};
use crate::directory::Directory;
use crate::http::Response;
use crate::module::{set_up, top};
use crate::process::Process;
use crate::{Proof, SigningKey, wait_until};

pub struct Keycloak {
    _process: Process,
    _directory: Directory,
    address: SocketAddr,
    trusted: Certificate,
    /// By the names that the realm's file has for them.
    secrets: BTreeMap<String, String>,
}

/// One of its realms: an issuer.
pub struct Realm<'a> {
    keycloak: &'a Keycloak,
    name: String,
    /// What we call the server.
    host: String,
}

/// What it tells of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hostname {
    /// `--hostname`: the issuer is the same, however it is asked.
    Fixed,
    /// None: the issuer is whatever the request calls it.
    OfTheRequest,
}

/// Tokens of a user who has logged in.
pub struct Login {
    pub access_token: String,
    pub refresh_token: String,
}

/// The name that the realm's file has for the authority of its clients.
pub const AUTHORITY: &str = "Market CA";

const PATIENCE: Duration = Duration::from_secs(180);

impl Keycloak {
    /// Starts it with a certificate of this authority, which also vouches for its clients.
    pub fn start(authority: &Authority, hostname: Hostname) -> Self {
        let kept = kept();
        let directory = Directory::new();
        let server = authority.issue(Leaf::server());
        directory.write("server.crt", &server.cert_pem);
        directory.write("server.key", &server.key_pem);
        directory.write("client-ca.crt", &authority.certificate.cert_pem);
        // The issuer holds the port, so one is chosen before the server starts; somebody else may take it in between.
        for _ in 0..3 {
            std::fs::copy(kept.join("keycloakdb.mv.db"), directory.path().join("keycloakdb.mv.db"))
                .expect("a database");
            if let Some((process, address)) = listen(&directory, kept, hostname) {
                let (trusted, secrets) = (authority.certificate.clone(), secrets(kept));
                return Self { _process: process, _directory: directory, address, trusted, secrets };
            }
        }
        panic!("Keycloak does not start:\n{}", log(&directory));
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The secret of a confidential client.
    pub fn secret(&self, client: &str) -> &str {
        self.secret_of(client).unwrap_or_else(|| panic!("{client} has no secret"))
    }

    fn secret_of(&self, client: &str) -> Option<&str> {
        self.secrets.get(&format!("{}_SECRET", client.replace('-', "_").to_ascii_uppercase())).map(String::as_str)
    }

    /// The realm that was imported.
    pub fn realm(&self) -> Realm<'_> {
        self.realm_called("market")
    }

    /// It waits long: an RSA key that is made at its first use takes a busy machine half a minute.
    fn client(&self, own: Option<&Certificate>) -> Client {
        let client = match own {
            Some(own) => Client::with(self.address, &self.trusted, own),
            None => Client::anonymous(self.address, &self.trusted),
        };
        client.waiting(PATIENCE)
    }

    fn realm_called(&self, name: &str) -> Realm<'_> {
        Realm { keycloak: self, name: name.into(), host: format!("localhost:{}", self.address.port()) }
    }

    /// Asks its admin API.
    fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let password = &self.secrets["KC_BOOTSTRAP_ADMIN_PASSWORD"];
        let form = format!("grant_type=password&client_id=admin-cli&username=admin&password={password}");
        let master = self.realm_called("master");
        let token = member(&master.post("/token", &form, None, &[]), "access_token");
        let mut request = master.request(method, path).bearer(&token);
        if let Some(body) = body {
            request = request.field("content-type", "application/json").body(body.to_string());
        }
        let answer = self.client(None).send(&request);
        assert!((200..300).contains(&answer.status), "{method} {path}: {} {}", answer.status, answer.text());
        serde_json::from_slice(&answer.body).unwrap_or_default()
    }
}

impl Realm<'_> {
    /// As a server with a fixed name has it.
    pub fn issuer(&self) -> String {
        format!("https://localhost:{}/realms/{}", self.keycloak.address.port(), self.name)
    }

    /// The path of an endpoint, such as `/certs`.
    pub fn path(&self, endpoint: &str) -> String {
        format!("/realms/{}/protocol/openid-connect{endpoint}", self.name)
    }

    /// The same realm, asked by another name of the server.
    pub fn called(mut self, host: &str) -> Self {
        self.host = host.into();
        self
    }

    /// An access token for a client by its certificate (client credentials).
    pub fn token(&self, client: &str, certificate: &Certificate) -> String {
        member(&self.ask_for_token(client, "grant_type=client_credentials", Some(certificate), None), "access_token")
    }

    /// The same with a proof by this key, for a client that is known by its certificate or by its secret.
    pub fn dpop_token(&self, client: &str, certificate: Option<&Certificate>, key: &SigningKey) -> String {
        member(&self.ask_for_token(client, "grant_type=client_credentials", certificate, Some(key)), "access_token")
    }

    /// Alice logs in by her password, with an application that has this certificate.
    pub fn login(&self, certificate: &Certificate) -> Login {
        let password = &self.keycloak.secrets["ALICE_PASSWORD"];
        let form = format!("grant_type=password&username=alice&password={password}");
        let answer = self.ask_for_token("app", &form, Some(certificate), None);
        Login { access_token: member(&answer, "access_token"), refresh_token: member(&answer, "refresh_token") }
    }

    /// Whatever the token endpoint answers.
    pub fn ask_for_token(
        &self,
        client: &str,
        form: &str,
        certificate: Option<&Certificate>,
        key: Option<&SigningKey>,
    ) -> Response {
        let uri = format!("https://{}{}", self.host, self.path("/token"));
        let proof = key.map(|key| Proof::new(key, "POST", &uri).sign(key));
        let proof: Vec<(&str, &str)> = proof.iter().map(|proof| ("dpop", proof.as_str())).collect();
        self.post("/token", &format!("{form}&{}", self.credentials(client)), certificate, &proof)
    }

    /// Ends the session that a login began.
    pub fn logout(&self, login: &Login, certificate: &Certificate) {
        let form = format!("refresh_token={}&{}", login.refresh_token, self.credentials("app"));
        let answer = self.post("/logout", &form, Some(certificate), &[]);
        assert_eq!(answer.status, 204, "logout: {}", answer.text());
    }

    /// Revokes an access token (RFC 7009).
    pub fn revoke(&self, client: &str, token: &str, certificate: &Certificate) {
        let form = format!("token={token}&{}", self.credentials(client));
        let answer = self.post("/revoke", &form, Some(certificate), &[]);
        assert_eq!(answer.status, 200, "revocation: {}", answer.text());
    }

    /// What it answers to a client that asks about a token and wants a JWT in the answer.
    pub fn introspect(&self, client: &str, token: &str) -> Value {
        let form = format!("token={token}&{}", self.credentials(client));
        let answer = self.post("/token/introspect", &form, None, &[("accept", "application/jwt")]);
        serde_json::from_slice(&answer.body).unwrap_or_else(|_| panic!("{} {}", answer.status, answer.text()))
    }

    fn request(&self, method: &str, path: &str) -> Request {
        let mut request = Request::new(method, path);
        request.fields[0].1 = self.host.clone().into_bytes();
        request
    }

    fn post(&self, endpoint: &str, form: &str, by: Option<&Certificate>, fields: &[(&str, &str)]) -> Response {
        let request = self.request("POST", &self.path(endpoint)).body(form);
        let request = request.field("content-type", "application/x-www-form-urlencoded");
        let request = fields.iter().fold(request, |request, (name, value)| request.field(name, value));
        self.keycloak.client(by).send(&request)
    }

    fn credentials(&self, client: &str) -> String {
        let secret = self.keycloak.secret_of(client);
        format!("client_id={client}{}", secret.map_or_else(String::new, |secret| format!("&client_secret={secret}")))
    }

    /// Asks the admin API about this realm.
    pub fn admin(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.keycloak.admin(method, &format!("/admin/realms/{}{path}", self.name), body)
    }

    /// Another client like one in the realm's file, but for what is changed.
    pub fn add_client(&self, name: &str, like: &str, change: impl FnOnce(&mut Value)) {
        let file: Value = serde_json::from_str(&realm_file()).expect("JSON");
        let clients = file["clients"].as_array().expect("clients");
        let mut client = clients.iter().find(|client| client["clientId"] == like).expect("such a client").clone();
        client["clientId"] = json!(name);
        change(&mut client);
        self.admin("POST", "/clients", Some(&client));
    }

    /// Signs with a new key of this RSA algorithm from now on; the old one stays.
    pub fn rotate(&self, algorithm: &str) {
        let id = self.admin("GET", "", None)["id"].clone();
        let provider = json!({
            "name": format!("new-{algorithm}"), "parentId": id, "providerId": "rsa-generated",
            "providerType": "org.keycloak.keys.KeyProvider",
            "config": {"priority": ["200"], "algorithm": [algorithm], "keySize": ["2048"]}
        });
        self.admin("POST", "/components", Some(&provider));
    }

    /// The keys that it publishes.
    pub fn keys(&self) -> Vec<Value> {
        let request = self.request("GET", &self.path("/certs"));
        let answer = self.keycloak.client(None).send(&request);
        let keys: Value = serde_json::from_slice(&answer.body).expect("a key set");
        keys["keys"].as_array().expect("keys").clone()
    }
}

/// The folder of the set-up: the program, the database of an import, and the secrets that it was made with.
fn kept() -> &'static Path {
    static FOLDER: OnceLock<std::path::PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| set_up("keycloak"))
}

fn realm_file() -> String {
    std::fs::read_to_string(top().join("tests/keycloak/realm.json")).expect("the realm's file")
}

fn secrets(kept: &Path) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(kept.join("secrets")).expect("the secrets");
    text.lines().filter_map(|line| line.split_once('=')).map(|(name, value)| (name.into(), value.into())).collect()
}

fn member(answer: &Response, name: &str) -> String {
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let found = said[name].as_str();
    found.unwrap_or_else(|| panic!("no {name}: {} {}", answer.status, answer.text())).to_owned()
}

fn log(directory: &Directory) -> String {
    std::fs::read_to_string(directory.path().join("log")).unwrap_or_default()
}

/// Starts the server on ports that were free a moment ago; none if it has ended instead.
fn listen(directory: &Directory, kept: &Path, hostname: Hostname) -> Option<(Process, SocketAddr)> {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    let [address, management] = listeners.map(|listener| listener.local_addr().expect("its address"));
    let option = |name: &str, value: &dyn std::fmt::Display| format!("--{name}={value}");
    let file = |name: &str| directory.path().join(name).display().to_string();
    let log = File::create(directory.path().join("log")).expect("a log file");
    let mut command = Command::new(kept.join("run"));
    command
        .args(["start", "--optimized", "--cache=local", "--log-level=INFO,io.smallrye.health:ERROR"])
        .arg(option("db-url", &format!("jdbc:h2:file:{};NON_KEYWORDS=VALUE", file("keycloakdb"))))
        .args(["--http-host=127.0.0.1", "--http-management-host=127.0.0.1", "--http-management-scheme=http"])
        .arg(option("https-port", &address.port()))
        .arg(option("http-management-port", &management.port()))
        .arg(option("https-certificate-file", &file("server.crt")))
        .arg(option("https-certificate-key-file", &file("server.key")))
        .arg(option("https-trust-store-file", &file("client-ca.crt")))
        .arg(match hostname {
            Hostname::Fixed => option("hostname", &format!("https://localhost:{}", address.port())),
            Hostname::OfTheRequest => "--hostname-strict=false".into(),
        })
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("its log file"))
        .stderr(log);
    let mut process = Process::start(&mut command, directory.path());
    let health = Client::plaintext(management);
    let is_ready = || health.try_send(&Request::get("/health/ready")).is_ok_and(|answer| answer.status == 200);
    let mut ready = false;
    wait_until(PATIENCE, || {
        std::thread::sleep(Duration::from_millis(100));
        ready = is_ready();
        ready || !process.is_alive()
    });
    ready.then_some((process, address))
}
