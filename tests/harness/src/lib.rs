//! Starts what tests, demo and bench need around the filter: values that stop what they started when they are dropped.
//!
//! - [`Authority`], [`Leaf`], [`Certificate`]: a certificate authority and what it issues
//! - [`Upstream`]: the service behind the proxy, which records what reaches it
//! - [`AuthorizationServer`]: a scripted one that can be slow, wrong, rotate its keys, and counts what it was asked
//! - [`OidcProvider`]: a real one
//! - [`Authlete`], [`Curity`]: stand-ins that speak as these do, each at a path of the scripted one
//! - [`StepCa`]: a real certificate authority, which renews what it issued
//! - [`Keycloak`], [`Realm`]: another, with realms whose keys, clients and sessions a test may change
//! - [`Envoy`]: the proxy, by a configuration of the tests or by one of `envoy/*.yaml`
//! - [`Terminator`]: nginx or HAProxy in front of it, which tell it the client's certificate
//! - [`GrpcService`]: the same for gRPC
//! - [`Client`], [`Connection`]: requests over TLS with or without a certificate, octet by octet
//! - [`Http2`], [`Call`]: the same over HTTP/2
//! - [`module`]: the filter, built once a run; [`Trap`]: a copy of it that fails at will; [`exports`], [`imports`]: what a module has and wants
//! - [`SigningKey`], [`Proof`]: keys that sign tokens, and DPoP proofs
//! - [`rfc9449`]: the example of that text
//! - [`Clock`]: a clock that a test sets
//!
//! All listen on loopback, on ports that the system chose, so tests run side by side.

mod authlete;
mod authorization_server;
mod certificate;
mod client;
mod clock;
mod curity;
mod directory;
mod envoy;
mod grpc_service;
mod http;
mod http2;
mod keycloak;
mod keys;
mod module;
mod oidc_provider;
mod process;
mod proof;
pub mod rfc9449;
mod server;
mod step_ca;
mod terminator;
mod trap;
mod upstream;
mod wasm;

pub use authlete::{Authlete, Record};
pub use authorization_server::{AuthorizationServer, Fault};
pub use certificate::{Authority, Certificate, Leaf};
pub use client::{Client, Connection, Request, Session, TlsVersion};
pub use clock::Clock;
pub use curity::Curity;
pub use directory::Directory;
pub use envoy::{Cluster, Configuration, Envoy, Options, Protocol, Tls};
pub use grpc_service::GrpcService;
pub use http::{Fields, Response};
pub use http2::{Call, Http2};
pub use keycloak::{AUTHORITY, Hostname, Keycloak, Login, Realm};
pub use keys::{Algorithm, SigningKey, base64url, sha256, sign_octets};
pub use module::{module, set_up, top, vectors_module};
pub use oidc_provider::OidcProvider;
pub use proof::Proof;
pub use server::{Reaction, Received};
pub use step_ca::StepCa;
pub use terminator::{NGINX_FIELD, Terminator};
pub use trap::Trap;
pub use upstream::Upstream;
pub use wasm::{exports, imports};

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock stands after 1970").as_secs()
}

/// A YAML document as the JSON that Envoy and Istio make of it.
pub fn yaml(text: &str) -> Result<serde_json::Value, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// Waits until `done` says so; false when it has not within `most`.
pub fn wait_until(most: Duration, mut done: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + most;
    while !done() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}
