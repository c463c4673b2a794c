//! What goes out, and what is made of what comes back, where the emulator does not tell.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, ETag, Effect, Error, ErrorKind,
    GetOptions, HeadOptions, ListRequest, ObjectKey, PartReceipt, PartSpec, Precondition, PutOptions, RetryClass,
    Storage, StorageExt as _, Upload, UploadId, VersionId,
};
use lepton_providers::gcs::GcsStorage;
use serde_json::json;

use super::script::{Script, Seen, answer, json as answer_json, refusal, resource};

fn key(name: &str) -> ObjectKey {
    ObjectKey::try_from(name).unwrap()
}

/// A store with a project that pays and a key of its own.
fn store(script: &Script) -> GcsStorage {
    let config = script.config().access_token("t").user_project("payer").kms_key_name("projects/p/cryptoKeys/k");
    GcsStorage::new(config).unwrap()
}

async fn telling(answers: impl Fn(&Seen, usize) -> String + Send + Sync + 'static) -> (Script, GcsStorage) {
    let script = Script::start(answers).await;
    let store = store(&script);
    (script, store)
}

#[tokio::test]
async fn keys_and_payers_go_with_every_request() {
    let (script, store) = telling(|request, _| match () {
        () if request.line.contains("uploads") => {
            answer(200, &[], "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>")
        }
        () if request.line.contains("rewriteTo") => {
            answer_json(200, &json!({ "done": true, "resource": resource("b", "2") }))
        }
        () => answer_json(200, &resource("a", "1")),
    })
    .await;
    store.write(&key("a"), "hello".into()).await.unwrap();
    let upload = store.multipart().unwrap().create(&key("a"), CreateUploadOptions::new()).await.unwrap();
    assert_eq!(upload.id.as_str(), "u");
    let source = CopySource::new(&store, key("a")).unwrap();
    store.server_copy().unwrap().copy(source, &key("b"), CopyOptions::new()).await.unwrap();
    let seen = script.seen();
    assert!(seen.iter().all(|request| request.header("x-goog-user-project") == Some("payer")), "{seen:?}");
    let name = "projects%2Fp%2FcryptoKeys%2Fk";
    assert!(seen[0].line.contains(&format!("kmsKeyName={name}")), "{}", seen[0].line);
    assert_eq!(seen[1].header("x-goog-encryption-kms-key-name"), Some("projects/p/cryptoKeys/k"));
    assert!(seen[2].line.contains(&format!("destinationKmsKeyName={name}")), "{}", seen[2].line);
}

#[tokio::test]
async fn a_long_copy_goes_on_with_its_token() {
    let (script, store) = telling(|_, before| match before {
        0 => answer_json(200, &json!({ "done": false, "rewriteToken": "t/1", "totalBytesRewritten": "10" })),
        // The same token, further on.
        1 => answer_json(200, &json!({ "done": false, "rewriteToken": "t/1", "totalBytesRewritten": "20" })),
        _ => answer_json(200, &json!({ "done": true, "resource": resource("b", "9") })),
    })
    .await;
    let options = CopyOptions::new().attributes(Attributes::default()).precondition(Precondition::IfAbsent);
    let source = CopySource::new(&store, key("a")).unwrap().version(Some(VersionId::new("7")));
    let receipt = store.server_copy().unwrap().copy(source, &key("b"), options).await.unwrap();
    assert_eq!(receipt.version, Some(VersionId::new("9")));
    let seen = script.seen();
    assert!(seen.iter().all(|request| request.line.contains("sourceGeneration=7")));
    assert!(seen.iter().all(|request| request.line.contains("ifGenerationMatch=0")));
    // What is not said would be the source's.
    let body = r#"{"name":"b","contentType":"application/octet-stream","metadata":{}}"#;
    assert!(seen.iter().all(|request| request.body == body), "{seen:?}");
    assert!(!seen[0].line.contains("rewriteToken"));
    assert!(seen[1..].iter().all(|request| request.line.contains("rewriteToken=t%2F1")));
}

