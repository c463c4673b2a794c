//! Uploads in parts.

use std::collections::BTreeMap;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::super::{
    CompleteOptions, CreateUploadOptions, Multipart, PartInfo, PartReceipt, PartSpec, PutReceipt, ServerCheck, Upload,
    UploadId, UploadInfo,
};
use super::objects::{Object, Objects};
use super::{Content, MemoryStorage, named};
use crate::body::Body;
use crate::checksum::{Crc, combine_crc, md5, to_hex};
use crate::error::{Error, ErrorKind, Result};
use crate::key::ObjectKey;
use crate::object::{ETag, ObjectMeta};

/// An upload that is neither completed nor aborted.
#[derive(Debug)]
pub(super) struct UploadState {
    key: ObjectKey,
    options: CreateUploadOptions,
    begun: SystemTime,
    parts: BTreeMap<u32, Content>,
}

impl MemoryStorage {
    fn with_upload<T>(&self, upload: &Upload, act: impl FnOnce(&mut UploadState) -> T) -> Result<T> {
        let mut objects = self.objects();
        let state = objects.uploads.get_mut(&upload.id).filter(|state| state.key == upload.key);
        state.map(act).ok_or_else(|| unknown(upload))
    }

    pub(super) async fn take_part(&self, upload: &Upload, number: u32, body: Body) -> Result<PartReceipt> {
        let content = Content::read(body).await?;
        let receipt = receipt(number, &content);
        self.with_upload(upload, |state| state.parts.insert(number, content))?;
        Ok(receipt)
    }

    fn finish(&self, upload: &Upload, parts: &[PartReceipt], options: &CompleteOptions) -> Result<ObjectMeta> {
        let mut objects = self.objects();
        let object = assemble(&objects, upload, parts, self.shared.env.now())?;
        let meta = objects.insert(object, &options.precondition, self.shared.versioned)?;
        objects.uploads.remove(&upload.id);
        Ok(meta)
    }
}

fn unknown(upload: &Upload) -> Error {
    Error::new(ErrorKind::UploadNotFound, "there is no such upload").with_context("upload", &upload.id)
}

fn receipt(number: u32, content: &Content) -> PartReceipt {
    PartReceipt::new(number, content.len, content.etag()).checksum(Some(content.checksum()))
}

/// The object that these parts make.
fn assemble(objects: &Objects, upload: &Upload, parts: &[PartReceipt], now: SystemTime) -> Result<Object> {
    let state =
        objects.uploads.get(&upload.id).filter(|state| state.key == upload.key).ok_or_else(|| unknown(upload))?;
    let mut whole = Content { pieces: Vec::new(), len: 0, md5: [0; 16], crc: 0 };
    let (mut sums, mut last) = (Vec::new(), 0);
    for part in parts {
        let wrong = |why: &str| Error::invalid_input(format!("part {}: {why}", part.number));
        let content = state.parts.get(&part.number).ok_or_else(|| wrong("it was never sent"))?;
        if part.number <= last || content.etag() != part.etag {
            return Err(wrong("it is out of order, or its tag is not the one it has"));
        }
        last = part.number;
        sums.extend_from_slice(&content.md5);
        whole.pieces.extend(content.pieces.iter().cloned());
        whole.len += content.len;
        whole.crc = combine_crc(Crc::Crc64Nvme, whole.crc, content.crc, content.len);
    }
    if parts.is_empty() {
        return Err(Error::invalid_input("an upload needs at least one part"));
    }
    let mut object = Object::new(upload.key.clone(), &whole, now);
    object.meta.etag = Some(ETag::new(format!("\"{}-{}\"", to_hex(&md5(&sums)), parts.len())));
    object.meta.storage_class = state.options.storage_class.clone();
    object.attributes = state.options.attributes.clone();
    Ok(object)
}

#[async_trait]
impl Multipart for MemoryStorage {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.check(key, options.size.unwrap_or(0), self.shared.capabilities.max_object)
            .map_err(|e| named(e, "create_upload", key))?;
        let mut objects = self.objects();
        let id = UploadId::new(format!("upload-{}", objects.name()));
        let begun = self.shared.env.now();
        objects.uploads.insert(id.clone(), UploadState { key: key.clone(), options, begun, parts: BTreeMap::new() });
        Ok(Upload::new(key.clone(), id))
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let sent = self.take_part(upload, part.number, body).await;
        sent.map_err(|e| named(e, "upload_part", &upload.key).with_context("part", part.number))
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let parts = self.with_upload(upload, |state| {
            state.parts.iter().map(|(number, content)| Ok(receipt(*number, content))).collect::<Vec<_>>()
        });
        let parts = parts.unwrap_or_else(|error| vec![Err(named(error, "list_parts", &upload.key))]);
        Box::pin(futures_util::stream::iter(parts))
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let meta = self.finish(upload, &parts, &options).map_err(|e| named(e, "complete_upload", &upload.key))?;
        Ok(PutReceipt::new(ServerCheck::AsWritten).etag(meta.etag).version(meta.version).checksums(meta.checksums))
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        self.objects().uploads.remove(&upload.id);
        Ok(())
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let objects = self.objects();
        let of_key = objects.uploads.iter().filter(|(_, state)| state.key == *key);
        let uploads: Vec<Result<UploadInfo>> = of_key
            .map(|(id, state)| {
                let mut info = UploadInfo::new(Upload::new(key.clone(), id.clone()));
                info.initiated = Some(state.begun);
                Ok(info)
            })
            .collect();
        Box::pin(futures_util::stream::iter(uploads))
    }
}
