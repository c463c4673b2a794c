//! The memory store: its state, behind a lock.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use super::bucket::{Bucket, Object};
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::key::ObjectKey;
use crate::object::Precondition;
use crate::runtime::SharedRuntime;
use crate::storage::{PutReceipt, ServerCheck};

/// A store in memory, with every facet except the signer: no server could serve a URL
/// that it signed.
///
/// Clones share their contents. The memory stores of one process can copy from each
/// other by themselves. A store does what its [`Capabilities`] state and refuses
/// everything else.
///
/// ETags are computed as in Amazon S3: the MD5 of an object from a single put; for a
/// multipart object, the MD5 of the parts' MD5s and the number of parts.
///
/// ```
/// # use lepton_core::{MemoryStorage, ObjectKey, StorageExt as _};
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// let store = MemoryStorage::new();
/// let key = ObjectKey::new("greeting")?;
/// store.write(&key, "hello".into()).await?;
/// assert_eq!(store.read(&key, 1024).await?, "hello");
/// # Ok::<(), lepton_core::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct MemoryStorage {
    pub(super) shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub(super) url: String,
    pub(super) capabilities: Capabilities,
    pub(super) env: SharedRuntime,
    pub(super) bucket: Mutex<Bucket>,
}

impl MemoryStorage {
    pub(super) fn locked<T>(&self, act: impl FnOnce(&mut Bucket) -> T) -> T {
        // A poisoned lock is usable: no change is half done where a panic could occur.
        act(&mut self.shared.bucket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn versioned(&self) -> bool {
        self.shared.capabilities.versions.is_available()
    }

    /// Makes the object visible if the condition holds at this moment.
    pub(super) fn store(&self, key: &ObjectKey, object: Object, precondition: &Precondition) -> Result<PutReceipt> {
        let modified = self.shared.env.now();
        self.locked(|bucket| {
            bucket.permits(key, precondition)?;
            Ok(self.commit(bucket, key, object, modified))
        })
    }

    pub(super) fn commit(
        &self,
        bucket: &mut Bucket,
        key: &ObjectKey,
        object: Object,
        modified: SystemTime,
    ) -> PutReceipt {
        let receipt = PutReceipt::new(ServerCheck::AsWritten);
        let receipt = receipt.etag(Some(object.etag.clone())).checksums(object.checksums());
        let version = bucket.commit(key, Some(object), modified, self.versioned());
        receipt.version(self.versioned().then_some(version))
    }
}

impl fmt::Debug for MemoryStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryStorage({})", self.shared.url)
    }
}
