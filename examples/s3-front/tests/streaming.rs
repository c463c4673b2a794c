//! Bodies are streamed, connections are kept alive, and TLS and host names work.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "test")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use common::{Chunks, Payload, Request, front};
use futures_util::StreamExt as _;
use lepton_core::{
    Body, Capabilities, DeleteRequest, DeleteResults, Error, GetOptions, GetReply, HeadOptions, KeyPrefix, ListRequest,
    MemoryStorage, Multipart, ObjectInfo, ObjectKey, PageStream, PhysicalLocation, PutOptions, PutReceipt, Result,
    ServerCheck, ServerCopy, Signer, Storage, Versions,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

/// Accepts objects, counts the bytes received of the current one, and returns none.
#[derive(Debug)]
struct Probe {
    capabilities: Capabilities,
    taken: AtomicU64,
    news: Notify,
}

impl Probe {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            capabilities: Capabilities::everything("probe"),
            taken: AtomicU64::new(0),
            news: Notify::new(),
        })
    }

    async fn has(&self, bytes: u64) {
        while self.taken.load(Ordering::SeqCst) < bytes {
            self.news.notified().await;
        }
    }
}

#[async_trait]
impl Storage for Probe {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn url(&self) -> &str {
        "probe:"
    }

    fn copy_url(&self) -> Option<&str> {
        None
    }

    async fn physical_location(&self, prefix: &KeyPrefix) -> Result<PhysicalLocation> {
        Ok(PhysicalLocation::new(self.url(), prefix.as_bytes()))
    }

    fn list(&self, _: ListRequest) -> PageStream {
        futures_util::stream::empty().boxed()
    }

    async fn head(&self, _: &ObjectKey, _: HeadOptions) -> Result<ObjectInfo> {
        Err(Error::unsupported("head"))
    }

    async fn get(&self, _: &ObjectKey, _: GetOptions) -> Result<GetReply> {
        Err(Error::unsupported("get"))
    }

    async fn put(&self, _: &ObjectKey, body: Body, _: PutOptions) -> Result<PutReceipt> {
        let mut leaves = body.open();
        while let Some(leaf) = leaves.next().await {
            self.taken.fetch_add(leaf?.len() as u64, Ordering::SeqCst);
            self.news.notify_one();
        }
        let again = body.open().next().await.expect("an item").expect_err("a body is read once");
        assert!(again.to_string().contains("only once"), "{again}");
        Ok(PutReceipt::new(ServerCheck::AsWritten))
    }

    async fn delete(&self, _: Vec<DeleteRequest>) -> Result<DeleteResults> {
        Err(Error::unsupported("delete"))
    }

    fn multipart(&self) -> Option<&dyn Multipart> {
        None
    }

    fn server_copy(&self) -> Option<&dyn ServerCopy> {
        None
    }

    fn signer(&self) -> Option<&dyn Signer> {
        None
    }

    fn versions(&self) -> Option<&dyn Versions> {
        None
    }
}

#[tokio::test]
async fn the_storage_has_the_first_bytes_before_the_last_are_sent() {
    let probe = Probe::new();
    let server = front().bucket("probe", Arc::clone(&probe) as _).build().unwrap().serve("127.0.0.1:0").await.unwrap();
    let chunks = Chunks { chunks: vec![vec![1; 1 << 20]; 8], ..Default::default() };
    let bytes = Request::new("PUT", "/probe/key").payload(Payload::Signed(chunks)).bytes(&server);
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    let (first, rest) = bytes.split_at(3 << 20);
    stream.write_all(first).await.unwrap();
    probe.has(1 << 20).await;
    assert!(probe.taken.load(Ordering::SeqCst) < 3 << 20);
    stream.write_all(rest).await.unwrap();
    assert_eq!(common::read(&mut stream).await.unwrap().status, 200);
    assert_eq!(probe.taken.load(Ordering::SeqCst), 8 << 20);
}

#[tokio::test]
async fn a_connection_serves_one_request_after_another() {
    let server = front().bucket("plain", Arc::new(MemoryStorage::new())).build().unwrap();
    let server = server.serve("127.0.0.1:0").await.unwrap();
    let mut stream = TcpStream::connect(server.address()).await.unwrap();
    for number in 0..3 {
        let request = Request::new("PUT", format!("/plain/{number}")).body("x").bytes(&server);
        let request = String::from_utf8(request).unwrap().replace("connection: close", "connection: keep-alive");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        assert!(head.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&head));
    }
    assert_eq!(server.stats().of("PutObject").succeeded, 3);
    // Botocore misreads the reply after an empty put with `Expect: 100-continue`.
    let empty = Request::new("PUT", "/plain/empty").header("expect", "100-continue").bytes(&server);
    let empty = String::from_utf8(empty).unwrap().replace("connection: close\r\n", "");
    let mut other = TcpStream::connect(server.address()).await.unwrap();
    other.write_all(empty.as_bytes()).await.unwrap();
    assert_eq!(common::read(&mut other).await.unwrap().header("connection"), Some("close"));
    // An idle connection does not delay the shutdown.
    server.stop().await;
    assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn anonymous_requests_pass_where_they_may_and_buckets_can_be_host_names() {
    let storage = Arc::new(MemoryStorage::new());
    let serve = |builder: lepton_s3_front::Builder| {
        let front = builder.bucket("plain", Arc::clone(&storage) as _).domain("s3.test:80").build().unwrap();
        async move { front.serve("127.0.0.1:0").await.unwrap() }
    };
    let get = async |server: &lepton_s3_front::Server, target: &str, host: &str| {
        let mut stream = TcpStream::connect(server.address()).await.unwrap();
        let request = format!("GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        common::read(&mut stream).await.unwrap()
    };
    let closed = serve(front()).await;
    let open = serve(front().allow_anonymous()).await;
    assert_eq!(Request::new("PUT", "/plain/k").body("x").send(&closed).await.unwrap().status, 200);
    assert_eq!(get(&closed, "/plain/k", "127.0.0.1").await.element("Code").as_deref(), Some("AccessDenied"));
    assert_eq!(get(&open, "/plain/k", "127.0.0.1").await.text(), "x");
    assert_eq!(get(&open, "/k", "plain.s3.test:80").await.text(), "x");
    let wrong = Request::new("GET", "/plain/k").keys("access", "wrong");
    assert_eq!(wrong.code(&open).await, (403, "SignatureDoesNotMatch".into()));
}

#[tokio::test]
async fn tls_serves_the_same() {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.clone()], key).unwrap();
    let front = front().bucket("plain", Arc::new(MemoryStorage::new())).build().unwrap();
    let server = front.serve_tls("127.0.0.1:0", Arc::new(config)).await.unwrap();
    assert!(server.endpoint().starts_with("https://"));

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    stream.write_all(&Request::new("PUT", "/plain/k").body("x").bytes(&server)).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200"), "{reply}");
}
