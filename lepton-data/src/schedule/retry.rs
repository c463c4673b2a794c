//! The one owner of retries: every request of the engine goes through here.

use std::time::Duration;

use lepton_core::{Decision, Error, ErrorKind, Result, Retry, decide};

use crate::schedule::lanes::{Lane, Slot};
use crate::transfer::run::Run;
use crate::types::side::{Side, is_source};

/// The first wait; it doubles up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Tries until it works, trying again is pointless, or the attempts are used up.
///
/// An error with unknown effect comes back as it is unless the action is
/// `idempotent`: the caller reads back.
pub(crate) async fn attempts<T, F>(run: &Run, idempotent: bool, action: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    tries(run, None, idempotent, action).await
}

/// As [`attempts`], for a unit of work that has its place, of which it keeps a share
/// while it waits.
pub(crate) async fn attempts_in<T, F>(run: &Run, slot: &Slot, idempotent: bool, action: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    tries(run, Some(slot), idempotent, action).await
}

async fn tries<T, F>(run: &Run, slot: Option<&Slot>, idempotent: bool, mut action: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let most = run.options.settings.attempts.get();
    let lane = slot.map_or(Lane::Small, Slot::lane);
    for attempt in 1.. {
        run.requests.take(1).await;
        let asked = run.env.uptime();
        let error = match action().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let side = if is_source(&error) { Side::Source } else { Side::Destination };
        note(run, lane, side, asked, &error);
        let least = match decide(&error, idempotent) {
            Decision::Again(wait) => wait,
            Decision::Refresh => Duration::ZERO,
            _ => return Err(error),
        };
        if attempt >= most {
            return Err(error.with_context("attempts", attempt));
        }
        run.counters.retried(error.kind());
        tracing::debug!(attempt, error = %error.report(), "trying again");
        let _rest = slot.map(Slot::rest);
        pause(run, attempt, least).await?;
    }
    Err(Error::new(ErrorKind::Unexpected, "no attempt was made"))
}

/// Takes in an error that says that what was asked at some moment was too much.
pub(crate) fn note(run: &Run, lane: Lane, side: Side, asked: Duration, error: &Error) {
    if error.kind() == ErrorKind::Throttled {
        run.pool.lanes.throttled(lane, side, asked);
    }
}

/// Waits before attempt `attempt + 1`, at least as long as the error asks for.
pub(crate) async fn wait(run: &Run, attempt: u32, error: &Error) -> Result<()> {
    let least = if let Retry::After(least) = error.retry() { least } else { Duration::ZERO };
    pause(run, attempt, least).await
}

async fn pause(run: &Run, attempt: u32, least: Duration) -> Result<()> {
    let random = run.env.random();
    let wait = backoff(attempt, random).max(later(least, random));
    tokio::select! {
        biased;
        () = run.env.sleep(wait) => run.control.go().await,
        () = run.control.cancelled() => run.control.go().await,
    }
}

/// Up to a quarter later than what was asked for, so that all who were refused at once
/// do not come back at once.
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
