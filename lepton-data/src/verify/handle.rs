//! Watching and steering a verification.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{Error, Result, Task};

use crate::schedule::scheduler::Scheduler;
use crate::schedule::steering::Steering;
use crate::telemetry::progress::Progress;
use crate::verify::report::Verification;

/// A verification in progress. Dropping the handle cancels it. A verification writes nothing, so it
/// may end at any point.
#[derive(Debug)]
#[must_use = "dropping the handle cancels the verification"]
pub struct VerificationHandle {
    scheduler: Arc<Scheduler>,
    task: Option<Task<Result<Verification>>>,
}

impl VerificationHandle {
    pub(crate) fn new(scheduler: Arc<Scheduler>, task: Task<Result<Verification>>) -> Self {
        Self { scheduler, task: Some(task) }
    }

    /// The progress of the verification. `objects` and `bytes` count what was checked, `failed`
    /// counts problems, and the totals count the part of the manifest read so far.
    pub fn progress(&self) -> Progress {
        self.scheduler.progress()
    }

    /// Lets requests in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.steering().pause();
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.steering().resume();
    }

    /// Sets how many bytes per second may be read from now on; `None` is no limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.steering().set_bandwidth(bytes_per_second);
    }

    /// Ends the verification; waiting for it then fails with `cancelled`.
    pub fn cancel(&self) {
        self.steering().cancel();
    }

    /// A handle for steering the verification that can be passed on.
    pub fn steering(&self) -> Steering {
        self.scheduler.steering()
    }

    /// Waits for the end and reports progress to `watch` once per `every`.
    ///
    /// # Errors
    /// As [`Verifier::run`](crate::Verifier::run); `cancelled`.
    pub async fn watch(mut self, every: Duration, mut watch: impl FnMut(Progress)) -> Result<Verification> {
        let Some(task) = self.task.take() else { return self.wait().await };
        let end = task.join();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                found = &mut end => return found?,
                () = self.scheduler.env.sleep(every) => watch(self.scheduler.progress()),
            }
        }
    }

    /// Waits for the end.
    ///
    /// # Errors
    /// As [`Verifier::run`](crate::Verifier::run); `cancelled`.
    pub async fn wait(mut self) -> Result<Verification> {
        match self.task.take() {
            Some(task) => task.join().await?,
            None => Err(Error::invalid_input("the verification has been waited for already")),
        }
    }
}

impl Drop for VerificationHandle {
    fn drop(&mut self) {
        // This has no effect on a verification that has ended.
        self.cancel();
    }
}
