//! GetObject, HeadObject, GetObjectTagging.

use std::ops::Range;

use futures_util::TryStreamExt as _;
use http::header::{
    CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, EXPIRES,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};
use http_body::Frame;
use http_body_util::StreamBody;
use lepton_core::{Attribute, ErrorKind, GetOptions, HeadOptions, ObjectInfo, ObjectKey, SharedStorage, VersionId};

use super::attributes::{describing, insert, refuse_unsupported};
use super::condition::ReadConditions;
use super::range::ByteRange;
use super::{Backend, versions};
use crate::call::Call;
use crate::protocol::{self, Body, IntoS3 as _, S3Error, S3Result, Xml, s3_error, s3_error_of};

impl Backend {
    pub(super) async fn get(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let (storage, key) = (&bucket.storage, bucket.key(call.key()?)?);
        refuse_part(call)?;
        let conditions = ReadConditions::of(call, "")?;
        let version = versions::named(storage, call.query.text("versionId")?);
        let range = range(call)?;
        let mut options = GetOptions::new().version(version.clone());
        match range {
            None => {}
            Some(ByteRange::From { first, last }) => {
                options = options.range(first..last.map_or(u64::MAX, |last| last.saturating_add(1)));
            }
            Some(range @ ByteRange::Last(_)) => {
                let info = storage.head(&key, HeadOptions::new().version(version.clone())).await.s3()?;
                conditions.check(&info.meta)?;
                let bytes = range.within(info.meta.size).ok_or_else(|| beyond_the_end(info.meta.size))?;
                // The ETag makes sure that the suffix is of the object just seen.
                options = options.range(bytes).if_match(info.meta.etag);
            }
        }
        let reply = match storage.get(&key, options).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput && range.is_some() => {
                let info = storage.head(&key, HeadOptions::new().version(version)).await.s3()?;
                conditions.check(&info.meta)?;
                return Err(beyond_the_end(info.meta.size));
            }
            other => other.s3()?,
        };
        conditions.check(&reply.meta)?;
        let whole = call.headers.contains_key("x-amz-checksum-mode") && range.is_none();
        let mut headers = describing(&reply.meta, &reply.attributes, whole);
        let tags = count_tags(storage, &key, reply.meta.version.clone(), reply.tag_count).await?;
        add_tag_count(tags, &mut headers);
        add_overrides(call, &mut headers)?;
        let body = Body::new(StreamBody::new(reply.body.map_ok(Frame::data)));
        let sent = reply.range.clone();
        Ok(described(body, headers, sent, range.is_some(), reply.meta.size))
    }

    pub(super) async fn head(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        refuse_unsupported(call)?;
        let bucket = self.bucket(call.bucket())?;
        let (storage, key) = (&bucket.storage, bucket.key(call.key()?)?);
        refuse_part(call)?;
        let version = versions::named(storage, call.query.text("versionId")?);
        let ObjectInfo { meta, attributes, tag_count, .. } =
            storage.head(&key, HeadOptions::new().version(version)).await.s3()?;
        ReadConditions::of(call, "")?.check(&meta)?;
        let range = match range(call)? {
            Some(range) => Some(range.within(meta.size).ok_or_else(|| beyond_the_end(meta.size))?),
            None => None,
        };
        let mut headers = describing(&meta, &attributes, call.headers.contains_key("x-amz-checksum-mode"));
        add_tag_count(count_tags(storage, &key, meta.version.clone(), tag_count).await?, &mut headers);
        add_overrides(call, &mut headers)?;
        let ranged = range.is_some();
        Ok(described(Body::from(""), headers, range.unwrap_or(0..meta.size), ranged, meta.size))
    }

    pub(super) async fn tagging(&self, call: Call<'_>) -> S3Result<Response<Body>> {
        let bucket = self.bucket(call.bucket())?;
        let storage = &bucket.storage;
        let version = versions::named(storage, call.query.text("versionId")?);
        let options = HeadOptions::new().version(version).tags(true);
        let info = storage.head(&bucket.key(call.key()?)?, options).await.s3()?;
        let mut response = protocol::with_document(Xml::document("Tagging", |xml| {
            xml.element("TagSet", |xml| {
                for (name, value) in &info.attributes.tags {
                    xml.element("Tag", |xml| {
                        xml.text("Key", name);
                        xml.text("Value", value);
                    });
                }
            });
        }));
        insert(&mut response, "x-amz-version-id", info.meta.version.as_ref());
        Ok(response)
    }
}

/// A reply with these bytes of an object, all of them unless a range was requested.
fn described(body: Body, headers: HeaderMap, sent: Range<u64>, ranged: bool, size: u64) -> Response<Body> {
    let mut response = Response::new(body);
    *response.headers_mut() = headers;
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(sent.end - sent.start));
    if ranged {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {}-{}/{size}", sent.start, sent.end.saturating_sub(1));
        insert(&mut response, "content-range", Some(&range));
    }
    response
}

fn refuse_part(call: Call<'_>) -> S3Result<()> {
    if call.query.has("partNumber") {
        return Err(s3_error!(NotImplemented, "objects are not read by part number"));
    }
    Ok(())
}

fn range(call: Call<'_>) -> S3Result<Option<ByteRange>> {
    let Some(text) = call.header("range")? else { return Ok(None) };
    let range = ByteRange::parse(text);
    range.map(Some).ok_or_else(|| s3_error!(InvalidArgument, "{text:?} is not one range of bytes"))
}

fn beyond_the_end(size: u64) -> S3Error {
    s3_error!(InvalidRange, "the range begins beyond the end of the object")
        .with(CONTENT_RANGE, format!("bytes */{size}"))
}

fn add_tag_count(tags: u32, headers: &mut HeaderMap) {
    if tags > 0 {
        headers.insert("x-amz-tagging-count", HeaderValue::from(tags));
    }
}

/// The headers that the query states for this reply.
fn add_overrides(call: Call<'_>, headers: &mut HeaderMap) -> S3Result<()> {
    for name in [CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, EXPIRES] {
        let Some(value) = call.query.text(&format!("response-{name}"))? else { continue };
        let value = HeaderValue::try_from(value);
        let value = value.map_err(|_| s3_error!(InvalidArgument, "response-{name} is not the value of a header"))?;
        headers.insert(name, value);
    }
    Ok(())
}

/// The number of tags of the object. A storage with tags may report them only on request.
async fn count_tags(
    storage: &SharedStorage,
    key: &ObjectKey,
    version: Option<VersionId>,
    reported: u32,
) -> S3Result<u32> {
    if reported > 0 || !storage.capabilities().keeps(Attribute::Tags) {
        return Ok(reported);
    }
    match storage.head(key, HeadOptions::new().version(version).tags(true)).await {
        Ok(info) => Ok(u32::try_from(info.attributes.tags.len()).unwrap_or(u32::MAX)),
        // Deleted in the meantime: the object as read is still correct.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(s3_error_of(&error)),
    }
}
