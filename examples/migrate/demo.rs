//! The demonstration: two S3 servers inside this process as cloud A and cloud B, and a
//! migration between them by a child process that is killed halfway, resumed, and verified.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crate::common::say::say;
use indicatif::{HumanBytes, ProgressBar, ProgressStyle};
use lepton::core::{Attributes, Body, PutOptions};
use lepton::{Error, Location, MemoryStorage, ObjectKey, Result, Storage as _, VerifyDepth, verify};
use lepton_s3_front::{S3Front, Server};

const KEY: &str = "demo-key";
const SECRET: &str = "demo-secret";
const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// A cloud: an S3 server on top of an in-memory storage.
struct Cloud {
    name: &'static str,
    storage: MemoryStorage,
    server: Server,
}

impl Cloud {
    async fn start(name: &'static str) -> Result<Self> {
        let storage = MemoryStorage::new();
        let front = S3Front::builder().bucket(name, Arc::new(storage.clone())).credentials(KEY, SECRET).build()?;
        Ok(Self { name, storage, server: front.serve("127.0.0.1:0").await? })
    }

    fn url(&self) -> String {
        // The server behaves like Amazon S3, including its key rules.
        format!("s3://{}?endpoint={}&region=us-east-1&preset=aws", self.name, self.server.endpoint())
    }

    /// Bytes of request bodies received.
    fn received(&self) -> u64 {
        let stats = self.server.stats();
        stats.of("PutObject").bytes_in + stats.of("UploadPart").bytes_in
    }
}

/// Runs the demonstration; returns the exit code.
pub(crate) async fn run() -> Result<u8> {
    let folder = std::env::temp_dir().join(format!("lepton-demo-{}", std::process::id()));
    std::fs::create_dir_all(&folder).map_err(|e| Error::io("cannot make the demonstration's folder", e))?;
    let (a, b) = (Cloud::start("cloud-a").await?, Cloud::start("cloud-b").await?);
    let (objects, bytes) = fill(&a.storage).await?;
    say!("cloud A: {} with {objects} objects, {}", a.url(), HumanBytes(bytes));
    say!("cloud B: {}, empty", b.url());

    let bar = ProgressBar::new(bytes).with_style(style());
    say!("\nmigrating in a child process, which gets a SIGKILL half-way …");
    let mut child = start(&a, &b, &folder)?;
    let killed_at = watch(&mut child, &b, &bar, Some(bytes / 2)).await?;
    say!("killed after {} had arrived; the same command again …", HumanBytes(killed_at));

    let mut child = start(&a, &b, &folder)?;
    watch(&mut child, &b, &bar, None).await?;
    bar.finish_and_clear();
    let report = last_event(&mut child, "report")?;
    let status = child.wait().map_err(|e| Error::io("cannot wait for the child process", e))?;
    if !status.success() {
        return Err(Error::invalid_input(format!("the second run ended with {status}: {report}")));
    }
    say!("done; now every byte of cloud B is read and compared with the manifest …");
    let manifest = folder.join("manifest.jsonl");
    let found = verify(&manifest, &Location::new(Arc::new(b.storage.clone()), ""), VerifyDepth::Full).await?;
    summarise(&a, &b, &report, bytes);
    say!("  proven          {} of {} objects", found.objects - found.failed, found.objects);
    say!("  manifest        {}", manifest.display());
    for problem in &found.problems {
        say!("  WRONG           {}: {}", problem.key, problem.reason);
    }
    a.server.stop().await;
    b.server.stop().await;
    let proven = found.is_proven() && found.objects == objects;
    Ok(if proven { 0 } else { super::common::NOT_PROVEN })
}

/// Starts this program again as a child process, with the two clouds as its places.
fn start(a: &Cloud, b: &Cloud, folder: &Path) -> Result<Child> {
    let program: PathBuf = std::env::current_exe().map_err(|e| Error::io("cannot find this program", e))?;
    let child = Command::new(program)
        .args([a.url(), b.url()])
        .arg("--journal")
        .arg(folder.join("journal"))
        .arg("--manifest")
        .arg(folder.join("manifest.jsonl"))
        .arg("--json")
        .env("AWS_ACCESS_KEY_ID", KEY)
        .env("AWS_SECRET_ACCESS_KEY", SECRET)
        .env_remove("AWS_SESSION_TOKEN")
        .env_remove("AWS_PROFILE")
        .stdout(Stdio::piped())
        .spawn();
    child.map_err(|e| Error::io("cannot start the child process", e))
}

