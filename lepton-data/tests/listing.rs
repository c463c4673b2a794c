//! Where the names come from: listings in any order, and lists of keys.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lepton_core::{
    Attributes, Capabilities, ErrorKind, Location, MemoryStorage, PutOptions, RetryClass, StorageExt as _, Support,
};
use lepton_data::{Compare, ExistingPolicy, Filters, Status, Transfer, TransferBuilder};
use support::faulty::{Fault, Faulty};
use support::simulated::Simulated;
use support::*;

async fn many(store: &MemoryStorage, count: usize, seed: u64) {
    for i in 0..count {
        store.write(&key(&format!("k{i:05}")), bytes(seed + i as u64 % 3, i % 50)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stores_that_list_in_any_order_are_sorted_on_disk() {
    for (source, destination) in [(true, false), (false, true), (true, true)] {
        let (from, to) = stores();
        many(&from, 5000, 1).await;
        many(&to, 4000, 2).await;
        fill(&to, &[("a", 1), ("z", 1)]).await;
        let side = |store: &MemoryStorage, backwards: bool| {
            let faulty = Faulty::new(store, |_, _| None);
            Arc::new(if backwards { faulty.backwards() } else { faulty })
        };
        let transfer = transfer(side(&from, source), side(&to, destination))
            .existing(ExistingPolicy::IfDifferent)
            .delete(true)
            // Little enough that the sort goes to disk.
            .memory(4 << 20);
        let report = transfer.build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.extras, report.deleted), (Status::Complete, 2, 2), "{:?}", report.failures);
        assert_eq!(report.objects + report.unchanged, 5000);
        assert!(report.unchanged > 0 && report.objects > 1000);
        assert_same(&from, &to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_without_order_that_fails_half_way_begins_again() {
    let (from, to) = stores();
    many(&from, 3500, 1).await;
    let mut pages = 0;
    let faulty = Faulty::new(&from, move |call, _| {
        pages += usize::from(call == "list");
        (call == "list" && pages == 3).then_some(Fault::Fail(ErrorKind::Unavailable, RetryClass::Now))
    });
    let report = transfer(Arc::new(faulty.backwards()), shared(&to)).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.retries), (Status::Complete, 3500, 1));
    assert_same(&from, &to).await;
}

/// A store that takes its time for each page, and fails at one of them.
fn slow(store: &MemoryStorage, fails_at: usize) -> Faulty {
    let mut pages = 0;
    Faulty::new(store, move |call, _| {
        pages += usize::from(call == "list");
        match call {
            "list" if pages == fails_at => Some(Fault::Fail(ErrorKind::Unavailable, RetryClass::Now)),
            "list" => Some(Fault::Slow(30)),
            _ => None,
        }
    })
}

/// Time passes only while everything waits, so that a busy machine does not look like
/// objects that take longer than their listing.
fn simulated() -> Arc<Simulated> {
    let env = Simulated::new(1);
    env.begin_life(Duration::ZERO);
    env
}

#[tokio::test(start_paused = true)]
async fn a_slow_store_is_listed_by_ranges_and_nothing_is_lost() {
    for flat in [true, false] {
        for fails_at in [0, 3, 20, 25] {
            let (from, to) = stores();
            for i in 0..15_000 {
                let name = if flat { format!("in/object-{i:08}") } else { format!("in/f{:03}/{i}", i / 70) };
                from.write(&key(&name), bytes(1, 1)).await.unwrap();
                // Nothing but the listing is left to do, but for what comes last.
                if i < 14_990 {
                    to.write(&key(&name), bytes(1, 1)).await.unwrap();
                }
            }
            let source = slow(&from, fails_at);
            let place = Location::new(Arc::new(source.clone()), "in");
            let target = Location::new(shared(&to), "in");
            let transfer = Transfer::builder().from(place).to(target);
            let transfer = transfer.existing(ExistingPolicy::IfDifferent).compare(Compare::Size).runtime(simulated());
            let folder = tempfile::tempdir().unwrap();
            let transfer = transfer.journal(folder.path());
            let report = transfer.build().unwrap().run().await.unwrap();
            assert_eq!((report.status, report.unchanged), (Status::Complete, 14_990), "{flat} {fails_at}");
            assert_eq!(report.retries, u64::from(fails_at > 0), "{flat} {fails_at}");
            assert!(source.count("list") > 20, "not one after the other: {}", source.count("list"));
            assert_same(&from, &to).await;
        }
    }
}

/// Ranges cost a store more than pages one after the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_is_not_listed_by_ranges_where_the_objects_take_longer_still() {
    let (from, to) = stores();
    many(&from, 12_000, 1).await;
    let source = Faulty::new(&from, |call, _| match call {
        "list" => Some(Fault::Slow(12)),
        "get" => Some(Fault::Slow(1)),
        _ => None,
    });
    let transfer = transfer(Arc::new(source.clone()), shared(&to)).concurrency(NonZeroUsize::new(4).unwrap());
    let report = transfer.build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 12_000));
    assert!(source.count("list") < 16, "{}", source.count("list"));
}

