//! The data that outlives a run: the journal, the manifest, plans, proofs and the report.

pub(crate) mod journal;
pub(crate) mod manifest;
pub(crate) mod note;
pub(crate) mod plan_file;
pub(crate) mod planned;
pub(crate) mod proofs;
pub(crate) mod report;
pub(crate) mod resumed;
pub(crate) mod sealed_lines;
pub(crate) mod verification;
