//! What a caller sees of a run while it goes on, and what ends it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use lepton_core::{ErrorKind, ObjectKey, RetryClass, StorageExt as _};
use lepton_data::{
    ExistingPolicy, ObjectEnd, ObjectEvent, Phase, Progress, Report, Status, TransferBuilder, Verifier, VerifyDepth,
    verify,
};
use support::faulty::{Fault, Faulty};
use support::*;

/// Runs a transfer to its end, with everything that was seen.
async fn watched(transfer: TransferBuilder) -> (Report, Vec<Progress>) {
    let mut seen = Vec::new();
    let handle = transfer.build().unwrap().start().await.unwrap();
    let report = handle.watch(Duration::from_secs(3600), |progress| seen.push(progress)).await.unwrap();
    (report, seen)
}

fn assert_full(progress: &Progress) {
    assert_eq!((progress.phase, progress.fraction()), (Phase::Ended, Some(1.0)), "{progress:?}");
    let parts = progress.bytes + progress.unchanged_bytes + progress.skipped_bytes + progress.failed_bytes;
    assert_eq!(parts, progress.total_bytes, "{progress:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bar_reaches_its_end_whatever_became_of_the_objects() {
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("b", 3 * MIB), ("c", 0)]).await;
    let mirror = || transfer(shared(&from), shared(&to)).existing(ExistingPolicy::IfDifferent).delete(true);
    // A short run has a beginning and an end, too.
    let (_, seen) = watched(mirror()).await;
    assert!(seen.len() >= 2 && seen[0].phase < Phase::Ended, "{seen:?}");
    assert_full(seen.last().unwrap());

    let (report, seen) = watched(mirror()).await;
    assert_eq!((report.objects, seen.last().unwrap().unchanged_bytes), (0, 10 + 3 * MIB as u64));
    assert_full(seen.last().unwrap());

    fill(&from, &[("d", 7)]).await;
    fill(&to, &[("x", 1), ("y", 1)]).await;
    let (report, seen) = watched(mirror().existing(ExistingPolicy::Skip).max_delete_percent(100)).await;
    let last = seen.last().unwrap();
    assert_eq!((report.skipped, last.skipped_bytes), (3, 10 + 3 * MIB as u64));
    assert_eq!((last.deleted, last.total_deletes), (2, 2));
    assert_full(last);

    fill(&from, &[("fails", 5), ("goes", 6)]).await;
    let fails = |call: &str, key: &ObjectKey| {
        (call == "put" && key.as_str() == Some("fails"))
            .then_some(Fault::Fail(ErrorKind::InvalidInput, RetryClass::Never))
    };
    let faulty = Arc::new(Faulty::new(&to, fails));
    let (report, seen) = watched(transfer(shared(&from), faulty).existing(ExistingPolicy::IfDifferent)).await;
    assert_eq!((report.status, seen.last().unwrap().failed_bytes), (Status::Incomplete, 5));
    assert_full(seen.last().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_seen_and_has_no_time_left() {
    let (from, to) = stores();
    fill(&from, &[("a", 3 * MIB), ("b", 3 * MIB)]).await;
    let handle = transfer(shared(&from), shared(&to))
        .server_copy(false)
        .bandwidth(Some(2 << 20))
        .build()
        .unwrap()
        .start()
        .await
        .unwrap();
    let control = handle.control();
    while control.progress().bytes == 0 {
        pause(5).await;
    }
    control.pause();
    let progress = control.progress();
    assert!(progress.paused && progress.remaining.is_none(), "{progress:?}");
    control.resume();
    control.set_bandwidth(Some(0));
    assert_eq!(handle.wait().await.unwrap().status, Status::Complete);
    assert!(!control.progress().paused);
}

/// At one byte per second nothing ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_run_can_be_cancelled_and_aborted() {
    for abort in [false, true] {
        let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
        fill(&from, &[("a", 3 * MIB), ("b", 10)]).await;
        let slow = || transfer(shared(&from), shared(&to)).server_copy(false).journal(folder.path());
        let handle = slow().bandwidth(Some(1)).build().unwrap().start().await.unwrap();
        while handle.progress().lanes.parts.running == 0 {
            pause(5).await;
        }
        if abort {
            handle.abort();
        } else {
            handle.cancel();
        }
        // What is in flight at a cancel ends, which here is everything.
        let expected = if abort { Status::Cancelled } else { Status::Complete };
        assert_eq!(handle.wait().await.unwrap().status, expected);
        assert_eq!(slow().build().unwrap().run().await.unwrap().status, Status::Complete);
        assert_same(&from, &to).await;
    }
}

