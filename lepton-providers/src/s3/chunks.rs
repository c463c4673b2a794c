//! Bodies in chunks (`aws-chunked`): each chunk has a signature, or a checksum follows
//! all of them, or both.
//!
//! "Signature calculations for … multiple chunks" and "… including trailing headers" in
//! the Amazon S3 API reference.

use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use lepton_core::{Body, CrcHasher, LEAF_SIZE, Leaf, LeafStream, Result, Sha256};

use super::chunk_signer::ChunkSigner;
use super::sum::Sum;

const SIGNATURE: &str = ";chunk-signature=";
const TRAILER_SIGNATURE: &str = "x-amz-trailer-signature:";
/// The length of a signature.
const DIGITS: usize = 64;

/// The length of a body in chunks: for each chunk its size in hexadecimal, its signature,
/// the bytes and two line ends; then the end of the body.
pub(super) fn framed_len(len: u64, signed: bool, trailer: Option<&Sum>) -> u64 {
    let signature = if signed { (SIGNATURE.len() + DIGITS) as u64 } else { 0 };
    let chunk = |size: u64| u64::from(size.ilog2() / 4 + 1) + signature + 4 + size;
    let leaf = LEAF_SIZE as u64;
    let rest = len % leaf;
    let trailer = trailer.map_or(0, |sum| {
        let signature = if signed { TRAILER_SIGNATURE.len() + DIGITS + 2 } else { 0 };
        (sum.header.len() + 1 + sum.value_len() + 2 + signature) as u64
    });
    (len / leaf) * chunk(leaf) + if rest > 0 { chunk(rest) } else { 0 } + 5 + signature + trailer
}

/// The pieces of a body with the frames of `aws-chunked` between them. A chunk is a leaf
/// of the body, so the leaf's hash is reused.
pub(super) struct Chunks {
    leaves: LeafStream,
    signer: Option<ChunkSigner>,
    trailer: Option<(&'static Sum, CrcHasher)>,
    queue: VecDeque<Bytes>,
    begun: bool,
    ended: bool,
}

impl Chunks {
    pub(super) fn new(body: &Body, signer: Option<ChunkSigner>, trailer: Option<&'static Sum>) -> Self {
        Self {
            leaves: body.open(),
            signer,
            trailer: trailer.map(|sum| (sum, sum.hasher())),
            queue: VecDeque::new(),
            begun: false,
            ended: false,
        }
    }

    fn push(&mut self, leaf: Leaf) {
        if let Some((_, hasher)) = &mut self.trailer {
            leaf.pieces.iter().for_each(|piece| hasher.update(piece));
        }
        let line_end = if self.begun { "\r\n" } else { "" };
        let size = leaf.len();
        let header = match &mut self.signer {
            Some(signer) => format!("{line_end}{size:x}{SIGNATURE}{}\r\n", signer.sign(leaf.digest())),
            None => format!("{line_end}{size:x}\r\n"),
        };
        self.begun = true;
        self.queue.push_back(header.into());
        self.queue.extend(leaf.pieces);
    }

    fn end(&mut self) -> Bytes {
        self.ended = true;
        let mut text = match &mut self.signer {
            Some(signer) => format!("\r\n0{SIGNATURE}{}\r\n", signer.sign(Sha256::of(b""))),
            None => "\r\n0\r\n".to_owned(),
        };
        if let Some((sum, hasher)) = &self.trailer {
            let line = format!("{}:{}", sum.header, sum.value(hasher));
            text.extend([&line, "\r\n"]);
            if let Some(signer) = &mut self.signer {
                text.extend([TRAILER_SIGNATURE, signer.sign_trailer(&line), "\r\n"]);
            }
        }
        text.push_str("\r\n");
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
