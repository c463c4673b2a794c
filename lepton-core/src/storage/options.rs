//! Options of requests, and receipts. These types can gain fields without a breaking
//! change: callers construct them with `new` or `Default` and change them by methods.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;

use crate::checksum::{ChecksumAlgorithm, StoredChecksum};
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::{Attributes, ETag, Precondition, VersionId};

/// A request to list objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListRequest {
    /// Only keys that begin with this.
    pub prefix: KeyPrefix,
    /// Only keys strictly greater than this, compared as bytes. It need not exist as a key.
    pub start_after: Option<Bytes>,
    /// Rolls up the keys that contain this byte after the prefix. All stores support `/`.
    pub delimiter: Option<u8>,
    /// The largest number of entries in a page. Stores have their own limits (S3: 1,000).
    pub page_size: Option<usize>,
    /// Also return the attributes of the objects, in
    /// [`ObjectMeta::attributes`](crate::ObjectMeta::attributes), if the listing can
    /// ([`Capabilities::list_attributes`](crate::Capabilities::list_attributes)). This may
    /// make the replies longer but never takes more requests.
    pub attributes: bool,
    /// Entries that cannot be listed do not end the listing: they are in
    /// [`ListPage::unlisted`](super::ListPage::unlisted). Otherwise the first of them is the
    /// error with which the listing ends. A store whose listings are whole or fail, as those of
    /// object stores do, needs nothing for this.
    pub tolerant: bool,
    /// Folders of which no key is wanted. The store may leave them unread; it may also list
    /// their keys.
    pub unwanted: Option<UnwantedFolders>,
}

/// Tells which folders a listing need not read. It gets their keys, which end in `/`.
#[derive(Clone)]
pub struct UnwantedFolders(Arc<Predicate>);

type Predicate = dyn Fn(&[u8]) -> bool + Send + Sync;

impl UnwantedFolders {
    /// Folders for which this returns true are unwanted.
    pub fn new(is_unwanted: impl Fn(&[u8]) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_unwanted))
    }

    /// Whether the folder with this key is unwanted.
    pub fn contains(&self, folder: &[u8]) -> bool {
        (self.0)(folder)
    }
}

impl fmt::Debug for UnwantedFolders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UnwantedFolders")
    }
}

impl PartialEq for UnwantedFolders {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for UnwantedFolders {}

impl ListRequest {
    /// Lists everything.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets whether entries that cannot be listed are in the pages, instead of ending the
    /// listing.
    #[must_use]
    pub fn tolerant(mut self, tolerant: bool) -> Self {
        self.tolerant = tolerant;
        self
    }

    /// Lets the store leave these folders unread.
    #[must_use]
    pub fn unwanted(mut self, folders: Option<UnwantedFolders>) -> Self {
        self.unwanted = folders;
        self
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

    /// Pages of at most this many entries.
    #[must_use]
    pub fn page_size(mut self, entries: usize) -> Self {
        self.page_size = Some(entries);
        self
    }

    /// Also returns the attributes of the objects, if the listing can.
    #[must_use]
    pub fn attributes(mut self, yes: bool) -> Self {
        self.attributes = yes;
        self
    }
}

/// Options of a head.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeadOptions {
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// Also fetch the tags, if the object has any; this may cost a request.
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

/// Options of a get.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct GetOptions {
    /// The bytes to read, cut off at the end of the object. `None` reads all of it.
    pub range: Option<Range<u64>>,
    /// Only if the object has this tag.
    pub if_match: Option<ETag>,
    /// This version instead of the newest.
    pub version: Option<VersionId>,
    /// The caller needs no attributes. A store that needs a separate request for them omits
    /// it and returns only the attributes that arrive with the bytes.
    pub without_attributes: bool,
}

impl GetOptions {
    /// Reads the whole of the newest version.
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

/// Options of a put.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutOptions {
    /// The attributes to attach. A backend that cannot keep one of them fails with
    /// `unsupported`; the caller leaves out those that it can do without.
    pub attributes: Attributes,
    /// The condition of the write.
    pub precondition: Precondition,
    /// The storage class of the object.
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

/// How the store checked the bytes that it received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ServerCheck {
    /// The server compared its checksum of this kind with ours.
    Checksum(ChecksumAlgorithm),
    /// The bytes were compared where they were written (memory, local disk).
    AsWritten,
    /// No check is known.
    None,
}

/// The receipt of a store for an object that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct PutReceipt {
    /// The new tag.
    pub etag: Option<ETag>,
    /// The new version.
    pub version: Option<VersionId>,
    /// The checksums that the store keeps.
    pub checksums: Vec<StoredChecksum>,
    /// How the store checked the bytes.
    pub check: ServerCheck,
}

impl PutReceipt {
    /// A receipt with only the kind of check.
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
    /// Delete this version permanently, instead of hiding the newest.
    pub version: Option<VersionId>,
    /// Only if the object has this tag.
    pub if_match: Option<ETag>,
}

impl DeleteRequest {
    /// Deletes the newest version of this object, unconditionally.
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
