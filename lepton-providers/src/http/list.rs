//! Listings in key order.

use std::sync::Arc;

use futures_util::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Error, ErrorKind, HeadOptions, KeyPrefix, ListPage, ListRequest, ObjectKey, ObjectMeta, PageStream, Result,
};

use super::bucket;
use super::client::{Client, Listed};
use super::file::Line;
use super::walk::{Entry, Walk};

/// How many files are described concurrently.
const AT_ONCE: usize = 16;
/// The number of entries per page.
const PAGE: usize = 1000;

/// The pages of a listing.
pub(super) fn pages(client: Arc<Client>, request: &ListRequest) -> PageStream {
    let names = match &client.listed {
        Listed::Bucket => return bucket::pages(client, request.clone()),
        Listed::Index => stream::try_unfold(Walk::new(&client, request), |mut walk| async move {
            Ok(walk.next().await?.map(|entry| (entry, walk)))
        })
        .boxed(),
        Listed::File(_) => {
            let (client, request) = (Arc::clone(&client), request.clone());
            let read = stream::once(async move { client.entries(&request).await });
            read.map_ok(|found| stream::iter(found.into_iter().map(Ok))).try_flatten().boxed()
        }
    };
    let described = names.map(move |entry| {
        let client = Arc::clone(&client);
        async move {
            match entry? {
                Entry::File(key) => client.described(&key).await.map(|meta| meta.map(Entry::Known)),
                entry => Ok(Some(entry)),
            }
        }
    });
    let found = described.buffered(AT_ONCE).try_filter_map(|found| async move { Ok(found) });
    in_pages(found.boxed(), request.page_size.unwrap_or(PAGE).clamp(1, PAGE))
}

/// The rest of a listing.
enum Rest {
    More(BoxStream<'static, Result<Entry>>),
    Failed(Error),
    Nothing,
}

/// Fills pages. Entries found before an error precede it.
fn in_pages(found: BoxStream<'static, Result<Entry>>, size: usize) -> PageStream {
    let pages = stream::unfold(Rest::More(found), move |rest| async move {
        let mut found = match rest {
            Rest::More(found) => found,
            Rest::Failed(error) => return Some((Err(error), Rest::Nothing)),
            Rest::Nothing => return None,
        };
        let mut page = ListPage::default();
        while page.objects.len() + page.prefixes.len() < size {
            let is_empty = page.objects.is_empty() && page.prefixes.is_empty();
            match found.next().await {
                Some(Ok(Entry::Known(meta))) => page.objects.push(meta),
                Some(Ok(Entry::Folder(prefix))) => page.prefixes.push(prefix),
                // Replaced by its description above.
                Some(Ok(Entry::File(_))) => {}
                Some(Err(error)) if is_empty => return Some((Err(error), Rest::Nothing)),
                Some(Err(error)) => return Some((Ok(page), Rest::Failed(error))),
                None if is_empty => return None,
                None => return Some((Ok(page), Rest::Nothing)),
            }
        }
        Some((Ok(page), Rest::More(found)))
    });
    pages.boxed()
}

impl Client {
    /// The server's description of a file. A file that an index page names but that is
    /// gone is left out; in a list, this is an error.
    async fn described(&self, key: &ObjectKey) -> Result<Option<ObjectMeta>> {
        match (self.head(key, &HeadOptions::new()).await, &self.listed) {
            (Ok(info), _) => Ok(Some(info.meta)),
            (Err(error), Listed::File(list)) => {
                let error = match error.kind() {
                    ErrorKind::NotFound => Error::new(ErrorKind::NotFound, "the list names a file that is not there")
                        .with_operation("list")
                        .with_context("key", key)
                        .with_source(error),
                    _ => error,
                };
                Err(error.with_context("file", list.path().display()))
            }
            (Err(error), _) if error.kind() == ErrorKind::NotFound => Ok(None),
            (Err(error), _) => Err(error),
        }
    }

    /// The requested entries of the list, in order.
    async fn entries(&self, request: &ListRequest) -> Result<Vec<Entry>> {
        let Listed::File(list) = &self.listed else { return Ok(Vec::new()) };
        let lines = list.lines(&self.env).await?;
        let mut entries = Vec::new();
        let mut last: Option<KeyPrefix> = None;
        for line in lines.iter().filter(|line| is_requested(line.key.as_bytes(), request)) {
            let Some(folder) = rolled_up(&line.key, request) else {
                entries.push(entry(line));
                continue;
            };
            if last.as_ref() != Some(&folder) {
                entries.push(Entry::Folder(folder.clone()));
                last = Some(folder);
            }
        }
        Ok(entries)
    }
}

fn entry(line: &Line) -> Entry {
    line.known().map_or_else(|| Entry::File(line.key.clone()), Entry::Known)
}

fn is_requested(key: &[u8], request: &ListRequest) -> bool {
    key.starts_with(request.prefix.as_bytes()) && request.start_after.as_ref().is_none_or(|after| key > &after[..])
}

/// The common prefix that a key is rolled up into, if any.
fn rolled_up(key: &ObjectKey, request: &ListRequest) -> Option<KeyPrefix> {
    let (delimiter, from) = (request.delimiter?, request.prefix.as_bytes().len());
    let at = key.as_bytes()[from..].iter().position(|byte| *byte == delimiter)?;
    Some(KeyPrefix::new(key.as_bytes()[..=from + at].to_vec()))
}
