//! The bytes of an object or part, and the checksums that a store computes of them.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use md5::Digest as _;

use crate::body::{Body, ByteStream};
use crate::checksum::{ChecksumAlgorithm, Crc, StoredChecksum, combine_crc, crc, to_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::object::ETag;

/// Stored bytes, with their CRC-64/NVME.
#[derive(Debug, Clone)]
pub(super) struct Content {
    pieces: Arc<[Bytes]>,
    len: u64,
    crc: u64,
}

impl Content {
    /// Reads a body to its end.
    ///
    /// The bytes are copied: the caller's bytes may hold a share of its memory budget,
    /// which a store must not keep.
    pub(super) async fn read(body: &Body) -> Result<Self> {
        let mut leaves = body.open();
        let mut pieces = Vec::new();
        while let Some(leaf) = leaves.try_next().await? {
            pieces.push(Bytes::from(leaf.pieces.concat()));
        }
        let content = Self::of(pieces);
        if content.len != body.len() {
            let message = format!("the body gave {} bytes instead of {}", content.len, body.len());
            return Err(Error::new(ErrorKind::Unexpected, message));
        }
        Ok(content)
    }

    fn of(pieces: Vec<Bytes>) -> Self {
        let parts = pieces.iter().map(|piece| (piece.len() as u64, crc(Crc::Crc64Nvme, piece)));
        let (len, crc) = combined(parts);
        Self { pieces: pieces.into(), len, crc }
    }

    /// The concatenation of these contents.
    pub(super) fn join(parts: &[Self]) -> Self {
        let (len, crc) = combined(parts.iter().map(|part| (part.len, part.crc)));
        Self { pieces: parts.iter().flat_map(|part| part.pieces.iter().cloned()).collect(), len, crc }
    }

    /// These bytes of the content.
    pub(super) fn slice(&self, range: &Range<u64>) -> Self {
        Self::of(self.cut(range))
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Streams these bytes, in the pieces in which they are stored.
    pub(super) fn stream(&self, range: &Range<u64>) -> ByteStream {
        Box::pin(futures_util::stream::iter(self.cut(range).into_iter().map(Ok)))
    }

    fn cut(&self, range: &Range<u64>) -> Vec<Bytes> {
        let mut at = 0;
        let mut cut = Vec::new();
        for piece in self.pieces.iter() {
            let len = piece.len() as u64;
            let (from, to) = (range.start.saturating_sub(at).min(len), range.end.saturating_sub(at).min(len));
            if let (Ok(from), Ok(to)) = (usize::try_from(from), usize::try_from(to))
                && from < to
            {
                cut.push(piece.slice(from..to));
            }
            at += len;
        }
        cut
    }

    /// The tag of an object from a single put, as Amazon S3 computes it: its MD5.
    pub(super) fn etag(&self) -> ETag {
        let mut hasher = md5::Md5::new();
        self.pieces.iter().for_each(|piece| hasher.update(piece));
        ETag::new(format!("\"{}\"", to_hex(&hasher.finalize())))
    }

    pub(super) fn checksum(&self) -> StoredChecksum {
        StoredChecksum::full(ChecksumAlgorithm::Crc64Nvme, self.crc.to_be_bytes())
    }
}

/// The length and CRC of the concatenated pieces.
fn combined(pieces: impl Iterator<Item = (u64, u64)>) -> (u64, u64) {
    let empty = (0, crc(Crc::Crc64Nvme, b""));
    pieces.fold(empty, |(len, whole), (next, check)| (len + next, combine_crc(Crc::Crc64Nvme, whole, check, next)))
}
