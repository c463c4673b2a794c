//! Loads a server's certificate from files.

use std::path::Path;
use std::sync::Arc;

use lepton_core::{Error, Result};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Reads a certificate chain and the private key of its first certificate, both in PEM.
///
/// # Errors
/// `invalid_input`, naming the file, if a file cannot be read or the two do not match.
pub fn tls_from_files(certificate: &Path, key: &Path) -> Result<Arc<ServerConfig>> {
    let wrong = |file: &Path, why: &dyn std::fmt::Display| {
        Error::invalid_input(format!("{} cannot be used for TLS: {why}", file.display()))
    };
    let chain =
        CertificateDer::pem_file_iter(certificate).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    let chain = chain.map_err(|error| wrong(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| wrong(key, &error))?;
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, secret);
    config.map(Arc::new).map_err(|error| wrong(certificate, &error))
}
