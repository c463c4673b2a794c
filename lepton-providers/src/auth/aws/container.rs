//! Credentials of a container (ECS, EKS), from the local service that issues them.
//!
//! "Container credential provider" in the AWS SDKs and Tools Reference Guide.

use std::path::PathBuf;

use async_trait::async_trait;
use http::HeaderValue;
use http::header::AUTHORIZATION;
use lepton_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};

use super::credentials::{Credentials, CredentialsProvider};
use super::imds::{credentials_of, no_credentials};
use crate::auth::file::secret;
use crate::auth::issuer::{Issuer, get};
use crate::wire::address::Address;
use crate::wire::secrets::Secrets;
use crate::wire::values::Vars;

/// Link-local, never routed.
const CONTAINER: &str = "http://169.254.170.2";
/// Hosts that may receive requests for credentials over plain http, in addition to this machine
/// itself: the addresses of ECS and EKS.
const TRUSTED: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// Asks the container's metadata service.
#[derive(Debug)]
pub(crate) struct Container {
    issuer: Issuer,
    address: Address,
    query: String,
    permission: Option<Permission>,
}

/// The authorization that the service expects.
#[derive(Debug)]
enum Permission {
    Token(SecretString),
    File(PathBuf),
}

impl Container {
    /// The service that the environment names; `None` if it names none.
    ///
    /// # Errors
    /// `invalid_input` if it names an invalid address, or one that would receive the
    /// authorization in the clear.
    pub(crate) fn new(issuer: impl FnOnce() -> Result<Issuer>, var: Vars<'_>) -> Result<Option<Self>> {
        let Some(url) = container(var) else { return Ok(None) };
        let (place, query) = url.split_once('?').unwrap_or((&url, ""));
        let address = Address::parse(place)?;
        if !address.is_tls() && !address.is_here() && !TRUSTED.contains(&address.authority.host()) {
            let message = "AWS_CONTAINER_CREDENTIALS_FULL_URI is neither https nor an address of this machine";
            return Err(Error::invalid_input(message));
        }
        let file = var("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE").map(|file| Permission::File(file.into()));
        let permission =
            file.or_else(|| var("AWS_CONTAINER_AUTHORIZATION_TOKEN").map(|token| Permission::Token(token.into())));
        Ok(Some(Self { issuer: issuer()?, address, query: query.to_owned(), permission }))
    }

    async fn permission(&self) -> Result<Option<HeaderValue>> {
        let value = match &self.permission {
            None => return Ok(None),
            Some(Permission::Token(token)) => HeaderValue::from_str(token.expose_secret().trim()),
            Some(Permission::File(file)) => {
                HeaderValue::from_str(secret(&self.issuer.env, file, "token of the container").await?.trim())
            }
        };
        let mut value = value.map_err(|_| {
            Error::new(ErrorKind::Unauthenticated, "the token of the container holds control characters")
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

#[async_trait]
impl CredentialsProvider for Container {
    async fn credentials(&self) -> Result<Credentials> {
        let mut request = get(self.address.join("", &self.query)?);
        if let Some(permission) = self.permission().await? {
            request.headers_mut().insert(AUTHORIZATION, permission);
        }
        let answer = self.issuer.send(request, Secrets::default()).await?;
        if !answer.is_success() {
            return Err(answer.refusal("the credentials service of the container refused"));
        }
        credentials_of(&answer.body).ok_or_else(|| no_credentials("the container"))
    }
}

/// The address that the environment of a container names; a relative one is on ECS.
fn container(var: Vars<'_>) -> Option<String> {
    let relative = var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER}{path}"));
    relative.or_else(|| var("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_uri_is_at_ecs() {
        let both = |name: &str| match name {
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI" => Some("/v2/credentials/1?a=b".to_owned()),
            "AWS_CONTAINER_CREDENTIALS_FULL_URI" => Some("http://localhost/full".to_owned()),
            _ => None,
        };
        assert_eq!(container(&both).unwrap(), "http://169.254.170.2/v2/credentials/1?a=b");
        let full = |name: &str| both(name).filter(|_| name.ends_with("FULL_URI"));
        assert_eq!(container(&full).unwrap(), "http://localhost/full");
        assert!(container(&|_| None).is_none());
    }

    #[test]
    fn credentials_are_requested_over_plain_http_from_trusted_hosts_only() {
        let refusal = |url: &str| {
            let var = |name: &str| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| url.to_owned());
            let none = || Err(Error::new(ErrorKind::Cancelled, "no client in this test"));
            Container::new(none, &var).unwrap_err().kind()
        };
        assert_eq!(refusal("http://example.org/x"), ErrorKind::InvalidInput);
        for trusted in ["http://169.254.170.23/v1/credentials", "http://localhost:8/x?a=b", "https://example.org/x"] {
            assert_eq!(refusal(trusted), ErrorKind::Cancelled, "{trusted}");
        }
    }
}
