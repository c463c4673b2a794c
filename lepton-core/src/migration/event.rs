//! What happens to a migration.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::data_set::{DataVerdict, Side};

/// Something that happened. The driver records it before it acts on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A plan was made; it replaces one that was not approved.
    Planned {
        /// The hash over everything that matters.
        hash: String,
    },
    /// The user approved the plan with this hash.
    Approved {
        /// The hash that the user saw.
        hash: String,
    },
    /// A data set has been copied once.
    Copied {
        /// Its name.
        data_set: String,
    },
    /// The lag of every data set is small enough.
    CaughtUp,
    /// The workloads of side B are ready.
    Deployed,
    /// The acceptance tests have passed.
    TestsPassed,
    /// An acceptance test has failed.
    TestsFailed {
        /// Which one, and how.
        why: String,
    },
    /// The user, or the policy, starts the move to side B.
    CutOver,
    /// New writes are held back.
    Held,
    /// No write is known to be in flight.
    Drained {
        /// Writes whose end the route could not see, because it was restarted meanwhile. Only a
        /// proof that the owner refuses writes ends them.
        #[serde(default, skip_serializing_if = "is_zero")]
        unknown: u64,
    },
    /// A data set's owner refuses writes, or is assumed to.
    Quiesced {
        /// Its name.
        data_set: String,
        /// How a write was refused; `None` if it is an assumption.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
    },
    /// The last delta of a data set has its verdict.
    Verdict(DataVerdict),
    /// A data set's side accepts writes.
    Allowed {
        /// Its name.
        data_set: String,
    },
    /// The state of the register. After a crash the driver reads it before anything else.
    Register {
        /// The side that owns the writes.
        owner: Side,
        /// The epoch of the last fence.
        epoch: u64,
        /// Whether the hold of that epoch is still on.
        holding: bool,
    },
    /// The fence cannot continue.
    GivenUp {
        /// Why.
        why: String,
    },
    /// A data set's old owner follows the new one.
    Reversed {
        /// Its name.
        data_set: String,
    },
    /// The old owner has changed items after the fence.
    ReverseConflict {
        /// The name of the data set.
        data_set: String,
        /// The items, by name.
        items: Vec<String>,
    },
    /// An intent cannot be carried out. Outside of a fence this becomes a question to a person.
    Failed {
        /// The name of the intent.
        what: String,
        /// Why it cannot be done.
        why: String,
    },
    /// The workloads of side B that start after the switch are ready.
    Started,
    /// The user passes the point of no return.
    Finalize,
    /// The user requests that what the plan owns at side A is removed.
    Decommission,
    /// What the plan owned at side A is gone.
    Decommissioned,
    /// The user requests the way back.
    Rollback,
    /// What was made at side B is gone.
    Undone,
    /// The user pauses the migration.
    Pause,
    /// The user resumes the migration.
    Resume,
    /// The user has answered a question.
    Decided {
        /// The answer.
        choice: Choice,
    },
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Event {
    /// The stable name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Planned { .. } => "planned",
            Self::Approved { .. } => "approved",
            Self::Copied { .. } => "copied",
            Self::CaughtUp => "caught_up",
            Self::Deployed => "deployed",
            Self::TestsPassed => "tests_passed",
            Self::TestsFailed { .. } => "tests_failed",
            Self::CutOver => "cut_over",
            Self::Held => "held",
            Self::Drained { .. } => "drained",
            Self::Quiesced { .. } => "quiesced",
            Self::Verdict(_) => "verdict",
            Self::Allowed { .. } => "allowed",
            Self::Register { .. } => "register",
            Self::GivenUp { .. } => "given_up",
            Self::Reversed { .. } => "reversed",
            Self::ReverseConflict { .. } => "reverse_conflict",
            Self::Failed { .. } => "failed",
            Self::Started => "started",
            Self::Finalize => "finalize",
            Self::Decommission => "decommission",
            Self::Decommissioned => "decommissioned",
            Self::Rollback => "rollback",
            Self::Undone => "undone",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Decided { .. } => "decided",
        }
    }
}

/// An answer to a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Choice {
    /// Try again.
    Retry,
    /// Go back.
    Rollback,
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Retry => "retry",
            Self::Rollback => "rollback",
        })
    }
}
