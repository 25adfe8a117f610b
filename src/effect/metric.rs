//! What metrics are called. Names are closed: they hold words of this code and of the configuration, nothing that a caller sent.
//!
//! A metrics system makes labels of the pieces between dots (`stats_tags`), so a word in a name holds none. Which route,
//! issuer or reason is meant stays certain: `config::compile` refuses two that would be written alike.

use crate::binding::replay::Scope;
use crate::callout::Question;

/// Where no route took the request. No route is called so: their names are in lower case.
const NO_ROUTE: &str = "NONE";

/// A name as a word of a metric: lower case, and `_` for every octet that is no letter, digit, `_` or `-`.
pub fn word(name: &str) -> String {
    let plain = |octet: u8| match octet.to_ascii_lowercase() {
        octet @ (b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-') => char::from(octet),
        _ => '_',
    };
    name.bytes().map(plain).collect()
}

/// The counter of requests that were decided so.
pub fn requests(route: Option<&str>, decision: &str, reason: &str) -> String {
    let route = route.map_or_else(|| NO_ROUTE.to_owned(), word);
    format!("holdfast.route.{route}.decision.{decision}.reason.{}.requests", word(reason))
}

/// The counter of callouts that came to this.
pub fn callouts(issuer: &str, question: Question, outcome: &str) -> String {
    format!("{}.question.{}.outcome.{outcome}.callouts", of_issuer(issuer), question_word(question))
}

/// The histogram of the time from sending to the answer.
pub fn callout_milliseconds(issuer: &str, question: Question) -> String {
    format!("{}.question.{}.callout_milliseconds", of_issuer(issuer), question_word(question))
}

/// A gauge about one issuer.
pub fn issuer_gauge(issuer: &str, what: &str) -> String {
    format!("{}.{what}", of_issuer(issuer))
}

/// The gauges that say how far a proof is remembered.
pub const REPLAY_SCOPES: [(&str, Scope); 3] =
    [("dpop_replay_process", Scope::Process), ("dpop_replay_worker", Scope::Worker), ("dpop_replay_none", Scope::None)];

/// A gauge about all that a worker holds.
pub fn gauge(what: &str) -> String {
    format!("holdfast.{what}")
}

fn of_issuer(name: &str) -> String {
    format!("holdfast.issuer.{}", word(name))
}

fn question_word(question: Question) -> &'static str {
    match question {
        Question::Metadata => "metadata",
        Question::KeySet => "keys",
        Question::Introspection => "introspection",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_holds_nothing_that_parts_a_name_or_breaks_a_label() {
        assert_eq!(word("https://Login.bank.example/a\"b\né"), "https___login_bank_example_a_b___");
        assert_eq!(word("api-v2_read"), "api-v2_read");
    }

    #[test]
    fn every_name_is_as_the_documentation_has_it() {
        assert_eq!(
            requests(Some("accounts.read"), "deny", "binding.other_certificate"),
            "holdfast.route.accounts_read.decision.deny.reason.binding_other_certificate.requests"
        );
        assert_eq!(
            requests(None, "deny", "policy.no_route"),
            "holdfast.route.NONE.decision.deny.reason.policy_no_route.requests"
        );
        let question = Question::Introspection;
        assert_eq!(
            callouts("bank", question, "answered"),
            "holdfast.issuer.bank.question.introspection.outcome.answered.callouts"
        );
        assert_eq!(
            callout_milliseconds("bank", Question::KeySet),
            "holdfast.issuer.bank.question.keys.callout_milliseconds"
        );
        assert_eq!(issuer_gauge("bank", "key_set_keys"), "holdfast.issuer.bank.key_set_keys");
        assert_eq!(gauge("waiting_requests"), "holdfast.waiting_requests");
    }
}
