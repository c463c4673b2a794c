//! A source and a destination that overlap are refused by name, whatever they are called, and
//! nothing is changed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_util::future::BoxFuture;
use lepton::core::{Runtime, SharedRuntime, SystemRuntime};
use lepton::providers::s3::{Preset, S3Storage};
use lepton::{
    ErrorKind, ExistingPolicy, Location, MemoryStorage, Report, Result, SharedStorage, Status, StorageExt as _,
    Transfer, open,
};
use lepton_s3_front::{S3Front, Server};
use support::places::{config, servers, unused_bucket};
use support::*;
use tokio::sync::RwLock;

/// A mirror with every permission.
async fn mirror(from: Location, to: Location, journal: &Path) -> Result<Report> {
    let transfer = Transfer::builder().from(from).to(to).journal(journal).existing(ExistingPolicy::IfDifferent);
    transfer.delete(true).max_delete_percent(100).build()?.run().await
}

async fn of_urls(from: &str, to: &str, journal: &Path) -> Result<Report> {
    mirror(open(from).await?, open(to).await?, journal).await
}

/// Every file below a folder, with its content.
fn tree(root: &Path) -> BTreeMap<String, String> {
    let (mut found, mut folders) = (BTreeMap::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else if path.is_file() {
                let name = path.strip_prefix(root).unwrap().display().to_string();
                found.insert(name, String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned());
            }
        }
    }
    found
}

/// `d/keep`, `d/photos/1`, `d/photos/sub/2`, and a link to `d/photos` next to `d`.
fn folders() -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    fs::create_dir_all(at("d/photos/sub")).unwrap();
    fs::create_dir(at("other")).unwrap();
    for (name, content) in [("d/keep", "k"), ("d/photos/1", "1"), ("d/photos/sub/2", "2"), ("other/3", "3")] {
        fs::write(at(name), content).unwrap();
    }
    std::os::unix::fs::symlink("d/photos", at("link")).unwrap();
    root
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_overlap_are_refused_under_every_name() {
    let root = folders();
    let (at, before) = (|name: &str| root.path().join(name).display().to_string(), tree(root.path()));
    let journal = tempfile::tempdir().unwrap();
    for (from, to, says) in [
        (at("d/photos"), at("d"), "the source lies inside the destination"),
        (at("d"), at("d/photos"), "the destination lies inside the source"),
        (at("d"), at("d"), "overlap"),
        (at("d"), format!("file://{}", at("d/photos/sub")), "the destination lies inside the source"),
        (at("link"), at("d"), "the source lies inside the destination"),
        (at("link/sub"), at("d/photos"), "the source lies inside the destination"),
        (at("link"), at("d/photos"), "overlap"),
        (at("d/../d/photos/./sub"), at("d/photos"), "the source lies inside the destination"),
        (at("d"), format!("file://{}?create_root=true", at("d/backup")), "the destination lies inside the source"),
    ] {
        let journal = tempfile::tempdir().unwrap();
        let error = of_urls(&from, &to, journal.path()).await.expect_err(&format!("{from} to {to}"));
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{from} to {to}: {error}");
        assert!(error.to_string().contains(says), "{from} to {to}: {error}");
        let planned = Transfer::builder().from(open(&from).await.unwrap()).to(open(&to).await.unwrap());
        if let Ok(transfer) = planned.delete(true).build() {
            let plan = journal.path().join("plan");
            assert_eq!(transfer.save_plan(&plan).await.unwrap_err().kind(), ErrorKind::InvalidInput, "{from} to {to}");
        }
    }
    assert_eq!(tree(root.path()), before);
    let report = of_urls(&at("d/photos"), &at("other"), journal.path()).await.unwrap();
    assert_eq!(
        (report.status, report.objects, report.deleted),
        (Status::Complete, 2, 1),
        "beside one another they may be"
    );
}