/// Each range would be listed from the beginning.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_store_that_cannot_begin_behind_a_key_is_not_listed_by_ranges() {
    let mut capabilities = Capabilities::everything("no-start");
    capabilities.start_after = Support::Emulated;
    let from = MemoryStorage::builder().capabilities(capabilities).build();
    many(&from, 12_000, 1).await;
    let source = slow(&from, 0);
    let to = MemoryStorage::new();
    many(&to, 12_000, 1).await;
    let transfer = transfer(Arc::new(source.clone()), shared(&to)).existing(ExistingPolicy::IfDifferent);
    let report = transfer.compare(Compare::Size).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.unchanged), (Status::Complete, 12_000));
    assert!(source.count("list") <= 13, "{}", source.count("list"));
}

/// What comes before its turn waits on disk, with all that was told of it.
#[tokio::test(start_paused = true)]
async fn attributes_that_were_listed_by_ranges_are_not_asked_for() {
    let mut capabilities = Capabilities::everything("told");
    capabilities.list_attributes = true;
    let told = || MemoryStorage::builder().capabilities(capabilities.clone()).build();
    let (from, to) = (told(), told());
    let mut attributes = Attributes::default();
    attributes.user_metadata.insert("mtime".into(), "1577836800.5".into());
    for i in 0..15_000 {
        let (name, put) = (format!("object-{i:08}"), PutOptions::new().attributes(attributes.clone()));
        support::put(&from, &name, bytes(1, 1), put.clone()).await;
        // Another tag, so that only the time can tell.
        support::put(&to, &name, bytes(2, 1), put).await;
    }
    for backwards in [false, true] {
        let slow = slow(&from, 0);
        let source = if backwards { slow.backwards() } else { slow };
        let destination = Arc::new(Faulty::new(&to, |_, _| None));
        let transfer = transfer(Arc::new(source.clone()), destination.clone()).existing(ExistingPolicy::IfDifferent);
        // Little enough that a sort goes to disk.
        let folder = tempfile::tempdir().unwrap();
        let transfer = transfer.memory(4 << 20).runtime(simulated()).journal(folder.path());
        let report = transfer.build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.unchanged), (Status::Complete, 15_000), "{:?}", report.failures);
        assert_eq!((source.count("head"), destination.count("head")), (0, 0), "backwards: {backwards}");
        assert!(backwards || source.count("list") > 20, "{}", source.count("list"));
    }
}

