//! Nothing outside the root is read or written; special files do no harm.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use futures_util::TryStreamExt as _;
use futures_util::stream::{self, StreamExt as _};
use lepton_core::{
    Body, BodySource, CreateUploadOptions, ErrorKind, GetOptions, HeadOptions, KeyPrefix, LEAF_SIZE, Leaf, LeafStream,
    PartSpec, PutOptions, Storage as _, StorageExt as _, Upload, UploadId,
};
use lepton_providers::local::{SpecialFiles, Symlinks};

use super::{builder, bytes, key, keys, on_disk, open};

/// A folder with a secret beside the root, and links that lead out.
fn escapes() -> (tempfile::TempDir, std::path::PathBuf) {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    std::fs::create_dir_all(root.join("inside")).unwrap();
    std::fs::create_dir(outer.path().join("outside")).unwrap();
    std::fs::write(outer.path().join("outside/secret"), "secret").unwrap();
    std::fs::write(root.join("inside/file"), "file").unwrap();
    symlink(outer.path().join("outside"), root.join("absolute")).unwrap();
    symlink("../outside", root.join("up")).unwrap();
    symlink("../outside/secret", root.join("secret")).unwrap();
    (outer, root)
}

fn untouched(outer: &Path) {
    assert_eq!(on_disk(&outer.join("outside")), ["secret"]);
    assert_eq!(std::fs::read(outer.join("outside/secret")).unwrap(), b"secret");
}

#[tokio::test]
async fn no_link_leads_out() {
    for policy in [Symlinks::Skip, Symlinks::Follow, Symlinks::Error] {
        let (outer, root) = escapes();
        let store = builder(&root).symlinks(policy).open().await.unwrap();
        for name in ["absolute/secret", "up/secret", "secret"] {
            let error = store.get(&key(name), GetOptions::new()).await.unwrap_err();
            let expected = if policy == Symlinks::Skip { ErrorKind::NotFound } else { ErrorKind::InvalidKey };
            assert_eq!(error.kind(), expected, "{policy:?} {name}: {error}");
            let _ = store.remove(&key(name)).await;
        }
        for name in ["absolute/new", "up/new", "up/secret", "up/new/folder/x"] {
            let error = store.write(&key(name), "x".into()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidKey, "{policy:?} {name}: {error}");
            let error = store.multipart().unwrap().create(&key(name), CreateUploadOptions::new()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidKey);
        }
        untouched(outer.path());
    }
}

#[tokio::test]
async fn a_put_replaces_a_link_and_does_not_write_through_it() {
    let (outer, root) = escapes();
    let store = open(&root).await;
    store.write(&key("secret"), "mine".into()).await.unwrap();
    assert_eq!(store.read(&key("secret"), 10).await.unwrap(), "mine");
    assert!(root.join("secret").symlink_metadata().unwrap().is_file());
    untouched(outer.path());
}

#[tokio::test]
async fn a_listing_follows_the_policy() {
    let (_outer, root) = escapes();
    assert_eq!(keys(&open(&root).await).await, ["inside/file"]);
    for policy in [Symlinks::Follow, Symlinks::Error] {
        let store = builder(&root).symlinks(policy).open().await.unwrap();
        let error = store.objects(KeyPrefix::default()).try_collect::<Vec<_>>().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey);
        let link = error.context("path").unwrap();
        assert!(["absolute", "up", "secret"].contains(&link), "{error}");
    }
    for link in ["absolute", "up", "secret"] {
        std::fs::remove_file(root.join(link)).unwrap();
    }
    symlink("inside", root.join("alias")).unwrap();
    symlink("inside/file", root.join("shortcut")).unwrap();
    let store = builder(&root).symlinks(Symlinks::Follow).open().await.unwrap();
    assert_eq!(keys(&store).await, ["alias/file", "inside/file", "shortcut"]);
    assert_eq!(store.read(&key("alias/file"), 10).await.unwrap(), "file");
    assert_eq!(store.head(&key("shortcut"), HeadOptions::new()).await.unwrap().meta.size, 4);
    store.write(&key("alias/new"), "x".into()).await.unwrap();
    assert!(root.join("inside/new").is_file());
    for (target, says) in [("nowhere", "nothing"), (".", "circle")] {
        symlink(target, root.join("inside/odd")).unwrap();
        let error = store.objects(KeyPrefix::default()).try_collect::<Vec<_>>().await.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
        std::fs::remove_file(root.join("inside/odd")).unwrap();
    }
}

