//! The bucket itself.

use bytes::Bytes;
use http::Method;
use lepton_core::Result;

use super::client::Request;
use super::payload::Payload;
use super::storage::S3Storage;
use super::xml::push_text;

impl S3Storage {
    /// Creates the bucket, in the region of the settings.
    ///
    /// # Errors
    /// `already_exists`, also if it is one's own; `permission_denied`.
    pub async fn create_bucket(&self) -> Result<()> {
        let region = self.client.target().region.clone();
        let mut request = Request::new("create_bucket", Method::PUT, None);
        // The first region has no name of its own here.
        if region != "us-east-1" {
            let mut document = String::from("<CreateBucketConfiguration><LocationConstraint>");
            push_text(&mut document, region.as_bytes());
            document.push_str("</LocationConstraint></CreateBucketConfiguration>");
            request = request.payload(Payload::Document(Bytes::from(document)));
        }
        let reply = self.client.send(request).await?;
        self.client.drain(reply).await;
        Ok(())
    }
}
