//! The record of a migration: its events, one after the other.
//!
//! A record is an event as JSON, or before an effect the name of the intent. Replaying the
//! events gives the state. The segments are those of `lepton_core::journal`.

use std::path::Path;

use lepton_core::journal::{FIRST_USER_TYPE, Identity, Journal, Opened, Replay};
use lepton_core::migration::{Event, Intent};
use lepton_core::{EnvExt as _, Error, ErrorKind, Result, SharedEnv};
use serde::Serialize;

const EVENT: u16 = FIRST_USER_TYPE;
const INTENT: u16 = FIRST_USER_TYPE + 1;

#[derive(Debug)]
pub(super) struct Record(Journal);

#[derive(Serialize)]
struct Begun<'a> {
    intent: &'a str,
    what: String,
}

impl Record {
    /// Opens the journal of this migration and returns what earlier drivers recorded.
    ///
    /// # Errors
    /// `locked` while another driver has it; `plan_mismatch` if it belongs to another migration.
    pub(super) async fn open(env: &SharedEnv, folder: &Path, name: &str) -> Result<(Self, Vec<Event>)> {
        let identity = Identity::from_iter([("migration".to_owned(), name.into())]);
        let (ours, folder) = (env.clone(), folder.to_owned());
        let opened = env.run_blocking(move || -> Result<_> {
            let Opened { journal, replay, .. } = Journal::open(ours, &folder, &identity)?;
            Ok((journal, replay.map(events).transpose()?.unwrap_or_default()))
        });
        let (journal, events) = opened.join().await??;
        Ok((Self(journal), events))
    }

    /// Records an event, durably.
    pub(super) async fn event(&self, event: &Event) -> Result<()> {
        self.0.append(EVENT, &json(event)?)?;
        self.0.commit().await
    }

    /// Records that an effect is about to be made, durably.
    pub(super) async fn intent(&self, intent: &Intent) -> Result<()> {
        self.0.append(INTENT, &json(&Begun { intent: intent.name(), what: format!("{intent:?}") })?)?;
        self.0.commit().await
    }
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(value)
        .map_err(|source| Error::new(ErrorKind::Unexpected, format!("a record cannot be written: {source}")))
}

fn events(replay: Replay) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for record in replay {
        let record = record?;
        match record.kind {
            EVENT => events.push(serde_json::from_slice(&record.payload).map_err(|source| {
                Error::new(ErrorKind::Corrupt, format!("a record of the migration cannot be read: {source}"))
            })?),
            INTENT => {}
            other => {
                let message = format!("the journal holds records of type {other}, which this version does not know");
                return Err(Error::unsupported(message));
            }
        }
    }
    Ok(events)
}

/// Reads the events of a migration from its folder, also while a driver runs. Blocks.
///
/// # Errors
/// `not_found` if there is no journal; `corrupt` if it is damaged.
pub fn read_events(folder: &Path) -> Result<Vec<Event>> {
    events(Replay::of(folder)?)
}
