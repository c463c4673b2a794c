//! Watching and steering a verification.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{Error, Result, Task};

use crate::schedule::scheduler::Scheduler;
use crate::schedule::steering::Steering;
use crate::telemetry::progress::Progress;
use crate::verify::report::Verification;

/// A verification in progress. Dropping the handle cancels it: it writes nothing, so that it may
/// end anywhere.
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

    /// How far the verification is. `objects` and `bytes` are those that were looked at, `failed`
    /// counts problems, and the totals are of the manifest as far as it has been read.
    pub fn progress(&self) -> Progress {
        self.scheduler.progress()
    }

    /// Lets what is in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.steering().pause();
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.steering().resume();
    }

    /// Sets how many bytes a second may be read, from now on; `None` is as many as there are.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.steering().set_bandwidth(bytes_per_second);
    }

    /// Ends the verification: waiting for it then fails with `cancelled`.
    pub fn cancel(&self) {
        self.steering().cancel();
    }

    /// A handle that can be given away.
    pub fn steering(&self) -> Steering {
        self.scheduler.steering()
    }

    /// Waits for the end, reporting progress each `every` to `watch`.
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
        // A verification that has ended does not mind.
        self.cancel();
    }
}
