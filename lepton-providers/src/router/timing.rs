//! Limits of time, by the clock of the environment.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_util::future::{Either, select};
use hyper::rt::{Sleep, Timer};
use lepton_core::SharedRuntime;

/// Waits for a future, but not longer than this.
pub(super) async fn within<F: Future>(env: &SharedRuntime, limit: Duration, future: F) -> Option<F::Output> {
    unless(env.sleep(limit), future).await
}

/// Waits for a future unless something else ends first.
pub(super) async fn unless<F: Future>(end: impl Future<Output = ()>, future: F) -> Option<F::Output> {
    match select(pin!(future), pin!(end)).await {
        Either::Left((output, _)) => Some(output),
        Either::Right(((), _)) => None,
    }
}

/// The timer of the HTTP server.
#[derive(Debug, Clone)]
pub(super) struct EnvTimer(pub(super) SharedRuntime);

struct Slept(std::sync::Mutex<BoxFuture<'static, ()>>);

impl Future for Slept {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.get_mut().0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        sleep.as_mut().poll(cx)
    }
}

impl Sleep for Slept {}

impl Timer for EnvTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Slept(self.0.sleep(duration).into()))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        self.sleep(deadline.saturating_duration_since(self.now()))
    }
}

/// A timer that starts again with each progress; without use it costs nothing.
pub(super) struct Idle {
    env: SharedRuntime,
    limit: Duration,
    sleep: Option<BoxFuture<'static, ()>>,
}

impl Idle {
    pub(super) fn new(env: SharedRuntime, limit: Duration) -> Self {
        Self { env, limit, sleep: None }
    }

    /// There was progress.
    pub(super) fn reset(&mut self) {
        self.sleep = None;
    }

    /// There was none; whether that has lasted too long.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> bool {
        let sleep = self.sleep.get_or_insert_with(|| self.env.sleep(self.limit));
        sleep.as_mut().poll(cx).is_ready()
    }
}
