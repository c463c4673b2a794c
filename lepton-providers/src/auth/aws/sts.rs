//! Credentials of a role, from the Security Token Service. The role is assumed with other
//! credentials, or with the token of a workload.
//!
//! "AssumeRole" and "AssumeRoleWithWebIdentity" in the AWS STS API reference.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use http::header::{CONTENT_TYPE, HOST};
use http::{HeaderMap, HeaderValue};
use lepton_core::{Error, ErrorKind, Result, RetryClass, Sha256};
use secrecy::{ExposeSecret as _, SecretString};

use super::credentials::{Credentials, CredentialsProvider};
use crate::auth::aws::sign::key::SigningContext;
use crate::auth::aws::sign::request::RequestSigner;
use crate::auth::file::secret;
use crate::auth::issuer::{Answer, Issuer, post};
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::refusal::DEFAULT_WAIT;
use crate::wire::secrets::Secrets;
use crate::wire::time::BasicDate;
use crate::wire::time::parse_iso8601;
use crate::wire::xml::Element;

/// A role and the options to assume it.
#[derive(Debug, Clone)]
pub(crate) struct Role {
    pub(crate) arn: String,
    pub(crate) session: Option<String>,
    pub(crate) external_id: Option<String>,
    pub(crate) seconds: Option<String>,
}

impl Role {
    fn form(&self, action: &str, random: u64) -> String {
        let session = self.session.clone().unwrap_or_else(|| format!("lepton-{random:016x}"));
        let mut form = format!("Action={action}&Version=2011-06-15");
        let optional = [("DurationSeconds", &self.seconds), ("ExternalId", &self.external_id)];
        let required = [("RoleArn", Some(&self.arn)), ("RoleSessionName", Some(&session))];
        let optional = optional.into_iter().map(|(name, value)| (name, value.as_ref()));
        for (name, value) in required.into_iter().chain(optional) {
            if let Some(value) = value {
                form.push_str(&format!("&{name}={}", encode_query(value.as_bytes())));
            }
        }
        form
    }
}

/// The address of the service in a region.
///
/// # Errors
/// `invalid_input` if the setting is not an address.
pub(crate) fn address(region: &str, endpoint: Option<&str>) -> Result<Address> {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Address::parse(endpoint.unwrap_or(&format!("https://sts.{region}.{suffix}")))
}

/// Assumes a role with other credentials.
#[derive(Debug)]
pub(crate) struct AssumeRole {
    pub(crate) issuer: Issuer,
    pub(crate) address: Address,
    pub(crate) region: String,
    pub(crate) role: Role,
    /// The credentials that assume the role.
    pub(crate) base: Arc<dyn CredentialsProvider>,
}

#[async_trait]
impl CredentialsProvider for AssumeRole {
    async fn credentials(&self) -> Result<Credentials> {
        let env = &self.issuer.env;
        let base = Arc::new(self.base.credentials().await?);
        let form = self.role.form("AssumeRole", env.random());
        let hash = Sha256::of(form.as_bytes()).to_string();
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let host = HeaderValue::from_str(self.address.authority.as_str());
        headers.insert(HOST, host.map_err(|_| Error::invalid_input("the endpoint of STS has no valid host"))?);
        let date = BasicDate::new(env.now());
        let context = SigningContext { credentials: &base, region: &self.region, service: "sts", date };
        let uri = self.address.join("/", "")?;
        RequestSigner::default().sign(&context, "POST", uri.path(), "", &mut headers, &hash);
        let mut request = post(uri, form);
        *request.headers_mut() = headers;
        let secrets = Secrets::default().text(base.secret_access_key.expose_secret());
        credentials_of(&self.issuer.send(request, secrets).await?, &self.role.arn)
    }
}

/// Assumes a role with the token of a workload.
#[derive(Debug)]
pub(crate) struct WebIdentity {
    pub(crate) issuer: Issuer,
    pub(crate) address: Address,
    pub(crate) role: Role,
    /// A file that another program renews.
    pub(crate) file: PathBuf,
}

#[async_trait]
impl CredentialsProvider for WebIdentity {
    async fn credentials(&self) -> Result<Credentials> {
        let token = secret(&self.issuer.env, &self.file, "token of the workload").await?;
        let mut form = self.role.form("AssumeRoleWithWebIdentity", self.issuer.env.random());
        form.push_str("&WebIdentityToken=");
        form.push_str(&encode_query(token.trim().as_bytes()));
        let mut request = post(self.address.join("/", "")?, form);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let secrets = Secrets::default().text(&token);
        credentials_of(&self.issuer.send(request, secrets).await?, &self.role.arn)
    }
}

