//! The whole migration of a running application, as its program shows it: undisturbed, with kills
//! and stops at every stage, with a job that ignores the fence, and the way back.
//!
//! Each run compares the ledger of its users with the owner's data. `LEPTON_KILL_ROUNDS` is the
//! number of kills of the driver, 30 by default, and `LEPTON_KILL_SEED` the seed.

#![allow(clippy::unwrap_used, clippy::panic, reason = "test")]

mod storm;

use std::process::{Command, Stdio};

/// Runs the demonstration and returns what it has shown.
fn demonstration(arguments: &[&str]) -> String {
    let shown = Command::new(env!("CARGO_BIN_EXE_migrate_app")).args(arguments).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&shown.stdout), String::from_utf8_lossy(&shown.stderr));
    println!("migrate_app {}\n{out}{err}", arguments.join(" "));
    assert!(shown.status.success(), "{}", shown.status);
    out.into_owned()
}

fn contains(out: &str, lines: &[&str]) {
    for line in lines {
        assert!(out.contains(line), "{line}");
    }
}

/// What the ledger has to say in the end of each run.
const EXACT: &[&str] = &["stale reads           0", " 0 of them not as acknowledged"];

#[test]
fn a_running_application_moves_and_no_write_is_lost() {
    let out = demonstration(&["--users", "4"]);
    contains(&out, EXACT);
    contains(&out, &["owner of the writes   B", "failures              0", "the driver gets SIGKILL"]);
    assert!(!out.contains("writes by a job       0\n"));
    // The fence closed the WebSocket of a user, who opened another one.
    let socket = out.lines().find_map(|line| line.trim_start().strip_prefix("over a WebSocket ")).unwrap();
    let numbers: Vec<u64> = socket.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [writes, 1] if writes >= 20), "{socket}");
}

#[test]
fn a_demonstration_that_is_stopped_ends_what_it_has_started() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_migrate_app"));
    let folder = tempfile::tempdir().unwrap();
    let shown = command.args(["--users", "1", "--objects", "10"]).env("TMPDIR", folder.path());
    let mut child = shown.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let place = folder.path().join(format!("lepton-migrate-app-{}", child.id()));
    while !place.join("router.address").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let signal = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(signal.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    for side in ["machine-a", "machine-b"] {
        let workload = place.join(side).join("workloads/shop");
        assert!(!workload.exists(), "the application still runs: {}", workload.display());
    }
}

/// Users write at side A up to the fence, and at side B from the switch on.
#[test]
fn a_rollback_right_after_the_switch_keeps_the_writes_of_both_sides() {
    let out = demonstration(&["--users", "4", "--objects", "50", "--back", "--at-once"]);
    contains(&out, EXACT);
    contains(&out, &["owner of the writes   A", "failures              0", " s undone"]);
}

#[test]
fn a_job_that_ignores_the_fence_is_found_by_the_probe() {
    let out = demonstration(&["--users", "4", "--objects", "50", "--policy-of-b-only", "--fences", "1"]);
    contains(&out, EXACT);
    contains(&out, &["owner of the writes   A", "failures              0", "fences given up       1"]);
    contains(&out, &["side A accepts writes although it was made to refuse them"]);
}
