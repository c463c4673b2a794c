//! Credentials of IAM Identity Center (SSO), with the token that `aws sso login` saved.
//!
//! "IAM Identity Center credential provider" in the AWS SDKs and Tools Reference Guide.
//! The token of a session is renewed as the command line does it; other tokens are not.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use http::header::CONTENT_TYPE;
use http::{HeaderName, HeaderValue};
use lepton_core::{Error, ErrorKind, Result, RetryClass, RuntimeExt as _};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::credentials::{Credentials, CredentialsProvider};
use super::login::{Login, Renewal, login_of, update};
use crate::auth::cache::EXPIRY_WINDOW;
use crate::auth::issuer::{Answer, Issuer, get, post};
use crate::wire::address::Address;
use crate::wire::encode::Query;
use crate::wire::refusal::DEFAULT_WAIT;
use crate::wire::secrets::Secrets;
use crate::wire::time::iso8601;

const TOKEN: HeaderName = HeaderName::from_static("x-amz-sso_bearer_token");

/// A role in an account, obtained through a login.
#[derive(Debug, Clone)]
pub(crate) struct Sso {
    pub(crate) issuer: Issuer,
    pub(crate) address: Address,
    /// Where the token is renewed, if that is possible.
    pub(crate) renewing: Option<Address>,
    pub(crate) account: String,
    pub(crate) role: String,
    /// The file with the token of the login.
    pub(crate) file: PathBuf,
    /// The profile, for messages.
    pub(crate) profile: String,
}

/// The address of a service in a region.
///
/// # Errors
/// `invalid_input` if the region or the setting yields no address.
pub(crate) fn address(region: &str, service: &str, endpoint: Option<&str>) -> Result<Address> {
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    Address::parse(endpoint.unwrap_or(&format!("https://{service}.{region}.{suffix}")))
}

impl Sso {
    async fn token(&self) -> Result<SecretString> {
        let now = self.issuer.env.now();
        let login = self.login().await?;
        if login.is_good(now + EXPIRY_WINDOW) {
            return Ok(login.token);
        }
        let renewed = match (&self.renewing, &login.renewal) {
            (Some(address), Some(renewal)) if now < renewal.expires => {
                // Renewal invalidates the old token, so the new one is saved even if the
                // caller gives up.
                let (sso, address, renewal) = (self.clone(), address.clone(), renewal.clone());
                let renewing = async move { sso.renew(&address, &renewal).await };
                self.issuer.env.clone().spawn_task(renewing).join().await.flatten()
            }
            _ => Err(self.no_login()),
        };
        match renewed {
            Ok(token) => Ok(token),
            Err(_) if login.is_good(now) => Ok(login.token),
            // Another process may have renewed it meanwhile, which invalidates the token
            // read before.
            Err(error) => match self.login().await {
                Ok(other) if other.is_good(now) => Ok(other.token),
                _ => Err(error),
            },
        }
    }

    async fn login(&self) -> Result<Login> {
        let file = self.file.clone();
        let read = self.issuer.env.run_blocking(move || std::fs::read(file).map(Zeroizing::new));
        let content = read.join().await?.map_err(|source| self.no_login().with_source(source))?;
        login_of(&content).ok_or_else(|| self.no_login())
    }

    fn no_login(&self) -> Error {
        let message = format!("there is no valid login; run `aws sso login --profile {}`", self.profile);
        Error::new(ErrorKind::Unauthenticated, message)
    }

    /// "CreateToken" in the IAM Identity Center OIDC API reference.
    async fn renew(&self, address: &Address, renewal: &Renewal) -> Result<SecretString> {
        let question = serde_json::json!({
            "grantType": "refresh_token",
            "clientId": renewal.client_id,
            "clientSecret": renewal.client_secret.expose_secret(),
            "refreshToken": renewal.refresh_token.expose_secret(),
        });
        let mut request = post(address.join("/token", "")?, question.to_string());
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let secrets = Secrets::default().text(renewal.client_secret.expose_secret());
        let answer = self.issuer.send(request, secrets.text(renewal.refresh_token.expose_secret())).await?;
        if !answer.is_success() {
            return Err(self.not_renewed(&answer));
        }
        let nonsense = || Error::new(ErrorKind::Unauthenticated, "the answer holds no token");
        let renewed: Renewed = serde_json::from_slice(&answer.body).map_err(|_| nonsense())?;
        let end = self.issuer.env.now().checked_add(Duration::from_secs(renewed.expires_in)).ok_or_else(nonsense)?;
        self.keep(&renewed, end).await;
        Ok(renewed.access_token)
    }

