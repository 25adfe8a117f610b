//! The answer to a phantom token: the JWT that it stands for (checklist §26, Curity; in a JSON object, Keycloak).

use crate::callout::Response;
use crate::jose::json::Value;
use crate::time::UnixTime;
use crate::token::claims::claim;
use crate::token::{Error, Issuer};

use super::signed::{Holds, Signed};
use super::{Answered, Unusable, parse};

/// Curity's own says how long it counts; a JSON object is kept as one of RFC 7662 is.
pub(super) fn read(response: &Response, issuer: &Issuer, now: UnixTime) -> Result<Answered, Unusable> {
    if response.is_of("application/jwt") {
        let text = core::str::from_utf8(&response.body).map_err(|_| Unusable::Body)?;
        return Signed::answer(text.trim_ascii(), Holds::AccessToken, (response.max_age(), now), issuer);
    }
    if !response.is_of("application/json") {
        return Err(Unusable::Body);
    }
    let claims = parse(response)?;
    // Keycloak writes a JWT beside `false` too (CVE-2026-18208).
    match claim(&claims, "active").and_then(Value::as_bool) {
        None => Err(Unusable::Body),
        Some(false) => Ok(Answered::from(Err(Error::Inactive))),
        Some(true) => {
            let text = claim(&claims, "jwt").and_then(Value::as_str).ok_or(Unusable::Body)?;
            Signed::answer(text, Holds::AccessToken, (None, now), issuer)
        }
    }
}
