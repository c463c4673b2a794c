//! Repeats a probe and counts its results.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{AbortHandle, Either, abortable, select};
use lepton_core::SharedRuntime;
use lepton_core::deployment::Probe;

use super::check::{Target, check};

/// A probe that is repeated. Dropping it ends this.
#[derive(Debug)]
pub(super) struct Prober {
    seen: Arc<Mutex<Seen>>,
    abort: AbortHandle,
}

/// The times at which a probe runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The time to the first attempt.
    pub(super) delay: Duration,
    /// Whether a replica that has just started is probed more often than the period requires, so that
    /// it is known to be ready as soon as it is; these results count only if they are good.
    pub(super) eager: bool,
}

/// The first pause between attempts at a replica that has just started; each is twice as long as
/// the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// The result of the attempts so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// Whether the probe counts as passed; `None` until that is known.
    pub(super) well: Option<bool>,
    /// The last failure.
    pub(super) failure: Option<String>,
    successes: u32,
    failures: u32,
}

impl Seen {
    /// Counts a result, by the thresholds of the probe.
    fn count(&mut self, probe: &Probe, answer: Result<(), String>) {
        match answer {
            Ok(()) => {
                (self.successes, self.failures) = (self.successes.saturating_add(1), 0);
                if self.successes >= probe.success_threshold {
                    (self.well, self.failure) = (Some(true), None);
                }
            }
            Err(failure) => {
                (self.successes, self.failures) = (0, self.failures.saturating_add(1));
                self.failure = Some(failure);
                if self.failures >= probe.failure_threshold {
                    self.well = Some(false);
                }
            }
        }
    }
}

impl Prober {
    /// Starts it. `well` is assumed until the results decide.
    pub(super) fn start(env: &SharedRuntime, target: Target, well: Option<bool>, times: Times) -> Self {
        let seen = Arc::new(Mutex::new(Seen { well, ..Seen::default() }));
        let (task, abort) = abortable(repeat(env.clone(), target, times, Arc::clone(&seen)));
        env.spawn(Box::pin(async move {
            // An aborted task has no result.
            let _ = task.await;
        }));
        Self { seen, abort }
    }

    /// What is known by now.
    pub(super) fn seen(&self) -> Seen {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

async fn repeat(env: SharedRuntime, target: Target, times: Times, seen: Arc<Mutex<Seen>>) {
    let count = |answer: Result<(), String>| {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.count(&target.probe, answer);
        seen.well.is_none()
    };
    env.sleep(times.delay).await;
    loop {
        let mut waits = count(limited(&env, &target).await) && times.eager;
        let (mut left, mut pause) = (seconds(target.probe.period_seconds), FIRST_PAUSE);
        while waits && pause < left {
            env.sleep(pause).await;
            (left, pause) = (left.saturating_sub(pause), pause.saturating_mul(2));
            if let Ok(()) = limited(&env, &target).await {
                waits = count(Ok(()));
            }
        }
        env.sleep(left).await;
    }
}

/// Runs it once; no answer in time is a failure.
async fn limited(env: &SharedRuntime, target: &Target) -> Result<(), String> {
    let timeout = env.sleep(seconds(target.probe.timeout_seconds));
    match select(Box::pin(check(target)), timeout).await {
        Either::Left((answer, _)) => answer,
        Either::Right(_) => Err(format!("no answer within {} s", target.probe.timeout_seconds)),
    }
}

pub(super) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_count_answers_in_a_row() {
        let mut probe = Probe::tcp("http");
        (probe.success_threshold, probe.failure_threshold) = (2, 2);
        let mut seen = Seen::default();
        let mut answer = |good: bool| {
            seen.count(&probe, if good { Ok(()) } else { Err("refused".into()) });
            seen.well
        };
        let answers = [(true, None), (false, None), (true, None), (true, Some(true)), (false, Some(true))];
        let rest = [(true, Some(true)), (false, Some(true)), (false, Some(false)), (true, Some(false))];
        for (good, well) in answers.into_iter().chain(rest) {
            assert_eq!(answer(good), well);
        }
    }
}
