//! The demo, as a user would run it.

use std::process::{Command, Stdio};

#[test]
fn every_row_of_the_demo_is_as_it_must_be() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_demo"));
    command.env("HOLDFAST_WASM", harness::module()).env_remove("KEEP").env_remove("KEYCLOAK").stdin(Stdio::null());
    let output = command.output().expect("the demo starts");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(text.matches("✓ ").count(), 17, "{text}");
    for reason in
        ["binding.other_certificate", "binding.no_certificate", "binding.unbound", "token.scope", "policy.no_rule"]
    {
        assert!(text.contains(reason), "{reason}: {text}");
    }
    for reason in [
        "token.inactive",
        "token.expired",
        "credential.missing",
        "public",
        "binding.other_key",
        "proof.uri",
        "proof.replayed",
    ] {
        assert!(text.contains(reason), "{reason}: {text}");
    }
}
