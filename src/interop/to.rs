//! A Lepton store as an `ObjectStore`.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Body, BodySource, CopyOptions as OurCopyOptions, CopySource, DeleteRequest, ETag, Error as OurError, ErrorKind,
    GetOptions as OurGetOptions, Hashing, HeadOptions, KeyPrefix, LeafStream, Leaves, ListPage, ListRequest,
    ObjectInfo, ObjectKey, Precondition, PutOptions as OurPutOptions, SharedStorage, VersionId,
};
use object_store::path::Path;
use object_store::{
    CopyMode, CopyOptions, Error, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, TagSet,
};

use percent_encoding::percent_decode_str;

use super::convert::{STORE, inward_attributes, key, outward, outward_attributes, outward_meta, path, put_result};
use super::upload::PartUpload;

/// A Lepton store as an [`ObjectStore`].
///
/// Nothing is retried here: put a [`layer`](lepton_providers::layers) in between, or let the
/// caller retry. If a multipart copy is dropped before it ends, its upload stays open: the
/// store's [`Multipart::list_uploads`](lepton_core::Multipart::list_uploads) lists it.
pub fn to_object_store(storage: SharedStorage) -> ToObjectStore {
    ToObjectStore { storage }
}

/// A Lepton store as an [`ObjectStore`]; see [`to_object_store`].
///
/// An operation that the underlying store does not support fails with an
/// [`Error::NotImplemented`] that names it. Conditions on a time or on several ETags cost an
/// additional request.
#[derive(Debug, Clone)]
pub struct ToObjectStore {
    storage: SharedStorage,
}

impl fmt::Display for ToObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{STORE}({})", self.storage.url())
    }
}

#[async_trait]
impl ObjectStore for ToObjectStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let named = |error| outward(error, location);
        let (mut attributes, class) = inward_attributes(&options.attributes).map_err(named)?;
        attributes.tags = tags(&options.tags);
        let precondition = match options.mode {
            PutMode::Overwrite => Precondition::None,
            PutMode::Create => Precondition::IfAbsent,
            PutMode::Update(version) => Precondition::IfMatch(self.updatable(location, version.e_tag)?),
        };
        let ours = OurPutOptions::new().attributes(attributes).precondition(precondition).storage_class(class);
        let body = Body::from_pieces(payload);
        let receipt = self.storage.put(&key(location).map_err(named)?, body, ours).await;
        receipt.map(put_result).map_err(named)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let named = |error| outward(error, location);
        let (mut attributes, class) = inward_attributes(&options.attributes).map_err(named)?;
        attributes.tags = tags(&options.tags);
        let upload = PartUpload::begin(Arc::clone(&self.storage), location.clone(), attributes, class).await?;
        Ok(Box::new(upload))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let named = |error| outward(error, location);
        let key = key(location).map_err(named)?;
        let mut ours = OurGetOptions::new().version(options.version.clone().map(VersionId::new));
        if options.head || needs_description(&options) {
            let head = HeadOptions::new().version(ours.version.clone());
            let info = self.storage.head(&key, head).await.map_err(named)?;
            options.check_preconditions(&outward_meta(&info.meta, location.clone()))?;
            if options.head {
                return Ok(described(info, location));
            }
            ours.range = options.range.as_ref().map(|range| bytes_of(range, info.meta.size));
            let pinned = self.storage.capabilities().conditional_get.is_available();
            ours.if_match = info.meta.etag.filter(|_| pinned);
        } else {
            ours.range = options.range.as_ref().map(|range| bytes_of(range, u64::MAX));
            ours.if_match = options.if_match.map(ETag::new);
        }
        let reply = self.storage.get(&key, ours).await.map_err(named)?;
        let (at, class) = (location.clone(), reply.meta.storage_class.clone());
        Ok(GetResult {
            meta: outward_meta(&reply.meta, location.clone()),
            range: reply.range,
            attributes: outward_attributes(reply.attributes, class),
            extensions: Default::default(),
            payload: GetResultPayload::Stream(reply.body.map_err(move |error| outward(error, &at)).boxed()),
        })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (storage, batch) = (Arc::clone(&self.storage), self.storage.capabilities().delete_batch.max(1));
        let batches = locations.ready_chunks(batch);
        batches.then(move |batch| delete(Arc::clone(&storage), batch)).flat_map(stream::iter).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.listed(ListRequest::new().prefix(folder(prefix)))
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let request = ListRequest::new().prefix(folder(prefix));
        self.listed(request.start_after(offset.as_ref().as_bytes().to_vec()))
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let at = prefix.cloned().unwrap_or(Path::ROOT);
        let named = |error| outward(error, &at);
        let mut pages = self.storage.list(ListRequest::new().prefix(folder(prefix)).delimiter(b'/'));
        let (mut common_prefixes, mut objects) = (Vec::new(), Vec::new());
        while let Some(ListPage { objects: found, prefixes, .. }) = pages.try_next().await.map_err(named)? {
            for prefix in prefixes {
                let name = prefix.as_bytes().strip_suffix(b"/").unwrap_or(prefix.as_bytes()).to_vec();
                let path = ObjectKey::new(name).and_then(|name| path(&name));
                common_prefixes.push(path.map_err(named)?);
            }
            for meta in found.iter().filter(|meta| !marks_folder(&meta.key)) {
                objects.push(outward_meta(meta, path(&meta.key).map_err(named)?));
            }
        }
        Ok(ListResult { common_prefixes, objects, extensions: Default::default() })
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let named = |error| outward(error, from);
        let (source, target) = (key(from).map_err(named)?, key(to).map_err(named)?);
        let precondition = match options.mode {
            CopyMode::Overwrite => Precondition::None,
            CopyMode::Create => Precondition::IfAbsent,
        };
        self.copy(&source, &target, precondition).await.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => outward(error, to),
            _ => outward(error, from),
        })
    }
}

