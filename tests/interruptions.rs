//! Faults during a transfer over HTTP, end to end: a transient fault never fails an object,
//! leaves nothing behind and costs no part that had arrived.
//!
//! The faults at chosen moments come from the front's hooks, a fake; real servers are really
//! killed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lepton::core::{Body, PutOptions};
use lepton::data::TransferHandle;
use lepton::providers::local::LocalStorage;
use lepton::providers::s3::{S3Config, S3Storage};
use lepton::{
    ErrorKind, Location, MemoryStorage, Report, SharedStorage, Status, Storage, StorageExt as _, Transfer,
    TransferBuilder, VerifyDepth, verify,
};
use lepton_s3_front::{Action, Failure, Gate, Moment, Rule, ScriptedHooks};
use support::places::{Place, config};
use support::program::Program;
use support::*;

fn s3(config: S3Config) -> SharedStorage {
    Arc::new(S3Storage::new(config.idle_timeout(Duration::from_millis(500))).unwrap())
}

fn transfer(from: &SharedStorage, to: &SharedStorage) -> TransferBuilder {
    Transfer::builder().from(from.clone()).to(to.clone())
}

async fn fill(store: &MemoryStorage) {
    store.write(&key("small"), bytes(1, 70_000)).await.unwrap();
    // Uploaded as a stream, so that the store keeps one checksum of the whole object.
    store.write(&key("large"), bytes(2, 17 * MIB + 1)).await.unwrap();
}

