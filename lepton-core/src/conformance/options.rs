//! The options of the suite.

use crate::runtime::{SharedRuntime, SystemRuntime};
use crate::storage::SharedStorage;

/// The options of the suite.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The start of the suite's keys; a random name follows.
    pub prefix: String,
    /// The number of objects in the longest listing. With more than one page of the store
    /// (S3: 1,000), the suite checks that the listing continues.
    pub many: usize,
    /// Only cases whose name contains this.
    pub only: Option<String>,
    /// A store over a bucket that does not exist.
    pub missing_bucket: Option<SharedStorage>,
    /// The same store with credentials that it rejects.
    pub wrong_credentials: Option<SharedStorage>,
    /// The same store with credentials that do not permit writes.
    pub read_only: Option<SharedStorage>,
    /// Another store of the same kind, which can copy from this one by itself.
    pub copier: Option<SharedStorage>,
    /// Randomness and time.
    pub env: SharedRuntime,
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
            env: SystemRuntime::shared(),
        }
    }

    /// Keys begin with `prefix` and a random name.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// The longest listing has this many objects.
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

    /// Also checks this store, whose bucket does not exist.
    #[must_use]
    pub fn missing_bucket(mut self, store: SharedStorage) -> Self {
        self.missing_bucket = Some(store);
        self
    }

    /// Also checks this store: the same store with credentials that it rejects.
    #[must_use]
    pub fn wrong_credentials(mut self, store: SharedStorage) -> Self {
        self.wrong_credentials = Some(store);
        self
    }

    /// Also checks this store: the same store with credentials that do not permit writes.
    #[must_use]
    pub fn read_only(mut self, store: SharedStorage) -> Self {
        self.read_only = Some(store);
        self
    }

    /// Has this other store copy from the store under test, and compares the fetched bytes
    /// with those that the store returns. A store in memory is always tried too.
    #[must_use]
    pub fn copier(mut self, store: SharedStorage) -> Self {
        self.copier = Some(store);
        self
    }

    /// With this randomness and time.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = runtime;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}
