//! A bucket of a real server, reached through a proxy that injects faults.

use std::sync::Arc;
use std::time::Duration;

use lepton::SharedStorage;
use lepton::providers::s3::{Preset, S3Config, S3Storage};
use lepton_s3_front::{Hooks, S3Front, Server};

use super::places::{config, unused_bucket};

/// The same bucket, with and without the proxy.
pub struct Proxied {
    /// Without the proxy: the true content.
    pub direct: SharedStorage,
    pub bucket: String,
    pub server: Arc<Server>,
    endpoint: String,
    preset: Preset,
}

impl Proxied {
    /// A new bucket of the server at `endpoint`.
    pub async fn fresh(preset: Preset, endpoint: &str, hooks: Arc<dyn Hooks>) -> Self {
        let server = S3Front::proxy(endpoint, hooks).unwrap().serve("127.0.0.1:0").await.unwrap();
        Self::behind(Arc::new(server), preset, endpoint).await
    }

    /// Another new bucket behind the same proxy: the server can copy between the two.
    pub async fn beside(&self) -> Self {
        Self::behind(Arc::clone(&self.server), self.preset, &self.endpoint).await
    }

    async fn behind(server: Arc<Server>, preset: Preset, endpoint: &str) -> Self {
        let bucket = unused_bucket();
        let direct = S3Storage::new(config(&bucket, endpoint, preset)).unwrap();
        direct.create_bucket().await.unwrap();
        Self { direct: Arc::new(direct), bucket, server, endpoint: endpoint.to_owned(), preset }
    }

    /// Through the proxy.
    pub fn config(&self) -> S3Config {
        config(&self.bucket, &self.server.endpoint(), self.preset)
    }

    /// Through the proxy, with a short timeout for a server that stops responding.
    pub fn store(&self) -> SharedStorage {
        Arc::new(S3Storage::new(self.config().idle_timeout(Duration::from_secs(1))).unwrap())
    }

    /// Through the proxy, as a URL for a program.
    pub fn url(&self) -> String {
        let preset = match self.preset {
            Preset::Minio => "minio",
            Preset::Versitygw => "versitygw",
            _ => "moto",
        };
        format!("s3://{}?endpoint={}&region=us-east-1&preset={preset}", self.bucket, self.server.endpoint())
    }
}
