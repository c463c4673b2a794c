//! The folder of a journal: its file names, and errors about them.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

pub(super) fn at(error: Error, path: &Path) -> Error {
    error.with_operation("journal").with_context("path", path.display())
}

pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|e| at(Error::io("cannot sync the journal folder", e), folder))
}

pub(super) fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("journal-{number:06}.log"))
}
