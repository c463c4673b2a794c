//! A cause that affects every object ends a run immediately, with one clear sentence; once the
//! cause is gone, the same journal resumes.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

#[path = "../lepton-providers/tests/local/mounted.rs"]
mod mounted;
mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use lepton::core::{Runtime, SharedRuntime, SystemRuntime};
use lepton::providers::local::LocalStorage;
use lepton::providers::s3::{Preset, S3Config, S3Storage};
use lepton::{ErrorKind, MemoryStorage, Report, Result, SharedStorage, Status, StorageExt as _, Transfer};
use lepton_s3_front::{Action, Failure, Hooks, RequestInfo, Rule, S3Front, ScriptedHooks};
use mounted::Mounted;
use support::places::{config, servers, unused_bucket};
use support::*;

async fn move_all(from: &SharedStorage, to: &SharedStorage, journal: &Path) -> Result<Report> {
    let transfer = Transfer::builder().from(from.clone()).to(to.clone()).journal(journal);
    transfer.build().unwrap().run().await
}

/// Asserts that the run ends with a single sentence that contains all of `words`.
async fn ends(from: &SharedStorage, to: &SharedStorage, journal: &Path, kind: ErrorKind, words: &[&str]) {
    let error = move_all(from, to, journal).await.unwrap_err();
    let said = error.to_string();
    assert_eq!(error.kind(), kind, "{}", error.full_message());
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} are not all in: {said}");
    assert!(!said.contains('\n') && !error.full_message().contains(SECRET_KEY), "{}", error.full_message());
}

/// Asserts that the same transfer now completes.
async fn goes_on(from: &SharedStorage, to: &SharedStorage, journal: &Path) {
    let report = move_all(from, to, journal).await.unwrap();
    assert_eq!(report.status, Status::Complete, "{:?}", report.failures);
    assert_same(from.as_ref(), to.as_ref()).await;
}

async fn source() -> SharedStorage {
    let store = MemoryStorage::new();
    fill_mixed(&store, 5, 20, 1).await;
    Arc::new(store)
}

