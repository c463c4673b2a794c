//! The environment of a process that dies: its tasks end with it.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use futures_util::future::select;
use lepton_core::{Runtime, SharedRuntime};
use tokio::sync::watch;

use super::fate::Fate;

/// An environment whose tasks end, at whatever point, when it ends.
#[derive(Debug)]
pub(super) struct Life {
    env: SharedRuntime,
    fate: Arc<Fate>,
    journal: PathBuf,
    over: watch::Sender<bool>,
}

impl Life {
    pub(super) fn new(env: &SharedRuntime, fate: &Arc<Fate>, journal: PathBuf) -> Self {
        Self { env: Arc::clone(env), fate: Arc::clone(fate), journal, over: watch::Sender::new(false) }
    }

    /// Ends all tasks. Pending writes are not done.
    pub(super) fn end(&self) {
        self.fate.end();
        self.over.send_replace(true);
    }
}

impl Runtime for Life {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        let mut over = self.over.subscribe();
        self.env.spawn(Box::pin(async move {
            let over = async move {
                // An error means that the environment is gone, which also ends the task.
                let _ = over.wait_for(|over| *over).await;
            };
            select(std::pin::pin!(over), task).await;
        }));
    }

    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        let (fate, journal) = (Arc::clone(&self.fate), self.journal.clone());
        self.env.spawn_cpu(Box::new(move || fate.work(&journal, work)));
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.env.sleep(duration)
    }

    fn now(&self) -> SystemTime {
        self.env.now()
    }

    fn uptime(&self) -> Duration {
        self.env.uptime()
    }

    fn random(&self) -> u64 {
        self.env.random()
    }
}
