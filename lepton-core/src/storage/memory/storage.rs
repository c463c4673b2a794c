//! The operations of a memory store.

use std::time::SystemTime;

use async_trait::async_trait;

use super::bucket::{Bucket, Object, matches};
use super::content::Content;
use super::list;
use super::multipart::named;
use super::rules::{cut_off, demand};
use super::store::MemoryStorage;
use crate::body::Body;
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::key::{KeyPrefix, ObjectKey};
use crate::storage::{
    DeleteRequest, DeleteResults, GetOptions, GetReply, HeadOptions, ListRequest, Multipart, ObjectInfo, PageStream,
    PhysicalLocation, PutOptions, PutReceipt, ServerCopy, Signer, Storage, VersionStream, Versions,
};

impl MemoryStorage {
    /// Deletes one object; if versions are kept, adds a delete marker instead.
    fn hide(&self, bucket: &mut Bucket, request: &DeleteRequest, now: SystemTime) -> Result<()> {
        let (key, version) = (&request.key, request.version.as_ref());
        self.check_version(version)?;
        demand(self.shared.capabilities.conditional_delete, request.if_match.is_some(), "a condition on a delete")?;
        let found = bucket.find(key, version).ok().map(|(_, object)| &object.etag);
        if let (Some(wanted), Some(_)) = (&request.if_match, found) {
            matches(wanted, found)?;
        }
        match (self.versioned(), version) {
            // As in S3, a marker is added even if the newest version is one already.
            (true, None) if bucket.objects.contains_key(key) => {
                bucket.commit(key, None, now, true);
            }
            (true, None) => {}
            _ => bucket.erase(key, version),
        }
        Ok(())
    }
}

#[async_trait]
impl Storage for MemoryStorage {
    fn capabilities(&self) -> &Capabilities {
        &self.shared.capabilities
    }

    fn url(&self) -> &str {
        &self.shared.url
    }

    fn copy_url(&self) -> Option<&str> {
        Some(self.url())
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        Ok(PhysicalLocation::new(self.url(), prefix.as_bytes()))
    }

    fn list(&self, request: ListRequest) -> PageStream {
        list::objects(self, request)
    }

    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        let name = named("head", key);
        self.check_version(options.version.as_ref()).map_err(name)?;
        self.locked(|bucket| {
            let (version, object) = bucket.find(key, options.version.as_ref())?;
            Ok(object.info(version.meta(key, self.versioned()), options.tags))
        })
        .map_err(name)
    }

    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        let name = named("get", key);
        self.check_version(options.version.as_ref()).map_err(name)?;
        demand(self.shared.capabilities.range_get, options.range.is_some(), "a range").map_err(name)?;
        demand(self.shared.capabilities.conditional_get, options.if_match.is_some(), "a condition on a get")
            .map_err(name)?;
        self.locked(|bucket| {
            let (version, object) = bucket.find(key, options.version.as_ref())?;
            if let Some(wanted) = &options.if_match {
                matches(wanted, Some(&object.etag))?;
            }
            let range = cut_off(options.range, object.content.len())?;
            let info = object.info(version.meta(key, self.versioned()), false);
            Ok(GetReply::new(info, range.clone(), object.content.stream(&range)))
        })
        .map_err(name)
    }

    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        let name = named("put", key);
        self.check_write(key, &options.attributes, options.storage_class.as_deref()).map_err(name)?;
        self.check_condition(&options.precondition, false).map_err(name)?;
        self.check_size(body.len()).map_err(name)?;
        let content = Content::read(&body).await.map_err(name)?;
        let etag = content.etag();
        let PutOptions { attributes, precondition, storage_class } = options;
        self.store(key, Object { content, etag, attributes, storage_class }, &precondition).map_err(name)
    }

    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        let now = self.shared.env.now();
        Ok(self.locked(|bucket| {
            let results =
                requests.iter().map(|request| self.hide(bucket, request, now).map_err(named("delete", &request.key)));
            results.collect()
        }))
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        self.shared.capabilities.multipart.is_some().then_some(self)
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        self.shared.capabilities.server_copy.is_available().then_some(self)
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        self.versioned().then_some(self)
    }
}

#[async_trait]
impl Versions for MemoryStorage {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        list::versions(self, request)
    }

    async fn enabled(&self) -> Result<bool> {
        Ok(self.versioned())
    }
}
