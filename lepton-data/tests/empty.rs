//! A source that does not exist is a mistake; one that is empty may be meant.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use lepton_core::{ErrorKind, Location, MemoryStorage, StorageExt as _};
use lepton_data::{ExistingPolicy, Filters, Status, Transfer, TransferBuilder};
use support::*;

fn from(store: &MemoryStorage, path: &str) -> TransferBuilder {
    let to = MemoryStorage::new();
    Transfer::builder().from(Location::new(shared(store), path.as_bytes().to_vec())).to(shared(&to))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_does_not_exist_is_no_success() {
    let store = MemoryStorage::new();
    fill(&store, &[("dir/file.txt", 1), ("dir/other", 1)]).await;
    for path in ["dir/nofile.txt", "dri/", "dir/file.txt/"] {
        for mirror in [false, true] {
            let build = || from(&store, path).existing(ExistingPolicy::IfDifferent).delete(mirror);
            let error = build().build().unwrap().run().await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::NotFound, "{path} {mirror}");
            assert!(error.message().contains("allow_empty"), "{error}");
            let report = build().allow_empty(true).build().unwrap().run().await.unwrap();
            assert_eq!((report.status, report.objects), (Status::Complete, 0), "{path} {mirror}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_exists_is_a_success_even_if_nothing_of_it_is_taken() {
    let store = MemoryStorage::new();
    // A whole bucket may be empty.
    assert_eq!(from(&store, "").build().unwrap().run().await.unwrap().status, Status::Complete);
    fill(&store, &[("dir/file.txt", 1)]).await;
    assert_eq!(from(&store, "dir/file.txt").build().unwrap().run().await.unwrap().objects, 1);
    let nothing = from(&store, "dir/").filters(Filters::new().exclude("**"));
    let report = nothing.build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 0));
}

/// A run that has moved everything, is killed, and finds the source empty the next time, must not
/// take the rest of its journal for a mistake.
#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_whose_rest_is_empty_is_complete() {
    let (store, folder) = (MemoryStorage::new(), tempfile::tempdir().unwrap());
    fill(&store, &[("dir/a", 1), ("dir/b", 1)]).await;
    let to = shared(&MemoryStorage::new());
    let build = || {
        let source = Location::new(shared(&store), b"dir/".to_vec());
        Transfer::builder().from(source).to(to.clone()).journal(folder.path())
    };
    assert_eq!(build().max_transfer(Some(1)).build().unwrap().run().await.unwrap().status, Status::Limited);
    store.remove(&key("dir/b")).await.unwrap();
    assert_eq!(build().build().unwrap().run().await.unwrap().status, Status::Complete);
}