impl ToObjectStore {
    /// The ETag on which an update is conditional.
    fn updatable(&self, location: &Path, tag: Option<String>) -> Result<ETag> {
        let refuse = |why: &str| Error::NotImplemented {
            operation: format!("an update of {location} {why}"),
            implementer: self.to_string(),
        };
        if !self.storage.capabilities().put_if_match.is_available() {
            return Err(refuse("under a condition, which this store cannot hold to"));
        }
        tag.map(ETag::new).ok_or_else(|| refuse("without an ETag"))
    }

    fn listed(&self, request: ListRequest) -> BoxStream<'static, Result<ObjectMeta>> {
        let pages = self.storage.list(request).map_err(|error| outward(error, &Path::ROOT));
        let objects = pages.map_ok(|page| {
            let kept = page.objects.into_iter().filter(|meta| !marks_folder(&meta.key));
            stream::iter(kept.map(|meta| match path(&meta.key) {
                Ok(path) => Ok(outward_meta(&meta, path)),
                Err(error) => Err(outward(error, &Path::ROOT)),
            }))
        });
        objects.try_flatten().boxed()
    }

    /// Copies on the server where the store can, otherwise through this process.
    async fn copy(
        &self,
        source: &ObjectKey,
        target: &ObjectKey,
        precondition: Precondition,
    ) -> lepton_core::Result<()> {
        let storage = &self.storage;
        let info = storage.head(source, HeadOptions::new().tags(true)).await?;
        let class = info.meta.storage_class.clone().filter(|_| storage.capabilities().storage_class.is_available());
        let from = CopySource::new(&**storage, source.clone());
        if let Some((server, from)) =
            storage.server_copy().zip(from).filter(|(server, from)| server.reaches(&from.store))
        {
            let from = from.if_match(info.meta.etag.clone());
            let copied = if info.meta.size > server.largest() {
                super::copy::in_parts(storage, server, from, target, &info, precondition.clone()).await
            } else {
                let mut options = OurCopyOptions::new().precondition(precondition.clone());
                options.storage_class.clone_from(&class);
                server.copy(from, target, options).await.map(drop)
            };
            match copied {
                Err(error) if error.kind() == ErrorKind::Unsupported => {}
                copied => return copied,
            }
        }
        let options = OurPutOptions::new().attributes(info.attributes).precondition(precondition).storage_class(class);
        let pinned = storage.capabilities().conditional_get.is_available();
        let object =
            Stored { storage: Arc::clone(storage), key: source.clone(), etag: info.meta.etag.filter(|_| pinned) };
        storage.put(target, Body::from_source(info.meta.size, Arc::new(object)), options).await.map(drop)
    }
}

