//! Selects the credentials, in the order of "How Application Default Credentials works"
//! and the properties of `gcloud` that are in the environment (`CLOUDSDK_…`).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use lepton_core::{Error, ErrorKind, Result, RuntimeExt as _};
use secrecy::SecretString;

use super::config::GcsConfig;
use crate::auth::google::exchange::Impersonated;
use crate::auth::google::file::{LoadedCredentials, read};
use crate::auth::google::metadata::MetadataServer;
use crate::auth::google::scopes::{PLATFORM, SCOPE};
use crate::auth::issuer::{Issuer, Issuers};
use crate::auth::token::{Token, TokenProvider};
use crate::wire::encode::encode_query;
use crate::wire::values::Vars;

/// The credentials that the settings name; `file`: whether a file that they name counts.
pub(super) fn of_settings(config: &GcsConfig, issuers: Issuers<'_>, file: bool) -> Result<Option<LoadedCredentials>> {
    if let Some(token) = &config.access_token {
        return Ok(Some(LoadedCredentials::only(Arc::new(Token::new(token.clone())))));
    }
    if let Some(json) = &config.credentials_json {
        return read(json, SCOPE, issuers).map(Some);
    }
    // If both the metadata server and a file are named, the server wins, because that is
    // the only purpose of its setting.
    match &config.credentials_file {
        Some(path) if file && config.use_metadata_server != Some(true) => of_file(path, SCOPE, issuers).map(Some),
        _ => Ok(None),
    }
}

/// The credentials that environment, files and machine provide.
pub(super) fn ambient(config: &GcsConfig, var: Vars<'_>, issuers: Issuers<'_>) -> Result<LoadedCredentials> {
    if config.use_metadata_server == Some(true) {
        return metadata(var, issuers);
    }
    let Some(whom) = var("CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT") else { return own(SCOPE, var, issuers) };
    let own = own(PLATFORM, var, issuers)?;
    // The last account is impersonated; those before it are its delegates.
    let mut accounts: Vec<&str> = whom.split(',').map(str::trim).collect();
    let account = accounts.pop().unwrap_or_default();
    let url = format!(
        "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/{}:generateAccessToken",
        encode_query(account.as_bytes())
    );
    let delegates = accounts.iter().map(|account| format!("projects/-/serviceAccounts/{account}")).collect();
    let tokens = Impersonated::new(issuers(true)?, &url, delegates, own.tokens)?;
    Ok(LoadedCredentials { quota_project: own.quota_project, ..LoadedCredentials::only(Arc::new(tokens)) })
}

fn own(scope: &'static str, var: Vars<'_>, issuers: Issuers<'_>) -> Result<LoadedCredentials> {
    if let Some(file) = var("GOOGLE_APPLICATION_CREDENTIALS") {
        return of_file(Path::new(&file), scope, issuers);
    }
    if let Some(file) = var("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE") {
        return Ok(LoadedCredentials::only(Arc::new(TokenFile { issuer: issuers(false)?, file: file.into() })));
    }
    let default = default_file(var).filter(|file| file.is_file());
    if let Some(file) = var("CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE").map(PathBuf::from).or(default) {
        return of_file(&file, scope, issuers);
    }
    if is_on_google(var) {
        return metadata(var, issuers);
    }
    Err(Error::new(
        ErrorKind::Unauthenticated,
        "no credentials were found in the settings, in the file that GOOGLE_APPLICATION_CREDENTIALS names, or in that \
         of `gcloud auth application-default login`; for a public bucket set anonymous=true",
    ))
}

fn metadata(var: Vars<'_>, issuers: Issuers<'_>) -> Result<LoadedCredentials> {
    Ok(LoadedCredentials::only(Arc::new(MetadataServer::new(issuers(false)?, var)?)))
}

fn of_file(file: &Path, scope: &'static str, issuers: Issuers<'_>) -> Result<LoadedCredentials> {
    let text = std::fs::read_to_string(file).map(SecretString::from).map_err(|source| {
        Error::io("the file of credentials cannot be read", source).with_kind(ErrorKind::Unauthenticated)
    });
    text.and_then(|text| read(&text, scope, issuers)).map_err(|error| error.with_context("file", file.display()))
}

/// The file that `gcloud auth application-default login` writes.
fn default_file(var: Vars<'_>) -> Option<PathBuf> {
    let folder = match var("CLOUDSDK_CONFIG") {
        Some(folder) => PathBuf::from(folder),
        None => PathBuf::from(var("HOME")?).join(".config/gcloud"),
    };
    Some(folder.join("application_default_credentials.json"))
}

/// Variables that are set only by Google's services, or to select the metadata server.
const GOOGLES: [&str; 6] =
    ["GCE_METADATA_HOST", "GCE_METADATA_IP", "K_SERVICE", "CLOUD_RUN_JOB", "FUNCTION_TARGET", "GAE_SERVICE"];

/// Whether the machine identifies itself as one of Google's; the metadata server is queried
/// only there.
fn is_on_google(var: Vars<'_>) -> bool {
    if var("NO_GCE_CHECK").is_some_and(|off| off.eq_ignore_ascii_case("true") || off == "1") {
        return false;
    }
    let product = || std::fs::read_to_string("/sys/devices/virtual/dmi/id/product_name");
    GOOGLES.iter().any(|name| var(name).is_some())
        || product().is_ok_and(|name| matches!(name.trim(), "Google" | "Google Compute Engine"))
}

/// A token in a file that another program renews.
#[derive(Debug)]
struct TokenFile {
    issuer: Issuer,
    file: PathBuf,
}

#[async_trait]
impl TokenProvider for TokenFile {
    async fn token(&self) -> Result<Token> {
        let (file, shown) = (self.file.clone(), self.file.display().to_string());
        let read = self.issuer.env.run_blocking(move || std::fs::read_to_string(file)).join().await?;
        let text = read.map(SecretString::from).map_err(|source| {
            let error = Error::io("the file of the token cannot be read", source).with_context("file", shown);
            error.with_kind(ErrorKind::Unauthenticated)
        })?;
        Ok(Token::new(secrecy::ExposeSecret::expose_secret(&text).trim()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_google_is_detected_by_its_environment() {
        for name in GOOGLES {
            assert!(is_on_google(&|variable: &str| (variable == name).then(|| "x".to_owned())), "{name}");
        }
        let off = |variable: &str| ["NO_GCE_CHECK", "K_SERVICE"].contains(&variable).then(|| "true".to_owned());
        assert!(!is_on_google(&off));
    }

    #[test]
    fn errors_name_the_setting_without_the_secret() {
        let issuers = |_| Err(Error::unsupported("no issuer in this test"));
        let config = GcsConfig::new("b").credentials_json("s3cr3t").credentials_file("/nowhere");
        let error = of_settings(&config, &issuers, true).unwrap_err().to_string();
        assert!(error.contains("known type") && !error.contains("s3cr3t"), "{error}");
        let var = |name: &str| (name == "CLOUDSDK_AUTH_CREDENTIAL_FILE_OVERRIDE").then(|| "/no/such".to_owned());
        let error = ambient(&GcsConfig::new("b"), &var, &issuers).unwrap_err().to_string();
        assert!(error.contains("/no/such"), "{error}");
    }
}
