//! A split token: the client has the signature of a JWT, and a store has header and payload by its SHA-256 (checklist §26, Curity).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use crate::callout::{CalloutId, Response};
use crate::client::form_encode;
use crate::credential::AccessToken;
use crate::time::UnixTime;
use crate::token::Issuer;

use super::signed::{Holds, Signed};
use super::{Answered, Unusable};

/// Where the store has it: below `path`, by the digest in base64 as publishers write it, which a path holds only escaped.
pub(super) fn path(path: &str, token: AccessToken<'_>) -> String {
    let digest = STANDARD.encode(Sha256::digest(token.as_str()));
    format!("{}/{}", path.trim_end_matches('/'), form_encode(&digest))
}

/// Puts the three parts together.
pub(super) fn read(response: &Response, id: &CalloutId, issuer: &Issuer, now: UnixTime) -> Result<Answered, Unusable> {
    let signed = core::str::from_utf8(&response.body).map_err(|_| Unusable::Body)?;
    let signature = id.remembered_by.as_deref().unwrap_or_default();
    Signed::answer(
        &format!("{}.{signature}", signed.trim_ascii()),
        Holds::AccessToken,
        (response.max_age(), now),
        issuer,
    )
}
