//! A scripted authorization server: keys and introspection answers as a test wants them, faults at will, and a count of all
//! that it was asked. Plain HTTP on loopback.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use serde_json::{Value, json};

use crate::keys::SigningKey;
use crate::server::{Reaction, Received, Server};
use crate::wait_until;

/// How it goes wrong; for one path or for all.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Answers late.
    Slow(Duration),
    /// Says nothing until it is mended, or goes wrong in another way, and does that then.
    Held,
    /// Closes without a word.
    Close,
    /// Tears the connection down.
    Reset,
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
    /// Questions about tokens that are not answered yet, and the most that ever were.
    open: usize,
    most: usize,
}

impl Script {
    fn of(keys: &[&SigningKey]) -> Arc<Mutex<Self>> {
        let keys = keys.iter().map(|key| (*key).clone()).collect();
        Arc::new(Mutex::new(Self { keys, ..Self::default() }))
    }
}

impl AuthorizationServer {
    /// Serves its keys at `/jwks` and at all that begins so, and introspection everywhere else.
    pub fn start(keys: &[&SigningKey]) -> Self {
        let script = Script::of(keys);
        let play = Arc::clone(&script);
        Self { server: Server::start(move |request| react(&play, request)), script }
    }

    /// Starts anew where one has stopped, and knows nothing but these keys.
    pub fn start_at(address: SocketAddr, keys: &[&SigningKey]) -> Self {
        let script = Script::of(keys);
        let play = Arc::clone(&script);
        Self { server: Server::start_at(address, move |request| react(&play, request)), script }
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

    /// How many questions about tokens it had to answer at a time, at the most.
    pub fn most_at_once(&self) -> usize {
        self.script().most
    }

    /// How often it was asked at this path.
    pub fn count(&self, path: &str) -> usize {
        self.script().asked.iter().filter(|asked| asked.path == path).count()
    }
}

fn react(script: &Mutex<Script>, request: Received) -> Reaction {
    if request.path.starts_with("/jwks") {
        return answer(script, request);
    }
    let opened = |by: isize| {
        let mut script = script.lock().expect("the script");
        script.open = script.open.saturating_add_signed(by);
        script.most = script.most.max(script.open);
    };
    opened(1);
    let reaction = answer(script, request);
    opened(-1);
    reaction
}

fn answer(script: &Mutex<Script>, request: Received) -> Reaction {
    let path = request.path.clone();
    let token =
        request.text().split('&').find_map(|pair| pair.strip_prefix("token=").map(str::to_owned)).unwrap_or_default();
    let (fault, answer) = {
        let mut script = script.lock().expect("the script");
        script.asked.push(request);
        let body = match path.as_str() {
            path if path.starts_with("/jwks") => {
                json!({"keys": script.keys.iter().map(SigningKey::jwk).collect::<Vec<_>>()})
            }
            _ => script.tokens.get(&token).cloned().unwrap_or_else(|| json!({"active": false})),
        };
        (script.faults.get(&path).cloned(), body)
    };
    let fault = if matches!(fault, Some(Fault::Held)) { after_held(script, &path) } else { fault };
    let good =
        Reaction::Answer { status: 200, content_type: "application/json", body: answer.to_string().into_bytes() };
    match fault {
        None | Some(Fault::Held) => good,
        Some(Fault::Slow(delay)) => {
            std::thread::sleep(delay);
            good
        }
        Some(Fault::Close) => Reaction::Close,
        Some(Fault::Reset) => Reaction::Reset,
        Some(Fault::Trickle) => Reaction::Trickle,
        Some(Fault::Flood) => Reaction::Flood,
        Some(Fault::Octets(octets)) => Reaction::Octets(octets),
        Some(Fault::Answer { status, content_type, body }) => Reaction::Answer { status, content_type, body },
    }
}

/// Waits until that is over, and says what the fault is then.
fn after_held(script: &Mutex<Script>, path: &str) -> Option<Fault> {
    let fault = || script.lock().expect("the script").faults.get(path).cloned();
    wait_until(Duration::from_secs(30), || !matches!(fault(), Some(Fault::Held)));
    fault()
}
