//! Copies from one root to another.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use lepton_core::{
    Attributes, Body, CopyOptions, CopySource, ErrorKind, HeadOptions, PutOptions, PutReceipt, Result, Runtime,
    ServerCopy as _, SharedRuntime, Storage as _, StorageExt as _, SystemRuntime,
};
use lepton_providers::local::LocalStorage;

use super::mounted::Mounted;
use super::{builder, bytes, key, on_disk, open};

const MIB: usize = 1 << 20;
const GIB: u64 = 1 << 30;

fn from(store: &LocalStorage, name: &str) -> CopySource {
    CopySource::new(store, key(name)).unwrap()
}

/// A folder on a file system in memory and one on the disk, where the two differ.
fn two_systems() -> [tempfile::TempDir; 2] {
    [tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()]
}

/// A file of 3 GiB with three pieces of 1 MiB in it, and a hole at its end.
fn sparse(path: &Path) -> [(u64, bytes::Bytes); 3] {
    let pieces = [(0, bytes(MIB, 1)), (GIB + 4096, bytes(MIB, 2)), (2 * GIB, bytes(MIB, 3))];
    let file = File::create(path).unwrap();
    file.set_len(3 * GIB).unwrap();
    for (at, piece) in &pieces {
        file.write_all_at(piece, *at).unwrap();
    }
    pieces
}

#[tokio::test]
async fn a_sparse_file_stays_sparse_on_the_same_and_on_another_file_system() {
    let folders = two_systems();
    for (source, target) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
        let (left, right) =
            (tempfile::tempdir_in(&folders[source]).unwrap(), tempfile::tempdir_in(&folders[target]).unwrap());
        let (a, b) = (open(left.path()).await, open(right.path()).await);
        let pieces = sparse(&left.path().join("x"));
        if File::open(left.path().join("x")).unwrap().metadata().unwrap().blocks() * 512 > GIB {
            println!("skipped: {} keeps no holes", left.path().display());
            continue;
        }
        assert!(b.is_cheaper(&from(&a, "x"), &key("f/y")).await.unwrap(), "{source} to {target}");
        assert!(on_disk(right.path()).is_empty(), "asking leaves nothing");
        b.copy(from(&a, "x"), &key("f/y"), CopyOptions::new()).await.unwrap();
        let copy = File::open(right.path().join("f/y")).unwrap();
        let state = copy.metadata().unwrap();
        assert_eq!(state.len(), 3 * GIB);
        assert!(state.blocks() * 512 < 4 * MIB as u64, "{source} to {target}: {} blocks", state.blocks());
        let mut found = vec![0; MIB];
        for (at, piece) in pieces {
            copy.read_exact_at(&mut found, at).unwrap();
            assert!(found == piece, "{source} to {target}, at {at}");
        }
        for at in [GIB / 2, 3 * GIB / 2, 3 * GIB - MIB as u64] {
            copy.read_exact_at(&mut found, at).unwrap();
            assert!(found.iter().all(|byte| *byte == 0), "{source} to {target}, at {at}");
        }
    }
}

#[tokio::test]
async fn bytes_times_modes_and_attributes_are_kept_between_file_systems() {
    let folders = two_systems();
    for (source, target) in [(0, 0), (0, 1), (1, 0)] {
        let (a, b) = (open(folders[source].path()).await, open(folders[target].path()).await);
        let mut attributes = Attributes::default();
        attributes.user_metadata.insert("color".into(), "red".into());
        attributes.content_type = Some("text/x".into());
        let options = PutOptions::new().attributes(attributes);
        for len in [0, 1, MIB + 1, 33 * MIB + 3] {
            a.put(&key("x"), Body::from(bytes(len, 5)), options.clone()).await.unwrap();
            let path = folders[source].path().join("x");
            let time = SystemTime::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789);
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            b.copy(from(&a, "x"), &key("y"), CopyOptions::new()).await.unwrap();
            assert!(b.read(&key("y"), u64::MAX).await.unwrap() == bytes(len, 5), "{len} bytes, {source} to {target}");
            let (ours, theirs) = (
                a.head(&key("x"), HeadOptions::new()).await.unwrap(),
                b.head(&key("y"), HeadOptions::new()).await.unwrap(),
            );
            assert_eq!(ours.attributes, theirs.attributes, "{source} to {target}");
            assert_eq!(theirs.attributes.user_metadata["mtime"], "1000000000.123456789");
            assert_eq!(theirs.attributes.user_metadata["mode"], "100640");
            assert_eq!(theirs.attributes.user_metadata["color"], "red");
        }
    }
}