#[tokio::test]
async fn a_copy_that_says_nothing_new_may_have_been_made() {
    let (_, store) = telling(|_, _| answer_json(200, &json!({ "done": false, "rewriteToken": "t" }))).await;
    let source = CopySource::new(&store, key("a")).unwrap();
    let error = store.server_copy().unwrap().copy(source, &key("b"), CopyOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::Unknown));
    assert_eq!((error.context("key"), error.context("bucket")), (Some("b"), Some("photos")));
}

#[tokio::test]
async fn conditions_of_source_and_destination_are_told_apart() {
    for (there, kind) in [(200, ErrorKind::AlreadyExists), (404, ErrorKind::PreconditionFailed)] {
        let (script, store) = telling(move |request, _| match (request.line.starts_with("POST"), there) {
            (true, _) => refusal(412, "conditionNotMet", "At least one condition failed"),
            (false, 200) => answer_json(200, &resource("b", "1")),
            (false, _) => refusal(404, "notFound", "No such object"),
        })
        .await;
        let options = || CopyOptions::new().precondition(Precondition::IfAbsent);
        let copies = store.server_copy().unwrap();
        let source = CopySource::new(&store, key("a")).unwrap();
        let error = copies.copy(source.clone(), &key("b"), options()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        let pinned = source.if_match(Some(ETag::new("\"5\"")));
        let error = copies.copy(pinned, &key("b"), options()).await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(script.seen()[1].line.contains("ifSourceGenerationMatch=5"));
    }
    let (_, store) = telling(|_, _| refusal(404, "notFound", "No such object")).await;
    let options = CopyOptions::new().precondition(Precondition::IfMatch(ETag::new("\"5\"")));
    let source = CopySource::new(&store, key("a")).unwrap();
    let error = store.server_copy().unwrap().copy(source, &key("b"), options).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound, "what is missing is the source");
}

#[tokio::test]
async fn a_copy_in_another_class_keeps_the_rest() {
    let script = Script::start(|request, _| match request.line.starts_with("GET") {
        true => {
            let mut source = resource("a", "7");
            source["contentType"] = "text/plain".into();
            source["metadata"] = json!({ "x": "y" });
            answer_json(200, &source)
        }
        false => answer_json(200, &json!({ "done": true, "resource": resource("b", "9") })),
    })
    .await;
    let store = GcsStorage::new(script.config().access_token("t").storage_class("NEARLINE")).unwrap();
    let source = CopySource::new(&store, key("a")).unwrap();
    store.server_copy().unwrap().copy(source, &key("b"), CopyOptions::new()).await.unwrap();
    let copy = &script.seen()[1];
    let body: serde_json::Value = serde_json::from_str(&copy.body).unwrap();
    let expected = json!({
        "name": "b", "storageClass": "NEARLINE", "contentType": "text/plain", "metadata": { "x": "y" },
    });
    assert_eq!(body, expected);
    assert!(copy.line.contains("sourceGeneration=7"), "{}", copy.line);
}

/// The bytes of an object, with what the service says in its own name.
fn media(generation: &str, range: Option<&str>) -> String {
    let fixed = [("x-goog-generation", generation), ("Cache-Control", "private, max-age=0"), ("Content-Type", "a/b")];
    match range {
        None => answer(200, &fixed, "hello"),
        Some(range) => answer(206, &[&fixed[..], &[("Content-Range", range)]].concat(), "ell"),
    }
}

