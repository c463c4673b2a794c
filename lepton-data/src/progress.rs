//! How far a run is.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use lepton_core::ErrorKind;
use serde::Serialize;

use crate::metrics::Metrics;
use crate::tally;

/// Counters that all stages share.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) listed_objects: AtomicU64,
    pub(crate) listed_bytes: AtomicU64,
    pub(crate) done_objects: AtomicU64,
    pub(crate) done_bytes: AtomicU64,
    pub(crate) skipped_objects: AtomicU64,
    pub(crate) unchanged_objects: AtomicU64,
    pub(crate) unchanged_bytes: AtomicU64,
    pub(crate) deleted_objects: AtomicU64,
    pub(crate) server_copies: AtomicU64,
    pub(crate) failed_objects: AtomicU64,
    pub(crate) resumed_objects: AtomicU64,
    pub(crate) resumed_bytes: AtomicU64,
    pub(crate) read_bytes: AtomicU64,
    pub(crate) parts: AtomicU64,
    pub(crate) retries: AtomicU64,
    /// Objects whose metadata could not be kept whole.
    pub(crate) metadata_lost: AtomicU64,
    pub(crate) listing_done: AtomicU64,
    pub(crate) metrics: Metrics,
}

impl Counters {
    pub(crate) fn read(&self, bytes: u64) {
        self.read_bytes.fetch_add(bytes, Relaxed);
        self.metrics.read(bytes);
    }

    pub(crate) fn add(&self, counter: fn(&Self) -> &AtomicU64, by: u64) {
        counter(self).fetch_add(by, Relaxed);
    }

    pub(crate) fn sub(&self, counter: fn(&Self) -> &AtomicU64, by: u64) {
        counter(self).fetch_sub(by, Relaxed);
    }

    /// A request is tried again because of this.
    pub(crate) fn retried(&self, kind: ErrorKind) {
        tally::retried();
        self.retries.fetch_add(1, Relaxed);
        self.metrics.retried(kind);
    }

    pub(crate) fn snapshot(&self, elapsed: Duration, lanes: LanesProgress) -> Progress {
        let get = |counter: &AtomicU64| counter.load(Relaxed);
        let (done, resumed, total) = (get(&self.done_bytes), get(&self.resumed_bytes), get(&self.listed_bytes));
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (done - resumed.min(done)) as f64 / elapsed.as_secs_f64().max(1e-3);
        let listing_done = get(&self.listing_done) > 0;
        #[allow(clippy::cast_precision_loss, reason = "an estimate for people")]
        let left = (listing_done && rate >= 1.0)
            .then(|| total.saturating_sub(done + get(&self.unchanged_bytes)) as f64 / rate);
        Progress {
            objects: get(&self.done_objects),
            bytes: done,
            skipped: get(&self.skipped_objects),
            unchanged: get(&self.unchanged_objects),
            deleted: get(&self.deleted_objects),
            failed: get(&self.failed_objects),
            total_objects: get(&self.listed_objects),
            total_bytes: total,
            listing_done,
            parts: get(&self.parts),
            retries: get(&self.retries),
            lanes,
            bytes_per_second: rate,
            elapsed,
            remaining: left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }
}

/// A moment of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Progress {
    /// Objects that are done, those of earlier runs included.
    pub objects: u64,
    /// Bytes that are done: those of finished objects and parts.
    pub bytes: u64,
    /// Objects that were skipped.
    pub skipped: u64,
    /// Objects that were found to be the same on both sides.
    pub unchanged: u64,
    /// Objects that were deleted at the destination.
    pub deleted: u64,
    /// Objects that failed.
    pub failed: u64,
    /// Objects found so far.
    pub total_objects: u64,
    /// Bytes found so far.
    pub total_bytes: u64,
    /// Whether all objects have been found, so that the totals are final.
    pub listing_done: bool,
    /// Parts and whole objects sent.
    pub parts: u64,
    /// Requests that were tried again.
    pub retries: u64,
    /// What is on its way at once, and how much may be.
    pub lanes: LanesProgress,
    /// Bytes a second, on the average of this run.
    pub bytes_per_second: f64,
    /// How long this run has taken; JSON has it as `elapsed_seconds`.
    #[serde(rename = "elapsed_seconds", with = "crate::seconds")]
    pub elapsed: Duration,
    /// How long it will still take, if that can be told; JSON has it as
    /// `remaining_seconds`.
    #[serde(rename = "remaining_seconds", with = "crate::seconds::optional")]
    pub remaining: Option<Duration>,
}

/// The lanes of a run. Each kind of work has one, with limits of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LanesProgress {
    /// Pages of listings that are asked for by ranges, several at once. The two
    /// sides are listed apart, each within its own limit.
    pub listing: LaneProgress,
    /// Objects that go in one piece, and copies that the store makes of such.
    pub small: LaneProgress,
    /// Parts of large objects.
    pub parts: LaneProgress,
}

impl LanesProgress {
    /// How often a store asked for less: 503, 429 and the like.
    pub fn throttled(&self) -> u64 {
        [self.listing, self.small, self.parts]
            .iter()
            .map(|lane| lane.source.throttled + lane.destination.throttled)
            .sum()
    }
}

/// One kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct LaneProgress {
    /// What the source is good for.
    pub source: EndpointProgress,
    /// What the destination is good for. What uses both sides is held to the smaller
    /// limit.
    pub destination: EndpointProgress,
    /// Units on their way.
    pub running: usize,
    /// Of these, those that wait to be tried again.
    pub resting: usize,
    /// Units that are ready and wait for a place or for memory.
    pub waiting: usize,
}

/// One side of one kind of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct EndpointProgress {
    /// How many may be on their way at once, as found so far.
    pub limit: usize,
    /// How often the store asked for less.
    pub throttled: u64,
}
