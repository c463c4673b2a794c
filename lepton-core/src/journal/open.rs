//! An open journal: records are appended in memory and written in groups.

use std::fs::{self, File};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use super::folder::{at, sync_folder};
use super::format::{self, FIRST_USER_TYPE};
use super::identity::{Identity, same_plan};
use super::lock::Lock;
use super::replay::{self, Replay};
use super::restart::{DISCARD, NEXT, finish_discard, finish_restart};
use super::write::{self, Writer};
use crate::env::{EnvExt as _, SharedEnv};
use crate::error::{Error, ErrorKind, Result};

/// Appended bytes beyond which a group commit starts by itself.
pub(super) const FLUSH_AT: usize = 256 << 10;

/// Bytes of work whose records are not on disk beyond which a group commit starts by
/// itself.
pub(super) const FLUSH_AT_WORK: u64 = 8 << 20;

/// How long a record waits at most before its group commit starts.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// Appended bytes that may wait for the disk before [`Journal::room`] waits too.
pub(super) const ROOM: usize = 1 << 20;

/// An open journal. Cloning it shares it; the folder stays locked until the last
/// clone is gone.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    lock: Arc<Lock>,
}

#[derive(Debug)]
struct Shared {
    env: SharedEnv,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Where groups are written; taken while one is on its way.
    writer: Option<Writer>,
    pending: Vec<u8>,
    /// The bytes of work that the pending records stand for.
    pending_work: u64,
    /// Whether a task waits to write what is pending.
    timer: bool,
    appended: u64,
    durable: u64,
    /// Once a write or sync failed, nothing is durable any more: what the
    /// kernel kept of it is unknown.
    failed: Option<(ErrorKind, String)>,
}

/// A journal that was opened, and what it already held.
#[derive(Debug)]
pub struct Opened {
    /// The journal, ready for more.
    pub journal: Journal,
    /// The records of earlier runs; `None` if the journal is new.
    pub replay: Option<Replay>,
}

impl Journal {
    /// Opens the journal in `folder`, or makes one there. Blocks.
    ///
    /// # Errors
    /// `locked` if another process has it open; `plan_mismatch`, naming each
    /// difference, if it belongs to another plan; `corrupt` with segment and
    /// offset if it is damaged; `unsupported` if a newer version wrote it.
    pub fn open(env: SharedEnv, folder: &Path, identity: &Identity) -> Result<Opened> {
        fs::create_dir_all(folder).map_err(|e| at(Error::io("cannot create the journal folder", e), folder))?;
        let lock = Lock::take(folder)?;
        if folder.join(DISCARD).exists() {
            finish_discard(folder)?;
        }
        if folder.join(NEXT).exists() {
            finish_restart(folder)?;
        }
        let segments = replay::segments(folder)?;
        let scan = replay::scan(&segments)?;
        let (writer, replay) = match scan {
            Some(scan) => {
                same_plan(&scan.identity, identity)?;
                let replay = Replay::new(scan.clone());
                (Writer::resume(folder, &scan)?, Some(replay))
            }
            None => (Writer::create(folder, &segments, identity)?, None),
        };
        let state = State {
            writer: Some(writer),
            pending: Vec::new(),
            pending_work: 0,
            timer: false,
            appended: 0,
            durable: 0,
            failed: None,
        };
        let shared = Arc::new(Shared { env, state: Mutex::new(state), changed: Notify::new() });
        Ok(Opened { journal: Journal { shared, lock: Arc::new(lock) }, replay })
    }

    /// Forgets a finished run: removes the segments in `folder`, so that the next
    /// [`open`](Self::open) begins anew. Blocks.
    ///
    /// # Errors
    /// `locked` if a process has the journal open.
    pub fn discard(folder: &Path) -> Result<()> {
        let _lock = Lock::take(folder)?;
        let marker = folder.join(DISCARD);
        let marked = File::create(&marker).and_then(|file| file.sync_all());
        marked.map_err(|e| at(Error::io("cannot mark the journal as discarded", e), &marker))?;
        sync_folder(folder)?;
        finish_discard(folder)
    }

    /// Begins the journal in `folder` anew with these records and no others, all at once:
    /// after a crash on the way it is either the old one or the new one. Blocks.
    ///
    /// # Errors
    /// `locked` if a process has the journal open; what the disk gives.
    pub fn restart(folder: &Path, identity: &Identity, records: &[(u16, Vec<u8>)]) -> Result<()> {
        let _lock = Lock::take(folder)?;
        write::first_segment(&folder.join(NEXT), identity, records)?;
        sync_folder(folder)?;
        finish_restart(folder)
    }

