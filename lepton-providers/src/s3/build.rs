//! From settings to a store.

use std::fmt;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::{HeaderMap, HeaderName, HeaderValue};
use lepton_core::{Error, Result, SharedEnv, SystemEnv, md5};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};

use super::auth::{process_vars, proxies, resolve};
use super::client::{Client, RequestOptions, header};
use super::config::{AddressingStyle, Preset, S3Config, ServerSideEncryption};
use super::credentials::{CredentialsCache, CredentialsProvider};
use super::encode::encode_query;
use super::endpoint::Endpoint;
use super::headers::insert;
use super::presets;
use super::sign::RequestSigner;
use super::storage::S3Storage;
use crate::http::{HttpClient, HttpOptions};

/// Unused connections that are kept, at most.
const IDLE: usize = 256;

/// Makes an [`S3Storage`] of settings and of parts that are not settings.
pub struct S3Builder {
    config: S3Config,
    env: Option<SharedEnv>,
    credentials: Option<Arc<dyn CredentialsProvider>>,
}

impl S3Builder {
    pub(super) fn new(config: S3Config) -> Self {
        Self { config, env: None, credentials: None }
    }

    /// Takes tasks, time and randomness from here instead of the system.
    #[must_use]
    pub fn env(mut self, env: SharedEnv) -> Self {
        self.env = Some(env);
        self
    }

    /// Takes credentials from here instead of settings, environment and files.
    #[must_use]
    pub fn credentials(mut self, provider: Arc<dyn CredentialsProvider>) -> Self {
        self.credentials = Some(provider);
        self
    }

    /// Makes the store. Nothing is sent.
    ///
    /// # Errors
    /// `invalid_input` for a setting that is wrong, named; `unauthenticated` if
    /// no credentials were found; `unsupported` for a profile that gets them in
    /// a way that is not built in.
    pub fn build(self) -> Result<S3Storage> {
        let Self { config, env, credentials } = self;
        let env = env.unwrap_or_else(SystemEnv::shared);
        let resolved = resolve(&config, credentials, &process_vars, &env)?;
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
        let known = presets::capabilities(preset);
        let mut capabilities = match &config.capabilities {
            Some(overrides) => known.overridden(overrides)?,
            None => known,
        };
        capabilities.tls = endpoint.is_tls();
        let keyed = matches!(config.sse, Some(ServerSideEncryption::Kms | ServerSideEncryption::KmsDsse));
        if keyed || config.sse_customer_key.is_some() {
            // Their tags are no MD5s of the bytes ("Common response headers").
            capabilities.etag_is_md5 = false;
        }
        capabilities.holds_uploads = resolved.credentials.is_some()
            && !capabilities.signed_chunks.is_available()
            && !(capabilities.tls && capabilities.trailers.is_available());
        let options = HttpOptions {
            tls: endpoint.is_tls(),
            ca_file: resolved.ca_file,
            proxy: Arc::new(proxies(&config)?),
            connect_timeout: config.connect_timeout.unwrap_or(Duration::from_secs(10)),
            idle_timeout: config.idle_timeout.unwrap_or(Duration::from_secs(30)),
            max_idle_connections: config
                .max_idle_connections
                .map_or_else(idle_connections, |most| usize::try_from(most).unwrap_or(usize::MAX)),
        };
        let client = Client {
            options: request_options(&config, endpoint.is_tls())?,
            http: HttpClient::new(options, env.clone())?,
            credentials: resolved.credentials.map(|provider| CredentialsCache::new(provider, env.clone())),
            signer: RequestSigner::default(),
            target: RwLock::new(target),
            bucket_seen: false.into(),
            bucket: config.bucket,
            reading: presets::reading(&capabilities.keys),
            deleting: presets::deleting(&capabilities.keys),
            capabilities,
            endpoint,
            env,
        };
        let url = url(&client);
        Ok(S3Storage::of(client, url))
    }
}

impl fmt::Debug for S3Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Builder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// How many unused connections are kept: no more than a quarter of the files that may be
/// open, or none would be left for files.
fn idle_connections() -> usize {
    let open = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    open.and_then(|open| usize::try_from(open / 4).ok()).map_or(IDLE, |most| most.min(IDLE))
}

/// The canonical address: the bucket, and the endpoint unless it is Amazon's.
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
        insert(&mut headers, HeaderName::from_static("x-amz-expected-bucket-owner"), owner)?;
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
        value.set_sensitive(true);
        headers.insert(name, value);
    }
    Ok(headers)
}
