use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt as _;

use super::folder::segment_path;
use super::open::{FLUSH_AFTER, FLUSH_AT, FLUSH_AT_WORK, ROOM};
use super::restart::{DISCARD, NEXT};
use super::*;
use crate::error::{ErrorKind, Result};
use crate::runtime::{RuntimeExt as _, SystemRuntime};

fn identity(source: &str) -> Identity {
    serde_json::json!({"source": source}).as_object().unwrap().clone()
}

fn open(folder: &Path) -> Result<Opened> {
    Journal::open(SystemRuntime::shared(), folder, &identity("a"))
}

fn records(folder: &Path) -> Result<Vec<Vec<u8>>> {
    Replay::of(folder)?.map(|record| record.map(|record| record.payload)).collect()
}

#[tokio::test]
async fn what_was_committed_is_replayed_and_the_rest_is_dropped() {
    let folder = tempfile::tempdir().unwrap();
    let opened = open(folder.path()).unwrap();
    assert!(opened.replay.is_none());
    opened.journal.append(16, b"one").unwrap();
    opened.journal.append(17, b"").unwrap();
    opened.journal.commit().await.unwrap();
    opened.journal.append(16, b"lost").unwrap();
    drop(opened);
    let opened = open(folder.path()).unwrap();
    let kept: Vec<Record> = opened.replay.unwrap().map(Result::unwrap).collect();
    assert_eq!(kept, [Record { kind: 16, payload: b"one".to_vec() }, Record { kind: 17, payload: Vec::new() }]);
    opened.journal.append(16, b"two").unwrap();
    opened.journal.commit().await.unwrap();
    assert_eq!(records(folder.path()).unwrap(), [b"one".to_vec(), Vec::new(), b"two".to_vec()]);
}

#[tokio::test]
async fn a_second_run_and_another_plan_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path()).unwrap();
    let second = open(folder.path()).unwrap_err();
    assert_eq!(second.kind(), ErrorKind::Locked);
    assert!(second.to_string().contains(&std::process::id().to_string()), "{second}");
    drop(first);
    let other = Journal::open(SystemRuntime::shared(), folder.path(), &identity("b")).unwrap_err();
    assert_eq!(other.kind(), ErrorKind::PlanMismatch);
    assert!(other.to_string().contains("source was \"a\" and is now \"b\""), "{other}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_commits_at_once_share_groups() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap().journal;
    let commits = (0..200u32).map(|i| {
        let journal = journal.clone();
        async move {
            journal.append(16, &i.to_le_bytes()).unwrap();
            journal.commit().await.unwrap();
        }
    });
    futures_util::future::join_all(commits).await;
    let seen: BTreeSet<Vec<u8>> = records(folder.path()).unwrap().into_iter().collect();
    assert_eq!(seen.len(), 200);
    let groups = replay::scan(&replay::segments(folder.path()).unwrap()).unwrap().unwrap().groups;
    assert!(groups < 100, "200 commits took {groups} groups");
}

/// Writes a journal of three groups of two records each; returns the bytes of its segment.
async fn small(folder: &Path) -> Vec<u8> {
    let journal = open(folder).unwrap().journal;
    for group in 0..3u8 {
        for record in 0..2u8 {
            journal.append(16, &[group, record, 7]).unwrap();
        }
        journal.commit().await.unwrap();
    }
    drop(journal);
    fs::read(segment_path(folder, 1)).unwrap()
}

#[tokio::test]
async fn cut_at_every_length_it_recovers_a_whole_number_of_groups() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = small(folder.path()).await;
    for len in 0..bytes.len() {
        fs::write(segment_path(folder.path(), 1), &bytes[..len]).unwrap();
        let opened = open(folder.path()).unwrap();
        let kept = opened.replay.map_or(0, Iterator::count);
        assert!(kept.is_multiple_of(2) && kept <= 6, "{kept} records at length {len}");
        opened.journal.append(16, b"more").unwrap();
        opened.journal.commit().await.unwrap();
        drop(opened.journal);
        assert_eq!(records(folder.path()).unwrap().len(), kept + 1);
    }
}

