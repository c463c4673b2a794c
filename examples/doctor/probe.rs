//! The tiny objects that are written, and their end.

use futures_util::TryStreamExt as _;
use lepton::core::KeyPrefix;
use lepton::{Error, ErrorKind, Location, ObjectKey, Result, SharedStorage, StorageExt as _};

/// A name that nobody else has, in the folder of the place. All that is written begins
/// with it, even where the store changes keys.
#[derive(Debug, Clone)]
pub(crate) struct Probe {
    folder: Vec<u8>,
    name: String,
}

impl Probe {
    pub(crate) fn new(place: &Location) -> Self {
        let random = lepton::core::SystemEnv::shared().random();
        Self { folder: place.folder().as_bytes().to_vec(), name: format!("lepton-doctor-{random:016x}") }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the place is the whole store.
    pub(crate) fn at_root(&self) -> bool {
        self.folder.is_empty()
    }

    /// The key of the probe with something behind it.
    pub(crate) fn key(&self, rest: &[u8]) -> Result<ObjectKey> {
        ObjectKey::new(self.bytes(rest))
    }

    pub(crate) fn bytes(&self, rest: &[u8]) -> Vec<u8> {
        [&self.folder[..], self.name.as_bytes(), rest].concat()
    }

    /// Deletes everything that begins with the name, also what the store put there under
    /// another key than it was given.
    pub(crate) async fn clean(&self, store: &SharedStorage) -> Result<()> {
        let mut prefixes = vec![self.bytes(b"")];
        if self.at_root() {
            prefixes.push([b"/", &self.bytes(b"")[..]].concat());
        }
        let mut left = Vec::new();
        for prefix in prefixes.into_iter().map(KeyPrefix::new) {
            for key in listed(store, &prefix).await? {
                // What cannot be deleted is there when it is looked for.
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

/// The keys under a prefix.
pub(crate) async fn listed(store: &SharedStorage, prefix: &KeyPrefix) -> Result<Vec<ObjectKey>> {
    store.objects(prefix.clone()).map_ok(|object| object.key).try_collect().await
}
