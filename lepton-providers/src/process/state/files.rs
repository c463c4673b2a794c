//! Files that are whole or absent, and locks.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use lepton_core::{Effect, Error, ErrorKind, Result};
use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The version of the files.
pub(super) const VERSION: u32 = 1;

/// The largest file that is read as state.
const LARGEST: u64 = 64 << 20;

/// The error of a failed call on a file.
pub(in crate::process) fn failed(what: &'static str, path: &Path, error: io::Error) -> Error {
    Error::io(what, error).with_context("path", path.display())
}

/// The error for a file that does not hold what it should.
pub(in crate::process) fn damaged(path: &Path, why: impl std::fmt::Display) -> Error {
    let message = format!("the state file is damaged: {why}; restore it, or end its processes and remove it");
    Error::new(ErrorKind::InvalidInput, message).with_context("path", path.display())
}

/// The error for a file of another version of Lepton.
fn other_version(path: &Path, version: u32) -> Error {
    let message = format!("the state file has version {version}; this version of Lepton reads {VERSION}");
    Error::unsupported(message).with_context("path", path.display())
}

/// Whether the error means that something does not exist.
pub(in crate::process) fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// Creates a folder that only its owner can enter, if it does not exist.
pub(in crate::process) fn create_folder(path: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|error| failed("the folder cannot be created", path, error))
}

/// A new file for its owner only.
pub(in crate::process) fn private_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// Replaces a file by these bytes; where `durable`, they are on the disk when it returns. There
/// is one writer at a time.
pub(in crate::process) fn write(path: &Path, bytes: &[u8], durable: bool) -> Result<()> {
    let temporary = temporary(path, "tmp");
    let written = private_file(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        if durable { file.sync_all() } else { Ok(()) }
    });
    written.map_err(|error| failed("the file cannot be written", path, error))?;
    fs::rename(&temporary, path)
        .map_err(|error| failed("the file cannot be replaced", path, error).with_effect(Effect::Unknown))?;
    if durable { sync_folder(path) } else { Ok(()) }
}

/// Replaces a file by a value.
pub(in crate::process) fn write_json(path: &Path, value: &impl Serialize, durable: bool) -> Result<()> {
    write(path, &json(path, value)?, durable)
}

/// Creates a file that holds a value, unless one with this name exists: then it returns `false`
/// and changes nothing. The file that was made is returned to `keep`, before it has its name.
pub(in crate::process) fn link_json(
    path: &Path,
    value: &impl Serialize,
    keep: impl FnOnce(File) -> io::Result<()>,
) -> Result<bool> {
    let temporary = temporary(path, &std::process::id().to_string());
    let write = || {
        let mut file = private_file(&temporary)?;
        file.write_all(&json(path, value).map_err(io::Error::other)?)?;
        file.sync_all()?;
        keep(file)?;
        match fs::hard_link(&temporary, path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    };
    let linked = write();
    // What is left of it is removed with the folder.
    let _ = fs::remove_file(&temporary);
    let linked = linked.map_err(|error| failed("the file cannot be created", path, error))?;
    sync_folder(path)?;
    Ok(linked)
}

fn json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec_pretty(value).map_err(|error| failed("the value cannot be written", path, error.into()))
}

fn temporary(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{ending}"))
}

/// Flushes the name of a file.
pub(in crate::process) fn sync_folder(path: &Path) -> Result<()> {
    let folder = path.parent().unwrap_or(path);
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| failed("the folder cannot be flushed", folder, error).with_effect(Effect::Applied))
}

/// Reads a value; `None` if there is no file.
pub(in crate::process) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let read = || {
        if fs::metadata(path)?.len() > LARGEST {
            return Err(io::Error::other("it is too large"));
        }
        fs::read(path)
    };
    match read() {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| damaged(path, error)),
        Err(error) if is_gone(&error) => Ok(None),
        Err(error) => Err(failed("the file cannot be read", path, error)),
    }
}

/// Reads a value of this version; `None` if there is no file.
///
/// # Errors
/// `unsupported` for another version, whose fields may be others.
pub(super) fn read_versioned<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    match read_json::<Versioned>(path)? {
        Some(found) if found.version != VERSION => Err(other_version(path, found.version)),
        Some(_) => read_json(path),
        None => Ok(None),
    }
}

/// Removes a file or a folder with all that is in it, if it is there.
pub(in crate::process) fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if !is_gone(&error) => Err(failed("it cannot be removed", path, error)),
        _ => Ok(()),
    }
}

/// A private file that is not truncated.
pub(super) fn kept_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(path)
}

/// Takes a lock, which ends with the file, unless another process has it.
pub(in crate::process) fn try_lock(path: &Path) -> Result<Option<File>> {
    let file = kept_file(path).map_err(|error| failed("the lock cannot be opened", path, error))?;
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(errno) => Err(failed("the lock cannot be taken", path, errno.into())),
    }
}
