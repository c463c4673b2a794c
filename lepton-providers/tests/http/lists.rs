//! Listings that are no index pages: files of paths and URLs, manifests, public buckets.

use std::io::Write as _;

use futures_util::{StreamExt as _, TryStreamExt as _};
use http::Method;
use lepton_core::{
    ChecksumAlgorithm, ErrorKind, GetOptions, HeadOptions, ListRequest, Storage as _, StorageExt as _, StoredChecksum,
};
use lepton_providers::http::{HttpConfig, HttpStorage, Listing};

use super::fake::{Answer, Manners, Script, files};
use super::{Served, key, keys};

fn list(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[tokio::test]
async fn a_list_of_paths_is_as_good_as_a_page() {
    let Some(served) = Served::new() else { return };
    let file = list("b/y\nb.txt\r\n\nb.txt\n");
    let store = HttpStorage::new(served.config("html").listing(Listing::Paths).list_file(file.path())).unwrap();
    assert_eq!(keys(&store, ListRequest::new()).await, ["b.txt", "b/y"]);
}

#[tokio::test]
async fn what_a_list_names_must_be_there() {
    let Some(served) = Served::new() else { return };
    for (listing, text) in [
        (Listing::Paths, "b.txt\nnot there\n".to_owned()),
        (Listing::Manifest, "{\"key\":\"b.txt\",\"size\":6}\n{\"key\":\"not there\",\"size\":1}\n".to_owned()),
        (Listing::Urls, format!("{0}/html/{1}/b.txt\n{0}/html/{1}/not%20there", served.endpoint, served.name)),
    ] {
        let file = list(&text);
        let store = HttpStorage::new(served.config("html").listing(listing).list_file(file.path())).unwrap();
        let pages: Vec<_> = store.list(ListRequest::new()).collect().await;
        let [Ok(page), Err(error)] = &pages[..] else { panic!("{pages:?}") };
        assert_eq!((page.objects.len(), error.kind()), (1, ErrorKind::NotFound), "{listing:?}");
        let text = error.to_string();
        assert!(text.contains("not there") && text.contains(file.path().to_str().unwrap()), "{text}");
    }
}

#[tokio::test]
async fn a_manifest_says_size_and_digest() {
    let script = files(&[("a", "right".into()), ("b", "wrong".into())], Manners::default());
    let tree = |bytes: &[u8]| StoredChecksum::of(ChecksumAlgorithm::Sha256Tree, bytes).unwrap();
    let hex = |sum: &StoredChecksum| sum.value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let line = |name: &str| format!("{{\"key\":\"{name}\",\"size\":5,\"sha256_tree\":\"{}\"}}\n", hex(&tree(b"right")));
    let file = list(&(line("b") + &line("a")));
    let config = HttpConfig::new(format!("{}/", script.start().await)).proxy("none");
    let store = HttpStorage::new(config.listing(Listing::Manifest).list_file(file.path())).unwrap();
    let pages: Vec<_> = store.list(ListRequest::new()).try_collect().await.unwrap();
    let found: Vec<_> = pages[0].objects.iter().map(|meta| (meta.size, meta.checksums.clone())).collect();
    assert_eq!(found, [(5, vec![tree(b"right")]), (5, vec![tree(b"right")])]);
    assert!(script.seen().is_empty(), "the server was asked");
    let head = store.head(&key("a"), HeadOptions::new()).await.unwrap();
    let get = store.get(&key("b"), GetOptions::new()).await.unwrap();
    assert_eq!((head.meta.checksums, get.meta.checksums), (vec![tree(b"right")], vec![tree(b"right")]));
    assert_eq!(store.read(&key("a"), 9).await.unwrap(), "right");
}

#[tokio::test]
async fn urls_of_many_servers() {
    let (own, other) =
        (files(&[("x/a b", "own".into())], Manners::default()), Script::new(|_| Answer::new(200, "other")));
    let (own_address, other_address) = (own.start().await, other.start().await);
    let file = list(&format!("{other_address}/y?sig=s3cr3t\n{own_address}/x/a%20b\n"));
    let config = HttpConfig::new(format!("{own_address}/base/?own=s3cr3t")).proxy("none").bearer_token("s3cr3t");
    let store = HttpStorage::new(config.listing(Listing::Urls).list_file(file.path())).unwrap();
    assert_eq!(keys(&store, ListRequest::new()).await, ["x/a b", "y"]);
    assert_eq!(store.read(&key("x/a b"), 9).await.unwrap(), "own");
    assert_eq!(store.read(&key("y"), 9).await.unwrap(), "other");
    assert_eq!(store.read(&key("z"), 9).await.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(own.seen().iter().all(|seen| seen.header("authorization").is_some() && seen.target == "/x/a%20b"));
    assert!(other.seen().iter().all(|seen| seen.header("authorization").is_none() && seen.target == "/y?sig=s3cr3t"));
    assert_eq!(other.seen().iter().filter(|seen| seen.method == Method::GET).count(), 1);
    let error = store.get(&key("y"), GetOptions::new().range(7..9)).await.unwrap_err();
    assert!(!format!("{error:?} {store:?}").contains("s3cr3t"), "{error:?}");
}

#[cfg(feature = "s3")]
#[tokio::test]
async fn a_public_bucket() {
    use lepton_providers::s3::{Preset, S3Config, S3Storage};
    let Some(endpoint) = super::given("LEPTON_TEST_MINIO") else { return };
    let nanos = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    let bucket = format!("lepton-http-{nanos}");
    let config = S3Config::new(&bucket).endpoint(&endpoint).region("us-east-1").preset(Preset::Minio).proxy("none");
    let owner =
        S3Storage::new(config.access_key_id("lepton-test-key").secret_access_key("lepton-test-secret")).unwrap();
    owner.create_bucket().await.unwrap();
    let names = ["a+b c/%41", "b/1", "b/2", "b0", "größe"];
    for name in names {
        owner.write(&key(name), name.to_owned().into()).await.unwrap();
    }
    let public = serde_json::json!({ "Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": { "AWS": ["*"] }, "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": [format!("arn:aws:s3:::{bucket}"), format!("arn:aws:s3:::{bucket}/*")],
    }]});
    owner.put_policy(public.to_string()).await.unwrap();
    let config = HttpConfig::new(format!("{endpoint}/{bucket}/")).proxy("none");
    let store = HttpStorage::new(config.clone().listing(Listing::Bucket)).unwrap();
    assert_eq!(keys(&store, ListRequest::new()).await, names);
    assert_eq!(keys(&store, ListRequest::new().page_size(2)).await, names);
    assert_eq!(keys(&store, ListRequest::new().prefix("b/".into()).start_after("b/1")).await, ["b/2"]);
    let pages: Vec<_> = store.list(ListRequest::new().delimiter(b'/')).try_collect().await.unwrap();
    let folders: Vec<_> = pages.iter().flat_map(|page| &page.prefixes).map(ToString::to_string).collect();
    assert_eq!(folders, ["a+b c/", "b/"]);
    for meta in
        store.list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap().iter().flat_map(|page| &page.objects)
    {
        let reply = store.get(&meta.key, GetOptions::new().if_match(meta.etag.clone())).await.unwrap();
        assert_eq!((reply.meta.size, &reply.meta.etag), (meta.size, &meta.etag));
        let bytes = reply.body.try_collect::<Vec<_>>().await.unwrap().concat();
        assert_eq!(bytes, meta.key.as_bytes());
    }
    // Taken for an index page, it tells how to read it.
    let error = HttpStorage::new(config).unwrap().list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    let place = format!("s3://{bucket}?endpoint={endpoint}&anonymous=true");
    assert!(error.to_string().contains(&place), "{error}");
    let config = HttpConfig::new(format!("{endpoint}/{bucket}-none/")).proxy("none").listing(Listing::Bucket);
    let error = HttpStorage::new(config).unwrap().list(ListRequest::new()).try_collect::<Vec<_>>().await.unwrap_err();
    // Who may list nothing is not told what there is.
    assert!([ErrorKind::BucketNotFound, ErrorKind::PermissionDenied].contains(&error.kind()), "{error:?}");
    for name in names {
        owner.remove(&key(name)).await.unwrap();
    }
}
