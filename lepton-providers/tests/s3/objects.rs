//! Objects: write, describe, read, list, delete.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use lepton_core::{
    Attributes, Body, ChecksumAlgorithm, DeleteRequest, ETag, ErrorKind, GetOptions, HeadOptions, KeyHandling,
    KeyPrefix, ListRequest, ObjectKey, Precondition, PutOptions, RetryClass, ServerCheck, Storage, StorageExt as _,
};
use lepton_providers::s3::{S3Config, S3Storage};

use super::servers;

const MIB: usize = 1 << 20;

pub(crate) fn key(text: &str) -> ObjectKey {
    ObjectKey::try_from(text).unwrap()
}

pub(crate) fn data(len: usize) -> Bytes {
    (0..len).map(|i| (i * 31 + i / 257).to_le_bytes()[0]).collect()
}

async fn listed(store: &S3Storage, request: ListRequest) -> Vec<String> {
    let pages: Vec<_> = store.list(request).try_collect().await.unwrap();
    pages.into_iter().flat_map(|page| page.objects).map(|object| object.key.to_string()).collect()
}

#[tokio::test]
async fn bytes_of_every_framing_come_back() {
    for server in servers::all() {
        let store = server.fresh().await;
        for len in [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB, 5 * MIB + 17] {
            let (name, bytes) = (key(&format!("size/{len}")), data(len));
            let receipt = store.write(&name, bytes.clone()).await.unwrap();
            let verifies = !store.capabilities().verified_checksums.is_empty();
            let check = if verifies { ServerCheck::Checksum(ChecksumAlgorithm::Sha256) } else { ServerCheck::None };
            assert_eq!(receipt.check, check, "{}", server.name);
            assert!(store.read(&name, u64::MAX).await.unwrap() == bytes, "{} {len}", server.name);
            let info = store.head(&name, HeadOptions::new()).await.unwrap();
            assert_eq!((info.meta.size, info.meta.etag), (len as u64, receipt.etag), "{}", server.name);
        }
    }
}

#[tokio::test]
async fn a_body_in_many_pieces_is_sent_whole() {
    for server in servers::all() {
        let store = server.fresh().await;
        let bytes = data(2 * MIB + 5);
        let pieces: Vec<Bytes> = bytes.chunks(70_001).map(Bytes::copy_from_slice).collect();
        store.put(&key("k"), Body::from_pieces(pieces), PutOptions::new()).await.unwrap();
        assert!(store.read(&key("k"), u64::MAX).await.unwrap() == bytes);
    }
}

#[tokio::test]
async fn ranges_are_exact() {
    for server in servers::all() {
        let store = server.fresh().await;
        let bytes = data(100_000);
        store.write(&key("k"), bytes.clone()).await.unwrap();
        store.write(&key("empty"), Bytes::new()).await.unwrap();
        for (range, given) in [(0..1, 0..1), (10..5000, 10..5000), (99_999..200_000, 99_999..100_000)] {
            let reply = store.get(&key("k"), GetOptions::new().range(range.clone())).await.unwrap();
            assert_eq!((reply.range.clone(), reply.meta.size), (given.clone(), 100_000), "{} {range:?}", server.name);
            let pieces: Vec<Bytes> = reply.body.try_collect().await.unwrap();
            let given = usize::try_from(given.start).unwrap()..usize::try_from(given.end).unwrap();
            assert!(pieces.concat() == bytes[given]);
        }
        for (name, range) in [("k", 100_000..100_001), ("k", 5..5), ("empty", 0..10)] {
            let error = store.get(&key(name), GetOptions::new().range(range)).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{} {error:?}", server.name);
        }
    }
}

#[tokio::test]
async fn attributes_come_back() {
    for server in servers::all() {
        let store = server.fresh().await;
        for len in [3, MIB + 1] {
            let mut attributes = Attributes::default();
            attributes.content_type = Some("text/x-test".into());
            attributes.content_encoding = Some("gzip".into());
            attributes.content_disposition = Some("attachment; filename=\"a b.txt\"".into());
            attributes.content_language = Some("de".into());
            attributes.cache_control = Some("max-age=60".into());
            attributes.expires = Some("Wed, 21 Oct 2026 07:28:00 GMT".into());
            attributes.user_metadata.insert("plain".into(), "value with space".into());
            attributes.user_metadata.insert("name".into(), "Übergröße  №5".into());
            attributes.tags = BTreeMap::from([("a b".into(), "c+d".into()), ("e".into(), String::new())]);
            let options = PutOptions::new().attributes(attributes.clone());
            store.put(&key("k"), Body::from(data(len)), options).await.unwrap();
            let info = store.head(&key("k"), HeadOptions::new().tags(true)).await.unwrap();
            assert_eq!(info.attributes, attributes, "{} {len}", server.name);
            attributes.tags.clear();
            let reply = store.get(&key("k"), GetOptions::new()).await.unwrap();
            assert_eq!(reply.attributes, attributes, "{} {len}", server.name);
        }
    }
}

