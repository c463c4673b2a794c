//! Server-side copies.

use std::sync::Arc;

use async_trait::async_trait;
use http::header::{HeaderName, IF_MATCH};
use http::{HeaderMap, Method};
use lepton_core::{
    Attributes, CopyOptions, CopySource, ETag, Effect, Error, ErrorKind, ObjectKey, PartReceipt, PartSpec,
    Precondition, PutReceipt, Result, ServerCheck, ServerCopy, Storage as _, Upload,
};

use super::client::{Client, Request, expect_success};
use super::headers::{attributes, version};
use super::list::expect_root;
use super::multipart::{document_checksums, part_query};
use super::object::version_query;
use super::presets;
use super::storage::S3Storage;
use crate::wire::attributes::{header, insert, insert_precondition};
use crate::wire::encode::{encode_path, encode_query};
use crate::wire::request::{check_key, unexpected};
use crate::wire::secrets::Secrets;
use crate::wire::xml::Element;

/// The largest object that one request can copy ("CopyObject" in the Amazon S3 API
/// reference).
const LARGEST: u64 = 5 << 30;

const COPY_SOURCE: HeaderName = HeaderName::from_static("x-amz-copy-source");
const COPY_SOURCE_IF_MATCH: HeaderName = HeaderName::from_static("x-amz-copy-source-if-match");
const COPY_SOURCE_RANGE: HeaderName = HeaderName::from_static("x-amz-copy-source-range");

#[async_trait]
impl ServerCopy for S3Storage {
    /// Reaches every bucket at the same endpoint, if the credentials permit it.
    fn reaches(&self, source_url: &str) -> bool {
        let endpoint_of = |url: &str| url.split_once('?').map(|(_, query)| query.to_owned());
        source_url.starts_with("s3://") && endpoint_of(source_url) == endpoint_of(self.url())
    }

    fn largest(&self) -> u64 {
        LARGEST
    }

    async fn is_cheaper(&self, _: &CopySource, _: &ObjectKey) -> Result<bool> {
        Ok(true)
    }

    async fn copy(&self, source: CopySource, key: &ObjectKey, options: CopyOptions) -> Result<PutReceipt> {
        self.check_reach(&source).map_err(|error| error.with_operation("copy"))?;
        let copied = self.client.copy(&source, key, &options).await;
        copied.map_err(|error| error.with_operation("copy").with_context("source", &source.key))
    }

    async fn copy_part(&self, source: CopySource, upload: &Upload, part: PartSpec) -> Result<PartReceipt> {
        let copied = match self.check_reach(&source) {
            Ok(()) => self.client.copy_part(&source, upload, &part).await,
            Err(error) => Err(error),
        };
        copied.map_err(|error| {
            error.with_operation("copy_part").with_context("part", part.number).with_context("source", &source.key)
        })
    }
}

impl S3Storage {
    fn check_reach(&self, source: &CopySource) -> Result<()> {
        if self.reaches(&source.store) {
            return Ok(());
        }
        Err(Error::unsupported(format!("{} cannot copy from {} by itself", self.url(), source.store)))
    }
}

impl Client {
    async fn copy(&self, source: &CopySource, key: &ObjectKey, options: &CopyOptions) -> Result<PutReceipt> {
        check_key(&self.capabilities.keys, key, "copy")?;
        self.prove(key).await?;
        if options.precondition != Precondition::None && !presets::copies_conditionally(&self.capabilities) {
            let message = format!("the {} store copies under no condition", self.capabilities.preset);
            return Err(Error::unsupported(message).with_operation("copy").with_context("key", key));
        }
        let mut headers = match &options.attributes {
            Some(new) => {
                let mut headers = self.write_headers(new, options.storage_class.as_deref())?;
                headers.extend([header("x-amz-metadata-directive", "REPLACE")]);
                headers.extend([header("x-amz-tagging-directive", "REPLACE")]);
                headers
            }
            None if presets::copies_lose_expires(&self.capabilities) => {
                let kept = self.attributes_of(source).await?;
                let mut headers = self.write_headers(&kept, options.storage_class.as_deref())?;
                headers.extend([header("x-amz-metadata-directive", "REPLACE")]);
                headers
            }
            None => self.write_headers(&Attributes::default(), options.storage_class.as_deref())?,
        };
        self.insert_source(&mut headers, source)?;
        let condition = insert_precondition(&mut headers, &options.precondition)?;
        let request = Request::new("copy", Method::PUT, Some(key)).headers(headers).condition(condition);
        let (headers, root, secrets) = self.send_for_document(request).await?;
        read_result(&root, &secrets, |root| {
            Ok(PutReceipt::new(ServerCheck::None)
                .etag(root.text("ETag").map(ETag::new))
                .version(version(&headers))
                .checksums(document_checksums(root)))
        })
        .map_err(|error| error.with_operation("copy").with_context("key", key))
    }

