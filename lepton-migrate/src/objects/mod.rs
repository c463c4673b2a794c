//! Objects as a data set.
//!
//! `set` implements the contract over the engine's follower; `quiesce` makes a side refuse writes
//! and proves it; `expected` finds what somebody else has changed at the follower.

mod expected;
mod quiesce;
mod set;

pub use quiesce::{AssumeRouterOnly, Quiesce, StoreQuiesce};
pub use set::{ObjectSet, ObjectSetBuilder};
