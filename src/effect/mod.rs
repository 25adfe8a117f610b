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
    pub token: TokenForward,
    /// Facts that the upstream gets, each in a field of its own.
    pub headers: Vec<(String, Fact)>,
    /// Further facts for access logs and later filters; each name begins with [`FILTER_STATE`].
    pub filter_state: Vec<(String, Fact)>,
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

impl Default for Settings {
    /// What holds where no route was found.
    fn default() -> Self {
        Self {
            realm: "holdfast".into(),
            resource_metadata: None,
            scopes: Vec::new(),
            token: TokenForward::Keep,
            headers: Vec::new(),
            filter_state: Vec::new(),
        }
    }
}
