//! Case-folded names.

use std::hash::{DefaultHasher, Hasher as _};

use lepton_core::{Error, ErrorKind, KeyRules, ObjectKey, Result};

/// The case-folded names that the source's objects get at the destination.
#[derive(Debug)]
pub(crate) struct Folded {
    rules: KeyRules,
    /// It is random, so that names cannot be chosen to collide.
    seed: u64,
    /// In ascending order. A hash that occurs twice is one name for two objects.
    hashes: Vec<u64>,
}

impl Folded {
    /// The names with these hashes under `seed`, in any order. They are sorted, which takes
    /// some time if there are many.
    pub(crate) fn new(rules: KeyRules, seed: u64, mut hashes: Vec<u64>) -> Self {
        hashes.sort_unstable();
        Self { rules, seed, hashes }
    }

    fn hash(&self, target: &ObjectKey) -> u64 {
        hash(&self.rules, self.seed, target)
    }

    /// Whether an object of the source gets this name, in upper or lower case.
    pub(crate) fn holds(&self, target: &ObjectKey) -> bool {
        self.hashes.binary_search(&self.hash(target)).is_ok()
    }

    /// Refuses a name that two objects would share.
    pub(crate) fn check(&self, target: &ObjectKey) -> Result<()> {
        let hash = self.hash(target);
        let first = self.hashes.partition_point(|other| *other < hash);
        if self.hashes.get(first + 1) != Some(&hash) {
            return Ok(());
        }
        let message = "another object of the source has a name that differs in upper and lower case alone, which \
                       the destination takes for the same; rename one with map, leave one out by a filter, or set \
                       encode_keys";
        Err(Error::new(ErrorKind::InvalidKey, message).with_context("key", target))
    }
}

pub(crate) fn hash(rules: &KeyRules, seed: u64, target: &ObjectKey) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    hasher.write(&rules.folded(target));
    hasher.finish()
}
