//! A real authorization server: node-oidc-provider, whose tokens are bound to certificates or to DPoP keys.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::certificate::{Authority, Certificate, Leaf};
use crate::client::{Client, Request};
use crate::directory::Directory;
use crate::module::{set_up, top};
use crate::process::Process;
use crate::{Algorithm, Proof, SigningKey, base64url, http};

pub struct OidcProvider {
    _process: Process,
    _directory: Directory,
    address: SocketAddr,
    trusted: Certificate,
    /// The secret of clients `rs` and `rs-post`, which may introspect, as `rs-tls` may by the certificate of that name.
    pub rs_secret: String,
    /// The keys of clients `rs-ES256`, `rs-PS256` and `rs-RS256`, which may introspect too.
    pub rs_keys: Vec<SigningKey>,
    /// The secret of client `wallet`, whose tokens are bound to DPoP keys.
    wallet_secret: String,
}

impl OidcProvider {
    /// Starts it with a certificate of this authority, which also vouches for its clients.
    pub fn start(authority: &Authority) -> Self {
        Self::start_for(authority, &authority.certificate)
    }

    /// The same, where another authority vouches for its clients.
    pub fn start_for(authority: &Authority, clients: &Certificate) -> Self {
        let modules = set_up("oidc-provider").join("node_modules");
        let directory = Directory::new();
        let server = authority.issue(Leaf::server());
        directory.write("server.crt", &server.cert_pem);
        directory.write("server.key", &server.key_pem);
        directory.write("client-ca.crt", &clients.cert_pem);
        let [rs_secret, wallet_secret] = [secret(), secret()];
        let algorithms = [Algorithm::Es256, Algorithm::Ps256, Algorithm::Rs256];
        let rs_keys: Vec<SigningKey> =
            algorithms.into_iter().map(|algorithm| SigningKey::new(algorithm, algorithm.name())).collect();
        // The issuer holds the port, so one is chosen before the server starts; somebody else may take it in between.
        for _ in 0..5 {
            if let Some((process, port)) = listen(&directory, &modules, [&rs_secret, &wallet_secret], &rs_keys) {
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                let trusted = authority.certificate.clone();
                let (_process, _directory) = (process, directory);
                return Self { _process, _directory, address, trusted, rs_secret, rs_keys, wallet_secret };
            }
        }
        let log = std::fs::read_to_string(directory.path().join("log")).unwrap_or_default();
        panic!("node-oidc-provider does not start:\n{log}");
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn issuer(&self) -> String {
        format!("https://localhost:{}", self.address.port())
    }

    /// An access token for a client by its certificate (client credentials, RFC 8705 §2.1).
    pub fn token(&self, client: &str, certificate: &Certificate, scope: &str, resource: &str) -> String {
        let form = format!(
            "grant_type=client_credentials&client_id={client}&scope={}&resource={resource}",
            scope.replace(' ', "+")
        );
        access_token(&self.post("/token", certificate, &form))
    }

    /// An access token of client `wallet`, bound to this key (RFC 9449 §5).
    pub fn dpop_token(&self, key: &SigningKey, scope: &str, resource: &str) -> String {
        let form = format!("grant_type=client_credentials&scope={}&resource={resource}", scope.replace(' ', "+"));
        let credentials = STANDARD.encode(format!("wallet:{}", self.wallet_secret));
        let proof = Proof::new(key, "POST", &format!("{}/token", self.issuer())).sign(key);
        let request =
            self.form("/token", &form).field("authorization", format!("Basic {credentials}")).field("dpop", proof);
        access_token(&Client::anonymous(self.address, &self.trusted).send(&request))
    }

    pub fn revoke(&self, client: &str, certificate: &Certificate, token: &str) {
        let response = self.post("/token/revocation", certificate, &format!("client_id={client}&token={token}"));
        assert_eq!(response.status, 200, "revocation: {}", response.text());
    }

    fn post(&self, path: &str, certificate: &Certificate, form: &str) -> http::Response {
        Client::with(self.address, &self.trusted, certificate).send(&self.form(path, form))
    }

    fn form(&self, path: &str, form: &str) -> Request {
        let mut request =
            Request::new("POST", path).field("content-type", "application/x-www-form-urlencoded").body(form);
        request.fields[0].1 = format!("localhost:{}", self.address.port()).into_bytes();
        request
    }
}

fn secret() -> String {
    let mut octets = [0; 24];
    getrandom::fill(&mut octets).expect("random octets");
    base64url(&octets)
}

fn access_token(response: &http::Response) -> String {
    let answer: Value = serde_json::from_slice(&response.body).unwrap_or_default();
    let token = answer["access_token"].as_str();
    token.unwrap_or_else(|| panic!("no token: {} {}", response.status, response.text())).to_owned()
}

/// Starts the server on a port that was free a moment ago; none if it has ended instead.
fn listen(
    directory: &Directory,
    modules: &Path,
    [rs_secret, wallet_secret]: [&str; 2],
    rs_keys: &[SigningKey],
) -> Option<(Process, u16)> {
    let rs_keys: Vec<Value> = rs_keys.iter().map(SigningKey::jwk).collect();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    let file = |name: &str| directory.path().join(name);
    let mut command = Command::new("node");
    command
        .arg(top().join("tests/oidc-provider/server.mjs"))
        .env("PORT", port.to_string())
        .env("ISSUER", format!("https://localhost:{port}"))
        .env("CERTIFICATE_FILE", file("server.crt"))
        .env("KEY_FILE", file("server.key"))
        .env("CLIENT_CA_FILE", file("client-ca.crt"))
        .env("RS_SECRET", rs_secret)
        .env("RS_KEYS", Value::from(rs_keys).to_string())
        .env("WALLET_SECRET", wallet_secret)
        .env("NODE_MODULES_DIR", modules)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(File::create(file("log")).expect("a log file"));
    let mut process = Process::start(&mut command, directory.path());
    let output = process.child().stdout.take().expect("its output");
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let listens = lines.any(|line| line.starts_with("listening"));
    std::thread::spawn(move || lines.count());
    listens.then_some((process, port))
}