    async fn copy_part(&self, source: &CopySource, upload: &Upload, part: &PartSpec) -> Result<PartReceipt> {
        let mut headers = HeaderMap::new();
        self.insert_source(&mut headers, source)?;
        if part.is_empty() {
            return Err(Error::invalid_input("a part without bytes cannot be copied").with_context("key", &upload.key));
        }
        let range = format!("bytes={}-{}", part.range.start, part.range.end - 1);
        insert(&mut headers, COPY_SOURCE_RANGE, &range)?;
        let request = Request::new("copy_part", Method::PUT, Some(&upload.key))
            .query(part_query(upload, part.number))
            .headers(headers);
        let (_, root, secrets) = self.send_for_document(request).await?;
        read_result(&root, &secrets, |root| {
            let etag = root.text("ETag").ok_or_else(|| unexpected("a part without a tag"))?;
            let checksum = document_checksums(root).into_iter().next();
            Ok(PartReceipt::new(part.number, part.len(), ETag::new(etag)).checksum(checksum))
        })
        .map_err(|error| error.with_context("key", &upload.key))
    }

    /// The attributes of an object in any bucket at the endpoint.
    async fn attributes_of(&self, source: &CopySource) -> Result<Attributes> {
        let mut headers = self.options.customer_key.clone();
        if let Some(etag) = &source.if_match {
            insert(&mut headers, IF_MATCH, etag.as_str())?;
        }
        let query = version_query(source.version.as_ref());
        let target = Arc::new(self.endpoint.target_of(bucket_of(source), &self.target().region)?);
        let request = Request::new("copy", Method::HEAD, Some(&source.key)).query(query).headers(headers);
        let request = request.target(Some(target));
        Ok(attributes(&self.send(request).await?.headers))
    }

    fn insert_source(&self, headers: &mut HeaderMap, source: &CopySource) -> Result<()> {
        let mut path = format!("{}/{}", bucket_of(source), encode_path(source.key.as_bytes()));
        if let Some(version) = &source.version {
            path.push_str("?versionId=");
            path.push_str(&encode_query(version.as_str().as_bytes()));
        }
        insert(headers, COPY_SOURCE, &path)?;
        if let Some(etag) = &source.if_match {
            insert(headers, COPY_SOURCE_IF_MATCH, etag.as_str())?;
        }
        headers.extend(self.options.customer_key.clone());
        headers.extend(self.options.copy_source_key.clone());
        Ok(())
    }
}

fn bucket_of(source: &CopySource) -> &str {
    let place = source.store.strip_prefix("s3://").unwrap_or_default();
    place.split('?').next().unwrap_or_default()
}

/// Reads the response to a copy, which can be an error even if its status is 200.
fn read_result<T>(document: &[u8], secrets: &Secrets, read: impl FnOnce(&Element<'_>) -> Result<T>) -> Result<T> {
    let result = Element::parse(document).and_then(|root| {
        expect_success(&root, secrets)?;
        // Some stores use the other element's name.
        expect_root(&root, &["CopyObjectResult", "CopyPartResult"])?;
        read(&root)
    });
    result.map_err(|error| match error.kind() {
        ErrorKind::Unexpected => secrets.hidden(error).with_effect(Effect::Unknown),
        _ => secrets.hidden(error),
    })
}
