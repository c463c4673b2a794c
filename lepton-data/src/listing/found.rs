//! What the listings have at one key.

use lepton_core::{ObjectKey, ObjectMeta, ObjectVersion};
use serde::{Deserialize, Serialize};

use crate::listing::external_sort::Keyed;
use crate::types::entry::DestinationState;

/// What lies at one name.
#[derive(Debug, PartialEq)]
pub(crate) enum Listed {
    /// An object of the source, and what the destination has of that name.
    Source(ObjectMeta, DestinationState),
    /// A key of the source that a list names; nobody has looked yet.
    Named(ObjectKey),
    /// A key of the source with all its versions.
    History(VersionedKey),
    /// An object that only the destination has.
    Extra(ObjectMeta),
}

/// A key and how much the source has of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionedKey {
    pub(crate) key: ObjectKey,
    /// Delete markers are versions too.
    pub(crate) versions: u64,
    /// The sum of their sizes.
    pub(crate) bytes: u64,
}

impl Keyed for VersionedKey {
    fn key(&self) -> &ObjectKey {
        &self.key
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.key.as_bytes().len()
    }
}

impl VersionedKey {
    pub(crate) fn new(key: ObjectKey) -> Self {
        Self { key, versions: 0, bytes: 0 }
    }

    pub(crate) fn add(&mut self, version: &ObjectVersion) {
        self.versions += 1;
        self.bytes = self.bytes.saturating_add(version.meta.size);
    }
}
