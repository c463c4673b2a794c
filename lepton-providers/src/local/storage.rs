//! The store itself: every call is implemented in the file named after it.

use async_trait::async_trait;
use lepton_core::{
    Body, Capabilities, DeleteRequest, DeleteResults, GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest,
    Multipart, ObjectInfo, ObjectKey, PageStream, PhysicalLocation, PutOptions, PutReceipt, Result, ServerCopy, Signer,
    Storage, Versions,
};

use super::disk::LocalStorage;
use super::{delete, list, read, write};

#[async_trait]
impl Storage for LocalStorage {
    fn capabilities(&self) -> &Capabilities {
        &self.disk.capabilities
    }

    fn url(&self) -> &str {
        &self.disk.url
    }

    fn copy_url(&self) -> Option<&str> {
        Some(self.url())
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        let folder = prefix.clone();
        self.run("open", None, move |disk| disk.physical_location(&folder)).await
    }

    fn list(&self, request: ListRequest) -> PageStream {
        list::pages(self.clone(), request)
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let wanted = key.clone();
        self.run("head", Some(key), move |disk| read::head(disk, wanted, &options)).await
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        read::get(self, key, options).await
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        write::put(self, key, body, options).await
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        self.run("delete", None, move |disk| delete::delete(disk, &requests)).await.map(Into::into)
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        Some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        Some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        None
    }
}
