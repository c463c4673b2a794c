//! The in-memory store with one fault.

use std::task::Poll;

use async_trait::async_trait;
use bytes::Bytes;
use futures_core::stream::BoxStream;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use lepton_core::{
    Attributes, Body, Capabilities, ChecksumAlgorithm, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions,
    DeleteRequest, DeleteResults, ETag, Error, ErrorKind, GetOptions, GetReply, HeadOptions, KeyPrefix, ListOrder,
    ListPage, ListRequest, MemoryStorage, Multipart, ObjectInfo, ObjectKey, PageStream, PartInfo, PartReceipt,
    PartSpec, PhysicalLocation, Precondition, PutOptions, PutReceipt, Result, RetryClass, ServerCheck, ServerCopy,
    Signer, Storage, StorageExt as _, Support, Upload, UploadInfo, VersionStream, Versions,
};

/// What is wrong with the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    HidesMultipart,
    SameTagAlways,
    NamesUndeclaredChecks,
    KeepsBrokenBodies,
    RewordsErrors,
    EndsBodiesEarly,
    IgnoresRanges,
    DropsAttributes,
    AlwaysGivesTags,
    IgnoresConditions,
    DeletesNothing,
    MissesAbsentOnes,
    LosesResults,
    ListsBackwards,
    ListsFolders,
    ListsFromInclusive,
    LosesPageEnds,
    IgnoresDelimiters,
    CleansKeys,
    CutsLongKeys,
    ListsOtherUploads,
    ListsPartsBackwards,
    KeepsAbortedUploads,
    ReachesEverything,
    CopiesWhenAsked,
    ListsVersionsBackwards,
    IgnoresVersions,
    GivesBytesBefore,
    StopsAtRefusals,
    RefusesLongBatches,
    ShowsHalves,
    FoldsCase,
    LetsOthersFetchWhatItChanges,
}

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: MemoryStorage,
    fault: Fault,
    /// What it says that it can, where that is not what it can.
    declared: Capabilities,
}

impl Faulty {
    pub(crate) fn new(inner: MemoryStorage, fault: Fault) -> Self {
        let declared = inner.capabilities().clone();
        Self { inner, fault, declared }
    }

    /// A store that says of itself what is not so.
    pub(crate) fn lying(inner: MemoryStorage, declared: Capabilities) -> Self {
        Self { inner, fault: Fault::None, declared }
    }

    /// A store that lists without order, and says so.
    pub(crate) fn unordered(inner: MemoryStorage) -> Self {
        let mut declared = inner.capabilities().clone();
        declared.list_order = ListOrder::Unordered;
        declared.start_after = Support::Unsupported;
        Self { inner, fault: Fault::ListsBackwards, declared }
    }

    fn has(&self, fault: Fault) -> bool {
        self.fault == fault
    }

    /// The key as the store keeps it.
    fn kept(&self, key: &ObjectKey) -> ObjectKey {
        let bytes = match self.fault {
            Fault::CleansKeys => clean(key.as_bytes()),
            Fault::FoldsCase => key.as_bytes().to_ascii_lowercase(),
            Fault::CutsLongKeys => key.as_bytes()[..key.as_bytes().len().min(1024)].to_vec(),
            _ => key.as_bytes().to_vec(),
        };
        ObjectKey::new(bytes).unwrap_or_else(|_| key.clone())
    }

    fn reword(&self, error: Error) -> Error {
        if self.has(Fault::RewordsErrors) {
            return Error::new(ErrorKind::Unavailable, "something went wrong").with_retry(RetryClass::Now);
        }
        error
    }

    fn spoil(&self, meta: &mut lepton_core::ObjectMeta) {
        if self.has(Fault::SameTagAlways) {
            meta.etag = Some(ETag::new("\"same\""));
        }
    }

    fn attributes(&self, attributes: Attributes) -> Attributes {
        if self.has(Fault::DropsAttributes) { Attributes::default() } else { attributes }
    }

    fn precondition(&self, precondition: Precondition) -> Precondition {
        if self.has(Fault::IgnoresConditions) { Precondition::None } else { precondition }
    }

    fn source(&self, mut source: CopySource) -> CopySource {
        if self.has(Fault::IgnoresConditions) {
            source.if_match = None;
        }
        source
    }

