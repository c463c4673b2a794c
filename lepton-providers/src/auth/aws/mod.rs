//! Credentials and signatures of Amazon Web Services.
//!
//! - `sign`: Signature Version 4
//! - `credentials`: credentials and their providers
//! - `profile`: the shared config and credentials files
//! - `chain`: selects among these, in order
//! - `process`: a command that prints credentials
//! - `sts`: roles; `sso`: logins, from the file of `login`
//! - `imds`: machines; `container`: containers

pub(crate) mod chain;
mod container;
pub(crate) mod credentials;
#[cfg(fuzzing)]
pub(crate) mod fuzz;
pub(crate) mod imds;
mod login;
mod process;
pub(crate) mod profile;
pub(crate) mod sign;
mod sso;
mod sts;
