//! A folder: its lock, and new files in it.

use std::os::fd::OwnedFd;

use lepton_core::Result;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, openat};
use rustix::io::retry_on_intr;

use super::error::failed;

/// Creates a file with this name.
pub(super) fn create_new(dir: &OwnedFd, name: &str) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    retry_on_intr(|| openat(dir, name, flags, Mode::from_raw_mode(0o666)))
}

/// Runs `work` under the lock of a folder, if nobody has it and the file system has locks; `None`
/// otherwise.
pub(super) fn if_unlocked<T>(dir: &OwnedFd, work: impl FnOnce() -> T) -> Option<T> {
    retry_on_intr(|| flock(dir, FlockOperation::NonBlockingLockExclusive)).ok()?;
    let done = work();
    // Closing the directory unlocks it too.
    let _ = flock(dir, FlockOperation::Unlock);
    Some(done)
}

/// Runs `work` under the lock of a folder. File systems without locks (some network file
/// systems) run it unlocked, unless a lock is `needed`.
pub(super) fn locked<T>(dir: &OwnedFd, needed: bool, work: impl FnOnce() -> Result<T>) -> Result<T> {
    if let Err(errno) = retry_on_intr(|| flock(dir, FlockOperation::LockExclusive))
        && needed
    {
        return Err(failed("the folder cannot be locked, which conditions need", errno));
    }
    let done = work();
    // Closing the directory unlocks it too.
    let _ = flock(dir, FlockOperation::Unlock);
    done
}
