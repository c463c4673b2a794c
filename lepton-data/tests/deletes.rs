//! Deletes that fail in passing, or of which nobody knows whether they took place.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Capabilities, ErrorKind, ListRequest, MemoryStorage, ObjectKey, PutOptions, RetryClass, Storage as _,
    StorageExt as _, Support,
};
use lepton_data::{Report, Status};
use support::faulty::{Fault, Faulty};
use support::*;

const ATTEMPTS: NonZeroU32 = NonZeroU32::new(4).unwrap();

/// A destination of three objects of which the source has one, with conditional
/// deletes and without.
async fn destinations() -> Vec<(MemoryStorage, MemoryStorage)> {
    let mut both = Vec::new();
    for conditional in [Support::Native, Support::Unsupported] {
        let mut capabilities = Capabilities::everything("store");
        capabilities.conditional_delete = conditional;
        let (from, to) = (MemoryStorage::new(), MemoryStorage::builder().capabilities(capabilities).build());
        fill(&from, &[("a", 10)]).await;
        fill(&to, &[("x", 1), ("y", 2)]).await;
        both.push((from, to));
    }
    both
}

async fn mirrored(
    from: &MemoryStorage,
    to: &MemoryStorage,
    script: impl FnMut(&str, &ObjectKey) -> Option<Fault> + Send + 'static,
) -> Report {
    let to = Arc::new(Faulty::new(to, script));
    transfer(shared(from), to)
        .delete(true)
        .max_delete_percent(100)
        .attempts(ATTEMPTS)
        .build()
        .unwrap()
        .run()
        .await
        .unwrap()
}

/// The fault that befalls the delete of this key, by how often it was tried.
fn deletes(faults: &[Fault]) -> impl FnMut(&str, &ObjectKey) -> Option<Fault> + Send + 'static {
    let (faults, mut tried) = (faults.to_vec(), BTreeMap::new());
    move |call, key| {
        let tries = tried.entry(key.clone()).or_insert(0usize);
        *tries += usize::from(call == "delete");
        if call == "delete" { faults.get(*tries - 1).cloned() } else { None }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_fails_in_passing_is_tried_again_and_counted_once() {
    let throttled = Fault::Fail(ErrorKind::Throttled, RetryClass::Now);
    for faults in [
        vec![throttled.clone()],
        vec![Fault::LoseReply],
        vec![throttled.clone(), Fault::LoseReply],
        vec![throttled.clone(), throttled, Fault::LoseReply],
    ] {
        for (from, to) in destinations().await {
            let report = mirrored(&from, &to, deletes(&faults)).await;
            assert_eq!((report.status, report.deleted), (Status::Complete, 2), "{faults:?}: {report:?}");
            assert!(report.retries > 0, "{faults:?}");
            assert_same(&from, &to).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_works_is_reported() {
    for (from, to) in destinations().await {
        let script = |call: &str, key: &ObjectKey| {
            let fails = call == "delete" && key.as_bytes() == b"x";
            fails.then_some(Fault::Fail(ErrorKind::Throttled, RetryClass::Now))
        };
        let report = mirrored(&from, &to, script).await;
        assert_eq!((report.status, report.deleted), (Status::Incomplete, 1));
        assert_eq!((report.failures[0].key.to_string(), &*report.failures[0].kind), ("x".into(), "throttled"));
        assert_eq!(list(&to).await.len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_writes_after_a_lost_reply_is_left() {
    for (from, to) in destinations().await {
        let mut deleted = false;
        let script = move |call: &str, key: &ObjectKey| match (call, key.as_bytes()) {
            ("delete", b"x") if !deleted => {
                deleted = true;
                Some(Fault::LoseReply)
            }
            // The next that the engine does with it, however it asks.
            ("delete" | "head", b"x") if deleted => Some(Fault::Meddle(|store| {
                put(store, "x", bytes(9, 50), PutOptions::new()).now_or_never().unwrap();
            })),
            _ => None,
        };
        let report = mirrored(&from, &to, script).await;
        assert_eq!((report.status, report.failures.len()), (Status::Incomplete, 1), "{report:?}");
        assert_eq!(&*report.failures[0].kind, ErrorKind::PreconditionFailed.code());
        assert_eq!(to.read(&key("x"), 100).await.unwrap(), bytes(9, 50));
    }
}

/// The versions of a store: the key, and whether it is a delete marker.
async fn versions(store: &MemoryStorage) -> Vec<(String, bool)> {
    let pages = store.versions().unwrap().list_versions(ListRequest::new());
    let all: Vec<_> = pages.try_collect::<Vec<_>>().await.unwrap().into_iter().flatten().collect();
    all.into_iter().map(|version| (version.meta.key.to_string(), version.is_delete_marker)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn old_versions_stay_unless_told_otherwise() {
    for (delete_versions, left) in [
        (false, vec![("a", false), ("x", true), ("x", false), ("x", false), ("xx", true), ("xx", false)]),
        (true, vec![("a", false)]),
    ] {
        let left: Vec<_> = left.into_iter().map(|(key, marker)| (key.to_owned(), marker)).collect();
        for planned in [false, true] {
            let (from, to) = (MemoryStorage::new(), MemoryStorage::builder().versioned(true).build());
            fill(&from, &[("a", 10)]).await;
            fill(&to, &[("x", 1), ("x", 2), ("xx", 3)]).await;
            let transfer = || transfer(shared(&from), shared(&to)).max_delete_percent(100);
            let folder = tempfile::tempdir().unwrap();
            let plan = folder.path().join("plan");
            let mirror = if planned {
                transfer().delete(true).build().unwrap().save_plan(&plan).await.unwrap();
                transfer().saved_plan(&plan)
            } else {
                transfer().delete(true)
            };
            let report = mirror.delete_versions(delete_versions).build().unwrap().run().await.unwrap();
            assert_eq!((report.status, report.deleted), (Status::Complete, 2));
            assert_eq!(versions(&to).await, left, "by a plan: {planned}");
        }
    }
}
