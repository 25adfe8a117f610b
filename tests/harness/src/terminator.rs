//! A real proxy that ends TLS in front of Envoy and tells it the client's certificate in a field: nginx or HAProxy.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::certificate::{Authority, Certificate, Leaf};
use crate::directory::Directory;
use crate::module::set_up;
use crate::process::Process;
use crate::wait_until;

pub struct Terminator {
    _process: Process,
    _directory: Directory,
    pub address: SocketAddr,
}

/// Who speaks to whom.
struct Line<'a> {
    port: u16,
    behind: SocketAddr,
    folder: &'a Path,
}

/// The field in which nginx tells the certificate: PEM, percent-encoded.
pub const NGINX_FIELD: &str = "x-client-cert";

impl Terminator {
    /// Asks clients for a certificate of this authority, shows `own` to the Envoy behind it, and tells it the client's in
    /// [`NGINX_FIELD`].
    pub fn nginx(authority: &Authority, own: &Certificate, behind: SocketAddr) -> Self {
        let program = set_up("nginx");
        Self::start(authority, own, behind, |line| {
            let configuration = line.folder.join("nginx.conf");
            std::fs::write(&configuration, nginx(line)).expect("a configuration");
            let mut command = Command::new(&program);
            command.arg("-p").arg(line.folder).arg("-c").arg(configuration).args(["-e", "stderr"]);
            command
        })
    }

    /// The same by HAProxy, which tells it in `Client-Cert` (RFC 9440).
    pub fn haproxy(authority: &Authority, own: &Certificate, behind: SocketAddr) -> Self {
        let program = set_up("haproxy");
        Self::start(authority, own, behind, |line| {
            let configuration = line.folder.join("haproxy.cfg");
            std::fs::write(&configuration, haproxy(line)).expect("a configuration");
            let mut command = Command::new(&program);
            command.arg("-db").arg("-f").arg(configuration);
            command
        })
    }

    fn start(
        authority: &Authority,
        own: &Certificate,
        behind: SocketAddr,
        command: impl Fn(&Line<'_>) -> Command,
    ) -> Self {
        let directory = Directory::new();
        let server = authority.issue(Leaf::server());
        directory.write("ca.crt", &authority.certificate.cert_pem);
        for (name, certificate) in [("server", &server), ("relay", own)] {
            directory.write(&format!("{name}.crt"), &certificate.cert_pem);
            directory.write(&format!("{name}.key"), &certificate.key_pem);
            directory.write(&format!("{name}.pem"), [&*certificate.cert_pem, &certificate.key_pem].concat());
        }
        // Neither takes port 0, so one is chosen before; somebody else may take it in between.
        for _ in 0..5 {
            let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
            let address = free.expect("a free port");
            let folder = directory.path().to_owned();
            let mut command = command(&Line { port: address.port(), behind, folder: &folder });
            command.stdin(Stdio::null()).stdout(Stdio::null());
            command.stderr(File::create(folder.join("log")).expect("a log file"));
            let mut process = Process::start(&mut command, &folder);
            let listens = || TcpStream::connect(address).is_ok() || !process.is_alive();
            if wait_until(Duration::from_secs(10), listens) && process.is_alive() {
                return Self { _process: process, _directory: directory, address };
            }
        }
        panic!("it does not listen:\n{}", std::fs::read_to_string(directory.path().join("log")).unwrap_or_default());
    }
}

/// Fields that a location sets replace what the client sent; an empty one removes it.
fn nginx(Line { port, behind, folder }: &Line<'_>) -> String {
    let folder = folder.display();
    format!(
        r#"daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_certificate {folder}/server.crt;
    ssl_certificate_key {folder}/server.key;
    ssl_client_certificate {folder}/ca.crt;
    ssl_verify_client optional;
    location / {{
      proxy_pass https://{behind};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_set_header X-Client-Cert $ssl_client_escaped_cert;
      proxy_ssl_certificate {folder}/relay.crt;
      proxy_ssl_certificate_key {folder}/relay.key;
      proxy_ssl_trusted_certificate {folder}/ca.crt;
      proxy_ssl_verify on;
      proxy_ssl_name localhost;
      proxy_ssl_server_name on;
    }}
  }}
}}
"#
    )
}

/// `ssl_c_used` and not `ssl_fc_has_crt`, which is 0 on resumed sessions.
fn haproxy(Line { port, behind, folder }: &Line<'_>) -> String {
    let folder = folder.display();
    format!(
        r"global
  log stderr format raw local0
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend clients
  bind 127.0.0.1:{port} ssl crt {folder}/server.pem ca-file {folder}/ca.crt verify optional
  default_backend envoy
backend envoy
  http-request del-header Client-Cert
  http-request del-header Client-Cert-Chain
  http-request del-header client_cert
  http-request set-header Client-Cert :%[ssl_c_der,base64]: if {{ ssl_c_used }}
  server envoy {behind} ssl crt {folder}/relay.pem ca-file {folder}/ca.crt verify required verifyhost localhost sni str(localhost)
"
    )
}
