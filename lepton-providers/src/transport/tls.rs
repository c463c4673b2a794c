//! Trusted certificates.

use std::path::Path;
use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// TLS that trusts the certificates in `ca_file`, or those of the operating system if it
/// is `None`.
pub(super) fn client_config(ca_file: Option<&Path>) -> Result<ClientConfig> {
    let Some(path) = ca_file else { return with_roots(system_roots()?) };
    let certificates = read(path)?;
    let roots = roots_of(path, certificates.clone())?;
    let mut config = with_roots(roots.clone())?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build();
    let verifier = verifier.map_err(|error| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(error))?;
    config.dangerous().set_certificate_verifier(Arc::new(Named { verifier, certificates }));
    Ok(config)
}

/// Trusts what `ca_file` says: certificates that one of its authorities has signed, and a
/// certificate that stands in it, as it is. A self-signed certificate that may also sign others,
/// which `openssl req -x509` makes, is no server's certificate by the rules for chains; curl and
/// OpenSSL trust it.
#[derive(Debug)]
struct Named {
    verifier: Arc<WebPkiServerVerifier>,
    certificates: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verified = self.verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match verified {
            // Neither its time nor its name is the reason: these have errors of their own.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(_)))
                if self.certificates.iter().any(|named| named == end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            verified => verified,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// TLS that trusts no certificate, for clients that only speak plain HTTP.
pub(super) fn trusting_nobody() -> Result<ClientConfig> {
    with_roots(RootCertStore::empty())
}

fn with_roots(roots: RootCertStore) -> Result<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::new(ErrorKind::Tls, "TLS cannot be set up").with_source(error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::invalid_input(format!("ca_file {}: {why}", path.display()))
}

fn read(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
        .map_err(|error| refuse(path, "cannot be read as PEM certificates").with_source(error))
}

fn roots_of(path: &Path, certificates: Vec<CertificateDer<'static>>) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let (added, ignored) = roots.add_parsable_certificates(certificates);
    match (added, ignored) {
        (0, _) => Err(refuse(path, "holds no certificate")),
        (_, 0) => Ok(roots),
        (_, ignored) => Err(refuse(path, "holds certificates that cannot be used").with_context("unusable", ignored)),
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
