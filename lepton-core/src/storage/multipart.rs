//! Multipart uploads, which another process can resume.

use std::fmt;
use std::ops::Range;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use serde::{Deserialize, Serialize};

use super::options::PutReceipt;
use crate::body::Body;
use crate::checksum::StoredChecksum;
use crate::error::Result;
use crate::key::ObjectKey;
use crate::object::{Attributes, ETag, Precondition};

/// The store's opaque id of an upload. It is not a secret: it is useless without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(String);

impl UploadId {
    /// Wraps the id exactly as the store returned it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id exactly as the store returned it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An upload in progress, with everything that another process needs to resume it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Upload {
    /// The key that the object will have.
    pub key: ObjectKey,
    /// The store's id of the upload.
    pub id: UploadId,
}

impl Upload {
    /// The upload with this id to this key.
    pub fn new(key: ObjectKey, id: UploadId) -> Self {
        Self { key, id }
    }
}

/// The position of a part in its object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartSpec {
    /// Its number, from 1.
    pub number: u32,
    /// Its range in the object.
    pub range: Range<u64>,
}

impl PartSpec {
    /// Part `number` with this range of the object.
    pub fn new(number: u32, range: Range<u64>) -> Self {
        Self { number, range }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.range.end.saturating_sub(self.range.start)
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

/// Options to create an upload.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CreateUploadOptions {
    /// The attributes to attach to the object.
    pub attributes: Attributes,
    /// The storage class of the object.
    pub storage_class: Option<String>,
    /// The size of the object in bytes, so that a local disk can reserve the space.
    pub size: Option<u64>,
    /// Whether the store will copy parts into the upload by itself
    /// ([`ServerCopy::copy_part`](crate::ServerCopy::copy_part)). Some stores refuse this
    /// for an upload whose parts must carry checksums.
    pub copied: bool,
}

impl CreateUploadOptions {
    /// No attributes, size unknown.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// In this storage class.
    #[must_use]
    pub fn storage_class(mut self, class: Option<String>) -> Self {
        self.storage_class = class;
        self
    }

    /// With this size in bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// With parts that the store copies by itself.
    #[must_use]
    pub fn copied(mut self, copied: bool) -> Self {
        self.copied = copied;
        self
    }
}

/// The receipt of a store for a part; needed to complete the upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartReceipt {
    /// The part's number.
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// Its tag.
    pub etag: ETag,
    /// A checksum of the part that the store keeps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checksum: Option<StoredChecksum>,
}

impl PartReceipt {
    /// The receipt of a part.
    pub fn new(number: u32, size: u64, etag: ETag) -> Self {
        Self { number, size, etag, checksum: None }
    }

    /// With a checksum that the store keeps.
    #[must_use]
    pub fn checksum(mut self, checksum: Option<StoredChecksum>) -> Self {
        self.checksum = checksum;
        self
    }
}

/// A part that the store already holds, as the store lists it.
pub type PartInfo = PartReceipt;

/// Options to complete an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompleteOptions {
    /// The condition of the write.
    pub precondition: Precondition,
}

impl CompleteOptions {
    /// Under no condition.
    pub fn new() -> Self {
        Self::default()
    }

    /// Under this condition.
    #[must_use]
    pub fn precondition(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }
}

/// An upload as the store lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadInfo {
    /// The upload.
    pub upload: Upload,
    /// When it was created, by the store's clock.
    pub initiated: Option<SystemTime>,
    /// Who created it, as the store names them.
    pub initiator: Option<String>,
}

impl UploadInfo {
    /// An upload with no other details known.
    pub fn new(upload: Upload) -> Self {
        Self { upload, initiated: None, initiator: None }
    }
}

/// Multipart uploads.
///
/// Parts may be sent in any order and concurrently; sending a number again replaces
/// that part. An upload exists until it is completed or aborted, even if every process
/// that knew it is gone.
#[async_trait]
pub trait Multipart: Send + Sync {
    /// Creates an upload. If the reply is lost, the effect is `Unknown`: the upload may
    /// exist, and only [`list_uploads`](Self::list_uploads) can find it.
    ///
    /// # Errors
    /// As [`Storage::put`](super::Storage::put).
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload>;

    /// Sends a part. Idempotent: after a lost reply, send it again.
    ///
    /// On a local disk the part is durable when this returns.
    ///
    /// # Errors
    /// `upload_not_found`; `checksum_mismatch`; `too_large`; the error of the body.
    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt>;

    /// Lists the parts that the store holds, in ascending order.
    ///
    /// # Errors
    /// `upload_not_found`.
    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>>;

    /// Makes the object from these parts, which must ascend. It becomes visible whole or
    /// not at all.
    ///
    /// # Errors
    /// `upload_not_found`, also if an earlier complete succeeded and its reply was lost:
    /// look at the object. `already_exists`, `precondition_failed`. `invalid_input` if
    /// there are no parts, or the store does not hold one of them with that tag.
    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt>;

    /// Aborts an upload and frees its parts. An upload that does not exist counts as
    /// aborted.
    ///
    /// # Errors
    /// Errors of the network.
    async fn abort(&self, upload: &Upload) -> Result<()>;

    /// Lists the uploads of exactly this key that are neither completed nor aborted.
    ///
    /// # Errors
    /// Errors of the network.
    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>>;
}
