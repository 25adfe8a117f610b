//! The service that an Envoy with ext_authz asks: the same decision, from tokens that it has verified before. A thread a
//! connection, a look-up a request; nobody writes a cheaper one.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use crate::usage::Cpu;

pub struct Authorizer {
    pub address: SocketAddr,
    threads: Arc<Mutex<Vec<PathBuf>>>,
}

/// The certificate that each token is bound to, by its digest in hex; all grant the same.
pub type Bindings = HashMap<Vec<u8>, Vec<u8>>;

/// The field in which Envoy tells the digest of the certificate.
pub const DIGEST: &str = "x-certificate-sha256";

impl Authorizer {
    pub fn start(bindings: Bindings) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port on loopback");
        let address = listener.local_addr().expect("the port");
        let (bindings, threads) = (Arc::new(bindings), Arc::default());
        let all = Arc::clone(&threads);
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (bindings, threads) = (Arc::clone(&bindings), Arc::clone(&all));
                std::thread::spawn(move || serve(stream, &bindings, &threads));
            }
        });
        Self { address, threads }
    }

    /// What its threads have used.
    pub fn cpu(&self) -> Cpu {
        let threads = self.threads.lock().expect("the threads");
        threads.iter().map(|thread| Cpu::of_thread(thread)).fold(Cpu::default(), |sum, cpu| sum + cpu)
    }
}

/// An end of the connection is an end of its thread, whatever ended it.
fn serve(mut stream: TcpStream, bindings: &Bindings, threads: &Mutex<Vec<PathBuf>>) {
    if let Ok(own) = fs::read_link("/proc/thread-self") {
        threads.lock().expect("the threads").push(PathBuf::from("/proc").join(own));
    }
    let _ = stream.set_nodelay(true);
    while answer(&mut stream, bindings).is_ok() {}
}

fn answer(stream: &mut TcpStream, bindings: &Bindings) -> io::Result<()> {
    let (mut head, mut length) = ([0; 8192], 0);
    while !head[..length].ends_with(b"\r\n\r\n") {
        match stream.read(&mut head[length..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            size => length += size,
        }
    }
    let answer: &[u8] = if permits(&head[..length], bindings) {
        b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    } else {
        b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"
    };
    stream.write_all(answer)
}

/// The token is known, and bound to this certificate; method and path are those that every such token grants.
fn permits(head: &[u8], bindings: &Bindings) -> bool {
    let value = |name: &[u8]| {
        let mut lines = head.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end);
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(b": "))
    };
    let bound_to = value(b"authorization").and_then(|field| bindings.get(field.strip_prefix(b"Bearer ")?));
    let target = head.split(|octet| *octet == b'\r').next().and_then(|line| line.strip_prefix(b"GET /accounts/"));
    let account = target.and_then(|target| target.strip_suffix(b"/balance HTTP/1.1"));
    account.is_some_and(|account| !account.contains(&b'/'))
        && bound_to.is_some()
        && bound_to.map(Vec::as_slice) == value(DIGEST.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_known_token_of_this_certificate_on_its_path_passes() {
        let bindings = Bindings::from([(b"t".to_vec(), b"ab".to_vec())]);
        for (head, passes) in [
            ("GET /accounts/1/balance HTTP/1.1\r\nauthorization: Bearer t\r\nx-certificate-sha256: ab\r\n\r\n", true),
            ("GET /accounts/1/balance HTTP/1.1\r\nauthorization: Bearer t\r\nx-certificate-sha256: cd\r\n\r\n", false),
            ("GET /accounts/1/balance HTTP/1.1\r\nauthorization: Bearer t\r\n\r\n", false),
            ("GET /accounts/1/balance HTTP/1.1\r\nauthorization: Bearer u\r\nx-certificate-sha256: ab\r\n\r\n", false),
            ("GET /accounts/1/balance HTTP/1.1\r\nx-certificate-sha256: ab\r\n\r\n", false),
            ("GET /accounts/1/balance HTTP/1.1\r\n\r\n", false),
            ("GET /accounts/1 HTTP/1.1\r\nauthorization: Bearer t\r\nx-certificate-sha256: ab\r\n\r\n", false),
            ("GET /admin HTTP/1.1\r\nauthorization: Bearer t\r\nx-certificate-sha256: ab\r\n\r\n", false),
            ("POST /accounts/1/balance HTTP/1.1\r\nauthorization: Bearer t\r\nx-certificate-sha256: ab\r\n\r\n", false),
        ] {
            assert_eq!(permits(head.as_bytes(), &bindings), passes, "{head}");
        }
    }
}
