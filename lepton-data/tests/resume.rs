//! A run that was ended is taken up by the same transfer on the same journal.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use lepton_core::{ErrorKind, MemoryStorage, Multipart as _, RetryClass, StorageExt as _, SystemRuntime};
use lepton_data::{ExistingPolicy, ManifestReader, Status};
use support::faulty::{Fault, Faulty};
use support::*;

/// A store whose writes fail for good from the `after`th on, as if the process
/// had died there.
fn dying(store: &MemoryStorage, after: usize) -> Faulty {
    let mut writes = 0;
    Faulty::new(store, move |called, _| {
        writes += usize::from(matches!(called, "put" | "create" | "upload_part" | "complete"));
        (writes > after).then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
    })
}

async fn uploads(store: &MemoryStorage, name: &str) -> usize {
    store.list_uploads(&key(name)).try_collect::<Vec<_>>().await.unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_after_any_number_of_writes_it_goes_on_and_sends_nothing_twice() {
    for existing in [ExistingPolicy::Overwrite, ExistingPolicy::Fail] {
        for after in 0..15 {
            let folder = tempfile::tempdir().unwrap();
            let (from, to) = stores();
            fill(&from, &[("a", 100), ("b", 4 * MIB), ("c", 200), ("d", 3 * MIB + 1), ("e", 0)]).await;
            let build = |target: Arc<Faulty>| {
                let one = NonZeroUsize::new(2).unwrap();
                transfer(shared(&from), target)
                    .existing(existing)
                    .concurrency(one)
                    .journal(folder.path())
                    .build()
                    .unwrap()
            };
            let first = Arc::new(dying(&to, after));
            let ended = build(Arc::clone(&first)).run().await;
            assert_eq!(ended.unwrap_err().kind(), ErrorKind::Unauthenticated, "after {after}");
            let second = Arc::new(Faulty::new(&to, |_, _| None));
            let report = build(Arc::clone(&second)).run().await.unwrap();
            assert_eq!((report.status, report.objects), (Status::Complete, 5), "after {after}: {:?}", report.failures);
            assert_same(&from, &to).await;
            let parts = first.effects("upload_part") + second.effects("upload_part");
            assert_eq!(parts, 8, "after {after}: no part is sent twice");
            let manifest = ManifestReader::open(&report.manifest.unwrap()).unwrap();
            assert_eq!(manifest.map(Result::unwrap).count(), 5);
            assert_eq!((uploads(&to, "b").await, uploads(&to, "d").await), (0, 0));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_the_store_holds_are_not_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("large", 8 * MIB)]).await;
    let build = |target: Arc<Faulty>| transfer(shared(&from), target).journal(folder.path()).build().unwrap();
    let die = Faulty::new(&to, |called, _| {
        (called == "complete").then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
    });
    build(Arc::new(die)).run().await.unwrap_err();
    assert_eq!(uploads(&to, "large").await, 1);
    let second = Arc::new(Faulty::new(&to, |_, _| None));
    let report = build(Arc::clone(&second)).run().await.unwrap();
    assert_eq!((second.count("upload_part"), second.count("create"), second.count("complete")), (0, 0, 1));
    assert_eq!((report.resumed_bytes, report.bytes), (8 * MIB as u64, 8 * MIB as u64));
    assert_same(&from, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changed_between_the_runs_is_sent_whole_and_its_upload_aborted() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("gone", 3 * MIB), ("large", 4 * MIB)]).await;
    let build = |target: Arc<Faulty>| transfer(shared(&from), target).journal(folder.path()).build().unwrap();
    build(Arc::new(dying(&to, 5))).run().await.unwrap_err();
    from.write(&key("large"), bytes(55, 4 * MIB)).await.unwrap();
    from.remove(&key("gone")).await.unwrap();
    let report = build(Arc::new(Faulty::new(&to, |_, _| None))).run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    assert_eq!((uploads(&to, "large").await, uploads(&to, "gone").await), (0, 0));
    assert_eq!(to.read(&key("large"), u64::MAX).await.unwrap(), bytes(55, 4 * MIB));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_upload_is_reported_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("large", 3 * MIB)]).await;
    let stranger = to.create(&key("large"), lepton_core::CreateUploadOptions::new()).await.unwrap();
    let spec = lepton_core::PartSpec::new(1, 0..5);
    to.upload_part(&stranger, spec, lepton_core::Body::from("hello")).await.unwrap();
    let build = |target: Arc<Faulty>| transfer(shared(&from), target).journal(folder.path()).build().unwrap();
    // The answer to the request for an upload is lost with the process.
    let mut lost = false;
    let die = Faulty::new(&to, move |called, _| match called {
        "create" if !std::mem::replace(&mut lost, true) => Some(Fault::LoseReply),
        "create" | "abort" => Some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never)),
        _ => None,
    });
    build(Arc::new(die)).run().await.unwrap_err();
    assert_eq!(uploads(&to, "large").await, 2);
    let report = build(Arc::new(Faulty::new(&to, |_, _| None))).run().await.unwrap();
    assert_eq!(report.foreign_uploads, [format!("large (upload {})", stranger.id)]);
    assert_eq!(uploads(&to, "large").await, 1);
    assert_same(&from, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_plan_and_a_second_run_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 1)]).await;
    let build = || transfer(shared(&from), shared(&to)).journal(folder.path());
    let running = build().build().unwrap().start().await.unwrap();
    let second = build().build().unwrap().start().await;
    let ended = running.wait().await;
    assert_eq!(second.unwrap_err().kind(), ErrorKind::Locked);
    let _ = ended.unwrap();
    fill(&from, &[("b", 1)]).await;
    let report = build().build().unwrap().run().await.unwrap();
    assert_eq!((report.objects, report.resumed_objects), (2, 0), "a finished journal makes way for a new run");
    let skipping = build().existing(ExistingPolicy::Skip).build().unwrap().run().await.unwrap();
    assert_eq!(skipping.skipped, 2, "also for a run with other options");
    let interrupted = |writes| {
        let die = Arc::new(dying(&to, writes));
        let one = NonZeroUsize::MIN;
        transfer(shared(&from), die).journal(folder.path()).part_size(2 << 20).concurrency(one).build().unwrap()
    };
    interrupted(0).run().await.unwrap_err();
    let report = build().build().unwrap().run().await.unwrap();
    assert_eq!(report.objects, 2, "a journal in which nothing was written binds nobody");
    interrupted(1).run().await.unwrap_err();
    let error = build().build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PlanMismatch);
    assert!(error.to_string().contains("part_size was 2097152 and is now 1048576"), "{error}");
    let elsewhere = transfer(shared(&from), shared(&MemoryStorage::new())).journal(folder.path());
    let error = elsewhere.existing(ExistingPolicy::Skip).build().unwrap().run().await.unwrap_err();
    assert!(error.to_string().contains("destination was"), "{error}");
    let skipping = build().existing(ExistingPolicy::Skip).build().unwrap().run().await.unwrap();
    assert_eq!(skipping.skipped, 2, "a run that compares begins anew under other options");
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_objects_are_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    for i in 0..2000u64 {
        from.write(&key(&format!("{i:04}")), bytes(i, 10)).await.unwrap();
    }
    let refuse = Faulty::new(&to, |called, name| {
        let bad = name.as_bytes().ends_with(b"00");
        (called == "put" && bad).then_some(Fault::Fail(ErrorKind::TooLarge, RetryClass::Never))
    });
    let build = |target: Arc<Faulty>| transfer(shared(&from), target).journal(folder.path()).build().unwrap();
    let report = build(Arc::new(refuse)).run().await.unwrap();
    assert_eq!((report.status, report.failures.len(), report.objects), (Status::Incomplete, 20, 1980));
    let second = Arc::new(Faulty::new(&to, |_, _| None));
    let report = build(Arc::clone(&second)).run().await.unwrap();
    assert_eq!((report.status, report.objects, second.count("put")), (Status::Complete, 2000, 20));
    assert_same(&from, &to).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_it_rests_and_cancelled_it_can_be_taken_up() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    for i in 0..400u64 {
        from.write(&key(&format!("{i:03}")), bytes(i, 100)).await.unwrap();
    }
    let build = || transfer(shared(&from), shared(&to)).journal(folder.path()).build().unwrap();
    let handle = build().start().await.unwrap();
    handle.pause();
    // What was on its way ends; then nothing moves.
    let mut before = None;
    while before.replace(handle.progress().objects) != Some(handle.progress().objects) {
        SystemRuntime::shared().sleep(Duration::from_millis(50)).await;
    }
    assert!(handle.progress().objects < 400);
    handle.resume();
    handle.pause();
    handle.cancel();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status, report.failures.len()), (Status::Cancelled, 0));
    let report = build().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 400));
    assert_same(&from, &to).await;
}

