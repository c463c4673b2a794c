//! Lists a large key space by ranges, several concurrently, and returns the objects in order.
//!
//! If a store takes many milliseconds for each page of a thousand keys, a sequential listing
//! is slow. Therefore the remaining keys are split at names that a few requests find, and the
//! ranges are listed concurrently. Pages that arrive before their turn wait in memory, and
//! on disk if there are many.

use std::collections::VecDeque;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lepton_core::{Error, KeyPrefix, ObjectMeta, Result, RuntimeExt as _, SharedRuntime};
use tokio::sync::{Notify, Semaphore};

use crate::listing::lister::Lister;
use crate::listing::split_points::split;
use crate::schedule::lanes::{LISTING, Lane};
use crate::types::file::to_json;
use crate::types::side::Side;

/// The most pages that wait in memory: of the range that is being read, which is not listed
/// further meanwhile, and of each later range, whose further pages wait on disk.
const IN_MEMORY: usize = 4;
const IN_MEMORY_BEFORE: usize = 1;

/// Ranges that are being listed. Dropping this value stops them.
pub(crate) struct Ranges {
    lister: Arc<Lister>,
    spools: VecDeque<Arc<Spool>>,
}

impl Ranges {
    /// Splits the keys after `after` into ranges and starts listing them.
    ///
    /// # Errors
    /// Those of the requests that find the split points.
    pub(crate) async fn start(lister: &Arc<Lister>, side: Side, folder: &KeyPrefix, after: &[u8]) -> Result<Self> {
        let cuts = split(lister.endpoint(side).storage(), folder, after).await?;
        tracing::debug!(side = side.name(), ranges = cuts.len() + 1, "listing by ranges");
        let starts = std::iter::once(after.to_vec()).chain(cuts.iter().cloned());
        let ends = cuts.iter().cloned().map(Some).chain([None]);
        let permits = Arc::new(Semaphore::new(LISTING));
        let mut spools = VecDeque::new();
        for (start, end) in starts.zip(ends) {
            let spool = Arc::new(Spool::default());
            spools.push_back(Arc::clone(&spool));
            let range = Range { lister: Arc::clone(lister), side, folder: folder.clone(), end, spool };
            let permits = Arc::clone(&permits);
            drop(lister.scheduler.env.spawn_task(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire_owned().await.ok();
                if !range.spool.state().closed {
                    let ended = range.list(start).await;
                    range.spool.end(ended);
                }
            }));
        }
        Ok(Self { lister: Arc::clone(lister), spools })
    }

    /// The next objects, in order; `None` when all ranges have ended.
    pub(crate) async fn next(&mut self) -> Result<Option<Vec<ObjectMeta>>> {
        while let Some(spool) = self.spools.front() {
            match spool.take(&self.lister.scheduler.env).await? {
                Some(objects) => return Ok(Some(objects)),
                None => drop(self.spools.pop_front()),
            }
        }
        Ok(None)
    }
}

impl Drop for Ranges {
    fn drop(&mut self) {
        self.spools.iter().for_each(|spool| spool.close());
    }
}

/// The keys after a start, up to and including `end`.
struct Range {
    lister: Arc<Lister>,
    side: Side,
    folder: KeyPrefix,
    end: Option<Vec<u8>>,
    spool: Arc<Spool>,
}

impl Range {
    /// Lists the range. A listing that fails is resumed from the last key.
    async fn list(&self, mut after: Vec<u8>) -> Result<()> {
        let mut failures = 0;
        loop {
            let before = after.clone();
            let Err(error) = self.pages(&mut after).await else { return Ok(()) };
            self.lister.scheduler.resume(&mut failures, after != before, error).await?;
        }
    }

