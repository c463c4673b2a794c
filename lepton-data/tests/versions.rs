//! All versions of a bucket in order.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, Capabilities, DeleteRequest, ErrorKind, Location, MemoryStorage, Multipart as _, ObjectVersion,
    PutOptions, RetryClass, SharedStorage, Storage as _, StorageExt as _, Support,
};
use lepton_data::{
    Compare, ExistingPolicy, Filters, ManifestEntry, ManifestReader, PrefixMap, Report, RunControl, Status,
    TransferBuilder, VerifyDepth, verify,
};
use support::faulty::{Fault, Faulty};
use support::histories::{assert_histories, histories, listed, versioned};
use support::*;

/// Writes versions of a key, the oldest first: sizes, and 0 for a delete marker. Equal
/// sizes have equal bytes.
async fn write(store: &MemoryStorage, name: &str, sizes: &[usize]) {
    for size in sizes {
        match size {
            0 => store.remove(&key(name)).await.unwrap(),
            size => drop(store.write(&key(name), bytes(*size as u64, *size)).await.unwrap()),
        }
    }
}

fn moving(from: SharedStorage, to: SharedStorage, journal: &Path) -> TransferBuilder {
    transfer(from, to).versions(true).journal(journal)
}

fn entries(report: &Report) -> Vec<ManifestEntry> {
    ManifestReader::open(report.manifest.as_ref().unwrap()).unwrap().map(Result::unwrap).collect()
}

/// Asserts that the manifest has each version of each key once, in order, and is right.
async fn assert_proven(report: &Report, to: &MemoryStorage, what: &str) {
    for version in listed(to).await {
        let lines = entries(report);
        let of_it = lines.iter().filter(|line| line.key == version.meta.key && line.version == version.meta.version);
        assert_eq!(of_it.count(), 1, "{what}: {version:?}");
        let numbers = lines.iter().filter(|line| line.key == version.meta.key).map(|line| line.history.unwrap());
        let numbers: Vec<_> = numbers.map(|history| (history.number, history.of)).collect();
        let of = numbers.len() as u64;
        assert_eq!(numbers, (1..=of).map(|number| (number, of)).collect::<Vec<_>>(), "{what}");
    }
    for depth in [VerifyDepth::Full, VerifyDepth::Quick] {
        let found = verify(report.manifest.as_ref().unwrap(), &Location::from(shared(to)), depth).await.unwrap();
        assert!(found.is_proven(), "{what}: {:?}", found.problems);
    }
}

/// Histories of every kind: 21 versions.
async fn a_bucket() -> MemoryStorage {
    let store = versioned();
    for (name, sizes) in [
        ("a", &[10, 20, 30][..]),
        ("a/b", &[5]),
        ("back", &[10, 0, 20]),
        ("equal", &[10, 10, 0, 10, 10]),
        ("gone", &[10, 0]),
        ("large", &[3 * MIB, 3 * MIB, 10]),
        ("twice gone", &[10, 0, 0, 20]),
    ] {
        write(&store, name, sizes).await;
    }
    store
}

#[tokio::test(flavor = "multi_thread")]
async fn every_version_comes_in_order_and_a_second_run_only_looks() {
    let from = a_bucket().await;
    for copies in [false, true] {
        for apart in [false, true] {
            let what = format!("copies {copies}, markers apart {apart}");
            let (to, folder) = (versioned(), tempfile::tempdir().unwrap());
            let wrap = |store: &MemoryStorage| {
                let store = Faulty::new(store, |_, _| None);
                let store = if copies { store.copying() } else { store };
                Arc::new(if apart { store.apart() } else { store })
            };
            let (source, target) = (wrap(&from), wrap(&to));
            let build = |target: &Arc<Faulty>| {
                moving(source.clone(), target.clone(), folder.path()).server_copy(copies).build().unwrap()
            };
            let report = build(&target).run().await.unwrap();
            assert_eq!((report.status, report.objects, report.unchanged), (Status::Complete, 21, 0), "{what}");
            assert_eq!((report.bytes, report.failed()), (6 * MIB as u64 + 185, 0), "{what}");
            assert_eq!(report.server_copies, if copies { 16 } else { 0 }, "{what}");
            assert_histories(&from, &to, &what).await;
            assert_proven(&report, &to, &what).await;
            let again = wrap(&to);
            let report = build(&again).run().await.unwrap();
            assert_eq!((report.status, report.objects, report.unchanged), (Status::Complete, 0, 21), "{what}");
            let writes = ["put", "create", "complete", "copy", "delete", "get"].map(|call| again.count(call));
            assert_eq!(writes, [0; 6], "{what}");
            assert_proven(&report, &to, &what).await;
            write(&from, "a", &[40, 0]).await;
            let report = build(&wrap(&to)).run().await.unwrap();
            assert_eq!((report.status, report.objects, report.unchanged), (Status::Complete, 2, 21), "{what}");
            assert_histories(&from, &to, &what).await;
            from.delete(
                listed(&from)
                    .await
                    .into_iter()
                    .filter(|version| version.meta.key == key("a"))
                    .skip(3)
                    .map(erase)
                    .collect(),
            )
            .await
            .unwrap()
            .check()
            .unwrap();
        }
    }
}

