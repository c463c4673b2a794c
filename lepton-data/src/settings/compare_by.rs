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
    /// for the `time_window`. Where the listing has the time that the writer recorded, as those
    /// of Azure and Google have, that time counts. If the listed times do not decide, the times
    /// and checksums recorded for the two objects are requested from the stores.
    Time,
    /// By ETag if both ETags are MD5s of the bytes, otherwise by the modification time that the
    /// writer set or recorded. This finds a file that changed and kept its size and got an older
    /// time. A store whose listing has no recorded times, such as S3, gets one more request for
    /// each object.
    RecordedTime,
    /// By ETag alone. Objects are the same if both ETags are MD5s and are equal; all others
    /// differ.
    Etag,
    /// By the checksums that the stores hold and by recorded digests. A side that has none
    /// to compare with the other side's is read.
    Checksum,
    /// By reading both sides.
    Content,
}
