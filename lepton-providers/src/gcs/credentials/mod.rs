//! Tokens and where they come from.
//!
//! - `chain`: which of these, and in which order
//! - `file`: the files that Google's tools write and read, of every kind
//! - `account`: a service account, which signs
//! - `exchange`: a user's refresh token, a workload's token of another cloud, and taking
//!   on another service account
//! - `subject`: where the token of a workload is, by its `source` in the file; `aws`: where
//!   Amazon vouches for it
//! - `metadata`: the service account of a machine; `scopes`: what tokens are for

mod account;
mod aws;
mod chain;
mod exchange;
mod file;
mod metadata;
mod scopes;
mod source;
mod subject;

pub(super) use account::ServiceAccount;
pub(super) use chain::{ambient, of_settings};
pub(super) use file::Found;
#[cfg(fuzzing)]
pub(super) use file::read;
