//! An `ObjectStore` as a Lepton store.

use std::fmt;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Attribute, Body, ByteStream, Capabilities, DeleteRequest, DeleteResults, ETag, Error, ErrorKind, GetOptions,
    GetReply, HeadOptions, KeyHandling, KeyPrefix, ListOrder, ListPage, ListRequest, Multipart, MultipartLimits,
    ObjectInfo, ObjectKey, ObjectMeta, PageStream, PhysicalLocation, Precondition, PutOptions, PutReceipt, Result,
    ServerCheck, ServerCopy, Signer, Storage, Support, VersionId, Versions,
};
use object_store::multipart::MultipartStore;
use object_store::path::Path;
use object_store::{
    GetOptions as TheirGetOptions, GetRange, MultipartUpload, ObjectStore, PutMode, PutMultipartOptions,
    PutOptions as TheirPutOptions, PutPayload, PutResult, UpdateVersion,
};

use super::convert::{inward, inward_attributes, inward_meta, is_quoted, key, outward_attributes, path, tag};

/// How much of a body is held in memory; a larger body is sent in parts of this size.
const HELD: u64 = 16 << 20;

/// An [`ObjectStore`] as a Lepton store. `url` names it in messages, journals and manifests:
/// the same store must always have the same URL.
///
/// Disable retries in the underlying store (`RetryConfig { max_retries: 0, .. }`): the transfer
/// engine retries, and knows which operations are safe to repeat.
///
/// ```
/// use std::sync::Arc;
/// use lepton::{ObjectKey, StorageExt, interop};
/// use object_store::memory::InMemory;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> lepton::Result<()> {
/// let memory = Arc::new(InMemory::new());
/// let ours = interop::from_object_store(memory.clone(), "memory://photos").multipart(memory);
/// ours.write(&ObjectKey::new("a.jpg")?, "bytes".into()).await?;
/// assert!(ours.exists(&ObjectKey::new("a.jpg")?).await?);
/// # Ok(()) }
/// ```
pub fn from_object_store(store: Arc<dyn ObjectStore>, url: impl Into<String>) -> FromObjectStore {
    FromObjectStore { store, parts: None, capabilities: capabilities(), url: url.into(), quotes: Arc::default() }
}

/// An [`ObjectStore`] as a Lepton store; see [`from_object_store`].
///
/// Without [`multipart`](Self::multipart) an object above 16 MiB is sent in one call, in parts
/// that the underlying store tracks: after a failure it starts over, and a condition on it is
/// checked before the upload rather than atomically with the write. No checksum is sent with
/// the bytes, as that interface has none: [`ServerCheck::None`].
#[derive(Clone)]
pub struct FromObjectStore {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) parts: Option<Arc<dyn MultipartStore>>,
    pub(super) capabilities: Capabilities,
    url: String,
    /// Whether the store quotes ETags in the description of a single object; conditions must
    /// use the same form.
    quotes: Arc<OnceLock<bool>>,
}

impl FromObjectStore {
    /// Adds multipart uploads that can be resumed after a failure. All clouds of `object_store`
    /// and its in-memory store support them; usually `parts` is the same object as the store.
    /// Its `MicrosoftAzure` cannot store attributes with multipart uploads and refuses them by
    /// name: do not call this if objects with attributes go there.
    #[must_use]
    pub fn multipart(mut self, parts: Arc<dyn MultipartStore>) -> Self {
        self.parts = Some(parts);
        self.capabilities.put_if_absent = Support::Native;
        self.capabilities.max_single_put = HELD;
        self.capabilities.multipart = Some(MultipartLimits::new(5 << 20, 5 << 30, 10_000));
        self
    }

    /// Overrides individual capabilities, by the names of the fields of [`Capabilities`]: an
    /// `ObjectStore` cannot be asked for its capabilities.
    ///
    /// # Errors
    /// As [`Capabilities::overridden`].
    pub fn overridden(mut self, overrides: &serde_json::Value) -> Result<Self> {
        self.capabilities = self.capabilities.overridden(overrides)?;
        Ok(self)
    }

