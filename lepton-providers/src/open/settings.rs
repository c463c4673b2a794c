//! Settings of every backend.

use lepton_core::Error;
use serde::Deserialize;

#[cfg(feature = "azure")]
use crate::azure::AzureConfig;
#[cfg(feature = "gcs")]
use crate::gcs::GcsConfig;
#[cfg(feature = "http")]
use crate::http::HttpConfig;
#[cfg(feature = "local")]
use crate::local::LocalConfig;
#[cfg(feature = "s3")]
use crate::s3::S3Config;

/// Settings of every backend, as written in a configuration file.
///
/// ```
/// # #[cfg(feature = "s3")] {
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// use lepton_providers::{StoreConfig, open_with};
/// let settings: StoreConfig = serde_json::from_str(
///     r#"{"type": "s3", "endpoint": "http://127.0.0.1:9000", "preset": "minio", "anonymous": true}"#,
/// )?;
/// let place = open_with("s3://photos/2024?region=eu-central-1", settings).await?;
/// assert_eq!(place.storage().url(), "s3://photos?endpoint=http%3A%2F%2F127.0.0.1%3A9000");
/// assert_eq!(place.path(), b"2024");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum StoreConfig {
    /// A bucket.
    #[cfg(feature = "s3")]
    S3(Box<S3Config>),
    /// A container in Azure Blob Storage.
    #[cfg(feature = "azure")]
    Azure(Box<AzureConfig>),
    /// A bucket in Google Cloud Storage.
    #[cfg(feature = "gcs")]
    Gcs(Box<GcsConfig>),
    /// A folder on a web server.
    #[cfg(feature = "http")]
    Http(Box<HttpConfig>),
    /// A folder.
    #[cfg(feature = "local")]
    Local(LocalConfig),
    /// A store in this process's memory.
    Memory,
}

pub(super) fn other_backend(scheme: &str) -> Error {
    Error::invalid_input(format!("the place is one of {scheme}:, the settings are those of another backend"))
}
