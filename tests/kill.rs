//! A hundred SIGKILLs at random moments: at the end everything is there, nothing is left over,
//! and no part was sent again that the store already held.
//!
//! The seed is printed; `LEPTON_TEST_SEED` sets it, `LEPTON_TEST_KILLS` the number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lepton::core::journal::Replay;
use lepton::{Location, SharedStorage, VerifyDepth, open, verify};
use lepton_s3_front::{Action, Gate, Rule, ScriptedHooks};
use support::journals::Journals;
use support::places::setting;
use support::*;

fn migrate(from: &str, to: &str, folder: &Path) -> Command {
    let mut command = Command::new(example("migrate"));
    command
        .args([from, to, "--journal"])
        .arg(folder.join("journal"))
        .arg("--manifest")
        .arg(folder.join("manifest.jsonl"))
        .args(["--json", "--concurrency", "6"])
        .env("AWS_ACCESS_KEY_ID", ACCESS_KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// Runs the transfer repeatedly, killing it at random moments, until it ends by itself. Returns
/// the number of kills.
async fn until_done(from: &str, to: &str, folder: &Path, random: &mut Random) -> u64 {
    let mut kills = 0;
    loop {
        let mut child = migrate(from, to, folder).spawn().unwrap();
        // Later attempts live longer, so that each transfer eventually ends.
        let life = Duration::from_millis(random.below(120 + 40 * kills));
        tokio::time::sleep(life).await;
        if child.try_wait().unwrap().is_none() {
            child.kill().unwrap();
            if child.wait().unwrap().code().is_none() {
                kills += 1;
                continue;
            }
        }
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the run failed after {kills} kills: {said}");
        return kills;
    }
}

async fn round(seed: u64, kind: u64) -> u64 {
    let mut random = Random::new(seed);
    let (folder, journals) = (tempfile::tempdir().unwrap(), Journals::new());
    let (a, b) = (Cloud::start(None).await, Cloud::start(None).await);
    let disks = ["left", "right"].map(|name| folder.path().join(name).to_str().unwrap().to_owned());
    for disk in &disks {
        std::fs::create_dir(disk).unwrap();
    }
    let (from_disk, to_disk) = (matches!(kind, 1 | 3), matches!(kind, 2 | 3));
    let from = if from_disk { disks[0].clone() } else { a.url() };
    let to = if to_disk { disks[1].clone() } else { b.url() };
    let local = async |disk: &str| open(disk).await.unwrap().storage().clone();
    let source: SharedStorage = if from_disk { local(&from).await } else { Arc::new(a.storage.clone()) };
    let target: SharedStorage = if to_disk { local(&to).await } else { Arc::new(b.storage.clone()) };
    fill_mixed(source.as_ref(), seed, 150, 3).await;
    let kills = until_done(&from, &to, journals.path(), &mut random).await;

    assert_same(source.as_ref(), target.as_ref()).await;
    let place = Location::new(Arc::clone(&target), "");
    let found = verify(&journals.path().join("manifest.jsonl"), &place, VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven() && found.objects == 154, "{found:?}");
    let stats = b.server.stats();
    let twice: Vec<_> = stats.sent_though_listed().collect();
    assert!(twice.is_empty(), "parts that the store held were sent again: {twice:?}");
    for i in 0..3 {
        let name = format!("large/{i}");
        assert_no_uploads(target.as_ref(), &name).await;
    }
    if to_disk {
        let left = ".lepton-0.tmp";
        assert!(!Path::new(&to).join(left).exists(), "opening the root removes it");
        // Killed while it replaced an object; the next replacement in that folder removes it.
        let mut strangers = strangers(Path::new(&to));
        strangers.retain(|name| name != left);
        assert!(strangers.is_empty(), "files were left over: {strangers:?}");
    }
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_kills_lose_nothing_and_leave_nothing() {
    let seed = setting("LEPTON_TEST_SEED", u64::from(std::process::id()));
    let wanted = setting("LEPTON_TEST_KILLS", 100);
    println!("LEPTON_TEST_SEED={seed}");
    let mut kills = 0;
    for round_number in 0.. {
        if kills >= wanted {
            break;
        }
        kills += round(seed.wrapping_add(round_number), round_number % 4).await;
        println!("{kills} kills after round {round_number}");
    }
}

/// Kills the program when the server withholds a reply, once `known` reports that enough is in
/// the journal, and then runs it to its end. Returns how many objects were sent.
async fn killed_at(before: u64, objects: u64, size: usize, known: impl Fn(usize) -> bool) -> u64 {
    let (folder, journals, gate) = (tempfile::tempdir().unwrap(), Journals::new(), Gate::new());
    for number in 0..objects {
        std::fs::write(folder.path().join(format!("{number:03}")), bytes(number, size)).unwrap();
    }
    let rule = Rule::on("PutObject").after(before);
    let cloud = Cloud::start(Some(Arc::new(ScriptedHooks::new(1).rule(rule, Action::HoldReply(gate.clone()))))).await;
    let from = folder.path().to_str().unwrap();
    let mut child = migrate(from, &cloud.url(), journals.path()).spawn().unwrap();
    gate.reached().await;
    let journalled = || Replay::of(&journals.path().join("journal")).map_or(0, Iterator::count);
    while !known(journalled()) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    gate.open();
    let output = migrate(from, &cloud.url(), journals.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let source = open(from).await.unwrap();
    assert_same(source.storage().as_ref(), &cloud.storage).await;
    cloud.server.stats().of("PutObject").requests
}

/// After a kill, the objects that were in flight are sent again, and of the finished ones at
/// most 16 MiB, or those finished within the last second.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_costs_no_more_than_what_was_finished_last() {
    let in_flight = 6 * 2;
    // 7 MiB each: two of them fit into what may be lost.
    let sent = killed_at(40, 50, 7 * MIB, |_| true).await;
    assert!(sent <= 50 + in_flight + 3, "{sent} objects were sent");
    // Records of small objects reach the disk although nothing waits for them.
    let sent = killed_at(150, 200, KIB, |journalled| journalled >= 140).await;
    assert!(sent <= 200 + in_flight + 10, "{sent} objects were sent");
}
