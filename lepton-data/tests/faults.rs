//! What a transfer makes of failures: it tries again where that can help, reads
//! back where the outcome is unknown, and names what is left.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Body, ErrorKind, MemoryStorage, Multipart as _, PutOptions, RetryClass, Storage as _, StorageExt as _,
};
use lepton_data::{ExistingPolicy, Status};
use support::faulty::{Fault, Faulty, nth};
use support::*;

async fn no_uploads(store: &MemoryStorage, name: &str) {
    let uploads: Vec<_> = store.list_uploads(&key(name)).try_collect().await.unwrap();
    assert!(uploads.is_empty(), "{uploads:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_lost_reply_is_settled_without_a_failure_or_an_orphan() {
    for existing in [ExistingPolicy::Overwrite, ExistingPolicy::Fail] {
        for operation in ["put", "create", "upload_part", "complete"] {
            let (from, to) = stores();
            fill(&from, &[("large", 3 * MIB + 1), ("small", 1000)]).await;
            let faulty = Faulty::new(&to, nth(operation, 0, Fault::LoseReply));
            let built = transfer(shared(&from), Arc::new(faulty)).existing(existing).build().unwrap();
            let report = built.run().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{operation} {existing:?}: {:?}", report.failures);
            assert_same(&from, &to).await;
            no_uploads(&to, "large").await;
        }
    }
}

/// As versitygw does, if it is killed within the first request.
#[test]
fn a_repeated_completion_that_is_confirmed_without_an_object_is_found() {
    for (before, killed) in [(false, false), (true, false), (false, true), (true, true)] {
        let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
        let run = |target: &Faulty| {
            let target = Arc::new(target.clone());
            transfer(shared(&from), target).journal(folder.path()).build().unwrap().run()
        };
        let mut faults = vec![Fault::Confirm, Fault::LoseRequest];
        // A runtime that is dropped ends the tasks of a run, as the end of a process does.
        in_own_runtime(async {
            fill(&from, &[("large", 3 * MIB + 1)]).await;
            if before {
                to.write(&key("large"), bytes(9, 3 * MIB + 1)).await.unwrap();
            }
            if killed {
                let dying = Faulty::new(&to, nth("complete", 0, Fault::Die { after: false }));
                tokio::select! {
                    ended = run(&dying) => panic!("it has not died: {ended:?}"),
                    () = dying.died() => drop(faults.pop()),
                }
            }
        });
        in_own_runtime(async {
            let target = Faulty::new(&to, move |call, _| faults.pop_if(|_| call == "complete"));
            let report = run(&target).await.unwrap();
            assert_eq!(report.status, Status::Complete, "{before} {killed}: {:?}", report.failures);
            assert_same(&from, &to).await;
            no_uploads(&to, "large").await;
        });
    }
}

/// The upload is complete, and the process is killed before it can record that.
#[test]
fn sums_are_right_after_a_kill_at_the_completion() {
    for objects_in_parts in 1..4 {
        let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
        let total: usize = (0..objects_in_parts).map(|index| 3 * MIB + index).sum();
        in_own_runtime(async {
            for index in 0..objects_in_parts {
                fill(&from, &[(&format!("large/{index}"), 3 * MIB + index)]).await;
            }
            let dying = Arc::new(Faulty::new(&to, nth("complete", 0, Fault::Die { after: true })));
            let run = transfer(shared(&from), dying.clone()).journal(folder.path()).build().unwrap().run();
            tokio::select! {
                ended = run => panic!("it has not died: {ended:?}"),
                () = dying.died() => {}
            }
        });
        in_own_runtime(async {
            let run = transfer(shared(&from), shared(&to)).journal(folder.path()).build().unwrap().run();
            let report = run.await.unwrap();
            assert_eq!((report.objects, report.bytes), (objects_in_parts as u64, total as u64), "{report:?}");
        });
    }
}

fn in_own_runtime(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(future);
}

#[tokio::test(flavor = "multi_thread")]
async fn passing_failures_are_tried_again_on_both_sides() {
    for operation in ["list", "get", "head", "put", "create", "upload_part", "complete"] {
        for retry in [RetryClass::Now, RetryClass::After(Duration::from_millis(20)), RetryClass::RefreshCredentials] {
            let (from, to) = stores();
            fill(&from, &[("large", 3 * MIB + 1), ("small", 1000)]).await;
            let source = Faulty::new(&from, nth(operation, 0, Fault::Fail(ErrorKind::Unavailable, retry)));
            let target = Faulty::new(&to, nth(operation, 0, Fault::Fail(ErrorKind::Throttled, retry)));
            let built = transfer(Arc::new(source), Arc::new(target)).build().unwrap();
            let report = built.run().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{operation}: {:?}", report.failures);
            assert_same(&from, &to).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_fails_is_named_and_the_rest_arrives() {
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("bad", 20), ("c", 30)]).await;
    let refuse = |called: &str, name: &lepton_core::ObjectKey| {
        (called == "get" && *name == key("bad")).then_some(Fault::Fail(ErrorKind::PermissionDenied, RetryClass::Never))
    };
    let build = |source: Faulty| transfer(Arc::new(source), shared(&to));
    let report = build(Faulty::new(&from, refuse)).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Incomplete, 2));
    assert_eq!((report.failures[0].key.clone(), report.failures[0].kind.as_str()), (key("bad"), "permission_denied"));
    let error = build(Faulty::new(&from, refuse)).fail_fast(true).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let error = build(Faulty::new(&from, refuse)).max_failures(0).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooManyFailures);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_object_can_do_better_than_ends_the_run_at_once() {
    use ErrorKind as K;
    for kind in
        [K::Unauthenticated, K::BucketNotFound, K::ClockSkew, K::OutOfSpace, K::ReadOnly, K::HostNotFound, K::Tls]
    {
        let (from, to) = stores();
        for i in 0..500 {
            from.write(&key(&format!("{i:03}")), bytes(i, 10)).await.unwrap();
        }
        let target =
            Faulty::new(&to, move |called, _| (called == "put").then_some(Fault::Fail(kind, RetryClass::Never)));
        let error = transfer(shared(&from), Arc::new(target.clone())).build().unwrap().run().await.unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(target.count("put") < 200, "{kind}: {} puts were tried", target.count("put"));
    }
}

