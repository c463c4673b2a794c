//! Finds out which server a store is, by what it says in a response.

use http::Method;
use lepton_core::{Error, Result};

use super::client::{Client, Request};
use super::config::Preset;
use crate::layers::{RetryOptions, retried};

impl Client {
    /// The preset of the server, `None` if it is not a known one. Any response will do, also
    /// a refusal; a server that does not respond is asked again.
    pub(super) async fn identify(&self) -> Result<Option<Preset>> {
        retried(RetryOptions::default(), &self.env, "identify", || self.ask()).await?;
        let server = self.server.get();
        let preset = server.and_then(|server| known(server));
        tracing::debug!(bucket = self.bucket, server, ?preset, "the server has responded");
        Ok(preset)
    }

    async fn ask(&self) -> Result<()> {
        match self.send(Request::new("identify", Method::HEAD, None)).await {
            Ok(reply) => {
                reply.drain().await;
                Ok(())
            }
            Err(error) if self.is_from_server(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Whether a server refused the request. A proxy in front of a server that is down is not
    /// meant.
    fn is_from_server(&self, error: &Error) -> bool {
        let named = self.server.get().and_then(|server| known(server)).is_some();
        error.status().is_some_and(|status| status < 500 || named)
    }
}

/// The preset of a server that calls itself so in its header `Server`. `AmazonS3` is not
/// believed: other stores call themselves so, and Amazon is known by its hosts.
fn known(server: &str) -> Option<Preset> {
    let product = server.split(['/', ' ']).next().unwrap_or_default();
    match product.to_ascii_lowercase().as_str() {
        "minio" => Some(Preset::Minio),
        "versitygw" => Some(Preset::Versitygw),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_their_product() {
        for (server, expected) in [
            ("MinIO", Some(Preset::Minio)),
            ("MinIO/RELEASE.2021-01-01 (linux; amd64)", Some(Preset::Minio)),
            ("VERSITYGW", Some(Preset::Versitygw)),
            ("AmazonS3", None),
            ("nginx/1.24", None),
            ("not-minio", None),
            ("", None),
        ] {
            assert_eq!(known(server), expected, "{server:?}");
        }
    }
}
