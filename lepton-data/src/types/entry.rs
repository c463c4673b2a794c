//! What is to be done with each object: names, parts, refusals.

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton_core::{ETag, ObjectKey, ObjectMeta, VersionId};
use serde::{Deserialize, Serialize};

use crate::types::reason::Reason;

/// What the destination has of a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum DestinationState {
    /// It was not looked at.
    Unknown,
    /// Nothing, when it was listed.
    Absent,
    /// This, when it was listed.
    Present(Box<ObjectMeta>),
}

/// Names of versions of one key.
pub(crate) type Ids = BTreeSet<Option<VersionId>>;

/// One source object, the name it gets, and what is there already.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) source: ObjectMeta,
    pub(crate) target: ObjectKey,
    pub(crate) there: DestinationState,
    pub(crate) mode: Mode,
}

/// What is known of an entry, and so how it is brought.
#[derive(Debug, Clone)]
pub(crate) enum Mode {
    /// Only the key is known: the source is asked first.
    Named,
    /// The source has described it.
    Listed,
    /// A saved plan has it copied, for this reason: nothing is compared again.
    Planned(Reason),
    /// A version in a history. The destination has these versions of the key before it; what it
    /// has in addition afterwards is what was written.
    Version { earlier: Arc<Ids> },
}

impl Entry {
    /// Whether only the key is known.
    pub(crate) fn is_named(&self) -> bool {
        matches!(self.mode, Mode::Named)
    }

    /// Of a version in a history: the versions that the destination has before it.
    pub(crate) fn earlier_versions(&self) -> Option<&Arc<Ids>> {
        if let Mode::Version { earlier } = &self.mode { Some(earlier) } else { None }
    }

    /// Whether it is a version in a history: what is written twice makes two versions.
    pub(crate) fn is_version(&self) -> bool {
        self.earlier_versions().is_some()
    }

    /// The key at the source, where it is another than at the destination.
    pub(crate) fn renamed(&self) -> Option<ObjectKey> {
        (self.source.key != self.target).then(|| self.source.key.clone())
    }
}

/// What holds a source object still while it is read.
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
