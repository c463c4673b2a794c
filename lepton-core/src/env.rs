//! The outside world that code may not touch directly: tasks, time, randomness.
//!
//! Everything in Lepton takes these from an injected [`Env`], so that a seeded
//! simulation can stand in for the system. A lint bans the raw calls.

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
    /// Runs work that blocks or computes for long, away from the tasks.
    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>);
    /// Waits. Dropping the future is safe.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
    /// The time of day.
    fn now(&self) -> SystemTime;
    /// The time since some fixed moment; never goes back.
    fn uptime(&self) -> Duration;
    /// 64 bits that nobody can foresee. Good for names and jitter, not for keys.
    fn random(&self) -> u64;
}

/// An environment that many share.
pub type SharedEnv = Arc<dyn Env>;

/// Conveniences over [`Env`].
pub trait EnvExt: Env {
    /// Starts a task and gives a handle to its result.
    fn spawn_task<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Task<T> {
        let (send, receive) = oneshot::channel();
        self.spawn(Box::pin(async move {
            // Nobody may be waiting for the result any more.
            let _ = send.send(task.await);
        }));
        Task(receive)
    }

    /// Runs blocking work and waits for its result. If the waiting future is
    /// dropped, the work still ends.
    fn run_blocking<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Task<T> {
        let (send, receive) = oneshot::channel();
        self.spawn_cpu(Box::new(move || {
            // Nobody may be waiting for the result any more.
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

/// The system itself: tokio's current runtime, the system's clocks.
#[derive(Debug)]
pub struct SystemEnv {
    start: Instant,
}

impl SystemEnv {
    /// The environment of the system, to be used inside a tokio runtime.
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
