//! A memory limit that the system enforces: a process that exceeds it is killed.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A control group, removed when this value is dropped.
pub struct Limited(PathBuf);

impl Limited {
    /// Prints a message and returns `None` if groups cannot be created, which requires root.
    pub fn to(bytes: usize) -> Option<Self> {
        let root = Path::new("/sys/fs/cgroup");
        let (parent, limit) = match root.join("cgroup.controllers").exists() {
            true => (root.to_owned(), "memory.max"),
            false => (root.join("memory"), "memory.limit_in_bytes"),
        };
        let group = Self(parent.join(format!("lepton-test-{}", std::process::id())));
        let made = std::fs::create_dir(&group.0).and_then(|()| std::fs::write(group.0.join(limit), bytes.to_string()));
        match made {
            Ok(()) => Some(group),
            Err(error) => {
                println!("skipped: memory cannot be limited here: {error}");
                None
            }
        }
    }

    /// Runs a program within the limit.
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\" && exec \"$@\""]).arg(self.0.join("cgroup.procs")).arg(program);
        command
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // It is empty once the program has ended.
        let _ = std::fs::remove_dir(&self.0);
    }
}
