//! The certificate of the router, which is loaded again when its files change.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _, SharedRuntime};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;

use super::config::TlsFiles;

/// A certificate with its key, as last loaded.
#[derive(Debug)]
pub(super) struct Certificate {
    files: TlsFiles,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    certificate: Vec<u8>,
    key: Vec<u8>,
    config: Arc<ServerConfig>,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Loaded")
    }
}

impl Certificate {
    /// Loads the files. Blocks.
    pub(super) fn load(files: TlsFiles) -> Result<Self> {
        let loaded = Loaded::read(&files)?;
        Ok(Self { files, loaded: Mutex::new(loaded) })
    }

    /// What the next connection uses.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(Arc::clone(&self.loaded.lock().unwrap_or_else(PoisonError::into_inner).config))
    }

    /// Loads the files again. If they cannot be used, those that were loaded before stay.
    pub(super) async fn reload(self: &Arc<Self>, env: &SharedRuntime) -> Result<()> {
        let this = Arc::clone(self);
        let reload = move || {
            let new = Loaded::read(&this.files)?;
            let mut loaded = this.loaded.lock().unwrap_or_else(PoisonError::into_inner);
            if (&loaded.certificate, &loaded.key) != (&new.certificate, &new.key) {
                tracing::info!(path = %this.files.certificate.display(), "the certificate was loaded again");
                *loaded = new;
            }
            Ok(())
        };
        env.run_blocking(reload).join().await?
    }

    /// Looks at the files again and again.
    pub(super) async fn watch(self: Arc<Self>, env: SharedRuntime) {
        loop {
            env.sleep(self.files.reload).await;
            if let Err(error) = self.reload(&env).await {
                tracing::warn!("the certificate is not replaced: {}", error.full_message());
            }
        }
    }
}

impl Loaded {
    fn read(files: &TlsFiles) -> Result<Self> {
        let read = |path: &Path| fs::read(path).map_err(|error| wrong(path, "cannot be read").with_source(error));
        let (certificate, key) = (read(&files.certificate)?, read(&files.key)?);
        let chain = CertificateDer::pem_slice_iter(&certificate).collect::<std::result::Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| wrong(&files.certificate, "is no PEM certificate").with_source(error))?;
        let secret = PrivateKeyDer::from_pem_slice(&key);
        let secret = secret.map_err(|error| wrong(&files.key, "is no PEM private key").with_source(error))?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(error))?;
        let mut config = builder
            .with_no_client_auth()
            .with_single_cert(chain, secret)
            .map_err(|error| wrong(&files.certificate, "does not fit its key").with_source(error))?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { certificate, key, config: Arc::new(config) })
    }
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::invalid_input(format!("the file for TLS {why}")).with_context("path", path.display())
}