    /// The body as the store takes it: perhaps without noticing that it broke.
    async fn taken(&self, body: Body) -> Body {
        if self.has(Fault::LetsOthersFetchWhatItChanges) {
            let leaves: Vec<_> = body.open().try_collect().await.unwrap();
            return Body::from_pieces(leaves.into_iter().flat_map(|leaf| leaf.pieces).map(|piece| changed(&piece)));
        }
        if !self.has(Fault::KeepsBrokenBodies) {
            return body;
        }
        let leaves = body.open().take_while(|leaf| std::future::ready(leaf.is_ok()));
        let leaves: Vec<_> = leaves.try_collect().await.unwrap();
        Body::from_pieces(leaves.into_iter().flat_map(|leaf| leaf.pieces))
    }

    fn page(&self, request: &ListRequest, mut page: ListPage) -> ListPage {
        page.objects.iter_mut().for_each(|meta| self.spoil(meta));
        match self.fault {
            Fault::ListsBackwards => page.objects.reverse(),
            Fault::LosesPageEnds if page.objects.len() > 1 => page.objects.truncate(page.objects.len() - 1),
            Fault::ListsFolders => {
                let prefix = request.prefix.as_bytes().to_vec();
                let folder = [&prefix[..], b"/"].concat();
                let inside = |key: &[u8]| key == prefix || key.starts_with(&folder) || prefix.ends_with(b"/");
                page.objects.retain(|meta| inside(meta.key.as_bytes()));
            }
            _ => {}
        }
        page
    }
}

