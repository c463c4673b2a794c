//! The examples of the Amazon S3 API reference.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Sha256, to_hex};
use sha2::Digest as _;

use super::key::push_canonical;
use super::*;
use crate::s3::credentials::Credentials;
use crate::s3::time::AmzDate;
use crate::wire::encode::Query;

fn credentials() -> Arc<Credentials> {
    Arc::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn context(credentials: &Arc<Credentials>) -> SigningContext<'_> {
    let date = AmzDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600));
    SigningContext { credentials, region: "us-east-1", service: "s3", date }
}

fn signature(
    method: &str,
    path: &str,
    query: &str,
    mut headers: HeaderMap,
    payload_hash: &str,
) -> (String, ChunkSigner) {
    let credentials = credentials();
    let signer = RequestSigner::default();
    let chunks = signer.sign(&context(&credentials), method, path, query, &mut headers, payload_hash);
    let authorization = headers[AUTHORIZATION].to_str().unwrap().to_owned();
    let (_, signature) = authorization.split_once("Signature=").unwrap();
    (signature.to_owned(), chunks)
}

const BUCKET: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

#[test]
fn get_object() {
    let headers = headers(&[BUCKET, ("range", "bytes=0-9")]);
    let (signature, _) = signature("GET", "/test.txt", "", headers, EMPTY_SHA256);
    assert_eq!(signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

#[test]
fn put_object() {
    let date = ("date", "Fri, 24 May 2013 00:00:00 GMT");
    let headers = headers(&[BUCKET, date, ("x-amz-storage-class", "REDUCED_REDUNDANCY")]);
    let payload = Sha256::of(b"Welcome to Amazon S3.").to_string();
    let (signature, _) = signature("PUT", "/test%24file.text", "", headers, &payload);
    assert_eq!(signature, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

#[test]
fn bucket_lifecycle_and_list() {
    let (lifecycle, _) = signature("GET", "/", "lifecycle=", headers(&[BUCKET]), EMPTY_SHA256);
    assert_eq!(lifecycle, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    let query = Query::new().with("prefix", "J").with("max-keys", "2").canonical();
    let (list, _) = signature("GET", "/", &query, headers(&[BUCKET]), EMPTY_SHA256);
    assert_eq!(list, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

#[test]
fn presigned_url() {
    let credentials = credentials();
    let host = HeaderValue::from_static("examplebucket.s3.amazonaws.com");
    let query =
        RequestSigner::default().presign(&context(&credentials), "GET", "/test.txt", &host, 86_400, Query::new());
    let expected = "X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404";
    assert!(query.ends_with(expected), "{query}");
}

#[test]
fn chunked_upload() {
    let headers = headers(&[
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("content-length", "66824"),
    ]);
    let hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD";
    let (seed, mut chunks) = signature("PUT", "/examplebucket/chunkObject.txt", "", headers, hash);
    assert_eq!(seed, "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9");
    for (bytes, expected) in [
        (65_536, "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648"),
        (1_024, "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497"),
        (0, "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9"),
    ] {
        assert_eq!(chunks.sign(Sha256::of(&vec![b'a'; bytes])), expected);
    }
}

#[test]
fn chunked_upload_with_a_trailer() {
    let headers = headers(&[
        ("host", "s3.amazonaws.com"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
        ("content-encoding", "aws-chunked"),
        ("x-amz-decoded-content-length", "66560"),
        ("x-amz-trailer", "x-amz-checksum-crc32c"),
    ]);
    let hash = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER";
    let (seed, mut chunks) = signature("PUT", "/examplebucket/chunkObject.txt", "", headers, hash);
    assert_eq!(seed, "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e");
    for (bytes, expected) in [
        (65_536, "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2"),
        (1_024, "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7"),
        (0, "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992"),
    ] {
        assert_eq!(chunks.sign(Sha256::of(&vec![b'a'; bytes])), expected);
    }
    let trailer = chunks.sign_trailer("x-amz-checksum-crc32c:sOO8/Q==");
    assert_eq!(trailer, "d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435");
}

#[test]
fn the_key_is_derived_once_a_day_and_again_for_another_secret() {
    let signer = RequestSigner::default();
    let first = credentials();
    let key = signer.key(&context(&first));
    assert!(Arc::ptr_eq(&key, &signer.key(&context(&first))));
    let other = Arc::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", "another"));
    assert!(!Arc::ptr_eq(&key, &signer.key(&context(&other))));
    let mut tomorrow = context(&first);
    tomorrow.date = AmzDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600 + 86_400));
    let next = signer.key(&tomorrow);
    assert!(!Arc::ptr_eq(&key, &next));
    assert_eq!(next.scope, "20130525/us-east-1/s3/aws4_request");
}

#[test]
fn spaces_in_values_are_canonical() {
    let mut text = Vec::new();
    push_canonical(&mut text, b"  a   b c ");
    assert_eq!(text, b"a b c");
    assert_eq!(to_hex(&sha2::Sha256::digest(b"")), EMPTY_SHA256);
}
