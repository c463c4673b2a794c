//! What a run did.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use lepton_core::{Error, ObjectKey};
use serde::{Deserialize, Serialize};

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Status {
    /// Every object is at the destination or was skipped as asked.
    Complete,
    /// Some objects failed; the report names them. The same transfer on the same
    /// journal tries them again.
    Incomplete,
    /// The run came to its limit of bytes or of time. The same transfer on the same
    /// journal goes on.
    Limited,
    /// The run was cancelled. The same transfer on the same journal goes on.
    Cancelled,
}

/// An object that failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Failure {
    /// Its key at the source.
    pub key: ObjectKey,
    /// The stable code of the error's kind.
    pub kind: String,
    /// The error with its causes, for people.
    pub error: String,
}

impl Failure {
    pub(crate) fn new(key: ObjectKey, error: &Error) -> Self {
        Self { key, kind: error.kind().code().to_owned(), error: error.report() }
    }
}

/// An object that took long.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct SlowObject {
    /// From the moment it was taken in hand until it was at the destination, waits
    /// for its turn included; JSON has it as `elapsed_seconds`.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// Its size in bytes.
    pub size: u64,
    /// Its key at the source.
    pub key: ObjectKey,
    /// Requests for it that were tried again; if it was begun again, that counts as one
    /// of them.
    pub retries: u64,
}

/// How an object that was taken in hand came to its end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) elapsed: Duration,
    pub(crate) retries: u64,
}

/// The objects that took longest: never more than [`MOST`](Self::MOST).
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

/// What a run did, those before it on the same journal included. In JSON no field is
/// ever left out; `docs/formats/report.md` describes them.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// How it ended.
    pub status: Status,
    /// Objects at the destination by this transfer.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Of these objects, those that an earlier run had finished.
    pub resumed_objects: u64,
    /// Bytes that earlier runs had brought, parts of unfinished objects included.
    pub resumed_bytes: u64,
    /// Objects that were left as they are, as asked.
    pub skipped: u64,
    /// Objects that the destination copied by itself; the manifest says by what they
    /// are known to be right.
    pub server_copies: u64,
    /// Why it did not copy an object by itself though it could reach the source: the
    /// first cause. Such objects were read and sent.
    pub server_copy_refused: Option<String>,
    /// Objects that were found to be the same on both sides.
    pub unchanged: u64,
    /// Objects that only the destination has, if they were to be deleted.
    pub extras: u64,
    /// Of these, those that were deleted. None are unless every object came to a
    /// good end.
    pub deleted: u64,
    /// The objects that failed, by key. Of objects that could not be deleted no more
    /// are named than `max_failures` says; `failures_by_kind` counts all.
    pub failures: Vec<Failure>,
    /// How many objects failed, by the stable code of the error's kind.
    pub failures_by_kind: BTreeMap<String, u64>,
    /// The objects of this run that took longest, the slowest first; at most ten.
    pub slowest: Vec<SlowObject>,
    /// Bytes that this run read from the source: more than `bytes` if something
    /// had to be sent again.
    pub bytes_read: u64,
    /// Parts and whole objects that this run sent.
    pub parts: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// Of these and of listings, those that a store refused because they were too much:
    /// 503, 429 and the like.
    pub throttled: u64,
    /// Objects whose metadata could not be kept whole; the manifest says what
    /// was lost.
    pub metadata_lost: u64,
    /// Objects that were copied in the version that was listed, while another
    /// version took its place at the source. The manifest names them; a further
    /// run on a new journal copies what is there now.
    pub superseded: u64,
    /// Uploads of our keys that somebody else has begun: `key (upload id)`. They
    /// were left alone.
    pub foreign_uploads: Vec<String>,
    /// How long this run took; JSON has it as `elapsed_seconds`.
    #[serde(rename = "elapsed_seconds", with = "crate::settings::serde_seconds")]
    pub elapsed: Duration,
    /// Bytes that this run brought, a second, on the average of its whole time.
    pub bytes_per_second: f64,
    /// Objects that this run brought, a second, on the average of its whole time.
    pub objects_per_second: f64,
    /// Where the manifest is.
    pub manifest: Option<PathBuf>,
}

impl Report {
    /// How many objects failed.
    pub fn failed(&self) -> u64 {
        self.failures_by_kind.values().sum()
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
