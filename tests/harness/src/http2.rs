//! Requests over HTTP/2, and calls whose octets go both ways while they last.

use std::future::Future;
use std::io;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio_rustls::TlsConnector;

use crate::client::{Client, PATIENCE, Request, Session};
use crate::http::{Fields, Response};

/// An open connection, for several requests.
pub struct Http2 {
    requests: SendRequest<Bytes>,
    pub session: Session,
}

/// A request that has begun and whose answer may have.
pub struct Call {
    sent: SendStream<Bytes>,
    /// None once it has come.
    awaited: Option<ResponseFuture>,
    answer: Response,
    body: Option<RecvStream>,
    /// What has come of the body and was not asked for yet.
    rest: Vec<u8>,
}

/// What drives every connection of this process.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"))
}

fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    runtime().block_on(async { tokio::time::timeout(PATIENCE, work).await? })
}

impl Client {
    pub fn open_http2(&self) -> io::Result<Http2> {
        let mut config = Arc::clone(self.tls.as_ref().expect("TLS"));
        Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
        within(async {
            let stream = TcpStream::connect(self.address).await?;
            stream.set_nodelay(true)?;
            let name = ServerName::try_from("localhost").expect("a name");
            let stream = TlsConnector::from(config).connect(name, stream).await?;
            let session = Session::of(stream.get_ref().1).expect("the handshake is done");
            let (requests, connection) = h2::client::handshake(stream).await.map_err(io::Error::other)?;
            tokio::spawn(connection);
            Ok(Http2 { requests, session })
        })
    }
}

impl Http2 {
    pub fn send(&mut self, request: &Request) -> io::Result<Response> {
        let mut call = self.begin(request, request.body.is_empty())?;
        if !request.body.is_empty() {
            call.say(&request.body)?;
            call.end()?;
        }
        call.finish()
    }

    /// Sends the head of a request and leaves its body open.
    pub fn call(&mut self, request: &Request) -> io::Result<Call> {
        self.begin(request, false)
    }

    fn begin(&mut self, request: &Request, is_all: bool) -> io::Result<Call> {
        let head = head(request)?;
        within(async {
            let mut requests = self.requests.clone().ready().await.map_err(io::Error::other)?;
            let (awaited, sent) = requests.send_request(head, is_all).map_err(io::Error::other)?;
            Ok(Call { sent, awaited: Some(awaited), answer: Response::default(), body: None, rest: Vec::new() })
        })
    }
}

fn head(request: &Request) -> io::Result<http::Request<()>> {
    let host = request.fields.iter().find(|(name, _)| name == "host").map(|(_, host)| String::from_utf8_lossy(host));
    let uri = format!("https://{}{}", host.unwrap_or_default(), request.target);
    let mut head = http::Request::builder().method(request.method.as_str()).uri(uri);
    for (name, value) in &request.fields {
        head = match name.as_str() {
            "host" => head,
            // An extended CONNECT (RFC 8441).
            ":protocol" => head.extension(h2::ext::Protocol::from(String::from_utf8_lossy(value).as_ref())),
            name => head.header(name, value.as_slice()),
        };
    }
    head.body(()).map_err(io::Error::other)
}

impl Call {
    pub fn say(&mut self, octets: &[u8]) -> io::Result<()> {
        self.sent.send_data(Bytes::copy_from_slice(octets), false).map_err(io::Error::other)
    }

    pub fn end(&mut self) -> io::Result<()> {
        self.sent.send_data(Bytes::new(), true).map_err(io::Error::other)
    }

    /// Waits for the head of the answer.
    pub fn status(&mut self) -> io::Result<u16> {
        let Some(awaited) = self.awaited.take() else { return Ok(self.answer.status) };
        let (head, body) = within(async { awaited.await.map_err(io::Error::other) })?.into_parts();
        self.answer.status = head.status.as_u16();
        self.answer.headers = fields(&head.headers);
        self.body = Some(body);
        Ok(self.answer.status)
    }

    /// Waits for that many octets of the answer's body.
    pub fn hear(&mut self, count: usize) -> io::Result<Vec<u8>> {
        self.status()?;
        while self.rest.len() < count {
            if !self.hear_more()? {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the body is cut off"));
            }
        }
        let rest = self.rest.split_off(count);
        Ok(std::mem::replace(&mut self.rest, rest))
    }

    /// Waits for the end; the body is what was not heard before.
    pub fn finish(mut self) -> io::Result<Response> {
        self.status()?;
        while self.hear_more()? {}
        let body = self.body.as_mut().expect("the answer has begun");
        let trailers = within(async { body.trailers().await.map_err(io::Error::other) })?;
        self.answer.trailers = trailers.as_ref().map(fields).unwrap_or_default();
        self.answer.body = self.rest;
        Ok(self.answer)
    }

    /// False at the end.
    fn hear_more(&mut self) -> io::Result<bool> {
        let body = self.body.as_mut().expect("the answer has begun");
        let Some(part) = within(async { body.data().await.transpose().map_err(io::Error::other) })? else {
            return Ok(false);
        };
        body.flow_control().release_capacity(part.len()).map_err(io::Error::other)?;
        self.rest.extend_from_slice(&part);
        Ok(true)
    }
}

fn fields(map: &http::HeaderMap) -> Fields {
    map.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec())).collect()
}
