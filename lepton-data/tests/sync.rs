//! A synchronisation copies what differs and nothing else; a mirror deletes what
//! the source has not, and never more than it should.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, Capabilities, DeleteRequest, ErrorKind, HeadOptions, Location, MemoryStorage, PutOptions, RetryClass,
    Storage as _, StorageExt as _,
};
use lepton_data::{
    Compare, ComparedBy, ExistingPolicy, Filters, ManifestReader, PlannedAction, Reason, Report, Status,
    TransferBuilder, VerifyDepth, verify,
};
use proptest::prelude::*;
use support::faulty::{Fault, Faulty};
use support::*;

fn sync(from: &MemoryStorage, to: &MemoryStorage) -> TransferBuilder {
    transfer(shared(from), shared(to)).existing(ExistingPolicy::IfDifferent)
}

fn mirror(from: &MemoryStorage, to: &MemoryStorage) -> TransferBuilder {
    sync(from, to).delete(true).max_delete_percent(100)
}

async fn run(builder: TransferBuilder) -> Report {
    builder.build().unwrap().run().await.unwrap()
}

async fn names(store: &MemoryStorage) -> Vec<String> {
    list(store).await.iter().map(|meta| meta.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_pair_costs_listings_and_nothing_else() {
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b/c", 3 * MIB), ("d", 0)]).await;
    pause(20).await;
    assert_eq!(run(sync(&from, &to)).await.objects, 3);
    let (source, destination) = (Arc::new(Faulty::new(&from, |_, _| None)), Arc::new(Faulty::new(&to, |_, _| None)));
    let again = transfer(source.clone(), destination.clone()).existing(ExistingPolicy::IfDifferent).delete(true);
    // The large one went in parts and has another tag: its time tells.
    let report = run(again.time_window(Duration::from_millis(1))).await;
    assert_eq!((report.status, report.objects, report.unchanged, report.bytes_read), (Status::Complete, 0, 3, 0));
    for operation in ["head", "get", "put", "create"] {
        assert_eq!((source.count(operation), destination.count(operation)), (0, 0), "{operation}");
    }
}

/// A store whose listings tell what is attached, and whose tags say nothing of the bytes.
fn told() -> MemoryStorage {
    let mut capabilities = Capabilities::everything("told");
    capabilities.list_attributes = true;
    MemoryStorage::builder().capabilities(capabilities).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_listing_told_is_not_asked_for_again() {
    let (from, to) = (told(), told());
    for (name, size) in [("large", 3 * MIB), ("plain", 10), ("small", 10)] {
        let mut attributes = Attributes::default();
        if name != "plain" {
            attributes.content_type = Some("text/x-told".into());
            attributes.user_metadata.insert("mtime".into(), "1577836800.5".into());
            attributes.tags.insert("team".into(), "storage".into());
        }
        put(&from, name, bytes(size as u64, size), PutOptions::new().attributes(attributes)).await;
    }
    let (source, destination) = (Arc::new(Faulty::new(&from, |_, _| None)), Arc::new(Faulty::new(&to, |_, _| None)));
    let run_once = || run(transfer(source.clone(), destination.clone()).existing(ExistingPolicy::IfDifferent));
    let report = run_once().await;
    assert_eq!((report.status, report.objects, report.parts), (Status::Complete, 3, 5), "{:?}", report.failures);
    assert_eq!((source.count("head"), destination.count("head")), (0, 0));
    for name in ["large", "plain", "small"] {
        let attributes = |store: &MemoryStorage| {
            let store = store.clone();
            async move { store.head(&key(name), HeadOptions::new().tags(true)).await.unwrap().attributes }
        };
        assert_eq!(attributes(&to).await, attributes(&from).await, "{name}");
    }
    // Times in the metadata and checksums, as listed, tell that nothing changed.
    let report = run_once().await;
    assert_eq!((report.status, report.objects, report.unchanged), (Status::Complete, 0, 3));
    assert_eq!((source.count("head"), destination.count("head"), source.count("get")), (0, 0, 5));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_is_copied_and_the_manifest_says_why() {
    let (from, to) = stores();
    fill(&from, &[("new", 10), ("other", 20), ("same", 30), ("size", 40)]).await;
    to.write(&key("other"), bytes(9, 20)).await.unwrap();
    to.write(&key("same"), bytes(3, 30)).await.unwrap();
    to.write(&key("size"), bytes(4, 39)).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let report = run(sync(&from, &to).journal(folder.path())).await;
    assert_eq!((report.objects, report.unchanged), (3, 1));
    assert_same(&from, &to).await;
    let manifest = report.manifest.unwrap();
    let lines: BTreeMap<String, _> = ManifestReader::open(&manifest)
        .unwrap()
        .map(|entry| entry.map(|entry| (entry.key.to_string(), (entry.reason, entry.unchanged))).unwrap())
        .collect();
    let expected = [
        ("new", (Some(Reason::New), None)),
        ("other", (Some(Reason::Etag), None)),
        ("same", (None, Some(ComparedBy::Etag))),
        ("size", (Some(Reason::Size), None)),
    ];
    assert_eq!(lines, expected.map(|(name, line)| (name.to_owned(), line)).into());
    for depth in [VerifyDepth::Full, VerifyDepth::Quick] {
        let place = Location::from(shared(&to));
        let found = verify(&manifest, &place, depth).await.unwrap();
        assert!(found.is_proven(), "{:?}", found.problems);
        assert_eq!((found.objects, found.without_digest), (4, 1));
    }
    to.write(&key("same"), bytes(5, 30)).await.unwrap();
    let found = verify(&manifest, &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
    assert_eq!(found.problems.len(), 1, "an unchanged object that changed since is named");
}

/// A store whose tags say nothing.
fn opaque() -> MemoryStorage {
    MemoryStorage::builder().capabilities(Capabilities::everything("opaque")).build()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_policy_finds_what_it_can_see() {
    // The same size and another content; both written within the window.
    for (compare, copied, basis) in [
        (Compare::Auto, 1, Some(ComparedBy::Checksum)),
        (Compare::Time, 1, Some(ComparedBy::Checksum)),
        (Compare::Size, 0, Some(ComparedBy::Size)),
        (Compare::Etag, 2, None),
        (Compare::Checksum, 1, Some(ComparedBy::Checksum)),
        (Compare::Content, 1, Some(ComparedBy::Content)),
    ] {
        let (from, to) = (opaque(), opaque());
        fill(&from, &[("changed", 10), ("same", 2 * MIB)]).await;
        fill(&to, &[("-", 1), ("same", 2 * MIB)]).await;
        to.write(&key("changed"), bytes(7, 10)).await.unwrap();
        let planned: Vec<_> = sync(&from, &to).compare(compare).build().unwrap().plan().try_collect().await.unwrap();
        let same: Vec<_> = planned.iter().filter(|planned| planned.key == key("same")).collect();
        if let (Some(by), [same]) = (basis, same.as_slice()) {
            assert_eq!(same.action, PlannedAction::Unchanged { by }, "{compare:?}");
        }
        let report = run(sync(&from, &to).compare(compare)).await;
        assert_eq!((report.objects, report.unchanged), (copied, 2 - copied), "{compare:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_source_does_not_replace_and_an_immutable_one_is_reported() {
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b", 20)]).await;
    pause(20).await;
    fill(&to, &[("a", 11), ("b", 20)]).await;
    to.write(&key("b"), bytes(2, 20)).await.unwrap();
    let window = Duration::from_millis(1);
    let report = run(sync(&from, &to).existing(ExistingPolicy::IfNewer).time_window(window)).await;
    assert_eq!((report.objects, report.skipped, report.unchanged), (0, 1, 1));
    let report = run(sync(&from, &to).existing(ExistingPolicy::Immutable)).await;
    assert_eq!((report.objects, report.unchanged, report.failures.len()), (0, 1, 1));
    assert!(report.failures[0].error.contains("by Size"), "{}", report.failures[0].error);
    from.write(&key("a"), bytes(3, 12)).await.unwrap();
    let report = run(sync(&from, &to).existing(ExistingPolicy::IfNewer).time_window(window)).await;
    assert_eq!((report.objects, report.unchanged), (1, 1), "a newer source does");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_deletes_what_the_source_has_not() {
    let (from, to) = stores();
    fill(&from, &[("in/b", 10), ("in/d", 20)]).await;
    fill(&to, &[("in", 1), ("in/a", 1), ("in/b", 1), ("in/c", 1), ("in/e", 1), ("inside", 1)]).await;
    let place = |store: &MemoryStorage| Location::new(shared(store), "in");
    let build =
        || lepton_data::Transfer::builder().from(place(&from)).to(place(&to)).existing(ExistingPolicy::IfDifferent);
    let refused = build().delete(true).build().unwrap().run().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::TooManyDeletes);
    assert!(refused.to_string().contains("3 of the destination's 4 objects"), "{refused}");
    assert_eq!(names(&to).await, ["in", "in/a", "in/b", "in/c", "in/d", "in/e", "inside"], "copied, not deleted");
    let report = run(build().delete(true).max_delete_percent(75).max_delete(Some(3))).await;
    assert_eq!((report.status, report.extras, report.deleted), (Status::Complete, 3, 3));
    assert_eq!(names(&to).await, ["in", "in/b", "in/d", "inside"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_mirror_goes_on_where_it_was_when_more_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b", 20)]).await;
    fill(&to, &[("x", 1), ("y", 1)]).await;
    let build = || sync(&from, &to).delete(true).journal(folder.path());
    assert_eq!(build().build().unwrap().run().await.unwrap_err().kind(), ErrorKind::TooManyDeletes);
    // The source got one of them since.
    from.write(&key("y"), bytes(5, 5)).await.unwrap();
    let report = run(build().max_delete_percent(100)).await;
    assert_eq!((report.resumed_objects, report.extras, report.deleted), (2, 1, 1));
    assert_eq!(names(&to).await, ["a", "b", "y"], "what the source has by now stays");
    assert_same(&from, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deleted_unless_all_came_to_a_good_end() {
    // A listing that breaks off, on either side.
    for broken in ["source", "destination"] {
        let (from, to) = stores();
        let many: Vec<String> = (0..2500).map(|i| format!("k{i:04}")).collect();
        for name in &many {
            from.write(&key(name), bytes(1, 1)).await.unwrap();
        }
        fill(&to, &[("a", 1), ("k0000", 1), ("z", 1)]).await;
        let breaks = |store: &MemoryStorage, when: bool| {
            let mut calls = 0;
            Arc::new(Faulty::new(store, move |call, _| {
                calls += usize::from(call == "list");
                // The preflight is the destination's first listing.
                (when && call == "list" && calls > 1)
                    .then_some(Fault::Fail(ErrorKind::PermissionDenied, RetryClass::Never))
            }))
        };
        let (source, destination) = (breaks(&from, broken == "source"), breaks(&to, broken == "destination"));
        let error = transfer(source, destination).delete(true).max_delete_percent(100).build().unwrap().run().await;
        let error = error.unwrap_err();
        assert_eq!((error.kind(), error.context("side")), (ErrorKind::PermissionDenied, Some(broken)));
        assert!(names(&to).await.iter().any(|name| name == "z"), "{broken}");
    }
    // A copy that fails.
    let (from, to) = stores();
    fill(&from, &[("a", 1), ("b", 1)]).await;
    fill(&to, &[("x", 1)]).await;
    let fails = |call: &str, name: &lepton_core::ObjectKey| {
        (call == "put" && *name == key("a")).then_some(Fault::Fail(ErrorKind::InvalidInput, RetryClass::Never))
    };
    let report =
        run(transfer(shared(&from), Arc::new(Faulty::new(&to, fails))).delete(true).max_delete_percent(100)).await;
    assert_eq!((report.status, report.extras, report.deleted), (Status::Incomplete, 1, 0));
    assert_eq!(names(&to).await, ["b", "x"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_since_the_listing_is_neither_replaced_nor_deleted() {
    for conditional in [true, false] {
        let mut capabilities = Capabilities::everything("store");
        capabilities.etag_is_md5 = true;
        if !conditional {
            capabilities.conditional_delete = lepton_core::Support::Unsupported;
        }
        let (from, to) = (MemoryStorage::new(), MemoryStorage::builder().capabilities(capabilities).build());
        fill(&from, &[("a", 10)]).await;
        fill(&to, &[("a", 11), ("x", 1), ("y", 1)]).await;
        let meddle = |call: &str, _: &lepton_core::ObjectKey| {
            (call == "put").then_some(Fault::Meddle(|store| {
                static WRITTEN: AtomicU64 = AtomicU64::new(0);
                let put = |name: &'static str| {
                    let (store, seed) = (store.clone(), WRITTEN.fetch_add(1, Ordering::Relaxed));
                    async move { put(&store, name, bytes(seed, 50), PutOptions::new()).await }
                };
                futures_util::FutureExt::now_or_never(put("a")).unwrap();
                futures_util::FutureExt::now_or_never(put("x")).unwrap();
            }))
        };
        let faulty = Arc::new(Faulty::new(&to, meddle));
        let build = || {
            transfer(shared(&from), faulty.clone())
                .existing(ExistingPolicy::IfDifferent)
                .delete(true)
                .max_delete_percent(100)
        };
        let report = run(build()).await;
        assert_eq!((report.failures.len(), report.failures[0].key.to_string()), (1, "a".into()), "{report:?}");
        assert_eq!(to.read(&key("a"), 100).await.unwrap().len(), 50);
        // Nothing to copy: now the deletes come, while somebody writes again.
        from.delete(vec![DeleteRequest::new(key("a"))]).await.unwrap().check().unwrap();
        from.write(&key("new"), bytes(1, 1)).await.unwrap();
        let report = run(build()).await;
        let failed: Vec<_> = report.failures.iter().map(|failure| failure.key.to_string()).collect();
        assert_eq!((failed, report.deleted), (vec!["a".to_owned(), "x".to_owned()], 1), "{conditional}: {report:?}");
        assert_eq!(names(&to).await, ["a", "new", "x"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_filters_leave_out_is_neither_copied_nor_deleted() {
    let objects = [("keep/a.bak", 1), ("keep/b", 1), ("tmp/c", 1)];
    let filters = Filters::new().exclude("tmp/").exclude("*.bak");
    for (delete_excluded, left) in [(false, &["keep/b", "keep/old.bak", "tmp/c", "tmp/d"][..]), (true, &["keep/b"][..])]
    {
        let (from, to) = stores();
        fill(&from, &objects).await;
        fill(&to, &[("keep/gone", 1), ("keep/old.bak", 1), ("tmp/c", 9), ("tmp/d", 1)]).await;
        let report = run(mirror(&from, &to).filters(filters.clone()).delete_excluded(delete_excluded)).await;
        assert_eq!((report.status, report.objects), (Status::Complete, 1));
        assert_eq!(names(&to).await, left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stops_at_its_limit_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 100), ("b", 100), ("c", 100), ("d", 100), ("e", 100)]).await;
    fill(&to, &[("x", 1)]).await;
    let build = || mirror(&from, &to).journal(folder.path());
    let report = run(build().max_transfer(Some(150))).await;
    assert_eq!((report.status, report.objects, report.deleted), (Status::Limited, 2, 0));
    let report = run(build().max_duration(Some(Duration::ZERO))).await;
    assert_eq!((report.status, report.objects), (Status::Limited, 0), "it compares the lists from their beginning");
    let report = run(build()).await;
    assert_eq!((report.status, report.objects, report.resumed_objects, report.deleted), (Status::Complete, 5, 2, 1));
    assert_same(&from, &to).await;
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// Names that sort differently as bytes and as paths, and are often the same.
fn objects() -> impl Strategy<Value = BTreeMap<String, u8>> {
    proptest::collection::btree_map("[ab]{1,2}([-./][ab]){0,2}", 0u8..3, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever the two sides hold, a mirror leaves what the source has, does just
    /// what the difference of the two asks for, and said so before.
    #[test]
    fn a_mirror_does_what_the_difference_asks(ours in objects(), theirs in objects()) {
        runtime().block_on(async {
            let (from, to) = stores();
            for (store, objects) in [(&from, &ours), (&to, &theirs)] {
                for (name, seed) in objects {
                    store.write(&key(name), bytes(u64::from(*seed) + 1, 8)).await.unwrap();
                }
            }
            let planned: Vec<_> = mirror(&from, &to).build().unwrap().plan().try_collect().await.unwrap();
            let mut expected: BTreeMap<&String, PlannedAction> = BTreeMap::new();
            for (name, seed) in &ours {
                let copy = |reason| PlannedAction::Copy { reason, parts: 1, part_size: MIB as u64 };
                expected.insert(name, match theirs.get(name) {
                    None => copy(Reason::New),
                    Some(other) if other == seed => PlannedAction::Unchanged { by: ComparedBy::Etag },
                    Some(_) => copy(Reason::Etag),
                });
            }
            for name in theirs.keys().filter(|name| !ours.contains_key(*name)) {
                expected.insert(name, PlannedAction::Delete);
            }
            let found: Vec<_> = planned.iter().map(|planned| (planned.key.to_string(), planned.action.clone())).collect();
            let expected: Vec<_> = expected.into_iter().map(|(name, action)| (name.clone(), action)).collect();
            assert_eq!(found, expected);
            let report = run(mirror(&from, &to)).await;
            assert_eq!(report.status, Status::Complete);
            let count = |wanted: fn(&PlannedAction) -> bool| expected.iter().filter(|(_, action)| wanted(action)).count() as u64;
            assert_eq!(report.objects, count(|action| matches!(action, PlannedAction::Copy { .. })));
            assert_eq!(report.unchanged, count(|action| matches!(action, PlannedAction::Unchanged { .. })));
            assert_eq!(report.deleted, count(|action| matches!(action, PlannedAction::Delete)));
            assert_same(&from, &to).await;
        });
    }
}
