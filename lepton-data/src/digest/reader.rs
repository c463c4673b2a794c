//! Reads an object: pinned, in leaves, each byte hashed once while it is in the cache.

use std::collections::BTreeMap;
use std::ops::Range;
use std::pin::Pin as StdPin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::SystemTime;

use futures_core::Stream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    Attributes, BodySource, ByteStream, ChecksumAlgorithm, Crc, CrcHasher, Error, ErrorKind, GetOptions, GetReply,
    Hashing, HeadOptions, Leaf, LeafStream, Leaves, Md5Hasher, ObjectInfo, ObjectKey, ObjectMeta, Result, RetryClass,
    StoredChecksum, TreeHasher,
};

use crate::digest::checksum::{PieceDigest, agrees};
use crate::schedule::endpoint::Endpoint;
use crate::types::entry::Pin;
use crate::types::side::Side;

/// One pinned object of either side, to be read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    endpoint: Endpoint,
    pub(crate) key: ObjectKey,
    pub(crate) size: u64,
    pub(crate) pin: Pin,
    pub(crate) last_modified: Option<SystemTime>,
    /// The listed metadata, if the listing included the attributes.
    listed: Option<Arc<ObjectMeta>>,
}

impl Source {
    pub(crate) fn new(endpoint: &Endpoint, meta: &ObjectMeta) -> Self {
        let listed = meta.attributes.is_some().then(|| Arc::new(meta.clone()));
        let (key, pin, last_modified) = (meta.key.clone(), Pin::of(meta), meta.last_modified);
        Self { endpoint: endpoint.clone(), key, size: meta.size, pin, last_modified, listed }
    }

    /// Reads `range`, without attributes; fails with `source_changed` if the object is not
    /// the pinned one.
    pub(crate) async fn get(&self, range: Range<u64>) -> Result<GetReply> {
        let options = GetOptions::new().without_attributes(true);
        self.read(if range == (0..self.size) { options } else { options.range(range) }).await
    }

    /// Reads the whole object, with its attributes; fails as [`get`](Self::get).
    pub(crate) async fn whole(&self) -> Result<GetReply> {
        let mut reply = self.read(GetOptions::new().without_attributes(self.listed.is_some())).await?;
        if let Some(listed) = self.listed.as_deref().and_then(listed) {
            (reply.attributes, reply.tag_count) = (listed.attributes, listed.tag_count);
        }
        Ok(reply)
    }

    async fn read(&self, options: GetOptions) -> Result<GetReply> {
        let options = options.if_match(self.pin.etag.clone()).version(self.pin.version.clone());
        let reply = self.endpoint.storage().get(&self.key, options).await.map_err(|e| self.changed(e))?;
        if reply.meta.size != self.size {
            return Err(self.other(&format!("had {} bytes and now has {}", self.size, reply.meta.size)));
        }
        Ok(reply)
    }

    /// The tags of the object; `None` if they may not be read.
    pub(crate) async fn tags(&self) -> Result<Option<BTreeMap<String, String>>> {
        let options = HeadOptions::new().version(self.pin.version.clone()).tags(true);
        match self.endpoint.storage().head(&self.key, options).await {
            Ok(info) => Ok(Some(info.attributes.tags)),
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => Ok(None),
            Err(error) => Err(self.side().mark(error)),
        }
    }