fn listed(from: &MemoryStorage, to: &MemoryStorage, list: &Path) -> TransferBuilder {
    let (from, to) = (Location::new(shared(from), "in"), Location::new(shared(to), "out"));
    Transfer::builder().from(from).to(to).from_list(list)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_keys_takes_the_place_of_the_listing() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("list");
    let (from, to) = stores();
    fill(&from, &[("in/b", 1), ("in/a/x", 2), ("in/ü %", 30), ("in/c", 4), ("in/big", 50), ("in/bak", 6)]).await;
    std::fs::write(&list, "c\r\na/x\n\nü %\nc\nmissing\nbig\nbak").unwrap();
    let mut filters = Filters::new().exclude("bak");
    filters.max_size = Some(40);
    let journal = folder.path().join("journal");
    let source = Faulty::new(&from, |_, _| None);
    let place = Location::new(Arc::new(source.clone()), "in");
    let build = || listed(&from, &to, &list).from(place.clone()).filters(filters.clone()).journal(&journal);
    let report = build().build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Incomplete, 3));
    assert_eq!(report.failures.len(), 1);
    assert_eq!(
        (report.failures[0].key.to_string(), report.failures[0].kind.as_str()),
        ("in/missing".into(), "not_found")
    );
    assert_eq!(source.count("list"), 0, "the source is not listed");
    let names: Vec<_> = list_names(&to).await;
    assert_eq!(names, ["out/a/x", "out/c", "out/%C3%BC %25"]);
    // The same list goes on with what failed; another is another plan.
    from.write(&key("in/missing"), bytes(1, 1)).await.unwrap();
    let report = build().build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.resumed_objects), (Status::Complete, 4, 3));
    std::fs::write(&list, "b\nmissing\n").unwrap();
    let again = build().existing(ExistingPolicy::IfDifferent).build().unwrap().run().await.unwrap();
    assert_eq!((again.objects, again.unchanged), (1, 1), "a journal that came to its end binds nobody");
    let mirror = listed(&from, &to, &list).delete(true).build();
    assert_eq!(mirror.unwrap_err().kind(), ErrorKind::InvalidInput);
    let gone = listed(&from, &to, &folder.path().join("none")).build().unwrap().run().await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
}

async fn list_names(store: &MemoryStorage) -> Vec<String> {
    list(store).await.iter().map(|meta| meta.key.to_string()).collect()
}

/// As an S3 policy allows that grants `s3:GetObject` alone.
#[tokio::test(flavor = "multi_thread")]
async fn one_named_object_needs_no_permission_to_list() {
    let (from, to) = stores();
    fill(&from, &[("dir/a", 10), ("dir/ab", 20)]).await;
    let closed = Faulty::new(&from, |call, _| {
        (call == "list").then_some(Fault::Fail(ErrorKind::PermissionDenied, RetryClass::Never))
    });
    let source = |path: &str| Location::new(Arc::new(closed.clone()), path);
    let both = |path| transfer(shared(&from), shared(&to)).from(source(path));
    let report = both("dir/a").build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, list(&to).await[0].key.as_str()), (Status::Complete, 1, Some("a")));
    for path in ["dir/", "dir", "dir/none"] {
        let error = both(path).build().unwrap().run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{path}: {error}");
    }
}

/// The sizes of objects that are only named are not known before they are read.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_keys_ends_at_its_limit() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    let names: Vec<String> = (10..50).map(|number| number.to_string()).collect();
    for name in &names {
        from.write(&key(name), bytes(1, 1000)).await.unwrap();
    }
    let keys = folder.path().join("keys");
    std::fs::write(&keys, names.join("\n")).unwrap();
    let run = async |most| {
        let listed = transfer(shared(&from), shared(&to)).from_list(&keys).journal(folder.path().join("journal"));
        listed.concurrency(NonZeroUsize::MIN).max_transfer(most).build().unwrap().run().await.unwrap()
    };
    let report = run(Some(5000)).await;
    assert!(report.status == Status::Limited && (5..20).contains(&report.objects), "{report:?}");
    assert_eq!(run(None).await.status, Status::Complete);
    assert_same(&from, &to).await;
}
