//! Server-side copies: copies that a store makes by itself.

use async_trait::async_trait;

use super::multipart::{PartReceipt, PartSpec, Upload};
use super::options::PutReceipt;
use crate::error::Result;
use crate::key::ObjectKey;
use crate::object::{Attributes, ETag, Precondition, VersionId};

/// The object to copy from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopySource {
    /// The URL of the store that holds it ([`Storage::copy_url`](super::Storage::copy_url)).
    pub store: String,
    /// Its key.
    pub key: ObjectKey,
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// Only if the object has this tag.
    pub if_match: Option<ETag>,
}

impl CopySource {
    /// This version.
    #[must_use]
    pub fn version(mut self, version: Option<VersionId>) -> Self {
        self.version = version;
        self
    }

    /// Only if the object has this tag.
    #[must_use]
    pub fn if_match(mut self, etag: Option<ETag>) -> Self {
        self.if_match = etag;
        self
    }
}

/// Options of a copy.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CopyOptions {
    /// The attributes of the copy; `None` keeps the source's.
    pub attributes: Option<Attributes>,
    /// The condition on the destination.
    pub precondition: Precondition,
    /// The storage class of the copy.
    pub storage_class: Option<String>,
}

impl CopyOptions {
    /// Keeps the source's attributes.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these attributes instead of the source's.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = Some(attributes);
        self
    }

    /// Under this condition.
    #[must_use]
    pub fn precondition(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }
}

/// Copies that do not pass through the caller.
#[async_trait]
pub trait ServerCopy: Send + Sync {
    /// Whether this store can read by itself, with a single credential, from the store
    /// with this [`copy_url`](super::Storage::copy_url).
    fn reaches(&self, source_url: &str) -> bool;

    /// The size of the largest object that [`copy`](Self::copy) accepts, in bytes; larger
    /// objects are copied part by part.
    fn largest(&self) -> u64;

    /// Whether a copy of this object to `key` costs less than reading and writing it,
    /// for a caller that reads it once in any case. Leaves nothing written.
    ///
    /// A copy on a server always saves the caller's network. On a disk of this machine, the
    /// answer depends on the file and the file system.
    ///
    /// # Errors
    /// As [`copy`](Self::copy); after an error the caller may just as well try the copy.
    async fn is_cheaper(&self, source: &CopySource, key: &ObjectKey) -> Result<bool>;

    /// Copies an object. It becomes visible whole or not at all.
    ///
    /// # Errors
    /// `not_found`, `precondition_failed`, `already_exists`, `too_large`.
    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt>;

    /// Copies the bytes of the part's range from the source into a part of an upload.
    ///
    /// # Errors
    /// As [`Multipart::upload_part`](super::Multipart::upload_part).
    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt>;
}
