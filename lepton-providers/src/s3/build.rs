//! From settings to a store.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, OnceLock, RwLock};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use futures_core::future::BoxFuture;
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Capabilities, Error, KeyRules, Result, SharedRuntime, SystemRuntime, md5};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::auth::resolve;
use super::client::{Client, RequestOptions};
use super::config::{AddressingStyle, Preset, S3Config, ServerSideEncryption};
use super::endpoint::Endpoint;
use super::presets;
use super::probe::probe;
use super::storage::S3Storage;
use crate::auth::aws::credentials::{Credentials, CredentialsProvider};
use crate::auth::aws::sign::request::RequestSigner;
use crate::auth::cache::{Cache, EXPIRY_WINDOW};
use crate::auth::issuer::Issuer;
use crate::wire::attributes::{header, insert};
use crate::wire::encode::encode_query;
use crate::wire::values::process_vars;

/// A look-up of environment variables.
type Variables = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// Makes an [`S3Storage`] from settings, and from parts that are not settings.
pub struct S3Builder {
    config: S3Config,
    env: Option<SharedRuntime>,
    credentials: Option<Arc<dyn CredentialsProvider>>,
    var: Variables,
    probe_prefix: Vec<u8>,
}

impl S3Storage {
    /// Makes a store from these settings. Sends nothing, so that a server that is not
    /// Amazon's counts as unknown unless `preset` names it; [`connect`](Self::connect) finds
    /// out.
    ///
    /// # Errors
    /// The same as [`S3Builder::build`].
    pub fn new(config: S3Config) -> Result<Self> {
        Self::builder(config).build()
    }

    /// Makes a store from these settings, and finds out which server it is, unless
    /// `preset` names it.
    ///
    /// # Errors
    /// The same as [`S3Builder::connect`].
    pub async fn connect(config: S3Config) -> Result<Self> {
        Self::builder(config).connect().await
    }

    /// A builder with these settings, to replace parts of the system's.
    pub fn builder(config: S3Config) -> S3Builder {
        S3Builder::new(config)
    }
}

impl S3Builder {
    fn new(config: S3Config) -> Self {
        Self { config, env: None, credentials: None, var: Box::new(process_vars), probe_prefix: Vec::new() }
    }

    /// Replaces the variables of the process; for tests, not part of the API.
    #[cfg(feature = "internals")]
    #[doc(hidden)]
    #[must_use]
    pub fn variables(mut self, variables: std::collections::BTreeMap<String, String>) -> Self {
        self.var = Box::new(move |name| variables.get(name).cloned());
        self
    }

    /// Takes tasks, time and randomness from `env` instead of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Takes credentials from `provider` instead of settings, environment and files.
    #[must_use]
    pub fn credentials(mut self, provider: Arc<dyn CredentialsProvider>) -> Self {
        self.credentials = Some(provider);
        self
    }

    /// Writes the objects of the setting `probe` below this prefix, instead of at the root of
    /// the bucket.
    #[must_use]
    pub fn probe_prefix(mut self, prefix: impl Into<Vec<u8>>) -> Self {
        self.probe_prefix = prefix.into();
        self
    }

    /// Makes the store. Sends nothing, so that a server that is not Amazon's counts as
    /// unknown (`generic`) unless `preset` names it.
    ///
    /// # Errors
    /// `invalid_input` for an invalid setting, which is named; `unauthenticated` if no
    /// credentials were found; `unsupported` for a profile whose method of getting them
    /// is not supported.
    pub fn build(self) -> Result<S3Storage> {
        Ok(self.make()?.0)
    }

    /// Makes the store. Unless `preset` is set or the host is Amazon's, one request finds
    /// out which server it is, by the name in its response; the request is retried. Before its
    /// first write, the store proves that the server is as new as the preset assumes. With
    /// the setting `probe`, a server that is still unknown is tried: objects that are written
    /// and deleted show which conditions, checksums and framings it supports.
    ///
    /// # Errors
    /// Those of [`build`](Self::build); the error of the request if no server responded; the
    /// error of a probe that was refused.
    pub async fn connect(mut self) -> Result<S3Storage> {
        let prefix = std::mem::take(&mut self.probe_prefix);
        let (mut storage, config) = self.make()?;
        if storage.client.capabilities.preset != "generic" || config.preset.unwrap_or_default() != Preset::Auto {
            return Ok(storage);
        }
        if let Some(preset) = storage.client.identify().await? {
            set_capabilities(&mut storage, &config, presets::found_by_name(preset))?;
            storage.client_mut()?.by_name = true;
        } else if config.probe == Some(true) {
            let found = probe(&mut storage, &prefix).await?;
            set_capabilities(&mut storage, &config, found)?;
        }
        Ok(storage)
    }

