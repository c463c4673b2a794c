//! Resolves account, endpoint and credentials: from settings, then the environment.

use std::sync::Arc;

use lepton_core::{Error, ErrorKind, Result, SharedRuntime};
use secrecy::{ExposeSecret as _, SecretString};

use super::config::AzureConfig;
use super::connection::Connection;
use super::endpoint::Endpoint;
use super::identity::{self, ConfigSource, Context};
use super::sign::AccountKey;
use crate::auth::cache::{Cache, EXPIRY_WINDOW};
use crate::auth::token::{Token, TokenProvider, cached};
use crate::wire::values::Vars;

/// The authorization of requests.
#[derive(Debug)]
pub(super) enum Auth {
    Anonymous,
    /// The account's key, which signs requests.
    Key(AccountKey),
    /// A query that grants access by itself.
    Sas(SecretString),
    /// Tokens that expire.
    Token(Cache<Token>),
}

impl Auth {
    pub(super) fn token(provider: Arc<dyn TokenProvider>, env: SharedRuntime) -> Self {
        Self::Token(cached(provider, EXPIRY_WINDOW, env))
    }

    fn sas(text: &SecretString) -> Result<Self> {
        let sas = text.expose_secret().trim().trim_start_matches('?');
        let whole = !sas.contains("://") && sas.bytes().all(|byte| byte.is_ascii_graphic());
        if !whole || !sas.split('&').any(|pair| pair.starts_with("sig=")) {
            let message = "the shared access signature has no sig=…; give the query of its URL, whole, and no more";
            return Err(Error::new(ErrorKind::Unauthenticated, message));
        }
        Ok(Self::Sas(sas.into()))
    }