    /// The path of a key that the underlying store stores unchanged.
    pub(super) fn path(&self, key: &ObjectKey, operation: &'static str) -> Result<Path> {
        self.capabilities.keys.check(key).and_then(|()| path(key)).map_err(|error| error.with_operation(operation))
    }
}

/// What every `ObjectStore` can do.
fn capabilities() -> Capabilities {
    let mut can = Capabilities::everything("object_store");
    can.list_order = ListOrder::Unordered;
    can.start_after = Support::Emulated;
    can.put_if_absent = Support::Emulated;
    can.put_if_match = Support::Unknown;
    can.conditional_complete = Support::Unsupported;
    can.conditional_delete = Support::Unsupported;
    can.multipart = None;
    can.list_parts = Support::Unsupported;
    can.list_uploads = Support::Unsupported;
    can.upload_records = Support::Unknown;
    can.server_copy = Support::Unsupported;
    can.versions = Support::Unsupported;
    can.buffers_uploads = true;
    can.attributes.retain(|attribute| !matches!(attribute, Attribute::Expires | Attribute::Tags));
    can.keys.utf8_only = true;
    can.keys.control_characters = KeyHandling::Refused;
    can.keys.empty_segments = KeyHandling::Refused;
    can.keys.dot_segments = KeyHandling::Refused;
    can.keys.leading_slash = KeyHandling::Refused;
    can.keys.trailing_slash = KeyHandling::Refused;
    can
}

impl fmt::Debug for FromObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FromObjectStore").field("url", &self.url).field("store", &self.store).finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for FromObjectStore {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn url(&self) -> &str {
        &self.url
    }

    /// A store of another crate can be a wrapper that changes bytes.
    fn copy_url(&self) -> Option<&str> {
        None
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> lepton_core::Result<PhysicalLocation> {
        Ok(PhysicalLocation::new(self.url(), prefix.as_bytes()))
    }

    fn list(&self, request: ListRequest) -> PageStream {
        let store = Arc::clone(&self.store);
        let size = request.page_size.unwrap_or(1000).max(1);
        match (parent(&request.prefix), request.delimiter) {
            // No path starts with such a prefix.
            (None, _) => stream::empty().boxed(),
            (Some(folder), None) => objects(&store, folder.as_ref(), request, size),
            (Some(folder), Some(b'/')) => {
                let pages = stream::once(async move { level(&store, folder.as_ref(), &request, size).await });
                pages.map_ok(|pages| stream::iter(pages.into_iter().map(Ok))).try_flatten().boxed()
            }
            (_, Some(other)) => {
                let message = format!("the delimiter {:?}; only `/` is one there", char::from(other));
                stream::once(async { Err(Error::unsupported(message).with_operation("list")) }).boxed()
            }
        }
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let named = |error: Error| error.with_context("key", key);
        newest(options.version.as_ref()).map_err(|error| named(error.with_operation("head")))?;
        let theirs = TheirGetOptions::new().with_head(true);
        let found = self.store.get_opts(&self.path(key, "head")?, theirs).await;
        let found = found.map_err(|error| named(inward(error, "head", false)))?;
        self.info(found.meta, &found.attributes).map_err(named)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let named = |error: Error| error.with_operation("get").with_context("key", key);
        newest(options.version.as_ref()).map_err(named)?;
        let location = self.path(key, "get")?;
        if let Some(range) = options.range.as_ref().filter(|range| range.is_empty()) {
            let info = self.head(key, HeadOptions::new()).await.map_err(named)?;
            let at = range.start.min(info.meta.size);
            return Ok(GetReply::new(info, at..at, stream::empty().boxed()));
        }
        let mut theirs = TheirGetOptions::new();
        theirs.range = options.range.clone().map(GetRange::Bounded);
        if let Some(tag) = options.if_match {
            theirs.if_match = Some(self.their_tag(key, &tag).await);
        }
        let reply = match self.store.get_opts(&location, theirs).await {
            Ok(reply) => reply,
            Err(error) => {
                let error = named(inward(error, "get", false));
                return Err(self.beyond(key, options.range.as_ref(), &error).await.map_or(error, named));
            }
        };
        let info = self.info(reply.meta.clone(), &reply.attributes).map_err(named)?;
        let (range, name) = (reply.range.clone(), key.clone());
        let bytes = reply.into_stream().map_err(move |error| inward(error, "get", false).with_context("key", &name));
        Ok(GetReply::new(info, range.clone(), exactly(bytes.boxed(), range.end - range.start)))
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let put = self.put_at(key, &body, options).await;
        put.map_err(|error| error.with_operation("put").with_context("key", key))
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        let paths: Vec<Result<Path>> = requests.iter().map(|request| self.deletable(request)).collect();
        let known: Vec<Path> = paths.iter().flatten().cloned().collect();
        let mut deleted = super::deletes::all(&*self.store, known).await.into_iter();
        let unanswered = || Err(Error::new(ErrorKind::Unexpected, "the store gave no result for this key"));
        let of = |(request, path): (&DeleteRequest, Result<Path>)| {
            let result = path.and_then(|_| deleted.next().unwrap_or_else(unanswered));
            result.map_err(|error| error.with_operation("delete").with_context("key", &request.key))
        };
        Ok(requests.iter().zip(paths).map(of).collect())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        self.parts.is_some().then_some(self as &dyn Multipart)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        None
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        None
    }
}

