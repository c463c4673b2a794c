//! Generations that were replaced or deleted.

use std::sync::Arc;
use std::time::SystemTime;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use http::Method;
use lepton_core::{ListRequest, ObjectMeta, ObjectVersion, Result, VersionId, VersionStream, Versions};
use serde::Deserialize;

use super::client::{Client, Request, Target};
use super::list::is_requested;
use super::storage::GcsStorage;
use crate::wire::encode::Query;

#[async_trait]
impl Versions for GcsStorage {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let pages = Pages { client: Arc::clone(&self.client), request, token: Some(None), held: Vec::new() };
        stream::try_unfold(pages, |mut pages| async move { Ok(pages.next().await?.map(|versions| (versions, pages))) })
            .boxed()
    }

    async fn enabled(&self) -> Result<bool> {
        #[derive(Deserialize)]
        struct Bucket {
            versioning: Option<Versioning>,
        }
        #[derive(Deserialize)]
        struct Versioning {
            #[serde(default)]
            enabled: bool,
        }
        let path = self.client.bucket_path();
        let request = Request::new("versioning", Method::GET, None)
            .target(Target::path(path))
            .query(Query::new().with("fields", "versioning"));
        let bucket: Bucket = self.client.send_for_json(request).await?;
        Ok(bucket.versioning.is_some_and(|versioning| versioning.enabled))
    }
}

/// The pages of versions. The service lists the versions of one object in an order of its
/// own, so they are held until all have arrived.
struct Pages {
    client: Arc<Client>,
    request: ListRequest,
    /// `None` at the end.
    token: Option<Option<String>>,
    held: Vec<Generation>,
}

/// A generation of an object, and the time during which it was current.
struct Generation {
    meta: ObjectMeta,
    number: u64,
    made: Option<SystemTime>,
    gone: Option<SystemTime>,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Vec<ObjectVersion>>> {
        while let Some(token) = self.token.take() {
            let page = self.client.page(&self.request, token, true, "list_versions").await?;
            self.token = page.next_page_token.map(Some);
            for resource in &page.items {
                let meta = self.client.listed(resource, "list_versions")?;
                if is_requested(&self.request, meta.key.as_bytes()) {
                    let (made, gone) = resource.life();
                    let number = resource.generation.parse().unwrap_or_default();
                    self.held.push(Generation { meta, number, made, gone });
                }
            }
            let last = self.held.last().map(|held| held.meta.key.clone());
            let whole = match (&self.token, last) {
                (Some(_), Some(last)) => self.held.iter().take_while(|held| held.meta.key != last).count(),
                _ => self.held.len(),
            };
            let mut whole: Vec<Generation> = self.held.drain(..whole).collect();
            if !whole.is_empty() {
                let histories = whole.chunk_by_mut(|a, b| a.meta.key == b.meta.key);
                return Ok(Some(histories.flat_map(history).collect()));
            }
        }
        Ok(None)
    }
}

/// The suffix of a delete marker's id, after the generation before it.
const MARKER: &str = "-deleted";

/// The generation before a delete marker, if this is the id of one.
pub(super) fn deleted_after(version: &VersionId) -> Option<&str> {
    version.as_str().strip_suffix(MARKER)
}

/// The versions of one object, newest first. The service keeps no delete markers, only
/// the time when each generation ended: a generation that ended before the next began was
/// deleted.
fn history(generations: &mut [Generation]) -> Vec<ObjectVersion> {
    generations.sort_by_key(|generation| std::cmp::Reverse(generation.number));
    let (mut versions, mut next): (Vec<ObjectVersion>, Option<&Generation>) = (Vec::new(), None);
    for generation in generations.iter() {
        let deleted = match (generation.gone, next) {
            (Some(gone), Some(next)) => next.made.is_some_and(|made| gone < made),
            (gone, None) => gone.is_some(),
            (None, Some(_)) => false,
        };
        if deleted {
            let mut meta = ObjectMeta::new(generation.meta.key.clone(), 0);
            meta.version = Some(VersionId::new(format!("{}{MARKER}", generation.number)));
            meta.last_modified = generation.gone;
            let mut marker = ObjectVersion::new(meta);
            (marker.is_delete_marker, marker.is_latest) = (true, next.is_none());
            versions.push(marker);
        }
        let mut version = ObjectVersion::new(generation.meta.clone());
        version.is_latest = generation.gone.is_none();
        versions.push(version);
        next = Some(generation);
    }
    versions
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use lepton_core::ObjectKey;

    use super::*;

    fn generation(number: u64, made: u64, gone: Option<u64>) -> Generation {
        let time = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        let mut meta = ObjectMeta::new(ObjectKey::try_from("a").unwrap(), 1);
        meta.version = Some(VersionId::new(number.to_string()));
        Generation { meta, number, made: Some(time(made)), gone: gone.map(time) }
    }

    #[test]
    fn a_deleted_object_has_a_marker() {
        let mut generations =
            [generation(10, 10, Some(20)), generation(40, 40, Some(50)), generation(20, 20, Some(30))];
        let versions = history(&mut generations);
        let ids: Vec<&str> = versions.iter().map(|v| v.meta.version.as_ref().unwrap().as_str()).collect();
        assert_eq!(ids, ["40-deleted", "40", "20-deleted", "20", "10"]);
        assert!(versions[0].is_latest && versions[0].is_delete_marker && versions[0].meta.size == 0);
        assert!(versions.iter().skip(1).all(|version| !version.is_latest));
        assert_eq!(deleted_after(versions[2].meta.version.as_ref().unwrap()), Some("20"));
        let live = history(&mut [generation(1, 1, Some(2)), generation(2, 2, None)]);
        assert_eq!(
            live.iter().map(|v| (v.is_latest, v.is_delete_marker)).collect::<Vec<_>>(),
            [(true, false), (false, false)]
        );
    }
}
