//! The storage contract: what a backend implements.
//!
//! [`Storage`] and its facets are for implementers: few methods, no defaults, so
//! that a wrapper that forgets one does not compile. Callers get conveniences
//! from [`StorageExt`]. [`MemoryStorage`] reads as the reference implementation.
//!
//! No backend retries: errors say whether trying again can help and what was
//! done ([`Error::retry`](crate::Error::retry), [`Error::effect`](crate::Error::effect)),
//! and the caller decides.

mod copy;
mod ext;
mod location;
mod memory;
mod multipart;
mod options;
mod physical;
mod versions;

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use crate::body::{Body, ByteStream};
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::key::{KeyPrefix, ObjectKey};
use crate::object::{Attributes, ObjectMeta};

pub use copy::{CopyOptions, CopySource, ServerCopy};
pub use ext::StorageExt;
pub use location::Location;
pub use memory::{MemoryStorage, MemoryStorageBuilder};
pub use multipart::{
    CompleteOptions, CreateUploadOptions, Multipart, PartInfo, PartReceipt, PartSpec, Upload, UploadId, UploadInfo,
};
pub use options::{DeleteRequest, GetOptions, HeadOptions, ListRequest, PutOptions, PutReceipt, ServerCheck};
pub use physical::{Overlap, PhysicalLocation};
pub use versions::{Method, ObjectVersion, SignedUrl, Signer, VersionStream, Versions};

/// A store that many share. A store belongs to one tokio runtime.
pub type SharedStorage = Arc<dyn Storage>;

/// Pages of a listing.
pub type PageStream = BoxStream<'static, Result<ListPage>>;

/// An object store, or something that looks like one.
///
/// Every method is cancellation safe in this sense: dropping its future leaks
/// nothing and leaves other calls working. Whether a dropped write took effect is
/// unknown, as after a lost reply.
///
/// Every error names the operation and, where there is one, the key.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// What this store can do and within which limits. Constant for its life.
    fn capabilities(&self) -> &Capabilities;

    /// The canonical URL of the store, for messages and for the identity of a
    /// plan: the same store always has the same. Never holds a secret.
    fn url(&self) -> &str;

    /// The URL under which another store may fetch the bytes of this store by itself,
    /// with a server-side copy ([`ServerCopy::reaches`]).
    ///
    /// `None` if what [`get`](Self::get) gives is not what such a copy would give: a
    /// wrapper that encrypts, redacts, decodes or renames objects must answer `None`,
    /// or the destination copies what lies below the wrapper. A backend answers its
    /// [`url`](Self::url), or `None` where no other store can read it.
    fn copy_url(&self) -> Option<&str>;

    /// Where the objects below `prefix` physically are, so that a transfer can refuse
    /// a source and a destination that overlap under two names. A wrapper passes this
    /// on to what it wraps. Sends no request.
    ///
    /// # Errors
    /// What the system reports about a folder.
    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation>;

    /// Lists objects, page by page, in the order that
    /// [`Capabilities::list_order`] states.
    ///
    /// Nothing is asked before the stream is polled. The stream ends after the
    /// last page or after its first error; to go on, list again from the last
    /// key seen. A key that is no longer there when its turn comes is left out.
    ///
    /// # Errors
    /// `bucket_not_found`, `permission_denied`, or what the network gives.
    fn list(&self, request: ListRequest) -> PageStream;

    /// Describes an object.
    ///
    /// # Errors
    /// `not_found`; `bucket_not_found` where the store tells the two apart.
    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo>;

    /// Reads an object or a range of it.
    ///
    /// The reply comes when the first byte is there to be read; the body then
    /// gives exactly the bytes of [`GetReply::range`] or ends with an error, never
    /// silently early.
    ///
    /// # Errors
    /// `not_found`; `precondition_failed` if [`GetOptions::if_match`] does not
    /// hold; `invalid_input` if the range starts at or beyond the end (of an empty
    /// range or object a store may as well give nothing); `archived`.
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply>;

    /// Writes an object in one go. It becomes visible whole or not at all.
    ///
    /// If the body ends with an error, that very error comes back (its kind and
    /// retry class are the source's), and nothing was written.
    ///
    /// # Errors
    /// `invalid_key` before anything is sent; `already_exists` and
    /// `precondition_failed` as the precondition says; `too_large`;
    /// `checksum_mismatch` if the server saw other bytes; `unsupported` for an
    /// option that the store cannot honour, named. Where the reply was lost the
    /// effect is [`Unknown`](crate::Effect::Unknown).
    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt>;

    /// Deletes objects: one result for each request, in order. An object that
    /// is not there counts as deleted.
    ///
    /// # Errors
    /// The outer error means that the request as a whole failed.
    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>>;

    /// Uploads in parts.
    fn multipart(&self) -> Option<&dyn Multipart>;

    /// Copies that do not pass through the caller.
    fn server_copy(&self) -> Option<&dyn ServerCopy>;

    /// URLs that carry their own permission.
    fn signer(&self) -> Option<&dyn Signer>;

    /// Old versions of objects.
    fn versions(&self) -> Option<&dyn Versions>;
}

/// One page of a listing. Objects and folders each ascend.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ListPage {
    /// The objects.
    pub objects: Vec<ObjectMeta>,
    /// With a delimiter: the prefixes that stand for all the keys below them.
    pub prefixes: Vec<KeyPrefix>,
}

impl ListPage {
    /// A page of these objects and prefixes.
    pub fn new(objects: Vec<ObjectMeta>, prefixes: Vec<KeyPrefix>) -> Self {
        Self { objects, prefixes }
    }
}

/// An object with its attributes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Key, size, tag, checksums.
    pub meta: ObjectMeta,
    /// What the user attached. Tags only if they were asked for.
    pub attributes: Attributes,
    /// How many tags the object has, where the store says so without being asked
    /// for them; else zero.
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
    /// The object, its size being that of the whole.
    pub meta: ObjectMeta,
    /// What the user attached, without tags; of a range, or where the caller does
    /// [without](GetOptions::without_attributes), no more than comes with the bytes.
    pub attributes: Attributes,
    /// How many tags the object has, as in [`ObjectInfo::tag_count`].
    pub tag_count: u32,
    /// Which bytes the body gives.
    pub range: std::ops::Range<u64>,
    /// The bytes.
    pub body: ByteStream,
}

impl GetReply {
    /// A reply that gives these bytes of the object.
    pub fn new(info: ObjectInfo, range: std::ops::Range<u64>, body: ByteStream) -> Self {
        Self { meta: info.meta, attributes: info.attributes, tag_count: info.tag_count, range, body }
    }
}

impl Debug for GetReply {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GetReply").field("meta", &self.meta).field("range", &self.range).finish_non_exhaustive()
    }
}
