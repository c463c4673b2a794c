//! Copies that are made on this machine: the engine reads the source beside.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use lepton_core::{
    Capabilities, ErrorKind, Location, MemoryStorage, MultipartLimits, ObjectKey, RetryClass, StorageExt as _,
};
use lepton_data::{
    ComparedBy, ExistingPolicy, ManifestEntry, ManifestReader, Report, SourceCheck, Status, TransferBuilder,
    VerifyDepth, verify,
};
use support::faulty::{Fault, Faulty};
use support::*;

/// A store that copies as a disk does, and takes parts of 1 MiB.
fn disk() -> MemoryStorage {
    let mut disk = Capabilities::everything("disk");
    disk.copies_locally = true;
    disk.multipart = Some(MultipartLimits::new(1, 1 << 40, 10_000));
    MemoryStorage::builder().capabilities(disk).build()
}

fn copying(from: &MemoryStorage, to: Arc<Faulty>, folder: &Path) -> TransferBuilder {
    transfer(shared(from), to).server_copy(true).journal(folder)
}

async fn run(builder: TransferBuilder) -> Report {
    builder.build().unwrap().run().await.unwrap()
}

fn lines(report: &Report) -> Vec<ManifestEntry> {
    ManifestReader::open(report.manifest.as_ref().unwrap()).unwrap().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_is_that_of_a_transfer_by_reading_and_writing() {
    let (from, to) = (disk(), disk());
    fill(&from, &[("a", 10), ("empty", 0), ("large", 3 * MIB + 5)]).await;
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let faulty = Arc::new(Faulty::new(&to, |_, _| None).copying());
    let copied = run(copying(&from, faulty.clone(), folders[0].path())).await;
    assert_eq!((copied.status, copied.objects, copied.server_copies), (Status::Complete, 3, 3));
    assert_eq!((copied.bytes, copied.bytes_read), (3 * MIB as u64 + 15, 3 * MIB as u64 + 15), "read once");
    assert_eq!((faulty.count("copy"), faulty.count("put"), faulty.count("upload_part")), (3, 0, 0));
    assert_same(&from, &to).await;
    let found =
        verify(copied.manifest.as_ref().unwrap(), &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven() && found.without_digest == 0, "{found:?}");

    let sent = run(copying(&from, Arc::new(Faulty::new(&disk(), |_, _| None)), folders[1].path())).await;
    let proof = |report: &Report| {
        let mut lines: Vec<_> = lines(report)
            .into_iter()
            .map(|line| (line.key, line.sha256_tree.unwrap(), line.part_size, line.parts, line.crc64nvme.unwrap()))
            .collect();
        lines.sort();
        lines
    };
    assert_eq!(proof(&copied), proof(&sent));
    assert!(lines(&copied).iter().all(|line| line.server_copy == Some(ComparedBy::Size)));
    assert!(lines(&copied).iter().all(|line| line.source_check == SourceCheck::Stored), "as memory keeps a CRC");
    // What the copier did wrong does not become right by the digest.
    to.write(&key("large"), bytes(77, 3 * MIB + 5)).await.unwrap();
    let found =
        verify(copied.manifest.as_ref().unwrap(), &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
    assert!(found.problems.iter().any(|problem| problem.key == key("large")), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_between_its_digest_and_its_copy_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (disk(), disk());
    fill(&from, &[("a", 2 * MIB)]).await;
    let (source, copies) = (from.clone(), AtomicUsize::new(0));
    let faulty = Faulty::new(&to, move |call: &str, name: &ObjectKey| {
        if call == "copy" && copies.fetch_add(1, Ordering::Relaxed) == 0 {
            source.write(name, bytes(9, 3 * MIB)).now_or_never().unwrap().unwrap();
        }
        None
    });
    let faulty = Arc::new(faulty.copying());
    let report = run(copying(&from, faulty.clone(), folder.path())).await;
    assert_eq!((report.status, report.objects, report.server_copies), (Status::Complete, 1, 1), "{report:?}");
    assert_eq!(faulty.count("copy"), 2);
    assert_same(&from, &to).await;
    let found =
        verify(report.manifest.as_ref().unwrap(), &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven(), "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_is_read_and_sent_and_a_lost_answer_is_read_back() {
    for (call, kind) in [("copy", ErrorKind::PermissionDenied), ("is_cheaper", ErrorKind::NotFound)] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (disk(), disk());
        fill(&from, &[("a", 10), ("large", 3 * MIB)]).await;
        let refuses =
            move |called: &str, _: &ObjectKey| (called == call).then_some(Fault::Fail(kind, RetryClass::Never));
        let faulty = Arc::new(Faulty::new(&to, refuses).copying());
        let report = run(copying(&from, faulty, folder.path())).await;
        assert_eq!((report.status, report.objects, report.server_copies), (Status::Complete, 2, 0), "{call}");
        assert!(report.server_copy_refused.unwrap().contains("told to fail"), "{call}");
        assert_same(&from, &to).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (disk(), disk());
    fill(&from, &[("a", 10)]).await;
    let loses = |called: &str, _: &ObjectKey| (called == "copy").then_some(Fault::LoseReply);
    let faulty = Arc::new(Faulty::new(&to, loses).copying());
    let report = run(copying(&from, faulty, folder.path()).existing(ExistingPolicy::Skip)).await;
    assert_eq!((report.status, report.server_copies), (Status::Complete, 1), "{report:?}");
    assert_eq!(lines(&report)[0].server_copy, Some(ComparedBy::Content));
}

#[tokio::test(flavor = "multi_thread")]
async fn under_a_bandwidth_or_with_a_digest_to_record_every_byte_passes_through_here() {
    for limited in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (disk(), disk());
        fill(&from, &[("a", 10)]).await;
        let faulty = Arc::new(Faulty::new(&to, |_, _| None).copying());
        let transfer = copying(&from, faulty.clone(), folder.path());
        let transfer = if limited { transfer.bandwidth(Some(1 << 30)) } else { transfer.record_digest(true) };
        let report = run(transfer).await;
        assert_eq!((report.objects, report.server_copies, faulty.count("is_cheaper")), (1, 0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_within_a_copy_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (disk(), disk());
    fill(&from, &[("a", 10)]).await;
    // The copy would take an hour.
    let slow = |called: &str, _: &ObjectKey| (called == "copy").then_some(Fault::Slow(3_600_000));
    let faulty = Arc::new(Faulty::new(&to, slow).copying());
    let handle = copying(&from, faulty.clone(), folder.path()).build().unwrap().start().await.unwrap();
    while faulty.count("copy") == 0 {
        tokio::task::yield_now().await;
    }
    handle.cancel();
    let report = handle.wait().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Cancelled, 0));
    assert!(list(&to).await.is_empty());
    let faulty = Arc::new(Faulty::new(&to, |_, _| None).copying());
    let report = run(copying(&from, faulty, folder.path())).await;
    assert_eq!((report.status, report.server_copies), (Status::Complete, 1));
    assert_same(&from, &to).await;
}
