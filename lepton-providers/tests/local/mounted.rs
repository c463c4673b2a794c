//! A small file system in memory: a real full or read-only disk.

use std::path::Path;
use std::process::Command;

/// A file system that goes away with this value.
pub(crate) struct Mounted(tempfile::TempDir);

impl Mounted {
    pub(crate) fn new(options: &str) -> Option<Self> {
        Self::of("tmpfs", options)
    }

    /// `None`, and says so, where mounting is not permitted: it takes root.
    pub(crate) fn of(kind: &str, options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-t", kind, "-o", options, kind]).arg(dir.path()).output();
        if mount.as_ref().is_ok_and(|mount| mount.status.success()) {
            return Some(Self(dir));
        }
        println!("skipped: mounting {kind} is not permitted here: {mount:?}");
        None
    }

    pub(crate) fn remount(&self, options: &str) {
        assert!(Command::new("mount").args(["-o", options]).arg(self.0.path()).status().unwrap().success());
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy"]).arg(self.0.path()).status();
    }
}