    /// The key, or the shared access signature, whichever is set.
    fn secret((key, sas): (Option<SecretString>, Option<SecretString>)) -> Result<Option<Self>> {
        match (key, sas) {
            (_, Some(sas)) => Self::sas(&sas).map(Some),
            (Some(key), None) => AccountKey::new(&key).map(Self::Key).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The service reported this token as expired: the next request gets another one.
    pub(super) async fn invalidate(&self, token: &Arc<Token>) {
        if let Self::Token(cache) = self {
            cache.invalidate(token).await;
        }
    }
}

/// The result of settings and environment.
#[derive(Debug)]
pub(super) struct Resolved {
    pub(super) account: String,
    pub(super) endpoint: Option<String>,
    pub(super) auth: Auth,
    /// The origin of the credentials.
    source: ConfigSource,
    /// Whether the environment also names the endpoint that they are sent to.
    environments_endpoint: bool,
}

impl Resolved {
    /// Refuses to send credentials to a host that they were not meant for. `by_url`: the
    /// host was named by a URL. A key only signs, and is not sent.
    ///
    /// # Errors
    /// `invalid_input`, with advice.
    pub(super) fn check_host(&self, endpoint: &Endpoint, by_url: bool) -> Result<()> {
        if !matches!(self.auth, Auth::Sas(_) | Auth::Token(_)) || endpoint.is_here() {
            return Ok(());
        }
        if !endpoint.is_tls() {
            return Err(Error::invalid_input("tokens and shared access signatures are sent to https endpoints only"));
        }
        let message = match self.source {
            ConfigSource::Environment if !self.environments_endpoint => {
                "credentials of the environment are sent to Azure's own hosts only, and the endpoint is none of \
                 them; put the credentials for it into the settings"
            }
            ConfigSource::Named if by_url => {
                "the URL names an endpoint that is none of Azure's own hosts: credentials of this machine are not \
                 sent there; put the endpoint into the settings, or credentials for it"
            }
            _ => return Ok(()),
        };
        if endpoint.is_azure() { Ok(()) } else { Err(Error::invalid_input(message)) }
    }
}

/// Resolves the settings. An injected provider overrides all others.
pub(super) fn resolve(
    config: &AzureConfig,
    injected: Option<Arc<dyn TokenProvider>>,
    context: &Context<'_>,
) -> Result<Resolved> {
    let var = context.var;
    let theirs = var("AZURE_STORAGE_ACCOUNT").or_else(|| var("AZURE_STORAGE_ACCOUNT_NAME"));
    let (text, source) = match &config.connection_string {
        Some(text) => (Some(text.clone()), ConfigSource::Settings),
        None => (secret(var, "AZURE_STORAGE_CONNECTION_STRING"), ConfigSource::Environment),
    };
    let connection = text.as_ref().map(Connection::parse).transpose()?.unwrap_or_default();
    let account = config.account.clone().or_else(|| connection.account.clone()).or_else(|| theirs.clone());
    if account.is_none() && text.is_some() {
        return Err(Error::invalid_input(
            "the connection string names no account (AccountName=…), nor do the settings",
        ));
    }
    let account = account.unwrap_or_default();
    // The key and address of another account are useless.
    let same = theirs.is_none_or(|theirs| theirs == account);
    let connection = match &connection.account {
        Some(other) if *other != account => Connection::default(),
        None if source == ConfigSource::Environment && !same => Connection::default(),
        _ => connection,
    };
    let environments = || {
        let endpoint = var("AZURE_STORAGE_BLOB_ENDPOINT").or_else(|| var("AZURE_STORAGE_SERVICE_ENDPOINT"));
        endpoint.filter(|_| same).map(|endpoint| (endpoint, ConfigSource::Environment))
    };
    let settings = config.endpoint.clone().map(|endpoint| (endpoint, ConfigSource::Settings));
    let connections = connection.endpoint.clone().map(|endpoint| (endpoint, source));
    let (endpoint, whose) = settings.or(connections).or_else(environments).unzip();
    let connection = match &config.endpoint {
        Some(endpoint) => connection.only_at(endpoint, &account),
        None => connection,
    };
    let found = ResolvedConnection { connection, source, same };
    let (auth, source) = auth(config, injected, found, context)?;
    let environments_endpoint = whose == Some(ConfigSource::Environment);
    Ok(Resolved { account, endpoint, auth, source, environments_endpoint })
}

/// The intermediate result.
struct ResolvedConnection {
    connection: Connection,
    /// The origin of the connection.
    source: ConfigSource,
    /// Whether the environment refers to the same account.
    same: bool,
}

fn auth(
    config: &AzureConfig,
    injected: Option<Arc<dyn TokenProvider>>,
    found: ResolvedConnection,
    context: &Context<'_>,
) -> Result<(Auth, ConfigSource)> {
    if config.anonymous == Some(true) {
        return Ok((Auth::Anonymous, ConfigSource::Settings));
    }
    let token = |provider| Auth::token(provider, context.env.clone());
    if let Some(provider) = injected {
        return Ok((token(provider), ConfigSource::Settings));
    }
    if config.account_key.is_some() && config.sas_token.is_some() {
        return Err(Error::invalid_input("account_key and sas_token exclude each other"));
    }
    if let Some(auth) = Auth::secret((config.account_key.clone(), config.sas_token.clone()))? {
        return Ok((auth, ConfigSource::Settings));
    }
    let ResolvedConnection { connection, source, same } = found;
    let secrets = (connection.key, connection.sas);
    let (of_settings, of_environment) = match source {
        ConfigSource::Environment => ((None, None), secrets),
        _ => (secrets, (None, None)),
    };
    if let Some(auth) = Auth::secret(of_settings)? {
        return Ok((auth, ConfigSource::Settings));
    }
    if let Some((provider, source)) = identity::chosen(config, context)? {
        return Ok((token(provider), source));
    }
    let variables = || {
        let var = |name| secret(context.var, name).filter(|_| same);
        (var("AZURE_STORAGE_KEY").or_else(|| var("AZURE_STORAGE_ACCOUNT_KEY")), var("AZURE_STORAGE_SAS_TOKEN"))
    };
    let auth = match Auth::secret(of_environment)? {
        None => Auth::secret(variables())?,
        found => found,
    };
    let auth = match auth {
        None => identity::found(config, context)?.map(token),
        found => found,
    };
    let auth = auth.ok_or_else(|| Error::new(ErrorKind::Unauthenticated, NONE))?;
    Ok((auth, ConfigSource::Environment))
}

const NONE: &str = "no credentials for this account and endpoint were found in the settings, nor in \
    AZURE_STORAGE_CONNECTION_STRING, AZURE_STORAGE_KEY, AZURE_STORAGE_SAS_TOKEN or AZURE_CLIENT_ID with \
    AZURE_TENANT_ID and AZURE_CLIENT_SECRET, AZURE_CLIENT_CERTIFICATE_PATH or AZURE_FEDERATED_TOKEN_FILE; on a \
    machine in Azure set use_managed_identity=true, after `az login` use_cli=true, for a public container \
    anonymous=true";

fn secret(var: Vars<'_>, name: &str) -> Option<SecretString> {
    var(name).map(SecretString::from)
}

#[cfg(test)]
mod tests {
    use lepton_core::SystemRuntime;

    use super::*;
    use crate::auth::issuer::Issuer;

    fn resolved(config: &AzureConfig, vars: &[(&str, &str)]) -> Result<Resolved> {
        let var = |name: &str| vars.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        let env = SystemRuntime::shared();
        let issuers = |_| Ok(Issuer::plain(&env));
        resolve(config, None, &Context { var: &var, issuers: &issuers, env: &env })
    }

    /// Whether the resolved credentials may be sent to the resolved endpoint.
    fn permitted(config: &AzureConfig, vars: &[(&str, &str)], by_url: bool) -> Result<()> {
        let found = resolved(config, vars)?;
        let endpoint = Endpoint::new(&found.account, "photos", found.endpoint.as_deref())?;
        found.check_host(&endpoint, by_url)
    }

    const CONNECTION: &str =
        "DefaultEndpointsProtocol=https;AccountName=lepton;AccountKey=c2VjcmV0;EndpointSuffix=core.windows.net";
    const SAS: (&str, &str) = ("AZURE_STORAGE_SAS_TOKEN", "?sv=1&sig=x");
    const PRINCIPAL: [(&str, &str); 3] =
        [("AZURE_TENANT_ID", "t"), ("AZURE_CLIENT_ID", "c"), ("AZURE_CLIENT_SECRET", "s3cr3t")];

    #[test]
    fn the_order_of_credentials() {
        let bare = AzureConfig::new("c");
        let found = resolved(&bare.clone().connection_string(CONNECTION), &[]).unwrap();
        assert_eq!(
            (found.account.as_str(), found.endpoint.as_deref()),
            ("lepton", Some("https://lepton.blob.core.windows.net"))
        );
        assert!(matches!(found.auth, Auth::Key(_)));
        let vars = [("AZURE_STORAGE_CONNECTION_STRING", CONNECTION), SAS];
        assert!(matches!(resolved(&bare, &vars).unwrap().auth, Auth::Key(_)));
        let sas = bare.clone().sas_token("?sv=1&sig=x").account("other");
        let found = resolved(&sas, &vars).unwrap();
        assert_eq!((found.account.as_str(), &found.endpoint), ("other", &None));
        assert!(matches!(&found.auth, Auth::Sas(text) if text.expose_secret() == "sv=1&sig=x"));
        assert!(!format!("{found:?}").contains("sig=x"));
        assert!(matches!(resolved(&bare.clone().anonymous(true), &vars).unwrap().auth, Auth::Anonymous));
        let other = resolved(&bare.clone().account("other"), &vars[..1]).unwrap_err();
        assert_eq!(other.kind(), ErrorKind::Unauthenticated, "the key is that of another account");
        let emulator = resolved(&bare.connection_string("UseDevelopmentStorage=true"), &[]).unwrap();
        assert_eq!(emulator.endpoint.as_deref(), Some("http://127.0.0.1:10000/devstoreaccount1"));
    }

    #[test]
    fn settings_precede_the_environment() {
        let bare = || AzureConfig::new("c").account("lepton");
        let vars = [
            ("AZURE_STORAGE_CONNECTION_STRING", CONNECTION),
            ("AZURE_STORAGE_KEY", "c2VjcmV0"),
            SAS,
            PRINCIPAL[0],
            PRINCIPAL[1],
            PRINCIPAL[2],
        ];
        for (config, source) in [
            (bare().use_cli(true), ConfigSource::Named),
            (bare().use_managed_identity(true), ConfigSource::Named),
            (bare().client_secret("x"), ConfigSource::Settings),
            (bare().client_certificate_file("/x"), ConfigSource::Named),
            (bare().federated_token_file("/x"), ConfigSource::Named),
        ] {
            let found = resolved(&config, &vars).unwrap();
            assert!(matches!(found.auth, Auth::Token(_)) && found.source == source, "{config:?}: {found:?}");
        }
        assert!(matches!(resolved(&bare(), &vars).unwrap().auth, Auth::Key(_)));
        assert!(matches!(resolved(&bare(), &vars[2..]).unwrap().auth, Auth::Sas(_)));
        let found = resolved(&bare(), &vars[3..]).unwrap();
        assert!(matches!(found.auth, Auth::Token(_)) && found.source == ConfigSource::Environment);
    }

    #[test]
    fn the_environment_speaks_of_its_own_account_only() {
        let vars = |account: &'static str| {
            let endpoint = ("AZURE_STORAGE_BLOB_ENDPOINT", "https://storage.example");
            [("AZURE_STORAGE_ACCOUNT", account), endpoint, SAS]
        };
        let config = AzureConfig::new("c").account("lepton");
        let same = resolved(&config, &vars("lepton")).unwrap();
        assert!(matches!(same.auth, Auth::Sas(_)) && same.endpoint.is_some());
        permitted(&config, &vars("lepton"), false).unwrap();
        assert!(resolved(&config, &vars("another")).is_err());
        let keyed = resolved(&config.account_key("c2VjcmV0"), &vars("another")).unwrap();
        assert_eq!(keyed.endpoint, None);
    }

    #[test]
    fn the_secrets_of_a_connection_string_stay_at_its_host() {
        let config = AzureConfig::new("c").connection_string(CONNECTION);
        for (endpoint, kept) in [
            ("https://lepton.blob.core.windows.net:443/", true),
            ("https://evil.example", false),
            ("https://lepton.blob.core.windows.net:8443", false),
        ] {
            assert_eq!(resolved(&config.clone().endpoint(endpoint), &[]).is_ok(), kept, "{endpoint}");
        }
        let custom = "BlobEndpoint=https://files.example;SharedAccessSignature=sv=1&sig=x";
        let config = AzureConfig::new("c").connection_string(custom);
        assert!(resolved(&config, &[]).unwrap_err().to_string().contains("AccountName"));
        let named = resolved(&config.clone().account("lepton"), &[]).unwrap();
        assert!(matches!(named.auth, Auth::Sas(_)));
        permitted(&config.account("lepton"), &[], false).unwrap();
    }

    #[test]
    fn credentials_of_the_environment_go_to_azure_or_stay_here() {
        let at = |endpoint: &str| AzureConfig::new("c").account("lepton").endpoint(endpoint);
        for (endpoint, good) in [
            ("https://lepton.blob.core.windows.net", true),
            ("https://lepton.blob.core.usgovcloudapi.net", true),
            ("https://lepton.blob.core.chinacloudapi.cn", true),
            ("https://lepton.z01.blob.storage.azure.net", true),
            ("http://127.0.0.1:10000/lepton", true),
            ("https://evil.example", false),
            ("https://lepton.blob.core.windows.net.evil.example", false),
            ("https://evilblob.core.windows.net", false),
            ("http://lepton.blob.core.windows.net", false),
        ] {
            for vars in [&[SAS][..], &PRINCIPAL] {
                let outcome = permitted(&at(endpoint), vars, false);
                assert_eq!(outcome.is_ok(), good, "{endpoint}: {outcome:?}");
                assert!(outcome.map_or_else(|error| !error.to_string().contains("sig=x"), |()| true));
            }
        }
        let evil = at("https://evil.example");
        permitted(&evil.clone().sas_token("sv=1&sig=x"), &[], true).unwrap();
        permitted(&evil.clone().use_cli(true), &[], false).unwrap();
        let outcome = permitted(&evil.use_cli(true), &[], true).unwrap_err();
        assert!(outcome.to_string().contains("URL"), "{outcome}");
        let plain = at("http://files.example").sas_token("sv=1&sig=x");
        assert!(permitted(&plain, &[], false).unwrap_err().to_string().contains("https"));
    }

    #[test]
    fn errors_name_the_setting_without_the_secret() {
        let bare = AzureConfig::new("c").account("lepton");
        for (config, says) in [
            (bare.clone(), "AZURE_STORAGE_KEY"),
            (bare.clone().account_key("s3cr3t!"), "Base64"),
            (bare.clone().sas_token("s3cr3t"), "sig="),
            (bare.clone().sas_token("https://h/c?sig=s3cr3t"), "sig="),
            (bare.clone().sas_token("sv=1&sig=s3cr3t\u{fc}"), "sig="),
            (AzureConfig::new("c").connection_string("AccountKey=s3cr3t"), "AccountName"),
            (bare.clone().connection_string("s3cr3t"), "name=value"),
            (bare.clone().client_secret("s3cr3t"), "tenant_id"),
            (bare.account_key("x").sas_token("y"), "exclude"),
        ] {
            let error = resolved(&config, &[]).unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[test]
    fn an_identity_of_azure_arc_is_refused_by_name() {
        let config = AzureConfig::new("c").account("lepton");
        let error = resolved(&config, &[("IDENTITY_ENDPOINT", "http://localhost:40342")]).unwrap_err();
        assert!(error.kind() == ErrorKind::Unsupported && error.to_string().contains("Azure Arc"), "{error}");
        let service = [("MSI_ENDPOINT", "http://127.0.0.1:41741"), ("MSI_SECRET", "s")];
        assert!(matches!(resolved(&config, &service).unwrap().auth, Auth::Token(_)));
    }
}
