//! The fixture of a case: the store, the case's own names, and what the case created.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::expect::{Check, Stop, ensure, same};
use super::options::Options;
use crate::body::Body;
use crate::capabilities::{Capabilities, ListOrder};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyPrefix, ObjectKey};
use crate::key_rules::KeyHandling;
use crate::object::{ETag, ObjectMeta};
use crate::storage::{
    CreateUploadOptions, DeleteRequest, GetOptions, HeadOptions, ListPage, ListRequest, Multipart, PutOptions,
    PutReceipt, SharedStorage, StorageExt as _, Upload,
};

/// The number of requests that a case has in flight.
const CONCURRENCY: usize = 16;

/// The store and the case's own prefix. Clones share the same state.
#[derive(Clone)]
pub(super) struct Fixture(Arc<Inner>);

struct Inner {
    storage: SharedStorage,
    prefix: String,
    options: Options,
    keys: Mutex<BTreeSet<ObjectKey>>,
    uploads: Mutex<Vec<Upload>>,
}

impl Fixture {
    pub(super) fn new(storage: &SharedStorage, prefix: &str, options: &Options) -> Self {
        let (storage, prefix, options) = (Arc::clone(storage), prefix.to_owned(), options.clone());
        Self(Arc::new(Inner { storage, prefix, options, keys: Mutex::default(), uploads: Mutex::default() }))
    }

    pub(super) fn storage(&self) -> &SharedStorage {
        &self.0.storage
    }

    pub(super) fn capabilities(&self) -> &Capabilities {
        self.0.storage.capabilities()
    }

    /// The number of objects in the longest listing.
    pub(super) fn many(&self) -> usize {
        self.0.options.many
    }

    /// The options, with the misconfigured stores.
    pub(super) fn others(&self) -> &Options {
        &self.0.options
    }

    /// Whether the store distinguishes keys that differ only in case.
    pub(super) fn tells_case(&self) -> bool {
        self.capabilities().keys.case == KeyHandling::Kept
    }

    /// The prefix of the keys of this case.
    pub(super) fn prefix(&self) -> KeyPrefix {
        self.below("")
    }

    /// The prefix of the case followed by `name`.
    pub(super) fn below(&self, name: &str) -> KeyPrefix {
        KeyPrefix::from(format!("{}{name}", self.0.prefix).as_str())
    }

    /// A key of this case; an object written there is deleted after the case.
    pub(super) fn key(&self, name: impl AsRef<[u8]>) -> Check<ObjectKey> {
        self.whole_key([self.0.prefix.as_bytes(), name.as_ref()].concat())
    }

    /// A key with `start` before the prefix; its object is deleted too.
    pub(super) fn key_before(&self, start: &str, name: &str) -> Check<ObjectKey> {
        self.whole_key(format!("{start}{}{name}", self.0.prefix).into_bytes())
    }

    /// A key of these bytes; its object is deleted too.
    pub(super) fn whole_key(&self, bytes: Vec<u8>) -> Check<ObjectKey> {
        let key = ObjectKey::new(bytes)?;
        self.0.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(key.clone());
        Ok(key)
    }

    pub(super) async fn put(&self, key: &ObjectKey, body: impl Into<Body>, options: PutOptions) -> Result<PutReceipt> {
        self.storage().put(key, body.into(), options).await
    }

    pub(super) async fn write(&self, key: &ObjectKey, bytes: impl Into<Bytes>) -> Check<PutReceipt> {
        Ok(self.storage().write(key, bytes.into()).await?)
    }

    /// Writes small objects with these names, several concurrently; returns their keys in
    /// ascending order.
    pub(super) async fn write_all<S: AsRef<[u8]>>(&self, names: impl IntoIterator<Item = S>) -> Check<Vec<ObjectKey>> {
        let keys = names.into_iter().map(|name| self.key(name)).collect::<Check<BTreeSet<ObjectKey>>>()?;
        let puts = keys.iter().map(|key| self.storage().write(key, key.to_bytes()));
        stream::iter(puts.collect::<Vec<_>>()).buffer_unordered(CONCURRENCY).try_collect::<Vec<_>>().await?;
        Ok(keys.into_iter().collect())
    }

    /// The tag of the object, which every store must report.
    pub(super) async fn etag(&self, key: &ObjectKey) -> Check<ETag> {
        let meta = self.storage().head(key, HeadOptions::new()).await?.meta;
        meta.etag.ok_or_else(|| Stop::Failed(format!("head gives no ETag of {key}")))
    }

    /// Reads an object to its end; the reply must agree with its body.
    pub(super) async fn read(&self, key: &ObjectKey, options: GetOptions) -> Check<Bytes> {
        let reply = self.storage().get(key, options).await?;
        same("the key in the reply to a get", &reply.meta.key, key)?;
        let promised = reply.range.end - reply.range.start;
        let pieces: Vec<Bytes> = reply.body.try_collect().await?;
        let bytes: Bytes = pieces.concat().into();
        same("the length of the body and of the range in the reply", bytes.len() as u64, promised)?;
        Ok(bytes)
    }

