//! Every body goes with a checksum that the server compares, whatever its size and the
//! connection.

use futures_util::TryStreamExt as _;
use lepton_core::{
    ChecksumAlgorithm, CompleteOptions, CopySource, CreateUploadOptions, HeadOptions, Multipart as _, PartSpec,
    ServerCheck, ServerCopy as _, Storage as _, StorageExt as _, StoredChecksum, Upload, UploadId,
};
use lepton_providers::s3::{Preset, S3Config, S3Storage};

use super::objects::{data, key};
use super::script::{Act, Script, answer};
use super::servers::{self, Server};
use super::tls::Terminator;

const MIB: usize = 1 << 20;
/// Around the borders of a leaf, which is what one chunk carries.
const SIZES: [usize; 6] = [0, 1, MIB - 1, MIB, MIB + 1, 8 * MIB + 10];

/// The servers that compare checksums.
fn comparing() -> impl Iterator<Item = Server> {
    servers::all().into_iter().filter(|server| server.name != "moto")
}

fn crc(bytes: &[u8]) -> StoredChecksum {
    StoredChecksum::of(ChecksumAlgorithm::Crc64Nvme, bytes).unwrap()
}

/// A bucket by a plain connection and by TLS.
async fn both_ways(server: &Server) -> (Terminator, Vec<S3Storage>) {
    let (terminator, bucket) = (Terminator::start(&server.endpoint).await, server.new_bucket().await);
    let configs = [server.config(&bucket), terminator.config(server, &bucket)];
    (terminator, configs.map(|config| S3Storage::new(config).unwrap()).into())
}

#[tokio::test]
async fn objects_of_every_size_have_their_checksum() {
    for server in comparing() {
        let (_terminator, stores) = both_ways(&server).await;
        for store in &stores {
            for len in SIZES {
                let (name, bytes) = (key(&format!("size/{len}")), data(len));
                let receipt = store.write(&name, bytes.clone()).await.unwrap();
                assert_ne!(receipt.check, ServerCheck::None, "{} {len}", server.name);
                let info = store.head(&name, HeadOptions::new()).await.unwrap();
                assert!(info.meta.checksums.contains(&crc(&bytes)), "{} {len} {:?}", server.name, info.meta);
                assert_eq!(info.attributes.content_encoding, None, "{}", server.name);
                assert!(store.read(&name, u64::MAX).await.unwrap() == bytes, "{} {len}", server.name);
            }
        }
    }
}

#[tokio::test]
async fn uploads_whose_last_part_has_any_size_are_taken() {
    for server in comparing() {
        let (_terminator, stores) = both_ways(&server).await;
        for store in &stores {
            for last in [1, 10, MIB - 1, MIB, MIB + 1] {
                let (name, bytes) = (key(&format!("last/{last}")), data(8 * MIB + last));
                let upload = store.create(&name, CreateUploadOptions::new()).await.unwrap();
                for (number, range) in [(1, 0..8 * MIB), (2, 8 * MIB..8 * MIB + last)] {
                    let part = PartSpec::new(number, range.start as u64..range.end as u64);
                    let body = bytes.slice(range);
                    let receipt = store.upload_part(&upload, part, body.clone().into()).await.unwrap();
                    assert_eq!(receipt.checksum, Some(crc(&body)), "{} {last}", server.name);
                }
                // As a later run would go on with it.
                let parts: Vec<_> = store.list_parts(&upload).try_collect().await.unwrap();
                store.complete(&upload, parts, CompleteOptions::new()).await.unwrap();
                let info = store.head(&name, HeadOptions::new()).await.unwrap();
                assert!(info.meta.checksums.contains(&crc(&bytes)), "{} {last} {:?}", server.name, info.meta);
                assert!(store.read(&name, u64::MAX).await.unwrap() == bytes, "{} {last}", server.name);
            }
        }
    }
}

#[tokio::test]
async fn an_upload_of_one_empty_part_is_taken() {
    for server in comparing() {
        let (_terminator, stores) = both_ways(&server).await;
        for store in &stores {
            let upload = store.create(&key("empty"), CreateUploadOptions::new()).await.unwrap();
            let part = store.upload_part(&upload, PartSpec::new(1, 0..0), data(0).into()).await.unwrap();
            store.complete(&upload, vec![part], CompleteOptions::new()).await.unwrap();
            assert_eq!(store.read(&key("empty"), 9).await.unwrap(), "", "{}", server.name);
        }
    }
}

#[tokio::test]
async fn an_upload_goes_on_by_another_connection() {
    for server in comparing() {
        let (_terminator, stores) = both_ways(&server).await;
        let bytes = data(5 * MIB + 10);
        for (first, second) in [(0, 1), (1, 0)] {
            let name = key(&format!("from/{first}"));
            let upload = stores[first].create(&name, CreateUploadOptions::new()).await.unwrap();
            let end = 5 * MIB as u64;
            let part = PartSpec::new(1, 0..end);
            stores[first].upload_part(&upload, part, bytes.slice(..5 * MIB).into()).await.unwrap();
            let part = PartSpec::new(2, end..end + 10);
            stores[second].upload_part(&upload, part, bytes.slice(5 * MIB..).into()).await.unwrap();
            let parts: Vec<_> = stores[second].list_parts(&upload).try_collect().await.unwrap();
            stores[second].complete(&upload, parts, CompleteOptions::new()).await.unwrap();
            let info = stores[second].head(&name, HeadOptions::new()).await.unwrap();
            assert!(info.meta.checksums.contains(&crc(&bytes)), "{} {:?}", server.name, info.meta);
        }
    }
}

