//! The report of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lepton_core::{Error, ErrorKind, ObjectKey, PassedOver, Result};
use serde::{Deserialize, Serialize};

use crate::ledger::verification::Verification;
use crate::types::unprotected::Unprotected;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Every object is at the destination or was skipped as the settings ask.
    Complete,
    /// Some objects failed; the report names them. The same transfer on the same
    /// journal retries them.
    Incomplete,
    /// The run reached its limit of bytes or time. The same transfer on the same
    /// journal resumes it.
    Limited,
    /// The run was cancelled. The same transfer on the same journal resumes it.
    Cancelled,
}

impl Status {
    /// Whether every object was tried.
    pub(crate) fn tried_all(self) -> bool {
        matches!(self, Self::Complete | Self::Incomplete)
    }
}

/// An object that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Its key at the source.
    pub key: ObjectKey,
    /// The stable code of the error's kind.
    pub kind: String,
    /// The error with its causes, as readable text.
    pub error: String,
}

impl Failure {
    pub(crate) fn new(key: ObjectKey, error: &Error) -> Self {
        Self { key, kind: error.kind().code().to_owned(), error: error.full_message() }
    }
}

/// How many failures an error names.
const NAMED: usize = 3;

/// An object that took long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct SlowObject {
    /// The time from its start until it was at the destination, including waits
    /// for a slot; `elapsed_seconds` in JSON.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// Its size in bytes.
    pub size: u64,
    /// Its key at the source.
    pub key: ObjectKey,
    /// Retried requests for it; a restart of the whole object counts as one of them.
    pub retries: u64,
}

/// The duration and the retries of an object that was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) elapsed: Duration,
    pub(crate) retries: u64,
}

/// The objects that took longest, at most [`MOST`](Self::MOST).
#[derive(Debug, Default)]
pub(crate) struct Slowest(BTreeSet<SlowObject>);

impl Slowest {
    const MOST: usize = 10;

    pub(crate) fn take(&mut self, key: ObjectKey, size: u64, Timing { elapsed, retries }: Timing) {
        self.0.insert(SlowObject { elapsed, size, key, retries });
        if self.0.len() > Self::MOST {
            self.0.pop_first();
        }
    }

    /// The slowest first.
    pub(crate) fn into_vec(self) -> Vec<SlowObject> {
        self.0.into_iter().rev().collect()
    }
}

