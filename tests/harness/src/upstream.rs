//! The service behind the proxy: it answers 200, or what comes over a WebSocket with the same, and records what reaches it.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::server::{Reaction, Received, Server};

pub struct Upstream {
    server: Server,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Upstream {
    pub fn start() -> Self {
        Self::reacting(|request| {
            if request.values("upgrade") == ["websocket"] {
                return Reaction::Echo;
            }
            Reaction::Answer { status: 200, content_type: "text/plain", body: b"reached the service\n".to_vec() }
        })
    }

    /// One that answers every request with these octets.
    pub fn answering(octets: &str) -> Self {
        let octets = octets.as_bytes().to_vec();
        Self::reacting(move |_| Reaction::Octets(octets.clone()))
    }

    fn reacting(react: impl Fn(&Received) -> Reaction + Send + Sync + 'static) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&received);
        let server = Server::start(move |request| {
            let reaction = react(&request);
            record.lock().expect("the record").push(request);
            reaction
        });
        Self { server, received }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// What has reached it, in order.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().expect("the record").clone()
    }

    /// The same, and forgets it.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut self.received.lock().expect("the record"))
    }
}
