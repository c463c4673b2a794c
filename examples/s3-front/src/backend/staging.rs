//! Multipart uploads for storages that do not support them, or that need the offset of a part
//! in its object, which S3 requests do not state.
//!
//! Each part is an object below [`STAGING`], next to a record of the upload; completing the
//! upload writes the object from its parts. So uploads are stored in the storage, and outlive
//! the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Attributes, Body, BodySource, CompleteOptions, CreateUploadOptions, DeleteRequest, ETag, Error, ErrorKind,
    GetOptions, Hashing, KeyPrefix, LeafStream, Leaves, ListRequest, Multipart, ObjectKey, ObjectMeta, PartInfo,
    PartReceipt, PartSpec, PutOptions, PutReceipt, Result, SharedRuntime, SharedStorage, StorageExt as _,
    SystemRuntime, Upload, UploadId, UploadInfo,
};
use serde::{Deserialize, Serialize};

/// The prefix of the parts, which clients can neither see nor change.
pub(super) const STAGING: &str = ".lepton-s3-front/";
/// The name of an upload's record; parts are named by their numbers.
const RECORD: &str = "upload";
const LARGEST_RECORD: u64 = 1 << 20;

/// Uploads whose parts are stored as objects.
#[derive(Clone)]
pub(super) struct Staging {
    storage: SharedStorage,
    env: SharedRuntime,
}

/// The stored description of an upload.
#[derive(Serialize, Deserialize)]
struct Record {
    key: ObjectKey,
    attributes: Attributes,
    storage_class: Option<String>,
    /// Seconds since 1970.
    begun: u64,
}

impl Staging {
    pub(super) fn new(storage: SharedStorage) -> Self {
        Self { storage, env: SystemRuntime::shared() }
    }

    async fn record(&self, upload: &Upload) -> Result<Record> {
        let unknown =
            || Error::new(ErrorKind::UploadNotFound, "there is no such upload").with_context("upload", &upload.id);
        if !is_id(upload.id.as_str()) {
            return Err(unknown());
        }
        let record = match self.storage.read(&name(&upload.id, RECORD)?, LARGEST_RECORD).await {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unknown()),
            other => other?,
        };
        let record: Record = serde_json::from_slice(&record).map_err(|source| {
            Error::new(ErrorKind::Corrupt, "the record of the upload is damaged").with_source(source)
        })?;
        if record.key == upload.key { Ok(record) } else { Err(unknown()) }
    }

    async fn remove(&self, upload: &Upload) -> Result<()> {
        let objects = staged(&self.storage, &upload.id);
        // The record is deleted last: until then the upload can be found and aborted.
        let mut objects: Vec<ObjectMeta> = objects.try_collect().await?;
        objects.sort_by_key(|meta| part_number(meta).is_none());
        let requests: Vec<_> = objects.into_iter().map(|meta| DeleteRequest::new(meta.key)).collect();
        for batch in requests.chunks(self.storage.capabilities().delete_batch.max(1)) {
            self.storage.delete(batch.to_vec()).await?.into_iter().collect::<Result<()>>()?;
        }
        Ok(())
    }
}

/// Whether the id has the form of those created here: ids become part of a key.
fn is_id(id: &str) -> bool {
    id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name(id: &UploadId, name: impl std::fmt::Display) -> Result<ObjectKey> {
    ObjectKey::new(format!("{STAGING}{id}/{name}"))
}

fn staged(storage: &SharedStorage, id: &UploadId) -> BoxStream<'static, Result<ObjectMeta>> {
    storage.objects(KeyPrefix::new(format!("{STAGING}{id}/")))
}

fn part_number(meta: &ObjectMeta) -> Option<u32> {
    meta.key.as_str()?.rsplit('/').next()?.parse().ok()
}

/// A part as it is stored.
fn part(meta: &ObjectMeta) -> Option<PartInfo> {
    let etag = meta.etag.clone().unwrap_or_else(|| ETag::new(format!("\"{}\"", meta.size)));
    Some(PartReceipt::new(part_number(meta)?, meta.size, etag).checksum(meta.checksums.first().cloned()))
}

