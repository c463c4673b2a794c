//! Containers in Azure Blob Storage: block blobs.
//!
//! The way of a request: `storage` → the file named for the call (`object`, `list`,
//! `delete`, `multipart`, `copy`, `versions`) → `client`, which authorises it (`sign`,
//! `credentials`) and sends.
//!
//! - `config`: what the user sets; `auth`: what the environment adds, with `connection`
//!   strings and `identity`; `build`: a store of both
//! - `presets`: what is known of the service and of its emulator
//! - `endpoint`, `headers`: the protocol's forms
//! - `blocks`: what stands in the name of a block
//! - `error`: what a refusal means

mod auth;
mod blocks;
mod build;
mod client;
mod config;
mod connection;
mod container;
mod copy;
mod copy_blocks;
mod credentials;
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

pub use crate::token::{Token, TokenProvider};
pub use build::AzureBuilder;
pub(crate) use config::SECRET_SETTINGS;
pub use config::{AzureConfig, Preset};
pub use storage::AzureStorage;
