//! The bucket itself.

use bytes::Bytes;
use http::Method;
use lepton_core::Result;

use super::client::Request;
use super::payload::Payload;
use super::storage::S3Storage;
use crate::wire::encode::Query;
use crate::wire::xml::push_text;

impl S3Storage {
    /// Creates the bucket, in the region of the settings.
    ///
    /// # Errors
    /// `already_exists`, even if it belongs to the caller; `permission_denied`.
    pub async fn create_bucket(&self) -> Result<()> {
        let region = self.client.target().region.clone();
        let mut request = Request::new("create_bucket", Method::PUT, None);
        // The default region is not named here.
        if region != "us-east-1" {
            let mut document = String::from("<CreateBucketConfiguration><LocationConstraint>");
            push_text(&mut document, region.as_bytes());
            document.push_str("</LocationConstraint></CreateBucketConfiguration>");
            request = request.payload(Payload::Document(Bytes::from(document)));
        }
        let reply = self.client.send(request).await?;
        reply.drain().await;
        Ok(())
    }

    /// Enables versioning of the bucket.
    ///
    /// # Errors
    /// `permission_denied`; `unsupported` if the store does not support it.
    pub async fn enable_versioning(&self) -> Result<()> {
        let document = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\
            <Status>Enabled</Status></VersioningConfiguration>";
        let request = Request::new("enable_versioning", Method::PUT, None)
            .query(Query::new().with("versioning", ""))
            .payload(Payload::Document(Bytes::from_static(document.as_bytes())));
        let reply = self.client.send(request).await?;
        reply.drain().await;
        Ok(())
    }

    /// Sets the access policy of the bucket, as JSON.
    ///
    /// # Errors
    /// `permission_denied`; `invalid_input` for a policy that the store refuses.
    pub async fn put_policy(&self, policy: impl Into<Bytes>) -> Result<()> {
        let request = Request::new("put_policy", Method::PUT, None).query(Query::new().with("policy", ""));
        let reply = self.client.send(request.payload(Payload::Document(policy.into()))).await?;
        reply.drain().await;
        Ok(())
    }
}
