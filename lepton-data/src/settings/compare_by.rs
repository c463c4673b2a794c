//! How objects are compared.

use serde::{Deserialize, Serialize};

/// How objects at the destination are compared with the source. Objects of different
/// sizes always differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compare {
    /// By ETag if both ETags are MD5s of the bytes, otherwise by time.
    #[default]
    Auto,
    /// By size alone.
    Size,
    /// By modification time. Between stores that keep the time a writer sets (local disks),
    /// the times must be equal. Between other stores, the object at the destination must be
    /// the newer one, because a copy is written after its source was read. Both rules allow
    /// for the `time_window`. If the listed times do not decide, the times and checksums
    /// recorded for the two objects are requested from the stores.
    Time,
    /// By ETag alone. Objects are the same if both ETags are MD5s and are equal; all others
    /// differ.
    Etag,
    /// By the checksums that the stores hold and by recorded digests. A side that has none
    /// to compare with the other side's is read.
    Checksum,
    /// By reading both sides.
    Content,
}