fn erase(version: ObjectVersion) -> DeleteRequest {
    DeleteRequest::new(version.meta.key).version(version.meta.version)
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_tags_names_and_filters_go_with_each_version() {
    let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
    for number in 1..=2u64 {
        let mut attributes = Attributes::default();
        attributes.user_metadata.insert("number".into(), number.to_string());
        attributes.tags.insert("tag".into(), number.to_string());
        put(&from, "old/a", bytes(7, 10), PutOptions::new().attributes(attributes)).await;
    }
    write(&from, "old/b", &[10, 0]).await;
    write(&from, "left out", &[10, 20]).await;
    let filters = Filters::new().exclude("left*");
    let build = moving(shared(&from), shared(&to), folder.path()).map(vec![PrefixMap::new("old/", "new/")]);
    let report = build.filters(filters).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 4));
    let names: Vec<_> = histories(&to).await.into_iter().map(|(name, versions)| (name, versions.len())).collect();
    assert_eq!(names, [("new/b".to_owned(), 2), ("new/a".to_owned(), 2)]);
    let versions: Vec<_> = listed(&to).await.into_iter().filter(|version| version.meta.key == key("new/a")).collect();
    for (number, version) in (1..).zip(versions) {
        let options = lepton_core::HeadOptions::new().version(version.meta.version).tags(true);
        let attributes = to.head(&key("new/a"), options).await.unwrap().attributes;
        assert_eq!(attributes.user_metadata["number"], number.to_string());
        assert_eq!(attributes.tags["tag"], number.to_string());
    }
    assert_proven(&report, &to, "renamed").await;
    assert!(entries(&report).iter().all(|line| line.source_key.is_some()));
}

