//! What every stage needs to send requests: a clock, tasks, lanes, limits and counters.

use std::sync::Arc;

use lepton_core::{Result, SharedEnv};

use crate::schedule::control::{Control, Pool};
use crate::schedule::lanes::{Lane, Lanes, Slot};
use crate::schedule::rate_limit::RateLimiter;
use crate::schedule::steering::Steering;
use crate::settings::transfer::TransferSettings;
use crate::telemetry::counters::Counters;
use crate::telemetry::progress::Progress;

/// Decides when a request starts, and whether it is retried.
#[derive(Debug)]
pub(crate) struct Scheduler {
    pub(crate) env: SharedEnv,
    pub(crate) control: Control,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) counters: Arc<Counters>,
    /// Requests per second, to both sides.
    pub(crate) requests: Arc<RateLimiter>,
    /// Bytes read per second.
    pub(crate) bandwidth: Arc<RateLimiter>,
    /// How often a request is tried, in total.
    pub(crate) attempts: u32,
    pool: Pool,
    /// When the run began.
    begun: std::time::Duration,
}

impl Scheduler {
    /// The scheduler of one run. `holds_uploads` is set if the destination keeps each whole
    /// upload in memory.
    pub(crate) fn new(
        env: SharedEnv,
        settings: &TransferSettings,
        holds_uploads: bool,
        counters: Arc<Counters>,
    ) -> Self {
        let control = Control::new();
        let lanes = Lanes::new(Arc::clone(&env), settings.concurrency.get(), settings.memory, settings.adaptive);
        Self {
            pool: Pool::new(Arc::clone(&lanes), holds_uploads, control.clone()),
            control,
            lanes,
            counters,
            requests: Arc::new(RateLimiter::new(Arc::clone(&env), settings.requests_per_second)),
            bandwidth: Arc::new(RateLimiter::new(Arc::clone(&env), settings.bandwidth)),
            attempts: settings.attempts.get(),
            begun: env.uptime(),
            env,
        }
    }

    /// Waits for capacity for a unit of work of `bytes`.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn enter(&self, lane: Lane, bytes: u64) -> Result<Slot> {
        self.pool.enter(lane, bytes).await
    }

    /// When the run began, by the clock of [`Env::uptime`](lepton_core::Env::uptime).
    pub(crate) fn begun(&self) -> std::time::Duration {
        self.begun
    }

    /// A handle that pauses, slows and cancels the run.
    pub(crate) fn steering(&self) -> Steering {
        Steering { control: self.control.clone(), bandwidth: Arc::clone(&self.bandwidth) }
    }

    pub(crate) fn progress(&self) -> Progress {
        self.counters.snapshot(self.env.uptime().saturating_sub(self.begun), self.lanes.progress())
    }

    /// Logs the measurements of the run.
    pub(crate) fn log_metrics(&self) {
        self.counters.metrics.log_summary(&self.progress(), self.counters.read_bytes.load());
    }
}