fn write(store: &MemoryStorage, seed: u64, len: usize) {
    let key = key("large");
    let put = store.put(&key, Body::from(bytes(seed, len)), PutOptions::new());
    futures_util::FutureExt::now_or_never(put).unwrap().unwrap();
}

fn overwrite(store: &MemoryStorage) {
    static SEED: AtomicU64 = AtomicU64::new(100);
    write(store, SEED.fetch_add(1, Ordering::Relaxed), 3 * MIB);
}

fn shorten(store: &MemoryStorage) {
    write(store, 78, MIB + 1);
}

fn remove(store: &MemoryStorage) {
    let delete = store.delete(vec![lepton_core::DeleteRequest::new(key("large"))]);
    let _ = futures_util::FutureExt::now_or_never(delete).unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_is_begun_again_and_never_mixed() {
    for meddle in [overwrite as fn(&MemoryStorage), shorten] {
        for at in 0..3 {
            let (from, to) = stores();
            fill(&from, &[("large", 3 * MIB)]).await;
            let source = Faulty::new(&from, nth("get", at, Fault::Meddle(meddle)));
            let report = transfer(Arc::new(source), shared(&to)).build().unwrap().run().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
            assert!(report.retries > 0);
            assert_same(&from, &to).await;
            no_uploads(&to, "large").await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_vanishes_or_never_rests_fails_and_leaves_nothing() {
    let always = |called: &str, _: &lepton_core::ObjectKey| (called == "get").then_some(Fault::Meddle(overwrite));
    let scripts: [Faulty; 2] = {
        let make = || {
            let store = MemoryStorage::new();
            futures_util::FutureExt::now_or_never(fill(&store, &[("large", 3 * MIB)])).unwrap();
            store
        };
        [Faulty::new(&make(), nth("get", 1, Fault::Meddle(remove))), Faulty::new(&make(), always)]
    };
    for source in scripts {
        let to = MemoryStorage::new();
        let report = transfer(Arc::new(source), shared(&to)).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.failures[0].kind.as_str()), (Status::Incomplete, "source_changed"));
        assert!(list(&to).await.is_empty());
        no_uploads(&to, "large").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_vanishes_is_begun_again() {
    let (from, to) = stores();
    fill(&from, &[("large", 4 * MIB)]).await;
    let target = Faulty::new(&to, nth("upload_part", 2, Fault::Fail(ErrorKind::UploadNotFound, RetryClass::Never)));
    let report = transfer(shared(&from), Arc::new(target.clone())).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, target.count("create")), (Status::Complete, 2));
    assert_same(&from, &to).await;
    no_uploads(&to, "large").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_was_overwritten_meanwhile_is_copied_and_called_superseded() {
    for (meddle, len) in [(overwrite as fn(&MemoryStorage), 3 * MIB), (remove, 3 * MIB), (overwrite_small, 1000)] {
        let (from, to) = (MemoryStorage::builder().versioned(true).build(), MemoryStorage::new());
        fill(&from, &[("large", len), ("other", 1000)]).await;
        let before = from.read(&key("large"), u64::MAX).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut meddled = false;
        let script = move |called: &str, name: &lepton_core::ObjectKey| {
            let hit = called == "get" && *name == key("large") && !std::mem::replace(&mut meddled, true);
            hit.then_some(Fault::Meddle(meddle))
        };
        let built = transfer(Arc::new(Faulty::new(&from, script)), shared(&to)).journal(folder.path());
        let report = built.build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.objects, report.superseded), (Status::Complete, 2, 1));
        assert!(to.read(&key("large"), u64::MAX).await.unwrap() == before, "it is not the version that was listed");
        let manifest = std::fs::read_to_string(report.manifest.unwrap()).unwrap();
        let marked = manifest.lines().filter(|line| line.contains(r#""superseded":true"#));
        assert!(marked.map(|line| line.contains(r#""key":"large""#)).eq([true]), "{manifest}");
    }
}

fn overwrite_small(store: &MemoryStorage) {
    write(store, 79, 1000);
}
