//! What a process has used: its CPU time and its memory, from `/proc`.

use std::fs;
use std::ops::{Add, Sub};
use std::path::Path;

/// Nanoseconds of all threads that live. Exact only while they sleep: the kernel adds the rest of a turn at its end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cpu {
    pub used: u64,
    /// Ready, while something else had the core.
    pub waited: u64,
}

impl Cpu {
    pub fn of_process(pid: u32) -> Self {
        let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process that lives").filter_map(Result::ok);
        threads.fold(Self::default(), |sum, thread| sum + Self::of_thread(&thread.path()))
    }

    /// By its folder; nothing of one that has ended.
    pub fn of_thread(thread: &Path) -> Self {
        fs::read_to_string(thread.join("schedstat")).map(|text| Self::parse(&text)).unwrap_or_default()
    }

    /// Of proc(5), `/proc/pid/schedstat`.
    fn parse(text: &str) -> Self {
        let mut numbers = text.split_whitespace().map(|number| number.parse().unwrap_or(0));
        let mut next = || numbers.next().unwrap_or(0);
        Self { used: next(), waited: next() }
    }
}

impl Add for Cpu {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { used: self.used + other.used, waited: self.waited + other.waited }
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { used: self.used.saturating_sub(other.used), waited: self.waited.saturating_sub(other.waited) }
    }
}

/// KiB of its own, without the pages of its program, which all of them share.
pub fn memory_of_process(pid: u32) -> u64 {
    let text = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|size| size.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_two_numbers_are_time_used_and_time_waited() {
        assert_eq!(Cpu::parse("1412839 4118198 2\n"), Cpu { used: 1_412_839, waited: 4_118_198 });
        assert_eq!(Cpu::parse(""), Cpu::default());
    }

    #[test]
    fn this_process_uses_some() {
        assert!(Cpu::of_process(std::process::id()).used > 0);
        assert!(memory_of_process(std::process::id()) > 100);
    }
}
