//! Listing old versions.

use async_trait::async_trait;

use super::super::{ListRequest, ObjectVersion, VersionStream, Versions};
use super::MemoryStorage;
use super::objects::Object;
use crate::error::Result;

#[async_trait]
impl Versions for MemoryStorage {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let objects = self.objects();
        let wanted = objects.versions.iter().filter(|(key, _)| {
            let behind = request.start_after.as_ref().is_none_or(|after| key.as_bytes() > after.as_ref());
            behind && request.prefix.matches(key)
        });
        let all: Vec<ObjectVersion> = wanted.flat_map(|(_, versions)| of_key(versions)).collect();
        let pages: Vec<Result<Vec<ObjectVersion>>> = all.chunks(1000).map(|page| Ok(page.to_vec())).collect();
        Box::pin(futures_util::stream::iter(pages))
    }

    async fn enabled(&self) -> Result<bool> {
        Ok(self.shared.versioned)
    }
}

fn of_key(versions: &[Object]) -> impl Iterator<Item = ObjectVersion> + '_ {
    versions.iter().rev().enumerate().map(|(age, object)| {
        let mut version = ObjectVersion::new(object.meta.clone());
        version.is_latest = age == 0;
        version.is_delete_marker = object.deleted;
        version
    })
}
