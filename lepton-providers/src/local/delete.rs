//! Deleting: the file, then the folders that are left empty.

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton_core::{DeleteRequest, ETag, Effect, Error, Result, RetryClass};
use rustix::fs::{AtFlags, FileType, statat, unlinkat};
use rustix::io::Errno;

use super::config::Symlinks;
use super::contain::split;
use super::disk::{Disk, named};
use super::error::failed_at;
use super::folder::locked;
use super::metadata::FileState;
use super::read::{not_opened, root_removed};
use super::temp::{current, is_removed, not_matching};

/// Deletes objects one by one, then flushes each folder once. An entry that is not an
/// object (a folder that is not empty, a link that is not followed) is left alone.
pub(super) fn delete(disk: &Arc<Disk>, requests: &[DeleteRequest]) -> Result<Vec<Result<()>>> {
    if is_removed(disk.root.dir()) {
        return Err(root_removed());
    }
    let mut touched = BTreeSet::new();
    let one = |request: &DeleteRequest| {
        let done = remove(disk, request).map(|removed| touched.extend(removed));
        done.map_err(|error| named(error, "delete", Some(&request.key)))
    };
    let results = requests.iter().map(one).collect();
    // In byte order, a folder comes before what is below it, so the reverse order goes
    // from the deepest up.
    for folder in touched.iter().rev() {
        let left = if disk.markers() { folder } else { disk.prune(folder, 0) };
        let flushed = match disk.root.directory(left) {
            Ok(dir) => disk.sync_names(&dir, left),
            // It was removed along with a folder that was pruned before.
            Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(failed_at("the folder cannot be flushed to the disk", left, errno)),
        };
        flushed.map_err(|error| error.with_effect(Effect::Unknown).with_retry(RetryClass::Now))?;
    }
    Ok(results)
}

/// Deletes one object. Returns its folder if there was an object to delete.
fn remove(disk: &Disk, request: &DeleteRequest) -> Result<Option<Vec<u8>>> {
    if request.version.is_some() {
        return Err(Error::unsupported("a disk keeps no versions"));
    }
    let (path, folder) = disk.path(&request.key)?;
    let (parent, name) = split(path);
    let dir = match disk.root.directory(parent) {
        Ok(dir) => dir,
        Err(errno) => match not_opened(disk, path, errno) {
            error if error.kind() == lepton_core::ErrorKind::NotFound => return Ok(None),
            error => return Err(error),
        },
    };
    let removed = locked(&dir, request.if_match.is_some(), || {
        let state = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileState::from(stat),
            Err(Errno::NOENT) => return Ok(false),
            Err(errno) => return Err(failed_at("the file cannot be examined", path, errno)),
        };
        let is_object = match state.kind() {
            FileType::RegularFile => !folder,
            FileType::Directory => folder,
            FileType::Symlink => disk.settings.symlinks == Symlinks::Follow && !folder,
            _ => false,
        };
        if !is_object {
            return Ok(false);
        }
        let matches = |etag: &ETag| current(disk, &dir, path).is_some_and(|current| current.etag() == *etag);
        if !request.if_match.as_ref().is_none_or(matches) {
            return Err(not_matching(path));
        }
        match unlinkat(&dir, name, if folder { AtFlags::REMOVEDIR } else { AtFlags::empty() }) {
            Ok(()) => Ok(true),
            // A folder that is not empty is not a marker.
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => Ok(false),
            Err(errno) => Err(failed_at("the file cannot be deleted", path, errno)),
        }
    })?;
    Ok(removed.then(|| parent.to_vec()))
}
