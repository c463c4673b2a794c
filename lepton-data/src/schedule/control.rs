//! Pause, cancel and abort.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// The state of the run that the user requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Run,
    Pause,
    Cancel,
    Abort,
}

/// The requested state, shared by the run and its handle.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<watch::Sender<RunState>>);

impl Control {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(RunState::Run)))
    }

    /// Requests a state. A cancelled run stays cancelled, or is aborted.
    pub(crate) fn set(&self, requested: RunState) {
        self.0.send_if_modified(|now| {
            let change = match *now {
                RunState::Abort => false,
                RunState::Cancel => requested == RunState::Abort,
                now => now != requested,
            };
            if change {
                *now = requested;
            }
            change
        });
    }

    /// Waits while the run is paused.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn go(&self) -> Result<()> {
        let mut changes = self.0.subscribe();
        // The sender lives as long as `self`, so waiting cannot fail.
        let state = changes.wait_for(|state| *state != RunState::Pause).await.map_or(RunState::Cancel, |state| *state);
        if state == RunState::Run { Ok(()) } else { Err(cancelled()) }
    }

    /// Whether the run is paused now.
    pub(crate) fn is_paused(&self) -> bool {
        *self.0.borrow() == RunState::Pause
    }

    /// Waits until the run is paused or cancelled.
    pub(crate) async fn halted(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|state| *state != RunState::Run).await;
    }

    /// Waits until the run is cancelled or aborted.
    pub(crate) async fn cancelled(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|state| matches!(state, RunState::Cancel | RunState::Abort)).await;
    }

    /// Does this work, unless the run is aborted: then the work is dropped where it is.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn unless_aborted<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        let mut changes = self.0.subscribe();
        tokio::select! {
            biased;
            // As above.
            _ = changes.wait_for(|state| *state == RunState::Abort) => Err(cancelled()),
            done = work => Ok(done),
        }
    }

    /// The same for work that is also dropped when the run is cancelled, because it changes
    /// nothing.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn unless_cancelled<T>(&self, work: impl Future<Output = T>) -> Result<T> {
        tokio::select! {
            biased;
            () = self.cancelled() => Err(cancelled()),
            done = work => Ok(done),
        }
    }
}

pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the run was cancelled")
}
