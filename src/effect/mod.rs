//! A permit or a denial into what the host does: forward the request, or answer it.

use std::rc::Rc;

use crate::jose::json::Pointer;

pub mod challenge;
pub mod identity;
pub mod metric;

/// What a route adds to its decisions.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `realm` of every challenge (RFC 9110 §11.5).
    pub realm: Rc<str>,
    /// `resource_metadata` of every challenge (RFC 9728 §5.1).
    pub resource_metadata: Option<Rc<str>>,
    /// The scopes that every caller of this route needs; told to who comes without a token.
    pub scopes: Vec<String>,
    pub schemes: Schemes,
    pub token: TokenForward,
    /// Facts that the upstream gets, each in a field of its own.
    pub headers: Vec<(String, Fact)>,
    /// Further facts for access logs and later filters; each name begins with [`FILTER_STATE`].
    pub filter_state: Vec<(String, Fact)>,
}

/// By which schemes a route takes tokens, as its challenges tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schemes {
    pub bearer: bool,
    pub dpop: bool,
    /// `algs` of every DPoP challenge (RFC 9449 §7.1); none where the configuration says nothing of proofs.
    pub algorithms: Option<Rc<str>>,
}

/// What names in the filter state begin with; the proxy puts `wasm.` before it.
pub const FILTER_STATE: &str = "holdfast.";

/// What the upstream sees of the access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenForward {
    Keep,
    Strip,
}

/// Something known of a caller who was let through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    ClientId,
    Subject,
    Issuer,
    Roles,
    Scopes,
    Binding,
    Route,
    SpiffeId,
    CertificateSha256,
    Claim(Pointer),
}

/// The request goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// Fields of the request that the upstream must not see, as they are spelt in it.
    pub remove: Vec<Vec<u8>>,
    /// Fields that it gets, once those are gone.
    pub add: Vec<(String, String)>,
}

/// What becomes of the answer of the upstream on its way back. Nothing but these fields is changed in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Return {
    /// The host need not look at it.
    #[default]
    Untouched,
    /// A nonce of somebody else would be shown to us, and is taken out (RFC 9449 §9).
    WithoutNonce,
    /// A success hands out this nonce for the next proof, and is kept by no cache (RFC 9449 §8.2); another answer is as above.
    WithNonce(String),
}

impl Return {
    /// The fields of an answer of this status that are removed, every one of that name, and then the fields that are added.
    pub fn changes(&self, status: u16) -> (&'static [&'static str], Vec<(&'static str, &str)>) {
        match self {
            Self::Untouched => (&[], Vec::new()),
            Self::WithNonce(nonce) if (200..300).contains(&status) => {
                (&[NONCE, CACHE_CONTROL], vec![(NONCE, nonce.as_str()), (CACHE_CONTROL, NO_STORE)])
            }
            Self::WithoutNonce | Self::WithNonce(_) => (&[NONCE], Vec::new()),
        }
    }
}

const NONCE: &str = "dpop-nonce";
const CACHE_CONTROL: &str = "cache-control";
const NO_STORE: &str = "no-store";

/// The request is answered here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    /// Plain text; empty for none.
    pub body: &'static str,
    /// For the access log.
    pub reason: &'static str,
}

impl Default for Schemes {
    fn default() -> Self {
        Self { bearer: true, dpop: false, algorithms: None }
    }
}

impl Default for Settings {
    /// What holds where no route was found.
    fn default() -> Self {
        Self {
            realm: "holdfast".into(),
            resource_metadata: None,
            scopes: Vec::new(),
            schemes: Schemes::default(),
            token: TokenForward::Keep,
            headers: Vec::new(),
            filter_state: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_goes_back_with_a_success_once_and_in_no_cache() {
        let (ours, fields) = (Return::WithNonce("n".into()), vec![("dpop-nonce", "n"), ("cache-control", "no-store")]);
        for status in [200, 204, 299] {
            assert_eq!(ours.changes(status), (&["dpop-nonce", "cache-control"][..], fields.clone()), "{status}");
        }
        for status in [101, 199, 300, 304, 401, 503] {
            assert_eq!(ours.changes(status), (&["dpop-nonce"][..], vec![]), "{status}");
            assert_eq!(Return::WithoutNonce.changes(status), (&["dpop-nonce"][..], vec![]), "{status}");
        }
        assert_eq!(Return::WithoutNonce.changes(200), (&["dpop-nonce"][..], vec![]));
        assert_eq!(Return::Untouched.changes(200), (&[][..], vec![]));
    }
}
