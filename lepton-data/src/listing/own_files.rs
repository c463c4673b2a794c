//! What lies inside a side of the transfer and is no part of it: the journal, and the
//! source where it lies inside the destination.

use lepton_core::ObjectKey;

/// Where the journal is, seen from the source and the destination: what the keys of its
/// files begin with, if it lies inside.
#[derive(Debug, Default)]
pub(crate) struct OwnFiles {
    pub(crate) source: Option<ObjectKey>,
    pub(crate) destination: Option<ObjectKey>,
    /// The source itself, where it lies inside the destination.
    pub(crate) source_there: Option<ObjectKey>,
}

impl OwnFiles {
    /// Whether this key of the source is a file of the journal.
    pub(crate) fn in_source(&self, key: &ObjectKey) -> bool {
        self.source.as_ref().is_some_and(|folder| key.as_bytes().starts_with(folder.as_bytes()))
    }

    /// Whether this key of the destination lies inside the source.
    pub(crate) fn is_source(&self, key: &ObjectKey) -> bool {
        self.source_there.as_ref().is_some_and(|folder| key.as_bytes().starts_with(folder.as_bytes()))
    }

    /// Whether this key of the destination is a file of the journal, or would be one.
    pub(crate) fn in_destination(&self, key: &ObjectKey) -> bool {
        self.destination.as_ref().is_some_and(|folder| key.as_bytes().starts_with(folder.as_bytes()))
    }
}
