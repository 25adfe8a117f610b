//! As much quiet as the machine lets us have: cores of our own, a place before others, and no other bench.

use std::fs::{self, File};
use std::process::Command;

/// While it lives, we and the proxies go before what else runs on the machine, if we may ask for that.
pub struct Priority;

/// The kernel shares time between sessions first, and only then between the processes of each.
const SESSION: &str = "/proc/self/autogroup";

impl Priority {
    pub fn high() -> Self {
        let us = std::process::id().to_string();
        let _ = Command::new("renice").args(["--priority", "-10", "--pid", &us]).output();
        let _ = fs::write(SESSION, "-10");
        Self
    }
}

impl Drop for Priority {
    fn drop(&mut self) {
        let _ = fs::write(SESSION, "0");
    }
}

/// Puts us on the first core and says which is for the proxies; on a machine of one core nothing is put anywhere.
pub fn cores() -> Option<usize> {
    let us = std::process::id().to_string();
    let several = std::thread::available_parallelism().is_ok_and(|cores| cores.get() > 1);
    let done = || Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", "0", &us]).output();
    (several && done().is_ok_and(|output| output.status.success())).then_some(1)
}

/// Waits until no other bench runs on this machine: two would measure each other.
pub fn alone() -> Result<File, String> {
    let path = std::env::temp_dir().join("holdfast-bench.lock");
    let lock = File::options().create(true).append(true).open(&path).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    lock.map_err(|error| format!("{}: {error}", path.display()))
}