#[async_trait]
impl Multipart for Staging {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.storage.capabilities().keys.check(key)?;
        let id = UploadId::new(format!("{:016x}{:016x}", self.env.random(), self.env.random()));
        let begun = self.env.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let (attributes, storage_class) = (options.attributes, options.storage_class);
        let record = Record { key: key.clone(), attributes, storage_class, begun };
        let record = serde_json::to_vec(&record)
            .map_err(|source| Error::new(ErrorKind::Unexpected, "an upload cannot be recorded").with_source(source))?;
        self.storage.write(&name(&id, RECORD)?, record.into()).await?;
        Ok(Upload::new(key.clone(), id))
    }

    async fn upload_part(&self, upload: &Upload, spec: PartSpec, body: Body) -> Result<PartReceipt> {
        self.record(upload).await?;
        let key = name(&upload.id, format_args!("{:05}", spec.number))?;
        let mut meta = ObjectMeta::new(key.clone(), body.len());
        let receipt = self.storage.put(&key, body, PutOptions::new()).await?;
        (meta.etag, meta.checksums) = (receipt.etag, receipt.checksums);
        part(&meta).ok_or_else(|| Error::invalid_input(format!("{} is no number of a part", spec.number)))
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let this = self.clone();
        let upload = upload.clone();
        let parts = async move {
            this.record(&upload).await?;
            let mut parts: Vec<PartInfo> =
                staged(&this.storage, &upload.id).try_filter_map(async |meta| Ok(part(&meta))).try_collect().await?;
            parts.sort_by_key(|part| part.number);
            Ok(stream::iter(parts.into_iter().map(Ok)))
        };
        stream::once(parts).try_flatten().boxed()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let record = self.record(upload).await?;
        let size = parts.iter().map(|part| part.size).sum();
        let joined = Joined { storage: self.storage.clone(), id: upload.id.clone(), parts };
        let options = PutOptions::new()
            .attributes(record.attributes)
            .storage_class(record.storage_class)
            .precondition(options.precondition);
        let receipt = self.storage.put(&upload.key, Body::from_source(size, Arc::new(joined)), options).await?;
        self.remove(upload).await?;
        Ok(receipt)
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        match self.record(upload).await {
            Ok(_) => self.remove(upload).await,
            Err(error) if error.kind() == ErrorKind::UploadNotFound => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let this = self.clone();
        let key = key.clone();
        let uploads = async move {
            let request = ListRequest::new().prefix(STAGING.into()).delimiter(b'/');
            let pages: Vec<_> = this.storage.list(request).try_collect().await?;
            let mut uploads = BTreeMap::new();
            for folder in pages.iter().flat_map(|page| &page.prefixes) {
                let text = String::from_utf8_lossy(folder.as_bytes()).into_owned();
                let id = UploadId::new(text.trim_start_matches(STAGING).trim_end_matches('/'));
                let upload = Upload::new(key.clone(), id.clone());
                match this.record(&upload).await {
                    Ok(record) => {
                        let mut info = UploadInfo::new(upload);
                        info.initiated = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(record.begun));
                        uploads.insert(id, info);
                    }
                    // The upload belongs to another key, or was removed in the meantime.
                    Err(error) if error.kind() == ErrorKind::UploadNotFound => {}
                    Err(error) => return Err(error),
                }
            }
            Ok(stream::iter(uploads.into_values().map(Ok)))
        };
        stream::once(uploads).try_flatten().boxed()
    }
}

/// The bytes of parts, one after the other.
struct Joined {
    storage: SharedStorage,
    id: UploadId,
    parts: Vec<PartReceipt>,
}

impl BodySource for Joined {
    fn open(&self) -> LeafStream {
        let (storage, id) = (self.storage.clone(), self.id.clone());
        let parts = stream::iter(self.parts.clone()).then(move |part| {
            let (storage, id) = (storage.clone(), id.clone());
            async move {
                let key = name(&id, format_args!("{:05}", part.number))?;
                Ok::<_, Error>(storage.get(&key, GetOptions::new().if_match(Some(part.etag))).await?.body)
            }
        });
        Leaves::new(parts.try_flatten().boxed(), Hashing::Lazy).boxed()
    }
}
