//! The definition of a test server.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// The credentials of every test server.
pub(crate) const ACCESS_KEY: &str = "lepton-test-key";
pub(crate) const SECRET_KEY: &str = "lepton-test-secret";

/// Secrets that no test may print, with their names.
pub(crate) const SECRETS: [(&str, &str); 3] = [
    ("the servers' secret", SECRET_KEY),
    ("Azurite's key", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="),
    ("the token of fake-gcs", "lepton-test-token"),
];

/// How one server is installed, started and checked for readiness.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// The environment variable with its endpoint for the tests; the suffix `_PROGRAM` gives
    /// the variable of its program, `_DATA` that of its data folder.
    pub(crate) variable: &'static str,
    /// A path, and the status of the answer to it once requests are served.
    pub(super) ready: (&'static str, u16),
    /// Returns its folder in the cache, built if it does not exist yet.
    pub(super) install: fn() -> Result<PathBuf>,
    pub(super) command: fn(Place<'_>) -> Command,
}

/// The paths and the address that a server is given.
pub(super) struct Place<'a> {
    pub(super) installed: &'a Path,
    /// An empty folder with the empty folders `objects` and `versions` in it.
    pub(super) data: &'a Path,
    /// Host and port.
    pub(super) address: &'a str,
}
