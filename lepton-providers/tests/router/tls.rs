//! TLS, and certificates that change.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lepton_core::ErrorKind;
use lepton_providers::router::{Router, TlsFiles};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::site::Site;
use crate::user::{Answer, eventually, rest};

/// Writes a new certificate, and returns it.
fn write(folder: &Path) -> CertificateDer<'static> {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["shop".to_owned()]).unwrap();
    std::fs::write(folder.join("key.pem"), signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), cert.pem()).unwrap();
    cert.der().clone()
}

async fn ask(site: &Site, trusted: &CertificateDer<'static>) -> Option<Answer> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    let stream = TcpStream::connect(site.address).await.unwrap();
    let mut stream = connector.connect(ServerName::try_from("shop").unwrap(), stream).await.ok()?;
    stream.write_all(b"GET /headers HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n").await.unwrap();
    Some(rest(&mut stream).await)
}

#[tokio::test]
async fn a_changed_certificate_is_used_from_the_next_connection_on() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path());
    let mut files = TlsFiles::new(folder.path().join("cert.pem"), folder.path().join("key.pem"));
    files.reload = Duration::from_secs(3600);
    let site = Site::with(|config| config.tls = Some(files)).await;
    let answer = ask(&site, &first).await.unwrap();
    assert!(answer.body.contains("x-forwarded-proto: https\n"), "{answer:?}");
    let second = write(folder.path());
    assert!(ask(&site, &first).await.is_some(), "nobody has looked at the files");
    site.router().reload().await.unwrap();
    assert!(ask(&site, &first).await.is_none());
    assert_eq!(ask(&site, &second).await.unwrap().status, 200);
    std::fs::write(folder.path().join("key.pem"), "nonsense").unwrap();
    let error = site.router().reload().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(ask(&site, &second).await.unwrap().status, 200, "the last that worked stays");
}

#[tokio::test]
async fn changed_files_are_found() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let mut files = TlsFiles::new(folder.path().join("cert.pem"), folder.path().join("key.pem"));
    files.reload = Duration::from_millis(20);
    let site = Site::with(|config| config.tls = Some(files)).await;
    let second = write(folder.path());
    eventually("the new certificate is used", async || ask(&site, &second).await.is_some()).await;
}

#[tokio::test]
async fn a_certificate_that_does_not_fit_its_key_is_refused() {
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    write(one.path());
    write(other.path());
    let mut site = Site::start().await;
    site.kill();
    site.config.tls = Some(TlsFiles::new(one.path().join("cert.pem"), other.path().join("key.pem")));
    let error = Router::builder().config(site.config.clone()).start().await.unwrap_err();
    assert!(error.kind() == ErrorKind::InvalidInput && error.to_string().contains("cert.pem"), "{error}");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path());
    let files = TlsFiles::new(folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let site = Site::with(|config| {
        config.tls = Some(files);
        config.limits.header_time = Duration::from_millis(200);
    })
    .await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    assert_eq!(rest(&mut stream).await.status, 0);
}
