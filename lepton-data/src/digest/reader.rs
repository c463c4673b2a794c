//! Reading the source: pinned, in leaves, each byte hashed once while it is hot.

use std::ops::Range;
use std::pin::Pin as StdPin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    BodySource, ByteStream, ChecksumAlgorithm, Crc, CrcHasher, Error, ErrorKind, GetOptions, GetReply, Hashing,
    HeadOptions, Leaf, LeafStream, Leaves, Md5Hasher, ObjectInfo, ObjectKey, ObjectMeta, Result, Retry, SharedStorage,
    StoredChecksum, TreeHasher,
};

use crate::digest::checksum::{PieceDigest, agrees};
use crate::schedule::rate_limit::Pace;
use crate::schedule::retry::attempts;
use crate::telemetry::counters::Counters;
use crate::transfer::run::Run;
use crate::types::entry::Pin;
use crate::types::side::side;

/// Where bytes come from: one pinned object of the source.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) storage: SharedStorage,
    pub(crate) key: ObjectKey,
    pub(crate) size: u64,
    pub(crate) pin: Pin,
    /// What a listing told of it, where that is all there is to tell.
    listed: Option<Arc<ObjectMeta>>,
}

impl Source {
    pub(crate) fn new(storage: &SharedStorage, meta: &ObjectMeta) -> Self {
        let listed = meta.attributes.is_some().then(|| Arc::new(meta.clone()));
        Self { storage: Arc::clone(storage), key: meta.key.clone(), size: meta.size, pin: Pin::of(meta), listed }
    }

    /// Reads `range`, without attributes; fails with `source_changed` if the object is not
    /// the one that was planned.
    pub(crate) async fn get(&self, range: Range<u64>) -> Result<GetReply> {
        let options = GetOptions::new().without_attributes(true);
        self.read(if range == (0..self.size) { options } else { options.range(range) }).await
    }

    /// Reads all of it, with its attributes; fails as [`get`](Self::get).
    pub(crate) async fn whole(&self) -> Result<GetReply> {
        let mut reply = self.read(GetOptions::new().without_attributes(self.listed.is_some())).await?;
        if let Some(listed) = self.listed.as_deref().and_then(listed) {
            (reply.attributes, reply.tag_count) = (listed.attributes, listed.tag_count);
        }
        Ok(reply)
    }

    async fn read(&self, options: GetOptions) -> Result<GetReply> {
        let options = options.if_match(self.pin.etag.clone()).version(self.pin.version.clone());
        let reply = self.storage.get(&self.key, options).await.map_err(|e| self.changed(e))?;
        if reply.meta.size != self.size {
            let message = format!("the source object had {} bytes and now has {}", self.size, reply.meta.size);
            return Err(side(Error::new(ErrorKind::SourceChanged, message)));
        }
        Ok(reply)
    }

    /// Describes the object, as it was listed or else as it is; fails with `source_changed`
    /// as [`get`](Self::get).
    pub(crate) async fn head(&self) -> Result<ObjectInfo> {
        if let Some(listed) = self.listed.as_deref().and_then(listed) {
            return Ok(listed);
        }
        let options = HeadOptions::new().version(self.pin.version.clone());
        let info = self.storage.head(&self.key, options).await.map_err(|e| self.changed(e))?;
        let other = self.pin.etag.is_some() && info.meta.etag != self.pin.etag;
        if other || info.meta.size != self.size {
            let message = "the source object was overwritten since it was listed";
            return Err(side(Error::new(ErrorKind::SourceChanged, message).with_context("key", &self.key)));
        }
        Ok(info)
    }

    /// A failed condition, or an object that is gone, means that it changed.
    fn changed(&self, error: Error) -> Error {
        let changed = match error.kind() {
            ErrorKind::PreconditionFailed => "the source object was overwritten since it was listed",
            ErrorKind::NotFound => "the source object was deleted since it was listed",
            _ => return side(error),
        };
        side(Error::new(ErrorKind::SourceChanged, changed).with_context("key", &self.key).with_source(error))
    }
}

/// What a head would tell of an object, if its listing told it.
pub(crate) fn listed(meta: &ObjectMeta) -> Option<ObjectInfo> {
    let attributes = (**meta.attributes.as_ref()?).clone();
    let tags = u32::try_from(attributes.tags.len()).unwrap_or(u32::MAX);
    Some(ObjectInfo::new(bare(meta.clone()), attributes).with_tag_count(tags))
}

/// An object without what its listing told of attributes: journals and plans keep none.
pub(crate) fn bare(mut meta: ObjectMeta) -> ObjectMeta {
    meta.attributes = None;
    meta
}

/// A piece of a source object as a body: opened again, it reads again. After it
/// was read to its end, [`digest`](Self::digest) has its digests.
pub(crate) struct Piece {
    source: Source,
    range: Range<u64>,
    /// A checksum beside the usual ones, because the source keeps it.
    extra: Option<Crc>,
    /// A reply that is there already serves the first opening.
    primed: Mutex<Option<ByteStream>>,
    /// Checksums of all of the piece that the source keeps: compared before the
    /// last leaf is handed on, so that wrong bytes never become an object.
    expected: Vec<StoredChecksum>,
    digest: Arc<Mutex<Option<PieceDigest>>>,
    counters: Arc<Counters>,
    bandwidth: Arc<Pace>,
}

impl Piece {
    pub(crate) fn new(run: &Run, source: Source, range: Range<u64>, extra: Option<Crc>) -> Self {
        Self {
            source,
            range,
            extra,
            primed: Mutex::new(None),
            expected: Vec::new(),
            digest: Arc::default(),
            counters: Arc::clone(&run.counters),
            bandwidth: Arc::clone(&run.bandwidth),
        }
    }

