//! rclone finds what Lepton wrote, with the time of each file, and vice versa.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use lepton::providers::local::LocalStorage;
use lepton::{SharedStorage, Status, Transfer};
use support::places::{Place, azurite, given, servers};
use support::*;

/// The name, length and time of each file, and the time as rclone prints it.
const FILES: [(&str, usize, Duration, &str); 3] = [
    ("empty", 0, Duration::new(1_700_000_000, 123_456_789), "2023-11-14T22:13:20.123456789Z"),
    ("folder/small", 5, Duration::new(1, 500_000_000), "1970-01-01T00:00:01.500000000Z"),
    ("folder/two words", 3 * MIB, Duration::new(1_795_313_949, 0), "2026-11-22T02:19:09.000000000Z"),
];

/// rclone, configured for one store.
struct Rclone {
    program: PathBuf,
    settings: Vec<(&'static str, String)>,
    bucket: String,
}

impl Rclone {
    /// Returns `None` for a store that is not configured here.
    fn at(program: &Path, place: &Place) -> Option<Self> {
        let own = |name: &'static str, value: &str| (name, value.to_owned());
        let settings = match place.kind {
            "azurite" => vec![
                own("TYPE", "azureblob"),
                own("ACCOUNT", azurite::ACCOUNT),
                own("KEY", azurite::KEY),
                ("ENDPOINT", azurite::endpoint()?),
            ],
            "fake-gcs" => vec![
                own("TYPE", "google cloud storage"),
                own("ANONYMOUS", "true"),
                ("ENDPOINT", format!("{}/storage/v1/", given("LEPTON_TEST_FAKE_GCS")?)),
            ],
            kind => vec![
                own("TYPE", "s3"),
                own("PROVIDER", "Other"),
                own("ACCESS_KEY_ID", ACCESS_KEY),
                own("SECRET_ACCESS_KEY", SECRET_KEY),
                own("REGION", "us-east-1"),
                ("ENDPOINT", servers().into_iter().find(|(name, ..)| *name == kind)?.2),
            ],
        };
        let url = place.storage.url().split_once("://").unwrap().1;
        let bucket = url.split(['?', '/']).next().unwrap().to_owned();
        Some(Self { program: program.to_owned(), settings, bucket })
    }

    /// Runs rclone; `…` is replaced by the bucket.
    fn run(&self, arguments: &[&str]) -> String {
        let bucket = format!("store:{}", self.bucket);
        let arguments = arguments.iter().map(|word| if *word == "…" { &bucket } else { *word });
        let mut command = Command::new(&self.program);
        command.args(arguments).args(["--s3-no-check-bucket", "--retries", "1"]);
        command.env("RCLONE_CONFIG", "").env("TZ", "UTC").env("NO_PROXY", "*");
        for (name, value) in &self.settings {
            command.env(format!("RCLONE_CONFIG_STORE_{name}"), value);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn write_files(folder: &Path) {
    for (seed, (name, len, time, _)) in (0..).zip(FILES) {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes(seed, len)).unwrap();
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH + time).unwrap();
    }
}

async fn moved(from: SharedStorage, to: SharedStorage, journal: &Path) {
    let transfer = Transfer::builder().from(from).to(to).journal(journal).build().unwrap();
    let report = transfer.run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 3), "{:?}", report.failures);
}

async fn disk(folder: &Path) -> SharedStorage {
    std::fs::create_dir_all(folder).unwrap();
    Arc::new(LocalStorage::builder(folder).open().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_keep_their_times_between_the_two() {
    // rclone is installed in the same environment as moto.
    let Some(python) = given("LEPTON_TEST_MOTO_PROGRAM") else { return };
    let program = Path::new(&python).with_file_name("rclone");
    for kind in ["minio", "versitygw", "azurite", "fake-gcs"] {
        if !support::places::kinds().contains(&kind) {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let inside = |name: &str| folder.path().join(name);
        let files = inside("files");
        write_files(&files);

        let ours = Place::fresh(kind).await;
        let Some(rclone) = Rclone::at(&program, &ours) else { panic!("{kind}") };
        moved(disk(&files).await, ours.storage.clone(), &inside("up")).await;
        rclone.run(&["check", files.to_str().unwrap(), "…", "--download"]);
        let listed: Vec<serde_json::Value> = serde_json::from_str(&rclone.run(&["lsjson", "-R", "…"])).unwrap();
        for (name, len, _, time) in FILES {
            let found = listed.iter().find(|file| file["Path"] == name).unwrap_or_else(|| panic!("{kind}: {name}"));
            assert_eq!((found["Size"].as_u64(), found["ModTime"].as_str()), (Some(len as u64), Some(time)), "{kind}");
        }
        ours.clear().await;

        let theirs = Place::fresh(kind).await;
        Rclone::at(&program, &theirs).unwrap().run(&["copy", files.to_str().unwrap(), "…"]);
        moved(theirs.storage.clone(), disk(&inside("back")).await, &inside("down")).await;
        for (seed, (name, len, time, _)) in (0..).zip(FILES) {
            let path = inside("back").join(name);
            assert!(std::fs::read(&path).unwrap() == bytes(seed, len), "{kind}: {name}");
            let found = path.metadata().unwrap().modified().unwrap();
            assert_eq!(found.duration_since(UNIX_EPOCH).unwrap(), time, "{kind}: {name}");
        }
        theirs.clear().await;
    }
}
