//! That the server really checks what receipts say it checked, and URLs that
//! carry their own permission.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use lepton_core::{
    Body, BodySource, ErrorKind, Leaf, LeafStream, Method, PutOptions, RetryClass, Sha256, Signer as _, Storage as _,
    StorageExt as _,
};
use lepton_providers::s3::{S3Config, S3Storage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::objects::{data, key};
use super::servers;

const MIB: usize = 1 << 20;

/// Leaves whose last one is not what its hash says: a bit that flipped between
/// hashing and sending.
struct Flipped {
    leaves: usize,
}

impl BodySource for Flipped {
    fn open(&self) -> LeafStream {
        let leaves = self.leaves;
        Box::pin(futures_util::stream::iter((0..leaves).map(move |leaf| {
            let honest = data(MIB);
            let sha256 = Some(Sha256::of(&honest));
            let mut sent = honest.to_vec();
            sent[77] ^= u8::from(leaf + 1 == leaves);
            Ok(Leaf { pieces: vec![Bytes::from(sent)], sha256 })
        })))
    }
}

#[tokio::test]
async fn a_flipped_bit_is_found_by_the_server() {
    for server in servers::all().into_iter().filter(|server| server.name != "moto") {
        let store = server.fresh().await;
        store.write(&key("first"), data(3)).await.unwrap();
        for leaves in [1, 4] {
            let body = Body::from_source((leaves * MIB) as u64, Arc::new(Flipped { leaves }));
            let error = store.put(&key("k"), body, PutOptions::new()).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.retry()),
                (ErrorKind::ChecksumMismatch, RetryClass::Now),
                "{} {error:?}",
                server.name
            );
            assert!(!store.exists(&key("k")).await.unwrap(), "{}", server.name);
        }
    }
}

/// Sends a request without any header of ours.
async fn raw(method: &str, url: &str, body: &[u8]) -> String {
    let (authority, path) = url.strip_prefix("http://").unwrap().split_once('/').unwrap();
    let mut stream = TcpStream::connect(authority).await.unwrap();
    let head = format!(
        "{method} /{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn signed_urls_permit_what_they_say() {
    for server in servers::all() {
        let store = server.fresh().await;
        let name = key("dir/a b+ü~");
        let minute = Duration::from_secs(60);
        let put = store.sign(Method::Put, &name, minute).await.unwrap();
        assert!(raw("PUT", put.expose(), b"hello").await.starts_with("HTTP/1.1 200"), "{}", server.name);
        assert_eq!(store.read(&name, 99).await.unwrap(), "hello", "{}", server.name);
        let get = store.sign(Method::Get, &name, minute).await.unwrap();
        assert!(raw("GET", get.expose(), b"").await.ends_with("hello"), "{}", server.name);
        let delete = store.sign(Method::Delete, &name, minute).await.unwrap();
        if server.name != "moto" {
            assert!(raw("DELETE", get.expose(), b"").await.starts_with("HTTP/1.1 403"), "{}", server.name);
        }
        assert!(raw("DELETE", delete.expose(), b"").await.starts_with("HTTP/1.1 204"), "{}", server.name);
        assert!(!store.exists(&name).await.unwrap());
        assert!(!format!("{get:?}").contains("Signature"));
        let long = store.sign(Method::Get, &name, Duration::from_secs(8 * 86_400)).await.unwrap_err();
        assert_eq!(long.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn larger_bodies_are_held_or_refused_where_chunks_are_not_known() {
    for server in servers::all() {
        let bucket = server.new_bucket().await;
        let config: S3Config =
            server.config(&bucket).preset(lepton_providers::s3::Preset::Generic).upload_buffer(3u64 << 20);
        let store = S3Storage::new(config).unwrap();
        let bytes = data(3 * MIB);
        store.write(&key("held"), bytes.clone()).await.unwrap();
        assert!(store.read(&key("held"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
        let error = store.write(&key("refused"), data(3 * MIB + 1)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{} {error:?}", server.name);
        assert!(error.to_string().contains("upload_buffer"), "{error}");
    }
}
