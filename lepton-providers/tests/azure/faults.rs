//! What the service's answers mean, and what is sent to whom.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, Body, DeleteRequest, Effect, ErrorKind, GetOptions, HeadOptions, ListRequest, Precondition, PutOptions,
    PutReceipt, Result, RetryClass, Storage as _, StorageExt as _, VersionId, Versions as _,
};
use lepton_providers::azure::{AzureStorage, Preset, Token, TokenProvider};

use super::objects::key;
use super::script::{Script, Seen, answer, described, refusal};

fn created() -> String {
    answer("201 Created", &["ETag: \"n\""], "")
}

async fn put(store: &AzureStorage, condition: Precondition) -> Result<PutReceipt> {
    let body = Body::from_pieces([Bytes::from_static(b"x")]);
    store.put(&key("k"), body, PutOptions::new().precondition(condition)).await
}

async fn delete(store: &AzureStorage, request: DeleteRequest) -> Result<()> {
    store.delete(vec![request]).await.unwrap().into_iter().next().unwrap()
}

#[tokio::test]
async fn archived_blobs_and_leased_ones_are_told() {
    let script = Script::start(vec![refusal("409 Conflict", "BlobArchived")]).await;
    let error = script.store().get(&key("k"), GetOptions::new()).await.map(drop).unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Archived, RetryClass::Never));
    let script = Script::start(vec![refusal("412 Precondition Failed", "LeaseIdMissing")]).await;
    let error = put(&script.store(), Precondition::None).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Locked, Effect::None));
}

#[tokio::test]
async fn a_lease_is_not_named_where_there_is_to_be_no_blob() {
    let script = Script::start(vec![created()]).await;
    let store = AzureStorage::new(script.config().lease_id("l1")).unwrap();
    put(&store, Precondition::IfAbsent).await.unwrap();
    put(&store, Precondition::None).await.unwrap();
    let seen = script.seen();
    assert_eq!((seen[0].header("x-ms-lease-id"), seen[0].header("if-none-match")), (None, Some("*")));
    assert_eq!(seen[1].header("x-ms-lease-id"), Some("l1"));
}

#[tokio::test]
async fn blobs_of_other_kinds_and_folders_are_no_objects() {
    for (header, preset, kind, says) in [
        ("x-ms-blob-type: AppendBlob", Preset::Azure, Some(ErrorKind::Unsupported), "AppendBlob"),
        ("x-ms-blob-type: PageBlob", Preset::Azure, Some(ErrorKind::Unsupported), "PageBlob"),
        ("x-ms-resource-type: directory", Preset::Azure, Some(ErrorKind::NotFound), "folder"),
        ("x-ms-meta-hdi_isfolder: true", Preset::Hierarchical, Some(ErrorKind::NotFound), "folder"),
        // Elsewhere that is metadata like any other.
        ("x-ms-meta-hdi_isfolder: true", Preset::Azure, None, ""),
    ] {
        let full = described(&[header]) + "12345";
        let script = Script::start(vec![full, described(&[header])]).await;
        let store = AzureStorage::new(script.config().preset(preset)).unwrap();
        let got = store.get(&key("k"), GetOptions::new()).await.map(drop);
        let headed = store.head(&key("k"), HeadOptions::new()).await.map(drop);
        for error in [got.err(), headed.err()] {
            assert_eq!(error.as_ref().map(lepton_core::Error::kind), kind, "{header} {preset:?}");
            assert!(error.is_none_or(|error| error.message().contains(says)));
        }
    }
}

#[tokio::test]
async fn folders_are_no_versions() {
    let blob = |name: &str, more: &str| {
        format!(
            "<Blob><Name>{name}</Name><VersionId>1</VersionId><Properties><Content-Length>0</Content-Length>{more}\
             </Properties></Blob>"
        )
    };
    let folder = blob("d", "<ResourceType>directory</ResourceType>");
    let page = format!("<EnumerationResults><Blobs>{folder}{}</Blobs></EnumerationResults>", blob("d/a", ""));
    let script = Script::start(vec![answer("200 OK", &[], &page)]).await;
    let pages: Vec<_> = script.store().list_versions(ListRequest::new()).try_collect().await.unwrap();
    let keys: Vec<String> = pages.concat().iter().map(|version| version.meta.key.to_string()).collect();
    assert_eq!(keys, ["d/a"]);
}

#[tokio::test]
async fn a_hierarchical_account_is_named_before_anything_is_written() {
    let account = "HTTP/1.1 200 OK\r\nx-ms-is-hns-enabled: true\r\nContent-Length: 0\r\n\r\n";
    let script = Script::of_account(account, vec![created()]).await;
    let store = script.store();
    for _ in 0..2 {
        let error = put(&store, Precondition::None).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
        assert!(error.message().contains("preset=hierarchical"), "{error}");
    }
    assert_eq!((script.asked(), script.seen().len()), (1, 0));
    let told = AzureStorage::new(script.config().preset(Preset::Hierarchical)).unwrap();
    put(&told, Precondition::None).await.unwrap();
    assert_eq!((script.asked(), script.seen().len()), (1, 1));
    let silent = Script::start(vec![created()]).await;
    let store = silent.store();
    put(&store, Precondition::None).await.unwrap();
    put(&store, Precondition::None).await.unwrap();
    assert_eq!((silent.asked(), silent.seen().len()), (1, 2));
}