    /// The attributes of the object, and whether it has tags that may not be read. Retries.
    pub(crate) async fn attributes(&self) -> Result<(Attributes, bool)> {
        let options = HeadOptions::new().version(self.pin.version.clone()).tags(true);
        // Not every store counts the tags without a request for them.
        match self.endpoint.head(&self.key, options).await {
            Ok(info) => Ok((info.attributes, false)),
            Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
                let info = self.head().await?;
                Ok((info.attributes, info.tag_count > 0))
            }
            Err(error) => Err(self.side().mark(error)),
        }
    }

    /// Describes the object, from its listing if possible; retries, and fails with
    /// `source_changed` as [`get`](Self::get).
    pub(crate) async fn head(&self) -> Result<ObjectInfo> {
        self.endpoint.retry(true, || self.describe()).await
    }

    async fn describe(&self) -> Result<ObjectInfo> {
        if let Some(listed) = self.listed.as_deref().and_then(listed) {
            return Ok(listed);
        }
        let options = HeadOptions::new().version(self.pin.version.clone());
        let info = self.endpoint.storage().head(&self.key, options).await.map_err(|e| self.changed(e))?;
        let other = self.pin.etag.is_some() && info.meta.etag != self.pin.etag;
        if other || info.meta.size != self.size {
            return Err(self.other("was overwritten since it was listed"));
        }
        Ok(info)
    }

    /// Maps an error: at the source, a failed condition or a missing object means that the
    /// object changed.
    fn changed(&self, error: Error) -> Error {
        let changed = match error.kind() {
            ErrorKind::PreconditionFailed => "was overwritten since it was listed",
            ErrorKind::NotFound => "was deleted since it was listed",
            _ => return self.side().mark(error),
        };
        match self.side() {
            Side::Source => self.other(changed).with_source(error),
            Side::Destination => self.side().mark(error),
        }
    }

    /// The error for an object that is not the pinned one.
    fn other(&self, what: &str) -> Error {
        let kind = match self.side() {
            Side::Source => ErrorKind::SourceChanged,
            Side::Destination => ErrorKind::PreconditionFailed,
        };
        let message = format!("the {} object {what}", self.side().name());
        self.side().mark(Error::new(kind, message).with_context("key", &self.key))
    }

    pub(crate) fn side(&self) -> Side {
        self.endpoint.side()
    }

    /// Reads the whole object for its digest alone. Retries.
    pub(crate) async fn digest(&self, extra: Option<Crc>) -> Result<PieceDigest> {
        self.digest_of(0..self.size, extra).await
    }

    /// Reads a range of the object for its digest alone. Retries.
    pub(crate) async fn digest_of(&self, range: Range<u64>, extra: Option<Crc>) -> Result<PieceDigest> {
        self.endpoint
            .retry(true, || async {
                let piece = Piece::new(self.clone(), range.clone(), extra);
                piece.open().try_for_each(|_| std::future::ready(Ok(()))).await?;
                piece.digest()
            })
            .await
    }
}

/// The result of a head request, if the listing included the attributes.
pub(crate) fn listed(meta: &ObjectMeta) -> Option<ObjectInfo> {
    let attributes = (**meta.attributes.as_ref()?).clone();
    let tags = u32::try_from(attributes.tags.len()).unwrap_or(u32::MAX);
    Some(ObjectInfo::new(bare(meta.clone()), attributes).with_tag_count(tags))
}

/// An object without its listed attributes, which journals and plans do not store.
pub(crate) fn bare(mut meta: ObjectMeta) -> ObjectMeta {
    meta.attributes = None;
    meta
}

/// A piece of an object as a body. Each opening reads it again. Once it has been read to
/// its end, [`digest`](Self::digest) returns its digests.
pub(crate) struct Piece {
    source: Source,
    range: Range<u64>,
    /// A CRC to compute in addition to the usual checksums.
    extra: Option<Crc>,
    /// A reply that has already arrived; it serves the first opening.
    primed: Mutex<Option<ByteStream>>,
    /// Checksums of the whole piece that the source states. They are compared before the
    /// last leaf is passed on, so that wrong bytes never become an object.
    expected: Vec<StoredChecksum>,
    digest: Arc<Mutex<Option<PieceDigest>>>,
}

