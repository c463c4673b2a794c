//! The keys of the source with all their versions, in order: what there is to do where
//! every version is moved.
//!
//! A key whose newest version is a delete marker is among them. Memory does not depend
//! on the number of keys or of versions.

use std::sync::Arc;

use futures_util::{TryStreamExt as _, stream};
use lepton_core::{EnvExt as _, Error, ErrorKind, KeyPrefix, ListOrder, ListRequest, ObjectKey, Result};
use tokio::sync::mpsc;

use crate::listing::by_destination::Placed;
use crate::listing::found::Held;
use crate::listing::page::AHEAD;
use crate::listing::{by_destination, key_versions};
use crate::schedule::lanes::Lane;
use crate::schedule::retry::{note, wait};
use crate::transfer::run::Run;
use crate::types::side::{Side, side};

/// Keys on their way, in order and each once; an empty batch is the last.
pub(crate) type Batches = mpsc::Receiver<Result<Vec<Held>>>;

/// Starts listing the keys behind the place `after`.
pub(crate) fn start(run: &Arc<Run>, after: Option<ObjectKey>) -> Batches {
    let ordered = run.source().capabilities().list_order == ListOrder::Bytes;
    if run.mapping.is_empty() && ordered {
        return spawn(run, |run, send| async move { Listing { run, send }.list(after).await });
    }
    let listed = spawn(run, |run, send| async move { Listing { run, send }.list(None).await });
    spawn(run, |run, send| async move { placed(&run, listed, after, &send).await })
}

type Sender = mpsc::Sender<Result<Vec<Held>>>;

fn spawn<F>(run: &Arc<Run>, work: impl FnOnce(Arc<Run>, Sender) -> F) -> Batches
where
    F: Future<Output = Result<()>> + Send + 'static,
{
    let (send, receive) = mpsc::channel(AHEAD);
    let work = work(Arc::clone(run), send.clone());
    drop(run.env.spawn_task(async move {
        let end = work.await.map(|()| Vec::new());
        // The receiver is gone when the run has ended.
        let _ = send.send(end).await;
    }));
    receive
}

/// Sends what was listed in the order of places, by way of a sort on disk.
async fn placed(run: &Arc<Run>, listed: Batches, after: Option<ObjectKey>, send: &Sender) -> Result<()> {
    let listed = stream::try_unfold(listed, |mut listed| async move {
        let broke_off = || Error::new(ErrorKind::Unexpected, "a listing broke off").with_operation("list_versions");
        let batch = listed.recv().await.ok_or_else(broke_off)??;
        Ok((!batch.is_empty()).then_some((batch, listed)))
    });
    let mut sorted = by_destination::sorted(run, listed, is_taken).await?;
    loop {
        let (page, rest) = by_destination::page(run, sorted).await?;
        sorted = rest;
        if page.is_empty() {
            return Ok(());
        }
        let behind = |placed: &Placed<Held>| after.as_ref().is_none_or(|after| *after < placed.place);
        let batch: Vec<Held> = page.into_iter().filter(behind).map(|placed| placed.value).collect();
        if !batch.is_empty() && send.send(Ok(batch)).await.is_err() {
            return Ok(());
        }
    }
}

fn is_taken(run: &Run, held: &Held) -> bool {
    run.filter.takes_name(run.mapping.name(&held.key).as_bytes())
}

struct Listing {
    run: Arc<Run>,
    send: Sender,
}

impl Listing {
    /// Lists behind `after`. A page that fails is asked for again from the last key
    /// that was handed on.
    async fn list(&self, mut after: Option<ObjectKey>) -> Result<()> {
        let folder = self.run.options.source.folder();
        let (nothing_before, mut failures) = (after.is_none(), 0);
        loop {
            let before = after.clone();
            let Err(error) = self.pages(&folder, &mut after).await else { break };
            if after != before {
                failures = 0;
            }
            failures += 1;
            note(&self.run, Lane::Listing(Side::Source), Side::Source, self.run.env.uptime(), &error);
            if error.retry() == lepton_core::Retry::Never || failures >= self.run.options.settings.attempts.get() {
                return Err(side(error));
            }
            self.run.counters.retried(error.kind());
            wait(&self.run, failures, &error).await?;
        }
        let place = &self.run.options.source;
        if after.is_none() && nothing_before && !folder.is_empty() && !place.path().ends_with(b"/") {
            // The source may name one key instead of a folder.
            let mut held = Held::new(place.key()?);
            let versions = key_versions::listed(&self.run, place.storage(), &held.key).await.map_err(side)?;
            versions.iter().for_each(|version| held.add(version));
            if held.versions > 0 {
                // The receiver is gone when the run has ended.
                let _ = self.send.send(Ok(vec![held])).await;
            }
        }
        Ok(())
    }

    /// Sends whole keys until the listing ends, noting the last one.
    async fn pages(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>) -> Result<()> {
        let mut request = ListRequest::new().prefix(folder.clone());
        if let Some(key) = &after {
            request = request.start_after(key.to_bytes());
        }
        let source = self.run.source();
        let store = source.versions().ok_or_else(|| Error::unsupported("the source lists no versions"))?;
        let ordered = source.capabilities().list_order == ListOrder::Bytes;
        let mut pages = store.list_versions(request);
        let mut open: Option<Held> = None;
        loop {
            self.run.requests.take(1).await;
            let Some(mut page) = pages.try_next().await? else { break };
            // Some stores put the delete markers of a page behind or before the others.
            page.sort_by(|one, other| one.meta.key.cmp(&other.meta.key));
            let mut batch = Vec::new();
            for version in &page {
                let key = &version.meta.key;
                if open.as_ref().is_none_or(|open| open.key != *key) {
                    if let Some(last) = open.as_ref().filter(|last| ordered && last.key > *key) {
                        let message = format!("the source lists versions of {key} after those of {}", last.key);
                        return Err(Error::new(ErrorKind::Unexpected, message).with_operation("list_versions"));
                    }
                    batch.extend(open.replace(Held::new(key.clone())));
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

    /// Sends keys; `false` if nobody takes them any more.
    async fn hand_on(&self, batch: Vec<Held>, after: &mut Option<ObjectKey>) -> bool {
        let Some(last) = batch.last() else { return true };
        *after = Some(last.key.clone());
        self.send.send(Ok(batch)).await.is_ok()
    }
}
