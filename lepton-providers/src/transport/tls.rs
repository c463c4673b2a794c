//! Trusted certificates.

use std::path::Path;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// TLS that trusts the certificates in `ca_file`, or those of the operating system if it
/// is `None`.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig> {
    with_roots(match ca_file {
        Some(path) => roots_of(path)?,
        None => system_roots()?,
    })
}

/// TLS that trusts no certificate, for clients that only speak plain HTTP.
pub(super) fn trusting_nobody() -> Result<ClientConfig> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn roots_of(path: &Path) -> Result<RootCertStore> {
    let refuse = |why: &str| Error::invalid_input(format!("ca_file {}: {why}", path.display()));
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| refuse("cannot be read as PEM certificates").with_source(error))?;
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    match (added, ignored) {
        (0, _) => Err(refuse("holds no certificate")),
        (_, 0) => Ok(roots),
        (_, ignored) => Err(refuse("holds certificates that cannot be used").with_context("unusable", ignored)),
    }
}

fn system_roots() -> Result<RootCertStore> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Systems ship a few certificates that cannot be parsed; the others suffice.
    let (added, _ignored) = roots.add_parsable_certificates(found.certs);
    if added > 0 {
        return Ok(roots);
    }
    let message = "the system has no trusted certificates; install them (ca-certificates) or set ca_file";
    let error = Error::new(ErrorKind::Tls, message);
    Err(match found.errors.into_iter().next() {
        Some(cause) => error.with_source(cause),
        None => error,
    })
}