#[tokio::test]
async fn listings_are_complete_ordered_and_go_on_anywhere() {
    for server in servers::all() {
        let store = server.fresh().await;
        let mut names: Vec<String> = (0..25).map(|i| format!("dir/{i:02}")).collect();
        names.extend(["a b+c%20&<>\"'", "dir.txt", "dir0", "ü/ß", "z"].map(String::from));
        for name in &names {
            store.write(&key(name), data(3)).await.unwrap();
        }
        names.sort_unstable();
        let texts: Vec<String> = names.iter().map(|name| key(name).to_string()).collect();
        assert_eq!(listed(&store, ListRequest::new()).await, texts, "{}", server.name);
        assert_eq!(listed(&store, ListRequest::new().page_size(7)).await, texts, "{}", server.name);
        let after = ListRequest::new().start_after(&b"dir/10"[..]).page_size(4);
        assert_eq!(
            listed(&store, after).await,
            texts[texts.iter().position(|t| t == "dir/11").unwrap()..],
            "{}",
            server.name
        );
        let prefix = ListRequest::new().prefix(KeyPrefix::from("dir/1"));
        assert_eq!(listed(&store, prefix).await.len(), 10);
        let pages: Vec<_> = store.list(ListRequest::new().delimiter(b'/')).try_collect().await.unwrap();
        let prefixes: Vec<String> = pages.iter().flat_map(|page| &page.prefixes).map(ToString::to_string).collect();
        assert_eq!(prefixes, ["dir/", KeyPrefix::from("ü/").to_string().as_str()], "{}", server.name);
    }
}

#[tokio::test]
async fn odd_keys_are_kept_exactly_or_refused_by_name() {
    let odd = [
        "/lead",
        "trail/",
        "a//b",
        "./a",
        "a/../b",
        "..",
        "c\u{1}d",
        "tab\tline\n",
        "e\r",
        "%41+ ~",
        "\u{7f}x",
        "back\\slash",
    ];
    for server in servers::all() {
        let store = server.fresh().await;
        store.write(&key("lead"), Bytes::from_static(b"untouched")).await.unwrap();
        let mut kept = vec!["lead".to_owned()];
        for name in odd {
            let bytes = Bytes::from(name.as_bytes().to_vec());
            match store.write(&key(name), bytes.clone()).await {
                Ok(_) => {
                    assert_eq!(store.read(&key(name), 99).await.unwrap(), bytes, "{} {name:?}", server.name);
                    kept.push(key(name).to_string());
                }
                Err(error) => {
                    println!("{}: {name:?} refused: {error}", server.name);
                    assert_eq!(error.kind(), ErrorKind::InvalidKey, "{} {name:?} {error:?}", server.name);
                }
            }
        }
        assert_eq!(store.read(&key("lead"), 99).await.unwrap(), "untouched", "{}", server.name);
        let mut found = listed(&store, ListRequest::new()).await;
        found.sort_unstable();
        kept.sort_unstable();
        assert_eq!(found, kept, "{}", server.name);
        let all: Vec<DeleteRequest> =
            kept.iter().map(|text| DeleteRequest::new(ObjectKey::from_text(text).unwrap())).collect();
        for result in store.delete(all).await.unwrap() {
            result.unwrap();
        }
        assert!(listed(&store, ListRequest::new()).await.is_empty(), "{}", server.name);
    }
}

#[tokio::test]
async fn a_file_beside_a_folder_is_kept_or_refused_as_declared() {
    for server in servers::all() {
        let store = server.fresh().await;
        store.write(&key("x"), data(1)).await.unwrap();
        let beside = store.write(&key("x/y"), data(2)).await;
        let found = listed(&store, ListRequest::new()).await;
        match store.capabilities().keys.file_beside_folder {
            KeyHandling::Kept => assert_eq!((beside.is_ok(), found), (true, vec!["x".into(), "x/y".into()])),
            KeyHandling::Refused => assert_eq!(beside.unwrap_err().kind(), ErrorKind::InvalidKey, "{}", server.name),
            _ => assert_eq!((beside.is_ok(), found), (true, vec!["x".to_owned()]), "{}", server.name),
        }
        assert_eq!(store.read(&key("x"), 9).await.unwrap(), data(1), "{}", server.name);
    }
}

