//! What errors say: their kind, whether to try again, and what was done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lepton_core::{
    Attributes, Body, BodySource, CompleteOptions, ETag, Effect, Error, ErrorKind, GetOptions, HeadOptions, Leaf,
    LeafStream, ListRequest, Multipart as _, PartReceipt, Precondition, PutOptions, Result, RetryClass,
    RuntimeExt as _, Storage as _, StorageExt as _, SystemRuntime, Upload, UploadId, Versions as _,
};
use lepton_providers::s3::{Credentials, CredentialsProvider, S3Config, S3Storage};

use super::objects::{data, key};
use super::script::{Act, Script, answer};

const MIB: usize = 1 << 20;

fn refusal(code: &str) -> String {
    format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>because</Message></Error>")
}

async fn store(acts: Vec<Act>) -> (Script, S3Storage) {
    let script = Script::start(acts).await;
    let store = S3Storage::new(script.config().idle_timeout(Duration::from_millis(300))).unwrap();
    (script, store)
}

fn meaning(error: &Error) -> (ErrorKind, RetryClass, Effect) {
    (error.kind(), error.retry(), error.effect())
}

#[tokio::test]
async fn a_body_that_ends_early_or_stalls_is_an_error() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345";
    for (act, kind) in
        [(Act::AnswerEarly(head.into()), ErrorKind::Network), (Act::Stall(head.into()), ErrorKind::Timeout)]
    {
        let (_script, store) = store(vec![act]).await;
        let reply = store.get(&key("k"), GetOptions::new()).await.unwrap();
        let pieces: Vec<Result<Bytes>> = reply.body.collect().await;
        let given: usize = pieces.iter().flatten().map(Bytes::len).sum();
        assert!(given <= 5);
        let error = pieces.into_iter().next_back().unwrap().unwrap_err();
        assert_eq!(meaning(&error), (kind, RetryClass::Now, Effect::None), "{error:?}");
        assert_eq!((error.operation(), error.context("key")), (Some("get"), Some("k")));
    }
}