/// The bytes of an existing object.
struct Stored {
    storage: SharedStorage,
    key: ObjectKey,
    etag: Option<ETag>,
}

impl BodySource for Stored {
    fn open(&self) -> LeafStream {
        let (storage, key) = (Arc::clone(&self.storage), self.key.clone());
        let options = OurGetOptions::new().if_match(self.etag.clone());
        let bytes = stream::once(async move { Ok::<_, OurError>(storage.get(&key, options).await?.body) });
        Box::pin(Leaves::new(bytes.try_flatten().boxed(), Hashing::Lazy))
    }
}

/// Whether a request needs the object's description first, because a get cannot express it.
fn needs_description(options: &GetOptions) -> bool {
    let simple = |tag: &String| tag != "*" && !tag.contains(',');
    options.if_none_match.is_some()
        || options.if_modified_since.is_some()
        || options.if_unmodified_since.is_some()
        || options.if_match.as_ref().is_some_and(|tag| !simple(tag))
        || matches!(options.range, Some(GetRange::Suffix(_)))
}

/// The byte range that `range` denotes in an object of this size.
fn bytes_of(range: &GetRange, size: u64) -> Range<u64> {
    match range {
        GetRange::Bounded(range) => range.clone(),
        // Larger than any object, yet small enough for every server to parse.
        GetRange::Offset(from) => *from..(1 << 62),
        GetRange::Suffix(last) => size.saturating_sub(*last)..size,
    }
}

/// The result of a request for the description alone.
fn described(info: ObjectInfo, location: &Path) -> GetResult {
    GetResult {
        range: 0..info.meta.size,
        meta: outward_meta(&info.meta, location.clone()),
        attributes: outward_attributes(info.attributes, info.meta.storage_class),
        extensions: Default::default(),
        payload: GetResultPayload::Stream(stream::empty().boxed()),
    }
}

/// Deletes a batch; an item that is already an error is returned as it is.
async fn delete(storage: SharedStorage, batch: Vec<Result<Path>>) -> Vec<Result<Path>> {
    // The root is not a key, which must not keep the other objects from being deleted.
    let named = |path: Path| match key(&path) {
        Ok(key) => Ok((path, key)),
        Err(error) => Err(outward(error, &path)),
    };
    let batch: Vec<Result<(Path, ObjectKey)>> = batch.into_iter().map(|path| path.and_then(named)).collect();
    let requests: Vec<DeleteRequest> = batch.iter().flatten().map(|(_, key)| DeleteRequest::new(key.clone())).collect();
    let (mut results, kind, why) = match storage.delete(requests).await {
        Ok(results) => (results.into_vec(), ErrorKind::Unexpected, "the store gave no result for this path".to_owned()),
        Err(error) => (Vec::new(), error.kind(), error.full_message()),
    };
    let mut results = results.drain(..);
    let mut of = |(path, _): (Path, ObjectKey)| match results.next() {
        Some(Ok(())) => Ok(path),
        Some(Err(error)) => Err(outward(error, &path)),
        None => Err(outward(OurError::new(kind, why.clone()), &path)),
    };
    batch.into_iter().map(|path| path.and_then(&mut of)).collect()
}

/// The objects below a path.
fn folder(path: Option<&Path>) -> KeyPrefix {
    match path {
        Some(path) if !path.is_root() => KeyPrefix::new(format!("{path}/")),
        _ => KeyPrefix::default(),
    }
}

/// Whether tools use this key to mark a folder: it would be the path of the folder itself.
fn marks_folder(key: &ObjectKey) -> bool {
    key.as_bytes().ends_with(b"/")
}

/// The tags of a set, which encodes them as a URL query.
fn tags(set: &TagSet) -> BTreeMap<String, String> {
    let text = |part: &str| percent_decode_str(&part.replace('+', " ")).decode_utf8_lossy().into_owned();
    let pairs = set.encoded().split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}
