//! Between two places on one server, the server itself copies the objects with everything
//! attached to them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "test")]

mod support;

use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use lepton::core::{Attribute, Attributes, Body, HeadOptions, PutOptions};
use lepton::providers::local::LocalStorage;
use lepton::{ExistingPolicy, Location, SharedStorage, Status, StorageExt as _, Transfer, VerifyDepth, verify};
use support::places::{Place, kinds};
use support::*;

const GIB: u64 = 1 << 30;

fn dressed() -> Attributes {
    let mut attributes = Attributes::default();
    attributes.content_type = Some("text/x-lepton".into());
    attributes.cache_control = Some("no-cache".into());
    attributes.user_metadata = [("color".to_owned(), "red".to_owned())].into();
    attributes.tags = [("team".to_owned(), "a b".to_owned())].into();
    attributes
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_copies_between_its_buckets() {
    for kind in kinds() {
        let (from, to) = (Place::fresh(kind).await, Place::fresh(kind).await);
        fill_mixed(from.storage.as_ref(), 3, 20, 2).await;
        let mut attributes = dressed();
        for attribute in Attribute::ALL {
            if !from.storage.capabilities().keeps(*attribute) {
                attributes.remove(*attribute);
            }
        }
        let options = PutOptions::new().attributes(attributes.clone());
        from.storage.put(&key("dressed a+b c"), Body::from(bytes(9, 1000)), options).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let build = || Transfer::builder().from(from.storage.clone()).to(to.storage.clone()).journal(folder.path());
        let report = build().build().unwrap().run().await.unwrap();
        println!("{kind}: {} of {} objects copied by the server", report.server_copies, report.objects);
        assert_eq!((report.status, report.objects), (Status::Complete, 24), "{kind}: {:?}", report.failures);
        // Two fronts are two servers, the emulator ignores the conditions of a copy, and a disk
        // copies only where that is cheaper.
        match kind {
            "front" | "fake-gcs" => assert_eq!((report.server_copies, &report.server_copy_refused), (0, &None)),
            "local" => assert_eq!((report.bytes_read, &report.server_copy_refused), (report.bytes, &None)),
            _ => assert_eq!(
                (report.server_copies, report.bytes_read),
                (24, 0),
                "{kind}: {:?}",
                report.server_copy_refused
            ),
        }
        assert_same(from.storage.as_ref(), to.storage.as_ref()).await;
        let copy = to.storage.head(&key("dressed a+b c"), HeadOptions::new().tags(true)).await.unwrap();
        assert_eq!((copy.attributes.content_type, copy.attributes.tags), (attributes.content_type, attributes.tags));
        for (name, value) in &attributes.user_metadata {
            assert_eq!(copy.attributes.user_metadata.get(name), Some(value), "{kind}");
        }
        let place = Location::from(to.storage.clone());
        let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
        assert!(found.is_proven(), "{kind}: {:?}", found.problems);
        assert_eq!(found.without_digest, if matches!(kind, "front" | "fake-gcs" | "local") { 0 } else { 24 }, "{kind}");
        let again = build().existing(ExistingPolicy::IfDifferent).build().unwrap().run().await.unwrap();
        assert_eq!((again.objects, again.unchanged), (0, 24), "{kind}: what the server copied is the same");
        from.clear().await;
        to.clear().await;
    }
}

/// A file of 2 GiB with 3 MiB of data, which a disk always copies by itself.
fn sparse(path: &Path) {
    let file = File::create(path).unwrap();
    file.set_len(2 * GIB + 5).unwrap();
    file.write_all_at(&bytes(1, 2 * MIB), 4096).unwrap();
    file.write_all_at(&bytes(2, MIB), GIB + 100).unwrap();
}

fn taken(path: &Path) -> u64 {
    path.metadata().unwrap().blocks() * 512
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sparse_file_stays_sparse_and_has_its_digest() {
    let (from, to, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    sparse(&from.path().join("image"));
    std::fs::write(from.path().join("small"), "small").unwrap();
    if taken(&from.path().join("image")) > GIB {
        println!("skipped: {} keeps no holes", from.path().display());
        return;
    }
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    File::options().write(true).open(from.path().join("image")).unwrap().set_modified(time).unwrap();
    let (a, b) = (local(from.path()).await, local(to.path()).await);
    let build = || Transfer::builder().from(a.clone()).to(b.clone()).journal(folder.path());
    let report = build().build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.objects, report.server_copies), (Status::Complete, 2, 1), "{report:?}");
    assert_eq!((report.bytes_read, report.server_copy_refused), (report.bytes, None), "read once");
    let copy = to.path().join("image");
    assert!(taken(&copy) < 5 * MIB as u64, "the copy takes {} bytes", taken(&copy));
    assert_eq!((copy.metadata().unwrap().len(), copy.metadata().unwrap().modified().unwrap()), (2 * GIB + 5, time));
    assert!(strangers(to.path()).is_empty());
    let place = Location::from(b.clone());
    let found = verify(report.manifest.as_ref().unwrap(), &place, VerifyDepth::Full).await.unwrap();
    assert!(found.is_proven() && found.without_digest == 0, "{found:?}");

    // An existing file is kept if that is requested.
    std::fs::write(&copy, "mine").unwrap();
    let report = build().existing(ExistingPolicy::Fail).build().unwrap().run().await.unwrap();
    assert_eq!((report.status, report.failures.len()), (Status::Incomplete, 2));
    assert_eq!(std::fs::read(&copy).unwrap(), b"mine");
}

async fn local(path: &Path) -> SharedStorage {
    Arc::new(LocalStorage::builder(path).open().await.unwrap())
}

/// The destination must not fetch the bytes directly from the store under a source that changes
/// them, although the URL would allow it.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_changes_bytes_is_never_bypassed() {
    for kind in kinds() {
        let (from, to) = (Place::fresh(kind).await, Place::fresh(kind).await);
        // On a disk, the system copies objects that are large enough.
        let objects = [("small", bytes(1, 1000)), ("large", bytes(2, 20 * MIB)), ("empty", bytes(3, 0))];
        for (name, content) in &objects {
            from.storage.write(&key(name), content.clone()).await.unwrap();
        }
        let transfer = Transfer::builder().from(changed::source(&from.storage)).to(to.storage.clone());
        let report = transfer.build().unwrap().run().await.unwrap();
        assert_eq!((report.status, report.server_copies), (Status::Complete, 0), "{kind}: {:?}", report.failures);
        for (name, content) in &objects {
            let there = to.storage.read(&key(name), u64::MAX).await.unwrap();
            assert!(there == changed::changed(content), "{kind}: {name} did not pass through the source");
        }
        from.clear().await;
        to.clear().await;
    }
}

/// From one folder of a store to another, through a limit on its requests: each put reads its
/// source through the same limit.
#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_within_one_limited_store_ends() {
    for kind in ["memory", "local", "front"] {
        for most in [1, 2, 8] {
            let place = Place::fresh(kind).await;
            for number in 0..12 {
                place.storage.write(&key(&format!("a/{number}")), bytes(number, KIB)).await.unwrap();
            }
            for number in 0..2 {
                place.storage.write(&key(&format!("a/large{number}")), bytes(number, 20 * MIB)).await.unwrap();
            }
            let limited = lepton::providers::layers::limit(place.storage.clone(), most.try_into().unwrap());
            let (from, to) = (Location::new(limited.clone(), "a/"), Location::new(limited, "b/"));
            let run = Transfer::builder().from(from).to(to).server_copy(false).build().unwrap().run();
            let report = tokio::time::timeout(Duration::from_secs(120), run).await.expect("it hangs").unwrap();
            assert_eq!((report.status, report.objects), (Status::Complete, 14), "{kind}, {most}");
            place.clear().await;
        }
    }
}
