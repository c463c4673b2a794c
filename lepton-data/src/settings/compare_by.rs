//! By what objects are compared.

use serde::{Deserialize, Serialize};

/// By what objects at the destination are compared with the source. Objects of
/// different sizes always differ.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Compare {
    /// By ETag where both are MD5s of the bytes, else by time.
    #[default]
    Auto,
    /// By size alone.
    Size,
    /// By modification time. Between stores that keep the time a writer sets
    /// (local disks) the times have to be the same. Elsewhere the object at the
    /// destination has to be the newer one, as it was written after it was read.
    /// Either way the `time_window` is allowed for. Where that does not show, the
    /// stores are asked for the times and checksums that they keep.
    Time,
    /// By ETag alone: what has no MD5 of all its bytes for a tag on both sides, or
    /// the same tag, differs.
    Etag,
    /// By the checksums that the stores keep and by recorded digests. A side that
    /// has none that compares is read.
    Checksum,
    /// By reading both sides.
    Content,
}
