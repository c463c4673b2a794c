//! Why an object is copied, and the basis of comparisons.

use serde::{Deserialize, Serialize};

/// Why an object is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The destination has no object of that name.
    New,
    /// An existing object is replaced in any case, so the destination may not have been
    /// checked; or an earlier run of this transfer wrote the object there.
    Overwrite,
    /// The object at the destination has a different size.
    Size,
    /// The object at the destination does not have the time that a copy would have.
    Time,
    /// The object at the destination has a different ETag.
    Etag,
    /// The object at the destination has a different checksum.
    Checksum,
    /// The object at the destination has different bytes.
    Content,
}

impl From<ComparedBy> for Reason {
    fn from(basis: ComparedBy) -> Self {
        match basis {
            ComparedBy::Size => Self::Size,
            ComparedBy::Time => Self::Time,
            ComparedBy::Etag => Self::Etag,
            ComparedBy::Checksum => Self::Checksum,
            ComparedBy::Content => Self::Content,
        }
    }
}

/// The basis of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ComparedBy {
    /// The size.
    Size,
    /// The modification time.
    Time,
    /// The ETag.
    Etag,
    /// Checksums that the stores hold, or recorded digests; one side may have been read.
    Checksum,
    /// The bytes of both sides.
    Content,
}
