//! Files that are not visible yet, and how they become visible.
//!
//! Every change of a name happens under a lock of its folder, so that Lepton's own
//! writers see a condition and the change as one step. Other programs do not take the
//! lock, which is why conditions on the tag are declared as emulated.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use lepton_core::{Effect, Error, ErrorKind, Precondition, Result, RetryClass};
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, fstat, linkat, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::{Errno, retry_on_intr};

use super::config::Symlinks;
use super::contain::{ATTEMPTS, READ, split};
use super::disk::Disk;
use super::error::{failed, failed_at, in_the_way, not_written};
use super::folder::{create_new, locked};
use super::metadata::FileState;
use super::names::reserved;

/// A new file in the folder where it will become visible. If it is dropped before it is
/// published, it is removed along with the folders that were created for it.
#[derive(Debug)]
pub(super) struct Temp {
    disk: Arc<Disk>,
    path: Vec<u8>,
    dir: OwnedFd,
    /// How much of the folder's path already existed.
    found: usize,
    file: File,
    /// `None` if the file has no name yet.
    name: Option<String>,
    published: bool,
}

impl Temp {
    /// Creates an empty file that will be published at `path`.
    pub(super) fn create(disk: &Arc<Disk>, path: &[u8]) -> Result<Self> {
        Self::create_by(disk, path, nameless)
    }

    fn create_by(disk: &Arc<Disk>, path: &[u8], nameless: fn(&OwnedFd) -> Option<OwnedFd>) -> Result<Self> {
        for _ in 1..ATTEMPTS {
            let (dir, found) = create_folder(disk, path)?;
            make_way(disk, &dir, path)?;
            let (name, file) = match nameless(&dir) {
                Some(file) => (None, Ok(file)),
                None => {
                    let name = reserved(&format!("{:016x}", disk.env.random()), "tmp");
                    let file = create_new(&dir, &name);
                    (Some(name), file)
                }
            };
            match file {
                Ok(file) => {
                    let (disk, path) = (Arc::clone(disk), path.to_vec());
                    return Ok(Self { disk, path, dir, found, file: file.into(), name, published: false });
                }
                // Another process removed the folder while it was empty.
                Err(Errno::NOENT) => {}
                Err(errno) => return Err(not_written(&disk.root, "a new file cannot be made", path, errno)),
            }
        }
        Err(folder_removed(path))
    }

    /// The file itself, open for reading and writing.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its final name, durably, if the condition holds.
    pub(super) fn publish(mut self, precondition: &Precondition) -> Result<FileState> {
        let conditional = matches!(precondition, Precondition::IfMatch(_));
        for _ in 1..ATTEMPTS {
            let placed = locked(&self.dir, conditional, || {
                if self.name.is_none() && is_removed(&self.dir) {
                    return Ok(false);
                }
                self.place(precondition).map(|()| true)
            })?;
            if placed {
                self.published = true;
                return settled(&self.disk, &self.dir, &self.path, &self.file);
            }
            self.dir = create_folder(&self.disk, &self.path)?.0;
        }
        Err(folder_removed(&self.path))
    }

    fn place(&self, precondition: &Precondition) -> Result<()> {
        if let Some(name) = &self.name {
            return rename(&self.disk, &self.dir, name, &self.path, precondition);
        }
        if !matches!(precondition, Precondition::IfMatch(_)) {
            match link(&self.file, &self.dir, split(&self.path).1) {
                Ok(()) => return Ok(()),
                Err(Errno::EXIST) if *precondition == Precondition::IfAbsent => {
                    return Err(already_there(&self.disk, &self.dir, &self.path));
                }
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(failed_at("the new file cannot be given its name", &self.path, errno)),
            }
        }
        // A file cannot be linked over another, so it gets a temporary name first. As
        // this happens under the lock, an existing file of that name was left by a killed
        // process.
        let name = reserved("0", "tmp");
        let linked = match link(&self.file, &self.dir, name.as_bytes()) {
            Err(Errno::EXIST) => {
                unlinkat(&self.dir, &name, AtFlags::empty()).and_then(|()| link(&self.file, &self.dir, name.as_bytes()))
            }
            linked => linked,
        };
        linked.map_err(|errno| failed_at("the new file cannot be given a name", &self.path, errno))?;
        let renamed = rename(&self.disk, &self.dir, &name, &self.path, precondition);
        if renamed.is_err() {
            // The first error is the one to report.
            let _ = unlinkat(&self.dir, &name, AtFlags::empty());
        }
        renamed
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if self.published {
            return;
        }
        if let Some(name) = &self.name {
            // Ignored: the name is never listed.
            let _ = unlinkat(&self.dir, name, AtFlags::empty());
        }
        self.disk.prune(split(&self.path).0, self.found);
    }
}

