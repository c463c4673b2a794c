//! The program's memory depends neither on the number nor on the size of objects, and stays
//! within its budget plus the overhead of the process.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lepton::core::{Body, PutOptions};
use lepton::{MemoryStorage, SharedStorage, Storage as _, StorageExt as _};
use lepton_s3_front::{Action, Gate, Rule, S3Front, ScriptedHooks, SinkStorage};
use support::limited::Limited;
use support::*;

const BUDGET: usize = 32 * MIB;
/// The additional memory of the process: code, connections, journal.
const OVERHEAD: usize = 40 * MIB;

/// Moves everything from `store` to a server that stores nothing, in a separate process, and
/// returns its peak resident memory.
async fn peak(store: &MemoryStorage, to: &str) -> usize {
    let sink: SharedStorage = Arc::new(SinkStorage::new("sink:"));
    let front = S3Front::builder().bucket("source", Arc::new(store.clone())).bucket("sink-bucket", sink);
    let server = front.credentials(ACCESS_KEY, SECRET_KEY).build().unwrap().serve("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let url = |bucket: &str, preset: &str| {
        format!("s3://{bucket}?endpoint={}&region=us-east-1&preset={preset}", server.endpoint())
    };
    let to = if to == "disk" { folder.path().join("disk").display().to_string() } else { url("sink-bucket", to) };
    let mut command = Command::new(example("migrate"));
    command
        .args([&url("source", "aws"), &to, "--json", "--memory", "32MiB", "--journal"])
        .arg(folder.path().join("journal"));
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY).stderr(Stdio::inherit());
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}");
    let events = said.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let report = events.into_iter().find(|event| event["event"] == "report").unwrap();
    assert_eq!(report["status"], "complete");
    usize::try_from(report["peak_rss_bytes"].as_u64().unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_depends_neither_on_the_number_nor_on_the_size_of_objects() {
    let (few, many, large) = (MemoryStorage::new(), MemoryStorage::new(), MemoryStorage::new());
    for i in 0..10_000u64 {
        let name = key(&format!("{:02}/{i:05}", i % 17));
        many.write(&name, bytes(i, 500)).await.unwrap();
        if i < 100 {
            few.write(&name, bytes(i, 500)).await.unwrap();
        }
    }
    let piece: Bytes = bytes(7, MIB);
    for name in ["large/a", "large/b"] {
        let body = Body::from_pieces(std::iter::repeat_n(piece.clone(), 300));
        large.put(&key(name), body, PutOptions::new()).await.unwrap();
    }
    for (store, what) in [(&few, "100 small"), (&many, "10,000 small"), (&large, "2 of 300 MiB")] {
        // Parts for a generic store are held whole, because they are hashed before they are
        // sent.
        for to in ["aws", "generic", "disk"] {
            let peak = peak(store, to).await;
            println!("{what} to {to}: {} MiB", peak / MIB);
            assert!(peak < BUDGET + OVERHEAD, "{what} to {to}: {} MiB", peak / MIB);
        }
    }
}

/// A destination that reads nothing for seconds while the source sends all it has, under a
/// memory limit of the system. Data in socket buffers counts too.
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_destination_fills_no_memory() {
    let Some(limited) = Limited::to(BUDGET + OVERHEAD) else { return };
    let gate = Gate::new();
    let hooks = ScriptedHooks::new(1)
        .rule(Rule::on("PutObject").after(100), Action::Hold(gate.clone()))
        .rule(Rule::on("UploadPart").after(3), Action::Hold(gate.clone()));
    let (from, to) = (Cloud::start(None).await, Cloud::start(Some(Arc::new(hooks))).await);
    for i in 0..2000 {
        from.storage.write(&key(&format!("small/{i:04}")), bytes(i, 30_000)).await.unwrap();
    }
    for name in ["large/a", "large/b"] {
        let body = Body::from_pieces(std::iter::repeat_n(bytes(7, MIB), 150));
        from.storage.put(&key(name), body, PutOptions::new()).await.unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let mut command = limited.command(&example("migrate"));
    command.args([&from.url(), &to.url(), "--quiet", "--memory", "32MiB", "--journal"]).arg(folder.path());
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let running = tokio::task::spawn_blocking(move || command.output().unwrap());
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(!running.is_finished(), "nothing was held");
    gate.open();
    let output = running.await.unwrap();
    assert!(output.status.success(), "{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_same(&from.storage, &to.storage).await;
}
