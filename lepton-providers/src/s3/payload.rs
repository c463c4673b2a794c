//! How the bytes of an upload are framed, so that the server can check them.
//!
//! | body | sent as | its checksum | the server checks |
//! |---|---|---|---|
//! | at most one leaf | unchanged, its SHA-256 in the signature | header | SHA-256 |
//! | larger, https, trailers | chunks | trailer | CRC |
//! | larger, signed chunks, trailers | chunks, each one's SHA-256 in its signature | signed trailer | SHA-256 |
//! | larger, signed chunks only | the same | none | SHA-256 |
//! | larger, neither | buffered and hashed, then like the first | header | SHA-256 |
//! | anonymous, at most one leaf | unchanged | header | CRC |
//! | anonymous, larger, trailers | chunks | trailer | CRC |
//! | anonymous, no checksum known | unchanged | none | nothing |
//!
//! The checksum is the CRC of [`Sum`], for stores that are known to accept one. Parts
//! carry it if every part of the upload can, because the upload announces it beforehand.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Body, ChecksumAlgorithm, Effect, Error, ErrorKind, LEAF_SIZE, Leaf, Result, ServerCheck, Sha256};
use sha2::Digest as _;

use super::chunk_signer::ChunkSigner;
use super::chunks::{Chunks, framed_len};
use super::sum::Sum;
use crate::auth::aws::sign::key::{EMPTY_SHA256, UNSIGNED_PAYLOAD};
use crate::auth::aws::sign::request::X_AMZ_CONTENT_SHA256;
use crate::transport::RequestBody;

const X_AMZ_TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const X_AMZ_DECODED_CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");

/// The content of a request.
#[derive(Debug, Clone, Default)]
pub(super) enum Payload {
    #[default]
    Empty,
    /// A document that Lepton made.
    Document(Bytes),
    /// The bytes of an object.
    Body(Body),
    /// The bytes of a part.
    Part(Body),
}

/// The framings that the store's capabilities and the connection permit.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framings<'a> {
    pub(super) anonymous: bool,
    pub(super) tls: bool,
    pub(super) trailers: bool,
    pub(super) signed_chunks: bool,
    /// The checksum that the store accepts.
    pub(super) sum: Option<&'static Sum>,
    pub(super) verified: &'a [ChecksumAlgorithm],
    pub(super) buffer: u64,
}

impl Framings<'_> {
    /// The checksum that every part carries, whatever its size.
    pub(super) fn announced(&self) -> Option<&'static Sum> {
        let in_chunks_without = self.signed_chunks && !self.trailers && !self.anonymous;
        self.sum.filter(|_| !in_chunks_without)
    }

    /// How a body that is larger than a leaf is streamed; `None` if it has to be
    /// buffered.
    fn streamed(&self, body: &Body, sum: Option<&'static Sum>) -> Option<Framed> {
        let body = body.clone();
        let sha256 = ChecksumAlgorithm::Sha256;
        match sum.filter(|_| self.trailers) {
            // Without a signature, a plain connection weakens nothing.
            Some(sum) if self.tls || self.anonymous => {
                Some(Framed::Trailer { body, sum, check: self.verified(&[sum.algorithm]) })
            }
            Some(sum) if self.signed_chunks => {
                let check = self.verified(&[sha256, sum.algorithm]);
                Some(Framed::SignedChunks { body, trailer: Some(sum), check })
            }
            _ if self.signed_chunks && !self.anonymous => {
                Some(Framed::SignedChunks { body, trailer: None, check: self.verified(&[sha256]) })
            }
            _ => None,
        }
    }

    /// What the server checks of these checksums: the first one that it verifies.
    fn verified(&self, given: &[ChecksumAlgorithm]) -> ServerCheck {
        let compared = given.iter().find(|algorithm| self.verified.contains(algorithm));
        compared.map_or(ServerCheck::None, |algorithm| ServerCheck::Checksum(*algorithm))
    }
}

/// A payload that is ready to be signed.
pub(super) enum Framed {
    /// `sum`: the header that carries the checksum.
    Whole {
        pieces: Vec<Bytes>,
        hash: String,
        sum: Option<(&'static str, HeaderValue)>,
        check: ServerCheck,
    },
    SignedChunks {
        body: Body,
        trailer: Option<&'static Sum>,
        check: ServerCheck,
    },
    Trailer {
        body: Body,
        sum: &'static Sum,
        check: ServerCheck,
    },
    Plain {
        body: Body,
    },
}

impl Framed {
    /// Chooses the framing; reads the body if it must be hashed first.
    pub(super) async fn new(payload: &Payload, framings: Framings<'_>) -> Result<Self> {
        let whole = |pieces, hash| {
            let check = framings.verified(&[ChecksumAlgorithm::Sha256]);
            Ok(Self::Whole { pieces, hash, sum: None, check })
        };
        let (body, sum) = match payload {
            Payload::Empty => return whole(Vec::new(), EMPTY_SHA256.into()),
            Payload::Document(bytes) => return whole(vec![bytes.clone()], Sha256::of(bytes).to_string()),
            Payload::Body(body) => (body, framings.sum),
            Payload::Part(body) => (body, framings.announced()),
        };
        if framings.anonymous && sum.is_none() {
            return Ok(Self::Plain { body: body.clone() });
        }
        if body.len() > LEAF_SIZE as u64 {
            if let Some(framed) = framings.streamed(body, sum) {
                return Ok(framed);
            }
            if body.len() > framings.buffer {
                return Err(too_large_to_buffer(body.len(), framings.buffer));
            }
        }
        Self::buffered(body, sum, framings).await
    }

