//! Buckets that keep versions, that never did, and that do since a while.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::sync::Arc;

use futures_util::TryStreamExt as _;
use lepton::core::ListRequest;
use lepton::providers::s3::S3Storage;
use lepton::{MemoryStorage, SharedStorage, Status, Storage as _, StorageExt as _, Transfer};
use support::places::{config, servers, unused_bucket};
use support::*;

/// When a bucket begins to keep versions.
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

/// How many versions there are of what is to be deleted, delete markers included.
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
