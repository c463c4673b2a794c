//! The manifest: the proof of a transfer, one JSON object a line.
//!
//! The first line names the format and the stores, each further line an object,
//! the last one their count and the SHA-256 of every byte before it, so that a
//! manifest with a line cut out or its end missing never verifies. The format is
//! in `docs/formats/manifest.md`.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use lepton_core::{
    Attribute, ETag, Error, ErrorKind, ObjectKey, ObjectMeta, Result, ServerCheck, Sha256, TreeDigest, VersionId,
    root_of_parts,
};
use serde::{Deserialize, Serialize};

use sha2::Digest as _;

use crate::compare::Basis;
use crate::diff::Reason;
use crate::plan::Entry;

/// The version of the format that this code writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

/// The longest line that a reader accepts: an object of 10,000 parts needs
/// under 1 MiB.
const MAX_LINE: u64 = 8 << 20;

/// How the bytes that were read compare with what the source states of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SourceCheck {
    /// They have the checksum that the source keeps.
    Stored,
    /// The source keeps none that compares; TLS protected them on the way.
    Transport,
    /// Nothing but the operating system and TCP protected them.
    #[default]
    None,
}

impl SourceCheck {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

fn unchecked() -> ServerCheck {
    ServerCheck::None
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_unchecked(check: &ServerCheck) -> bool {
    *check == ServerCheck::None
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// An object as the manifest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ManifestEntry {
    /// Its key at the destination.
    pub key: ObjectKey,
    /// Its key at the source.
    pub source_key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// Why it was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// It was not copied: by this, the destination had the same. Such an entry has
    /// no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<Basis>,
    /// The SHA-256 tree hash of its bytes, with leaves of 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256_tree: Option<Sha256>,
    /// The size of the pieces that `parts` are the roots of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part_size: u64,
    /// The tree hash of each piece; empty if there is one piece only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Sha256>,
    /// The CRC-64/NVME of its bytes, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64nvme: Option<String>,
    /// The tag of the source that was read. Without tag and version the source
    /// was not pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_etag: Option<ETag>,
    /// The version of the source that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<VersionId>,
    /// How the bytes compare with what the source states.
    #[serde(default, skip_serializing_if = "SourceCheck::is_none")]
    pub source_check: SourceCheck,
    /// The tag that the destination gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<ETag>,
    /// The version that the destination gave.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// What the destination checked of the bytes it took.
    #[serde(default = "unchecked", skip_serializing_if = "is_unchecked")]
    pub check: ServerCheck,
    /// Metadata that the destination could not keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Attribute>,
    /// Whether the source had got another version, or had lost the object, by the
    /// time the version that was listed had been copied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
}

impl ManifestEntry {
    /// The line of an object that the destination had already.
    pub(crate) fn unchanged(entry: &Entry, there: &ObjectMeta, basis: Basis) -> Self {
        Self {
            key: entry.target.clone(),
            source_key: entry.source.key.clone(),
            size: entry.source.size,
            reason: None,
            unchanged: Some(basis),
            sha256_tree: None,
            part_size: 0,
            parts: Vec::new(),
            crc64nvme: None,
            source_etag: entry.source.etag.clone(),
            source_version: entry.source.version.clone(),
            source_check: SourceCheck::None,
            etag: there.etag.clone(),
            version: there.version.clone(),
            check: ServerCheck::None,
            lost: Vec::new(),
            superseded: false,
        }
    }

    /// Whether another object was at the destination before.
    pub(crate) fn replaced(&self) -> bool {
        self.reason.is_some_and(|reason| reason != Reason::New)
    }

    /// The digest of the object, if it was copied.
    pub fn digest(&self) -> Option<TreeDigest> {
        Some(TreeDigest { root: self.sha256_tree?, len: self.size })
    }

    /// Whether the entry is of one piece: it has digests unless it was unchanged,
    /// the roots of the parts give the root of the object, and are as many as size
    /// and part size say.
    pub fn is_consistent(&self) -> bool {
        let Some(root) = self.sha256_tree else {
            return self.unchanged.is_some() && self.parts.is_empty() && self.crc64nvme.is_none();
        };
        let count = self.size.div_ceil(self.part_size.max(1));
        let fits = match self.parts.as_slice() {
            [] => count <= 1,
            parts => parts.len() as u64 == count && root_of_parts(parts) == root,
        };
        fits && self.unchanged.is_none() && self.crc64nvme.is_some()
    }
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    lepton_manifest: u32,
    source: String,
    destination: String,
}

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
}

/// Writes a manifest: beside its place, then renamed into it.
pub(crate) struct ManifestWriter {
    path: PathBuf,
    temporary: PathBuf,
    file: BufWriter<File>,
    hasher: sha2::Sha256,
    objects: u64,
    bytes: u64,
}

impl ManifestWriter {
    pub(crate) fn create(path: &Path, source: &str, destination: &str) -> Result<Self> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".tmp");
        let temporary = PathBuf::from(temporary);
        let file = File::create(&temporary).map_err(|e| failed("cannot create the manifest", &temporary, e))?;
        let mut writer = Self {
            path: path.to_owned(),
            temporary,
            file: BufWriter::with_capacity(256 << 10, file),
            hasher: sha2::Sha256::new(),
            objects: 0,
            bytes: 0,
        };
        let (source, destination) = (source.to_owned(), destination.to_owned());
        let header = serde_json::to_vec(&Header { lepton_manifest: MANIFEST_VERSION, source, destination });
        writer.line(&header.map_err(unexpected)?)?;
        Ok(writer)
    }

    /// Adds an object by its line, as the journal has it.
    pub(crate) fn add(&mut self, line: &[u8]) -> Result<()> {
        #[derive(Deserialize)]
        struct Size {
            size: u64,
        }
        let Size { size } = serde_json::from_slice(line).map_err(unexpected)?;
        self.objects += 1;
        self.bytes += size;
        self.line(line)
    }

    fn line(&mut self, line: &[u8]) -> Result<()> {
        for bytes in [line, b"\n"] {
            self.hasher.update(bytes);
            self.file.write_all(bytes).map_err(|e| failed("cannot write the manifest", &self.temporary, e))?;
        }
        Ok(())
    }

    /// Ends the manifest and puts it into its place.
    pub(crate) fn finish(mut self) -> Result<()> {
        let sha256 = Sha256(self.hasher.clone().finalize().into());
        let end = Totals { objects: self.objects, bytes: self.bytes, sha256 };
        let trailer = serde_json::to_vec(&Trailer { end }).map_err(unexpected)?;
        self.line(&trailer)?;
        let synced = self.file.flush().and_then(|()| self.file.get_ref().sync_all());
        synced.map_err(|e| failed("cannot write the manifest", &self.temporary, e))?;
        std::fs::rename(&self.temporary, &self.path).map_err(|e| failed("cannot place the manifest", &self.path, e))?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|e| failed("cannot sync the manifest's folder", folder, e))
    }
}

