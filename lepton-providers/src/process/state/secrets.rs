//! The values of secrets, which outlive the driver but not the machine.
//!
//! The supervisor restarts replicas while no driver lives, so the values must be somewhere. They
//! are in a file that only the user can read, in a folder of its own in memory (a tmpfs), never
//! in the state folder; they are gone after a reboot, and overwritten before they are removed.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use lepton_core::deployment::Secrets;
use lepton_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use secrecy::zeroize::Zeroize as _;

use super::files::{create_folder, damaged, failed, is_gone, private_file, remove};
use super::state_dir::folder_names;
use super::workload::KeptSecrets;

/// The values by the names of their variables. They do not print.
pub(in crate::process) type Values = BTreeMap<String, SecretString>;

/// The number by which the system names a tmpfs.
const TMPFS: u64 = 0x0102_1994;

/// A folder in memory, if the machine has one.
pub(in crate::process) fn default_folder() -> Option<PathBuf> {
    let user = rustix::process::getuid().as_raw();
    let session = std::env::var_os("XDG_RUNTIME_DIR").map(|folder| PathBuf::from(folder).join("lepton"));
    let shared = PathBuf::from(format!("/dev/shm/lepton-{user}"));
    let in_memory = |folder: &PathBuf| {
        let above = folder.parent().unwrap_or(folder);
        above.is_absolute() && rustix::fs::statfs(above).is_ok_and(|found| u64::try_from(found.f_type) == Ok(TMPFS))
    };
    session.into_iter().chain([shared]).find(in_memory)
}

/// Makes a folder that only this user can enter, and refuses one that somebody else has made.
pub(in crate::process) fn own_folder(folder: &Path) -> Result<()> {
    create_folder(folder)?;
    let found = fs::symlink_metadata(folder).map_err(|error| failed("the folder cannot be read", folder, error))?;
    if is_own(&found) {
        return Ok(());
    }
    let message = "the folder for the values of secrets must belong to this user and have mode 700";
    Err(Error::new(ErrorKind::PermissionDenied, message).with_context("path", folder.display()))
}

/// Whether only this user can enter the folder.
fn is_own(found: &fs::Metadata) -> bool {
    let private = found.permissions().mode() & 0o077 == 0;
    found.is_dir() && found.uid() == rustix::process::getuid().as_raw() && private
}

/// Writes the values. The folder exists.
pub(in crate::process) fn write_values(path: &Path, secrets: &Secrets) -> Result<()> {
    let values: BTreeMap<&str, &str> = secrets.expose().collect();
    // Large enough from the start, so that no smaller copy is left in memory.
    let size: usize = values.iter().map(|(name, value)| 6 * (name.len() + value.len()) + 16).sum();
    let mut bytes = Vec::with_capacity(size + 16);
    let written = serde_json::to_writer(&mut bytes, &values);
    let temporary = path.with_extension("tmp");
    let stored = written.map_err(std::io::Error::other).and_then(|()| {
        let mut file = private_file(&temporary)?;
        file.write_all(&bytes)?;
        fs::rename(&temporary, path)
    });
    bytes.zeroize();
    stored.map_err(|error| failed("the values of the secrets cannot be kept", path, error))
}

/// Reads the values; `None` if they are gone.
pub(in crate::process) fn read_values(path: &Path) -> Result<Option<Values>> {
    let mut bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(failed("the values of the secrets cannot be read", path, error)),
    };
    let values = serde_json::from_slice(&bytes);
    bytes.zeroize();
    // The cause could quote a value.
    values.map(Some).map_err(|_| damaged(path, "it does not hold names and values"))
}

/// Wipes the values in the folders of these secrets, except for the files that are `needed`, and
/// removes the folders that are then empty. The caller holds the lock of the state folder, under which
/// new values are written.
pub(in crate::process) fn wipe_unused<'a>(
    kept: impl Iterator<Item = &'a KeptSecrets>,
    needed: &BTreeSet<PathBuf>,
) -> Result<()> {
    let folders: BTreeSet<_> = kept.filter_map(|kept| kept.file.parent()).collect();
    folders.into_iter().try_for_each(|folder| wipe_folder(folder, needed))
}

/// Wipes all values in a folder, which is that of one workload, if there is such a folder and only
/// this user can enter it. The caller holds the lock of the state folder.
pub(in crate::process) fn wipe_all(folder: &Path) -> Result<()> {
    match fs::symlink_metadata(folder) {
        Ok(found) if is_own(&found) => wipe_folder(folder, &BTreeSet::new()),
        // Nobody has written values there.
        _ => Ok(()),
    }
}

fn wipe_folder(folder: &Path, needed: &BTreeSet<PathBuf>) -> Result<()> {
    for name in folder_names(folder)? {
        let path = folder.join(name);
        if !needed.contains(&path) {
            wipe(&path)?;
        }
    }
    for folder in [Some(folder), folder.parent()].into_iter().flatten() {
        // It stays while it holds something.
        let _ = fs::remove_dir(folder);
    }
    Ok(())
}

/// Overwrites the values and removes their file.
fn wipe(path: &Path) -> Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => {
            let length = file.metadata().map_or(0, |found| found.len());
            let zeros = vec![0; usize::try_from(length.min(1 << 20)).unwrap_or(0)];
            // Removing it is what counts; what is in memory is reused anyway.
            let _ = file.write_all(&zeros);
        }
        Err(error) if is_gone(&error) => return Ok(()),
        Err(_) => {}
    }
    remove(path)
}
