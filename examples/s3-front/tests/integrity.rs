//! Everything that a client states about itself and about a body is checked, and a wrong
//! request leaves nothing behind.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use common::{Chunks, Payload, Request, front};
use lepton_core::{ChecksumAlgorithm, StoredChecksum};
use lepton_s3_front::{Server, SinkStorage};

async fn serve() -> Server {
    front().bucket("sink", Arc::new(SinkStorage::new("sink:"))).build().unwrap().serve("127.0.0.1:0").await.unwrap()
}

fn digest(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(StoredChecksum::of(algorithm, bytes).unwrap().value)
}

fn put() -> Request {
    Request::new("PUT", "/sink/key")
}

async fn refused(server: &Server, request: Request, status: u16, code: &str) {
    assert_eq!(request.code(server).await, (status, code.to_owned()), "{request:?}");
    let head = Request::new("HEAD", "/sink/key").send(server).await.unwrap();
    assert_eq!(head.status, 404, "something was stored by {request:?}");
}

async fn stored(server: &Server, request: Request, size: usize) {
    let response = request.send(server).await.unwrap();
    assert_eq!(response.status, 200, "{}", response.text());
    let head = Request::new("HEAD", "/sink/key").send(server).await.unwrap();
    assert_eq!(head.header("content-length"), Some(size.to_string().as_str()), "{request:?}");
    assert_eq!(Request::new("DELETE", "/sink/key").send(server).await.unwrap().status, 204);
}

#[tokio::test]
async fn signatures_and_the_clock() {
    let server = serve().await;
    stored(&server, put().body("hello"), 5).await;
    stored(&server, put().payload(Payload::Stated(b"hello".to_vec(), "UNSIGNED-PAYLOAD")), 5).await;
    refused(&server, put().keys("access", "wrong"), 403, "SignatureDoesNotMatch").await;
    refused(&server, put().keys("nobody", "secret"), 403, "InvalidAccessKeyId").await;
    refused(&server, put().age(Duration::from_secs(16 * 60)), 403, "RequestTimeTooSkewed").await;
    let other = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    refused(&server, put().payload(Payload::Stated(b"hullo".to_vec(), other)), 400, "XAmzContentSHA256Mismatch").await;
}

#[tokio::test]
async fn signed_chunks() {
    let server = serve().await;
    let body = vec![7; 3 << 20];
    let chunks = Chunks { chunks: body.chunks(1 << 20).map(<[u8]>::to_vec).collect(), ..Default::default() };
    stored(&server, put().payload(Payload::Signed(chunks.clone())), body.len()).await;
    for number in 0..3 {
        let tampered = Chunks { tampered: Some(number), ..chunks.clone() };
        refused(&server, put().payload(Payload::Signed(tampered)), 403, "SignatureDoesNotMatch").await;
    }
    let cut = Chunks { cut: true, decoded_length: Some(4 << 20), ..chunks.clone() };
    refused(&server, put().payload(Payload::Signed(cut)), 400, "IncompleteBody").await;
    for wrong in [body.len() - 1, body.len() + 1, 0] {
        let lying = Chunks { decoded_length: Some(wrong), ..chunks.clone() };
        refused(&server, put().payload(Payload::Signed(lying)), 400, "IncompleteBody").await;
    }
    stored(&server, put().payload(Payload::Signed(Chunks::default())), 0).await;
}

#[tokio::test]
async fn trailers() {
    let server = serve().await;
    let body = b"some bytes";
    for (name, algorithm) in [
        ("x-amz-checksum-crc64nvme", ChecksumAlgorithm::Crc64Nvme),
        ("x-amz-checksum-crc32c", ChecksumAlgorithm::Crc32c),
        ("x-amz-checksum-crc32", ChecksumAlgorithm::Crc32),
        ("x-amz-checksum-sha256", ChecksumAlgorithm::Sha256),
    ] {
        for form in [Payload::Unsigned, Payload::Signed] {
            let with = |value| Chunks { trailer: Some((name, value)), ..Chunks::of(&[b"some ", b"bytes"]) };
            let right = put().payload(form(with(Some(digest(algorithm, body)))));
            let response = right.send(&server).await.unwrap();
            assert_eq!(response.header(name), Some(digest(algorithm, body).as_str()), "{}", response.text());
            stored(&server, right, body.len()).await;
            let wrong = put().payload(form(with(Some(digest(algorithm, b"others")))));
            refused(&server, wrong, 400, "BadDigest").await;
            let missing = put().payload(form(with(None)));
            refused(&server, missing, 400, "MalformedTrailerError").await;
        }
    }
    let tampered = Chunks {
        trailer: Some(("x-amz-checksum-crc64nvme", Some(digest(ChecksumAlgorithm::Crc64Nvme, body)))),
        tampered: Some(0),
        ..Chunks::of(&[body])
    };
    refused(&server, put().payload(Payload::Unsigned(tampered)), 400, "BadDigest").await;
}

#[tokio::test]
async fn checksum_headers() {
    let server = serve().await;
    for (name, algorithm) in [
        ("content-md5", ChecksumAlgorithm::Md5),
        ("x-amz-checksum-crc64nvme", ChecksumAlgorithm::Crc64Nvme),
        ("x-amz-checksum-crc32c", ChecksumAlgorithm::Crc32c),
        ("x-amz-checksum-crc32", ChecksumAlgorithm::Crc32),
        ("x-amz-checksum-sha256", ChecksumAlgorithm::Sha256),
    ] {
        for body in [&b"hello"[..], b""] {
            let stated = |of: &[u8]| put().body(body).header(name, digest(algorithm, of));
            stored(&server, stated(body), body.len()).await;
            refused(&server, stated(b"other"), 400, "BadDigest").await;
        }
        refused(&server, put().body("x").header(name, "not base64!"), 400, "InvalidDigest").await;
    }
}

#[tokio::test]
async fn parts_are_checked_as_objects_are() {
    let server = serve().await;
    let created = Request::new("POST", "/sink/key?uploads=").send(&server).await.unwrap();
    let upload = created.element("UploadId").unwrap();
    let part = Request::new("PUT", format!("/sink/key?partNumber=1&uploadId={upload}"));
    let chunks = Chunks { tampered: Some(1), ..Chunks::of(&[b"one", b"two"]) };
    let tampered = part.clone().payload(Payload::Signed(chunks));
    assert_eq!(tampered.code(&server).await, (403, "SignatureDoesNotMatch".to_owned()));
    let wrong = part.clone().body("x").header("content-md5", digest(ChecksumAlgorithm::Md5, b"y"));
    assert_eq!(wrong.code(&server).await, (400, "BadDigest".to_owned()));
    let listed = Request::new("GET", format!("/sink/key?uploadId={upload}")).send(&server).await.unwrap();
    assert!(!listed.text().contains("<Part>"), "{}", listed.text());
    assert_eq!(part.body("x").send(&server).await.unwrap().status, 200);
    let stats = server.stats();
    let counts: Vec<_> = stats.parts.values().map(|part| (part.requests, part.stored)).collect();
    assert_eq!(counts, [(3, 1)]);
}