/// Faults at every call that may change something, each at its first time for a key.
#[tokio::test(flavor = "multi_thread")]
async fn lost_answers_make_no_version_twice_and_lose_none() {
    for (fault, conditional) in
        [(Fault::LoseReply, true), (Fault::LoseReply, false), (Fault::LoseRequest, true), (Fault::LoseRequest, false)]
    {
        for copies in [false, true] {
            let what = format!("{fault:?}, conditional {conditional}, copies {copies}");
            let (from, folder) = (a_bucket().await, tempfile::tempdir().unwrap());
            let mut capabilities = Capabilities::everything("store");
            if !conditional {
                capabilities.put_if_absent = Support::Unsupported;
                capabilities.put_if_match = Support::Unsupported;
                capabilities.conditional_complete = Support::Unsupported;
                capabilities.conditional_delete = Support::Unsupported;
            }
            let to = MemoryStorage::builder().versioned(true).capabilities(capabilities).build();
            let (mut calls, lost) = (0, fault.clone());
            let target = Faulty::new(&to, move |call, _| {
                let writes = matches!(call, "put" | "create" | "upload_part" | "complete" | "copy" | "delete");
                calls += usize::from(writes);
                // Every other one, so that the next attempt works.
                (writes && calls % 2 == 1).then(|| lost.clone())
            });
            let target = Arc::new(if copies { target.copying() } else { target });
            let moving = moving(shared(&from), target.clone(), folder.path()).server_copy(copies);
            let report = moving.concurrency(NonZeroUsize::MIN).build().unwrap().run().await.unwrap();
            assert_eq!((report.status, report.objects), (Status::Complete, 21), "{what}: {:?}", report.failures);
            let made: usize = ["put", "complete", "copy"].map(|call| target.effects(call)).iter().sum();
            assert_eq!((made, target.effects("delete")), (16, 5), "{what}");
            assert_histories(&from, &to, &what).await;
            assert_proven(&report, &to, &what).await;
            assert_eq!(to.list_uploads(&key("large")).try_collect::<Vec<_>>().await.unwrap().len(), 0, "{what}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_at_any_write_it_goes_on_and_no_version_comes_twice() {
    for (at, after) in (1..=29).flat_map(|at| [(at, false), (at, true)]) {
        let what = format!("ended at write {at}, after it {after}");
        let (from, to, folder) = (a_bucket().await, versioned(), tempfile::tempdir().unwrap());
        let build = |target: Faulty| {
            let moving = moving(shared(&from), Arc::new(target), folder.path());
            moving.concurrency(NonZeroUsize::MIN).build().unwrap()
        };
        // From some write on the store takes nothing more, as if the process had died.
        let mut writes = 0;
        let dying = Faulty::new(&to, move |call, _| {
            let write = matches!(call, "put" | "create" | "upload_part" | "complete" | "delete");
            let dead = writes >= at;
            writes += usize::from(write);
            match () {
                () if dead || (write && writes == at && !after) => {
                    Some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
                }
                () if write && writes == at => Some(Fault::LoseReply),
                () => None,
            }
        });
        let ended = build(dying).run().await;
        assert_eq!(ended.unwrap_err().kind(), ErrorKind::Unauthenticated, "{what}");
        let report = build(Faulty::new(&to, |_, _| None)).run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{what}: {:?}", report.failures);
        assert_eq!(report.objects + report.unchanged, 21, "{what}");
        // Of each key on its way at most the one that was not answered, or not looked at.
        assert!(report.unchanged <= 4, "{what}: {} versions are found there", report.unchanged);
        assert_histories(&from, &to, &what).await;
        assert_proven(&report, &to, &what).await;
        assert_eq!(to.list_uploads(&key("large")).try_collect::<Vec<_>>().await.unwrap().len(), 0, "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_between_two_versions_it_goes_on_with_the_next() {
    let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
    write(&from, "a", &[10, 10, 0, 20, 30]).await;
    let build = |target: Faulty| moving(shared(&from), Arc::new(target), folder.path()).build().unwrap();
    let control: Arc<OnceLock<RunControl>> = Arc::default();
    let cancel = Arc::clone(&control);
    let mut puts = 0;
    let target = Faulty::new(&to, move |call, _| {
        puts += usize::from(call == "put");
        if call == "put" && puts == 2 {
            cancel.wait().cancel();
        }
        None
    });
    let handle = build(target).start().await.unwrap();
    control.set(handle.control()).unwrap();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Cancelled, 2));
    let report = build(Faulty::new(&to, |_, _| None)).run().await.unwrap();
    assert_eq!((report.status, report.objects, report.resumed_objects), (Status::Complete, 5, 2));
    assert_eq!(report.unchanged, 0, "what is recorded is not told again");
    assert_histories(&from, &to, "cancelled").await;
    assert_proven(&report, &to, "cancelled").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_an_earlier_run_left_go_to_their_version_only() {
    let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
    write(&from, "large", &[4 * MIB, 4 * MIB]).await;
    let build = |target: Arc<Faulty>| moving(shared(&from), target, folder.path()).build().unwrap();
    let mut completes = 0;
    let dying = Faulty::new(&to, move |call, _| {
        completes += usize::from(call == "complete");
        (completes == 2).then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
    });
    build(Arc::new(dying)).run().await.unwrap_err();
    let second = Arc::new(Faulty::new(&to, |_, _| None));
    let report = build(Arc::clone(&second)).run().await.unwrap();
    assert_eq!((second.count("upload_part"), second.count("create"), second.count("complete")), (0, 0, 1));
    assert_eq!((report.objects, report.resumed_objects), (2, 1));
    assert_histories(&from, &to, "taken up").await;
    assert_proven(&report, &to, "taken up").await;
    // The version that parts were left of is gone: they are given up.
    write(&from, "large", &[5 * MIB]).await;
    let mut calls = 0;
    let dying = Faulty::new(&to, move |call, _| {
        calls += usize::from(call == "upload_part");
        (calls > 2).then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
    });
    build(Arc::new(dying)).run().await.unwrap_err();
    assert_eq!(to.list_uploads(&key("large")).try_collect::<Vec<_>>().await.unwrap().len(), 1);
    from.delete(vec![erase(listed(&from).await.pop().unwrap())]).await.unwrap().check().unwrap();
    let report = build(Arc::new(Faulty::new(&to, |_, _| None))).run().await.unwrap();
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    assert_eq!(to.list_uploads(&key("large")).try_collect::<Vec<_>>().await.unwrap().len(), 0);
    assert_histories(&from, &to, "given up").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_history_is_refused_and_nothing_of_it_is_written() {
    for (ours, theirs) in [
        (&[10, 20][..], &[20][..]),
        (&[10, 20], &[10, 30]),
        (&[10, 20], &[10, 20, 30]),
        (&[10, 20], &[10, 0]),
        (&[10, 0, 20], &[10, 20]),
        (&[10], &[10, 0, 0]),
    ] {
        let what = format!("{ours:?} to {theirs:?}");
        let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
        write(&from, "a", ours).await;
        write(&from, "b", &[10, 0]).await;
        write(&to, "a", theirs).await;
        let before = listed(&to).await;
        let report = moving(shared(&from), shared(&to), folder.path()).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.objects, report.failed()), (Status::Incomplete, 2, 1), "{what}");
        assert_eq!(report.failures[0].kind, ErrorKind::AlreadyExists.code(), "{what}");
        assert!(report.failures[0].error.contains("not the beginning of the source's"), "{:?}", report.failures);
        let now: Vec<_> = listed(&to).await.into_iter().filter(|version| version.meta.key == key("a")).collect();
        assert_eq!(now, before, "{what}");
        // Once it is out of the way, the next run moves the key, and compares the others.
        to.delete(before.into_iter().map(erase).collect()).await.unwrap().check().unwrap();
        let report = moving(shared(&from), shared(&to), folder.path()).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.objects), (Status::Complete, ours.len() as u64), "{what}");
        assert_eq!(report.unchanged, 2, "{what}");
        assert_histories(&from, &to, &what).await;
        assert_proven(&report, &to, &what).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_where_there_was_nothing_need_not_be_made() {
    let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
    write(&from, "expired", &[10, 0]).await;
    write(&from, "first", &[10, 0, 20]).await;
    let oldest = listed(&from).await.into_iter().filter(|version| version.meta.size == 10);
    from.delete(oldest.map(erase).collect()).await.unwrap().check().unwrap();
    for unchanged in [0, 1] {
        let report = moving(shared(&from), shared(&to), folder.path()).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.unchanged), (Status::Complete, 2 * unchanged), "{:?}", report.failures);
        let made: Vec<_> = histories(&to).await.into_iter().map(|(name, versions)| (name, versions.len())).collect();
        assert_eq!(made, [("first".to_owned(), 1)]);
        let unmade = entries(&report).into_iter().filter(|line| line.delete_marker && line.version.is_none());
        assert_eq!(unmade.count(), 2);
        let found =
            verify(report.manifest.as_ref().unwrap(), &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
        assert!(found.is_proven(), "{:?}", found.problems);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_who_writes_the_key_is_told_and_loses_nothing() {
    for conditional in [true, false] {
        let (from, folder) = (versioned(), tempfile::tempdir().unwrap());
        write(&from, "a", &[10, 20, 30]).await;
        let mut capabilities = Capabilities::everything("store");
        if !conditional {
            capabilities.put_if_match = Support::Unsupported;
        }
        let to = MemoryStorage::builder().versioned(true).capabilities(capabilities).build();
        let mut puts = 0;
        let target = Faulty::new(&to, move |call, _| {
            puts += usize::from(call == "put");
            let meddle = |store: &MemoryStorage| {
                futures_util::FutureExt::now_or_never(store.write(&key("a"), bytes(99, 99))).unwrap().unwrap();
            };
            (call == "put" && puts == 2).then_some(Fault::Meddle(meddle))
        });
        let report = moving(shared(&from), Arc::new(target), folder.path()).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.failed()), (Status::Incomplete, 1));
        let kind = if conditional { ErrorKind::PreconditionFailed } else { ErrorKind::Conflict };
        assert_eq!(report.failures[0].kind, kind.code(), "{:?}", report.failures);
        let sizes: Vec<_> = listed(&to).await.into_iter().map(|version| version.meta.size).collect();
        let expected = if conditional { &[10, 99][..] } else { &[10, 99, 20, 30] };
        assert_eq!(sizes, expected, "conditional {conditional}");
    }
}

/// One key that can never be done does not hide new versions of the others.
#[tokio::test(flavor = "multi_thread")]
async fn a_failing_key_does_not_keep_new_versions_from_being_seen() {
    let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
    write(&from, "bad", &[10]).await;
    write(&from, "good", &[20]).await;
    // Another history.
    write(&to, "bad", &[99]).await;
    let run = async || moving(shared(&from), shared(&to), folder.path()).build().unwrap().run().await.unwrap();
    for versions in 1..4 {
        let report = run().await;
        assert_eq!((report.status, report.failed()), (Status::Incomplete, 1), "{:?}", report.failures);
        let there = listed(&to).await.into_iter().filter(|version| version.meta.key == key("good")).count();
        assert_eq!(there, versions);
        write(&from, "good", &[20 + versions]).await;
        write(&from, &format!("new{versions}"), &[5]).await;
    }
    assert!(to.exists(&key("new2")).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_finds_what_is_missing_of_a_history() {
    let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
    write(&from, "a", &[10, 0, 20]).await;
    let report = moving(shared(&from), shared(&to), folder.path()).build().unwrap().run().await.unwrap();
    for (number, version) in listed(&to).await.into_iter().take(2).enumerate() {
        to.delete(vec![erase(version.clone())]).await.unwrap().check().unwrap();
        for depth in [VerifyDepth::Full, VerifyDepth::Quick] {
            let found = verify(report.manifest.as_ref().unwrap(), &Location::from(shared(&to)), depth).await.unwrap();
            assert_eq!(found.failed, number as u64 + 1, "{:?}", found.problems);
            let name = version.meta.version.as_ref().unwrap().as_str();
            assert!(found.problems.iter().any(|problem| problem.reason.contains(name)), "{:?}", found.problems);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_go_with_versions_is_refused_by_name() {
    let (from, to) = (versioned(), versioned());
    let build = || transfer(shared(&from), shared(&to)).versions(true);
    let (mut sized, mut aged) = (Filters::new(), Filters::new());
    (sized.max_size, aged.min_age) = (Some(1), Some(Duration::from_secs(1)));
    let refused = |builder: TransferBuilder, name: &str| {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        let said = error.to_string();
        assert!(said.contains("versions does not go with") && said.contains(name), "{said}");
    };
    refused(build().delete(true), "delete");
    refused(build().delete(true).delete_versions(true), "delete");
    refused(build().backup_prefix(Some("kept/".into())), "backup_prefix");
    for existing in [ExistingPolicy::Skip, ExistingPolicy::Fail, ExistingPolicy::IfNewer, ExistingPolicy::Immutable] {
        refused(build().existing(existing), "existing");
    }
    for compare in [Compare::Size, Compare::Time] {
        refused(build().compare(compare), "compare");
    }
    refused(build().filters(sized), "min_size and max_size");
    refused(build().filters(aged), "min_age and max_age");
    refused(build().from_list("list"), "a list of keys");
    refused(build().saved_plan("plan"), "a saved plan");
    for existing in [ExistingPolicy::Overwrite, ExistingPolicy::IfDifferent] {
        for compare in [Compare::Auto, Compare::Etag, Compare::Checksum, Compare::Content] {
            let _ = build().existing(existing).compare(compare).build().unwrap();
        }
    }
    let planned = build().build().unwrap().plan().try_collect::<Vec<_>>().await.unwrap_err();
    assert!(planned.to_string().contains("versions does not go with a plan or a dry run"), "{planned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_that_keep_no_versions_are_refused() {
    let (with, without) = (versioned(), MemoryStorage::new());
    write(&with, "a", &[10]).await;
    for (from, to, side) in [(&without, &with, "source"), (&with, &without, "destination")] {
        let error = transfer(shared(from), shared(to)).versions(true).build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains(&format!("the {side} memory:")), "{error}");
    }
    let to = versioned();
    let suspended = Arc::new(Faulty::new(&to, |_, _| None).suspended());
    let error = transfer(shared(&with), suspended).versions(true).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("enable versioning there"), "{error}");
    assert!(listed(&to).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_are_compared_by_what_compare_says() {
    for compare in [Compare::Auto, Compare::Checksum, Compare::Content] {
        for silent in [false, true] {
            let what = format!("{compare:?}, silent {silent}");
            let (from, to, folder) = (versioned(), versioned(), tempfile::tempdir().unwrap());
            // In parts at the destination, so that the tags differ.
            write(&from, "large", &[3 * MIB, 2 * MIB]).await;
            let build = || {
                let target = Faulty::new(&to, |_, _| None);
                let target = if silent { target.silent() } else { target };
                moving(shared(&from), Arc::new(target), folder.path()).compare(compare).build().unwrap()
            };
            let _ = build().run().await.unwrap();
            let report = build().run().await.unwrap();
            assert_eq!((report.objects, report.unchanged), (0, 2), "{what}: {:?}", report.failures);
            // Of the same size, and other bytes.
            let oldest = listed(&to).await.remove(0);
            to.delete(listed(&to).await.into_iter().map(erase).collect()).await.unwrap().check().unwrap();
            to.write(&key("large"), bytes(1, usize::try_from(oldest.meta.size).unwrap())).await.unwrap();
            let report = build().run().await.unwrap();
            assert_eq!((report.objects, report.failed()), (0, 1), "{what}");
        }
    }
}
