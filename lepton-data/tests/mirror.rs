//! A transfer brings every object, byte for byte, with its metadata.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Attribute, Attributes, Capabilities, ErrorKind, HeadOptions, KeyHandling, Location, MemoryStorage, PutOptions,
    Storage as _, StorageExt as _,
};
use lepton_data::{ExistingPolicy, MetadataPolicy, PlannedAction, Status, Transfer};
use support::faulty::{Fault, Faulty};
use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn every_size_around_the_boundaries_arrives() {
    let (from, to) = stores();
    let sizes = [0, 1, MIB - 1, MIB, MIB + 1, 2 * MIB - 1, 2 * MIB, 2 * MIB + 1, 7 * MIB + 5];
    let names: Vec<String> = sizes.iter().map(|size| format!("size/{size}")).collect();
    let objects: Vec<(&str, usize)> = names.iter().map(String::as_str).zip(sizes).collect();
    fill(&from, &objects).await;
    let report = transfer(shared(&from), shared(&to)).build().unwrap().run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert_eq!(report.objects, sizes.len() as u64);
    assert_eq!(report.bytes, sizes.iter().sum::<usize>() as u64);
    assert_eq!(report.bytes_read, report.bytes, "each byte is read once");
    assert_same(&from, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_small_objects_and_odd_keys_arrive() {
    let (from, to) = stores();
    for i in 0..3000u64 {
        from.write(&key(&format!("many/{i:05}")), bytes(i, (i % 300) as usize)).await.unwrap();
    }
    fill(&from, &[("/lead", 3), ("a//b", 4), ("a/../b", 5), ("dir/", 0), ("ctl\u{1}%", 6), ("ü b+c&<>'\"", 7)]).await;
    let report = transfer(shared(&from), shared(&to)).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 3006));
    assert_same(&from, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_are_mapped_and_one_object_can_be_named() {
    let (from, to) = stores();
    fill(&from, &[("in/a", 10), ("in/b/c", 20), ("inside", 30)]).await;
    let run = |from_path: &str, to_path: &str| {
        let (from, to) = (Location::new(shared(&from), from_path), Location::new(shared(&to), to_path));
        Transfer::builder().from(from).to(to).build().unwrap().run()
    };
    assert_eq!(run("in", "out/x").await.unwrap().objects, 2);
    assert_eq!(run("inside", "").await.unwrap().objects, 1);
    let names: Vec<String> = list(&to).await.iter().map(|meta| meta.key.to_string()).collect();
    assert_eq!(names, ["inside", "out/x/a", "out/x/b/c"]);
}

fn dressed() -> PutOptions {
    let mut attributes = Attributes::default();
    attributes.content_type = Some("text/x".into());
    attributes.cache_control = Some("no-store".into());
    attributes.user_metadata = BTreeMap::from([("color".into(), "red".into())]);
    attributes.tags = BTreeMap::from([("team".into(), "a b".into())]);
    PutOptions::new().attributes(attributes)
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_and_tags_arrive_with_small_and_large_objects() {
    let (from, to) = stores();
    put(&from, "small", bytes(1, 100), dressed()).await;
    put(&from, "large", bytes(2, 3 * MIB), dressed()).await;
    let _ = transfer(shared(&from), shared(&to)).build().unwrap().run().await.unwrap();
    for name in ["small", "large"] {
        let info = to.head(&key(name), HeadOptions::new().tags(true)).await.unwrap();
        assert_eq!(info.attributes, dressed().attributes, "{name}");
    }
}

/// As in a public bucket, whose tags only its owner may read.
#[tokio::test(flavor = "multi_thread")]
async fn tags_that_may_not_be_read_are_recorded_or_with_strict_refused() {
    for (policy, lost, failed) in [(MetadataPolicy::Keep, 2, 0), (MetadataPolicy::Strict, 0, 2)] {
        let (from, to) = stores();
        put(&from, "small", bytes(1, 100), dressed()).await;
        put(&from, "large", bytes(2, 3 * MIB), dressed()).await;
        let guarded = Faulty::new(&from, |operation, _| {
            (operation == "tags").then_some(Fault::Fail(ErrorKind::PermissionDenied, lepton_core::RetryClass::Never))
        });
        let run = transfer(Arc::new(guarded), shared(&to)).metadata(policy).build().unwrap().run();
        let report = run.await.unwrap();
        assert_eq!((report.metadata_lost, report.failed()), (lost, failed), "{:?}", report.failures);
        for name in if lost > 0 { &["small", "large"][..] } else { &[] } {
            let info = to.head(&key(name), HeadOptions::new().tags(true)).await.unwrap();
            assert_eq!(info.attributes.content_type.as_deref(), Some("text/x"), "{name}");
            assert!(info.attributes.tags.is_empty(), "{name}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_recorded_or_with_strict_refused() {
    let mut capabilities = Capabilities::everything("poor");
    capabilities.attributes = vec![Attribute::ContentType];
    let from = MemoryStorage::new();
    put(&from, "small", bytes(1, 100), dressed()).await;
    put(&from, "large", bytes(2, 3 * MIB), dressed()).await;
    let poor = || MemoryStorage::builder().capabilities(capabilities.clone()).build();
    let report = transfer(shared(&from), shared(&poor())).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.metadata_lost), (Status::Complete, 2));
    let to = poor();
    let strict = transfer(shared(&from), shared(&to)).metadata(MetadataPolicy::Strict).build().unwrap();
    let report = strict.run().await.unwrap();
    assert_eq!((report.status, report.failures.len()), (Status::Incomplete, 2));
    assert!(report.failures[0].error.contains("Tags"), "{}", report.failures[0].error);
    assert!(list(&to).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn existing_objects_are_overwritten_skipped_or_reported() {
    for (existing, copied, skipped, failed) in
        [(ExistingPolicy::Overwrite, 4, 0, 0), (ExistingPolicy::Skip, 2, 2, 0), (ExistingPolicy::Fail, 2, 0, 2)]
    {
        let (from, to) = stores();
        fill(&from, &[("a", 10), ("big", 3 * MIB), ("c", 30), ("other", 2 * MIB)]).await;
        to.write(&key("a"), bytes(99, 10)).await.unwrap();
        to.write(&key("big"), bytes(98, 3 * MIB)).await.unwrap();
        let build = || transfer(shared(&from), shared(&to)).existing(existing).build().unwrap();
        let planned: Vec<_> = build().plan().try_collect().await.unwrap();
        let copies = planned.iter().filter(|planned| matches!(planned.action, PlannedAction::Copy { .. })).count();
        assert_eq!(copies, copied, "{existing:?}: the plan");
        let report = build().run().await.unwrap();
        assert_eq!(
            (report.objects, report.skipped, report.failures.len()),
            (copied as u64, skipped, failed),
            "{existing:?}"
        );
        if existing == ExistingPolicy::Overwrite {
            assert_same(&from, &to).await;
        } else {
            assert_eq!(to.read(&key("a"), 100).await.unwrap(), bytes(99, 10), "{existing:?} leaves it as it was");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_the_destination_changes_are_refused_before_a_byte_is_sent() {
    let mut capabilities = Capabilities::everything("alias");
    capabilities.keys.leading_slash = KeyHandling::Changed;
    capabilities.keys.file_beside_folder = KeyHandling::Refused;
    let from = MemoryStorage::new();
    let to = MemoryStorage::builder().capabilities(capabilities).build();
    fill(&from, &[("/lead", 3), ("lead", 4), ("x", 5), ("x/y", 6)]).await;
    let report = transfer(shared(&from), shared(&to)).build().unwrap().run().await.unwrap();
    let failed: Vec<String> = report.failures.iter().map(|failure| failure.key.to_string()).collect();
    assert_eq!(failed, ["/lead", "x/y"]);
    assert!(report.failures.iter().all(|failure| failure.kind == ErrorKind::InvalidKey.code()));
    assert_eq!(to.read(&key("lead"), 100).await.unwrap(), bytes(2, 4));
}

#[tokio::test]
async fn overlapping_places_are_refused() {
    let store = MemoryStorage::new();
    let build = |from: &str, to: &str| {
        Transfer::builder().from(Location::new(shared(&store), from)).to(Location::new(shared(&store), to)).build()
    };
    assert_eq!(build("a", "a/b").unwrap_err().kind(), ErrorKind::InvalidInput);
    let _ = build("a", "ab").unwrap();
}

#[tokio::test]
async fn a_store_that_retries_is_refused() {
    let mut retries = Capabilities::everything("retrying");
    retries.retries = true;
    let odd = MemoryStorage::builder().capabilities(retries).build();
    let error = transfer(shared(&MemoryStorage::new()), shared(&odd)).build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[test]
fn outside_a_runtime_it_is_an_error_and_no_panic() {
    let store = shared(&MemoryStorage::new());
    let transfer = transfer(store.clone(), shared(&MemoryStorage::new())).build().unwrap();
    let error = futures_util::FutureExt::now_or_never(transfer.run()).unwrap().unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
    let place = Location::from(store);
    let check = lepton_data::verify("none".as_ref(), &place, lepton_data::VerifyDepth::Quick);
    let error = futures_util::FutureExt::now_or_never(check).unwrap().unwrap_err();
    assert!(error.to_string().contains("tokio runtime"), "{error}");
}
