//! From settings to a store.

use std::fmt;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderValue};
use lepton_core::{Capabilities, Error, Result, Sha256, SharedRuntime, Support, SystemRuntime};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::OnceCell;

use super::auth::resolve;
use super::client::{Client, RequestOptions};
use super::config::{AzureConfig, Preset};
use super::endpoint::Endpoint;
use super::identity::Context;
use super::presets;
use super::storage::AzureStorage;
use crate::auth::issuer::Issuer;
use crate::auth::token::TokenProvider;
use crate::wire::attributes::insert;
use crate::wire::values::process_vars;

/// Makes an [`AzureStorage`] from settings, and from parts that are not settings.
pub struct AzureBuilder {
    config: AzureConfig,
    env: Option<SharedRuntime>,
    tokens: Option<Arc<dyn TokenProvider>>,
    by_url: bool,
}

impl AzureStorage {
    /// Makes a store from these settings. Sends nothing.
    ///
    /// # Errors
    /// The same as [`AzureBuilder::build`].
    pub fn new(config: AzureConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder with these settings, to replace parts of the system's.
    pub fn builder(config: AzureConfig) -> AzureBuilder {
        AzureBuilder::new(config)
    }
}

impl AzureBuilder {
    fn new(config: AzureConfig) -> Self {
        Self { config, env: None, tokens: None, by_url: false }
    }

    /// Takes tasks, time and randomness from `env` instead of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Takes tokens from `provider` instead of settings and environment.
    #[must_use]
    pub fn tokens(mut self, provider: Arc<dyn TokenProvider>) -> Self {
        self.tokens = Some(provider);
        self
    }

    /// Whether a URL named the endpoint. If so, this machine's own credentials are not
    /// sent there.
    #[must_use]
    pub(crate) fn endpoint_by_url(mut self, by_url: bool) -> Self {
        self.by_url = by_url;
        self
    }

    /// Makes the store. Sends nothing.
    ///
    /// # Errors
    /// `invalid_input` for an invalid setting, which is named; `unauthenticated` if no
    /// credentials were found.
    pub fn build(self) -> Result<AzureStorage> {
        let Self { config, env, tokens, by_url } = self;
        let env = env.unwrap_or_else(SystemRuntime::shared);
        let issuers =
            |proxied| Ok(Issuer::new(config.http_client(config.ca_file.clone(), true, proxied, &env)?, env.clone()));
        let context = Context { var: &process_vars, issuers: &issuers, env: &env };
        let resolved = resolve(&config, tokens, &context)?;
        let endpoint = Endpoint::new(&resolved.account, &config.container, resolved.endpoint.as_deref())?;
        resolved.check_host(&endpoint, by_url)?;
        let capabilities = capabilities(&config, &endpoint)?;
        let client = Client {
            options: request_options(&config, endpoint.is_tls())?,
            http: config.http_client(config.ca_file.clone(), endpoint.is_tls(), true, &env)?,
            auth: resolved.auth,
            container: config.container,
            seen: false.into(),
            kind: OnceCell::new(),
            moments: 0.into(),
            capabilities,
            endpoint,
            env,
        };
        let url = client.endpoint.url(&client.container);
        Ok(AzureStorage::of(client, url))
    }
}

impl fmt::Debug for AzureBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AzureBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The capabilities of the service, with the overrides of the settings.
fn capabilities(config: &AzureConfig, endpoint: &Endpoint) -> Result<Capabilities> {
    let preset = match config.preset.unwrap_or_default() {
        Preset::Auto if endpoint.is_emulator() => Preset::Azurite,
        preset => preset,
    };
    let mut capabilities = config.adjusted(presets::capabilities(preset))?;
    capabilities.tls = endpoint.is_tls();
    if config.customer_key.is_some() {
        // Copies do not support a customer-provided key.
        capabilities.server_copy = Support::Unsupported;
    }
    // Bodies are buffered before they are sent.
    let most = upload_buffer(config);
    capabilities.max_single_put = capabilities.max_single_put.min(most);
    if let Some(limits) = &mut capabilities.multipart {
        limits.max_part = limits.max_part.min(most);
        let whole = limits.max_part.saturating_mul(u64::from(limits.max_parts));
        capabilities.max_object = capabilities.max_object.min(whole);
    }
    Ok(capabilities)
}

fn upload_buffer(config: &AzureConfig) -> u64 {
    config.upload_buffer.unwrap_or(64 << 20)
}

fn request_options(config: &AzureConfig, tls: bool) -> Result<RequestOptions> {
    if config.customer_key.is_some() && config.encryption_scope.is_some() {
        return Err(Error::invalid_input("customer_key and encryption_scope exclude each other"));
    }
    if config.customer_key.is_some() && !tls {
        return Err(Error::invalid_input("customer_key needs an https endpoint: the key is sent with each request"));
    }
    let mut write = HeaderMap::new();
    if let Some(scope) = &config.encryption_scope {
        insert(&mut write, "x-ms-encryption-scope", scope)?;
    }
    if let Some(lease) = &config.lease_id {
        insert(&mut write, "x-ms-lease-id", lease)?;
    }
    Ok(RequestOptions {
        customer_key: config.customer_key.as_ref().map_or(Ok(HeaderMap::new()), customer_key)?,
        write,
        access_tier: config.access_tier.clone(),
        upload_buffer: upload_buffer(config),
        with_snapshots: with_snapshots(config)?,
    })
}

fn with_snapshots(config: &AzureConfig) -> Result<bool> {
    match config.delete_snapshots.as_deref() {
        None => Ok(false),
        Some("include") => Ok(true),
        Some(other) => Err(Error::invalid_input(format!("delete_snapshots is {other:?}; all it may be is `include`"))),
    }
}

fn customer_key(key: &SecretString) -> Result<HeaderMap> {
    let refuse = || Error::invalid_input("customer_key is not 32 bytes in Base64");
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(key.expose_secret()).map_err(|_| refuse())?);
    if bytes.len() != 32 {
        return Err(refuse());
    }
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-ms-encryption-algorithm", "AES256".to_owned()),
        ("x-ms-encryption-key", key.expose_secret().to_owned()),
        ("x-ms-encryption-key-sha256", BASE64_STANDARD.encode(Sha256::of(&bytes).0)),
    ] {
        let mut value = HeaderValue::from_str(&value).map_err(|_| refuse())?;
        value.set_sensitive(!name.ends_with("algorithm"));
        headers.insert(name, value);
    }
    Ok(headers)
}
