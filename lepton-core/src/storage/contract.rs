//! The contract itself. The facets of a store stand in the files that are named for them.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::copy::ServerCopy;
use super::multipart::Multipart;
use super::options::{DeleteRequest, GetOptions, HeadOptions, ListRequest, PutOptions, PutReceipt};
use super::physical::PhysicalLocation;
use super::replies::{GetReply, ListPage, ObjectInfo};
use super::versions::{Signer, Versions};
use crate::body::Body;
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::key::{KeyPrefix, ObjectKey};

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
