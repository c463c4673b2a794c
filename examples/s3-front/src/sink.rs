//! A storage that accepts everything and keeps only sizes and checksums.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::{
    Body, Capabilities, ChecksumAlgorithm, CompleteOptions, Crc, CrcHasher, CreateUploadOptions, DeleteRequest,
    DeleteResults, ETag, Error, ErrorKind, GetOptions, GetReply, HeadOptions, KeyPrefix, ListPage, ListRequest,
    Multipart, ObjectInfo, ObjectKey, ObjectMeta, PageStream, PartInfo, PartReceipt, PartSpec, PhysicalLocation,
    Precondition, PutOptions, PutReceipt, Result, ServerCheck, ServerCopy, Signer, Storage, StoredChecksum, Support,
    Upload, UploadId, UploadInfo, Versions, combine_crc,
};

/// Reads written data, computes its CRC-64/NVME and drops it.
///
/// It measures writers where a real store would be the limit; results obtained with it must be
/// labelled accordingly. Behind an [`S3Front`](crate::S3Front) signatures and checksums are
/// checked as usual. Objects can be listed and described but not read; attributes are accepted
/// and dropped.
#[derive(Debug, Clone)]
pub struct SinkStorage {
    url: String,
    capabilities: Capabilities,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<ObjectKey, ObjectMeta>,
    uploads: BTreeMap<UploadId, OpenUpload>,
    begun: u64,
}

#[derive(Debug)]
struct OpenUpload {
    key: ObjectKey,
    initiated: SystemTime,
    parts: BTreeMap<u32, PartInfo>,
}

impl SinkStorage {
    /// An empty sink. The URL identifies it in messages.
    pub fn new(url: impl Into<String>) -> Self {
        let mut capabilities = Capabilities::everything("sink");
        capabilities.range_get = Support::Unsupported;
        capabilities.conditional_get = Support::Unsupported;
        capabilities.server_copy = Support::Unsupported;
        capabilities.versions = Support::Unsupported;
        capabilities.storage_class = Support::Unsupported;
        Self { url: url.into(), capabilities, state: Arc::default() }
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Makes the object visible and returns its receipt.
    fn commit(&self, key: &ObjectKey, size: u64, crc: u64, condition: &Precondition) -> Result<PutReceipt> {
        let mut meta = ObjectMeta::new(key.clone(), size);
        meta.last_modified = Some(SystemTime::now());
        meta.etag = Some(etag_of(size, crc));
        meta.checksums = vec![checksum_of(crc)];
        let receipt = PutReceipt::new(ServerCheck::AsWritten).etag(meta.etag.clone()).checksums(meta.checksums.clone());
        self.with(|state| {
            let found = state.objects.get(key);
            let refuse = |kind, message: &'static str| Err(Error::new(kind, message).with_context("key", key));
            match condition {
                Precondition::IfAbsent if found.is_some() => refuse(ErrorKind::AlreadyExists, "the object exists"),
                Precondition::IfMatch(tag) if found.and_then(|meta| meta.etag.as_ref()) != Some(tag) => {
                    refuse(ErrorKind::PreconditionFailed, "the object has another tag")
                }
                _ => {
                    state.objects.insert(key.clone(), meta);
                    Ok(receipt)
                }
            }
        })
    }
}

/// The ETag must not look like an MD5, because clients compare those.
fn etag_of(size: u64, crc: u64) -> ETag {
    ETag::new(format!("\"sink-{crc:016x}-{size:x}\""))
}

fn checksum_of(crc: u64) -> StoredChecksum {
    StoredChecksum::full(ChecksumAlgorithm::Crc64Nvme, crc.to_be_bytes())
}

fn crc_of(part: &PartInfo) -> u64 {
    let value = part.checksum.as_ref().and_then(|checksum| checksum.value.as_slice().try_into().ok());
    value.map_or(0, u64::from_be_bytes)
}

/// Reads a whole body and returns its CRC-64/NVME.
async fn swallow(body: &Body) -> Result<u64> {
    let (mut hasher, mut len) = (CrcHasher::new(Crc::Crc64Nvme), 0);
    let mut leaves = body.open();
    while let Some(leaf) = leaves.next().await {
        for piece in leaf?.pieces {
            hasher.update(&piece);
            len += piece.len() as u64;
        }
    }
    if len == body.len() {
        return Ok(hasher.finish());
    }
    Err(Error::invalid_input(format!("the body has {len} bytes and should have {}", body.len())))
}

fn not_found(key: &ObjectKey) -> Error {
    Error::new(ErrorKind::NotFound, "there is no such object").with_context("key", key)
}

fn no_upload(upload: &Upload) -> Error {
    Error::new(ErrorKind::UploadNotFound, "there is no such upload").with_context("upload", &upload.id)
}

/// One page of these objects; those with the delimiter after the prefix are rolled up.
fn rolled_up(objects: Vec<ObjectMeta>, prefix: usize, delimiter: u8) -> ListPage {
    let (mut direct, mut folders) = (Vec::new(), Vec::new());
    for meta in objects {
        let key = meta.key.as_bytes();
        match key[prefix..].iter().position(|byte| *byte == delimiter) {
            Some(end) => folders.push(KeyPrefix::new(key[..=prefix + end].to_vec())),
            None => direct.push(meta),
        }
    }
    folders.dedup();
    ListPage::new(direct, folders)
}

fn refuse_class(class: Option<&String>) -> Result<()> {
    class.map_or(Ok(()), |_| Err(Error::unsupported("a sink has no storage classes")))
}

#[async_trait]
impl Storage for SinkStorage {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn copy_url(&self) -> Option<&str> {
        None
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        Ok(PhysicalLocation::new(self.url(), prefix.as_bytes()))
    }