fn credentials_of(answer: &Answer, role: &str) -> Result<Credentials> {
    let root = Element::parse(&answer.body).ok();
    if !answer.is_success() {
        let error = root.as_ref().and_then(|root| root.child("Error"));
        let message = error.and_then(|error| error.text("Message")).unwrap_or_default();
        let code = error.and_then(|error| error.text("Code")).unwrap_or_default();
        return Err(refused(answer.coded(answer.refusal(message), code), code).with_context("role", role));
    }
    let nonsense = |message: &'static str| Error::new(ErrorKind::Unauthenticated, message).with_context("role", role);
    let result = root.as_ref().and_then(|root| root.elements().find_map(|result| result.child("Credentials")));
    let found = result.and_then(|found| {
        let secret = found.text("SecretAccessKey")?.to_owned();
        let token = found.text("SessionToken").map(SecretString::from);
        let credentials = Credentials::new(found.text("AccessKeyId")?, secret).session_token(token);
        Some((credentials, found.text("Expiration")))
    });
    let (credentials, expiration) = found.ok_or_else(|| nonsense("the answer holds no credentials"))?;
    let expires = match expiration {
        Some(text) => {
            Some(parse_iso8601(text).ok_or_else(|| nonsense("the answer has an Expiration that is no date"))?)
        }
        None => None,
    };
    Ok(credentials.expires(expires))
}

/// Distinguishes transient errors from permanent ones: the service reports both with
/// status 400.
fn refused(error: Error, code: &str) -> Error {
    match code {
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" => {
            error.with_kind(ErrorKind::Throttled).with_retry(RetryClass::After(DEFAULT_WAIT))
        }
        "IDPCommunicationError" => error.with_kind(ErrorKind::Unavailable).with_retry(RetryClass::Now),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read() {
        let body = "<AssumeRoleResponse xmlns=\"x\"><AssumeRoleResult><Credentials><AccessKeyId>A</AccessKeyId>\
            <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken>\
            <Expiration>2030-01-01T00:00:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>";
        let answer = |status, body: &str| Answer { status, body: body.to_owned().into(), secrets: Secrets::default() };
        let found = credentials_of(&answer(200, body), "r").unwrap();
        assert_eq!((found.access_key_id.as_str(), found.expires.is_some()), ("A", true));
        let refused =
            "<ErrorResponse><Error><Code>AccessDenied</Code><Message>not you</Message></Error></ErrorResponse>";
        let error = credentials_of(&answer(403, refused), "r").unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Unauthenticated, Some("AccessDenied")));
        assert!(error.to_string().contains("not you"), "{error}");
        assert!(credentials_of(&answer(200, "<x/>"), "r").is_err());
        let soon = body.replace("2030-01-01T00:00:00Z", "soon");
        let error = credentials_of(&answer(200, &soon), "r").unwrap_err();
        assert!(error.to_string().contains("Expiration"), "{error}");
    }

    #[test]
    fn temporary_errors_are_retried() {
        use ErrorKind as K;
        let after = RetryClass::After(DEFAULT_WAIT);
        for (code, kind, retry) in [
            ("Throttling", K::Throttled, after),
            ("ThrottlingException", K::Throttled, after),
            ("RequestLimitExceeded", K::Throttled, after),
            ("IDPCommunicationError", K::Unavailable, RetryClass::Now),
            ("InvalidIdentityToken", K::Unauthenticated, RetryClass::Never),
        ] {
            let body =
                format!("<ErrorResponse><Error><Code>{code}</Code><Message>why</Message></Error></ErrorResponse>");
            let error = credentials_of(&Answer { status: 400, body: body.into(), secrets: Secrets::default() }, "r")
                .unwrap_err();
            assert_eq!((error.kind(), error.retry(), error.code()), (kind, retry, Some(code)));
        }
    }

    #[test]
    fn a_form_is_encoded() {
        let role = Role {
            arn: "arn:aws:iam::1:role/a b".into(),
            session: None,
            external_id: Some("x&y".into()),
            seconds: None,
        };
        let form = role.form("AssumeRole", 1);
        assert!(form.ends_with("&ExternalId=x%26y") && form.contains("role%2Fa%20b"), "{form}");
    }
}
