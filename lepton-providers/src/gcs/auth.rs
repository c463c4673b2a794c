//! Resolves the authorization of requests: from settings, then the environment, then the
//! files of Google's tools; and decides which endpoints receive it.

use std::path::PathBuf;
use std::sync::Arc;

use lepton_core::{Error, Result, SharedRuntime};

use super::config::{GcsConfig, Preset};
use super::credentials::{ambient, of_settings};
use crate::auth::cache::{Cache, GOOGLE_EXPIRY_WINDOW};
use crate::auth::google::{LoadedCredentials, ServiceAccount};
use crate::auth::issuer::Issuers;
use crate::auth::token::{Token, TokenProvider, cached};
use crate::wire::address::Address;
use crate::wire::values::Vars;

/// The authorization of requests.
#[derive(Debug)]
pub(super) struct Auth {
    /// `None` for anonymous requests.
    tokens: Option<Cache<Token>>,
    /// Whether the token never changes.
    fixed: bool,
    /// Signs URLs.
    pub(super) account: Option<Arc<ServiceAccount>>,
}

impl Auth {
    fn new(found: LoadedCredentials, fixed: bool, env: SharedRuntime) -> Self {
        Self { tokens: Some(cached(found.tokens, GOOGLE_EXPIRY_WINDOW, env)), fixed, account: found.account }
    }

    /// The token of a request.
    pub(super) async fn token(&self) -> Result<Option<Arc<Token>>> {
        match &self.tokens {
            Some(cache) => cache.get().await.map(Some),
            None => Ok(None),
        }
    }

    /// The service reported this token as expired: the next request gets another one.
    pub(super) async fn invalidate(&self, token: &Arc<Token>) {
        if let Some(cache) = &self.tokens {
            cache.invalidate(token).await;
        }
    }

    pub(super) fn is_anonymous(&self) -> bool {
        self.tokens.is_none()
    }

    /// Whether there may be another token than the refused one.
    pub(super) fn renews(&self) -> bool {
        self.tokens.is_some() && !self.fixed
    }
}

/// The result of settings, environment and files.
#[derive(Debug)]
pub(super) struct Resolved {
    /// The endpoint, and whether it is an emulator's.
    pub(super) endpoint: Option<String>,
    pub(super) emulated: bool,
    pub(super) user_project: Option<String>,
    pub(super) project: Option<String>,
    pub(super) auth: Auth,
}

/// Parts that are not settings.
#[derive(Debug, Default)]
pub(super) struct Given {
    /// A provider that overrides all others.
    pub(super) tokens: Option<Arc<dyn TokenProvider>>,
    /// Whether a URL named the credentials file: the author of that URL may also have
    /// named the endpoint.
    pub(super) file_of_url: bool,
}

/// Resolves the settings.
pub(super) fn resolve(
    config: &GcsConfig,
    given: Given,
    var: Vars<'_>,
    issuers: Issuers<'_>,
    env: &SharedRuntime,
) -> Result<Resolved> {
    let emulator =
        var("STORAGE_EMULATOR_HOST").map(|host| if host.contains("://") { host } else { format!("http://{host}") });
    let emulated = (config.endpoint.is_none() && emulator.is_some()) || config.preset == Some(Preset::FakeGcs);
    let endpoint = config.endpoint.clone().or(emulator);
    let endpoint_kind = EndpointKind { emulated, foreign: !endpoint.as_deref().is_none_or(is_googles) };
    let fixed = given.tokens.is_none() && config.access_token.is_some();
    let found = load_credentials(config, given, endpoint_kind, var, issuers)?;
    let quota_project = found.as_ref().and_then(|found| found.quota_project.clone());
    let auth = match found {
        Some(found) => Auth::new(found, fixed, env.clone()),
        None => Auth { tokens: None, fixed: false, account: None },
    };
    Ok(Resolved {
        endpoint,
        emulated,
        user_project: config.user_project.clone().or_else(|| var("GOOGLE_CLOUD_QUOTA_PROJECT")).or(quota_project),
        project: config
            .project
            .clone()
            .or_else(|| var("GOOGLE_CLOUD_PROJECT"))
            .or_else(|| var("CLOUDSDK_CORE_PROJECT")),
        auth,
    })
}

