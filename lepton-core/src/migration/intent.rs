//! The work of a state.

use crate::data_set::Side;

/// Work of the current state. Every intent is idempotent: after a crash it starts again. Its
/// outcome is an [`Event`](super::Event).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Intent {
    /// Copy a data set once → `Copied`.
    Copy {
        /// Its name.
        data_set: String,
    },
    /// Follow the owner, in the background, while this intent exists.
    Follow {
        /// The name of the data set.
        data_set: String,
        /// The owner.
        from: Side,
    },
    /// Watch the lags of all data sets → `CaughtUp`.
    WatchLag,
    /// Make side B refuse its application's writes, create its workloads, and wait until they are
    /// ready → `Deployed`.
    Deploy,
    /// Keep the route's backends of side B current, in the background: replicas restart at other
    /// addresses.
    KeepBackends,
    /// Start the move to side B without a command, by the policy → `CutOver`.
    StartCutOver {
        /// How many fences in a row were given up. Each further one waits longer.
        given_up: u32,
    },
    /// Run the acceptance tests at side B → `TestsPassed`, `TestsFailed`.
    Test,
    /// Hold new writes back → `Held`, `GivenUp`.
    Hold {
        /// The epoch.
        epoch: u64,
    },
    /// Report to the hold that the driver is alive, in the background; if the hold has ended
    /// → `GivenUp`.
    KeepHold {
        /// The epoch.
        epoch: u64,
    },
    /// End the writes in flight at a side → `Drained`, `GivenUp`.
    Drain {
        /// The side.
        side: Side,
    },
    /// Make a side refuse its application's writes, and prove it → `Quiesced`, `GivenUp`.
    Quiesce {
        /// The name of the data set.
        data_set: String,
        /// The side.
        side: Side,
    },
    /// Copy the last changes and compare both sides → `Verdict`.
    LastDelta {
        /// The name of the data set.
        data_set: String,
        /// The side that owned the writes.
        from: Side,
        /// The epoch.
        epoch: u64,
    },
    /// Move the ownership in the register; the hold stays → `Register`.
    Switch {
        /// The side that is to own the writes.
        to: Side,
        /// The epoch.
        epoch: u64,
    },
    /// Make the owner accept its application's writes → `Allowed`.
    Allow {
        /// The name of the data set.
        data_set: String,
        /// The side.
        side: Side,
    },
    /// End the hold: what waits goes to the owner. A hold that has already ended is no error
    /// → `Register`.
    Release {
        /// The epoch.
        epoch: u64,
    },
    /// Make the old owner follow the new one → `Reversed`, `ReverseConflict`.
    Reverse {
        /// The name of the data set.
        data_set: String,
        /// The new owner.
        from: Side,
    },
    /// Create the workloads of side B that start after the switch → `Started`.
    Start,
    /// Remove what was made at side B → `Undone`.
    Undo,
    /// Remove what the plan owns at side A → `Decommissioned`.
    Decommission,
}

impl Intent {
    /// Whether it runs until the state changes. It has no effect that must be found again after a
    /// crash, and it may be aborted.
    pub fn is_background(&self) -> bool {
        matches!(self, Self::Follow { .. } | Self::WatchLag | Self::KeepBackends | Self::KeepHold { .. })
    }

    /// The stable name in reports.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Copy { .. } => "copy",
            Self::Follow { .. } => "follow",
            Self::WatchLag => "watch_lag",
            Self::Deploy => "deploy",
            Self::KeepBackends => "keep_backends",
            Self::StartCutOver { .. } => "start_cut_over",
            Self::Test => "test",
            Self::Hold { .. } => "hold",
            Self::KeepHold { .. } => "keep_hold",
            Self::Drain { .. } => "drain",
            Self::Quiesce { .. } => "quiesce",
            Self::LastDelta { .. } => "last_delta",
            Self::Switch { .. } => "switch",
            Self::Allow { .. } => "allow",
            Self::Release { .. } => "release",
            Self::Reverse { .. } => "reverse",
            Self::Start => "start",
            Self::Undo => "undo",
            Self::Decommission => "decommission",
        }
    }
}