    fn not_renewed(&self, answer: &Answer) -> Error {
        #[derive(Deserialize, Default)]
        struct Refusal {
            #[serde(default)]
            error: String,
        }
        let reply: Refusal = serde_json::from_slice(&answer.body).unwrap_or_default();
        let refusal = answer.refusal("the login was not renewed");
        let error = match reply.error.as_str() {
            "slow_down" => refusal.with_kind(ErrorKind::Throttled).with_retry(RetryClass::After(DEFAULT_WAIT)),
            _ if refusal.retry() == RetryClass::Never => self.no_login().with_status(answer.status),
            _ => refusal,
        };
        answer.coded(error, &reply.error)
    }

    /// Saves the renewed token to the file, for the command line and for the next run.
    async fn keep(&self, renewed: &Renewed, end: SystemTime) {
        let (file, random) = (self.file.clone(), self.issuer.env.random());
        let fields = [
            ("accessToken", Some(renewed.access_token.clone())),
            ("refreshToken", renewed.refresh_token.clone()),
            ("expiresAt", Some(iso8601(end).into())),
        ];
        let written = self.issuer.env.run_blocking(move || update(&file, &fields, random)).join().await;
        if !matches!(written, Ok(Ok(()))) {
            // The token is valid, but the command line will need another login.
            tracing::warn!(file = %self.file.display(), "the renewed login could not be written");
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Renewed {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: u64,
}

#[async_trait]
impl CredentialsProvider for Sso {
    async fn credentials(&self) -> Result<Credentials> {
        let token = self.token().await?;
        let query = Query::new().with("role_name", &self.role).with("account_id", &self.account);
        let mut request = get(self.address.join("/federation/credentials", &query.canonical())?);
        let value = HeaderValue::from_str(token.expose_secret());
        let mut value = value.map_err(|_| Error::new(ErrorKind::Unauthenticated, "the login's token is none"))?;
        value.set_sensitive(true);
        request.headers_mut().insert(TOKEN, value);
        let answer = self.issuer.send(request, Secrets::default()).await?;
        if answer.status == 401 {
            return Err(self.no_login().with_status(401));
        }
        if !answer.is_success() {
            let why = format!("account {} and role {} of profile {:?}", self.account, self.role, self.profile);
            return Err(answer.refusal(&why));
        }
        let nonsense = || Error::new(ErrorKind::Unauthenticated, "the portal answered with no credentials");
        credentials_of(&answer.body).ok_or_else(nonsense)
    }
}

fn credentials_of(answer: &[u8]) -> Option<Credentials> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        role_credentials: Role,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Role {
        access_key_id: String,
        secret_access_key: SecretString,
        session_token: SecretString,
        /// Milliseconds since 1970.
        expiration: u64,
    }
    let role = serde_json::from_slice::<Answer>(answer).ok()?.role_credentials;
    let expires = UNIX_EPOCH.checked_add(Duration::from_millis(role.expiration))?;
    let credentials = Credentials::new(role.access_key_id, role.secret_access_key);
    Some(credentials.session_token(Some(role.session_token)).expires(Some(expires)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_region_has_its_services() {
        let at = |region, service| address(region, service, None).unwrap().canonical();
        assert_eq!(at("eu-west-1", "portal.sso"), "https://portal.sso.eu-west-1.amazonaws.com");
        assert_eq!(at("cn-north-1", "oidc"), "https://oidc.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn answers_are_read() {
        let answer = br#"{"roleCredentials": {"accessKeyId": "A", "secretAccessKey": "s", "sessionToken": "t",
            "expiration": 1893456000000}}"#;
        assert_eq!(credentials_of(answer).unwrap().access_key_id, "A");
        assert!(credentials_of(b"{}").is_none());
    }
}
