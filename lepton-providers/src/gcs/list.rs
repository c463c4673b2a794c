//! Listings, byte for byte.

use std::sync::Arc;

use http::Method;
use lepton_core::{KeyPrefix, ListPage, ListRequest, ObjectMeta, PageStream, Result};
use serde::Deserialize;

use super::client::{Client, Request, Target};
use super::resource::{ATTACHED, FIELDS, Resource};
use crate::wire;
use crate::wire::attributes::unless_large;
use crate::wire::encode::Query;
use crate::wire::request::malformed;

/// The maximum page size of the service.
const PAGE: usize = 1000;

/// A page as JSON.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    #[serde(default)]
    pub(super) items: Vec<Resource>,
    #[serde(default)]
    prefixes: Vec<String>,
    pub(super) next_page_token: Option<String>,
}

/// The pages of a listing.
pub(super) fn pages(client: Arc<Client>, request: ListRequest) -> PageStream {
    let page =
        |(client, request): (Arc<Client>, ListRequest), place| async move { client.list_page(&request, place).await };
    wire::pages::pages((client, request), None, page)
}

impl Client {
    async fn list_page(
        &self,
        request: &ListRequest,
        token: Option<String>,
    ) -> Result<(ListPage, Option<Option<String>>)> {
        let page = self.page(request, token, false, "list").await?;
        let mut listed = ListPage::default();
        for resource in &page.items {
            let mut meta = self.listed(resource, "list")?;
            if is_requested(request, meta.key.as_bytes()) {
                meta.attributes = request.attributes.then(|| unless_large(resource.attributes())).flatten();
                listed.objects.push(meta);
            }
        }
        let folders = page.prefixes.into_iter().map(String::into_bytes).filter(|folder| {
            // A key below the prefix may come after the start of the listing.
            let around = request.start_after.as_ref().is_some_and(|after| after.starts_with(folder));
            around && folder.starts_with(request.prefix.as_bytes()) || is_requested(request, folder)
        });
        listed.prefixes = folders.map(KeyPrefix::new).collect();
        Ok((listed, page.next_page_token.map(Some)))
    }

    /// The metadata of an object on a page.
    pub(super) fn listed(&self, resource: &Resource, operation: &'static str) -> Result<ObjectMeta> {
        let named = |why| malformed(why).with_operation(operation).with_context("bucket", &self.bucket);
        resource.meta().map_err(named)
    }

    /// One page, and the position where the next one begins.
    pub(super) async fn page(
        &self,
        request: &ListRequest,
        token: Option<String>,
        versions: bool,
        operation: &'static str,
    ) -> Result<Page> {
        let attached = if request.attributes { ATTACHED } else { "" };
        let mut query = Query::new().with("fields", format!("items({FIELDS}{attached}),prefixes,nextPageToken"));
        if !request.prefix.is_empty() {
            query.push("prefix", text_of(request.prefix.as_bytes()));
        }
        if let Some(after) = &request.start_after {
            query.push("startOffset", text_of(after));
        }
        if let Some(delimiter) = request.delimiter {
            query.push("delimiter", [delimiter]);
        }
        if let Some(size) = request.page_size {
            query.push("maxResults", size.clamp(1, PAGE).to_string());
        }
        if versions {
            query.push("versions", "true");
        }
        if let Some(token) = &token {
            query.push("pageToken", token);
        }
        let page: Page = self
            .send_for_json(Request::new(operation, Method::GET, None).target(Target::path(self.objects())).query(query))
            .await?;
        if page.next_page_token.is_some() && page.next_page_token == token {
            let error = malformed("a page continues where it began").with_operation(operation);
            return Err(error.with_context("bucket", &self.bucket));
        }
        Ok(page)
    }
}

/// The longest prefix that is UTF-8. Keys are UTF-8 here, and the service accepts nothing
/// else; additional results are filtered out.
fn text_of(bytes: &[u8]) -> &[u8] {
    bytes.utf8_chunks().next().map_or(b"", |chunk| chunk.valid().as_bytes())
}

/// Whether a key comes after the start of the listing, and is below the prefix. The
/// service includes the start itself.
pub(super) fn is_requested(request: &ListRequest, key: &[u8]) -> bool {
    request.start_after.as_ref().is_none_or(|after| key > &after[..]) && key.starts_with(request.prefix.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_that_are_not_text_are_filtered_by_the_client() {
        assert_eq!(text_of("aä".as_bytes()), "aä".as_bytes());
        assert_eq!((text_of(b"a\xc3"), text_of(b"\xff"), text_of(b"")), (&b"a"[..], &b""[..], &b""[..]));
        let request = ListRequest::new().prefix(KeyPrefix::new(&b"a\xc3"[..])).start_after(&b"a\xc3\xa4\xff"[..]);
        assert!(is_requested(&request, "aö".as_bytes()));
        assert!(!is_requested(&request, "aä".as_bytes()) && !is_requested(&request, b"b"));
    }
}
