//! Over TLS: trailers, a custom authority, tunnels through proxies.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{
    ChecksumAlgorithm, CompleteOptions, CreateUploadOptions, Effect, ErrorKind, HeadOptions, Multipart as _, PartSpec,
    RetryClass, RuntimeExt as _, ServerCheck, Storage as _, StorageExt as _, StoredChecksum, SystemRuntime,
};
use lepton_providers::s3::{S3Config, S3Storage};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, IsCa, KeyPair};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::objects::{data, key};
use super::script::{Act, Script, answer};
use super::servers::{self, Server};

const MIB: usize = 1 << 20;

/// TLS in front of a plain server, with a certificate of its own authority.
pub(crate) struct Terminator {
    pub(crate) endpoint: String,
    pub(crate) ca_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl Terminator {
    pub(crate) async fn start(upstream: &str) -> Self {
        Self::with(upstream, &rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap()).await
    }

    async fn with(upstream: &str, certified: &CertifiedKey<KeyPair>) -> Self {
        let upstream = upstream.strip_prefix("http://").unwrap().to_owned();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, certified.cert.pem()).unwrap();
        let private = PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let config =
            config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], private).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let env = SystemRuntime::shared();
        drop(env.clone().spawn_task(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (acceptor, upstream) = (acceptor.clone(), upstream.clone());
                drop(env.spawn_task(async move {
                    let Ok(stream) = acceptor.accept(stream).await else { return };
                    join(stream, &upstream).await;
                }));
            }
        }));
        Self { endpoint, ca_file, _folder: folder }
    }

    pub(crate) fn config(&self, server: &Server, bucket: &str) -> S3Config {
        server.config(bucket).endpoint(self.endpoint.clone()).ca_file(self.ca_file.clone())
    }
}

/// A certificate that may also sign others, as `openssl req -x509` makes it.
fn self_signed(name: &str, change: impl FnOnce(&mut CertificateParams)) -> CertifiedKey<KeyPair> {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    change(&mut params);
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

#[tokio::test]
async fn a_certificate_that_ca_file_names_is_trusted_as_it_is() {
    let script = Script::start(vec![Act::Answer(answer("200 OK", &["ETag: \"e\""], ""))]).await;
    let write = async |certified, ca_file: Option<PathBuf>| {
        let terminator = Terminator::with(&script.endpoint, &certified).await;
        let ca_file = ca_file.unwrap_or(terminator.ca_file.clone());
        let config = script.config().endpoint(terminator.endpoint.clone()).ca_file(ca_file);
        S3Storage::new(config).unwrap().write(&key("a"), data(1)).await
    };
    write(self_signed("localhost", |_| ()), None).await.unwrap();
    // Its name and its time still count, and another certificate is not trusted.
    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), self_signed("localhost", |_| ()).cert.pem()).unwrap();
    for (certified, ca_file) in [
        (self_signed("elsewhere", |_| ()), None),
        (self_signed("localhost", |params| params.not_after = rcgen::date_time_ymd(2001, 1, 1)), None),
        (self_signed("localhost", |_| ()), Some(other.path().to_owned())),
    ] {
        let error = write(certified, ca_file).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Tls, "{}", error.full_message());
    }
}

async fn join(mut stream: impl AsyncRead + AsyncWrite + Unpin, upstream: &str) {
    let mut upstream = TcpStream::connect(upstream).await.unwrap();
    // Either side may go away at any time.
    let _ = copy_bidirectional(&mut stream, &mut upstream).await;
}

