//! Uploads in parts: at once, in any order, taken up again, conditional.

use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use futures_util::{TryStreamExt as _, future};
use lepton_core::{
    Attribute, Attributes, Body, BodySource, CompleteOptions, CreateUploadOptions, ErrorKind, GetOptions, HeadOptions,
    LEAF_SIZE, Leaf, LeafStream, Multipart as _, PartReceipt, PartSpec, Precondition, Storage as _, StorageExt as _,
    TreeHasher, Upload,
};
use lepton_providers::local::LocalStorage;

use super::{builder, bytes, collect, key, keys, on_disk, open};

const PART: usize = 2 * LEAF_SIZE;

async fn send(store: &LocalStorage, upload: &Upload, data: &[u8], number: u32) -> PartReceipt {
    let start = (number as usize - 1) * PART;
    let end = (start + PART).min(data.len());
    let body = Body::from(data[start..end].to_vec());
    store.upload_part(upload, PartSpec::new(number, start as u64..end as u64), body).await.unwrap()
}

fn record(root: &Path, upload: &Upload) -> PathBuf {
    root.join(format!(".lepton-{}.parts", upload.id))
}

async fn parts(store: &LocalStorage, upload: &Upload) -> Vec<PartReceipt> {
    store.list_parts(upload).try_collect().await.unwrap()
}

#[tokio::test]
async fn parts_are_sent_at_once_and_in_any_order() {
    for paranoid in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let store = builder(dir.path()).paranoid(paranoid).open().await.unwrap();
        let data = bytes(7 * PART + 12345, 9);
        let options = CreateUploadOptions::new().size(data.len() as u64);
        let upload = store.create(&key("deep/er/big"), options).await.unwrap();
        let mut receipts = future::join_all([5, 8, 1, 3, 2, 7, 6, 4].map(|n| send(&store, &upload, &data, n))).await;
        receipts.sort_by_key(|receipt| receipt.number);
        assert_eq!(parts(&store, &upload).await, receipts);
        assert_eq!(receipts[7].etag.as_str(), TreeHasher::of(&data[7 * PART..]).root.to_string());
        assert!(keys(&store).await.is_empty(), "nothing is seen before it is complete");
        let receipt = store.complete(&upload, receipts, CompleteOptions::new()).await.unwrap();
        let reply = store.get(&key("deep/er/big"), GetOptions::new().if_match(receipt.etag)).await.unwrap();
        assert!(collect(reply).await.unwrap() == data);
        assert_eq!(on_disk(dir.path()), ["deep", "deep/er", "deep/er/big"]);
    }
}

#[tokio::test]
async fn another_process_goes_on_where_the_first_was_killed() {
    let dir = tempfile::tempdir().unwrap();
    let data = bytes(3 * PART + 1, 4);
    let mut attributes = Attributes::default();
    attributes.user_metadata.insert("mode".into(), "100600".into());
    attributes.user_metadata.insert("mtime".into(), "86400.500000000".into());
    let first = open(dir.path()).await;
    let keeps = first.capabilities().keeps(Attribute::ContentType);
    attributes.content_type = keeps.then(|| "video/mp4".into());
    let options = CreateUploadOptions::new().attributes(attributes.clone()).size(data.len() as u64);
    let upload = first.create(&key("big"), options).await.unwrap();
    send(&first, &upload, &data, 3).await;
    send(&first, &upload, &data, 1).await;
    drop(first);

    let second = open(dir.path()).await;
    let found: Vec<_> = second.list_uploads(&key("big")).try_collect().await.unwrap();
    assert_eq!(found.iter().map(|info| &info.upload).collect::<Vec<_>>(), [&upload]);
    assert!(found[0].initiated.is_some());
    assert!(second.list_uploads(&key("bi")).try_next().await.unwrap().is_none());
    let held = parts(&second, &upload).await;
    assert_eq!(
        held.iter().map(|part| (part.number, part.size)).collect::<Vec<_>>(),
        [(1, PART as u64), (3, PART as u64)]
    );
    let all = [
        held[0].clone(),
        send(&second, &upload, &data, 2).await,
        held[1].clone(),
        send(&second, &upload, &data, 4).await,
    ];
    second.complete(&upload, all.to_vec(), CompleteOptions::new()).await.unwrap();
    assert_eq!(second.read(&key("big"), u64::MAX).await.unwrap(), data);
    let info = second.head(&key("big"), HeadOptions::new()).await.unwrap();
    assert_eq!(info.attributes, attributes);
    assert_eq!(dir.path().join("big").metadata().unwrap().permissions().mode(), 0o100_600);
    let again = second.complete(&upload, all.to_vec(), CompleteOptions::new()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::UploadNotFound);
    let gone = second.list_parts(&upload).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::UploadNotFound);
}

#[tokio::test]
async fn a_torn_record_costs_its_part_only() {
    let dir = tempfile::tempdir().unwrap();
    let data = bytes(3 * PART, 5);
    let store = open(dir.path()).await;
    let upload = store.create(&key("big"), CreateUploadOptions::new()).await.unwrap();
    for number in 1..=3 {
        send(&store, &upload, &data, number).await;
    }
    let file = std::fs::File::options().write(true).open(record(dir.path(), &upload)).unwrap();
    file.set_len(file.metadata().unwrap().len() - 10).unwrap();
    let store = open(dir.path()).await;
    assert_eq!(parts(&store, &upload).await.iter().map(|part| part.number).collect::<Vec<_>>(), [1, 2]);
    send(&store, &upload, &data, 3).await;
    let all = parts(&store, &upload).await;
    store.complete(&upload, all, CompleteOptions::new()).await.unwrap();
    assert_eq!(store.read(&key("big"), u64::MAX).await.unwrap(), data);
}

