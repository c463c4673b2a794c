//! Layers: stores that wrap stores, by what they do to each operation.
//!
//! A layer implements [`Layer`], and [`layered`] wraps a store with it: instrumenting, limits,
//! retries and faults in tests are written once for all operations and all facets.

mod contract;
mod layered;

pub use contract::{Layer, Operation};
pub use layered::{layered, layered_as};