#[tokio::test]
async fn a_refusal_that_breaks_off_is_told_by_its_status_only_if_that_says_enough() {
    for (status, meant) in [
        ("404 Not Found", (ErrorKind::Network, RetryClass::Now)),
        ("403 Forbidden", (ErrorKind::Network, RetryClass::Now)),
        ("400 Bad Request", (ErrorKind::Network, RetryClass::Now)),
        ("412 Precondition Failed", (ErrorKind::PreconditionFailed, RetryClass::Never)),
        ("429 Too Many Requests", (ErrorKind::Throttled, RetryClass::After(Duration::from_secs(1)))),
    ] {
        let cut = answer(status, &[], &refusal("NoSuchUpload")).split_at_checked(80).unwrap().0.to_owned();
        let (_script, store) = store(vec![Act::AnswerEarly(cut)]).await;
        let upload = Upload::new(key("k"), UploadId::new("u"));
        let error = store.list_parts(&upload).try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(meaning(&error), (meant.0, meant.1, Effect::None), "{status}: {error:?}");
        let error = store.write(&key("k"), data(3)).await.unwrap_err();
        assert_eq!(meaning(&error), (meant.0, meant.1, Effect::None), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_lost_answer_leaves_the_outcome_of_a_write_unknown() {
    for (act, kind) in [(Act::Close, ErrorKind::Network), (Act::Stall(String::new()), ErrorKind::Timeout)] {
        let (_script, store) = store(vec![act]).await;
        for len in [0, 3, 3 * MIB] {
            let error = store.write(&key("k"), data(len)).await.unwrap_err();
            assert_eq!(meaning(&error), (kind, RetryClass::Now, Effect::Unknown), "{error:?}");
        }
        let error = store.get(&key("k"), GetOptions::new()).await.unwrap_err();
        assert_eq!(meaning(&error), (kind, RetryClass::Now, Effect::None), "{error:?}");
    }
}

/// A server that sends a byte now and then is never idle.
#[tokio::test]
async fn a_list_that_drips_ends() {
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n".to_owned();
    let script = Script::start(vec![Act::Drip(head)]).await;
    let store = S3Storage::new(script.config().idle_timeout(Duration::from_millis(100))).unwrap();
    let error = store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Timeout, RetryClass::Now, Effect::None), "{error:?}");
    assert!(error.message().contains("too slowly"), "{error}");
}

#[tokio::test]
async fn what_never_left_has_no_effect() {
    let (script, _) = store(vec![Act::Close]).await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    // A label of more than 63 letters never reaches a name server.
    let no_name = format!("http://{}.invalid", "x".repeat(70));
    for (endpoint, kind, retry) in
        [(nobody, ErrorKind::Network, RetryClass::Now), (no_name, ErrorKind::HostNotFound, RetryClass::Never)]
    {
        let store = S3Storage::new(script.config().endpoint(endpoint)).unwrap();
        let error = store.write(&key("k"), data(3)).await.unwrap_err();
        assert_eq!(meaning(&error), (kind, retry, Effect::None), "{error:?}");
    }
}

#[tokio::test]
async fn a_refusal_that_comes_early_is_heard() {
    let refused = answer("403 Forbidden", &["Connection: close"], &refusal("AccessDenied"));
    let (_script, store) = store(vec![Act::AnswerEarly(refused)]).await;
    for _ in 0..5 {
        let error = store.write(&key("k"), data(8 * MIB)).await.unwrap_err();
        assert_eq!(meaning(&error), (ErrorKind::PermissionDenied, RetryClass::Never, Effect::None), "{error:?}");
        assert_eq!((error.status(), error.code()), (Some(403), Some("AccessDenied")));
    }
}

/// A body whose source fails, or pauses, in the middle.
struct Source {
    fails: bool,
}

impl BodySource for Source {
    fn open(&self) -> LeafStream {
        let leaf = || Leaf { pieces: vec![data(MIB)], sha256: None };
        let first = stream::iter([Ok(leaf())]);
        let fails = self.fails;
        let second = stream::once(async move {
            if fails {
                let error = Error::new(ErrorKind::SourceChanged, "it changed").with_operation("read");
                return Err(error.with_effect(Effect::Partial));
            }
            SystemRuntime::shared().sleep(Duration::from_millis(700)).await;
            Ok(leaf())
        });
        first.chain(second).boxed()
    }
}

#[tokio::test]
async fn the_error_of_a_body_is_the_error_of_the_put() {
    let (_script, store) = store(vec![Act::Answer(answer("200 OK", &[], ""))]).await;
    let body = Body::from_source(2 * MIB as u64, Arc::new(Source { fails: true }));
    let error = store.put(&key("k"), body, PutOptions::new()).await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::SourceChanged, RetryClass::Never, Effect::None));
    assert_eq!((error.message(), error.operation()), ("it changed", Some("read")));
}

#[tokio::test]
async fn a_body_whose_source_pauses_is_not_idle() {
    let (script, store) = store(vec![Act::Answer(answer("200 OK", &["ETag: \"e\""], ""))]).await;
    let body = Body::from_source(2 * MIB as u64, Arc::new(Source { fails: false }));
    store.put(&key("k"), body, PutOptions::new()).await.unwrap();
    assert!(script.seen()[0].body > 2 * MIB);
}

#[tokio::test]
async fn throttling_says_how_long_and_leaves_writes_unknown() {
    let slow = answer("503 Slow Down", &["Retry-After: 7", "x-amz-request-id: R7"], &refusal("SlowDown"));
    let (_script, store) = store(vec![Act::Answer(slow)]).await;
    let after = RetryClass::After(Duration::from_secs(7));
    let error = store.write(&key("k"), data(3)).await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Throttled, after, Effect::Unknown));
    assert_eq!((error.status(), error.request_id()), (Some(503), Some("R7")));
    let error = store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Throttled, after, Effect::None));
}

