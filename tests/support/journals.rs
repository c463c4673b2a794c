//! Folders for the files that runs leave behind.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use super::places::secrets;
use super::search::Search;

static SEARCH: LazyLock<Search> = LazyLock::new(|| Search::new(secrets()));

/// A folder for journals and manifests, which must not contain a secret of the test servers
/// when its test ends.
pub struct Journals(tempfile::TempDir);

impl Journals {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Journals {
    fn drop(&mut self) {
        // Do not add a second failure.
        if std::thread::panicking() {
            return;
        }
        for file in files(self.path()) {
            // A process that is ending may remove a file in the meantime.
            let Ok(bytes) = std::fs::read(&file) else { continue };
            let found = SEARCH.found(&bytes);
            assert!(found.is_empty(), "{}: secrets, and where they are: {found:?}", file.display());
        }
    }
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}