#[tokio::test]
async fn with_any_bit_flipped_it_is_recovered_or_refused_never_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = small(folder.path()).await;
    let whole = records(folder.path()).unwrap();
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(segment_path(folder.path(), 1), &flipped).unwrap();
        match open(folder.path()) {
            Ok(Opened { replay: Some(replay), .. }) => {
                let kept: Vec<Vec<u8>> = replay.map(|record| record.unwrap().payload).collect();
                // Any minor version is accepted; otherwise only a torn tail is tolerated.
                let expected = if (10..12).contains(&(bit / 8)) { 6 } else { 4 };
                assert!(whole.starts_with(&kept) && kept.len() == expected, "bit {bit}: {kept:?}");
            }
            Ok(Opened { replay: None, .. }) => panic!("bit {bit}: a journal was taken for a new one"),
            Err(error) => {
                let version = (8..10).contains(&(bit / 8)) || (12..16).contains(&(bit / 8));
                let refused = if version {
                    &[ErrorKind::Unsupported][..]
                } else {
                    &[ErrorKind::Corrupt, ErrorKind::PlanMismatch]
                };
                assert!(refused.contains(&error.kind()), "bit {bit}: {error:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_long_journal_has_several_segments_and_a_missing_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap().journal;
    let record = vec![7; 1 << 20];
    for _ in 0..20 {
        journal.append(16, &record).unwrap();
        journal.commit().await.unwrap();
    }
    drop(journal);
    assert_eq!(replay::segments(folder.path()).unwrap().len(), 3);
    assert_eq!(records(folder.path()).unwrap(), vec![record; 20]);
    fs::remove_file(segment_path(folder.path(), 2)).unwrap();
    let error = open(folder.path()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("segment 2 is missing"), "{error}");
}

#[test]
fn what_a_slow_disk_has_not_written_yet_is_bounded() {
    let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap().journal;
    let (release, disk) = std::sync::mpsc::channel::<()>();
    runtime.block_on(async {
        let busy = SystemRuntime::shared().run_blocking(move || disk.recv());
        let mut appended = 0;
        while journal.room().now_or_never().is_some() {
            journal.append(16, &[7; 1 << 10]).unwrap();
            appended += 1;
        }
        // One group is in flight, and the next is full.
        assert!(appended << 10 < FLUSH_AT + ROOM + (2 << 10), "{appended} KiB are in memory");
        drop(release);
        busy.join().await.unwrap().unwrap_err();
        journal.room().await.unwrap();
        journal.commit().await.unwrap();
        assert_eq!(records(folder.path()).unwrap().len(), appended);
    });
}

#[tokio::test]
async fn a_discard_that_a_crash_cut_short_is_brought_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path()).await;
    File::create(folder.path().join(DISCARD)).unwrap();
    let opened = open(folder.path()).unwrap();
    assert!(opened.replay.is_none(), "what was being removed is not taken up");
    drop(opened);
    assert!(!folder.path().join(DISCARD).exists());
    small(folder.path()).await;
    Journal::discard(folder.path()).unwrap();
    assert!(open(folder.path()).unwrap().replay.is_none());
}

#[tokio::test]
async fn a_restart_keeps_just_what_it_is_given_whenever_it_is_cut_short() {
    let folder = tempfile::tempdir().unwrap();
    small(folder.path()).await;
    let carried = vec![(16, b"kept".to_vec()), (17, Vec::new())];
    Journal::restart(folder.path(), &identity("a"), &carried).unwrap();
    assert_eq!(records(folder.path()).unwrap(), [b"kept".to_vec(), Vec::new()]);
    // Interrupted after the new segment is complete, and after the old ones are removed.
    for old in [true, false] {
        fs::remove_file(segment_path(folder.path(), 1)).unwrap();
        if old {
            small(folder.path()).await;
        }
        write::first_segment(&folder.path().join(NEXT), &identity("a"), &carried).unwrap();
        let opened = open(folder.path()).unwrap();
        opened.journal.append(16, b"more").unwrap();
        opened.journal.commit().await.unwrap();
        drop(opened);
        assert_eq!(records(folder.path()).unwrap(), [b"kept".to_vec(), Vec::new(), b"more".to_vec()]);
        assert!(!folder.path().join(NEXT).exists());
    }
    // Interrupted before the new segment is complete: the old journal stays.
    fs::write(folder.path().join("journal.tmp"), b"half").unwrap();
    assert_eq!(open(folder.path()).unwrap().replay.unwrap().count(), 3);
    Journal::discard(folder.path()).unwrap();
    assert!(open(folder.path()).unwrap().replay.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_record_is_on_disk_soon_although_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap().journal;
    for n in 0..3u8 {
        journal.append(16, &[n]).unwrap();
        // The paused clock does not advance while the group is written.
        SystemRuntime::shared().sleep(FLUSH_AFTER * 2).await;
        while records(folder.path()).unwrap().len() <= usize::from(n) {
            tokio::task::yield_now().await;
        }
    }
    journal.append(16, b"later").unwrap();
    drop(journal);
    assert!(open(folder.path()).is_ok(), "the task that waits keeps the folder locked");
}

#[tokio::test(start_paused = true)]
async fn much_finished_work_is_on_disk_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path()).unwrap().journal;
    journal.append_for(16, b"a", FLUSH_AT_WORK - 1).unwrap();
    journal.append_for(16, b"b", 1).unwrap();
    let begun = tokio::time::Instant::now();
    while records(folder.path()).unwrap().len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(begun.elapsed(), Duration::ZERO, "no timer had to pass");
}
