//! Lists a source whose names change, in the order of the new names: the source is listed to
//! its end and sorted, on disk if it is large, before the first object is passed on.

use std::sync::Arc;

use futures_core::Stream;
use futures_util::{TryStreamExt as _, stream};
use lepton_core::{Error, ErrorKind, ObjectKey, ObjectMeta, Result, RuntimeExt as _, SharedRuntime};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::listing::external_sort::{Keyed, Sorted, Sorter};
use crate::listing::list;
use crate::listing::lister::Lister;
use crate::listing::page::{AHEAD, PAGE, Page, Pages};
use crate::names::mapping::Mapping;
use crate::types::side::Side;

/// An item of the source with its sort key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WithSortKey<T> {
    pub(crate) sort_key: ObjectKey,
    pub(crate) value: T,
}

impl<T: Keyed> Keyed for WithSortKey<T> {
    fn key(&self) -> &ObjectKey {
        &self.sort_key
    }

    fn weight(&self) -> usize {
        size_of::<ObjectKey>() + self.sort_key.as_bytes().len() + self.value.weight()
    }
}

/// Sorts items of the source, given in any order, by their sort keys. Blocks.
pub(crate) struct DestinationSorter<T> {
    mapping: Arc<Mapping>,
    sorter: Sorter<WithSortKey<T>>,
    /// The items that remain, one for each sort key.
    alone: Sorter<WithSortKey<T>>,
}

impl<T: Keyed> DestinationSorter<T> {
    pub(crate) fn new(lister: &Lister) -> Self {
        Self { mapping: Arc::clone(&lister.mapping), sorter: lister.sorter(), alone: lister.sorter() }
    }

    pub(crate) fn push(&mut self, value: T) -> Result<()> {
        self.sorter.push(WithSortKey { sort_key: self.mapping.sort_key(value.key()), value })
    }

    /// All items in the order of sort keys, each sort key once. If several items share a sort
    /// key, the result has the one that the filters include, or any if they include none.
    ///
    /// # Errors
    /// `invalid_input` if the filters include two of them, naming both and the shared name.
    pub(crate) fn finish(mut self, taken: impl Fn(&T) -> bool) -> Result<Sorted<WithSortKey<T>>> {
        let mut last: Option<WithSortKey<T>> = None;
        for next in self.sorter.finish()? {
            let next = next?;
            last = Some(match last {
                Some(last) if last.sort_key == next.sort_key => one_of(&self.mapping, last, next, &taken)?,
                last => {
                    last.map_or(Ok(()), |last| self.alone.push(last))?;
                    next
                }
            });
        }
        last.map_or(Ok(()), |last| self.alone.push(last))?;
        self.alone.finish()
    }
}

/// Which of two items gets the sort key that they share.
fn one_of<T: Keyed>(
    mapping: &Mapping,
    one: WithSortKey<T>,
    other: WithSortKey<T>,
    taken: impl Fn(&T) -> bool,
) -> Result<WithSortKey<T>> {
    let (first, second) = (one.value.key(), other.value.key());
    // A list may name a key twice.
    if first == second || !taken(&other.value) {
        return Ok(one);
    }
    if !taken(&one.value) {
        return Ok(other);
    }
    let target = mapping.target(&one.sort_key);
    let message = format!(
        "{first} and {second} would both be {target} at the destination; change the rules in map, \
         or leave one out by a filter"
    );
    Err(Error::invalid_input(message).with_operation("map").with_context("key", target))
}

/// Starts listing the source in the order of sort keys, after the sort key `after`.
pub(crate) fn start(lister: &Arc<Lister>, after: Option<ObjectKey>) -> Pages {
    let (send, receive) = mpsc::channel(AHEAD);
    let lister = Arc::clone(lister);
    let env = Arc::clone(&lister.scheduler.env);
    drop(env.spawn_task(async move {
        let end = hand_on(&lister, after, &send).await.map(|()| Page::End);
        // The receiver is gone when the run has ended.
        let _ = send.send(end).await;
    }));
    receive
}

async fn hand_on(lister: &Arc<Lister>, after: Option<ObjectKey>, send: &mpsc::Sender<Result<Page>>) -> Result<()> {
    let listed = stream::try_unfold(list::start(lister, Side::Source, None), |mut listed| async move {
        let broke_off = || Error::new(ErrorKind::Unexpected, "a listing broke off").with_operation("list");
        Ok(match listed.recv().await.ok_or_else(broke_off)?? {
            Page::Objects(objects) => Some((objects, listed)),
            Page::End => None,
        })
    });
    let mut sorted = sorted(lister, listed, Lister::takes).await?;
    loop {
        let (page, rest) = page(&lister.scheduler.env, sorted).await?;
        sorted = rest;
        if page.is_empty() {
            return Ok(());
        }
        let objects = page.into_iter().filter_map(|WithSortKey { sort_key, value }| {
            let is_after = after.as_ref().is_none_or(|after| *after < sort_key);
            if !is_after && lister.takes(&value) {
                lister.uncount(&value);
            }
            is_after.then_some(value)
        });
        let objects: Vec<ObjectMeta> = objects.collect();
        if !objects.is_empty() && send.send(Ok(Page::Objects(objects))).await.is_err() {
            return Ok(());
        }
    }
}

/// Sorts all listed items by their sort keys, on disk if they are many.
///
/// # Errors
/// Those of the listing, and those of [`DestinationSorter::finish`].
pub(crate) async fn sorted<T: Keyed + Send + 'static>(
    lister: &Arc<Lister>,
    listed: impl Stream<Item = Result<Vec<T>>> + Send,
    taken: fn(&Lister, &T) -> bool,
) -> Result<Sorted<WithSortKey<T>>> {
    let env = &lister.scheduler.env;
    let push = |mut sorter: DestinationSorter<T>, batch: Vec<T>| async move {
        let pushed = env.run_blocking(move || batch.into_iter().try_for_each(|one| sorter.push(one)).map(|()| sorter));
        pushed.join().await?
    };
    let sorter = listed.try_fold(DestinationSorter::new(lister), push).await?;
    let ours = Arc::clone(lister);
    env.run_blocking(move || sorter.finish(|one| taken(&ours, one))).join().await?
}

/// The next page, and the remaining items; the page is empty at the end.
pub(crate) async fn page<T: Keyed + Send + 'static>(
    env: &SharedRuntime,
    mut sorted: Sorted<WithSortKey<T>>,
) -> Result<(Vec<WithSortKey<T>>, Sorted<WithSortKey<T>>)> {
    let read = env.run_blocking(move || (sorted.by_ref().take(PAGE).collect::<Result<_>>(), sorted));
    let (page, rest) = read.join().await?;
    Ok((page?, rest))
}