#[tokio::test]
async fn another_region_is_believed_and_the_body_sent_again() {
    let malformed =
        refusal("AuthorizationHeaderMalformed").replace("</Message>", "</Message><Region>eu-west-9</Region>");
    for first in [
        answer("301 Moved Permanently", &["x-amz-bucket-region: eu-west-9"], &refusal("PermanentRedirect")),
        answer("307 Temporary Redirect", &["x-amz-bucket-region: eu-west-9", "Location: http://127.0.0.1:1/"], ""),
        answer("400 Bad Request", &[], &malformed),
    ] {
        let (script, store) = store(vec![Act::Answer(first), Act::Answer(answer("200 OK", &[], ""))]).await;
        store.write(&key("k"), data(3 * MIB)).await.unwrap();
        store.write(&key("k"), data(3)).await.unwrap();
        let seen = script.seen();
        assert_eq!(seen.len(), 3);
        assert!(seen[0].head.contains("/us-east-1/s3/aws4_request"));
        assert!(seen[1].head.contains("/eu-west-9/s3/aws4_request") && seen[2].head.contains("/eu-west-9/s3/"));
        assert_eq!(seen[0].body, seen[1].body);
    }
}

#[tokio::test]
async fn redirects_are_not_followed() {
    for headers in [&["Location: http://127.0.0.1:1/stolen"][..], &["x-amz-bucket-region: a.evil.example/"][..]] {
        let (script, store) = store(vec![Act::Answer(answer("307 Temporary Redirect", headers, ""))]).await;
        let error = store.get(&key("k"), GetOptions::new()).await.unwrap_err();
        assert_eq!(meaning(&error), (ErrorKind::InvalidInput, RetryClass::Never, Effect::None), "{error:?}");
        assert_eq!(script.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_error_in_a_success_is_no_success() {
    let (_script, store) =
        store(vec![Act::Answer(answer("200 OK", &[], &format!("  {}", refusal("InternalError"))))]).await;
    let upload = Upload::new(key("k"), UploadId::new("u"));
    let part = PartReceipt::new(1, 3, ETag::new("\"e\""));
    let error = store.complete(&upload, vec![part], CompleteOptions::new()).await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Unavailable, RetryClass::Now, Effect::Unknown), "{error:?}");
    assert_eq!(error.operation(), Some("complete"));
}

#[tokio::test]
async fn a_range_that_the_server_ignores_is_an_error() {
    let (_script, store) = store(vec![Act::Answer(answer("200 OK", &[], "0123456789"))]).await;
    let error = store.get(&key("k"), GetOptions::new().range(2..4)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "{error:?}");
    let reply = store.get(&key("k"), GetOptions::new().range(0..20)).await.unwrap();
    assert_eq!(reply.range, 0..10);
}

#[tokio::test]
async fn a_head_without_words_is_explained_once() {
    let wrong = answer("403 Forbidden", &[], &refusal("RequestTimeTooSkewed"));
    let head = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned();
    let (script, store) = store(vec![Act::Answer(head), Act::Answer(wrong)]).await;
    let error = store.head(&key("k"), HeadOptions::new()).await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::ClockSkew, RetryClass::Never, Effect::None), "{error:?}");
    let seen = script.seen();
    assert!(seen[0].head.starts_with("HEAD ") && seen[1].head.starts_with("GET ") && seen.len() == 2);
}

#[tokio::test]
async fn a_head_in_the_wrong_region_finds_the_right_one() {
    let malformed =
        refusal("AuthorizationHeaderMalformed").replace("</Message>", "</Message><Region>eu-west-9</Region>");
    let head = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_owned();
    let found = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n".to_owned();
    let (script, store) = store(vec![
        Act::Answer(head),
        Act::Answer(answer("400 Bad Request", &[], &malformed)),
        Act::Answer(answer("206 Partial Content", &["Content-Range: bytes 0-0/7"], "x")),
        Act::Answer(found),
    ])
    .await;
    let info = store.head(&key("k"), HeadOptions::new()).await.unwrap();
    assert_eq!(info.meta.size, 7);
    assert!(script.seen()[3].head.starts_with("HEAD ") && script.seen()[3].head.contains("/eu-west-9/s3/"));
}

