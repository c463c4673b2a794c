//! The stores of the object_store crate and of Lepton, each used in place of the other. The
//! checks of that crate are its own (`object_store::integration`).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::sync::Arc;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use lepton::core::conformance;
use lepton::interop::{from_object_store, to_object_store};
use lepton::{Location, MemoryStorage, SharedStorage, Status, StorageExt as _, Transfer};
use object_store::integration;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use support::places::{Place, kinds};
use support::*;

/// Their checks on each of our stores.
#[tokio::test(flavor = "multi_thread")]
async fn ours_pass_for_theirs() {
    for kind in kinds() {
        println!("{kind}");
        let place = Place::fresh(kind).await;
        let can = place.storage.capabilities().clone();
        let store = to_object_store(place.storage.clone());
        integration::put_get_delete_list(&store).await;
        // A local disk adds the file's time and mode.
        if !can.keeps_mtime {
            integration::put_get_attributes(&store).await;
        }
        // Objects have versions there even though the bucket is not versioned.
        if kind != "fake-gcs" {
            integration::get_opts(&store).await;
        }
        // On a local disk, replacing a file while it is read is an error, which this check
        // treats as its own failure. moto checks a condition and then writes, so that of two
        // concurrent writers both may succeed.
        if !can.keeps_mtime && kind != "moto" {
            integration::put_opts(&store, can.put_if_match.is_available()).await;
        }
        clear(&store).await;
        integration::list_uses_directories_correctly(&store).await;
        clear(&store).await;
        integration::list_with_delimiter(&store).await;
        clear(&store).await;
        integration::list_with_offset_exclusivity(&store).await;
        clear(&store).await;
        integration::rename_and_copy(&store).await;
        integration::copy_if_not_exists(&store).await;
        integration::copy_rename_nonexistent_object(&store).await;
        clear(&store).await;
        integration::stream_get(&store).await;
        integration::multipart_out_of_order(&store).await;
        // Where the store has no upload records, completing an upload ends the others of its
        // key.
        if can.upload_records.is_available() {
            integration::multipart_race_condition(&store, true).await;
        }
        place.clear().await;
    }
}

async fn clear(store: &dyn ObjectStore) {
    use futures_util::TryStreamExt as _;
    let paths = store.list(None).map_ok(|meta| meta.location).boxed();
    let _: Vec<_> = store.delete_stream(paths).try_collect().await.unwrap();
}

/// The in-memory store does not check the ETags of parts.
const THEIRS_FAIL: [&str; 1] = ["uploads/wrong_parts_make_no_object"];

/// Our checks on their stores.
#[tokio::test(flavor = "multi_thread")]
async fn theirs_pass_for_ours() {
    let memory = Arc::new(InMemory::new());
    let whole: SharedStorage = Arc::new(from_object_store(memory, "memory://whole"));
    let memory = Arc::new(InMemory::new());
    let parts: SharedStorage = Arc::new(from_object_store(memory.clone(), "memory://parts").multipart(memory));
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap());
    let can =
        serde_json::json!({"attributes": [], "keys": {"file_beside_folder": "refused", "max_segment_bytes": 250}});
    let files: SharedStorage = Arc::new(from_object_store(files, "files://here").overridden(&can).unwrap());
    for store in [whole, parts, files] {
        let report = conformance::run(&store, conformance::Options::new()).await;
        println!("{report}");
        let failed: Vec<_> = report.failures().filter(|(name, _)| !THEIRS_FAIL.contains(name)).collect();
        assert!(failed.is_empty() && report.passed() > 30, "{failed:#?}");
    }
}

/// Data moves through both adapters and is verified.
#[tokio::test(flavor = "multi_thread")]
async fn a_move_from_theirs_to_theirs() {
    let (source, target) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
    for (seed, size) in [0, 1, MIB, 20 * MIB, 40 * MIB + 1].into_iter().enumerate() {
        let path = Path::from(format!("photos/{size}"));
        source.put(&path, PutPayload::from(bytes(seed as u64, size))).await.unwrap();
    }
    let from = from_object_store(source.clone(), "memory://source").multipart(source.clone());
    let to: SharedStorage = Arc::new(from_object_store(target.clone(), "memory://target").multipart(target.clone()));
    let folder = tempfile::tempdir().unwrap();
    let transfer = Transfer::builder().from(Location::from(Arc::new(from.clone()) as SharedStorage)).to(to.clone());
    let report = transfer.journal(folder.path()).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 5), "{:?}", report.failures);
    for size in [0, 1, MIB, 20 * MIB, 40 * MIB + 1] {
        let path = Path::from(format!("photos/{size}"));
        let both = [&source, &target].map(|store| store.get(&path));
        let [a, b] = both.map(async |got| got.await.unwrap().bytes().await.unwrap());
        assert!(a.await == b.await, "{size}");
    }
}

