//! Files with one JSON object per line, sealed by their last line. It has the number
//! of objects, the sum of their sizes and the SHA-256 of every byte before it, so
//! that a file with a missing line or a missing end is never taken as complete.

use std::fs::File;
use std::io::{BufRead, BufWriter, Read as _, Write as _};
use std::path::{Path, PathBuf};

use lepton_core::{Error, ErrorKind, Result, Sha256};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::Digest as _;

use crate::ledger::report::Status;
use crate::types::file::{failed, temporary, to_json};

/// The longest line that a reader accepts: an object of 10,000 parts needs
/// under 1 MiB.
const MAX_LINE: u64 = 8 << 20;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Trailer {
    end: Totals,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Totals {
    objects: u64,
    bytes: u64,
    sha256: Sha256,
    /// How the run ended that wrote the file, if a run wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    status: Option<Status>,
    /// Objects that failed in it, which are not in the file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed: Option<u64>,
}

/// Writes a sealed file to a temporary file, then renames it.
pub(crate) struct SealedWriter {
    /// What the file is, for messages, such as `manifest`.
    what: &'static str,
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    hasher: sha2::Sha256,
    objects: u64,
    bytes: u64,
    placed: bool,
}

impl SealedWriter {
    pub(crate) fn create(path: &Path, what: &'static str, header: &impl Serialize) -> Result<Self> {
        let temporary = temporary(path);
        let file = File::create(&temporary).map_err(|e| failed("cannot create the file", what, &temporary, e))?;
        let mut writer = Self {
            what,
            path: path.to_owned(),
            temporary,
            file: BufWriter::with_capacity(256 << 10, file),
            hasher: sha2::Sha256::new(),
            objects: 0,
            bytes: 0,
            placed: false,
        };
        let header = to_json(header)?;
        writer.line(&header)?;
        Ok(writer)
    }

    /// Adds the line of an object of `size` bytes.
    pub(crate) fn add(&mut self, line: &[u8], size: u64) -> Result<()> {
        self.objects += 1;
        self.bytes += size;
        self.line(line)
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        for bytes in [line, b"\n"] {
            self.hasher.update(bytes);
            let written = self.file.write_all(bytes);
            written.map_err(|e| failed("cannot write the file", self.what, &self.temporary, e))?;
        }
        Ok(())
    }

    /// Seals the file and renames it to its path.
    pub(crate) fn finish(self) -> Result<()> {
        self.finish_run(None)
    }

    /// The same, with the end of the run in the last line: its status, and how many objects
    /// failed.
    pub(crate) fn finish_run(mut self, run: Option<(Status, u64)>) -> Result<()> {
        let sha256 = Sha256(self.hasher.clone().finalize().into());
        let (status, count) = run.unzip();
        let end = Totals { objects: self.objects, bytes: self.bytes, sha256, status, failed: count };
        self.line(&to_json(&Trailer { end })?)?;
        let what = self.what;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|e| failed("cannot write the file", what, &self.temporary, e))?;
        let placed = std::fs::rename(&self.temporary, &self.path);
        placed.map_err(|e| failed("cannot place the file", what, &self.path, e))?;
        self.placed = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| failed("cannot sync the folder", what, folder, e))
    }
}

/// A file that was not finished, for example on a full disk, is removed.
impl Drop for SealedWriter {
    fn drop(&mut self) {
        if !self.placed {
            // The error that ended the writing is the one to report.
            let _ = std::fs::remove_file(&self.temporary);
        }
    }
}

/// Reads a sealed file line by line. The file is complete only once [`next`](Self::next)
/// has returned `None`.
#[derive(Debug)]
pub(crate) struct SealedReader<R> {
    what: &'static str,
    input: R,
    hasher: sha2::Sha256,
    line: u64,
    objects: u64,
    bytes: u64,
    failed: u64,
}

impl<R: BufRead> SealedReader<R> {
    /// Starts reading, with the header.
    pub(crate) fn new<H: DeserializeOwned>(input: R, what: &'static str) -> Result<(Self, H)> {
        let mut reader = Self { what, input, hasher: sha2::Sha256::new(), line: 0, objects: 0, bytes: 0, failed: 0 };
        let line = reader.read_line()?.ok_or_else(|| reader.corrupt("the file is empty"))?;
        let header = serde_json::from_slice(&line).map_err(|e| reader.corrupt(&format!("not a {what}: {e}")))?;
        reader.hasher.update(&line);
        Ok((reader, header))
    }

    /// The next line; `None` after the last line, which shows that no line is missing.
    pub(crate) fn next<T: DeserializeOwned>(&mut self, size: impl Fn(&T) -> u64) -> Result<Option<T>> {
        let cut_off = |reader: &Self| reader.corrupt("the file is cut off: its last line is missing");
        let line = self.read_line()?.ok_or_else(|| cut_off(self))?;
        if let Ok(Trailer { end }) = serde_json::from_slice(&line) {
            self.check_end(end)?;
            return Ok(None);
        }
        let value =
            serde_json::from_slice(&line).map_err(|e| self.corrupt(&format!("not a line of a {}: {e}", self.what)))?;
        if !line.ends_with(b"\n") {
            return Err(cut_off(self));
        }
        self.hasher.update(&line);
        self.objects += 1;
        let bytes = self.bytes.checked_add(size(&value));
        self.bytes = bytes.ok_or_else(|| self.corrupt("the sizes sum up to more than there can be"))?;
        Ok(Some(value))
    }

    /// How many objects failed in the run that wrote the file, once its end was read.
    pub(crate) fn failed(&self) -> u64 {
        self.failed
    }

    /// The digest of the lines read so far. The digest of a complete file identifies it.
    pub(crate) fn digest(&self) -> Sha256 {
        Sha256(self.hasher.clone().finalize().into())
    }

    fn read_line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|e| Error::io("cannot read the file", e).with_operation(self.what))?;
        self.line += 1;
        Ok((!line.is_empty()).then_some(line))
    }

    fn check_end(&mut self, end: Totals) -> Result<()> {
        if self.read_line()?.is_some() {
            return Err(self.corrupt("something follows the last line"));
        }
        let Totals { status, failed, .. } = end;
        self.failed = failed.unwrap_or(0);
        let found = Totals { objects: self.objects, bytes: self.bytes, sha256: self.digest(), status, failed };
        if found != end {
            let message = format!(
                "the {} was changed: it ends with {} objects, {} bytes and digest {}, but holds {}, {} and {}",
                self.what, end.objects, end.bytes, end.sha256, found.objects, found.bytes, found.sha256
            );
            return Err(self.corrupt(&message));
        }
        Ok(())
    }

    /// The error for the line that was read last.
    pub(crate) fn corrupt(&self, why: &str) -> Error {
        Error::new(ErrorKind::Corrupt, why.to_owned()).with_operation(self.what).with_context("line", self.line)
    }
}

/// Refuses an unknown version of a format.
pub(crate) fn check_version(what: &str, found: u32, known: u32) -> Result<()> {
    if found == known {
        return Ok(());
    }
    let message = format!("{what} version {found}; this version of Lepton reads version {known}");
    Err(Error::unsupported(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_not_finished_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plan");
        let mut writer = SealedWriter::create(&path, "plan", &1).unwrap();
        writer.add(b"{}", 5).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        drop(writer);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        SealedWriter::create(&path, "plan", &1).unwrap().finish().unwrap();
        assert!(path.is_file() && std::fs::read_dir(folder.path()).unwrap().count() == 1);
    }
}
