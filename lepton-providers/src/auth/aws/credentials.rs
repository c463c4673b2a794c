//! Credentials and their providers.

use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use lepton_core::Result;
use secrecy::SecretString;

use crate::auth::cache::Expires;

/// An access key with its secret. Secrets do not print and are wiped on drop.
#[derive(Clone)]
pub struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret_access_key: SecretString,
    pub(crate) session_token: Option<SecretString>,
    pub(crate) expires: Option<SystemTime>,
}

impl Credentials {
    /// Credentials that do not expire.
    pub fn new(access_key_id: impl Into<String>, secret_access_key: impl Into<SecretString>) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: None,
            expires: None,
        }
    }

    /// Sets the token of a session.
    #[must_use]
    pub fn session_token(mut self, token: Option<SecretString>) -> Self {
        self.session_token = token;
        self
    }

    /// Sets the time until which they are valid; they are renewed before that.
    #[must_use]
    pub fn expires(mut self, time: Option<SystemTime>) -> Self {
        self.expires = time;
        self
    }
}

impl Expires for Credentials {
    fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A source of credentials: a role, a vault, a metadata service.
#[async_trait]
pub trait CredentialsProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns credentials. Called when there are none, shortly before they expire, and
    /// after a server reported them as expired; calls never overlap.
    ///
    /// # Errors
    /// `unauthenticated` if no credentials are available.
    async fn credentials(&self) -> Result<Credentials>;
}

/// Constant credentials.
#[async_trait]
impl CredentialsProvider for Credentials {
    async fn credentials(&self) -> Result<Credentials> {
        Ok(self.clone())
    }
}
