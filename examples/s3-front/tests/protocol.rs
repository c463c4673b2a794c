//! The protocol over an in-memory storage: reads, listings, conditions, copies, versions.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::sync::Arc;

use common::{Request, Response, front};
use lepton_core::MemoryStorage;
use lepton_s3_front::{S3Front, Server};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');

async fn serve() -> Server {
    let versioned = MemoryStorage::builder().versioned(true).build();
    let front = front()
        .bucket("plain", Arc::new(MemoryStorage::new()))
        .bucket("other", Arc::new(MemoryStorage::new()))
        .bucket("versioned", Arc::new(versioned));
    front.build().unwrap().serve("127.0.0.1:0").await.unwrap()
}

fn encoded(key: &str) -> String {
    percent_encode(key.as_bytes(), ENCODED).to_string()
}

async fn ok(server: &Server, request: Request) -> Response {
    let response = request.send(server).await.unwrap();
    assert!((200..300).contains(&response.status), "{request:?}: {} {}", response.status, response.text());
    response
}

async fn put(server: &Server, target: &str, body: &str) -> String {
    let response = ok(server, Request::new("PUT", target).body(body)).await;
    response.header("etag").unwrap().to_owned()
}

async fn code(server: &Server, request: Request) -> (u16, String) {
    request.code(server).await
}

fn elements(response: &Response, name: &str) -> Vec<String> {
    let text = response.text();
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    text.split(&start).skip(1).map(|part| part.split(&end).next().unwrap().to_owned()).collect()
}

fn decoded(names: &[String]) -> Vec<String> {
    names.iter().map(|name| percent_decode_str(name).decode_utf8().unwrap().into_owned()).collect()
}

#[tokio::test]
async fn odd_keys_are_preserved_byte_for_byte() {
    let server = serve().await;
    let mut keys = vec![
        "a//b",
        "/lead",
        "lead",
        "trail/",
        "trail",
        "//",
        "/",
        "..",
        ".",
        "../x",
        "x/./y",
        "./x",
        "sp ace",
        "per%cent",
        "%2F",
        "pl+us",
        "ctl\u{1}\u{7f}",
        "tab\tnl\n",
        "ü€😀",
        "a?b#c&d=e",
        "\"quo'te<>",
        "back\\slash",
        "a:b*",
    ];
    for key in &keys {
        put(&server, &format!("/plain/{}", encoded(key)), key).await;
    }
    for key in &keys {
        let got = ok(&server, Request::new("GET", format!("/plain/{}", encoded(key)))).await;
        assert_eq!(got.text(), *key);
    }
    keys.sort_by_key(|key| key.as_bytes());
    let mut listed = Vec::new();
    let mut query = "encoding-type=url&list-type=2&max-keys=7".to_owned();
    loop {
        let page = ok(&server, Request::new("GET", format!("/plain?{query}"))).await;
        listed.extend(decoded(&elements(&page, "Key")));
        let Some(token) = page.element("NextContinuationToken") else { break };
        query = format!("continuation-token={token}&encoding-type=url&list-type=2&max-keys=7");
    }
    assert_eq!(listed, keys);
    for key in &keys {
        ok(&server, Request::new("DELETE", format!("/plain/{}", encoded(key)))).await;
    }
    assert!(elements(&ok(&server, Request::new("GET", "/plain?list-type=2")).await, "Key").is_empty());
    assert_eq!(code(&server, Request::new("PUT", "/plain/%FF").body("x")).await.0, 400);
}

