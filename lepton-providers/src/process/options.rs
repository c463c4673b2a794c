//! What the user decides.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// The options of a deployment; `None` leaves what the state folder has.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "there is nothing to open"))]
pub(super) struct Options {
    pub(super) folder: PathBuf,
    pub(super) supervisor: Option<(PathBuf, Vec<OsString>)>,
    pub(super) secrets_folder: Option<PathBuf>,
    pub(super) restart_delay: Option<Duration>,
    pub(super) settle: Option<Duration>,
    pub(super) idle: Option<Duration>,
    pub(super) output_limit: Option<u64>,
    pub(super) silence: Duration,
}

impl Options {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            supervisor: None,
            secrets_folder: None,
            restart_delay: None,
            settle: None,
            idle: None,
            output_limit: None,
            silence: Duration::from_secs(10),
        }
    }
}
