//! Requests over TLS, with a certificate or without, octet by octet; or in the clear.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned};

use crate::certificate::Certificate;
use crate::http::{Response, read_body, read_head};

/// Who asks: what it trusts, and the certificate that it shows.
#[derive(Clone)]
pub struct Client {
    address: SocketAddr,
    /// None in the clear.
    tls: Option<Arc<ClientConfig>>,
}

/// One request.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    pub fields: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// An open connection, for several requests.
pub struct Connection {
    stream: Box<dyn Stream>,
    rest: Vec<u8>,
}

trait Stream: Read + Write + Send {
    fn is_resumed(&self) -> bool;
}

impl Stream for TcpStream {
    fn is_resumed(&self) -> bool {
        false
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn is_resumed(&self) -> bool {
        self.conn.handshake_kind() == Some(HandshakeKind::Resumed)
    }
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

impl Request {
    pub fn new(method: &str, target: &str) -> Self {
        let fields = vec![("host".to_owned(), b"localhost".to_vec())];
        Self { method: method.to_owned(), target: target.to_owned(), fields, body: Vec::new() }
    }

    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.field("authorization", format!("Bearer {token}"))
    }

    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self.field("content-length", body.as_ref().len().to_string())
    }

    fn octets(&self) -> Vec<u8> {
        let mut octets = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.fields {
            octets.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
        }
        octets.extend(b"\r\n");
        octets.extend(&self.body);
        octets
    }
}

impl Client {
    pub fn plaintext(address: SocketAddr) -> Self {
        Self { address, tls: None }
    }

    /// Trusts this authority, and shows no certificate.
    pub fn anonymous(address: SocketAddr, trusted: &Certificate) -> Self {
        Self::tls(address, trusted, None)
    }

    pub fn with(address: SocketAddr, trusted: &Certificate, own: &Certificate) -> Self {
        Self::tls(address, trusted, Some(own))
    }

    fn tls(address: SocketAddr, trusted: &Certificate, own: Option<&Certificate>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(trusted.der.clone())).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("TLS 1.2 and 1.3");
        let builder = builder.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).expect("a key");
                let chain = vec![CertificateDer::from(own.der.clone())];
                builder.with_client_auth_cert(chain, key).expect("a certificate with its key")
            }
        };
        config.resumption = Resumption::disabled();
        Self { address, tls: Some(Arc::new(config)) }
    }

    /// The same client, which takes sessions up again where the server lets it.
    pub fn resuming(mut self) -> Self {
        if let Some(config) = &mut self.tls {
            Arc::make_mut(config).resumption = Resumption::in_memory_sessions(16);
        }
        self
    }

    pub fn open(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let stream: Box<dyn Stream> = match &self.tls {
            None => Box::new(stream),
            Some(config) => {
                let name = ServerName::try_from("localhost").expect("a name");
                let connection = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
                Box::new(StreamOwned::new(connection, stream))
            }
        };
        Ok(Connection { stream, rest: Vec::new() })
    }

    /// One request on a connection of its own.
    pub fn try_send(&self, request: &Request) -> io::Result<Response> {
        self.open()?.send(request)
    }

    /// The same, for tests in which it has to be answered.
    pub fn send(&self, request: &Request) -> Response {
        self.try_send(request)
            .unwrap_or_else(|error| panic!("{} {} is not answered: {error}", request.method, request.target))
    }
}

impl Connection {
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        self.write(&request.octets())?;
        self.read()
    }

    /// Whether its session was taken up again, without the certificate being shown anew.
    pub fn is_resumed(&self) -> bool {
        self.stream.is_resumed()
    }

    /// Writes octets that need not be a request.
    pub fn write(&mut self, octets: &[u8]) -> io::Result<()> {
        self.stream.write_all(octets)?;
        self.stream.flush()
    }

    /// Writes a request and does not wait for the answer.
    pub fn begin(&mut self, request: &Request) -> io::Result<()> {
        self.write(&request.octets())
    }

    pub fn read(&mut self) -> io::Result<Response> {
        let gone = || io::Error::new(io::ErrorKind::UnexpectedEof, "the connection was closed");
        let head = read_head(&mut self.stream, std::mem::take(&mut self.rest))?.ok_or_else(gone)?;
        let status = head.line[1].parse().map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "no status"))?;
        let has_body = !matches!(status, 204 | 304);
        if !has_body {
            self.rest = head.rest;
            return Ok(Response { status, headers: head.headers, body: Vec::new() });
        }
        let read = read_body(&mut self.stream, &head.headers, head.rest)?;
        self.rest = read.rest;
        Ok(Response { status, headers: head.headers, body: read.body })
    }
}
