//! A store finds out which server it talks to, and what an unknown one supports.

use futures_util::TryStreamExt as _;
use lepton_core::{
    Capabilities, ChecksumAlgorithm, CreateUploadOptions, ErrorKind, KeyPrefix, ListRequest, RuntimeExt as _,
    Storage as _, StorageExt as _, Support, SystemRuntime, Versions as _,
};
use lepton_providers::s3::{Preset, S3Config, S3Storage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::objects::{data, key};
use super::script::{Act, Script, answer};
use super::servers::{self, Server};

#[tokio::test]
async fn a_known_server_needs_no_preset() {
    for server in servers::all() {
        let config = server.config(&server.new_bucket().await);
        let found = S3Storage::connect(config.clone().preset(Preset::Auto)).await.unwrap();
        // A mock is none of the servers that a user has.
        let expected = if server.name == "moto" { config.preset(Preset::Generic) } else { config };
        let mut expected = S3Storage::new(expected).unwrap().capabilities().clone();
        if server.name == "versitygw" {
            // Only a delete could prove it.
            expected.conditional_delete = Support::Unknown;
        }
        assert_eq!(found.capabilities(), &expected, "{}", server.name);
        // The first write proves that the server is new enough, and leaves nothing.
        found.write(&key("folder/object"), data(3)).await.unwrap();
        found.write(&key("folder/object"), data(4)).await.unwrap();
        let left: Vec<_> = found.objects(KeyPrefix::default()).try_collect().await.unwrap();
        assert_eq!(left.len(), 1, "{left:?}");
    }
}

/// A server that calls itself MinIO, takes a wrong checksum, and so may ignore conditions, too.
#[tokio::test]
async fn an_old_server_is_found_out_before_anything_is_written() {
    let named = || Act::Answer(answer("200 OK", &["Server: MinIO", "ETag: \"x\""], ""));
    let script = Script::start(vec![named()]).await;
    let store = S3Storage::connect(unknown(&script)).await.unwrap();
    for _ in 0..2 {
        let error = store.write(&key("folder/object"), data(3)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.message().contains("preset=generic"), "{error}");
    }
    let upload = store.multipart().unwrap().create(&key("large"), CreateUploadOptions::new()).await;
    assert_eq!(upload.unwrap_err().kind(), ErrorKind::Unsupported);
    let seen: Vec<_> = script.seen().iter().map(|seen| seen.head.lines().next().unwrap().to_owned()).collect();
    assert!(seen[1].starts_with("PUT /bucket/folder/.lepton-probe-") && seen[2].starts_with("DELETE "), "{seen:?}");
    assert!(!seen.iter().any(|line| line.contains("folder/object")), "{seen:?}");
    // A preset that the user names is used without a proof.
    let named = script.config().preset(Preset::Minio);
    S3Storage::connect(named).await.unwrap().write(&key("folder/object"), data(3)).await.unwrap();
}

#[tokio::test]
async fn a_new_server_proves_it_once() {
    let identified = Act::Answer(answer("200 OK", &["Server: MinIO"], ""));
    let refusal = |code: &str| {
        let document = format!("<Error><Code>{code}</Code></Error>");
        Act::Answer(answer("400 Bad Request", &["Server: MinIO"], &document))
    };
    let right = refusal("XAmzContentChecksumMismatch");
    let script = Script::start(vec![identified.clone(), right, identified.clone()]).await;
    let store = S3Storage::connect(unknown(&script)).await.unwrap();
    for name in ["a", "b"] {
        store.write(&key(name), data(3)).await.unwrap();
    }
    assert_eq!(script.seen().len(), 4);
    // Another reason to refuse the request proves nothing.
    let script = Script::start(vec![identified.clone(), refusal("InvalidRequest"), identified]).await;
    let store = S3Storage::connect(unknown(&script)).await.unwrap();
    assert_eq!(store.write(&key("a"), data(3)).await.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(!script.seen().iter().any(|seen| seen.head.starts_with("PUT /bucket/a ")));
}

#[tokio::test]
async fn a_refusal_names_the_server_too() {
    for server in servers::all().into_iter().filter(|server| server.name != "moto") {
        let wrong = server.config("no-such-bucket").preset(Preset::Auto).secret_access_key("wrong");
        let found = S3Storage::connect(wrong).await.unwrap();
        assert_eq!(found.capabilities().preset, server.name);
    }
}

/// What a probe can find out.
fn probed(capabilities: &Capabilities) -> serde_json::Value {
    let crcs = [ChecksumAlgorithm::Crc64Nvme, ChecksumAlgorithm::Crc32c];
    let compared: Vec<_> = crcs.iter().filter(|crc| capabilities.verified_checksums.contains(crc)).collect();
    serde_json::json!({
        "put_if_absent": capabilities.put_if_absent,
        "put_if_match": capabilities.put_if_match,
        "conditional_complete": capabilities.conditional_complete,
        "conditional_delete": capabilities.conditional_delete,
        "versions": capabilities.versions,
        "signed_chunks": capabilities.signed_chunks,
        "trailers": capabilities.trailers,
        "checksums": compared,
    })
}

#[tokio::test]
async fn a_probe_finds_what_the_presets_state_and_leaves_nothing() {
    for server in servers::all() {
        for versioned in [false, true] {
            let config = server.config(&server.new_bucket().await);
            let known = S3Storage::new(config.clone()).unwrap();
            if versioned {
                known.enable_versioning().await.unwrap();
            }
            let disguised = config.preset(Preset::Auto).endpoint(disguise(&server).await).probe(true);
            let found = S3Storage::builder(disguised).probe_prefix("below/this/").connect().await.unwrap();
            assert_eq!(found.capabilities().preset, "generic");
            let mut expected = known.capabilities().clone();
            if server.name == "moto" {
                // It takes them; what is wrong is what it says of the object later.
                expected.trailers = Support::Native;
            }
            assert_eq!(probed(found.capabilities()), probed(&expected), "{}", server.name);
            let left: Vec<_> = known.list_versions(ListRequest::new()).try_concat().await.unwrap();
            assert!(left.is_empty(), "{} {versioned}: {left:?}", server.name);
        }
    }
}

/// The address of a server whose responses do not name it.
async fn disguise(server: &Server) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let to = server.endpoint.trim_start_matches("http://").to_owned();
    let env = SystemRuntime::shared();
    drop(env.clone().spawn_task(async move {
        while let Ok((client, _)) = listener.accept().await {
            drop(env.spawn_task(forward(client, TcpStream::connect(&to).await.unwrap())));
        }
    }));
    endpoint
}

async fn forward(client: TcpStream, server: TcpStream) -> std::io::Result<()> {
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let answers = async {
        let mut buffer = vec![0; 1 << 16];
        loop {
            let len = from_server.read(&mut buffer).await?;
            if len == 0 {
                return to_client.shutdown().await;
            }
            for name in ["MinIO", "VERSITYGW"] {
                let header = format!("Server: {name}");
                if let Some(at) = buffer[..len].windows(header.len()).position(|bytes| bytes == header.as_bytes()) {
                    buffer[at + "Server: ".len()..at + header.len()].fill(b'x');
                }
            }
            to_client.write_all(&buffer[..len]).await?;
        }
    };
    let requests = async {
        tokio::io::copy(&mut from_client, &mut to_server).await?;
        to_server.shutdown().await
    };
    tokio::try_join!(answers, requests).map(drop)
}

fn unknown(script: &Script) -> S3Config {
    script.config().preset(Preset::Auto)
}

#[tokio::test]
async fn an_unknown_server_gets_nothing_that_could_lose_data() {
    let script = Script::start(vec![Act::Answer(answer("403 Forbidden", &["Server: AmazonS3"], ""))]).await;
    let store = S3Storage::connect(unknown(&script)).await.unwrap();
    assert_eq!(store.capabilities().preset, "generic");
    assert_eq!(script.seen().len(), 1);
}

#[tokio::test]
async fn a_named_preset_and_a_host_of_amazon_are_not_asked_about() {
    let script = Script::start(vec![Act::Close]).await;
    let store = S3Storage::connect(script.config().preset(Preset::Generic)).await.unwrap();
    assert_eq!((store.capabilities().preset.as_str(), script.seen().len()), ("generic", 0));
    let amazon = S3Config::new("bucket").access_key_id("id").secret_access_key("secret").region("eu-central-1");
    assert_eq!(S3Storage::connect(amazon).await.unwrap().capabilities().preset, "aws");
}

#[tokio::test]
async fn a_server_that_starts_is_asked_again_and_none_is_an_error() {
    let starts = answer("502 Bad Gateway", &["Server: nginx"], "");
    let script = Script::start(vec![Act::Answer(starts), Act::Close, Act::Answer(answer("200 OK", &[], ""))]).await;
    S3Storage::connect(unknown(&script)).await.unwrap();
    assert_eq!(script.seen().len(), 3);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = unknown(&script).endpoint(format!("http://{}", listener.local_addr().unwrap()));
    drop(listener);
    let error = S3Storage::connect(nobody).await.unwrap_err();
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Network, Some("identify")), "{}", error.full_message());
}

#[tokio::test]
async fn a_probe_that_may_not_write_names_its_setting() {
    let script = Script::start(vec![Act::Answer(answer("403 Forbidden", &[], ""))]).await;
    let error = S3Storage::connect(unknown(&script).probe(true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    assert!(error.full_message().contains("probe=true"), "{}", error.full_message());
}