/// A damaged journal is replaced on request, and that of a run that is still going is not touched.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_anew_on_request() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("big", 3 * MIB)]).await;
    let build = |to: lepton_core::SharedStorage| transfer(shared(&from), to).journal(folder.path());
    // It ends within the large object.
    let ends = Faulty::new(&to, |call, _| {
        (call == "complete").then_some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never))
    });
    build(Arc::new(ends)).build().unwrap().run().await.unwrap_err();
    // Its upload is resumed or aborted, whatever the options are.
    let report = build(shared(&to)).begin_anew(true).part_size(2 * MIB as u64).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, uploads(&to, "big").await), (Status::Complete, 0));
    assert_same(&from, &to).await;

    let segment = folder.path().join("journal-000001.log");
    let mut bytes = std::fs::read(&segment).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert_eq!(build(shared(&to)).build().unwrap().run().await.unwrap_err().kind(), ErrorKind::Corrupt);
    let report = build(shared(&to)).begin_anew(true).build().unwrap().run().await.unwrap();
    assert_eq!(report.status, Status::Complete);

    std::fs::write(folder.path().join("proofs.jsonl"), "of a run that is going").unwrap();
    let lock = std::fs::File::open(folder.path().join("journal.lock")).unwrap();
    while lock.try_lock().is_err() {
        pause(1).await;
    }
    let error = build(shared(&to)).begin_anew(true).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Locked);
    assert!(folder.path().join("proofs.jsonl").exists(), "the files of the other run stay");
}
