//! Servers that do less than they should, which are fakes.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use lepton_core::{
    ETag, ErrorKind, GetOptions, HeadOptions, KeyPrefix, ListRequest, ObjectKey, RetryClass, Storage as _,
    StorageExt as _,
};
use lepton_providers::http::{HttpConfig, HttpStorage};

use super::fake::{Answer, Manners, Script, files};
use super::{key, keys};

const TEN: &[u8] = b"0123456789";

pub(super) async fn store(script: &Script) -> HttpStorage {
    HttpStorage::new(HttpConfig::new(format!("{}/", script.start().await)).proxy("none")).unwrap()
}

async fn bytes(store: &HttpStorage, options: GetOptions) -> lepton_core::Result<(u64, Vec<u8>)> {
    let reply = store.get(&key("f"), options).await?;
    let (size, range) = (reply.meta.size, reply.range.clone());
    let bytes = reply.body.try_collect::<Vec<_>>().await?.concat();
    assert_eq!(bytes.len() as u64, range.end - range.start);
    Ok((size, bytes))
}

#[tokio::test]
async fn files_are_read_from_servers_of_all_manners() {
    for bits in 0..128u8 {
        let is = |bit: u8| bits & 1 << bit != 0;
        let manners = Manners {
            chunked: is(0),
            no_ranges: is(1),
            no_size: is(2),
            no_conditions: is(3),
            no_tags: is(4),
            // The one that answers says that nothing follows, which is true of the answer.
            no_head: is(5).then_some(if is(6) { 200 } else { 405 }),
        };
        let store = store(&files(&[("f", TEN.into()), ("empty", Bytes::new())], manners)).await;
        let info = store.head(&key("f"), HeadOptions::new()).await.unwrap();
        assert_eq!((info.meta.size, info.meta.etag.is_some()), (10, !manners.no_tags), "{manners:?}");
        assert_eq!(store.head(&key("empty"), HeadOptions::new()).await.unwrap().meta.size, 0, "{manners:?}");
        assert_eq!(keys(&store, ListRequest::new()).await, ["empty", "f"], "{manners:?}");
        for (range, expected) in [(0..10, TEN), (1..4, b"123"), (7..100, b"789"), (9..10, b"9"), (0..1, b"0")] {
            let options = GetOptions::new().range(range).if_match(info.meta.etag.clone());
            assert_eq!(bytes(&store, options).await.unwrap(), (10, expected.to_vec()), "{manners:?}");
        }
        assert_eq!(bytes(&store, GetOptions::new()).await.unwrap(), (10, TEN.to_vec()), "{manners:?}");
        assert_eq!(store.read(&key("empty"), 1).await.unwrap(), Bytes::new(), "{manners:?}");
        let behind = bytes(&store, GetOptions::new().range(10..11)).await.unwrap_err();
        assert_eq!(behind.kind(), ErrorKind::InvalidInput, "{manners:?}");
        for range in [None, Some(1..3)] {
            let mut options = GetOptions::new().if_match(Some(ETag::new("\"other\"")));
            options.range = range;
            let error = bytes(&store, options).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{manners:?}");
        }
    }
}

#[tokio::test]
async fn a_file_that_changes_while_its_length_is_found_out_is_refused() {
    for (second, tags) in [
        ("0123456789X", ["\"a\"", "\"a\""]),
        ("012345678", ["\"a\"", "\"a\""]),
        ("9876543210", ["\"a\"", "\"b\""]),
        ("0123456789X", ["W/\"a\"", "W/\"a\""]),
    ] {
        for range in [None, Some(2..10)] {
            let count = AtomicUsize::new(0);
            let script = Script::new(move |_| {
                let number = count.fetch_add(1, Ordering::Relaxed).min(1);
                let body = [std::str::from_utf8(TEN).unwrap(), second][number];
                Answer::new(200, body).chunked(true).header("etag", tags[number])
            });
            let store = store(&script).await;
            let mut options = GetOptions::new();
            options.range = range;
            let reply = store.get(&key("f"), options).await;
            let error = match reply {
                Err(error) => error,
                Ok(reply) => {
                    let len = reply.range.end - reply.range.start;
                    let mut body = reply.body;
                    let mut given = 0;
                    let error = loop {
                        match body.next().await.expect("a body that ends without an error") {
                            Ok(piece) => given += piece.len() as u64,
                            Err(error) => break error,
                        }
                    };
                    assert!(given < len, "all bytes were given before the error");
                    error
                }
            };
            assert_eq!(error.kind(), ErrorKind::SourceChanged, "{second}: {error:?}");
        }
    }
}

#[tokio::test]
async fn a_head_that_is_refused_is_told_if_a_get_is_too() {
    for (head, get, kind) in [
        (403, 403, ErrorKind::PermissionDenied),
        (405, 401, ErrorKind::Unsupported),
        (501, 404, ErrorKind::NotFound),
        (400, 503, ErrorKind::Throttled),
        (404, 200, ErrorKind::NotFound),
        (410, 200, ErrorKind::NotFound),
        (500, 200, ErrorKind::Unavailable),
    ] {
        let script = Script::new(move |seen| Answer::new(if seen.method == Method::HEAD { head } else { get }, ""));
        let store = store(&script).await;
        let error = store.head(&key("f"), HeadOptions::new()).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, Some("head")), "{head} {get}: {error:?}");
    }
    for status in [400, 403, 405, 501] {
        let manners = Manners { no_head: Some(status), ..Manners::default() };
        let script = files(&[("f", TEN.into())], manners);
        let info = store(&script).await.head(&key("f"), HeadOptions::new()).await.unwrap();
        let asked = script.seen().iter().filter_map(|seen| seen.header("range").map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!((info.meta.size, asked), (10, vec!["bytes=0-0".to_owned()]), "{status}");
    }
}

