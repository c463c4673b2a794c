//! Entry point for the fuzz targets; compiled only for fuzzing.

use super::{process, profile};

/// Shared config files and the output of a `credential_process`.
pub(crate) fn profiles(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = profile::parse(&text);
    let _ = crate::auth::command::split(&text);
    if let Ok(process) = process::ProcessCredentials::new("program", lepton_core::SystemRuntime::shared()) {
        let _ = process.parse(bytes);
    }
}
