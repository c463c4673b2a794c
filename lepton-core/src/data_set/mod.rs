//! What takes part in a fence: data that one side owns and the other follows. **Unstable** until
//! a second kind of data passes its suite.
//!
//! - [`Side`]: the two sides of a migration
//! - [`DataSet`]: the contract; objects are the first implementation
//! - [`DataVerdict`], [`Clearance`]: what proves that a side may own the writes

mod contract;
mod side;
mod verdict;

pub use contract::{CopySummary, DataSet, Lag, LagStream, Quiesced};
pub use side::Side;
pub use verdict::{Clearance, DataVerdict, Verdict};
