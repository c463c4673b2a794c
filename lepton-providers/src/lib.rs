//! Backends, and [`open`], which selects one by URL.
//!
//! - [`local`]: a folder on a disk (feature `local`)
//! - `azure`: Azure Blob Storage (feature `azure`)
//! - `gcs`: Google Cloud Storage (feature `gcs`)
//! - `http`: files on a web server, read only (feature `http`)
//! - `process`: workloads as processes of this machine (feature `process`, Linux)
//! - `resolve`: opens by URL what a migration names (feature `resolver`)
//! - `router`: the router between the users and the two sides of a migration (feature `router`)
//! - [`s3`]: Amazon S3 and stores that speak its protocol (feature `s3`)
//! - [`layers`] that wrap any of them: concurrency limit, trace, retry
//! - in memory: [`MemoryStorage`](lepton_core::MemoryStorage), from the core crate

#[cfg(feature = "_auth")]
#[cfg_attr(
    not(all(feature = "azure", feature = "gcs", feature = "s3")),
    allow(dead_code, reason = "what the others need")
)]
mod auth;
#[cfg(feature = "azure")]
pub mod azure;
#[cfg(feature = "gcs")]
pub mod gcs;
#[cfg(any(feature = "process", feature = "resolver"))]
mod group;
#[cfg(feature = "http")]
pub mod http;
pub mod layers;
#[cfg(feature = "local")]
pub mod local;
mod open;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "resolver")]
pub mod resolve;
#[cfg(feature = "router")]
pub mod router;
#[cfg(feature = "s3")]
pub mod s3;
#[cfg(feature = "_web")]
#[cfg_attr(
    not(all(feature = "azure", feature = "gcs", feature = "http", feature = "s3")),
    allow(dead_code, reason = "what the others need")
)]
mod transport;
#[cfg(feature = "_web")]
#[cfg_attr(
    not(all(feature = "azure", feature = "gcs", feature = "http", feature = "s3")),
    allow(dead_code, reason = "what the others need")
)]
mod wire;

pub use open::{StoreConfig, open, open_with};

/// Entry points to the parsers for the fuzz targets; compiled only for fuzzing.
#[cfg(all(fuzzing, feature = "azure", feature = "gcs", feature = "http", feature = "s3"))]
pub mod fuzz {
    /// Parses a URL without opening anything.
    pub fn url(text: &str) {
        crate::open::fuzz(text);
        crate::azure::fuzz::text(text);
        crate::gcs::fuzz::text(text);
    }

    /// Parses any document that a server could return.
    pub fn documents(document: &[u8]) {
        crate::s3::fuzz::documents(document);
        crate::azure::fuzz::documents(document);
        crate::gcs::fuzz::documents(document);
        crate::http::fuzz(document);
    }

    pub use crate::s3::fuzz::profiles;
}
