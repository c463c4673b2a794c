//! What users expect of copies between disks and stores of objects: folders, files that became
//! folders, times and content types.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use lepton::core::{Attributes, Capabilities, HeadOptions, ListRequest, PutOptions, Storage as _};
use lepton::data::{Compare, PlannedAction, TransferBuilder};
use lepton::{
    ExistingPolicy, Location, MemoryStorage, ObjectKey, Report, SharedStorage, Status, StorageExt as _, Transfer, open,
};
use support::example;

fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

async fn bucket(objects: &[(&str, &str)]) -> MemoryStorage {
    let store = MemoryStorage::new();
    for (name, text) in objects {
        store.write(&key(name), (*text).to_owned().into()).await.unwrap();
    }
    store
}

fn shared(store: &MemoryStorage) -> SharedStorage {
    Arc::new(store.clone())
}

async fn disk(folder: &Path) -> Location {
    open(&format!("file://{}?create_root=true", folder.display())).await.unwrap()
}

/// Files with their own names in them.
fn files(folder: &Path, names: &[&str]) {
    for name in names {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
}

/// A mirror that may delete everything.
fn mirror(from: impl Into<Location>, to: impl Into<Location>) -> TransferBuilder {
    let both = Transfer::builder().from(from.into()).to(to.into());
    both.existing(ExistingPolicy::IfDifferent).delete(true).max_delete_percent(100)
}

async fn run(transfer: TransferBuilder) -> Report {
    transfer.build().unwrap().run().await.unwrap()
}

fn set_time(path: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_that_a_disk_cannot_hold_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let store = bucket(&[("docs/", ""), ("docs/a", "a"), ("lone/", "")]).await;
    files(folder.path(), &["old"]);
    let mirrored = || async { mirror(shared(&store), disk(folder.path()).await) };
    let transfer = mirrored().await.build().unwrap();
    let mut plan = transfer.plan();
    let planned: Vec<_> = (&mut plan).try_collect().await.unwrap();
    assert_eq!((planned.len(), plan.passed_over().folder_markers), (2, 2), "{planned:?}");
    let report = run(mirrored().await).await;
    assert_eq!((report.status, report.objects, report.deleted), (Status::Complete, 1, 1), "{:?}", report.failures);
    assert_eq!(report.passed_over.folder_markers, 2);
    assert!(folder.path().join("docs/a").is_file() && !folder.path().join("old").exists());
    // A marker with content would be lost.
    store.write(&key("full/"), "content".into()).await.unwrap();
    let report = run(mirrored().await).await;
    let failed: Vec<_> = report.failures.iter().map(|failure| failure.key.as_str().unwrap()).collect();
    assert_eq!((report.status, failed), (Status::Incomplete, vec!["full/"]));
}

/// The marker of the folder that is named is not part of what is in it.
#[tokio::test(flavor = "multi_thread")]
async fn the_marker_of_the_named_folder_stays_where_it_is() {
    let (from, to) = (bucket(&[("in/", ""), ("in/a", "a"), ("in/b/", "")]).await, bucket(&[("out/x/", "")]).await);
    for _ in 0..2 {
        let report = run(mirror(Location::new(shared(&from), "in/"), Location::new(shared(&to), "out/x/"))).await;
        assert_eq!((report.status, report.deleted), (Status::Complete, 0), "{:?}", report.failures);
        let pages: Vec<_> = to.list(ListRequest::new()).try_collect().await.unwrap();
        let names: Vec<_> = pages.iter().flat_map(|page| &page.objects).map(|one| one.key.as_str().unwrap()).collect();
        assert_eq!(names, ["out/x/", "out/x/a", "out/x/b/"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_a_folder_and_the_reverse() {
    for planned in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        files(&from, &["file", "folder/deep/1", "folder/deep/2", "same"]);
        fs::create_dir(from.join("empty")).unwrap();
        files(&to, &["file/was/a/folder", "file/2", "folder", "same", "other"]);
        let journal = folder.path().join("journal");
        let build =
            async || mirror(disk(&from).await, disk(&to).await).backup_prefix(Some("kept/".into())).journal(&journal);
        let builder = if planned {
            let plan = folder.path().join("plan");
            let summary = build().await.build().unwrap().save_plan(&plan).await.unwrap();
            assert_eq!((summary.copies, summary.deletes, summary.refused), (3, 4, 0));
            build().await.saved_plan(plan)
        } else {
            build().await
        };
        let handle = builder.build().unwrap().start().await.unwrap();
        let mut last = None;
        let report = handle.watch(Duration::from_secs(3600), |progress| last = Some(progress)).await.unwrap();
        assert_eq!((report.status, report.deleted), (Status::Complete, 4), "{:?}", report.failures);
        let (last, found) = (last.unwrap(), report.passed_over.empty_folders);
        assert_eq!((last.total_objects, last.fraction(), found), (4, Some(1.0), u64::from(!planned)), "listed once");
        for name in ["file", "folder/deep/1", "folder/deep/2", "same"] {
            assert_eq!(fs::read_to_string(to.join(name)).unwrap(), name);
        }
        for (name, text) in [("file/2", "file/2"), ("file/was/a/folder", "file/was/a/folder"), ("folder", "folder")] {
            assert_eq!(fs::read_to_string(to.join("kept").join(name)).unwrap(), text, "each has its backup");
        }
        assert!(!to.join("other").exists());
    }
}

/// The run ends at its limit between the deletes and the copies.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_in_the_way_is_replaced_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    files(&from, &["a", "folder/1", "folder/2", "folder/3"]);
    files(&to, &["folder", "other"]);
    let build = async || {
        let journal = folder.path().join("journal");
        mirror(disk(&from).await, disk(&to).await).concurrency(std::num::NonZero::<usize>::MIN).journal(journal)
    };
    // The bytes that were started count in both passes.
    let report = run(build().await.max_transfer(Some(26))).await;
    assert_eq!((report.status, to.join("other").exists()), (Status::Limited, true), "{report:?}");
    let report = run(build().await).await;
    assert_eq!((report.status, to.join("other").exists()), (Status::Complete, false), "{:?}", report.failures);
    for name in ["a", "folder/1", "folder/2", "folder/3"] {
        assert_eq!(fs::read_to_string(to.join(name)).unwrap(), name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_stays_where_nothing_may_be_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    files(&from, &["a", "folder/1", "folder/2"]);
    files(&to, &["a", "folder"]);
    let build = async || mirror(disk(&from).await, disk(&to).await);
    let error = build().await.max_delete(Some(0)).build().unwrap().run().await.unwrap_err();
    assert_eq!(error.kind().code(), "too_many_deletes");
    let report = run(build().await.delete(false)).await;
    assert_eq!((report.status, report.failed()), (Status::Incomplete, 2), "no mirror: the objects fail");
    // Another object fails. An empty folder is no object, and gives way.
    files(&from, &["b"]);
    fs::create_dir(to.join("b")).unwrap();
    std::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
    let strict = open(&format!("file://{}?symlinks=error", from.display())).await.unwrap();
    let report = run(mirror(strict, disk(&to).await)).await;
    assert_eq!((report.status, report.deleted), (Status::Incomplete, 0));
    assert_eq!(report.failures_by_kind["invalid_key"], 3, "{:?}", report.failures);
    assert!(to.join("folder").is_file() && to.join("b").is_file());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_an_older_time_is_found_where_times_are_recorded() {
    for (lists, compare, found) in [
        (true, Compare::Auto, true),
        (true, Compare::Time, true),
        (false, Compare::Auto, false),
        (false, Compare::RecordedTime, true),
    ] {
        let folder = tempfile::tempdir().unwrap();
        files(folder.path(), &["a", "b"]);
        let mut capabilities = Capabilities::everything("store");
        capabilities.list_attributes = lists;
        let store = MemoryStorage::builder().capabilities(capabilities).build();
        let upload = async || {
            let both = Transfer::builder().from(disk(folder.path()).await).to(shared(&store));
            run(both.existing(ExistingPolicy::IfDifferent).compare(compare).time_window(Duration::ZERO)).await
        };
        assert_eq!(upload().await.objects, 2);
        assert_eq!(upload().await.unchanged, 2, "{compare:?}");
        fs::write(folder.path().join("a"), "A").unwrap();
        set_time(&folder.path().join("a"), 1_000_000_000);
        let report = upload().await;
        assert_eq!((report.objects, report.unchanged), (u64::from(found), 2 - u64::from(found)), "{lists} {compare:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn downloads_have_the_time_of_their_source_and_are_then_unchanged() {
    let folder = tempfile::tempdir().unwrap();
    let store = bucket(&[("plain", "1")]).await;
    let mut attributes = Attributes::default();
    attributes.user_metadata.insert("mtime".into(), "1500000000.250000000".into());
    store.put(&key("recorded"), "2".into(), PutOptions::new().attributes(attributes)).await.unwrap();
    let written = store.head(&key("plain"), HeadOptions::new()).await.unwrap().meta.last_modified.unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    let download = async || {
        let both = Transfer::builder().from(shared(&store)).to(disk(folder.path()).await);
        run(both.existing(ExistingPolicy::IfDifferent).time_window(Duration::ZERO)).await
    };
    assert_eq!(download().await.objects, 2);
    let time = |name: &str| fs::metadata(folder.path().join(name)).unwrap().modified().unwrap();
    assert_eq!(time("plain"), written);
    assert_eq!(time("recorded"), SystemTime::UNIX_EPOCH + Duration::from_millis(1_500_000_000_250));
    assert_eq!(download().await.unchanged, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_get_the_content_type_of_their_extension() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &["index.html", "a/style.CSS", "data", "x.unknown-extension"]);
    for guesses in [true, false] {
        let store = bucket(&[]).await;
        let both = Transfer::builder().from(disk(folder.path()).await).to(shared(&store));
        assert_eq!(run(both.guess_content_type(guesses)).await.objects, 4);
        for (name, expected) in [
            ("index.html", Some("text/html")),
            ("a/style.CSS", Some("text/css")),
            ("data", None),
            ("x.unknown-extension", None),
        ] {
            let info = store.head(&key(name), HeadOptions::new()).await.unwrap();
            assert_eq!(info.attributes.content_type.as_deref(), expected.filter(|_| guesses), "{name}");
        }
    }
    // Between disks nothing is added.
    let to = tempfile::tempdir().unwrap();
    let report = run(Transfer::builder().from(disk(folder.path()).await).to(disk(to.path()).await)).await;
    assert_eq!((report.objects, report.metadata_lost), (4, 0));
    let info = disk(to.path()).await.storage().head(&key("index.html"), HeadOptions::new()).await.unwrap();
    assert_eq!(info.attributes.content_type, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_that_a_disk_cannot_hold_is_recorded_as_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store = bucket(&[]).await;
    let mut attributes = Attributes::default();
    attributes.user_metadata.insert("content-type".into(), "odd".into());
    attributes.user_metadata.insert("colour".into(), "blue".into());
    store.put(&key("a"), "1".into(), PutOptions::new().attributes(attributes)).await.unwrap();
    let download = async |strict| {
        let both = Transfer::builder().from(shared(&store)).to(disk(folder.path()).await);
        let policy = if strict { lepton::MetadataPolicy::Strict } else { lepton::MetadataPolicy::Keep };
        run(both.metadata(policy)).await
    };
    assert_eq!(download(true).await.failures_by_kind["unsupported"], 1);
    let report = download(false).await;
    assert_eq!((report.status, report.metadata_lost), (Status::Complete, 1), "{:?}", report.failures);
    let kept = disk(folder.path()).await.storage().head(&key("a"), HeadOptions::new()).await.unwrap();
    assert_eq!(kept.attributes.user_metadata["colour"], "blue");
}

/// Run by another user than root, who may do everything.
fn as_somebody(folder: &Path) -> std::process::Command {
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).unwrap();
    if fs::metadata(folder).unwrap().uid() != 0 {
        return std::process::Command::new(example("migrate"));
    }
    let program = folder.join("migrate");
    fs::copy(example("migrate"), &program).unwrap();
    for name in ["from", "to", "to/closed", "journal"] {
        std::os::unix::fs::chown(folder.join(name), Some(65534), Some(65534)).unwrap();
    }
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(program);
    command
}

/// A folder of the destination that may not be written to fails what belongs into it, and a
/// destination that may not be written to at all is one error.
#[test]
fn a_folder_that_may_not_be_written_to_fails_its_objects_alone() {
    for (closed, code, says) in [("to/closed", 1, "1 objects"), ("to", 3, "permission")] {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        files(&path("from"), &["closed/1", "closed/2", "open/3"]);
        for name in ["to/closed", "journal"] {
            fs::create_dir_all(path(name)).unwrap();
        }
        let mut command = as_somebody(folder.path());
        fs::set_permissions(path(closed), fs::Permissions::from_mode(0o555)).unwrap();
        command.arg(path("from")).arg(path("to")).arg("--journal").arg(path("journal"));
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        assert_eq!(output.status.code(), Some(code), "{closed}: {said}");
        assert!(said.to_lowercase().contains(says), "{closed}: {said}");
        assert_eq!(path("to/open/3").exists(), code == 1, "{said}");
        fs::set_permissions(path(closed), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_object_has_its_last_name_whatever_store_it_is_in() {
    let (store, folder) =
        (bucket(&[("dir/one.txt", "1"), ("dir/one.txt.bak", "2")]).await, tempfile::tempdir().unwrap());
    files(&folder.path().join("from"), &["dir/one.txt"]);
    let file = open(folder.path().join("from/dir/one.txt").to_str().unwrap()).await.unwrap();
    for (number, source) in [Location::new(shared(&store), "dir/one.txt"), file].into_iter().enumerate() {
        let to = folder.path().join(format!("to{number}"));
        let copy = async |rules| {
            let both =
                Transfer::builder().from(source.clone()).to(disk(&to).await).existing(ExistingPolicy::IfDifferent);
            run(both.map(rules).manifest(folder.path().join("manifest"))).await
        };
        let report = copy(Vec::new()).await;
        assert_eq!((report.status, report.objects), (Status::Complete, 1));
        assert!(to.join("one.txt").is_file(), "{number}");
        assert_eq!(copy(Vec::new()).await.unchanged, 1, "{number}");
        // A manifest of one object is verified at the object, too.
        let place = open(to.join("one.txt").to_str().unwrap()).await.unwrap();
        let found = lepton::verify(&folder.path().join("manifest"), &place, lepton::VerifyDepth::Full).await.unwrap();
        assert!(found.is_proven(), "{found:?}");
        let report = copy(vec![lepton::PrefixMap::new("one", "two")]).await;
        assert_eq!((report.objects, to.join("two.txt").is_file()), (1, true), "a rule gives it another name");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_takes_nothing_is_one_error() {
    let folder = tempfile::tempdir().unwrap();
    files(folder.path(), &["from/1", "from/2", "file"]);
    let (from, file) = (disk(&folder.path().join("from")).await, folder.path().join("file"));
    let to = open(file.to_str().unwrap()).await.unwrap();
    let transfer = || Transfer::builder().from(from.clone()).to(to.clone()).build().unwrap();
    let error = transfer().run().await.unwrap_err();
    assert!(error.to_string().contains("the destination is a file"), "{error}");
    let error = transfer().plan().try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("the destination is a file"), "{error}");
    let web = open("http://127.0.0.1:9/").await.unwrap();
    let error = Transfer::builder().from(from).to(web).build().unwrap_err();
    assert!(error.to_string().contains("can only be read"), "{error}");
    std::os::unix::fs::symlink(&file, folder.path().join("link")).unwrap();
    let error = open(folder.path().join("link").to_str().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("symbolic link"), "{error}");
}

/// A plan of a mirror has what is in the way as a delete.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_shows_what_is_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("from"), folder.path().join("to"));
    files(&from, &["x/1"]);
    files(&to, &["x"]);
    let transfer = mirror(disk(&from).await, disk(&to).await).build().unwrap();
    let plan: Vec<_> = transfer.plan().try_collect().await.unwrap();
    assert!(matches!(plan[0].action, PlannedAction::Delete), "{plan:?}");
    assert!(matches!(plan[1].action, PlannedAction::Copy { .. }), "{plan:?}");
}
