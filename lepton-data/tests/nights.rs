//! A mirror that runs every night: what cannot be done tonight does not keep later nights
//! from doing the rest, and nothing has to be removed by hand.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::path::Path;
use std::sync::Arc;

use lepton_core::{ErrorKind, MemoryStorage, RetryClass, SharedStorage, StorageExt as _};
use lepton_data::{ExistingPolicy, Report, Status, Transfer, TransferBuilder};
use support::faulty::{Fault, Faulty};
use support::*;

/// The nightly command: the same every night.
fn nightly(from: &MemoryStorage, to: &MemoryStorage, journal: &Path) -> TransferBuilder {
    transfer(shared(from), shared(to)).existing(ExistingPolicy::IfDifferent).journal(journal).max_delete_percent(100)
}

async fn run(builder: TransferBuilder) -> Report {
    builder.build().unwrap().run().await.unwrap()
}

/// A source whose object of this name gives no bytes.
fn archived(from: &MemoryStorage, name: &str) -> SharedStorage {
    let name = key(name);
    Arc::new(Faulty::new(from, move |call, key| {
        (call == "get" && *key == name).then_some(Fault::Fail(ErrorKind::Archived, RetryClass::Never))
    }))
}

async fn write(store: &MemoryStorage, name: &str, content: &'static str) {
    store.write(&key(name), content.into()).await.unwrap();
}

#[tokio::test]
async fn an_object_that_cannot_be_read_keeps_no_change_back() {
    for existing in [ExistingPolicy::IfDifferent, ExistingPolicy::IfNewer, ExistingPolicy::Overwrite] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = stores();
        fill(&from, &[("a", 10), ("bad", 10), ("c", 10)]).await;
        let builder = || nightly(&from, &to, folder.path()).existing(existing).from(archived(&from, "bad"));
        let first = run(builder()).await;
        assert_eq!((first.status, first.objects), (Status::Incomplete, 2), "{existing:?}");
        write(&from, "a", "changed").await;
        write(&from, "0new", "new").await;
        for night in 2..5 {
            let report = run(builder()).await;
            assert_eq!(report.status, Status::Incomplete, "{existing:?}, night {night}");
            assert_eq!(report.failures.len(), 1, "{:?}", report.failures);
            assert_eq!(to.read(&key("a"), 100).await.unwrap(), "changed", "{existing:?}, night {night}");
            assert_eq!(to.read(&key("0new"), 100).await.unwrap(), "new", "{existing:?}, night {night}");
            assert_eq!(report.bytes_read, if night == 2 { 10 } else { 0 }, "what is proven is not read again");
        }
        // The cause is gone.
        let report = run(builder().from(shared(&from))).await;
        assert_eq!((report.status, report.bytes_read), (Status::Complete, 10), "{existing:?}");
        assert_same(&from, &to).await;
    }
}

#[tokio::test]
async fn an_object_that_failed_and_is_gone_is_settled() {
    for delete in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = stores();
        fill(&from, &[("a", 10), ("bad", 10)]).await;
        write(&to, "bad", "an older one").await;
        let builder = || nightly(&from, &to, folder.path()).delete(delete);
        let first = run(builder().from(archived(&from, "bad"))).await;
        assert_eq!((first.status, first.deleted), (Status::Incomplete, 0));
        from.remove(&key("bad")).await.unwrap();
        let second = run(builder()).await;
        assert_eq!((second.status, second.deleted), (Status::Complete, u64::from(delete)), "{:?}", second.failures);
        assert_eq!(to.exists(&key("bad")).await.unwrap(), !delete, "only a mirror deletes it");
    }
    // Also by a run that overwrites whatever is there, without a look at the destination.
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("bad", 10)]).await;
    let builder = || nightly(&from, &to, folder.path()).existing(ExistingPolicy::Overwrite);
    assert_eq!(run(builder().from(archived(&from, "bad"))).await.status, Status::Incomplete);
    from.remove(&key("bad")).await.unwrap();
    let second = run(builder()).await;
    assert_eq!((second.status, second.objects, second.resumed_objects), (Status::Complete, 1, 1));
}

#[tokio::test]
async fn what_is_to_be_deleted_is_counted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b", 10)]).await;
    fill(&to, &[("x1", 10), ("x2", 10), ("x3", 10)]).await;
    let builder = || nightly(&from, &to, folder.path()).delete(true).max_delete(Some(2));
    for _ in 0..2 {
        let error = builder().build().unwrap().run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooManyDeletes);
        assert!(error.to_string().contains("3 of the destination's"), "{error}");
    }
    // Somebody else deletes one, and another is at the source by now.
    to.remove(&key("x1")).await.unwrap();
    write(&from, "x2", "is there now").await;
    let report = run(builder()).await;
    assert_eq!((report.status, report.deleted), (Status::Complete, 1));
    assert_same(&from, &to).await;
}

