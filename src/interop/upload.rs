//! Multipart uploads to a Lepton store, behind the `MultipartUpload` of `object_store`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use lepton_core::{
    Attributes, Body, CompleteOptions, CreateUploadOptions, Error as OurError, PartReceipt, PartSpec,
    PutOptions as OurPutOptions, SharedStorage, Upload,
};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, PutPayload, PutResult, Result, UploadPart};

use super::convert::{STORE, key, outward, put_result};

/// An upload whose parts are numbered in the order in which they were given.
pub(super) struct PartUpload {
    storage: SharedStorage,
    location: Path,
    upload: Upload,
    /// The options for an object without parts, which is written with a put instead.
    empty: OurPutOptions,
    parts: u32,
    /// Offset of the next part in the object.
    at: u64,
    receipts: Arc<Mutex<Vec<PartReceipt>>>,
}

impl PartUpload {
    pub(super) async fn begin(
        storage: SharedStorage,
        location: Path,
        attributes: Attributes,
        class: Option<String>,
    ) -> Result<Self> {
        let Some(parts) = storage.multipart() else {
            return Err(Error::NotImplemented {
                operation: "an upload in parts".to_owned(),
                implementer: format!("{STORE}({})", storage.url()),
            });
        };
        let options = CreateUploadOptions::new().attributes(attributes.clone()).storage_class(class.clone());
        let created = async { parts.create(&key(&location)?, options).await }.await;
        let upload = created.map_err(|error| outward(error, &location))?;
        let empty = OurPutOptions::new().attributes(attributes).storage_class(class);
        Ok(Self { storage, location, upload, empty, parts: 0, at: 0, receipts: Arc::default() })
    }

    async fn give_up(&self) -> Result<()> {
        let named = |error| outward(error, &self.location);
        let parts = self.storage.multipart().ok_or_else(|| named(gone()))?;
        parts.abort(&self.upload).await.map_err(named)
    }
}

impl fmt::Debug for PartUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PartUpload")
            .field("location", &self.location)
            .field("parts", &self.parts)
            .finish_non_exhaustive()
    }
}

/// The error when the store no longer supports multipart uploads.
fn gone() -> OurError {
    OurError::unsupported("uploads in parts")
}

#[async_trait]
impl MultipartUpload for PartUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let body = Body::from_pieces(data);
        self.parts += 1;
        let part = PartSpec::new(self.parts, self.at..self.at + body.len());
        self.at += body.len();
        let (storage, upload, location) = (Arc::clone(&self.storage), self.upload.clone(), self.location.clone());
        let receipts = Arc::clone(&self.receipts);
        Box::pin(async move {
            let sent = match storage.multipart() {
                Some(parts) => parts.upload_part(&upload, part, body).await,
                None => Err(gone()),
            };
            let receipt = sent.map_err(|error| outward(error, &location))?;
            receipts.lock().unwrap_or_else(PoisonError::into_inner).push(receipt);
            Ok(())
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut receipts = self.receipts.lock().unwrap_or_else(PoisonError::into_inner).clone();
        receipts.sort_unstable_by_key(|receipt| receipt.number);
        let named = |error| outward(error, &self.location);
        if receipts.len() as u64 != u64::from(self.parts) {
            let message = format!("{} of {} parts were sent to their end", receipts.len(), self.parts);
            return Err(named(OurError::invalid_input(message)));
        }
        if receipts.is_empty() {
            let put = self.storage.put(&self.upload.key, Body::from_pieces([]), self.empty.clone()).await;
            // The put has succeeded or failed by now; the upload has no parts that could
            // remain.
            let _ = self.give_up().await;
            return put.map(put_result).map_err(named);
        }
        let parts = self.storage.multipart().ok_or_else(|| named(gone()))?;
        parts.complete(&self.upload, receipts, CompleteOptions::new()).await.map(put_result).map_err(named)
    }

    async fn abort(&mut self) -> Result<()> {
        self.give_up().await
    }
}
