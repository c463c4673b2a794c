//! The only code that waits for a provider.

use std::fmt::Write as _;
use std::time::Duration;

use futures_util::StreamExt as _;

use super::contract::{Deployment, LogRequest};
use super::observation::{Observation, Reason, RevisionId};
use crate::{Env, Error, ErrorKind, Result, Retry};

/// How long to wait, and how often to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitOptions {
    /// After this time the wait fails. Nothing is deleted.
    pub deadline: Duration,
    /// The time between two questions.
    pub period: Duration,
    /// How many lines of each replica's log an error quotes.
    pub log_lines: usize,
    /// The largest number of restarts that may still come to a good end.
    pub restarts: u32,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(600), period: Duration::from_millis(250), log_lines: 20, restarts: 5 }
    }
}

impl WaitOptions {
    /// Ten minutes, asking four times a second.
    pub fn new() -> Self {
        Self::default()
    }

    /// After this time the wait fails.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The time between two questions.
    #[must_use]
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// The largest number of restarts that may still come to a good end.
    #[must_use]
    pub fn restarts(mut self, restarts: u32) -> Self {
        self.restarts = restarts;
        self
    }
}

/// Waits until every replica of this revision is ready and none of another one runs.
/// `progress` sees each observation. Dropping the future ends the wait and changes nothing.
///
/// # Errors
/// `unavailable`, which is not to be tried again, as soon as waiting cannot help: a terminal
/// reason, too many restarts, another revision, or the workload is gone. `timeout` after the
/// deadline. Both name the last reasons and quote the end of the log. An error of the provider
/// that may pass by itself is waited out.
pub async fn wait_until_ready(
    deployment: &dyn Deployment,
    name: &str,
    revision: &RevisionId,
    options: &WaitOptions,
    env: &dyn Env,
    mut progress: impl FnMut(&Observation) + Send,
) -> Result<Observation> {
    let start = env.uptime();
    loop {
        let observed = transient(deployment.observe(name).await)?;
        if let Some(observed) = &observed {
            let Some(seen) = observed else {
                return Err(
                    Error::new(ErrorKind::NotFound, format!("the workload {name} is gone")).with_retry(Retry::Never)
                );
            };
            progress(seen);
            if seen.revision == *revision && seen.is_ready() {
                return Ok(seen.clone());
            }
            if let Some(why) = never(seen, revision, options) {
                let message = format!("the workload {name} will not become ready: {why}");
                return Err(failed(deployment, name, ErrorKind::Unavailable, message, &seen.reasons, options).await);
            }
        }
        if env.uptime().saturating_sub(start) >= options.deadline {
            let reasons = observed.flatten().map_or_else(Vec::new, |seen| seen.reasons);
            let message = format!("the workload {name} is not ready after {:?}", options.deadline);
            return Err(failed(deployment, name, ErrorKind::Timeout, message, &reasons, options).await);
        }
        env.sleep(options.period).await;
    }
}

/// Waits until a workload that was deleted is gone, with all that came along.
///
/// # Errors
/// `timeout` after the deadline, naming what is still there; lasting errors of the provider.
pub async fn wait_until_absent(
    deployment: &dyn Deployment,
    name: &str,
    options: &WaitOptions,
    env: &dyn Env,
) -> Result<()> {
    let start = env.uptime();
    loop {
        let observed = transient(deployment.observe(name).await)?;
        if let Some(None) = observed {
            return Ok(());
        }
        if env.uptime().saturating_sub(start) >= options.deadline {
            let left = observed.flatten().map_or(0, |seen| seen.updated + seen.outdated);
            let message =
                format!("the workload {name} is still there after {:?}, with {left} replicas", options.deadline);
            return Err(Error::new(ErrorKind::Timeout, message).with_retry(Retry::Never));
        }
        env.sleep(options.period).await;
    }
}

/// `None` for an error that may pass by itself.
fn transient<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.retry() == Retry::Never => Err(error),
        Err(_) => Ok(None),
    }
}

/// Why waiting cannot help, if it cannot.
fn never(seen: &Observation, revision: &RevisionId, options: &WaitOptions) -> Option<String> {
    if seen.revision != *revision {
        return Some(format!("revision {} was applied in place of {revision}", seen.revision));
    }
    if let Some(reason) = seen.reasons.iter().find(|reason| reason.terminal) {
        return Some(reason.to_string());
    }
    (seen.restarts > options.restarts).then(|| format!("its replicas were restarted {} times", seen.restarts))
}

async fn failed(
    deployment: &dyn Deployment,
    name: &str,
    kind: ErrorKind,
    mut message: String,
    reasons: &[Reason],
    options: &WaitOptions,
) -> Error {
    for reason in reasons {
        // Writing to a string does not fail.
        let _ = write!(message, "\n  {reason}");
    }
    let mut lines = deployment.logs(name, LogRequest::tail(options.log_lines));
    while let Some(Ok(line)) = lines.next().await {
        let _ = write!(message, "\n  [{}] {}", line.replica, line.text);
    }
    Error::new(kind, message).with_retry(Retry::Never).with_context("workload", name)
}
