//! The parts of a request that can be read from its request line and headers.

use http::{HeaderMap, Method, Uri};
use lepton_core::ObjectKey;
use percent_encoding::percent_decode_str;

/// A request as hooks and statistics see it, before its signature is checked.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RequestInfo {
    /// The HTTP method.
    pub method: Method,
    /// The name of the S3 operation (`PutObject`, `UploadPart`, …), or `Other`.
    pub operation: &'static str,
    /// The bucket, if the path names one.
    pub bucket: Option<String>,
    /// The key, if the path names one.
    pub key: Option<ObjectKey>,
    /// The id of the multipart upload.
    pub upload: Option<String>,
    /// The number of the part.
    pub part: Option<u32>,
    /// The number of requests of this operation that the server has seen, including this one.
    pub nth: u64,
}

impl RequestInfo {
    pub(crate) fn parse(method: &Method, uri: &Uri, headers: &HeaderMap) -> Self {
        let path = uri.path().strip_prefix('/').unwrap_or_default();
        let (bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
        let key = ObjectKey::new(decode(key)).ok();
        let bucket = (!bucket.is_empty()).then(|| String::from_utf8_lossy(&decode(bucket)).into_owned());
        let query = Query(uri.query().unwrap_or_default());
        Self {
            method: method.clone(),
            operation: operation(method, bucket.is_some(), key.is_some(), &query, headers),
            bucket,
            key,
            upload: query.value("uploadId"),
            part: query.value("partNumber").and_then(|number| number.parse().ok()),
            nth: 0,
        }
    }
}

struct Query<'a>(&'a str);

impl Query<'_> {
    fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
    }

    fn has(&self, name: &str) -> bool {
        self.pairs().any(|(n, _)| n == name)
    }

    fn value(&self, name: &str) -> Option<String> {
        let (_, value) = self.pairs().find(|(n, _)| *n == name)?;
        Some(percent_decode_str(value).decode_utf8_lossy().into_owned())
    }
}

fn operation(method: &Method, bucket: bool, key: bool, query: &Query<'_>, headers: &HeaderMap) -> &'static str {
    let has = |name| query.has(name);
    let copies = headers.contains_key("x-amz-copy-source");
    match (method.as_str(), bucket, key) {
        ("GET", false, _) => "ListBuckets",
        ("HEAD", true, false) => "HeadBucket",
        ("PUT", true, false) => "CreateBucket",
        ("DELETE", true, false) => "DeleteBucket",
        ("POST", true, false) if has("delete") => "DeleteObjects",
        ("GET", true, false) if has("location") => "GetBucketLocation",
        ("GET", true, false) if has("versioning") => "GetBucketVersioning",
        ("GET", true, false) if has("uploads") => "ListMultipartUploads",
        ("GET", true, false) if has("versions") => "ListObjectVersions",
        ("GET", true, false) if has("list-type") => "ListObjectsV2",
        ("GET", true, false) if query.0.is_empty() || has("prefix") || has("marker") => "ListObjects",
        ("HEAD", true, true) => "HeadObject",
        ("GET", true, true) if has("tagging") => "GetObjectTagging",
        ("GET", true, true) if has("uploadId") => "ListParts",
        ("GET", true, true) => "GetObject",
        ("POST", true, true) if has("uploads") => "CreateMultipartUpload",
        ("POST", true, true) if has("uploadId") => "CompleteMultipartUpload",
        ("PUT", true, true) if has("uploadId") && copies => "UploadPartCopy",
        ("PUT", true, true) if has("uploadId") => "UploadPart",
        ("PUT", true, true) if has("tagging") => "PutObjectTagging",
        ("PUT", true, true) if copies => "CopyObject",
        ("PUT", true, true) => "PutObject",
        ("DELETE", true, true) if has("uploadId") => "AbortMultipartUpload",
        ("DELETE", true, true) => "DeleteObject",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_keys_and_parts_are_read() {
        for (method, uri, operation, key) in [
            ("GET", "/", "ListBuckets", None),
            ("GET", "/b", "ListObjects", None),
            ("GET", "/b/?list-type=2&prefix=x", "ListObjectsV2", None),
            ("PUT", "/b//a%2Fb//", "PutObject", Some(&b"/a/b//"[..])),
            ("PUT", "/b/../%01?partNumber=3&uploadId=u%2F1", "UploadPart", Some(b"../\x01")),
            ("POST", "/b/k?uploads", "CreateMultipartUpload", Some(b"k")),
            ("DELETE", "/b/k", "DeleteObject", Some(b"k")),
        ] {
            let info = RequestInfo::parse(&method.parse().unwrap(), &uri.parse().unwrap(), &HeaderMap::new());
            assert_eq!(info.operation, operation, "{uri}");
            assert_eq!(info.key.as_ref().map(ObjectKey::as_bytes), key, "{uri}");
            if operation == "UploadPart" {
                assert_eq!((info.part, info.upload.as_deref()), (Some(3), Some("u/1")));
            }
        }
    }
}
