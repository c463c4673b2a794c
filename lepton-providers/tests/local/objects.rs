//! Putting, getting, deleting; conditions, attributes, odd names.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use lepton_core::{
    Attribute, Attributes, Body, BodySource, DeleteRequest, ErrorKind, GetOptions, HeadOptions, LEAF_SIZE, Leaf,
    LeafStream, ObjectKey, Precondition, PutOptions, ServerCheck, Storage as _, StorageExt as _,
};
use lepton_providers::local::{Durability, EmptyDirectories, LocalConfig, LocalStorage};

use super::{builder, bytes, collect, key, keys, on_disk, open};

#[tokio::test]
async fn what_is_put_is_got_whole_and_in_ranges() {
    let dir = tempfile::tempdir().unwrap();
    for (paranoid, sync) in [(false, Durability::Always), (true, Durability::None)] {
        let store = builder(dir.path()).paranoid(paranoid).sync(sync).open().await.unwrap();
        for len in [0, 1, LEAF_SIZE - 1, LEAF_SIZE, LEAF_SIZE + 1, 5 * LEAF_SIZE + 17] {
            let (name, data) = (key("a/b/file"), bytes(len, 3));
            let receipt = store.put(&name, Body::from(data.clone()), PutOptions::new()).await.unwrap();
            assert_eq!(receipt.check, ServerCheck::AsWritten);
            let reply = store.get(&name, GetOptions::new()).await.unwrap();
            assert_eq!((reply.meta.size, &reply.meta.etag), (len as u64, &receipt.etag));
            assert!(collect(reply).await.unwrap() == data, "{len} bytes");
            for range in [0..1, 7..LEAF_SIZE + 9, len / 2..len + 100].into_iter().filter(|range| range.start < len) {
                let asked = range.start as u64..range.end as u64;
                let reply = store.get(&name, GetOptions::new().range(asked)).await.unwrap();
                assert_eq!(reply.range.end, range.end.min(len) as u64);
                assert!(collect(reply).await.unwrap() == data[range.start..range.end.min(len)], "{range:?} of {len}");
            }
            let beyond = store.get(&name, GetOptions::new().range(len as u64 + 1..u64::MAX)).await;
            assert_eq!(beyond.unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert_eq!(on_disk(dir.path()), ["a", "a/b", "a/b/file"]);
        store.remove(&key("a/b/file")).await.unwrap();
        assert!(on_disk(dir.path()).is_empty(), "folders that hold nothing are removed");
    }
}

#[tokio::test]
async fn conditions_hold() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let name = key("x");
    let put = async |text: &'static str, condition| {
        store.put(&name, Body::from(text), PutOptions::new().precondition(condition)).await
    };
    let first = put("1", Precondition::IfAbsent).await.unwrap().etag.unwrap();
    assert_eq!(put("2", Precondition::IfAbsent).await.unwrap_err().kind(), ErrorKind::AlreadyExists);
    let second = put("2", Precondition::IfMatch(first.clone())).await.unwrap().etag.unwrap();
    assert_ne!(first, second);
    let stale = put("3", Precondition::IfMatch(first.clone())).await.unwrap_err();
    assert_eq!(stale.kind(), ErrorKind::PreconditionFailed);
    assert_eq!(store.read(&name, 10).await.unwrap(), "2");

    let read = |etag| store.get(&name, GetOptions::new().if_match(Some(etag)));
    assert_eq!(read(first.clone()).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    assert_eq!(collect(read(second.clone()).await.unwrap()).await.unwrap(), b"2");

    let remove = async |etag| {
        let request = DeleteRequest::new(name.clone()).if_match(Some(etag));
        store.delete(vec![request]).await.unwrap().check()
    };
    assert_eq!(remove(first.clone()).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    remove(second).await.unwrap();
    remove(first.clone()).await.unwrap();
    assert_eq!(put("4", Precondition::IfMatch(first)).await.unwrap_err().kind(), ErrorKind::PreconditionFailed);
    assert!(on_disk(dir.path()).is_empty());
}

#[tokio::test]
async fn of_many_that_want_to_be_first_one_is() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let puts = (0..16u8).map(|seed| {
        let store = store.clone();
        async move {
            let options = PutOptions::new().precondition(Precondition::IfAbsent);
            store.put(&key("deep/er/x"), Body::from(bytes(100, seed)), options).await
        }
    });
    let done = futures_util::future::join_all(puts).await;
    let (won, lost): (Vec<_>, Vec<_>) = done.into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert!(lost.into_iter().all(|put| put.unwrap_err().kind() == ErrorKind::AlreadyExists));
}

#[tokio::test]
async fn puts_and_deletes_of_one_folder_do_not_disturb_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let store = builder(dir.path()).sync(Durability::None).open().await.unwrap();
    let rounds = (0..8u8).map(|task| {
        let store = store.clone();
        tokio::spawn(async move {
            let name = key(&format!("shared/folder/{task}"));
            for round in 0..50 {
                let options = PutOptions::new().precondition(Precondition::IfAbsent);
                store.put(&name, Body::from(vec![round]), options).await.unwrap();
                assert_eq!(store.read(&name, 1).await.unwrap(), vec![round]);
                store.remove(&name).await.unwrap();
            }
        })
    });
    for round in rounds.collect::<Vec<_>>() {
        round.await.unwrap();
    }
    assert!(on_disk(dir.path()).is_empty());
}