    /// Fails unless the object has exactly these bytes.
    pub(super) async fn holds(&self, key: &ObjectKey, expected: &[u8]) -> Check {
        let found = self.read(key, GetOptions::new()).await?;
        let differs = found.iter().zip(expected).position(|(found, expected)| found != expected);
        let at = differs.unwrap_or(found.len().min(expected.len()));
        let (len, wanted) = (found.len(), expected.len());
        ensure!(found == expected, "{key} has other bytes from {at} on ({len} bytes, expected {wanted})");
        Ok(())
    }

    /// Fails if head, get or a listing finds the key.
    pub(super) async fn absent(&self, key: &ObjectKey) -> Check {
        super::expect::refused(self.storage().head(key, HeadOptions::new()).await, ErrorKind::NotFound, key)?;
        super::expect::refused(self.storage().get(key, GetOptions::new()).await, ErrorKind::NotFound, key)?;
        let listed = self.list(ListRequest::new().prefix(KeyPrefix::new(key.to_bytes()))).await?;
        ensure!(listed.iter().all(|meta| meta.key != *key), "{key} is listed and should not be there");
        Ok(())
    }

    /// All pages of a listing.
    pub(super) async fn pages(&self, request: ListRequest) -> Check<Vec<ListPage>> {
        Ok(self.storage().list(request).try_collect().await?)
    }

    /// All objects of a listing.
    pub(super) async fn list(&self, request: ListRequest) -> Check<Vec<ObjectMeta>> {
        Ok(self.pages(request).await?.into_iter().flat_map(|page| page.objects).collect())
    }

    /// The keys of this case that are in the store: in the order of the listing, or sorted if the
    /// store declares none.
    pub(super) async fn listed(&self) -> Check<Vec<ObjectKey>> {
        let objects = self.list(ListRequest::new().prefix(self.prefix())).await?;
        let mut keys: Vec<_> = objects.into_iter().map(|meta| meta.key).collect();
        if self.capabilities().list_order != ListOrder::Bytes {
            keys.sort();
        }
        Ok(keys)
    }

    /// This size, or the largest that one put may have.
    pub(super) fn at_most(&self, size: usize) -> usize {
        let can = self.capabilities();
        usize::try_from(can.max_single_put.min(can.max_object)).map_or(size, |most| size.min(most))
    }

    /// The multipart facet; without one, the case does not apply.
    pub(super) fn multipart(&self) -> Check<&dyn Multipart> {
        let facet = self.storage().multipart();
        facet.ok_or_else(|| Stop::NotApplicable("multipart is null".to_owned()))
    }

    /// An upload that is aborted after the case.
    pub(super) async fn upload(&self, key: &ObjectKey, options: CreateUploadOptions) -> Check<Upload> {
        let upload = self.multipart()?.create(key, options).await?;
        same("the key of the upload", &upload.key, key)?;
        self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner).push(upload.clone());
        Ok(upload)
    }

    /// Deletes everything that the case created, with all versions.
    pub(super) async fn clean(&self) -> Check {
        let uploads = std::mem::take(&mut *self.0.uploads.lock().unwrap_or_else(PoisonError::into_inner));
        for upload in uploads {
            self.multipart()?.abort(&upload).await?;
        }
        let keys = std::mem::take(&mut *self.0.keys.lock().unwrap_or_else(PoisonError::into_inner));
        let rules = &self.capabilities().keys;
        let keys: Vec<ObjectKey> = keys.into_iter().filter(|key| rules.check(key).is_ok()).collect();
        self.delete(keys.iter().cloned().map(DeleteRequest::new).collect()).await?;
        let Some(versions) = self.storage().versions() else { return Ok(()) };
        let mut old = Vec::new();
        let prefixes: BTreeSet<KeyPrefix> = keys.iter().map(|key| self.listable(key)).collect();
        for prefix in prefixes {
            let pages: Vec<_> = versions.list_versions(ListRequest::new().prefix(prefix)).try_collect().await?;
            let ours = pages.into_iter().flatten().filter(|version| keys.contains(&version.meta.key));
            old.extend(ours.map(|version| DeleteRequest::new(version.meta.key).version(version.meta.version)));
        }
        self.delete(old).await
    }

    /// A prefix under which a listing finds this key.
    fn listable(&self, key: &ObjectKey) -> KeyPrefix {
        if self.prefix().matches(key) { self.prefix() } else { KeyPrefix::new(key.to_bytes()) }
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Check {
        for batch in requests.chunks(self.capabilities().delete_batch.clamp(1, 1000)) {
            let results = self.storage().delete(batch.to_vec()).await?;
            results.into_iter().collect::<Result<Vec<()>, Error>>()?;
        }
        Ok(())
    }
}
