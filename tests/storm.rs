//! A storm: random work between random stores, over a faulty network, killed again and again.
//! Afterwards the result is checked without using the engine: the destination equals the
//! source, nothing is lost, nothing is left over.
//!
//! Each round has its own seed, which is printed. `LEPTON_TEST_SEED` sets the first seed,
//! `LEPTON_TEST_KILLS` the minimum number of kills, `LEPTON_TEST_FAULTS` the faults (names of
//! [`FAULTS`], `all` or `none`). `cargo xtask storm` is the long form. The network is a fake;
//! stores, processes and kills are real.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use lepton::core::{DeleteRequest, ObjectKey};
use lepton::providers::local::LocalStorage;
use lepton::{Location, SharedStorage, StorageExt as _, VerifyDepth, verify};
use lepton_s3_front::{Action, Failure, Hooks, Moment, Rule, ScriptedHooks};
use support::journals::Journals;
use support::places::{servers, setting};
use support::proxied::Proxied;
use support::*;

/// The faults, and how many requests out of a thousand they apply to.
const FAULTS: [(&str, u64); 8] = [
    ("throttle", 20),
    ("reset", 10),
    ("lost-reply", 10),
    ("cut", 10),
    ("flip", 10),
    ("twice", 5),
    ("trickle", 5),
    ("stall", 1),
];

/// The requests and the action of a fault.
fn rules(fault: &str) -> Vec<(Rule, Action)> {
    let (any, get) = (Rule::always, || Rule::on("GetObject"));
    match fault {
        "throttle" => vec![
            (any(), Action::Fail(Failure::slow_down())),
            (any(), Action::Fail(Failure::new(429, "TooManyRequests").retry_after(1))),
            (any(), Action::Fail(Failure::new(500, "InternalError"))),
            (Rule::on("CompleteMultipartUpload"), Action::FailInside("InternalError")),
            (Rule::on("CopyObject"), Action::FailInside("InternalError")),
        ],
        "reset" => vec![(any(), Action::Reset(Moment::BeforeReading)), (any(), Action::Reset(Moment::BeforeEffect))],
        "lost-reply" => vec![(any(), Action::Reset(Moment::AfterEffect))],
        "cut" => vec![(get(), Action::Truncate(3000)), (get(), Action::Shorten(3000)), (any(), Action::Truncate(10))],
        "flip" => ["PutObject", "UploadPart"].map(|on| (Rule::on(on), Action::FlipRequest(1000))).to_vec(),
        "twice" => ["PutObject", "UploadPart", "CompleteMultipartUpload", "DeleteObjects", "GetObject"]
            .map(|on| (Rule::on(on), Action::Twice))
            .to_vec(),
        "trickle" => vec![(get(), Action::Trickle(50_000, Duration::from_millis(5)))],
        "stall" => vec![(any(), Action::Stall), (get(), Action::StallAfter(2000))],
        unknown => panic!("there is no fault {unknown:?}; there are {FAULTS:?}"),
    }
}

/// The network faults of a round.
fn weather(seed: u64, faults: &[String]) -> Arc<dyn Hooks> {
    let mut hooks = ScriptedHooks::new(seed);
    for (fault, share) in FAULTS.into_iter().filter(|(fault, _)| faults.iter().any(|wanted| wanted == fault)) {
        let rules = rules(fault);
        let each = share as f64 / 1000.0 / rules.len() as f64;
        for (rule, action) in rules {
            hooks = hooks.rule(rule.probability(each), action);
        }
    }
    Arc::new(hooks)
}

fn faults() -> Vec<String> {
    let named = std::env::var("LEPTON_TEST_FAULTS").unwrap_or_else(|_| "all".into());
    match named.as_str() {
        "all" => FAULTS.map(|(fault, _)| fault.to_owned()).to_vec(),
        "none" => Vec::new(),
        named => named.split(',').map(|fault| (rules(fault), fault.to_owned()).1).collect(),
    }
}

/// A store of a round: its URL for the program, and direct access to its true content.
struct Side {
    kind: &'static str,
    url: String,
    direct: SharedStorage,
    folder: Option<PathBuf>,
    kept: (Option<Cloud>, Option<Proxied>),
}

impl Side {
    async fn new(kind: &'static str, weather: Arc<dyn Hooks>, folder: PathBuf) -> Self {
        if kind == "local" {
            std::fs::create_dir(&folder).unwrap();
            let direct = Arc::new(LocalStorage::builder(&folder).open().await.unwrap());
            let url = folder.to_str().unwrap().to_owned();
            return Self { kind, url, direct, folder: Some(folder), kept: (None, None) };
        }
        if kind == "front" {
            let cloud = Cloud::start(Some(weather)).await;
            let (url, direct) = (format!("{}&idle_timeout=2s", cloud.url()), Arc::new(cloud.storage.clone()));
            return Self { kind, url, direct, folder: None, kept: (Some(cloud), None) };
        }
        let (_, preset, endpoint) = servers().into_iter().find(|(name, ..)| *name == kind).unwrap();
        Self::behind(kind, Proxied::fresh(preset, &endpoint, weather).await)
    }

    fn behind(kind: &'static str, proxied: Proxied) -> Self {
        let url = format!("{}&idle_timeout=2s", proxied.url());
        Self { kind, url, direct: Arc::clone(&proxied.direct), folder: None, kept: (None, Some(proxied)) }
    }

