//! The entries of a run: one source object, its target key, and what the destination has.

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton_core::{ETag, ObjectKey, ObjectMeta, VersionId};
use serde::{Deserialize, Serialize};

use crate::types::reason::Reason;

/// What the destination has under a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DestinationState {
    /// It was not checked.
    Unknown,
    /// No object, when it was listed.
    Absent,
    /// This object, when it was listed.
    Present(Box<ObjectMeta>),
}

/// The ids of versions of one key.
pub(crate) type Ids = BTreeSet<Option<VersionId>>;

/// One source object, its key at the destination, and what the destination has there.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) source: ObjectMeta,
    pub(crate) target: ObjectKey,
    pub(crate) there: DestinationState,
    pub(crate) mode: Mode,
}

/// What is known of an entry, which decides how it is moved.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// Only the key is known: its metadata is requested from the source first.
    Named,
    /// The source has described it.
    Listed,
    /// A saved plan copies it for this reason; it is not compared again.
    Planned(Reason),
    /// A version in a history. The destination has these versions of the key before the write;
    /// any further version afterwards is the one that was written.
    Version { earlier: Arc<Ids> },
}

impl Entry {
    /// Whether only the key is known.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.mode, Mode::Named)
    }

    /// The versions that the destination has before this one, if it is a version in a history.
    pub(crate) fn earlier_versions(&self) -> Option<&Arc<Ids>> {
        if let Mode::Version { earlier } = &self.mode { Some(earlier) } else { None }
    }

    /// Whether it is a version in a history. Writing it twice would create two versions.
    pub(crate) fn is_version(&self) -> bool {
        self.earlier_versions().is_some()
    }

    /// The key at the source, if it differs from the one at the destination.
    pub(crate) fn renamed(&self) -> Option<ObjectKey> {
        (self.source.key != self.target).then(|| self.source.key.clone())
    }
}

/// Identifies the exact object or version that is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) etag: Option<ETag>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<VersionId>,
}

impl Pin {
    pub(crate) fn of(meta: &ObjectMeta) -> Self {
        Self { etag: meta.etag.clone(), version: meta.version.clone() }
    }
}
