//! Request bodies. They are buffered, because their checksum is sent first.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{Body, Crc, CrcHasher, Effect, Error, ErrorKind, Leaf, Md5Hasher, Result};

use crate::transport::RequestBody;

/// The body of a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Payload {
    pub(crate) pieces: Vec<Bytes>,
    pub(crate) len: u64,
}

impl Payload {
    /// A document that Lepton made.
    pub(crate) fn document(bytes: Bytes) -> Self {
        Self { len: bytes.len() as u64, pieces: vec![bytes] }
    }

    /// Reads a body, up to `most` bytes.
    ///
    /// # Errors
    /// `too_large`; the error of the body.
    pub(crate) async fn buffer(body: &Body, most: u64) -> Result<Self> {
        if body.len() > most {
            let message = format!(
                "{} bytes are more than upload_buffer ({most}): a body is held until it is sent, as its checksum goes \
                 before it; send smaller parts or raise upload_buffer",
                body.len()
            );
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        let leaves: Vec<Leaf> =
            body.open().try_collect().await.map_err(|error: Error| error.with_effect(Effect::None))?;
        let pieces: Vec<Bytes> = leaves.into_iter().flat_map(|leaf| leaf.pieces).collect();
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        if len != body.len() {
            let message = format!("the body gave {len} bytes where it announced {}", body.len());
            return Err(Error::new(ErrorKind::Unexpected, message));
        }
        Ok(Self { pieces, len })
    }

    pub(crate) fn crc(&self, kind: Crc) -> u64 {
        let mut hasher = CrcHasher::new(kind);
        self.pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    pub(crate) fn md5(&self) -> [u8; 16] {
        let mut hasher = Md5Hasher::new();
        self.pieces.iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    /// The same body between a head and a foot.
    pub(crate) fn framed(self, head: Bytes, foot: Bytes) -> Self {
        let len = self.len + head.len() as u64 + foot.len() as u64;
        let pieces = std::iter::once(head).chain(self.pieces).chain([foot]).collect();
        Self { pieces, len }
    }

    pub(crate) fn into_body(mut self) -> RequestBody {
        if self.pieces.len() < 2 {
            return RequestBody::bytes(self.pieces.pop().unwrap_or_default());
        }
        RequestBody::stream(self.len, Box::pin(futures_util::stream::iter(self.pieces.into_iter().map(Ok))))
    }
}