/// Reads a manifest entry by entry, checking that none is missing. Blocks.
///
/// After the last entry the reader compares count and digest; only a reader that
/// has ended without an error has read a whole manifest.
#[derive(Debug)]
pub struct ManifestReader<R = BufReader<File>> {
    input: R,
    header: Header,
    hasher: sha2::Sha256,
    line: u64,
    objects: u64,
    bytes: u64,
    ended: bool,
}

impl ManifestReader {
    /// Opens a manifest.
    ///
    /// # Errors
    /// `not_found`; `corrupt` if it is not a manifest; `unsupported` if its
    /// version is not known.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|e| failed("cannot open the manifest", path, e))?;
        Self::new(BufReader::with_capacity(256 << 10, file)).map_err(|e| e.with_context("path", path.display()))
    }
}

impl<R: BufRead> ManifestReader<R> {
    /// Reads a manifest from anywhere.
    ///
    /// # Errors
    /// As [`open`](ManifestReader::open).
    pub fn new(input: R) -> Result<Self> {
        let header = Header { lepton_manifest: 0, source: String::new(), destination: String::new() };
        let hasher = sha2::Sha256::new();
        let mut reader = Self { input, header, hasher, line: 0, objects: 0, bytes: 0, ended: false };
        let line = reader.read_line()?.ok_or_else(|| corrupt(1, "the file is empty"))?;
        reader.header = serde_json::from_slice(&line).map_err(|e| corrupt(1, &format!("not a manifest: {e}")))?;
        if reader.header.lepton_manifest != MANIFEST_VERSION {
            let version = reader.header.lepton_manifest;
            let message =
                format!("manifest version {version}; this version of Lepton reads version {MANIFEST_VERSION}");
            return Err(Error::unsupported(message));
        }
        reader.hasher.update(&line);
        Ok(reader)
    }

