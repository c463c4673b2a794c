//! Objects inside a side of the transfer that are not part of it: the journal, and the source
//! if it is inside the destination.

use lepton_core::ObjectKey;

/// The prefixes of the keys of the journal's files, if the journal is inside the source or
/// the destination.
#[derive(Debug, Default)]
pub(crate) struct OwnFiles {
    pub(crate) source: Option<ObjectKey>,
    pub(crate) destination: Option<ObjectKey>,
    /// The prefix of the source itself, if it is inside the destination.
    pub(crate) source_there: Option<ObjectKey>,
}

impl OwnFiles {
    /// Whether this key of the source is a file of the journal.
    pub(crate) fn in_source(&self, key: &ObjectKey) -> bool {
        self.source.as_ref().is_some_and(|folder| key.as_bytes().starts_with(folder.as_bytes()))
    }

    /// Whether this key of the destination is inside the source.
    pub(crate) fn is_source(&self, key: &ObjectKey) -> bool {
        self.source_there.as_ref().is_some_and(|folder| key.as_bytes().starts_with(folder.as_bytes()))
    }

    /// Whether this key of the destination is a file of the journal, or would be one.
    pub(crate) fn in_destination(&self, key: &ObjectKey) -> bool {
        self.destination.as_ref().is_some_and(|folder| key.as_bytes().starts_with(folder.as_bytes()))
    }
}
