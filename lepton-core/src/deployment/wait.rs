//! The only code that waits for a provider.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::contract::Deployment;
use super::excerpt::log_excerpt;
use super::observation::{Observation, RevisionId};
use crate::{Error, ErrorKind, Result, RetryClass, Runtime};

/// The least time for one answer of the provider, so that even a short deadline sees one.
const ANSWER: Duration = Duration::from_secs(5);

/// The longest time for reading the log that an error quotes.
const EXCERPT: Duration = Duration::from_secs(5);

/// How long to wait, and how often to observe.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WaitOptions {
    /// After this time the wait fails, also if the provider does not answer. Nothing is deleted.
    pub deadline: Duration,
    /// The time between two observations.
    pub period: Duration,
    /// How many lines of each replica's log an error quotes, up to 16 KiB in all.
    pub log_lines: usize,
    /// How many restarts during the wait are tolerated.
    pub restarts: u32,
}

impl Default for WaitOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(600), period: Duration::from_millis(250), log_lines: 20, restarts: 5 }
    }
}

impl WaitOptions {
    /// Ten minutes, with four observations per second.
    pub fn new() -> Self {
        Self::default()
    }

    /// After this time the wait fails.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// The time between two observations.
    #[must_use]
    pub fn period(mut self, period: Duration) -> Self {
        self.period = period;
        self
    }

    /// How many restarts during the wait are tolerated.
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
/// `unavailable` as soon as waiting cannot help: a terminal reason, too many restarts, or another
/// revision; `not_found` if the workload is gone; `timeout` after the deadline. None of them is
/// retryable. They name the last reasons and quote the end of the log. An error of the provider
/// that may pass by itself is waited out.
pub async fn wait_until_ready(
    deployment: &dyn Deployment,
    name: &str,
    revision: &RevisionId,
    options: &WaitOptions,
    env: &dyn Runtime,
    mut progress: impl FnMut(&Observation) + Send,
) -> Result<Observation> {
    let mut before = u32::MAX;
    let wait = Wait { deployment, name, options, env, goal: "ready" };
    wait.run(|observed| {
        let Some(seen) = observed else {
            return Verdict::Never(ErrorKind::NotFound, format!("the workload {name} is gone"));
        };
        progress(seen);
        if seen.revision == *revision && seen.is_ready() {
            return Verdict::Reached(seen.clone());
        }
        // The number falls when a replica is removed.
        before = before.min(seen.restarts);
        match never(seen, revision, seen.restarts - before, options) {
            Some(why) => {
                Verdict::Never(ErrorKind::Unavailable, format!("the workload {name} will not become ready: {why}"))
            }
            None => Verdict::Pending,
        }
    })
    .await
}

/// Waits until a workload that was deleted is gone, with all its replicas.
///
/// # Errors
/// `timeout` after the deadline, with the last reasons and the end of the log; errors of the
/// provider that do not pass by themselves.
pub async fn wait_until_absent(
    deployment: &dyn Deployment,
    name: &str,
    options: &WaitOptions,
    env: &dyn Runtime,
) -> Result<()> {
    let wait = Wait { deployment, name, options, env, goal: "gone" };
    wait.run(|observed| if observed.is_none() { Verdict::Reached(()) } else { Verdict::Pending }).await
}

/// What an observation means for the wait.
enum Verdict<T> {
    Reached(T),
    Pending,
    /// Waiting cannot help.
    Never(ErrorKind, String),
}

struct Wait<'a> {
    deployment: &'a dyn Deployment,
    name: &'a str,
    options: &'a WaitOptions,
    env: &'a dyn Runtime,
    /// What the workload is to become.
    goal: &'static str,
}

impl Wait<'_> {
    async fn run<T>(&self, mut judge: impl FnMut(Option<&Observation>) -> Verdict<T>) -> Result<T> {
        let end = self.env.uptime().saturating_add(self.options.deadline);
        let mut last = None;
        loop {
            let limit = end.saturating_sub(self.env.uptime()).max(ANSWER);
            let trouble = match within(self.env, limit, self.deployment.observe(self.name)).await {
                Some(Ok(observed)) => {
                    match judge(observed.as_ref()) {
                        Verdict::Reached(value) => return Ok(value),
                        Verdict::Never(kind, why) => return Err(self.give_up(kind, why, observed.or(last)).await),
                        Verdict::Pending => {}
                    }
                    last = observed;
                    None
                }
                Some(Err(error)) if error.retry() == RetryClass::Never => {
                    return Err(self.give_up(error.kind(), error.full_message(), last).await);
                }
                Some(Err(error)) => Some(error.full_message()),
                None => Some("the provider does not answer".to_owned()),
            };
            let left = end.saturating_sub(self.env.uptime());
            if left.is_zero() {
                let mut message =
                    format!("the workload {} is not {} after {:?}", self.name, self.goal, self.options.deadline);
                if let Some(trouble) = trouble {
                    message = format!("{message}\n  the last observation failed: {trouble}");
                }
                return Err(self.give_up(ErrorKind::Timeout, message, last).await);
            }
            self.env.sleep(self.options.period.min(left)).await;
        }
    }

    /// The error that ends the wait, with what was observed last and the end of the log.
    async fn give_up(&self, kind: ErrorKind, mut message: String, last: Option<Observation>) -> Error {
        if let Some(last) = &last {
            message = format!(
                "{message}\n  {} of {} replicas are ready, {} of earlier revisions run",
                last.ready, last.desired, last.outdated
            );
            for reason in &last.reasons {
                message = format!("{message}\n  {reason}");
            }
        }
        let excerpt = log_excerpt(self.deployment, self.name, self.options.log_lines);
        match within(self.env, EXCERPT, excerpt).await {
            Some(excerpt) => message.push_str(&excerpt),
            None => message.push_str("\n  the log cannot be read: the provider does not answer"),
        }
        Error::new(kind, message).with_retry(RetryClass::Never).with_context("workload", self.name)
    }
}

/// The result of this work; `None` if it takes longer.
async fn within<T>(env: &dyn Runtime, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    match select(pin!(work), env.sleep(limit)).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}

/// Why waiting cannot help, if it cannot.
fn never(seen: &Observation, revision: &RevisionId, restarts: u32, options: &WaitOptions) -> Option<String> {
    if seen.revision != *revision {
        return Some(format!("revision {} was applied in place of {revision}", seen.revision));
    }
    if let Some(reason) = seen.reasons.iter().find(|reason| reason.terminal) {
        return Some(reason.to_string());
    }
    (restarts > options.restarts).then(|| format!("its replicas were restarted {restarts} times"))
}
