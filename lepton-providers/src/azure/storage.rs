//! The store itself: every call is implemented in the file named after it.

use lepton_core::{KeyPrefix, PhysicalLocation};

use super::client::Client;
use super::list::pages;
use crate::wire::storage::storage;

storage! {
    /// A container in Azure Blob Storage.
    ///
    /// ```no_run
    /// use lepton_core::{ObjectKey, StorageExt};
    /// use lepton_providers::azure::{AzureConfig, AzureStorage};
    /// # async fn example() -> lepton_core::Result<()> {
    /// let photos = AzureStorage::new(AzureConfig::new("photos").account("lepton"))?;
    /// let bytes = photos.read(&ObjectKey::new("2024/a.jpg")?, 10 << 20).await?;
    /// # Ok(())
    /// # }
    /// ```
    AzureStorage of Client, pages
}

impl Client {
    /// Where the keys below a prefix are, to compare it with other places.
    fn location(&self, prefix: &KeyPrefix) -> PhysicalLocation {
        PhysicalLocation::new(self.endpoint.domain(&self.container), prefix.as_bytes())
    }

    /// Whether it can presign URLs.
    fn can_sign(&self) -> bool {
        true
    }
}
