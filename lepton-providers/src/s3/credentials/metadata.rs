//! Credentials of a machine (EC2) or a container (ECS, EKS), from its local metadata
//! service.
//!
//! "Instance metadata service" (version 2 only) and "Container credential provider" in the
//! AWS SDKs and Tools Reference Guide.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderName, HeaderValue, Method, Request};
use lepton_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::keys::{Credentials, CredentialsProvider};
use crate::transport::RequestBody;
use crate::wire::address::Address;
use crate::wire::file::secret;
use crate::wire::issuer::{Answer, Issuer, get, post};
use crate::wire::secrets::Secrets;
use crate::wire::time::parse_iso8601;
use crate::wire::values::Vars;

/// Link-local, never routed.
const INSTANCE: &str = "http://169.254.169.254";
const INSTANCE_V6: &str = "http://[fd00:ec2::254]";
const CONTAINER: &str = "http://169.254.170.2";
/// Hosts that may be asked for credentials in the clear, in addition to this machine
/// itself: the addresses of ECS and EKS.
const TRUSTED: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// Timeout of the machine's service; it responds immediately or not at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Asks the machine's metadata service.
#[derive(Debug)]
pub(crate) struct Instance {
    issuer: Issuer,
    address: Address,
    patience: Duration,
}

impl Instance {
    /// The service that the environment names, otherwise the default one; `None` if it is
    /// switched off.
    ///
    /// # Errors
    /// `invalid_input` if a variable does not hold a valid address, mode or time.
    pub(crate) fn new(issuer: Issuer, var: Vars<'_>) -> Result<Option<Self>> {
        if var("AWS_EC2_METADATA_DISABLED").is_some_and(|off| off.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let patience = match var("AWS_METADATA_SERVICE_TIMEOUT") {
            Some(text) => {
                let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0);
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                time.ok_or_else(|| Error::invalid_input("AWS_METADATA_SERVICE_TIMEOUT is no number of seconds"))?
            }
            None => PATIENCE,
        };
        Ok(Some(Self { issuer, address: address(var)?, patience }))
    }

    async fn asked(&self, request: Request<RequestBody>) -> Result<Answer> {
        let message = "the machine's metadata service did not answer in time; for a container on the machine its \
                       hop limit must be 2, else raise AWS_METADATA_SERVICE_TIMEOUT";
        self.issuer.send_within(request, Secrets::default(), self.patience, message).await
    }

    async fn read(&self, path: &str, token: &HeaderValue) -> Result<Answer> {
        let mut request = get(self.address.join(path, "")?);
        request.headers_mut().insert(TOKEN, token.clone());
        self.asked(request).await
    }
}

/// The address of the machine's service.
fn address(var: Vars<'_>) -> Result<Address> {
    if let Some(address) = var("AWS_EC2_METADATA_SERVICE_ENDPOINT") {
        return Address::parse(&address);
    }
    match var("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").map(|mode| mode.to_ascii_lowercase()).as_deref() {
        None | Some("ipv4") => Address::parse(INSTANCE),
        Some("ipv6") => Address::parse(INSTANCE_V6),
        Some(_) => Err(Error::invalid_input("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE is neither IPv4 nor IPv6")),
    }
}

fn succeeded(answer: Answer) -> Result<Answer> {
    if answer.is_success() { Ok(answer) } else { Err(answer.refusal("the machine's metadata service refused")) }
}

#[async_trait]
impl CredentialsProvider for Instance {
    async fn credentials(&self) -> Result<Credentials> {
        let mut request = post(self.address.join("/latest/api/token", "")?, "");
        *request.method_mut() = Method::PUT;
        request.headers_mut().insert(TTL, HeaderValue::from_static("21600"));
        let token = succeeded(self.asked(request).await?)?.body;
        let mut token = HeaderValue::from_maybe_shared(token).map_err(|_| no_credentials("the machine"))?;
        token.set_sensitive(true);
        let roles = match self.read(ROLES, &token).await? {
            none if none.status == 404 => Bytes::new(),
            answer => succeeded(answer)?.body,
        };
        let role = String::from_utf8_lossy(&roles).lines().next().unwrap_or_default().trim().to_owned();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if role.is_empty() || !role.bytes().all(is_name) {
            let message = "the machine has no role; attach an instance profile, or give credentials in another way";
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        }
        let answer = succeeded(self.read(&[ROLES, &role].concat(), &token).await?)?;
        credentials_of(&answer.body).ok_or_else(|| no_credentials("the machine"))
    }
}

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
            return Err(answer.refusal("the service beside the container refused"));
        }
        credentials_of(&answer.body).ok_or_else(|| no_credentials("the container"))
    }
}

/// The address that the environment of a container names; a relative one is on ECS.
fn container(var: Vars<'_>) -> Option<String> {
    let relative = var("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI").map(|path| format!("{CONTAINER}{path}"));
    relative.or_else(|| var("AWS_CONTAINER_CREDENTIALS_FULL_URI"))
}

fn no_credentials(whose: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, format!("the service of {whose} answered with no credentials"))
}

/// Both services respond in the same format.
fn credentials_of(answer: &[u8]) -> Option<Credentials> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        access_key_id: String,
        secret_access_key: SecretString,
        token: Option<SecretString>,
        expiration: Option<String>,
    }
    // The parser's message could quote the response, so it is left out.
    let found: Answer = serde_json::from_slice(answer).ok()?;
    let expires = match found.expiration {
        Some(text) => Some(parse_iso8601(&text)?),
        None => None,
    };
    Some(Credentials::new(found.access_key_id, found.secret_access_key).session_token(found.token).expires(expires))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let answer = br#"{"Code": "Success", "LastUpdated": "x", "Type": "AWS-HMAC", "AccessKeyId": "A",
            "SecretAccessKey": "s", "Token": "t", "Expiration": "2030-01-01T00:00:00Z"}"#;
        let found = credentials_of(answer).unwrap();
        assert_eq!((found.access_key_id.as_str(), found.expires.is_some()), ("A", true));
        assert!(credentials_of(br#"{"Code": "AssumeRoleUnauthorizedAccess"}"#).is_none());
        assert!(credentials_of(br#"{"AccessKeyId": "A", "SecretAccessKey": "s", "Expiration": "soon"}"#).is_none());
    }

    #[test]
    fn the_machines_service_has_two_addresses() {
        let at = |mode: &'static str| {
            let mode = |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE").then(|| mode.to_owned());
            address(&mode).map(|address| address.canonical())
        };
        assert_eq!(address(&|_| None).unwrap().canonical(), "http://169.254.169.254");
        assert_eq!(at("IPv6").unwrap(), "http://[fd00:ec2::254]");
        assert_eq!(at("IPv4").unwrap(), "http://169.254.169.254");
        assert!(at("x").unwrap_err().to_string().contains("ENDPOINT_MODE"));
    }

    #[test]
    fn what_a_container_says_relative_is_at_ecs() {
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
    fn a_container_is_asked_only_where_nobody_else_hears_it() {
        let asked = |url: &str| {
            let var = |name: &str| (name == "AWS_CONTAINER_CREDENTIALS_FULL_URI").then(|| url.to_owned());
            let none = || Err(Error::new(ErrorKind::Cancelled, "no client in this test"));
            Container::new(none, &var).unwrap_err().kind()
        };
        assert_eq!(asked("http://example.org/x"), ErrorKind::InvalidInput);
        for trusted in ["http://169.254.170.23/v1/credentials", "http://localhost:8/x?a=b", "https://example.org/x"] {
            assert_eq!(asked(trusted), ErrorKind::Cancelled, "{trusted}");
        }
    }
}
