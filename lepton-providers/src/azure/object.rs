//! One blob: describe, read, write.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use futures_util::StreamExt as _;
use http::header::{CONTENT_LENGTH, IF_MATCH};
use http::{HeaderMap, Method};
use lepton_core::{
    Attributes, Body, Crc, Error, ErrorKind, GetOptions, GetReply, HeadOptions, ObjectInfo, ObjectKey, PutOptions,
    PutReceipt, Result, RetryClass, ServerCheck, Support, VersionId,
};

use super::client::{Client, Request};
use super::headers::{attributes, etag, insert_attributes, insert_precondition, object_meta, version};
use crate::wire::attributes::{header, insert, text};
use crate::wire::encode::Query;
use crate::wire::payload::Payload;
use crate::wire::range::{insert_range, response_range};
use crate::wire::request::{check_key, malformed};
use crate::wire::xml::Element;

impl Client {
    pub(super) async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.check_version(options.version.as_ref())
            .map_err(|error| error.with_operation("head").with_context("key", key))?;
        let request = Request::new("head", Method::HEAD, Some(key))
            .query(version_query(options.version.as_ref()))
            .headers(self.options.customer_key.clone());
        let reply = match self.send(request).await {
            Ok(reply) => reply,
            Err(error) => return Err(self.explain(error).await),
        };
        self.check_blob(&reply.headers).map_err(|error| error.with_operation("head").with_context("key", key))?;
        let size = length("head", key, &reply.headers)?;
        let mut info = info(key, size, &reply.headers);
        if options.tags && info.tag_count > 0 {
            info.attributes.tags = self.tags(key, options.version.as_ref()).await?;
        }
        Ok(info)
    }

    /// A missing container and a missing blob both yield 404, and only the code of the
    /// refusal distinguishes them. If there is no code, the container is queried.
    async fn explain(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound || error.code().is_some() || self.seen.load(Ordering::Relaxed) {
            return error;
        }
        let query = Query::new().with("restype", "container");
        match self.send(Request::new("head", Method::GET, None).query(query)).await {
            Err(explained) if explained.kind() == ErrorKind::NotFound => error.with_kind(ErrorKind::BucketNotFound),
            Err(explained) if explained.kind() == ErrorKind::BucketNotFound => explained,
            _ => error,
        }
    }

    async fn tags(&self, key: &ObjectKey, version: Option<&VersionId>) -> Result<BTreeMap<String, String>> {
        self.tags_in(None, key, version).await
    }

    /// The tags of a blob, optionally in another container.
    pub(super) async fn tags_in(
        &self,
        container: Option<&str>,
        key: &ObjectKey,
        version: Option<&VersionId>,
    ) -> Result<BTreeMap<String, String>> {
        let query = version_query(version).with("comp", "tags");
        let request = Request::new("get_tags", Method::GET, Some(key)).query(query).target(container);
        let (_, document, _) = self.send_for_document(request).await?;
        let root = Element::parse(&document).map_err(|error| error.with_operation("get_tags"))?;
        let tags = root.child("TagSet").into_iter().flat_map(|set| set.children("Tag"));
        let text = |tag: &Element<'_>, name| String::from_utf8_lossy(tag.bytes(name).unwrap_or_default()).into_owned();
        Ok(tags.map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect())
    }

    pub(super) async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.check_version(options.version.as_ref())
            .map_err(|error| error.with_operation("get").with_context("key", key))?;
        let mut headers = self.options.customer_key.clone();
        if let Some(range) = &options.range {
            insert_range(&mut headers, range).map_err(|error| error.with_operation("get").with_context("key", key))?;
        }
        if let Some(etag) = &options.if_match {
            insert(&mut headers, IF_MATCH, etag.as_str())?;
        }
        let request = Request::new("get", Method::GET, Some(key));
        let request = request.query(version_query(options.version.as_ref())).headers(headers);
        let reply = self.send(request).await?;
        self.check_blob(&reply.headers).map_err(|error| error.with_operation("get").with_context("key", key))?;
        let served = response_range(reply.status, &reply.headers, reply.body.len(), options.range.as_ref());
        let (range, size) = served
            .map_err(|why| malformed(why).with_operation("get").with_context("key", key).with_retry(RetryClass::Now))?;
        if range.is_empty() && options.range.is_some() && size > 0 {
            let message = format!("the range begins at {}, and the blob has {size} bytes", range.start);
            return Err(Error::invalid_input(message).with_operation("get").with_context("key", key));
        }
        let key = key.clone();
        let info = info(&key, size, &reply.headers);
        let body = reply.body.map(move |piece| piece.map_err(|e| e.with_operation("get").with_context("key", &key)));
        Ok(GetReply::new(info, range, body.boxed()))
    }

    pub(super) async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        check_key(&self.capabilities.keys, key, "put")?;
        let named = |error: Error| error.with_operation("put").with_context("key", key);
        if body.len() > self.capabilities.max_single_put {
            let limit = self.capabilities.max_single_put;
            let message = format!("{} bytes are more than one put may carry ({limit}); upload in blocks", body.len());
            return Err(named(Error::new(ErrorKind::TooLarge, message)));
        }
        let mut headers = self.write_headers(&options.attributes, options.storage_class.as_deref()).map_err(named)?;
        headers.extend([header("x-ms-blob-type", "BlockBlob")]);
        let condition = insert_precondition(&mut headers, &options.precondition).map_err(named)?;
        let payload = Payload::buffer(&body, self.options.upload_buffer).await.map_err(named)?;
        let check = self.checked(&mut headers, &payload, payload.crc(Crc::Crc64Nvme)).map_err(named)?;
        let request = Request::new("put", Method::PUT, Some(key)).headers(headers).payload(payload);
        let reply = self.send(request.condition(condition)).await?;
        let receipt = receipt(&reply.headers, check);
        reply.drain().await;
        Ok(receipt)
    }

    /// Checks that it is a block blob. Blobs of other kinds change while they are read,
    /// and hold more than a sequence of bytes; a folder of a hierarchical namespace is
    /// not a blob.
    pub(super) fn check_blob(&self, headers: &HeaderMap) -> Result<()> {
        let is = |name, value: &str| text(headers, name).is_some_and(|found| found.eq_ignore_ascii_case(value));
        let marked = self.capabilities.preset == "hierarchical" && is("x-ms-meta-hdi_isfolder", "true");
        if marked || is("x-ms-resource-type", "directory") {
            return Err(Error::new(ErrorKind::NotFound, "there is a folder, and no object"));
        }
        match text(headers, "x-ms-blob-type").as_deref() {
            None | Some("BlockBlob") => Ok(()),
            Some(other) => {
                Err(Error::unsupported(format!("this is a blob of the kind {other}; only block blobs are moved")))
            }
        }
    }

    /// Refuses a request for a version where versions are not kept.
    pub(super) fn check_version(&self, version: Option<&VersionId>) -> Result<()> {
        if version.is_none() || self.capabilities.versions != Support::Unsupported {
            return Ok(());
        }
        Err(Error::unsupported(format!("the {} service keeps no versions", self.capabilities.preset)))
    }

    /// The headers of a new blob.
    pub(super) fn write_headers(&self, attributes: &Attributes, tier: Option<&str>) -> Result<HeaderMap> {
        self.capabilities.check_attributes(attributes)?;
        let mut headers = self.options.customer_key.clone();
        headers.extend(self.options.write.clone());
        insert_attributes(&mut headers, attributes)?;
        if let Some(tier) = tier.or(self.options.access_tier.as_deref()) {
            insert(&mut headers, "x-ms-access-tier", tier)?;
        }
        Ok(headers)
    }
}

pub(super) fn info(key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectInfo {
    let tags = text(headers, "x-ms-tag-count").and_then(|count| count.parse().ok()).unwrap_or(0);
    ObjectInfo::new(object_meta(key, size, headers), attributes(headers)).with_tag_count(tags)
}

/// The receipt of a written blob, from the headers of the response.
pub(super) fn receipt(headers: &HeaderMap, check: ServerCheck) -> PutReceipt {
    PutReceipt::new(check).etag(etag(headers)).version(version(headers))
}

/// The length of a blob, from the response to a HEAD.
pub(super) fn length(operation: &'static str, key: &ObjectKey, headers: &HeaderMap) -> Result<u64> {
    let size = text(headers, CONTENT_LENGTH).and_then(|size| size.parse().ok());
    size.ok_or_else(|| malformed("no length of the blob").with_operation(operation).with_context("key", key))
}

pub(super) fn version_query(version: Option<&VersionId>) -> Query {
    match version {
        Some(version) => Query::new().with("versionid", version.as_str()),
        None => Query::new(),
    }
}
