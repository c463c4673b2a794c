//! The single table of all settings of a transfer: what each does, its name, type and default,
//! and whether it is part of a journal's identity. The struct, its defaults, the methods of the
//! builder and the identity of a journal are generated from this table.

/// Whether a setting is part of the identity of a journal. A run with another value of such a
/// setting does not resume the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    /// It may change between runs.
    Never,
    /// It is part of the identity, also in the journal of a saved plan.
    Always,
    /// It is part of the identity if the run lists; a saved plan has decided it already.
    Listing,
    /// As `Listing`, but it is omitted if it has its default, so that journals from before the
    /// setting existed stay valid.
    IfSet,
    /// It is written as the destination's key rules, because the encoding of a key depends on
    /// them.
    ByRules,
}

/// Calls a macro with the table.
macro_rules! transfer_settings {
    ($callback:ident) => {
        $callback! {
            /// The most objects and parts in flight. Default 256.
            concurrency: NonZeroUsize = NonZeroUsize::MIN.saturating_add(255), never;
            /// Adapt the number of objects and parts in flight to the throughput and to
            /// throttling by the stores, up to `concurrency`. If false, the number is always
            /// `concurrency`. Default true.
            adaptive: bool = true, never;
            /// The smallest part size in bytes: a power of two of MiB. Larger objects get
            /// larger parts where the destination's limits require it. Default 8 MiB.
            part_size: u64 = 8 * MIB, always;
            /// How many bytes of data the run may hold in memory. Default 128 MiB.
            memory: u64 = MemoryBudget::DEFAULT, never;
            /// The most bytes read per second, in total: from the source, and from the
            /// destination where it is compared. It can be changed during a run.
            #[serde(skip_serializing_if = "Option::is_none")]
            bandwidth: Option<u64> = None, never;
            /// The most requests per second, to both sides in total, listings included.
            #[serde(skip_serializing_if = "Option::is_none")]
            requests_per_second: Option<u64> = None, never;
            /// What to do with objects that already exist at the destination.
            existing: ExistingPolicy = ExistingPolicy::default(), listing;
            /// How existing objects are compared with the source, where `existing` requires
            /// it.
            compare: Compare = Compare::default(), listing;
            /// The tolerance of time comparisons, for clocks that differ and for coarse time
            /// stamps: a smaller difference between two times is ignored. In seconds.
            /// Default 2.
            #[serde(with = "crate::settings::serde_seconds")]
            time_window: Duration = Duration::from_secs(2), listing;
            /// Selects the objects that are transferred.
            filters: Filters = Filters::default(), listing;
            /// Take a source without any object for an empty one. Otherwise a folder of the
            /// source with nothing in it does not exist, and the run ends with `not_found`; a
            /// whole bucket and a folder on a disk may be empty in any case.
            allow_empty: bool = false, never;
            /// Rules that rename objects. The first rule whose `from` is a prefix of the name,
            /// relative to the source's folder, replaces that prefix by its `to`. If no rule
            /// applies, the object keeps its name. Filters match the names at the source.
            map: Vec<PrefixMap> = Vec::new(), if_set;
            /// Encode keys that the destination cannot hold, instead of refusing them, with
            /// [`KeyRules::encode`](lepton_core::KeyRules::encode). Percent-decoding restores
            /// the keys, so every `%` of a key is written as `%25`. Default false.
            encode_keys: bool = false, by_rules;
            /// Restore keys that `encode_keys` wrote: percent-decode the names of the source.
            /// This is done before `encode_keys`. Default false.
            decode_keys: bool = false, if_set;
            /// Mirror the source: delete objects of the destination that the source does not
            /// have, once everything else has succeeded. Objects that the filters exclude are
            /// neither copied nor deleted.
            delete: bool = false, listing;
            /// With `delete`: also delete objects that the filters exclude.
            delete_excluded: bool = false, listing;
            /// With `delete` or a saved plan, in a bucket that keeps versions: permanently
            /// delete all versions of an object instead of marking it as deleted.
            delete_versions: bool = false, always;
            /// Delete nothing at all if more objects than this would be deleted.
            #[serde(skip_serializing_if = "Option::is_none")]
            max_delete: Option<u64> = None, never;
            /// Delete nothing at all if more than this share of the destination's objects
            /// would be deleted, in per cent. Default 10.
            max_delete_percent: u8 = 10, never;
            /// Back up objects of the destination before they are replaced or deleted, under
            /// this prefix followed by the object's name relative to the destination's folder.
            /// Backups are not part of the transfer and are never replaced.
            #[serde(skip_serializing_if = "Option::is_none")]
            backup_prefix: Option<String> = None, always;
            /// Move every version of every key, the oldest first, delete markers included, so
            /// that each key has the same history at the destination as at the source. Both
            /// sides must list versions, and the destination must create them. Versions that
            /// the destination already has of a key must be the beginning of the source's
            /// history; otherwise the key fails and none of its versions is written.
            #[serde(skip_serializing_if = "std::ops::Not::not")]
            versions: bool = false, if_set;
            /// Let the destination copy objects by itself, if its credentials can read the
            /// source. No data passes through this process, and the manifest has no digest of
            /// the object but states on what basis the copy is known to be right. Objects that
            /// the store does not copy are read and sent. Disks copy by themselves only where
            /// that is cheaper, and only if no `bandwidth` is set; the source is then read once
            /// for the digest. Default true.
            server_copy: bool = true, always;
            /// Record the tree hash of each object in its user metadata
            /// (`lepton-sha256-tree`), so that later comparisons by checksum need not read
            /// the object. Each source object is read once more to compute it. The destination
            /// must keep user metadata.
            record_digest: bool = false, always;
            /// Start no further object once the objects started reach this many bytes.
            #[serde(skip_serializing_if = "Option::is_none")]
            max_transfer: Option<u64> = None, never;
            /// Start no further object after this time. In seconds.
            #[serde(with = "crate::settings::serde_seconds::optional", skip_serializing_if = "Option::is_none")]
            max_duration: Option<Duration> = None, never;
            /// What to do with metadata that the destination cannot keep.
            metadata: MetadataPolicy = MetadataPolicy::default(), always;
            /// Give objects without a content type, such as files, the one that is usual for the
            /// extension of their key, if the destination keeps content types and is not a disk.
            /// Default true.
            guess_content_type: bool = true, if_set;
            /// End the run at the first object that fails.
            fail_fast: bool = false, never;
            /// End the run when more objects than this have failed. Default 10,000.
            max_failures: usize = 10_000, never;
            /// How often a request is tried, in total. Default 8.
            attempts: NonZeroU32 = NonZeroU32::MIN.saturating_add(7), never;
            /// How often an object is started again because its source changed, after waits
            /// that double from 0.1 seconds. Default 3.
            source_changes: u32 = 3, never;
        }
    };
}

pub(crate) use transfer_settings;
