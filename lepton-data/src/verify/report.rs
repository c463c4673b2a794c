//! What a verification is asked for, and what it found.

use lepton_core::ObjectKey;
use serde::{Deserialize, Serialize};

/// Problems that are kept by name; all are counted.
const MAX_PROBLEMS: usize = 10_000;

/// How deep to look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Depth {
    /// Reads every byte again and compares the tree hash, part by part.
    #[default]
    Full,
    /// Compares sizes and what the store says: checksum where it keeps one, else
    /// tag or version. Believes the store.
    Quick,
}

/// What is wrong with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Problem {
    /// Its key at the destination.
    pub key: ObjectKey,
    /// What is wrong, for people.
    pub what: String,
}

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verification {
    /// Objects of the manifest.
    pub objects: u64,
    /// Their bytes, as the manifest has them.
    pub bytes: u64,
    /// The number of problems.
    pub failed: u64,
    /// The problems, at most 10,000 of them.
    pub problems: Vec<Problem>,
    /// Objects of which a quick look could compare nothing but the size.
    pub size_only: u64,
    /// Objects that the transfer found unchanged or had a server copy by itself:
    /// there is no digest of them, so they were looked at as by [`Depth::Quick`].
    pub without_digest: u64,
}

impl Verification {
    /// Counts a problem.
    pub(crate) fn add(&mut self, problem: Problem) {
        self.failed += 1;
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        }
    }

    /// Whether everything is as the manifest says.
    pub fn is_proven(&self) -> bool {
        self.failed == 0
    }
}