impl FromObjectStore {
    async fn put_at(&self, key: &ObjectKey, body: &Body, options: PutOptions) -> Result<PutReceipt> {
        let location = self.path(key, "put")?;
        let most = self.capabilities.max_single_put;
        if body.len() > most {
            let message = format!("{} bytes are more than the {most} of one put; send them in parts", body.len());
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        self.capabilities.check_attributes(&options.attributes)?;
        let attributes = outward_attributes(options.attributes, options.storage_class);
        if body.len() > HELD {
            self.check(key, &options.precondition).await?;
            let theirs = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
            let upload = self.store.put_multipart_opts(&location, theirs).await;
            let put = in_parts(upload.map_err(|error| inward(error, "put", true))?, body).await;
            return put.map(|put| self.receipt(put));
        }
        let mode = match options.precondition {
            Precondition::None => PutMode::Overwrite,
            Precondition::IfAbsent => PutMode::Create,
            Precondition::IfMatch(tag) => {
                PutMode::Update(UpdateVersion { e_tag: Some(self.their_tag(key, &tag).await), version: None })
            }
            other => return Err(Error::unsupported(format!("the condition {other:?} is not known here"))),
        };
        let theirs = TheirPutOptions { mode, attributes, ..TheirPutOptions::default() };
        let put = self.store.put_opts(&location, held(body).await?, theirs).await;
        put.map(|put| self.receipt(put)).map_err(|error| inward(error, "put", true))
    }

    /// An ETag in the form that the underlying store expects in a condition. If that form is
    /// not known yet, the object is looked up.
    async fn their_tag(&self, key: &ObjectKey, tag: &ETag) -> String {
        if self.quotes.get().is_none() {
            // The request itself will report the error.
            let _ = self.head(key, HeadOptions::new()).await;
        }
        let text = tag.as_str();
        let bare = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
        match (self.quotes.get(), bare) {
            (Some(false), Some(bare)) => bare.to_owned(),
            _ => text.to_owned(),
        }
    }

    fn learn(&self, theirs: Option<&String>) {
        if let Some(tag) = theirs {
            // All ETags of a store have the same form.
            let _ = self.quotes.set(is_quoted(tag));
        }
    }

    pub(super) fn receipt(&self, put: PutResult) -> PutReceipt {
        self.learn(put.e_tag.as_ref());
        PutReceipt::new(ServerCheck::None).etag(put.e_tag.map(tag)).version(put.version.map(VersionId::new))
    }

    fn info(&self, meta: object_store::ObjectMeta, attributes: &object_store::Attributes) -> Result<ObjectInfo> {
        self.learn(meta.e_tag.as_ref());
        let mut meta = inward_meta(meta)?;
        let (attributes, class) = inward_attributes(attributes)?;
        meta.storage_class = class;
        Ok(ObjectInfo::new(meta, attributes))
    }

    /// Checks a condition that a multipart upload cannot carry.
    async fn check(&self, key: &ObjectKey, condition: &Precondition) -> Result<()> {
        match condition {
            Precondition::None => Ok(()),
            Precondition::IfAbsent => match self.head(key, HeadOptions::new()).await {
                Ok(_) => Err(Error::new(ErrorKind::AlreadyExists, "there is an object of this key")),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            },
            _ => Err(Error::unsupported("an ETag cannot be demanded of an object that goes in parts")),
        }
    }

    /// The error of a range that begins past the end of the object, unless `error` is already
    /// specific.
    async fn beyond(&self, key: &ObjectKey, range: Option<&std::ops::Range<u64>>, error: &Error) -> Option<Error> {
        use ErrorKind as K;
        let said = [K::PreconditionFailed, K::NotFound, K::PermissionDenied, K::Unauthenticated];
        let start = range.filter(|_| !said.contains(&error.kind()))?.start;
        let size = self.head(key, HeadOptions::new()).await.ok()?.meta.size;
        let message = format!("the object has {size} bytes, and the range begins at {start}");
        (start >= size).then(|| Error::invalid_input(message))
    }

    fn deletable(&self, request: &DeleteRequest) -> Result<Path> {
        if request.version.is_some() || request.if_match.is_some() {
            return Err(Error::unsupported("a delete of a version, or under a condition"));
        }
        self.path(&request.key, "delete")
    }
}

/// Refuses requests for old versions, which are not listed either.
fn newest(version: Option<&VersionId>) -> Result<()> {
    version.map_or(Ok(()), |_| Err(Error::unsupported("old versions of objects")))
}

/// Reads a whole body into memory.
pub(super) async fn held(body: &Body) -> Result<PutPayload> {
    let pieces: Vec<Bytes> =
        body.open().map_ok(|leaf| stream::iter(leaf.pieces.into_iter().map(Ok))).try_flatten().try_collect().await?;
    check_len(body, pieces.iter().map(|piece| piece.len() as u64).sum())?;
    Ok(pieces.into_iter().collect())
}

/// Refuses a body whose length differs from the stated one.
fn check_len(body: &Body, given: u64) -> Result<()> {
    if given == body.len() {
        return Ok(());
    }
    Err(Error::invalid_input(format!("the body gave {given} bytes where it said {}", body.len())))
}

/// Sends a body part by part, in an upload that is aborted on failure.
async fn in_parts(mut upload: Box<dyn MultipartUpload>, body: &Body) -> Result<PutResult> {
    let sent = send(&mut *upload, body).await;
    if sent.is_err() {
        // Report the first error, not one of the abort.
        let _ = upload.abort().await;
    }
    sent
}

async fn send(upload: &mut dyn MultipartUpload, body: &Body) -> Result<PutResult> {
    let named = |error| inward(error, "put", true);
    let (mut leaves, mut part, mut len, mut given) = (body.open(), Vec::new(), 0, 0);
    while let Some(leaf) = leaves.try_next().await? {
        len += leaf.len() as u64;
        given += leaf.len() as u64;
        part.extend(leaf.pieces);
        if len >= HELD {
            upload.put_part(std::mem::take(&mut part).into_iter().collect()).await.map_err(named)?;
            len = 0;
        }
    }
    check_len(body, given)?;
    if len > 0 {
        upload.put_part(part.into_iter().collect()).await.map_err(named)?;
    }
    upload.complete().await.map_err(named)
}

/// The same bytes, with an error if there are fewer or more than `len`.
fn exactly(bytes: ByteStream, len: u64) -> ByteStream {
    stream::unfold(Some((bytes, len)), |state| async {
        let (mut bytes, left) = state?;
        let wrong = |why: &'static str| {
            let error =
                Error::new(ErrorKind::Network, why).with_retry(lepton_core::RetryClass::Now).with_operation("get");
            Some((Err(error), None))
        };
        match bytes.next().await {
            Some(Ok(piece)) if piece.len() as u64 > left => wrong("the store gave more bytes than it said"),
            Some(Ok(piece)) => {
                let left = left - piece.len() as u64;
                Some((Ok(piece), Some((bytes, left))))
            }
            Some(Err(error)) => Some((Err(error), None)),
            None if left > 0 => wrong("the store gave fewer bytes than it said"),
            None => None,
        }
    })
    .boxed()
}

