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

    #[allow(dead_code, reason = "other tests share this file")]
    /// A file system of this kind in a file, with its real code: what shares bytes
    /// between files is none in memory.
    pub(crate) fn image(kind: &str, bytes: u64) -> Option<(Self, tempfile::NamedTempFile)> {
        let image = tempfile::NamedTempFile::new().unwrap();
        image.as_file().set_len(bytes).unwrap();
        let made = Command::new(format!("mkfs.{kind}")).args(["-q", "-f"]).arg(image.path()).output();
        if !made.as_ref().is_ok_and(|made| made.status.success()) {
            println!("skipped: {kind} cannot be made here: {made:?}");
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let mount = Command::new("mount").args(["-o", "loop"]).arg(image.path()).arg(dir.path()).output();
        if mount.as_ref().is_ok_and(|mount| mount.status.success()) {
            return Some((Self(dir), image));
        }
        println!("skipped: mounting {kind} is not possible here: {mount:?}");
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