/// Swaps a folder for a link that leads out when the second leaf is asked for.
struct Swapping(std::path::PathBuf);

impl BodySource for Swapping {
    fn open(&self) -> LeafStream {
        let root = self.0.clone();
        let leaf = || Ok(Leaf { pieces: vec![bytes(LEAF_SIZE, 1)], sha256: None });
        let swap = stream::once(async move {
            // The first leaf is only written once the second is there: with the
            // third, the file and its folder are open.
            if root.join("inside").is_dir() && !root.join("moved").exists() {
                std::fs::rename(root.join("inside"), root.join("moved")).unwrap();
                symlink("../outside", root.join("inside")).unwrap();
            }
            leaf()
        });
        stream::iter([leaf(), leaf(), leaf()]).chain(swap).boxed()
    }
}

#[tokio::test]
async fn a_link_swapped_in_while_writing_is_not_followed() {
    let (outer, root) = escapes();
    let store = open(&root).await;
    let body = Body::from_source(4 << 20, Arc::new(Swapping(root.clone())));
    // Whether the folder was open already or not, the bytes stay in the root.
    let _ = store.put(&key("inside/big"), body, PutOptions::new()).await;
    untouched(outer.path());

    let (outer, root) = escapes();
    let store = open(&root).await;
    let uploads = store.multipart().unwrap();
    let upload = uploads.create(&key("inside/big"), CreateUploadOptions::new()).await.unwrap();
    let body = Body::from_source(4 << 20, Arc::new(Swapping(root.clone())));
    let _ = uploads.upload_part(&upload, PartSpec::new(1, 0..4 << 20), body).await;
    let error = uploads.upload_part(&upload, PartSpec::new(2, 0..1), Body::from("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UploadNotFound);
    untouched(outer.path());
}

#[tokio::test]
async fn the_id_of_an_upload_is_never_a_path() {
    let (outer, root) = escapes();
    let store = open(&root).await;
    let uploads = store.multipart().unwrap();
    let good = uploads.create(&key("inside/x"), CreateUploadOptions::new()).await.unwrap();
    let ids = ["", "../../outside/secret", "a/../../outside/secret", "\0", &good.id.as_str()[1..], &"0".repeat(48)];
    for id in ids {
        let upload = Upload::new(key("inside/x"), UploadId::new(id));
        let error = uploads.upload_part(&upload, PartSpec::new(1, 0..1), Body::from("x")).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UploadNotFound, "{id:?}");
        uploads.abort(&upload).await.unwrap();
    }
    let stolen = Upload::new(key("inside/y"), good.id.clone());
    let error = uploads.upload_part(&stolen, PartSpec::new(1, 0..1), Body::from("x")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UploadNotFound);
    untouched(outer.path());
}

#[tokio::test]
async fn special_files_are_left_out_or_named_and_never_block() {
    let dir = tempfile::tempdir().unwrap();
    let handle = std::fs::File::open(dir.path()).unwrap();
    rustix::fs::mknodat(&handle, "pipe", rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let _socket = UnixListener::bind(dir.path().join("socket")).unwrap();
    std::fs::write(dir.path().join("file"), "x").unwrap();
    let store = open(dir.path()).await;
    assert_eq!(keys(&store).await, ["file"]);
    for name in ["pipe", "socket"] {
        assert!(!store.exists(&key(name)).await.unwrap());
        store.remove(&key(name)).await.unwrap();
        assert!(dir.path().join(name).exists());
    }
    let store = builder(dir.path()).special_files(SpecialFiles::Error).open().await.unwrap();
    let error = store.objects(KeyPrefix::default()).try_collect::<Vec<_>>().await.unwrap_err();
    assert!(["pipe", "socket"].contains(&error.context("path").unwrap()), "{error}");
    for name in ["pipe", "socket"] {
        let error = store.get(&key(name), GetOptions::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.context("path")), (ErrorKind::Unsupported, Some(name)));
    }
}
