//! Deletes, with one request per blob.

use futures_util::{StreamExt as _, stream};
use http::header::IF_MATCH;
use http::{HeaderMap, Method};
use lepton_core::{DeleteRequest, ETag, Effect, ErrorKind, ObjectKey, Result, VersionId};

use super::client::{Client, Request};
use super::headers::etag;
use super::object::version_query;
use crate::wire::attributes::{header, insert};
use crate::wire::request::{check_key, malformed};

/// How many requests of one call are in flight.
const AT_ONCE: usize = 16;

impl Client {
    pub(super) async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<Vec<Result<()>>> {
        let deletes = requests.into_iter().map(|request| self.delete_one(request));
        Ok(stream::iter(deletes).buffered(AT_ONCE).collect().await)
    }

    async fn delete_one(&self, request: DeleteRequest) -> Result<()> {
        check_key(&self.capabilities.keys, &request.key, "delete")?;
        self.check_version(request.version.as_ref())
            .map_err(|error| error.with_operation("delete").with_context("key", &request.key))?;
        let (key, version) = (&request.key, request.version.as_ref());
        // Not supported together with a version.
        let snapshots = self.options.with_snapshots && version.is_none();
        match (self.delete_blob(key, version, request.if_match.as_ref(), snapshots).await, version) {
            (Err(error), Some(version)) if error.code() == Some("OperationNotAllowedOnRootBlob") => {
                self.delete_current(key, version, request.if_match.as_ref()).await
            }
            (deleted, _) => deleted,
        }
    }

    /// Deletes a version that is the current one, which the service does not accept by
    /// id: a delete without an id turns it into an old version, which can be deleted by
    /// id.
    async fn delete_current(&self, key: &ObjectKey, version: &VersionId, if_match: Option<&ETag>) -> Result<()> {
        let looked = Request::new("delete", Method::HEAD, Some(key)).query(version_query(Some(version)));
        let etag = match self.send(looked).await {
            Ok(reply) => etag(&reply.headers)
                .ok_or_else(|| malformed("no ETag of the version").with_operation("delete").with_context("key", key))?,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        match self.delete_blob(key, None, if_match.or(Some(&etag)), self.options.with_snapshots).await {
            // It has become an old version meanwhile.
            Err(error) if error.kind() == ErrorKind::PreconditionFailed && if_match.is_none() => {}
            deleted => deleted?,
        }
        let deleted = self.delete_blob(key, Some(version), None, false).await;
        deleted.map_err(|error| match error.effect() {
            Effect::None => error.with_effect(Effect::Partial).with_context("left", "as an old version"),
            _ => error,
        })
    }

    /// Deletes the blob, or one of its versions. With `snapshots`, its snapshots are deleted
    /// too; otherwise a blob that has some is not deleted.
    pub(super) async fn delete_blob(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        if_match: Option<&ETag>,
        snapshots: bool,
    ) -> Result<()> {
        let mut headers = HeaderMap::new();
        if let Some(lease) = self.options.write.get("x-ms-lease-id") {
            headers.insert("x-ms-lease-id", lease.clone());
        }
        if let Some(etag) = if_match {
            insert(&mut headers, IF_MATCH, etag.as_str())?;
        }
        if snapshots {
            headers.extend([header("x-ms-delete-snapshots", "include")]);
        }
        let request = Request::new("delete", Method::DELETE, Some(key)).query(version_query(version)).headers(headers);
        match self.send(request).await {
            Ok(reply) => {
                reply.drain().await;
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}
