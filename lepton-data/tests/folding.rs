//! Destinations that do not tell upper from lower case: nothing is overwritten or deleted
//! under another's name.
//!
//! `Folding` is a fake of such a disk: to mount a real one takes a kernel that has one, and
//! root.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Body, Capabilities, DeleteRequest, DeleteResults, ErrorKind, GetOptions, GetReply, HeadOptions, KeyHandling,
    KeyPrefix, ListRequest, MemoryStorage, Multipart, ObjectInfo, ObjectKey, PageStream, PhysicalLocation, PutOptions,
    PutReceipt, Result, ServerCopy, SharedStorage, Signer, Storage, StorageExt as _, Support, Versions,
};
use lepton_data::{ExistingPolicy, Filters, PlannedAction, Status, TransferBuilder};
use support::*;

/// A store that keeps the first of the names that differ in case alone.
#[derive(Debug, Clone)]
struct Folding(MemoryStorage);

impl Folding {
    fn new() -> Self {
        let mut can = Capabilities::everything("folding");
        (can.multipart, can.server_copy, can.versions) = (None, Support::Unsupported, Support::Unsupported);
        can.keys.case = KeyHandling::Changed;
        Self(MemoryStorage::builder().capabilities(can).build())
    }

    async fn stored(&self, key: &ObjectKey) -> ObjectKey {
        let rules = &self.0.capabilities().keys;
        let metas = list(&self.0).await;
        let same = metas.into_iter().map(|meta| meta.key).find(|other| rules.folded(other) == rules.folded(key));
        same.unwrap_or_else(|| key.clone())
    }
}

#[async_trait]
impl Storage for Folding {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }
    fn url(&self) -> &str {
        "folding:"
    }

    fn copy_url(&self) -> Option<&str> {
        self.0.copy_url()
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        self.0.physical_location(prefix).await
    }
    fn list(&self, request: ListRequest) -> PageStream {
        self.0.list(request)
    }
    async fn head(&self, key: &ObjectKey, options: HeadOptions) -> Result<ObjectInfo> {
        self.0.head(&self.stored(key).await, options).await
    }
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.0.get(&self.stored(key).await, options).await
    }
    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        self.0.put(&self.stored(key).await, body, options).await
    }
    async fn delete(&self, mut requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        for request in &mut requests {
            request.key = self.stored(&request.key).await;
        }
        self.0.delete(requests).await
    }
    fn multipart(&self) -> Option<&dyn Multipart> {
        None
    }
    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        None
    }
    fn signer(&self) -> Option<&dyn Signer> {
        None
    }
    fn versions(&self) -> Option<&dyn Versions> {
        None
    }
}

fn to_disk(from: &MemoryStorage, to: &Folding) -> TransferBuilder {
    transfer(shared(from), Arc::new(to.clone()) as SharedStorage)
}

