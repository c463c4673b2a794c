//! A follower copies what has changed since its last round, and nothing else.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use lepton_core::{ErrorKind, MemoryStorage, RetryClass, StorageExt as _};
use lepton_data::{Compare, ExistingPolicy, Follower, Round, VerifyDepth, verify};
use support::faulty::{Fault, Faulty, nth};
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
    let proofs = std::fs::read_to_string(folder.path().join("proofs.jsonl")).unwrap();
    assert!(proofs.contains("\"d\"") && !proofs.contains("\"c\""), "a proof ends with its object: {proofs}");
    let manifest = folder.path().join("manifest.jsonl");
    let found = verify(&manifest, &shared(&to).into(), VerifyDepth::Full).await.unwrap();
    assert_eq!((found.objects, found.is_proven()), (3, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_that_starts_again_keeps_its_proofs() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 3 * MIB)]).await;
    let _ = follower(&from, &to, folder.path()).round().await.unwrap();
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
    let _ = following.round().await.unwrap();
    assert!(following.round().await.unwrap().found_no_difference());
}

/// Somebody else follows by then, perhaps in the other direction.
#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_is_dropped_while_another_follower_runs_never_begins() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10)]).await;
    let mut following = follower(&from, &to, folder.path());
    let _ = following.round().await.unwrap();
    from.write(&key("b"), bytes(1, 7)).await.unwrap();
    let lock = std::fs::File::open(folder.path().join("journal.lock")).unwrap();
    while lock.try_lock().is_err() {
        pause(1).await;
    }
    tokio::select! {
        round = following.round() => panic!("the journal is locked: {round:?}"),
        () = pause(100) => {}
    }
    let journal = || std::fs::read(folder.path().join("journal-000001.log")).unwrap();
    let before = journal();
    lock.unlock().unwrap();
    pause(300).await;
    assert!(journal() == before, "a round began");
    assert_eq!(told(&following.round().await.unwrap()), (2, 1, 7, 0));
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
    assert!(with(|t| t.existing(ExistingPolicy::IfDifferent).compare(Compare::Time)).contains("Time"));
    assert!(with(|t| t.existing(ExistingPolicy::Skip)).contains("Skip"));
    let none = transfer(shared(&from), shared(&to)).build().unwrap().follow().unwrap_err();
    assert!(none.to_string().contains("journal"), "{none}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guarded_destination_keeps_what_others_wrote_there() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 10), ("same", 10)]).await;
    let same = from.read(&key("same"), 100).await.unwrap();
    for (name, content) in [("b", bytes(90, 10)), ("same", same), ("theirs", bytes(91, 10))] {
        to.write(&key(name), content).await.unwrap();
    }
    let transfer = transfer(shared(&from), shared(&to)).journal(folder.path()).delete(true).max_delete_percent(100);
    let mut guarded = transfer.build().unwrap().follow_guarded().unwrap();
    let round = guarded.round().await.unwrap();
    assert_eq!(round.conflicts().map(ToString::to_string).collect::<Vec<_>>(), ["b", "theirs"]);
    for (name, seed) in [("b", 90), ("theirs", 91)] {
        assert_eq!(to.read(&key(name), 100).await.unwrap(), bytes(seed, 10), "{name}");
        to.remove(&key(name)).await.unwrap();
    }
    // What the rounds have written is replaced and deleted; what changes since is somebody's.
    from.write(&key("a"), bytes(92, 10)).await.unwrap();
    assert!(guarded.round().await.unwrap().keeps_up());
    from.remove(&key("same")).await.unwrap();
    assert_eq!(guarded.round().await.unwrap().deleted, 1);
    to.write(&key("a"), bytes(93, 10)).await.unwrap();
    let round = guarded.round().await.unwrap();
    assert_eq!(round.conflicts().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
    assert_eq!(to.read(&key("a"), 100).await.unwrap(), bytes(93, 10));
}

/// A follower back from `to` to `from`, after a complete round from `from` to `to`.
async fn back(from: &MemoryStorage, to: &MemoryStorage, folder: &std::path::Path) -> Follower {
    let there = folder.join("there");
    let _ = follower(from, to, &there).round().await.unwrap();
    let transfer = transfer(shared(to), shared(from)).journal(folder.join("back")).delete(true).max_delete_percent(100);
    transfer.build().unwrap().follow_back(there.join("manifest.jsonl")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_way_back_begins_with_the_proofs_of_the_way_there() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 3 * MIB), ("c", 5), ("empty", 0), ("odd//../k", 3)]).await;
    let mut back = back(&from, &to, folder.path()).await;
    let round = back.round().await.unwrap();
    assert_eq!((told(&round), round.report.bytes_read), ((5, 0, 0, 0), 0));
    to.write(&key("a"), bytes(50, 10)).await.unwrap();
    to.write(&key("new"), bytes(51, 20)).await.unwrap();
    to.remove(&key("c")).await.unwrap();
    assert_eq!(told(&back.round().await.unwrap()), (5, 2, 30, 1));
    to.write(&key("new"), bytes(52, 20)).await.unwrap();
    assert_eq!(told(&back.round().await.unwrap()), (5, 1, 20, 0));
    assert!(back.round().await.unwrap().found_no_difference());
    assert_eq!(from.read(&key("new"), 100).await.unwrap(), bytes(52, 20));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_writer_has_changed_is_named_and_left() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 10), ("c", 10), ("d", 10)]).await;
    let mut back = back(&from, &to, folder.path()).await;
    let _ = back.round().await.unwrap();
    // Changed on both sides, changed there only, new there, and new on both sides.
    for (name, seed) in [("a", 60), ("new", 61), ("b", 62), ("both", 63)] {
        from.write(&key(name), bytes(seed, 10)).await.unwrap();
    }
    for (name, seed) in [("a", 70), ("both", 71), ("c", 72)] {
        to.write(&key(name), bytes(seed, 10)).await.unwrap();
    }
    to.remove(&key("d")).await.unwrap();
    for _ in 0..2 {
        let round = back.round().await.unwrap();
        let conflicts: Vec<_> = round.conflicts().map(ToString::to_string).collect();
        assert_eq!(conflicts, ["a", "b", "both", "new"]);
        assert!(!round.keeps_up() && round.deleted == 0, "nothing is deleted while objects fail");
    }
    for (name, seed) in [("a", 60), ("new", 61), ("b", 62), ("both", 63), ("c", 72)] {
        assert_eq!(from.read(&key(name), 100).await.unwrap(), bytes(seed, 10), "{name}");
    }
    // Once somebody has decided, by removing them, the rounds continue.
    for name in ["a", "new", "b", "both"] {
        from.remove(&key(name)).await.unwrap();
    }
    let round = back.round().await.unwrap();
    assert_eq!((round.copied, round.deleted, round.keeps_up()), (3, 1, true));
}