    fn list(&self, request: ListRequest) -> PageStream {
        let start = match request.start_after.map(ObjectKey::new) {
            Some(Ok(key)) => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        let matching = |meta: &&ObjectMeta| request.prefix.matches(&meta.key);
        let objects: Vec<ObjectMeta> = self.with(|state| {
            state.objects.range((start, Bound::Unbounded)).map(|(_, meta)| meta).filter(matching).cloned().collect()
        });
        if let Some(delimiter) = request.delimiter {
            let page = rolled_up(objects, request.prefix.as_bytes().len(), delimiter);
            return stream::once(async { Ok(page) }).boxed();
        }
        let size = request.page_size.unwrap_or(1000).max(1);
        let pages: Vec<_> = objects.chunks(size).map(|page| Ok(ListPage::new(page.to_vec(), Vec::new()))).collect();
        stream::iter(pages).boxed()
    }

    async fn head(&self, key: &ObjectKey, _: HeadOptions) -> Result<ObjectInfo> {
        let meta = self.with(|state| state.objects.get(key).cloned()).ok_or_else(|| not_found(key))?;
        Ok(ObjectInfo::new(meta, Default::default()))
    }

    async fn get(&self, key: &ObjectKey, _: GetOptions) -> Result<GetReply> {
        Err(Error::unsupported("a sink keeps no bytes to read").with_operation("get").with_context("key", key))
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        refuse_class(options.storage_class.as_ref())?;
        let crc = swallow(&body).await?;
        self.commit(key, body.len(), crc, &options.precondition)
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        let delete = |request: DeleteRequest| {
            self.with(|state| match state.objects.entry(request.key) {
                Entry::Occupied(entry) if request.if_match.is_some() && entry.get().etag != request.if_match => {
                    Err(Error::new(ErrorKind::PreconditionFailed, "the object has another tag"))
                }
                Entry::Occupied(entry) => {
                    entry.remove();
                    Ok(())
                }
                Entry::Vacant(_) => Ok(()),
            })
        };
        Ok(requests.into_iter().map(delete).collect())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        Some(self)
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

#[async_trait]
impl Multipart for SinkStorage {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        refuse_class(options.storage_class.as_ref())?;
        Ok(self.with(|state| {
            state.begun += 1;
            let id = UploadId::new(format!("sink-{}", state.begun));
            let open = OpenUpload { key: key.clone(), initiated: SystemTime::now(), parts: BTreeMap::new() };
            state.uploads.insert(id.clone(), open);
            Upload::new(key.clone(), id)
        }))
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let crc = swallow(&body).await?;
        let receipt =
            PartReceipt::new(part.number, body.len(), etag_of(body.len(), crc)).checksum(Some(checksum_of(crc)));
        self.with(|state| {
            let open = state.uploads.get_mut(&upload.id).ok_or_else(|| no_upload(upload))?;
            open.parts.insert(part.number, receipt.clone());
            Ok(receipt)
        })
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let parts = self.with(|state| match state.uploads.get(&upload.id) {
            Some(open) => open.parts.values().cloned().map(Ok).collect(),
            None => vec![Err(no_upload(upload))],
        });
        stream::iter(parts).boxed()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        if !self.with(|state| state.uploads.contains_key(&upload.id)) {
            return Err(no_upload(upload));
        }
        let join = |(size, crc), part: &PartReceipt| {
            (size + part.size, combine_crc(Crc::Crc64Nvme, crc, crc_of(part), part.size))
        };
        let (size, crc) = parts.iter().fold((0, 0), join);
        let receipt = self.commit(&upload.key, size, crc, &options.precondition)?;
        self.with(|state| state.uploads.remove(&upload.id));
        Ok(receipt)
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.with(|state| state.uploads.remove(&upload.id));
        Ok(())
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let uploads: Vec<_> = self.with(|state| {
            let of_key = state.uploads.iter().filter(|(_, open)| open.key == *key);
            of_key
                .map(|(id, open)| {
                    let mut info = UploadInfo::new(Upload::new(key.clone(), id.clone()));
                    info.initiated = Some(open.initiated);
                    Ok(info)
                })
                .collect()
        });
        stream::iter(uploads).boxed()
    }
}
