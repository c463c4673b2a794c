//! Blocks and their names.
//!
//! The service has no uploads: it keeps one list of uncommitted blocks for each blob,
//! whichever client sent them. So the name of a block holds the upload that it belongs
//! to, its position and its checksum, and another process can resume from the list alone.
//!
//! | bytes | content |
//! |---|---|
//! | 0–1 | `L1`; `L2` if the service copied the bytes, so that their digest is unknown |
//! | 2–13 | the upload: seconds since 1970 when it was begun, 8 random bytes |
//! | 14–17 | number of the part |
//! | 18–25 | its offset in the object |
//! | 26–33 | CRC-64/NVME of its bytes; zeroes in `L2` |
//! | 34–39 | milliseconds since 1970 when it was sent: of two with one number, the later one counts |
//!
//! Numbers are big-endian. All names of a blob's blocks must have the same length.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use lepton_core::{Attributes, ChecksumAlgorithm, ETag, PartReceipt, StoredChecksum, UploadId, from_hex, to_hex};
use serde::{Deserialize, Serialize};

const SENT: &[u8; 2] = b"L1";
const COPIED: &[u8; 2] = b"L2";
const NONCE: usize = 12;
const LEN: usize = 40;

/// Distinguishes the blocks of one upload from all others.
pub(super) type Nonce = [u8; NONCE];

/// The state of an upload that the service does not store: all of it is encoded in the
/// upload's id.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Begun {
    #[serde(skip)]
    pub(super) nonce: Nonce,
    #[serde(default, rename = "a", skip_serializing_if = "Attributes::is_empty")]
    pub(super) attributes: Attributes,
    #[serde(default, rename = "c", skip_serializing_if = "Option::is_none")]
    pub(super) storage_class: Option<String>,
}

impl Begun {
    /// An upload that begins now.
    pub(super) fn new(now: SystemTime, random: u64, attributes: Attributes, storage_class: Option<String>) -> Self {
        let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut nonce = Nonce::default();
        nonce[..4].copy_from_slice(&u32::try_from(seconds).unwrap_or(u32::MAX).to_be_bytes());
        nonce[4..].copy_from_slice(&random.to_be_bytes());
        Self { nonce, attributes, storage_class }
    }

    /// The id: the nonce in hexadecimal and, if there is more, JSON in Base64.
    pub(super) fn id(&self) -> UploadId {
        let nonce = to_hex(&self.nonce);
        if self.attributes.is_empty() && self.storage_class.is_none() {
            return UploadId::new(nonce);
        }
        let more = serde_json::to_vec(self).unwrap_or_default();
        UploadId::new(format!("{nonce}.{}", BASE64_URL_SAFE_NO_PAD.encode(more)))
    }

    /// Decodes an upload id; `None` if it is not one of Lepton's.
    pub(super) fn of(id: &UploadId) -> Option<Self> {
        let (nonce, more) = id.as_str().split_once('.').map_or((id.as_str(), None), |(id, more)| (id, Some(more)));
        let nonce: Nonce = from_hex(nonce)?.try_into().ok()?;
        let begun = match more {
            Some(more) => serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(more).ok()?).ok()?,
            None => Self::default(),
        };
        Some(Self { nonce, ..begun })
    }
}

/// A block: a part of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) nonce: Nonce,
    pub(super) number: u32,
    pub(super) offset: u64,
    /// `None` where the service copied the bytes.
    pub(super) crc64: Option<u64>,
    /// Milliseconds since 1970.
    pub(super) sent: u64,
}

impl Block {
    pub(super) fn new(nonce: Nonce, number: u32, offset: u64, crc64: Option<u64>, now: SystemTime) -> Self {
        let since = now.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        let sent = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { nonce, number, offset, crc64, sent }
    }

    /// Its name, as written in requests and lists.
    pub(super) fn name(&self) -> String {
        let mut bytes = Vec::with_capacity(LEN);
        bytes.extend_from_slice(if self.crc64.is_some() { SENT } else { COPIED });
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.number.to_be_bytes());
        bytes.extend_from_slice(&self.offset.to_be_bytes());
        bytes.extend_from_slice(&self.crc64.unwrap_or_default().to_be_bytes());
        bytes.extend_from_slice(&self.sent.to_be_bytes()[2..]);
        BASE64_STANDARD.encode(bytes)
    }

    /// Decodes the name of a block; `None` if it is not one of Lepton's.
    pub(super) fn of(name: &str) -> Option<Self> {
        let bytes = BASE64_STANDARD.decode(name).ok()?;
        let (mark, rest) = bytes.split_first_chunk().filter(|(mark, _)| [SENT, COPIED].contains(mark))?;
        let rest = (bytes.len() == LEN).then_some(rest)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>()?;
        let (number, rest) = rest.split_first_chunk::<4>()?;
        let (offset, rest) = rest.split_first_chunk::<8>()?;
        let (crc64, sent) = rest.split_first_chunk::<8>()?;
        Some(Self {
            nonce: *nonce,
            number: u32::from_be_bytes(*number),
            offset: u64::from_be_bytes(*offset),
            crc64: (mark == SENT).then(|| u64::from_be_bytes(*crc64)),
            sent: sent.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        })
    }

    /// The receipt that the service would return if it issued receipts.
    pub(super) fn receipt(&self, size: u64) -> PartReceipt {
        let checksum = |crc64: u64| StoredChecksum::full(ChecksumAlgorithm::Crc64Nvme, crc64.to_be_bytes());
        PartReceipt::new(self.number, size, ETag::new(self.name())).checksum(self.crc64.map(checksum))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_block_is_read_from_its_name(nonce: Nonce, number: u32, offset: u64, crc64: Option<u64>, sent in 0..1u64 << 48) {
            let block = Block { nonce, number, offset, crc64, sent };
            let name = block.name();
            prop_assert_eq!(name.len(), 56);
            prop_assert_eq!(Block::of(&name), Some(block));
            prop_assert_eq!(Block::of(&name[4..]), None);
        }

        #[test]
        fn no_name_panics(name in "\\PC*|[A-Za-z0-9+/=]{56}") {
            let _ = Block::of(&name);
            let _ = Begun::of(&UploadId::new(name));
        }
    }

    #[test]
    fn an_upload_is_read_from_its_id() {
        let mut attributes = Attributes::default();
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let bare = Begun::new(now, 7, attributes.clone(), None);
        assert_eq!(bare.id().as_str(), "6553f1000000000000000007");
        assert_eq!(Begun::of(&bare.id()), Some(bare));
        attributes.content_type = Some("text/plain".into());
        attributes.user_metadata.insert("a".into(), "ü".into());
        let full = Begun::new(now, 7, attributes, Some("Cool".into()));
        assert_eq!(Begun::of(&full.id()), Some(full));
        for other in ["", "x", "6553f100", "6553f1000000000000000007.!"] {
            assert_eq!(Begun::of(&UploadId::new(other)), None, "{other}");
        }
    }
}
