//! Controls a run from outside.

use std::sync::Arc;

use crate::schedule::control::RunState;
use crate::schedule::scheduler::Scheduler;
use crate::telemetry::progress::Progress;

/// Watches, pauses, slows and ends a run from outside, for example from a signal handler. It can
/// be cloned, and used by several tasks; it has no effect on a run that has ended.
#[derive(Debug, Clone)]
#[must_use = "it does nothing by itself"]
pub struct RunControl(Arc<Scheduler>);

impl RunControl {
    pub(crate) fn new(scheduler: &Arc<Scheduler>) -> Self {
        Self(Arc::clone(scheduler))
    }

    /// The progress of the run; see [`RunHandle::progress`](crate::RunHandle::progress).
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }

    /// Lets work in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.0.control.set(RunState::Pause);
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.0.control.set(RunState::Run);
    }

    /// Limits how many bytes per second are read, from now on; `None` and 0 remove the limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.0.bandwidth.set(bytes_per_second.filter(|rate| *rate > 0));
    }

    /// Lets work in flight end, without a limit of bandwidth, and ends the run. A cancelled run
    /// stays cancelled.
    pub fn cancel(&self) {
        self.0.control.set(RunState::Cancel);
    }

    /// Ends the run at once: work in flight is dropped where it is. Parts and objects that were
    /// being sent are sent again by the next run on the same journal; everything else resumes as
    /// after [`cancel`](Self::cancel).
    pub fn abort(&self) {
        self.0.control.set(RunState::Abort);
    }
}
