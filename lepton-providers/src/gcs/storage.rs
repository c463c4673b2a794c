//! The store itself: every call is implemented in the file named after it.

use lepton_core::{KeyPrefix, PhysicalLocation};

use super::client::Client;
use super::list::pages;
use crate::wire::address::is_google_host;
use crate::wire::storage::storage;

storage! {
    /// A bucket in Google Cloud Storage.
    ///
    /// ```no_run
    /// use lepton_core::{ObjectKey, StorageExt};
    /// use lepton_providers::gcs::{GcsConfig, GcsStorage};
    /// # async fn example() -> lepton_core::Result<()> {
    /// let photos = GcsStorage::new(GcsConfig::new("photos"))?;
    /// let bytes = photos.read(&ObjectKey::new("2024/a.jpg")?, 10 << 20).await?;
    /// # Ok(())
    /// # }
    /// ```
    GcsStorage of Client, pages
}

impl Client {
    /// Where the keys below a prefix are, to compare it with other places.
    fn location(&self, prefix: &KeyPrefix) -> PhysicalLocation {
        let domain = match is_google_host(self.address.authority.host()) {
            true => format!("gs/{}", self.bucket),
            false => format!("{}/{}", self.address.canonical(), self.bucket),
        };
        PhysicalLocation::new(domain, prefix.as_bytes())
    }

    /// Whether it can presign URLs.
    fn can_sign(&self) -> bool {
        self.auth.account.is_some()
    }
}
