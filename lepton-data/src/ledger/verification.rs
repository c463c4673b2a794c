//! The depth of a verification, and its result.

use lepton_core::ObjectKey;
use serde::{Deserialize, Serialize};

/// The number of problems that are named; all are counted.
const MAX_PROBLEMS: usize = 10_000;

/// How thoroughly to check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum VerifyDepth {
    /// Reads every byte again and compares the tree hash, part by part.
    #[default]
    Full,
    /// Compares sizes and what the store states: its checksum where it keeps one, else
    /// the tag. Trusts the store.
    Quick,
}

/// What is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// Its key at the destination.
    pub key: ObjectKey,
    /// What is wrong, as readable text.
    pub reason: String,
}

/// The result of a verification.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[must_use = "problems are no error: see `is_proven`"]
#[non_exhaustive]
pub struct Verification {
    /// Entries of the manifest.
    pub objects: u64,
    /// Their bytes, as the manifest states them.
    pub bytes: u64,
    /// The number of objects that do not match.
    pub failed: u64,
    /// What is wrong with them, one entry for each object; at most 10,000 of them.
    pub problems: Vec<Problem>,
    /// The number of objects that could not be compared, because the store did not respond, or
    /// with errors. They are not known to be damaged; verify again.
    pub unreachable: u64,
    /// Why, for the first of them.
    pub unreachable_reason: Option<String>,
    /// Objects that failed in the run that wrote the manifest, which has no entries of them.
    pub not_copied: u64,
    /// Objects of which a quick check could compare only the size.
    pub size_only: u64,
    /// Objects that the transfer found unchanged or that the server copied by itself. The
    /// manifest has no digest of them, so they were checked as by [`VerifyDepth::Quick`].
    pub without_digest: u64,
}

impl Verification {
    /// Counts an object with what is wrong with its parts.
    pub(crate) fn add(&mut self, key: ObjectKey, mut wrong: Vec<String>) {
        self.failed += 1;
        // A missing object is missing in all its parts.
        wrong.dedup();
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(Problem { key, reason: wrong.join("; ") });
        }
    }

    /// Counts an object that could not be compared.
    pub(crate) fn add_unreachable(&mut self, reason: String) {
        self.unreachable += 1;
        self.unreachable_reason.get_or_insert(reason);
    }

    /// Whether every object of the transfer matches the manifest. The manifest of an incomplete
    /// run proves nothing of the objects that failed.
    pub fn is_proven(&self) -> bool {
        self.failed == 0 && self.unreachable == 0 && self.not_copied == 0
    }
}
