//! The parts of the system that code may not use directly: tasks, time, randomness.
//!
//! All code in Lepton takes these from an injected [`Env`], so that a seeded
//! simulation can replace the system. A lint bans the raw calls.

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_core::future::BoxFuture;
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};

/// Tasks, time and randomness.
pub trait Env: fmt::Debug + Send + Sync + 'static {
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

/// A shared environment.
pub type SharedEnv = Arc<dyn Env>;

/// Convenience methods on every [`Env`].
pub trait EnvExt: Env {
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

impl<E: Env + ?Sized> EnvExt for E {}

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
pub struct SystemEnv {
    start: Instant,
}

impl SystemEnv {
    /// The environment of the system. Use it inside a tokio runtime.
    #[allow(clippy::disallowed_methods, reason = "this is the one place that touches the system")]
    pub fn shared() -> SharedEnv {
        Arc::new(Self { start: Instant::now() })
    }
}

#[allow(clippy::disallowed_methods, reason = "this is the one place that touches the system")]
impl Env for SystemEnv {
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