/// The certificates to trust, both for tokens and for objects.
pub(super) fn ca_file(config: &GcsConfig, var: Vars<'_>) -> Option<PathBuf> {
    config.ca_file.clone().or_else(|| var("CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE").map(PathBuf::from))
}

/// The endpoint that would receive a token.
#[derive(Debug, Clone, Copy)]
struct EndpointKind {
    emulated: bool,
    foreign: bool,
}

/// The credentials; `None` for anonymous requests.
///
/// Ambient credentials are sent only to Google. Another endpoint gets only the
/// credentials that the settings name, and so does an emulator, which checks none.
fn load_credentials(
    config: &GcsConfig,
    given: Given,
    endpoint_kind: EndpointKind,
    var: Vars<'_>,
    issuers: Issuers<'_>,
) -> Result<Option<LoadedCredentials>> {
    if config.anonymous == Some(true) {
        return Ok(None);
    }
    if let Some(tokens) = given.tokens {
        return Ok(Some(LoadedCredentials::only(tokens)));
    }
    let elsewhere = endpoint_kind.emulated || endpoint_kind.foreign;
    let named = of_settings(config, issuers, !(elsewhere && given.file_of_url))?;
    if named.is_some() {
        return Ok(named);
    }
    if endpoint_kind.emulated {
        return Ok(None);
    }
    if endpoint_kind.foreign {
        let message = "endpoint is not Google's: name credentials in the settings, or anonymous=true";
        return Err(Error::invalid_input(message));
    }
    ambient(config, var, issuers).map(Some)
}

/// Whether Google operates the endpoint, over TLS.
fn is_googles(endpoint: &str) -> bool {
    Address::parse(endpoint).is_ok_and(|address| {
        let host = address.authority.host();
        address.is_tls() && (host == "googleapis.com" || host.ends_with(".googleapis.com"))
    })
}

#[cfg(test)]
mod tests {
    use lepton_core::{ErrorKind, SystemRuntime};

    use super::*;

    #[test]
    fn hosts_of_google() {
        for (endpoint, googles) in [
            ("https://storage.googleapis.com", true),
            ("https://STORAGE.googleapis.com:443/", true),
            ("https://storage-psc.p.googleapis.com", true),
            ("http://storage.googleapis.com", false),
            ("https://storage.googleapis.com.example.org", false),
            ("https://evilgoogleapis.com", false),
            ("https://example.org/storage.googleapis.com", false),
        ] {
            assert_eq!(is_googles(endpoint), googles, "{endpoint}");
        }
    }

    #[tokio::test]
    async fn ambient_credentials_are_sent_to_google_only() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("user.json");
        let user = r#"{"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "r",
            "quota_project_id": "lepton-quota"}"#;
        std::fs::write(&file, user).unwrap();
        let env = SystemRuntime::shared();
        let issuers = |_| Ok(crate::auth::issuer::Issuer::plain(&env));
        let var = |name: &str| (name == "GOOGLE_APPLICATION_CREDENTIALS").then(|| file.display().to_string());
        let resolved = |config: GcsConfig, file_of_url| {
            resolve(&config, Given { tokens: None, file_of_url }, &var, &issuers, &env)
        };
        let bucket = || GcsConfig::new("photos");
        let google = resolved(bucket(), false).unwrap();
        assert!(!google.auth.is_anonymous() && google.auth.renews());
        assert_eq!(google.user_project.as_deref(), Some("lepton-quota"));
        let elsewhere = bucket().endpoint("https://example.org");
        for config in [elsewhere.clone(), elsewhere.clone().use_metadata_server(true)] {
            let error = resolved(config, false).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            assert!(error.message().contains("not Google's"), "{error}");
        }
        let named = elsewhere.clone().credentials_file(&*file);
        assert!(!resolved(named.clone(), false).unwrap().auth.is_anonymous());
        assert!(resolved(named, true).is_err());
        let fixed = resolved(elsewhere.access_token("t"), false).unwrap();
        assert!(!fixed.auth.is_anonymous() && !fixed.auth.renews());
        let emulator = bucket().endpoint("http://127.0.0.1:1").preset(Preset::FakeGcs);
        assert!(resolved(emulator, false).unwrap().auth.is_anonymous());
    }
}
