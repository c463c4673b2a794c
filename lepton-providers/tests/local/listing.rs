//! Listings: order, pages, prefixes, delimiters, large folders.

use futures_util::TryStreamExt as _;
use lepton_core::{ErrorKind, KeyPrefix, ListPage, ListRequest, ObjectKey, Storage as _, StorageExt as _};

use super::{key, keys, open};

const TREE: &[&str] = &["a", "b-", "b/1", "b/2/x", "b/2/y", "b/3", "b0", "c/d/e/f", "\u{fc}/z"];

fn grow(root: &std::path::Path, names: &[&str]) {
    for name in names {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, name).unwrap();
    }
    std::fs::create_dir_all(root.join("empty/folder")).unwrap();
}

fn text(page: &ListPage) -> (Vec<String>, Vec<String>) {
    let objects = page.objects.iter().map(|meta| String::from_utf8_lossy(meta.key.as_bytes()).into_owned());
    let prefixes = page.prefixes.iter().map(|prefix| String::from_utf8_lossy(prefix.as_bytes()).into_owned());
    (objects.collect(), prefixes.collect())
}

/// What a listing of `TREE` should give, by the definition.
fn expected(prefix: &str, after: Option<&str>, delimiter: bool) -> (Vec<String>, Vec<String>) {
    let (mut objects, mut prefixes) = (Vec::new(), Vec::new());
    for name in TREE.iter().filter(|name| name.starts_with(prefix) && after.is_none_or(|after| **name > after)) {
        match name[prefix.len()..].find('/').filter(|_| delimiter) {
            Some(at) => prefixes.push(name[..=prefix.len() + at].to_owned()),
            None => objects.push((*name).to_owned()),
        }
    }
    prefixes.dedup();
    (objects, prefixes)
}

#[tokio::test]
async fn every_combination_of_prefix_start_delimiter_and_page_is_right() {
    let dir = tempfile::tempdir().unwrap();
    grow(dir.path(), TREE);
    let store = open(dir.path()).await;
    let prefixes = ["", "b", "b/", "b/2", "b/2/", "c/d", "b//", "/", "../", "b/1/", "none/", "empty/", "\u{fc}/"];
    let starts = ["", "a", "b", "b-", "b/", "b/1", "b/2", "b/2/x", "b/2/~", "b/9", "c/d/e/f", "zzz"];
    for prefix in prefixes {
        for after in starts.map(|after| Some(after).filter(|after| !after.is_empty())) {
            for delimiter in [false, true] {
                for size in [1, 2, 1000] {
                    let mut request = ListRequest::new().prefix(KeyPrefix::from(prefix)).page_size(size);
                    request = if let Some(after) = after { request.start_after(after) } else { request };
                    request = if delimiter { request.delimiter(b'/') } else { request };
                    let pages: Vec<ListPage> = store.list(request.clone()).try_collect().await.unwrap();
                    assert!(pages.iter().all(|page| page.objects.len() + page.prefixes.len() <= size));
                    let all = pages.into_iter().fold(ListPage::default(), |mut all, page| {
                        all.objects.extend(page.objects);
                        all.prefixes.extend(page.prefixes);
                        all
                    });
                    assert_eq!(text(&all), expected(prefix, after, delimiter), "{request:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_folder_of_100_000_files_is_listed_in_order() {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    // Names whose order differs from the order in which they are made.
    let name = |i: u32| format!("{:08x}", i.wrapping_mul(2_654_435_761));
    for i in 0..100_000 {
        std::fs::write(dir.path().join(name(i)), "").unwrap();
    }
    let store = open(dir.path()).await;
    let pages: Vec<ListPage> = store.list(ListRequest::new()).try_collect().await.unwrap();
    assert_eq!(pages.len(), 100);
    let listed: Vec<ObjectKey> = pages.into_iter().flat_map(|page| page.objects).map(|meta| meta.key).collect();
    assert_eq!(listed.len(), 100_000);
    assert!(listed.is_sorted_by(|a, b| a < b));
    let after = listed[99_000].to_bytes();
    let rest: Vec<ListPage> = store.list(ListRequest::new().start_after(after)).try_collect().await.unwrap();
    assert!(rest.iter().flat_map(|page| &page.objects).map(|meta| &meta.key).eq(&listed[99_001..]));
}

#[tokio::test]
async fn what_vanishes_while_listing_is_left_out() {
    let dir = tempfile::tempdir().unwrap();
    grow(dir.path(), TREE);
    let store = open(dir.path()).await;
    let mut pages = store.list(ListRequest::new().page_size(1));
    assert_eq!(text(&pages.try_next().await.unwrap().unwrap()).0, ["a"]);
    std::fs::remove_file(dir.path().join("b-")).unwrap();
    assert_eq!(text(&pages.try_next().await.unwrap().unwrap()).0, ["b/1"]);
    assert_eq!(text(&pages.try_next().await.unwrap().unwrap()).0, ["b/2/x"]);
    std::fs::remove_dir_all(dir.path().join("b")).unwrap();
    std::fs::remove_dir_all(dir.path().join("c")).unwrap();
    assert_eq!(text(&pages.try_next().await.unwrap().unwrap()).0, ["b0"]);
    assert_eq!(text(&pages.try_next().await.unwrap().unwrap()).0, ["\u{fc}/z"]);
    assert!(pages.try_next().await.unwrap().is_none_or(|page| page.objects.is_empty()));
}

#[tokio::test]
async fn other_delimiters_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let error = open(dir.path()).await.list(ListRequest::new().delimiter(b'-')).try_next().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Unsupported, Some("list")));
}

#[tokio::test]
async fn a_listing_shows_what_a_head_shows() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    store.write(&key("x/y"), "123".into()).await.unwrap();
    let listed: Vec<_> = store.objects(KeyPrefix::default()).try_collect().await.unwrap();
    let head = store.head(&key("x/y"), lepton_core::HeadOptions::new()).await.unwrap();
    assert_eq!(listed, [head.meta]);
    assert_eq!(keys(&store).await, ["x/y"]);
}

#[tokio::test]
async fn a_folder_that_cannot_be_opened_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut folder: std::os::fd::OwnedFd = std::fs::File::open(dir.path()).unwrap().into();
    // Deeper than a path can be long.
    let name = "d".repeat(250);
    for _ in 0..20 {
        rustix::fs::mkdirat(&folder, &name, 0o755.into()).unwrap();
        let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::RDONLY;
        folder = rustix::fs::openat(&folder, &name, flags, rustix::fs::Mode::empty()).unwrap();
    }
    let store = open(dir.path()).await;
    let error = store.objects(KeyPrefix::default()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::InvalidKey, Some("list")));
    assert!(error.context("path").unwrap().starts_with(&name), "{error}");
}

#[tokio::test]
async fn a_folder_that_may_not_be_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    grow(dir.path(), &["a/x", "closed/y"]);
    std::fs::set_permissions(dir.path().join("closed"), std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::read_dir(dir.path().join("closed")).is_ok() {
        println!("skipped: the superuser may read everything");
        return;
    }
    let error = open(dir.path()).await.objects(KeyPrefix::default()).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!((error.kind(), error.context("path")), (ErrorKind::PermissionDenied, Some("closed")));
}