fn s3(config: S3Config) -> SharedStorage {
    Arc::new(S3Storage::new(config).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_named_and_may_be_made() {
    for (name, preset, endpoint) in servers() {
        let (bucket, folder) = (unused_bucket(), tempfile::tempdir().unwrap());
        let (from, store) = (source().await, config(&bucket, &endpoint, preset));
        let to = s3(store.clone());
        println!("{name}");
        ends(&from, &to, folder.path(), ErrorKind::BucketNotFound, &[&bucket]).await;
        let empty: SharedStorage = Arc::new(MemoryStorage::new());
        let other = folder.path().join("other");
        ends(&to, &empty, &other, ErrorKind::BucketNotFound, &[&bucket]).await;
        S3Storage::new(store).unwrap().create_bucket().await.unwrap();
        goes_on(&from, &to, folder.path()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_or_secret_is_told_and_may_be_corrected() {
    // moto allows anonymous requests.
    for (name, preset, endpoint) in servers().into_iter().filter(|(name, ..)| *name != "moto") {
        let (bucket, from) = (unused_bucket(), source().await);
        let right = config(&bucket, &endpoint, preset);
        S3Storage::new(right.clone()).unwrap().create_bucket().await.unwrap();
        for wrong in [right.clone().access_key_id("stranger"), right.clone().secret_access_key("wrong")] {
            println!("{name}");
            let folder = tempfile::tempdir().unwrap();
            let empty: SharedStorage = Arc::new(MemoryStorage::new());
            let other = folder.path().join("other");
            ends(&s3(wrong.clone()), &empty, &other, ErrorKind::Unauthenticated, &[&bucket]).await;
            ends(&from, &s3(wrong), folder.path(), ErrorKind::Unauthenticated, &[&bucket]).await;
            goes_on(&from, &s3(right.clone()), folder.path()).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_permission_is_told_before_much_is_tried() {
    for (name, preset, endpoint) in servers().into_iter().filter(|(name, ..)| *name != "moto") {
        println!("{name}");
        let (bucket, from, folder) = (unused_bucket(), source().await, tempfile::tempdir().unwrap());
        let right = config(&bucket, &endpoint, preset);
        S3Storage::new(right.clone()).unwrap().create_bucket().await.unwrap();
        let nobody = S3Config::new(bucket.as_str()).endpoint(endpoint.as_str()).region("us-east-1");
        let nobody = nobody.preset(preset).anonymous(true).proxy("none");
        ends(&from, &s3(nobody), folder.path(), ErrorKind::PermissionDenied, &[&bucket]).await;
        goes_on(&from, &s3(right), folder.path()).await;
    }
}

/// The system's environment with a wrong clock.
#[derive(Debug)]
struct WrongClock(SharedRuntime);

impl Runtime for WrongClock {
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
        self.0.now() + Duration::from_secs(2 * 3600)
    }

    fn uptime(&self) -> Duration {
        self.0.uptime()
    }

    fn random(&self) -> u64 {
        self.0.random()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_is_told_and_may_be_set() {
    for (name, preset, endpoint) in servers().into_iter().filter(|(name, ..)| *name != "moto") {
        println!("{name}");
        let (bucket, from, folder) = (unused_bucket(), source().await, tempfile::tempdir().unwrap());
        let right = config(&bucket, &endpoint, preset);
        S3Storage::new(right.clone()).unwrap().create_bucket().await.unwrap();
        let wrong = S3Storage::builder(right.clone()).runtime(Arc::new(WrongClock(SystemRuntime::shared())));
        let wrong: SharedStorage = Arc::new(wrong.build().unwrap());
        ends(&from, &wrong, folder.path(), ErrorKind::ClockSkew, &["clock", &bucket]).await;
        goes_on(&from, &s3(right), folder.path()).await;
    }
}

/// Passes a number of puts, then reports that the credentials have expired: no real server can
/// be made to do this at a chosen moment.
struct Expiring {
    puts: AtomicI64,
    renewed: AtomicBool,
}

impl Hooks for Expiring {
    fn on_request(&self, request: &RequestInfo) -> Action {
        let put = request.operation == "PutObject" && !self.renewed.load(Ordering::Relaxed);
        let expired = put && self.puts.fetch_sub(1, Ordering::Relaxed) <= 0;
        if expired { Action::Fail(Failure::new(400, "ExpiredToken")) } else { Action::Pass }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_expire_half_way_end_the_run_and_may_be_renewed() {
    let hooks = Arc::new(Expiring { puts: AtomicI64::new(5), renewed: AtomicBool::new(false) });
    let cloud = Cloud::start(Some(hooks.clone())).await;
    let (from, folder, to) = (source().await, tempfile::tempdir().unwrap(), s3(cloud.config()));
    ends(&from, &to, folder.path(), ErrorKind::Unauthenticated, &[BUCKET]).await;
    hooks.renewed.store(true, Ordering::Relaxed);
    goes_on(&from, &to, folder.path()).await;
    let puts = cloud.server.stats().of("PutObject").succeeded;
    assert_eq!(puts, 21, "what had arrived was sent again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_host_is_named() {
    // A label of more than 63 letters is never sent to a name server.
    let host = format!("{}.invalid", "x".repeat(70));
    let to = s3(config(BUCKET, &format!("http://{host}"), Preset::Generic));
    let (from, folder) = (source().await, tempfile::tempdir().unwrap());
    ends(&from, &to, folder.path(), ErrorKind::HostNotFound, &[&host]).await;
    ends(&to, &from, &folder.path().join("other"), ErrorKind::HostNotFound, &[&host]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_nobody_vouches_for_is_told_and_may_be_trusted() {
    let (folder, from) = (tempfile::tempdir().unwrap(), source().await);
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let ca_file = folder.path().join("ca.pem");
    std::fs::write(&ca_file, certified.cert.pem()).unwrap();
    let front = S3Front::builder().bucket(BUCKET, Arc::new(MemoryStorage::new())).credentials(ACCESS_KEY, SECRET_KEY);
    let server = front.build().unwrap().serve_tls("127.0.0.1:0", tls::config(&certified)).await.unwrap();
    let endpoint = format!("https://localhost:{}", server.address().port());
    let strange = config(BUCKET, &endpoint, Preset::Aws);
    let journal = folder.path().join("journal");
    ends(&from, &s3(strange.clone()), &journal, ErrorKind::Tls, &["localhost"]).await;
    goes_on(&from, &s3(strange.ca_file(ca_file)), &journal).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_told_and_more_space_is_enough() {
    let Some(disk) = Mounted::new("size=6m") else { return };
    let (from, journal) = (source().await, tempfile::tempdir().unwrap());
    let to: SharedStorage = Arc::new(LocalStorage::builder(disk.path()).open().await.unwrap());
    ends(&from, &to, journal.path(), ErrorKind::OutOfSpace, &["large/0"]).await;
    disk.remount("remount,size=64m");
    goes_on(&from, &to, journal.path()).await;
    assert!(strangers(disk.path()).is_empty(), "{:?}", strangers(disk.path()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_disk_is_told_and_may_be_made_writable() {
    let Some(disk) = Mounted::new("size=64m,ro") else { return };
    let (from, journal) = (source().await, tempfile::tempdir().unwrap());
    let to: SharedStorage = Arc::new(LocalStorage::builder(disk.path()).open().await.unwrap());
    ends(&from, &to, journal.path(), ErrorKind::ReadOnly, &[]).await;
    disk.remount("remount,rw");
    goes_on(&from, &to, journal.path()).await;
}

/// A full disk under the journal: nothing is done that cannot be recorded.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_under_the_journal_is_told_and_more_space_is_enough() {
    let Some(disk) = Mounted::new("size=64k") else { return };
    let from: SharedStorage = Arc::new(MemoryStorage::new());
    fill_mixed(from.as_ref(), 6, 400, 0).await;
    let to: SharedStorage = Arc::new(MemoryStorage::new());
    let journal = disk.path().join("journal");
    ends(&from, &to, &journal, ErrorKind::OutOfSpace, &["journal"]).await;
    disk.remount("remount,size=64m");
    goes_on(&from, &to, &journal).await;
}

#[test]
fn the_program_says_one_sentence_and_ends_with_its_code() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("source")).unwrap();
    std::fs::write(folder.path().join("source/x"), "x").unwrap();
    let runs = AtomicI64::new(0);
    let run = |from: &str, to: &str| {
        let mut command = Command::new(example("migrate"));
        let journal = format!("journal-{}", runs.fetch_add(1, Ordering::Relaxed));
        command.current_dir(folder.path()).args([from, to, "--journal", &journal, "--attempts", "2"]);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).env("AWS_REGION", "x");
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let long = format!("s3://bucket?endpoint=http://{}.invalid", "x".repeat(70));
    for (from, to, word) in [
        ("source", long.as_str(), "resolve"),
        ("nothing-here", "target", "nothing-here"),
        ("source", "s3://bucket?endpoint=http://127.0.0.1:9&colour=red", "colour"),
        ("source", "s3://bucket?endpoint=http://127.0.0.1:9&secret_access_key=hush", "secret_access_key"),
        ("source", "ftp://host/x", "ftp"),
        ("source", "s3://bucket?endpoint=http://127.0.0.1:9", "127.0.0.1"),
    ] {
        let (code, said) = run(from, to);
        assert_eq!(code, Some(3), "{from} → {to}: {said}");
        let one = said.lines().count() == 1 && said.starts_with("error: ");
        assert!(one && said.contains(word) && !said.contains("hush"), "{from} → {to}: {said}");
    }
    let (code, said) = run("source", "target");
    assert_eq!(
        (code, std::fs::read_to_string(folder.path().join("target/x")).unwrap().as_str()),
        (Some(0), "x"),
        "{said}"
    );
}

#[test]
fn the_program_goes_on_where_nobody_reads_what_it_says() {
    let folder = tempfile::tempdir().unwrap();
    let (from, to) = (folder.path().join("source"), folder.path().join("target"));
    std::fs::create_dir(&from).unwrap();
    std::fs::write(from.join("x"), "x").unwrap();
    let mut command = Command::new(example("migrate"));
    command.args([&from, &to]).arg("--json").arg("--journal").arg(folder.path().join("journal"));
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(std::fs::read_to_string(to.join("x")).unwrap(), "x");
}

/// Runs a move in a process with a limit on its open files and connections.
fn move_with_few_files(from: &str, to: &str, files: u32, journal: &Path) -> serde_json::Value {
    let limited = format!("ulimit -n {files}; exec \"$0\" \"$@\"");
    let mut command = Command::new("sh");
    command.arg("-c").arg(limited).arg(example("migrate")).args([from, to, "--json", "--journal"]).arg(journal);
    let output =
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let mut events = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    events.find(|event| event["event"] == "report").unwrap()
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread")]
async fn where_few_files_may_be_open_less_is_on_its_way_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (source, back) = (folder.path().join("source"), folder.path().join("back"));
    let disk = LocalStorage::builder(&source).create_root(true).open().await.unwrap();
    for number in 0..300u64 {
        disk.write(&key(&format!("{number:03}")), bytes(number, 10 * KIB)).await.unwrap();
    }
    disk.write(&key("large"), bytes(7, 40 * MIB)).await.unwrap();
    // Delayed answers, so that many requests are in flight.
    let slow = ScriptedHooks::new(1).rule(Rule::always(), Action::Delay(Duration::from_millis(30)));
    let cloud = Cloud::start(Some(Arc::new(slow))).await;
    let (from, bucket, to) = (source.display().to_string(), cloud.url(), back.display().to_string());
    for (number, (from, to)) in [(&from, &bucket), (&bucket, &to)].into_iter().enumerate() {
        let (from, to, journal) = (from.clone(), to.clone(), folder.path().join(format!("journal {number}")));
        let report = tokio::task::spawn_blocking(move || move_with_few_files(&from, &to, 64, &journal)).await.unwrap();
        assert_eq!((&report["status"], &report["objects"]), (&"complete".into(), &301.into()));
        assert!(report["throttled"].as_u64().unwrap() > 0, "{report}");
    }
    assert_same(&disk, &LocalStorage::builder(&back).open().await.unwrap()).await;
}
