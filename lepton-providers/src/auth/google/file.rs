//! The credentials files of Google's tools, of every kind.
//!
//! "How Application Default Credentials works", and AIP-4112 to AIP-4117.

use std::sync::Arc;

use lepton_core::{Error, Result};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::account::{AccountTokens, ServiceAccount};
use super::exchange::{Impersonated, User, Workload, secure};
use super::scopes::PLATFORM;
use super::source::Source;
use super::subject::Subject;
use crate::auth::issuer::Issuers;
use crate::auth::token::TokenProvider;
use crate::wire::values::process_vars;

const TOKEN_URI: &str = "https://oauth2.googleapis.com/token";

/// The result of a file: tokens, and a signing key if it has one.
#[derive(Debug)]
pub(crate) struct LoadedCredentials {
    pub(crate) tokens: Arc<dyn TokenProvider>,
    pub(crate) account: Option<Arc<ServiceAccount>>,
    /// The project that pays, unless settings or environment name one.
    pub(crate) quota_project: Option<String>,
}

impl LoadedCredentials {
    /// Tokens only.
    pub(crate) fn only(tokens: Arc<dyn TokenProvider>) -> Self {
        Self { tokens, account: None, quota_project: None }
    }
}

#[derive(Deserialize)]
struct File {
    quota_project_id: Option<String>,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    ServiceAccount {
        client_email: String,
        private_key: SecretString,
        private_key_id: Option<String>,
        token_uri: Option<String>,
    },
    AuthorizedUser {
        client_id: String,
        client_secret: SecretString,
        refresh_token: SecretString,
        token_uri: Option<String>,
    },
    ExternalAccount {
        audience: String,
        subject_token_type: String,
        token_url: String,
        credential_source: Box<Source>,
        service_account_impersonation_url: Option<String>,
    },
    ImpersonatedServiceAccount {
        service_account_impersonation_url: String,
        #[serde(default)]
        delegates: Vec<String>,
        source_credentials: Box<Kind>,
    },
}

/// Parses a credentials file, whose tokens will be requested for `scope`.
///
/// # Errors
/// `invalid_input` if it is not one; its content does not appear in the error.
/// `unsupported` for a kind that is not supported or not allowed, which is named.
pub(crate) fn read(text: &SecretString, scope: &'static str, issuers: Issuers<'_>) -> Result<LoadedCredentials> {
    // The parser's message could quote a key, so it is left out.
    let file: File = serde_json::from_str(text.expose_secret()).map_err(|_| {
        let known = "service_account, authorized_user, external_account and impersonated_service_account";
        Error::invalid_input(format!("the credentials are not the JSON of a known type: {known}"))
    })?;
    Ok(LoadedCredentials { quota_project: file.quota_project_id, ..found(file.kind, scope, issuers)? })
}

fn found(kind: Kind, scope: &'static str, issuers: Issuers<'_>) -> Result<LoadedCredentials> {
    match kind {
        Kind::ServiceAccount { client_email, private_key, private_key_id, token_uri } => {
            let token_uri = token_uri.as_deref().unwrap_or(TOKEN_URI);
            let account = Arc::new(ServiceAccount::new(client_email, &private_key, private_key_id, token_uri)?);
            let tokens = Arc::new(AccountTokens { issuer: issuers(true)?, account: Arc::clone(&account), scope });
            Ok(LoadedCredentials { account: Some(account), ..LoadedCredentials::only(tokens) })
        }
        Kind::AuthorizedUser { client_id, client_secret, refresh_token, token_uri } => {
            Ok(LoadedCredentials::only(Arc::new(User {
                issuer: issuers(true)?,
                token_uri: secure(token_uri.as_deref().unwrap_or(TOKEN_URI))?,
                client_id,
                client_secret,
                refresh_token,
            })))
        }
        Kind::ExternalAccount {
            audience,
            subject_token_type,
            token_url,
            credential_source,
            service_account_impersonation_url,
        } => {
            let subject = Subject::new(*credential_source, &audience, &subject_token_type, &process_vars, issuers)?;
            let workload: Arc<dyn TokenProvider> = Arc::new(Workload {
                issuer: issuers(true)?,
                token_url: secure(&token_url)?,
                audience,
                kind: subject_token_type,
                subject,
                scope: if service_account_impersonation_url.is_some() { PLATFORM } else { scope },
            });
            match service_account_impersonation_url {
                None => Ok(LoadedCredentials::only(workload)),
                Some(url) => {
                    let tokens = Impersonated::new(issuers(true)?, &url, Vec::new(), workload)?;
                    Ok(LoadedCredentials::only(Arc::new(tokens)))
                }
            }
        }
        Kind::ImpersonatedServiceAccount { service_account_impersonation_url, delegates, source_credentials } => {
            let as_who = found(*source_credentials, PLATFORM, issuers)?.tokens;
            let url = service_account_impersonation_url;
            let tokens = Impersonated::new(issuers(true)?, &url, delegates, as_who)?;
            Ok(LoadedCredentials::only(Arc::new(tokens)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_field_without_the_secret() {
        let none = |_| Err(Error::unsupported("no issuer in this test"));
        for (text, says) in [
            ("s3cr3t", "service_account"),
            (r#"{"type": "service_account", "client_email": "a@b", "private_key": "s3cr3t"}"#, "a@b"),
            (r#"{"type": "new_kind", "private_key": "s3cr3t"}"#, "known type"),
            (
                r#"{"type": "external_account", "audience": "a", "subject_token_type": "t", "token_url": "https://t/",
                    "credential_source": {"environment_id": "aws2", "url": "http://x"}}"#,
                "aws2",
            ),
        ] {
            let error = read(&text.into(), PLATFORM, &none).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("s3cr3t"), "{error}");
        }
    }
}
