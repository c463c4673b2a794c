//! A location in a store.

use super::contract::SharedStorage;
use crate::error::Result;
use crate::key::{KeyPrefix, ObjectKey};

/// A store and a path in it, as in a URL such as `s3://bucket/photos`.
#[must_use]
#[derive(Debug, Clone)]
pub struct Location {
    storage: SharedStorage,
    path: Vec<u8>,
}

impl Location {
    /// The location `path` in `storage`.
    pub fn new(storage: SharedStorage, path: impl Into<Vec<u8>>) -> Self {
        Self { storage, path: path.into() }
    }

    /// The store.
    pub fn storage(&self) -> &SharedStorage {
        &self.storage
    }

    /// The path as it was given.
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// The path as a folder: with a `/` at its end, or empty for the whole store.
    pub fn folder(&self) -> KeyPrefix {
        let mut path = self.path.clone();
        if !path.is_empty() && !path.ends_with(b"/") {
            path.push(b'/');
        }
        KeyPrefix::new(path)
    }

    /// The path as the key of one object.
    ///
    /// # Errors
    /// `invalid_key` if the path is empty.
    pub fn key(&self) -> Result<ObjectKey> {
        ObjectKey::new(self.path.clone())
    }
}

impl From<SharedStorage> for Location {
    fn from(storage: SharedStorage) -> Self {
        Self::new(storage, Vec::new())
    }
}
