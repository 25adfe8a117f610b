//! The module that is shipped: Envoy finds in it what the filter answers, and calls nothing for nothing.

use harness::{exports, module};

#[test]
fn only_what_the_filter_answers_is_exported() {
    let shipped = std::fs::read(module()).expect("the module");
    let mut exported = exports(&shipped);
    exported.sort_unstable();
    assert_eq!(
        exported,
        [
            "_initialize",
            "memory",
            "proxy_abi_version_0_2_1",
            "proxy_on_configure",
            "proxy_on_context_create",
            "proxy_on_delete",
            "proxy_on_http_call_response",
            "proxy_on_memory_allocate",
            "proxy_on_request_body",
            "proxy_on_request_headers",
            "proxy_on_request_trailers",
            "proxy_on_response_headers",
            "proxy_on_tick",
            "proxy_on_vm_start",
        ]
    );
}
