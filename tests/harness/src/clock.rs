//! A clock that a test sets, for a process that is started with it; the crate `clock` puts it before the machine's.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::OnceLock;

use crate::directory::Directory;
use crate::module::set_up;
use crate::now;

pub struct Clock {
    directory: Directory,
    file: File,
    offset: std::cell::Cell<i64>,
}

impl Clock {
    /// Shows what the machine's does.
    pub fn new() -> Self {
        let directory = Directory::new();
        let path = directory.write("clock", 0_i64.to_ne_bytes());
        let file = File::options().write(true).open(path).expect("the clock");
        Self { directory, file, offset: std::cell::Cell::new(0) }
    }

    /// Is this much ahead of the machine's from now on, or behind it.
    pub fn set(&self, offset: i64) {
        self.file.write_all_at(&offset.to_ne_bytes(), 0).expect("the clock");
        self.offset.set(offset);
    }

    /// Seconds since 1970 by this clock.
    pub fn now(&self) -> u64 {
        now().saturating_add_signed(self.offset.get())
    }

    pub(crate) fn variables(&self) -> Vec<(&'static str, PathBuf)> {
        static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| set_up("clock")).clone();
        vec![("LD_PRELOAD", library), ("HOLDFAST_CLOCK", self.directory.path().join("clock"))]
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
