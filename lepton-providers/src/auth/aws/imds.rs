//! The instance metadata service of a machine (EC2), version 2, and the credentials that it
//! issues.
//!
//! "Instance metadata service" in the AWS SDKs and Tools Reference Guide.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use lepton_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use serde::Deserialize;

use super::credentials::{Credentials, CredentialsProvider};
use crate::auth::issuer::{Answer, Issuer, get, post};
use crate::transport::RequestBody;
use crate::wire::address::Address;
use crate::wire::secrets::Secrets;
use crate::wire::time::parse_iso8601;
use crate::wire::values::Vars;

/// Link-local, never routed.
const INSTANCE: &str = "http://169.254.169.254";
const INSTANCE_V6: &str = "http://[fd00:ec2::254]";

const TTL: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
const TOKEN: HeaderName = HeaderName::from_static("x-aws-ec2-metadata-token");
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
/// Timeout of the service; it responds immediately or not at all.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// A client for the service.
#[derive(Debug)]
pub(crate) struct Imds {
    pub(crate) issuer: Issuer,
    pub(crate) timeout: Duration,
    /// The error after the timeout, with advice.
    pub(crate) late: &'static str,
}

impl Imds {
    /// Begins a session of so many seconds. Returns the header value that proves it, or
    /// `None` if the response is no such value.
    ///
    /// # Errors
    /// Those of the network, and refusals.
    pub(crate) async fn session(&self, uri: Uri, seconds: &'static str) -> Result<Option<HeaderValue>> {
        let mut request = post(uri, "");
        *request.method_mut() = Method::PUT;
        request.headers_mut().insert(TTL, HeaderValue::from_static(seconds));
        let mut session = HeaderValue::from_maybe_shared(succeeded(self.send(request).await?)?).ok();
        session.iter_mut().for_each(|session| session.set_sensitive(true));
        Ok(session)
    }

    /// Reads a value, in a session if there is one. A refusal is an answer too.
    ///
    /// # Errors
    /// Those of the network.
    pub(crate) async fn read(&self, uri: Uri, session: Option<&HeaderValue>) -> Result<Answer> {
        let mut request = get(uri);
        if let Some(session) = session {
            request.headers_mut().insert(TOKEN, session.clone());
        }
        self.send(request).await
    }

    async fn send(&self, request: Request<RequestBody>) -> Result<Answer> {
        self.issuer.send_within(request, Secrets::default(), self.timeout, self.late).await
    }
}

/// The body of an answer that is not a refusal.
pub(crate) fn succeeded(answer: Answer) -> Result<Bytes> {
    if answer.is_success() { Ok(answer.body) } else { Err(answer.refusal("the machine's metadata service refused")) }
}

/// The credentials of the machine's role.
#[derive(Debug)]
pub(crate) struct Instance {
    imds: Imds,
    address: Address,
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
        let timeout = match var("AWS_METADATA_SERVICE_TIMEOUT") {
            Some(text) => {
                let seconds = text.parse().ok().filter(|seconds| *seconds > 0.0);
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                time.ok_or_else(|| Error::invalid_input("AWS_METADATA_SERVICE_TIMEOUT is no number of seconds"))?
            }
            None => TIMEOUT,
        };
        let late = "the machine's metadata service did not answer in time; for a container on the machine its hop \
                    limit must be 2, else raise AWS_METADATA_SERVICE_TIMEOUT";
        Ok(Some(Self { imds: Imds { issuer, timeout, late }, address: address(var)? }))
    }

    async fn read(&self, path: &str, session: &HeaderValue) -> Result<Answer> {
        self.imds.read(self.address.join(path, "")?, Some(session)).await
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

#[async_trait]
impl CredentialsProvider for Instance {
    async fn credentials(&self) -> Result<Credentials> {
        let session = self.imds.session(self.address.join("/latest/api/token", "")?, "21600").await?;
        let session = session.ok_or_else(|| no_credentials("the machine"))?;
        let roles = match self.read(ROLES, &session).await? {
            none if none.status == 404 => Bytes::new(),
            answer => succeeded(answer)?,
        };
        let role = String::from_utf8_lossy(&roles).lines().next().unwrap_or_default().trim().to_owned();
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte);
        if role.is_empty() || !role.bytes().all(is_name) {
            let message = "the machine has no role; attach an instance profile, or give credentials in another way";
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        }
        let answer = succeeded(self.read(&[ROLES, &role].concat(), &session).await?)?;
        credentials_of(&answer).ok_or_else(|| no_credentials("the machine"))
    }
}

pub(super) fn no_credentials(whose: &str) -> Error {
    Error::new(ErrorKind::Unauthenticated, format!("the service of {whose} answered with no credentials"))
}

/// The credentials in an answer. The services of machines and containers use one format.
pub(crate) fn credentials_of(answer: &[u8]) -> Option<Credentials> {
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
}