    fn make(self) -> Result<(S3Storage, S3Config)> {
        let Self { config, env, credentials, var, probe_prefix: _ } = self;
        let env = env.unwrap_or_else(SystemRuntime::shared);
        let connect = |proxied: bool, ca_file: Option<&Path>| {
            Ok(Issuer::new(config.http_client(ca_file.map(Path::to_owned), true, proxied, &env)?, env.clone()))
        };
        let resolved = resolve(&config, credentials, &*var, &connect, &env)?;
        let style = match (config.addressing_style, resolved.addressing_style.as_deref()) {
            (Some(style), _) => style,
            (None, Some("path")) => AddressingStyle::Path,
            (None, Some("virtual")) => AddressingStyle::Virtual,
            (None, _) => AddressingStyle::Auto,
        };
        let endpoint = Endpoint::new(&config.bucket, resolved.endpoint.as_deref(), style)?;
        let target = Arc::new(endpoint.target(&resolved.region)?);
        let preset = match config.preset.unwrap_or_default() {
            Preset::Auto if endpoint.is_aws() => Preset::Aws,
            preset => preset,
        };
        let capabilities = capabilities(&config, presets::capabilities(preset))?;
        let mut client = Client {
            options: request_options(&config, endpoint.is_tls())?,
            http: config.http_client(resolved.ca_file, endpoint.is_tls(), true, &env)?,
            credentials: resolved.credentials.map(|provider| cached(provider, env.clone())),
            signer: RequestSigner::default(),
            target: RwLock::new(target),
            bucket_seen: false.into(),
            server: OnceLock::new(),
            by_name: false,
            proven: tokio::sync::OnceCell::new(),
            bucket: config.bucket.clone(),
            reading: KeyRules::any(0),
            deleting: KeyRules::any(0),
            capabilities: capabilities.clone(),
            endpoint,
            env,
        };
        client.set_capabilities(capabilities);
        let url = url(&client);
        Ok((S3Storage::of(client, url), config))
    }
}

/// Sets what was found out about a store that nobody else uses yet.
fn set_capabilities(storage: &mut S3Storage, config: &S3Config, found: Capabilities) -> Result<()> {
    let capabilities = capabilities(config, found)?;
    storage.client_mut()?.set_capabilities(capabilities);
    Ok(())
}

/// The capabilities of a preset with the changes that the settings ask for.
fn capabilities(config: &S3Config, preset: Capabilities) -> Result<Capabilities> {
    let mut capabilities = config.adjusted(preset)?;
    let keyed = matches!(config.sse, Some(ServerSideEncryption::Kms | ServerSideEncryption::KmsDsse));
    if keyed || config.sse_customer_key.is_some() {
        // Their tags are not MD5s of the content ("Common response headers").
        capabilities.etag_is_md5 = false;
    }
    Ok(capabilities)
}

impl fmt::Debug for S3Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

fn cached(provider: Arc<dyn CredentialsProvider>, env: SharedRuntime) -> Cache<Credentials> {
    let issue = move || -> BoxFuture<'static, Result<Credentials>> {
        let provider = Arc::clone(&provider);
        Box::pin(async move { provider.credentials().await })
    };
    Cache::new(issue, EXPIRY_WINDOW, env)
}

/// The canonical URL: the bucket, and the endpoint unless it is Amazon's.
fn url(client: &Client) -> String {
    match client.endpoint.canonical() {
        None => format!("s3://{}", client.bucket),
        Some(endpoint) => format!("s3://{}?endpoint={}", client.bucket, encode_query(endpoint.as_bytes())),
    }
}

fn request_options(config: &S3Config, tls: bool) -> Result<RequestOptions> {
    let mut headers = HeaderMap::new();
    if config.requester_pays == Some(true) {
        headers.extend([header("x-amz-request-payer", "requester")]);
    }
    if let Some(owner) = &config.expected_bucket_owner {
        insert(&mut headers, "x-amz-expected-bucket-owner", owner)?;
    }
    if config.sse_kms_key_id.is_some()
        && !matches!(config.sse, Some(ServerSideEncryption::Kms | ServerSideEncryption::KmsDsse))
    {
        return Err(Error::invalid_input("sse_kms_key_id needs sse=aws:kms or sse=aws:kms:dsse"));
    }
    if config.sse.is_some() && config.sse_customer_key.is_some() {
        return Err(Error::invalid_input("sse and sse_customer_key exclude each other"));
    }
    if config.sse_customer_key.is_some() && !tls {
        return Err(Error::invalid_input(
            "sse_customer_key needs an https endpoint: the key is sent with each request",
        ));
    }
    let key = config.sse_customer_key.as_ref();
    let customer_key = |prefix| key.map_or(Ok(HeaderMap::new()), |key| customer_key_headers(prefix, key));
    Ok(RequestOptions {
        headers,
        customer_key: customer_key("x-amz-server-side-encryption-customer-")?,
        copy_source_key: customer_key("x-amz-copy-source-server-side-encryption-customer-")?,
        sse: config.sse.map(|sse| (sse, config.sse_kms_key_id.clone())),
        storage_class: config.storage_class.clone(),
        upload_buffer: config.upload_buffer.unwrap_or(32 << 20),
    })
}

fn customer_key_headers(prefix: &str, key: &SecretString) -> Result<HeaderMap> {
    let refuse = || Error::invalid_input("sse_customer_key is not 32 bytes in Base64");
    let bytes = Zeroizing::new(BASE64_STANDARD.decode(key.expose_secret()).map_err(|_| refuse())?);
    if bytes.len() != 32 {
        return Err(refuse());
    }
    let values = [
        ("algorithm", "AES256".to_owned()),
        ("key", key.expose_secret().to_owned()),
        ("key-md5", BASE64_STANDARD.encode(md5(&bytes))),
    ];
    let mut headers = HeaderMap::new();
    for (name, value) in values {
        let name = HeaderName::from_bytes([prefix, name].concat().as_bytes()).map_err(|_| refuse())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| refuse())?;
        value.set_sensitive(!name.as_str().ends_with("algorithm"));
        headers.insert(name, value);
    }
    Ok(headers)
}
