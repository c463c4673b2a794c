//! What a run counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use lepton_core::ErrorKind;

use crate::telemetry::metrics::Metrics;
use crate::telemetry::progress::{LanesProgress, Progress};
use crate::telemetry::retry_count;

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
        retry_count::retried();
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
