//! The states of a migration.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use super::event::Choice;
use crate::data_set::Side;
use crate::{Error, ErrorKind, RetryClass};

/// The state of a migration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum State {
    /// There is no plan.
    Draft,
    /// There is a plan that is not approved yet.
    Planned,
    /// Data sets are copied for the first time.
    Copying {
        /// Those that have been copied.
        copied: BTreeSet<String>,
    },
    /// Side B follows, and its lag decreases.
    Delta {
        /// The lag was small enough, and the workloads of side B are being created.
        caught_up: bool,
    },
    /// The workloads of side B are ready and get no traffic.
    Deployed,
    /// They have passed the acceptance tests.
    Tested,
    /// Ownership of the writes moves to side B.
    Fence(Fence),
    /// Side B owns the writes and accepts them, and side A starts to follow.
    Switched {
        /// The data sets that already follow.
        reversed: BTreeSet<String>,
    },
    /// Side B owns the writes and side A follows.
    Holding,
    /// The point of no return is passed: side A no longer follows.
    Finalized,
    /// What the plan owns at side A is being removed.
    Decommissioning,
    /// What the plan owned at side A is gone.
    Decommissioned,
    /// Ownership of the writes moves back to side A.
    RollingBack(Fence),
    /// Side A owns the writes, and what was made at side B is being removed.
    Undoing,
    /// Side A is as it was, with all writes.
    RolledBack,
    /// The rollback cannot continue without a person.
    RollbackBlocked {
        /// Why.
        why: String,
    },
    /// The user has paused it.
    Paused(Box<State>),
    /// It cannot continue without a decision.
    NeedsDecision {
        /// The question.
        question: Question,
        /// The state in which it continues.
        then: Box<State>,
    },
}

impl State {
    /// The stable name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Planned => "planned",
            Self::Copying { .. } => "copying",
            Self::Delta { .. } => "delta",
            Self::Deployed => "deployed",
            Self::Tested => "tested",
            Self::Fence(_) => "fence",
            Self::Switched { .. } => "switched",
            Self::Holding => "holding",
            Self::Finalized => "finalized",
            Self::Decommissioning => "decommissioning",
            Self::Decommissioned => "decommissioned",
            Self::RollingBack(_) | Self::Undoing => "rolling_back",
            Self::RolledBack => "rolled_back",
            Self::RollbackBlocked { .. } => "rollback_blocked",
            Self::Paused(_) => "paused",
            Self::NeedsDecision { .. } => "needs_decision",
        }
    }

    /// The state that asks a person, with the state in which it continues.
    pub(super) fn asking(text: String, evidence: Vec<String>, then: State) -> Self {
        let question = Question { text, choices: vec![Choice::Retry, Choice::Rollback], evidence };
        Self::NeedsDecision { question, then: Box::new(then) }
    }

    /// The error for an event that cannot happen in this state.
    pub(super) fn refuses(&self, event: &str) -> Error {
        let message = format!("{event} is not possible while the migration is in the state {self}");
        Error::new(ErrorKind::PreconditionFailed, message).with_retry(RetryClass::Never)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fence(fence) | Self::RollingBack(fence) => write!(f, "{} ({})", self.name(), fence.stage),
            Self::Paused(state) => write!(f, "paused in {state}"),
            Self::NeedsDecision { question, .. } => write!(f, "needs a decision: {}", question.text),
            Self::RollbackBlocked { why } => write!(f, "rollback blocked: {why}"),
            _ => f.write_str(self.name()),
        }
    }
}

/// The move of the ownership of writes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Fence {
    /// The side that is to own the writes.
    pub to: Side,
    /// The epoch, higher than that of any fence before.
    pub epoch: u64,
    /// The current stage.
    pub stage: Stage,
    /// The data sets for which this stage is done.
    pub done: BTreeSet<String>,
}

impl Fence {
    pub(super) fn new(to: Side, epoch: u64) -> Self {
        Self { to, epoch, stage: Stage::Hold, done: BTreeSet::new() }
    }

    pub(super) fn at(mut self, stage: Stage) -> Self {
        (self.stage, self.done) = (stage, BTreeSet::new());
        self
    }
}

/// The stages of a fence, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Stage {
    /// New writes are held back.
    Hold,
    /// The writes in flight are ending.
    Drain,
    /// The owner is made to refuse writes, with a proof.
    Quiesce,
    /// The last changes are copied, and both sides are compared wholly.
    LastDelta,
    /// The register moves the ownership. The hold stays.
    Switch,
    /// The new owner is made to accept writes.
    Allow,
    /// Held writes go to the new owner.
    Release,
    /// The fence is given up: the owner is made to accept writes again.
    Lift {
        /// Why.
        why: String,
    },
    /// The fence is given up: held writes go to the owner.
    Back {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hold => f.write_str("hold"),
            Self::Drain => f.write_str("drain"),
            Self::Quiesce => f.write_str("quiesce"),
            Self::LastDelta => f.write_str("last delta"),
            Self::Switch => f.write_str("switch"),
            Self::Allow => f.write_str("allow"),
            Self::Release => f.write_str("release"),
            Self::Lift { why } | Self::Back { why } => write!(f, "given up: {why}"),
        }
    }
}

/// A decision that only a person can make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Question {
    /// The question.
    pub text: String,
    /// The choices.
    pub choices: Vec<Choice>,
    /// The known facts, one per line.
    pub evidence: Vec<String>,
}
