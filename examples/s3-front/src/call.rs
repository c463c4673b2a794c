//! A request as the operations read it.

use std::str::FromStr;

use http::request::Parts;
use http::{HeaderMap, Method};
use lepton_core::{ObjectKey, Upload, UploadId};

use crate::protocol::{Query, S3Result, s3_error};
use crate::request::RequestInfo;

/// The longest key of S3, in bytes.
const LONGEST_KEY: usize = 1024;
/// The highest part number of S3.
const LAST_PART: u32 = 10_000;

/// A request without its body.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    info: &'a RequestInfo,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) query: Query<'a>,
}

impl<'a> Call<'a> {
    /// Refuses names that S3 does not have.
    pub(crate) fn new(info: &'a RequestInfo, parts: &'a Parts) -> S3Result<Self> {
        if let Some(bucket) = info.bucket.as_ref().filter(|bucket| !is_bucket_name(bucket)) {
            return Err(s3_error!(InvalidBucketName, "{bucket:?} is not the name of a bucket"));
        }
        if info.key.as_ref().is_some_and(|key| key.as_str().is_none()) {
            return Err(s3_error!(InvalidURI, "the key is not UTF-8"));
        }
        if info.key.as_ref().is_some_and(|key| key.as_bytes().len() > LONGEST_KEY) {
            return Err(s3_error!(KeyTooLongError, "a key has at most {LONGEST_KEY} bytes"));
        }
        Ok(Self { info, headers: &parts.headers, query: Query(parts.uri.query().unwrap_or_default()) })
    }

    pub(crate) fn method(self) -> &'a Method {
        &self.info.method
    }

    /// The name of the bucket, or nothing for an operation without one.
    pub(crate) fn bucket(self) -> &'a str {
        self.info.bucket.as_deref().unwrap_or_default()
    }

    /// The key of an operation on an object.
    pub(crate) fn key(self) -> S3Result<&'a ObjectKey> {
        self.info.key.as_ref().ok_or_else(|| s3_error!(InvalidRequest, "the request names no key"))
    }

    /// The upload of an operation on one.
    pub(crate) fn upload(self, key: ObjectKey) -> Upload {
        Upload::new(key, UploadId::new(self.info.upload.as_deref().unwrap_or_default()))
    }

    pub(crate) fn part_number(self) -> S3Result<u32> {
        part_number(self.info.part)
    }

    /// A header, unless it is empty.
    pub(crate) fn header(self, name: &str) -> S3Result<Option<&'a str>> {
        let Some(value) = self.headers.get(name).filter(|value| !value.is_empty()) else { return Ok(None) };
        let text = std::str::from_utf8(value.as_bytes());
        text.map(Some).map_err(|_| s3_error!(InvalidArgument, "the header {name} is not UTF-8"))
    }

    /// A header as a number, or as whatever else can be parsed.
    pub(crate) fn parsed<T: FromStr>(self, name: &str) -> S3Result<Option<T>> {
        let Some(text) = self.header(name)? else { return Ok(None) };
        text.parse().map(Some).map_err(|_| s3_error!(InvalidArgument, "the header {name} cannot be {text:?}"))
    }
}

/// Checks the number of a part.
pub(crate) fn part_number(number: Option<u32>) -> S3Result<u32> {
    let allowed = number.filter(|number| (1..=LAST_PART).contains(number));
    allowed.ok_or_else(|| s3_error!(InvalidArgument, "a part number is from 1 to {LAST_PART}"))
}

/// Whether S3 allows a bucket with this name.
pub(crate) fn is_bucket_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.bytes().all(|byte| allowed(byte) || byte == b'.' || byte == b'-')
        && name.bytes().next().is_some_and(allowed)
        && name.bytes().next_back().is_some_and(allowed)
        && !name.contains("..")
        && !name.starts_with("xn--")
        && name.parse::<std::net::IpAddr>().is_err()
}
