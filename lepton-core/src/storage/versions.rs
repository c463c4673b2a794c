//! Old versions of objects, and signed URLs.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::options::ListRequest;
use crate::error::Result;
use crate::key::ObjectKey;
use crate::object::ObjectMeta;

/// One version of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectVersion {
    /// The object; its version is set. A delete marker has size zero.
    pub meta: ObjectMeta,
    /// Whether it is the newest.
    pub is_latest: bool,
    /// Whether it marks the object as deleted.
    pub is_delete_marker: bool,
}

impl ObjectVersion {
    /// An old version that is not a delete marker.
    pub fn new(meta: ObjectMeta) -> Self {
        Self { meta, is_latest: false, is_delete_marker: false }
    }
}

/// Pages of versions.
pub type VersionStream = BoxStream<'static, Result<Vec<ObjectVersion>>>;

/// Old versions of objects.
#[async_trait]
pub trait Versions: Send + Sync {
    /// Lists all versions: keys ascending, the newest version of a key first.
    ///
    /// # Errors
    /// As [`Storage::list`](super::Storage::list); `unsupported` if the bucket keeps no
    /// versions and the store refuses the request.
    fn list_versions(&self, request: ListRequest) -> VersionStream;

    /// Whether new writes currently create versions.
    ///
    /// # Errors
    /// Errors of the network.
    async fn enabled(&self) -> Result<bool>;
}

/// The operation that a signed URL permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Method {
    /// Reading the object.
    Get,
    /// Writing the object.
    Put,
    /// Describing the object.
    Head,
    /// Deleting the object.
    Delete,
}

/// A URL that carries its own permission. It is a secret, so `Debug` does not print it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedUrl(String);

impl SignedUrl {
    /// Wraps the URL.
    pub fn new(url: impl Into<String>) -> Self {
        Self(url.into())
    }

    /// The URL itself. Anyone who has it has the permission.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SignedUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SignedUrl(…)")
    }
}

/// URLs that carry their own permission.
#[async_trait]
pub trait Signer: Send + Sync {
    /// Signs a URL that permits `method` on `key` for `valid_for`.
    ///
    /// # Errors
    /// `invalid_input` if `valid_for` is longer than the store allows;
    /// `unauthenticated` if there are no credentials to sign with.
    async fn sign(&self, method: Method, key: &ObjectKey, valid_for: Duration) -> Result<SignedUrl>;
}