/// Moves two objects from one front to another while `action` applies to the first requests
/// that match `rule`.
async fn completes_despite(at_source: bool, rule: Rule, action: Action) -> Report {
    let hooks = Arc::new(ScriptedHooks::new(1).rule(rule.clone().times(2), action.clone()));
    let hooked = || Some(Arc::clone(&hooks) as Arc<_>);
    let a = Cloud::start(hooked().filter(|_| at_source)).await;
    let b = Cloud::start(hooked().filter(|_| !at_source)).await;
    fill(&a.storage).await;
    let report = transfer(&s3(a.config()), &s3(b.config())).build().unwrap().run().await.unwrap();
    assert!(hooks.fired()[0] > 0, "{rule:?}: {action:?} never took place");
    assert_eq!(report.status, Status::Complete, "{rule:?}: {action:?}: {:?}", report.failures);
    assert_same(&a.storage, &b.storage).await;
    assert_no_uploads(&b.storage, "large").await;
    report
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_in_trouble_is_asked_again() {
    let troubles = || {
        [
            Action::Fail(Failure::slow_down()),
            Action::Fail(Failure::new(500, "InternalError")),
            Action::Fail(Failure::new(429, "TooManyRequests")),
        ]
    };
    for (at_source, operations) in [
        (true, &["ListObjectsV2", "GetObject", "HeadObject"][..]),
        (false, &["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"]),
    ] {
        for operation in operations {
            for trouble in troubles() {
                let _ = completes_despite(at_source, Rule::on(operation), trouble).await;
            }
        }
    }
    let _ = completes_despite(false, Rule::on("CompleteMultipartUpload"), Action::FailInside("InternalError")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_says_when_is_not_asked_sooner() {
    for (at_source, operation) in [(true, "GetObject"), (false, "UploadPart")] {
        let failure = Failure::slow_down().retry_after(2);
        let report = completes_despite(at_source, Rule::on(operation), Action::Fail(failure)).await;
        assert!(report.elapsed >= Duration::from_secs(2), "{operation}: after {:?}", report.elapsed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_before_or_after_the_effect_is_made_good() {
    for moment in [Moment::BeforeReading, Moment::BeforeEffect, Moment::AfterEffect] {
        for operation in ["ListObjectsV2", "GetObject", "HeadObject"] {
            let _ = completes_despite(true, Rule::on(operation), Action::Reset(moment)).await;
        }
        for operation in ["PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"] {
            let _ = completes_despite(false, Rule::on(operation), Action::Reset(moment)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_server_is_given_up_and_asked_again() {
    for operation in ["ListObjectsV2", "GetObject"] {
        let _ = completes_despite(true, Rule::on(operation), Action::Stall).await;
        let _ = completes_despite(true, Rule::on(operation), Action::StallAfter(100)).await;
    }
    for operation in ["PutObject", "UploadPart", "CompleteMultipartUpload"] {
        let _ = completes_despite(false, Rule::on(operation), Action::Stall).await;
    }
    // Slow is not stalled: the request is not repeated.
    let trickle = Action::Trickle(20_000, Duration::from_millis(200));
    let report = completes_despite(true, Rule::on("GetObject").key("small"), trickle).await;
    assert_eq!(report.retries, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_or_wrong_body_never_arrives() {
    for name in ["small", "large"] {
        for action in [Action::Truncate(50_000), Action::Flip(50_000), Action::Flip(0)] {
            let rule = Rule::on("GetObject").key(name);
            let report = completes_despite(true, rule, action.clone()).await;
            assert!(report.retries > 0, "{name}: {action:?} went unseen");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_that_fails_at_a_later_page_is_taken_up_there() {
    let hooks = Arc::new(ScriptedHooks::new(1));
    // The third page fails once, then permanently: two failures, which is the number of
    // attempts.
    hooks.add(Rule::on("ListObjectsV2").after(2).times(3), Action::Fail(Failure::new(500, "InternalError")));
    let (a, b) = (Cloud::start(Some(hooks)).await, Cloud::start(None).await);
    for i in 0..2500 {
        a.storage.write(&key(&format!("{i:04}")), bytes(i, 100)).await.unwrap();
    }
    let (from, to, folder) = (s3(a.config()), s3(b.config()), tempfile::tempdir().unwrap());
    let build = |attempts| {
        let attempts = NonZeroU32::new(attempts).unwrap();
        transfer(&from, &to).journal(folder.path()).attempts(attempts).build().unwrap()
    };
    let error = build(2).run().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unavailable, Some("list")), "{}", error.full_message());
    assert!(!error.to_string().contains('\n') && error.to_string().contains(BUCKET), "{error}");
    let arrived = contents(&b.storage).await.len();
    assert!(arrived > 0, "nothing of the first pages had arrived");
    let report = build(2).run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 2500), "{:?}", report.failures);
    assert_same(&a.storage, &b.storage).await;
    assert_eq!(b.server.stats().of("PutObject").succeeded, 2500, "what had arrived was sent again");
}

/// Waits until a quarter of the bytes have been transferred, with more still to come.
async fn half_way(handle: &TransferHandle, total: u64) {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    while handle.progress().bytes < total / 4 {
        assert!(tokio::time::Instant::now() < deadline, "{:?}", handle.progress());
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(handle.progress().bytes < total, "it was too fast to be interrupted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_and_comes_back_is_waited_for() {
    for kill_source in [true, false] {
        // Slow enough that the run can be observed halfway.
        let slow = |operation| {
            let hooks = ScriptedHooks::new(1).rule(Rule::on(operation), Action::Delay(Duration::from_millis(60)));
            Some(Arc::new(hooks) as Arc<_>)
        };
        let (mut a, mut b) = (Cloud::start(None).await, Cloud::start(slow("UploadPart")).await);
        a.storage.write(&key("large"), bytes(4, 64 * MIB)).await.unwrap();
        a.storage.write(&key("small"), bytes(5, 1000)).await.unwrap();
        let (from, to) = (s3(a.config()), s3(b.config()));
        let few = NonZeroUsize::new(2).unwrap();
        let handle = transfer(&from, &to).concurrency(few).build().unwrap().start().await.unwrap();
        half_way(&handle, 64 * MIB as u64).await;
        let a_while = Duration::from_millis(700);
        if kill_source {
            a = a.kill_and_restart(a_while).await;
        } else {
            b = b.kill_and_restart(a_while).await;
        }
        let report = handle.wait().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
        assert!(report.retries > 0);
        assert_same(&a.storage, &b.storage).await;
        assert_no_uploads(&b.storage, "large").await;
        let (stats, killed) = (b.server.stats(), if kill_source { "source" } else { "destination" });
        let twice: Vec<_> = stats.stored_twice().collect();
        assert!(twice.is_empty(), "the {killed} was killed, and these were stored twice: {twice:?}, {report:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_that_is_killed_and_comes_back_is_waited_for() {
    for (kind, preset) in support::program::KINDS {
        let Some(mut server) = Program::start(kind).await else { continue };
        for kill_source in [false, true] {
            println!("{kind}, killed as {}", if kill_source { "source" } else { "destination" });
            let store = S3Storage::new(config(&format!("bucket-{kill_source}"), &server.endpoint(), preset)).unwrap();
            store.create_bucket().await.unwrap();
            let store: SharedStorage = Arc::new(store);
            let memory = MemoryStorage::new();
            let cloud: SharedStorage = Arc::new(memory.clone());
            let (from, to) = if kill_source { (store, cloud) } else { (cloud, store) };
            fill_mixed(from.as_ref(), 9, 60, 8).await;
            let total = contents(from.as_ref()).await.iter().map(|(meta, _)| meta.size).sum();
            let folder = tempfile::tempdir().unwrap();
            let few = NonZeroUsize::new(2).unwrap();
            let built = transfer(&from, &to).concurrency(few).journal(folder.path()).build().unwrap();
            let handle = built.start().await.unwrap();
            half_way(&handle, total).await;
            server.kill();
            tokio::time::sleep(Duration::from_millis(300)).await;
            server.restart().await;
            let report = handle.wait().await.unwrap();
            assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
            assert!(report.retries > 0, "the kill went unseen");
            let manifest = report.manifest.unwrap();
            assert_same(from.as_ref(), to.as_ref()).await;
            let found = verify(&manifest, &Location::from(to.clone()), VerifyDepth::Full).await.unwrap();
            assert!(found.is_proven() && found.objects == 69, "{found:?}");
            for i in 0..8 {
                assert_no_uploads(to.as_ref(), &format!("large/{i}")).await;
            }
        }
    }
}

const SIZE: usize = 20 * MIB;

/// A change to the source during the transfer, and what should then arrive.
#[derive(Debug, Clone, Copy)]
enum Meddling {
    Overwrite,
    Truncate,
    Delete,
}

impl Meddling {
    const ALL: [Self; 3] = [Self::Overwrite, Self::Truncate, Self::Delete];

    fn bytes(self) -> Option<bytes::Bytes> {
        match self {
            Self::Overwrite => Some(bytes(21, SIZE)),
            Self::Truncate => Some(bytes(20, SIZE).slice(..SIZE - 3 * MIB)),
            Self::Delete => None,
        }
    }

    fn of_file(self, path: &Path) {
        match self {
            // In place, as an application writes its file.
            Self::Overwrite => std::fs::write(path, self.bytes().unwrap()).unwrap(),
            Self::Truncate => {
                std::fs::File::options().write(true).open(path).unwrap().set_len((SIZE - 3 * MIB) as u64).unwrap();
            }
            Self::Delete => std::fs::remove_file(path).unwrap(),
        }
    }

    async fn of_object(self, store: &dyn Storage) {
        match self.bytes() {
            Some(bytes) => drop(store.put(&key("large"), Body::from(bytes), PutOptions::new()).await.unwrap()),
            None => store.remove(&key("large")).await.unwrap(),
        }
    }
}

/// Moves one object, one part at a time, and changes the source while a reply waits at the
/// gate.
async fn meddled(from: SharedStorage, to: &Cloud, gate: Gate, meddle: impl AsyncFnOnce()) -> Report {
    let one = NonZeroUsize::MIN;
    // With a long timeout: the waiting part must not be sent again before the source has
    // changed.
    let to: SharedStorage = Arc::new(S3Storage::new(to.config()).unwrap());
    let handle = transfer(&from, &to).concurrency(one).build().unwrap().start().await.unwrap();
    gate.reached().await;
    meddle().await;
    gate.open();
    handle.wait().await.unwrap()
}

async fn assert_met(meddling: Meddling, report: &Report, to: &Cloud) {
    match meddling.bytes() {
        Some(bytes) => {
            assert_eq!(report.status, Status::Complete, "{meddling:?}: {:?}", report.failures);
            assert!(report.retries > 0 && to.storage.read(&key("large"), u64::MAX).await.unwrap() == bytes);
        }
        None => {
            assert_eq!((report.status, report.failures.len()), (Status::Incomplete, 1), "{report:?}");
            assert_eq!(report.failures[0].kind, "source_changed", "{report:?}");
            assert!(contents(&to.storage).await.is_empty(), "half an object arrived");
        }
    }
    assert_no_uploads(&to.storage, "large").await;
}

/// A front that withholds its reply to the first part, whose body it reads completely, and
/// reads nothing of the others.
async fn gated() -> (Cloud, Gate) {
    let gate = Gate::new();
    let rule = Rule::on("UploadPart").part(1).times(1);
    let hooks = ScriptedHooks::new(1).rule(rule, Action::HoldReply(gate.clone()));
    (Cloud::start(Some(Arc::new(hooks))).await, gate)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_changes_at_the_source_is_never_mixed() {
    for kind in support::places::kinds() {
        for meddling in Meddling::ALL {
            println!("{kind}: {meddling:?}");
            let (from, (to, gate)) = (Place::fresh(kind).await, gated().await);
            from.storage.write(&key("large"), bytes(20, SIZE)).await.unwrap();
            let meddle = async || meddling.of_object(from.storage.as_ref()).await;
            let report = meddled(from.storage.clone(), &to, gate, meddle).await;
            assert_met(meddling, &report, &to).await;
            from.clear().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_in_place_is_never_mixed() {
    for meddling in Meddling::ALL {
        let (folder, (to, gate)) = (tempfile::tempdir().unwrap(), gated().await);
        let path = folder.path().join("large");
        std::fs::write(&path, bytes(20, SIZE)).unwrap();
        let from = LocalStorage::builder(folder.path()).open().await.unwrap();
        let meddle = async || meddling.of_file(&path);
        let report = meddled(Arc::new(from), &to, gate, meddle).await;
        assert_met(meddling, &report, &to).await;
    }
}
