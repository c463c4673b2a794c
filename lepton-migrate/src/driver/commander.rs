//! Commands to a driver that runs.

use lepton_core::migration::{Command, State};
use lepton_core::{Error, ErrorKind, Result};
use tokio::sync::{mpsc, oneshot};

/// A command, and where its reply goes.
pub(super) type Request = (Command, oneshot::Sender<Result<State>>);

/// A handle through which commands reach a driver that runs. While one exists, the driver waits
/// for commands where it would otherwise end.
#[derive(Debug, Clone)]
pub struct Commander(mpsc::UnboundedSender<Request>);

impl Commander {
    pub(super) fn new(sender: mpsc::UnboundedSender<Request>) -> Self {
        Self(sender)
    }

    /// Sends a command; returns the state after it.
    ///
    /// # Errors
    /// As [`Migration::command`](super::Migration::command); `cancelled` if the driver has ended.
    pub async fn send(&self, command: Command) -> Result<State> {
        let ended = || Error::new(ErrorKind::Cancelled, "the driver of the migration has ended");
        let (reply, answer) = oneshot::channel();
        self.0.send((command, reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}
