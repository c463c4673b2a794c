//! The certificate of a service principal, which authenticates by signing.
//!
//! "Microsoft identity platform application authentication certificate credentials".

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use lepton_core::{Error, Result};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};

/// The validity of an assertion, in seconds.
const LIFE: u64 = 600;

/// A certificate with its key.
pub(super) struct Certificate {
    pub(super) key: RsaKeyPair,
    thumbprint: String,
}

impl Certificate {
    /// Reads the first certificate and the first key of a PEM text.
    ///
    /// # Errors
    /// `invalid_input` if one is missing; the key does not appear in the error.
    pub(super) fn parse(pem: &str) -> Result<Self> {
        let wrong = |what: &str| Error::invalid_input(format!("the client certificate's file holds no {what}"));
        let certificate = CertificateDer::from_pem_slice(pem.as_bytes()).map_err(|_| wrong("certificate in PEM"))?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| wrong("key in PKCS #8 (-----BEGIN PRIVATE KEY-----) that is not encrypted"))?;
        let key = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|_| wrong("RSA key"))?;
        // The service identifies certificates by this digest; security does not depend on
        // its strength.
        let thumbprint = digest(&SHA1_FOR_LEGACY_USE_ONLY, &certificate);
        Ok(Self { key, thumbprint: BASE64_URL_SAFE_NO_PAD.encode(thumbprint) })
    }

    /// Proves to `audience` that this is the client. `now` is in seconds since 1970.
    pub(super) fn assertion(&self, client: &str, audience: &str, id: &str, now: u64) -> Result<String> {
        let header = json!({ "alg": "RS256", "typ": "JWT", "x5t": self.thumbprint });
        let claims = json!({
            "aud": audience, "iss": client, "sub": client, "jti": id, "iat": now, "nbf": now, "exp": now + LIFE,
        });
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        let mut signature = vec![0; self.key.public().modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
            .map_err(|_| Error::invalid_input("the client certificate's key cannot sign"))?;
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature)))
    }
}
