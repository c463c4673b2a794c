//! A wrapper of a store that measures each request.
#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::{
    Body, Capabilities, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, DeleteRequest, Error,
    GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest, Location, Multipart, ObjectInfo, ObjectKey, PageStream,
    PartInfo, PartReceipt, PartSpec, PhysicalLocation, PutOptions, PutReceipt, Result, ServerCopy, SharedEnv,
    SharedStorage, Signer, Storage, Upload, UploadInfo, Versions,
};

use crate::telemetry::counters::Counters;
use crate::telemetry::operation::Operation;
use crate::types::side::Side;

#[derive(Debug, Clone)]
struct Instrumented {
    inner: SharedStorage,
    side: Side,
    env: SharedEnv,
    counters: Arc<Counters>,
}

/// The same location, with its requests measured.
pub(crate) fn instrumented(location: &Location, side: Side, env: &SharedEnv, counters: &Arc<Counters>) -> Location {
    let inner = Arc::clone(location.storage());
    let instrumented = Instrumented { inner, side, env: Arc::clone(env), counters: Arc::clone(counters) };
    Location::new(Arc::new(instrumented), location.path())
}

impl Instrumented {
    async fn request<T>(&self, operation: Operation, request: impl Future<Output = Result<T>>) -> Result<T> {
        let begun = self.env.uptime();
        let result = request.await;
        let took = self.env.uptime().saturating_sub(begun);
        self.counters.metrics.request(self.side, operation, took, result.as_ref().err());
        result
    }

    fn parts(&self) -> Result<&dyn Multipart> {
        self.inner.multipart().ok_or_else(|| Error::unsupported("the store takes no uploads in parts"))
    }

    fn copier(&self) -> Result<&dyn ServerCopy> {
        self.inner.server_copy().ok_or_else(|| Error::unsupported("the store copies nothing by itself"))
    }
}

#[async_trait]
impl Storage for Instrumented {
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
        let listing = (self.clone(), self.inner.list(request));
        Box::pin(stream::unfold(listing, |(this, mut pages)| async move {
            let begun = this.env.uptime();
            let page = pages.next().await?;
            let took = this.env.uptime().saturating_sub(begun);
            this.counters.metrics.request(this.side, Operation::List, took, page.as_ref().err());
            Some((page, (this, pages)))
        }))
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.request(Operation::Head, self.inner.head(key, options)).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.request(Operation::Get, self.inner.get(key, options)).await
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let bytes = body.len();
        let receipt = self.request(Operation::Put, self.inner.put(key, body, options)).await?;
        self.counters.metrics.sent(bytes);
        Ok(receipt)
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        self.request(Operation::Delete, self.inner.delete(requests)).await
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        self.inner.multipart().is_some().then_some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.inner.server_copy().is_some().then_some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        self.inner.signer()
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions()
    }
}

#[async_trait]
impl Multipart for Instrumented {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.request(Operation::Upload, self.parts()?.create(key, options)).await
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let bytes = body.len();
        let receipt = self.request(Operation::Part, self.parts()?.upload_part(upload, part, body)).await?;
        self.counters.metrics.sent(bytes);
        Ok(receipt)
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        self.parts().map_or_else(failed, |parts| parts.list_parts(upload))
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        self.request(Operation::Complete, self.parts()?.complete(upload, parts, options)).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.request(Operation::Upload, self.parts()?.abort(upload)).await
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        self.parts().map_or_else(failed, |parts| parts.list_uploads(key))
    }
}

fn failed<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    Box::pin(stream::iter([Err(error)]))
}

#[async_trait]
impl ServerCopy for Instrumented {
    fn reaches(&self, source_url: &str) -> bool {
        self.copier().is_ok_and(|copier| copier.reaches(source_url))
    }

    fn largest(&self) -> u64 {
        self.copier().map_or(0, ServerCopy::largest)
    }

    async fn spares(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        // This asks the file system and sends no request, so it is not measured.
        self.copier()?.spares(source, key).await
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        self.request(Operation::Copy, self.copier()?.copy(source, key, options)).await
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        self.request(Operation::Copy, self.copier()?.copy_part(source, upload, part)).await
    }
}
