//! The content of a body, checked as it passes.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use http_body::Body as _;
use lepton_core::{ErrorKind, Result};

use super::chunks::Chunks;
use super::digests::{Digests, Verified};
use super::refusal::refused;
use crate::protocol::Body;

pub(super) struct Checked {
    input: Body,
    /// What has arrived and is not decoded yet.
    spare: Bytes,
    /// The frames, if there are any.
    chunks: Option<Chunks>,
    /// The last piece so far, withheld.
    held: Option<Bytes>,
    left: u64,
    /// `None` after the end.
    digests: Option<Digests>,
    verified: Arc<OnceLock<Verified>>,
}

impl Checked {
    pub(super) fn new(input: Body, chunks: Option<Chunks>, len: u64, digests: Digests) -> Self {
        let (spare, verified) = (Bytes::new(), Arc::default());
        Self { input, spare, chunks, held: None, left: len, digests: Some(digests), verified }
    }

    /// Receives the checksums when the last byte was checked.
    pub(super) fn verified(&self) -> Arc<OnceLock<Verified>> {
        Arc::clone(&self.verified)
    }

    /// The next piece of the content, not yet checked.
    fn poll_content(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>>> {
        loop {
            let piece = match &mut self.chunks {
                Some(chunks) => chunks.decode(&mut self.spare)?,
                None => Some(std::mem::take(&mut self.spare)).filter(|piece| !piece.is_empty()),
            };
            if piece.is_some() {
                return Poll::Ready(Ok(piece));
            }
            match ready!(Pin::new(&mut self.input).poll_frame(cx)) {
                Some(Ok(frame)) => self.spare = frame.into_data().unwrap_or_default(),
                Some(Err(source)) => {
                    let broken = "the connection broke within the body";
                    return Poll::Ready(Err(refused("IncompleteBody", ErrorKind::Network, broken).with_source(source)));
                }
                None => return Poll::Ready(Ok(None)),
            }
        }
    }

    fn accept(&mut self, piece: &Bytes) -> Result<()> {
        let left = self.left.checked_sub(piece.len() as u64);
        let longer = "the body is longer than the request says";
        self.left = left.ok_or_else(|| refused("IncompleteBody", ErrorKind::InvalidInput, longer))?;
        self.digests.iter_mut().for_each(|digests| digests.update(piece));
        Ok(())
    }

    fn verify(&mut self) -> Result<()> {
        let trailer = self.chunks.as_mut().map(Chunks::finish).transpose()?.unwrap_or_default();
        if self.left > 0 {
            let message = format!("the body ended {} bytes early", self.left);
            return Err(refused("IncompleteBody", ErrorKind::InvalidInput, message));
        }
        if let Some(digests) = self.digests.take() {
            let _ = self.verified.set(digests.verify(&trailer)?);
        }
        Ok(())
    }
}

impl Stream for Checked {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes>>> {
        while self.digests.is_some() {
            let checked = match ready!(self.poll_content(cx)) {
                Ok(Some(piece)) => self.accept(&piece).map(|()| self.held.replace(compact(piece))),
                Ok(None) => self.verify().map(|()| self.held.take()),
                Err(error) => Err(error),
            };
            match checked {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(piece))),
                Ok(None) => {}
                Err(error) => {
                    (self.digests, self.held) = (None, None);
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
        Poll::Ready(None)
    }
}

/// Copies a small piece: a slice would keep alive the whole buffer that it was read into, for
/// as long as a storage holds the piece.
fn compact(piece: Bytes) -> Bytes {
    const SMALL: usize = 64 << 10;
    if piece.len() < SMALL { Bytes::copy_from_slice(&piece) } else { piece }
}