#[tokio::test]
async fn parts_are_copied_into_uploads_that_are_for_copies() {
    for server in comparing() {
        let (_terminator, stores) = both_ways(&server).await;
        for store in &stores {
            let bytes = data(5 * MIB + 10);
            store.write(&key("source"), bytes.clone()).await.unwrap();
            let upload = store.create(&key("copy"), CreateUploadOptions::new().copied(true)).await.unwrap();
            let mut parts = Vec::new();
            for (number, range) in [(1, 0..5 << 20), (2, 5 << 20..(5 << 20) + 10)] {
                let source = CopySource::new(store, key("source")).unwrap();
                parts.push(store.copy_part(source, &upload, PartSpec::new(number, range)).await.unwrap());
            }
            store.complete(&upload, parts, CompleteOptions::new()).await.unwrap();
            assert!(store.read(&key("copy"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
        }
    }
}

#[tokio::test]
async fn bodies_without_a_signature_have_their_checksum() {
    for server in comparing().filter(|server| server.name == "minio") {
        let (terminator, bucket) = (Terminator::start(&server.endpoint).await, server.new_bucket().await);
        let policy = format!(
            r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":["*"]}},
            "Action":["s3:*"],"Resource":["arn:aws:s3:::{bucket}","arn:aws:s3:::{bucket}/*"]}}]}}"#
        );
        S3Storage::new(server.config(&bucket)).unwrap().put_policy(policy).await.unwrap();
        for config in [server.config(&bucket), terminator.config(&server, &bucket)] {
            let store = S3Storage::new(config.anonymous(true)).unwrap();
            for len in SIZES {
                let bytes = data(len);
                let receipt = store.write(&key("k"), bytes.clone()).await.unwrap();
                assert_eq!(receipt.check, ServerCheck::Checksum(ChecksumAlgorithm::Crc64Nvme), "{len}");
                let info = store.head(&key("k"), HeadOptions::new()).await.unwrap();
                assert!(info.meta.checksums.contains(&crc(&bytes)), "{len} {:?}", info.meta);
            }
            let upload = store.create(&key("parts"), CreateUploadOptions::new()).await.unwrap();
            let part = store.upload_part(&upload, PartSpec::new(1, 0..10), data(10).into()).await.unwrap();
            store.complete(&upload, vec![part], CompleteOptions::new()).await.unwrap();
        }
    }
}

/// What carries the checksum of each body that was put.
async fn carried(script: &Script, store: &S3Storage) -> Vec<Option<&'static str>> {
    let before = script.seen().len();
    for len in [0, 1, MIB, MIB + 1] {
        store.write(&key("k"), data(len)).await.unwrap();
        let (upload, part) = (Upload::new(key("k"), UploadId::new("u")), PartSpec::new(1, 0..len as u64));
        store.upload_part(&upload, part, data(len).into()).await.unwrap();
    }
    let carried = |head: &str| {
        let names: Vec<&str> = head.lines().filter_map(|line| line.split(':').next()).collect();
        let stated = names.iter().any(|name| name.starts_with("x-amz-checksum-"));
        match (stated, head.contains("x-amz-trailer: x-amz-checksum-")) {
            (true, false) => Some("header"),
            (false, true) => Some("trailer"),
            (false, false) => None,
            (true, true) => panic!("two checksums: {head}"),
        }
    };
    let seen = script.seen().split_off(before);
    assert!(seen.iter().all(|seen| seen.head.starts_with("PUT ")));
    seen.iter().map(|seen| carried(&seen.head.to_ascii_lowercase())).collect()
}

#[tokio::test]
async fn every_put_of_a_body_carries_a_checksum_where_the_store_takes_one() {
    let script = Script::start(vec![Act::Answer(answer("200 OK", &["ETag: \"e\""], ""))]).await;
    let terminator = Terminator::start(&script.endpoint).await;
    let (header, trailer) = (Some("header"), Some("trailer"));
    for (preset, small, large) in [
        (Preset::Aws, header, trailer),
        (Preset::Minio, header, trailer),
        (Preset::Versitygw, header, trailer),
        (Preset::Moto, None, None),
        (Preset::Generic, None, None),
    ] {
        let plain = script.config().preset(preset);
        let tls = plain.clone().endpoint(terminator.endpoint.clone()).ca_file(terminator.ca_file.clone());
        for config in [plain.clone(), tls.clone(), plain.anonymous(true), tls.anonymous(true)] {
            let store = S3Storage::new(config.clone()).unwrap();
            let expected = [small, small, small, small, small, small, large, large];
            assert_eq!(carried(&script, &store).await, expected, "{config:?}");
        }
    }
}

#[tokio::test]
async fn the_algorithm_is_one_that_the_store_compares() {
    let script = Script::start(vec![Act::Answer(answer("200 OK", &["ETag: \"e\""], ""))]).await;
    let capabilities = serde_json::json!({"verified_checksums": ["crc32c"], "trailers": "native"});
    let config: S3Config = script.config().preset(Preset::Generic).capabilities(capabilities);
    let store = S3Storage::new(config).unwrap();
    let receipt = store.write(&key("k"), data(9)).await.unwrap();
    assert_eq!(receipt.check, ServerCheck::Checksum(ChecksumAlgorithm::Crc32c));
    assert!(script.seen()[0].head.to_ascii_lowercase().contains("\r\nx-amz-checksum-crc32c: "));
    store.create(&key("k"), CreateUploadOptions::new()).await.unwrap_err();
    let head = script.seen()[1].head.to_ascii_lowercase();
    assert!(head.contains("x-amz-checksum-algorithm: crc32c\r\n"), "{head}");
    assert!(head.contains("x-amz-checksum-type: full_object\r\n"), "{head}");
}
