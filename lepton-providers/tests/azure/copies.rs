//! Copies that the service makes, as a script of it goes.

use std::time::Duration;

use lepton_core::{
    CopyOptions, CopySource, ETag, Effect, Error, ErrorKind, Precondition, PutReceipt, Result, RetryClass, Storage as _,
};
use lepton_providers::azure::AzureStorage;

use super::objects::key;
use super::script::{Script, Seen, answer, described, refusal};

async fn copy(store: &AzureStorage, condition: Precondition) -> Result<PutReceipt> {
    let source = CopySource::new(store, key("a")).unwrap();
    store.server_copy().unwrap().copy(source, &key("b"), CopyOptions::new().precondition(condition)).await
}

fn meaning(error: &Error) -> (ErrorKind, RetryClass, Effect) {
    (error.kind(), error.retry(), error.effect())
}

fn pending() -> String {
    answer("202 Accepted", &["x-ms-copy-id: 1", "x-ms-copy-status: pending"], "")
}

fn ended(status: &str) -> String {
    described(&["ETag: \"d\"", "x-ms-copy-id: 1", &format!("x-ms-copy-status: {status}")])
}

#[tokio::test]
async fn a_copy_is_waited_for_and_pinned_to_what_was_seen() {
    let tagged = described(&["x-ms-tag-count: 1"]);
    let tags = "<Tags><TagSet><Tag><Key>k</Key><Value>v</Value></Tag></TagSet></Tags>";
    let answers = vec![tagged, answer("200 OK", &[], tags), pending(), ended("pending"), ended("success")];
    let script = Script::start(answers).await;
    let receipt = copy(&script.store(), Precondition::None).await.unwrap();
    assert_eq!(receipt.etag.unwrap().as_str(), "\"d\"");
    let seen = script.seen();
    let lines: Vec<&str> = seen.iter().map(Seen::line).collect();
    assert_eq!(
        lines,
        ["head /photos/a", "get /photos/a?comp=tags", "put /photos/b", "head /photos/b", "head /photos/b"]
    );
    assert_eq!(seen[2].header("x-ms-source-if-match"), Some("\"s\""));
    assert_eq!(seen[2].header("x-ms-tags"), Some("k=v"));
    assert_eq!(seen[2].header("x-ms-copy-source"), Some(&*format!("{}/photos/a", script.endpoint)));
}

#[tokio::test]
async fn what_a_failed_copy_leaves_is_taken_away() {
    let deleted = || answer("202 Accepted", &[], "");
    let changed = || refusal("412 Precondition Failed", "ConditionNotMet");
    for (status, condition, delete, effect) in [
        ("failed", Precondition::IfAbsent, deleted(), Effect::None),
        ("aborted", Precondition::IfAbsent, deleted(), Effect::None),
        ("aborted", Precondition::None, deleted(), Effect::Unknown),
        ("failed", Precondition::IfAbsent, changed(), Effect::Unknown),
    ] {
        let script = Script::start(vec![described(&[]), pending(), ended(status), delete]).await;
        let error = copy(&script.store(), condition.clone()).await.unwrap_err();
        assert_eq!(
            meaning(&error),
            (ErrorKind::Unavailable, RetryClass::Now, effect),
            "{status} {condition:?}: {error:?}"
        );
        assert!(error.message().contains(status), "{error}");
        let seen = script.seen();
        assert_eq!((seen[3].line(), seen[3].header("if-match")), ("delete /photos/b", Some("\"d\"")));
        assert_eq!(seen.len(), 4);
    }
}

#[tokio::test]
async fn what_nobody_calls_a_failure_is_left_alone() {
    for end in [ended("resting"), described(&["ETag: \"d\"", "x-ms-copy-id: 1"])] {
        let script = Script::start(vec![described(&[]), pending(), end]).await;
        let error = copy(&script.store(), Precondition::IfAbsent).await.unwrap_err();
        assert_eq!(meaning(&error), (ErrorKind::Unexpected, RetryClass::Never, Effect::Unknown), "{error:?}");
        assert_eq!(script.seen().len(), 3);
    }
}

