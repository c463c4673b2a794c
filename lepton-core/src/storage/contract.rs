//! The contract itself. Each facet of a store is in the file of its name.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;

use super::copy::ServerCopy;
use super::multipart::Multipart;
use super::options::{DeleteRequest, GetOptions, HeadOptions, ListRequest, PutOptions, PutReceipt};
use super::physical::PhysicalLocation;
use super::replies::{DeleteResults, GetReply, ListPage, ObjectInfo};
use super::versions::{Signer, Versions};
use crate::body::Body;
use crate::capabilities::Capabilities;
use crate::error::Result;
use crate::key::{KeyPrefix, ObjectKey};

/// A shared store. A store belongs to one tokio runtime.
pub type SharedStorage = Arc<dyn Storage>;

/// Pages of a listing.
pub type PageStream = BoxStream<'static, Result<ListPage>>;

/// An object store, or something with the same interface.
///
/// Every method is cancellation safe in this sense: dropping its future leaks
/// nothing and does not disturb other calls. Whether a dropped write took effect is
/// unknown, as after a lost reply.
///
/// Every error names the operation and the key, if there is one.
#[async_trait]
pub trait Storage: Debug + Send + Sync + 'static {
    /// The capabilities and limits of this store. They are constant for its lifetime.
    fn capabilities(&self) -> &Capabilities;

    /// The canonical URL of the store, for messages and for the identity of a plan. The
    /// same store always has the same URL. It never contains a secret.
    fn url(&self) -> &str;

    /// The URL under which another store may fetch the bytes of this store by itself,
    /// with a server-side copy ([`ServerCopy::reaches`]).
    ///
    /// `None` if [`get`](Self::get) and such a copy would return different bytes. A
    /// wrapper that encrypts, redacts, decodes or renames objects must return `None`;
    /// otherwise the destination copies the bytes below the wrapper. A backend returns
    /// its [`url`](Self::url), or `None` if no other store can read it.
    fn copy_url(&self) -> Option<&str>;

    /// The physical location of the objects below `prefix`, so that a transfer can refuse
    /// a source and a destination that overlap under two names. A wrapper delegates this
    /// to the store that it wraps. Sends no request.
    ///
    /// # Errors
    /// The error that the system reports for a folder.
    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation>;

    /// Lists objects, page by page, in the order that
    /// [`Capabilities::list_order`] states.
    ///
    /// No request is sent before the stream is polled. The stream ends after the last
    /// page or after its first error; to continue, list again from the last key seen.
    /// A key that is deleted before the listing reaches it is left out.
    ///
    /// # Errors
    /// `bucket_not_found`, `permission_denied`, or errors of the network.
    fn list(&self, request: ListRequest) -> PageStream;

    /// Describes an object.
    ///
    /// # Errors
    /// `not_found`; `bucket_not_found` if the store distinguishes the two.
    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo>;

    /// Reads an object or a range of it.
    ///
    /// The reply arrives when the first byte can be read. The body then yields exactly
    /// the bytes of [`GetReply::range`] or ends with an error; it never ends early
    /// without one.
    ///
    /// # Errors
    /// `not_found`; `precondition_failed` if [`GetOptions::if_match`] does not hold;
    /// `invalid_input` if the range starts at or beyond the end (for an empty range or
    /// object, a store may instead return no bytes); `archived`.
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply>;

    /// Writes an object in a single operation. It becomes visible whole or not at all.
    ///
    /// If the body ends with an error, that error is returned with its own kind and retry
    /// class, and nothing was written.
    ///
    /// # Errors
    /// `invalid_key` before anything is sent; `already_exists` and `precondition_failed`
    /// according to the precondition; `too_large`; `checksum_mismatch` if the server
    /// received other bytes; `unsupported`, naming the option, for an option that the store
    /// cannot honour. If the reply was lost, the effect is
    /// [`Unknown`](crate::Effect::Unknown).
    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt>;

    /// Deletes objects; returns one result for each request, in order. An object that
    /// does not exist counts as deleted.
    ///
    /// # Errors
    /// The outer error means that the request as a whole failed.
    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults>;

    /// Multipart uploads.
    fn multipart(&self) -> Option<&dyn Multipart>;

    /// Copies that do not pass through the caller.
    fn server_copy(&self) -> Option<&dyn ServerCopy>;

    /// URLs that carry their own permission.
    fn signer(&self) -> Option<&dyn Signer>;

    /// Old versions of objects.
    fn versions(&self) -> Option<&dyn Versions>;
}
