//! Buckets in Amazon S3 and stores that speak its protocol.
//!
//! The way of a request: `storage` → the file named for the call (`object`,
//! `list`, `delete`, `multipart`, `copy`, `versions`, `bucket`) → `client`,
//! which frames the bytes (`payload`, `chunks`, `sum`), signs (`sign`) and sends.
//!
//! - `config`, `settings`: what the user sets; `auth`, `credentials`:
//!   what environment and profiles add; `build`: a store of both
//! - `presets`: what is known of stores
//! - `endpoint`, `encode`, `headers`, `rfc2047`, `time`, `xml`: the
//!   protocol's forms
//! - `error`: what a refusal means

mod auth;
mod bucket;
mod build;
mod chunks;
mod client;
mod config;
mod copy;
mod credentials;
mod delete;
mod endpoint;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod headers;
mod list;
mod multipart;
mod object;
mod payload;
mod presets;
mod sign;
mod storage;
mod sum;
mod time;
mod versions;

pub use build::S3Builder;
pub(crate) use config::SECRET_SETTINGS;
pub use config::{AddressingStyle, Preset, S3Config, ServerSideEncryption};
pub use credentials::{Credentials, CredentialsProvider};
pub use storage::S3Storage;

/// Reads a page of a listing; for the benchmarks, no part of the API.
///
/// # Errors
/// The document is no such page.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub fn parse_page(document: &[u8]) -> lepton_core::Result<lepton_core::ListPage> {
    list::parse_page(document).map(|(page, _)| page)
}
