//! Opening paths without leaving the root.
//!
//! The root is an open directory. Linux resolves a path below it in one call (`openat2`
//! with `RESOLVE_BENEATH`); on other systems each name is opened in turn and no link is
//! followed. Files are created, renamed and removed by a single name in a directory that
//! was opened this way, so a link swapped in later is never followed.

use std::os::fd::OwnedFd;

use rustix::fs::{Access, AtFlags, Mode, OFlags, accessat, fsync, mkdirat, openat};
use rustix::io::{Errno, Result, retry_on_intr};

/// Flags to read a directory, and to create, rename and remove names in it.
pub(super) const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Flags to read what may not be a file: a pipe must not block, and a terminal must not
/// become the controlling one.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// How often an operation is retried after a concurrent rename or removal of a directory
/// made it fail.
pub(super) const ATTEMPTS: usize = 16;

/// The root of a store.
#[derive(Debug)]
pub(super) struct Root {
    dir: OwnedFd,
    way: Way,
}

#[derive(Debug, Clone, Copy)]
enum Way {
    #[cfg(target_os = "linux")]
    Kernel(rustix::fs::ResolveFlags),
    NameByName,
}

impl Root {
    /// The root in this directory. Links inside are followed only if `follow` is set.
    ///
    /// # Errors
    /// `NOSYS` if links are to be followed and the system has no `openat2`.
    pub(super) fn new(dir: OwnedFd, follow: bool) -> Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::fs::ResolveFlags;
            let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
            resolve.set(ResolveFlags::NO_SYMLINKS, !follow);
            let root = Self { dir, way: Way::Kernel(resolve) };
            // Sandboxes return PERM for calls they do not know.
            match root.directory(b"") {
                Err(Errno::NOSYS | Errno::PERM) => Self::name_by_name(root.dir, follow),
                other => other.map(|_| root),
            }
        }
        #[cfg(not(target_os = "linux"))]
        Self::name_by_name(dir, follow)
    }

    fn name_by_name(dir: OwnedFd, follow: bool) -> Result<Self> {
        if follow { Err(Errno::NOSYS) } else { Ok(Self { dir, way: Way::NameByName }) }
    }

    /// The root directory itself.
    pub(super) fn dir(&self) -> &OwnedFd {
        &self.dir
    }

    /// Opens an existing path; the empty path is the root.
    pub(super) fn open(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        match self.way {
            #[cfg(target_os = "linux")]
            Way::Kernel(resolve) => {
                let path = if path.is_empty() { b"." } else { path };
                for _ in 1..ATTEMPTS {
                    let opened = retry_on_intr(|| rustix::fs::openat2(&self.dir, path, flags, Mode::empty(), resolve));
                    // A directory on the path was renamed meanwhile.
                    if !matches!(opened, Err(Errno::AGAIN)) {
                        return opened;
                    }
                }
                Err(Errno::AGAIN)
            }
            Way::NameByName => self.open_name_by_name(path, flags),
        }
    }

    fn open_name_by_name(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        let open = |dir: &OwnedFd, name: &[u8], flags| {
            retry_on_intr(|| openat(dir, name, flags | OFlags::NOFOLLOW, Mode::empty()))
        };
        if path.is_empty() {
            return open(&self.dir, b".", flags);
        }
        let (folder, name) = split(path);
        let inside = |name: &[u8]| !matches!(name, b"" | b"." | b"..");
        let mut dir = None;
        for part in folder.split(|byte| *byte == b'/').filter(|_| !folder.is_empty()) {
            if !inside(part) {
                return Err(Errno::XDEV);
            }
            dir = Some(open(dir.as_ref().unwrap_or(&self.dir), part, DIRECTORY)?);
        }
        if inside(name) { open(dir.as_ref().unwrap_or(&self.dir), name, flags) } else { Err(Errno::XDEV) }
    }

    /// Whether this process may make files and folders in the root itself.
    pub(super) fn is_writable(&self) -> bool {
        accessat(&self.dir, ".", Access::WRITE_OK | Access::EXEC_OK, AtFlags::EACCESS).is_ok()
    }

    /// Opens a directory; the empty path is the root.
    pub(super) fn directory(&self, path: &[u8]) -> Result<OwnedFd> {
        self.open(path, DIRECTORY)
    }

    /// Opens a directory, creating it and its parents if needed. With `sync`, new names
    /// are on the disk when this returns. Also returns how much of the path existed.
    pub(super) fn create_directory(&self, path: &[u8], sync: bool) -> Result<(OwnedFd, usize)> {
        for _ in 1..ATTEMPTS {
            match self.try_create_directory(path, sync) {
                // Another process removed an empty directory that existed a moment ago.
                Err(Errno::NOENT) => {}
                done => return done,
            }
        }
        Err(Errno::NOENT)
    }

    fn try_create_directory(&self, path: &[u8], sync: bool) -> Result<(OwnedFd, usize)> {
        let mut there = path;
        let mut dir = loop {
            match self.directory(there) {
                Err(Errno::NOENT) if !there.is_empty() => there = split(there).0,
                opened => break opened?,
            }
        };
        let found = there.len();
        while there.len() < path.len() {
            let start = if there.is_empty() { 0 } else { there.len() + 1 };
            let end = path[start..].iter().position(|byte| *byte == b'/').map_or(path.len(), |at| start + at);
            match mkdirat(&dir, &path[start..end], Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            if sync {
                fsync(&dir)?;
            }
            there = &path[..end];
            dir = self.directory(there)?;
        }
        Ok((dir, found))
    }
}

