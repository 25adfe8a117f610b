//! An issuer's JWK Set: what is held, how fresh it is, when to fetch it again (checklist 2.21–2.23).

use core::time::Duration;
use std::rc::Rc;

use crate::callout::Service;
use crate::jose::jwk::JwkSet;

/// Where an issuer's keys come from.
#[derive(Clone, Debug)]
pub enum Settings {
    Inline(Rc<JwkSet>),
    Fetched {
        service: Rc<Service>,
        /// How long a set is taken without asking again.
        refresh: Duration,
        /// How long it serves while the server does not answer.
        max_stale: Duration,
    },
}
