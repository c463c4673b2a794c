//! A source that changes every byte as it is read, like a store that encrypts.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton::core::{
    Body, DeleteRequest, DeleteResults, GetOptions, GetReply, HeadOptions, KeyPrefix, ListPage, ListRequest, Multipart,
    ObjectInfo, PageStream, PhysicalLocation, PutOptions, PutReceipt, ServerCopy, Signer, Versions,
};
use lepton::{Capabilities, ObjectKey, ObjectMeta, Result, SharedStorage, Storage};

/// Returns different bytes than the store holds, under the same URL.
#[derive(Debug)]
pub struct Changed(pub SharedStorage);

/// The bytes as this source returns them.
pub fn changed(bytes: &[u8]) -> Bytes {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

impl Changed {
    /// ETags and checksums belong to other bytes; the ETag still pins the object.
    fn without_sums(mut meta: ObjectMeta) -> ObjectMeta {
        meta.checksums.clear();
        meta
    }
}

#[async_trait]
impl Storage for Changed {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    fn url(&self) -> &str {
        self.0.url()
    }

    fn copy_url(&self) -> Option<&str> {
        None
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        self.0.physical_location(prefix).await
    }

    fn list(&self, request: ListRequest) -> PageStream {
        let plain =
            |page: ListPage| ListPage::new(page.objects.into_iter().map(Self::without_sums).collect(), page.prefixes);
        self.0.list(request).map_ok(plain).boxed()
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let mut info = self.0.head(key, options).await?;
        info.meta = Self::without_sums(info.meta);
        Ok(info)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let mut reply = self.0.get(key, options).await?;
        reply.meta = Self::without_sums(reply.meta);
        reply.body = reply.body.map_ok(|bytes| changed(&bytes)).boxed();
        Ok(reply)
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let leaves: Vec<_> = body.open().try_collect().await?;
        let pieces = leaves.into_iter().flat_map(|leaf| leaf.pieces).map(|piece| changed(&piece));
        self.0.put(key, Body::from_pieces(pieces), options).await
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        self.0.delete(requests).await
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        None
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

/// Wraps the store as such a source.
pub fn source(storage: &SharedStorage) -> SharedStorage {
    Arc::new(Changed(Arc::clone(storage)))
}
