//! The store itself: every call is implemented in the file named after it.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, KeyPrefix, PhysicalLocation, Result};

use super::client::Client;
use super::list::pages;
use crate::wire::storage::storage;

storage! {
    /// A bucket in an S3-compatible store.
    ///
    /// ```no_run
    /// use lepton_core::{ObjectKey, StorageExt};
    /// use lepton_providers::s3::{S3Config, S3Storage};
    /// # async fn example() -> lepton_core::Result<()> {
    /// let photos = S3Storage::new(S3Config::new("photos").region("eu-central-1"))?;
    /// let bytes = photos.read(&ObjectKey::new("2024/a.jpg")?, 10 << 20).await?;
    /// # Ok(())
    /// # }
    /// ```
    S3Storage of Client, pages
}

impl S3Storage {
    /// The client, while nobody else uses the store.
    pub(super) fn client_mut(&mut self) -> Result<&mut Client> {
        Arc::get_mut(&mut self.client).ok_or_else(|| Error::new(ErrorKind::Unexpected, "the store is in use already"))
    }
}

impl Client {
    /// Where the keys below a prefix are, to compare it with other places.
    fn location(&self, prefix: &KeyPrefix) -> PhysicalLocation {
        let location = PhysicalLocation::new(self.endpoint.domain(&self.target().region), prefix.as_bytes());
        // For Amazon's buckets, the domain identifies the bucket.
        if self.endpoint.is_aws() { location } else { location.bucket_name(format!("s3:{}", self.bucket)) }
    }

    /// Whether it can presign URLs.
    fn can_sign(&self) -> bool {
        true
    }
}