    /// Reads a body, so that its hash and its checksum can be sent first.
    async fn buffered(body: &Body, sum: Option<&'static Sum>, framings: Framings<'_>) -> Result<Self> {
        let leaves = buffer(body).await?;
        let mut given = Vec::new();
        let hash = if framings.anonymous {
            UNSIGNED_PAYLOAD.to_owned()
        } else {
            given.push(ChecksumAlgorithm::Sha256);
            hash_of(&leaves).to_string()
        };
        let pieces: Vec<Bytes> = leaves.into_iter().flat_map(|leaf| leaf.pieces).collect();
        let sum = sum.and_then(|sum| {
            let mut hasher = sum.hasher();
            pieces.iter().for_each(|piece| hasher.update(piece));
            let value = HeaderValue::try_from(sum.value(&hasher)).ok()?;
            given.push(sum.algorithm);
            Some((sum.header, value))
        });
        Ok(Self::Whole { pieces, hash, sum, check: framings.verified(&given) })
    }

    pub(super) fn check(&self) -> ServerCheck {
        match self {
            Self::Whole { check, .. } | Self::SignedChunks { check, .. } | Self::Trailer { check, .. } => *check,
            Self::Plain { .. } => ServerCheck::None,
        }
    }

    /// The hash of the payload in the signature.
    pub(super) fn hash(&self) -> &str {
        match self {
            Self::Whole { hash, .. } => hash,
            Self::SignedChunks { trailer: None, .. } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::SignedChunks { trailer: Some(_), .. } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER",
            Self::Trailer { .. } => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            Self::Plain { .. } => UNSIGNED_PAYLOAD,
        }
    }

    /// The number of bytes on the wire.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Whole { pieces, .. } => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::SignedChunks { body, trailer, .. } => framed_len(body.len(), true, *trailer),
            Self::Trailer { body, sum, .. } => framed_len(body.len(), false, Some(sum)),
            Self::Plain { body } => body.len(),
        }
    }

    /// Adds the headers of the framing.
    pub(super) fn insert_headers(&self, headers: &mut HeaderMap) {
        let (body, trailer) = match self {
            Self::SignedChunks { body, trailer, .. } => (body, *trailer),
            Self::Trailer { body, sum, .. } => (body, Some(*sum)),
            Self::Whole { sum: Some((name, value)), .. } => {
                headers.insert(*name, value.clone());
                return;
            }
            Self::Whole { .. } | Self::Plain { .. } => return,
        };
        let encoding = match headers.get(CONTENT_ENCODING) {
            Some(users) => HeaderValue::from_bytes(&[b"aws-chunked,", users.as_bytes()].concat()).ok(),
            None => Some(HeaderValue::from_static("aws-chunked")),
        };
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, encoding);
        }
        headers.insert(X_AMZ_DECODED_CONTENT_LENGTH, HeaderValue::from(body.len()));
        if let Some(sum) = trailer {
            headers.insert(X_AMZ_TRAILER, HeaderValue::from_static(sum.header));
        }
        // Signing adds this header too, but an anonymous request is not signed.
        if let Self::Trailer { .. } = self
            && let Ok(hash) = HeaderValue::from_str(self.hash())
        {
            headers.insert(X_AMZ_CONTENT_SHA256, hash);
        }
    }

    /// The body to send. `signer` continues from the signature of the request.
    pub(super) fn into_body(self, signer: Option<ChunkSigner>) -> RequestBody {
        let len = self.len();
        match self {
            Self::Whole { mut pieces, .. } if pieces.len() < 2 => RequestBody::bytes(pieces.pop().unwrap_or_default()),
            Self::Whole { pieces, .. } => {
                RequestBody::stream(len, Box::pin(futures_util::stream::iter(pieces.into_iter().map(Ok))))
            }
            Self::Trailer { body, sum, .. } => RequestBody::stream(len, Box::pin(Chunks::new(&body, None, Some(sum)))),
            Self::SignedChunks { body, trailer, .. } => {
                RequestBody::stream(len, Box::pin(Chunks::new(&body, signer, trailer)))
            }
            Self::Plain { body } => {
                let leaves = body.open();
                let pieces = leaves.map_ok(|leaf| futures_util::stream::iter(leaf.pieces.into_iter().map(Ok)));
                RequestBody::stream(len, Box::pin(pieces.try_flatten()))
            }
        }
    }
}

/// Reads a body into memory.
async fn buffer(body: &Body) -> Result<Vec<Leaf>> {
    let leaves: Vec<Leaf> = body.open().try_collect().await.map_err(|error: Error| error.with_effect(Effect::None))?;
    let len: u64 = leaves.iter().map(|leaf| leaf.len() as u64).sum();
    if len != body.len() {
        let message = format!("the body gave {len} bytes where it announced {}", body.len());
        return Err(Error::new(ErrorKind::Unexpected, message));
    }
    Ok(leaves)
}

/// The hash of leaves. A single leaf with a known hash is not hashed again.
fn hash_of(leaves: &[Leaf]) -> Sha256 {
    if let [leaf] = leaves {
        return leaf.digest();
    }
    let mut hasher = sha2::Sha256::new();
    leaves.iter().flat_map(|leaf| &leaf.pieces).for_each(|piece| hasher.update(piece));
    hasher.finalize().into()
}

fn too_large_to_buffer(len: u64, buffer: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "{len} bytes are more than upload_buffer ({buffer}), and it is not known that this store takes bodies \
             in chunks, so a body must be held to be hashed; send smaller parts, raise upload_buffer, or set preset or \
             capabilities if you know the store"
        ),
    )
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
