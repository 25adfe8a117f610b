//! Holdfast: a proxy-wasm filter that lets a request through only when its access token is genuine and belongs to this caller.
//!
//! One request takes one journey, and the rooms stand in its order. A room uses those above it, never those below:
//!
//! | room | turns | into |
//! |---|---|---|
//! | [`time`] | the host's clock | [`time::UnixTime`] |
//! | [`callout`] | a question to another service | a value, and its answer |
//! | [`facts`] | what the proxy knows | [`facts::Request`]: its line, its fields, its peer |
//! | [`jose`] | bytes | JWS, JWK and verified signatures; nothing about OAuth |
//! | [`client`] | our own credentials at an authorization server | a field of a callout |
//! | [`credential`] | header fields | [`credential::Presented`]: the one token and the proof beside it, not yet believed |
//! | [`discovery`] | an authorization server's metadata | where its endpoints are, when to fetch it again |
//! | [`keys`] | an issuer's JWK Set | what is held, how fresh it is, when to fetch it again |
//! | [`token`] | a presented token | [`token::VerifiedToken`]: its issuer vouches for it |
//! | [`binding`] | a certificate or a proof | [`binding::ConfirmedSender`] |
//! | [`policy`] | all of the above | a permit, or why not |
//! | [`denial`] | every reason to refuse | the code that the RFCs give it |
//! | [`effect`] | a permit or a denial | what the host does |
//! | [`flow`] | the journey itself | [`flow::Step`] |
//! | [`config`] | the operator's file | typed settings of every room |
//! | `host` (wasm32 only) | proxy-wasm | the only room that knows a proxy exists |
#![deny(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![deny(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss
)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::cast_possible_truncation
    )
)]

pub mod time;

pub mod callout;

pub mod facts;

pub mod jose;

pub mod client;

pub mod credential;

pub mod discovery;

pub mod keys;

pub mod token;

pub mod binding;

pub mod policy;

pub mod denial;

pub mod effect;

pub mod flow;

pub mod config;

#[cfg(target_arch = "wasm32")]
mod host;