/// Shows how much has arrived until the child ends, or kills it once `kill_at` bytes have
/// arrived. Returns how much had arrived.
async fn watch(child: &mut Child, b: &Cloud, bar: &ProgressBar, kill_at: Option<u64>) -> Result<u64> {
    loop {
        let received = b.received();
        bar.set_position(received);
        if kill_at.is_some_and(|at| received >= at) {
            child.kill().and_then(|()| child.wait()).map_err(|e| Error::io("cannot kill the child process", e))?;
            return Ok(received);
        }
        if child.try_wait().map_err(|e| Error::io("cannot watch the child process", e))?.is_some() {
            let early = || Error::invalid_input("the child process ended before it could be killed");
            return if kill_at.is_some() { Err(early()) } else { Ok(received) };
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// The last event of this name that the child printed.
fn last_event(child: &mut Child, name: &str) -> Result<serde_json::Value> {
    let output = child.stdout.take().ok_or_else(|| Error::invalid_input("the child process has no output"))?;
    let events = BufReader::new(output).lines().map_while(std::result::Result::ok);
    let events = events.filter_map(|line| serde_json::from_str::<serde_json::Value>(&line).ok());
    let found = events.filter(|event| event["event"] == name).last();
    found.ok_or_else(|| Error::invalid_input(format!("the child process printed no {name}")))
}

fn summarise(a: &Cloud, b: &Cloud, report: &serde_json::Value, bytes: u64) {
    let number = |name: &str| report[name].as_f64().unwrap_or_default();
    let (read, cpu) = (number("bytes_read"), number("cpu_seconds"));
    let seconds = number("elapsed_seconds").max(1e-3);
    let stats = b.server.stats();
    let cut = ["PutObject", "UploadPart"].map(|name| stats.of(name).requests - stats.of(name).succeeded);
    let again = b.received().saturating_sub(bytes);
    say!();
    say!("  objects         {} ({} of them by the run that was killed)", report["objects"], report["resumed_objects"]);
    say!(
        "  bytes           {} ({} taken over)",
        HumanBytes(bytes),
        HumanBytes(report["resumed_bytes"].as_u64().unwrap_or(0))
    );
    say!("  rate            {:.0} MiB/s in the second run", read / seconds / MIB as f64);
    say!("  processor       {:.2} CPU-s/GiB", cpu / (read / f64::from(1 << 30)).max(1e-6));
    say!("  peak memory     {:.0} MiB", number("peak_rss_bytes") / MIB as f64);
    say!("  sent again      {} in {} requests that the kill cut off", HumanBytes(again), cut.iter().sum::<u64>());
    say!("  sent needlessly {} parts that cloud B had said it holds", stats.sent_though_listed().count());
    let gets = a.server.stats().of("GetObject").requests;
    say!(
        "  requests        {gets} reads of cloud A, {} writes to cloud B",
        stats.of("PutObject").requests + stats.of("UploadPart").requests
    );
}

/// A few hundred MB of varied objects; returns their number and bytes.
async fn fill(store: &MemoryStorage) -> Result<(u64, u64)> {
    let mut objects: Vec<(String, usize)> = vec![
        ("empty".into(), 0),
        ("one byte".into(), 1),
        ("odd//double slash".into(), 300),
        ("odd/../dots".into(), 301),
        ("odd/./dot".into(), 302),
        ("/leading".into(), 303),
        ("trailing/".into(), 0),
        ("odd/percent%2F+plus&amp;<xml>".into(), 304),
        ("odd/\u{1}control".into(), 305),
        ("odd/größe 漢字 🚚".into(), 306),
        ("video/part-boundary.bin".into(), 8 * MIB),
        ("video/one-beyond.bin".into(), 8 * MIB + 1),
    ];
    objects.extend((0..6).map(|i| (format!("video/{i}.mp4"), (9 + 3 * i) * MIB + 12_345 * i)));
    objects.extend((0..1500).map(|i| (format!("photos/{:02}/{i:04}.jpg", i % 37), (i * 7919) % (48 * KIB))));
    let (noise, mut total) = (noise(), 0);
    for (seed, (key, len)) in objects.iter().enumerate() {
        let mut attributes = Attributes::default();
        attributes.content_type =
            Some(if key.ends_with("jpg") { "image/jpeg" } else { "application/octet-stream" }.into());
        attributes.user_metadata = BTreeMap::from([("origin".into(), format!("cloud-a/{seed}"))]);
        if seed % 100 == 0 {
            attributes.tags = BTreeMap::from([("team".into(), "migration".into())]);
        }
        let body = Body::from(data(&noise, seed as u64, *len));
        store.put(&ObjectKey::try_from(key.as_str())?, body, PutOptions::new().attributes(attributes)).await?;
        total += *len as u64;
    }
    Ok((objects.len() as u64, total))
}

/// Incompressible bytes.
fn noise() -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(64 * KIB / 8).flatten().collect()
}

/// The same noise repeated, each time after another number, so that no two objects and no two
/// parts are equal. Copying it is fast even without optimisation.
fn data(noise: &[u8], object: u64, len: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(len + noise.len() + 8);
    for piece in 0_u64.. {
        if bytes.len() >= len {
            break;
        }
        bytes.extend_from_slice(&(object << 32 | piece).to_le_bytes());
        bytes.extend_from_slice(noise);
    }
    bytes.truncate(len);
    bytes
}

fn style() -> ProgressStyle {
    let style = ProgressStyle::with_template("{bar:40} {bytes} of {total_bytes}, {binary_bytes_per_sec}");
    style.unwrap_or_else(|_| ProgressStyle::default_bar())
}
