//! Convenience methods for callers.

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::contract::Storage;
use super::copy::CopySource;
use super::options::{DeleteRequest, GetOptions, HeadOptions, ListRequest, PutOptions, PutReceipt};
use crate::body::Body;
use crate::error::{Error, ErrorKind, Result};
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::ObjectMeta;

/// Common operations on every [`Storage`].
#[async_trait]
pub trait StorageExt: Storage {
    /// Lists the objects under a prefix, one by one.
    fn objects(&self, prefix: KeyPrefix) -> BoxStream<'static, Result<ObjectMeta>> {
        let pages = self.list(ListRequest::new().prefix(prefix));
        pages.map_ok(|page| futures_util::stream::iter(page.objects.into_iter().map(Ok))).try_flatten().boxed()
    }

    /// Reads a whole object into memory; refuses an object larger than `limit` bytes.
    ///
    /// # Errors
    /// `too_large`, and those of [`Storage::get`].
    async fn read(&self, key: &ObjectKey, limit: u64) -> Result<Bytes> {
        let reply = self.get(key, GetOptions::new()).await?;
        if reply.meta.size > limit {
            let message = format!("the object has {} bytes; at most {limit} were to be read", reply.meta.size);
            return Err(Error::new(ErrorKind::TooLarge, message).with_operation("get").with_context("key", key));
        }
        let pieces: Vec<Bytes> = reply.body.try_collect().await?;
        Ok(match <[Bytes; 1]>::try_from(pieces) {
            Ok([piece]) => piece,
            Err(pieces) => pieces.concat().into(),
        })
    }

    /// Writes bytes with no attributes and no condition.
    ///
    /// # Errors
    /// Those of [`Storage::put`].
    async fn write(&self, key: &ObjectKey, bytes: Bytes) -> Result<PutReceipt> {
        self.put(key, Body::from(bytes), PutOptions::new()).await
    }

    /// Whether an object with this key exists.
    ///
    /// # Errors
    /// Those of [`Storage::head`] except `not_found`.
    async fn exists(&self, key: &ObjectKey) -> Result<bool> {
        match self.head(key, HeadOptions::new()).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Deletes one object; an object that does not exist counts as deleted.
    ///
    /// # Errors
    /// Those of [`Storage::delete`].
    async fn remove(&self, key: &ObjectKey) -> Result<()> {
        let results = self.delete(vec![DeleteRequest::new(key.clone())]).await?;
        results.into_iter().next().unwrap_or(Ok(()))
    }
}

impl<S: Storage + ?Sized> StorageExt for S {}

impl CopySource {
    /// The newest version of `key` in `store`; `None` if no other store may fetch the
    /// bytes of `store` by itself ([`Storage::copy_url`]).
    pub fn new(store: &dyn Storage, key: ObjectKey) -> Option<Self> {
        let store = store.copy_url()?.to_owned();
        Some(Self { store, key, version: None, if_match: None })
    }
}
