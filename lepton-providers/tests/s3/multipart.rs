//! Uploads in parts, and copies that the server makes.

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, Body, CompleteOptions, CopyOptions, CopySource, CreateUploadOptions, ErrorKind, HeadOptions,
    Multipart as _, PartInfo, PartSpec, Precondition, ServerCopy as _, Storage as _, StorageExt as _, Upload, UploadId,
    UploadInfo,
};
use lepton_providers::s3::S3Storage;

use super::objects::{data, key};
use super::servers;

const PART: u64 = 5 << 20;

async fn send(store: &S3Storage, upload: &Upload, number: u32, bytes: &Bytes) -> lepton_core::PartReceipt {
    let start = u64::from(number - 1) * PART;
    let end = (start + PART).min(bytes.len() as u64);
    let body = bytes.slice(usize::try_from(start).unwrap()..usize::try_from(end).unwrap());
    store.upload_part(upload, PartSpec::new(number, start..end), Body::from(body)).await.unwrap()
}

async fn listed(store: &S3Storage, upload: &Upload) -> Vec<PartInfo> {
    store.list_parts(upload).try_collect().await.unwrap()
}

#[tokio::test]
async fn parts_in_any_order_make_one_object() {
    for server in servers::all() {
        let store = server.fresh().await;
        let bytes = data(usize::try_from(2 * PART).unwrap() + 12_345);
        let mut attributes = Attributes::default();
        attributes.content_type = Some("text/x-parts".into());
        attributes.user_metadata.insert("a".into(), "b".into());
        attributes.tags.insert("t".into(), "v".into());
        let options = CreateUploadOptions::new().attributes(attributes.clone());
        let upload = store.create(&key("big file"), options).await.unwrap();
        let mut parts = Vec::new();
        for number in [3, 1, 2] {
            parts.push(send(&store, &upload, number, &bytes).await);
        }
        parts.push(send(&store, &upload, 2, &bytes).await);
        parts.remove(2);
        parts.sort_by_key(|part| part.number);
        let held = listed(&store, &upload).await;
        let numbers: Vec<_> = held.iter().map(|part| (part.number, part.size, part.etag.unquoted())).collect();
        let sent: Vec<_> = parts.iter().map(|part| (part.number, part.size, part.etag.unquoted())).collect();
        assert_eq!(numbers, sent, "{}", server.name);
        let receipt = store.complete(&upload, parts, CompleteOptions::new()).await.unwrap();
        let info = store.head(&key("big file"), HeadOptions::new().tags(true)).await.unwrap();
        assert_eq!(info.meta.etag.unwrap().unquoted(), receipt.etag.unwrap().unquoted(), "{}", server.name);
        assert_eq!(info.attributes, attributes, "{}", server.name);
        assert!(store.read(&key("big file"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
    }
}

#[tokio::test]
async fn uploads_of_a_key_are_found_and_aborted() {
    for server in servers::all() {
        let store = server.fresh().await;
        let first = store.create(&key("k"), CreateUploadOptions::new()).await.unwrap();
        let second = store.create(&key("k"), CreateUploadOptions::new()).await.unwrap();
        store.create(&key("k2"), CreateUploadOptions::new()).await.unwrap();
        let found: Vec<UploadInfo> = store.list_uploads(&key("k")).try_collect().await.unwrap();
        let mut ids: Vec<&UploadId> = found.iter().map(|info| &info.upload.id).collect();
        ids.sort_unstable();
        let mut expected = [&first.id, &second.id];
        expected.sort_unstable();
        assert_eq!(ids, expected, "{}", server.name);
        assert!(found.iter().all(|info| info.initiated.is_some()), "{}", server.name);
        for _ in 0..2 {
            store.abort(&first).await.unwrap();
        }
        let found: Vec<UploadInfo> = store.list_uploads(&key("k")).try_collect().await.unwrap();
        assert_eq!(found.len(), 1, "{}", server.name);
        // moto fails with 500 on an upload that is not there.
        if server.name != "moto" {
            let part = store.upload_part(&first, PartSpec::new(1, 0..3), Body::from(data(3))).await;
            assert_eq!(part.unwrap_err().kind(), ErrorKind::UploadNotFound, "{}", server.name);
        }
        let parts = store.list_parts(&first).try_collect::<Vec<_>>().await;
        assert_eq!(parts.unwrap_err().kind(), ErrorKind::UploadNotFound, "{}", server.name);
        let complete = store.complete(&first, Vec::new(), CompleteOptions::new()).await;
        assert!(complete.is_err(), "{}", server.name);
    }
}

#[tokio::test]
async fn completing_holds_its_condition_or_is_refused() {
    for server in servers::all() {
        let store = server.fresh().await;
        store.write(&key("k"), data(4)).await.unwrap();
        let upload = store.create(&key("k"), CreateUploadOptions::new()).await.unwrap();
        let part = send(&store, &upload, 1, &data(9)).await;
        let options = CompleteOptions::new().precondition(Precondition::IfAbsent);
        let error = store.complete(&upload, vec![part.clone()], options).await.unwrap_err();
        assert!(
            [ErrorKind::AlreadyExists, ErrorKind::Unsupported].contains(&error.kind()),
            "{} {error:?}",
            server.name
        );
        assert_eq!(store.read(&key("k"), 99).await.unwrap(), data(4), "{}", server.name);
        store.complete(&upload, vec![part], CompleteOptions::new()).await.unwrap();
        assert_eq!(store.read(&key("k"), 99).await.unwrap(), data(9), "{}", server.name);
    }
}

#[tokio::test]
async fn the_server_copies_objects_and_parts() {
    for server in servers::all() {
        let (from, to) = (server.fresh().await, server.fresh().await);
        let bytes = data(usize::try_from(PART).unwrap() + 7);
        from.write(&key("dir/a b+ü"), bytes.clone()).await.unwrap();
        assert!(to.reaches(from.url()));
        assert!(!to.reaches("s3://other") && !to.reaches("memory:"));
        let source = || CopySource::new(&from, key("dir/a b+ü")).unwrap();
        let mut attributes = Attributes::default();
        attributes.content_type = Some("text/new".into());
        to.copy(source(), &key("whole"), CopyOptions::new().attributes(attributes.clone())).await.unwrap();
        assert!(to.read(&key("whole"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
        let info = to.head(&key("whole"), HeadOptions::new()).await.unwrap();
        assert_eq!(info.attributes, attributes, "{}", server.name);
        let upload = to.create(&key("parts"), CreateUploadOptions::new().copied(true)).await.unwrap();
        let end = bytes.len() as u64;
        let parts = vec![
            to.copy_part(source(), &upload, PartSpec::new(1, 0..PART)).await.unwrap(),
            to.copy_part(source(), &upload, PartSpec::new(2, PART..end)).await.unwrap(),
        ];
        to.complete(&upload, parts, CompleteOptions::new()).await.unwrap();
        assert!(to.read(&key("parts"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
        // moto copies whatever is there.
        if server.name != "moto" {
            let wrong = source().if_match(Some(lepton_core::ETag::new("\"wrong\"")));
            let error = to.copy(wrong, &key("no"), CopyOptions::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{} {error:?}", server.name);
        }
        let absent = CopySource::new(&from, key("absent")).unwrap();
        assert_eq!(to.copy(absent, &key("no"), CopyOptions::new()).await.unwrap_err().kind(), ErrorKind::NotFound);
    }
}
