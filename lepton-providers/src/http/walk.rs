//! Walks folders by their index pages.

use std::sync::Arc;

use http::header::RANGE;
use http::{HeaderMap, HeaderValue, Method};
use lepton_core::{Error, ErrorKind, KeyPrefix, ListRequest, ObjectKey, ObjectMeta, Result, RetryClass};

use super::client::{Client, LONGEST_PAGE};
use super::index;
use crate::wire::encode::encode_path;

/// The maximum depth of folders, which stops at a page that lists itself.
const DEEPEST: usize = 100;

/// An entry of a listing.
pub(super) enum Entry {
    /// A file of which only the key is known.
    File(ObjectKey),
    /// A file whose metadata is known.
    Known(ObjectMeta),
    Folder(KeyPrefix),
}

/// Walks depth first, through each folder in the order of its names: a folder sorts by
/// its name with a slash, so that all keys come in order.
pub(super) struct Walk {
    client: Arc<Client>,
    request: ListRequest,
    /// The entries still to be visited, the next one last.
    todo: Vec<(Vec<u8>, usize)>,
}

impl Walk {
    pub(super) fn new(client: &Arc<Client>, request: &ListRequest) -> Self {
        let prefix = request.prefix.as_bytes();
        let folder = prefix.iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let todo = vec![(prefix[..folder].to_vec(), 0)];
        Self { client: Arc::clone(client), request: request.clone(), todo }
    }

    pub(super) async fn next(&mut self) -> Result<Option<Entry>> {
        while let Some((path, depth)) = self.todo.pop() {
            let is_folder = path.is_empty() || path.ends_with(b"/");
            if !is_folder {
                return Ok(Some(Entry::File(ObjectKey::new(path)?)));
            }
            if depth > 0 && self.request.delimiter == Some(b'/') {
                return Ok(Some(Entry::Folder(KeyPrefix::new(path))));
            }
            if depth > DEEPEST {
                let message = format!("folders lie in each other more than {DEEPEST} deep; does a page list itself?");
                let folder = String::from_utf8_lossy(&path).into_owned();
                return Err(Error::new(ErrorKind::Unexpected, message).with_context("folder", folder));
            }
            let names = self.names(&path, depth).await?;
            let below = names.into_iter().rev().map(|name| [&path[..], &name].concat());
            self.todo.extend(below.filter(|path| wanted(path, &self.request)).map(|path| (path, depth + 1)));
        }
        Ok(None)
    }

    /// The names in a folder; none if it does not exist.
    async fn names(&self, path: &[u8], depth: usize) -> Result<Vec<Vec<u8>>> {
        match self.client.names(path).await {
            Err(error) if error.kind() == ErrorKind::NotFound && path.is_empty() => {
                Err(error.with_kind(ErrorKind::BucketNotFound))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) if depth == 0 && error.retry() == RetryClass::Never && self.client.is_file(path).await => {
                Ok(Vec::new())
            }
            names => names,
        }
    }
}

impl Client {
    /// The names in a folder, from its page.
    async fn names(&self, folder: &[u8]) -> Result<Vec<Vec<u8>>> {
        let path = format!("/{}", encode_path(folder));
        let named = |error: Error| error.with_operation("list").with_context("folder", path.as_str());
        let uri = self.base.join(&path, &self.query).map_err(named)?;
        let reply = self.ask(Method::GET, uri, HeaderMap::new()).await.map_err(named)?;
        let page = reply.body.read(LONGEST_PAGE).await.map_err(named)?;
        index::names(&page, &reply.uri).map_err(|error| named(reply.secrets.hidden(error)))
    }

    /// Whether a path that looks like a folder, as all prefixes do, is a file. If so, the
    /// error of the folder is ignored.
    async fn is_file(&self, folder: &[u8]) -> bool {
        let Some(Ok(key)) = folder.strip_suffix(b"/").map(|name| ObjectKey::new(name.to_vec())) else { return false };
        let first = HeaderMap::from_iter([(RANGE, HeaderValue::from_static("bytes=0-0"))]);
        let reply = self.send("list", Method::GET, &key, first).await;
        // For a folder, a server redirects to its page.
        reply.is_ok_and(|reply| !reply.uri.path().ends_with('/'))
    }
}

/// Whether a file, or anything below a folder, is requested.
fn wanted(path: &[u8], request: &ListRequest) -> bool {
    let prefix = request.prefix.as_bytes();
    let behind = request.start_after.as_ref().is_none_or(|after| path > &after[..]);
    if !path.ends_with(b"/") {
        return path.starts_with(prefix) && behind;
    }
    let inside = path.starts_with(prefix) || prefix.starts_with(path);
    inside && (behind || request.start_after.as_ref().is_some_and(|after| after.starts_with(path)))
}
