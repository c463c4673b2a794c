//! Files that change under a read, full disks, read-only disks.

use std::os::unix::fs::FileExt as _;

use futures_util::{StreamExt as _, TryStreamExt as _};
use lepton_core::{
    Attribute, Attributes, Body, CreateUploadOptions, ErrorKind, GetOptions, HeadOptions, Multipart as _, PartSpec,
    PutOptions, RetryClass, Storage as _, StorageExt as _,
};

use super::mounted::Mounted;
use super::{bytes, key, on_disk, open};

const MIB: usize = 1 << 20;

#[tokio::test]
async fn a_file_that_changes_while_it_is_read_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let open_for_writing = || std::fs::File::options().write(true).open(&path).unwrap();
    let changes: [(&str, &dyn Fn()); 4] = [
        ("cut to nothing", &|| open_for_writing().set_len(0).unwrap()),
        ("cut by a byte", &|| open_for_writing().set_len(8 * MIB as u64 - 1).unwrap()),
        ("overwritten in place", &|| open_for_writing().write_all_at(b"!", 0).unwrap()),
        ("replaced", &|| {
            std::fs::write(dir.path().join("y"), bytes(8 * MIB, 2)).unwrap();
            std::fs::rename(dir.path().join("y"), &path).unwrap();
        }),
    ];
    let store = open(dir.path()).await;
    for (what, change) in changes {
        std::fs::write(&path, bytes(8 * MIB, 1)).unwrap();
        // Times have a granularity: the change must not fall on the same tick.
        let old = std::fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH);
        open_for_writing().set_times(old).unwrap();
        let mut reply = store.get(&key("x"), GetOptions::new()).await.unwrap();
        reply.body.next().await.unwrap().unwrap();
        change();
        let error = reply.body.try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SourceChanged, "{what}: {error}");
        assert_eq!((error.operation(), error.context("key")), (Some("get"), Some("x")));
        let etag = reply.meta.etag;
        let pinned = store.get(&key("x"), GetOptions::new().range(MIB as u64..2 * MIB as u64).if_match(etag)).await;
        assert!(
            matches!(pinned.unwrap_err().kind(), ErrorKind::PreconditionFailed | ErrorKind::InvalidInput),
            "{what}"
        );
    }
}

#[tokio::test]
async fn a_deleted_file_is_read_to_its_end_or_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("x"), bytes(4 * MIB, 1)).unwrap();
    let reply = open(dir.path()).await.get(&key("x"), GetOptions::new()).await.unwrap();
    std::fs::remove_file(dir.path().join("x")).unwrap();
    match reply.body.try_collect::<Vec<_>>().await {
        Ok(pieces) => assert!(pieces.concat() == bytes(4 * MIB, 1)),
        Err(error) => assert_eq!(error.kind(), ErrorKind::SourceChanged),
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_nothing_is_left_on_it() {
    let Some(disk) = Mounted::new("size=1m") else { return };
    let store = open(disk.path()).await;
    // The first two are found before anything is written, the third while writing.
    for len in [3 * MIB, MIB + 1, MIB] {
        let error = store.put(&key("f/x"), Body::from(bytes(len, 1)), PutOptions::new()).await;
        let error = if len == MIB && error.is_ok() { break } else { error.unwrap_err() };
        assert_eq!((error.kind(), error.retry()), (ErrorKind::OutOfSpace, RetryClass::Never), "{error}");
        assert_eq!(error.context("key"), Some("f/x"));
        assert!(on_disk(disk.path()).is_empty());
    }
    let _ = store.remove(&key("f/x")).await;
    let error = store.create(&key("x"), CreateUploadOptions::new().size(5 << 20)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(on_disk(disk.path()).is_empty());

    let upload = store.create(&key("x"), CreateUploadOptions::new()).await.unwrap();
    let error =
        store.upload_part(&upload, PartSpec::new(1, 0..2 << 20), Body::from(bytes(2 * MIB, 1))).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
    assert!(store.list_parts(&upload).try_next().await.unwrap().is_none());
    store.abort(&upload).await.unwrap();
    store.write(&key("x"), bytes(MIB / 2, 1)).await.unwrap();
}

#[tokio::test]
async fn space_is_set_aside_before_the_first_part_comes() {
    let Some((disk, _image)) = Mounted::image("xfs", 512 << 20) else { return };
    let store = open(disk.path()).await;
    let error = store.create(&key("x"), CreateUploadOptions::new().size(1 << 30)).await.unwrap_err();
    assert_eq!((error.kind(), error.context("bytes")), (ErrorKind::OutOfSpace, Some("1073741824")), "{error}");
    let upload = store.create(&key("x"), CreateUploadOptions::new().size(256 << 20)).await.unwrap();
    let free = rustix::fs::statvfs(disk.path()).map(|system| system.f_bavail * system.f_frsize).unwrap();
    assert!(free < 256 << 20, "{free} bytes are free still");
    store.abort(&upload).await.unwrap();
    assert!(on_disk(disk.path()).is_empty());
}

#[tokio::test]
async fn no_inodes_left_is_out_of_space_too() {
    let Some(disk) = Mounted::new("size=1m,nr_inodes=3") else { return };
    let store = open(disk.path()).await;
    let mut written = 0;
    let error = loop {
        match store.write(&key(&format!("f{written}")), "x".into()).await {
            Ok(_) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10);
    };
    assert_eq!(error.kind(), ErrorKind::OutOfSpace, "{error}");
}

#[tokio::test]
async fn a_read_only_disk_is_read_and_refuses_writes() {
    let Some(disk) = Mounted::new("size=4m") else { return };
    open(disk.path()).await.write(&key("there"), "x".into()).await.unwrap();
    disk.remount("remount,ro");
    let store = open(disk.path()).await;
    assert_eq!(store.read(&key("there"), 1).await.unwrap(), "x");
    for name in ["new", "there", "new/folder"] {
        let error = store.write(&key(name), "y".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ReadOnly, "{name}: {error}");
    }
    assert_eq!(store.remove(&key("there")).await.unwrap_err().kind(), ErrorKind::ReadOnly);
    let error = store.create(&key("x"), CreateUploadOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ReadOnly);
}

#[tokio::test]
async fn a_disk_without_extended_attributes_says_so() {
    let Some(disk) = Mounted::of("ramfs", "mode=0755") else { return };
    let store = open(disk.path()).await;
    if store.capabilities().keeps(Attribute::ContentType) {
        println!("skipped: this system has extended attributes everywhere");
        return;
    }
    let mut attributes = Attributes::default();
    attributes.user_metadata.insert("mtime".into(), "1.000000000".into());
    attributes.user_metadata.insert("mode".into(), "100644".into());
    let name = key("x");
    let put =
        |attributes: &Attributes| store.put(&name, Body::from("x"), PutOptions::new().attributes(attributes.clone()));
    put(&attributes).await.unwrap();
    assert_eq!(store.head(&key("x"), HeadOptions::new()).await.unwrap().attributes, attributes);
    attributes.user_metadata.insert("color".into(), "red".into());
    let error = put(&attributes).await.unwrap_err();
    assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::Unsupported, Some("user-metadata")));
    attributes.user_metadata.remove("color");
    attributes.content_type = Some("text/plain".into());
    let error = put(&attributes).await.unwrap_err();
    assert_eq!((error.kind(), error.context("attribute")), (ErrorKind::Unsupported, Some("content-type")));
}