#[tokio::test]
async fn an_upload_that_was_cut_short_at_its_beginning_is_found_and_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let upload = store.create(&key("f/big"), CreateUploadOptions::new()).await.unwrap();
    let file = std::fs::File::options().write(true).open(record(&dir.path().join("f"), &upload)).unwrap();
    file.write_all_at(b"torn", 0).unwrap();
    let found: Vec<_> = store.list_uploads(&key("f/big")).try_collect().await.unwrap();
    assert_eq!((&found[0].upload, found[0].initiated), (&upload, None));
    let error = store.complete(&upload, Vec::new(), CompleteOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    store.abort(&upload).await.unwrap();
    store.abort(&upload).await.unwrap();
    assert!(on_disk(dir.path()).is_empty());
}

struct Fails;

impl BodySource for Fails {
    fn open(&self) -> LeafStream {
        let leaf = |_| Ok(Leaf { pieces: vec![bytes(LEAF_SIZE, 77)], sha256: None });
        let error = lepton_core::Error::new(ErrorKind::Network, "gone");
        stream::iter(0..1).map(leaf).chain(stream::iter([Err(error)])).boxed()
    }
}

#[tokio::test]
async fn a_part_that_is_half_replaced_is_not_there_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let data = bytes(2 * PART, 6);
    let upload = store.create(&key("big"), CreateUploadOptions::new()).await.unwrap();
    let first = send(&store, &upload, &data, 1).await;
    let second = send(&store, &upload, &data, 2).await;
    let three = PartSpec::new(2, PART as u64..2 * PART as u64 + 5);
    let error =
        store.upload_part(&upload, three, Body::from_source(PART as u64 + 5, Arc::new(Fails))).await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Network, "gone"));
    // The failing body was given up before its first leaf was written, or after:
    // in both cases what is listed is what is there.
    let held = parts(&store, &upload).await;
    assert!(held == [first.clone()] || held == [first.clone(), second.clone()]);
    let other = bytes(2 * PART, 200);
    let replaced = send(&store, &upload, &other, 2).await;
    let stale = store.complete(&upload, vec![first.clone(), second], CompleteOptions::new()).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::InvalidInput);
    store.complete(&upload, vec![first, replaced], CompleteOptions::new()).await.unwrap();
    let whole = [&data[..PART], &other[PART..]].concat();
    assert_eq!(store.read(&key("big"), u64::MAX).await.unwrap(), whole);
}

#[tokio::test]
async fn parts_that_do_not_make_the_object_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let data = bytes(3 * PART, 6);
    let upload = store.create(&key("big"), CreateUploadOptions::new().size(3 * PART as u64)).await.unwrap();
    let mut all = Vec::new();
    for number in 1..=3 {
        all.push(send(&store, &upload, &data, number).await);
    }
    let [one, two, three] = <[PartReceipt; 3]>::try_from(all.clone()).unwrap();
    let mut wrong = two.clone();
    wrong.etag = one.etag.clone();
    let unknown = PartReceipt::new(4, 1, one.etag.clone());
    for (parts, says) in [
        (vec![one.clone(), three.clone()], "part 3"),
        (vec![two.clone(), one.clone()], "part 2"),
        (vec![one.clone(), one.clone()], "part 1"),
        (vec![one.clone(), wrong], "part 2"),
        (vec![one.clone(), two.clone(), three.clone(), unknown], "part 4"),
        (vec![one.clone(), two.clone()], "begun for"),
    ] {
        let error = store.complete(&upload, parts, CompleteOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(says), "{error}");
    }
    for (spec, len) in [(PartSpec::new(0, 0..1), 1), (PartSpec::new(1, 0..2), 1), (PartSpec::new(100_001, 0..1), 1)] {
        let error = store.upload_part(&upload, spec, Body::from(bytes(len, 0))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    store.complete(&upload, all, CompleteOptions::new()).await.unwrap();
}

#[tokio::test]
async fn completing_is_conditional_and_can_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let data = bytes(PART, 6);
    let there = store.write(&key("x"), "old".into()).await.unwrap().etag.unwrap();
    let upload = store.create(&key("x"), CreateUploadOptions::new()).await.unwrap();
    let all = vec![send(&store, &upload, &data, 1).await];
    let complete = |condition| store.complete(&upload, all.clone(), CompleteOptions::new().precondition(condition));
    assert_eq!(complete(Precondition::IfAbsent).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let other = lepton_core::ETag::new("other");
    assert_eq!(complete(Precondition::IfMatch(other)).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    assert_eq!(store.read(&key("x"), 10).await.unwrap(), "old");
    complete(Precondition::IfMatch(there)).await.unwrap();
    assert_eq!(store.read(&key("x"), u64::MAX).await.unwrap(), data);
    assert_eq!(on_disk(dir.path()), ["x"]);
}

#[tokio::test]
async fn an_empty_object_can_be_uploaded_in_parts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let upload = store.create(&key("x"), CreateUploadOptions::new().size(0)).await.unwrap();
    let part = store.upload_part(&upload, PartSpec::new(1, 0..0), Body::from("")).await.unwrap();
    store.complete(&upload, vec![part], CompleteOptions::new()).await.unwrap();
    assert_eq!(store.read(&key("x"), 0).await.unwrap(), "");
}