#[tokio::test]
async fn conditions_hold() {
    for server in servers::all() {
        let store = server.fresh().await;
        let if_absent = || PutOptions::new().precondition(Precondition::IfAbsent);
        let if_match = |etag| PutOptions::new().precondition(Precondition::IfMatch(etag));
        let body = || Body::from(data(5));
        let first = store.put(&key("k"), body(), if_absent()).await.unwrap().etag.unwrap();
        let error = store.put(&key("k"), body(), if_absent()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{} {error:?}", server.name);
        let error = store.put(&key("k"), Body::from(data(3 * MIB)), if_absent()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{} {error:?}", server.name);
        let second = store.put(&key("k"), Body::from(data(6)), if_match(first.clone())).await.unwrap().etag.unwrap();
        let error = store.put(&key("k"), body(), if_match(first.clone())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{} {error:?}", server.name);
        store.get(&key("k"), GetOptions::new().if_match(Some(second))).await.unwrap();
        let error = store.get(&key("k"), GetOptions::new().if_match(Some(first))).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PreconditionFailed, "{} {error:?}", server.name);
    }
}

#[tokio::test]
async fn conditional_deletes_hold_or_are_refused() {
    for server in servers::all() {
        let store = server.fresh().await;
        let etag = store.write(&key("k"), data(5)).await.unwrap().etag.unwrap();
        let delete = |etag| vec![DeleteRequest::new(key("k")).if_match(Some(etag))];
        let error = store.delete(delete(ETag::new("\"wrong\""))).await.unwrap().check().unwrap_err();
        let expected = [ErrorKind::PreconditionFailed, ErrorKind::Unsupported];
        assert!(expected.contains(&error.kind()), "{} {error:?}", server.name);
        assert!(store.exists(&key("k")).await.unwrap());
        if error.kind() == ErrorKind::PreconditionFailed {
            store.delete(delete(etag)).await.unwrap().check().unwrap();
            assert!(!store.exists(&key("k")).await.unwrap());
        }
    }
}

#[tokio::test]
async fn many_deletes_in_one_call() {
    for server in servers::all() {
        let store = server.fresh().await;
        let names: Vec<ObjectKey> = (0..40).map(|i| key(&format!("d/{i}&"))).collect();
        for name in &names {
            store.write(name, Bytes::new()).await.unwrap();
        }
        let requests = names.iter().chain([&key("absent")]).cloned().map(DeleteRequest::new).collect();
        assert!(store.delete(requests).await.unwrap().into_iter().all(|result| result.is_ok()), "{}", server.name);
        assert!(listed(&store, ListRequest::new()).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_missing_or_wrong_is_told_apart() {
    for server in servers::all() {
        let store = server.fresh().await;
        let absent = key("absent");
        for error in [
            store.head(&absent, HeadOptions::new()).await.unwrap_err(),
            store.get(&absent, GetOptions::new()).await.unwrap_err(),
        ] {
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::NotFound, RetryClass::Never),
                "{} {error:?}",
                server.name
            );
            assert_eq!(error.context("key"), Some("absent"));
        }
        let nowhere = S3Storage::new(server.config("lepton-no-such-bucket")).unwrap();
        for error in [
            nowhere.head(&absent, HeadOptions::new()).await.unwrap_err(),
            nowhere.get(&absent, GetOptions::new()).await.unwrap_err(),
            nowhere.write(&absent, data(1)).await.unwrap_err(),
            nowhere.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err(),
            nowhere.write(&absent, data(3 * MIB)).await.unwrap_err(),
            nowhere.multipart().unwrap().create(&absent, Default::default()).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ErrorKind::BucketNotFound, "{} {error:?}", server.name);
            assert_eq!(error.status(), Some(404));
        }
    }
}

#[tokio::test]
async fn wrong_credentials_are_named_also_where_the_answer_has_no_body() {
    for server in servers::all().into_iter().filter(|server| server.name != "moto") {
        let bucket = server.new_bucket().await;
        let wrong: [fn(S3Config) -> S3Config; 2] = [|c| c.secret_access_key("wrong"), |c| c.access_key_id("nobody")];
        for change in wrong {
            let store = S3Storage::new(change(server.config(&bucket))).unwrap();
            for error in [
                store.head(&key("k"), HeadOptions::new()).await.unwrap_err(),
                store.write(&key("k"), data(1)).await.unwrap_err(),
                store.write(&key("k"), data(4 * MIB)).await.unwrap_err(),
            ] {
                assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{} {error:?}", server.name);
                assert!(!format!("{error:?}").contains("wrong"), "{error:?}");
            }
        }
        let anonymous =
            S3Storage::new(S3Config::new(&bucket).endpoint(server.endpoint.clone()).anonymous(true)).unwrap();
        let error = anonymous.get(&key("k"), GetOptions::new()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{} {error:?}", server.name);
    }
}
