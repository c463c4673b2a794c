//! Builds memory stores, and finds them again by their URL.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::store::{MemoryStorage, Shared};
use crate::capabilities::{Capabilities, Support};
use crate::runtime::{SharedRuntime, SystemRuntime};

/// Every live memory store of the process, by its URL.
static STORES: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// Builds an in-memory store.
#[derive(Debug, Default)]
pub struct MemoryStorageBuilder {
    name: Option<String>,
    versioned: bool,
    capabilities: Option<Capabilities>,
    env: Option<SharedRuntime>,
}

impl MemoryStorageBuilder {
    /// The name in the store's URL, `memory:NAME`. If this process already has a store of
    /// that name, that store is returned, and all other settings are ignored. Default: a
    /// name that no other store has.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether versions and delete markers are kept; sets the capability accordingly.
    /// Default: no.
    #[must_use]
    pub fn versioned(mut self, versioned: bool) -> Self {
        self.versioned = versioned;
        self
    }

    /// The capabilities of the store. It refuses everything else, so that it can stand in
    /// for a store with fewer capabilities. Default: everything.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// The clock. Default: the system's.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Builds the store.
    pub fn build(self) -> MemoryStorage {
        static UNNAMED: AtomicU64 = AtomicU64::new(1);
        let name = self.name.unwrap_or_else(|| format!("unnamed-{}", UNNAMED.fetch_add(1, Ordering::Relaxed)));
        let url = format!("memory:{name}");
        let mut stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shared) = stores.get(&url).and_then(Weak::upgrade) {
            return MemoryStorage { shared };
        }
        let mut capabilities = self.capabilities.unwrap_or_else(|| {
            let mut everything = Capabilities::everything("memory");
            everything.etag_is_md5 = true;
            everything
        });
        capabilities.versions = if self.versioned { Support::Native } else { Support::Unsupported };
        let env = self.env.unwrap_or_else(SystemRuntime::shared);
        let shared = Arc::new(Shared { url: url.clone(), capabilities, env, bucket: Mutex::default() });
        stores.retain(|_, store| store.strong_count() > 0);
        stores.insert(url, Arc::downgrade(&shared));
        MemoryStorage { shared }
    }
}

impl MemoryStorage {
    /// A new, empty, unversioned store.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder for a store.
    pub fn builder() -> MemoryStorageBuilder {
        MemoryStorageBuilder::default()
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

/// The store with this URL, if the process has one.
pub(super) fn find(url: &str) -> Option<MemoryStorage> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.get(url).and_then(Weak::upgrade).map(|shared| MemoryStorage { shared })
}