/// The folder that contains everything with this prefix: `Some(None)` is the root, and `None`
/// means that no path can have the prefix.
fn parent(prefix: &KeyPrefix) -> Option<Option<Path>> {
    // A prefix may end in the middle of a character.
    let Some(end) = prefix.as_bytes().iter().rposition(|byte| *byte == b'/') else { return Some(None) };
    let folder = std::str::from_utf8(&prefix.as_bytes()[..end]).ok()?;
    if folder.is_empty() || folder.starts_with('/') || folder.ends_with('/') {
        return None;
    }
    Path::parse(folder).ok().map(Some)
}

/// Whether the request covers an object.
fn wanted(request: &ListRequest, key: &[u8]) -> bool {
    let behind = request.start_after.as_ref().is_none_or(|after| key > &after[..]);
    behind && key.starts_with(request.prefix.as_bytes())
}

/// Pages of all requested objects in a folder.
fn objects(store: &Arc<dyn ObjectStore>, folder: Option<&Path>, request: ListRequest, size: usize) -> PageStream {
    let after = request.start_after.as_ref().and_then(|after| std::str::from_utf8(after).ok());
    let after = after.and_then(|after| Path::parse(after).ok().filter(|path| path.as_ref() == after));
    let found = match after {
        Some(after) => store.list_with_offset(folder, &after),
        None => store.list(folder),
    };
    let found = found.map_err(|error| inward(error, "list", false)).and_then(|meta| async { inward_meta(meta) });
    let found = found.try_filter(move |meta| std::future::ready(wanted(&request, meta.key.as_bytes())));
    let page = |objects| Ok(ListPage::new(sorted(objects), Vec::new()));
    // Objects listed before an error are yielded before it.
    let pages = found.try_chunks(size).flat_map(move |chunk| match chunk {
        Ok(objects) => stream::iter(vec![page(objects)]),
        Err(cut) if cut.0.is_empty() => stream::iter(vec![Err(cut.1)]),
        Err(cut) => stream::iter(vec![page(cut.0), Err(cut.1)]),
    });
    pages.boxed()
}

