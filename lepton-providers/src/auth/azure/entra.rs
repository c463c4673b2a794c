//! Tokens of Microsoft Entra ID, for a service principal with its secret or certificate,
//! or for a workload with a token of its cluster.
//!
//! "Microsoft identity platform and the OAuth 2.0 client credentials flow".

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use lepton_core::{Error, Result, SharedRuntime};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::certificate::Certificate;
use super::resource::RESOURCE;
use crate::auth::file::secret;
use crate::auth::issuer::{Issuer, post};
use crate::auth::oauth::ask;
use crate::auth::token::{Token, TokenProvider};
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::secrets::Secrets;

/// How an application authenticates.
#[derive(Debug, Clone)]
pub(crate) enum Proof {
    Secret(SecretString),
    /// A PEM file with a certificate and its key.
    Certificate(PathBuf),
    /// A file that another program renews.
    Workload(PathBuf),
}

/// Requests tokens for an application.
#[derive(Debug)]
pub(crate) struct Application {
    issuer: Issuer,
    env: SharedRuntime,
    authority: Address,
    tenant: String,
    client: String,
    proof: Proof,
}

impl Application {
    /// # Errors
    /// `invalid_input` if the authority is not an address, or would receive the secret in
    /// the clear.
    pub(crate) fn new(
        issuer: Issuer,
        env: SharedRuntime,
        authority: &str,
        (tenant, client): (&str, &str),
        proof: Proof,
    ) -> Result<Self> {
        let authority = Address::parse(authority)?;
        if !authority.is_tls() && !authority.is_here() {
            return Err(Error::invalid_input("authority_host must begin with https://: secrets are sent to it"));
        }
        let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        if tenant.is_empty() || !plain(tenant) {
            return Err(Error::invalid_input("tenant_id is no tenant: its id or domain is what it should be"));
        }
        Ok(Self { issuer, env, authority, tenant: tenant.to_owned(), client: client.to_owned(), proof })
    }

    async fn form(&self) -> Result<String> {
        let scope = format!("{RESOURCE}.default");
        let mut form = format!(
            "grant_type=client_credentials&client_id={}&scope={}",
            encode_query(self.client.as_bytes()),
            encode_query(scope.as_bytes())
        );
        match &self.proof {
            Proof::Secret(secret) => {
                form.push_str("&client_secret=");
                form.push_str(&encode_query(secret.expose_secret().as_bytes()));
            }
            Proof::Certificate(file) => {
                let pem = self.read(file).await?;
                let named = |error: Error| error.with_context("file", file.display());
                let seconds = self.env.now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
                let id = format!("{:016x}{:016x}", self.env.random(), self.env.random());
                let certificate = Certificate::parse(&pem).map_err(named)?;
                let assertion = certificate.assertion(&self.client, &self.address()?.to_string(), &id, seconds);
                push_assertion(&mut form, &assertion.map_err(named)?);
            }
            Proof::Workload(file) => push_assertion(&mut form, &self.read(file).await?),
        }
        Ok(form)
    }

    fn address(&self) -> Result<http::Uri> {
        self.authority.join(&format!("/{}/oauth2/v2.0/token", self.tenant), "")
    }

    async fn read(&self, file: &Path) -> Result<Zeroizing<String>> {
        secret(&self.env, file, "file that proves the identity").await
    }
}

fn push_assertion(form: &mut String, token: &str) {
    form.push_str("&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer");
    form.push_str("&client_assertion=");
    form.push_str(&encode_query(token.trim().as_bytes()));
}

#[async_trait]
impl TokenProvider for Application {
    async fn token(&self) -> Result<Token> {
        let form = self.form().await?;
        // The only secret in the form is its last value.
        let secrets = Secrets::default().text(form.rsplit('=').next().unwrap_or_default());
        let mut request = post(self.address()?, form);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        ask(&self.issuer, request, secrets).await
    }
}
