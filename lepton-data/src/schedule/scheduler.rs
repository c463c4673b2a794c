//! What every stage needs to send requests: a clock, tasks, lanes, limits and counters.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{LEAF_SIZE, Result, SharedRuntime};

use crate::schedule::control::{Control, cancelled};
use crate::schedule::lanes::{Lane, Lanes, Slot};
use crate::schedule::rate_limit::RateLimiter;
use crate::settings::transfer::TransferConfig;
use crate::telemetry::counters::Counters;
use crate::telemetry::progress::Progress;

/// The most memory of a unit of work that streams: a leaf being sent, a leaf being filled,
/// and a leaf read ahead.
const WINDOW: u64 = 3 * LEAF_SIZE as u64;

/// Decides when a request starts, and whether it is retried.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) env: SharedRuntime,
    pub(crate) control: Control,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) counters: Arc<Counters>,
    /// Requests per second, to both sides.
    requests: RateLimiter,
    /// Bytes read per second.
    pub(crate) bandwidth: Arc<RateLimiter>,
    /// How often a request is tried, in total.
    pub(crate) attempts: u32,
    /// Whether the destination holds each whole upload in memory.
    buffers_uploads: bool,
    /// When the run began, by the clock of [`Runtime::uptime`](lepton_core::Runtime::uptime).
    pub(crate) begun: Duration,
}

impl Scheduler {
    /// The scheduler of one run. `buffers_uploads` is set if the destination keeps each whole
    /// upload in memory.
    pub(crate) fn new(
        env: SharedRuntime,
        settings: &TransferConfig,
        buffers_uploads: bool,
        counters: Arc<Counters>,
    ) -> Self {
        let lanes = Lanes::new(Arc::clone(&env), settings.concurrency.get(), settings.memory, settings.adaptive);
        Self {
            control: Control::new(),
            buffers_uploads,
            lanes,
            counters,
            requests: RateLimiter::new(Arc::clone(&env), settings.requests_per_second),
            bandwidth: Arc::new(RateLimiter::new(Arc::clone(&env), settings.bandwidth)),
            attempts: settings.attempts.get(),
            begun: env.uptime(),
            env,
        }
    }

    /// A scheduler for the verification at the end of this run: what steers the run steers it,
    /// too. It counts for itself.
    pub(crate) fn for_verification(&self, settings: &TransferConfig, counters: Arc<Counters>) -> Self {
        Self {
            control: self.control.clone(),
            bandwidth: Arc::clone(&self.bandwidth),
            ..Self::new(Arc::clone(&self.env), settings, false, counters)
        }
    }

    /// Waits for a slot for a unit of work of `bytes`.
    ///
    /// A large object enters with one part at a time, so that no object waits for all parts of
    /// another.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn enter(&self, lane: Lane, bytes: u64) -> Result<Slot> {
        self.control.go().await?;
        let held = if self.buffers_uploads { bytes.saturating_add(WINDOW) } else { bytes.min(WINDOW) };
        let slot = tokio::select! {
            biased;
            slot = self.lanes.enter(lane, held) => slot.ok_or_else(cancelled)?,
            () = self.control.cancelled() => return Err(cancelled()),
        };
        self.control.go().await?;
        Ok(slot)
    }

    /// Waits until this many bytes may be read, or until the run is cancelled: what is in
    /// flight then ends without a limit.
    pub(crate) async fn take_bandwidth(&self, bytes: u64) {
        if self.bandwidth.is_set() {
            self.take(&self.bandwidth, bytes).await;
        }
    }

    /// Waits until a request may be sent, or until the run is cancelled.
    pub(crate) async fn take_request(&self) {
        if self.requests.is_set() {
            self.take(&self.requests, 1).await;
        }
    }

    async fn take(&self, limit: &RateLimiter, units: u64) {
        tokio::select! {
            biased;
            () = self.control.cancelled() => {}
            () = limit.take(units) => {}
        }
    }

    pub(crate) fn progress(&self) -> Progress {
        let elapsed = self.env.uptime().saturating_sub(self.begun);
        self.counters.snapshot(elapsed, self.control.is_paused(), self.lanes.progress())
    }

    /// Logs the measurements of the run.
    pub(crate) fn log_metrics(&self) {
        self.counters.metrics.log_summary(&self.progress(), self.counters.read_bytes.load());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_is_held_is_charged_whole() {
        const MIB: u64 = 1 << 20;
        let settings = TransferConfig { memory: 64 * MIB, ..TransferConfig::default() };
        for (holds, charged) in [(false, 3 * MIB), (true, 11 * MIB)] {
            let env = lepton_core::SystemRuntime::shared();
            let scheduler = Scheduler::new(env, &settings, holds, Arc::default());
            let _slot = scheduler.enter(Lane::Parts, 8 * MIB).await.unwrap();
            assert_eq!(scheduler.lanes.free_memory(), 64 * MIB - charged);
        }
    }
}
