//! Decides when a process dies, and ensures that it does nothing afterwards.

use std::fmt;
use std::future::poll_fn;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use lepton_core::Result;
use lepton_core::journal::{Record, Replay};
use tokio::sync::Notify;

/// The point at which the process dies. Requests count from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// Before this request is sent.
    Before(usize),
    /// While this request is in flight.
    During(usize),
    /// After this request took effect, before its answer.
    After(usize),
    /// When the journal has this many records, before anything that waits for the last one.
    Records(usize),
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Before(request) => write!(f, "killed before request {request}"),
            Self::During(request) => write!(f, "killed during request {request}"),
            Self::After(request) => write!(f, "killed after request {request}"),
            Self::Records(records) => write!(f, "killed after {records} records"),
        }
    }
}

/// The life of a process. Calls of a dead process never end, and its work is not done.
#[derive(Debug)]
pub(super) struct Fate {
    death: Option<Death>,
    requests: AtomicUsize,
    dead: AtomicBool,
    died: Notify,
    /// Held while a record may be written, so that work waiting for the record comes after the
    /// death.
    writing: Mutex<()>,
}

impl Fate {
    pub(super) fn new(death: Option<Death>) -> Self {
        let (requests, dead) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { death, requests, dead, died: Notify::new(), writing: Mutex::new(()) }
    }

    /// The number of requests made.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }

    /// Waits until the process has died.
    pub(super) async fn died(&self) {
        self.died.notified().await;
    }

    /// Whether the process has died; waits until the current write is done.
    pub(super) fn is_dead(&self) -> bool {
        let _written = self.written();
        self.dead.load(Ordering::SeqCst)
    }

    pub(super) fn end(&self) {
        self.dead.store(true, Ordering::SeqCst);
        self.died.notify_one();
    }

    /// A guard that blocks all other work of the process. This cannot deadlock: in a transfer
    /// of a folder, no work waits for the process's tasks.
    fn written(&self) -> Option<MutexGuard<'_, ()>> {
        let counts = matches!(self.death, Some(Death::Records(_)));
        counts.then(|| self.writing.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Does work that may write to the journal.
    pub(super) fn work(&self, journal: &Path, work: impl FnOnce()) {
        let _writing = self.written();
        if self.dead.load(Ordering::SeqCst) {
            return;
        }
        work();
        if let Some(Death::Records(last)) = self.death
            && records(journal).is_ok_and(|records| records.len() >= last)
        {
            self.end();
        }
    }

    pub(super) async fn request<T>(&self, call: impl Future<Output = T>) -> T {
        if self.is_dead() {
            return std::future::pending().await;
        }
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        match self.death {
            Some(Death::Before(last)) if last == number => {}
            Some(Death::During(last)) if last == number => begin(call, number % 4 + 1).await,
            Some(Death::After(last)) if last == number => drop(call.await),
            _ => {
                let answer = call.await;
                return if self.is_dead() { std::future::pending().await } else { answer };
            }
        }
        self.end();
        std::future::pending().await
    }
}

/// Runs a call until it has waited `waits` times.
async fn begin<T>(call: impl Future<Output = T>, mut waits: usize) {
    let mut call = Box::pin(call);
    poll_fn(|context| {
        waits -= 1;
        if call.as_mut().poll(context).is_ready() || waits == 0 { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

/// The records of a journal; none if it was not created.
pub(super) fn records(journal: &Path) -> Result<Vec<Record>> {
    Replay::of(journal)?.collect()
}
