//! Pause and cancel.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result};
use tokio::sync::watch;

/// The state of the run that the user requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Run,
    Pause,
    Cancel,
}

/// The requested state, shared by the run and its handle.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<watch::Sender<RunState>>);

impl Control {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(RunState::Run)))
    }

    /// Requests a state. A cancelled run stays cancelled.
    pub(crate) fn set(&self, requested: RunState) {
        self.0.send_if_modified(|now| {
            let change = *now != RunState::Cancel && *now != requested;
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
        if state == RunState::Cancel { Err(cancelled()) } else { Ok(()) }
    }

    /// Waits until the run is paused or cancelled.
    pub(crate) async fn halted(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|state| *state != RunState::Run).await;
    }

    /// Waits until the run is cancelled.
    pub(crate) async fn cancelled(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|state| *state == RunState::Cancel).await;
    }
}

pub(crate) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the run was cancelled")
}