#[tokio::test]
async fn listings_roll_up_and_page_in_both_versions() {
    let server = serve().await;
    for key in ["a", "b/1", "b/2", "b0", "c/1", "c/2/3", "d"] {
        put(&server, &format!("/plain/{key}"), "x").await;
    }
    for (first, next, marker) in [
        (
            "delimiter=%2F&list-type=2&max-keys=2",
            "continuation-token={}&delimiter=%2F&list-type=2&max-keys=2",
            "NextContinuationToken",
        ),
        ("delimiter=%2F&max-keys=2", "delimiter=%2F&marker={}&max-keys=2", "NextMarker"),
    ] {
        let mut pages = Vec::new();
        let mut query = first.to_owned();
        loop {
            let page = ok(&server, Request::new("GET", format!("/plain?{query}"))).await;
            let prefixes: String = elements(&page, "CommonPrefixes").concat();
            pages.push((elements(&page, "Key").join(","), prefixes));
            let Some(at) = page.element(marker) else { break };
            query = next.replace("{}", &encoded(&at).replace('/', "%2F"));
        }
        let prefix = |name: &str| format!("<Prefix>{name}</Prefix>");
        let expected =
            [("a".to_owned(), prefix("b/")), ("b0".to_owned(), prefix("c/")), ("d".to_owned(), String::new())];
        assert_eq!(pages, expected, "{first}");
    }
    let page = ok(&server, Request::new("GET", "/plain?list-type=2&prefix=b%2F&start-after=b%2F1")).await;
    assert_eq!(elements(&page, "Key"), ["b/2"]);
    let none = ok(&server, Request::new("GET", "/plain?list-type=2&max-keys=0")).await;
    assert_eq!(
        (none.element("KeyCount").as_deref(), none.element("IsTruncated").as_deref()),
        (Some("0"), Some("false"))
    );
    assert_eq!(code(&server, Request::new("GET", "/missing?list-type=2")).await, (404, "NoSuchBucket".into()));
    let bad = Request::new("GET", "/plain?continuation-token=zz&list-type=2");
    assert_eq!(code(&server, bad).await, (400, "InvalidArgument".into()));
}

#[tokio::test]
async fn ranges_are_those_of_rfc_9110() {
    let server = serve().await;
    put(&server, "/plain/k", "0123456789").await;
    let get = |range: &str| Request::new("GET", "/plain/k").header("range", range);
    for (range, body, content_range) in [
        ("bytes=2-4", "234", "bytes 2-4/10"),
        ("bytes=7-", "789", "bytes 7-9/10"),
        ("bytes=7-100", "789", "bytes 7-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=-30", "0123456789", "bytes 0-9/10"),
        ("bytes=0-0", "0", "bytes 0-0/10"),
    ] {
        let response = ok(&server, get(range)).await;
        assert_eq!((response.status, response.text().as_str()), (206, body), "{range}");
        assert_eq!(response.header("content-range"), Some(content_range));
        assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()));
    }
    for range in ["bytes=10-", "bytes=-0"] {
        let response = get(range).send(&server).await.unwrap();
        assert_eq!((response.status, response.element("Code").as_deref()), (416, Some("InvalidRange")), "{range}");
        assert_eq!(response.header("content-range"), Some("bytes */10"));
    }
    let changed = get("bytes=10-").header("if-match", "\"other\"");
    assert_eq!(code(&server, changed).await, (412, "PreconditionFailed".into()));
    let whole = ok(&server, Request::new("GET", "/plain/k")).await;
    assert_eq!((whole.status, whole.text().as_str()), (200, "0123456789"));
}

#[tokio::test]
async fn conditions_hold_for_reads_and_writes() {
    let server = serve().await;
    let etag = put(&server, "/plain/k", "one").await;
    let other = "\"0123\"";
    let read = |method, name, value: &str| Request::new(method, "/plain/k").header(name, value);
    let long_ago = "Mon, 01 Jan 2001 00:00:00 GMT";
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", "*", 200),
        ("if-match", other, 412),
        ("if-none-match", etag.as_str(), 304),
        ("if-none-match", other, 200),
        ("if-modified-since", long_ago, 200),
        ("if-unmodified-since", long_ago, 412),
    ] {
        for method in ["GET", "HEAD"] {
            let response = read(method, name, value).send(&server).await.unwrap();
            assert_eq!(response.status, status, "{method} {name}: {value}");
        }
    }
    let modified = ok(&server, Request::new("HEAD", "/plain/k")).await.header("last-modified").unwrap().to_owned();
    assert_eq!(read("GET", "if-modified-since", &modified).send(&server).await.unwrap().status, 304);
    assert_eq!(read("GET", "if-unmodified-since", &modified).send(&server).await.unwrap().status, 200);

    let failed = (412, "PreconditionFailed".to_owned());
    assert_eq!(code(&server, read("PUT", "if-none-match", "*").body("two")).await, failed);
    assert_eq!(code(&server, read("PUT", "if-match", other).body("two")).await, failed);
    let absent = Request::new("PUT", "/plain/absent").header("if-match", other).body("x");
    assert_eq!(code(&server, absent).await, (404, "NoSuchKey".into()));
    assert_eq!(code(&server, read("DELETE", "if-match", other)).await, failed);
    assert_eq!(ok(&server, Request::new("GET", "/plain/k")).await.text(), "one");
    ok(&server, read("PUT", "if-match", &etag).body("two")).await;
    assert_eq!(code(&server, read("DELETE", "if-match", &etag)).await, failed);
    let etag = ok(&server, Request::new("HEAD", "/plain/k")).await.header("etag").unwrap().to_owned();
    ok(&server, read("DELETE", "if-match", &etag)).await;
    ok(&server, read("DELETE", "if-match", &etag)).await;
    ok(&server, read("PUT", "if-none-match", "*").body("three")).await;
}

