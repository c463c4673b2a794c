//! The S3 server of this process with TLS and a self-signed certificate.

use std::path::PathBuf;
use std::sync::Arc;

use lepton::MemoryStorage;
use lepton::providers::s3::{Preset, S3Config};
use lepton_s3_front::{S3Front, Server};

use super::{ACCESS_KEY, BUCKET, SECRET_KEY, places};

pub struct TlsCloud {
    pub storage: MemoryStorage,
    pub server: Server,
    ca_file: PathBuf,
    _folder: tempfile::TempDir,
}

impl TlsCloud {
    /// Starts the server with a certificate for this name.
    pub async fn start(name: &str) -> Self {
        let storage = MemoryStorage::new();
        let certified = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, certified.cert.pem()).unwrap();
        let front = S3Front::builder().bucket(BUCKET, Arc::new(storage.clone())).credentials(ACCESS_KEY, SECRET_KEY);
        let server = front.build().unwrap().serve_tls("127.0.0.1:0", config(&certified)).await.unwrap();
        Self { storage, server, ca_file, _folder: folder }
    }

    pub fn config(&self) -> S3Config {
        let endpoint = format!("https://localhost:{}", self.server.address().port());
        places::config(BUCKET, &endpoint, Preset::Aws).ca_file(self.ca_file.clone())
    }

    /// The URL of its bucket with this host name; `trusted`: with the certificate.
    pub fn url(&self, host: &str, trusted: bool) -> String {
        let ca_file = if trusted { format!("&ca_file={}", self.ca_file.display()) } else { String::new() };
        format!("s3://{BUCKET}?endpoint=https://{host}:{}&preset=aws{ca_file}", self.server.address().port())
    }
}

/// A TLS configuration with this certificate.
pub fn config(certified: &rcgen::CertifiedKey<rcgen::KeyPair>) -> Arc<rustls::ServerConfig> {
    let private = rustls::pki_types::PrivateKeyDer::try_from(certified.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certified.cert.der().clone()], private).unwrap())
}