#[tokio::test]
async fn the_whole_comes_with_its_description_and_a_range_alone() {
    let (script, store) = telling(|request, _| match () {
        () if request.header("range").is_some() => media("2", Some("bytes 1-3/5")),
        () if request.line.contains("alt=media") => media("2", None),
        // It is written between the two.
        () => {
            let mut object = resource("a", if request.line.contains("generation=2") { "2" } else { "1" });
            object["metadata"] = json!({ "two words": object["generation"] });
            answer_json(200, &object)
        }
    })
    .await;
    let whole = store.get(&key("a"), GetOptions::new()).await.unwrap();
    assert_eq!((whole.meta.version, whole.meta.size), (Some(VersionId::new("2")), 5));
    assert_eq!(whole.attributes.user_metadata["two words"], "2");
    assert_eq!(whole.attributes.cache_control, None);
    let seen = script.seen();
    let of_media: Vec<_> = seen.iter().filter(|request| request.line.contains("alt=media")).collect();
    assert_eq!((seen.len(), of_media.len(), of_media[0].header("accept-encoding")), (3, 1, Some("gzip")));
    let part = store.get(&key("a"), GetOptions::new().range(1..4)).await.unwrap();
    assert_eq!((part.range, part.attributes.cache_control), (1..4, None));
    assert_eq!(script.seen().len(), 4, "a range costs one request");
    let bytes = store.get(&key("a"), GetOptions::new().without_attributes(true)).await.unwrap();
    assert_eq!((bytes.range, script.seen().len()), (0..5, 5), "bytes alone cost one request");
}

#[tokio::test]
async fn a_listing_asks_for_attributes_where_they_are_wanted() {
    let (script, store) = telling(|_, _| {
        let (mut small, mut large) = (resource("a", "1"), resource("b", "2"));
        small["metadata"] = json!({ "two words": "x" });
        large["metadata"] = json!({ "n": "x".repeat(2000) });
        answer_json(200, &json!({ "items": [small, large] }))
    })
    .await;
    let asked = ListRequest::new().attributes(true);
    let page = store.list(asked).try_next().await.unwrap().unwrap().objects;
    assert_eq!(page[0].attributes.as_ref().unwrap().user_metadata["two words"], "x");
    assert_eq!(page[1].attributes, None, "a head tells what is large");
    let page = store.list(ListRequest::new()).try_next().await.unwrap().unwrap().objects;
    assert_eq!(page[0].attributes, None);
    let fields: Vec<bool> = script.seen().iter().map(|request| request.line.contains("metadata")).collect();
    assert_eq!(fields, [true, false]);
}

#[tokio::test]
async fn an_object_whose_generation_is_gone_before_it_is_described_has_changed() {
    let described_after = async |requests| {
        telling(move |request, before| match request.line.contains("alt=media") {
            true => media("2", None),
            false if before >= requests => answer_json(200, &resource("a", "2")),
            false => answer(404, &[], ""),
        })
        .await
    };
    let meaning = |error: Error| (error.kind(), error.retry());
    let (script, store) = described_after(6).await;
    assert_eq!(store.get(&key("a"), GetOptions::new()).await.unwrap().meta.size, 5);
    assert_eq!(script.seen().len(), 8, "it is read three times");
    let (script, store) = described_after(usize::MAX).await;
    let error = store.get(&key("a"), GetOptions::new()).await.unwrap_err();
    assert_eq!(meaning(error), (ErrorKind::SourceChanged, RetryClass::Now));
    assert_eq!(script.seen().len(), 30);
    let pinned = GetOptions::new().if_match(Some(ETag::new("\"2\"")));
    let error = store.get(&key("a"), pinned).await.unwrap_err();
    assert_eq!(meaning(error), (ErrorKind::PreconditionFailed, RetryClass::Never));
}

#[tokio::test]
async fn what_the_service_unpacks_is_refused() {
    let (_, store) = telling(|request, _| match request.line.contains("alt=media") {
        true => answer(200, &[("x-goog-generation", "1"), ("x-goog-stored-content-encoding", "gzip")], "unpacked"),
        false => answer_json(200, &resource("a", "1")),
    })
    .await;
    let error = store.get(&key("a"), GetOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unsupported, RetryClass::Never));
}

