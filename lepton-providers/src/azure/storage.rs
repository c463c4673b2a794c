//! The store itself: every call is implemented in the file named after it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::{
    Body, Capabilities, DeleteRequest, GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest, Multipart,
    ObjectInfo, ObjectKey, PageStream, PhysicalLocation, PutOptions, PutReceipt, Result, ServerCopy, Signer, Storage,
    Versions,
};

use super::client::Client;
use super::list;

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
pub struct AzureStorage {
    pub(super) client: Arc<Client>,
    url: String,
}

impl AzureStorage {
    pub(super) fn of(client: Client, url: String) -> Self {
        Self { client: Arc::new(client), url }
    }
}

impl fmt::Debug for AzureStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureStorage").field("url", &self.url).finish_non_exhaustive()
    }
}

#[async_trait]
impl Storage for AzureStorage {
    fn capabilities(&self) -> &Capabilities {
        &self.client.capabilities
    }

    fn url(&self) -> &str {
        &self.url
    }

    fn copy_url(&self) -> Option<&str> {
        Some(self.url())
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        let domain = self.client.endpoint.domain(&self.client.container);
        Ok(PhysicalLocation::new(domain, prefix.as_bytes()))
    }

    fn list(&self, request: ListRequest) -> PageStream {
        list::pages(Arc::clone(&self.client), request)
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.client.head(key, options).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.client.get(key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        self.client.put(key, body, options).await
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        self.client.delete(requests).await
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        self.client.capabilities.multipart.is_some().then_some(self as &dyn Multipart)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.client.capabilities.server_copy.is_available().then_some(self as &dyn ServerCopy)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        Some(self)
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.client.capabilities.versions.is_available().then_some(self as &dyn Versions)
    }
}
