//! The examples of the Amazon S3 API reference.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Sha256, to_hex};
use sha2::Digest as _;

use super::key::{EMPTY_SHA256, SigningContext, push_canonical};
use super::request::RequestSigner;
use crate::auth::aws::credentials::Credentials;
use crate::wire::encode::Query;
use crate::wire::time::BasicDate;

fn credentials() -> Arc<Credentials> {
    Arc::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"))
}

fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
    lines.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))).collect()
}

fn context(credentials: &Arc<Credentials>) -> SigningContext<'_> {
    let date = BasicDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600));
    SigningContext { credentials, region: "us-east-1", service: "s3", date }
}

fn signature(method: &str, path: &str, query: &str, mut headers: HeaderMap, payload_hash: &str) -> String {
    let credentials = credentials();
    let signer = RequestSigner::default();
    let signature = signer.sign(&context(&credentials), method, path, query, &mut headers, payload_hash);
    let authorization = headers[AUTHORIZATION].to_str().unwrap().to_owned();
    assert!(authorization.ends_with(&format!(",Signature={}", signature.text)), "{authorization}");
    signature.text
}

const BUCKET: (&str, &str) = ("host", "examplebucket.s3.amazonaws.com");

#[test]
fn get_object() {
    let headers = headers(&[BUCKET, ("range", "bytes=0-9")]);
    let signature = signature("GET", "/test.txt", "", headers, EMPTY_SHA256);
    assert_eq!(signature, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

#[test]
fn put_object() {
    let date = ("date", "Fri, 24 May 2013 00:00:00 GMT");
    let headers = headers(&[BUCKET, date, ("x-amz-storage-class", "REDUCED_REDUNDANCY")]);
    let payload = Sha256::of(b"Welcome to Amazon S3.").to_string();
    let signature = signature("PUT", "/test%24file.text", "", headers, &payload);
    assert_eq!(signature, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

#[test]
fn bucket_lifecycle_and_list() {
    let lifecycle = signature("GET", "/", "lifecycle=", headers(&[BUCKET]), EMPTY_SHA256);
    assert_eq!(lifecycle, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
    let query = Query::new().with("prefix", "J").with("max-keys", "2").canonical();
    let list = signature("GET", "/", &query, headers(&[BUCKET]), EMPTY_SHA256);
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
fn the_key_is_derived_once_a_day_and_again_for_another_secret() {
    let signer = RequestSigner::default();
    let first = credentials();
    let key = signer.key(&context(&first));
    assert!(Arc::ptr_eq(&key, &signer.key(&context(&first))));
    let other = Arc::new(Credentials::new("AKIAIOSFODNN7EXAMPLE", "another"));
    assert!(!Arc::ptr_eq(&key, &signer.key(&context(&other))));
    let mut tomorrow = context(&first);
    tomorrow.date = BasicDate::new(UNIX_EPOCH + Duration::from_secs(1_369_353_600 + 86_400));
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
