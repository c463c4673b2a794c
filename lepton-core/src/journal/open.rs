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
use crate::error::{Error, ErrorKind, Result};
use crate::runtime::{RuntimeExt as _, SharedRuntime};

/// A group commit starts by itself once this many bytes are pending.
pub(super) const FLUSH_AT: usize = 256 << 10;

/// A group commit starts by itself once the pending records stand for this many bytes of work.
pub(super) const FLUSH_AT_WORK: u64 = 8 << 20;

/// The longest time that a record waits before its group commit starts.
pub(super) const FLUSH_AFTER: Duration = Duration::from_millis(500);

/// [`Journal::room`] waits for the disk once this many bytes are pending.
pub(super) const ROOM: usize = 1 << 20;

/// An open journal. Clones share it; the folder stays locked until the last clone is
/// dropped.
#[derive(Debug, Clone)]
pub struct Journal {
    shared: Arc<Shared>,
    lock: Arc<Lock>,
}

#[derive(Debug)]
struct Shared {
    env: SharedRuntime,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Writes the groups; taken while a group is in flight.
    writer: Option<Writer>,
    pending: Vec<u8>,
    /// The bytes of work that the pending records stand for.
    pending_work: u64,
    /// Whether a task is waiting to write the pending records.
    timer: bool,
    appended: u64,
    durable: u64,
    /// After a failed write or sync, nothing more counts as durable: how much of the
    /// data the kernel kept is unknown.
    failed: Option<(ErrorKind, String)>,
}

/// An opened journal, and the records that it already contained.
#[derive(Debug)]
pub struct Opened {
    /// The journal, ready for more records.
    pub journal: Journal,
    /// The records of earlier runs; `None` if the journal is new.
    pub replay: Option<Replay>,
}

impl Journal {
    /// Opens the journal in `folder`, or creates one there. Blocks.
    ///
    /// # Errors
    /// `locked` if another process has it open; `plan_mismatch`, naming each
    /// difference, if it belongs to another plan; `corrupt` with segment and
    /// offset if it is damaged; `unsupported` if a newer version wrote it.
    pub fn open(env: SharedRuntime, folder: &Path, identity: &Identity) -> Result<Opened> {
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

    /// Discards a finished run: removes the segments in `folder`, so that the next
    /// [`open`](Self::open) starts a new journal. Blocks.
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

    /// Atomically replaces the journal in `folder` by a new one with just these records:
    /// after a crash it is either the old journal or the new one. Blocks.
    ///
    /// # Errors
    /// `locked` if a process has the journal open; errors of the disk.
    pub fn restart(folder: &Path, identity: &Identity, records: &[(u16, Vec<u8>)]) -> Result<()> {
        let _lock = Lock::take(folder)?;
        write::first_segment(&folder.join(NEXT), identity, records)?;
        sync_folder(folder)?;
        finish_restart(folder)
    }

    /// Appends a record. It is durable after the next [`commit`](Self::commit) or, without
    /// a commit, about half a second later.
    ///
    /// `kind` must be at least [`FIRST_USER_TYPE`], and the payload at most 16 MiB.
    ///
    /// # Errors
    /// `invalid_input` if `kind` or `payload` is out of these bounds.
    pub fn append(&self, kind: u16, payload: &[u8]) -> Result<()> {
        self.append_for(kind, payload, 0)
    }

    /// Appends a record that stands for `work` bytes of finished work. Once the pending
    /// records stand for 8 MiB, they are written without waiting for more.
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

    /// Starts a task that writes the pending records after [`FLUSH_AFTER`]. It does not keep
    /// the folder locked while it waits.
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
            // A group is in flight: the records appended since then form the next one.
            state.timer = true;
            drop(state);
            self.flush_later();
            return;
        }
        self.start_flush(state);
    }

    /// Waits until everything appended so far is on disk.
    ///
    /// Cancellation safe: the group is still written.
    ///
    /// # Errors
    /// Errors of the disk, from this commit or an earlier one: after a failed sync, a
    /// journal is not trusted again.
    pub async fn commit(&self) -> Result<()> {
        let target = self.state().appended;
        self.wait(|state| state.durable >= target).await
    }

    /// Waits while too many appended records are not written yet, so that records do not
    /// fill the memory if the disk is slower than the caller.
    ///
    /// Cancellation safe.
    ///
    /// # Errors
    /// As [`commit`](Self::commit).
    pub async fn room(&self) -> Result<()> {
        self.wait(|state| state.pending.len() < ROOM).await
    }

    /// Writes groups until the condition holds.
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

    /// Starts writing the pending records, unless a group is already in flight or one has
    /// failed: the bytes of a failed group may be in the file, and another one after them
    /// would make the journal unreadable.
    fn start_flush(&self, mut state: MutexGuard<'_, State>) {
        if state.failed.is_some() {
            return;
        }
        let Some(mut writer) = state.writer.take() else { return };
        let (group, upto) = (std::mem::take(&mut state.pending), state.appended);
        state.pending_work = 0;
        drop(state);
        let (shared, lock) = (Arc::clone(&self.shared), Arc::clone(&self.lock));
        let work = move || {
            let outcome = writer.write_group(group);
            // The folder stays locked while the group is written, but is unlocked before
            // any caller is notified.
            drop(lock);
            let mut state = shared.state();
            match outcome {
                Ok(()) => state.durable = upto,
                Err(error) => state.failed = Some((error.kind(), error.full_message())),
            }
            state.writer = Some(writer);
            drop(state);
            shared.changed.notify_waiters();
        };
        // The group is written even if no caller waits for it.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SystemRuntime;

    #[tokio::test]
    async fn after_a_failed_group_no_other_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(SystemRuntime::shared(), folder.path(), &Identity::new()).unwrap().journal;
        journal.append(FIRST_USER_TYPE, b"before").unwrap();
        journal.commit().await.unwrap();
        let len = || fs::metadata(folder.path().join("journal-000001.log")).unwrap().len();
        let before = len();
        journal.state().failed = Some((ErrorKind::Io, "told to".to_owned()));
        journal.append(FIRST_USER_TYPE, &vec![0; FLUSH_AT]).unwrap();
        journal.append(FIRST_USER_TYPE, b"after").unwrap();
        assert_eq!(journal.commit().await.unwrap_err().kind(), ErrorKind::Io);
        SystemRuntime::shared().sleep(FLUSH_AFTER * 2).await;
        assert_eq!(len(), before);
    }
}
