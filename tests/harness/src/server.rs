//! A small HTTP/1.1 server on loopback: a thread a connection, and a handler that says what to do.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::http::{Fields, read_body, read_head, values};
use crate::wait_until;

/// A request, as it arrived.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: String,
    pub path: String,
    pub headers: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
    pub at: Instant,
}

impl Received {
    pub fn values(&self, name: &str) -> Vec<String> {
        values(&self.headers, name)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// What a handler does with a request.
#[derive(Clone, Debug)]
pub enum Reaction {
    Answer {
        status: u16,
        content_type: &'static str,
        body: Vec<u8>,
    },
    /// Answers with these fields, and with the length of the body.
    Told {
        status: u16,
        fields: Vec<(&'static str, String)>,
        body: Vec<u8>,
    },
    /// Answers with these octets, whatever they are, and closes.
    Octets(Vec<u8>),
    /// Takes the upgrade to a WebSocket, and sends back every octet that comes then.
    Echo,
    /// Closes without a word.
    Close,
    /// Tears the connection down (RST).
    Reset,
    /// Begins to answer and never ends.
    Trickle,
    /// The same as fast as the other end reads, up to 1 GiB.
    Flood,
}

/// Listens until dropped.
pub struct Server {
    pub address: SocketAddr,
    stopped: Arc<AtomicBool>,
}

impl Server {
    pub fn start(handler: impl Fn(Received) -> Reaction + Send + Sync + 'static) -> Self {
        Self::listen(TcpListener::bind("127.0.0.1:0").expect("a free port on loopback"), handler)
    }

    /// Starts where another has stopped.
    pub fn start_at(address: SocketAddr, handler: impl Fn(Received) -> Reaction + Send + Sync + 'static) -> Self {
        let mut listener = None;
        wait_until(Duration::from_secs(5), || {
            listener = TcpListener::bind(address).ok();
            listener.is_some()
        });
        Self::listen(listener.expect("the port of the one that has stopped"), handler)
    }

    fn listen(listener: TcpListener, handler: impl Fn(Received) -> Reaction + Send + Sync + 'static) -> Self {
        let address = listener.local_addr().expect("the port");
        let stopped = Arc::new(AtomicBool::new(false));
        let (handler, stop) = (Arc::new(handler), Arc::clone(&stopped));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), handler, stop) = (stream, Arc::clone(&handler), Arc::clone(&stop)) else { continue };
                std::thread::spawn(move || serve(stream, handler.as_ref(), &stop));
            }
        });
        Self { address, stopped }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

/// An end of the connection is an end of its thread, whatever ended it.
fn serve(mut stream: TcpStream, handler: &(impl Fn(Received) -> Reaction + ?Sized), stopped: &AtomicBool) {
    let _ = stream.set_nodelay(true);
    let mut rest = Vec::new();
    while let Ok(Some(head)) = read_head(&mut stream, rest) {
        let Ok(read) = read_body(&mut stream, &head.headers, head.rest) else { return };
        rest = read.rest;
        let [method, path, _] = head.line;
        let reaction = handler(Received {
            method,
            path,
            headers: head.headers,
            body: read.body,
            trailers: read.trailers,
            at: Instant::now(),
        });
        if stopped.load(Ordering::Relaxed) || !react(&mut stream, reaction, stopped) {
            return;
        }
    }
}

/// Whether the connection stays open.
fn react(stream: &mut TcpStream, reaction: Reaction, stopped: &AtomicBool) -> bool {
    match reaction {
        Reaction::Answer { status, content_type, body } => {
            let length = body.len();
            let head =
                format!("HTTP/1.1 {status} x\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n");
            // A 204 has neither body nor length.
            let head = if status == 204 { format!("HTTP/1.1 {status} x\r\n\r\n") } else { head };
            stream.write_all(&[head.as_bytes(), &body].concat()).is_ok()
        }
        Reaction::Told { status, fields, body } => {
            let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            let length = if status == 204 { String::new() } else { format!("content-length: {}\r\n", body.len()) };
            let head = format!("HTTP/1.1 {status} x\r\n{fields}{length}\r\n");
            stream.write_all(&[head.as_bytes(), &body].concat()).is_ok()
        }
        Reaction::Octets(octets) => {
            let _ = stream.write_all(&octets);
            false
        }
        Reaction::Echo => {
            // The answer to the key of the example in RFC 6455 §1.3.
            let head = b"HTTP/1.1 101 x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
            let mut part = [0; 1024];
            let mut going = stream.write_all(head).is_ok();
            while going {
                let size = stream.read(&mut part).unwrap_or(0);
                going = size > 0 && stream.write_all(&part[..size]).is_ok();
            }
            false
        }
        Reaction::Close => false,
        Reaction::Reset => {
            let _ = socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
            false
        }
        Reaction::Trickle => {
            let _ = stream.write_all(CHUNKED);
            let _ = stream.set_read_timeout(Some(Duration::from_millis(20)));
            while !stopped.load(Ordering::Relaxed) && stream.write_all(b"1\r\n \r\n").is_ok() {
                if matches!(stream.read(&mut [0; 16]), Ok(0)) {
                    return false;
                }
            }
            false
        }
        Reaction::Flood => {
            let mebibyte = [b"100000\r\n", &vec![b' '; 1 << 20][..], b"\r\n"].concat();
            let mut sends = stream.write_all(CHUNKED).is_ok();
            for _ in 0..1024 {
                sends = sends && !stopped.load(Ordering::Relaxed) && stream.write_all(&mebibyte).is_ok();
            }
            false
        }
    }
}

const CHUNKED: &[u8] = b"HTTP/1.1 200 x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