fn sorted(mut page: Vec<ObjectMeta>) -> Vec<ObjectMeta> {
    page.sort_unstable_by(|a, b| a.key.cmp(&b.key));
    page
}

/// The requested objects and subfolders of a folder.
async fn level(
    store: &Arc<dyn ObjectStore>,
    folder: Option<&Path>,
    request: &ListRequest,
    size: usize,
) -> Result<Vec<ListPage>> {
    let found = store.list_with_delimiter(folder).await.map_err(|error| inward(error, "list", false))?;
    let mut metas = Vec::new();
    for meta in found.objects {
        let meta = inward_meta(meta)?;
        if wanted(request, meta.key.as_bytes()) {
            metas.push(meta);
        }
    }
    let mut prefixes = Vec::new();
    for path in found.common_prefixes {
        let prefix = format!("{path}/");
        let within = prefix.as_bytes().starts_with(request.prefix.as_bytes());
        if within && has_behind(store, &path, request.start_after.as_ref()).await? {
            prefixes.push(KeyPrefix::new(prefix));
        }
    }
    prefixes.sort_unstable();
    let mut pages: Vec<_> = sorted(metas).chunks(size).map(|page| ListPage::new(page.to_vec(), Vec::new())).collect();
    pages.extend(prefixes.chunks(size).map(|page| ListPage::new(Vec::new(), page.to_vec())));
    Ok(pages)
}

/// Whether a folder has any object after a key.
async fn has_behind(store: &Arc<dyn ObjectStore>, folder: &Path, after: Option<&Bytes>) -> Result<bool> {
    let Some(after) = after else { return Ok(true) };
    let prefix = format!("{folder}/");
    if !after.starts_with(prefix.as_bytes()) {
        return Ok(prefix.as_bytes() > &after[..]);
    }
    let mut below = store.list(Some(folder));
    while let Some(meta) = below.try_next().await.map_err(|error| inward(error, "list", false))? {
        if key(&meta.location)?.as_bytes() > &after[..] {
            return Ok(true);
        }
    }
    Ok(false)
}
