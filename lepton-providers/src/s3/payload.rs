//! How the bytes of an upload are framed, so that the server can check them.
//!
//! | body | sent as | the server checks |
//! |---|---|---|
//! | at most one leaf | as it is, its SHA-256 in the signature | SHA-256 |
//! | larger, https, trailers | chunks, CRC64NVME behind them | CRC64NVME |
//! | larger, signed chunks | chunks, each one's SHA-256 in its signature | SHA-256 |
//! | larger, neither | held and hashed, then as the first | SHA-256 |
//! | unsigned (anonymous) | as it is | nothing |
//!
//! A chunk is a leaf of the body, so its hash is the one that came with it.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use bytes::Bytes;
use futures_core::Stream;
use futures_util::TryStreamExt as _;
use http::header::CONTENT_ENCODING;
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{
    Body, ChecksumAlgorithm, Crc, Effect, Error, ErrorKind, LEAF_SIZE, Leaf, LeafStream, Result, ServerCheck, Sha256,
    combine_crc, crc,
};
use sha2::Digest as _;

use super::sign::{ChunkSigner, EMPTY_SHA256, UNSIGNED_PAYLOAD};
use crate::transport::RequestBody;

const X_AMZ_TRAILER: HeaderName = HeaderName::from_static("x-amz-trailer");
const X_AMZ_DECODED_CONTENT_LENGTH: HeaderName = HeaderName::from_static("x-amz-decoded-content-length");

/// What a request carries.
#[derive(Debug, Clone)]
pub(super) enum Payload {
    Empty,
    /// A document of our own.
    Document(Bytes),
    /// Somebody's bytes.
    Body(Body),
}

/// What may be used, by the store's capabilities and the connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framings<'a> {
    pub(super) anonymous: bool,
    pub(super) trailers: bool,
    pub(super) signed_chunks: bool,
    pub(super) verified: &'a [ChecksumAlgorithm],
    pub(super) buffer: u64,
}

impl Framings<'_> {
    /// What the server checks if it is given this checksum.
    fn verified(&self, algorithm: ChecksumAlgorithm) -> ServerCheck {
        if self.verified.contains(&algorithm) { ServerCheck::Checksum(algorithm) } else { ServerCheck::None }
    }
}

/// A payload that is ready to be signed.
pub(super) enum Framed {
    Whole { pieces: Vec<Bytes>, hash: String, check: ServerCheck },
    SignedChunks { body: Body, check: ServerCheck },
    Trailer { body: Body, check: ServerCheck },
    Plain { body: Body },
}

impl Framed {
    /// Chooses the framing; reads the body where it must be hashed first.
    pub(super) async fn new(payload: &Payload, framings: Framings<'_>) -> Result<Self> {
        let verified = framings.verified(ChecksumAlgorithm::Sha256);
        let body = match payload {
            Payload::Empty => return Ok(Self::whole(Vec::new(), EMPTY_SHA256.into(), verified)),
            Payload::Document(bytes) => {
                return Ok(Self::whole(vec![bytes.clone()], Sha256::of(bytes).to_string(), verified));
            }
            Payload::Body(body) => body.clone(),
        };
        if framings.anonymous {
            return Ok(Self::Plain { body });
        }
        if body.len() > LEAF_SIZE as u64 {
            if framings.trailers {
                return Ok(Self::Trailer { body, check: framings.verified(ChecksumAlgorithm::Crc64Nvme) });
            }
            if framings.signed_chunks {
                return Ok(Self::SignedChunks { body, check: verified });
            }
            if body.len() > framings.buffer {
                return Err(too_large_to_hold(body.len(), framings.buffer));
            }
        }
        let (pieces, hash) = hold(&body).await?;
        Ok(Self::whole(pieces, hash.to_string(), verified))
    }

    fn whole(pieces: Vec<Bytes>, hash: String, check: ServerCheck) -> Self {
        Self::Whole { pieces, hash, check }
    }

    pub(super) fn check(&self) -> ServerCheck {
        match self {
            Self::Whole { check, .. } | Self::SignedChunks { check, .. } | Self::Trailer { check, .. } => *check,
            Self::Plain { .. } => ServerCheck::None,
        }
    }

    /// What stands for the payload in the signature.
    pub(super) fn hash(&self) -> &str {
        match self {
            Self::Whole { hash, .. } => hash,
            Self::SignedChunks { .. } => "STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
            Self::Trailer { .. } => "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
            Self::Plain { .. } => UNSIGNED_PAYLOAD,
        }
    }

