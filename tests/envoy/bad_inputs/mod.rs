//! Bad input of eight families with the verdict that each must get: its status and its reason, nothing of it at the service, and
//! its good twin passing beside it. The identifiers are those of the project's list of bad inputs.

mod cnf;
mod dpop;
mod hdr;
mod http;
mod intro;
mod jwt;
mod rows;
mod wasm;
mod xfcc;

use harness::{Client, Request, Response};
use serde_json::{Map, Value};

use super::stage::{Stage, api};

/// One request of a family, and what must become of it.
struct Case {
    id: &'static str,
    name: String,
    request: Request,
    sender: Sender,
    fate: Fate,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sender {
    Bank,
    Thief,
    Nobody,
    /// A proxy before this one.
    Relay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// The filter refuses it with this status for this reason.
    Refused(u16, &'static str),
    /// Envoy refuses it with this status before the filter sees it.
    Stopped(u16),
    /// It is the good twin, and reaches the service.
    Passes,
}

/// What has become of it, by the answer and the line in the access log.
type Seen = (u16, String, usize);

fn bad(id: &'static str, name: impl Into<String>, request: Request, status: u16, reason: &'static str) -> Case {
    Case { id, name: name.into(), request, sender: Sender::Bank, fate: Fate::Refused(status, reason) }
}

/// A token that is refused with 401.
fn bad_token(id: &'static str, name: impl Into<String>, token: &str, reason: &'static str) -> Case {
    bad(id, name, api(token), 401, reason)
}

fn good(id: &'static str, name: impl Into<String>, request: Request) -> Case {
    Case { id, name: name.into(), request, sender: Sender::Bank, fate: Fate::Passes }
}

impl Case {
    fn by(self, sender: Sender) -> Self {
        Self { sender, ..self }
    }

    fn stopped(self, status: u16) -> Self {
        Self { fate: Fate::Stopped(status), ..self }
    }

    /// The decision of a good one, the reason of a bad one.
    fn told_by(&self, line: &str) -> String {
        let word = if self.fate == Fate::Passes { 2 } else { 3 };
        line.split(' ').nth(word).unwrap_or_default().to_owned()
    }

    fn expected(&self) -> Seen {
        match self.fate {
            Fate::Refused(status, reason) => (status, reason.to_owned(), 0),
            Fate::Stopped(status) => (status, "-".to_owned(), 0),
            Fate::Passes => (200, "permit".to_owned(), 1),
        }
    }
}

/// Sends every case, one after the other, with a good request of the bank behind each family.
fn run(stage: &Stage, cases: Vec<Case>) {
    run_behind(stage, stage.envoy.anonymous(), cases);
}

/// The same, where some come through a relay.
fn run_behind(stage: &Stage, relay: Client, cases: Vec<Case>) {
    let mut all: Vec<Case> = Vec::new();
    for case in cases {
        match all.last() {
            Some(last) if last.id != case.id => all.push(good(last.id, "the next good request", api(&stage.token()))),
            _ => {}
        }
        all.push(case);
    }
    let last = all.last().expect("a case").id;
    all.push(good(last, "the next good request", api(&stage.token())));
    let clients = [stage.envoy.client(&stage.bank), stage.envoy.client(&stage.thief), stage.envoy.anonymous(), relay];
    let before = stage.envoy.settled_access_log().len();
    stage.upstream.take();
    let mut seen: Vec<(u16, usize)> = Vec::new();
    for case in &all {
        let answer = clients[case.sender as usize].try_send(&case.request);
        let answer = answer.unwrap_or_else(|error| panic!("{} {} is not answered: {error}", case.id, case.name));
        seen.push((answer.status, stage.reached()));
    }
    let lines = stage.envoy.settled_access_log();
    assert_eq!(lines.len() - before, all.len(), "a line a request");
    let wrong: Vec<String> = all
        .iter()
        .zip(seen)
        .zip(&lines[before..])
        .map(|((case, (status, reached)), line)| (case, (status, case.told_by(line), reached)))
        .filter(|(case, seen)| *seen != case.expected())
        .map(|(case, seen)| format!("{} {}: {seen:?}, not {:?}", case.id, case.name, case.expected()))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
    assert_eq!(stage.reached(), 0, "nothing comes late");
    assert!(!stage.envoy.log().contains("panicked"));
}

fn reason_of(line: &str) -> String {
    line.split(' ').nth(3).unwrap_or_default().to_owned()
}

/// Sends octets that need not be a request, as the bank; the answer, where there is one.
fn send_raw(stage: &Stage, octets: &[u8]) -> Option<Response> {
    let mut connection = stage.envoy.client(&stage.bank).open().expect("a connection");
    connection.write(octets).ok()?;
    connection.read().ok()
}

/// A map as the settings that it holds.
fn members(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("not a map: {value}") };
    members
}
