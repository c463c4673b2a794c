//! Code shared by the integration tests: stores of every kind, and test data.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

pub mod changed;
pub mod journals;
pub mod life;
pub mod limited;
pub mod places;
pub mod program;
pub mod proxied;
pub mod random;
pub mod search;
pub mod session;
pub mod tls;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton::core::{GetOptions, KeyPrefix, ListRequest};
use lepton::providers::s3::{Preset, S3Config};
use lepton::{MemoryStorage, ObjectKey, ObjectMeta, Storage, StorageExt as _};
use lepton_s3_front::{Hooks, S3Front, Server};
pub use random::Random;

pub const KIB: usize = 1 << 10;
pub const MIB: usize = 1 << 20;
pub const ACCESS_KEY: &str = "lepton-test-key";
pub const SECRET_KEY: &str = "lepton-test-secret";

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

/// Pseudo-random bytes: the same for the same seed.
pub fn bytes(seed: u64, len: usize) -> Bytes {
    let mut random = Random::new(seed);
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| random.next().to_le_bytes()).collect();
    bytes.truncate(len);
    bytes.into()
}

/// An S3 server in this process on top of an in-memory store.
pub struct Cloud {
    pub storage: MemoryStorage,
    pub server: Server,
    front: S3Front,
}

pub const BUCKET: &str = "bucket";

impl Cloud {
    pub async fn start(hooks: Option<Arc<dyn Hooks>>) -> Self {
        let storage = MemoryStorage::new();
        let mut front =
            S3Front::builder().bucket(BUCKET, Arc::new(storage.clone())).credentials(ACCESS_KEY, SECRET_KEY);
        if let Some(hooks) = hooks {
            front = front.hooks(hooks);
        }
        let front = front.build().unwrap();
        let server = front.serve("127.0.0.1:0").await.unwrap();
        Self { storage, server, front }
    }

    /// As if its process were killed, and another started after a while at the same address
    /// with the same objects.
    pub async fn kill_and_restart(self, after: Duration) -> Self {
        let address = self.server.address().to_string();
        self.server.kill().await;
        tokio::time::sleep(after).await;
        let server = self.front.serve(&address).await.unwrap();
        Self { server, ..self }
    }

    pub fn config(&self) -> S3Config {
        places::config(BUCKET, &self.server.endpoint(), Preset::Aws)
    }

    pub fn url(&self) -> String {
        format!("s3://{BUCKET}?endpoint={}&region=us-east-1&preset=aws", self.server.endpoint())
    }
}

/// The program with this name in `examples`. `cargo test` without a selection of packages or
/// tests builds it first, into the parent of the tests' folder.
pub fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().parent().unwrap().join(name);
    assert!(
        program.exists(),
        "{} is not built: run `cargo build --all-features --bins`, with --release if the test is run with it",
        program.display()
    );
    program
}

/// Every object of a store, listed and read without using the engine.
pub async fn contents(store: &dyn Storage) -> Vec<(ObjectMeta, Bytes)> {
    let pages: Vec<_> = store.list(ListRequest::new().prefix(KeyPrefix::default())).try_collect().await.unwrap();
    let mut found = Vec::new();
    for meta in pages.into_iter().flat_map(|page| page.objects) {
        let pieces: Vec<Bytes> =
            store.get(&meta.key, GetOptions::new()).await.unwrap().body.try_collect().await.unwrap();
        found.push((meta, pieces.concat().into()));
    }
    found
}

/// Asserts that two stores hold the same keys and bytes.
pub async fn assert_same(left: &dyn Storage, right: &dyn Storage) {
    let (left, right) = (contents(left).await, contents(right).await);
    let names = |all: &[(ObjectMeta, Bytes)]| all.iter().map(|(meta, _)| meta.key.clone()).collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for ((meta, a), (_, b)) in left.iter().zip(&right) {
        assert!(a == b, "{} differs", meta.key);
    }
}

/// Asserts that no upload of this key was left open.
pub async fn assert_no_uploads(store: &dyn Storage, name: &str) {
    let left: Vec<_> = store.multipart().unwrap().list_uploads(&key(name)).try_collect().await.unwrap();
    assert!(left.is_empty(), "uploads of {name} were left over: {left:?}");
}

/// The names of all files below a folder that Lepton created for its own use.
pub fn strangers(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            found.extend(strangers(&entry.path()));
        } else {
            found.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    found.retain(|name| name.contains("lepton"));
    found
}

/// Objects of all sizes, some of several parts.
pub async fn fill_mixed(store: &dyn Storage, seed: u64, small: u64, large: u64) {
    let mut random = Random::new(seed);
    for i in 0..small {
        let len = usize::try_from(random.below(40 * KIB as u64)).unwrap();
        store.write(&key(&format!("small/{:02}/{i:04}", i % 7)), bytes(seed + i, len)).await.unwrap();
    }
    for i in 0..large {
        let len = 9 * MIB + usize::try_from(random.below(20 * MIB as u64)).unwrap();
        store.write(&key(&format!("large/{i}")), bytes(seed + 1000 + i, len)).await.unwrap();
    }
    store.write(&key("empty"), Bytes::new()).await.unwrap();
}
