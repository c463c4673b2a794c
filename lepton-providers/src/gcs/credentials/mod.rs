//! Tokens and where they come from.
//!
//! - `chain`: which of these, and in which order
//! - `file`: the files that Google's tools write and read, of every kind
//! - `account`: a service account, which signs
//! - `exchange`: a user's refresh token, a workload's token of another cloud, and taking
//!   on another service account
//! - `subject`: where the token of a workload is; `aws`: where Amazon vouches for it
//! - `metadata`: the service account of a machine

mod account;
mod aws;
mod chain;
mod exchange;
mod file;
mod metadata;
mod subject;

pub(super) use account::ServiceAccount;
pub(super) use chain::{ambient, of_settings};
pub(super) use file::Found;
#[cfg(fuzzing)]
pub(super) use file::read;

/// What the tokens are for.
const SCOPE: &str = "https://www.googleapis.com/auth/devstorage.full_control";

/// The scope with which other accounts are taken on.
const PLATFORM: &str = "https://www.googleapis.com/auth/cloud-platform";
