//! A store wrapped in a layer. Every operation is written here once, for all layers.
#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::stream;
use lepton_core::{
    Body, Capabilities, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, DeleteRequest, Error,
    GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest, Method, Multipart, ObjectInfo, ObjectKey, PageStream,
    PartInfo, PartReceipt, PartSpec, PhysicalLocation, Precondition, PutOptions, PutReceipt, Result, ServerCopy,
    SharedStorage, SignedUrl, Signer, Storage, Upload, UploadInfo, VersionStream, Versions,
};

use super::around::{Around, Operation};

/// `inner`, with `around` applied to each of its operations.
#[derive(Debug)]
pub(super) struct Layered<A> {
    inner: SharedStorage,
    around: A,
    capabilities: Capabilities,
}

impl<A: Around> Layered<A> {
    pub(super) fn shared(inner: SharedStorage, around: A) -> SharedStorage {
        let capabilities = inner.capabilities().clone();
        Self::declaring(inner, around, capabilities)
    }

    /// The same, with capabilities of its own.
    pub(super) fn declaring(inner: SharedStorage, around: A, capabilities: Capabilities) -> SharedStorage {
        Arc::new(Self { inner, around, capabilities })
    }
}

/// The facet of the store below. A layer has a facet only if the store below has it, so
/// the error is never seen.
fn facet<T: ?Sized>(facet: Option<&T>) -> Result<&T> {
    facet.ok_or_else(|| Error::unsupported("the store below the layer has no such facet"))
}

fn failed<T: Send + 'static>(error: Error) -> BoxStream<'static, Result<T>> {
    Box::pin(stream::iter([Err(error)]))
}

fn conditional(precondition: &Precondition) -> bool {
    *precondition != Precondition::None
}

#[async_trait]
impl<A: Around> Storage for Layered<A> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
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
        let inner = Arc::clone(&self.inner);
        self.around.stream(Operation::idempotent("list"), move || inner.list(request.clone()))
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let operation = Operation::idempotent("head").on(key);
        let (info, _) = self.around.call(operation, || self.inner.head(key, options.clone())).await?;
        Ok(info)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let operation = Operation::idempotent("get").on(key);
        let (mut reply, held) = self.around.call(operation, || self.inner.get(key, options.clone())).await?;
        reply.body = self.around.body(reply.body, held);
        Ok(reply)
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let operation = Operation::idempotent("put").on(key).bytes(body.len());
        let operation = operation.only_once_if(conditional(&options.precondition));
        let (receipt, _) = self.around.call(operation, || self.inner.put(key, body.clone(), options.clone())).await?;
        Ok(receipt)
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        let conditional = requests.iter().any(|request| request.if_match.is_some());
        let operation = Operation::idempotent("delete").only_once_if(conditional);
        let operation = match requests.as_slice() {
            [one] => operation.on(&one.key),
            _ => operation,
        };
        let (results, _) = self.around.call(operation, || self.inner.delete(requests.clone())).await?;
        Ok(results)
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        self.inner.multipart().is_some().then_some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.inner.server_copy().is_some().then_some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        self.inner.signer().is_some().then_some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions().is_some().then_some(self)
    }
}

#[async_trait]
impl<A: Around> Multipart for Layered<A> {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let below = facet(self.inner.multipart())?;
        // A second run would leave an orphaned upload.
        let operation = Operation::idempotent("create_upload").on(key).only_once_if(true);
        let (upload, _) = self.around.call(operation, || below.create(key, options.clone())).await?;
        Ok(upload)
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let below = facet(self.inner.multipart())?;
        let operation = Operation::idempotent("upload_part").of(upload).part(part.number).bytes(body.len());
        let (receipt, _) =
            self.around.call(operation, || below.upload_part(upload, part.clone(), body.clone())).await?;
        Ok(receipt)
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let (inner, of) = (Arc::clone(&self.inner), upload.clone());
        self.around.stream(Operation::idempotent("list_parts").of(upload), move || {
            facet(inner.multipart()).map_or_else(failed, |below| below.list_parts(&of))
        })
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let below = facet(self.inner.multipart())?;
        // A second run would no longer find the upload.
        let operation = Operation::idempotent("complete_upload").of(upload).only_once_if(true);
        let (receipt, _) =
            self.around.call(operation, || below.complete(upload, parts.clone(), options.clone())).await?;
        Ok(receipt)
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        let below = facet(self.inner.multipart())?;
        let operation = Operation::idempotent("abort_upload").of(upload);
        self.around.call(operation, || below.abort(upload)).await?;
        Ok(())
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let (inner, of) = (Arc::clone(&self.inner), key.clone());
        self.around.stream(Operation::idempotent("list_uploads").on(key), move || {
            facet(inner.multipart()).map_or_else(failed, |below| below.list_uploads(&of))
        })
    }
}

#[async_trait]
impl<A: Around> ServerCopy for Layered<A> {
    fn reaches(&self, source_url: &str) -> bool {
        self.inner.server_copy().is_some_and(|below| below.reaches(source_url))
    }

    fn largest(&self) -> u64 {
        self.inner.server_copy().map_or(0, ServerCopy::largest)
    }

    async fn spares(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        let below = facet(self.inner.server_copy())?;
        let (spares, _) =
            self.around.call(Operation::idempotent("spares").on(key), || below.spares(source, key)).await?;
        Ok(spares)
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let below = facet(self.inner.server_copy())?;
        let operation = Operation::idempotent("copy").on(key).only_once_if(conditional(&options.precondition));
        let (receipt, _) = self.around.call(operation, || below.copy(source.clone(), key, options.clone())).await?;
        Ok(receipt)
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let below = facet(self.inner.server_copy())?;
        let operation = Operation::idempotent("copy_part").of(upload).part(part.number);
        let (receipt, _) =
            self.around.call(operation, || below.copy_part(source.clone(), upload, part.clone())).await?;
        Ok(receipt)
    }
}

#[async_trait]
impl<A: Around> Signer for Layered<A> {
    async fn sign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let below = facet(self.inner.signer())?;
        let operation = Operation::idempotent("sign").on(key);
        let (url, _) = self.around.call(operation, || below.sign(method, key, valid_for)).await?;
        Ok(url)
    }
}

#[async_trait]
impl<A: Around> Versions for Layered<A> {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let inner = Arc::clone(&self.inner);
        self.around.stream(Operation::idempotent("list_versions"), move || {
            facet(inner.versions()).map_or_else(failed, |below| below.list_versions(request.clone()))
        })
    }

    async fn enabled(&self) -> Result<bool> {
        let below = facet(self.inner.versions())?;
        let (enabled, _) = self.around.call(Operation::idempotent("versions_enabled"), || below.enabled()).await?;
        Ok(enabled)
    }
}
