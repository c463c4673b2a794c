//! The manifest: the proof of a transfer, with one JSON object per line.
//!
//! The first line names the format and the stores, each further line an object, and the
//! last line [seals](crate::ledger::sealed_lines) the file. The format is in
//! `docs/formats/manifest.md`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use lepton_core::{
    Attribute, ETag, Error, ErrorKind, ObjectKey, Result, ServerCheck, Sha256, TreeDigest, VersionId, root_of_parts,
};
use serde::{Deserialize, Serialize};

use crate::digest::checksum::SourceCheck;
use crate::ledger::report::Status;
use crate::ledger::sealed_lines;
use crate::ledger::sealed_lines::{SealedReader, SealedWriter};
use crate::types::reason::{ComparedBy, Reason};

/// The version of the manifest format that this code writes and reads.
pub const MANIFEST_VERSION: u32 = 1;

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

/// The position of a version in the history of its key, if all versions were moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct VersionNumber {
    /// Counted from 1, the oldest, as the source listed them.
    pub number: u64,
    /// The number of versions.
    pub of: u64,
}

/// The manifest line of an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ManifestEntry {
    /// Its key at the destination.
    pub key: ObjectKey,
    /// Its key at the source, if it differs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_key: Option<ObjectKey>,
    /// Its size in bytes.
    pub size: u64,
    /// Why it was copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// It was not copied, because on this basis the destination had the same object. Such
    /// an entry has no digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<ComparedBy>,
    /// The destination copied it by itself, and on this basis it is known to be right:
    /// what both stores state, or only the size. Such an entry has no digest, unless
    /// the copy was made on this machine and the source was read as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_copy: Option<ComparedBy>,
    /// The SHA-256 tree hash of its bytes, with leaves of 1 MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256_tree: Option<Sha256>,
    /// The size of the pieces whose roots are in `parts`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub part_size: u64,
    /// The tree hash of each piece; empty if there is only one piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Sha256>,
    /// The CRC-64/NVME of its bytes, as 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crc64nvme: Option<String>,
    /// The tag of the source that was read. Without tag and version the source
    /// was not pinned. For an unchanged object, the source's tag if it differs from the
    /// destination's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_etag: Option<ETag>,
    /// The version of the source that was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_version: Option<VersionId>,
    /// How the bytes compare with what the source states.
    #[serde(default, skip_serializing_if = "SourceCheck::is_none")]
    pub source_check: SourceCheck,
    /// The tag at the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<ETag>,
    /// The version at the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<VersionId>,
    /// What the destination checked of the bytes that it received.
    #[serde(default = "unchecked", skip_serializing_if = "is_unchecked")]
    pub check: ServerCheck,
    /// Metadata that the destination could not keep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Attribute>,
    /// Whether the source had another version, or no longer had the object, by the time the
    /// listed version had been copied.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub superseded: bool,
    /// Which version of its key it is, if all versions were moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<VersionNumber>,
    /// It is a version that marks the object as deleted. Without `version`, the destination
    /// made no marker, because there was nothing to delete.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delete_marker: bool,
}

impl ManifestEntry {
    /// Makes this the line of a version or delete marker in a history.
    pub(crate) fn of_history(self, history: VersionNumber, delete_marker: bool) -> Self {
        Self { history: Some(history), delete_marker, ..self }
    }

    /// Whether its bytes were read and nothing but the network's own checksums covered them.
    pub(crate) fn is_source_unchecked(&self) -> bool {
        self.sha256_tree.is_some() && self.size > 0 && self.source_check.is_none()
    }

    /// Its key at the source.
    pub fn source_key(&self) -> &ObjectKey {
        self.source_key.as_ref().unwrap_or(&self.key)
    }

