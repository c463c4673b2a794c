//! Ending a journal, or beginning it anew: in steps that are gone through to their end when
//! the folder is opened after a crash.

use std::fs;
use std::path::Path;

use super::folder::{at, segment_path, sync_folder};
use super::replay;
use crate::error::{Error, Result};

/// The file that says that the segments beside it are being removed.
pub(super) const DISCARD: &str = "journal.discard";

/// The first segment of a journal that begins anew. While it has this name, the segments
/// beside it are void.
pub(super) const NEXT: &str = "journal.next";

/// Removes the segments of a journal that is marked as discarded. The marker goes
/// last, so that a crash on the way never leaves a shorter journal behind.
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

/// Puts the first segment of a journal that begins anew into the place of the old ones.
pub(super) fn finish_restart(folder: &Path) -> Result<()> {
    for (_, segment) in replay::numbered(folder)? {
        fs::remove_file(&segment).map_err(|e| at(Error::io("cannot remove a part of the journal", e), &segment))?;
    }
    sync_folder(folder)?;
    let (from, to) = (folder.join(NEXT), segment_path(folder, 1));
    fs::rename(&from, &to).map_err(|e| at(Error::io("cannot begin the journal anew", e), &from))?;
    sync_folder(folder)
}