#[tokio::test]
async fn attributes_and_tags_come_back() {
    let server = serve().await;
    let attributes = [
        ("content-type", "text/plain; charset=utf-8"),
        ("content-encoding", "gzip"),
        ("content-disposition", "attachment; filename=\"x\""),
        ("content-language", "de"),
        ("cache-control", "max-age=60"),
        ("expires", "Fri, 20 Nov 2026 12:00:00 GMT"),
        ("x-amz-meta-mtime", "1234.5"),
        ("x-amz-storage-class", "STANDARD_IA"),
    ];
    let all =
        attributes.iter().fold(Request::new("PUT", "/plain/k").body("x"), |r, (name, value)| r.header(name, *value));
    ok(&server, all.header("x-amz-tagging", "a=1&b=x%20y")).await;
    for method in ["GET", "HEAD"] {
        let response = ok(&server, Request::new(method, "/plain/k").header("x-amz-checksum-mode", "ENABLED")).await;
        for (name, value) in attributes {
            assert_eq!(response.header(name), Some(value), "{method}");
        }
        assert_eq!(response.header("x-amz-tagging-count"), Some("2"));
        assert!(response.header("x-amz-checksum-crc64nvme").is_some());
    }
    let tags = ok(&server, Request::new("GET", "/plain/k?tagging=")).await;
    assert_eq!(
        (elements(&tags, "Key"), elements(&tags, "Value")),
        (vec!["a".into(), "b".into()], vec!["1".into(), "x y".into()])
    );

    for (target, headers, kept) in [
        ("/plain/copy", vec![], true),
        ("/other/copy", vec![], true),
        ("/other/new", vec![("x-amz-metadata-directive", "REPLACE"), ("content-type", "image/png")], false),
    ] {
        let copy = Request::new("PUT", target).header("x-amz-copy-source", "/plain/k");
        ok(&server, headers.into_iter().fold(copy, |r, (name, value)| r.header(name, value))).await;
        let copied = ok(&server, Request::new("GET", target)).await;
        assert_eq!(copied.text(), "x");
        assert_eq!(copied.header("x-amz-meta-mtime"), kept.then_some("1234.5"), "{target}");
        assert_eq!(copied.header("content-type"), Some(if kept { "text/plain; charset=utf-8" } else { "image/png" }));
        assert_eq!(copied.header("x-amz-tagging-count"), Some("2"), "{target}");
    }
    let encrypted = Request::new("PUT", "/plain/k").header("x-amz-server-side-encryption", "AES256");
    assert_eq!(code(&server, encrypted).await, (501, "NotImplemented".into()));
}

#[tokio::test]
async fn copies_are_conditional_on_both_sides() {
    let server = serve().await;
    let etag = put(&server, "/plain/k", "0123456789").await;
    put(&server, "/plain/there", "x").await;
    let copy = |target| Request::new("PUT", target).header("x-amz-copy-source", "/plain/k");
    let failed = (412, "PreconditionFailed".to_owned());
    assert_eq!(code(&server, copy("/plain/new").header("x-amz-copy-source-if-match", "\"no\"")).await, failed);
    assert_eq!(
        code(&server, copy("/plain/new").header("x-amz-copy-source-if-none-match", etag.as_str())).await,
        failed
    );
    for target in ["/plain/there", "/other/there"] {
        put(&server, target, "x").await;
        assert_eq!(code(&server, copy(target).header("if-none-match", "*")).await, failed);
        assert_eq!(ok(&server, Request::new("GET", target)).await.text(), "x");
    }
    ok(&server, copy("/other/new").header("if-none-match", "*").header("x-amz-copy-source-if-match", etag)).await;
    let missing = Request::new("PUT", "/plain/x").header("x-amz-copy-source", "/plain/missing");
    assert_eq!(code(&server, missing).await, (404, "NoSuchKey".into()));
}

