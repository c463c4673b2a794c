//! Objects as a data set.
//!
//! `set` implements the contract over `rounds` of the engine's follower; `quiesce` makes a side
//! refuse writes and proves it.

mod quiesce;
mod rounds;
mod set;

pub use quiesce::{AssumeRouterOnly, Quiesce, StoreQuiesce};
pub use set::{ObjectSet, ObjectSetBuilder};