/// The bytes of a store that keeps other ones than it takes and gives.
fn changed(bytes: &Bytes) -> Bytes {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

/// A key without empty and dot segments, as a path.
fn clean(key: &[u8]) -> Vec<u8> {
    let mut segments: Vec<&[u8]> = Vec::new();
    for segment in key.split(|byte| *byte == b'/') {
        match segment {
            b"" | b"." => {}
            b".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    segments.join(&b'/')
}

#[async_trait]
impl Storage for Faulty {
    fn capabilities(&self) -> &Capabilities {
        &self.declared
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

    fn list(&self, mut request: ListRequest) -> PageStream {
        if self.has(Fault::IgnoresDelimiters) {
            request.delimiter = None;
        }
        if let (Fault::ListsFromInclusive, Some(after)) = (self.fault, &mut request.start_after) {
            let before = after.len() - 1;
            *after = Bytes::copy_from_slice(&[&after[..before], &[after[before] - 1, 0xff]].concat());
        }
        let this = Self::new(self.inner.clone(), self.fault);
        let pages = self.inner.list(request.clone());
        pages.map_ok(move |page| this.page(&request, page)).boxed()
    }

    async fn head(&self, key: &ObjectKey, mut options: HeadOptions) -> Result<ObjectInfo> {
        options.tags |= self.has(Fault::AlwaysGivesTags);
        if self.has(Fault::IgnoresVersions) {
            options.version = None;
        }
        let mut info = self.inner.head(&self.kept(key), options).await.map_err(|error| self.reword(error))?;
        self.spoil(&mut info.meta);
        Ok(info)
    }

    async fn get(&self, key: &ObjectKey, mut options: GetOptions) -> Result<GetReply> {
        match self.fault {
            Fault::IgnoresRanges => options.range = None,
            // One byte off, where that can be.
            Fault::GivesBytesBefore => {
                options.range = options.range.map(|range| match range.start {
                    0 => range,
                    start => start - 1..range.end - 1,
                });
            }
            Fault::IgnoresConditions => options.if_match = None,
            Fault::IgnoresVersions => options.version = None,
            _ => {}
        }
        let mut reply = self.inner.get(&self.kept(key), options).await.map_err(|error| self.reword(error))?;
        self.spoil(&mut reply.meta);
        reply.meta.key = key.clone();
        if self.has(Fault::LetsOthersFetchWhatItChanges) {
            reply.body = reply.body.map_ok(|bytes| changed(&bytes)).boxed();
        }
        if self.has(Fault::EndsBodiesEarly) {
            let shorter = |bytes: Bytes| bytes.slice(..bytes.len() - 1);
            reply.body = reply.body.map_ok(shorter).boxed();
        }
        Ok(reply)
    }

    async fn put(&self, key: &ObjectKey, body: Body, mut options: PutOptions) -> Result<PutReceipt> {
        if self.has(Fault::ShowsHalves) {
            let leaves: Vec<_> = body.open().take(1).try_collect().await.unwrap_or_default();
            let half = Body::from_pieces(leaves.into_iter().flat_map(|leaf| leaf.pieces).take(1));
            self.inner.put(key, half, PutOptions::new()).await?;
            // It goes on when it is asked again.
            let mut waited = false;
            std::future::poll_fn(|context| {
                context.waker().wake_by_ref();
                if std::mem::replace(&mut waited, true) { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        }
        options.attributes = self.attributes(options.attributes);
        options.precondition = self.precondition(options.precondition);
        let result = self.inner.put(&self.kept(key), self.taken(body).await, options).await;
        let mut receipt = result.map_err(|error| self.reword(error))?;
        if self.has(Fault::NamesUndeclaredChecks) {
            receipt.check = ServerCheck::Checksum(ChecksumAlgorithm::Crc32c);
        }
        Ok(receipt)
    }

    async fn delete(&self, mut requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        for request in &mut requests {
            request.key = self.kept(&request.key);
            match self.fault {
                Fault::IgnoresConditions => request.if_match = None,
                Fault::IgnoresVersions => request.version = None,
                Fault::MissesAbsentOnes if request.version.is_none() && !self.inner.exists(&request.key).await? => {
                    return Err(Error::new(ErrorKind::NotFound, "there is no such object"));
                }
                _ => {}
            }
        }
        if self.has(Fault::DeletesNothing) {
            return Ok(requests.iter().map(|_| Ok(())).collect());
        }
        if self.has(Fault::RefusesLongBatches) && requests.len() > 100 {
            return Err(Error::invalid_input("too many keys"));
        }
        let is_refused = |request: &DeleteRequest| self.inner.capabilities().keys.check(&request.key).is_err();
        let stops = requests.iter().position(is_refused).filter(|_| self.has(Fault::StopsAtRefusals));
        let behind = requests.split_off(stops.unwrap_or(requests.len()));
        let mut results = self.inner.delete(requests).await?.into_vec();
        results.extend(behind.iter().map(|_| Err(Error::invalid_input("a key before it was refused"))));
        if self.has(Fault::LosesResults) {
            results.pop();
        }
        Ok(results.into())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        (!self.has(Fault::HidesMultipart)).then_some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        Some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.inner.versions().is_some().then_some(self)
    }
}

#[async_trait]
impl Multipart for Faulty {
    async fn create(&self, key: &ObjectKey, mut options: CreateUploadOptions) -> Result<Upload> {
        options.attributes = self.attributes(options.attributes);
        self.inner.create(key, options).await
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let body = self.taken(body).await;
        let part = PartSpec::new(part.number, part.range.start..part.range.start + body.len());
        self.inner.upload_part(upload, part, body).await
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let parts = self.inner.list_parts(upload);
        if !self.has(Fault::ListsPartsBackwards) {
            return parts;
        }
        let backwards = parts.collect::<Vec<_>>().map(|parts| futures_util::stream::iter(parts.into_iter().rev()));
        backwards.flatten_stream().boxed()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let options = options.clone().precondition(self.precondition(options.precondition));
        self.inner.complete(upload, parts, options).await
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        if self.has(Fault::KeepsAbortedUploads) {
            return Ok(());
        }
        self.inner.abort(upload).await
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let uploads = self.inner.list_uploads(key);
        if !self.has(Fault::ListsOtherUploads) {
            return uploads;
        }
        let longer = key.prefixed(&KeyPrefix::default()).to_bytes();
        let longer = ObjectKey::new([&longer[..], b"b"].concat()).unwrap();
        uploads.chain(self.inner.list_uploads(&longer)).boxed()
    }
}

#[async_trait]
impl ServerCopy for Faulty {
    fn reaches(&self, source_url: &str) -> bool {
        self.has(Fault::ReachesEverything) || self.inner.reaches(source_url)
    }

    fn largest(&self) -> u64 {
        self.inner.largest()
    }

    async fn is_cheaper(&self, source: &CopySource, key: &ObjectKey) -> Result<bool> {
        if self.has(Fault::CopiesWhenAsked) {
            self.inner.copy(source.clone(), key, CopyOptions::new()).await?;
        }
        self.inner.is_cheaper(source, key).await
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let attributes = options.attributes.clone().map(|attributes| self.attributes(attributes));
        let mut options = options.clone().precondition(self.precondition(options.precondition));
        options.attributes = attributes;
        self.inner.copy(self.source(source), key, options).await
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        self.inner.copy_part(self.source(source), upload, part).await
    }
}

#[async_trait]
impl Versions for Faulty {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let versions = self.inner.list_versions(request);
        if !self.has(Fault::ListsVersionsBackwards) {
            return versions;
        }
        let backwards = |page: Vec<_>| page.into_iter().rev().collect();
        versions.map_ok(backwards).boxed()
    }

    async fn enabled(&self) -> Result<bool> {
        self.inner.enabled().await
    }
}
