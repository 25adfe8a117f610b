//! proxy-wasm: the only room that knows a proxy exists. It reads facts, applies decisions, and sends what is asked.
#![cfg_attr(feature = "vectors", allow(dead_code, reason = "vectors stand in the place of the filter"))]

use proxy_wasm::traits::RootContext;
use proxy_wasm::types::LogLevel;

mod abi;
mod crypto;
mod metrics;
mod read;
mod root;
mod stream;
#[cfg(feature = "vectors")]
mod vectors;

proxy_wasm::main! {{
    // The SDK's panic hook says where, should it ever come to that.
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| new_root());
}}

#[cfg(not(feature = "vectors"))]
fn new_root() -> Box<dyn RootContext> {
    Box::new(root::Root::default())
}

#[cfg(feature = "vectors")]
fn new_root() -> Box<dyn RootContext> {
    Box::new(vectors::Vectors)
}
