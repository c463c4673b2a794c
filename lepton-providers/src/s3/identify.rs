//! Finds out which server a store is, by what it says in a response.

use bytes::Bytes;
use http::{HeaderMap, Method};
use lepton_core::{DeleteRequest, Error, ErrorKind, ObjectKey, Result};

use super::client::{Client, Request};
use super::config::Preset;
use super::headers::version;
use super::payload::Payload;
use crate::layers::{RetryConfig, retried};
use crate::wire::attributes::header;

impl Client {
    /// The preset of the server, `None` if it is not a known one. Any response will do, also
    /// a refusal; a server that does not respond is asked again.
    pub(super) async fn identify(&self) -> Result<Option<Preset>> {
        retried(RetryConfig::default(), &self.env, "identify", || self.ask()).await?;
        let preset = self.server.get().and_then(|server| known(server));
        tracing::debug!(bucket = self.bucket, ?preset, "the server has responded");
        Ok(preset)
    }

    /// Proves, before the first write, that a server which is known by its name is as new as its
    /// preset assumes. MinIO compares CRC-64/NVME since January 2025 (minio/minio#20855), after it
    /// had conditions on writes: a server that reports a wrong checksum has both, and writes
    /// nothing.
    ///
    /// # Errors
    /// `unsupported` if the server accepts the wrong checksum, in which case the object is deleted,
    /// or refuses it for another reason.
    pub(super) async fn prove(&self, key: &ObjectKey) -> Result<()> {
        if self.by_name {
            self.proven.get_or_try_init(|| self.send_wrong_checksum(key)).await?;
        }
        Ok(())
    }

    async fn send_wrong_checksum(&self, key: &ObjectKey) -> Result<()> {
        // Next to the object, where the caller may write.
        let folder = key.as_bytes().iter().rposition(|byte| *byte == b'/').map_or(0, |at| at + 1);
        let name = format!(".lepton-probe-{:016x}", self.env.random());
        let probe = ObjectKey::new([&key.as_bytes()[..folder], name.as_bytes()].concat())?;
        // The checksum of no bytes, with one.
        let wrong = HeaderMap::from_iter([header("x-amz-checksum-crc64nvme", "AAAAAAAAAAA=")]);
        let body = Payload::Document(Bytes::from_static(b"x"));
        let request = || Request::new("prove", Method::PUT, Some(&probe)).headers(wrong.clone()).payload(body.clone());
        // The refusal that is expected counts as worth a retry, so that it must not get there.
        let refused = |error: &Error| error.kind() == ErrorKind::ChecksumMismatch;
        let send = async || match self.send(request()).await {
            Err(error) if refused(&error) => Ok(None),
            sent => sent.map(Some),
        };
        match retried(RetryConfig::default(), &self.env, "prove", send).await {
            Ok(None) => Ok(()),
            // Nothing can be proven without the permission to write here. The write itself may be
            // allowed; a preset or probe=true is the way to be sure.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(()),
            Err(error) if error.status() == Some(400) => Err(self.is_older().with_source(error)),
            Err(error) => Err(error),
            Ok(Some(reply)) => {
                let written = DeleteRequest::new(probe).version(version(&reply.headers));
                reply.drain().await;
                self.delete_one(&written).await?;
                Err(self.is_older())
            }
        }
    }

    fn is_older(&self) -> Error {
        let server = self.server.get().map_or("the server", String::as_str);
        let message = format!(
            "{server} does not verify CRC-64/NVME: it is older than its preset assumes, and may ignore conditions on \
             writes; set preset=generic, or preset={} if you know that it supports them",
            self.capabilities.preset
        );
        Error::unsupported(message).with_operation("prove").with_context("bucket", &self.bucket)
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

    /// Whether the server itself refused the request, and not a proxy in front of it that cannot
    /// reach it or limits requests.
    fn is_from_server(&self, error: &Error) -> bool {
        let named = self.server.get().and_then(|server| known(server)).is_some();
        error.status().is_some_and(|status| (status < 500 && status != 429) || named)
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