#[tokio::test]
async fn uploads_are_listed_completed_and_forgotten() {
    let server = serve().await;
    put(&server, "/other/source", "0123456789").await;
    let begin = |key| Request::new("POST", format!("/plain/{key}?uploads="));
    let upload = ok(&server, begin("k")).await.element("UploadId").unwrap();
    ok(&server, begin("k2")).await;
    let part = |number: u32| Request::new("PUT", format!("/plain/k?partNumber={number}&uploadId={upload}"));
    let mut etags = std::collections::BTreeMap::new();
    for number in [11, 2, 1] {
        let response = ok(&server, part(number).body(format!("part {number};"))).await;
        etags.insert(number, response.header("etag").unwrap().to_owned());
    }
    let copied = part(12).header("x-amz-copy-source", "/other/source").header("x-amz-copy-source-range", "bytes=3-5");
    etags.insert(12, ok(&server, copied).await.element("ETag").unwrap().replace("&quot;", "\""));

    let first = ok(&server, Request::new("GET", format!("/plain/k?max-parts=2&uploadId={upload}"))).await;
    assert_eq!(elements(&first, "PartNumber"), ["1", "2"]);
    assert_eq!(elements(&first, "Size"), ["7", "7"]);
    let marker = first.element("NextPartNumberMarker").unwrap();
    let second = Request::new("GET", format!("/plain/k?part-number-marker={marker}&uploadId={upload}"));
    let second = ok(&server, second).await;
    assert_eq!(elements(&second, "PartNumber"), ["11", "12"]);
    assert_eq!(second.element("IsTruncated").as_deref(), Some("false"));
    for (query, keys) in
        [("prefix=k&uploads=", vec!["k", "k2"]), ("prefix=k2&uploads=", vec!["k2"]), ("prefix=z&uploads=", vec![])]
    {
        assert_eq!(elements(&ok(&server, Request::new("GET", format!("/plain?{query}"))).await, "Key"), keys);
    }

    let complete = |numbers: &[u32], upload: &str| {
        let xml = |n: &u32| format!("<Part><PartNumber>{n}</PartNumber><ETag>{}</ETag></Part>", etags[n]);
        let parts: String = numbers.iter().map(xml).collect();
        Request::new("POST", format!("/plain/k?uploadId={upload}"))
            .body(format!("<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>"))
    };
    assert_eq!(code(&server, complete(&[2, 1], &upload)).await, (400, "InvalidPartOrder".into()));
    assert_eq!(code(&server, complete(&[1], "unknown")).await, (404, "NoSuchUpload".into()));
    put(&server, "/plain/k", "there").await;
    let absent = complete(&[1], &upload).header("if-none-match", "*");
    assert_eq!(code(&server, absent).await, (412, "PreconditionFailed".into()));
    ok(&server, Request::new("DELETE", "/plain/k")).await;
    let lying = complete(&[1, 2], &upload).header("x-amz-mp-object-size", "13");
    assert_eq!(code(&server, lying).await, (400, "InvalidRequest".into()));
    let wrong = complete(&[1, 2], &upload).header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=");
    assert_eq!(code(&server, wrong).await, (400, "BadDigest".into()));
    // A checksum that is not compared is not accepted either.
    let unknown = complete(&[1, 2], &upload).header("x-amz-checksum-crc32c", "AAAAAA==");
    assert_eq!(code(&server, unknown).await, (501, "NotImplemented".into()));
    ok(&server, complete(&[1, 2, 11, 12], &upload)).await;
    assert_eq!(ok(&server, Request::new("GET", "/plain/k")).await.text(), "part 1;part 2;part 11;345");
    for gone in [
        complete(&[1], &upload),
        part(1).body("x"),
        Request::new("GET", format!("/plain/k?uploadId={upload}")),
        Request::new("DELETE", format!("/plain/k?uploadId={upload}")),
    ] {
        assert_eq!(code(&server, gone).await, (404, "NoSuchUpload".into()));
    }
    assert!(server.stats().stored_twice().next().is_none());
}

