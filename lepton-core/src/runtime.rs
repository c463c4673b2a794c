//! The parts of the system that code may not use directly: tasks, time, randomness.
//!
//! All code in Lepton takes these from an injected [`Runtime`], so that a seeded
//! simulation can replace the system. A lint bans the raw calls.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_core::future::BoxFuture;
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};

/// Tasks, time and randomness, of a real system or of a simulation.
pub trait Runtime: fmt::Debug + Send + Sync + 'static {
    /// Checks that tasks can be started here. What runs for long calls this first, so that a
    /// missing runtime is an error and no panic.
    ///
    /// # Errors
    /// `invalid_input`, saying what is missing.
    fn check(&self) -> Result<()> {
        Ok(())
    }
    /// Starts a task. It must not block.
    fn spawn(&self, task: BoxFuture<'static, ()>);
    /// Runs work that blocks or computes for a long time, on a thread apart from the tasks.
    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>);
    /// Waits. Dropping the future is safe.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// The time since some fixed moment; never decreases.
    fn uptime(&self) -> Duration;
    /// 64 unpredictable bits. Good for names and jitter, not for cryptographic keys.
    fn random(&self) -> u64;
}

/// A shared [`Runtime`].
pub type SharedRuntime = Arc<dyn Runtime>;

/// Convenience methods on every [`Runtime`].
pub trait RuntimeExt: Runtime {
    /// Starts a task and returns a handle to its result.
    fn spawn_task<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let (send, receive) = oneshot::channel();
        self.spawn(Box::pin(async move {
            // The receiver may be gone by now.
            let _ = send.send(task.await);
        }));
        Task(receive)
    }

    /// Runs blocking work and returns a handle to its result. If the handle is
    /// dropped, the work still runs to its end.
    fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        let (send, receive) = oneshot::channel();
        self.spawn_cpu(Box::new(move || {
            // The receiver may be gone by now.
            let _ = send.send(work());
        }));
        Task(receive)
    }
}

impl<E: Runtime + ?Sized> RuntimeExt for E {}

/// The result of a started task. Dropping it does not stop the task.
#[derive(Debug)]
pub struct Task<T>(oneshot::Receiver<T>);

impl<T> Task<T> {
    /// Waits for the task.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] if the task panicked or the runtime shut down.
    pub async fn join(self) -> Result<T> {
        self.0.await.map_err(|_| {
            Error::new(ErrorKind::Unexpected, "a task ended without a result: it panicked or the runtime stopped")
        })
    }
}

/// The real system: tokio's current runtime and the system's clocks.
#[derive(Debug)]
pub struct SystemRuntime {
    start: Instant,
}

impl SystemRuntime {
    /// The runtime of the system: tokio's, and the clocks.
    ///
    /// # Panics
    /// Not itself, but what uses it panics outside a tokio runtime, or in one whose timers or
    /// network are not enabled (`enable_all`), as tokio itself does. A transfer and a
    /// verification return an error outside a runtime.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that touches the system")]
    pub fn shared() -> SharedRuntime {
        Arc::new(Self { start: Instant::now() })
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that touches the system")]
impl Runtime for SystemRuntime {
    fn check(&self) -> Result<()> {
        tokio::runtime::Handle::try_current().map(drop).map_err(|error| {
            Error::invalid_input("there is no tokio runtime here: run this inside one, with everything enabled")
                .with_source(error)
        })
    }

    fn spawn(&self, task: BoxFuture<'static, ()>) {
        tokio::spawn(task);
    }

    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        tokio::task::spawn_blocking(work);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(tokio::time::sleep(duration))
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn uptime(&self) -> Duration {
        self.start.elapsed()
    }

    fn random(&self) -> u64 {
        RandomState::new().build_hasher().finish()
    }
}
