//! Backends, and [`open`], which makes one of a URL.
//!
//! - [`local`]: a folder on a disk (feature `local`)
//! - [`s3`]: Amazon S3 and stores that speak its protocol (feature `s3`)
//! - [`layers`] around any of them: concurrency limit, trace, retry
//! - in memory: [`MemoryStorage`](lepton_core::MemoryStorage), from the core

#[cfg(feature = "s3")]
mod http;
pub mod layers;
#[cfg(feature = "local")]
pub mod local;
mod open;
#[cfg(feature = "s3")]
pub mod s3;

pub use open::{Settings, open, open_with};

/// Doors to the parsers for the fuzz targets; there only when they are built.
#[cfg(all(fuzzing, feature = "s3"))]
pub mod fuzz {
    /// A URL, as far as it is read without opening anything.
    pub fn url(text: &str) {
        crate::open::fuzz(text);
    }

    pub use crate::s3::fuzz::{documents, profiles};
}