    /// The number of bytes on the wire.
    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Whole { pieces, .. } => pieces.iter().map(|piece| piece.len() as u64).sum(),
            Self::SignedChunks { body, .. } => framed_len(body.len(), SIGNATURE.len() + 64, SIGNATURE.len() + 64 + 5),
            Self::Trailer { body, .. } => framed_len(body.len(), 0, 3 + TRAILER.len() + 1 + 12 + 4),
            Self::Plain { body } => body.len(),
        }
    }

    /// Adds the headers that belong to the framing.
    pub(super) fn insert_headers(&self, headers: &mut HeaderMap) {
        let (Self::SignedChunks { body, .. } | Self::Trailer { body, .. }) = self else { return };
        let encoding = match headers.get(CONTENT_ENCODING) {
            Some(users) => HeaderValue::from_bytes(&[b"aws-chunked,", users.as_bytes()].concat()).ok(),
            None => Some(HeaderValue::from_static("aws-chunked")),
        };
        if let Some(encoding) = encoding {
            headers.insert(CONTENT_ENCODING, encoding);
        }
        headers.insert(X_AMZ_DECODED_CONTENT_LENGTH, HeaderValue::from(body.len()));
        if matches!(self, Self::Trailer { .. }) {
            headers.insert(X_AMZ_TRAILER, HeaderValue::from_static(TRAILER));
        }
    }

    /// The body to send. `signer` goes on from the signature of the request.
    pub(super) fn into_body(self, signer: Option<ChunkSigner>) -> RequestBody {
        let len = self.len();
        match (self, signer) {
            (Self::Whole { mut pieces, .. }, _) if pieces.len() < 2 => {
                RequestBody::bytes(pieces.pop().unwrap_or_default())
            }
            (Self::Whole { pieces, .. }, _) => {
                RequestBody::stream(len, Box::pin(futures_util::stream::iter(pieces.into_iter().map(Ok))))
            }
            (Self::Trailer { body, .. }, _) => Self::chunked(len, &body, Check::Trailer { crc: 0 }),
            (Self::SignedChunks { body, .. }, Some(signer)) => Self::chunked(len, &body, Check::Signed(signer)),
            (Self::SignedChunks { body, .. } | Self::Plain { body }, _) => {
                let leaves = body.open();
                let pieces = leaves.map_ok(|leaf| futures_util::stream::iter(leaf.pieces.into_iter().map(Ok)));
                RequestBody::stream(len, Box::pin(pieces.try_flatten()))
            }
        }
    }

    fn chunked(len: u64, body: &Body, check: Check) -> RequestBody {
        let chunks = Chunks { leaves: body.open(), check, queue: VecDeque::new(), begun: false, ended: false };
        RequestBody::stream(len, Box::pin(chunks))
    }
}

/// Reads a body and hashes it. A single leaf that knows its hash is not hashed
/// again.
async fn hold(body: &Body) -> Result<(Vec<Bytes>, Sha256)> {
    let leaves: Vec<Leaf> = body.open().try_collect().await.map_err(|error: Error| error.with_effect(Effect::None))?;
    let len: u64 = leaves.iter().map(|leaf| leaf.len() as u64).sum();
    if len != body.len() {
        let message = format!("the body gave {len} bytes where it announced {}", body.len());
        return Err(Error::new(ErrorKind::Unexpected, message));
    }
    let hash = match leaves.as_slice() {
        [leaf] => leaf.digest(),
        leaves => {
            let mut hasher = sha2::Sha256::new();
            leaves.iter().flat_map(|leaf| &leaf.pieces).for_each(|piece| hasher.update(piece));
            hasher.finalize().into()
        }
    };
    Ok((leaves.into_iter().flat_map(|leaf| leaf.pieces).collect(), hash))
}

fn too_large_to_hold(len: u64, buffer: u64) -> Error {
    Error::new(
        ErrorKind::TooLarge,
        format!(
            "{len} bytes are more than upload_buffer ({buffer}), and it is not known that this store takes signed \
             chunks, so a body must be held to be hashed; send smaller parts, raise upload_buffer, or set preset or \
             capabilities if you know the store"
        ),
    )
}

const SIGNATURE: &str = ";chunk-signature=";
const TRAILER: &str = "x-amz-checksum-crc64nvme";

/// The length of a chunked body: for each chunk its size in hexadecimal, what
/// stands behind that, the bytes and two line ends; and what ends the body.
fn framed_len(len: u64, behind_size: usize, end: usize) -> u64 {
    let chunk = |size: u64| u64::from(size.ilog2() / 4 + 1) + behind_size as u64 + 4 + size;
    let leaf = LEAF_SIZE as u64;
    let rest = len % leaf;
    (len / leaf) * chunk(leaf) + if rest > 0 { chunk(rest) } else { 0 } + end as u64
}

enum Check {
    Signed(ChunkSigner),
    Trailer { crc: u64 },
}

/// The pieces of a body with the frames of `aws-chunked` between them.
struct Chunks {
    leaves: LeafStream,
    check: Check,
    queue: VecDeque<Bytes>,
    begun: bool,
    ended: bool,
}

impl Chunks {
    fn push(&mut self, leaf: Leaf) {
        let line_end = if self.begun { "\r\n" } else { "" };
        let size = leaf.len();
        let header = match &mut self.check {
            Check::Signed(signer) => format!("{line_end}{size:x}{SIGNATURE}{}\r\n", signer.sign(leaf.digest())),
            Check::Trailer { crc: sum } => {
                for piece in &leaf.pieces {
                    *sum = combine_crc(Crc::Crc64Nvme, *sum, crc(Crc::Crc64Nvme, piece), piece.len() as u64);
                }
                format!("{line_end}{size:x}\r\n")
            }
        };
        self.begun = true;
        self.queue.push_back(header.into());
        self.queue.extend(leaf.pieces);
    }

    fn end(&mut self) -> Bytes {
        self.ended = true;
        let text = match &mut self.check {
            Check::Signed(signer) => format!("\r\n0{SIGNATURE}{}\r\n\r\n", signer.sign(Sha256::of(b""))),
            Check::Trailer { crc } => {
                format!("\r\n0\r\n{TRAILER}:{}\r\n\r\n", BASE64_STANDARD.encode(crc.to_be_bytes()))
            }
        };
        text.into()
    }
}

impl Stream for Chunks {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(piece) = this.queue.pop_front() {
                return Poll::Ready(Some(Ok(piece)));
            }
            if this.ended {
                return Poll::Ready(None);
            }
            match ready!(this.leaves.as_mut().poll_next(cx)) {
                Some(Ok(leaf)) => this.push(leaf),
                Some(Err(error)) => {
                    this.ended = true;
                    return Poll::Ready(Some(Err(error)));
                }
                None => return Poll::Ready(Some(Ok(this.end()))),
            }
        }
    }
}

#[cfg(test)]
#[path = "payload_tests.rs"]
mod tests;
