//! Which test holds which row of the list of bad inputs; held against the list where that is there.

use harness::top;

/// By family, the tests that hold each row: a file and a function of this suite, or of the core where Envoy can't do wrong so.
const ROWS: [(&str, &str); 153] = [
    ("JWT-01", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-03", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-05", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-06", "bad_inputs/jwt.rs signatures_and_keys"),
    ("JWT-07", "bad_inputs/jwt.rs signatures_and_keys"),
    ("JWT-11", "bad_inputs/jwt.rs ecdsa"),
    ("JWT-12", "bad_inputs/jwt.rs ecdsa"),
    ("JWT-13", "bad_inputs/jwt.rs ecdsa"),
    ("JWT-14", "bad_inputs/jwt.rs signatures_and_keys"),
    ("JWT-15", "bad_inputs/jwt.rs eddsa"),
    ("JWT-17", "bad_inputs/jwt.rs pss"),
    ("JWT-18", "bad_inputs/jwt.rs signatures_and_keys"),
    ("JWT-20", "bad_inputs/jwt.rs signatures_and_keys"),
    ("JWT-21", "bad_inputs/jwt.rs signatures_and_keys"),
    ("JWT-23", "bad_inputs/jwt.rs a_flood_of_unknown_kids_is_no_flood_of_questions"),
    ("JWT-24", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-26", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-28", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-30", "bad_inputs/jwt.rs other_kinds_of_token"),
    ("JWT-31", "bad_inputs/jwt.rs other_kinds_of_token"),
    ("JWT-32", "bad_inputs/jwt.rs other_kinds_of_token"),
    ("JWT-33", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-35", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-36", "bad_inputs/jwt.rs octets_of_the_token"),
    ("JWT-37", "bad_inputs/jwt.rs octets_of_the_token"),
    ("JWT-38", "bad_inputs/jwt.rs stray_bits"),
    ("JWT-39", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-40", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-42", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-44", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-45", "bad_inputs/jwt.rs claims_of_the_token"),
    ("JWT-46", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-47", "bad_inputs/jwt.rs claims_of_the_token"),
    ("JWT-49", "bad_inputs/jwt.rs times_are_judged_to_the_second"),
    ("JWT-50", "bad_inputs/jwt.rs claims_of_the_token"),
    ("JWT-51", "bad_inputs/jwt.rs claims_of_the_token"),
    ("JWT-52", "bad_inputs/jwt.rs claims_of_the_token"),
    ("JWT-53", "bad_inputs/jwt.rs headers_and_algorithms"),
    ("JWT-55", "bad_inputs/jwt.rs claims_of_the_token"),
    ("JWT-57", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-58", "bad_inputs/jwt.rs json_of_the_token"),
    ("JWT-59", "bad_inputs/jwt.rs a_key_that_is_taken_out_takes_its_tokens_with_it"),
    ("CNF-01", "bad_inputs/cnf.rs confirmations"),
    ("CNF-03", "bad_inputs/cnf.rs confirmations"),
    ("CNF-07", "bad_inputs/cnf.rs confirmations"),
    ("CNF-09", "bad_inputs/cnf.rs confirmations"),
    ("CNF-12", "bad_inputs/cnf.rs a_certificate_is_itself_and_no_other_of_its_name_or_key"),
    ("CNF-15", "bad_inputs/cnf.rs confirmations"),
    ("CNF-16", "bad_inputs/cnf.rs confirmations"),
    ("CNF-17", "bad_inputs/cnf.rs confirmations"),
    ("CNF-18", "bad_inputs/cnf.rs what_a_token_says_of_its_binding_and_what_its_server_does"),
    ("CNF-19", "bad_inputs/cnf.rs what_a_token_says_of_its_binding_and_what_its_server_does"),
    ("CNF-22", "bad_inputs/cnf.rs confirmations"),
    ("CNF-23", "bad_inputs/cnf.rs certificates_that_nobody_vouches_for"),
    ("CNF-25", "bad_inputs/cnf.rs every_request_is_judged_by_the_certificate_of_its_own_connection"),
    ("CNF-26", "bad_inputs/cnf.rs listeners_that_ask_for_no_certificate"),
    ("CNF-27", "bad_inputs/cnf.rs hostile_certificates_name_nobody"),
    // No Envoy tells a digest in another form than its own.
    ("CNF-28", "src/facts/peer.rs only_the_hosts_own_form_is_a_digest"),
    ("XFCC-01", "bad_inputs/xfcc.rs nobody_tells_a_certificate_but_a_relay"),
    ("XFCC-03", "bad_inputs/xfcc.rs nobody_tells_a_certificate_but_a_relay"),
    ("XFCC-04", "bad_inputs/xfcc.rs elements_of_the_field"),
    ("XFCC-06", "bad_inputs/xfcc.rs elements_of_the_field"),
    ("XFCC-08", "bad_inputs/xfcc.rs elements_of_the_field"),
    ("XFCC-09", "bad_inputs/xfcc.rs certificates_in_the_field"),
    ("XFCC-10", "bad_inputs/xfcc.rs elements_of_the_field"),
    ("XFCC-12", "bad_inputs/xfcc.rs byte_sequences_and_chains"),
    ("XFCC-13", "bad_inputs/xfcc.rs byte_sequences_and_chains"),
    ("XFCC-15", "bad_inputs/xfcc.rs no_client_becomes_another_by_taking_the_field_away"),
    ("DPOP-03", "bad_inputs/dpop.rs shapes_of_the_proof"),
    ("DPOP-04", "bad_inputs/dpop.rs shapes_of_the_proof"),
    ("DPOP-07", "bad_inputs/dpop.rs keys_in_the_proof"),
    ("DPOP-08", "bad_inputs/dpop.rs keys_in_the_proof"),
    ("DPOP-11", "bad_inputs/dpop.rs signatures_of_the_proof"),
    ("DPOP-14", "bad_inputs/dpop.rs methods_of_the_proof"),
    ("DPOP-15", "bad_inputs/dpop.rs methods_of_the_proof"),
    ("DPOP-16", "bad_inputs/dpop.rs uris_of_the_proof"),
    ("DPOP-17", "bad_inputs/dpop.rs uris_of_the_proof"),
    ("DPOP-18", "bad_inputs/dpop.rs uris_of_the_proof"),
    ("DPOP-19", "bad_inputs/dpop.rs uris_of_the_proof"),
    ("DPOP-21", "bad_inputs/dpop.rs uris_of_the_proof"),
    ("DPOP-22", "bad_inputs/dpop.rs uris_that_routes_rewrite"),
    ("DPOP-23", "bad_inputs/dpop.rs times_of_the_proof"),
    ("DPOP-24", "bad_inputs/dpop.rs proofs_and_nonces_last_to_the_second"),
    ("DPOP-29", "bad_inputs/dpop.rs proofs_that_were_shown_before"),
    ("DPOP-30", "bad_inputs/dpop.rs proofs_that_were_shown_before"),
    ("DPOP-31", "bad_inputs/dpop.rs a_memory_that_is_full_refuses_and_does_not_grow"),
    ("DPOP-32", "bad_inputs/dpop.rs nonces_that_were_not_issued_here"),
    ("DPOP-33", "bad_inputs/dpop.rs nonces_that_were_not_issued_here"),
    ("DPOP-35", "bad_inputs/dpop.rs schemes_and_bindings_that_do_not_fit"),
    ("DPOP-38", "bad_inputs/dpop.rs upgrades_are_proven_as_get"),
    ("INTRO-01", "bad_inputs/intro.rs answers_about_a_token"),
    ("INTRO-02", "bad_inputs/intro.rs answers_about_a_token"),
    ("INTRO-03", "bad_inputs/intro.rs answers_about_a_token"),
    ("INTRO-04", "bad_inputs/intro.rs answers_about_a_token"),
    ("INTRO-06", "faults/server.rs our_own_credentials_refused_is_no_verdict_on_the_token_and_an_alarm"),
    ("INTRO-07", "bad_inputs/intro.rs bodies_without_end_and_bodies_in_disguise"),
    ("INTRO-11", "bad_inputs/intro.rs what_is_remembered_of_one_token_says_nothing_of_another"),
    ("INTRO-12", "bad_inputs/intro.rs what_is_remembered_of_one_token_says_nothing_of_another"),
    ("INTRO-13", "bad_inputs/intro.rs what_is_remembered_of_one_token_says_nothing_of_another"),
    ("INTRO-15", "keys.rs a_revoked_opaque_token_passes_no_longer_than_the_cache_says"),
    ("INTRO-17", "bad_inputs/intro.rs what_is_remembered_of_one_token_says_nothing_of_another"),
    ("INTRO-18", "bad_inputs/intro.rs what_is_remembered_of_one_token_says_nothing_of_another"),
    ("INTRO-19", "bad_inputs/intro.rs our_own_credentials_stand_nowhere_but_in_the_question"),
    ("INTRO-23", "bad_inputs/jwt.rs signatures_and_keys"),
    ("INTRO-24", "keys.rs keys_that_are_rotated_while_requests_are_under_way_let_nothing_wrong_through"),
    (
        "INTRO-25",
        "faults/server.rs without_keys_there_is_no_answer_but_503_and_they_are_taken_within_five_seconds_when_they_come",
    ),
    // The other half, another name in the certificate, is `faults::server::a_server_of_another_name_or_authority_is_not_believed`.
    ("INTRO-28", "bad_inputs/intro.rs a_server_that_has_no_address_is_no_verdict"),
    ("INTRO-31", "bad_inputs/intro.rs a_server_that_has_no_address_is_no_verdict"),
    ("HTTP-01", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-03", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-04", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-06", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-07", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-08", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-09", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-11", "paths.rs with_envoys_defaults_no_path_is_judged_by_a_weaker_rule"),
    ("HTTP-13", "paths.rs with_envoys_defaults_no_path_is_judged_by_a_weaker_rule"),
    ("HTTP-15", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HTTP-16", "bad_inputs/http.rs hosts_that_differ_from_what_the_service_is_told"),
    ("HTTP-17", "bad_inputs/http.rs schemes_change_no_verdict"),
    // What passes by `cors_preflight: pass` is `transport::a_preflight_is_answered_behind_the_filter_…`.
    ("HTTP-19", "bad_inputs/http.rs credentials_in_odd_places"),
    // WebSocket over HTTP/2 is `transport::a_websocket_over_http_2_…`.
    ("HTTP-20", "bad_inputs/http.rs upgrades_are_judged_before_they_happen"),
    ("HTTP-21", "bad_inputs/http.rs one_message_is_one_request"),
    ("HTTP-22", "bad_inputs/http.rs frames_that_no_library_would_send"),
    ("HTTP-24", "grpc.rs a_refusal_is_a_grpc_status_with_our_words_and_our_challenge_and_reaches_nobody"),
    ("HTTP-25", "bad_inputs/http.rs nothing_of_a_body_goes_on_before_the_decision"),
    ("HTTP-27", "bad_inputs/http.rs a_connection_remembers_no_verdict"),
    ("HTTP-28", "bad_inputs/http.rs old_and_nameless_requests"),
    ("HTTP-29", "bad_inputs/http.rs requests_of_a_thousand_fields_and_of_a_mebibyte"),
    ("HTTP-30", "bad_inputs/http.rs what_envoy_sends_again_was_decided_on"),
    ("HTTP-31", "bad_inputs/http.rs no_example_switches_the_filter_off_for_a_route"),
    ("HTTP-32", "bad_inputs/http.rs credentials_in_odd_places"),
    ("HDR-01", "bad_inputs/hdr.rs no_caller_says_who_it_is"),
    ("HDR-02", "bad_inputs/hdr.rs no_caller_says_who_it_is"),
    ("HDR-03", "bad_inputs/hdr.rs no_caller_says_who_it_is"),
    ("HDR-04", "bad_inputs/hdr.rs claims_of_every_kind_in_a_field"),
    ("HDR-05", "bad_inputs/hdr.rs claims_of_every_kind_in_a_field"),
    ("HDR-06", "bad_inputs/hdr.rs claims_of_every_kind_in_a_field"),
    ("HDR-07", "bad_inputs/hdr.rs rules_see_every_value_of_a_list"),
    ("HDR-13", "bad_inputs/hdr.rs answers_give_nothing_away_by_their_octets"),
    ("WASM-04", "bad_inputs/wasm.rs a_module_that_is_not_there_or_not_the_pinned_one_lets_nothing_pass"),
    ("WASM-05", "bad_inputs/wasm.rs memory_is_bounded_whatever_is_presented"),
    ("WASM-06", "bad_inputs/wasm.rs nesting_and_length_cost_little"),
    ("WASM-07", "bad_inputs/wasm.rs nesting_and_length_cost_little"),
    ("WASM-08", "bad_inputs/wasm.rs configurations_that_are_refused_leave_the_good_one_serving"),
    ("WASM-09", "bad_inputs/wasm.rs a_configuration_that_changes_under_load_accepts_nothing_wrong"),
    ("WASM-11", "bad_inputs/wasm.rs workers_that_race_for_a_slot_lose_no_proof"),
    ("WASM-12", "transport.rs both_workers_say_the_same_and_each_asks_for_itself"),
    ("WASM-13", "bad_inputs/wasm.rs without_a_source_of_chance_nothing_passes"),
    ("WASM-17", "bad_inputs/wasm.rs the_sdk_is_asked_for_nothing_that_can_panic"),
    ("WASM-19", "bad_inputs/wasm.rs a_path_that_a_route_rewrites_was_decided_on_as_it_came"),
    ("WASM-20", "bad_inputs/wasm.rs a_module_that_is_not_there_or_not_the_pinned_one_lets_nothing_pass"),
    ("WASM-21", "observation.rs no_caller_makes_a_name"),
];

const FAMILIES: [&str; 8] = ["JWT-", "CNF-", "XFCC-", "DPOP-", "INTRO-", "HTTP-", "HDR-", "WASM-"];

#[test]
fn every_row_is_held_by_a_test_that_is_there() {
    for (id, place) in ROWS {
        let (file, function) = place.split_once(' ').expect("a file and a function");
        let path = if file.starts_with("src/") { top().join(file) } else { top().join("tests/envoy").join(file) };
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{id}: {}: {error}", path.display()));
        let (_, rest) = text.split_once(&format!("fn {function}(")).unwrap_or_else(|| panic!("{id}: no {place}"));
        // In this folder a row is named where it is run.
        let body = rest.split("\n}\n").next().unwrap_or_default();
        assert!(!file.starts_with("bad_inputs/") || body.contains(id), "{id} is not named in {place}");
    }
}

#[test]
fn the_rows_are_those_of_the_list() {
    let Ok(list) = std::fs::read_to_string(top().join("../shared/bad-inputs.csv")) else {
        eprintln!("skipped: the list of bad inputs is not beside this checkout");
        return;
    };
    let ids = list.lines().filter_map(|line| line.split(',').next());
    let mut listed: Vec<&str> = ids.filter(|id| FAMILIES.iter().any(|family| id.starts_with(family))).collect();
    let mut held: Vec<&str> = ROWS.iter().map(|(id, _)| *id).collect();
    listed.sort_unstable();
    held.sort_unstable();
    assert_eq!(held, listed);
}
