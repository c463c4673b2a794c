//! Runs a transfer: lists, compares, applies and reports. `engine.rs` defines the order of
//! the stages.

pub(crate) mod blocked;
pub(crate) mod builder;
pub(crate) mod dry_run;
pub(crate) mod engine;
pub(crate) mod feed;
pub(crate) mod follow;
pub(crate) mod mirror;
pub(crate) mod opening;
pub(crate) mod options;
pub(crate) mod overlap;
pub(crate) mod queue;
pub(crate) mod run;
pub(crate) mod tracker;
