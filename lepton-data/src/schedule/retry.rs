//! The only place where requests are retried: every request of the engine goes through here.

use std::time::Duration;

use lepton_core::{Decision, Error, ErrorKind, Result, RetryClass, decide};

use crate::schedule::lanes::{Lane, Slot};
use crate::schedule::scheduler::Scheduler;
use crate::types::side::Side;

/// The first wait; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

impl Scheduler {
    /// Sends a request to `side` until it succeeds, a retry is pointless, or the attempts are
    /// used up.
    ///
    /// An error with unknown effect is returned unless the request is `idempotent`; the caller
    /// then reads back.
    pub(crate) async fn retry<T, F>(&self, side: Side, idempotent: bool, request: impl FnMut() -> F) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.attempt(side, None, idempotent, request).await
    }

    /// As [`retry`](Self::retry), for a unit of work that holds a slot. It keeps a share of the
    /// slot while it waits.
    pub(crate) async fn retry_in<T, F>(
        &self,
        side: Side,
        slot: &Slot,
        idempotent: bool,
        request: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        self.attempt(side, Some(slot), idempotent, request).await
    }

    async fn attempt<T, F>(
        &self,
        side: Side,
        slot: Option<&Slot>,
        idempotent: bool,
        mut request: impl FnMut() -> F,
    ) -> Result<T>
    where
        F: Future<Output = Result<T>>,
    {
        let lane = slot.map_or(Lane::Small, Slot::lane);
        for attempt in 1.. {
            self.take_request().await;
            let asked = self.env.uptime();
            let error = match request().await {
                Ok(value) => return Ok(value),
                // The body of a request to the destination may fail because of the source.
                Err(error) => side.mark(error),
            };
            self.throttled(lane, Side::of(&error).unwrap_or(side), asked, &error);
            let least = match decide(&error, idempotent) {
                Decision::Again(wait) => wait,
                Decision::Refresh => Duration::ZERO,
                _ => return Err(error),
            };
            if attempt >= self.attempts {
                return Err(error.with_context("attempts", attempt));
            }
            self.counters.retried(error.kind());
            tracing::debug!(attempt, error = %error.full_message(), "trying again");
            let _rest = slot.map(Slot::rest);
            self.pause(attempt, least).await?;
        }
        Err(Error::new(ErrorKind::Unexpected, "no attempt was made"))
    }

    /// Lowers the limit of a side if its error shows that it throttled the request sent at
    /// `asked`.
    pub(crate) fn throttled(&self, lane: Lane, side: Side, asked: Duration, error: &Error) {
        if error.kind() == ErrorKind::Throttled {
            self.lanes.throttled(lane, side, asked);
        }
    }

    /// Counts a retry and waits before attempt `attempt + 1`, at least as long as the error
    /// requests.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn wait(&self, attempt: u32, error: &Error) -> Result<()> {
        self.counters.retried(error.kind());
        let least = if let RetryClass::After(least) = error.retry() { least } else { Duration::ZERO };
        self.pause(attempt, least).await
    }

    /// Waits before a failed listing is resumed from its last key. `failures` counts the
    /// failures since it last made progress.
    ///
    /// # Errors
    /// The same error, if a retry is pointless or the attempts are used up; `cancelled`.
    pub(crate) async fn resume(&self, failures: &mut u32, progressed: bool, error: Error) -> Result<()> {
        *failures = if progressed { 1 } else { *failures + 1 };
        let retries = matches!(decide(&error, true), Decision::Again(_) | Decision::Refresh);
        if !retries || *failures >= self.attempts {
            return Err(error);
        }
        self.wait(*failures, &error).await
    }

    async fn pause(&self, attempt: u32, least: Duration) -> Result<()> {
        let random = self.env.random();
        let wait = backoff(attempt, random).max(later(least, random));
        tokio::select! {
            biased;
            () = self.env.sleep(wait) => self.control.go().await,
            () = self.control.cancelled() => self.control.go().await,
        }
    }
}

/// Up to a quarter longer than requested, so that units that were refused together do not
/// return together.
fn later(least: Duration, random: u64) -> Duration {
    least.saturating_add(least / 1024 * u32::from(random.to_le_bytes()[7]))
}

/// Exponential, with full jitter over its upper half.
fn backoff(attempt: u32, random: u64) -> Duration {
    let ceiling = FIRST_WAIT.saturating_mul(1 << (attempt - 1).min(16)).min(LONGEST_WAIT);
    let spread = u64::try_from(ceiling.as_micros() / 2).unwrap_or(u64::MAX).max(1);
    ceiling / 2 + Duration::from_micros(random % spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_ceiling_and_never_vanish() {
        for attempt in 1..40 {
            for random in [0, u64::MAX / 3, u64::MAX] {
                let wait = backoff(attempt, random);
                assert!(wait >= FIRST_WAIT / 2 && wait <= LONGEST_WAIT, "{attempt}: {wait:?}");
            }
        }
        assert!(backoff(20, 0) > backoff(2, u64::MAX));
    }

    #[test]
    fn nobody_comes_back_sooner_than_asked_for_nor_much_later() {
        let second = Duration::from_secs(1);
        assert_eq!(later(second, 0), second);
        assert!(later(second, u64::MAX) > second.mul_f64(1.2) && later(second, u64::MAX) < second.mul_f64(1.25));
        assert_eq!(later(Duration::MAX, u64::MAX), Duration::MAX);
    }
}
