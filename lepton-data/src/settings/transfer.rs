//! Settings of a transfer, as a user writes them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::time::Duration;

use lepton_core::{LEAF_SIZE, MemoryBudget};
use serde::{Deserialize, Serialize};

use crate::settings::compare_by::Compare;
use crate::settings::filters::Filters;
use crate::settings::prefix_map::PrefixMap;

const MIB: u64 = LEAF_SIZE as u64;

/// What to do with an object that is at the destination already.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Existing {
    /// Replace it.
    #[default]
    Overwrite,
    /// Leave it and go on.
    Skip,
    /// Leave it and record the object as failed.
    Fail,
    /// Replace it if it differs from the source, by [`Compare`]; a synchronisation.
    IfDifferent,
    /// Replace it if it differs from the source and was not written after it.
    IfNewer,
    /// Leave it if it is the same as the source, by [`Compare`]; record the object
    /// as failed if it differs.
    Immutable,
}

impl Existing {
    /// Whether what is there is compared with the source.
    pub(crate) fn compares(self) -> bool {
        matches!(self, Existing::IfDifferent | Existing::IfNewer | Existing::Immutable)
    }
}

/// What to do with metadata that the destination cannot keep.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Metadata {
    /// Keep what can be kept; the manifest names what was lost for each object.
    #[default]
    Keep,
    /// Record the object as failed, before any byte of it is sent.
    Strict,
}

/// The settings of a transfer, as they stand in a configuration file. The
/// methods of [`TransferBuilder`](crate::TransferBuilder) have the same names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct TransferSettings {
    /// How many objects and parts are on their way at once, at most. Default 64.
    pub concurrency: NonZeroUsize,
    /// Find by what gets done, and by what the stores refuse, how many of them are
    /// best, up to `concurrency`; else it is always that many. Default true.
    pub adaptive: bool,
    /// The smallest part in bytes: a power of two of MiB. Larger objects get
    /// larger parts where the destination's limits ask for it. Default 8 MiB.
    pub part_size: u64,
    /// How many bytes the run may hold in memory. Default 128 MiB.
    pub memory: u64,
    /// How many bytes a second may be read of the source, in all. It can be changed
    /// while the run is on its way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bandwidth: Option<u64>,
    /// How many requests a second may be made, listings included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<u64>,
    /// What to do with objects that are there already.
    pub existing: Existing,
    /// By what objects that are there already are compared with the source, where
    /// `existing` asks for it.
    pub compare: Compare,
    /// How far the clocks of two stores may be apart, and how coarse their time
    /// stamps are: times that differ by less say nothing. In seconds. Default 2.
    #[serde(with = "crate::settings::serde_seconds")]
    pub time_window: Duration,
    /// Which objects are taken.
    pub filters: Filters,
    /// Names that change on the way: the first rule whose `from` a source key begins
    /// with, behind the source's folder, puts its `to` there. What none holds for keeps
    /// its name. Filters go by the names at the source.
    pub map: Vec<PrefixMap>,
    /// Write keys that the destination cannot hold as it can, in place of refusing them:
    /// [`KeyRules::encode`](lepton_core::KeyRules::encode), which percent-decoding reads
    /// back. Every `%` of a key is written `%25` then. Default no.
    pub encode_keys: bool,
    /// Take the names of the source for what `encode_keys` wrote, and give them back as they
    /// were: percent-decoded. Comes before `encode_keys`. Default no.
    pub decode_keys: bool,
    /// Delete what the destination has and the source has not, once everything
    /// else has come to a good end: a mirror. What the filters leave out is neither
    /// copied nor deleted.
    pub delete: bool,
    /// With `delete`: delete also what the filters leave out.
    pub delete_excluded: bool,
    /// With `delete` or a saved plan, in a bucket that keeps versions: delete all versions
    /// of an object, for good, instead of marking it as deleted.
    pub delete_versions: bool,
    /// Delete nothing at all if there are more objects to delete than this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_delete: Option<u64>,
    /// Delete nothing at all if more than this share of the destination's objects
    /// would go, in per cent. Default 10.
    pub max_delete_percent: u8,
    /// Before an object at the destination is replaced or deleted, copy it there: the
    /// key behind the destination's folder, with this in front. What is kept is no
    /// part of the transfer, and is never replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backup_prefix: Option<String>,
    /// Move every version of every key, the oldest first, delete markers included, so
    /// that the destination has of each key the history that the source has. Both
    /// sides must list versions, and the destination must make them. What the
    /// destination has of a key already must be the beginning of the source's
    /// history, else the key fails and nothing of it is written.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub versions: bool,
    /// Where the destination can read the source by itself, with its credentials, let
    /// it copy: no byte passes through here, and the manifest has no digest of the
    /// object but says by what the stores state the copy is right. What the store
    /// does not copy is read and sent. A disk copies what is cheaper so, and is read
    /// once for the digest, unless a `bandwidth` is set. Default true.
    pub server_copy: bool,
    /// Record the tree hash of each object in its user metadata
    /// (`lepton-sha256-tree`), so that later comparisons by checksum need not read
    /// it. Each source object is read once more for it. The destination must keep user
    /// metadata.
    pub record_digest: bool,
    /// Begin no further object once so many bytes have been taken in hand.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_transfer: Option<u64>,
    /// Begin no further object after so many seconds.
    #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
    pub max_duration: Option<Duration>,
    /// What to do with metadata that the destination cannot keep.
    pub metadata: Metadata,
    /// End the run at the first object that fails.
    pub fail_fast: bool,
    /// End the run when more objects than this have failed. Default 10,000.
    pub max_failures: usize,
    /// How often a request is tried, in all. Default 8.
    pub attempts: NonZeroU32,
    /// How often an object is begun again because its source changed, after waits that
    /// double from a tenth of a second on. Default 3.
    pub source_changes: u32,
}

impl Default for TransferSettings {
    fn default() -> Self {
        Self {
            concurrency: NonZeroUsize::MIN.saturating_add(255),
            adaptive: true,
            part_size: 8 * MIB,
            memory: MemoryBudget::DEFAULT,
            bandwidth: None,
            requests_per_second: None,
            existing: Existing::default(),
            compare: Compare::default(),
            time_window: Duration::from_secs(2),
            filters: Filters::default(),
            map: Vec::new(),
            encode_keys: false,
            decode_keys: false,
            delete: false,
            delete_excluded: false,
            delete_versions: false,
            max_delete: None,
            max_delete_percent: 10,
            backup_prefix: None,
            versions: false,
            server_copy: true,
            record_digest: false,
            max_transfer: None,
            max_duration: None,
            metadata: Metadata::default(),
            fail_fast: false,
            max_failures: 10_000,
            attempts: NonZeroU32::MIN.saturating_add(7),
            source_changes: 3,
        }
    }
}
