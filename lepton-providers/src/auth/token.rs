//! Bearer tokens.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use futures_core::future::BoxFuture;
use http::HeaderValue;
use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use secrecy::{ExposeSecret as _, SecretString};

use super::cache::{Cache, Expires};

/// A bearer token of Microsoft Entra ID or of Google. It does not print and is wiped on
/// drop.
#[derive(Clone)]
pub struct Token {
    pub(crate) secret: SecretString,
    pub(crate) expires: Option<SystemTime>,
}

impl Token {
    /// A token that does not expire.
    pub fn new(secret: impl Into<SecretString>) -> Self {
        Self { secret: secret.into(), expires: None }
    }

    /// Sets the time until which it is valid; it is renewed before that.
    #[must_use]
    pub fn expires(mut self, time: Option<SystemTime>) -> Self {
        self.expires = time;
        self
    }

    /// The value of `Authorization`.
    pub(crate) fn header(&self) -> Result<HeaderValue> {
        let value = HeaderValue::from_str(&format!("Bearer {}", self.secret.expose_secret()));
        let mut value =
            value.map_err(|_| Error::new(ErrorKind::Unauthenticated, "the token holds control characters"))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Expires for Token {
    fn expires(&self) -> Option<SystemTime> {
        self.expires
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A source of tokens for the object store.
#[async_trait]
pub trait TokenProvider: fmt::Debug + Send + Sync + 'static {
    /// Returns a token. Called when there is none, shortly before it expires, and after
    /// the service reported it as expired; calls never overlap.
    ///
    /// # Errors
    /// `unauthenticated` if no token is available.
    async fn token(&self) -> Result<Token>;
}

/// A cache of a provider's tokens, which are renewed this long before they expire.
pub(crate) fn cached(provider: Arc<dyn TokenProvider>, expiry_window: Duration, env: SharedRuntime) -> Cache<Token> {
    let issue = move || -> BoxFuture<'static, Result<Token>> {
        let provider = Arc::clone(&provider);
        Box::pin(async move { provider.token().await })
    };
    Cache::new(issue, expiry_window, env)
}

/// A constant token.
#[async_trait]
impl TokenProvider for Token {
    async fn token(&self) -> Result<Token> {
        Ok(self.clone())
    }
}
