//! How the suite runs.

use crate::env::{SharedEnv, SystemEnv};
use crate::storage::SharedStorage;

/// How the suite runs.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// What the keys of the suite begin with; a random name follows.
    pub prefix: String,
    /// How many objects the longest listing has. More than a page of the store
    /// (S3: 1,000) shows whether the listing goes on.
    pub many: usize,
    /// Only cases whose name contains this.
    pub only: Option<String>,
    /// A store over a bucket that is not there.
    pub missing_bucket: Option<SharedStorage>,
    /// The same store with credentials that it does not take.
    pub wrong_credentials: Option<SharedStorage>,
    /// The same store with credentials that do not permit to write.
    pub read_only: Option<SharedStorage>,
    /// Another store of the same kind, which can copy from this one by itself.
    pub copier: Option<SharedStorage>,
    /// Randomness and time.
    pub env: SharedEnv,
}

impl Options {
    /// 1,100 objects, names that begin with `lepton-conformance-`, all cases.
    pub fn new() -> Self {
        Self {
            prefix: "lepton-conformance-".to_owned(),
            many: 1100,
            only: None,
            missing_bucket: None,
            wrong_credentials: None,
            read_only: None,
            copier: None,
            env: SystemEnv::shared(),
        }
    }

    /// Keys begin with this and a random name.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The longest listing has so many objects.
    #[must_use]
    pub fn many(mut self, objects: usize) -> Self {
        self.many = objects;
        self
    }

    /// Only cases whose name contains this.
    #[must_use]
    pub fn only(mut self, part_of_name: impl Into<String>) -> Self {
        self.only = Some(part_of_name.into());
        self
    }

    /// Asks also this store, whose bucket is not there.
    #[must_use]
    pub fn missing_bucket(mut self, store: SharedStorage) -> Self {
        self.missing_bucket = Some(store);
        self
    }

    /// Asks also this store: the same, with credentials that it does not take.
    #[must_use]
    pub fn wrong_credentials(mut self, store: SharedStorage) -> Self {
        self.wrong_credentials = Some(store);
        self
    }

    /// Asks also this store: the same, with credentials that do not permit to write.
    #[must_use]
    pub fn read_only(mut self, store: SharedStorage) -> Self {
        self.read_only = Some(store);
        self
    }

    /// Has this other store copy from the store, and compares what it fetched with
    /// what the store gives. A store in memory is always asked.
    #[must_use]
    pub fn copier(mut self, store: SharedStorage) -> Self {
        self.copier = Some(store);
        self
    }

    /// With this randomness and time.
    #[must_use]
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = env;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
