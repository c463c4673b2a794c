//! Buckets in Google Cloud Storage.
//!
//! The way of a request: `storage` → the file named for the call (`object`, `list`,
//! `delete`, `multipart`, `copy`, `versions`, `bucket`) → `client`, which authorises it
//! and sends. The service speaks two protocols: the one in JSON is used but for reading
//! (`object`), where the one in XML gives the metadata with the bytes, and for uploads in
//! parts, which only that one has.
//!
//! - `config`: what the user sets; `auth`, `credentials`: what the environment adds;
//!   `build`: a store of both
//! - `presets`: what is known of the service and of its emulators
//! - `resource`: an object as JSON; `headers`: as headers
//! - `sign`: signed URLs
//! - `error`: what a refusal means

mod auth;
mod bucket;
mod build;
mod client;
mod config;
mod copy;
mod credentials;
mod delete;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod headers;
mod list;
mod multipart;
mod object;
mod presets;
mod resource;
mod sign;
mod storage;
mod versions;

pub use crate::token::{Token, TokenProvider};
pub use build::GcsBuilder;
pub(crate) use config::SECRET_SETTINGS;
pub use config::{GcsConfig, Preset};
pub use storage::GcsStorage;
