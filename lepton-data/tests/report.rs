//! The report counts what failed by its kind, and names what took longest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::sync::Arc;

use futures_util::FutureExt as _;
use lepton_core::{ErrorKind, PutOptions, RetryClass, Storage as _, StorageExt as _};
use lepton_data::{ExistingPolicy, Status, Unprotected};
use support::faulty::{Fault, Faulty};
use support::*;

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_counted_by_kind() {
    let (from, to) = stores();
    fill(&from, &[("a", 1), ("b", 1), ("c", 1), ("d", 1)]).await;
    let fails = |call: &str, name: &lepton_core::ObjectKey| match name.as_str() {
        Some("a" | "b") if call == "put" => Some(Fault::Fail(ErrorKind::InvalidInput, RetryClass::Never)),
        Some("c") if call == "put" => Some(Fault::Fail(ErrorKind::TooLarge, RetryClass::Never)),
        _ => None,
    };
    let report = transfer(shared(&from), Arc::new(Faulty::new(&to, fails))).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.failed(), report.failures.len()), (Status::Incomplete, 3, 3));
    let by_kind: Vec<_> = report.failures_by_kind.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    assert_eq!(by_kind, [("invalid_input", 2), ("too_large", 1)]);
    let slowest: Vec<_> = report.slowest.iter().map(|slow| (slow.key.to_string(), slow.size)).collect();
    assert_eq!(slowest, [("d".to_owned(), 1)], "those that failed are not among them");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_took_long_says_how_often_it_was_tried_again() {
    let (from, to) = stores();
    fill(&from, &[("large", 3 * MIB), ("once", 1), ("smooth", 1), ("twice", 1)]).await;
    let mut faults = vec![("put", "once"), ("put", "twice"), ("put", "twice")];
    // Parts are sent by tasks of their own; the whole is asked for by the object's.
    faults.extend([("upload_part", "large"), ("upload_part", "large"), ("create", "large")]);
    let fails = move |call: &str, name: &lepton_core::ObjectKey| {
        let found = faults.iter().position(|(fails, of)| *fails == call && name.as_str() == Some(*of))?;
        faults.remove(found);
        Some(Fault::Fail(ErrorKind::Throttled, RetryClass::Now))
    };
    let report = transfer(shared(&from), Arc::new(Faulty::new(&to, fails))).build().unwrap().run().await.unwrap();
    let mut slowest: Vec<_> = report.slowest.iter().map(|slow| (slow.key.to_string(), slow.retries)).collect();
    slowest.sort();
    let expected = [("large", 3), ("once", 1), ("smooth", 0), ("twice", 2)];
    assert_eq!(slowest, expected.map(|(name, retries)| (name.to_owned(), retries)));
    assert_eq!((report.status, report.retries), (Status::Complete, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_deleted_is_counted_where_it_is_too_much_to_name() {
    const EXTRAS: usize = 30;
    let (from, to) = stores();
    fill(&from, &[("a", 1)]).await;
    for number in 0..EXTRAS {
        to.write(&key(&format!("x{number}")), bytes(1, 1)).await.unwrap();
    }
    // Somebody writes all of them after they were listed.
    let meddle = |call: &str, _: &lepton_core::ObjectKey| {
        (call == "put").then_some(Fault::Meddle(|store| {
            for number in 0..EXTRAS {
                put(store, &format!("x{number}"), bytes(2, 50), PutOptions::new()).now_or_never().unwrap();
            }
        }))
    };
    let transfer = transfer(shared(&from), Arc::new(Faulty::new(&to, meddle)));
    let report = transfer.delete(true).max_delete_percent(100).max_failures(7).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.deleted), (Status::Incomplete, 0));
    assert_eq!((report.failures.len(), report.failed()), (7, EXTRAS as u64));
    assert_eq!(report.failures_by_kind[ErrorKind::PreconditionFailed.code()], EXTRAS as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_ten_of_this_run_are_named_the_slowest_first() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    for number in 0..25usize {
        from.write(&key(&format!("k{number:02}")), bytes(1, 100 + number)).await.unwrap();
    }
    let build = || transfer(shared(&from), shared(&to)).journal(folder.path());
    let first = build().max_transfer(Some(500)).build().unwrap().run().await.unwrap();
    assert_eq!((first.status, first.slowest.len()), (Status::Limited, 5));
    let second = build().build().unwrap().run().await.unwrap();
    assert_eq!((second.objects, second.resumed_objects, second.slowest.len()), (25, 5, 10));
    assert!(second.slowest.is_sorted_by(|one, next| one.elapsed >= next.elapsed), "{:?}", second.slowest);
    for slow in &second.slowest {
        let number: u64 = slow.key.as_str().unwrap()[1..].parse().unwrap();
        assert!(number >= 5 && slow.size == 100 + number, "{slow:?}");
    }
    assert!(second.objects_per_second > 0.0 && second.bytes_per_second > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_whose_source_could_not_be_checked_are_counted() {
    for (silent, expected) in [(true, 2), (false, 0)] {
        let (from, to) = stores();
        fill(&from, &[("a", 1), ("b", 3 * MIB), ("empty", 0)]).await;
        let source = Faulty::new(&from, |_: &str, _: &lepton_core::ObjectKey| None);
        let source = Arc::new(if silent { source.silent() } else { source });
        let report = transfer(source, shared(&to)).build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.source_unchecked), (Status::Complete, expected), "{silent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_destination_does_not_protect_is_named() {
    let from = stores().0;
    let mut capabilities = from.capabilities().clone();
    capabilities.put_if_match = lepton_core::Support::Unknown;
    capabilities.conditional_delete = lepton_core::Support::Unsupported;
    let to = lepton_core::MemoryStorage::builder().capabilities(capabilities).build();
    let mirror = || transfer(shared(&from), shared(&to)).existing(ExistingPolicy::IfDifferent).delete(true);
    let both = [Unprotected::Replacement, Unprotected::Deletion];
    assert_eq!(mirror().build().unwrap().unprotected(), both);
    assert_eq!(mirror().build().unwrap().run().await.unwrap().unprotected, both);
    let copy = mirror().delete(false).build().unwrap();
    assert_eq!(copy.unprotected(), both[..1]);
    let all_held = transfer(shared(&from), shared(&stores().0)).existing(ExistingPolicy::IfDifferent).delete(true);
    assert_eq!(all_held.build().unwrap().unprotected(), []);
}
