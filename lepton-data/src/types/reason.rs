//! Why an object is copied, and by what a comparison went.

use serde::{Deserialize, Serialize};

/// Why an object is copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Reason {
    /// The destination has none of that name.
    New,
    /// Whatever is there is replaced in any case, so that nobody may have looked; or
    /// it was written by an earlier run of this transfer.
    Overwrite,
    /// What is there has another size.
    Size,
    /// What is there does not have the time that a copy would have.
    Time,
    /// What is there has another ETag.
    Etag,
    /// What is there has another checksum.
    Checksum,
    /// What is there has other bytes.
    Content,
}

impl From<Basis> for Reason {
    fn from(basis: Basis) -> Self {
        match basis {
            Basis::Size => Self::Size,
            Basis::Time => Self::Time,
            Basis::Etag => Self::Etag,
            Basis::Checksum => Self::Checksum,
            Basis::Content => Self::Content,
        }
    }
}

/// What a comparison went by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Basis {
    /// The size.
    Size,
    /// The modification time.
    Time,
    /// The ETag.
    Etag,
    /// Checksums that stores keep, or recorded digests; one side may have been
    /// read.
    Checksum,
    /// The bytes of both sides.
    Content,
}
