//! What the listings found at one key.

use lepton_core::{ObjectKey, ObjectMeta, ObjectVersion};
use serde::{Deserialize, Serialize};

use crate::listing::external_sort::Keyed;
use crate::types::entry::DestinationState;

/// What the listings found under one name.
#[derive(Debug, PartialEq)]
pub(crate) enum Listed {
    /// An object of the source, and what the destination has under that name.
    Source(ObjectMeta, DestinationState),
    /// A key of the source from a list of keys; neither side has been checked yet.
    Named(ObjectKey),
    /// A key of the source with all its versions.
    History(VersionedKey),
    /// An extraneous object: only the destination has it.
    Extra(ObjectMeta),
}

/// A key, with the number and the size of its versions at the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct VersionedKey {
    pub(crate) key: ObjectKey,
    /// The number of versions, delete markers included.
    pub(crate) versions: u64,
    /// The sum of the versions' sizes.
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