/// A store that never answers holds up a cancelled run, and no aborted one.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_does_not_wait_for_a_store() {
    for call in ["get", "put", "upload_part", "complete", "head"] {
        let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
        fill(&from, &[("a", 3 * MIB), ("b", 10)]).await;
        let hangs = move |called: &str, _: &ObjectKey| (called == call).then_some(Fault::Die { after: false });
        let [source, target] = [&from, &to].map(|store| Arc::new(Faulty::new(store, hangs)));
        let handle = transfer(source.clone(), target.clone()).journal(folder.path()).build().unwrap().start().await;
        let handle = handle.unwrap();
        tokio::select! {
            () = source.died() => {}
            () = target.died() => {}
        }
        handle.abort();
        assert_eq!(handle.wait().await.unwrap().status, Status::Cancelled, "{call}");
        let again = transfer(shared(&from), shared(&to)).journal(folder.path()).build().unwrap();
        assert_eq!(again.run().await.unwrap().status, Status::Complete, "{call}");
        assert_same(&from, &to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_object_has_its_events() {
    let (from, to) = stores();
    fill(&from, &[("fails", 1), ("new", 2), ("same", 3)]).await;
    fill(&to, &[("extra", 4)]).await;
    to.write(&key("same"), from.read(&key("same"), 3).await.unwrap()).await.unwrap();
    let fails = |call: &str, key: &ObjectKey| {
        (call == "put" && key.as_str() == Some("fails"))
            .then_some(Fault::Fail(ErrorKind::InvalidInput, RetryClass::Never))
    };
    let events: Arc<Mutex<Vec<ObjectEvent>>> = Arc::default();
    let run = |to| {
        let events = Arc::clone(&events);
        let transfer =
            transfer(shared(&from), to).existing(ExistingPolicy::IfDifferent).delete(true).max_delete_percent(100);
        transfer.on_object(move |event| events.lock().unwrap().push(event.clone())).build().unwrap().run()
    };
    run(Arc::new(Faulty::new(&to, fails))).await.unwrap().into_result().unwrap_err();
    let _ = run(shared(&to)).await.unwrap().into_result().unwrap();
    let mut ends: BTreeMap<String, Vec<ObjectEnd>> = BTreeMap::new();
    let mut started = Vec::new();
    for event in events.lock().unwrap().iter() {
        match event {
            ObjectEvent::Started { key, size } => started.push((key.to_string(), *size)),
            ObjectEvent::Ended { key, end, .. } => ends.entry(key.to_string()).or_default().push(end.clone()),
            other => panic!("{other:?}"),
        }
    }
    assert!(started.contains(&("new".into(), 2)) && started.contains(&("fails".into(), 1)), "{started:?}");
    assert!(matches!(&ends["fails"][..], [ObjectEnd::Failed(why), ObjectEnd::Copied] if why.contains("told to fail")));
    assert_eq!(ends["new"], [ObjectEnd::Copied, ObjectEnd::Unchanged]);
    assert_eq!(ends["same"], [ObjectEnd::Unchanged, ObjectEnd::Unchanged]);
    assert_eq!(ends["extra"], [ObjectEnd::Deleted]);
}

#[test]
fn settings_with_which_nothing_would_end_are_refused() {
    let (from, to) = stores();
    let build = || transfer(shared(&from), shared(&to));
    for (refused, name) in [
        (build().bandwidth(Some(0)), "bandwidth"),
        (build().requests_per_second(Some(0)), "requests_per_second"),
        (build().concurrency(NonZeroUsize::MAX), "concurrency"),
    ] {
        let error = refused.build().unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains(name), "{error}");
    }
}

#[tokio::test]
async fn a_verification_refuses_them_too() {
    let verifier = || Verifier::new("no manifest", shared(&stores().0));
    for (refused, name) in [
        (verifier().bandwidth(Some(0)), "bandwidth"),
        (verifier().requests_per_second(Some(0)), "requests_per_second"),
        (verifier().concurrency(NonZeroUsize::MAX), "concurrency"),
    ] {
        let error = refused.run().await.unwrap_err();
        assert!(error.kind() == ErrorKind::InvalidInput && error.message().contains(name), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manifest_that_cannot_be_written_is_refused_before_anything_is_copied() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 1)]).await;
    for path in [folder.path().join("no/such/manifest"), folder.path().to_owned()] {
        let error = transfer(shared(&from), shared(&to)).manifest(&path).build().unwrap().run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
        assert_eq!(error.context("path"), Some(&*path.display().to_string()));
        assert!(list(&to).await.is_empty());
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_incomplete_run_is_an_error_on_request_and_proves_nothing() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]).await;
    let fails = |call: &str, key: &ObjectKey| {
        (call == "put" && key.as_str() != Some("a")).then_some(Fault::Fail(ErrorKind::TooLarge, RetryClass::Never))
    };
    let run = |to| transfer(shared(&from), to).journal(folder.path()).build().unwrap().run();
    let report = run(Arc::new(Faulty::new(&to, fails))).await.unwrap();
    let manifest = report.manifest.clone().unwrap();
    let error = report.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert!(error.message().starts_with("4 objects failed") && error.message().contains("b: "), "{error}");
    let found = verify(&manifest, &shared(&to).into(), VerifyDepth::Full).await.unwrap();
    assert!(!found.is_proven() && (found.objects, found.failed, found.not_copied) == (1, 0, 4), "{found:?}");

    let _ = run(shared(&to)).await.unwrap().into_result().unwrap();
    assert!(verify(&manifest, &shared(&to).into(), VerifyDepth::Full).await.unwrap().is_proven());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_early_says_what_it_did_before() {
    let (from, to) = stores();
    fill(&from, &[("a", 1), ("b", 1)]).await;
    fill(&to, &[("x", 1)]).await;
    let error =
        transfer(shared(&from), shared(&to)).delete(true).max_delete(Some(0)).build().unwrap().run().await.unwrap_err();
    assert_eq!((error.kind(), error.context("copied")), (ErrorKind::TooManyDeletes, Some("2")));
}

