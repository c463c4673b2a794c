//! GetObject, HeadObject, GetObjectTagging.

use std::ops::Range;

use futures_util::TryStreamExt as _;
use http::{HeaderMap, HeaderValue};
use http_body::Frame;
use http_body_util::StreamBody;
use lepton_core::{
    Attribute, Attributes, ErrorKind, GetOptions, HeadOptions, ObjectInfo, ObjectKey, SharedStorage, VersionId,
};
use s3s::dto::{
    self, GetObjectInput, GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput,
    HeadObjectOutput, StreamingBlob,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::attributes::{describing, refuse_unsupported};
use super::condition::ReadConditions;
use super::error::{IntoS3 as _, s3_error_of};
use super::{Backend, signed, versions};

impl Backend {
    pub(super) async fn get(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let (storage, key) = (&bucket.storage, bucket.key(&input.key)?);
        refuse_part(input.part_number)?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        let version = versions::named(storage, input.version_id.as_deref());
        let mut options = GetOptions::new().version(version.clone());
        match input.range {
            None => {}
            Some(dto::Range::Int { first, last }) => {
                options = options.range(first..last.map_or(u64::MAX, |last| last.saturating_add(1)));
            }
            Some(range @ dto::Range::Suffix { .. }) => {
                let info = storage.head(&key, HeadOptions::new().version(version.clone())).await.s3()?;
                conditions.check(&info.meta)?;
                let bytes = range.check(info.meta.size).map_err(|_| beyond_the_end(info.meta.size))?;
                // The ETag makes sure that the suffix is of the object just seen.
                options = options.range(bytes).if_match(info.meta.etag);
            }
        }
        let reply = match storage.get(&key, options).await {
            Err(error) if error.kind() == ErrorKind::InvalidInput && input.range.is_some() => {
                let info = storage.head(&key, HeadOptions::new().version(version)).await.s3()?;
                conditions.check(&info.meta)?;
                return Err(beyond_the_end(info.meta.size));
            }
            other => other.s3()?,
        };
        conditions.check(&reply.meta)?;
        let whole = input.checksum_mode.is_some() && input.range.is_none();
        let mut headers = describing(&reply.meta, &reply.attributes, whole);
        let tags = count_tags(storage, &key, reply.meta.version.clone(), reply.tag_count).await?;
        add_tag_count(tags, &mut headers);
        let frames = reply.body.map_ok(Frame::data).map_err(|error| s3s::StdError::from(Box::new(error)));
        let output = GetObjectOutput {
            body: Some(StreamingBlob::from(s3s::Body::http_body_unsync(StreamBody::new(frames)))),
            content_length: Some(signed(reply.range.end - reply.range.start)),
            content_range: input.range.map(|_| content_range(&reply.range, reply.meta.size)),
            metadata: metadata(reply.attributes),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn head(&self, request: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        refuse_unsupported(&request.headers)?;
        let input = request.input;
        let bucket = self.bucket(&input.bucket)?;
        let (storage, key) = (&bucket.storage, bucket.key(&input.key)?);
        refuse_part(input.part_number)?;
        let version = versions::named(storage, input.version_id.as_deref());
        let ObjectInfo { meta, attributes, tag_count, .. } =
            storage.head(&key, HeadOptions::new().version(version)).await.s3()?;
        let conditions = ReadConditions {
            if_match: input.if_match,
            if_none_match: input.if_none_match,
            if_modified_since: input.if_modified_since,
            if_unmodified_since: input.if_unmodified_since,
        };
        conditions.check(&meta)?;
        let range = match input.range {
            Some(range) => Some(range.check(meta.size).map_err(|_| beyond_the_end(meta.size))?),
            None => None,
        };
        let mut headers = describing(&meta, &attributes, input.checksum_mode.is_some());
        add_tag_count(count_tags(storage, &key, meta.version.clone(), tag_count).await?, &mut headers);
        let output = HeadObjectOutput {
            content_length: Some(signed(range.as_ref().map_or(meta.size, |range| range.end - range.start))),
            content_range: range.map(|range| content_range(&range, meta.size)),
            metadata: metadata(attributes),
            ..Default::default()
        };
        Ok(S3Response::with_headers(output, headers))
    }

    pub(super) async fn tagging(&self, input: GetObjectTaggingInput) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let bucket = self.bucket(&input.bucket)?;
        let storage = &bucket.storage;
        let options = HeadOptions::new().version(versions::named(storage, input.version_id.as_deref())).tags(true);
        let info = storage.head(&bucket.key(&input.key)?, options).await.s3()?;
        let tag = |(key, value)| dto::Tag { key: Some(key), value: Some(value) };
        let tag_set = info.attributes.tags.into_iter().map(tag).collect();
        let version_id = info.meta.version.map(|version| version.as_str().to_owned());
        Ok(S3Response::new(GetObjectTaggingOutput { tag_set, version_id }))
    }
}

fn refuse_part(part: Option<i32>) -> S3Result<()> {
    part.map_or(Ok(()), |_| Err(s3_error!(NotImplemented, "objects are not read by part number")))
}

fn beyond_the_end(size: u64) -> S3Error {
    let mut error = s3_error!(InvalidRange, "the range begins beyond the end of the object");
    if let Ok(range) = HeaderValue::try_from(format!("bytes */{size}")) {
        let xml = HeaderValue::from_static("application/xml");
        error.set_headers(HeaderMap::from_iter([
            (http::header::CONTENT_RANGE, range),
            (http::header::CONTENT_TYPE, xml),
        ]));
    }
    error
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

fn metadata(attributes: Attributes) -> Option<dto::Metadata> {
    (!attributes.user_metadata.is_empty()).then(|| attributes.user_metadata.into_iter().collect())
}

fn add_tag_count(tags: u32, headers: &mut HeaderMap) {
    if tags > 0 {
        headers.insert("x-amz-tagging-count", HeaderValue::from(tags));
    }
}

/// The number of tags of the object. A storage with tags may report them only on request.
async fn count_tags(storage: &SharedStorage, key: &ObjectKey, version: Option<VersionId>, told: u32) -> S3Result<u32> {
    if told > 0 || !storage.capabilities().keeps(Attribute::Tags) {
        return Ok(told);
    }
    match storage.head(key, HeadOptions::new().version(version).tags(true)).await {
        Ok(info) => Ok(u32::try_from(info.attributes.tags.len()).unwrap_or(u32::MAX)),
        // Deleted in the meantime: the object as read is still correct.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(0),
        Err(error) => Err(s3_error_of(&error)),
    }
}
