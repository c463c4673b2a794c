//! One pool over parts and small objects, bounded in number and in memory, that
//! can be paused and cancelled.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, LEAF_SIZE, MemoryBudget, Permit, Result};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

/// What a unit of work holds at most while it streams: a leaf being sent, a leaf
/// being filled, one read ahead.
const WINDOW: u64 = 3 * LEAF_SIZE as u64;

/// What the user wants the run to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    Run,
    Pause,
    Cancel,
}

/// Pause and cancel, shared by the run and its handle.
#[derive(Debug, Clone)]
pub(crate) struct Control(Arc<watch::Sender<Wish>>);

impl Control {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Wish::Run)))
    }

    /// A cancelled run stays cancelled.
    pub(crate) fn set(&self, wish: Wish) {
        self.0.send_if_modified(|now| {
            let change = *now != Wish::Cancel && *now != wish;
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
        let wish = changes.wait_for(|wish| *wish != Wish::Pause).await.map_or(Wish::Cancel, |wish| *wish);
        if wish == Wish::Cancel { Err(cancelled()) } else { Ok(()) }
    }

    /// Waits until the run is cancelled.
    pub(crate) async fn cancelled(&self) {
        // As above.
        let _ = self.0.subscribe().wait_for(|wish| *wish == Wish::Cancel).await;
    }
}

fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the run was cancelled")
}

/// The pool that every request with a body goes through.
///
/// It is served in order. A large object asks for one part at a time, so small
/// objects never wait behind all of its parts, nor the reverse.
#[derive(Debug)]
pub(crate) struct Pool {
    slots: Arc<Semaphore>,
    budget: MemoryBudget,
    /// Whether the destination holds all of what it is given to send.
    holds: bool,
    control: Control,
}

/// Leave to run one unit of work; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot {
    _memory: Permit,
    _slot: Option<OwnedSemaphorePermit>,
}

impl Pool {
    pub(crate) fn new(concurrency: usize, memory: u64, holds: bool, control: Control) -> Self {
        Self { slots: Arc::new(Semaphore::new(concurrency)), budget: MemoryBudget::new(memory), holds, control }
    }

    /// Waits for a place for a unit of `bytes`.
    ///
    /// # Errors
    /// `cancelled`.
    pub(crate) async fn enter(&self, bytes: u64) -> Result<Slot> {
        self.control.go().await?;
        let held = if self.holds { bytes.saturating_add(WINDOW) } else { bytes.min(WINDOW) };
        let work = async {
            // The semaphore is never closed.
            let slot = Arc::clone(&self.slots).acquire_owned().await.ok();
            let memory = self.budget.acquire(held).await;
            Slot { _memory: memory, _slot: slot }
        };
        let slot = tokio::select! {
            biased;
            slot = work => slot,
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
            let pool = Pool::new(4, 64 * MIB, holds, Control::new());
            let _slot = pool.enter(8 * MIB).await.unwrap();
            assert_eq!(pool.budget.available(), 64 * MIB - charged);
        }
    }
}
