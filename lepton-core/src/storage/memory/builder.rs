//! How a memory store is made, and found again by its URL.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use super::store::{MemoryStorage, Shared};
use crate::capabilities::{Capabilities, Support};
use crate::env::{SharedEnv, SystemEnv};

/// Every memory store of the process that somebody holds, by its URL.
static STORES: Mutex<BTreeMap<String, Weak<Shared>>> = Mutex::new(BTreeMap::new());

/// Describes an in-memory store.
#[derive(Debug, Default)]
pub struct MemoryStorageBuilder {
    name: Option<String>,
    versioned: bool,
    capabilities: Option<Capabilities>,
    env: Option<SharedEnv>,
}

impl MemoryStorageBuilder {
    /// The name in the store's URL, `memory:NAME`. If this process has a store of
    /// that name already, that one is it, whatever else is asked for. Default: a
    /// name that no other store has.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Whether versions and delete markers are kept; its capabilities follow.
    /// Default: no.
    #[must_use]
    pub fn versioned(mut self, versioned: bool) -> Self {
        self.versioned = versioned;
        self
    }

    /// What the store can do. It refuses the rest, so that it can stand in for a
    /// weaker one. Default: everything.
    #[must_use]
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = Some(capabilities);
        self
    }

    /// The clock. Default: the system's.
    #[must_use]
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// The store.
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
        let env = self.env.unwrap_or_else(SystemEnv::shared);
        let shared = Arc::new(Shared { url: url.clone(), capabilities, env, bucket: Mutex::default() });
        stores.retain(|_, store| store.strong_count() > 0);
        stores.insert(url, Arc::downgrade(&shared));
        MemoryStorage { shared }
    }
}

impl MemoryStorage {
    /// An empty store that nobody else has, without versions.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// Describes a store.
    pub fn builder() -> MemoryStorageBuilder {
        MemoryStorageBuilder::default()
    }
}

impl Default for MemoryStorage {
    fn default() -> Self {
        Self::new()
    }
}

/// The store of this URL, if the process has one.
pub(super) fn find(url: &str) -> Option<MemoryStorage> {
    let stores = STORES.lock().unwrap_or_else(PoisonError::into_inner);
    stores.get(url).and_then(Weak::upgrade).map(|shared| MemoryStorage { shared })
}