    /// The URL of the source.
    pub fn source(&self) -> &str {
        &self.header.source
    }

    /// The URL of the destination.
    pub fn destination(&self) -> &str {
        &self.header.destination
    }

    fn read_line(&mut self) -> Result<Option<Vec<u8>>> {
        use std::io::Read as _;
        let mut line = Vec::new();
        let read = self.input.by_ref().take(MAX_LINE).read_until(b'\n', &mut line);
        read.map_err(|e| Error::io("cannot read the manifest", e).with_operation("manifest"))?;
        self.line += 1;
        Ok((!line.is_empty()).then_some(line))
    }

    fn entry(&mut self) -> Result<Option<ManifestEntry>> {
        let line =
            self.read_line()?.ok_or_else(|| corrupt(self.line, "the manifest is cut off: its last line is missing"))?;
        if let Ok(Trailer { end }) = serde_json::from_slice(&line) {
            self.check_end(end)?;
            return Ok(None);
        }
        let entry: ManifestEntry =
            serde_json::from_slice(&line).map_err(|e| corrupt(self.line, &format!("not an entry: {e}")))?;
        if !line.ends_with(b"\n") {
            return Err(corrupt(self.line, "the manifest is cut off"));
        }
        if !entry.is_consistent() {
            return Err(corrupt(self.line, &format!("the parts of {} do not give its digest", entry.key)));
        }
        self.hasher.update(&line);
        self.objects += 1;
        let bytes = self.bytes.checked_add(entry.size);
        self.bytes = bytes.ok_or_else(|| corrupt(self.line, "the sizes sum up to more than there can be"))?;
        Ok(Some(entry))
    }

    fn check_end(&mut self, end: Totals) -> Result<()> {
        if self.read_line()?.is_some() {
            return Err(corrupt(self.line, "something follows the manifest's last line"));
        }
        let found =
            Totals { objects: self.objects, bytes: self.bytes, sha256: Sha256(self.hasher.clone().finalize().into()) };
        if found != end {
            let message = format!(
                "the manifest was changed: it ends with {} objects, {} bytes and digest {}, but holds {}, {} and {}",
                end.objects, end.bytes, end.sha256, found.objects, found.bytes, found.sha256
            );
            return Err(corrupt(self.line, &message));
        }
        Ok(())
    }
}

impl<R: BufRead> Iterator for ManifestReader<R> {
    type Item = Result<ManifestEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let entry = self.entry().transpose();
        self.ended = !matches!(entry, Some(Ok(_)));
        entry
    }
}

fn corrupt(line: u64, why: &str) -> Error {
    Error::new(ErrorKind::Corrupt, why.to_owned()).with_operation("manifest").with_context("line", line)
}

fn unexpected(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::Unexpected, "a manifest line cannot be written").with_source(error)
}

fn failed(what: &'static str, path: &Path, error: std::io::Error) -> Error {
    Error::io(what, error).with_operation("manifest").with_context("path", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<ManifestEntry>> {
        ManifestReader::new(bytes)?.collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, from in 0usize..200, to in 0usize..200) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m");
            let writer = ManifestWriter::create(&path, "memory:a", "memory:b").unwrap();
            writer.finish().unwrap();
            let whole = std::fs::read(&path).unwrap();
            prop_assert!(read(&whole).unwrap().is_empty());
            let cut = [&whole[..from.min(whole.len())], &bytes, &whole[to.min(whole.len())..]].concat();
            if cut != whole {
                prop_assert!(read(&cut).is_err());
            }
        }
    }
}
