//! The counters of a run.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Duration;

use lepton_core::ErrorKind;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::progress::{LanesProgress, Progress};
use crate::telemetry::retry_count;

/// A number that many tasks add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Relaxed);
    }

    pub(crate) fn sub(&self, by: u64) {
        self.0.fetch_sub(by, Relaxed);
    }

    pub(crate) fn load(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counters that all stages share.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) listed_objects: Counter,
    pub(crate) listed_bytes: Counter,
    pub(crate) done_objects: Counter,
    pub(crate) done_bytes: Counter,
    pub(crate) skipped_objects: Counter,
    pub(crate) unchanged_objects: Counter,
    pub(crate) unchanged_bytes: Counter,
    pub(crate) deleted_objects: Counter,
    pub(crate) server_copies: Counter,
    pub(crate) failed_objects: Counter,
    pub(crate) resumed_objects: Counter,
    pub(crate) resumed_bytes: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) parts: Counter,
    pub(crate) retries: Counter,
    /// Objects whose metadata could not be kept completely.
    pub(crate) metadata_lost: Counter,
    /// Objects whose source could not be checked.
    pub(crate) source_unchecked: Counter,
    listing_done: AtomicBool,
    pub(crate) metrics: Metrics,
}

impl Counters {
    pub(crate) fn read(&self, bytes: u64) {
        self.read_bytes.add(bytes);
        self.metrics.read(bytes);
    }

    /// Records that all objects have been found.
    pub(crate) fn listing_is_done(&self) {
        self.listing_done.store(true, Relaxed);
    }

    /// Counts a retry caused by an error of this kind.
    pub(crate) fn retried(&self, kind: ErrorKind) {
        retry_count::retried();
        self.retries.add(1);
        self.metrics.retried(kind);
    }

    pub(crate) fn snapshot(&self, elapsed: Duration, lanes: LanesProgress) -> Progress {
        let (done, resumed, total) = (self.done_bytes.load(), self.resumed_bytes.load(), self.listed_bytes.load());
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = (done - resumed.min(done)) as f64 / elapsed.as_secs_f64().max(1e-3);
        let listing_done = self.listing_done.load(Relaxed);
        #[allow(clippy::cast_precision_loss, reason = "an estimate for people")]
        let left = (listing_done && rate >= 1.0)
            .then(|| total.saturating_sub(done + self.unchanged_bytes.load()) as f64 / rate);
        Progress {
            objects: self.done_objects.load(),
            bytes: done,
            skipped: self.skipped_objects.load(),
            unchanged: self.unchanged_objects.load(),
            deleted: self.deleted_objects.load(),
            failed: self.failed_objects.load(),
            total_objects: self.listed_objects.load(),
            total_bytes: total,
            listing_done,
            parts: self.parts.load(),
            retries: self.retries.load(),
            lanes,
            bytes_per_second: rate,
            elapsed,
            remaining: left.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        }
    }
}
