//! SIGTERM and SIGHUP stop the programs as Ctrl-C does: requests in flight finish, the same
//! command resumes, and nothing finished is sent again.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use lepton::open;
use lepton_s3_front::{Action, Gate, Rule, ScriptedHooks};
use serde_json::Value;
use support::journals::Journals;
use support::*;

const SMALL: u64 = 40;
/// The number of objects that pass before the gate, and of those that `--concurrency` lets wait
/// there.
const BEFORE: u64 = 10;
const AT_ONCE: u64 = 4;

/// A source on disk, a cloud that withholds replies at a gate, and a journal.
struct Scene {
    source: tempfile::TempDir,
    journals: Journals,
    cloud: Cloud,
    gate: Gate,
}

impl Scene {
    async fn new(rule: Rule) -> Self {
        let (source, gate) = (tempfile::tempdir().unwrap(), Gate::new());
        for number in 0..SMALL {
            std::fs::write(source.path().join(format!("{number:02}")), bytes(number, KIB)).unwrap();
        }
        std::fs::write(source.path().join("large"), bytes(99, 17 * MIB)).unwrap();
        let hooks = ScriptedHooks::new(1).rule(rule, Action::HoldReply(gate.clone()));
        let cloud = Cloud::start(Some(Arc::new(hooks))).await;
        Self { source, journals: Journals::new(), cloud, gate }
    }

    /// A scene with the gate halfway through the run.
    async fn half_way() -> Self {
        Self::new(Rule::on("PutObject").after(BEFORE)).await
    }

    /// Starts the program with the signal handling that `env` sets up. The parent of the tests
    /// may ignore some signals, as `nohup` does.
    fn start(&self, signals: &str, program: &[&str]) -> Child {
        let (name, arguments) = program.split_first().unwrap();
        let mut command = Command::new("env");
        command.args(["--default-signal=INT,TERM,HUP", signals]).arg(example(name)).args(arguments);
        command.arg(self.source.path()).arg(self.cloud.url());
        command.args(["--json", "--concurrency", &AT_ONCE.to_string(), "--journal"]).arg(self.journals.path());
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).env_remove("RUST_LOG");
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Runs the same command to its end.
    async fn resumes(&self, program: &[&str]) -> Value {
        let (code, report) = ended(self.start("--default-signal=INT", program)).await;
        assert_eq!((code, &report["status"], &report["objects"]), (0, &"complete".into(), &(SMALL + 1).into()));
        let disk = open(self.source.path().to_str().unwrap()).await.unwrap();
        assert_same(disk.storage().as_ref(), &self.cloud.storage).await;
        report
    }
}

fn send(signal: &str, child: &Child) {
    let sent = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

/// Waits until the program reports that it is stopping; before that it may not have seen the
/// signal yet.
async fn says_that_it_stops(child: &mut Child) {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        said.read_line(&mut line).map(|_| line).unwrap()
    });
    let line = line.await.unwrap();
    assert!(line.contains("stopping"), "{line}");
}

async fn output(child: Child) -> Output {
    tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap()
}

/// The exit code, and the report if there is one.
async fn ended(child: Child) -> (i32, Value) {
    let output = output(child).await;
    let said = String::from_utf8(output.stdout).unwrap();
    let mut events = said.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let report = events.rfind(|event| event["event"] == "report").unwrap_or_default();
    (output.status.code().unwrap_or_else(|| panic!("ended by a signal: {said}")), report)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_signal_lets_what_is_in_flight_end_and_the_same_command_resumes() {
    for program in [&["migrate"][..], &["sync", "run"]] {
        for signal in ["INT", "TERM", "HUP"] {
            let scene = Scene::half_way().await;
            let mut child = scene.start("--default-signal=INT", program);
            scene.gate.reached().await;
            send(signal, &child);
            says_that_it_stops(&mut child).await;
            scene.gate.open();
            let (code, stopped) = ended(child).await;
            assert_eq!((code, &stopped["status"]), (130, &"cancelled".into()), "{program:?}, {signal}: {stopped}");
            let done = stopped["objects"].as_u64().unwrap();
            assert!((BEFORE..=BEFORE + AT_ONCE + 1).contains(&done), "{program:?}, {signal}: {stopped}");
            let report = scene.resumes(program).await;
            assert_eq!(report["resumed_objects"], done, "{program:?}, {signal}");
            let stats = scene.cloud.server.stats();
            assert_eq!(stats.of("PutObject").requests, SMALL, "{program:?}, {signal}: an object was sent again");
            assert_eq!(stats.stored_twice().count(), 0, "{program:?}, {signal}: a part was sent again");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_stops_at_once() {
    for (first, second) in [("TERM", "HUP"), ("HUP", "TERM"), ("INT", "INT")] {
        let scene = Scene::half_way().await;
        let mut child = scene.start("--default-signal=INT", &["migrate"]);
        scene.gate.reached().await;
        send(first, &child);
        says_that_it_stops(&mut child).await;
        // The gate stays closed: requests in flight cannot finish.
        send(second, &child);
        assert_eq!(ended(child).await, (130, Value::Null), "{first}, {second}");
        scene.gate.open();
        scene.resumes(&["migrate"]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_ignores_sighup_keeps_ignoring_it() {
    let scene = Scene::half_way().await;
    let child = scene.start("--ignore-signal=HUP", &["migrate"]);
    scene.gate.reached().await;
    let status = std::fs::read_to_string(Path::new("/proc").join(child.id().to_string()).join("status")).unwrap();
    let hangup = |name: &str| {
        let mask = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        u64::from_str_radix(mask.trim(), 16).unwrap() & 1
    };
    assert_eq!((hangup("SigIgn:"), hangup("SigCgt:")), (1, 0), "{status}");
    send("HUP", &child);
    scene.gate.open();
    let (code, report) = ended(child).await;
    assert_eq!((code, &report["status"]), (0, &"complete".into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verification_ends_at_the_first_signal_and_is_taken_up() {
    for (program, signal) in [(&["migrate"][..], "TERM"), (&["sync", "run"], "TERM"), (&["migrate"], "KILL")] {
        let scene = Scene::new(Rule::on("GetObject")).await;
        let command = [program, &["--verify", "full"]].concat();
        let child = scene.start("--default-signal=INT", &command);
        scene.gate.reached().await;
        send(signal, &child);
        if signal == "KILL" {
            assert!(!output(child).await.status.success());
        } else {
            let (code, report) = ended(child).await;
            assert_eq!((code, &report["status"]), (130, &"cancelled".into()), "{report}");
        }
        // Nothing is sent again, and every byte is compared.
        scene.gate.open();
        let (code, report) = ended(scene.start("--default-signal=INT", &command)).await;
        assert_eq!((code, &report["status"], &report["parts"]), (0, &"complete".into(), &0.into()), "{report}");
        let found = &report["verification"];
        let (objects, nothing) = (&found["objects"], &found["without_digest"]);
        assert_eq!((objects, nothing, &found["failed"]), (&(SMALL + 1).into(), &0.into(), &0.into()), "{program:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_lets_running_requests_end() {
    let mut command = Command::new("env");
    command.arg("--default-signal=INT,TERM,HUP").arg(example("serve_s3"));
    command.args(["--listen", "127.0.0.1:0", "--bucket", "bucket=memory:"]).stdout(Stdio::piped());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let mut child = command.spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.next().unwrap().contains("serves memory:"));
    send("TERM", &child);
    assert_eq!(output(child).await.status.code(), Some(0));
    assert!(said.next().unwrap().starts_with("stopping"));
}
