//! Lists a side ahead of the work, in strictly ascending order.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{
    Error, ErrorKind, HeadOptions, KeyPrefix, ListOrder, ObjectKey, ObjectMeta, Result, RuntimeExt as _, Support,
};
use tokio::sync::mpsc;

use crate::listing::lister::Lister;
use crate::listing::page::{AHEAD, PAGE, Page, Pages};
use crate::listing::ranges::Ranges;
use crate::schedule::endpoint::Endpoint;
use crate::types::side::Side;

/// The number of pages after which it is decided whether to split a listing into ranges.
const SAMPLE: u32 = 4;

/// If a store takes longer for a page and the consumer is idle meanwhile, several ranges are
/// listed concurrently. Otherwise this would cost the store more and gain nothing.
const SLOW: Duration = Duration::from_millis(8);

/// Starts listing the objects after `after`. A listing that fails is resumed from the last
/// key seen.
pub(crate) fn start(lister: &Arc<Lister>, side: Side, after: Option<ObjectKey>) -> Pages {
    let (send, receive) = mpsc::channel(AHEAD);
    let lister = Arc::clone(lister);
    let env = Arc::clone(&lister.scheduler.env);
    drop(env.spawn_task(async move {
        let listing = Listing { lister, side, send };
        let end = listing.list(after).await.map(|()| Page::End).map_err(|error| side.mark(error));
        // The receiver is gone when the run has ended.
        let _ = listing.send.send(end).await;
    }));
    receive
}

struct Listing {
    lister: Arc<Lister>,
    side: Side,
    send: mpsc::Sender<Result<Page>>,
}

impl Listing {
    fn endpoint(&self) -> &Endpoint {
        self.lister.endpoint(self.side)
    }

    async fn list(&self, mut after: Option<ObjectKey>) -> Result<()> {
        let endpoint = self.endpoint();
        let folder = endpoint.folder();
        let nothing_before = after.is_none();
        let mut failures = 0;
        let mut found = false;
        let ordered = endpoint.capabilities().list_order == ListOrder::Bytes;
        loop {
            let before = after.clone();
            let listed = if ordered {
                self.pages(&folder, &mut after, &mut found).await
            } else {
                self.sorted(&folder, &mut after, &mut found).await
            };
            let Err(error) = listed else { break };
            // A policy may allow to read one object and not to list.
            if error.kind() == ErrorKind::PermissionDenied
                && nothing_before
                && !found
                && self.is_single(&folder)
                && let Some(object) = self.single(&folder).await.ok().flatten()
            {
                return self.only(object).await;
            }
            self.lister.scheduler.resume(&mut failures, after != before, error).await?;
        }
        if found || !nothing_before || self.side == Side::Destination {
            return Ok(());
        }
        match self.single(&folder).await? {
            Some(object) => self.only(object).await,
            None => self.is_empty(&folder),
        }
    }

    /// Hands on the one object that the source names.
    async fn only(&self, object: ObjectMeta) -> Result<()> {
        let objects = vec![object];
        self.count(&objects);
        // The receiver is gone when the run has ended.
        let _ = self.send.send(Ok(Page::Objects(objects))).await;
        Ok(())
    }

    /// Refuses a source that has neither an object of its name nor any object below it. Whether a
    /// bucket exists, or a folder that is a place of its own, its listing has shown.
    fn is_empty(&self, folder: &KeyPrefix) -> Result<()> {
        if folder.is_empty() || self.lister.source_may_be_empty || self.lister.has_unlisted() {
            return Ok(());
        }
        let message = "the source does not exist: there is neither an object of this name nor any object below it; \
                       allow_empty takes it for an empty folder";
        Err(Error::new(ErrorKind::NotFound, message)
            .with_operation("list")
            .with_context("key", folder.to_string().trim_end_matches('/')))
    }

