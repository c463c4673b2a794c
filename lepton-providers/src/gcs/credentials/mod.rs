//! Tokens and where they come from.
//!
//! - `chain`: selects among these, in order
//! - `file`: the credentials files of Google's tools, of every kind
//! - `account`: a service account, which signs
//! - `exchange`: a user's refresh token, a workload's token from another cloud, and the
//!   impersonation of a service account
//! - `subject`: the location of a workload's token, described by its `source` in the
//!   file; `aws`: identification by Amazon
//! - `metadata`: the service account of a machine; `scopes`: the scopes of tokens

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
