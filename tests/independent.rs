//! Others confirm what Lepton wrote: boto3 reads every object back, and
//! botocore's `calculate_tree_hash` gives the digests of the manifest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lepton::providers::s3::S3Storage;
use lepton::{MemoryStorage, ObjectKey, SharedStorage, Status, StorageExt as _, Transfer};
use support::places::{config, given, servers, unused_bucket};
use support::*;

/// Writes the objects as files, so that the reader needs nothing of Lepton; a
/// file is named by the hexadecimal digits of its key.
async fn expected(store: &MemoryStorage, folder: &Path) {
    for (meta, bytes) in contents(store).await {
        std::fs::write(folder.join(hex(&meta.key)), bytes).unwrap();
    }
}

fn hex(key: &ObjectKey) -> String {
    key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read(python: &str, endpoint: &str, bucket: &str, expected: &Path, manifest: &Path) -> (bool, String) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/independent.py");
    let mut command = Command::new(python);
    command.arg(script).args([endpoint, bucket]).arg(expected).arg(manifest);
    command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
    let output = command.env("AWS_DEFAULT_REGION", "us-east-1").env("NO_PROXY", "*").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_reads_what_was_written_and_botocore_computes_the_same_digests() {
    // moto is a Python program that stands on boto3.
    let Some(python) = given("LEPTON_TEST_MOTO_PROGRAM") else { return };
    let cloud = Cloud::start(None).await;
    let mut places = vec![("front", BUCKET.to_owned(), cloud.server.endpoint(), cloud.config())];
    for (name, preset, endpoint) in servers() {
        let bucket = unused_bucket();
        let config = config(&bucket, &endpoint, preset);
        S3Storage::new(config.clone()).unwrap().create_bucket().await.unwrap();
        places.push((name, bucket, endpoint, config));
    }
    let source = MemoryStorage::new();
    fill_mixed(&source, 11, 30, 3).await;
    for (name, len) in [("one byte", 1), ("a leaf", MIB), ("a leaf and a byte", MIB + 1), ("größe/漢字+%20", 3 * MIB)]
    {
        source.write(&key(name), bytes(12, len)).await.unwrap();
    }
    for (name, bucket, endpoint, config) in places {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("expected");
        std::fs::create_dir(&files).unwrap();
        expected(&source, &files).await;
        let to: SharedStorage = Arc::new(S3Storage::new(config).unwrap());
        let from: SharedStorage = Arc::new(source.clone());
        let built = Transfer::builder().from(from).to(to.clone()).journal(folder.path().join("journal"));
        let report = built.build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.objects), (Status::Complete, 38), "{name}: {:?}", report.failures);
        let manifest = report.manifest.unwrap();
        let (good, said) = read(&python, &endpoint, &bucket, &files, &manifest);
        assert!(good && said.contains("38 objects"), "{name}: {said}");

        // The reader is not blind: a byte that differs, and an object too many.
        std::fs::write(files.join(hex(&key("one byte"))), "!").unwrap();
        let (good, said) = read(&python, &endpoint, &bucket, &files, &manifest);
        assert!(!good && said.contains("one byte"), "{name}: {said}");
        expected(&source, &files).await;
        to.write(&key("stranger"), "x".into()).await.unwrap();
        let (good, said) = read(&python, &endpoint, &bucket, &files, &manifest);
        assert!(!good && said.contains("stranger"), "{name}: {said}");
    }
}
