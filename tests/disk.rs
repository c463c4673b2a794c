//! A failing disk: whichever call fails, and whenever, nothing missing is reported as a
//! success, and the same command resumes when the disk works again.
//!
//! `strace` makes chosen calls of the real program fail, which simulates a broken disk: no real
//! disk can be made to fail at a chosen call.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use lepton::SharedStorage;
use lepton::providers::local::LocalStorage;
use support::places::required;
use support::*;

/// The calls that write to a destination and a journal on disk.
const WRITES: [&str; 7] =
    ["fsync", "fdatasync", "pwritev,pwrite64", "renameat,renameat2", "linkat", "fallocate,ftruncate", "openat2"];

/// The calls that read from a source on disk.
const READS: [&str; 4] = ["pread64,preadv", "openat2", "statx,newfstatat,fstat", "getdents64"];

/// Prints a message and returns `None` if the program cannot be traced.
fn traced(trace: &Path, calls: &str, error: &str, when: &str) -> Option<Command> {
    let mut command = Command::new("strace");
    if Command::new("strace").args(["-f", "true"]).output().is_err() {
        assert!(!required(), "there is no strace, and LEPTON_TEST_REQUIRED=1");
        println!("skipped: there is no strace");
        return None;
    }
    command.args(["-f", "-qq", "-o"]).arg(trace).args(["-e", &format!("trace={calls}")]);
    command.args(["-e", &format!("inject={calls}:error={error}:when={when}")]);
    Some(command)
}

/// `migrate` with a journal in this folder, under `command` if there is one.
fn migrate(command: Option<Command>, from: &str, to: &str, folder: &Path) -> Output {
    let program = example("migrate");
    let mut command = match command {
        Some(mut command) => {
            command.arg(program);
            command
        }
        None => Command::new(program),
    };
    command.args([from, to, "--concurrency", "4", "--attempts", "2", "--no-server-copy", "--journal"]);
    command.arg(folder.join("journal"));
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    command.output().unwrap()
}

/// Moves objects while these calls fail, and then once more without failures. Returns whether
/// any call failed.
async fn endures(to_disk: bool, calls: &str, error: &str, when: &str) -> Option<bool> {
    let folder = tempfile::tempdir().unwrap();
    let (disk, trace) = (folder.path().join("disk"), folder.path().join("trace"));
    std::fs::create_dir(&disk).unwrap();
    let local: SharedStorage = Arc::new(LocalStorage::builder(&disk).open().await.unwrap());
    let cloud = Cloud::start(None).await;
    let memory: SharedStorage = Arc::new(cloud.storage.clone());
    let (source, target) = if to_disk { (&memory, &local) } else { (&local, &memory) };
    fill_mixed(source.as_ref(), 7, 5, 1).await;
    let (url, disk) = (cloud.url(), disk.to_str().unwrap());
    let (from, to) = if to_disk { (&*url, disk) } else { (disk, &*url) };

    let output = migrate(Some(traced(&trace, calls, error, when)?), from, to, folder.path());
    let injected = std::fs::read_to_string(&trace).unwrap().contains("(INJECTED)");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let what = format!("{calls} fails with {error} at {when}: {:?}: {said}", output.status.code());
    assert!(output.status.code().is_some_and(|code| code != 101), "{what}");
    if output.status.success() {
        // Some calls are optional, and then the run succeeds; but then everything must be
        // there.
        assert_same(source.as_ref(), target.as_ref()).await;
        assert!(!calls.contains("sync") || !injected, "a success that is not on the disk: {what}");
    }
    let output = migrate(None, from, to, folder.path());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "after {what}: {said}");
    assert_same(source.as_ref(), target.as_ref()).await;
    let strangers = strangers(Path::new(disk));
    assert!(strangers.is_empty(), "after {what}: {strangers:?} are left over");
    Some(injected)
}

async fn each(to_disk: bool, calls: &[&str]) {
    for calls in calls {
        let mut injected = 0;
        for (error, when) in [("EIO", "1"), ("ENOSPC", "2"), ("EIO", "3"), ("EIO", "7"), ("EIO", "1+")] {
            let Some(failed) = endures(to_disk, calls, error, when).await else { return };
            injected += u32::from(failed);
        }
        println!("{calls}: {injected} runs in which it failed");
        assert!(injected > 0, "{calls} was never called");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_write_is_never_taken_for_a_copy() {
    each(true, &WRITES).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_fails_to_read_is_never_taken_for_a_source() {
    each(false, &READS).await;
}
