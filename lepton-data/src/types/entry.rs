//! What is to be done with each object: names, parts, refusals.

use std::collections::BTreeSet;
use std::sync::Arc;

use lepton_core::{ETag, ObjectKey, ObjectMeta, VersionId};
use serde::{Deserialize, Serialize};

use crate::types::reason::Reason;

/// What the destination has of a name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum There {
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
    pub(crate) there: There,
    /// Whether the source has told of it; else only its key is known.
    pub(crate) known: bool,
    /// Why a saved plan has it copied: then nothing is compared again.
    pub(crate) planned: Option<Reason>,
    /// Of a version in a history: the versions of the key that the destination has
    /// before this one. What is there beside them is what was written.
    pub(crate) behind: Option<Arc<Ids>>,
}

impl Entry {
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
