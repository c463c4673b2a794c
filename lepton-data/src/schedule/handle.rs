//! Watches and steers work that is in progress.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::{Error, Result, Task};

use crate::schedule::run_control::RunControl;
use crate::schedule::scheduler::Scheduler;
use crate::telemetry::metrics::log_progress;
use crate::telemetry::progress::Progress;

/// A transfer or a verification in progress, which ends with a `T`:
/// [`TransferHandle`](crate::TransferHandle), [`VerificationHandle`](crate::VerificationHandle).
///
/// Dropping the handle cancels the work as [`cancel`](Self::cancel) does: requests in flight end
/// in the background.
#[derive(Debug)]
#[must_use = "dropping the handle cancels the run"]
pub struct RunHandle<T> {
    scheduler: Arc<Scheduler>,
    task: Option<Task<Result<T>>>,
}

impl<T> RunHandle<T> {
    pub(crate) fn new(scheduler: &Arc<Scheduler>, task: Task<Result<T>>) -> Self {
        Self { scheduler: Arc::clone(scheduler), task: Some(task) }
    }

    /// The progress of the run. For a verification, `objects` and `bytes` count what was checked,
    /// `failed` counts problems, and the totals count the part of the manifest that has been read.
    pub fn progress(&self) -> Progress {
        self.scheduler.progress()
    }

    /// Lets requests in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.control().pause();
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.control().resume();
    }

    /// Sets how many bytes per second may be read from now on; `None` and 0 are no limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.control().set_bandwidth(bytes_per_second);
    }

    /// Ends the run. A transfer lets the parts in flight end, writes the journal and ends with
    /// [`Status::Cancelled`](crate::Status::Cancelled); the same transfer on the same journal
    /// resumes it. A verification writes nothing: it ends at once, and waiting for it fails with
    /// `cancelled`.
    pub fn cancel(&self) {
        self.control().cancel();
    }

    /// Ends the run at once; see [`RunControl::abort`].
    pub fn abort(&self) {
        self.control().abort();
    }

    /// A handle with the same methods that can be cloned and passed on.
    pub fn control(&self) -> RunControl {
        RunControl::new(&self.scheduler)
    }

    /// Waits for the end of the run and reports progress to `watch`: at the start, once per
    /// `every`, and at the end, also if the run fails.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub async fn watch(mut self, every: Duration, mut watch: impl FnMut(Progress)) -> Result<T> {
        let Some(task) = self.task.take() else { return self.wait().await };
        let end = task.join();
        tokio::pin!(end);
        loop {
            let progress = self.scheduler.progress();
            log_progress(&progress);
            watch(progress);
            tokio::select! {
                biased;
                outcome = &mut end => {
                    watch(self.scheduler.progress());
                    return outcome?;
                }
                () = self.scheduler.env.sleep(every) => {}
            }
        }
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// As [`Transfer::run`](crate::Transfer::run) or [`Verifier::run`](crate::Verifier::run).
    pub async fn wait(mut self) -> Result<T> {
        match self.task.take() {
            Some(task) => task.join().await?,
            None => Err(Error::invalid_input("the run has been waited for already")),
        }
    }
}

impl<T> Drop for RunHandle<T> {
    fn drop(&mut self) {
        // This has no effect on a run that has ended.
        self.control().cancel();
    }
}