/// Fails after some keys of a listing, and returns a single error for a whole batch of deletes:
/// a fake, because a real store fails like this only under overload.
#[derive(Debug)]
struct Failing(InMemory);

impl std::fmt::Display for Failing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Failing")
    }
}

fn overloaded() -> object_store::Error {
    object_store::Error::Generic { store: "failing", source: "503".into() }
}

#[async_trait::async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, at: &Path, bytes: PutPayload, options: PutOptions) -> object_store::Result<PutResult> {
        self.0.put_opts(at, bytes, options).await
    }
    async fn put_multipart_opts(
        &self,
        at: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(at, options).await
    }
    async fn get_opts(&self, at: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.0.get_opts(at, options).await
    }
    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        // The first batch succeeds, the others fail as a whole.
        let batches = paths.ready_chunks(10).enumerate().map(|(number, batch)| match number {
            0 => batch,
            _ => vec![Err(overloaded())],
        });
        self.0.delete_stream(batches.flat_map(stream::iter).boxed())
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.0.list(prefix).take(15).chain(stream::iter([Err(overloaded())])).boxed()
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

/// A single error for many deletes is reported for every key that it may concern, and for no
/// other; keys listed before an error are not lost.
#[tokio::test]
async fn one_error_for_many() {
    use lepton::core::{DeleteRequest, Effect, ListRequest};
    let store = from_object_store(Arc::new(Failing(InMemory::new())), "memory://failing");
    for number in 10..40 {
        store.write(&key(&format!("{number}")), "x".into()).await.unwrap();
    }
    let pages: Vec<_> = lepton::Storage::list(&store, ListRequest::new().page_size(10)).collect().await;
    let listed: usize = pages.iter().flatten().map(|page| page.objects.len()).sum();
    assert_eq!((listed, pages.last().unwrap().is_err()), (15, true));
    let requests = (10..40).map(|number| DeleteRequest::new(key(&format!("{number}")))).collect();
    let results = lepton::Storage::delete(&store, requests).await.unwrap();
    assert_eq!(results.len(), 30);
    for (number, result) in (10..40).zip(results) {
        let there = store.exists(&key(&format!("{number}"))).await.unwrap();
        match result {
            Ok(()) => assert!(!there && number < 20, "{number}"),
            Err(error) => assert!(there && error.effect() == Effect::Unknown, "{number}: {error:?}"),
        }
    }
}

/// The root is not an object, which must not keep others from being deleted.
#[tokio::test]
async fn a_root_among_deletes() {
    let ours = MemoryStorage::new();
    ours.write(&key("a"), "x".into()).await.unwrap();
    let theirs = to_object_store(Arc::new(ours.clone()));
    let paths = stream::iter([Ok(Path::ROOT), Ok(Path::from("a"))]).boxed();
    let results: Vec<_> = theirs.delete_stream(paths).collect().await;
    assert!(results[0].is_err() && results[1].is_ok(), "{results:?}");
    assert!(!ours.exists(&key("a")).await.unwrap());
}

/// Keys that are not valid paths are reported, not hidden, except those that mark folders.
#[tokio::test]
async fn keys_that_are_no_paths() {
    use futures_util::TryStreamExt as _;
    let ours = MemoryStorage::new();
    for name in ["a/b", "a/", "c"] {
        ours.write(&key(name), "x".into()).await.unwrap();
    }
    let theirs = to_object_store(Arc::new(ours.clone()));
    let found: Vec<_> = theirs.list(None).map_ok(|meta| meta.location.to_string()).try_collect().await.unwrap();
    assert_eq!(found, ["a/b", "c"]);
    ours.write(&key("a//b"), "x".into()).await.unwrap();
    let error = theirs.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(error.to_string().contains("a//b"), "{error}");
}

/// Operations that their stores do not support are refused by name, and nothing is written.
#[tokio::test]
async fn what_theirs_cannot_do() {
    use lepton::ErrorKind;
    use lepton::core::{Attributes, Body};
    let store = from_object_store(Arc::new(InMemory::new()), "memory://odd");
    let mut attributes = Attributes::default();
    attributes.expires = Some("Thu, 01 Dec 2027 16:00:00 GMT".into());
    let put = lepton::Storage::put(
        &store,
        &key("a"),
        Body::from("x"),
        lepton::core::PutOptions::new().attributes(attributes),
    )
    .await;
    let error = put.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("Expires"), "{error}");
    for odd in ["a//b", "/a", "a/", "../a"] {
        let error = store.write(&key(odd), "x".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey, "{odd}");
    }
    assert!(!store.exists(&key("a")).await.unwrap());
}
