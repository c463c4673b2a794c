//! The counters of a run.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use lepton_core::{ErrorKind, PassedOver};

use crate::telemetry::metrics::Metrics;
use crate::telemetry::progress::{LanesProgress, Phase, Progress};
use crate::telemetry::recent_rate::RecentRate;
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
    /// The sizes of the objects that are done. Unlike `done_bytes`, they count no object twice
    /// that was started again, and no part of an unfinished one.
    pub(crate) moved_bytes: Counter,
    pub(crate) skipped_objects: Counter,
    pub(crate) skipped_bytes: Counter,
    pub(crate) unchanged_objects: Counter,
    pub(crate) unchanged_bytes: Counter,
    pub(crate) deleted_objects: Counter,
    pub(crate) extras: Counter,
    pub(crate) server_copies: Counter,
    pub(crate) failed_objects: Counter,
    pub(crate) failed_bytes: Counter,
    pub(crate) resumed_objects: Counter,
    pub(crate) resumed_bytes: Counter,
    pub(crate) read_bytes: Counter,
    pub(crate) parts: Counter,
    pub(crate) retries: Counter,
    /// Objects whose metadata could not be kept completely.
    pub(crate) metadata_lost: Counter,
    /// Objects whose source could not be checked.
    pub(crate) source_unchecked: Counter,
    passed_over: Mutex<PassedOver>,
    /// Those of the verification at the end of the run.
    pub(crate) verification: OnceLock<Arc<Counters>>,
    listing_done: AtomicBool,
    phase: AtomicU8,
    recent: Mutex<RecentRate>,
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

    /// Subtracts an object from the totals of the listing.
    pub(crate) fn uncount(&self, bytes: u64) {
        self.listed_objects.sub(1);
        self.listed_bytes.sub(bytes);
    }

    /// Adds what a page of the source's listing passed over.
    pub(crate) fn pass_over(&self, passed_over: PassedOver) {
        if passed_over.total() > 0 {
            self.passed_over.lock().unwrap_or_else(PoisonError::into_inner).add(passed_over);
        }
    }

    pub(crate) fn forget_passed_over(&self) {
        *self.passed_over.lock().unwrap_or_else(PoisonError::into_inner) = PassedOver::default();
    }

    pub(crate) fn passed_over(&self) -> PassedOver {
        *self.passed_over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records what the run does from now on.
    pub(crate) fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    fn phase(&self) -> Phase {
        Phase::ALL.get(usize::from(self.phase.load(Relaxed))).copied().unwrap_or_default()
    }

    /// Counts a retry caused by an error of this kind.
    pub(crate) fn retried(&self, kind: ErrorKind) {
        retry_count::retried();
        self.retries.add(1);
        self.metrics.retried(kind);
    }

    pub(crate) fn snapshot(&self, elapsed: Duration, paused: bool, lanes: LanesProgress) -> Progress {
        let (done, resumed) = (self.done_bytes.load(), self.resumed_bytes.load());
        let brought = done.saturating_sub(resumed);
        #[allow(clippy::cast_precision_loss, reason = "a rate for people")]
        let rate = brought as f64 / elapsed.as_secs_f64().max(1e-3);
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner).at(elapsed, brought);
        let mut progress = Progress {
            objects: self.done_objects.load(),
            bytes: done,
            skipped: self.skipped_objects.load(),
            skipped_bytes: self.skipped_bytes.load(),
            unchanged: self.unchanged_objects.load(),
            unchanged_bytes: self.unchanged_bytes.load(),
            deleted: self.deleted_objects.load(),
            total_deletes: self.extras.load(),
            failed: self.failed_objects.load(),
            failed_bytes: self.failed_bytes.load(),
            total_objects: self.listed_objects.load(),
            total_bytes: self.listed_bytes.load(),
            listing_done: self.listing_done.load(Relaxed),
            parts: self.parts.load(),
            retries: self.retries.load(),
            lanes,
            bytes_per_second: rate,
            recent_bytes_per_second: recent,
            verified: self.verification.get().map_or(0, |counters| counters.done_objects.load()),
            verified_bytes: self.verification.get().map_or(0, |counters| counters.done_bytes.load()),
            phase: self.phase(),
            paused,
            elapsed,
            remaining: None,
        };
        if progress.listing_done && !paused && recent >= 1.0 {
            #[allow(clippy::cast_precision_loss, reason = "an estimate for people")]
            let seconds = progress.left() as f64 / recent;
            progress.remaining = Duration::try_from_secs_f64(seconds).ok();
        }
        progress
    }
}
