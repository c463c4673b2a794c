//! The measurements of a run: the duration of requests and objects, the size of objects, and
//! retries. They are reported through `tracing`, and through OpenTelemetry if it is built in
//! (feature `otel-metrics`).
//!
//! `docs/observe.md` lists the names and fields.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lepton_core::{Error, ErrorKind};

use crate::telemetry::operation::Operation;
use crate::telemetry::otel::Instruments;
use crate::telemetry::progress::Progress;
use crate::types::side::Side;

/// The measurements of a run.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    requests: [[Requests; Operation::ALL.len()]; 2],
    /// The times of copied objects, in microseconds, and their sizes, in bytes.
    object_time: Histogram,
    object_size: Histogram,
    sent_bytes: AtomicU64,
    retries: Mutex<BTreeMap<&'static str, u64>>,
    instruments: Instruments,
}

/// Requests of one class: their durations in microseconds, and how many failed.
#[derive(Debug, Default)]
struct Requests {
    time: Histogram,
    failed: AtomicU64,
}

impl Metrics {
    /// Records that a request has ended.
    pub(crate) fn request(&self, side: Side, operation: Operation, took: Duration, error: Option<&Error>) {
        let requests = &self.requests[side as usize][operation as usize];
        requests.time.record(micros(took));
        if let Some(error) = error {
            requests.failed.fetch_add(1, Relaxed);
            if error.kind() == ErrorKind::Throttled {
                self.instruments.throttled(side);
            }
        }
        self.instruments.request(side, operation, took, error);
    }

    pub(crate) fn read(&self, bytes: u64) {
        self.instruments.moved("read", bytes);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent_bytes.fetch_add(bytes, Relaxed);
        self.instruments.moved("sent", bytes);
    }

    /// Records a retry caused by an error of this kind.
    pub(crate) fn retried(&self, kind: ErrorKind) {
        *self.retries.lock().unwrap_or_else(PoisonError::into_inner).entry(kind.code()).or_default() += 1;
        self.instruments.retried(kind);
    }

    /// Records that an object was copied.
    pub(crate) fn copied(&self, size: u64, took: Duration) {
        self.object_time.record(micros(took));
        self.object_size.record(size);
        self.instruments.copied(size, took);
    }

    /// Records the outcome of an object.
    pub(crate) fn ended(&self, outcome: &'static str) {
        self.instruments.ended(outcome);
    }

    /// Logs all measurements, at the end of a run.
    pub(crate) fn log_summary(&self, progress: &Progress, read_bytes: u64) {
        let mut requests = 0;
        for side in [Side::Source, Side::Destination] {
            for operation in Operation::ALL {
                requests += self.requests[side as usize][operation as usize].log_summary(side, operation);
            }
        }
        for (kind, count) in self.retries.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            tracing::info!(target: "lepton::metrics", kind, count, "retries");
        }
        let (time, size) = (&self.object_time, &self.object_size);
        if time.count() > 0 {
            tracing::info!(
                target: "lepton::metrics",
                count = time.count(),
                mean_seconds = seconds(time.mean()),
                p50_seconds = seconds(time.quantile(0.5)),
                p99_seconds = seconds(time.quantile(0.99)),
                mean_bytes = size.mean(),
                p50_bytes = size.quantile(0.5),
                p99_bytes = size.quantile(0.99),
                "objects"
            );
        }
        tracing::info!(
            target: "lepton::metrics",
            objects = progress.objects,
            bytes = progress.bytes,
            unchanged = progress.unchanged,
            skipped = progress.skipped,
            deleted = progress.deleted,
            failed = progress.failed,
            read_bytes,
            sent_bytes = self.sent_bytes.load(Relaxed),
            requests,
            retries = progress.retries,
            throttled = progress.lanes.throttled(),
            elapsed_seconds = progress.elapsed.as_secs_f64(),
            "totals"
        );
    }
}

/// Logs the progress of a run.
pub(crate) fn log_progress(progress: &Progress) {
    tracing::debug!(
        target: "lepton::metrics",
        objects = progress.objects,
        bytes = progress.bytes,
        failed = progress.failed,
        total_objects = progress.total_objects,
        total_bytes = progress.total_bytes,
        retries = progress.retries,
        bytes_per_second = progress.bytes_per_second,
        elapsed_seconds = progress.elapsed.as_secs_f64(),
        "progress"
    );
}

impl Requests {
    /// Logs the requests, if there were any, and returns their number.
    fn log_summary(&self, side: Side, operation: Operation) -> u64 {
        let count = self.time.count();
        if count > 0 {
            tracing::info!(
                target: "lepton::metrics",
                side = side.name(),
                operation = operation.name(),
                count,
                failed = self.failed.load(Relaxed),
                mean_seconds = seconds(self.time.mean()),
                p50_seconds = seconds(self.time.quantile(0.5)),
                p99_seconds = seconds(self.time.quantile(0.99)),
                "requests"
            );
        }
        count
    }
}

/// Counts values by powers of two: 0 and 1 in the first bucket, 2 and 3 in the second, 4 to 7
/// in the third.
#[derive(Debug)]
struct Histogram {
    buckets: [AtomicU64; 64],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: [const { AtomicU64::new(0) }; 64], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    fn record(&self, value: u64) {
        self.buckets[(value | 1).ilog2() as usize].fetch_add(1, Relaxed);
        self.sum.fetch_add(value, Relaxed);
    }

    fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.load(Relaxed)).sum()
    }

    fn mean(&self) -> u64 {
        self.sum.load(Relaxed) / self.count().max(1)
    }

    /// The upper end of the bucket that contains this quantile: at most twice the quantile
    /// itself.
    fn quantile(&self, share: f64) -> u64 {
        #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
        let wanted = self.count() as f64 * share;
        let mut seen = 0.0;
        for (power, bucket) in self.buckets.iter().enumerate() {
            #[allow(clippy::cast_precision_loss, reason = "as above")]
            let here = bucket.load(Relaxed) as f64;
            seen += here;
            if here > 0.0 && seen >= wanted {
                return u64::MAX >> (63 - power);
            }
        }
        0
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_quantile_is_at_most_twice_the_value(mut values in proptest::collection::vec(any::<u32>(), 1..200)) {
            let histogram = Histogram::default();
            values.iter().for_each(|value| histogram.record(u64::from(*value)));
            values.sort_unstable();
            prop_assert_eq!(histogram.count(), values.len() as u64);
            prop_assert_eq!(histogram.mean(), values.iter().map(|v| u64::from(*v)).sum::<u64>() / values.len() as u64);
            for (share, index) in [(0.5, (values.len() - 1) / 2), (1.0, values.len() - 1)] {
                let (value, found) = (u64::from(values[index]), histogram.quantile(share));
                prop_assert!(found >= value && found <= 2 * value + 1, "{} for {}", found, value);
            }
        }
    }

    #[test]
    fn nothing_is_zero_and_the_largest_has_its_place() {
        let histogram = Histogram::default();
        assert_eq!((histogram.count(), histogram.mean(), histogram.quantile(0.5)), (0, 0, 0));
        histogram.record(u64::MAX);
        assert_eq!(histogram.quantile(0.5), u64::MAX);
    }
}