/// The parts of an object that fails in the end do not count as done.
#[tokio::test(flavor = "multi_thread")]
async fn parts_of_an_object_that_fails_or_starts_again_count_once() {
    let (from, to) = stores();
    fill(&from, &[("fails", 5 * MIB), ("goes", 4 * MIB)]).await;
    let fails = |call: &str, key: &ObjectKey| {
        (call == "complete" && key.as_str() == Some("fails"))
            .then_some(Fault::Fail(ErrorKind::InvalidInput, RetryClass::Never))
    };
    let (report, seen) = watched(transfer(shared(&from), Arc::new(Faulty::new(&to, fails)))).await;
    assert_eq!((report.status, report.failed()), (Status::Incomplete, 1));
    assert_full(seen.last().unwrap());
    // The upload vanishes once, so that the object starts again.
    let mut lost = false;
    let loses = move |call: &str, _: &ObjectKey| {
        let now = call == "complete" && !std::mem::replace(&mut lost, true);
        now.then_some(Fault::Fail(ErrorKind::UploadNotFound, RetryClass::Never))
    };
    let (report, seen) = watched(transfer(shared(&from), Arc::new(Faulty::new(&to, loses)))).await;
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    assert_full(seen.last().unwrap());
    assert!(seen.iter().all(|progress| progress.bytes <= progress.total_bytes), "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_never_comes_does_not_keep_a_cancelled_run_from_its_end() {
    for side in ["source", "destination"] {
        let (from, to) = stores();
        fill(&from, &[("a", 10)]).await;
        let hangs = Faulty::new(if side == "source" { &from } else { &to }, |call, _| {
            (call == "list").then_some(Fault::Die { after: false })
        });
        let ends: (lepton_core::SharedStorage, lepton_core::SharedStorage) = match side {
            "source" => (Arc::new(hangs.clone()), shared(&to)),
            _ => (shared(&from), Arc::new(hangs.clone())),
        };
        let handle = transfer(ends.0, ends.1).build().unwrap().start().await.unwrap();
        hangs.died().await;
        handle.cancel();
        assert_eq!(handle.wait().await.unwrap().status, Status::Cancelled, "{side}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_cannot_be_written_is_refused_before_anything_is_listed() {
    let (from, to) = stores();
    let counted = Faulty::new(&from, |_, _| None);
    let transfer = transfer(Arc::new(counted.clone()), shared(&to)).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("none/plan")] {
        let error = transfer.save_plan(&path).await.unwrap_err();
        assert!(error.to_string().contains("plan"), "{error}");
    }
    assert_eq!(counted.calls(), Vec::<String>::new());
}
