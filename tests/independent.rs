//! Independent programs confirm what Lepton wrote: boto3, azure-storage-blob and
//! google-cloud-storage read every object back, and botocore's `calculate_tree_hash` computes
//! the digests of the manifest.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lepton::providers::s3::S3Storage;
use lepton::{MemoryStorage, ObjectKey, SharedStorage, Status, StorageExt as _, Transfer};
use support::places::{Place, azurite, config, given, servers, unused_bucket};
use support::*;

/// Writes the objects as files, so that the reader does not depend on Lepton; a file is named
/// by the hexadecimal digits of its key.
async fn expected(store: &MemoryStorage, folder: &Path) {
    for (meta, bytes) in contents(store).await {
        std::fs::write(folder.join(hex(&meta.key)), bytes).unwrap();
    }
}

fn hex(key: &ObjectKey) -> String {
    key.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A store, and the facts that another reader needs.
struct Written {
    name: &'static str,
    /// The cloud whose library reads it.
    cloud: &'static str,
    endpoint: String,
    storage: SharedStorage,
}

impl Written {
    /// The bucket or container, as in `az://photos?account=…`.
    fn bucket(&self) -> &str {
        let place = self.storage.url().split_once("://").unwrap().1;
        place.split(['?', '/']).next().unwrap()
    }

    fn read(&self, python: &str, expected: &Path, manifest: &Path) -> (bool, String) {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/independent.py");
        let mut command = Command::new(python);
        command.arg(script).args([self.cloud, &self.endpoint, self.bucket()]).arg(expected).arg(manifest);
        command.env("AWS_ACCESS_KEY_ID", ACCESS_KEY).env("AWS_SECRET_ACCESS_KEY", SECRET_KEY);
        command.env("AZURE_STORAGE_ACCOUNT", azurite::ACCOUNT).env("AZURE_STORAGE_KEY", azurite::KEY);
        let output = command.env("AWS_DEFAULT_REGION", "us-east-1").env("NO_PROXY", "*").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }
}

async fn all(front: &Cloud) -> Vec<Written> {
    let s3 = |name, endpoint, config| {
        let storage: SharedStorage = Arc::new(S3Storage::new(config).unwrap());
        Written { name, cloud: "s3", endpoint, storage }
    };
    let mut all = vec![s3("front", front.server.endpoint(), front.config())];
    for (name, preset, endpoint) in servers() {
        let config = config(&unused_bucket(), &endpoint, preset);
        S3Storage::new(config.clone()).unwrap().create_bucket().await.unwrap();
        all.push(s3(name, endpoint, config));
    }
    let emulators = [("azurite", "azure", azurite::endpoint()), ("fake-gcs", "google", given("LEPTON_TEST_FAKE_GCS"))];
    for (name, cloud, endpoint) in emulators {
        if let Some(endpoint) = endpoint {
            all.push(Written { name, cloud, endpoint, storage: Place::fresh(name).await.storage });
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn the_library_of_each_cloud_reads_what_was_written_and_botocore_computes_the_same_digests() {
    // moto's Python environment contains boto3.
    let Some(python) = given("LEPTON_TEST_MOTO_PROGRAM") else { return };
    let front = Cloud::start(None).await;
    let source = MemoryStorage::new();
    fill_mixed(&source, 11, 30, 3).await;
    for (name, len) in [("one byte", 1), ("a leaf", MIB), ("a leaf and a byte", MIB + 1), ("größe/漢字+%20", 3 * MIB)]
    {
        source.write(&key(name), bytes(12, len)).await.unwrap();
    }
    for written in all(&front).await {
        let (name, to) = (written.name, written.storage.clone());
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("expected");
        std::fs::create_dir(&files).unwrap();
        expected(&source, &files).await;
        let from: SharedStorage = Arc::new(source.clone());
        let built = Transfer::builder().from(from).to(to.clone()).journal(folder.path().join("journal"));
        let report = built.build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.objects), (Status::Complete, 38), "{name}: {:?}", report.failures);
        let manifest = report.manifest.unwrap();
        let (good, said) = written.read(&python, &files, &manifest);
        assert!(good && said.contains("38 objects"), "{name}: {said}");

        // The reader detects errors: a byte that differs, and an extraneous object.
        std::fs::write(files.join(hex(&key("one byte"))), "!").unwrap();
        let (good, said) = written.read(&python, &files, &manifest);
        assert!(!good && said.contains("one byte"), "{name}: {said}");
        expected(&source, &files).await;
        to.write(&key("stranger"), "x".into()).await.unwrap();
        let (good, said) = written.read(&python, &files, &manifest);
        assert!(!good && said.contains("stranger"), "{name}: {said}");
    }
}