/// Gives some leaves, then fails or ends early.
struct Failing {
    leaves: usize,
    fails: bool,
}

impl BodySource for Failing {
    fn open(&self) -> LeafStream {
        let leaf = || Ok(Leaf { pieces: vec![bytes(LEAF_SIZE, 1)], sha256: None });
        let good = stream::iter((0..self.leaves).map(move |_| leaf()));
        let error = || Err(lepton_core::Error::new(ErrorKind::Throttled, "the source is busy"));
        good.chain(stream::iter(self.fails.then(error))).boxed()
    }
}

#[tokio::test]
async fn a_body_that_fails_comes_back_as_it_is_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for leaves in 0..4 {
        let body = Body::from_source(5 << 20, Arc::new(Failing { leaves, fails: true }));
        let error = store.put(&key("new/folder/x"), body, PutOptions::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Throttled, "the source is busy"));
        let body = Body::from_source(5 << 20, Arc::new(Failing { leaves, fails: false }));
        let error = store.put(&key("new/folder/x"), body, PutOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(error.to_string().contains(&format!("gave {} bytes", leaves << 20)), "{error}");
        assert!(on_disk(dir.path()).is_empty(), "{:?}", on_disk(dir.path()));
    }
}

#[tokio::test]
async fn a_dropped_put_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let (reached, mut seen) = tokio::sync::mpsc::channel::<()>(1);
    struct Stuck(tokio::sync::mpsc::Sender<()>);
    impl BodySource for Stuck {
        fn open(&self) -> LeafStream {
            let leaf = |_| Ok(Leaf { pieces: vec![bytes(LEAF_SIZE, 1)], sha256: None });
            let tell = self.0.clone();
            let stuck = stream::once(async move {
                tell.send(()).await.unwrap();
                std::future::pending().await
            });
            stream::iter(0..2).map(leaf).chain(stuck).boxed()
        }
    }
    let body = Body::from_source(9 << 20, Arc::new(Stuck(reached)));
    let task = tokio::spawn({
        let store = store.clone();
        async move { store.put(&key("new/x"), body, PutOptions::new()).await }
    });
    seen.recv().await.unwrap();
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    // The hop that was running ends by itself; wait for what it leaves behind.
    while std::fs::read_dir(dir.path()).unwrap().next().is_some() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn odd_names_are_kept_or_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let longest = "n".repeat(255);
    let deep = vec!["d".repeat(200); 20].join("/");
    let kept: Vec<&[u8]> = vec![
        b"a b",
        b"%41",
        b"new\nline",
        b"tab\tbell\x07",
        b"\xff\xfe/\x80",
        "gr\u{fc}n/\u{1f600}".as_bytes(),
        b"...",
        b"-rf",
        b".hidden",
        b".lepton",
        b".lepton-xyz.tmp",
        longest.as_bytes(),
        deep.as_bytes(),
        b"a\\b",
        b"*?\"<>|",
    ];
    for name in &kept {
        let name = ObjectKey::new(name.to_vec()).unwrap();
        store.write(&name, name.to_bytes()).await.unwrap();
        assert_eq!(store.read(&name, 5000).await.unwrap(), name.to_bytes());
    }
    let mut sorted: Vec<Vec<u8>> = kept.iter().map(|name| name.to_vec()).collect();
    sorted.sort();
    let listed: Vec<ObjectKey> = keys(&store).await.iter().map(|text| ObjectKey::from_text(text).unwrap()).collect();
    assert_eq!(listed.iter().map(|key| key.as_bytes().to_vec()).collect::<Vec<_>>(), sorted);

    let before = on_disk(dir.path());
    let (too_long, too_deep) = ("n".repeat(256), format!("{deep}/{}", "e".repeat(100)));
    for name in [
        "/lead",
        "a//b",
        "a/./b",
        "../x",
        "a/..",
        ".",
        "nul\0byte",
        "end/",
        &too_long,
        &too_deep,
        ".lepton-01ab.tmp",
        "a/.lepton-01ab.parts",
        ".lepton-01ab.data/x",
    ] {
        let error = store.write(&key(name), "x".into()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey, "{name}: {error}");
        assert_eq!((error.operation(), error.context("key")), (Some("put"), Some(&*key(name).to_string())));
        assert_eq!(store.head(&key(name), HeadOptions::new()).await.unwrap_err().kind(), ErrorKind::InvalidKey);
        assert!(store.remove(&key(name)).await.is_err());
    }
    assert_eq!(on_disk(dir.path()), before);
}

