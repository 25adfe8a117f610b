//! Plays a scenario through the core as the host would, and asks the oracle about every permit.

use std::rc::Rc;

use holdfast::binding::replay::Unshared;
use holdfast::callout::{Answer, Callout, CalloutId, Question};
use holdfast::config;
use holdfast::facts::peer::Peer;
use holdfast::facts::{Request, write_pairs};
use holdfast::flow::{Decision, Enforcer, Log, Permit, Settled, Step, Suspended};
use holdfast::jose::verifier::InRust;
use holdfast::time::UnixTime;

use super::oracle::{History, Journey};
use super::pool::{CERTIFICATES, NOW};
use super::scenario::{Asked, Event, Said, Scenario, Shown};
use super::setting::BANK;

struct Stage {
    enforcer: Enforcer,
    now: u64,
    history: History,
    /// Those who wait, each for the question beside it.
    waiting: Vec<(CalloutId, Suspended, Journey)>,
    /// Questions under way, in the order in which they were asked.
    asked: Vec<CalloutId>,
    answered: Vec<CalloutId>,
    bank_keys: Vec<usize>,
    last: Option<Asked>,
    ends: Vec<String>,
}

/// How every journey ended, or what was permitted without its proofs; none where the configuration is refused.
pub fn play(scenario: &Scenario) -> Result<Option<Vec<String>>, String> {
    let document = scenario.setting.document().to_string();
    let Ok(compiled) = config::load(document.as_bytes(), &|_| Some("s3cr3t".to_owned())) else { return Ok(None) };
    let mut enforcer = Enforcer::new(compiled.settings, Rc::new(InRust), Rc::new(Unshared));
    enforcer.log(Log { permits: true, denials: true });
    let mut stage = Stage {
        enforcer,
        now: *NOW,
        history: History::new(scenario.setting.clone()),
        waiting: vec![],
        asked: vec![],
        answered: vec![],
        bank_keys: vec![0, 1],
        last: None,
        ends: vec![],
    };
    for event in &scenario.events {
        stage.play(event)?;
    }
    stage.end()?;
    Ok(Some(stage.ends))
}

impl Stage {
    fn time(&self) -> UnixTime {
        UnixTime::new(self.now)
    }

    fn play(&mut self, event: &Event) -> Result<(), String> {
        match event {
            Event::Request(asked) => self.begin(asked),
            Event::Exchange(asked, said) => {
                self.last = Some(asked.clone());
                self.exchange(asked, said)
            }
            Event::Repeat(step, said) => {
                self.now = self.now.saturating_add_signed(*step);
                match self.last.clone() {
                    Some(asked) => self.exchange(&asked, said),
                    None => Ok(()),
                }
            }
            Event::Answer(at, said) if !self.asked.is_empty() => {
                let id = self.asked.remove(at.index(self.asked.len()));
                self.answer(&id, said)
            }
            Event::Again(at, said) if !self.answered.is_empty() => {
                let id = self.answered[at.index(self.answered.len())].clone();
                self.answer(&id, said)
            }
            Event::Crowded(at) if !self.waiting.is_empty() => {
                let (_, waiting, journey) = self.waiting.remove(at.index(self.waiting.len()));
                let step = self.enforcer.resume(waiting, &Settled::Crowded, self.time());
                self.step(step, journey)
            }
            Event::Gone(at) if !self.waiting.is_empty() => {
                drop(self.waiting.remove(at.index(self.waiting.len())));
                Ok(())
            }
            Event::Answer(..) | Event::Again(..) | Event::Crowded(_) | Event::Gone(_) => Ok(()),
            Event::Tick => {
                let due = self.enforcer.due(self.time());
                due.into_iter().for_each(|callout| self.ask(callout));
                Ok(())
            }
            Event::Clock(step) => {
                self.now = self.now.saturating_add_signed(*step);
                Ok(())
            }
            Event::Rotate => {
                self.bank_keys = if self.bank_keys == [0, 1] { vec![2] } else { vec![0, 1] };
                Ok(())
            }
        }
    }

    fn begin(&mut self, asked: &Asked) -> Result<(), String> {
        let journey = self.history.begin(asked);
        let step = self.enforcer.begin(request(asked), self.time());
        self.step(step, journey)
    }

    /// Answers what this request asks, and whatever else waits for the same.
    fn exchange(&mut self, asked: &Asked, said: &[Said]) -> Result<(), String> {
        let before = self.waiting.len();
        self.begin(asked)?;
        let mut said = said.iter();
        while self.waiting.len() > before {
            let id = self.waiting.last().expect("one that waits").0.clone();
            self.asked.retain(|other| *other != id);
            self.answer(&id, said.next().unwrap_or(&Said::Good))?;
        }
        Ok(())
    }

