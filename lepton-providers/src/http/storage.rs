//! The store itself: every read is implemented in the file named after it, and every
//! write is refused.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::{
    Body, Capabilities, DeleteRequest, DeleteResults, Error, GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest,
    Multipart, ObjectInfo, ObjectKey, PageStream, PhysicalLocation, PutOptions, PutReceipt, Result, ServerCopy, Signer,
    Storage, Versions,
};

use super::client::Client;
use super::list;

/// A folder on a web server.
///
/// ```no_run
/// use lepton_core::{ObjectKey, StorageExt};
/// use lepton_providers::http::{HttpConfig, HttpStorage};
/// # async fn example() -> lepton_core::Result<()> {
/// let data = HttpStorage::new(HttpConfig::new("https://example.org/data/"))?;
/// let bytes = data.read(&ObjectKey::new("2024/a.csv")?, 10 << 20).await?;
/// # Ok(())
/// # }
/// ```
pub struct HttpStorage {
    client: Arc<Client>,
    url: String,
}

impl HttpStorage {
    pub(super) fn of(client: Client, url: String) -> Self {
        Self { client: Arc::new(client), url }
    }
}

impl fmt::Debug for HttpStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpStorage").field("url", &self.url).finish_non_exhaustive()
    }
}

fn only_read(operation: &'static str, key: &ObjectKey) -> Error {
    Error::unsupported("a web server can only be read from").with_operation(operation).with_context("key", key)
}

#[async_trait]
impl Storage for HttpStorage {
    fn capabilities(&self) -> &Capabilities {
        &self.client.capabilities
    }

    fn url(&self) -> &str {
        &self.url
    }

    /// No other store can copy from a web server by itself.
    fn copy_url(&self) -> Option<&str> {
        None
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        Ok(PhysicalLocation::new(self.url(), prefix.as_bytes()))
    }

    fn list(&self, request: ListRequest) -> PageStream {
        if request.delimiter.is_some_and(|delimiter| delimiter != b'/') {
            let error = Error::unsupported("names on a web server are separated by `/` only").with_operation("list");
            return stream::once(async move { Err(error) }).boxed();
        }
        list::pages(Arc::clone(&self.client), &request)
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.client.head(key, &options).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.client.get(key, options).await
    }

    async fn put(&self, key: &ObjectKey, _body: Body, _options: PutOptions) -> Result<PutReceipt> {
        Err(only_read("put", key))
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        Ok(requests.iter().map(|request| Err(only_read("delete", &request.key))).collect())
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        None
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        None
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        None
    }
}
