//! Requests over TLS, with a certificate or without, octet by octet; or in the clear.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
};

use crate::certificate::Certificate;
use crate::http::{Response, fill, read_body, read_head};

/// Who asks: what it trusts, and the certificate that it shows.
#[derive(Clone)]
pub struct Client {
    pub(crate) address: SocketAddr,
    /// None in the clear.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    patience: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

/// What a handshake has agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    pub version: TlsVersion,
    /// Taken up again, without the certificate being shown anew.
    pub resumed: bool,
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
    /// None in the clear, and before the handshake is done.
    fn session(&self) -> Option<Session>;
}

impl Stream for TcpStream {
    fn session(&self) -> Option<Session> {
        None
    }
}

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn session(&self) -> Option<Session> {
        Session::of(&self.conn)
    }
}

impl Session {
    pub(crate) fn of(connection: &ClientConnection) -> Option<Self> {
        let version = match connection.protocol_version()? {
            ProtocolVersion::TLSv1_2 => TlsVersion::V1_2,
            ProtocolVersion::TLSv1_3 => TlsVersion::V1_3,
            _ => return None,
        };
        Some(Self { version, resumed: connection.handshake_kind()? == HandshakeKind::Resumed })
    }
}

/// How long an answer may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

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
        Self { address, tls: None, patience: PATIENCE }
    }

    /// Trusts this authority, and shows no certificate.
    pub fn anonymous(address: SocketAddr, trusted: &Certificate) -> Self {
        Self::tls(address, trusted, None, &[&TLS12, &TLS13])
    }

    pub fn with(address: SocketAddr, trusted: &Certificate, own: &Certificate) -> Self {
        Self::tls(address, trusted, Some(own), &[&TLS12, &TLS13])
    }

    /// With this version of TLS and no other.
    pub fn speaking(
        version: TlsVersion,
        address: SocketAddr,
        trusted: &Certificate,
        own: Option<&Certificate>,
    ) -> Self {
        let version = match version {
            TlsVersion::V1_2 => &TLS12,
            TlsVersion::V1_3 => &TLS13,
        };
        Self::tls(address, trusted, own, &[version])
    }

    fn tls(
        address: SocketAddr,
        trusted: &Certificate,
        own: Option<&Certificate>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from(trusted.der.clone())).expect("a root");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder =
            ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).expect("TLS 1.2 or 1.3");
        let builder = builder.with_root_certificates(roots);
        let mut config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let key = PrivateKeyDer::from_pem_slice(own.key_pem.as_bytes()).expect("a key");
                let chain = CertificateDer::pem_slice_iter(own.cert_pem.as_bytes());
                let chain = chain.collect::<Result<_, _>>().expect("its chain");
                builder.with_client_auth_cert(chain, key).expect("a certificate with its key")
            }
        };
        config.resumption = Resumption::disabled();
        Self { address, tls: Some(Arc::new(config)), patience: PATIENCE }
    }

    /// The same client, which waits for so long.
    pub fn waiting(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// The same client, which takes sessions up again where the server lets it.
    pub fn resuming(mut self) -> Self {
        if let Some(config) = &mut self.tls {
            Arc::make_mut(config).resumption = Resumption::in_memory_sessions(16);
        }
        self
    }

    /// The same client, which offers this protocol, and speaks whatever the test writes.
    pub fn offering(mut self, protocol: &str) -> Self {
        if let Some(config) = &mut self.tls {
            Arc::make_mut(config).alpn_protocols = vec![protocol.as_bytes().to_vec()];
        }
        self
    }

    pub fn open(&self) -> io::Result<Connection> {
        let (stream, tls) = self.connect()?;
        let stream: Box<dyn Stream> = match tls {
            None => Box::new(stream),
            Some(tls) => Box::new(StreamOwned::new(tls, stream)),
        };
        Ok(Connection { stream, rest: Vec::new() })
    }

    /// A connection in its two parts, before the handshake; in the clear it has but one.
    pub fn connect(&self) -> io::Result<(TcpStream, Option<ClientConnection>)> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        let name = ServerName::try_from("localhost").expect("a name");
        let tls = self.tls.as_ref().map(|config| ClientConnection::new(Arc::clone(config), name)).transpose();
        Ok((stream, tls.map_err(io::Error::other)?))
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

    /// What its handshake has agreed on; none in the clear, and before the first answer.
    pub fn session(&self) -> Option<Session> {
        self.stream.session()
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
            return Ok(Response { status, headers: head.headers, ..Response::default() });
        }
        let read = read_body(&mut self.stream, &head.headers, head.rest)?;
        self.rest = read.rest;
        Ok(Response { status, headers: head.headers, body: read.body, trailers: read.trailers })
    }

    /// Reads that many octets, of whatever follows an answer.
    pub fn read_octets(&mut self, count: usize) -> io::Result<Vec<u8>> {
        fill(&mut self.stream, &mut self.rest, count)?;
        let rest = self.rest.split_off(count);
        Ok(std::mem::replace(&mut self.rest, rest))
    }
}
