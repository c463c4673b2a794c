//! From settings to a store.

use std::fmt;
use std::sync::Arc;

use lepton_core::{Capabilities, Error, Result, SharedRuntime, SystemRuntime};

use super::auth::{Given, ca_file, resolve};
use super::client::{Client, RequestOptions};
use super::config::{GcsConfig, Preset};
use super::presets;
use super::storage::GcsStorage;
use crate::auth::issuer::Issuer;
use crate::auth::token::TokenProvider;
use crate::wire::address::Address;
use crate::wire::encode::encode_query;
use crate::wire::values::process_vars;

const ENDPOINT: &str = "https://storage.googleapis.com";

/// Makes a [`GcsStorage`] from settings, and from parts that are not settings.
pub struct GcsBuilder {
    config: GcsConfig,
    env: Option<SharedRuntime>,
    given: Given,
}

impl GcsStorage {
    /// Makes a store from these settings. Sends nothing.
    ///
    /// # Errors
    /// The same as [`GcsBuilder::build`].
    pub fn new(config: GcsConfig) -> Result<Self> {
        Self::builder(config).build()
    }

    /// A builder with these settings, to replace parts of the system's.
    pub fn builder(config: GcsConfig) -> GcsBuilder {
        GcsBuilder::new(config)
    }
}

impl GcsBuilder {
    fn new(config: GcsConfig) -> Self {
        Self { config, env: None, given: Given::default() }
    }

    /// Whether a URL named the credentials file. If so, its tokens are sent only to
    /// Google.
    pub(crate) fn file_of_url(mut self, it_was: bool) -> Self {
        self.given.file_of_url = it_was;
        self
    }

    /// Takes tasks, time and randomness from `env` instead of the system.
    #[must_use]
    pub fn runtime(mut self, runtime: SharedRuntime) -> Self {
        self.env = Some(runtime);
        self
    }

    /// Takes tokens from `provider` instead of settings, environment and files.
    #[must_use]
    pub fn tokens(mut self, provider: Arc<dyn TokenProvider>) -> Self {
        self.given.tokens = Some(provider);
        self
    }

    /// Makes the store. Sends nothing.
    ///
    /// # Errors
    /// `invalid_input` for an invalid setting, which is named; `unauthenticated` if no
    /// credentials were found.
    pub fn build(self) -> Result<GcsStorage> {
        let Self { config, env, given } = self;
        let env = env.unwrap_or_else(SystemRuntime::shared);
        let ca_file = ca_file(&config, &process_vars);
        let issuers = |proxied| Ok(Issuer::new(config.http_client(ca_file.clone(), true, proxied, &env)?, env.clone()));
        check_bucket(&config.bucket)?;
        let resolved = resolve(&config, given, &process_vars, &issuers, &env)?;
        let address = Address::parse(resolved.endpoint.as_deref().unwrap_or(ENDPOINT))?;
        if !resolved.auth.is_anonymous() && !address.is_tls() && !address.is_here() {
            return Err(Error::invalid_input("tokens are sent to https endpoints only"));
        }
        let preset = match config.preset.unwrap_or_default() {
            Preset::Auto if resolved.emulated => Preset::FakeGcs,
            preset => preset,
        };
        let mut capabilities = config.adjusted(presets::capabilities(preset))?;
        capabilities.tls = address.is_tls();
        let upload_buffer = config.upload_buffer.unwrap_or(64 << 20);
        let largest_copy = capabilities.max_object;
        limit(&mut capabilities, upload_buffer)?;
        let client = Client {
            http: config.http_client(ca_file.clone(), address.is_tls(), true, &env)?,
            options: RequestOptions {
                // Anonymous requests are not billed.
                user_project: resolved.user_project.filter(|_| !resolved.auth.is_anonymous()),
                project: resolved.project,
                kms_key_name: config.kms_key_name.clone(),
                storage_class: config.storage_class.clone(),
                upload_buffer,
                largest_copy,
            },
            auth: resolved.auth,
            bucket: config.bucket.clone(),
            address,
            capabilities,
            env: env.clone(),
        };
        let url = url(&client);
        Ok(GcsStorage::of(client, url))
    }
}

/// A body that is buffered can be no larger than the buffer.
fn limit(capabilities: &mut Capabilities, upload_buffer: u64) -> Result<()> {
    capabilities.max_single_put = capabilities.max_single_put.min(upload_buffer);
    let mut largest = capabilities.max_single_put;
    if let Some(limits) = &mut capabilities.multipart {
        limits.max_part = limits.max_part.min(upload_buffer);
        if limits.max_part < limits.min_part {
            let message = format!("upload_buffer must hold the smallest part, which has {} bytes", limits.min_part);
            return Err(Error::invalid_input(message));
        }
        largest = largest.max(limits.max_part.saturating_mul(limits.max_parts.into()));
    }
    capabilities.max_object = capabilities.max_object.min(largest);
    Ok(())
}

impl fmt::Debug for GcsBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GcsBuilder").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The canonical URL: the bucket, and the endpoint unless it is Google's.
fn url(client: &Client) -> String {
    match client.address.canonical() {
        usual if usual == ENDPOINT => format!("gs://{}", client.bucket),
        other => format!("gs://{}?endpoint={}", client.bucket, encode_query(other.as_bytes())),
    }
}

/// "Bucket names" in the documentation.
fn check_bucket(bucket: &str) -> Result<()> {
    if bucket.is_empty() {
        return Err(Error::invalid_input("no bucket is named; write gs://bucket/prefix"));
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    let edge = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let (first, last) = (bucket.bytes().next(), bucket.bytes().last());
    if (3..=222).contains(&bucket.len()) && bucket.bytes().all(allowed) && edge(first) && edge(last) {
        return Ok(());
    }
    let message = format!("{bucket:?} is no bucket: 3 to 222 lower-case letters, digits, `-`, `_` and `.`");
    Err(Error::invalid_input(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_name_the_setting_without_the_secret() {
        let bare = || GcsConfig::new("photos").proxy("none");
        for (config, says) in [
            (bare().access_token("s3cr3t").endpoint("http://example.org"), "https"),
            (bare().anonymous(true).endpoint("example.org"), "endpoint"),
            (GcsConfig::new("").anonymous(true), "gs://bucket"),
            (GcsConfig::new("Upper").anonymous(true), "lower-case"),
            (bare().credentials_json("s3cr3t"), "known type"),
            (bare().credentials_file("/nowhere"), "/nowhere"),
            (bare().endpoint("https://example.org"), "not Google's"),
            (bare().anonymous(true).upload_buffer(1u64 << 20), "upload_buffer"),
        ] {
            let error = GcsBuilder::new(config).build().unwrap_err().to_string();
            assert!(error.contains(says) && !error.contains("s3cr3t"), "{error}");
        }
    }

    #[tokio::test]
    async fn limits_are_those_of_the_buffer() {
        let storage = GcsBuilder::new(GcsConfig::new("photos").anonymous(true).proxy("none")).build().unwrap();
        let limits = lepton_core::Storage::capabilities(&storage);
        let part = limits.multipart.unwrap().max_part;
        assert_eq!((limits.max_single_put, part, limits.max_object), (64 << 20, 64 << 20, 10_000 * (64 << 20)));
        let copies = lepton_core::Storage::server_copy(&storage).unwrap();
        assert!(copies.largest() > limits.max_object);
    }
}
