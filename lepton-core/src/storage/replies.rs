//! The replies of a store.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use crate::body::ByteStream;
use crate::error::{Error, Result};
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::{Attributes, ObjectMeta};

/// One page of a listing. Objects and prefixes are each in ascending order.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ObjectMeta>,
    /// With a delimiter: the prefixes, each of which stands for all keys below it.
    pub prefixes: Vec<KeyPrefix>,
    /// For a request that is [tolerant](super::ListRequest::tolerant): what could not be listed.
    pub unlisted: Vec<Unlisted>,
    /// What the store passed over since the page before, because of its settings.
    pub passed_over: PassedOver,
}

impl ListPage {
    /// A page of these objects and prefixes.
    pub fn new(objects: Vec<ObjectMeta>, prefixes: Vec<KeyPrefix>) -> Self {
        Self { objects, prefixes, ..Self::default() }
    }
}

/// An entry that could not be listed: a file that cannot be examined, or a folder that cannot be
/// read, with everything below it.
#[derive(Debug)]
#[non_exhaustive]
pub struct Unlisted {
    /// The key; that of a folder ends in `/`.
    pub key: ObjectKey,
    /// Why.
    pub error: Error,
}

impl Unlisted {
    /// An entry that could not be listed.
    pub fn new(key: ObjectKey, error: Error) -> Self {
        Self { key, error }
    }
}

/// What a listing passed over, by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PassedOver {
    /// Symbolic links.
    pub symlinks: u64,
    /// Devices, sockets and named pipes.
    pub special_files: u64,
    /// Folders without anything in them.
    pub empty_folders: u64,
    /// Folder markers: objects without content whose key ends in `/`. A transfer passes them over
    /// if the destination holds no such keys, and at the root of the source.
    pub folder_markers: u64,
}

impl PassedOver {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.symlinks + self.special_files + self.empty_folders + self.folder_markers
    }

    /// Adds what another page passed over.
    pub fn add(&mut self, other: Self) {
        self.symlinks += other.symlinks;
        self.special_files += other.special_files;
        self.empty_folders += other.empty_folders;
        self.folder_markers += other.folder_markers;
    }
}

/// An object with its attributes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Key, size, tag, checksums.
    pub meta: ObjectMeta,
    /// The attributes that the user attached. Tags only if they were requested.
    pub attributes: Attributes,
    /// The number of tags, if the store reports it without a request for the tags;
    /// otherwise zero.
    pub tag_count: u32,
}

impl ObjectInfo {
    /// An object with its attributes.
    pub fn new(meta: ObjectMeta, attributes: Attributes) -> Self {
        Self { meta, attributes, tag_count: 0 }
    }

    /// With the number of tags.
    #[must_use]
    pub fn with_tag_count(mut self, tags: u32) -> Self {
        self.tag_count = tags;
        self
    }
}

/// The reply to a get.
#[non_exhaustive]
pub struct GetReply {
    /// The object, with the size of the whole object.
    pub meta: ObjectMeta,
    /// The attributes that the user attached, without tags. For a range, or for a caller
    /// that [needs none](super::GetOptions::without_attributes), only those that the store
    /// sends with the bytes.
    pub attributes: Attributes,
    /// The number of tags, as in [`ObjectInfo::tag_count`].
    pub tag_count: u32,
    /// The range of the object that the body contains.
    pub range: std::ops::Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

impl GetReply {
    /// A reply with these bytes of the object.
    pub fn new(info: ObjectInfo, range: std::ops::Range<u64>, body: ByteStream) -> Self {
        Self { meta: info.meta, attributes: info.attributes, tag_count: info.tag_count, range, body }
    }
}

impl Debug for GetReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetReply").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}

/// The results of a delete, one for each request, in order.
///
/// ```
/// # async fn example(store: lepton_core::MemoryStorage) -> lepton_core::Result<()> {
/// use lepton_core::{DeleteRequest, ObjectKey, Storage as _};
/// let requests = ["a", "b"].map(|key| ObjectKey::try_from(key).map(DeleteRequest::new));
/// store.delete(requests.into_iter().collect::<Result<_, _>>()?).await?.check()?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
#[must_use = "each request has a result of its own: see `check`"]
pub struct DeleteResults(Vec<Result<()>>);

impl DeleteResults {
    /// The first error, if there is one.
    ///
    /// # Errors
    /// That error. The others are lost; to see all, iterate.
    pub fn check(self) -> Result<()> {
        self.0.into_iter().collect()
    }

    /// The results as they are.
    pub fn into_vec(self) -> Vec<Result<()>> {
        self.0
    }
}

impl From<Vec<Result<()>>> for DeleteResults {
    fn from(results: Vec<Result<()>>) -> Self {
        Self(results)
    }
}

impl FromIterator<Result<()>> for DeleteResults {
    fn from_iter<I: IntoIterator<Item = Result<()>>>(results: I) -> Self {
        Self(results.into_iter().collect())
    }
}

impl IntoIterator for DeleteResults {
    type Item = Result<()>;
    type IntoIter = std::vec::IntoIter<Result<()>>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl std::ops::Deref for DeleteResults {
    type Target = [Result<()>];

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}
