//! Multipart uploads, and copies between the memory stores of the process.

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use super::bucket::{Bucket, Object, Pending, matches};
use super::builder::find;
use super::content::Content;
use super::store::MemoryStorage;
use crate::body::Body;
use crate::checksum::{from_hex, md5, to_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;
use crate::object::ETag;
use crate::storage::{
    CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, Multipart, PartInfo, PartReceipt, PartSpec,
    PutReceipt, ServerCopy, Upload, UploadId, UploadInfo,
};

#[async_trait]
impl Multipart for MemoryStorage {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let name = named("create_upload", key);
        self.check_write(key, &options.attributes, options.storage_class.as_deref()).map_err(name)?;
        let initiated = self.shared.env.now();
        let id = self.locked(|bucket| {
            let id = UploadId::new(bucket.fresh_id());
            let pending = Pending { key: key.clone(), options, initiated, parts: Default::default() };
            bucket.uploads.insert(id.clone(), pending);
            id
        });
        Ok(Upload::new(key.clone(), id))
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let name = |error: Error| named("upload_part", &upload.key)(error).with_context("part", part.number);
        self.check_part(&part).map_err(name)?;
        if body.len() != part.len() {
            let message = format!("the body has {} bytes, the part {}", body.len(), part.len());
            return Err(name(Error::invalid_input(message)));
        }
        self.locked(|bucket| pending(bucket, upload).map(|_| ())).map_err(name)?;
        let content = Content::read(&body).await.map_err(name)?;
        self.keep_part(upload, part.number, content).map_err(name)
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let (store, upload) = (self.clone(), upload.clone());
        let parts = stream::once(async move {
            let parts = store.locked(|bucket| {
                let parts = pending(bucket, &upload)?.parts.values().map(|(receipt, _)| Ok(receipt.clone()));
                Ok(parts.collect::<Vec<_>>())
            });
            stream::iter(parts.unwrap_or_else(|error: Error| vec![Err(named("list_parts", &upload.key)(error))]))
        });
        parts.flatten().boxed()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let name = named("complete_upload", &upload.key);
        self.check_condition(&options.precondition, true).map_err(name)?;
        let (modified, limits) = (self.shared.env.now(), self.limits());
        self.locked(|bucket| {
            let pending = pending(bucket, upload)?;
            let contents = chosen(pending, &parts)?;
            if let Some(small) = parts.iter().rev().skip(1).find(|part| part.size < limits.min_part) {
                let (number, least) = (small.number, limits.min_part);
                return Err(Error::invalid_input(format!(
                    "part {number} is smaller than {least} bytes and not the last"
                )));
            }
            let object = Object {
                content: Content::join(&contents),
                etag: etag_of_parts(&parts)?,
                attributes: pending.options.attributes.clone(),
                storage_class: pending.options.storage_class.clone(),
            };
            bucket.permits(&upload.key, &options.precondition)?;
            bucket.uploads.remove(&upload.id);
            Ok(self.commit(bucket, &upload.key, object, modified))
        })
        .map_err(name)
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.locked(|bucket| {
            if pending(bucket, upload).is_ok() {
                bucket.uploads.remove(&upload.id);
            }
        });
        Ok(())
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let (store, key) = (self.clone(), key.clone());
        let uploads = stream::once(async move {
            let uploads: Vec<_> = store.locked(|bucket| {
                let of_key = bucket.uploads.iter().filter(|(_, pending)| pending.key == key);
                of_key.map(|(id, pending)| Ok(described(id, pending))).collect()
            });
            stream::iter(uploads)
        });
        uploads.flatten().boxed()
    }
}

#[async_trait]
impl ServerCopy for MemoryStorage {
    fn reaches(&self, source_url: &str) -> bool {
        find(source_url).is_some()
    }

    fn largest(&self) -> u64 {
        self.shared.capabilities.max_single_put
    }

