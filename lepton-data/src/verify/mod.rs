//! Proving a manifest against a destination, whoever has the two.

pub(crate) mod check;
pub(crate) mod handle;
pub(crate) mod report;
pub(crate) mod verifier;