/// The folder of a path (empty for the root) and the name in it.
pub(super) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[], path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn roots(path: &std::path::Path) -> [Root; 2] {
        let open = || OwnedFd::from(std::fs::File::open(path).unwrap());
        [Root::new(open(), false).unwrap(), Root::name_by_name(open(), false).unwrap()]
    }

    #[test]
    fn both_ways_stay_inside() {
        let outer = tempfile::tempdir().unwrap();
        let inside = outer.path().join("root");
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::write(outer.path().join("secret"), "x").unwrap();
        std::fs::write(inside.join("a/b/file"), "y").unwrap();
        symlink("../secret", inside.join("up")).unwrap();
        symlink(outer.path(), inside.join("absolute")).unwrap();
        symlink("a", inside.join("sideways")).unwrap();
        for root in roots(&inside) {
            root.open(b"a/b/file", READ).unwrap();
            root.directory(b"").unwrap();
            for path in [&b"../secret"[..], b"a/../../secret", b"up", b"absolute/secret", b"sideways/b/file", b"/etc"] {
                assert!(root.open(path, READ).is_err(), "{root:?} {}", String::from_utf8_lossy(path));
            }
            root.create_directory(b"a/c/d", true).unwrap();
            assert!(root.create_directory(b"absolute/new", true).is_err());
            assert!(root.create_directory(b"../new", true).is_err());
        }
        assert!(inside.join("a/c/d").is_dir() && !outer.path().join("new").exists());
    }

    #[test]
    fn links_are_followed_inside_only() {
        let outer = tempfile::tempdir().unwrap();
        let inside = outer.path().join("root");
        std::fs::create_dir_all(inside.join("a")).unwrap();
        std::fs::write(outer.path().join("secret"), "x").unwrap();
        std::fs::write(inside.join("a/file"), "y").unwrap();
        symlink("a/file", inside.join("good")).unwrap();
        symlink("../secret", inside.join("bad")).unwrap();
        let Ok(root) = Root::new(std::fs::File::open(&inside).unwrap().into(), true) else {
            println!("skipped: this system has no openat2");
            return;
        };
        root.open(b"good", READ).unwrap();
        assert_eq!(root.open(b"bad", READ).unwrap_err(), Errno::XDEV);
    }
}
