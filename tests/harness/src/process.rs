//! A child process that ends with the value that started it, and with this process however that ends.

use std::path::Path;
use std::process::{Child, Command, Stdio};

pub struct Process {
    child: Child,
    guard: Child,
}

impl Process {
    /// Starts a program whose files are in this folder.
    pub fn start(command: &mut Command, folder: &Path) -> Self {
        let program = command.get_program().to_owned();
        let child = command.spawn().unwrap_or_else(|error| panic!("{} does not start: {error}", program.display()));
        // Its input ends when this process does: nothing is dropped where that is killed.
        let guard = Command::new("sh")
            .args(["-c", "trap '' INT; read -r _; kill -9 \"$0\"; rm -rf \"$1\"", &child.id().to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        Self { child, guard }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // The guard first: an id is free for others as soon as its process has been waited for.
        for child in [&mut self.guard, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
