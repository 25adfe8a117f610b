//! What has to be fetched or built before anything starts, by the script that `make` uses too; once a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock};

/// The top of the repository.
pub fn top() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Runs one step of the set-up and returns the path that it prints.
pub fn set_up(step: &str) -> PathBuf {
    let output = Command::new(top().join("tests/set-up")).arg(step).output();
    let output = output.unwrap_or_else(|error| panic!("the set-up does not start: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "set-up of {step} failed:\n{said}");
    let line = String::from_utf8_lossy(&output.stdout).into_owned();
    PathBuf::from(line.split_whitespace().next().unwrap_or_else(|| panic!("set-up of {step} printed no path:\n{said}")))
}

/// The filter: the file that `HOLDFAST_WASM` names, or else built once a run.
pub fn module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| {
        let named = std::env::var_os("HOLDFAST_WASM").filter(|name| !name.is_empty());
        named.map_or_else(|| set_up("wasm"), PathBuf::from)
    })
}

/// What stands in the place of the filter to verify test vectors, built once a run.
pub fn vectors_module() -> &'static Path {
    static MODULE: OnceLock<PathBuf> = OnceLock::new();
    MODULE.get_or_init(|| set_up("vectors"))
}

/// Envoy's binary: of this version, or of the one that everything runs with.
pub fn envoy(version: Option<&str>) -> PathBuf {
    static ENVOYS: Mutex<BTreeMap<String, PathBuf>> = Mutex::new(BTreeMap::new());
    let step = version.map_or_else(|| "envoy".to_owned(), |version| format!("envoy-{version}"));
    let mut envoys = ENVOYS.lock().expect("what was set up");
    envoys.entry(step).or_insert_with_key(|step| set_up(step)).clone()
}