#[tokio::test]
async fn a_file_beside_a_folder_of_its_name_is_refused_naming_both() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.write(&key("a/b"), "1".into()).await.unwrap();
    let error = store.write(&key("a"), "2".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.context("in_the_way")), (ErrorKind::InvalidKey, Some("a/")), "{error}");
    let error = store.write(&key("a/b/c/d"), "3".into()).await.unwrap_err();
    assert_eq!((error.kind(), error.context("in_the_way")), (ErrorKind::InvalidKey, Some("a/b")), "{error}");
    for name in ["a", "a/b/c", "nothing", "no/thing"] {
        assert!(!store.exists(&key(name)).await.unwrap(), "{name}");
        store.remove(&key(name)).await.unwrap();
    }
    assert_eq!(store.read(&key("a/b"), 1).await.unwrap(), "1");
}

#[tokio::test]
async fn attributes_times_and_modes_round_trip() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    if !store.capabilities().keeps(Attribute::UserMetadata) {
        println!("skipped: the temporary folder has no extended attributes");
        return;
    }
    let mut attributes = Attributes::default();
    attributes.content_type = Some("text/plain; charset=utf-8".into());
    attributes.cache_control = Some("no-store".into());
    attributes.expires = Some("Thu, 01 Dec 1994 16:00:00 GMT".into());
    for (name, value) in [("mtime", "1354040105.123456789"), ("mode", "100640"), ("color", "gr\u{fc}n"), ("empty", "")]
    {
        attributes.user_metadata.insert(name.into(), value.into());
    }
    let options = PutOptions::new().attributes(attributes.clone());
    store.put(&key("f"), Body::from("x"), options).await.unwrap();
    let info = store.head(&key("f"), HeadOptions::new()).await.unwrap();
    assert_eq!(info.attributes, attributes);
    assert_eq!(store.get(&key("f"), GetOptions::new()).await.unwrap().attributes, attributes);
    let file = dir.path().join("f").metadata().unwrap();
    assert_eq!((file.mtime(), file.mtime_nsec(), file.permissions().mode()), (1_354_040_105, 123_456_789, 0o100_640));

    // Somebody else's `mtime` and `mode` are kept as they are.
    let mut foreign = Attributes::default();
    foreign.user_metadata.insert("mtime".into(), "yesterday".into());
    foreign.user_metadata.insert("mode".into(), "dark".into());
    store.put(&key("g"), Body::from("x"), PutOptions::new().attributes(foreign.clone())).await.unwrap();
    assert_eq!(store.head(&key("g"), HeadOptions::new()).await.unwrap().attributes, foreign);
}

