//! What a transfer would do with one object.

use lepton_core::{ObjectKey, ObjectMeta};
use serde::{Deserialize, Serialize};

use crate::names::mapping::Mapping;
use crate::types::reason::{ComparedBy, Reason};

/// What a transfer would do with one object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// Its key at the source. For an object that only the destination has, the key that it
    /// would have at the source if no name were changed.
    pub source_key: ObjectKey,
    /// Its key at the destination.
    pub key: ObjectKey,
    /// Its size in bytes.
    pub size: u64,
    /// What would be done.
    #[serde(flatten)]
    pub action: PlannedAction,
    /// The object at the source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<ObjectMeta>,
    /// The object at the destination, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<ObjectMeta>,
}

/// What would be done with an object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "do")]
#[non_exhaustive]
pub enum PlannedAction {
    /// It would be copied in `parts` parts; one part is a single request.
    Copy {
        /// Why.
        reason: Reason,
        /// The number of parts.
        parts: u32,
        /// Their size in bytes; the last one may be smaller.
        part_size: u64,
    },
    /// It is the same on both sides.
    Unchanged {
        /// The basis of the comparison.
        by: ComparedBy,
    },
    /// It would be skipped.
    Skip,
    /// It would be deleted at the destination.
    Delete,
    /// It would fail.
    Refuse {
        /// Why.
        reason: String,
    },
}

impl Planned {
    /// Its sort key.
    pub(crate) fn sort_key(&self, mapping: &Mapping) -> ObjectKey {
        self.source.as_ref().map_or_else(|| self.source_key.clone(), |source| mapping.sort_key(&source.key))
    }
}
