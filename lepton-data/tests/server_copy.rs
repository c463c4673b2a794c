//! Copies that a store makes by itself.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Capabilities, ErrorKind, HeadOptions, Location, MemoryStorage, Multipart as _, ObjectKey, PutOptions, RetryClass,
    Storage as _, StorageExt as _,
};
use lepton_data::{ComparedBy, ExistingPolicy, ManifestReader, Report, Status, TransferBuilder, VerifyDepth, verify};
use support::faulty::{Fault, Faulty};
use support::*;

fn copying(from: &MemoryStorage, to: &MemoryStorage) -> TransferBuilder {
    transfer(shared(from), shared(to)).server_copy(true)
}

async fn run(builder: TransferBuilder) -> Report {
    builder.build().unwrap().run().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_byte_passes_where_the_store_copies_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("empty", 0), ("large", 3 * MIB)]).await;
    let mut options = PutOptions::new();
    options.attributes.content_type = Some("text/x".into());
    options.attributes.tags = [("team".to_owned(), "a".to_owned())].into();
    put(&from, "dressed", bytes(9, 100), options.clone()).await;
    let report = run(copying(&from, &to).journal(folder.path())).await;
    assert_eq!((report.status, report.objects, report.server_copies, report.bytes_read), (Status::Complete, 4, 4, 0));
    assert_same(&from, &to).await;
    let dressed = to.head(&key("dressed"), HeadOptions::new().tags(true)).await.unwrap();
    assert_eq!(dressed.attributes, options.attributes);
    let manifest = report.manifest.unwrap();
    let how: Vec<_> = ManifestReader::open(&manifest).unwrap().map(|line| line.unwrap().server_copy).collect();
    assert_eq!(how, [Some(ComparedBy::Etag); 4]);
    let found = verify(&manifest, &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven() && found.without_digest == 4);
    to.write(&key("a"), bytes(5, 10)).await.unwrap();
    let found = verify(&manifest, &Location::from(shared(&to)), VerifyDepth::Full).await.unwrap();
    assert_eq!(found.problems.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_known_by_no_tag_is_known_by_a_checksum() {
    let folder = tempfile::tempdir().unwrap();
    let from = MemoryStorage::builder().capabilities(Capabilities::everything("opaque")).build();
    let to = MemoryStorage::new();
    fill(&from, &[("a", 10)]).await;
    let report = run(copying(&from, &to).journal(folder.path())).await;
    let line = ManifestReader::open(&report.manifest.unwrap()).unwrap().next().unwrap().unwrap();
    assert_eq!((report.server_copies, line.server_copy), (1, Some(ComparedBy::Checksum)));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_store_does_not_copy_is_read_and_sent_and_that_is_said() {
    for (kind, asked) in [(ErrorKind::PermissionDenied, 1), (ErrorKind::InvalidInput, 3)] {
        let (from, to) = stores();
        fill(&from, &[("a", 10), ("b", 20), ("large", 3 * MIB)]).await;
        let refuses = move |call: &str, _: &ObjectKey| (call == "copy").then_some(Fault::Fail(kind, RetryClass::Never));
        let faulty = Arc::new(Faulty::new(&to, refuses).copying());
        let one = NonZeroUsize::new(1).unwrap();
        let report = run(transfer(shared(&from), faulty.clone()).server_copy(true).concurrency(one)).await;
        assert_eq!((report.status, report.objects, report.server_copies), (Status::Complete, 3, 0));
        assert!(report.server_copy_refused.unwrap().contains("told to fail"));
        assert!(faulty.count("copy") >= asked, "{kind}: {}", faulty.count("copy"));
        assert_same(&from, &to).await;
    }
    // A store that has no such facet is not asked.
    let (from, to) = stores();
    fill(&from, &[("a", 10)]).await;
    let plain = Arc::new(Faulty::new(&to, |_, _| None));
    let report = run(transfer(shared(&from), plain).server_copy(true)).await;
    assert_eq!((report.objects, report.server_copies, report.server_copy_refused), (1, 0, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_is_settled_by_what_is_there() {
    for (call, large) in [("copy", false), ("complete", true)] {
        let mut small = Capabilities::everything("small copies");
        (small.max_single_put, small.etag_is_md5) = (MIB as u64, true);
        let (from, to) = (MemoryStorage::new(), MemoryStorage::builder().capabilities(small).build());
        fill(&from, &[("a", if large { 3 * MIB + 5 } else { 10 })]).await;
        let loses = move |called: &str, _: &ObjectKey| (called == call).then_some(Fault::LoseReply);
        let faulty = Arc::new(Faulty::new(&to, loses).copying());
        let twice = NonZeroU32::new(2).unwrap();
        let report = run(transfer(shared(&from), faulty).server_copy(true).attempts(twice)).await;
        assert_eq!((report.status, report.server_copies, report.bytes_read), (Status::Complete, 1, 0), "{call}");
        assert_same(&from, &to).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_above_the_limit_of_one_copy_is_copied_in_parts() {
    let mut small = Capabilities::everything("small copies");
    small.max_single_put = MIB as u64;
    let (from, to) = (MemoryStorage::new(), MemoryStorage::builder().capabilities(small).build());
    fill(&from, &[("large", 3 * MIB + 5)]).await;
    let faulty = Arc::new(Faulty::new(&to, |_, _| None).copying());
    let report = run(transfer(shared(&from), faulty.clone()).server_copy(true)).await;
    assert_eq!((report.server_copies, report.bytes_read), (1, 0), "{:?}", report.server_copy_refused);
    assert_eq!(faulty.effects("copy_part"), 4);
    assert_same(&from, &to).await;
    // One that fails half-way leaves no upload behind.
    let other = MemoryStorage::builder().capabilities(to.capabilities().clone()).build();
    let mut parts = 0;
    let fails = move |call: &str, _: &ObjectKey| {
        parts += usize::from(call == "copy_part");
        (call == "copy_part" && parts > 2).then_some(Fault::Fail(ErrorKind::InvalidInput, RetryClass::Never))
    };
    let faulty = Arc::new(Faulty::new(&other, fails).copying());
    let report = run(transfer(shared(&from), faulty).server_copy(true)).await;
    assert_eq!((report.status, report.server_copies), (Status::Complete, 0));
    let left: Vec<_> = other.list_uploads(&key("large")).try_collect().await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert_same(&from, &other).await;
}

/// The old object has the size of the new one, and the store tells nothing of either but
/// that and a tag of its own: it must not be taken for a copy that never took place.
#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_may_not_have_taken_place_is_not_believed() {
    for fault in [Fault::LoseRequest, Fault::LoseReply] {
        for old in [None, Some(bytes(5, 10))] {
            for existing in [ExistingPolicy::Overwrite, ExistingPolicy::IfDifferent] {
                let opaque = || MemoryStorage::builder().capabilities(Capabilities::everything("opaque")).build();
                let (from, to) = (opaque(), opaque());
                if let Some(old) = &old {
                    to.write(&key("a"), old.clone()).await.unwrap();
                    pause(5).await;
                }
                fill(&from, &[("a", 10)]).await;
                let fault = fault.clone();
                let script = move |call: &str, _: &ObjectKey| (call == "copy").then(|| fault.clone());
                let silent = Arc::new(Faulty::new(&from, |_: &str, _: &ObjectKey| None).silent());
                let faulty = Arc::new(Faulty::new(&to, script).copying().silent());
                let transfer = transfer(silent, faulty).server_copy(true).existing(existing);
                let report = run(transfer.attempts(NonZeroU32::new(2).unwrap())).await;
                assert_eq!((report.status, report.objects), (Status::Complete, 1), "{existing:?}: {report:?}");
                assert_same(&from, &to).await;
            }
        }
    }
}
