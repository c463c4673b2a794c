//! What callers say and hear beside keys and bodies. All types grow without
//! breaking: they are made by `new` or `Default` and changed by their methods.

use std::ops::Range;

use bytes::Bytes;

use crate::checksum::{ChecksumAlgorithm, StoredChecksum};
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::{Attributes, ETag, Precondition, VersionId};

/// What to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: KeyPrefix,
    /// Only keys strictly greater than this, in bytes. Need not exist.
    pub start_after: Option<Bytes>,
    /// Rolls up the keys that have this byte behind the prefix. `/` is what all
    /// stores support.
    pub delimiter: Option<u8>,
    /// The largest page. Stores have limits of their own (S3: 1,000).
    pub page_size: Option<usize>,
    /// Tell also what is attached to the objects, as
    /// [`ObjectMeta::attributes`](crate::ObjectMeta::attributes), where the listing can
    /// ([`Capabilities::list_attributes`](crate::Capabilities::list_attributes)); it may be
    /// longer for it, never of more requests.
    pub attributes: bool,
}

impl ListRequest {
    /// Everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only keys that begin with `prefix`.
    #[must_use]
    pub fn prefix(mut self, prefix: KeyPrefix) -> Self {
        self.prefix = prefix;
        self
    }

    /// Only keys strictly greater than `key`.
    #[must_use]
    pub fn start_after(mut self, key: impl Into<Bytes>) -> Self {
        self.start_after = Some(key.into());
        self
    }

    /// Rolls keys up at `delimiter`.
    #[must_use]
    pub fn delimiter(mut self, delimiter: u8) -> Self {
        self.delimiter = Some(delimiter);
        self
    }

    /// Pages of at most so many entries.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = Some(entries);
        self
    }

    /// Tells also what is attached, where the listing can.
    #[must_use]
    pub fn attributes(mut self, yes: bool) -> Self {
        self.attributes = yes;
        self
    }
}

/// How to describe an object.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadOptions {
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// Ask for tags too, where the object has some; may cost a request.
    pub tags: bool,
}

impl HeadOptions {
    /// The newest version, without tags.
    pub fn new() -> Self {
        Self::default()
    }

    /// This version.
    #[must_use]
    pub fn version(mut self, version: Option<VersionId>) -> Self {
        self.version = version;
        self
    }

    /// Tags too.
    #[must_use]
    pub fn tags(mut self, tags: bool) -> Self {
        self.tags = tags;
        self
    }
}

/// What to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    /// These bytes; cut off at the end of the object. `None` is all of it.
    pub range: Option<Range<u64>>,
    /// Only if the object has this tag.
    pub if_match: Option<ETag>,
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// The caller needs no attributes: a store that would have to ask for them beside the
    /// bytes spares the request, and tells what comes with the bytes.
    pub without_attributes: bool,
}

impl GetOptions {
    /// The whole of the newest version.
    pub fn new() -> Self {
        Self::default()
    }

    /// These bytes.
    #[must_use]
    pub fn range(mut self, range: Range<u64>) -> Self {
        self.range = Some(range);
        self
    }

    /// Only if the object has this tag.
    #[must_use]
    pub fn if_match(mut self, etag: Option<ETag>) -> Self {
        self.if_match = etag;
        self
    }

    /// This version.
    #[must_use]
    pub fn version(mut self, version: Option<VersionId>) -> Self {
        self.version = version;
        self
    }

    /// The caller needs no attributes.
    #[must_use]
    pub fn without_attributes(mut self, yes: bool) -> Self {
        self.without_attributes = yes;
        self
    }
}

/// How to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions {
    /// What to attach. A backend that cannot keep one of these fails with
    /// `unsupported`; the caller leaves out what it can do without.
    pub attributes: Attributes,
    /// Under which condition.
    pub precondition: Precondition,
    /// In which storage class.
    pub storage_class: Option<String>,
}

impl PutOptions {
    /// No attributes, no condition.
    pub fn new() -> Self {
        Self::default()
    }

    /// With these attributes.
    #[must_use]
    pub fn attributes(mut self, attributes: Attributes) -> Self {
        self.attributes = attributes;
        self
    }

    /// Under this condition.
    #[must_use]
    pub fn precondition(mut self, precondition: Precondition) -> Self {
        self.precondition = precondition;
        self
    }

    /// In this storage class.
    #[must_use]
    pub fn storage_class(mut self, class: Option<String>) -> Self {
        self.storage_class = class;
        self
    }
}

/// What the store checked of the bytes it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServerCheck {
    /// The server compared a checksum of this kind with ours.
    Checksum(ChecksumAlgorithm),
    /// The bytes were compared where they were written (memory, local disk).
    AsWritten,
    /// Nothing is known to have been checked.
    None,
}

/// What a store says of an object that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutReceipt {
    /// The new tag.
    pub etag: Option<ETag>,
    /// The new version.
    pub version: Option<VersionId>,
    /// The checksums that the store keeps.
    pub checksums: Vec<StoredChecksum>,
    /// What the store checked.
    pub check: ServerCheck,
}

impl PutReceipt {
    /// A receipt with nothing but what was checked.
    pub fn new(check: ServerCheck) -> Self {
        Self { etag: None, version: None, checksums: Vec::new(), check }
    }

    /// With the new tag.
    #[must_use]
    pub fn etag(mut self, etag: Option<ETag>) -> Self {
        self.etag = etag;
        self
    }

    /// With the new version.
    #[must_use]
    pub fn version(mut self, version: Option<VersionId>) -> Self {
        self.version = version;
        self
    }

    /// With the checksums that the store keeps.
    #[must_use]
    pub fn checksums(mut self, checksums: Vec<StoredChecksum>) -> Self {
        self.checksums = checksums;
        self
    }
}

/// One object to delete.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DeleteRequest {
    /// Its key.
    pub key: ObjectKey,
    /// This version for good, instead of hiding the newest.
    pub version: Option<VersionId>,
    /// Only if the object has this tag.
    pub if_match: Option<ETag>,
}

impl DeleteRequest {
    /// The newest version of this object, whatever it is.
    pub fn new(key: ObjectKey) -> Self {
        Self { key, version: None, if_match: None }
    }

    /// This version.
    #[must_use]
    pub fn version(mut self, version: Option<VersionId>) -> Self {
        self.version = version;
        self
    }

    /// Only if the object has this tag.
    #[must_use]
    pub fn if_match(mut self, etag: Option<ETag>) -> Self {
        self.if_match = etag;
        self
    }
}