async fn names(store: &MemoryStorage) -> Vec<String> {
    list(store).await.iter().map(|meta| meta.key.to_string()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_differ_in_case_alone_are_refused_and_the_others_moved() {
    let (from, to) = (MemoryStorage::new(), Folding::new());
    fill(&from, &[("README", 1), ("b", 2), ("Dir/x", 3), ("dir/X", 4), ("readme", 5), ("z", 6)]).await;
    let report = to_disk(&from, &to).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Incomplete, 2));
    let mut refused: Vec<String> = report.failures.iter().map(|failure| failure.key.to_string()).collect();
    refused.sort();
    assert_eq!(refused, ["Dir/x", "README", "dir/X", "readme"]);
    assert!(
        report.failures.iter().all(|failure| failure.kind == ErrorKind::InvalidKey.code()),
        "{:?}",
        report.failures
    );
    assert_eq!(names(&to.0).await, ["b", "z"]);
    // The plan says the same, and a list of keys that names one of them twice.
    let plan = to_disk(&from, &to).build().unwrap().plan().try_collect::<Vec<_>>().await.unwrap();
    let refused = plan.iter().filter(|planned| matches!(planned.action, PlannedAction::Refuse { .. })).count();
    assert_eq!(refused, 4);
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("list"), "readme\nz\nreadme\n").unwrap();
    let report = to_disk(&from, &to).from_list(folder.path().join("list")).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 2), "{:?}", report.failures);
    // With one of each left out nothing is in the way.
    let filters = Filters::new().exclude("/README").exclude("/dir/");
    let report = to_disk(&from, &to).filters(filters).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 4), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_run_knows_the_names_before_its_watermark() {
    let (from, to) = (MemoryStorage::new(), Folding::new());
    fill(&from, &[("A", 100), ("B", 100), ("C", 100), ("d", 100)]).await;
    let folder = tempfile::tempdir().unwrap();
    let build = || to_disk(&from, &to).journal(folder.path());
    let report = build().max_transfer(Some(250)).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Limited, 3));
    from.write(&key("a"), "other".into()).await.unwrap();
    let report = build().build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Incomplete, 4));
    assert_eq!(report.failures[0].key, key("a"));
    assert_eq!(to.0.read(&key("A"), 1000).await.unwrap(), bytes(1, 100), "it was not overwritten");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_does_not_delete_what_it_wrote_under_the_other_case() {
    let (from, to) = (MemoryStorage::new(), Folding::new());
    fill(&from, &[("readme", 10), ("z", 10)]).await;
    fill(&to.0, &[("GONE", 1), ("README", 2)]).await;
    let build = |existing| to_disk(&from, &to).existing(existing).delete(true).max_delete_percent(100);
    let plan = build(ExistingPolicy::IfDifferent).build().unwrap().plan().try_collect::<Vec<_>>().await.unwrap();
    let deleted = plan.iter().filter(|planned| planned.action == PlannedAction::Delete);
    assert_eq!(deleted.map(|planned| planned.key.clone()).collect::<Vec<_>>(), [key("GONE")]);
    let report = build(ExistingPolicy::Overwrite).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.deleted), (Status::Complete, 2, 1), "{:?}", report.failures);
    assert_eq!(names(&to.0).await, ["README", "z"]);
    assert_eq!(to.read(&key("readme"), 1000).await.unwrap(), bytes(1, 10));
    // What lies there under the other case is looked at, not taken for absent.
    from.write(&key("readme"), "changed".into()).await.unwrap();
    let report = build(ExistingPolicy::IfDifferent).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.deleted), (Status::Complete, 1, 0), "{:?}", report.failures);
    let report = build(ExistingPolicy::IfDifferent).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.unchanged), (Status::Complete, 0, 2), "{:?}", report.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn encoded_names_are_told_apart_and_read_back() {
    let (from, to, back) = (MemoryStorage::new(), Folding::new(), MemoryStorage::new());
    fill(&from, &[("README", 1), ("readme", 5), ("Ä/ß", 2), ("ä/SS", 3), ("100%", 4)]).await;
    let mirror = |builder: TransferBuilder| builder.existing(ExistingPolicy::IfDifferent).delete(true).build().unwrap();
    let report = mirror(to_disk(&from, &to).encode_keys(true)).run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 5), "{:?}", report.failures);
    let expected = ["%25C3%2584/%25C3%259F", "%2552%2545%2541%2544%254D%2545", "%25C3%25A4/%2553%2553", "100%2525"];
    let found = names(&to.0).await;
    assert!(expected.iter().all(|name| found.contains(&(*name).to_owned())), "{found:?}");
    let report = mirror(to_disk(&from, &to).encode_keys(true)).run().await.unwrap();
    assert_eq!((report.objects, report.unchanged, report.extras), (0, 5, 0), "the second run copies nothing");
    let home = transfer(Arc::new(to.clone()) as SharedStorage, shared(&back)).decode_keys(true);
    assert_eq!(mirror(home).run().await.unwrap().status, Status::Complete);
    assert_same(&from, &back).await;
}