/// The deletes of a round do not wait for an object that changed while the round ran.
#[tokio::test(flavor = "multi_thread")]
async fn deletes_are_followed_although_an_object_changes_in_each_round() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("gone", 10), ("z", 10)]).await;
    let _ = follower(&from, &to, folder.path()).round().await.unwrap();
    from.remove(&key("gone")).await.unwrap();
    from.write(&key("z"), bytes(30, 10)).await.unwrap();
    let changing = Faulty::new(&from, |name, _| {
        (name == "get").then_some(Fault::Fail(ErrorKind::SourceChanged, RetryClass::Never))
    });
    let transfer = transfer(Arc::new(changing), shared(&to)).journal(folder.path()).delete(true);
    let transfer = transfer.max_delete_percent(100).build().unwrap();
    let round = transfer.follow().unwrap().round().await.unwrap();
    assert!(round.keeps_up() && round.report.failed() == 1, "{:?}", round.report.failures);
    assert_eq!(round.deleted, 1);
}

/// Another writer comes between the listing of a round and its write.
#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_is_faster_than_the_round_keeps_its_object() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10)]).await;
    drop(back(&from, &to, folder.path()).await);
    to.write(&key("a"), bytes(31, 10)).await.unwrap();
    let raced = Faulty::new(
        &from,
        nth(
            "put",
            0,
            Fault::Meddle(|store| {
                futures_util::FutureExt::now_or_never(store.write(&key("a"), bytes(32, 10))).unwrap().unwrap();
            }),
        ),
    );
    let transfer = transfer(shared(&to), Arc::new(raced)).journal(folder.path().join("back")).delete(true);
    let mut back = transfer.build().unwrap().follow_back(folder.path().join("there/manifest.jsonl")).unwrap();
    for _ in 0..3 {
        let round = back.round().await.unwrap();
        assert_eq!(round.conflicts().map(ToString::to_string).collect::<Vec<_>>(), ["a"]);
        assert_eq!(from.read(&key("a"), 100).await.unwrap(), bytes(32, 10));
    }
}