    async fn delete(&self, keys: impl IntoIterator<Item = ObjectKey>) {
        for key in keys {
            for result in self.direct.delete(vec![DeleteRequest::new(key)]).await.unwrap() {
                result.unwrap();
            }
        }
    }
}

/// A program that has to succeed, however often it is killed.
struct Work<'a> {
    program: PathBuf,
    arguments: Vec<&'a str>,
    journal: PathBuf,
}

impl Work<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).arg("--journal").arg(&self.journal);
        command.args(["--json", "--concurrency", "6"]);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs the program until it ends by itself; returns how often it was killed.
    async fn until_done(&self, random: &mut Random) -> u64 {
        for kills in 0.. {
            let mut child = self.command().spawn().unwrap();
            // Later attempts live longer, so that each program eventually ends.
            let life = Duration::from_millis(random.below(150 + 40 * kills));
            tokio::time::sleep(life).await;
            if child.try_wait().unwrap().is_none() {
                child.kill().unwrap();
                if child.wait().unwrap().code().is_none() {
                    continue;
                }
            }
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{:?} failed after {kills} kills: {said}", self.arguments);
            return kills;
        }
        unreachable!()
    }
}

/// Changes, adds and removes objects of the source, and adds extraneous objects at the
/// destination.
async fn meddle(from: &Side, to: &Side, random: &mut Random) {
    let there = contents(from.direct.as_ref()).await;
    let gone = there.iter().filter(|_| random.below(8) == 0).map(|(meta, _)| meta.key.clone()).collect::<Vec<_>>();
    from.delete(gone).await;
    for i in 0..20 {
        let len = usize::try_from(random.below(60_000)).unwrap();
        from.direct.write(&key(&format!("new/{i}")), bytes(random.next(), len)).await.unwrap();
        to.direct.write(&key(&format!("strange/{i}")), bytes(random.next(), len)).await.unwrap();
    }
    for (meta, old) in there.iter().rev().take(5) {
        from.direct.write(&meta.key, bytes(random.next(), old.len() + 1)).await.unwrap();
    }
}

/// Checks the result without using the engine.
async fn look(from: &Side, to: &Side, manifest: &Path) {
    assert_same(from.direct.as_ref(), to.direct.as_ref()).await;
    let found = verify(manifest, &Location::from(to.direct.clone()), VerifyDepth::Full).await.unwrap();
    assert!(found.problems.is_empty(), "{:?}", found.problems);
    for (meta, _) in contents(to.direct.as_ref()).await {
        assert_no_uploads(to.direct.as_ref(), &meta.key.to_string()).await;
    }
    if let Some(folder) = &to.folder {
        let strangers = strangers(folder);
        assert!(strangers.is_empty(), "files were left over: {strangers:?}");
    }
}

async fn round(seed: u64, faults: &[String]) -> u64 {
    let mut random = Random::new(seed);
    let mut kinds = vec!["local", "front"];
    kinds.extend(servers().into_iter().map(|(kind, ..)| kind).filter(|kind| *kind != "moto"));
    let mut kind = || kinds[usize::try_from(random.below(kinds.len() as u64)).unwrap()];
    let (from, to) = (kind(), kind());
    let (folder, journals) = (tempfile::tempdir().unwrap(), Journals::new());
    let weather = weather(random.next(), faults);
    let from = Side::new(from, Arc::clone(&weather), folder.path().join("from")).await;
    let to = match &from.kept.1 {
        // Both sides are on one server, which copies by itself.
        Some(proxied) if from.kind == to => Side::behind(to, proxied.beside().await),
        _ => Side::new(to, weather, folder.path().join("to")).await,
    };
    println!("seed {seed}: {} → {}", from.kind, to.kind);
    fill_mixed(from.direct.as_ref(), seed, 60 + random.below(100), random.below(4)).await;

    let journal = journals.path().join("journal");
    let manifest = journal.join("manifest.jsonl");
    let arguments = vec![from.url.as_str(), to.url.as_str()];
    let moved = Work { program: example("migrate"), arguments: arguments.clone(), journal: journal.clone() };
    let mut kills = moved.until_done(&mut random).await;
    look(&from, &to, &manifest).await;

    meddle(&from, &to, &mut random).await;
    let mirror = ["run", "--delete", "--max-delete-percent", "100"].into_iter().chain(arguments).collect();
    let mirrored = Work { program: example("sync"), arguments: mirror, journal };
    kills += mirrored.until_done(&mut random).await;
    look(&from, &to, &manifest).await;

    for side in [&from, &to] {
        let keys: Vec<_> = contents(side.direct.as_ref()).await.into_iter().map(|(meta, _)| meta.key).collect();
        side.delete(keys).await;
    }
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_destination_is_the_source() {
    let seed = setting("LEPTON_TEST_SEED", 1);
    let (wanted, faults) = (setting("LEPTON_TEST_KILLS", 50), faults());
    println!("LEPTON_TEST_SEED={seed} LEPTON_TEST_FAULTS={}", faults.join(","));
    let mut kills = 0;
    for number in 0.. {
        if kills >= wanted {
            break;
        }
        kills += round(seed.wrapping_add(number), &faults).await;
        println!("{kills} kills after {} rounds", number + 1);
    }
}
