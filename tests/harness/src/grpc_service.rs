//! A gRPC service behind the proxy, HTTP/2 in the clear: it answers each message as it comes, and records what reaches it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::http2::runtime;

/// Answers every message with itself, or with as many of it as the field `x-answers` says; then with status 0 and the number
/// of octets that came, in its trailers.
pub struct GrpcService {
    pub address: SocketAddr,
    reached: Record,
    listens: JoinHandle<()>,
}

type Record = Arc<Mutex<Vec<String>>>;

impl GrpcService {
    pub fn start() -> Self {
        let listener = runtime().block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port on loopback");
        let address = listener.local_addr().expect("the port");
        let reached = Record::default();
        let listens = runtime().spawn(listen(listener, Arc::clone(&reached)));
        Self { address, reached, listens }
    }

    /// The paths of the calls that have reached it since it was last asked, in order.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.reached.lock().expect("the record"))
    }
}

impl Drop for GrpcService {
    fn drop(&mut self) {
        self.listens.abort();
    }
}

async fn listen(listener: TcpListener, reached: Record) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, Arc::clone(&reached)));
    }
}

async fn serve(stream: TcpStream, reached: Record) -> Result<(), h2::Error> {
    let mut connection = h2::server::handshake(stream).await?;
    while let Some(call) = connection.accept().await {
        let (request, response) = call?;
        reached.lock().expect("the record").push(request.uri().path().to_owned());
        tokio::spawn(answer(request, response));
    }
    Ok(())
}

async fn answer(request: http::Request<RecvStream>, mut response: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let answers = request.headers().get("x-answers").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(1);
    let head = http::Response::builder().header("content-type", "application/grpc").body(()).expect("a head");
    let mut sent = response.send_response(head, false)?;
    let mut body = request.into_body();
    let mut octets = 0;
    while let Some(message) = body.data().await.transpose()? {
        body.flow_control().release_capacity(message.len())?;
        octets += message.len();
        // The empty one at the end is no message.
        for _ in 0..if message.is_empty() { 0 } else { answers } {
            sent.send_data(message.clone(), false)?;
        }
    }
    let mut trailers = http::HeaderMap::new();
    trailers.insert("grpc-status", http::HeaderValue::from(0));
    trailers.insert("x-octets", http::HeaderValue::from(octets));
    sent.send_trailers(trailers)
}
