//! Bodies: the bytes that go into a store and come out of it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::Stream;
use futures_core::stream::BoxStream;
use sha2::Digest as _;

use crate::checksum::{LEAF_SIZE, Sha256};
use crate::error::Result;

/// Bytes as a store sends them, in pieces of any size.
pub type ByteStream = BoxStream<'static, Result<Bytes>>;

/// Bytes in leaves of [`LEAF_SIZE`]; only the last may be smaller.
pub type LeafStream = BoxStream<'static, Result<Leaf>>;

/// Up to [`LEAF_SIZE`] bytes, in the pieces in which they arrived.
#[derive(Debug, Clone, Default)]
pub struct Leaf {
    /// The pieces, in order, none of them empty.
    pub pieces: Vec<Bytes>,
    /// The SHA-256 of the leaf, if it is already computed.
    pub sha256: Option<Sha256>,
}

impl Leaf {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The SHA-256 of the leaf; computed unless it is already known.
    pub fn digest(&self) -> Sha256 {
        self.sha256.unwrap_or_else(|| {
            let mut hasher = sha2::Sha256::new();
            self.pieces.iter().for_each(|piece| hasher.update(piece));
            hasher.finalize().into()
        })
    }
}

/// A source whose bytes can be read from the start as often as needed.
pub trait BodySource: Send + Sync + 'static {
    /// Reads from the start. The leaves add up to the length that the [`Body`] was
    /// made with; a source that cannot supply that length ends with an error.
    fn open(&self) -> LeafStream;
}

/// The bytes of an object or part. A body is replayable: a retry opens it again
/// without copying it.
#[derive(Clone)]
pub struct Body {
    len: u64,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Rope(Arc<[Bytes]>),
    Source(Arc<dyn BodySource>),
}

impl Body {
    /// A body of pieces in memory, in order.
    pub fn from_pieces(pieces: impl IntoIterator<Item = Bytes>) -> Self {
        let rope: Arc<[Bytes]> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        Self { len: rope.iter().map(|piece| piece.len() as u64).sum(), content: Content::Rope(rope) }
    }

    /// A body of `len` bytes that are read from `source`.
    pub fn from_source(len: u64, source: Arc<dyn BodySource>) -> Self {
        Self { len, content: Content::Source(source) }
    }

    /// The number of bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Reads the body from the start, in leaves.
    pub fn open(&self) -> LeafStream {
        match &self.content {
            Content::Rope(rope) => {
                let pieces: Vec<Result<Bytes>> = rope.iter().cloned().map(Ok).collect();
                Box::pin(Leaves::new(Box::pin(futures_util::stream::iter(pieces)), Hashing::Lazy))
            }
            Content::Source(source) => source.open(),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::from_pieces([bytes.into()])
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.content {
            Content::Rope(_) => "rope",
            Content::Source(_) => "source",
        };
        write!(f, "Body({} bytes, {kind})", self.len)
    }
}

/// Whether [`Leaves`] hashes the bytes that pass through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hashing {
    /// Each leaf carries its SHA-256, computed piece by piece while the bytes are in cache.
    Eager,
    /// Leaves carry no hash; a caller that needs one calls [`Leaf::digest`].
    Lazy,
}

/// Cuts a stream of bytes into leaves without copying.
pub struct Leaves {
    input: ByteStream,
    spare: Bytes,
    leaf: Leaf,
    filled: usize,
    hasher: Option<sha2::Sha256>,
    ended: bool,
}

impl Leaves {
    /// Leaves of these bytes.
    pub fn new(input: ByteStream, hashing: Hashing) -> Self {
        let hasher = (hashing == Hashing::Eager).then(sha2::Sha256::new);
        Self { input, spare: Bytes::new(), leaf: Leaf::default(), filled: 0, hasher, ended: false }
    }

    /// Moves as much of `spare` as fits into the leaf; true if the leaf is then full.
    fn fill(&mut self) -> bool {
        let piece = self.spare.split_to(self.spare.len().min(LEAF_SIZE - self.filled));
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        self.filled += piece.len();
        if !piece.is_empty() {
            self.leaf.pieces.push(piece);
        }
        self.filled == LEAF_SIZE
    }

    fn take(&mut self) -> Leaf {
        self.filled = 0;
        let mut leaf = std::mem::take(&mut self.leaf);
        leaf.sha256 = self.hasher.as_mut().map(|hasher| hasher.finalize_reset().into());
        leaf
    }
}

impl fmt::Debug for Leaves {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Leaves({} bytes into a leaf)", self.filled)
    }
}

impl Stream for Leaves {
    type Item = Result<Leaf>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if this.fill() {
                return Poll::Ready(Some(Ok(this.take())));
            }
            if this.ended {
                return Poll::Ready((this.filled > 0).then(|| Ok(this.take())));
            }
            match ready!(this.input.as_mut().poll_next(cx)) {
                Some(Ok(piece)) => this.spare = piece,
                Some(Err(error)) => {
                    (this.ended, this.filled) = (true, 0);
                    return Poll::Ready(Some(Err(error)));
                }
                None => this.ended = true,
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "test data")]
mod tests {
    use super::*;
    use futures_util::TryStreamExt as _;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]
        #[test]
        fn a_rope_opens_to_full_leaves_with_its_bytes(sizes in proptest::collection::vec(0usize..LEAF_SIZE, 0..8)) {
            let pieces: Vec<Bytes> = sizes.iter().enumerate().map(|(i, n)| vec![i as u8; *n].into()).collect();
            let whole = pieces.concat();
            let body = Body::from_pieces(pieces);
            prop_assert_eq!(body.len(), whole.len() as u64);
            for _ in 0..2 {
                let leaves: Vec<Leaf> = futures_util::FutureExt::now_or_never(body.open().try_collect()).unwrap().unwrap();
                let full = leaves.iter().rev().skip(1).all(|leaf| leaf.len() == LEAF_SIZE);
                prop_assert!(full && leaves.iter().all(|leaf| !leaf.is_empty()));
                let bytes: Vec<u8> = leaves.iter().flat_map(|leaf| leaf.pieces.concat()).collect();
                prop_assert_eq!(&bytes, &whole);
            }
        }
    }
}
