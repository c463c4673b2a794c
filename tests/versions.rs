//! Buckets with versioning, without it, and with versioning enabled later.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton::core::{GetOptions, ListRequest, ObjectVersion};
use lepton::data::ManifestReader;
use lepton::providers::s3::S3Storage;
use lepton::{
    KeyPrefix, Location, MemoryStorage, ObjectKey, SharedStorage, Status, Storage as _, StorageExt as _, Transfer,
    VerifyDepth, verify,
};
use support::places::{config, servers, unused_bucket};
use support::*;

/// When versioning of a bucket is enabled.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Versions {
    Never,
    Always,
    /// After its objects were written for the first time.
    Later,
}

async fn mirrored(server: &str, bucket: &Arc<S3Storage>, delete_versions: bool) {
    let (from, to): (SharedStorage, SharedStorage) = (Arc::new(MemoryStorage::new()), bucket.clone());
    from.write(&key("kept"), bytes(1, 10)).await.unwrap();
    let transfer = Transfer::builder().from(from).to(to).delete(true).max_delete_percent(100);
    let report = transfer.delete_versions(delete_versions).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.deleted), (Status::Complete, 2), "{server}: {:?}", report.failures);
}

/// The number of versions of the objects to be deleted, including delete markers.
async fn left(bucket: &S3Storage) -> usize {
    let pages = bucket.versions().unwrap().list_versions(ListRequest::new());
    let all = pages.try_collect::<Vec<_>>().await.unwrap().concat();
    all.iter().filter(|version| version.meta.key != key("kept")).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_and_with_its_versions_if_asked_for() {
    for (server, preset, endpoint) in servers() {
        for versions in [Versions::Never, Versions::Always, Versions::Later] {
            for delete_versions in [false, true] {
                let what = format!("{server}: {versions:?}, delete_versions {delete_versions}");
                let bucket = Arc::new(S3Storage::new(config(&unused_bucket(), &endpoint, preset)).unwrap());
                bucket.create_bucket().await.unwrap();
                if versions == Versions::Always {
                    bucket.enable_versioning().await.unwrap();
                }
                for name in ["gone", "gone too"] {
                    bucket.write(&key(name), bytes(2, 10)).await.unwrap();
                }
                if versions == Versions::Later {
                    bucket.enable_versioning().await.unwrap();
                }
                bucket.write(&key("gone"), bytes(3, 20)).await.unwrap();
                mirrored(&what, &bucket, delete_versions).await;
                let names: Vec<_> = contents(bucket.as_ref()).await.into_iter().map(|(meta, _)| meta.key).collect();
                assert_eq!(names, [key("kept")], "{what}");
                let kept = if delete_versions || versions == Versions::Never { 0 } else { 5 };
                assert_eq!(left(&bucket).await, kept, "{what}");
            }
        }
    }
}

/// An empty place of this kind, with versions once `begin` has been called.
async fn keeping(kind: &str) -> (SharedStorage, Option<Arc<S3Storage>>) {
    if kind == "memory" {
        return (Arc::new(MemoryStorage::builder().versioned(true).build()), None);
    }
    let (_, preset, endpoint) = servers().into_iter().find(|(server, ..)| *server == kind).unwrap();
    let bucket = Arc::new(S3Storage::new(config(&unused_bucket(), &endpoint, preset)).unwrap());
    bucket.create_bucket().await.unwrap();
    (bucket.clone(), Some(bucket))
}

/// Stands for a delete marker instead of a size.
const GONE: usize = usize::MAX;

/// Histories of every kind: sizes, oldest first. Equal sizes have equal bytes.
const HISTORIES: [(&str, &[usize]); 9] = [
    ("a", &[10, 20, 30]),
    ("a.b", &[5, GONE]),
    ("back", &[10, GONE, 20]),
    ("empty", &[0, 10, 0, 0, GONE, 0]),
    ("equal", &[10, 10, GONE, 10, 10]),
    ("gone", &[10, GONE]),
    ("large", &[9 << 20, 9 << 20, 10]),
    ("odd/ü %41+&<>\"'=?#/~", &[10, 20, GONE, 30]),
    ("twice gone", &[10, GONE, GONE, 20]),
];

async fn write(store: &SharedStorage, name: &str, sizes: &[usize]) {
    for size in sizes {
        match size {
            &GONE => store.remove(&key(name)).await.unwrap(),
            size => drop(store.write(&key(name), bytes(*size as u64, *size)).await.unwrap()),
        }
    }
}

/// The versions of each key in a store, oldest first, each read by its version id.
async fn histories(store: &SharedStorage) -> Vec<(String, Vec<Option<Bytes>>)> {
    let pages = store.versions().unwrap().list_versions(ListRequest::new());
    let all = pages.try_collect::<Vec<_>>().await.unwrap().concat();
    let names: BTreeSet<_> = all.into_iter().map(|version| version.meta.key).collect();
    let mut histories = Vec::new();
    for name in names {
        let mut history = Vec::new();
        for version in newest_first(store, &name).await.into_iter().rev() {
            let options = GetOptions::new().version(version.meta.version);
            history.push(match version.is_delete_marker {
                true => None,
                false => {
                    let body = store.get(&name, options).await.unwrap().body;
                    Some(body.try_collect::<Vec<_>>().await.unwrap().concat().into())
                }
            });
        }
        histories.push((name.as_str().unwrap().to_owned(), history));
    }
    histories
}

/// versitygw and moto list delete markers separately from the other versions of a page, and
/// versitygw repeats a page of one entry forever. A first page of n entries holds the n newest
/// ones.
async fn newest_first(store: &SharedStorage, name: &ObjectKey) -> Vec<ObjectVersion> {
    let mut versions: Vec<ObjectVersion> = Vec::new();
    loop {
        let request = ListRequest::new().prefix(KeyPrefix::new(name.as_bytes().to_vec()));
        let mut pages = store.versions().unwrap().list_versions(request.page_size(versions.len() + 1));
        let page = pages.try_next().await.unwrap().unwrap_or_default();
        let known = |one: &ObjectVersion| versions.iter().any(|known| known.meta.version == one.meta.version);
        let next = page.into_iter().filter(|one| one.meta.key == *name).find(|one| !known(one));
        let Some(next) = next else { return versions };
        versions.push(next);
    }
}

fn sizes(histories: &[(String, Vec<Option<Bytes>>)]) -> Vec<(&str, Vec<usize>)> {
    let sizes = |versions: &[Option<Bytes>]| versions.iter().map(|one| one.as_ref().map_or(GONE, Bytes::len)).collect();
    histories.iter().map(|(name, versions)| (name.as_str(), sizes(versions))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn histories_go_between_all_that_keep_versions() {
    let kinds: Vec<&str> = ["memory"].into_iter().chain(servers().into_iter().map(|(server, ..)| server)).collect();
    for from in &kinds {
        let (source, bucket) = keeping(from).await;
        // Objects written before versioning was enabled count as versions too.
        if let Some(bucket) = &bucket {
            write(&source, "back", &[7]).await;
            write(&source, "once", &[8]).await;
            bucket.enable_versioning().await.unwrap();
        }
        for (name, sizes) in HISTORIES {
            write(&source, name, sizes).await;
        }
        let ours = histories(&source).await;
        let mut expected: Vec<_> = HISTORIES.map(|(name, sizes)| (name, sizes.to_vec())).into();
        if bucket.is_some() {
            expected[2].1.insert(0, 7);
            expected.push(("once", vec![8]));
            expected.sort();
        }
        assert_eq!(sizes(&ours), expected, "{from}");
        for to in &kinds {
            let what = format!("{from} → {to}");
            moved(&what, &source, &ours, to).await;
        }
    }
}

async fn moved(what: &str, source: &SharedStorage, ours: &[(String, Vec<Option<Bytes>>)], to: &str) {
    let (target, bucket) = keeping(to).await;
    let folder = tempfile::tempdir().unwrap();
    let build = || {
        let transfer = Transfer::builder().from(source.clone()).to(target.clone()).versions(true);
        transfer.journal(folder.path()).build().unwrap()
    };
    if let Some(bucket) = bucket {
        let error = build().run().await.unwrap_err();
        assert!(error.to_string().contains("enable versioning there"), "{what}: {error}");
        bucket.enable_versioning().await.unwrap();
    }
    let versions: usize = ours.iter().map(|(_, versions)| versions.len()).sum();
    for again in [false, true] {
        let report = build().run().await.unwrap();
        assert_eq!(report.status, Status::Complete, "{what}: {:?}", report.failures);
        let (moved, there) = if again { (0, versions) } else { (versions, 0) };
        assert_eq!((report.objects, report.unchanged), (moved as u64, there as u64), "{what}");
        let theirs = histories(&target).await;
        assert_eq!(sizes(&theirs), sizes(ours), "{what}");
        assert!(theirs == *ours, "{what}: other bytes");
        let manifest = report.manifest.unwrap();
        let lines = ManifestReader::open(&manifest).unwrap().map(Result::unwrap);
        assert_eq!(lines.filter(|line| line.version.is_some()).count(), versions, "{what}");
        for depth in [VerifyDepth::Full, VerifyDepth::Quick] {
            let found = verify(&manifest, &Location::from(target.clone()), depth).await.unwrap();
            assert!(found.is_proven(), "{what}: {:?}", found.problems);
        }
    }
}
