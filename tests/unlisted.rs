//! What a listing cannot read never stops the rest, is never passed over in silence, and keeps a
//! mirror from deleting.
//!
//! The tests may run as root, who may open everything: links stand for what may not be opened.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton::data::{PlannedAction, TransferBuilder};
use lepton::{
    ExistingPolicy, Filters, MemoryStorage, ObjectKey, Report, SharedStorage, Status, StorageExt as _, Transfer, open,
};

/// Refuses links, so that each is an entry that cannot be listed.
async fn strict(from: &Path, to: &Path) -> TransferBuilder {
    through(from, "error", to).await
}

async fn through(from: &Path, symlinks: &str, to: &Path) -> TransferBuilder {
    let from = open(&format!("file://{}?symlinks={symlinks}&special_files=skip", from.display())).await.unwrap();
    let to = open(&format!("file://{}?create_root=true", to.display())).await.unwrap();
    Transfer::builder().from(from).to(to).existing(ExistingPolicy::IfDifferent).max_delete_percent(100)
}

/// A folder with two files and, between them, a link and a folder that is its own child.
fn source(folder: &Path) -> std::path::PathBuf {
    let source = folder.join("source");
    fs::create_dir_all(source.join("m/inside")).unwrap();
    for name in ["a", "m/inside/file", "z"] {
        fs::write(source.join(name), name).unwrap();
    }
    symlink("..", source.join("m/loop")).unwrap();
    source
}

fn names(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = entries.flat_map(|path| {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() { names(&path).iter().map(|below| format!("{name}/{below}")).collect() } else { vec![name] }
    });
    below.collect()
}

fn failed(report: &Report) -> Vec<String> {
    report.failures.iter().map(|failure| failure.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_entry_does_not_stop_the_rest_and_nothing_is_deleted() {
    for (symlinks, key) in [("error", "m/loop"), ("follow", "m/loop/")] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, journal) = (source(folder.path()), folder.path().join("to"), folder.path().join("journal"));
        fs::create_dir_all(to.join("m")).unwrap();
        fs::write(to.join("extra"), "x").unwrap();
        fs::write(to.join("m/loop"), "x").unwrap();
        let mirror = async || through(&from, symlinks, &to).await.delete(true).journal(&journal).build().unwrap();
        for _ in 0..2 {
            let report = mirror().await.run().await.unwrap();
            assert_eq!((report.status, report.deleted), (Status::Incomplete, 0), "{symlinks}");
            assert_eq!(failed(&report), [key], "{:?}", report.failures);
            assert_eq!(names(&to), ["a", "extra", "m/inside/file", "m/loop", "z"].map(String::from).into());
        }
        // The cause is gone.
        fs::remove_file(from.join("m/loop")).unwrap();
        let report = mirror().await.run().await.unwrap();
        assert_eq!((report.status, report.deleted), (Status::Complete, 2), "{:?}", report.failures);
        assert_eq!(names(&to), names(&from));
    }
}

/// The run ends between the entry and the end of the listing: the next one does not go on behind
/// it as if it had been read.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_listed_is_listed_again_after_an_interrupted_run() {
    for existing in [ExistingPolicy::Overwrite, ExistingPolicy::IfDifferent] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to, journal) = (folder.path().join("from"), folder.path().join("to"), folder.path().join("journal"));
        fs::create_dir(&from).unwrap();
        symlink("nowhere", from.join("0")).unwrap();
        for name in ["1", "2", "3"] {
            fs::write(from.join(name), name).unwrap();
        }
        let run = async |most| {
            let transfer = strict(&from, &to).await.existing(existing).journal(&journal).max_transfer(most);
            transfer.build().unwrap().run().await.unwrap()
        };
        assert_eq!(run(Some(1)).await.status, Status::Limited);
        fs::remove_file(from.join("0")).unwrap();
        fs::write(from.join("0"), "0").unwrap();
        assert_eq!(run(None).await.status, Status::Complete);
        assert_eq!(names(&to), names(&from), "{existing:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_excluded_folder_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (source(folder.path()), folder.path().join("to"));
    let excluded = Filters::new().exclude("/m/");
    let report = strict(&from, &to).await.filters(excluded).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 2), "{:?}", report.failures);
    let later = Filters::new().exclude("/m/").include("file");
    let report = strict(&from, &to).await.filters(later).build().unwrap().run().await.unwrap();
    assert_eq!((failed(&report), to.join("m/inside/file").exists()), (vec!["m/loop".to_owned()], true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_names_it_and_a_plan_that_deletes_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (source(folder.path()), folder.path().join("to"));
    let plan: Vec<_> = strict(&from, &to).await.build().unwrap().plan().try_collect().await.unwrap();
    let last = plan.last().unwrap();
    assert!(matches!(last.action, PlannedAction::Refuse { .. }) && last.key.as_str() == Some("m/loop"), "{last:?}");
    assert_eq!(plan.len(), 4);
    let mirror = strict(&from, &to).await.delete(true).build().unwrap();
    let error = mirror.plan().try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.context("key"), Some("m/loop"), "{error}");
    let saved = strict(&from, &to).await.build().unwrap().save_plan(&folder.path().join("plan")).await;
    assert_eq!(saved.unwrap_err().context("key"), Some("m/loop"));
    assert!(!folder.path().join("plan").exists());
}

/// As S3 consoles make them: an empty object whose key ends in `/`. A folder on a disk can be one.
#[tokio::test(flavor = "multi_thread")]
async fn folder_markers_go_to_a_disk_and_from_it() {
    let folder = tempfile::tempdir().unwrap();
    let store: SharedStorage = Arc::new(MemoryStorage::new());
    for (key, text) in [("docs/", ""), ("docs/a", "a"), ("lone/", "")] {
        store.write(&ObjectKey::try_from(key).unwrap(), text.into()).await.unwrap();
    }
    let place = |name: &str| {
        let path = folder.path().join(name);
        async move { open(&format!("file://{}?create_root=true&empty_directories=marker", path.display())).await.unwrap() }
    };
    let run = async |from, to| {
        let transfer = Transfer::builder().from(from).to(to).existing(ExistingPolicy::IfDifferent).build().unwrap();
        transfer.run().await.unwrap().into_result().unwrap()
    };
    assert_eq!(run(store.into(), place("one").await).await.objects, 3);
    assert!(folder.path().join("one/lone").is_dir() && folder.path().join("one/docs/a").is_file());
    // A folder with something in it is no marker.
    assert_eq!(run(place("one").await, place("two").await).await.objects, 2);
    assert!(folder.path().join("two/lone").is_dir());
    assert_eq!(run(place("empty").await, place("two").await).await.objects, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_passed_over_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (source(folder.path()), folder.path().join("to"));
    fs::create_dir(from.join("empty")).unwrap();
    // Not by a program: its process has the locks of other tests for a moment.
    let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
    let report = through(&from, "skip", &to).await.build().unwrap().run().await.unwrap();
    let passed = report.passed_over;
    assert_eq!((passed.symlinks, passed.special_files, passed.empty_folders), (1, 1, 1));
    assert_eq!((report.status, report.objects), (Status::Complete, 3));
}