#[tokio::test]
async fn larger_uploads_carry_their_checksum_behind_them() {
    for server in servers::all().into_iter().filter(|server| server.name != "moto") {
        let terminator = Terminator::start(&server.endpoint).await;
        let store = S3Storage::new(terminator.config(&server, &server.new_bucket().await)).unwrap();
        let bytes = data(5 * MIB + 3);
        let receipt = store.write(&key("k"), bytes.clone()).await.unwrap();
        assert_eq!(receipt.check, ServerCheck::Checksum(ChecksumAlgorithm::Crc64Nvme), "{}", server.name);
        assert!(store.read(&key("k"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
        let sum = StoredChecksum::of(ChecksumAlgorithm::Crc64Nvme, &bytes).unwrap();
        let info = store.head(&key("k"), HeadOptions::new()).await.unwrap();
        assert_eq!(info.attributes.content_encoding, None, "{}", server.name);
        assert!(info.meta.checksums.contains(&sum), "{} {:?}", server.name, info.meta.checksums);
        let small = store.write(&key("small"), data(9)).await.unwrap();
        assert_ne!(small.check, ServerCheck::Checksum(ChecksumAlgorithm::Crc64Nvme));
    }
}

#[tokio::test]
async fn parts_with_trailers_make_an_object_with_a_checksum() {
    for server in servers::all().into_iter().filter(|server| server.name != "moto") {
        let terminator = Terminator::start(&server.endpoint).await;
        let store = S3Storage::new(terminator.config(&server, &server.new_bucket().await)).unwrap();
        let bytes = data(7 * MIB);
        let upload = store.create(&key("k"), CreateUploadOptions::new()).await.unwrap();
        let mut parts = Vec::new();
        for (number, range) in [(1, 0..5 * MIB), (2, 5 * MIB..7 * MIB)] {
            let part = PartSpec::new(number, range.start as u64..range.end as u64);
            let sum = StoredChecksum::of(ChecksumAlgorithm::Crc64Nvme, &bytes[range.clone()]).unwrap();
            let receipt = store.upload_part(&upload, part, bytes.slice(range).into()).await.unwrap();
            assert_eq!(receipt.checksum, Some(sum), "{}", server.name);
            parts.push(receipt);
        }
        store.complete(&upload, parts, CompleteOptions::new()).await.unwrap();
        assert!(store.read(&key("k"), u64::MAX).await.unwrap() == bytes, "{}", server.name);
        let info = store.head(&key("k"), HeadOptions::new()).await.unwrap();
        let sum = StoredChecksum::of(ChecksumAlgorithm::Crc64Nvme, &bytes).unwrap();
        assert!(info.meta.checksums.contains(&sum), "{} {:?}", server.name, info.meta.checksums);
    }
}

#[tokio::test]
async fn a_server_that_nobody_vouches_for_is_refused() {
    let script = Script::start(vec![Act::Answer(answer("200 OK", &[], ""))]).await;
    let terminator = Terminator::start(&script.endpoint).await;
    let stranger = Terminator::start(&script.endpoint).await;
    let trusted = script.config().endpoint(terminator.endpoint.clone()).ca_file(terminator.ca_file.clone());
    S3Storage::new(trusted.clone()).unwrap().write(&key("k"), data(3)).await.unwrap();
    let seen = script.seen().len();
    let other_name = terminator.endpoint.replace("localhost", "127.0.0.1");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let no_tls = format!("https://{}", plain.local_addr().unwrap());
    drop(SystemRuntime::shared().spawn_task(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    }));
    for config in [
        trusted.clone().ca_file(stranger.ca_file.clone()),
        trusted.clone().endpoint(other_name),
        trusted.clone().endpoint(no_tls),
    ] {
        let error = S3Storage::new(config).unwrap().write(&key("k"), data(3)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry(), error.effect()),
            (ErrorKind::Tls, RetryClass::Never, Effect::None),
            "{error:?}"
        );
    }
    assert_eq!(script.seen().len(), seen);
    let error = S3Storage::new(trusted.ca_file("/nonexistent.pem")).unwrap_err();
    assert!(error.to_string().contains("/nonexistent.pem"), "{error}");
}

#[tokio::test]
async fn a_customers_key_is_in_no_error() {
    let (key_text, bytes) = ("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "0123456789abcdef0123456789abcdef");
    for said in [key_text, bytes, &key_text.replace('=', "%3D"), &lepton_core::to_hex(bytes.as_bytes())] {
        let refusal =
            format!("<Error><Code>InvalidArgument</Code><Message>AES256 with {said} is wrong</Message></Error>");
        let script = Script::start(vec![Act::Answer(answer("400 Bad Request", &[], &refusal))]).await;
        let terminator = Terminator::start(&script.endpoint).await;
        let config = script.config().endpoint(terminator.endpoint.clone()).ca_file(terminator.ca_file.clone());
        let store = S3Storage::new(config.sse_customer_key(key_text)).unwrap();
        let error = store.write(&key("k"), data(3)).await.unwrap_err();
        assert!(error.message().ends_with("AES256 with … is wrong"), "{said}: {error}");
    }
}

#[tokio::test]
async fn a_proxy_is_asked_for_a_tunnel() {
    let script = Script::start(vec![Act::Answer(answer("200 OK", &[], ""))]).await;
    let terminator = Terminator::start(&script.endpoint).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://user:pass@{}", listener.local_addr().unwrap());
    let upstream = terminator.endpoint.strip_prefix("https://").unwrap().to_owned();
    let asked = SystemRuntime::shared().spawn_task(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
        let env = SystemRuntime::shared();
        drop(env.spawn_task(async move { join(stream, &upstream).await }));
        String::from_utf8(head).unwrap()
    });
    let config = script.config().endpoint(terminator.endpoint.clone()).ca_file(terminator.ca_file.clone()).proxy(proxy);
    S3Storage::new(config).unwrap().write(&key("k"), data(3)).await.unwrap();
    let head = asked.join().await.unwrap();
    let authority = terminator.endpoint.strip_prefix("https://").unwrap();
    assert!(head.starts_with(&format!("CONNECT {authority} HTTP/1.1\r\n")), "{head}");
    assert!(head.to_ascii_lowercase().contains("proxy-authorization: basic"), "{head}");
    assert!(!script.seen()[0].head.to_ascii_lowercase().contains("proxy-authorization"));
}