    async fn pages(&self, after: &mut Vec<u8>) -> Result<()> {
        let request = self.lister.request(self.side).prefix(self.folder.clone()).start_after(after.clone());
        let endpoint = self.lister.endpoint(self.side);
        let mut pages = endpoint.storage().list(request);
        loop {
            let slot = self.lister.scheduler.lanes.enter(Lane::Listing(self.side), 0).await;
            let Some(mut page) = endpoint.next_page(&mut pages).await? else { return Ok(()) };
            self.lister.record_gaps(self.side, &mut page);
            let mut objects = page.objects;
            if let Some(slot) = slot {
                slot.done(0);
            }
            let all = objects.len();
            if let Some(end) = &self.end {
                objects.retain(|object| object.key.as_bytes() <= &end[..]);
            }
            let beyond = objects.len() < all;
            if let Some(last) = objects.last() {
                *after = last.key.as_bytes().to_vec();
                if !self.spool.put(&self.lister, objects).await? {
                    return Ok(());
                }
            }
            if beyond {
                return Ok(());
            }
        }
    }
}

/// The queue of pages of one range, between the task that lists it and the reader.
#[derive(Default)]
struct Spool {
    state: Mutex<State>,
    /// Notified when a page or the end has arrived.
    filled: Notify,
    /// Notified when there is capacity in memory, or when the reader is gone.
    room: Notify,
}

#[derive(Default)]
struct State {
    memory: VecDeque<Vec<ObjectMeta>>,
    /// The positions of later pages in the file: offset and length.
    disk: VecDeque<(u64, usize)>,
    file: Option<Arc<File>>,
    written: u64,
    /// Whether this range is the one that is being read.
    is_read: bool,
    closed: bool,
    ended: Option<Result<()>>,
}

impl Spool {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a page; `false` if the reader is gone.
    async fn put(&self, lister: &Lister, objects: Vec<ObjectMeta>) -> Result<bool> {
        loop {
            {
                let mut state = self.state();
                if state.closed {
                    return Ok(false);
                }
                let most = if state.is_read { IN_MEMORY } else { IN_MEMORY_BEFORE };
                if state.disk.is_empty() && state.memory.len() < most {
                    state.memory.push_back(objects);
                    self.filled.notify_one();
                    return Ok(true);
                }
                if !state.is_read {
                    break;
                }
            }
            self.room.notified().await;
        }
        let (file, at) = {
            let state = self.state();
            (state.file.clone(), state.written)
        };
        let folder = lister.spill_folder.clone();
        let spilling = lister.scheduler.env.run_blocking(move || {
            let file = match file {
                Some(file) => file,
                None => Arc::new(tempfile::tempfile_in(&folder).map_err(failed)?),
            };
            let page = to_json(&objects)?;
            file.write_all_at(&page, at).map_err(failed)?;
            Ok((file, page.len()))
        });
        let (file, length) = spilling.join().await??;
        let mut state = self.state();
        state.file = Some(file);
        state.written = at + length as u64;
        state.disk.push_back((at, length));
        self.filled.notify_one();
        Ok(true)
    }

    /// The next page; `None` after the last.
    async fn take(&self, env: &SharedRuntime) -> Result<Option<Vec<ObjectMeta>>> {
        let (file, at, length) = loop {
            {
                let mut state = self.state();
                state.is_read = true;
                if let Some(objects) = state.memory.pop_front() {
                    self.room.notify_one();
                    return Ok(Some(objects));
                }
                if let (Some((at, length)), Some(file)) = (state.disk.pop_front(), &state.file) {
                    break (Arc::clone(file), at, length);
                }
                if let Some(ended) = state.ended.take() {
                    return ended.map(|()| None);
                }
            }
            self.filled.notified().await;
        };
        let reading = env.run_blocking(move || {
            let mut page = vec![0; length];
            file.read_exact_at(&mut page, at).map_err(failed)?;
            serde_json::from_slice(&page).map_err(|error| failed(error.into()))
        });
        let objects = reading.join().await??;
        self.room.notify_one();
        Ok(Some(objects))
    }

    fn end(&self, ended: Result<()>) {
        self.state().ended = Some(ended);
        self.filled.notify_one();
    }

    fn close(&self) {
        self.state().closed = true;
        self.room.notify_one();
    }
}

fn failed(error: std::io::Error) -> Error {
    Error::io("cannot keep a listing on disk", error).with_operation("list")
}
