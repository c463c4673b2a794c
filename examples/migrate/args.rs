//! The command line.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command, CommandFactory as _, FromArgMatches as _, Parser};
use lepton::{ExistingPolicy, TransferConfig};

use crate::common::asked::refuse;
use crate::common::running::{RUNNING, Running};
use crate::common::{Asked, EXIT_CODES};

/// Moves objects between any two places, with a journal, progress and a verification.
///
/// Without arguments: a demonstration with two S3 servers inside the process, a kill halfway
/// and a verification at the end.
///
/// Places: /a/path, file:///a/path, s3://bucket/folder?endpoint=…&region=…&profile=…,
/// az://container/folder?account=…, gs://bucket/folder, https://host/folder/
///
/// Credentials come from where each cloud's own tools look for them: for S3 from the
/// environment (AWS_ACCESS_KEY_ID, …) or from the shared files of the profile.
#[derive(Debug, Parser)]
#[command(name = "migrate", version, after_help = EXIT_CODES)]
pub(crate) struct Args {
    /// The source: a folder, a bucket, a folder in a bucket, or a single object.
    #[arg(requires = "destination")]
    source: Option<String>,
    /// The destination.
    destination: Option<String>,
    /// Only show what would be done.
    #[arg(long, conflicts_with_all = RUNNING)]
    dry_run: bool,
    #[command(flatten)]
    pub(crate) asked: Asked,
    #[command(flatten)]
    running: Running,
}

impl Args {
    /// Parses the command line, and the settings that its options make; ends the program if it
    /// is invalid.
    pub(crate) fn read() -> (Self, TransferConfig) {
        let mut command = Self::command();
        let matches = command.get_matches_mut();
        let args = Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
        if let (None, Some(option)) = (args.places(), given(&command, &matches)) {
            let message =
                format!("the argument '--{option}' requires SOURCE and DESTINATION: a demonstration has none");
            refuse(&mut command, message);
        }
        let settings = args.asked.settings(args.running(), ExistingPolicy::Overwrite, &matches, &mut command);
        (args, settings)
    }

    /// Source and destination, if they were given.
    pub(crate) fn places(&self) -> Option<(&str, &str)> {
        Some((self.source.as_deref()?, self.destination.as_deref()?))
    }

    /// The options for running; `None` in a dry run.
    pub(crate) fn running(&self) -> Option<&Running> {
        (!self.dry_run).then_some(&self.running)
    }

    pub(crate) fn stats(&self) -> bool {
        self.running.stats
    }
}

/// An option that was given on the command line.
fn given<'a>(command: &'a Command, matches: &ArgMatches) -> Option<&'a str> {
    let explicit = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
    let options = command.get_arguments().filter_map(|option| Some((option.get_id().as_str(), option.get_long()?)));
    options.filter(|(id, _)| matches.try_contains_id(id).is_ok()).find_map(|(id, name)| explicit(id).then_some(name))
}