#[tokio::test]
async fn dots_do_not_lead_out_of_the_folder() {
    let script = files(&[("f", TEN.into())], Manners::default());
    let store = store(&script).await;
    for name in ["../f", "a/../../f", "..", ".", "a/./b"] {
        let error = store.read(&key(name), 100).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidKey, "{name}");
        assert!(error.to_string().contains(name), "{error}");
    }
    assert!(script.seen().is_empty());
    for name in ["a//b", "a/", "/a", "a\u{1}"] {
        assert_eq!(store.read(&key(name), 100).await.unwrap_err().kind(), ErrorKind::NotFound, "{name:?}");
    }
}

#[tokio::test]
async fn what_was_found_comes_before_the_error() {
    let script = Script::new(|seen| match seen.target.as_str() {
        "/" => Answer::new(200, "<a href=a><a href=b><a href=c><a href=d>"),
        "/c" => Answer::new(500, ""),
        _ => Answer::new(200, "x"),
    });
    let store = store(&script).await;
    let pages: Vec<_> = store.list(ListRequest::new()).collect().await;
    let [Ok(page), Err(error)] = &pages[..] else { panic!("{pages:?}") };
    let found: Vec<_> = page.objects.iter().map(|meta| meta.key.to_string()).collect();
    assert_eq!((found.as_slice(), error.context("key")), (&["a".to_owned(), "b".to_owned()][..], Some("c")));
    assert_ne!(error.retry(), RetryClass::Never);
    let pages: Vec<_> = store.list(ListRequest::new().page_size(1)).collect().await;
    assert!(pages.len() == 3 && pages[2].is_err());
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_empty_and_a_root_is_missing() {
    let script = Script::new(|seen| match seen.target.as_str() {
        "/base/" => Answer::new(200, "<a href=gone/><a href=x>"),
        "/base/x" => Answer::new(200, "x"),
        "/base/f" => Answer::new(200, TEN),
        "/base/f/" => Answer::new(403, ""),
        "/base/shut" => Answer::redirect("/base/shut/"),
        "/base/shut/" => Answer::new(403, ""),
        "/page/" => Answer::new(200, "<html>Welcome</html>"),
        _ => Answer::new(404, ""),
    });
    let endpoint = script.start().await;
    let open = |folder: &str| HttpStorage::new(HttpConfig::new(format!("{endpoint}{folder}")).proxy("none")).unwrap();
    let listed = async |store: HttpStorage, prefix: &str| {
        let request = ListRequest::new().prefix(KeyPrefix::from(prefix));
        let pages: lepton_core::Result<Vec<_>> = store.list(request).try_collect().await;
        pages.map(|pages| pages.into_iter().flat_map(|page| page.objects).map(|meta| meta.key.to_string()).collect())
    };
    let names = |result: lepton_core::Result<Vec<String>>| result.unwrap();
    assert_eq!(names(listed(open("/base/"), "").await), ["x"]);
    assert!(names(listed(open("/base/"), "gone/").await).is_empty());
    // A file, of whose name there is no folder.
    assert!(names(listed(open("/base/"), "f/").await).is_empty());
    for (folder, prefix, kind) in [
        ("/base/", "shut/", ErrorKind::PermissionDenied),
        ("/missing/", "", ErrorKind::BucketNotFound),
        ("/page/", "", ErrorKind::Unexpected),
    ] {
        let error = listed(open(folder), prefix).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{folder}{prefix}: {error:?}");
    }
}

#[tokio::test]
async fn names_of_any_bytes_and_links_of_any_form() {
    let script = Script::new(|seen| match seen.target.as_str() {
        "/json/" => Answer::new(200, &b"[{\"name\":\"\xff\xfe\",\"type\":\"file\",\"size\":1}]"[..]),
        "/json/%FF%FE" => Answer::new(200, "raw"),
        "/my%20data/" => {
            let host = seen.header("host").unwrap();
            let links = ["/my%20data/a~b", "/m%79 data/c%26d%23", &format!("http://{host}/my%20data/e'f")];
            Answer::new(200, links.map(|link| format!("<a href=\"{link}\">x</a>")).concat())
        }
        "/my%20data/a~b" | "/my%20data/c%26d%23" | "/my%20data/e%27f" => Answer::new(200, "linked"),
        "/old/" => Answer::redirect("/my%20data/"),
        target if target.starts_with("/old/") => Answer::redirect(target.replace("/old/", "/my%20data/")),
        _ => Answer::new(404, ""),
    });
    let endpoint = script.start().await;
    let open = |folder: &str| HttpStorage::new(HttpConfig::new(format!("{endpoint}{folder}")).proxy("none")).unwrap();
    let raw = open("/json/");
    let pages: Vec<_> = raw.list(ListRequest::new()).try_collect().await.unwrap();
    assert_eq!(pages[0].objects[0].key.as_bytes(), b"\xff\xfe");
    assert_eq!(raw.read(&ObjectKey::new(&b"\xff\xfe"[..]).unwrap(), 9).await.unwrap(), "raw");
    for folder in ["/my%20data/", "/old/"] {
        let store = open(folder);
        assert_eq!(keys(&store, ListRequest::new()).await, ["a~b", "c&d#", "e'f"], "{folder}");
        assert_eq!(store.read(&key("e'f"), 9).await.unwrap(), "linked", "{folder}");
    }
}
