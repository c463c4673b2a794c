//! A service account, which authenticates by signing.
//!
//! "Using OAuth 2.0 for server to server applications" in Google's documentation.

use std::fmt;
use std::time::{Duration, UNIX_EPOCH};

use async_trait::async_trait;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use lepton_core::{Error, ErrorKind, Result};
use ring::rand::SystemRandom;
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use crate::auth::issuer::{Issuer, post};
use crate::auth::oauth::ask;
use crate::auth::token::{Token, TokenProvider};
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::secrets::Secrets;

/// The requested validity of a token.
const LIFE: Duration = Duration::from_secs(3600);

/// A service account with its key.
pub(crate) struct ServiceAccount {
    pub(crate) email: String,
    key: RsaKeyPair,
    key_id: Option<String>,
    token_uri: Address,
}

impl ServiceAccount {
    /// # Errors
    /// `invalid_input` if the key is invalid; it does not appear in the error.
    pub(crate) fn new(
        email: String,
        private_key: &SecretString,
        key_id: Option<String>,
        token_uri: &str,
    ) -> Result<Self> {
        let wrong = |why: &str| Error::invalid_input(format!("the private key of {email} {why}"));
        let pem = private_key.expose_secret();
        let body: Zeroizing<String> =
            Zeroizing::new(pem.lines().filter(|line| !line.starts_with("-----")).map(str::trim).collect());
        let der = BASE64_STANDARD.decode(body.as_bytes()).map_err(|_| wrong("is not PEM"))?;
        let key = RsaKeyPair::from_pkcs8(&Zeroizing::new(der)).map_err(|_| wrong("is no RSA key in PKCS #8"))?;
        let token_uri = Address::parse(token_uri)?;
        if !token_uri.is_tls() && !token_uri.is_here() {
            return Err(Error::invalid_input("token_uri must begin with https://"));
        }
        Ok(Self { email, key, key_id, token_uri })
    }

    /// The RSA signature of these bytes, with SHA-256.
    pub(crate) fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut signature = vec![0; self.key.public().modulus_len()];
        let signed = self.key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), bytes, &mut signature);
        signed.map_err(|_| Error::new(ErrorKind::Unauthenticated, "the service account's key cannot sign"))?;
        Ok(signature)
    }

    fn assertion(&self, scope: &str, now: u64) -> Result<String> {
        let mut header = serde_json::json!({ "alg": "RS256", "typ": "JWT" });
        if let Some(id) = &self.key_id {
            header["kid"] = id.as_str().into();
        }
        let claims = serde_json::json!({
            "iss": self.email,
            "scope": scope,
            "aud": self.token_uri.canonical(),
            "iat": now,
            "exp": now + LIFE.as_secs(),
        });
        let encode = |value: &serde_json::Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(&header), encode(&claims));
        Ok(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(self.sign(signed.as_bytes())?)))
    }
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAccount").field("email", &self.email).finish_non_exhaustive()
    }
}

/// Gets tokens for a service account.
#[derive(Debug)]
pub(crate) struct AccountTokens {
    pub(super) issuer: Issuer,
    pub(super) account: std::sync::Arc<ServiceAccount>,
    pub(super) scope: &'static str,
}

#[async_trait]
impl TokenProvider for AccountTokens {
    async fn token(&self) -> Result<Token> {
        let now = self.issuer.env.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let assertion = self.account.assertion(self.scope, now)?;
        let grant = encode_query(b"urn:ietf:params:oauth:grant-type:jwt-bearer");
        let form = format!("grant_type={grant}&assertion={}", encode_query(assertion.as_bytes()));
        let mut request = post(self.account.token_uri.join("", "")?, form);
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        ask(&self.issuer, request, Secrets::default().text(&assertion)).await
    }
}
