//! A side of the reference.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use crate::{Error, ErrorKind, Result, RetryClass};

/// The credentials of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// Those of the application, which a quiesced side refuses.
    Application,
    /// Those of an administrator, which are never refused.
    Administrator,
}

/// A side of a [`MemoryDataSet`](super::MemoryDataSet): items with versions, and whether the
/// application's writes are denied. Clones share the items.
#[derive(Debug, Clone, Default)]
pub struct MemorySide(Arc<Mutex<Items>>);

#[derive(Debug, Default)]
struct Items {
    items: BTreeMap<String, Item>,
    writes: u64,
    denied: bool,
}

/// An item, with the number of the write that made it.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) version: u64,
    pub(super) content: Bytes,
}

impl MemorySide {
    /// A side without items, which accepts writes.
    pub fn new() -> Self {
        Self::default()
    }

    /// The names of all items, in order.
    pub fn list(&self) -> Vec<String> {
        self.items().items.keys().cloned().collect()
    }

    /// The content of an item.
    pub fn read(&self, name: &str) -> Option<Bytes> {
        self.get(name).map(|item| item.content)
    }

    /// Creates an item or replaces its content.
    ///
    /// # Errors
    /// `permission_denied` if the side denies the application's writes.
    pub fn write(&self, credentials: Credentials, name: &str, content: impl Into<Bytes>) -> Result<()> {
        self.change(credentials, name, Some(content.into()))
    }

    /// Deletes an item; an absent one is deleted already.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub fn delete(&self, credentials: Credentials, name: &str) -> Result<()> {
        self.change(credentials, name, None)
    }

    fn change(&self, credentials: Credentials, name: &str, content: Option<Bytes>) -> Result<()> {
        let mut items = self.items();
        items.allow(credentials)?;
        items.set(name, content);
        Ok(())
    }

    /// Denies or allows the application's writes.
    pub(super) fn deny(&self, deny: bool) {
        self.items().denied = deny;
    }

    /// Fails as a write with these credentials would.
    pub(super) fn allows(&self, credentials: Credentials) -> Result<()> {
        self.items().allow(credentials)
    }

    pub(super) fn get(&self, name: &str) -> Option<Item> {
        self.items().items.get(name).cloned()
    }

    /// Replaces the content of an item, or deletes it, if it still has this version. Returns its
    /// new version.
    pub(super) fn replace(&self, name: &str, version: Option<u64>, content: Option<Bytes>) -> Option<u64> {
        let mut items = self.items();
        let unchanged = items.items.get(name).map(|item| item.version) == version;
        unchanged.then(|| items.set(name, content))
    }

    fn items(&self) -> MutexGuard<'_, Items> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Items {
    fn allow(&self, credentials: Credentials) -> Result<()> {
        if credentials == Credentials::Administrator || !self.denied {
            return Ok(());
        }
        let message = "this side denies the application's writes";
        Err(Error::new(ErrorKind::PermissionDenied, message).with_retry(RetryClass::Never))
    }

    fn set(&mut self, name: &str, content: Option<Bytes>) -> u64 {
        self.writes += 1;
        match content {
            Some(content) => drop(self.items.insert(name.to_owned(), Item { version: self.writes, content })),
            None => drop(self.items.remove(name)),
        }
        self.writes
    }
}
