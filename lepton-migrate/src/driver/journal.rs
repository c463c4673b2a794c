//! The journal of a migration: its events in order, and a note before each effect.
//!
//! Replaying the events gives the state; the notes are for people and reports. The segments are
//! those of `lepton_core::journal`; docs/formats/migration.md describes the records.

use std::path::Path;

use lepton_core::deployment::RevisionId;
use lepton_core::journal::{FIRST_USER_TYPE, Identity, Journal, Opened, Replay};
use lepton_core::migration::{Event, Machine, Policy};
use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _, SharedRuntime};
use serde::{Deserialize, Serialize};

const EVENT: u16 = FIRST_USER_TYPE;
const NOTE: u16 = FIRST_USER_TYPE + 1;

/// A record of the journal of a migration.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Entry {
    /// Something that happened; it decides the state.
    Event(Event),
    /// What the driver was about to do, or what it learned.
    Note(Note),
}

/// A note in the journal. It does not change the state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "note", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Note {
    /// An intent starts.
    Intent {
        /// Its name.
        intent: String,
        /// Its details.
        details: String,
    },
    /// A step is about to be made; its undo takes it back.
    Step {
        /// The name of the step.
        step: String,
        /// The key of the operation.
        key: String,
    },
    /// A step was taken back.
    StepUndone {
        /// The name of the step.
        step: String,
    },
    /// A workload is about to be applied; deleting the workload undoes it.
    Apply {
        /// The name of the workload.
        workload: String,
        /// The key of the operation, which contains the digest of the spec.
        key: String,
    },
    /// A workload was applied.
    Applied {
        /// The name of the workload.
        workload: String,
        /// The revision that it has now.
        revision: RevisionId,
    },
    /// A workload is about to be deleted.
    Delete {
        /// The name of the workload.
        workload: String,
    },
    /// A workload is gone.
    Deleted {
        /// The name of the workload.
        workload: String,
    },
}

/// An open journal; clones share it and its lock.
#[derive(Debug, Clone)]
pub(crate) struct Record(Journal);

impl Record {
    /// Opens the journal of this migration and returns the events that earlier drivers recorded.
    ///
    /// # Errors
    /// `locked` while another driver has it; `plan_mismatch` if it belongs to another migration.
    pub(crate) async fn open(
        env: &SharedRuntime,
        folder: &Path,
        name: &str,
        data_sets: &[String],
        policy: Policy,
    ) -> Result<(Self, Vec<Event>)> {
        // What the replay of the events depends on.
        let identity = Identity::from_iter([
            ("migration".to_owned(), name.into()),
            ("data_sets".to_owned(), data_sets.into()),
            ("fences".to_owned(), policy.fences.into()),
        ]);
        let (ours, folder) = (env.clone(), folder.to_owned());
        let opened = env.run_blocking(move || -> Result<_> {
            let Opened { journal, replay, .. } = Journal::open(ours, &folder, &identity)?;
            Ok((journal, replay.map(entries).transpose()?.unwrap_or_default()))
        });
        let (journal, entries) = opened.join().await??;
        Ok((Self(journal), events(entries)))
    }

    /// Records an event, durably.
    pub(crate) async fn event(&self, event: &Event) -> Result<()> {
        self.0.append(EVENT, &json(event)?)?;
        self.0.commit().await
    }

    /// Records a note, durably.
    pub(super) async fn note(&self, note: &Note) -> Result<()> {
        self.0.append(NOTE, &json(note)?)?;
        self.0.commit().await
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|source| Error::new(ErrorKind::Unexpected, format!("a record cannot be written: {source}")))
}

fn entries(replay: Replay) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for record in replay {
        let record = record?;
        let damaged =
            |source| Error::new(ErrorKind::Corrupt, format!("a record of the migration cannot be read: {source}"));
        entries.push(match record.kind {
            EVENT => Entry::Event(serde_json::from_slice(&record.payload).map_err(damaged)?),
            NOTE => Entry::Note(serde_json::from_slice(&record.payload).map_err(damaged)?),
            other => {
                let message = format!("the journal has records of type {other}, which this version does not know");
                return Err(Error::unsupported(message));
            }
        });
    }
    Ok(entries)
}

fn events(entries: Vec<Entry>) -> Vec<Event> {
    let event = |entry| if let Entry::Event(event) = entry { Some(event) } else { None };
    entries.into_iter().filter_map(event).collect()
}

/// Applies the events of a journal to a machine that is a draft.
pub(crate) fn replay(mut machine: Machine, events: Vec<Event>) -> Result<Machine> {
    for event in events {
        machine.apply(event).map_err(|error| {
            Error::new(ErrorKind::Corrupt, "the events of the journal do not follow each other").with_source(error)
        })?;
    }
    Ok(machine)
}

/// Reads the journal of a migration from its folder, also while a driver runs. Blocks.
///
/// # Errors
/// `not_found` if there is no journal; `corrupt` if it is damaged; `unsupported` if a newer version
/// wrote it.
pub fn read_journal(folder: &Path) -> Result<Vec<Entry>> {
    entries(Replay::of(folder)?)
}

/// Reads the events of a migration from its folder, also while a driver runs. Blocks.
///
/// # Errors
/// As [`read_journal`].
pub fn read_events(folder: &Path) -> Result<Vec<Event>> {
    read_journal(folder).map(events)
}
