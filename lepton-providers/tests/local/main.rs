//! What the local backend promises.
#![cfg(feature = "local")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::cast_possible_truncation, reason = "test")]

mod conformance;
mod containment;
mod copies;
mod faults;
mod kill;
mod listing;
mod mounted;
mod multipart;
mod objects;

use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{Error, GetReply, KeyPrefix, ObjectKey, Storage, StorageExt as _};
use lepton_providers::local::{LocalBuilder, LocalStorage};

fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

fn builder(root: &Path) -> LocalBuilder {
    LocalStorage::builder(root)
}

async fn open(root: &Path) -> LocalStorage {
    builder(root).open().await.unwrap()
}

/// Bytes that differ at every place and from seed to seed.
fn bytes(len: usize, seed: u8) -> Bytes {
    (0..len).map(|i| (i ^ (i >> 8) ^ (i >> 16)) as u8 ^ seed).collect::<Vec<u8>>().into()
}

async fn collect(reply: GetReply) -> Result<Vec<u8>, Error> {
    Ok(reply.body.try_collect::<Vec<_>>().await?.concat())
}

async fn keys(store: &dyn Storage) -> Vec<String> {
    let metas: Vec<_> = store.objects(KeyPrefix::default()).try_collect().await.unwrap();
    metas.iter().map(|meta| meta.key.to_string()).collect()
}

/// Every name below a folder, also those of files in progress.
fn on_disk(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            found.push(entry.path().strip_prefix(root).unwrap().to_string_lossy().into_owned());
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    found.sort();
    found
}
