//! Families of bad input with the verdict that each must get: nothing of it reaches the service, the filter lives on, and a good
//! twin stands beside it. The identifiers are those of the project's list of bad inputs.

mod cnf;
mod intro;
mod jwt;

use harness::{Request, top};

use super::stage::{Stage, api};

/// A request of a family, and the statuses it may get.
struct Case {
    id: &'static str,
    name: String,
    request: Request,
    statuses: &'static [u16],
}

fn case(id: &'static str, name: impl Into<String>, token: &str) -> Case {
    Case { id, name: name.into(), request: api(token), statuses: &[401] }
}

/// Sends every case as the bank, and a good request behind each family.
fn run(stage: &Stage, cases: Vec<Case>) {
    stage.upstream.take();
    let mut last = "";
    for case in cases {
        if case.id != last {
            stage.assert_alive();
            last = case.id;
        }
        let answer = stage.as_bank(&case.request);
        assert!(
            case.statuses.contains(&answer.status),
            "{} {}: {} {:?}",
            case.id,
            case.name,
            answer.status,
            reason(stage)
        );
        assert_eq!(stage.reached(), 0, "{} {} reached the service", case.id, case.name);
    }
    stage.assert_alive();
    assert!(!stage.envoy.log().contains("panicked"));
}

fn reason(stage: &Stage) -> Option<String> {
    stage.envoy.access_log().last().cloned()
}

/// Rows that other tests hold, or that wait for their part.
const ELSEWHERE: [(&str, &str); 26] = [
    ("JWT-13", "signatures_and_keys, as the good twin"),
    ("JWT-23", "a_flood_of_unknown_kids_is_no_flood_of_questions"),
    ("JWT-46", "octets_of_the_token, as the good twin"),
    ("JWT-59", "journeys: servers::a_key_that_is_rolled_in…, whose clock a test can move"),
    ("CNF-09", "every_bit_of_the_digest_counts"),
    ("CNF-12", "hostile_certificates_name_nobody"),
    ("CNF-18", "waits: revocation by introspection"),
    ("CNF-19", "waits: revocation by introspection"),
    ("CNF-23", "certificates"),
    ("CNF-25", "waits: TLS renegotiation and coalescing are Envoy's own"),
    ("CNF-26", "answers::a_token_over_plaintext…, certificates::a_listener_that_asks_for_no_certificate…"),
    ("CNF-27", "hostile_certificates_name_nobody"),
    ("CNF-28", "facts::peer: only_the_hosts_own_form_is_a_digest; no Envoy says anything else"),
    ("INTRO-06", "faults::our_own_credentials_refused…"),
    ("INTRO-11", "what_is_remembered_of_one_token…"),
    ("INTRO-12", "what_is_remembered_of_one_token…"),
    ("INTRO-13", "what_is_remembered_of_one_token…"),
    ("INTRO-15", "keys::a_revoked_opaque_token…"),
    ("INTRO-17", "what_is_remembered_of_one_token…"),
    ("INTRO-18", "what_is_remembered_of_one_token…"),
    ("INTRO-19", "answers::a_refusal_is_one_structured_line…"),
    ("INTRO-23", "signatures_and_keys"),
    ("INTRO-24", "keys::keys_that_are_rotated…"),
    ("INTRO-25", "faults::without_keys_at_the_start…"),
    ("INTRO-28", "faults::a_server_of_another_name…"),
    ("INTRO-31", "faults::a_cluster_that_is_not_there…"),
];

/// Every family of tokens, bindings and introspection.
const FAMILIES: [&str; 76] = [
    "JWT-01", "JWT-03", "JWT-05", "JWT-06", "JWT-07", "JWT-11", "JWT-12", "JWT-13", "JWT-14", "JWT-15", "JWT-17",
    "JWT-18", "JWT-20", "JWT-21", "JWT-23", "JWT-24", "JWT-26", "JWT-28", "JWT-30", "JWT-31", "JWT-32", "JWT-33",
    "JWT-35", "JWT-36", "JWT-37", "JWT-38", "JWT-39", "JWT-40", "JWT-42", "JWT-44", "JWT-45", "JWT-46", "JWT-47",
    "JWT-49", "JWT-50", "JWT-51", "JWT-52", "JWT-53", "JWT-55", "JWT-57", "JWT-58", "JWT-59", "CNF-01", "CNF-03",
    "CNF-07", "CNF-09", "CNF-12", "CNF-15", "CNF-16", "CNF-17", "CNF-18", "CNF-19", "CNF-22", "CNF-23", "CNF-25",
    "CNF-26", "CNF-27", "CNF-28", "INTRO-01", "INTRO-02", "INTRO-03", "INTRO-04", "INTRO-06", "INTRO-07", "INTRO-11",
    "INTRO-12", "INTRO-13", "INTRO-15", "INTRO-17", "INTRO-18", "INTRO-19", "INTRO-23", "INTRO-24", "INTRO-25",
    "INTRO-28", "INTRO-31",
];

#[test]
fn every_family_is_held_by_some_test() {
    let here =
        [include_str!("mod.rs"), include_str!("jwt.rs"), include_str!("cnf.rs"), include_str!("intro.rs")].concat();
    for id in FAMILIES {
        // Once in the list itself, and once in a case.
        let held = here.matches(&format!("\"{id}\"")).count() > 1;
        assert!(held, "{id} is held by no test");
    }
    for (id, place) in ELSEWHERE {
        assert!(FAMILIES.contains(&id) && !place.is_empty(), "{id} is of no family");
    }
    let Ok(list) = std::fs::read_to_string(top().join("../shared/bad-inputs.csv")) else {
        println!("skipped: the list of bad inputs is not beside this checkout");
        return;
    };
    let is_family = |id: &str| ["JWT-", "CNF-", "INTRO-"].iter().any(|prefix| id.starts_with(prefix));
    let listed: Vec<&str> = list.lines().filter_map(|line| line.split(',').next()).filter(|id| is_family(id)).collect();
    assert_eq!(listed, FAMILIES);
}
