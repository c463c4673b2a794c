//! The command line.

use clap::{ArgMatches, CommandFactory as _, FromArgMatches as _, Parser};

use crate::common::EXIT_CODES;
use crate::common::choose::Choose;
use crate::common::options::Options;

/// Moves objects between any two places, with a journal, progress and a proof.
///
/// Without arguments: a demonstration with two S3 servers inside the process, a
/// kill half-way and a proof at the end.
///
/// Places: /a/path, file:///a/path, s3://bucket/folder?endpoint=…&region=…&profile=…,
/// az://container/folder?account=…, gs://bucket/folder, https://host/folder/
/// Credentials come from where each cloud's own tools look for them: for S3 from the
/// environment (AWS_ACCESS_KEY_ID, …) or from the shared files of the profile.
#[derive(Debug, Parser)]
#[command(name = "migrate", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// Where the objects are: a folder, a bucket, a folder in a bucket, or one object.
    #[arg(requires = "destination")]
    source: Option<String>,
    /// Where they go.
    destination: Option<String>,
    /// Only say what would be done.
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[command(flatten)]
    pub(crate) choose: Choose,
    #[command(flatten)]
    pub(crate) options: Options,
}

impl Args {
    /// Reads the command line; ends the program where it is wrong. The matches know
    /// the order of options.
    pub(crate) fn read() -> (Self, ArgMatches) {
        let matches = Self::command().get_matches();
        let args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        (args, matches)
    }

    /// Source and destination, if any were given.
    pub(crate) fn places(&self) -> Option<(&str, &str)> {
        Some((self.source.as_deref()?, self.destination.as_deref()?))
    }
}
