//! A migration and its driver.

use std::sync::Arc;

use lepton_core::Result;
use lepton_core::migration::{Command, Event, Machine, State};
use tokio::sync::mpsc;

use super::commander::{Commander, Request};
use super::journal::Record;
use super::parts::Parts;

/// A migration and its driver.
#[derive(Debug)]
pub struct Migration {
    pub(super) parts: Arc<Parts>,
    pub(super) machine: Machine,
    pub(super) record: Record,
    pub(super) sender: mpsc::UnboundedSender<Request>,
    pub(super) commands: mpsc::UnboundedReceiver<Request>,
}

impl Migration {
    /// The state.
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// The machine: owner, epoch, verdicts.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// A handle through which commands reach the driver while it runs, and which reads how far its
    /// followers are behind.
    pub fn commander(&self) -> Commander {
        let data_sets = self.parts.data_sets.iter().map(|set| Arc::clone(&set.provider)).collect();
        Commander::new(self.sender.clone(), data_sets)
    }

    /// Records a user's command.
    ///
    /// # Errors
    /// `precondition_failed` if it is not possible in this state; `plan_mismatch` for the approval
    /// of another plan. Nothing is recorded then.
    pub async fn command(&mut self, command: Command) -> Result<()> {
        self.take(command.into()).await
    }

    pub(super) async fn take(&mut self, event: Event) -> Result<()> {
        let mut next = self.machine.clone();
        next.apply(event.clone())?;
        self.record.event(&event).await?;
        self.machine = next;
        Ok(())
    }
}
