//! Steers a run from outside.

use std::sync::Arc;

use crate::schedule::control::{Control, RunState};
use crate::schedule::rate_limit::RateLimiter;

/// Pauses, slows and cancels a run from outside, for example from a signal handler.
#[derive(Debug, Clone)]
pub struct Steering {
    pub(crate) control: Control,
    pub(crate) bandwidth: Arc<RateLimiter>,
}

impl Steering {
    /// Lets work in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.control.set(RunState::Pause);
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.control.set(RunState::Run);
    }

    /// Limits how many bytes per second are read, from now on; `None` removes the limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.bandwidth.set(bytes_per_second);
    }

    /// Lets work in flight end, and ends the run. A cancelled run stays cancelled.
    pub fn cancel(&self) {
        self.control.set(RunState::Cancel);
    }
}
