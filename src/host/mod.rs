//! proxy-wasm: the only room that knows a proxy exists. It reads facts, applies decisions, and sends what is asked.

use proxy_wasm::types::LogLevel;

mod abi;
mod crypto;
mod metrics;
mod read;
mod root;
mod stream;

proxy_wasm::main! {{
    // The SDK's panic hook says where, should it ever come to that.
    proxy_wasm::set_log_level(LogLevel::Info);
    proxy_wasm::set_root_context(|_| Box::new(root::Root::default()));
}}
