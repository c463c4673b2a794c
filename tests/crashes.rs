//! The engine is killed at every request to every kind of store, and resumes to a correct
//! result. With `LEPTON_TEST_CRASHES=all` it is killed a second time while it resumes, also
//! with the servers.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::sync::Arc;

use async_trait::async_trait;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt as _;
use lepton::core::{
    Body, CompleteOptions, CreateUploadOptions, DeleteRequest, DeleteResults, GetOptions, GetReply, HeadOptions,
    KeyPrefix, ListRequest, Multipart, ObjectInfo, PageStream, PartInfo, PartReceipt, PartSpec, PhysicalLocation,
    PutOptions, PutReceipt, ServerCopy, Signer, Upload, UploadInfo, Versions,
};
use lepton::data::conformance;
use lepton::{Capabilities, MemoryStorage, ObjectKey, Result, SharedStorage, Storage};
use support::places::{Place, kinds};

/// The server that reports 2010 as the start of all uploads, so that a lost upload looks like
/// one of another client.
const SAYS_WRONG_TIMES: &str = "moto";

#[tokio::test(flavor = "multi_thread")]
async fn at_every_request_to_every_store() {
    for kind in kinds() {
        let place = Place::fresh(kind).await;
        // A second kill after the first takes the engine through the same code at every store.
        let all = std::env::var("LEPTON_TEST_CRASHES").is_ok_and(|value| value == "all");
        let again = all || ["memory", "disk"].contains(&kind);
        survives(&place, conformance::Options::new().again(again)).await;
        place.clear().await;
    }
}

/// The store copies on the server, from another folder in it.
#[tokio::test(flavor = "multi_thread")]
async fn at_every_request_for_a_copy() {
    for kind in kinds() {
        let place = Place::fresh(kind).await;
        if place.storage.server_copy().is_some() {
            survives(&place, conformance::Options::new().server_copy(true).again(false)).await;
        }
        place.clear().await;
    }
}

async fn survives(place: &Place, options: conformance::Options) {
    let begin = std::time::Instant::now();
    let mut report = conformance::crashes(&place.storage, options).await.unwrap();
    println!("{report}, {:.1} s", begin.elapsed().as_secs_f64());
    report.failures.retain(|failure| place.kind != SAYS_WRONG_TIMES || !failure.contains("are left open"));
    report.check().unwrap();
    assert!(report.deaths > 20, "{report}");
}

/// Faults of a store that only a kill or a delete reveals.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wrong {
    /// It reports deletes as done without deleting.
    KeepsObjects,
    /// It reports uploads as aborted without aborting them.
    KeepsUploads,
    /// It shows half of an object while the object is being written.
    ShowsHalves,
}

/// A faulty store: a fake, as no real one is available.
#[derive(Debug)]
struct Fake(MemoryStorage, Wrong);

impl Fake {
    fn parts(&self) -> &dyn Multipart {
        self.0.multipart().unwrap()
    }
}

#[async_trait]
impl Storage for Fake {
    fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }
    fn url(&self) -> &str {
        self.0.url()
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
        self.0.head(key, options).await
    }
    async fn get(&self, key: &ObjectKey, options: GetOptions) -> Result<GetReply> {
        self.0.get(key, options).await
    }
    async fn put(&self, key: &ObjectKey, body: Body, options: PutOptions) -> Result<PutReceipt> {
        if self.1 == Wrong::ShowsHalves {
            let mut bytes = Vec::new();
            let mut leaves = body.open();
            while let Some(leaf) = leaves.try_next().await? {
                leaf.pieces.iter().for_each(|piece| bytes.extend_from_slice(piece));
            }
            bytes.truncate(bytes.len() / 2);
            self.0.put(key, Body::from(bytes::Bytes::from(bytes)), PutOptions::new()).await?;
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
        }
        self.0.put(key, body, options).await
    }
    async fn delete(&self, requests: Vec<DeleteRequest>) -> Result<DeleteResults> {
        if self.1 == Wrong::KeepsObjects {
            return Ok(requests.iter().map(|_| Ok(())).collect());
        }
        self.0.delete(requests).await
    }
    fn multipart(&self) -> Option<&dyn Multipart> {
        Some(self)
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

#[async_trait]
impl Multipart for Fake {
    async fn create(&self, key: &ObjectKey, options: CreateUploadOptions) -> Result<Upload> {
        self.parts().create(key, options).await
    }
    async fn upload_part(&self, upload: &Upload, part: PartSpec, body: Body) -> Result<PartReceipt> {
        self.parts().upload_part(upload, part, body).await
    }
    fn list_parts(&self, upload: &Upload) -> BoxStream<'static, Result<PartInfo>> {
        self.parts().list_parts(upload)
    }
    async fn complete(&self, upload: &Upload, parts: Vec<PartReceipt>, options: CompleteOptions) -> Result<PutReceipt> {
        self.parts().complete(upload, parts, options).await
    }
    async fn abort(&self, upload: &Upload) -> Result<()> {
        if self.1 == Wrong::KeepsUploads { Ok(()) } else { self.parts().abort(upload).await }
    }
    fn list_uploads(&self, key: &ObjectKey) -> BoxStream<'static, Result<UploadInfo>> {
        self.parts().list_uploads(key)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_does_not_delete_is_found_out() {
    let store: SharedStorage = Arc::new(Fake(MemoryStorage::new(), Wrong::KeepsObjects));
    let error = conformance::crashes(&store, conformance::Options::new()).await.unwrap_err();
    assert!(error.to_string().contains("extra"), "{error}");
}

/// A fault that shows only after a kill is found, and reported with that kill.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_after_a_death_is_found_out() {
    for (wrong, names) in [
        (Wrong::KeepsUploads, ["killed after request", "are left open"]),
        (Wrong::ShowsHalves, ["killed during request", "c has 35000 bytes that are neither its old ones nor its new"]),
    ] {
        let store: SharedStorage = Arc::new(Fake(MemoryStorage::new(), wrong));
        let report = conformance::crashes(&store, conformance::Options::new()).await.unwrap();
        let found = |failure: &String| names.iter().all(|name| failure.contains(name));
        assert!(report.failures.iter().any(found), "{wrong:?}: {report}");
        assert!(report.failures.len() < report.deaths / 2, "most deaths are survived: {report}");
        let error = report.check().unwrap_err().to_string();
        assert!(names.iter().all(|name| error.contains(name)), "{error}");
    }
}

/// A kill that the run does not reach is reported, and does not count.
#[tokio::test(flavor = "multi_thread")]
async fn a_death_that_does_not_come_is_said() {
    let store: SharedStorage = Arc::new(MemoryStorage::new());
    let report = conformance::crashes(&store, conformance::Options::new()).await.unwrap();
    let cases = report.deaths + report.missed.len();
    assert!(report.missed.iter().all(|missed| missed.contains("killed")), "{report}");
    assert!(report.missed.len() < cases / 2, "{:?}", report.missed);
    let none = conformance::Options::new().requests(0..0).records(0..0);
    let report = conformance::crashes(&store, none).await.unwrap();
    assert!(report.deaths == 0 && report.check().is_err(), "{report}");
}
