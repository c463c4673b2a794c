//! A plan on disk: a dry run writes it, the user reviews it, and a later run carries it
//! out. The format is in `docs/formats/plan.md`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Location, ObjectKey, PassedOver, Result, RuntimeExt as _, Sha256};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use crate::ledger::planned::{Planned, PlannedAction};
use crate::ledger::sealed_lines;
use crate::ledger::sealed_lines::SealedReader;
use crate::listing::lister::Lister;
use crate::names::mapping::Mapping;
use crate::settings::prefix_map::PrefixMap;
use crate::settings::transfer::TransferConfig;

/// The version of the plan format that this code writes and reads.
pub const PLAN_VERSION: u32 = 1;

pub(crate) const PLAN: &str = "plan";

/// The number of lines read in one batch, on a blocking thread.
pub(crate) const BATCH: usize = 256;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Header {
    lepton_plan: u32,
    source: String,
    source_folder: String,
    destination: String,
    destination_folder: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    map: Vec<PrefixMap>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    encode_keys: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    decode_keys: bool,
}

impl Header {
    pub(crate) fn of(source: &Location, destination: &Location, settings: &TransferConfig) -> Self {
        Self {
            lepton_plan: PLAN_VERSION,
            source: source.storage().url().to_owned(),
            source_folder: source.folder().to_string(),
            destination: destination.storage().url().to_owned(),
            destination_folder: destination.folder().to_string(),
            map: settings.map.clone(),
            encode_keys: settings.encode_keys,
            decode_keys: settings.decode_keys,
        }
    }

    /// Refuses a plan of another source or destination, or with another mapping of names.
    fn check(&self, ours: &Self) -> Result<()> {
        sealed_lines::check_version(PLAN, self.lepton_plan, PLAN_VERSION)?;
        if self == ours {
            return Ok(());
        }
        let message = format!("the plan is for {self}, this transfer for {ours}");
        Err(Error::new(ErrorKind::PlanMismatch, message).with_operation(PLAN))
    }
}

impl std::fmt::Display for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let folder = |folder: &str| if folder.is_empty() { String::new() } else { format!(" (folder {folder})") };
        let (from, to) = (folder(&self.source_folder), folder(&self.destination_folder));
        write!(f, "{}{from} to {}{to}", self.source, self.destination)?;
        self.map.iter().try_for_each(|rule| write!(f, ", {:?} being {:?}", rule.from, rule.to))?;
        f.write_str(if self.decode_keys { ", with decoded keys" } else { "" })?;
        f.write_str(if self.encode_keys { ", with encoded keys" } else { "" })
    }
}

/// The totals of a plan.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PlanSummary {
    /// Objects that would be copied.
    pub copies: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these objects, those that would replace another.
    pub replaced: u64,
    /// Objects that are the same on both sides.
    pub unchanged: u64,
    /// Objects that would be skipped.
    pub skipped: u64,
    /// Objects that would be deleted at the destination.
    pub deletes: u64,
    /// Objects that would fail.
    pub refused: u64,
    /// What the listing of the source passed over.
    pub passed_over: PassedOver,
}

impl PlanSummary {
    /// Counts one more object.
    pub fn add(&mut self, planned: &Planned) {
        match planned.action {
            PlannedAction::Copy { .. } => {
                self.copies += 1;
                self.bytes += planned.size;
                self.replaced += u64::from(planned.destination.is_some());
            }
            PlannedAction::Unchanged { .. } => self.unchanged += 1,
            PlannedAction::Skip => self.skipped += 1,
            PlannedAction::Delete => self.deletes += 1,
            PlannedAction::Refuse { .. } => self.refused += 1,
        }
    }
}

/// Reads a plan to its end and checks that it is complete and has the header `ours`;
/// returns its digest. Blocks.
pub(crate) fn check(file: &Path, ours: &Header) -> Result<Sha256> {
    let (mut lines, header): (_, Header) = SealedReader::new(crate::types::file::open(file, PLAN)?, PLAN)?;
    header.check(ours)?;
    while lines.next(|planned: &Planned| planned.size)?.is_some() {}
    Ok(lines.digest())
}

/// Batches of actions of a plan; an empty batch is the last.
pub(crate) type Batches = mpsc::Receiver<Result<Vec<Planned>>>;

/// Starts reading the actions after the sort key `after`.
pub(crate) fn start(lister: &Arc<Lister>, file: PathBuf, after: Option<ObjectKey>) -> Batches {
    let (send, receive) = mpsc::channel(2);
    let lister = Arc::clone(lister);
    let env = Arc::clone(&lister.scheduler.env);
    drop(env.run_blocking(move || {
        let counters = &lister.scheduler.counters;
        let sent = batches(&file, &lister.mapping, after.as_ref(), |batch| {
            let sources = || batch.iter().filter_map(|planned: &Planned| planned.source.as_ref());
            counters.listed_objects.add(sources().count() as u64);
            counters.listed_bytes.add(sources().map(|source| source.size).sum());
            send.blocking_send(Ok(batch)).is_ok()
        });
        if let Err(error) = sent {
            // The receiver is dropped when the run has ended.
            let _ = send.blocking_send(Err(error.with_context("path", file.display())));
        }
    }));
    receive
}

fn batches(
    file: &Path,
    mapping: &Mapping,
    after: Option<&ObjectKey>,
    mut send: impl FnMut(Vec<Planned>) -> bool,
) -> Result<()> {
    let (mut lines, _): (_, Header) = SealedReader::new(crate::types::file::open(file, PLAN)?, PLAN)?;
    let mut batch = Vec::new();
    let mut last: Option<ObjectKey> = None;
    while let Some(planned) = lines.next(|planned: &Planned| planned.size)? {
        let sort_key = planned.sort_key(mapping);
        if last.as_ref().is_some_and(|last| *last >= sort_key) {
            return Err(lines.corrupt("the plan's keys do not ascend"));
        }
        let is_after = after.is_none_or(|after| *after < sort_key);
        last = Some(sort_key);
        if is_after {
            batch.push(planned);
        }
        if batch.len() == BATCH && !send(std::mem::take(&mut batch)) {
            return Ok(());
        }
    }
    if batch.is_empty() || send(batch) {
        send(Vec::new());
    }
    Ok(())
}
