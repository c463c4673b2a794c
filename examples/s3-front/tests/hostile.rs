//! Requests that no well-meaning client sends: they are refused with the right code, and the
//! server continues.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::sync::Arc;

use common::{Chunks, Payload, Request, Response, front};
use lepton_core::MemoryStorage;
use lepton_s3_front::Server;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

async fn serve() -> Server {
    let front = front().bucket("plain", Arc::new(MemoryStorage::new())).allow_anonymous().build().unwrap();
    front.serve("127.0.0.1:0").await.unwrap()
}

/// Sends these bytes and nothing more.
async fn send(server: &Server, bytes: &[u8]) -> std::io::Result<Response> {
    let mut stream = TcpStream::connect(server.address()).await?;
    stream.write_all(bytes).await?;
    stream.shutdown().await?;
    common::read(&mut stream).await
}

/// The length of the head of a request.
fn head(request: &[u8]) -> usize {
    request.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4
}

async fn refused(server: &Server, request: Request, status: u16, code: &str) {
    assert_eq!(request.code(server).await, (status, code.to_owned()), "{request:?}");
}

#[tokio::test]
async fn documents_that_are_none_are_malformed() {
    let server = serve().await;
    let upload = Request::new("POST", "/plain/k?uploads=").send(&server).await.unwrap().element("UploadId").unwrap();
    let complete = format!("/plain/k?uploadId={upload}");
    let deep = "<Delete>".repeat(1000);
    let many = format!("<Delete>{}</Delete>", "<Object><Key>k</Key></Object>".repeat(1001));
    for (target, body) in [
        ("/plain?delete=", ""),
        ("/plain?delete=", "<Delete>"),
        ("/plain?delete=", "<Delete/>"),
        ("/plain?delete=", "<Other/>"),
        ("/plain?delete=", "<Delete><Object/></Delete>"),
        ("/plain?delete=", "<!DOCTYPE d [<!ENTITY x 'x'>]><Delete><Object><Key>&x;</Key></Object></Delete>"),
        ("/plain?delete=", &deep),
        ("/plain?delete=", &many),
        (&complete, "<CompleteMultipartUpload/>"),
        (&complete, "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>"),
        (&complete, "<CompleteMultipartUpload><Part><PartNumber>x</PartNumber></Part></CompleteMultipartUpload>"),
    ] {
        refused(&server, Request::new("POST", target).body(body), 400, "MalformedXML").await;
    }
    // The length alone is refused, before any of it is sent.
    let huge = Request::new("POST", "/plain?delete=").body(vec![b' '; (4 << 20) + 1]).bytes(&server);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    stream.write_all(&huge[..head(&huge)]).await.unwrap();
    let response = common::read(&mut stream).await.unwrap();
    assert_eq!(response.element("Code").as_deref(), Some("MaxMessageLengthExceeded"));
    let missing = "<CompleteMultipartUpload><Part><PartNumber>7</PartNumber></Part></CompleteMultipartUpload>";
    refused(&server, Request::new("POST", &complete).body(missing), 400, "InvalidPart").await;
}

#[tokio::test]
async fn names_and_numbers_that_s3_does_not_have_are_refused() {
    let server = serve().await;
    let long = format!("/plain/{}", "k".repeat(1025));
    for (method, target, status, code) in [
        ("PUT", long.as_str(), 400, "KeyTooLongError"),
        ("GET", "/NO/k", 400, "InvalidBucketName"),
        ("GET", "/plain?prefix=%FF", 400, "InvalidURI"),
        ("GET", "/plain?max-keys=-1", 400, "InvalidArgument"),
        ("GET", "/plain?encoding-type=base64", 400, "InvalidArgument"),
        ("GET", "/plain?continuation-token=x&list-type=2", 400, "InvalidArgument"),
        ("PUT", "/plain/k?partNumber=0&uploadId=x", 400, "InvalidArgument"),
        ("PUT", "/plain/k?partNumber=10001&uploadId=x", 400, "InvalidArgument"),
        ("PUT", "/plain/k?partNumber=x&uploadId=x", 400, "InvalidArgument"),
        ("DELETE", "/plain/k?tagging=", 501, "NotImplemented"),
        ("GET", "/plain/k?acl=", 501, "NotImplemented"),
        ("PUT", "/plain?policy=", 501, "NotImplemented"),
        ("PATCH", "/plain/k", 405, "MethodNotAllowed"),
    ] {
        refused(&server, Request::new(method, target), status, code).await;
    }
    refused(&server, Request::new("GET", "/plain/k").header("range", "bytes=1-2,4-5"), 400, "InvalidArgument").await;
    let source = |source| Request::new("PUT", "/plain/k").header("x-amz-copy-source", source);
    refused(&server, source("plain"), 400, "InvalidArgument").await;
    refused(&server, source("/plain/k?versionId=%FF"), 400, "InvalidArgument").await;
}

