//! What a migration remembers in addition to its state.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::state::{Fence, State};
use crate::data_set::{DataVerdict, Side};

/// What a migration does without a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Policy {
    /// How many fences in a row may be given up before a person is asked.
    pub fences: u32,
    /// Whether the move to side B starts without a command.
    pub cuts_over: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Self { fences: 3, cuts_over: false }
    }
}

impl Policy {
    /// Three fences; the move to side B needs a command.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many fences in a row may be given up before a person is asked.
    #[must_use]
    pub fn fences(mut self, fences: u32) -> Self {
        self.fences = fences;
        self
    }

    /// Starts the move to side B without a command, as soon as side B has passed its tests.
    #[must_use]
    pub fn cuts_over(mut self, cuts_over: bool) -> Self {
        self.cuts_over = cuts_over;
        self
    }
}

/// What a migration remembers in addition to its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) data_sets: Vec<String>,
    pub(super) policy: Policy,
    /// The side that owns the writes, as of the last reading of the register.
    pub(super) owner: Side,
    /// The epoch of the last fence.
    pub(super) epoch: u64,
    /// The verdicts of that epoch.
    pub(super) verdicts: Vec<DataVerdict>,
    /// Why fences were given up since the last switch.
    pub(super) given_up: Vec<String>,
    /// Writes of the current fence whose end the route could not see.
    pub(super) unknown: u64,
    /// The workloads that start after the switch are ready.
    pub(super) started: bool,
    /// The user requested a rollback while the fence was on.
    pub(super) rolls_back: bool,
}

impl Record {
    pub(super) fn new(data_sets: Vec<String>, policy: Policy) -> Self {
        Self {
            data_sets,
            policy,
            owner: Side::A,
            epoch: 0,
            verdicts: Vec::new(),
            given_up: Vec::new(),
            unknown: 0,
            started: false,
            rolls_back: false,
        }
    }

    /// A fence that begins, in an epoch of its own.
    pub(super) fn fence(&mut self, to: Side) -> Fence {
        self.epoch += 1;
        self.verdicts.clear();
        (self.unknown, self.rolls_back) = (0, false);
        Fence::new(to, self.epoch)
    }

    /// `done` once `names` has all data sets, otherwise `open`.
    pub(super) fn when_all(
        &self,
        names: BTreeSet<String>,
        open: impl FnOnce(BTreeSet<String>) -> State,
        done: State,
    ) -> State {
        if self.data_sets.iter().all(|name| names.contains(name)) { done } else { open(names) }
    }
}
