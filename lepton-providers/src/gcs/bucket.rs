//! The bucket itself.

use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use lepton_core::{Error, ErrorKind, Result, RetryClass};

use super::client::{Client, Request, Target};
use super::storage::GcsStorage;
use crate::wire::attributes::insert;
use crate::wire::encode::{Query, encode_query};
use crate::wire::payload::Payload;

impl Client {
    /// The path of the bucket in the JSON protocol.
    pub(super) fn bucket_path(&self) -> String {
        format!("/storage/v1/b/{}", encode_query(self.bucket.as_bytes()))
    }
}

impl GcsStorage {
    /// Creates the bucket, in the project of the settings.
    ///
    /// # Errors
    /// `already_exists`; `permission_denied`; `invalid_input` if no project is named.
    pub async fn create_bucket(&self) -> Result<()> {
        let named = |error: Error| error.with_operation("create_bucket").with_context("bucket", &self.client.bucket);
        let Some(project) = &self.client.options.project else {
            return Err(named(Error::invalid_input("a bucket is made in a project; set project")));
        };
        let body = serde_json::json!({ "name": self.client.bucket }).to_string();
        let mut headers = HeaderMap::new();
        insert(&mut headers, CONTENT_TYPE, "application/json; charset=UTF-8").map_err(named)?;
        let request = Request::new("create_bucket", Method::POST, None)
            .target(Target::path("/storage/v1/b".to_owned()))
            .query(Query::new().with("project", project))
            .headers(headers)
            .payload(Payload::document(body.into()));
        let reply = self.client.send(request).await.map_err(|error| match error.kind() {
            // The name is taken, and a retry does not change that.
            ErrorKind::Conflict => error.with_kind(ErrorKind::AlreadyExists).with_retry(RetryClass::Never),
            _ => error,
        })?;
        reply.drain().await;
        Ok(())
    }
}
