//! A store that is wrapped by a layer: every operation, once for all layers.
#![deny(clippy::missing_trait_methods)]

use std::sync::Arc;
use std::time::Duration;

use crate::{
    Body, Capabilities, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, DeleteRequest, DeleteResults,
    Error, GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest, Method, Multipart, ObjectInfo, ObjectKey,
    PageStream, PartInfo, PartReceipt, PartSpec, PhysicalLocation, Precondition, PutOptions, PutReceipt, Result,
    ServerCopy, SharedStorage, SignedUrl, Signer, Storage, Upload, UploadInfo, VersionStream, Versions,
};
use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::stream;

use super::contract::{Layer, Operation};

/// Wraps a store with a layer. The result has a facet if and only if the store has it.
///
/// ```
/// use std::sync::Arc;
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
///
/// use futures_core::future::BoxFuture;
/// use lepton_core::layer::{Layer, Operation, layered};
/// use lepton_core::{MemoryStorage, Result, SharedStorage};
///
/// /// Counts requests.
/// #[derive(Debug, Clone, Default)]
/// struct Count(Arc<AtomicU64>);
///
/// impl Layer for Count {
///     type Held = ();
///
///     async fn call<'a, T: Send + 'a>(
///         &'a self,
///         _: Operation,
///         mut request: impl FnMut() -> BoxFuture<'a, Result<T>> + Send + 'a,
///     ) -> Result<(T, ())> {
///         self.0.fetch_add(1, Relaxed);
///         Ok((request().await?, ()))
///     }
/// }
///
/// let store: SharedStorage = Arc::new(MemoryStorage::new());
/// let store = layered(store, Count::default());
/// # let _ = store;
/// ```
pub fn layered(storage: SharedStorage, layer: impl Layer) -> SharedStorage {
    let capabilities = storage.capabilities().clone();
    layered_as(storage, layer, capabilities)
}

/// As [`layered`], with other capabilities: those of a layer that retries say so in
/// [`Capabilities::retries`].
pub fn layered_as(storage: SharedStorage, layer: impl Layer, capabilities: Capabilities) -> SharedStorage {
    Arc::new(Layered { inner: storage, layer, capabilities })
}

#[derive(Debug)]
struct Layered<L> {
    inner: SharedStorage,
    layer: L,
    capabilities: Capabilities,
}

/// The facet of the store below. A layer that has a facet has it from there, so
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
impl<L: Layer> Storage for Layered<L> {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn url(&self) -> &str {
        self.inner.url()
    }

    fn copy_url(&self) -> Option<&str> {
        self.inner.copy_url().filter(|_| self.layer.keeps_bytes())
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        self.inner.physical_location(prefix).await
    }

    fn list(&self, request: ListRequest) -> PageStream {
        let inner = Arc::clone(&self.inner);
        self.layer.stream(Operation::new("list"), move || inner.list(request.clone()))
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let operation = Operation::new("head").on(key);
        let (info, _) = self.layer.call(operation, || self.inner.head(key, options.clone())).await?;
        Ok(info)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let operation = Operation::new("get").on(key);
        let (mut reply, held) = self.layer.call(operation, || self.inner.get(key, options.clone())).await?;
        reply.body = self.layer.body(reply.body, held);
        Ok(reply)
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let operation = Operation::new("put").on(key).bytes(body.len());
        let operation = operation.once_if(conditional(&options.precondition));
        let (receipt, _) = self.layer.call(operation, || self.inner.put(key, body.clone(), options.clone())).await?;
        Ok(receipt)
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        let conditional = requests.iter().any(|request| request.if_match.is_some());
        let operation = Operation::new("delete").once_if(conditional);
        let operation = match requests.as_slice() {
            [one] => operation.on(&one.key),
            _ => operation,
        };
        let (results, _) = self.layer.call(operation, || self.inner.delete(requests.clone())).await?;
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
impl<L: Layer> Multipart for Layered<L> {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let below = facet(self.inner.multipart())?;
        // Done twice it leaves an upload that nobody knows.
        let operation = Operation::new("create_upload").on(key).once_if(true);
        let (upload, _) = self.layer.call(operation, || below.create(key, options.clone())).await?;
        Ok(upload)
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let below = facet(self.inner.multipart())?;
        let operation = Operation::new("upload_part").of(upload).part(part.number).bytes(body.len());
        let (receipt, _) = self.layer.call(operation, || below.upload_part(upload, part.clone(), body.clone())).await?;
        Ok(receipt)
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let (inner, of) = (Arc::clone(&self.inner), upload.clone());
        self.layer.stream(Operation::new("list_parts").of(upload), move || {
            facet(inner.multipart()).map_or_else(failed, |below| below.list_parts(&of))
        })
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let below = facet(self.inner.multipart())?;
        // Done twice the second finds no upload.
        let operation = Operation::new("complete_upload").of(upload).once_if(true);
        let (receipt, _) =
            self.layer.call(operation, || below.complete(upload, parts.clone(), options.clone())).await?;
        Ok(receipt)
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        let below = facet(self.inner.multipart())?;
        let operation = Operation::new("abort_upload").of(upload);
        self.layer.call(operation, || below.abort(upload)).await?;
        Ok(())
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let (inner, of) = (Arc::clone(&self.inner), key.clone());
        self.layer.stream(Operation::new("list_uploads").on(key), move || {
            facet(inner.multipart()).map_or_else(failed, |below| below.list_uploads(&of))
        })
    }
}

#[async_trait]
impl<L: Layer> ServerCopy for Layered<L> {
    fn reaches(&self, source_url: &str) -> bool {
        self.inner.server_copy().is_some_and(|below| below.reaches(source_url))
    }

    fn largest(&self) -> u64 {
        self.inner.server_copy().map_or(0, ServerCopy::largest)
    }

    async fn is_cheaper(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        let below = facet(self.inner.server_copy())?;
        let (is_cheaper, _) =
            self.layer.call(Operation::new("is_cheaper").on(key), || below.is_cheaper(source, key)).await?;
        Ok(is_cheaper)
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let below = facet(self.inner.server_copy())?;
        let operation = Operation::new("copy").on(key).once_if(conditional(&options.precondition));
        let (receipt, _) = self.layer.call(operation, || below.copy(source.clone(), key, options.clone())).await?;
        Ok(receipt)
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let below = facet(self.inner.server_copy())?;
        let operation = Operation::new("copy_part").of(upload).part(part.number);
        let (receipt, _) = self.layer.call(operation, || below.copy_part(source.clone(), upload, part.clone())).await?;
        Ok(receipt)
    }
}

#[async_trait]
impl<L: Layer> Signer for Layered<L> {
    async fn sign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl> {
        let below = facet(self.inner.signer())?;
        let operation = Operation::new("sign").on(key);
        let (url, _) = self.layer.call(operation, || below.sign(method, key, valid_for)).await?;
        Ok(url)
    }
}

#[async_trait]
impl<L: Layer> Versions for Layered<L> {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let inner = Arc::clone(&self.inner);
        self.layer.stream(Operation::new("list_versions"), move || {
            facet(inner.versions()).map_or_else(failed, |below| below.list_versions(request.clone()))
        })
    }

    async fn enabled(&self) -> Result<bool> {
        let below = facet(self.inner.versions())?;
        let (enabled, _) = self.layer.call(Operation::new("versions_enabled"), || below.enabled()).await?;
        Ok(enabled)
    }
}
