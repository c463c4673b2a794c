//! Which of the two stores an error counts for, and what follows from that.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use lepton_core::{ErrorKind, Location, RetryClass};
use lepton_data::{Compare, ExistingPolicy, Status, Verifier, verify};
use support::faulty::{Fault, Faulty, nth};
use support::{MIB, fill, shared, stores, transfer};

/// Two stores that hold the same objects, of which a comparison has to read the bytes.
async fn same() -> (lepton_core::MemoryStorage, lepton_core::MemoryStorage) {
    let (from, to) = stores();
    for store in [&from, &to] {
        fill(store, &[("a", 1000), ("b", 2000)]).await;
    }
    (from, to)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_throttled_while_it_is_compared_slows_the_destination() {
    let (from, to) = same().await;
    let target = Faulty::new(&to, nth("get", 0, Fault::Fail(ErrorKind::Throttled, RetryClass::Now)));
    let built = transfer(shared(&from), Arc::new(target));
    let built = built.existing(ExistingPolicy::IfDifferent).compare(Compare::Content).build().unwrap();
    let running = built.start().await.unwrap();
    let mut last = None;
    let report = running.watch(Duration::from_millis(1), |progress| last = Some(progress)).await.unwrap();
    assert_eq!((report.status, report.unchanged, report.throttled), (Status::Complete, 2, 1));
    let lanes = last.map(|progress| progress.lanes).unwrap_or_default();
    assert_eq!(lanes.small.source.throttled + lanes.parts.source.throttled, 0, "{lanes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_may_not_be_read_ends_a_run_that_compares() {
    let (from, to) = same().await;
    let target = Faulty::new(&to, |called, _| {
        (called == "get").then_some(Fault::Fail(ErrorKind::PermissionDenied, RetryClass::Never))
    });
    let built = transfer(shared(&from), Arc::new(target));
    let built = built.existing(ExistingPolicy::IfDifferent).compare(Compare::Content).build().unwrap();
    let error = built.run().await.unwrap_err();
    assert_eq!((error.kind(), error.context("side")), (ErrorKind::PermissionDenied, Some("destination")));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_at_the_destination_is_not_read_of_the_source() {
    let (from, to) = same().await;
    let built = transfer(shared(&from), shared(&to)).existing(ExistingPolicy::IfDifferent).compare(Compare::Content);
    let report = built.build().unwrap().run().await.unwrap();
    assert_eq!((report.unchanged, report.bytes_read), (2, 3000));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_tries_again_as_long_as_a_transfer_and_says_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("large", 3 * MIB + 1), ("small", 1000)]).await;
    let manifest = folder.path().join("manifest");
    let report = transfer(shared(&from), shared(&to)).manifest(&manifest).build().unwrap().run().await.unwrap();
    assert_eq!(report.status, Status::Complete);
    let fails = |times: usize| {
        let mut left = times;
        Faulty::new(&to, move |called, _| {
            let fails = called == "get" && left > 0;
            left -= usize::from(fails);
            fails.then_some(Fault::Fail(ErrorKind::Unavailable, RetryClass::Now))
        })
    };
    let verifier =
        |times| Verifier::new(&manifest, Location::from(Arc::new(fails(times)) as lepton_core::SharedStorage));
    let running = verifier(7).start().await.unwrap();
    let mut last = None;
    let found = running.watch(Duration::from_millis(1), |progress| last = Some(progress)).await.unwrap();
    assert!(found.is_proven(), "{found:?}");
    assert!(last.is_some_and(|progress| progress.retries > 0 && progress.total_objects == 2));
    let once = NonZeroU32::MIN;
    let found = verifier(1).attempts(once).run().await.unwrap();
    assert_eq!((found.failed, found.unreachable), (0, 1), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_can_be_paused_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 1000), ("b", 1000)]).await;
    let manifest = folder.path().join("manifest");
    let _ = transfer(shared(&from), shared(&to)).manifest(&manifest).build().unwrap().run().await.unwrap();
    let place = Location::from(shared(&to));
    let running = Verifier::new(&manifest, place.clone()).bandwidth(Some(100)).start().await.unwrap();
    running.pause();
    let control = running.control();
    let waiting = running.wait();
    tokio::pin!(waiting);
    tokio::select! {
        found = &mut waiting => panic!("it is paused, and gave {found:?}"),
        () = support::pause(50) => control.cancel(),
    }
    assert_eq!(waiting.await.unwrap_err().kind(), ErrorKind::Cancelled);
    assert!(verify(&manifest, &place, lepton_data::VerifyDepth::Quick).await.unwrap().is_proven());
    let error = Verifier::new(&manifest, place).memory(1).run().await.unwrap_err();
    assert!(error.to_string().contains("memory is 1 bytes"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_verification_waits_for_no_slow_read() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("large", 3 * MIB), ("empty", 0)]).await;
    let manifest = folder.path().join("manifest");
    let _ = transfer(shared(&from), shared(&to)).manifest(&manifest).build().unwrap().run().await.unwrap();
    let running = Verifier::new(&manifest, Location::from(shared(&to))).bandwidth(Some(1000)).start().await.unwrap();
    let control = running.control();
    let waiting = running.wait();
    tokio::pin!(waiting);
    tokio::select! {
        found = &mut waiting => panic!("it reads 3 MiB at 1000 bytes a second, and gave {found:?}"),
        () = support::pause(100) => control.cancel(),
    }
    // At this rate the reads in flight would take an hour.
    tokio::select! {
        found = waiting => assert_eq!(found.unwrap_err().kind(), ErrorKind::Cancelled),
        () = support::pause(60_000) => panic!("it did not end"),
    }
    for depth in [lepton_data::VerifyDepth::Quick, lepton_data::VerifyDepth::Full] {
        let mut last = None;
        let place = Location::from(shared(&to));
        let running = Verifier::new(&manifest, place).depth(depth).start().await.unwrap();
        let found = running.watch(Duration::from_micros(1), |seen| last = Some(seen)).await.unwrap();
        assert!(found.is_proven() && found.objects == 2, "{found:?}");
        assert!(last.is_none_or(|last| last.bytes <= 3 * MIB as u64), "{depth:?}");
    }
}
