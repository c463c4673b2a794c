//! A store that fails as told: a fake, for faults that a real one cannot be made
//! to give at a chosen moment.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    Body, Capabilities, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, DeleteRequest, DeleteResults,
    Effect, Error, ErrorKind, GetOptions, GetReply, HeadOptions, KeyPrefix, ListOrder, ListRequest, MemoryStorage,
    Multipart, ObjectInfo, ObjectKey, ObjectVersion, PageStream, PartInfo, PartReceipt, PartSpec, PhysicalLocation,
    PutOptions, PutReceipt, Result, RetryClass, ServerCheck, ServerCopy, Signer, Storage, Upload, UploadInfo,
    VersionStream, Versions,
};
use tokio::sync::Notify;

/// What happens to a call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// It fails before it does anything.
    Fail(ErrorKind, RetryClass),
    /// It does what it should, and the answer is lost.
    LoseReply,
    /// It never arrives, and nobody can tell.
    LoseRequest,
    /// It is confirmed, and nothing is done: only for the completion of an upload.
    Confirm,
    /// It takes so many milliseconds longer.
    Slow(u64),
    /// Something is done to the store just before it.
    Meddle(fn(&MemoryStorage)),
    /// The body that it gives ends before its first byte.
    Cut,
    /// The process that called dies of it: before it takes effect, or after.
    Die { after: bool },
}

type Script = dyn FnMut(&str, &ObjectKey) -> Option<Fault> + Send;

/// Wraps a store; `script` sees every call by operation and key.
#[derive(Clone)]
pub struct Faulty {
    inner: MemoryStorage,
    script: Arc<Mutex<Box<Script>>>,
    calls: Arc<Mutex<Vec<String>>>,
    effects: Arc<Mutex<Vec<String>>>,
    capabilities: Capabilities,
    copies: bool,
    silent: bool,
    apart: bool,
    suspended: bool,
    death: Arc<Notify>,
}

impl Faulty {
    pub fn new(inner: &MemoryStorage, script: impl FnMut(&str, &ObjectKey) -> Option<Fault> + Send + 'static) -> Self {
        Self {
            inner: inner.clone(),
            script: Arc::new(Mutex::new(Box::new(script))),
            calls: Arc::default(),
            effects: Arc::default(),
            capabilities: inner.capabilities().clone(),
            copies: false,
            silent: false,
            apart: false,
            suspended: false,
            death: Arc::default(),
        }
    }

    /// Waits until a call was told to die; that call never returns.
    pub async fn died(&self) {
        self.death.notified().await;
    }

    /// The same store, which also copies by itself.
    pub fn copying(mut self) -> Self {
        self.copies = true;
        self
    }

    /// The same store, which states no checksums, and counts tags only in the reply of a get.
    pub fn silent(mut self) -> Self {
        self.silent = true;
        self
    }

    /// The same store, which lists delete markers behind the other versions of a page.
    pub fn apart(mut self) -> Self {
        self.apart = true;
        self
    }

    /// The same store, which makes no versions at the moment.
    pub fn suspended(mut self) -> Self {
        self.suspended = true;
        self
    }

    /// The same store, listing backwards, as a store without order may.
    pub fn backwards(mut self) -> Self {
        self.capabilities.list_order = ListOrder::Unordered;
        self
    }

    /// Every call, in order.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// How often an operation took effect.
    pub fn effects(&self, operation: &str) -> usize {
        self.effects.lock().unwrap().iter().filter(|call| *call == operation).count()
    }

    /// How often an operation was called.
    pub fn count(&self, operation: &str) -> usize {
        self.calls.lock().unwrap().iter().filter(|call| *call == operation).count()
    }

    /// Runs `call` under the script.
    async fn under<T>(
        &self,
        operation: &'static str,
        key: &ObjectKey,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let fault = self.fault(operation, key);
        self.suffer(fault, operation, key, call).await
    }

    /// What the script says of a call.
    fn fault(&self, operation: &'static str, key: &ObjectKey) -> Option<Fault> {
        self.calls.lock().unwrap().push(operation.to_owned());
        let fault = (self.script.lock().unwrap())(operation, key);
        if !matches!(fault, Some(Fault::Fail(..) | Fault::LoseRequest | Fault::Confirm | Fault::Die { after: false })) {
            self.effects.lock().unwrap().push(operation.to_owned());
        }
        fault
    }

    async fn suffer<T>(
        &self,
        fault: Option<Fault>,
        operation: &'static str,
        key: &ObjectKey,
        call: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        match fault {
            None => call.await,
            Some(Fault::Fail(kind, retry)) => Err(Error::new(kind, "told to fail")
                .with_retry(retry)
                .with_operation(operation)
                .with_context("key", key)),
            Some(Fault::LoseReply) => {
                call.await?;
                Err(lost(operation, key))
            }
            Some(Fault::LoseRequest) => Err(lost(operation, key)),
            Some(Fault::Slow(milliseconds)) => {
                super::pause(milliseconds).await;
                call.await
            }
            Some(Fault::Meddle(meddle)) => {
                meddle(&self.inner);
                call.await
            }
            Some(Fault::Cut | Fault::Confirm) => call.await,
            Some(Fault::Die { after }) => {
                if after {
                    drop(call.await);
                }
                self.death.notify_one();
                std::future::pending().await
            }
        }
    }

