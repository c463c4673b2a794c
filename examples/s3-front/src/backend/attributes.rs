//! Converts attributes, tags and checksums between headers and Lepton's types.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, ETAG, EXPIRES,
    IntoHeaderName, LAST_MODIFIED,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response};
use lepton_core::{Attributes, ChecksumAlgorithm, ChecksumScope, ETag, ObjectMeta, StoredChecksum, VersionId};
use percent_encoding::percent_decode_str;

use crate::call::Call;
use crate::protocol::{Body, S3Result, decode_words, encode_words, s3_error};

/// The content type that S3 reports for an object that was written without one.
const DEFAULT_TYPE: &str = "binary/octet-stream";

/// The prefix of the headers with user metadata.
const METADATA: &str = "x-amz-meta-";

/// The attributes in a request's headers.
pub(super) fn requested(call: Call<'_>) -> S3Result<Attributes> {
    let text = |name: &str| Ok(call.header(name)?.map(str::to_owned));
    let mut attributes = Attributes::default();
    attributes.content_type = text("content-type")?;
    attributes.content_encoding = call.header("content-encoding")?.and_then(without_chunking);
    attributes.content_disposition = text("content-disposition")?;
    attributes.content_language = text("content-language")?;
    attributes.cache_control = text("cache-control")?;
    attributes.expires = text("expires")?;
    for name in call.headers.keys() {
        if let Some(short) = name.as_str().strip_prefix(METADATA).filter(|short| !short.is_empty()) {
            // S3 joins the values of a header that is repeated.
            let values = call.headers.get_all(name).iter().map(|value| std::str::from_utf8(value.as_bytes()));
            let values = values.map(|value| value.map(decode_words)).collect::<Result<Vec<_>, _>>();
            let values = values.map_err(|_| s3_error!(InvalidArgument, "the header {name} is not UTF-8"))?;
            attributes.user_metadata.insert(short.to_owned(), values.join(","));
        }
    }
    attributes.tags = tags(call.header("x-amz-tagging")?.unwrap_or_default())?;
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
pub(super) fn refuse_unsupported(call: Call<'_>) -> S3Result<()> {
    const REFUSED: [&str; 8] = [
        "x-amz-server-side-encryption",
        "x-amz-copy-source-server-side-encryption",
        "x-amz-object-lock",
        "x-amz-grant-",
        "x-amz-website-redirect-location",
        "x-amz-write-offset-bytes",
        "x-amz-if-match-size",
        "x-amz-if-match-last-modified-time",
    ];
    let refused = call.headers.keys().find(|name| REFUSED.iter().any(|prefix| name.as_str().starts_with(prefix)));
    refused.map_or(Ok(()), |name| Err(s3_error!(NotImplemented, "this server does not support the header {name}")))
}

/// The headers that describe an object, except its size.
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
    for (name, value) in &attributes.user_metadata {
        if let (Ok(name), Ok(value)) =
            (HeaderName::try_from(format!("{METADATA}{name}")), HeaderValue::try_from(&*encode_words(value)))
        {
            headers.insert(name, value);
        }
    }
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

/// Adds a header to a reply, if there is a value that HTTP can carry.
pub(super) fn insert(response: &mut Response<Body>, name: impl IntoHeaderName, value: Option<impl ToString>) {
    if let Some(value) = value.and_then(|value| HeaderValue::try_from(value.to_string()).ok()) {
        response.headers_mut().insert(name, value);
    }
}

/// An ETag as it is written in HTTP.
pub(super) fn quoted(etag: &ETag) -> String {
    format!("\"{}\"", etag.unquoted())
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
        assert_eq!(without_chunking("aws-chunked,gzip").as_deref(), Some("gzip"));
        assert_eq!(without_chunking("aws-chunked"), None);
        let tags: Vec<_> = tags("a=1&b%26=x+y%2B&c").unwrap().into_iter().collect();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(tags, [pair("a", "1"), pair("b&", "x y+"), pair("c", "")]);
    }
}