#[tokio::test]
async fn what_the_capabilities_deny_is_refused_by_name() {
    let script = Script::start(vec![Act::Close]).await;
    let denied = serde_json::json!({"conditional_get": "unsupported", "range_get": "unsupported",
        "put_if_absent": "unknown", "attributes": ["content-type"], "storage_class": "unsupported"});
    let store = S3Storage::new(script.config().capabilities(denied)).unwrap();
    let mut attributes = Attributes::default();
    attributes.expires = Some("x".into());
    let name = key("k");
    let put = |options| store.put(&name, Body::from(data(1)), options);
    for (error, says) in [
        (store.get(&key("k"), GetOptions::new().range(0..1)).await.unwrap_err(), "ranges"),
        (store.get(&key("k"), GetOptions::new().if_match(Some(ETag::new("e")))).await.unwrap_err(), "conditional"),
        (put(PutOptions::new().precondition(Precondition::IfAbsent)).await.unwrap_err(), "not known"),
        (put(PutOptions::new().attributes(attributes)).await.unwrap_err(), "Expires"),
        (put(PutOptions::new().storage_class(Some("X".into()))).await.unwrap_err(), "storage classes"),
    ] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains(says) && error.to_string().contains("aws"), "{error}");
    }
    assert!(script.seen().is_empty());
}

#[derive(Debug, Default)]
struct Rotating(AtomicU32);

#[async_trait]
impl CredentialsProvider for Rotating {
    async fn credentials(&self) -> Result<Credentials> {
        Ok(Credentials::new(format!("key{}", self.0.fetch_add(1, Ordering::Relaxed)), "secret"))
    }
}

#[tokio::test]
async fn expired_credentials_are_replaced_for_the_next_try() {
    let expired = answer("400 Bad Request", &[], &refusal("ExpiredToken"));
    let script = Script::start(vec![Act::Answer(expired), Act::Answer(answer("200 OK", &[], ""))]).await;
    let builder = S3Storage::builder(script.config()).credentials(Arc::new(Rotating::default()));
    let store = builder.build().unwrap();
    let error = store.write(&key("k"), data(3)).await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Unauthenticated, RetryClass::RefreshCredentials, Effect::None));
    store.write(&key("k"), data(3)).await.unwrap();
    let seen = script.seen();
    assert!(seen[0].head.contains("Credential=key0/") && seen[1].head.contains("Credential=key1/"));
}

#[tokio::test]
async fn a_proxy_gets_plain_requests_whole() {
    let proxy = Script::start(vec![Act::Answer(answer("200 OK", &[], ""))]).await;
    let address = proxy.endpoint.strip_prefix("http://").unwrap();
    let config = proxy.config().endpoint("http://store.example:9").proxy(format!("http://user:pass@{address}"));
    let store = S3Storage::new(config).unwrap();
    store.write(&key("a/../b"), data(3)).await.unwrap();
    let head = &proxy.seen()[0].head;
    assert!(head.starts_with("PUT http://store.example:9/bucket/a/../b HTTP/1.1"), "{head}");
    assert!(
        head.contains("Basic dXNlcjpwYXNz") && head.to_ascii_lowercase().contains("host: store.example:9"),
        "{head}"
    );
}

/// A proxy that nothing listens at is named, without its password.
#[tokio::test]
async fn errors_name_the_proxy() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let endpoint = format!("{scheme}://store.example:9");
        let config = S3Config::new("b").endpoint(endpoint).proxy(format!("http://user:s3cr3t@{address}"));
        let config = config.access_key_id("a").secret_access_key("b").region("us-east-1");
        let error = S3Storage::new(config).unwrap().write(&key("a"), data(3)).await.unwrap_err();
        assert_eq!(error.context("proxy"), Some(address.to_string().as_str()), "{error}");
        assert!(!error.full_message().contains("s3cr3t"), "{error}");
    }
}

