//! Multipart uploads to an `ObjectStore`, through its low-level `MultipartStore` interface.

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton_core::{
    Body, CompleteOptions, CreateUploadOptions, ETag, Effect, Error, ErrorKind, Multipart, ObjectKey, PartInfo,
    PartReceipt, PartSpec, Precondition, PutReceipt, Result, RetryClass, Upload, UploadId, UploadInfo,
};
use object_store::PutMultipartOptions;
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;

use super::convert::{inward, outward_attributes};
use super::from::{FromObjectStore, held};

#[async_trait]
impl Multipart for FromObjectStore {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        let created = async {
            self.capabilities.check_attributes(&options.attributes)?;
            let attributes = outward_attributes(options.attributes, options.storage_class);
            let theirs = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
            let id = self.requests()?.create_multipart_opts(&self.path(key, "create_upload")?, theirs).await;
            id.map_err(|error| inward(error, "create_upload", true))
        };
        let id = created.await.map_err(|error| error.with_operation("create_upload").with_context("key", key))?;
        Ok(Upload::new(key.clone(), UploadId::new(id)))
    }

    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        let sent = async {
            let index = part.number.checked_sub(1).ok_or_else(|| Error::invalid_input("parts are numbered from 1"))?;
            if body.len() != part.len() {
                let message = format!("the body has {} bytes and the part {}", body.len(), part.len());
                return Err(Error::invalid_input(message));
            }
            self.within_limits(&part)?;
            let (path, id, bytes) = (self.path(&upload.key, "upload_part")?, id(upload), held(&body).await?);
            let sent = self.requests()?.put_part(&path, &id, index as usize, bytes).await;
            sent.map_err(|error| of_upload(error, "upload_part"))
        };
        let sent = sent.await.map_err(|error| {
            error.with_operation("upload_part").with_context("key", &upload.key).with_context("part", part.number)
        })?;
        Ok(PartReceipt::new(part.number, part.len(), ETag::new(sent.content_id)))
    }

    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        let error = Error::unsupported("an object_store does not list the parts of an upload");
        let error = error.with_operation("list_parts").with_context("key", &upload.key);
        stream::once(async move { Err(error) }).boxed()
    }

    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        let completed = async {
            if options.precondition != Precondition::None {
                return Err(Error::unsupported("an object_store completes an upload under no condition"));
            }
            let path = self.path(&upload.key, "complete")?;
            let completed = self.requests()?.complete_multipart(&path, &id(upload), in_order(parts)?).await;
            completed.map(|put| self.receipt(put)).map_err(|error| of_upload(error, "complete"))
        };
        completed.await.map_err(|error| error.with_operation("complete").with_context("key", &upload.key))
    }

    async fn abort(&self, upload: &Upload) -> Result<()> {
        let path: Path = self.path(&upload.key, "abort")?;
        match self.requests()?.abort_multipart(&path, &id(upload)).await {
            Ok(()) => Ok(()),
            Err(error) => match of_upload(error, "abort") {
                error if error.kind() == ErrorKind::UploadNotFound => Ok(()),
                error => Err(error.with_context("key", &upload.key)),
            },
        }
    }

    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        let error = Error::unsupported("an object_store does not list uploads");
        let error = error.with_operation("list_uploads").with_context("key", key);
        stream::once(async move { Err(error) }).boxed()
    }
}

impl FromObjectStore {
    /// Refuses a part outside the store's limits before its body is read.
    fn within_limits(&self, part: &PartSpec) -> Result<()> {
        let Some(limits) = self.capabilities.multipart else { return Ok(()) };
        if part.number > limits.max_parts {
            return Err(Error::invalid_input(format!("part numbers go from 1 to {}", limits.max_parts)));
        }
        if part.len() > limits.max_part {
            let message = format!("the part has {} bytes; this store allows {}", part.len(), limits.max_part);
            return Err(Error::new(ErrorKind::TooLarge, message));
        }
        Ok(())
    }

    fn requests(&self) -> Result<&dyn MultipartStore> {
        self.parts.as_deref().ok_or_else(|| Error::unsupported("uploads in parts"))
    }
}

/// The error of a request to an upload. The in-memory store reports a missing upload only in
/// its message.
fn of_upload(error: object_store::Error, operation: &'static str) -> Error {
    let gone = matches!(error, object_store::Error::NotFound { .. })
        || error.to_string().contains("MultipartUpload not found");
    let error = inward(error, operation, true);
    if !gone {
        return error;
    }
    error.with_kind(ErrorKind::UploadNotFound).with_retry(RetryClass::Never).with_effect(Effect::None)
}

fn id(upload: &Upload) -> String {
    upload.id.as_str().to_owned()
}

/// The parts in order: that interface has no part numbers, so none may be missing.
fn in_order(parts: Vec<PartReceipt>) -> Result<Vec<PartId>> {
    if parts.is_empty() {
        return Err(Error::invalid_input("an upload cannot be completed without parts; put an empty object instead"));
    }
    if let Some((place, part)) = (1..).zip(&parts).find(|(place, part)| part.number != *place) {
        let message = format!("part {} stands where part {place} has to be", part.number);
        return Err(Error::invalid_input(message));
    }
    Ok(parts.into_iter().map(|part| PartId { content_id: part.etag.as_str().to_owned() }).collect())
}
