//! The parts of a request that can be read from its request line and headers.

use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Method, Uri};
use lepton_core::ObjectKey;
use percent_encoding::percent_decode_str;

use crate::protocol::Query;

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
    /// The access key that the request claims; its signature is checked later.
    pub access_key: Option<String>,
    /// The id by which the reply, too, names the request.
    pub(crate) id: String,
}

impl RequestInfo {
    /// Reads a request; `domain` is the one below which hosts are named after buckets.
    pub(crate) fn parse(method: &Method, uri: &Uri, headers: &HeaderMap, domain: Option<&str>) -> Self {
        let (bucket, key) = target(uri, headers, domain);
        let query = Query(uri.query().unwrap_or_default());
        Self {
            method: method.clone(),
            operation: operation(method, bucket.is_some(), key.is_some(), query, headers),
            bucket,
            key,
            upload: query.text("uploadId").ok().flatten(),
            part: query.parsed("partNumber").ok().flatten(),
            nth: 0,
            access_key: access_key(headers, query),
            id: String::new(),
        }
    }
}

/// The access key of a header or of a presigned URL.
fn access_key(headers: &HeaderMap, query: Query<'_>) -> Option<String> {
    let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok());
    let scope = match header {
        Some(header) => header.split_once("Credential=")?.1.to_owned(),
        None => query.text("X-Amz-Credential").ok().flatten()?,
    };
    scope.split_once('/').map(|(key, _)| key.to_owned())
}

/// The bucket and the key that a request names. Keys are not normalised in any way.
fn target(uri: &Uri, headers: &HeaderMap, domain: Option<&str>) -> (Option<String>, Option<ObjectKey>) {
    let path = uri.path().strip_prefix('/').unwrap_or_default();
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let of_host = host.zip(domain).and_then(|(host, domain)| host.strip_suffix(domain)?.strip_suffix('.'));
    let (bucket, key) = of_host.map_or_else(|| path.split_once('/').unwrap_or((path, "")), |bucket| (bucket, path));
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let name = (!bucket.is_empty()).then(|| String::from_utf8_lossy(&decode(bucket)).into_owned());
    (name, ObjectKey::new(decode(key)).ok())
}

/// The parts of a bucket or an object that a query names, in the order in which they decide.
const RESOURCES: [&str; 34] = [
    "accelerate",
    "acl",
    "analytics",
    "attributes",
    "cors",
    "delete",
    "encryption",
    "intelligent-tiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "policyStatus",
    "publicAccessBlock",
    "renameObject",
    "replication",
    "requestPayment",
    "restore",
    "retention",
    "select",
    "session",
    "tagging",
    "torrent",
    "uploadId",
    "uploads",
    "versioning",
    "versions",
    "website",
];

fn operation(method: &Method, bucket: bool, key: bool, query: Query<'_>, headers: &HeaderMap) -> &'static str {
    let resource = RESOURCES.into_iter().find(|name| query.has(name));
    let copies = headers.contains_key("x-amz-copy-source");
    match (method.as_str(), bucket, key, resource) {
        ("GET", false, _, None) => "ListBuckets",
        ("HEAD", true, false, None) => "HeadBucket",
        ("PUT", true, false, None) => "CreateBucket",
        ("DELETE", true, false, None) => "DeleteBucket",
        ("POST", true, false, Some("delete")) => "DeleteObjects",
        ("GET", true, false, Some("location")) => "GetBucketLocation",
        ("GET", true, false, Some("versioning")) => "GetBucketVersioning",
        ("GET", true, false, Some("uploads")) => "ListMultipartUploads",
        ("GET", true, false, Some("versions")) => "ListObjectVersions",
        ("GET", true, false, None) if query.has("list-type") => "ListObjectsV2",
        ("GET", true, false, None) => "ListObjects",
        ("HEAD", true, true, None) => "HeadObject",
        ("GET", true, true, Some("tagging")) => "GetObjectTagging",
        ("GET", true, true, Some("uploadId")) => "ListParts",
        ("GET", true, true, None) => "GetObject",
        ("POST", true, true, Some("uploads")) => "CreateMultipartUpload",
        ("POST", true, true, Some("uploadId")) => "CompleteMultipartUpload",
        ("PUT", true, true, Some("uploadId")) if copies => "UploadPartCopy",
        ("PUT", true, true, Some("uploadId")) => "UploadPart",
        ("PUT", true, true, Some("tagging")) => "PutObjectTagging",
        ("PUT", true, true, None) if copies => "CopyObject",
        ("PUT", true, true, None) => "PutObject",
        ("DELETE", true, true, Some("uploadId")) => "AbortMultipartUpload",
        ("DELETE", true, true, None) => "DeleteObject",
        _ => "Other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: &str, uri: &str, host: &str) -> RequestInfo {
        let headers = HeaderMap::from_iter([(HOST, host.parse().unwrap())]);
        RequestInfo::parse(&method.parse().unwrap(), &uri.parse().unwrap(), &headers, Some("s3.test:80"))
    }

    #[test]
    fn operations_keys_and_parts_are_read() {
        for (method, uri, operation, key) in [
            ("GET", "/", "ListBuckets", None),
            ("GET", "/b", "ListObjects", None),
            ("GET", "/b/?max-keys=2", "ListObjects", None),
            ("GET", "/b/?list-type=2&prefix=x", "ListObjectsV2", None),
            ("PUT", "/b//a%2Fb//", "PutObject", Some(&b"/a/b//"[..])),
            ("PUT", "/b/../%01?partNumber=3&uploadId=u%2F1", "UploadPart", Some(b"../\x01")),
            ("POST", "/b/k?uploads", "CreateMultipartUpload", Some(b"k")),
            ("DELETE", "/b/k?versionId=1", "DeleteObject", Some(b"k")),
            ("DELETE", "/b/k?tagging", "Other", Some(b"k")),
            ("PUT", "/b?policy", "Other", None),
        ] {
            let info = parse(method, uri, "localhost");
            assert_eq!(info.operation, operation, "{uri}");
            assert_eq!(info.key.as_ref().map(ObjectKey::as_bytes), key, "{uri}");
            if operation == "UploadPart" {
                assert_eq!((info.part, info.upload.as_deref()), (Some(3), Some("u/1")));
            }
        }
    }

    #[test]
    fn a_bucket_can_be_in_the_host_name() {
        for (host, uri, bucket, key) in [
            ("b.s3.test:80", "/x/y", Some("b"), Some(&b"x/y"[..])),
            ("b.s3.test:80", "/", Some("b"), None),
            ("s3.test:80", "/b/x", Some("b"), Some(b"x")),
            ("xs3.test:80", "/b/x", Some("b"), Some(b"x")),
            ("127.0.0.1:80", "/", None, None),
        ] {
            let info = parse("GET", uri, host);
            assert_eq!((info.bucket.as_deref(), info.key.as_ref().map(ObjectKey::as_bytes)), (bucket, key), "{host}");
        }
    }
}
