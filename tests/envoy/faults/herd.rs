//! A thousand requests at once for what is not known yet: one question, and everybody gets the own answer.

use std::sync::Barrier;
use std::time::{Duration, Instant};

use harness::{Certificate, Clock, Fault, Leaf, Request, wait_until};
use serde_json::{Value, json};

use crate::stage::{Stage, api, claims, document};

const CALLERS: usize = 8;
const EACH: usize = 125;

/// What is asked is answered late, when all of them wait.
fn patient() -> Value {
    let mut document = document();
    for endpoint in ["jwks", "introspection"] {
        document["issuers"][0][endpoint]["timeout"] = json!("10s");
    }
    document["issuers"][0]["jwks"]["refresh"] = json!("1m");
    document["issuers"][0]["jwks"]["max_stale"] = json!("1m");
    document
}

fn callers(stage: &Stage) -> Vec<Certificate> {
    (0..CALLERS).map(|number| stage.envoy.authority().issue(Leaf::client(&format!("caller {number}")))).collect()
}

/// Sends each caller's request 125 times at once, on connections that stand already, and lets `answer` happen when all of
/// them wait. What each caller got.
fn herd(stage: &Stage, requests: &[(&Certificate, Request)], answer: impl FnOnce()) -> Vec<Vec<u16>> {
    let count = requests.len() * EACH;
    let ready = Barrier::new(count + 1);
    std::thread::scope(|scope| {
        let mut senders = Vec::new();
        for (caller, request) in requests {
            let client = stage.envoy.client(caller);
            let of_caller: Vec<_> = (0..EACH)
                .map(|_| {
                    let (client, ready) = (client.clone(), &ready);
                    scope.spawn(move || {
                        let mut connection = client.open().expect("a connection");
                        // Whether it was greeted or not: the others wait here.
                        let greeted = connection.send(&Request::get("/healthz"));
                        ready.wait();
                        assert_eq!(greeted.expect("an answer").status, 200);
                        connection.send(request).map_or(0, |answer| answer.status)
                    })
                })
                .collect();
            senders.push(of_caller);
        }
        ready.wait();
        let started = Instant::now();
        let active = || stage.envoy.stat("http.test.downstream_rq_active");
        let all_wait = wait_until(Duration::from_secs(20), || active() >= count as u64);
        let (waiting, gathered) = (active(), started.elapsed());
        answer();
        assert!(all_wait, "{waiting} of {count} wait");
        let answers = senders
            .into_iter()
            .map(|of_caller| of_caller.into_iter().map(|sender| sender.join().expect("an answer")).collect())
            .collect();
        println!("herd: {count} waited after {gathered:.2?}, all answered after {:.2?}", started.elapsed());
        answers
    })
}

#[test]
fn a_thousand_requests_without_keys_make_one_fetch_and_none_passes_with_the_token_of_another() {
    let clock = Clock::new();
    let stage = Stage::with(&patient(), |options| options.clock(&clock)).warm();
    let callers = callers(&stage);
    // The keys that were fetched at the start are too old to be believed.
    clock.set(120);
    let tokens: Vec<String> = callers
        .iter()
        .map(|caller| {
            let mut claims = claims(caller);
            claims["exp"] = json!(clock.now() + 300);
            stage.key.mint(json!({}), &claims)
        })
        .collect();
    // Every second caller has stolen the token of the one before.
    let requests: Vec<_> = callers.iter().enumerate().map(|(at, caller)| (caller, api(&tokens[at / 2 * 2]))).collect();
    stage.server.fail("/jwks", Fault::Held);
    stage.reached();
    let before = stage.envoy.memory();
    let answers = herd(&stage, &requests, || stage.server.mend());
    for (at, of_caller) in answers.iter().enumerate() {
        assert_eq!(*of_caller, [if at % 2 == 0 { 200 } else { 401 }; EACH], "caller {at}");
    }
    assert_eq!(stage.server.count("/jwks"), 2 + 1, "one at the start on each thread, and one for all of them");
    let reached = stage.upstream.take().into_iter().filter(|received| received.path == "/api/x").count();
    assert_eq!(reached, CALLERS / 2 * EACH);
    println!("herd: Envoy has {} KiB, {before} KiB before", stage.envoy.memory());
}

#[test]
fn a_thousand_requests_with_one_opaque_token_make_one_introspection_and_only_its_holder_passes() {
    let stage = Stage::set(&patient()).warm();
    let callers = callers(&stage);
    let mut said = claims(&callers[3]);
    said["active"] = json!(true);
    said["token_type"] = json!("Bearer");
    stage.server.know("opaque", said);
    stage.server.fail("/introspect", Fault::Held);
    let requests: Vec<_> = callers.iter().map(|caller| (caller, api("opaque"))).collect();
    let answers = herd(&stage, &requests, || stage.server.mend());
    for (at, of_caller) in answers.iter().enumerate() {
        assert_eq!(*of_caller, [if at == 3 { 200 } else { 401 }; EACH], "caller {at}");
    }
    assert_eq!(stage.server.count("/introspect"), 1);
    let reached = stage.upstream.take().into_iter().filter(|received| received.path == "/api/x").count();
    assert_eq!(reached, EACH);
}

#[test]
fn a_thousand_requests_whose_question_is_not_answered_are_refused_and_the_module_goes_on() {
    let stage = Stage::set(&patient()).warm();
    let callers = callers(&stage);
    stage.server.fail("/introspect", Fault::Held);
    let requests: Vec<_> = callers.iter().map(|caller| (caller, api("opaque"))).collect();
    let answers = herd(&stage, &requests, || stage.server.fail("/introspect", Fault::Close));
    assert_eq!(answers, [[503; EACH]; CALLERS]);
    assert_eq!(stage.reason(2 * CALLERS * EACH), "server.introspection");
    assert_eq!(stage.envoy.stats("vm_reload_success").values().sum::<u64>(), 0, "{}", stage.envoy.log());
    stage.reached();
    stage.assert_alive();
    assert_eq!(stage.server.count("/jwks"), 2, "and knows the keys still");
}
