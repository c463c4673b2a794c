//! Commands to a driver that runs, and how far its followers are behind.

use std::sync::Arc;
use std::time::Duration;

use lepton_core::data_set::{DataSet, Side};
use lepton_core::migration::{Command, State};
use lepton_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

/// A command, and where its reply goes.
pub(super) type Request = (Command, oneshot::Sender<Result<State>>);

/// A handle through which commands reach a driver that runs. While one exists, the driver waits
/// for commands where it would otherwise end.
#[derive(Debug, Clone)]
pub struct Commander {
    sender: mpsc::UnboundedSender<Request>,
    data_sets: Vec<Arc<dyn DataSet>>,
}

/// How far the follower of a data set is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DataSetLag {
    /// The name of the data set.
    pub data_set: String,
    /// Items that differed when the last round began.
    pub items: u64,
    /// Their bytes.
    pub bytes: u64,
    /// The time since the beginning of the last complete round: a change that is older has been
    /// followed. `None` before the first one.
    pub age: Option<Duration>,
}

impl Commander {
    pub(super) fn new(sender: mpsc::UnboundedSender<Request>, data_sets: Vec<Arc<dyn DataSet>>) -> Self {
        Self { sender, data_sets }
    }

    /// Sends a command; returns the state after it. If this future is dropped before the driver has
    /// read the command, the command is not executed.
    ///
    /// # Errors
    /// As [`Migration::command`](super::Migration::command); `cancelled` if the driver has ended.
    pub async fn send(&self, command: Command) -> Result<State> {
        let ended = || Error::new(ErrorKind::Cancelled, "the driver of the migration has ended");
        let (reply, answer) = oneshot::channel();
        self.sender.send((command, reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// How far the follower of each data set is behind the owner `from`.
    ///
    /// # Errors
    /// Errors of both sides.
    pub async fn lag(&self, from: Side) -> Result<Vec<DataSetLag>> {
        let mut lags = Vec::new();
        for set in &self.data_sets {
            let lag = set.lag(from).await?;
            let age = (lag.rounds > 0).then_some(lag.age);
            lags.push(DataSetLag { data_set: set.name().to_owned(), items: lag.items, bytes: lag.bytes, age });
        }
        Ok(lags)
    }
}
