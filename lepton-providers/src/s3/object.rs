//! One object: describe, read, write.

use futures_util::StreamExt as _;
use http::header::{ACCEPT_ENCODING, CONTENT_LENGTH, IF_MATCH, RANGE};
use http::{HeaderMap, HeaderValue, Method};
use lepton_core::{
    Attributes, Body, ChecksumAlgorithm, Error, ErrorKind, GetOptions, GetReply, HeadOptions, ObjectInfo, ObjectKey,
    Precondition, PutOptions, PutReceipt, Result, RetryClass, StoredChecksum, Support, VersionId, from_hex,
};

use super::client::{Client, Reply, Request};
use super::headers::{attributes, checksums, etag, insert_attributes, object_meta, version};
use super::payload::Payload;
use crate::wire::attributes::{header, insert, insert_precondition, text};
use crate::wire::encode::Query;
use crate::wire::range::{insert_range, response_range};
use crate::wire::refusal::Condition;
use crate::wire::request::{check_key, malformed};
use crate::wire::xml::Element;

const TAG_COUNT: &str = "x-amz-tagging-count";
const CHECKSUM_MODE: (&str, &str) = ("x-amz-checksum-mode", "ENABLED");

impl Client {
    pub(super) async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        check_key(&self.reading, key, "head")?;
        let region = self.target().region.clone();
        let reply = match self.send_head(key, options.version.as_ref()).await {
            Ok(reply) => reply,
            Err(error) => {
                let explained = self.explain(key, options.version.as_ref(), error).await;
                if self.target().region == region {
                    return Err(explained);
                }
                self.send_head(key, options.version.as_ref()).await?
            }
        };
        let size = text(&reply.headers, CONTENT_LENGTH).and_then(|size| size.parse().ok());
        let size =
            size.ok_or_else(|| malformed("no length of the object").with_operation("head").with_context("key", key))?;
        let mut info = self.info(key, size, &reply.headers);
        if options.tags {
            info.attributes.tags = self.tags(key, options.version.as_ref(), &reply.headers).await?;
        }
        Ok(info)
    }

    async fn send_head(&self, key: &ObjectKey, version: Option<&VersionId>) -> Result<Reply> {
        let request = Request::new("head", Method::HEAD, Some(key)).query(version_query(version));
        self.send(request.headers(self.read_headers())).await
    }

    /// A refused HEAD reports nothing but its status. Where that is ambiguous (wrong key
    /// or no permission, no object or no bucket, which region), a GET of the first byte
    /// returns the reason. A missing object costs no second request once the bucket has
    /// answered any.
    async fn explain(&self, key: &ObjectKey, version: Option<&VersionId>, error: Error) -> Error {
        let seen = self.bucket_seen.load(std::sync::atomic::Ordering::Relaxed);
        let open = match error.status() {
            Some(404) => !seen && error.code().is_none(),
            Some(301 | 400 | 403) => error.code().is_none(),
            _ => false,
        };
        if !open {
            return error;
        }
        let mut headers = self.read_headers();
        headers.insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        let request = Request::new("head", Method::GET, Some(key)).query(version_query(version)).headers(headers);
        match self.send(request).await {
            Err(explained) if explained.status() == error.status() => explained,
            _ => error,
        }
    }

    async fn tags(
        &self,
        key: &ObjectKey,
        version: Option<&VersionId>,
        headers: &HeaderMap,
    ) -> Result<std::collections::BTreeMap<String, String>> {
        // An object without tags has no such header.
        if text(headers, TAG_COUNT).is_none() {
            return Ok(std::collections::BTreeMap::new());
        }
        let query = version_query(version).with("tagging", "");
        let request = Request::new("get_tags", Method::GET, Some(key)).query(query);
        let (_, document, _) = self.send_for_document(request).await?;
        let root = Element::parse(&document).map_err(|error| error.with_operation("get_tags"))?;
        let tags = root.child("TagSet").into_iter().flat_map(|set| set.children("Tag"));
        let text = |tag: &Element<'_>, name| String::from_utf8_lossy(tag.bytes(name).unwrap_or_default()).into_owned();
        Ok(tags.map(|tag| (text(tag, "Key"), text(tag, "Value"))).collect())
    }

    pub(super) async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        check_key(&self.reading, key, "get")?;
        let mut headers = self.read_headers();
        if let Some(range) = &options.range {
            self.require(self.capabilities.range_get, "reads of ranges", "get")?;
            insert_range(&mut headers, range).map_err(|error| error.with_operation("get").with_context("key", key))?;
        }
        if let Some(etag) = &options.if_match {
            self.require(self.capabilities.conditional_get, "conditional reads", "get")?;
            insert(&mut headers, IF_MATCH, etag.as_str())?;
        }
        let reply = self.send_get(key, &options, headers).await?;
        let served = response_range(reply.status, &reply.headers, reply.body.len(), options.range.as_ref());
        let (range, size) = served
            .map_err(|why| malformed(why).with_operation("get").with_context("key", key).with_retry(RetryClass::Now))?;
        let key = key.clone();
        let info = self.info(&key, size, &reply.headers);
        let body = reply.body.map(move |piece| piece.map_err(|e| e.with_operation("get").with_context("key", &key)));
        Ok(GetReply::new(info, range, body.boxed()))
    }

    /// Sends a read. Some stores unpack an object that is stored with the encoding gzip for a
    /// client that does not accept it, and cannot say how long it is then: it is asked for as it
    /// is stored.
    async fn send_get(&self, key: &ObjectKey, options: &GetOptions, mut headers: HeaderMap) -> Result<Reply> {
        let query = || version_query(options.version.as_ref());
        let request = |headers| Request::new("get", Method::GET, Some(key)).query(query()).headers(headers);
        let reply = self.send(request(headers.clone())).await?;
        if reply.body.len().is_some() {
            return Ok(reply);
        }
        drop(reply);
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        self.send(request(headers)).await
    }

    pub(super) async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        check_key(&self.capabilities.keys, key, "put")?;
        self.prove(key).await?;
        if body.len() > self.capabilities.max_single_put {
            let limit = self.capabilities.max_single_put;
            let message = format!("{} bytes are more than one put may carry ({limit}); upload in parts", body.len());
            return Err(Error::new(ErrorKind::TooLarge, message).with_operation("put").with_context("key", key));
        }
        let headers = self.write_headers(&options.attributes, options.storage_class.as_deref());
        let mut headers = headers.map_err(|error| error.with_operation("put").with_context("key", key))?;
        headers.extend(self.options.customer_key.clone());
        let condition =
            self.put_condition(&mut headers, &options.precondition).map_err(|e| e.with_context("key", key))?;
        let request = Request::new("put", Method::PUT, Some(key)).headers(headers).payload(Payload::Body(body));
        let reply = self.send(request.condition(condition)).await?;
        let receipt = receipt(&reply);
        reply.drain().await;
        Ok(receipt)
    }

    fn put_condition(&self, headers: &mut HeaderMap, condition: &Precondition) -> Result<Condition> {
        let support = match condition {
            Precondition::IfMatch(_) => self.capabilities.put_if_match,
            Precondition::IfAbsent => self.capabilities.put_if_absent,
            _ => Support::Native,
        };
        self.require(support, "puts under this condition", "put")?;
        insert_precondition(headers, condition)
    }

    /// Refuses what the store does not support, or is not known to support.
    pub(super) fn require(&self, support: Support, what: &str, operation: &'static str) -> Result<()> {
        if support.is_available() {
            return Ok(());
        }
        let preset = &self.capabilities.preset;
        let message = if support == Support::Unknown {
            format!(
                "the {preset} store is not known to have {what}; name the server with `preset`, or let `probe=true` find out"
            )
        } else {
            format!("the {preset} store has no {what}")
        };
        Err(Error::unsupported(message).with_operation(operation))
    }

    /// The headers of every request that reads an object.
    pub(super) fn read_headers(&self) -> HeaderMap {
        let mut headers = self.options.customer_key.clone();
        headers.extend([header(CHECKSUM_MODE.0, CHECKSUM_MODE.1)]);
        headers
    }

    /// The headers of a new object.
    pub(super) fn write_headers(&self, attributes: &Attributes, storage_class: Option<&str>) -> Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let refuse =
            |what: &str| Err(Error::unsupported(format!("the {} store keeps no {what}", self.capabilities.preset)));
        self.capabilities.check_attributes(attributes)?;
        if storage_class.is_some() && self.capabilities.storage_class == Support::Unsupported {
            return refuse("storage classes");
        }
        insert_attributes(&mut headers, attributes)?;
        if let Some(class) = storage_class.or(self.options.storage_class.as_deref()) {
            insert(&mut headers, "x-amz-storage-class", class)?;
        }
        if let Some((sse, key_id)) = &self.options.sse {
            headers.extend([header("x-amz-server-side-encryption", sse.header_value())]);
            if let Some(id) = key_id {
                insert(&mut headers, "x-amz-server-side-encryption-aws-kms-key-id", id)?;
            }
        }
        Ok(headers)
    }

    fn info(&self, key: &ObjectKey, size: u64, headers: &HeaderMap) -> ObjectInfo {
        let tags = text(headers, TAG_COUNT).and_then(|count| count.parse().ok()).unwrap_or(0);
        let mut meta = object_meta(key, size, headers);
        if self.capabilities.etag_is_md5 {
            meta.checksums.extend(md5_of_tag(headers));
        }
        ObjectInfo::new(meta, attributes(headers)).with_tag_count(tags)
    }
}

/// The MD5 of the content if the tag is one. The tag of an encrypted object may be
/// anything.
fn md5_of_tag(headers: &HeaderMap) -> Option<StoredChecksum> {
    let encrypted = headers.keys().any(|name| name.as_str().starts_with("x-amz-server-side-encryption"));
    let md5 = from_hex(etag(headers)?.unquoted()).filter(|md5| md5.len() == 16 && !encrypted)?;
    Some(StoredChecksum::full(ChecksumAlgorithm::Md5, md5))
}

/// The receipt of a written object, from the headers of the response.
pub(super) fn receipt(reply: &Reply) -> PutReceipt {
    PutReceipt::new(reply.check)
        .etag(etag(&reply.headers))
        .version(version(&reply.headers))
        .checksums(checksums(&reply.headers))
}

pub(super) fn version_query(version: Option<&VersionId>) -> Query {
    match version {
        Some(version) => Query::new().with("versionId", version.as_str()),
        None => Query::new(),
    }
}
