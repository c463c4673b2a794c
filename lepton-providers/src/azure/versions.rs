//! Old versions.

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lepton_core::{Error, ListRequest, ObjectVersion, Result, VersionId, VersionStream, Versions};

use super::client::Client;
use super::list::{Marker, entries, is_folder, next, object};
use super::storage::AzureStorage;
use crate::wire::xml::Element;

#[async_trait]
impl Versions for AzureStorage {
    fn list_versions(&self, request: ListRequest) -> VersionStream {
        let pages = Pages { client: Arc::clone(&self.client), request, marker: Some(Marker::new()), held: Vec::new() };
        stream::try_unfold(pages, |mut pages| async move { Ok(pages.next().await?.map(|versions| (versions, pages))) })
            .boxed()
    }

    /// Whether versions are kept is a setting of the account, which no request here can
    /// query.
    async fn enabled(&self) -> Result<bool> {
        let message = "whether the account keeps versions cannot be queried with a container's permissions";
        Err(Error::unsupported(message).with_operation("versioning"))
    }
}

/// The pages of versions. The service lists the versions of one blob oldest first, so
/// they are held until all have arrived.
struct Pages {
    client: Arc<Client>,
    request: ListRequest,
    /// `None` at the end.
    marker: Option<Marker>,
    held: Vec<ObjectVersion>,
}

impl Pages {
    async fn next(&mut self) -> Result<Option<Vec<ObjectVersion>>> {
        while let Some(marker) = self.marker.take() {
            let (listed, next) =
                self.client.page(&self.request, &marker, Some("versions"), "list_versions", parse).await?;
            self.marker = next;
            self.held.extend(listed);
            let last = self.held.last().map(|version| version.meta.key.clone());
            let whole = match (&self.marker, last) {
                (Some(_), Some(last)) => self.held.iter().take_while(|version| version.meta.key != last).count(),
                _ => self.held.len(),
            };
            let mut page: Vec<ObjectVersion> = self.held.drain(..whole).collect();
            if let Some(after) = &self.request.start_after {
                page.retain(|version| version.meta.key.as_bytes() > &after[..]);
            }
            if !page.is_empty() {
                page.chunk_by_mut(|a, b| a.meta.key == b.meta.key).for_each(<[ObjectVersion]>::reverse);
                return Ok(Some(page));
            }
        }
        Ok(None)
    }
}

pub(super) fn parse(document: &[u8]) -> Result<(Vec<ObjectVersion>, Option<Marker>)> {
    let root = Element::parse(document)?;
    let mut versions = Vec::new();
    for blob in entries(&root)?.filter(|entry| entry.name() == b"Blob" && !is_folder(entry)) {
        let mut version = ObjectVersion::new(object(blob)?);
        version.meta.version = blob.text("VersionId").map(VersionId::new);
        version.is_latest = blob.text("IsCurrentVersion") == Some("true");
        versions.push(version);
    }
    Ok((versions, next(&root)))
}
