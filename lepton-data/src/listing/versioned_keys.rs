//! Lists the keys of the source with all their versions, in order, for transfers that move
//! every version.
//!
//! Keys whose newest version is a delete marker are included. Memory use does not depend on
//! the number of keys or of versions.

use std::sync::Arc;

use futures_util::stream;
use lepton_core::{Error, ErrorKind, KeyPrefix, ListOrder, ListRequest, ObjectKey, Result, RuntimeExt as _};
use tokio::sync::mpsc;

use crate::listing::by_destination::WithSortKey;
use crate::listing::found::VersionedKey;
use crate::listing::lister::Lister;
use crate::listing::page::AHEAD;
use crate::listing::{by_destination, key_versions};

/// Batches of keys, in order and each key once; the last batch is empty.
pub(crate) type Batches = mpsc::Receiver<Result<Vec<VersionedKey>>>;

/// Starts listing the keys after the sort key `after`.
pub(crate) fn start(lister: &Arc<Lister>, after: Option<ObjectKey>) -> Batches {
    let ordered = lister.source.capabilities().list_order == ListOrder::Bytes;
    if lister.mapping.is_empty() && ordered {
        return spawn(lister, |lister, send| async move { Listing { lister, send }.list(after).await });
    }
    let listed = spawn(lister, |lister, send| async move { Listing { lister, send }.list(None).await });
    spawn(lister, |lister, send| async move { placed(&lister, listed, after, &send).await })
}

type Sender = mpsc::Sender<Result<Vec<VersionedKey>>>;

fn spawn<F>(lister: &Arc<Lister>, work: impl FnOnce(Arc<Lister>, Sender) -> F) -> Batches
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (send, receive) = mpsc::channel(AHEAD);
    let work = work(Arc::clone(lister), send.clone());
    drop(lister.scheduler.env.spawn_task(async move {
        let end = work.await.map(|()| Vec::new());
        // The receiver is gone when the run has ended.
        let _ = send.send(end).await;
    }));
    receive
}

/// Sorts the listed keys by their sort keys, on disk if needed, and sends them.
async fn placed(lister: &Arc<Lister>, listed: Batches, after: Option<ObjectKey>, send: &Sender) -> Result<()> {
    let listed = stream::try_unfold(listed, |mut listed| async move {
        let broke_off = || Error::new(ErrorKind::Unexpected, "a listing broke off").with_operation("list_versions");
        let batch = listed.recv().await.ok_or_else(broke_off)??;
        Ok((!batch.is_empty()).then_some((batch, listed)))
    });
    let mut sorted = by_destination::sorted(lister, listed, is_taken).await?;
    loop {
        let (page, rest) = by_destination::page(&lister.scheduler.env, sorted).await?;
        sorted = rest;
        if page.is_empty() {
            return Ok(());
        }
        let is_after = |item: &WithSortKey<VersionedKey>| after.as_ref().is_none_or(|after| *after < item.sort_key);
        let batch: Vec<VersionedKey> = page.into_iter().filter(is_after).map(|item| item.value).collect();
        if !batch.is_empty() && send.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
}

fn is_taken(lister: &Lister, held: &VersionedKey) -> bool {
    lister.takes_name(&held.key)
}

struct Listing {
    lister: Arc<Lister>,
    send: Sender,
}

impl Listing {
    /// Lists the keys after `after`. A listing that fails is resumed from the last key that
    /// was sent.
    async fn list(&self, mut after: Option<ObjectKey>) -> Result<()> {
        let source = &self.lister.source;
        let folder = source.folder();
        let (nothing_before, mut failures) = (after.is_none(), 0);
        loop {
            let before = after.clone();
            let Err(error) = self.pages(&folder, &mut after).await else { break };
            self.lister.scheduler.resume(&mut failures, after != before, error).await?;
        }
        let location = source.location();
        if after.is_none() && nothing_before && !folder.is_empty() && !location.path().ends_with(b"/") {
            // The source may name one key instead of a folder.
            let mut held = VersionedKey::new(location.key()?);
            let versions = key_versions::listed(source, &held.key).await?;
            versions.iter().for_each(|version| held.add(version));
            if held.versions > 0 {
                // The receiver is gone when the run has ended.
                let _ = self.send.send(Ok(vec![held])).await;
            }
        }
        Ok(())
    }

    /// Sends complete keys until the listing ends, and keeps the last one in `after`.
    async fn pages(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>) -> Result<()> {
        let mut request = ListRequest::new().prefix(folder.clone());
        if let Some(key) = &after {
            request = request.start_after(key.to_bytes());
        }
        let source = &self.lister.source;
        let store = source.storage().versions().ok_or_else(|| Error::unsupported("the source lists no versions"))?;
        let ordered = source.capabilities().list_order == ListOrder::Bytes;
        let mut pages = store.list_versions(request);
        let mut open: Option<VersionedKey> = None;
        while let Some(mut page) = source.next_page(&mut pages).await? {
            // Some stores list the delete markers of a page before or after the other versions.
            page.sort_by(|one, other| one.meta.key.cmp(&other.meta.key));
            let mut batch = Vec::new();
            for version in &page {
                let key = &version.meta.key;
                if open.as_ref().is_none_or(|open| open.key != *key) {
                    if let Some(last) = open.as_ref().filter(|last| ordered && last.key > *key) {
                        let message = format!("the source lists versions of {key} after those of {}", last.key);
                        return Err(Error::new(ErrorKind::Unexpected, message).with_operation("list_versions"));
                    }
                    batch.extend(open.replace(VersionedKey::new(key.clone())));
                }
                open.iter_mut().for_each(|open| open.add(version));
            }
            if !self.hand_on(batch, after).await {
                return Ok(());
            }
        }
        self.hand_on(open.into_iter().collect(), after).await;
        Ok(())
    }

    /// Sends keys; `false` if the receiver is gone.
    async fn hand_on(&self, batch: Vec<VersionedKey>, after: &mut Option<ObjectKey>) -> bool {
        let Some(last) = batch.last() else { return true };
        *after = Some(last.key.clone());
        self.send.send(Ok(batch)).await.is_ok()
    }
}
