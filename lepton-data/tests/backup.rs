//! What is replaced or deleted is kept where that is asked for; digests are recorded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton_core::{
    Attribute, Capabilities, ErrorKind, HeadOptions, MemoryStorage, RetryClass, Storage as _, StorageExt as _, Support,
};
use lepton_data::{Compare, ComparedBy, ExistingPolicy, PlannedAction, Status, TransferBuilder};
use support::faulty::{Fault, Faulty};
use support::*;

fn backed_up(from: &MemoryStorage, to: &MemoryStorage) -> TransferBuilder {
    transfer(shared(from), shared(to)).delete(true).max_delete_percent(100).backup_prefix(Some("old/".into()))
}

async fn names(store: &MemoryStorage) -> Vec<String> {
    list(store).await.iter().map(|meta| meta.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_replaced_or_deleted_is_kept() {
    let mut plain = Capabilities::everything("plain");
    plain.server_copy = Support::Unsupported;
    for to in [MemoryStorage::new(), MemoryStorage::builder().capabilities(plain).build()] {
        for existing in [ExistingPolicy::Overwrite, ExistingPolicy::IfDifferent] {
            let from = MemoryStorage::new();
            for name in names(&to).await {
                to.delete(vec![lepton_core::DeleteRequest::new(key(&name))]).await.unwrap().check().unwrap();
            }
            fill(&from, &[("a", 10), ("big", 3 * MIB), ("new", 5)]).await;
            for (name, len) in [("a", 11), ("big", 2 * MIB), ("gone", 7)] {
                to.write(&key(name), bytes(99, len)).await.unwrap();
            }
            let report = backed_up(&from, &to).existing(existing).build().unwrap().run().await.unwrap();
            assert_eq!((report.status, report.objects, report.deleted), (Status::Complete, 3, 1));
            assert_eq!(names(&to).await, ["a", "big", "new", "old/a", "old/big", "old/gone"]);
            for (name, len) in [("a", 11), ("big", 2 * MIB), ("gone", 7)] {
                let kept = to.read(&key(&format!("old/{name}")), u64::MAX).await.unwrap();
                assert!(kept == bytes(99, len), "{name}");
            }
            // A second run changes nothing: the backups are no part of the mirror.
            let again = backed_up(&from, &to).existing(ExistingPolicy::IfDifferent).compare(Compare::Content);
            let report = again.build().unwrap().run().await.unwrap();
            assert_eq!((report.unchanged, report.extras), (3, 0));
            // What is kept is not replaced.
            from.write(&key("a"), bytes(5, 12)).await.unwrap();
            let report =
                backed_up(&from, &to).existing(ExistingPolicy::IfDifferent).build().unwrap().run().await.unwrap();
            assert_eq!((report.status, report.failures.len()), (Status::Incomplete, 1));
            assert!(report.failures[0].error.contains("another backup_prefix"), "{}", report.failures[0].error);
            assert_eq!(to.read(&key("a"), 100).await.unwrap(), bytes(1, 10), "nor is what it would have kept");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_taken_up_keeps_what_was_there_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = stores();
    fill(&from, &[("a", 10)]).await;
    to.write(&key("a"), bytes(99, 11)).await.unwrap();
    // The object is written, its answer is lost, and the run ends before it knows.
    let mut puts = 0;
    let dies = Faulty::new(&to, move |call, name| {
        puts += usize::from(call == "put" && *name == key("a"));
        match puts {
            1 if call == "put" => Some(Fault::LoseReply),
            2 => Some(Fault::Fail(ErrorKind::Unauthenticated, RetryClass::Never)),
            _ => None,
        }
    });
    let build = |to| transfer(shared(&from), to).backup_prefix(Some("old/".into())).journal(folder.path());
    let ended = build(Arc::new(dies)).build().unwrap().run().await.unwrap_err();
    assert_eq!(ended.kind(), ErrorKind::Unauthenticated);
    assert_eq!(to.read(&key("a"), 100).await.unwrap(), bytes(1, 10), "written, but not known to be");
    let report = build(shared(&to)).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 1), "{:?}", report.failures);
    assert_eq!(to.read(&key("old/a"), 100).await.unwrap(), bytes(99, 11), "not our own object");
}

#[test]
fn digests_are_recorded_or_refused() {
    let mut bare = Capabilities::everything("bare");
    bare.attributes.retain(|attribute| *attribute != Attribute::UserMetadata);
    let to = MemoryStorage::builder().capabilities(bare).build();
    let built = transfer(shared(&MemoryStorage::new()), shared(&to)).record_digest(true).build();
    let error = built.unwrap_err();
    assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("record_digest"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_digests_tell_what_stores_do_not() {
    let mut forgetful = Capabilities::everything("forgetful");
    forgetful.etag_is_md5 = false;
    let (from, to) = stores();
    fill(&from, &[("a", 10), ("big", 3 * MIB)]).await;
    let record = || transfer(shared(&from), shared(&to)).record_digest(true);
    let report = record().build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.bytes_read), (Status::Complete, 2 * (10 + 3 * MIB as u64)));
    for name in ["a", "big"] {
        let info = to.head(&key(name), HeadOptions::new()).await.unwrap();
        let bytes = from.read(&key(name), u64::MAX).await.unwrap();
        let expected = lepton_core::TreeHasher::of(&bytes).root.to_string();
        assert_eq!(info.attributes.user_metadata.get("lepton-sha256-tree"), Some(&expected), "{name}");
    }
    // The copy of the copy carries it along: both sides state the same.
    let copy = MemoryStorage::new();
    let _ = transfer(shared(&to), shared(&copy)).build().unwrap().run().await.unwrap();
    let compare = transfer(shared(&to), shared(&copy)).existing(ExistingPolicy::IfDifferent).compare(Compare::Checksum);
    let planned: Vec<_> = compare.build().unwrap().plan().try_collect().await.unwrap();
    let unchanged = PlannedAction::Unchanged { by: ComparedBy::Checksum };
    assert!(planned.iter().all(|planned| planned.action == unchanged));
}

/// Also where a head does not count the tags.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_has_the_tags() {
    for counts in [true, false] {
        let (from, to) = stores();
        fill(&from, &[("a", 10)]).await;
        let mut attributes = lepton_core::Attributes::default();
        attributes.tags.insert("team".into(), "storage".into());
        put(&to, "a", bytes(5, 20), lepton_core::PutOptions::new().attributes(attributes.clone())).await;
        let there = Faulty::new(&to, |_, _| None);
        let there = if counts { there } else { there.silent() };
        let kept = transfer(shared(&from), Arc::new(there)).backup_prefix(Some("kept/".into()));
        assert_eq!(kept.build().unwrap().run().await.unwrap().status, Status::Complete);
        let info = to.head(&key("kept/a"), HeadOptions::new().tags(true)).await.unwrap();
        assert_eq!(info.attributes.tags, attributes.tags, "{counts}");
    }
}