#[tokio::test]
async fn other_bytes_than_were_sent_are_found_out() {
    let (_, store) = telling(|request, before| match (request.line.contains("partNumber"), before) {
        (true, _) => answer(200, &[("ETag", "\"e\""), ("x-goog-hash", "crc32c=AAAAAA==")], ""),
        (false, 1) => answer_json(200, &json!({ "name": "a", "size": "5", "generation": "1", "crc32c": "AAAAAA==" })),
        (false, _) => answer_json(200, &json!({ "name": "a" })),
    })
    .await;
    let upload = Upload::new(key("a"), UploadId::new("u"));
    let part = store.multipart().unwrap().upload_part(&upload, PartSpec::new(1, 0..5), Bytes::from("hello").into());
    let error = part.await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::ChecksumMismatch, RetryClass::Now));
    let error = store.write(&key("a"), "hello".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::ChecksumMismatch, Effect::Applied));
    let error = store.write(&key("a"), "hello".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::Unknown));
}

#[tokio::test]
async fn a_success_that_holds_a_refusal_is_one() {
    let (_, store) = telling(|_, before| match before {
        0 => answer(200, &[], "<Error><Code>InternalError</Code><Message>again</Message></Error>"),
        1 => answer(200, &[], "<SomethingElse/>"),
        _ => answer(200, &[], "<CompleteMultipartUploadResult/>"),
    })
    .await;
    let upload = Upload::new(key("a"), UploadId::new("u"));
    let parts = || vec![PartReceipt::new(1, 5, ETag::new("\"e\""))];
    let complete = || store.multipart().unwrap().complete(&upload, parts(), CompleteOptions::new());
    for kind in [ErrorKind::Unavailable, ErrorKind::Unexpected] {
        let error = complete().await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::Unknown), "{error:?}");
        assert_eq!(error.context("bucket"), Some("photos"));
    }
    complete().await.unwrap();
}

#[tokio::test]
async fn refusals_say_what_they_mean() {
    use ErrorKind as K;
    let table = [
        (400, "required", "Bucket is a requester pays bucket but no user project provided.", K::PermissionDenied),
        (403, "userProjectAccessDenied", "x", K::PermissionDenied),
        (400, "userProjectInconsistent", "x", K::InvalidInput),
        (403, "insufficientPermissions", "x", K::PermissionDenied),
        (404, "notFound", "The specified bucket does not exist.", K::BucketNotFound),
        (429, "rateLimitExceeded", "x", K::Throttled),
        (500, "backendError", "x", K::Unavailable),
        (403, "retentionPolicyNotMet", "x", K::PermissionDenied),
    ];
    for (status, reason, message, kind) in table {
        let (_, store) = telling(move |_, _| refusal(status, reason, message)).await;
        let error = store.put(&key("a"), "x".into(), PutOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{reason}: {error:?}");
        let effect = if status == 500 { Effect::Unknown } else { Effect::None };
        assert_eq!((error.effect(), error.context("bucket")), (effect, Some("photos")), "{reason}");
        if reason == "required" {
            assert!(error.message().contains("user_project"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_refusal_that_breaks_off_says_nothing_yet() {
    let (_, store) = telling(|_, _| "HTTP/1.1 404 Not Found\r\nContent-Length: 500\r\n\r\n{\"error\"".to_owned()).await;
    let error = store.head(&key("a"), HeadOptions::new()).await.unwrap_err();
    assert_ne!(error.kind(), ErrorKind::NotFound);
    assert_ne!(error.retry(), RetryClass::Never);
}

#[tokio::test]
async fn a_bucket_that_somebody_has_is_not_made_again() {
    let script = Script::start(|_, _| refusal(409, "conflict", "Your previous request to create it succeeded.")).await;
    let store = GcsStorage::new(script.config().access_token("t").project("p")).unwrap();
    let error = store.create_bucket().await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::AlreadyExists, RetryClass::Never));
}
