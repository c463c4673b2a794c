//! The journal that a run writes.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, MutexGuard, PoisonError};

use lepton_core::Result;
use lepton_core::journal::Journal;
use serde::Serialize;

use crate::ledger::manifest::ManifestEntry;
use crate::ledger::note::{DONE, NOTE, Note};
use crate::types::file::to_json;

/// The journal of a transfer. A dry run has no journal and records nothing.
#[derive(Debug, Default)]
pub(crate) struct Log {
    journal: Mutex<Option<Journal>>,
    /// A record could not be written.
    failed: AtomicBool,
}

impl Log {
    pub(crate) fn new(journal: Journal) -> Self {
        Self { journal: Mutex::new(Some(journal)), failed: AtomicBool::new(false) }
    }

    /// Releases the journal for the next run. Tasks that end after their run record
    /// nothing.
    pub(crate) fn close(&self) {
        self.journal().take();
    }

    fn journal(&self) -> MutexGuard<'_, Option<Journal>> {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a record; durable with the next commit.
    pub(crate) fn note(&self, note: &Note) -> Result<()> {
        let work = if let Note::PartDone { receipt, .. } = note { receipt.size } else { 0 };
        self.append(NOTE, note, work)
    }

    /// Appends a record and waits until it is durable.
    pub(crate) async fn note_durably(&self, note: &Note) -> Result<()> {
        self.note(note)?;
        self.commit().await
    }

    /// Appends the manifest line of a finished object.
    pub(crate) fn done(&self, entry: &ManifestEntry) -> Result<()> {
        self.append(DONE, entry, if entry.unchanged.is_none() { entry.size } else { 0 })
    }

    pub(crate) async fn commit(&self) -> Result<()> {
        let journal = self.journal().clone();
        match journal {
            Some(journal) => self.seen(journal.commit().await),
            None => Ok(()),
        }
    }

    /// Waits while much of what was appended is not on disk yet.
    pub(crate) async fn room(&self) -> Result<()> {
        let journal = self.journal().clone();
        match journal {
            Some(journal) => self.seen(journal.room().await),
            None => Ok(()),
        }
    }

    /// Whether a record could not be written. Then the run ends, because it could not be resumed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Relaxed)
    }

    /// `work` is the number of bytes to send again if the record were lost.
    fn append(&self, kind: u16, record: &impl Serialize, work: u64) -> Result<()> {
        let appended = to_json(record).and_then(|record| match &*self.journal() {
            Some(journal) => journal.append_for(kind, &record, work),
            None => Ok(()),
        });
        self.seen(appended)
    }

    fn seen(&self, written: Result<()>) -> Result<()> {
        if written.is_err() {
            self.failed.store(true, Relaxed);
        }
        written
    }
}
