//! Steering a run from elsewhere.

use std::sync::Arc;

use crate::schedule::control::{Control, RunState};
use crate::schedule::rate_limit::RateLimiter;

/// Pauses, slows and cancels a run from elsewhere, such as a signal handler.
#[derive(Debug, Clone)]
pub struct Steering {
    pub(crate) control: Control,
    pub(crate) bandwidth: Arc<RateLimiter>,
}

impl Steering {
    /// Lets what is in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.control.set(RunState::Pause);
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.control.set(RunState::Run);
    }

    /// Sets how many bytes a second may be read, from now on; `None` is as many as there are.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.bandwidth.set(bytes_per_second);
    }

    /// Lets what is in flight end, and ends the run. A cancelled run stays cancelled.
    pub fn cancel(&self) {
        self.control.set(RunState::Cancel);
    }
}
