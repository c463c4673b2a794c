//! Converts attributes, tags and checksums between headers and Lepton's types.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, EXPIRES,
    LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Attributes, ChecksumAlgorithm, ChecksumScope, ETag, ObjectMeta, StoredChecksum, VersionId};
use percent_encoding::percent_decode_str;
use s3s::dto::Metadata;
use s3s::{S3Result, s3_error};

/// The content type that S3 reports for an object that was written without one.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// The attributes in a request's headers. The user metadata comes from s3s, which decodes RFC
/// 2047.
pub(super) fn requested(headers: &HeaderMap, metadata: Option<Metadata>) -> S3Result<Attributes> {
    let text = |name: HeaderName| -> S3Result<Option<String>> {
        let Some(value) = headers.get(&name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes());
        Ok(Some(text.map_err(|_| s3_error!(InvalidArgument, "the header {name} is not UTF-8"))?.to_owned()))
    };
    let mut attributes = Attributes::default();
    attributes.content_type = text(CONTENT_TYPE)?;
    attributes.content_encoding = text(CONTENT_ENCODING)?.and_then(|encoding| without_chunking(&encoding));
    attributes.content_disposition = text(CONTENT_DISPOSITION)?;
    attributes.content_language = text(CONTENT_LANGUAGE)?;
    attributes.cache_control = text(CACHE_CONTROL)?;
    attributes.expires = text(EXPIRES)?;
    attributes.user_metadata = metadata.unwrap_or_default().into_iter().collect();
    attributes.tags = tags(&text(HeaderName::from_static("x-amz-tagging"))?.unwrap_or_default())?;
    Ok(attributes)
}

/// A content encoding without `aws-chunked`, which applies only to the transfer.
fn without_chunking(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding.split(',').map(str::trim).filter(|e| *e != "aws-chunked" && !e.is_empty()).collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

/// Parses tags from the header `x-amz-tagging`: a URL query.
fn tags(header: &str) -> S3Result<BTreeMap<String, String>> {
    let decode = |text: &str| {
        let text = text.replace('+', " ");
        let text = percent_decode_str(&text).decode_utf8().map(std::borrow::Cow::into_owned);
        text.map_err(|_| s3_error!(InvalidTag, "a tag is not UTF-8"))
    };
    let pairs = header.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Refuses what this server does not support, instead of ignoring it.
pub(super) fn refuse_unsupported(headers: &HeaderMap) -> S3Result<()> {
    const REFUSED: [&str; 5] = [
        "x-amz-server-side-encryption",
        "x-amz-copy-source-server-side-encryption",
        "x-amz-object-lock",
        "x-amz-grant-",
        "x-amz-website-redirect-location",
    ];
    let refused = headers.keys().find(|name| REFUSED.iter().any(|prefix| name.as_str().starts_with(prefix)));
    refused.map_or(Ok(()), |name| Err(s3_error!(NotImplemented, "this server does not support the header {name}")))
}

/// The headers that describe an object, except its size and metadata.
pub(super) fn describing(meta: &ObjectMeta, attributes: &Attributes, checksums: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    // A value from the storage that HTTP cannot carry is omitted.
    let mut add = |name: HeaderName, value: Option<&str>| {
        if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
            headers.insert(name, value);
        }
    };
    add(ACCEPT_RANGES, Some("bytes"));
    add(CONTENT_TYPE, Some(attributes.content_type.as_deref().unwrap_or(DEFAULT_TYPE)));
    add(CONTENT_ENCODING, attributes.content_encoding.as_deref());
    add(CONTENT_DISPOSITION, attributes.content_disposition.as_deref());
    add(CONTENT_LANGUAGE, attributes.content_language.as_deref());
    add(CACHE_CONTROL, attributes.cache_control.as_deref());
    add(EXPIRES, attributes.expires.as_deref());
    add(ETAG, meta.etag.as_ref().map(quoted).as_deref());
    add(LAST_MODIFIED, meta.last_modified.map(httpdate::fmt_http_date).as_deref());
    add(HeaderName::from_static("x-amz-version-id"), meta.version.as_ref().map(VersionId::as_str));
    add(HeaderName::from_static("x-amz-storage-class"), meta.storage_class.as_deref());
    if checksums {
        add_checksums(&meta.checksums, &mut headers);
    }
    headers
}

/// Adds the checksums that a storage holds, in the form of S3.
pub(super) fn add_checksums(checksums: &[StoredChecksum], headers: &mut HeaderMap) {
    for checksum in checksums {
        let name = match checksum.algorithm {
            ChecksumAlgorithm::Crc64Nvme => "x-amz-checksum-crc64nvme",
            ChecksumAlgorithm::Crc32c => "x-amz-checksum-crc32c",
            ChecksumAlgorithm::Crc32 => "x-amz-checksum-crc32",
            ChecksumAlgorithm::Sha256 => "x-amz-checksum-sha256",
            ChecksumAlgorithm::Sha1 => "x-amz-checksum-sha1",
            _ => continue,
        };
        let mut value = BASE64_STANDARD.encode(&checksum.value);
        let mut scope = "FULL_OBJECT";
        if let ChecksumScope::Composite { parts } = checksum.scope {
            value.push_str(&format!("-{parts}"));
            scope = "COMPOSITE";
        }
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
            headers.insert("x-amz-checksum-type", HeaderValue::from_static(scope));
        }
    }
}

/// An ETag as it is written in HTTP.
pub(super) fn quoted(etag: &ETag) -> String {
    format!("\"{}\"", etag.unquoted())
}

/// An ETag as an s3s type.
pub(super) fn s3_etag(etag: &ETag) -> s3s::dto::ETag {
    s3s::dto::ETag::Strong(etag.unquoted().to_owned())
}

/// The base64 form of a stored checksum of this kind that covers all bytes.
pub(super) fn full_checksum(checksum: Option<&StoredChecksum>, algorithm: ChecksumAlgorithm) -> Option<String> {
    let checksum = checksum.filter(|c| c.algorithm == algorithm && c.scope == ChecksumScope::Full)?;
    Some(BASE64_STANDARD.encode(&checksum.value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transfer_encoding_and_tags_are_taken_apart() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("aws-chunked,gzip"));
        headers.insert("x-amz-tagging", HeaderValue::from_static("a=1&b%26=x+y%2B&c"));
        let attributes = requested(&headers, None).unwrap();
        assert_eq!(attributes.content_encoding.as_deref(), Some("gzip"));
        let tags: Vec<_> = attributes.tags.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(tags, [("a", "1"), ("b&", "x y+"), ("c", "")]);
    }
}
