//! The conformance suite over a bucket that keeps versions. The rest is in the table of
//! `docs/conformance.md`, which `tests/conformance.rs` checks.

use std::sync::Arc;

use lepton_core::conformance::{Options, run};
use lepton_core::{ErrorKind, ObjectKey, SharedStorage, StorageExt as _};
use lepton_providers::gcs::GcsStorage;

use super::server::{bucket, fresh};

/// A generation that is deleted for good uncovers no older one, here as in the service.
const NEVER: [&str; 1] = ["versions/a_version_can_be_deleted_for_good"];

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_keeps_versions_has_histories() {
    // Deleting a marker first would bring back what is to go.
    let Some(config) = bucket(true, serde_json::json!({ "delete_batch": 1000 })).await else { return };
    let store: SharedStorage = Arc::new(GcsStorage::new(config).unwrap());
    let report = run(&store, Options::new().only("versions/")).await;
    println!("fake-gcs with versions: {report}");
    let failed: Vec<_> = report.failures().filter(|(name, _)| !NEVER.contains(name)).collect();
    assert!(failed.is_empty() && report.passed() >= 3, "{failed:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_named_and_not_shown() {
    let Some(config) = fresh().await else { return };
    let store = GcsStorage::new(config.access_token("wr0ng")).unwrap();
    let error = store.write(&ObjectKey::try_from("a").unwrap(), "x".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error:?}");
    assert!(!format!("{error:?}").contains("wr0ng"));
}
