//! Everything arrives byte for byte from a web server: from nginx, and from fakes that support
//! less than nginx.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

#[allow(dead_code, unreachable_pub, reason = "the tests of the provider use the rest")]
#[path = "../lepton-providers/tests/http/fake.rs"]
mod fake;
mod support;

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fake::{Manners, files};
use futures_util::StreamExt as _;
use lepton::data::{ManifestReader, SourceCheck};
use lepton::providers::http::{HttpConfig, HttpStorage, Listing};
use lepton::providers::{StoreConfig, open_with};
use lepton::{Location, ObjectKey, Report, SharedStorage, Status, StorageExt as _, Transfer, VerifyDepth, verify};
use support::life::killed;
use support::places::{Place, given, unused_bucket};
use support::*;

/// A folder that nginx serves, for a single test.
struct Served {
    folder: PathBuf,
    url: String,
}

impl Served {
    fn new() -> Option<Self> {
        let (endpoint, data) = (given("LEPTON_TEST_NGINX")?, given("LEPTON_TEST_NGINX_DATA")?);
        let name = unused_bucket();
        let folder = Path::new(&data).join("objects").join(&name);
        std::fs::create_dir_all(&folder).unwrap();
        Some(Self { folder, url: format!("{endpoint}/html/{name}/") })
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn config(&self) -> HttpConfig {
        HttpConfig::new(&self.url).proxy("none")
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn store(config: HttpConfig) -> SharedStorage {
    Arc::new(HttpStorage::new(config).unwrap())
}

async fn run(from: &SharedStorage, to: &Place, journal: &Path) -> Report {
    let transfer = Transfer::builder().from(from.clone()).to(to.storage.clone()).journal(journal).server_copy(false);
    transfer.build().unwrap().run().await.unwrap()
}

/// Asserts that this many objects arrived, and that they equal those of the source.
async fn assert_arrived(from: &SharedStorage, to: &Place, report: &Report, objects: u64) {
    assert_eq!(report.status, Status::Complete, "{}: {:?}", to.kind, report.failures);
    let place = Location::from(to.storage.clone());
    let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven() && found.objects == objects, "{}: {:?}", to.kind, found.problems);
    assert_same(from.as_ref(), to.storage.as_ref()).await;
}

async fn keys(place: &Place) -> Vec<ObjectKey> {
    place.storage.objects("".into()).map(|object| object.unwrap().key).collect().await
}

/// The available kinds of places that accept objects from a web server.
fn destinations() -> Vec<&'static str> {
    support::places::kinds().into_iter().filter(|kind| ["memory", "minio"].contains(kind)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_in_the_middle() {
    let Some(served) = Served::new() else { return };
    for i in 0..60 {
        served.write(&format!("small/{:02}/a b&{i:02}", i % 3), &bytes(i as u64, 1000 * i));
    }
    for i in 0..3 {
        served.write(&format!("large/{i}"), &bytes(100 + i as u64, 17 * MIB + i));
    }
    for kind in destinations() {
        let (folder, target) = (tempfile::tempdir().unwrap(), Place::fresh(kind).await);
        for after in [20, 60] {
            let (from, to, journal) = (served.config(), target.storage.clone(), folder.path().to_owned());
            let make = || Transfer::builder().from(store(from)).to(to).journal(journal).server_copy(false);
            killed(make, Duration::from_millis(after)).await;
        }
        let from = store(served.config());
        let report = run(&from, &target, folder.path()).await;
        assert_arrived(&from, &target, &report, 63).await;
        target.clear().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_by_its_url() {
    let Some(served) = Served::new() else { return };
    served.write("beside", b"not this");
    served.write("a b/one.txt", b"this");
    let target = Place::fresh("memory").await;
    let settings: StoreConfig = serde_json::from_str(r#"{"type": "http", "proxy": "none"}"#).unwrap();
    let one = open_with(&format!("{}a%20b/one.txt", served.url), settings).await.unwrap();
    let transfer = Transfer::builder().from(one).to(target.storage.clone()).build().unwrap();
    let report = transfer.run().await.unwrap();
    assert_eq!((report.status, report.objects), (Status::Complete, 1), "{:?}", report.failures);
    assert_eq!(keys(&target).await, [key("one.txt")]);
    assert_eq!(target.storage.read(&key("one.txt"), 10).await.unwrap(), "this");
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_do_less() {
    let large = bytes(1, 20 * MIB + 3);
    let content = [("large", large), ("some/small", bytes(2, 3000)), ("some/empty", bytes(3, 0))];
    let plain = Manners::default();
    for manners in [
        Manners { no_ranges: true, ..plain },
        Manners { no_ranges: true, no_conditions: true, no_tags: true, no_head: Some(405), ..plain },
        Manners { chunked: true, no_size: true, ..plain },
        Manners { chunked: true, no_ranges: true, no_tags: true, ..plain },
    ] {
        let config = HttpConfig::new(format!("{}/", files(&content, manners).start().await)).proxy("none");
        let (from, target, folder) = (store(config), Place::fresh("memory").await, tempfile::tempdir().unwrap());
        let report = run(&from, &target, folder.path()).await;
        println!("{manners:?}: {} parts", report.parts);
        assert_arrived(&from, &target, &report, 3).await;
        assert!(report.parts > 3, "the large file went in one part");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_manifest_says_is_proven() {
    let Some(served) = Served::new() else { return };
    let origin = Place::fresh("memory").await;
    for (name, len) in [("a", 100), ("b%", 3 * MIB), ("c/large", 17 * MIB)] {
        origin.storage.write(&key(name), bytes(len as u64, len)).await.unwrap();
    }
    // The files on the web server were moved by an earlier run, whose manifest is available.
    let (first, second) = (tempfile::tempdir().unwrap(), Place::fresh("memory").await);
    let list = run(&origin.storage, &second, first.path()).await.manifest.unwrap();
    for (meta, content) in contents(origin.storage.as_ref()).await {
        served.write(meta.key.as_str().unwrap(), &content);
    }
    let from = || store(served.config().listing(Listing::Manifest).list_file(list.clone()));
    let (target, journal) = (Place::fresh("memory").await, tempfile::tempdir().unwrap());
    let report = run(&from(), &target, journal.path()).await;
    assert_arrived(&origin.storage, &target, &report, 3).await;
    for entry in ManifestReader::open(report.manifest.as_ref().unwrap()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.source_check, SourceCheck::Stored, "{entry:?}");
    }
    // Files with the sizes but not the content in the manifest do not become objects.
    for (name, len) in [("a", 100), ("c/large", 17 * MIB)] {
        served.write(name, &bytes(9, len));
    }
    let (target, journal) = (Place::fresh("memory").await, tempfile::tempdir().unwrap());
    // Reading them again does not help, and each attempt takes longer to start.
    let transfer = Transfer::builder().from(from()).to(target.storage.clone()).journal(journal.path());
    let transfer = transfer.attempts(NonZeroU32::MIN).source_changes(1u32);
    let report = transfer.build().unwrap().run().await.unwrap();
    let mut refused: Vec<_> = report.failures.iter().map(|failure| (failure.key.to_string(), &*failure.kind)).collect();
    refused.sort_unstable();
    assert_eq!(refused, [("a".to_owned(), "checksum_mismatch"), ("c/large".to_owned(), "checksum_mismatch")]);
    assert_eq!(keys(&target).await, [key("b%")]);
}
