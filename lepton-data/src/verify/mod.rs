//! Checks a manifest against a destination; neither the source nor the journal is needed.

pub(crate) mod check;
pub(crate) mod verifier;
