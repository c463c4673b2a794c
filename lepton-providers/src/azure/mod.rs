//! Containers in Azure Blob Storage: block blobs.
//!
//! A request goes from `storage` to the file named after the call (`object`, `list`,
//! `delete`, `multipart`, `copy`, `versions`), then to `client`, which authorises it
//! (`sign`, or a token) and sends it.
//!
//! - `config`: the user's settings; `auth`: what the environment adds, with `connection`
//!   strings and `identity`; `build`: makes a store from both
//! - `presets`: the known properties of the service and of its emulator
//! - `endpoint`, `headers`: the protocol's formats
//! - `blocks`: the content of a block's name
//! - `error`: the meaning of refusals

mod auth;
mod blocks;
mod build;
mod client;
mod config;
mod connection;
mod container;
mod copy;
mod copy_blocks;
mod delete;
mod endpoint;
mod error;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
mod headers;
mod identity;
mod list;
mod multipart;
mod object;
mod presets;
mod sas;
mod sign;
mod storage;
mod versions;

pub use crate::auth::token::{Token, TokenProvider};
pub use build::AzureBuilder;
pub(crate) use config::SECRET_SETTINGS;
pub use config::{AzureConfig, Preset};
pub use storage::AzureStorage;
