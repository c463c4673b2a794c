//! What a user asks of a migration.

use serde::{Deserialize, Serialize};

use super::event::{Choice, Event};

/// What a user asks for. A driver records it as an [`Event`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Command {
    /// Propose the plan with this hash; it replaces one that was not approved.
    Plan {
        /// The hash over everything that matters.
        hash: String,
    },
    /// Approve the plan with this hash.
    Approve {
        /// The hash that the user saw.
        hash: String,
    },
    /// Start the fence that gives side B the writes.
    CutOver,
    /// Stop after what is in progress.
    Pause,
    /// Continue after a pause.
    Resume,
    /// Give the writes back to side A and remove what was made at side B.
    Rollback,
    /// Answer a question.
    Decide {
        /// The answer.
        choice: Choice,
    },
    /// Pass the point of no return.
    Finalize,
    /// Remove what the plan owns at side A.
    Decommission,
}

impl From<Command> for Event {
    fn from(command: Command) -> Self {
        match command {
            Command::Plan { hash } => Self::Planned { hash },
            Command::Approve { hash } => Self::Approved { hash },
            Command::CutOver => Self::CutOver,
            Command::Pause => Self::Pause,
            Command::Resume => Self::Resume,
            Command::Rollback => Self::Rollback,
            Command::Decide { choice } => Self::Decided { choice },
            Command::Finalize => Self::Finalize,
            Command::Decommission => Self::Decommission,
        }
    }
}
