//! Credentials and where they come from.
//!
//! - `keys`: credentials and their providers
//! - `profile`: the shared config and credentials files
//! - `chain`: selects among these, in order
//! - `process`: a command that prints credentials
//! - `sts`: roles; `sso`: logins, from the file of `login`; `metadata`: machines and containers

mod chain;
mod keys;
mod login;
mod metadata;
mod process;
mod profile;
mod sso;
mod sts;

pub(super) use chain::{Chain, on_ec2};
pub use keys::{Credentials, CredentialsProvider};
pub(super) use profile::ProfileFiles;

/// Entry point for the fuzz targets.
#[cfg(fuzzing)]
pub(super) fn fuzz(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = profile::parse(&text);
    let _ = process::split(&text);
    if let Ok(process) = process::ProcessCredentials::new("program", lepton_core::SystemEnv::shared()) {
        let _ = process.parse(bytes);
    }
}