#[tokio::test]
async fn the_current_version_is_deleted_by_way_of_the_blob() {
    let root = refusal("403 Forbidden", "OperationNotAllowedOnRootBlob");
    let done = answer("202 Accepted", &[], "");
    let script = Script::start(vec![root, described(&["ETag: \"v\""]), done]).await;
    let request = DeleteRequest::new(key("k")).version(Some(VersionId::new("2024")));
    delete(&script.store(), request).await.unwrap();
    let seen = script.seen();
    let lines: Vec<&str> = seen.iter().map(Seen::line).collect();
    let (by_id, look) = ("delete /photos/k?versionid=2024", "head /photos/k?versionid=2024");
    assert_eq!(lines, [by_id, look, "delete /photos/k", by_id]);
    assert_eq!(seen[2].header("if-match"), Some("\"v\""));
    assert_eq!(seen[3].header("if-match"), None);
}

#[tokio::test]
async fn snapshots_are_deleted_on_demand_only() {
    let script = Script::start(vec![refusal("409 Conflict", "SnapshotsPresent")]).await;
    let error = delete(&script.store(), DeleteRequest::new(key("k"))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("delete_snapshots"), "{error}");
    assert_eq!(script.seen()[0].header("x-ms-delete-snapshots"), None);
    let script = Script::start(vec![answer("202 Accepted", &[], "")]).await;
    let store = AzureStorage::new(script.config().delete_snapshots("include")).unwrap();
    delete(&store, DeleteRequest::new(key("k"))).await.unwrap();
    delete(&store, DeleteRequest::new(key("k")).version(Some(VersionId::new("1")))).await.unwrap();
    let headers: Vec<_> = script.seen().iter().map(|s| s.header("x-ms-delete-snapshots").map(str::to_owned)).collect();
    assert_eq!(headers, [Some("include".to_owned()), None]);
    let wrong = AzureStorage::new(script.config().delete_snapshots("only")).unwrap_err();
    assert!(wrong.to_string().contains("delete_snapshots"), "{wrong}");
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_before_it_is_sent() {
    let script = Script::start(vec![created()]).await;
    let mut attributes = Attributes::default();
    attributes.tags = (0..11).map(|tag| (format!("t{tag}"), "v".to_owned())).collect();
    let body = Body::from_pieces([Bytes::from_static(b"x")]);
    let error = script.store().put(&key("k"), body, PutOptions::new().attributes(attributes)).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::InvalidInput, Effect::None));
    assert_eq!((script.asked(), script.seen().len()), (0, 0));
}

/// Gives a new token each time.
#[derive(Debug, Default)]
struct Tokens(AtomicU32);

#[async_trait]
impl TokenProvider for Tokens {
    async fn token(&self) -> Result<Token> {
        Ok(Token::new(format!("t{}", self.0.fetch_add(1, Ordering::Relaxed))))
    }
}

#[tokio::test]
async fn after_a_token_was_refused_another_one_is_asked_for() {
    let refused = refusal("401 Unauthorized", "InvalidAuthenticationInfo");
    let script = Script::start(vec![refused, described(&[])]).await;
    let store = AzureStorage::builder(script.config()).tokens(Arc::new(Tokens::default())).build().unwrap();
    let error = store.head(&key("k"), HeadOptions::new()).await.unwrap_err();
    assert_eq!((error.kind(), error.retry()), (ErrorKind::Unauthenticated, RetryClass::RefreshCredentials));
    assert!(!format!("{error:?}").contains("t0"));
    assert!(store.exists(&key("k")).await.unwrap());
    assert!(store.exists(&key("k")).await.unwrap());
    let sent: Vec<_> = script.seen().iter().map(|seen| seen.header("authorization").unwrap().to_owned()).collect();
    assert_eq!(sent, ["bearer t0", "bearer t1", "bearer t1"]);
}

#[tokio::test]
async fn nothing_is_sent_to_a_second_host() {
    let second = Script::start(vec![created()]).await;
    let elsewhere = answer("307 Temporary Redirect", &[&format!("Location: {}/photos/k", second.endpoint)], "");
    let first = Script::start(vec![elsewhere]).await;
    let sas = "sv=1&sig=s3cr3t";
    let connection = format!("BlobEndpoint={}/lepton;SharedAccessSignature={sas}", first.endpoint);
    let base = || first.config().account_key("c2VjcmV0");
    for store in [
        AzureStorage::new(base()).unwrap(),
        AzureStorage::builder(base()).tokens(Arc::new(Tokens::default())).build().unwrap(),
    ] {
        let error = put(&store, Precondition::None).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{error:?}");
        store.get(&key("k"), GetOptions::new()).await.map(drop).unwrap_err();
    }
    let moved = lepton_providers::azure::AzureConfig::new("photos").connection_string(connection);
    let stayed = AzureStorage::new(moved.clone().proxy("none")).unwrap();
    put(&stayed, Precondition::None).await.unwrap_err();
    assert!(first.seen().last().unwrap().line().contains("sig=s3cr3t"));
    let error = AzureStorage::new(moved.endpoint(format!("{}/lepton", second.endpoint))).unwrap_err();
    assert!(error.kind() == ErrorKind::Unauthenticated && !format!("{error:?}").contains("s3cr3t"), "{error:?}");
    assert_eq!((second.asked(), second.seen().len()), (0, 0));
}

#[tokio::test]
async fn a_url_does_not_send_this_machines_credentials_anywhere() {
    let at = "az://photos?account=lepton&endpoint=https://files.example";
    for (url, says) in [
        (format!("{at}&use_managed_identity=true"), "the URL names an endpoint"),
        (format!("{at}&tenant_id=t&client_id=c&federated_token_file=/etc/hosts"), "the URL names an endpoint"),
        (format!("{at}&authority_host=https://evil.example"), "authority_host"),
    ] {
        let error = lepton_providers::open(&url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}: {error:?}");
        assert!(error.message().contains(says), "{error}");
    }
}
