//! The command line.

use std::path::PathBuf;

use clap::Parser;

const EXIT_CODES: &str = "\
Exit codes:
  0    all is well
  1    something is wrong
  2    the command line is wrong
  130  stopped by Ctrl-C, SIGTERM or SIGHUP; the probe is deleted";

/// Checks a store step by step: settings, name resolution, connection, TLS, credentials,
/// listing, and a probe object that is written, read back and deleted; compares the clocks.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The store: a path or a URL such as s3://bucket/folder?endpoint=…
    pub(crate) place: String,
    /// A JSON file of settings, for secrets: {"type": "s3", "session_token": "…"}.
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Write nothing: for stores that are only read from.
    #[arg(long)]
    pub(crate) read_only: bool,
    /// Find out which odd keys the store keeps, and print the settings for it. Writes and
    /// deletes some fifty tiny objects. Some servers fail to list a bucket that contains one of
    /// them, so use a bucket that is not in use.
    #[arg(long, conflicts_with = "read_only")]
    pub(crate) keys: bool,
    /// Print everything as JSON, one step per line.
    #[arg(long)]
    pub(crate) json: bool,
}
