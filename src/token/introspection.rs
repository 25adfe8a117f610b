//! Asking the authorization server about a token, and reading what it says (RFC 7662, checklist §4).

use core::time::Duration;
use std::rc::Rc;

use crate::callout::Service;

/// How an issuer is asked about a token.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Endpoint and credential.
    pub service: Rc<Service>,
    /// How long an answer is good, and never past `exp`; nothing is remembered at zero.
    pub cache: Duration,
    /// How much longer it is while the server does not answer, and never past `exp`.
    pub stale_if_error: Duration,
    /// `danger_allow_no_exp`: an answer without `exp` is good for five seconds.
    pub without_exp: bool,
}