impl Piece {
    pub(crate) fn new(source: Source, range: Range<u64>, extra: Option<Crc>) -> Self {
        Self { source, range, extra, primed: Mutex::new(None), expected: Vec::new(), digest: Arc::default() }
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

    /// The digests of the last complete read.
    pub(crate) fn digest(&self) -> Result<PieceDigest> {
        let digest = self.digest.lock().unwrap_or_else(PoisonError::into_inner).clone();
        digest
            .ok_or_else(|| Error::new(ErrorKind::Unexpected, "the destination took a piece without reading all of it"))
    }

    fn bytes(&self) -> ByteStream {
        let side = self.source.side();
        if let Some(body) = self.primed.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Box::pin(body.map_err(move |error| side.mark(error)));
        }
        let (source, range) = (self.source.clone(), self.range.clone());
        let opened = async move { Ok(source.get(range).await?.body.map_err(move |error| side.mark(error))) };
        Box::pin(futures_util::stream::once(opened).try_flatten())
    }
}

impl BodySource for Piece {
    fn open(&self) -> LeafStream {
        *self.digest.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let scheduler = Arc::clone(self.source.endpoint.scheduler());
        let hashed = Hashed {
            source: self.source.clone(),
            leaves: Leaves::new(self.bytes(), Hashing::Eager),
            promised: self.len(),
            expected: self.expected.clone(),
            tree: TreeHasher::new(),
            crc64: CrcHasher::new(Crc::Crc64Nvme),
            extra: self.extra.map(|kind| (kind, CrcHasher::new(kind))),
            md5: self.expected.iter().any(|stored| stored.algorithm == ChecksumAlgorithm::Md5).then(Md5Hasher::new),
            passed: 0,
            result: Arc::clone(&self.digest),
        };
        Box::pin(hashed.then(move |leaf| {
            let scheduler = Arc::clone(&scheduler);
            async move {
                if let Ok(leaf) = &leaf {
                    scheduler.take_bandwidth(leaf.len() as u64).await;
                }
                leaf
            }
        }))
    }
}

/// A stream of leaves that computes their digests.
struct Hashed {
    source: Source,
    leaves: Leaves,
    promised: u64,
    expected: Vec<StoredChecksum>,
    tree: TreeHasher,
    crc64: CrcHasher,
    extra: Option<(Crc, CrcHasher)>,
    md5: Option<Md5Hasher>,
    passed: u64,
    result: Arc<Mutex<Option<PieceDigest>>>,
}

impl Hashed {
    fn pass(&mut self, leaf: Leaf) -> Result<Leaf> {
        let len = leaf.len() as u64;
        if self.passed + len > self.promised {
            return Err(self.source.other(&format!("gave more than the {} bytes it promised", self.promised)));
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
        if self.source.side() == Side::Source {
            self.source.endpoint.scheduler().counters.read(len);
        }
        if self.passed == self.promised {
            self.finish()?;
        }
        Ok(leaf)
    }

    /// Called when all bytes have passed: compares the checksums and stores the digest.
    fn finish(&mut self) -> Result<()> {
        let digest = PieceDigest {
            len: self.passed,
            root: std::mem::take(&mut self.tree).finish().root,
            crc64: self.crc64.finish(),
            extra: self.extra.as_ref().map(|(kind, crc)| (*kind, crc.finish())),
            md5: self.md5.take().map(Md5Hasher::finish),
        };
        if let Some(wrong) = self.expected.iter().find(|stored| agrees(&digest, stored) == Some(false)) {
            return Err(differs(self.source.side(), wrong.algorithm));
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
        let side = self.source.side();
        let (gave, promised) = (self.passed, self.promised);
        let message = format!("the {} gave {gave} bytes where {promised} were promised", side.name());
        Some(Err(side.mark(Error::new(ErrorKind::Network, message).with_retry(RetryClass::Now))))
    }
}

/// The error for bytes that do not match the store's checksum. Reading again may help.
pub(crate) fn differs(side: Side, algorithm: ChecksumAlgorithm) -> Error {
    let message = format!("the bytes read do not have the {algorithm:?} that the {} keeps of them", side.name());
    side.mark(Error::new(ErrorKind::ChecksumMismatch, message).with_retry(RetryClass::Now))
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
