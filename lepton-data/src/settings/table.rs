//! Every setting of a transfer, once: what it does, its name, type and default, and whether a
//! journal belongs to it. The struct, its defaults, the methods of the builder and the identity
//! of a journal are made of this table.

/// When a setting is a part of what a journal belongs to, so that a run under another value does
/// not resume it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// It may change between runs.
    Never,
    /// It belongs to the journal, also to that of a saved plan.
    Always,
    /// It belongs to the journal of a run that lists; a saved plan has decided it already.
    Listing,
    /// As `Listing`, and is left out where it has its default: journals from before the setting
    /// existed stay valid.
    IfSet,
    /// It is written as the destination's key rules, because what a key is encoded as depends on
    /// them.
    ByRules,
}

/// Calls a macro with the table.
macro_rules! transfer_settings {
    ($callback:ident) => {
        $callback! {
            /// How many objects and parts are on their way at once, at most. Default 256.
            concurrency: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255), never;
            /// Find by what gets done, and by what the stores refuse, how many of them are
            /// best, up to `concurrency`; else it is always that many. Default true.
            adaptive: bool = true, never;
            /// The smallest part in bytes: a power of two of MiB. Larger objects get
            /// larger parts where the destination's limits ask for it. Default 8 MiB.
            part_size: u64 = 8 * MIB, always;
            /// How many bytes the run may hold in memory. Default 128 MiB.
            memory: u64 = MemoryBudget::DEFAULT, never;
            /// How many bytes a second may be read of the source, in all. It can be changed
            /// while the run is on its way.
            #[serde(skip_serializing_if = "Option::is_none")]
            bandwidth: Option<u64> = None, never;
            /// How many requests a second may be made, listings included.
            #[serde(skip_serializing_if = "Option::is_none")]
            requests_per_second: Option<u64> = None, never;
            /// What to do with objects that are there already.
            existing: Existing = Existing::default(), listing;
            /// By what objects that are there already are compared with the source, where
            /// `existing` asks for it.
            compare: Compare = Compare::default(), listing;
            /// How far the clocks of two stores may be apart, and how coarse their time
            /// stamps are: times that differ by less say nothing. In seconds. Default 2.
            #[serde(with = "crate::settings::serde_seconds")]
            time_window: Duration = Duration::from_secs(2), listing;
            /// Which objects are taken.
            filters: Filters = Filters::default(), listing;
            /// Names that change on the way: the first rule whose `from` a source key begins
            /// with, behind the source's folder, puts its `to` there. What none holds for keeps
            /// its name. Filters go by the names at the source.
            map: Vec<PrefixMap> = Vec::new(), if_set;
            /// Write keys that the destination cannot hold as it can, in place of refusing them:
            /// [`KeyRules::encode`](lepton_core::KeyRules::encode), which percent-decoding reads
            /// back. Every `%` of a key is written `%25` then. Default no.
            encode_keys: bool = false, by_rules;
            /// Take the names of the source for what `encode_keys` wrote, and give them back as they
            /// were: percent-decoded. Comes before `encode_keys`. Default no.
            decode_keys: bool = false, if_set;
            /// Delete what the destination has and the source has not, once everything
            /// else has come to a good end: a mirror. What the filters leave out is neither
            /// copied nor deleted.
            delete: bool = false, listing;
            /// With `delete`: delete also what the filters leave out.
            delete_excluded: bool = false, listing;
            /// With `delete` or a saved plan, in a bucket that keeps versions: delete all versions
            /// of an object, for good, instead of marking it as deleted.
            delete_versions: bool = false, always;
            /// Delete nothing at all if there are more objects to delete than this.
            #[serde(skip_serializing_if = "Option::is_none")]
            max_delete: Option<u64> = None, never;
            /// Delete nothing at all if more than this share of the destination's objects
            /// would go, in per cent. Default 10.
            max_delete_percent: u8 = 10, never;
            /// Before an object at the destination is replaced or deleted, copy it there: the
            /// key behind the destination's folder, with this in front. What is kept is no
            /// part of the transfer, and is never replaced.
            #[serde(skip_serializing_if = "Option::is_none")]
            backup_prefix: Option<String> = None, always;
            /// Move every version of every key, the oldest first, delete markers included, so
            /// that the destination has of each key the history that the source has. Both
            /// sides must list versions, and the destination must make them. What the
            /// destination has of a key already must be the beginning of the source's
            /// history, else the key fails and nothing of it is written.
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            versions: bool = false, if_set;
            /// Where the destination can read the source by itself, with its credentials, let
            /// it copy: no byte passes through here, and the manifest has no digest of the
            /// object but says by what the stores state the copy is right. What the store
            /// does not copy is read and sent. A disk copies what is cheaper so, and is read
            /// once for the digest, unless a `bandwidth` is set. Default true.
            server_copy: bool = true, always;
            /// Record the tree hash of each object in its user metadata
            /// (`lepton-sha256-tree`), so that later comparisons by checksum need not read
            /// it. Each source object is read once more for it. The destination must keep user
            /// metadata.
            record_digest: bool = false, always;
            /// Begin no further object once so many bytes have been taken in hand.
            #[serde(skip_serializing_if = "Option::is_none")]
            max_transfer: Option<u64> = None, never;
            /// Begin no further object after so many seconds.
            #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
            max_duration: Option<Duration> = None, never;
            /// What to do with metadata that the destination cannot keep.
            metadata: Metadata = Metadata::default(), always;
            /// End the run at the first object that fails.
            fail_fast: bool = false, never;
            /// End the run when more objects than this have failed. Default 10,000.
            max_failures: usize = 10_000, never;
            /// How often a request is tried, in all. Default 8.
            attempts: NonZeroU32 = NonZeroU32::MIN.saturating_add(7), never;
            /// How often an object is begun again because its source changed, after waits that
            /// double from a tenth of a second on. Default 3.
            source_changes: u32 = 3, never;
        }
    };
}

pub(crate) use transfer_settings;
