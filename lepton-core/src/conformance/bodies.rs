//! Bodies to send: bytes that depend on their position, and bodies that break.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;

use super::expect::{Check, ensure};
use crate::body::{Body, BodySource, Hashing, LeafStream, Leaves};
use crate::checksum::LEAF_SIZE;
use crate::error::{Error, ErrorKind, RetryClass};

/// One leaf.
pub(super) const MIB: usize = LEAF_SIZE;

/// Bytes that depend on their position; another seed gives other bytes everywhere.
pub(super) fn pattern(len: usize, seed: u8) -> Bytes {
    let byte = |at: usize| u8::try_from((at / 251 + at * 31) & 0xff).unwrap_or_default() ^ seed;
    (0..len).map(byte).collect::<Vec<u8>>().into()
}

/// A body that yields these pieces and, if `breaks`, then an error instead of its end.
#[derive(Clone)]
struct Scripted {
    pieces: Vec<Bytes>,
    breaks: bool,
}

impl BodySource for Scripted {
    fn open(&self) -> LeafStream {
        let error = self.breaks.then(|| Err(breakage()));
        let pieces: Vec<_> = self.pieces.iter().cloned().map(Ok).chain(error).collect();
        Box::pin(Leaves::new(Box::pin(stream::iter(pieces)), Hashing::Lazy))
    }
}

fn breakage() -> Error {
    Error::new(ErrorKind::Archived, "the source broke on purpose")
        .with_retry(RetryClass::After(Duration::from_millis(7)))
}

/// A body of `len` bytes that breaks after `good` of them.
pub(super) fn broken(len: usize, good: usize) -> Body {
    Body::from_source(len as u64, Arc::new(Scripted { pieces: vec![pattern(good, 9)], breaks: true }))
}

/// A body that promises `len` bytes and ends after `given` of them.
pub(super) fn short(len: usize, given: usize) -> Body {
    Body::from_source(len as u64, Arc::new(Scripted { pieces: vec![pattern(given, 9)], breaks: false }))
}

/// A body that claims `len` bytes and breaks at the first one that is read.
pub(super) fn unreadable(len: u64) -> Body {
    Body::from_source(len, Arc::new(Scripted { pieces: Vec::new(), breaks: true }))
}

/// A body that is read from a source rather than held in memory.
pub(super) fn streamed(bytes: &Bytes) -> Body {
    let pieces = bytes.chunks(65_537).map(Bytes::copy_from_slice).collect();
    Body::from_source(bytes.len() as u64, Arc::new(Scripted { pieces, breaks: false }))
}

/// Whether this is the error that [`broken`] bodies end with.
pub(super) fn is_breakage(error: &Error) -> Check {
    let (found, made) = ((error.kind(), error.retry(), error.message()), breakage());
    let expected = (made.kind(), made.retry(), made.message());
    ensure!(found == expected, "expected the very error of the body, {made:?}, found {error:?}");
    Ok(())
}
