//! A wrapper of a store at whose requests the process dies.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Body, Capabilities, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, DeleteRequest, GetOptions,
    GetReply, HeadOptions, KeyPrefix, ListRequest, Multipart, ObjectInfo, ObjectKey, PageStream, PartInfo, PartReceipt,
    PartSpec, PhysicalLocation, PutOptions, PutReceipt, Result, ServerCopy, SharedStorage, Signer, Storage, Upload,
    UploadInfo, Versions,
};

use super::fate::Fate;

/// A store, and the fate of the process that uses it. Calls of a dead process never end.
#[derive(Clone)]
pub(super) struct Mortal {
    inner: SharedStorage,
    fate: Arc<Fate>,
}

impl Mortal {
    pub(super) fn new(inner: SharedStorage, fate: &Arc<Fate>) -> Self {
        Self { inner, fate: Arc::clone(fate) }
    }

    fn parts(&self) -> Result<&dyn Multipart> {
        self.inner.multipart().ok_or_else(|| lepton_core::Error::unsupported("uploads in parts"))
    }

    /// A stream that counts as one request.
    fn streamed<T: Send + 'static>(
        &self,
        stream: impl FnOnce(&dyn Multipart) -> BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let fate = Arc::clone(&self.fate);
        let stream = self.parts().map(stream);
        stream::once(async move { fate.request(async { stream }).await }).try_flatten().boxed()
    }
}

impl fmt::Debug for Mortal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mortal").field("inner", &self.inner).field("fate", &self.fate).finish()
    }
}

#[async_trait]
impl Storage for Mortal {
    fn capabilities(&self) -> &Capabilities {
        self.inner.capabilities()
    }

    fn url(&self) -> &str {
        self.inner.url()
    }

    fn copy_url(&self) -> Option<&str> {
        self.inner.copy_url()
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        self.inner.physical_location(prefix).await
    }

    fn list(&self, request: ListRequest) -> PageStream {
        let fate = Arc::clone(&self.fate);
        let pages = self.inner.list(request);
        Box::pin(pages.then(move |page| {
            let fate = Arc::clone(&fate);
            async move { fate.request(async { page }).await }
        }))
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.fate.request(self.inner.head(key, options)).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.fate.request(self.inner.get(key, options)).await
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        self.fate.request(self.inner.put(key, body, options)).await
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        self.fate.request(self.inner.delete(requests)).await
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        self.inner.multipart().is_some().then_some(self as &dyn Multipart)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.inner.server_copy().is_some().then_some(self as &dyn ServerCopy)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        self.inner.signer()
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions()
    }
}

#[async_trait]
impl Multipart for Mortal {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.fate.request(self.parts()?.create(key, options)).await
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        self.fate.request(self.parts()?.upload_part(upload, part, body)).await
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        self.streamed(|parts| parts.list_parts(upload))
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        self.fate.request(self.parts()?.complete(upload, parts, options)).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.fate.request(self.parts()?.abort(upload)).await
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        self.streamed(|parts| parts.list_uploads(key))
    }
}

#[async_trait]
impl ServerCopy for Mortal {
    fn reaches(&self, source_url: &str) -> bool {
        self.inner.server_copy().is_some_and(|copies| copies.reaches(source_url))
    }

    fn largest(&self) -> u64 {
        self.inner.server_copy().map_or(0, ServerCopy::largest)
    }

    async fn spares(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        self.fate.request(self.copies()?.spares(source, key)).await
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        self.fate.request(self.copies()?.copy(source, key, options)).await
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        self.fate.request(self.copies()?.copy_part(source, upload, part)).await
    }
}

impl Mortal {
    fn copies(&self) -> Result<&dyn ServerCopy> {
        self.inner.server_copy().ok_or_else(|| lepton_core::Error::unsupported("copies by the store"))
    }
}
