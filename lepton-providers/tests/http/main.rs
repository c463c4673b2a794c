//! The backend of web servers: against nginx, and for what that does not show against fakes.
//!
//! Its address is in `LEPTON_TEST_NGINX`, and the folder that it serves beside it; without
//! one the tests are skipped with a line that says so, unless `LEPTON_TEST_REQUIRED=1`.

#![cfg(feature = "http")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout, missing_docs, reason = "test")]

#[allow(unreachable_pub, reason = "the tests of the whole use it too")]
mod fake;
mod lists;
mod manners;
mod redirects;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::TryStreamExt as _;
use lepton_core::{
    ErrorKind, GetOptions, HeadOptions, KeyPrefix, ListRequest, ObjectKey, Storage as _, StorageExt as _,
};
use lepton_providers::http::{HttpConfig, HttpStorage};

/// A folder that nginx serves, of this test alone.
struct Served {
    endpoint: String,
    folder: PathBuf,
    name: String,
}

impl Served {
    fn new() -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let (endpoint, data) = (given("LEPTON_TEST_NGINX")?, given("LEPTON_TEST_NGINX_DATA")?);
        let name = format!("{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(data).join("objects").join(&name);
        for (path, bytes) in FILES {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, bytes).unwrap();
            aged(&path, -60);
        }
        Some(Self { endpoint, folder, name })
    }

    fn config(&self, way: &str) -> HttpConfig {
        HttpConfig::new(format!("{}/{way}/{}/", self.endpoint, self.name)).proxy("none")
    }

    fn store(&self, way: &str) -> HttpStorage {
        HttpStorage::new(self.config(way)).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// What the test driver gives in an environment variable.
fn given(variable: &str) -> Option<String> {
    match std::env::var(variable) {
        Ok(value) => Some(value),
        Err(_) if std::env::var("LEPTON_TEST_REQUIRED").is_ok_and(|value| value == "1") => {
            panic!("{variable} is not set, and LEPTON_TEST_REQUIRED=1")
        }
        Err(_) => {
            println!("skipped: {variable} is not set");
            None
        }
    }
}

/// Makes a file look as if it had been written so many seconds from now: one that is as
/// young as the answer is not pinned by its date.
fn aged(path: &std::path::Path, seconds: i64) {
    let by = std::time::Duration::from_secs(seconds.unsigned_abs());
    let now = std::time::SystemTime::now();
    let time = if seconds < 0 { now - by } else { now + by };
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.set_times(std::fs::FileTimes::new().set_modified(time)).unwrap();
}

/// In the order of their keys.
const FILES: [(&str, &str); 7] = [
    ("a b&c.txt", "first"),
    ("b.txt", "second"),
    ("b/deep/x", "third"),
    ("b/y", ""),
    ("b0", "after the folder"),
    ("ü%41", "odd"),
    ("z#?;", "odder"),
];

fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

async fn keys(store: &HttpStorage, request: ListRequest) -> Vec<String> {
    let pages: Vec<_> = store.list(request).try_collect().await.unwrap();
    pages.into_iter().flat_map(|page| page.objects).map(|meta| meta.key.as_str().unwrap().to_owned()).collect()
}

fn sorted() -> Vec<String> {
    let mut names: Vec<String> = FILES.iter().map(|(name, _)| (*name).to_owned()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn index_pages_give_all_files_in_order() {
    let Some(served) = Served::new() else { return };
    for way in ["html", "json", "weak"] {
        let store = served.store(way);
        assert_eq!(keys(&store, ListRequest::new()).await, sorted(), "{way}");
        for (name, bytes) in FILES {
            assert_eq!(store.read(&key(name), 100).await.unwrap(), bytes, "{way} {name}");
        }
        for prefix in ["b", "b/", "b/d", "nothing", "nothing/", "b.txt/"] {
            let expected: Vec<String> = sorted().into_iter().filter(|name| name.starts_with(prefix)).collect();
            let request = ListRequest::new().prefix(KeyPrefix::new(prefix.as_bytes().to_vec()));
            assert_eq!(keys(&store, request).await, expected, "{way} {prefix}");
        }
        for after in ["b.txt", "b/deep/x", "b/e", "zz"] {
            let expected: Vec<String> = sorted().into_iter().filter(|name| name.as_str() > after).collect();
            let request = ListRequest::new().start_after(after.as_bytes().to_vec());
            assert_eq!(keys(&store, request).await, expected, "{way} {after}");
        }
        let pages: Vec<_> = store.list(ListRequest::new().delimiter(b'/')).try_collect().await.unwrap();
        let folders: Vec<_> = pages.iter().flat_map(|page| &page.prefixes).collect();
        assert_eq!(folders, [&KeyPrefix::new("b/")], "{way}");
    }
}

#[tokio::test]
async fn ranges_and_pins_hold() {
    let Some(served) = Served::new() else { return };
    for way in ["html", "weak"] {
        let store = served.store(way);
        let name = key("b.txt");
        let part = store.get(&name, GetOptions::new().range(1..4)).await.unwrap();
        assert_eq!((part.range.clone(), part.meta.size), (1..4, 6), "{way}");
        assert_eq!(part.body.try_collect::<Vec<_>>().await.unwrap().concat(), b"eco", "{way}");
        let pin = store.head(&name, HeadOptions::new()).await.unwrap().meta.etag;
        store.get(&name, GetOptions::new().if_match(pin.clone())).await.unwrap();
        let path = served.folder.join("b.txt");
        std::fs::write(&path, "changed").unwrap();
        aged(&path, 5);
        let error = store.get(&name, GetOptions::new().if_match(pin)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{way}: {error:?}");
        std::fs::write(&path, "second").unwrap();
        aged(&path, -60);
    }
}

#[tokio::test]
async fn a_date_as_young_as_the_answer_pins_nothing() {
    let Some(served) = Served::new() else { return };
    let (store, path) = (served.store("weak"), served.folder.join("b.txt"));
    let pin = async || store.head(&key("b.txt"), HeadOptions::new()).await.unwrap().meta.etag;
    assert!(pin().await.is_some());
    aged(&path, 5);
    assert_eq!(pin().await, None);
}

#[tokio::test]
async fn a_password_is_asked_for_and_stays_at_home() {
    let Some(served) = Served::new() else { return };
    let refused = served.store("secret").read(&key("b.txt"), 10).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthenticated, "{refused:?}");
    let with = served.config("secret").username("lepton-test-key").password("lepton-test-secret");
    assert_eq!(HttpStorage::new(with).unwrap().read(&key("b.txt"), 10).await.unwrap(), "second");
    let wrong = served.config("secret").username("lepton-test-key").password("wr0ng");
    let error = HttpStorage::new(wrong).unwrap().read(&key("b.txt"), 10).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unauthenticated && !format!("{error:?}").contains("wr0ng"));
}

#[tokio::test]
async fn redirects_are_followed() {
    let Some(served) = Served::new() else { return };
    assert_eq!(served.store("moved").read(&key("b/deep/x"), 10).await.unwrap(), "third");
}

#[tokio::test]
async fn nothing_is_written() {
    let Some(served) = Served::new() else { return };
    let store = served.store("html");
    assert_eq!(store.write(&key("new"), "x".into()).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert_eq!(store.remove(&key("b.txt")).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(store.multipart().is_none());
    assert_eq!(store.read(&key("not there"), 10).await.unwrap_err().kind(), ErrorKind::NotFound);
}