    /// The line of the same pair in a transfer in the other direction.
    pub(crate) fn reversed(self) -> Self {
        let source_tag = self.source_etag.or_else(|| self.etag.clone().filter(|_| self.unchanged.is_some()));
        let (key, other) = match self.source_key {
            Some(source) => (source, Some(self.key)),
            None => (self.key, None),
        };
        Self {
            key,
            source_key: other,
            source_etag: self.etag,
            etag: source_tag,
            source_version: self.version,
            version: self.source_version,
            source_check: SourceCheck::default(),
            check: unchecked(),
            lost: Vec::new(),
            superseded: false,
            ..self
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

    /// Whether the fields of the entry are consistent: it has digests unless it was unchanged
    /// or copied by the store, the roots of the parts give the root of the object, and their
    /// number matches size and part size.
    pub fn is_consistent(&self) -> bool {
        if self.history.is_some_and(|history| history.number == 0 || history.number > history.of) {
            return false;
        }
        if self.delete_marker {
            let nothing = self.size == 0 && self.sha256_tree.is_none() && self.server_copy.is_none();
            return nothing && self.history.is_some() && self.parts.is_empty() && self.crc64nvme.is_none();
        }
        let Some(root) = self.sha256_tree else {
            let said = self.unchanged.is_some() != self.server_copy.is_some();
            return said && self.parts.is_empty() && self.crc64nvme.is_none();
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

const MANIFEST: &str = "manifest";

/// Writes a manifest to a temporary file, then renames it.
pub(crate) struct ManifestWriter(SealedWriter);

impl ManifestWriter {
    pub(crate) fn create(path: &Path, source: &str, destination: &str) -> Result<Self> {
        let (source, destination) = (source.to_owned(), destination.to_owned());
        let header = Header { lepton_manifest: MANIFEST_VERSION, source, destination };
        Ok(Self(SealedWriter::create(path, MANIFEST, &header)?))
    }

    /// Adds the line of an object, as recorded in the journal.
    pub(crate) fn add(&mut self, line: &[u8]) -> Result<()> {
        #[derive(Deserialize)]
        struct Size {
            size: u64,
        }
        let Size { size } = serde_json::from_slice(line).map_err(|error| {
            Error::new(ErrorKind::Unexpected, "a manifest line cannot be written").with_source(error)
        })?;
        self.0.add(line, size)
    }

    /// Seals the manifest of a run that ended so, with so many failed objects, and renames it
    /// to its path.
    pub(crate) fn finish(self, status: Status, failed: u64) -> Result<()> {
        self.0.finish_run(Some((status, failed)))
    }
}

/// Reads a manifest entry by entry and checks that none is missing. Blocks.
///
/// After the last entry the reader compares count and digest. Only a reader that
/// ended without an error has read a complete manifest.
#[derive(Debug)]
pub struct ManifestReader<R = BufReader<File>> {
    lines: SealedReader<R>,
    header: Header,
    ended: bool,
}

impl ManifestReader {
    /// Opens a manifest.
    ///
    /// # Errors
    /// `not_found`; `corrupt` if it is not a manifest; `unsupported` if its
    /// version is not known.
    pub fn open(path: &Path) -> Result<Self> {
        Self::new(crate::types::file::open(path, MANIFEST)?).map_err(|e| e.with_context("path", path.display()))
    }
}

impl<R: BufRead> ManifestReader<R> {
    /// Reads a manifest from any reader.
    ///
    /// # Errors
    /// As [`open`](ManifestReader::open).
    pub fn new(input: R) -> Result<Self> {
        let (lines, header): (_, Header) = SealedReader::new(input, MANIFEST)?;
        sealed_lines::check_version(MANIFEST, header.lepton_manifest, MANIFEST_VERSION)?;
        Ok(Self { lines, header, ended: false })
    }

    /// The URL of the source.
    pub fn source(&self) -> &str {
        &self.header.source
    }

    /// The URL of the destination.
    pub fn destination(&self) -> &str {
        &self.header.destination
    }

    /// How many objects failed in the run, which therefore have no entry; 0 before the last
    /// entry was read.
    pub fn failed(&self) -> u64 {
        self.lines.failed()
    }

    fn entry(&mut self) -> Result<Option<ManifestEntry>> {
        let Some(entry) = self.lines.next(|entry: &ManifestEntry| entry.size)? else { return Ok(None) };
        if !entry.is_consistent() {
            return Err(self.lines.corrupt(&format!("the parts of {} do not give its digest", entry.key)));
        }
        Ok(Some(entry))
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Result<Vec<ManifestEntry>> {
        ManifestReader::new(bytes)?.collect()
    }

    #[test]
    fn lines_of_a_history_are_of_one_piece() {
        let consistent = |line: &str| serde_json::from_str::<ManifestEntry>(line).unwrap().is_consistent();
        let digest = format!(r#""sha256_tree":"{}","crc64nvme":"0000000000000000""#, "00".repeat(32));
        for (line, right) in [
            (r#"{"key":"a","size":0,"history":{"number":1,"of":2},"delete_marker":true}"#.to_owned(), true),
            (
                r#"{"key":"a","size":0,"unchanged":"size","history":{"number":2,"of":2},"delete_marker":true}"#.into(),
                true,
            ),
            (format!(r#"{{"key":"a","size":0,{digest},"history":{{"number":1,"of":1}}}}"#), true),
            (format!(r#"{{"key":"a","size":0,{digest},"history":{{"number":0,"of":1}}}}"#), false),
            (format!(r#"{{"key":"a","size":0,{digest},"history":{{"number":2,"of":1}}}}"#), false),
            (format!(r#"{{"key":"a","size":0,{digest},"history":{{"number":1,"of":1}},"delete_marker":true}}"#), false),
            (r#"{"key":"a","size":1,"history":{"number":1,"of":1},"delete_marker":true}"#.into(), false),
            (r#"{"key":"a","size":0,"delete_marker":true}"#.into(), false),
            (r#"{"key":"a","size":0,"history":{"number":1,"of":1}}"#.into(), false),
        ] {
            assert_eq!(consistent(&line), right, "{line}");
        }
        let unknown = r#"{"key":"a","size":0,"history":{"number":1,"of":1,"at":1},"delete_marker":true}"#;
        assert!(serde_json::from_str::<ManifestEntry>(unknown).is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, from in 0usize..200, to in 0usize..200) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("m");
            let writer = ManifestWriter::create(&path, "memory:a", "memory:b").unwrap();
            writer.finish(Status::Complete, 0).unwrap();
            let whole = std::fs::read(&path).unwrap();
            prop_assert!(read(&whole).unwrap().is_empty());
            let cut = [&whole[..from.min(whole.len())], &bytes, &whole[to.min(whole.len())..]].concat();
            if cut != whole {
                prop_assert!(read(&cut).is_err());
            }
        }
    }
}