    /// Sends pages until the listing ends, and keeps the last key seen in `after`.
    async fn pages(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>, found: &mut bool) -> Result<()> {
        let mut request = self.lister.request(self.side).prefix(folder.clone());
        if let Some(key) = after {
            request = request.start_after(key.to_bytes());
        }
        let endpoint = self.endpoint();
        let mut pages = endpoint.storage().list(request);
        let ranges = endpoint.capabilities().start_after == Support::Native;
        let env = &self.lister.scheduler.env;
        // The first pages are consumed immediately in any case, so they prove nothing.
        let mut first = true;
        let (mut seen, mut idle, mut waited) = (0, 0, Duration::ZERO);
        loop {
            let asked = env.uptime();
            let Some(mut page) = endpoint.next_page(&mut pages).await? else { return Ok(()) };
            self.lister.record_gaps(self.side, &mut page);
            waited += env.uptime().saturating_sub(asked);
            idle += u32::from(self.send.capacity() == AHEAD);
            if !self.hand_on(page.objects, after, found).await? {
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

    /// Sends the objects after `after`; several ranges are listed concurrently.
    async fn by_ranges(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>, found: &mut bool) -> Result<()> {
        let start = after.as_ref().map_or(folder.as_bytes(), ObjectKey::as_bytes);
        let mut ranges = Ranges::start(&self.lister, self.side, folder, start).await?;
        while let Some(objects) = ranges.next().await? {
            if !self.hand_on(objects, after, found).await? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Sends the objects after `after` of an unordered listing, which is first listed to its
    /// end and sorted on disk.
    async fn sorted(&self, folder: &KeyPrefix, after: &mut Option<ObjectKey>, found: &mut bool) -> Result<()> {
        let (endpoint, env) = (self.endpoint(), &self.lister.scheduler.env);
        let mut sorter = self.lister.sorter();
        let mut pages = endpoint.storage().list(self.lister.request(self.side).prefix(folder.clone()));
        while let Some(mut page) = endpoint.next_page(&mut pages).await? {
            self.lister.record_gaps(self.side, &mut page);
            let (mut objects, start) = (page.objects, after.clone());
            objects.retain(|object| start.as_ref().is_none_or(|start| *start < object.key));
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
            if objects.is_empty() || !self.hand_on(objects, after, found).await? {
                return Ok(());
            }
        }
    }

    /// Checks that objects are in order and sends them; `false` if the receiver is gone.
    async fn hand_on(
        &self,
        mut objects: Vec<ObjectMeta>,
        after: &mut Option<ObjectKey>,
        found: &mut bool,
    ) -> Result<bool> {
        for object in &objects {
            self.ascending(after.as_ref(), &object.key)?;
            *after = Some(object.key.clone());
        }
        *found |= !objects.is_empty();
        let listed = objects.len();
        objects.retain(|object| !self.lister.passes_over(self.side, object));
        if self.side == Side::Source {
            self.lister.pass_over_markers(listed - objects.len());
        }
        if objects.is_empty() {
            return Ok(true);
        }
        if self.side == Side::Source {
            self.count(&objects);
        }
        Ok(self.send.send(Ok(Page::Objects(objects))).await.is_ok())
    }

    /// Counts the objects to be moved as soon as they are listed.
    fn count(&self, objects: &[ObjectMeta]) {
        let taken = objects.iter().filter(|object| self.lister.takes(object));
        let (number, bytes) = taken.fold((0, 0), |(number, bytes), object| (number + 1, bytes + object.size));
        self.lister.scheduler.counters.listed_objects.add(number);
        self.lister.scheduler.counters.listed_bytes.add(bytes);
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

    /// Whether the source may name one object instead of a folder.
    fn is_single(&self, folder: &KeyPrefix) -> bool {
        let may_be_one = self.side == Side::Source && self.lister.source_may_be_one;
        may_be_one && !folder.is_empty() && !self.endpoint().location().path().ends_with(b"/")
    }

    /// The object, if the source names one object instead of a folder.
    async fn single(&self, folder: &KeyPrefix) -> Result<Option<ObjectMeta>> {
        if !self.is_single(folder) {
            return Ok(None);
        }
        let (endpoint, key) = (self.endpoint(), self.endpoint().location().key()?);
        Ok(endpoint.find(&key, HeadOptions::new()).await?.map(|info| info.meta))
    }
}