    /// A stream that begins under the script.
    fn streamed<T: Send + 'static>(
        &self,
        operation: &'static str,
        key: &ObjectKey,
        stream: BoxStream<'static, Result<T>>,
    ) -> BoxStream<'static, Result<T>> {
        let (this, key) = (self.clone(), key.clone());
        let begun = async move { this.under(operation, &key, async { Ok(stream) }).await };
        Box::pin(futures_util::stream::once(begun).try_flatten())
    }

    fn parts(&self) -> &dyn Multipart {
        self.inner.multipart().unwrap()
    }
}

fn lost(operation: &'static str, key: &ObjectKey) -> Error {
    let lost = Error::new(ErrorKind::Network, "the reply was lost").with_retry(RetryClass::Now);
    lost.with_effect(Effect::Unknown).with_operation(operation).with_context("key", key)
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl Storage for Faulty {
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
        let this = self.clone();
        let last = Arc::new(Mutex::new(ObjectKey::new("-").unwrap()));
        let mut pages = self.inner.list(request);
        if self.capabilities.list_order == ListOrder::Unordered {
            let all = pages.collect::<Vec<_>>();
            let backwards = async move {
                let mut pages = all.await;
                pages.reverse();
                pages.iter_mut().flatten().for_each(|page| page.objects.reverse());
                futures_util::stream::iter(pages)
            };
            pages = Box::pin(futures_util::stream::once(backwards).flatten());
        }
        Box::pin(pages.then(move |page| {
            let (this, last) = (this.clone(), Arc::clone(&last));
            async move {
                let key = last.lock().unwrap().clone();
                let page = this.under("list", &key, async { page }).await;
                if let Some(object) = page.as_ref().ok().and_then(|page| page.objects.last()) {
                    *last.lock().unwrap() = object.key.clone();
                }
                page
            }
        }))
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let mut info = {
            let operation = if options.tags { "tags" } else { "head" };
            self.under(operation, key, self.inner.head(key, options)).await?
        };
        if self.silent {
            info.meta.checksums.clear();
            info.tag_count = 0;
        }
        Ok(info)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let fault = self.fault("get", key);
        let cut = matches!(fault, Some(Fault::Cut));
        let mut reply = self.suffer(fault, "get", key, self.inner.get(key, options)).await?;
        if cut {
            reply.body = Box::pin(futures_util::stream::empty());
        }
        if self.silent {
            reply.meta.checksums.clear();
        }
        Ok(reply)
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        self.under("put", key, self.inner.put(key, body, options)).await
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        let mut results = Vec::new();
        for request in requests {
            let key = request.key.clone();
            let deleted = self.under("delete", &key, async { self.inner.delete(vec![request]).await?.check() });
            results.push(deleted.await);
        }
        Ok(results.into())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        Some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.copies.then_some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions().is_some().then_some(self)
    }
}

#[async_trait]
impl Versions for Faulty {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let (this, key) = (self.clone(), ObjectKey::new("-").unwrap());
        let pages = Versions::list_versions(&self.inner, request);
        let pages: VersionStream = if self.apart { Box::pin(pages.map_ok(apart)) } else { pages };
        Box::pin(pages.then(move |page| {
            let (this, key) = (this.clone(), key.clone());
            async move { this.under("list_versions", &key, async { page }).await }
        }))
    }

    async fn enabled(&self) -> Result<bool> {
        Ok(!self.suspended)
    }
}

/// The versions of a page, and behind them its delete markers.
fn apart(page: Vec<ObjectVersion>) -> Vec<ObjectVersion> {
    let (markers, mut others): (Vec<_>, Vec<_>) = page.into_iter().partition(|version| version.is_delete_marker);
    others.extend(markers);
    others
}

#[async_trait]
impl ServerCopy for Faulty {
    fn reaches(&self, source_url: &str) -> bool {
        self.inner.reaches(source_url)
    }

    fn largest(&self) -> u64 {
        self.inner.largest()
    }

    async fn is_cheaper(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        self.under("is_cheaper", key, self.inner.is_cheaper(source, key)).await
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        self.under("copy", key, self.inner.copy(source, key, options)).await
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        self.under("copy_part", &upload.key, self.inner.copy_part(source, upload, part)).await
    }
}

#[async_trait]
impl Multipart for Faulty {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.under("create", key, self.parts().create(key, options)).await
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        self.under("upload_part", &upload.key, self.parts().upload_part(upload, part, body)).await
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        self.streamed("list_parts", &upload.key, self.parts().list_parts(upload))
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let fault = self.fault("complete", &upload.key);
        if matches!(fault, Some(Fault::Confirm)) {
            return Ok(PutReceipt::new(ServerCheck::None));
        }
        self.suffer(fault, "complete", &upload.key, self.parts().complete(upload, parts, options)).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.under("abort", &upload.key, self.parts().abort(upload)).await
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        self.streamed("list_uploads", key, self.parts().list_uploads(key))
    }
}

/// Fails the `nth` call of an operation, from 0.
pub fn nth(
    operation: &'static str,
    nth: usize,
    fault: Fault,
) -> impl FnMut(&str, &lepton_core::ObjectKey) -> Option<Fault> {
    let mut seen = 0;
    move |called, _| {
        let hit = called == operation && {
            seen += 1;
            seen == nth + 1
        };
        hit.then(|| fault.clone())
    }
}
