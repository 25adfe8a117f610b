//! What a process has used: its CPU time and its memory, from `/proc`.

use std::fs;
use std::path::Path;

/// Nanoseconds on a CPU, all threads that live. Exact only while they sleep: the kernel adds the rest of a slice at its end.
pub fn cpu_of_process(pid: u32) -> u64 {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that lives");
    tasks.filter_map(Result::ok).map(|task| cpu(&task.path())).sum()
}

fn cpu(task: &Path) -> u64 {
    let text = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
}

/// KiB of its own, without the pages of its program, which all of them share.
pub fn memory_of_process(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or(0)
}