#[tokio::test]
async fn what_a_disk_shares_takes_no_room_and_is_worth_asking_for() {
    let Some((disk, _image)) = Mounted::image("xfs", 512 << 20) else { return };
    let (left, right) = (disk.path().join("a"), disk.path().join("b"));
    let a = builder(&left).create_root(true).open().await.unwrap();
    let b = builder(&right).create_root(true).open().await.unwrap();
    a.write(&key("x"), bytes(64 * MIB, 1)).await.unwrap();
    a.write(&key("small"), bytes(1000, 1)).await.unwrap();
    let free = || rustix::fs::statvfs(disk.path()).map(|system| system.f_bfree * system.f_frsize).unwrap();
    let before = free();
    assert!(b.is_cheaper(&from(&a, "x"), &key("f/y")).await.unwrap());
    assert!(!b.is_cheaper(&from(&a, "small"), &key("f/y")).await.unwrap());
    assert!(on_disk(&right).is_empty(), "trying leaves nothing");
    b.copy(from(&a, "x"), &key("f/y"), CopyOptions::new()).await.unwrap();
    let taken = before - free();
    assert!(taken < 8 * MIB as u64, "the copy took {taken} bytes");
    assert!(b.read(&key("f/y"), u64::MAX).await.unwrap() == bytes(64 * MIB, 1));
    // A change of one is none of the other.
    a.write(&key("x"), bytes(10, 2)).await.unwrap();
    assert!(b.read(&key("f/y"), u64::MAX).await.unwrap() == bytes(64 * MIB, 1));
    // From elsewhere nothing can be shared, and it is copied all the same.
    let other = tempfile::tempdir().unwrap();
    let c = open(other.path()).await;
    c.write(&key("x"), bytes(MIB, 3)).await.unwrap();
    assert!(!b.is_cheaper(&from(&c, "x"), &key("z")).await.unwrap());
    b.copy(from(&c, "x"), &key("z"), CopyOptions::new()).await.unwrap();
    assert!(b.read(&key("z"), u64::MAX).await.unwrap() == bytes(MIB, 3));
}

/// Runs what blocks only when it is told to: a fake, to change things between two
/// steps of a copy.
#[derive(Debug)]
struct Steps {
    system: SharedRuntime,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting(Mutex<VecDeque<Work>>);

type Work = Box<dyn FnOnce() + Send>;

impl std::fmt::Debug for Waiting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Waiting")
    }
}

impl Runtime for Steps {
    fn spawn(&self, task: BoxFuture<'static, ()>) {
        self.system.spawn(task);
    }
    fn spawn_cpu(&self, work: Work) {
        self.waiting.0.lock().unwrap().push_back(work);
    }
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        self.system.sleep(duration)
    }
    fn now(&self) -> SystemTime {
        self.system.now()
    }
    fn uptime(&self) -> Duration {
        self.system.uptime()
    }
    fn random(&self) -> u64 {
        self.system.random()
    }
}

impl Waiting {
    /// Runs the next piece of work of a future; its result once it has one.
    fn step<T>(&self, future: &mut Pin<Box<impl Future<Output = T>>>) -> Option<T> {
        if let Some(done) = future.as_mut().now_or_never() {
            return Some(done);
        }
        let work = self.0.lock().unwrap().pop_front().expect("the future waits for work");
        work();
        None
    }
}

