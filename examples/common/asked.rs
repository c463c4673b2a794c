//! The options of every program that moves data.

use clap::error::ErrorKind as CommandLine;
use clap::{ArgMatches, Args, Command};
use lepton::{Existing, TransferSettings};

use super::choose::Choose;
use super::options::{Output, Tuning};
use super::policy::Policy;
use super::running::Running;

/// What is asked of two places, whether something is written or only looked at.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    #[command(flatten)]
    policy: Policy,
    #[command(flatten)]
    pub(super) choose: Choose,
    #[command(flatten)]
    tuning: Tuning,
    #[command(flatten)]
    pub(crate) output: Output,
}

impl Asked {
    /// The settings that the options make; `running` is `None` where nothing is written.
    /// `default` is what the program does with objects that are there already. Ends the
    /// program where an option has no effect beside the others.
    pub(crate) fn settings(
        &self,
        running: Option<&Running>,
        default: Existing,
        matches: &ArgMatches,
        command: &mut Command,
    ) -> TransferSettings {
        let mut settings = TransferSettings::default();
        self.policy.enter(&mut settings, default);
        self.choose.enter(&mut settings, matches);
        self.tuning.enter(&mut settings);
        if let Some(running) = running {
            running.enter(&mut settings);
        }
        if let Some(message) = self.policy.refused(&settings) {
            refuse(command, message);
        }
        settings
    }
}

/// Ends the program as clap does where arguments do not go together.
pub(crate) fn refuse(command: &mut Command, message: String) -> ! {
    command.error(CommandLine::ArgumentConflict, message).exit()
}