/// The folder of a path, created if needed, and how much of it already existed.
pub(super) fn create_folder(disk: &Disk, path: &[u8]) -> Result<(OwnedFd, usize)> {
    disk.root.create_directory(split(path).0, disk.durable()).map_err(|errno| in_the_way(&disk.root, path, errno))
}

/// Refuses a path that is a folder, before anything is written. A folder without anything in it,
/// which is no object, gives way.
pub(super) fn make_way(disk: &Disk, dir: &OwnedFd, path: &[u8]) -> Result<()> {
    refuse_folder(disk, dir, path).or_else(|error| {
        let removed = !disk.markers() && unlinkat(dir, split(path).1, AtFlags::REMOVEDIR).is_ok();
        if removed { Ok(()) } else { Err(error) }
    })
}

/// Refuses a path that is a folder.
fn refuse_folder(disk: &Disk, dir: &OwnedFd, path: &[u8]) -> Result<()> {
    match statat(dir, split(path).1, AtFlags::SYMLINK_NOFOLLOW).map(FileState::from) {
        Ok(current) if current.is_dir() => Err(in_the_way(&disk.root, path, Errno::ISDIR)),
        _ => Ok(()),
    }
}

/// Renames a file in progress to the last name of `path`, if the condition holds. The
/// caller holds the lock of the folder.
pub(super) fn rename(disk: &Disk, dir: &OwnedFd, from: &str, path: &[u8], precondition: &Precondition) -> Result<()> {
    let to = split(path).1;
    let renamed = match precondition {
        Precondition::IfAbsent => match renameat_with(dir, from, dir, to, RenameFlags::NOREPLACE) {
            // A file system that does not support this may support links.
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => {
                linkat(dir, from, dir, to, AtFlags::empty()).and_then(|()| unlinkat(dir, from, AtFlags::empty()))
            }
            done => done,
        },
        Precondition::IfMatch(etag) => {
            if current(disk, dir, path).is_some_and(|current| current.etag() == *etag) {
                renameat(dir, from, dir, to)
            } else {
                return Err(not_matching(path));
            }
        }
        _ => renameat(dir, from, dir, to),
    };
    renamed.map_err(|errno| match errno {
        Errno::EXIST if *precondition == Precondition::IfAbsent => already_there(disk, dir, path),
        Errno::IO => in_the_way(&disk.root, path, errno).with_effect(Effect::Unknown),
        errno => in_the_way(&disk.root, path, errno),
    })
}

/// Flushes a new name and describes the file as it is now.
pub(super) fn settled(disk: &Disk, dir: &OwnedFd, path: &[u8], file: &File) -> Result<FileState> {
    let applied = |error: Error| error.with_effect(Effect::Applied);
    disk.sync_names(dir, split(path).0).map_err(applied)?;
    FileState::of(file).map_err(|errno| applied(failed_at("the new file cannot be examined", path, errno)))
}

/// The object does not have the expected tag.
pub(super) fn not_matching(path: &[u8]) -> Error {
    failed_at("the object does not have the expected tag", path, Errno::EXIST).with_kind(ErrorKind::PreconditionFailed)
}

fn already_there(disk: &Disk, dir: &OwnedFd, path: &[u8]) -> Error {
    let error = || failed_at("the object is there already", path, Errno::EXIST);
    refuse_folder(disk, dir, path).err().unwrap_or_else(error)
}

