//! Watching and steering a run.

use std::sync::Arc;

use lepton_core::{Result, Task};

use crate::ledger::report::Report;
use crate::schedule::steering::Steering;
use crate::telemetry::metrics::log_progress;
use crate::telemetry::progress::Progress;
use crate::transfer::run::Run;

/// A run in progress.
///
/// Dropping the handle cancels the run as [`cancel`](Self::cancel) does: requests in
/// flight end in the background.
#[derive(Debug)]
#[must_use = "dropping the handle cancels the run"]
pub struct TransferHandle {
    run: Arc<Run>,
    task: Option<Task<Result<Report>>>,
}

impl TransferHandle {
    pub(crate) fn new(run: Arc<Run>, task: Task<Result<Report>>) -> Self {
        Self { run, task: Some(task) }
    }

    /// The progress of the run.
    pub fn progress(&self) -> Progress {
        self.run.scheduler.progress()
    }

    /// Lets requests in flight end and starts nothing new until [`resume`](Self::resume).
    pub fn pause(&self) {
        self.steering().pause();
    }

    /// Resumes after a pause.
    pub fn resume(&self) {
        self.steering().resume();
    }

    /// Sets how many bytes per second may be read from the source from now on; `None`
    /// is no limit.
    pub fn set_bandwidth(&self, bytes_per_second: Option<u64>) {
        self.steering().set_bandwidth(bytes_per_second);
    }

    /// Lets the parts in flight end, writes the journal and ends the run with
    /// [`Status::Cancelled`](crate::Status::Cancelled). The same transfer on the
    /// same journal resumes it.
    pub fn cancel(&self) {
        self.steering().cancel();
    }

    /// A handle for steering the run that can be passed on.
    pub fn steering(&self) -> Steering {
        self.run.scheduler.steering()
    }

    /// Waits for the end of the run and reports progress to `watch` once per `every`.
    ///
    /// # Errors
    /// As [`Transfer::run`](crate::Transfer::run).
    pub async fn watch(mut self, every: std::time::Duration, mut watch: impl FnMut(Progress)) -> Result<Report> {
        let (run, Some(task)) = (Arc::clone(&self.run), self.task.take()) else { return self.wait().await };
        let end = task.join();
        tokio::pin!(end);
        loop {
            tokio::select! {
                biased;
                outcome = &mut end => return outcome?,
                () = run.scheduler.env.sleep(every) => {
                    let progress = run.scheduler.progress();
                    log_progress(&progress);
                    watch(progress);
                }
            }
        }
    }

    /// Waits for the end of the run.
    ///
    /// # Errors
    /// As [`Transfer::run`](crate::Transfer::run).
    pub async fn wait(mut self) -> Result<Report> {
        match self.task.take() {
            Some(task) => task.join().await?,
            None => Err(lepton_core::Error::invalid_input("the run has been waited for already")),
        }
    }
}

impl Drop for TransferHandle {
    fn drop(&mut self) {
        // This has no effect on a run that has ended.
        self.cancel();
    }
}
