//! Tests that the conformance suite cannot run against every store.

use futures_util::TryStreamExt as _;

use super::*;
use crate::capabilities::{Capabilities, Support};
use crate::checksum::{ChecksumAlgorithm, StoredChecksum, md5, to_hex};
use crate::error::ErrorKind;
use crate::key::ObjectKey;
use crate::object::{Attributes, Precondition};
use crate::storage::{
    CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, ListRequest, Multipart as _, PartSpec, PutOptions,
    ServerCopy as _, Storage as _, StorageExt as _,
};

fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

#[tokio::test]
async fn etags_and_checksums_are_those_of_s3() {
    let store = MemoryStorage::new();
    let receipt = store.write(&key("a"), "hello".into()).await.unwrap();
    assert_eq!(receipt.etag.unwrap().as_str(), "\"5d41402abc4b2a76b9719d911017c592\"");
    let upload = store.create(&key("b"), CreateUploadOptions::new()).await.unwrap();
    let one = store.upload_part(&upload, PartSpec::new(1, 0..3), "hel".into()).await.unwrap();
    let two = store.upload_part(&upload, PartSpec::new(2, 3..5), "lo".into()).await.unwrap();
    let done = store.complete(&upload, vec![one, two], CompleteOptions::new()).await.unwrap();
    let expected = md5(&[md5(b"hel"), md5(b"lo")].concat());
    assert_eq!(done.etag.unwrap().as_str(), format!("\"{}-2\"", to_hex(&expected)));
    let crc = StoredChecksum::of(ChecksumAlgorithm::Crc64Nvme, b"hello").unwrap();
    assert_eq!((receipt.checksums, done.checksums), (vec![crc.clone()], vec![crc]));
}

#[tokio::test]
async fn a_listing_goes_on_while_keys_change() {
    let store = MemoryStorage::new();
    for name in ["a", "b", "c", "d", "e"] {
        store.write(&key(name), "".into()).await.unwrap();
    }
    let mut pages = store.list(ListRequest::new().page_size(2));
    assert_eq!(pages.try_next().await.unwrap().unwrap().objects.len(), 2);
    store.remove(&key("b")).await.unwrap();
    store.remove(&key("c")).await.unwrap();
    store.write(&key("aa"), "".into()).await.unwrap();
    store.write(&key("dd"), "".into()).await.unwrap();
    let rest: Vec<_> = pages.try_collect().await.unwrap();
    let rest: Vec<_> = rest.iter().flat_map(|page| &page.objects).map(|object| object.key.to_string()).collect();
    assert_eq!(rest, ["d", "dd", "e"]);
}

#[tokio::test]
async fn a_folder_of_last_bytes_ends_the_listing() {
    let store = MemoryStorage::new();
    store.put(&ObjectKey::new(vec![0xff, 0xff, 1]).unwrap(), "".into(), PutOptions::new()).await.unwrap();
    let pages: Vec<_> = store.list(ListRequest::new().delimiter(0xff)).try_collect().await.unwrap();
    assert_eq!(pages.len(), 1);
    assert_eq!(pages[0].prefixes.len(), 1);
}

#[tokio::test]
async fn the_stores_of_a_process_copy_from_each_other() {
    let (a, b) = (MemoryStorage::new(), MemoryStorage::new());
    a.write(&key("x"), "hello".into()).await.unwrap();
    assert!(b.reaches(a.url()) && !b.reaches("memory:nowhere"));
    b.copy(CopySource::new(&a, key("x")).unwrap(), &key("y"), CopyOptions::new()).await.unwrap();
    assert_eq!(b.read(&key("y"), 10).await.unwrap(), "hello");
    let mut lost = CopySource::new(&a, key("x")).unwrap();
    lost.store = "memory:nowhere".into();
    let error = b.copy(lost, &key("z"), CopyOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn a_name_finds_the_store_again_while_somebody_holds_it() {
    let named = || MemoryStorage::builder().name("found-again").build();
    let store = named();
    store.write(&key("x"), "hello".into()).await.unwrap();
    assert!(named().exists(&key("x")).await.unwrap());
    drop(store);
    assert!(!named().exists(&key("x")).await.unwrap());
}

#[tokio::test]
async fn what_the_capabilities_deny_is_refused() {
    let mut weak = Capabilities::everything("weak");
    weak.put_if_absent = Support::Unsupported;
    weak.multipart = None;
    weak.max_single_put = 3;
    weak.attributes.clear();
    let store = MemoryStorage::builder().capabilities(weak).build();
    assert!(store.multipart().is_none());
    let name = key("a");
    let refused = |options| store.put(&name, "hey".into(), options);
    let error = store.write(&key("a"), "hello".into()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    let error = refused(PutOptions::new().precondition(Precondition::IfAbsent)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let attributes = Attributes { content_type: Some("text/plain".into()), ..Attributes::default() };
    let error = refused(PutOptions::new().attributes(attributes)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
}

#[tokio::test]
async fn bytes_of_the_caller_are_not_kept() {
    let store = MemoryStorage::new();
    let budget = crate::MemoryBudget::new(1 << 20);
    let permit = budget.acquire(1000).await;
    store.write(&key("a"), permit.attach(vec![7; 1000])).await.unwrap();
    assert_eq!(budget.available(), 1 << 20);
}

#[tokio::test]
async fn a_reversed_range_is_refused() {
    let store = MemoryStorage::new();
    store.write(&key("a"), "hello".into()).await.unwrap();
    let upload = store.create(&key("b"), CreateUploadOptions::new()).await.unwrap();
    #[allow(clippy::reversed_empty_ranges, reason = "what is tested")]
    let reversed = || PartSpec::new(1, 4..2);
    assert_eq!(reversed().len(), 0);
    let source = CopySource::new(&store, key("a")).unwrap();
    for error in [
        store.upload_part(&upload, reversed(), "".into()).await.unwrap_err(),
        store.upload_part(&upload, reversed(), "x".into()).await.unwrap_err(),
        store.copy_part(source, &upload, reversed()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}
