//! The pool that admits every request with a body: its lanes, which are bounded in number and
//! in memory, and the requested state: run, pause or cancel.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, LEAF_SIZE, Result};
use tokio::sync::watch;

use crate::schedule::lanes::{Lane, Lanes, Slot};

/// The most memory of a unit of work that streams: a leaf being sent, a leaf being filled,
/// and a leaf read ahead.
const WINDOW: u64 = 3 * LEAF_SIZE as u64;

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

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the run was cancelled")
}

/// The pool that admits every request with a body.
///
/// A large object enters with one part at a time, so no object waits for all parts of
/// another.
#[derive(Debug)]
pub(crate) struct Pool {
    lanes: Arc<Lanes>,
    /// Whether the destination holds each whole upload in memory.
    holds: bool,
    control: Control,
}

impl Pool {
    pub(crate) fn new(lanes: Arc<Lanes>, holds: bool, control: Control) -> Self {
        Self { lanes, holds, control }
    }

    /// Waits for a slot for a unit of `bytes`.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn enter(&self, lane: Lane, bytes: u64) -> Result<Slot> {
        self.control.go().await?;
        let held = if self.holds { bytes.saturating_add(WINDOW) } else { bytes.min(WINDOW) };
        let slot = tokio::select! {
            biased;
            slot = self.lanes.enter(lane, held) => slot.ok_or_else(cancelled)?,
            () = self.control.cancelled() => return Err(cancelled()),
        };
        self.control.go().await?;
        Ok(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_part_that_is_held_is_charged_whole() {
        const MIB: u64 = 1 << 20;
        for (holds, charged) in [(false, 3 * MIB), (true, 11 * MIB)] {
            let lanes = Lanes::new(lepton_core::SystemEnv::shared(), 4, 64 * MIB, true);
            let pool = Pool::new(Arc::clone(&lanes), holds, Control::new());
            let _slot = pool.enter(Lane::Parts, 8 * MIB).await.unwrap();
            assert_eq!(lanes.free_memory(), 64 * MIB - charged);
        }
    }
}