    /// Appends a record. It is durable after the next [`commit`](Self::commit), and
    /// without one about half a second later.
    ///
    /// `kind` is at least [`FIRST_USER_TYPE`]; a payload has at most 16 MiB.
    ///
    /// # Errors
    /// `invalid_input` if either is not so.
    pub fn append(&self, kind: u16, payload: &[u8]) -> Result<()> {
        self.append_for(kind, payload, 0)
    }

    /// Appends a record about this many bytes of finished work. Once the records that
    /// are not on disk stand for 8 MiB, they are written without waiting for more.
    ///
    /// # Errors
    /// As [`append`](Self::append).
    pub fn append_for(&self, kind: u16, payload: &[u8], work: u64) -> Result<()> {
        if kind < FIRST_USER_TYPE {
            return Err(Error::invalid_input(format!("record type {kind} is reserved")));
        }
        if payload.len() > format::MAX_PAYLOAD {
            let message = format!("a journal record of {} bytes; at most {}", payload.len(), format::MAX_PAYLOAD);
            return Err(Error::invalid_input(message));
        }
        let mut state = self.state();
        format::encode(&mut state.pending, kind, payload);
        state.appended += 1;
        state.pending_work = state.pending_work.saturating_add(work);
        if state.pending.len() >= FLUSH_AT || state.pending_work >= FLUSH_AT_WORK {
            self.start_flush(state);
        } else if !std::mem::replace(&mut state.timer, true) {
            drop(state);
            self.flush_later();
        }
        Ok(())
    }

    /// Starts a task that writes what is pending after a while. It does not keep the
    /// folder locked while it waits.
    fn flush_later(&self) {
        let (shared, lock) = (Arc::downgrade(&self.shared), Arc::downgrade(&self.lock));
        let env = Arc::clone(&self.shared.env);
        self.shared.env.spawn(Box::pin(async move {
            env.sleep(FLUSH_AFTER).await;
            if let (Some(shared), Some(lock)) = (Weak::upgrade(&shared), Weak::upgrade(&lock)) {
                Journal { shared, lock }.flush_now();
            }
        }));
    }

    fn flush_now(&self) {
        let mut state = self.state();
        state.timer = false;
        if state.pending.is_empty() {
            return;
        }
        if state.writer.is_none() {
            // A group is on its way: what came since is the next one.
            state.timer = true;
            drop(state);
            self.flush_later();
            return;
        }
        self.start_flush(state);
    }

    /// Waits until everything appended so far is on disk.
    ///
    /// Cancellation safe: the group is written all the same.
    ///
    /// # Errors
    /// What the disk gave, now or at an earlier commit: a journal whose sync
    /// failed once is not trusted again.
    pub async fn commit(&self) -> Result<()> {
        let target = self.state().appended;
        self.wait(|state| state.durable >= target).await
    }

    /// Waits while much of what was appended is not written yet, so that a disk that
    /// is slower than whoever appends does not fill the memory.
    ///
    /// Cancellation safe.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn room(&self) -> Result<()> {
        self.wait(|state| state.pending.len() < ROOM).await
    }

    /// Writes until something is so.
    async fn wait(&self, so: impl Fn(&State) -> bool) -> Result<()> {
        loop {
            let changed = self.shared.changed.notified();
            {
                let state = self.state();
                if let Some((kind, why)) = &state.failed {
                    let error = Error::new(*kind, format!("the journal cannot be written any more: {why}"));
                    return Err(error.with_operation("journal"));
                }
                if so(&state) {
                    return Ok(());
                }
                self.start_flush(state);
            }
            changed.await;
        }
    }

    /// Starts writing what is pending, unless a group is on its way already.
    fn start_flush(&self, mut state: MutexGuard<'_, State>) {
        let Some(mut writer) = state.writer.take() else { return };
        let (group, upto) = (std::mem::take(&mut state.pending), state.appended);
        state.pending_work = 0;
        drop(state);
        let (shared, lock) = (Arc::clone(&self.shared), Arc::clone(&self.lock));
        let work = move || {
            let outcome = writer.write_group(group);
            // The folder stays locked while a group is written, but not longer
            // than until somebody hears of its end.
            drop(lock);
            let mut state = shared.state();
            match outcome {
                Ok(()) => state.durable = upto,
                Err(error) => state.failed = Some((error.kind(), error.report())),
            }
            state.writer = Some(writer);
            drop(state);
            shared.changed.notify_waiters();
        };
        // The group is written whether or not anybody waits for it.
        drop(self.shared.env.run_blocking(work));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
