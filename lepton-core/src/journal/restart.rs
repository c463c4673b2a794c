//! Discarding a journal, or replacing it by a new one. If a crash interrupts the steps, the
//! next open of the folder completes them.

use std::fs;
use std::path::Path;

use super::folder::{at, segment_path, sync_folder};
use super::replay;
use crate::error::{Error, Result};

/// The file that marks the segments next to it as being removed.
pub(super) const DISCARD: &str = "journal.discard";

/// The first segment of the new journal in a restart. While it has this name, the segments
/// next to it are void.
pub(super) const NEXT: &str = "journal.next";

/// Removes the segments of a journal that is marked as discarded. The marker is removed
/// last, so that a crash in between never leaves a shortened journal behind.
pub(super) fn finish_discard(folder: &Path) -> Result<()> {
    let remove =
        |path: &Path| fs::remove_file(path).map_err(|e| at(Error::io("cannot remove a part of the journal", e), path));
    for (_, segment) in replay::numbered(folder)? {
        remove(&segment)?;
    }
    let next = folder.join(NEXT);
    if next.exists() {
        remove(&next)?;
    }
    sync_folder(folder)?;
    remove(&folder.join(DISCARD))?;
    sync_folder(folder)
}

/// Replaces the old segments by the first segment of the new journal.
pub(super) fn finish_restart(folder: &Path) -> Result<()> {
    for (_, segment) in replay::numbered(folder)? {
        fs::remove_file(&segment).map_err(|e| at(Error::io("cannot remove a part of the journal", e), &segment))?;
    }
    sync_folder(folder)?;
    let (from, to) = (folder.join(NEXT), segment_path(folder, 1));
    fs::rename(&from, &to).map_err(|e| at(Error::io("cannot begin the journal anew", e), &from))?;
    sync_folder(folder)
}
