//! A plan that was saved does, later, just what it says, and nothing to what has
//! changed since.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use lepton_core::{Capabilities, ErrorKind, Location, MemoryStorage, RetryClass, StorageExt as _, Support};
use lepton_data::{ExistingPolicy, Status, Transfer, TransferBuilder};
use support::faulty::{Fault, Faulty};
use support::*;

fn mirror(from: &MemoryStorage, to: &MemoryStorage) -> TransferBuilder {
    transfer(shared(from), shared(to)).existing(ExistingPolicy::IfDifferent).delete(true).max_delete_percent(100)
}

/// Carries a plan out; the settings by which it was made play no part.
fn carry_out(from: &MemoryStorage, to: &MemoryStorage, plan: &Path) -> TransferBuilder {
    transfer(shared(from), shared(to)).saved_plan(plan).max_delete_percent(100)
}

async fn sides(to: MemoryStorage) -> (MemoryStorage, MemoryStorage) {
    let from = MemoryStorage::new();
    fill(&from, &[("changed", 10), ("large", 3 * MIB), ("new", 20), ("same", 30)]).await;
    fill(&to, &[("-", 0), ("gone", 5), ("changed", 11), ("same", 30), ("large", 5)]).await;
    to.write(&key("same"), bytes(4, 30)).await.unwrap();
    (from, to)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_saved_plan_does_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.jsonl");
    let (from, to) = sides(MemoryStorage::new()).await;
    let summary = mirror(&from, &to).build().unwrap().save_plan(&file).await.unwrap();
    assert_eq!((summary.copies, summary.unchanged, summary.deletes, summary.refused), (3, 1, 2, 0));
    assert_eq!(summary.bytes, 30 + 3 * MIB as u64);
    assert_eq!(list(&to).await.len(), 5, "nothing was done yet");
    // Objects that came since are not in the plan.
    from.write(&key("later"), bytes(1, 1)).await.unwrap();
    to.write(&key("later too"), bytes(1, 1)).await.unwrap();
    let report = carry_out(&from, &to, &file).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.unchanged, report.deleted), (Status::Complete, 3, 1, 2));
    let names: Vec<_> = list(&to).await.iter().map(|meta| meta.key.to_string()).collect();
    assert_eq!(names, ["changed", "large", "later too", "new", "same"]);
    for name in ["changed", "large", "new", "same"] {
        assert!(from.read(&key(name), u64::MAX).await.unwrap() == to.read(&key(name), u64::MAX).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_changed_since_the_plan_is_left_and_reported() {
    let mut weak = Capabilities::everything("weak");
    for support in
        [&mut weak.put_if_absent, &mut weak.put_if_match, &mut weak.conditional_complete, &mut weak.conditional_delete]
    {
        *support = Support::Unsupported;
    }
    weak.etag_is_md5 = true;
    for to in [MemoryStorage::new(), MemoryStorage::builder().capabilities(weak).build()] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.jsonl");
        let (from, to) = sides(to).await;
        mirror(&from, &to).build().unwrap().save_plan(&file).await.unwrap();
        for name in ["changed", "large", "new"] {
            to.write(&key(name), bytes(77, 77)).await.unwrap();
        }
        let report = carry_out(&from, &to, &file).build().unwrap().run().await.unwrap();
        let failed: Vec<_> = report.failures.iter().map(|failure| failure.key.to_string()).collect();
        assert_eq!((report.status, report.objects, report.deleted), (Status::Incomplete, 0, 0));
        assert_eq!(failed, ["changed", "large", "new"]);
        for name in ["changed", "large", "new"] {
            assert_eq!(to.read(&key(name), 100).await.unwrap(), bytes(77, 77), "{name} is as it was");
        }
        assert_eq!(list(&to).await.len(), 6, "nothing was deleted");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_of_something_else_or_half_a_plan_is_refused_before_anything_is_done() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.jsonl");
    let (from, to) = sides(MemoryStorage::new()).await;
    mirror(&from, &to).build().unwrap().save_plan(&file).await.unwrap();
    let other = MemoryStorage::new();
    let kind = async |builder: TransferBuilder| builder.build().unwrap().run().await.unwrap_err().kind();
    assert_eq!(kind(carry_out(&from, &other, &file)).await, ErrorKind::PlanMismatch);
    let inside = Location::new(shared(&to), "in");
    let elsewhere = Transfer::builder().from(shared(&from)).to(inside).saved_plan(&file);
    assert_eq!(kind(elsewhere).await, ErrorKind::PlanMismatch);
    let whole = std::fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.split_inclusive('\n').collect();
    for cut in 0..lines.len() {
        let mut left = lines.clone();
        left.remove(cut);
        std::fs::write(&file, left.concat()).unwrap();
        assert_eq!(kind(carry_out(&from, &to, &file)).await, ErrorKind::Corrupt, "without line {cut}");
    }
    assert_eq!(kind(carry_out(&from, &to, &folder.path().join("none"))).await, ErrorKind::NotFound);
    assert_eq!(list(&to).await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn carried_out_half_way_it_goes_on() {
    for after in 0..7 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("plan.jsonl");
        let (from, to) = sides(MemoryStorage::new()).await;
        mirror(&from, &to).build().unwrap().save_plan(&file).await.unwrap();
        let mut writes = 0;
        let dying = Faulty::new(&to, move |call, _| {
            writes += usize::from(matches!(call, "put" | "create" | "upload_part" | "complete"));
            (writes > after).then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
        });
        let journal = folder.path().join("journal");
        let build = |to| transfer(shared(&from), to).saved_plan(&file).max_delete_percent(100).journal(&journal);
        let ended = build(Arc::new(dying)).build().unwrap().run().await;
        assert!(ended.is_err(), "after {after}");
        let report = build(shared(&to)).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.objects, report.deleted), (Status::Complete, 3, 2), "after {after}");
        assert_same(&from, &to).await;
    }
}

/// As a nightly job does: a plan that could not be carried out whole binds no later run.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_came_to_its_end_binds_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = sides(MemoryStorage::new()).await;
    let journal = folder.path().join("journal");
    let plan = async |name: &str| {
        let file = folder.path().join(name);
        mirror(&from, &to).build().unwrap().save_plan(&file).await.unwrap();
        file
    };
    let first = plan("first").await;
    // Somebody else writes there meanwhile.
    to.write(&key("new"), bytes(9, 77)).await.unwrap();
    let run = async |builder: TransferBuilder| builder.journal(&journal).build().unwrap().run().await;
    let report = run(carry_out(&from, &to, &first)).await.unwrap();
    assert_eq!(report.status, Status::Incomplete, "{report:?}");
    let second = plan("second").await;
    let report = run(carry_out(&from, &to, &second)).await.unwrap();
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    assert_same(&from, &to).await;
    // The same with an ordinary run after it.
    let third = plan("third").await;
    from.write(&key("new"), bytes(10, 78)).await.unwrap();
    to.write(&key("new"), bytes(11, 79)).await.unwrap();
    let _ = run(carry_out(&from, &to, &third)).await.unwrap();
    let report = run(mirror(&from, &to)).await.unwrap();
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    assert_same(&from, &to).await;
}