#[tokio::test]
async fn a_copy_that_another_one_replaced_is_a_conflict() {
    let other = described(&["x-ms-copy-id: 2", "x-ms-copy-status: success"]);
    let script = Script::start(vec![described(&[]), pending(), other]).await;
    let error = copy(&script.store(), Precondition::None).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::Unknown));
}

#[tokio::test]
async fn a_source_that_the_service_cannot_read_is_told_by_the_status() {
    let never = |kind| (kind, RetryClass::Never, Effect::None);
    let soon = RetryClass::After(Duration::from_secs(1));
    for (status, meant) in [
        ("404 Not Found", never(ErrorKind::NotFound)),
        ("412 Precondition Failed", never(ErrorKind::PreconditionFailed)),
        ("403 Forbidden", never(ErrorKind::PermissionDenied)),
        ("409 Conflict", (ErrorKind::Unavailable, soon, Effect::None)),
        ("500 Internal Server Error", (ErrorKind::Unavailable, RetryClass::Now, Effect::Unknown)),
    ] {
        // It is the source that is missing: neither condition speaks of it.
        for condition in [Precondition::IfAbsent, Precondition::IfMatch(ETag::new("\"x\""))] {
            let script = Script::start(vec![described(&[]), refusal(status, "CannotVerifyCopySource")]).await;
            let error = copy(&script.store(), condition).await.unwrap_err();
            assert_eq!(meaning(&error), meant, "{status}: {error:?}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_copied_is_refused_after_one_look() {
    for (source, kind, says) in [
        ("x-ms-blob-type: AppendBlob", ErrorKind::Unsupported, "AppendBlob"),
        ("x-ms-access-tier: Archive", ErrorKind::Archived, "rehydrated"),
        ("x-ms-archive-status: rehydrate-pending-to-hot", ErrorKind::Archived, "rehydrated"),
        ("x-ms-resource-type: directory", ErrorKind::NotFound, "folder"),
    ] {
        let script = Script::start(vec![described(&[source])]).await;
        let error = copy(&script.store(), Precondition::None).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{source}");
        assert!(error.message().contains(says), "{error}");
        assert_eq!((script.seen().len(), script.asked()), (1, 0));
    }
}

#[tokio::test]
async fn under_an_encryption_scope_blocks_are_copied_with_what_the_source_has() {
    let source = described(&["Content-Type: image/png", "x-ms-meta-from: camera"]);
    let created = |tag: &str| answer("201 Created", &[tag], "");
    let script = Script::start(vec![source, created("x-a: b"), created("ETag: \"n\"")]).await;
    let store = AzureStorage::new(script.config().encryption_scope("vault")).unwrap();
    let receipt = copy(&store, Precondition::IfAbsent).await.unwrap();
    assert_eq!(receipt.etag.unwrap().as_str(), "\"n\"");
    let seen = script.seen();
    assert!(seen[1].line().ends_with("&comp=block"), "{}", seen[1].line());
    assert_eq!(seen[1].header("x-ms-source-range"), Some("bytes=0-4"));
    assert_eq!(seen[1].header("x-ms-source-if-match"), Some("\"s\""));
    assert!(seen[1].header("x-ms-copy-source").unwrap().contains("sig="));
    assert!(seen[2].line().contains("comp=blocklist"));
    assert_eq!(seen[2].header("if-none-match"), Some("*"));
    for (name, value) in
        [("x-ms-blob-content-type", "image/png"), ("x-ms-meta-from", "camera"), ("x-ms-encryption-scope", "vault")]
    {
        assert_eq!(seen[2].header(name), Some(value), "{name}");
    }
    assert_eq!(seen[1].header("x-ms-encryption-scope"), Some("vault"));
}

#[tokio::test]
async fn a_block_that_could_not_be_copied_leaves_nothing_behind() {
    let failed = refusal("500 Internal Server Error", "InternalError");
    let script = Script::start(vec![described(&[]), failed]).await;
    let store = AzureStorage::new(script.config().encryption_scope("vault")).unwrap();
    let error = copy(&store, Precondition::None).await.unwrap_err();
    assert_eq!(meaning(&error), (ErrorKind::Unavailable, RetryClass::Now, Effect::None), "{error:?}");
}
