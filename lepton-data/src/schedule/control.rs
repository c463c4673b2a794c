//! The pool that every request with a body goes through: its lanes, bounded in number
//! and in memory, and the wish to pause or cancel.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, LEAF_SIZE, Result};
use tokio::sync::watch;

use crate::schedule::lanes::{Lane, Lanes, Slot};

/// What a unit of work holds at most while it streams: a leaf being sent, a leaf
/// being filled, one read ahead.
const WINDOW: u64 = 3 * LEAF_SIZE as u64;

/// What the user wants the run to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RunState {
    Run,
    Pause,
    Cancel,
}

/// Pause and cancel, shared by the run and its handle.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<watch::Sender<RunState>>);

impl Control {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(RunState::Run)))
    }

    /// A cancelled run stays cancelled.
    pub(crate) fn set(&self, wish: RunState) {
        self.0.send_if_modified(|now| {
            let change = *now != RunState::Cancel && *now != wish;
            if change {
                *now = wish;
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
        // The sender lives as long as this, so waiting cannot fail.
        let wish = changes.wait_for(|wish| *wish != RunState::Pause).await.map_or(RunState::Cancel, |wish| *wish);
        if wish == RunState::Cancel { Err(cancelled()) } else { Ok(()) }
    }

    /// Waits until the run is to pause or to end.
    pub(crate) async fn halted(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|wish| *wish != RunState::Run).await;
    }

    /// Waits until the run is cancelled.
    pub(crate) async fn cancelled(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|wish| *wish == RunState::Cancel).await;
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the run was cancelled")
}

/// The pool that every request with a body goes through.
///
/// A large object asks for one part at a time, so no object waits for all parts of
/// another.
#[derive(Debug)]
pub(crate) struct Pool {
    lanes: Arc<Lanes>,
    /// Whether the destination holds all of what it is given to send.
    holds: bool,
    control: Control,
}

impl Pool {
    pub(crate) fn new(lanes: Arc<Lanes>, holds: bool, control: Control) -> Self {
        Self { lanes, holds, control }
    }

    /// Waits for a place for a unit of `bytes`.
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
