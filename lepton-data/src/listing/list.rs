//! Listing a side ahead of the work, in strictly ascending order.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lepton_core::{
    EnvExt as _, Error, ErrorKind, HeadOptions, KeyPrefix, ListOrder, ListRequest, ObjectKey, ObjectMeta, Result,
    Support,
};
use tokio::sync::mpsc;

use crate::listing::external_sort::Sorter;
use crate::listing::page::{AHEAD, PAGE, Page, Pages};
use crate::listing::ranges::Shards;
use crate::schedule::lanes::Lane;
use crate::schedule::retry::{note, wait};
use crate::transfer::run::Run;
use crate::types::side::Side;

/// So many pages at a time are looked at, whether a listing is worth being cut.
const SAMPLE: u32 = 4;

/// A store that takes longer for a page is asked for several ranges at once, where whoever
/// takes them has nothing to do meanwhile. Else it costs the store more and gains nothing.
const SLOW: Duration = Duration::from_millis(8);

/// Starts listing what lies behind `after`. A page that fails is asked for again
/// from the last key seen.
pub(crate) fn start(run: &Arc<Run>, side: Side, after: Option<ObjectKey>) -> Pages {
    let (send, receive) = mpsc::channel(AHEAD);
    let run = Arc::clone(run);
    drop(run.env.clone().spawn_task(async move {
        let listing = Listing { run, side, send };
        let end = match listing.list(after).await {
            Ok(()) => Ok(Page::End),
            Err(error) => Err(error.with_context("side", side.name())),
        };
        // The receiver is gone when the run has ended.
        let _ = listing.send.send(end).await;
    }));
    receive
}

/// Takes an object that was counted out of the count: an earlier run's books have
/// it.
pub(crate) fn uncount(run: &Run, object: &ObjectMeta) {
    run.counters.sub(|c| &c.listed_objects, 1);
    run.counters.sub(|c| &c.listed_bytes, object.size);
}

struct Listing {
    run: Arc<Run>,
    side: Side,
    send: mpsc::Sender<Result<Page>>,
}

impl Listing {
    async fn list(&self, mut after: Option<ObjectKey>) -> Result<()> {
        let folder = self.run.location(self.side).folder();
        let nothing_before = after.is_none();
        let mut failures = 0;
        let mut found = false;
        let ordered = self.run.location(self.side).storage().capabilities().list_order == ListOrder::Bytes;
        loop {
            let before = after.clone();
            let listed = if ordered {
                self.pages(&folder, &mut after, &mut found).await
            } else {
                self.sorted(&folder, &mut after, &mut found).await
            };
            let Err(error) = listed else { break };
            if after != before {
                failures = 0;
            }
            failures += 1;
            note(&self.run, Lane::Listing(self.side), self.side, self.run.env.uptime(), &error);
            let settings = &self.run.options.settings;
            if error.retry() == lepton_core::Retry::Never || failures >= settings.attempts.get() {
                return Err(error);
            }
            self.run.counters.retried(error.kind());
            wait(&self.run, failures, &error).await?;
        }
        // Of an empty source a mirror would leave nothing: then one object is not
        // looked for in its place.
        let may_be_one = self.side == Side::Source && !self.run.options.settings.delete;
        if !found
            && nothing_before
            && may_be_one
            && let Some(object) = self.single(&folder).await?
        {
            // The receiver is gone when the run has ended.
            let objects = vec![object];
            self.count(&folder, &objects);
            let _ = self.send.send(Ok(Page::Objects(objects))).await;
        }
        Ok(())
    }

    /// Sends pages until the listing ends, noting the last key seen.
    async fn pages(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>, found: &mut bool) -> Result<()> {
        let mut request = ListRequest::new().prefix(folder.clone()).attributes(true);
        if let Some(key) = after {
            request = request.start_after(key.to_bytes());
        }
        let mut pages = self.run.location(self.side).storage().list(request);
        let ranges = self.run.location(self.side).storage().capabilities().start_after == Support::Native;
        // The first pages are taken at once, whatever is done with them.
        let mut first = true;
        let (mut seen, mut idle, mut waited) = (0, 0, Duration::ZERO);
        loop {
            self.run.requests.take(1).await;
            let asked = self.run.env.uptime();
            let Some(page) = pages.next().await else { return Ok(()) };
            waited += self.run.env.uptime().saturating_sub(asked);
            idle += u32::from(self.send.capacity() == AHEAD);
            let objects = page?.objects;
            if !self.hand_on(folder, objects, after, found).await? {
                return Ok(());
            }
            seen += 1;
            if seen < SAMPLE {
                continue;
            }
            if ranges && !first && idle + 1 >= SAMPLE && waited > SLOW * SAMPLE {
                return self.by_ranges(folder, after, found).await;
            }
            first = false;
            (seen, idle, waited) = (0, 0, Duration::ZERO);
        }
    }

