//! Buckets in Google Cloud Storage.
//!
//! A request goes from `storage` to the file named after the call (`object`, `list`,
//! `delete`, `multipart`, `copy`, `versions`, `bucket`), then to `client`, which
//! authorises it and sends it. The service has two protocols. The JSON one is used except
//! for reading (`object`), where the XML one returns the metadata with the bytes, and for
//! multipart uploads, which only the XML one has.
//!
//! - `config`: the user's settings; `auth`, `credentials`: what the environment adds;
//!   `build`: makes a store from both
//! - `presets`: the known properties of the service and of its emulators
//! - `resource`: an object as JSON; `headers`: an object as headers
//! - `sign`: presigned URLs
//! - `error`: the meaning of refusals

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

pub use crate::auth::token::{Token, TokenProvider};
pub use build::GcsBuilder;
pub(crate) use config::SECRET_SETTINGS;
pub use config::{GcsConfig, Preset};
pub use storage::GcsStorage;
