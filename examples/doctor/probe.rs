//! The tiny objects that are written, and their removal.

use futures_util::TryStreamExt as _;
use lepton::core::KeyPrefix;
use lepton::{Error, ErrorKind, Location, ObjectKey, Result, SharedStorage, StorageExt as _};

/// A unique name in the folder of the place. The keys of all written objects begin with it,
/// even if the store changes keys.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    folder: Vec<u8>,
    name: String,
}

impl Probe {
    pub(crate) fn new(place: &Location) -> Self {
        let random = lepton::core::SystemRuntime::shared().random();
        Self { folder: place.folder().as_bytes().to_vec(), name: format!("lepton-doctor-{random:016x}") }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the place is the whole store.
    pub(crate) fn at_root(&self) -> bool {
        self.folder.is_empty()
    }

    /// The key of the probe, followed by `rest`.
    pub(crate) fn key(&self, rest: &[u8]) -> Result<ObjectKey> {
        ObjectKey::new(self.bytes(rest))
    }

    pub(crate) fn bytes(&self, rest: &[u8]) -> Vec<u8> {
        [&self.folder[..], self.name.as_bytes(), rest].concat()
    }

    /// Deletes everything that begins with the name, including objects that the store saved
    /// under a different key than the given one.
    pub(crate) async fn clean(&self, store: &SharedStorage) -> Result<()> {
        let mut prefixes = vec![self.bytes(b"")];
        if self.at_root() {
            prefixes.push([b"/", &self.bytes(b"")[..]].concat());
        }
        let mut left = Vec::new();
        for prefix in prefixes.into_iter().map(KeyPrefix::new) {
            for key in listed(store, &prefix).await? {
                // An object that cannot be deleted shows in the next listing.
                let _ = store.remove(&key).await;
            }
            left.extend(listed(store, &prefix).await?);
        }
        if left.is_empty() {
            return Ok(());
        }
        let names: Vec<_> = left.iter().map(ObjectKey::to_string).collect();
        let message = format!("what was written for trial cannot be deleted: {}", names.join(", "));
        Err(Error::new(ErrorKind::Conflict, message))
    }
}

/// The keys below a prefix.
pub(crate) async fn listed(store: &SharedStorage, prefix: &KeyPrefix) -> Result<Vec<ObjectKey>> {
    store.objects(prefix.clone()).map_ok(|object| object.key).try_collect().await
}
