//! Tokens of Google and where they come from.
//!
//! - `file`: the credentials files of Google's tools, of every kind
//! - `account`: a service account, which signs
//! - `exchange`: a user's refresh token, a workload's token from another cloud, and the
//!   impersonation of a service account
//! - `subject`: the location of a workload's token, described by its `source` in the
//!   file; `aws`: identification by Amazon
//! - `metadata`: the service account of a machine; `scopes`: the scopes of tokens

mod account;
mod aws;
pub(crate) mod exchange;
pub(crate) mod file;
pub(crate) mod metadata;
pub(crate) mod scopes;
mod source;
mod subject;

pub(crate) use account::ServiceAccount;
pub(crate) use file::LoadedCredentials;
