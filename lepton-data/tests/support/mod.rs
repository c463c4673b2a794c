//! What the tests of the engine share.

#![allow(dead_code, unreachable_pub, reason = "each test file uses its share")]

pub mod faulty;
pub mod histories;
pub mod simulated;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Body, KeyPrefix, MemoryStorage, ObjectKey, ObjectMeta, PutOptions, SharedStorage, Storage as _, StorageExt as _,
    SystemRuntime,
};
use lepton_data::{Transfer, TransferBuilder};

pub const MIB: usize = 1 << 20;

pub fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

/// Bytes that differ from seed to seed and do not repeat within a part.
pub fn bytes(seed: u64, len: usize) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = (0..len.div_ceil(8)).flat_map(|_| next()).collect();
    bytes.truncate(len);
    bytes.into()
}

/// Lets time pass.
pub async fn pause(milliseconds: u64) {
    SystemRuntime::shared().sleep(Duration::from_millis(milliseconds)).await;
}

pub fn stores() -> (MemoryStorage, MemoryStorage) {
    (MemoryStorage::new(), MemoryStorage::new())
}

pub fn shared(store: &MemoryStorage) -> SharedStorage {
    Arc::new(store.clone())
}

pub async fn fill(store: &MemoryStorage, objects: &[(&str, usize)]) {
    for (seed, (name, len)) in objects.iter().enumerate() {
        store.write(&key(name), bytes(seed as u64 + 1, *len)).await.unwrap();
    }
}

pub async fn put(store: &MemoryStorage, name: &str, bytes: Bytes, options: PutOptions) {
    store.put(&key(name), Body::from(bytes), options).await.unwrap();
}

pub async fn list(store: &MemoryStorage) -> Vec<ObjectMeta> {
    store.objects(KeyPrefix::default()).try_collect().await.unwrap()
}

/// A transfer with parts of 1 MiB, whose bytes pass through the engine.
pub fn transfer(from: SharedStorage, to: SharedStorage) -> TransferBuilder {
    Transfer::builder().from(from).to(to).part_size(MIB as u64).server_copy(false)
}

/// Asserts that both stores hold the same keys and bytes.
pub async fn assert_same(from: &MemoryStorage, to: &MemoryStorage) {
    let (left, right) = (list(from).await, list(to).await);
    let names = |metas: &[ObjectMeta]| metas.iter().map(|meta| (meta.key.clone(), meta.size)).collect::<Vec<_>>();
    assert_eq!(names(&left), names(&right));
    for meta in left {
        let (a, b) = (from.read(&meta.key, u64::MAX).await.unwrap(), to.read(&meta.key, u64::MAX).await.unwrap());
        assert!(a == b, "{} differs", meta.key);
    }
}
