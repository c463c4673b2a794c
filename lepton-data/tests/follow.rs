//! A follower copies what has changed since its last round, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lepton_core::{ErrorKind, MemoryStorage, StorageExt as _};
use lepton_data::{Compare, Depth, Existing, Follower, Round, verify};
use support::faulty::Faulty;
use support::*;

fn follower(from: &MemoryStorage, to: &MemoryStorage, journal: &std::path::Path) -> Follower {
    let transfer = transfer(shared(from), shared(to)).journal(journal).delete(true).max_delete_percent(100);
    transfer.build().unwrap().follow().unwrap()
}

fn told(round: &Round) -> (u64, u64, u64, u64) {
    assert!(round.is_complete(), "{:?}", round.report.failures);
    (round.objects(), round.copied, round.bytes, round.deleted)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_round_copies_the_changes_since_the_last_one() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 3 * MIB), ("c", 5)]).await;
    let mut following = follower(&from, &to, folder.path());
    assert_eq!(told(&following.round().await.unwrap()), (3, 3, 15 + 3 * MIB as u64, 0));
    let round = following.round().await.unwrap();
    assert_eq!(told(&round), (3, 0, 0, 0));
    assert!(round.found_no_difference() && round.report.bytes_read == 0, "a proven pair is not read");
    // The same length, in the same second.
    from.write(&key("a"), bytes(77, 10)).await.unwrap();
    from.write(&key("d"), bytes(1, 7)).await.unwrap();
    from.remove(&key("c")).await.unwrap();
    assert_eq!(told(&following.round().await.unwrap()), (3, 2, 17, 1));
    assert!(to.read(&key("a"), 100).await.unwrap() == from.read(&key("a"), 100).await.unwrap());
    // Somebody writes at the destination: the pair is another one.
    to.write(&key("d"), bytes(2, 7)).await.unwrap();
    assert_eq!(told(&following.round().await.unwrap()), (3, 1, 7, 0));
    let manifest = folder.path().join("manifest.jsonl");
    let found = verify(&manifest, &shared(&to).into(), Depth::Full).await.unwrap();
    assert_eq!((found.objects, found.is_proven()), (3, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_starts_again_keeps_its_proofs() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 3 * MIB)]).await;
    follower(&from, &to, folder.path()).round().await.unwrap();
    from.write(&key("c"), bytes(1, 4)).await.unwrap();
    let source = Arc::new(Faulty::new(&from, |_, _| None));
    let transfer = transfer(source.clone(), shared(&to)).journal(folder.path()).delete(true);
    let round = transfer.build().unwrap().follow().unwrap().round().await.unwrap();
    assert_eq!(told(&round), (3, 1, 4, 0));
    assert_eq!((source.count("get"), source.count("head")), (1, 0), "only the new object is read");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_is_dropped_ends_before_the_next_one_begins() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &(0..50).map(|_| ("x", 10)).collect::<Vec<_>>()).await;
    for number in 0..50 {
        from.write(&key(&format!("k{number}")), bytes(number, 100_000)).await.unwrap();
    }
    let mut following = follower(&from, &to, folder.path());
    for milliseconds in [0, 1, 5, 20] {
        tokio::select! {
            round = following.round() => drop(round.unwrap()),
            () = pause(milliseconds) => {}
        }
    }
    following.round().await.unwrap();
    assert!(following.round().await.unwrap().found_no_difference());
}

#[tokio::test(flavor = "multi_thread")]
async fn rounds_go_on_until_they_are_dropped() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10)]).await;
    let mut rounds = Box::pin(follower(&from, &to, folder.path()).rounds(Duration::from_millis(1)));
    assert_eq!(rounds.next().await.unwrap().unwrap().copied, 1);
    from.write(&key("b"), bytes(1, 4)).await.unwrap();
    assert_eq!(rounds.next().await.unwrap().unwrap().copied, 1);
    assert_eq!(rounds.next().await.unwrap().unwrap().copied, 0);
}

#[test]
fn what_cannot_be_followed_is_refused_by_name() {
    let (from, to) = stores();
    let folder = tempfile::tempdir().unwrap();
    let with = |change: fn(lepton_data::TransferBuilder) -> lepton_data::TransferBuilder| {
        let transfer = change(transfer(shared(&from), shared(&to)).journal(folder.path()));
        let error = transfer.build().unwrap().follow().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        error.to_string()
    };
    assert!(with(|t| t.existing(Existing::IfDifferent).compare(Compare::Time)).contains("Time"));
    assert!(with(|t| t.existing(Existing::Skip)).contains("Skip"));
    let none = transfer(shared(&from), shared(&to)).build().unwrap().follow().unwrap_err();
    assert!(none.to_string().contains("journal"), "{none}");
}