#[tokio::test]
async fn errors_name_the_request_and_have_no_body_where_none_may_be() {
    let server = serve().await;
    let get = Request::new("GET", "/plain/a%26b").send(&server).await.unwrap();
    assert_eq!((get.status, get.element("Code").as_deref()), (404, Some("NoSuchKey")));
    assert_eq!(get.element("Resource").as_deref(), Some("/plain/a%26b"));
    assert_eq!(get.element("RequestId").as_deref(), get.header("x-amz-request-id"));
    assert_eq!(get.header("content-type"), Some("application/xml"));
    let head = Request::new("HEAD", "/plain/k").send(&server).await.unwrap();
    assert_eq!((head.status, head.text().as_str()), (404, ""));
    let put = Request::new("PUT", "/plain/k").body("x").send(&server).await.unwrap();
    let etag = put.header("etag").unwrap();
    let known = Request::new("GET", "/plain/k").header("if-none-match", etag).send(&server).await.unwrap();
    assert_eq!((known.status, known.text().as_str(), known.header("etag")), (304, "", Some(etag)));
}

#[tokio::test]
async fn a_body_that_is_cut_or_oversized_is_not_stored() {
    let server = serve().await;
    let chunks = Payload::Signed(Chunks::of(&[&[1; 100_000], &[2; 100_000]]));
    let bytes = Request::new("PUT", "/plain/k").payload(chunks).bytes(&server);
    let head = head(&bytes);
    for len in [head, head + 50, head + 1000, head + 100_200, bytes.len() - 100, bytes.len() - 1] {
        // The connection ends in the middle of the body, so there may be no answer.
        if let Ok(response) = send(&server, &bytes[..len]).await {
            assert_eq!(response.status, 400, "{len}: {}", response.text());
        }
    }
    let line = format!("{}\r\nx\r\n0\r\n\r\n", "0".repeat(1 << 20));
    let head = "PUT /plain/k HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\
                x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-decoded-content-length: 1\r\n";
    let request = format!("{head}content-length: {}\r\n\r\n{line}", line.len());
    let response = send(&server, request.as_bytes()).await;
    assert!(response.is_err() || response.is_ok_and(|response| response.status == 400));
    let request = format!("GET / HTTP/1.1\r\nhost: h\r\nx-amz-meta-a: {}\r\n\r\n", "a".repeat(1 << 20));
    let response = send(&server, request.as_bytes()).await;
    assert!(response.is_err() || response.is_ok_and(|response| response.status == 431));
    assert_eq!(Request::new("HEAD", "/plain/k").send(&server).await.unwrap().status, 404);
}

#[tokio::test]
async fn chunks_without_a_signature_are_checked_for_anonymous_clients_too() {
    let server = serve().await;
    let put = |body: &str| {
        format!(
            "PUT /plain/k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-amz-trailer: x-amz-checksum-crc32\r\n\
             x-amz-content-sha256: STREAMING-UNSIGNED-PAYLOAD-TRAILER\r\nx-amz-decoded-content-length: 5\r\n\
             content-encoding: aws-chunked\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let wrong = put("5\r\nhullo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n");
    assert_eq!(send(&server, wrong.as_bytes()).await.unwrap().element("Code").as_deref(), Some("BadDigest"));
    let right = put("5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n");
    assert_eq!(send(&server, right.as_bytes()).await.unwrap().status, 200);
    let got = Request::new("GET", "/plain/k").send(&server).await.unwrap();
    assert_eq!((got.text().as_str(), got.header("content-encoding")), ("hello", None));
}

#[tokio::test]
async fn no_value_of_a_repeated_header_is_dropped() {
    let server = serve().await;
    let put = "PUT /plain/k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nx-amz-meta-a: 1\r\nx-amz-meta-a: 2\r\n\
               content-length: 0\r\n\r\n";
    assert_eq!(send(&server, put.as_bytes()).await.unwrap().status, 200);
    let head = Request::new("HEAD", "/plain/k").send(&server).await.unwrap();
    assert_eq!(head.header("x-amz-meta-a"), Some("1,2"));
}