#[tokio::test]
async fn what_somebody_changed_at_the_destination_is_mended_the_next_night() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b", 10), ("bad", 10)]).await;
    let builder = || nightly(&from, &to, folder.path()).from(archived(&from, "bad"));
    let _ = run(builder()).await;
    write(&to, "a", "vandalised").await;
    to.remove(&key("b")).await.unwrap();
    let report = run(builder()).await;
    assert_eq!((report.objects, report.unchanged, report.bytes_read), (2, 0, 20));
    from.remove(&key("bad")).await.unwrap();
    let _ = run(builder()).await;
    assert_same(&from, &to).await;
}

/// A run that compares is killed on its way: the next one sees what changed before the
/// point that it had come to, and sends nothing again that has not changed.
#[tokio::test]
async fn a_run_that_was_ended_on_its_way_sees_changes_behind_it_and_sends_nothing_twice() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    let names: Vec<String> = (0..40).map(|i| format!("o{i:02}")).collect();
    for (i, name) in names.iter().enumerate() {
        from.write(&key(name), bytes(i as u64, 1000)).await.unwrap();
    }
    let stops: SharedStorage = Arc::new(Faulty::new(&from, |call, key| {
        let last = key.as_bytes() == b"o30";
        (call == "get" && last).then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
    }));
    let builder = || nightly(&from, &to, folder.path()).concurrency(1.try_into().unwrap()).adaptive(false);
    builder().from(stops).build().unwrap().run().await.unwrap_err();
    let brought = list(&to).await.len();
    assert!(brought >= 25, "{brought}");
    write(&from, "o00", "changed since").await;
    from.remove(&key("o01")).await.unwrap();
    let report = run(builder().delete(false)).await;
    assert_eq!(report.status, Status::Complete);
    assert_eq!(to.read(&key("o00"), 100).await.unwrap(), "changed since");
    assert_eq!(report.resumed_objects, brought as u64 - 2, "o00 was copied again, o01 is gone");
    let sent = 1000 * (40 - brought) as u64 + 13;
    assert_eq!(report.bytes_read, sent);
    let proven = lepton_data::ManifestReader::open(report.manifest.as_ref().unwrap()).unwrap();
    assert!(proven.map(|entry| entry.unwrap()).all(|entry| entry.digest().is_some()), "every proof is kept");
}

#[tokio::test]
async fn a_plan_protects_the_same_in_every_run_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b", 20), ("c", 30)]).await;
    write(&to, "b", "as the plan saw it").await;
    let plan = folder.path().join("plan");
    let builder = || Transfer::builder().from(shared(&from)).to(shared(&to)).server_copy(false);
    builder().existing(ExistingPolicy::IfDifferent).build().unwrap().save_plan(&plan).await.unwrap();
    write(&to, "b", "changed after the plan").await;
    let journal = folder.path().join("journal");
    let carry_out = || builder().saved_plan(&plan).journal(&journal);
    for night in 1..4 {
        let report = run(carry_out()).await;
        assert_eq!((report.status, report.failures.len()), (Status::Incomplete, 1), "run {night}");
        assert_eq!(report.failures[0].key, key("b"));
        assert_eq!(to.read(&key("b"), 100).await.unwrap(), "changed after the plan", "run {night}");
        assert_eq!(report.objects, 2, "run {night}");
    }
}

#[tokio::test]
async fn what_a_plan_refused_stays_refused() {
    let folder = tempfile::tempdir().unwrap();
    let mut capabilities = lepton_core::Capabilities::everything("store");
    capabilities.max_object = 15;
    let (from, to) = (MemoryStorage::new(), MemoryStorage::builder().capabilities(capabilities).build());
    fill(&from, &[("a", 10), ("large", 20)]).await;
    let plan = folder.path().join("plan");
    let journal = folder.path().join("journal");
    let builder = |to: &MemoryStorage| Transfer::builder().from(shared(&from)).to(shared(to)).server_copy(false);
    let summary = builder(&to).build().unwrap().save_plan(&plan).await.unwrap();
    assert_eq!((summary.copies, summary.refused), (1, 1));
    from.write(&key("large"), bytes(1, 5)).await.unwrap();
    for run_number in 1..4 {
        let report = run(builder(&to).saved_plan(&plan).journal(&journal)).await;
        assert_eq!((report.status, report.objects), (Status::Incomplete, 1), "run {run_number}");
        assert!(report.failures[0].error.contains("refused by the plan"), "{:?}", report.failures);
        assert!(!to.exists(&key("large")).await.unwrap(), "run {run_number}");
    }
}

/// The backup of what was replaced is not taken for the backup of what came later.
#[tokio::test]
async fn what_is_kept_is_kept_again_when_somebody_changed_it_since() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10)]).await;
    write(&to, "a", "first").await;
    let builder = || nightly(&from, &to, folder.path()).backup_prefix(Some("backup/".to_owned()));
    assert_eq!(run(builder().from(archived(&from, "a"))).await.status, Status::Incomplete);
    assert_eq!(to.read(&key("backup/a"), 100).await.unwrap(), "first");
    write(&to, "a", "second").await;
    let report = run(builder()).await;
    assert_eq!(report.status, Status::Incomplete, "the place of the backup is taken by another");
    assert!(report.failures[0].error.contains("backup"), "{:?}", report.failures);
    assert_eq!(to.read(&key("a"), 100).await.unwrap(), "second", "nothing is lost");
}
