//! Uploads in parts, which can be taken up by another process.

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

/// The store's name for an upload: opaque. Not a secret: it is of no use without
/// credentials.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UploadId(String);

impl UploadId {
    /// Takes the id as the store gave it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The id as the store gave it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An upload in progress: everything another process needs to go on with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Upload {
    /// The key that the object will have.
    pub key: ObjectKey,
    /// The store's name for the upload.
    pub id: UploadId,
}

impl Upload {
    /// The upload of this id to this key.
    pub fn new(key: ObjectKey, id: UploadId) -> Self {
        Self { key, id }
    }
}

/// Where a part stands in its object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartSpec {
    /// Its number, from 1.
    pub number: u32,
    /// Its bytes in the object.
    pub range: Range<u64>,
}

impl PartSpec {
    /// Part `number` with these bytes of the object.
    pub fn new(number: u32, range: Range<u64>) -> Self {
        Self { number, range }
    }

    /// Its length in bytes.
    pub fn len(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.range.is_empty()
    }
}

/// How to begin an upload.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CreateUploadOptions {
    /// What to attach to the object.
    pub attributes: Attributes,
    /// In which storage class.
    pub storage_class: Option<String>,
    /// How many bytes the object will have, so that a disk can set them aside.
    pub size: Option<u64>,
    /// Whether the store will copy parts into it by itself
    /// ([`ServerCopy::copy_part`](crate::ServerCopy::copy_part)): some stores refuse that
    /// for an upload whose parts are to carry checksums.
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

    /// Of this many bytes.
    #[must_use]
    pub fn size(mut self, bytes: u64) -> Self {
        self.size = Some(bytes);
        self
    }

    /// Of parts that the store copies by itself.
    #[must_use]
    pub fn copied(mut self, copied: bool) -> Self {
        self.copied = copied;
        self
    }
}

/// What a store says of a part that it took; needed to complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PartReceipt {
    /// The part's number.
    pub number: u32,
    /// Its length in bytes.
    pub size: u64,
    /// Its tag.
    pub etag: ETag,
    /// A checksum that the store keeps of it.
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

/// A part as the store lists it: what the store already holds.
pub type PartInfo = PartReceipt;

/// How to complete an upload.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompleteOptions {
    /// Under which condition.
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
    /// When it was begun, by the store's clock.
    pub initiated: Option<SystemTime>,
    /// Who began it, in the store's words.
    pub initiator: Option<String>,
}

impl UploadInfo {
    /// An upload of which nothing else is known.
    pub fn new(upload: Upload) -> Self {
        Self { upload, initiated: None, initiator: None }
    }
}

/// Uploads in parts.
///
/// Parts may be sent in any order and at the same time; sending a number again
/// replaces that part. An upload lives until it is completed or aborted, also
/// when every process that knew it is gone.
#[async_trait]
pub trait Multipart: Send + Sync {
    /// Begins an upload. A lost reply leaves an upload that only
    /// [`list_uploads`](Self::list_uploads) can find: effect `Unknown`.
    ///
    /// # Errors
    /// As [`Storage::put`](super::Storage::put).
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload>;

    /// Sends a part. Idempotent: after a lost reply, send it again.
    ///
    /// On a local disk the part is durable when this returns.
    ///
    /// # Errors
    /// `upload_not_found`; `checksum_mismatch`; `too_large`; what the body gives.
    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt>;

    /// The parts that the store holds, ascending.
    ///
    /// # Errors
    /// `upload_not_found`.
    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>>;

    /// Makes the object of these parts, which ascend. It becomes visible whole or
    /// not at all.
    ///
    /// # Errors
    /// `upload_not_found`, also where an earlier complete succeeded and its reply
    /// was lost: look at the object. `already_exists`, `precondition_failed`.
    /// `invalid_input` if there are no parts, or the store does not hold one of
    /// them with that tag.
    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt>;

    /// Gives an upload up and frees its parts. One that is not there counts as
    /// aborted.
    ///
    /// # Errors
    /// What the network gives.
    async fn abort(&self, upload: &Upload) -> Result<()>;

    /// The uploads of exactly this key that are neither completed nor aborted.
    ///
    /// # Errors
    /// What the network gives.
    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>>;
}
