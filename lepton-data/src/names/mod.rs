//! Decides which objects are transferred, and the name of each at the destination.

pub(crate) mod case_folding;
pub(crate) mod filter;
pub(crate) mod mapping;
pub(crate) mod target;
