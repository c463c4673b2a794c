//! What takes part in a fence: data that one side owns and the other follows. **Unstable** until
//! a second kind of data passes its suite.
//!
//! - [`Side`]: the two sides of a migration
//! - [`DataSet`]: the contract; [`MemoryDataSet`] is the reference, objects are the first
//!   implementation
//! - [`DataVerdict`], [`Clearance`]: what proves that a side may own the writes

mod contract;
mod memory;
mod memory_side;
mod side;
mod verdict;

pub use contract::{CopySummary, DataSet, Lag, LagStream, Quiesced};
pub use memory::MemoryDataSet;
pub use memory_side::{Credentials, MemorySide};
pub use side::Side;
pub use verdict::{Clearance, DataVerdict, Verdict};
