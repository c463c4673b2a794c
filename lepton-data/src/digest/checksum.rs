//! Digests of pieces, and the digest of an object computed from them.

use std::collections::BTreeMap;

use lepton_core::{
    ChecksumAlgorithm, ChecksumScope, Crc, ObjectMeta, PartReceipt, Result, Sha256, StoredChecksum, combine_crc,
    root_of_parts,
};
use serde::{Deserialize, Serialize};

/// The digests of a piece once all its bytes have been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PieceDigest {
    pub(crate) len: u64,
    pub(crate) root: Sha256,
    pub(crate) crc64: u64,
    /// Another CRC, computed because the source states it.
    pub(crate) extra: Option<(Crc, u64)>,
    /// The MD5, computed only if the source states no other checksum.
    pub(crate) md5: Option<[u8; 16]>,
}

/// The digests of one part, as recorded in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartDigest {
    pub(crate) len: u64,
    pub(crate) root: Sha256,
    pub(crate) crc64: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) extra: Option<u64>,
}

impl From<PieceDigest> for PartDigest {
    fn from(piece: PieceDigest) -> Self {
        Self { len: piece.len, root: piece.root, crc64: piece.crc64, extra: piece.extra.map(|(_, value)| value) }
    }
}

/// Combines the digests of all parts, in order, into that of the object.
pub(crate) fn combine(parts: &[PartDigest], extra: Option<Crc>) -> PieceDigest {
    let roots: Vec<Sha256> = parts.iter().map(|part| part.root).collect();
    let fold = |kind, value: fn(&PartDigest) -> Option<u64>| {
        parts.iter().try_fold(0, |so_far, part| Some(combine_crc(kind, so_far, value(part)?, part.len)))
    };
    PieceDigest {
        len: parts.iter().map(|part| part.len).sum(),
        root: root_of_parts(&roots),
        crc64: fold(Crc::Crc64Nvme, |part| Some(part.crc64)).unwrap_or_default(),
        extra: extra.and_then(|kind| Some((kind, fold(kind, |part| part.extra)?))),
        md5: None,
    }
}

/// The CRC that is worth computing for this object in addition to CRC-64/NVME.
pub(crate) fn extra_crc(meta: &ObjectMeta) -> Option<Crc> {
    let full = |algorithm| meta.checksums.iter().any(|c| c.algorithm == algorithm && c.scope == ChecksumScope::Full);
    if full(ChecksumAlgorithm::Crc64Nvme) {
        None
    } else if full(ChecksumAlgorithm::Crc32c) {
        Some(Crc::Crc32c)
    } else {
        full(ChecksumAlgorithm::Crc32).then_some(Crc::Crc32)
    }
}

/// The checksums with which an object in one piece is compared while it is read. An MD5,
/// which is slow, is included only if nothing else would detect a wrong byte.
pub(crate) fn expected(meta: &ObjectMeta, tls: bool) -> Vec<StoredChecksum> {
    let is_md5 = |stored: &StoredChecksum| stored.algorithm == ChecksumAlgorithm::Md5;
    let full = |stored: &StoredChecksum| stored.scope == ChecksumScope::Full && !is_md5(stored);
    let needless = tls || meta.checksums.iter().any(full);
    meta.checksums.iter().filter(|stored| !(needless && is_md5(stored))).cloned().collect()
}

/// Compares a digest with one checksum that a store holds of the whole object; `None` if
/// they are not comparable.
pub(crate) fn agrees(digest: &PieceDigest, stored: &StoredChecksum) -> Option<bool> {
    if stored.scope != ChecksumScope::Full {
        return None;
    }
    let crc = |value: u64, bytes: usize| value.to_be_bytes()[8 - bytes..] == stored.value[..];
    let extra = |kind| digest.extra.filter(|(k, _)| *k == kind).map(|(_, value)| value);
    match stored.algorithm {
        ChecksumAlgorithm::Crc64Nvme => Some(crc(digest.crc64, 8)),
        ChecksumAlgorithm::Crc32c => extra(Crc::Crc32c).map(|value| crc(value, 4)),
        ChecksumAlgorithm::Crc32 => extra(Crc::Crc32).map(|value| crc(value, 4)),
        ChecksumAlgorithm::Sha256Tree => Some(stored.value == digest.root.0),
        ChecksumAlgorithm::Md5 => digest.md5.map(|md5| stored.value == md5),
        ChecksumAlgorithm::Sha256 if digest.len <= lepton_core::LEAF_SIZE as u64 => Some(stored.value == digest.root.0),
        _ => None,
    }
}

/// Compares the digest of what was read with the source's checksums; `Err` names the
/// checksum that differs.
pub(crate) fn check_source(
    digest: &PieceDigest,
    meta: &ObjectMeta,
    tls: bool,
) -> Result<SourceCheck, ChecksumAlgorithm> {
    let mut check = if tls { SourceCheck::Transport } else { SourceCheck::None };
    for stored in &meta.checksums {
        match agrees(digest, stored) {
            Some(true) => check = SourceCheck::Stored,
            Some(false) => return Err(stored.algorithm),
            None => {}
        }
    }
    Ok(check)
}

/// How the bytes that were read were checked against the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum SourceCheck {
    /// They match a checksum that the source holds.
    Stored,
    /// The source holds no comparable checksum; TLS protected the bytes in transit.
    Transport,
    /// Only the operating system and TCP protected the bytes.
    #[default]
    None,
}

impl SourceCheck {
    #[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The parts that the destination holds, by number.
pub(crate) type Parts = BTreeMap<u32, (PartReceipt, PartDigest)>;