    async fn is_cheaper(&self, _: &CopySource, _: &ObjectKey) -> Result<bool> {
        Ok(true)
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        let name = |error: Error| named("copy", key)(error).with_context("source", &source.key);
        let mut object = from(&source).map_err(name)?;
        object.attributes = options.attributes.unwrap_or(object.attributes);
        object.storage_class = options.storage_class;
        object.etag = object.content.etag();
        self.check_write(key, &object.attributes, object.storage_class.as_deref()).map_err(name)?;
        self.check_condition(&options.precondition, false).map_err(name)?;
        self.check_size(object.content.len()).map_err(name)?;
        self.store(key, object, &options.precondition).map_err(name)
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let name = |error: Error| named("copy_part", &upload.key)(error).with_context("part", part.number);
        self.check_part(&part).map_err(name)?;
        let content = from(&source).map_err(name)?.content;
        if part.range.end > content.len() {
            let message = format!("the part ends at {}, the source at {}", part.range.end, content.len());
            return Err(name(Error::invalid_input(message)));
        }
        self.keep_part(upload, part.number, content.slice(&part.range)).map_err(name)
    }
}

impl MemoryStorage {
    fn check_part(&self, part: &PartSpec) -> Result<()> {
        let limits = self.limits();
        if part.number == 0 || part.number > limits.max_parts {
            return Err(Error::invalid_input(format!("part numbers go from 1 to {}", limits.max_parts)));
        }
        if part.range.start > part.range.end {
            return Err(Error::invalid_input("the range of the part ends before it begins"));
        }
        if part.len() > limits.max_part {
            let message = format!("the part has {} bytes; this store allows {}", part.len(), limits.max_part);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    fn keep_part(&self, upload: &Upload, number: u32, content: Content) -> Result<PartReceipt> {
        let receipt = PartReceipt::new(number, content.len(), content.etag()).checksum(Some(content.checksum()));
        self.locked(|bucket| {
            pending(bucket, upload)?.parts.insert(number, (receipt.clone(), content));
            Ok(receipt)
        })
    }
}

/// The object to copy from, in any memory store of the process.
fn from(source: &CopySource) -> Result<Object> {
    let store = find(&source.store).ok_or_else(|| {
        let message = "a memory store copies from another one of its process, and this is none";
        Error::unsupported(message).with_context("source_store", &source.store)
    })?;
    store.check_version(source.version.as_ref())?;
    store.locked(|bucket| {
        let (_, object) = bucket.find(&source.key, source.version.as_ref())?;
        if let Some(etag) = &source.if_match {
            matches(etag, Some(&object.etag))?;
        }
        Ok(object.clone())
    })
}

fn pending<'a>(bucket: &'a mut Bucket, upload: &Upload) -> Result<&'a mut Pending> {
    let found = bucket.uploads.get_mut(&upload.id).filter(|pending| pending.key == upload.key);
    found.ok_or_else(|| {
        let message = "there is no such upload: it was completed, aborted or never begun";
        Error::new(ErrorKind::UploadNotFound, message).with_context("upload", &upload.id)
    })
}

/// The contents of the parts that the caller names. The parts must ascend, and the store
/// must hold them.
fn chosen(pending: &Pending, parts: &[PartReceipt]) -> Result<Vec<Content>> {
    if parts.is_empty() || !parts.is_sorted_by(|a, b| a.number < b.number) {
        return Err(Error::invalid_input("an upload is completed with at least one part, their numbers ascending"));
    }
    let held = parts.iter().map(|part| {
        let held = pending.parts.get(&part.number).filter(|(receipt, _)| receipt.etag == part.etag);
        held.map(|(_, content)| content.clone()).ok_or_else(|| {
            Error::invalid_input(format!("the store holds no part {} with the tag {}", part.number, part.etag))
        })
    });
    held.collect()
}

/// The tag of a multipart object, as Amazon S3 computes it: the MD5 of the MD5s of the
/// parts, and the number of parts.
fn etag_of_parts(parts: &[PartReceipt]) -> Result<ETag> {
    let digests: Option<Vec<_>> = parts.iter().map(|part| from_hex(part.etag.unquoted())).collect();
    let digests = digests.ok_or_else(|| Error::invalid_input("the tag of a part is not an MD5"))?;
    Ok(ETag::new(format!("\"{}-{}\"", to_hex(&md5(&digests.concat())), parts.len())))
}

fn described(id: &UploadId, pending: &Pending) -> UploadInfo {
    let mut info = UploadInfo::new(Upload::new(pending.key.clone(), id.clone()));
    info.initiated = Some(pending.initiated);
    info.initiator = Some("memory".to_owned());
    info
}

/// Adds the operation and the key to an error.
pub(super) fn named<'a>(operation: &'static str, key: &'a ObjectKey) -> impl Fn(Error) -> Error + Copy + 'a {
    move |error| error.with_operation(operation).with_context("key", key)
}
