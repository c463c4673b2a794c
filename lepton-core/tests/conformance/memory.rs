//! The in-memory store passes, whatever it is made to declare.

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::conformance::{CaseReport, Options, Outcome, Report, run};
use lepton_core::{
    Capabilities, KeyHandling, ListRequest, MemoryStorage, MultipartLimits, SharedStorage, Storage as _,
    StorageExt as _, Support,
};

/// Runs the suite and shows that it left nothing behind.
async fn passes(store: &MemoryStorage) -> Report {
    let foreign = "lepton-conformance-is-not-ours".try_into().unwrap();
    store.write(&foreign, "x".into()).await.unwrap();
    let shared: SharedStorage = Arc::new(store.clone());
    let report = run(&shared, Options::new()).await;
    println!("{report}");
    report.check().unwrap();
    let left: Vec<_> = store.objects("".into()).try_collect().await.unwrap();
    assert_eq!(left.iter().map(|meta| &meta.key).collect::<Vec<_>>(), [&foreign]);
    if let Some(versions) = store.versions() {
        let pages: Vec<_> = versions.list_versions(ListRequest::new()).try_collect().await.unwrap();
        assert_eq!(pages.concat().len(), 1);
    }
    report
}

fn not_applicable(report: &Report) -> usize {
    report.cases.iter().filter(|case| matches!(case.outcome, Outcome::NotApplicable(_))).count()
}

#[tokio::test]
async fn without_versions() {
    let _ = passes(&MemoryStorage::new()).await;
}

#[tokio::test]
async fn with_versions() {
    let report = passes(&MemoryStorage::builder().versioned(true).build()).await;
    assert!(report.cases.iter().any(|case| case.name.starts_with("versions/") && case.outcome == Outcome::Passed));
}

#[tokio::test]
async fn within_the_limits_of_a_weak_store() {
    let mut weak = Capabilities::everything("weak");
    for support in [
        &mut weak.range_get,
        &mut weak.conditional_get,
        &mut weak.put_if_absent,
        &mut weak.put_if_match,
        &mut weak.conditional_complete,
        &mut weak.conditional_delete,
        &mut weak.server_copy,
        &mut weak.storage_class,
    ] {
        *support = Support::Unsupported;
    }
    weak.attributes.clear();
    weak.multipart = None;
    weak.max_single_put = 8 << 20;
    weak.delete_batch = 1;
    weak.keys.utf8_only = true;
    weak.keys.max_segment_bytes = 255;
    weak.keys.forbidden_bytes = vec![0];
    weak.keys.control_characters = KeyHandling::Unknown;
    weak.keys.empty_segments = KeyHandling::Refused;
    weak.keys.dot_segments = KeyHandling::Refused;
    weak.keys.leading_slash = KeyHandling::Changed;
    weak.keys.trailing_slash = KeyHandling::Refused;
    let report = passes(&MemoryStorage::builder().capabilities(weak).build()).await;
    assert!(not_applicable(&report) > 20);
}

#[tokio::test]
async fn with_listings_that_tell_attributes() {
    let mut told = Capabilities::everything("told");
    told.list_attributes = true;
    let report = passes(&MemoryStorage::builder().capabilities(told).build()).await;
    let told = |case: &CaseReport| case.name.contains("tells_attributes") && case.outcome == Outcome::Passed;
    assert!(report.cases.iter().any(told));
}

#[tokio::test]
async fn within_the_part_limits_of_s3() {
    let mut s3 = Capabilities::everything("s3");
    s3.multipart = Some(MultipartLimits::new(5 << 20, 5 << 30, 10_000));
    let _ = passes(&MemoryStorage::builder().capabilities(s3).build()).await;
}

#[tokio::test]
async fn a_filter_that_finds_nothing_does_not_pass() {
    let store: SharedStorage = Arc::new(MemoryStorage::new());
    assert!(run(&store, Options::new().only("no such case")).await.check().is_err());
    let report = run(&store, Options::new().only("ranges/")).await;
    report.check().unwrap();
    assert!(report.cases.iter().all(|case| case.name.starts_with("ranges/")));
}
