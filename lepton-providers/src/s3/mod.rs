//! Buckets in Amazon S3 and compatible stores.
//!
//! A request goes from `storage` to the file named after the call (`object`, `list`,
//! `delete`, `multipart`, `copy`, `versions`, `bucket`), then to `client`, which frames
//! the bytes (`payload`, `chunks`, `chunk_signer`, `sum`), signs and sends.
//!
//! - `config`: the user's settings; `auth`: what environment and profiles add; `build`:
//!   makes a store from both
//! - `presets`: the known properties of stores; `identify`: which of them a server is;
//!   `probe`: what an unknown server does
//! - `endpoint`, `headers`: the protocol's formats
//! - `error`: the meaning of refusals

mod auth;
mod bucket;
mod build;
mod chunk_signer;
mod chunks;
mod client;
mod config;
mod copy;
mod delete;
mod endpoint;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod headers;
mod identify;
mod list;
mod multipart;
mod object;
mod payload;
mod presets;
mod probe;
mod storage;
mod sum;
mod versions;

pub use crate::auth::aws::credentials::{Credentials, CredentialsProvider};
pub use build::S3Builder;
pub(crate) use config::SECRET_SETTINGS;
pub use config::{AddressingStyle, Preset, S3Config, ServerSideEncryption};
pub use storage::S3Storage;

/// Parses a page of a listing; for the benchmarks, not part of the API.
///
/// # Errors
/// The document is not such a page.
#[cfg(feature = "internals")]
#[doc(hidden)]
pub fn parse_page(document: &[u8]) -> lepton_core::Result<lepton_core::ListPage> {
    list::parse_page(document).map(|(page, _)| page)
}