    fn ask(&mut self, callout: Callout) {
        if !self.asked.contains(&callout.id) {
            self.asked.push(callout.id);
        }
    }

    fn step(&mut self, step: Step, journey: Journey) -> Result<(), String> {
        match step {
            Step::Done(decision) => self.done(decision, &journey),
            Step::Ask(callout, waiting) => {
                self.waiting.push((callout.id.clone(), waiting, journey));
                self.ask(callout);
                Ok(())
            }
        }
    }

    fn answer(&mut self, id: &CalloutId, said: &Said) -> Result<(), String> {
        let issuer = id.service.issuer.0;
        let of_other = [3];
        let keys = if issuer == BANK { self.bank_keys.as_slice() } else { &of_other };
        let (answer, plain) = said.answer(id.service.question, keys);
        let told = self.history.answered(id, &answer, plain, self.now);
        let settled = self.enforcer.settle(id, answer, self.time());
        self.answered.push(id.clone());
        let (waited, others) = std::mem::take(&mut self.waiting).into_iter().partition(|(other, ..)| other == id);
        self.waiting = others;
        let waited: Vec<(CalloutId, Suspended, Journey)> = waited;
        for (_, waiting, mut journey) in waited {
            journey.told.push(told);
            if journey.told.len() > 3 {
                return Err("it asked a fourth time".to_owned());
            }
            let step = self.enforcer.resume(waiting, &settled, self.time());
            self.step(step, journey)?;
        }
        Ok(())
    }

    /// Nobody waits for ever: what is still under way fails.
    fn end(&mut self) -> Result<(), String> {
        while let Some((id, ..)) = self.waiting.first() {
            let id = id.clone();
            self.asked.retain(|other| *other != id);
            self.answer(&id, &Said::None(holdfast::callout::NoAnswer::Reset))?;
        }
        Ok(())
    }

    fn done(&mut self, decision: Decision, journey: &Journey) -> Result<(), String> {
        let (end, report) = match decision {
            Ok(permit) => {
                let (Permit::Public(told) | Permit::Granted(told)) = &permit;
                let name = told.report.facts().find(|(name, _)| *name == "holdfast.route").map(|(_, value)| value);
                let public = matches!(permit, Permit::Public(_));
                let end = self.history.judge(journey, public, name, self.now)?;
                (end, told.report.line.clone().ok_or("no line")?)
            }
            Err(refusal) => {
                if ![400, 401, 403, 503].contains(&refusal.reply.status) {
                    return Err(format!("an answer of {}", refusal.reply.status));
                }
                for (name, value) in &refusal.reply.headers {
                    if !value.bytes().all(|octet| (b' '..=b'~').contains(&octet)) {
                        return Err(format!("{name} is {value:?}"));
                    }
                }
                (refusal.report.reason.to_owned(), refusal.report.line.ok_or("no line")?)
            }
        };
        match &journey.token {
            Some(token) if token.len() >= 8 && report.contains(token.as_str()) => Err(format!("told: {report}")),
            _ => {
                self.ends.push(end);
                Ok(())
            }
        }
    }
}

fn request(asked: &Asked) -> Request {
    let mut fields: Vec<(&str, &[u8])> = vec![
        (":method", asked.method.as_bytes()),
        (":path", asked.path.as_bytes()),
        (":authority", asked.host.as_bytes()),
    ];
    fields.extend(asked.credentials.iter().map(|value| ("authorization", value.as_slice())));
    if let Some(method) = asked.preflight {
        fields.extend([
            ("origin", b"https://shop.example".as_slice()),
            ("access-control-request-method", method.as_bytes()),
        ]);
    }
    Request::from_pairs(write_pairs(&fields), peer(asked.peer)).expect("pairs")
}

fn peer(shown: Shown) -> Peer {
    let told = |id: usize, leaf: Option<&[u8]>| Peer::Certificate {
        digest: CERTIFICATES[id].digest,
        leaf: leaf.map(<[u8]>::to_vec),
    };
    match shown {
        Shown::Plaintext => Peer::Plaintext,
        Shown::Anonymous => Peer::Anonymous,
        Shown::Whole(id) => told(id, Some(&CERTIFICATES[id].pem)),
        Shown::DigestOnly(id) => told(id, None),
        Shown::Mixed(id, other) => told(id, Some(&CERTIFICATES[other].pem)),
        Shown::Broken(id) => told(id, Some(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----")),
    }
}

/// Whether an answer says that the server is away.
pub fn is_away(answer: &Answer) -> bool {
    use holdfast::callout::NoAnswer;
    match answer {
        Answer::None(why) => matches!(why, NoAnswer::NotSent | NoAnswer::Reset),
        Answer::Response(response) => response.status >= 500,
    }
}

/// Whether a question is about a token.
pub fn is_of_token(id: &CalloutId) -> bool {
    id.service.question == Question::Introspection
}