/// What exists at a path, if anything. Where links are followed, a link stands for its
/// target.
pub(super) fn current(disk: &Disk, dir: &OwnedFd, path: &[u8]) -> Option<FileState> {
    let state = statat(dir, split(path).1, AtFlags::SYMLINK_NOFOLLOW).map(FileState::from).ok()?;
    if state.kind() == FileType::Symlink && disk.settings.symlinks == Symlinks::Follow {
        return disk.root.open(path, READ).and_then(FileState::of).ok();
    }
    Some(state)
}

fn folder_removed(path: &[u8]) -> Error {
    failed_at("the folder was removed again and again while it was written to", path, Errno::NOENT)
        .with_kind(ErrorKind::Io)
        .with_retry(RetryClass::Now)
}

impl Disk {
    /// Removes a folder and its parents, while they are empty and longer than `keep`
    /// bytes. Returns the first that remains.
    pub(super) fn prune<'a>(&self, mut folder: &'a [u8], keep: usize) -> &'a [u8] {
        while folder.len() > keep {
            let (above, name) = split(folder);
            let (Ok(dir), Ok(parent)) = (self.root.directory(folder), self.root.directory(above)) else { break };
            let removed = locked(&dir, false, || {
                unlinkat(&parent, name, AtFlags::REMOVEDIR).map_err(|errno| failed("the folder stays", errno))
            });
            if removed.is_err() {
                break;
            }
            folder = above;
        }
        folder
    }
}

/// Whether an open directory has been removed.
pub(super) fn is_removed(dir: &OwnedFd) -> bool {
    fstat(dir).is_ok_and(|stat| stat.st_nlink == 0)
}

/// A file without a name, if the file system and the operating system support creating it
/// and naming it later.
#[cfg(target_os = "linux")]
fn nameless(dir: &OwnedFd) -> Option<OwnedFd> {
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = retry_on_intr(|| openat(dir, ".", flags, Mode::from_raw_mode(0o666))).ok()?;
    rustix::fs::access(by_number(&file), rustix::fs::Access::EXISTS).ok().map(|()| file)
}

#[cfg(not(target_os = "linux"))]
fn nameless(_: &OwnedFd) -> Option<OwnedFd> {
    None
}

fn link(file: &File, dir: &OwnedFd, name: &[u8]) -> rustix::io::Result<()> {
    linkat(rustix::fs::CWD, by_number(file), dir, name, AtFlags::SYMLINK_FOLLOW)
}

fn by_number(file: &impl std::os::fd::AsRawFd) -> String {
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::local::LocalConfig;
    use lepton_core::{ETag, SystemRuntime};
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn files_with_and_without_a_name_are_published_alike_or_go() {
        for nameless in [nameless as fn(&OwnedFd) -> Option<OwnedFd>, |_| None] {
            let dir = tempfile::tempdir().unwrap();
            let settings = LocalConfig { root: dir.path().into(), ..LocalConfig::default() };
            let disk = Arc::new(Disk::open(settings, SystemRuntime::shared()).unwrap());
            let put = |text: &str, condition| {
                let temp = Temp::create_by(&disk, b"a/b/x", nameless).unwrap();
                temp.file().write_all_at(text.as_bytes(), 0).unwrap();
                temp.publish(&condition).map(|state| state.etag())
            };
            let read = || std::fs::read_to_string(dir.path().join("a/b/x")).unwrap();
            let left = || std::fs::read_dir(dir.path().join("a/b")).unwrap().count();

            drop(Temp::create_by(&disk, b"a/b/x", nameless).unwrap());
            assert!(std::fs::read_dir(dir.path()).unwrap().next().is_none(), "nothing is left of a file given up");
            let first = put("1", Precondition::IfAbsent).unwrap();
            assert_eq!(put("2", Precondition::IfAbsent).unwrap_err().kind(), ErrorKind::AlreadyExists);
            let wrong = put("2", Precondition::IfMatch(ETag::new("other"))).unwrap_err();
            assert_eq!((wrong.kind(), read().as_str(), left()), (ErrorKind::PreconditionFailed, "1", 1));
            put("2", Precondition::IfMatch(first)).unwrap();
            put("3", Precondition::None).unwrap();
            assert_eq!((read().as_str(), left()), ("3", 1));
        }
    }
}