/// The journal is replaced at the start of a round: for a moment it has no segment.
#[tokio::test(flavor = "multi_thread")]
async fn the_proofs_of_the_way_there_are_used_once() {
    let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
    fill(&from, &[("a", 10), ("b", 10)]).await;
    let mut follower = back(&from, &to, folder.path()).await;
    to.write(&key("a"), bytes(40, 10)).await.unwrap();
    assert_eq!(follower.round().await.unwrap().copied, 1);
    to.write(&key("a"), bytes(41, 10)).await.unwrap();
    assert_eq!(follower.round().await.unwrap().copied, 1);
    drop(follower);
    let journal = folder.path().join("back");
    std::fs::rename(journal.join("journal-000001.log"), journal.join("journal.next")).unwrap();
    to.write(&key("a"), bytes(42, 10)).await.unwrap();
    let transfer = transfer(shared(&to), shared(&from)).journal(&journal).delete(true);
    let mut again = transfer.build().unwrap().follow_back(folder.path().join("there/manifest.jsonl")).unwrap();
    let round = again.round().await.unwrap();
    assert_eq!((round.copied, round.conflicts().count()), (1, 0), "{:?}", round.report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_back_that_is_killed_does_not_take_its_own_writes_for_foreign_ones() {
    for after in [false, true] {
        for nth_put in 0..3 {
            let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
            fill(&from, &[("a", 10), ("b", 10), ("c", 10)]).await;
            drop(back(&from, &to, folder.path()).await);
            for (name, seed) in [("a", 80), ("b", 81), ("c", 82)] {
                to.write(&key(name), bytes(seed, 10)).await.unwrap();
            }
            let guarded = |destination| {
                let transfer = transfer(shared(&to), destination).journal(folder.path().join("back")).delete(true);
                transfer.build().unwrap().follow_back(folder.path().join("there/manifest.jsonl")).unwrap()
            };
            let dying = Arc::new(Faulty::new(&from, nth("put", nth_put, Fault::Die { after })));
            let mut follower = guarded(dying.clone());
            tokio::select! {
                _ = follower.round() => panic!("it did not die"),
                () = dying.died() => {}
            }
            // The dead process holds nothing; here its tasks have to end first.
            std::mem::forget(follower);
            let copy = left_by_the_dead(folder.path(), "back");
            let transfer = transfer(shared(&to), shared(&from)).journal(&copy).delete(true);
            // Before the next process starts, one object changes once more and one is deleted.
            to.write(&key("b"), bytes(83, 10)).await.unwrap();
            to.remove(&key("c")).await.unwrap();
            let there = folder.path().join("there/manifest.jsonl");
            let transfer = transfer.max_delete_percent(100);
            let mut again = transfer.build().unwrap().follow_back(there).unwrap();
            let round = again.round().await.unwrap();
            assert_eq!(round.conflicts().count(), 0, "{:?}", round.report.failures);
            assert_eq!(round.deleted, 1);
            // What another writer puts there is not taken for what the dead process was writing.
            from.write(&key("late"), bytes(84, 10)).await.unwrap();
            assert_eq!(again.round().await.unwrap().conflicts().count(), 1);
            from.remove(&key("late")).await.unwrap();
            assert!(again.round().await.unwrap().found_no_difference());
        }
    }
}

/// A copy of the journal of a process that has died, whose lock no task holds.
fn left_by_the_dead(folder: &std::path::Path, journal: &str) -> std::path::PathBuf {
    let copy = folder.join("copy");
    std::fs::create_dir(&copy).unwrap();
    for file in std::fs::read_dir(folder.join(journal)).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
    }
    copy
}

/// An object that a killed round wrote, without a record of it, is gone at the source, or changes
/// again, and the round after the kill fails for another object, so that it deletes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_round_wrote_stays_its_own_after_rounds_that_fail() {
    for nth_put in 0..3 {
        let ((from, to), folder) = (stores(), tempfile::tempdir().unwrap());
        fill(&from, &[("a", 10), ("b", 10), ("c", 10), ("z", 10)]).await;
        let guarded = |source, destination, journal: &std::path::Path| {
            let transfer = transfer(source, destination).journal(journal).delete(true).max_delete_percent(100);
            transfer.build().unwrap().follow_guarded().unwrap()
        };
        let journal = folder.path().join("there");
        let _ = guarded(shared(&from), shared(&to), &journal).round().await.unwrap();
        for (name, seed) in [("a", 80), ("b", 81), ("c", 82)] {
            from.write(&key(name), bytes(seed, 10)).await.unwrap();
        }
        let dying = Arc::new(Faulty::new(&to, nth("put", nth_put, Fault::Die { after: true })));
        let mut follower = guarded(shared(&from), dying.clone(), &journal);
        tokio::select! {
            _ = follower.round() => panic!("it did not die"),
            () = dying.died() => {}
        }
        std::mem::forget(follower);
        let journal = left_by_the_dead(folder.path(), "there");
        from.remove(&key("a")).await.unwrap();
        from.remove(&key("b")).await.unwrap();
        for name in ["c", "z"] {
            from.write(&key(name), bytes(90, 10)).await.unwrap();
        }
        // The source does not give two of the objects for two rounds.
        let failing = Faulty::new(&from, |operation, key| {
            let fails = operation == "get" && ["c", "z"].contains(&key.to_string().as_str());
            fails.then_some(Fault::Fail(ErrorKind::PermissionDenied, lepton_core::RetryClass::Never))
        });
        for _ in 0..2 {
            let round = guarded(Arc::new(failing.clone()), shared(&to), &journal).round().await.unwrap();
            assert_eq!((round.conflicts().count(), round.deleted), (0, 0), "{:?}", round.report.failures);
            assert!(!round.is_complete());
        }
        let mut again = guarded(shared(&from), shared(&to), &journal);
        let round = again.round().await.unwrap();
        assert!(round.is_complete(), "{nth_put}: {:?}", round.report.failures);
        assert!(again.round().await.unwrap().found_no_difference());
        // From now on what somebody else writes there is kept.
        to.write(&key("a"), bytes(95, 10)).await.unwrap();
        assert_eq!(again.round().await.unwrap().conflicts().count(), 1);
    }
}