#[tokio::test]
async fn plain_requests_at_a_port_for_tls_are_explained() {
    let pages = [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
    ];
    for page in pages {
        let (_script, store) = store(vec![Act::Answer(answer("400 Bad Request", &[], page))]).await;
        let error = store.write(&key("a"), data(3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{error}");
        assert!(error.message().contains("https://"), "{error}");
    }
}

#[tokio::test]
async fn many_requests_at_once_share_a_store() {
    let (script, store) = store(vec![Act::Answer(answer("200 OK", &[], ""))]).await;
    let (store, env) = (Arc::new(store), SystemRuntime::shared());
    let tasks: Vec<_> = (0..40)
        .map(|i| {
            let store = Arc::clone(&store);
            env.spawn_task(async move { store.write(&key(&format!("k{i}")), data(10)).await.map(drop) })
        })
        .collect();
    for task in tasks {
        task.join().await.unwrap().unwrap();
    }
    assert_eq!(script.seen().len(), 40);
}

#[tokio::test]
async fn a_listing_that_goes_on_where_it_began_is_an_error() {
    let page = "<ListVersionsResult><IsTruncated>true</IsTruncated><NextKeyMarker>k</NextKeyMarker>\
                <NextVersionIdMarker>v</NextVersionIdMarker></ListVersionsResult>";
    let (script, versions) = store(vec![Act::Answer(answer("200 OK", &[], page))]).await;
    let error = versions.list_versions(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Unexpected, RetryClass::Never, Effect::None), "{error:?}");
    assert_eq!(script.seen().len(), 2);
    let page = "<ListBucketResult><IsTruncated>true</IsTruncated>\
                <NextContinuationToken>t</NextContinuationToken></ListBucketResult>";
    let (script, store) = store(vec![Act::Answer(answer("200 OK", &[], page))]).await;
    let error = store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Unexpected, RetryClass::Never, Effect::None), "{error:?}");
    assert_eq!(script.seen().len(), 2);
}

/// New tokens for ever, and never an entry.
#[tokio::test]
async fn a_listing_that_never_comes_to_an_entry_ends() {
    let page = |token: &str| {
        let page = format!(
            "<ListBucketResult><IsTruncated>true</IsTruncated>\
             <NextContinuationToken>{token}</NextContinuationToken></ListBucketResult>"
        );
        Act::Answer(answer("200 OK", &[], &page))
    };
    let acts = (0..10_100).map(|number| page(&number.to_string())).collect();
    let (script, store) = store(acts).await;
    let error = store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Unexpected, RetryClass::Never, Effect::None), "{error:?}");
    assert!(error.message().contains("10000 pages without an entry"), "{error}");
    assert_eq!(script.seen().len(), 10_001);
}

/// The store unpacks an object that is stored packed, for a client that does not accept that.
#[tokio::test]
async fn an_object_that_is_stored_packed_is_read_as_it_is_stored() {
    let unpacked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"e\"\r\n\r\n8\r\nunpacked\r\n0\r\n\r\n";
    let stored = answer("200 OK", &["ETag: \"e\"", "Content-Encoding: gzip"], "packed");
    let (script, store) = store(vec![Act::Answer(unpacked.to_owned()), Act::Answer(stored)]).await;
    let reply = store.get(&key("a"), GetOptions::new()).await.unwrap();
    assert_eq!((reply.meta.size, reply.attributes.content_encoding.as_deref()), (6, Some("gzip")));
    let bytes: Vec<u8> = reply.body.map_ok(|piece| piece.to_vec()).try_concat().await.unwrap();
    assert_eq!(bytes, b"packed");
    let asked: Vec<_> = script.seen().iter().map(|seen| seen.head.to_ascii_lowercase()).collect();
    let accepts =
        |head: &String| head.lines().find_map(|line| line.strip_prefix("accept-encoding: ").map(str::to_owned));
    assert_eq!(asked.iter().filter_map(accepts).collect::<Vec<_>>(), ["identity", "gzip"]);
    // What is signed must not be changed by a proxy on the way.
    assert!(asked.iter().all(|head| !head.contains("signedheaders=accept-encoding")), "{asked:?}");
}
