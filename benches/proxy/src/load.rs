//! Requests over open connections, as fast as one core can drive them: what it costs to ask must stay below what it costs to
//! answer, so that the proxy has no rest between two requests.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::{Client, base64url, sha256};
use rustls::ClientConnection;

use crate::proofs::Holder;

/// Connections to one proxy, and what is asked over them.
pub struct Load {
    lines: Vec<Line>,
    requests: Requests,
    /// What every answer has to say.
    status: u16,
}

/// What is asked: requests that differ in their token alone.
pub struct Requests {
    /// The request as far as the token, and behind it.
    around: [Vec<u8>; 2],
    tokens: Tokens,
    /// Where the next request is put together.
    octets: Vec<u8>,
}

/// The tokens of one request after the other.
pub enum Tokens {
    /// These, in their order, and again from the first.
    These { tokens: Arc<Vec<String>>, next: usize },
    /// So many of these, in great steps.
    Shuffled { tokens: Arc<Vec<String>>, count: usize, next: usize },
    /// Never the same.
    Random { state: u64 },
    /// One token, each time with a proof of its own.
    Proven { token: String, ath: String, holder: Arc<Holder>, next: u64 },
}

/// One connection.
struct Line {
    socket: TcpStream,
    tls: ClientConnection,
    answer: Vec<u8>,
}

/// Connections at once. With one of them the proxy would wait for us, with hundreds the kernel would be measured.
const LINES: usize = 16;

const WARM: Duration = Duration::from_millis(500);

/// A prime: every count that is not a multiple of it is gone through whole.
const STEP: usize = 7_919;

impl Tokens {
    pub fn these(tokens: Arc<Vec<String>>) -> Self {
        Self::These { tokens, next: 0 }
    }

    /// The first so many, each as often as any other and in an order that no cache likes.
    pub fn shuffled(tokens: &Arc<Vec<String>>, count: usize) -> Self {
        Self::Shuffled { tokens: Arc::clone(tokens), count, next: 0 }
    }

    pub fn random() -> Self {
        Self::Random { state: 0x9e37_79b9_7f4a_7c15 }
    }

    pub fn proven(token: &str, holder: &Arc<Holder>) -> Self {
        let ath = base64url(&sha256(token.as_bytes()));
        Self::Proven { token: token.to_owned(), ath, holder: Arc::clone(holder), next: 0 }
    }

    fn scheme(&self) -> &'static str {
        if matches!(self, Self::Proven { .. }) { "DPoP" } else { "Bearer" }
    }

    /// How many requests show each of them once.
    fn count(&self) -> usize {
        match self {
            Self::These { tokens, .. } => tokens.len(),
            Self::Shuffled { count, .. } => *count,
            Self::Random { .. } | Self::Proven { .. } => 0,
        }
    }

    fn write_next(&mut self, octets: &mut Vec<u8>) {
        match self {
            Self::These { tokens, next } => {
                octets.extend_from_slice(tokens[*next].as_bytes());
                *next = (*next + 1) % tokens.len();
            }
            Self::Shuffled { tokens, count, next } => {
                octets.extend_from_slice(tokens[*next].as_bytes());
                *next = (*next + STEP) % *count;
            }
            Self::Proven { token, ath, holder, next } => {
                *next += 1;
                write!(octets, "{token}\r\ndpop: {}", holder.proof(ath, *next)).expect("a vector grows");
            }
            // As an opaque token: 256 bits (splitmix64, which nobody has to be unable to guess).
            Self::Random { state } => {
                for _ in 0..4 {
                    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                    write!(octets, "{:016x}", mixed ^ (mixed >> 31)).expect("a vector grows");
                }
            }
        }
    }
}

impl Requests {
    /// GET of this path with eight header fields, the last of which holds the token.
    pub fn new(path: &str, tokens: Tokens) -> Self {
        let before = format!(
            "GET {path} HTTP/1.1\r\nhost: api.bank.example\r\nuser-agent: bench/1.0 (linux)\r\naccept: application/json\r\n\
             accept-encoding: gzip, br\r\naccept-language: en-GB,en;q=0.8\r\ncache-control: no-cache\r\n\
             x-correlation-id: 5f0c9a52-7d1e-4b8b-9c57-3d1f0e6a2b44\r\nauthorization: {} ",
            tokens.scheme()
        );
        Self { around: [before.into_bytes(), b"\r\n\r\n".to_vec()], tokens, octets: Vec::new() }
    }

    fn next(&mut self) -> &[u8] {
        self.octets.clear();
        self.octets.extend_from_slice(&self.around[0]);
        self.tokens.write_next(&mut self.octets);
        self.octets.extend_from_slice(&self.around[1]);
        &self.octets
    }
}

impl Line {
    fn open(client: &Client) -> io::Result<Self> {
        let (mut socket, tls) = client.connect()?;
        let mut tls = tls.ok_or_else(|| io::Error::other("no TLS"))?;
        while tls.is_handshaking() {
            tls.complete_io(&mut socket)?;
        }
        socket.set_nonblocking(true)?;
        Ok(Self { socket, tls, answer: Vec::new() })
    }

