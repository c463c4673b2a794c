//! Builds the manifest line of an object, depending on how it reached the destination.

use lepton_core::{ObjectMeta, ServerCheck};

use crate::apply::copied::ServerCopied;
use crate::apply::write::Uploaded;
use crate::digest::checksum::{Parts, SourceCheck};
use crate::ledger::manifest::ManifestEntry;
use crate::types::entry::Entry;
use crate::types::layout::Layout;
use crate::types::reason::{ComparedBy, Reason};

impl ManifestEntry {
    /// The line of an object that the destination already had.
    pub(crate) fn unchanged(entry: &Entry, there: &ObjectMeta, basis: ComparedBy) -> Self {
        Self {
            key: entry.target.clone(),
            source_key: entry.renamed(),
            size: entry.source.size,
            reason: None,
            unchanged: Some(basis),
            server_copy: None,
            sha256_tree: None,
            part_size: 0,
            parts: Vec::new(),
            crc64nvme: None,
            source_etag: entry.source.etag.clone().filter(|etag| there.etag.as_ref() != Some(etag)),
            source_version: entry.source.version.clone(),
            source_check: SourceCheck::None,
            etag: there.etag.clone(),
            version: there.version.clone(),
            check: ServerCheck::None,
            lost: Vec::new(),
            superseded: false,
            history: None,
            delete_marker: false,
        }
    }

    /// The line of an object that the destination copied by itself.
    pub(crate) fn copied(entry: &Entry, copied: ServerCopied, reason: Reason) -> Self {
        let line = Self {
            reason: Some(reason),
            unchanged: None,
            server_copy: Some(copied.basis),
            lost: copied.lost,
            source_etag: entry.source.etag.clone(),
            etag: copied.receipt.etag,
            version: copied.receipt.version,
            ..Self::unchanged(entry, &entry.source, copied.basis)
        };
        let Some(read) = copied.read else { return line };
        Self {
            sha256_tree: Some(read.digest.root),
            part_size: read.part_size,
            parts: read.roots,
            crc64nvme: Some(format!("{:016x}", read.digest.crc64)),
            source_check: read.source_check,
            check: copied.receipt.check,
            ..line
        }
    }
}

/// The line of an object that was read and sent.
pub(crate) fn manifest_line(
    entry: &Entry,
    layout: Layout,
    sent: Uploaded,
    parts: &Parts,
    reason: Reason,
) -> ManifestEntry {
    let roots = if parts.len() > 1 { parts.values().map(|(_, digest)| digest.root).collect() } else { Vec::new() };
    ManifestEntry {
        key: entry.target.clone(),
        source_key: entry.renamed(),
        size: layout.size,
        reason: Some(reason),
        unchanged: None,
        server_copy: None,
        sha256_tree: Some(sent.digest.root),
        part_size: layout.part_size,
        parts: roots,
        crc64nvme: Some(format!("{:016x}", sent.digest.crc64)),
        source_etag: entry.source.etag.clone(),
        source_version: entry.source.version.clone(),
        source_check: sent.source_check,
        etag: sent.receipt.etag,
        version: sent.receipt.version,
        check: sent.receipt.check,
        lost: sent.lost,
        superseded: false,
        history: None,
        delete_marker: false,
    }
}