/// A store whose steps are told, and a source of 70 MiB on another file system, so
/// that the bytes have to be moved.
async fn stepwise() -> ([tempfile::TempDir; 2], LocalStorage, LocalStorage, Arc<Waiting>) {
    let folders = two_systems();
    let waiting = Arc::<Waiting>::default();
    let env = Arc::new(Steps { system: SystemRuntime::shared(), waiting: Arc::clone(&waiting) });
    let mut opening = Box::pin(builder(folders[1].path()).runtime(env).open());
    let b = loop {
        if let Some(b) = waiting.step(&mut opening) {
            break b.unwrap();
        }
    };
    drop(opening);
    let a = open(folders[0].path()).await;
    a.write(&key("x"), bytes(70 * MIB, 1)).await.unwrap();
    (folders, a, b, waiting)
}

#[tokio::test]
async fn a_source_that_changes_while_it_is_copied_is_not_published() {
    type Change = fn(&Path);
    let changes: [(&str, Change); 3] = [
        ("overwritten", |path| File::options().write(true).open(path).unwrap().write_all_at(b"!", 0).unwrap()),
        ("cut", |path| File::options().write(true).open(path).unwrap().set_len(50 * MIB as u64).unwrap()),
        ("grown", |path| File::options().write(true).open(path).unwrap().set_len(200 * MIB as u64).unwrap()),
    ];
    for (what, change) in changes {
        let (folders, a, b, waiting) = stepwise().await;
        let path = folders[0].path().join("x");
        // Times have a granularity: the change must not fall on the same tick.
        File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let target = key("f/y");
        let mut copy = Box::pin(b.copy(from(&a, "x"), &target, CopyOptions::new()));
        assert!(waiting.step(&mut copy).is_none());
        change(&path);
        let done: Result<PutReceipt> = loop {
            if let Some(done) = waiting.step(&mut copy) {
                break done;
            }
        };
        assert_eq!(done.unwrap_err().kind(), ErrorKind::SourceChanged, "{what}");
        assert!(on_disk(folders[1].path()).is_empty(), "{what}");
    }
}

#[tokio::test]
async fn a_copy_that_is_dropped_leaves_nothing() {
    let (folders, a, b, waiting) = stepwise().await;
    for steps in 0..3 {
        let target = key("f/y");
        let mut copy = Box::pin(b.copy(from(&a, "x"), &target, CopyOptions::new()));
        for _ in 0..steps {
            assert!(waiting.step(&mut copy).is_none(), "the copy ended before step {steps}");
        }
        let _ = copy.as_mut().now_or_never();
        drop(copy);
        // What was under way when it was dropped ends, and nothing follows it.
        let under_way: Vec<_> = waiting.0.lock().unwrap().drain(..).collect();
        assert_eq!(under_way.len(), 1);
        under_way.into_iter().for_each(|work| work());
        let left = on_disk(folders[1].path());
        assert!(left.is_empty() || steps == 2, "after {steps} steps: {left:?}");
    }
    // The last of them was about to become visible, and so it is, whole.
    assert!(std::fs::read(folders[1].path().join("f/y")).unwrap() == bytes(70 * MIB, 1));
}

#[tokio::test]
async fn nothing_outside_the_source_is_copied() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(outer.path().join("secret"), "secret").unwrap();
    symlink("../secret", root.join("link")).unwrap();
    symlink(outer.path(), root.join("up")).unwrap();
    std::fs::write(root.join("file"), "file").unwrap();
    symlink("file", root.join("inside")).unwrap();
    let to = tempfile::tempdir().unwrap();
    let (a, b) = (open(&root).await, open(to.path()).await);
    for name in ["link", "up/secret", "inside", "../secret", "none", ".lepton-0.tmp"] {
        let error = b.copy(from(&a, name), &key("y"), CopyOptions::new()).await.unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NotFound | ErrorKind::InvalidKey), "{name}: {error}");
        b.is_cheaper(&from(&a, name), &key("y")).await.unwrap_err();
    }
    let mut gone = from(&a, "file");
    gone.store = format!("{}/none", a.url());
    assert_eq!(b.copy(gone, &key("y"), CopyOptions::new()).await.unwrap_err().kind(), ErrorKind::BucketNotFound);
    assert!(on_disk(to.path()).is_empty());
}