    fn ask(&mut self, request: &[u8]) -> io::Result<()> {
        self.tls.writer().write_all(request)?;
        while self.tls.wants_write() {
            match self.tls.write_tls(&mut self.socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                written => {
                    written?;
                }
            }
        }
        Ok(())
    }

    /// Waits without sleeping, for waking us would be on the account of the proxy; returns the status.
    fn answer(&mut self) -> io::Result<u16> {
        self.answer.clear();
        loop {
            match self.tls.read_tls(&mut self.socket) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {
                    let state = self.tls.process_new_packets().map_err(io::Error::other)?;
                    let (have, come) = (self.answer.len(), state.plaintext_bytes_to_read());
                    self.answer.resize(have + come, 0);
                    self.tls.reader().read_exact(&mut self.answer[have..])?;
                    if let Some(status) = whole(&self.answer)? {
                        return Ok(status);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(error) => return Err(error),
            }
        }
    }
}

/// The status of an answer that is all there.
fn whole(answer: &[u8]) -> io::Result<Option<u16>> {
    let Some(head) = answer.windows(4).position(|octets| octets == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&answer[..head]).map_err(io::Error::other)?;
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    let length: usize = length.map_or(Ok(0), str::parse).map_err(io::Error::other)?;
    let status = text.get(9..12).unwrap_or_default().parse().map_err(io::Error::other)?;
    Ok((answer.len() >= head + 4 + length).then_some(status))
}

impl Load {
    pub fn open(client: &Client, requests: Requests, status: u16) -> io::Result<Self> {
        let lines = (0..LINES).map(|_| Line::open(client)).collect::<io::Result<_>>()?;
        Ok(Self { lines, requests, status })
    }

    /// Keeps every connection busy for so long, and says how many requests were answered. None is under way afterwards.
    pub fn drive(&mut self, time: Duration) -> Result<usize, String> {
        self.until(|_, start| start.elapsed() >= time)
    }

    /// The same until each token was shown, and long enough that the proxy has compiled what it runs.
    pub fn warm(&mut self) -> Result<usize, String> {
        let tokens = self.requests.tokens.count();
        self.until(|answered, start| answered >= tokens && start.elapsed() >= WARM)
    }

    fn until(&mut self, done: impl Fn(usize, Instant) -> bool) -> Result<usize, String> {
        let start = Instant::now();
        let lines = self.lines.len();
        for line in 0..lines {
            self.ask(line)?;
        }
        let mut answered = 0;
        while !done(answered, start) {
            self.take(answered % lines)?;
            self.ask(answered % lines)?;
            answered += 1;
        }
        for rest in answered..answered + lines {
            self.take(rest % lines)?;
        }
        Ok(answered + lines)
    }

    /// One request at a time for so long; how long each took goes there, in nanoseconds.
    pub fn time(&mut self, time: Duration, latencies: &mut Vec<u32>) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < time {
            let asked = Instant::now();
            self.ask(0)?;
            self.take(0)?;
            latencies.push(u32::try_from(asked.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
        Ok(())
    }

    fn ask(&mut self, line: usize) -> Result<(), String> {
        self.lines[line].ask(self.requests.next()).map_err(|error| error.to_string())
    }

    fn take(&mut self, line: usize) -> Result<(), String> {
        match self.lines[line].answer().map_err(|error| error.to_string())? {
            status if status == self.status => Ok(()),
            status => Err(format!("it answered {status} where it must answer {}", self.status)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_its_length_is_there() {
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n").unwrap(), None);
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no").unwrap(), None);
        assert_eq!(whole(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap(), Some(200));
        assert_eq!(whole(b"HTTP/1.1 403 Forbidden\r\nserver: envoy\r\n\r\n").unwrap(), Some(403));
    }

    #[test]
    fn no_random_token_comes_twice() {
        let mut tokens = Tokens::random();
        let [mut one, mut other] = [Vec::new(), Vec::new()];
        tokens.write_next(&mut one);
        tokens.write_next(&mut other);
        assert_eq!((one.len(), other.len()), (64, 64));
        assert_ne!(one, other);
    }

    #[test]
    fn shuffled_tokens_come_once_each_before_any_comes_again() {
        let all = Arc::new((0..10).map(|number| number.to_string()).collect());
        let mut tokens = Tokens::shuffled(&all, 7);
        let mut shown = Vec::new();
        (0..7).for_each(|_| tokens.write_next(&mut shown));
        shown.sort_unstable();
        assert_eq!(shown, b"0123456");
    }

    #[test]
    fn tokens_come_in_their_order_and_again() {
        let mut requests = Requests::new("/x", Tokens::these(Arc::new(vec!["a".into(), "b".into()])));
        let shown = [(); 3].map(|()| requests.next().to_vec());
        assert!(shown[0].ends_with(b"Bearer a\r\n\r\n"));
        assert!(shown[1].ends_with(b"Bearer b\r\n\r\n"));
        assert_eq!(shown[2], shown[0]);
    }
}
