//! A scripted authorization server: keys and introspection answers as a test wants them, faults at will, and a count of all
//! that it was asked. Plain HTTP on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::server::{Reaction, Received, Server};

/// How it goes wrong; for one path or for all.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers late.
    Slow(Duration),
    /// Closes without a word.
    Close,
    /// Begins to answer and never ends.
    Trickle,
    /// The same as fast as it is read, up to 1 GiB.
    Flood,
    /// Answers this instead.
    Answer { status: u16, content_type: &'static str, body: Vec<u8> },
    /// Answers with octets that need not be HTTP, and closes.
    Octets(Vec<u8>),
}

pub struct AuthorizationServer {
    server: Server,
    script: Arc<Mutex<Script>>,
}

#[derive(Default)]
struct Script {
    keys: Vec<SigningKey>,
    tokens: HashMap<String, Value>,
    faults: HashMap<String, Fault>,
    asked: Vec<Received>,
}

impl AuthorizationServer {
    /// Serves `/jwks`, and introspection everywhere else.
    pub fn start(keys: &[&SigningKey]) -> Self {
        let script = Script { keys: keys.iter().map(|key| (*key).clone()).collect(), ..Script::default() };
        let script = Arc::new(Mutex::new(script));
        let play = Arc::clone(&script);
        Self { server: Server::start(move |request| react(&play, request)), script }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("the script")
    }

    /// Publishes these keys and no others.
    pub fn publish(&self, keys: &[&SigningKey]) {
        self.script().keys = keys.iter().map(|key| (*key).clone()).collect();
    }

    /// What introspection says of a token; of all others it says that they are not active.
    pub fn know(&self, token: &str, said: Value) {
        self.script().tokens.insert(token.to_owned(), said);
    }

    pub fn forget(&self, token: &str) {
        self.script().tokens.remove(token);
    }

    /// Goes wrong at this path until mended.
    pub fn fail(&self, path: &str, fault: Fault) {
        self.script().faults.insert(path.to_owned(), fault);
    }

    pub fn mend(&self) {
        self.script().faults.clear();
    }

    /// Everything that it was asked.
    pub fn asked(&self) -> Vec<Received> {
        self.script().asked.clone()
    }

    /// How often it was asked at this path.
    pub fn count(&self, path: &str) -> usize {
        self.script().asked.iter().filter(|asked| asked.path == path).count()
    }
}

fn react(script: &Mutex<Script>, request: Received) -> Reaction {
    let path = request.path.clone();
    let token =
        request.text().split('&').find_map(|pair| pair.strip_prefix("token=").map(str::to_owned)).unwrap_or_default();
    let (fault, answer) = {
        let mut script = script.lock().expect("the script");
        script.asked.push(request);
        let body = match path.as_str() {
            "/jwks" => json!({"keys": script.keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()}),
            _ => script.tokens.get(&token).cloned().unwrap_or_else(|| json!({"active": false})),
        };
        (script.faults.get(&path).cloned(), body)
    };
    let good =
        Reaction::Answer { status: 200, content_type: "application/json", body: answer.to_string().into_bytes() };
    match fault {
        None => good,
        Some(Fault::Slow(delay)) => {
            std::thread::sleep(delay);
            good
        }
        Some(Fault::Close) => Reaction::Close,
        Some(Fault::Trickle) => Reaction::Trickle,
        Some(Fault::Flood) => Reaction::Flood,
        Some(Fault::Octets(octets)) => Reaction::Octets(octets),
        Some(Fault::Answer { status, content_type, body }) => Reaction::Answer { status, content_type, body },
    }
}
