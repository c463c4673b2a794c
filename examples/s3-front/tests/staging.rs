//! Uploads to a local disk, which needs the offset of a part that S3 requests do not state: the
//! front stores the parts until the upload is completed.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{Request, Response, front};
use lepton_core::SharedStorage;
use lepton_s3_front::Server;

async fn open(root: &Path) -> SharedStorage {
    lepton_providers::open(root.to_str().unwrap()).await.unwrap().storage().clone()
}

async fn serve(storage: SharedStorage) -> Server {
    front().bucket("disk", storage).build().unwrap().serve("127.0.0.1:0").await.unwrap()
}

async fn ok(server: &Server, request: Request) -> Response {
    let response = request.send(server).await.unwrap();
    assert!((200..300).contains(&response.status), "{request:?}: {} {}", response.status, response.text());
    response
}

async fn listed(server: &Server) -> String {
    ok(server, Request::new("GET", "/disk?list-type=2")).await.text()
}

#[tokio::test]
async fn an_upload_outlives_the_server_and_is_joined_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = serve(open(folder.path()).await).await;
    let begin = Request::new("POST", "/disk/a/big?uploads=").header("x-amz-meta-mtime", "7");
    let upload = ok(&server, begin).await.element("UploadId").unwrap();
    let part = |number: u32| Request::new("PUT", format!("/disk/a/big?partNumber={number}&uploadId={upload}"));
    let mut etags = Vec::new();
    for (number, body) in [(3, "end"), (2, "wrong"), (1, "first, "), (2, "second, ")] {
        let etag = ok(&server, part(number).body(body)).await.header("etag").unwrap().to_owned();
        etags.push((number, etag));
    }
    assert!(!listed(&server).await.contains("<Key>"));
    server.stop().await;

    let server = serve(open(folder.path()).await).await;
    let parts = ok(&server, Request::new("GET", format!("/disk/a/big?uploadId={upload}"))).await.text();
    assert_eq!(parts.matches("<Part>").count(), 3, "{parts}");
    let uploads = ok(&server, Request::new("GET", "/disk?prefix=a%2Fbig&uploads=")).await;
    assert_eq!(uploads.element("UploadId").as_deref(), Some(upload.as_str()));
    let other = Request::new("GET", format!("/disk/other?uploadId={upload}"));
    assert_eq!(other.code(&server).await, (404, "NoSuchUpload".to_owned()));

    etags.remove(1);
    etags.sort();
    let xml =
        |(number, etag): &(u32, String)| format!("<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>");
    let xml: String = etags.iter().map(xml).collect();
    let complete = Request::new("POST", format!("/disk/a/big?uploadId={upload}"))
        .body(format!("<CompleteMultipartUpload>{xml}</CompleteMultipartUpload>"));
    ok(&server, complete.clone()).await;
    assert_eq!(std::fs::read_to_string(folder.path().join("a/big")).unwrap(), "first, second, end");
    let head = ok(&server, Request::new("HEAD", "/disk/a/big")).await;
    assert!(head.header("x-amz-meta-mtime").is_some_and(|mtime| mtime.starts_with("7.")), "{head:?}");
    assert_eq!(complete.code(&server).await, (404, "NoSuchUpload".to_owned()));
    assert!(ok(&server, Request::new("GET", "/disk?uploads=")).await.element("UploadId").is_none());
}

#[tokio::test]
async fn parts_are_hidden_and_an_abort_removes_them() {
    let folder = tempfile::tempdir().unwrap();
    let storage = open(folder.path()).await;
    let server = serve(Arc::clone(&storage)).await;
    ok(&server, Request::new("PUT", "/disk/source").body("0123456789")).await;
    let upload = ok(&server, Request::new("POST", "/disk/k?uploads=")).await.element("UploadId").unwrap();
    let part = Request::new("PUT", format!("/disk/k?partNumber=1&uploadId={upload}"));
    let copy = part.header("x-amz-copy-source", "/disk/source").header("x-amz-copy-source-range", "bytes=2-4");
    ok(&server, copy).await;
    let hidden = format!(".lepton-s3-front/{upload}/00001");
    let key = lepton_core::ObjectKey::try_from(hidden.as_str()).unwrap();
    let head = || storage.head(&key, lepton_core::HeadOptions::new());
    assert_eq!(head().await.unwrap().meta.size, 3);
    assert_eq!(Request::new("GET", format!("/disk/{hidden}")).code(&server).await.1, "InvalidArgument");
    for query in ["list-type=2", "delimiter=%2F&list-type=2"] {
        let text = ok(&server, Request::new("GET", format!("/disk?{query}"))).await.text();
        assert!(text.contains("<Key>source</Key>") && !text.contains("lepton-s3-front"), "{text}");
    }
    let strange = Request::new("DELETE", "/disk/k?uploadId=..");
    assert_eq!(strange.code(&server).await, (404, "NoSuchUpload".to_owned()));
    ok(&server, Request::new("DELETE", format!("/disk/k?uploadId={upload}"))).await;
    assert_eq!(head().await.unwrap_err().kind(), lepton_core::ErrorKind::NotFound);
}
