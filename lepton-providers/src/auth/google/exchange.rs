//! Exchanges tokens: a user's refresh token, a workload's token from another cloud, and
//! the token of an account that impersonates a service account.
//!
//! "Using OAuth 2.0", "Workload identity federation" and "Service account impersonation"
//! in Google's documentation.

use std::sync::Arc;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use lepton_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::scopes::SCOPE;
use super::subject::Subject;
use crate::auth::issuer::{Issuer, post};
use crate::auth::oauth::ask;
use crate::auth::token::{Token, TokenProvider};
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::secrets::Secrets;
use crate::wire::time::parse_iso8601;

fn form(pairs: &[(&str, &str)]) -> String {
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{name}={}", encode_query(value.as_bytes()))).collect();
    pairs.join("&")
}

fn asking(uri: http::Uri, form: String) -> http::Request<crate::transport::RequestBody> {
    let mut request = post(uri, form);
    request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
    request
}

/// An address that may receive secrets.
pub(super) fn secure(url: &str) -> Result<Address> {
    let address = Address::parse(url)?;
    if address.is_tls() || address.is_here() {
        return Ok(address);
    }
    Err(Error::invalid_input("the credentials name an address without https, which would get a secret"))
}

/// A user who has logged in.
#[derive(Debug)]
pub(super) struct User {
    pub(super) issuer: Issuer,
    pub(super) token_uri: Address,
    pub(super) client_id: String,
    pub(super) client_secret: SecretString,
    pub(super) refresh_token: SecretString,
}

#[async_trait]
impl TokenProvider for User {
    async fn token(&self) -> Result<Token> {
        let form = form(&[
            ("grant_type", "refresh_token"),
            ("client_id", &self.client_id),
            ("client_secret", self.client_secret.expose_secret()),
            ("refresh_token", self.refresh_token.expose_secret()),
        ]);
        let secrets = Secrets::default().text(self.client_secret.expose_secret());
        let secrets = secrets.text(self.refresh_token.expose_secret());
        ask(&self.issuer, asking(self.token_uri.join("", "")?, form), secrets).await
    }
}

/// A workload in another cloud.
#[derive(Debug)]
pub(super) struct Workload {
    pub(super) issuer: Issuer,
    pub(super) token_url: Address,
    pub(super) audience: String,
    pub(super) kind: String,
    pub(super) subject: Subject,
    pub(super) scope: &'static str,
}

#[async_trait]
impl TokenProvider for Workload {
    async fn token(&self) -> Result<Token> {
        let subject = self.subject.token(&self.issuer.env).await?;
        let form = form(&[
            ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
            ("audience", &self.audience),
            ("scope", self.scope),
            ("requested_token_type", "urn:ietf:params:oauth:token-type:access_token"),
            ("subject_token_type", &self.kind),
            ("subject_token", subject.expose_secret()),
        ]);
        let secrets = Secrets::default().text(subject.expose_secret());
        ask(&self.issuer, asking(self.token_url.join("", "")?, form), secrets).await
    }
}

/// A service account that is impersonated.
#[derive(Debug)]
pub(crate) struct Impersonated {
    issuer: Issuer,
    url: Address,
    /// The intermediate accounts, each of which may impersonate the next.
    delegates: Vec<String>,
    as_who: Arc<dyn TokenProvider>,
}

impl Impersonated {
    /// # Errors
    /// `invalid_input` if the address is invalid or may not receive a secret.
    pub(crate) fn new(
        issuer: Issuer,
        url: &str,
        delegates: Vec<String>,
        as_who: Arc<dyn TokenProvider>,
    ) -> Result<Self> {
        Ok(Self { issuer, url: secure(url)?, delegates, as_who })
    }
}

#[async_trait]
impl TokenProvider for Impersonated {
    async fn token(&self) -> Result<Token> {
        let own = self.as_who.token().await?;
        let mut body = serde_json::json!({ "scope": [SCOPE], "lifetime": "3600s" });
        if !self.delegates.is_empty() {
            body["delegates"] = self.delegates.clone().into();
        }
        let mut request = post(self.url.join("", "")?, body.to_string());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        request.headers_mut().insert(AUTHORIZATION, own.header()?);
        let answer = self.issuer.send(request, Secrets::default()).await?;
        if !answer.is_success() {
            return Err(answer.refusal("the service account may not be taken on"));
        }
        impersonated(&answer.body).ok_or_else(|| Error::new(ErrorKind::Unauthenticated, "the answer holds no token"))
    }
}

fn impersonated(answer: &[u8]) -> Option<Token> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        access_token: SecretString,
        expire_time: String,
    }
    let answer: Answer = serde_json::from_slice(answer).ok()?;
    Some(Token::new(answer.access_token).expires(Some(parse_iso8601(&answer.expire_time)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_forms_encoded() {
        assert!(impersonated(br#"{"accessToken": "t", "expireTime": "2030-01-01T00:00:00Z"}"#).is_some());
        assert!(impersonated(br#"{"accessToken": "t", "expireTime": "soon"}"#).is_none());
        assert!(secure("http://example.org/x").is_err());
        assert_eq!(form(&[("a", "b c"), ("d", "e&f")]), "a=b%20c&d=e%26f");
    }
}