/// Restoring objects from a backup inside the destination.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_inside_the_destination_may_be_brought_back_where_nothing_is_deleted() {
    let root = folders();
    let at = |name: &str| root.path().join(name).display().to_string();
    fs::create_dir_all(at("d/photos/photos")).unwrap();
    fs::write(at("d/photos/photos/4"), "inside").unwrap();
    let journal = tempfile::tempdir().unwrap();
    let build = async |from: &str, to: &str| {
        let transfer = Transfer::builder().from(open(from).await.unwrap()).to(open(to).await.unwrap());
        transfer.existing(ExistingPolicy::Skip).journal(journal.path())
    };
    let report = build(&at("d/photos"), &at("d")).await.build().unwrap().run().await.unwrap();
    assert_eq!((report.objects, report.failures.len()), (2, 1), "{:?}", report.failures);
    assert!(report.failures[0].error.contains("inside the source"), "{:?}", report.failures);
    let names: Vec<_> = tree(&root.path().join("d")).into_keys().collect();
    assert_eq!(names, ["1", "keep", "photos/1", "photos/photos/4", "photos/sub/2", "sub/2"]);
    let memory: SharedStorage = Arc::new(MemoryStorage::new());
    memory.write(&key("backup/1"), bytes(1, 10)).await.unwrap();
    let of_one_store = |delete| {
        let (from, to) = (Location::new(memory.clone(), "backup"), Location::from(memory.clone()));
        Transfer::builder().from(from).to(to).existing(ExistingPolicy::Skip).delete(delete).build()
    };
    assert_eq!(of_one_store(true).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(of_one_store(false).unwrap().run().await.unwrap().objects, 1);
}

/// A process that is being spawned holds the locks of this process until it executes: while the
/// test of mounts runs, no test opens the same journal twice.
static STARTS: RwLock<()> = RwLock::const_new(());

/// A mount that is removed when this value is dropped.
struct Bound(String);

