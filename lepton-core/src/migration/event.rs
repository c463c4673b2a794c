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
    /// A follower lost its place: the data set is copied again.
    CopyAgain {
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
    /// No write is in flight.
    Drained,
    /// A data set's owner refuses writes, or was assumed to.
    Quiesced {
        /// Its name.
        data_set: String,
    },
    /// The last delta of a data set has its verdict.
    Verdict(DataVerdict),
    /// A data set's side accepts writes.
    Allowed {
        /// Its name.
        data_set: String,
    },
    /// What the register says. After a crash the driver reads it before anything else.
    Register {
        /// Who owns the writes.
        owner: Side,
        /// The epoch of the last fence.
        epoch: u64,
        /// Whether the hold of that epoch is still on.
        holding: bool,
    },
    /// The fence cannot go on.
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
    /// Something that must be done cannot be done. Outside of a fence a person is asked.
    Failed {
        /// What was to be done.
        what: String,
        /// Why it cannot be done.
        why: String,
    },
    /// The user passes the point of no return.
    Finalize,
    /// What the plan owned at side A is gone.
    Decommissioned,
    /// The user asks for the way back.
    Rollback,
    /// What was made at side B is gone.
    Undone,
    /// The rollback cannot go on.
    RollbackFailed {
        /// Why.
        why: String,
    },
    /// The user pauses it.
    Pause,
    /// The user lets it go on.
    Resume,
    /// The user has decided.
    Decided(Choice),
}

impl Event {
    /// The stable name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Planned { .. } => "planned",
            Self::Approved { .. } => "approved",
            Self::Copied { .. } => "copied",
            Self::CopyAgain { .. } => "copy_again",
            Self::CaughtUp => "caught_up",
            Self::Deployed => "deployed",
            Self::TestsPassed => "tests_passed",
            Self::TestsFailed { .. } => "tests_failed",
            Self::CutOver => "cut_over",
            Self::Held => "held",
            Self::Drained => "drained",
            Self::Quiesced { .. } => "quiesced",
            Self::Verdict(_) => "verdict",
            Self::Allowed { .. } => "allowed",
            Self::Register { .. } => "register",
            Self::GivenUp { .. } => "given_up",
            Self::Reversed { .. } => "reversed",
            Self::ReverseConflict { .. } => "reverse_conflict",
            Self::Failed { .. } => "failed",
            Self::Finalize => "finalize",
            Self::Decommissioned => "decommissioned",
            Self::Rollback => "rollback",
            Self::Undone => "undone",
            Self::RollbackFailed { .. } => "rollback_failed",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Decided(_) => "decided",
        }
    }
}

/// What a user can decide.
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