    pub(crate) fn expecting(self, expected: Vec<StoredChecksum>) -> Self {
        Self { expected, ..self }
    }

    pub(crate) fn primed(self, body: ByteStream) -> Self {
        Self { primed: Mutex::new(Some(body)), ..self }
    }

    pub(crate) fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// The digests of the last reading that came to its end.
    pub(crate) fn digest(&self) -> Result<PieceDigest> {
        let digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        digest
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the destination took a piece without reading all of it"))
    }

    fn bytes(&self) -> ByteStream {
        if let Some(body) = self.primed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Box::pin(body.map_err(side));
        }
        let (source, range) = (self.source.clone(), self.range.clone());
        let opened = async move { Ok(source.get(range).await?.body.map_err(side)) };
        Box::pin(futures_util::stream::once(opened).try_flatten())
    }
}

impl BodySource for Piece {
    fn open(&self) -> LeafStream {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let bandwidth = Arc::clone(&self.bandwidth);
        let hashed = Hashed {
            leaves: Leaves::new(self.bytes(), Hashing::Eager),
            promised: self.len(),
            expected: self.expected.clone(),
            tree: TreeHasher::new(),
            crc64: CrcHasher::new(Crc::Crc64Nvme),
            extra: self.extra.map(|kind| (kind, CrcHasher::new(kind))),
            md5: self.expected.iter().any(|stored| stored.algorithm == ChecksumAlgorithm::Md5).then(Md5Hasher::new),
            passed: 0,
            result: Arc::clone(&self.digest),
            counters: Arc::clone(&self.counters),
        };
        Box::pin(hashed.then(move |leaf| {
            let bandwidth = Arc::clone(&bandwidth);
            async move {
                if let Ok(leaf) = &leaf {
                    bandwidth.take(leaf.len() as u64).await;
                }
                leaf
            }
        }))
    }
}

/// Leaves on their way, and the digests of those that passed.
struct Hashed {
    leaves: Leaves,
    promised: u64,
    expected: Vec<StoredChecksum>,
    tree: TreeHasher,
    crc64: CrcHasher,
    extra: Option<(Crc, CrcHasher)>,
    md5: Option<Md5Hasher>,
    passed: u64,
    result: Arc<Mutex<Option<PieceDigest>>>,
    counters: Arc<Counters>,
}

impl Hashed {
    fn pass(&mut self, leaf: Leaf) -> Result<Leaf> {
        let len = leaf.len() as u64;
        if self.passed + len > self.promised {
            let message = format!("the source gave more than the {} bytes it promised", self.promised);
            return Err(side(Error::new(ErrorKind::SourceChanged, message)));
        }
        self.tree.push_leaf(leaf.digest(), len);
        for piece in &leaf.pieces {
            self.crc64.update(piece);
            if let Some((_, crc)) = &mut self.extra {
                crc.update(piece);
            }
            if let Some(md5) = &mut self.md5 {
                md5.update(piece);
            }
        }
        self.passed += len;
        self.counters.read(len);
        if self.passed == self.promised {
            self.finish()?;
        }
        Ok(leaf)
    }

    /// All bytes have passed: compares and leaves the digest for whoever asked.
    fn finish(&mut self) -> Result<()> {
        let digest = PieceDigest {
            len: self.passed,
            root: std::mem::take(&mut self.tree).finish().root,
            crc64: self.crc64.finish(),
            extra: self.extra.as_ref().map(|(kind, crc)| (*kind, crc.finish())),
            md5: self.md5.take().map(Md5Hasher::finish),
        };
        if let Some(wrong) = self.expected.iter().find(|stored| agrees(&digest, stored) == Some(false)) {
            return Err(differs(wrong.algorithm));
        }
        *self.result.lock().unwrap_or_else(PoisonError::into_inner) = Some(digest);
        Ok(())
    }

    fn end(&mut self) -> Option<Result<Leaf>> {
        if self.promised == 0 {
            return self.finish().err().map(Err);
        }
        if self.passed == self.promised {
            return None;
        }
        let message = format!("the source gave {} bytes where {} were promised", self.passed, self.promised);
        Some(Err(side(Error::new(ErrorKind::Network, message).with_retry(Retry::Now))))
    }
}

/// The bytes that arrived are not those that the source says it holds. Reading
/// again may help.
pub(crate) fn differs(algorithm: ChecksumAlgorithm) -> Error {
    let message = format!("the bytes read do not have the {algorithm:?} that the source keeps of them");
    side(Error::new(ErrorKind::ChecksumMismatch, message).with_retry(Retry::Now))
}

impl Stream for Hashed {
    type Item = Result<Leaf>;

    fn poll_next(self: StdPin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        Poll::Ready(match ready!(StdPin::new(&mut this.leaves).poll_next(cx)) {
            Some(Ok(leaf)) => Some(this.pass(leaf)),
            Some(Err(error)) => Some(Err(error)),
            None => this.end(),
        })
    }
}

/// Reads a whole source object for its digest alone.
pub(crate) async fn digest(run: &Run, source: &Source, extra: Option<Crc>) -> Result<PieceDigest> {
    digest_of(run, source, 0..source.size, extra).await
}

/// The same of a piece of it.
pub(crate) async fn digest_of(
    run: &Run,
    source: &Source,
    range: Range<u64>,
    extra: Option<Crc>,
) -> Result<PieceDigest> {
    attempts(run, true, || async {
        let piece = Piece::new(run, source.clone(), range.clone(), extra);
        piece.open().try_for_each(|_| std::future::ready(Ok(()))).await?;
        piece.digest()
    })
    .await
}