    /// Sends what lies behind `after`, several ranges of it being listed at once.
    async fn by_ranges(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>, found: &mut bool) -> Result<()> {
        let start = after.as_ref().map_or(folder.as_bytes(), ObjectKey::as_bytes);
        let mut shards = Shards::start(&self.run, self.side, folder, start).await?;
        while let Some(objects) = shards.next(&self.run).await? {
            if !self.hand_on(folder, objects, after, found).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends what lies behind `after` of a listing without order, which is listed
    /// to its end and sorted on disk before.
    async fn sorted(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>, found: &mut bool) -> Result<()> {
        let env = &self.run.env;
        let mut sorter = Sorter::new(&self.run.spill_folder(), self.run.sort_memory());
        let mut pages =
            self.run.location(self.side).storage().list(ListRequest::new().prefix(folder.clone()).attributes(true));
        loop {
            self.run.requests.take(1).await;
            let Some(page) = pages.next().await else { break };
            let (mut objects, behind) = (page?.objects, after.clone());
            objects.retain(|object| behind.as_ref().is_none_or(|behind| *behind < object.key));
            let pushed = env
                .run_blocking(move || objects.into_iter().try_for_each(|object| sorter.push(object)).map(|()| sorter));
            sorter = pushed.join().await??;
        }
        let mut sorted = env.run_blocking(move || sorter.finish()).join().await??;
        loop {
            let taken = env.run_blocking(move || (sorted.by_ref().take(PAGE).collect::<Result<Vec<_>>>(), sorted));
            let (objects, rest) = taken.join().await?;
            sorted = rest;
            let objects = objects?;
            if objects.is_empty() || !self.hand_on(folder, objects, after, found).await? {
                return Ok(());
            }
        }
    }

    /// Sends objects, once they are seen to come in order; `false` if nobody takes
    /// them any more.
    async fn hand_on(
        &self,
        folder: &KeyPrefix,
        objects: Vec<ObjectMeta>,
        after: &mut Option<ObjectKey>,
        found: &mut bool,
    ) -> Result<bool> {
        for object in &objects {
            self.ascending(after.as_ref(), &object.key)?;
            *after = Some(object.key.clone());
        }
        if objects.is_empty() {
            return Ok(true);
        }
        *found = true;
        if self.side == Side::Source {
            self.count(folder, &objects);
        }
        Ok(self.send.send(Ok(Page::Objects(objects))).await.is_ok())
    }

    /// Counts what is to be moved as soon as it is known of.
    fn count(&self, folder: &KeyPrefix, objects: &[ObjectMeta]) {
        let taken = objects.iter().filter(|object| {
            let key = object.key.as_bytes();
            self.run.filter.takes(key.strip_prefix(folder.as_bytes()).unwrap_or(key), object)
        });
        let (number, bytes) = taken.fold((0, 0), |(number, bytes), object| (number + 1, bytes + object.size));
        self.run.counters.add(|c| &c.listed_objects, number);
        self.run.counters.add(|c| &c.listed_bytes, bytes);
    }

    fn ascending(&self, before: Option<&ObjectKey>, key: &ObjectKey) -> Result<()> {
        match before {
            Some(before) if before >= key => {
                let side = self.side.name();
                let message = format!("the {side} lists {key} after {before}: out of order or twice");
                Err(Error::new(ErrorKind::Unexpected, message).with_operation("list"))
            }
            _ => Ok(()),
        }
    }

    /// A source that names one object instead of a folder.
    async fn single(&self, folder: &KeyPrefix) -> Result<Option<ObjectMeta>> {
        let place = self.run.location(self.side);
        if folder.is_empty() || place.path().ends_with(b"/") {
            return Ok(None);
        }
        match place.storage().head(&place.key()?, HeadOptions::new()).await {
            Ok(info) => Ok(Some(info.meta)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
