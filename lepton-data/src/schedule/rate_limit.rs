//! Rate limits of a run: bytes and requests per second.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lepton_core::SharedRuntime;
use tokio::sync::watch;

/// The burst that is allowed after an idle time, as time at the full rate.
const BURST: Duration = Duration::from_millis(100);

/// A token bucket. A caller waits until all units taken before are paid for. The rate can be
/// changed at any time.
#[derive(Debug)]
pub(crate) struct RateLimiter {
    env: SharedRuntime,
    state: Mutex<State>,
    /// Wakes callers that wait under an outdated rate.
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    /// Units per second.
    rate: Option<u64>,
    /// The uptime at which all units taken are paid for.
    paid: Duration,
}

impl RateLimiter {
    pub(crate) fn new(env: SharedRuntime, rate: Option<u64>) -> Self {
        Self { env, state: Mutex::new(State { rate, paid: Duration::ZERO }), changes: watch::Sender::new(0) }
    }

    /// Sets the rate, also for waiting callers; `None` is no limit.
    pub(crate) fn set(&self, rate: Option<u64>) {
        let now = self.env.uptime();
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State { rate, paid: now };
        self.changes.send_modify(|number| *number += 1);
    }

    /// Whether a limit is currently set.
    pub(crate) fn is_set(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).rate.is_some()
    }

    /// Takes this many units, waiting for its turn.
    ///
    /// Cancellation safe: units that were taken stay taken.
    pub(crate) async fn take(&self, units: u64) {
        loop {
            let mut changes = self.changes.subscribe();
            let Some(wait) = self.reserve(units).filter(|wait| !wait.is_zero()) else { return };
            tokio::select! {
                biased;
                () = self.env.sleep(wait) => return,
                // The sender lives as long as `self`.
                _ = changes.changed() => {}
            }
        }
    }

    /// How long to wait for these units; `None` if there is no limit.
    fn reserve(&self, units: u64) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let rate = state.rate?.max(1);
        let now = self.env.uptime();
        let begin = state.paid.max(now.saturating_sub(BURST));
        #[allow(clippy::cast_precision_loss, reason = "a rate need not be exact to the byte")]
        let cost = units as f64 / rate as f64;
        state.paid = begin.saturating_add(Duration::try_from_secs_f64(cost).unwrap_or(Duration::MAX));
        Some(state.paid.saturating_sub(now).saturating_sub(BURST))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::SystemTime;

    use futures_util::future::{BoxFuture, join_all};
    use lepton_core::Runtime;

    use super::*;

    /// A fake clock that only sleeping advances, to measure without waiting.
    #[derive(Debug, Default)]
    struct Clock(AtomicU64);

    impl Runtime for Clock {
        fn spawn(&self, _: BoxFuture<'static, ()>) {}
        fn spawn_cpu(&self, _: Box<dyn FnOnce() + Send>) {}
        fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
            self.0.fetch_add(u64::try_from(duration.as_nanos()).unwrap(), Ordering::Relaxed);
            Box::pin(std::future::ready(()))
        }
        fn now(&self) -> SystemTime {
            SystemTime::UNIX_EPOCH + self.uptime()
        }
        fn uptime(&self) -> Duration {
            Duration::from_nanos(self.0.load(Ordering::Relaxed))
        }
        fn random(&self) -> u64 {
            0
        }
    }

    #[tokio::test]
    async fn a_rate_is_kept_within_one_per_cent_over_thirty_seconds() {
        for (rate, piece) in [(1 << 20, 1 << 20), (100 << 20, 1 << 20), (1000, 1), (3, 1)] {
            let clock: SharedRuntime = Arc::new(Clock::default());
            let pace = RateLimiter::new(Arc::clone(&clock), Some(rate));
            let mut taken = 0;
            while clock.uptime() < Duration::from_secs(30) {
                pace.take(piece).await;
                taken += piece;
            }
            let expected = 30 * rate;
            assert!(taken.abs_diff(expected) <= expected / 100 + 2 * piece, "{rate}: {taken} of {expected}");
        }
    }

    #[tokio::test]
    async fn a_pause_gives_no_more_than_a_burst() {
        let clock: SharedRuntime = Arc::new(Clock::default());
        let pace = RateLimiter::new(Arc::clone(&clock), Some(1000));
        drop(clock.sleep(Duration::from_secs(3600)));
        let begin = clock.uptime();
        for _ in 0..2000 {
            pace.take(1).await;
        }
        let took = clock.uptime() - begin;
        assert!(took >= Duration::from_millis(1790) && took <= Duration::from_secs(2), "{took:?}");
    }

    #[tokio::test]
    async fn a_new_rate_wakes_those_who_wait() {
        let env = lepton_core::SystemRuntime::shared();
        let pace = RateLimiter::new(env, Some(1));
        let waiting = join_all((0..3).map(|_| pace.take(1 << 40)));
        let lift = async { pace.set(None) };
        // If it were not woken, the first caller would wait for thousands of years.
        tokio::join!(waiting, lift);
        pace.take(u64::MAX).await;
    }
}