#[tokio::test]
async fn versions_are_listed_read_and_deleted() {
    let server = serve().await;
    let version = |response: &Response| response.header("x-amz-version-id").unwrap().to_owned();
    let first = version(&ok(&server, Request::new("PUT", "/versioned/k").body("one")).await);
    let second = version(&ok(&server, Request::new("PUT", "/versioned/k").body("second")).await);
    put(&server, "/versioned/l", "x").await;
    ok(&server, Request::new("DELETE", "/versioned/k")).await;
    assert_eq!(code(&server, Request::new("GET", "/versioned/k")).await, (404, "NoSuchKey".into()));
    let old = |id: &str| Request::new("GET", format!("/versioned/k?versionId={id}"));
    assert_eq!(ok(&server, old(&first)).await.text(), "one");
    let mut seen = Vec::new();
    let mut query = "max-keys=1&versions=".to_owned();
    loop {
        let page = ok(&server, Request::new("GET", format!("/versioned?{query}"))).await;
        seen.push((page.element("Key").unwrap(), elements(&page, "DeleteMarker").len(), page.element("Size")));
        let Some(key) = page.element("NextKeyMarker") else { break };
        let id = page.element("NextVersionIdMarker").unwrap();
        query = format!("key-marker={key}&max-keys=1&version-id-marker={id}&versions=");
    }
    let of = |key: &str, marker, size: Option<&str>| (key.to_owned(), marker, size.map(str::to_owned));
    assert_eq!(seen, [of("k", 1, None), of("k", 0, Some("6")), of("k", 0, Some("3")), of("l", 0, Some("1"))]);
    ok(&server, Request::new("DELETE", format!("/versioned/k?versionId={second}"))).await;
    assert_eq!(code(&server, old(&second)).await.0, 404);
    let status = ok(&server, Request::new("GET", "/versioned?versioning=")).await;
    assert_eq!(status.element("Status").as_deref(), Some("Enabled"));
    assert_eq!(ok(&server, Request::new("GET", "/plain?versioning=")).await.element("Status"), None);

    // Without versioning each object is its only version.
    put(&server, "/plain/k", "x").await;
    let page = ok(&server, Request::new("GET", "/plain?versions=")).await;
    assert_eq!((elements(&page, "VersionId"), elements(&page, "IsLatest")), (vec!["null".into()], vec!["true".into()]));
    assert_eq!(ok(&server, Request::new("GET", "/plain/k?versionId=null")).await.text(), "x");
    ok(&server, Request::new("DELETE", "/plain/k?versionId=null")).await;
    assert_eq!(code(&server, Request::new("GET", "/plain/k")).await.0, 404);
}

#[tokio::test]
async fn many_keys_are_deleted_at_once() {
    let server = serve().await;
    let etag = put(&server, "/plain/a", "1").await;
    put(&server, "/plain/b", "2").await;
    let object = |key: &str, etag: &str| format!("<Object><Key>{key}</Key>{etag}</Object>");
    let tag = |etag: &str| format!("<ETag>{etag}</ETag>");
    let objects = [object("a", &tag(&etag)), object("b", &tag("\"no\"")), object("c", "")].concat();
    let delete = Request::new("POST", "/plain?delete=").body(format!("<Delete>{objects}</Delete>"));
    let response = ok(&server, delete).await;
    assert_eq!(elements(&response, "Deleted").join(""), "<Key>a</Key><Key>c</Key>");
    assert_eq!(response.element("Code").as_deref(), Some("PreconditionFailed"));
    let left = ok(&server, Request::new("GET", "/plain?list-type=2")).await;
    assert_eq!(elements(&left, "Key"), ["b"]);
}

#[tokio::test]
async fn buckets_and_who_may_come_in() {
    let server = serve().await;
    assert_eq!(elements(&ok(&server, Request::new("GET", "/")).await, "Name"), ["other", "plain", "versioned"]);
    assert_eq!(ok(&server, Request::new("HEAD", "/plain")).await.header("x-amz-bucket-region"), Some("us-east-1"));
    assert_eq!(Request::new("HEAD", "/missing").send(&server).await.unwrap().status, 404);
    assert_eq!(code(&server, Request::new("PUT", "/plain")).await, (409, "BucketAlreadyOwnedByYou".into()));
    ok(&server, Request::new("GET", "/plain?location=")).await;

    let storage = || Arc::new(MemoryStorage::new());
    assert!(S3Front::builder().bucket("plain", storage()).build().is_err());
    assert!(front().bucket("NO", storage()).build().unwrap_err().to_string().contains("NO"));
    assert!(front().bucket("twice", storage()).bucket("twice", storage()).build().is_err());
}
