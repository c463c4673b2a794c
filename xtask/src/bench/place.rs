//! The ends of a transfer.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, bail};

use super::relay;

/// The name of the bucket at each server.
pub(super) const BUCKET: &str = "bench";

/// One end of a transfer.
pub(super) enum Place {
    Folder(PathBuf),
    Bucket {
        server: &'static str,
        endpoint: String,
        far: bool,
        /// The certificate to trust, if the server is reached over TLS.
        certificate: Option<PathBuf>,
    },
}

impl Place {
    pub(super) fn bucket(server: &'static str, endpoint: String) -> Self {
        Self::Bucket { server, endpoint, far: false, certificate: None }
    }

    /// The same bucket behind a relay with this delay in each direction.
    pub(super) fn relayed(&self, delay: Duration) -> Result<Self> {
        let Self::Bucket { server, endpoint, .. } = self else { bail!("a folder is not relayed") };
        let endpoint = relay::start(endpoint, delay)?;
        Ok(Self::Bucket { server, endpoint, far: !delay.is_zero(), certificate: None })
    }

    pub(super) fn name(&self) -> String {
        match self {
            Self::Folder(_) => "disk".to_owned(),
            Self::Bucket { far: true, server, .. } => format!("{server}, far"),
            Self::Bucket { certificate: Some(_), .. } => "serve_s3".to_owned(),
            Self::Bucket { server, .. } => (*server).to_owned(),
        }
    }
}

/// The protocol that a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    S3,
    Azure,
    Google,
}

impl Protocol {
    pub(super) fn of(server: &str) -> Self {
        match server {
            "azurite" | "synthetic-azure" => Self::Azure,
            "fake-gcs" | "synthetic-google" => Self::Google,
            _ => Self::S3,
        }
    }
}