/// The report of a run, including earlier runs on the same journal. In JSON no field is
/// ever omitted; `docs/formats/report.md` describes them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[must_use = "a run can end without an error and be incomplete: see `status`, or call `into_result`"]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// Objects that this transfer moved to the destination.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these objects, those that an earlier run had finished.
    pub resumed_objects: u64,
    /// Bytes that earlier runs had moved, including parts of unfinished objects.
    pub resumed_bytes: u64,
    /// Of the resumed objects, those that this run did not look at again: a run that compares
    /// nothing relies on its journal for them. A verification of the manifest looks at all.
    pub by_journal: u64,
    /// Objects that were skipped, as the settings ask.
    pub skipped: u64,
    /// Objects that the destination copied by itself; the manifest states on which basis
    /// they are known to be right.
    pub server_copies: u64,
    /// Why the destination did not copy an object by itself although it could reach the
    /// source: the first cause. Such objects were read and sent.
    pub server_copy_refused: Option<String>,
    /// Objects that were found to be the same on both sides.
    pub unchanged: u64,
    /// Objects that only the destination has, if they were to be deleted.
    pub extras: u64,
    /// Extraneous objects that were deleted. None are deleted unless every other object
    /// succeeded.
    pub deleted: u64,
    /// The objects that failed, by key. Objects that could not be deleted are named up to
    /// `max_failures` failures; `failures_by_kind` counts all.
    pub failures: Vec<Failure>,
    /// The number of objects that failed, by the stable code of the error's kind.
    pub failures_by_kind: BTreeMap<String, u64>,
    /// The objects of this run that took longest, the slowest first; at most ten.
    pub slowest: Vec<SlowObject>,
    /// Bytes that this run read from the source: more than `bytes` if something
    /// had to be sent again.
    pub bytes_read: u64,
    /// Parts and whole objects that this run sent.
    pub parts: u64,
    /// Requests that were retried.
    pub retries: u64,
    /// Requests, including those of listings, that a store throttled, for example with 503
    /// or 429.
    pub throttled: u64,
    /// Objects that lost part of their metadata; the manifest states what was lost.
    pub metadata_lost: u64,
    /// Objects whose bytes were read over a network without TLS from a store that states no
    /// checksum of them: what was read may differ from what is stored. A source on this
    /// machine is not counted.
    pub source_unchecked: u64,
    /// What the destination does not protect the objects of this run against.
    pub unprotected: Vec<Unprotected>,
    /// What this run's listing of the source passed over, because of the store's settings.
    pub passed_over: PassedOver,
    /// Objects that were copied in the listed version while another version replaced
    /// it at the source. The manifest names them; another run on a new journal copies
    /// the current version.
    pub superseded: u64,
    /// Uploads to our keys that another client started: `key (upload id)`. They
    /// were left alone.
    pub foreign_uploads: Vec<String>,
    /// The duration of this run; `elapsed_seconds` in JSON.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// Bytes moved per second, averaged over the whole run.
    pub bytes_per_second: f64,
    /// Objects moved per second, averaged over the whole run.
    pub objects_per_second: f64,
    /// The path of the manifest.
    pub manifest: Option<PathBuf>,
    /// The comparison of the destination with the manifest, if the run is complete and was to be
    /// verified. Problems do not change the status.
    pub verification: Option<Verification>,
}

impl Report {
    /// The number of objects that failed.
    pub fn failed(&self) -> u64 {
        self.failures_by_kind.values().sum()
    }

    /// This report, if the run is complete.
    ///
    /// ```no_run
    /// # async fn example(transfer: lepton_data::Transfer) -> lepton_core::Result<()> {
    /// let report = transfer.run().await?.into_result()?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// For an incomplete run, the kind of its failures if all have the same, else
    /// `too_many_failures`; the message names the first of them. `cancelled` for a run that was cancelled or
    /// reached its limit. The same transfer on the same journal resumes all of these.
    pub fn into_result(self) -> Result<Self> {
        match self.status {
            Status::Complete => Ok(self),
            Status::Cancelled => Err(Error::new(ErrorKind::Cancelled, "the run was cancelled; run it again to resume")),
            Status::Limited => {
                Err(Error::new(ErrorKind::Cancelled, "the run reached its limit; run it again to resume"))
            }
            Status::Incomplete => Err(self.incomplete()),
        }
    }

    fn incomplete(&self) -> Error {
        let named = self.failures.iter().take(NAMED).map(|failure| format!("{}: {}", failure.key, failure.error));
        let named = named.collect::<Vec<_>>().join("; ");
        let message = format!("{} objects failed, the first of them: {named}", self.failed());
        let mut kinds = self.failures_by_kind.keys().map(|code| ErrorKind::from_code(code));
        let kind = kinds.next().flatten().filter(|_| self.failures_by_kind.len() == 1);
        Error::new(kind.unwrap_or(ErrorKind::TooManyFailures), message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_slowest_are_kept_the_slowest_first() {
        let mut slowest = Slowest::default();
        for number in 0..1000u64 {
            let key = ObjectKey::try_from(&*format!("k{number}")).unwrap();
            let elapsed = Duration::from_millis(number * 7919 % 1000);
            slowest.take(key, number, Timing { elapsed, retries: 0 });
        }
        let times: Vec<u128> = slowest.into_vec().iter().map(|object| object.elapsed.as_millis()).collect();
        assert_eq!(times, (990..1000).rev().collect::<Vec<_>>());
    }
}
