//! Where and of what a run was made.

use std::process::Command;

use harness::{Envoy, top};
use serde_json::Value;

#[derive(Clone, Debug, Default)]
pub struct Machine {
    pub envoy: String,
    pub processor: String,
    pub cores: usize,
    pub kernel: String,
    pub date: String,
    /// Of this repository; `+` where files differ from it.
    pub commit: String,
}

impl Machine {
    /// This one, by an Envoy that runs.
    pub fn this(envoy: &Envoy) -> Self {
        let server: Value = serde_json::from_str(&envoy.admin("/server_info")).unwrap_or_default();
        let version = server["version"].as_str().and_then(|version| version.split('/').nth(1)).unwrap_or_default();
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Self {
            envoy: version.to_owned(),
            processor: model.map_or("processor unknown", |(_, name)| name).to_owned(),
            cores: processors.lines().filter(|line| line.starts_with("processor")).count(),
            kernel: said("uname", &["-r"]),
            date: said("date", &["--utc", "+%Y-%m-%d"]),
            commit: said("git", &["rev-parse", "--short", "HEAD"]) + if changed { "+" } else { "" },
        }
    }
}

/// What a program prints, or nothing.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).current_dir(top()).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
