//! What a server for the tests is.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

/// The credentials of every test server.
pub(crate) const ACCESS_KEY: &str = "lepton-test-key";
pub(crate) const SECRET_KEY: &str = "lepton-test-secret";

/// What no test may print, by name.
pub(crate) const SECRETS: [(&str, &str); 3] = [
    ("the servers' secret", SECRET_KEY),
    ("Azurite's key", "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="),
    ("the token of fake-gcs", "lepton-test-token"),
];

/// How one server is installed, started and asked whether it is ready.
pub(crate) struct Service {
    pub(crate) name: &'static str,
    /// The environment variable that tells the tests its endpoint; the same with
    /// `_PROGRAM` behind it tells what runs, with `_DATA` where its data is.
    pub(crate) variable: &'static str,
    /// A path, and with which status it is answered once requests are served.
    pub(super) ready: (&'static str, u16),
    /// Returns its folder of the cache, built when it is not there yet.
    pub(super) install: fn() -> Result<PathBuf>,
    pub(super) command: fn(Place<'_>) -> Command,
}

/// Where a server finds itself.
pub(super) struct Place<'a> {
    pub(super) installed: &'a Path,
    /// An empty folder with the empty folders `objects` and `versions` in it.
    pub(super) data: &'a Path,
    /// Host and port.
    pub(super) address: &'a str,
}
