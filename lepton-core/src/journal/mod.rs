//! The journal: what a run meant to do and what it did, on disk.
//!
//! One folder per run, with numbered segments and a lock file. Records are
//! appended in memory and become durable in groups: [`Journal::commit`] returns
//! when everything appended before it is on disk, however many callers wait at
//! once, for the price of one `fdatasync`. After a crash everything behind the
//! last complete group is dropped; damage before it is an error that names the
//! segment and the offset. The format is in `docs/formats/journal.md`.
//!
//! A group is written when somebody waits for it, when enough is pending, and in any
//! case soon after its first record: what a kill can take is bounded in time and, by
//! [`Journal::append_for`], in the bytes of the work that the records stand for.
//!
//! A journal never holds a secret.

mod format;
mod lock;
mod replay;
#[cfg(test)]
mod tests;
mod write;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::sync::Notify;

use crate::env::{EnvExt as _, SharedEnv};
use crate::error::{Error, ErrorKind, Result};
use format::HEADER;
use lock::Lock;
use write::Writer;

pub use replay::{Record, Replay};

/// Appended bytes beyond which a group commit starts by itself.
const FLUSH_AT: usize = 256 << 10;

/// Bytes of work whose records are not on disk beyond which a group commit starts by
/// itself.
const FLUSH_AT_WORK: u64 = 8 << 20;

/// How long a record waits at most before its group commit starts.
const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// Appended bytes that may wait for the disk before [`Journal::room`] waits too.
const ROOM: usize = 1 << 20;

/// The file that says that the segments beside it are being removed.
const DISCARD: &str = "journal.discard";

/// The first segment of a journal that begins anew. While it has this name, the segments
/// beside it are void.
const NEXT: &str = "journal.next";

/// The first record type that a user of the journal may choose.
pub const FIRST_USER_TYPE: u16 = 16;

/// What a journal belongs to: the plan's source, destination and every option
/// that changes bytes, names or deletes. Never credentials, and nothing that may
/// differ when a run is taken up again, such as concurrency.
pub type Identity = Map<String, Value>;

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

/// Removes the segments of a journal that is marked as discarded. The marker goes
/// last, so that a crash on the way never leaves a shorter journal behind.
fn finish_discard(folder: &Path) -> Result<()> {
    let remove =
        |path: &Path| fs::remove_file(path).map_err(|e| at(Error::io("cannot remove a part of the journal", e), path));
    for (_, segment) in replay::numbered(folder)? {
        remove(&segment)?;
    }
    let next = folder.join(NEXT);
    if next.exists() {
        remove(&next)?;
    }
    sync_folder(folder)?;
    remove(&folder.join(DISCARD))?;
    sync_folder(folder)
}

/// Puts the first segment of a journal that begins anew into the place of the old ones.
fn finish_restart(folder: &Path) -> Result<()> {
    for (_, segment) in replay::numbered(folder)? {
        fs::remove_file(&segment).map_err(|e| at(Error::io("cannot remove a part of the journal", e), &segment))?;
    }
    sync_folder(folder)?;
    let (from, to) = (folder.join(NEXT), segment_path(folder, 1));
    fs::rename(&from, &to).map_err(|e| at(Error::io("cannot begin the journal anew", e), &from))?;
    sync_folder(folder)
}

/// Refuses a journal of another plan, naming every difference.
fn same_plan(found: &Identity, wanted: &Identity) -> Result<()> {
    let names = found.keys().chain(wanted.keys().filter(|name| !found.contains_key(*name)));
    let show = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
    let differences: Vec<String> = names
        .filter(|name| found.get(*name) != wanted.get(*name))
        .map(|name| format!("{name} was {} and is now {}", show(found.get(name)), show(wanted.get(name))))
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    let message = format!(
        "the journal belongs to another plan: {}; use the same options or another journal folder",
        differences.join("; ")
    );
    Err(Error::new(ErrorKind::PlanMismatch, message))
}

fn at(error: Error, path: &Path) -> Error {
    error.with_operation("journal").with_context("path", path.display())
}

fn sync_folder(folder: &Path) -> Result<()> {
    let synced = File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|e| at(Error::io("cannot sync the journal folder", e), folder))
}

fn segment_path(folder: &Path, number: u32) -> PathBuf {
    folder.join(format!("journal-{number:06}.log"))
}