#[tokio::test]
async fn what_a_disk_cannot_keep_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let mut tags = Attributes::default();
    tags.tags.insert("a".into(), "b".into());
    let mut large = Attributes::default();
    large.user_metadata.insert("large".into(), "x".repeat(100_000));
    let mut header = Attributes::default();
    header.user_metadata.insert("content-type".into(), "x".into());
    for (options, says) in [
        (PutOptions::new().attributes(tags), "tags"),
        (PutOptions::new().attributes(large), "large"),
        (PutOptions::new().attributes(header), "content-type"),
        (PutOptions::new().storage_class(Some("COLD".into())), "COLD"),
    ] {
        let error = store.put(&key("f"), Body::from("x"), options).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    assert!(on_disk(dir.path()).is_empty());
}

#[tokio::test]
async fn empty_folders_are_markers_where_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("empty/below")).unwrap();
    assert!(keys(&open(dir.path()).await).await.is_empty());

    let store = builder(dir.path()).empty_directories(EmptyDirectories::Marker).open().await.unwrap();
    assert_eq!(keys(&store).await, ["empty/below/"]);
    let receipt = store.put(&key("new/one/"), Body::from(""), PutOptions::new()).await.unwrap();
    let info = store.head(&key("new/one/"), HeadOptions::new()).await.unwrap();
    assert_eq!((info.meta.size, &info.meta.etag), (0, &receipt.etag));
    assert_eq!(store.read(&key("new/one/"), 0).await.unwrap(), "");
    let again = PutOptions::new().precondition(Precondition::IfAbsent);
    let error = store.put(&key("new/one/"), Body::from(""), again).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    let error = store.put(&key("new/two/"), Body::from("x"), PutOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey);

    store.write(&key("new/one/file"), "x".into()).await.unwrap();
    assert_eq!(keys(&store).await, ["empty/below/", "new/one/file"]);
    assert_eq!(store.head(&key("new/one/"), HeadOptions::new()).await.unwrap().meta.etag, receipt.etag);
    store.remove(&key("new/one/")).await.unwrap();
    store.remove(&key("new/one/file")).await.unwrap();
    assert_eq!(keys(&store).await, ["empty/below/", "new/one/"]);
    store.remove(&key("new/one/")).await.unwrap();
    assert_eq!(keys(&store).await, ["empty/below/", "new/"]);
    let error = store.put(&key("file"), Body::from("x"), PutOptions::new()).await.map(|_| ());
    error.unwrap();
    let error = store.put(&key("file/"), Body::from(""), PutOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidKey);
}

#[tokio::test]
async fn roots_are_opened_made_and_named() {
    let dir = tempfile::tempdir().unwrap();
    let missing = dir.path().join("a b/c");
    let error = builder(&missing).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BucketNotFound);
    assert!(error.to_string().contains("a b/c"), "{error}");
    let store = builder(&missing).create_root(true).open().await.unwrap();
    let real = dir.path().canonicalize().unwrap();
    assert_eq!(store.url(), format!("file://{}/a%20b/c", real.display()));
    std::fs::remove_dir(&missing).unwrap();
    let error = store.head(&key("x"), HeadOptions::new()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BucketNotFound);
    assert_eq!(store.list(Default::default()).next().await.unwrap().unwrap_err().kind(), ErrorKind::BucketNotFound);

    std::fs::write(dir.path().join("file"), "").unwrap();
    let error = builder(&dir.path().join("file")).create_root(false).open().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn settings_come_from_configuration_and_unknown_ones_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let json = serde_json::json!({"root": dir.path(), "symlinks": "error", "sync": "none", "paranoid": true});
    let settings: LocalConfig = serde_json::from_value(json).unwrap();
    let store = LocalStorage::from_settings(settings).open().await.unwrap();
    store.write(&key("x"), "1".into()).await.unwrap();
    let error = serde_json::from_str::<LocalConfig>(r#"{"root": "/", "symlink": "skip"}"#).unwrap_err();
    assert!(error.to_string().contains("`symlinks`"), "{error}");
}
