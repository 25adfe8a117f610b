//! proxy-wasm: the only room that knows a proxy exists. It reads facts, applies decisions, and sends what is asked.
#![cfg_attr(feature = "vectors", allow(dead_code, reason = "vectors stand in the place of the filter"))]

mod abi;
mod crypto;
mod metrics;
mod read;
mod root;
mod shared;
mod stream;
#[cfg(feature = "vectors")]
mod vectors;