impl Bound {
    /// Prints a message and returns `None` if mounting is not permitted: it requires root.
    fn new(what: &str, at: &str) -> Option<Self> {
        fs::create_dir_all(at).unwrap();
        let mounted = Command::new("mount").args(["--bind", what, at]).output();
        if mounted.as_ref().is_ok_and(|mounted| mounted.status.success()) {
            return Some(Self(at.to_owned()));
        }
        println!("skipped: mounting is not permitted here: {mounted:?}");
        None
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = Command::new("umount").args(["--lazy", &self.0]).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn folders_that_are_mounted_elsewhere_too_are_the_same_folders() {
    let _starts = STARTS.write().await;
    let root = folders();
    let at = |name: &str| root.path().join(name).display().to_string();
    let Some(_photos) = Bound::new(&at("d/photos"), &at("bound")) else { return };
    let Some(_inside) = Bound::new(&at("other"), &at("holder/inside")) else { return };
    let (before, journal) = (tree(root.path()), tempfile::tempdir().unwrap());
    for (from, to) in [
        ("bound", "d"),
        ("d", "bound"),
        ("bound/sub", "d/photos"),
        ("bound", "d/photos"),
        ("other", "holder"),
        ("holder", "other"),
    ] {
        let journal = tempfile::tempdir().unwrap();
        let error = of_urls(&at(from), &at(to), journal.path()).await.expect_err(&format!("{from} to {to}"));
        assert!(error.to_string().contains("destination"), "{from} to {to}: {error}");
    }
    assert_eq!(tree(root.path()), before);
    let _ = of_urls(&at("bound"), &at("other"), journal.path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bucket_under_two_addresses_is_one_bucket() {
    for (kind, preset, endpoint) in servers() {
        let bucket = unused_bucket();
        let other = endpoint.replace("127.0.0.1", "localhost");
        let store = |endpoint: &str, preset: Preset| -> SharedStorage {
            Arc::new(S3Storage::new(config(&bucket, endpoint, preset)).unwrap())
        };
        S3Storage::new(config(&bucket, &endpoint, preset)).unwrap().create_bucket().await.unwrap();
        let (here, there) = (store(&endpoint, preset), store(&other, preset));
        for name in ["photos/1", "photos/2", "keep"] {
            here.write(&key(name), bytes(1, 100)).await.unwrap();
        }
        for (from, to) in [("photos", ""), ("", "photos"), ("", "")] {
            let journal = tempfile::tempdir().unwrap();
            let places = (Location::new(here.clone(), from), Location::new(there.clone(), to));
            let error = mirror(places.0, places.1, journal.path()).await.expect_err(kind);
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{kind}: {error}");
            assert!(error.to_string().contains("both addresses are of one bucket"), "{kind}: {error}");
        }
        assert_eq!(contents(here.as_ref()).await.len(), 3, "{kind}");
        let journal = tempfile::tempdir().unwrap();
        let report = mirror(Location::new(here.clone(), "photos"), Location::new(there, "new"), journal.path()).await;
        assert_eq!(report.unwrap().objects, 2, "{kind}: folders beside one another");
    }
}

/// Two servers can have buckets with the same name and the same objects, written at the same
/// time: an upload started at one of them does not show at the other.
#[tokio::test(flavor = "multi_thread")]
async fn two_buckets_that_look_the_same_are_two() {
    let clouds = [server().await, server().await];
    let stores = clouds.each_ref().map(|(server, _)| {
        Arc::new(S3Storage::new(config(BUCKET, &server.endpoint(), Preset::Aws)).unwrap()) as SharedStorage
    });
    for (_, memory) in &clouds {
        for i in 0..10 {
            memory.write(&key(&format!("a{i}")), bytes(1, 100)).await.unwrap();
        }
    }
    clouds[0].1.write(&key("b"), bytes(2, 100)).await.unwrap();
    let journal = tempfile::tempdir().unwrap();
    let [from, to] = stores.clone().map(Location::from);
    let report = mirror(from, to, journal.path()).await.unwrap();
    assert_eq!((report.status, report.objects, report.unchanged), (Status::Complete, 1, 10));
    let stats = clouds[1].0.stats();
    let asked = ["CreateMultipartUpload", "AbortMultipartUpload"].map(|operation| stats.of(operation).succeeded);
    assert_eq!(asked, [1, 1], "the probe leaves nothing behind");
}

/// A server whose clock stands still, and the store behind it.
async fn server() -> (Server, MemoryStorage) {
    let memory = MemoryStorage::builder().runtime(Arc::new(Still(SystemRuntime::shared()))).build();
    let front = S3Front::builder().bucket(BUCKET, Arc::new(memory.clone())).credentials(ACCESS_KEY, SECRET_KEY);
    (front.build().unwrap().serve("127.0.0.1:0").await.unwrap(), memory)
}

/// The system's environment, with the time fixed.
#[derive(Debug)]
struct Still(SharedRuntime);

impl Runtime for Still {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.0.spawn(task);
    }

    fn spawn_cpu(&self, work: Box<dyn FnOnce() + Send>) {
        self.0.spawn_cpu(work);
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
    }

    fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

/// The journal of a run is not an object of the run, wherever it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_journal_inside_of_a_side_is_neither_copied_nor_deleted() {
    let _starts = STARTS.read().await;
    for (journal, expected) in [("from/state/journal", 2), ("to/journal", 2)] {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        fs::create_dir_all(at("from/state")).unwrap();
        fs::create_dir_all(at("to")).unwrap();
        for name in ["from/a", "from/state/b", "to/extra"] {
            fs::write(at(name), name).unwrap();
        }
        for night in 0..3 {
            let (from, to) = (at("from").display().to_string(), at("to").display().to_string());
            let report = of_urls(&from, &to, &at(journal)).await.unwrap();
            assert_eq!(report.status, Status::Complete, "{journal}: {:?}", report.failures);
            assert_eq!(report.objects, if night == 0 { expected } else { 0 }, "{journal}, night {night}");
            let mut there = tree(&at("to"));
            assert!(at(journal).join("journal-000001.log").is_file());
            there.retain(|name, _| !name.starts_with("journal/"));
            assert_eq!(there.into_keys().collect::<Vec<_>>(), ["a", "state/b"], "{journal}, night {night}");
        }
    }
}
