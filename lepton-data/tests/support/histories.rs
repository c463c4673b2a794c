//! Stores that keep versions, and what they have of each key.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{GetOptions, ListRequest, MemoryStorage, ObjectVersion, Storage as _, Versions as _};

/// What a version is: its bytes, or `None` for a delete marker.
pub type What = Option<Bytes>;

pub fn versioned() -> MemoryStorage {
    MemoryStorage::builder().versioned(true).build()
}

pub async fn listed(store: &MemoryStorage) -> Vec<ObjectVersion> {
    let mut all = store.list_versions(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap().concat();
    all.reverse();
    all
}

/// Every key with its versions, the oldest first, each read by its name.
pub async fn histories(store: &MemoryStorage) -> Vec<(String, Vec<What>)> {
    let mut histories: Vec<(String, Vec<What>)> = Vec::new();
    for version in listed(store).await {
        let what = match version.is_delete_marker {
            true => None,
            false => {
                let options = GetOptions::new().version(version.meta.version.clone());
                let body = store.get(&version.meta.key, options).await.unwrap().body;
                Some(body.try_collect::<Vec<_>>().await.unwrap().concat().into())
            }
        };
        match histories.last_mut().filter(|(name, _)| *name == version.meta.key.to_string()) {
            Some((_, versions)) => versions.push(what),
            None => histories.push((version.meta.key.to_string(), vec![what])),
        }
    }
    histories
}

pub async fn assert_histories(from: &MemoryStorage, to: &MemoryStorage, what: &str) {
    let (ours, theirs) = (histories(from).await, histories(to).await);
    let shape = |histories: &[(String, Vec<What>)]| -> Vec<(String, Vec<usize>)> {
        let sizes = |versions: &[What]| versions.iter().map(|one| one.as_ref().map_or(0, Bytes::len)).collect();
        histories.iter().map(|(name, versions)| (name.clone(), sizes(versions))).collect()
    };
    assert_eq!(shape(&ours), shape(&theirs), "{what}");
    assert!(ours == theirs, "{what}: other bytes");
}
